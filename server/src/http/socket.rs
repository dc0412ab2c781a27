//! A connection after its upgrade: the raw stream, with a TLS session behind it where there is one.
//!
//! Any thread may write to any socket; nothing is buffered here for a plain one, and for TLS only what
//! was already encrypted when the stream filled up.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;

use bytes::Bytes;
use parking_lot::Mutex;
use rustls::ServerConnection;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::line::Line;
use super::{Share, Slot};

/// Bytes of one read when what TLS had already decrypted is fetched at the upgrade.
const DRAIN_BYTES: usize = 4 * 1024;

/// The raw stream of one connection.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    session: Option<Box<Session>>,
    /// Gives the listener and the address their places back.
    _places: (Slot, Share),
}

#[derive(Debug)]
struct Session {
    tls: Mutex<ServerConnection>,
    /// Ciphertext was left over: the owner waits for room, whoever wrote.
    left_over: Notify,
}

/// The stream as rustls wants it.
struct Raw<'a>(&'a TcpStream);

impl io::Read for Raw<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl io::Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// The socket, and what came before it: what HTTP had read, then what TLS had decrypted.
    pub(super) fn new(
        line: Line,
        places: (Slot, Share),
        early: Bytes,
    ) -> io::Result<(Self, Bytes)> {
        match line {
            Line::Plain(stream) => Ok((Self { stream, session: None, _places: places }, early)),
            Line::Tls(stream) => {
                let (stream, mut tls) = stream.into_inner();
                let early = drain(&mut tls, early)?;
                let session = Session { tls: Mutex::new(tls), left_over: Notify::new() };
                let session = Some(Box::new(session));
                Ok((Self { stream, session, _places: places }, early))
            }
        }
    }

    /// Waits until [`Self::try_read`] may find something. Under TLS it also sends on what a full
    /// stream had kept back, so the owner of a socket always waits here.
    ///
    /// # Errors
    /// If the connection broke.
    pub async fn readable(&self) -> io::Result<()> {
        match &self.session {
            None => self.stream.readable().await,
            // Boxed, so that the future of a plain connection stays small.
            Some(session) => Box::pin(session.readable(&self.stream)).await,
        }
    }

    /// Waits until [`Self::try_write`] may find room.
    ///
    /// # Errors
    /// If the connection broke.
    pub async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Reads what is there; 0 is the end. Call it until it would block before waiting again.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; others if the connection broke.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.session {
            None => self.stream.try_read(buf),
            Some(session) => session.try_read(&self.stream, buf),
        }
    }

    /// Writes what fits; the count is of the bytes that need not be given again. Under TLS it first
    /// sends what was kept back, and an empty slice does only that.
    ///
    /// # Errors
    /// `WouldBlock` if nothing fits; others if the connection broke.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.session {
            None => self.stream.try_write(bytes),
            Some(session) => session.try_write(&self.stream, bytes),
        }
    }

    /// Says that nothing more will be written. What was written still arrives; the other end's
    /// bytes can still be read.
    pub fn shutdown(&self) {
        if let Some(session) = &self.session {
            let mut tls = session.tls.lock();
            tls.send_close_notify();
            if let Err(error) = flush(&mut tls, &self.stream) {
                tracing::trace!(%error, "no TLS goodbye");
            }
        }
        self.close(Shutdown::Write);
    }

    /// Ends both directions: whoever waits in [`Self::readable`] wakes and reads the end.
    pub fn cut(&self) {
        self.close(Shutdown::Both);
    }

    fn close(&self, how: Shutdown) {
        if let Err(error) = socket2::SockRef::from(&self.stream).shutdown(how) {
            tracing::trace!(%error, "the connection was closed already");
        }
    }
}

impl Session {
    async fn readable(&self, stream: &TcpStream) -> io::Result<()> {
        loop {
            let full = self.tls.lock().wants_write();
            tokio::select! {
                biased;
                readable = stream.readable() => return readable,
                writable = stream.writable(), if full => {
                    writable?;
                    match flush(&mut self.tls.lock(), stream) {
                        Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                        Ok(()) | Err(_) => {}
                    }
                }
                () = self.left_over.notified(), if !full => {}
            }
        }
    }

    fn try_read(&self, stream: &TcpStream, buf: &mut [u8]) -> io::Result<usize> {
        let mut tls = self.tls.lock();
        loop {
            match tls.reader().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            tls.read_tls(&mut Raw(stream))?;
            let processed = tls.process_new_packets();
            // Alerts and answers to key updates leave now; where they cannot, the owner sees to it.
            match flush(&mut tls, stream) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Ok(()) | Err(_) => {}
            }
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    fn try_write(&self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut tls = self.tls.lock();
        flush(&mut tls, stream)?;
        let taken = tls.writer().write(bytes)?;
        match flush(&mut tls, stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.left_over.notify_one(),
            flushed => flushed?,
        }
        Ok(taken)
    }
}

fn flush(tls: &mut ServerConnection, stream: &TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        if tls.write_tls(&mut Raw(stream))? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

/// Fetches what was decrypted before the upgrade: the stream would not wake anybody for it.
fn drain(tls: &mut ServerConnection, early: Bytes) -> io::Result<Bytes> {
    let mut buf = [0; DRAIN_BYTES];
    let mut all: Option<Vec<u8>> = None;
    loop {
        match tls.reader().read(&mut buf) {
            Ok(0) => break,
            Ok(read) => {
                let bytes = buf.get(..read).unwrap_or_default();
                all.get_or_insert_with(|| early.to_vec()).extend_from_slice(bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(all.map_or(early, Bytes::from))
}

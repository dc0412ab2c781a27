//! A connection after its upgrade: the raw stream, with a TLS session behind it where there is one.
//!
//! Any thread may write to any socket; nothing is buffered here for a plain one, and for TLS only what
//! was already encrypted when the stream filled up. One task, its owner, reads.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use rustls::ServerConnection;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::line::Line;
use super::{Share, Slot};

/// Bytes of one read when what TLS had already decrypted is fetched at the upgrade.
const DRAIN_BYTES: usize = 4 * 1024;

/// One connection. By value, so that its owner has it where the rest of the connection is: an allocation less, and
/// a hop less for each write.
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
    left_over: AtomicWaker,
}

/// The stream as rustls wants to write to it.
struct Raw<'a>(&'a TcpStream);

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

/// The stream as rustls wants to read from it; where nothing is there, the task is woken later.
struct Polled<'a, 'c>(&'a TcpStream, &'a mut Context<'c>);

impl io::Read for Polled<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match poll_read(self.0, self.1, into) {
            Poll::Ready(read) => read,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// Reads what is there. A short read has emptied the stream: it is marked so, as by tokio's own `AsyncRead` for a
/// stream that is not shared, or each message would cost a second system call, only to hear that there is no more.
fn poll_read(stream: &TcpStream, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        let mut short = None;
        let read = stream.try_io(Interest::READABLE, || match stream.try_read(into)? {
            read if read > 0 && read < into.len() => {
                short = Some(read);
                Err(io::ErrorKind::WouldBlock.into())
            }
            read => Ok(read),
        });
        match (short, read) {
            (Some(read), _) => return Poll::Ready(Ok(read)),
            (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            (None, read) => return Poll::Ready(read),
        }
    }
}

impl Socket {
    /// The stream of an upgraded line, and what came before: what HTTP had read, then what TLS had decrypted.
    pub(super) fn new(
        line: Line,
        places: (Slot, Share),
        early: Bytes,
    ) -> io::Result<(Self, Bytes)> {
        let (stream, session, early) = match line {
            Line::Plain(stream) => (stream, None, early),
            Line::Tls(stream) => {
                let (stream, mut tls) = stream.into_inner();
                let early = drain(&mut tls, early)?;
                let session = Session { tls: Mutex::new(tls), left_over: AtomicWaker::new() };
                (stream, Some(Box::new(session)), early)
            }
        };
        Ok((Self { stream, session, _places: places }, early))
    }

    /// Reads what is there; 0 is the end. Under TLS it also sends on what a full stream had kept back, so the owner of
    /// a socket always waits here. For the owner's task only: the last one to ask is the one that is woken.
    pub fn poll_read(&self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        match &self.session {
            None => poll_read(&self.stream, cx, into),
            Some(session) => session.poll_read(&self.stream, cx, into),
        }
    }

    /// Whether [`Self::try_write`] may find room; the task is woken when it does. For the owner's task
    /// only: the last one to ask is the one that is woken.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_write_ready(cx)
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

    /// Ends both directions: the owner's read finds the end.
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
    fn poll_read(
        &self,
        stream: &TcpStream,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.left_over.register(cx.waker());
        let mut tls = self.tls.lock();
        while tls.wants_write() {
            let Poll::Ready(room) = stream.poll_write_ready(cx) else { break };
            room?;
            would_block_is_fine(flush(&mut tls, stream))?;
        }
        loop {
            match tls.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
            match tls.read_tls(&mut Polled(stream, cx)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
                Ok(_) => {}
            }
            let processed = tls.process_new_packets();
            // Alerts and answers to key updates leave now; where they cannot, this is woken for room.
            would_block_is_fine(flush(&mut tls, stream))?;
            if tls.wants_write()
                && let Poll::Ready(room) = stream.poll_write_ready(cx)
            {
                room?;
                cx.waker().wake_by_ref();
            }
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    fn try_write(&self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut tls = self.tls.lock();
        flush(&mut tls, stream)?;
        let taken = tls.writer().write(bytes)?;
        match flush(&mut tls, stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.left_over.wake(),
            flushed => flushed?,
        }
        Ok(taken)
    }
}

fn would_block_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        done => done,
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

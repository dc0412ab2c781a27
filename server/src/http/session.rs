//! A TLS session that holds no buffer while nothing is on its way.
//!
//! Lives here: rustls without its buffers, the buffers of the thread in their place, and the stream
//! that hyper has before the upgrade. Not here: certificates (`tls`), who may write when
//! (`socket`).
//!
//! With its own buffers rustls keeps four kilobytes for each connection, and copies every record
//! once more.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::stream::{poll_read, try_write};

/// One read of records; shared by all sessions of a thread.
const READ_BYTES: usize = 64 * 1024;

/// Bytes that are sealed at once, and what the seals of their records add at most.
const SEALED_BYTES_MAX: usize = 64 * 1024;
const SEALS_BYTES_MAX: usize = 1024;

/// Bytes of records that are not whole, or hold a part of a handshake's message: rustls takes none
/// that is longer than 64 KiB. Beyond: the connection ends.
const BEGUN_BYTES_MAX: usize = 96 * 1024;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
    static SEALED: RefCell<Vec<u8>> = RefCell::new(vec![0; SEALED_BYTES_MAX + SEALS_BYTES_MAX]);
}

/// One end of a session; whoever calls has the stream that it goes over.
pub(super) struct Session {
    tls: UnbufferedServerConnection,
    /// The beginning of a record.
    begun: Vec<u8>,
    /// What was decrypted and is not fetched.
    plain: Vec<u8>,
    /// What was encrypted and the stream did not take.
    left_over: Vec<u8>,
    /// The other end says no more.
    ended: bool,
    /// Nor do we.
    closed: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Session {
    fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        let tls = UnbufferedServerConnection::new(config).map_err(invalid)?;
        let (begun, plain, left_over) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { tls, begun, plain, left_over, ended: false, closed: false })
    }

    /// Whether something waits for room in the stream.
    pub(super) fn has_left_over(&self) -> bool {
        !self.left_over.is_empty()
    }

    /// What was decrypted and not fetched: a stream would not wake anybody for it.
    pub(super) fn take_plain(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.plain)
    }

    /// Writes what the stream did not take before.
    ///
    /// # Errors
    /// `WouldBlock` if something is still left.
    pub(super) fn flush(&mut self, stream: &TcpStream) -> io::Result<()> {
        while !self.left_over.is_empty() {
            match try_write(stream, &self.left_over)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => drop(self.left_over.drain(..written)),
            }
        }
        self.left_over = Vec::new();
        Ok(())
    }

    /// Encrypts and writes; the count is of the bytes that need not be given again.
    ///
    /// # Errors
    /// `WouldBlock` if something is left of what was written before: nothing was taken.
    pub(super) fn write(&mut self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        self.flush(stream)?;
        let bytes = bytes.get(..SEALED_BYTES_MAX).unwrap_or(bytes);
        if bytes.is_empty() {
            return Ok(0);
        }
        SEALED.with_borrow_mut(|sealed| {
            let len = self.seal(|traffic| traffic.encrypt(bytes, sealed))?;
            let sealed = sealed.get(..len).unwrap_or_default();
            // Nothing may go before what the session itself had to say.
            let written = if self.left_over.is_empty() { try_write(stream, sealed) } else { Ok(0) };
            let written = match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                written => written?,
            };
            self.left_over.extend_from_slice(sealed.get(written..).unwrap_or_default());
            Ok(bytes.len())
        })
    }

    /// Says that nothing more follows.
    ///
    /// # Errors
    /// As [`Session::flush`].
    pub(super) fn close(&mut self, stream: &TcpStream) -> io::Result<()> {
        if !std::mem::replace(&mut self.closed, true) {
            let mut goodbye = [0; SEALS_BYTES_MAX];
            let len = self.seal(|traffic| traffic.queue_close_notify(&mut goodbye))?;
            self.left_over.extend_from_slice(goodbye.get(..len).unwrap_or_default());
        }
        self.flush(stream)
    }

    fn seal(
        &mut self,
        seal: impl FnOnce(&mut WriteTraffic<'_>) -> Result<usize, EncryptError>,
    ) -> io::Result<usize> {
        loop {
            // What begun is not whole, so this finds nothing in it.
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut self.begun);
            debug_assert_eq!(discard, 0, "every whole record was taken when it came");
            match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return seal(&mut traffic).map_err(invalid);
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.left_over)?,
                Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                Ok(_) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(error) => return Err(invalid(error)),
            }
        }
    }

    /// Reads what is there; 0 is the end. What the session has to say in between is written, or
    /// left over.
    pub(super) fn poll_read(
        &mut self,
        stream: &TcpStream,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if !self.plain.is_empty() {
                let read = io::Read::read(&mut self.plain.as_slice(), into)?;
                self.plain.drain(..read);
                if self.plain.is_empty() {
                    self.plain = Vec::new();
                }
                return Poll::Ready(Ok(read));
            }
            if self.ended {
                return Poll::Ready(Ok(0));
            }
            let read = ready!(self.poll_records(stream, cx, into))?;
            if read > 0 {
                return Poll::Ready(Ok(read));
            }
        }
    }

    /// One read of records; how much of what they say is in `into`, the rest waits in `plain`.
    fn poll_records(
        &mut self,
        stream: &TcpStream,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let taken = READ.with_borrow_mut(|records| {
            let read = ready!(poll_read(stream, cx, records))?;
            if read == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            Poll::Ready(self.take(records.get_mut(..read).unwrap_or_default(), into))
        });
        let taken = ready!(taken);
        // Alerts and answers to key updates leave now, where they can.
        match self.flush(stream) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Poll::Ready(Err(error)),
            _ => Poll::Ready(taken),
        }
    }

    /// Takes records in.
    fn take(&mut self, fresh: &mut [u8], into: &mut [u8]) -> io::Result<usize> {
        let mut begun = std::mem::take(&mut self.begun);
        let whole = begun.is_empty();
        let all = if whole {
            fresh
        } else {
            begun.extend_from_slice(fresh);
            begun.as_mut_slice()
        };
        let (used, filled) = self.records(all, into)?;
        let rest = all.len() - used;
        if rest > BEGUN_BYTES_MAX {
            return Err(invalid("a record without an end"));
        }
        if whole && rest > 0 {
            begun = all.get(used..).unwrap_or_default().to_vec();
        } else if !whole && rest > 0 {
            begun.drain(..used);
        } else {
            begun = Vec::new();
        }
        self.begun = begun;
        Ok(filled)
    }

    /// Goes through the whole records: how far they reach, and how much of what they say is in
    /// `into`.
    fn records(&mut self, all: &mut [u8], into: &mut [u8]) -> io::Result<(usize, usize)> {
        let Self { tls, plain, left_over, ended, .. } = self;
        let (mut used, mut filled) = (0, 0);
        loop {
            let rest = all.get_mut(used..).unwrap_or_default();
            let UnbufferedStatus { mut discard, state } = tls.process_tls_records(rest);
            let mut more = true;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        discard += record.discard;
                        let room = into.get_mut(filled..).unwrap_or_default();
                        let fits =
                            if plain.is_empty() { room.len().min(record.payload.len()) } else { 0 };
                        let (now, later) = record.payload.split_at(fits);
                        if let Some(room) = room.get_mut(..fits) {
                            room.copy_from_slice(now);
                        }
                        filled += fits;
                        plain.extend_from_slice(later);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, left_over)?,
                Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                Ok(ConnectionState::PeerClosed) => *ended = true,
                Ok(ConnectionState::Closed) => (*ended, more) = (true, false),
                Ok(ConnectionState::WriteTraffic(_) | ConnectionState::BlockedHandshake) => {
                    more = false;
                }
                Ok(_) => return Err(invalid("early data was not asked for")),
                Err(error) => {
                    farewell(tls, left_over)?;
                    return Err(invalid(error));
                }
            }
            used += discard;
            if !more {
                return Ok((used, filled));
            }
        }
    }

    fn poll_handshake(&mut self, stream: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.flush(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_write_ready(cx))?;
                    continue;
                }
                flushed => flushed?,
            }
            if !self.tls.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_records(stream, cx, &mut []))?;
        }
    }
}

type WriteTraffic<'c> = rustls::unbuffered::WriteTraffic<'c, rustls::server::ServerConnectionData>;

/// Appends a record of the session itself.
fn encode<D>(mut data: EncodeTlsData<'_, D>, left_over: &mut Vec<u8>) -> io::Result<()> {
    let at = left_over.len();
    let needed = match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(needed)) => needed.required_size,
        Err(error) => return Err(invalid(error)),
        Ok(_) => return Ok(()),
    };
    left_over.resize(at + needed, 0);
    data.encode(left_over.get_mut(at..).unwrap_or_default()).map_err(invalid)?;
    Ok(())
}

/// What the other end is told of its fault.
fn farewell(tls: &mut UnbufferedServerConnection, left_over: &mut Vec<u8>) -> io::Result<()> {
    loop {
        match tls.process_tls_records(&mut []).state {
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, left_over)?,
            Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
            Ok(_) | Err(_) => return Ok(()),
        }
    }
}

/// A connection that speaks HTTP over TLS.
#[derive(Debug)]
pub(super) struct TlsStream {
    stream: TcpStream,
    session: Session,
}

impl TlsStream {
    /// Shakes hands.
    ///
    /// # Errors
    /// If the other end does not speak TLS, or leaves.
    pub(super) async fn accept(config: Arc<ServerConfig>, stream: TcpStream) -> io::Result<Self> {
        let mut session = Session::new(config)?;
        poll_fn(|cx| session.poll_handshake(&stream, cx)).await?;
        Ok(Self { stream, session })
    }

    pub(super) fn into_parts(self) -> (TcpStream, Session) {
        (self.stream, self.session)
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, session } = self.get_mut();
        let read = ready!(session.poll_read(stream, cx, buf.initialize_unfilled()))?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, session } = self.get_mut();
        loop {
            match session.write(stream, bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_write_ready(cx))?;
                }
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, session } = self.get_mut();
        loop {
            match session.flush(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_write_ready(cx))?;
                }
                flushed => return Poll::Ready(flushed),
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, session } = &mut *self;
        match session.close(stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            closed => closed?,
        }
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

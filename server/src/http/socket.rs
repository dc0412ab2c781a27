//! A connection after its upgrade: the raw stream, with a TLS session behind it where there is one.
//!
//! Any thread may write to any socket; nothing is buffered here for a plain one, and for TLS only
//! what was already encrypted when the stream filled up. One task, its owner, reads.

use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use super::peer_stream::PeerStream;
use super::session::Session;
use super::stream::{poll_read, try_write};
use super::{Share, Slot};

/// One connection. By value, so that its owner has it where the rest of the connection is: an
/// allocation less, and a hop less for each write.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    session: Option<Box<Shared>>,
    /// Gives the listener and the address their permits back.
    _permits: (Slot, Share),
}

/// A TLS session that any thread may write to.
#[derive(Debug)]
struct Shared {
    session: Mutex<Session>,
    /// Ciphertext was left over: the owner waits for room, whoever wrote.
    left_over: AtomicWaker,
}

impl Socket {
    /// The stream of an upgraded connection, and what came before: what HTTP had read, then what
    /// TLS had decrypted.
    pub(super) fn new(stream: PeerStream, permits: (Slot, Share), early: Bytes) -> (Self, Bytes) {
        let (stream, session, early) = match stream {
            PeerStream::Plain(stream) => (stream, None, early),
            PeerStream::Tls(stream) => {
                let (stream, mut session) = stream.into_parts();
                let early = [&early[..], &session.take_plain()].concat();
                let session = Mutex::new(session);
                let shared = Shared { session, left_over: AtomicWaker::new() };
                (stream, Some(Box::new(shared)), Bytes::from(early))
            }
        };
        (Self { stream, session, _permits: permits }, early)
    }

    /// Reads what is there; 0 is the end. Under TLS it also sends on what a full stream had kept
    /// back, so the owner of a socket always waits here. For the owner's task only: the last one to
    /// ask is the one that is woken.
    pub fn poll_read(&self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        match &self.session {
            None => poll_read(&self.stream, cx, into),
            Some(session) => session.poll_read(&self.stream, cx, into),
        }
    }

    /// Whether [`Self::try_write`] may find room; the task is woken when it does. For the owner's
    /// task only: the last one to ask is the one that is woken.
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
            None => try_write(&self.stream, bytes),
            Some(session) => session.try_write(&self.stream, bytes),
        }
    }

    /// Says that nothing more will be written, once the stream has taken all that was. It still
    /// arrives; the other end's bytes can still be read. For the owner's task only.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(shared) = &self.session
            && let Err(error) = ready!(shared.poll_close(&self.stream, cx))
        {
            tracing::trace!(%error, "no TLS goodbye");
        }
        self.close(Shutdown::Write);
        Poll::Ready(())
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

impl Shared {
    fn poll_read(
        &self,
        stream: &TcpStream,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.left_over.register(cx.waker());
        let mut session = self.session.lock();
        while session.has_left_over() {
            let Poll::Ready(room) = stream.poll_write_ready(cx) else { break };
            room?;
            match session.flush(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                flushed => flushed?,
            }
        }
        let read = session.poll_read(stream, cx, into);
        // What the session itself had to say did not fit: this is woken for room.
        if session.has_left_over()
            && let Poll::Ready(room) = stream.poll_write_ready(cx)
        {
            room?;
            cx.waker().wake_by_ref();
        }
        read
    }

    fn poll_close(&self, stream: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut session = self.session.lock();
        loop {
            match session.close(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_write_ready(cx))?;
                }
                closed => return Poll::Ready(closed),
            }
        }
    }

    fn try_write(&self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut session = self.session.lock();
        let taken = session.write(stream, bytes)?;
        if session.has_left_over() {
            self.left_over.wake();
        }
        Ok(taken)
    }
}

#[cfg(test)]
impl Socket {
    /// A plain stream that takes nobody's place.
    pub(crate) fn alone(stream: TcpStream) -> Self {
        let ip = std::net::Ipv4Addr::LOCALHOST.into();
        let slot = Slot::take(&std::sync::Arc::default(), 1).unwrap();
        let share = Share::take(&super::PerAddress::default(), ip, 1).unwrap();
        Self::new(PeerStream::Plain(stream), (slot, share), Bytes::new()).0
    }
}

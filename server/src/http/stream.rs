//! A TCP stream that more than one task uses: one reads, any writes.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Reads what is there. A short read has emptied the stream: it is marked so, as by tokio's own
/// `AsyncRead` for a stream that is not shared, or each message would cost a second system call,
/// only to hear that there is no more.
pub(super) fn poll_read(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    into: &mut [u8],
) -> Poll<io::Result<usize>> {
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

/// Writes without asking tokio whether there is room: mostly there is, and the mark lies in another
/// place of memory. Where there is none, tokio is told by a write of its own.
pub(super) fn try_write(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match io::Write::write(&mut &*socket2::SockRef::from(stream), bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.try_write(bytes),
        written => written,
    }
}

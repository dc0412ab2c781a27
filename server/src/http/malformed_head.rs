//! A head that cannot be read is refused as everything else is: as a problem, under an id that the
//! log has too.
//!
//! hyper refuses such a head by itself, with a status and nothing else; no service is asked. What
//! it writes while no answer of ours is under way is that refusal, and goes out in our words.
//!
//! Lives here: the part between hyper and the stream that knows whose answer is written. Not here:
//! heads that hyper can read and we refuse (`head`).

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::peer_stream::PeerStream;
use super::{UNMATCHED, access, problem_text};
use crate::telemetry::{self, RequestId};

/// Whose answer is on its way.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// A request was given to the service, and its answer is not out yet.
    ours: AtomicBool,
    /// hyper has taken the end of that answer, which the stream may still lack.
    taken: AtomicBool,
}

impl Exchange {
    /// The service is asked.
    pub(super) fn asked(&self) {
        self.taken.store(false, Ordering::Release);
        self.ours.store(true, Ordering::Release);
    }

    /// Everything that was written is out.
    fn flushed(&self) {
        if self.taken.load(Ordering::Acquire) {
            self.ours.store(false, Ordering::Release);
        }
    }

    fn is_ours(&self) -> bool {
        self.ours.load(Ordering::Acquire)
    }
}

/// The body of an answer of ours, which says when hyper is done with it.
#[derive(Debug)]
pub(super) struct Tail {
    body: Body,
    exchange: Arc<Exchange>,
}

impl Tail {
    /// An answer whose end is told.
    pub(super) fn of(response: Response<Body>, exchange: Arc<Exchange>) -> Response<Self> {
        response.map(|body| Self { body, exchange })
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.exchange.taken.store(true, Ordering::Release);
    }
}

impl hyper::body::Body for Tail {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's stream, as hyper has it.
#[derive(Debug)]
pub(super) struct Watched {
    stream: PeerStream,
    exchange: Arc<Exchange>,
    ip: IpAddr,
    /// Of a refusal: what the stream has not taken.
    waiting: Vec<u8>,
}

impl Watched {
    /// `ip`: who is at the other end, for the access log.
    pub(super) fn new(stream: PeerStream, exchange: Arc<Exchange>, ip: IpAddr) -> Self {
        Self { stream, exchange, ip, waiting: Vec::new() }
    }

    /// The stream, once hyper has left it.
    pub(super) fn into_stream(self) -> PeerStream {
        self.stream
    }

    /// Whether this is hyper's refusal, which then waits in our words.
    fn takes_over(&mut self, bytes: &[u8]) -> bool {
        if self.exchange.is_ours() {
            return false;
        }
        if self.waiting.is_empty()
            && let Some(status) = status_of(bytes)
        {
            self.waiting = refusal(status, self.ip).into_bytes();
        }
        !self.waiting.is_empty()
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

/// The status of an answer, by its first line.
fn status_of(answer: &[u8]) -> Option<StatusCode> {
    let rest = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?;
    StatusCode::from_bytes(rest.get(..3)?).ok().filter(StatusCode::is_client_error)
}

/// The whole answer, and its line in the access log.
fn refusal(status: StatusCode, ip: IpAddr) -> String {
    let id = RequestId::new();
    let (code, detail) = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
            "head-too-large",
            "The head of the request is larger than the server takes (`header_bytes_max`), or has more than 100 fields.",
        ),
        StatusCode::URI_TOO_LONG => {
            ("address-too-long", "The address is longer than the server takes.")
        }
        _ => ("malformed-head", "The head of the request is not as RFC 9112 has it."),
    };
    let body = problem_text(status, code, detail, Some(&id));
    log(&id, status, &body, ip);
    answer(status, &id, "", &body)
}

/// Writes the access log's line of an answer to what was never read.
pub(super) fn log(id: &RequestId, status: StatusCode, body: &str, ip: IpAddr) {
    let (status, took) = (status.as_u16(), Duration::ZERO);
    let bytes = u64::try_from(body.len()).ok();
    telemetry::serving_now(id.clone(), || {
        access::Answered { method: "other", route: UNMATCHED, status, took, bytes, ip }.log();
    });
}

/// An answer that ends the connection, written without hyper. `fields`: further lines, each with
/// its end.
pub(super) fn answer(status: StatusCode, id: &RequestId, fields: &str, body: &str) -> String {
    let reason = status.canonical_reason().unwrap_or("Error");
    format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/problem+json\r\n{fields}\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\
         x-request-id: {id}\r\ncontent-length: {}\r\n\r\n{body}",
        status.as_u16(),
        body.len()
    )
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let watched = self.get_mut();
        if watched.takes_over(bytes) {
            ready!(watched.poll_waiting(cx))?;
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut watched.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let watched = self.get_mut();
        let first = slices.iter().find(|slice| !slice.is_empty());
        if first.is_some_and(|first| watched.takes_over(first)) {
            ready!(watched.poll_waiting(cx))?;
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        Pin::new(&mut watched.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let watched = self.get_mut();
        ready!(watched.poll_waiting(cx))?;
        ready!(Pin::new(&mut watched.stream).poll_flush(cx))?;
        watched.exchange.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let watched = self.get_mut();
        ready!(watched.poll_waiting(cx))?;
        Pin::new(&mut watched.stream).poll_shutdown(cx)
    }
}

//! What waits to be written to one connection: usually nothing. Backpressure ends here.
//! A slow consumer, whose socket takes nothing while its outbox fills, is closed with `too slow`
//! and resumes, and no room waits for it.
//!
//! Appending happens under a room's lock, writing never does: whoever flushes takes the queue out,
//! writes without the lock, and puts back what did not fit. While somebody flushes, others only
//! append.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use protocol::codec::Encoding;
use protocol::frame::ServerFrame;
use protocol::ids::ConnectionId;
use protocol::reject::CloseCode;

use super::websocket;
use crate::http::Socket;
use crate::hub::fanout::EncodedFrame;
use crate::hub::{FrameSink, PageNumber};
use crate::metrics::{Metrics, Overflow};

/// The share of the bound at which frames that are worth nothing later are dropped.
const EPHEMERAL_SHARE: usize = 2;

/// The share of the bound above which a frame counts as a page, and up to which others may wait
/// before it.
const PAGE_SHARE: usize = 2;

/// Frames that are joined for one write.
const JOINED_BYTES_MAX: usize = 64 * 1024;

/// What a queue has room for from the beginning: a short burst's.
const REST_FIRST: usize = 4;

/// Frames in a row. One is the rule and lies here; for more there is a queue as long as they wait,
/// so that an idle connection holds no memory for them.
#[derive(Debug, Default)]
struct Frames {
    first: Option<Bytes>,
    rest: Option<Box<Rest>>,
}

/// What waits behind the first; there is one at least.
#[derive(Debug)]
struct Rest(VecDeque<Bytes>);

impl Frames {
    fn rest(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.rest.as_ref().map_or_else(Default::default, |rest| rest.0.iter())
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest().len()
    }

    fn front(&self) -> Option<&Bytes> {
        self.first.as_ref()
    }

    fn push_back(&mut self, frame: Bytes) {
        match (&self.first, &mut self.rest) {
            (None, _) => self.first = Some(frame),
            (Some(_), Some(rest)) => rest.0.push_back(frame),
            (Some(_), None) => {
                let mut rest = VecDeque::with_capacity(REST_FIRST);
                rest.push_back(frame);
                self.rest = Some(Box::new(Rest(rest)));
            }
        }
    }

    fn push_front(&mut self, frame: Bytes) {
        if let Some(second) = self.first.replace(frame) {
            match &mut self.rest {
                Some(rest) => rest.0.push_front(second),
                None => self.rest = Some(Box::new(Rest(VecDeque::from([second])))),
            }
        }
    }

    fn pop_front(&mut self) -> Option<Bytes> {
        let first = self.first.take()?;
        if let Some(rest) = &mut self.rest {
            self.first = rest.0.pop_front();
            if rest.0.is_empty() {
                self.rest = None;
            }
        }
        Some(first)
    }

    /// Forgets all but the first.
    fn keep_first(&mut self) {
        self.rest = None;
    }

    /// Bytes of all of them.
    fn bytes(&self) -> usize {
        self.first.iter().chain(self.rest()).map(Bytes::len).sum()
    }
}

#[derive(Debug, Default)]
struct Waiting {
    frames: Frames,
    bytes: usize,
    /// So many of them are a page that may be larger than the bound.
    page: usize,
    /// So many of them stand in the gauge: only what a slow reader lets wait is counted.
    gauged: usize,
    /// Somebody writes just now.
    flushing: bool,
    /// Somebody was told to flush, and has not yet.
    to_flush: bool,
    /// The socket took no more: its task waits until it does.
    blocked: bool,
    /// Nothing is taken any more; what stands here is the last.
    closing: bool,
}

/// What all outboxes share.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) metrics: Arc<Metrics>,
    /// What may wait for one connection.
    pub(super) bytes_max: usize,
    pub(super) frames_max: usize,
}

/// One connection's way out.
///
/// In this order, so that what a message touches lies together: in a large room the rest of each
/// outbox would push the others out of the processor's cache.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Outbox {
    encoding: Encoding,
    over: AtomicBool,
    /// A ping waits for its pong.
    pub(super) probed: AtomicBool,
    /// The code with which we closed; 0: we did not.
    closed_with: AtomicU16,
    /// The number of the page's origin, from `hello` on.
    page: AtomicU16,
    terms: Arc<Terms>,
    waiting: Mutex<Waiting>,
    socket: Socket,
    /// Wakes the connection's task: blocked, or over.
    pub(super) wake: AtomicWaker,
    /// When the peer was last heard, in milliseconds of the gateway's monotonic clock.
    pub(super) heard_ms: AtomicU64,
    connection: ConnectionId,
}

impl Outbox {
    pub(super) fn new(
        connection: ConnectionId,
        encoding: Encoding,
        socket: Socket,
        terms: Arc<Terms>,
    ) -> Arc<Self> {
        Arc::new(Self {
            encoding,
            over: AtomicBool::new(false),
            probed: AtomicBool::new(false),
            closed_with: AtomicU16::new(0),
            page: AtomicU16::new(0),
            terms,
            waiting: Mutex::new(Waiting::default()),
            socket,
            wake: AtomicWaker::new(),
            heard_ms: AtomicU64::new(0),
            connection,
        })
    }

    /// What it is written to, and for the connection's task what it reads from.
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether the connection has ended or is about to.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Whether there is something that the socket did not take.
    pub(super) fn is_blocked(&self) -> bool {
        self.waiting.lock().blocked
    }

    /// Whether everything that was appended is written.
    pub(super) fn is_empty(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.frames.len() == 0 && !waiting.flushing
    }

    /// The code with which this side closed.
    pub(super) fn closed_with(&self) -> u16 {
        self.closed_with.load(Ordering::Relaxed)
    }

    /// The socket takes bytes again.
    pub(super) fn unblock(&self) {
        self.waiting.lock().blocked = false;
        self.flush();
    }

    /// The connection broke, or the other end closed: nothing more is to be said.
    pub(super) fn cut_off(&self) {
        self.over.store(true, Ordering::Release);
        self.wake.wake();
    }

    /// Raw bytes of a control frame.
    pub(super) fn control(&self, bytes: Bytes) {
        self.push(bytes, false);
        self.flush();
    }

    /// Says goodbye: come back after so long.
    pub(super) fn leave(&self, retry_after_ms: u64) {
        let retry_after_ms = u32::try_from(retry_after_ms).unwrap_or(u32::MAX);
        self.append(&EncodedFrame::new(ServerFrame::Bye { retry_after_ms }));
        self.close(CloseCode::Draining);
    }

    /// Whether nobody writes, or was told to, who would take it along. Then the caller is told to,
    /// if it `will_flush`.
    fn push(&self, bytes: Bytes, will_flush: bool) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.closing {
            return false;
        }
        let idle = !waiting.blocked && !waiting.flushing && !waiting.to_flush;
        waiting.to_flush |= idle && will_flush;
        // A page of long messages may be larger than the bound: whoever asked for it is not slow.
        // One at a time is let through where little waits before it, and does not count until it is
        // sent.
        let page = bytes.len() * PAGE_SHARE > self.terms.bytes_max
            && waiting.page == 0
            && waiting.bytes * PAGE_SHARE <= self.terms.bytes_max;
        // Full: the connection is closed with `too slow`; the client resumes from its last message.
        let full = (!page && waiting.bytes - waiting.page + bytes.len() > self.terms.bytes_max)
            || waiting.frames.len() >= self.terms.frames_max;
        if full {
            // What waits is of no use to a client that will resume: it makes room for the verdict.
            waiting.closing = true;
            waiting.frames.keep_first();
            waiting.bytes = waiting.frames.bytes();
            waiting.page = 0;
            self.gauge(&mut waiting);
            drop(waiting);
            self.terms.metrics.outbound_queue_full_total.of(Overflow::Closed).inc();
            self.end(CloseCode::TooSlow);
            return idle;
        }
        if page {
            waiting.page = bytes.len();
        }
        waiting.bytes += bytes.len();
        waiting.frames.push_back(bytes);
        if waiting.blocked {
            self.gauge(&mut waiting);
        }
        idle
    }

    /// Brings the gauge to what waits here.
    fn gauge(&self, waiting: &mut Waiting) {
        let signed = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.terms.metrics.outbound_queue_bytes.add(signed(waiting.bytes) - signed(waiting.gauged));
        waiting.gauged = waiting.bytes;
    }

    fn end(&self, code: CloseCode) {
        let ended =
            self.closed_with.compare_exchange(0, code.code(), Ordering::AcqRel, Ordering::Relaxed);
        if ended.is_err() {
            return;
        }
        let mut waiting = self.waiting.lock();
        waiting.closing = true;
        waiting.frames.push_back(websocket::close(code));
        drop(waiting);
        self.over.store(true, Ordering::Release);
        self.wake.wake();
    }

    /// What is to be written next, joined; marks the outbox as being flushed.
    fn take(&self) -> Option<Bytes> {
        let mut waiting = self.waiting.lock();
        waiting.to_flush = false;
        if waiting.flushing || waiting.blocked {
            return None;
        }
        let taken = self.joined(&mut waiting)?;
        waiting.flushing = true;
        Some(taken)
    }

    /// Takes the first frame out.
    fn next(&self, waiting: &mut Waiting) -> Option<Bytes> {
        let frame = waiting.frames.pop_front()?;
        waiting.bytes = waiting.bytes.saturating_sub(frame.len());
        if frame.len() * PAGE_SHARE > self.terms.bytes_max {
            waiting.page = 0;
        }
        Some(frame)
    }

    fn joined(&self, waiting: &mut Waiting) -> Option<Bytes> {
        let first = self.next(waiting)?;
        if waiting.frames.len() == 0 {
            return Some(first);
        }
        let mut joined = Vec::with_capacity(first.len() + waiting.bytes.min(JOINED_BYTES_MAX));
        joined.extend_from_slice(&first);
        let fits = |waiting: &Waiting, so_far: usize| {
            waiting.frames.front().is_some_and(|next| so_far + next.len() <= JOINED_BYTES_MAX)
        };
        while fits(waiting, joined.len()) {
            let Some(next) = self.next(waiting) else { break };
            joined.extend_from_slice(&next);
        }
        Some(Bytes::from(joined))
    }

    /// After a whole write: what is to be written next, if anything came meanwhile.
    fn written(&self) -> Option<Bytes> {
        let mut waiting = self.waiting.lock();
        let next = self.joined(&mut waiting);
        waiting.flushing = next.is_some();
        if waiting.gauged > 0 {
            self.gauge(&mut waiting);
        }
        next
    }

    /// After a write: what is left goes back to the front.
    fn give_back(&self, rest: Bytes, blocked: bool) {
        let mut waiting = self.waiting.lock();
        waiting.flushing = false;
        if !rest.is_empty() {
            waiting.bytes += rest.len();
            // What came back of a page is still that page.
            if rest.len() * PAGE_SHARE > self.terms.bytes_max {
                waiting.page = rest.len();
            }
            waiting.frames.push_front(rest);
        }
        if blocked {
            waiting.blocked = true;
        }
        if blocked || waiting.gauged > 0 {
            self.gauge(&mut waiting);
        }
        if blocked {
            drop(waiting);
            self.wake.wake();
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let gauged = i64::try_from(self.waiting.lock().gauged).unwrap_or(i64::MAX);
        self.terms.metrics.outbound_queue_bytes.add(-gauged);
    }
}

impl FrameSink for Outbox {
    fn connection(&self) -> ConnectionId {
        self.connection
    }

    fn stand_on(&self, page: PageNumber) {
        self.page.store(page, Ordering::Relaxed);
    }

    fn stands_on(&self) -> PageNumber {
        self.page.load(Ordering::Relaxed)
    }

    fn append(&self, frame: &EncodedFrame<'_>) -> bool {
        self.push(frame.bytes(self.encoding, websocket::message), false)
    }

    fn append_to_flush(&self, frame: &EncodedFrame<'_>) -> bool {
        self.push(frame.bytes(self.encoding, websocket::message), true)
    }

    fn append_ephemeral(&self, frame: &EncodedFrame<'_>) {
        let crowded = {
            let waiting = self.waiting.lock();
            waiting.bytes * EPHEMERAL_SHARE > self.terms.bytes_max
                || waiting.frames.len() * EPHEMERAL_SHARE > self.terms.frames_max
        };
        // Full: dropped, nobody misses it later.
        if crowded {
            self.terms.metrics.outbound_queue_full_total.of(Overflow::Dropped).inc();
        } else {
            self.append(frame);
        }
    }

    fn flush(&self) {
        let Some(mut bytes) = self.take() else { return };
        loop {
            match self.socket.try_write(&bytes) {
                Ok(written) if written >= bytes.len() => match self.written() {
                    Some(next) => bytes = next,
                    None => return,
                },
                Ok(written) => bytes = bytes.slice(written..),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.give_back(bytes, true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.give_back(Bytes::new(), false);
                    return self.cut_off();
                }
            }
        }
    }

    fn close(&self, code: CloseCode) {
        self.end(code);
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use protocol::frame::RequestId;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn who_has_no_room_is_flushed_once_they_have_and_misses_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let terms =
            Terms { metrics: Metrics::new(), bytes_max: usize::MAX, frames_max: usize::MAX };
        let id = ConnectionId::from_bytes([1; 16]);
        let outbox = Outbox::new(id, Encoding::Msgpack, Socket::alone(stream), Arc::new(terms));
        let frame = EncodedFrame::new(ServerFrame::Pong { request: RequestId(7) });
        let mut appended = 1;
        while outbox.append(&frame) {
            assert!(!outbox.is_blocked());
            outbox.flush();
            appended += 1;
        }
        assert!(outbox.is_blocked());
        outbox.flush();
        assert!(!outbox.is_empty(), "its own task writes");

        let all = appended * frame.bytes(Encoding::Msgpack, websocket::message).len();
        let (mut heard, mut some) = (0, vec![0; 65_536]);
        while heard < all {
            let room = poll_fn(|cx| outbox.socket().poll_writable(cx));
            tokio::select! {
                read = reader.read(&mut some) => heard += read.unwrap(),
                _ = room, if outbox.is_blocked() => outbox.unblock(),
            }
        }
        assert_eq!(heard, all);
        assert!(outbox.append(&frame), "and is flushed by whoever appends");
    }

    #[tokio::test]
    async fn one_who_was_told_to_flush_takes_along_what_others_append() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let terms = Terms { metrics: Metrics::new(), bytes_max: 65_536, frames_max: 64 };
        let id = ConnectionId::from_bytes([1; 16]);
        let outbox = Outbox::new(id, Encoding::Msgpack, Socket::alone(stream), Arc::new(terms));
        let frame = EncodedFrame::new(ServerFrame::Pong { request: RequestId(7) });
        for _ in 0..2 {
            assert!(outbox.append(&frame), "nobody was told yet, and this one was not either");
            assert!(outbox.append_to_flush(&frame));
            assert!(!outbox.append_to_flush(&frame) && !outbox.append(&frame));
            outbox.flush();
            assert!(outbox.is_empty());
            let mut heard = vec![0; 4 * frame.bytes(Encoding::Msgpack, websocket::message).len()];
            reader.read_exact(&mut heard).await.unwrap();
        }
    }
}

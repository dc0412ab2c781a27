//! One connection, from its first byte to its last: who is let in, reads, and waiting for room to
//! write.
//!
//! Lives here: its life and what is counted of it. Below: bytes into frames (`reading`), what each
//! frame asks for (`dispatch`).

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::codec::Encoding;
use protocol::frame::{ClientFrame, ClientRole};
use protocol::limits::WORD_BYTES_MAX;
use protocol::personal::Personal;
use protocol::reject::CloseCode;

use super::hello::{Greeting, Session};
use super::incoming::Incoming;
use super::outbox::Outbox;
use super::{Accepted, Gateway, RESTART_MS, connection_id};
use crate::auth::Pace;
use crate::http::Socket;
use crate::http::access::Ended;
use crate::hub::{FrameSink, Who};
use crate::metrics::{Ending, Peer, Transport};
use crate::privacy::envelope::Flags;
use crate::telemetry::writes_access;
use crate::traces;

mod dispatch;
mod reading;

use reading::Later;

/// One read; shared by all connections of a thread, so that an idle one holds none.
const READ_BYTES: usize = 64 * 1024;

/// How long a closed connection may take to hear why.
const GOODBYE: Duration = Duration::from_secs(2);

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

struct Connection {
    gateway: Arc<Gateway>,
    outbox: Arc<Outbox>,
    encoding: Encoding,
    incoming: Incoming,
    /// What the upgrade told, until `hello`.
    accepted: Option<Box<Accepted>>,
    address: Personal<IpAddr>,
    session: Option<Session>,
    frames: Pace,
    /// The other end has said goodbye.
    left: bool,
    began_ms: u64,
    /// Bytes that came.
    received: u64,
}

impl Session {
    fn role(&self) -> Peer {
        match self.speaker.who {
            Who::Visitor { .. } => Peer::Visitor,
            Who::Agent { .. } => Peer::Agent,
        }
    }
}

/// Serves a connection until it ends.
///
/// A function that returns a future, so that the future has only what the connection lives on, and
/// not what it was made of as well. What happens once in its life is boxed for as long as it takes.
pub(super) fn run(
    gateway: Arc<Gateway>,
    accepted: Accepted,
    socket: Socket,
    early: Bytes,
) -> impl Future<Output = ()> + Send {
    let encoding = accepted.encoding.unwrap_or(Encoding::Msgpack);
    let outbox = Outbox::new(connection_id(), encoding, socket, gateway.terms.now());
    gateway.connections.fetch_add(1, Ordering::SeqCst);
    let now_ms = gateway.heartbeats.ms(gateway.clock.instant());
    outbox.heard_ms.store(now_ms, Ordering::Relaxed);
    let early = Box::new(early);
    let mut connection = Connection {
        outbox,
        encoding,
        incoming: Incoming::default(),
        address: accepted.address,
        accepted: Some(Box::new(accepted)),
        session: None,
        frames: Pace::default(),
        left: false,
        began_ms: now_ms,
        received: 0,
        gateway,
    };
    connection.gateway.metrics.connections.of(Peer::New, connection.transport()).inc();
    // A block, for the arguments of an async function lie in its future twice.
    async move {
        on_heap(|| connection.greeted(*early)).await;
        while !connection.outbox.is_over() {
            let later = poll_fn(|cx| connection.poll_frames(cx)).await;
            if !later.is_empty() {
                on_heap(|| connection.handle(later)).await;
            }
        }
        on_heap(|| connection.end()).await;
    }
}

/// A future that is on the heap from its first moment: one that was made and then moved there would
/// keep its place in the connection's own.
fn on_heap<'c, F: Future<Output = ()> + Send + 'c>(
    make: impl FnOnce() -> F,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'c>> {
    Box::pin(make())
}

/// Writes what is left, then waits a little for the other end to close, so that the close frame is
/// not lost to a reset.
async fn goodbye(outbox: &Outbox) {
    let socket = outbox.socket();
    let last_words = async {
        while outbox.closed_with() != 0 && !outbox.is_empty() {
            if poll_fn(|cx| socket.poll_writable(cx)).await.is_err() {
                return;
            }
            outbox.unblock();
            tokio::task::yield_now().await;
        }
        poll_fn(|cx| socket.poll_shutdown(cx)).await;
        let more = |cx: &mut Context<'_>| READ.with_borrow_mut(|into| socket.poll_read(cx, into));
        while poll_fn(more).await.is_ok_and(|read| read > 0) {}
    };
    if tokio::time::timeout(GOODBYE, last_words).await.is_err() {
        socket.cut();
    }
}

impl Connection {
    /// Until `hello` was answered, or it is over.
    async fn greeted(&mut self, early: Bytes) {
        let spoken = self.accepted.as_ref().is_some_and(|accepted| accepted.encoding.is_some());
        if !spoken {
            return self.outbox.close(CloseCode::Protocol);
        }
        let mut draining = self.gateway.draining.subscribe();
        let mut draining =
            Box::pin(async move { draining.wait_for(|drains| *drains).await.is_ok() });
        let hello_by = Duration::from_millis(self.gateway.config.now().hello_timeout_ms);
        let mut hello_by = Box::pin(tokio::time::sleep(hello_by));
        let early = self.read(&mut Vec::from(early));
        self.handle(early).await;
        while self.session.is_none() && !self.outbox.is_over() {
            // Only the peer is bounded by it. A greeting that was cut off in the middle would leave
            // a connection that nobody serves in the rooms and at the desk.
            let later = poll_fn(|cx| match self.poll_frames(cx) {
                Poll::Ready(later) => Poll::Ready(Ok(later)),
                Poll::Pending if draining.as_mut().poll(cx).is_ready() => {
                    Poll::Ready(Err(CloseCode::Draining))
                }
                Poll::Pending => hello_by.as_mut().poll(cx).map(|()| Err(CloseCode::Idle)),
            });
            match later.await {
                Ok(later) => self.handle(later).await,
                Err(code) => return self.outbox.close(code),
            }
        }
    }

    async fn end(&mut self) {
        let (gateway, outbox) = (Arc::clone(&self.gateway), Arc::clone(&self.outbox));
        if let Some(session) = &self.session {
            gateway.farewell(&session.speaker, &session.rooms).await;
        }
        // After it is over for the hub: what the metrics say is so.
        self.count_end();
        goodbye(&outbox).await;
        gateway.connections.fetch_sub(1, Ordering::SeqCst);
        tracing::debug!(
            connection_id = %outbox.connection(),
            close_code = outbox.closed_with(),
            "connection ended"
        );
        if writes_access() {
            let life = Duration::from_millis(self.now_ms().saturating_sub(self.began_ms));
            Ended {
                connection_id: outbox.connection().to_string(),
                close_code: outbox.closed_with(),
                life,
                received: self.received,
                ip: *self.address.expose(),
            }
            .log();
        }
    }

    /// Waits for frames and does at once what can be done so, and writes on when there is room
    /// again. Ready with what has to wait for something, in the order in which it came, or when the
    /// connection is over.
    fn poll_frames(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Later>> {
        self.outbox.wake.register(cx.waker());
        while self.outbox.is_blocked() {
            match self.outbox.socket().poll_writable(cx) {
                Poll::Ready(Ok(())) => self.outbox.unblock(),
                Poll::Ready(Err(_)) => self.outbox.cut_off(),
                Poll::Pending => break,
            }
        }
        while !self.outbox.is_over() {
            let later = ready!(READ.with_borrow_mut(|into| {
                let read = ready!(self.outbox.socket().poll_read(cx, into));
                Poll::Ready(match read {
                    Ok(read @ 1..) => self.read(into.get_mut(..read).unwrap_or_default()),
                    // The end, or a broken connection.
                    Ok(0) | Err(_) => {
                        self.outbox.cut_off();
                        Vec::new()
                    }
                })
            }));
            if !later.is_empty() {
                return Poll::Ready(later);
            }
        }
        Poll::Ready(Vec::new())
    }

    fn now_ms(&self) -> u64 {
        self.gateway.heartbeats.ms(self.gateway.clock.instant())
    }

    async fn take(&mut self, frame: ClientFrame<'_>, read_at: Instant, tried: bool) {
        if self.session.is_some() {
            let request = frame.request();
            let at_once = if tried { None } else { self.at_once(&frame, read_at) };
            let done = match at_once {
                Some(done) => done,
                None => match self.slow_questions_down(&frame) {
                    Ok(()) => self.frame(frame, read_at).await,
                    Err(reject) => Err(reject),
                },
            };
            return self.refuse(request, done);
        }
        let ClientFrame::Hello { request, role, client, locale, resume, site, token, signals } =
            frame
        else {
            self.outbox.close(CloseCode::NotAuthenticated);
            return;
        };
        // What merely goes along is no reason to refuse.
        drop(client);
        let locale = if locale.len() > WORD_BYTES_MAX { String::new() } else { locale };
        let resume = resume.into_vec();
        let signals = signals.unwrap_or(0);
        let signals = Flags::asked(signals & 1 != 0, signals & 2 != 0);
        let greeting = Greeting { request, role, locale, resume, site, token, signals };
        let sink: Arc<dyn FrameSink> = Arc::<Outbox>::clone(&self.outbox);
        let gateway = Arc::clone(&self.gateway);
        let Some(accepted) = self.accepted.take() else { return };
        let trace = traces::begin("handshake", accepted.trace.into());
        let word = if role == ClientRole::Visitor { "visitor" } else { "agent" };
        let greeted = Box::pin(gateway.greet(&accepted, greeting, sink)).await;
        if let Some(trace) = trace {
            let refused = greeted.as_ref().err();
            let failed = refused == Some(&CloseCode::Overload);
            trace.handshake(word, refused.map(|code| code.code()), failed);
        }
        match greeted {
            Ok(session) => self.begin(session),
            Err(code) => self.outbox.close(code),
        }
    }

    fn begin(&mut self, session: Session) {
        let config = self.gateway.config.now();
        let interval_ms = match session.speaker.who {
            Who::Visitor { .. } => config.heartbeat_visitor_ms,
            Who::Agent { .. } => config.heartbeat_agent_ms,
        };
        self.gateway.heartbeats.watch(&self.outbox, interval_ms);
        tracing::debug!(connection_id = %self.outbox.connection(), tenant_id = %session.speaker.tenant, "welcome");
        self.began_ms = self.now_ms();
        let metrics = &self.gateway.metrics;
        metrics.connection_opens_total.of(session.role(), self.transport()).inc();
        metrics.connections.of(Peer::New, self.transport()).dec();
        metrics.connections.of(session.role(), self.transport()).inc();
        self.session = Some(session);
        // Watched before it is asked: either the drain finds this one, or it finds the drain.
        if *self.gateway.draining.borrow() {
            self.outbox.leave(RESTART_MS);
        }
    }

    fn transport(&self) -> Transport {
        match self.encoding {
            Encoding::Msgpack => Transport::Msgpack,
            Encoding::Json => Transport::Json,
        }
    }

    /// It is over, for whatever reason.
    fn count_end(&self) {
        let metrics = &self.gateway.metrics;
        let code = self.outbox.closed_with();
        let ours = CloseCode::ALL.iter().find(|(_, number, _)| *number == code);
        let ending = match ours.map(|(code, ..)| *code) {
            Some(code) => Ending::from(code),
            None if self.left => Ending::Done,
            None => Ending::Gone,
        };
        let role = self.session.as_ref().map_or(Peer::New, Session::role);
        metrics.connection_closes_total.of(role, ending).inc();
        metrics.connections.of(role, self.transport()).dec();
        if self.session.is_some() {
            let life_ms = self.now_ms().saturating_sub(self.began_ms);
            metrics.connection_duration_seconds.observe(Duration::from_millis(life_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// Ten thousand silent connections are ten thousand times this, the kernel's part not counted.
    /// Who raises a bound says why.
    #[test]
    fn a_silent_connection_is_small() {
        assert!(size_of_future(run) <= 280, "{} bytes", size_of_future(run));
        assert!(size_of::<Outbox>() <= 232, "{} bytes", size_of::<Outbox>());
    }
}

//! One connection: reads, frames to the hub, and waiting for room to write.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::codec::{DecodeError, Encoding, decode_client, request_of_beginning};
use protocol::conversation::ResumePoint;
use protocol::frame::{ClientFrame, ClientRole, RequestId, ServerFrame, WatchTopic};
use protocol::ids::ConversationId;
use protocol::limits::{
    FRAME_BYTES_MAX, HELLO_BYTES_MAX, REFUSED_BYTES_MAX, ROOMS_PER_CONNECTION_MAX, WORD_BYTES_MAX,
};
use protocol::message::{Seq, Visibility};
use protocol::personal::Personal;
use protocol::reject::{CloseCode, Reject, RejectCode};
use protocol::time::UnixMillis;

use super::hello::{Greeting, Session};
use super::incoming::{Came, Ears, Incoming};
use super::outbox::Outbox;
use super::websocket::{Went, has_several};
use super::{Accepted, Gateway, RESTART_MS, connection_id};
use crate::auth::{Pace, Wait};
use crate::http::Socket;
use crate::http::access::Ended;
use crate::hub::{Act, Hub, Opening, Outlet, Watched, Who, cork};
use crate::metrics::{Ending, Peer, Throttle, Transport};
use crate::privacy::envelope::Flags;
use crate::privacy::ingest::Said;
use crate::store::SecretHash;
use crate::telemetry::writes_access;
use crate::traces;

/// One read; shared by all connections of a thread, so that an idle one holds none.
const READ_BYTES: usize = 64 * 1024;

/// How long a closed connection may take to hear why.
const GOODBYE: Duration = Duration::from_secs(2);

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// A message that is not done with while it lies in the thread's buffer.
struct Later {
    bytes: Bytes,
    read_at: Instant,
    /// Whether it was found out already that it has to wait.
    tried: bool,
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
/// A function that returns a future, so that the future has only what the connection lives on, and not
/// what it was made of as well. What happens once in its life is boxed for as long as it takes.
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

/// A future that is on the heap from its first moment: one that was made and then moved there would keep
/// its place in the connection's own.
fn on_heap<'c, F: Future<Output = ()> + Send + 'c>(
    make: impl FnOnce() -> F,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'c>> {
    Box::pin(make())
}

/// Writes what is left, then waits a little for the other end to close, so that the close frame is not
/// lost to a reset.
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
            // Only the peer is bounded by it. A greeting that was cut off in the middle would leave a
            // connection that nobody serves in the rooms and at the desk.
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

    /// Waits for frames and does at once what can be done so, and writes on when there is room again. Ready with
    /// what has to wait for something, in the order in which it came, or when the connection is over.
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
                    // The end, or a broken line.
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

    /// Whole messages out of bytes; pongs and the answer to a close go straight back.
    fn read(&mut self, bytes: &mut [u8]) -> Vec<Later> {
        let read_at = self.gateway.clock.instant();
        self.received = self.received.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
        self.outbox.heard_ms.store(self.gateway.heartbeats.ms(read_at), Ordering::Relaxed);
        let (mut later, mut answer) = (Vec::new(), Vec::new());
        let (bytes_max, refused_bytes_max) = match &self.session {
            Some(_) => (FRAME_BYTES_MAX, REFUSED_BYTES_MAX),
            None => (HELLO_BYTES_MAX, 0),
        };
        let mut incoming = std::mem::take(&mut self.incoming);
        let mut hear = |encoding, came: Came<'_>| match came {
            Came::Whole(message) => {
                let first = later.is_empty();
                later.extend(self.hear(encoding, message, read_at, first));
            }
            Came::TooLong { beginning } => self.too_long(encoding, beginning),
        };
        let ears = Ears { bytes_max, refused_bytes_max, answer: &mut answer, hear: &mut hear };
        let went = if has_several(bytes) {
            cork::one_read(|| incoming.take(bytes, ears))
        } else {
            incoming.take(bytes, ears)
        };
        self.incoming = incoming;
        if !answer.is_empty() {
            self.outbox.control(Bytes::from(answer));
        }
        match went {
            Went::On => {}
            Went::Over => {
                self.left = true;
                self.outbox.cut_off();
            }
            Went::Wrong(code) => {
                tracing::debug!(connection_id = %self.outbox.connection(), close_code = code.code(), "bytes that are no frame");
                self.outbox.close(code);
            }
        }
        later
    }

    /// Refuses a message of which only the beginning was read.
    fn too_long(&mut self, encoding: Encoding, beginning: &[u8]) {
        if self.outbox.is_over() {
            return;
        }
        if encoding != self.encoding {
            return self.outbox.close(CloseCode::WrongType);
        }
        if self.gateway.rates.frames.take(&self.frames).is_err() {
            self.gateway.metrics.rate_limited_total.of(Throttle::Frames).inc();
            return self.outbox.close(CloseCode::TooFast);
        }
        match request_of_beginning(encoding, beginning) {
            Some(request) => {
                let words = "this frame is longer than `frame_bytes_max`";
                self.refuse(request, Err(Reject::new(RejectCode::TooLong, words)));
            }
            None => self.outbox.close(CloseCode::TooLarge),
        }
    }

    /// Does what a message asks for, if it need not wait for anything. Otherwise it is kept.
    fn hear(
        &mut self,
        encoding: Encoding,
        bytes: &[u8],
        read_at: Instant,
        first: bool,
    ) -> Option<Later> {
        if self.outbox.is_over() {
            return None;
        }
        if encoding != self.encoding {
            self.outbox.close(CloseCode::WrongType);
            return None;
        }
        if self.gateway.rates.frames.take(&self.frames).is_err() {
            self.gateway.metrics.rate_limited_total.of(Throttle::Frames).inc();
            self.outbox.close(CloseCode::TooFast);
            return None;
        }
        let tried = first && self.session.is_some();
        if tried {
            let frame = self.decode(bytes)?;
            if let Some(done) = self.at_once(&frame, read_at) {
                self.refuse(request_of(&frame), done);
                return None;
            }
        }
        Some(Later { bytes: Bytes::copy_from_slice(bytes), read_at, tried })
    }

    fn decode<'b>(&self, bytes: &'b [u8]) -> Option<ClientFrame<'b>> {
        match decode_client(self.encoding, bytes) {
            Ok(frame) => Some(frame),
            // A client that knows more than this server is told so, and stays.
            Err(DecodeError::Value { request, field, .. }) => {
                let words = format!("{field}: a value that this server does not know or take");
                self.refuse(request, Err(Reject::new(RejectCode::Invalid, words)));
                None
            }
            Err(error) => {
                tracing::debug!(connection_id = %self.outbox.connection(), %error, "a frame was not read");
                self.outbox.close(CloseCode::Malformed);
                None
            }
        }
    }

    async fn handle(&mut self, later: Vec<Later>) {
        for Later { bytes, read_at, tried } in later {
            if self.outbox.is_over() {
                return;
            }
            let Some(frame) = self.decode(&bytes) else { continue };
            self.take(frame, read_at, tried).await;
        }
    }

    fn refuse(&self, request: RequestId, done: Result<(), Reject>) {
        if let Err(reject) = done {
            tracing::debug!(connection_id = %self.outbox.connection(), reject_code = reject.code.word(), "a frame was refused");
            self.gateway.hub.refuse(&*self.outbox, request, reject);
        }
    }

    async fn take(&mut self, frame: ClientFrame<'_>, read_at: Instant, tried: bool) {
        if self.session.is_some() {
            let request = request_of(&frame);
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
        let outlet: Arc<dyn Outlet> = Arc::<Outbox>::clone(&self.outbox);
        let gateway = Arc::clone(&self.gateway);
        let Some(accepted) = self.accepted.take() else { return };
        let trace = traces::begin("handshake", accepted.trace.into());
        let word = if role == ClientRole::Visitor { "visitor" } else { "agent" };
        let greeted = Box::pin(gateway.greet(&accepted, greeting, outlet)).await;
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

    /// What needs to wait for nothing; `None` for everything else.
    fn at_once(&mut self, frame: &ClientFrame<'_>, read_at: Instant) -> Option<Result<(), Reject>> {
        match frame {
            ClientFrame::Send { request, conversation, message, seen_seq, body, visibility } => {
                if let Err(reject) = self.slow_down() {
                    return Some(Err(reject));
                }
                let session = self.session.as_ref()?;
                let said = Said {
                    conversation: *conversation,
                    message: *message,
                    seen_seq: *seen_seq,
                    body: body.clone(),
                    visibility: visibility.unwrap_or(Visibility::Everyone),
                };
                let watched = session.room(*conversation)?;
                self.gateway.hub.send_at_once(&session.speaker, watched, *request, &said, read_at)
            }
            ClientFrame::Typing { conversation, typing } => {
                let session = self.session.as_ref()?;
                if let Some(watched) = session.room(*conversation) {
                    self.gateway.hub.typing(&session.speaker, watched, *typing);
                }
                Some(Ok(()))
            }
            ClientFrame::Delivered { conversation, seq } => self.mark(*conversation, *seq, false),
            ClientFrame::Seen { conversation, seq } => self.mark(*conversation, *seq, true),
            ClientFrame::Ping { request } => {
                Hub::tell(&*self.outbox, ServerFrame::Pong { request: *request });
                Some(Ok(()))
            }
            ClientFrame::Hello { .. }
            | ClientFrame::Open { .. }
            | ClientFrame::Close { .. }
            | ClientFrame::Reopen { .. }
            | ClientFrame::History { .. }
            | ClientFrame::Accept { .. }
            | ClientFrame::Decline { .. }
            | ClientFrame::Assign { .. }
            | ClientFrame::Transfer { .. }
            | ClientFrame::Availability { .. }
            | ClientFrame::Watch { .. }
            | ClientFrame::Unwatch { .. }
            | ClientFrame::Draft { .. }
            | ClientFrame::Page { .. }
            | ClientFrame::TakeOver { .. }
            | ClientFrame::Withdraw { .. }
            | ClientFrame::Unknown { .. } => None,
        }
    }

    fn mark(
        &self,
        conversation: ConversationId,
        seq: Seq,
        seen: bool,
    ) -> Option<Result<(), Reject>> {
        let session = self.session.as_ref()?;
        if let Some(watched) = session.room(conversation) {
            self.gateway.hub.mark(&session.speaker, watched, seq, seen);
        }
        Some(Ok(()))
    }

    /// Refuses a message that comes too soon after the others of the same person, whichever way those came.
    fn slow_down(&self) -> Result<(), Reject> {
        let Some(session) = &self.session else { return Ok(()) };
        let rates = &self.gateway.rates;
        let counted = match &session.speaker.who {
            Who::Visitor { visitor, .. } => rates.visitor_messages.take(visitor),
            Who::Agent { agent, .. } => rates.agent_messages.take(agent),
        };
        self.too_fast(counted.err(), Throttle::Messages)
    }

    /// The same for what asks the store, over all connections of the person; messages have their own count.
    fn slow_questions_down(&self, frame: &ClientFrame<'_>) -> Result<(), Reject> {
        let Some(session) = &self.session else { return Ok(()) };
        if matches!(frame, ClientFrame::Send { .. }) {
            return Ok(());
        }
        let rates = &self.gateway.rates;
        let counted = match &session.speaker.who {
            Who::Visitor { visitor, .. } => rates.visitor_questions.take(visitor),
            Who::Agent { agent, .. } => rates.agent_questions.take(agent),
        };
        self.too_fast(counted.err(), Throttle::Frames)
    }

    fn too_fast(&self, wait: Option<Wait>, what: Throttle) -> Result<(), Reject> {
        let Some(wait) = wait else { return Ok(()) };
        self.gateway.metrics.rate_limited_total.of(what).inc();
        let words = "you send faster than the limit; wait a moment";
        let ms = u32::try_from(wait.ms).unwrap_or(u32::MAX);
        Err(Reject::new(RejectCode::TooFast, words).retry_after_ms(ms))
    }

    /// A frame of someone who was let in, that [`Self::at_once`] left.
    async fn frame(&mut self, frame: ClientFrame<'_>, read_at: Instant) -> Result<(), Reject> {
        let gateway = Arc::clone(&self.gateway);
        let hub = &gateway.hub;
        let Some(session) = self.session.as_mut() else { return Ok(()) };
        let speaker = session.speaker.clone();
        match frame {
            ClientFrame::Hello { .. } => {
                self.outbox.close(CloseCode::Protocol);
                Ok(())
            }
            ClientFrame::Send { request, conversation, message, seen_seq, body, visibility } => {
                let visibility = visibility.unwrap_or(Visibility::Everyone);
                let said = Said { conversation, message, seen_seq, body, visibility };
                hub.send(&speaker, request, said, read_at).await
            }
            ClientFrame::Open { request, conversation, form, notice, page } => {
                let form = form.iter().map(|a| (a.field.as_str(), a.answer.expose().as_str()));
                let (secret, secret_expires_at) = match session.token.as_deref() {
                    Some(token) => *token,
                    // Their row has one already.
                    None => (SecretHash([0; 32]), UnixMillis(0)),
                };
                let opening = Opening {
                    conversation,
                    form: form.collect(),
                    page: page.as_ref(),
                    notice: notice.as_deref(),
                    locale: &session.locale,
                    secret,
                    secret_expires_at,
                    address: *self.address.expose(),
                    gpc: session.gpc,
                };
                hub.open(&speaker, opening).await?;
                Hub::tell(&*self.outbox, done(request));
                // The question is answered: what follows is not refused under its number.
                if let Err(reject) = self.attend(conversation, None, RequestId(0)).await {
                    hub.refuse(&*self.outbox, RequestId(0), reject);
                }
                Ok(())
            }
            ClientFrame::Close { request, conversation } => {
                hub.close(speaker.tenant, Some(speaker.who), conversation).await?;
                self.ack(request)
            }
            ClientFrame::Reopen { request, conversation } => {
                hub.reopen(speaker.tenant, Some(speaker.who), conversation).await?;
                self.ack(request)
            }
            ClientFrame::History { request, conversation, before, limit } => {
                hub.history(&speaker, conversation, before, limit, request).await
            }
            other @ (ClientFrame::Accept { .. }
            | ClientFrame::Decline { .. }
            | ClientFrame::Assign { .. }
            | ClientFrame::Transfer { .. }
            | ClientFrame::Availability { .. }
            | ClientFrame::Watch { .. }
            | ClientFrame::Unwatch { .. }
            | ClientFrame::Draft { .. }
            | ClientFrame::Page { .. }
            | ClientFrame::TakeOver { .. }
            | ClientFrame::Withdraw { .. }
            | ClientFrame::Typing { .. }
            | ClientFrame::Delivered { .. }
            | ClientFrame::Seen { .. }
            | ClientFrame::Ping { .. }
            | ClientFrame::Unknown { .. }) => self.agent_frame(other).await,
        }
    }

    /// The frames of an agent's work, and the visitor's page.
    #[expect(clippy::too_many_lines, reason = "one arm a kind: a flat list reads best whole")]
    async fn agent_frame(&mut self, frame: ClientFrame<'_>) -> Result<(), Reject> {
        let gateway = Arc::clone(&self.gateway);
        let hub = &gateway.hub;
        let Some(session) = self.session.as_mut() else { return Ok(()) };
        let speaker = session.speaker.clone();
        let (tenant, who) = (speaker.tenant, speaker.who);
        match frame {
            ClientFrame::Accept { request, conversation } => {
                hub.act(tenant, Some(who), Act::Accept(conversation)).await?;
                self.ack(request)
            }
            ClientFrame::Decline { request, conversation } => {
                hub.act(tenant, Some(who), Act::Decline(conversation)).await?;
                self.ack(request)
            }
            ClientFrame::Assign { request, conversation } => {
                let Who::Agent { agent, .. } = who else { return Err(agents_only()) };
                hub.act(tenant, Some(who), Act::Assign { conversation, to: agent }).await?;
                self.ack(request)
            }
            ClientFrame::Transfer { request, conversation, agent } => {
                hub.act(tenant, Some(who), Act::Transfer { conversation, to: agent }).await?;
                self.ack(request)
            }
            ClientFrame::TakeOver { request, conversation, from } => {
                hub.act(tenant, Some(who), Act::TakeOver { conversation, from }).await?;
                self.ack(request)
            }
            ClientFrame::Withdraw { request, conversation } => {
                hub.act(tenant, Some(who), Act::Withdraw(conversation)).await?;
                self.ack(request)
            }
            ClientFrame::Availability { request, availability, capacity } => {
                let Who::Agent { agent, .. } = who else { return Err(agents_only()) };
                hub.choose(tenant, agent, availability, capacity).await?;
                self.ack(request)
            }
            ClientFrame::Watch { request, topic, conversation, resume, after } => match topic {
                WatchTopic::Board => hub.watch_board(&speaker, request, after).await,
                WatchTopic::Conversation => {
                    let conversation = conversation.ok_or_else(|| {
                        Reject::new(RejectCode::Invalid, "conversation: which one to watch")
                    })?;
                    self.attend(conversation, resume.as_ref(), request).await
                }
            },
            ClientFrame::Unwatch { request, topic, conversation } => {
                match (topic, conversation) {
                    (WatchTopic::Board, _) => hub.unwatch_board(&speaker),
                    (WatchTopic::Conversation, Some(conversation)) => {
                        let at = session.rooms.iter().position(|r| r.conversation == conversation);
                        if let Some(watched) = at.map(|at| session.rooms.swap_remove(at)) {
                            hub.leave(&speaker, &watched);
                        }
                    }
                    (WatchTopic::Conversation, None) => {}
                }
                self.ack(request)
            }
            ClientFrame::Draft { request, conversation, text } => {
                hub.draft(&speaker, conversation, text.expose()).await?;
                self.ack(request)
            }
            // Global Privacy Control: the page is not kept.
            ClientFrame::Page { .. } if session.gpc => Ok(()),
            ClientFrame::Page { page } => hub.page(&speaker, &page).await,
            ClientFrame::Hello { .. }
            | ClientFrame::Send { .. }
            | ClientFrame::Open { .. }
            | ClientFrame::Close { .. }
            | ClientFrame::Reopen { .. }
            | ClientFrame::Typing { .. }
            | ClientFrame::Delivered { .. }
            | ClientFrame::Seen { .. }
            | ClientFrame::Ping { .. }
            | ClientFrame::History { .. }
            | ClientFrame::Unknown { .. } => {
                Err(Reject::new(RejectCode::UnknownKind, "this kind of frame is not known here"))
            }
        }
    }

    fn ack(&self, request: RequestId) -> Result<(), Reject> {
        Hub::tell(&*self.outbox, done(request));
        Ok(())
    }

    /// Joins a room, or takes it from where the client says once more.
    async fn attend(
        &mut self,
        conversation: ConversationId,
        resume: Option<&ResumePoint>,
        request: RequestId,
    ) -> Result<(), Reject> {
        let Some(session) = self.session.as_mut() else { return Ok(()) };
        let again = session.room(conversation).is_some();
        if !again && session.rooms.len() >= ROOMS_PER_CONNECTION_MAX {
            return Err(Reject::new(
                RejectCode::LimitReached,
                "this connection follows as many conversations as it may; unwatch one",
            ));
        }
        let speaker = session.speaker.clone();
        let watched = self.gateway.hub.attend(&speaker, conversation, resume, request).await?;
        session.rooms.retain(|known| known.conversation != conversation);
        session.rooms.push(watched);
        Ok(())
    }
}

impl Session {
    fn room(&self, conversation: ConversationId) -> Option<&Watched> {
        self.rooms.iter().find(|watched| watched.conversation == conversation)
    }
}

fn agents_only() -> Reject {
    Reject::new(RejectCode::Forbidden, "only agents do that")
}

/// What was asked, other than to say something, is stored.
fn done(request: RequestId) -> ServerFrame<'static> {
    ServerFrame::Ack { request, seq: None, at: None, expires: None, body: None }
}

/// What a refusal of this frame is matched by.
fn request_of(frame: &ClientFrame<'_>) -> RequestId {
    match frame {
        ClientFrame::Hello { request, .. }
        | ClientFrame::Send { request, .. }
        | ClientFrame::Open { request, .. }
        | ClientFrame::Close { request, .. }
        | ClientFrame::Reopen { request, .. }
        | ClientFrame::Ping { request }
        | ClientFrame::History { request, .. }
        | ClientFrame::Accept { request, .. }
        | ClientFrame::Decline { request, .. }
        | ClientFrame::Assign { request, .. }
        | ClientFrame::Transfer { request, .. }
        | ClientFrame::Availability { request, .. }
        | ClientFrame::Watch { request, .. }
        | ClientFrame::Unwatch { request, .. }
        | ClientFrame::Draft { request, .. }
        | ClientFrame::TakeOver { request, .. }
        | ClientFrame::Withdraw { request, .. }
        | ClientFrame::Unknown { request } => *request,
        ClientFrame::Typing { .. }
        | ClientFrame::Delivered { .. }
        | ClientFrame::Seen { .. }
        | ClientFrame::Page { .. } => RequestId(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// Ten thousand silent connections are ten thousand times this, the kernel's part not counted. Who
    /// raises a bound says why.
    #[test]
    fn a_silent_connection_is_small() {
        assert!(size_of_future(run) <= 280, "{} bytes", size_of_future(run));
        assert!(size_of::<Outbox>() <= 232, "{} bytes", size_of::<Outbox>());
    }
}

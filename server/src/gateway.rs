//! The WebSocket edge: sockets in, frames to the hub, bytes out.
//!
//! Lives here: the WebSocket protocol itself (`websocket`), the upgrade's terms, `hello`, one small
//! task for each connection, its bounded outbox, heartbeats, rates. Not here: the listener and TLS
//! (`http`), rooms (`hub`), rules about data (`privacy`).
//!
//! The shape follows from measurements: reads land in one buffer of the thread and only when the
//! socket is readable, a frame is encoded once for all and written directly from the sender's task,
//! and a queue exists only under backpressure. An idle connection is its socket, its parser and
//! this state.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use protocol::codec::Encoding;
use protocol::ids::ConnectionId;
use protocol::personal::Personal;
use secrecy::SecretString;

use crate::auth::{Rates, session_tokens};
use crate::clock::Clock;
use crate::config::Live;
use crate::http::{Peer, Socket, SocketEdge, head};
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::origin::PublicUrl;
use crate::privacy::envelope::Flags;
use crate::store::Store;
use crate::telemetry::{self, RequestId};
use crate::{tasks, traces};

pub mod websocket;
mod outbox;
mod heartbeat;
mod hello;
mod incoming;
mod connection;

use heartbeat::Heartbeats;

/// What the gateway is set up with.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Milliseconds until an unheard visitor is asked whether they are there.
    pub heartbeat_visitor_ms: u64,
    /// The same for agents.
    pub heartbeat_agent_ms: u64,
    /// Milliseconds to answer.
    pub pong_ms: u64,
    /// Milliseconds for which a visitor's token holds.
    pub visitor_token_ms: u64,
    /// Milliseconds for the first frame.
    pub hello_timeout_ms: u64,
    /// Bytes that may wait for one connection.
    pub outbox_bytes_max: usize,
    /// Frames that may wait for one connection.
    pub outbox_frames_max: usize,
    /// How often what may be sent.
    pub rates: Arc<Rates>,
    /// Connections in all.
    pub connections_max: usize,
    /// Origin of the console: no other page opens an agent's socket.
    pub public_url: PublicUrl,
}

/// Looks at whether everyone has left, 20 ms apart.
const TICKS_TO_LEAVE_MAX: u32 = 1_500;

/// Everything that connections share.
pub struct Gateway {
    me: Weak<Self>,
    pub(crate) hub: Arc<Hub>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    config: Live<GatewayConfig>,
    /// As in the settings; asked for each frame.
    rates: Arc<Rates>,
    /// For those who come from now on.
    terms: Live<outbox::Terms>,
    heartbeats: Heartbeats,
    connections: AtomicUsize,
    draining: tokio::sync::watch::Sender<bool>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

/// What the upgrade request told, kept until `hello`.
#[derive(Debug)]
pub struct Accepted {
    /// None: the client offered no subprotocol that is spoken here; it is told so by a close code.
    encoding: Option<Encoding>,
    origin: Option<String>,
    /// The session tokens of its cookies.
    sessions: Vec<SecretString>,
    /// The address that this server was reached by, to judge the console's origin.
    host: Option<String>,
    /// Whether the browser speaks TLS, to us or to a trusted proxy.
    secure: bool,
    /// Global Privacy Control and Do Not Track, as the upgrade's headers have them.
    signals: Flags,
    /// The browser's address: for limits, never stored.
    address: Personal<IpAddr>,
    /// What the upgrade is called in log lines: whatever comes of it is.
    request_id: Option<RequestId>,
    /// The trace of the upgrade.
    trace: Option<traces::Context>,
}

impl SocketEdge for Gateway {
    type Accepted = Accepted;

    fn handshake(
        &self,
        request: &Parts,
        peer: Peer,
    ) -> Result<(Response<()>, Accepted), Response<Bytes>> {
        let headers = &request.headers;
        let key = websocket::key(headers)?;
        if self.connections.load(Ordering::Relaxed) >= self.config.now().connections_max {
            return Err(websocket::refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server has as many connections as it takes",
            ));
        }
        let encoding = websocket::offered(headers).find_map(Encoding::choose);
        // Where nothing fits, the first one offered is echoed: a browser then opens the socket and
        // can read the close code, where a refused handshake would show as a broken connection.
        let echoed = encoding.map(Encoding::subprotocol);
        let response =
            websocket::accept(key, echoed.or_else(|| websocket::offered(headers).next()));
        let is_one = |name| headers.get(name).is_some_and(|value| value.as_bytes() == b"1");
        let accepted = Accepted {
            encoding,
            origin: head::origin(headers).map(ToOwned::to_owned),
            sessions: session_tokens(headers),
            host: head::host(request).map(ToOwned::to_owned),
            secure: peer.secure,
            signals: Flags::asked(is_one("sec-gpc"), is_one("dnt")),
            address: Personal::new(peer.ip),
            request_id: request.extensions.get().cloned(),
            trace: request.extensions.get().copied(),
        };
        Ok((response, accepted))
    }

    fn connected(&self, accepted: Accepted, socket: Socket, early: Bytes) {
        if let Some(gateway) = self.me.upgrade() {
            let id = accepted.request_id.clone();
            let connection = connection::run(gateway, accepted, socket, early);
            tasks::spawn("connection", telemetry::serving_on(id, connection));
        }
    }
}

impl Gateway {
    /// A gateway without connections.
    pub fn new(
        hub: Arc<Hub>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        config: GatewayConfig,
    ) -> Arc<Self> {
        let terms = Live::from(terms(&metrics, &config));
        let rates = Arc::clone(&config.rates);
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            hub,
            store,
            clock,
            metrics,
            config: config.into(),
            rates,
            terms,
            heartbeats: Heartbeats::default(),
            connections: AtomicUsize::new(0),
            draining: tokio::sync::watch::Sender::new(false),
        })
    }

    /// Takes other settings. What a connection began with stays with it: its heartbeat and the size
    /// of its outbox.
    pub fn set(&self, config: GatewayConfig) {
        self.terms.set(terms(&self.metrics, &config));
        self.config.set(config);
    }

    /// Looks after silent connections until the shutdown begins.
    pub async fn heartbeat(self: Arc<Self>, mut shutdown: tokio::sync::watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(heartbeat::TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let pong_ms = self.config.now().pong_ms;
                    self.heartbeats.advance(self.clock.instant(), pong_ms);
                }
                _ = shutdown.wait_for(|down| *down) => return,
            }
        }
    }

    /// Tells every client to move, one by one over `over_ms` at most, and waits until they are
    /// gone.
    pub async fn drain(&self, over_ms: u64) {
        // Before they are counted: whoever is let in from here on finds it by themselves.
        self.draining.send_replace(true);
        let outboxes = self.heartbeats.all();
        let leave = Leave::of(outboxes.len(), over_ms);
        #[expect(
            clippy::disallowed_methods,
            reason = "the timer's own time: nothing is decided by it"
        )]
        let begun = tokio::time::Instant::now();
        for (index, outbox) in outboxes.into_iter().enumerate() {
            let told_at = begun + Duration::from_millis(leave.told_ms(index));
            tokio::time::sleep_until(told_at).await;
            outbox.leave(leave.retry_after_ms());
        }
        // A connection that is in the middle of an act takes as long as the act does.
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..TICKS_TO_LEAVE_MAX {
            if self.connections.load(Ordering::SeqCst) == 0 {
                break;
            }
            tick.tick().await;
        }
    }

    /// Connections now.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Clients that are told to move in a millisecond, and that come back in one: more would be a lump
/// for them and for whoever takes them in.
const LEAVE_PER_MS: u64 = 1;

/// What a restart takes, from the last word of one server to the first of the next.
pub(crate) const RESTART_MS: u64 = 250;

/// When each client is told to move, and to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Leave {
    count: u64,
    /// The last one is told before that; never longer than the clients are many.
    takes_ms: u64,
}

impl Leave {
    fn of(count: usize, over_ms: u64) -> Self {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        Self { count, takes_ms: over_ms.min(count / LEAVE_PER_MS) }
    }

    /// After so long the client with this index is told.
    fn told_ms(self, index: usize) -> u64 {
        let index = u64::try_from(index).unwrap_or(u64::MAX);
        self.takes_ms.saturating_mul(index) / self.count.max(1)
    }

    /// So long after it was told it comes back: the first one when the last one was told and a
    /// restart is done, the others in the order in which they left, as far apart.
    fn retry_after_ms(self) -> u64 {
        self.takes_ms + RESTART_MS
    }
}

fn terms(metrics: &Arc<Metrics>, config: &GatewayConfig) -> outbox::Terms {
    outbox::Terms {
        metrics: Arc::clone(metrics),
        bytes_max: config.outbox_bytes_max,
        frames_max: config.outbox_frames_max,
    }
}

/// The next connection's id: random, never reused.
fn connection_id() -> ConnectionId {
    ConnectionId::from_uuid(uuid::Uuid::new_v4())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The instants at which each of so many is told, and comes back.
    fn story(count: usize, over_ms: u64) -> Vec<(u64, u64)> {
        let leave = Leave::of(count, over_ms);
        let each = |index| {
            let told_ms = leave.told_ms(index);
            (told_ms, told_ms + leave.retry_after_ms())
        };
        (0..count).map(each).collect()
    }

    #[test]
    fn nobody_is_told_in_a_lump_and_nobody_comes_back_in_one() {
        for (count, over_ms) in [(1, 20_000), (130, 20_000), (5_000, 20_000), (100_000, 20_000)] {
            let story = story(count, over_ms);
            let most = count.div_ceil(usize::try_from(over_ms).unwrap());
            for of in [|(told, _): &(u64, u64)| *told, |(_, back): &(u64, u64)| *back] {
                let mut at: BTreeMap<u64, usize> = BTreeMap::new();
                for instant in story.iter().map(of) {
                    *at.entry(instant).or_default() += 1;
                }
                assert!(at.values().all(|clients| *clients <= most), "{count}");
            }
        }
    }

    #[test]
    fn everyone_comes_back_when_the_server_is_there_again_and_not_much_later() {
        for (count, over_ms) in
            [(1, 20_000), (10, 20_000), (300, 20_000), (100_000, 20_000), (9, 0)]
        {
            let story = story(count, over_ms);
            let last = story.iter().map(|(told, _)| *told).max().unwrap();
            assert!(last <= over_ms);
            let takes = u64::try_from(count).unwrap().min(over_ms);
            for (_, back) in story {
                assert!(back >= last + RESTART_MS, "too early for {count}");
                assert!(back <= last + RESTART_MS + takes, "{count} are kept away for nothing");
            }
        }
    }
}

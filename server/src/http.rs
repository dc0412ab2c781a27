//! The listeners: HTTP/1.1 with or without TLS, bounds on what a stranger may cost, static files,
//! and the way by which a WebSocket's raw stream leaves HTTP.
//!
//! Lives here: all of hyper and rustls. Not here: what is said on a socket (`gateway`), what a
//! route does (`api`). Called by `run`; knows nothing of chat.

pub(crate) mod access;
pub mod admin;
mod answer;
pub mod assets;
pub mod client;
pub mod collector;
mod counted;
pub mod demo;
pub mod head;
mod peer_stream;
mod refusal;
mod session;
mod socket;
mod stream;
pub mod tls;
mod malformed_head;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub use socket::Socket;
pub use tls::{Standing, Tls, TlsError};

use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, Live, Network};
use crate::metrics::{HandshakeFailure, Listener, Metrics, NotBelieved};
use crate::network::network;
use crate::tasks;
use crate::telemetry::RequestId;
use answer::{answer, remember_route};
use counted::{PerAddress, Share, Slot};
use malformed_head::{Exchange, Tail, Watched};
use peer_stream::PeerStream;
use refusal::problem_text;
pub(crate) use refusal::{PROBLEM_CODES, problem};

/// Where a socket is opened.
pub const SOCKET_PATH: &str = "/v1/socket";

/// Header fields of one request; browsers behind two proxies send about thirty.
const HEADERS_MAX: usize = 100;

/// Stands for the route of whatever no template matches.
const UNMATCHED: &str = "unmatched";

/// Time between two lines of the log about forwarded addresses that do not count.
const TOLD_REST: Duration = Duration::from_secs(600);

/// Time for open requests to end once the listener stops.
const LINGER: Duration = Duration::from_secs(5);

/// When whoever is one too many may come again, in seconds.
pub(crate) const RETRY_AFTER_S: &str = "5";

/// Rest after the system refused a connection for want of descriptors or memory.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Who is at the other end, as far as HTTP knows. Found in a request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// The address of the browser, behind trusted proxies as well.
    pub ip: IpAddr,
    /// Whether the browser speaks TLS, to us or to a trusted proxy.
    pub secure: bool,
}

/// The edge that owns connections after the upgrade.
pub trait SocketEdge: Send + Sync + 'static {
    /// What the handshake found out.
    type Accepted: Send + 'static;

    /// Judges a request to upgrade. On `Ok` the answer is sent as it is, so its status is 101.
    ///
    /// # Errors
    /// The answer that refuses; the connection stays HTTP.
    #[expect(clippy::result_large_err, reason = "a refusal is an answer, made once and sent")]
    fn handshake(
        &self,
        head: &http::request::Parts,
        peer: Peer,
    ) -> Result<(Response<()>, Self::Accepted), Response<Bytes>>;

    /// Takes the raw stream after the answer is on the wire, with bytes that came early. Starts a
    /// task of its own: the one that calls ends.
    fn connected(&self, accepted: Self::Accepted, socket: Socket, early: Bytes);
}

/// For a listener without sockets.
#[derive(Debug, Clone, Copy)]
pub struct NoSockets;

impl SocketEdge for NoSockets {
    type Accepted = Infallible;

    fn handshake(
        &self,
        _: &http::request::Parts,
        _: Peer,
    ) -> Result<(Response<()>, Infallible), Response<Bytes>> {
        let mut refusal = Response::new(Bytes::new());
        *refusal.status_mut() = StatusCode::NOT_FOUND;
        Err(refusal)
    }

    fn connected(&self, accepted: Infallible, _: Socket, _: Bytes) {
        match accepted {}
    }
}

/// What one listener lets strangers have.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections from one address that have not sent the head of a request.
    pub handshakes_per_ip_max: usize,
    /// Sockets that one address may have.
    pub connections_per_ip_max: usize,
    /// For the TLS handshake, and for each head.
    pub header: Duration,
    /// For a request and its answer's head.
    pub request: Duration,
    /// Of a head.
    pub header_bytes_max: usize,
    /// Of a body.
    pub body_bytes_max: usize,
    /// Whose word on the browser's address is believed.
    pub trusted_proxies: Vec<Network>,
}

impl Limits {
    /// As the settings say.
    pub fn of(config: &Config) -> Self {
        Self {
            connections_max: config.connections_max,
            handshakes_per_ip_max: config.handshakes_per_ip_max,
            connections_per_ip_max: config.connections_per_ip_max,
            header: Duration::from_millis(config.header_ms),
            request: Duration::from_millis(config.request_ms),
            header_bytes_max: config.header_bytes_max,
            body_bytes_max: config.body_bytes_max,
            trusted_proxies: config.trusted_proxies.clone(),
        }
    }
}

/// An address that could not be taken.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} (setting `{setting}`): free that port or give another with --{}",
    setting.replace('_', "-")
)]
pub struct BindError {
    setting: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

/// Takes an address for the listener that this setting names.
///
/// # Errors
/// If it is taken or not ours; never another address instead.
pub async fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { setting, address, source })
}

/// Serves until `stop` turns true, then lets open requests end. Sockets live on; they are the
/// edge's.
pub async fn serve<E: SocketEdge>(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: axum::Router,
    edge: Arc<E>,
    limits: impl Into<Live<Limits>>,
    metrics: Arc<Metrics>,
    stop: watch::Receiver<bool>,
) {
    serve_as((Listener::Public, listener), tls, router, edge, limits, metrics, stop).await;
}

/// The same for another than the public listener: its requests are counted apart from the users'.
pub async fn serve_as<E: SocketEdge>(
    (word, listener): (Listener, TcpListener),
    tls: Option<Arc<Tls>>,
    router: axum::Router,
    edge: Arc<E>,
    limits: impl Into<Live<Limits>>,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) {
    let (open, mut closed) = tokio::sync::mpsc::channel::<Infallible>(1);
    let context = Arc::new(ListenerContext {
        listener: word,
        tls,
        router: router.layer(axum::middleware::from_fn(remember_route)),
        edge,
        limits: limits.into(),
        metrics,
        connections: Arc::default(),
        strangers: Arc::default(),
        sockets: Arc::default(),
        bodies: Arc::default(),
        told: Mutex::default(),
        stop: stop.clone(),
    });
    while !*stop.borrow() {
        let accepted = tokio::select! {
            biased;
            changed = stop.changed() => {
                if changed.is_err() { break }
                continue
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                admit(&context, stream, address.ip().to_canonical(), open.clone())
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
    drop((listener, open));
    // Each HTTP connection holds a sender; sockets gave theirs back.
    if tokio::time::timeout(LINGER, closed.recv()).await.is_err() {
        tracing::warn!("requests were still open when the listener ended");
    }
}

/// Whether only the connection failed that was about to be accepted.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::ConnectionRefused
            | std::io::ErrorKind::ConnectionAborted
            | std::io::ErrorKind::ConnectionReset
            | std::io::ErrorKind::Interrupted
    )
}

/// What all connections of one listener share.
struct ListenerContext<E> {
    listener: Listener,
    tls: Option<Arc<Tls>>,
    router: axum::Router,
    edge: Arc<E>,
    limits: Live<Limits>,
    metrics: Arc<Metrics>,
    connections: Arc<AtomicUsize>,
    /// Connections that have not said what they want.
    strangers: PerAddress,
    sockets: PerAddress,
    bodies: PerAddress,
    /// When the log was last told of a forwarded address that does not count, and why.
    told: Mutex<HashMap<NotBelieved, Instant>>,
    stop: watch::Receiver<bool>,
}

impl<E> ListenerContext<E> {
    /// Who asks, behind trusted proxies as well.
    fn peer(
        &self,
        head: &http::request::Parts,
        ip: IpAddr,
        secure: bool,
        trusted: &[Network],
    ) -> Peer {
        let (peer, fault) = head::peer(head, ip, secure, trusted);
        if let Some(fault) = fault {
            self.metrics.forwarded_not_believed_total.of(fault).inc();
            self.tell(fault);
        }
        peer
    }

    /// Without an address: it may be a person's.
    fn tell(&self, fault: NotBelieved) {
        let now = SystemClock.instant();
        {
            let mut told = self.told.lock();
            let last = told.get(&fault);
            if last.is_some_and(|last| now.saturating_duration_since(*last) < TOLD_REST) {
                return;
            }
            told.insert(fault, now);
        }
        match fault {
            NotBelieved::UntrustedPeer => tracing::warn!(
                "a peer forwards an address and is not believed, so that all it forwards count as one: if it is your proxy, name its address or network in `trusted_proxies`"
            ),
            NotBelieved::Unreadable => tracing::warn!(
                "a trusted proxy forwards an address that cannot be read, so that it counts itself: have it write X-Forwarded-For, or Forwarded (RFC 7239)"
            ),
        }
    }
}

/// Starts a connection's task, or closes the connection where a bound is reached.
fn admit<E: SocketEdge>(
    context: &Arc<ListenerContext<E>>,
    stream: TcpStream,
    ip: IpAddr,
    open: tokio::sync::mpsc::Sender<Infallible>,
) {
    let limits = context.limits.now();
    let Some(slot) = Slot::take(&context.connections, limits.connections_max) else {
        context.metrics.handshake_failures_total.of(HandshakeFailure::ConnectionsMax).inc();
        return turn_away(stream, ip, context.tls.is_some(), "connections-max");
    };
    let mut stranger = None;
    if !head::trusts(&limits.trusted_proxies, ip) {
        stranger = Share::take(&context.strangers, network(ip), limits.handshakes_per_ip_max);
        if stranger.is_none() {
            context.metrics.handshake_failures_total.of(HandshakeFailure::PerAddress).inc();
            return turn_away(stream, ip, context.tls.is_some(), "handshakes-per-ip-max");
        }
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::trace!(%error, "no nodelay");
    }
    let context = context.clone();
    tasks::spawn("http connection", async move {
        // Held for as long as the connection is HTTP; a socket's life is not waited for.
        let _open = open;
        connection(context, stream, ip, slot, stranger).await;
    });
}

/// Says which bound is reached, if that costs nothing: behind TLS it would cost a handshake.
fn turn_away(stream: TcpStream, ip: IpAddr, tls: bool, code: &'static str) {
    if tls {
        return;
    }
    let id = RequestId::new();
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let words = match code {
        "connections-max" => "The server has as many connections as it takes (`connections_max`).",
        _ => {
            "Your network has as many connections that say nothing as the server takes from one \
             (`handshakes_per_ip_max`)."
        }
    };
    let body = problem_text(status, code, words, Some(&id));
    malformed_head::log(&id, status, &body, ip);
    let answer = malformed_head::answer(status, &id, "retry-after: 5\r\n", &body);
    // Once, without waiting: whoever does not take it now does not get it.
    let told = stream.into_std().and_then(|mut stream| stream.write(answer.as_bytes()));
    if let Err(error) = told {
        tracing::trace!(%error, "someone turned away was not told why");
    }
}

/// HTTP on one connection, until it ends or becomes a socket.
async fn connection<E: SocketEdge>(
    context: Arc<ListenerContext<E>>,
    stream: TcpStream,
    ip: IpAddr,
    slot: Slot,
    stranger: Option<Share>,
) {
    let began = SystemClock.instant();
    let failures = &context.metrics.handshake_failures_total;
    let patience = context.limits.now().header;
    let stream = match &context.tls {
        None => PeerStream::Plain(stream),
        Some(tls) => match tokio::time::timeout(patience, tls.accept(stream)).await {
            Ok(Ok(stream)) => PeerStream::Tls(Box::new(stream)),
            Ok(Err(_)) => return failures.of(HandshakeFailure::Tls).inc(),
            Err(_) => return failures.of(HandshakeFailure::TooSlow).inc(),
        },
    };
    let visit = Arc::new(Visit {
        secure: context.tls.is_some(),
        ip,
        stranger: Mutex::new(stranger),
        accepted: Mutex::new(None),
    });
    let Some(((accepted, share), stream, early)) = Box::pin(http(&context, stream, &visit)).await
    else {
        return;
    };
    let (socket, early) = Socket::new(stream, (slot, share), early);
    let took = SystemClock.instant().saturating_duration_since(began);
    context.metrics.handshake_duration_seconds.observe(took);
    context.edge.connected(accepted, socket, early);
}

/// What the requests of one connection share.
struct Visit<A> {
    ip: IpAddr,
    secure: bool,
    stranger: Mutex<Option<Share>>,
    accepted: Mutex<Option<(A, Share)>>,
}

/// Serves requests; a stream comes back when one of them was an upgrade.
async fn http<E: SocketEdge>(
    context: &Arc<ListenerContext<E>>,
    stream: PeerStream,
    visit: &Arc<Visit<E::Accepted>>,
) -> Option<((E::Accepted, Share), PeerStream, Bytes)> {
    let exchange = Arc::new(Exchange::default());
    let service = service_fn(|request: Request<Incoming>| {
        let (context, visit, exchange) = (context.clone(), visit.clone(), exchange.clone());
        exchange.asked();
        Box::pin(async move {
            Ok::<_, Infallible>(Tail::of(answer(&context, &visit, request).await, exchange))
        })
    });
    let stream = Watched::new(stream, exchange.clone(), visit.ip);
    let limits = context.limits.now();
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_headers(HEADERS_MAX)
        .max_buf_size(limits.header_bytes_max.max(8_192))
        .serve_connection(TokioIo::new(stream), service);
    let mut stop = context.stop.clone();
    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            biased;
            ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        let failures = &context.metrics.handshake_failures_total;
        if visit.stranger.lock().is_some() && error.is_timeout() {
            failures.of(HandshakeFailure::TooSlow).inc();
        } else if error.is_parse() {
            failures.of(HandshakeFailure::Http).inc();
        }
        return None;
    }
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner().into_stream();
    let Some(accepted) = visit.accepted.lock().take() else {
        // A peer that does not take our goodbye is not waited for.
        let goodbye = tokio::io::AsyncWriteExt::shutdown(&mut stream);
        if let Ok(Err(error)) = tokio::time::timeout(LINGER, goodbye).await {
            tracing::trace!(%error, "no goodbye");
        }
        return None;
    };
    // A copy: even an empty remainder would keep hyper's whole buffer alive with the connection.
    let early = Bytes::copy_from_slice(&parts.read_buf);
    Some((accepted, stream, early))
}

#[cfg(test)]
mod tests;

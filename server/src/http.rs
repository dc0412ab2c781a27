//! The listeners: HTTP/1.1 with or without TLS, bounds on what a stranger may cost, static files, and the
//! door through which a WebSocket's raw stream leaves HTTP.
//!
//! Lives here: all of hyper and rustls. Not here: what is said on a socket (`gateway`), what a route does
//! (`api`). Called by `lib::run`; knows nothing of chat.

pub(crate) mod access;
pub mod admin;
pub mod assets;
pub mod client;
pub mod collector;
pub mod demo;
pub mod head;
mod line;
mod session;
mod socket;
mod stream;
pub mod tls;
mod unread;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::middleware::Next;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::Service as _;

pub use socket::Socket;
pub use tls::{Standing, Tls, TlsError};

use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, Live, Network};
use crate::metrics::{HandshakeFailure, Listener, Metrics, NotBelieved};
use crate::network::network;
use crate::telemetry::{self, RequestId};
use crate::{tasks, traces};
use line::Line;
use unread::{Tail, Turn, Watched};

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

/// Every `code` of a refusal by a listener itself; REST has more.
pub(crate) const PROBLEM_CODES: [&str; 12] = [
    "address-too-long",
    "body-too-large",
    "connections-max",
    "connections-per-ip-max",
    "handshakes-per-ip-max",
    "head-too-large",
    "malformed-head",
    "misdirected",
    "not-found",
    "request-too-slow",
    "too-fast",
    "upgrade-required",
];

/// Bytes of a body of which an address may send as many at a time as it has connections.
const BODY_SMALL_BYTES: usize = 32 * 1024;

/// Larger ones of one network at a time.
const LARGE_BODIES_MAX: usize = 64;

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

    /// Takes the raw stream after the answer is on the wire, with bytes that came early. Starts a task
    /// of its own: the one that calls ends.
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

/// Serves until `stop` turns true, then lets open requests end. Sockets live on; they are the edge's.
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
    let door = Arc::new(Door {
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
                admit(&door, stream, address.ip().to_canonical(), open.clone())
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
struct Door<E> {
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

impl<E> Door<E> {
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

/// One of the listener's connections, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(count: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < max).then_some(now + 1))
            .ok()
            .map(|_| Self(count.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How many things of one kind each address has.
type PerAddress = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One of the things that an address may have so many of, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    ip: IpAddr,
    all: PerAddress,
}

impl Share {
    fn take(all: &PerAddress, ip: IpAddr, max: usize) -> Option<Self> {
        let mut counts = all.lock();
        let count = counts.entry(ip).or_insert(0);
        if *count >= max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Self { ip, all: all.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.all.lock();
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}

/// Starts a connection's task, or closes the connection where a bound is reached.
fn admit<E: SocketEdge>(
    door: &Arc<Door<E>>,
    stream: TcpStream,
    ip: IpAddr,
    open: tokio::sync::mpsc::Sender<Infallible>,
) {
    let limits = door.limits.now();
    let Some(slot) = Slot::take(&door.connections, limits.connections_max) else {
        door.metrics.handshake_failures_total.of(HandshakeFailure::ConnectionsMax).inc();
        return turn_away(stream, ip, door.tls.is_some(), "connections-max");
    };
    let mut stranger = None;
    if !head::trusts(&limits.trusted_proxies, ip) {
        stranger = Share::take(&door.strangers, network(ip), limits.handshakes_per_ip_max);
        if stranger.is_none() {
            door.metrics.handshake_failures_total.of(HandshakeFailure::PerAddress).inc();
            return turn_away(stream, ip, door.tls.is_some(), "handshakes-per-ip-max");
        }
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::trace!(%error, "no nodelay");
    }
    let door = door.clone();
    tasks::spawn("http connection", async move {
        // Held for as long as the connection is HTTP; a socket's life is not waited for.
        let _open = open;
        connection(door, stream, ip, slot, stranger).await;
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
    unread::log(&id, status, &body, ip);
    let answer = unread::answer(status, &id, "retry-after: 5\r\n", &body);
    // Once, without waiting: whoever does not take it now does not get it.
    let told = stream.into_std().and_then(|mut stream| stream.write(answer.as_bytes()));
    if let Err(error) = told {
        tracing::trace!(%error, "someone turned away was not told why");
    }
}

/// HTTP on one connection, until it ends or becomes a socket.
async fn connection<E: SocketEdge>(
    door: Arc<Door<E>>,
    stream: TcpStream,
    ip: IpAddr,
    slot: Slot,
    stranger: Option<Share>,
) {
    let began = SystemClock.instant();
    let failures = &door.metrics.handshake_failures_total;
    let patience = door.limits.now().header;
    let line = match &door.tls {
        None => Line::Plain(stream),
        Some(tls) => match tokio::time::timeout(patience, tls.accept(stream)).await {
            Ok(Ok(stream)) => Line::Tls(Box::new(stream)),
            Ok(Err(_)) => return failures.of(HandshakeFailure::Tls).inc(),
            Err(_) => return failures.of(HandshakeFailure::TooSlow).inc(),
        },
    };
    let visit = Arc::new(Visit {
        secure: door.tls.is_some(),
        ip,
        stranger: Mutex::new(stranger),
        accepted: Mutex::new(None),
    });
    let Some(((accepted, share), line, early)) = Box::pin(http(&door, line, &visit)).await else {
        return;
    };
    let (socket, early) = Socket::new(line, (slot, share), early);
    let took = SystemClock.instant().saturating_duration_since(began);
    door.metrics.handshake_duration_seconds.observe(took);
    door.edge.connected(accepted, socket, early);
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
    door: &Arc<Door<E>>,
    line: Line,
    visit: &Arc<Visit<E::Accepted>>,
) -> Option<((E::Accepted, Share), Line, Bytes)> {
    let turn = Arc::new(Turn::default());
    let service = service_fn(|request: Request<Incoming>| {
        let (door, visit, turn) = (door.clone(), visit.clone(), turn.clone());
        turn.asked();
        Box::pin(async move {
            Ok::<_, Infallible>(Tail::of(answer(&door, &visit, request).await, turn))
        })
    });
    let line = Watched::new(line, turn.clone(), visit.ip);
    let limits = door.limits.now();
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_headers(HEADERS_MAX)
        .max_buf_size(limits.header_bytes_max.max(8_192))
        .serve_connection(TokioIo::new(line), service);
    let mut stop = door.stop.clone();
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
        let failures = &door.metrics.handshake_failures_total;
        if visit.stranger.lock().is_some() && error.is_timeout() {
            failures.of(HandshakeFailure::TooSlow).inc();
        } else if error.is_parse() {
            failures.of(HandshakeFailure::Http).inc();
        }
        return None;
    }
    let parts = connection.into_parts();
    let mut line = parts.io.into_inner().into_line();
    let Some(accepted) = visit.accepted.lock().take() else {
        // A peer that does not take our goodbye is not waited for.
        let goodbye = tokio::io::AsyncWriteExt::shutdown(&mut line);
        if let Ok(Err(error)) = tokio::time::timeout(LINGER, goodbye).await {
            tracing::trace!(%error, "no goodbye");
        }
        return None;
    };
    // A copy: even an empty remainder would keep hyper's whole buffer alive with the connection.
    let early = Bytes::copy_from_slice(&parts.read_buf);
    Some((accepted, line, early))
}

/// Answers one request: under its id, and as a part of a trace.
async fn answer<E: SocketEdge>(
    door: &Door<E>,
    visit: &Visit<E::Accepted>,
    request: Request<Incoming>,
) -> Response<Body> {
    drop(visit.stranger.lock().take());
    let began = SystemClock.instant();
    let limits = door.limits.now();
    let method = method_word(request.method());
    let (mut head, body) = request.into_parts();
    let trusted = head::trusts(&limits.trusted_proxies, visit.ip);
    let peer = door.peer(&head, visit.ip, visit.secure, &limits.trusted_proxies);
    let id = access::id_of(&head, trusted);
    let trace =
        traces::begin("http", traces::Parent::of(head::only(&head, "traceparent"), trusted));
    head.extensions.insert(peer);
    head.extensions.insert(id.clone());
    if let Some(trace) = &trace {
        head.extensions.insert(trace.context());
    }
    telemetry::serving(id.clone(), async {
        let mut response = judged(door, visit, (head, body), peer, &limits).await;
        let headers = response.headers_mut();
        if let Some(id) = access::value(&id) {
            headers.insert(access::REQUEST_ID, id);
        }
        harden(headers);
        let matched = response.extensions_mut().remove::<MatchedPath>();
        // The socket is no route of the router's, and the other listeners have none.
        let is_socket = response.extensions_mut().remove::<OfSocket>().is_some();
        let is_socket = is_socket && door.listener == Listener::Public;
        let unmatched = if is_socket { SOCKET_PATH } else { UNMATCHED };
        let route = matched.as_ref().map_or(unmatched, MatchedPath::as_str);
        let status = response.status().as_u16();
        let took = SystemClock.instant().saturating_duration_since(began);
        door.metrics.http_requests_total.inc(door.listener, route, method, status);
        door.metrics.http_request_duration_seconds.observe(door.listener, route, took);
        let bytes = access::bytes_of(&response);
        access::Answered { method, route, status, took, bytes, ip: peer.ip }.log();
        if let Some(trace) = trace {
            trace.http(method, route, status, id.as_str());
        }
        response
    })
    .await
}

/// Marks the answer to a request for a socket.
#[derive(Debug, Clone, Copy)]
struct OfSocket;

/// What becomes of a request: refused for its head or size, a socket, or the routes'.
async fn judged<E: SocketEdge>(
    door: &Door<E>,
    visit: &Visit<E::Accepted>,
    (head, body): (http::request::Parts, Incoming),
    peer: Peer,
    limits: &Limits,
) -> Response<Body> {
    // Whoever reads this head otherwise than we do must not have the rest of the line for another request.
    let last = head.headers.contains_key(header::TRANSFER_ENCODING);
    let mut response = if let Some(fault) = head::fault(&head) {
        let mut refusal = problem(StatusCode::BAD_REQUEST, "malformed-head", fault);
        refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        refusal
    } else if head.method == Method::GET && head.uri.path() == SOCKET_PATH {
        let mut answer = upgrade(door, visit, &head, peer, limits);
        answer.extensions_mut().insert(OfSocket);
        answer
    } else if too_large(&head, limits.body_bytes_max) {
        let mut refusal = problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "The body is larger than the server takes (`body_bytes_max`).",
        );
        refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        refusal
    } else {
        routed(door, head, body, peer, limits).await
    };
    if last {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request whose head is good, by the routes.
async fn routed<E: SocketEdge>(
    door: &Door<E>,
    head: http::request::Parts,
    body: Incoming,
    peer: Peer,
    limits: &Limits,
) -> Response<Body> {
    let _place = match place_for_body(door, &head, peer) {
        Ok(place) => place,
        Err(refusal) => return refusal,
    };
    let body = http_body_util::Limited::new(body, limits.body_bytes_max);
    let request = Request::from_parts(head, Body::new(body));
    match tokio::time::timeout(limits.request, door.router.clone().call(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => problem(
            StatusCode::REQUEST_TIMEOUT,
            "request-too-slow",
            "The request took longer than the server waits (`request_ms`). What it began to change is \
             brought to its end: ask what became of it, or send it again with its Idempotency-Key.",
        ),
    }
}

/// Lets an answer remember the template of its route, for the metrics.
async fn remember_route(request: Request<Body>, next: Next) -> Response<Body> {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

/// A method as a label: from a fixed list, whatever a stranger made up.
fn method_word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn too_large(head: &http::request::Parts, max: usize) -> bool {
    body_bytes(head) > max
}

/// Bytes of the body, as its head says; where that does not say, as many as may be.
fn body_bytes(head: &http::request::Parts) -> usize {
    let length = head.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX))
}

/// Bodies are read whole, before anybody has proved anything: of those that are large one network has so many at a time.
#[expect(clippy::result_large_err, reason = "the refusal is the answer")]
fn place_for_body<E: SocketEdge>(
    door: &Door<E>,
    head: &http::request::Parts,
    peer: Peer,
) -> Result<Option<Share>, Response<Body>> {
    let unsaid = head.headers.contains_key(header::TRANSFER_ENCODING);
    if !unsaid && body_bytes(head) <= BODY_SMALL_BYTES {
        return Ok(None);
    }
    match Share::take(&door.bodies, network(peer.ip), LARGE_BODIES_MAX) {
        Some(place) => Ok(Some(place)),
        None => {
            let words =
                "Your network sends as many large bodies as the server takes from one. Try again.";
            let mut refusal = problem(StatusCode::TOO_MANY_REQUESTS, "too-fast", words);
            let headers = refusal.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            Err(refusal)
        }
    }
}

/// Answers a request for a socket.
fn upgrade<E: SocketEdge>(
    door: &Door<E>,
    visit: &Visit<E::Accepted>,
    head: &http::request::Parts,
    peer: Peer,
    limits: &Limits,
) -> Response<Body> {
    let has_body = head.headers.contains_key(header::TRANSFER_ENCODING)
        || head.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if head.extensions.get::<OnUpgrade>().is_none() || has_body {
        let mut refusal = problem(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade-required",
            "This address takes WebSocket connections only.",
        );
        refusal.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        refusal
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("upgrade, close"));
        door.metrics.handshake_failures_total.of(HandshakeFailure::Upgrade).inc();
        return refusal;
    }
    let Some(share) = Share::take(&door.sockets, network(peer.ip), limits.connections_per_ip_max)
    else {
        door.metrics.handshake_failures_total.of(HandshakeFailure::ConnectionsPerAddress).inc();
        let mut refusal = problem(
            StatusCode::TOO_MANY_REQUESTS,
            "connections-per-ip-max",
            "Your address has as many connections as the server takes from one \
             (`connections_per_ip_max`).",
        );
        refusal.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        return refusal;
    };
    match door.edge.handshake(head, peer) {
        Ok((response, accepted)) => {
            *visit.accepted.lock() = Some((accepted, share));
            response.map(|()| Body::empty())
        }
        Err(refusal) => {
            door.metrics.handshake_failures_total.of(HandshakeFailure::Upgrade).inc();
            refusal.map(Body::from)
        }
    }
}

/// What every answer says unless it says otherwise.
fn harden(headers: &mut http::HeaderMap) {
    let defaults: [(HeaderName, &'static str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// A refusal by the listener itself, as RFC 9457 has it.
pub(crate) fn problem(
    status: StatusCode,
    code: &'static str,
    detail: &'static str,
) -> Response<Body> {
    let text = problem_text(status, code, detail, telemetry::request_id().as_ref());
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// The document of such a refusal; its words need no escapes.
fn problem_text(
    status: StatusCode,
    code: &'static str,
    detail: &'static str,
    id: Option<&RequestId>,
) -> String {
    debug_assert!(PROBLEM_CODES.contains(&code), "{code} is in no contract");
    let title = status.canonical_reason().unwrap_or("Error");
    let number = status.as_u16();
    let id = id.map_or_else(String::new, |id| format!(r#","request_id":"{id}""#));
    format!(
        r#"{{"type":"urn:livehelp:problem:{code}","title":"{title}","status":{number},"code":"{code}","detail":"{detail}"{id}}}"#
    )
}

#[cfg(test)]
mod tests;

//! One request and its answer: what becomes of it, and what every answer says.
//!
//! Lives here: a request for a socket or for the routes, bounds of a body, lines of the log, the
//! trace and the metrics of each request. Not here: connections (`http`), what a route does
//! (`api`).

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::middleware::Next;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tower::Service as _;

use super::counted::Share;
use super::refusal::problem;
use super::{
    Limits, ListenerContext, Peer, RETRY_AFTER_S, SOCKET_PATH, SocketEdge, UNMATCHED, Visit,
    access, head,
};
use crate::clock::{Clock as _, SystemClock};
use crate::metrics::{HandshakeFailure, Listener};
use crate::network::network;
use crate::{telemetry, traces};

/// Bytes of a body of which an address may send as many at a time as it has connections.
pub(super) const BODY_SMALL_BYTES: usize = 32 * 1024;

/// Larger ones of one network at a time.
pub(super) const LARGE_BODIES_MAX: usize = 64;

/// Answers one request: under its id, and as a part of a trace.
pub(super) async fn answer<E: SocketEdge>(
    context: &ListenerContext<E>,
    visit: &Visit<E::Accepted>,
    request: Request<Incoming>,
) -> Response<Body> {
    drop(visit.stranger.lock().take());
    let began = SystemClock.instant();
    let limits = context.limits.now();
    let method = method_word(request.method());
    let (mut head, body) = request.into_parts();
    let trusted = head::trusts(&limits.trusted_proxies, visit.ip);
    let peer = context.peer(&head, visit.ip, visit.secure, &limits.trusted_proxies);
    let id = access::id_of(&head, trusted);
    let trace =
        traces::begin("http", traces::Parent::of(head::only(&head, "traceparent"), trusted));
    head.extensions.insert(peer);
    head.extensions.insert(id.clone());
    if let Some(trace) = &trace {
        head.extensions.insert(trace.context());
    }
    telemetry::serving(id.clone(), async {
        let mut response = judged(context, visit, (head, body), peer, &limits).await;
        let headers = response.headers_mut();
        if let Some(id) = access::value(&id) {
            headers.insert(access::REQUEST_ID, id);
        }
        harden(headers);
        let matched = response.extensions_mut().remove::<MatchedPath>();
        // The socket is no route of the router's, and the other listeners have none.
        let is_socket = response.extensions_mut().remove::<OfSocket>().is_some();
        let is_socket = is_socket && context.listener == Listener::Public;
        let unmatched = if is_socket { SOCKET_PATH } else { UNMATCHED };
        let route = matched.as_ref().map_or(unmatched, MatchedPath::as_str);
        let status = response.status().as_u16();
        let took = SystemClock.instant().saturating_duration_since(began);
        context.metrics.http_requests_total.inc(context.listener, route, method, status);
        context.metrics.http_request_duration_seconds.observe(context.listener, route, took);
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
    context: &ListenerContext<E>,
    visit: &Visit<E::Accepted>,
    (head, body): (http::request::Parts, Incoming),
    peer: Peer,
    limits: &Limits,
) -> Response<Body> {
    // Whoever reads this head otherwise than we do must not have the rest of the stream for another
    // request.
    let last = head.headers.contains_key(header::TRANSFER_ENCODING);
    let mut response = if let Some(fault) = head::fault(&head) {
        let mut refusal = problem(StatusCode::BAD_REQUEST, "malformed-head", fault);
        refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        refusal
    } else if head.method == Method::GET && head.uri.path() == SOCKET_PATH {
        let mut answer = upgrade(context, visit, &head, peer, limits);
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
        routed(context, head, body, peer, limits).await
    };
    if last {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request whose head is good, by the routes.
async fn routed<E: SocketEdge>(
    context: &ListenerContext<E>,
    head: http::request::Parts,
    body: Incoming,
    peer: Peer,
    limits: &Limits,
) -> Response<Body> {
    let _place = match place_for_body(context, &head, peer) {
        Ok(place) => place,
        Err(refusal) => return refusal,
    };
    let body = http_body_util::Limited::new(body, limits.body_bytes_max);
    let request = Request::from_parts(head, Body::new(body));
    match tokio::time::timeout(limits.request, context.router.clone().call(request)).await {
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
pub(super) async fn remember_route(request: Request<Body>, next: Next) -> Response<Body> {
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

/// Bodies are read whole, before anybody has proved anything: of those that are large one network
/// has so many at a time.
#[expect(clippy::result_large_err, reason = "the refusal is the answer")]
fn place_for_body<E: SocketEdge>(
    context: &ListenerContext<E>,
    head: &http::request::Parts,
    peer: Peer,
) -> Result<Option<Share>, Response<Body>> {
    let unsaid = head.headers.contains_key(header::TRANSFER_ENCODING);
    if !unsaid && body_bytes(head) <= BODY_SMALL_BYTES {
        return Ok(None);
    }
    match Share::take(&context.bodies, network(peer.ip), LARGE_BODIES_MAX) {
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
    context: &ListenerContext<E>,
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
        context.metrics.handshake_failures_total.of(HandshakeFailure::Upgrade).inc();
        return refusal;
    }
    let Some(share) =
        Share::take(&context.sockets, network(peer.ip), limits.connections_per_ip_max)
    else {
        context.metrics.handshake_failures_total.of(HandshakeFailure::ConnectionsPerAddress).inc();
        let mut refusal = problem(
            StatusCode::TOO_MANY_REQUESTS,
            "connections-per-ip-max",
            "Your address has as many connections as the server takes from one \
             (`connections_per_ip_max`).",
        );
        refusal.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        return refusal;
    };
    match context.edge.handshake(head, peer) {
        Ok((response, accepted)) => {
            *visit.accepted.lock() = Some((accepted, share));
            response.map(|()| Body::empty())
        }
        Err(refusal) => {
            context.metrics.handshake_failures_total.of(HandshakeFailure::Upgrade).inc();
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

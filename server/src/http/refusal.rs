//! What a listener itself answers where it refuses: problem documents (RFC 9457).

use axum::body::Body;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

use crate::telemetry::{self, RequestId};

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
pub(super) fn problem_text(
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

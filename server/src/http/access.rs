//! The access log: one line for each request and one for each socket at its end, where `access_log`
//! asks for it.
//!
//! Lives here: what a line says and which id a request has. Not here: how a line looks
//! (`telemetry`). A line has no query, no name and no whole address: of an address only the
//! network, too large to be one person's.

use std::net::IpAddr;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderName, HeaderValue};

use super::SOCKET_PATH;
use crate::network::shown;
use crate::telemetry::{self, RequestId};

/// Names a request, in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: the one that a trusted proxy gave, or a new one.
pub(super) fn id_of(head: &Parts, trusted: bool) -> RequestId {
    let mut given = head.headers.get_all(&REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (Some(given), None) if trusted => RequestId::given(given.as_bytes()).unwrap_or_default(),
        _ => RequestId::new(),
    }
}

/// As a header has it.
pub(super) fn value(id: &RequestId) -> Option<HeaderValue> {
    HeaderValue::from_str(id.as_str()).ok()
}

/// An answered request.
#[derive(Debug)]
pub(super) struct Answered<'a> {
    pub(super) method: &'static str,
    pub(super) route: &'a str,
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) bytes: Option<u64>,
    pub(super) ip: IpAddr,
}

impl Answered<'_> {
    /// Writes its line; the request is the one that is being served.
    pub(super) fn log(&self) {
        if !telemetry::writes_access() {
            return;
        }
        let Self { method, route, status, bytes, .. } = *self;
        tracing::info!(
            method,
            route,
            status,
            duration_ms = ms(self.took),
            bytes,
            network = %shown(self.ip),
            "request"
        );
    }
}

/// A socket at its end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) connection_id: String,
    pub(crate) close_code: u16,
    pub(crate) life: Duration,
    /// Bytes of frames that came.
    pub(crate) received: u64,
    pub(crate) ip: IpAddr,
}

impl Ended {
    /// Writes its line; the request is the one that it began as.
    pub(crate) fn log(&self) {
        tracing::info!(
            connection_id = self.connection_id,
            method = "GET",
            route = SOCKET_PATH,
            status = 101,
            close_code = self.close_code,
            duration_ms = ms(self.life),
            bytes_received = self.received,
            network = %shown(self.ip),
            "socket ended"
        );
    }
}

/// How much the body of an answer has, where that is known before it is sent.
pub(super) fn bytes_of(response: &http::Response<axum::body::Body>) -> Option<u64> {
    hyper::body::Body::size_hint(response.body()).exact()
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

//! What is left of whoever asks may ask: counted once it is known who that is, told in every
//! answer's headers.
//!
//! Lives here: the fields `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers)
//! and the refusal. Not here: the limits (`auth`). The extractors count; a layer of both routers
//! tells.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;

use super::ApiState;
use super::problem::{Problem, ProblemCode};
use crate::auth::{Left, Principal, Wait};
use crate::http::Peer;
use crate::metrics::{KeyRefused, Throttle};

/// What is left, policy by policy.
const LEFT: HeaderName = HeaderName::from_static("ratelimit");
/// How much there is of each.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What was counted on the way of one request; the layer that made it tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<(&'static str, Left)>>>);

impl Told {
    /// Of the request that these are the parts of.
    pub(crate) fn of(parts: &Parts) -> Self {
        parts.extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Notes what was counted under a policy, and refuses what was too much.
    pub(crate) fn note(
        &self,
        state: &ApiState,
        policy: &'static str,
        counted: Result<Left, Wait>,
    ) -> Result<(), Problem> {
        let left = counted.unwrap_or_else(|wait| wait.left);
        self.0.lock().push((policy, left));
        counted.map(drop).map_err(|wait| {
            let of = if policy == MESSAGES { Throttle::Messages } else { Throttle::Requests };
            state.metrics.rate_limited_total.of(of).inc();
            let words =
                "This comes faster than the limit. `RateLimit` says what is left, and when.";
            Problem::new(ProblemCode::TooFast, words).retry_after_ms(wait.ms)
        })
    }
}

/// The policy of what an agent says.
pub(crate) const MESSAGES: &str = "messages";

impl ApiState {
    /// Counts a request of somebody who proved who they are.
    pub(crate) fn count(&self, told: &Told, principal: &Principal) -> Result<(), Problem> {
        match principal {
            Principal::Agent { agent, .. } => {
                told.note(self, "agent", self.rates.agents.take(agent))
            }
            Principal::Key { key, .. } | Principal::Operator { key, .. } => {
                let counted = told.note(self, "key", self.rates.keys.take(key));
                let throttled = u64::from(counted.is_err());
                self.metrics.keys_refused_total.of(KeyRefused::Throttled).add(throttled);
                counted
            }
            Principal::Visitor { .. } => Ok(()),
        }
    }

    /// Counts a request that proves nobody, by the address it comes from.
    pub(crate) fn count_stranger(&self, parts: &Parts) -> Result<(), Problem> {
        let Some(peer) = parts.extensions.get::<Peer>() else { return Ok(()) };
        Told::of(parts).note(self, "address", self.rates.stranger(peer.ip))
    }
}

/// Tells what was counted.
pub(super) async fn tell(mut request: Request, next: Next) -> Response {
    let told = Told::default();
    request.extensions_mut().insert(told.clone());
    let mut response = next.run(request).await;
    let (mut left, mut policy) = (String::new(), String::new());
    for (name, of) in told.0.lock().iter() {
        let comma = if left.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _written = write!(left, "{comma}\"{name}\";r={};t={}", of.remaining, of.reset_s);
        let _written = write!(policy, "{comma}\"{name}\";q={};w={}", of.quota, of.window_s);
    }
    for (name, text) in [(LEFT, left), (POLICY, policy)] {
        if let Ok(value) = HeaderValue::try_from(text)
            && !value.is_empty()
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

//! Acts: what changes something runs in a task of its own, to its end, whoever hangs up meanwhile.
//!
//! Lives here: the one place where a request that may change something leaves its connection, and
//! the wait for what was begun. Not here: what an act does (the handlers). A layer of both routers.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;

use super::problem::{Problem, ProblemCode};
use super::request::read_body;
use crate::{tasks, telemetry};

/// Acts at a time. Whoever hangs up leaves one behind and may come again at once.
const ACTS_MAX: u32 = 1_024;

/// The acts of both listeners.
#[derive(Debug, Clone)]
pub struct Acts(Arc<Semaphore>);

impl Default for Acts {
    fn default() -> Self {
        let places = usize::try_from(ACTS_MAX).unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(places)))
    }
}

impl Acts {
    /// Waits until everything that was begun is at its end; meanwhile nothing new begins.
    pub async fn ended(&self) {
        // It is never closed.
        drop(self.0.acquire_many(ACTS_MAX).await);
    }

    async fn run(self, request: Request, next: Next) -> Result<Response, Problem> {
        // Whole before it begins: a request that breaks off has asked for nothing.
        let (head, body) = read_body(request).await?;
        let place = self.0.try_acquire_owned().map_err(|_| {
            let words = "The server has more to do than it can. Try again.";
            Problem::new(ProblemCode::Overload, words).retry_after_ms(1_000)
        })?;
        let work = async move {
            let answer = next.run(Request::from_parts(head, Body::from(body))).await;
            drop(place);
            answer
        };
        let act = tasks::spawn("act", telemetry::serving_on(telemetry::request_id(), work));
        act.await.map_err(|_| Problem::internal())
    }
}

/// Runs whatever may change something to its end. Whoever asked hears of it if they are still
/// there.
pub(super) async fn to_their_end(
    State(acts): State<Acts>,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    acts.run(request, next).await.unwrap_or_else(|problem| problem.into_response())
}

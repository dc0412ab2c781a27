//! What the admin listener tells machines: metrics, health, version. No secrets, no keys asked.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, Request};
use axum::middleware::{self, Next};
use axum::routing::get;
use http::{Response, StatusCode, header};
use tokio::sync::watch;

use super::assets::set;
use super::{head, problem};
use crate::clock::{Clock, SystemClock};
use crate::metrics::{COMMIT, Metrics, VERSION};
use crate::origin::is_localhost;
use crate::tasks;

/// Time between two looks at how late the runtime's timers are.
const LAG_LOOK: Duration = Duration::from_millis(100);

/// One condition of readiness: its name, and whether it holds now. Must not block.
pub type Check = (&'static str, Box<dyn Fn() -> bool + Send + Sync>);

/// Where the node stands in its life.
pub struct Health {
    metrics: Arc<Metrics>,
    checks: Vec<Check>,
    started: AtomicBool,
    draining: AtomicBool,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("started", &self.started)
            .field("draining", &self.draining)
            .finish_non_exhaustive()
    }
}

impl Health {
    /// Not started yet; ready once it is and while each of these holds.
    pub fn new(metrics: Arc<Metrics>, checks: Vec<Check>) -> Arc<Self> {
        let no = || AtomicBool::new(false);
        Arc::new(Self { metrics, checks, started: no(), draining: no() })
    }

    /// The node serves.
    pub fn set_started(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// The node leaves: load balancers should look elsewhere.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
        self.metrics.draining.set(1);
    }

    /// Each condition with its state.
    fn conditions(&self) -> Vec<(&'static str, bool)> {
        let mut conditions = vec![
            ("started", self.started.load(Ordering::Acquire)),
            ("not draining", !self.draining.load(Ordering::Acquire)),
        ];
        conditions.extend(self.checks.iter().map(|(name, holds)| (*name, holds())));
        conditions
    }
}

/// `/metrics`, `/livez`, `/readyz`, `/startupz`, `/version`.
pub fn routes(health: &Arc<Health>) -> Router {
    let (ready, started) = (health.clone(), health.clone());
    let metrics = health.metrics.clone();
    Router::new()
        .route("/metrics", get(move || async move { exposition(&metrics) }))
        // That this is answered shows that the loop turns.
        .route("/livez", get(|| async { verdict(true, "") }))
        .route(
            "/readyz",
            get(move |RawQuery(query): RawQuery| async move {
                let conditions = ready.conditions();
                let verbose =
                    query.is_some_and(|query| query.split('&').any(|word| word == "verbose"));
                let lines: String = conditions
                    .iter()
                    .filter(|(_, holds)| verbose || !holds)
                    .map(|(name, holds)| format!("{name}: {}\n", if *holds { "yes" } else { "no" }))
                    .collect();
                verdict(conditions.iter().all(|(_, holds)| *holds), &lines)
            }),
        )
        .route(
            "/startupz",
            get(move || async move { verdict(started.started.load(Ordering::Acquire), "") }),
        )
        .route("/version", get(|| async { version() }))
}

/// Where the listener is on this machine only, answers nobody who asks for a name: a page's name
/// may have been made to lead here, and would read all this through its visitor's browser.
pub fn at_this_machine(routes: Router, listener: Option<SocketAddr>) -> Router {
    if !listener.is_some_and(|address| address.ip().is_loopback()) {
        return routes;
    }
    routes.layer(middleware::from_fn(async |request: Request, next: Next| {
        let (head, body) = request.into_parts();
        if head::host(&head).is_some_and(|host| !is_this_machine(host)) {
            let words =
                "The admin listener is on this machine: ask for it by its address or as localhost.";
            return problem(StatusCode::MISDIRECTED_REQUEST, "misdirected", words);
        }
        next.run(Request::from_parts(head, body)).await
    }))
}

fn is_this_machine(host: &str) -> bool {
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| !port.ends_with(']'))
        .map_or(host, |(name, _)| name);
    let ip = name.trim_start_matches('[').trim_end_matches(']');
    host.is_empty() || ip.parse::<IpAddr>().is_ok() || is_localhost(&name.to_ascii_lowercase())
}

fn exposition(metrics: &Metrics) -> Response<Body> {
    let mut response = Response::new(Body::from(metrics.render()));
    set(&mut response, header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    response
}

fn verdict(good: bool, lines: &str) -> Response<Body> {
    let word = if good { "ok" } else { "no" };
    let mut response = Response::new(Body::from(format!("{word}\n{lines}")));
    if !good {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    set(&mut response, header::CONTENT_TYPE, "text/plain; charset=utf-8");
    response
}

fn version() -> Response<Body> {
    let text = format!("{{\"version\":\"{VERSION}\",\"commit\":\"{COMMIT}\"}}\n");
    let mut response = Response::new(Body::from(text));
    set(&mut response, header::CONTENT_TYPE, "application/json");
    response
}

/// Measures how late timers run, for as long as the node lives.
pub fn watch_lag(metrics: Arc<Metrics>, mut stop: watch::Receiver<bool>) {
    let watching = async move {
        loop {
            let before = SystemClock.instant();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(LAG_LOOK) => {}
            }
            let late = SystemClock.instant().saturating_duration_since(before);
            metrics.worker_loop_lag_seconds.observe(late.saturating_sub(LAG_LOOK));
        }
    };
    drop(tasks::spawn("timer lag", watching));
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(health: &Arc<Health>, path: &str) -> (u16, String) {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        let response = routes(health).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_node_is_ready_from_its_start_to_its_drain_while_its_store_writes() {
        let writes = Arc::new(AtomicBool::new(true));
        let check = writes.clone();
        let metrics = Metrics::new();
        let health = Health::new(
            metrics.clone(),
            vec![("store writes", Box::new(move || check.load(Ordering::Acquire)))],
        );
        assert_eq!(ask(&health, "/readyz").await, (503, "no\nstarted: no\n".to_owned()));
        assert_eq!(ask(&health, "/startupz").await.0, 503);
        health.set_started();
        assert_eq!(ask(&health, "/readyz").await, (200, "ok\n".to_owned()));
        assert_eq!(ask(&health, "/startupz").await.0, 200);
        writes.store(false, Ordering::Release);
        assert_eq!(ask(&health, "/readyz").await, (503, "no\nstore writes: no\n".to_owned()));
        writes.store(true, Ordering::Release);
        health.set_draining();
        let (status, lines) = ask(&health, "/readyz?verbose").await;
        assert_eq!(
            (status, lines.as_str()),
            (503, "no\nstarted: yes\nnot draining: no\nstore writes: yes\n")
        );
        assert_eq!(metrics.draining.get(), 1);
        assert_eq!(ask(&health, "/livez").await.0, 200, "a draining node is alive");
    }

    #[tokio::test]
    async fn the_version_names_the_commit() {
        let health = Health::new(Metrics::new(), Vec::new());
        let (status, text) = ask(&health, "/version").await;
        assert_eq!(status, 200);
        assert!(text.starts_with(r#"{"version":"0.1.0","commit":""#), "{text}");
    }
}

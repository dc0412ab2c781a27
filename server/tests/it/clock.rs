//! A clock that nothing explains destroys nothing until the operator says that it is right.

use std::sync::Arc;

use livehelp::clock::ManualClock;
use livehelp::privacy::policy::Plan;
use protocol::time::UnixMillis;
use serde_json::{Value, json};

use crate::client::Client;
use crate::http;
use crate::metrics::Scrape;
use crate::server::{OPERATOR_KEY, Site, TestServer};

const DAY_MS: u64 = 86_400_000;
/// 2028-03-01 10:00 UTC.
const START: UnixMillis = UnixMillis(1_835_517_600_000);

async fn ask(server: &Site, method: &str, path: &str, body: &str) -> (u16, Value) {
    let key = format!("Bearer {OPERATOR_KEY}");
    let answer = http::ask(server.admin, method, path, &[("authorization", &key)], body).await;
    (answer.status, answer.json())
}

async fn standing(server: &Site) -> String {
    let (status, clock) = ask(server, "GET", "/v1/clock", "").await;
    assert_eq!(status, 200);
    clock["standing"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_rest_nothing_is_destroyed_until_the_operator_confirms_the_day() {
    let clock = Arc::new(ManualClock::new(START));
    let server = TestServer::start_as(|setup| {
        setup.plan = Plan::Free;
        setup.clock = Arc::clone(&clock) as _;
    })
    .await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    visitor.say(conversation, "sixty days of me").await;
    drop(visitor);
    Scrape::until(server.admin, |scrape| scrape.value("sweep_clock_trusted") == 1.0).await;
    assert_eq!(standing(&server).await, "trusted");
    // Off for 100 days: by the clock all of it is due.
    let server = server.restart_after(|| clock.advance_ms(100 * DAY_MS)).await;
    let judged = |scrape: &Scrape| scrape.value("sweep_clock_trusted") == 0.0;
    Scrape::until(server.admin, judged).await;
    while standing(&server).await == "unknown" {
        tokio::task::yield_now().await;
    }
    assert_eq!(standing(&server).await, "ahead");
    let scrape = Scrape::of(server.admin).await;
    assert_eq!(scrape.value("sweep_buckets_destroyed_total"), 0.0);
    assert_eq!(scrape.value("sweep_last_success_timestamp_seconds"), 0.0);
    // The wrong day confirms nothing.
    let wrong = json!({ "today": "2028-03-01" }).to_string();
    let (status, problem) = ask(&server, "POST", "/v1/clock/confirm", &wrong).await;
    assert_eq!((status, problem["field"].as_str()), (422, Some("today")));
    assert_eq!(standing(&server).await, "ahead");
    let right = json!({ "today": "2028-06-09" }).to_string();
    let (status, clock_now) = ask(&server, "POST", "/v1/clock/confirm", &right).await;
    assert_eq!((status, clock_now["today"].as_str()), (200, Some("2028-06-09")));
    let scrape = Scrape::until(server.admin, |scrape| {
        scrape.value("sweep_last_success_timestamp_seconds") > 0.0
    })
    .await;
    assert!(scrape.value("sweep_buckets_destroyed_total") >= 1.0);
    assert_eq!(scrape.value("sweep_clock_trusted"), 1.0);
    let (_, trusted) = ask(&server, "GET", "/v1/clock", "").await;
    assert_eq!(trusted["trusted_until"], START.0 + 100 * DAY_MS);
    // Without a key nobody confirms anything.
    let answer = http::ask(server.admin, "POST", "/v1/clock/confirm", &[], &right).await;
    assert_eq!(answer.status, 401);
    server.stop().await;
}

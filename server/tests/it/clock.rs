//! A clock that nothing explains destroys nothing until the operator says that it is right.

use std::sync::Arc;

use livehelp::clock::ManualClock;
use livehelp::privacy::policy::Plan;
use protocol::frame::{ClientFrame, RequestId};
use protocol::message::Seq;
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

async fn judged(server: &Site) -> String {
    while standing(server).await == "unknown" {
        tokio::task::yield_now().await;
    }
    standing(server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_from_the_future_is_lowered_and_never_destroyed_by() {
    const YEAR_MS: u64 = 366 * DAY_MS;
    let clock = Arc::new(ManualClock::new(UnixMillis(START.0 + YEAR_MS)));
    let server = TestServer::start_as(|setup| {
        setup.plan = Plan::Free;
        setup.clock = Arc::clone(&clock) as _;
    })
    .await;
    assert_eq!(judged(&server).await, "trusted", "nothing could be lost yet");
    let server = server.restart_after(|| clock.set(START)).await;
    assert_eq!(judged(&server).await, "behind");
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    visitor.say(conversation, "said while the mark was wrong").await;
    // A word on the day is refused as long as retention would go by another one.
    let today = json!({ "today": "2028-03-01" }).to_string();
    let (status, problem) = ask(&server, "POST", "/v1/clock/confirm", &today).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("conflict")));
    let wrong = json!({ "today": "2029-03-02" }).to_string();
    let (status, _) = ask(&server, "POST", "/v1/clock/lower", &wrong).await;
    assert_eq!(status, 422, "who has not looked at a calendar lowers nothing");
    let (status, clock_now) = ask(&server, "POST", "/v1/clock/lower", &today).await;
    assert_eq!((status, clock_now["trusted_until"].as_u64()), (200, Some(START.0)));
    Scrape::until(server.admin, |scrape| scrape.value("sweep_clock_trusted") == 1.0).await;
    let scrape = Scrape::of(server.admin).await;
    assert_eq!(scrape.value("sweep_buckets_destroyed_total"), 0.0);
    let (status, _) = ask(&server, "POST", "/v1/clock/lower", &today).await;
    assert_eq!(status, 409, "there is nothing to correct any more");
    let folder = server.stop().await;
    let data = rusqlite::Connection::open(folder.path().join("data/livehelp.sqlite")).unwrap();
    let acts: (u64, u64) = data
        .query_row("SELECT act, mark_before FROM clock_acts", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(acts, (2, START.0 + YEAR_MS), "what they did is on record");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_steps_back_right_after_the_first_start_ages_nothing() {
    let clock = Arc::new(ManualClock::new(START));
    let server = TestServer::start_as(|setup| {
        setup.plan = Plan::Free;
        setup.config.visitor_token_days = 396;
        setup.clock = Arc::clone(&clock) as _;
    })
    .await;
    assert_eq!(judged(&server).await, "trusted");
    clock.set(UnixMillis(START.0 - 200 * DAY_MS));
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    visitor.say(conversation, "said in the first minute").await;
    let server = server.restart_after(|| clock.set(START)).await;
    assert_eq!(judged(&server).await, "trusted");
    let mut visitor = Client::visitor(&server, visitor.token.clone(), vec![]).await;
    visitor.history(RequestId(0)).await;
    let request = visitor.next_request();
    let history = ClientFrame::History { request, conversation, before: Seq(0), limit: 100 };
    visitor.tell(&history).await;
    let (_, page) = visitor.history(request).await;
    let dates: Vec<_> = page.iter().map(|message| message.at.day()).collect();
    assert!(!dates.is_empty() && dates.iter().all(|day| *day == START.day()), "{dates:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_by_which_something_was_destroyed_stays() {
    let clock = Arc::new(ManualClock::new(START));
    let server = TestServer::start_as(|setup| {
        setup.plan = Plan::Free;
        setup.clock = Arc::clone(&clock) as _;
    })
    .await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    visitor.say(conversation, "sixty days of me").await;
    assert_eq!(judged(&server).await, "trusted");
    let server = server.restart_after(|| clock.advance_ms(100 * DAY_MS)).await;
    assert_eq!(judged(&server).await, "ahead");
    let by_mistake = json!({ "today": "2028-06-09" }).to_string();
    assert_eq!(ask(&server, "POST", "/v1/clock/confirm", &by_mistake).await.0, 200);
    let destroyed = |scrape: &Scrape| scrape.value("sweep_buckets_destroyed_total") >= 1.0;
    Scrape::until(server.admin, destroyed).await;
    let server = server.restart_after(|| clock.set(START.plus_ms(DAY_MS))).await;
    assert_eq!(judged(&server).await, "behind");
    let today = json!({ "today": "2028-03-02" }).to_string();
    let (status, _) = ask(&server, "POST", "/v1/clock/lower", &today).await;
    assert_eq!(status, 409);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_of_three_days_is_believed_only_of_a_clock_that_others_keep_right() {
    let clock = Arc::new(ManualClock::new(START));
    let server = TestServer::start_as(|setup| setup.clock = Arc::clone(&clock) as _).await;
    assert_eq!(judged(&server).await, "trusted");
    let rest = || {
        clock.advance_ms(3 * DAY_MS);
        clock.set_synced(false);
    };
    let server = server.restart_after(rest).await;
    assert_eq!(judged(&server).await, "ahead");
    let server = server.restart_after(|| clock.set_synced(true)).await;
    assert_eq!(judged(&server).await, "trusted");
    server.stop().await;
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
    Scrape::until(server.admin, |scrape| {
        scrape.value("sweep_last_success_timestamp_seconds") > 0.0
            && scrape.value("sweep_buckets_destroyed_total") >= 1.0
            && scrape.value("sweep_clock_trusted") == 1.0
    })
    .await;
    let (_, trusted) = ask(&server, "GET", "/v1/clock", "").await;
    assert_eq!(trusted["trusted_until"], START.0 + 100 * DAY_MS);
    // Without a key nobody confirms anything.
    let answer = http::ask(server.admin, "POST", "/v1/clock/confirm", &[], &right).await;
    assert_eq!(answer.status, 401);
    server.stop().await;
}

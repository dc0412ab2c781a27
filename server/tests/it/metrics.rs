//! What the server counts moves when the thing happens, and no metric is declared that nobody
//! feeds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use livehelp::clock::{Clock as _, ManualClock, SystemClock};
use livehelp::metrics::declared;
use protocol::conversation::ResumePoint;
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::message::{Body, Seq, Visibility};
use protocol::personal::Text;
use protocol::time::UnixMillis;

use crate::client::{Client, new_message};
use crate::http;
use crate::server::{OPERATOR_KEY, SHOP, TestServer};

/// One scrape: each series with its value.
pub struct Scrape(pub BTreeMap<String, f64>);

impl Scrape {
    pub async fn of(admin: SocketAddr) -> Self {
        let answer = http::get(admin, "/metrics", &[]).await;
        assert_eq!(answer.status, 200);
        let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| line.rsplit_once(' '));
        Self(series.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect())
    }

    /// The value of a series, named without the prefix; labels in the order of the exposition.
    pub fn value(&self, series: &str) -> f64 {
        let found = self.0.get(&format!("livehelp_{series}"));
        *found.unwrap_or_else(|| panic!("no series {series}"))
    }

    /// Whether anything of a family is above 0.
    fn moved(&self, family: &str) -> bool {
        let of_family = |name: &&String| {
            let bare = name.split('{').next().unwrap_or_default();
            bare == family || bare == format!("{family}_count")
        };
        self.0.iter().any(|(name, value)| of_family(&name) && *value > 0.0)
    }

    /// Scrapes until `found` is true of one.
    pub async fn until(admin: SocketAddr, found: impl Fn(&Self) -> bool) -> Self {
        for _ in 0..400 {
            let scrape = Self::of(admin).await;
            if found(&scrape) {
                return scrape;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("the metrics never said so");
    }

    /// Scrapes until one says all of this. The series are read one after the other while the
    /// server goes on, so what one of them says is no word on when another follows.
    pub async fn until_all(admin: SocketAddr, expected: &[(&str, f64)]) -> Self {
        let mut scrape = Self::of(admin).await;
        for _ in 0..400 {
            if expected.iter().all(|(series, value)| scrape.value(series) == *value) {
                return scrape;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
            scrape = Self::of(admin).await;
        }
        for (series, value) in expected {
            assert_eq!(scrape.value(series), *value, "{series}");
        }
        scrape
    }
}

/// What one calm conversation does not move; each has a test of its own.
const UNMOVED: [&str; 21] = [
    // below
    "livehelp_conversations_closed_total",
    "livehelp_queue_oldest_wait_seconds",
    "livehelp_queue_unattended_wait_seconds",
    "livehelp_integrity_checked_total",
    "livehelp_integrity_last_check_timestamp_seconds",
    // beside the code of the hub
    "livehelp_integrity_missing_total",
    // beside the code of REST
    "livehelp_sign_ins_total",
    "livehelp_keys_refused_total",
    // `audit.rs`
    "livehelp_audit_entries_total",
    // `suppression.rs`
    "livehelp_suppressions_refused_total",
    // beside the code of the bus
    "livehelp_bus_publish_duration_seconds",
    "livehelp_bus_errors_total",
    "livehelp_bus_notices_lost_total",
    // `hostile.rs`
    "livehelp_outbound_queue_bytes",
    "livehelp_outbound_queue_full_total",
    // `faults.rs`
    "livehelp_backpressure_seconds_total",
    "livehelp_store_errors_total",
    // beside the code of the store
    "livehelp_store_queue_writes",
    // `backup.rs`
    "livehelp_backup_last_success_timestamp_seconds",
    // `retention.rs`
    "livehelp_sweep_buckets_destroyed_total",
    // beside the code of the admin listener
    "livehelp_draining",
];

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, and what it leaves behind")]
async fn one_conversation_moves_every_metric_that_is_declared() {
    let server = TestServer::start_with(|config| config.conversations_per_visitor_max = 1).await;
    let mut agent = Client::agent(&server, 0).await;
    agent.available().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    agent.accept(conversation).await;
    let message = new_message();
    for _ in 0..2 {
        let request = visitor.next_request();
        visitor.send(request, conversation, message, "hello").await;
        visitor.acked(request).await;
    }
    agent.heard("hello").await;
    let seq = agent.say(conversation, "good day").await.unwrap();
    visitor.heard("good day").await;
    let request = agent.next_request();
    let body = Body::Text(Text::new("a note"));
    let visibility = Some(Visibility::Agents);
    let (message_id, seen_seq) = (new_message(), seq);
    let message = message_id;
    agent
        .tell(&ClientFrame::Send { request, conversation, message, seen_seq, body, visibility })
        .await;
    agent.acked(request).await;
    // One too many, and one that comes back.
    let request = visitor.next_request();
    let (form, second) = (protocol::limits::List::default(), crate::client::new_conversation());
    visitor
        .tell(&ClientFrame::Open { request, conversation: second, form, notice: None, page: None })
        .await;
    visitor.until(|f| matches!(f, ServerFrame::Reject { .. }).then_some(())).await;
    let token = visitor.token.clone();
    drop(visitor);
    let point = ResumePoint { conversation, seq: Seq(1), message: Some(new_message()), at: None };
    let mut back = Client::visitor(&server, token, vec![point]).await;
    back.settled().await;
    // Somebody who does not speak WebSocket, and claims another address.
    let forwarded = [("x-forwarded-for", "203.0.113.9")];
    assert_eq!(http::get(server.address, "/v1/socket", &forwarded).await.status, 426);
    let mut taker = Client::agent(&server, 1).await;
    taker.available().await;
    agent.transfer(conversation, server.agents[1]).await;
    taker.accept(conversation).await;

    let unmoved: BTreeSet<_> = UNMOVED.into_iter().collect();
    let still = |scrape: &Scrape| -> Vec<String> {
        let names = declared().into_iter().map(|metric| metric.name);
        names.filter(|name| !unmoved.contains(name.as_str()) && !scrape.moved(name)).collect()
    };
    let scrape = Scrape::until(server.admin, |scrape| {
        still(scrape).is_empty() && scrape.value(r#"agents{state="available"}"#) == 2.0
    });
    let waited = tokio::time::timeout(std::time::Duration::from_secs(15), scrape).await;
    let Ok(_) = waited else {
        panic!("nobody feeds {:?}", still(&Scrape::of(server.admin).await));
    };
    let expected = [
        (r#"messages_received_total{kind="text",role="visitor"}"#, 1.0),
        (r#"messages_received_total{kind="text",role="agent"}"#, 1.0),
        (r#"messages_received_total{kind="note",role="agent"}"#, 1.0),
        (r#"messages_delivered_total{kind="text",role="visitor"}"#, 1.0),
        (r#"messages_delivered_total{kind="text",role="agent"}"#, 1.0),
        (r#"messages_delivered_total{kind="note",role="visitor"}"#, 0.0),
        ("duplicates_dropped_total", 1.0),
        ("ack_latency_seconds_count", 4.0),
        ("first_response_seconds_count", 1.0),
        (r#"queue_wait_seconds_count{outcome="accepted"}"#, 1.0),
        (r#"queue_wait_seconds_count{outcome="abandoned"}"#, 0.0),
        (r#"conversations_opened_total{how="chat"}"#, 1.0),
        (r#"offers_total{result="accepted"}"#, 2.0),
        ("bus_up", 1.0),
        ("rooms", 1.0),
        ("desks", 1.0),
        (r#"conversations_assigned_total{how="offer"}"#, 1.0),
        (r#"conversations_assigned_total{how="transfer"}"#, 1.0),
        (r#"conversations{state="active"}"#, 1.0),
        (r#"connections{role="visitor",transport="websocket-msgpack"}"#, 1.0),
        (r#"connections{role="agent",transport="websocket-msgpack"}"#, 2.0),
        (r#"connection_opens_total{role="visitor",transport="websocket-msgpack"}"#, 2.0),
        (r#"connection_closes_total{reason="gone",role="visitor"}"#, 1.0),
        (r#"resumes_total{result="reset"}"#, 1.0),
        (r#"message_errors_total{code="limit-reached"}"#, 1.0),
        (r#"rate_limited_total{scope="conversations"}"#, 1.0),
        (r#"connections{role="new",transport="websocket-msgpack"}"#, 0.0),
        (r#"handshake_failures_total{reason="upgrade"}"#, 1.0),
        ("sweep_clock_trusted", 1.0),
        ("config_last_reload_success", 1.0),
    ];
    let scrape = Scrape::until_all(server.admin, &expected).await;
    let ids = [server.site_key.to_string(), conversation.to_string(), server.agents[0].to_string()];
    for name in scrape.0.keys() {
        assert!(!ids.iter().any(|id| name.contains(id.as_str())), "{name}");
    }
    server.stop().await;
}

/// The sum of a family's series that have all of these labels.
fn sum(scrape: &Scrape, family: &str, labels: &[&str]) -> f64 {
    let begins = format!("livehelp_{family}{{");
    let has = |name: &str| name.starts_with(&begins) && labels.iter().all(|l| name.contains(l));
    scrape.0.iter().filter(|(name, _)| has(name)).map(|(_, value)| value).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn users_requests_probes_sockets_and_what_is_not_there_are_told_apart() {
    let server = TestServer::start().await;
    for path in ["/livez", "/readyz", "/startupz", "/version"] {
        // Not ready yet is an answer, too.
        http::get(server.admin, path, &[]).await;
    }
    assert_eq!(http::get(server.admin, "/v1/socket", &[]).await.status, 426);
    assert_eq!(http::get(server.address, "/v1/nothing", &[]).await.status, 404);
    let _visitor = Client::visitor(&server, None, vec![]).await;
    let _agent = Client::agent(&server, 0).await;
    let sockets = [r#"listener="public""#, r#"route="/v1/socket""#, r#"code="101""#];
    let timed = r#"http_request_duration_seconds_count{listener="public",route="/v1/socket"}"#;
    let scrape = Scrape::until(server.admin, |scrape| {
        sum(scrape, "http_requests_total", &sockets) == 2.0
            && sum(scrape, "http_requests_total", &[r#"listener="public""#]) == 3.0
            && scrape.value(timed) == 2.0
    })
    .await;
    let count = |labels: &[&str]| sum(&scrape, "http_requests_total", labels);
    assert_eq!(count(&[r#"listener="public""#, r#"route="unmatched""#, r#"code="404""#]), 1.0);
    assert_eq!(count(&[r#"listener="public""#]), 3.0, "no probe is a user's request");
    for path in ["/livez", "/readyz", "/startupz", "/version"] {
        let route = format!(r#"route="{path}""#);
        assert_eq!(count(&[r#"listener="admin""#, &route]), 1.0, "{path}");
    }
    assert_eq!(count(&[r#"listener="admin""#, r#"route="unmatched""#]), 1.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_new_until_its_hello_and_counts_as_new_if_it_never_comes() {
    let server = TestServer::start_with(|config| config.hello_timeout_ms = 60_000).await;
    let new = r#"connections{role="new",transport="websocket-msgpack"}"#;
    let closed = r#"connection_closes_total{reason="gone",role="new"}"#;
    let silent = Client::connect(&server, &[("origin", SHOP)]).await;
    Scrape::until_all(server.admin, &[(new, 1.0), (closed, 0.0)]).await;
    drop(silent);
    let scrape = Scrape::until_all(server.admin, &[(new, 0.0), (closed, 1.0)]).await;
    assert_eq!(sum(&scrape, "connection_opens_total", &[]), 0.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_seen_and_a_wait_that_nobody_ends_is_told_as_abandoned() {
    let clock = Arc::new(ManualClock::new(UnixMillis(1_790_000_000_000)));
    let handed = Arc::clone(&clock);
    let server = TestServer::start_as(|setup| setup.clock = handed).await;
    // Somebody is there, so that it is a talk; their one place is taken.
    let mut agent = Client::agent(&server, 0).await;
    let request = agent.next_request();
    let availability = protocol::conversation::Availability::Available;
    agent.tell(&ClientFrame::Availability { request, availability, capacity: Some(1) }).await;
    agent.acked(request).await;
    let mut first = Client::visitor(&server, None, vec![]).await;
    let served = first.open().await;
    agent.accept(served).await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    clock.advance_ms(7_000);
    let queued = r#"conversations{state="queued"}"#;
    let expected = [
        ("queue_oldest_wait_seconds", 7.0),
        (queued, 1.0),
        (r#"conversations_opened_total{how="chat"}"#, 2.0),
    ];
    Scrape::until_all(server.admin, &expected).await;
    let request = visitor.next_request();
    visitor.tell(&ClientFrame::Close { request, conversation }).await;
    visitor.acked(request).await;
    let expected = [
        ("queue_oldest_wait_seconds", 0.0),
        (queued, 0.0),
        (r#"queue_wait_seconds_count{outcome="accepted"}"#, 1.0),
        (r#"queue_wait_seconds_count{outcome="abandoned"}"#, 1.0),
        (r#"queue_wait_seconds_sum{outcome="abandoned"}"#, 7.0),
        (r#"conversations_closed_total{how="visitor"}"#, 1.0),
        (r#"conversations_closed_total{how="agent"}"#, 0.0),
    ];
    Scrape::until_all(server.admin, &expected).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_left_at_night_is_left_and_not_queued() {
    let server = TestServer::start().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    visitor.open().await;
    let expected = [
        (r#"conversations{state="left"}"#, 1.0),
        (r#"conversations{state="queued"}"#, 0.0),
        ("queue_oldest_wait_seconds", 0.0),
        (r#"conversations_opened_total{how="left"}"#, 1.0),
        (r#"conversations_opened_total{how="chat"}"#, 0.0),
    ];
    Scrape::until_all(server.admin, &expected).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_on_disk_and_what_is_left_for_it_is_told_file_by_file() {
    let server = TestServer::start().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    visitor.say(conversation, "hello").await.unwrap();
    let bytes = |file: &str| std::fs::metadata(server.folder.path().join(file)).unwrap().len();
    let (journal, reserve) = (bytes("data/livehelp.journal"), bytes("data/livehelp.reserve"));
    let scrape = Scrape::until(server.admin, |scrape| {
        let told = |file: &str| scrape.value(&format!(r#"store_bytes{{file="{file}"}}"#));
        told("journal") == journal as f64
            && told("reserve") == reserve as f64
            && told("database") >= 4_096.0
            && told("log") >= 0.0
            && told("keys") >= 4_096.0
    })
    .await;
    assert!(journal > 0 && reserve > 0);
    for folder in ["data", "keys"] {
        let free = scrape.value(&format!(r#"disk_free_bytes{{folder="{folder}"}}"#));
        let found = free_by_df(server.folder.path());
        assert!(free > 0.0 && (free - found).abs() < 2e9, "{folder}: {free}, {found}");
    }
    assert!(scrape.value("schema_version") >= 9.0);
    server.stop().await;
}

/// What `df` says of a folder's file system.
fn free_by_df(folder: &std::path::Path) -> f64 {
    let said = Command::new("df").args(["--output=avail", "-B1"]).arg(folder).output().unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    text.lines().nth(1).unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_in_force_are_told() {
    let server = TestServer::start_with(|config| {
        config.connections_max = 321;
        config.connections_per_ip_max = 45;
        config.handshakes_per_ip_max = 44;
        config.store_queue_max = 123;
        config.outbox_frames_max = 77;
        config.outbox_bytes_max = 70_000;
        config.body_bytes_max = 60_000;
        config.conversations_per_visitor_max = 9;
    })
    .await;
    let scrape = Scrape::of(server.admin).await;
    for (name, value) in [
        ("connections", 321.0),
        ("connections_per_ip", 45.0),
        ("handshakes_per_ip", 44.0),
        ("store_queue", 123.0),
        ("outbox_frames", 77.0),
        ("outbox_bytes", 70_000.0),
        ("body_bytes", 60_000.0),
        ("conversations_per_visitor", 9.0),
        ("open_files", scrape.0["process_max_fds"]),
    ] {
        assert_eq!(scrape.value(&format!(r#"limit{{name="{name}"}}"#)), value, "{name}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_acked_is_read_back_from_the_store_later() {
    let clock = Arc::new(ManualClock::new(UnixMillis(1_790_000_000_000)));
    let handed = Arc::clone(&clock);
    let server = TestServer::start_as(|setup| setup.clock = handed).await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    visitor.say(conversation, "remember me").await.unwrap();
    // Whichever of the first messages is remembered; its time comes ten minutes later.
    let scrape = Scrape::until(server.admin, |scrape| {
        clock.advance_ms(60_000);
        scrape.value("integrity_checked_total") >= 1.0
    })
    .await;
    assert_eq!(scrape.value("integrity_missing_total"), 0.0);
    assert!(scrape.value("integrity_last_check_timestamp_seconds") >= 1_790_000_600.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_to_say_about_the_metrics() {
    let server = TestServer::start().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    visitor.say(conversation, "hello").await.unwrap();
    let text = http::get(server.admin, "/metrics", &[]).await.body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.trim().is_empty(), "{words}");
    server.stop().await;
}

mod slow {
    use super::*;

    /// Conversations of the load below; a server with ten times as many says no more, for no series
    /// is of one.
    const CONVERSATIONS: usize = 1_000;
    const PER_VISITOR: usize = 50;

    /// Routes that a busy server answers: each of its contracts, asked for by everybody.
    fn routes(openapi: &serde_json::Value) -> Vec<(String, String)> {
        let mut routes = Vec::new();
        for (template, item) in openapi["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                // Ids of the right form, of nothing that is here.
                let parts = template.split('/').map(|part| match part {
                    part if part.starts_with('{') => "0190b4c2-7a3f-7cc1-9d4e-5b2a6f708192",
                    part => part,
                });
                let path = parts.collect::<Vec<_>>().join("/");
                if ["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                    routes.push((method.to_uppercase(), path));
                }
            }
        }
        routes
    }

    fn contract(file: &str) -> serde_json::Value {
        let path = format!("{}/../docs/{file}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn after_many_conversations_a_scrape_has_1500_series_and_200_kb_at_most() {
        let server = TestServer::start_with(|config| {
            config.conversations_per_visitor_max = PER_VISITOR;
            config.conversations_per_ip_hour_max = 1_000_000;
            config.connections_per_ip_max = 1_000;
            config.handshakes_per_ip_max = 1_000;
        })
        .await;
        let talks = (0..CONVERSATIONS / PER_VISITOR).map(|_| async {
            let mut visitor = Client::visitor(&server, None, vec![]).await;
            for _ in 0..PER_VISITOR {
                let conversation = visitor.open().await;
                visitor.say(conversation, "hello").await.unwrap();
            }
            visitor
        });
        let mut visitors = futures_util::future::join_all(talks).await;
        let mut agent = Client::agent(&server, 0).await;
        agent.available().await;
        agent.settled().await;
        for (address, file, headers) in [
            (server.address, "openapi.json", ("cookie", "livehelp_session=lhs_first".to_owned())),
            (
                server.admin,
                "openapi-admin.json",
                ("authorization", format!("Bearer {OPERATOR_KEY}")),
            ),
        ] {
            let own = (headers.0, headers.1.as_str());
            for (method, path) in routes(&contract(file)) {
                for headers in [&[own][..], &[]] {
                    http::ask(address, &method, &path, headers, "").await;
                    http::ask(address, &method, &path, headers, "{}").await;
                }
            }
        }
        visitors.truncate(1);
        let (mut text, mut took) = (String::new(), std::time::Duration::MAX);
        for _ in 0..20 {
            let begun = SystemClock.instant();
            text = http::get(server.admin, "/metrics", &[]).await.body;
            took = took.min(SystemClock.instant().saturating_duration_since(begun));
        }
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        println!("{CONVERSATIONS} conversations: {series} series, {} bytes, {took:?}", text.len());
        assert!(series <= 1_500, "{series} series");
        assert!(text.len() <= 200 * 1024, "{} bytes", text.len());
        server.stop().await;
    }
}

//! What the server counts moves when the thing happens, and no metric is declared that nobody feeds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use livehelp::metrics::declared;
use protocol::conversation::ResumePoint;
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::message::{Body, Seq, Visibility};
use protocol::personal::Text;

use crate::client::{Client, new_message};
use crate::http;
use crate::server::TestServer;

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
}

/// What one calm conversation does not move; each has a test of its own.
const UNMOVED: [&str; 8] = [
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
    let Ok(scrape) = waited else {
        panic!("nobody feeds {:?}", still(&Scrape::of(server.admin).await));
    };
    for (series, value) in [
        (r#"messages_received_total{kind="text",role="visitor"}"#, 1.0),
        (r#"messages_received_total{kind="text",role="agent"}"#, 1.0),
        (r#"messages_received_total{kind="note",role="agent"}"#, 1.0),
        (r#"messages_delivered_total{kind="text",role="visitor"}"#, 1.0),
        (r#"messages_delivered_total{kind="text",role="agent"}"#, 1.0),
        (r#"messages_delivered_total{kind="note",role="visitor"}"#, 0.0),
        ("duplicates_dropped_total", 1.0),
        ("ack_latency_seconds_count", 4.0),
        ("first_response_seconds_count", 1.0),
        ("queue_wait_seconds_count", 1.0),
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
        (r#"handshake_failures_total{reason="upgrade"}"#, 1.0),
        ("sweep_clock_trusted", 1.0),
        ("config_last_reload_success", 1.0),
    ] {
        assert_eq!(scrape.value(series), value, "{series}");
    }
    let ids = [server.site_key.to_string(), conversation.to_string(), server.agents[0].to_string()];
    for name in scrape.0.keys() {
        assert!(!ids.iter().any(|id| name.contains(id.as_str())), "{name}");
    }
    server.stop().await;
}

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

#[test]
fn the_document_lists_what_is_declared() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == document(),
        "docs/metrics.md is stale: cargo run -p livehelp --example reference docs"
    );
}

#[test]
fn every_name_says_its_kind_and_unit() {
    let mut names = BTreeSet::new();
    for metric in declared() {
        let name = metric.name.as_str();
        assert!(names.insert(name.to_owned()), "{name} is declared twice");
        assert_eq!(metric.kind == "counter", name.ends_with("_total"), "{name}");
        assert!(metric.help.ends_with('.'), "{name}: help is a sentence");
        let base = ["seconds", "bytes", "messages", "recipients"];
        let united = base.iter().any(|unit| name.ends_with(unit));
        assert!(metric.kind != "histogram" || united, "{name} has no unit");
        for (label, values) in &metric.labels {
            assert!(!["tenant", "site", "room", "user", "ip", "url"].contains(label));
            assert!(values.len() <= 20, "{name}: too many values of {label}");
        }
    }
}

#[tokio::test]
async fn every_label_value_is_there_at_0_before_anything_happens() {
    let text = Metrics::new().render();
    for line in [
        r#"livehelp_connection_opens_total{role="visitor",transport="websocket-msgpack"} 0"#,
        r#"livehelp_connection_closes_total{reason="no_pong",role="agent"} 0"#,
        r#"livehelp_message_errors_total{code="too-fast"} 0"#,
        r#"livehelp_store_errors_total{op="commit"} 0"#,
        r#"livehelp_ack_latency_seconds_bucket{le="0.5"} 0"#,
        "livehelp_draining 0",
        "livehelp_backpressure_seconds_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line}\n{text}");
    }
    for name in ["build_info", "tasks", "worker_busy_seconds_total"] {
        assert!(text.contains(&format!("\nlivehelp_{name}")), "{name}");
    }
    for name in ["process_open_fds", "process_max_fds", "process_cpu_seconds_total"] {
        assert!(text.contains(&format!("\n{name} ")), "{name}");
    }
}

/// What the document says of a label's values: those that it lists, and all pairs of two labels,
/// are there.
#[tokio::test]
async fn every_label_value_that_the_document_lists_is_there_from_the_start() {
    let text = Metrics::new().render();
    for metric in declared() {
        let Some((first, second)) = pairs(&metric.labels) else {
            let begun = format!("\n{}{{", metric.name);
            assert!(!text.contains(&begun), "{} has values that the list lacks", metric.name);
            continue;
        };
        let histogram = if metric.kind == "histogram" { "_count" } else { "" };
        let begins = format!("{}{histogram}", metric.name);
        let found: Vec<_> =
            text.lines().filter(|line| bare(line) == begins && line.ends_with(" 0")).collect();
        assert_eq!(found.len(), first.len().max(1) * second.len().max(1), "{begins}\n{found:?}");
        for value in first.iter().chain(second) {
            let value = format!("=\"{value}\"");
            assert!(found.iter().any(|line| line.contains(&value)), "{begins} lacks {value}");
        }
    }
}

type Values<'l> = &'l [&'static str];

/// The values of both labels; `None` where they are not listed.
fn pairs<'l>(labels: &'l [(&'static str, Vec<&'static str>)]) -> Option<(Values<'l>, Values<'l>)> {
    let listed = |at: usize| labels.get(at).map_or(&[][..], |(_, values)| values.as_slice());
    let unlisted = labels.iter().any(|(_, values)| values.is_empty());
    (!unlisted).then(|| (listed(0), listed(1)))
}

fn bare(line: &str) -> &str {
    line.split(['{', ' ']).next().unwrap_or_default()
}

#[tokio::test]
async fn the_cpu_of_the_process_is_told_in_parts_of_a_second() {
    let metrics = Metrics::new();
    let told = || -> f64 {
        let text = metrics.render();
        let line = text.lines().find(|line| line.starts_with("process_cpu_seconds_total "));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap()
    };
    let (before, mut after) = (told(), told());
    while after <= before {
        after = told();
    }
    assert!(after - before < 0.5, "{before} {after}");
}

#[tokio::test]
async fn what_is_counted_is_found_under_its_own_labels() {
    let metrics = Metrics::new();
    for role in [Peer::Visitor, Peer::Agent, Peer::New] {
        for ending in
            [Ending::Done, Ending::Elsewhere, Ending::from(protocol::reject::CloseCode::Idle)]
        {
            metrics.connection_closes_total.of(role, ending).inc();
        }
    }
    metrics.message_errors_total.of(RejectCode::Overload).add(3);
    metrics.agents.of(Availability::Away).set(2);
    metrics.ack_latency_seconds.observe(Duration::from_millis(250));
    metrics.store_write_duration_seconds.of(WriteOp::Sweep).observe(Duration::from_millis(3));
    metrics.http_requests_total.inc(Listener::Public, "/v1/sites/{site_id}", "GET", 404);
    metrics.store_bytes.of(File::Journal).set(7);
    metrics.disk_free_bytes.of(Folder::Keys).set(8);
    metrics.queue_wait_seconds.of(Wait::Abandoned).observe(Duration::from_secs(40));
    metrics.offers_total.of(OfferEnd::Missed).inc();
    let text = metrics.render();
    for line in [
        r#"livehelp_connection_closes_total{reason="elsewhere",role="new"} 1"#,
        r#"livehelp_store_bytes{file="journal"} 7"#,
        r#"livehelp_disk_free_bytes{folder="keys"} 8"#,
        r#"livehelp_queue_wait_seconds_bucket{outcome="abandoned",le="60"} 1"#,
        r#"livehelp_queue_wait_seconds_count{outcome="accepted"} 0"#,
        r#"livehelp_offers_total{result="missed"} 1"#,
        r#"livehelp_connection_closes_total{reason="idle",role="agent"} 1"#,
        r#"livehelp_connection_closes_total{reason="done",role="visitor"} 1"#,
        r#"livehelp_connection_closes_total{reason="gone",role="visitor"} 0"#,
        r#"livehelp_message_errors_total{code="overload"} 3"#,
        r#"livehelp_agents{state="away"} 2"#,
        r#"livehelp_ack_latency_seconds_bucket{le="0.1"} 0"#,
        r#"livehelp_ack_latency_seconds_bucket{le="0.25"} 1"#,
        r#"livehelp_store_write_duration_seconds_count{op="sweep"} 1"#,
        r#"livehelp_http_requests_total{code="404",listener="public",method="GET",route="/v1/sites/{site_id}"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line}\n{text}");
    }
}

#[tokio::test]
async fn a_full_server_stays_within_1500_series_and_200_kb() {
    let metrics = Metrics::new();
    // More routes than the two listeners have, each with the answers that it can give.
    for route in 0..70 {
        let route = format!("/v1/some/long/template/{{of_a_route_{route}}}");
        for code in [200, 401, 403, 404, 422] {
            metrics.http_requests_total.inc(Listener::Public, &route, "GET", code);
        }
        let took = Duration::from_millis(1);
        metrics.http_request_duration_seconds.observe(Listener::Public, &route, took);
    }
    let text = metrics.render();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series <= 1_500, "{series} series");
    assert!(text.len() <= 200 * 1024, "{} bytes", text.len());
}

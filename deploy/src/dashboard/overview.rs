//! Whether all is well, and who waits: the first look, at an alert or in the morning.

use crate::dashboard::{Dashboard, Row};
use crate::panel::Colour::{Green, Red, Yellow};
use crate::panel::Panel;
use crate::panel::Unit::{Bytes, Count, PerSecond, Seconds, Share};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "livehelp-overview",
        title: "livehelp: overview",
        about: "Whether livehelp is well, keeps its objectives, and who waits.",
        rows: vec![now(), state(), objectives(), people(), load()],
    }
}

fn now() -> Row {
    Row::new("Now").figures([
        Panel::figure("Instances up", Count, "Instances that answer Prometheus.")
            .ground(Red)
            .mark(1.0, Green)
            .query("sum(up{$})", "up"),
        Panel::figure(
            "Alerts firing",
            Count,
            "Alerts of deploy/prometheus/rules that fire, pages and tickets together.",
        )
        .mark(1.0, Red)
        .query(
            r#"count(ALERTS{alertstate="firing",alertname=~"Livehelp.+",$}) or vector(0)"#,
            "firing",
        ),
        Panel::figure("Connections", Count, "Open sockets of visitors and agents.")
            .query("sum(livehelp_connections{$})", "connections"),
        Panel::figure(
            "Conversations in hand",
            Count,
            "Queued, offered or active. Messages left while nobody was there do not count.",
        )
        .query(r#"sum(livehelp_conversations{state=~"queued|offered|active",$})"#, "conversations"),
        Panel::figure(
            "Longest wait now",
            Seconds,
            "How long the visitor has waited who waits longest. 0: nobody waits.",
        )
        .mark(60.0, Yellow)
        .mark(300.0, Red)
        .query("max(livehelp_queue_oldest_wait_seconds{$})", "longest wait"),
        Panel::figure(
            "Agents available",
            Count,
            "Agents with a connection who take conversations.",
        )
        .ground(Yellow)
        .mark(1.0, Green)
        .query(r#"sum(livehelp_agents{state="available",$})"#, "available"),
    ])
}

fn state() -> Row {
    Row::new("State").figures([
        Panel::figure("Version", Count, "Version and commit of each instance.")
            .by_name()
            .query("livehelp_build_info{$}", "{{version}} {{commit}}"),
        Panel::figure("Up for", Seconds, "Since the newest start.")
            .query("time() - max(process_start_time_seconds{$})", "up for"),
        Panel::figure(
            "Draining",
            Count,
            "Whether an instance moves its clients elsewhere, as before it stops.",
        )
        .words(&[("0", "no"), ("1", "yes")])
        .mark(1.0, Yellow)
        .query("max(livehelp_draining{$})", "draining"),
        Panel::figure(
            "Age of the backup",
            Seconds,
            "Since the last backup that this server made and verified.",
        )
        .words(&[("0", "none known")])
        .mark(129_600.0, Yellow)
        .mark(172_800.0, Red)
        .query(
            "(time() - min(livehelp_backup_last_success_timestamp_seconds{$})) \
             * (min(livehelp_backup_last_success_timestamp_seconds{$}) > bool 0)",
            "age",
        ),
        Panel::figure(
            "Certificate ends in",
            Seconds,
            "Until the certificate of the public listener is no longer valid.",
        )
        .words(&[("0", "no TLS here")])
        .query(
            "(min(livehelp_tls_certificate_expiry_timestamp_seconds{$} > 0) - time()) or vector(0)",
            "ends in",
        ),
        Panel::figure(
            "Acked and missing",
            Count,
            "Acked messages that the self-audit did not find again since the start. Any is \
             an incident.",
        )
        .mark(1.0, Red)
        .query("sum(livehelp_integrity_missing_total{$})", "missing"),
    ])
}

fn objectives() -> Row {
    Row::new("Objectives (recorded by deploy/prometheus/rules)")
        .graphs([
            Panel::lines(
                "Burn rate over an hour",
                Count,
                "How many times faster than allowed the error budget of 30 days is used up. \
                 It pages at 14.4 and at 6.",
            )
            .mark(6.0, Yellow)
            .mark(14.4, Red)
            .query(r#"job:livehelp_slo_burn:ratio1h{job=~"$job"}"#, "{{slo}}"),
            Panel::lines(
                "Error budget left of 30 days",
                Share,
                "1: nothing used. 0: used up. Prometheus must keep its data for 30 days for this.",
            )
            .most(1.0)
            .query(r#"clamp_min(1 - job:livehelp_slo_burn:ratio30d{job=~"$job"}, 0)"#, "{{slo}}"),
        ])
        .graphs([
            Panel::lines(
                "Delivered late",
                Share,
                "Share of messages that reached a reader on this node after more than 250 ms \
                 (0.1 % may) or 50 ms (1 % may).",
            )
            .mark(0.001, Yellow)
            .mark(0.01, Red)
            .query(&after("delivery_latency_seconds", "0.25"), "after 250 ms")
            .query(&after("delivery_latency_seconds", "0.05"), "after 50 ms"),
            Panel::lines(
                "Acked late",
                Share,
                "Share of acked messages that were on disk after more than 500 ms. 0.1 % may.",
            )
            .mark(0.001, Red)
            .query(&after("ack_latency_seconds", "0.5"), "after 500 ms"),
            Panel::lines(
                "Connects refused by us",
                PerSecond,
                "Connections turned away for want of room, and hellos that could not be answered.",
            )
            .query(
                r#"sum(rate(livehelp_handshake_failures_total{reason="connections_max",$}[$]))"#,
                "no room",
            )
            .query(
                r#"sum(rate(livehelp_connection_closes_total{role="new",reason="overload",$}[$]))"#,
                "hello not answered",
            ),
        ])
}

/// The part of what a histogram counted that lies above a bound.
fn after(histogram: &str, bound: &str) -> String {
    format!(
        "1 - sum(rate(livehelp_{histogram}_bucket{{le=\"{bound}\",$}}[$])) \
         / sum(rate(livehelp_{histogram}_count{{$}}[$]))"
    )
}

fn people() -> Row {
    Row::new("People")
        .graphs([
            Panel::lines(
                "Conversations",
                Count,
                "Those that are not closed, by where they stand. `left`: a message left \
                 while nobody was there.",
            )
            .stacked()
            .query("sum by (state) (livehelp_conversations{$})", "{{state}}"),
            Panel::lines(
                "Longest wait",
                Seconds,
                "How long the visitor has waited who waits longest, by instance.",
            )
            .mark(300.0, Red)
            .query("max by (instance) (livehelp_queue_oldest_wait_seconds{$})", "{{instance}}"),
            Panel::lines("Agents", Count, "Agents with a connection, by what they chose.")
                .stacked()
                .query("sum by (state) (livehelp_agents{$})", "{{state}}"),
        ])
        .graphs([
            Panel::lines(
                "Opened and closed",
                PerSecond,
                "Conversations begun and ended, for each second.",
            )
            .query("sum(rate(livehelp_conversations_opened_total{$}[$]))", "opened")
            .query("sum(rate(livehelp_conversations_closed_total{$}[$]))", "closed"),
            Panel::lines(
                "Wait for an agent, 90th percentile",
                Seconds,
                "Nine of ten waits were over by then: accepted, or abandoned.",
            )
            .quantile_by("0.9", "livehelp_queue_wait_seconds", "outcome"),
            Panel::lines(
                "First answer",
                Seconds,
                "From a visitor's first message to an agent's first.",
            )
            .quantiles("livehelp_first_response_seconds"),
        ])
}

fn load() -> Row {
    Row::new("Load")
        .graphs([
            Panel::lines("Connections by role", Count, "Open sockets. `new`: before its hello.")
                .stacked()
                .query("sum by (role) (livehelp_connections{$})", "{{role}}"),
            Panel::lines(
                "Messages",
                PerSecond,
                "Taken from their senders, and handed to their readers.",
            )
            .query("sum(rate(livehelp_messages_received_total{$}[$]))", "received")
            .query("sum(rate(livehelp_messages_delivered_total{$}[$]))", "delivered"),
            Panel::lines(
                "Refused",
                PerSecond,
                "Frames refused, requests answered with a server's error, and what came too fast.",
            )
            .query("sum(rate(livehelp_message_errors_total{$}[$]))", "frames")
            .query(
                r#"sum(rate(livehelp_http_requests_total{listener="public",code=~"5..",$}[$])) or vector(0)"#,
                "5xx",
            )
            .query("sum(rate(livehelp_rate_limited_total{$}[$]))", "too fast"),
        ])
        .graphs([
            Panel::lines(
                "Delivery and ack, 99th percentile",
                Seconds,
                "From the frame read to the last write to a reader, and to the durable ack.",
            )
            .query(&p99("delivery_latency_seconds"), "delivery")
            .query(&p99("ack_latency_seconds"), "ack"),
            Panel::lines("CPU", Share, "Of one core, by instance.")
                .query("sum by (instance) (rate(process_cpu_seconds_total{$}[$]))", "{{instance}}"),
            Panel::lines("Memory", Bytes, "Resident, by instance.")
                .query("sum by (instance) (process_resident_memory_bytes{$})", "{{instance}}"),
        ])
}

fn p99(histogram: &str) -> String {
    format!("histogram_quantile(0.99, sum by (le) (rate(livehelp_{histogram}_bucket{{$}}[$])))")
}

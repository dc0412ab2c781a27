//! Sockets, messages, flow control, the work of agents, REST: rate, errors and duration of each.

use crate::dashboard::{Dashboard, Row};
use crate::panel::Colour::{Red, Yellow};
use crate::panel::Panel;
use crate::panel::Unit::{Bytes, Count, PerSecond, Seconds, Share};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "livehelp-messages",
        title: "livehelp: connections and messages",
        about: "Sockets, messages, flow control, the work of agents, REST.",
        rows: vec![connections(), messages(), flow(), work(), people(), rest()],
    }
}

fn connections() -> Row {
    Row::new("Connections")
        .graphs([
            Panel::lines(
                "Open",
                Count,
                "Open sockets by role and subprotocol. `new`: before its hello.",
            )
            .stacked()
            .query("sum by (role, transport) (livehelp_connections{$})", "{{role}} {{transport}}"),
            Panel::lines(
                "Opened",
                PerSecond,
                "Hellos accepted. Many at once: clients come back from something.",
            )
            .rates("livehelp_connection_opens_total", "role"),
            Panel::lines(
                "Closed, by reason",
                PerSecond,
                "`gone`: the other end left without a word, as browsers do. `too_slow`: a \
                 reader slower than its frames.",
            )
            .rates("livehelp_connection_closes_total", "reason"),
        ])
        .graphs([
            Panel::lines(
                "Handshakes that failed",
                PerSecond,
                "Connections that never became a request or a socket, by reason.",
            )
            .rates("livehelp_handshake_failures_total", "reason"),
            Panel::lines(
                "Handshake",
                Seconds,
                "From the accepted connection to the answered upgrade, TLS included.",
            )
            .quantiles("livehelp_handshake_duration_seconds"),
            Panel::lines("Life of a connection", Seconds, "From its hello to its end.")
                .quantiles("livehelp_connection_duration_seconds"),
        ])
        .graphs([
            Panel::lines(
                "Resumed",
                PerSecond,
                "Conversations that a client took up again. `reset`: it got the newest page \
                 in place of what it missed.",
            )
            .rates("livehelp_resumes_total", "result"),
            Panel::lines(
                "Used of the limits",
                Share,
                "Open connections, and open files, against their limit in force.",
            )
            .mark(0.8, Yellow)
            .query(
                "sum by (instance) (livehelp_connections{$}) \
                 / sum by (instance) (livehelp_limit{name=\"connections\",$})",
                "{{instance}} connections",
            )
            .query(
                "sum by (instance) (process_open_fds{$}) / sum by (instance) (process_max_fds{$})",
                "{{instance}} open files",
            ),
        ])
}

fn messages() -> Row {
    Row::new("Messages")
        .graphs([
            Panel::lines("Received", PerSecond, "Taken from their senders, by role and kind.")
                .query(
                    "sum by (role, kind) (rate(livehelp_messages_received_total{$}[$])) > 0",
                    "{{role}} {{kind}}",
                ),
            Panel::lines(
                "Delivered",
                PerSecond,
                "Handed to their readers' outboxes, by the reader's role and kind.",
            )
            .query(
                "sum by (role, kind) (rate(livehelp_messages_delivered_total{$}[$])) > 0",
                "{{role}} {{kind}}",
            ),
            Panel::lines(
                "Refused, by code",
                PerSecond,
                "`store-unavailable` and `overload` are ours; most others are the client's.",
            )
            .rates("livehelp_message_errors_total", "code"),
        ])
        .graphs([
            Panel::lines(
                "Delivery",
                Seconds,
                "From the frame read to the last write on this node.",
            )
            .mark(0.25, Red)
            .quantiles("livehelp_delivery_latency_seconds"),
            Panel::lines("Ack", Seconds, "From the frame read to the durable ack.")
                .mark(0.5, Red)
                .quantiles("livehelp_ack_latency_seconds"),
            Panel::lines(
                "Sent again",
                PerSecond,
                "Messages that had been taken before: acked once more, stored once.",
            )
            .query("sum(rate(livehelp_duplicates_dropped_total{$}[$]))", "sent again"),
        ])
        .graphs([
            Panel::lines("Size", Bytes, "Bytes of a message's text.")
                .quantiles("livehelp_message_size_bytes"),
            Panel::lines(
                "Readers of a message",
                Count,
                "Connections on this node that one went to.",
            )
            .quantiles("livehelp_fanout_recipients"),
        ])
}

fn flow() -> Row {
    Row::new("Flow control")
        .graphs([
            Panel::lines("Waiting for slow readers", Bytes, "What lies in outboxes, by instance.")
                .query("sum by (instance) (livehelp_outbound_queue_bytes{$})", "{{instance}}"),
            Panel::lines(
                "Full outboxes",
                PerSecond,
                "`dropped`: a frame that may be missed was left out. `closed`: the \
                 connection was ended, and comes back.",
            )
            .rates("livehelp_outbound_queue_full_total", "action"),
        ])
        .graphs([
            Panel::lines("Too fast", PerSecond, "Refused because they came too fast, by what.")
                .rates("livehelp_rate_limited_total", "scope"),
            Panel::lines(
                "Senders held back",
                Seconds,
                "Time in each second for which senders waited for room in the store's queue, \
                 all together.",
            )
            .query("sum(rate(livehelp_backpressure_seconds_total{$}[$]))", "held back"),
        ])
}

fn work() -> Row {
    Row::new("Work")
        .graphs([
            Panel::lines(
                "Opened, by how",
                PerSecond,
                "`left`: a message left while nobody was there.",
            )
            .rates("livehelp_conversations_opened_total", "how"),
            Panel::lines("Closed, by how", PerSecond, "Who or what ended conversations.")
                .rates("livehelp_conversations_closed_total", "how"),
            Panel::lines("Assigned, by how", PerSecond, "How agents came by conversations.")
                .rates("livehelp_conversations_assigned_total", "how"),
        ])
        .graphs([
            Panel::lines(
                "Offers, by result",
                PerSecond,
                "`missed`: the agent said nothing in time. `withdrawn`: the visitor left, or \
                 somebody else took it.",
            )
            .rates("livehelp_offers_total", "result"),
            Panel::lines(
                "Wait of those accepted",
                Seconds,
                "From the wait's begin to an agent's accept.",
            )
            .query(&wait("0.5", "accepted"), "median")
            .query(&wait("0.9", "accepted"), "p90")
            .query(&wait("0.99", "accepted"), "p99"),
            Panel::lines("Waits abandoned", PerSecond, "Waits that ended without an agent.").query(
                r#"sum(rate(livehelp_queue_wait_seconds_count{outcome="abandoned",$}[$]))"#,
                "abandoned",
            ),
        ])
        .graphs([
            Panel::lines(
                "Longest wait",
                Seconds,
                "How long the visitor has waited who waits longest, and who waits longest where no \
                 agent of their Organization is available.",
            )
            .mark(300.0, Red)
            .query("max by (instance) (livehelp_queue_oldest_wait_seconds{$})", "{{instance}}")
            .query(
                "max by (instance) (livehelp_queue_unattended_wait_seconds{$})",
                "{{instance}}, nobody available",
            ),
            Panel::lines(
                "First answer",
                Seconds,
                "From a visitor's first message to an agent's first.",
            )
            .quantiles("livehelp_first_response_seconds"),
            Panel::lines("Agents", Count, "Agents with a connection, by what they chose.")
                .stacked()
                .query("sum by (state) (livehelp_agents{$})", "{{state}}"),
        ])
}

fn wait(quantile: &str, outcome: &str) -> String {
    format!(
        "histogram_quantile({quantile}, sum by (le) \
         (rate(livehelp_queue_wait_seconds_bucket{{outcome=\"{outcome}\",$}}[$])))"
    )
}

fn people() -> Row {
    Row::new("Sign-in and keys").graphs([
        Panel::lines(
            "Sign-ins, by result",
            PerSecond,
            "`refused`: a wrong address or password. `throttled`: the brake on guessing. \
             Both rising is an attack.",
        )
        .rates("livehelp_sign_ins_total", "result"),
        Panel::lines(
            "API keys refused",
            PerSecond,
            "Requests whose key does not open what they ask for, by reason.",
        )
        .rates("livehelp_keys_refused_total", "reason"),
        Panel::lines(
            "Suppressed identifiers refused",
            PerSecond,
            "Addresses of people who were erased that somebody tried to take in again, by kind.",
        )
        .rates("livehelp_suppressions_refused_total", "kind"),
    ])
}

fn rest() -> Row {
    Row::new("HTTP")
        .graphs([
            Panel::lines(
                "Requests, by listener",
                PerSecond,
                "`public` is what people and programs ask; `admin` has the probes and the \
                 operator's REST.",
            )
            .rates("livehelp_http_requests_total", "listener"),
            Panel::lines("Answers, by code", PerSecond, "On the public listener.")
                .query(
                    r#"sum by (code) (rate(livehelp_http_requests_total{listener="public",$}[$]))"#,
                    "{{code}}",
                ),
            Panel::lines(
                "Duration",
                Seconds,
                "From a request's head to its answer's head, on the public listener.",
            )
            .query(&duration("0.5"), "median")
            .query(&duration("0.9"), "p90")
            .query(&duration("0.99"), "p99"),
        ])
        .graphs([
            Panel::lines(
                "Busiest routes",
                PerSecond,
                "Requests to the ten routes of the public listener that are asked most.",
            )
            .query(
                r#"topk(10, sum by (method, route) (rate(livehelp_http_requests_total{listener="public",$}[$])))"#,
                "{{method}} {{route}}",
            ),
            Panel::lines(
                "Slowest routes, 99th percentile",
                Seconds,
                "The ten routes of the public listener that take longest.",
            )
            .query(
                "topk(10, histogram_quantile(0.99, sum by (le, route) \
                 (rate(livehelp_http_request_duration_seconds_bucket{listener=\"public\",$}[$]))) >= 0)",
                "{{route}}",
            ),
            Panel::lines(
                "Forwarded addresses that do not count",
                PerSecond,
                "Requests of a proxy that `trusted_proxies` does not name, or that cannot be read.",
            )
            .rates("livehelp_forwarded_not_believed_total", "reason"),
        ])
}

fn duration(quantile: &str) -> String {
    format!(
        "histogram_quantile({quantile}, sum by (le) \
         (rate(livehelp_http_request_duration_seconds_bucket{{listener=\"public\",$}}[$])))"
    )
}

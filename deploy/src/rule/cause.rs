//! What goes wrong, or will: one alert for each cause that the metrics show.
//!
//! Lives here: the causes, whom each reaches, the series that fire it and that do not. Not here:
//! what people feel of it (`objective`), what to do (`docs/runbooks.md`).
#![expect(clippy::too_many_lines, reason = "a list of alerts, each with its proof beside it")]

use crate::rule::Severity::{Page, Ticket};
use crate::rule::{Alert, File, INSTANCE, JOB, Pace};

/// The labels of an alert about one instance.
const HERE: &[(&str, &str)] = &[("job", JOB), ("instance", INSTANCE)];

pub(super) fn file() -> File {
    File {
        name: "causes",
        about: "What goes wrong, or will.",
        records: Vec::new(),
        alerts: [
            presence(),
            limits(),
            slow(),
            store(),
            disk(),
            promises(),
            people(),
            bus(),
            settings(),
            strangers(),
        ]
        .into_iter()
        .flatten()
        .collect(),
        paces: &[
            Pace { ending: "", step: "1m", within: |case| !case.at.ends_with('h') },
            Pace { ending: "-of-hours", step: "10m", within: |case| case.at.ends_with('h') },
        ],
    }
}

/// The labels of an alert about a part of an instance.
fn part(label: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    [HERE, &[(label, value)]].concat()
}

fn presence() -> Vec<Alert> {
    vec![
        Alert::new("LivehelpDown", Page, "2m", r#"up{job="livehelp"} == 0"#)
            .says(
                "{{ $labels.instance }} does not answer Prometheus",
                "For two minutes the admin listener of {{ $labels.instance }} gave no metrics.",
            )
            .fires("10m", &[("up", "1+0x5 0+0x10")], HERE)
            .silent("10m", &[("up", "1+0x8 0 1+0x5")]),
        Alert::new("LivehelpAbsent", Page, "5m", r#"absent(up{job="livehelp"})"#)
            .says(
                "Prometheus scrapes no livehelp",
                "For five minutes there was no target with the job `livehelp`: nothing is watched.",
            )
            .fires("10m", &[(r#"up{instance="another"}"#, "_x10")], &[("job", JOB)])
            .silent("10m", &[("up", "0+0x10")]),
        Alert::new(
            "LivehelpRestarts",
            Ticket,
            "0m",
            r#"changes(process_start_time_seconds{job="livehelp"}[1h]) > 3"#,
        )
        .says(
            "{{ $labels.instance }} starts again and again",
            "It started {{ $value | humanize }} times within an hour.",
        )
        .fires_saying("20m", &[("process_start_time_seconds", "0+60x20")], HERE, "20")
        .silent("20m", &[("process_start_time_seconds", "5+0x10 600+0x10")]),
        Alert::new("LivehelpDraining", Ticket, "10m", "livehelp_draining == 1")
            .says(
                "{{ $labels.instance }} has been draining for more than ten minutes",
                "It moves its clients elsewhere and does not end.",
            )
            .fires("15m", &[("livehelp_draining", "0+0x2 1+0x15")], HERE)
            .silent("15m", &[("livehelp_draining", "0+0x8 1+0x9")]),
    ]
}

fn limits() -> Vec<Alert> {
    vec![
        Alert::new(
            "LivehelpOpenFiles",
            Ticket,
            "5m",
            r#"process_open_fds{job="livehelp"} / process_max_fds{job="livehelp"} > 0.8"#,
        )
        .says(
            "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its open files in use",
            "Each connection is an open file. At the limit newcomers are turned away.",
        )
        .fires_saying(
            "10m",
            &[("process_open_fds", "850+0x10"), ("process_max_fds", "1000+0x10")],
            HERE,
            "85%",
        )
        .silent("10m", &[("process_open_fds", "790+0x10"), ("process_max_fds", "1000+0x10")]),
        Alert::new(
            "LivehelpConnectionsFull",
            Ticket,
            "5m",
            "sum by (job, instance) (livehelp_connections)\n  \
             / sum by (job, instance) (livehelp_limit{name=\"connections\"}) > 0.8",
        )
        .says(
            "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its connections \
             in use",
            "At `connections_max` newcomers are turned away with 503.",
        )
        .fires_saying(
            "10m",
            &[
                (r#"livehelp_connections{role="visitor"}"#, "900+0x10"),
                (r#"livehelp_limit{name="connections"}"#, "1000+0x10"),
            ],
            HERE,
            "90%",
        )
        .silent(
            "10m",
            &[
                (r#"livehelp_connections{role="visitor"}"#, "700+0x10"),
                (r#"livehelp_limit{name="connections"}"#, "1000+0x10"),
                (r#"livehelp_limit{name="rooms"}"#, "10+0x10"),
            ],
        ),
        Alert::new(
            "LivehelpOutboxesFull",
            Ticket,
            "5m",
            "sum by (job, instance) \
             (increase(livehelp_outbound_queue_full_total{action=\"closed\"}[10m])) > 10",
        )
        .says(
            "Connections of {{ $labels.instance }} are closed because their outboxes are full",
            "More than ten within ten minutes read slower than they were written to.",
        )
        .fires("20m", &[(r#"livehelp_outbound_queue_full_total{action="closed"}"#, "0+2x20")], HERE)
        .silent(
            "20m",
            &[
                (r#"livehelp_outbound_queue_full_total{action="closed"}"#, "0+0.5x20"),
                (r#"livehelp_outbound_queue_full_total{action="dropped"}"#, "0+50x20"),
            ],
        ),
        Alert::new(
            "LivehelpReconnectStorm",
            Ticket,
            "0m",
            "sum by (job, instance) (rate(livehelp_connection_opens_total[5m]))\n  \
             > 5 * sum by (job, instance) (rate(livehelp_connection_opens_total[1h]))\n  \
             and sum by (job, instance) (increase(livehelp_connection_opens_total[5m])) > 100",
        )
        .says(
            "Clients of {{ $labels.instance }} come back all at once",
            "In five minutes more than five times as many connections were opened as in the \
             mean of the hour.",
        )
        .fires(
            "65m",
            &[(r#"livehelp_connection_opens_total{role="visitor"}"#, "0+1x60 160+100x5")],
            HERE,
        )
        // Four in place of one, in a quiet hour, is no storm.
        .silent("65m", &[(r#"livehelp_connection_opens_total{role="visitor"}"#, "0+0x60 0+10x5")]),
    ]
}

fn slow() -> Vec<Alert> {
    let p99 = |histogram: &str| {
        format!(
            "histogram_quantile(0.99, sum by (job, instance, le) \
             (rate({histogram}_bucket[5m]))) > 0.1"
        )
    };
    vec![
        Alert::new(
            "LivehelpSyncSlow",
            Ticket,
            "10m",
            &p99("livehelp_store_fsync_duration_seconds"),
        )
        .says(
            "The disk of {{ $labels.instance }} syncs slowly",
            "For ten minutes one sync of a hundred took more than 100 ms.",
        )
        .fires(
            "20m",
            &[
                (r#"livehelp_store_fsync_duration_seconds_bucket{le="0.1"}"#, "0+90x20"),
                (r#"livehelp_store_fsync_duration_seconds_bucket{le="0.25"}"#, "0+100x20"),
                (r#"livehelp_store_fsync_duration_seconds_bucket{le="+Inf"}"#, "0+100x20"),
            ],
            HERE,
        )
        .silent(
            "20m",
            &[
                (r#"livehelp_store_fsync_duration_seconds_bucket{le="0.05"}"#, "0+995x20"),
                (r#"livehelp_store_fsync_duration_seconds_bucket{le="0.25"}"#, "0+1000x20"),
                (r#"livehelp_store_fsync_duration_seconds_bucket{le="+Inf"}"#, "0+1000x20"),
            ],
        ),
        Alert::new("LivehelpLoopLag", Ticket, "10m", &p99("livehelp_worker_loop_lag_seconds"))
            .says(
                "The workers of {{ $labels.instance }} are late",
                "For ten minutes one timer of a hundred ran more than 100 ms late.",
            )
            .fires(
                "20m",
                &[
                    (r#"livehelp_worker_loop_lag_seconds_bucket{le="0.1"}"#, "0+50x20"),
                    (r#"livehelp_worker_loop_lag_seconds_bucket{le="0.25"}"#, "0+60x20"),
                    (r#"livehelp_worker_loop_lag_seconds_bucket{le="+Inf"}"#, "0+60x20"),
                ],
                HERE,
            )
            .silent(
                "20m",
                &[
                    (r#"livehelp_worker_loop_lag_seconds_bucket{le="0.05"}"#, "0+60x20"),
                    (r#"livehelp_worker_loop_lag_seconds_bucket{le="+Inf"}"#, "0+60x20"),
                ],
            ),
        Alert::new(
            "LivehelpStoreQueueFull",
            Ticket,
            "5m",
            "sum by (job, instance) (livehelp_store_queue_writes)\n  \
             / sum by (job, instance) (livehelp_limit{name=\"store_queue\"}) > 0.8",
        )
        .says(
            "{{ $labels.instance }} has {{ $value | humanizePercentage }} of the store's \
             queue in use",
            "When it is full senders wait, and are then refused with `overload`.",
        )
        .fires_saying(
            "10m",
            &[
                ("livehelp_store_queue_writes", "4000+0x10"),
                (r#"livehelp_limit{name="store_queue"}"#, "4096+0x10"),
            ],
            HERE,
            "97.66%",
        )
        .silent(
            "10m",
            &[
                ("livehelp_store_queue_writes", "0+0x3 4000 0+0x6"),
                (r#"livehelp_limit{name="store_queue"}"#, "4096+0x10"),
            ],
        ),
    ]
}

fn store() -> Vec<Alert> {
    vec![
        Alert::new(
            "LivehelpStoreErrors",
            Page,
            "1m",
            "sum by (job, instance, op) \
             (increase(livehelp_store_errors_total{op!=\"keys\"}[5m])) > 0",
        )
        .says(
            "The store of {{ $labels.instance }} fails ({{ $labels.op }})",
            "Within five minutes at least one transaction failed. Nothing that was acked is \
             lost by that.",
        )
        .fires(
            "10m",
            &[(r#"livehelp_store_errors_total{op="commit"}"#, "0+0x6 1+1x5")],
            &part("op", "commit"),
        )
        .silent(
            "20m",
            &[
                (r#"livehelp_store_errors_total{op="commit"}"#, "0+0x3 5+0x17"),
                (r#"livehelp_store_errors_total{op="keys"}"#, "0+1x20"),
            ],
        ),
        Alert::new(
            "LivehelpKeysUnusable",
            Page,
            "1m",
            "sum by (job, instance) (increase(livehelp_store_errors_total{op=\"keys\"}[5m])) > 0",
        )
        .says(
            "The keys of {{ $labels.instance }} cannot be used",
            "Within five minutes something was refused because a key could not be read or written.",
        )
        .fires("10m", &[(r#"livehelp_store_errors_total{op="keys"}"#, "0+0x6 1+1x5")], HERE)
        .silent(
            "10m",
            &[
                (r#"livehelp_store_errors_total{op="keys"}"#, "7+0x10"),
                (r#"livehelp_store_errors_total{op="commit"}"#, "0+1x10"),
            ],
        ),
        Alert::new(
            "LivehelpIntegrityMissing",
            Page,
            "0m",
            "increase(livehelp_integrity_missing_total[1h]) > 0",
        )
        .says(
            "{{ $labels.instance }} acked messages that it does not find again",
            "The self-audit read a sample of acked messages back, and some were missing or \
             out of order.",
        )
        .fires("30m", &[("livehelp_integrity_missing_total", "0+0x10 1+0x25")], HERE)
        .silent("30m", &[("livehelp_integrity_missing_total", "0+0x30")]),
        Alert::new(
            "LivehelpIntegrityUnchecked",
            Ticket,
            "1h",
            "time() - livehelp_integrity_last_check_timestamp_seconds > 21600\n  \
             and on (job, instance) sum by (job, instance) (increase(livehelp_messages_received_total[6h])) > 1000",
        )
        .says(
            "{{ $labels.instance }} no longer audits itself",
            "Messages came in, and for six hours none was read back.",
        )
        .fires(
            "8h",
            &[
                ("livehelp_integrity_last_check_timestamp_seconds", "60+0x480"),
                (r#"livehelp_messages_received_total{role="visitor",kind="text"}"#, "0+10x480"),
            ],
            HERE,
        )
        .silent(
            "8h",
            &[
                ("livehelp_integrity_last_check_timestamp_seconds", "0+60x480"),
                (r#"livehelp_messages_received_total{role="visitor",kind="text"}"#, "0+10x480"),
            ],
        )
        // Nobody said anything.
        .silent(
            "8h",
            &[
                ("livehelp_integrity_last_check_timestamp_seconds", "60+0x480"),
                (r#"livehelp_messages_received_total{role="visitor",kind="text"}"#, "0+0x480"),
            ],
        ),
    ]
}

fn disk() -> Vec<Alert> {
    vec![
        Alert::new(
            "LivehelpDiskFull",
            Page,
            "15m",
            "predict_linear(livehelp_disk_free_bytes[1h], 4 * 3600) < 0",
        )
        .says(
            "The disk under {{ $labels.folder }} of {{ $labels.instance }} is full within \
             four hours",
            "At the pace of the last hour. Then nothing more is acked; what was acked stays.",
        )
        .fires(
            "2h",
            // 20 GB, and 100 MB less each minute.
            &[(r#"livehelp_disk_free_bytes{folder="data"}"#, "20000000000-100000000x120")],
            &part("folder", "data"),
        )
        .silent("2h", &[(r#"livehelp_disk_free_bytes{folder="data"}"#, "20000000000-1000000x120")]),
        Alert::new("LivehelpDiskLow", Ticket, "15m", "livehelp_disk_free_bytes < 1e9")
            .says(
                "Less than 1 GB is free under {{ $labels.folder }} of {{ $labels.instance }}",
                "{{ $value | humanize1024 }}B are left. Without room nothing more is acked.",
            )
            .fires_saying(
                "20m",
                &[(r#"livehelp_disk_free_bytes{folder="keys"}"#, "536870912+0x20")],
                &part("folder", "keys"),
                "512Mi",
            )
            .silent("20m", &[(r#"livehelp_disk_free_bytes{folder="keys"}"#, "2000000000+0x20")]),
    ]
}

fn promises() -> Vec<Alert> {
    vec![
        Alert::new(
            "LivehelpSweepStalled",
            Ticket,
            "15m",
            "time() - (livehelp_sweep_last_success_timestamp_seconds > 0) > 10800",
        )
        .says(
            "{{ $labels.instance }} destroys nothing of what has expired",
            "The last sweep was finished {{ $value | humanizeDuration }} ago. Reads hide \
             what has expired all the same.",
        )
        .fires_saying(
            "4h",
            &[("livehelp_sweep_last_success_timestamp_seconds", "60+0x240")],
            HERE,
            "3h 59m 0s",
        )
        .silent("4h", &[("livehelp_sweep_last_success_timestamp_seconds", "0+60x240")])
        .silent("4h", &[("livehelp_sweep_last_success_timestamp_seconds", "0+0x240")]),
        Alert::new("LivehelpClockNotTrusted", Ticket, "15m", "livehelp_sweep_clock_trusted == 0")
            .says(
                "{{ $labels.instance }} does not trust its clock",
                "Nothing is destroyed until the clock is right or the operator confirms it.",
            )
            .fires("20m", &[("livehelp_sweep_clock_trusted", "0+0x20")], HERE)
            .silent("20m", &[("livehelp_sweep_clock_trusted", "0+0x10 1+0x10")]),
        Alert::new(
            "LivehelpBackupOld",
            Ticket,
            "1h",
            "time() - (livehelp_backup_last_success_timestamp_seconds > 0) > 172800",
        )
        .says(
            "{{ $labels.instance }} has had no backup for {{ $value | humanizeDuration }}",
            "There were backups before. What is said since then would be lost with the disk.",
        )
        .fires_saying(
            "60h",
            &[("livehelp_backup_last_success_timestamp_seconds", "3600+0x3600")],
            HERE,
            "2d 11h 0m 0s",
        )
        // None was ever made, which is the operator's affair.
        .silent("60h", &[("livehelp_backup_last_success_timestamp_seconds", "0+0x3600")])
        .silent("60h", &[("livehelp_backup_last_success_timestamp_seconds", "0+60x3600")]),
    ]
}

fn people() -> Vec<Alert> {
    vec![
        Alert::new(
            "LivehelpNobodyAvailable",
            Ticket,
            "2m",
            "livehelp_queue_unattended_wait_seconds > 120",
        )
        .says(
            "Visitors of {{ $labels.instance }} wait, and no agent of theirs is available",
            "The longest wait is {{ $value | humanizeDuration }}.",
        )
        .fires_saying(
            "10m",
            &[
                ("livehelp_queue_unattended_wait_seconds", "0+60x10"),
                // Those of another Organization do not help.
                (r#"livehelp_agents{state="available"}"#, "1+0x10"),
            ],
            HERE,
            "10m 0s",
        )
        .silent(
            "10m",
            &[
                ("livehelp_queue_unattended_wait_seconds", "0+0x10"),
                ("livehelp_queue_oldest_wait_seconds", "0+60x10"),
            ],
        ),
        Alert::new(
            "LivehelpWaitLong",
            Ticket,
            "5m",
            "livehelp_queue_oldest_wait_seconds > 600",
        )
        .says(
            "A visitor of {{ $labels.instance }} has waited for {{ $value | humanizeDuration }}",
            "Agents are all at their limit, or let offers run out.",
        )
        .fires_saying(
            "20m",
            &[("livehelp_queue_oldest_wait_seconds", "0+60x20")],
            HERE,
            "20m 0s",
        )
        .silent("20m", &[("livehelp_queue_oldest_wait_seconds", "0+60x9 0+30x11")]),
    ]
}

fn bus() -> Vec<Alert> {
    vec![
        Alert::new("LivehelpBusDown", Page, "1m", "livehelp_bus_up == 0")
            .says(
                "{{ $labels.instance }} does not reach the bus",
                "No message gets its place, so that none is taken. Reading goes on.",
            )
            .fires("10m", &[("livehelp_bus_up", "1+0x5 0+0x5")], HERE)
            .silent("10m", &[("livehelp_bus_up", "1+0x5 0 1+0x5")]),
        Alert::new(
            "LivehelpBusSlow",
            Ticket,
            "10m",
            "histogram_quantile(0.99, sum by (job, instance, le) \
             (rate(livehelp_bus_publish_duration_seconds_bucket[5m]))) > 0.1",
        )
        .says(
            "The bus of {{ $labels.instance }} is slow",
            "For ten minutes one message of a hundred waited more than 100 ms for its place.",
        )
        .fires(
            "20m",
            &[
                (r#"livehelp_bus_publish_duration_seconds_bucket{le="0.1"}"#, "0+90x20"),
                (r#"livehelp_bus_publish_duration_seconds_bucket{le="0.25"}"#, "0+100x20"),
                (r#"livehelp_bus_publish_duration_seconds_bucket{le="+Inf"}"#, "0+100x20"),
            ],
            HERE,
        )
        .silent(
            "20m",
            &[
                (r#"livehelp_bus_publish_duration_seconds_bucket{le="0.001"}"#, "0+100x20"),
                (r#"livehelp_bus_publish_duration_seconds_bucket{le="+Inf"}"#, "0+100x20"),
            ],
        ),
        Alert::new(
            "LivehelpBusNoticesLost",
            Ticket,
            "0m",
            "increase(livehelp_bus_notices_lost_total[15m]) > 0",
        )
        .says(
            "{{ $labels.instance }} loses notices to other nodes",
            "Who types, how far somebody has read, what could not be stored. Messages are \
             not among them.",
        )
        .fires("30m", &[("livehelp_bus_notices_lost_total", "0+0x20 3+0x10")], HERE)
        .silent("30m", &[("livehelp_bus_notices_lost_total", "3+0x30")]),
    ]
}

fn settings() -> Vec<Alert> {
    vec![
        Alert::new(
            "LivehelpReloadFailed",
            Ticket,
            "5m",
            "livehelp_config_last_reload_success == 0",
        )
        .says(
            "{{ $labels.instance }} refused its new settings or certificate",
            "It goes on with the former ones; a restart would not start.",
        )
        .fires("10m", &[("livehelp_config_last_reload_success", "1+0x2 0+0x10")], HERE)
        .silent("10m", &[("livehelp_config_last_reload_success", "1+0x10")]),
        Alert::new(
            "LivehelpCertificateEnds",
            Ticket,
            "1h",
            "(livehelp_tls_certificate_expiry_timestamp_seconds > 0) - time() < 14 * 86400",
        )
        .says(
            "The certificate of {{ $labels.instance }} ends in {{ $value | humanizeDuration }}",
            "After that browsers refuse to connect.",
        )
        .fires_saying(
            "2h",
            &[("livehelp_tls_certificate_expiry_timestamp_seconds", "1130400+0x120")],
            HERE,
            "13d 0h 0m 0s",
        )
        .silent("2h", &[("livehelp_tls_certificate_expiry_timestamp_seconds", "1310400+0x120")])
        // There is no TLS.
        .silent("2h", &[("livehelp_tls_certificate_expiry_timestamp_seconds", "0+0x120")]),
        Alert::new(
            "LivehelpCertificateEndsNow",
            Page,
            "0m",
            "(livehelp_tls_certificate_expiry_timestamp_seconds > 0) - time() < 86400",
        )
        .says(
            "The certificate of {{ $labels.instance }} ends within a day, or has ended",
            "After that browsers refuse to connect.",
        )
        .fires("2h", &[("livehelp_tls_certificate_expiry_timestamp_seconds", "50000+0x120")], HERE)
        .silent("2h", &[("livehelp_tls_certificate_expiry_timestamp_seconds", "1130400+0x120")]),
    ]
}

fn strangers() -> Vec<Alert> {
    vec![
        Alert::new(
            "LivehelpSignInAttack",
            Ticket,
            "0m",
            "sum by (job, instance) \
             (increase(livehelp_sign_ins_total{result=~\"refused|throttled\"}[15m])) > 100",
        )
        .says(
            "Somebody guesses passwords at {{ $labels.instance }}",
            "More than a hundred sign-ins failed within a quarter of an hour.",
        )
        .fires(
            "30m",
            &[
                (r#"livehelp_sign_ins_total{result="refused"}"#, "0+5x30"),
                (r#"livehelp_sign_ins_total{result="throttled"}"#, "0+5x30"),
            ],
            HERE,
        )
        .silent(
            "30m",
            &[
                (r#"livehelp_sign_ins_total{result="refused"}"#, "0+1x30"),
                (r#"livehelp_sign_ins_total{result="ok"}"#, "0+100x30"),
            ],
        ),
        Alert::new(
            "LivehelpApiKeysRefused",
            Ticket,
            "0m",
            "sum by (job, instance) \
             (increase(livehelp_keys_refused_total{reason!=\"throttled\"}[15m])) > 100",
        )
        .says(
            "A program asks {{ $labels.instance }} with keys that do not open",
            "More than a hundred requests within a quarter of an hour were refused because \
             of their key.",
        )
        .fires("30m", &[(r#"livehelp_keys_refused_total{reason="unknown"}"#, "0+10x30")], HERE)
        .silent(
            "30m",
            &[
                (r#"livehelp_keys_refused_total{reason="unknown"}"#, "0+1x30"),
                (r#"livehelp_keys_refused_total{reason="throttled"}"#, "0+100x30"),
            ],
        ),
        Alert::new(
            "LivehelpHttpErrors",
            Ticket,
            "5m",
            "sum by (job, instance) (rate(livehelp_http_requests_total{listener=\"public\",code=~\"5..\"}[10m]))\n  \
             / sum by (job, instance) (rate(livehelp_http_requests_total{listener=\"public\"}[10m])) > 0.05\n  \
             and sum by (job, instance) (increase(livehelp_http_requests_total{listener=\"public\",code=~\"5..\"}[10m])) > 10",
        )
        .says(
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.instance }} end \
             in a server's error",
            "On the public listener, within ten minutes. Look at the codes and routes.",
        )
        .fires_saying(
            "30m",
            &[
                (r#"livehelp_http_requests_total{listener="public",code="503"}"#, "0+10x30"),
                (r#"livehelp_http_requests_total{listener="public",code="200"}"#, "0+90x30"),
            ],
            HERE,
            "10%",
        )
        .silent(
            "30m",
            &[
                (r#"livehelp_http_requests_total{listener="public",code="503"}"#, "0+10x30"),
                (r#"livehelp_http_requests_total{listener="public",code="200"}"#, "0+990x30"),
                // A probe during a drain.
                (r#"livehelp_http_requests_total{listener="admin",code="503"}"#, "0+900x30"),
            ],
        ),
        Alert::new(
            "LivehelpProxyNotBelieved",
            Ticket,
            "15m",
            "sum by (job, instance) \
             (increase(livehelp_forwarded_not_believed_total{reason=\"untrusted_peer\"}[1h])) > 100",
        )
        .says(
            "{{ $labels.instance }} does not believe the proxy before it",
            "A proxy forwards addresses and `trusted_proxies` does not name it: all visitors \
             count as one address.",
        )
        .fires(
            "90m",
            &[(r#"livehelp_forwarded_not_believed_total{reason="untrusted_peer"}"#, "0+5x90")],
            HERE,
        )
        .silent(
            "90m",
            &[
                (r#"livehelp_forwarded_not_believed_total{reason="untrusted_peer"}"#, "0+1x90"),
                (r#"livehelp_forwarded_not_believed_total{reason="unreadable"}"#, "0+9x90"),
            ],
        ),
    ]
}

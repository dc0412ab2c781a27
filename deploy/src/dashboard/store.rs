//! The store, the bus, retention and integrity, the process and its limits: use, saturation and
//! errors of each.

use crate::dashboard::{Dashboard, Row};
use crate::panel::Colour::{Green, Red, Yellow};
use crate::panel::Panel;
use crate::panel::Unit::{Bytes, Count, PerSecond, Seconds, Share};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "livehelp-store",
        title: "livehelp: store and runtime",
        about: "The store, the bus, retention and integrity, the process and its limits.",
        rows: vec![store(), disk(), bus(), promises(), process(), runtime()],
    }
}

fn store() -> Row {
    Row::new("Store")
        .graphs([
            Panel::lines(
                "Sync",
                Seconds,
                "The statement that ends a transaction, of which the sync of the disk is \
                 nearly all.",
            )
            .mark(0.1, Red)
            .quantiles("livehelp_store_fsync_duration_seconds"),
            Panel::lines(
                "Writes, 99th percentile by kind",
                Seconds,
                "`commit` is what senders wait for; `carry` and `checkpoint` go on behind.",
            )
            .quantile_by("0.99", "livehelp_store_write_duration_seconds", "op"),
            Panel::lines("Reads", Seconds, "One read of the store.")
                .quantiles("livehelp_store_read_duration_seconds"),
        ])
        .graphs([
            Panel::lines("Writes, by kind", PerSecond, "Transactions, for each second.")
                .rates("livehelp_store_write_duration_seconds_count", "op"),
            Panel::lines("Messages in a commit", Count, "More of them: the disk is the bound.")
                .quantiles("livehelp_store_batch_messages"),
            Panel::lines(
                "Errors, by kind",
                PerSecond,
                "Transactions that failed. Any is worth a look.",
            )
            .mark(0.001, Red)
            .rates("livehelp_store_errors_total", "op"),
        ])
        .graphs([
            Panel::lines(
                "Waiting writes",
                Count,
                "Writes before the store's writer, by instance, and their most.",
            )
            .query("sum by (instance) (livehelp_store_queue_writes{$})", "{{instance}}")
            .query(r#"max(livehelp_limit{name="store_queue",$})"#, "limit"),
            Panel::lines("Age when stored", Seconds, "Of a message, from its place to the disk.")
                .quantiles("livehelp_transcript_lag_seconds"),
        ])
}

fn disk() -> Row {
    Row::new("Disk").graphs([
        Panel::lines("Files", Bytes, "Size of the store's files, by file.")
            .stacked()
            .query("sum by (file) (livehelp_store_bytes{$})", "{{file}}"),
        Panel::lines("Free", Bytes, "Room for this server on the folder's file system.").query(
            "min by (instance, folder) (livehelp_disk_free_bytes{$})",
            "{{instance}} {{folder}}",
        ),
        Panel::lines(
            "Getting fuller",
            Bytes,
            "Bytes that the file system loses in each second. Below 0 it gets room back; the \
             axis begins at 0.",
        )
        .query(
            "-1 * min by (instance, folder) (deriv(livehelp_disk_free_bytes{$}[$]))",
            "{{instance}} {{folder}}",
        ),
    ])
}

fn bus() -> Row {
    Row::new("Bus")
        .figures([
            Panel::figure("Bus", Count, "Whether the bus gives places; without Redis it always does.")
                .words(&[("0", "down"), ("1", "up")])
                .ground(Red)
                .mark(1.0, Green)
                .query("min(livehelp_bus_up{$})", "bus"),
            Panel::figure("Schema", Count, "Version of the data's form.")
                .query("max(livehelp_schema_version{$})", "schema"),
            Panel::figure("Settings", Count, "Whether the last reading of settings and certificate went well.")
                .words(&[("0", "refused"), ("1", "in use")])
                .ground(Red)
                .mark(1.0, Green)
                .query("min(livehelp_config_last_reload_success{$})", "settings"),
            Panel::figure("Settings in use for", Seconds, "Since settings or a certificate were last taken into use.")
                .query("time() - max(livehelp_config_last_reload_success_timestamp_seconds{$})", "in use for"),
        ])
        .graphs([
            Panel::lines("Publishing", Seconds, "One round trip to the bus for a message's place.")
                .quantiles("livehelp_bus_publish_duration_seconds"),
            Panel::lines("Errors, by act", PerSecond, "What the bus refused or did not answer.")
                .rates("livehelp_bus_errors_total", "op"),
            Panel::lines("Notices lost", PerSecond, "Notices to other nodes that never left: who types, how far somebody has read. No messages.")
                .query("sum(rate(livehelp_bus_notices_lost_total{$}[$]))", "lost"),
        ])
}

fn promises() -> Row {
    Row::new("Retention, integrity, backup")
        .figures([
            Panel::figure(
                "Since the last sweep",
                Seconds,
                "A sweep destroys the keys of what has expired.",
            )
            .words(&[("0", "none yet")])
            .mark(10_800.0, Red)
            .query(&since("sweep_last_success_timestamp_seconds"), "since"),
            Panel::figure("Clock", Count, "While it cannot be explained nothing is destroyed.")
                .words(&[("0", "not trusted"), ("1", "trusted")])
                .ground(Red)
                .mark(1.0, Green)
                .query("min(livehelp_sweep_clock_trusted{$})", "clock"),
            Panel::figure(
                "Since the last self-audit",
                Seconds,
                "It reads a sample of acked messages back.",
            )
            .words(&[("0", "none yet")])
            .query(&since("integrity_last_check_timestamp_seconds"), "since"),
            Panel::figure(
                "Since the last backup",
                Seconds,
                "Made and verified by `livehelp backup`.",
            )
            .words(&[("0", "none known")])
            .mark(172_800.0, Red)
            .query(&since("backup_last_success_timestamp_seconds"), "since"),
        ])
        .graphs([
            Panel::lines(
                "Read back",
                PerSecond,
                "Acked messages that the self-audit looked for, and did not find.",
            )
            .query("sum(rate(livehelp_integrity_checked_total{$}[$]))", "looked for")
            .query("sum(rate(livehelp_integrity_missing_total{$}[$]))", "missing"),
            Panel::lines(
                "Buckets destroyed",
                PerSecond,
                "Buckets of expired records whose keys are gone.",
            )
            .query("sum(rate(livehelp_sweep_buckets_destroyed_total{$}[$]))", "destroyed"),
        ])
        .graphs([Panel::lines(
            "Audit",
            PerSecond,
            "Entries of the audit: changes, each with who made it.",
        )
        .query("sum(rate(livehelp_audit_entries_total{$}[$]))", "entries")])
}

/// Age of a moment; 0 where there was none.
fn since(gauge: &str) -> String {
    format!("(time() - min(livehelp_{gauge}{{$}})) * (min(livehelp_{gauge}{{$}}) > bool 0)")
}

fn process() -> Row {
    Row::new("Process")
        .graphs([
            Panel::lines("CPU", Share, "Of one core.")
                .query("sum by (instance) (rate(process_cpu_seconds_total{$}[$]))", "{{instance}}"),
            Panel::lines("Memory", Bytes, "Resident.")
                .query("sum by (instance) (process_resident_memory_bytes{$})", "{{instance}}"),
            Panel::lines("Open files", Count, "Sockets included, and their most.")
                .query("sum by (instance) (process_open_fds{$})", "{{instance}}")
                .query("min(process_max_fds{$})", "limit"),
        ])
        .graphs([
            Panel::lines("Threads", Count, "Of the process.")
                .query("sum by (instance) (process_threads{$})", "{{instance}}"),
            Panel::lines("Mapped memory", Bytes, "All that is mapped, most of which costs nothing.")
                .query("sum by (instance) (process_virtual_memory_bytes{$})", "{{instance}}"),
            Panel::lines("Certificate ends in", Seconds, "By instance; none where there is no TLS. A ticket at 14 days.")
                .words(&[("0", "no TLS here")])
                .query(
                    "(min by (instance) (livehelp_tls_certificate_expiry_timestamp_seconds{$} > 0) - time()) \
                     or 0 * min by (instance) (livehelp_build_info{$})",
                    "{{instance}}",
                ),
        ])
}

fn runtime() -> Row {
    Row::new("Runtime")
        .figures([
            Panel::figure(
                "Limits in force",
                Count,
                "What was set, or what the machine leaves of it.",
            )
            .query(r#"min by (name) (livehelp_limit{name!~".+_bytes",$})"#, "{{name}}"),
            Panel::figure(
                "Limits in bytes",
                Bytes,
                "Of a connection's outbox, and of a request's body.",
            )
            .query(r#"min by (name) (livehelp_limit{name=~".+_bytes",$})"#, "{{name}}"),
        ])
        .graphs([
            Panel::lines("Lag of the loop", Seconds, "How late the runtime ran a timer.")
                .mark(0.1, Red)
                .quantiles("livehelp_worker_loop_lag_seconds"),
            Panel::lines(
                "Busy workers",
                Share,
                "Part of its time for which each worker had something to do.",
            )
            .most(1.0)
            .query(
                "sum by (instance, worker) (rate(livehelp_worker_busy_seconds_total{$}[$]))",
                "{{instance}} {{worker}}",
            ),
            Panel::lines(
                "Tasks, rooms, desks",
                Count,
                "Tasks of the runtime, live conversations, Organizations with somebody there.",
            )
            .query("sum(livehelp_tasks{$})", "tasks")
            .query("sum(livehelp_rooms{$})", "rooms")
            .query("sum(livehelp_desks{$})", "desks"),
        ])
        .graphs([
            Panel::lines("Scrape", Seconds, "How long Prometheus waits for the metrics.")
                .mark(1.0, Yellow)
                .query("max by (instance) (scrape_duration_seconds{$})", "{{instance}}"),
            Panel::lines("Series", Count, "What one scrape brings. The bound is 1,500.")
                .mark(1500.0, Yellow)
                .query("max by (instance) (scrape_samples_scraped{$})", "{{instance}}"),
        ])
}

//! Every metric, declared once: name, help, labels, unit. The only importer of the prometheus
//! crate.
//!
//! Lives here: the declarations and the text for a scrape. Not here: what the figures mean for an
//! operator (`docs/metrics.md` is made from this). Everyone counts through the fields of
//! [`Metrics`]; counting is one atomic addition, and every label value starts at 0, so that a rate
//! sees the first event.

mod document;
mod instrument;
mod label;
mod process;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use prometheus::{Registry, TextEncoder};
use protocol::conversation::Availability;
use protocol::reject::RejectCode;
use protocol::time::UnixMillis;

pub use document::document;
pub use instrument::{
    Bytes, Count, Counter, Counters, Counters2, Gauge, Gauges, Gauges2, Histogram, Histograms,
    Long, RouteTimes, Routes, Seconds, SecondsCounter,
};
pub use label::{
    Assigned, BusOp, Closed, Ending, File, Folder, HandshakeFailure, KeyRefused, Kind, Label,
    Limit, Listener, Live, NotBelieved, OfferEnd, Opened, Overflow, Peer, Resumed, Role, SignIn,
    StoreOp, Suppressed, Throttle, Transport, Wait, WriteOp,
};

use instrument::Instrument;
use process::Descriptors;

/// Before every name.
const PREFIX: &str = "livehelp_";

/// What is known of a metric without its value.
#[derive(Debug)]
pub struct Declared {
    /// With prefix.
    pub name: String,
    /// Heading in the documentation.
    pub group: &'static str,
    /// counter, gauge or histogram.
    pub kind: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Names of its labels with their values; none where a value comes from the router.
    pub labels: Vec<(&'static str, Vec<&'static str>)>,
    /// Upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
}

macro_rules! metrics {
    ($( $group:literal { $( $name:ident : $ty:ty = ($($label:literal),*), $help:literal; )+ } )+) => {
        /// All metrics of one node.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            /// Unix seconds; 0 where there is no certificate.
            certificate_ends: AtomicI64,
            descriptors: Descriptors,
            $( $( #[doc = $help] pub $name: $ty, )+ )+
        }

        impl Metrics {
            /// All at 0.
            pub fn new() -> Arc<Self> {
                let registry = Registry::new();
                $( $(
                    let $name = <$ty as Instrument>::new(&format!("{PREFIX}{}", stringify!($name)), $help, &[$($label),*], &registry);
                )+ )+
                let (certificate_ends, descriptors) = Default::default();
                Arc::new(Self { registry, certificate_ends, descriptors, $( $( $name, )+ )+ })
            }
        }

        /// Every metric in the order of the documentation.
        pub fn declared() -> Vec<Declared> {
            vec![ $( $( Declared {
                name: format!("{PREFIX}{}", stringify!($name)),
                group: $group,
                kind: <$ty as Instrument>::KIND,
                help: $help,
                labels: <$ty as Instrument>::labels(&[$($label),*]),
                buckets: <$ty as Instrument>::BUCKETS,
            }, )+ )+ ]
        }
    };
}

metrics! {
    "Connections" {
        connections: Gauges2<Peer, Transport> = ("role", "transport"),
            "Open connections; `new` before the hello is accepted.";
        connection_opens_total: Counters2<Peer, Transport> = ("role", "transport"),
            "Connections whose hello was accepted; never `new`.";
        connection_closes_total: Counters2<Peer, Ending> = ("role", "reason"),
            "Connections that ended; `new` if no hello was accepted.";
        handshake_failures_total: Counters<HandshakeFailure> = ("reason"),
            "Connections that never became a request or a socket.";
        handshake_duration_seconds: Histogram<Seconds> = (),
            "From the accepted connection to the answered upgrade.";
        connection_duration_seconds: Histogram<Long> = (),
            "Life of a connection from its hello to its end.";
        resumes_total: Counters<Resumed> = ("result"),
            "Conversations that a hello asked to resume.";
    }
    "Messages" {
        messages_received_total: Counters2<Role, Kind> = ("role", "kind"),
            "Messages taken from their senders.";
        messages_delivered_total: Counters2<Role, Kind> = ("role", "kind"),
            "Messages handed to the outboxes of their readers, by the reader's role.";
        message_errors_total: Counters<RejectCode> = ("code"),
            "Frames that were refused.";
        delivery_latency_seconds: Histogram<Seconds> = (),
            "From the frame read to the last write on this node.";
        ack_latency_seconds: Histogram<Seconds> = (),
            "From the frame read to the durable ack.";
        message_size_bytes: Histogram<Bytes> = (),
            "Size of a message's text.";
        fanout_recipients: Histogram<Count> = (),
            "Connections on this node that one message went to.";
        duplicates_dropped_total: Counter = (),
            "Messages that were sent again and had been taken before.";
    }
    "Flow control" {
        outbound_queue_bytes: Gauge = (),
            "Bytes that wait for slow readers.";
        outbound_queue_full_total: Counters<Overflow> = ("action"),
            "What a full outbox led to.";
        rate_limited_total: Counters<Throttle> = ("scope"),
            "Requests and frames refused because they came too fast.";
        backpressure_seconds_total: SecondsCounter = (),
            "Time for which senders waited for room in the store's queue.";
    }
    "Work" {
        conversations: Gauges<Live> = ("state"),
            "Conversations that are not closed; `left` is a message left while nobody was there that waits for someone to be asked.";
        conversations_opened_total: Counters<Opened> = ("how"),
            "Conversations that began. One that is opened again began before.";
        conversations_closed_total: Counters<Closed> = ("how"),
            "Conversations that were closed, each time again.";
        queue_wait_seconds: Histograms<Wait, Long> = ("outcome"),
            "From a conversation's wait to its end: an agent took it, or it was closed before. Messages left while nobody was there do not count.";
        queue_oldest_wait_seconds: Gauge = (),
            "How long the visitor has waited who waits longest now; 0 if nobody waits. Messages left while nobody was there do not count.";
        queue_unattended_wait_seconds: Gauge = (),
            "How long the visitor has waited who waits longest now in an Organization of which no agent is available; 0 if nobody does.";
        offers_total: Counters<OfferEnd> = ("result"),
            "Questions to agents whether they take a conversation, from the queue or by transfer, when they ended.";
        first_response_seconds: Histogram<Long> = (),
            "From a visitor's first message to an agent's first.";
        agents: Gauges<Availability> = ("state"),
            "Agents with a connection, by what they chose.";
        conversations_assigned_total: Counters<Assigned> = ("how"),
            "Conversations that an agent took.";
    }
    "Rooms" {
        rooms: Gauge = (),
            "Conversations that are held in memory because someone is in them or something of them is not stored yet.";
        desks: Gauge = (),
            "Organizations whose queue and agents are held in memory: those with anything live since the start.";
    }
    "Access" {
        sign_ins_total: Counters<SignIn> = ("result"),
            "Attempts to sign in with address and password. `throttled` is also in `rate_limited_total`.";
        keys_refused_total: Counters<KeyRefused> = ("reason"),
            "Requests that showed an API key or an operator key and were refused for it.";
        audit_entries_total: Counter = (),
            "Entries of the audit that this node wrote.";
    }
    "Bus" {
        bus_up: Gauge = (),
            "1 while sequence numbers can be had and other nodes are heard; in a server on its own always.";
        bus_publish_duration_seconds: Histogram<Seconds> = (),
            "The round trip that gives a message its sequence number and tells the other nodes. A server on its own makes none.";
        bus_errors_total: Counters<BusOp> = ("op"),
            "What the bus did not do: sequence numbers not given, writes that failed, connections lost or not made.";
        bus_notices_lost_total: Counter = (),
            "Notices to other nodes that never left: who types, how far someone has read, what could not be stored.";
    }
    "Store" {
        store_write_duration_seconds: Histograms<WriteOp, Seconds> = ("op"),
            "One transaction; for keys, the making and syncing of those that a commit needs.";
        store_read_duration_seconds: Histogram<Seconds> = (),
            "One question to the store that was answered.";
        store_fsync_duration_seconds: Histogram<Seconds> = (),
            "The statement that ends a transaction, of which the sync is nearly all.";
        store_batch_messages: Histogram<Count> = (),
            "Messages in one commit, of commits that hold any.";
        store_errors_total: Counters<StoreOp> = ("op"),
            "Transactions and questions that failed.";
        transcript_lag_seconds: Histogram<Seconds> = (),
            "Age of a sequenced message when it was stored.";
        store_queue_writes: Gauge = (),
            "Writes that wait for the store's writer or are in its batch.";
        store_bytes: Gauges<File> = ("file"),
            "Size of the files in the data folder and the keys folder. The journal has its full size from the start; what is not there has 0.";
        disk_free_bytes: Gauges<Folder> = ("folder"),
            "Room that is left for this user on the file system of a folder.";
        schema_version: Gauge = (),
            "Version of the database's form; 0 where the store is in memory.";
        integrity_checked_total: Counter = (),
            "Acked messages, a sample of all, that were read back from the store some minutes later.";
        integrity_missing_total: Counter = (),
            "Of those, the ones that were not at their place or were not what was acked. What retention or an erasure took counts neither here nor there. Any one is a lost message.";
        integrity_last_check_timestamp_seconds: Gauge = (),
            "When a message was last read back so; 0 before the first.";
    }
    "Retention" {
        sweep_buckets_destroyed_total: Counter = (),
            "Buckets of expired records whose keys were destroyed.";
        sweep_last_success_timestamp_seconds: Gauge = (),
            "When a sweep was last finished; 0 before the first.";
        sweep_clock_trusted: Gauge = (),
            "0 while the wall clock cannot be explained, so that nothing is destroyed until it is right or the operator confirms it.";
        suppressions_refused_total: Counters<Suppressed> = ("kind"),
            "Identifiers of suppressed people that were not taken in: invitations and accounts refused, and contact data of visitors that was left out.";
    }
    "Backup" {
        backup_last_success_timestamp_seconds: Gauge = (),
            "When the newest backup was verified and had its names; 0 before the first, known again after a restart.";
    }
    "Runtime" {
        worker_loop_lag_seconds: Histogram<Seconds> = (),
            "How late the runtime ran a timer.";
        limit: Gauges<Limit> = ("name"),
            "Limits in force: what the figures of use have to stay below.";
        draining: Gauge = (),
            "1 while the node moves its clients elsewhere.";
        config_last_reload_success: Gauge = (),
            "1 if settings and certificate were read without fault the last time.";
        config_last_reload_success_timestamp_seconds: Gauge = (),
            "When settings or a certificate were last taken into use.";
    }
    "HTTP" {
        http_requests_total: Routes = ("listener", "route", "method", "code"),
            "Answered requests by listener and route template; `unmatched` is what no route has. Users' requests are on `public`, probes on `admin`.";
        forwarded_not_believed_total: Counters<NotBelieved> = ("reason"),
            "Requests with a forwarded address that does not count: of a peer that `trusted_proxies` does not name, or in no known form.";
        http_request_duration_seconds: RouteTimes = ("listener", "route"),
            "From a request's head to its answer's head.";
    }
}

impl Metrics {
    /// Settings or a certificate were read without fault and are in use.
    pub fn config_read(&self, at: UnixMillis) {
        self.config_last_reload_success.set(1);
        self.config_last_reload_success_timestamp_seconds.set(seconds(at));
    }

    /// Until when the public listener's certificate holds, where it has one and that can be read.
    pub fn certificate_ends(&self, at: Option<UnixMillis>) {
        self.certificate_ends.store(at.map_or(0, seconds), Ordering::Relaxed);
    }

    /// Counts open descriptors where Linux does not say how many there are; blocks for some
    /// milliseconds.
    pub fn count_descriptors(&self) {
        self.descriptors.count();
    }

    /// A backup was finished at this time, now or before this process.
    pub fn backed_up(&self, at: UnixMillis) {
        self.backup_last_success_timestamp_seconds.set(seconds(at));
    }

    /// A sweep was finished.
    pub fn swept(&self, at: UnixMillis, destroyed: usize) {
        self.sweep_last_success_timestamp_seconds.set(seconds(at));
        self.sweep_buckets_destroyed_total.add(u64::try_from(destroyed).unwrap_or(u64::MAX));
    }

    /// The text of one scrape. Runtime figures are those of the runtime that calls.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(64 * 1024);
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "a metric could not be written");
        }
        process::write(&mut text, &self.descriptors);
        runtime(&mut text);
        let ends = self.certificate_ends.load(Ordering::Relaxed);
        if ends != 0 {
            let (name, kind, help) = CERTIFICATE;
            text.push_str(&format!(
                "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n{PREFIX}{name} {ends}\n"
            ));
        }
        text
    }
}

fn seconds(at: UnixMillis) -> i64 {
    i64::try_from(at.0 / 1_000).unwrap_or(i64::MAX)
}

/// What the runtime counts by itself, and what this program is.
fn runtime(text: &mut String) {
    for (name, kind, help) in RUNTIME {
        text.push_str(&format!("# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n"));
        for (labels, value) in measured(name) {
            text.push_str(&format!("{PREFIX}{name}{labels} {value}\n"));
        }
    }
}

/// There only where the public listener has a certificate.
const CERTIFICATE: (&str, &str, &str) = (
    "tls_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the public listener's certificate expires. Missing where a proxy ends TLS.",
);

/// Measured at the scrape: name, kind, help.
const RUNTIME: [(&str, &str, &str); 3] = [
    ("build_info", "gauge", "Version and commit of this program; always 1."),
    ("tasks", "gauge", "Tasks alive in the runtime."),
    ("worker_busy_seconds_total", "counter", "Time that each worker was busy."),
];

fn measured(name: &str) -> Vec<(String, String)> {
    let build = || {
        let labels = format!("{{version=\"{VERSION}\",commit=\"{COMMIT}\"}}");
        vec![(labels, "1".to_owned())]
    };
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return if name == "build_info" { build() } else { Vec::new() };
    };
    let figures = runtime.metrics();
    match name {
        "build_info" => build(),
        "tasks" => vec![(String::new(), figures.num_alive_tasks().to_string())],
        _ => (0..figures.num_workers())
            .map(|worker| {
                let busy = figures.worker_total_busy_duration(worker).as_secs_f64();
                (format!("{{worker=\"{worker}\"}}"), busy.to_string())
            })
            .collect(),
    }
}

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, or `unknown`.
pub const COMMIT: &str = match option_env!("BUILD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

#[cfg(test)]
mod tests;

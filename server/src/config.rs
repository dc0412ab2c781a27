//! Settings: what can be set, where a value came from, and the resolved [`Config`].
//!
//! Lives here: the registry of settings, their bounds, the three sources and the checks between
//! settings. Not here: key files (`keys`), certificates (`http`), what a site sets for itself
//! (`store`). Called by `main`; everything else is handed the [`Config`]. The only reader of the
//! environment.

mod document;
mod foreign;
mod load;
mod place;
mod surroundings;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;

pub use document::{document, example};
pub use load::{ConfigError, Origin, Resolved, Sources, load, read_secret};
pub use surroundings::Surroundings;
pub use value::{Bus, DrainGrace, LogFormat, LogLevel, Network, ServerUrl, Setting, Store};

use crate::origin::PublicUrl;
pub use value::Endpoint;
use value::{Value, without_password};

/// No bounds: the setting is no number.
const ANY: (u64, u64) = (0, u64::MAX);

macro_rules! settings {
    ($( $group:literal { $( $name:ident : $ty:ty = $default:literal, $unit:literal, $range:expr, $doc:literal; )+ } )+) => {
        /// Every setting with its value in force.
        #[derive(Debug, Clone)]
        pub struct Config { $( $( #[doc = $doc] pub $name: $ty, )+ )+ }

        /// Every setting in the order of the documentation.
        pub static SETTINGS: &[Setting] = &[ $( $( Setting {
            name: stringify!($name),
            group: $group,
            default: $default,
            unit: $unit,
            range: $range,
            doc: $doc,
            takes: <$ty as Value>::TAKES,
            switch: <$ty as Value>::SWITCH,
            path: <$ty as Value>::PATH,
            secret: <$ty as Value>::SECRET,
        }, )+ )+ ];

        impl Config {
            /// Reads each setting with what `text_of` finds for it; every complaint is collected.
            fn read(text_of: &mut dyn FnMut(&'static Setting) -> String, refuse: &mut dyn FnMut(&'static Setting)) -> Option<Self> {
                let mut settings = SETTINGS.iter();
                let mut all = true;
                $( $( let $name = settings.next().and_then(|setting| {
                    let value = <$ty as Value>::parse(text_of(setting).trim(), setting.range);
                    if value.is_none() { refuse(setting); }
                    value
                }); all &= $name.is_some(); )+ )+
                if !all { return None; }
                Some(Self { $( $( $name: $name?, )+ )+ })
            }

            /// Takes one setting's value from other settings.
            fn take(&mut self, name: &str, from: &Self) {
                $( $( if name == stringify!($name) { self.$name.clone_from(&from.$name); } )+ )+
            }
        }
    };
}

settings! {
    "Listeners" {
        listen: SocketAddr = "127.0.0.1:8080", "", ANY,
            "Address of the public listener: widget, console, REST and the socket. Port 0 takes a free one.";
        admin_listen: SocketAddr = "127.0.0.1:8081", "", ANY,
            "Address of the admin listener: metrics, health, and the operator's interface. Keep it off the Internet.";
        demo: bool = "false", "", ANY,
            "Serves a demo shop with the widget on an origin of its own, for trying things out.";
        demo_listen: SocketAddr = "127.0.0.1:8082", "", ANY,
            "Address of the demo shop.";
        public_url: Option<String> = "", "", ANY,
            "Origin under which browsers reach the public listener, such as https://chat.example.com: only its pages act for agents. Empty: made from `listen`.";
        tls_cert: Option<PathBuf> = "", "", ANY,
            "PEM file with the certificate chain of the public listener. Read again when it changes.";
        tls_key: Option<PathBuf> = "", "", ANY,
            "PEM file with the certificate's private key.";
        insecure_http: bool = "false", "", ANY,
            "Allows plain HTTP beyond loopback on the public listener and the demo shop, for a server that stands behind a proxy which ends TLS.";
        admin_insecure_http: bool = "false", "", ANY,
            "Allows the admin listener beyond loopback. It speaks plain HTTP and tells anybody its metrics: only on a network of your own.";
        trusted_proxies: Vec<Network> = "", "", ANY,
            "Addresses and networks of proxies whose X-Forwarded-For, X-Forwarded-Proto and Forwarded are believed, separated by commas: 10.0.0.0/8, 2001:db8::7.";
    }
    "Folders" {
        data: PathBuf = "./var/data", "", ANY,
            "Folder of the embedded store.";
        keys: PathBuf = "./var/keys", "", ANY,
            "Folder of the keys. Never inside the data folder: a copy of the one must be worthless without the other.";
    }
    "Nodes" {
        bus: Bus = "memory", "", ANY,
            "How nodes hear of each other's messages: `memory` for one node, or a Redis 7: rediss://user:password@host:port/db (redis:// on loopback only).";
        bus_allow_persistence: bool = "false", "", ANY,
            "Accepts a Redis that writes to disk or lets its user watch others.";
    }
    "Process" {
        worker_threads: usize = "0", "threads", (0, 1024),
            "Threads that serve. 0: one for every two cores, for the store has threads of its own.";
        log_format: LogFormat = "auto", "", ANY,
            "How a log line looks: `json`, `human` for people, or `auto`: for people where stderr is a terminal, JSON otherwise. Logs go to stderr.";
        log_level: LogLevel = "info", "", ANY,
            "Least severity that is logged: error, warn, info, debug or trace.";
        access_log: bool = "false", "", ANY,
            "Writes a log line for each request and each socket, whatever `log_level` is. Of an address only the network is written: /24, or /48 of IPv6.";
        log_sign_in_addresses: bool = "false", "", ANY,
            "Writes the whole address into the log line of each sign-in, for a program such as fail2ban that bars whoever guesses. An address is personal data: say so in your privacy notice, and keep those logs for days, not for years.";
        traces_endpoint: Option<String> = "", "", ANY,
            "Address to which spans are sent by OTLP over HTTP, in JSON: http://127.0.0.1:4318/v1/traces. Empty: nothing is traced.";
        traces_per_mille: u64 = "10", "of a thousand", (0, 1_000),
            "How many traces of a thousand are sent; one in which the server failed is sent always.";
        drain_grace_ms: u64 = "5000", "ms", (0, 600_000),
            "After SIGTERM: time in which new connections are still taken while /readyz already says no, so that a load balancer looks elsewhere first. See `drain_grace`.";
        drain_grace: DrainGrace = "nodes", "", ANY,
            "When that time is waited for: `nodes`, where `bus` names other nodes that can take over; `always`; or `never`. With a single node it would only make an outage longer.";
        drain_ms: u64 = "20000", "ms", (0, 3_600_000),
            "After the grace: the longest time over which the clients are told to move. They are told one by one, a thousand in a second, so that few take less; where they are so many that this would take longer, they are told as much faster.";
    }
    "Conversations" {
        offer_ms: u64 = "30000", "ms", (1_000, 600_000),
            "Time in which an agent may take what was offered to them.";
        agent_grace_ms: u64 = "45000", "ms", (0, 3_600_000),
            "Time in which an absent agent keeps their conversations.";
        agent_capacity: u16 = "5", "conversations", (0, 100),
            "Conversations at a time for a new agent; they and their admins may change it.";
        conversations_per_visitor_max: usize = "5", "conversations", (1, 10_000),
            "Open conversations of one visitor.";
        conversations_per_ip_hour_max: u64 = "60", "conversations", (1, 1_000_000),
            "Conversations opened from one address in an hour; an IPv6 network of 64 bits counts as one.";
        abandoned_hours: u64 = "336", "hours", (0, 87_600),
            "Time after which a conversation is closed in which nobody said anything and nobody is there; its visitor can open it again. 0: never.";
        visitor_token_days: u64 = "30", "days", (1, 396),
            "Days for which a visitor is known again, from their last visit on.";
    }
    "Connections" {
        connections_max: usize = "20000", "connections", (1, 10_000_000),
            "Connections to the public listener at a time; fewer where the system allows the process too few open files.";
        handshakes_per_ip_max: usize = "64", "connections", (1, 1_000_000),
            "Connections from one address that have not yet finished a request; the addresses of an IPv6 network of 64 bits are one.";
        connections_per_ip_max: usize = "2000", "connections", (1, 10_000_000),
            "Sockets of one address; many people may share one. The addresses of an IPv6 network of 64 bits are one.";
        header_ms: u64 = "10000", "ms", (100, 600_000),
            "Time for the TLS handshake, and then for the head of a request.";
        request_ms: u64 = "30000", "ms", (100, 600_000),
            "Time for a whole request and its answer.";
        header_bytes_max: usize = "16384", "bytes", (8_192, 1_048_576),
            "Size of a request's head.";
        body_bytes_max: usize = "327680", "bytes", (1_024, 327_680),
            "Size of a request's body.";
        hello_timeout_ms: u64 = "10000", "ms", (100, 600_000),
            "Time from the upgrade to an accepted `hello`.";
        heartbeat_agent_ms: u64 = "15000", "ms", (1_000, 600_000),
            "Silence after which an agent's line is probed.";
        heartbeat_visitor_ms: u64 = "25000", "ms", (1_000, 600_000),
            "Silence after which a visitor's line is probed.";
        pong_ms: u64 = "8000", "ms", (100, 600_000),
            "Time for the answer to a probe before the line counts as dead.";
        outbox_frames_max: usize = "1024", "frames", (8, 1_000_000),
            "Frames that may wait for one slow reader.";
        outbox_bytes_max: usize = "1048576", "bytes", (65_536, 268_435_456),
            "Bytes that may wait for one slow reader, beside one page of messages.";
    }
    "Rates" {
        frames_per_second: u64 = "40", "frames/s", (1, 1_000_000),
            "Frames that one connection may send in the long run.";
        frames_burst: u64 = "120", "frames", (1, 1_000_000),
            "Frames that one connection may send at once.";
        messages_per_minute: u64 = "60", "messages/min", (1, 10_000_000),
            "Messages that a visitor may send in the long run, over all their connections, and again after a new one.";
        messages_burst: u64 = "20", "messages", (1, 1_000_000),
            "Messages that a visitor or an agent may send at once.";
        agent_messages_per_minute: u64 = "600", "messages/min", (1, 10_000_000),
            "Messages that an agent may send in the long run, over all their connections and over REST together.";
        requests_per_minute: u64 = "1200", "requests/min", (1, 10_000_000),
            "REST requests that a signed-in agent may make in the long run.";
        requests_burst: u64 = "300", "requests", (1, 1_000_000),
            "REST requests that a signed-in agent may make at once.";
        key_requests_per_minute: u64 = "600", "requests/min", (1, 10_000_000),
            "REST requests that may be made with one API key in the long run; an operator key as well.";
        key_requests_burst: u64 = "120", "requests", (1, 1_000_000),
            "REST requests that may be made with one API key at once.";
        address_requests_per_minute: u64 = "6000", "requests/min", (1, 10_000_000),
            "REST requests that one address may make in the long run without proving who asks; many people may share one.";
        address_requests_burst: u64 = "1000", "requests", (1, 1_000_000),
            "REST requests that one address may make at once without proving who asks.";
        logins_per_account_max: u64 = "10", "logins", (1, 1_000_000),
            "Failed logins to one account from one address, or from one browser that signed in to it before, within `login_window_ms`; further ones wait, right or wrong.";
        logins_per_account_strangers_max: u64 = "100", "logins", (1, 1_000_000),
            "Failed logins to one account from all browsers together that never signed in to it, within `login_window_ms`.";
        logins_per_ip_max: u64 = "50", "logins", (1, 1_000_000),
            "Failed logins from one address within `login_window_ms`, by browsers that never signed in.";
        login_window_ms: u64 = "900000", "ms", (1_000, 86_400_000),
            "Time over which so many failed logins are forgotten again, one by one.";
        session_days: u64 = "14", "days", (1, 365),
            "Days for which an agent stays signed in.";
    }
    "Store" {
        store: Store = "sqlite", "", ANY,
            "Where conversations are kept: `sqlite`, in the data folder, or `memory`, for load tests and trials: it keeps nothing when it ends; loopback only.";
        store_queue_max: usize = "4096", "writes", (16, 1_000_000),
            "Writes that may wait for the store's writer.";
        store_patience_ms: u64 = "2000", "ms", (0, 60_000),
            "Time for which a sender waits for room in that queue before being refused.";
        store_linger_ms: u64 = "2", "ms", (0, 100),
            "Time for which a busy writer gathers neighbours into one commit. 0: it does not wait.";
        sweep_ms: u64 = "3600000", "ms", (1_000, 86_400_000),
            "Time between two sweeps of what has expired.";
        clock_sync_file: PathBuf = "/run/systemd/timesync/synchronized", "", ANY,
            "A path that exists while the system's clock is synchronised. Without it a server that was off for more than 3 hours asks its operator for the day before it destroys anything.";
    }
    "Audit" {
        audit_heads_file: Option<PathBuf> = "", "", ANY,
            "File to which the audit's signed heads are appended, a line of JSON each: on another disk than the data, so that whoever cuts off the end of the audit leaves its head there. Empty: they are in the log alone.";
    }
    "Operator" {
        operator_url: Option<ServerUrl> = "", "", ANY,
            "Where `livehelp operator` and `livehelp health` find the admin listener of a server elsewhere, such as https://admin.example.com behind a proxy that ends TLS. Empty: at `admin_listen`. The server itself does not read it.";
        operator_ca_file: Option<PathBuf> = "", "", ANY,
            "PEM file with the certificates of those who may vouch for that server. Empty: those that the system trusts.";
        operator_key_file: Option<PathBuf> = "", "", ANY,
            "File whose first line is the operator's key; `-` is standard input. Empty: `operator-key` in the keys folder.";
        operator_insecure_http: bool = "false", "", ANY,
            "Lets the operator's key travel over plain HTTP beyond loopback: only on a network of your own.";
    }
}

/// The settings that a reload puts in force. The others are about what was opened, made or promised
/// at start: folders, listeners, threads, the bus, conversations under way.
pub const RELOADED: &[&str] = &[
    "trusted_proxies",
    "log_level",
    "access_log",
    "log_sign_in_addresses",
    "traces_per_mille",
    "drain_grace_ms",
    "drain_grace",
    "drain_ms",
    "connections_max",
    "handshakes_per_ip_max",
    "connections_per_ip_max",
    "header_ms",
    "request_ms",
    "header_bytes_max",
    "body_bytes_max",
    "hello_timeout_ms",
    "heartbeat_agent_ms",
    "heartbeat_visitor_ms",
    "pong_ms",
    "outbox_frames_max",
    "outbox_bytes_max",
    "frames_per_second",
    "frames_burst",
    "messages_per_minute",
    "messages_burst",
    "agent_messages_per_minute",
    "requests_per_minute",
    "requests_burst",
    "key_requests_per_minute",
    "key_requests_burst",
    "address_requests_per_minute",
    "address_requests_burst",
    "logins_per_account_max",
    "logins_per_account_strangers_max",
    "logins_per_ip_max",
    "login_window_ms",
];

/// A value that a reload replaces. Whoever uses it asks each time, or lives with what they began
/// with.
#[derive(Debug)]
pub struct Live<T>(Arc<RwLock<Arc<T>>>);

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> From<T> for Live<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }
}

impl<T> Live<T> {
    /// What is in force.
    pub fn now(&self) -> Arc<T> {
        Arc::clone(&self.0.read())
    }

    /// Puts another value in force.
    pub fn set(&self, value: T) {
        *self.0.write() = Arc::new(value);
    }
}

impl Config {
    /// These settings, with those of `newer` that a reload puts in force.
    pub fn reloaded(&self, newer: &Self) -> Self {
        let mut config = self.clone();
        for name in RELOADED {
            config.take(name, newer);
        }
        config
    }

    /// Every setting at its default.
    ///
    /// # Panics
    /// If a default is not a value of its own setting; a test holds that.
    #[expect(clippy::expect_used, reason = "a test reads every default")]
    pub fn defaults() -> Self {
        Self::read(&mut |setting| setting.default.to_owned(), &mut |_| {})
            .expect("each default is a value of its setting")
    }

    /// Whether the public listener speaks TLS itself.
    pub fn tls(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// Where browsers reach a public listener that has this address.
    pub fn public_origin(&self, address: SocketAddr) -> PublicUrl {
        let set = self.public_url.as_deref().and_then(|url| PublicUrl::set(url).ok());
        set.unwrap_or_else(|| PublicUrl::of_listener(self.tls(), address))
    }

    /// Checks what no single setting can know.
    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            complaints
                .push("`tls_cert` and `tls_key` belong together: give both or none".to_owned());
        }
        let plain = "plain HTTP is for loopback only";
        if !self.insecure_http {
            if !self.tls() && !self.listen.ip().is_loopback() {
                complaints.push(format!(
                    "`listen` = {}: {plain}; give `tls_cert` and `tls_key`, or set `insecure_http` if a proxy ends TLS",
                    self.listen
                ));
            }
            if !self.demo_listen.ip().is_loopback() {
                complaints.push(format!(
                    "`demo_listen` = {}: {plain}; set `insecure_http` if that network is yours alone",
                    self.demo_listen
                ));
            }
        }
        // A word of its own: who puts a proxy before the public listener says nothing of this one.
        if !self.admin_insecure_http && !self.admin_listen.ip().is_loopback() {
            complaints.push(format!(
                "`admin_listen` = {}: {plain}; set `admin_insecure_http` if that network is yours alone",
                self.admin_listen
            ));
        }
        if self.store == Store::Memory {
            for (name, address) in [
                ("listen", self.listen),
                ("admin_listen", self.admin_listen),
                ("demo_listen", self.demo_listen),
            ] {
                if !address.ip().is_loopback() {
                    complaints.push(format!(
                        "`store` = memory and `{name}` = {address}: what keeps nothing is for loopback only; set `store` = sqlite or a loopback address"
                    ));
                }
            }
        }
        if let Some(url) = &self.public_url
            && let Err(error) = PublicUrl::set(url)
        {
            complaints.push(format!(
                "`public_url` = {}: expected an origin without a path, such as https://chat.example.com ({error})",
                without_password(url)
            ));
        }
        self.complain_of_others(&mut complaints);
        if let Some(url) = &self.operator_url
            && url.is_plain_beyond_loopback()
            && !self.operator_insecure_http
        {
            complaints.push(format!(
                "`operator_url` = {}: {plain}, for the operator's key goes there; use https, or set `operator_insecure_http` if that network is yours alone",
                url.as_str()
            ));
        }
        let (data, keys) = (normal(&self.data), normal(&self.keys));
        if keys.starts_with(&data) || data.starts_with(&keys) {
            complaints.push(format!(
                "`keys` = {} and `data` = {}: neither may lie inside the other",
                self.keys.display(),
                self.data.display()
            ));
        }
        complaints
    }

    /// What is said to programs beside this one.
    fn complain_of_others(&self, complaints: &mut Vec<String>) {
        if let Some(url) = &self.traces_endpoint
            && Endpoint::parse(url).is_none()
        {
            complaints.push(format!(
                "`traces_endpoint` = {}: expected an address of a collector, such as http://127.0.0.1:4318/v1/traces; TLS to one far away is for a collector on this machine",
                without_password(url)
            ));
        }
    }
}

/// A path without `.` parts, so that two spellings of one folder compare equal.
fn normal(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components().collect()
}

#[cfg(test)]
mod tests;

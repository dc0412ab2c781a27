//! Settings: what can be set, where a value came from, and the resolved [`Config`].
//!
//! Lives here: the registry of settings, their bounds, the three sources and the checks between settings.
//! Not here: key files (`keys`), certificates (`http`), what a site sets for itself (`store`).
//! Called by `main`; everything else is handed the [`Config`]. The only reader of the environment.

mod document;
mod load;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use document::{document, example};
pub use load::{ConfigError, Origin, Resolved, Sources, load};
pub use value::{Bus, LogFormat, LogLevel, Network, Setting, Store};

use crate::origin::PublicUrl;
use value::Value;

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
        log_format: LogFormat = "json", "", ANY,
            "How a log line looks: `json`, or `human` for a terminal. Logs go to stderr.";
        log_level: LogLevel = "info", "", ANY,
            "Least severity that is logged: error, warn, info, debug or trace.";
        drain_grace_ms: u64 = "5000", "ms", (0, 600_000),
            "After SIGTERM: time in which new connections are still taken while /readyz already says no.";
        drain_ms: u64 = "20000", "ms", (0, 3_600_000),
            "After the grace: the longest time over which clients are told to move, one by one, a thousand in a second.";
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
}

impl Config {
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
                "`public_url` = {url}: expected an origin without a path, such as https://chat.example.com ({error})"
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
}

/// A path without `.` parts, so that two spellings of one folder compare equal.
fn normal(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components().collect()
}

#[cfg(test)]
mod tests;

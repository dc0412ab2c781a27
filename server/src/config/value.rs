//! One setting: its type in words, its bounds, its text in and out.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use url::Host;

use crate::origin::is_localhost;

/// What can be said about a setting without its value.
#[derive(Debug)]
pub struct Setting {
    /// As in the file; `LIVEHELP_` and capitals in the environment, hyphens in a flag.
    pub name: &'static str,
    /// Heading in the documentation.
    pub group: &'static str,
    /// As it would be written.
    pub default: &'static str,
    /// What a number counts; empty otherwise.
    pub unit: &'static str,
    /// Least and greatest number.
    pub range: (u64, u64),
    /// What it does.
    pub doc: &'static str,
    /// What it takes, in words.
    pub takes: &'static str,
    /// Whether the flag alone means `true`.
    pub switch: bool,
    /// Whether it names a file or a folder, which may lie among the unit's credentials.
    pub path: bool,
    /// Whether a value may hold a password; such a setting can be read from a file of its own as
    /// well.
    pub secret: bool,
}

impl Setting {
    /// The flag, without its leading hyphens.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The variable.
    pub fn variable(&self) -> String {
        format!("LIVEHELP_{}", self.name.to_uppercase())
    }

    /// Whether a reload puts it in force.
    pub fn is_reloaded(&self) -> bool {
        super::RELOADED.contains(&self.name)
    }

    /// The name under which a file is given that holds the value, where the value may be a secret.
    pub fn name_of_file(&self) -> Option<String> {
        self.secret.then(|| format!("{}_file", self.name))
    }

    /// What it takes, with its bounds.
    pub fn expected(&self) -> String {
        if self.unit.is_empty() {
            return self.takes.to_owned();
        }
        format!("{} from {} to {} ({})", self.takes, self.range.0, self.range.1, self.unit)
    }
}

/// A type that a setting can have.
pub(super) trait Value: Sized {
    const TAKES: &'static str;
    const SWITCH: bool = false;
    /// Whether it names a file or a folder.
    const PATH: bool = false;
    const SECRET: bool = false;
    fn parse(text: &str, range: (u64, u64)) -> Option<Self>;
}

macro_rules! numbers {
    ($($ty:ty),+) => { $(
        impl Value for $ty {
            const TAKES: &'static str = "a whole number";
            fn parse(text: &str, range: (u64, u64)) -> Option<Self> {
                let number: u64 = text.replace('_', "").parse().ok()?;
                (range.0 <= number && number <= range.1).then(|| Self::try_from(number).ok()).flatten()
            }
        }
    )+ };
}
numbers!(u16, u64, usize);

impl Value for SocketAddr {
    const TAKES: &'static str = "an address with a port, such as 127.0.0.1:8080 or [::1]:8080";
    fn parse(text: &str, _: (u64, u64)) -> Option<Self> {
        text.parse().ok()
    }
}

impl Value for bool {
    const TAKES: &'static str = "true or false";
    const SWITCH: bool = true;
    fn parse(text: &str, _: (u64, u64)) -> Option<Self> {
        text.parse().ok()
    }
}

impl Value for PathBuf {
    const TAKES: &'static str = "a path";
    const PATH: bool = true;
    fn parse(text: &str, _: (u64, u64)) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }
}

impl Value for String {
    const TAKES: &'static str = "a text";
    fn parse(text: &str, _: (u64, u64)) -> Option<Self> {
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl<T: Value> Value for Option<T> {
    const TAKES: &'static str = T::TAKES;
    const PATH: bool = T::PATH;
    const SECRET: bool = T::SECRET;
    fn parse(text: &str, range: (u64, u64)) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::parse(text, range).map(Some) }
    }
}

/// An address, or all that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether an address lies in it. IPv4 in IPv6's clothes is IPv4, here as there.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip.to_canonical())
    }
}

impl<Ip: Into<IpAddr>> From<Ip> for Network {
    fn from(ip: Ip) -> Self {
        Self(IpNet::from(ip.into().to_canonical()))
    }
}

impl std::str::FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        const MAPPED_BITS: u8 = 96;
        let Some((address, bits)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Self::from).map_err(|_| NotANetwork);
        };
        let given: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let bits: u8 = bits.parse().map_err(|_| NotANetwork)?;
        let ip = given.to_canonical();
        let mapped = ip.is_ipv4() && given.is_ipv6();
        let bits = if mapped { bits.checked_sub(MAPPED_BITS).ok_or(NotANetwork)? } else { bits };
        IpNet::new(ip, bits).map(|network| Self(network.trunc())).map_err(|_| NotANetwork)
    }
}

/// A text that is neither an address nor a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither an address nor a network such as 10.0.0.0/8")]
pub struct NotANetwork;

impl Value for Vec<Network> {
    const TAKES: &'static str =
        "addresses and networks such as 10.0.0.0/8 or 2001:db8::/32, separated by commas";
    fn parse(text: &str, _: (u64, u64)) -> Option<Self> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().ok())
            .collect()
    }
}

/// How nodes hear of each other.
#[derive(Clone, PartialEq, Eq)]
pub enum Bus {
    /// There is one node.
    Memory,
    /// Address of the Redis; it may hold a password.
    Redis(String),
}

impl Bus {
    /// Its kind, and where it is; never a password.
    pub fn shown(&self) -> String {
        match self {
            Self::Memory => "memory".to_owned(),
            Self::Redis(url) => without_password(url),
        }
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory => f.write_str("Memory"),
            Self::Redis(url) => write!(f, "Redis({})", without_password(url)),
        }
    }
}

impl Value for Bus {
    const TAKES: &'static str = "`memory` or an address such as rediss://user:password@host:6379/0";
    const SECRET: bool = true;
    fn parse(text: &str, _: (u64, u64)) -> Option<Self> {
        if text == "memory" {
            return Some(Self::Memory);
        }
        let uri: http::Uri = text.parse().ok()?;
        (matches!(uri.scheme_str(), Some("redis" | "rediss"))
            && uri.host().is_some_and(|host| !host.is_empty()))
        .then(|| Self::Redis(text.to_owned()))
    }
}

/// Where a server is asked that may be on another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    text: String,
    host: Host<String>,
    /// Of the address, or the scheme's.
    pub port: u16,
    /// Whether it is asked over TLS.
    pub tls: bool,
    /// What stands before the path of each request: empty, or `/` and more, without one at its end.
    pub prefix: String,
}

impl ServerUrl {
    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Name or address, without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        }
    }

    /// For the header `Host`: a port that is the scheme's own is left out.
    pub fn authority(&self) -> String {
        let own = if self.tls { 443 } else { 80 };
        if self.port == own {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether what is said would be read by whoever is on the way.
    pub fn is_plain_beyond_loopback(&self) -> bool {
        let loopback = match &self.host {
            Host::Domain(name) => is_localhost(name),
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
        };
        !self.tls && !loopback
    }
}

impl Value for ServerUrl {
    const TAKES: &'static str =
        "an address such as https://chat.example.com:8443, without a user and without a question";
    fn parse(text: &str, _: (u64, u64)) -> Option<Self> {
        let url = url::Url::parse(text).ok()?;
        let bare = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https")
            || !bare
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return None;
        }
        Some(Self {
            text: url.as_str().trim_end_matches('/').to_owned(),
            host: url.host()?.to_owned(),
            port: url.port_or_known_default()?,
            tls: url.scheme() == "https",
            prefix: url.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl std::str::FromStr for ServerUrl {
    type Err = NotAServerUrl;

    fn from_str(text: &str) -> Result<Self, NotAServerUrl> {
        Self::parse(text, (0, 0)).ok_or(NotAServerUrl)
    }
}

/// A text that is no address of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", ServerUrl::TAKES)]
pub struct NotAServerUrl;

/// Settings of a few words each.
macro_rules! words {
    ($( #[doc = $doc:literal] $name:ident = $takes:literal { $( #[doc = $what:literal] $variant:ident = $word:literal, )+ } )+) => { $(
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $( #[doc = $what] $variant, )+ }

        impl $name {
            /// As the setting has it.
            pub fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl Value for $name {
            const TAKES: &'static str = $takes;
            fn parse(text: &str, _: (u64, u64)) -> Option<Self> {
                [$( Self::$variant ),+].into_iter().find(|value| value.word() == text)
            }
        }
    )+ };
}

words! {
    /// Where conversations are kept.
    Store = "sqlite or memory" {
        /// In one file of the data folder.
        Sqlite = "sqlite",
        /// Nowhere: gone when the server ends.
        Memory = "memory",
    }
    /// When newcomers are still taken for a while after SIGTERM.
    DrainGrace = "nodes, always or never" {
        /// Where other nodes can take over.
        Nodes = "nodes",
        /// Whatever stands before the server.
        Always = "always",
        /// The listener closes at once.
        Never = "never",
    }
    /// How a log line looks.
    LogFormat = "auto, json or human" {
        /// As stderr is: for people on a terminal, one object a line elsewhere.
        Auto = "auto",
        /// One object a line.
        Json = "json",
        /// For a terminal.
        Human = "human",
    }
    /// Least severity that is logged.
    LogLevel = "error, warn, info, debug or trace" {
        /// Data lost, or soon.
        Error = "error",
        /// Odd, healed.
        Warn = "warn",
        /// An operator's act took effect.
        Info = "info",
        /// A branch taken.
        Debug = "debug",
        /// Each frame.
        Trace = "trace",
    }
}

/// Where spans are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host and port, as a socket and the header `Host` take them.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl Endpoint {
    /// Of an address that begins with `http://` and names nobody.
    pub fn parse(url: &str) -> Option<Self> {
        let uri: http::Uri = url.parse().ok()?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = authority.host();
        if uri.scheme_str() != Some("http") || host.is_empty() {
            return None;
        }
        let port = authority.port_u16().unwrap_or(80);
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        Some(Self { authority: format!("{host}:{port}"), path })
    }
}

/// An address as it may be shown: what stands before the `@` is a secret. Works on any text, valid
/// or not.
pub(super) fn without_password(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://[hidden]@{host}"),
        (None, Some((_, host))) => format!("[hidden]@{host}"),
        (_, None) => text.to_owned(),
    }
}

//! Variables that begin with `LIVEHELP_` and are no settings: whose they are, or what was meant.
//!
//! Lives here: the patterns of others, and how near a name is to one of ours. Not here: reading
//! (`load`). Called by `load`. A name that is nearly ours was meant for us, and going on without it
//! could serve the wrong folder or open the wrong port; any other is not ours to judge.

use super::{SETTINGS, Setting};

/// What others set in our name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    /// Kubernetes tells each container of the Services beside it.
    Kubernetes,
    /// The load harness, and the tests of the front ends.
    Ours,
    /// Nobody knows.
    Stranger,
}

/// Words that people put behind a name, or leave out; none of them makes it another setting.
const TAILS: [&str; 20] = [
    "dir",
    "directory",
    "folder",
    "path",
    "file",
    "addr",
    "address",
    "url",
    "port",
    "host",
    "ms",
    "seconds",
    "minutes",
    "hours",
    "days",
    "max",
    "limit",
    "bytes",
    "enabled",
    "mode",
];

/// Names of other programs of this repository, without `LIVEHELP_`.
const HARNESS: [&str; 3] = ["load_", "browser", "screenshots"];

/// Whose a variable is that is no setting; `None` where a setting of ours was meant, by its name in
/// lower case without `LIVEHELP_`, and its value.
pub(super) fn owner(name: &str, value: &str) -> Option<Owner> {
    if is_kubernetes(name, value) {
        return Some(Owner::Kubernetes);
    }
    if HARNESS.iter().any(|known| name.starts_with(known)) {
        return Some(Owner::Ours);
    }
    meant(name).is_none().then_some(Owner::Stranger)
}

/// Whether Kubernetes (or Docker's links, which it took over) sets a variable of this name to such
/// a value, for a Service called `livehelp` or `livehelp-…`.
pub(super) fn is_kubernetes(name: &str, value: &str) -> bool {
    let name = format!("_{name}");
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_address = |text: &str| {
        ["tcp", "udp", "sctp"]
            .iter()
            .any(|kind| text.strip_prefix(kind).is_some_and(|rest| rest.starts_with("://")))
    };
    if name.ends_with("_service_host") {
        return true;
    }
    if name.ends_with("_service_port") || name.contains("_service_port_") {
        return is_port(value);
    }
    if name.ends_with("_port") && is_address(value) {
        return true;
    }
    // LIVEHELP_PORT_8080_TCP, and the same with _PROTO, _PORT and _ADDR.
    let Some((_, rest)) = name.rsplit_once("_port_") else { return false };
    let mut words = rest.split('_');
    words.next().is_some_and(is_port)
        && words.next().is_some_and(|kind| matches!(kind, "tcp" | "udp" | "sctp"))
        && words.next().is_none_or(|what| matches!(what, "proto" | "port" | "addr"))
        && words.next().is_none()
}

/// The setting that somebody meant who wrote this name: one that is a slip of the finger away, or
/// has one word more or less.
pub(super) fn meant(name: &str) -> Option<&'static Setting> {
    let bare = |name: &str| name.replace('_', "");
    let slip = |known: &str| {
        let (a, b) = (bare(name), bare(known));
        let slips = strsim::damerau_levenshtein(&a, &b);
        // Of a short word, two other letters make another word.
        slips <= if b.chars().count() < 6 { 1 } else { 2 }
    };
    let one_word = |known: &str| {
        let tail = |long: &str, short: &str| {
            long.strip_prefix(short)
                .and_then(|tail| tail.strip_prefix('_'))
                .is_some_and(|tail| TAILS.contains(&tail))
        };
        tail(name, known) || tail(known, name)
    };
    let likeness = |known: &str| strsim::jaro_winkler(name, known);
    SETTINGS
        .iter()
        .filter(|setting| slip(setting.name) || one_word(setting.name))
        .max_by(|a, b| likeness(a.name).total_cmp(&likeness(b.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_injects_is_known_by_name_and_value() {
        for (name, value) in [
            ("service_host", "10.0.0.1"),
            ("service_port", "80"),
            ("service_port_http", "80"),
            ("port", "tcp://10.0.0.1:80"),
            ("port_8080_tcp", "tcp://10.0.0.1:8080"),
            ("port_8080_tcp_proto", "tcp"),
            ("port_8080_tcp_port", "8080"),
            ("port_8080_tcp_addr", "10.0.0.1"),
            ("port_53_udp", "udp://10.0.0.1:53"),
            // A Service called livehelp-listen, or livehelp-admin.
            ("listen_port", "tcp://10.0.0.1:80"),
            ("listen_service_host", "10.0.0.1"),
            ("admin_port_8081_tcp_port", "8081"),
        ] {
            assert_eq!(owner(name, value), Some(Owner::Kubernetes), "{name}={value}");
        }
        for (name, value) in [
            ("listen_port", "8080"),
            ("port_x_tcp", "1"),
            ("port_80_ip", "1"),
            ("service_port", "x"),
        ] {
            assert_ne!(owner(name, value), Some(Owner::Kubernetes), "{name}={value}");
        }
    }

    #[test]
    fn no_setting_of_ours_is_taken_for_one_of_kubernetes() {
        for setting in SETTINGS {
            assert!(!is_kubernetes(setting.name, setting.default), "{}", setting.name);
        }
    }

    #[test]
    fn a_near_miss_was_meant_for_us_and_a_stranger_was_not() {
        for (name, known) in [
            ("lisen", "listen"),
            ("pongms", "pong_ms"),
            ("data_dir", "data"),
            ("bus_url", "bus"),
            ("listen_port", "listen"),
            ("offer", "offer_ms"),
            ("public", "public_url"),
            ("admin_listne", "admin_listen"),
            ("insecurehttp", "insecure_http"),
        ] {
            assert_eq!(meant(name).map(|setting| setting.name), Some(known), "{name}");
            assert_eq!(owner(name, "x"), None, "{name}");
        }
        for name in
            ["version", "image", "image_tag", "home", "token", "foo", "port", "user", "replicas"]
        {
            assert_eq!(owner(name, "x"), Some(Owner::Stranger), "{name}");
        }
        assert_eq!(owner("load_secret", "x"), Some(Owner::Ours));
    }
}

//! Origins: which pages may embed a widget, and which may act with a session's cookie.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest origin: a host of 253 characters, scheme and port.
const ORIGIN_BYTES_MAX: usize = 280;

/// Why a text is not an origin that a site may list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Path, query, user, wildcard, or no host.
    #[error("not an origin: wanted `https://` and a host, with a port where it is not 443")]
    Malformed,
    /// Plain HTTP away from this machine.
    #[error("an origin must be https, or on this machine")]
    NotSecure,
}

/// The browser's spelling of an origin: lower case, no path, no default port.
///
/// # Errors
/// If it has anything beyond scheme, host and port, or is plain HTTP and not on loopback.
pub fn parse_origin(text: &str) -> Result<String, OriginError> {
    let text = text.trim();
    if text.len() > ORIGIN_BYTES_MAX {
        return Err(OriginError::Malformed);
    }
    let lower = text.to_ascii_lowercase();
    let (scheme, authority) = lower.split_once("://").ok_or(OriginError::Malformed)?;
    // The slash that people copy from the address bar.
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let default_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return Err(OriginError::Malformed),
    };
    let (host, port) = split_port(authority).ok_or(OriginError::Malformed)?;
    if !is_host(host) {
        return Err(OriginError::Malformed);
    }
    if scheme == "http" && !is_loopback(host) {
        return Err(OriginError::NotSecure);
    }
    Ok(match port {
        Some(port) if port != default_port => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    })
}

/// Whether a page of this origin may embed the widget: it is listed, spelled the browser's way.
/// An empty list allows none.
pub fn allowed_origin(origins: &[String], origin: &str) -> bool {
    origins.iter().any(|allowed| allowed == origin)
}

/// Whether a request's `Origin` is the server's own: the configured one, or the host that was asked.
/// A page elsewhere cannot choose the `Host` of the request that its browser sends here.
pub fn same_origin(public_url: &str, host: Option<&str>, origin: &str) -> bool {
    if parse_origin(public_url).is_ok_and(|own| own == origin) {
        return true;
    }
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    matches!((authority, host), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(_) => {
            let end = authority.find(']')?;
            let (host, rest) = authority.split_at_checked(end + 1)?;
            (host, rest.strip_prefix(':').or(if rest.is_empty() { Some("") } else { None })?)
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    if port.is_empty() {
        return (!authority.ends_with(':')).then_some((host, None));
    }
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| port.parse().ok()).flatten().map(|port| (host, Some(port)))
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_https_or_on_this_machine() {
        let good = [
            ("https://Shop.Example", "https://shop.example"),
            ("https://shop.example:443/", "https://shop.example"),
            ("https://shop.example:8443", "https://shop.example:8443"),
            ("http://127.0.0.1:8082", "http://127.0.0.1:8082"),
            ("http://localhost", "http://localhost"),
            ("http://[::1]:80", "http://[::1]"),
        ];
        for (text, normal) in good {
            assert_eq!(parse_origin(text).as_deref(), Ok(normal), "{text}");
        }
        for text in [
            "",
            "*",
            "null",
            "https://",
            "https://*.example",
            "https://shop.example/path",
            "https://shop.example?x",
            "https://ada@shop.example",
            "https://shop.example:",
            "https://shop.example:99999",
            "https://shop..example",
            "ftp://shop.example",
            "https://[::zz]",
        ] {
            assert_eq!(parse_origin(text), Err(OriginError::Malformed), "{text}");
        }
        assert_eq!(parse_origin("http://shop.example"), Err(OriginError::NotSecure));
        assert_eq!(parse_origin("http://127.0.0.1.evil.example"), Err(OriginError::NotSecure));
    }

    #[test]
    fn only_listed_origins_may_embed() {
        let listed = vec![String::from("https://shop.example")];
        assert!(allowed_origin(&listed, "https://shop.example"));
        for other in ["https://evil.example", "https://shop.example.evil.example", "null", ""] {
            assert!(!allowed_origin(&listed, other), "{other}");
        }
        assert!(!allowed_origin(&[], "https://shop.example"));
    }

    #[test]
    fn the_servers_own_pages_may_act() {
        let own = "http://127.0.0.1:8080";
        assert!(same_origin(own, None, "http://127.0.0.1:8080"));
        assert!(same_origin(own, Some("localhost:8080"), "http://localhost:8080"));
        assert!(!same_origin(own, Some("localhost:8080"), "http://127.0.0.1:8082"));
        assert!(!same_origin(own, Some("127.0.0.1:8080"), "null"));
    }
}

//! Web origins, as the URL standard has them: which pages may embed a widget, and which are our
//! own.
//!
//! Lives here: spelling, comparison, the wildcard that a site may list, the address of this server.
//! Not here: which header said it (`http`), and where an Origin is refused: sockets in
//! `gateway/hello` and `hub/presence`, REST in `api/access`, the widget's settings in `api/widget`.
//! Called by whoever is told of a page.

use std::net::SocketAddr;

use url::{Host, Url};

/// Longest origin that is read, in bytes: a host of 253 characters in a script of three bytes each.
pub(crate) const ORIGIN_BYTES_MAX: usize = 800;

/// The longest host and the longest label of one (RFC 1035, 2.3.4).
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// What stands for the first labels of a host.
const WILDCARD: &str = "*.";

/// Why a text is not an origin, or none that a site may list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// No scheme, or no host.
    #[error("not an origin: wanted `https://` and a host, with a port where it is not 443")]
    Malformed,
    /// A path, a query, a fragment, a name or a password.
    #[error("an origin has nothing but scheme, host and port: no path, query, name or password")]
    Excess,
    /// A host or a port that there cannot be.
    #[error("the host or the port of this origin cannot be one")]
    Host,
    /// A wildcard in another place, or for too much.
    #[error(
        "a `*` stands for all first labels of a host, before two others at least, as in `https://*.shop.example`"
    )]
    Wildcard,
    /// Plain HTTP away from this machine.
    #[error("an origin must be https, or on this machine")]
    NotSecure,
}

/// An origin in the one spelling that browsers use, but without a dot at the end of its host: the
/// host is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    secure: bool,
    host: Host<String>,
    /// Where it is not the scheme's own.
    port: Option<u16>,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, .. } = self;
        write!(f, "{}://{host}", scheme(self.secure))?;
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Origin {
    fn read(text: &str) -> Result<Self, OriginError> {
        let (secure, authority) = split(text)?;
        Self::of(secure, authority)
    }

    /// The standard forgives tabs, backslashes and more; whoever sets something up is rather told.
    fn of(secure: bool, authority: &str) -> Result<Self, OriginError> {
        let address = format!("{}://{authority}/", scheme(secure));
        let url = Url::parse(&address).map_err(|_| OriginError::Host)?;
        let host = match url.host().ok_or(OriginError::Malformed)? {
            Host::Domain(name) => Host::Domain(domain(name).ok_or(OriginError::Host)?.to_owned()),
            Host::Ipv4(ip) => Host::Ipv4(ip),
            Host::Ipv6(ip) => Host::Ipv6(ip),
        };
        Ok(Self { secure, host, port: url.port() })
    }

    fn is_on_this_machine(&self) -> bool {
        match &self.host {
            Host::Domain(name) => is_localhost(name),
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.to_canonical().is_loopback(),
        }
    }
}

/// Scheme and the rest, which has nothing that no origin has.
fn split(text: &str) -> Result<(bool, &str), OriginError> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}');
    if text.len() > ORIGIN_BYTES_MAX || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(OriginError::Malformed);
    }
    let (scheme, authority) = text.split_once("://").ok_or(OriginError::Malformed)?;
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return Err(OriginError::Malformed),
    };
    // The slash that people copy from the address bar.
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    // No port is the scheme's own (URL standard, port state).
    let authority = authority.strip_suffix(':').unwrap_or(authority);
    if authority.contains(['/', '\\', '?', '#', '@']) {
        return Err(OriginError::Excess);
    }
    if authority.is_empty() || authority.ends_with(':') {
        return Err(OriginError::Malformed);
    }
    Ok((secure, authority))
}

const fn scheme(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}

/// A name that there can be, without the dot of the root.
fn domain(name: &str) -> Option<&str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (name.len() <= HOST_BYTES_MAX && name.split('.').all(is_label)).then_some(name)
}

/// Browsers ask no name server for these (RFC 6761, 6.3).
pub(crate) fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// An origin that a site may list, in the browser's spelling: lower case, a name beyond ASCII in
/// its ASCII form, the shortest IPv6 address, no default port, no dot at the end.
/// `https://*.shop.example` is taken as well.
///
/// # Errors
/// If it has anything beyond scheme, host and port, is plain HTTP and not on loopback, or has a
/// wildcard that stands elsewhere or for a whole top-level domain.
pub fn parse_origin(text: &str) -> Result<String, OriginError> {
    let (secure, authority) = split(text)?;
    let (origin, wild) = match authority.strip_prefix(WILDCARD) {
        Some(rest) => {
            let origin = Origin::of(secure, rest).map_err(|_| OriginError::Wildcard)?;
            let wide_enough = match &origin.host {
                Host::Domain(name) => name.contains('.') || is_localhost(name),
                Host::Ipv4(_) | Host::Ipv6(_) => false,
            };
            if !wide_enough {
                return Err(OriginError::Wildcard);
            }
            (origin, true)
        }
        None if authority.contains('*') => return Err(OriginError::Wildcard),
        None => (Origin::of(secure, authority)?, false),
    };
    if !secure && !origin.is_on_this_machine() {
        return Err(OriginError::NotSecure);
    }
    let text = origin.to_string();
    Ok(if wild { text.replacen("://", "://*.", 1) } else { text })
}

/// Whether a page of this origin may embed the widget: it is listed, or is under a wildcard that
/// is. An empty list allows none.
pub fn allowed_origin(origins: &[String], origin: &str) -> bool {
    if origins.iter().any(|allowed| allowed == origin) {
        return true;
    }
    let Ok(page) = Origin::read(origin).map(|page| page.to_string()) else { return false };
    origins.iter().any(|allowed| match allowed.split_once("://*.") {
        Some((scheme, rest)) => {
            let under = page.strip_prefix(scheme).and_then(|page| page.strip_prefix("://"));
            let first = under.and_then(|host| host.strip_suffix(rest));
            first.is_some_and(|labels| labels.ends_with('.'))
        }
        // What was listed by an older version may be spelled otherwise.
        None => *allowed == page || Origin::read(allowed).is_ok_and(|one| one.to_string() == page),
    })
}

/// The spelling of an origin that a page has, whether a site may list it or not; `None` for what is
/// no web origin, such as the `null` of a file.
pub fn page_origin(text: &str) -> Option<String> {
    Origin::read(text).ok().map(|origin| origin.to_string())
}

/// Whether an address leads to a web page: `https`, or `http` as well where that is meant.
pub fn is_web_address(text: &str, plain: bool) -> bool {
    Url::parse(text).is_ok_and(|url| {
        url.has_host() && (url.scheme() == "https" || (plain && url.scheme() == "http"))
    })
}

/// Where browsers reach the public listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    /// Somebody set it; otherwise it was made from the listener's address, and there may be others.
    set: bool,
}

impl PublicUrl {
    /// As the setting `public_url` has it.
    ///
    /// # Errors
    /// If it is no origin.
    pub fn set(text: &str) -> Result<Self, OriginError> {
        Ok(Self { text: Origin::read(text)?.to_string(), set: true })
    }

    /// Where nobody set it.
    pub fn of_listener(tls: bool, address: SocketAddr) -> Self {
        let text = format!("{}://{address}", scheme(tls));
        Self { text: page_origin(&text).unwrap_or(text), set: false }
    }

    /// Scheme, host and port.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether browsers are to use TLS.
    pub fn is_secure(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// Whether a page of this origin is our own. `asked` is the host that the request names,
    /// `secure` whether the browser speaks TLS.
    ///
    /// Where nobody set an address, the host that was asked counts, but only where no foreign page
    /// can choose it: an attacker's name may lead to this server's address, so a name counts under
    /// TLS alone, where the browser has checked that the certificate is this name's.
    pub fn admits(&self, origin: &str, asked: Option<&str>, secure: bool) -> bool {
        let Ok(page) = Origin::read(origin) else { return false };
        let Ok(own) = Origin::read(&self.text) else { return false };
        let one_machine = page.is_on_this_machine() && own.is_on_this_machine();
        if page == own || (one_machine && (page.secure, page.port) == (own.secure, own.port)) {
            return true;
        }
        let asked = asked.filter(|_| !self.set).and_then(|host| Origin::of(secure, host).ok());
        asked.is_some_and(|asked| {
            let named = matches!(&asked.host, Host::Domain(name) if !is_localhost(name));
            asked == page && (secure || !named)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_https_or_on_this_machine() {
        let good = [
            ("https://Shop.Example", "https://shop.example"),
            ("https://shop.example:443/", "https://shop.example"),
            ("HTTPS://shop.example:08443", "https://shop.example:8443"),
            ("https://shop.example.", "https://shop.example"),
            ("https://shop.example:", "https://shop.example"),
            ("\u{FEFF}https://shop.example \u{FEFF}", "https://shop.example"),
            ("http://127.0.0.1:8082", "http://127.0.0.1:8082"),
            ("http://127.1:8082", "http://127.0.0.1:8082"),
            ("http://localhost", "http://localhost"),
            ("http://localhost.:3000", "http://localhost:3000"),
            ("http://shop.localhost", "http://shop.localhost"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://[::ffff:127.0.0.1]", "http://[::ffff:7f00:1]"),
            ("https://[2001:0DB8:0000:0000:0000:0000:0000:0001]:443", "https://[2001:db8::1]"),
            ("https://[2001:db8:0:0:1:0:0:1]", "https://[2001:db8::1:0:0:1]"),
            ("https://münchen.example", "https://xn--mnchen-3ya.example"),
            ("https://MÜNCHEN.example", "https://xn--mnchen-3ya.example"),
            ("https://mu\u{308}nchen.example", "https://xn--mnchen-3ya.example"),
            ("https://XN--mnchen-3ya.example", "https://xn--mnchen-3ya.example"),
            ("https://shop。example", "https://shop.example"),
            ("https://ｓｈｏｐ.example", "https://shop.example"),
            ("https://straße.example", "https://xn--strae-oqa.example"),
            ("https://a_b.shop.example", "https://a_b.shop.example"),
        ];
        for (text, normal) in good {
            assert_eq!(parse_origin(text).as_deref(), Ok(normal), "{text}");
        }
        let wide = format!("https://{}.example", "a".repeat(64));
        let long = format!("https://{}example", "a.".repeat(130));
        for (text, error) in [
            ("", OriginError::Malformed),
            ("*", OriginError::Malformed),
            ("null", OriginError::Malformed),
            ("shop.example", OriginError::Malformed),
            ("https://", OriginError::Malformed),
            ("ftp://shop.example", OriginError::Malformed),
            ("https:shop.example", OriginError::Malformed),
            ("https://shop .example", OriginError::Malformed),
            ("https://shop\t.example", OriginError::Malformed),
            ("https://shop.example/path", OriginError::Excess),
            ("https://shop.example\\path", OriginError::Excess),
            ("https://shop.example?x", OriginError::Excess),
            ("https://shop.example#x", OriginError::Excess),
            ("https://ada@shop.example", OriginError::Excess),
            ("https://shop.example:99999", OriginError::Host),
            ("https://shop.example:8a", OriginError::Host),
            ("https://shop..example", OriginError::Host),
            ("https://.shop.example", OriginError::Host),
            ("https://shop.example..", OriginError::Host),
            ("https://[::zz]", OriginError::Host),
            ("https://[::1", OriginError::Host),
            ("https://1.2.3.256", OriginError::Host),
            ("https://xn--a", OriginError::Host),
            (wide.as_str(), OriginError::Host),
            (long.as_str(), OriginError::Host),
            ("http://shop.example", OriginError::NotSecure),
            ("http://127.0.0.1.evil.example", OriginError::NotSecure),
            ("http://localhost.evil.example", OriginError::NotSecure),
        ] {
            assert_eq!(parse_origin(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_the_first_labels_and_nothing_else() {
        for (text, normal) in [
            ("https://*.Shop.Example.:443", "https://*.shop.example"),
            ("https://*.shop.example:8443", "https://*.shop.example:8443"),
            ("https://*.münchen.example", "https://*.xn--mnchen-3ya.example"),
            ("http://*.localhost:3000", "http://*.localhost:3000"),
        ] {
            assert_eq!(parse_origin(text).as_deref(), Ok(normal), "{text}");
        }
        for text in [
            "https://*",
            "https://*.",
            "https://*.example",
            "https://*.example.",
            "https://*.*.shop.example",
            "https://a.*.shop.example",
            "https://*shop.example",
            "https://shop.*",
            "https://shop.example:*",
            "https://*.127.0.0.1",
            "https://*.[::1]",
        ] {
            assert_eq!(parse_origin(text), Err(OriginError::Wildcard), "{text}");
        }
        assert_eq!(parse_origin("https://＊.shop.example"), Err(OriginError::Host));
        assert_eq!(parse_origin("http://*.shop.example"), Err(OriginError::NotSecure));

        let listed =
            [String::from("https://*.shop.example"), String::from("https://*.b.example:8")];
        for page in ["https://a.shop.example", "https://a.b.shop.example", "https://a.b.example:8"]
        {
            assert!(allowed_origin(&listed, page), "{page}");
        }
        for page in [
            "https://shop.example",
            "https://evilshop.example",
            "https://a.shop.example.evil.example",
            "http://a.shop.example",
            "https://a.shop.example:8443",
            "https://a.b.example",
            "https://*.shop.example/x",
            "https://.shop.example",
            "null",
        ] {
            assert!(!allowed_origin(&listed, page), "{page}");
        }
    }

    #[test]
    fn only_listed_origins_may_embed_however_they_are_spelled() {
        // The second as an older version kept it.
        let listed = [
            String::from("https://shop.example"),
            String::from("https://[2001:0db8::1]"),
            String::from("https://xn--mnchen-3ya.example"),
        ];
        for page in [
            "https://shop.example",
            "https://shop.example.",
            "https://SHOP.example:443",
            "https://[2001:db8::1]",
            "https://xn--mnchen-3ya.example.",
        ] {
            assert!(allowed_origin(&listed, page), "{page}");
        }
        for page in [
            "https://evil.example",
            "https://shop.example.evil.example",
            "https://shop.example:8443",
            "http://shop.example",
            "null",
            "",
        ] {
            assert!(!allowed_origin(&listed, page), "{page}");
        }
        assert!(!allowed_origin(&[], "https://shop.example"));
    }

    #[test]
    fn the_servers_own_pages_may_act_and_no_page_that_only_chose_its_host() {
        let set = |text| PublicUrl::set(text).unwrap();
        let local = set("http://127.0.0.1:8080");
        assert!(local.admits("http://127.0.0.1:8080", None, false));
        assert!(local.admits("http://localhost:8080", Some("localhost:8080"), false));
        for (origin, host) in [
            ("http://127.0.0.1:8082", "localhost:8080"),
            ("https://localhost:8080", "localhost:8080"),
            ("http://evil.example:8080", "evil.example:8080"),
            ("null", "127.0.0.1:8080"),
        ] {
            assert!(!local.admits(origin, Some(host), false), "{origin}");
        }
        let chat = set("https://Chat.Example:443/");
        assert_eq!(chat.as_str(), "https://chat.example");
        for origin in ["https://chat.example", "https://chat.example.", "https://chat.example:443"]
        {
            assert!(chat.admits(origin, Some("chat.example:443"), true), "{origin}");
        }
        for origin in ["http://chat.example", "https://evil.example", "https://192.0.2.1"] {
            let host = origin.split_once("://").unwrap().1;
            assert!(!chat.admits(origin, Some(host), false), "{origin}");
            assert!(!chat.admits(origin, Some(host), true), "{origin}");
        }
    }

    #[test]
    fn without_a_public_url_a_host_counts_that_no_foreign_page_can_choose() {
        let anywhere = PublicUrl::of_listener(false, "0.0.0.0:8080".parse().unwrap());
        for (origin, host) in [
            ("http://192.0.2.1:8080", "192.0.2.1:8080"),
            ("http://[2001:db8::1]:8080", "[2001:0db8::1]:8080"),
            ("http://localhost:9000", "localhost:9000"),
            ("http://192.0.2.1", "192.0.2.1:80"),
        ] {
            assert!(anywhere.admits(origin, Some(host), false), "{origin}");
            assert!(!anywhere.admits(origin, Some("192.0.2.9"), false), "{origin}");
            assert!(!anywhere.admits(origin, Some(host), true), "another scheme: {origin}");
        }
        assert!(!anywhere.admits("http://evil.example:8080", Some("evil.example:8080"), false));
        // Under TLS the browser has seen a certificate for the name.
        assert!(anywhere.admits("https://chat.example", Some("chat.example:443"), true));
        assert!(!anywhere.admits("http://chat.example", Some("chat.example"), true));
    }

    #[test]
    fn an_address_of_a_page_leads_to_the_web() {
        for address in ["https://shop.example/privacy?x#y", "https://münchen.example/ä"] {
            assert!(is_web_address(address, false), "{address}");
        }
        assert!(is_web_address("http://shop.example", true));
        for address in ["http://shop.example", "https://", "javascript:alert(1)", "/privacy", ""] {
            assert!(!is_web_address(address, false), "{address}");
        }
    }
}

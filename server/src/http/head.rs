//! The head of a request, read once for REST and for the socket, as browsers, proxies and strangers
//! write it.
//!
//! Lives here: whether a head may be believed at all, who is at the other end behind which proxies,
//! hosts, origins and lists. Not here: what a cookie proves (`auth`). Called by the listener and by
//! both edges.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Version};

use super::Peer;
use crate::config::Network;
use crate::metrics::NotBelieved;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What is wrong with a head over which two programs could differ: where a request ends, and whom
/// it is for (RFC 9112, 3.2 and 6.1). hyper refuses folded lines, lengths that differ and spaces
/// before a colon itself.
pub(super) fn fault(head: &Parts) -> Option<&'static str> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Some("`Host` stands there twice."),
        (None, None) if head.version == Version::HTTP_11 => return Some("`Host` is missing."),
        (Some(host), None) if !is_host(host.as_bytes()) => return Some("`Host` is no host."),
        _ => {}
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let plain =
        |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(coding), None) if plain(coding) => None,
        _ => Some("`Transfer-Encoding` may only be `chunked`, once."),
    }
}

/// A host with or without a port. An empty one is for an address without a host; a comma joins two.
fn is_host(text: &[u8]) -> bool {
    let is_one = |authority: Authority| {
        let port = authority.as_str().strip_prefix(authority.host());
        !authority.as_str().contains(['@', ',']) && port.is_some_and(is_port)
    };
    text.is_empty() || Authority::try_from(text).is_ok_and(is_one)
}

/// Nothing, or a colon and a port, which may be missing (RFC 3986, 3.2.3).
fn is_port(text: &str) -> bool {
    let port = text.strip_prefix(':').unwrap_or(text);
    port.is_empty()
        || (text.starts_with(':')
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok())
}

/// The host that was asked, with its port where it names one. What stands in the first line counts
/// more than `Host`.
pub fn host(head: &Parts) -> Option<&str> {
    let asked = head.uri.authority().map(Authority::as_str);
    asked.or_else(|| head.headers.get(header::HOST).and_then(|host| host.to_str().ok()))
}

/// The origin of the page that asks, where a browser says it. What cannot be one page's origin is
/// the empty text.
pub fn origin(headers: &HeaderMap) -> Option<&str> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let first = origins.next()?;
    let alone = origins.next().is_none();
    Some(first.to_str().ok().filter(|_| alone).unwrap_or_default())
}

/// The value of a header that may stand there once.
pub(super) fn only<'h>(head: &'h Parts, name: &str) -> Option<&'h [u8]> {
    let mut values = head.headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.as_bytes().trim_ascii())
}

/// The items of a list, on however many lines it stands.
pub fn items(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    raw_items(headers, name).filter_map(|item| std::str::from_utf8(item).ok())
}

fn raw_items(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    let items = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    items.filter(|item| !item.is_empty())
}

/// How much one who asks wants this of what a list such as `Accept` names: thousandths, by the
/// narrowest range that has it, and how narrow that is (RFC 9110, 12.4.2 and 12.5.1). Zero where it
/// is not wanted or not named.
pub fn wanted(headers: &HeaderMap, list: HeaderName, what: &str) -> (u16, u8) {
    let class = what.split_once('/').map_or("", |(class, _)| class);
    let narrow = |range: &str| match range.split_once('/') {
        _ if range.eq_ignore_ascii_case(what) => Some(3),
        Some((of, "*")) if of != "*" && of.eq_ignore_ascii_case(class) => Some(2),
        Some(("*", "*")) if !class.is_empty() => Some(1),
        None if range == "*" && class.is_empty() => Some(1),
        _ => None,
    };
    let ranges = raw_items(headers, list).filter_map(|item| {
        let item = String::from_utf8_lossy(item);
        let mut parts = item.split(';').map(str::trim);
        let narrow = narrow(parts.next()?)?;
        Some((narrow, parts.find_map(quality).unwrap_or(1_000)))
    });
    ranges.max_by_key(|(narrow, _)| *narrow).map_or((0, 0), |(narrow, quality)| (quality, narrow))
}

/// `q=0.5` in thousandths; one that cannot be read wants it as if none stood there.
fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, rest) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let thousandths: u16 = format!("{rest:0<3}").get(..3)?.parse().ok()?;
    Some((whole.parse::<u16>().ok()?.min(1) * 1_000 + thousandths).min(1_000))
}

/// What a proxy says of the one who asked it.
#[derive(Debug, Clone, Copy, Default)]
struct Hop {
    /// None: not said, or not to be read.
    ip: Option<IpAddr>,
    secure: bool,
}

/// The browser's address and scheme: of what proxies said, the last hop that no trusted one vouches
/// for. And why, if something was said that is not believed.
///
/// `X-Forwarded-For` and `X-Forwarded-Proto` count more than `Forwarded`: most proxies write those
/// and hand on a stranger's `Forwarded` as it came.
pub(super) fn peer(
    head: &Parts,
    ip: IpAddr,
    secure: bool,
    trusted: &[Network],
) -> (Peer, Option<NotBelieved>) {
    let headers = &head.headers;
    let by_name = headers.contains_key(&FORWARDED_FOR);
    if !trusts(trusted, ip) {
        let said = by_name || headers.contains_key(header::FORWARDED);
        return (Peer { ip, secure }, said.then_some(NotBelieved::UntrustedPeer));
    }
    let standard = forwarded(headers);
    let hops: Vec<Hop> = if by_name {
        let nodes = raw_items(headers, FORWARDED_FOR).map(node);
        nodes.map(|ip| Hop { ip, secure: false }).collect()
    } else {
        standard.clone()
    };
    let (found, unreadable) = client(&hops, trusted);
    let proto = raw_items(headers, FORWARDED_PROTO).next();
    let over_tls = match proto {
        Some(proto) => is_secure(proto),
        None => client(&standard, trusted).0.is_some_and(|hop| hop.secure),
    };
    let believed = found.and_then(|hop| hop.ip).unwrap_or(ip);
    let peer = Peer { ip: believed, secure: secure || over_tls };
    (peer, unreadable.then_some(NotBelieved::Unreadable))
}

/// From the nearest hop on, the first that is no trusted proxy, or the farthest. Whether it is one
/// that cannot be read: what stands beyond it is not to be believed either.
fn client(hops: &[Hop], trusted: &[Network]) -> (Option<Hop>, bool) {
    let vouched = |hop: &&Hop| hop.ip.is_some_and(|ip| trusts(trusted, ip));
    let found = hops.iter().rev().find(|hop| !vouched(hop)).or(hops.first()).copied();
    (found, found.is_some_and(|hop| hop.ip.is_none()))
}

pub(super) fn trusts(trusted: &[Network], ip: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(ip))
}

/// Some proxies name the socket's scheme.
fn is_secure(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"wss")
}

/// An address as proxies write it: with a port, in brackets, with a zone, in quotes.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None if text.bytes().filter(|byte| *byte == b':').count() == 1 => {
            let (host, _) = text.split_once(':')?;
            text.split_at(host.len())
        }
        None => (text, ""),
    };
    let is_port = |port: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.bytes().all(known))
    };
    let (address, _zone) = host.split_once('%').unwrap_or((host, ""));
    address.parse().ok().filter(|_| is_port(port)).map(|ip: IpAddr| ip.to_canonical())
}

/// The hops of `Forwarded` (RFC 7239). Of an element that cannot be read nothing is known, and the
/// others stand: each may be another's.
fn forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let mut hops = Vec::new();
    for line in headers.get_all(header::FORWARDED) {
        let line = String::from_utf8_lossy(line.as_bytes());
        // A stranger's quote that does not end would take the proxy's own element into it.
        let elements = split_unquoted(&line, ',').unwrap_or_else(|| line.split(',').collect());
        let elements = elements.into_iter().map(str::trim).filter(|element| !element.is_empty());
        hops.extend(elements.map(|element| hop(element).unwrap_or_default()));
    }
    hops
}

fn hop(element: &str) -> Option<Hop> {
    let (mut hop, mut known) = (Hop::default(), false);
    for pair in split_unquoted(element, ';')?.into_iter().filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        match name.trim().to_ascii_lowercase().as_str() {
            "for" if known => return None,
            "for" => (hop.ip, known) = (node(unquoted(value)?.as_bytes()), true),
            "proto" => hop.secure = is_secure(unquoted(value)?.as_bytes()),
            _ => {}
        }
    }
    Some(hop)
}

/// The parts between separators that stand in no quotes. `None`: a quote does not end.
fn split_unquoted(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == separator && !quoted => {
                parts.push(text.get(from..at)?.trim());
                from = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(from..)?.trim());
    (!quoted).then_some(parts)
}

/// A token, or what a quoted string says.
fn unquoted(value: &str) -> Option<String> {
    let value = value.trim();
    let Some(rest) = value.strip_prefix('"') else {
        return (!value.contains('"')).then(|| value.to_owned());
    };
    let mut said = String::new();
    let mut chars = rest.strip_suffix('"')?.chars();
    while let Some(c) = chars.next() {
        said.push(if c == '\\' { chars.next()? } else { c });
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(&str, &[u8])]) -> Parts {
        let mut request = http::Request::get("/");
        for (name, value) in lines {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }

    fn trusted() -> Vec<Network> {
        ["127.0.0.1", "10.0.0.0/8", "2001:db8:ffff::/48"].map(|text| text.parse().unwrap()).into()
    }

    /// What is believed of a request that a proxy on loopback brings.
    fn brought(lines: &[(&str, &[u8])]) -> String {
        let (peer, told) = peer(&head(lines), [127, 0, 0, 1].into(), false, &trusted());
        let told = told.map_or("", |_| " unreadable");
        format!("{}{}{told}", peer.ip, if peer.secure { " tls" } else { "" })
    }

    #[test]
    fn an_address_is_read_as_proxies_write_it() {
        for (text, ip) in [
            ("203.0.113.9", Some("203.0.113.9")),
            ("203.0.113.9:4711", Some("203.0.113.9")),
            ("\"203.0.113.9:4711\"", Some("203.0.113.9")),
            ("2001:db8::9", Some("2001:db8::9")),
            ("2001:0DB8:0:0:0:0:0:9", Some("2001:db8::9")),
            ("[2001:db8::9]", Some("2001:db8::9")),
            ("[2001:db8::9]:443", Some("2001:db8::9")),
            ("\"[2001:db8::9]:_port\"", Some("2001:db8::9")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("[fe80::1%25eth0]:443", Some("fe80::1")),
            ("::ffff:203.0.113.9", Some("203.0.113.9")),
            ("[::ffff:203.0.113.9]:443", Some("203.0.113.9")),
            ("unknown", None),
            ("_hidden", None),
            ("shop.example", None),
            ("203.0.113.9:44:11", None),
            ("203.0.113.9 198.51.100.7", None),
            ("203.0.113.256", None),
            ("[203.0.113.9", None),
            ("[2001:db8::9]x", None),
            ("", None),
        ] {
            assert_eq!(node(text.as_bytes()), ip.map(|ip| ip.parse().unwrap()), "{text}");
        }
        assert_eq!(node(b"\xfc"), None);
    }

    #[test]
    fn the_browser_is_the_last_hop_that_no_trusted_proxy_vouches_for() {
        let named = "x-forwarded-for";
        for (lines, believed) in [
            (&[(named, &b"203.0.113.9:1, [2001:db8:ffff::1]:2, 10.1.2.3"[..])][..], "203.0.113.9"),
            (&[(named, b"forged, 203.0.113.9"), (named, b"10.1.2.3, ")], "203.0.113.9"),
            (&[(named, b"\xfcmlaut, 203.0.113.9")], "203.0.113.9"),
            (&[(named, b"203.0.113.9, unknown, 10.1.2.3")], "127.0.0.1 unreadable"),
            (&[(named, b"10.9.9.9, 10.1.2.3")], "10.9.9.9"),
            (&[(named, b"::ffff:10.1.2.3")], "10.1.2.3"),
            (&[], "127.0.0.1"),
            (&[("forwarded", b"for=203.0.113.9;proto=https;by=10.0.0.1")], "203.0.113.9 tls"),
            (
                &[(
                    "forwarded",
                    b"for=1.1.1.1, For=\"[2001:db8::9]:47\" ; Proto=HTTPS, for=10.1.2.3",
                )],
                "2001:db8::9 tls",
            ),
            (
                &[("forwarded", b"for=1.1.1.1"), ("forwarded", b"for=203.0.113.9;host=\"a;b,c\"")],
                "203.0.113.9",
            ),
            (&[("forwarded", b"for=\"1.1.1.1\\\"\", for=203.0.113.9")], "203.0.113.9"),
            // What a stranger wrote before it voids nothing of the proxy's own.
            (&[("forwarded", b"for=\"1.1.1.1, for=203.0.113.9")], "203.0.113.9"),
            (&[("forwarded", b"x=\", for=\"[2001:db8::9]:47\";proto=https")], "2001:db8::9 tls"),
            (
                &[("forwarded", b"\xfc, ;;=, for=1.1.1.1;for=2.2.2.2, for=203.0.113.9")],
                "203.0.113.9",
            ),
            (&[("forwarded", b"for=_hidden;proto=https")], "127.0.0.1 tls unreadable"),
            (&[("forwarded", b"for=1.1.1.1;for=203.0.113.9")], "127.0.0.1 unreadable"),
            // A stranger's own `Forwarded` goes through most proxies as it came.
            (&[("forwarded", b"for=1.1.1.1"), (named, b"203.0.113.9")], "203.0.113.9"),
            (&[(named, b"203.0.113.9"), ("x-forwarded-proto", b"HTTPS")], "203.0.113.9 tls"),
            (&[(named, b"203.0.113.9"), ("x-forwarded-proto", b" https, http")], "203.0.113.9 tls"),
            (&[(named, b"203.0.113.9"), ("x-forwarded-proto", b"wss")], "203.0.113.9 tls"),
            (&[(named, b"203.0.113.9"), ("x-forwarded-proto", b"http,https")], "203.0.113.9"),
        ] {
            assert_eq!(brought(lines), believed, "{lines:?}");
        }
    }

    #[test]
    fn nothing_is_believed_of_a_peer_that_is_not_trusted_and_it_is_told() {
        for name in ["x-forwarded-for", "forwarded"] {
            let head = head(&[(name, b"for=1.1.1.1"), ("x-forwarded-proto", b"https")]);
            let (peer, told) = peer(&head, [192, 0, 2, 1].into(), false, &trusted());
            assert_eq!((peer.ip, peer.secure), ([192, 0, 2, 1].into(), false));
            assert_eq!(told, Some(NotBelieved::UntrustedPeer));
        }
        let (_, told) = peer(&head(&[]), [192, 0, 2, 1].into(), false, &trusted());
        assert_eq!(told, None);
    }

    #[test]
    fn a_host_is_one_with_a_port_that_there_can_be() {
        for host in ["", "a", "a:", "a:80", "a:65535", "[::1]", "[::1]:8080", "10.0.0.1:80"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in
            ["a:8x", "a:99999", "a:-1", "a,b", "a, b", "u@a", "a b", "[::1", "a:80:90", "a/"]
        {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn what_is_wanted_is_read_by_the_narrowest_range_on_any_line() {
        let of = |lines: &[&[u8]], what| {
            let lines: Vec<_> = lines.iter().map(|line| ("accept", *line)).collect();
            wanted(&head(&lines).headers, header::ACCEPT, what).0
        };
        for (lines, text) in [
            (&[&b"text/plain"[..]][..], 1_000),
            (&[b"application/json", b"TEXT/PLAIN"], 1_000),
            (&[b"text/*"], 1_000),
            (&[b"*/*;q=0.3"], 300),
            (&[b"text/plain;q=0, */*"], 0),
            (&[b"text/plain; Q=0.25"], 250),
            (&[b"text/html, \xfc/\xfc, text/plain;charset=utf-8;q=1.0"], 1_000),
            (&[b"text/plainer"], 0),
            (&[b"*"], 0),
            (&[], 0),
        ] {
            assert_eq!(of(lines, "text/plain"), text, "{lines:?}");
        }
        for (line, gzip) in
            [(&b"gzip;Q=0"[..], 0), (b"*", 1_000), (b"br, *;q=0", 0), (b"GZIP;q=0.001", 1)]
        {
            assert_eq!(of(&[line], "gzip"), gzip, "{line:?}");
        }
    }

    #[test]
    fn a_page_has_one_origin_and_a_list_as_many_lines_as_it_likes() {
        let twice = head(&[("origin", b"https://a.example"), ("origin", b"https://b.example")]);
        assert_eq!(origin(&twice.headers), Some(""));
        assert_eq!(origin(&head(&[("origin", b"https://\xfc")]).headers), Some(""));
        assert_eq!(origin(&head(&[]).headers), None);
        let name = "sec-websocket-protocol";
        let lines = head(&[(name, b"a ,\xfc,, b"), (name, b"c")]).headers;
        let listed: Vec<&str> = items(&lines, header::SEC_WEBSOCKET_PROTOCOL).collect();
        assert_eq!(listed, ["a", "b", "c"]);
    }
}

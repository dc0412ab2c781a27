//! The head of a request, read once for REST and for the socket, as browsers, proxies and strangers write it.
//!
//! Lives here: whether a head may be believed at all, who is at the other end behind which proxies, hosts, origins and
//! lists. Not here: what a cookie proves (`auth`). Called by the listener and by both edges.

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

/// What is wrong with a head over which two programs could differ: where a request ends, and whom it is for
/// (RFC 9112, 3.2 and 6.1). hyper refuses folded lines, lengths that differ and spaces before a colon itself.
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

/// A host with or without a port. An empty one is for an address without a host.
fn is_host(text: &[u8]) -> bool {
    let authority = || Authority::try_from(text).ok();
    text.is_empty() || authority().is_some_and(|authority| !authority.as_str().contains('@'))
}

/// The host that was asked, with its port where it names one. What stands in the first line counts more than `Host`.
pub fn host(head: &Parts) -> Option<&str> {
    let asked = head.uri.authority().map(Authority::as_str);
    asked.or_else(|| head.headers.get(header::HOST).and_then(|host| host.to_str().ok()))
}

/// The origin of the page that asks, where a browser says it. What cannot be one page's origin is the empty text.
pub fn origin(headers: &HeaderMap) -> Option<&str> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let first = origins.next()?;
    let alone = origins.next().is_none();
    Some(first.to_str().ok().filter(|_| alone).unwrap_or_default())
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

/// What a proxy says of the one who asked it.
#[derive(Debug, Clone, Copy, Default)]
struct Hop {
    /// None: not said, or not to be read.
    ip: Option<IpAddr>,
    secure: bool,
}

/// The browser's address and scheme: of what proxies said, the last hop that no trusted one vouches for. And why, if
/// something was said that is not believed.
///
/// `X-Forwarded-For` and `X-Forwarded-Proto` count more than `Forwarded`: most proxies write those and hand on a
/// stranger's `Forwarded` as it came.
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

/// From the nearest hop on, the first that is no trusted proxy, or the farthest. Whether it is one that cannot be
/// read: what stands beyond it is not to be believed either.
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

/// The hops of `Forwarded` (RFC 7239). A line that cannot be read is one hop of which nothing is known.
fn forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let lines = headers.get_all(header::FORWARDED).iter();
    lines
        .flat_map(|line| {
            let elements = std::str::from_utf8(line.as_bytes()).ok().and_then(elements);
            elements.unwrap_or_else(|| vec![Hop::default()])
        })
        .collect()
}

fn elements(line: &str) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    for element in split_unquoted(line, ',')? {
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
        if !element.is_empty() {
            hops.push(hop);
        }
    }
    Some(hops)
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
            (&[("forwarded", b"for=\"1.1.1.1, for=203.0.113.9")], "127.0.0.1 unreadable"),
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

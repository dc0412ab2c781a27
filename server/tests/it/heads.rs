//! Heads of requests as browsers, shops, proxies and strangers write them, to REST and to the
//! socket.

use protocol::conversation::Role;
use protocol::frame::ServerFrame;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::Client;
use crate::http;
use crate::metrics::Scrape;
use crate::server::{COOKIES, SHOP, TestServer};

/// Everything that comes until the server closes.
async fn say(server: &TestServer, text: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ended = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_known_whatever_else_stands_in_the_cookies() {
    let server = TestServer::start().await;
    let origin = format!("http://{}", server.address);
    let session = COOKIES[0];
    let own = format!("livehelp_session={session}");
    let lines: [&[&str]; 6] = [
        &[&format!("customer=Jörg Müller; {own}")],
        &["customer=Ångström", &own],
        &[&own, "shop=café"],
        &[&format!("livehelp_session=lhs_older; {own}")],
        &["livehelp_session=lhs_elsewhere", &format!("a=b;{own};c")],
        &[&format!("livehelp_session=lhs_plain; __Host-livehelp_session=\"{session}\"")],
    ];
    for cookies in lines {
        let mut headers: Vec<(&str, &str)> = cookies.iter().map(|line| ("cookie", *line)).collect();
        let rest = http::get(server.address, "/v1/sessions/current", &headers).await;
        assert_eq!(rest.status, 200, "{cookies:?}: {}", rest.body);
        headers.push(("origin", &origin));
        let mut client = Client::connect(&server, &headers).await;
        client.greet_as_agent().await;
        client.until(|f| matches!(f, ServerFrame::Welcome { .. }).then_some(())).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subprotocol_is_found_on_any_line() {
    let server = TestServer::start().await;
    let upgrade = |lines: &str| {
        format!(
            "GET /v1/socket HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
        )
    };
    let spoken =
        "Sec-WebSocket-Protocol: other.v1\r\nSec-WebSocket-Protocol: x, livehelp.v1.json\r\n";
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(upgrade(spoken).as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("sec-websocket-protocol: livehelp.v1.json"), "{head}");
    for (line, status) in [
        ("Sec-WebSocket-Version: 13\r\n", "426"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "400"),
    ] {
        let answer = say(&server, &upgrade(line)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "twice {line}: {answer}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_two_programs_could_read_otherwise_is_refused_and_ends_the_connection() {
    let server = TestServer::start().await;
    let path = format!("/v1/widget/{}", server.site_key);
    let second = "GET /v1/sessions/current HTTP/1.1\r\nHost: x\r\n\r\n";
    let chunked = "0\r\n\r\n";
    for (lines, body) in [
        ("", ""),
        ("Host: a\r\nHost: a\r\n", ""),
        ("Host: a\r\nHost: b\r\n", ""),
        ("Host: ada@shop.example\r\n", ""),
        ("Host: shop.example/x\r\n", ""),
        ("Host: x y\r\n", ""),
        ("Host: x\r\nTransfer-Encoding: identity, chunked\r\n", chunked),
        ("Host: x\r\nTransfer-Encoding: gzip, chunked\r\n", chunked),
        ("Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunked),
        ("Host: x\r\nTransfer-Encoding: chunked, identity\r\n", chunked),
        ("Host: x\r\nTransfer-Encoding: xchunked\r\n", chunked),
        ("Host: x\r\nTransfer-Encoding : chunked\r\n", chunked),
        ("Host: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        ("Host: x\r\nContent-Length: 5, 5\r\n", "hello"),
        ("Host: x\r\nContent-Length: +5\r\n", "hello"),
        ("Host: x\r\nX-Folded: a\r\n b\r\n", ""),
        ("Host: x\r\nX-Nul: a\0b\r\n", ""),
    ] {
        let answer =
            say(&server, &format!("GET {path} HTTP/1.1\r\n{lines}\r\n{body}{second}")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{lines:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{lines:?}: {answer}");
    }
    let old = format!("GET {path} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}");
    assert!(
        say(&server, &old).await.starts_with("HTTP/1.1 400")
            || say(&server, &old).await.starts_with("HTTP/1.0 400")
    );
    // Two lengths, of which the chunks count: nothing that follows is taken for a request.
    for lengths in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{lengths}\r\n{chunked}{second}");
        let answer = say(&server, &request).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{lengths:?}: {answer}");
    }
    for good in [
        format!("GET {path} HTTP/1.0\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\nHost: [2001:db8::1]:443\r\nConnection: close\r\n\r\n"),
    ] {
        let answer = say(&server, &good).await;
        assert!(answer.contains(" 200 OK"), "{good}: {answer}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_behind_a_proxy_are_told_apart_however_it_writes_their_addresses() {
    let server = TestServer::start_with(|config| {
        config.conversations_per_ip_hour_max = 1;
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.1"),
        ("x-forwarded-for", "203.0.113.2:40001"),
        ("x-forwarded-for", "[2001:db8:1::1]:443"),
        ("x-forwarded-for", "2001:db8:2::1"),
        ("x-forwarded-for", "[2001:db8:3::1]"),
        ("x-forwarded-for", "2001:db8:4::1%eth0"),
        ("x-forwarded-for", "::ffff:203.0.113.3"),
        ("x-forwarded-for", "Jörg, 203.0.113.4, 127.0.0.9"),
        ("forwarded", "for=203.0.113.5;proto=https"),
        ("forwarded", "For=\"[2001:db8:5::1]:4711\", for=127.0.0.9"),
    ] {
        let headers = [("origin", SHOP), (name, value)];
        let mut client = Client::connect(&server, &headers).await;
        client.greet_as_visitor(server.site_key.clone(), None, vec![]).await;
        client.open().await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_address_of_a_stranger_is_counted_and_not_believed() {
    let server = TestServer::start().await;
    let path = format!("/v1/widget/{}", server.site_key);
    for (name, value) in [("x-forwarded-for", "203.0.113.1"), ("forwarded", "for=203.0.113.1")] {
        http::get(server.address, &path, &[(name, value)]).await;
    }
    http::get(server.address, &path, &[]).await;
    let scrape = Scrape::of(server.admin).await;
    let count = r#"forwarded_not_believed_total{reason="untrusted_peer"}"#;
    assert_eq!(scrape.value(count), 2.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_with_tls_a_cookie_is_bound_to_this_very_host() {
    let server = TestServer::start_with(|config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.public_url = Some(String::from("https://chat.example"));
    })
    .await;
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    for proto in ["https", "HTTPS", "https,http", "http"] {
        let headers = [
            ("cookie", cookie.as_str()),
            ("x-forwarded-proto", proto),
            ("origin", "https://chat.example"),
            ("x-forwarded-host", "elsewhere.example"),
        ];
        let current = http::get(server.address, "/v1/sessions/current", &headers).await;
        assert_eq!(current.status, 200, "{proto}");
    }
    let headers = [("cookie", cookie.as_str()), ("origin", "https://chat.example")];
    let out = http::ask(server.address, "DELETE", "/v1/sessions/current", &headers, "").await;
    assert_eq!(out.status, 204, "{}", out.body);
    let cleared: Vec<&str> =
        out.head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")).collect();
    assert!(cleared[0].starts_with("__Host-livehelp_session=; Path=/; "), "{cleared:?}");
    assert!(cleared[0].ends_with("; Secure") && !cleared[0].contains("Domain"), "{cleared:?}");
    assert!(cleared[1].starts_with("livehelp_session=; "), "{cleared:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_only_chose_its_host_acts_for_nobody() {
    let body = json!({ "email": "a@example.test", "password": "not a password" }).to_string();
    for set in [None, Some("https://chat.example")] {
        let server = TestServer::start_with(|config| {
            config.public_url = set.map(String::from);
        })
        .await;
        let port = server.address.port();
        let evil = format!("evil.example:{port}");
        let cookie = format!("livehelp_session={}", COOKIES[0]);
        for origin in [format!("http://{evil}"), format!("https://{evil}")] {
            let request = format!(
                "POST /v1/sessions HTTP/1.1\r\nHost: {evil}\r\nOrigin: {origin}\r\n\
                 Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = say(&server, &request).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{origin}: {answer}");
            assert!(answer.contains("public_url"), "{answer}");
        }
        // The scheme is compared as well.
        let other = if set.is_some() {
            String::from("http://chat.example")
        } else {
            format!("https://127.0.0.1:{port}")
        };
        let headers = [("origin", other.as_str()), ("cookie", cookie.as_str())];
        let mut client = Client::connect(&server, &headers).await;
        client.greet_as_agent().await;
        assert_eq!(client.closed().await, 4003);
        let own = set.map_or_else(|| format!("http://localhost:{port}"), String::from);
        let headers = [("origin", own.as_str()), ("cookie", cookie.as_str())];
        let mut client = Client::connect(&server, &headers).await;
        client.greet_as_agent().await;
        client.until(|f| matches!(f, ServerFrame::Welcome { .. }).then_some(())).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_may_ask_first_whether_a_page_may_load_what_pages_load() {
    let server = TestServer::start().await;
    let widget = format!("/v1/widget/{}", server.site_key);
    for path in [widget.as_str(), "/widget/loader.js", "/widget/assets/main.js"] {
        let asked = [
            ("origin", SHOP),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "x-requested-with, traceparent"),
        ];
        let answer = http::ask(server.address, "OPTIONS", path, &asked, "").await;
        assert_eq!(answer.status, 204, "{path}: {}", answer.body);
        for line in [
            "access-control-allow-origin: https://shop.example",
            // A page's own `fetch` may send its cookies along; none counts here.
            "access-control-allow-credentials: true",
            "access-control-allow-methods: GET, HEAD",
            "access-control-allow-headers: x-requested-with, traceparent",
        ] {
            assert!(answer.head.lines().any(|given| given == line), "{path}: {}", answer.head);
        }
    }
    let closed = http::ask(server.address, "OPTIONS", "/v1/sites", &[("origin", SHOP)], "").await;
    assert_eq!(closed.status, 405);
    assert!(!closed.head.contains("access-control"), "{}", closed.head);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mark_of_an_encoding_is_no_fault_of_a_body() {
    let server = TestServer::start().await;
    let body = format!("\u{feff}{}", json!({ "email": "a@example.test", "password": "not it" }));
    let answer = http::ask(server.address, "POST", "/v1/sessions", &[], &body).await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    let twice = format!("\u{feff}{body}");
    let answer = http::ask(server.address, "POST", "/v1/sessions", &[], &twice).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_listed_no_more_loses_its_sockets_at_once() {
    let server = TestServer::start_as(|setup| {
        setup.role = Role::Admin;
        setup.settings.origins = vec![String::from(SHOP), String::from("https://*.shop.example")];
    })
    .await;
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let own = format!("http://{}", server.address);
    let headers = [("cookie", cookie.as_str()), ("origin", own.as_str())];
    let list = http::ask(server.address, "GET", "/v1/sites", &headers, "").await.json();
    let path = format!("/v1/sites/{}", list["items"][0]["site_id"].as_str().unwrap());
    let mut stays = Client::visitor(&server, None, vec![]).await;
    let mut goes = Client::connect(&server, &[("origin", "https://old.shop.example")]).await;
    goes.greet_as_visitor(server.site_key.clone(), None, vec![]).await;
    // A desk closes what its tenant's agents or visitors hold; one agent is there, as in life.
    let agent = Client::agent(&server, 0).await;
    let change = format!(r#"{{ "origins": ["{SHOP}", "https://new.shop.example"] }}"#);
    let changed = http::ask(server.address, "PATCH", &path, &headers, &change).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(goes.closed().await, 4003);
    stays.settled().await;
    stays.open().await;
    drop(agent);
    server.stop().await;
}

//! What a socket may meet, and the clear answer to it.

use futures_util::StreamExt as _;
use protocol::codec::{Encoding, encode_client};
use protocol::conversation::{PageView, Role};
use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use protocol::ids::SiteKey;
use protocol::limits::FRAME_BYTES_MAX;
use protocol::message::{Body, Seq};
use protocol::personal::{Personal, Text};
use protocol::reject::{CloseCode, RejectCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::client::{Client, new_conversation, new_message};
use crate::http;
use crate::metrics::Scrape;
use crate::server::{COOKIES, SHOP, TestServer};

fn hello(site_key: SiteKey) -> ClientFrame<'static> {
    ClientFrame::Hello {
        request: RequestId(1),
        role: protocol::frame::ClientRole::Visitor,
        client: String::from("test/1"),
        locale: String::from("en"),
        resume: protocol::limits::List::default(),
        site: Some(site_key),
        token: None,
        signals: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_origin_is_told_by_its_code() {
    let server = TestServer::start().await;
    let mut client = Client::connect(&server, &[("origin", "https://evil.example")]).await;
    client.tell(&hello(server.site_key.clone())).await;
    assert_eq!(client.closed().await, 4003);
    let mut client = Client::connect(&server, &[]).await;
    client.tell(&hello(server.site_key.clone())).await;
    assert_eq!(client.closed().await, 4003);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_site_tells_its_agents_which_pages_were_refused_until_they_are_listed() {
    let server = TestServer::start_as(|setup| setup.role = Role::Admin).await;
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let own = format!("http://{}", server.address);
    let headers = [("cookie", cookie.as_str()), ("origin", own.as_str())];
    let pages = ["https://www.shop.example", "http://plain.example", "null"];
    let widget = format!("/v1/widget/{}", server.site_key);
    for page in pages {
        let told = http::ask(server.address, "GET", &widget, &[("origin", page)], "").await;
        assert!(told.head.contains("livehelp-page-origin: not-listed"), "{}", told.head);
        let mut client = Client::connect(&server, &[("origin", page)]).await;
        client.tell(&hello(server.site_key.clone())).await;
        assert_eq!(client.closed().await, 4003);
    }
    let list = http::ask(server.address, "GET", "/v1/sites", &headers, "").await.json();
    let site = list["items"][0].clone();
    let told = |site: &Value| -> Vec<(String, bool)> {
        let refused = site["refused_origins"].as_array().unwrap().iter();
        let told = |one: &Value| (one["origin"].to_string(), one["addable"] == true);
        refused.map(told).collect()
    };
    let (www, plain) = (r#""https://www.shop.example""#, r#""http://plain.example""#);
    let newest_first =
        [(String::from("\"null\""), false), (plain.to_owned(), false), (www.to_owned(), true)];
    assert_eq!(told(&site), newest_first);
    let path = format!("/v1/sites/{}", site["site_id"].as_str().unwrap());
    let change = r#"{ "origins": ["https://*.shop.example", "https://shop.example"] }"#;
    let site = http::ask(server.address, "PATCH", &path, &headers, change).await;
    assert_eq!(site.status, 200, "{}", site.body);
    assert_eq!(told(&site.json()), newest_first[..2]);
    let mut client = Client::connect(&server, &[("origin", pages[0])]).await;
    client.greet_as_visitor(server.site_key.clone(), None, vec![]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_site_is_told_by_its_code() {
    let server = TestServer::start().await;
    let mut client = Client::connect(&server, &[("origin", SHOP)]).await;
    client.tell(&hello(SiteKey::from_random([1; 16]))).await;
    assert_eq!(client.closed().await, 4004);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_a_session_is_told_by_its_code() {
    let server = TestServer::start().await;
    let origin = format!("http://{}", server.address);
    let headers = [("origin", origin.as_str()), ("cookie", "livehelp_session=lhs_nobody")];
    let mut client = Client::connect(&server, &headers).await;
    let mut frame = hello(server.site_key.clone());
    if let ClientFrame::Hello { role, .. } = &mut frame {
        *role = protocol::frame::ClientRole::Agent;
    }
    client.tell(&frame).await;
    assert_eq!(client.closed().await, 4001);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_frame_end_the_connection_and_harm_nobody() {
    let server = TestServer::start().await;
    let mut bystander = Client::visitor(&server, None, vec![]).await;
    let conversation = bystander.open().await;
    let garbage: [(&[u8], u16); 4] = [
        (&[0xc1], 4000),
        (&[], 4000),
        (b"\x92\x02", 4000),
        (&[0xdd, 0xff, 0xff, 0xff, 0xff], 4000),
    ];
    for (bytes, code) in garbage {
        let mut client = Client::visitor(&server, None, vec![]).await;
        client.tell_raw(WsMessage::binary(bytes.to_vec())).await;
        assert_eq!(client.closed().await, code, "{bytes:?}");
    }
    let mut client = Client::visitor(&server, None, vec![]).await;
    client.tell_raw(WsMessage::binary(vec![0xc0; FRAME_BYTES_MAX + 1])).await;
    assert_eq!(client.closed().await, 1009);
    let mut client = Client::visitor(&server, None, vec![]).await;
    client.tell_raw(WsMessage::text("[\"ping\",1]")).await;
    assert_eq!(client.closed().await, 1003);
    bystander.say(conversation, "unharmed").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_break_websockets_own_rules_end_with_its_own_codes() {
    let server = TestServer::start().await;
    let masked = |first: u8, payload: &[u8]| {
        let mut bytes = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
        bytes.extend(payload);
        bytes
    };
    let text = |payload: &[u8]| masked(0x81, payload);
    let faults: [(&str, Encoding, Vec<u8>, u16); 16] = [
        ("reserved bits", Encoding::Msgpack, masked(0xc2, b"x"), 1002),
        ("an unknown kind", Encoding::Msgpack, masked(0x83, b"x"), 1002),
        ("an unknown control frame", Encoding::Msgpack, masked(0x8b, b""), 1002),
        ("no mask", Encoding::Msgpack, vec![0x82, 1, 7], 1002),
        ("a ping in fragments", Encoding::Msgpack, masked(0x09, b""), 1002),
        ("a long ping", Encoding::Msgpack, [&[0x89, 0xfe, 0, 126][..], &[0; 130]].concat(), 1002),
        ("a long length", Encoding::Msgpack, vec![0x82, 0xfe, 0, 1, 0, 0, 0, 0, 7], 1002),
        ("nothing to go on with", Encoding::Msgpack, masked(0x80, b"x"), 1002),
        (
            "a message within another",
            Encoding::Msgpack,
            [masked(0x02, b"x"), masked(0x82, b"y")].concat(),
            1002,
        ),
        ("half a close code", Encoding::Msgpack, masked(0x88, &[3]), 1002),
        ("a close code that is none", Encoding::Msgpack, masked(0x88, &[3, 237]), 1002),
        ("text among bytes", Encoding::Msgpack, text(b"[\"ping\",1]"), 1003),
        ("bytes among text", Encoding::Json, masked(0x82, &[0x92, 9, 1]), 1003),
        ("no UTF-8", Encoding::Json, text(&[b'[', 0xff]), 1007),
        (
            "no UTF-8 in fragments",
            Encoding::Json,
            [masked(0x01, &[0xc3]), masked(0x80, b"x")].concat(),
            1007,
        ),
        ("no UTF-8 in a goodbye", Encoding::Json, masked(0x88, &[3, 232, 0xff]), 1007),
    ];
    for (fault, encoding, bytes, code) in faults {
        let mut client = Client::connect_as(&server, encoding, &[("origin", SHOP)]).await;
        client.greet_as_visitor(server.site_key.clone(), None, vec![]).await;
        client.tell_bytes(&bytes).await;
        assert_eq!(client.closed().await, code, "{fault}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_merely_goes_along_is_cut_or_dropped_and_nobody_is_refused_for_it() {
    let server = TestServer::start().await;
    let mut agent = Client::agent(&server, 0).await;
    agent.available().await;
    let long = format!("https://shop.example/{}", "a".repeat(4_000));
    for (url, title, kept) in [
        ("javascript:alert(1)", String::from("A shop"), None),
        (long.as_str(), "t".repeat(3_000), Some(2_048)),
        ("data:text/html,hello", String::new(), None),
        ("https://shop.example/a?b#c", String::from("Ä"), Some("https://shop.example/a".len())),
    ] {
        let mut visitor = Client::visitor(&server, None, vec![]).await;
        let page = || PageView {
            url: Personal::new(url.to_owned()),
            title: Some(Personal::new(title.clone())),
        };
        let request = visitor.next_request();
        let conversation = new_conversation();
        let form = protocol::limits::List::default();
        let page_now = Some(page());
        let open = ClientFrame::Open { request, conversation, form, notice: None, page: page_now };
        visitor.tell(&open).await;
        visitor.acked(request).await;
        visitor.tell(&ClientFrame::Page { page: page() }).await;
        for frame in visitor.settled().await {
            assert!(!matches!(frame, ServerFrame::Reject { .. }), "{url}: {frame:?}");
        }
        let shown = agent
            .until(|frame| match frame {
                ServerFrame::Presence { conversation: c, visitor: Some(card), .. }
                    if *c == conversation =>
                {
                    Some((card.page_url.clone(), card.page_title.clone()))
                }
                _ => None,
            })
            .await;
        assert_eq!(shown.0.map(|url| url.expose().len()), kept, "{url}");
        assert!(shown.1.is_none_or(|title| title.expose().len() <= 1_000));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subprotocol_that_is_not_spoken_here_is_echoed_and_then_refused_by_code() {
    let server = TestServer::start().await;
    for offered in ["chat.v9", "chat.v9, other.v1"] {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let request = ::http::Request::get(format!("ws://{}/v1/socket", server.address))
            .header("host", server.address.to_string())
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", offered)
            .header("origin", SHOP);
        let (mut socket, answer) =
            tokio_tungstenite::client_async(request.body(()).unwrap(), stream).await.unwrap();
        assert_eq!(answer.headers()["sec-websocket-protocol"], "chat.v9");
        match socket.next().await {
            Some(Ok(WsMessage::Close(Some(frame)))) => {
                assert_eq!(u16::from(frame.code), CloseCode::Protocol.code());
                assert_eq!(CloseCode::Protocol.code(), 4009);
            }
            other => panic!("a close frame was expected, not {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_before_hello_ends_the_connection() {
    let server = TestServer::start().await;
    let mut client = Client::connect(&server, &[("origin", SHOP)]).await;
    let request = client.next_request();
    client.tell(&ClientFrame::Ping { request }).await;
    assert_eq!(client.closed().await, 4001);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_kind_is_refused_and_the_connection_stays() {
    let server = TestServer::start().await;
    let mut client = Client::connect_as(&server, Encoding::Json, &[("origin", SHOP)]).await;
    client.greet_as_visitor(server.site_key.clone(), None, vec![]).await;
    client.tell_raw(WsMessage::text("[\"dance\",77]")).await;
    let refused = client
        .until(|f| match f {
            ServerFrame::Reject { request, code, .. } => Some((request.0, code.word())),
            _ => None,
        })
        .await;
    assert_eq!(refused, (77, "unknown-kind"));
    client.settled().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_beyond_the_limit_is_refused_by_name() {
    let server = TestServer::start().await;
    let mut client = Client::visitor(&server, None, vec![]).await;
    let conversation = client.open().await;
    let request = client.next_request();
    client.send(request, conversation, new_message(), &"x".repeat(4_001)).await;
    let refused = client
        .until(|f| match f {
            ServerFrame::Reject { code, .. } => Some(code.word()),
            _ => None,
        })
        .await;
    assert_eq!(refused, "too-long");
    client.say(conversation, &"x".repeat(4_000)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_ends_its_own_connection_only() {
    let server = TestServer::start_with(|config| {
        config.frames_per_second = 5;
        config.frames_burst = 20;
    })
    .await;
    let mut flooder = Client::visitor(&server, None, vec![]).await;
    let mut bystander = Client::visitor(&server, None, vec![]).await;
    for _ in 0..60 {
        let request = flooder.next_request();
        flooder.tell(&ClientFrame::Ping { request }).await;
    }
    assert_eq!(flooder.closed().await, 4103);
    bystander.settled().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_says_hello_is_let_go() {
    let server = TestServer::start_with(|config| config.hello_timeout_ms = 100).await;
    let mut client = Client::connect(&server, &[("origin", SHOP)]).await;
    assert_eq!(client.closed().await, 4105);
    server.stop().await;
}

/// A frame whose payload is these bytes, whatever they are.
fn raw_frame(kind: Data, bytes: &[u8]) -> WsMessage {
    WsMessage::Frame(Frame::message(bytes.to_vec(), OpCode::Data(kind), true))
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_no_utf_8_is_refused_and_never_stored() {
    let server = TestServer::start().await;
    let mut bystander = Client::visitor(&server, None, vec![]).await;
    let conversation = bystander.open().await;
    let mut client = Client::connect_as(&server, Encoding::Json, &[("origin", SHOP)]).await;
    client.greet_as_visitor(server.site_key.clone(), None, vec![]).await;
    client.tell_raw(raw_frame(Data::Text, b"[\"ping\",\xff\xfe]")).await;
    assert_eq!(client.closed().await, 1007);
    let mut client = Client::visitor(&server, bystander.token.clone(), vec![]).await;
    let request = client.next_request();
    let body = Body::Text(Text::new("abcd"));
    let (message, seen_seq, visibility) = (new_message(), Seq(0), None);
    let said = ClientFrame::Send { request, conversation, message, seen_seq, body, visibility };
    let mut bytes = Vec::new();
    encode_client(Encoding::Msgpack, &said, &mut bytes).unwrap();
    let at = bytes.windows(4).position(|window| window == b"abcd").unwrap();
    bytes[at..at + 4].copy_from_slice(b"\xc3\x28\xa0\xff");
    client.tell_raw(WsMessage::binary(bytes)).await;
    let refused = client.until(|frame| match frame {
        ServerFrame::Reject { request: of, code, .. } if *of == request => Some(*code),
        _ => None,
    });
    assert_eq!(refused.await, RejectCode::Invalid);
    let request = bystander.next_request();
    let history = ClientFrame::History { request, conversation, before: Seq(0), limit: 10 };
    bystander.tell(&history).await;
    assert!(bystander.history(request).await.1.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dawdles_before_hello_is_let_go_and_the_others_are_served() {
    let server = TestServer::start_with(|config| {
        config.header_ms = 200;
        config.handshakes_per_ip_max = 8;
    })
    .await;
    let mut dawdlers = Vec::new();
    for _ in 0..7 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /v1/socket HTTP/1.1\r\nhost: a").await.unwrap();
        dawdlers.push(stream);
    }
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    visitor.open().await;
    for mut stream in dawdlers {
        // Closed, with or without a word.
        let mut rest = Vec::new();
        let _ended = stream.read_to_end(&mut rest).await;
    }
    Scrape::until(server.admin, |scrape| {
        scrape.value(r#"handshake_failures_total{reason="too_slow"}"#) >= 7.0
    })
    .await;
    visitor.settled().await;
    let large = "x".repeat(400 * 1024);
    let answer = http::ask(server.address, "POST", "/v1/sessions", &[], &large).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (413, Some("body-too-large")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_long_messages_reaches_whoever_asks_though_it_is_larger_than_the_outbox() {
    let server = TestServer::start_with(|config| config.outbox_bytes_max = 65_536).await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    for _ in 0..60 {
        visitor.say(conversation, &"\u{957f}".repeat(4_000)).await;
    }
    let mut back = Client::visitor(&server, visitor.token.clone(), vec![]).await;
    assert_eq!(back.history(RequestId(0)).await.1.len(), 50);
    let request = back.next_request();
    let history = ClientFrame::History { request, conversation, before: Seq(0), limit: 100 };
    back.tell(&history).await;
    assert_eq!(back.history(request).await.1.len(), 60);
    visitor.say(conversation, "and on").await;
    back.heard("and on").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_told_to_come_back_and_nobody_waits_for_them() {
    let server = TestServer::start_with(|config| config.outbox_bytes_max = 65_536).await;
    let mut agent = Client::agent(&server, 0).await;
    agent.available().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    agent.accept(conversation).await;
    // A second window of theirs that reads nothing.
    let mut slow = Client::visitor(&server, visitor.token.clone(), vec![]).await;
    slow.settled().await;
    let (mut count, mut waited) = (0, 0.0);
    let closed = loop {
        for _ in 0..50 {
            count += 1;
            let text = format!("{count:0>4000}");
            visitor.say(conversation, &text).await;
            agent.heard(&text).await;
        }
        let scrape = Scrape::of(server.admin).await;
        waited = scrape.value("outbound_queue_bytes").max(waited);
        if scrape.value(r#"outbound_queue_full_total{action="closed"}"#) > 0.0 {
            break scrape;
        }
        assert!(count < 10_000, "the system's own buffers have no end");
    };
    assert!(closed.value(r#"outbound_queue_full_total{action="closed"}"#) <= 1.0, "only that one");
    assert_eq!(slow.closed().await, 4101);
    // What is being written just then may come back on top.
    assert!(waited <= 2.0 * 65_536.0 + 4_096.0, "{waited}");
    // They come back and miss nothing.
    let mut back = Client::visitor(&server, visitor.token.clone(), vec![]).await;
    let (_, page) = back.history(RequestId(0)).await;
    let last = format!("{count:0>4000}");
    assert!(
        page.iter().any(|m| matches!(&m.body, Body::Text(text) if text.expose() == last.as_str()))
    );
    let closed = r#"connection_closes_total{reason="too_slow",role="visitor"}"#;
    Scrape::until_all(server.admin, &[(closed, 1.0), ("outbound_queue_bytes", 0.0)]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_messages_are_counted_over_all_of_their_connections_and_new_ones() {
    const BURST: u64 = 5;
    let server = TestServer::start_with(|config| {
        config.messages_per_minute = 1;
        config.agent_messages_per_minute = 1;
        config.messages_burst = BURST;
    })
    .await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    let token = visitor.token.clone();
    let mut refused = 0;
    for number in 0..4 * BURST {
        // Each over a new connection.
        let mut line = Client::visitor(&server, token.clone(), vec![]).await;
        let request = line.next_request();
        line.send(request, conversation, new_message(), &format!("message {number}")).await;
        let too_fast = line
            .until(|frame| match frame {
                ServerFrame::Ack { request: of, .. } if *of == request => Some(false),
                ServerFrame::Reject { request: of, code, retry_after_ms, .. } if *of == request => {
                    assert!(retry_after_ms.is_some_and(|ms| (1..=60_000).contains(&ms)));
                    Some(code.word() == "too-fast")
                }
                _ => None,
            })
            .await;
        refused += u64::from(too_fast);
    }
    assert_eq!(refused, 3 * BURST);
    server.stop().await;
}

/// What asks the store: a person has as much of it over thirty lines as over three.
#[tokio::test(flavor = "multi_thread")]
async fn a_persons_questions_are_counted_over_all_of_their_connections() {
    const BURST: u64 = 10;
    let server = TestServer::start_with(|config| {
        config.frames_per_second = 1;
        config.frames_burst = BURST;
    })
    .await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..12 {
        let mut line = Client::visitor(&server, visitor.token.clone(), vec![]).await;
        for _ in 0..BURST / 2 {
            let request = line.next_request();
            let history = ClientFrame::History { request, conversation, before: Seq(0), limit: 1 };
            line.tell(&history).await;
            let was_answered = line
                .until(|frame| match frame {
                    ServerFrame::History { request: of, .. } if *of == request => Some(true),
                    ServerFrame::Reject { request: of, code, retry_after_ms, .. }
                        if *of == request =>
                    {
                        assert_eq!((code.word(), retry_after_ms.is_some()), ("too-fast", true));
                        Some(false)
                    }
                    _ => None,
                })
                .await;
            *if was_answered { &mut answered } else { &mut refused } += 1;
        }
    }
    assert!(
        answered >= 2 * BURST && refused >= 2 * BURST,
        "{answered} answered, {refused} refused"
    );
    server.stop().await;
}

/// A newer client on an older server: it hears which of its fields is not known, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_server_does_not_know_is_refused_by_name_and_the_connection_stays() {
    let server = TestServer::start().await;
    let mut client = Client::connect_as(&server, Encoding::Json, &[("origin", SHOP)]).await;
    let refused = async |client: &mut Client, frame: String, request: u32, field: &str| {
        client.tell_raw(WsMessage::text(frame)).await;
        let told = client
            .until(|frame| match frame {
                ServerFrame::Reject { request, code, words, .. } => {
                    Some((*request, *code, words.clone()))
                }
                _ => None,
            })
            .await;
        assert_eq!((told.0, told.1), (RequestId(request), RejectCode::Invalid));
        assert!(told.2.starts_with(&format!("{field}: ")), "{}", told.2);
    };
    let hello = String::from(r#"["hello",9,"robot","t/1","en",[]]"#);
    refused(&mut client, hello, 9, "role").await;
    client.greet_as_visitor(server.site_key.clone(), None, vec![]).await;
    let conversation = client.open().await;
    let message = new_message();
    for (frame, field) in [
        (format!(r#"["send",90,"{conversation}","{message}",0,[2,"file"]]"#), "body"),
        (format!(r#"["send",90,"{conversation}","{message}",0,"hi","robots"]"#), "visibility"),
        (String::from(r#"["watch",90,"weather"]"#), "topic"),
        (String::from(r#"["availability",90,"asleep"]"#), "availability"),
        (format!(r#"["history",90,"{conversation}",0,70000]"#), "limit"),
        (format!(r#"["history",90,"{conversation}",18446744073709551616,5]"#), "before"),
        (format!(r#"["send",90,"{conversation}","{message}",0,{{"file":1}}]"#), "body"),
        (format!(r#"["send",90,"{conversation}","{message}",0,null]"#), "body"),
        (format!(r#"["send",90,"{conversation}","{message}",0,[]]"#), "body"),
        (format!(r#"["send",90,"{conversation}","{message}",0,"half \ud83d"]"#), "body"),
        (format!(r#"["send",90,"cnv_x","{message}",0,"hi"]"#), "conversation"),
        (format!(r#"["send",90,"{conversation}"]"#), "message"),
    ] {
        refused(&mut client, frame, 90, field).await;
    }
    client.say(conversation, "still here").await;
    server.stop().await;
}

/// What is sent as it stands, in the one encoding or the other.
fn raw_of(encoding: Encoding, frame: &ClientFrame<'_>) -> WsMessage {
    let mut bytes = Vec::new();
    encode_client(encoding, frame, &mut bytes).unwrap();
    match encoding {
        Encoding::Msgpack => WsMessage::binary(bytes),
        Encoding::Json => WsMessage::text(String::from_utf8(bytes).unwrap()),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one bound after the other")]
async fn every_promised_bound_is_met_before_any_bound_of_bytes() {
    use protocol::conversation::{FormAnswer, PageView, ResumePoint};
    use protocol::limits::{
        ANSWER_BYTES_MAX, ANSWERS_MAX, List, REFUSED_BYTES_MAX, RESUME_POINTS_MAX, SEQ_MAX,
        TEXT_CHARS_MAX, URL_BYTES_MAX, WORD_BYTES_MAX,
    };
    use protocol::personal::Personal;
    let server = TestServer::start().await;
    for encoding in Encoding::ALL {
        let mut client = Client::connect_as(&server, encoding, &[("origin", SHOP)]).await;
        let points = (0..RESUME_POINTS_MAX).map(|_| ResumePoint {
            conversation: new_conversation(),
            seq: Seq(SEQ_MAX),
            message: Some(new_message()),
            at: Some(protocol::time::UnixMillis(4_102_444_800_000)),
        });
        // The token is nobody's, so long as it is.
        let token = Some("t".repeat(WORD_BYTES_MAX));
        client.greet_as_visitor(server.site_key.clone(), token, points.collect()).await;
        let answer = |name: &str| FormAnswer {
            field: name.to_owned(),
            answer: Personal::new("\u{e9}".repeat(ANSWER_BYTES_MAX / 2)),
        };
        let request = client.next_request();
        let conversation = new_conversation();
        let open = ClientFrame::Open {
            request,
            conversation,
            form: List::new((0..ANSWERS_MAX).map(|_| answer("name"))),
            notice: None,
            page: Some(PageView {
                url: Personal::new(format!(
                    "https://shop.example/{}",
                    "u".repeat(URL_BYTES_MAX - 21)
                )),
                title: Some(Personal::new("t".repeat(ANSWER_BYTES_MAX))),
            }),
        };
        client.tell(&open).await;
        client.acked(request).await;
        for text in ["\u{1f44b}", "\"", "x"] {
            client.say(conversation, &text.repeat(TEXT_CHARS_MAX)).await;
        }
        if encoding == Encoding::Json {
            // As a writer that keeps to ASCII has it.
            let request = client.next_request();
            let (message, body) = (new_message(), Body::Text(Text::new("HERE")));
            let (seen_seq, visibility) = (Seq(0), None);
            let said =
                ClientFrame::Send { request, conversation, message, seen_seq, body, visibility };
            let mut bytes = Vec::new();
            encode_client(encoding, &said, &mut bytes).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            let text = text.replace("HERE", &r"\ud83d\udc4b".repeat(TEXT_CHARS_MAX));
            client.tell_raw(WsMessage::text(text)).await;
            client.acked(request).await;
        }
        // Beyond all bounds it is refused by its number, and the connection goes on.
        for chars in [FRAME_BYTES_MAX, REFUSED_BYTES_MAX - 200] {
            let request = client.next_request();
            let (message, body) = (new_message(), Body::Text(Text::new("x".repeat(chars))));
            let (seen_seq, visibility) = (Seq(0), None);
            let said =
                ClientFrame::Send { request, conversation, message, seen_seq, body, visibility };
            client.tell_raw(raw_of(encoding, &said)).await;
            let code = client
                .until(|frame| match frame {
                    ServerFrame::Reject { request: of, code, .. } if *of == request => {
                        Some(code.word())
                    }
                    _ => None,
                })
                .await;
            assert_eq!(code, "too-long");
        }
        client.say(conversation, "and on").await;
        let request = client.next_request();
        let (message, body) = (new_message(), Body::Text(Text::new("x".repeat(REFUSED_BYTES_MAX))));
        let (seen_seq, visibility) = (Seq(0), None);
        let said = ClientFrame::Send { request, conversation, message, seen_seq, body, visibility };
        client.tell_raw(raw_of(encoding, &said)).await;
        assert_eq!(client.closed().await, 1009);
    }
    server.stop().await;
}

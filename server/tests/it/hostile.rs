//! What a socket may meet, and the clear answer to it.

use protocol::codec::Encoding;
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::ids::SiteKey;
use protocol::limits::FRAME_BYTES_MAX;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use crate::client::{Client, new_message};
use crate::server::{SHOP, TestServer};

fn hello(site_key: SiteKey) -> ClientFrame<'static> {
    ClientFrame::Hello {
        request: protocol::frame::RequestId(1),
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
    assert_eq!(client.closed().await, 4009);
    bystander.say(conversation, "unharmed").await;
    server.stop().await;
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

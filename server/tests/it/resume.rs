//! Coming back: nothing missing, nothing twice, the order kept.

use protocol::conversation::ResumePoint;
use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use protocol::message::{Body, Message, Seq};
use protocol::time::UnixMillis;

use crate::client::{Client, new_message};
use crate::server::TestServer;

fn texts(page: &[Message<'_>]) -> Vec<String> {
    page.iter()
        .filter_map(|message| match &message.body {
            Body::Text(text) => Some(text.expose().to_owned()),
            Body::Event { .. } => None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_is_the_same_message_even_after_a_restart() {
    let server = TestServer::start().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    let message = new_message();
    let request = visitor.next_request();
    visitor.send(request, conversation, message, "once").await;
    let first = visitor.acked(request).await;
    let request = visitor.next_request();
    visitor.send(request, conversation, message, "once").await;
    assert_eq!(visitor.acked(request).await, first);
    let token = visitor.token.clone();
    let server = server.restart().await;
    let mut visitor = Client::visitor(&server, token, vec![]).await;
    let (_, page) = visitor.history(RequestId(0)).await;
    assert_eq!(texts(&page), ["once"]);
    let request = visitor.next_request();
    visitor.send(request, conversation, message, "once").await;
    assert_eq!(visitor.acked(request).await, first);
    let request = visitor.next_request();
    visitor.send(request, conversation, message, "another").await;
    let code = visitor
        .until(|f| match f {
            ServerFrame::Reject { code, .. } => Some(code.word()),
            _ => None,
        })
        .await;
    assert_eq!(code, "conflict");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_what_follows_its_last_message() {
    let server = TestServer::start().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    let mut points = Vec::new();
    for number in 0..120 {
        let message = new_message();
        let request = visitor.next_request();
        visitor.send(request, conversation, message, &format!("m{number}")).await;
        let (seq, at) = visitor.acked_at(request).await;
        points.push(ResumePoint { conversation, seq: seq.unwrap(), message: Some(message), at });
    }
    let token = visitor.token.clone();
    for from in [5usize, 100, 119] {
        let resume = vec![points[from].clone()];
        let mut back = Client::visitor(&server, token.clone(), resume).await;
        let (reset, page) = back.history(RequestId(0)).await;
        assert!(!reset);
        let expected: Vec<_> = (from + 1..120).map(|number| format!("m{number}")).collect();
        assert_eq!(texts(&page), expected);
    }
    let right = points[59].clone();
    for wrong in [
        ResumePoint { message: Some(new_message()), ..right.clone() },
        ResumePoint { at: right.at.map(|at| at.plus_ms(1)), ..right.clone() },
        ResumePoint { at: None, ..right.clone() },
        ResumePoint { message: None, ..right.clone() },
        ResumePoint { message: None, at: None, ..right.clone() },
        ResumePoint { seq: Seq(0), ..right.clone() },
        ResumePoint { seq: Seq(500), ..right.clone() },
        ResumePoint { seq: Seq(61), ..right },
    ] {
        let mut back = Client::visitor(&server, token.clone(), vec![wrong]).await;
        let (reset, page) = back.history(RequestId(0)).await;
        assert!(reset);
        assert_eq!(texts(&page).last().map(String::as_str), Some("m119"));
    }
    // Who has nothing is told so: the newest page, to begin with.
    for nothing in [None, Some(UnixMillis(1))] {
        let point = ResumePoint { conversation, seq: Seq(0), message: None, at: nothing };
        let mut back = Client::visitor(&server, token.clone(), vec![point]).await;
        let (reset, page) = back.history(RequestId(0)).await;
        assert!(!reset);
        assert_eq!(texts(&page).last().map(String::as_str), Some("m119"));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_visitors_conversation_is_not_found() {
    let server = TestServer::start().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    let mut other = Client::visitor(&server, None, vec![]).await;
    let request = other.next_request();
    let form = protocol::limits::List::default();
    let frames = [
        ClientFrame::Open { request, conversation, form, notice: None, page: None },
        ClientFrame::Close { request, conversation },
        ClientFrame::History { request, conversation, before: Seq(0), limit: 10 },
    ];
    for frame in frames {
        other.tell(&frame).await;
        let code = other
            .until(|f| match f {
                ServerFrame::Reject { code, .. } => Some(code.word()),
                _ => None,
            })
            .await;
        assert_eq!(code, "not-found");
    }
    other.send(request, conversation, new_message(), "let me in").await;
    let code = other
        .until(|f| match f {
            ServerFrame::Reject { code, .. } => Some(code.word()),
            _ => None,
        })
        .await;
    assert_eq!(code, "not-found");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_is_acked_though_the_conversation_was_closed_meanwhile() {
    let server = TestServer::start().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    let message = new_message();
    let request = visitor.next_request();
    visitor.send(request, conversation, message, "just before the end").await;
    let first = visitor.acked(request).await;
    let request = visitor.next_request();
    visitor.tell(&ClientFrame::Close { request, conversation }).await;
    visitor.acked(request).await;
    let request = visitor.next_request();
    visitor.send(request, conversation, message, "just before the end").await;
    assert_eq!(visitor.acked(request).await, first);
    server.stop().await;
}

/// Its author had seen twenty sequence numbers, a crash took them, and the message was stored below
/// that.
#[tokio::test(flavor = "multi_thread")]
async fn a_resend_from_before_a_crash_is_acked_with_its_number_long_after() {
    let server = TestServer::start().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    let (message, seen) = (new_message(), Seq(20));
    let request = visitor.next_request();
    visitor.send_having_seen(seen, request, conversation, message, "only once").await;
    let first = visitor.acked(request).await;
    for number in 0..60 {
        visitor.say(conversation, &format!("m{number}")).await;
    }
    let request = visitor.next_request();
    visitor.send_having_seen(seen, request, conversation, message, "only once").await;
    assert_eq!(visitor.acked(request).await, first);
    let token = visitor.token.clone();
    let server = server.restart().await;
    let mut visitor = Client::visitor(&server, token, vec![]).await;
    let request = visitor.next_request();
    visitor.send_having_seen(seen, request, conversation, message, "only once").await;
    assert_eq!(visitor.acked(request).await, first);
    let request = visitor.next_request();
    let before = Seq(0);
    visitor.tell(&ClientFrame::History { request, conversation, before, limit: 100 }).await;
    let (_, page) = visitor.history(request).await;
    assert_eq!(texts(&page).iter().filter(|text| *text == "only once").count(), 1);
    server.stop().await;
}

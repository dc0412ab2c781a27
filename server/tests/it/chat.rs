//! A visitor and an agent talk.

use protocol::conversation::ConversationState;
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::message::{Author, Body, EventKind, Seq, Visibility};
use protocol::personal::Text;
use protocol::reject::RejectCode;

use crate::client::{Client, new_message};
use crate::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_and_an_agent_talk_both_ways() {
    let server = TestServer::start().await;
    let mut agent = Client::agent(&server, 0).await;
    agent.available().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    agent.accept(conversation).await;
    visitor.say(conversation, "hello").await;
    let seq = agent.heard("hello").await;
    agent.tell(&ClientFrame::Seen { conversation, seq }).await;
    visitor
        .until(|f| matches!(f, ServerFrame::Seen { seq: s, .. } if *s == seq).then_some(()))
        .await;
    agent.tell(&ClientFrame::Typing { conversation, typing: true }).await;
    let writes = visitor
        .until(|f| match f {
            ServerFrame::Typing { author, typing: true, .. } => Some(*author),
            _ => None,
        })
        .await;
    assert_eq!(writes, Author::Agent(server.agents[0]));
    agent.say(conversation, "how can I help?").await;
    assert_eq!(visitor.heard("how can I help?").await, seq.next());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_never_reaches_a_visitor() {
    let server = TestServer::start().await;
    let mut agent = Client::agent(&server, 0).await;
    agent.available().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    agent.accept(conversation).await;
    let request = agent.next_request();
    agent
        .tell(&ClientFrame::Send {
            request,
            conversation,
            message: new_message(),
            seen_seq: Seq(0),
            body: Body::Text(Text::new("he is difficult")),
            visibility: Some(Visibility::Agents),
        })
        .await;
    agent.acked(request).await;
    agent.say(conversation, "after the note").await;
    visitor.heard("after the note").await;
    let rest = visitor.settled().await;
    assert!(!rest.iter().any(|f| matches!(f, ServerFrame::Message { visibility: Some(_), .. })));
    let request = visitor.next_request();
    let before = Seq(0);
    visitor.tell(&ClientFrame::History { request, conversation, before, limit: 100 }).await;
    let (_, page) = visitor.history(request).await;
    assert!(page.iter().all(|message| message.visibility == Visibility::Everyone));
    assert!(
        page.iter().any(
            |message| matches!(&message.body, Body::Text(t) if t.expose() == "after the note")
        )
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_an_offer_and_the_giver_keeps_it_until_then() {
    let server = TestServer::start().await;
    let mut giver = Client::agent(&server, 0).await;
    giver.available().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    giver.accept(conversation).await;
    let mut taker = Client::agent(&server, 1).await;
    taker.available().await;
    giver.transfer(conversation, server.agents[1]).await;
    giver.say(conversation, "still me").await;
    taker.accept(conversation).await;
    visitor
        .until(|f| match f {
            ServerFrame::Message { body: Body::Event { event, agent }, .. } => {
                (*event == EventKind::Transferred && *agent == Some(server.agents[1])).then_some(())
            }
            _ => None,
        })
        .await;
    taker.say(conversation, "now me").await;
    visitor.heard("now me").await;
    let request = giver.next_request();
    giver.send(request, conversation, new_message(), "me again").await;
    let code = giver
        .until(|f| match f {
            ServerFrame::Reject { code, .. } => Some(*code),
            _ => None,
        })
        .await;
    assert_eq!(code, RejectCode::Forbidden);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_conversation_takes_nothing_until_it_is_opened_again() {
    let server = TestServer::start().await;
    let mut agent = Client::agent(&server, 0).await;
    agent.available().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    agent.accept(conversation).await;
    let request = agent.next_request();
    agent.tell(&ClientFrame::Close { request, conversation }).await;
    agent.acked(request).await;
    visitor
        .until(|f| match f {
            ServerFrame::Conversation { card } => {
                (card.state == ConversationState::Closed).then_some(())
            }
            _ => None,
        })
        .await;
    let request = visitor.next_request();
    visitor.send(request, conversation, new_message(), "one more thing").await;
    let code = visitor
        .until(|f| match f {
            ServerFrame::Reject { code, .. } => Some(*code),
            _ => None,
        })
        .await;
    assert_eq!(code, RejectCode::Closed);
    let request = visitor.next_request();
    visitor.tell(&ClientFrame::Reopen { request, conversation }).await;
    visitor.acked(request).await;
    visitor.say(conversation, "one more thing").await;
    agent.heard("one more thing").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_number_is_hidden_from_everyone() {
    let server = TestServer::start().await;
    let mut agent = Client::agent(&server, 0).await;
    agent.available().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    agent.accept(conversation).await;
    visitor.say(conversation, "my card is 4111 1111 1111 1111, thanks").await;
    let said = agent
        .until(|f| match f {
            ServerFrame::Message { author: Author::Visitor, body: Body::Text(text), .. } => {
                Some(text.expose().to_owned())
            }
            _ => None,
        })
        .await;
    assert!(!said.contains("4111") && said.starts_with("my card is"), "{said}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_shows_the_author_what_was_kept_of_their_words() {
    let server = TestServer::start().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    let (plain, card) = (new_message(), new_message());
    let words = "my card is 4111 1111 1111 1111";
    // The last is a resend: it is acked as the first was.
    for (message, text, kept) in [
        (plain, "which cards do you take?", None),
        (card, words, Some("my card is [hidden]")),
        (card, words, Some("my card is [hidden]")),
    ] {
        let request = visitor.next_request();
        visitor.send(request, conversation, message, text).await;
        let (body, expires) = visitor
            .until(|f| match f {
                ServerFrame::Ack { request: r, body, expires, .. } if *r == request => {
                    Some((body.clone(), *expires))
                }
                _ => None,
            })
            .await;
        assert_eq!(body, kept.map(|text| Body::Text(Text::new(text))));
        assert!(expires.is_some());
    }
    server.stop().await;
}

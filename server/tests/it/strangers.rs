//! What belongs to another: an Organization's things, an old token, an ended session. The answer is
//! the same as for what does not exist.

use std::sync::Arc;

use livehelp::clock::ManualClock;
use protocol::conversation::Role;
use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use protocol::ids::{AgentId, ConversationId, SiteKey};
use protocol::limits::List;
use protocol::message::Seq;
use protocol::personal::Text;
use protocol::time::UnixMillis;
use serde_json::{Value, json};

use crate::client::{Client, new_message};
use crate::http::{self, Answer};
use crate::server::{COOKIES, OPERATOR_KEY, SHOP, Site, TestServer};

/// Another Organization on the same server: its admin's cookie and its site's key.
struct Other {
    cookie: String,
    site_key: SiteKey,
    agent: AgentId,
}

async fn operate(server: &Site, path: &str, body: Value) -> Value {
    let key = format!("Bearer {OPERATOR_KEY}");
    let headers = [("authorization", key.as_str())];
    let answer = http::ask(server.admin, "POST", path, &headers, &body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()
}

impl Other {
    async fn move_in(server: &Site) -> Self {
        let contact = json!({ "name": "Other", "privacy_contact": "privacy@other.example" });
        let tenant = operate(server, "/v1/tenants", contact).await;
        let tenant = format!("/v1/tenants/{}", tenant["tenant_id"].as_str().unwrap());
        let site = json!({ "name": "Other shop", "origins": [SHOP], "plan": "free" });
        let site = operate(server, &format!("{tenant}/sites"), site).await;
        let invited = json!({ "email": "admin@other.example", "role": "admin" });
        let invited = operate(server, &format!("{tenant}/invitations"), invited).await;
        let token = invited["link"].as_str().unwrap().rsplit('/').next().unwrap();
        let taken = json!({ "token": token, "name": "Eve", "password": "a long enough password" });
        let origin = format!("http://{}", server.address);
        let headers = [("origin", origin.as_str())];
        let path = "/v1/invitations/accept";
        let answer = http::ask(server.address, "POST", path, &headers, &taken.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        Self {
            cookie: answer.cookie().unwrap(),
            site_key: SiteKey::parse(site["site_key"].as_str().unwrap()).unwrap(),
            agent: answer.json()["agent"]["agent_id"].as_str().unwrap().parse().unwrap(),
        }
    }
}

async fn refused(client: &mut Client, request: RequestId) -> &'static str {
    client
        .until(|frame| match frame {
            ServerFrame::Reject { request: r, code, .. } if *r == request => Some(code.word()),
            ServerFrame::Ack { request: r, .. } if *r == request => Some("done"),
            _ => None,
        })
        .await
}

/// One frame of each kind that names a conversation.
fn frames(request: RequestId, conversation: ConversationId) -> Vec<ClientFrame<'static>> {
    let topic = protocol::frame::WatchTopic::Conversation;
    vec![
        ClientFrame::Close { request, conversation },
        ClientFrame::Reopen { request, conversation },
        ClientFrame::History { request, conversation, before: Seq(0), limit: 10 },
        ClientFrame::Accept { request, conversation },
        ClientFrame::Decline { request, conversation },
        ClientFrame::Assign { request, conversation },
        ClientFrame::Draft { request, conversation, text: Text::new("mine now") },
        ClientFrame::Watch {
            request,
            topic,
            conversation: Some(conversation),
            resume: None,
            after: None,
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organizations_conversation_is_not_there_on_the_wire_and_over_rest() {
    let server = TestServer::start_as(|setup| setup.role = Role::Admin).await;
    let mut agent = Client::agent(&server, 0).await;
    agent.available().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    agent.accept(conversation).await;
    visitor.say(conversation, "ours alone").await;
    let other = Other::move_in(&server).await;
    let mut eve = Client::agent_with(&server, &other.cookie).await;
    for frame in frames(RequestId(900), conversation) {
        eve.tell(&frame).await;
        assert_eq!(refused(&mut eve, RequestId(900)).await, "not-found", "{frame:?}");
    }
    eve.send(RequestId(901), conversation, new_message(), "let me in").await;
    assert_eq!(refused(&mut eve, RequestId(901)).await, "not-found");
    // Nor is a colleague of hers somebody to whom ours can be given.
    let request = agent.next_request();
    let agent_id = other.agent;
    agent.tell(&ClientFrame::Transfer { request, conversation, agent: agent_id }).await;
    assert_ne!(refused(&mut agent, request).await, "done");
    // A visitor of hers, with a token of ours, is nobody we know.
    let mut stranger = Client::connect(&server, &[("origin", SHOP)]).await;
    stranger.greet_as_visitor(other.site_key, visitor.token.clone(), vec![]).await;
    let request = stranger.next_request();
    let history = ClientFrame::History { request, conversation, before: Seq(0), limit: 10 };
    stranger.tell(&history).await;
    assert_eq!(refused(&mut stranger, request).await, "not-found");
    let (ours, agent_zero) = (format!("/v1/conversations/{conversation}"), server.agents[0]);
    let origin = format!("http://{}", server.address);
    let headers = [("cookie", other.cookie.as_str()), ("origin", origin.as_str())];
    for (method, path, body) in [
        ("GET", ours.clone(), String::new()),
        ("GET", format!("{ours}/messages"), String::new()),
        ("GET", format!("{ours}/transcript"), String::new()),
        ("POST", format!("{ours}/messages"), json!({ "text": "let me in" }).to_string()),
        ("POST", format!("{ours}/close"), String::new()),
        ("POST", format!("{ours}/assign"), json!({ "agent_id": other.agent }).to_string()),
        ("GET", format!("/v1/agents/{agent_zero}"), String::new()),
        ("GET", format!("/v1/sites/{}", protocol::ids::SiteId::from_bytes([8; 16])), String::new()),
    ] {
        let answer = http::ask(server.address, method, &path, &headers, &body).await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.body);
    }
    let list = http::get(server.address, "/v1/conversations", &headers).await.json();
    assert_eq!(list["items"], json!([]));
    for frames in [eve.raw(), stranger.raw()] {
        assert!(!frames.contains("ours alone"));
    }
    // Nothing of it did anything.
    agent.say(conversation, "still ours").await;
    visitor.heard("still ours").await;
    server.stop().await;
}

/// Whether the visitor of this token still has their conversation.
async fn knows(server: &Site, token: &str, conversation: ConversationId) -> (bool, String) {
    let mut visitor = Client::visitor(server, Some(token.to_owned()), vec![]).await;
    let request = visitor.next_request();
    let history = ClientFrame::History { request, conversation, before: Seq(0), limit: 10 };
    visitor.tell(&history).await;
    let known = visitor
        .until(|frame| match frame {
            ServerFrame::History { request: r, .. } if *r == request => Some(true),
            ServerFrame::Reject { request: r, .. } if *r == request => Some(false),
            _ => None,
        })
        .await;
    (known, visitor.token.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitors_token_ends_with_its_time_and_with_its_successor() {
    const DAY_MS: u64 = 86_400_000;
    let clock = Arc::new(ManualClock::new(UnixMillis(1_835_517_600_000)));
    let server = TestServer::start_as(|setup| {
        setup.clock = Arc::clone(&clock) as _;
        setup.config.visitor_token_days = 30;
    })
    .await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    let first = visitor.token.clone().unwrap();
    drop(visitor);
    clock.advance_ms(2 * DAY_MS);
    let (known, second) = knows(&server, &first, conversation).await;
    assert!(known && second != first, "an old token is replaced");
    // The answer may have been lost: until the new one is used, the old one still holds.
    assert!(knows(&server, &first, conversation).await.0);
    assert!(knows(&server, &second, conversation).await.0);
    clock.advance_ms(61_000);
    assert!(!knows(&server, &first, conversation).await.0, "a replayed token");
    assert!(knows(&server, &second, conversation).await.0);
    clock.advance_ms(31 * DAY_MS);
    assert!(!knows(&server, &second, conversation).await.0, "an expired token");
    let digits = second.trim_start_matches("lhv_");
    let forged = format!("lhv_{}", digits.chars().rev().collect::<String>());
    assert!(!knows(&server, &forged, conversation).await.0, "a forged token");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_opens_nothing_and_its_open_sockets_end_with_it() {
    let server = TestServer::start().await;
    let mut agent = Client::agent(&server, 0).await;
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let origin = format!("http://{}", server.address);
    let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
    let current = "/v1/sessions/current";
    assert_eq!(http::get(server.address, current, &headers).await.status, 200);
    assert_eq!(http::ask(server.address, "DELETE", current, &headers, "").await.status, 204);
    assert_eq!(agent.closed().await, 4001);
    let answer: Answer = http::get(server.address, current, &headers).await;
    assert_eq!(answer.status, 401);
    let mut replayed = Client::connect(&server, &headers).await;
    replayed
        .tell(&ClientFrame::Hello {
            request: RequestId(1),
            role: protocol::frame::ClientRole::Agent,
            client: String::from("test/1"),
            locale: String::from("en"),
            resume: List::default(),
            site: None,
            token: None,
            signals: None,
        })
        .await;
    assert_eq!(replayed.closed().await, 4001);
    server.stop().await;
}

//! Accounts while their owners are connected: passwords, roles, sessions.

use std::sync::Arc;

use livehelp::auth::hash_password;
use livehelp::clock::{Clock, ManualClock, SystemClock};
use protocol::conversation::{Availability, Role};
use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use protocol::ids::{AgentId, ConversationId};
use protocol::limits::CAPACITY_MAX;
use protocol::reject::{CloseCode, RejectCode};
use protocol::time::UnixMillis;

use crate::client::Client;
use crate::http::{Answer, ask, get};
use crate::server::{COOKIES, TestServer};

const PASSWORD: &str = "correct horse battery staple";
const DAY_MS: u64 = 86_400_000;

async fn start(role: Role) -> TestServer {
    TestServer::start_as(|setup| {
        setup.role = role;
        setup.password_hash = hash_password(&PASSWORD.to_owned().into()).unwrap();
    })
    .await
}

fn cookie(number: usize) -> String {
    format!("livehelp_session={}", COOKIES[number])
}

/// A request of the console's page.
async fn from_console(
    server: &TestServer,
    cookie: &str,
    (method, path): (&str, &str),
    body: &str,
) -> Answer {
    let origin = format!("http://{}", server.address);
    let headers = [("cookie", cookie), ("origin", origin.as_str())];
    ask(server.address, method, path, &headers, body).await
}

async fn sign_in(server: &TestServer, password: &str) -> Answer {
    let body = format!(r#"{{"email":"Agent0@acme.example","password":"{password}"}}"#);
    from_console(server, "", ("POST", "/v1/sessions"), &body).await
}

#[tokio::test]
async fn a_changed_password_stays_changed_when_its_owner_becomes_available() {
    let server = start(Role::Agent).await;
    let mut agent = Client::agent(&server, 0).await;
    let path = format!("/v1/agents/{}/password", server.agents[0]);
    let body =
        format!(r#"{{"current_password":"{PASSWORD}","new_password":"four other words here"}}"#);
    let changed = from_console(&server, &cookie(0), ("PUT", &path), &body).await;
    assert_eq!(changed.status, 204, "{}", changed.body);
    agent.available().await;
    assert_eq!(sign_in(&server, PASSWORD).await.status, 401);
    assert_eq!(sign_in(&server, "four other words here").await.status, 201);
    let server = server.restart().await;
    assert_eq!(sign_in(&server, PASSWORD).await.status, 401);
}

/// What became of a transfer.
async fn transferred(
    agent: &mut Client,
    conversation: ConversationId,
    to: AgentId,
) -> Option<RejectCode> {
    let request = agent.next_request();
    agent.tell(&ClientFrame::Transfer { request, conversation, agent: to }).await;
    answer_to(agent, request).await
}

/// None: it was done.
async fn answer_to(agent: &mut Client, request: RequestId) -> Option<RejectCode> {
    agent
        .until(|frame| match frame {
            ServerFrame::Ack { request: r, .. } if *r == request => Some(None),
            ServerFrame::Reject { request: r, code, .. } if *r == request => Some(Some(*code)),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn a_role_that_is_taken_away_is_gone_on_open_sockets_too() {
    let server = start(Role::Admin).await;
    let mut first = Client::agent(&server, 0).await;
    first.available().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    first.accept(conversation).await;
    let mut second = Client::agent(&server, 1).await;
    second.available().await;
    assert_eq!(transferred(&mut second, conversation, server.agents[1]).await, None);
    second.until(|f| matches!(f, ServerFrame::Offer { .. }).then_some(())).await;
    let request = second.next_request();
    second.tell(&ClientFrame::Decline { request, conversation }).await;
    second.acked(request).await;

    let path = format!("/v1/agents/{}", server.agents[1]);
    let demoted = from_console(&server, &cookie(0), ("PATCH", &path), r#"{"role":"agent"}"#).await;
    assert_eq!(demoted.status, 200, "{}", demoted.body);
    let refused = transferred(&mut second, conversation, server.agents[1]).await;
    assert_eq!(refused, Some(RejectCode::Forbidden));
    let request = second.next_request();
    second.tell(&ClientFrame::Close { request, conversation }).await;
    let refused = answer_to(&mut second, request).await;
    assert_eq!(refused, Some(RejectCode::Forbidden));

    let promoted =
        from_console(&server, &cookie(0), ("PATCH", &path), r#"{"role":"supervisor"}"#).await;
    assert_eq!(promoted.status, 200);
    assert_eq!(transferred(&mut second, conversation, server.agents[1]).await, None);
}

#[tokio::test]
async fn an_agent_takes_at_most_as_many_as_an_admin_may_give_them() {
    let server = start(Role::Agent).await;
    let mut agent = Client::agent(&server, 0).await;
    let mut choose = async |capacity: u16| {
        let request = agent.next_request();
        let (availability, capacity) = (Availability::Available, Some(capacity));
        agent.tell(&ClientFrame::Availability { request, availability, capacity }).await;
        answer_to(&mut agent, request).await
    };
    assert_eq!(choose(CAPACITY_MAX + 1).await, Some(RejectCode::Invalid));
    assert_eq!(choose(u16::MAX).await, Some(RejectCode::Invalid));
    assert_eq!(choose(CAPACITY_MAX).await, None);
}

#[tokio::test]
async fn what_an_agent_chose_outlives_a_change_of_their_name() {
    let server = start(Role::Admin).await;
    let mut agent = Client::agent(&server, 1).await;
    agent.available().await;
    let path = format!("/v1/agents/{}", server.agents[1]);
    let renamed = from_console(&server, &cookie(0), ("PATCH", &path), r#"{"name":"Robin"}"#).await;
    assert_eq!(renamed.status, 200, "{}", renamed.body);
    let server = server.restart().await;
    let board = Client::agent(&server, 0).await.board().await;
    let card = board.iter().find(|card| card.agent == server.agents[1]).unwrap();
    assert_eq!(card.name.expose(), "Robin");
    assert_eq!(card.availability, Some(Availability::Available));
}

#[tokio::test]
async fn a_socket_ends_with_the_session_that_opened_it() {
    #[derive(Debug)]
    struct WallClock(ManualClock);
    impl Clock for WallClock {
        fn now(&self) -> UnixMillis {
            self.0.now()
        }
        fn instant(&self) -> std::time::Instant {
            SystemClock.instant()
        }
    }
    let clock = Arc::new(WallClock(ManualClock::new(UnixMillis(1_790_000_000_000))));
    let handed = Arc::clone(&clock);
    let server = TestServer::start_as(|setup| {
        setup.clock = handed;
        setup.config.session_days = 1;
        setup.password_hash = hash_password(&PASSWORD.to_owned().into()).unwrap();
    })
    .await;
    let signed_in = async || sign_in(&server, PASSWORD).await.cookie().unwrap();
    let over = CloseCode::NotAuthenticated.code();

    let revoked = signed_in().await;
    let mut socket = Client::agent_with(&server, &revoked).await;
    let out = from_console(&server, &revoked, ("DELETE", "/v1/sessions/current"), "").await;
    assert_eq!(out.status, 204);
    assert_eq!(socket.closed().await, over, "revoked");

    let short = signed_in().await;
    let mut socket = Client::agent_with(&server, &short).await;
    let mut other = Client::agent(&server, 0).await;
    clock.0.advance_ms(DAY_MS);
    assert_eq!(socket.closed().await, over, "expired");
    let asked = get(server.address, "/v1/agents", &[("cookie", &short)]).await;
    assert_eq!(asked.status, 401);
    other.settled().await;
}

//! Whoever is erased is gone from every door, screen and file, and nobody else is.

use std::sync::Arc;

use livehelp::store::FieldRule;
use protocol::conversation::Role;
use protocol::frame::ServerFrame;
use protocol::ids::ConversationId;
use protocol::reject::CloseCode;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::client::Client;
use crate::http;
use crate::retention::{ALL, EMAIL, SAID, doors, files, holds, rightful, tell_a_story};
use crate::server::{COOKIES, Site, TestServer};

const BYSTANDER: &str = "words-of-a-bystander";

async fn start() -> TestServer {
    TestServer::start_as(|setup| {
        setup.role = Role::Admin;
        setup.settings.form.insert(String::from("email"), FieldRule::Optional);
    })
    .await
}

async fn ask(server: &Site, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let origin = format!("http://{}", server.address);
    let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = http::ask(server.address, method, path, &headers, &body).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
}

/// Asks for it, proves whose it is, and carries it out; what it came to.
async fn erase(server: &Site, who: Value) -> Value {
    let mut new = json!({ "kind": "erase", "note": "please" });
    new.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
    let (status, request) = ask(server, "POST", "/v1/privacy-requests", &new).await;
    assert_eq!(status, 201, "{request}");
    let path = format!("/v1/privacy-requests/{}", request["privacy_request_id"].as_str().unwrap());
    let (status, refused) = ask(server, "POST", &format!("{path}/erase"), &Value::Null).await;
    assert_eq!((status, refused["code"].as_str()), (409, Some("conflict")), "{refused}");
    let proof = json!({ "proof": "wrote from that address" });
    let (status, verified) = ask(server, "POST", &format!("{path}/verify"), &proof).await;
    assert_eq!((status, verified["state"].as_str()), (200, Some("verified")), "{verified}");
    let (status, done) = ask(server, "POST", &format!("{path}/erase"), &Value::Null).await;
    assert_eq!((status, done["state"].as_str()), (200, Some("done")), "{done}");
    assert_eq!(done["found"], verified["found"]);
    done
}

/// A conversation of somebody else.
async fn bystander(server: &Site) -> (Client, ConversationId) {
    let mut other = Client::visitor(server, None, vec![]).await;
    let conversation = other.open().await;
    other.say(conversation, BYSTANDER).await;
    (other, conversation)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_erased_by_address_is_gone_from_every_door_and_file() {
    let server = start().await;
    let mut story = tell_a_story(&server).await;
    let before = doors(&server, &mut story).await;
    for (door, canaries) in rightful() {
        assert!(canaries.iter().all(|canary| before[door].contains(canary)), "{door}");
    }
    let (_other, bystander) = bystander(&server).await;
    let data = server.folder.path().join("data/livehelp.sqlite");
    let sealed: Vec<Vec<u8>> = Connection::open(&data)
        .unwrap()
        .prepare("SELECT form FROM conversations WHERE form IS NOT NULL")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut agent = Client::agent(&server, 1).await;
    agent.watch(story.open, None).await;
    agent.settled().await;
    let mut visitor = Client::visitor(&server, story.token.clone(), vec![]).await;
    let done = erase(&server, json!({ "email": EMAIL.to_uppercase() })).await;
    assert_eq!(done["identifier"], "", "the request named them too");
    assert_eq!(done["found"]["persons"], 1);
    assert_eq!(done["found"]["conversations"], 2);
    assert!(done["found"]["messages"].as_u64().unwrap() >= 7, "{done}");
    // Off the screens, and their browser comes back as somebody new.
    let mut gone = Vec::new();
    while gone.len() < 2 {
        gone.push(
            agent
                .until(|frame| match frame {
                    ServerFrame::Forget { conversation, messages: None } => Some(*conversation),
                    _ => None,
                })
                .await,
        );
    }
    assert!(gone.contains(&story.open) && gone.contains(&story.closed));
    assert_eq!(visitor.closed().await, CloseCode::NotAuthenticated.code());
    nothing_is_read(&server, &story.token, &[story.open, story.closed]).await;
    a_certificate_holds_without_a_server(&server, &done).await;
    // Nobody takes them in again by that address.
    let invite = json!({ "email": EMAIL, "role": "agent" });
    let (status, refused) = ask(&server, "POST", "/v1/invitations", &invite).await;
    assert_eq!((status, refused["code"].as_str()), (409, Some("suppressed")), "{refused}");
    let path = format!("/v1/conversations/{bystander}/messages");
    let (_, kept) = ask(&server, "GET", &path, &Value::Null).await;
    assert!(kept.to_string().contains(BYSTANDER));
    let server = server.restart().await;
    nothing_is_read(&server, &story.token, &[story.open, story.closed]).await;
    let (_, kept) = ask(&server, "GET", &path, &Value::Null).await;
    assert!(kept.to_string().contains(BYSTANDER));
    let folder = server.stop().await;
    for (path, bytes) in files(folder.path()) {
        for canary in ALL {
            assert!(!holds(&bytes, canary.as_bytes()), "{canary} is in {}", path.display());
        }
        for form in &sealed {
            assert!(!holds(&bytes, form), "a sealed form is still in {}", path.display());
        }
    }
    let keys = Connection::open(folder.path().join("keys/keys.sqlite")).unwrap();
    let count = |sql: &str| keys.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM subject_keys WHERE wrapped IS NULL"), 2);
}

/// What `livehelp certificate verify` says.
fn verdict(file: &std::path::Path) -> i32 {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_livehelp"));
    let output = command.args(["certificate", "verify"]).arg(file).output().unwrap();
    output.status.code().unwrap()
}

/// What is handed to whoever asked for it.
async fn a_certificate_holds_without_a_server(server: &TestServer, done: &Value) {
    let id = done["privacy_request_id"].as_str().unwrap();
    let path = format!("/v1/privacy-requests/{id}/certificate");
    let (status, certificate) = ask(server, "GET", &path, &Value::Null).await;
    assert_eq!(status, 200, "{certificate}");
    assert_eq!(certificate["certificate"]["stores"][1]["destroyed"], 2);
    let file = server.folder.path().join("certificate.json");
    std::fs::write(&file, certificate.to_string()).unwrap();
    assert_eq!(verdict(&file), 0);
    let forged = certificate.to_string().replacen("\"destroyed\":2", "\"destroyed\":1", 1);
    std::fs::write(&file, forged.replacen("\"found\":2", "\"found\":1", 1)).unwrap();
    assert_eq!(verdict(&file), 1);
}

/// By no way that leads to conversations or people.
async fn nothing_is_read(server: &Site, token: &Option<String>, erased: &[ConversationId]) {
    let mut agent = Client::agent(server, 0).await;
    agent.settled().await;
    let mut seen = vec![agent.raw()];
    let mut visitor = Client::visitor(server, token.clone(), vec![]).await;
    visitor.settled().await;
    seen.push(visitor.raw());
    let mut paths = vec![
        String::from("/v1/conversations"),
        String::from("/v1/conversations?state=closed"),
        String::from("/v1/visitors"),
    ];
    for conversation in erased {
        for below in ["", "/messages", "/transcript"] {
            paths.push(format!("/v1/conversations/{conversation}{below}"));
        }
    }
    for path in paths {
        let (_, answer) = ask(server, "GET", &path, &Value::Null).await;
        seen.push(answer.to_string());
    }
    for text in seen {
        for canary in ALL {
            assert!(!text.contains(canary), "{canary}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_named_by_visitor_conversation_or_agent_too() {
    let server = start().await;
    let (_one, first) = bystander(&server).await;
    let done = erase(&server, json!({ "conversation_id": first.to_string() })).await;
    assert_eq!(done["found"]["conversations"], 1);
    let (_two, second) = bystander(&server).await;
    let path = format!("/v1/conversations/{second}");
    let (_, shown) = ask(&server, "GET", &path, &Value::Null).await;
    let visitor = shown["visitor"]["visitor_id"].as_str().unwrap().to_owned();
    erase(&server, json!({ "visitor_id": visitor })).await;
    let agent = server.agents[1].to_string();
    let mut colleague = Client::agent(&server, 1).await;
    erase(&server, json!({ "agent_id": agent })).await;
    assert_eq!(colleague.closed().await, CloseCode::NotAuthenticated.code());
    let (_, shown) = ask(&server, "GET", &format!("/v1/agents/{agent}"), &Value::Null).await;
    assert!(!shown.to_string().contains("Agent 1"), "{shown}");
    // Whoever is not known here is erased without finding anything.
    let done = erase(&server, json!({ "email": "nobody@example.test" })).await;
    assert_eq!(done["found"]["persons"], 0);
    let (status, refused) = {
        let new = json!({ "kind": "erase", "agent_id": server.agents[0].to_string() });
        let (_, request) = ask(&server, "POST", "/v1/privacy-requests", &new).await;
        let id = request["privacy_request_id"].as_str().unwrap();
        let path = format!("/v1/privacy-requests/{id}");
        let proof = json!({ "proof": "themselves" });
        ask(&server, "POST", &format!("{path}/verify"), &proof).await;
        ask(&server, "POST", &format!("{path}/erase"), &Value::Null).await
    };
    assert_eq!((status, refused["code"].as_str()), (409, Some("last-admin")), "{refused}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_wrongly_is_told_what_was_wrong() {
    let server = start().await;
    let post = async |body: Value| ask(&server, "POST", "/v1/privacy-requests", &body).await;
    let stranger = ConversationId::from_bytes([9; 16]).to_string();
    let (future, never) = ("2190-01-01", "2026-02-30");
    for (body, status, field) in [
        (json!({ "kind": "erase" }), 422, "email"),
        (json!({ "kind": "erase", "email": "no address" }), 422, "email"),
        (json!({ "kind": "vanish", "email": "a@b.example" }), 422, "kind"),
        (json!({ "kind": "erase", "email": "a@b.example", "agent_id": "x" }), 422, "agent_id"),
        (
            json!({ "kind": "erase", "email": "a@b.example", "received_on": future }),
            422,
            "received_on",
        ),
        (
            json!({ "kind": "erase", "email": "a@b.example", "received_on": never }),
            422,
            "received_on",
        ),
    ] {
        let (found, problem) = post(body.clone()).await;
        assert_eq!((found, problem["field"].as_str()), (status, Some(field)), "{body} {problem}");
    }
    let (status, _) = post(json!({ "kind": "erase", "conversation_id": stranger })).await;
    assert_eq!(status, 404);
    // A request for access is answered, refused or closed, and never erases.
    let (_, request) = post(json!({ "kind": "access", "email": "a@b.example" })).await;
    let path = format!("/v1/privacy-requests/{}", request["privacy_request_id"].as_str().unwrap());
    let (status, _) = ask(&server, "POST", &format!("{path}/erase"), &Value::Null).await;
    assert_eq!(status, 409);
    let refusal = json!({ "refusal": "not-identified", "answer": "Write from your own address." });
    let (status, refused) = ask(&server, "POST", &format!("{path}/refuse"), &refusal).await;
    assert_eq!((status, refused["refusal"].as_str()), (200, Some("not-identified")), "{refused}");
    let (status, _) =
        ask(&server, "POST", &format!("{path}/verify"), &json!({ "proof": "x" })).await;
    assert_eq!(status, 409, "it is over");
    let (_, list) = ask(&server, "GET", "/v1/privacy-requests", &Value::Null).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    server.stop().await;
}

/// What was said a moment before, and what is said meanwhile, goes too.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_while_they_write_leaves_nothing_behind() {
    let server = Arc::new(start().await);
    let (mut other, conversation) = bystander(&server).await;
    let writing = livehelp::tasks::spawn("writing", async move {
        for _ in 0..200 {
            let text = SAID;
            let frame = protocol::frame::ClientFrame::Send {
                request: other.next_request(),
                conversation,
                message: crate::client::new_message(),
                seen_seq: protocol::message::Seq(0),
                body: protocol::message::Body::Text(protocol::personal::Text::new(text)),
                visibility: None,
            };
            if !other.try_tell(&frame).await {
                return;
            }
        }
    });
    erase(&server, json!({ "conversation_id": conversation.to_string() })).await;
    writing.await.unwrap();
    for below in ["", "/messages", "/transcript"] {
        let path = format!("/v1/conversations/{conversation}{below}");
        let (_, answer) = ask(&server, "GET", &path, &Value::Null).await;
        assert!(!answer.to_string().contains(SAID), "{answer}");
    }
    let server = Arc::into_inner(server).unwrap();
    let server = server.restart().await;
    let path = format!("/v1/conversations/{conversation}/messages");
    let (_, answer) = ask(&server, "GET", &path, &Value::Null).await;
    assert!(!answer.to_string().contains(SAID), "{answer}");
    server.stop().await;
}

//! Whoever was erased may talk, and does not come back into the books by themselves.

use std::path::Path;

use livehelp::store::FieldRule;
use protocol::conversation::{FormAnswer, Role};
use protocol::frame::ClientFrame;
use protocol::ids::ConversationId;
use protocol::limits::List;
use protocol::personal::Personal;
use serde_json::{Value, json};

use crate::client::{Client, new_conversation};
use crate::http::{Answer, ask, get};
use crate::metrics::Scrape;
use crate::server::{COOKIES, Site, TestServer};

/// What no file holds: the address that was suppressed, and what its hash would be made of.
const ADDRESS: &str = "erased.person@example.test";

async fn asked(server: &Site, method: &str, path: &str, body: &Value) -> Answer {
    let origin = format!("http://{}", server.address);
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
    match method {
        "GET" => get(server.address, path, &headers).await,
        _ => ask(server.address, method, path, &headers, &body.to_string()).await,
    }
}

async fn opened(server: &Site, email: &str) -> (Client, ConversationId, ClientFrame<'static>) {
    let mut visitor = Client::visitor(server, None, vec![]).await;
    let (conversation, request) = (new_conversation(), visitor.next_request());
    let answer = |field: &str, answer: &str| FormAnswer {
        field: field.to_owned(),
        answer: Personal::new(answer.to_owned()),
    };
    let form = List::new([answer("name", "Ada"), answer("email", email)]);
    let open = ClientFrame::Open { request, conversation, form, notice: None, page: None };
    visitor.tell(&open).await;
    visitor.acked(request).await;
    (visitor, conversation, open)
}

async fn shown(server: &Site, conversation: ConversationId) -> Value {
    let path = format!("/v1/conversations/{conversation}");
    let answer = asked(server, "GET", &path, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suppressed_visitor_talks_and_their_address_is_not_kept() {
    let server = TestServer::start_as(|setup| {
        setup.role = Role::Admin;
        setup.settings.form.insert(String::from("email"), FieldRule::Required);
        setup.settings.form.insert(String::from("name"), FieldRule::Optional);
    })
    .await;
    let suppressed = json!({ "kind": "email", "identifier": ADDRESS, "basis": "erasure" });
    let made = asked(&server, "POST", "/v1/suppressions", &suppressed).await;
    assert_eq!(made.status, 201, "{}", made.body);

    let spelled = [
        "erased.person@example.test",
        "mailto:ErasedPerson+again@EXAMPLE.test",
        "Ada <\u{435}rased.person@example.test>",
    ];
    for (nth, spelled) in (1..).zip(spelled) {
        let (mut visitor, conversation, open) = opened(&server, spelled).await;
        visitor.say(conversation, "hello").await.unwrap();
        let shown = shown(&server, conversation).await;
        assert_eq!(shown["visitor"]["name"], "Ada", "{shown}");
        assert_eq!(shown["visitor"]["email"], Value::Null, "{shown}");
        assert!(!shown.to_string().to_lowercase().contains("erased"), "{shown}");
        let counted = [(r#"suppressions_refused_total{kind="email"}"#, f64::from(nth))];
        Scrape::until_all(server.admin, &counted).await;
        if nth == 3 {
            // The same opening again is the same conversation, though its address was left out.
            visitor.tell(&open).await;
            let ClientFrame::Open { request, .. } = open else { unreachable!() };
            visitor.acked(request).await;
        }
    }
    let (_, conversation, _) = opened(&server, "somebody.else@example.test").await;
    let shown_else = shown(&server, conversation).await;
    assert_eq!(shown_else["visitor"]["email"], "somebody.else@example.test");

    // By a program, too, and to an invitation.
    let begun = json!({
        "site_id": shown_else["site_id"], "visitor": { "name": "Ada", "email": ADDRESS },
        "message": { "text": "hello" } });
    let begun = asked(&server, "POST", "/v1/conversations", &begun).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    assert_eq!(begun.json()["visitor"]["email"], Value::Null, "{}", begun.body);
    let invite = json!({ "email": "ERASEDPERSON@example.test", "role": "agent" });
    let invited = asked(&server, "POST", "/v1/invitations", &invite).await;
    assert_eq!((invited.status, &invited.json()["code"]), (409, &json!("suppressed")));

    let server = server.restart().await;
    let invited = asked(&server, "POST", "/v1/invitations", &invite).await;
    assert_eq!(invited.status, 409, "it outlives a restart");
    let folder = server.stop().await;
    holds_nothing_of_it(folder.path());
}

/// No file has the address, its form, or a hash of them that anybody could make.
fn holds_nothing_of_it(folder: &Path) {
    let form = "erasedperson@example.test";
    let mut sought: Vec<Vec<u8>> = Vec::new();
    for text in [ADDRESS, form, &format!("1 email {form}"), &format!("email {form}")] {
        sought.push(text.as_bytes().to_vec());
        sought.push(livehelp::keys::content_hash(text.as_bytes()).to_vec());
    }
    let mut folders = vec![folder.to_owned()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap().to_ascii_lowercase();
            seen += bytes.len();
            for sought in &sought {
                let sought = sought.to_ascii_lowercase();
                let is_there = bytes.windows(sought.len()).any(|window| window == sought);
                assert!(!is_there, "{} holds it", path.display());
            }
        }
    }
    assert!(seen > 0);
}

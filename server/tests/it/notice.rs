//! What is shown before the first word, and what must be hidden before it is kept.

use livehelp::store::{FieldRule, Notice};
use protocol::conversation::FormAnswer;
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::limits::List;
use protocol::personal::Personal;
use serde_json::json;

use crate::client::{Client, new_conversation, new_message};
use crate::http;
use crate::server::{COOKIES, Site, TestServer};

async fn refused(client: &mut Client) -> (&'static str, Option<u32>) {
    client
        .until(|frame| match frame {
            ServerFrame::Reject { code, retry_after_ms, .. } => {
                Some((code.word(), *retry_after_ms))
            }
            _ => None,
        })
        .await
}

async fn conversation_of(server: &Site, id: &str) -> serde_json::Value {
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let path = format!("/v1/conversations/{id}");
    http::get(server.address, &path, &[("cookie", &cookie)]).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_notice_is_shown_first_and_which_one_is_kept_with_the_conversation() {
    let server = TestServer::start_as(|setup| {
        setup.settings.notice = Notice { text: String::from("We keep this."), url: String::new() };
    })
    .await;
    let widget = format!("/v1/widget/{}", server.site_key);
    let widget = http::get(server.address, &widget, &[]).await.json();
    let hash = widget["notice"]["hash"].as_str().unwrap();
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = new_conversation();
    for (notice, code) in [(None, "consent-required"), (Some("seen it"), "invalid")] {
        let (request, form) = (visitor.next_request(), List::default());
        let notice = notice.map(str::to_owned);
        let open = ClientFrame::Open { request, conversation, form, notice, page: None };
        visitor.tell(&open).await;
        assert_eq!(refused(&mut visitor).await, (code, None));
    }
    // Nothing was kept: there is no conversation to write into.
    let request = visitor.next_request();
    visitor.send(request, conversation, new_message(), "too early").await;
    assert_eq!(refused(&mut visitor).await.0, "not-found");
    let (request, form) = (visitor.next_request(), List::default());
    let notice = Some(hash.to_owned());
    visitor.tell(&ClientFrame::Open { request, conversation, form, notice, page: None }).await;
    visitor.acked(request).await;
    let server = server.restart().await;
    let kept = conversation_of(&server, &conversation.to_string()).await;
    assert_eq!(kept["notice_hash"], hash);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_which_nothing_is_seen_is_none_and_a_name_is_what_is_seen_of_it() {
    let server = TestServer::start_as(|setup| {
        setup.settings.form.insert(String::from("name"), FieldRule::Required);
    })
    .await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = new_conversation();
    let open = |request, answer: &str| {
        let form = List::new([FormAnswer {
            field: String::from("name"),
            answer: Personal::new(answer.to_owned()),
        }]);
        ClientFrame::Open { request, conversation, form, notice: None, page: None }
    };
    for blank in [" ", "\u{200B}", "\u{2800}", "\u{202E}\u{FEFF}"] {
        let request = visitor.next_request();
        visitor.tell(&open(request, blank)).await;
        assert_eq!(refused(&mut visitor).await, ("invalid", None));
    }
    let request = visitor.next_request();
    visitor.tell(&open(request, " Bob\u{202E}\u{200B}gnp.exe\u{A0}\u{A0}Jr ")).await;
    visitor.acked(request).await;
    let kept = conversation_of(&server, &conversation.to_string()).await;
    assert_eq!(kept["visitor"]["name"], "Bobgnp.exe Jr");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_whose_patterns_cannot_be_used_takes_nothing_in_until_they_are_corrected() {
    let server = TestServer::start_as(|setup| {
        setup.role = protocol::conversation::Role::Admin;
        setup.settings.redaction_patterns = vec![String::from("order-[0-9]+"), String::from("(")];
    })
    .await;
    let mut agent = Client::agent(&server, 0).await;
    agent.available().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    // Nothing in this needs hiding, so it may begin.
    let conversation = new_conversation();
    let (request, notice) = (visitor.next_request(), None);
    let answer = FormAnswer {
        field: String::from("name"),
        answer: Personal::new(String::from("order-1234")),
    };
    let form = List::new(vec![answer]);
    visitor.tell(&ClientFrame::Open { request, conversation, form, notice, page: None }).await;
    assert_eq!(refused(&mut visitor).await, ("store-unavailable", Some(60_000)));
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let origin = format!("http://{}", server.address);
    let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
    let site = format!("/v1/sites/{}", protocol::ids::SiteId::from_bytes([8; 16]));
    let corrected = json!({ "redaction_patterns": ["order-[0-9]+"] }).to_string();
    let answer = http::ask(server.address, "PATCH", &site, &headers, &corrected).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let conversation = visitor.open().await;
    agent.accept(conversation).await;
    visitor.say(conversation, "about order-1234").await;
    agent.heard("about [hidden]").await;
    server.stop().await;
}

//! What is shown before the first word, and what must be hidden before it is kept.

use livehelp::store::{FieldRule, Notice};
use protocol::conversation::{FormAnswer, PageView, Role};
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::ids::ConversationId;
use protocol::limits::List;
use protocol::personal::Personal;
use protocol::reject::RejectCode;
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
    refuses_until_corrected("(").await;
}

/// Kept by a version that did not judge how long one takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_pattern_that_would_take_too_long_stops_its_site_and_not_the_server() {
    refuses_until_corrected("(?:x{1,60}){1,60}0").await;
}

async fn refuses_until_corrected(pattern: &str) {
    let server = TestServer::start_as(|setup| {
        setup.role = Role::Admin;
        setup.settings.redaction_patterns =
            vec![String::from("order-[0-9]+"), String::from(pattern)];
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

async fn open(
    client: &mut Client,
    conversation: ConversationId,
    (name, notice, page): (&str, Option<&str>, Option<PageView>),
) -> Result<(), (RejectCode, String)> {
    let request = client.next_request();
    let (field, answer) = (String::from("name"), Personal::new(name.to_owned()));
    let form = (!name.is_empty()).then_some(FormAnswer { field, answer });
    let (form, notice) = (List::new(form), notice.map(str::to_owned));
    client.tell(&ClientFrame::Open { request, conversation, form, notice, page }).await;
    client
        .until(|frame| match frame {
            ServerFrame::Ack { request: r, .. } if *r == request => Some(Ok(())),
            ServerFrame::Reject { request: r, code, words, .. } if *r == request => {
                Some(Err((*code, words.clone())))
            }
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_was_never_shown_is_none_and_one_of_before_is_one() {
    let server = TestServer::start_as(|setup| setup.role = Role::Admin).await;
    let widget = format!("/v1/widget/{}", server.site_key);
    let shown = async |text: &str| {
        let origin = format!("http://{}", server.address);
        let cookie = format!("livehelp_session={}", COOKIES[0]);
        let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
        let site = http::get(server.address, &widget, &[]).await.json()["site_id"].clone();
        let path = format!("/v1/sites/{}", site.as_str().unwrap());
        let body = json!({ "notice": { "text": text, "url": "" } }).to_string();
        let changed = http::ask(server.address, "PATCH", &path, &headers, &body).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        let widget = http::get(server.address, &widget, &[]).await.json();
        widget["notice"]["hash"].as_str().unwrap().to_owned()
    };
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let never = "ab".repeat(32);
    let first = shown("We keep this.").await;
    let second = shown("We keep this, and for how long.").await;
    for hash in [&first, &second] {
        let began = open(&mut visitor, new_conversation(), ("", Some(hash), None)).await;
        assert_eq!(began, Ok(()), "{hash}");
    }
    let refused = open(&mut visitor, new_conversation(), ("", Some(&never), None)).await;
    assert_eq!(refused.unwrap_err().0, RejectCode::ConsentRequired);
    shown("").await;
    for (hash, began) in [(&second, true), (&never, false)] {
        let opened = open(&mut visitor, new_conversation(), ("", Some(hash), None)).await;
        assert_eq!(opened.is_ok(), began, "{hash}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_is_opened_again_is_the_same_or_a_conflict_that_says_in_what() {
    let server = TestServer::start().await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let page = |url: &str| Some(PageView { url: Personal::new(url.to_owned()), title: None });
    for name in ["Ada", "", "Ada 4111 1111 1111 1111"] {
        let conversation = new_conversation();
        for url in ["https://shop.example/a", "https://shop.example/b"] {
            let again = open(&mut visitor, conversation, (name, None, page(url))).await;
            assert_eq!(again, Ok(()), "the page is that of the moment");
        }
        if name.contains("4111") {
            continue;
        }
        let other = open(&mut visitor, conversation, ("Bob", None, None)).await.unwrap_err();
        assert_eq!(other.0, RejectCode::Conflict);
        assert!(other.1.contains("`name`") && !other.1.contains("Bob"), "{}", other.1);
        let hash = "ab".repeat(32);
        let other = open(&mut visitor, conversation, (name, Some(&hash), None)).await.unwrap_err();
        assert_eq!((other.0, other.1.contains("notice")), (RejectCode::Conflict, true));
    }
    server.stop().await;
}

/// As the widget does on a site without a notice: it sends the hash that it was told.
#[tokio::test(flavor = "multi_thread")]
async fn the_hash_of_no_notice_is_no_other_notice() {
    let server = TestServer::start().await;
    let widget = format!("/v1/widget/{}", server.site_key);
    let widget = http::get(server.address, &widget, &[]).await.json();
    let hash = widget["notice"]["hash"].as_str().unwrap();
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    for notices in [[Some(hash), Some(hash)], [Some(hash), None], [None, Some(hash)]] {
        let conversation = new_conversation();
        for notice in notices {
            let began = open(&mut visitor, conversation, ("Ada", notice, None)).await;
            assert_eq!(began, Ok(()), "{notices:?}");
        }
    }
    server.stop().await;
}

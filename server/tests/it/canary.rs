//! One long story at the most talkative log level: no word, name or address of it stands in a log
//! line, a metric or an error, and none stands unsealed in a file.

use std::path::Path;

use livehelp::store::FieldRule;
use protocol::codec::Encoding;
use protocol::conversation::{FormAnswer, PageView, Role};
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::ids::ConversationId;
use protocol::limits::List;
use protocol::message::{Body, Seq, Visibility};
use protocol::personal::{Personal, Text};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use crate::client::{Client, new_conversation, new_message};
use crate::http::{self, Answer};
use crate::process::{AGENTS, Process};
use crate::server::{COOKIES, SHOP, Site, furnish_as};

/// Begins every word of this story that is about somebody or that somebody wrote.
const CANARY: &str = "canary";

fn holds_a_canary(bytes: &[u8]) -> bool {
    let lower = bytes.to_ascii_lowercase();
    lower.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
}

fn form() -> Vec<FormAnswer> {
    let field = |field: &str, answer: &str| FormAnswer {
        field: field.to_owned(),
        answer: Personal::new(answer.to_owned()),
    };
    vec![
        field("name", "Canaryname Canaryfamily"),
        field("email", "canarymail@example.test"),
        field("canaryfield", "canaryanswer"),
    ]
}

fn page() -> PageView {
    PageView {
        url: Personal::new("https://shop.example/canarypage?canaryquery=1".to_owned()),
        title: Some(Personal::new("canarytitle".to_owned())),
    }
}

async fn open(visitor: &mut Client) -> ConversationId {
    let (conversation, request) = (new_conversation(), visitor.next_request());
    let page = Some(page());
    let open =
        ClientFrame::Open { request, conversation, form: List::new(form()), notice: None, page };
    visitor.tell(&open).await;
    visitor.acked(request).await;
    conversation
}

/// Everything that goes well on the wire: form, words, typing, note, draft, transfer, close, and a
/// message that is left while nobody is there.
async fn talk(server: &Site) -> (ConversationId, String) {
    let mut agent = Client::agent(server, 0).await;
    agent.available().await;
    let mut visitor = Client::visitor(server, None, vec![]).await;
    let conversation = open(&mut visitor).await;
    agent.accept(conversation).await;
    visitor.say(conversation, "canarytext, and my card is 4111 1111 1111 1111").await;
    visitor.tell(&ClientFrame::Typing { conversation, typing: true }).await;
    visitor.tell(&ClientFrame::Page { page: page() }).await;
    let request = agent.next_request();
    let (message, body) = (new_message(), Body::Text(Text::new("canarynote")));
    let (seen_seq, visibility) = (Seq(0), Some(Visibility::Agents));
    agent
        .tell(&ClientFrame::Send { request, conversation, message, seen_seq, body, visibility })
        .await;
    agent.acked(request).await;
    let request = agent.next_request();
    let text = Text::new("canarydraft");
    agent.tell(&ClientFrame::Draft { request, conversation, text }).await;
    agent.acked(request).await;
    agent.say(conversation, "canaryanswer").await;
    let mut taker = Client::agent(server, 1).await;
    taker.available().await;
    agent.transfer(conversation, AGENTS[1]).await;
    taker.accept(conversation).await;
    let request = taker.next_request();
    taker.tell(&ClientFrame::Close { request, conversation }).await;
    taker.acked(request).await;
    drop((agent, taker));
    let left = open(&mut visitor).await;
    visitor.say(left, "canaryleft").await;
    (conversation, visitor.token.unwrap())
}

/// Everything that is refused on the wire.
async fn stumble(server: &Site, conversation: ConversationId) {
    let mut visitor = Client::visitor(server, None, vec![]).await;
    let request = visitor.next_request();
    visitor.send(request, conversation, new_message(), "canaryintruder").await;
    let words = visitor
        .until(|frame| match frame {
            ServerFrame::Reject { words, .. } => Some(words.clone()),
            _ => None,
        })
        .await;
    assert!(!holds_a_canary(words.as_bytes()), "{words}");
    let bad: [&str; 4] = [
        r#"["send",1,"canaryid","canarytext"]"#,
        r#"["canarykind",1,"canarytext"]"#,
        r#"{"canary":"#,
        r#"["open",1,"cnv_canary",[["name","canaryname"]]]"#,
    ];
    for text in bad {
        let mut client = Client::connect_as(server, Encoding::Json, &[("origin", SHOP)]).await;
        client.greet_as_visitor(server.site_key.clone(), None, vec![]).await;
        client.tell_raw(WsMessage::text(text)).await;
        let before = client.raw().len();
        let came = client.next().await;
        if came.is_ok() {
            let raw = client.raw();
            assert!(!holds_a_canary(&raw.as_bytes()[before..]), "{raw}");
        }
    }
    let mut client = Client::connect(server, &[("origin", "https://canary.example")]).await;
    client.tell_raw(WsMessage::binary(b"\x93\x01canarybytes".to_vec())).await;
    client.closed().await;
}

async fn rest(server: &Site, conversation: ConversationId) {
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let origin = format!("http://{}", server.address);
    let headers = [
        ("cookie", cookie.as_str()),
        ("origin", origin.as_str()),
        ("user-agent", "canaryagent/1.0"),
    ];
    let ask = async |method: &str, path: &str, body: &str| -> Answer {
        http::ask(server.address, method, path, &headers, body).await
    };
    let messages = format!("/v1/conversations/{conversation}/messages");
    for path in [
        "/v1/conversations".to_owned(),
        format!("/v1/conversations/{conversation}"),
        messages.clone(),
        format!("/v1/conversations/{conversation}/transcript?notes=true"),
        "/v1/visitors".to_owned(),
        "/v1/agents".to_owned(),
    ] {
        let answer = ask("GET", &path, "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(holds_a_canary(answer.body.as_bytes()), "{path} shows what was said");
    }
    let invited = json!({ "email": "canaryinvited@example.test", "role": "agent" }).to_string();
    assert_eq!(ask("POST", "/v1/invitations", &invited).await.status, 201);
    let login = json!({ "email": "canarylogin@example.test", "password": "canarypassword" });
    let refused = [
        ask("POST", "/v1/sessions", &login.to_string()).await,
        ask("POST", "/v1/sessions", r#"{"email":"canary","canary":1}"#).await,
        ask("POST", "/v1/invitations", &invited.replace("agent", "canaryrole")).await,
        ask("POST", "/v1/invitations/lookup", r#"{"token":"canarytoken"}"#).await,
        ask("POST", &messages, r#"{"text":"canarytext","visibility":"canary"}"#).await,
        ask("POST", &messages, r#"{"text":"canarytext"}"#).await,
        ask("POST", &messages, r#"{"text":"canary"#).await,
        ask("GET", "/v1/canarypath?canary=canary", "").await,
        ask("GET", "/v1/conversations?cursor=canary", "").await,
        ask("GET", "/v1/visitors/vis_canary", "").await,
        http::get(server.address, "/v1/agents", &[("cookie", "livehelp_session=canary")]).await,
        http::get(server.admin, "/v1/tenants", &[("authorization", "Bearer lho_canary")]).await,
    ];
    for answer in refused {
        assert!(answer.status >= 400, "{}", answer.body);
        assert!(!holds_a_canary(answer.body.as_bytes()), "{}", answer.body);
    }
}

fn search(folder: &Path, searched: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, searched);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        *searched += bytes.len();
        assert!(!holds_a_canary(&bytes), "a word of a person is in {}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_person_is_in_a_log_a_metric_an_error_or_a_file() {
    let folder = TempDir::new().unwrap();
    furnish_as(folder.path(), |setup| {
        setup.role = Role::Admin;
        setup.person = String::from("Canaryperson");
        setup.settings.form.insert(String::from("email"), FieldRule::Optional);
    })
    .await;
    let process = Process::start_as(folder.path(), |command| {
        command.args(["--log-level", "trace"]);
    });
    let (conversation, token) = talk(&process).await;
    stumble(&process, conversation).await;
    rest(&process, conversation).await;
    let metrics = http::get(process.admin, "/metrics", &[]).await.body;
    assert!(
        metrics.contains("livehelp_messages_received_total") && !holds_a_canary(metrics.as_bytes())
    );
    // What the client said beside its language went no further than its hello.
    assert!(holds_a_canary(b"en-GB-x-canarylocale"));
    let data = Connection::open(folder.path().join("data/livehelp.sqlite")).unwrap();
    for table in ["visitors", "conversations"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE locale <> 'en-GB'");
        let other: u64 = data.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(other, 0, "{table}");
    }
    drop(data);
    // The log of the database is still full of it.
    let mut searched = 0;
    search(folder.path(), &mut searched);
    assert!(folder.path().join("data/livehelp.sqlite-wal").metadata().unwrap().len() > 0);
    let log = process.log();
    assert_eq!(process.stop(), Some(0));
    search(folder.path(), &mut searched);
    assert!(searched > 100_000, "{searched} bytes");
    // It did talk, and not about secrets either. A random id may hold four digits of the card by
    // chance, not eight.
    assert!(log.lines().count() > 50 && log.contains("\"level\":\"TRACE\""), "{log}");
    for secret in [token.as_str(), COOKIES[0], "4111 1111", "41111111", SHOP] {
        assert!(!log.contains(secret), "the log names {secret}");
    }
}

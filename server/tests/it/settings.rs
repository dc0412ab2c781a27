//! Settings of people's comings and goings: each is obeyed.

use protocol::frame::{ClientFrame, ServerFrame};
use protocol::limits::List;
use serde_json::json;
use tempfile::TempDir;

use crate::client::{Client, new_conversation};
use crate::command::{PASSWORD, Serving, done, init, livehelp};
use crate::http::{self, Answer};
use crate::metrics::Scrape;
use crate::server::{SHOP, TestServer, now_ms};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

async fn login(serving: &Serving, email: &str, password: &str) -> Answer {
    let address = serving.address("public").parse().unwrap();
    let origin = format!("http://{address}");
    let body = json!({ "email": email, "password": password }).to_string();
    http::ask(address, "POST", "/v1/sessions", &[("origin", &origin)], &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_sessions_and_logins_are_what_the_settings_say() {
    let folder = TempDir::new().unwrap();
    init(folder.path(), &["--agent-capacity", "2"]);
    let serving = Serving::start(
        folder.path(),
        &["--session-days", "3", "--logins-per-account-max", "2", "--login-window-ms", "600000"],
    );
    let before = now_ms();
    let answer = login(&serving, "admin@example.test", PASSWORD).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert!(answer.head.contains("Max-Age=259200;"), "{}", answer.head);
    let session = answer.json();
    assert_eq!(session["agent"]["capacity"], 2);
    let life_ms = session["expires_at"].as_u64().unwrap() - before;
    assert!((3 * DAY_MS..3 * DAY_MS + 60_000).contains(&life_ms), "{life_ms}");
    for _ in 0..2 {
        let refused = login(&serving, "admin@example.test", "not his password").await;
        assert_eq!((refused.status, refused.json()["code"].as_str()), (401, Some("login-refused")));
    }
    let waits = login(&serving, "admin@example.test", PASSWORD).await;
    assert_eq!((waits.status, waits.json()["code"].as_str()), (429, Some("too-fast")));
    let after = waits.head.lines().find_map(|line| line.strip_prefix("retry-after: "));
    assert!((1..=600).contains(&after.unwrap().parse::<u64>().unwrap()));
    let scrape = Scrape::of(serving.address("admin").parse().unwrap()).await;
    assert_eq!(scrape.value(r#"rate_limited_total{scope="logins"}"#), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_signs_in_wrongly_so_often_and_no_more() {
    let folder = TempDir::new().unwrap();
    init(folder.path(), &[]);
    let serving = Serving::start(folder.path(), &["--logins-per-ip-max", "3"]);
    for number in 0..3 {
        let refused = login(&serving, &format!("nobody{number}@example.test"), "guessed").await;
        assert_eq!(refused.status, 401);
    }
    assert_eq!(login(&serving, "another@example.test", "guessed").await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_is_known_again_for_as_long_as_the_setting_says() {
    let server = TestServer::start_with(|config| config.visitor_token_days = 2).await;
    let mut client = Client::connect(&server, &[("origin", SHOP)]).await;
    let before = now_ms();
    client
        .tell(&ClientFrame::Hello {
            request: protocol::frame::RequestId(1),
            role: protocol::frame::ClientRole::Visitor,
            client: String::from("test/1"),
            locale: String::from("en"),
            resume: List::default(),
            site: Some(server.site_key.clone()),
            token: None,
            signals: None,
        })
        .await;
    let ends = client
        .until(|frame| match frame {
            ServerFrame::Welcome { token_expires_at, .. } => *token_expires_at,
            _ => None,
        })
        .await;
    assert!((2 * DAY_MS..2 * DAY_MS + 60_000).contains(&(ends.0 - before)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_opens_so_many_conversations_in_an_hour() {
    let server = TestServer::start_with(|config| config.conversations_per_ip_hour_max = 2).await;
    let mut first = Client::visitor(&server, None, vec![]).await;
    let kept = first.open().await;
    Client::visitor(&server, None, vec![]).await.open().await;
    let mut third = Client::visitor(&server, None, vec![]).await;
    let request = third.next_request();
    let (conversation, form) = (new_conversation(), List::default());
    third.tell(&ClientFrame::Open { request, conversation, form, notice: None, page: None }).await;
    let wait_ms = third
        .until(|frame| match frame {
            ServerFrame::Reject { code, retry_after_ms, .. } => {
                assert_eq!(code.word(), "too-fast");
                *retry_after_ms
            }
            _ => None,
        })
        .await;
    assert!(wait_ms > 3_000_000, "{wait_ms}");
    // What is open already is the same conversation, however often it is asked for.
    let request = first.next_request();
    let form = List::default();
    let again = ClientFrame::Open { request, conversation: kept, form, notice: None, page: None };
    first.tell(&again).await;
    first.acked(request).await;
    server.stop().await;
}

/// Nor one that has not said who it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_socket_delays_no_stop() {
    let server = TestServer::start_with(|config| config.hello_timeout_ms = 600_000).await;
    let mut silent = Client::connect(&server, &[]).await;
    let stopping = livehelp::tasks::spawn("stop", server.stop());
    assert_eq!(silent.closed().await, 4100);
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_clients_are_told_to_come_back_when_a_restart_is_done_and_not_when_a_drain_could_be()
{
    let server = TestServer::start_with(|config| config.drain_ms = 20_000).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(Client::visitor(&server, None, vec![]).await);
    }
    let stopping = livehelp::tasks::spawn("stop", server.stop());
    for client in &mut clients {
        let back_ms = client
            .until(|frame| match frame {
                ServerFrame::Bye { retry_after_ms } => Some(*retry_after_ms),
                _ => None,
            })
            .await;
        assert!((1..=1_000).contains(&back_ms), "{back_ms}");
        assert_eq!(client.closed().await, 4100);
    }
    stopping.await.unwrap();
}

/// What Kubernetes tells a container beside a Service called `livehelp`, and the harness's own.
const OF_OTHERS: [(&str, &str); 8] = [
    ("LIVEHELP_SERVICE_HOST", "10.0.0.1"),
    ("LIVEHELP_SERVICE_PORT", "8080"),
    ("LIVEHELP_SERVICE_PORT_HTTP", "8080"),
    ("LIVEHELP_PORT", "tcp://10.0.0.1:8080"),
    ("LIVEHELP_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
    ("LIVEHELP_PORT_8080_TCP_PORT", "8080"),
    ("LIVEHELP_LISTEN_PORT", "tcp://10.0.0.2:80"),
    ("LIVEHELP_LOAD_SECRET", "between us"),
];

#[test]
fn variables_of_others_are_told_once_and_stop_no_command() {
    let folder = TempDir::new().unwrap();
    init(folder.path(), &[]);
    for line in [&["check"][..], &["serve", "--print-config"], &["repair"], &["keys", "rotate"]] {
        let (_, plain, _) = done(livehelp(folder.path(), line));
        let mut command = livehelp(folder.path(), line);
        command.envs(OF_OTHERS);
        let (code, out, err) = done(command);
        assert_eq!((code, out), (0, plain), "{line:?}: {err}");
        let warnings: Vec<&str> =
            err.lines().filter(|line| line.starts_with("livehelp: warning: ")).collect();
        assert_eq!(warnings.len(), 2, "{err}");
        for (name, value) in OF_OTHERS {
            let told = warnings.iter().filter(|line| line.contains(name)).count();
            assert!(told >= 1, "{name}: {err}");
            // A port stands in a name as well.
            assert!(value == "8080" || !err.contains(value), "{name}: {err}");
        }
        assert!(warnings[0].contains("Kubernetes"), "{err}");
    }
    let mut command = livehelp(folder.path(), &["version"]);
    command.envs(OF_OTHERS).env("LIVEHELP_LISEN", "x");
    assert_eq!(done(command).2, "", "it reads no settings");
}

#[test]
fn a_variable_that_is_nearly_a_setting_is_refused_with_the_setting() {
    let folder = TempDir::new().unwrap();
    for (name, setting) in [
        ("LIVEHELP_LISEN", "listen"),
        ("LIVEHELP_DATA_DIR", "data"),
        ("LIVEHELP_LISTEN_PORT", "listen"),
        ("LIVEHELP_ADMIN_LISTNE", "admin_listen"),
    ] {
        let mut command = livehelp(folder.path(), &["check"]);
        command.env(name, "8080").envs([OF_OTHERS[0]]);
        let (code, out, err) = done(command);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(name) && err.contains(&format!("did you mean `{setting}`?")), "{err}");
        let variable = format!("LIVEHELP_{}", setting.to_uppercase());
        assert!(err.contains(&format!("Its variable is {variable}")), "{err}");
    }
}

#[test]
fn a_servers_log_tells_of_variables_of_others_as_a_line_of_its_own() {
    let folder = TempDir::new().unwrap();
    // A port that is taken: it ends by itself.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = livehelp(folder.path(), &["serve", "--listen", &address]);
    command.envs(OF_OTHERS);
    let (code, _, err) = done(command);
    assert_eq!(code, 1, "{err}");
    let lines: Vec<serde_json::Value> =
        err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let warned = lines.iter().filter(|line| {
        line["level"] == "WARN" && line["reason"].as_str().is_some_and(|r| r.contains("LIVEHELP_"))
    });
    assert_eq!(warned.count(), 2, "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_from_standard_input_opens_the_account() {
    use std::io::Write as _;
    let folder = TempDir::new().unwrap();
    let mut command = livehelp(folder.path(), &["init", "--tenant-name", "Demo"]);
    command.args(["--site-name", "Shop", "--origin", "https://shop.example"]);
    command.args(["--admin-email", "admin@example.test", "--admin-password-file", "-"]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let serving = Serving::start(folder.path(), &[]);
    assert_eq!(login(&serving, "admin@example.test", PASSWORD).await.status, 201);
}

//! The server as its operator has it: what it tells, what a reload changes, how it starts and
//! stops.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use protocol::frame::ServerFrame;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::Owned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::client::Client;
use crate::command::{PASSWORD, done, init, livehelp};
use crate::http::{self, Answer};
use crate::metrics::Scrape;
use crate::process::{change, serve};
use crate::server::{COOKIES, Site, TestServer, furnish};

/// A server as a process whose log is read and that gets signals.
struct Running {
    child: Owned,
    site: Site,
    log: PathBuf,
}

impl Deref for Running {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Running {
    fn start(folder: &Path, set: impl FnOnce(&mut Command)) -> Self {
        let log = folder.join("operations.log");
        let mut command = serve(folder);
        set(&mut command);
        let testkit::Process { child, ready, .. } =
            testkit::Process::spawn(&mut command, &log).unwrap();
        Self { child, site: Site::of(&ready), log }
    }

    fn signal(&self, signal: Signal) {
        self.child.signal(signal).unwrap();
    }

    /// SIGTERM; its exit code.
    fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.child.wait().unwrap().code()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Whole log lines with this message.
    fn lines(&self, message: &str) -> Vec<Value> {
        let text = self.text();
        let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        whole.filter(|line| line["message"] == message).collect()
    }

    /// Waits until a line of this message is as the test wants it.
    async fn line(&self, message: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..400 {
            if let Some(line) = self.lines(message).into_iter().find(|line| wanted(line)) {
                return line;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no line `{message}`: {}", self.text());
    }
}

/// Gives the command another grace than the tests have.
fn grace(command: &mut Command, ms: &str) {
    change(command, "--drain-grace-ms", Path::new(ms));
}

fn field(answer: &Answer, name: &str) -> String {
    let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, text)| text);
    found.collect::<Vec<_>>().join(" and ")
}

fn is_fresh(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|sign| sign.is_ascii_hexdigit())
}

async fn sign_in(server: &Site, password: &str, headers: &[(&str, &str)]) -> Answer {
    let origin = format!("http://{}", server.address);
    let body = json!({ "email": "admin@example.test", "password": password }).to_string();
    let headers = [&[("origin", origin.as_str())], headers].concat();
    http::ask(server.address, "POST", "/v1/sessions", &headers, &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_names_its_request_as_the_log_and_the_problem_do() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let server = Running::start(folder.path(), |command| {
        command.args(["--access-log", "--trusted-proxies", "127.0.0.1"]);
    });
    let given = [("x-request-id", "Root=1-ab_c"), ("x-forwarded-for", "203.0.113.77")];
    let answer = http::get(server.address, "/v1/nothing?word=canary", &given).await;
    assert_eq!((answer.status, field(&answer, "x-request-id")), (404, "Root=1-ab_c".into()));
    assert_eq!(answer.json()["request_id"], "Root=1-ab_c");
    let line = server.line("request", |line| line["request_id"] == "Root=1-ab_c").await;
    assert_eq!(
        (&line["method"], &line["route"], &line["status"]),
        (&json!("GET"), &json!("unmatched"), &json!(404))
    );
    assert_eq!(
        (&line["network"], &line["bytes"]),
        (&json!("203.0.113.0/24"), &json!(answer.body.len()))
    );
    assert!(line["duration_ms"].is_u64() && line["timestamp"].is_string(), "{line}");
    // What would have to be quoted, and what stands there twice, is nobody's.
    for odd in [&[("x-request-id", "a b")][..], &[("x-request-id", "a"), ("x-request-id", "b")]] {
        let answer = http::get(server.address, "/console/", odd).await;
        assert!(is_fresh(&field(&answer, "x-request-id")), "{}", answer.head);
    }
    // An act runs in a task of its own.
    let refused = sign_in(&server, "guessed", &[("x-request-id", "an-act")]).await;
    assert_eq!((refused.status, refused.json()["request_id"].as_str()), (401, Some("an-act")));
    server.line("sign-in failed", |line| line["request_id"] == "an-act").await;
    // The listener's own refusals, and the admin listener.
    let large = [("content-length", "99999999"), ("x-request-id", "a-large-one")];
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let head = large.map(|(name, text)| format!("{name}: {text}\r\n")).concat();
    let words = format!("POST /v1/sessions HTTP/1.1\r\nhost: a\r\n{head}\r\n");
    stream.write_all(words.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(r#""request_id":"a-large-one""#), "{answer}");
    assert!(is_fresh(&field(&http::get(server.admin, "/livez", &[]).await, "x-request-id")));
    assert!(!server.text().contains("canary") && !server.text().contains("203.0.113.77"));
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_read_as_a_request_has_an_id_and_a_line_too() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let server = Running::start(folder.path(), |command| {
        command.args(["--access-log", "--handshakes-per-ip-max", "1"]);
    });
    let mut silent = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let mut turned_away = String::new();
    stream.read_to_string(&mut turned_away).await.unwrap();
    silent.write_all(b"canary\r\n\r\n").await.unwrap();
    let mut unread = String::new();
    silent.read_to_string(&mut unread).await.unwrap();
    for (answer, status) in [(turned_away, 503), (unread, 400)] {
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let problem: Value = serde_json::from_str(body).unwrap();
        let id = problem["request_id"].as_str().unwrap();
        assert!(is_fresh(id) && head.contains(&format!("x-request-id: {id}")), "{answer}");
        let line = server.line("request", |line| line["request_id"] == id).await;
        let told = (&line["status"], &line["route"], &line["method"], &line["network"]);
        let network = json!("127.0.0.0/24");
        assert_eq!(told, (&json!(status), &json!("unmatched"), &json!("other"), &network));
        assert_eq!(line["bytes"], json!(body.len()));
    }
    assert!(!server.text().contains("canary"));
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_has_a_line_at_its_end_and_nothing_has_one_unasked() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let quiet = Running::start(folder.path(), |_| {});
    let untrusted = http::get(quiet.address, "/v1/nothing", &[("x-request-id", "mine")]).await;
    assert!(is_fresh(&field(&untrusted, "x-request-id")), "nobody trusts this peer");
    drop(Client::visitor(&quiet, None, vec![]).await);
    assert!(quiet.lines("request").is_empty() && quiet.lines("socket ended").is_empty());
    assert_eq!(quiet.stop(), Some(0));
    // Whatever the level.
    let server = Running::start(folder.path(), |command| {
        command.args(["--access-log", "--log-level", "error"]);
    });
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    visitor.say(conversation, "a canary in a line").await;
    drop(visitor);
    let line = server.line("socket ended", |_| true).await;
    let began = server.line("request", |began| began["status"] == 101).await;
    assert_eq!(line["request_id"], began["request_id"]);
    assert_eq!((&line["route"], &line["network"]), (&json!("/v1/socket"), &json!("127.0.0.0/24")));
    assert!(
        line["connection_id"].is_string() && line["bytes_received"].as_u64() > Some(50),
        "{line}"
    );
    assert!(!server.text().contains("canary"));
    server.stop();
}

/// What fail2ban does with a line: the expression, with an address in the place of its tag. Of a
/// file's line the date is taken out first; the journal's has another date beside it, and host and
/// unit before it.
fn banned(line: &str, journal: bool) -> Option<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/fail2ban/filter.d/livehelp.conf");
    let filter = std::fs::read_to_string(path).unwrap();
    let setting = |name: &str| {
        let line = filter.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    assert_eq!(setting("datepattern"), r#""timestamp":"%%Y-%%m-%%dT%%H:%%M:%%S\.%%f%%z"#);
    let date = regex(r#""timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"#);
    let (_, at, end) = found(&date, line, 0)?;
    let rest = match journal {
        true => format!(" host livehelp[1]: {line}"),
        false => format!("{}{}", line.get(..at)?, line.get(end..)?),
    };
    let expression = setting("failregex").replace("<ADDR>", r"([0-9a-fA-F:.]+)");
    let (address, ..) = found(&regex(&expression), &rest, 1)?;
    Some(address)
}

fn regex(expression: &str) -> regex_automata::meta::Regex {
    regex_automata::meta::Regex::new(expression).unwrap()
}

fn found(
    regex: &regex_automata::meta::Regex,
    text: &str,
    group: usize,
) -> Option<(String, usize, usize)> {
    let mut captures = regex.create_captures();
    regex.captures(text, &mut captures);
    let span = captures.get_group(group)?;
    Some((text.get(span.start..span.end)?.to_owned(), span.start, span.end))
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_are_told_so_that_fail2ban_bars_whoever_guesses_and_nobody_else() {
    let folder = TempDir::new().unwrap();
    init(folder.path(), &[]);
    let server = Running::start(folder.path(), |command| {
        command.args(["--trusted-proxies", "127.0.0.1", "--logins-per-account-max", "1"]);
        command.args(["--log-sign-in-addresses"]);
    });
    let from = |address| [("x-forwarded-for", address)];
    assert_eq!(sign_in(&server, PASSWORD, &from("198.51.100.1")).await.status, 201);
    // A stranger's words cannot make a line look like another's.
    let forged = r#"x","address":"192.0.2.1"#;
    let guess =
        [("x-forwarded-for", "203.0.113.9"), ("user-agent", forged), ("x-request-id", forged)];
    assert_eq!(sign_in(&server, "guessed", &guess).await.status, 401);
    assert_eq!(sign_in(&server, "guessed", &guess).await.status, 429);
    assert_eq!(sign_in(&server, "guessed", &from("2001:db8::7")).await.status, 401);
    let signed_in = server.line("sign-in", |_| true).await;
    assert_eq!(signed_in["address"], "198.51.100.1");
    assert!(signed_in["agent_id"].is_string() && signed_in["tenant_id"].is_string());
    server.line("sign-in failed", |line| line["address"] == "2001:db8::7").await;
    let reasons: Vec<_> = server.lines("sign-in failed");
    let reasons: Vec<_> = reasons.iter().map(|line| line["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["refused", "too-fast", "refused"]);
    for journal in [false, true] {
        let text = server.text();
        let barred: Vec<_> = text.lines().filter_map(|line| banned(line, journal)).collect();
        assert_eq!(barred, ["203.0.113.9", "203.0.113.9", "2001:db8::7"], "journal: {journal}");
    }
    assert!(!server.text().contains("admin@example.test") && !server.text().contains("guessed"));
    server.stop();
    // Nobody asked for it: then no line has one, and a ban is not to be had.
    std::fs::remove_file(folder.path().join("operations.log")).unwrap();
    let silent = Running::start(folder.path(), |command| {
        command.args(["--trusted-proxies", "127.0.0.1"]);
    });
    sign_in(&silent, "guessed", &from("203.0.113.9")).await;
    let line = silent.line("sign-in failed", |_| true).await;
    assert_eq!(line["address"], Value::Null);
    assert!(
        !silent.text().contains("203.0.113")
            && silent.text().lines().all(|line| banned(line, true).is_none())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_says_what_starts_and_on_empty_folders_what_to_do() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), |_| {});
    let line = server.line("livehelp serves", |_| true).await;
    assert_eq!(
        (&line["version"], &line["bus"]),
        (&json!(env!("CARGO_PKG_VERSION")), &json!("memory"))
    );
    assert_eq!(line["data"], json!(folder.path().join("data")));
    assert_eq!(line["address"], json!(server.address.to_string()));
    assert!(line["commit"].is_string() && line["connections_max"].as_u64() > Some(0), "{line}");
    assert!(server.text().contains("`livehelp init`"), "{}", server.text());
    assert_eq!(server.stop(), Some(0));
    // What it says is what works.
    init(folder.path(), &[]);
    std::fs::remove_file(folder.path().join("operations.log")).unwrap();
    let server = Running::start(folder.path(), |_| {});
    server.line("livehelp serves", |_| true).await;
    assert!(!server.text().contains("livehelp init"), "{}", server.text());
    server.stop();
    // A store in memory lends its key.
    let memory = Running::start(folder.path(), |command| {
        command.args(["--store", "memory"]);
    });
    let words = "there is no Organization yet: make one with `livehelp operator tenants create`; the operator's key lies at this path";
    let line = memory.line(words, |_| true).await;
    assert_eq!(line["path"], json!(folder.path().join("keys").join("operator-key")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_puts_in_force_what_may_change_and_names_the_rest() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let file = folder.path().join("livehelp.toml");
    std::fs::write(&file, "log_level = \"info\"\n").unwrap();
    let server = Running::start(folder.path(), |command| {
        command.arg("--config").arg(&file);
    });
    let widget = format!("/v1/widget/{}", server.site_key);
    for _ in 0..3 {
        assert_eq!(http::get(server.address, &widget, &[]).await.status, 200);
    }
    let success = "config_last_reload_success";
    assert!(
        Scrape::of(server.admin).await.value(success) == 1.0 && server.lines("request").is_empty()
    );
    std::fs::write(
        &file,
        "access_log = true\noffer_ms = 2000\nbody_bytes_max = 2048\n\
         address_requests_per_minute = 1\naddress_requests_burst = 2\n",
    )
    .unwrap();
    server.signal(Signal::HUP);
    server.line("settings and certificate were read again", |line| line["count"] == 4).await;
    server.line("the new value takes a restart", |line| line["setting"] == "offer_ms").await;
    let in_force = server.lines("the new value is in force");
    assert!(in_force.iter().all(|line| line["setting"] != "offer_ms") && in_force.len() == 4);
    for _ in 0..2 {
        assert_eq!(http::get(server.address, &widget, &[]).await.status, 200);
    }
    let answers = [
        http::get(server.address, &widget, &[]).await.status,
        http::ask(server.address, "POST", "/v1/sessions", &[], &"x".repeat(3_000)).await.status,
    ];
    assert_eq!(answers, [429, 413]);
    server.line("request", |line| line["status"] == 429).await;
    // A file that is wrong changes nothing, not even by what is right in it.
    std::fs::write(&file, "access_log = false\npong_ms = \"never\"\nbus = \"x://u:hunter2@h\"")
        .unwrap();
    server.signal(Signal::HUP);
    let words = "settings and certificate are not reloaded: all stays as it was";
    let refused = server.line(words, |_| true).await;
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("`pong_ms`") && error.contains("`bus`") && !error.contains("hunter2"));
    Scrape::until(server.admin, |scrape| scrape.value(success) == 0.0).await;
    let before = server.lines("request").len();
    http::get(server.address, "/v1/nothing", &[]).await;
    server.line("request", |_| server.lines("request").len() > before).await;
    // And once it is right again.
    std::fs::write(&file, "log_level = \"error\"").unwrap();
    server.signal(Signal::HUP);
    Scrape::until(server.admin, |scrape| scrape.value(success) == 1.0).await;
    assert_eq!(http::get(server.address, &widget, &[]).await.status, 200);
    let before = server.lines("request").len();
    sign_in(&server, "guessed", &[]).await;
    assert_eq!(server.lines("request").len(), before);
    assert!(server.lines("sign-in failed").is_empty(), "the level");
    assert_eq!(server.stop(), Some(0));
}

/// What a reload reaches beside requests and logs.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reaches_newcomers_sockets_traces_the_drain_and_the_limits_that_are_told() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let file = folder.path().join("livehelp.toml");
    std::fs::write(&file, "traces_per_mille = 0\n").unwrap();
    let (mut collector, endpoint) = Collector::bind().await;
    let server = Running::start(folder.path(), |command| {
        grace(command, "3000");
        command.arg("--config").arg(&file).args(["--traces-endpoint", &endpoint]);
    });
    let words = "traces_per_mille = 1000\nheartbeat_agent_ms = 12000\nbody_bytes_max = 2048\n\
                 drain_grace = \"always\"\n";
    std::fs::write(&file, words).unwrap();
    server.signal(Signal::HUP);
    server.line("settings and certificate were read again", |line| line["count"] == 4).await;
    let told = Scrape::of(server.admin).await.value(r#"limit{name="body_bytes"}"#);
    assert_eq!(told, 2_048.0);
    let origin = format!("http://{}", server.address);
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let mut agent = Client::connect(&server, &[("origin", &origin), ("cookie", &cookie)]).await;
    agent.greet_as_agent().await;
    let heartbeat_ms = agent.until(|frame| match frame {
        ServerFrame::Welcome { heartbeat_ms, .. } => Some(*heartbeat_ms),
        _ => None,
    });
    assert_eq!(heartbeat_ms.await, 12_000);
    collector.span(|span| span["name"] == "handshake").await;
    server.signal(Signal::TERM);
    server.line("draining", |_| true).await;
    let widget = format!("/v1/widget/{}", server.site_key);
    assert_eq!(http::get(server.address, &widget, &[]).await.status, 200, "newcomers are taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_demo_shop_is_asked_for_is_no_users_request() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    // Free now; whoever takes it meanwhile makes the test fail, not pass.
    let demo = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Running::start(folder.path(), |command| {
        command.args(["--demo", "--demo-listen", &demo.to_string()]);
    });
    http::get(demo, "/", &[]).await;
    let scrape = Scrape::of(server.admin).await;
    let asked = |listener: &str| {
        let of = format!("listener=\"{listener}\"");
        let counts = scrape.0.iter().filter(|(name, _)| {
            name.starts_with("livehelp_http_requests_total{") && name.contains(&of)
        });
        counts.map(|(_, count)| count).sum::<f64>()
    };
    assert_eq!((asked("demo"), asked("public")), (1.0, 0.0));
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_standard_input_said_is_in_force_when_it_can_be_read_no_more() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let input = folder.path().join("bus");
    std::fs::write(&input, "memory\n").unwrap();
    let server = Running::start(folder.path(), |command| {
        command.args(["--bus-file", "-"]).stdin(std::fs::File::open(&input).unwrap());
    });
    server.signal(Signal::HUP);
    server.line("settings and certificate were read again", |line| line["count"] == 0).await;
    assert!(server.lines("the new value takes a restart").is_empty());
    assert_eq!(server.stop(), Some(0));
}

/// What systemd's end of the socket hears, word by word.
struct NotifySocket(UnixDatagram);

impl NotifySocket {
    fn bind(folder: &Path) -> (Self, PathBuf) {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        (Self(socket), path)
    }

    /// The next message that has such a line.
    fn until(&self, wanted: &str) -> String {
        let mut before = String::new();
        let mut bytes = [0; 4_096];
        loop {
            let read = self.0.recv(&mut bytes);
            let read = read.unwrap_or_else(|error| panic!("no {wanted} after {before:?}: {error}"));
            let words = String::from_utf8_lossy(&bytes[..read]).into_owned();
            if words.lines().any(|line| line == wanted) {
                return words;
            }
            before.push_str(&words);
        }
    }
}

#[test]
fn systemd_hears_of_the_whole_life_and_a_hangup_never_ends_it() {
    let folder = TempDir::new().unwrap();
    let (heard, path) = NotifySocket::bind(folder.path());
    let mut command = serve(folder.path());
    grace(&mut command, "1500");
    command.args(["--drain-grace", "always"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
    let log = folder.path().join("operations.log");
    let stderr = std::fs::File::create(&log).unwrap();
    let child = Owned(command.stdout(Stdio::null()).stderr(stderr).spawn().unwrap());
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let site = Site::at(nowhere, nowhere);
    let mut server = Running { child, site, log };
    heard.until("STATUS=Opening data and keys");
    // Before it is ready: kept until it is.
    server.signal(Signal::HUP);
    assert!(heard.until("READY=1").contains("STATUS=Serves on 127.0.0.1:"));
    let reloading = heard.until("RELOADING=1");
    let usec = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let at: f64 = usec.unwrap().parse().unwrap();
    assert!((at / 1e6 - uptime).abs() < 3_600.0, "{at} is of another clock");
    heard.until("READY=1");
    for _ in 0..3 {
        heard.until("WATCHDOG=1");
    }
    server.signal(Signal::TERM);
    assert!(heard.until("STOPPING=1").contains("EXTEND_TIMEOUT_USEC="));
    server.signal(Signal::HUP);
    heard.until("WATCHDOG=1");
    heard.until("STATUS=Closing the store");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert_eq!(server.lines("the server stops: nothing is reloaded").len(), 1, "{}", server.text());
}

/// The bit of SIGHUP among a process's signals.
const HANGUP: u64 = 1;

/// Opens a pipe for its reader to see an end, once there is a reader.
async fn end(pipe: &Path) {
    let now = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    for _ in 0..400 {
        if std::fs::File::options().write(true).custom_flags(now).open(pipe).is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("nobody reads {}", pipe.display());
}

/// The signals that a process catches, as the kernel has them.
fn caught(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
    u64::from_str_radix(mask.trim(), 16).unwrap()
}

/// Its settings file is a pipe that nobody writes: so far it is when it has done next to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_before_the_settings_are_read_is_kept_and_ends_nothing() {
    let folder = TempDir::new().unwrap();
    init(folder.path(), &[]);
    let settings = folder.path().join("livehelp.toml");
    assert!(Command::new("mkfifo").arg(&settings).status().unwrap().success());
    let log = folder.path().join("operations.log");
    let stderr = std::fs::File::create(&log).unwrap();
    let mut command = serve(folder.path());
    command.arg("--config").arg(&settings).stdout(Stdio::piped()).stderr(stderr);
    let mut child = command.spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let site = Site::at(nowhere, nowhere);
    let mut server = Running { child: Owned(child), site, log };
    for _ in 0..400 {
        if caught(server.child.id()) & HANGUP != 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(caught(server.child.id()) & HANGUP != 0, "it would end: {}", server.text());
    for _ in 0..20 {
        server.signal(Signal::HUP);
    }
    end(&settings).await;
    // Its reader has it open; who reads again finds a file.
    std::fs::remove_file(&settings).unwrap();
    std::fs::write(&settings, "log_level = \"info\"\n").unwrap();
    for _ in 0..20 {
        assert!(server.child.try_wait().unwrap().is_none(), "{}", server.text());
        server.signal(Signal::HUP);
    }
    let ready = out.lines().next().expect("a ready line").unwrap();
    assert!(ready.starts_with(r#"{"ready":true"#), "{ready}");
    server.line("settings and certificate were read again", |_| true).await;
    assert_eq!(server.stop(), Some(0));
}

/// Writes a certificate that holds from yesterday for so many hours from now.
fn certificate(folder: &Path, hours: i64) -> i64 {
    let now = time::OffsetDateTime::now_utc();
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    parameters.not_before = now - time::Duration::days(400);
    parameters.not_after = now + time::Duration::hours(hours);
    let key = rcgen::KeyPair::generate().unwrap();
    let issued = parameters.self_signed(&key).unwrap();
    std::fs::write(folder.join("cert.pem"), issued.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    parameters.not_after.unix_timestamp()
}

fn with_tls(command: &mut Command, folder: &Path) {
    command.env("CREDENTIALS_DIRECTORY", folder);
    command.args(["--tls-cert", "${CREDENTIALS_DIRECTORY}/cert.pem"]);
    command.args(["--tls-key", "${CREDENTIALS_DIRECTORY}/key.pem"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_is_said_by_check_at_start_and_in_the_metrics() {
    let folder = TempDir::new().unwrap();
    init(folder.path(), &[]);
    let check = || {
        let mut command = livehelp(folder.path(), &["check"]);
        with_tls(&mut command, folder.path());
        let (code, out, err) = done(command);
        assert_eq!(code, 0, "{err}");
        out
    };
    certificate(folder.path(), 24 * 15);
    assert!(check().contains("certificate: good\n"));
    certificate(folder.path(), -49);
    assert!(check().contains("EXPIRED 2 days ago"), "{}", check());
    let ends = certificate(folder.path(), 24 * 5 + 1);
    assert!(check().contains("ends in 5 days"), "{}", check());
    let server = Running::start(folder.path(), |command| with_tls(command, folder.path()));
    let words = "the certificate ends soon: renew it and put the new files in its place";
    assert_eq!(server.line(words, |_| true).await["days"], 5);
    let metric = "tls_certificate_expiry_timestamp_seconds";
    let seconds = |at: i64| f64::from(u32::try_from(at).unwrap());
    assert_eq!(Scrape::of(server.admin).await.value(metric), seconds(ends));
    // A hangup takes what lies there now, and nothing of what cannot be used.
    std::fs::write(folder.path().join("cert.pem"), "nothing").unwrap();
    server.signal(Signal::HUP);
    let refused = "settings and certificate are not reloaded: all stays as it was";
    let refused = server.line(refused, |_| true).await;
    assert!(refused["error"].as_str().unwrap().contains("tls_cert"), "{refused}");
    assert_eq!(Scrape::of(server.admin).await.value(metric), seconds(ends));
    let ends = certificate(folder.path(), 24 * 90);
    server.signal(Signal::HUP);
    Scrape::until(server.admin, |scrape| scrape.value(metric) == seconds(ends)).await;
    assert_eq!(server.stop(), Some(0));
    // Without TLS there is no such metric: an alert on it means something.
    let plain = Running::start(folder.path(), |_| {});
    let scrape = Scrape::of(plain.admin).await;
    assert!(!scrape.0.contains_key(&format!("livehelp_{metric}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_come_from_files_and_are_shown_nowhere() {
    let folder = TempDir::new().unwrap();
    let bus = "redis://ada:hunter2@127.0.0.1:1/0";
    let shown = livehelp(folder.path(), &["serve", "--print-config", "--bus", bus]);
    let (code, out, err) = done(shown);
    assert!(code == 0 && out.contains("[hidden]@127.0.0.1:1/0"), "{out}{err}");
    assert!(!out.contains("hunter2"), "{out}");
    let word = folder.path().join("word");
    for (arguments, words) in [
        (
            &["check", "--tls-key", "${CREDENTIALS_DIRECTORY}/key"][..],
            "CREDENTIALS_DIRECTORY is not set",
        ),
        (&["check", "--bus-file", "${CREDENTIALS_DIRECTORY}/word"], "CREDENTIALS_DIRECTORY is not"),
        (&["check", "--bus-file", "/nowhere"], "cannot be read"),
        (&["check", "--traces-endpoint", "https://ada:hunter2@c"], "`traces_endpoint`"),
    ] {
        let (code, _, err) = done(livehelp(folder.path(), arguments));
        assert!(code == 2 && err.contains(words) && !err.contains("hunter2"), "{err}");
    }
    // A Redis that only listens hears the password, and nobody else does.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    std::fs::write(&word, format!("redis://ada:hunter2%2F%C3%B6@{address}/0\n")).unwrap();
    let mut command = livehelp(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    command.args(["--admin-listen", "127.0.0.1:0"]);
    command.args(["--bus-file", "${CREDENTIALS_DIRECTORY}/word"]);
    command.env("CREDENTIALS_DIRECTORY", folder.path());
    let serving = tokio::task::spawn_blocking(move || done(command));
    let (mut stream, _) = listener.accept().await.unwrap();
    let (mut heard, mut bytes) = (String::new(), [0; 1_024]);
    while !heard.contains("hunter2/\u{f6}") {
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(read > 0, "the password never came: {heard}");
        heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert!(heard.contains("ada"), "{heard}");
    drop((stream, listener));
    let (code, out, err) = serving.await.unwrap();
    assert!(code == 1 && !out.contains("hunter2") && !err.contains("hunter2"), "{out}{err}");
}

/// As far apart as the setting allows and no farther: the answer is the same for all.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_is_spread_over_as_much_as_the_clients_are_many_or_the_setting_allows() {
    for (drain_ms, back_ms) in [(20_000, 250 + 60), (20, 250 + 20)] {
        let server = TestServer::start_with(|config| config.drain_ms = drain_ms).await;
        let mut clients = Vec::new();
        for _ in 0..60 {
            clients.push(Client::visitor(&server, None, vec![]).await);
        }
        let stopping = livehelp::tasks::spawn("stop", server.stop());
        for client in &mut clients {
            let told = client.until(|frame| match frame {
                ServerFrame::Bye { retry_after_ms } => Some(*retry_after_ms),
                _ => None,
            });
            assert_eq!(told.await, back_ms);
        }
        stopping.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grace_is_for_where_another_node_takes_over_or_the_operator_says_so() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let alone = Running::start(folder.path(), |command| grace(command, "600000"));
    assert_eq!(alone.stop(), Some(0), "it waits for nobody");
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let asked = Running::start(folder.path(), |command| {
        grace(command, "3000");
        command.args(["--drain-grace", "always"]);
    });
    asked.signal(Signal::TERM);
    asked.line("draining", |_| true).await;
    assert_eq!(http::get(asked.admin, "/readyz", &[]).await.status, 503);
    let widget = format!("/v1/widget/{}", asked.site_key);
    assert_eq!(http::get(asked.address, &widget, &[]).await.status, 200, "newcomers are taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_twice_for_the_end_does_not_wait_for_it() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let mut server = Running::start(folder.path(), |command| {
        // Long, and yet the test ends if nobody hears the second signal.
        grace(command, "60000");
        command.args(["--drain-grace", "always"]);
    });
    server.signal(Signal::TERM);
    server.line("draining", |_| true).await;
    server.signal(Signal::INT);
    assert_eq!(server.child.wait().unwrap().code(), Some(130));
    assert_eq!(server.lines("second signal: ends at once").len(), 1);
}

/// `script` gives its child a terminal.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_the_log_is_for_people_and_has_the_request_ids() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let mut command = serve(folder.path());
    command.args(["--access-log", "--trusted-proxies", "127.0.0.1"]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>();
    let mut terminal = Command::new("script")
        .args(["-q", "-e", "-c", &line.join(" "), "/dev/null"])
        .env_remove("LIVEHELP_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = BufReader::new(terminal.stdout.take().unwrap());
    let mut said = String::new();
    let ready: Value = loop {
        let from = said.len();
        assert!(seen.read_line(&mut said).unwrap() > 0, "not ready: {said}");
        if let Some(line) = said.get(from..).filter(|line| line.starts_with("{\"ready\"")) {
            break serde_json::from_str(line).unwrap();
        }
    };
    let public = ready["public"].as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap();
    http::get(public, "/v1/nothing", &[("x-request-id", "seen-by-people")]).await;
    let pid = ready["pid"].to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    seen.read_to_string(&mut said).unwrap();
    assert_eq!(terminal.wait().unwrap().code(), Some(0), "{said}");
    let lines: Vec<_> = said.lines().filter(|line| !line.starts_with('{')).collect();
    assert!(lines.len() > 2 && lines.iter().all(|line| !line.contains("\"level\"")), "{said}");
    let of_request = lines.iter().find(|line| line.contains("request_id=seen-by-people"));
    assert!(of_request.is_some_and(|line| line.contains(" INFO ")), "{said}");
}

/// Takes what is exported until the test has what it waits for.
struct Collector {
    listener: TcpListener,
    spans: Vec<Value>,
    bodies: String,
}

impl Collector {
    async fn bind() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        (Self { listener, spans: Vec::new(), bodies: String::new() }, endpoint)
    }

    async fn take_one(&mut self) {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let (mut text, mut bytes) = (String::new(), vec![0; 65_536]);
        let body = loop {
            let read = stream.read(&mut bytes).await.unwrap();
            assert!(read > 0, "cut off: {text}");
            text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == length.unwrap().parse::<usize>().unwrap() {
                break body.to_owned();
            }
        };
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let export: Value = serde_json::from_str(&body).unwrap();
        let of = &export["resourceSpans"][0];
        assert_eq!(of["resource"]["attributes"][0]["value"]["stringValue"], "livehelp");
        self.spans.extend(of["scopeSpans"][0]["spans"].as_array().unwrap().clone());
        self.bodies.push_str(&body);
    }

    /// Takes exports until one has such a span.
    async fn span(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(span) = self.spans.iter().find(|span| wanted(span)) {
                return span.clone();
            }
            let taking = tokio::time::timeout(Duration::from_secs(30), self.take_one());
            assert!(taking.await.is_ok(), "no such span among {:#?}", self.spans);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_handshakes_and_messages_are_traced_without_a_word_of_what_is_said() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let (mut collector, endpoint) = Collector::bind().await;
    let server = Running::start(folder.path(), |command| {
        command.args(["--traces-endpoint", &endpoint, "--traces-per-mille", "1000"]);
        command.args(["--trusted-proxies", "127.0.0.1"]);
    });
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let widget = format!("/v1/widget/{}", server.site_key);
    let headers = [("traceparent", parent.as_str()), ("x-request-id", "traced")];
    assert_eq!(http::get(server.address, &widget, &headers).await.status, 200);
    let span = collector.span(|span| span["name"] == "GET /v1/widget/{site_key}").await;
    assert_eq!(
        (&span["traceId"], &span["parentSpanId"]),
        (&json!(trace), &json!("00f067aa0ba902b7"))
    );
    let id = json!({ "key": "livehelp.request_id", "value": { "stringValue": "traced" } });
    assert!(span["attributes"].as_array().unwrap().contains(&id), "{span}");
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    visitor.say(conversation, "a canary that sings").await;
    let greeted = collector.span(|span| span["name"] == "handshake").await;
    let upgrade = collector.span(|span| span["name"] == "GET /v1/socket").await;
    assert_eq!(
        (&greeted["traceId"], &greeted["parentSpanId"]),
        (&upgrade["traceId"], &upgrade["spanId"])
    );
    let message = collector.span(|span| span["name"] == "message").await;
    let steps: Vec<_> =
        collector.spans.iter().filter(|s| s["parentSpanId"] == message["spanId"]).collect();
    let names: Vec<_> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["read", "authorise", "place", "fan-out", "store"]);
    let ns = |span: &Value, name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
    let mut at = ns(&message, "startTimeUnixNano");
    for step in steps {
        assert_eq!(ns(step, "startTimeUnixNano"), at, "one after the other");
        at = ns(step, "endTimeUnixNano");
    }
    assert!(at <= ns(&message, "endTimeUnixNano"));
    assert!(!collector.bodies.contains("canary") && !collector.bodies.contains("127.0.0.1"));
    // What waits to be sent when it stops is sent.
    http::get(server.address, "/v1/nothing", &[]).await;
    let stopping = tokio::task::spawn_blocking(move || server.stop());
    collector.span(|span| span["name"] == "GET unmatched").await;
    assert_eq!(stopping.await.unwrap(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_is_not_chosen_only_what_failed_is_sent_and_no_stranger_chooses() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let (mut collector, endpoint) = Collector::bind().await;
    let server = Running::start(folder.path(), |command| {
        command.args(["--traces-endpoint", &endpoint, "--traces-per-mille", "0"]);
    });
    let parent = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    assert_eq!(http::get(server.address, "/v1/nothing", &parent).await.status, 404);
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    assert!(visitor.say(conversation, "stored").await.is_some());
    // Its file is gone: nothing is acked any more.
    let file = folder.path().join("data").join("livehelp.sqlite");
    std::fs::rename(&file, file.with_extension("away")).unwrap();
    for _ in 0..400 {
        if http::get(server.admin, "/readyz", &[]).await.status == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let request = visitor.next_request();
    visitor.send(request, conversation, crate::client::new_message(), "lost").await;
    let code = visitor
        .until(|frame| match frame {
            ServerFrame::Reject { code, .. } => Some(code.word()),
            _ => None,
        })
        .await;
    assert_eq!(code, "store-unavailable");
    let failed = collector.span(|span| span["name"] == "message").await;
    assert_eq!(failed["status"]["code"], 2, "{failed}");
    let others = collector
        .spans
        .iter()
        .filter(|span| span["traceId"] != failed["traceId"] && span["status"]["code"] != 2);
    assert_eq!(others.count(), 0, "{:#?}", collector.spans);
}

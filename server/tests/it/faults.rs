//! A disk that fills up or fails, folders that cannot be used, more than the writer can take: each
//! with its clear word, nothing lost, and the way back.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use protocol::ids::ConversationId;
use protocol::message::{Body, EventKind, Seq};
use protocol::reject::CloseCode;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::client::{Client, new_message};
use crate::disk::Disk;
use crate::http;
use crate::metrics::Scrape;
use crate::process::{Process, change, serve};
use crate::server::{COOKIES, Site, TestServer, furnish};

/// A served folder in which one message was acked.
struct Folders {
    folder: TempDir,
    token: Option<String>,
    conversation: ConversationId,
}

impl Folders {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        furnish(folder.path()).await;
        let process = Process::start(folder.path());
        let mut visitor = Client::visitor(&process, None, vec![]).await;
        let conversation = visitor.open().await;
        visitor.say(conversation, "kept").await;
        let token = visitor.token.clone();
        assert_eq!(process.stop(), Some(0));
        Self { folder, token, conversation }
    }

    fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join(part)
    }

    /// Starts it as it now is: it must end by itself, with 1 and these words, and change nothing.
    async fn is_refused(&self, words: &str, set: impl FnOnce(&mut Command)) {
        let before = content(&self.path("data"));
        let mut command = serve(self.folder.path());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        set(&mut command);
        let mut child = command.spawn().unwrap();
        let mut ended = None;
        for _ in 0..400 {
            ended = child.try_wait().unwrap();
            if ended.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        if ended.is_none() {
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(ended.and_then(|status| status.code()), Some(1), "{said}");
        assert!(said.contains(words), "expected `{words}`: {said}");
        assert!(content(&self.path("data")) == before, "the data was changed: {said}");
    }

    /// It serves again, and what was acked is there.
    async fn is_whole(&self) {
        let process = Process::start(self.folder.path());
        assert_eq!(said(&process, self.token.clone(), self.conversation).await, ["kept"]);
        assert_eq!(process.stop(), Some(0));
    }
}

/// Name and bytes of every file that the store has there.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_str().unwrap();
        // The lock names whoever tried last; the index of the log is made anew by whoever looks.
        if name.ends_with(".sqlite") || name.ends_with("-wal") {
            files.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    files.retain(|(_, bytes)| !bytes.is_empty());
    files.sort();
    files
}

pub async fn said(site: &Site, token: Option<String>, conversation: ConversationId) -> Vec<String> {
    let mut visitor = Client::visitor(site, token, vec![]).await;
    visitor.history(RequestId(0)).await;
    let request = visitor.next_request();
    let history = ClientFrame::History { request, conversation, before: Seq(0), limit: 100 };
    visitor.tell(&history).await;
    let (_, page) = visitor.history(request).await;
    page.iter()
        .filter_map(|message| match &message.body {
            Body::Text(text) => Some(text.expose().to_owned()),
            Body::Event { .. } => None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_keys_are_asked_for_and_never_made_anew() {
    let kept = Folders::new().await;
    std::fs::rename(kept.path("keys"), kept.path("elsewhere")).unwrap();
    kept.is_refused("put the keys folder back", |_| {}).await;
    assert!(!kept.path("keys/master.key").exists(), "no new keys were made");
    drop(std::fs::remove_dir(kept.path("keys")));
    std::fs::rename(kept.path("elsewhere"), kept.path("keys")).unwrap();
    let master = kept.path("keys/master.key");
    std::fs::rename(&master, kept.path("master")).unwrap();
    kept.is_refused("master.key is missing", |_| {}).await;
    std::fs::rename(kept.path("master"), &master).unwrap();
    kept.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_server_or_in_the_wrong_place_are_refused() {
    let (kept, other) = (Folders::new().await, Folders::new().await);
    kept.is_refused("not the keys", |command| {
        change(command, "--keys", &other.path("keys"));
    })
    .await;
    // Under another name, too: a link leads into the data folder.
    std::fs::create_dir(kept.path("data/inside")).unwrap();
    std::os::unix::fs::symlink(kept.path("data/inside"), kept.path("link")).unwrap();
    kept.is_refused("lies inside the data folder", |command| {
        change(command, "--keys", &kept.path("link"));
    })
    .await;
    let master = kept.path("keys/master.key");
    std::fs::set_permissions(&master, std::fs::Permissions::from_mode(0o644)).unwrap();
    kept.is_refused("can be read by others", |_| {}).await;
    std::fs::set_permissions(&master, std::fs::Permissions::from_mode(0o600)).unwrap();
    kept.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_named_and_left_as_it_is() {
    let kept = Folders::new().await;
    let path = kept.path("data/livehelp.sqlite");
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    for byte in &mut bad[middle..middle + 20_000] {
        *byte = !*byte;
    }
    std::fs::write(&path, &bad).unwrap();
    kept.is_refused("livehelp.sqlite is damaged: put it back from a backup", |_| {}).await;
    std::fs::write(&path, &bad[..100]).unwrap();
    kept.is_refused("livehelp.sqlite is damaged", |_| {}).await;
    std::fs::write(&path, &good).unwrap();
    kept.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_cannot_be_written_is_named() {
    let kept = Folders::new().await;
    let data = kept.path("data");
    let read_only = std::fs::Permissions::from_mode(0o500);
    let writable = std::fs::metadata(&data).unwrap().permissions();
    // Nothing is read-only for root: then somebody else serves the folder, with a program they may
    // run.
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let program = kept.path("livehelp");
    if root {
        std::fs::copy(env!("CARGO_BIN_EXE_livehelp"), &program).unwrap();
        give(kept.folder.path(), NOBODY);
    }
    std::fs::set_permissions(&data, read_only).unwrap();
    kept.is_refused("data cannot be written to", |command| {
        if root {
            change(command, "", &program);
            command.uid(NOBODY).gid(NOBODY);
        }
    })
    .await;
    std::fs::set_permissions(&data, writable).unwrap();
    if root {
        give(kept.folder.path(), 0);
    }
    kept.is_whole().await;
}

const NOBODY: u32 = 65_534;

fn give(path: &Path, to: u32) {
    chown(path, Some(to), Some(to)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), to);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_admin_port_is_named_with_its_flag() {
    let kept = Folders::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    kept.is_refused(&format!("cannot listen on {address}"), |command| {
        change(command, "--admin-listen", Path::new(&address));
    })
    .await;
    kept.is_refused("--admin-listen", |command| {
        change(command, "--admin-listen", Path::new(&address));
    })
    .await;
    kept.is_whole().await;
}

pub async fn rejected(client: &mut Client, request: RequestId) -> (&'static str, bool) {
    client
        .until(|frame| match frame {
            ServerFrame::Reject { request: r, code, retry_after_ms, .. } if *r == request => {
                Some((code.word(), retry_after_ms.is_some()))
            }
            _ => None,
        })
        .await
}

/// Sends while the disk misbehaves, then when it is well again.
async fn misbehaves(flag: &str) {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let disk = Disk::new();
    disk.take_in(folder.path());
    let process = Process::start_as(folder.path(), |command| disk.beneath(command));
    let mut visitor = Client::visitor(&process, None, vec![]).await;
    let conversation = visitor.open().await;
    visitor.say(conversation, "before").await;
    disk.set(flag);
    let (request, message) = (visitor.next_request(), new_message());
    visitor.send(request, conversation, message, "refused, then sent again").await;
    assert_eq!(rejected(&mut visitor, request).await, ("store-unavailable", true));
    // Reading goes on, for others as well; who looks after the node is told.
    let token = visitor.token.clone();
    assert_eq!(said(&process, token.clone(), conversation).await, ["before"]);
    let ready = http::get(process.admin, "/readyz", &[]).await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "no\nstore: no\n"));
    assert_eq!(http::get(process.admin, "/livez", &[]).await.status, 200);
    let scrape = Scrape::of(process.admin).await;
    assert!(scrape.value(r#"store_errors_total{op="commit"}"#) >= 1.0);
    disk.clear(flag);
    let healed = async {
        while http::get(process.admin, "/readyz", &[]).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), healed).await.expect("it heals by itself");
    // The connection stayed, and the same message goes through.
    let request = visitor.next_request();
    visitor.send(request, conversation, message, "refused, then sent again").await;
    visitor.acked(request).await;
    process.kill();
    disk.cut_power(folder.path());
    let process = Process::start(folder.path());
    let kept = said(&process, token, conversation).await;
    assert_eq!(kept, ["before", "refused, then sent again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_words_reads_on_and_heals_by_itself() {
    misbehaves("full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_never_acked_and_heals_by_itself() {
    misbehaves("broken").await;
}

/// Ends on a disk with room, and starts on one that is full.
async fn restarts_on_a_full_disk(end: impl FnOnce(Process)) {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let disk = Disk::new();
    disk.take_in(folder.path());
    let start = || Process::start_as(folder.path(), |command| disk.beneath(command));
    let process = start();
    let mut visitor = Client::visitor(&process, None, vec![]).await;
    let conversation = visitor.open().await;
    visitor.say(conversation, "before").await;
    let token = visitor.token.clone();
    end(process);
    disk.set("full");
    let process = start();
    let ready = http::get(process.admin, "/readyz", &[]).await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "no\nstore: no\n"));
    assert_eq!(said(&process, token.clone(), conversation).await, ["before"]);
    let mut visitor = Client::visitor(&process, token.clone(), vec![]).await;
    let (request, message) = (visitor.next_request(), new_message());
    visitor.send(request, conversation, message, "refused, then sent again").await;
    assert_eq!(rejected(&mut visitor, request).await, ("store-unavailable", true));
    disk.clear("full");
    let healed = async {
        while http::get(process.admin, "/readyz", &[]).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), healed).await.expect("it heals by itself");
    let request = visitor.next_request();
    visitor.send(request, conversation, message, "refused, then sent again").await;
    visitor.acked(request).await;
    process.kill();
    let process = start();
    let kept = said(&process, token, conversation).await;
    assert_eq!(kept, ["before", "refused, then sent again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_on_a_full_disk_after_a_kill_reads_and_heals_by_itself() {
    restarts_on_a_full_disk(Process::kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_on_a_full_disk_after_a_stop_reads_and_heals_by_itself() {
    restarts_on_a_full_disk(|process| assert_eq!(process.stop(), Some(0))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_keys_cannot_be_used_says_that_it_is_not_ready() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let process = Process::start(folder.path());
    let (keys, away) = (folder.path().join("keys"), folder.path().join("away"));
    let until = async |status: u16| {
        let asked = async {
            loop {
                let ready = http::get(process.admin, "/readyz", &[]).await;
                if ready.status == status {
                    return ready.body;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asked).await.expect("it is told")
    };
    until(200).await;
    std::fs::rename(&keys, &away).unwrap();
    assert_eq!(until(503).await, "no\nkeys: no\n");
    std::fs::rename(&away, &keys).unwrap();
    until(200).await;
    let master = std::fs::read(keys.join("master.key")).unwrap();
    std::fs::write(keys.join("master.key"), [7; 32]).unwrap();
    assert_eq!(until(503).await, "no\nkeys: no\n");
    std::fs::write(keys.join("master.key"), master).unwrap();
    until(200).await;
    std::fs::rename(keys.join("keys.sqlite"), &away).unwrap();
    assert_eq!(until(503).await, "no\nkeys: no\n");
    assert!(process.log().contains("the keys cannot be used"), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_could_not_be_let_in_leaves_nothing_of_himself_behind() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let disk = Disk::new();
    disk.take_in(folder.path());
    let process = Process::start_as(folder.path(), |command| {
        disk.beneath(command);
        command.args(["--agent-grace-ms", "300"]);
    });
    let available = |count: f64| {
        Scrape::until(process.admin, move |scrape| {
            (scrape.value(r#"agents{state="available"}"#) - count).abs() < 0.5
        })
    };
    let mut agent = Client::agent(&process, 0).await;
    agent.available().await;
    drop(agent);
    available(0.0).await;
    let mut visitor = Client::visitor(&process, None, vec![]).await;
    let conversation = visitor.open().await;
    disk.set("full");
    // They would be offered what waits, which cannot be written.
    let origin = format!("http://{}", process.address);
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let headers = [("origin", origin.as_str()), ("cookie", cookie.as_str())];
    let mut turned_away = Client::connect(&process, &headers).await;
    turned_away.greet_as_agent().await;
    assert_eq!(turned_away.closed().await, CloseCode::Overload.code());
    disk.clear("full");
    let mut agent = Client::agent(&process, 0).await;
    agent.accept(conversation).await;
    drop(agent);
    // Nobody is there any more, so it waits again.
    visitor
        .until(|frame| match frame {
            ServerFrame::Message {
                body: Body::Event { event: EventKind::Requeued, .. }, ..
            } => Some(()),
            _ => None,
        })
        .await;
    available(0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_writer_takes_slows_the_senders_and_loses_nothing() {
    const SENDERS: usize = 48;
    const EACH: usize = 20;
    let server = TestServer::start_with(|config| {
        config.store_queue_max = 16;
        config.store_patience_ms = 20_000;
    })
    .await;
    let mut senders = Vec::new();
    for _ in 0..SENDERS {
        let mut visitor = Client::visitor(&server, None, vec![]).await;
        let conversation = visitor.open().await;
        senders.push(livehelp::tasks::spawn("sender", async move {
            let mut requests = Vec::new();
            for number in 0..EACH {
                let request = visitor.next_request();
                visitor.send(request, conversation, new_message(), &number.to_string()).await;
                requests.push(request);
            }
            for request in requests {
                visitor.acked(request).await;
            }
        }));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    let scrape = Scrape::of(server.admin).await;
    assert!(scrape.value("backpressure_seconds_total") > 0.0);
    let sent = (SENDERS * EACH).to_string().parse::<f64>().unwrap();
    assert_eq!(scrape.value(r#"messages_received_total{kind="text",role="visitor"}"#), sent);
    server.stop().await;
}

/// The server under a shell's limit of open files.
fn few_files(command: &mut Command, flag: &str) {
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let line = format!("ulimit {flag} 300 && exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).arg(command.get_program()).args(arguments);
    shell.env_remove("LIVEHELP_CONFIG").stdout(Stdio::piped());
    *command = shell;
}

/// What a caller hears who is turned away before they have said anything.
async fn turned_away(site: &Site) -> Option<String> {
    let mut caller = TcpStream::connect(site.address).await.unwrap();
    let mut told = String::new();
    let heard = tokio::time::timeout(Duration::from_millis(300), caller.read_to_string(&mut told));
    heard.await.ok().map(|read| read.unwrap()).map(|_| told)
}

#[tokio::test]
async fn with_few_open_files_it_turns_people_away_and_goes_on() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let process = Process::start_as(folder.path(), |command| {
        few_files(command, "-n");
        command.stderr(log);
    });
    let mut taken = Vec::new();
    for _ in 0..44 {
        taken.push(TcpStream::connect(process.address).await.unwrap());
    }
    let told = turned_away(&process).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("connections-max"), "{told}");
    assert!(process.log().contains("too few open files"), "{}", process.log());
    drop(taken);
    // It hears of each that went.
    while turned_away(&process).await.is_some() {}
    let mut visitor = Client::visitor(&process, None, vec![]).await;
    let conversation = visitor.open().await;
    visitor.say(conversation, "there is room again").await;
}

#[tokio::test]
async fn a_low_first_bound_of_open_files_is_raised() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let process = Process::start_as(folder.path(), |command| few_files(command, "-Sn"));
    let mut taken = Vec::new();
    for _ in 0..60 {
        taken.push(TcpStream::connect(process.address).await.unwrap());
    }
    let answer = http::get(process.address, "/readyz", &[]).await;
    assert_eq!(answer.status, 404, "it is not at its bound; readiness is asked elsewhere");
}

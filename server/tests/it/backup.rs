//! Backups of a running server under load, and what is done with them: put back, looked through,
//! refused by name where they are not whole, and cut off at any moment.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use protocol::frame::{ClientFrame, RequestId};
use protocol::ids::ConversationId;
use protocol::message::{Body, Seq};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::command::{done, livehelp};
use crate::disk::Disk;
use crate::http;
use crate::metrics::Scrape;
use crate::process::Process;
use crate::server::{OPERATOR_KEY, Site, furnish};

/// One visitor, and what was acked to them: place and text.
struct Talk {
    conversation: ConversationId,
    token: Option<String>,
    client: Option<Client>,
    acked: Arc<parking_lot::Mutex<Vec<(Seq, String)>>>,
}

/// Long enough that a few hundred make megabytes.
fn words(number: usize) -> String {
    format!("{number} {}", "said under load ".repeat(200))
}

impl Talk {
    async fn begin(site: &Site) -> Self {
        let mut client = Client::visitor(site, None, vec![]).await;
        let conversation = client.open().await;
        let token = client.token.clone();
        Self { conversation, token, client: Some(client), acked: Arc::default() }
    }

    async fn say(&mut self, times: usize) {
        let client = self.client.as_mut().unwrap();
        for _ in 0..times {
            let text = words(self.acked.lock().len());
            let seq = client.say(self.conversation, &text).await.unwrap();
            self.acked.lock().push((seq, text));
        }
    }
}

async fn several(site: &Site, times: usize) -> Vec<Talk> {
    let mut talks = Vec::new();
    for _ in 0..4 {
        talks.push(Talk::begin(site).await);
    }
    let saying = talks.into_iter().map(|mut talk| {
        livehelp::tasks::spawn("talk", async move {
            talk.say(times).await;
            talk
        })
    });
    let saying: Vec<_> = saying.collect();
    let mut talks = Vec::new();
    for task in saying {
        talks.push(task.await.unwrap());
    }
    talks
}

/// The whole of a conversation, the oldest first.
async fn transcript(site: &Site, talk: &Talk) -> Vec<(Seq, String)> {
    let mut client = Client::visitor(site, talk.token.clone(), vec![]).await;
    client.history(RequestId(0)).await;
    let (mut before, mut all) = (Seq(0), Vec::new());
    loop {
        let request = client.next_request();
        let conversation = talk.conversation;
        client.tell(&ClientFrame::History { request, conversation, before, limit: 100 }).await;
        let (_, page) = client.history(request).await;
        let Some(first) = page.first() else { return all };
        before = first.seq;
        let mut found: Vec<_> = page
            .iter()
            .filter_map(|message| match &message.body {
                Body::Text(text) => Some((message.seq, text.expose().to_owned())),
                _ => None,
            })
            .collect();
        found.append(&mut all);
        all = found;
        if before == Seq(1) {
            return all;
        }
    }
}

/// A folder for artefacts, as an operator makes it.
fn artefacts(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir(&path).unwrap();
    path
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn one_of(folder: &Path, ending: &str) -> PathBuf {
    let name = names(folder).into_iter().rfind(|name| name.ends_with(ending)).unwrap();
    folder.join(name)
}

/// `livehelp backup` of a running server, or of a stopped one.
fn backup(folder: &Path, admin: Option<&Site>, to: &Path, more: &[&str]) -> Command {
    let key = folder.join("keys/operator-key");
    std::fs::write(&key, OPERATOR_KEY).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = livehelp(folder, &["backup"]);
    command.arg("--to").arg(to).args(more);
    if let Some(site) = admin {
        command.arg("--admin-listen").arg(site.admin.to_string());
    }
    command
}

async fn run(command: Command) -> (i32, String, String) {
    tokio::task::spawn_blocking(|| done(command)).await.unwrap()
}

async fn backed_up(folder: &Path, admin: Option<&Site>, to: &Path, more: &[&str]) -> Value {
    let (code, out, err) = run(backup(folder, admin, to, more)).await;
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).unwrap()
}

fn verify(paths: &[&Path]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_livehelp"));
    command.env_clear().arg("verify").args(paths);
    command
}

fn restore(from: &[&Path], into: &Path, more: &[&str]) -> Command {
    let mut command = livehelp(into, &["restore"]);
    from.iter().for_each(|path| {
        command.arg("--from").arg(path);
    });
    command.args(more);
    command
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story from the load to the restored server")]
async fn a_restore_of_a_backup_under_load_has_all_that_was_acked_before_it() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let process = Process::start(folder.path());
    let talks = several(&process, 60).await;
    let ledgers: Vec<_> = talks.iter().map(|talk| Arc::clone(&talk.acked)).collect();
    let counts = || ledgers.iter().map(|acked| acked.lock().len()).collect::<Vec<_>>();
    let stop = Arc::new(AtomicBool::new(false));
    let saying: Vec<_> = talks
        .into_iter()
        .map(|mut talk| {
            let stop = Arc::clone(&stop);
            livehelp::tasks::spawn("talk", async move {
                while !stop.load(Ordering::Acquire) {
                    talk.say(1).await;
                }
                talk
            })
        })
        .collect();
    let to = artefacts(folder.path(), "backups");
    let apart = artefacts(folder.path(), "backups-of-keys");
    let acked = |scrape: &Scrape| scrape.value("ack_latency_seconds_count");
    let before = acked(&Scrape::of(process.admin).await);
    let at_rest: usize = counts().iter().sum();
    while counts().iter().sum::<usize>() < at_rest + 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Everything of these acks happened before the command began.
    let acked_before = counts();
    let keys_to = ["--keys-to", apart.to_str().unwrap(), "--rate", "2"];
    let made = backed_up(folder.path(), Some(&process), &to, &keys_to).await;
    let after = Scrape::of(process.admin).await;
    assert!(acked(&after) > before + 10.0, "it was acked while the backup ran");
    assert!(after.value("backup_last_success_timestamp_seconds") > 0.0);
    stop.store(true, Ordering::Release);
    let mut talks = Vec::new();
    for task in saying {
        talks.push(task.await.unwrap());
    }
    // Sealed data here, its keys there, nobody else reads either, and nothing else was left.
    for (artefact, folder, ending) in [("data", &to, ".data"), ("keys", &apart, ".keys")] {
        let path = Path::new(made[artefact].as_str().unwrap());
        assert_eq!(vec![path.file_name().unwrap().to_str().unwrap()], names(folder));
        assert!(path.to_str().unwrap().ends_with(ending));
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let bytes = std::fs::read(made["data"].as_str().unwrap()).unwrap();
    assert!(!bytes.windows(15).any(|window| window == b"said under load"), "it is sealed");
    let (code, out, err) = run(verify(&[&to, &apart])).await;
    let verdict: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && verdict["good"] == true, "{out}{err}");

    // The server is gone, with all of its disk.
    process.kill();
    let elsewhere = TempDir::new().unwrap();
    let (code, out, err) = run(restore(&[&to, &apart], elsewhere.path(), &[])).await;
    assert_eq!(code, 0, "{err}");
    let restored: Value = serde_json::from_str(&out).unwrap();
    let reaches = made["reaches_at"].as_u64().unwrap();
    assert_eq!(restored["manifest"]["reaches_at"], reaches);
    assert_eq!(restored["manifest"]["rows"]["messages"], made["messages"]);
    let (code, out, err) = run(livehelp(elsewhere.path(), &["check"])).await;
    assert!(code == 0 && out.contains("keys and data: good"), "{out}{err}");
    let key = std::fs::read_to_string(elsewhere.path().join("keys/operator-key")).unwrap();
    assert_eq!(key, OPERATOR_KEY, "the operator's key came along");

    let process = Process::start(elsewhere.path());
    let mut messages = 0;
    for (talk, before) in talks.iter().zip(acked_before) {
        let there = transcript(&process, talk).await;
        let acked = talk.acked.lock().clone();
        assert!(there.len() >= before, "what was acked before the command is there: {before}");
        // In order and once each: the transcript is how the conversation began.
        let began: Vec<_> = acked.iter().take(there.len()).cloned().collect();
        assert_eq!(there, began);
        messages += there.len();
    }
    assert!(
        messages < talks.iter().map(|talk| talk.acked.lock().len()).sum(),
        "it went on after it"
    );
    // And the chats go on.
    for talk in &mut talks {
        talk.client = Some(Client::visitor(&process, talk.token.clone(), vec![]).await);
        talk.client.as_mut().unwrap().history(RequestId(0)).await;
        let conversation = talk.conversation;
        assert!(talk.client.as_mut().unwrap().say(conversation, "and on").await.is_some());
    }
    assert_eq!(process.stop(), Some(0));
}

/// Every ack that came back before the command was typed, exactly.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_journal_has_is_in_a_backup_of_a_running_and_of_a_killed_server() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let process = Process::start(folder.path());
    let mut talk = Talk::begin(&process).await;
    talk.say(20).await;
    let (first, second) = (artefacts(folder.path(), "1"), artefacts(folder.path(), "2"));
    talk.say(5).await;
    backed_up(folder.path(), Some(&process), &first, &[]).await;
    talk.say(5).await;
    process.kill();
    backed_up(folder.path(), None, &second, &[]).await;
    for (from, count) in [(&first, 25), (&second, 30)] {
        let into = TempDir::new().unwrap();
        let (code, _, err) = run(restore(&[from], into.path(), &[])).await;
        assert_eq!(code, 0, "{err}");
        let process = Process::start(into.path());
        assert_eq!(transcript(&process, &talk).await, talk.acked.lock()[..count]);
        process.kill();
    }
    // The last backup is known again after a start.
    let process = Process::start(folder.path());
    let scrape = Scrape::of(process.admin).await;
    assert!(scrape.value("backup_last_success_timestamp_seconds") > 1.7e9);
    process.kill();
}

/// What is wrong with a file, and the bytes that it has then.
fn harms(good: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut harms = vec![(String::from("empty"), Vec::new())];
    for part in 1..4 {
        harms.push((format!("cut at {part}/4"), good[..good.len() * part / 4].to_vec()));
    }
    harms.push((String::from("one byte short"), good[..good.len() - 1].to_vec()));
    harms.push((String::from("one byte more"), [good, b"x"].concat()));
    let ends = [1, 20, 40, 47, 60, 300].map(|from_end| good.len() - from_end);
    let all_over = (0..12).map(|part| good.len() * part / 12);
    for at in all_over.chain(ends) {
        let mut bytes = good.to_vec();
        bytes[at] ^= 0x10;
        harms.push((format!("a bit at {at} of {}", good.len()), bytes));
    }
    harms
}

/// A restore that is refused, names the files and makes nothing.
async fn is_refused(from: &[&Path], into: &Path, named: &[&Path], words: &str) {
    let (code, out, err) = run(restore(from, into, &[])).await;
    assert!(code == 1 && out.is_empty(), "{out}{err}");
    for path in named {
        assert!(err.contains(path.to_str().unwrap()), "{}: {err}", path.display());
    }
    assert!(err.contains(words), "{words}: {err}");
    for part in ["data", "keys"] {
        assert!(!into.join(part).exists(), "nothing was made: {err}");
    }
}

/// `verify` names the damaged one of a folder's artefacts.
async fn is_found(path: &Path, folder: &Path, what: &str) {
    let (code, out, err) = run(verify(&[folder])).await;
    let verdict: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 1 && verdict["good"] == false, "{what}: {out}{err}");
    let path = path.to_str().unwrap();
    let all = verdict["artefacts"].as_array().unwrap();
    let fault = all.iter().find(|one| one["path"] == path).unwrap()["fault"].as_str();
    assert!(fault.unwrap().contains(path), "{what}: {out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn artefacts_that_are_damaged_foreign_or_older_are_named_and_nothing_is_put_back() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let process = Process::start(folder.path());
    let (old, new) = (artefacts(folder.path(), "old"), artefacts(folder.path(), "new"));
    let mut talk = Talk::begin(&process).await;
    talk.say(3).await;
    backed_up(folder.path(), Some(&process), &old, &[]).await;
    // A visitor who is new has a key that is new.
    Talk::begin(&process).await.say(2).await;
    backed_up(folder.path(), Some(&process), &new, &[]).await;
    process.kill();
    let other = TempDir::new().unwrap();
    furnish(other.path()).await;
    let foreign = artefacts(other.path(), "foreign");
    backed_up(other.path(), None, &foreign, &[]).await;

    let into = TempDir::new().unwrap();
    let refused = async |from: &[&Path], named: &[&Path], words: &str| {
        is_refused(from, into.path(), named, words).await;
    };
    let (data, keys) = (one_of(&new, ".data"), one_of(&new, ".keys"));
    let (old_data, old_keys) = (one_of(&old, ".data"), one_of(&old, ".keys"));
    let foreign_keys = one_of(&foreign, ".keys");
    refused(&[&data, &foreign_keys], &[&data, &foreign_keys], "of different servers").await;
    refused(&[&data, &old_keys], &[&data, &old_keys], "is older than").await;
    refused(&[&data], &[&data], "no keys artefact").await;
    refused(&[&keys], &[&keys], "no data artefact").await;
    let missing = new.join("livehelp-20200101T000000Z.data");
    refused(&[&missing, &keys], &[&missing], "cannot read").await;
    for path in [&data, &keys] {
        let good = std::fs::read(path).unwrap();
        for (what, bytes) in harms(&good) {
            std::fs::write(path, bytes).unwrap();
            is_found(path, &new, &what).await;
            refused(&[&new], &[path], "").await;
        }
        std::fs::write(path, good).unwrap();
    }
    // Older data with newer keys is how a backup forgets.
    let (code, _, err) = run(restore(&[&old_data, &keys], into.path(), &[])).await;
    assert_eq!(code, 0, "{err}");
    let process = Process::start(into.path());
    assert_eq!(transcript(&process, &talk).await, *talk.acked.lock());
    process.kill();
    // What is there is not written over, but moved aside when that is asked for.
    let (code, _, err) = run(restore(&[&new], into.path(), &[])).await;
    assert!(code == 1 && err.contains("is not empty") && err.contains("--replace"), "{err}");
    let process = Process::start(into.path());
    let (code, _, err) = run(restore(&[&new], into.path(), &["--replace"])).await;
    assert!(code == 1 && err.contains("in use"), "{err}");
    process.kill();
    let (code, out, err) = run(restore(&[&new], into.path(), &["--replace"])).await;
    assert_eq!(code, 0, "{err}");
    let done: Value = serde_json::from_str(&out).unwrap();
    for moved in done["aside"].as_array().unwrap() {
        assert!(Path::new(moved["to"].as_str().unwrap()).is_dir(), "{out}");
    }
    assert_eq!(done["aside"].as_array().unwrap().len(), 2);
    Process::start(into.path()).kill();
}

/// Asks until the backup says this of itself.
async fn until(site: &Site, state: &str) -> Value {
    let bearer = format!("Bearer {OPERATOR_KEY}");
    let headers = [("authorization", bearer.as_str())];
    for _ in 0..800 {
        let answer = http::get(site.admin, "/v1/backups/newest", &headers).await.json();
        if answer["state"] == state {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it never said {state}");
}

async fn ask(site: &Site, key: &str, body: &Value) -> http::Answer {
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    http::ask(site.admin, "POST", "/v1/backups", &headers, &body.to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_cut_off_leaves_nothing_that_looks_like_one() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let to = artefacts(folder.path(), "backups");
    let process = Process::start(folder.path());
    several(&process, 120).await;
    let slowly = json!({ "to": to, "rate_mib": 1 });
    assert_eq!(ask(&process, OPERATOR_KEY, &slowly).await.status, 202);
    let again = ask(&process, OPERATOR_KEY, &slowly).await;
    assert_eq!((again.status, again.json()["code"].as_str()), (409, Some("conflict")));
    let (code, _, err) = run(backup(folder.path(), Some(&process), &to, &[])).await;
    assert!(code == 1 && err.contains("under way"), "{err}");
    until(&process, "copying").await;
    assert!(names(&to).iter().any(|name| name.ends_with(".data.part")), "{:?}", names(&to));
    process.kill();
    assert!(names(&to).iter().all(|name| name.ends_with(".part")), "{:?}", names(&to));
    let (code, _, err) = run(verify(&[&to])).await;
    assert!(code == 1 && err.contains("no backup"), "{err}");

    // A calm stop does not wait for it either, and takes away what was begun.
    let process = Process::start(folder.path());
    let scrape = Scrape::of(process.admin).await;
    assert_eq!(scrape.value("backup_last_success_timestamp_seconds"), 0.0);
    assert_eq!(ask(&process, OPERATOR_KEY, &slowly).await.status, 202);
    until(&process, "copying").await;
    assert_eq!(process.stop(), Some(0));
    assert_eq!(names(&to), Vec::<String>::new());

    let process = Process::start(folder.path());
    backed_up(folder.path(), Some(&process), &to, &["--rate", "1000"]).await;
    assert_eq!(names(&to).len(), 2);
    assert!(names(&to).iter().all(|name| !name.ends_with(".part")));
    process.kill();
    let (code, out, err) = run(verify(&[&to])).await;
    assert_eq!(code, 0, "{out}{err}");
}

/// The file that says so lies there from the restore's first write to its last.
#[expect(
    clippy::disallowed_methods,
    reason = "it waits for a moment of another process, on a thread of its own"
)]
fn killed_in_the_middle(mut command: Command, marker: &Path) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !marker.exists() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    marker.exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_is_no_server_until_it_is_run_again() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let to = artefacts(folder.path(), "backups");
    let process = Process::start(folder.path());
    let talks = several(&process, 100).await;
    process.kill();
    backed_up(folder.path(), None, &to, &["--rate", "1000"]).await;
    let mut killed = 0;
    for _ in 0..10 {
        let into = TempDir::new().unwrap();
        let marker = into.path().join("data/livehelp.restoring");
        let command = restore(&[&to], into.path(), &[]);
        let path = marker.clone();
        let is_killed = tokio::task::spawn_blocking(move || killed_in_the_middle(command, &path))
            .await
            .unwrap();
        if !is_killed {
            continue;
        }
        killed += 1;
        let refused = Process::try_start(into.path()).unwrap_err();
        assert!(
            refused.contains("a restore into") && refused.contains("livehelp restore"),
            "{refused}"
        );
        let (code, _, err) = run(livehelp(into.path(), &["check"])).await;
        assert!(code == 1 && err.contains("a restore into"), "{err}");
        let (code, _, err) = run(restore(&[&to], into.path(), &[])).await;
        assert_eq!(code, 0, "{err}");
        assert!(!marker.exists());
        let process = Process::start(into.path());
        assert_eq!(transcript(&process, &talks[0]).await, *talks[0].acked.lock());
        process.kill();
        if killed == 2 {
            return;
        }
    }
    panic!("no restore was killed in its middle");
}

/// Keys that somebody put there by hand are nobody's to remove.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_beside_a_killed_restore_is_left_alone() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let to = artefacts(folder.path(), "backups");
    backed_up(folder.path(), None, &to, &[]).await;
    let into = TempDir::new().unwrap();
    let (data, keys) = (into.path().join("data"), into.path().join("keys"));
    std::fs::create_dir(&data).unwrap();
    std::fs::create_dir(&keys).unwrap();
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o700)).unwrap();
    let parts = json!([{ "name": "master.key", "bytes": 32, "sha256": "00" }]);
    let half = json!({ "keys_folder": keys, "parts": parts }).to_string();
    std::fs::write(data.join("livehelp.restoring"), half).unwrap();
    std::fs::write(keys.join("master.key"), [7; 32]).unwrap();
    let (code, _, err) = run(restore(&[&to], into.path(), &[])).await;
    assert!(code == 1 && err.contains("master.key was not put there"), "{err}");
    assert_eq!(std::fs::read(keys.join("master.key")).unwrap(), [7; 32]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_without_room_is_said_leaves_nothing_and_hurts_no_ack() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let to = artefacts(folder.path(), "backups");
    let disk = Disk::new();
    disk.take_in(folder.path());
    let process = Process::start_as(folder.path(), |command| disk.beneath(command));
    let mut talk = Talk::begin(&process).await;
    talk.say(30).await;
    disk.set("full-target");
    let (code, out, err) = run(backup(folder.path(), Some(&process), &to, &[])).await;
    assert!(code == 1 && out.is_empty(), "{out}{err}");
    assert!(err.contains(to.to_str().unwrap()) && err.contains("full"), "{err}");
    assert_eq!(names(&to), Vec::<String>::new());
    talk.say(5).await;
    disk.clear("full-target");
    backed_up(folder.path(), Some(&process), &to, &[]).await;
    process.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_key_with_the_scope_has_the_server_write_and_only_where_it_should() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let to = artefacts(folder.path(), "backups");
    let process = Process::start(folder.path());
    let headers = [("authorization", format!("Bearer {OPERATOR_KEY}"))];
    let key_of = async |by: &str, scopes: &[&str]| {
        let bearer = format!("Bearer {by}");
        let headers = [("authorization", bearer.as_str())];
        let body = json!({ "name": "k", "scopes": scopes }).to_string();
        http::ask(process.admin, "POST", "/v1/operator-keys", &headers, &body).await
    };
    let text = |answer: http::Answer| answer.json()["text"].as_str().unwrap().to_owned();
    let reads = text(key_of(OPERATOR_KEY, &["tenants:read"]).await);
    // As a server has them that was made before there were backups.
    let manages = text(key_of(OPERATOR_KEY, &["operator-keys:manage"]).await);
    let backs_up = key_of(&manages, &["backups:create"]).await;
    assert_eq!(backs_up.status, 201, "{}", backs_up.body);
    assert_eq!(key_of(&manages, &["tenants:read"]).await.status, 403);
    let backs_up = text(backs_up);
    let wish = json!({ "to": to });
    let refused = ask(&process, &reads, &wish).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("missing-scope")));
    let plain = [("authorization", headers[0].1.as_str())];
    let newest = http::get(process.admin, "/v1/backups/newest", &plain).await;
    assert_eq!(newest.status, 404, "there was none");
    for (wish, field) in [
        (json!({ "to": "here" }), "to"),
        (json!({ "to": folder.path().join("none") }), "to"),
        (json!({ "to": folder.path().join("data") }), "to"),
        (json!({ "to": to, "keys_to": folder.path().join("keys") }), "keys_to"),
        (json!({ "to": to, "keep": 0 }), "keep"),
        (json!({ "to": to, "rate_mib": 0 }), "rate_mib"),
    ] {
        let refused = ask(&process, &backs_up, &wish).await;
        let (status, body) = (refused.status, refused.json());
        assert_eq!((status, body["field"].as_str()), (422, Some(field)), "{body}");
    }
    let mut known: HashMap<String, usize> = HashMap::new();
    for round in 1..=3 {
        assert_eq!(ask(&process, &backs_up, &json!({ "to": to, "keep": 2 })).await.status, 202);
        let state = until(&process, "done").await;
        assert_eq!(
            state["made"]["let_go"].as_array().unwrap().len(),
            if round == 3 { 2 } else { 0 }
        );
        for name in names(&to) {
            *known.entry(name).or_default() += 1;
        }
    }
    assert_eq!((names(&to).len(), known.len()), (4, 6), "the oldest pair is gone");
    process.kill();
}

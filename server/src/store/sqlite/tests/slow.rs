//! Faults that end a process or a disk: SIGKILL, a power cut, a full disk, a failed sync, a folder
//! that must not be written. A child, which is this test program again, works in a folder and says
//! on its output what was acked; the parent kills it, opens what is left and compares.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use protocol::message::Seq;
use tempfile::TempDir;

use super::super::file;
use super::{SqliteStore, manual};
use crate::store::Transcript as _;
use crate::store::conformance::World;
use crate::store::{Store, StoreError, Write};

const CONVERSATIONS: u8 = 8;

fn world(m: u8) -> World {
    World::new(1).with_visitor(m)
}

fn text(seq: u64) -> String {
    format!("words of {seq}, {}", "and more ".repeat(20))
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}

/// Not a test of its own: works in the current folder until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the tests below"]
async fn child() {
    let (store, _keys) = SqliteStore::open_for_test_at(Path::new("."), manual());
    let mut seqs = Vec::new();
    for m in 0..CONVERSATIONS {
        let World { tenant, conversation, .. } = world(m);
        seqs.push(store.room(tenant, conversation, 1).await.unwrap().unwrap().seq_last.0);
    }
    say("ready");
    loop {
        for m in 0..CONVERSATIONS {
            let seq = &mut seqs[usize::from(m)];
            *seq += 1;
            let seq = *seq;
            let slot = store.reserve().await.unwrap();
            slot.write(
                vec![Write::Message(world(m).message(seq, &text(seq)))],
                Box::new(move |outcome| match outcome {
                    Ok(()) => say(&format!("acked {m} {seq}")),
                    Err(error) => say(&format!("refused {error}")),
                }),
            );
        }
        // One of each eight is awaited, so that many are on their way but not without end. Now and
        // then it is something that the journal does not take.
        let outcome = if seqs[0].is_multiple_of(4) {
            let mut header = world(0).conversation_row();
            header.version = seqs[0];
            store.write(vec![Write::Conversation(Box::new(header))]).await
        } else {
            store.write(Vec::new()).await
        };
        if let Err(StoreError::Unavailable { .. }) = outcome {
            let World { tenant, conversation, .. } = world(0);
            let read = store.messages(tenant, conversation, Seq(0), None, 5).await.unwrap();
            say(&format!("read {} healthy {}", read.len(), store.healthy()));
        }
    }
}

struct Run {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    acked: BTreeMap<u8, Vec<u64>>,
}

impl Run {
    fn start(folder: &Path, shim: Option<(&Path, &Path)>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "store::sqlite::tests::slow::child", "--ignored", "--nocapture"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some((shim, shadow)) = shim {
            command.env("LD_PRELOAD", shim).env("FAULTS_SHADOW", shadow);
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut run = Self { child, lines, acked: BTreeMap::new() };
        run.until(|line| line == "ready");
        run
    }

    fn line(&mut self) -> Option<String> {
        let line = self.lines.next()?.ok()?;
        if let Some((m, seq)) = line.strip_prefix("acked ").and_then(|rest| rest.split_once(' ')) {
            self.acked.entry(m.parse().unwrap()).or_default().push(seq.parse().unwrap());
        }
        Some(line)
    }

    fn until(&mut self, found: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.line().expect("the child lives");
            if found(&line) {
                return line;
            }
        }
    }

    /// Kills it and takes what it still had said.
    fn kill(mut self) -> BTreeMap<u8, Vec<u64>> {
        self.child.kill().unwrap();
        while self.line().is_some() {}
        self.child.wait().unwrap();
        std::mem::take(&mut self.acked)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Ended already in a test that succeeds.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

async fn prepared() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (store, _keys) = SqliteStore::open_for_test_at(folder.path(), manual());
    World::new(1).settle(&*store).await;
    for m in 0..CONVERSATIONS {
        world(m).begin(&*store).await;
    }
    store.close().await;
    folder
}

/// Every acked message is there once, in order, with its words.
async fn check(folder: &Path, acked: &BTreeMap<u8, Vec<u64>>) {
    let (store, _keys) = SqliteStore::open_for_test_at(folder, manual());
    for (m, acked) in acked {
        let World { tenant, conversation, .. } = world(*m);
        let read = store.messages(tenant, conversation, Seq(0), None, u16::MAX).await.unwrap();
        assert!(read.is_sorted_by(|a, b| a.seq() < b.seq()));
        for seq in acked {
            let there = read.iter().find(|sequenced| sequenced.seq() == Seq(*seq));
            let wanted = world(*m).message(*seq, &text(*seq));
            assert_eq!(there, Some(&wanted), "acked but missing: {seq} of {m}");
        }
    }
    store.close().await;
    let connection = rusqlite::Connection::open(file::database_path(&folder.join("data"))).unwrap();
    let verdict: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

fn merge(all: &mut BTreeMap<u8, Vec<u64>>, more: BTreeMap<u8, Vec<u64>>) -> usize {
    let mut count = 0;
    for (m, seqs) in more {
        count += seqs.len();
        all.entry(m).or_default().extend(seqs);
    }
    count
}

#[tokio::test]
async fn nothing_acked_is_lost_when_the_process_is_killed() {
    let folder = prepared().await;
    let data = folder.path().join("data");
    let mut acked = BTreeMap::new();
    let mut only_in_journal = 0;
    for round in 1..=8 {
        let mut run = Run::start(folder.path(), None);
        for _ in 0..round * 37 {
            run.until(|line| line.starts_with("acked"));
        }
        assert!(merge(&mut acked, run.kill()) > 0);
        only_in_journal += super::only_in_journal(&data);
        check(folder.path(), &acked).await;
    }
    assert!(only_in_journal > 0, "kills met messages that only the journal had");
}

/// The disk of `faults.c`: where its copies lie, and the library itself.
struct Disk {
    shadow: TempDir,
    shim: PathBuf,
}

impl Disk {
    fn new() -> Self {
        let shadow = tempfile::tempdir().unwrap();
        let shim = shadow.path().join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite/tests/faults.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&shim, &source])
            .arg("-ldl")
            .status()
            .expect("a C compiler, as SQLite needs one too");
        assert!(built.success());
        Self { shadow, shim }
    }

    fn start(&self, folder: &Path) -> Run {
        Run::start(folder, Some((&self.shim, self.shadow.path())))
    }

    fn set(&self, flag: &str) {
        fs::write(self.shadow.path().join(flag), "").unwrap();
    }

    fn clear(&self, flag: &str) {
        fs::remove_file(self.shadow.path().join(flag)).unwrap();
    }

    fn shadow_of(&self, path: &Path) -> PathBuf {
        let name = path.canonicalize().unwrap().to_str().unwrap().replace('/', "%");
        self.shadow.path().join(name)
    }

    /// What is in the folder now counts as synced.
    fn take_in(&self, folder: &Path) {
        for path in files(folder) {
            fs::copy(&path, self.shadow_of(&path)).unwrap();
        }
    }

    /// Every file goes back to its last synced content; one that was never synced is empty.
    fn cut_power(&self, folder: &Path) {
        for path in files(folder) {
            if path.to_str().unwrap().ends_with("-shm") {
                fs::remove_file(&path).unwrap();
                continue;
            }
            let synced = fs::read(self.shadow_of(&path)).unwrap_or_default();
            fs::write(&path, synced).unwrap();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for part in ["data", "keys"] {
        for entry in fs::read_dir(folder.join(part)).unwrap() {
            found.push(entry.unwrap().path());
        }
    }
    found
}

#[tokio::test]
async fn nothing_acked_is_lost_when_the_power_is_cut() {
    let folder = prepared().await;
    let disk = Disk::new();
    let mut acked = BTreeMap::new();
    for round in 1..=8 {
        disk.take_in(folder.path());
        let mut run = disk.start(folder.path());
        for _ in 0..round * 41 {
            run.until(|line| line.starts_with("acked"));
        }
        let count = merge(&mut acked, run.kill());
        assert!(count > 0);
        disk.cut_power(folder.path());
        check(folder.path(), &acked).await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_sending_and_reading_goes_on_and_it_heals() {
    let folder = prepared().await;
    let disk = Disk::new();
    let mut run = disk.start(folder.path());
    for _ in 0..100 {
        run.until(|line| line.starts_with("acked"));
    }
    disk.set("full");
    run.until(|line| line.starts_with("refused"));
    let said = run.until(|line| line.starts_with("read"));
    assert_eq!(said, "read 5 healthy false");
    disk.clear("full");
    for _ in 0..100 {
        run.until(|line| line.starts_with("acked"));
    }
    let acked = run.kill();
    check(folder.path(), &acked).await;
}

#[tokio::test]
async fn nothing_is_acked_after_a_failed_sync() {
    let folder = prepared().await;
    let disk = Disk::new();
    disk.take_in(folder.path());
    let mut run = disk.start(folder.path());
    for _ in 0..100 {
        run.until(|line| line.starts_with("acked"));
    }
    disk.set("broken");
    run.until(|line| line.starts_with("refused"));
    run.until(|line| line.starts_with("read"));
    disk.clear("broken");
    for _ in 0..100 {
        run.until(|line| line.starts_with("acked"));
    }
    let acked = run.kill();
    disk.cut_power(folder.path());
    check(folder.path(), &acked).await;
}

//! Every file of both folders, after a kill: missing, empty, cut off, of an earlier time, another
//! server's, with a flipped bit. A start then has everything that was acked, or refuses and names
//! the file; `livehelp check` says the same.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use protocol::frame::RequestId;
use protocol::ids::ConversationId;
use tempfile::TempDir;

use crate::client::{Client, new_message};
use crate::command::{PASSWORD, done, livehelp};
use crate::faults::{rejected, said};
use crate::http;
use crate::process::Process;
use crate::server::furnish;

/// A folder as a kill left it, one of an earlier time, and another server's.
struct Scene {
    folder: TempDir,
    good: PathBuf,
    older: PathBuf,
    foreign: PathBuf,
    people: Vec<(Option<String>, ConversationId, Vec<String>)>,
}

/// Copies what is below data and keys; what was there is gone.
fn copy(from: &Path, to: &Path) {
    for part in ["data", "keys"] {
        // Not there at first.
        drop(std::fs::remove_dir_all(to.join(part)));
        let status = Command::new("cp").arg("-a").arg(from.join(part)).arg(to).status().unwrap();
        assert!(status.success());
    }
}

impl Scene {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let beside = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        let (good, older, foreign) = (beside("good"), beside("older"), beside("foreign"));
        let mut people = Vec::new();
        let served = folder.path();
        for (place, kept) in [(&foreign, false), (&good, true)] {
            for part in ["data", "keys"] {
                drop(std::fs::remove_dir_all(served.join(part)));
            }
            furnish(served).await;
            if kept {
                copy(served, &older);
            }
            // The first run ends calmly, the second one does not.
            for run in 0..2 {
                let process = Process::start(served);
                let mut visitor = Client::visitor(&process, None, vec![]).await;
                let conversation = visitor.open().await;
                let words: Vec<_> = (0..5).map(|number| format!("{run}: {number}")).collect();
                for word in &words {
                    visitor.say(conversation, word).await;
                }
                if kept {
                    people.push((visitor.token.clone(), conversation, words));
                }
                match run {
                    0 => assert_eq!(process.stop(), Some(0)),
                    _ => process.kill(),
                }
            }
            copy(served, place);
        }
        Self { folder, good, older, foreign, people }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn restore(&self) {
        copy(&self.good, self.folder.path());
    }

    /// Starts it as it is now: whether it did. What was acked is there then.
    async fn starts(&self, what: &str) -> Result<(), String> {
        let process = Process::try_start(self.folder.path())?;
        for (token, conversation, words) in &self.people {
            assert_eq!(&said(&process, token.clone(), *conversation).await, words, "{what}");
        }
        process.kill();
        Ok(())
    }

    fn checks(&self) -> Result<(), String> {
        let (code, _, err) = done(livehelp(self.folder.path(), &["check"]));
        if code == 0 { Ok(()) } else { Err(err) }
    }
}

/// A bit in the middle of what is not zero.
fn flip(path: &Path, part: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let full: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    if let Some(at) = full.get(full.len() * part / 4) {
        bytes[*at] ^= 1;
    }
    std::fs::write(path, bytes).unwrap();
}

/// Does the damage; `false` where it cannot be done to this file.
fn harm(scene: &Scene, file: &str, how: &str) -> bool {
    let path = scene.path(file);
    let from = |other: &Path| {
        let other = other.join(file);
        let differs =
            std::fs::read(&other).is_ok_and(|bytes| bytes != std::fs::read(&path).unwrap());
        differs && std::fs::copy(other, &path).is_ok()
    };
    let cut = |bytes: u64| std::fs::File::options().write(true).open(&path).unwrap().set_len(bytes);
    match how {
        "missing" => std::fs::remove_file(&path).unwrap(),
        "empty" => cut(0).unwrap(),
        "cut off" => cut(std::fs::metadata(&path).unwrap().len() / 2).unwrap(),
        "older" => return from(&scene.older),
        "foreign" => return from(&scene.foreign),
        // Not every bit of a database is a byte of a page that hangs on others.
        "flipped" if file == "data/livehelp.sqlite" => {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[100] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
        _ => (1..4).for_each(|part| flip(&path, part)),
    }
    true
}

const HARMS: [&str; 6] = ["missing", "empty", "cut off", "older", "foreign", "flipped"];

/// Without these, or with others in their place, something that was acked is not there.
const NEEDED: [&str; 6] = [
    "data/livehelp.sqlite",
    "data/livehelp.sqlite-wal",
    "data/livehelp.journal",
    "keys/keys.sqlite",
    "keys/keys.sqlite-wal",
    "keys/master.key",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_start_has_all_that_was_acked_or_names_the_file_that_is_not_as_it_was() {
    let scene = Scene::new().await;
    let mut files: Vec<String> = Vec::new();
    for part in ["data", "keys"] {
        for entry in std::fs::read_dir(scene.good.join(part)).unwrap() {
            files.push(format!("{part}/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    files.sort();
    for needed in NEEDED {
        assert!(files.iter().any(|file| file == needed), "{needed} is among {files:?}");
    }
    scene.restore();
    scene.starts("as it was").await.unwrap();
    let mut faults = Vec::new();
    for file in &files {
        for how in HARMS {
            scene.restore();
            if !harm(&scene, file, how) {
                continue;
            }
            let what = format!("{file}, {how}");
            let checked = scene.checks();
            let started = scene.starts(&what).await;
            let is_needed = NEEDED.contains(&file.as_str());
            let name = file.split('/').next_back().unwrap().trim_end_matches("-wal");
            let wrong = match (&started, &checked) {
                // What is cut off or flipped may be something that nothing hangs on.
                (Ok(()), Ok(())) => is_needed && how != "cut off" && how != "flipped",
                (Err(words), Err(_)) => !is_needed || !words.contains(name),
                _ => true,
            };
            if wrong {
                faults.push((what, started, checked));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    scene.restore();
    scene.starts("put back").await.unwrap();
}

/// Several files at once, as of a copy that left some out, or was put back in part.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_has_all_that_was_acked_or_refuses_whichever_files_are_harmed_together() {
    let scene = Scene::new().await;
    let of = |part: &str| -> Vec<String> {
        let all = std::fs::read_dir(scene.good.join(part)).unwrap();
        all.map(|entry| format!("{part}/{}", entry.unwrap().file_name().to_str().unwrap()))
            .filter(|file| !file.ends_with(".lock") && !file.ends_with("reserve"))
            .collect()
    };
    let mut faults = Vec::new();
    for files in [of("data"), of("keys")] {
        for some in 1_u32..1 << files.len() {
            // One alone has its own test.
            if some.count_ones() < 2 {
                continue;
            }
            for how in ["missing", "older"] {
                scene.restore();
                let mut harmed: Vec<&String> = (0..files.len())
                    .filter(|nth| some & 1 << nth != 0)
                    .map(|nth| &files[nth])
                    .collect();
                harmed.retain(|file| harm(&scene, file, how));
                let Ok(process) = Process::try_start(scene.folder.path()) else { continue };
                for (token, conversation, words) in &scene.people {
                    let found = said(&process, token.clone(), *conversation).await;
                    if found != *words {
                        faults.push(format!("{how}: {harmed:?}: {found:?}"));
                    }
                }
                process.kill();
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_damaged_is_saved_as_far_as_it_can_be_read_where_the_loss_is_accepted() {
    let scene = Scene::new().await;
    scene.restore();
    let path = scene.path("data/livehelp.journal");
    let mut bytes = std::fs::read(&path).unwrap();
    // A batch of the newest epoch that others follow.
    let epoch_at = |at: usize| u64::from_le_bytes(bytes[at + 4..at + 12].try_into().unwrap());
    let batches: Vec<(u64, usize)> = (4096..bytes.len() - 64)
        .step_by(64)
        .filter(|at| bytes[*at..].starts_with(b"lvhb"))
        .map(|at| (epoch_at(at), at))
        .collect();
    let newest = batches.iter().map(|(epoch, _)| *epoch).max().unwrap();
    let last: Vec<usize> =
        batches.iter().filter(|(epoch, _)| *epoch == newest).map(|(_, at)| *at).collect();
    assert!(last.len() >= 3, "{batches:?}");
    bytes[last[1] + 60] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let refused = scene.starts("damaged").await.unwrap_err();
    assert!(
        refused.contains("livehelp.journal") && refused.contains("livehelp repair"),
        "{refused}"
    );
    let (code, out, err) = done(livehelp(scene.folder.path(), &["repair"]));
    assert!(code == 0 && out.contains("nothing was changed"), "{out}{err}");
    assert!(scene.starts("only looked at").await.is_err());
    let (code, out, err) = done(livehelp(scene.folder.path(), &["repair", "--accept-loss"]));
    assert!(code == 0 && out.contains(" saved, 1 or more lost"), "{out}{err}");
    let process = Process::try_start(scene.folder.path()).unwrap();
    let mut found = 0;
    for (token, conversation, words) in &scene.people {
        let said = said(&process, token.clone(), *conversation).await;
        assert!(said.iter().all(|word| words.contains(word)), "{said:?}");
        found += said.len();
    }
    assert_eq!(found, 9, "of ten");
    assert_eq!(process.stop(), Some(0));
    assert_eq!(scene.checks(), Ok(()));
}

/// What the other keys sealed is saved, by a word for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_open_is_given_up_where_the_loss_is_accepted() {
    let scene = Scene::new().await;
    scene.restore();
    Process::try_start(scene.folder.path()).unwrap().stop();
    {
        let keys = rusqlite::Connection::open(scene.path("keys/keys.sqlite")).unwrap();
        let damage = "UPDATE subject_keys SET wrapped = CAST(x'00' || substr(wrapped, 2) AS BLOB)
                      WHERE rowid = (SELECT max(rowid) FROM subject_keys)";
        assert_eq!(keys.execute(damage, []), Ok(1));
    }
    let refused = scene.starts("damaged").await.unwrap_err();
    assert!(refused.contains("keys.sqlite") && refused.contains("livehelp repair"), "{refused}");
    let (code, out, err) = done(livehelp(scene.folder.path(), &["repair"]));
    assert!(code == 0 && out.contains("keys that do not open: 1"), "{out}{err}");
    assert!(scene.starts("only looked at").await.is_err());
    let (code, out, err) = done(livehelp(scene.folder.path(), &["repair", "--accept-loss"]));
    assert!(code == 0 && out.contains("keys that do not open: 1"), "{out}{err}");
    assert!(!scene.path("data/livehelp.journal.damaged").exists(), "the journal is whole");
    let process = Process::try_start(scene.folder.path()).unwrap();
    let (token, conversation, words) = &scene.people[0];
    assert_eq!(&said(&process, token.clone(), *conversation).await, words);
    assert_eq!(process.stop(), Some(0));
    assert_eq!(scene.checks(), Ok(()));
    let (code, out, err) = done(livehelp(scene.folder.path(), &["repair", "--accept-loss"]));
    assert!(code == 0 && out.contains("nothing to repair"), "{out}{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_a_sealed_row_is_found_by_a_check() {
    let scene = Scene::new().await;
    scene.restore();
    Process::try_start(scene.folder.path()).unwrap().stop();
    let path = scene.path("data/livehelp.sqlite");
    let body: Vec<u8> = {
        let data = rusqlite::Connection::open(&path).unwrap();
        let sql = "SELECT body FROM messages ORDER BY id LIMIT 1";
        data.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(body.len()).position(|window| window == body).unwrap();
    bytes[at + 5] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = scene.checks().unwrap_err();
    assert!(
        refused.contains("1 sealed values in") && refused.contains("livehelp.sqlite"),
        "{refused}"
    );
}

/// What a copy of the one file that has a database's name leaves of a server that was killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_alone_after_a_kill_is_missed_by_itself() {
    let scene = Scene::new().await;
    scene.restore();
    for beside in
        ["livehelp.sqlite-wal", "livehelp.sqlite-shm", "livehelp.journal", "livehelp.mark"]
    {
        std::fs::remove_file(scene.path("data").join(beside)).unwrap();
    }
    let refused = scene.starts("alone").await.unwrap_err();
    assert!(refused.contains("livehelp.journal") && refused.contains("is missing"), "{refused}");
    assert!(scene.checks().is_err());
}

/// The others of its conversation are read, and it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_message_takes_nothing_else_with_it() {
    let scene = Scene::new().await;
    scene.restore();
    Process::try_start(scene.folder.path()).unwrap().stop();
    let (token, conversation, words) = &scene.people[0];
    {
        let data = rusqlite::Connection::open(scene.path("data/livehelp.sqlite")).unwrap();
        for (nth, damage) in [
            "body = CAST(x'00' || substr(body, 2) AS BLOB)",
            "message = zeroblob(16)",
            "author = 99",
        ]
        .iter()
        .enumerate()
        {
            let of = "id = (SELECT id FROM messages ORDER BY id LIMIT 1 OFFSET ?1)";
            let damaged = data.execute(&format!("UPDATE messages SET {damage} WHERE {of}"), [nth]);
            assert_eq!(damaged, Ok(1), "{damage}");
        }
    }
    let process = Process::try_start(scene.folder.path()).unwrap();
    assert_eq!(said(&process, token.clone(), *conversation).await, words[3..]);
    let mut visitor = Client::visitor(&process, token.clone(), vec![]).await;
    visitor.history(RequestId(0)).await;
    assert!(visitor.say(*conversation, "still there?").await.is_some());
    process.kill();
}

/// Nothing is acked that the next start would not find, and a file that is put back is gone on
/// with.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_taken_away_from_a_running_server_is_missed_at_once() {
    let scene = Scene::new().await;
    scene.restore();
    let (token, conversation, _) = &scene.people[0];
    for file in [
        "data",
        "data/livehelp.sqlite",
        "data/livehelp.sqlite-wal",
        "data/livehelp.journal",
        "keys",
        "keys/keys.sqlite",
    ] {
        let process = Process::try_start(scene.folder.path()).unwrap();
        let mut visitor = Client::visitor(&process, token.clone(), vec![]).await;
        visitor.history(RequestId(0)).await;
        let ready = async |wanted: u16| {
            while http::get(process.admin, "/readyz", &[]).await.status != wanted {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        ready(200).await;
        assert!(visitor.say(*conversation, "here").await.is_some(), "{file}");
        std::fs::rename(scene.path(file), scene.path("away")).unwrap();
        // The keys are looked at each second, the data before each ack.
        if file.starts_with("keys") {
            ready(503).await;
        }
        let request = visitor.next_request();
        visitor.send(request, *conversation, new_message(), "into nothing").await;
        assert_eq!(rejected(&mut visitor, request).await, ("store-unavailable", true), "{file}");
        ready(503).await;
        std::fs::rename(scene.path("away"), scene.path(file)).unwrap();
        ready(200).await;
        assert!(visitor.say(*conversation, "and on").await.is_some(), "{file}");
        // Without anybody who writes, too.
        std::fs::rename(scene.path(file), scene.path("away")).unwrap();
        ready(503).await;
        std::fs::rename(scene.path("away"), scene.path(file)).unwrap();
        ready(200).await;
        assert_eq!(process.stop(), Some(0), "{file}");
        assert_eq!(scene.checks(), Ok(()), "{file}");
    }
}

fn init(data: &Path, keys: &Path, more: &[&str]) -> (i32, String, String) {
    // Its own: several run at once.
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&password, PASSWORD).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_livehelp"));
    command.env_clear().arg("init").arg("--data").arg(data).arg("--keys").arg(keys);
    command.args(["--organization", "Demo", "--site", "Shop", "--origin", "https://shop.example"]);
    command.args(["--admin-email", "admin@example.test", "--admin-password-file"]);
    command.arg(password.path()).args(more);
    done(command)
}

fn rotate(data: &Path, keys: &Path) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_livehelp"));
    command.env_clear().arg("keys").arg("--data").arg(data).arg("--keys").arg(keys).arg("rotate");
    done(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_uses_the_keys_of_a_server_nor_does_other_data() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (data, keys, other) = (path("data"), path("keys"), path("other"));
    assert_eq!(init(&data, &keys, &[]).0, 0);
    let copied = Command::new("cp").arg("-a").arg(&data).arg(path("copy")).status().unwrap();
    assert!(copied.success());
    let before = |name: &str| std::fs::read(keys.join(name)).unwrap();
    let (operator, master) = (before("operator-key"), before("master.key"));
    // Stopped: other data is none of these keys' affair.
    let (code, _, err) = init(&other, &keys, &[]);
    assert!(code == 1 && err.contains("are not the keys of"), "{err}");
    assert_eq!(init(&path("third"), &path("third-keys"), &[]).0, 0);
    let (code, _, err) = rotate(&path("third"), &keys);
    assert!(code == 1 && err.contains("are not the keys of"), "{err}");
    // Running: not even through a copy of the data.
    let process = Process::start(folder.path());
    for (code, _, err) in [init(&path("fourth"), &keys, &[]), rotate(&path("copy"), &keys)] {
        assert!(code == 1 && err.contains("in use by another process"), "{err}");
    }
    assert_eq!((before("operator-key"), before("master.key")), (operator, master));
    assert_eq!(process.stop(), Some(0));
    Process::start(folder.path()).kill();
    // Keys whose data is gone seal no new data by themselves.
    std::fs::rename(&data, path("away")).unwrap();
    let refused = Process::try_start(folder.path()).unwrap_err();
    assert!(refused.contains("there is no data in"), "{refused}");
    let (code, _, err) = done(livehelp(folder.path(), &["check"]));
    assert!(code == 1 && err.contains("there is no data in"), "{err}");
    drop(std::fs::remove_dir_all(&data));
    std::fs::rename(path("away"), &data).unwrap();
    Process::start(folder.path()).kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn init_if_absent_makes_a_server_once_and_then_says_what_is_there() {
    let folder = TempDir::new().unwrap();
    let (data, keys) = (folder.path().join("data"), folder.path().join("keys"));
    let (code, out, err) = init(&data, &keys, &["--if-absent"]);
    assert!(code == 0 && out.contains("site_key"), "{err}");
    let there = r#""made":false"#;
    for running in [false, true] {
        let process = running.then(|| Process::start(folder.path()));
        let (code, out, err) = init(&data, &keys, &["--if-absent"]);
        assert!(code == 0 && out.contains(there) && out.contains(r#""tenants":1"#), "{out}{err}");
        assert_eq!(out.lines().count(), 1);
        drop(process);
    }
    // Several at once, as of containers that start together: one makes it.
    let (data, keys) = (folder.path().join("other"), folder.path().join("other-keys"));
    let all: Vec<_> = std::thread::scope(|scope| {
        let one = || init(&data, &keys, &["--if-absent"]);
        let all: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(all.iter().all(|(code, ..)| *code == 0), "{all:?}");
    assert_eq!(all.iter().filter(|(_, out, _)| out.contains("site_key")).count(), 1, "{all:?}");
    std::fs::rename(keys.join("master.key"), folder.path().join("master")).unwrap();
    let (code, _, err) = init(&data, &keys, &["--if-absent"]);
    assert!(code == 1 && err.contains("master.key is missing"), "{err}");
}

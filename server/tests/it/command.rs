//! The program as a person or a script uses it: exit codes, the line on stdout, words on stderr.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use testkit::Organization;

pub fn livehelp(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_livehelp"));
    let (data, keys) = (folder.join("data"), folder.join("keys"));
    let (subcommand, rest) = arguments.split_first().unwrap();
    command.env_clear().arg(subcommand).arg("--data").arg(data).arg("--keys").arg(keys).args(rest);
    command
}

pub fn done(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

pub fn init(folder: &Path, more: &[&str]) -> Value {
    let demo = Organization {
        name: "Demo",
        site: "Shop",
        origin: "https://shop.example",
        admin_email: "admin@example.test",
        admin_password: PASSWORD,
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_livehelp"));
    testkit::init(command.env_clear(), folder, &demo, more).unwrap()
}

const FREE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

/// What `init` was told.
pub const PASSWORD: &str = "correct horse battery staple";

/// A running server that ends with the test.
pub struct Serving {
    process: testkit::Process,
    /// Elsewhere: nothing but the server's own files lies in its folder.
    _log: TempDir,
}

impl Serving {
    pub fn start(folder: &Path, more: &[&str]) -> Self {
        let mut command = livehelp(folder, &FREE);
        command.args(more);
        command.args(["--drain-grace-ms", "0", "--drain-ms", "0"]);
        let log = TempDir::new().unwrap();
        let process = testkit::Process::spawn(&mut command, &log.path().join("log")).unwrap();
        let said = process.ready.said.to_string();
        assert!(said.contains(r#""ready":true"#) && said.contains("http://127.0.0.1:"), "{said}");
        Self { process, _log: log }
    }

    pub fn stop(&mut self, signal: Signal) -> Option<i32> {
        self.process.stop(signal).unwrap().code()
    }

    pub fn address(&self, listener: &str) -> &str {
        self.process.ready.said[listener].as_str().unwrap().trim_start_matches("http://")
    }
}

#[test]
fn a_server_is_made_served_asked_and_ended_by_its_commands() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = done(livehelp(folder.path(), &["check"]));
    assert!(code == 1 && err.contains("livehelp init"), "{err}");
    let made = init(folder.path(), &[]);
    let key_file = made["operator_key_file"].as_str().unwrap();
    let mode = std::fs::metadata(key_file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut serving = Serving::start(folder.path(), &[]);
    let pid = serving.process.child.id();
    assert_eq!(serving.process.ready.said["pid"], pid);
    assert_eq!(serving.process.ready.said["demo"], Value::Null);
    let admin = ["operator", "--admin-listen", serving.address("admin")];
    let (code, out, err) = done(livehelp(folder.path(), &[&admin[..], &["tenants"]].concat()));
    assert_eq!(code, 0, "{err}");
    let tenants: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(tenants["items"][0]["tenant_id"], made["tenant_id"]);
    // A second server is told who has the folder, and which port is taken.
    for taken in [&FREE[..], &["keys", "rotate"]] {
        let (code, _, err) = done(livehelp(folder.path(), taken));
        assert!(code == 1 && err.contains(&format!("process {pid}")), "{err}");
    }
    let public = serving.address("public");
    let (code, _, err) = done(livehelp(folder.path(), &["serve", "--listen", public]));
    assert!(code == 1 && err.contains(public) && err.contains("--listen"), "{err}");
    assert_eq!(serving.process.stop(Signal::TERM).unwrap().code(), Some(0));
    let logs = serving.process.log();
    assert!(!logs.contains("admin@example.test") && !logs.contains("horse"), "{logs}");
    let master = Path::new(key_file).with_file_name("master.key");
    let before = std::fs::read(&master).unwrap();
    let (code, out, err) = done(livehelp(folder.path(), &["keys", "rotate"]));
    assert!(code == 0 && out.contains("under a new master key"), "{out}{err}");
    assert_ne!(std::fs::read(&master).unwrap(), before);
    let (code, out, err) = done(livehelp(folder.path(), &["check"]));
    assert!(code == 0 && out.contains("keys and data: good"), "{out}{err}");
}

/// Name, size and time of every file and folder below.
fn listed(folder: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let about = entry.metadata().unwrap();
        found.push((entry.path(), about.len(), about.modified().unwrap()));
        if about.is_dir() {
            found.extend(listed(&entry.path()));
        }
    }
    found.sort();
    found
}

/// A server writes its first mark a moment after it is ready.
#[expect(clippy::disallowed_methods, reason = "a test without a runtime")]
fn wait_until_quiet(folder: &Path) {
    let mut before = Vec::new();
    loop {
        let now = listed(folder);
        if now == before {
            return;
        }
        before = now;
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The program's answer, where the folders stay as they are.
fn checked(folder: &Path) -> (i32, String, String) {
    let before = listed(folder);
    let answer = done(livehelp(folder, &["check"]));
    assert_eq!(listed(folder), before, "a check changes nothing");
    answer
}

#[test]
fn a_check_looks_and_leaves_everything_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = checked(folder.path());
    assert!(code == 1 && err.contains("there is no server"), "{err}");
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let (code, out, err) = checked(folder.path());
    assert!(code == 1 && err.contains("is empty") && err.contains("livehelp init"), "{out}{err}");

    init(folder.path(), &[]);
    let (code, out, err) = checked(folder.path());
    assert!(code == 0 && out.contains("keys and data: good"), "{out}{err}");

    let serving = Serving::start(folder.path(), &[]);
    let pid = serving.process.child.id();
    wait_until_quiet(folder.path());
    let (code, out, err) = checked(folder.path());
    assert!(code == 0 && out.contains(&format!("process {pid};")), "{out}{err}");
    let (code, _, err) = done(livehelp(folder.path(), &["check", "--tls-cert", "/nowhere"]));
    assert!(code != 0 && err.contains("tls"), "the settings are checked all the same: {err}");
    // Ends as by a loss of power: its log lies beside the data.
    drop(serving);
    assert!(folder.path().join("data/livehelp.sqlite-wal").exists());
    let (code, out, err) = checked(folder.path());
    assert!(code == 0 && out.contains("keys and data: good"), "{out}{err}");

    let keys = folder.path().join("keys");
    std::fs::rename(&keys, folder.path().join("elsewhere")).unwrap();
    let (code, _, err) = checked(folder.path());
    assert!(code == 1 && err.contains("no keys in"), "{err}");
}

#[test]
fn a_check_says_that_older_data_would_be_migrated_and_does_not_do_it() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path(), &[]);
    let path = folder.path().join("data/livehelp.sqlite");
    let version = |set: Option<u32>| -> u32 {
        let connection = rusqlite::Connection::open(&path).unwrap();
        if let Some(version) = set {
            connection.pragma_update(None, "user_version", version).unwrap();
        }
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    let newest = version(None);
    version(Some(1));
    let (code, out, err) = checked(folder.path());
    let words = format!("data: of version 1; the next start brings it to version {newest}");
    assert!(code == 0 && out.contains(&words), "{out}{err}");
    assert_eq!(version(None), 1);
    version(Some(newest + 1));
    let (code, _, err) = checked(folder.path());
    assert!(code == 1 && err.contains("use a newer one"), "{err}");
}

#[test]
fn operator_keys_are_made_and_revoked_and_a_stale_file_gives_way() {
    let folder = tempfile::tempdir().unwrap();
    let made = init(folder.path(), &[]);
    let key_file = Path::new(made["operator_key_file"].as_str().unwrap()).to_owned();
    let first = std::fs::read_to_string(&key_file).unwrap();
    init(folder.path(), &[]);
    assert_eq!(std::fs::read_to_string(&key_file).unwrap(), first, "one operator, one key");

    std::fs::remove_dir_all(folder.path().join("data")).unwrap();
    init(folder.path(), &[]);
    assert_ne!(std::fs::read_to_string(&key_file).unwrap(), first, "it opened nothing any more");
    assert_eq!(std::fs::metadata(&key_file).unwrap().permissions().mode() & 0o777, 0o600);

    let serving = Serving::start(folder.path(), &[]);
    let operator = |more: &[&str]| {
        let admin = ["operator", "--admin-listen", serving.address("admin")];
        let (code, out, err) = done(livehelp(folder.path(), &[&admin[..], more].concat()));
        (code, serde_json::from_str::<Value>(&out).unwrap_or_default(), err)
    };
    let (code, listed, err) = operator(&["keys", "list"]);
    assert_eq!((code, listed["items"].as_array().map(Vec::len)), (0, Some(1)), "{err}");
    let only = listed["items"][0]["key_id"].as_str().unwrap();
    let (code, _, err) = operator(&["keys", "delete", only]);
    assert!(code == 1 && err.contains("last key"), "{err}");
    let (code, made, err) =
        operator(&["keys", "create", "--name", "ci", "--scope", "tenants:read"]);
    assert_eq!(code, 0, "{err}");
    let other = folder.path().join("other-key");
    std::fs::write(&other, made["text"].as_str().unwrap()).unwrap();
    let other = other.to_str().unwrap();
    assert_eq!(operator(&["--key-file", other, "tenants"]).0, 0);
    let (code, _, err) = operator(&["--key-file", other, "clock"]);
    assert!(code == 1 && err.contains("clock:confirm"), "{err}");
    assert_eq!(operator(&["keys", "delete", made["key_id"].as_str().unwrap()]).0, 0);
    assert_eq!(operator(&["--key-file", other, "tenants"]).0, 1);
}

#[test]
fn a_store_in_memory_is_served_on_loopback_only_and_never_made_beforehand() {
    let folder = tempfile::tempdir().unwrap();
    let open = ["serve", "--store", "memory", "--listen", "0.0.0.0:0", "--insecure-http"];
    let (code, out, err) = done(livehelp(folder.path(), &open));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("`store` = memory and `listen` = 0.0.0.0:0"), "{err}");
    std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
    let mut command = livehelp(folder.path(), &["init", "--store", "memory"]);
    command.args(["--organization", "Demo", "--site", "Shop", "--origin", "https://shop.example"]);
    command.args(["--admin-email", "admin@example.test", "--admin-password-file"]);
    let (code, out, err) = done({
        command.arg(folder.path().join("password"));
        command
    });
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("`store` = memory keeps nothing") && err.contains("serve"), "{err}");
    let (code, out, err) = done(livehelp(folder.path(), &["check", "--store", "memory"]));
    assert!(code == 0 && out.contains("store: memory, which keeps nothing"), "{out}{err}");
    assert!(!folder.path().join("keys").exists(), "nothing was made");
}

#[test]
fn settings_that_cannot_be_used_end_with_2_and_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = livehelp(folder.path(), &["serve"]);
    command.env("LIVEHELP_LISEN", "127.0.0.1:1");
    let (code, out, err) = done(command);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("`lisen`") && err.contains("did you mean `listen`?"), "{err}");
    let (code, out, _) = done(livehelp(folder.path(), &["serve", "--print-config", "--demo"]));
    assert_eq!(code, 0);
    assert!(
        out.lines()
            .any(|line| line.starts_with("demo = \"true\"") && line.ends_with("# flag --demo")),
        "{out}"
    );
    assert!(!folder.path().join("data").exists(), "nothing was made");
}

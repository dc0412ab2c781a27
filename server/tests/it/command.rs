//! The program as a person or a script uses it: exit codes, the line on stdout, words on stderr.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn livehelp(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_livehelp"));
    let (data, keys) = (folder.join("data"), folder.join("keys"));
    let (subcommand, rest) = arguments.split_first().unwrap();
    command.env_clear().arg(subcommand).arg("--data").arg(data).arg("--keys").arg(keys).args(rest);
    command
}

fn done(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

pub fn init(folder: &Path, more: &[&str]) -> Value {
    std::fs::write(folder.join("password"), format!("{PASSWORD}\n")).unwrap();
    let mut command = livehelp(folder, &["init", "--organization", "Demo", "--site", "Shop"]);
    command.args(["--origin", "https://shop.example", "--admin-email", "admin@example.test"]);
    command.arg("--admin-password-file").arg(folder.join("password")).args(more);
    let (code, out, err) = done(command);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out.lines().count(), 1);
    serde_json::from_str(&out).unwrap()
}

const FREE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

/// What `init` was told.
pub const PASSWORD: &str = "correct horse battery staple";

/// A running server that ends with the test.
pub struct Serving {
    child: Child,
    ready: Value,
}

impl Serving {
    pub fn start(folder: &Path, more: &[&str]) -> Self {
        let mut command = livehelp(folder, &FREE);
        command.args(more);
        command.args(["--drain-grace-ms", "0", "--drain-ms", "0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with(r#"{"ready":true,"public":"http://127.0.0.1:"#), "{line}");
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    pub fn address(&self, listener: &str) -> &str {
        self.ready[listener].as_str().unwrap().trim_start_matches("http://")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _killed = self.child.kill();
        let _status = self.child.wait();
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
    let pid = serving.child.id();
    assert_eq!(serving.ready["pid"], pid);
    assert_eq!(serving.ready["demo"], Value::Null);
    let admin = ["operator", "--admin-listen", serving.address("admin")];
    let (code, out, err) = done(livehelp(folder.path(), &[&admin[..], &["tenants"]].concat()));
    assert_eq!(code, 0, "{err}");
    let tenants: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(tenants["items"][0]["tenant_id"], made["tenant_id"]);
    // A second server is told who has the folder, and which port is taken.
    let (code, _, err) = done(livehelp(folder.path(), &FREE));
    assert!(code == 1 && err.contains(&format!("process {pid}")), "{err}");
    let public = serving.address("public");
    let (code, _, err) = done(livehelp(folder.path(), &["serve", "--listen", public]));
    assert!(code == 1 && err.contains(public) && err.contains("--listen"), "{err}");
    let ended = Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
    assert!(ended.success());
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    let mut logs = String::new();
    serving.child.stderr.take().unwrap().read_to_string(&mut logs).unwrap();
    assert!(!logs.contains("admin@example.test") && !logs.contains("horse"), "{logs}");
    let (code, out, err) = done(livehelp(folder.path(), &["check"]));
    assert!(code == 0 && out.contains("keys and data: good"), "{out}{err}");
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

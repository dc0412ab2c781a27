//! The harness's program, run as people run it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::server::Server;

/// What is 0 in a run in which nothing went wrong.
pub const INVARIANTS: [&str; 16] = [
    "lost",
    "duplicate",
    "reordered",
    "corrupt",
    "misdelivered",
    "unacked",
    "unsent",
    "refused",
    "rejected",
    "disconnects",
    "connect_failures",
    "over_capacity",
    "offered_twice",
    "position_grew",
    "out_of_turn",
    "unrepelled",
];

/// What a run came to.
pub struct Ran {
    pub code: i32,
    pub result: Value,
    pub stderr: String,
    pub stdout: String,
    pub out: TempDir,
}

impl Ran {
    pub fn figure(&self, name: &str) -> f64 {
        self.result["figures"][name]
            .as_f64()
            .unwrap_or_else(|| panic!("no {name}: {}", self.told()))
    }

    /// Whether the threshold of this figure was kept.
    pub fn kept(&self, figure: &str) -> bool {
        let all = self.result["thresholds"].as_array().unwrap();
        let judged = all.iter().find(|judged| judged["figure"] == figure).unwrap();
        judged["kept"].as_bool().unwrap()
    }

    /// Every message came once, in order and unchanged.
    pub fn is_clean(&self) {
        for name in INVARIANTS {
            assert_eq!(self.figure(name), 0.0, "{name}: {}", self.told());
        }
        assert!(self.figure("received") > 0.0, "{}", self.told());
    }

    pub fn told(&self) -> String {
        format!("exit {}\n{}\n{}\n{}", self.code, self.result["examples"], self.stdout, self.stderr)
    }
}

pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_livehelp-load"));
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A scenario as a file.
pub fn file(folder: &Path, scenario: &str) -> PathBuf {
    let path = folder.join("scenario.toml");
    std::fs::write(&path, format!("name = \"test\"\n{scenario}")).unwrap();
    path
}

pub struct Started {
    pub child: Child,
    out: TempDir,
}

/// Starts a run against the server, by way of `public`.
pub fn start(server: &Server, public: SocketAddr, scenario: &str, more: &[&str]) -> Started {
    let pid = std::process::id().to_string();
    begin(server, public, scenario, &[&["--pid", &pid], more].concat())
}

fn begin(server: &Server, public: SocketAddr, scenario: &str, more: &[&str]) -> Started {
    launch(scenario, |command| {
        command
            .args(["--server", &format!("http://{public}")])
            .args(["--admin", &format!("http://{}", server.admin)])
            .arg("--operator-key-file")
            .arg(server.operator_key_file())
            .args(more);
    })
}

/// Starts a run of a shipped scenario, or of lines of one, with these further arguments.
pub fn launch(scenario: &str, set: impl FnOnce(&mut Command)) -> Started {
    let out = TempDir::new().unwrap();
    let shipped = !scenario.contains('\n');
    let scenario = if shipped { PathBuf::from(scenario) } else { file(out.path(), scenario) };
    let mut command = command();
    command.arg("run").arg(scenario).arg("--out").arg(out.path());
    set(&mut command);
    Started { child: command.spawn().unwrap(), out }
}

impl Started {
    pub async fn end(self) -> Ran {
        let output = self.child.wait_with_output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = std::fs::read_to_string(self.out.path().join("result.json"));
        let result = text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        Ran { code: output.status.code().unwrap(), result, stderr, stdout, out: self.out }
    }
}

/// A run that goes on, and what it says.
pub struct Running {
    started: Started,
    lines: Lines<BufReader<ChildStderr>>,
    last: String,
}

impl Running {
    pub fn start(server: &Server, public: SocketAddr, scenario: &str, more: &[&str]) -> Self {
        Self::of(start(server, public, scenario, more))
    }

    pub fn of(mut started: Started) -> Self {
        let lines = BufReader::new(started.child.stderr.take().unwrap()).lines();
        Self { started, lines, last: String::new() }
    }

    /// Until it says so; the whole line.
    pub async fn says(&mut self, words: &str) -> String {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            if line.contains(words) {
                return line;
            }
            self.last = line;
        }
        panic!("it never said {words}, but last {}", self.last);
    }

    /// Until a second of this phase is over.
    pub async fn phase(&mut self, phase: &str) {
        self.says(&format!("s  {phase} ")).await;
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.started.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// The same with nobody who reads what it says.
    pub fn unheard(self) -> Started {
        self.started
    }

    /// What it came to; its last words are `stderr`.
    pub async fn end(mut self) -> Ran {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            self.last = line;
        }
        Ran { stderr: self.last, ..self.started.end().await }
    }
}

/// The same to its end.
pub async fn run(server: &Server, scenario: &str, more: &[&str]) -> Ran {
    start(server, server.public, scenario, more).end().await
}

/// The same with nothing but `/metrics` to tell what the server costs.
pub async fn run_by_metrics(server: &Server, scenario: &str, more: &[&str]) -> Ran {
    begin(server, server.public, scenario, more).end().await
}

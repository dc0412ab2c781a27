//! How a program is started: it ends with this process, however that ends (`setpriv --pdeathsig`, util-linux, sees to it),
//! and its first line says where it listens.
//!
//! Lives here: starting and reading that line. Not here: which programs (`peer`), and those that say nothing (`backing`).

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// livehelp on a free port, everything on as by default, with limits that a driver does not meet.
pub(super) const SERVE: [&str; 24] = [
    "serve",
    "--listen=127.0.0.1:0",
    "--admin-listen=127.0.0.1:0",
    "--log-level=warn",
    "--connections-per-ip-max=1000000",
    "--messages-per-minute=10000000",
    "--agent-messages-per-minute=10000000",
    "--messages-burst=1000000",
    "--requests-per-minute=10000000",
    "--requests-burst=1000000",
    "--frames-per-second=1000000",
    "--frames-burst=1000000",
    "--handshakes-per-ip-max=1000000",
    "--connections-max=20000",
    "--conversations-per-ip-hour-max=1000000",
    // Nobody is given another agent's conversation while the members come in.
    "--agent-grace-ms=3600000",
    "--agent-capacity=100",
    "--drain-grace-ms=0",
    "--drain-ms=0",
    "--hello-timeout-ms=60000",
    "--header-ms=60000",
    // The driver may be busy elsewhere for a while; nobody is to be sent away for that.
    "--pong-ms=60000",
    "--store-patience-ms=60000",
    "--offer-ms=600000",
];

/// Begins a command that ends with this process.
pub(super) fn with_this_process() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    command
}

/// What a program's first line says.
pub(super) struct Ready {
    pub(super) public: SocketAddr,
    pub(super) admin: Option<SocketAddr>,
}

impl Ready {
    fn read(line: &str) -> Option<Self> {
        let said: serde_json::Value = serde_json::from_str(line).ok()?;
        let listener = |name| said.get(name)?.as_str()?.rsplit_once('/')?.1.parse().ok();
        Some(Self { public: listener("public")?, admin: listener("admin") })
    }
}

/// Starts a program whose first line says where it listens.
pub(super) fn spawn(command: &mut Command, folder: &Path) -> Result<(Child, Ready)> {
    let log = folder.join("log.txt");
    let errors = File::create(&log).with_context(|| format!("make {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .context("start the program")?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line).context("read where it listens")?;
    }
    let ready = Ready::read(&line);
    if ready.is_none() {
        let _killed = child.kill();
        let _status = child.wait();
    }
    let said = || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        format!("it does not say where it listens, but {line:?} and {log:?}")
    };
    Ok((child, ready.with_context(said)?))
}

//! The server as a process of its own, which can be killed, starved and listened to.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use protocol::ids::{AgentId, SiteKey};

use crate::server::Site;

/// The agents of every test's Organization.
pub const AGENTS: [AgentId; 2] = [AgentId::from_bytes([1; 16]), AgentId::from_bytes([2; 16])];

/// The public name of every test's site.
pub fn site_key() -> SiteKey {
    SiteKey::from_random([7; 16])
}

/// A running server that ends with the test.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pub site: Site,
    log: PathBuf,
}

impl Deref for Process {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

/// The command that serves a folder on free ports, without limits that a load would meet.
pub fn serve(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_livehelp"));
    command
        .arg("serve")
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .args(["--messages-per-minute", "1000000", "--messages-burst", "1000000"])
        .args(["--frames-per-second", "100000", "--frames-burst", "1000000"])
        .args(["--drain-grace-ms", "0", "--drain-ms", "0"])
        .arg("--data")
        .arg(folder.join("data"))
        .arg("--keys")
        .arg(folder.join("keys"))
        .env_remove("LIVEHELP_CONFIG");
    command
}

/// Gives another value to a flag that the command has, or starts another program with the same flags.
pub fn change(command: &mut Command, flag: &str, value: &Path) {
    let mut arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut program = command.get_program().to_owned();
    match arguments.iter().position(|argument| argument == flag) {
        Some(at) => arguments[at + 1] = value.into(),
        None => program = value.into(),
    }
    *command = Command::new(program);
    command.args(arguments).env_remove("LIVEHELP_CONFIG");
    command.stdout(Stdio::null()).stderr(Stdio::piped());
}

impl Process {
    /// Serves a furnished folder.
    pub fn start(folder: &Path) -> Self {
        Self::start_as(folder, |_| {})
    }

    /// The same with more flags or variables.
    pub fn start_as(folder: &Path, set: impl FnOnce(&mut Command)) -> Self {
        Self::try_start_as(folder, set).expect("the ready line")
    }

    /// Serves a folder that may not be fit for it; then what is said of it.
    pub fn try_start(folder: &Path) -> Result<Self, String> {
        Self::try_start_as(folder, |_| {})
    }

    fn try_start_as(folder: &Path, set: impl FnOnce(&mut Command)) -> Result<Self, String> {
        let log = folder.join("log");
        let stderr = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut command = serve(folder);
        command.stdout(Stdio::piped()).stderr(stderr);
        set(&mut command);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Ok(ready) = serde_json::from_str::<serde_json::Value>(&line) else {
            child.wait().unwrap();
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(log.lines().last().unwrap_or_default().to_owned());
        };
        let listener = |name: &str| -> SocketAddr {
            ready[name].as_str().unwrap().trim_start_matches("http://").parse().unwrap()
        };
        let (address, admin) = (listener("public"), listener("admin"));
        let site = Site { address, admin, site_key: site_key(), agents: AGENTS };
        Ok(Self { child, site, log })
    }

    /// Everything that it has logged, and whatever served the folder before it.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; its exit code.
    pub fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

//! A server of the harness's own: made in a folder that is thrown away, started on free ports, stopped by its process id.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::process::Usage;
use crate::setup::ORIGIN;

/// Time to be ready, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Limits that a load would meet, raised; and no time lost at the end.
pub(crate) const FLAGS: [&str; 20] = [
    "--listen=127.0.0.1:0",
    "--admin-listen=127.0.0.1:0",
    "--connections-per-ip-max=1000000",
    "--messages-per-minute=10000000",
    "--messages-burst=1000000",
    "--agent-messages-per-minute=10000000",
    "--requests-per-minute=10000000",
    "--requests-burst=1000000",
    "--key-requests-per-minute=10000000",
    "--key-requests-burst=1000000",
    "--address-requests-per-minute=10000000",
    "--address-requests-burst=1000000",
    "--frames-per-second=1000000",
    "--frames-burst=1000000",
    "--conversations-per-ip-hour-max=1000000",
    "--handshakes-per-ip-max=1000000",
    "--connections-max=1000000",
    "--drain-grace-ms=0",
    "--drain-ms=0",
    "--log-level=warn",
];

#[derive(Debug)]
pub(crate) struct Throwaway {
    child: Child,
    folder: TempDir,
    pub(crate) pid: u32,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) operator_key: String,
    /// All that it was started with, but for its folder.
    pub(crate) flags: Vec<String>,
}

/// The server's program: as said, or beside this one, or where the system looks for programs.
pub(crate) fn program(said: Option<&Path>) -> PathBuf {
    if let Some(said) = said {
        return said.to_owned();
    }
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(|folder| folder.join("livehelp"));
    beside.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from("livehelp"))
}

impl Throwaway {
    /// Makes and starts it; `flags` come after the harness's own and so overrule them.
    ///
    /// # Errors
    /// If it is not ready in time.
    pub(crate) async fn start(program: &Path, flags: &[String]) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("livehelp-load-")
            .tempdir()
            .context("cannot make a folder")?;
        let (data, keys) = (folder.path().join("data"), folder.path().join("keys"));
        let password = folder.path().join("password");
        std::fs::write(&password, "a long password of a load run\n")
            .context("cannot write a password")?;
        let made = Command::new(program)
            .args(["init", "--organization", "Load", "--site", "Load", "--origin", ORIGIN])
            .args(["--admin-email", "admin@load.example", "--admin-password-file"])
            .arg(&password)
            .arg("--data")
            .arg(&data)
            .arg("--keys")
            .arg(&keys)
            .output()
            .await
            .with_context(|| format!("cannot run {} (flag --binary)", program.display()))?;
        if !made.status.success() {
            bail!("`livehelp init` failed: {}", String::from_utf8_lossy(&made.stderr).trim());
        }
        let operator_key =
            std::fs::read_to_string(keys.join("operator-key")).context("no operator's key")?;
        let log = std::fs::File::create(folder.path().join("log")).context("cannot make a log")?;
        let flags = overruled(flags);
        let mut child = Command::new(program)
            .arg("serve")
            .arg("--data")
            .arg(&data)
            .arg("--keys")
            .arg(&keys)
            .args(&flags)
            .stdout(Stdio::piped())
            .stderr(log)
            // Ctrl-C goes to whoever is in the group of the terminal: it ends the run, and the run then ends this.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let pid = child.id().context("the server ended at once")?;
        let ready = tokio::time::timeout(PATIENCE, ready(&mut child)).await;
        match ready.context("the server was not ready in time").and_then(|ready| ready) {
            Ok((public, admin)) => {
                let operator_key = operator_key.trim().to_owned();
                Ok(Self { child, folder, pid, public, admin, operator_key, flags })
            }
            Err(error) => {
                let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                Err(error.context(format!("the server did not start: {}", log.trim())))
            }
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_gone(&self) -> bool {
        // Of a process that has ended, and that nobody waited for, this file says nothing more.
        Usage::of(&[self.pid]).is_err()
    }

    /// Stops it as an operator would.
    ///
    /// # Errors
    /// If it does not end in time, or not well: with its log.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, Signal::TERM).context("cannot stop the server")?;
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status =
            ended.context("the server did not stop in time")?.context("lost the server")?;
        if !status.success() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            bail!("the server ended with {status}: {}", log.trim());
        }
        Ok(())
    }
}

/// The harness's own flags but for those that are given as well, and what is given.
fn overruled(given: &[String]) -> Vec<String> {
    let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
    let kept = FLAGS.iter().filter(|flag| given.iter().all(|other| name(other) != name(flag)));
    kept.map(|flag| (*flag).to_owned()).chain(given.iter().cloned()).collect()
}

/// Its first line says where it listens.
async fn ready(child: &mut Child) -> Result<(SocketAddr, SocketAddr)> {
    let stdout = child.stdout.take().context("the server's output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).await.context("cannot read the server's output")?;
    let ready: serde_json::Value = serde_json::from_str(&line).context("no ready line")?;
    let listener = |name: &str| -> Result<SocketAddr> {
        let text = ready.get(name).and_then(serde_json::Value::as_str).context("no address")?;
        let address = text.rsplit('/').next().unwrap_or_default();
        address.parse().with_context(|| format!("an address of another form: {text}"))
    };
    Ok((listener("public")?, listener("admin")?))
}

//! The server's program: made by its own `init`, served on free ports, in a folder that is thrown
//! away.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;

/// Free ports, limits raised that a load from one address would meet, and no time lost at the end.
pub const FLAGS: [&str; 20] = [
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

/// [`FLAGS`] but for those that are given as well, and what is given.
pub fn flags(given: &[impl AsRef<str>]) -> Vec<String> {
    let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
    let other = |flag: &&&str| given.iter().all(|given| name(given.as_ref()) != name(flag));
    let given = given.iter().map(|flag| flag.as_ref().to_owned());
    FLAGS.iter().filter(other).map(|flag| (*flag).to_owned()).chain(given).collect()
}

/// `--data` and `--keys` of a server whose folders lie in this one.
fn folders(folder: &Path) -> [OsString; 4] {
    let (data, keys) = (folder.join("data"), folder.join("keys"));
    ["--data".into(), data.into(), "--keys".into(), keys.into()]
}

/// The command that serves a folder on free ports, with limits raised that most tests would meet:
/// each flag and its value are two arguments, so that a test finds and changes them.
pub fn serve(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg("serve")
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .args(["--messages-per-minute", "1000000", "--messages-burst", "1000000"])
        .args(["--frames-per-second", "100000", "--frames-burst", "1000000"])
        .args(["--drain-grace-ms", "0", "--drain-ms", "0"])
        .args(folders(folder))
        .stdin(Stdio::null())
        .env_remove("LIVEHELP_CONFIG");
    command
}

/// What `init` is told.
#[derive(Debug, Clone, Copy)]
pub struct Organization<'a> {
    pub name: &'a str,
    /// The name of its site.
    pub site: &'a str,
    /// The page that visitors are on.
    pub origin: &'a str,
    pub admin_email: &'a str,
    pub admin_password: &'a str,
}

/// Makes a server with this Organization in a folder, by the program's own `init` with these
/// further flags: what it says of it. The operator's key is then in `keys/operator-key`, and the
/// admin's password in `password`.
///
/// # Errors
/// If the program cannot be started, or fails: with its words.
pub fn init(
    program: &mut Command,
    folder: &Path,
    organization: &Organization<'_>,
    more: &[&str],
) -> Result<Value> {
    let Organization { name, site, origin, admin_email, admin_password } = organization;
    let password = folder.join("password");
    std::fs::write(&password, format!("{admin_password}\n")).context("cannot write a password")?;
    let made = program
        .args(["init", "--organization", name, "--site", site, "--origin", origin])
        .args(["--admin-email", admin_email, "--admin-password-file"])
        .arg(&password)
        .args(folders(folder))
        .args(more)
        .output()
        .with_context(|| format!("cannot run {}", program.get_program().display()))?;
    if !made.status.success() {
        bail!("`livehelp init` failed: {}", String::from_utf8_lossy(&made.stderr).trim());
    }
    let said = String::from_utf8_lossy(&made.stdout);
    ensure!(said.lines().count() == 1, "`livehelp init` says {said:?}, which is not one line");
    serde_json::from_str(&said).context("`livehelp init` says no JSON")
}

/// A server in a folder that is thrown away, which ends with its owner.
#[derive(Debug)]
pub struct Throwaway {
    process: Process,
    folder: TempDir,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub operator_key: String,
    /// All that it was started with, but for its folder.
    pub flags: Vec<String>,
}

impl Throwaway {
    /// Makes and starts it with [`flags`]; `set` changes the command that serves.
    ///
    /// # Errors
    /// If it cannot be made, or is not ready in time: with its log.
    pub fn start(
        program: &Path,
        organization: &Organization<'_>,
        given: &[String],
        set: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("livehelp-").tempdir();
        let folder = folder.context("cannot make a folder")?;
        init(&mut Command::new(program), folder.path(), organization, &[])?;
        let operator_key = std::fs::read_to_string(folder.path().join("keys/operator-key"));
        let operator_key = operator_key.context("no operator's key")?.trim().to_owned();
        let flags = flags(given);
        let mut command = Command::new(program);
        command.arg("serve").args(folders(folder.path())).args(&flags).stdin(Stdio::null());
        set(&mut command);
        let process = Process::spawn(&mut command, &folder.path().join("log"));
        let process = process.context("the server did not start")?;
        let (public, admin) = (process.ready.public, process.ready.admin);
        let admin = admin.context("the server did not start: it names no admin listener")?;
        Ok(Self { process, folder, public, admin, operator_key, flags })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// The folder that has its `data`, its `keys` and its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file with the operator's key.
    pub fn operator_key_file(&self) -> PathBuf {
        self.folder().join("keys/operator-key")
    }

    /// Ends it by a signal; an operator's is SIGTERM.
    ///
    /// # Errors
    /// If it does not end in time, or not well: with its log.
    pub fn stop(mut self, by: Signal) -> Result<()> {
        let status = self.process.stop(by).context("cannot stop the server")?;
        ensure!(status.success(), "the server ended with {status}: {}", self.process.log().trim());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_that_is_given_takes_the_place_of_the_kits_own() {
        let flags = flags(&["--drain-ms=5", "--worker-threads=1"]);
        assert_eq!(flags.len(), FLAGS.len() + 1);
        assert!(!flags.contains(&String::from("--drain-ms=0")));
        assert!(flags.ends_with(&["--drain-ms=5".into(), "--worker-threads=1".into()]));
    }
}

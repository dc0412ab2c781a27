//! A program whose first line says where it listens: started, told something by its process id,
//! ended.
//!
//! Nothing waits by sleeping: a start ends with the first line or with the program, and a stop with
//! the program. One that takes too long over either is killed.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Time to be ready, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A child process that does not outlive its owner: dropped, it is killed and waited for.
#[derive(Debug)]
pub struct Owned(pub Child);

impl Deref for Owned {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Owned {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // By its handle: it may have ended already, and nothing else is hit.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

impl Owned {
    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.id()).ok()?)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// If it has ended and was waited for.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().context("a process id")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal process {}", self.id()))
    }

    /// Waits until it has ended by itself; it is killed if that takes longer than a minute.
    ///
    /// # Errors
    /// If the system lost it.
    pub fn ended(&mut self) -> Result<ExitStatus> {
        self.in_time(|child| child.wait()).context("lost a process")
    }

    /// Does something that ends with the process at the latest, which is killed once it takes too
    /// long.
    fn in_time<T>(&mut self, act: impl FnOnce(&mut Child) -> T) -> T {
        let pid = self.pid();
        let (done, waits) = sync_channel::<()>(0);
        thread::scope(|scope| {
            scope.spawn(move || {
                if let (Err(RecvTimeoutError::Timeout), Some(pid)) =
                    (waits.recv_timeout(PATIENCE), pid)
                {
                    // It may have ended in this moment.
                    let _ended = kill_process(pid, Signal::KILL);
                }
            });
            let acted = act(&mut self.0);
            // What it did is done: whoever waits for it goes, before the scope ends.
            drop(done);
            acted
        })
    }
}

/// What a program's first line says: JSON with the address of each listener.
#[derive(Debug, Clone)]
pub struct Ready {
    pub public: SocketAddr,
    /// Where the operator is met, of a program that has such a listener.
    pub admin: Option<SocketAddr>,
    /// The whole line.
    pub said: Value,
}

impl Ready {
    fn read(line: &str) -> Option<Self> {
        let said: Value = serde_json::from_str(line).ok()?;
        let listener = |name| said.get(name)?.as_str()?.rsplit('/').next()?.parse().ok();
        Some(Self { public: listener("public")?, admin: listener("admin"), said: said.clone() })
    }
}

/// A program that runs, and ends with its owner.
#[derive(Debug)]
pub struct Process {
    pub child: Owned,
    pub ready: Ready,
    log: PathBuf,
}

impl Process {
    /// Starts a program, whose stderr goes to the end of `log`, and waits until it says where it
    /// listens.
    ///
    /// # Errors
    /// If it cannot be started, or says something else: with its log.
    pub fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let errors = File::options().create(true).append(true).open(log);
        let errors = errors.with_context(|| format!("cannot make {}", log.display()))?;
        command.stdout(Stdio::piped()).stderr(errors);
        let program = command.get_program().to_owned();
        let child = command.spawn();
        let child = child.with_context(|| format!("cannot start {}", program.display()))?;
        let mut child = Owned(child);
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            child
                .in_time(|_| BufReader::new(out).read_line(&mut line))
                .context("cannot read what a program says")?;
        }
        let log = log.to_owned();
        match Ready::read(&line) {
            Some(ready) => Ok(Self { child, ready, log }),
            None => {
                if line.is_empty() {
                    // Its last words may still be on their way to the log.
                    let _ended = child.ended();
                }
                drop(child);
                let log = std::fs::read_to_string(log).unwrap_or_default();
                bail!("it does not say where it listens, but {line:?}: {}", log.trim())
            }
        }
    }

    /// Everything that it has logged, and whatever had the same log before it; empty if that cannot
    /// be read.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it by a signal, an operator's being SIGTERM; how it ended.
    ///
    /// # Errors
    /// If it has ended already, or the system lost it.
    pub fn stop(&mut self, by: Signal) -> Result<ExitStatus> {
        self.child.signal(by)?;
        self.child.ended()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spawned(script: &str) -> (Result<Process>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        (Process::spawn(&mut command, &folder.path().join("log")), folder)
    }

    const READY: &str = r#"echo '{"public":"http://127.0.0.1:9","admin":"http://127.0.0.1:8"}'"#;

    #[test]
    fn what_says_where_it_listens_runs_and_is_stopped() {
        let (process, _folder) = spawned(&format!(
            "echo begun >&2; trap 'exit 7' TERM; {READY}; while :; do sleep 0.01; done"
        ));
        let mut process = process.unwrap();
        assert_eq!(process.ready.public.port(), 9);
        assert_eq!(process.ready.admin.map(|admin| admin.port()), Some(8));
        assert_eq!(process.log(), "begun\n");
        assert_eq!(process.stop(Signal::TERM).unwrap().code(), Some(7));
        assert!(process.stop(Signal::TERM).is_err(), "it is no process any more");
    }

    #[test]
    fn what_says_something_else_is_not_started_and_its_log_is_told() {
        for (script, said) in [("echo no; exec sleep 600", "\"no\\n\""), ("exit 3", "\"\"")] {
            let (process, _folder) = spawned(&format!("echo why >&2; {script}"));
            let words = process.unwrap_err().to_string();
            assert!(words.contains(said) && words.ends_with(": why"), "{words}");
        }
    }

    #[test]
    fn it_ends_with_its_owner() {
        let (process, folder) = spawned(&format!("{READY}; exec sleep 600"));
        let pid = process.as_ref().unwrap().child.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        drop(folder);
    }
}

//! The server as a process of its own, which can be killed, starved and listened to.

use std::ops::Deref;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
pub use testkit::{AGENTS, site_key};

use crate::server::Site;

/// A running server that ends with the test.
#[derive(Debug)]
pub struct Process {
    process: testkit::Process,
    pub site: Site,
}

impl Deref for Process {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

/// The command that serves a folder on free ports, without limits that a load would meet.
pub fn serve(folder: &Path) -> Command {
    testkit::serve(Path::new(env!("CARGO_BIN_EXE_livehelp")), folder)
}

/// Gives another value to a flag that the command has, or starts another program with the same
/// flags.
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
        let mut command = serve(folder);
        set(&mut command);
        let log = folder.join("log");
        let process = testkit::Process::spawn(&mut command, &log).map_err(|_| {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            log.lines().last().unwrap_or_default().to_owned()
        })?;
        let site = Site::of(&process.ready);
        Ok(Self { process, site })
    }

    /// Everything that it has logged, and whatever served the folder before it.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// SIGKILL.
    pub fn kill(self) {
        drop(self.process);
    }

    /// SIGTERM; its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.process.stop(Signal::TERM).unwrap().code()
    }
}

//! A server of the harness's own, which the test kit makes, starts and stops.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use testkit::{Organization, Throwaway};

use crate::run::process::Usage;
use crate::run::setup::ORIGIN;

/// Nobody signs in to it: the run makes an Organization of its own.
const ORGANIZATION: Organization<'static> = Organization {
    name: "Load",
    site: "Load",
    origin: ORIGIN,
    admin_email: "admin@load.example",
    admin_password: "a long password of a load run",
};

/// The server's program: as said, or beside this one, or where the system looks for programs.
pub(crate) fn program(said: Option<&Path>) -> PathBuf {
    if let Some(said) = said {
        return said.to_owned();
    }
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(|folder| folder.join("livehelp"));
    beside.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from("livehelp"))
}

/// Makes and starts it; `flags` come after the kit's own and so overrule them.
///
/// # Errors
/// If it is not ready in time.
pub(crate) async fn start(program: PathBuf, flags: Vec<String>) -> Result<Throwaway> {
    let starting = tokio::task::spawn_blocking(move || {
        Throwaway::start(&program, &ORGANIZATION, &flags, |command| {
            // Ctrl-C goes to whoever is in the group of the terminal: it ends the run, and the run
            // then ends this.
            command.process_group(0);
        })
        .with_context(|| format!("no server of {} (flag --binary)", program.display()))
    });
    starting.await.context("the start of the server broke off")?
}

/// Whether it has ended by itself.
pub(crate) fn is_gone(server: &Throwaway) -> bool {
    // Of a process that has ended, and that nobody waited for, this file says nothing more.
    Usage::of(&[server.pid()]).is_err()
}

/// Stops it as an operator would.
///
/// # Errors
/// If it does not end in time, or not well: with its log.
pub(crate) async fn stop(server: Throwaway) -> Result<()> {
    let stopping = tokio::task::spawn_blocking(|| server.stop(Signal::TERM));
    stopping.await.context("the stop of the server broke off")?
}

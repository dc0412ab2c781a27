//! What the machine must have beside the Rust toolchain.
//!
//! Lives here: finding what is missing and installing it on Debian. Not here: npm packages
//! (`front`). Called by `test` and `run` before anything else. What is present is left alone,
//! whatever its origin.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::shell::{Outcome, answer, command, present, root, run_shown, run_shown_but_errors};

/// The oldest Node that builds the front ends: Debian 12's, which Debian keeps though its makers do
/// not any more.
const NODE_MAJOR_MIN: u32 = 18;

/// Between two attempts of apt-get while another program has its locks.
const LOCK_REST: Duration = Duration::from_secs(5);

/// Attempts: with their rests a quarter of an hour, longer than a fresh machine updates itself.
const LOCK_ATTEMPTS_MAX: u32 = 180;

/// Something a step cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Node and npm, for the front ends.
    Node,
    /// A real Redis, for the tests of the bus and for the side-by-side.
    Redis,
    /// PostgreSQL's programs, for the tests of records and for the side-by-side.
    Postgres,
    /// Counts instructions, for the budgets.
    Valgrind,
    /// Python, to install tools that come as wheels.
    Python,
    /// A Prometheus, promtool and amtool, for the metrics, the rules and the dashboards.
    Prometheus,
    /// nginx, HAProxy and Caddy, for the tests behind them.
    Fronts,
    /// systemd's own judge of units, and a terminal for a test of what a person sees.
    Units,
    /// A browser without a window and something to write with, for the browser tests.
    Browser,
}

impl Need {
    fn debian_packages(self) -> &'static [&'static str] {
        match self {
            Self::Node => &["nodejs", "npm"],
            Self::Redis => &["redis-server"],
            Self::Postgres => &["postgresql"],
            Self::Valgrind => &["valgrind"],
            Self::Python => &["python3", "python3-venv"],
            Self::Prometheus => &["prometheus", "prometheus-alertmanager"],
            Self::Fronts => &["nginx-light", "haproxy", "caddy"],
            Self::Units => &["systemd", "bsdutils"],
            Self::Browser => {
                &["chromium-headless-shell", "fonts-dejavu-core", "fonts-noto-color-emoji"]
            }
        }
    }

    fn met(self) -> bool {
        match self {
            Self::Node => node_major() >= Some(NODE_MAJOR_MIN) && present("npm"),
            Self::Redis => present("redis-server"),
            // Debian keeps them off the search path.
            Self::Postgres => present("postgres") || Path::new("/usr/lib/postgresql").is_dir(),
            Self::Valgrind => present("valgrind"),
            Self::Python => answer(&["python3", "-c", "import ensurepip, venv"]).is_some(),
            Self::Prometheus => ["prometheus", "promtool", "amtool"].into_iter().all(present),
            // Debian keeps two of them off the search path of those who are not root.
            Self::Fronts => ["nginx", "haproxy", "caddy"]
                .iter()
                .all(|name| present(name) || Path::new("/usr/sbin").join(name).is_file()),
            Self::Units => present("systemd-analyze") && present("script"),
            Self::Browser => present("chromium-headless-shell") && fonts_met(),
        }
    }
}

/// Sees to it that every need is met.
///
/// # Errors
/// When something is missing and cannot be installed from here; the text names the command that
/// would.
pub(crate) fn provide(needs: &[Need]) -> Result<()> {
    let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> =
        missing.iter().flat_map(|need| need.debian_packages()).copied().collect();
    let Some(prefix) = installer() else {
        bail!(
            "missing on this machine: {}. On Debian this installs it:\n  \
             apt-get update && apt-get install --no-install-recommends {}\n\
             Node must be {NODE_MAJOR_MIN} or newer.",
            packages.join(", "),
            packages.join(" ")
        );
    };
    println!("installing from Debian: {}", packages.join(" "));
    apt(&[prefix, &["apt-get", "-q", "update"]].concat(), &root())?;
    let install = ["apt-get", "-qy", "install", "--no-install-recommends"];
    apt(&[prefix, &install, &packages].concat(), &root())?;
    match missing.iter().find(|need| !need.met()) {
        Some(need) => bail!("{need:?} is still missing after installing {}", packages.join(" ")),
        None => Ok(()),
    }
}

/// Debian packages, unpacked into a folder and not installed: a broker that is only measured need
/// not become a service.
///
/// # Errors
/// When one cannot be had.
pub(crate) fn unpack(packages: &[&str], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let download = [&["apt-get", "-q", "download"], packages].concat();
    if let Some(prefix) = installer() {
        apt(&[prefix, &["apt-get", "-q", "update"]].concat(), folder)?;
    }
    apt(&download, folder)?;
    for entry in fs::read_dir(folder).with_context(|| format!("look into {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            let path = path.display().to_string();
            run_shown(command(folder, &["dpkg-deb", "--extract", &path, "."]))?;
        }
    }
    Ok(())
}

/// Runs apt-get. While another program has its locks, as a fresh machine's own updates do for
/// minutes, it waits.
fn apt(words: &[&str], folder: &Path) -> Result<()> {
    let attempt = || {
        let mut command = command(folder, words);
        // In English, for `locked` to read.
        command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        command
    };
    while_locked(attempt, || {
        println!("another program uses apt; trying again in {} s", LOCK_REST.as_secs());
        rest(LOCK_REST);
    })
    .with_context(|| format!("`{}`", words.join(" ")))
}

#[expect(clippy::disallowed_methods, reason = "nothing else is to be done meanwhile")]
fn rest(time: Duration) {
    thread::sleep(time);
}

/// Runs attempts, resting between them, until one ends otherwise than for want of a lock.
fn while_locked(attempt: impl Fn() -> Command, mut rest: impl FnMut()) -> Result<()> {
    for _ in 1..LOCK_ATTEMPTS_MAX {
        match run_shown_but_errors(attempt())? {
            Outcome::Failed(errors) if locked(&errors) => rest(),
            outcome @ (Outcome::Succeeded | Outcome::Failed(_)) => return outcome.into_result(),
        }
    }
    run_shown_but_errors(attempt())?.into_result()
}

/// What apt-get and dpkg say of a lock that another program holds. One that may not be opened is
/// another matter.
fn locked(errors: &str) -> bool {
    ["Could not get lock", "is locked by another process"]
        .iter()
        .any(|words| errors.contains(words))
}

/// How packages are installed here: as root, by sudo, or not at all.
fn installer() -> Option<&'static [&'static str]> {
    if !present("apt-get") {
        return None;
    }
    if answer(&["id", "-u"]).as_deref() == Some("0") {
        return Some(&[]);
    }
    answer(&["sudo", "-n", "true"]).map(|_| ["sudo", "-n"].as_slice())
}

fn node_major() -> Option<u32> {
    let version = answer(&["node", "--version"])?;
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Without a single font a browser lays text out in boxes of no height. Elsewhere than on Debian
/// the fonts are the owner's affair.
fn fonts_met() -> bool {
    !present("apt-get") || Path::new("/usr/share/fonts/truetype/dejavu").is_dir()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{LOCK_ATTEMPTS_MAX, root, while_locked};
    use crate::shell::command;

    /// Fails `times` times with these words, then succeeds. How often it was tried, and how it
    /// ended.
    fn tried(times: u32, words: &str) -> (u32, anyhow::Result<()>) {
        let attempts = Cell::new(0);
        let outcome = while_locked(
            || {
                attempts.set(attempts.get() + 1);
                let fails = attempts.get() <= times;
                let script = if fails { "echo \"$0\" >&2; exit 100" } else { "exit 0" };
                command(&root(), &["sh", "-c", script, words])
            },
            || {},
        );
        (attempts.get(), outcome)
    }

    #[test]
    fn a_lock_that_another_program_holds_is_waited_for() {
        for words in [
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (unattended-upgr)",
            "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)",
            "dpkg: error: dpkg frontend lock is locked by another process",
        ] {
            let (attempts, outcome) = tried(3, words);
            assert_eq!((attempts, outcome.is_ok()), (4, true), "{words}");
        }
    }

    #[test]
    fn another_failure_ends_it_at_once_and_a_lock_in_the_end() {
        for words in [
            "E: Unable to locate package nodejs",
            "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?",
        ] {
            let (attempts, outcome) = tried(1, words);
            assert_eq!((attempts, outcome.is_err()), (1, true), "{words}");
        }
        let (attempts, outcome) = tried(LOCK_ATTEMPTS_MAX, "E: Could not get lock");
        assert_eq!((attempts, outcome.is_err()), (LOCK_ATTEMPTS_MAX, true));
    }
}

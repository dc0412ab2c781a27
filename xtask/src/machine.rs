//! What the machine must have beside the Rust toolchain.
//!
//! Lives here: finding what is missing and installing it on Debian. Not here: npm packages (`front`).
//! Called by `test` and `run` before anything else. What is present is left alone, whatever its origin.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell::{answer, command, present, root, run_shown};

/// The oldest Node that builds the front ends: Debian 12's.
const NODE_MAJOR_MIN: u32 = 18;

/// Something a step cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Node and npm, for the front ends.
    Node,
    /// A real Redis, for the tests of the bus and for the side-by-side.
    Redis,
    /// PostgreSQL's programs, for the side-by-side.
    Postgres,
    /// Counts instructions, for the budgets.
    Valgrind,
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
            Self::Browser => present("chromium-headless-shell") && fonts_met(),
        }
    }
}

/// Sees to it that every need is met.
///
/// # Errors
/// When something is missing and cannot be installed from here; the text names the command that would.
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
    let update = [prefix, &["apt-get", "-q", "update"]].concat();
    let install =
        [prefix, &["apt-get", "-qy", "install", "--no-install-recommends"], &packages].concat();
    for words in [update, install] {
        let mut command = command(&root(), &words);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        run_shown(command).with_context(|| format!("`{}`", words.join(" ")))?;
    }
    match missing.iter().find(|need| !need.met()) {
        Some(need) => bail!("{need:?} is still missing after installing {}", packages.join(" ")),
        None => Ok(()),
    }
}

/// Debian packages, unpacked into a folder and not installed: a broker that is only measured need not become a service.
///
/// # Errors
/// When one cannot be had.
pub(crate) fn unpack(packages: &[&str], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let download = [&["apt-get", "-q", "download"], packages].concat();
    if let Some(prefix) = installer() {
        run_shown(command(folder, &[prefix, &["apt-get", "-q", "update"]].concat()))?;
    }
    run_shown(command(folder, &download)).with_context(|| format!("`{}`", download.join(" ")))?;
    for entry in fs::read_dir(folder).with_context(|| format!("look into {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            let path = path.display().to_string();
            run_shown(command(folder, &["dpkg-deb", "--extract", &path, "."]))?;
        }
    }
    Ok(())
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

/// Without a single font a browser lays text out in boxes of no height. Elsewhere than on Debian the fonts are the owner's affair.
fn fonts_met() -> bool {
    !present("apt-get") || Path::new("/usr/share/fonts/truetype/dejavu").is_dir()
}

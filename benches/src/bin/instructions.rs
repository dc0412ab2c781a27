//! Counts the instructions of every case and holds them against their budgets.
//!
//! Lives here: starting valgrind, one process for each case, and telling what came of it. Not here:
//! cases and what is counted of them (`counting`). Called by `cargo xtask budgets` and by people.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its caller")]

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use livehelp_benches::budget::Budgets;
use livehelp_benches::counting::{self, BEGINNING, Named, counted_function};
use parking_lot::Mutex;

const USAGE: &str = "\
instructions [GROUP or GROUP/CASE…]   counts under valgrind, and fails where a budget is exceeded
instructions --act GROUP/CASE         does one case: what valgrind runs";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["--act", path] if counting::act(path) => Ok(()),
        ["--act", path] => Err(anyhow::anyhow!("there is no case {path}")),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        wanted => check(wanted),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(wanted: &[&str]) -> Result<()> {
    let budgets = Path::new(env!("CARGO_MANIFEST_DIR")).join("budgets.toml");
    let text =
        std::fs::read_to_string(&budgets).with_context(|| format!("read {}", budgets.display()))?;
    let budgets = Budgets::parse(&text).with_context(|| format!("read {}", budgets.display()))?;
    let all = counting::cases();
    let is_wanted = |named: &&Named| {
        wanted.is_empty() || wanted.contains(&named.group) || wanted.contains(&&*named.path())
    };
    let cases: Vec<Named> = all.iter().filter(is_wanted).copied().collect();
    if cases.is_empty() {
        bail!("there is no such case; there are:\n  {}", paths(&all).join("\n  "));
    }

    println!("{:<36} {:>12} {:>12}", "instructions for each", "counted", "allowed");
    let mut complaints = Vec::new();
    for (named, counted) in cases.iter().zip(count_all(&cases)) {
        let path = named.path();
        let counted = counted.with_context(|| format!("count {path}"))?;
        let allowed = budgets.of(&path).map_or(0, |budget| budget.allowed);
        let hint = if budgets.is_idle(&path, counted) { "  lower its budget" } else { "" };
        println!("{path:<36} {counted:>12} {allowed:>12}{hint}");
        complaints.extend(budgets.complaint(&path, counted));
    }
    for path in budgets.without_case(&paths(&all)) {
        complaints.push(format!("{path}: a budget without a case"));
    }
    if !complaints.is_empty() {
        bail!(
            "budgets are exceeded:\n  {}\n\
             What a message costs is decided, not found out: make it cheaper, or raise `allowed` in \
             benches/budgets.toml in a commit that says what is bought for it.",
            complaints.join("\n  ")
        );
    }
    Ok(())
}

fn paths(cases: &[Named]) -> Vec<String> {
    cases.iter().map(Named::path).collect()
}

/// Counts on as many threads as there are processors: a count does not depend on what runs beside
/// it.
fn count_all(cases: &[Named]) -> Vec<Result<u64>> {
    let next = AtomicUsize::new(0);
    let counts: Vec<Mutex<Result<u64>>> =
        cases.iter().map(|_| Mutex::new(Err(anyhow::anyhow!("not counted")))).collect();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((named, count)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    cases.get(at).zip(counts.get(at))
                } {
                    *count.lock() = count_one(named);
                }
            });
        }
    });
    counts.into_iter().map(Mutex::into_inner).collect()
}

/// Instructions for one thing of the case, rounded down.
fn count_one(named: &Named) -> Result<u64> {
    let folder = tempfile::tempdir().context("make a folder for the profile")?;
    let profile = folder.path().join("profile");
    let program = std::env::current_exe().context("find this program")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={}", counted_function(named.case.thread)))
        .arg(format!("--zero-before={BEGINNING}"))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args(["--act", &named.path()])
        // What stands in the environment moves the stack, and copies take other ways by how it
        // lies.
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .context("start valgrind")?;
    if !output.status.success() {
        bail!(
            "valgrind ended with {}:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let written = std::fs::read_to_string(&profile).context("read the profile")?;
    let sum = counting::sum(&written).context("find the sum in the profile")?;
    if sum == 0 {
        bail!("nothing was counted: is `{}` inlined?", counted_function(named.case.thread));
    }
    Ok(sum / u64::from(named.acts()) / u64::from(named.case.each))
}

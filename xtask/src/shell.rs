//! Other programs: whether they are there, and what they answered.
//!
//! Lives here: starting a program in the repository and keeping its output. Not here: which
//! programs, and why.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The repository's top folder: the parent of this package's.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// A command that will run in `folder`. What cargo says of this package when it runs it is not
/// passed on: `ring` asks for it when it is built, and would be built anew, with all that stands on
/// it, by whoever says it differently.
pub(crate) fn command(folder: &Path, words: &[&str]) -> Command {
    let (program, arguments) = words.split_first().unwrap_or((&"false", &[]));
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    for (name, _) in std::env::vars_os() {
        let of_this_package = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if of_this_package {
            command.env_remove(name);
        }
    }
    command
}

/// The first line that a program prints, or `None` when it is not there or fails.
pub(crate) fn answer(words: &[&str]) -> Option<String> {
    let output = command(&root(), words).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Whether a program of this name is on the search path.
pub(crate) fn present(program: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "the search path lives in the environment")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs a program with both its outputs going to `log`, in the order they were written.
///
/// # Errors
/// When it cannot be started or ends badly. The log then holds the reason.
pub(crate) fn run_logged(mut command: Command, log: &Path) -> Result<()> {
    let out = File::create(log).with_context(|| format!("create {}", log.display()))?;
    let err = out.try_clone().context("share the log between both outputs")?;
    let status = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .status()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{} ended with {status}", command.get_program().display());
    }
    Ok(())
}

/// Runs a program whose output the caller should see as it comes.
///
/// # Errors
/// When it cannot be started or ends badly.
pub(crate) fn run_shown(mut command: Command) -> Result<()> {
    let status =
        command.status().with_context(|| format!("start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{} ended with {status}", command.get_program().display());
    }
    Ok(())
}

/// How a program ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Succeeded,
    /// With what it wrote to its error output.
    Failed(String),
}

impl Outcome {
    /// # Errors
    /// When the program failed.
    pub(crate) fn into_result(self) -> Result<()> {
        match self {
            Self::Succeeded => Ok(()),
            Self::Failed(errors) => bail!("it failed: {}", errors.trim_end()),
        }
    }
}

/// Runs a program whose output the caller should see as it comes, and its errors once it has ended.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn run_shown_but_errors(mut command: Command) -> Result<Outcome> {
    let ended = command
        .stdin(Stdio::null())
        .stdout(Stdio::inherit())
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .with_context(|| format!("run {}", command.get_program().display()))?;
    let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
    eprint!("{errors}");
    Ok(if ended.status.success() { Outcome::Succeeded } else { Outcome::Failed(errors) })
}

/// Where cargo puts what it builds, `CARGO_TARGET_DIR` and settings included.
///
/// # Errors
/// When cargo does not say.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let words = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline"];
    let output = command(&root(), &words).output().context("ask cargo where it builds")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("read cargo's answer")?;
    let folder = metadata.get("target_directory").and_then(serde_json::Value::as_str);
    folder.map(PathBuf::from).context("cargo does not say where it builds")
}

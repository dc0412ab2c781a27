//! Tells the program which commit it is, and rebuilds it when a front end was built.
#![expect(clippy::disallowed_methods, reason = "a build script has no `config` to ask")]

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=BUILD_COMMIT");
    if std::env::var_os("BUILD_COMMIT").is_none()
        && let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"])
    {
        println!("cargo::rustc-env=BUILD_COMMIT={commit}");
        // Moves with every commit and checkout, in a linked worktree as well.
        if let Some(path) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    for front_end in ["../console", "../widget-js"] {
        // New names appear in a folder that did not change itself: watch it whole, or its parent until it exists.
        let built = format!("{front_end}/dist");
        let watched = if Path::new(&built).is_dir() { built.as_str() } else { front_end };
        println!("cargo::rerun-if-changed={watched}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

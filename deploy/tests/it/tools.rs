//! Prometheus' and Alertmanager's own judges: `promtool` and `amtool`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// `deploy/` of the repository.
pub fn deploy() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The repository's file of this path.
pub fn file(path: &str) -> PathBuf {
    deploy().join("..").join(path)
}

/// Runs a tool in `deploy/prometheus`; what it says is the failure.
pub fn judged(words: &[&str]) {
    let (program, arguments) = words.split_first().unwrap();
    let output = Command::new(program)
        .args(arguments)
        .current_dir(deploy().join("prometheus"))
        .output()
        .unwrap_or_else(|error| {
            panic!("{program}: {error}; `apt-get install prometheus prometheus-alertmanager`")
        });
    assert!(
        output.status.success(),
        "{}\n{}{}",
        words.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

//! `cargo xtask dashboards`: pictures of the Grafana dashboards, for a person to look at.
//!
//! Lives here: what must be there and built for it. Not here: the load and the drawing
//! (`deploy/examples/picture.rs`), the dashboards themselves (`deploy`). Called by people.

use anyhow::Result;

use crate::machine::{Need, provide};
use crate::shell::{command, root, run_shown, target_folder};

/// Seconds of load: enough for lines that can be read.
const SECONDS: &str = "60";

/// Builds server, harness and the drawing tool, and runs it.
///
/// # Errors
/// When something is missing, cannot be built, or the load fails.
pub(crate) fn run() -> Result<()> {
    provide(&[Need::Prometheus, Need::Redis, Need::Browser])?;
    let build = ["cargo", "build", "--quiet", "-p", "livehelp-deploy", "--examples"];
    run_shown(command(&root(), &build))?;
    let target = target_folder()?;
    let tool = target.join("debug/examples/picture").display().to_string();
    let folder = target.join("dashboards").display().to_string();
    run_shown(command(&root(), &[&tool, &folder, SECONDS]))
}

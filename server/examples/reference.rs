//! Writes the lists of settings, commands and metrics and the data inventory into the folder given as the one argument, `docs`, and the
//! example of a settings file into `deploy` beside it.
//!
//! `cargo run -p livehelp --example reference docs` after a change of one of them.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("docs"), PathBuf::from);
    std::fs::write(folder.join("configuration.md"), livehelp::config::document())?;
    std::fs::write(folder.join("command-line.md"), livehelp::cli::document())?;
    std::fs::write(folder.join("../deploy/livehelp.toml"), livehelp::config::example())?;
    std::fs::write(folder.join("data-inventory.md"), livehelp::store::inventory::document())?;
    std::fs::write(folder.join("metrics.md"), livehelp::metrics::document())
}

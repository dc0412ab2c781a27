//! Writes the OpenAPI documents into the folder given as the one argument: `docs`.
//!
//! `cargo run -p livehelp --example openapi docs` after a change of the REST API.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("docs"), PathBuf::from);
    for (name, content) in livehelp::api::openapi_files()? {
        std::fs::write(folder.join(name), content)?;
    }
    Ok(())
}

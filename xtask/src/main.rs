//! This repository's commands, so that no shell script or second task runner is needed.
//!
//! Lives here: which command does what. Not here: the steps themselves (`test`, `run`, `tidy`,
//! `gen`). Called by people and by `.ci/run`, as `cargo xtask <command>`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its caller")]

mod test;
mod run;
mod peers;
mod package;
mod tidy;
mod budgets;
mod dependencies;
mod dashboards;
mod r#gen;
mod front;
mod machine;
mod shell;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask run [FLAG…]      build the front ends and the server, then serve the demo on 127.0.0.1; flags are the server's
cargo xtask test [--quick]   everything that has to be green; --quick leaves browsers and slow tests out
cargo xtask peers [options]  livehelp beside other servers on the same work; --only ROW, --rounds N, --quick
cargo xtask budgets [CASE…]  instructions of each step of a message, held against benches/budgets.toml
cargo xtask dist             a Debian package and a tarball with their sums, in target/dist; --stage FOLDER: the tree alone
cargo xtask dashboards       pictures of the Grafana dashboards with the figures of a short load, in target/dashboards
cargo xtask tidy             layers, importers and words of the source tree
cargo xtask gen [--check]    the files made from the Rust types; --check only says which are stale";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", "--", flags @ ..] | ["run", flags @ ..] => run::run(flags),
        ["test"] => test::run(test::Extent::Everything),
        ["test", "--quick"] => test::run(test::Extent::Quick),
        ["peers", options @ ..] => peers::run(options),
        ["budgets", wanted @ ..] => budgets::run(wanted),
        ["dist", options @ ..] => package::run(options),
        ["dashboards"] => dashboards::run(),
        ["tidy"] => tidy::run(),
        ["gen"] => r#gen::run(false),
        ["gen", "--check"] => r#gen::run(true),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("unknown command `{}`; there are:\n{USAGE}", other.join(" ")),
    }
}

//! The load harness's program; see `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadtest::cli::main()
}

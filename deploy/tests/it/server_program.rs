//! The server's program, for the tests that start one.

fn main() -> std::process::ExitCode {
    livehelp::cli::main()
}

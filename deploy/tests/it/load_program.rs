//! The load harness's program, for the tests that put a load on a server.

fn main() -> std::process::ExitCode {
    loadtest::cli::main()
}

//! The program `livehelp`: everything is in the library.

fn main() -> std::process::ExitCode {
    livehelp::cli::main()
}

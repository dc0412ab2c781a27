//! The server's program, for tests of `--start`: a package's tests find no program of another one, but cargo builds
//! this one with them.

fn main() -> std::process::ExitCode {
    livehelp::cli::main()
}

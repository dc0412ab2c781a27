//! The program `livehelp`: everything is in the library.

/// Smaller than the system's for ten thousand small things of the same size, and cheaper where one
/// thread frees what another made; see `docs/adr/0016-mimalloc.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    livehelp::cli::main()
}

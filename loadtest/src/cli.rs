//! The command line: what is wanted, in words; what came of it, as words and as an exit code.
//!
//! Exit codes: 0 every threshold kept, 1 one broken, 2 could not run, 3 the generator was the bottleneck.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::controller::{Server, Wanted, conduct};
use crate::crew::{Elsewhere, Hands, runtime};
use crate::outcome::Outcome;
use crate::scenario::{SHIPPED, Scenario, WORKERS_MAX};
use crate::screen::Screen;
use crate::verdict::Verdict;
use crate::{compare, distant, process, report, throwaway, verdict};

/// Loads a livehelp server with real visitors and agents, and accounts for every message.
#[derive(Debug, Parser)]
#[command(name = "livehelp-load", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a scenario: a shipped one by its name, or a file
    Run(Box<Run>),
    /// Shows the shipped scenarios
    List,
    /// Shows the figures that a threshold or an aim may name
    Figures,
    /// Says whether a scenario is right, and shows it with all its defaults
    Check {
        /// Name or file
        scenario: String,
    },
    /// Compares two results: the second against the first
    Compare {
        old: PathBuf,
        new: PathBuf,
        /// Differences up to this part are noise
        #[arg(long, default_value_t = compare::NOISE)]
        noise: f64,
    },
    /// Makes the report of a result anew
    Report {
        /// `result.json` or its folder
        result: PathBuf,
        /// Where to; beside the result if absent
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Generates load for a controller elsewhere: a `run` with --workers-listen
    Worker {
        /// Where the controller listens
        controller: SocketAddr,
        /// File with the secret that both know, readable by its owner alone; absent: LIVEHELP_LOAD_SECRET
        #[arg(long)]
        secret_file: Option<PathBuf>,
        /// How long to call a controller that does not answer yet
        #[arg(long, default_value_t = 60)]
        wait_seconds: u64,
    },
}

#[derive(Debug, Args)]
struct Run {
    /// Name or file
    scenario: String,
    /// Public listener of a running server
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    server: String,
    /// Its admin listener
    #[arg(long, default_value = "http://127.0.0.1:8081")]
    admin: String,
    /// File with the operator's key, by which the run makes an Organization of its own
    #[arg(long, required_unless_present = "start")]
    operator_key_file: Option<PathBuf>,
    /// Process of the server, for its CPU and memory; may be repeated. Without it, its /metrics say what they can
    #[arg(long)]
    pid: Vec<u32>,
    /// Certificates to trust where --server is https
    #[arg(long)]
    tls_ca: Option<PathBuf>,
    /// Starts a server of its own in a folder that is thrown away, with limits that a load would meet raised
    #[arg(long, conflicts_with_all = ["operator_key_file", "pid", "tls_ca", "server", "admin"])]
    start: bool,
    /// The server's program; beside this one, or in PATH, if absent
    #[arg(long, requires = "start")]
    binary: Option<PathBuf>,
    /// A further flag of that server, such as --server-flag=--worker-threads=1; may be repeated
    #[arg(long, requires = "start", allow_hyphen_values = true)]
    server_flag: Vec<String>,
    /// Loads a server beyond this machine
    #[arg(long)]
    allow_remote: bool,
    /// Processes that generate the load; as many as the sockets need if absent
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKERS_MAX)))]
    workers: Option<u32>,
    /// Where workers call that were started elsewhere by `livehelp-load worker`; beyond loopback with --allow-remote
    #[arg(long, requires = "workers_remote", conflicts_with = "workers")]
    workers_listen: Option<SocketAddr>,
    /// How many of them the run waits for
    #[arg(long, requires = "workers_listen", value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKERS_MAX)))]
    workers_remote: Option<u32>,
    /// How long it waits
    #[arg(long, requires = "workers_listen", default_value_t = 60)]
    workers_wait_seconds: u64,
    /// File with the secret that they know, readable by its owner alone; absent: LIVEHELP_LOAD_SECRET
    #[arg(long, requires = "workers_listen")]
    secret_file: Option<PathBuf>,
    /// Another seed than the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// Folder for result.json, report.html and the histograms
    #[arg(long)]
    out: Option<PathBuf>,
    /// An earlier result to compare with
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Differences up to this part are noise
    #[arg(long, default_value_t = compare::NOISE)]
    noise: f64,
    /// Says nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    process::raise_open_files();
    match dispatch(cli.command) {
        Ok(verdict) => ExitCode::from(verdict.code()),
        Err(error) => {
            // Nowhere else to complain.
            drop(writeln!(std::io::stderr(), "livehelp-load: {error:#}"));
            ExitCode::from(Verdict::CouldNotRun.code())
        }
    }
}

fn print(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to stdout")
}

fn dispatch(command: Command) -> Result<Verdict> {
    match command {
        Command::Run(wanted) => run(&wanted),
        Command::List => {
            for (name, _) in SHIPPED {
                let scenario = Scenario::find(name)?;
                print(&format!("{name:16} {}\n", scenario.about))?;
            }
            Ok(Verdict::Kept)
        }
        Command::Figures => {
            for name in verdict::names() {
                print(&format!("{name:28} {}\n", verdict::about(&name)))?;
            }
            Ok(Verdict::Kept)
        }
        Command::Check { scenario } => {
            let scenario = Scenario::find(&scenario)?;
            let text = toml::to_string(&scenario).context("cannot show the scenario")?;
            print(&format!(
                "# right; {} sockets, and {} at most for visits: {} process(es)\n{text}",
                scenario.sockets(),
                scenario.visitors_max(),
                scenario.processes()
            ))?;
            Ok(Verdict::Kept)
        }
        Command::Compare { old, new, noise } => {
            let comparison = compare::compare(&Outcome::read(&old)?, &Outcome::read(&new)?, noise)?;
            print(&comparison.words())?;
            Ok(comparison.verdict())
        }
        Command::Report { result, out } => {
            let outcome = Outcome::read(&result)?;
            let beside = if result.is_dir() { Some(result.as_path()) } else { result.parent() };
            let folder = out.as_deref().or(beside).unwrap_or(Path::new("."));
            let path = folder.join("report.html");
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            std::fs::write(&path, report::html(&outcome))
                .with_context(|| format!("cannot write {}", path.display()))?;
            print(&format!("{}\n", path.display()))?;
            Ok(Verdict::Kept)
        }
        Command::Worker { controller, secret_file, wait_seconds } => {
            let secret = distant::secret(secret_file.as_deref())?;
            let wait = Duration::from_secs(wait_seconds);
            runtime()?.block_on(distant::serve(controller, &secret, wait))?;
            Ok(Verdict::Kept)
        }
    }
}

fn run(wanted: &Run) -> Result<Verdict> {
    let mut scenario = Scenario::find(&wanted.scenario)?;
    if let Some(seed) = wanted.seed {
        scenario.seed = seed;
    }
    let old = wanted.compare.as_deref().map(Outcome::read).transpose()?;
    if let Some(old) = &old {
        compare::comparable(&old.scenario, &scenario)?;
    }
    let server = server(wanted)?;
    let hands = hands(wanted, &scenario)?;
    let mut screen = Screen::of(wanted.quiet, &scenario);
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let order = Wanted { scenario, server, hands, command: words.collect() };
    let outcome = runtime()?.block_on(async {
        tokio::select! {
            outcome = Box::pin(conduct(order, &mut screen)) => outcome,
            interrupted = interrupted() => Err(interrupted),
        }
    });
    drop(screen);
    let outcome = outcome?;
    if let Some(folder) = &wanted.out {
        outcome.write(folder)?;
    }
    if !wanted.quiet {
        print(&report::words(&outcome))?;
        if let Some(folder) = &wanted.out {
            print(&format!("\n{}\n", folder.join("report.html").display()))?;
        }
    }
    let Some(old) = old else { return Ok(outcome.verdict) };
    let comparison = compare::compare(&old, &outcome, wanted.noise)?;
    if !wanted.quiet {
        print(&comparison.words())?;
    }
    Ok(if outcome.verdict == Verdict::Kept { comparison.verdict() } else { outcome.verdict })
}

/// Waits for Ctrl-C or SIGTERM: the run then ends here, and what it started ends with it.
async fn interrupted() -> anyhow::Error {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
        // The system's own answer to them then holds.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    anyhow::anyhow!("interrupted")
}

fn hands(wanted: &Run, scenario: &Scenario) -> Result<Hands> {
    let (Some(listen), Some(count)) = (wanted.workers_listen, wanted.workers_remote) else {
        return Ok(Hands::Own(wanted.workers.unwrap_or_else(|| scenario.processes())));
    };
    if !listen.ip().is_loopback() {
        if !wanted.allow_remote {
            bail!(
                "--workers-listen {listen} can be reached from other machines; if that is meant, say --allow-remote"
            );
        }
        if wanted.start || address("--server", &wanted.server)?.0.ip().is_loopback() {
            bail!(
                "workers of other machines cannot reach a server on this one's loopback: name it with --server"
            );
        }
    }
    let secret = distant::secret(wanted.secret_file.as_deref())?;
    let wait = Duration::from_secs(wanted.workers_wait_seconds);
    Ok(Hands::Elsewhere(Elsewhere { listen, count, secret, wait }))
}

fn server(wanted: &Run) -> Result<Server> {
    if wanted.start {
        let program = throwaway::program(wanted.binary.as_deref());
        return Ok(Server::Started { program, flags: wanted.server_flag.clone() });
    }
    let (public, tls) = address("--server", &wanted.server)?;
    let (admin, admin_tls) = address("--admin", &wanted.admin)?;
    if admin_tls {
        bail!("--admin is https, but an admin listener speaks plain HTTP");
    }
    if tls != wanted.tls_ca.is_some() {
        bail!("--tls-ca goes with an https --server, and only with one");
    }
    for (flag, address) in [("--server", public), ("--admin", admin)] {
        if !address.ip().is_loopback() && !wanted.allow_remote {
            bail!(
                "{flag} {address} is not on this machine: a load without its owner's leave is an attack; if it is yours, say --allow-remote"
            );
        }
    }
    let file = wanted.operator_key_file.as_deref().context("--operator-key-file is missing")?;
    let key = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read {} (flag --operator-key-file)", file.display()))?;
    let operator_key = key.trim().to_owned();
    let pids = wanted.pid.clone();
    Ok(Server::There { public, admin, tls_ca: wanted.tls_ca.clone(), operator_key, pids })
}

/// `http://127.0.0.1:8080`, and whether it is https. A name is looked up.
fn address(flag: &str, text: &str) -> Result<(SocketAddr, bool)> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    if scheme != "http" && scheme != "https" {
        bail!("{flag} {text} is neither http nor https");
    }
    let rest = rest.trim_end_matches('/');
    let mut found = std::net::ToSocketAddrs::to_socket_addrs(rest)
        .with_context(|| format!("{flag} {text} is no address with a port"))?;
    let found = found.next().with_context(|| format!("{flag} {text} is the name of nothing"))?;
    Ok((found, scheme == "https"))
}

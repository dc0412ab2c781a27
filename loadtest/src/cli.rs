//! The command line: what is wanted, in words; what came of it, as words and as an exit code
//! (`verdict::Exit`).

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::judge::compare;
use crate::judge::figure::Figure;
use crate::judge::verdict::Exit;
use crate::report;
use crate::report::outcome::{Ended, Outcome};
use crate::report::screen::Screen;
use crate::report::{junit, openmetrics};
use crate::run::controller::{ServerGone, Wanted, conduct};
use crate::run::pool::{Elsewhere, Workers, runtime};
use crate::run::scenario::{Changes, Loop, SHIPPED, Scenario, WORKERS_MAX};
use crate::run::scene::Server;
use crate::run::stop::{self, Interrupted};
use crate::run::{distant, process, throwaway};

/// Runs of one command at most.
const RUNS_MAX: u32 = 100;

/// Loads a livehelp server with real visitors and agents, and accounts for every message.
#[derive(Debug, Parser)]
#[command(name = "livehelp-load", version, after_help = Exit::table())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a scenario: a shipped one by its name, or a file
    #[command(after_help = Exit::table())]
    Run(Box<Run>),
    /// Shows the shipped scenarios
    List,
    /// Shows the figures that a threshold or an aim may name
    Figures,
    /// Says whether a scenario is right, and shows it with all its defaults
    Check {
        /// Name or file
        scenario: String,
        #[command(flatten)]
        changes: Changes,
    },
    /// Compares results: the last one against all before it
    #[command(after_help = Exit::table())]
    Compare {
        /// Old ones, then the new one: each a result.json, its folder, or a folder of several runs
        #[arg(num_args = 2.., required = true, value_name = "OLD... NEW")]
        results: Vec<PathBuf>,
        /// Differences up to this part are noise, where there are too few runs to show each
        /// figure's own
        #[arg(long, default_value_t = compare::NOISE)]
        noise: f64,
    },
    /// Makes the report of a result anew
    Report {
        /// A result.json, its folder, or a folder of several runs
        result: PathBuf,
        /// Where to; beside the result if absent
        #[arg(long)]
        out: Option<PathBuf>,
        #[command(flatten)]
        files: Files,
    },
    /// Generates load for a controller elsewhere: a `run` with --workers-listen
    Worker {
        /// Where the controller listens
        controller: SocketAddr,
        /// File with the secret that both know, readable by its owner alone; absent:
        /// LIVEHELP_LOAD_SECRET
        #[arg(long)]
        secret_file: Option<PathBuf>,
        /// How long to call a controller that does not answer yet
        #[arg(long, default_value_t = 60)]
        wait_seconds: u64,
    },
}

/// Forms of a result for other programs.
#[derive(Debug, Args)]
struct Files {
    /// File for the result as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// File for its figures as OpenMetrics text
    #[arg(long, value_name = "FILE")]
    openmetrics: Option<PathBuf>,
}

impl Files {
    fn write(&self, runs: &[Outcome]) -> Result<()> {
        if let Some(file) = &self.junit {
            write(file, &junit::xml(runs))?;
        }
        if let Some(file) = &self.openmetrics {
            write(file, &openmetrics::text(runs))?;
        }
        Ok(())
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
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
    /// Process of the server, for its CPU and memory; may be repeated. Without it, its /metrics say
    /// what they can
    #[arg(long)]
    pid: Vec<u32>,
    /// Certificates to trust where --server is https
    #[arg(long)]
    tls_ca: Option<PathBuf>,
    /// Starts a server of its own in a folder that is thrown away, with limits that a load would
    /// meet raised
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
    /// Where workers call that were started elsewhere by `livehelp-load worker`; beyond loopback
    /// with --allow-remote
    #[arg(long, requires = "workers_remote", conflicts_with = "workers")]
    workers_listen: Option<SocketAddr>,
    /// How many of them the run waits for
    #[arg(long, requires = "workers_listen", value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKERS_MAX)))]
    workers_remote: Option<u32>,
    /// How long it waits
    #[arg(long, requires = "workers_listen", default_value_t = 60)]
    workers_wait_seconds: u64,
    /// File with the secret that they know, readable by its owner alone; absent:
    /// LIVEHELP_LOAD_SECRET
    #[arg(long, requires = "workers_listen")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    changes: Changes,
    /// Ends the run as soon as a threshold is broken beyond repair; in a scenario, `abort = true`
    /// says so of one
    #[arg(long)]
    abort: bool,
    /// So many runs, one after the other, so that each figure shows its own noise
    #[arg(long, default_value_t = 1, conflicts_with = "workers_listen", value_parser = clap::value_parser!(u32).range(1..=i64::from(RUNS_MAX)))]
    runs: u32,
    /// Folder for result.json, report.html and the histograms; of several runs for a folder each,
    /// run-1 and so on
    #[arg(long)]
    out: Option<PathBuf>,
    /// An earlier result to compare with, its folder, or a folder of several runs; may be repeated
    #[arg(long)]
    compare: Vec<PathBuf>,
    /// Differences up to this part are noise, where there are too few runs to show each figure's
    /// own
    #[arg(long, default_value_t = compare::NOISE)]
    noise: f64,
    #[command(flatten)]
    files: Files,
    /// Says nothing but errors, and what a comparison found to differ
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    process::raise_open_files();
    let (exit, words) = match dispatch(cli.command) {
        Ok(Exit::Interrupted) => (Exit::Interrupted, Some(String::from(Exit::Interrupted.words()))),
        Ok(exit) => (exit, None),
        Err(error) if error.is::<ServerGone>() => (Exit::ServerGone, Some(format!("{error:#}"))),
        Err(error) => (Exit::CouldNotRun, Some(format!("{error:#}"))),
    };
    if let Some(words) = words {
        // Nowhere else to complain.
        drop(writeln!(std::io::stderr(), "livehelp-load: {words}"));
    }
    ExitCode::from(exit.code())
}

fn print(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to stdout")
}

fn dispatch(command: Command) -> Result<Exit> {
    match command {
        Command::Run(wanted) => run(&wanted),
        Command::List => {
            for (name, _) in SHIPPED {
                let scenario = Scenario::find(name, &Changes::default())?;
                print(&format!("{name:16} {}\n", scenario.about))?;
            }
            Ok(Exit::Kept)
        }
        Command::Figures => {
            for figure in Figure::all() {
                print(&format!("{figure:28} {}\n", figure.about()))?;
            }
            Ok(Exit::Kept)
        }
        Command::Check { scenario, changes } => {
            let scenario = Scenario::find(&scenario, &changes)?;
            let text = toml::to_string(&scenario).context("cannot show the scenario")?;
            print(&format!(
                "# right; {} sockets, and {} at most for visits: {} process(es)\n{text}",
                scenario.sockets(),
                scenario.visitors_max(),
                scenario.processes()
            ))?;
            Ok(Exit::Kept)
        }
        Command::Compare { results, noise } => {
            let (new, old) = results.split_last().context("nothing to compare")?;
            let new = compare::side(std::slice::from_ref(new))?;
            let comparison = compare::compare(&compare::side(old)?, &new, noise)?;
            print(&comparison.words())?;
            Ok(comparison.exit())
        }
        Command::Report { result, out, files } => {
            let runs = compare::side(std::slice::from_ref(&result))?;
            files.write(&runs)?;
            let beside = if result.is_dir() { Some(result.as_path()) } else { result.parent() };
            let folder = out.as_deref().or(beside).unwrap_or(Path::new("."));
            let path = folder.join("report.html");
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            let page = match runs.as_slice() {
                [run] => report::html(run),
                runs => report::several_html(runs),
            };
            write(&path, &page)?;
            print(&format!("{}\n", path.display()))?;
            Ok(Exit::Kept)
        }
        Command::Worker { controller, secret_file, wait_seconds } => {
            let secret = distant::secret(secret_file.as_deref())?;
            let wait = Duration::from_secs(wait_seconds);
            runtime()?.block_on(distant::serve(controller, &secret, wait))?;
            Ok(Exit::Kept)
        }
    }
}

fn run(wanted: &Run) -> Result<Exit> {
    let scenario = Scenario::find(&wanted.scenario, &wanted.changes)?;
    if wanted.abort && scenario.pacing == Loop::Search {
        bail!("--abort has no meaning in a search, whose tries are meant to break");
    }
    let old = if wanted.compare.is_empty() { Vec::new() } else { compare::side(&wanted.compare)? };
    for old in &old {
        compare::comparable(&old.scenario, &scenario)?;
    }
    if let Some(folder) = wanted.out.as_deref().filter(|_| wanted.runs > 1) {
        is_fresh(folder)?;
    }
    let (mut runs, mut failed) = (Vec::new(), None);
    for number in 1..=wanted.runs {
        match one(wanted, &scenario, number) {
            Ok(run) => {
                // Nobody would be there for the next one.
                let is_last = run.ended == Ended::Interrupted
                    || run.ended == Ended::ServerGone && !wanted.start;
                runs.push(run);
                if is_last {
                    break;
                }
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let Some(last) = runs.len().checked_sub(1) else {
        return Err(failed.unwrap_or_else(|| anyhow::anyhow!("there was no run")));
    };
    let compared =
        if old.is_empty() { None } else { Some(compare::compare(&old, &runs, wanted.noise)?) };
    if let (Some(compared), Some(run)) = (compared, runs.get_mut(last)) {
        let words = if wanted.quiet { compared.differences() } else { compared.words() };
        run.comparison = Some(compared);
        if let Some(folder) = &wanted.out {
            run.write(&folder_of(folder, wanted, crate::number::short(last + 1)))?;
        }
        print(&words)?;
    }
    if wanted.runs > 1 {
        if !wanted.quiet {
            print(&report::several_words(&runs))?;
        }
        if let Some(folder) = &wanted.out {
            write(&folder.join("report.html"), &report::several_html(&runs))?;
        }
    }
    if let (Some(folder), false) = (&wanted.out, wanted.quiet) {
        print(&format!("\n{}\n", folder.join("report.html").display()))?;
    }
    wanted.files.write(&runs)?;
    match failed {
        // What the runs before it measured is kept.
        Some(error) if error.is::<Interrupted>() => {
            let exits = runs.iter().map(Outcome::exit);
            Ok(Exit::gravest(exits.chain([Exit::Interrupted])))
        }
        Some(error) => Err(error),
        None => Ok(Exit::gravest(runs.iter().map(Outcome::exit))),
    }
}

/// One run of maybe several; its result is written at once.
fn one(wanted: &Run, scenario: &Scenario, number: u32) -> Result<Outcome> {
    let (server, workers) = (server(wanted)?, workers(wanted, scenario)?);
    let mut screen = Screen::of(wanted.quiet, scenario);
    if wanted.runs > 1 {
        screen.say(&format!("run {number} of {}", wanted.runs));
    }
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let order = Wanted {
        scenario: scenario.clone(),
        server,
        workers,
        command: words.collect(),
        abort: wanted.abort,
    };
    let (stop, listener) = stop::stop();
    let outcome = runtime()?.block_on(async {
        tokio::select! {
            // Signals are heard before anything is begun.
            biased;
            interrupted = listener.listen() => Err(interrupted.into()),
            outcome = Box::pin(conduct(order, &mut screen, stop)) => outcome,
        }
    });
    drop(screen);
    let outcome = outcome?;
    if let Some(folder) = &wanted.out {
        outcome.write(&folder_of(folder, wanted, number))?;
    }
    if !wanted.quiet {
        print(&report::words(&outcome))?;
    }
    Ok(outcome)
}

fn folder_of(out: &Path, wanted: &Run, number: u32) -> PathBuf {
    if wanted.runs > 1 { out.join(format!("run-{number}")) } else { out.to_owned() }
}

/// Whether nothing of another time is there: it would be taken for one of these runs.
fn is_fresh(folder: &Path) -> Result<()> {
    let names = (1..=RUNS_MAX).map(|number| format!("run-{number}"));
    if let Some(name) =
        names.chain([String::from("result.json")]).find(|name| folder.join(name).exists())
    {
        bail!("--out {} has a {name} of another time: name a folder of its own", folder.display());
    }
    Ok(())
}

fn workers(wanted: &Run, scenario: &Scenario) -> Result<Workers> {
    let (Some(listen), Some(count)) = (wanted.workers_listen, wanted.workers_remote) else {
        return Ok(Workers::Own(wanted.workers.unwrap_or_else(|| scenario.processes())));
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
    Ok(Workers::Elsewhere(Elsewhere { listen, count, secret, wait }))
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

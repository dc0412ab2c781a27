//! Runs the side-by-side: each row's work on each of its servers, in rounds, one after the other.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its caller")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use loadtest::process::raise_open_files;
use peers::peer::place::{Place, first_line};
use peers::peer::{Peer, Start};
use peers::plot::plot;
use peers::report::Rounds;
use peers::row::{ROWS, Row, Scale};
use peers::tls::Certificate;
use serde_json::{Value, json};

/// livehelp beside other servers, on the same work.
#[derive(Debug, Parser)]
struct Options {
    /// Only this row; may be given again.
    #[arg(long)]
    only: Vec<String>,
    /// Only servers whose name contains this; may be given again.
    #[arg(long)]
    server: Vec<String>,
    /// Rounds of each row; every server has its turn in each.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Short windows and small crowds: a look, no figures to publish.
    #[arg(long)]
    quick: bool,
    /// livehelp's binary; otherwise the one beside this.
    #[arg(long)]
    livehelp: Option<PathBuf>,
    /// `nats-server`, where it is not on the search path.
    #[arg(long)]
    nats: Option<PathBuf>,
    /// `mosquitto`, where it is not on the search path.
    #[arg(long)]
    mosquitto: Option<PathBuf>,
    /// `ejabberdctl` below the `usr` that ejabberd and Erlang are in, where they are not installed.
    #[arg(long)]
    ejabberd: Option<PathBuf>,
    /// Where the servers' data go; a real disk.
    #[arg(long)]
    work: Option<PathBuf>,
    /// Writes the figures there, and a plot beside them.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Options {
    /// What does the same again, wherever this was built.
    fn command(&self) -> String {
        let mut words = vec![match &self.livehelp {
            None => format!("cargo xtask peers --rounds {}", self.rounds),
            Some(file) => format!("drive --livehelp {} --rounds {}", file.display(), self.rounds),
        }];
        words.extend(self.quick.then(|| String::from("--quick")));
        words.extend(self.only.iter().map(|row| format!("--only {row}")));
        words.extend(self.server.iter().map(|server| format!("--server '{server}'")));
        words.join(" ")
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    raise_open_files();
    let known = |name: &&String| ROWS.iter().any(|row| row.name == **name);
    if let Some(unknown) = options.only.iter().find(|name| !known(name)) {
        let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        bail!("there is no row `{unknown}`; there are {}", names.join(", "));
    }
    let place = place(&options)?;
    let scale = if options.quick { Scale::QUICK } else { Scale::FULL };
    let (mut done, mut met, mut missed, mut open) = (Vec::new(), 0, 0, 0);
    for row in &ROWS {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == row.name) {
            continue;
        }
        let rounds = run(&options, &place, row, scale);
        println!("{}", rounds.table(row));
        for required in row.required {
            match rounds.verdict(required).and_then(|verdict| verdict.met) {
                Some(true) => met += 1,
                Some(false) => missed += 1,
                None => open += 1,
            }
        }
        done.push((row, rounds));
        // After each row, so that a run that is stopped leaves what it found.
        if let Some(out) = &options.out {
            write(out, &options, &place, scale, &done)?;
        }
    }
    if options.quick {
        println!("quick: crowds are smaller than the titles say, and windows short");
    }
    let absent = absent(&place, &done);
    if !absent.is_empty() {
        println!("not here: {}", Vec::from_iter(absent).join(", "));
    }
    println!("requirements: {met} met, {missed} missed, {open} not judged");
    Ok(())
}

fn place(options: &Options) -> Result<Place> {
    let own = std::env::current_exe().context("find the other binaries")?;
    let binaries = own.parent().context("find the other binaries")?.to_path_buf();
    let work = options.work.clone().unwrap_or_else(|| binaries.join("../peers"));
    let found = |named: &str| Command::new(named).arg("-h").output().is_ok().then(|| named.into());
    let installed = |path: &str| Path::new(path).is_file().then(|| path.into());
    let certificate = Certificate::make(&work)?;
    Ok(Place {
        livehelp: options.livehelp.clone().unwrap_or_else(|| binaries.join("livehelp")),
        js: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("js"),
        nats: options.nats.clone().or_else(|| found("nats-server")),
        mosquitto: options.mosquitto.clone().or_else(|| found("mosquitto")),
        // Not started to be found: it would leave a port mapper behind.
        ejabberd: options.ejabberd.clone().or_else(|| installed("/usr/sbin/ejabberdctl")),
        binaries,
        work,
        certificate,
    })
}

/// Who should have taken part and could not.
fn absent(place: &Place, done: &[(&Row, Rounds)]) -> BTreeSet<&'static str> {
    let peers = done.iter().flat_map(|(row, _)| row.peers());
    peers.filter(|peer| !place.has(*peer)).map(Peer::name).collect()
}

fn run(options: &Options, place: &Place, row: &Row, scale: Scale) -> Rounds {
    let wanted = |peer: &Peer| {
        let named = options.server.iter().any(|part| peer.name().contains(part.as_str()));
        options.server.is_empty() || named
    };
    let (peers, absent): (Vec<Peer>, Vec<Peer>) =
        row.peers().filter(wanted).partition(|peer| place.has(*peer));
    for peer in absent {
        eprintln!("{}: {} is not here", row.name, peer.name());
    }
    let mut rounds = Rounds::default();
    for round in 0..options.rounds {
        // Nobody always runs after the same one.
        for at in 0..peers.len() {
            let Some(peer) = peers.get((at + round) % peers.len()) else { continue };
            let start = Start { place, peer: *peer, tls: row.tls };
            let found = (row.run)(start, scale);
            match &found {
                Ok(figures) => eprintln!("{} {round} {}: {figures:.1?}", row.name, peer.name()),
                Err(error) => eprintln!("{} {round} {}: FAILED: {error:#}", row.name, peer.name()),
            }
            rounds.figures.entry(peer.name()).or_default().push(found.ok());
        }
    }
    rounds
}

fn write(
    out: &Path,
    options: &Options,
    place: &Place,
    scale: Scale,
    done: &[(&Row, Rounds)],
) -> Result<()> {
    let say = |words: &[&str]| {
        let (program, arguments) = words.split_first().unwrap_or((&"false", &[]));
        first_line(Command::new(program).args(arguments))
    };
    let of = |path: &str, name: &str| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let date = say(&["date", "-u", "+%FT%TZ"]).unwrap_or_default();
    let head = say(&["git", "rev-parse", "--short", "HEAD"]).unwrap_or_default();
    // What this run itself leaves after each row is no change of what it measures.
    let changed = say(&["git", "status", "--porcelain", "--", ":/", ":!/benches/results"]);
    let dirty = changed.is_some_and(|line| !line.is_empty());
    let commit = if dirty { format!("{head}-dirty") } else { head };
    let processor = of("/proc/cpuinfo", "model name").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let command = options.command();
    let rows: Vec<Value> = done.iter().map(|(row, rounds)| rounds.json(row)).collect();
    let found = json!({
        "schema": 4,
        "date": date,
        "commit": commit,
        "command": command,
        "quick": options.quick,
        "rounds": options.rounds,
        // What the titles say, unless it was quick.
        "scale": {
            "window_s": scale.span.window.as_secs_f64(),
            "rooms": scale.rooms,
            "idle": scale.idle,
            "listeners": scale.listeners,
            "lines_grown": scale.lines_grown,
            "rooms_grown": scale.rooms_grown,
            "stored": scale.stored,
        },
        "machine": {
            "processor": processor,
            "cores": cores,
            "memory": of("/proc/meminfo", "MemTotal"),
            "kernel": say(&["uname", "-srm"]),
            "load": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        },
        "versions": place.versions(),
        "not_here": absent(place, done),
        "rows": rows,
    });
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let text = serde_json::to_string_pretty(&found)? + "\n";
    fs::write(out, text).with_context(|| format!("write {}", out.display()))?;
    let caption = format!("{command}; {commit}, {date}, {cores} cores of {processor}");
    let svg = out.with_extension("svg");
    fs::write(&svg, plot(&caption, done)).with_context(|| format!("write {}", svg.display()))
}

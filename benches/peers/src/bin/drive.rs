//! Runs the side-by-side: each row's work on each of its servers, in rounds, one after the other.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its caller")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use peers::peer::place::Place;
use peers::peer::{Peer, Start};
use peers::report::{Rounds, Verdict, plot};
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
    /// Where the servers' data go; a real disk.
    #[arg(long)]
    work: Option<PathBuf>,
    /// Writes the figures there, and a plot beside them.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let known = |name: &&String| ROWS.iter().any(|row| row.name == **name);
    if let Some(unknown) = options.only.iter().find(|name| !known(name)) {
        let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        bail!("there is no row `{unknown}`; there are {}", names.join(", "));
    }
    let place = place(&options)?;
    let scale = if options.quick { Scale::QUICK } else { Scale::FULL };
    let (mut rows, mut verdicts) = (Vec::new(), Vec::new());
    for row in &ROWS {
        if options.only.is_empty() || options.only.iter().any(|name| name == row.name) {
            let rounds = run(&options, &place, row, scale);
            println!("{}", rounds.table(row));
            rows.push(rounds.json(row));
            verdicts.extend(rounds.verdicts(row).map(|verdict| (row.name, verdict)));
            // After each row, so that a run that is stopped leaves what it found.
            if let Some(out) = &options.out {
                write(out, &options, &place, &rows, &verdicts)?;
            }
        }
    }
    let missed = verdicts.iter().filter(|(_, verdict)| !verdict.met).count();
    println!("{} requirements measured, {missed} missed", verdicts.len());
    Ok(())
}

fn place(options: &Options) -> Result<Place> {
    let own = std::env::current_exe().context("find the other binaries")?;
    let binaries = own.parent().context("find the other binaries")?.to_path_buf();
    let work = options.work.clone().unwrap_or_else(|| binaries.join("../peers"));
    let found = |named: &str| Command::new(named).arg("-h").output().is_ok().then(|| named.into());
    let certificate = Certificate::make(&work)?;
    Ok(Place {
        livehelp: options.livehelp.clone().unwrap_or_else(|| binaries.join("livehelp")),
        js: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("js"),
        nats: options.nats.clone().or_else(|| found("nats-server")),
        mosquitto: options.mosquitto.clone().or_else(|| found("mosquitto")),
        binaries,
        work,
        certificate,
    })
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
    rows: &[Value],
    verdicts: &[(&str, Verdict)],
) -> Result<()> {
    let package = |name: &str| {
        let path = place.js.join("node_modules").join(name).join("package.json");
        let manifest = fs::read_to_string(path).unwrap_or_default();
        let manifest: Value = serde_json::from_str(&manifest).unwrap_or_default();
        manifest.get("version").cloned().unwrap_or_default()
    };
    let nats = place.nats.as_ref().map(|nats| said(Command::new(nats).arg("--version")));
    let proc = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let found = json!({
        "schema": 1,
        "date": said(Command::new("date").args(["-u", "+%FT%TZ"])),
        "commit": said(Command::new("git").args(["describe", "--always", "--dirty"])),
        "command": std::env::args().skip(1).collect::<Vec<_>>(),
        "quick": options.quick,
        "rounds": options.rounds,
        "machine": {
            "processor": proc("/proc/cpuinfo", "model name"),
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "memory": proc("/proc/meminfo", "MemTotal"),
            "kernel": said(Command::new("uname").arg("-sr")),
            "load": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        },
        "versions": {
            "bun": package("@oven/bun-linux-x64"),
            "node": said(Command::new("node").arg("--version")),
            "ws": package("ws"),
            "socket.io": package("socket.io"),
            "ioredis": package("ioredis"),
            "pg": package("pg"),
            "nats": nats,
            "redis": said(Command::new("redis-server").arg("--version")),
            "postgres": said(Command::new("postgres").arg("--version")),
        },
        "rows": rows,
    });
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let text = serde_json::to_string_pretty(&found)? + "\n";
    fs::write(out, text).with_context(|| format!("write {}", out.display()))?;
    let svg = out.with_extension("svg");
    fs::write(&svg, plot(verdicts)).with_context(|| format!("write {}", svg.display()))
}

/// A program's first line, or nothing.
fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned()
}

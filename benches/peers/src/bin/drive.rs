//! Runs the side-by-side: each row's work on each of its servers, in rounds, one after the other.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its caller")]

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use peers::peer::{Peer, Place};
use peers::report::Rounds;
use peers::row::{ROWS, Row, Scale};

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
    /// Short windows: a look, no figures to publish.
    #[arg(long)]
    quick: bool,
    /// Where the servers' data go; a real disk.
    #[arg(long)]
    work: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let own = std::env::current_exe().context("find the other binaries")?;
    let binaries = own.parent().context("find the other binaries")?.to_path_buf();
    let work = options.work.clone().unwrap_or_else(|| binaries.join("../peers"));
    let js = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("js");
    let place = Place { binaries, js, work };
    let scale = if options.quick { Scale::QUICK } else { Scale::FULL };
    if let Some(unknown) = options.only.iter().find(|name| ROWS.iter().all(|row| row.name != **name)) {
        let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        bail!("there is no row `{unknown}`; there are {}", names.join(", "));
    }
    for row in &ROWS {
        if options.only.is_empty() || options.only.iter().any(|name| name == row.name) {
            let rounds = run(&options, &place, row, scale);
            println!("{}", rounds.table(row));
        }
    }
    Ok(())
}

fn run(options: &Options, place: &Place, row: &Row, scale: Scale) -> Rounds {
    let wanted = |peer: &&Peer| {
        let named = options.server.iter().any(|part| peer.name().contains(part.as_str()));
        (options.server.is_empty() || named) && place.has(**peer)
    };
    let peers: Vec<Peer> = row.peers.iter().filter(wanted).copied().collect();
    let mut rounds = Rounds::default();
    for round in 0..options.rounds {
        // Nobody always runs after the same one.
        for at in 0..peers.len() {
            let Some(peer) = peers.get((at + round) % peers.len()) else { continue };
            let found = (row.run)(place, *peer, scale);
            match &found {
                Ok(figures) => eprintln!("{} {round} {}: {figures:.1?}", row.name, peer.name()),
                Err(error) => eprintln!("{} {round} {}: {error:#}", row.name, peer.name()),
            }
            rounds.figures.entry(peer.name()).or_default().push(found.ok());
        }
    }
    rounds
}

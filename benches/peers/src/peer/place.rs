//! Where the servers' programs and packages are.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Peer;
use super::backing::postgres_program;
use crate::tls::Certificate;

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The relays' release binaries.
    pub binaries: PathBuf,
    /// livehelp's.
    pub livehelp: PathBuf,
    /// The relays written in JavaScript, with their packages.
    pub js: PathBuf,
    /// Data of servers; on a real disk.
    pub work: PathBuf,
    /// Where `nats-server` is, if it is.
    pub nats: Option<PathBuf>,
    /// Where `mosquitto` is, if it is.
    pub mosquitto: Option<PathBuf>,
    pub certificate: Certificate,
}

/// Bun's own package would only move the binary of this one in an install script.
const BUN: &str = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => "@oven/bun-linux-x64",
    _ => "@oven/bun-linux-aarch64",
};

impl Place {
    fn package(&self, name: &str) -> PathBuf {
        self.js.join("node_modules").join(name)
    }

    pub(super) fn bun(&self) -> PathBuf {
        self.package(BUN).join("bin/bun")
    }

    /// Whether this server can be started here.
    pub fn has(&self, peer: Peer) -> bool {
        let package = |name| self.package(name).is_dir();
        match peer {
            Peer::Bun | Peer::BunAck => self.bun().is_file(),
            Peer::NodeWs => package("ws"),
            Peer::SocketIo => package("socket.io"),
            Peer::NodeRedis | Peer::NodeRedisBatch => {
                package("ioredis") && version(&mut redis()).is_some()
            }
            Peer::NodePostgres | Peer::NodePostgresBatch => {
                package("pg") && version(&mut postgres()).is_some()
            }
            Peer::Nats | Peer::JetStream | Peer::JetStreamSync => self.nats.is_some(),
            Peer::Mosquitto => self.mosquitto.is_some(),
            Peer::Livehelp
            | Peer::LivehelpMemory
            | Peer::Floor
            | Peer::FloorAck
            | Peer::FloorStore
            | Peer::Tungstenite => true,
        }
    }
}

fn redis() -> Command {
    Command::new("redis-server")
}

fn postgres() -> Command {
    Command::new(postgres_program("postgres"))
}

fn version(program: &mut Command) -> Option<String> {
    first_line(program.arg("--version"))
}

/// What a program says first; `None` where it is not here, or says nothing.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(|line| line.trim().to_owned())
}

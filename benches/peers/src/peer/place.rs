//! Where the servers' programs and packages are, and of which versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::Peer;
use super::backing::{ejabberd, libraries, postgres_program};
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
    /// Where `ejabberdctl` is, if it is; the rest of ejabberd, and Erlang, are found from there.
    pub ejabberd: Option<PathBuf>,
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
            Peer::Ejabberd => self.ejabberd.is_some(),
            Peer::Livehelp
            | Peer::LivehelpMemory
            | Peer::Floor
            | Peer::FloorAck
            | Peer::FloorStore
            | Peer::Tungstenite => true,
        }
    }

    /// Of what took part; `null` for what is not here.
    pub fn versions(&self) -> Value {
        let package = |name| {
            let manifest = fs::read_to_string(self.package(name).join("package.json")).ok()?;
            let manifest: Value = serde_json::from_str(&manifest).ok()?;
            Some(manifest.get("version")?.as_str()?.to_owned())
        };
        let nats = self.nats.as_ref().and_then(|nats| asked(nats, "--version"));
        json!({
            "livehelp": asked(&self.livehelp, "version"),
            "tokio-tungstenite": locked("tokio-tungstenite"),
            "Bun": package(BUN),
            "Node": asked(Path::new("node"), "--version"),
            "ws": package("ws"),
            "Socket.IO": package("socket.io"),
            "ioredis": package("ioredis"),
            "pg": package("pg"),
            "NATS": nats,
            "Mosquitto": self.mosquitto.as_deref().and_then(mosquitto),
            "ejabberd": self.ejabberd.as_deref().and_then(ejabberd::version),
            "Redis": version(&mut redis()),
            "PostgreSQL": version(&mut postgres()),
        })
    }
}

fn redis() -> Command {
    Command::new("redis-server")
}

fn postgres() -> Command {
    Command::new(postgres_program("postgres"))
}

fn asked(program: &Path, word: &str) -> Option<String> {
    first_line(Command::new(program).arg(word))
}

fn version(program: &mut Command) -> Option<String> {
    first_line(program.arg("--version"))
}

/// It has no flag for it, but begins its help with it.
fn mosquitto(program: &Path) -> Option<String> {
    let libraries = libraries(program);
    first_line(Command::new(program).arg("-h").env("LD_LIBRARY_PATH", libraries))
}

/// What a crate's version is by the lock file.
fn locked(name: &str) -> Option<String> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    let lock = fs::read_to_string(lock).ok()?;
    let (_, behind) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(behind.split_once('"')?.0.to_owned())
}

/// What a program says first; `None` where it is not here, or says nothing.
pub fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(|line| line.trim().to_owned())
}

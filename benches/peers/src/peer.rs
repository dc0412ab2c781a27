//! The servers that are compared: how each is started, what it costs, how it ends.
//!
//! Each ends with this process, however that ends: `setpriv --pdeathsig` (util-linux) sees to it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use furnish::{Names, World};
use loadtest::process::Usage;

use crate::clock::pause;
use crate::crowd::Crowd;
use crate::dialect::livehelp::Livehelp;
use crate::dialect::{Dialect, Plain, SocketIo};
use crate::net::Net;

/// A server that can take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// As it is by default: each message sealed, synced, acked.
    Livehelp,
    /// The same with its store in memory.
    LivehelpMemory,
    Floor,
    FloorAck,
    /// One fdatasync for each batch, before its acks.
    FloorStore,
    Bun,
    BunAck,
    Tungstenite,
    NodeWs,
    SocketIo,
}

impl Peer {
    /// What tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Livehelp => "livehelp",
            Self::LivehelpMemory => "livehelp, store off",
            Self::Floor => "floor",
            Self::FloorAck => "floor, acking",
            Self::FloorStore => "floor, durable",
            Self::Bun => "Bun",
            Self::BunAck => "Bun, acking",
            Self::Tungstenite => "tokio-tungstenite",
            Self::NodeWs => "Node ws",
            Self::SocketIo => "Socket.IO",
        }
    }

    fn livehelp(self) -> bool {
        matches!(self, Self::Livehelp | Self::LivehelpMemory)
    }

    fn dialect(self, names: Arc<Names>) -> Result<Box<dyn Dialect>> {
        Ok(match self {
            Self::Livehelp | Self::LivehelpMemory => Box::new(Livehelp::new(names)?),
            Self::Floor | Self::Bun | Self::Tungstenite | Self::NodeWs => {
                Box::new(Plain { acks: false })
            }
            Self::FloorAck | Self::FloorStore | Self::BunAck => Box::new(Plain { acks: true }),
            Self::SocketIo => Box::new(SocketIo::default()),
        })
    }
}

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The release binaries.
    pub binaries: PathBuf,
    /// The relays written in JavaScript, with their packages.
    pub js: PathBuf,
    /// Data of servers; on a real disk.
    pub work: PathBuf,
}

impl Place {
    fn bun(&self) -> PathBuf {
        // Its own package would only move the binary in an install script.
        let name = match std::env::consts::ARCH {
            "x86_64" => "bun-linux-x64",
            other => return self.js.join(format!("node_modules/@oven/bun-linux-{other}/bin/bun")),
        };
        self.js.join("node_modules/@oven").join(name).join("bin/bun")
    }

    /// Whether this server can be started here.
    pub fn has(&self, peer: Peer) -> bool {
        match peer {
            Peer::LivehelpMemory => self.has_memory_store(),
            Peer::Bun | Peer::BunAck => self.bun().is_file(),
            Peer::NodeWs => self.js.join("node_modules/ws").is_dir(),
            Peer::SocketIo => self.js.join("node_modules/socket.io").is_dir(),
            Peer::Livehelp
            | Peer::Floor
            | Peer::FloorAck
            | Peer::FloorStore
            | Peer::Tungstenite => true,
        }
    }

    fn has_memory_store(&self) -> bool {
        let mut help = Command::new(self.binaries.join("livehelp"));
        let said = help.args(["serve", "--help"]).output();
        said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("--store <"))
    }
}

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    children: Vec<Child>,
    address: SocketAddr,
    peer: Peer,
    names: Arc<Names>,
    folder: PathBuf,
}

impl Running {
    /// Starts it with an empty folder and these people.
    ///
    /// # Errors
    /// If it does not say that it listens.
    pub fn start(place: &Place, peer: Peer, world: World) -> Result<Self> {
        let folder = place.work.join("server");
        // What a broken run may have left.
        let _absent = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        if peer.livehelp() {
            furnish(place, &folder, world)?;
        }
        let command = command(place, peer, &folder);
        let (child, address) =
            spawn(command, &folder).with_context(|| format!("start {}", peer.name()))?;
        let names = Arc::new(Names::new(world, format!("http://{address}")));
        Ok(Self { children: vec![child], address, peer, names, folder })
    }

    /// Nobody yet, but ready to let members in.
    ///
    /// # Errors
    /// If the kernel gives no poll.
    pub fn crowd(&self) -> Result<Crowd> {
        let net = Net::new(self.address, None)?;
        Ok(Crowd::new(net, self.peer.dialect(Arc::clone(&self.names))?))
    }

    /// What all its processes cost so far.
    ///
    /// # Errors
    /// If one of them has ended.
    pub fn usage(&self) -> Result<Usage> {
        let pids: Vec<u32> = self.children.iter().map(Child::id).collect();
        Usage::of(&pids).with_context(|| format!("{} has ended", self.peer.name()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            let _killed = child.kill();
            let _status = child.wait();
        }
        let _left = fs::remove_dir_all(&self.folder);
    }
}

fn furnish(place: &Place, folder: &Path, world: World) -> Result<()> {
    let numbers = [world.rooms.to_string(), world.alone.to_string()];
    let mut command = Command::new(place.binaries.join("livehelp-furnish"));
    let status = command.arg(folder).args(numbers).status().context("start livehelp-furnish")?;
    if !status.success() {
        bail!("livehelp's folder could not be furnished");
    }
    Ok(())
}

fn command(place: &Place, peer: Peer, folder: &Path) -> Command {
    let binary = |name: &str| place.binaries.join(name);
    let words: Vec<&str> = match peer {
        Peer::FloorAck | Peer::BunAck => vec!["--ack"],
        _ => Vec::new(),
    };
    let mut command = with_this_process();
    match peer {
        Peer::Livehelp | Peer::LivehelpMemory => {
            command.arg(binary("livehelp")).args(SERVE);
            command.arg("--data").arg(folder.join("data"));
            command.arg("--keys").arg(folder.join("keys"));
            if peer == Peer::LivehelpMemory {
                command.args(["--store", "memory"]);
            }
            command.env_remove("LIVEHELP_CONFIG");
        }
        Peer::Floor | Peer::FloorAck => {
            command.arg(binary("floor"));
        }
        Peer::FloorStore => {
            command.arg(binary("floor")).arg("--store").arg(folder.join("log"));
        }
        Peer::Tungstenite => {
            command.arg(binary("relay"));
        }
        Peer::Bun | Peer::BunAck => {
            command.arg(place.bun()).arg(place.js.join("bun.mjs"));
        }
        Peer::NodeWs => {
            command.arg("node").arg(place.js.join("ws.mjs"));
        }
        Peer::SocketIo => {
            command.arg("node").arg(place.js.join("socketio.mjs"));
        }
    }
    command.args(words);
    command
}

/// livehelp on a free port, everything on as by default, with limits that a driver does not meet.
const SERVE: [&str; 22] = [
    "serve",
    "--listen=127.0.0.1:0",
    "--admin-listen=127.0.0.1:0",
    "--log-level=warn",
    "--messages-per-minute=10000000",
    "--agent-messages-per-minute=10000000",
    "--messages-burst=1000000",
    "--frames-per-second=1000000",
    "--frames-burst=1000000",
    "--handshakes-per-ip-max=1000000",
    "--connections-max=20000",
    "--conversations-per-ip-hour-max=1000000",
    // Nobody is given another agent's conversation while the members come in.
    "--agent-grace-ms=3600000",
    "--agent-capacity=100",
    "--drain-grace-ms=0",
    "--drain-ms=0",
    "--hello-timeout-ms=60000",
    "--header-ms=60000",
    // The driver may be busy elsewhere for a while; nobody is to be sent away for that.
    "--pong-ms=60000",
    "--worker-threads=0",
    "--store-patience-ms=60000",
    "--offer-ms=600000",
];

fn with_this_process() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    command
}

/// Starts a program whose first line says where it listens.
fn spawn(mut command: Command, folder: &Path) -> Result<(Child, SocketAddr)> {
    let log = folder.join("log.txt");
    let errors = File::create(&log).with_context(|| format!("make {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .context("start the program")?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line).context("read where it listens")?;
    }
    let address = listening(&line);
    if address.is_none() {
        let _killed = child.kill();
        let _status = child.wait();
    }
    let said = || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        format!("it does not say where it listens, but {line:?} and {log:?}")
    };
    let address = address.with_context(said)?;
    // What follows its first line is not part of any work.
    pause(Duration::from_millis(200));
    Ok((child, address))
}

fn listening(line: &str) -> Option<SocketAddr> {
    let ready: serde_json::Value = serde_json::from_str(line).ok()?;
    let public = ready.get("public")?.as_str()?;
    public.rsplit_once('/')?.1.parse().ok()
}

//! The servers that are compared: how each is started, what it costs, how it ends.
//!
//! Each ends with this process, however that ends: `setpriv --pdeathsig` (util-linux) sees to it. What must be up before a server,
//! such as its database, is in `peer/backing.rs`.

use std::ffi::OsStr;
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
use rustls::ClientConfig;

use self::arrival::{Door, let_in};
use self::backing::{descendants, mosquitto, nats, postgres, postgres_program, redis};
use crate::clock::pause;
use crate::crowd::Crowd;
use crate::dialect::livehelp::Livehelp;
use crate::dialect::mqtt::Mqtt;
use crate::dialect::nats::Nats;
use crate::dialect::{Dialect, Plain, SocketIo};
use crate::net::Net;
use crate::tls::Certificate;

mod arrival;
mod backing;

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
    Nats,
    Mosquitto,
    /// Node `ws` in front of Redis Streams, synced; each message by itself.
    NodeRedis,
    /// The same, all that wait in one pipeline.
    NodeRedisBatch,
    /// Node `ws` in front of PostgreSQL; each message by itself.
    NodePostgres,
    /// The same, all that wait in one statement.
    NodePostgresBatch,
    /// An ack means: in the page cache.
    JetStream,
    /// An ack means: synced.
    JetStreamSync,
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
            Self::Nats => "NATS",
            Self::Mosquitto => "Mosquitto",
            Self::NodeRedis => "Node ws + Redis Streams",
            Self::NodeRedisBatch => "Node ws + Redis Streams, batched",
            Self::NodePostgres => "Node ws + PostgreSQL",
            Self::NodePostgresBatch => "Node ws + PostgreSQL, batched",
            Self::JetStream => "JetStream, page cache",
            Self::JetStreamSync => "JetStream, synced",
        }
    }

    fn postgres(self) -> bool {
        matches!(self, Self::NodePostgres | Self::NodePostgresBatch)
    }

    fn dialect(self, names: Option<&Arc<Names>>) -> Result<Box<dyn Dialect>> {
        Ok(match self {
            Self::Livehelp | Self::LivehelpMemory => {
                let names = names.context("nobody came into livehelp")?;
                Box::new(Livehelp::new(Arc::clone(names))?)
            }
            Self::Floor | Self::Bun | Self::Tungstenite | Self::NodeWs => {
                Box::new(Plain { acks: false })
            }
            Self::FloorAck
            | Self::FloorStore
            | Self::BunAck
            | Self::NodeRedis
            | Self::NodeRedisBatch
            | Self::NodePostgres
            | Self::NodePostgresBatch => Box::new(Plain { acks: true }),
            Self::SocketIo => Box::new(SocketIo::default()),
            Self::Nats => Box::new(Nats::new(false)),
            Self::Mosquitto => Box::new(Mqtt::default()),
            Self::JetStream | Self::JetStreamSync => Box::new(Nats::new(true)),
        })
    }
}

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

impl Place {
    fn bun(&self) -> PathBuf {
        // Its own package would only move the binary in an install script.
        let name = match std::env::consts::ARCH {
            "x86_64" => "bun-linux-x64",
            _ => "bun-linux-aarch64",
        };
        self.js.join("node_modules/@oven").join(name).join("bin/bun")
    }

    /// Whether this server can be started here.
    pub fn has(&self, peer: Peer) -> bool {
        let package = |name: &str| self.js.join("node_modules").join(name).is_dir();
        match peer {
            Peer::Bun | Peer::BunAck => self.bun().is_file(),
            Peer::NodeWs => package("ws"),
            Peer::SocketIo => package("socket.io"),
            Peer::NodeRedis | Peer::NodeRedisBatch => package("ioredis") && answers("redis-server"),
            Peer::NodePostgres | Peer::NodePostgresBatch => {
                package("pg") && answers(postgres_program("postgres"))
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

/// Whether a program can be started at all.
fn answers(program: impl AsRef<OsStr>) -> bool {
    let mut ask = Command::new(program);
    ask.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    ask.status().is_ok_and(|status| status.success())
}

/// A server that runs, with whatever stands behind it.
#[derive(Debug)]
pub struct Running {
    /// The server itself first.
    children: Vec<Child>,
    address: SocketAddr,
    /// livehelp's, where the operator is met.
    admin: Option<SocketAddr>,
    peer: Peer,
    place: Place,
    world: World,
    tls: bool,
    /// Who there is in livehelp.
    names: Option<Arc<Names>>,
    folder: PathBuf,
}

impl Running {
    /// Starts it with an empty folder and these people.
    ///
    /// # Errors
    /// If it does not say that it listens.
    pub fn start(place: &Place, peer: Peer, world: World) -> Result<Self> {
        Self::start_as(place, peer, world, false)
    }

    /// The same; it does TLS itself.
    ///
    /// # Errors
    /// As [`Running::start`].
    pub fn start_tls(place: &Place, peer: Peer, world: World) -> Result<Self> {
        Self::start_as(place, peer, world, true)
    }

    fn start_as(place: &Place, peer: Peer, world: World, tls: bool) -> Result<Self> {
        let folder = place.work.join("server");
        // What a broken run may have left.
        let _absent = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        if peer == Peer::Livehelp {
            write_world(place, &folder, world)?;
        }
        let mut running = Self {
            children: Vec::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: None,
            peer,
            place: place.clone(),
            world,
            tls,
            names: None,
            folder,
        };
        running.again()?;
        // What follows its first line is not part of any work.
        pause(Duration::from_millis(200));
        Ok(running)
    }

    /// Starts it once more in the folder that it left.
    ///
    /// # Errors
    /// As [`Running::start`].
    pub fn again(&mut self) -> Result<()> {
        self.launch().with_context(|| format!("start {}", self.peer.name()))
    }

    fn launch(&mut self) -> Result<()> {
        let (place, folder) = (&self.place, &self.folder);
        match self.peer {
            Peer::Nats | Peer::JetStream | Peer::JetStreamSync => {
                let sync = self.peer == Peer::JetStreamSync;
                let jetstream = (self.peer != Peer::Nats).then_some(sync);
                let binary = place.nats.as_ref().context("nats-server is not here")?;
                let (child, address) = nats(binary, folder, jetstream)?;
                self.children.push(child);
                self.address = address;
            }
            Peer::Mosquitto => {
                let binary = place.mosquitto.as_ref().context("mosquitto is not here")?;
                let (child, address) = mosquitto(binary, folder)?;
                self.children.push(child);
                self.address = address;
            }
            Peer::NodeRedis | Peer::NodeRedisBatch => {
                let (child, port) = redis(folder)?;
                self.children.push(child);
                let mut relay = self.command();
                relay.args(["--redis", &port.to_string()]).args(self.batch());
                self.serve(&mut relay)?;
            }
            Peer::NodePostgres | Peer::NodePostgresBatch => {
                let (child, url) = postgres(folder)?;
                self.children.push(child);
                let mut relay = self.command();
                relay.args(["--postgres", &url]).args(self.batch());
                self.serve(&mut relay)?;
            }
            Peer::Livehelp
            | Peer::LivehelpMemory
            | Peer::Floor
            | Peer::FloorAck
            | Peer::FloorStore
            | Peer::Bun
            | Peer::BunAck
            | Peer::Tungstenite
            | Peer::NodeWs
            | Peer::SocketIo => {
                let mut command = self.command();
                self.serve(&mut command)?;
            }
        }
        self.names = self.people()?.map(Arc::new);
        Ok(())
    }

    /// Who there is in livehelp, now that it runs.
    fn people(&self) -> Result<Option<Names>> {
        let scheme = if self.tls { "https" } else { "http" };
        let console = format!("{scheme}://{}", self.address);
        Ok(match (self.peer, self.admin) {
            (Peer::Livehelp, _) => Some(Names::furnished(self.world, console)),
            (Peer::LivehelpMemory, Some(admin)) => {
                let keys = &self.folder.join("keys");
                let door = Door { public: self.address, admin, tls: self.tls(), console, keys };
                Some(let_in(&door, self.world)?)
            }
            _ => None,
        })
    }

    fn tls(&self) -> Option<Arc<ClientConfig>> {
        self.tls.then(|| Arc::clone(&self.place.certificate.client))
    }

    fn batch(&self) -> Option<&'static str> {
        let batches = matches!(self.peer, Peer::NodeRedisBatch | Peer::NodePostgresBatch);
        batches.then_some("--batch")
    }

    fn serve(&mut self, command: &mut Command) -> Result<()> {
        let (child, ready) = spawn(command, &self.folder)?;
        self.children.insert(0, child);
        (self.address, self.admin) = (ready.public, ready.admin);
        Ok(())
    }

    fn command(&self) -> Command {
        let (place, folder, peer) = (&self.place, &self.folder, self.peer);
        let Certificate { cert, key, .. } = &place.certificate;
        let mut command = with_this_process();
        match peer {
            Peer::Livehelp | Peer::LivehelpMemory => {
                command.arg(&place.livehelp).args(SERVE);
                command.arg("--data").arg(folder.join("data"));
                command.arg("--keys").arg(folder.join("keys"));
                if peer == Peer::LivehelpMemory {
                    command.args(["--store", "memory"]);
                }
                if self.tls {
                    command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
                }
                command.env_remove("LIVEHELP_CONFIG");
            }
            Peer::Floor | Peer::FloorAck | Peer::FloorStore => {
                command.arg(place.binaries.join("floor"));
            }
            Peer::Bun | Peer::BunAck => {
                command.arg(place.bun()).arg(place.js.join("bun.mjs"));
                if self.tls {
                    command.arg("--tls").arg(cert).arg(key);
                }
            }
            Peer::SocketIo => return node(place, "socketio.mjs"),
            Peer::NodeWs
            | Peer::NodeRedis
            | Peer::NodeRedisBatch
            | Peer::NodePostgres
            | Peer::NodePostgresBatch => return node(place, "ws.mjs"),
            Peer::Tungstenite => {
                command.arg(place.binaries.join("relay"));
            }
            // Started in `backing`, which finds its ports.
            Peer::Nats | Peer::JetStream | Peer::JetStreamSync | Peer::Mosquitto => {}
        }
        if matches!(peer, Peer::FloorAck | Peer::BunAck) {
            command.arg("--ack");
        }
        if peer == Peer::FloorStore {
            command.arg("--store").arg(folder.join("log"));
        }
        command
    }

    /// Nobody yet, but ready to let members in.
    ///
    /// # Errors
    /// If the kernel gives no poll.
    pub fn crowd(&self) -> Result<Crowd> {
        let net = Net::new(self.address, self.tls())?;
        Ok(Crowd::new(net, self.peer.dialect(self.names.as_ref())?))
    }

    /// What all its processes cost so far.
    ///
    /// # Errors
    /// If one of them has ended.
    pub fn usage(&self) -> Result<Usage> {
        let mut pids: Vec<u32> = self.children.iter().map(Child::id).collect();
        if self.peer.postgres() {
            pids.extend(self.children.iter().flat_map(|child| descendants(child.id())));
        }
        Usage::of(&pids).with_context(|| format!("{} has ended", self.peer.name()))
    }

    /// The size of livehelp's binary.
    ///
    /// # Errors
    /// If it is not there.
    pub fn binary_mb(&self) -> Result<f64> {
        let bytes = fs::metadata(&self.place.livehelp).context("look at livehelp's binary")?.len();
        Ok(f64::from(u32::try_from(bytes)?) / 1e6)
    }

    /// SIGKILL. Its folder stays.
    pub fn kill(&mut self) {
        for mut child in self.children.drain(..) {
            if self.peer.postgres() {
                // Its children and its shared memory are its own to clear up; it does so at once.
                let pid = child.id().to_string();
                let _ended = Command::new("kill").args(["-QUIT", &pid]).status();
                pause(Duration::from_millis(200));
            }
            // It may have ended by itself.
            let _killed = child.kill();
            let _status = child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        let _left = fs::remove_dir_all(&self.folder);
    }
}

fn write_world(place: &Place, folder: &Path, world: World) -> Result<()> {
    let numbers = [world.rooms.to_string(), world.alone.to_string()];
    let mut command = Command::new(place.binaries.join("livehelp-furnish"));
    let status = command.arg(folder).args(numbers).status().context("start livehelp-furnish")?;
    if !status.success() {
        bail!("livehelp's folder could not be furnished");
    }
    Ok(())
}

fn node(place: &Place, script: &str) -> Command {
    let mut command = with_this_process();
    command.arg("node").arg(place.js.join(script));
    command
}

/// livehelp on a free port, everything on as by default, with limits that a driver does not meet.
const SERVE: [&str; 22] = [
    "serve",
    "--listen=127.0.0.1:0",
    "--admin-listen=127.0.0.1:0",
    "--log-level=warn",
    "--connections-per-ip-max=1000000",
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
    "--store-patience-ms=60000",
    "--offer-ms=600000",
];

fn with_this_process() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    command
}

/// What a program's first line says.
struct Ready {
    public: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Ready {
    fn read(line: &str) -> Option<Self> {
        let said: serde_json::Value = serde_json::from_str(line).ok()?;
        let listener = |name| said.get(name)?.as_str()?.rsplit_once('/')?.1.parse().ok();
        Some(Self { public: listener("public")?, admin: listener("admin") })
    }
}

/// Starts a program whose first line says where it listens.
fn spawn(command: &mut Command, folder: &Path) -> Result<(Child, Ready)> {
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
    let ready = Ready::read(&line);
    if ready.is_none() {
        let _killed = child.kill();
        let _status = child.wait();
    }
    let said = || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        format!("it does not say where it listens, but {line:?} and {log:?}")
    };
    Ok((child, ready.with_context(said)?))
}

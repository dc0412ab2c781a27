//! The servers that are compared: how each is started, what it costs, how it ends.
//!
//! In `peer/`, in reading order: where the programs are, how one is started, those that do not say where they listen (a broker,
//! a database), and how people come into a livehelp that begins empty.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use furnish::{Names, World};
use loadtest::process::Usage;
use rustls::ClientConfig;
use testkit::{Owned, Process};

use self::arrival::{Endpoints, let_in};
use self::backing::ejabberd::ejabberd;
use self::backing::{descendants, mosquitto, nats, postgres, redis};
use self::place::Place;
use self::program::{FLAGS, with_this_process};
use crate::clock::pause;
use crate::crowd::Crowd;
use crate::dialect::livehelp::Livehelp;
use crate::dialect::mqtt::Mqtt;
use crate::dialect::nats::Nats;
use crate::dialect::xmpp::Xmpp;
use crate::dialect::{Dialect, Plain, SocketIo};
use crate::net::Net;
use crate::tls::Certificate;

pub mod place;
mod program;
mod backing;
mod arrival;

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
    Ejabberd,
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
            Self::Ejabberd => "ejabberd",
            Self::NodeRedis => "Node ws + Redis Streams",
            Self::NodeRedisBatch => "Node ws + Redis Streams, batched",
            Self::NodePostgres => "Node ws + PostgreSQL",
            Self::NodePostgresBatch => "Node ws + PostgreSQL, batched",
            Self::JetStream => "JetStream, page cache",
            Self::JetStreamSync => "JetStream, synced",
        }
    }

    /// Whether it is what all others stand beside.
    pub fn livehelp(self) -> bool {
        matches!(self, Self::Livehelp | Self::LivehelpMemory)
    }

    /// What it does is done by processes of its own too.
    fn forks(self) -> bool {
        self.postgres() || self == Self::Ejabberd
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
            Self::Ejabberd => Box::new(Xmpp::default()),
            Self::JetStream | Self::JetStreamSync => Box::new(Nats::new(true)),
        })
    }
}

/// How a server is started, with whomever a row's work needs.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    pub place: &'a Place,
    pub peer: Peer,
    /// It does TLS itself.
    pub tls: bool,
}

impl Start<'_> {
    /// With so many conversations under way.
    ///
    /// # Errors
    /// As [`Start::with`].
    pub fn rooms(self, rooms: usize) -> Result<Running> {
        self.with(World { rooms, alone: 0 })
    }

    /// With so many visitors who are in none.
    ///
    /// # Errors
    /// As [`Start::with`].
    pub fn alone(self, alone: usize) -> Result<Running> {
        self.with(World { rooms: 0, alone })
    }

    /// In an empty folder.
    ///
    /// # Errors
    /// If it does not say that it listens.
    pub fn with(self, world: World) -> Result<Running> {
        let Self { place, peer, tls } = self;
        let folder = place.work.join("server");
        // What a broken run may have left.
        let _absent = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        if peer == Peer::Livehelp {
            write_world(place, &folder, world)?;
        }
        let mut running = Running {
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
}

/// A server that runs, with whatever stands behind it.
#[derive(Debug)]
pub struct Running {
    /// The server itself first.
    children: Vec<Owned>,
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
    /// Starts it once more in the folder that it left.
    ///
    /// # Errors
    /// As [`Start::with`].
    pub fn again(&mut self) -> Result<()> {
        self.launch().with_context(|| format!("start {}", self.peer.name()))
    }

    fn launch(&mut self) -> Result<()> {
        let log = self.folder.join("log").display().to_string();
        match self.peer {
            Peer::Livehelp => self.serve(self.livehelp(&[])),
            Peer::LivehelpMemory => self.serve(self.livehelp(&["--store", "memory"])),
            Peer::Floor => self.serve(self.relay("floor", &[])),
            Peer::FloorAck => self.serve(self.relay("floor", &["--ack"])),
            Peer::FloorStore => self.serve(self.relay("floor", &["--store", &log])),
            Peer::Bun => self.serve(self.bun(&[])),
            Peer::BunAck => self.serve(self.bun(&["--ack"])),
            Peer::Tungstenite => self.serve(self.relay("relay", &[])),
            Peer::NodeWs => self.serve(self.node("ws.mjs", &[])),
            Peer::SocketIo => self.serve(self.node("socketio.mjs", &[])),
            Peer::NodeRedis => self.serve_on_redis(&[]),
            Peer::NodeRedisBatch => self.serve_on_redis(&["--batch"]),
            Peer::NodePostgres => self.serve_on_postgres(&[]),
            Peer::NodePostgresBatch => self.serve_on_postgres(&["--batch"]),
            Peer::Nats => self.nats(None),
            Peer::JetStream => self.nats(Some(false)),
            Peer::JetStreamSync => self.nats(Some(true)),
            Peer::Mosquitto => self.mosquitto(),
            Peer::Ejabberd => self.ejabberd(),
        }?;
        self.names = self.people()?.map(Arc::new);
        Ok(())
    }

    fn serve(&mut self, mut command: Command) -> Result<()> {
        let Process { child, ready, .. } =
            Process::spawn(&mut command, &self.folder.join("log.txt"))?;
        self.children.insert(0, child);
        (self.address, self.admin) = (ready.public, ready.admin);
        Ok(())
    }

    fn livehelp(&self, words: &[&str]) -> Command {
        let Certificate { cert, key, .. } = &self.place.certificate;
        let mut command = with_this_process();
        command.arg(&self.place.livehelp).arg("serve").args(testkit::flags(&FLAGS)).args(words);
        command.arg("--data").arg(self.folder.join("data"));
        command.arg("--keys").arg(self.folder.join("keys"));
        if self.tls {
            command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
        }
        command.env_remove("LIVEHELP_CONFIG");
        command
    }

    fn relay(&self, name: &str, words: &[&str]) -> Command {
        let mut command = with_this_process();
        command.arg(self.place.binaries.join(name)).args(words);
        command
    }

    fn bun(&self, words: &[&str]) -> Command {
        let Certificate { cert, key, .. } = &self.place.certificate;
        let mut command = with_this_process();
        command.arg(self.place.bun()).arg(self.place.js.join("bun.mjs")).args(words);
        if self.tls {
            command.arg("--tls").arg(cert).arg(key);
        }
        command
    }

    fn node(&self, script: &str, words: &[&str]) -> Command {
        let mut command = with_this_process();
        command.arg("node").arg(self.place.js.join(script)).args(words);
        command
    }

    fn serve_on_redis(&mut self, words: &[&str]) -> Result<()> {
        let (child, port) = redis(&self.folder)?;
        self.children.push(child);
        let port = port.to_string();
        self.serve(self.node("ws.mjs", &[&["--redis", &port], words].concat()))
    }

    fn serve_on_postgres(&mut self, words: &[&str]) -> Result<()> {
        let (child, url) = postgres(&self.folder)?;
        self.children.push(child);
        self.serve(self.node("ws.mjs", &[&["--postgres", &url], words].concat()))
    }

    fn nats(&mut self, jetstream: Option<bool>) -> Result<()> {
        let binary = self.place.nats.as_ref().context("nats-server is not here")?;
        let (child, address) = nats(binary, &self.folder, jetstream)?;
        self.children.push(child);
        self.address = address;
        Ok(())
    }

    fn mosquitto(&mut self) -> Result<()> {
        let binary = self.place.mosquitto.as_ref().context("mosquitto is not here")?;
        let (child, address) = mosquitto(binary, &self.folder)?;
        self.children.push(child);
        self.address = address;
        Ok(())
    }

    fn ejabberd(&mut self) -> Result<()> {
        let script = self.place.ejabberd.as_ref().context("ejabberd is not here")?;
        let (child, address) = ejabberd(script, &self.folder)?;
        self.children.push(child);
        self.address = address;
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
                let endpoints =
                    Endpoints { public: self.address, admin, tls: self.tls(), console, keys };
                Some(let_in(&endpoints, self.world)?)
            }
            _ => None,
        })
    }

    fn tls(&self) -> Option<Arc<ClientConfig>> {
        self.tls.then(|| Arc::clone(&self.place.certificate.client))
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
        let mut pids: Vec<u32> = self.children.iter().map(|child| child.id()).collect();
        if self.peer.forks() {
            pids.extend(self.children.iter().flat_map(|child| descendants(child.id())));
        }
        Usage::of(&pids).with_context(|| format!("{} has ended", self.peer.name()))
    }

    /// How many agents of livehelp have the rooms.
    pub fn agents(&self) -> usize {
        self.world.agents()
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
        for child in self.children.drain(..) {
            if self.peer.postgres() {
                // Its children and its shared memory are its own to clear up; it does so at once.
                let pid = child.id().to_string();
                let _ended = Command::new("kill").args(["-QUIT", &pid]).status();
                pause(Duration::from_millis(200));
            }
            drop(child);
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

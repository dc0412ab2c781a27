//! Programs that do not say where they listen: they get a port, and are asked until they answer.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use testkit::Owned;

use super::program::with_this_process;
use crate::clock::{now, pause};

pub(super) mod ejabberd;

/// How long one may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who runs PostgreSQL where this process is root, which it refuses to be.
const OWNER: &str = "postgres";

/// A port that is free now; it is taken at once.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn quiet(command: &mut Command, log: &Path) -> Result<()> {
    let out = File::create(log).with_context(|| format!("make {}", log.display()))?;
    let errors = out.try_clone().context("share a log")?;
    command.stdin(Stdio::null()).stdout(out).stderr(errors);
    Ok(())
}

/// Waits until something listens there.
fn answered(child: &mut Child, port: u16, log: &Path) -> Result<()> {
    let begin = now();
    while TcpStream::connect(local(port)).is_err() {
        let ended = child.try_wait().context("ask whether it runs")?.is_some();
        if ended || begin.elapsed() > PATIENCE {
            let log = fs::read_to_string(log).unwrap_or_default();
            bail!("it does not listen; it says {log:?}");
        }
        pause(Duration::from_millis(20));
    }
    Ok(())
}

/// `nats-server`; with JetStream, each message synced or not.
pub(super) fn nats(
    binary: &Path,
    folder: &Path,
    jetstream: Option<bool>,
) -> Result<(Owned, SocketAddr)> {
    let (plain, socket) = (free_port()?, free_port()?);
    let mut settings = format!(
        "listen: \"127.0.0.1:{plain}\"\nmax_payload: 65536\n\
         websocket {{ listen: \"127.0.0.1:{socket}\", no_tls: true }}\n"
    );
    if let Some(sync) = jetstream {
        let interval = if sync { "always" } else { "\"2m\"" };
        let store = folder.join("jetstream");
        settings.push_str(&format!(
            "jetstream {{ store_dir: \"{}\", sync_interval: {interval} }}\n",
            store.display()
        ));
    }
    let (path, log) = (folder.join("nats.conf"), folder.join("log.txt"));
    fs::write(&path, settings).context("write NATS's settings")?;
    let mut command = with_this_process();
    command.arg(binary).arg("-c").arg(path);
    quiet(&mut command, &log)?;
    let mut child = Owned(command.spawn().context("start nats-server")?);
    answered(&mut child, plain, &log)?;
    answered(&mut child, socket, &log)?;
    if jetstream.is_some() {
        make_stream(plain).context("make JetStream's stream")?;
    }
    Ok((child, local(socket)))
}

/// One stream that keeps what is said in every room.
fn make_stream(port: u16) -> Result<()> {
    let stream = TcpStream::connect(local(port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let wish = "{\"name\":\"rooms\",\"subjects\":[\"room.*\"],\"storage\":\"file\"}";
    write!(
        &stream,
        "CONNECT {{\"verbose\":false}}\r\nSUB made 1\r\nPUB $JS.API.STREAM.CREATE.rooms made {}\r\n{wish}\r\n",
        wish.len()
    )?;
    for line in BufReader::new(&stream).lines() {
        let line = line?;
        if line.contains("\"error\"") {
            bail!("it says {line}");
        }
        if line.contains("stream_create_response") {
            return Ok(());
        }
    }
    bail!("it does not answer")
}

/// `mosquitto`, with room for every listener. It takes no socket unless it listens without WebSocket too.
pub(super) fn mosquitto(binary: &Path, folder: &Path) -> Result<(Owned, SocketAddr)> {
    let (plain, socket) = (free_port()?, free_port()?);
    let settings = format!(
        "listener {plain} 127.0.0.1\nlistener {socket} 127.0.0.1\nprotocol websockets\n\
         allow_anonymous true\nset_tcp_nodelay true\nuser root\n"
    );
    let (path, log) = (folder.join("mosquitto.conf"), folder.join("log.txt"));
    fs::write(&path, settings).context("write Mosquitto's settings")?;
    let mut command = with_this_process();
    command.arg(binary).arg("-c").arg(path).env("LD_LIBRARY_PATH", libraries(binary));
    quiet(&mut command, &log)?;
    let mut child = Owned(command.spawn().context("start mosquitto")?);
    answered(&mut child, socket, &log)?;
    Ok((child, local(socket)))
}

/// Where the libraries of a Debian package lie that was unpacked and not installed.
pub(super) fn libraries(binary: &Path) -> PathBuf {
    let top = binary.ancestors().nth(2).unwrap_or(binary);
    top.join("lib").join(format!("{}-linux-gnu", std::env::consts::ARCH))
}

/// `redis-server`, each write synced before it is confirmed.
pub(super) fn redis(folder: &Path) -> Result<(Owned, u16)> {
    let port = free_port()?;
    let log = folder.join("redis.txt");
    let mut command = with_this_process();
    command.arg("redis-server").args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
    command.arg("--dir").arg(folder);
    quiet(&mut command, &log)?;
    let mut child = Owned(command.spawn().context("start redis-server")?);
    answered(&mut child, port, &log)?;
    Ok((child, port))
}

/// One of PostgreSQL's programs, which Debian keeps off the search path.
pub(super) fn postgres_program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(name));
    found.filter(|path| path.is_file()).max().unwrap_or_else(|| PathBuf::from(name))
}

/// PostgreSQL with its defaults: each commit is synced.
pub(super) fn postgres(folder: &Path) -> Result<(Owned, String)> {
    let port = free_port()?;
    let data = folder.join("postgres");
    fs::create_dir_all(&data).context("make PostgreSQL's folder")?;
    let root = Command::new("id").arg("-u").output().context("ask who this is")?.stdout == b"0\n";
    let as_owner = |die: bool| {
        let mut command = Command::new("setpriv");
        if root {
            command.args(["--reuid", OWNER, "--regid", OWNER, "--clear-groups"]);
        }
        if die {
            command.args(["--pdeathsig", "QUIT"]);
        }
        command.arg("--");
        command
    };
    if root {
        let status = Command::new("chown").arg(OWNER).arg(&data).status();
        if !status.is_ok_and(|status| status.success()) {
            bail!("there is no user `{OWNER}` to run PostgreSQL as");
        }
    }
    let log = folder.join("postgres.txt");
    let mut init = as_owner(false);
    init.arg(postgres_program("initdb"))
        .args(["--auth=trust", "--username=peers", "-D"])
        .arg(&data);
    quiet(&mut init, &log)?;
    if !init.status().context("start initdb")?.success() {
        bail!("initdb says {:?}", fs::read_to_string(&log).unwrap_or_default());
    }
    let mut command = as_owner(true);
    command.arg(postgres_program("postgres"));
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k", "", "-D"]).arg(&data);
    quiet(&mut command, &log)?;
    let mut child = Owned(command.spawn().context("start postgres")?);
    answered(&mut child, port, &log)?;
    // It listens a moment before it lets anybody in.
    pause(Duration::from_millis(500));
    Ok((child, format!("postgres://peers@127.0.0.1:{port}/postgres")))
}

/// The processes that a process has started, and theirs.
pub(super) fn descendants(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    let own: Vec<u32> = text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    let theirs = own.iter().flat_map(|pid| descendants(*pid));
    own.iter().copied().chain(theirs).collect()
}

//! A server with its bus, a load on it, and a Prometheus that scrapes it each second: all in one folder, all stopped by
//! their handles.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Organization, Owned, Throwaway};

/// Ten seconds of all that people and programs do, after two of coming in.
const SCENARIO: &str = r#"
name = "dashboards"
about = "A little of everything, for the dashboards"
seed = 7
loop = "open"
drain_ms = 2000

[mix]
rooms = 10
reconnectors = 4
watchers = 2
idle = 10
slow_readers = 1
malformed = 1
bots = 1
agents = 3

[agent]
capacity = 20
think_ms = [50, 200]
board = true

[visit]
messages = [1, 2]
think_ms = [100, 300]

[reconnect]
every_ms = 2000
away_ms = [100, 400]

[[phase]]
kind = "ramp"
seconds = 2
rate = 60
arrivals = 3

[[phase]]
kind = "hold"
seconds = SECONDS
rate = 60
arrivals = 3
"#;

/// Whom it serves.
const SHOP: Organization<'static> = Organization {
    name: "Shop",
    site: "Shop",
    origin: "https://shop.example",
    admin_email: "ada@shop.example",
    admin_password: "a long password of the dashboards",
};

const PATIENCE: Duration = Duration::from_secs(20);
const REST: Duration = Duration::from_millis(100);

/// One series of an answer: its labels, and its values by time.
#[derive(Debug)]
pub struct Series {
    pub labels: Value,
    pub points: Vec<(f64, f64)>,
}

pub struct Rig {
    prometheus: Owned,
    server: Throwaway,
    _bus: Owned,
    /// The bus's.
    _folder: TempDir,
    programs: PathBuf,
    questions: SocketAddr,
    /// Unix seconds of the first scrape.
    pub begun: f64,
}

impl Rig {
    /// Starts bus, server and Prometheus; the programs are this package's examples, built with its tests.
    pub fn start() -> Result<Self> {
        let programs = programs()?;
        let folder = TempDir::with_prefix("livehelp-deploy-")?;
        let (bus, url) = bus(folder.path())?;
        let program = programs.join("deploy-livehelp");
        let server = Throwaway::start(&program, &SHOP, &[format!("--bus={url}")], |_| {})?;
        let (prometheus, questions) = scrape(server.folder(), server.admin)?;
        let (_bus, _folder) = (bus, folder);
        Ok(Self { prometheus, server, _bus, _folder, programs, questions, begun: now() })
    }

    /// Puts the load on it to the end; a run that does not keep its account is a failure.
    pub fn load(&self, seconds: u32) -> Result<()> {
        let scenario = self.server.folder().join("dashboards.toml");
        std::fs::write(&scenario, SCENARIO.replace("SECONDS", &seconds.to_string()))?;
        let output = Command::new(self.programs.join("deploy-livehelp-load"))
            .args(["run", "--quiet"])
            .arg(&scenario)
            .args(["--server", &format!("http://{}", self.server.public)])
            .args(["--admin", &format!("http://{}", self.server.admin)])
            .arg("--operator-key-file")
            .arg(self.server.operator_key_file())
            .output()
            .context("start the load")?;
        // 3: this machine was too busy to send in time, which says nothing about the server.
        if !matches!(output.status.code(), Some(0 | 3)) {
            bail!(
                "the load ended with {}: {}{}",
                output.status,
                said(&output.stdout),
                said(&output.stderr)
            );
        }
        Ok(())
    }

    /// Somebody with a wrong password, and a program with no such key.
    pub fn strangers(&self) -> Result<()> {
        let public = self.server.public;
        let body = r#"{"email":"ada@shop.example","password":"not the password of anyone"}"#;
        for _ in 0..3 {
            let head = format!(
                "POST /v1/sessions HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                public,
                body.len()
            );
            ask(public, &head)?;
            let key =
                "lhk_00000000000070008000000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
            let head = format!(
                "GET /v1/conversations HTTP/1.1\r\nHost: {public}\r\nAuthorization: Bearer {key}\r\n\
                 Connection: close\r\n\r\n"
            );
            ask(public, &head)?;
            sleep(Duration::from_secs(1));
        }
        Ok(())
    }

    /// What a panel would show from the first scrape until now.
    pub fn range(&self, expr: &str, step: f64) -> Result<Vec<Series>> {
        let path = format!(
            "/api/v1/query_range?query={}&start={}&end={}&step={step}",
            encoded(expr),
            self.begun,
            now()
        );
        let head = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.questions);
        let answer: Value = serde_json::from_str(&ask(self.questions, &head)?)?;
        if answer["status"] != "success" {
            bail!("Prometheus refused {expr}: {}", answer["error"]);
        }
        let found = answer["data"]["result"].as_array().context("no result")?;
        let series = |found: &Value| Series {
            labels: found["metric"].clone(),
            points: found["values"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default()
                .iter()
                .filter_map(point)
                .collect(),
        };
        Ok(found.iter().map(series).collect())
    }

    /// Stops the server as an operator would, and Prometheus at once.
    pub fn stop(self) -> Result<()> {
        let Self { prometheus, server, .. } = self;
        drop(prometheus);
        server.stop(Signal::TERM)
    }
}

fn point(pair: &Value) -> Option<(f64, f64)> {
    Some((pair[0].as_f64()?, pair[1].as_str()?.parse().ok()?))
}

/// `target/…/examples`, beside the folder of the program that runs.
fn programs() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folders = own.ancestors().map(|folder| folder.join("examples"));
    let found = folders.take(4).find(|folder| folder.join("deploy-livehelp").exists());
    found.or_else(|| own.parent().map(Path::to_path_buf)).context("no folder of examples")
}

/// What a node may do: the line of docs/operations.md.
const ACL: &str = "on >secret ~livehelp:* &livehelp:* -@all +fcall +function|load +get +set +publish \
                   +subscribe +unsubscribe +ping +config|get";

/// A Redis that keeps nothing, and its address: a server on its own would have nothing to show of a bus.
fn bus(folder: &Path) -> Result<(Owned, String)> {
    // Free now; should another program take it meanwhile, the test fails.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let settings = folder.join("redis.conf");
    let words = "save \"\"\nappendonly no\nslowlog-max-len 0\n";
    std::fs::write(
        &settings,
        format!("bind 127.0.0.1\nport {port}\n{words}user livehelp {ACL}\n"),
    )?;
    let child = Command::new("redis-server")
        .arg(&settings)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("start redis-server; on Debian `apt-get install redis-server`")?;
    let mut child = Owned(child);
    let mut lines = BufReader::new(child.0.stdout.take().context("the output of Redis")?);
    let mut said = String::new();
    while !said.contains("Ready to accept connections") {
        if lines.read_line(&mut said)? == 0 {
            bail!("Redis does not start: {said}");
        }
    }
    Ok((child, format!("redis://livehelp:secret@127.0.0.1:{port}/0")))
}

fn scrape(folder: &Path, admin: SocketAddr) -> Result<(Owned, SocketAddr)> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("prometheus/rules/*.yml");
    let settings = folder.join("prometheus.yml");
    std::fs::write(
        &settings,
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [\"{}\"]\n\
             scrape_configs: [{{job_name: livehelp, static_configs: [{{targets: [\"{admin}\"]}}]}}]\n",
            rules.display()
        ),
    )?;
    // A port that is free now; should another program take it meanwhile, another one is tried.
    let mut failure = String::new();
    for attempt in 0..3 {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log_path = folder.join(format!("prometheus-{attempt}.log"));
        let log = std::fs::File::create(&log_path)?;
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", settings.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join(format!("series-{attempt}")).display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start prometheus; on Debian `apt-get install prometheus`")?;
        let mut child = Owned(child);
        let head = format!("GET /-/ready HTTP/1.0\r\nHost: {address}\r\n\r\n");
        let ready = until(|| match (ask(address, &head), child.try_wait()?) {
            (Ok(_), _) => Ok(Some(true)),
            (Err(_), Some(_)) => Ok(Some(false)),
            (Err(_), None) => Ok(None),
        })?;
        if ready {
            return Ok((child, address));
        }
        failure = std::fs::read_to_string(&log_path).unwrap_or_default();
    }
    bail!("Prometheus did not start: {failure}");
}

/// Asks again and again until there is an answer.
fn until<T>(mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..PATIENCE.as_millis() / REST.as_millis() {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        sleep(REST);
    }
    bail!("nothing came in {} s", PATIENCE.as_secs())
}

/// The body of the answer to one request; of a server's error an error.
fn ask(address: SocketAddr, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status.starts_with('5') {
        bail!("{status} {body}");
    }
    Ok(body.to_owned())
}

fn encoded(text: &str) -> String {
    let letter = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(*byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.as_bytes().iter().map(letter).collect()
}

fn said(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

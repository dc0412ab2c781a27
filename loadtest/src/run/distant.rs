//! Orders and reports over TCP: one line of JSON each, after a greeting by which a worker proves
//! that it is one.
//!
//! Nothing is encrypted: between hosts it belongs on a network of one's own. The secret comes from
//! the environment or from a file that only its owner reads; an argument could be seen by everyone
//! on the machine.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
    BufReader,
};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::clock::{Clock, Micros};
use crate::run::worker::{self, LETTERS_MAX, Order, WorkerReport};
use crate::tasks;

/// The variable that holds the secret.
pub(crate) const SECRET: &str = "LIVEHELP_LOAD_SECRET";

/// Characters of a secret at least: a short one is soon guessed.
const SECRET_CHARS_MIN: usize = 16;
/// Bytes of a greeting or its answer at most.
const GREETING_BYTES_MAX: u64 = 4_096;
/// Time for whoever calls to say who they are.
const GREETING: Duration = Duration::from_secs(5);
/// Clocks that differ by more make nonsense of a time between two workers.
const SKEW_US_MAX: u64 = 1_000_000;
/// Time between two tries to call a controller that is not there yet.
const CALL_AGAIN: Duration = Duration::from_millis(200);

/// What a worker says first.
#[derive(Serialize, Deserialize)]
struct Greeting {
    secret: String,
    version: String,
    /// Its clock.
    at: Micros,
}

/// The secret that controller and workers share: of a file, or of the environment.
///
/// # Errors
/// If there is none, or others can read it.
pub(crate) fn secret(file: Option<&Path>) -> Result<String> {
    let secret = if let Some(file) = file {
        let words = || format!("cannot read {} (flag --secret-file)", file.display());
        let mode = std::fs::metadata(file).with_context(words)?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!("{} can be read by others: chmod 600 it", file.display());
        }
        std::fs::read_to_string(file).with_context(words)?
    } else {
        let found = std::env::vars().find(|(name, _)| name == SECRET);
        found.with_context(|| format!("no secret: set {SECRET}, or name a --secret-file"))?.1
    };
    let secret = secret.trim();
    if secret.chars().count() < SECRET_CHARS_MIN {
        bail!("the workers' secret is shorter than {SECRET_CHARS_MIN} characters");
    }
    Ok(secret.to_owned())
}

/// A worker's connection, and by how much its clock differs at most.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) stream: BufReader<TcpStream>,
    pub(crate) skew_us: u64,
}

/// Hears who calls, and tells them whether they are taken.
///
/// # Errors
/// If they are not.
pub(crate) async fn answer(stream: TcpStream, secret: &str) -> Result<Called> {
    stream.set_nodelay(true).context("cannot set up a worker's connection")?;
    let mut stream = BufReader::new(stream);
    let heard = tokio::time::timeout(GREETING, first_line(&mut stream)).await;
    let heard = heard.context("somebody called and said nothing")??;
    let judged = judge(&heard, secret, Clock::start().now());
    let told = judged.as_ref().map(|_| ()).map_err(ToString::to_string);
    write(stream.get_mut(), &told).await?;
    Ok(Called { skew_us: judged?, stream })
}

/// By how much its clock differs. The secret comes first: a stranger learns nothing else.
fn judge(heard: &str, secret: &str, now: Micros) -> Result<u64> {
    let Ok(greeting) = serde_json::from_str::<Greeting>(heard) else {
        bail!("a stranger called: no worker of this program greets so");
    };
    if !bool::from(greeting.secret.as_bytes().ct_eq(secret.as_bytes())) {
        bail!("the secret of a worker is not the controller's");
    }
    let own = env!("CARGO_PKG_VERSION");
    if greeting.version != own {
        bail!("a worker is of version {}, its controller of {own}", greeting.version);
    }
    let skew_us = now.0.abs_diff(greeting.at.0);
    if skew_us > SKEW_US_MAX {
        bail!("the clocks of a worker and its controller differ by {} ms", skew_us / 1_000);
    }
    Ok(skew_us)
}

async fn first_line(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    let mut bounded = stream.take(GREETING_BYTES_MAX);
    bounded.read_line(&mut line).await.context("the connection broke at its greeting")?;
    Ok(line)
}

async fn write<T: Serialize>(writer: &mut (impl AsyncWrite + Unpin), letter: &T) -> Result<()> {
    let mut line = serde_json::to_vec(letter).context("cannot put a letter into JSON")?;
    line.push(b'\n');
    writer.write_all(&line).await.context("the connection between controller and worker broke")
}

async fn read<T: DeserializeOwned>(
    reader: &mut (impl AsyncBufRead + Unpin),
    line: &mut String,
) -> Result<Option<T>> {
    line.clear();
    let read = reader
        .read_line(line)
        .await
        .context("the connection between controller and worker broke")?;
    if read == 0 {
        return Ok(None);
    }
    serde_json::from_str(line).context("a letter of another form").map(Some)
}

/// Carries a worker's orders and reports at the controller's end.
pub(crate) async fn relay(
    stream: BufReader<TcpStream>,
    mut orders: mpsc::Receiver<Order>,
    reports: mpsc::Sender<(usize, WorkerReport)>,
    index: usize,
) {
    let (reader, mut writer) = stream.into_inner().into_split();
    let writing = tasks::spawn("orders", async move {
        while let Some(order) = orders.recv().await {
            if write(&mut writer, &order).await.is_err() {
                return;
            }
        }
    });
    let (mut reader, mut line) = (BufReader::new(reader), String::new());
    let mut done = false;
    loop {
        let report = match read::<WorkerReport>(&mut reader, &mut line).await {
            Ok(Some(report)) => report,
            Ok(None) if done => break,
            Ok(None) => WorkerReport::Failed { words: format!("worker {index} is gone") },
            Err(error) => WorkerReport::Failed { words: format!("{error:#}") },
        };
        done |= matches!(report, WorkerReport::Result { .. });
        let failed = matches!(report, WorkerReport::Failed { .. });
        if reports.send((index, report)).await.is_err() || failed {
            break;
        }
    }
    writing.abort();
}

/// A worker's process: calls the controller, for so long, and does what it says.
///
/// # Errors
/// If the controller cannot be reached or does not take it, or the work failed.
pub(crate) async fn serve(controller: SocketAddr, secret: &str, wait: Duration) -> Result<()> {
    let stream = tokio::time::timeout(wait, async {
        loop {
            if let Ok(stream) = TcpStream::connect(controller).await {
                return stream;
            }
            tokio::time::sleep(CALL_AGAIN).await;
        }
    });
    let words = || format!("no controller answered at {controller} within {} s", wait.as_secs());
    let stream = stream.await.ok().with_context(words)?;
    stream.set_nodelay(true).context("cannot set up the controller's connection")?;
    let mut stream = BufReader::new(stream);
    let greeting = Greeting {
        secret: secret.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at: Clock::start().now(),
    };
    write(stream.get_mut(), &greeting).await?;
    let told = first_line(&mut stream).await?;
    let told: Result<(), String> =
        serde_json::from_str(&told).with_context(|| format!("{controller} is no controller"))?;
    if let Err(words) = told {
        bail!("the controller at {controller} turned this worker away: {words}");
    }
    // What was read ahead of the answer is the first order.
    let ahead = stream.buffer().to_vec();
    let (reader, mut writer) = stream.into_inner().into_split();
    let reader = std::io::Cursor::new(ahead).chain(reader);
    // Full: the controller's next order waits.
    let (tell, orders) = mpsc::channel(LETTERS_MAX);
    // Full: the worker waits.
    let (reports, mut said) = mpsc::channel::<WorkerReport>(LETTERS_MAX);
    let reading = tasks::spawn("orders", async move {
        let (mut reader, mut line) = (BufReader::new(reader), String::new());
        while let Ok(Some(order)) = read::<Order>(&mut reader, &mut line).await {
            if tell.send(order).await.is_err() {
                return;
            }
        }
    });
    let writing = tasks::spawn("reports", async move {
        while let Some(report) = said.recv().await {
            write(&mut writer, &report).await?;
        }
        Ok::<(), anyhow::Error>(())
    });
    let worked = worker::work(orders, reports).await;
    reading.abort();
    writing.await.context("a worker's task broke off")??;
    worked
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "a secret of many letters";

    fn judged(secret: &str, version: &str, at: u64) -> String {
        let greeting =
            Greeting { secret: secret.to_owned(), version: version.to_owned(), at: Micros(at) };
        let line = serde_json::to_string(&greeting).unwrap();
        let judged = judge(&line, RIGHT, Micros(5_000_000));
        judged.map_or_else(|error| error.to_string(), |skew_us| skew_us.to_string())
    }

    #[test]
    fn only_a_worker_with_the_secret_the_version_and_the_time_is_taken() {
        let own = env!("CARGO_PKG_VERSION");
        assert_eq!(judged(RIGHT, own, 5_000_700), "700");
        assert!(judged("a secret of many LETTERS", own, 5_000_000).contains("secret"));
        assert!(judged("", "9.9.9", 5_000_000).contains("secret"), "a stranger learns no more");
        assert!(judged(RIGHT, "9.9.9", 5_000_000).contains("version 9.9.9"));
        assert!(judged(RIGHT, own, 3_000_000).contains("clocks"));
        let stranger = judge("GET / HTTP/1.1", RIGHT, Micros(0)).unwrap_err();
        assert!(stranger.to_string().contains("stranger"));
    }

    #[test]
    fn a_secret_that_others_can_read_or_guess_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let with = |text: &str, mode: u32| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            secret(Some(&file)).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(with("a secret of many letters\n", 0o600).unwrap(), RIGHT);
        assert!(with(RIGHT, 0o640).unwrap_err().contains("chmod 600"));
        assert!(with("short", 0o600).unwrap_err().contains("shorter than 16"));
        assert!(secret(Some(&folder.path().join("none"))).is_err());
    }
}

//! Workers that somebody else starts: who is taken, who is turned away, and what is said of it.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;

use crate::harness::{Running, command};
use crate::server::Server;

const SECRET: &str = "what the tests share";
const SCENARIO: &str = "
loop = \"open\"
[mix]
rooms = 4
idle = 2
[[phase]]
seconds = 2
rate = 40
";

struct Waiting {
    running: Running,
    controller: SocketAddr,
    _folder: TempDir,
}

/// A run that waits for its workers.
async fn waiting(server: &Server, count: &str, seconds: &str) -> Waiting {
    let folder = TempDir::new().unwrap();
    let file = secret_file(&folder);
    let file = file.to_str().unwrap();
    let listen = ["--workers-listen", "127.0.0.1:0", "--workers-remote", count];
    let more = ["--workers-wait-seconds", seconds, "--secret-file", file];
    let more = [&listen[..], &more[..]].concat();
    let mut running = Running::start(server, server.public, SCENARIO, &more);
    let words = running.says("waiting for").await;
    let controller = words.rsplit(' ').next().unwrap().parse().unwrap();
    Waiting { running, controller, _folder: folder }
}

fn secret_file(folder: &TempDir) -> PathBuf {
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

fn worker(controller: SocketAddr, secret: &str) -> Child {
    let mut command = command();
    command.arg("worker").arg(controller.to_string()).env("LIVEHELP_LOAD_SECRET", secret);
    command.spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_were_started_elsewhere_share_one_run() {
    let server = Server::start().await;
    let run = waiting(&server, "2", "60").await;
    let workers = [worker(run.controller, SECRET), worker(run.controller, SECRET)];
    let ran = run.running.end().await;
    ran.is_clean();
    assert_eq!(ran.result["workers"], 2);
    assert_eq!(ran.figure("connections"), 11.0, "{}", ran.told());
    for worker in workers {
        let output = worker.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_worker_of_the_run_is_told_why_and_does_not_end_the_waiting() {
    let server = Server::start().await;
    let mut run = waiting(&server, "1", "4").await;
    let output =
        worker(run.controller, "what a stranger guesses").wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("turned this worker away") && words.contains("secret"), "{words}");
    let told = run.running.says("turned 127.0.0.1").await;
    assert!(told.contains("secret"), "{told}");
    let greeting = json!({ "secret": SECRET, "version": "0.0.1", "at": 0 });
    let answer = greet(run.controller, &greeting.to_string()).await;
    assert!(answer["Err"].as_str().unwrap().contains("version 0.0.1"), "{answer}");
    let answer = greet(run.controller, "GET / HTTP/1.1").await;
    assert!(answer["Err"].as_str().unwrap().contains("stranger"), "{answer}");
    // And nobody else calls.
    let told = run.running.says("livehelp-load:").await;
    assert!(told.contains("only 0 of 1 workers called within 4 s"), "{told}");
    assert_eq!(run.running.end().await.code, 2);
    server.stop().await;
}

async fn greet(controller: SocketAddr, words: &str) -> Value {
    let mut stream = TcpStream::connect(controller).await.unwrap();
    stream.write_all(format!("{words}\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await.unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_goes_ends_the_run_and_is_named() {
    let server = Server::start().await;
    let mut run = waiting(&server, "1", "60").await;
    let mut gone = worker(run.controller, SECRET);
    run.running.says("sent/s").await;
    gone.kill().await.unwrap();
    let told = run.running.says("livehelp-load:").await;
    assert!(told.contains("worker 0"), "{told}");
    assert_eq!(run.running.end().await.code, 2);
    server.stop().await;
}

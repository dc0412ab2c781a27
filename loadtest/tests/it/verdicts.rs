//! Exit codes, and words that say what to do.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::harness::{command, file, run, start};
use crate::server::Server;

const CLOSED: &str = "loop = \"closed\"\n[mix]\nrooms = 2\n[[phase]]\nseconds = 1\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_threshold_is_0_and_a_broken_one_is_1() {
    let server = Server::start().await;
    let kept = format!("{CLOSED}[thresholds]\nmessages_per_second = {{ min = 1 }}\n");
    let ran = run(&server, &kept, &[]).await;
    assert_eq!(ran.code, 0, "{}", ran.told());
    let broken = format!("{CLOSED}[thresholds]\nmessages_per_second = {{ min = 1e9 }}\n");
    let ran = run(&server, &broken, &["--quiet"]).await;
    assert_eq!(ran.code, 1, "{}", ran.told());
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generator_that_was_held_up_voids_its_run() {
    let server = Server::start().await;
    let scenario = "loop = \"open\"\n[mix]\nrooms = 2\n[[phase]]\nseconds = 4\nrate = 100\n";
    let mut started = start(&server, server.public, scenario, &[]);
    let pid = Pid::from_raw(i32::try_from(started.child.id().unwrap()).unwrap()).unwrap();
    let mut lines = BufReader::new(started.child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("sent/s") && line.contains("hold") {
            break;
        }
    }
    kill_process(pid, Signal::STOP).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    kill_process(pid, Signal::CONT).unwrap();
    // Nobody reads its stderr any more; it goes on all the same.
    let ran = started.end().await;
    assert_eq!(ran.code, 3, "{}", ran.told());
    assert!(ran.result["void"].as_str().unwrap().contains("late"), "{}", ran.told());
    assert!(ran.figure("send_lag_p99_ms") > 10.0);
    ran.is_clean();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_ends_and_is_none() {
    let server = Server::start().await;
    let scenario = "loop = \"closed\"\n[mix]\nrooms = 1\n[[phase]]\nseconds = 600\n";
    let mut started = start(&server, server.public, scenario, &[]);
    let pid = Pid::from_raw(i32::try_from(started.child.id().unwrap()).unwrap()).unwrap();
    let mut lines = BufReader::new(started.child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("hold") {
            break;
        }
    }
    kill_process(pid, Signal::INT).unwrap();
    let mut words = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        words = line;
    }
    assert!(words.contains("interrupted"), "{words}");
    assert_eq!(started.end().await.code, 2);
    server.stop().await;
}

async fn refused(arguments: &[&str]) -> String {
    let output = command().args(arguments).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn what_cannot_run_is_2_and_says_why() {
    let folder = TempDir::new().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "lho_x").unwrap();
    let key = key.to_str().unwrap();
    let words = refused(&["run", "smok", "--operator-key-file", key]).await;
    assert!(words.contains("did you mean `smoke`"), "{words}");
    let remote = ["run", "smoke", "--operator-key-file", key, "--server", "http://192.0.2.1:80"];
    let words = refused(&remote).await;
    assert!(words.contains("--allow-remote"), "{words}");
    let listen = ["--workers-listen", "0.0.0.0:0", "--workers-remote", "1"];
    let far = [&["run", "smoke", "--operator-key-file", key], &listen[..]].concat();
    let words = refused(&far).await;
    assert!(words.contains("--allow-remote"), "{words}");
    let words = refused(&[&far[..], &["--allow-remote"]].concat()).await;
    assert!(words.contains("loopback"), "{words}");
    let near =
        ["--workers-listen", "127.0.0.1:0", "--workers-remote", "1", "--secret-file", "/nowhere"];
    let words = refused(&[&far[..4], &near[..]].concat()).await;
    assert!(words.contains("/nowhere"), "{words}");
    let words = refused(&["worker", "127.0.0.1:1", "--wait-seconds", "0"]).await;
    assert!(words.contains("LIVEHELP_LOAD_SECRET"), "{words}");
    let nobody = [
        "run",
        "smoke",
        "--operator-key-file",
        key,
        "--server",
        "http://127.0.0.1:1",
        "--admin",
        "http://127.0.0.1:1",
    ];
    let words = refused(&nobody).await;
    assert!(words.contains("no server answers"), "{words}");
    let words = refused(&["run", "smoke", "--operator-key-file", "/nowhere"]).await;
    assert!(words.contains("/nowhere"), "{words}");
    let wrong = file(folder.path(), "[mix]\nroom = 1\n");
    let words = refused(&["check", wrong.to_str().unwrap()]).await;
    assert!(words.contains("line 3") && words.contains("room"), "{words}");
    let words = refused(&["run", "smoke", "--start", "--binary", "/nowhere/livehelp"]).await;
    assert!(words.contains("--binary"), "{words}");
    let words = refused(&["report", key]).await;
    assert!(words.contains("no JSON"), "{words}");
}

#[tokio::test]
async fn every_shipped_scenario_is_listed_and_right() {
    let output = command().arg("list").output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = [
        "smoke",
        "closed",
        "open",
        "fanout",
        "idle",
        "reconnect-storm",
        "busy-day",
        "slow-readers",
        "soak",
    ];
    for name in names {
        assert!(text.contains(name), "{text}");
        assert!(command().args(["check", name]).output().await.unwrap().status.success(), "{name}");
    }
}

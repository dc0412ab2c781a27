//! Exit codes, and words that say what to do.

use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::{Running, command, file, run, start};
use crate::proxy::{Fault, Proxy};
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
    let mut running = Running::start(&server, server.public, scenario, &[]);
    running.phase("hold").await;
    running.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_secs(1)).await;
    running.signal(Signal::CONT);
    // Nobody reads its stderr any more; it goes on all the same.
    let ran = running.unheard().end().await;
    assert_eq!(ran.code, 3, "{}", ran.told());
    assert!(ran.result["void"].as_str().unwrap().contains("late"), "{}", ran.told());
    assert!(ran.figure("send_lag_p99_ms") > 10.0);
    ran.is_clean();
    server.stop().await;
}

/// What is lost is lost, however late the generator was.
#[tokio::test(flavor = "multi_thread")]
async fn a_void_run_in_which_something_was_lost_is_broken() {
    let proxy = Proxy::bind().await;
    let server = Server::start_behind(Some(proxy.address)).await;
    let address = proxy.address;
    proxy.carry(server.public, Fault::Drop);
    let scenario = "loop = \"open\"\n[mix]\nrooms = 2\n[[phase]]\nseconds = 4\nrate = 100\n";
    let mut running = Running::start(&server, address, scenario, &[]);
    running.phase("hold").await;
    running.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_secs(1)).await;
    running.signal(Signal::CONT);
    let ran = running.end().await;
    server.stop().await;
    assert!(ran.result["void"].as_str().unwrap().contains("late"), "{}", ran.told());
    assert!(ran.figure("lost") > 0.0, "{}", ran.told());
    assert_eq!(ran.result["verdict"], "broken", "{}", ran.told());
    assert_eq!(ran.code, 1, "{}", ran.told());
    assert!(ran.stdout.contains("BROKEN, though the times are void"), "{}", ran.told());
}

const LONG: &str = "
loop = \"open\"
[mix]
rooms = 3
[[phase]]
name = \"first\"
seconds = 1
rate = 60
[[phase]]
name = \"second\"
seconds = 600
rate = 60
[[phase]]
name = \"third\"
seconds = 600
rate = 60
[thresholds]
sent = { min = 30000 }
";

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_keeps_what_was_measured_and_is_not_judged() {
    let server = Server::start().await;
    for (workers, signal) in [("1", Signal::INT), ("2", Signal::TERM)] {
        let mut running = Running::start(&server, server.public, LONG, &["--workers", workers]);
        running.phase("second").await;
        running.signal(signal);
        let ran = running.end().await;
        assert_eq!(ran.code, 6, "{}", ran.told());
        assert!(ran.stderr.contains("interrupted"), "{}", ran.told());
        ran.is_clean();
        assert_eq!(ran.figure("sent"), ran.figure("acked"), "{}", ran.told());
        assert!((61.0..20_000.0).contains(&ran.figure("sent")), "{}", ran.told());
        assert_eq!(ran.result["ended"], "interrupted");
        assert!(ran.result["void"].as_str().unwrap().contains("interrupted"), "{}", ran.told());
        // The one that was cut is as long as it was, and those behind it never were.
        let phases = ran.result["phases"].as_array().unwrap();
        assert_eq!(phases.len(), 2, "{phases:?}");
        assert!(phases[1]["seconds"].as_f64().unwrap() < 500.0, "{phases:?}");
        let measured = ran.figure("measured_seconds");
        assert!(measured < 500.0, "{measured}");
        let page = std::fs::read_to_string(ran.out.path().join("report.html")).unwrap();
        assert!(page.contains("interrupted") && page.contains("<polyline"));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_run_that_is_interrupted_before_it_measures_there_is_nothing() {
    let server = Server::start().await;
    let mut running = Running::start(&server, server.public, LONG, &[]);
    running.says("making an Organization").await;
    running.signal(Signal::INT);
    let ran = running.end().await;
    assert_eq!(ran.code, 2, "{}", ran.told());
    assert!(ran.stderr.contains("interrupted: nothing was measured"), "{}", ran.told());
    assert!(ran.result.is_null());
    server.stop().await;
}

/// While it waits for acks that never come.
#[tokio::test(flavor = "multi_thread")]
async fn who_interrupts_twice_does_not_wait() {
    let proxy = Proxy::bind().await;
    let server = Server::start_behind(Some(proxy.address)).await;
    let address = proxy.address;
    proxy.carry(server.public, Fault::SwallowAck(usize::MAX));
    let scenario = format!("drain_ms = 600000\n{LONG}");
    let mut running = Running::start(&server, address, &scenario, &[]);
    running.phase("second").await;
    running.signal(Signal::INT);
    running.says("once more").await;
    running.signal(Signal::INT);
    let ran = running.end().await;
    server.stop().await;
    assert_eq!(ran.code, 2, "{}", ran.told());
    assert!(ran.stderr.contains("twice") && ran.result.is_null(), "{}", ran.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_runs_those_before_the_interrupted_one_are_kept() {
    let server = Server::start().await;
    let scenario = CLOSED.replace("seconds = 1", "seconds = 2");
    let mut running = Running::start(&server, server.public, &scenario, &["--runs", "9"]);
    running.says("run 2 of 9").await;
    running.signal(Signal::INT);
    let ran = running.end().await;
    server.stop().await;
    assert_eq!(ran.code, 6, "{}", ran.told());
    assert!(ran.out.path().join("run-1/result.json").exists(), "{}", ran.told());
    assert!(ran.out.path().join("report.html").exists(), "{}", ran.told());
    assert!(!ran.out.path().join("run-3").exists(), "{}", ran.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_threshold_ends_a_run_that_is_to_abort() {
    let server = Server::start().await;
    // A count: a rate ends no run as long as a busy machine makes the generator late.
    let scenario = format!("{LONG}acked = {{ max = 100, abort = true }}\n");
    let ran = run(&server, &scenario, &[]).await;
    server.stop().await;
    assert_eq!(ran.code, 1, "{}", ran.told());
    assert_eq!(ran.result["ended"], "aborted", "{}", ran.told());
    let fault = ran.result["faults"][0].as_str().unwrap();
    assert!(fault.contains("acked is"), "{fault}");
    assert!(ran.figure("measured_seconds") < 500.0, "{}", ran.told());
    ran.is_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_doubled_ends_a_run_that_is_to_abort() {
    let proxy = Proxy::bind().await;
    let server = Server::start_behind(Some(proxy.address)).await;
    let address = proxy.address;
    proxy.carry(server.public, Fault::Double);
    let ran = start(&server, address, LONG, &["--abort"]).end().await;
    server.stop().await;
    assert_eq!(ran.code, 1, "{}", ran.told());
    assert_eq!(ran.result["ended"], "aborted", "{}", ran.told());
    assert!(ran.result["faults"].to_string().contains("duplicate is"), "{}", ran.told());
    assert!(ran.figure("measured_seconds") < 500.0, "{}", ran.told());
}

#[tokio::test]
async fn the_help_says_what_each_exit_code_means() {
    for arguments in [&["--help"][..], &["run", "--help"], &["compare", "--help"]] {
        let output = command().args(arguments).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for row in ["0  every threshold kept", "4  the server was gone", "6  interrupted"] {
            assert!(text.contains(row), "{arguments:?}: {text}");
        }
    }
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
    let words = refused(&["check", "smoke", "--set", "mix.roms=1"]).await;
    assert!(words.contains("--set mix.roms=1"), "{words}");
    let words = refused(&["check", "closed", "--rate", "5"]).await;
    assert!(words.contains("closed loop"), "{words}");
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

//! Runs against a server of the harness's own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::{Ran, Running, Started, launch};

const SCENARIO: &str = "loop = \"closed\"\n[mix]\nrooms = 2\n[[phase]]\nseconds = 1\n";

fn program() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_livehelp-load")).parent().unwrap();
    beside.join("examples/livehelp-server")
}

async fn run(binary: &Path, more: &[&str]) -> Ran {
    begin(binary, SCENARIO, more).end().await
}

fn begin(binary: &Path, scenario: &str, more: &[&str]) -> Started {
    launch(scenario, |command| {
        command.arg("--start").arg("--binary").arg(binary).args(more);
    })
}

fn program_of(path: &Path, script: &str) {
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_started_loaded_and_stopped() {
    let ran = run(&program(), &["--server-flag=--worker-threads=1"]).await;
    ran.is_clean();
    assert_eq!(ran.code, 0, "{}", ran.told());
    assert!(ran.figure("server_resident_mb") > 1.0, "{}", ran.told());
    assert!(ran.result["faults"].as_array().unwrap().is_empty(), "{}", ran.told());
    let made = &ran.result["made"];
    assert_eq!(made["server_version"], livehelp::metrics::VERSION);
    assert_eq!(made["server_commit"], livehelp::metrics::COMMIT);
    let has = |list: &str, word: &str| made[list].as_array().unwrap().iter().any(|w| w == word);
    assert!(has("command", "--start") && has("command", "run"), "{made}");
    assert!(has("server_flags", "--worker-threads=1"), "{made}");
    assert!(has("server_flags", "--listen=127.0.0.1:0"), "{made}");
    assert!(ran.stdout.contains("beside the usual flags --worker-threads=1"), "{}", ran.told());
    let page = std::fs::read_to_string(ran.out.path().join("report.html")).unwrap();
    assert!(page.contains("--worker-threads=1") && page.contains("run "), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_badly_breaks_a_run_whose_result_is_kept() {
    let folder = TempDir::new().unwrap();
    let bad = folder.path().join("bad");
    let real = program();
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = serve ] || exec {0} \"$@\"\n{0} \"$@\" & server=$!\n\
         trap 'kill $server; wait $server; exit 7' TERM\nwait $server\n",
        real.display()
    );
    program_of(&bad, &script);
    let ran = run(&bad, &[]).await;
    ran.is_clean();
    assert_eq!(ran.code, 1, "{}", ran.told());
    let fault = ran.result["faults"][0].as_str().unwrap();
    assert!(fault.contains("exit status: 7"), "{fault}");
    assert!(ran.stdout.contains("FAULT: the server ended with"), "{}", ran.told());
    let page = std::fs::read_to_string(ran.out.path().join("report.html")).unwrap();
    assert!(page.contains("exit status: 7"));
}

/// The server's program, and where it says which process it is.
fn mortal(folder: &TempDir) -> (PathBuf, PathBuf) {
    let (mortal, pid) = (folder.path().join("mortal"), folder.path().join("pid"));
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = serve ] && echo $$ > {}\nexec {} \"$@\"\n",
        pid.display(),
        program().display()
    );
    program_of(&mortal, &script);
    (mortal, pid)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_people_come_is_told_from_a_run_that_could_not_be() {
    let folder = TempDir::new().unwrap();
    let (mortal, pid) = mortal(&folder);
    let scenario = "loop = \"closed\"\n[mix]\nidle = 3000\n[[phase]]\nseconds = 1\n";
    let mut running = Running::of(begin(&mortal, scenario, &[]));
    running.says("people come").await;
    let pid = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let ran = running.end().await;
    assert_eq!(ran.code, 4, "{}", ran.told());
    assert!(ran.stderr.contains("the server was gone"), "{}", ran.told());
    assert!(!ran.out.path().join("result.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_mid_run_breaks_a_run_whose_result_is_kept() {
    let folder = TempDir::new().unwrap();
    let (mortal, pid) = mortal(&folder);
    let scenario = SCENARIO.replace("seconds = 1\n", "seconds = 6\n");
    let scenario = format!("drain_ms = 500\n{scenario}");
    let mut running = Running::of(begin(&mortal, &scenario, &[]));
    running.phase("hold").await;
    let pid = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let ran = running.end().await;
    assert_eq!(ran.code, 4, "{}", ran.told());
    assert_eq!(ran.result["ended"], "server_gone", "{}", ran.told());
    let faults = ran.result["faults"].to_string();
    assert!(faults.contains("the server was gone"), "{faults}");
    assert!(ran.figure("disconnects") > 0.0 && ran.figure("received") > 0.0, "{}", ran.told());
    // Nobody saw what it cost to the end.
    assert!(ran.result["figures"]["server_cpu_cores"].is_null(), "{}", ran.told());
}

//! Runs against a server of the harness's own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::harness::{Ran, command, file};

const SCENARIO: &str = "loop = \"closed\"\n[mix]\nrooms = 2\n[[phase]]\nseconds = 1\n";

fn program() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_livehelp-load")).parent().unwrap();
    beside.join("examples/livehelp-server")
}

async fn run(binary: &Path, more: &[&str]) -> Ran {
    let out = TempDir::new().unwrap();
    let scenario = file(out.path(), SCENARIO);
    let mut command = command();
    command.arg("run").arg(scenario).arg("--start").arg("--binary").arg(binary).args(more);
    let output = command.arg("--out").arg(out.path()).output().await.unwrap();
    let text = std::fs::read_to_string(out.path().join("result.json")).unwrap_or_default();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let result = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no result: {stderr}"));
    Ran { code: output.status.code().unwrap(), result, stderr, stdout, out }
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
    std::fs::write(&bad, script).unwrap();
    std::fs::set_permissions(&bad, std::fs::Permissions::from_mode(0o700)).unwrap();
    let ran = run(&bad, &[]).await;
    ran.is_clean();
    assert_eq!(ran.code, 1, "{}", ran.told());
    let fault = ran.result["faults"][0].as_str().unwrap();
    assert!(fault.contains("exit status: 7"), "{fault}");
    assert!(ran.stdout.contains("FAULT: the server ended with"), "{}", ran.told());
    let page = std::fs::read_to_string(ran.out.path().join("report.html")).unwrap();
    assert!(page.contains("exit status: 7"));
}

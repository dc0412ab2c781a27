//! Runs against a real server: nothing is lost, whoever comes and goes.

use crate::harness::run;
use crate::server::Server;

/// A machine that is busy with something else may void a run, and says so; it never makes a fault of it.
const PASSED_OR_VOID: [i32; 2] = [0, 3];

#[tokio::test(flavor = "multi_thread")]
async fn smoke_passes_with_nothing_lost() {
    let server = Server::start().await;
    let ran = run(&server, "smoke", &[]).await;
    ran.is_clean();
    assert!(PASSED_OR_VOID.contains(&ran.code), "{}", ran.told());
    assert!(ran.figure("visits_done") > 0.0 && ran.figure("repelled") > 0.0, "{}", ran.told());
    assert!(ran.figure("bot_messages") > 0.0 && ran.figure("cuts") > 0.0, "{}", ran.told());
    assert!(ran.figure("server_cpu_us_per_message") > 0.0, "{}", ran.told());
    assert!(ran.stdout.contains("server_cpu_us_per_message"), "{}", ran.told());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_lines_lose_nothing_and_what_was_missed_comes_after_the_resume() {
    let server = Server::start().await;
    let scenario = "
loop = \"open\"
[mix]
reconnectors = 5
[reconnect]
every_ms = 700
away_ms = [50, 200]
[[phase]]
seconds = 4
rate = 150
";
    let ran = run(&server, scenario, &[]).await;
    ran.is_clean();
    assert!(ran.figure("cuts") > 5.0 && ran.figure("resumed") > 0.0, "{}", ran.told());
    assert!(PASSED_OR_VOID.contains(&ran.code), "{}", ran.told());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_share_one_run() {
    let server = Server::start().await;
    let scenario = "
loop = \"open\"
[mix]
rooms = 5
watchers = 3
idle = 4
agents = 2
[visit]
think_ms = [50, 100]
[agent]
think_ms = [50, 100]
[[phase]]
seconds = 3
rate = 60
arrivals = 2
";
    let ran = run(&server, scenario, &["--workers", "3"]).await;
    ran.is_clean();
    assert_eq!(ran.result["workers"], 3);
    assert!(ran.figure("visits_done") > 0.0, "{}", ran.told());
    assert_eq!(ran.figure("connections"), 19.0, "{}", ran.told());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_a_rate_that_keeps_its_aim() {
    let server = Server::start().await;
    let scenario = "
loop = \"search\"
[mix]
rooms = 2
[search]
from = 20
to = 40
seconds = 1
[search.aim]
delivery_p99_ms = 20000
";
    let ran = run(&server, scenario, &[]).await;
    ran.is_clean();
    let trials = ran.result["trials"].as_array().unwrap();
    assert!(trials.len() >= 2, "{}", ran.told());
    let highest = ran.figure("highest_rate");
    assert!(
        trials.iter().any(|trial| trial["rate"] == highest && trial["kept"] == true),
        "{}",
        ran.told()
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_written_read_compared_and_reported() {
    let server = Server::start().await;
    let scenario = "loop = \"closed\"\n[mix]\nrooms = 2\n[[phase]]\nseconds = 1\n";
    let ran = run(&server, scenario, &[]).await;
    ran.is_clean();
    server.stop().await;
    assert_eq!(ran.result["schema"], "livehelp-load/1");
    let out = ran.out.path();
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    for outside in ["<script", "<link", "src=", "url(", "@import"] {
        assert!(!page.contains(outside), "the report has {outside}");
    }
    assert!(page.contains("<svg") && page.contains("<polyline"));
    let histogram = std::fs::read_to_string(out.join("delivery.hgrm")).unwrap();
    assert!(histogram.contains("1/(1-Percentile)"));
    let with_itself =
        crate::harness::command().arg("compare").args([out, out]).output().await.unwrap();
    assert!(with_itself.status.success());
    // The same, ten times slower.
    let mut worse = ran.result.clone();
    worse["figures"]["delivery_p99_ms"] = (ran.figure("delivery_p99_ms") * 10.0 + 10.0).into();
    let path = out.join("worse.json");
    std::fs::write(&path, worse.to_string()).unwrap();
    let compared =
        crate::harness::command().arg("compare").arg(out).arg(&path).output().await.unwrap();
    assert_eq!(compared.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&compared.stdout).contains("WORSE"));
    let report = crate::harness::command().arg("report").arg(&path).output().await.unwrap();
    assert!(report.status.success());
}

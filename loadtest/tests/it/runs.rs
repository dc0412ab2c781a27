//! Runs against a real server: nothing is lost, whoever comes and goes.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::{run, run_by_metrics};
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
async fn cut_connections_lose_nothing_and_what_was_missed_comes_after_the_resume() {
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

/// Agents' windows alone speak and their connections hold, so that what is late is late for those
/// who were away.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_missed_while_they_were_away_is_a_late_delivery() {
    let server = Server::start().await;
    let scenario = "
loop = \"open\"
speakers = \"agents\"
[mix]
reconnectors = 4
[reconnect]
every_ms = 800
away_ms = [300, 300]
[[phase]]
seconds = 4
rate = 100
";
    let ran = run(&server, scenario, &[]).await;
    ran.is_clean();
    assert!(ran.figure("resumed") > 20.0, "{}", ran.told());
    assert!(ran.figure("delivery_p99_ms") > 200.0, "{}", ran.told());
    assert!(ran.figure("ack_p99_ms") < 200.0, "{}", ran.told());
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

/// The second and the third have no room, and say nothing in one; visitors come to all three, and each has a bot.
#[tokio::test(flavor = "multi_thread")]
async fn several_processes_offer_all_of_a_run_though_some_have_no_room() {
    let server = Server::start().await;
    let scenario = "
loop = \"open\"
arrivals = \"constant\"
[mix]
rooms = 1
bots = 3
[habits]
bot_ms = 200
[visit]
messages = [1, 1]
[agent]
think_ms = [50, 100]
[[phase]]
seconds = 3
rate = 60
arrivals = 3
";
    let ran = run(&server, scenario, &["--workers", "3"]).await;
    ran.is_clean();
    // The last three are due at the end, when it may be too late for them.
    assert!(ran.figure("visits") >= 6.0, "{}", ran.told());
    // One alone writes sixteen at most.
    let bots = ran.figure("bot_messages");
    assert!(bots > 20.0, "{}", ran.told());
    assert!(ran.figure("sent") >= 180.0 + bots, "{}", ran.told());
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
    let compare =
        |old: &Path, new: &Path| crate::harness::command().arg("compare").args([old, new]).output();
    let with_itself = compare(out, out).await.unwrap();
    assert!(with_itself.status.success());
    // The same, ten times slower.
    let mut worse = ran.result.clone();
    worse["figures"]["delivery_p99_ms"] = (ran.figure("delivery_p99_ms") * 10.0 + 10.0).into();
    let path = out.join("worse.json");
    std::fs::write(&path, worse.to_string()).unwrap();
    let compared = compare(out, &path).await.unwrap();
    assert_eq!(compared.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&compared.stdout).contains("WORSE"));
    // What must be 0 and is not: a result that somebody judged as kept, and one that was judged as broken.
    for (lost, kept) in [(1, true), (0, false)] {
        let mut broken = ran.result.clone();
        broken["figures"]["lost"] = lost.into();
        let judged = broken["thresholds"].as_array_mut().unwrap();
        judged.iter_mut().find(|judged| judged["figure"] == "lost").unwrap()["kept"] = kept.into();
        std::fs::write(&path, broken.to_string()).unwrap();
        let compared = compare(out, &path).await.unwrap();
        assert_eq!(compared.status.code(), Some(1), "{lost} {kept}");
        assert!(String::from_utf8_lossy(&compared.stdout).contains("lost"));
    }
    let mut other = ran.result.clone();
    other["scenario"]["seed"] = 99.into();
    other["machine"]["cores"] = 999.into();
    std::fs::write(&path, other.to_string()).unwrap();
    let compared = compare(out, &path).await.unwrap();
    assert_eq!(compared.status.code(), Some(2));
    let words = String::from_utf8_lossy(&compared.stderr).into_owned();
    assert!(words.contains("cannot be compared") && words.contains("differ in seed"), "{words}");
    other["scenario"] = ran.result["scenario"].clone();
    other["scenario"]["thresholds"] = serde_json::json!({ "ack_p99_ms": 1 });
    std::fs::write(&path, other.to_string()).unwrap();
    let compared = compare(out, &path).await.unwrap();
    assert_eq!(compared.status.code(), Some(0));
    let words = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert!(words.contains("the machines are not the same"), "{words}");
    let report = crate::harness::command().arg("report").arg(&path).output().await.unwrap();
    assert!(report.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_puts_off_is_sent_again_until_it_gets_through() {
    let server = Server::start_with(|config| {
        config.messages_per_minute = 120;
        config.messages_burst = 2;
    })
    .await;
    let scenario = "
loop = \"open\"
arrivals = \"constant\"
speakers = \"visitors\"
[mix]
rooms = 1
[[phase]]
seconds = 2
rate = 5
";
    let ran = run(&server, scenario, &[]).await;
    ran.is_clean();
    assert!(ran.figure("put_off") > 0.0 && ran.figure("resent") > 0.0, "{}", ran.told());
    assert_eq!(ran.figure("sent"), ran.figure("acked"), "{}", ran.told());
    assert!(PASSED_OR_VOID.contains(&ran.code), "{}", ran.told());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_in_which_nothing_keeps_the_aim_is_broken_and_shows_the_lowest() {
    let server = Server::start().await;
    let scenario = "
loop = \"search\"
[mix]
rooms = 1
[search]
from = 16
to = 32
seconds = 0.5
[search.aim]
delivery_p99_ms = 0.0
";
    let ran = run(&server, scenario, &[]).await;
    ran.is_clean();
    assert!([1, 3].contains(&ran.code), "{}", ran.told());
    assert_eq!(ran.figure("highest_rate"), 0.0, "{}", ran.told());
    let trials = ran.result["trials"].as_array().unwrap();
    assert_eq!(ran.figure("sent"), trials.last().unwrap()["figures"]["sent"], "{}", ran.told());
    assert!(ran.result["faults"][0].as_str().unwrap().contains("no rate"), "{}", ran.told());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_compared_with_an_earlier_one_and_metrics_do_without_a_process_id() {
    let server = Server::start().await;
    let scenario = "loop = \"closed\"\n[mix]\nrooms = 2\n[[phase]]\nseconds = 1\n";
    let earlier = run(&server, scenario, &[]).await;
    let noise = ["--noise", "1000"];
    let old = earlier.out.path().to_str().unwrap();
    let ran = run_by_metrics(&server, scenario, &[&["--compare", old], &noise[..]].concat()).await;
    assert_eq!(ran.code, 0, "{}", ran.told());
    assert!(ran.stdout.contains("beyond 100000 %"), "{}", ran.told());
    for name in ["server_cpu_us_per_message", "server_resident_mb"] {
        assert!(ran.figure(name) > 0.0, "{name}: {}", ran.told());
    }
    let mut better = earlier.result.clone();
    better["figures"]["messages_per_second"] = 1e12.into();
    let path = earlier.out.path().join("better.json");
    std::fs::write(&path, better.to_string()).unwrap();
    let compare = ["--compare", path.to_str().unwrap(), "--noise", "0.9"];
    let ran = run(&server, scenario, &compare).await;
    assert_eq!(ran.code, 5, "{}", ran.told());
    let page = std::fs::read_to_string(ran.out.path().join("report.html")).unwrap();
    assert!(page.contains("<h2>Comparison</h2>") && page.contains(">WORSE<"), "{}", ran.told());
    assert_eq!(ran.result["comparison"]["own_noise"], false, "{}", ran.told());
    let quiet = run(&server, scenario, &[&compare[..], &["--quiet"]].concat()).await;
    assert_eq!(quiet.code, 5, "{}", quiet.told());
    assert!(quiet.stdout.starts_with("compared with 1 run(s)"), "{}", quiet.told());
    assert!(quiet.stdout.contains("messages_per_second"), "{}", quiet.told());
    assert!(!quiet.stdout.contains("sent"), "{}", quiet.told());
    better["figures"].as_object_mut().unwrap().insert(String::from("highest_rate"), 1.into());
    better["figures"]["messages_per_second"] = 0.into();
    std::fs::write(&path, better.to_string()).unwrap();
    let ran = run(&server, scenario, &["--compare", compare[1], "--noise", "1000"]).await;
    assert_eq!(ran.code, 5, "{}", ran.told());
    assert!(ran.stdout.contains("NOT COMPARABLE: the new run has none"), "{}", ran.told());
    better["verdict"] = "void".into();
    std::fs::write(&path, better.to_string()).unwrap();
    let ran = run(&server, scenario, &["--compare", compare[1]]).await;
    assert_eq!(ran.code, 3, "{}", ran.told());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_sends_the_same_and_another_one_does_not() {
    let server = Server::start().await;
    let scenario = "
loop = \"open\"
seed = 1
[mix]
rooms = 2
[[phase]]
seconds = 2
rate = 100
";
    let mut sent = Vec::new();
    for seed in ["9", "9", "10"] {
        let ran = run(&server, scenario, &["--seed", seed]).await;
        ran.is_clean();
        assert_eq!(ran.result["scenario"]["seed"].to_string(), seed);
        sent.push(ran.figure("sent"));
    }
    // A Poisson schedule of 200 messages has another number with nearly every seed; with these two it has.
    assert!(sent[0] == sent[1] && sent[0] != sent[2], "{sent:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_that_may_be_named_is_one_of_some_run() {
    let server = Server::start().await;
    let all = "
loop = \"open\"
[mix]
rooms = 2
reconnectors = 2
bots = 1
[reconnect]
every_ms = 1000
[visit]
messages = [1, 1]
[agent]
think_ms = [10, 20]
[[phase]]
seconds = 4
rate = 40
arrivals = 2
";
    let search = "loop = \"search\"\n[mix]\nrooms = 1\n[search]\nfrom = 20\nto = 20\nseconds = 1\n\
        [search.aim]\ndelivery_p99_ms = 20000\n";
    let mut found = BTreeSet::new();
    for scenario in [all, search] {
        let ran = run(&server, scenario, &[]).await;
        ran.is_clean();
        assert_eq!(ran.figure("size_mean_chars"), 100.0, "{}", ran.told());
        found.extend(ran.result["figures"].as_object().unwrap().keys().cloned());
    }
    server.stop().await;
    let listed = crate::harness::command().arg("figures").output().await.unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let named = listed.lines().map(|line| line.split_whitespace().next().unwrap().to_owned());
    assert_eq!(named.collect::<BTreeSet<_>>(), found);
}

/// A hostile client against a real server, with so much time from one line of its to the next; how many were turned away.
async fn hostile(malformed_ms: u64) -> f64 {
    let server = Server::start_with(|config| config.hello_timeout_ms = 1_000).await;
    let scenario = format!(
        "
loop = \"closed\"
[mix]
rooms = 1
malformed = 1
[habits]
malformed_ms = {malformed_ms}
[[phase]]
seconds = 3
"
    );
    let ran = run(&server, &scenario, &[]).await;
    ran.is_clean();
    server.stop().await;
    ran.figure("repelled")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_breaks_a_rule_of_the_wire_is_turned_away() {
    // Each of the nineteen rules, and some of them again.
    assert!(hostile(40).await >= 25.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_too_long_to_greet_is_turned_away() {
    // One who breaks a rule, and each who is silent, breaks off, or says it byte by byte.
    assert_eq!(hostile(600_000).await, 4.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipped_scenario_is_changed_from_the_command_line() {
    let server = Server::start().await;
    let changes =
        ["--set", "mix.rooms=3", "--set", "phase[0].seconds=1", "--duration", "2s", "--rate", "40"];
    let more = ["--set", "thresholds={}", "--seed", "7"];
    let ran = run(&server, "open", &[&changes[..], &more[..]].concat()).await;
    ran.is_clean();
    assert!(PASSED_OR_VOID.contains(&ran.code), "{}", ran.told());
    let scenario = &ran.result["scenario"];
    assert_eq!((&scenario["mix"]["rooms"], &scenario["seed"]), (&3.into(), &7.into()));
    assert_eq!(scenario["phase"][1]["seconds"], 2.0);
    assert_eq!(scenario["phase"][0]["rate"], 40.0);
    // The ramp sends half of it, and the other phase is measured alone.
    assert!((40.0..120.0).contains(&ran.figure("sent")), "{}", ran.told());
    server.stop().await;
    let check = crate::harness::command().args(["check", "open"]).args(changes).output().await;
    let shown = String::from_utf8(check.unwrap().stdout).unwrap();
    assert!(shown.contains("rooms = 3") && shown.contains("rate = 40.0"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_runs_show_each_figures_own_noise_and_are_compared_by_it() {
    let server = Server::start().await;
    let scenario = "loop = \"closed\"\n[mix]\nrooms = 2\n[[phase]]\nseconds = 1\n";
    let ran = run(&server, scenario, &["--runs", "3"]).await;
    server.stop().await;
    let out = ran.out.path();
    assert!(PASSED_OR_VOID.contains(&ran.code), "{}", ran.told());
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    for number in 1..=3 {
        assert!(page.contains(&format!("run-{number}/report.html")), "{page}");
        assert!(out.join(format!("run-{number}/report.html")).exists());
        assert!(ran.stdout.contains(&format!("run {number}: ")), "{}", ran.told());
    }
    assert!(page.contains("messages_per_second") && page.contains(" %</td>"), "{page}");
    let compared =
        crate::harness::command().arg("compare").args([out, out]).output().await.unwrap();
    let words = String::from_utf8(compared.stdout).unwrap();
    assert_eq!(compared.status.code(), Some(0), "{words}");
    assert!(words.contains("own noise in 3 old and 3 new runs"), "{words}");
    // What is there of another time would be taken for one of these.
    let again = ["run", "closed", "--operator-key-file", "/nowhere", "--runs", "2", "--out"];
    let again = crate::harness::command().args(again).arg(out).output().await.unwrap();
    let words = String::from_utf8(again.stderr).unwrap();
    assert!(again.status.code() == Some(2) && words.contains("of another time"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_times_stand_beside_the_clients() {
    let server = Server::start().await;
    let scenario = "loop = \"open\"\n[mix]\nrooms = 2\n[[phase]]\nseconds = 4\nrate = 100\n";
    let ran = run(&server, scenario, &[]).await;
    server.stop().await;
    ran.is_clean();
    for name in ["server_delivery_p50_ms", "server_delivery_p99_ms", "server_ack_p99_ms"] {
        assert!(ran.figure(name) > 0.0, "{name}: {}", ran.told());
    }
    assert!(ran.result["phases"][0]["figures"]["server_ack_p50_ms"].as_f64().unwrap() > 0.0);
    let points = ran.result["series"].as_array().unwrap();
    let seen = points.iter().filter(|point| point["server_delivery_p99_ms"].is_number()).count();
    assert!(seen >= 2, "{points:?}");
    let page = std::fs::read_to_string(ran.out.path().join("report.html")).unwrap();
    assert!(page.contains("beside the server's own") && page.contains("</i>server's own p99"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_given_to_other_programs_in_their_forms() {
    let server = Server::start().await;
    let folder = tempfile::TempDir::new().unwrap();
    let (junit, metrics) = (folder.path().join("junit.xml"), folder.path().join("metrics.txt"));
    let files = ["--junit", junit.to_str().unwrap(), "--openmetrics", metrics.to_str().unwrap()];
    let scenario = "loop = \"closed\"\n[mix]\nrooms = 2\n[[phase]]\nseconds = 1\n\
        [thresholds]\nmessages_per_second = { min = 1e9 }\n";
    let ran = run(&server, scenario, &files).await;
    server.stop().await;
    assert_eq!(ran.code, 1, "{}", ran.told());
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let (xml, text) = (read(&junit), read(&metrics));
    assert!(xml.contains("failures=\"1\"") && xml.contains("messages_per_second is at least"));
    let sent = format!(
        "livehelp_load_sent_total{{scenario=\"test\",run={}}} {}\n",
        ran.result["run"],
        ran.figure("sent")
    );
    assert!(text.contains(&sent) && text.ends_with("# EOF\n"), "{text}");
    assert!(text.contains("} 1\n# EOF"), "{text}");
    // The same of what was written.
    for file in [&junit, &metrics] {
        std::fs::remove_file(file).unwrap();
    }
    let mut report = crate::harness::command();
    report.arg("report").arg(ran.out.path()).args(files);
    assert!(report.output().await.unwrap().status.success());
    assert_eq!(read(&junit), xml);
    // A number may be another in its last digit once it was written and read.
    let names = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&read(&metrics)), names(&text));
}

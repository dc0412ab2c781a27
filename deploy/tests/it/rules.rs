//! The rules: Prometheus takes them, each alert was seen firing and silent, and each leads to what to do.

use std::collections::{BTreeMap, BTreeSet};

use crate::dashboards::{names_the_listener, names_what_is_there};
use crate::exported::metrics;
use crate::promql::selectors;
use crate::tools::{deploy, file, judged};

/// What a section of the runbooks answers, in this order.
const QUESTIONS: [&str; 5] =
    ["**Means.**", "**Users see.**", "**Look at.**", "**Do.**", "**Over when.**"];

#[test]
fn the_committed_rules_are_the_ones_that_are_made() {
    for made in deploy::files() {
        let text = std::fs::read_to_string(file(&made.path)).unwrap_or_default();
        assert!(text == made.text, "{} is stale: run `cargo xtask gen`", made.path);
    }
    // And nothing else lies there that Prometheus would read.
    for folder in ["rules", "tests"] {
        for entry in std::fs::read_dir(deploy().join("prometheus").join(folder)).unwrap() {
            let name = entry.unwrap().file_name().to_str().unwrap().to_owned();
            let path = format!("deploy/prometheus/{folder}/{name}");
            assert!(
                deploy::files().iter().any(|made| made.path == path),
                "{path}: made by nothing"
            );
        }
    }
}

#[test]
fn prometheus_takes_the_rules_and_the_examples() {
    judged(&["promtool", "check", "config", "prometheus.yml"]);
    for made in deploy::rule::files() {
        judged(&[
            "promtool",
            "check",
            "rules",
            "--lint=all",
            "--lint-fatal",
            &format!("rules/{}.yml", made.name),
        ]);
    }
    judged(&["amtool", "check-config", "alertmanager.yml"]);
}

/// What matters of the settings that Debian's package brings.
const DEBIANS: &str = "\
global:
  scrape_interval: 15s

alerting:
  alertmanagers:
  - static_configs:
    - targets: ['localhost:9093']

rule_files:
  # - \"first_rules.yml\"

scrape_configs:
  - job_name: 'prometheus'
    static_configs:
      - targets: ['localhost:9090']
";

#[test]
fn what_production_writes_into_debians_settings_prometheus_takes() {
    let guide = std::fs::read_to_string(file("docs/production.md")).unwrap();
    let (_, step) = guide.split_once("## 8. Prometheus").unwrap();
    let begin = step.find("sed -i -e").expect("a command that writes the settings");
    let end = begin + step[begin..].find(" /etc/prometheus/prometheus.yml\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("prometheus.yml");
    std::fs::write(&settings, DEBIANS).unwrap();
    let command = step[begin..end].replace("/etc/prometheus/", "");
    let command = format!("{command} {}", settings.display());
    let done = std::process::Command::new("sh").args(["-c", &command]).status().unwrap();
    assert!(done.success(), "{command}");
    let rules = folder.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    for made in deploy::rule::files() {
        let name = format!("{}.yml", made.name);
        let shipped = file("deploy/prometheus/rules").join(&name);
        std::fs::copy(shipped, rules.join(name)).unwrap();
    }
    judged(&["promtool", "check", "config", settings.to_str().unwrap()]);
    let written = std::fs::read_to_string(settings).unwrap();
    assert!(written.contains("\nrule_files:\n  - rules/*.yml\n"), "{written}");
    let job = "\nscrape_configs:\n  - job_name: livehelp\n    static_configs: \
               [{targets: [\"127.0.0.1:8081\"]}]\n  - job_name: 'prometheus'";
    assert!(written.contains(job), "{written}");
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    for made in deploy::rule::files() {
        for alert in made.alerts() {
            assert_eq!(
                alert.proved(),
                (true, true),
                "{}: a case that fires, one that is silent",
                alert.name
            );
        }
        for (name, _) in made.tests() {
            judged(&["promtool", "test", "rules", &format!("tests/{name}.yml")]);
        }
    }
}

#[test]
fn every_metric_and_label_that_a_rule_names_is_exported() {
    let metrics = metrics();
    let recorded: BTreeSet<String> = deploy::rule::files()
        .iter()
        .flat_map(|made| made.recorded().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for (name, expr) in exprs() {
        names_what_is_there(&name, &expr, &metrics, &recorded);
        names_the_listener(&name, &expr);
    }
}

#[test]
fn a_bound_of_a_bucket_that_a_rule_names_is_a_bound_of_its_histogram() {
    let buckets: BTreeMap<String, &[f64]> = livehelp::metrics::declared()
        .into_iter()
        .map(|metric| (metric.name, metric.buckets))
        .collect();
    let mut seen = 0;
    for (name, expr) in exprs() {
        for selector in selectors(&expr) {
            for (_, _, bound) in selector.matchers.iter().filter(|(label, ..)| label == "le") {
                let histogram = selector.name.strip_suffix("_bucket").unwrap();
                let bound: f64 = bound.parse().unwrap();
                assert!(buckets[histogram].contains(&bound), "{name}: {histogram} has no {bound}");
                seen += 1;
            }
        }
    }
    assert!(seen > 0);
}

/// Every expression of the rules, by the name of what it makes.
fn exprs() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for made in deploy::rule::files() {
        let mut name = String::new();
        let mut expr = None;
        for line in made.rules().lines() {
            if let Some(part) = line.strip_prefix("          ").filter(|_| expr.is_some()) {
                expr = expr.map(|expr: String| format!("{expr}{part} "));
                continue;
            }
            if let Some(whole) = expr.take() {
                found.push((name.clone(), whole));
            }
            let named = line
                .trim_start()
                .strip_prefix("- record: ")
                .or(line.trim_start().strip_prefix("- alert: "));
            name = named.map_or(name, str::to_owned);
            if line.trim() == "expr: |-" {
                expr = Some(String::new());
            }
        }
    }
    assert!(found.len() > 100, "{}", found.len());
    found
}

/// The sections of the runbooks by their anchors, as Markdown's renderers make them of a heading.
fn sections() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(file(deploy::rule::RUNBOOKS)).unwrap();
    let mut found = BTreeMap::new();
    for section in text.split("\n### ").skip(1) {
        let (heading, body) = section.split_once('\n').unwrap();
        let anchor = heading.to_lowercase().replace(' ', "-");
        let body = body.split("\n## ").next().unwrap().to_owned();
        assert!(found.insert(anchor, body).is_none(), "two sections {heading}");
    }
    found
}

#[test]
fn every_alert_leads_to_a_section_that_says_what_to_do() {
    let sections = sections();
    let mut reached = BTreeSet::new();
    for made in deploy::rule::files() {
        for alert in made.alerts() {
            let runbook = alert.runbook();
            let anchor = runbook.strip_prefix("docs/runbooks.md#").unwrap();
            let body = sections.get(anchor);
            let body = body.unwrap_or_else(|| panic!("{}: no section {anchor}", alert.name));
            let mut from = 0;
            for question in QUESTIONS {
                let at = body[from..].find(question);
                from +=
                    at.unwrap_or_else(|| panic!("{anchor}: nothing on {question}, in its place"));
            }
            reached.insert(anchor.to_owned());
        }
    }
    let unreached: Vec<&String> =
        sections.keys().filter(|anchor| !reached.contains(*anchor)).collect();
    assert!(unreached.is_empty(), "no alert leads to {unreached:?}");
}

/// People are sent to a panel by the name of its dashboard and its own: `overview / CPU`.
#[test]
fn every_panel_that_a_runbook_names_is_there() {
    let dashboards = crate::dashboards::dashboards();
    let titles: BTreeSet<String> = dashboards
        .iter()
        .flat_map(|(_, dashboard)| {
            let uid = dashboard["uid"].as_str().unwrap().strip_prefix("livehelp-").unwrap();
            let panels = dashboard["panels"].as_array().unwrap();
            panels.iter().map(move |panel| format!("{uid} / {}", panel["title"].as_str().unwrap()))
        })
        .collect();
    let text = std::fs::read_to_string(file(deploy::rule::RUNBOOKS)).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let named: Vec<&str> =
        text.split('`').skip(1).step_by(2).filter(|code| code.contains(" / ")).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(titles.contains(name), "no panel {name}");
    }
}

//! The dashboards' lint: what Grafana takes without a word and shows nothing for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::exported::{OF_PROMETHEUS, family, metrics};
use crate::promql::{grouped, selectors};
use crate::tools::{file, judged};

/// Exported, and on no panel, with the reason.
const EXEMPT: [(&str, &str); 0] = [];

/// Units that Grafana 10 knows, of those that are used.
const UNITS: [&str; 5] = ["short", "cps", "s", "bytes", "percentunit"];

/// Columns of the grid.
const COLUMNS: u64 = 24;

/// Each dashboard as it is committed, with its path.
pub fn dashboards() -> Vec<(String, Value)> {
    let made = deploy::files().into_iter().filter(|made| made.path.ends_with(".json"));
    let read = |made: deploy::Made| {
        let text = std::fs::read_to_string(file(&made.path)).unwrap_or_default();
        assert!(text == made.text, "{} is stale: run `cargo xtask gen`", made.path);
        (made.path, serde_json::from_str(&text).unwrap())
    };
    made.map(read).collect()
}

/// Panels that ask something, with a name for messages.
pub fn panels(dashboards: &[(String, Value)]) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (path, dashboard) in dashboards {
        for panel in dashboard["panels"].as_array().unwrap() {
            if panel["type"] != "row" {
                let name = format!("{path}: {}", panel["title"]);
                found.push((name, panel.clone()));
            }
        }
    }
    found
}

/// Every query of the panels, and of the annotations.
fn queries(dashboards: &[(String, Value)]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, panel) in panels(dashboards) {
        for target in panel["targets"].as_array().unwrap() {
            found.push((name.clone(), target["expr"].as_str().unwrap().to_owned()));
        }
    }
    for (path, dashboard) in dashboards {
        for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
            if let Some(expr) = annotation["expr"].as_str() {
                found.push((format!("{path}: {}", annotation["name"]), expr.to_owned()));
            }
        }
    }
    found
}

fn recorded() -> BTreeSet<String> {
    let files = deploy::rule::files();
    files.iter().flat_map(|file| file.recorded().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn there_are_three_dashboards_that_grafana_imports() {
    let dashboards = dashboards();
    let uids: BTreeSet<&str> =
        dashboards.iter().map(|(_, dashboard)| dashboard["uid"].as_str().unwrap()).collect();
    assert_eq!(Vec::from_iter(uids), ["livehelp-messages", "livehelp-overview", "livehelp-store"]);
    for (path, dashboard) in &dashboards {
        // An import makes its own.
        assert_eq!(dashboard["id"], Value::Null, "{path}");
        assert!((36..=39).contains(&dashboard["schemaVersion"].as_u64().unwrap()), "{path}");
        assert!(dashboard["uid"].as_str().unwrap().len() <= 40, "{path}");
        for text in ["title", "description"] {
            assert!(!dashboard[text].as_str().unwrap().is_empty(), "{path}: {text}");
        }
        assert!(dashboard["time"]["from"].is_string(), "{path}");
    }
}

#[test]
fn the_source_of_data_and_the_jobs_and_instances_can_be_chosen() {
    for (path, dashboard) in dashboards() {
        let variables = dashboard["templating"]["list"].as_array().unwrap().clone();
        let of = |name: &str| variables.iter().find(|variable| variable["name"] == name).cloned();
        let source = of("datasource").unwrap();
        assert_eq!(
            (&source["type"], &source["query"]),
            (&"datasource".into(), &"prometheus".into())
        );
        for name in ["job", "instance"] {
            let variable = of(name).unwrap_or_else(|| panic!("{path}: no variable {name}"));
            assert_eq!(variable["type"], "query", "{path}");
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{path}");
            assert_eq!((&variable["multi"], &variable["includeAll"]), (&true.into(), &true.into()));
            let query = variable["query"]["query"].as_str().unwrap();
            assert!(query.starts_with("label_values(livehelp_build_info"), "{path}: {query}");
        }
        assert_eq!(of("job").unwrap()["allValue"], ".+");
        assert_eq!(of("instance").unwrap()["allValue"], ".*");
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_asks_the_chosen_source() {
    for (name, panel) in panels(&dashboards()) {
        for text in ["title", "description"] {
            assert!(!panel[text].as_str().unwrap().is_empty(), "{name}: {text}");
        }
        assert!(panel["description"].as_str().unwrap().ends_with('.'), "{name}: a sentence");
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
        assert!(UNITS.contains(&unit), "{name}: {unit}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{name}");
        let mut letters = BTreeSet::new();
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{name}");
            assert!(
                letters.insert(target["refId"].to_string()),
                "{name}: two of {}",
                target["refId"]
            );
            assert!(!target["legendFormat"].as_str().unwrap().is_empty(), "{name}: no legend");
        }
    }
}

/// Words that the title of a unit must agree with: `_bytes` in bytes, `_seconds` in seconds.
#[test]
fn a_panels_unit_is_that_of_its_metrics() {
    for (name, panel) in panels(&dashboards()) {
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
        for target in panel["targets"].as_array().unwrap() {
            let expr = target["expr"].as_str().unwrap();
            if expr.contains(" / ") || expr.contains(" * ") || unit == "percentunit" {
                continue;
            }
            let found = selectors(expr);
            let metric = family(&found[0].name).to_owned();
            let of_counts = found[0].name.ends_with("_count");
            for (ending, wanted) in
                [("_bytes", "bytes"), ("_seconds", "s"), ("_seconds_total", "s")]
            {
                if metric.ends_with(ending) && !of_counts {
                    assert_eq!(unit, wanted, "{name}: {expr}");
                }
            }
            let rate_of_things = metric.ends_with("_total") && !metric.contains("_seconds");
            if rate_of_things && expr.contains("rate(") {
                assert_eq!(unit, "cps", "{name}: {expr}");
            }
        }
    }
}

#[test]
fn ids_are_unique_and_the_grid_has_no_gap_and_no_overlap() {
    for (path, dashboard) in dashboards() {
        let mut ids = BTreeSet::new();
        let mut taken: BTreeMap<(u64, u64), String> = BTreeMap::new();
        let mut height = 0;
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{path}: two with the id of {title}"
            );
            let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            assert!(place("x") + place("w") <= COLUMNS, "{path}: {title} is beyond the edge");
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    let other = taken.insert((x, y), title.to_owned());
                    assert_eq!(other, None, "{path}: {title} lies over another");
                }
            }
            height = height.max(place("y") + place("h"));
        }
        let gaps = (0..height).flat_map(|y| (0..COLUMNS).map(move |x| (x, y)));
        let gap = gaps.clone().find(|place| !taken.contains_key(place));
        assert_eq!(gap, None, "{path}: nothing stands there");
    }
}

#[test]
fn every_selector_of_every_query_uses_the_chosen_jobs_and_instances() {
    for (name, expr) in queries(&dashboards()) {
        for selector in selectors(&expr) {
            let has = |label: &str| {
                let wanted = (label.to_owned(), "=~".to_owned(), format!("${label}"));
                selector.matchers.contains(&wanted)
            };
            assert!(has("job"), "{name}: {} without $job in {expr}", selector.name);
            // What is recorded for a whole job has no instance.
            let of_a_job = selector.name.starts_with("job:");
            assert!(has("instance") || of_a_job, "{name}: {} without $instance", selector.name);
        }
    }
}

#[test]
fn every_range_is_the_one_that_grafana_chooses_by_the_scrape() {
    for (name, expr) in queries(&dashboards()) {
        for selector in selectors(&expr) {
            let range = selector.range.as_deref().unwrap_or("$__rate_interval");
            assert_eq!(range, "$__rate_interval", "{name}: {expr}");
        }
    }
}

#[test]
fn every_metric_and_label_that_a_query_names_is_exported() {
    let (metrics, recorded) = (metrics(), recorded());
    for (name, expr) in queries(&dashboards()) {
        names_what_is_there(&name, &expr, &metrics, &recorded);
    }
}

#[test]
fn requests_of_users_and_of_probes_are_told_apart() {
    for (name, expr) in queries(&dashboards()) {
        names_the_listener(&name, &expr);
    }
}

/// Probes and operators are not users: whoever counts requests says whose.
pub fn names_the_listener(name: &str, expr: &str) {
    for selector in selectors(expr).iter().filter(|one| one.name.starts_with("livehelp_http_")) {
        let is_said = selector.matchers.iter().any(|(label, ..)| label == "listener")
            || grouped(expr).iter().any(|label| label == "listener");
        assert!(is_said, "{name}: {} of which listener? {expr}", selector.name);
    }
}

/// Fails where a query names a metric, a label or a label's value that is not there.
pub fn names_what_is_there(
    name: &str,
    expr: &str,
    metrics: &BTreeMap<String, BTreeMap<String, Vec<String>>>,
    recorded: &BTreeSet<String>,
) {
    let mut labels: BTreeSet<String> =
        ["job", "instance", "le", "slo"].into_iter().map(str::to_owned).collect();
    for selector in selectors(expr) {
        if recorded.contains(&selector.name) || OF_PROMETHEUS.contains(&selector.name.as_str()) {
            continue;
        }
        let metric = metrics.get(family(&selector.name));
        let metric = metric.unwrap_or_else(|| panic!("{name}: no metric {}", selector.name));
        labels.extend(metric.keys().cloned());
        for (label, operator, value) in &selector.matchers {
            if ["job", "instance", "le"].contains(&label.as_str()) {
                continue;
            }
            let known = metric.get(label);
            let known = known.unwrap_or_else(|| panic!("{name}: {} has no {label}", selector.name));
            let values: Vec<&str> = match operator.as_str() {
                "=~" | "!~" => value.split('|').filter(|value| !value.contains('.')).collect(),
                _ => vec![value.as_str()],
            };
            for value in values {
                let there = known.is_empty() || known.iter().any(|one| one == value);
                assert!(there, "{name}: {}{{{label}}} is never {value}", selector.name);
            }
        }
    }
    for label in grouped(expr) {
        assert!(labels.contains(&label), "{name}: no label {label} in {expr}");
    }
}

#[test]
fn every_exported_metric_is_on_a_panel_or_exempt_for_a_reason() {
    let dashboards = dashboards();
    let shown: BTreeSet<String> = queries(&dashboards)
        .iter()
        .flat_map(|(_, expr)| selectors(expr))
        .map(|selector| family(&selector.name).to_owned())
        .collect();
    for metric in metrics().keys() {
        let exempt = EXEMPT.iter().any(|(name, _)| name == metric);
        assert!(shown.contains(metric) != exempt, "{metric}: shown or exempt, not both or neither");
    }
    for (name, why) in EXEMPT {
        assert!(metrics().contains_key(name), "{name} is exempt and not exported");
        assert!(!why.is_empty(), "{name}");
    }
}

/// A query with the dashboard's variables filled in.
pub fn filled(expr: &str, range: &str) -> String {
    expr.replace("$__rate_interval", range).replace("$job", ".+").replace("$instance", ".*")
}

#[test]
fn prometheus_can_parse_every_query() {
    let mut rules = String::from("groups:\n  - name: queries\n    rules:\n");
    for (at, (name, expr)) in queries(&dashboards()).iter().enumerate() {
        let expr = filled(expr, "1m");
        rules.push_str(&format!(
            "      # {name}\n      - record: query_{at}\n        expr: |-\n          {expr}\n"
        ));
    }
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("queries.yml");
    std::fs::write(&path, rules).unwrap();
    judged(&["promtool", "check", "rules", path.to_str().unwrap()]);
}

//! What the server exports: names and, where they are known, labels with their values.

use std::collections::BTreeMap;

/// What Prometheus itself adds to a scrape, and its list of alerts.
pub const OF_PROMETHEUS: [&str; 4] =
    ["up", "scrape_duration_seconds", "scrape_samples_scraped", "ALERTS"];

/// Each metric with its labels; a label without values takes any.
pub fn metrics() -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let mut found = BTreeMap::new();
    for metric in livehelp::metrics::declared() {
        let owned = |(label, values): &(&str, Vec<&str>)| {
            ((*label).to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
        };
        let labels: BTreeMap<String, Vec<String>> = metric.labels.iter().map(owned).collect();
        found.insert(metric.name, labels);
    }
    // Some are there only where they mean something, as the end of a certificate; the document has them all, and a
    // test of the server holds it against the code.
    let document = include_str!("../../../docs/metrics.md");
    for name in document.lines().filter_map(|line| line.strip_prefix("### livehelp_")) {
        found.entry(format!("livehelp_{name}")).or_default();
    }
    // What is measured at the scrape and what is known of the process are not declared.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let text = runtime.block_on(async { livehelp::metrics::Metrics::new().render() });
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(named) = line.strip_prefix("# TYPE ") else { continue };
        let name = named.split(' ').next().unwrap();
        if found.get(name).is_some_and(|labels| !labels.is_empty()) {
            continue;
        }
        let sample = lines.peek().copied().unwrap_or_default();
        let labels = sample.split_once('{').map_or("", |(_, rest)| rest);
        let names = labels.split("\",").filter_map(|pair| pair.split_once("=\""));
        found.insert(
            name.to_owned(),
            names.map(|(label, _)| (label.to_owned(), Vec::new())).collect(),
        );
    }
    found
}

/// The metric that a series belongs to: histograms have three kinds of them.
pub fn family(series: &str) -> &str {
    ["_bucket", "_count", "_sum"]
        .iter()
        .find_map(|ending| series.strip_suffix(ending))
        .filter(|_| series.starts_with("livehelp_"))
        .unwrap_or(series)
}

#[test]
fn the_metrics_of_the_runtime_and_of_the_process_are_found_too() {
    let metrics = metrics();
    assert!(metrics["livehelp_build_info"].contains_key("version"), "{metrics:?}");
    assert!(metrics["livehelp_worker_busy_seconds_total"].contains_key("worker"));
    assert!(metrics["process_open_fds"].is_empty());
    assert!(metrics["livehelp_message_errors_total"]["code"].contains(&"overload".to_owned()));
    assert_eq!(family("livehelp_ack_latency_seconds_bucket"), "livehelp_ack_latency_seconds");
}

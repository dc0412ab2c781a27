//! `docs/metrics.md`, made from the declarations.

use super::{CERTIFICATE, PREFIX, RUNTIME, declared};
use crate::prose::{filled, point};

const HEAD: &str = "# Metrics

<!-- Made by `cargo run -p livehelp --example reference docs`; a test compares it. -->
";

const ABOUT: &str = "The admin listener gives them at `/metrics` in Prometheus' text format, without a key: bind \
it where only your Prometheus reaches it. No label names an Organization, a person, an address or a page. Where this \
list names a label's values, each of them, and each pair where there are two labels, is there from the start with 0, \
so that `rate` sees the first event. Values that it does not name come with what they stand for: `listener`, `route`, \
`method` and `code` of a request with the first of its kind, `worker` for each thread, `version` and `commit` of the \
program that runs. The usual `process_…` metrics of Prometheus clients are there as well.";

/// The document.
pub fn document() -> String {
    let mut text = format!("{HEAD}\n{}", filled(ABOUT, ""));
    let mut group = "";
    for metric in declared() {
        if metric.group != group {
            group = metric.group;
            text.push_str(&format!("\n## {group}\n"));
        }
        let about = format!("{} ({})", metric.help, metric.kind);
        text.push_str(&format!("\n### {}\n\n{}", metric.name, filled(&about, "")));
        let mut points = Vec::new();
        for (label, values) in &metric.labels {
            points.push(match values.as_slice() {
                [] => format!("`{label}`: as it comes."),
                values => format!("`{label}`: {}.", values.join(", ")),
            });
        }
        if !metric.buckets.is_empty() {
            let bounds: Vec<String> = metric.buckets.iter().map(ToString::to_string).collect();
            points.push(format!("Buckets: {}.", bounds.join(", ")));
        }
        if !points.is_empty() {
            text.push('\n');
        }
        text.extend(points.iter().map(|words| point(words)));
    }
    text.push_str("\n## Measured at the scrape\n");
    for (name, kind, help) in RUNTIME.into_iter().chain([CERTIFICATE]) {
        let about = filled(&format!("{help} ({kind})"), "");
        text.push_str(&format!("\n### {PREFIX}{name}\n\n{about}"));
    }
    text
}

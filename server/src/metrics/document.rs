//! `docs/metrics.md`, made from the declarations.

use super::{CERTIFICATE, PREFIX, RUNTIME, declared};

const HEAD: &str = "# Metrics

<!-- Made by `cargo run -p livehelp --example reference docs`; a test compares it. -->

The admin listener gives them at `/metrics` in Prometheus' text format, without a key: bind it where only your
Prometheus reaches it. No label names an Organization, a person, an address or a page. Every label value in this
list is there from the start with 0; routes appear with their first request. The usual `process_…` metrics of
Prometheus clients are there as well.
";

/// The document.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    let mut group = "";
    for metric in declared() {
        if metric.group != group {
            group = metric.group;
            text.push_str(&format!("\n## {group}\n"));
        }
        text.push_str(&format!("\n### {}\n\n{} ({})\n", metric.name, metric.help, metric.kind));
        let mut points = Vec::new();
        for (label, values) in &metric.labels {
            points.push(match values.as_slice() {
                [] => format!("- `{label}`: from the router."),
                values => format!("- `{label}`: {}.", values.join(", ")),
            });
        }
        if !metric.buckets.is_empty() {
            let bounds: Vec<String> = metric.buckets.iter().map(ToString::to_string).collect();
            points.push(format!("- Buckets: {}.", bounds.join(", ")));
        }
        if !points.is_empty() {
            text.push_str(&format!("\n{}\n", points.join("\n")));
        }
    }
    text.push_str("\n## Measured at the scrape\n");
    for (name, kind, help) in RUNTIME.into_iter().chain([CERTIFICATE]) {
        text.push_str(&format!("\n### {PREFIX}{name}\n\n{help} ({kind})\n"));
    }
    text
}

//! What SREs look at, made from code: Grafana's dashboards, Prometheus' rules, and the rules'
//! tests.
//!
//! Lives here: what is asked of the metrics, in which unit and with which bound, and the way into
//! the files of `deploy/grafana/` and `deploy/prometheus/`. Not here: the metrics
//! (`livehelp::metrics`), what to do about an alert (`docs/runbooks.md`), examples of configuration
//! (`deploy/prometheus/*.yml`). Called by `cargo xtask gen`; the tests hold the files against the
//! metrics and against a real Prometheus.

pub mod dashboard;
pub mod panel;
pub mod rule;

/// A file and its whole text.
#[derive(Debug)]
pub struct Made {
    /// From the repository's top.
    pub path: String,
    /// Ends with a line's end.
    pub text: String,
}

/// Every file that is made here.
pub fn files() -> Vec<Made> {
    let dashboards = dashboard::all().into_iter().map(|dashboard| Made {
        path: format!("deploy/grafana/{}.json", dashboard.uid),
        text: dashboard.json(),
    });
    let rules = rule::files().into_iter().flat_map(|file| {
        let made = |folder: &str, name: &str, text| Made {
            path: format!("deploy/prometheus/{folder}/{name}.yml"),
            text,
        };
        let tests = file.tests().into_iter().map(|(name, text)| made("tests", &name, text));
        tests.chain([made("rules", file.name, file.rules())]).collect::<Vec<_>>()
    });
    dashboards.chain(rules).collect()
}

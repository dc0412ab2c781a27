//! The server from outside: its CPU and memory by process id, and what it says of itself in
//! `/metrics`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use http::Method;

use crate::judge::figure::{Figure, Measure};
use crate::number::{float, ratio};
use crate::run::process::Usage;
use crate::run::rest::{Rest, Shown};

/// One look at `/metrics`: every series by its name with labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Metrics(BTreeMap<String, f64>);

const DELIVERY: &str = "livehelp_delivery_latency_seconds";
const ACK: &str = "livehelp_ack_latency_seconds";

/// Histograms of the server that are set beside the clients'.
const HISTOGRAMS: [(&str, &str); 4] = [
    (DELIVERY, "delivery"),
    (ACK, "ack"),
    ("livehelp_store_fsync_duration_seconds", "store_fsync"),
    ("livehelp_store_batch_messages", "store_batch_messages"),
];

impl Metrics {
    /// Asks the admin listener.
    ///
    /// # Errors
    /// If it does not answer.
    pub(crate) async fn of(admin: &Rest) -> Result<Self> {
        let answer = admin.ask(Method::GET, "/metrics", Shown::Nothing, None).await?;
        anyhow::ensure!(answer.status.is_success(), "/metrics says {}", answer.status);
        let text = std::str::from_utf8(&answer.body).context("/metrics is no text")?;
        Ok(Self::parse(text))
    }

    fn parse(text: &str) -> Self {
        let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(series.collect())
    }

    /// What the server says of its own build: `version` or `commit`.
    pub(crate) fn build(&self, label: &str) -> Option<String> {
        let series = self.0.keys().find(|series| bare(series) == "livehelp_build_info")?;
        let (_, value) = series.split_once(&format!("{label}=\""))?;
        Some(value.split('"').next()?.to_owned())
    }

    /// The sum over all labels of a name.
    fn sum(&self, name: &str) -> f64 {
        let series = self.0.iter().filter(|(series, _)| bare(series) == name);
        series.map(|(_, value)| value).sum()
    }

    /// CPU and memory as the server counts them itself: in ticks of 10 ms, as everyone's.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let cpu = self.0.get("process_cpu_seconds_total")?;
        let resident = self.0.get("process_resident_memory_bytes")?;
        Some(Usage {
            cpu: std::time::Duration::from_secs_f64(cpu.max(0.0)),
            resident_bytes: crate::number::whole(*resident),
        })
    }

    /// What changed since an earlier look: counters that moved, and percentiles of some histograms.
    pub(crate) fn since(&self, earlier: &Self) -> BTreeMap<String, f64> {
        let mut changed = BTreeMap::new();
        for series in self.0.keys().filter(|series| bare(series).ends_with("_total")) {
            let name = bare(series);
            let by = self.sum(name) - earlier.sum(name);
            if by != 0.0 {
                changed.insert(name.to_owned(), by);
            }
        }
        for (name, short) in HISTOGRAMS {
            let unit = if name.ends_with("_seconds") { 1_000.0 } else { 1.0 };
            let ending = if name.ends_with("_seconds") { "_ms" } else { "" };
            for (quantile, word) in [(0.5, "p50"), (0.99, "p99")] {
                if let Some(value) = self.quantile(earlier, name, quantile) {
                    changed.insert(format!("server_{short}_{word}{ending}"), value * unit);
                }
            }
        }
        changed
    }

    /// The upper end of the bucket in which the quantile lies.
    fn quantile(&self, earlier: &Self, name: &str, quantile: f64) -> Option<f64> {
        self.buckets(earlier, name).quantile(quantile)
    }

    /// What a histogram took in since an earlier look, over all its labels.
    fn buckets(&self, earlier: &Self, name: &str) -> Buckets {
        let prefix = format!("{name}_bucket{{");
        let mut buckets = Buckets::default();
        for (series, value) in self.0.iter().filter(|(series, _)| series.starts_with(&prefix)) {
            let bound = series.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
            let bound = bound.and_then(|bound| match bound {
                "+Inf" => Some(f64::INFINITY),
                bound => bound.parse().ok(),
            });
            let Some(bound) = bound else { continue };
            // A server that was started anew in between counts from 0 again.
            let before = earlier.0.get(series).copied().unwrap_or(0.0);
            buckets.take(bound, (value - before).max(0.0));
        }
        buckets
    }

    /// What the server says of its own times since an earlier look.
    pub(crate) fn latency(&self, earlier: &Self) -> Latency {
        Latency { delivery: self.buckets(earlier, DELIVERY), ack: self.buckets(earlier, ACK) }
    }
}

/// A histogram of the server: upper bounds in rising order, and how many were at most so much.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    fn take(&mut self, bound: f64, count: f64) {
        match self.0.binary_search_by(|(known, _)| known.total_cmp(&bound)) {
            Ok(at) => {
                if let Some((_, sum)) = self.0.get_mut(at) {
                    *sum += count;
                }
            }
            Err(at) => self.0.insert(at, (bound, count)),
        }
    }

    fn add(&mut self, other: &Self) {
        for (bound, count) in &other.0 {
            self.take(*bound, *count);
        }
    }

    /// The upper end of the bucket in which the quantile lies; of the last bucket, which has none,
    /// its lower end. None: it took in nothing.
    fn quantile(&self, quantile: f64) -> Option<f64> {
        let all = self.0.last()?.1;
        let found = self.0.iter().find(|(_, count)| *count >= all * quantile && all > 0.0)?;
        Some(if found.0.is_finite() { found.0 } else { self.0.iter().rev().nth(1)?.0 })
    }
}

/// The server's own times over some stretch of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Latency {
    delivery: Buckets,
    ack: Buckets,
}

impl Latency {
    pub(crate) fn add(&mut self, other: &Self) {
        self.delivery.add(&other.delivery);
        self.ack.add(&other.ack);
    }

    /// The 99th percentiles in milliseconds: of delivery, of acks.
    pub(crate) fn p99_ms(&self) -> [Option<f64>; 2] {
        [&self.delivery, &self.ack].map(|times| Some(times.quantile(0.99)? * 1_000.0))
    }

    /// As figures of a run, where there were any.
    pub(crate) fn figures(&self) -> impl Iterator<Item = (Figure, f64)> {
        let figures = [
            (Measure::ServerDeliveryP50Ms, &self.delivery, 0.5),
            (Measure::ServerDeliveryP99Ms, &self.delivery, 0.99),
            (Measure::ServerAckP50Ms, &self.ack, 0.5),
            (Measure::ServerAckP99Ms, &self.ack, 0.99),
        ];
        figures.into_iter().filter_map(|(measure, times, quantile)| {
            Some((Figure::Measured(measure), times.quantile(quantile)? * 1_000.0))
        })
    }
}

fn bare(series: &str) -> &str {
    series.split('{').next().unwrap_or(series)
}

/// Whose CPU and memory is looked at.
#[derive(Debug, Clone)]
pub(crate) enum UsageSource {
    Pids(Vec<u32>),
    /// By `/metrics` alone: the server is elsewhere.
    Metrics(Rest),
}

impl UsageSource {
    /// One look.
    ///
    /// # Errors
    /// If the process is gone.
    pub(crate) async fn look(&self) -> Result<Usage> {
        match self {
            Self::Pids(pids) => {
                Usage::of(pids).with_context(|| format!("cannot see the server's process {pids:?}"))
            }
            Self::Metrics(admin) => {
                let metrics =
                    Metrics::of(admin).await.context("cannot read the server's /metrics")?;
                metrics
                    .usage()
                    .context("/metrics says nothing of CPU and memory; name the process with --pid")
            }
        }
    }
}

/// Microseconds of CPU for each of so many.
pub(crate) fn cpu_us_each(later: &Usage, earlier: &Usage, count: u64) -> f64 {
    ratio(float(crate::clock::micros(later.cpu_since(earlier))), float(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLIER: &str = "\
# HELP x y
livehelp_messages_received_total{role=\"visitor\",kind=\"text\"} 5
livehelp_messages_received_total{role=\"agent\",kind=\"text\"} 5
livehelp_ack_latency_seconds_bucket{le=\"0.001\"} 4
livehelp_ack_latency_seconds_bucket{le=\"0.01\"} 4
livehelp_ack_latency_seconds_bucket{le=\"+Inf\"} 4
process_cpu_seconds_total 1.5
process_resident_memory_bytes 1048576
";

    #[test]
    fn a_server_names_its_build_or_is_of_an_unknown_one() {
        let metrics = Metrics::parse("livehelp_build_info{version=\"1.2.3\",commit=\"ab12\"} 1\n");
        assert_eq!(metrics.build("version").as_deref(), Some("1.2.3"));
        assert_eq!(metrics.build("commit").as_deref(), Some("ab12"));
        assert_eq!(Metrics::parse(EARLIER).build("version"), None);
    }

    #[test]
    fn the_servers_times_are_those_of_the_stretch_and_add_up() {
        let look = |fast: u32, all: u32| {
            Metrics::parse(&format!(
                "livehelp_delivery_latency_seconds_bucket{{le=\"0.001\"}} {fast}\n\
                 livehelp_delivery_latency_seconds_bucket{{le=\"0.05\"}} {all}\n\
                 livehelp_delivery_latency_seconds_bucket{{le=\"+Inf\"}} {all}\n"
            ))
        };
        let (first, second, third) = (look(1_000, 1_000), look(1_090, 1_090), look(1_090, 1_100));
        let mut both = second.latency(&first);
        assert_eq!(both.p99_ms(), [Some(1.0), None]);
        both.add(&third.latency(&second));
        assert_eq!(both.p99_ms(), [Some(50.0), None]);
        let figures: Vec<_> = both.figures().map(|(figure, ms)| (figure.name(), ms)).collect();
        let (p50, p99) = ("server_delivery_p50_ms", "server_delivery_p99_ms");
        assert_eq!(figures, [(p50, 1.0), (p99, 50.0)]);
        assert_eq!(Latency::default().p99_ms(), [None, None]);
        // Started anew in between.
        assert_eq!(first.latency(&third).p99_ms(), [None, None]);
    }

    #[test]
    fn what_changed_is_summed_over_labels() {
        let later = EARLIER
            .replace("} 5", "} 8")
            .replace("\"0.01\"} 4", "\"0.01\"} 9")
            .replace("+Inf\"} 4", "+Inf\"} 10");
        let (earlier, later) = (Metrics::parse(EARLIER), Metrics::parse(&later));
        let changed = later.since(&earlier);
        assert_eq!(changed["livehelp_messages_received_total"], 6.0);
        assert_eq!(changed["server_ack_p50_ms"], 10.0);
        assert_eq!(later.usage().unwrap().resident_bytes, 1_048_576);
    }
}

//! What a run costs the server and the generator: looks at both at the borders of its phases, and
//! the figures between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::watch;

use crate::clock::{Clock, Micros};
use crate::judge::figure::{Count, Figure, Figures, Measure, Stat, Timing};
use crate::judge::guard;
use crate::judge::histogram::Tally;
use crate::number::{float, mebibytes, ratio};
use crate::report::outcome::Point;
use crate::run::observe::{Latency, Metrics, UsageSource, cpu_us_each};
use crate::run::process::Usage;
use crate::run::rest::Rest;
use crate::run::scenario::Phase;

/// The server's and the generator's usage at a moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    at: Micros,
    /// Absent: it was gone.
    server: Option<Usage>,
    generator: Usage,
    /// What the server says of itself; absent where it could not be asked.
    metrics: Option<Arc<Metrics>>,
}

/// What was seen at the borders of phases.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    pub(super) taken: Vec<Snapshot>,
    /// Since when there was no server to look at, in words.
    pub(super) gone: Option<String>,
}

/// What looks at the server and at the generator.
pub(super) struct Watch {
    pub(super) clock: Clock,
    pub(super) usage: UsageSource,
    pub(super) admin: Rest,
    /// The generator's.
    pub(super) pids: Vec<u32>,
}

/// Looks at both at each border of the phases, and where they are cut. A server that is gone ends
/// no run: what was seen before is worth knowing.
pub(super) async fn snapshots(
    Watch { clock, usage, admin, pids }: Watch,
    begin: Micros,
    phases: Vec<Phase>,
    mut cut: watch::Receiver<Option<Micros>>,
) -> Result<Snapshots> {
    let mut at = begin;
    let mut seen = Snapshots::default();
    let lengths = phases.iter().map(Phase::length);
    for length in std::iter::once(Duration::ZERO).chain(lengths) {
        at = at.plus(length);
        let is_cut = tokio::select! {
            () = tokio::time::sleep_until(clock.instant(at)) => false,
            // The conductor outlives its snapshots.
            cut = cut.wait_for(Option::is_some) => cut.is_ok(),
        };
        let server = usage.look().await;
        if let Err(error) = &server {
            let seconds = clock.now().since(begin).as_secs_f64();
            let words =
                || format!("the server was gone {seconds:.0} s after the phases began: {error:#}");
            seen.gone.get_or_insert_with(words);
        }
        let generator = Usage::of(&pids).context("cannot see a worker's process")?;
        let now = clock.now();
        let metrics = Metrics::of(&admin).await.ok().map(Arc::new);
        seen.taken.push(Snapshot { at: now, server: server.ok(), generator, metrics });
        if is_cut {
            break;
        }
    }
    Ok(seen)
}

/// What was used between two snapshots.
#[derive(Debug, Clone, Default)]
pub(super) struct Spent {
    pub(super) seconds: f64,
    /// CPU seconds. Absent: the server was gone at one of them.
    server: Option<f64>,
    generator: f64,
    /// The server's own times; empty where it could not be asked.
    latency: Latency,
}

impl Spent {
    /// Of a server that is there, in no time.
    pub(super) fn nothing() -> Self {
        Self { server: Some(0.0), ..Self::default() }
    }

    pub(super) fn between(snapshots: &[Snapshot]) -> Self {
        let (Some(begin), Some(end)) = (snapshots.first(), snapshots.last()) else {
            return Self::default();
        };
        let server = begin.server.zip(end.server);
        let metrics = begin.metrics.as_ref().zip(end.metrics.as_ref());
        Self {
            latency: metrics.map(|(begin, end)| end.latency(begin)).unwrap_or_default(),
            seconds: end.at.since(begin.at).as_secs_f64(),
            server: server.map(|(begin, end)| end.cpu_since(&begin).as_secs_f64()),
            generator: end.generator.cpu_since(&begin.generator).as_secs_f64(),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.server = self.server.zip(other.server).map(|(one, other)| one + other);
        self.generator += other.generator;
        self.latency.add(&other.latency);
    }

    pub(super) fn figures(&self, tally: &Tally, figures: &mut Figures) {
        let sent = float(tally.of(Count::Sent));
        let came = float(tally.of(Count::Delivered));
        let mut set = |measure, value| figures.set(Figure::Measured(measure), value);
        if let Some(server) = self.server {
            if sent > 0.0 {
                set(Measure::ServerCpuUsPerMessage, server * 1e6 / sent);
            }
            if came > 0.0 {
                set(Measure::ServerCpuUsPerDelivery, server * 1e6 / came);
            }
            set(Measure::ServerCpuCores, ratio(server, self.seconds));
        }
        set(Measure::GeneratorCpuCores, ratio(self.generator, self.seconds));
        set(Measure::MeasuredSeconds, self.seconds);
        figures.extend(self.latency.figures());
    }
}

/// What it cost that so many came, and how long they took.
pub(super) fn coming(
    first: &Tally,
    before: &Usage,
    there: &Usage,
    connections: u64,
    figures: &mut Figures,
) {
    let opened = first.of(Count::Connects).max(1);
    let growth = float(there.resident_bytes) - float(before.resident_bytes);
    let each = ratio(growth, float(connections));
    figures.set(Figure::Measured(Measure::Connections), float(connections));
    figures.set(Figure::Measured(Measure::ServerBytesPerConnection), each);
    let cpu_us = cpu_us_each(there, before, opened);
    figures.set(Figure::Measured(Measure::ServerCpuUsPerConnect), cpu_us);
    if let (Some(times), None) =
        (first.time(Timing::Connect), figures.get(Figure::Timed(Timing::Connect, Stat::P50)))
    {
        let of = |stat: Stat| (Figure::Timed(Timing::Connect, stat), stat.of(times));
        figures.extend(Stat::ALL.map(of));
    }
}

/// How the server's own counters moved. A look that failed leaves them out: half of a difference
/// would be none.
pub(super) fn moved(
    earlier: Result<Metrics>,
    later: Result<Metrics>,
) -> (BTreeMap<String, f64>, Vec<String>) {
    match (earlier, later) {
        (Ok(earlier), Ok(later)) => (later.since(&earlier), Vec::new()),
        (earlier, later) => {
            let looks = [("beginning", earlier), ("end", later)];
            let notes = looks.into_iter().filter_map(|(when, look)| {
                let error = look.err()?;
                Some(format!("the server's /metrics could not be read at the {when}: {error:#}"))
            });
            (BTreeMap::new(), notes.collect())
        }
    }
}

/// Resident memory at the end of the last of these looks, and the most that was seen of the
/// server's.
pub(super) fn memory(points: &[Point], snapshots: &[Snapshot], figures: &mut Figures) {
    let Some(end) = snapshots.last() else { return };
    let resident = end.server.map(|server| mebibytes(server.resident_bytes));
    if let Some(resident) = resident {
        figures.set(Figure::Measured(Measure::ServerResidentMb), resident);
    }
    let generator = mebibytes(end.generator.resident_bytes);
    figures.set(Figure::Measured(Measure::GeneratorResidentMb), generator);
    let seen = points.iter().filter_map(|point| point.server_resident_mb);
    if let Some(most) = seen.chain(resident).reduce(f64::max) {
        figures.set(Figure::Measured(Measure::ServerResidentMbMax), most);
    }
}

/// The server's growth over what was measured, from a tenth of it to its end: not while people come
/// or all is drained.
pub(super) fn growth_mb(points: &[Point], phases: &[Phase]) -> Option<f64> {
    let spans = guard::spans(phases);
    let inside = |at: f64| spans.iter().any(|(from, to)| (*from..*to).contains(&at));
    let measured = points.iter().filter(|point| inside(point.second));
    let seen: Vec<f64> = measured.filter_map(|point| point.server_resident_mb).collect();
    Some(seen.last()? - seen.get(seen.len() / 10)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::scenario::PhaseKind;

    #[test]
    fn memory_grows_over_what_is_measured_and_not_over_ramp_or_drain() {
        let phase = |kind, seconds| Phase { kind, seconds, ..Phase::default() };
        let phases = [phase(PhaseKind::Ramp, 10.0), phase(PhaseKind::Soak, 20.0)];
        let point = |second: u32| Point {
            second: f64::from(second),
            server_resident_mb: match second {
                // The ramp fills it, the drain empties it.
                0..10 => Some(f64::from(second) * 100.0),
                15 => None,
                10..30 => Some(1_000.0 + f64::from(second)),
                _ => Some(5.0),
            },
            ..Point::default()
        };
        let points: Vec<Point> = (0..40).map(point).collect();
        assert_eq!(growth_mb(&points, &phases), Some(18.0));
        assert_eq!(growth_mb(&points[..5], &phases), None);
    }

    #[test]
    fn half_a_difference_is_none_and_is_told() {
        let failed = || Err(anyhow::anyhow!("no answer"));
        let (server, notes) = moved(failed(), Ok(Metrics::default()));
        assert!(server.is_empty());
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("at the beginning: no answer"), "{notes:?}");
        assert_eq!(moved(failed(), failed()).1.len(), 2);
        assert!(moved(Ok(Metrics::default()), Ok(Metrics::default())).1.is_empty());
    }
}

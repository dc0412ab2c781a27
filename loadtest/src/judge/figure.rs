//! Figures of a run: what each is, what it is counted in, and its name in scenarios, results and
//! reports.
//!
//! Lives here: the figures and their names. Not here: how they come about (`histogram`, `ledger`,
//! `run`), and what they are held against (`verdict`, `compare`).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::judge::histogram::Times;
use crate::number::float;

mod kinds;

pub(crate) use self::kinds::{Count, Finding, Measure, Timing};

/// Statistics of what is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stat {
    P50,
    P90,
    P99,
    P999,
    P9999,
    Max,
    Mean,
}

impl Stat {
    pub(crate) const ALL: [Self; 7] =
        [Self::P50, Self::P90, Self::P99, Self::P999, Self::P9999, Self::Max, Self::Mean];

    const fn word(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p999",
            Self::P9999 => "p9999",
            Self::Max => "max",
            Self::Mean => "mean",
        }
    }

    /// The part of all that is at most so much; none of the greatest and the mean.
    pub(crate) const fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P90 => Some(0.9),
            Self::P99 => Some(0.99),
            Self::P999 => Some(0.999),
            Self::P9999 => Some(0.9999),
            Self::Max | Self::Mean => None,
        }
    }

    /// Of these times, in milliseconds.
    pub(crate) fn of(self, times: &Times) -> f64 {
        match (self.quantile(), self) {
            (Some(quantile), _) => float(times.quantile_us(quantile)) / 1_000.0,
            (None, Self::Max) => float(times.max_us()) / 1_000.0,
            (None, _) => times.mean_us() / 1_000.0,
        }
    }
}

/// What a figure is counted in. Its name ends with it, where it is not a bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    /// For each of something.
    MicrosecondsEach,
    Seconds,
    Mebibytes,
    Bytes,
    PerSecond,
    Cores,
    Characters,
    /// How many; of a counted figure it only grows.
    Count,
}

/// One figure of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Figure {
    Timed(Timing, Stat),
    Counted(Count),
    Found(Finding),
    Measured(Measure),
}

/// A name that no figure has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no figure of a run; did you mean `{nearest}`?")]
pub(crate) struct NoFigure {
    pub(crate) nearest: &'static str,
}

/// Names of what is timed: all statistics of one time after those of the other.
static TIMED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let stats = |timing: &Timing| {
        let timing = timing.word();
        Stat::ALL.map(|stat| format!("{timing}_{}_ms", stat.word()))
    };
    Timing::ALL.iter().flat_map(stats).collect()
});

impl Figure {
    /// All there are, in the order in which they are explained.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let timed = Timing::ALL
            .iter()
            .flat_map(|timing| Stat::ALL.into_iter().map(move |stat| Self::Timed(*timing, stat)));
        let counted = Count::ALL.iter().copied().map(Self::Counted);
        let found = Finding::ALL.iter().copied().map(Self::Found);
        timed.chain(counted).chain(found).chain(Measure::ALL.iter().copied().map(Self::Measured))
    }

    /// As scenarios, results and reports name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Timed(timing, stat) => {
                let at = timing as usize * Stat::ALL.len() + stat as usize;
                TIMED.get(at).map_or("", String::as_str)
            }
            Self::Counted(count) => count.word(),
            Self::Found(finding) => finding.word(),
            Self::Measured(measure) => measure.word(),
        }
    }

    /// What it is, in words.
    pub(crate) fn about(self) -> &'static str {
        let about = match self {
            Self::Timed(timing, _) => timing.about(),
            Self::Counted(count) => count.about(),
            Self::Found(finding) => finding.about(),
            Self::Measured(measure) => measure.about(),
        };
        about.trim().trim_end_matches('.')
    }

    pub(crate) fn unit(self) -> Unit {
        let measure = match self {
            Self::Timed(..) => return Unit::Milliseconds,
            Self::Counted(_) | Self::Found(_) => return Unit::Count,
            Self::Measured(measure) => measure,
        };
        match measure {
            Measure::ServerDeliveryP50Ms
            | Measure::ServerDeliveryP99Ms
            | Measure::ServerAckP50Ms
            | Measure::ServerAckP99Ms => Unit::Milliseconds,
            Measure::MessagesPerSecond | Measure::DeliveriesPerSecond | Measure::HighestRate => {
                Unit::PerSecond
            }
            Measure::ServerCpuUsPerMessage
            | Measure::ServerCpuUsPerDelivery
            | Measure::ServerCpuUsPerConnect => Unit::MicrosecondsEach,
            Measure::ServerCpuCores | Measure::GeneratorCpuCores => Unit::Cores,
            Measure::ServerResidentMb
            | Measure::ServerResidentMbMax
            | Measure::ServerResidentGrowthMb
            | Measure::GeneratorResidentMb => Unit::Mebibytes,
            Measure::ServerBytesPerConnection => Unit::Bytes,
            Measure::Connections => Unit::Count,
            Measure::MeasuredSeconds => Unit::Seconds,
            Measure::SizeMeanChars => Unit::Characters,
        }
    }

    /// Whether more of it is better; for all else less is.
    pub(crate) fn more_is_better(self) -> bool {
        self.unit() == Unit::PerSecond
    }

    /// What it is a statistic of, where those who take part time it.
    pub(crate) const fn timing(self) -> Option<Timing> {
        match self {
            Self::Timed(timing, _) => Some(timing),
            Self::Counted(_) | Self::Found(_) | Self::Measured(_) => None,
        }
    }

    /// Whether each try of a search has it, and not only the whole run. `cut`: connections are cut
    /// in it.
    pub(crate) fn is_of_a_try(self, cut: bool) -> bool {
        match self {
            Self::Timed(timing, _) => match timing {
                Timing::Delivery
                | Timing::DeliveryService
                | Timing::Ack
                | Timing::AckService
                | Timing::SendLag
                | Timing::LoopLag => true,
                Timing::Connect | Timing::Resume => cut,
                // Nobody comes for a visit.
                Timing::QueueWait | Timing::FirstResponse => false,
            },
            Self::Counted(_) => true,
            Self::Found(_) => false,
            Self::Measured(measure) => match measure {
                Measure::ServerDeliveryP50Ms
                | Measure::ServerDeliveryP99Ms
                | Measure::ServerAckP50Ms
                | Measure::ServerAckP99Ms
                | Measure::MessagesPerSecond
                | Measure::DeliveriesPerSecond
                | Measure::ServerCpuUsPerMessage
                | Measure::ServerCpuUsPerDelivery
                | Measure::ServerCpuCores
                | Measure::GeneratorCpuCores
                | Measure::MeasuredSeconds
                | Measure::SizeMeanChars => true,
                Measure::ServerCpuUsPerConnect
                | Measure::ServerResidentMb
                | Measure::ServerResidentMbMax
                | Measure::ServerResidentGrowthMb
                | Measure::ServerBytesPerConnection
                | Measure::GeneratorResidentMb
                | Measure::Connections
                | Measure::HighestRate => false,
            },
        }
    }
}

impl FromStr for Figure {
    type Err = NoFigure;

    fn from_str(name: &str) -> Result<Self, NoFigure> {
        Self::all().find(|figure| figure.name() == name).ok_or_else(|| {
            let names = Self::all().map(Self::name);
            let nearest = names.min_by_key(|known| strsim::levenshtein(known, name));
            NoFigure { nearest: nearest.unwrap_or_default() }
        })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// By name, as results and tables have them.
impl Ord for Figure {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl PartialOrd for Figure {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(|error| D::Error::custom(format!("`{name}` {error}")))
    }
}

/// Figures of a run, a phase or a try, each in its unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Figures(BTreeMap<Figure, f64>);

impl Figures {
    pub(crate) fn get(&self, figure: Figure) -> Option<f64> {
        self.0.get(&figure).copied()
    }

    pub(crate) fn set(&mut self, figure: Figure, value: f64) {
        self.0.insert(figure, value);
    }
}

#[cfg(test)]
impl Figures {
    /// By their names.
    pub(crate) fn named(named: &[(&str, f64)]) -> Self {
        let mut figures = Self::default();
        figures.extend(named.iter().map(|(name, value)| (name.parse().unwrap(), *value)));
        figures
    }

    pub(crate) fn put(&mut self, name: &str, value: f64) {
        self.set(name.parse().unwrap(), value);
    }

    pub(crate) fn take(&mut self, name: &str) {
        self.0.remove(&name.parse::<Figure>().unwrap());
    }
}

impl Extend<(Figure, f64)> for Figures {
    fn extend<I: IntoIterator<Item = (Figure, f64)>>(&mut self, more: I) {
        self.0.extend(more);
    }
}

/// A figure that this program does not know is passed over: another one may have it.
impl<'de> Deserialize<'de> for Figures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = BTreeMap::<String, f64>::deserialize(deserializer)?;
        let known = named.into_iter().filter_map(|(name, value)| Some((name.parse().ok()?, value)));
        Ok(Self(known.collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_figure_has_a_name_of_its_own_by_which_it_is_found_and_says_what_it_is() {
        let names: BTreeSet<&str> = Figure::all().map(Figure::name).collect();
        assert_eq!(names.len(), Figure::all().count());
        for figure in Figure::all() {
            assert_eq!(figure.name().parse(), Ok(figure));
            assert!(!figure.about().is_empty(), "{figure}");
        }
        let unknown = "delivry_p99".parse::<Figure>().unwrap_err();
        assert_eq!(unknown.nearest, "delivery_p99_ms");
    }

    #[test]
    fn a_name_ends_with_its_unit() {
        for figure in Figure::all() {
            let name = figure.name();
            assert_eq!(name.ends_with("_ms"), figure.unit() == Unit::Milliseconds, "{name}");
            assert_eq!(name.contains("_mb"), figure.unit() == Unit::Mebibytes, "{name}");
            assert_eq!(name.contains("_us_per_"), figure.unit() == Unit::MicrosecondsEach);
        }
    }

    #[test]
    fn figures_are_written_by_name_and_what_is_not_known_is_passed_over() {
        let text = r#"{"acked":2.0,"delivery_p99_ms":1.5,"lost":0.0}"#;
        let with_another = text.replace("{", r#"{"aaa":1.0,"#);
        let read: Figures = serde_json::from_str(&with_another).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(read.get(Figure::Timed(Timing::Delivery, Stat::P99)), Some(1.5));
        assert!(serde_json::from_str::<Figure>("\"aaa\"").is_err());
    }
}

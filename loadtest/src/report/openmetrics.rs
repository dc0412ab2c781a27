//! A result as OpenMetrics text, for whoever keeps figures of many runs in Prometheus: in base
//! units, ready for the textfile collector or a push gateway.

use std::fmt::Write as _;

use crate::judge::figure::{Figure, Stat, Timing, Unit};
use crate::number::{MIB, float};
use crate::report::outcome::Outcome;

/// One sample: what comes behind the family's name, further labels, the value.
struct Sample {
    suffix: &'static str,
    labels: Vec<(&'static str, String)>,
    value: f64,
}

impl Sample {
    fn of(value: f64) -> Self {
        Self { suffix: "", labels: Vec::new(), value }
    }
}

/// What a run has of a family.
type Samples = Box<dyn Fn(&Outcome) -> Vec<Sample>>;

/// A family: the samples of one name, of all runs, stand together.
struct Family {
    name: String,
    kind: &'static str,
    help: &'static str,
    samples: Samples,
}

impl Family {
    fn new(
        name: &str,
        kind: &'static str,
        help: &'static str,
        samples: impl Fn(&Outcome) -> Vec<Sample> + 'static,
    ) -> Self {
        let (name, samples) = (format!("livehelp_load_{name}"), Box::new(samples));
        Self { name, kind, help, samples }
    }
}

/// The whole file.
pub(crate) fn text(runs: &[Outcome]) -> String {
    let mut text = String::new();
    for family in families() {
        let mut lines = String::new();
        for run in runs {
            for sample in (family.samples)(run) {
                let labels = [("scenario", run.scenario.name.clone()), ("run", run.run.clone())];
                let labels = labels.into_iter().chain(sample.labels);
                let labels: Vec<String> =
                    labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(&value))).collect();
                // To text nothing is ever refused.
                let _written = writeln!(
                    lines,
                    "{}{}{{{}}} {}",
                    family.name,
                    sample.suffix,
                    labels.join(","),
                    sample.value
                );
            }
        }
        if lines.is_empty() {
            continue;
        }
        let Family { name, kind, help, .. } = family;
        let _written = writeln!(text, "# TYPE {name} {kind}\n# HELP {name} {}", escaped(help));
        text.push_str(&lines);
    }
    text.push_str("# EOF\n");
    text
}

fn families() -> Vec<Family> {
    let mut families = Vec::new();
    for timing in Timing::ALL.iter().copied() {
        let most = Figure::Timed(timing, Stat::Max);
        let (word, help) = (timing.word(), most.about());
        let times = move |run: &Outcome| summary(run, timing);
        families.push(Family::new(&format!("{word}_seconds"), "summary", help, times));
        let most = move |run: &Outcome| gauge(run, most);
        families.push(Family::new(&format!("{word}_max_seconds"), "gauge", help, most));
    }
    for figure in Figure::all().filter(|figure| figure.timing().is_none()) {
        let (name, help) = (figure.name(), figure.about());
        families.push(if matches!(figure, Figure::Counted(_) | Figure::Found(_)) {
            Family::new(name, "counter", help, move |run| {
                let sample = |value| Sample { suffix: "_total", labels: Vec::new(), value };
                run.figures.get(figure).map(sample).into_iter().collect()
            })
        } else {
            Family::new(&base(figure).0, "gauge", help, move |run| gauge(run, figure))
        });
    }
    let help = "whether the run kept the bound of this figure";
    families.push(Family::new("threshold_kept", "gauge", help, |run| {
        let judged = run.thresholds.iter().map(|judged| Sample {
            suffix: "",
            labels: vec![("figure", judged.figure.to_string())],
            value: f64::from(u8::from(judged.kept)),
        });
        judged.collect()
    }));
    let help = "what the run came to, as the program's exit code";
    families.push(Family::new("exit_code", "gauge", help, |run| {
        vec![Sample::of(f64::from(run.exit().code()))]
    }));
    families
}

fn gauge(run: &Outcome, figure: Figure) -> Vec<Sample> {
    let value = run.figures.get(figure);
    value.map(|value| Sample::of(base(figure).1.of(value))).into_iter().collect()
}

fn summary(run: &Outcome, timing: Timing) -> Vec<Sample> {
    let mut samples = Vec::new();
    for stat in Stat::ALL {
        let ms = run.figures.get(Figure::Timed(timing, stat));
        if let (Some(quantile), Some(ms)) = (stat.quantile(), ms) {
            let labels = vec![("quantile", quantile.to_string())];
            samples.push(Sample { suffix: "", labels, value: ms / 1_000.0 });
        }
    }
    if let Some(times) = run.times.get(&timing).filter(|_| !samples.is_empty()) {
        let (count, labels) = (float(times.count()), Vec::new());
        let sum = times.mean_us() / 1e6 * count;
        samples.push(Sample { suffix: "_sum", labels, value: sum });
        samples.push(Sample { suffix: "_count", labels: Vec::new(), value: count });
    }
    samples
}

/// From a figure's unit to the base unit. Divided where that is what a person would do: a product
/// has the wrong last digit.
enum ToBase {
    Times(f64),
    By(f64),
}

impl ToBase {
    fn of(&self, value: f64) -> f64 {
        match self {
            Self::Times(factor) => value * factor,
            Self::By(divisor) => value / divisor,
        }
    }
}

/// A figure's name with its base unit, and the way there.
fn base(figure: Figure) -> (String, ToBase) {
    let name = figure.name();
    match figure.unit() {
        Unit::Milliseconds => (name.replace("_ms", "_seconds"), ToBase::By(1e3)),
        Unit::MicrosecondsEach => (name.replace("_us_per_", "_seconds_per_"), ToBase::By(1e6)),
        Unit::Mebibytes => {
            let (what, most) = name.split_once("_mb").unwrap_or((name, ""));
            (format!("{what}{most}_bytes"), ToBase::Times(MIB))
        }
        Unit::Seconds
        | Unit::Bytes
        | Unit::PerSecond
        | Unit::Cores
        | Unit::Characters
        | Unit::Count => (name.to_owned(), ToBase::Times(1.0)),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::report::outcome::tests::outcome;

    #[test]
    fn figures_are_in_base_units_and_each_family_stands_together() {
        let mut run = outcome();
        let figures = [
            ("delivery_p99_ms", 12.0),
            ("lost", 3.0),
            ("server_cpu_us_per_message", 90.0),
            ("server_resident_mb", 2.0),
            ("server_resident_mb_max", 3.0),
            ("server_delivery_p99_ms", 5.0),
        ];
        for (name, value) in figures {
            run.figures.put(name, value);
        }
        run.run = String::from("0000abcd");
        let text = text(&[run.clone(), run]);
        let labels = "scenario=\"smoke\",run=\"0000abcd\"";
        for line in [
            format!("livehelp_load_delivery_seconds{{{labels},quantile=\"0.99\"}} 0.012"),
            format!("livehelp_load_lost_total{{{labels}}} 3"),
            format!("livehelp_load_server_cpu_seconds_per_message{{{labels}}} 0.00009"),
            format!("livehelp_load_server_resident_bytes{{{labels}}} 2097152"),
            format!("livehelp_load_server_resident_max_bytes{{{labels}}} 3145728"),
            format!("livehelp_load_server_delivery_p99_seconds{{{labels}}} 0.005"),
            format!("livehelp_load_threshold_kept{{{labels},figure=\"lost\"}} 1"),
            format!("livehelp_load_exit_code{{{labels}}} 0"),
        ] {
            assert_eq!(text.lines().filter(|known| *known == line).count(), 2, "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n") && !text.contains("NaN"));
        let (mut seen, mut family) = (BTreeSet::new(), String::new());
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("# TYPE ") {
                name.split(' ').next().unwrap().clone_into(&mut family);
                assert!(seen.insert(family.clone()), "{family} twice");
            }
            assert!(line.starts_with('#') || line.starts_with(&family), "{line} under {family}");
            assert!(!line.contains("_ms") || line.contains("figure="), "{line}");
        }
    }

    #[test]
    fn a_count_and_a_sum_come_with_what_was_timed() {
        let run = outcome();
        let (timing, times) = run.times.iter().find(|(_, times)| times.count() > 0).unwrap();
        let text = text(std::slice::from_ref(&run));
        let count = format!("livehelp_load_{}_seconds_count{{", timing.word());
        let line = text.lines().find(|line| line.starts_with(&count)).unwrap();
        assert_eq!(line.rsplit(' ').next().unwrap(), times.count().to_string());
        assert_eq!(text.matches("_seconds_sum{").count(), text.matches("_seconds_count{").count());
    }
}

//! A result as OpenMetrics text, for whoever keeps figures of many runs in Prometheus: in base units, ready for the
//! textfile collector or a push gateway.

use std::fmt::Write as _;

use crate::judge::histogram::{Count, Timing};
use crate::judge::verdict;
use crate::number::float;
use crate::report::outcome::Outcome;

const MIB: f64 = 1_048_576.0;

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

/// A family: the samples of one name, of all runs, stand together.
struct Family {
    name: String,
    kind: &'static str,
    help: String,
    samples: fn(&Outcome, &str) -> Vec<Sample>,
    /// The figure that it shows, or the time.
    of: String,
}

/// The whole file.
pub(crate) fn text(runs: &[Outcome]) -> String {
    let mut text = String::new();
    for family in families() {
        let mut lines = String::new();
        for run in runs {
            for sample in (family.samples)(run, &family.of) {
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
        let _written = writeln!(text, "# TYPE {name} {kind}\n# HELP {name} {}", escaped(&help));
        text.push_str(&lines);
    }
    text.push_str("# EOF\n");
    text
}

fn families() -> Vec<Family> {
    let mut families = Vec::new();
    for timing in Timing::ALL {
        let help = timing.about().trim().trim_end_matches('.').to_owned();
        let family = |name: String, kind, samples| Family {
            name,
            kind,
            help: help.clone(),
            samples,
            of: timing.word().to_owned(),
        };
        let name = format!("livehelp_load_{}", timing.word());
        families.push(family(format!("{name}_seconds"), "summary", summary));
        families.push(family(format!("{name}_max_seconds"), "gauge", |run, timing| {
            let most = run.figures.get(&format!("{timing}_max_ms"));
            most.map(|ms| Sample::of(ms / 1_000.0)).into_iter().collect()
        }));
    }
    for name in verdict::names().into_iter().filter(|name| !verdict::is_timed(name)) {
        let help = verdict::about(&name).to_owned();
        families.push(if is_counted(&name) {
            let samples = |run: &Outcome, name: &str| {
                let value = run.figures.get(name).copied();
                let labels = Vec::new();
                let sample = value.map(|value| Sample { suffix: "_total", labels, value });
                sample.into_iter().collect()
            };
            Family {
                name: format!("livehelp_load_{name}"),
                kind: "counter",
                help,
                samples,
                of: name,
            }
        } else {
            let samples = |run: &Outcome, name: &str| {
                let value = run.figures.get(name).copied();
                value.map(|value| Sample::of(base(name).1.of(value))).into_iter().collect()
            };
            let family = format!("livehelp_load_{}", base(&name).0);
            Family { name: family, kind: "gauge", help, samples, of: name }
        });
    }
    families.push(Family {
        name: String::from("livehelp_load_threshold_kept"),
        kind: "gauge",
        help: String::from("whether the run kept the bound of this figure"),
        samples: |run, _| {
            let judged = run.thresholds.iter().map(|judged| Sample {
                suffix: "",
                labels: vec![("figure", judged.figure.clone())],
                value: f64::from(u8::from(judged.kept)),
            });
            judged.collect()
        },
        of: String::new(),
    });
    families.push(Family {
        name: String::from("livehelp_load_exit_code"),
        kind: "gauge",
        help: String::from("what the run came to, as the program's exit code"),
        samples: |run, _| vec![Sample::of(f64::from(run.exit().code()))],
        of: String::new(),
    });
    families
}

fn summary(run: &Outcome, timing: &str) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (word, quantile) in verdict::QUANTILES {
        if let Some(ms) = run.figures.get(&format!("{timing}_{word}_ms")) {
            let labels = vec![("quantile", quantile.to_string())];
            samples.push(Sample { suffix: "", labels, value: ms / 1_000.0 });
        }
    }
    let times = run.times.iter().find(|(known, _)| known.word() == timing);
    if let Some((_, times)) = times.filter(|_| !samples.is_empty()) {
        let (count, labels) = (float(times.count()), Vec::new());
        let sum = times.mean_us() / 1e6 * count;
        samples.push(Sample { suffix: "_sum", labels, value: sum });
        samples.push(Sample { suffix: "_count", labels: Vec::new(), value: count });
    }
    samples
}

fn is_counted(name: &str) -> bool {
    verdict::FINDINGS.iter().any(|(known, _)| *known == name)
        || Count::ALL.iter().any(|count| count.word() == name)
}

/// From a figure's unit to the base unit. Divided where that is what a person would do: a product has the wrong last digit.
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
fn base(name: &str) -> (String, ToBase) {
    if let Some(rest) = name.strip_suffix("_ms") {
        return (format!("{rest}_seconds"), ToBase::By(1e3));
    }
    if let Some((what, each)) = name.split_once("_us_per_") {
        return (format!("{what}_seconds_per_{each}"), ToBase::By(1e6));
    }
    if let Some(rest) = name.strip_suffix("_mb_max") {
        return (format!("{rest}_max_bytes"), ToBase::Times(MIB));
    }
    if let Some(rest) = name.strip_suffix("_mb") {
        return (format!("{rest}_bytes"), ToBase::Times(MIB));
    }
    (name.to_owned(), ToBase::Times(1.0))
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
        run.figures.extend(figures.map(|(name, value)| (name.to_owned(), value)));
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

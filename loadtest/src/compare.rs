//! Two results side by side. A difference counts only beyond the noise of a shared machine: a part of the value, and for
//! times at least some tenths of a millisecond.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};

use crate::number::ratio;
use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::verdict::{self, Verdict};

/// Two runs of the same program on a shared machine differ by so much.
pub(crate) const NOISE: f64 = 0.15;
/// Times that differ by less are the same: timers and the scheduler are not finer.
const NOISE_MS: f64 = 0.3;

/// Figures that say how good a run is. The others say what it was, or are told apart by thresholds.
const COMPARED: [&str; 20] = [
    "delivery_p50_ms",
    "delivery_p99_ms",
    "delivery_p999_ms",
    "delivery_service_p99_ms",
    "ack_p50_ms",
    "ack_p99_ms",
    "ack_p999_ms",
    "connect_p99_ms",
    "resume_p99_ms",
    "queue_wait_p99_ms",
    "first_response_p99_ms",
    "messages_per_second",
    "deliveries_per_second",
    "highest_rate",
    "server_cpu_us_per_message",
    "server_cpu_us_per_delivery",
    "server_cpu_us_per_connect",
    "server_bytes_per_connection",
    "server_resident_mb",
    "server_resident_growth_mb",
];

/// What became of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Same,
    Better,
    Worse,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) figure: &'static str,
    pub(crate) old: f64,
    pub(crate) new: f64,
    pub(crate) change: Change,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) rows: Vec<Row>,
    /// Figures that one of the two has and the other has not: which, and who lacks it.
    lacking: Vec<(&'static str, &'static str)>,
    void: bool,
    noise: f64,
    /// Bounds that the new run broke.
    broken: Vec<String>,
    /// Why the two cannot be set beside each other honestly.
    warnings: Vec<String>,
}

/// Whether two scenarios make the same load: how it is judged and which flags the server has is another matter.
///
/// # Errors
/// If they do not; with what differs.
pub(crate) fn comparable(old: &Scenario, new: &Scenario) -> Result<()> {
    let load = |scenario: &Scenario| {
        let mut keys = toml::Table::try_from(scenario).context("a scenario has no such form")?;
        keys.retain(|key, _| !["about", "thresholds", "server_flags"].contains(&key));
        anyhow::Ok(keys)
    };
    let (old, new) = (load(old)?, load(new)?);
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let other: Vec<&str> =
        keys.into_iter().filter(|key| old.get(*key) != new.get(*key)).map(String::as_str).collect();
    ensure!(
        other.is_empty(),
        "the two runs cannot be compared: their scenarios are not the same, but differ in {}",
        other.join(", ")
    );
    Ok(())
}

/// Sets the second beside the first.
///
/// # Errors
/// If they are not runs of the same load.
pub(crate) fn compare(old: &Outcome, new: &Outcome, noise: f64) -> Result<Comparison> {
    comparable(&old.scenario, &new.scenario)?;
    let mut warnings = Vec::new();
    if old.machine != new.machine {
        warnings.push(String::from("the machines are not the same"));
    }
    warnings.extend(other_server(old, new));
    for (which, outcome) in [("old", old), ("new", new)] {
        if matches!(outcome.verdict, Verdict::Void | Verdict::Broken) {
            let word = if outcome.verdict == Verdict::Void { "void" } else { "broken" };
            warnings.push(format!("the {which} run is {word}"));
        }
    }
    let lacking = COMPARED.iter().filter_map(|figure| {
        match (old.figures.contains_key(*figure), new.figures.contains_key(*figure)) {
            (true, false) => Some((*figure, "new")),
            (false, true) => Some((*figure, "old")),
            (true, true) | (false, false) => None,
        }
    });
    let rows = COMPARED.iter().filter_map(|figure| {
        let (old, new) = (*old.figures.get(*figure)?, *new.figures.get(*figure)?);
        Some(Row { figure, old, new, change: change(figure, old, new, noise) })
    });
    let broken = new.thresholds.iter().filter(|judged| !judged.kept);
    let broken = broken.map(|judged| judged.figure.clone()).chain(new.faults.iter().cloned());
    Ok(Comparison {
        rows: rows.chain(invariants(old, new)).collect(),
        lacking: lacking.collect(),
        void: [old, new].iter().any(|outcome| outcome.verdict == Verdict::Void),
        noise,
        broken: broken.collect(),
        warnings,
    })
}

/// What must be 0, where it is not in one of the two: any more of it is worse. What a scenario allows is for its thresholds
/// to judge.
fn invariants(old: &Outcome, new: &Outcome) -> impl Iterator<Item = Row> {
    verdict::ALWAYS_ZERO.into_iter().filter_map(|figure| {
        let value = |outcome: &Outcome| outcome.figures.get(figure).copied().unwrap_or(0.0);
        let (old_value, new_value) = (value(old), value(new));
        if old_value == new_value || new.scenario.thresholds.contains_key(figure) {
            return None;
        }
        let change = if new_value > old_value { Change::Worse } else { Change::Better };
        Some(Row { figure, old: old_value, new: new_value, change })
    })
}

/// Why the two may not have loaded the same server: one with another store, or with fewer threads, is another.
fn other_server(old: &Outcome, new: &Outcome) -> Option<String> {
    let flags = |outcome: &Outcome| -> Option<BTreeSet<String>> {
        Some(outcome.made.as_ref()?.server_flags.as_ref()?.iter().cloned().collect())
    };
    let (old, new) = match (flags(old), flags(new)) {
        (Some(old), Some(new)) => (old, new),
        (old, new) => return Some(untold(old.is_some(), new.is_some())),
    };
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
        let words: Vec<&str> = one.difference(other).map(String::as_str).collect();
        if words.is_empty() { String::from("nothing") } else { words.join(" ") }
    };
    (old != new).then(|| {
        format!(
            "the servers did not run with the same flags: only the old one with {}, only the new one with {}",
            only(&old, &new),
            only(&new, &old)
        )
    })
}

fn untold(by_old: bool, by_new: bool) -> String {
    let who = match (by_old, by_new) {
        (false, false) => "neither run says",
        (false, true) => "the old run does not say",
        (true, _) => "the new run does not say",
    };
    format!("{who} with which flags its server ran")
}

fn change(figure: &str, old: f64, new: f64, noise: f64) -> Change {
    let floor = if figure.ends_with("_ms") { NOISE_MS } else { 0.0 };
    let band = (old.abs() * noise).max(floor);
    // A server that grew by a little more of nothing has not become worse.
    let band = if figure.ends_with("_mb") { band.max(8.0) } else { band };
    if (new - old).abs() <= band {
        Change::Same
    } else if (new > old) == verdict::more_is_better(figure) {
        Change::Better
    } else {
        Change::Worse
    }
}

impl Comparison {
    /// Broken: something is worse beyond the noise, or the new run is broken in itself, or a figure cannot be compared,
    /// which is no proof that it is not worse.
    pub(crate) fn verdict(&self) -> Verdict {
        let whole = self.lacking.is_empty() && self.broken.is_empty();
        if self.void {
            Verdict::Void
        } else if whole && self.rows.iter().all(|row| row.change != Change::Worse) {
            Verdict::Kept
        } else {
            Verdict::Broken
        }
    }

    /// For a terminal.
    pub(crate) fn words(&self) -> String {
        let mut text = String::new();
        for warning in &self.warnings {
            text.push_str(&format!("careful: {warning}\n"));
        }
        text.push_str(&format!(
            "{:30} {:>12} {:>12} {:>8}  beyond {:.0} %\n",
            "figure",
            "old",
            "new",
            "",
            self.noise * 100.0
        ));
        for Row { figure, old, new, change } in &self.rows {
            let part = ratio(new - old, old.abs()) * 100.0;
            let word = match change {
                Change::Same => "",
                Change::Better => "better",
                Change::Worse => "WORSE",
            };
            text.push_str(&format!("{figure:30} {old:>12.3} {new:>12.3} {part:>+7.1}%  {word}\n"));
        }
        for (figure, who) in &self.lacking {
            text.push_str(&format!("{figure:30} NOT COMPARABLE: the {who} run has none\n"));
        }
        for what in &self.broken {
            text.push_str(&format!("{what:30} BROKEN in the new run\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Made, tests::outcome};

    fn of_a_server_with(flags: Option<&[&str]>) -> Outcome {
        let flags = flags.map(|flags| flags.iter().map(|flag| (*flag).to_owned()).collect());
        let made = Made { server_flags: flags, ..Made::default() };
        Outcome { made: Some(made), ..outcome() }
    }

    #[test]
    fn servers_with_other_flags_are_not_compared_in_silence() {
        let durable = of_a_server_with(Some(&["--listen=127.0.0.1:0"]));
        let volatile = of_a_server_with(Some(&["--listen=127.0.0.1:0", "--store=memory"]));
        assert!(!compare(&durable, &durable, NOISE).unwrap().words().contains("flags"));
        let words = compare(&durable, &volatile, NOISE).unwrap().words();
        assert!(
            words.contains("only the old one with nothing, only the new one with --store=memory"),
            "{words}"
        );
        let there = of_a_server_with(None);
        for (old, new, who) in [
            (&outcome(), &durable, "the old run does not say"),
            (&durable, &there, "the new run does not say"),
            (&there, &outcome(), "neither run says"),
        ] {
            let words = compare(old, new, NOISE).unwrap().words();
            assert!(words.contains(who), "{words}");
        }
    }

    #[test]
    fn only_what_is_beyond_the_noise_is_a_change() {
        assert_eq!(change("ack_p99_ms", 10.0, 11.0, 0.15), Change::Same);
        assert_eq!(change("ack_p99_ms", 10.0, 12.0, 0.15), Change::Worse);
        assert_eq!(change("ack_p99_ms", 10.0, 8.0, 0.15), Change::Better);
        // A tenth of a millisecond is half of nothing.
        assert_eq!(change("ack_p50_ms", 0.2, 0.3, 0.15), Change::Same);
        assert_eq!(change("messages_per_second", 100.0, 80.0, 0.15), Change::Worse);
        assert_eq!(change("messages_per_second", 100.0, 120.0, 0.15), Change::Better);
        assert_eq!(change("server_resident_growth_mb", 1.0, 5.0, 0.15), Change::Same);
    }
}

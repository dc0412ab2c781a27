//! Two results side by side. A difference counts only beyond the noise of a shared machine: a part of the value, and for
//! times at least some tenths of a millisecond.

use crate::number::ratio;
use crate::outcome::Outcome;
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
    /// Why the two cannot be set beside each other honestly.
    warnings: Vec<String>,
}

/// Sets the second beside the first.
pub(crate) fn compare(old: &Outcome, new: &Outcome, noise: f64) -> Comparison {
    let mut warnings = Vec::new();
    if old.scenario != new.scenario {
        warnings.push(String::from("the scenarios are not the same"));
    }
    if old.machine != new.machine {
        warnings.push(String::from("the machines are not the same"));
    }
    for (which, outcome) in [("old", old), ("new", new)] {
        if outcome.verdict == Verdict::Void {
            warnings.push(format!("the {which} run is void"));
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
    Comparison {
        rows: rows.collect(),
        lacking: lacking.collect(),
        void: [old, new].iter().any(|outcome| outcome.verdict == Verdict::Void),
        noise,
        warnings,
    }
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
    /// Broken: something is worse beyond the noise, or cannot be compared, which is no proof that it is not.
    pub(crate) fn verdict(&self) -> Verdict {
        if self.void {
            Verdict::Void
        } else if self.lacking.is_empty() && self.rows.iter().all(|row| row.change != Change::Worse)
        {
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
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

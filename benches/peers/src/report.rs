//! What the runs found: tables for people, JSON for programs. A picture of the same is in `plot`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::row::{Bound, Required, Row};
use crate::work::Figures;

/// The rounds of one row: what each server gave in each.
#[derive(Debug, Default)]
pub struct Rounds {
    /// By server, in the order of the rounds.
    pub figures: BTreeMap<&'static str, Vec<Option<Figures>>>,
}

/// A requirement and what was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub what: String,
    pub spread: Spread,
    pub most: f64,
    /// By the median, and with no round in which it failed: what loses a message is not fast. `None`: of too few rounds.
    pub met: Option<bool>,
}

/// Fewer rounds than these say nothing of a requirement.
pub const ROUNDS_MIN: usize = 5;

/// The middle of some values and their ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of values that need not be in order; `None` of no values.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let middle = *values.get(half)?;
        let median = match half.checked_sub(1).and_then(|below| values.get(below)) {
            Some(below) if values.len().is_multiple_of(2) => f64::midpoint(*below, middle),
            _ => middle,
        };
        Some(Self { median, min, max })
    }

    /// As tables write it.
    pub fn text(self) -> String {
        let Self { median, min, max } = self;
        format!("{} [{}..{}]", number(median), number(min), number(max))
    }
}

/// As tables write it.
pub fn number(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// How a verdict is said.
pub fn word(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "too few rounds",
    }
}

impl Rounds {
    /// All that a server gave for a figure.
    pub fn values(&self, peer: Peer, figure: &str) -> Vec<f64> {
        let rounds = self.figures.get(peer.name()).map(Vec::as_slice).unwrap_or_default();
        rounds.iter().flatten().filter_map(|round| round.get(figure).copied()).collect()
    }

    /// In how many rounds it did not do its work.
    fn failed(&self, peer: Peer) -> usize {
        let rounds = self.figures.get(peer.name()).map(Vec::as_slice).unwrap_or_default();
        rounds.iter().filter(|round| round.is_none()).count()
    }

    /// A server's figure over another, round by round.
    fn ratios(&self, (who, figure): (Peer, &str), (peer, other): (Peer, &str)) -> Vec<f64> {
        let rounds = |peer: Peer| self.figures.get(peer.name()).map(Vec::as_slice);
        let (ours, theirs) = (rounds(who).unwrap_or_default(), rounds(peer).unwrap_or_default());
        let of = |round: &Option<Figures>, figure| round.as_ref()?.get(figure).copied();
        ours.iter().zip(theirs).filter_map(|(a, b)| Some(of(a, figure)? / of(b, other)?)).collect()
    }

    /// The row for programs.
    pub fn json(&self, row: &Row) -> Value {
        let spread = |spread: Spread| json!({ "median": spread.median, "min": spread.min, "max": spread.max });
        let mut servers = serde_json::Map::new();
        for peer in self.measured(row) {
            let mut figures = serde_json::Map::new();
            for name in self.names() {
                let values = self.values(peer, name);
                if let Some(found) = Spread::of(values.clone()) {
                    let mut figure = spread(found);
                    figure["rounds"] = json!(values);
                    if let Some(times) = self.times(row, peer, name) {
                        figure["livehelp_to_this"] = spread(times);
                    }
                    figures.insert(name.to_owned(), figure);
                }
            }
            let failed = self.failed(peer);
            if failed > 0 {
                figures.insert(String::from("failed_rounds"), json!(failed));
            }
            servers.insert(peer.name().to_owned(), Value::Object(figures));
        }
        let verdicts: Vec<Value> = self
            .verdicts(row)
            .map(|verdict| {
                json!({
                    "what": verdict.what,
                    "is": spread(verdict.spread),
                    "at_most": verdict.most,
                    "met": verdict.met,
                })
            })
            .collect();
        json!({ "row": row.name, "title": row.title, "servers": servers, "required": verdicts })
    }

    /// Every requirement of the row that was measured.
    pub fn verdicts(&self, row: &Row) -> impl Iterator<Item = Verdict> {
        row.required.iter().filter_map(|required| self.verdict(required))
    }

    /// Who took part.
    pub fn measured(&self, row: &Row) -> impl Iterator<Item = Peer> {
        row.peers().filter(|peer| self.figures.contains_key(peer.name()))
    }

    fn names(&self) -> Vec<&'static str> {
        let rounds = self.figures.values().flatten().flatten();
        let names: BTreeSet<&str> = rounds.flat_map(|round| round.keys().copied()).collect();
        names.into_iter().collect()
    }

    /// Whether a requirement is met, and by what; `None` where it was not measured.
    pub fn verdict(&self, required: &Required) -> Option<Verdict> {
        let Required { who, figure, bound } = *required;
        let (what, values, most) = match bound {
            Bound::Times(most, peer) => {
                let what = format!("{figure}, {} to {}", who.name(), peer.name());
                (what, self.ratios((who, figure), (peer, figure)), most)
            }
            Bound::TimesOwn(most, other) => {
                let what = format!("{figure} to {other}");
                (what, self.ratios((who, figure), (who, other)), most)
            }
            Bound::Absolute(most) => (figure.to_owned(), self.values(who, figure), most),
        };
        let rounds = values.len();
        let spread = Spread::of(values)?;
        let met = match self.failed(who) {
            0 => (rounds >= ROUNDS_MIN).then_some(spread.median <= most),
            _ => Some(false),
        };
        Some(Verdict { what, spread, most, met })
    }

    /// How many times another's figure livehelp's is, where they are held against each other.
    fn times(&self, row: &Row, peer: Peer, figure: &str) -> Option<Spread> {
        let held = row.compared().contains(&figure) && peer != Peer::Livehelp;
        held.then(|| Spread::of(self.ratios((Peer::Livehelp, figure), (peer, figure))))?
    }

    /// The row as a table.
    pub fn table(&self, row: &Row) -> String {
        let mut text = format!("\n## {}: {}\n\n", row.name, row.title);
        let (names, compared) = (self.names(), row.compared());
        let mut heads: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        heads.extend(compared.iter().map(|name| format!("{name}, livehelp to this")));
        let _infallible = writeln!(text, "| server | {} |", heads.join(" | "));
        let _infallible = writeln!(text, "|---|{}", "---|".repeat(heads.len()));
        for peer in self.measured(row) {
            let figures = names.iter().map(|name| Spread::of(self.values(peer, name)));
            let times = compared.iter().map(|name| self.times(row, peer, name));
            let cell = |found: Option<Spread>| found.map_or(String::from("-"), Spread::text);
            let cells: Vec<String> = figures.chain(times).map(cell).collect();
            let failed = match self.failed(peer) {
                0 => String::new(),
                failed => format!(" ({failed} rounds FAILED)"),
            };
            let _infallible = writeln!(text, "| {}{failed} | {} |", peer.name(), cells.join(" | "));
        }
        if self.verdicts(row).next().is_some() {
            text.push_str("\n| required | is | at most | |\n|---|---|---|---|\n");
        }
        for Verdict { what, spread, most, met } in self.verdicts(row) {
            let (is, most, met) = (spread.text(), number(most), word(met));
            let _infallible = writeln!(text, "| {what} | {is} | {most} | {met} |");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::ROWS;
    use crate::work::CPU_MESSAGE;

    /// A closed loop's row of so many microseconds a message; `None`: the round failed.
    fn closed<const ROUNDS: usize>(rounds: [(Peer, [Option<f64>; ROUNDS]); 2]) -> Rounds {
        let figures = rounds.map(|(peer, rounds)| {
            let figures = |us: f64| Figures::from([(CPU_MESSAGE, us)]);
            (peer.name(), rounds.map(|round| round.map(figures)).to_vec())
        });
        Rounds { figures: BTreeMap::from(figures) }
    }

    fn required() -> Required {
        let bound = Bound::Times(1.5, Peer::FloorStore);
        Required { who: Peer::Livehelp, figure: CPU_MESSAGE, bound }
    }

    #[test]
    fn a_ratio_is_taken_within_each_round_and_its_median_judged() {
        // Both grew threefold in the second round: no matter.
        let ours = [Some(14.0), Some(42.0), Some(20.0), Some(14.0), Some(14.0)];
        let floor = [Some(10.0), Some(30.0), Some(10.0), Some(10.0), Some(10.0)];
        let rounds = closed([(Peer::Livehelp, ours), (Peer::FloorStore, floor)]);
        let verdict = rounds.verdict(&required()).unwrap();
        assert_eq!((verdict.spread.median, verdict.spread.max), (1.4, 2.0));
        assert_eq!(verdict.met, Some(true));
        let slower = closed([(Peer::Livehelp, [Some(16.0); 5]), (Peer::FloorStore, floor)]);
        assert_eq!(slower.verdict(&required()).unwrap().met, Some(false));
    }

    #[test]
    fn rounds_that_are_too_few_judge_nothing() {
        let rounds = |floor| closed([(Peer::Livehelp, [Some(10.0); 5]), (Peer::FloorStore, floor)]);
        let met = |floor| rounds(floor).verdict(&required()).unwrap().met;
        assert_eq!(met([Some(10.0); 5]), Some(true));
        // The peer failed once: that is not livehelp's fault, and leaves four.
        assert_eq!(met([None, Some(10.0), Some(10.0), Some(10.0), Some(10.0)]), None);
    }

    #[test]
    fn what_failed_in_a_round_has_met_nothing_and_is_named() {
        let rounds = closed([
            (Peer::Livehelp, [Some(10.0), None, Some(10.0)]),
            (Peer::FloorStore, [Some(10.0), Some(10.0), Some(10.0)]),
        ]);
        let verdict = rounds.verdict(&required()).unwrap();
        assert_eq!((verdict.spread.median, verdict.met), (1.0, Some(false)));
        let row = &ROWS[0];
        assert!(rounds.table(row).contains("| livehelp (1 rounds FAILED) |"));
        assert_eq!(rounds.json(row)["servers"]["livehelp"]["failed_rounds"], 1);
    }

    #[test]
    fn each_other_server_stands_with_how_many_times_its_figure_ours_is() {
        let rounds = closed([
            (Peer::Livehelp, [Some(20.0), Some(20.0), Some(20.0)]),
            (Peer::Bun, [Some(10.0), Some(20.0), Some(40.0)]),
        ]);
        let row = &ROWS[0];
        let bun = &rounds.json(row)["servers"][Peer::Bun.name()][CPU_MESSAGE];
        assert_eq!(bun["livehelp_to_this"]["median"], 1.0);
        assert!(rounds.table(row).contains("| 1.00 [0.50..2.00] |"));
    }

    #[test]
    fn what_was_not_measured_has_no_verdict() {
        assert_eq!(Rounds::default().verdict(&required()), None);
    }

    #[test]
    fn a_median_lies_in_the_middle() {
        let odd = Spread::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!(odd, Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of(Vec::new()), None);
    }
}

//! What the runs found, as tables for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::peer::Peer;
use crate::row::{Bound, Required, Row};
use crate::work::Figures;

/// The rounds of one row: what each server gave in each.
#[derive(Debug, Default)]
pub struct Rounds {
    /// By server, in the order of the rounds.
    pub figures: BTreeMap<&'static str, Vec<Option<Figures>>>,
}

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

    fn text(self) -> String {
        let Self { median, min, max } = self;
        format!("{} [{}..{}]", number(median), number(min), number(max))
    }
}

fn number(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

impl Rounds {
    /// All that a server gave for a figure.
    pub fn values(&self, peer: Peer, figure: &str) -> Vec<f64> {
        let rounds = self.figures.get(peer.name()).map(Vec::as_slice).unwrap_or_default();
        rounds.iter().flatten().filter_map(|round| round.get(figure).copied()).collect()
    }

    /// A server's figure over another's, round by round.
    pub fn ratios(&self, who: Peer, peer: Peer, figure: &str) -> Vec<f64> {
        let rounds = |peer: Peer| self.figures.get(peer.name()).map(Vec::as_slice);
        let (ours, theirs) = (rounds(who).unwrap_or_default(), rounds(peer).unwrap_or_default());
        let figure = |round: &Option<Figures>| round.as_ref()?.get(figure).copied();
        ours.iter().zip(theirs).filter_map(|(a, b)| Some(figure(a)? / figure(b)?)).collect()
    }

    /// Whether a requirement is met, and by what figure; `None` where it was not measured.
    pub fn verdict(&self, required: &Required) -> Option<(Spread, f64, bool)> {
        let (spread, most) = match required.bound {
            Bound::Times(most, peer) => {
                (Spread::of(self.ratios(required.who, peer, required.figure))?, most)
            }
            Bound::Absolute(most) => {
                (Spread::of(self.values(required.who, required.figure))?, most)
            }
        };
        Some((spread, most, spread.median <= most))
    }

    /// The row as a table.
    pub fn table(&self, row: &Row) -> String {
        let mut text = format!("\n## {}: {}\n\n", row.name, row.title);
        let mut names: Vec<&str> = Vec::new();
        for round in self.figures.values().flatten().flatten() {
            for name in round.keys().filter(|name| !names.contains(name)).collect::<Vec<_>>() {
                names.push(name);
            }
        }
        names.sort_unstable();
        let _infallible = writeln!(text, "| server | {} |", names.join(" | "));
        let _infallible = writeln!(text, "|---|{}", "---|".repeat(names.len()));
        for peer in row.peers.iter().filter(|peer| self.figures.contains_key(peer.name())) {
            let cell = |name: &&str| {
                Spread::of(self.values(*peer, name)).map_or(String::from("-"), Spread::text)
            };
            let cells: Vec<String> = names.iter().map(cell).collect();
            let _infallible = writeln!(text, "| {} | {} |", peer.name(), cells.join(" | "));
        }
        text.push_str("\n| required | is | must be | |\n|---|---|---|---|\n");
        for required in row.required {
            let Some((spread, most, met)) = self.verdict(required) else { continue };
            let what = match required.bound {
                Bound::Times(_, peer) => {
                    format!("{} of {} to {}", required.figure, required.who.name(), peer.name())
                }
                Bound::Absolute(_) => format!("{} of {}", required.figure, required.who.name()),
            };
            let verdict = if met { "met" } else { "MISSED" };
            let _infallible =
                writeln!(text, "| {what} | {} | {} | {verdict} |", spread.text(), number(most));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        let odd = Spread::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!(odd, Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of(Vec::new()), None);
    }
}

//! The highest load that keeps an aim: doubled until it breaks, then halved in between until the bounds are near.

use crate::scenario;
use crate::verdict::Figures;

/// The part of what was due that must have been acked in the time: else it only piled up.
const PACE: f64 = 0.97;

/// Where the search is.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    from: f64,
    to: f64,
    precision: f64,
    kept: Option<f64>,
    broken: Option<f64>,
}

impl Search {
    pub(crate) fn new(wanted: &scenario::Search) -> Self {
        Self {
            from: wanted.from,
            to: wanted.to,
            precision: wanted.precision,
            kept: None,
            broken: None,
        }
    }

    /// The next rate to try; none when the bounds are near enough.
    pub(crate) fn next(&self) -> Option<f64> {
        match (self.kept, self.broken) {
            (None, None) => Some(self.from),
            (Some(kept), None) if kept >= self.to => None,
            (Some(kept), None) => Some((kept * 2.0).min(self.to)),
            (None, Some(broken)) if broken < 2.0 => None,
            (None, Some(broken)) => Some(broken / 2.0),
            (Some(kept), Some(broken)) if (broken - kept) / broken <= self.precision => None,
            (Some(kept), Some(broken)) => Some((kept + broken) / 2.0),
        }
    }

    pub(crate) fn tried(&mut self, rate: f64, kept: bool) {
        if kept {
            self.kept = Some(rate);
        } else {
            self.broken = Some(rate);
        }
    }

    /// The highest that kept the aim; 0: none did.
    pub(crate) fn highest(&self) -> f64 {
        self.kept.unwrap_or(0.0)
    }
}

/// Whether a try kept the aim: every figure below its bound, nothing unsent or refused, and no backlog.
pub(crate) fn keeps(figures: &Figures, wanted: &scenario::Search) -> bool {
    let value = |name: &str| figures.get(name).copied();
    let nothing =
        ["unsent", "refused"].iter().all(|name| value(name).is_none_or(|value| value == 0.0));
    let sent = value("sent").unwrap_or(0.0);
    let acked = value("acked").unwrap_or(0.0);
    let within =
        wanted.aim.iter().all(|(name, most)| value(name).is_some_and(|value| value <= *most));
    nothing && within && sent > 0.0 && acked >= sent * PACE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(limit: f64) -> (f64, usize) {
        let wanted = scenario::Search {
            from: 100.0,
            to: 50_000.0,
            precision: 0.05,
            ..scenario::Search::default()
        };
        let mut search = Search::new(&wanted);
        let mut tries = 0;
        while let Some(rate) = search.next() {
            tries += 1;
            search.tried(rate, rate <= limit);
        }
        (search.highest(), tries)
    }

    #[test]
    fn the_highest_load_is_found_from_below_and_from_above() {
        let (highest, tries) = found(7_300.0);
        assert!((6_900.0..=7_300.0).contains(&highest), "{highest}");
        assert!(tries < 16, "{tries}");
        let (highest, _) = found(30.0);
        assert!((28.0..=30.0).contains(&highest), "{highest}");
        assert_eq!(found(1e9).0, 50_000.0);
        assert_eq!(found(0.0).0, 0.0);
    }
}

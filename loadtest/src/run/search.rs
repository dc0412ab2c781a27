//! The highest load that keeps an aim: doubled until it breaks, then halved in between until the
//! bounds are near.

use serde::{Deserialize, Serialize};

use crate::judge::figure::{Count, Figure, Figures};
use crate::judge::verdict;
use crate::run::scenario;

/// What may be on its way when a try ends, as a part of what was sent: more only piled up.
const BACKLOG: f64 = 0.03;
/// And what was sent in the last so many seconds, which in a short try is more.
const ON_ITS_WAY_S: f64 = 0.1;

/// Where the search is.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    from: f64,
    to: f64,
    precision: f64,
    kept: Option<f64>,
    broken: Option<f64>,
    /// Whether the lowest rate that did not keep the aim says nothing about the server.
    void: bool,
}

/// What became of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    Kept,
    Broken,
    /// The generator was late.
    Void,
}

/// What kept a search from a higher rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BoundedBy {
    /// The aim was broken there.
    Server,
    /// The generator could not send so much: the server may well take more.
    Generator,
    /// The scenario's `search.to`.
    Range,
}

impl BoundedBy {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Server => "a higher rate broke the aim",
            Self::Generator => {
                "the generator was at its end at a higher rate: the server may well take more"
            }
            Self::Range => "nothing higher was to be tried",
        }
    }
}

impl Search {
    pub(crate) fn new(wanted: &scenario::Search) -> Self {
        Self {
            from: wanted.from,
            to: wanted.to,
            precision: wanted.precision,
            kept: None,
            broken: None,
            void: false,
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

    pub(crate) fn tried(&mut self, rate: f64, tried: Tried) {
        match tried {
            Tried::Kept => self.kept = Some(rate),
            Tried::Broken | Tried::Void => {
                self.broken = Some(rate);
                self.void = tried == Tried::Void;
            }
        }
    }

    pub(crate) fn bounded_by(&self) -> BoundedBy {
        match self.broken {
            None => BoundedBy::Range,
            Some(_) if self.void => BoundedBy::Generator,
            Some(_) => BoundedBy::Server,
        }
    }

    /// The highest that kept the aim; 0: none did.
    pub(crate) fn highest(&self) -> f64 {
        self.kept.unwrap_or(0.0)
    }
}

/// What became of a try with these figures.
pub(crate) fn judge(figures: &Figures, wanted: &scenario::Search) -> Tried {
    if verdict::is_late(figures) {
        return Tried::Void;
    }
    if !is_sound(figures, wanted) {
        return Tried::Broken;
    }
    let keeps = |figure, most: f64| figures.get(figure).is_some_and(|value| value <= most);
    let mut broken = wanted.aims().filter(|(figure, most)| !keeps(*figure, *most)).peekable();
    if broken.peek().is_none() {
        Tried::Kept
    } else if broken.all(|(figure, most)| verdict::is_blurred(figures, figure, most)) {
        Tried::Void
    } else {
        Tried::Broken
    }
}

/// Whether the server kept up with a try: nothing broke, and there was no backlog when its time was
/// over.
fn is_sound(figures: &Figures, wanted: &scenario::Search) -> bool {
    let value = |count| figures.get(Figure::Counted(count));
    let nothing = Count::BREAKS.iter().all(|count| value(*count).is_none_or(|value| value == 0.0));
    let sent = value(Count::Sent).unwrap_or(0.0);
    // Not `acked`: what came in while all was drained is in that, so that no backlog would ever
    // show.
    let backlog = sent - value(Count::AckedInTime).unwrap_or(0.0);
    let part = BACKLOG.max(ON_ITS_WAY_S / wanted.seconds);
    nothing && sent > 0.0 && backlog <= (sent * part).ceil()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search() -> Search {
        let wanted = scenario::Search {
            from: 100.0,
            to: 50_000.0,
            precision: 0.05,
            ..scenario::Search::default()
        };
        Search::new(&wanted)
    }

    fn found(limit: f64) -> (f64, usize) {
        let mut search = search();
        let mut tries = 0;
        while let Some(rate) = search.next() {
            tries += 1;
            search.tried(rate, if rate <= limit { Tried::Kept } else { Tried::Broken });
        }
        (search.highest(), tries)
    }

    #[test]
    fn a_bound_that_the_generator_set_is_told_apart_from_the_servers() {
        let bounded = |server: f64, generator: f64| {
            let mut search = search();
            while let Some(rate) = search.next() {
                let tried = match rate {
                    rate if rate > generator => Tried::Void,
                    rate if rate > server => Tried::Broken,
                    _ => Tried::Kept,
                };
                search.tried(rate, tried);
            }
            search.bounded_by()
        };
        assert_eq!(bounded(7_000.0, 9e9), BoundedBy::Server);
        assert_eq!(bounded(9e9, 7_000.0), BoundedBy::Generator);
        // The generator gave out first, and further down the server did.
        assert_eq!(bounded(7_000.0, 10_000.0), BoundedBy::Server);
        assert_eq!(bounded(9e9, 9e9), BoundedBy::Range);
        assert_eq!(bounded(9e9, 0.0), BoundedBy::Generator);
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

    #[test]
    fn a_rate_whose_acks_come_only_after_its_time_is_not_kept() {
        let wanted = scenario::Search::default();
        let tried = |acked_in_time: f64, more: &[(&str, f64)]| {
            let figures = [
                ("sent", 5_000.0),
                ("acked", 5_000.0),
                ("acked_in_time", acked_in_time),
                ("delivery_p99_ms", 20.0),
            ];
            judge(&Figures::named(&[&figures, more].concat()), &wanted)
        };
        let kept = |acked_in_time, more: &[(&str, f64)]| tried(acked_in_time, more) == Tried::Kept;
        assert!(kept(5_000.0, &[]) && kept(4_850.0, &[]));
        assert!(!kept(4_849.0, &[]) && !kept(0.0, &[]));
        let slow = ("delivery_p99_ms", 60.0);
        assert_eq!(tried(5_000.0, &[slow]), Tried::Broken);
        assert_eq!(tried(5_000.0, &[slow, ("loop_lag_p99_ms", 15.0)]), Tried::Void);
        for count in Count::BREAKS {
            assert!(!kept(5_000.0, &[(count.word(), 1.0)]), "{}", count.word());
        }
    }
}

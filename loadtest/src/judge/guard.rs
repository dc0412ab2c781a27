//! Whether a threshold is broken beyond repair while the run still goes on.
//!
//! What is counted from the first who comes only grows, so that its most is broken for good once it
//! is passed. Times and rates are those of all measured seconds so far, and are looked at once
//! there are a few of them. What the ledger finds by comparing all tallies, such as what is lost,
//! is known at the end alone.

use std::collections::BTreeMap;

use crate::judge::figure::{Count, Figure, Figures, Finding, Measure};
use crate::judge::histogram::Tally;
use crate::judge::verdict::{self, ALWAYS_ZERO};
use crate::number::float;
use crate::report::{bounds, number};
use crate::run::scenario::{Bound, Limits, Phase, Scenario};

/// Measured seconds before times and rates are held against their bounds: the first messages of a
/// run are slow.
const SECONDS_MIN: f64 = 5.0;

/// What a recipient sees to be wrong the moment it comes.
const SEEN_AT_ONCE: [Finding; 4] =
    [Finding::Duplicate, Finding::Reordered, Finding::Corrupt, Finding::Misdelivered];

#[derive(Debug)]
pub(crate) struct Guard {
    bounds: BTreeMap<Figure, Limits>,
    /// Measured phases: from when to when.
    spans: Vec<(f64, f64)>,
    /// Since the first came.
    whole: Tally,
    measured: Tally,
    seconds: f64,
}

impl Guard {
    /// `all`: every threshold ends the run, and not only those that say so.
    pub(crate) fn new(scenario: &Scenario, all: bool) -> Self {
        let mut bounds: BTreeMap<Figure, Limits> = BTreeMap::new();
        if all {
            bounds.extend(ALWAYS_ZERO.map(|figure| (figure, Bound::Most(0.0).limits())));
        }
        for (figure, limits) in scenario.bounds() {
            // What the scenario allows is not 0 any more, whether it ends the run or not.
            bounds.remove(&figure);
            if all || limits.abort {
                bounds.insert(figure, limits);
            }
        }
        bounds.retain(|figure, limits| Self::sees(*figure, *limits));
        let spans = spans(&scenario.phases);
        let (whole, measured) = (Tally::default(), Tally::default());
        Self { bounds, spans, whole, measured, seconds: 0.0 }
    }

    /// Whether this bound can be seen to be broken before the end.
    pub(crate) fn sees(figure: Figure, limits: Limits) -> bool {
        match figure {
            Figure::Counted(_) => limits.max.is_some(),
            Figure::Found(finding) => SEEN_AT_ONCE.contains(&finding) && limits.max.is_some(),
            Figure::Timed(..) => true,
            Figure::Measured(measure) => {
                matches!(measure, Measure::MessagesPerSecond | Measure::DeliveriesPerSecond)
            }
        }
    }

    /// Takes a second, and says which bound is broken. `second` is its end, from the beginning of
    /// the first phase; none where no phase runs.
    pub(crate) fn second(&mut self, second: Option<f64>, tally: &Tally) -> Option<String> {
        self.whole.add(tally);
        // A look is late by some milliseconds.
        let inside = |at: f64| self.spans.iter().any(|(from, to)| (*from..*to).contains(&at));
        if second.is_some_and(|second| inside(second - 0.9) && inside(second - 0.1)) {
            self.measured.add(tally);
            self.seconds += 1.0;
        }
        let figures = self.figures();
        // A generator that is late makes times that say nothing.
        let late = verdict::is_late(&figures);
        self.bounds.iter().find_map(|(figure, limits)| {
            let value = figures.get(*figure)?;
            let grows = only_grows(*figure);
            let over = limits.max.is_some_and(|max| {
                value > max && (grows || !verdict::is_blurred(&figures, *figure, max))
            });
            let under = limits.min.is_some_and(|min| value < min && !grows);
            if !(over || under) || late && !grows {
                return None;
            }
            let wanted = bounds(limits.min, limits.max);
            Some(format!("{figure} is {}, wanted {wanted}", number(value)))
        })
    }

    fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        if self.seconds >= SECONDS_MIN {
            figures = verdict::figures(&self.measured, self.seconds);
        }
        for count in Count::ALL {
            let whole = Count::WHOLE.contains(count);
            let of = if whole { &self.whole } else { &self.measured };
            figures.set(Figure::Counted(*count), float(of.of(*count)));
        }
        let seen = |finding| float(self.whole.wrong.of(finding));
        figures.extend(SEEN_AT_ONCE.map(|finding| (Figure::Found(finding), seen(finding))));
        figures
    }
}

/// What comes before the end only grows of what is counted.
fn only_grows(figure: Figure) -> bool {
    matches!(figure, Figure::Counted(_) | Figure::Found(_))
}

/// Measured stretches, those on end as one.
pub(crate) fn spans(phases: &[Phase]) -> Vec<(f64, f64)> {
    let (mut spans, mut begin) = (Vec::<(f64, f64)>::new(), 0.0);
    for phase in phases {
        let end = begin + phase.seconds;
        if phase.measured() {
            match spans.last_mut() {
                Some((_, last)) if *last == begin => *last = end,
                _ => spans.push((begin, end)),
            }
        }
        begin = end;
    }
    spans
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::judge::figure::Timing;
    use crate::judge::ledger::Findings;
    use crate::run::scenario::{Changes, PhaseKind};

    fn guard(more: &str, all: bool) -> Guard {
        let text = format!(
            "name = \"x\"\nloop = \"open\"\n[mix]\nrooms = 1\n[[phase]]\nkind = \"ramp\"\nseconds = 10\n\
             rate = 9\n[[phase]]\nseconds = 60\nrate = 9\n[thresholds]\n{more}\n"
        );
        Guard::new(&Scenario::parse(&text).unwrap(), all)
    }

    /// A second in which each message took so long.
    fn took(ms: u64, acks: u64) -> Tally {
        let mut tally = Tally::default();
        tally.count(Count::Acked, acks);
        tally.record(Timing::Ack, Duration::from_millis(ms));
        tally
    }

    /// At which second it is broken, of sixty alike.
    fn ends(guard: &mut Guard, tally: &Tally) -> Option<(u32, String)> {
        (1..=60).find_map(|at| Some((at, guard.second(Some(f64::from(at) + 0.02), tally)?)))
    }

    #[test]
    fn a_count_ends_a_run_at_once_and_wherever_it_comes() {
        let mut refused = Tally::default();
        refused.count(Count::Refused, 2);
        let told = ends(&mut guard("", true), &refused).unwrap();
        assert_eq!(told, (1, String::from("refused is 2, wanted at most 0")));
        let told = ends(&mut guard("refused = { max = 5, abort = true }", false), &refused);
        assert_eq!(told.unwrap().0, 3);
        assert_eq!(ends(&mut guard("refused = 5", false), &refused), None);
        // Allowed: it is 0 by no other rule.
        assert_eq!(ends(&mut guard("refused = 500", true), &refused), None);
        let wrong = Findings { duplicate: 1, ..Findings::default() };
        let doubled = Tally { wrong, ..Tally::default() };
        assert_eq!(ends(&mut guard("", true), &doubled).unwrap().0, 1);
    }

    #[test]
    fn times_and_rates_end_it_once_there_are_some_measured_seconds() {
        let bound = "ack_p99_ms = { max = 50, abort = true }";
        let mut coming = guard(bound, false);
        assert!((0..60).all(|_| coming.second(None, &took(80, 10)).is_none()));
        let (at, words) = ends(&mut guard(bound, false), &took(80, 10)).unwrap();
        assert!(at == 15 && words.starts_with("ack_p99_ms is 80"), "{at} {words}");
        assert_eq!(ends(&mut guard(bound, false), &took(40, 10)), None);
        let least = "messages_per_second = { min = 20, abort = true }";
        assert_eq!(ends(&mut guard(least, false), &took(1, 10)).unwrap().0, 15);
        assert_eq!(ends(&mut guard(least, false), &took(1, 30)), None);
        // That so few were sent until now says nothing of the end.
        assert_eq!(ends(&mut guard("acked = { min = 9000 }", true), &took(1, 10)), None);
    }

    #[test]
    fn a_late_generator_ends_no_run_for_its_times() {
        let bound = "ack_p99_ms = { max = 50, abort = true }";
        for lag in [Timing::SendLag, Timing::LoopLag] {
            let mut late = took(60, 10);
            late.record(lag, Duration::from_millis(40));
            assert_eq!(ends(&mut guard(bound, false), &late), None, "{lag:?}");
        }
    }

    #[test]
    fn what_is_known_at_the_end_alone_cannot_end_it() {
        let most = Limits { max: Some(1.0), ..Limits::default() };
        let sees = |name: &str, limits| Guard::sees(name.parse().unwrap(), limits);
        for name in ["lost", "unacked", "highest_rate", "server_resident_mb", "connections"] {
            assert!(!sees(name, most), "{name}");
        }
        assert!(!sees("visits_done", Limits { min: Some(1.0), ..Limits::default() }));
        assert!(sees("abandoned", most) && sees("resume_p99_ms", most));
        let changes = Changes::default();
        assert!(Guard::new(&Scenario::find("busy-day", &changes).unwrap(), true).bounds.len() > 10);
    }

    #[test]
    fn phases_that_are_measured_on_end_are_one_stretch() {
        let phase = |kind, seconds| Phase { kind, seconds, ..Phase::default() };
        let phases = [
            phase(PhaseKind::Hold, 1.0),
            phase(PhaseKind::Spike, 2.0),
            phase(PhaseKind::Ramp, 3.0),
            phase(PhaseKind::Soak, 4.0),
        ];
        assert_eq!(spans(&phases), [(0.0, 3.0), (6.0, 10.0)]);
    }
}

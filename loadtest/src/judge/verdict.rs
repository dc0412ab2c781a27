//! The bounds that a scenario sets the figures of a run, and what follows: the exit code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::judge::figure::{Count, Figure, Figures, Finding, Measure, Stat, Timing};
use crate::judge::histogram::Tally;
use crate::judge::ledger::Findings;
use crate::number::{float, ratio};
use crate::run::scenario::{Bound, Limits, Loop};
use crate::run::search::BoundedBy;

/// The generator may send so late at the 99th percentile; beyond it the run says nothing about the
/// server.
pub(crate) const LAG_MS_MAX: f64 = 10.0;

/// Timers are late by up to 2 ms at the 99th percentile where nothing else runs: a tick, and the
/// way to the thread.
const TIMERS_MS: f64 = 3.0;

/// How late the generator comes to what is there to be read: as late as to its timers.
pub(crate) const LOOP_LAG: Figure = Figure::Timed(Timing::LoopLag, Stat::P99);
/// How late it sends what is due.
const SEND_LAG: Figure = Figure::Timed(Timing::SendLag, Stat::P99);

/// What a run comes to, as its result keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Every bound held.
    Kept,
    /// A bound was broken.
    Broken,
    /// There was no run.
    CouldNotRun,
    /// The generator was the bottleneck, or the run was interrupted: void.
    Void,
}

impl Verdict {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Kept => "every threshold kept",
            Self::Broken => "a threshold is broken",
            Self::CouldNotRun => "could not run",
            Self::Void => {
                "VOID: the generator itself was late, so this says nothing about the server"
            }
        }
    }
}

/// What the program says to whoever started it. A script reads the number; a number never gets
/// another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Kept,
    Broken,
    CouldNotRun,
    Void,
    ServerGone,
    Worse,
    Interrupted,
}

impl Exit {
    pub(crate) const ALL: [Self; 7] = [
        Self::Kept,
        Self::Broken,
        Self::CouldNotRun,
        Self::Void,
        Self::ServerGone,
        Self::Worse,
        Self::Interrupted,
    ];

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Kept => 0,
            Self::Broken => 1,
            Self::CouldNotRun => 2,
            Self::Void => 3,
            Self::ServerGone => 4,
            Self::Worse => 5,
            Self::Interrupted => 6,
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Kept => "every threshold kept, and nothing worse",
            Self::Broken => "a threshold is broken, or something else that the report names",
            Self::CouldNotRun => "could not run: there is no result",
            Self::Void => "void: the generator was at its end, so nothing is said of the server",
            Self::ServerGone => "the server was gone before the run was over",
            Self::Worse => "worse than before, or with a figure that only one side has",
            Self::Interrupted => "interrupted: what was measured until then is kept, not judged",
        }
    }

    /// Of several runs the one that matters most: what is known to be wrong before what is not
    /// known.
    pub(crate) fn gravest(exits: impl IntoIterator<Item = Self>) -> Self {
        let weight = |exit: &Self| match exit {
            Self::Kept => 0,
            Self::Worse => 1,
            Self::Void => 2,
            Self::Interrupted => 3,
            Self::Broken => 4,
            Self::ServerGone => 5,
            Self::CouldNotRun => 6,
        };
        exits.into_iter().max_by_key(weight).unwrap_or(Self::Kept)
    }

    /// The table for `--help`.
    pub(crate) fn table() -> String {
        let rows = Self::ALL.map(|exit| format!("  {}  {}\n", exit.code(), exit.words()));
        format!("Exit codes:\n{}", rows.concat())
    }
}

/// One bound and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Judged {
    pub(crate) figure: Figure,
    /// Absent: the run has no such figure, which breaks a bound.
    pub(crate) value: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) kept: bool,
}

/// Bounds that hold for every run, unless its scenario says otherwise.
pub(crate) const ALWAYS_ZERO: [Figure; 16] = [
    Figure::Found(Finding::Lost),
    Figure::Found(Finding::Duplicate),
    Figure::Found(Finding::Reordered),
    Figure::Found(Finding::Corrupt),
    Figure::Found(Finding::Misdelivered),
    Figure::Found(Finding::Unacked),
    Figure::Counted(Count::Unsent),
    Figure::Counted(Count::Refused),
    Figure::Counted(Count::Rejected),
    Figure::Counted(Count::Disconnects),
    Figure::Counted(Count::ConnectFailures),
    Figure::Counted(Count::OverCapacity),
    Figure::Counted(Count::OfferedTwice),
    Figure::Counted(Count::PositionGrew),
    Figure::Counted(Count::OutOfTurn),
    Figure::Counted(Count::Unrepelled),
];

/// Wrong however late the generator was: it can delay what it sends and hears, but makes none of
/// these.
pub(crate) const NO_MATTER_HOW_LATE: [Figure; 7] = [
    Figure::Found(Finding::Lost),
    Figure::Found(Finding::Duplicate),
    Figure::Found(Finding::Reordered),
    Figure::Found(Finding::Corrupt),
    Figure::Found(Finding::Misdelivered),
    Figure::Counted(Count::OverCapacity),
    Figure::Counted(Count::PositionGrew),
];

/// Figures of a tally over so many seconds.
pub(crate) fn figures(tally: &Tally, seconds: f64) -> Figures {
    let mut figures = Figures::default();
    for timing in Timing::ALL {
        let Some(times) = tally.time(*timing) else { continue };
        figures.extend(Stat::ALL.map(|stat| (Figure::Timed(*timing, stat), stat.of(times))));
    }
    let of = |count| float(tally.of(count));
    figures.extend(Count::ALL.iter().map(|count| (Figure::Counted(*count), of(*count))));
    let each_second = |count| ratio(of(count), seconds);
    figures.set(Figure::Measured(Measure::MessagesPerSecond), each_second(Count::Acked));
    figures.set(Figure::Measured(Measure::DeliveriesPerSecond), each_second(Count::Delivered));
    if tally.of(Count::Sent) > 0 {
        let mean = of(Count::Chars) / of(Count::Sent);
        figures.set(Figure::Measured(Measure::SizeMeanChars), mean);
    }
    figures
}

/// Figures of the ledger.
pub(crate) fn found(findings: &Findings, figures: &mut Figures) {
    let found = Finding::ALL.iter();
    figures.extend(found.map(|found| (Figure::Found(*found), float(findings.of(*found)))));
}

/// Figures that count over the whole run; of a search not those that its best try has for itself.
pub(crate) fn whole(tally: &Tally, pacing: Loop, figures: &mut Figures) {
    for count in Count::WHOLE {
        if pacing != Loop::Search || !Count::BREAKS.contains(&count) {
            figures.set(Figure::Counted(count), float(tally.of(count)));
        }
    }
}

/// Why a run says nothing about the server, if it does not.
pub(crate) fn void(
    figures: &Figures,
    judged: &[Judged],
    bounded_by: Option<BoundedBy>,
) -> Option<String> {
    if is_late(figures) {
        let lag = figures.get(SEND_LAG).unwrap_or(0.0);
        return Some(format!(
            "the generator sent {lag:.1} ms late at the 99th percentile; more than {LAG_MS_MAX} ms is no measurement"
        ));
    }
    let mut broken = judged.iter().filter(|judged| !judged.kept).peekable();
    if let Some(first) = broken.peek().copied()
        && broken
            .all(|judged| judged.max.is_some_and(|max| is_blurred(figures, judged.figure, max)))
    {
        let lag = figures.get(LOOP_LAG).unwrap_or(0.0);
        return Some(format!(
            "the generator's own timers were {lag:.1} ms late at the 99th percentile, and {} is over its bound by no more: \
             whether the server broke it nobody can tell",
            first.figure
        ));
    }
    let bounded = bounded_by.filter(|by| *by == BoundedBy::Generator)?;
    Some(format!("highest_rate is no limit of the server: {}", bounded.words()))
}

/// Whether a time of messages is over its bound by no more than what the generator's own lag may
/// have added to it. A lag up to 10 ms is none, as with sending, unless it is more than half of the
/// bound and more than timers have at rest. A bound that is kept stands: lag only makes times
/// longer.
pub(crate) fn is_blurred(figures: &Figures, figure: Figure, max: f64) -> bool {
    let heard = matches!(
        figure.timing(),
        Some(Timing::Delivery | Timing::DeliveryService | Timing::Ack | Timing::AckService)
    );
    let (Some(value), Some(lag)) = (figures.get(figure), figures.get(LOOP_LAG)) else {
        return false;
    };
    heard && value > max && value - lag <= max && lag > LAG_MS_MAX.min((max / 2.0).max(TIMERS_MS))
}

/// Whether the generator was too late itself.
pub(crate) fn is_late(figures: &Figures) -> bool {
    figures.get(SEND_LAG).is_some_and(|lag| lag > LAG_MS_MAX)
}

/// Holds the figures against a scenario's bounds and those of every run.
pub(crate) fn judge(
    figures: &Figures,
    thresholds: impl IntoIterator<Item = (Figure, Limits)>,
) -> Vec<Judged> {
    let zero = ALWAYS_ZERO.map(|figure| (figure, Bound::Most(0.0).limits()));
    let bounds: BTreeMap<Figure, Limits> = zero.into_iter().chain(thresholds).collect();
    let judged = bounds.into_iter().map(|(figure, Limits { min, max, .. })| {
        let value = figures.get(figure);
        let kept = value.is_some_and(|value| {
            min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max)
        });
        Judged { figure, value, min, max, kept }
    });
    judged.collect()
}

/// What the whole run comes to. What no lag explains breaks a void run too.
pub(crate) fn sum_up(judged: &[Judged], void: bool) -> Verdict {
    let is_wrong = |judged: &Judged| !judged.kept && NO_MATTER_HOW_LATE.contains(&judged.figure);
    if judged.iter().any(is_wrong) {
        Verdict::Broken
    } else if void {
        Verdict::Void
    } else if judged.iter().all(|judged| judged.kept) {
        Verdict::Kept
    } else {
        Verdict::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: Figure = Figure::Found(Finding::Lost);
    const DELIVERY_P99: Figure = Figure::Timed(Timing::Delivery, Stat::P99);

    fn full() -> Figures {
        let mut figures = figures(&Tally::default(), 1.0);
        found(&Findings::default(), &mut figures);
        figures
    }

    #[test]
    fn a_bound_that_is_broken_or_has_no_figure_breaks_the_run() {
        let mut figures = full();
        assert_eq!(sum_up(&judge(&figures, []), false), Verdict::Kept);
        figures.set(LOST, 1.0);
        assert_eq!(sum_up(&judge(&figures, []), false), Verdict::Broken);
        let allowed = (LOST, Bound::Most(1.0).limits());
        assert_eq!(sum_up(&judge(&figures, [allowed]), false), Verdict::Kept);
        let least = Limits { min: Some(5.0), ..Limits::default() };
        let bounds = [allowed, (Figure::Counted(Count::Sent), least)];
        assert_eq!(sum_up(&judge(&figures, bounds), false), Verdict::Broken);
        let absent = (DELIVERY_P99, Bound::Most(1.0).limits());
        assert_eq!(sum_up(&judge(&full(), [absent]), false), Verdict::Broken);
    }

    #[test]
    fn what_is_lost_or_doubled_breaks_a_run_that_is_void_too() {
        for figure in NO_MATTER_HOW_LATE {
            let mut figures = full();
            figures.extend([(SEND_LAG, 500.0), (figure, 33.0)]);
            let judged = judge(&figures, []);
            assert!(void(&figures, &judged, None).is_some());
            assert_eq!(sum_up(&judged, true), Verdict::Broken, "{figure}");
        }
        // A late generator may itself be why a connection broke.
        let mut figures = full();
        figures.set(Figure::Counted(Count::Disconnects), 1.0);
        assert_eq!(sum_up(&judge(&figures, []), true), Verdict::Void);
    }

    #[test]
    fn every_exit_code_stands_in_the_readme_and_in_the_help_with_the_same_words() {
        let readme = include_str!("../../README.md");
        let rows: Vec<&str> = readme
            .lines()
            .skip_while(|line| !line.starts_with("| exit code |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .collect();
        let wanted = Exit::ALL.map(|exit| format!("| {} | {} |", exit.code(), exit.words()));
        assert_eq!(rows, wanted);
        for (number, exit) in (0..).zip(Exit::ALL) {
            assert_eq!(exit.code(), number);
            assert!(Exit::table().contains(&format!("{number}  {}\n", exit.words())));
        }
    }

    #[test]
    fn of_several_runs_the_gravest_is_said() {
        use Exit::{Broken, Interrupted, Kept, ServerGone, Void, Worse};
        assert_eq!(Exit::gravest([]), Kept);
        assert_eq!(Exit::gravest([Kept, Worse, Kept]), Worse);
        assert_eq!(Exit::gravest([Worse, Void]), Void);
        assert_eq!(Exit::gravest([Void, Broken, Interrupted]), Broken);
        assert_eq!(Exit::gravest([Broken, ServerGone]), ServerGone);
    }

    #[test]
    fn a_late_generator_voids_all_else() {
        let mut figures = full();
        figures.set(SEND_LAG, 10.5);
        assert!(void(&figures, &[], None).is_some_and(|words| words.contains("10.5 ms late")));
        assert_eq!(sum_up(&judge(&figures, []), true), Verdict::Void);
    }

    /// Whether a run is void in which this is broken: a figure, its bound, and the generator's own
    /// lag.
    fn blurred(name: &str, value: f64, max: f64, lag: f64, lost: f64) -> bool {
        let mut figures = full();
        let figure: Figure = name.parse().unwrap();
        figures.extend([(figure, value), (LOOP_LAG, lag), (LOST, lost)]);
        let judged = judge(&figures, [(figure, Bound::Most(max).limits())]);
        let void = void(&figures, &judged, None);
        assert!(void.as_ref().is_none_or(|words| words.contains(name)), "{void:?}");
        void.is_some()
    }

    #[test]
    fn a_time_that_the_generators_own_lag_may_have_broken_voids_the_run() {
        assert!(blurred("delivery_p99_ms", 60.0, 50.0, 11.0, 0.0));
        assert!(blurred("ack_p99_ms", 6.0, 5.0, 3.5, 0.0));
        // It would be broken without the lag too, or the lag is nothing beside the bound.
        assert!(!blurred("delivery_p99_ms", 62.0, 50.0, 11.0, 0.0));
        assert!(!blurred("delivery_p99_ms", 55.0, 50.0, 9.0, 0.0));
        assert!(!blurred("ack_p99_ms", 2.0, 1.0, 2.5, 0.0));
        // It is kept in spite of the lag.
        assert!(!blurred("delivery_p99_ms", 50.0, 50.0, 30.0, 0.0));
        // Nothing is late that is no time of a message, and what is lost is lost.
        assert!(!blurred("resume_p99_ms", 60.0, 50.0, 30.0, 0.0));
        assert!(!blurred("delivery_p99_ms", 60.0, 50.0, 30.0, 1.0));
    }

    #[test]
    fn a_search_that_its_generator_bounded_is_void() {
        let figures = full();
        for by in [None, Some(BoundedBy::Server), Some(BoundedBy::Range)] {
            assert_eq!(void(&figures, &[], by), None);
        }
        let words = void(&figures, &[], Some(BoundedBy::Generator)).unwrap();
        assert!(words.contains("no limit of the server"), "{words}");
    }

    #[test]
    fn what_goes_wrong_beside_the_measured_phases_breaks_the_run_too() {
        for figure in ALWAYS_ZERO {
            let Figure::Counted(count) = figure else { continue };
            let (mut figures, mut tally) = (full(), Tally::default());
            tally.count(count, 1);
            whole(&tally, Loop::Open, &mut figures);
            assert_eq!(sum_up(&judge(&figures, []), false), Verdict::Broken, "{figure}");
        }
    }
}

//! Figures of a run by their names, the bounds that a scenario sets them, and what follows: the exit code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::judge::histogram::{Count, Tally, Timing};
use crate::judge::ledger::Findings;
use crate::number::{float, ratio};
use crate::run::scenario::{Bound, Limits, Loop};
use crate::run::search::BoundedBy;

/// Figures by name.
pub(crate) type Figures = BTreeMap<String, f64>;

/// The generator may send so late at the 99th percentile; beyond it the run says nothing about the server.
pub(crate) const LAG_MS_MAX: f64 = 10.0;

/// Timers are late by up to 2 ms at the 99th percentile where nothing else runs: a tick, and the way to the thread.
const TIMERS_MS: f64 = 3.0;

/// How late the generator comes to what is there to be read: as late as to its timers.
pub(crate) const LOOP_LAG: &str = "loop_lag_p99_ms";

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

/// What the program says to whoever started it. A script reads the number; a number never gets another meaning.
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

    /// Of several runs the one that matters most: what is known to be wrong before what is not known.
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
    pub(crate) figure: String,
    /// Absent: the run has no such figure, which breaks a bound.
    pub(crate) value: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) kept: bool,
}

pub(crate) const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("p9999", 0.9999)];

/// What is neither timed nor counted as such.
const OTHERS: [(&str, &str); 20] = [
    (
        "server_delivery_p50_ms",
        "the server's own time from reading a message to its last local write, by its /metrics: the upper end of a \
         bucket",
    ),
    ("server_delivery_p99_ms", "the same at the 99th percentile"),
    (
        "server_ack_p50_ms",
        "the server's own time from reading a message to its durable ack, likewise the upper end of a bucket",
    ),
    ("server_ack_p99_ms", "the same at the 99th percentile"),
    ("messages_per_second", "messages acked in a second of the measured phases"),
    ("deliveries_per_second", "the same, of messages that came"),
    ("server_cpu_us_per_message", "the server's user and system time for each message sent"),
    ("server_cpu_us_per_delivery", "the same for each message that came"),
    (
        "server_cpu_us_per_connect",
        "the same for each connection of the beginning, its conversation included",
    ),
    ("server_cpu_cores", "cores that the server used on average"),
    ("server_resident_mb", "its resident memory at the end"),
    ("server_resident_mb_max", "the most that was seen of it"),
    ("server_resident_growth_mb", "its growth from a tenth of the measured time to the end"),
    (
        "server_bytes_per_connection",
        "its growth while people came, for each of them: too low where they moved into memory that it had freed \
         before, such as a password's at the beginning",
    ),
    ("generator_cpu_cores", "cores that the generator used on average"),
    ("generator_resident_mb", "its resident memory at the end"),
    ("connections", "connections when the run began"),
    ("highest_rate", "the highest rate that kept the aim of a search"),
    ("measured_seconds", "length of the measured phases"),
    ("size_mean_chars", "characters of a message, on average"),
];

/// Of these, what each try of a search has for itself.
const OF_A_TRY: [&str; 12] = [
    "server_delivery_p50_ms",
    "server_delivery_p99_ms",
    "server_ack_p50_ms",
    "server_ack_p99_ms",
    "messages_per_second",
    "deliveries_per_second",
    "server_cpu_us_per_message",
    "server_cpu_us_per_delivery",
    "server_cpu_cores",
    "generator_cpu_cores",
    "measured_seconds",
    "size_mean_chars",
];

pub(crate) const FINDINGS: [(&str, &str); 9] = [
    ("received", "messages that came, each once at each hearer"),
    ("lost", "acked, and never came to one who was to hear them"),
    ("duplicate", "came twice"),
    ("reordered", "came after a later one"),
    ("corrupt", "came changed, or are no frame"),
    (
        "misdelivered",
        "came to one who has no part in their conversation, or in another one than they were said in",
    ),
    ("resumed", "came after a resume"),
    ("unacked", "were never acked: no answer came, or they were put off to the end"),
    ("voided", "were taken back"),
];

/// Bounds that hold for every run, unless its scenario says otherwise.
pub(crate) const ALWAYS_ZERO: [&str; 16] = [
    "lost",
    "duplicate",
    "reordered",
    "corrupt",
    "misdelivered",
    "unacked",
    "unsent",
    "refused",
    "rejected",
    "disconnects",
    "connect_failures",
    "over_capacity",
    "offered_twice",
    "position_grew",
    "out_of_turn",
    "unrepelled",
];

/// Wrong however late the generator was: it can delay what it sends and hears, but makes none of these.
pub(crate) const NO_MATTER_HOW_LATE: [&str; 7] =
    ["lost", "duplicate", "reordered", "corrupt", "misdelivered", "over_capacity", "position_grew"];

/// Every name of a figure.
pub(crate) fn names() -> Vec<String> {
    let mut names = Vec::new();
    for timing in Timing::ALL {
        let stats = QUANTILES.iter().map(|(stat, _)| *stat).chain(["max", "mean"]);
        names.extend(stats.map(|stat| format!("{}_{stat}_ms", timing.word())));
    }
    names.extend(Count::ALL.iter().map(|count| count.word().to_owned()));
    names.extend(FINDINGS.iter().chain(&OTHERS).map(|(name, _)| (*name).to_owned()));
    names
}

/// What a figure is, in words.
pub(crate) fn about(name: &str) -> &'static str {
    if let Some((_, about)) = FINDINGS.iter().chain(&OTHERS).find(|(known, _)| *known == name) {
        return about;
    }
    let count = Count::ALL.iter().find(|count| count.word() == name);
    let about = timing(name).map(Timing::about).or(count.map(|count| count.about()));
    about.map_or("", |about| about.trim().trim_end_matches('.'))
}

pub(crate) fn is_figure(name: &str) -> bool {
    names().iter().any(|known| known == name)
}

/// Whether each try of a search has this figure, and not only the whole run. `cut`: lines are cut in it.
pub(crate) fn is_of_a_try(name: &str, cut: bool) -> bool {
    let happens = |timing: Timing| match timing {
        Timing::Delivery
        | Timing::DeliveryService
        | Timing::Ack
        | Timing::AckService
        | Timing::SendLag
        | Timing::LoopLag => true,
        Timing::Connect | Timing::Resume => cut,
        // Nobody comes for a visit.
        Timing::QueueWait | Timing::FirstResponse => false,
    };
    OF_A_TRY.contains(&name)
        || Count::ALL.iter().any(|count| count.word() == name)
        || timing(name).is_some_and(happens)
}

/// Whether it is a statistic of something that is timed by those who take part.
pub(crate) fn is_timed(name: &str) -> bool {
    timing(name).is_some()
}

/// What a figure such as `ack_service_p99_ms` is a statistic of.
fn timing(name: &str) -> Option<Timing> {
    let (timing, stat) = name.strip_suffix("_ms")?.rsplit_once('_')?;
    let known = matches!(stat, "max" | "mean") || QUANTILES.iter().any(|(known, _)| *known == stat);
    Timing::ALL.iter().copied().find(|known| known.word() == timing).filter(|_| known)
}

pub(crate) fn nearest_figure(name: &str) -> String {
    let names = names().into_iter();
    names.min_by_key(|known| strsim::levenshtein(known, name)).unwrap_or_default()
}

/// Whether more of it is better; for all else less is.
pub(crate) fn more_is_better(name: &str) -> bool {
    matches!(name, "messages_per_second" | "deliveries_per_second" | "highest_rate")
}

/// Figures of a tally over so many seconds.
pub(crate) fn figures(tally: &Tally, seconds: f64) -> Figures {
    let mut figures = Figures::new();
    let ms = |us: u64| float(us) / 1_000.0;
    for timing in Timing::ALL {
        let Some(times) = tally.time(*timing) else { continue };
        let word = timing.word();
        for (stat, quantile) in QUANTILES {
            figures.insert(format!("{word}_{stat}_ms"), ms(times.quantile_us(quantile)));
        }
        figures.insert(format!("{word}_max_ms"), ms(times.max_us()));
        figures.insert(format!("{word}_mean_ms"), times.mean_us() / 1_000.0);
    }
    for count in Count::ALL {
        figures.insert(count.word().to_owned(), float(tally.of(*count)));
    }
    figures
        .insert(String::from("messages_per_second"), ratio(float(tally.of(Count::Acked)), seconds));
    let sent = tally.of(Count::Sent);
    if sent > 0 {
        let mean = float(tally.of(Count::Chars)) / float(sent);
        figures.insert(String::from("size_mean_chars"), mean);
    }
    figures.insert(
        String::from("deliveries_per_second"),
        ratio(float(tally.of(Count::Delivered)), seconds),
    );
    figures
}

/// Figures of the ledger.
pub(crate) fn found(findings: &Findings, figures: &mut Figures) {
    let values = [
        findings.received,
        findings.lost,
        findings.duplicate,
        findings.reordered,
        findings.corrupt,
        findings.misdelivered,
        findings.resumed,
        findings.unacked,
        findings.voided,
    ];
    for ((name, _), value) in FINDINGS.iter().zip(values) {
        figures.insert((*name).to_owned(), float(value));
    }
}

/// Figures that count over the whole run; of a search not those that its best try has for itself.
pub(crate) fn whole(tally: &Tally, pacing: Loop, figures: &mut Figures) {
    for count in Count::WHOLE {
        if pacing != Loop::Search || !Count::BREAKS.contains(&count) {
            figures.insert(count.word().to_owned(), float(tally.of(count)));
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
        let lag = figures.get("send_lag_p99_ms").copied().unwrap_or(0.0);
        return Some(format!(
            "the generator sent {lag:.1} ms late at the 99th percentile; more than {LAG_MS_MAX} ms is no measurement"
        ));
    }
    let mut broken = judged.iter().filter(|judged| !judged.kept).peekable();
    if let Some(first) = broken.peek().copied()
        && broken
            .all(|judged| judged.max.is_some_and(|max| is_blurred(figures, &judged.figure, max)))
    {
        let lag = figures.get(LOOP_LAG).copied().unwrap_or(0.0);
        return Some(format!(
            "the generator's own timers were {lag:.1} ms late at the 99th percentile, and {} is over its bound by no more: \
             whether the server broke it nobody can tell",
            first.figure
        ));
    }
    let bounded = bounded_by.filter(|by| *by == BoundedBy::Generator)?;
    Some(format!("highest_rate is no limit of the server: {}", bounded.words()))
}

/// Whether a time of messages is over its bound by no more than what the generator's own lag may have added to it. A lag
/// up to 10 ms is none, as with sending, unless it is more than half of the bound and more than timers have at rest. A
/// bound that is kept stands: lag only makes times longer.
pub(crate) fn is_blurred(figures: &Figures, name: &str, max: f64) -> bool {
    let heard = timing(name).is_some_and(|timing| {
        matches!(
            timing,
            Timing::Delivery | Timing::DeliveryService | Timing::Ack | Timing::AckService
        )
    });
    let (Some(value), Some(lag)) = (figures.get(name), figures.get(LOOP_LAG)) else { return false };
    heard
        && *value > max
        && *value - *lag <= max
        && *lag > LAG_MS_MAX.min((max / 2.0).max(TIMERS_MS))
}

/// Whether the generator was too late itself.
pub(crate) fn is_late(figures: &Figures) -> bool {
    figures.get("send_lag_p99_ms").is_some_and(|lag| *lag > LAG_MS_MAX)
}

/// Holds the figures against a scenario's bounds and those of every run.
pub(crate) fn judge(figures: &Figures, thresholds: &BTreeMap<String, Bound>) -> Vec<Judged> {
    let mut bounds: BTreeMap<&str, Limits> =
        ALWAYS_ZERO.iter().map(|name| (*name, Bound::Most(0.0).limits())).collect();
    for (name, bound) in thresholds {
        bounds.insert(name, bound.limits());
    }
    let judged = bounds.into_iter().map(|(name, Limits { min, max, .. })| {
        let value = figures.get(name).copied();
        let kept = value.is_some_and(|value| {
            min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max)
        });
        Judged { figure: name.to_owned(), value, min, max, kept }
    });
    judged.collect()
}

/// What the whole run comes to. What no lag explains breaks a void run too.
pub(crate) fn sum_up(judged: &[Judged], void: bool) -> Verdict {
    let is_wrong =
        |judged: &Judged| !judged.kept && NO_MATTER_HOW_LATE.contains(&judged.figure.as_str());
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

    fn full() -> Figures {
        let mut figures = figures(&Tally::default(), 1.0);
        found(&Findings::default(), &mut figures);
        figures
    }

    #[test]
    fn a_bound_that_is_broken_or_has_no_figure_breaks_the_run() {
        let mut figures = full();
        assert_eq!(sum_up(&judge(&figures, &BTreeMap::new()), false), Verdict::Kept);
        figures.insert(String::from("lost"), 1.0);
        assert_eq!(sum_up(&judge(&figures, &BTreeMap::new()), false), Verdict::Broken);
        let allowed = BTreeMap::from([(String::from("lost"), Bound::Most(1.0))]);
        assert_eq!(sum_up(&judge(&figures, &allowed), false), Verdict::Kept);
        let least = Limits { min: Some(5.0), ..Limits::default() };
        let bounds = BTreeMap::from([
            (String::from("lost"), Bound::Most(1.0)),
            (String::from("sent"), Bound::Between(least)),
        ]);
        assert_eq!(sum_up(&judge(&figures, &bounds), false), Verdict::Broken);
        let absent = BTreeMap::from([(String::from("delivery_p99_ms"), Bound::Most(1.0))]);
        assert_eq!(sum_up(&judge(&full(), &absent), false), Verdict::Broken);
    }

    #[test]
    fn what_is_lost_or_doubled_breaks_a_run_that_is_void_too() {
        for name in NO_MATTER_HOW_LATE {
            let mut figures = full();
            figures.insert(String::from("send_lag_p99_ms"), 500.0);
            figures.insert(name.to_owned(), 33.0);
            let judged = judge(&figures, &BTreeMap::new());
            assert!(void(&figures, &judged, None).is_some());
            assert_eq!(sum_up(&judged, true), Verdict::Broken, "{name}");
        }
        // A late generator may itself be why a line broke.
        let mut figures = full();
        figures.insert(String::from("disconnects"), 1.0);
        assert_eq!(sum_up(&judge(&figures, &BTreeMap::new()), true), Verdict::Void);
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
        figures.insert(String::from("send_lag_p99_ms"), 10.5);
        assert!(void(&figures, &[], None).is_some_and(|words| words.contains("10.5 ms late")));
        assert_eq!(sum_up(&judge(&figures, &BTreeMap::new()), true), Verdict::Void);
    }

    /// Whether a run is void in which this is broken: a figure, its bound, and the generator's own lag.
    fn blurred(name: &str, value: f64, max: f64, lag: f64, lost: f64) -> bool {
        let mut figures = full();
        for (name, value) in [(name, value), (LOOP_LAG, lag), ("lost", lost)] {
            figures.insert(name.to_owned(), value);
        }
        let judged = judge(&figures, &BTreeMap::from([(name.to_owned(), Bound::Most(max))]));
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
        for name in ALWAYS_ZERO {
            let Some(count) = Count::ALL.iter().find(|count| count.word() == name) else {
                continue;
            };
            let (mut figures, mut tally) = (full(), Tally::default());
            tally.count(*count, 1);
            whole(&tally, Loop::Open, &mut figures);
            assert_eq!(
                sum_up(&judge(&figures, &BTreeMap::new()), false),
                Verdict::Broken,
                "{name}"
            );
        }
    }

    #[test]
    fn every_figure_says_what_it_is() {
        for name in names() {
            assert!(!about(&name).is_empty(), "{name}");
        }
        assert_eq!(nearest_figure("delivry_p99"), "delivery_p99_ms");
    }
}

//! A result for people and programs.
//!
//! Lives here: words for a terminal, and what a page shares with them. In `report/`, in reading
//! order: the result as it is written and read again; as JUnit's XML and as OpenMetrics text; the
//! screen while it runs; the page of one run, its plots, and the page of several.

pub(crate) mod outcome;
pub(crate) mod junit;
pub(crate) mod openmetrics;
pub(crate) mod screen;
mod page;
mod plot;
mod several;

use testkit::FLAGS;

use crate::judge::figure::{Count, Figure, Finding, Measure, Stat, Timing};
use crate::judge::verdict;
use crate::report::outcome::{Made, Outcome};

pub(crate) use self::page::html;
pub(crate) use self::several::{several_html, several_words};

/// The figures that come first, where a run has them.
const FIRST: [Figure; 26] = [
    Figure::Measured(Measure::MessagesPerSecond),
    Figure::Measured(Measure::DeliveriesPerSecond),
    Figure::Measured(Measure::HighestRate),
    Figure::Timed(Timing::Delivery, Stat::P50),
    Figure::Timed(Timing::Delivery, Stat::P99),
    Figure::Timed(Timing::Delivery, Stat::P999),
    Figure::Timed(Timing::Delivery, Stat::Max),
    Figure::Timed(Timing::DeliveryService, Stat::P99),
    Figure::Timed(Timing::Ack, Stat::P50),
    Figure::Timed(Timing::Ack, Stat::P99),
    Figure::Measured(Measure::ServerDeliveryP99Ms),
    Figure::Measured(Measure::ServerAckP99Ms),
    Figure::Timed(Timing::Connect, Stat::P50),
    Figure::Timed(Timing::Connect, Stat::P99),
    Figure::Timed(Timing::Resume, Stat::P99),
    Figure::Timed(Timing::QueueWait, Stat::P99),
    Figure::Timed(Timing::FirstResponse, Stat::P99),
    Figure::Measured(Measure::ServerCpuUsPerMessage),
    Figure::Measured(Measure::ServerCpuUsPerDelivery),
    Figure::Measured(Measure::ServerCpuUsPerConnect),
    Figure::Measured(Measure::ServerBytesPerConnection),
    Figure::Measured(Measure::ServerCpuCores),
    Figure::Measured(Measure::ServerResidentMb),
    Figure::Measured(Measure::ServerResidentGrowthMb),
    Figure::Measured(Measure::GeneratorCpuCores),
    Figure::Timed(Timing::SendLag, Stat::P99),
];

const COUNTED: [Figure; 27] = [
    Figure::Counted(Count::Sent),
    Figure::Counted(Count::Acked),
    Figure::Found(Finding::Received),
    Figure::Found(Finding::Lost),
    Figure::Found(Finding::Duplicate),
    Figure::Found(Finding::Reordered),
    Figure::Found(Finding::Corrupt),
    Figure::Found(Finding::Misdelivered),
    Figure::Found(Finding::Resumed),
    Figure::Found(Finding::Unacked),
    Figure::Counted(Count::Refused),
    Figure::Counted(Count::Unsent),
    Figure::Counted(Count::PutOff),
    Figure::Counted(Count::Resent),
    Figure::Counted(Count::Rejected),
    Figure::Counted(Count::ConnectFailures),
    Figure::Counted(Count::Disconnects),
    Figure::Counted(Count::SlowCloses),
    Figure::Counted(Count::Cuts),
    Figure::Counted(Count::Visits),
    Figure::Counted(Count::VisitsDone),
    Figure::Counted(Count::Abandoned),
    Figure::Counted(Count::Unrepelled),
    Figure::Counted(Count::OverCapacity),
    Figure::Counted(Count::OfferedTwice),
    Figure::Counted(Count::PositionGrew),
    Figure::Counted(Count::OutOfTurn),
];

/// With as many digits as say something.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 1_000.0 || value.fract() == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// For a terminal.
pub(crate) fn words(outcome: &Outcome) -> String {
    let mut text = format!("\n{}: {}\n\n", outcome.scenario.name, outcome.scenario.about);
    let mut rows = |figures: &[Figure]| {
        for figure in figures {
            if let Some(value) = outcome.figures.get(*figure) {
                let (value, about) = (number(value), figure.about());
                text.push_str(&format!("  {figure:28} {value:>12}  {about}\n"));
            }
        }
        text.push('\n');
    };
    rows(&FIRST);
    rows(&COUNTED);
    for trial in &outcome.trials {
        text.push_str(&format!("  {:>10} messages/s: {}\n", number(trial.rate), trial.words()));
    }
    for example in &outcome.examples {
        text.push_str(&format!("  for example: {example}\n"));
    }
    for judged in outcome.thresholds.iter().filter(|judged| !judged.kept) {
        let value = judged.value.map_or_else(|| String::from("absent"), number);
        text.push_str(&format!(
            "  BROKEN: {} is {value}, wanted {}\n",
            judged.figure,
            bounds(judged.min, judged.max)
        ));
    }
    if let Some(bounded) = outcome.bounded_by {
        text.push_str(&format!("  highest_rate: {}\n", bounded.words()));
    }
    for note in notes(outcome) {
        text.push_str(&format!("  note: {note}\n"));
    }
    for fault in &outcome.faults {
        text.push_str(&format!("  FAULT: {fault}\n"));
    }
    if let Some(void) = &outcome.void {
        text.push_str(&format!("  VOID: {void}\n"));
    }
    if let Some(made) = &outcome.made {
        text.push_str(&format!("  {}\n  {}\n", server_words(made, true), made.command.join(" ")));
    }
    text.push_str(&format!("{}\n", outcome.summary()));
    text
}

/// Which server it was. `in_short`: without the flags that the harness gives every server.
fn server_words(made: &Made, in_short: bool) -> String {
    let said = |words: &Option<String>| words.clone().unwrap_or_else(|| String::from("not told"));
    let started = match &made.server_flags {
        None => String::from("there already, with flags that are not known"),
        Some(flags) => {
            let usual = |flag: &String| FLAGS.contains(&flag.as_str());
            let shown = flags.iter().filter(|flag| !(in_short && usual(flag)));
            let shown: Vec<&str> = shown.map(String::as_str).collect();
            let shown = if shown.is_empty() { String::from("no others") } else { shown.join(" ") };
            let before = if in_short { "beside the usual flags " } else { "" };
            format!("started with {before}{shown}")
        }
    };
    format!(
        "server: version {}, commit {}, {started}",
        said(&made.server_version),
        said(&made.server_commit)
    )
}

fn notes(outcome: &Outcome) -> impl Iterator<Item = String> {
    outcome.notes.iter().cloned().chain(slow(outcome))
}

/// A generator that sends in time may still come late to what it hears, and in a closed loop
/// nothing is due at all.
fn slow(outcome: &Outcome) -> Option<String> {
    let lag = outcome.figures.get(verdict::LOOP_LAG)?;
    (lag > verdict::LAG_MS_MAX).then(|| format!("the generator's own timers were {lag:.0} ms late at the 99th percentile: times of this run contain it, CPU a message does not"))
}

/// What a bound wants, in words.
pub(crate) fn bounds(min: Option<f64>, max: Option<f64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{} to {}", number(min), number(max)),
        (Some(min), None) => format!("at least {}", number(min)),
        (None, Some(max)) => format!("at most {}", number(max)),
        (None, None) => String::from("anything"),
    }
}

/// As text of a page, or of XML.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

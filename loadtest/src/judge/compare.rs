//! Two sides beside each other: one run or several of each. A difference counts only beyond the
//! noise: each figure's own, as the runs of a side differ among themselves; where there are too few
//! of them, a part of the value. For times it is at least some tenths of a millisecond.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::judge::figure::{Figure, Measure, Stat, Timing, Unit};
use crate::judge::noise::Sample;
use crate::judge::verdict::{self, Exit, Verdict};
use crate::number::{ratio, short};
use crate::report::outcome::Outcome;
use crate::run::scenario::Scenario;

/// Two runs of the same program on a shared machine differ by so much.
pub(crate) const NOISE: f64 = 0.15;
/// Times that differ by less are the same: timers and the scheduler are not finer.
const NOISE_MS: f64 = 0.3;
/// Memory that differs by less is the same too.
const NOISE_MB: f64 = 8.0;
/// And so is what differs by a smaller part, however quiet the runs were: nobody acts on it.
const OWN_NOISE_MIN: f64 = 0.02;

/// Figures that say how good a run is. The others say what it was, or are told apart by thresholds.
const COMPARED: [Figure; 20] = [
    Figure::Timed(Timing::Delivery, Stat::P50),
    Figure::Timed(Timing::Delivery, Stat::P99),
    Figure::Timed(Timing::Delivery, Stat::P999),
    Figure::Timed(Timing::DeliveryService, Stat::P99),
    Figure::Timed(Timing::Ack, Stat::P50),
    Figure::Timed(Timing::Ack, Stat::P99),
    Figure::Timed(Timing::Ack, Stat::P999),
    Figure::Timed(Timing::Connect, Stat::P99),
    Figure::Timed(Timing::Resume, Stat::P99),
    Figure::Timed(Timing::QueueWait, Stat::P99),
    Figure::Timed(Timing::FirstResponse, Stat::P99),
    Figure::Measured(Measure::MessagesPerSecond),
    Figure::Measured(Measure::DeliveriesPerSecond),
    Figure::Measured(Measure::HighestRate),
    Figure::Measured(Measure::ServerCpuUsPerMessage),
    Figure::Measured(Measure::ServerCpuUsPerDelivery),
    Figure::Measured(Measure::ServerCpuUsPerConnect),
    Figure::Measured(Measure::ServerBytesPerConnection),
    Figure::Measured(Measure::ServerResidentMb),
    Figure::Measured(Measure::ServerResidentGrowthMb),
];

/// What became of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Same,
    Better,
    Worse,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) figure: Figure,
    /// Means of each side, in the figure's unit.
    pub(crate) old: f64,
    pub(crate) new: f64,
    /// By how much they may differ by noise alone, in the same unit.
    pub(crate) noise: f64,
    pub(crate) change: Change,
}

/// A figure that one of the two has and the other has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lack {
    pub(crate) figure: Figure,
    /// Who lacks it: `old` or `new`.
    pub(crate) by: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// Runs of each side, those that are void left out.
    pub(crate) old_runs: u32,
    pub(crate) new_runs: u32,
    /// Whether each figure's noise is its own, or a part of its value.
    pub(crate) own_noise: bool,
    /// That part.
    pub(crate) noise: f64,
    pub(crate) rows: Vec<Row>,
    pub(crate) lacking: Vec<Lack>,
    /// A side has no run that is not void.
    pub(crate) void: bool,
    /// Bounds that a new run broke.
    pub(crate) broken: Vec<String>,
    /// Why the two cannot be set beside each other honestly.
    pub(crate) warnings: Vec<String>,
}

/// Whether two scenarios make the same load: how it is judged and which flags the server has is
/// another matter.
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

/// Reads one side: results, their folders, or folders of several runs.
///
/// # Errors
/// If one cannot be read, or there is none.
pub(crate) fn side(paths: &[PathBuf]) -> Result<Vec<Outcome>> {
    let mut runs = Vec::new();
    for path in paths {
        let several = several(path)?;
        if several.is_empty() {
            runs.push(Outcome::read(path)?);
        }
        for folder in several {
            runs.push(Outcome::read(&folder)?);
        }
    }
    if runs.is_empty() {
        bail!("there is no result to compare with");
    }
    Ok(runs)
}

/// What `--runs` left in a folder: `run-1` and so on.
fn several(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() || folder.join("result.json").exists() {
        return Ok(Vec::new());
    }
    let words = || format!("cannot read {}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(words)? {
        let path = entry.with_context(words)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix("run-").and_then(|number| number.parse::<u32>().ok());
        if let Some(number) = number.filter(|_| path.join("result.json").exists()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Sets the new runs beside the old ones.
///
/// # Errors
/// If they are not all runs of the same load, or a side has none.
pub(crate) fn compare(old: &[Outcome], new: &[Outcome], noise: f64) -> Result<Comparison> {
    let (Some(first), Some(newest)) = (old.first(), new.last()) else {
        bail!("a comparison wants a run on each side");
    };
    for run in old.iter().chain(new) {
        comparable(&run.scenario, &newest.scenario)?;
    }
    let mut warnings = Vec::new();
    if old.iter().chain(new).any(|run| run.machine != first.machine) {
        warnings.push(String::from("the machines are not the same"));
    }
    for run in new {
        warnings.extend(old.iter().filter_map(|old| other_server(old, run)));
    }
    for (which, runs) in [("old", old), ("new", new)] {
        warnings.extend(runs.iter().filter_map(|run| {
            let word = if is_void(run) {
                "void"
            } else if run.verdict == Verdict::Broken {
                "broken"
            } else {
                return None;
            };
            Some(if runs.len() == 1 {
                format!("the {which} run is {word}")
            } else {
                format!("one of the {which} runs is {word}: {}", run.run)
            })
        }));
    }
    let mut told = BTreeSet::new();
    warnings.retain(|warning| told.insert(warning.clone()));
    let void = [old, new].into_iter().any(|runs| counted(runs, false).is_empty());
    let (old_side, new_side) = (counted(old, void), counted(new, void));
    let values = |runs: &[&Outcome], figure| {
        Sample::of(runs.iter().filter_map(|run| run.figures.get(figure)))
    };
    let (mut rows, mut lacking) = (Vec::new(), Vec::new());
    for figure in COMPARED {
        let (before, after) = (values(&old_side, figure), values(&new_side, figure));
        let lack = |by: &str| Lack { figure, by: by.to_owned() };
        match (before.is_empty(), after.is_empty()) {
            (true, true) => {}
            (true, false) => lacking.push(lack("old")),
            (false, true) => lacking.push(lack("new")),
            (false, false) => rows.push(row(figure, &before, &after, noise)),
        }
    }
    rows.extend(invariants(old, new));
    let broken = new.iter().flat_map(|run| {
        let bounds = run.thresholds.iter().filter(|judged| !judged.kept);
        let counts = bounds.filter(|judged| !is_void(run) || is_wrong_anyhow(judged.figure));
        counts.map(|judged| judged.figure.to_string()).chain(run.faults.iter().cloned())
    });
    let broken: BTreeSet<String> = broken.collect();
    Ok(Comparison {
        old_runs: short(old_side.len()),
        new_runs: short(new_side.len()),
        own_noise: old_side.len() + new_side.len() >= RUNS_MIN,
        noise,
        rows,
        lacking,
        void,
        broken: broken.into_iter().collect(),
        warnings,
    })
}

/// As many runs on both sides together show a noise of their own.
const RUNS_MIN: usize = 4;

/// The runs of a side that say something of the server; `all`: the void ones too, where there are
/// no others.
fn counted(runs: &[Outcome], all: bool) -> Vec<&Outcome> {
    runs.iter().filter(|run| all || !is_void(run)).collect()
}

fn is_void(run: &Outcome) -> bool {
    run.void.is_some() || run.verdict == Verdict::Void
}

fn is_wrong_anyhow(figure: Figure) -> bool {
    verdict::NO_MATTER_HOW_LATE.contains(&figure)
}

fn row(figure: Figure, before: &Sample, after: &Sample, part: f64) -> Row {
    let (old, new) = (before.mean(), after.mean());
    let noise = match before.own_noise(after) {
        Some(own) => own.max(old.abs() * OWN_NOISE_MIN),
        None => old.abs() * part,
    };
    let noise = at_least(figure, noise);
    Row { figure, old, new, noise, change: change(figure, old, new, noise) }
}

/// Below this nothing of this kind is a difference.
fn at_least(figure: Figure, noise: f64) -> f64 {
    match figure.unit() {
        Unit::Milliseconds => noise.max(NOISE_MS),
        // A server that grew by a little more of nothing has not become worse.
        Unit::Mebibytes => noise.max(NOISE_MB),
        Unit::MicrosecondsEach
        | Unit::Seconds
        | Unit::Bytes
        | Unit::PerSecond
        | Unit::Cores
        | Unit::Characters
        | Unit::Count => noise,
    }
}

/// What must be 0, where it is not in one of the two: any more of it is worse. What a scenario
/// allows is for its thresholds to judge.
fn invariants(old: &[Outcome], new: &[Outcome]) -> impl Iterator<Item = Row> {
    verdict::ALWAYS_ZERO.into_iter().filter_map(|figure| {
        let most = |runs: &[Outcome]| {
            // A connection may break because the generator was late; a message is not lost by it.
            let counted = runs.iter().filter(|run| !is_void(run) || is_wrong_anyhow(figure));
            let values = counted.filter_map(|run| run.figures.get(figure));
            values.fold(0.0, f64::max)
        };
        let (old_value, new_value) = (most(old), most(new));
        let allowed = new.iter().any(|run| run.scenario.thresholds.contains_key(figure.name()));
        if old_value == new_value || allowed {
            return None;
        }
        let change = if new_value > old_value { Change::Worse } else { Change::Better };
        Some(Row { figure, old: old_value, new: new_value, noise: 0.0, change })
    })
}

/// Why the two may not have loaded the same server: one with another store, or with fewer threads,
/// is another.
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

fn change(figure: Figure, old: f64, new: f64, noise: f64) -> Change {
    if (new - old).abs() <= noise {
        Change::Same
    } else if (new > old) == figure.more_is_better() {
        Change::Better
    } else {
        Change::Worse
    }
}

impl Comparison {
    /// What it comes to. More of what must be 0 is broken and not merely worse, and so is a new run
    /// that is broken in itself; a figure that cannot be compared is no proof that it is not worse.
    pub(crate) fn exit(&self) -> Exit {
        let worse = || self.rows.iter().filter(|row| row.change == Change::Worse);
        let is_zero_for_all = |row: &Row| verdict::ALWAYS_ZERO.contains(&row.figure);
        if !self.broken.is_empty() || worse().any(is_zero_for_all) {
            Exit::Broken
        } else if self.void {
            Exit::Void
        } else if !self.lacking.is_empty() || worse().next().is_some() {
            Exit::Worse
        } else {
            Exit::Kept
        }
    }

    /// What a difference is held against, in words.
    pub(crate) fn measure(&self) -> String {
        let runs = |count: u32| if count == 1 { "run" } else { "runs" };
        let (old, new) = (self.old_runs, self.new_runs);
        if self.own_noise {
            format!("beyond each figure's own noise in {old} old and {new} new {}", runs(new))
        } else {
            format!("beyond {:.0} %", self.noise * 100.0)
        }
    }

    /// How many figures became what.
    pub(crate) fn sum(&self) -> String {
        let count = |change| self.rows.iter().filter(|row| row.change == change).count();
        let mut text = format!(
            "compared with {} run(s), {}: {} worse, {} better, {} the same",
            self.old_runs,
            self.measure(),
            count(Change::Worse),
            count(Change::Better),
            count(Change::Same)
        );
        if !self.lacking.is_empty() {
            text.push_str(&format!(", {} not comparable", self.lacking.len()));
        }
        if self.void {
            text.push_str("; void, as a side has no run that is not");
        }
        text
    }

    /// For a terminal.
    pub(crate) fn words(&self) -> String {
        let mut text = String::new();
        for warning in &self.warnings {
            text.push_str(&format!("careful: {warning}\n"));
        }
        text.push_str(&format!(
            "{:30} {:>12} {:>12} {:>8} {:>12}  {}\n",
            "figure",
            "old",
            "new",
            "",
            "noise",
            self.measure()
        ));
        for row in &self.rows {
            text.push_str(&row.words());
        }
        text.push_str(&self.rest());
        text
    }

    /// The same of what is not the same as before, for who wants to hear of nothing else.
    pub(crate) fn differences(&self) -> String {
        let changed = self.rows.iter().filter(|row| row.change != Change::Same);
        let rows: String = changed.map(Row::words).collect();
        format!("{}\n{rows}{}", self.sum(), self.rest())
    }

    fn rest(&self) -> String {
        let mut text = String::new();
        for Lack { figure, by } in &self.lacking {
            text.push_str(&format!("{figure:30} NOT COMPARABLE: the {by} run has none\n"));
        }
        for what in &self.broken {
            text.push_str(&format!("{what:30} BROKEN in the new run\n"));
        }
        text
    }
}

impl Change {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::Better => "better",
            Self::Worse => "WORSE",
        }
    }
}

impl Row {
    /// By which part the new differs, in percent.
    pub(crate) fn percent(&self) -> f64 {
        ratio(self.new - self.old, self.old.abs()) * 100.0
    }

    fn words(&self) -> String {
        let Self { figure, old, new, noise, change } = self;
        format!(
            "{figure:30} {old:>12.3} {new:>12.3} {:>+7.1}% {:>12}  {}\n",
            self.percent(),
            format!("±{noise:.3}"),
            change.word()
        )
    }
}

#[cfg(test)]
mod tests;

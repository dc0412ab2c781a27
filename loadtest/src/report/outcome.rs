//! The result of a run, as it is written to disk and read again. The schema is versioned: what a
//! name means never changes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::judge::compare::Comparison;
use crate::judge::figure::{Figures, Timing};
use crate::judge::histogram::Times;
use crate::judge::verdict::{Exit, Judged, Verdict};
use crate::run::scenario::Scenario;
use crate::run::search::BoundedBy;

/// Grows its number when a field changes its meaning or goes; not when one is added.
pub(crate) const SCHEMA: &str = "livehelp-load/1";

/// One phase.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PhaseOutcome {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) begin_s: f64,
    pub(crate) seconds: f64,
    pub(crate) measured: bool,
    pub(crate) figures: Figures,
}

/// One second.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Point {
    /// From the beginning of the first phase; below 0 while people came.
    pub(crate) second: f64,
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) delivered: u64,
    pub(crate) connections: u64,
    pub delivery_p50_ms: f64,
    pub delivery_p99_ms: f64,
    pub ack_p99_ms: f64,
    /// Absent where the process could not be looked at, as with the two below.
    pub(crate) server_cpu_cores: Option<f64>,
    pub(crate) server_resident_mb: Option<f64>,
    pub(crate) generator_cpu_cores: Option<f64>,
    /// The server's own times by its `/metrics`, over the looks around this second; absent where it
    /// said nothing.
    #[serde(default)]
    pub(crate) server_delivery_p99_ms: Option<f64>,
    #[serde(default)]
    pub(crate) server_ack_p99_ms: Option<f64>,
}

/// Whether a run went to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ended {
    #[default]
    Whole,
    /// By Ctrl-C or SIGTERM.
    Interrupted,
    /// By a threshold that was broken beyond repair.
    Aborted,
    /// The server was gone before it was over.
    ServerGone,
}

/// One try of a search.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) rate: f64,
    pub(crate) kept: bool,
    /// The generator was late: the try says nothing.
    pub(crate) void: bool,
    pub(crate) figures: Figures,
}

impl Trial {
    pub(crate) fn words(&self) -> &'static str {
        match (self.void, self.kept) {
            (true, _) => "void, the generator was at its end",
            (false, true) => "kept",
            (false, false) => "not kept",
        }
    }
}

/// Where it ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: u64,
    pub(crate) memory_mb: u64,
    pub(crate) system: String,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map(|(_, value)| value.trim().to_owned())
                .unwrap_or_default()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib = memory.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok());
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism()
                .map_or(0, |cores| crate::number::long(cores.get())),
            memory_mb: kib.unwrap_or(0) / 1_024,
            system: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// How the run was made. Passwords in addresses are hidden; the other secrets are in files or in
/// the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Made {
    /// The harness's command line, an entry a word.
    pub(crate) command: Vec<String>,
    /// As the server's `/metrics` say it; absent where they could not be read or do not say it.
    pub(crate) server_version: Option<String>,
    /// The commit the server was built from, `unknown` where its builder did not say.
    pub(crate) server_commit: Option<String>,
    /// All flags of a server that the run started, but for the folder that was thrown away; absent
    /// where the server was there already, as nobody knows how.
    pub(crate) server_flags: Option<Vec<String>>,
}

/// A word of a command line as it may be kept: what stands before the `@` of an address is a
/// secret.
pub(crate) fn without_password(word: &str) -> String {
    match (word.split_once("://"), word.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://[hidden]@{host}"),
        (None, _) | (_, None) => word.to_owned(),
    }
}

/// The whole result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) schema: String,
    /// The harness's version.
    pub(crate) version: String,
    pub(crate) run: String,
    pub(crate) begun_unix_ms: u64,
    /// Absent in results of programs that did not say.
    #[serde(default)]
    pub(crate) made: Option<Made>,
    pub(crate) machine: Machine,
    /// Processes that generated the load.
    pub(crate) workers: u32,
    pub(crate) scenario: Scenario,
    pub(crate) verdict: Verdict,
    #[serde(default)]
    pub(crate) ended: Ended,
    /// Why the run is void, if it is.
    pub(crate) void: Option<String>,
    pub(crate) thresholds: Vec<Judged>,
    /// Of all measured phases together.
    pub(crate) figures: Figures,
    pub(crate) phases: Vec<PhaseOutcome>,
    pub(crate) trials: Vec<Trial>,
    /// What kept a search from a higher rate.
    #[serde(default)]
    pub(crate) bounded_by: Option<BoundedBy>,
    /// What went wrong beside the thresholds, and breaks the run as they do.
    #[serde(default)]
    pub(crate) faults: Vec<String>,
    /// What to know when reading it.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    pub(crate) series: Vec<Point>,
    /// Pairs of microseconds and count, of all measured phases together.
    pub(crate) times: BTreeMap<Timing, Times>,
    /// Some of what went wrong.
    pub(crate) examples: Vec<String>,
    /// What the server said of itself: how its counters moved, and percentiles of its histograms.
    pub(crate) server: BTreeMap<String, f64>,
    /// Beside earlier runs, where it was compared with some.
    #[serde(default)]
    pub(crate) comparison: Option<Comparison>,
}

impl Outcome {
    /// Something went wrong that no threshold tells of.
    pub(crate) fn fail(&mut self, fault: String) {
        self.faults.push(fault);
        if self.verdict == Verdict::Kept {
            self.verdict = Verdict::Broken;
        }
    }

    /// What the program says of it, the comparison included.
    pub(crate) fn exit(&self) -> Exit {
        let own = match (self.ended, self.verdict) {
            (Ended::ServerGone, _) => Exit::ServerGone,
            (Ended::Interrupted, Verdict::Void) => Exit::Interrupted,
            (_, Verdict::Void) => Exit::Void,
            (_, Verdict::Broken) => Exit::Broken,
            (_, Verdict::CouldNotRun) => Exit::CouldNotRun,
            (_, Verdict::Kept) => Exit::Kept,
        };
        let compared = self.comparison.as_ref().filter(|_| own == Exit::Kept);
        compared.map_or(own, Comparison::exit)
    }

    /// What it comes to, in words.
    pub(crate) fn summary(&self) -> &'static str {
        let by_a_fault = self.thresholds.iter().all(|judged| judged.kept);
        match self.exit() {
            Exit::ServerGone => "the server was gone before the run was over",
            Exit::Interrupted => "interrupted: what was measured is kept, and not judged",
            Exit::Worse => "thresholds kept, but worse than before",
            Exit::Broken if self.ended == Ended::Aborted => {
                "a threshold was broken, which ended the run"
            }
            Exit::Broken if self.void.is_some() => {
                "BROKEN, though the times are void: what is lost or doubled was not the generator's doing"
            }
            Exit::Broken if by_a_fault => "thresholds kept, and still a failure",
            Exit::Kept | Exit::Broken | Exit::CouldNotRun | Exit::Void => self.verdict.words(),
        }
    }

    /// Reads a result.
    ///
    /// # Errors
    /// If it is none, or of another schema.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let path = if path.is_dir() { path.join("result.json") } else { path.to_owned() };
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let value: serde_json::Value = serde_json::from_str(&text)
            .with_context(|| format!("{} is no JSON", path.display()))?;
        let schema = value.get("schema").and_then(serde_json::Value::as_str).unwrap_or("none");
        if schema != SCHEMA {
            bail!("{} has the schema `{schema}`; this program reads `{SCHEMA}`", path.display());
        }
        serde_json::from_value(value)
            .with_context(|| format!("{} is no result of a run", path.display()))
    }

    /// Writes `result.json`, `report.html` and the histograms into a folder.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let mut json = serde_json::to_string(self).context("cannot put the result into JSON")?;
        json.push('\n');
        write("result.json", json)?;
        write("report.html", crate::report::html(self))?;
        for (timing, times) in self.times.iter().filter(|(_, times)| times.count() > 0) {
            write(&format!("{}.hgrm", timing.word()), times.hgrm())?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use serde_json::Value;

    use super::*;
    use crate::judge::compare;

    /// What has names of its own, or is described elsewhere.
    const LEAVES: [&str; 4] = ["scenario", "figures", "times", "server"];

    /// Results that earlier programs wrote.
    fn committed() -> Vec<PathBuf> {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/results");
        let within =
            |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        let series = within(results).filter(|path| path.to_string_lossy().ends_with("-scenarios"));
        let files = series.flat_map(within);
        let files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
        assert!(!files.is_empty());
        files
    }

    /// Some outcome, of a program that did not say how it was made.
    pub(crate) fn outcome() -> Outcome {
        let files = committed();
        let smoke = files.iter().find(|path| path.ends_with("smoke.json")).unwrap();
        Outcome { made: None, ..Outcome::read(smoke).unwrap() }
    }

    /// One in which no list is empty and nothing is absent that has fields of its own.
    fn full() -> Outcome {
        let mut outcome = outcome();
        let trial = Trial { rate: 1.0, kept: true, void: false, figures: Figures::default() };
        outcome.trials.push(trial);
        let made = Made { server_flags: Some(vec![String::from("--flag")]), ..Made::default() };
        outcome.made = Some(Made { command: vec![String::from("run")], ..made });
        for words in [&mut outcome.faults, &mut outcome.notes, &mut outcome.examples] {
            words.push(String::from("words"));
        }
        let mut less = outcome.clone();
        less.figures.take("ack_p99_ms");
        let mut compared = compare::compare(&[outcome.clone()], &[less], 0.15).unwrap();
        compared.warnings.push(String::from("words"));
        outcome.comparison = Some(compared);
        outcome
    }

    fn paths(path: &str, value: &Value, found: &mut BTreeSet<String>) {
        let is_leaf = path.rsplit('.').next().is_some_and(|name| LEAVES.contains(&name));
        match value {
            Value::Object(fields) if !is_leaf => {
                for (name, value) in fields {
                    let dot = if path.is_empty() { "" } else { "." };
                    paths(&format!("{path}{dot}{name}"), value, found);
                }
            }
            Value::Array(list) => list.iter().for_each(|v| paths(&format!("{path}[]"), v, found)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => drop(found.insert(path.to_owned())),
        }
    }

    fn written(outcome: &Outcome) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        paths("", &serde_json::to_value(outcome).unwrap(), &mut found);
        found
    }

    #[test]
    fn the_table_of_the_schema_names_every_field_that_is_written_and_no_other() {
        let table = include_str!("../../SCHEMA.md");
        assert!(table.starts_with(&format!("# `result.json`: schema `{SCHEMA}`\n")));
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let rows: BTreeSet<String> = rows.map(str::to_owned).collect();
        assert_eq!(rows, written(&full()));
    }

    /// Who breaks it raises the schema's number, and has these results no more.
    #[test]
    fn every_committed_result_is_read_and_no_field_of_it_has_gone() {
        let known = written(&full());
        for file in committed() {
            let read = serde_json::to_value(Outcome::read(&file).unwrap()).unwrap();
            let text = std::fs::read_to_string(&file).unwrap();
            let mut found = BTreeSet::new();
            let written: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read["figures"], written["figures"], "{}", file.display());
            paths("", &written, &mut found);
            // Of a list without entries the fields are not known.
            let gone: Vec<_> = found.difference(&known).collect();
            assert!(gone.is_empty(), "{}: {gone:?}", file.display());
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_kept() {
        let kept =
            without_password("--server-flag=--bus=rediss://user:hunter2@redis.example:6379/0");
        assert_eq!(kept, "--server-flag=--bus=rediss://[hidden]@redis.example:6379/0");
        for word in ["--store=memory", "http://127.0.0.1:8080", "a@b"] {
            assert_eq!(without_password(word), word);
        }
    }
}

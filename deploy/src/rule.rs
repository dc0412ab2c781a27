//! Rules for Prometheus: what is recorded, what wakes somebody, and the proof of each alert.
//!
//! Lives here: the form of a rule and its way into the files that Prometheus and promtool read. Not
//! here: the objectives (`objective`), the causes (`cause`), what to do about an alert
//! (`docs/runbooks.md`).

pub mod objective;
pub mod cause;

use std::collections::BTreeMap;

/// The document with a section for each alert, from the repository's top.
pub const RUNBOOKS: &str = "docs/runbooks.md";

/// The name under which Prometheus scrapes livehelp: `job_name` of the example.
pub const JOB: &str = "livehelp";

/// The instance of the tests.
const INSTANCE: &str = "chat:8081";

/// A file of rules and the file of their tests.
#[derive(Debug)]
pub struct File {
    /// Of both files, without ending.
    pub name: &'static str,
    about: &'static str,
    records: Vec<Record>,
    alerts: Vec<Alert>,
    /// How the tests are cut into files.
    paces: &'static [Pace],
}

/// A file of tests. promtool evaluates every rule of its file in every case, so that long stories
/// have long steps.
#[derive(Debug)]
struct Pace {
    /// Of the file's name.
    ending: &'static str,
    /// Between two evaluations.
    step: &'static str,
    /// Which cases are in it.
    within: fn(&Case) -> bool,
}

/// A figure that Prometheus works out ahead.
#[derive(Debug)]
struct Record {
    name: String,
    expr: String,
    labels: Vec<(&'static str, &'static str)>,
}

/// Whom an alert reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Somebody gets up.
    Page,
    /// Somebody looks in working hours.
    Ticket,
}

impl Severity {
    /// The value of the label `severity`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

/// One alert with the two cases that prove it.
#[derive(Debug)]
pub struct Alert {
    /// In Alertmanager's list.
    pub name: String,
    expr: String,
    /// How long it must hold.
    hold: &'static str,
    severity: Severity,
    labels: Vec<(&'static str, &'static str)>,
    summary: String,
    about: String,
    /// Anchor of its section in the runbooks.
    section: String,
    cases: Vec<Case>,
}

impl Alert {
    fn new(name: &str, severity: Severity, hold: &'static str, expr: &str) -> Self {
        Self {
            name: name.to_owned(),
            expr: expr.to_owned(),
            hold,
            severity,
            labels: Vec::new(),
            summary: String::new(),
            about: String::new(),
            section: name.to_lowercase(),
            cases: Vec::new(),
        }
    }

    /// What a person reads first, and what they read then. `{{ $labels.… }}` and `{{ $value … }}`
    /// are Prometheus'.
    fn says(mut self, summary: &str, about: &str) -> Self {
        summary.clone_into(&mut self.summary);
        about.clone_into(&mut self.about);
        self
    }

    /// It fires under these series.
    fn fires(self, at: &'static str, series: &[(&str, &str)], labels: &[(&str, &str)]) -> Self {
        self.fires_saying(at, series, labels, "")
    }

    /// The same, and these words stand for its value.
    fn fires_saying(
        mut self,
        at: &'static str,
        series: &[(&str, &str)],
        labels: &[(&str, &str)],
        value: &str,
    ) -> Self {
        self.cases.push(Case {
            at,
            series: owned(series),
            fires: Some(owned(labels)),
            value: value.to_owned(),
        });
        self
    }

    /// It does not fire under these series.
    fn silent(mut self, at: &'static str, series: &[(&str, &str)]) -> Self {
        self.cases.push(Case { at, series: owned(series), fires: None, value: String::new() });
        self
    }

    /// The link of the annotation `runbook_url`.
    pub fn runbook(&self) -> String {
        format!("{RUNBOOKS}#{}", self.section)
    }

    /// Whether a case fires it, and whether one keeps it silent.
    pub fn proved(&self) -> (bool, bool) {
        let fires = |case: &Case| case.fires.is_some();
        (self.cases.iter().any(fires), self.cases.iter().any(|case| !fires(case)))
    }

    fn annotations(&self) -> [(&'static str, String); 3] {
        [
            ("summary", self.summary.clone()),
            ("description", self.about.clone()),
            ("runbook_url", self.runbook()),
        ]
    }
}

/// Series of the metrics, and what comes of them.
#[derive(Debug)]
struct Case {
    at: &'static str,
    /// Each with its labels but job and instance, and its values in promtool's notation.
    series: Vec<(String, String)>,
    /// The labels of the alert but severity, job and instance; nothing where it is silent.
    fires: Option<Vec<(String, String)>>,
    value: String,
}

/// Every file of rules.
pub fn files() -> Vec<File> {
    vec![objective::file(), cause::file()]
}

impl File {
    /// Every alert of this file.
    pub fn alerts(&self) -> &[Alert] {
        &self.alerts
    }

    /// Names of what is recorded.
    pub fn recorded(&self) -> impl Iterator<Item = &str> {
        self.records.iter().map(|record| record.name.as_str())
    }

    /// What Prometheus reads.
    pub fn rules(&self) -> String {
        // One group: what is recorded is there before the alerts of the same moment ask for it.
        let mut text = format!("# {}\n{MADE}groups:\n", self.about);
        text.push_str(&format!("  - name: livehelp-{}\n    rules:\n", self.name));
        for record in &self.records {
            text.push_str(&format!("      - record: {}\n", record.name));
            block(&mut text, &record.expr);
            mapping(&mut text, 8, "labels", record.labels.iter().copied());
        }
        for alert in &self.alerts {
            text.push_str(&format!("      - alert: {}\n", alert.name));
            block(&mut text, &alert.expr);
            if alert.hold != "0m" {
                text.push_str(&format!("        for: {}\n", alert.hold));
            }
            let severity = ("severity", alert.severity.word());
            let labels = [severity].into_iter().chain(alert.labels.iter().copied());
            mapping(&mut text, 8, "labels", labels);
            let annotations = alert.annotations();
            let annotations = annotations.iter().map(|(name, value)| (*name, value.as_str()));
            mapping(&mut text, 8, "annotations", annotations);
        }
        text
    }

    /// What `promtool test rules` reads: the name of each file without ending, and its text.
    pub fn tests(&self) -> Vec<(String, String)> {
        let test = |Pace { ending, step, within }: &Pace| {
            let mut text = format!(
                "# Each alert of rules/{0}.yml fires, and is silent.\n{MADE}rule_files:\n  - ../rules/{0}.yml\n\
                 evaluation_interval: {step}\ntests:\n",
                self.name
            );
            for alert in &self.alerts {
                for (at, case) in alert.cases.iter().enumerate().filter(|(_, case)| within(case)) {
                    told(&mut text, alert, at + 1, case);
                }
            }
            (format!("{}{ending}", self.name), text)
        };
        self.paces.iter().map(test).collect()
    }
}

/// One test of promtool's.
fn told(text: &mut String, alert: &Alert, number: usize, case: &Case) {
    let does = if case.fires.is_some() { "fires" } else { "is silent" };
    text.push_str(&format!(
        "  - name: {} {does} ({number})\n    interval: 1m\n    input_series:\n",
        alert.name
    ));
    for (series, values) in &case.series {
        text.push_str(&format!(
            "      - series: {}\n        values: {}\n",
            quoted(&placed(series)),
            quoted(values)
        ));
    }
    text.push_str(&format!(
        "    alert_rule_test:\n      - eval_time: {}\n        alertname: {}\n",
        case.at, alert.name
    ));
    expected(text, alert, case);
}

const MADE: &str = "# Made by `cargo xtask gen` out of deploy/src/rule; changes go there.\n";

/// The alerts that a case expects.
fn expected(text: &mut String, alert: &Alert, case: &Case) {
    let Some(found) = &case.fires else {
        text.push_str("        exp_alerts: []\n");
        return;
    };
    let mut labels: BTreeMap<&str, &str> = BTreeMap::from([("severity", alert.severity.word())]);
    labels.extend(alert.labels.iter().copied());
    labels.extend(found.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    // A label without a value is no label.
    labels.retain(|_, value| !value.is_empty());
    text.push_str("        exp_alerts:\n          -\n");
    mapping(text, 12, "exp_labels", labels.iter().map(|(name, value)| (*name, *value)));
    let annotations =
        alert.annotations().map(|(name, said)| (name, filled(&said, &labels, &case.value)));
    let annotations = annotations.iter().map(|(name, value)| (*name, value.as_str()));
    mapping(text, 12, "exp_annotations", annotations);
}

/// What Prometheus makes of an annotation.
fn filled(said: &str, labels: &BTreeMap<&str, &str>, value: &str) -> String {
    let mut text = String::new();
    let mut rest = said;
    while let Some((before, after)) = rest.split_once("{{ ") {
        let (inside, behind) = after.split_once(" }}").unwrap_or((after, ""));
        text.push_str(before);
        text.push_str(match inside.strip_prefix("$labels.") {
            Some(label) => labels.get(label).copied().unwrap_or_default(),
            None => value,
        });
        rest = behind;
    }
    text + rest
}

/// A series of the tests with the job and, unless it names one, the instance.
fn placed(series: &str) -> String {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let comma = if labels == "}" { "" } else { "," };
    let instance = if labels.contains("instance=") {
        String::new()
    } else {
        format!(",instance=\"{INSTANCE}\"")
    };
    format!("{name}{{job=\"{JOB}\"{instance}{comma}{labels}")
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

fn block(text: &mut String, expr: &str) {
    text.push_str("        expr: |-\n");
    for line in expr.lines() {
        text.push_str(&format!("          {line}\n"));
    }
}

fn mapping<'a>(
    text: &mut String,
    indent: usize,
    name: &str,
    fields: impl Iterator<Item = (&'a str, &'a str)>,
) {
    let mut fields = fields.peekable();
    if fields.peek().is_none() {
        return;
    }
    text.push_str(&format!("{:indent$}{name}:\n", ""));
    for (name, value) in fields {
        text.push_str(&format!("{:indent$}  {name}: {}\n", "", quoted(value)));
    }
}

/// A YAML text in double quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            '\n' => quoted.push_str("\\n"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

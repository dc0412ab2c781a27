//! A dashboard: rows of panels on Grafana's grid of 24 columns.
//!
//! Lives here: places, ids, the variables that every query uses. Not here: what is asked
//! (`overview`, `messages`, `store`), one panel (`panel`).

mod overview;
mod messages;
mod store;

use serde_json::{Map, Value, json};

use crate::panel::{Panel, datasource, long};

/// Columns of Grafana's grid.
const COLUMNS: usize = 24;

/// Height of a line of figures.
const FIGURE: usize = 4;

/// Height of a line of graphs.
const GRAPH: usize = 8;

/// Grafana 10.0's form; later ones read it and bring it up by themselves.
const SCHEMA_VERSION: u32 = 38;

/// Panels under one heading.
#[derive(Debug)]
pub(crate) struct Row {
    title: &'static str,
    lines: Vec<(usize, Vec<Panel>)>,
}

impl Row {
    pub(crate) fn new(title: &'static str) -> Self {
        Self { title, lines: Vec::new() }
    }

    /// Figures beside each other, as wide as each other.
    pub(crate) fn figures<const N: usize>(mut self, panels: [Panel; N]) -> Self {
        const { assert!(COLUMNS.is_multiple_of(N)) };
        self.lines.push((FIGURE, panels.into()));
        self
    }

    /// Graphs beside each other, as wide as each other.
    pub(crate) fn graphs<const N: usize>(mut self, panels: [Panel; N]) -> Self {
        const { assert!(COLUMNS.is_multiple_of(N)) };
        self.lines.push((GRAPH, panels.into()));
        self
    }
}

/// One dashboard.
#[derive(Debug)]
pub struct Dashboard {
    /// Grafana's id of it, and the file's name.
    pub uid: &'static str,
    title: &'static str,
    about: &'static str,
    rows: Vec<Row>,
}

/// All of them.
pub fn all() -> Vec<Dashboard> {
    vec![overview::dashboard(), messages::dashboard(), store::dashboard()]
}

impl Dashboard {
    /// The file's text.
    pub fn json(&self) -> String {
        let dashboard = json!({
            "uid": self.uid,
            "id": null,
            "title": self.title,
            "description": self.about,
            "tags": ["livehelp"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": { "from": "now-1h", "to": "now" },
            "timezone": "browser",
            "links": [{
                "type": "dashboards",
                "title": "livehelp",
                "tags": ["livehelp"],
                "asDropdown": false,
                "includeVars": true,
                "keepTime": true,
            }],
            "annotations": { "list": annotations() },
            "templating": { "list": variables() },
            "panels": self.panels(),
            "__requires": [
                { "type": "grafana", "id": "grafana", "name": "Grafana", "version": "10.0.0" },
                { "type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0" },
                { "type": "panel", "id": "timeseries", "name": "Time series", "version": "" },
                { "type": "panel", "id": "stat", "name": "Stat", "version": "" },
            ],
        });
        let mut text = format!("{:#}", sorted(dashboard));
        text.push('\n');
        text
    }

    fn panels(&self) -> Vec<Value> {
        let mut panels: Vec<Value> = Vec::new();
        let mut y = 0;
        for row in &self.rows {
            panels.push(json!({
                "type": "row",
                "title": row.title,
                "collapsed": false,
                "panels": [],
                "id": panels.len() + 1,
                "gridPos": { "x": 0, "y": y, "w": COLUMNS, "h": 1 },
            }));
            y += 1;
            for (height, line) in &row.lines {
                let width = COLUMNS / line.len();
                for (at, panel) in line.iter().enumerate() {
                    let mut panel = panel.json();
                    panel["id"] = json!(panels.len() + 1);
                    panel["gridPos"] = json!({ "x": at * width, "y": y, "w": width, "h": height });
                    panels.push(panel);
                }
                y += height;
            }
        }
        panels
    }
}

/// Which Prometheus, which jobs, which instances.
fn variables() -> Value {
    let values = |name: &str, label: &str, of: &str, all: &str| {
        let query = format!("label_values({of}, {name})");
        json!({
            "type": "query",
            "name": name,
            "label": label,
            "datasource": datasource(),
            "definition": query,
            "query": { "query": query, "refId": name },
            "refresh": 2,
            "sort": 1,
            "multi": true,
            "includeAll": true,
            "allValue": all,
            "current": { "text": ["All"], "value": ["$__all"] },
            "hide": 0,
            "regex": "",
            "skipUrlSync": false,
        })
    };
    json!([
        {
            "type": "datasource",
            "name": "datasource",
            "label": "Prometheus",
            "query": "prometheus",
            "refresh": 1,
            "multi": false,
            "includeAll": false,
            "hide": 0,
            "regex": "",
            "skipUrlSync": false,
        },
        values("job", "Job", "livehelp_build_info", ".+"),
        // Also matches what is recorded for a whole job and names no instance.
        values("instance", "Instance", r#"livehelp_build_info{job=~"$job"}"#, ".*"),
    ])
}

/// Starts of the process, as lines over all graphs.
fn annotations() -> Value {
    json!([
        {
            "builtIn": 1,
            "datasource": { "type": "grafana", "uid": "-- Grafana --" },
            "enable": true,
            "hide": true,
            "iconColor": "rgba(0, 211, 255, 1)",
            "name": "Annotations & Alerts",
            "type": "dashboard",
        },
        {
            "datasource": datasource(),
            "enable": true,
            "expr": long("changes(process_start_time_seconds{$}[$]) > 0"),
            "iconColor": "blue",
            "name": "Starts",
            "step": "30s",
            "titleFormat": "{{instance}} started",
        },
    ])
}

/// The same with every object's keys in alphabetical order, whatever order the JSON crate was built
/// to keep.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(
                fields.into_iter().map(|(key, value)| (key, sorted(value))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

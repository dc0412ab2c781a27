//! One panel of a dashboard: what it asks, in which unit, how it is drawn.
//!
//! Lives here: the short form of a query and Grafana's words for a panel. Not here: where it stands
//! (`dashboard`).

use serde_json::{Value, json};

/// The choice of jobs and instances, part of every selector: `$` stands for it in the short form of
/// a query.
const CHOSEN: &str = r#"job=~"$job",instance=~"$instance""#;

/// The source of data that the dashboard's reader chose.
pub(crate) fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// What a figure counts; Grafana scales and words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Things in a second.
    PerSecond,
    /// Time.
    Seconds,
    /// Bytes, in steps of 1,024.
    Bytes,
    /// 1 is the whole.
    Share,
}

impl Unit {
    fn id(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::PerSecond => "cps",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::Share => "percentunit",
        }
    }
}

/// How bad it is to be above a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// As it should be.
    Green,
    /// Look at it in working hours.
    Yellow,
    /// Somebody is hurt.
    Red,
}

impl Colour {
    fn id(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "orange",
            Self::Red => "red",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lines,
    Figure,
}

/// A question to Prometheus and the name of its answer.
#[derive(Debug, Clone)]
struct Query {
    expr: String,
    legend: String,
}

/// One panel.
#[derive(Debug, Clone)]
pub struct Panel {
    kind: Kind,
    title: &'static str,
    about: &'static str,
    unit: Unit,
    queries: Vec<Query>,
    /// Colour below the first mark.
    ground: Colour,
    /// From which value on which colour, rising.
    marks: Vec<(f64, Colour)>,
    /// Words for certain values.
    words: &'static [(&'static str, &'static str)],
    stacked: bool,
    most: Option<f64>,
    by_name: bool,
}

impl Panel {
    /// Lines over time.
    pub fn lines(title: &'static str, unit: Unit, about: &'static str) -> Self {
        Self::of(Kind::Lines, title, unit, about)
    }

    /// The newest value, large.
    pub fn figure(title: &'static str, unit: Unit, about: &'static str) -> Self {
        Self::of(Kind::Figure, title, unit, about)
    }

    fn of(kind: Kind, title: &'static str, unit: Unit, about: &'static str) -> Self {
        Self {
            kind,
            title,
            about,
            unit,
            queries: Vec::new(),
            ground: Colour::Green,
            marks: Vec::new(),
            words: &[],
            stacked: false,
            most: None,
            by_name: false,
        }
    }

    /// Asks one thing more. In `expr` a `$` before the end of a selector stands for the chosen jobs
    /// and instances, `[$]` for a range that Grafana chooses by the step and the scrape.
    #[must_use]
    pub fn query(mut self, expr: &str, legend: &str) -> Self {
        self.queries.push(Query { expr: long(expr), legend: legend.to_owned() });
        self
    }

    /// A counter's rate, for each value of a label.
    #[must_use]
    pub fn rates(self, counter: &str, label: &str) -> Self {
        self.query(
            &format!("sum by ({label}) (rate({counter}{{$}}[$]))"),
            &format!("{{{{{label}}}}}"),
        )
    }

    /// Median, 90th and 99th percentile of a histogram.
    #[must_use]
    pub fn quantiles(self, histogram: &str) -> Self {
        [("0.5", "median"), ("0.9", "p90"), ("0.99", "p99")].into_iter().fold(
            self,
            |panel, (quantile, legend)| {
                let expr = format!(
                    "histogram_quantile({quantile}, sum by (le) (rate({histogram}_bucket{{$}}[$])))"
                );
                panel.query(&expr, legend)
            },
        )
    }

    /// One percentile of a histogram for each value of a label.
    #[must_use]
    pub fn quantile_by(self, quantile: &str, histogram: &str, label: &str) -> Self {
        let expr = format!(
            "histogram_quantile({quantile}, sum by (le, {label}) \
             (rate({histogram}_bucket{{$}}[$])))"
        );
        self.query(&expr, &format!("{{{{{label}}}}}"))
    }

    /// From this value on it has another colour; a panel of lines draws a line there.
    #[must_use]
    pub fn mark(mut self, from: f64, colour: Colour) -> Self {
        self.marks.push((from, colour));
        self
    }

    /// The colour below the first mark, where little is bad.
    #[must_use]
    pub fn ground(mut self, colour: Colour) -> Self {
        self.ground = colour;
        self
    }

    /// Words in place of certain values.
    #[must_use]
    pub fn words(mut self, words: &'static [(&'static str, &'static str)]) -> Self {
        self.words = words;
        self
    }

    /// Areas one above the other, where the sum is the figure.
    #[must_use]
    pub fn stacked(mut self) -> Self {
        self.stacked = true;
        self
    }

    /// The axis ends here.
    #[must_use]
    pub fn most(mut self, most: f64) -> Self {
        self.most = Some(most);
        self
    }

    /// Shows the name of what was found in place of its value.
    #[must_use]
    pub fn by_name(mut self) -> Self {
        self.by_name = true;
        self
    }

    /// Grafana's form, without its place and id.
    pub(crate) fn json(&self) -> Value {
        json!({
            "type": match self.kind { Kind::Lines => "timeseries", Kind::Figure => "stat" },
            "title": self.title,
            "description": self.about,
            "datasource": datasource(),
            "fieldConfig": { "defaults": self.defaults(), "overrides": [] },
            "options": self.options(),
            "targets": self.targets(),
        })
    }

    fn targets(&self) -> Vec<Value> {
        let letters = ('A'..='Z').map(String::from);
        let target = |(query, letter): (&Query, String)| {
            json!({
                "refId": letter,
                "datasource": datasource(),
                "editorMode": "code",
                "expr": query.expr,
                "legendFormat": query.legend,
                "range": self.kind == Kind::Lines,
                "instant": self.kind == Kind::Figure,
            })
        };
        self.queries.iter().zip(letters).map(target).collect()
    }

    fn defaults(&self) -> Value {
        let step = |(from, colour): &(f64, Colour)| json!({ "value": from, "color": colour.id() });
        let mut steps = vec![json!({ "value": null, "color": self.ground.id() })];
        steps.extend(self.marks.iter().map(step));
        let mut defaults = json!({
            "unit": self.unit.id(),
            "thresholds": { "mode": "absolute", "steps": steps },
            "color": { "mode": if self.kind == Kind::Lines { "palette-classic" } else { "thresholds" } },
            "mappings": [],
        });
        if self.kind == Kind::Lines {
            defaults["min"] = json!(0);
            defaults["custom"] = json!({
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": if self.stacked { 30 } else { 8 },
                "showPoints": "never",
                "spanNulls": false,
                "stacking": { "mode": if self.stacked { "normal" } else { "none" }, "group": "A" },
                "thresholdsStyle": { "mode": if self.marks.is_empty() { "off" } else { "dashed" } },
            });
        }
        if let Some(most) = self.most {
            defaults["max"] = json!(most);
        }
        if !self.words.is_empty() {
            let mut options = serde_json::Map::new();
            for (at, (value, text)) in self.words.iter().enumerate() {
                options.insert((*value).to_owned(), json!({ "text": text, "index": at }));
            }
            defaults["mappings"] = json!([{ "type": "value", "options": options }]);
        }
        defaults
    }

    fn options(&self) -> Value {
        match self.kind {
            Kind::Lines => json!({
                "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
            Kind::Figure => json!({
                "colorMode": "value",
                "graphMode": "none",
                "justifyMode": "auto",
                "orientation": "auto",
                "textMode": if self.by_name { "name" } else { "auto" },
                "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
            }),
        }
    }
}

/// The long form of a query.
pub(crate) fn long(short: &str) -> String {
    short.replace("$}", &format!("{CHOSEN}}}")).replace("[$]", "[$__rate_interval]")
}

#[cfg(test)]
mod tests {
    use super::long;

    #[test]
    fn the_short_form_of_a_query_names_the_choice_everywhere() {
        assert_eq!(
            long(r#"a{$} / rate(b{c="d",$}[$])"#),
            concat!(
                r#"a{job=~"$job",instance=~"$instance"}"#,
                r#" / rate(b{c="d",job=~"$job",instance=~"$instance"}[$__rate_interval])"#
            )
        );
    }
}

//! What is promised over 30 days, and how fast the room for faults is used up.
//!
//! Lives here: the objectives, their recorded ratios, the alerts on their burn rates. Not here:
//! integrity, of which one fault is one too many (`cause`). The windows and factors are those of
//! the SRE Workbook, "Alerting on SLOs": 14.4 uses up 2 % of a month in an hour, 6 uses up 5 % in
//! six hours, 1 uses up 10 % in three days.

use crate::rule::{Alert, File, JOB, Pace, Record, Severity};

/// Ranges over which events are counted.
const RANGES: [&str; 6] = ["5m", "30m", "1h", "6h", "3d", "30d"];

/// Bad events without which nothing fires: at night a single one of a few is a large part.
const BAD_MIN: u32 = 10;

/// A promise.
#[derive(Debug)]
pub struct Objective {
    /// Value of the label `slo`.
    pub name: &'static str,
    /// In the names of its alerts.
    camel: &'static str,
    /// Part of the events that must be good.
    pub target: f64,
    /// Part of the events that may be bad, as PromQL has it.
    budget: &'static str,
    /// What a bad event is.
    fault: &'static str,
    /// Counters of all events.
    events: &'static [&'static str],
    /// Counters of good ones, taken from the former; then counters of bad ones.
    good: &'static [&'static str],
    bad: &'static [&'static str],
}

/// All of them.
pub const OBJECTIVES: [Objective; 4] = [
    Objective {
        name: "connect",
        camel: "Connect",
        target: 0.999,
        budget: "0.001",
        fault: "Connections are turned away for want of room, or hellos are not answered",
        events: &[
            "livehelp_handshake_duration_seconds_count",
            r#"livehelp_handshake_failures_total{reason="connections_max"}"#,
        ],
        good: &[],
        bad: &[
            r#"livehelp_handshake_failures_total{reason="connections_max"}"#,
            r#"livehelp_connection_closes_total{role="new",reason="overload"}"#,
        ],
    },
    Objective {
        name: "deliver",
        camel: "Deliver",
        target: 0.999,
        budget: "0.001",
        fault: "Messages take more than 250 ms to reach their readers",
        events: &["livehelp_delivery_latency_seconds_count"],
        good: &[r#"livehelp_delivery_latency_seconds_bucket{le="0.25"}"#],
        bad: &[],
    },
    Objective {
        name: "deliver-fast",
        camel: "DeliverFast",
        target: 0.99,
        budget: "0.01",
        fault: "Messages take more than 50 ms to reach their readers",
        events: &["livehelp_delivery_latency_seconds_count"],
        good: &[r#"livehelp_delivery_latency_seconds_bucket{le="0.05"}"#],
        bad: &[],
    },
    Objective {
        name: "ack",
        camel: "Ack",
        target: 0.999,
        budget: "0.001",
        fault: "Messages are not on disk within 500 ms, or are refused because they cannot be stored",
        events: &["livehelp_ack_latency_seconds_count", REFUSED_BY_US],
        good: &[r#"livehelp_ack_latency_seconds_bucket{le="0.5"}"#],
        bad: &[REFUSED_BY_US],
    },
];

const REFUSED_BY_US: &str = r#"livehelp_message_errors_total{code=~"store-unavailable|overload"}"#;

/// A pair of windows: factor, long, short, whom it reaches.
struct Burn {
    word: &'static str,
    factor: &'static str,
    factor_tenths: u64,
    /// What is told of a tenth more than the factor.
    above: &'static str,
    long: &'static str,
    short: &'static str,
    severity: Severity,
}

const BURNS: [Burn; 3] = [
    Burn {
        word: "14x",
        factor: "14.4",
        factor_tenths: 144,
        above: "15.84",
        long: "1h",
        short: "5m",
        severity: Severity::Page,
    },
    Burn {
        word: "6x",
        factor: "6",
        factor_tenths: 60,
        above: "6.6",
        long: "6h",
        short: "30m",
        severity: Severity::Page,
    },
    Burn {
        word: "1x",
        factor: "1",
        factor_tenths: 10,
        above: "1.1",
        long: "3d",
        short: "6h",
        severity: Severity::Ticket,
    },
];

pub(super) fn file() -> File {
    File {
        name: "objectives",
        about: "Objectives of 30 days, and how fast their error budgets are used up.",
        records: OBJECTIVES.iter().flat_map(records).collect(),
        alerts: OBJECTIVES
            .iter()
            .flat_map(|objective| BURNS.iter().map(move |burn| alert(objective, burn)))
            .collect(),
        paces: &[Pace { ending: "", step: "30m", within: |_| true }],
    }
}

/// The increases of some counters over a range, added up.
fn increases(counters: &[&str], range: &str) -> String {
    let each =
        counters.iter().map(|counter| format!("sum by (job) (increase({counter}[{range}]))"));
    each.collect::<Vec<_>>().join("\n  + ")
}

fn records(objective: &'static Objective) -> Vec<Record> {
    let Objective { name, budget, events, good, bad, .. } = objective;
    let labels = vec![("slo", *name)];
    let of = |what: &str, range: &str| format!("job:livehelp_slo_{what}{range}");
    RANGES
        .iter()
        .flat_map(|range| {
            let faults = match (good.is_empty(), bad.is_empty()) {
                (true, _) => increases(bad, range),
                // What is not in the bucket of the bound is late; what was refused is in neither.
                (false, true) => {
                    format!("{}\n  - {}", increases(events, range), increases(good, range))
                }
                (false, false) => format!(
                    "{}\n  - {}\n  + {}",
                    increases(&events[..1], range),
                    increases(good, range),
                    increases(bad, range)
                ),
            };
            let burn = format!(
                "{}{{slo=\"{name}\"}}\n  / ({}{{slo=\"{name}\"}} > 0)\n  / {budget}",
                of("bad:increase", range),
                of("events:increase", range)
            );
            [
                ("events:increase", increases(events, range)),
                ("bad:increase", faults),
                ("burn:ratio", burn),
            ]
            .map(|(what, expr)| Record {
                name: of(what, range),
                expr,
                labels: labels.clone(),
            })
        })
        .collect()
}

fn alert(objective: &'static Objective, burn: &Burn) -> Alert {
    let Objective { name, camel, target, fault, .. } = objective;
    let Burn { word, factor, long, short, severity, .. } = burn;
    let expr = format!(
        "job:livehelp_slo_burn:ratio{long}{{slo=\"{name}\"}} > {factor}\n  \
         and job:livehelp_slo_burn:ratio{short}{{slo=\"{name}\"}} > {factor}\n  \
         and job:livehelp_slo_bad:increase{long}{{slo=\"{name}\"}} >= {BAD_MIN}"
    );
    let mut alert = Alert::new(&format!("Livehelp{camel}Burn{word}"), *severity, "0m", &expr).says(
        &format!("{fault}: the error budget of `{name}` is used up {factor} times too fast"),
        &format!(
            "Over {long} and over {short} more than {factor} times as many events of {{{{ $labels.job }}}} were bad \
             as {}% over 30 days allow. Burn rate over {long}: {{{{ $value | humanize }}}}.",
            percent(*target)
        ),
    );
    alert.labels = vec![("slo", name)];
    alert.section = format!("livehelp{}burn", camel.to_lowercase());
    proved(alert, objective, burn)
}

fn percent(part: f64) -> String {
    let text = format!("{:.1}", part * 100.0);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Counters that grow by so many in a minute, for an hour and a half: events that are over in time,
/// and ones that are not.
fn story(objective: &Objective, good: &str, bad: &str, all: &str) -> Vec<(String, String)> {
    let late = objective.bad.is_empty();
    let mut series =
        vec![(objective.events[0].to_owned(), if late { all } else { good }.to_owned())];
    series.extend(objective.good.iter().map(|counter| ((*counter).to_owned(), good.to_owned())));
    for (at, counter) in objective.bad.iter().enumerate() {
        let counter = counter.replace("=~\"store-unavailable|overload\"", "=\"overload\"");
        let values = if at == 0 { bad } else { "0+0x90" };
        series.push((counter, values.to_owned()));
    }
    series
}

fn proved(alert: Alert, objective: &Objective, burn: &Burn) -> Alert {
    let of = |good, bad, all| story(objective, good, bad, all);
    // Half of all events are bad: 500 times the budget of one in a thousand, 50 times that of one
    // in a hundred.
    let broken = of("0+100x90", "0+100x90", "0+200x90");
    // As much as the budget has.
    let kept = match objective.budget {
        "0.001" => of("0+9995x90", "0+5x90", "0+10000x90"),
        _ => of("0+995x90", "0+5x90", "0+1000x90"),
    };
    // Three events in the last minutes, all of them bad: no one is woken.
    let night = of("0+0x90", "0+0x87 1 2 3", "0+0x87 1 2 3");
    // All is well again, for longer than the short window.
    let over = of("0+100x50 5100+100x39", "0+100x50 5000+0x39", "0+200x50 10100+100x39");
    let value = if objective.budget == "0.001" { "500" } else { "50" };
    let (above, below) = (rate(objective, burn, 11), rate(objective, burn, 9));
    let mut alert = alert
        .fires_saying("90m", &refs(&above), &[("job", JOB)], burn.above)
        .silent("90m", &refs(&below))
        .fires_saying("90m", &refs(&broken), &[("job", JOB)], value)
        .silent("90m", &refs(&kept))
        .silent("90m", &refs(&night));
    if burn.severity == Severity::Page {
        alert = alert.silent("90m", &refs(&over));
    }
    alert
}

/// Series that burn so many tenths of an alert's factor.
fn rate(objective: &Objective, burn: &Burn, tenths: u64) -> Vec<(String, String)> {
    let all = 1_000_000;
    let budget = if objective.budget == "0.001" { all / 1_000 } else { all / 100 };
    let bad = budget * burn.factor_tenths * tenths / 100;
    let grows = |by: u64| format!("0+{by}x90");
    story(objective, &grows(all - bad), &grows(bad), &grows(all))
}

fn refs(series: &[(String, String)]) -> Vec<(&str, &str)> {
    series.iter().map(|(name, values)| (name.as_str(), values.as_str())).collect()
}

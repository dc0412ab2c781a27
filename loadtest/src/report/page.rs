//! The one HTML page of a run, which needs nothing but itself.

use crate::clock;
use crate::judge::compare::{Change, Comparison, Lack};
use crate::judge::figure::{Figure, Figures, Measure, Stat, Timing};
use crate::judge::histogram::Times;
use crate::judge::verdict::Verdict;
use crate::number::float;
use crate::report::outcome::{Outcome, Point};

use super::plot::{Band, Curve, Plot};
use super::{COUNTED, FIRST, bounds, escaped, notes, number, server_words};

pub(super) const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2430;--dim:#5b6575;--line:#d7dce3;--page:#fff;--good:#18794e;--bad:#c0222f;\
--a:#2962c4;--b:#c4552b;--c:#2e8b57;--d:#8a4fbf}\
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--dim:#98a3b3;--line:#384150;--page:#14181f;--good:#57c38e;--bad:#ff7b84;\
--a:#7fa8f0;--b:#f0a17f;--c:#74cf9c;--d:#c39bea}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:64rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.3rem 0}.dim,td.about{color:var(--dim)}\
.good{color:var(--good)}.bad{color:var(--bad)}.verdict{font-weight:600;font-size:1.1rem;margin:.8rem 0}\
table{border-collapse:collapse;width:100%}td,th{padding:.2rem .6rem .2rem 0;border-bottom:1px solid var(--line);text-align:left}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}figure{margin:1.4rem 0}figcaption{display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;align-items:center;font-size:.87rem}\
.key{display:inline-flex;align-items:center;gap:.4rem;color:var(--dim)}.key i{width:1.3rem;height:0}\
svg{width:100%;height:auto;display:block;margin:.3rem 0}svg text{fill:var(--dim);font:11px system-ui,sans-serif}.wide{overflow-x:auto}pre{white-space:pre-wrap;font-size:12px}";

/// One page without anything from elsewhere.
pub(crate) fn html(outcome: &Outcome) -> String {
    let name = escaped(&outcome.scenario.name);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{name} – livehelp-load</title><style>{STYLE}</style></head><body><h1>{name}</h1><p>{}</p>",
        escaped(&outcome.scenario.about)
    );
    let class = if outcome.verdict == Verdict::Kept { "good" } else { "bad" };
    page.push_str(&format!("<p class=\"verdict {class}\">{}</p>", outcome.summary()));
    if let Some(void) = &outcome.void {
        page.push_str(&format!("<p class=\"bad\">{}</p>", escaped(void)));
    }
    for bad in outcome.faults.iter().cloned().chain(notes(outcome)) {
        page.push_str(&format!("<p class=\"bad\">{}</p>", escaped(&bad)));
    }
    let machine = &outcome.machine;
    page.push_str(&format!(
        "<p class=\"dim\">run {} at <time>{}</time> · {} · {} cores · {} MB · Linux {} · {} process(es) generated the load · livehelp-load {}</p>",
        outcome.run,
        clock::iso_8601(outcome.begun_unix_ms),
        escaped(&machine.processor),
        machine.cores,
        machine.memory_mb,
        escaped(&machine.system),
        outcome.workers,
        escaped(&outcome.version)
    ));
    if let Some(made) = &outcome.made {
        page.push_str(&format!(
            "<p class=\"dim\">{}</p><pre>{}</pre>",
            escaped(&server_words(made, false)),
            escaped(&made.command.join(" "))
        ));
    }
    if let Some(compared) = &outcome.comparison {
        page.push_str(&comparison(compared));
    }
    page.push_str("<h2>Figures</h2>");
    page.push_str(&table(&outcome.figures, &FIRST));
    page.push_str("<h2>Every message accounted for</h2>");
    page.push_str(&table(&outcome.figures, &COUNTED));
    for example in &outcome.examples {
        page.push_str(&format!("<p class=\"bad\">For example: {}</p>", escaped(example)));
    }
    beside(outcome, &mut page);
    thresholds(outcome, &mut page);
    trials(outcome, &mut page);
    plots(outcome, &mut page);
    distribution(outcome, &mut page);
    phases(outcome, &mut page);
    server(outcome, &mut page);
    let scenario = toml::to_string(&outcome.scenario).unwrap_or_default();
    page.push_str(&format!("<h2>Scenario</h2><pre>{}</pre></body></html>\n", escaped(&scenario)));
    page
}

fn table(figures: &Figures, shown: &[Figure]) -> String {
    let rows: String = shown
        .iter()
        .filter_map(|figure| {
            let value = figures.get(*figure)?;
            let about = escaped(figure.about());
            Some(format!(
                "<tr><td>{figure}</td><td class=\"n\">{}</td><td class=\"about\">{about}</td></tr>",
                number(value)
            ))
        })
        .collect();
    format!("<table>{rows}</table>")
}

fn thresholds(outcome: &Outcome, page: &mut String) {
    page.push_str("<h2>Thresholds</h2><table><tr><th>figure</th><th class=\"n\">value</th><th>wanted</th><th></th></tr>");
    for judged in &outcome.thresholds {
        let (class, word) = if judged.kept { ("good", "kept") } else { ("bad", "broken") };
        let value = judged.value.map_or_else(|| String::from("absent"), number);
        page.push_str(&format!(
            "<tr><td>{}</td><td class=\"n\">{value}</td><td>{}</td><td class=\"{class}\">{word}</td></tr>",
            judged.figure,
            bounds(judged.min, judged.max)
        ));
    }
    page.push_str("</table>");
}

fn trials(outcome: &Outcome, page: &mut String) {
    if outcome.trials.is_empty() {
        return;
    }
    page.push_str("<h2>Search</h2><table><tr><th class=\"n\">messages/s</th><th></th><th class=\"n\">delivery p99, ms</th><th class=\"n\">ack p99, ms</th></tr>");
    for trial in &outcome.trials {
        let figure = |figure| trial.figures.get(figure).map_or_else(String::new, number);
        page.push_str(&format!(
            "<tr><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            number(trial.rate),
            trial.words(),
            figure(Figure::Timed(Timing::Delivery, Stat::P99)),
            figure(Figure::Timed(Timing::Ack, Stat::P99))
        ));
    }
    page.push_str("</table>");
    if let Some(bounded) = outcome.bounded_by {
        page.push_str(&format!("<p>highest_rate: {}</p>", bounded.words()));
    }
}

/// The clients' times and the server's own, one below the other.
fn beside(outcome: &Outcome, page: &mut String) {
    let figure = |figure| outcome.figures.get(figure).map_or_else(|| String::from("–"), number);
    let clients = |timing| [Stat::P50, Stat::P99].map(|stat| Figure::Timed(timing, stat));
    let server = |measures: [Measure; 2]| measures.map(Figure::Measured);
    let kinds = [
        (
            "delivery",
            clients(Timing::Delivery),
            clients(Timing::DeliveryService),
            server([Measure::ServerDeliveryP50Ms, Measure::ServerDeliveryP99Ms]),
        ),
        (
            "ack",
            clients(Timing::Ack),
            clients(Timing::AckService),
            server([Measure::ServerAckP50Ms, Measure::ServerAckP99Ms]),
        ),
    ];
    page.push_str(
        "<h2>The clients' times beside the server's own</h2><div class=\"wide\"><table><tr><th>in milliseconds</th>\
         <th class=\"n\">due p50</th><th class=\"n\">due p99</th><th class=\"n\">sent p50</th><th class=\"n\">sent p99</th>\
         <th class=\"n\">server p50</th><th class=\"n\">server p99</th></tr>",
    );
    for (kind, due, sent, server) in kinds {
        page.push_str(&format!("<tr><td>{kind}</td>"));
        for one in [due, sent, server].concat() {
            page.push_str(&format!("<td class=\"n\">{}</td>", figure(one)));
        }
        page.push_str("</tr>");
    }
    page.push_str(
        "</table></div><p class=\"dim\">Due: from the moment a message was due. Sent: from the moment it was really sent. \
         Server: from reading it to its last local write or its durable ack, by the server's own histograms over the \
         measured phases; it is the upper end of a bucket, so that the truth is at most so much.</p>",
    );
}

/// The run, or all of several, beside earlier ones.
pub(super) fn comparison(compared: &Comparison) -> String {
    let mut page = format!("<h2>Comparison</h2><p>{}</p>", escaped(&compared.sum()));
    for warning in &compared.warnings {
        page.push_str(&format!("<p class=\"bad\">Careful: {}</p>", escaped(warning)));
    }
    page.push_str(
        "<table><tr><th>figure</th><th class=\"n\">old</th><th class=\"n\">new</th><th class=\"n\">difference</th>\
         <th class=\"n\">noise</th><th></th></tr>",
    );
    for row in &compared.rows {
        let class = match row.change {
            Change::Same => "dim",
            Change::Better => "good",
            Change::Worse => "bad",
        };
        page.push_str(&format!(
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{:+.1} %</td>\
             <td class=\"n\">±{}</td><td class=\"{class}\">{}</td></tr>",
            row.figure,
            number(row.old),
            number(row.new),
            row.percent(),
            number(row.noise),
            row.change.word()
        ));
    }
    page.push_str("</table>");
    for Lack { figure, by } in &compared.lacking {
        page.push_str(&format!(
            "<p class=\"bad\">{figure} cannot be compared: the {by} side has none</p>"
        ));
    }
    for what in &compared.broken {
        page.push_str(&format!("<p class=\"bad\">Broken in a new run: {}</p>", escaped(what)));
    }
    page
}

/// A time of a second in which something came: that nothing did is no time of 0.
fn came(point: &Point, ms: f64) -> Option<f64> {
    (point.delivered > 0).then_some(ms)
}

fn plots(outcome: &Outcome, page: &mut String) {
    const SECONDS: &str = "seconds from the beginning of the first phase";
    let over = |of: fn(&Point) -> f64| {
        outcome.series.iter().map(|point| (point.second, of(point))).collect::<Vec<_>>()
    };
    let seen = |of: fn(&Point) -> Option<f64>| {
        outcome.series.iter().map(|point| (point.second, of(point))).collect::<Vec<_>>()
    };
    let bands: Vec<Band> = outcome
        .phases
        .iter()
        .map(|phase| Band {
            name: phase.name.clone(),
            from: phase.begin_s,
            to: phase.begin_s + phase.seconds,
            measured: phase.measured,
        })
        .collect();
    let plots = [
        Plot::new("Messages", SECONDS, "messages a second")
            .with(Curve::new("sent", over(|p| float(p.sent))))
            .with(Curve::new("acked", over(|p| float(p.acked))))
            .with(Curve::new("delivered", over(|p| float(p.delivered)))),
        Plot::new("Latency of delivery", SECONDS, "milliseconds")
            .with(Curve::broken("clients, p50 since due", seen(|p| came(p, p.delivery_p50_ms))))
            .with(Curve::broken("clients, p99 since due", seen(|p| came(p, p.delivery_p99_ms))))
            .with_own(
                Curve::broken("server's own p99, at most", seen(|p| p.server_delivery_p99_ms))
                    .colour(1)
                    .dashed(),
            ),
        Plot::new("Latency of acks", SECONDS, "milliseconds")
            .with_own(
                Curve::broken(
                    "clients, p99 since due",
                    seen(|p| (p.acked > 0).then_some(p.ack_p99_ms)),
                )
                .colour(2),
            )
            .with_own(
                Curve::broken("server's own p99, at most", seen(|p| p.server_ack_p99_ms))
                    .colour(2)
                    .dashed(),
            ),
        Plot::new("CPU", SECONDS, "cores")
            .with(Curve::broken("server", seen(|p| p.server_cpu_cores)))
            .with(Curve::broken("generator", seen(|p| p.generator_cpu_cores))),
        Plot::new("The server's resident memory", SECONDS, "MiB")
            .with(Curve::broken("server", seen(|p| p.server_resident_mb))),
        Plot::new("Connections", SECONDS, "connections")
            .with(Curve::new("open", over(|p| float(p.connections)))),
    ];
    page.push_str("<h2>Over time</h2>");
    for plot in plots {
        page.push_str(&plot.over(&bands).figure());
    }
}

/// How the times are spread.
fn distribution(outcome: &Outcome, page: &mut String) {
    page.push_str("<h2>Distribution</h2>");
    let mut plot = Plot::new(
        "Latency by percentile, all measured phases together",
        "part of all that took at most so long",
        "milliseconds",
    )
    .by_percentile();
    for (timing, name) in [
        (Timing::Delivery, "delivery, since due"),
        (Timing::DeliveryService, "delivery, since sent"),
        (Timing::Ack, "ack, since due"),
        (Timing::SendLag, "the generator's own lag"),
    ] {
        if let Some(times) = outcome.times.get(&timing).filter(|times| times.count() > 0) {
            plot = plot.with(Curve::new(name, percentiles(times)));
        }
    }
    page.push_str(&plot.figure());
}

/// Against the number of nines: 1 is 90 %, 2 is 99 %.
fn percentiles(times: &Times) -> Vec<(f64, f64)> {
    let most = float(times.count()).log10().max(1.0);
    let steps = (0..=100_u32).map(|step| f64::from(step) / 100.0 * most);
    steps
        .map(|nines| (nines, float(times.quantile_us(1.0 - 10_f64.powf(-nines))) / 1_000.0))
        .collect()
}

fn phases(outcome: &Outcome, page: &mut String) {
    if outcome.phases.is_empty() {
        return;
    }
    let columns = [
        (Figure::Measured(Measure::MessagesPerSecond), "messages/s"),
        (Figure::Timed(Timing::Delivery, Stat::P50), "delivery p50"),
        (Figure::Timed(Timing::Delivery, Stat::P99), "p99"),
        (Figure::Timed(Timing::Ack, Stat::P50), "ack p50"),
        (Figure::Timed(Timing::Ack, Stat::P99), "p99"),
        (Figure::Timed(Timing::SendLag, Stat::P99), "send lag p99"),
        (Figure::Measured(Measure::ServerCpuUsPerMessage), "CPU µs a message"),
        (Figure::Measured(Measure::ServerCpuCores), "cores"),
    ];
    page.push_str("<h2>Phases</h2><div class=\"wide\"><table><tr><th>phase</th><th class=\"n\">s</th><th>measured</th>");
    for (_, title) in columns {
        page.push_str(&format!("<th class=\"n\">{title}</th>"));
    }
    page.push_str("</tr>");
    for phase in &outcome.phases {
        let measured = if phase.measured { "yes" } else { "no" };
        page.push_str(&format!(
            "<tr><td>{}</td><td class=\"n\">{}</td><td>{measured}</td>",
            escaped(&phase.name),
            number(phase.seconds)
        ));
        for (figure, _) in columns {
            let value = phase.figures.get(figure).map_or_else(String::new, number);
            page.push_str(&format!("<td class=\"n\">{value}</td>"));
        }
        page.push_str("</tr>");
    }
    page.push_str("</table></div>");
}

fn server(outcome: &Outcome, page: &mut String) {
    page.push_str("<h2>What the server said of itself</h2><table>");
    for (name, value) in &outcome.server {
        page.push_str(&format!(
            "<tr><td>{}</td><td class=\"n\">{}</td></tr>",
            escaped(name),
            number(*value)
        ));
    }
    page.push_str("</table>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::outcome::tests::outcome;

    #[test]
    fn a_second_in_which_nothing_came_has_no_time() {
        let mut run = outcome();
        run.series = (0..9_u32)
            .map(|second| Point {
                second: f64::from(second),
                sent: 1,
                delivered: u64::from(second != 4),
                acked: 1,
                delivery_p50_ms: f64::from(second),
                ..Point::default()
            })
            .collect();
        let page = html(&run);
        let plot = page.split("<b>Latency of delivery</b>").nth(1).unwrap();
        let plot = plot.split("</figure>").next().unwrap();
        // Two curves, each in two pieces.
        assert_eq!(plot.matches("<polyline").count(), 4, "{plot}");
    }

    #[test]
    fn a_report_has_phases_in_each_chart_over_time_and_the_servers_times_beside_the_clients() {
        let mut run = outcome();
        for name in ["server_delivery_p99_ms", "server_ack_p50_ms"] {
            run.figures.put(name, 987.0);
        }
        for point in &mut run.series {
            (point.server_delivery_p99_ms, point.server_ack_p99_ms) = (Some(5.0), Some(9.0));
        }
        let page = html(&run);
        let charts = page.matches("<figure>").count();
        assert_eq!(
            page.matches("seconds from the beginning of the first phase").count(),
            charts - 1
        );
        assert_eq!(page.matches("class=\"band\"").count(), run.phases.len() * (charts - 1));
        assert_eq!(page.matches("</i>server's own p99, at most").count(), 2);
        assert_eq!(page.matches("<td class=\"n\">987</td>").count(), 3, "{page}");
    }
}

//! Several runs of one scenario on one page: what each came to, and how much each figure differs
//! among them.

use std::fmt::Write as _;

use super::page::{STYLE, comparison};
use super::{FIRST, escaped, number};
use crate::judge::figure::Figure;
use crate::judge::noise::Sample;
use crate::judge::verdict::{ALWAYS_ZERO, Exit};
use crate::number::ratio;
use crate::report::outcome::Outcome;

/// A figure in all runs, those that have it not left out.
struct Row {
    figure: Figure,
    values: Vec<Option<f64>>,
    sample: Sample,
}

impl Row {
    /// The standard deviation as a part of the mean, in percent.
    fn spread(&self) -> Option<f64> {
        Some(ratio(self.sample.deviation()?, self.sample.mean().abs()) * 100.0)
    }
}

fn rows(runs: &[Outcome]) -> Vec<Row> {
    let wrong = ALWAYS_ZERO.into_iter().filter(|figure| {
        runs.iter().any(|run| run.figures.get(*figure).is_some_and(|value| value != 0.0))
    });
    let rows = FIRST.into_iter().chain(wrong).map(|figure| {
        let values: Vec<_> = runs.iter().map(|run| run.figures.get(figure)).collect();
        let sample = Sample::of(values.iter().copied().flatten());
        Row { figure, values, sample }
    });
    rows.filter(|row| !row.sample.is_empty()).collect()
}

/// For a terminal.
pub(crate) fn several_words(runs: &[Outcome]) -> String {
    let mut text = String::from("\n");
    for (number, run) in (1..).zip(runs) {
        // To text nothing is ever refused.
        let _written = writeln!(text, "  run {number}: {}", run.summary());
    }
    let _written = writeln!(text, "\n  {:28} {:>12} {:>8}", "figure", "mean", "spread");
    for row in rows(runs) {
        let spread = row.spread().map_or_else(String::new, |spread| format!("±{spread:.1}%"));
        let mean = number(row.sample.mean());
        let _written = writeln!(text, "  {:28} {mean:>12} {spread:>8}", row.figure);
    }
    text
}

/// One page without anything from elsewhere; each run's own report is in its folder beside it.
pub(crate) fn several_html(runs: &[Outcome]) -> String {
    let Some(last) = runs.last() else { return String::new() };
    let name = escaped(&last.scenario.name);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{name}, {} runs – livehelp-load</title><style>{STYLE}</style></head><body><h1>{name}: {} runs</h1><p>{}</p>",
        runs.len(),
        runs.len(),
        escaped(&last.scenario.about)
    );
    let exit = Exit::gravest(runs.iter().map(Outcome::exit));
    let class = if exit == Exit::Kept { "good" } else { "bad" };
    page.push_str(&format!("<p class=\"verdict {class}\">{}</p><table>", exit.words()));
    for (number, run) in (1..).zip(runs) {
        let class = if matches!(run.exit(), Exit::Kept | Exit::Worse) { "good" } else { "bad" };
        page.push_str(&format!(
            "<tr><td><a href=\"run-{number}/report.html\">run {number}</a></td><td>{}</td><td class=\"{class}\">{}</td></tr>",
            run.run,
            run.void.as_deref().map_or_else(|| run.summary().to_owned(), escaped)
        ));
    }
    page.push_str("</table>");
    if let Some(compared) = &last.comparison {
        page.push_str(&comparison(compared));
    }
    page.push_str(
        "<h2>Figures</h2><div class=\"wide\"><table><tr><th>figure</th><th class=\"n\">mean</th><th class=\"n\">spread</th>",
    );
    for number in 1..=runs.len() {
        page.push_str(&format!("<th class=\"n\">run {number}</th>"));
    }
    page.push_str("</tr>");
    for row in rows(runs) {
        let spread = row.spread().map_or_else(String::new, |spread| format!("±{spread:.1} %"));
        page.push_str(&format!(
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{spread}</td>",
            row.figure,
            number(row.sample.mean())
        ));
        for value in &row.values {
            page.push_str(&format!(
                "<td class=\"n\">{}</td>",
                value.map_or_else(String::new, number)
            ));
        }
        page.push_str("</tr>");
    }
    page.push_str(
        "</table></div><p class=\"dim\">Spread: the standard deviation of the runs, as a part of their mean.</p></body></html>\n",
    );
    page
}

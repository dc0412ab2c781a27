//! A picture of a run: what is required beside what is, and below it who took part, by each figure that is compared.

use std::fmt::Write as _;

use crate::report::{Rounds, Spread, Verdict, number, word};
use crate::row::Row;

/// Names end here, and bars begin.
const BEGIN: f64 = 530.0;
/// Bars end here, at the latest; their figures stand behind them.
const END: f64 = 1_000.0;
const WIDTH: f64 = 1_190.0;
const LINE: f64 = 22.0;
/// How many times its bound a bar can show.
const BOUNDS: f64 = 2.5;
const MET: &str = "#2a7f4f";
const MISSED: &str = "#b3372f";
const OURS: &str = "#2f5f9e";
const THEIRS: &str = "#9aa3ad";

/// What grows downwards.
struct Canvas {
    svg: String,
    y: f64,
}

impl Canvas {
    fn text(&mut self, x: f64, words: &str, more: &str) {
        let y = self.y;
        let words = words.replace('&', "&amp;").replace('<', "&lt;");
        let _infallible = writeln!(self.svg, "<text x=\"{x:.1}\" y=\"{y}\" {more}>{words}</text>");
    }

    fn heading(&mut self, words: &str) {
        self.y += 2.0 * LINE;
        self.text(16.0, words, "font-weight=\"bold\"");
    }

    /// A bar to the median and a line from least to greatest; `whole` would fill it. What is said stands behind `clear`.
    fn bar(
        &mut self,
        name: &str,
        is: Spread,
        whole: f64,
        colour: &str,
        (clear, said): (f64, &str),
    ) {
        self.y += LINE;
        let x = |value: f64| BEGIN + (END - BEGIN) * (value / whole).min(1.0);
        let (top, middle) = (self.y - 12.0, self.y - 4.5);
        let (least, median, greatest) = (x(is.min), x(is.median), x(is.max));
        self.text(BEGIN - 8.0, name, "text-anchor=\"end\"");
        let _infallible = writeln!(
            self.svg,
            "<rect x=\"{BEGIN}\" y=\"{top}\" width=\"{:.1}\" height=\"15\" fill=\"{colour}\"/>\n\
             <path d=\"M{least:.1} {middle}H{greatest:.1}\" stroke=\"black\"/>",
            median - BEGIN,
        );
        // A bar or a line that is cut off has no end to be read.
        let cut = if is.max > whole { "\u{2026} " } else { "" };
        self.text(greatest.max(clear) + 6.0, &format!("{cut}{said}"), "");
    }
}

/// Draws it, under a line that says what ran where.
pub fn plot(caption: &str, rows: &[(&Row, Rounds)]) -> String {
    let mut canvas = Canvas { svg: String::new(), y: 26.0 };
    canvas.text(16.0, caption, "");
    requirements(&mut canvas, rows);
    for (row, rounds) in rows {
        for figure in row.compared() {
            servers(&mut canvas, row, rounds, figure);
        }
    }
    let (svg, height) = (canvas.svg, canvas.y + LINE);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{svg}</svg>\n"
    )
}

fn requirements(canvas: &mut Canvas, rows: &[(&Row, Rounds)]) {
    let bound = BEGIN + (END - BEGIN) / BOUNDS;
    canvas.heading(
        "What is required: median and range of the rounds; met to the left of the broken line",
    );
    let top = canvas.y + 6.0;
    for (row, rounds) in rows {
        for Verdict { what, spread, most, met } in rounds.verdicts(row) {
            let name = format!("{}: {what}", row.name);
            let colour = match met {
                Some(true) => MET,
                Some(false) => MISSED,
                None => THEIRS,
            };
            let said = format!("{} of {}, {}", number(spread.median), number(most), word(met));
            canvas.bar(&name, spread, BOUNDS * most, colour, (bound, &said));
        }
    }
    let bottom = canvas.y + 6.0;
    let _infallible = writeln!(
        canvas.svg,
        "<path d=\"M{bound} {top}V{bottom}\" stroke=\"black\" stroke-dasharray=\"4\"/>"
    );
}

fn servers(canvas: &mut Canvas, row: &Row, rounds: &Rounds, figure: &str) {
    let found = |peer| Some((peer, Spread::of(rounds.values(peer, figure))?));
    let found: Vec<_> = rounds.measured(row).filter_map(found).collect();
    let whole = found.iter().map(|(_, spread)| spread.max).fold(0.0, f64::max);
    if found.len() < 2 {
        return;
    }
    canvas.heading(&format!("{}: {figure}; {}", row.name, row.title));
    for (peer, spread) in found {
        let colour = if peer.livehelp() { OURS } else { THEIRS };
        canvas.bar(peer.name(), spread, whole, colour, (BEGIN, &spread.text()));
    }
}

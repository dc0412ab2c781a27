//! Line plots as inline SVG, drawn by hand: axes with round numbers, curves with names.

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 30.0;
const COLOURS: [&str; 4] = ["var(--a)", "var(--b)", "var(--c)", "var(--d)"];

/// One curve.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    name: &'static str,
    points: Vec<(f64, Option<f64>)>,
}

impl Curve {
    pub(crate) fn new(name: &'static str, points: Vec<(f64, f64)>) -> Self {
        let points = points.into_iter().map(|(at, value)| (at, Some(value))).collect();
        Self::broken(name, points)
    }

    /// One with gaps where nothing is known.
    pub(crate) fn broken(name: &'static str, points: Vec<(f64, Option<f64>)>) -> Self {
        Self { name, points }
    }
}

/// One plot.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    title: &'static str,
    along: &'static str,
    unit: &'static str,
    percentiles: bool,
    curves: Vec<Curve>,
}

impl Plot {
    pub(crate) fn new(title: &'static str, along: &'static str, unit: &'static str) -> Self {
        Self { title, along, unit, percentiles: false, curves: Vec::new() }
    }

    pub(crate) fn with(mut self, curve: Curve) -> Self {
        self.curves.push(curve);
        self
    }

    /// The first axis counts nines.
    pub(crate) fn by_percentile(mut self) -> Self {
        self.percentiles = true;
        self
    }

    pub(crate) fn svg(&self) -> String {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let first = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let last = points().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
        let most = points().filter_map(|point| point.1).fold(0.0, f64::max);
        if !first.is_finite() || last <= first {
            return String::new();
        }
        let step = round_step(most.max(1e-9) / 4.0);
        let top = (most.max(1e-9) / step).ceil() * step;
        let x = |value: f64| LEFT + (value - first) / (last - first) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\"><text x=\"{LEFT}\" y=\"14\" style=\"font-weight:600\">{}</text>",
            self.title, self.title
        );
        let mut value = 0.0;
        while value <= top * 1.001 {
            let at = y(value);
            svg.push_str(&format!(
                "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"var(--line)\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                short(value)
            ));
            value += step;
        }
        svg.push_str(&format!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            TOP - 12.0,
            self.unit
        ));
        for (at, label) in self.ticks(first, last) {
            svg.push_str(&format!(
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                x(at),
                HEIGHT - 10.0
            ));
        }
        for (number, curve) in self.curves.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            for piece in curve.points.split(|(_, value)| value.is_none()) {
                let path: Vec<String> = piece
                    .iter()
                    .filter_map(|(at, value)| Some(format!("{:.1},{:.1}", x(*at), y((*value)?))))
                    .collect();
                if path.is_empty() {
                    continue;
                }
                svg.push_str(&format!(
                    "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" points=\"{}\"/>",
                    path.join(" ")
                ));
            }
            let from_right = f64::from(u32::try_from(self.curves.len() - number).unwrap_or(0));
            let place = WIDTH - RIGHT - from_right * 130.0 + 110.0;
            svg.push_str(&format!(
                "<line x1=\"{}\" x2=\"{}\" y1=\"10\" y2=\"10\" stroke=\"{colour}\" stroke-width=\"3\"/><text x=\"{}\" y=\"14\" text-anchor=\"end\">{}</text>",
                place - 108.0,
                place - 94.0,
                place,
                curve.name
            ));
        }
        svg.push_str("</svg>");
        svg
    }

    fn ticks(&self, first: f64, last: f64) -> Vec<(f64, String)> {
        if self.percentiles {
            let labels = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
            let ticks = labels
                .iter()
                .zip(0_u32..)
                .map(|(label, nines)| (f64::from(nines), (*label).to_owned()));
            return ticks.filter(|(nines, _)| *nines <= last).collect();
        }
        let step = round_step((last - first) / 8.0);
        let mut at = (first / step).ceil() * step;
        let mut ticks = Vec::new();
        while at <= last {
            ticks.push((at, format!("{} {}", short(at), self.along)));
            at += step;
        }
        ticks
    }
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= least * 0.999).unwrap_or(power * 10.0)
}

fn short(value: f64) -> String {
    // Adding nothing makes a plain zero of the negative one.
    let rounded = (value * 1e6).round() / 1e6 + 0.0;
    if rounded.abs() >= 10_000.0 { format!("{}k", rounded / 1_000.0) } else { format!("{rounded}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_round_numbers_at_its_axes() {
        assert_eq!([0.3, 1.0, 1.1, 7.0, 430.0].map(round_step), [0.5, 1.0, 2.0, 10.0, 500.0]);
        let points = (0..10).map(|at| (f64::from(at), f64::from(at * 37))).collect();
        let svg = Plot::new("Title", "s", "ms").with(Curve::new("one", points)).svg();
        assert!(
            svg.contains(">300<") && svg.contains(">4 s<") && svg.contains("<polyline"),
            "{svg}"
        );
        assert_eq!(Plot::new("Title", "s", "ms").svg(), "");
        let gap = (0..9).map(|at| (f64::from(at), (at != 4).then_some(1.0))).collect();
        let svg = Plot::new("Title", "s", "ms").with(Curve::broken("one", gap)).svg();
        assert_eq!(svg.matches("<polyline").count(), 2, "{svg}");
    }
}

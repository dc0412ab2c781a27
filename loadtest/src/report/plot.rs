//! Line plots as inline SVG, drawn by hand: axes with round numbers and names, bands for phases,
//! curves with a key.

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 44.0;
const COLOURS: [&str; 4] = ["var(--a)", "var(--b)", "var(--c)", "var(--d)"];
/// How wide a letter of a band's name is at most.
const LETTER: f64 = 6.4;

/// One curve.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    name: &'static str,
    points: Vec<(f64, Option<f64>)>,
    /// Which colour, and whether it is dashed: what is told by two is of one colour.
    colour: usize,
    dashed: bool,
}

impl Curve {
    pub(crate) fn new(name: &'static str, points: Vec<(f64, f64)>) -> Self {
        let points = points.into_iter().map(|(at, value)| (at, Some(value))).collect();
        Self::broken(name, points)
    }

    /// One with gaps where nothing is known.
    pub(crate) fn broken(name: &'static str, points: Vec<(f64, Option<f64>)>) -> Self {
        Self { name, points, colour: 0, dashed: false }
    }

    pub(crate) fn colour(self, colour: usize) -> Self {
        Self { colour, ..self }
    }

    /// By another's word than the clients'.
    pub(crate) fn dashed(self) -> Self {
        Self { dashed: true, ..self }
    }

    fn ink(&self) -> &'static str {
        COLOURS[self.colour % COLOURS.len()]
    }
}

/// A stretch along the first axis, such as a phase.
#[derive(Debug, Clone)]
pub(crate) struct Band {
    pub(crate) name: String,
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) measured: bool,
}

/// One plot.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    title: &'static str,
    /// Names of the axes: along, up.
    along: &'static str,
    up: &'static str,
    percentiles: bool,
    curves: Vec<Curve>,
    bands: Vec<Band>,
}

impl Plot {
    pub(crate) fn new(title: &'static str, along: &'static str, up: &'static str) -> Self {
        let (curves, bands) = (Vec::new(), Vec::new());
        Self { title, along, up, percentiles: false, curves, bands }
    }

    /// A curve in the next colour.
    pub(crate) fn with(self, curve: Curve) -> Self {
        let colour = self.curves.len();
        self.with_own(curve.colour(colour))
    }

    /// A curve in its own colour.
    pub(crate) fn with_own(mut self, curve: Curve) -> Self {
        if curve.points.iter().any(|(_, value)| value.is_some()) {
            self.curves.push(curve);
        }
        self
    }

    pub(crate) fn over(mut self, bands: &[Band]) -> Self {
        self.bands = bands.to_vec();
        self
    }

    /// The first axis counts nines.
    pub(crate) fn by_percentile(mut self) -> Self {
        self.percentiles = true;
        self
    }

    /// As a figure of a page; nothing where there is nothing to draw.
    pub(crate) fn figure(&self) -> String {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let first = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let last = points().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
        let most = points().filter_map(|point| point.1).fold(0.0, f64::max);
        if !first.is_finite() || last <= first {
            return String::new();
        }
        let step = round_step(most.max(1e-9) / 4.0);
        let scale = Scale { first, last, top: (most.max(1e-9) / step).ceil() * step, step };
        let title = super::escaped(self.title);
        let mut page = format!("<figure><figcaption><b>{title}</b>");
        for curve in &self.curves {
            let line = if curve.dashed { "dashed" } else { "solid" };
            page.push_str(&format!(
                "<span class=\"key\"><i style=\"border-top:3px {line} {}\"></i>{}</span>",
                curve.ink(),
                curve.name
            ));
        }
        page.push_str(&format!(
            "</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
        ));
        self.draw_bands(&scale, &mut page);
        self.draw_axes(&scale, &mut page);
        for curve in &self.curves {
            draw_curve(curve, &scale, &mut page);
        }
        page.push_str("</svg></figure>");
        page
    }

    fn draw_bands(&self, scale: &Scale, svg: &mut String) {
        for (number, band) in self.bands.iter().enumerate() {
            let (from, to) = (band.from.max(scale.first), band.to.min(scale.last));
            if to <= from {
                continue;
            }
            let (left, width) = (scale.x(from), scale.x(to) - scale.x(from));
            let name = super::escaped(&band.name);
            let words = if band.measured { "" } else { ", not measured" };
            // Phases on end are told apart; what is not measured has no colour.
            let (ink, strength) = match (band.measured, number % 2 == 0) {
                (false, _) => ("var(--dim)", "0.07"),
                (true, true) => ("var(--a)", "0.07"),
                (true, false) => ("var(--a)", "0.13"),
            };
            svg.push_str(&format!(
                "<rect class=\"band\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\" \
                 fill=\"{ink}\" fill-opacity=\"{strength}\"><title>{name}{words}</title></rect>",
                HEIGHT - TOP - BOTTOM
            ));
            let shown = fitting(&band.name, words, width);
            if let Some(shown) = shown {
                svg.push_str(&format!(
                    "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                    left + width / 2.0,
                    TOP - 7.0,
                    super::escaped(&shown)
                ));
            }
        }
    }

    fn draw_axes(&self, scale: &Scale, svg: &mut String) {
        let mut value = 0.0;
        while value <= scale.top * 1.001 {
            let at = scale.y(value);
            svg.push_str(&format!(
                "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"var(--line)\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                short(value)
            ));
            value += scale.step;
        }
        for (at, label) in self.ticks(scale.first, scale.last) {
            svg.push_str(&format!(
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                scale.x(at),
                HEIGHT - BOTTOM + 16.0
            ));
        }
        let middle = TOP + (HEIGHT - TOP - BOTTOM) / 2.0;
        svg.push_str(&format!(
            "<text class=\"axis\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text class=\"axis\" transform=\"translate(14 {middle}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
            HEIGHT - 8.0,
            self.along,
            self.up
        ));
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
        let step = round_step((last - first) / 10.0);
        let mut at = (first / step).ceil() * step;
        let mut ticks = Vec::new();
        while at <= last {
            ticks.push((at, short(at)));
            at += step;
        }
        ticks
    }
}

/// From values to places.
struct Scale {
    first: f64,
    last: f64,
    top: f64,
    step: f64,
}

impl Scale {
    fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)
    }
}

fn draw_curve(curve: &Curve, scale: &Scale, svg: &mut String) {
    let ink = curve.ink();
    let dashes = if curve.dashed { " stroke-dasharray=\"5 4\"" } else { "" };
    for piece in curve.points.split(|(_, value)| value.is_none()) {
        let places: Vec<(f64, f64)> = piece
            .iter()
            .filter_map(|(at, value)| Some((scale.x(*at), scale.y((*value)?))))
            .collect();
        match places.as_slice() {
            [] => {}
            // A line of a single point would not be seen.
            [(x, y)] => {
                svg.push_str(&format!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"{ink}\"/>"
                ));
            }
            _ => {
                let path: Vec<String> =
                    places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                svg.push_str(&format!(
                    "<polyline fill=\"none\" stroke=\"{ink}\" stroke-width=\"1.6\"{dashes} points=\"{}\"/>",
                    path.join(" ")
                ));
            }
        }
    }
}

/// As much of a band's name as has room above it; none where not even a short form has.
fn fitting(name: &str, words: &str, width: f64) -> Option<String> {
    let fits = |text: &str| {
        f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX)) * LETTER <= width
    };
    let whole = format!("{name}{words}");
    if fits(&whole) {
        return Some(whole);
    }
    if fits(name) {
        return Some(name.to_owned());
    }
    let mut part: String = name.to_owned();
    while part.chars().count() > 2 {
        part.pop();
        let cut = format!("{}…", part.trim_end());
        if fits(&cut) {
            return Some(cut);
        }
    }
    None
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

    fn plot() -> Plot {
        let points = (0..10).map(|at| (f64::from(at), f64::from(at * 37))).collect();
        Plot::new("Title", "seconds", "milliseconds").with(Curve::new("one", points))
    }

    #[test]
    fn a_plot_has_round_numbers_at_its_axes_and_their_names() {
        assert_eq!([0.3, 1.0, 1.1, 7.0, 430.0].map(round_step), [0.5, 1.0, 2.0, 10.0, 500.0]);
        let svg = plot().figure();
        for part in [">300<", ">4<", "<polyline", ">seconds</text>", ">milliseconds</text>"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert_eq!(Plot::new("Title", "s", "ms").figure(), "");
    }

    #[test]
    fn a_gap_is_no_line_and_a_single_point_is_seen() {
        let gap = (0..9).map(|at| (f64::from(at), (at != 4 && at != 6).then_some(1.0))).collect();
        let svg = Plot::new("Title", "s", "ms").with(Curve::broken("one", gap)).figure();
        assert_eq!(svg.matches("<polyline").count(), 2, "{svg}");
        assert_eq!(svg.matches("<circle").count(), 1, "{svg}");
    }

    #[test]
    fn each_word_of_the_key_stands_beside_its_line() {
        let points = |by: f64| vec![(0.0, Some(by)), (9.0, Some(by))];
        let none = vec![(0.0, None), (9.0, None)];
        let svg = Plot::new("Title", "s", "ms")
            .with_own(Curve::broken("client", points(1.0)).colour(1))
            .with_own(Curve::broken("server", points(2.0)).colour(1).dashed())
            .with_own(Curve::broken("nobody", none))
            .figure();
        for (line, name) in [("solid", "client"), ("dashed", "server")] {
            let key = format!("<i style=\"border-top:3px {line} var(--b)\"></i>{name}</span>");
            assert!(svg.contains(&key), "{svg}");
        }
        assert_eq!(svg.matches("stroke-dasharray").count(), 1, "{svg}");
        assert!(!svg.contains("nobody"), "{svg}");
    }

    #[test]
    fn phases_are_bands_with_their_names() {
        let band = |name: &str, from: f64, to: f64, measured| Band {
            name: name.to_owned(),
            from,
            to,
            measured,
        };
        let bands = [
            band("warm up", 0.0, 3.0, false),
            band("<hold>", 3.0, 8.95, true),
            band("a last one", 8.95, 9.0, true),
            band("never reached", 20.0, 30.0, true),
        ];
        let svg = plot().over(&bands).figure();
        assert_eq!(svg.matches("class=\"band\"").count(), 3, "{svg}");
        assert!(svg.contains(">warm up, not measured</text>"), "{svg}");
        assert!(svg.contains(">&lt;hold&gt;</text>"), "{svg}");
        // No room for its name above it; whoever points at it reads it.
        assert!(svg.contains("<title>a last one</title>") && !svg.contains(">a last one</text>"));
        assert_eq!(fitting("forenoon", ", not measured", 30.0).as_deref(), Some("for…"));
        assert_eq!(fitting("forenoon", "", 60.0).as_deref(), Some("forenoon"));
    }
}

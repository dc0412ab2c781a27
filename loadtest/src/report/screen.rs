//! What a person sees while it runs: a live screen on a terminal, one line a second elsewhere,
//! nothing with `--quiet`.

use std::io::{IsTerminal as _, Write as _};

use ratatui::DefaultTerminal;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::Line;
use ratatui::widgets::{Block, Gauge, Paragraph, Sparkline};

use crate::number::{float, long, ratio, whole};
use crate::report::outcome::Point;
use crate::run::scenario::{Loop, Scenario};

/// Words of what happens that are kept on the screen.
const WORDS_MAX: usize = 4;

/// What is shown each second.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    pub(crate) phase: &'a str,
    pub(crate) point: &'a Point,
    pub(crate) series: &'a [Point],
}

#[derive(Debug)]
enum Form {
    Quiet,
    Lines,
    Terminal(Box<DefaultTerminal>),
}

/// Where it is shown. Dropped, it gives the terminal back.
#[derive(Debug)]
pub(crate) struct Screen {
    form: Form,
    title: String,
    /// Length of the phases; 0 for a search, whose end nobody knows.
    seconds: f64,
    phases: Vec<(f64, String)>,
    words: Vec<String>,
}

impl Screen {
    pub(crate) fn of(quiet: bool, scenario: &Scenario) -> Self {
        let form = if quiet {
            Form::Quiet
        } else if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
            // A terminal that cannot be drawn on gets lines.
            ratatui::try_init().map_or(Form::Lines, |terminal| {
                // Ctrl-C stays a signal: no key is read here.
                let _cooked = ratatui::crossterm::terminal::disable_raw_mode().is_ok();
                Form::Terminal(Box::new(terminal))
            })
        } else {
            Form::Lines
        };
        let title = format!("{}: {}", scenario.name, scenario.about);
        Self { form, title, seconds: 0.0, phases: Vec::new(), words: Vec::new() }
    }

    /// Says what happens.
    pub(crate) fn say(&mut self, words: &str) {
        if matches!(self.form, Form::Lines) {
            line(words);
        }
        if self.words.len() == WORDS_MAX {
            self.words.remove(0);
        }
        self.words.push(words.to_owned());
    }

    /// The phases begin.
    pub(crate) fn run(&mut self, scenario: &Scenario) {
        let mut end = 0.0;
        self.phases.clear();
        for phase in &scenario.phases {
            end += phase.seconds;
            let kind = format!("{:?}", phase.kind).to_lowercase();
            self.phases.push((end, phase.name.clone().unwrap_or(kind)));
        }
        self.seconds = if scenario.pacing == Loop::Search { 0.0 } else { end };
    }

    /// Shows a second.
    pub(crate) fn show(&mut self, live: &Live<'_>) {
        let phase = self.phase(live);
        match &mut self.form {
            Form::Quiet => {}
            Form::Lines => line(&progress(&phase, live.point)),
            Form::Terminal(terminal) => {
                let (title, words, seconds) = (&self.title, &self.words, self.seconds);
                let sight = Sight { title, phase: &phase, words, seconds, live };
                // Whoever resizes or leaves the terminal loses the picture, not the run.
                let _drawn = terminal.draw(|frame| draw(frame, &sight)).is_ok();
            }
        }
    }

    fn phase(&self, live: &Live<'_>) -> String {
        if self.seconds == 0.0 || live.point.second < 0.0 {
            return live.phase.to_owned();
        }
        let running = self.phases.iter().find(|(end, _)| live.point.second < *end);
        running.map_or_else(|| String::from("drains"), |(_, name)| name.clone())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if matches!(self.form, Form::Terminal(_)) {
            ratatui::restore();
        }
    }
}

fn line(words: &str) {
    // A progress line that nobody can read is no reason to stop.
    let _written = writeln!(std::io::stderr(), "{words}").is_ok();
}

fn progress(phase: &str, point: &Point) -> String {
    format!(
        "{:>6.0} s  {phase:12} {:>6} sent/s {:>7} delivered/s  p50 {:>8.2} ms  p99 {:>8.2} ms  ack p99 {:>8.2} ms  {:>6} conns  server {:>4} cores {:>6} MB  generator {:>4} cores",
        point.second.max(0.0),
        point.sent,
        point.delivered,
        point.delivery_p50_ms,
        point.delivery_p99_ms,
        point.ack_p99_ms,
        point.connections,
        seen(point.server_cpu_cores, 2),
        seen(point.server_resident_mb, 0),
        seen(point.generator_cpu_cores, 2),
    )
}

/// A number, or that nobody knows it.
fn seen(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| String::from("?"), |value| format!("{value:.digits$}"))
}

struct Sight<'a> {
    title: &'a str,
    phase: &'a str,
    words: &'a [String],
    seconds: f64,
    live: &'a Live<'a>,
}

fn draw(frame: &mut Frame<'_>, sight: &Sight<'_>) {
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(8),
        Constraint::Min(4),
        Constraint::Min(4),
        Constraint::Length(5),
    ]);
    let [title, gauge, numbers, rate, latency, words] = areas.areas(frame.area());
    frame.render_widget(Line::from(sight.title).bold(), title);
    let second = sight.live.point.second.max(0.0);
    let part = ratio(second, sight.seconds).min(1.0);
    let label = format!("{}  {second:.0} s of {:.0} s", sight.phase, sight.seconds);
    let bar = Gauge::default().gauge_style(Style::new().fg(Color::Blue)).ratio(part).label(label);
    frame.render_widget(bar, gauge);
    frame.render_widget(table(sight.live.point), numbers);
    spark(frame, rate, " messages delivered a second ", sight.live.series, |point| point.delivered);
    spark(frame, latency, " p99 of delivery, microseconds ", sight.live.series, |point| {
        whole(point.delivery_p99_ms * 1_000.0)
    });
    let lines: Vec<Line<'_>> = sight.words.iter().map(|words| Line::from(words.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered()), words);
}

fn table(point: &Point) -> Paragraph<'static> {
    let lines = vec![
        Line::from(format!(
            "sent {:>10}/s   acked {:>10}/s   delivered {:>10}/s",
            point.sent, point.acked, point.delivered
        )),
        Line::from(format!(
            "delivery p50 {:>10.2} ms   p99 {:>10.2} ms",
            point.delivery_p50_ms, point.delivery_p99_ms
        )),
        Line::from(format!("ack p99 {:>15.2} ms", point.ack_p99_ms)),
        Line::from(format!("connections {:>11}", point.connections)),
        Line::from(format!(
            "server {:>8} cores {:>8} MB",
            seen(point.server_cpu_cores, 2),
            seen(point.server_resident_mb, 0)
        )),
        Line::from(format!("generator {:>5} cores", seen(point.generator_cpu_cores, 2))),
    ];
    Paragraph::new(lines).block(Block::bordered().title(" this second "))
}

fn spark(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &'static str,
    series: &[Point],
    of: fn(&Point) -> u64,
) {
    let room = usize::from(area.width.saturating_sub(2));
    let from = series.len().saturating_sub(room);
    let values: Vec<u64> = series.iter().skip(from).map(of).collect();
    let most = values.iter().copied().max().unwrap_or(0);
    let title = format!("{title}(most {:.0}, last {} s) ", float(most), long(values.len()));
    let block = Block::bordered().title(title);
    let style = Style::new().fg(Color::Green);
    frame.render_widget(Sparkline::default().block(block).style(style).data(values), area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    #[test]
    fn the_screen_shows_the_second_and_its_history() {
        let point = |second: u32| Point {
            second: f64::from(second),
            delivered: u64::from(second) * 100,
            delivery_p99_ms: 12.5,
            connections: 42,
            ..Point::default()
        };
        let series: Vec<Point> = (0..30).map(point).collect();
        let live = Live { phase: "hold", point: &series[29], series: &series };
        let words = [String::from("people come")];
        let sight =
            Sight { title: "smoke", phase: "hold", words: &words, seconds: 60.0, live: &live };
        let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
        terminal.draw(|frame| draw(frame, &sight)).unwrap();
        let text = terminal.backend().to_string();
        for expected in ["smoke", "29 s of 60 s", "12.50 ms", "42", "most 2900", "people come"] {
            assert!(text.contains(expected), "{expected} is not in:\n{text}");
        }
    }
}

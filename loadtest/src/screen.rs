//! x
use crate::outcome::Point;
use crate::scenario::Scenario;

/// What is shown each second.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    pub(crate) phase: &'a str,
    pub(crate) point: &'a Point,
    pub(crate) series: &'a [Point],
}

#[derive(Debug)]
pub(crate) enum Screen {
    Quiet,
    Line,
}
impl Screen {
    pub(crate) fn of(quiet: bool, _: &Scenario) -> Self { if quiet { Self::Quiet } else { Self::Line } }
    pub(crate) fn say(&mut self, words: &str) { eprintln!("{words}"); }
    pub(crate) fn run(&mut self, _: &Scenario) {}
    pub(crate) fn show(&mut self, live: &Live<'_>) { eprintln!("{} {:?}", live.phase, live.point); }
}

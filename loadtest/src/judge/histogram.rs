//! What was timed and counted: HDR histograms and counters for each phase, and for each second of
//! the run.
//!
//! A value belongs to the phase in which it was due, not to the one in which it came. The same type
//! is what a worker records into, what it sends to the controller, and what the controller adds up.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::clock::{Micros, micros};
use crate::judge::figure::{Count, Timing};
use crate::judge::ledger::Findings;
use crate::number;

/// One microsecond to a minute, at three digits. What takes longer counts as a minute.
const LOWEST_US: u64 = 1;
const HIGHEST_US: u64 = 60_000_000;
const DIGITS: u8 = 3;

/// A histogram that goes over a wire as pairs of value and count.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Times(Histogram<u64>);

impl Default for Times {
    #[expect(
        clippy::expect_used,
        reason = "the bounds are constants that hdrhistogram takes; a test makes one"
    )]
    fn default() -> Self {
        let empty = Histogram::new_with_bounds(LOWEST_US, HIGHEST_US, DIGITS);
        Self(empty.expect("bounds that hdrhistogram takes"))
    }
}

impl Times {
    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(micros(took).max(LOWEST_US));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        // The bounds are the same for all, so there is nothing that would not fit.
        let _fits = self.0.add(&other.0);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn max_us(&self) -> u64 {
        self.0.max()
    }

    pub(crate) fn mean_us(&self) -> f64 {
        self.0.mean()
    }

    /// The value below which this part of all lies.
    pub(crate) fn quantile_us(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    pub(crate) fn pairs(&self) -> Vec<(u64, u64)> {
        let recorded = self.0.iter_recorded();
        recorded.map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }

    /// The text that HdrHistogram's plotter reads: values in milliseconds.
    pub(crate) fn hgrm(&self) -> String {
        let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
        let mut seen = 0;
        for step in self.0.iter_quantiles(5) {
            seen += step.count_since_last_iteration();
            let quantile = step.quantile_iterated_to();
            let value = number::float(step.value_iterated_to()) / 1_000.0;
            text.push_str(&format!("{value:12.3} {quantile:2.12} {seen:10}"));
            if quantile < 1.0 {
                text.push_str(&format!(" {:14.2}", 1.0 / (1.0 - quantile)));
            }
            text.push('\n');
        }
        let (mean, spread) = (self.0.mean() / 1_000.0, self.0.stdev() / 1_000.0);
        let max = number::float(self.0.max()) / 1_000.0;
        text.push_str(&format!("#[Mean    = {mean:12.3}, StdDeviation   = {spread:12.3}]\n"));
        text.push_str(&format!("#[Max     = {max:12.3}, Total count    = {:12}]\n", self.0.len()));
        text
    }
}

impl Serialize for Times {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.pairs().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut times = Self::default();
        for (value, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
            times.0.saturating_record_n(value.max(LOWEST_US), count);
        }
        Ok(times)
    }
}

/// All of one phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tally {
    pub(crate) times: BTreeMap<Timing, Times>,
    pub(crate) counts: BTreeMap<Count, u64>,
    /// What was seen to be wrong at once, of the running second alone; the ledger knows all at the
    /// end.
    pub(crate) wrong: Findings,
}

impl Tally {
    pub(crate) fn record(&mut self, timing: Timing, took: Duration) {
        self.times.entry(timing).or_default().record(took);
    }

    pub(crate) fn count(&mut self, count: Count, by: u64) {
        *self.counts.entry(count).or_default() += by;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (timing, times) in &other.times {
            self.times.entry(*timing).or_default().add(times);
        }
        for (count, by) in &other.counts {
            self.count(*count, *by);
        }
        self.wrong.add(&other.wrong);
    }

    pub(crate) fn of(&self, count: Count) -> u64 {
        self.counts.get(&count).copied().unwrap_or(0)
    }

    pub(crate) fn time(&self, timing: Timing) -> Option<&Times> {
        self.times.get(&timing).filter(|times| times.count() > 0)
    }
}

/// What one worker records into: a tally for each phase, and one for the running second.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// When the first phase begins; what was due earlier belongs to none.
    begin: Micros,
    /// When each phase ends; what is due later belongs to the last.
    ends: Vec<Micros>,
    phases: Vec<Tally>,
    /// What belongs to no phase: connecting, and what comes after the phases in which it was due
    /// were taken.
    before: Tally,
    /// Counts of the whole run.
    whole: Tally,
    second: Tally,
}

impl Recorder {
    /// Phases from this moment on, until these.
    pub(crate) fn phases(&mut self, begin: Micros, ends: Vec<Micros>) {
        self.begin = begin;
        self.phases = vec![Tally::default(); ends.len()];
        self.ends = ends;
    }

    fn at(&mut self, due: Micros) -> &mut Tally {
        if due < self.begin {
            return &mut self.before;
        }
        let last = self.phases.len().saturating_sub(1);
        let index = self.ends.iter().position(|end| due < *end).unwrap_or(last);
        self.phases.get_mut(index).unwrap_or(&mut self.before)
    }

    /// A message was acked now.
    pub(crate) fn acked(&mut self, due: Micros, now: Micros) {
        self.record(Timing::Ack, due, now.since(due));
        self.count(Count::Acked, due);
        let end = self.ends.iter().find(|end| due < **end);
        if due >= self.begin && end.is_some_and(|end| now < *end) {
            self.count(Count::AckedInTime, due);
        }
    }

    pub(crate) fn record(&mut self, timing: Timing, due: Micros, took: Duration) {
        // While all is drained nothing is due, and what the generator does then delays nothing that
        // is timed.
        if timing == Timing::LoopLag && self.ends.last().is_none_or(|end| due >= *end) {
            return;
        }
        self.at(due).record(timing, took);
        self.second.record(timing, took);
    }

    /// Something came that is wrong in itself, whatever else will come.
    pub(crate) fn wrong(&mut self, found: &Findings) {
        self.second.wrong.add(found);
    }

    /// The phases end at this moment: the running one is shorter, and those behind it never come.
    pub(crate) fn cut(&mut self, at: Micros) {
        let Some(running) = self.ends.iter().position(|end| at < *end) else { return };
        self.ends.truncate(running + 1);
        self.phases.truncate(running + 1);
        if let Some(end) = self.ends.last_mut() {
            *end = at;
        }
    }

    pub(crate) fn count(&mut self, count: Count, due: Micros) {
        self.add(count, due, 1);
    }

    pub(crate) fn add(&mut self, count: Count, due: Micros, by: u64) {
        self.at(due).count(count, by);
        self.whole.count(count, by);
        self.second.count(count, by);
    }

    /// What the last second was, and begins the next.
    pub(crate) fn take_second(&mut self) -> Tally {
        std::mem::take(&mut self.second)
    }

    /// Each phase so far; further ones may follow.
    pub(crate) fn take_phases(&mut self) -> Vec<Tally> {
        self.ends.clear();
        std::mem::take(&mut self.phases)
    }

    /// What belongs to no phase.
    pub(crate) fn take_before(&mut self) -> Tally {
        std::mem::take(&mut self.before)
    }

    /// Counts of the whole run.
    pub(crate) fn take_whole(&mut self) -> Tally {
        std::mem::take(&mut self.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn what_two_workers_recorded_adds_up() {
        let (mut one, mut two, mut both) = (Times::default(), Times::default(), Times::default());
        for number in 1..5_000 {
            let took = us(number * 7);
            if number % 3 == 0 {
                one.record(took)
            } else {
                two.record(took)
            }
            both.record(took);
        }
        let text = serde_json::to_string(&two).unwrap();
        let two: Times = serde_json::from_str(&text).unwrap();
        one.add(&two);
        assert_eq!(one, both);
        let p50 = both.quantile_us(0.5);
        assert!((17_480..=17_530).contains(&p50), "{p50}");
    }

    #[test]
    fn more_than_a_minute_counts_as_a_minute() {
        let mut times = Times::default();
        times.record(us(3_600_000_000));
        times.record(us(0));
        assert!((60_000_000..61_000_000).contains(&times.max_us()), "{}", times.max_us());
        assert!(times.hgrm().contains("Total count    =            2"));
    }

    #[test]
    fn a_value_belongs_to_the_phase_in_which_it_was_due() {
        let mut recorder = Recorder::default();
        recorder.record(Timing::Connect, Micros(5), us(1));
        recorder.phases(Micros(50), vec![Micros(100), Micros(200)]);
        // It was due before the first and came in it.
        recorder.record(Timing::Connect, Micros(49), us(9));
        recorder.record(Timing::Ack, Micros(99), us(500));
        recorder.record(Timing::Ack, Micros(100), us(500));
        recorder.record(Timing::Ack, Micros(999), us(500));
        let (phases, before) = (recorder.take_phases(), recorder.take_before());
        assert_eq!(before.time(Timing::Connect).map(Times::count), Some(2));
        let counts: Vec<_> = phases.iter().map(|p| p.time(Timing::Ack).map(Times::count)).collect();
        assert_eq!(counts, [Some(1), Some(2)]);
    }

    #[test]
    fn the_whole_run_has_what_came_before_between_and_after_its_phases() {
        let mut recorder = Recorder::default();
        recorder.count(Count::OfferedTwice, Micros(5));
        recorder.phases(Micros(10), vec![Micros(100)]);
        recorder.count(Count::OfferedTwice, Micros(50));
        recorder.take_phases();
        recorder.count(Count::OfferedTwice, Micros(150));
        assert_eq!(recorder.take_whole().of(Count::OfferedTwice), 3);
    }

    #[test]
    fn what_one_try_left_behind_is_not_counted_to_the_next() {
        let mut recorder = Recorder::default();
        recorder.phases(Micros(10), vec![Micros(100)]);
        recorder.take_phases();
        recorder.phases(Micros(200), vec![Micros(300)]);
        recorder.acked(Micros(90), Micros(250));
        recorder.count(Count::Delivered, Micros(90));
        let tries = recorder.take_phases();
        assert_eq!(tries, [Tally::default()]);
        assert_eq!(recorder.take_before().of(Count::Delivered), 1);
    }

    #[test]
    fn a_phase_that_is_cut_ends_there_and_those_behind_it_never_come() {
        let mut recorder = Recorder::default();
        recorder.phases(Micros(10), vec![Micros(100), Micros(200), Micros(300)]);
        recorder.count(Count::Sent, Micros(150));
        recorder.cut(Micros(160));
        // It was due before the cut and came after it; and what else is counted while all is
        // drained.
        recorder.acked(Micros(150), Micros(170));
        recorder.count(Count::Disconnects, Micros(180));
        let phases = recorder.take_phases();
        assert_eq!(phases.len(), 2);
        assert_eq!(phases[1].of(Count::Acked), 1);
        assert_eq!(phases[1].of(Count::AckedInTime), 0);
        assert_eq!(phases[1].of(Count::Disconnects), 1);
        // All phases are over: there is nothing to cut.
        recorder.phases(Micros(10), vec![Micros(100)]);
        recorder.cut(Micros(100));
        assert_eq!(recorder.take_phases().len(), 1);
    }

    #[test]
    fn a_second_has_all_that_was_timed_and_what_was_wrong_in_it() {
        let mut recorder = Recorder::default();
        recorder.record(Timing::Resume, Micros(1), us(7));
        recorder.wrong(&Findings { duplicate: 2, ..Findings::default() });
        let mut sum = recorder.take_second();
        sum.add(&recorder.take_second());
        assert_eq!(sum.time(Timing::Resume).map(Times::count), Some(1));
        assert_eq!(sum.wrong.duplicate, 2);
        assert_eq!(recorder.take_whole().wrong, Findings::default());
    }

    #[test]
    fn an_ack_is_in_time_as_long_as_its_phase_goes_on() {
        let mut recorder = Recorder::default();
        recorder.phases(Micros(10), vec![Micros(100), Micros(200)]);
        for (due, now) in [(50, 99), (60, 100), (150, 199), (160, 500), (250, 251)] {
            recorder.acked(Micros(due), Micros(now));
        }
        let phases = recorder.take_phases();
        let counts = [Count::Acked, Count::AckedInTime];
        let counts = phases.iter().map(|phase| counts.map(|count| phase.of(count)));
        assert_eq!(counts.collect::<Vec<_>>(), [[2, 1], [3, 1]]);
    }

    #[test]
    fn how_late_timers_are_while_all_is_drained_is_in_no_phase() {
        let mut recorder = Recorder::default();
        recorder.phases(Micros(10), vec![Micros(100)]);
        recorder.record(Timing::LoopLag, Micros(99), us(1));
        recorder.record(Timing::LoopLag, Micros(100), us(50_000));
        let phases = recorder.take_phases();
        recorder.record(Timing::LoopLag, Micros(99), us(60_000));
        assert_eq!(phases[0].time(Timing::LoopLag).map(Times::max_us), Some(1));
        assert_eq!(recorder.take_before(), Tally::default());
    }
}

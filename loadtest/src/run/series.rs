//! The run second by second, all workers together: for the screen and for the report's plots.

use crate::clock::Micros;
use crate::judge::figure::{Count, Stat, Timing};
use crate::judge::histogram::Tally;
use crate::number::{float, mebibytes, ratio};
use crate::report::outcome::Point;
use crate::run::process::Usage;

/// Points that are kept; beyond it every second one goes, so that a day's run still is a plot.
const POINTS_MAX: usize = 7_200;

/// What the workers said of the running second, and all seconds before it.
#[derive(Debug)]
pub(crate) struct Series {
    pids: Vec<u32>,
    /// What the seconds count from: the first look, and then the first phase.
    zero: Option<Micros>,
    running: bool,
    heard: Vec<Option<u64>>,
    sum: Tally,
    former: Option<(Micros, Option<Usage>, Option<Usage>)>,
    pub(crate) points: Vec<Point>,
}

impl Series {
    /// `pids` are the generator's on this machine.
    pub(crate) fn new(pids: Vec<u32>, workers: usize) -> Self {
        Self {
            pids,
            zero: None,
            running: false,
            heard: vec![None; workers],
            sum: Tally::default(),
            former: None,
            points: Vec::new(),
        }
    }

    /// The first phase begins at this moment.
    pub(crate) fn begin(&mut self, at: Micros) {
        if !self.running {
            self.running = true;
            let later = at.since(self.zero.replace(at).unwrap_or(at)).as_secs_f64();
            for point in &mut self.points {
                point.second -= later;
            }
        }
    }

    /// A worker's second; gives a point, and all that is in it, once every worker has said its own.
    pub(crate) fn second(
        &mut self,
        worker: usize,
        at: Micros,
        tally: &Tally,
        connections: u64,
        server: Option<Usage>,
    ) -> Option<(Point, Tally)> {
        self.sum.add(tally);
        if let Some(heard) = self.heard.get_mut(worker) {
            *heard = Some(connections);
        }
        if self.heard.iter().any(Option::is_none) {
            return None;
        }
        let connections = self.heard.iter_mut().filter_map(Option::take).sum();
        let generator = Usage::of(&self.pids).ok();
        let sum = std::mem::take(&mut self.sum);
        let ms = |timing, stat: Stat| sum.time(timing).map_or(0.0, |times| stat.of(times));
        let mut point = Point {
            second: (float(at.0) - float(self.zero.get_or_insert(at).0)) / 1e6,
            sent: sum.of(Count::Sent),
            acked: sum.of(Count::Acked),
            delivered: sum.of(Count::Delivered),
            connections,
            delivery_p50_ms: ms(Timing::Delivery, Stat::P50),
            delivery_p99_ms: ms(Timing::Delivery, Stat::P99),
            ack_p99_ms: ms(Timing::Ack, Stat::P99),
            server_resident_mb: server.map(|usage| mebibytes(usage.resident_bytes)),
            ..Point::default()
        };
        if let Some((before, server_before, generator_before)) =
            self.former.replace((at, server, generator))
        {
            let seconds = at.since(before).as_secs_f64();
            let cores = |now: Option<Usage>, before: Option<Usage>| {
                // Not seen at one end: nothing is known of the second, which is another thing than
                // idle.
                Some(ratio(now?.cpu_since(&before?).as_secs_f64(), seconds))
            };
            point.server_cpu_cores = cores(server, server_before);
            point.generator_cpu_cores = cores(generator, generator_before);
        }
        if self.points.len() >= POINTS_MAX {
            let mut number = 0_usize;
            self.points.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
        self.points.push(point.clone());
        Some((point, sum))
    }

    /// What the server itself said of all seconds after this one: the 99th percentiles of delivery
    /// and of acks.
    pub(crate) fn server_said(&mut self, after: f64, [delivery, ack]: [Option<f64>; 2]) {
        for point in self.points.iter_mut().rev().take_while(|point| point.second > after) {
            point.server_delivery_p99_ms = delivery;
            point.server_ack_p99_ms = ack;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_the_server_said_is_of_the_seconds_since_it_was_asked_before() {
        let mut series = Series::new(Vec::new(), 1);
        for at in 0..5 {
            series.second(0, Micros(at * 1_000_000), &Tally::default(), 1, None);
        }
        series.server_said(2.0, [Some(7.0), None]);
        let said: Vec<_> = series.points.iter().map(|p| p.server_delivery_p99_ms).collect();
        assert_eq!(said, [None, None, None, Some(7.0), Some(7.0)]);
        assert!(series.points.iter().all(|point| point.server_ack_p99_ms.is_none()));
    }

    #[test]
    fn a_look_that_failed_leaves_a_gap_and_no_zero() {
        let mut series = Series::new(vec![std::process::id()], 1);
        let usage = |ms| Usage { cpu: Duration::from_millis(ms), resident_bytes: 1_048_576 };
        let looks = [Some(usage(0)), Some(usage(500)), None, Some(usage(700)), Some(usage(800))];
        for (at, look) in (0..).zip(looks) {
            series.second(0, Micros(at * 1_000_000), &Tally::default(), 1, look);
        }
        let cores: Vec<_> = series.points.iter().map(|point| point.server_cpu_cores).collect();
        assert_eq!(cores, [None, Some(0.5), None, None, Some(0.1)]);
        let memory: Vec<_> = series.points.iter().map(|point| point.server_resident_mb).collect();
        assert_eq!(memory, [Some(1.0), Some(1.0), None, Some(1.0), Some(1.0)]);
    }
}

//! What time it is: for deadlines, for records, and for what may still be read.
//!
//! Lives here: the clock and the high-water mark, the latest trusted time that was persisted, so
//! that nothing that expired comes back when the clock does. Not here: who raises the mark
//! (`sweep`), how a clock is judged (`privacy::sweep`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use protocol::time::{Day, UnixMillis};

use crate::clock::Clock;
use crate::privacy::sweep::{Trust, judge_at_start, reading_day, record_time};

/// The node's clock and the mark that records and reads go by.
#[derive(Debug)]
pub(crate) struct Times {
    clock: Arc<dyn Clock>,
    high_water: Mutex<HighWater>,
}

/// The mark that records and reads go by, since when, and what the store had then: mostly the same.
#[derive(Debug, Clone, Copy)]
struct HighWater {
    mark: UnixMillis,
    read_at: Instant,
    stored: UnixMillis,
}

impl Times {
    /// Times by this clock, of which the store has said nothing yet.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let high_water =
            HighWater { mark: clock.now(), read_at: clock.instant(), stored: UnixMillis(0) };
        Self { clock, high_water: Mutex::new(high_water) }
    }

    /// Wall time, for deadlines.
    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// A moment that is compared with others of this process.
    pub(super) fn instant(&self) -> Instant {
        self.clock.instant()
    }

    /// Time since then.
    pub(super) fn since(&self, then: Instant) -> Duration {
        self.clock.instant().saturating_duration_since(then)
    }

    /// The time that a record gets.
    pub(super) fn record_time(&self) -> UnixMillis {
        self.at(self.clock.instant()).0
    }

    /// The time that a record gets, and the day by which reads judge, at a moment that was just
    /// now: a message needs both, and each look at a clock or a lock is one for every message.
    pub(super) fn at(&self, at: Instant) -> (UnixMillis, Day) {
        let HighWater { mark, read_at, .. } = *self.high_water.lock();
        let (passed, now) = (at.saturating_duration_since(read_at).as_millis(), self.now());
        let passed_ms = u64::try_from(passed).unwrap_or(u64::MAX);
        (record_time(mark, passed_ms, now), reading_day(mark, now))
    }

    /// Takes in what the store says of the mark.
    pub(super) fn marked(&self, stored: UnixMillis) {
        let mut known = self.high_water.lock();
        // The same mark read again has not begun anew: time went on from when it was first read.
        if known.stored != stored {
            *known = HighWater { mark: stored, read_at: self.clock.instant(), stored };
        }
    }

    /// The mark that a start found, judged as the sweep's first round judges it a moment later:
    /// what is said until that round's mark is read must not be dated before it.
    pub(super) fn first_marked(&self, stored: UnixMillis) {
        let known = Some(stored).filter(|stored| stored.0 > 0);
        let mark = match judge_at_start(known, self.now(), self.clock.synced()) {
            Trust::Trusted(at) => at,
            Trust::Ahead | Trust::Behind => stored,
        };
        *self.high_water.lock() = HighWater { mark, read_at: self.clock.instant(), stored };
    }

    /// The day by which reads judge: the later of the wall clock and the persisted mark.
    pub(super) fn today(&self) -> Day {
        reading_day(self.high_water.lock().mark, self.now())
    }

    /// The day of the mark alone, by which the sweep destroys.
    pub(super) fn marked_day(&self) -> Day {
        self.high_water.lock().mark.day()
    }
}

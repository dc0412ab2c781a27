//! How fast a backup may go: slowly enough that those who write beside it do not notice.
//!
//! Lives here: the share of the disk and of a core that it takes, and the word by which it stops.
//! Not here: what it reads and writes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::{Clock as _, SystemClock};
use crate::folder::free_bytes;
use crate::store::sqlite::{Pace, Rest};

const MIB: u64 = 1024 * 1024;
/// What is worked without a rest, where it is the processor that is worked with.
const WORK: Duration = Duration::from_millis(4);
/// So many times as long it rests then: a fifth of a core.
const REST_TIMES: u32 = 4;
/// How far it may lie behind its rate and still make up for it.
const BEHIND_MAX: Duration = Duration::from_millis(100);
/// The longest rest, so that a stop is heard.
const REST_MAX: Duration = Duration::from_millis(250);
/// What must stay free on the disk of the data, or half of what was free at the beginning where
/// that is less.
const DATA_ROOM_BYTES: u64 = 64 * MIB;

/// What others may see of a backup, and the word that stops it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) done_bytes: AtomicU64,
    pub(super) of_bytes: AtomicU64,
    pub(super) is_verifying: AtomicBool,
    pub(super) stop: AtomicBool,
    /// It stopped because what is written meanwhile would have filled the data's disk.
    pub(super) data_is_short_of_room: AtomicBool,
}

impl Progress {
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// The pace of one backup.
#[derive(Debug, Clone)]
pub(super) struct Pacer {
    /// Bytes in a second; `None`: as fast as it goes, without a rest.
    rate: Option<u64>,
    progress: Arc<Progress>,
    /// Since when, and how many bytes.
    since: Instant,
    bytes: u64,
    /// How far a copy has come.
    done: u64,
    /// The data's folder, and what its disk must have left.
    room: Option<(PathBuf, u64)>,
}

impl Pacer {
    /// At most so many bytes in a second, and a fifth of a core; ends where the disk of the data
    /// runs short.
    pub(super) fn of(rate: u64, progress: Arc<Progress>, data: PathBuf) -> Self {
        let least = free_bytes(&data).ok().map(|free| DATA_ROOM_BYTES.min(free / 2));
        let room = least.map(|least| (data, least));
        let (since, rate) = (SystemClock.instant(), Some(rate.max(1)));
        Self { rate, progress, since, bytes: 0, done: 0, room }
    }

    /// As fast as it goes.
    pub(super) fn free() -> Self {
        Self {
            rate: None,
            progress: Arc::default(),
            since: SystemClock.instant(),
            bytes: 0,
            done: 0,
            room: None,
        }
    }

    /// So many bytes more were read or written: rests where that was too fast. `false`: stop.
    pub(super) fn passed(&mut self, bytes: u64) -> bool {
        let Some(rate) = self.rate else { return true };
        self.bytes += bytes;
        if let Some((data, least)) = &self.room
            && free_bytes(data).is_ok_and(|free| free < *least)
        {
            self.progress.data_is_short_of_room.store(true, Ordering::Release);
            self.progress.stop.store(true, Ordering::Release);
        }
        let due = Duration::from_secs_f64(self.bytes as f64 / rate as f64);
        let now = SystemClock.instant();
        if now.saturating_duration_since(self.since) > due + BEHIND_MAX {
            // What stood still for a while is not made up for all at once.
            (self.since, self.bytes) = (now, 0);
            return !self.progress.is_stopped();
        }
        loop {
            if self.progress.is_stopped() {
                return false;
            }
            let passed = SystemClock.instant().saturating_duration_since(self.since);
            match due.checked_sub(passed) {
                Some(left) if !left.is_zero() => rest(left.min(REST_MAX)),
                _ => return true,
            }
        }
    }

    /// For what reads long in SQLite.
    pub(super) fn rest(&self) -> Rest {
        if self.rate.is_none() {
            return Box::new(|| false);
        }
        let progress = Arc::clone(&self.progress);
        let mut since = SystemClock.instant();
        Box::new(move || {
            let worked = SystemClock.instant().saturating_duration_since(since);
            if worked >= WORK {
                rest((worked * REST_TIMES).min(REST_MAX));
                since = SystemClock.instant();
            }
            progress.is_stopped()
        })
    }
}

impl Pace for Pacer {
    fn copied(&mut self, done: u64, of: u64) -> bool {
        self.progress.done_bytes.store(done, Ordering::Release);
        self.progress.of_bytes.store(of, Ordering::Release);
        let step = done.saturating_sub(self.done);
        self.done = done;
        self.passed(step)
    }

    fn rest(&self) -> Rest {
        Self::rest(self)
    }
}

#[expect(clippy::disallowed_methods, reason = "on a thread for what blocks")]
fn rest(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_no_faster_than_it_may_be_and_stops_when_told() {
        let progress = Arc::<Progress>::default();
        let mut pace = Pacer::of(10 * MIB, Arc::clone(&progress), PathBuf::from("/nowhere"));
        let began = SystemClock.instant();
        assert!(pace.copied(MIB, 4 * MIB));
        assert!(began.elapsed() >= Duration::from_millis(100), "a tenth of a second's worth");
        assert_eq!(progress.done_bytes.load(Ordering::Acquire), MIB);
        progress.stop.store(true, Ordering::Release);
        assert!(!pace.copied(2 * MIB, 4 * MIB));
        assert!((pace.rest())(), "SQLite is told to stop too");
    }
}

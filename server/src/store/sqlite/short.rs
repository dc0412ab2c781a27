//! The one question that every visitor asks on coming, answered where it is asked.
//!
//! Lives here: a connection for it, and the judgement whether its answer is in memory. Not here:
//! what is read (`read`), and the readers to whom everything else is handed. Used by the store
//! alone.

use std::time::{Duration, Instant};

use rusqlite::Connection;

/// What a read may take that finds its pages in memory: it takes some five microseconds, and the
/// disk at least a hundred.
const SHORT: Duration = Duration::from_micros(300);

/// Time that may be lost to the disk at once. On a busy machine a read may also seem long that was
/// only put aside.
const WAITED_MAX: Duration = Duration::from_millis(20);

/// The share of a serving thread's time that may be lost to the disk for long.
const WAITED_SHARE: u32 = 50;

/// How long nobody reads here after a fault, about which the readers have the last word.
const REST: Duration = Duration::from_secs(1);

/// A connection for reads of a few pages.
#[derive(Debug)]
pub(super) struct Short {
    /// None once closed.
    connection: Option<Connection>,
    /// What was lost to the disk, less the share of the time that passed.
    waited: Duration,
    /// When that was so; later than now while it rests.
    since: Instant,
}

impl Short {
    /// Without a connection it is closed from the beginning.
    ///
    /// # Errors
    /// If the connection cannot be told to wait for nobody.
    pub(super) fn new(connection: Option<Connection>, now: Instant) -> rusqlite::Result<Self> {
        if let Some(connection) = &connection {
            connection.busy_timeout(Duration::ZERO)?;
        }
        Ok(Self { connection, waited: Duration::ZERO, since: now })
    }

    /// The connection, unless too much was lost to the disk of late.
    pub(super) fn awake(&mut self, now: Instant) -> Option<&Connection> {
        let passed = now.checked_duration_since(self.since)?;
        // Most reads find nothing to be forgiven.
        if !self.waited.is_zero() {
            self.waited = self.waited.saturating_sub(passed / WAITED_SHARE);
        }
        self.since = now;
        self.connection.as_ref().filter(|_| self.waited < WAITED_MAX)
    }

    /// A read ended that took so long.
    pub(super) fn took(&mut self, took: Duration) {
        if took > SHORT {
            self.waited += took;
        }
    }

    /// A read did not succeed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.since = now + REST;
    }

    /// Lets the file go.
    pub(super) fn close(&mut self) {
        self.connection = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    #[test]
    fn whoever_serves_waits_for_a_cold_disk_a_fiftieth_of_their_time() {
        let begin = SystemClock.instant();
        let connection = Connection::open_in_memory().unwrap();
        let mut short = Short::new(Some(connection), begin).unwrap();
        let ms = |ms| begin + Duration::from_millis(ms);
        for _ in 0..10_000 {
            short.took(Duration::from_micros(5));
        }
        short.took(Duration::from_millis(15));
        assert!(short.awake(ms(0)).is_some(), "once is nothing");
        short.took(Duration::from_millis(15));
        assert!(short.awake(ms(499)).is_none());
        assert!(short.awake(ms(501)).is_some());
        let mut waited = 0;
        for at in 501..60_501 {
            if short.awake(ms(at)).is_some() {
                short.took(Duration::from_millis(10));
                waited += 10;
            }
        }
        assert!((1_190..=1_220).contains(&waited), "{waited} ms of a minute");
    }

    #[test]
    fn after_a_fault_the_readers_are_asked() {
        let begin = SystemClock.instant();
        let connection = Connection::open_in_memory().unwrap();
        let mut short = Short::new(Some(connection), begin).unwrap();
        short.failed(begin);
        assert!(short.awake(begin + REST - Duration::from_millis(1)).is_none());
        assert!(short.awake(begin + REST).is_some());
        short.close();
        assert!(short.awake(begin + REST).is_none());
    }
}

//! What time it is, for the whole harness, and the one way to wait for a moment that is nearer than
//! a timer's tick.
//!
//! All times of a run are microseconds since 1970, so that workers in other processes mean the same
//! moment.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::time::UnixMillis;

/// A moment in microseconds since 1970.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub(crate) struct Micros(pub u64);

impl Micros {
    /// From an earlier moment to this one; 0 if it is not earlier.
    #[must_use]
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Later by so much.
    #[must_use]
    pub(crate) fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(micros(later)))
    }

    /// Earlier by so much.
    #[must_use]
    pub(crate) fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(micros(earlier)))
    }
}

impl From<UnixMillis> for Micros {
    fn from(moment: UnixMillis) -> Self {
        Self(moment.0.saturating_mul(1_000))
    }
}

/// A duration in microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Reads wall time once and counts on with the monotonic clock: a step of the wall clock does not
/// touch a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    anchor: Instant,
    anchor_us: u64,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the harness's one caller of the clocks")]
    pub(crate) fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { anchor: Instant::now(), anchor_us: micros(since) }
    }

    pub(crate) fn now(&self) -> Micros {
        Micros(self.anchor_us.saturating_add(micros(self.anchor.elapsed())))
    }

    /// The instant of a moment, for timers.
    pub(crate) fn instant(&self, at: Micros) -> tokio::time::Instant {
        let later = Duration::from_micros(at.0.saturating_sub(self.anchor_us));
        tokio::time::Instant::from_std(self.anchor + later)
    }

    /// Stops this thread until the moment. Only for threads of their own: a timer of tokio is up to
    /// 1 ms late.
    #[expect(clippy::disallowed_methods, reason = "the pacer's thread has nothing else to do")]
    pub(crate) fn park_until(&self, at: Micros) {
        let left = at.since(self.now());
        if !left.is_zero() {
            std::thread::sleep(left);
        }
    }
}

/// A moment in milliseconds since 1970 as `2025-01-31T12:00:00Z`.
pub(crate) fn iso_8601(unix_ms: u64) -> String {
    let since = time::Duration::milliseconds(i64::try_from(unix_ms).unwrap_or(i64::MAX));
    let at = time::OffsetDateTime::UNIX_EPOCH.saturating_add(since);
    let (hour, minute, second) = at.time().as_hms();
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", at.date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_calendars_have_it() {
        for (unix_s, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
        ] {
            assert_eq!(iso_8601(unix_s * 1_000), text);
        }
    }
}

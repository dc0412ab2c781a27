//! The only place that asks what time it is. Everything else is handed a [`Clock`]. Beside it, a
//! moment as programs write it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::time::UnixMillis;
use time::OffsetDateTime;

/// Wall time for records and deadlines, monotonic time for waiting.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Wall time, UTC.
    fn now(&self) -> UnixMillis;
    /// Monotonic time.
    fn instant(&self) -> Instant;
    /// Whether something says that others keep the wall clock right.
    fn synced(&self) -> bool {
        false
    }
}

/// `2026-11-24T02:04:19.999Z` (RFC 3339).
pub fn rfc3339(at: UnixMillis) -> String {
    let at = utc(at);
    let (hour, minute, second, ms) = at.time().as_hms_milli();
    format!("{}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z", at.date())
}

/// What lies beyond the calendar's last year, 9999, is its last moment.
pub(crate) fn utc(at: UnixMillis) -> OffsetDateTime {
    let since = time::Duration::milliseconds(i64::try_from(at.0).unwrap_or(i64::MAX));
    OffsetDateTime::UNIX_EPOCH.saturating_add(since)
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The machine's clocks, with what tells that they are right.
#[derive(Debug, Clone)]
pub struct SyncedClock {
    /// A path that exists while the system's clock is synchronised.
    pub sync_file: std::path::PathBuf,
}

impl Clock for SyncedClock {
    fn now(&self) -> UnixMillis {
        SystemClock.now()
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }

    fn synced(&self) -> bool {
        // A path that cannot be looked at tells nothing.
        self.sync_file.try_exists().unwrap_or(false)
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one caller of the wall clock")]
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "the one caller of the monotonic clock")]
    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// Microseconds of the system's monotonic clock, by which systemd orders what it hears
/// (sd_notify(3)).
pub fn monotonic_usec() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or(0).saturating_mul(1_000_000).saturating_add(nanos.unwrap_or(0) / 1_000)
}

/// A clock that moves when a test says so.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicU64,
    origin: Instant,
    start_ms: u64,
    synced: AtomicBool,
}

impl ManualClock {
    /// Stands at this moment until it is moved.
    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin for monotonic time")]
    pub fn new(at: UnixMillis) -> Self {
        Self {
            wall_ms: AtomicU64::new(at.0),
            origin: Instant::now(),
            start_ms: at.0,
            synced: AtomicBool::new(true),
        }
    }

    /// Moves on.
    pub fn advance_ms(&self, ms: u64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// From now on others keep it right, or nobody does.
    pub fn set_synced(&self, synced: bool) {
        self.synced.store(synced, Ordering::SeqCst);
    }

    /// Jumps, back as well.
    pub fn set(&self, at: UnixMillis) {
        self.wall_ms.store(at.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.wall_ms.load(Ordering::SeqCst))
    }

    fn instant(&self) -> Instant {
        self.origin + Duration::from_millis(self.now().0.saturating_sub(self.start_ms))
    }

    fn synced(&self) -> bool {
        self.synced.load(Ordering::SeqCst)
    }
}

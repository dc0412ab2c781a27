//! The only place that asks what time it is, or lets it pass.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time, for latencies and windows.
#[expect(clippy::disallowed_methods, reason = "the door to the monotonic clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, for ids and rows.
#[expect(clippy::disallowed_methods, reason = "the door to the wall clock")]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Waits while nothing is measured.
#[expect(clippy::disallowed_methods, reason = "one thread that has nothing else to do")]
pub fn pause(length: Duration) {
    std::thread::sleep(length);
}

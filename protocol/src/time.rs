//! Moments and days on the wire.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

/// Milliseconds of one UTC day; there are no leap seconds in Unix time.
const DAY_MS: u64 = 86_400_000;

/// Days from 1970-01-01 to 2020-01-01, where [`Day`] begins.
const DAY_ZERO: u64 = 18_262;

impl UnixMillis {
    /// The UTC day it falls on; a moment before 2020 falls on day 0, one after 2199 on the last.
    pub fn day(self) -> Day {
        let days = (self.0 / DAY_MS).saturating_sub(DAY_ZERO);
        Day(u16::try_from(days).unwrap_or(u16::MAX))
    }

    /// Later by so many milliseconds.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since an earlier moment; 0 if it is not earlier.
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A UTC day, counted from 2020-01-01 as 0; the last one is in 2199.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub u16);

impl Day {
    /// The first instant of the day.
    pub fn start(self) -> UnixMillis {
        UnixMillis((u64::from(self.0) + DAY_ZERO) * DAY_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!(UnixMillis(1_577_836_800_000).day(), Day(0));
        assert_eq!(UnixMillis(1_577_923_199_999).day(), Day(0));
        assert_eq!(UnixMillis(1_577_923_200_000).day(), Day(1));
        assert_eq!(Day(1).start(), UnixMillis(1_577_923_200_000));
    }
}

//! Days and moments as text for people: ISO 8601, UTC.

use protocol::time::{Day, UnixMillis};
use time::{Duration, OffsetDateTime};

/// `2026-11-24`.
pub(crate) fn iso_day(day: Day) -> String {
    utc(day.start()).date().to_string()
}

/// `2026-11-24 02:04:19 UTC`.
pub(crate) fn iso_moment(at: UnixMillis) -> String {
    let at = utc(at);
    let (hour, minute, second) = at.time().as_hms();
    format!("{} {hour:02}:{minute:02}:{second:02} UTC", at.date())
}

/// What lies beyond the calendar's last year, 9999, is its last moment.
fn utc(at: UnixMillis) -> OffsetDateTime {
    let since = Duration::milliseconds(i64::try_from(at.0).unwrap_or(i64::MAX));
    OffsetDateTime::UNIX_EPOCH.saturating_add(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_moments_have_their_usual_spelling() {
        assert_eq!(iso_day(Day(0)), "2020-01-01");
        assert_eq!(iso_day(Day(59)), "2020-02-29");
        assert_eq!(iso_day(Day(60)), "2020-03-01");
        assert_eq!(iso_day(Day(366)), "2021-01-01");
        assert_eq!(iso_moment(UnixMillis(0)), "1970-01-01 00:00:00 UTC");
        assert_eq!(iso_moment(UnixMillis(1_795_485_859_999)), "2026-11-24 02:04:19 UTC");
        assert_eq!(iso_moment(UnixMillis(u64::MAX)), "9999-12-31 23:59:59 UTC");
    }
}

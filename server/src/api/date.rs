//! Days and moments as text for people: ISO 8601, UTC.

use protocol::time::{Day, UnixMillis};

const DAY_MS: u64 = 86_400_000;

/// `2026-11-24`.
pub(crate) fn iso_day(day: Day) -> String {
    let (year, month, day) = civil(day.start().0 / DAY_MS);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2026-11-24 02:04:19 UTC`.
pub(crate) fn iso_moment(at: UnixMillis) -> String {
    let (year, month, day) = civil(at.0 / DAY_MS);
    let seconds = at.0 % DAY_MS / 1000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month and day of the month of a day since 1970. Years that begin in March have the leap day last.
fn civil(days: u64) -> (u64, u64, u64) {
    let from_march_0 = days + 719_468;
    let (era, of_era) = (from_march_0 / 146_097, from_march_0 % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
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
    }
}

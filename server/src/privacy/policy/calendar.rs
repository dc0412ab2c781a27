//! Days, months and the calendar that retention counts by: whole days of UTC (CLK-02 to CLK-05).

use protocol::time::{Day, UnixMillis};

/// The day after; the last one that can be named has none.
pub(super) fn next_day(day: Day) -> Day {
    Day(day.0.saturating_add(1))
}

/// The day whose beginning is the first not before this moment.
pub(super) fn first_midnight_from(at: UnixMillis) -> Day {
    let day = at.day();
    if at > day.start() { next_day(day) } else { day }
}

/// So many calendar months later: the same day of the month, or the month's last where it has none.
pub(super) fn add_months(day: Day, months: u32) -> Day {
    let (year, month, day_of_month) = civil(day);
    let months = year * 12 + (month - 1) + months;
    let (year, month) = (months / 12, months % 12 + 1);
    day_number(year, month, day_of_month.min(days_in_month(year, month)))
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 0000-03-01 to 2020-01-01. Years that begin in March have the leap day last.
const DAY_ZERO_FROM_MARCH_0: u32 = 737_730;

/// Year, month and day of the month, in the proleptic Gregorian calendar.
pub(super) fn civil(day: Day) -> (u32, u32, u32) {
    let days = u32::from(day.0) + DAY_ZERO_FROM_MARCH_0;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day_of_month)
}

/// The reverse; a day beyond the last one that a [`Day`] can name is that last one.
pub(super) fn day_number(year: u32, month: u32, day_of_month: u32) -> Day {
    let year = year - u32::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5 + day_of_month - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Day(u16::try_from(days - DAY_ZERO_FROM_MARCH_0).unwrap_or(u16::MAX))
}

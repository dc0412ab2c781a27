//! Days and moments as text: ISO 8601, UTC for people, RFC 3339 for programs; and read from such
//! text.

use protocol::time::{Day, UnixMillis};
use serde::{Deserialize, Deserializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::utc;

/// Unix milliseconds up to the end of the calendar's last year, 9999.
pub(crate) const MOMENT_MAX: u64 = 253_402_300_799_999;

/// A moment in a request: RFC 3339 text, or Unix milliseconds as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) UnixMillis);

impl std::str::FromStr for Moment {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let ms = match text.parse::<u64>() {
            Ok(ms) => ms,
            Err(_) => {
                // In a query, `+` is a space: who wrote an offset and did not escape it meant that.
                let text = text.replace(' ', "+");
                let at = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| ())?;
                u64::try_from(at.unix_timestamp_nanos() / 1_000_000).map_err(|_| ())?
            }
        };
        if ms <= MOMENT_MAX { Ok(Self(UnixMillis(ms))) } else { Err(()) }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let words = "RFC 3339, such as 2026-11-24T02:04:19Z, or Unix milliseconds";
        text.parse().map_err(|()| de::Error::custom(words))
    }
}

/// `2026-11-24`.
pub(crate) fn iso_day(day: Day) -> String {
    utc(day.start()).date().to_string()
}

/// The reverse; none for another form, and for a day before 2020.
pub(crate) fn parse_day(text: &str) -> Option<Day> {
    let day = format!("{text}T00:00:00Z").parse::<Moment>().ok()?.0.day();
    (iso_day(day) == text).then_some(day)
}

/// `2026-11-24 02:04:19 UTC`.
pub(crate) fn iso_moment(at: UnixMillis) -> String {
    let at = utc(at);
    let (hour, minute, second) = at.time().as_hms();
    format!("{} {hour:02}:{minute:02}:{second:02} UTC", at.date())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::rfc3339;

    #[test]
    fn a_moment_is_read_as_a_number_or_as_text_with_any_offset() {
        let read = |text: &str| text.parse::<Moment>().map(|moment| moment.0.0);
        assert_eq!(read("1795485859999"), Ok(1_795_485_859_999));
        for text in ["2026-11-24T02:04:19.999Z", "2026-11-24T03:04:19.999+01:00"] {
            assert_eq!(read(text), Ok(1_795_485_859_999), "{text}");
        }
        assert_eq!(read("2026-11-24T03:04:19.999 01:00"), Ok(1_795_485_859_999));
        assert_eq!(read("2026-11-24t02:04:19z"), Ok(1_795_485_859_000));
        for text in ["", "-1", "2026-11-24", "1969-12-31T23:59:59Z", "99999999999999999999", "soon"]
        {
            assert_eq!(read(text), Err(()), "{text}");
        }
        assert_eq!(rfc3339(UnixMillis(MOMENT_MAX)), "9999-12-31T23:59:59.999Z");
    }

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

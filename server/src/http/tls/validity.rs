//! Until when a certificate holds: the one field of X.509 that is read here (RFC 5280, 4.1.2.5).

use protocol::time::UnixMillis;
use time::{Date, Month, PrimitiveDateTime, Time};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which stands in brackets where it is not the first.
const VERSION: u8 = 0xa0;

/// The moment after which a certificate in DER is expired. `None`: it cannot be read.
pub(super) fn not_after(der: &[u8]) -> Option<UnixMillis> {
    let (certificate, _) = value(der, SEQUENCE)?;
    let (signed, _) = value(certificate, SEQUENCE)?;
    let rest = value(signed, VERSION).map_or(signed, |(_, rest)| rest);
    let (_serial, rest) = value(rest, INTEGER)?;
    let (_algorithm, rest) = value(rest, SEQUENCE)?;
    let (_issuer, rest) = value(rest, SEQUENCE)?;
    let (validity, _) = value(rest, SEQUENCE)?;
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    moment(tag, text)
}

/// The first element, if it is of this kind, and what stands behind it.
fn value(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, value, rest) = element(der)?;
    (tag == wanted).then_some((value, rest))
}

/// Tag, value and rest.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    const LONG: u8 = 0x80;
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < LONG {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(*first - LONG);
        // Four gigabytes are enough, and none at all is a length that only the end tells: not in
        // DER.
        let digits = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
        let length = digits.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        (length, rest.get(count..)?)
    };
    Some((*tag, rest.get(..length)?, rest.get(length..)?))
}

/// `YYMMDDHHMMSSZ`, where 50 is 1950, or with four digits of the year.
fn moment(tag: u8, text: &[u8]) -> Option<UnixMillis> {
    let (year, rest) = match tag {
        UTC_TIME => {
            let year = i32::from(number(text.get(..2)?)?);
            (year + if year < 50 { 2000 } else { 1900 }, text.get(2..)?)
        }
        GENERALIZED_TIME => {
            let hundreds = i32::from(number(text.get(..2)?)?);
            (hundreds * 100 + i32::from(number(text.get(2..4)?)?), text.get(4..)?)
        }
        _ => return None,
    };
    let digits = rest.strip_suffix(b"Z").filter(|digits| digits.len() == 10)?;
    let part = |at: usize| number(digits.get(at..at + 2)?);
    let date = Date::from_calendar_date(year, Month::try_from(part(0)?).ok()?, part(2)?).ok()?;
    let time = Time::from_hms(part(4)?, part(6)?, part(8)?).ok()?;
    let seconds = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp();
    // One that ended before 1970 ended.
    Some(UnixMillis(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000)))
}

fn number(digits: &[u8]) -> Option<u8> {
    let [tens, ones] = digits else { return None };
    let digit = |sign: &u8| sign.is_ascii_digit().then(|| sign - b'0');
    Some(digit(tens)? * 10 + digit(ones)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_tells_when_it_ends() {
        for (year, month, day, at) in [
            (2027, 1, 31, 1_801_353_600_000),
            (2049, 12, 31, 2_524_521_600_000),
            // From 2050 on the year has four digits.
            (2050, 1, 1, 2_524_608_000_000),
        ] {
            let mut parameters = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
            parameters.not_after = rcgen::date_time_ymd(year, month, day);
            let key = rcgen::KeyPair::generate().unwrap();
            let der = parameters.self_signed(&key).unwrap();
            assert_eq!(not_after(der.der()), Some(UnixMillis(at)), "{year}");
            for end in 0..60.min(der.der().len()) {
                assert_eq!(not_after(&der.der()[..end]), None, "cut at {end}");
            }
        }
    }

    #[test]
    fn what_is_no_certificate_ends_never_and_breaks_nothing() {
        for bytes in
            [&[][..], &[0x30], &[0x30, 0x80], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0x00]]
        {
            assert_eq!(not_after(bytes), None);
        }
        for (tag, text) in [
            (0x17, "991399000000Z"),
            (0x17, "2701310000Z"),
            (0x18, "20270131000000"),
            (0x0c, "270131000000Z"),
        ] {
            assert_eq!(moment(tag, text.as_bytes()), None, "{text}");
        }
        assert_eq!(moment(UTC_TIME, b"991231235959Z"), Some(UnixMillis(946_684_799_000)));
        assert_eq!(moment(UTC_TIME, b"500101000000Z"), Some(UnixMillis(0)), "1950");
    }
}

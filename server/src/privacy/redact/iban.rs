//! International bank account numbers: a country with its length, and a remainder of one.

use std::ops::Range;

use super::sign::{GAP_CHARS_MAX, Sign, sign};

/// Countries and the length of their numbers (the registry of ISO 13616), in the order of the alphabet.
pub(super) const COUNTRIES: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

/// Finds account numbers: wherever two letters and two digits follow each other, as every one begins.
pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    // Of the last four letters and digits: a bit each, one for a letter, and where each stands.
    let (mut letters, mut starts) = (0_u8, [0; 4]);
    let (mut gap, mut end) = (0, 0);
    for (at, char) in text.char_indices() {
        let letter = match sign(char) {
            Sign::Digit(_) => 0,
            Sign::Letter(_) => 1,
            Sign::Gap if gap < GAP_CHARS_MAX => {
                gap += 1;
                continue;
            }
            Sign::Gap | Sign::Other => {
                letters = 0;
                continue;
            }
        };
        let [_, second, third, fourth] = starts;
        starts = [second, third, fourth, at];
        letters = (letters << 1) | letter;
        gap = 0;
        if letters & 0b1111 == 0b1100
            && second >= end
            && let Some(length) = text.get(second..).and_then(number_at)
        {
            end = second + length;
            found.push(second..end);
        }
    }
}

/// Values of letters and digits, 10 to 35 and 0 to 9, and where each ends; up to where more than a gap stands
/// between two.
fn values(text: &str) -> impl Iterator<Item = (u8, usize)> {
    let mut gap = 0;
    let values_and_gaps = text.char_indices().map_while(move |(start, char)| {
        let value = match sign(char) {
            Sign::Digit(value) => value,
            Sign::Letter(nth) => nth + 10,
            Sign::Gap if gap < GAP_CHARS_MAX => {
                gap += 1;
                return Some(None);
            }
            Sign::Gap | Sign::Other => return None,
        };
        gap = 0;
        Some(Some((value, start + char.len_utf8())))
    });
    values_and_gaps.flatten()
}

/// The bytes of the number that this text begins with, if it does.
fn number_at(text: &str) -> Option<usize> {
    let mut number = values(text);
    let mut letter = || Some(char::from(b'A' + number.next()?.0.checked_sub(10)?));
    let country = [letter()?, letter()?];
    let at = COUNTRIES.binary_search_by(|(code, _)| code.chars().cmp(country)).ok()?;
    let (_, length) = COUNTRIES.get(at)?;
    let number: Vec<(u8, usize)> = values(text).take(*length).collect();
    let (_, end) = *number.last()?;
    (number.len() == *length && remainder(&number) == 1).then_some(end)
}

/// The first four at the end, letters as two digits, modulo 97 (ISO 7064).
fn remainder(number: &[(u8, usize)]) -> u32 {
    let (head, rest) = number.split_at(number.len().min(4));
    rest.iter().chain(head).fold(0, |remainder, (value, _)| {
        let shift = if *value > 9 { 100 } else { 10 };
        (remainder * shift + u32::from(*value)) % 97
    })
}

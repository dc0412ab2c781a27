//! International bank account numbers: a country with its length, and a remainder of one.

use std::ops::Range;

use super::card::{digit, is_gap};

/// Countries and the length of their numbers (the registry of ISO 13616).
const COUNTRIES: &[(&str, usize)] = &[
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

/// Characters that may stand between two of one number.
const GAP_CHARS_MAX: usize = 3;

/// One character of a number: 0 to 9 for digits, 10 to 35 for letters.
struct Sign {
    value: u8,
    at: Range<usize>,
    gap_before: usize,
}

/// Finds account numbers.
pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    let signs = signs(text);
    let mut start = 0;
    while start < signs.len() {
        let length = signs.get(start..).and_then(number_at);
        if let Some([first, .., last]) = length.and_then(|n| signs.get(start..start + n)) {
            found.push(first.at.start..last.at.end);
        }
        start += length.unwrap_or(1);
    }
}

/// Letters and digits, and how much stands before each.
fn signs(text: &str) -> Vec<Sign> {
    let mut signs = Vec::new();
    let mut gap_before = 0_usize;
    for (start, char) in text.char_indices() {
        if let Some(value) = value(char) {
            signs.push(Sign { value, at: start..start + char.len_utf8(), gap_before });
            gap_before = 0;
        } else if is_gap(char) {
            gap_before += 1;
        } else {
            gap_before = usize::MAX / 2;
        }
    }
    signs
}

fn value(char: char) -> Option<u8> {
    let letter = match char {
        // The full-width letters that East Asian keyboards make.
        '\u{FF21}'..='\u{FF3A}' => u32::from(char) - 0xFF21,
        '\u{FF41}'..='\u{FF5A}' => u32::from(char) - 0xFF41,
        'A'..='Z' => u32::from(char) - u32::from('A'),
        'a'..='z' => u32::from(char) - u32::from('a'),
        _ => return digit(char),
    };
    u8::try_from(letter + 10).ok()
}

/// The length of the number that these signs begin with, if they do.
fn number_at(signs: &[Sign]) -> Option<usize> {
    let [first, second, check @ ..] = signs else { return None };
    let [tens, ones, ..] = check else { return None };
    if tens.value > 9 || ones.value > 9 {
        return None;
    }
    let letter = |sign: &Sign| sign.value.checked_sub(10).map(|n| char::from(b'A' + n));
    let country = [letter(first)?, letter(second)?];
    let (_, length) = COUNTRIES.iter().find(|(code, _)| code.chars().eq(country))?;
    let number = signs.get(..*length)?;
    let whole = number.iter().skip(1).all(|sign| sign.gap_before <= GAP_CHARS_MAX);
    (whole && remainder(number) == 1).then_some(*length)
}

/// The first four at the end, letters as two digits, modulo 97 (ISO 7064).
fn remainder(number: &[Sign]) -> u32 {
    let (head, rest) = number.split_at(number.len().min(4));
    rest.iter().chain(head).fold(0, |remainder, sign| {
        let shift = if sign.value > 9 { 100 } else { 10 };
        (remainder * shift + u32::from(sign.value)) % 97
    })
}

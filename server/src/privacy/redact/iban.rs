//! International bank account numbers: a country with its length, and a remainder of one.

use std::ops::Range;

use super::sign::{Sign, sign};

/// Signs that may stand between two of one number: a line's end with what indents the next, a table's column.
const GAP_CHARS_MAX: usize = 16;

/// Letters and digits of the shortest.
const LENGTH_MIN: usize = 15;

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
    if text.len() < LENGTH_MIN {
        return;
    }
    // Of the last four letters and digits: a bit each, one for a letter, and where each stands.
    let (mut letters, mut starts) = (0_u8, [0; 4]);
    let (mut gap, mut end) = (0, 0);
    for (at, char) in text.char_indices() {
        let letter = match sign(char) {
            Sign::Digit(_) => 0,
            Sign::Letter(_) => 1,
            Sign::Nothing | Sign::Mark => continue,
            Sign::Space | Sign::Column | Sign::Line | Sign::Dash if gap < GAP_CHARS_MAX => {
                gap += 1;
                continue;
            }
            Sign::Space | Sign::Column | Sign::Line | Sign::Dash | Sign::Symbol | Sign::Other => {
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
            && let Some(length) = number_at(text, second)
        {
            end = second + length;
            found.push(second..end);
        }
    }
}

/// A letter or digit of a number: its value, 10 to 35 and 0 to 9, and where it ends.
#[derive(Debug, Clone, Copy)]
struct Place {
    value: u8,
    end: usize,
    /// Something stands between it and the one before.
    parted: bool,
    /// A line's end is among it.
    on_new_line: bool,
}

/// Up to where more than a gap stands between two.
fn places(text: &str) -> impl Iterator<Item = Place> {
    let (mut gap, mut line) = (0, false);
    let places_and_gaps = text.char_indices().map_while(move |(start, char)| {
        let sign = sign(char);
        let value = match sign {
            Sign::Digit(value) => value,
            Sign::Letter(nth) => nth + 10,
            Sign::Nothing | Sign::Mark => return Some(None),
            Sign::Space | Sign::Column | Sign::Line | Sign::Dash if gap < GAP_CHARS_MAX => {
                gap += 1;
                line |= sign == Sign::Line;
                return Some(None);
            }
            Sign::Space | Sign::Column | Sign::Line | Sign::Dash | Sign::Symbol | Sign::Other => {
                return None;
            }
        };
        let (parted, on_new_line) = (std::mem::take(&mut gap) > 0, std::mem::take(&mut line));
        Some(Some(Place { value, end: start + char.len_utf8(), parted, on_new_line }))
    });
    places_and_gaps.flatten()
}

/// The bytes of the number that begins here, if one does.
fn number_at(text: &str, start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    let mut first = places(rest);
    let mut letter = || Some(char::from(b'A' + first.next()?.value.checked_sub(10)?));
    let country = [letter()?, letter()?];
    let at = COUNTRIES.binary_search_by(|(code, _)| code.chars().cmp(country)).ok()?;
    let (_, length) = COUNTRIES.get(at)?;
    let mut rest_of_it = places(rest);
    let number: Vec<Place> = rest_of_it.by_ref().take(*length).collect();
    let end = number.last()?.end;
    let ends = rest_of_it.next().is_none_or(|next| next.parted);
    let valid = number.len() == *length && ends && remainder(&number) == 1;
    (valid && is_written_so(&number) && begins_word(text.get(..start)?, &number)).then_some(end)
}

/// Nothing stands before it in its word, or letters alone, as in `IBANDE89…`, where it is in one piece or says so.
fn begins_word(before: &str, number: &[Place]) -> bool {
    let is_alnum = |char: &char| matches!(sign(*char), Sign::Digit(_) | Sign::Letter(_));
    let seen =
        before.chars().rev().filter(|char| !matches!(sign(*char), Sign::Nothing | Sign::Mark));
    let word: String = seen.take_while(is_alnum).collect();
    let letters = word.chars().all(|char| matches!(sign(char), Sign::Letter(_)));
    let in_one_piece = || number.iter().skip(1).all(|place| !place.parted);
    word.is_empty()
        || (letters && (word.to_ascii_lowercase().starts_with("nabi") || in_one_piece()))
}

/// In groups of one length, which a line's end may part, or mostly of digits, so that words of a sentence are none.
fn is_written_so(number: &[Place]) -> bool {
    let letters = number.iter().skip(4).filter(|place| place.value > 9).count();
    letters * 3 <= number.len()
        || is_uniform(number, |place| place.parted)
        || is_uniform(number, |place| place.parted && !place.on_new_line)
}

fn is_uniform(number: &[Place], begins_group: impl Fn(&Place) -> bool) -> bool {
    let mut groups: Vec<usize> = Vec::new();
    for place in number {
        match groups.last_mut() {
            Some(group) if !begins_group(place) => *group += 1,
            _ => groups.push(1),
        }
    }
    match groups.as_slice() {
        [first, middle @ .., last] => middle.iter().all(|group| group == first) && last <= first,
        _ => true,
    }
}

/// The first four at the end, letters as two digits, modulo 97 (ISO 7064).
fn remainder(number: &[Place]) -> u32 {
    let (head, rest) = number.split_at(number.len().min(4));
    rest.iter().chain(head).fold(0, |remainder, place| {
        let shift = if place.value > 9 { 100 } else { 10 };
        (remainder * shift + u32::from(place.value)) % 97
    })
}

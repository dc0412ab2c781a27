//! International bank account numbers: a country with its length, and a remainder of one.

use std::ops::Range;

use super::digits::{MARKUP_BEGINS, char_at, markup};
use super::may_begin_digit;
use super::sign::{Sign, looks_like, sign};
use super::words::is_called_account;

/// Signs that may stand between two of one number: a line's end with what indents the next, a
/// table's column.
const GAP_CHARS_MAX: usize = 64;

/// Other signs among them, as `** **` has.
const SYMBOLS_MAX: usize = 4;

/// Groups that a bank may part a number in which is mostly letters.
const BANK_GROUPS: usize = 4;

/// Letters and digits before a number in its word that are looked at.
const WORD_MAX: usize = 64;

/// Letters and digits of the shortest.
const LENGTH_MIN: usize = 15;

/// Countries and the length of their numbers (the registry of ISO 13616, and those that use it all
/// the same), in the order of the alphabet.
pub(super) const COUNTRIES: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AO", 25),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BF", 28),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BJ", 28),
    ("BR", 29),
    ("BY", 28),
    ("CF", 27),
    ("CG", 27),
    ("CH", 21),
    ("CI", 28),
    ("CM", 27),
    ("CR", 22),
    ("CV", 25),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("DZ", 26),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GA", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GQ", 27),
    ("GR", 27),
    ("GT", 28),
    ("GW", 25),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IR", 26),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KM", 27),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MA", 28),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MG", 27),
    ("MK", 19),
    ("ML", 28),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("MZ", 25),
    ("NE", 28),
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
    ("SN", 28),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TD", 27),
    ("TG", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

/// Finds account numbers: wherever a digit follows two letters, as every one begins.
pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    if text.len() < LENGTH_MIN {
        return;
    }
    let (mut at, mut end) = (0, 0);
    while let Some(rest) = text.as_bytes().get(at..) {
        let Some(skipped) = rest.iter().position(|byte| may_begin_digit(*byte)) else { break };
        at += skipped;
        let Some(char) = char_at(text, at) else { break };
        let begins = at >= end && !text.get(..at).is_some_and(ends_with_digit);
        if begins
            && matches!(sign(char), Sign::Digit(_))
            && let Some(start) = text.get(..at).and_then(letters_at_end).filter(|s| *s >= end)
            && let Some(length) = number_at(text, start)
        {
            end = start + length;
            found.push(start..end);
        }
        at += char.len_utf8();
    }
}

/// As most digits stand behind another; those that are not ASCII's are found by [`letters_at_end`].
fn ends_with_digit(text: &str) -> bool {
    text.as_bytes().last().is_some_and(u8::is_ascii_digit)
}

/// Where the two letters begin that this ends with, with gaps behind each.
#[expect(clippy::wildcard_enum_match_arm, reason = "whatever is no letter is a gap or ends it")]
fn letters_at_end(text: &str) -> Option<usize> {
    let (mut gap, mut letters) = (Between::default(), 0);
    for (at, char) in text.char_indices().rev() {
        match read(char) {
            Sign::Letter(_) if letters == 1 => return Some(at),
            Sign::Letter(_) => (gap, letters) = (Between::default(), 1),
            sign if gap.goes_on(sign) => {}
            _ => return None,
        }
    }
    None
}

/// What stands in a text, each with where it begins and ends.
fn signs(text: &str) -> impl Iterator<Item = (usize, usize, Sign)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let char = char_at(text, at)?;
        let meant =
            if MARKUP_BEGINS.contains(&char) { text.get(at..).and_then(markup) } else { None };
        let (char, len) = meant.unwrap_or((char, char.len_utf8()));
        let start = at;
        at += len;
        Some((start, at, read(char)))
    })
}

/// What a character is in an account's number, where letters that look like a Latin one are taken
/// for it.
#[expect(clippy::wildcard_enum_match_arm, reason = "only of other characters more is to be said")]
#[inline]
fn read(char: char) -> Sign {
    match sign(char) {
        Sign::Other => looks_like(char).map_or(Sign::Other, Sign::Letter),
        sign => sign,
    }
}

/// What was seen since the last letter or digit.
#[derive(Debug, Default, Clone, Copy)]
struct Between {
    seen: usize,
    symbols: usize,
    line: bool,
}

impl Between {
    /// Takes in one more; whether a number can still go on behind it.
    fn goes_on(&mut self, sign: Sign) -> bool {
        match sign {
            Sign::Nothing | Sign::Mark => return true,
            Sign::Space | Sign::Column | Sign::Dash => {}
            Sign::Line => self.line = true,
            Sign::Symbol => self.symbols += 1,
            Sign::Digit(_) | Sign::Letter(_) | Sign::Other => return false,
        }
        self.seen += 1;
        self.seen <= GAP_CHARS_MAX && self.symbols <= SYMBOLS_MAX
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
    /// Other signs are among it.
    marked: bool,
}

/// Up to where more than a gap stands between two.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever is no letter or digit is a gap or ends it"
)]
fn places(text: &str) -> impl Iterator<Item = Place> {
    let mut gap = Between::default();
    let places_and_gaps = signs(text).map_while(move |(_, end, sign)| {
        let value = match sign {
            Sign::Digit(value) => value,
            Sign::Letter(nth) => nth + 10,
            sign => return gap.goes_on(sign).then_some(None),
        };
        let Between { seen, symbols, line: on_new_line } = std::mem::take(&mut gap);
        Some(Some(Place { value, end, parted: seen > 0, on_new_line, marked: symbols > 0 }))
    });
    places_and_gaps.flatten()
}

/// The bytes of the number that begins here, if one does.
fn number_at(text: &str, start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    let mut places = places(rest);
    let letter = |place: Place| Some(b'A' + place.value.checked_sub(10)?);
    let head = [places.next()?, places.next()?, places.next()?, places.next()?];
    let [first, second, check @ ..] = head;
    let country = [letter(first)?, letter(second)?];
    check.iter().all(|place| place.value < 10).then_some(())?;
    let at = COUNTRIES.binary_search_by(|(code, _)| code.as_bytes().cmp(&country)).ok()?;
    let (_, length) = COUNTRIES.get(at)?;
    // Looked at first: little else has a country and digits.
    if begins_with_word(text, start, &head) {
        return None;
    }
    let mut number = Vec::with_capacity(*length);
    number.extend(head);
    let behind = places.by_ref().take(length - head.len());
    number.extend(behind);
    // Other signs than people group digits with stand between fours only.
    let in_fours = number.iter().enumerate().all(|(nth, place)| !place.marked || nth % 4 == 0);
    let end = number.last()?.end;
    let valid = number.len() == *length
        && in_fours
        && remainder(&number) == 1
        && ends_word(&number, places);
    (valid && is_written_so(&number) && begins_word(text.get(..start)?, &number)).then_some(end)
}

/// Whether the country stands by itself in small letters, as `is`, `it` and `no` do before other
/// numbers, and nobody speaks of an account.
fn begins_with_word(text: &str, start: usize, [_, second, third, _]: &[Place; 4]) -> bool {
    let by_itself = !second.parted && third.parted;
    let small = || {
        let country = text.get(start..start + second.end);
        country.is_some_and(|country| country.ends_with(char::is_lowercase))
    };
    by_itself && small() && !is_called_account(text, start)
}

/// Nothing stands before it in its word, or letters alone, as in `IBANDE89…`, where it is in one
/// piece or in groups of one length, or says so.
fn begins_word(before: &str, number: &[Place]) -> bool {
    let is_alnum = |char: &char| matches!(sign(*char), Sign::Digit(_) | Sign::Letter(_));
    let seen =
        before.chars().rev().filter(|char| !matches!(sign(*char), Sign::Nothing | Sign::Mark));
    let word: String = seen.take(WORD_MAX).take_while(is_alnum).collect();
    let letters = word.chars().all(|char| matches!(sign(char), Sign::Letter(_)));
    word.is_empty()
        || (letters
            && (word.to_ascii_lowercase().starts_with("nabi")
                || is_uniform(number, |place| place.parted)))
}

/// Nothing stands behind it in its word; or letters alone, where it is in one piece, as in
/// `…3000BIC`.
fn ends_word(number: &[Place], behind: impl Iterator<Item = Place>) -> bool {
    let in_one_piece = number.iter().skip(1).all(|place| !place.parted);
    let mut behind = behind.take_while(|place| !place.parted).take(WORD_MAX);
    if in_one_piece { behind.all(|place| place.value > 9) } else { behind.next().is_none() }
}

/// In groups of one length, which a line's end may part, or mostly of digits, so that words of a
/// sentence are none; and as banks part it. With other signs between the groups, these are of one
/// length.
fn is_written_so(number: &[Place]) -> bool {
    let letters = number.iter().skip(4).filter(|place| place.value > 9).count();
    let marked = number.iter().skip(1).any(|place| place.marked);
    is_uniform(number, |place| place.parted)
        || is_uniform(number, |place| place.parted && !place.on_new_line)
        || (letters * 3 <= number.len() && (!marked || is_parted_by_fours(number)))
        || (!marked && is_banks(number))
}

/// Whether whatever parts it stands behind a four of it.
fn is_parted_by_fours(number: &[Place]) -> bool {
    number.iter().enumerate().skip(1).all(|(nth, place)| !place.parted || nth % 4 == 0)
}

/// The country, the bank's four letters, and not much that parts the rest.
fn is_banks(number: &[Place]) -> bool {
    let parted: Vec<usize> = (1..number.len())
        .filter(|nth| number.get(*nth).is_some_and(|place| place.parted))
        .collect();
    let bank = number.get(4..8).unwrap_or_default();
    matches!(parted.as_slice(), [4, 8, rest @ ..] if rest.len() + 3 <= BANK_GROUPS)
        && bank.iter().all(|place| place.value > 9)
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

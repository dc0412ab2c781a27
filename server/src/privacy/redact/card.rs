//! Payment card numbers: 13 to 19 digits with a valid check digit, however they are written.

use std::ops::Range;

use super::sign::{GAP_CHARS_MAX, Sign, sign};

/// Lengths of card numbers (ISO/IEC 7812).
const LENGTHS: std::ops::RangeInclusive<usize> = 13..=19;

/// A phone number in international form has at most so many digits (E.164).
const PHONE_DIGITS_MAX: usize = 15;

/// A digit of a run.
#[derive(Debug, Clone)]
pub(super) struct Digit {
    pub(super) value: u8,
    pub(super) at: Range<usize>,
    /// Nothing stands between it and the digit before.
    joined: bool,
    /// A plus stands before the run's first digit.
    plus: bool,
}

/// Shows each run of digits with no more than gaps between them.
pub(super) fn each_run(text: &str, mut show: impl FnMut(&[Digit])) {
    let mut run: Vec<Digit> = Vec::new();
    let (mut gap, mut plus) = (0, false);
    for (start, char) in text.char_indices() {
        let sign = sign(char);
        if let Sign::Digit(value) = sign {
            let at = start..start + char.len_utf8();
            run.push(Digit { value, at, joined: gap == 0 && !run.is_empty(), plus });
            gap = 0;
        } else {
            gap += 1;
            if sign != Sign::Gap || gap > GAP_CHARS_MAX {
                show(&run);
                run.clear();
                plus = matches!(char, '+' | '\u{FF0B}');
            }
        }
    }
    show(&run);
}

/// Finds card numbers.
pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    each_run(text, |run| {
        if run.len() >= *LENGTHS.start() {
            find_in_run(run, found);
        }
    });
}

/// A number begins and ends where a group of digits does; the longest that fits is taken.
fn find_in_run(run: &[Digit], found: &mut Vec<Range<usize>>) {
    let begins = |index: usize| run.get(index).is_none_or(|digit| !digit.joined);
    let mut start = 0;
    while start < run.len() {
        let length = LENGTHS.rev().find(|length| {
            begins(start)
                && begins(start + length)
                && run.get(start..start + length).is_some_and(|window| is_card(window, start == 0))
        });
        let window = length.and_then(|length| run.get(start..start + length));
        if let Some([first, .., last]) = window {
            found.push(first.at.start..last.at.end);
        }
        start += length.unwrap_or(1);
    }
}

fn is_card(digits: &[Digit], at_start: bool) -> bool {
    let phone = at_start
        && digits.len() <= PHONE_DIGITS_MAX
        && digits.first().is_some_and(|digit| digit.plus);
    let values: Vec<u8> = digits.iter().map(|digit| digit.value).collect();
    let written = match group_lengths(digits).as_slice() {
        [_] => !is_time(&values),
        groups => is_written_like_a_card(groups, &values),
    };
    !phone && written && values.iter().any(|value| *value != 0) && luhn(&values)
}

fn group_lengths(digits: &[Digit]) -> Vec<usize> {
    let mut groups = Vec::new();
    for (index, digit) in digits.iter().enumerate() {
        match groups.last_mut() {
            Some(length) if digit.joined && index > 0 => *length += 1,
            _ => groups.push(1),
        }
    }
    groups
}

/// Several groups: as on the card, where all but the last have four digits or more, or all the same;
/// and a first digit that issuers have, so that two phone numbers side by side are none.
fn is_written_like_a_card(groups: &[usize], values: &[u8]) -> bool {
    let Some((_, before_last)) = groups.split_last() else { return false };
    let same = before_last.windows(2).all(|pair| matches!(pair, [a, b] if a == b));
    let issued = values.first().is_some_and(|first| matches!(first, 2..=6 | 8 | 9));
    let single = before_last.first() == Some(&1);
    (same || before_last.iter().all(|length| *length >= 4)) && (issued || single)
}

/// Times that programs write: milliseconds, microseconds and nanoseconds since 1970 in our years, and
/// dates of the form 20261124093000. No card begins like these.
fn is_time(values: &[u8]) -> bool {
    let number = values
        .iter()
        .fold(0_u64, |n, value| n.saturating_mul(10).saturating_add(u64::from(*value)));
    let part = |from: usize, to: usize| {
        values.get(from..to).map_or(0, |part| part.iter().fold(0, |n, v| n * 10 + u32::from(*v)))
    };
    match values.len() {
        13 => (1_000_000_000_000..2_000_000_000_000).contains(&number),
        16 => (1_500_000_000_000_000..2_000_000_000_000_000).contains(&number),
        19 => (1_500_000_000_000_000_000..2_000_000_000_000_000_000).contains(&number),
        14 | 17 => {
            (1970..2100).contains(&part(0, 4))
                && (1..=12).contains(&part(4, 6))
                && (1..=31).contains(&part(6, 8))
                && part(8, 10) < 24
                && part(10, 12) < 60
                && part(12, 14) < 60
        }
        _ => false,
    }
}

/// The check of ISO/IEC 7812: every second digit from the right doubled, the sum a multiple of ten.
fn luhn(values: &[u8]) -> bool {
    let sum: u32 = (0_u32..)
        .zip(values.iter().rev())
        .map(|(index, value)| {
            let value = u32::from(*value) * (1 + index % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}

//! Numbers one after the other that are no card, though some of them could be: sizes, prices,
//! years, tables.

use super::digits::{Gap, Group};
use super::issuer::is_issued;
use super::page::Page;

/// Groups of a card in fours.
const CARD: usize = 4;

/// Groups before and behind that are looked at: more than anybody writes cards in a row.
const AROUND: usize = 40;

/// Groups with a card among them, beside which a date or a year is a card's.
const DATED_MAX: usize = 6;

/// Rows of a table that are looked at before and behind.
const ROWS: usize = 6;

/// Sizes lie so near each other.
const SIZES: i64 = 16;

/// Whether these groups are a part of such a list.
pub(super) fn is_list(page: &Page<'_>, start: usize, end: usize) -> bool {
    let window = page.groups.get(start..=end).unwrap_or_default();
    let Some(size) = window.first().map(|group| group.len) else { return false };
    if size > CARD || window.iter().any(|group| group.len != size) {
        return false;
    }
    let mut numbers: Vec<i64> = window.iter().map(|group| page.number(group)).collect();
    if size == 3 {
        return rises_evenly(&numbers);
    }
    if size == CARD {
        return rises_evenly(&numbers) || is_among_others(page, start, end);
    }
    let sorted = is_monotone(&numbers, |a, b| a <= b);
    numbers.sort_unstable();
    let near = match numbers.as_slice() {
        [first, .., last] => size == 2 && last - first <= SIZES,
        _ => false,
    };
    numbers.dedup();
    near || (sorted && numbers.len() >= 4)
}

fn rises_evenly(numbers: &[i64]) -> bool {
    let steps = || numbers.windows(2).filter_map(|pair| Some(pair.get(1)? - pair.first()?));
    let even = steps().next().is_some_and(|first| steps().all(|step| step == first));
    even && is_monotone(numbers, |a, b| a < b)
}

/// Whether these fours stand among so many others that a valid number among them means little:
/// unless most of them are valid numbers, a date stands beside these, or a card is spoken of.
fn is_among_others(page: &Page<'_>, start: usize, end: usize) -> bool {
    let kind = |nth: usize| page.groups.get(nth).map(|group| group.gap);
    let gaps = || (start + 1..=end).filter_map(kind);
    let alike = kind(start + 1).is_some_and(|first| gaps().all(|gap| gap.is_like(first)));
    let one_kind = kind(start + 1).filter(|_| alike);
    let goes_on = |gap: Gap| one_kind.is_none_or(|kind| kind.is_like(gap));
    let four = |nth: usize| page.groups.get(nth).is_some_and(|group| group.len == CARD);
    let from = (start.saturating_sub(AROUND)..start)
        .rev()
        .find(|nth| !four(*nth) || !kind(nth + 1).is_some_and(goes_on))
        .map_or(start.saturating_sub(AROUND), |nth| nth + 1);
    let to = (end + 1..=end + AROUND)
        .find(|nth| !four(*nth) || !kind(*nth).is_some_and(goes_on))
        .map_or(end + AROUND, |nth| nth - 1);
    let all = page.groups.get(from..=to).unwrap_or_default();
    let length = end + 1 - start;
    let plain = match one_kind {
        Some(kind) => matches!(kind, Gap::Close(_)),
        None => gaps().all(|gap| matches!(gap, Gap::Close(_) | Gap::Line)),
    };
    let few = all.len() == length || (all.len() == CARD + 1 && length == CARD && plain);
    let lined = || gaps().any(|gap| gap == Gap::Line);
    let dated = || {
        let tens = || all.iter().all(|group| page.number(group) % 10 == 0);
        let same = || gaps().all(|gap| kind(start + 1) == Some(gap));
        if all.len() > DATED_MAX || !(lined() || same()) || tens() {
            return false;
        }
        let date = |nth: usize| page.groups.get(nth).is_some_and(|g| is_date(page.number(g)));
        start > from && date(start - 1) || end < to && date(end + 1)
    };
    let many_cards = || {
        let cards = cards(page, all);
        cards > 1 && cards * CARD * 4 >= all.len() * 3
    };
    if few {
        return all.len() == length && is_row_of_table(page, start) && !page.is_called_card(start);
    }
    !dated() && !many_cards() && !page.is_called_card(start)
}

/// How many valid numbers stand there one after the other.
fn cards(page: &Page<'_>, groups: &[Group]) -> usize {
    let (mut count, mut at) = (0, 0);
    while let Some(groups) = groups.get(at..at + CARD) {
        let valid = is_valid(page, groups);
        count += usize::from(valid);
        at += if valid { CARD } else { 1 };
    }
    count
}

fn is_valid(page: &Page<'_>, groups: &[Group]) -> bool {
    page.luhn(groups) && page.values(groups).is_some_and(is_issued)
}

/// Whether more rows of four fours stand above and below, few of which are valid numbers.
fn is_row_of_table(page: &Page<'_>, start: usize) -> bool {
    let row = |nth: Option<usize>| {
        let row = page.groups.get(nth?..)?;
        let ends = row.get(CARD).is_none_or(|next| next.gap == Gap::Line);
        let row = row.get(..CARD)?;
        let [first, rest @ ..] = row else { return None };
        let alike = rest.iter().all(|group| rest.first().is_some_and(|r| r.gap.is_like(group.gap)));
        let fours = row.iter().all(|group| group.len == CARD);
        let begins = matches!(first.gap, Gap::Begin | Gap::Line);
        (begins && ends && alike && fours).then_some(row)
    };
    let above = (1..=ROWS).map_while(|nth| row(start.checked_sub(nth * CARD)));
    let below = (0..=ROWS).map_while(|nth| row(Some(start + nth * CARD)));
    let valid: Vec<bool> = above.chain(below).map(|row| is_valid(page, row)).collect();
    valid.len() > 2 && valid.iter().filter(|valid| **valid).count() * 2 <= valid.len()
}

/// A month and a year as on a card, or a year.
pub(super) fn is_date(number: i64) -> bool {
    matches!(number, 2000..=2050)
        || (matches!(number / 100, 1..=12) && matches!(number % 100, 18..=40))
}

fn is_monotone(numbers: &[i64], rises: impl Fn(i64, i64) -> bool) -> bool {
    let pairs = || numbers.windows(2);
    let by = |reversed: bool| {
        pairs().all(|pair| match pair {
            [a, b] if reversed => rises(*b, *a),
            [a, b] => rises(*a, *b),
            _ => true,
        })
    };
    numbers.len() > 2 && (by(false) || by(true))
}

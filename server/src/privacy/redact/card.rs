//! Payment card numbers: an issuer's prefix and length, a valid check digit, and written as people write a card.

use std::ops::Range;

use super::digits::{Gap, Group, Run, each_run};
use super::issuer::{LENGTHS, gs1, is_issued, luhn};

/// A phone number in international form has at most so many digits (E.164).
const PHONE_DIGITS_MAX: usize = 15;

/// Groups of a card that is written digit by digit, and some before and behind.
const NEAR: usize = 19;

/// More groups than the longest number of a parcel has digits.
const FAR: usize = 23;

/// What people call a card, in the languages of the front ends and some more: for numbers that could be
/// something else as well.
const CARD_WORDS: [&str; 9] =
    ["card", "visa", "karte", "carte", "tarjeta", "carta", "kaart", "kort", "cart\u{e3}o"];

/// Bytes before a number in which such a word counts.
const WORDS_BYTES: usize = 60;

/// Finds card numbers.
pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    each_run(text, |run| {
        if run.values.len() >= *LENGTHS.start() {
            find_in_run(text, run, found);
        }
    });
}

/// Every window is judged, not only the first that fits: behind a match by chance the rest of a card would stay.
fn find_in_run(text: &str, run: &Run, found: &mut Vec<Range<usize>>) {
    let page = Page { text, run, groups: &run.groups };
    for start in 0..run.groups.len() {
        found.extend(page.longest_at(start, start));
    }
    // A line may end inside a group; with one end after the other taken away, it is whole.
    let ends = (1..run.groups.len()).filter(|nth| gap(&run.groups, *nth) == Some(Gap::Line));
    for nth in ends {
        let from = (nth - 1).saturating_sub(NEAR);
        let near = run.groups.get(from..run.groups.len().min(nth + NEAR)).unwrap_or_default();
        let Some((joined, at)) = joined(near, nth - from) else { continue };
        let page = Page { text, run, groups: &joined };
        for start in 0..=at {
            found.extend(page.longest_at(start, at));
        }
    }
}

fn gap(groups: &[Group], nth: usize) -> Option<Gap> {
    groups.get(nth).map(|group| group.gap)
}

/// The groups with that one joined to the one before, and where it is then. None where each stands on a line of its
/// own among others: a column of numbers.
fn joined(groups: &[Group], nth: usize) -> Option<(Vec<Group>, usize)> {
    let at = nth.checked_sub(1)?;
    if gap(groups, at) == Some(Gap::Line) || gap(groups, nth + 1) == Some(Gap::Line) {
        return None;
    }
    let mut groups = groups.to_vec();
    let second = groups.remove(nth);
    let first = groups.get_mut(at)?;
    first.at.end = second.at.end;
    first.len += second.len;
    Some((groups, at))
}

/// Groups of a run as they are looked at.
struct Page<'a> {
    text: &'a str,
    run: &'a Run,
    groups: &'a [Group],
}

impl Page<'_> {
    /// The longest card that begins at this group and goes at least to that one.
    fn longest_at(&self, start: usize, least: usize) -> Option<Range<usize>> {
        let (mut total, mut longest) = (0, None);
        for end in start..self.groups.len() {
            total += self.groups.get(end)?.len;
            if total > *LENGTHS.end() {
                break;
            }
            if end >= least && total >= *LENGTHS.start() && self.is_card(start, end) {
                longest = Some(self.groups.get(start)?.at.start..self.groups.get(end)?.at.end);
            }
        }
        longest
    }

    fn is_card(&self, start: usize, end: usize) -> bool {
        let window = self.groups.get(start..=end).unwrap_or_default();
        let Some(values) = self.values(window) else { return false };
        if !luhn(values) || !(is_issued(values) || is_air_travel(window, values)) {
            return false;
        }
        if self.run.plus && start == 0 && values.len() <= PHONE_DIGITS_MAX {
            return false;
        }
        let [first, rest @ ..] = window else { return false };
        if rest.is_empty() {
            return self.stands_alone(first, values);
        }
        let lengths: Vec<usize> = window.iter().map(|group| group.len).collect();
        let close = rest.iter().all(|group| matches!(group.gap, Gap::Close(_)));
        let same = rest.iter().all(|group| Some(group.gap) == rest.first().map(|group| group.gap));
        let odd = rest.iter().any(|group| matches!(group.gap, Gap::Odd(_)));
        let written = if is_printed(&lengths) {
            same || !odd
        } else {
            close && self.is_grouped(start, end, &lengths)
        };
        written && !self.is_list(start, end) && !self.is_parcel_or_chip(start)
    }

    fn values(&self, groups: &[Group]) -> Option<&[u8]> {
        let total: usize = groups.iter().map(|group| group.len).sum();
        let first = groups.first()?.first;
        self.run.values.get(first..first + total)
    }

    /// In one piece: it is not the rest of a decimal number, and no article's number.
    fn stands_alone(&self, group: &Group, values: &[u8]) -> bool {
        let decimal = matches!(group.gap, Gap::Close(Some('.')) | Gap::Odd(','));
        let article =
            values.len() == 13 && values.first() == Some(&4) && (gs1(values) || is_mobile(values));
        !decimal && (!article || self.is_called_card(group.at.start))
    }

    fn is_called_card(&self, at: usize) -> bool {
        let from = (at.saturating_sub(WORDS_BYTES)..=at).find(|at| self.text.is_char_boundary(*at));
        let before = from.and_then(|from| self.text.get(from..at)).unwrap_or_default();
        let before = before.to_lowercase();
        CARD_WORDS.iter().any(|word| before.contains(word))
    }

    /// Written in groups that no card has printed on it, with nothing beside them that would go on like them.
    fn is_grouped(&self, start: usize, end: usize, lengths: &[usize]) -> bool {
        let Some((last, others)) = lengths.split_last() else { return false };
        let usual = matches!(lengths.iter().sum(), 14 | 15 | 16 | 19);
        let (before, after) = (start.checked_sub(1), end + 1);
        let beside = |nth: Option<usize>, gap_at: usize| {
            let near = matches!(gap(self.groups, gap_at), Some(Gap::Close(_)));
            nth.and_then(|nth| self.groups.get(nth)).filter(|_| near).map(|group| group.len)
        };
        let (before, after) = (beside(before, start), beside(Some(after), after));
        let size = others.first().copied().unwrap_or_default();
        let uniform = others.iter().all(|length| *length == size) && *last <= size;
        let parts_of_four = is_split_once(lengths) || is_from_the_right(lengths);
        let long = others.iter().all(|length| *length >= 4) || parts_of_four;
        let alone = |beside: Option<usize>| beside.is_none_or(|length| length < 4);
        usual
            && if uniform && size < 4 {
                before != Some(size) && (after != Some(size) || *last < size)
            } else {
                (uniform || long) && alone(before) && alone(after)
            }
    }

    /// Sizes, prices or years one after the other: numbers that rise or fall.
    fn is_list(&self, start: usize, end: usize) -> bool {
        let window = self.groups.get(start..=end).unwrap_or_default();
        let Some(size) = window.first().map(|group| group.len) else { return false };
        if size > 4 || window.iter().any(|group| group.len != size) {
            return false;
        }
        if size < 4 {
            let mut numbers = self.numbers(window);
            let sorted = is_monotone(&numbers, |a, b| a <= b);
            numbers.sort_unstable();
            numbers.dedup();
            return sorted && numbers.len() >= 4;
        }
        let numbers = self.numbers(window);
        let rises = is_monotone(&numbers, |a, b| a < b);
        let steps: Vec<i64> =
            numbers.windows(2).filter_map(|p| Some(p.get(1)? - p.first()?)).collect();
        let even = steps.first().is_some_and(|first| steps.iter().all(|step| step == first));
        if rises && (even || numbers.iter().all(|number| number % 10 == 0)) {
            return true;
        }
        let all = self.numbers(self.alike(start));
        match all.len() {
            0..=5 => false,
            // So many are cards side by side, or none.
            9.. if !all.len().is_multiple_of(4) => true,
            _ => is_monotone(&all, |a, b| a < b),
        }
    }

    /// The groups around this one of its length, with gaps of one kind.
    fn alike(&self, start: usize) -> &[Group] {
        let Some(kind) = gap(self.groups, start + 1).map(|gap| std::mem::discriminant(&gap)) else {
            return &[];
        };
        let goes_on = |group: &Group| std::mem::discriminant(&group.gap) == kind && group.len == 4;
        let mut from = start;
        while self.groups.get(from).is_some_and(goes_on)
            && from.checked_sub(1).and_then(|nth| self.groups.get(nth)).is_some_and(|g| g.len == 4)
        {
            from -= 1;
        }
        let behind = self.groups.get(start + 1..).unwrap_or_default();
        let more = behind.iter().take_while(|group| goes_on(group)).count();
        self.groups.get(from..=start + more).unwrap_or_default()
    }

    fn numbers(&self, groups: &[Group]) -> Vec<i64> {
        let number = |group: &Group| {
            let values = self.run.values.get(group.first..group.first + group.len);
            values.unwrap_or_default().iter().fold(0, |n, value| n * 10 + i64::from(*value))
        };
        groups.iter().map(number).collect()
    }

    /// Whether the groups that stand close together here are, as a whole, the number of a parcel or of a SIM card.
    fn is_parcel_or_chip(&self, start: usize) -> bool {
        let close = |group: &Group| matches!(group.gap, Gap::Close(_));
        let before = self.groups.get(..=start).unwrap_or_default().iter().rev();
        let from = start - before.take(FAR).take_while(|group| close(group)).count().min(start);
        let behind = self.groups.get(start + 1..).unwrap_or_default().iter();
        let to = start + behind.take(FAR).take_while(|group| close(group)).count();
        let Some(values) = self.groups.get(from..=to).and_then(|groups| self.values(groups)) else {
            return false;
        };
        match (values.len(), values) {
            (19 | 20, [8, 9, ..]) => luhn(values),
            (20 | 22, [9, 1..=5, ..] | [0, 0, ..]) => gs1(values),
            _ => false,
        }
    }
}

/// As on the card, or as its fours end.
fn is_printed(lengths: &[usize]) -> bool {
    matches!(
        lengths,
        [4, 4, 4, 4]
            | [4, 4, 4, 4, 1..=3]
            | [4, 4, 4, 1..=3]
            | [4, 4, 4]
            | [4, 6, 5]
            | [4, 6, 4]
            | [4, 5, 6]
            | [4, 4, 5]
            | [4, 3, 3, 3]
            | [6, 13]
    )
}

/// Fours, one of which is in parts.
fn is_split_once(lengths: &[usize]) -> bool {
    let (mut filled, mut split) = (0, 0);
    for length in lengths {
        let whole = filled == 0 && *length == 4;
        filled += length;
        if filled > 4 {
            return false;
        }
        if filled == 4 {
            split += usize::from(!whole);
            filled = 0;
        }
    }
    filled == 0 && split == 1
}

/// Fours, counted from the right, and others that a card of four lines up with.
fn is_from_the_right(lengths: &[usize]) -> bool {
    matches!(lengths, [1..=3, 4, 4, 4] | [1..=3, 4, 4, 4, 4] | [4, 3, 3, 5] | [4, 2, 4, 5])
}

/// Cards of airlines begin with 1, as much else does, and are told from it by how they are written.
fn is_air_travel(window: &[Group], values: &[u8]) -> bool {
    let lengths = window.iter().map(|group| group.len);
    values.first() == Some(&1) && lengths.eq([4, 5, 6])
}

/// German and Austrian mobile numbers without their plus.
fn is_mobile(values: &[u8]) -> bool {
    matches!(values, [4, 9, 1, 5..=7, ..] | [4, 3, 6, ..])
}

fn is_monotone(numbers: &[i64], rises: impl Fn(i64, i64) -> bool) -> bool {
    let pairs = || numbers.windows(2);
    let by = |turn: bool| {
        pairs().all(|pair| match pair {
            [a, b] if turn => rises(*b, *a),
            [a, b] => rises(*a, *b),
            _ => true,
        })
    };
    numbers.len() > 2 && (by(false) || by(true))
}

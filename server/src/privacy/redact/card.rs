//! Payment card numbers: an issuer's prefix and length, a valid check digit, and written as people
//! write a card.

use std::ops::Range;

use super::digits::{Gap, Group, Run, each_run};
use super::issuer::{LENGTHS, gs1, is_issued};
use super::list::{is_date, is_list};
use super::page::Page;
use super::shape::{
    is_from_the_right, is_full_date, is_printed, is_split_once, is_thousands, says_something_else,
};
use super::sign::{Sign, han, sign};
use super::words::{goes_on_word, is_called_card, is_called_otherwise, is_technical};

/// Groups of a card that is written digit by digit, and some before and behind.
const NEAR: usize = 19;

/// More groups than the longest number of a parcel or a chip has digits.
const FAR: usize = 33;

/// Digits of cards that nobody issues any more.
const OLD: usize = 13;

/// Digits behind the point of numbers that machines write.
const FRACTION_MIN: usize = 10;

/// The groups of the number of a SIM card that is written in fours.
const CHIP: usize = 5;

/// Finds card numbers.
pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    let mut show = |run: &Run| {
        if run.values.len() >= *LENGTHS.start() {
            find_in_run(text, run, found);
        }
    };
    each_run(text, sign, &mut show);
    if !text.is_ascii() && text.chars().filter_map(han).nth(*LENGTHS.start() - 1).is_some() {
        let in_words = |char| match (han(char), sign(char)) {
            (Some(value), _) => Sign::Digit(value),
            (None, Sign::Digit(_)) => Sign::Other,
            (None, sign) => sign,
        };
        each_run(text, in_words, &mut show);
    }
}

/// Every window is judged, not only the first that fits: behind a match by chance the rest of a
/// card would stay.
fn find_in_run(text: &str, run: &Run, found: &mut Vec<Range<usize>>) {
    let page = Page { text, run, groups: &run.groups, as_printed: false };
    page.find(found);
    if let Some(groups) = run.drawn_together() {
        Page { groups: &groups, as_printed: true, ..page }.find(found);
    }
    if let Some(run) = run.without_counters() {
        Page { run: &run, groups: &run.groups, ..page }.find(found);
    }
    // A line may end inside a group; with one end after the other taken away, it is whole.
    let ends = (1..run.groups.len()).filter(|nth| gap(&run.groups, *nth) == Some(Gap::Line));
    for nth in ends {
        let from = (nth - 1).saturating_sub(NEAR);
        let near = run.groups.get(from..run.groups.len().min(nth + NEAR)).unwrap_or_default();
        let Some((once, at)) = joined(near, nth - from) else { continue };
        let page = Page { groups: &once, ..page };
        page.find_over(at, at, found);
        // It may be narrow enough for two ends.
        let second = (at + 1..once.len()).find(|nth| gap(&once, *nth) == Some(Gap::Line));
        if let Some((twice, until)) = second.and_then(|nth| joined(&once, nth)) {
            Page { groups: &twice, as_printed: true, ..page }.find_over(at, until, found);
        }
    }
}

fn gap(groups: &[Group], nth: usize) -> Option<Gap> {
    groups.get(nth).map(|group| group.gap)
}

/// The groups with that one joined to the one before, and where it is then. None where each stands
/// on a line of its own among others: a column of numbers.
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

impl Page<'_> {
    fn find(&self, found: &mut Vec<Range<usize>>) {
        for start in 0..self.groups.len() {
            found.extend(self.longest_at(start, start));
        }
    }

    /// Those that go over these groups.
    fn find_over(&self, first: usize, last: usize, found: &mut Vec<Range<usize>>) {
        for start in 0..=first {
            found.extend(self.longest_at(start, last));
        }
    }

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
        let ([first, rest @ ..], true) = (window, self.luhn(window)) else { return false };
        let Some(values) = self.values(window) else { return false };
        let called_card = || is_called_card(self.text, first.at.start);
        if !is_issued(values)
            && !(is_air_travel(window, values) && (rest.len() == 2 || called_card()))
        {
            return false;
        }
        if self.run.plus && start == 0 && is_phone(values) {
            return false;
        }
        if rest.is_empty() {
            return self.stands_alone(start, values) && !is_technical(self.text, first.at.start);
        }
        let lengths: Vec<usize> = window.iter().map(|group| group.len).collect();
        let alike = rest.iter().all(|group| gap(rest, 0).is_some_and(|gap| gap.is_like(group.gap)));
        let close = rest.iter().all(|group| matches!(group.gap, Gap::Close(_)));
        let odd = rest.iter().any(|group| matches!(group.gap, Gap::Odd(_)));
        let sure = is_printed(&lengths) && (alike || !odd);
        let written = sure
            || lengths == [4; 4]
            || (!self.as_printed
                && self.is_grouped(start, end, &lengths, alike, close)
                && (!says_something_else(&lengths) || called_card())
                && !goes_on_word(self.text, first.at.start));
        written
            && !(lengths == [4, 4, 5] && self.goes_on_fours(start))
            && (sure && alike || !is_called_otherwise(self.text, first.at.start))
            && !is_list(self, start, end)
            && !self.is_parcel_or_chip(start, end)
            && !is_technical(self.text, first.at.start)
    }

    /// Whether all digits of these have a card's check digit.
    /// In one piece: it is not the rest of a decimal number, and no article's number.
    fn stands_alone(&self, start: usize, values: &[u8]) -> bool {
        let before = start.checked_sub(1).and_then(|nth| self.groups.get(nth));
        let zero = before.is_some_and(|group| group.len == 1 && self.number(group) == 0);
        let pointed = gap(self.groups, start) == Some(Gap::Close(Some('.')));
        let fraction = pointed && (zero || (values.len() == OLD && !self.is_called_card(start)));
        !fraction
            && !self.is_among_fractions(start)
            && (!is_article(values) || self.is_called_card(start))
    }

    /// Whether it stands behind a point, as another number beside it does, which is no card.
    fn is_among_fractions(&self, nth: usize) -> bool {
        let fraction = |nth: usize| {
            let (whole, fraction) = (self.groups.get(nth.checked_sub(1)?)?, self.groups.get(nth)?);
            let pointed = fraction.gap == Gap::Close(Some('.')) && whole.len <= 3;
            (pointed && fraction.len >= FRACTION_MIN).then_some(fraction)
        };
        let is_other = |nth: Option<usize>| {
            nth.and_then(fraction).is_some_and(|group| !self.luhn(std::slice::from_ref(group)))
        };
        fraction(nth).is_some() && (is_other(nth.checked_sub(2)) || is_other(Some(nth + 2)))
    }

    /// Written in groups that no card has printed on it, with nothing beside them that would go on
    /// like them.
    fn is_grouped(
        &self,
        start: usize,
        end: usize,
        lengths: &[usize],
        alike: bool,
        close: bool,
    ) -> bool {
        let (Some((last, others)), Some(kind)) =
            (lengths.split_last(), gap(self.groups, start + 1))
        else {
            return false;
        };
        let size = others.first().copied().unwrap_or_default();
        let uniform = others.iter().all(|length| *length == size) && *last <= size;
        let usual = match lengths.iter().sum() {
            14 | 15 | 16 | 19 => true,
            17 | 18 => uniform && size >= 3,
            _ => false,
        };
        let beside = |nth: Option<usize>, gap_at: usize| {
            let near = gap(self.groups, gap_at)
                .is_some_and(|gap| gap.is_like(kind) || matches!(gap, Gap::Close(_)));
            nth.and_then(|nth| self.groups.get(nth)).filter(|_| near)
        };
        let before = beside(start.checked_sub(1), start);
        let after = beside(Some(end + 1), end + 1);
        let goes_on = |beside: Option<&Group>, size| beside.is_some_and(|group| group.len == size);
        if is_thousands(lengths) && alike && kind != Gap::Close(None) {
            return !goes_on(before, 3) && !goes_on(after, 3);
        }
        if uniform && size < 4 {
            let parted = match size {
                1 => true,
                2 => matches!(kind, Gap::Wide | Gap::Odd(_)),
                _ => kind.is_sign(),
            };
            let written = close || (alike && (parted || self.is_called_card(start)));
            let ends = !goes_on(after, size) || *last < size || self.is_expiry(end + 1);
            return usual && written && !goes_on(before, size) && ends;
        }
        let halves = lengths == [8, 8];
        let parted = kind.is_sign()
            || (halves && kind == Gap::Wide)
            || (uniform && kind == Gap::Line && lengths.len() > 2);
        let written = close || (alike && (parted || self.is_called_card(start)));
        let parts_of_four = is_split_once(lengths) || is_from_the_right(lengths);
        let long = others.iter().all(|length| *length >= 4) || parts_of_four;
        let alone = |beside: Option<&Group>| match beside {
            Some(group) if group.len == 4 => is_date(self.number(group)),
            Some(group) => group.len < 4 || (halves && group.len != 8),
            None => true,
        };
        usual && written && (uniform || long) && alone(before) && alone(after)
    }

    /// Whether a four stands before with the gap that these have: what is printed as a card is the
    /// end of an order.
    fn goes_on_fours(&self, start: usize) -> bool {
        let before = start.checked_sub(1).and_then(|nth| self.groups.get(nth));
        before.is_some_and(|group| group.len == 4)
            && gap(self.groups, start) == gap(self.groups, start + 1)
    }

    /// Whether the two groups from here are a month and a year, as behind a card.
    fn is_expiry(&self, nth: usize) -> bool {
        match self.groups.get(nth..).unwrap_or_default() {
            [month, year, rest @ ..] => {
                let goes_on = rest.first().is_some_and(|next| next.gap.is_like(year.gap));
                let date = self.number(month) * 100 + self.number(year);
                month.len == 2 && year.len == 2 && is_date(date) && !goes_on
            }
            _ => false,
        }
    }

    /// Whether the groups that stand close together here are, as a whole, the number of a parcel or
    /// of a SIM card.
    fn is_parcel_or_chip(&self, start: usize, end: usize) -> bool {
        let close = |group: &Group| matches!(group.gap, Gap::Close(_));
        let before = self.groups.get(..=start).unwrap_or_default().iter().rev();
        let from = start - before.take(FAR).take_while(|group| close(group)).count().min(start);
        let behind = self.groups.get(start + 1..).unwrap_or_default().iter();
        let to = start + behind.take(FAR).take_while(|group| close(group)).count();
        let whole = self.groups.get(from..=to).unwrap_or_default();
        let is_whole = match self.values(whole).map(|values| (values.len(), values)) {
            Some((19 | 20, [8, 9, ..])) => self.luhn(whole),
            Some((22, [9, 1..=5, ..]) | (32, [8, 9, ..])) => true,
            _ => false,
        };
        is_whole || (start.saturating_sub(CHIP)..=start).any(|from| self.is_chip(from, end))
    }

    /// Whether the number of a SIM card begins here, in fours of which none stands before, and goes
    /// at least to there.
    fn is_chip(&self, from: usize, end: usize) -> bool {
        let Some(groups @ [first, rest @ ..]) = self.groups.get(from..from + CHIP) else {
            return false;
        };
        let kind = gap(rest, 0);
        let alike = rest.iter().all(|group| kind.is_some_and(|kind| kind.is_like(group.gap)));
        let fours = rest.iter().rev().skip(1).chain([first]).all(|group| group.len == 4);
        let ends = rest.last().is_some_and(|last| matches!(last.len, 3 | 4));
        let values = self.values(groups).unwrap_or_default();
        let before = from.checked_sub(1).and_then(|nth| self.groups.get(nth));
        let goes_on = before.is_some_and(|group| group.len == 4)
            && kind.is_some_and(|kind| kind.is_like(first.gap));
        from + CHIP > end
            && !goes_on
            && alike
            && fours
            && ends
            && values.starts_with(&[8, 9])
            && self.luhn(groups)
    }
}

/// Cards of airlines begin with 1, as much else does, and are told from it by how they are written
/// or called.
fn is_air_travel(window: &[Group], values: &[u8]) -> bool {
    let lengths = || window.iter().map(|group| group.len);
    values.first() == Some(&1) && (lengths().eq([4, 5, 6]) || lengths().eq([15]))
}

/// A phone number in international form has up to fifteen digits (E.164), but in no country that
/// begins with 3 more than thirteen.
fn is_phone(values: &[u8]) -> bool {
    matches!((values.len(), values), (..=13, _) | (14 | 15, [0..=2 | 4.., ..]))
}

/// Articles, phones of Germany and Austria without their plus, and citizens of China, all of whose
/// numbers begin with a province and have a date of birth in them.
fn is_article(values: &[u8]) -> bool {
    match values {
        [4, 9, ..] | [4, 3, 6, ..] if values.len() == OLD => true,
        [4, ..] if values.len() == OLD => gs1(values),
        [province, nth, _, _, _, _, date @ .., _, _, _, _] if values.len() == 18 => {
            matches!((province, nth), (4, 1..=6) | (5, 0..=4) | (6, 1..=5) | (8, 1 | 2))
                && is_full_date(date)
        }
        _ => false,
    }
}

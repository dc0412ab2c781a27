//! Groups of digits with the text that they stand in, as the rules about them look at it.

use super::digits::{Group, Run};
use super::words::is_called_card;

/// Groups of a run as they are looked at.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    pub(super) text: &'a str,
    pub(super) run: &'a Run,
    pub(super) groups: &'a [Group],
    /// Only what is written as on a card counts.
    pub(super) as_printed: bool,
}

impl Page<'_> {
    pub(super) fn luhn(&self, groups: &[Group]) -> bool {
        match groups {
            [first, .., last] => self.run.luhn(first.first..last.first + last.len),
            [only] => self.run.luhn(only.first..only.first + only.len),
            [] => false,
        }
    }

    pub(super) fn values(&self, groups: &[Group]) -> Option<&[u8]> {
        let (first, last) = (groups.first()?, groups.last()?);
        self.run.values.get(first.first..last.first + last.len)
    }

    pub(super) fn number(&self, group: &Group) -> i64 {
        self.run.number(group)
    }

    pub(super) fn is_called_card(&self, nth: usize) -> bool {
        self.groups.get(nth).is_some_and(|group| is_called_card(self.text, group.at.start))
    }
}

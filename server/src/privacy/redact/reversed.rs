//! Text that is shown from right to left by force: what is read there stands the other way round.

use std::ops::Range;

use super::{card, iban};

/// Reverses what follows.
const REVERSE: char = '\u{202E}';

/// End what was reversed.
const ENDS: [char; 4] = ['\u{202C}', '\u{2029}', '\n', '\r'];

/// Finds the numbers that are read where a text is reversed.
pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    if text.is_ascii() {
        return;
    }
    let mut at = 0;
    while let Some(nth) = text.get(at..).and_then(|rest| rest.find(REVERSE)) {
        let start = at + nth + REVERSE.len_utf8();
        let rest = text.get(start..).unwrap_or_default();
        let end = start + rest.find(ENDS).unwrap_or(rest.len());
        let reversed: String = text.get(start..end).unwrap_or_default().chars().rev().collect();
        let mut in_reversed = Vec::new();
        card::find(&reversed, &mut in_reversed);
        iban::find(&reversed, &mut in_reversed);
        found.extend(in_reversed.into_iter().map(|range| end - range.end..end - range.start));
        at = end;
    }
}

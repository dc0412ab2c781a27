//! Text that is shown from right to left by force: what is read there stands the other way round.

use std::ops::Range;

use super::{card, iban};

/// Turns what follows.
const TURN: char = '\u{202E}';

/// End what was turned.
const ENDS: [char; 4] = ['\u{202C}', '\u{2029}', '\n', '\r'];

/// Finds the numbers that are read where a text is turned.
pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    if text.is_ascii() {
        return;
    }
    let mut at = 0;
    while let Some(nth) = text.get(at..).and_then(|rest| rest.find(TURN)) {
        let start = at + nth + TURN.len_utf8();
        let rest = text.get(start..).unwrap_or_default();
        let end = start + rest.find(ENDS).unwrap_or(rest.len());
        let turned: String = text.get(start..end).unwrap_or_default().chars().rev().collect();
        let mut in_turned = Vec::new();
        card::find(&turned, &mut in_turned);
        iban::find(&turned, &mut in_turned);
        found.extend(in_turned.into_iter().map(|range| end - range.end..end - range.start));
        at = end;
    }
}

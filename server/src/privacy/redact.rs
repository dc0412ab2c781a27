//! Masks what must never be stored: card numbers, IBANs, and a site's own patterns.
//!
//! What is found is replaced by [`MARK`] before anything else sees the text; there is no way back.
//! A number counts as a card only with a valid check digit, so that order numbers, phone numbers and
//! times survive; where a number could be either, it is hidden.

mod card;
mod iban;
mod sign;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use regex::{Regex, RegexBuilder};

/// What stands in the place of what was hidden.
pub const MARK: &str = "[hidden]";

/// Patterns of one site.
pub const PATTERNS_MAX: usize = 16;

/// Bytes of one pattern.
pub const PATTERN_BYTES_MAX: usize = 200;

/// Bytes that a compiled pattern may take, and its cache while it searches.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// Digits in a row that a half-typed text does not show: a card number that is not complete yet has
/// no valid check digit.
const PEEK_DIGITS_MIN: usize = 7;

/// Why a site's patterns cannot be used; the index counts from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// More than [`PATTERNS_MAX`].
    #[error("at most {PATTERNS_MAX} patterns")]
    TooMany,
    /// Longer than [`PATTERN_BYTES_MAX`].
    #[error("pattern {index} is longer than {PATTERN_BYTES_MAX} bytes")]
    TooLong {
        /// Which.
        index: usize,
    },
    /// No regular expression, or one that would need too much memory.
    #[error("pattern {index} is no regular expression, or needs too much memory")]
    Invalid {
        /// Which.
        index: usize,
    },
    /// It matches where there is nothing, so it would hide everything.
    #[error("pattern {index} matches the empty text")]
    MatchesNothing {
        /// Which.
        index: usize,
    },
}

/// A site's masks, compiled once. The default has those that every site has.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    patterns: Vec<Regex>,
}

impl Redactor {
    /// The masks of every site and these.
    ///
    /// # Errors
    /// If there are too many patterns, or one is too long, too large, or no pattern.
    pub fn new(patterns: &[String]) -> Result<Self, BadPattern> {
        if patterns.len() > PATTERNS_MAX {
            return Err(BadPattern::TooMany);
        }
        let patterns = patterns.iter().enumerate().map(|(index, pattern)| compile(index, pattern));
        Ok(Self { patterns: patterns.collect::<Result<_, _>>()? })
    }

    /// The text with everything hidden that must not be kept; borrowed where nothing was.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        hide(text, self.find(text))
    }

    /// The same for a text that is still being typed: long runs of digits are hidden too.
    pub fn redact_peek<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut found = self.find(text);
        card::each_run(text, |run| {
            if let ([first, .., last], true) = (run, run.len() >= PEEK_DIGITS_MIN) {
                found.push(first.at.start..last.at.end);
            }
        });
        hide(text, found)
    }

    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        // Neither has a chance without a digit; most that people say has none.
        if may_have_digits(text) {
            card::find(text, &mut found);
            iban::find(text, &mut found);
        }
        for pattern in &self.patterns {
            let hits = pattern.find_iter(text).map(|hit| hit.range());
            found.extend(hits.filter(|range| !range.is_empty()));
        }
        found
    }
}

/// Whether there is a digit of ASCII, or anything that is not ASCII and may be one. Looked at in pieces that the
/// processor compares at once: this is asked of every message.
fn may_have_digits(text: &str) -> bool {
    let counts = |byte: &u8| byte.is_ascii_digit() | !byte.is_ascii();
    text.as_bytes().chunks(32).any(|piece| piece.iter().fold(false, |any, byte| any | counts(byte)))
}

fn compile(index: usize, pattern: &str) -> Result<Regex, BadPattern> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(BadPattern::TooLong { index });
    }
    let compiled = RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .nest_limit(32)
        .build()
        .map_err(|_| BadPattern::Invalid { index })?;
    if compiled.is_match("") {
        return Err(BadPattern::MatchesNothing { index });
    }
    Ok(compiled)
}

/// Replaces these ranges; those that overlap or touch become one mark.
fn hide(text: &str, mut ranges: Vec<Range<usize>>) -> Cow<'_, str> {
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    ranges.sort_unstable_by_key(|range| range.start);
    let mut shown = String::with_capacity(text.len());
    let mut end = None;
    for range in ranges {
        match end {
            Some(until) if range.start <= until => end = Some(range.end.max(until)),
            _ => {
                shown.push_str(text.get(end.unwrap_or(0)..range.start).unwrap_or_default());
                shown.push_str(MARK);
                end = Some(range.end);
            }
        }
    }
    shown.push_str(text.get(end.unwrap_or(0)..).unwrap_or_default());
    Cow::Owned(shown)
}

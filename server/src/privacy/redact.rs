//! Masks what must never be stored: card numbers, IBANs, and a site's own patterns.
//!
//! What is found is replaced by [`PLACEHOLDER`] before anything else sees the text; there is no way
//! back. A number counts as a card with an issuer's prefix and length, a valid check digit, and
//! groups that people write a card in, so that order numbers, phone numbers and times survive.

mod card;
mod digits;
mod iban;
mod issuer;
mod list;
mod names;
mod page;
mod pattern;
mod shape;
mod sign;
mod spared;
mod reversed;
mod words;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;

use self::pattern::{ALIVE_MAX, Fuel, MEMORY_BYTES_MAX, Pattern, Unusable};
use self::sign::{Sign, sign};
use self::spared::Spared;

/// What stands in the place of what was hidden.
pub const PLACEHOLDER: &str = "[hidden]";

/// Patterns of one site.
pub const PATTERNS_MAX: usize = 16;

/// Bytes of one pattern.
pub const PATTERN_BYTES_MAX: usize = 200;

/// Bytes from which a text with numbers takes long.
const LONG_BYTES: usize = 2_048;

/// How often a text is looked through anew for what the marks in it have parted: each look may find
/// one number only.
const LOOKS_MAX: usize = 8;

/// Steps from which a text takes long: some two milliseconds, if everything is against it.
const LONG_STEPS: usize = 64 * 1024;

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
    /// With it the site's patterns would take too long on the longest text.
    #[error(
        "pattern {index} would take too long on a long text: repeat less, or within narrower bounds"
    )]
    TooSlow {
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
    patterns: Arc<[Pattern]>,
}

type ByText = HashMap<Vec<String>, Weak<[Pattern]>>;

/// What is in use, by the text of its patterns.
static IN_USE: LazyLock<Mutex<ByText>> = LazyLock::new(Mutex::default);

impl Redactor {
    /// The masks of every site and these, where that takes no time: there are none, or somebody has
    /// them already.
    pub fn at_once(patterns: &[String]) -> Option<Self> {
        if patterns.is_empty() {
            return Some(Self::default());
        }
        let patterns = IN_USE.lock().get(patterns)?.upgrade()?;
        Some(Self { patterns })
    }

    /// The masks of every site and these. Takes up to half a second: not for a thread that serves.
    ///
    /// # Errors
    /// If there are too many patterns, or one is too long, too large, or no pattern.
    pub fn new(patterns: &[String]) -> Result<Self, BadPattern> {
        if let Some(known) = Self::at_once(patterns) {
            return Ok(known);
        }
        let compiled = Self { patterns: compile_all(patterns)?.into() };
        let mut in_use = IN_USE.lock();
        in_use.retain(|_, known| known.strong_count() > 0);
        in_use.insert(patterns.to_vec(), Arc::downgrade(&compiled.patterns));
        Ok(compiled)
    }
    /// Whether nobody who is served should wait while such a text is masked: a site's own patterns
    /// can take a hundred milliseconds for the longest message, and its numbers a dozen, if
    /// everything is against it.
    pub fn takes_long(&self, text: &str) -> bool {
        if text.len() > LONG_BYTES && may_have_digits(text) {
            return true;
        }
        let steps = self.patterns.iter().map(|pattern| pattern.steps_max(text.len()));
        steps.fold(0, usize::saturating_add) > LONG_STEPS
    }

    /// The text with everything hidden that must not be kept; borrowed where nothing was.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.redact_as(text, |_| Cow::Borrowed(PLACEHOLDER))
    }

    /// The same, and never longer than it was: what is shorter than the placeholder has a star for
    /// each character.
    pub fn redact_within<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.redact_as(text, |hidden| match hidden.chars().count() {
            short if short < PLACEHOLDER.len() => Cow::Owned("*".repeat(short)),
            _ => Cow::Borrowed(PLACEHOLDER),
        })
    }

    fn redact_as<'t>(
        &self,
        text: &'t str,
        placeholder: impl Fn(&str) -> Cow<'static, str>,
    ) -> Cow<'t, str> {
        let mut hidden = hide(text, self.find(text), &placeholder);
        // What is hidden parts what stood around it, which then is looked at by itself.
        for _ in 0..LOOKS_MAX {
            let Cow::Owned(shown) = &hidden else { break };
            let found = find_numbers(shown);
            if found.is_empty() {
                break;
            }
            hidden = Cow::Owned(hide(shown, found, &placeholder).into_owned());
        }
        hidden
    }

    /// The same for a text that is still being typed: long runs of digits are hidden too.
    pub fn redact_peek<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut found = self.find(text);
        digits::each_run(text, sign, |run| {
            if let (Some(first), Some(last), PEEK_DIGITS_MIN..) =
                (run.groups.first(), run.groups.last(), run.values.len())
            {
                found.push(first.at.start..last.at.end);
            }
        });
        hide(text, found, &|_| Cow::Borrowed(PLACEHOLDER))
    }

    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = find_numbers(text);
        let mut fuel = Fuel::of(text);
        for pattern in self.patterns.iter() {
            pattern.find(text, &mut fuel, &mut found);
        }
        found
    }
}

/// Card and account numbers.
fn find_numbers(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // Neither has a chance without a digit; most that people say has none.
    if may_have_digits(text) {
        card::find(text, &mut found);
        iban::find(text, &mut found);
        reversed::find(text, &mut found);
        if found.is_empty() {
            return found;
        }
        found.sort_unstable_by_key(|found| found.start);
        let mut spared = Spared::of(text);
        found.retain(|found| !spared.holds(found));
        for range in &mut found {
            *range = with_unseen(text, range);
        }
    }
    found
}

/// What is not seen around a number goes with it: its direction, its last mark.
fn with_unseen(text: &str, range: &Range<usize>) -> Range<usize> {
    let before = text.get(..range.start).unwrap_or_default();
    let behind = text.get(range.end..).unwrap_or_default();
    let opens = |char| sign(char) == Sign::Nothing;
    let ends = |char| matches!(sign(char), Sign::Nothing | Sign::Mark);
    before.trim_end_matches(opens).len()..text.len() - behind.trim_start_matches(ends).len()
}

/// Whether there is a digit of ASCII, or anything that may be another. Looked at in pieces that the
/// processor compares at once: this is asked of every message.
fn may_have_digits(text: &str) -> bool {
    let mut pieces = text.as_bytes().chunks(32);
    pieces.any(|piece| piece.iter().fold(false, |any, byte| any | may_begin_digit(*byte)))
}

/// Whether a digit may begin with this byte. None does among the letters of Europe.
fn may_begin_digit(byte: u8) -> bool {
    byte.is_ascii_digit() | (byte == 0xC2) | (byte > 0xD8)
}

fn compile_all(patterns: &[String]) -> Result<Vec<Pattern>, BadPattern> {
    if patterns.len() > PATTERNS_MAX {
        return Err(BadPattern::TooMany);
    }
    let (mut compiled, mut alive, mut bytes) = (Vec::with_capacity(patterns.len()), 0, 0);
    for (index, pattern) in patterns.iter().enumerate() {
        let pattern = compile(index, pattern)?;
        bytes += pattern.memory_bytes();
        alive += pattern.alive();
        if bytes > MEMORY_BYTES_MAX {
            return Err(BadPattern::Invalid { index });
        }
        if alive > ALIVE_MAX {
            return Err(BadPattern::TooSlow { index });
        }
        compiled.push(pattern);
    }
    Ok(compiled)
}

fn compile(index: usize, pattern: &str) -> Result<Pattern, BadPattern> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(BadPattern::TooLong { index });
    }
    Pattern::new(pattern).map_err(|unusable| match unusable {
        Unusable::Invalid => BadPattern::Invalid { index },
        Unusable::MatchesNothing => BadPattern::MatchesNothing { index },
    })
}

/// Replaces these ranges; those that overlap or touch become one.
fn hide<'t>(
    text: &'t str,
    mut ranges: Vec<Range<usize>>,
    placeholder: &impl Fn(&str) -> Cow<'static, str>,
) -> Cow<'t, str> {
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, before| {
        let joined = next.start <= before.end;
        before.end = if joined { before.end.max(next.end) } else { before.end };
        joined
    });
    let mut shown = String::with_capacity(text.len());
    let mut end = 0;
    for range in ranges {
        shown.push_str(text.get(end..range.start).unwrap_or_default());
        end = range.end;
        shown.push_str(&placeholder(text.get(range).unwrap_or_default()));
    }
    shown.push_str(text.get(end..).unwrap_or_default());
    Cow::Owned(shown)
}

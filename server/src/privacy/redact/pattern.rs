//! A site's own pattern: judged by its worst time before it is taken, and bounded while it
//! searches.
//!
//! The library's time is at most the text's length times the states that can be alive at once; and
//! where a search may look far beyond what it finds, that again for each hit. Both are counted,
//! never measured by a clock.

use std::collections::HashSet;
use std::ops::Range;

use regex_automata::meta;
use regex_automata::nfa::thompson::{self, NFA, State, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

/// States of all patterns of a site that can be alive at one place of a text: some forty
/// milliseconds for the longest text in ASCII, if everything is against it.
pub(super) const ALIVE_MAX: usize = 512;

/// Texts up to here have the same number of steps; there is no hurry with them.
const SHORT_BYTES: usize = 1_024;

/// Bytes that the patterns of a site may take: classes of Unicode that are repeated are large.
pub(super) const MEMORY_BYTES_MAX: usize = 12 * 1024 * 1024;

/// Bytes of a pattern's cache while it searches.
const CACHE_BYTES_MAX: usize = 256 * 1024;

/// Levels of brackets.
const NEST_MAX: u32 = 32;

/// Looks that the judge takes at one pattern's states, before it takes their number for the worst.
const LOOKS_MAX: usize = 100_000;

/// What a hit costs beside the search.
const HIT_STEPS: usize = 16;

/// Why a pattern is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// No regular expression, or one that takes too much memory.
    Invalid,
    /// It matches where there is nothing.
    MatchesNothing,
}

/// Steps that are left for one text.
#[derive(Debug)]
pub(super) struct Fuel(usize);

impl Fuel {
    /// As many as the patterns of any site need for going through the text.
    pub(super) fn of(text: &str) -> Self {
        Self(ALIVE_MAX.saturating_mul(text.len().max(SHORT_BYTES)))
    }

    /// Whether there were so many.
    fn take(&mut self, steps: usize) -> bool {
        let left = self.0.checked_sub(steps);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}

/// A pattern, compiled and judged.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: meta::Regex,
    /// States that can be alive at once.
    alive: usize,
    /// How far beyond a hit a search may have looked; `None` if to the text's end.
    looks_beyond: Option<usize>,
    /// Bytes of the shortest hit.
    hit_bytes_min: usize,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, Unusable> {
        let parsed = ParserBuilder::new().nest_limit(NEST_MAX).build().parse(text);
        let hir = parsed.map_err(|_| Unusable::Invalid)?;
        let config = meta::Config::new()
            .nfa_size_limit(Some(MEMORY_BYTES_MAX))
            .hybrid_cache_capacity(CACHE_BYTES_MAX)
            .which_captures(WhichCaptures::Implicit);
        let regex = meta::Builder::new().configure(config).build_from_hir(&hir);
        let regex = regex.map_err(|_| Unusable::Invalid)?;
        if regex.is_match("") {
            return Err(Unusable::MatchesNothing);
        }
        let places = places(&hir);
        let nfa = NFA::compiler()
            .configure(thompson::Config::new().which_captures(WhichCaptures::None))
            .build_from_hir(&hir)
            .map_err(|_| Unusable::Invalid)?;
        let alive = most_alive(&nfa).map_or(places, |alive| alive.min(places)).max(1);
        let looks_beyond = (!looks_far(&hir, true)).then_some(places.saturating_mul(4));
        let hit_bytes_min = hir.properties().minimum_len().unwrap_or(0).max(1);
        Ok(Self { regex, alive, looks_beyond, hit_bytes_min })
    }

    /// States that can be alive at once.
    pub(super) fn alive(&self) -> usize {
        self.alive
    }

    /// Steps that a text of so many bytes can take at most.
    pub(super) fn steps_max(&self, bytes: usize) -> usize {
        let hits = bytes / self.hit_bytes_min;
        let beyond = self.looks_beyond.unwrap_or(bytes).min(bytes);
        let each = self.alive.saturating_mul(beyond).saturating_add(HIT_STEPS);
        self.alive.saturating_mul(bytes).saturating_add(hits.saturating_mul(each))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.regex.memory_usage()
    }

    /// Finds what it matches. Where the steps do not reach, the rest of the text is found.
    pub(super) fn find(&self, text: &str, fuel: &mut Fuel, found: &mut Vec<Range<usize>>) {
        if !fuel.take(self.alive.saturating_mul(text.len())) {
            found.push(0..text.len());
            return;
        }
        for hit in self.regex.find_iter(text) {
            let (range, rest) = (hit.range(), text.len() - hit.end());
            let beyond = self.looks_beyond.map_or(rest, |bytes| bytes.min(rest));
            let enough = fuel.take(self.alive.saturating_mul(beyond).saturating_add(HIT_STEPS));
            if !range.is_empty() {
                found.push(range.clone());
            }
            if !enough {
                found.push(range.start..text.len());
                return;
            }
        }
    }
}

/// Places of the pattern that can each be alive on their own: its letters and classes, as often as
/// they are repeated.
fn places(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(_) => 1,
        HirKind::Capture(capture) => places(&capture.sub),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.max(1));
            places(&repetition.sub).saturating_mul(usize::try_from(times).unwrap_or(usize::MAX))
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(0, |sum, part| sum.saturating_add(places(part)))
        }
    }
}

/// Whether a search can go on without end behind a match, in the hope of a longer one: where
/// something is repeated without a bound and more must follow it.
fn looks_far(hir: &Hir, may_end_behind: bool) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Literal(_) | HirKind::Class(_) => false,
        HirKind::Capture(capture) => looks_far(&capture.sub, may_end_behind),
        HirKind::Repetition(repetition) => {
            (repetition.max.is_none() && !may_end_behind)
                || looks_far(&repetition.sub, may_end_behind && repetition.min <= 1)
        }
        HirKind::Alternation(parts) => parts.iter().any(|part| looks_far(part, may_end_behind)),
        HirKind::Concat(parts) => {
            let mut may_end = may_end_behind;
            parts.iter().rev().any(|part| {
                let far = looks_far(part, may_end);
                let properties = part.properties();
                may_end &= properties.minimum_len() == Some(0) && properties.look_set().is_empty();
                far
            })
        }
    }
}

/// The most states that any text can make alive at once, by going through all sets of them that
/// there are; `None` where there are too many to go through.
fn most_alive(nfa: &NFA) -> Option<usize> {
    let mut closure = Closure { nfa, seen: vec![false; nfa.states().len()], stack: Vec::new() };
    let start = closure.of([nfa.start_unanchored()]);
    let bytes: Vec<u8> =
        nfa.byte_classes().representatives(0..=255).filter_map(|unit| unit.as_u8()).collect();
    let mut known = HashSet::from([start.clone()]);
    let mut open = vec![start];
    let (mut looks, mut most) = (0, 0);
    while let Some(set) = open.pop() {
        most = most.max(set.len());
        for byte in &bytes {
            let next = closure.of(set.iter().filter_map(|id| step(nfa, *id, *byte)));
            looks += set.len() + next.len() + 1;
            if looks > LOOKS_MAX {
                return None;
            }
            if known.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    Some(most)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the crate's: no other state reads a byte")]
fn step(nfa: &NFA, id: StateID, byte: u8) -> Option<StateID> {
    match nfa.state(id) {
        State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
        State::Sparse(sparse) => sparse.matches_byte(byte),
        State::Dense(dense) => dense.matches_byte(byte),
        _ => None,
    }
}

/// What is reached without reading: the states that read a byte.
struct Closure<'a> {
    nfa: &'a NFA,
    seen: Vec<bool>,
    stack: Vec<StateID>,
}

impl Closure<'_> {
    fn of(&mut self, from: impl IntoIterator<Item = StateID>) -> Vec<StateID> {
        let mut touched = Vec::new();
        let mut reading = Vec::new();
        self.stack.extend(from);
        while let Some(id) = self.stack.pop() {
            match self.seen.get_mut(id.as_usize()) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            touched.push(id);
            match self.nfa.state(id) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => reading.push(id),
                // Where it looks may hold or not; the worst is that it does.
                State::Look { next, .. } | State::Capture { next, .. } => self.stack.push(*next),
                State::Union { alternates } => self.stack.extend(alternates.iter().copied()),
                State::BinaryUnion { alt1, alt2 } => self.stack.extend([*alt1, *alt2]),
                State::Fail | State::Match { .. } => {}
            }
        }
        for id in touched {
            if let Some(seen) = self.seen.get_mut(id.as_usize()) {
                *seen = false;
            }
        }
        reading.sort_unstable();
        reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::redact::{BadPattern, PLACEHOLDER, Redactor};
    use protocol::limits::TEXT_CHARS_MAX;

    fn taken(pattern: &str) -> Result<(), BadPattern> {
        Redactor::new(&[pattern.to_owned()]).map(drop)
    }

    #[test]
    fn a_pattern_that_takes_too_long_on_the_longest_text_is_refused_by_name() {
        for slow in [
            "(?:x{1,60}){1,60}0",
            "(?:x{1,30}y?){1,40}0",
            "(?:[a-z]{1,40} ?){1,40}!",
            "(?:a?){700}b",
            "[ab]*a[ab]{600}",
            "(?:(?:ab?){1,30}c?){1,30}d",
        ] {
            assert_eq!(taken(slow), Err(BadPattern::TooSlow { index: 0 }), "{slow}");
        }
        let together = vec!["x{1,200}0".to_owned(); 4];
        assert_eq!(Redactor::new(&together).map(drop), Err(BadPattern::TooSlow { index: 2 }));
    }

    #[test]
    fn honest_patterns_are_taken() {
        for honest in [
            "order-[0-9]+",
            r"(?i)\b(?:password|passwort|mot de passe|contraseña)\s*[:=]\s*\S+",
            r"[\w.+-]{1,64}@[\w-]{1,63}\.\w{2,10}",
            r"\b\w{5,50}-\d{6,10}\b",
            r"\p{L}{3,20} \p{Lu}\p{Ll}{2,30}",
            r"\b\d{2}[. /]\d{2}[. /](?:19|20)\d{2}\b",
            r"Bearer\s+[A-Za-z0-9._~+/-]{20,200}",
            r"(?s)-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----",
            r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){3,7}(?:[ ]?[A-Z0-9]{1,3})?\b",
            r"secret.{0,100}",
            r"(?:aspirin|ibuprofen|paracetamol|diclofenac|metformin|ramipril|bisoprolol|pantoprazol|simvastatin|levothyroxin|torasemid|candesartan)",
        ] {
            assert_eq!(taken(honest), Ok(()), "{honest}");
        }
        let many = vec![r"\b\d{4}[ -]?\d{4}[ -]?\d{4}\b".to_owned(); 16];
        assert_eq!(Redactor::new(&many).map(drop), Ok(()));
    }

    /// Else a site's patterns would hold everyone whom the same thread serves.
    #[test]
    fn a_text_takes_long_where_the_steps_are_many() {
        let long = "x".repeat(TEXT_CHARS_MAX);
        for (patterns, of_a_sentence, of_the_longest) in [
            (&[][..], false, false),
            (&[r"CUST-\d{6}"], false, true),
            (&["x{1,200}0"], true, true),
            (&["a.*z|a"], false, true),
        ] {
            let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
            let redactor = Redactor::new(&patterns).unwrap();
            let takes = |text: &str| redactor.takes_long(text);
            let sentence =
                "Where is my parcel? It was to come on Monday, and nobody is at home then.";
            assert_eq!((takes(sentence), takes(&long)), (of_a_sentence, of_the_longest));
            // Where there may be numbers, a long text does by itself.
            assert!(takes(&"x1".repeat(TEXT_CHARS_MAX / 2)));
        }
        assert!(!Redactor::default().takes_long(&"4111 1111 1111 1111, ".repeat(90)));
    }

    #[test]
    fn what_is_found_is_what_the_library_finds() {
        let pattern = Pattern::new(r"(?i)customer-\d{4}").unwrap();
        let mut found = Vec::new();
        pattern.find("Customer-1234, customer-12", &mut Fuel::of(""), &mut found);
        assert_eq!((found.len(), found.first()), (1, Some(&(0..13))));
    }

    /// Each search of this one goes to the text's end, and there is one for each character.
    #[test]
    fn a_text_is_not_gone_through_for_each_hit_without_end() {
        let text = "a".repeat(TEXT_CHARS_MAX);
        let pattern = Pattern::new("a.*z|a").unwrap();
        let mut found = Vec::new();
        pattern.find(&text, &mut Fuel::of(&text), &mut found);
        assert!(found.len() <= 2 * ALIVE_MAX + 1, "{} searches", found.len());
        assert_eq!(found.last().map(|range| range.end), Some(text.len()));
        let redactor = Redactor::new(&["a.*z|a".to_owned()]).unwrap();
        assert_eq!(redactor.redact(&text), PLACEHOLDER);
    }

    /// One that never looks far finds all there is, however often.
    #[test]
    fn a_text_full_of_hits_keeps_what_is_none() {
        let redactor = Redactor::new(&["ORDER-[0-9]+".to_owned()]).unwrap();
        let text = "ORDER-7, ".repeat(400);
        assert_eq!(redactor.redact(&text), format!("{PLACEHOLDER}, ").repeat(400));
    }
}

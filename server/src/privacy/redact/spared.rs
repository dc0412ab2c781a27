//! Where digits are left alone: in links, UUIDs and long hexadecimal numbers, which would be broken.
//!
//! A word may be as long as the text and full of numbers, so each is looked at once, and not for each number in it.

use std::ops::Range;

/// The shortest hexadecimal number that counts as a hash.
const HASH_MIN: usize = 20;

/// Lengths of a UUID's parts.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// Names of a link's values that are cards or accounts all the same.
const KEYS: [&str; 7] = ["card", "karte", "carte", "iban", "konto", "account", "pan="];

/// Judges what was found in a text, which is fastest in the order of the text.
pub(super) struct Spared<'t> {
    text: &'t str,
    /// Where words end, and where links do.
    word_ends: Vec<usize>,
    link_ends: Vec<usize>,
    /// What was looked at last.
    word: Option<(Range<usize>, bool)>,
    link: Option<(usize, Link)>,
    value: Option<(Range<usize>, Option<usize>)>,
}

impl<'t> Spared<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let ends = |ends: fn(char) -> bool| text.match_indices(ends).map(|(at, _)| at).collect();
        Self {
            text,
            word_ends: ends(ends_word),
            link_ends: ends(ends_link),
            word: None,
            link: None,
            value: None,
        }
    }

    /// Whether what was found there is a part of something else.
    pub(super) fn holds(&mut self, found: &Range<usize>) -> bool {
        self.in_hash_or_uuid(found) || self.in_link(found)
    }

    fn in_hash_or_uuid(&mut self, found: &Range<usize>) -> bool {
        let word = around(self.text, &self.word_ends, found);
        match &self.word {
            Some((known, is)) if *known == word => *is,
            _ => {
                let is = is_hash_or_uuid(self.text.get(word.clone()).unwrap_or_default());
                self.word = Some((word, is));
                is
            }
        }
    }

    fn in_link(&mut self, found: &Range<usize>) -> bool {
        if self.text.get(found.clone()).is_none_or(|found| found.contains(ends_link)) {
            return false;
        }
        let word = around(self.text, &self.link_ends, found);
        let link = match self.link {
            Some((start, link)) if start == word.start => link,
            _ => Link::read(self.text, &word),
        };
        self.link = Some((word.start, link));
        link.has_path_before(found.start) && !self.is_cards_value(&word, found.start)
    }

    /// Whether the part of a link in which this place lies names a card before it.
    fn is_cards_value(&mut self, link: &Range<usize>, place: usize) -> bool {
        let parts = ['?', '&', ';', '#'];
        let named = match &self.value {
            Some((part, named)) if part.start >= link.start && part.contains(&place) => *named,
            _ => {
                let before = self.text.get(link.start..place).unwrap_or_default();
                let behind = self.text.get(place..link.end).unwrap_or_default();
                let start = before.rfind(parts).map_or(link.start, |at| link.start + at + 1);
                let end = behind.find(parts).map_or(link.end, |at| place + at);
                let value = self.text.get(start..end).unwrap_or_default().to_ascii_lowercase();
                let key = KEYS.iter().filter_map(|key| Some(value.find(key)? + key.len())).min();
                let equals = value.find('=').map(|at| at + 1);
                let named = key.zip(equals).map(|(key, equals)| start + key.max(equals));
                // The place may be where the next part begins.
                self.value = Some((start..end.max(place + 1), named));
                named
            }
        };
        named.is_some_and(|named| named <= place)
    }
}

fn ends_word(char: char) -> bool {
    !(char.is_ascii_alphanumeric() || char == '-')
}

fn ends_link(char: char) -> bool {
    char.is_whitespace() || matches!(char, '<' | '>' | '"')
}

/// From the end before a place to the end behind it.
fn around(text: &str, ends: &[usize], found: &Range<usize>) -> Range<usize> {
    let before = ends.partition_point(|end| *end < found.start).checked_sub(1);
    let start = before.and_then(|nth| ends.get(nth)).map_or(0, |end| {
        end + text.get(*end..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
    });
    let behind = ends.partition_point(|end| *end < found.end);
    start..ends.get(behind).copied().unwrap_or(text.len())
}

fn is_hash_or_uuid(word: &str) -> bool {
    is_uuid(word) || word.split('-').any(|part| part.len() >= HASH_MIN && is_hash(part))
}

fn is_uuid(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let is_part = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts
        .windows(UUID.len())
        .any(|parts| parts.iter().zip(UUID).all(|(part, len)| part.len() == len && is_part(part)))
}

/// Digits and letters up to F that change often: a word before a number changes once.
fn is_hash(word: &str) -> bool {
    let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let bytes = word.strip_prefix("0x").unwrap_or(word).as_bytes();
    let changes = bytes.windows(2).filter(|pair| digit(pair.first()) != digit(pair.last()));
    bytes.iter().all(u8::is_ascii_hexdigit) && changes.count() >= 3
}

/// A word that may be a link, as it is read from its beginning to some place in it.
#[derive(Debug, Clone, Copy)]
struct Link {
    /// Where its path begins for a place before `host_from`, which sees no scheme, and for one behind.
    bare: Option<usize>,
    host_from: usize,
    full: Option<usize>,
}

impl Link {
    fn read(text: &str, word: &Range<usize>) -> Self {
        let whole = text.get(word.clone()).unwrap_or_default();
        let path = |from: usize, schemed: bool| {
            let rest = text.get(from..word.end).unwrap_or_default();
            let at = rest.find(['/', '?', '#'])?;
            (schemed || is_host(rest.get(..at)?)).then_some(from + at)
        };
        let scheme = whole.find("://");
        let host_from = scheme.map_or(word.end + 1, |at| word.start + at + "://".len());
        let full = scheme.and_then(|at| path(host_from, at > 0));
        Self { bare: path(word.start, false), host_from, full }
    }

    fn has_path_before(self, place: usize) -> bool {
        let path = if place < self.host_from { self.bare } else { self.full };
        path.is_some_and(|path| path < place)
    }
}

fn is_host(host: &str) -> bool {
    let mut labels = host.rsplit('.');
    let last = labels.next().unwrap_or_default();
    labels.next().is_some() && last.len() >= 2 && !last.contains(char::is_numeric)
}

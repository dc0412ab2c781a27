//! Where digits are left alone: in links, paths, addresses of mail, UUIDs and long hexadecimal
//! numbers, which would be broken.
//!
//! A word may be as long as the text and full of numbers, so each is looked at once, and not for
//! each number in it.

use std::ops::Range;

use super::issuer::LENGTHS;
use super::names::{names_card, names_check};

/// The shortest hexadecimal number that counts as a hash.
const HASH_MIN: usize = 20;

/// Lengths of a UUID's parts.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// How files end that people speak of.
const FILES: [&str; 22] = [
    "avi", "csv", "doc", "docx", "gif", "heic", "htm", "html", "jpeg", "jpg", "json", "mov", "mp3",
    "mp4", "pdf", "png", "txt", "wav", "webp", "xls", "xlsx", "zip",
];

/// Letters of most domains that hosts are in, and some of the longer ones. What else has dots
/// between is a sentence.
const DOMAIN_MAX: usize = 4;
const DOMAINS: [&str; 22] = [
    "agency", "berlin", "cloud", "digital", "email", "example", "global", "group", "hamburg",
    "local", "media", "museum", "network", "online", "shopping", "space", "store", "support",
    "tools", "travel", "website", "world",
];

/// Letters, digits and what joins them, at most, behind a number in the name of a file or an
/// address of mail.
const NAME_BYTES_MAX: usize = 64;

/// Judges what was found in a text, which is fastest in the order of the text.
pub(super) struct Spared<'t> {
    text: &'t str,
    /// What was looked at last.
    word: Option<(Range<usize>, bool)>,
    stretch: Option<Stretch>,
    link: Option<(usize, Link)>,
    part: Option<(Range<usize>, Option<Range<usize>>)>,
}

impl<'t> Spared<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, word: None, stretch: None, link: None, part: None }
    }

    /// Whether what was found there is a part of something else.
    pub(super) fn holds(&mut self, found: &Range<usize>) -> bool {
        self.in_hash_or_uuid(found) || self.in_link(found) || self.in_name(found)
    }

    fn in_hash_or_uuid(&mut self, found: &Range<usize>) -> bool {
        match &self.word {
            Some((word, is)) if word.start <= found.start && found.end <= word.end => *is,
            _ => {
                let word = around(self.text, found, ends_word);
                let is = is_hash_or_uuid(self.text.get(word.clone()).unwrap_or_default());
                let is_one = !self.text.get(found.clone()).is_some_and(|it| it.contains(ends_word));
                self.word = is_one.then_some((word, is));
                is
            }
        }
    }

    fn in_link(&mut self, found: &Range<usize>) -> bool {
        let known = self.stretch.take().filter(|stretch| stretch.at.contains(&found.start));
        let stretch = known.unwrap_or_else(|| Stretch::around(self.text, found.start));
        let word = stretch.word(self.text, found.start);
        self.stretch = Some(stretch);
        if word.end < found.end {
            return false;
        }
        let link = match self.link {
            Some((start, link)) if start == word.start => link,
            _ => Link::read(self.text, &word),
        };
        self.link = Some((word.start, link));
        let begins_digit =
            self.text.get(found.start..).is_some_and(|text| text.starts_with(char::is_numeric));
        link.has_path_before(found.start, begins_digit) && !self.is_cards_value(link, &word, found)
    }

    /// Whether the part of a link in which this lies is a card's or an account's number by its
    /// name.
    fn is_cards_value(&mut self, link: Link, word: &Range<usize>, found: &Range<usize>) -> bool {
        let parts = ['?', '&', ';', '#', '/', ','];
        let value = match &self.part {
            Some((part, value)) if part.start >= word.start && part.contains(&found.start) => {
                value.clone()
            }
            _ => {
                let place = found.start;
                let before = self.text.get(word.start..place).unwrap_or_default();
                let behind = self.text.get(place..word.end).unwrap_or_default();
                let start = before.rfind(parts).map_or(word.start, |at| word.start + at + 1);
                let end = behind.find(parts).map_or(word.end, |at| place + at);
                let part = self.text.get(start..end).unwrap_or_default();
                let named = match part.split_once('=') {
                    Some((name, _)) => {
                        let from = start + name.len() + 1;
                        // An account's number is one in any value that is nothing else.
                        let value = part.get(name.len() + 1..).unwrap_or_default();
                        let account = from == place && found.end == end && is_account(value);
                        let named = names_card(name) || account || link.has_check;
                        let said = || said_card(value).map(|at| from + at);
                        named.then_some(from).or_else(said)
                    }
                    None if before.ends_with(['?', '&'])
                        && found.end == end
                        && is_account(part) =>
                    {
                        Some(start)
                    }
                    None => {
                        let above = before.get(..start - word.start).unwrap_or_default();
                        let above = above.strip_suffix('/').and_then(|a| a.rsplit(parts).next());
                        above.is_some_and(is_cards_folder).then_some(start)
                    }
                };
                let value = named.map(|named| named..end);
                // The place may be where the next part begins.
                self.part = Some((start..end.max(place + 1), value.clone()));
                value
            }
        };
        value.is_some_and(|value| value.start <= found.start)
    }

    /// Whether it is a part of the name of a file or of an address of mail.
    fn in_name(&self, found: &Range<usize>) -> bool {
        let text = self.text.get(found.clone()).unwrap_or_default();
        if text.contains(char::is_whitespace) || !text.starts_with(char::is_numeric) {
            return false;
        }
        let joins =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.');
        let behind = self.text.as_bytes().get(found.end..).unwrap_or_default();
        let name = behind.iter().take(NAME_BYTES_MAX).take_while(|byte| joins(byte)).count();
        let host = behind.get(name + 1..).filter(|_| behind.get(name) == Some(&b'@'));
        let host = host.unwrap_or_default();
        let length = host.iter().take(NAME_BYTES_MAX).take_while(|byte| joins(byte)).count();
        let from = found.end + name + 1;
        let mail = self.text.get(from..from + length).unwrap_or_default().trim_end_matches('.');
        let name = self.text.get(found.end..found.end + name).unwrap_or_default();
        let file = name.trim_end_matches('.').rsplit_once('.');
        is_host(mail)
            || file.is_some_and(|(_, end)| FILES.iter().any(|file| end.eq_ignore_ascii_case(file)))
    }
}

fn ends_word(char: char) -> bool {
    !(char.is_ascii_alphanumeric() || char == '-')
}

fn ends_stretch(char: char) -> bool {
    !char.is_ascii() || char.is_ascii_whitespace() || char.is_ascii_control()
}

/// A piece of a text in which no link goes over either end, and where links end in it.
struct Stretch {
    at: Range<usize>,
    ends: Vec<usize>,
}

impl Stretch {
    fn around(text: &str, place: usize) -> Self {
        let at = around(text, &(place..place), ends_stretch);
        let ends = link_ends(text, &at);
        Self { at, ends }
    }

    /// What may be a link there.
    fn word(&self, text: &str, place: usize) -> Range<usize> {
        let behind = self.ends.partition_point(|end| *end < place);
        let before = behind.checked_sub(1).and_then(|nth| self.ends.get(nth));
        let len = |end: usize| text.get(end..).and_then(|rest| rest.chars().next());
        let start = before.map_or(self.at.start, |end| end + len(*end).map_or(1, char::len_utf8));
        start..self.ends.get(behind).copied().unwrap_or(self.at.end)
    }
}

/// Where links end in a stretch, as whoever makes them of a text ends them: before a sentence's
/// signs, and before a bracket that closes none of the link's own.
fn link_ends(text: &str, stretch: &Range<usize>) -> Vec<usize> {
    let (mut ends, mut start, mut open) = (Vec::new(), stretch.start, 0_usize);
    let chars = text.get(stretch.clone()).unwrap_or_default().char_indices();
    for (at, char) in chars.map(|(at, char)| (stretch.start + at, char)) {
        let ends_here = match char {
            '/' if text.get(start..at).is_some_and(|before| before.ends_with(":/")) => {
                open = 0;
                false
            }
            '(' | '[' | '{' => {
                open += usize::from(at > start);
                false
            }
            ')' | ']' | '}' => {
                let closes = open == 0;
                open = open.saturating_sub(1);
                closes
            }
            // What a semicolon parts is a link's own only if it has a name.
            ';' => {
                let behind = text.as_bytes().get(at + 1..).unwrap_or_default();
                let name = behind.iter().take(NAME_BYTES_MAX);
                let name = name.take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_');
                behind.get(name.count()) != Some(&b'=')
            }
            // Nobody's path goes on so, but a sentence does.
            '.' | '!' | ':' => {
                let behind = text.as_bytes().get(at + 1..at + 1 + *LENGTHS.start());
                behind.is_some_and(|behind| behind.iter().all(u8::is_ascii_digit))
            }
            '<' | '>' | '"' | '\'' | '`' | '|' | '\\' | '^' | ',' | '*' => true,
            _ => false,
        };
        if ends_here {
            ends.push(at);
            (start, open) = (at + char.len_utf8(), 0);
        }
    }
    ends
}

/// From behind the end before a place to the end behind it.
fn around(text: &str, found: &Range<usize>, ends: fn(char) -> bool) -> Range<usize> {
    let before = text.get(..found.start).unwrap_or_default();
    let behind = text.get(found.end..).unwrap_or_default();
    let start = before.trim_end_matches(|char| !ends(char)).len();
    start..found.end + behind.find(ends).unwrap_or(behind.len())
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
    /// Where its path begins for a place before `host_from`, which sees no scheme, and for one
    /// behind.
    bare: Option<usize>,
    host_from: usize,
    full: Option<usize>,
    /// Where the last step of a path without a host begins.
    steps: Option<usize>,
    /// One of its values is what is asked for beside a card's number.
    has_check: bool,
}

impl Link {
    fn read(text: &str, word: &Range<usize>) -> Self {
        let whole = text.get(word.clone()).unwrap_or_default();
        let path = |from: usize, schemed: bool| {
            let rest = text.get(from..word.end).unwrap_or_default();
            let at = rest.find(['/', '?', '#'])?;
            let host = rest.get(..at)?;
            (schemed || is_bare_host(host)).then_some(from + at)
        };
        let scheme = whole.find("://");
        let host_from = scheme.map_or(word.end + 1, |at| word.start + at + "://".len());
        let full = scheme.and_then(|at| path(host_from, at > 0));
        let relative = ["/", "./", "../", "~/"].into_iter().find(|root| whole.starts_with(root));
        let steps = relative.and_then(|root| {
            let steps = whole.get(root.len()..)?;
            let first = steps.find('/').filter(|first| {
                steps
                    .get(..*first)
                    .is_some_and(|s| s.starts_with(|c: char| c.is_ascii_alphabetic()))
            })?;
            Some(word.start + root.len() + first)
        });
        let values = whole.split_once('?').map_or("", |(_, values)| values);
        let has_check = values
            .split(['&', ';', '#'])
            .any(|value| value.split_once('=').is_some_and(|(name, _)| names_check(name)));
        Self { bare: path(word.start, false), host_from, full, steps, has_check }
    }

    fn has_path_before(self, place: usize, is_digit: bool) -> bool {
        let path = if place < self.host_from { self.bare } else { self.full };
        path.is_some_and(|path| path < place)
            || (is_digit && self.steps.is_some_and(|steps| steps < place))
    }
}

/// Whether what was found begins as an account's number does, and not as a card's.
fn is_account(found: &str) -> bool {
    found.starts_with(char::is_alphabetic)
}

/// Where the first word for a card ends that is a part of a value.
fn said_card(value: &str) -> Option<usize> {
    let mut end = 0;
    value.split_inclusive(|char: char| !char.is_ascii_alphabetic()).find_map(|word| {
        end += word.len();
        names_card(word).then_some(end)
    })
}

/// Whether the step of a path before a number says that it is a card's.
fn is_cards_folder(step: &str) -> bool {
    let step = step.to_ascii_lowercase();
    names_card(step.strip_suffix('s').unwrap_or(&step)) && !step.starts_with("account")
}

/// A host that is known as one without a scheme before it, and speaks of no card.
fn is_bare_host(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let known =
        last.len() <= DOMAIN_MAX || DOMAINS.iter().any(|domain| last.eq_ignore_ascii_case(domain));
    known && is_host(host) && !host.split('.').any(names_card)
}

/// Labels with dots between, of which the last is no word at the beginning of a sentence.
fn is_host(host: &str) -> bool {
    let mut labels = host.rsplit('.');
    let last = labels.next().unwrap_or_default();
    let begins_sentence = last.starts_with(|char: char| char.is_uppercase())
        && last.contains(|char: char| char.is_lowercase());
    labels.next().is_some()
        && last.len() >= 2
        && !last.contains(char::is_numeric)
        && !begins_sentence
}

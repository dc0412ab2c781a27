//! Where digits are left alone: in links, UUIDs and long hexadecimal numbers, which would be broken.

use std::ops::Range;

/// The shortest hexadecimal number that counts as a hash.
const HASH_MIN: usize = 20;

/// Lengths of a UUID's parts.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// Names of a link's values that are cards or accounts all the same.
const KEYS: [&str; 7] = ["card", "karte", "carte", "iban", "konto", "account", "pan="];

/// Whether what was found there is a part of something else.
pub(super) fn is_spared(text: &str, found: &Range<usize>) -> bool {
    in_hash_or_uuid(text, found) || in_link(text, found)
}

/// The characters around a place for which this holds.
fn around(text: &str, found: &Range<usize>, holds: impl Fn(char) -> bool) -> Range<usize> {
    let before = text.get(..found.start).unwrap_or_default();
    let behind = text.get(found.end..).unwrap_or_default();
    let start = before.trim_end_matches(&holds).len();
    let end = text.len() - behind.trim_start_matches(&holds).len();
    start..end
}

fn in_hash_or_uuid(text: &str, found: &Range<usize>) -> bool {
    let word = around(text, found, |char| char.is_ascii_alphanumeric() || char == '-');
    let word = text.get(word).unwrap_or_default();
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

fn in_link(text: &str, found: &Range<usize>) -> bool {
    let ends = |char: char| char.is_whitespace() || matches!(char, '<' | '>' | '"');
    let word = around(text, found, |char| !ends(char));
    if text.get(found.clone()).is_none_or(|found| found.contains(ends)) {
        return false;
    }
    let before = text.get(word.start..found.start).unwrap_or_default();
    let (scheme, rest) = before.split_once("://").unwrap_or(("", before));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let has_path = host.len() < rest.len();
    let is_host = host.contains('.')
        && host
            .rsplit('.')
            .next()
            .is_some_and(|end| end.len() >= 2 && !end.contains(char::is_numeric));
    let link = has_path && (!scheme.is_empty() || is_host);
    let value = rest.rsplit(['?', '&', ';', '#']).next().unwrap_or_default().to_lowercase();
    link && !KEYS.iter().any(|key| value.contains(key) && value.contains('='))
}

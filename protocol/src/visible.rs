//! What a person can see of a text: whether there is anything, and a name without what is not
//! there.
//!
//! Lives here: the one judge of blank texts, names and labels that look alike, by Unicode's tables.
//! Not here: bounds, redaction, addresses. Asked wherever a person's words or a name come in. Its
//! twin for browsers is `protocol/ts/src/wire/visible.ts`; `vectors/visible.json` holds both to the
//! same.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{
    DefaultIgnorableCodePoint, Emoji, EmojiModifier, ExtendedPictographic, GeneralCategory,
    NoncharacterCodePoint, PrependedConcatenationMark, Script, UnifiedIdeograph, WhiteSpace,
};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Signs whose picture is empty by what they are, which no property says: Braille without a dot, a
/// note without a head, and the blanks of Egyptian writing.
const INKLESS: [char; 4] = ['\u{2800}', '\u{1D159}', '\u{13441}', '\u{13442}'];

/// Fills no place at all: the sign of an object that no text carries, which dictation and pasted
/// pictures leave behind, and a filler of Khitan.
const FILLERS: [char; 2] = ['\u{FFFC}', '\u{16FE4}'];

const ZWNJ: char = '\u{200C}';
const ZWJ: char = '\u{200D}';
const TEXT_STYLE: char = '\u{FE0E}';
const EMOJI_STYLE: char = '\u{FE0F}';
const KEYCAP: char = '\u{20E3}';
const BLACK_FLAG: char = '\u{1F3F4}';
const TAG_END: char = '\u{E007F}';

/// Tags of a flag: a region's letters and digits. The longest that there is has five.
const FLAG_TAGS_MAX: usize = 6;

/// What a character is to an eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Seen,
    /// A mark over, under or around the character before; alone it says nothing.
    Mark,
    /// Room without ink.
    Space,
    /// Controls, format characters, fillers: nothing at all.
    Hidden,
}

/// Whether a person would see nothing: white space, controls, format characters, fillers, lone
/// marks.
pub fn is_blank(text: &str) -> bool {
    !text.chars().any(|char| look(char) == Look::Seen)
}

/// A name or a label as it is kept and shown: composed (NFC), one space between words and none
/// around them, and nothing in it that is not seen. A joiner, a style or a flag's tags stay where
/// an emoji or a script needs them. A blank text gives the empty name.
pub fn name(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(composed(&without_hidden(text)))
}

/// What two names have in common that are one to an eye: the name in small letters, without joiners
/// and styles. For comparing, not for showing.
pub fn key(text: &str) -> String {
    let name = name(text);
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let seen: String = name.chars().filter(|char| look(*char) != Look::Hidden).collect();
    composed(&composed(&seen).to_lowercase())
}

/// ASCII with single spaces between words: most names, and nothing is to be done.
fn is_plain(text: &str) -> bool {
    let mut before = b' ';
    let plain = text.bytes().all(|byte| {
        let pair = (std::mem::replace(&mut before, byte), byte);
        byte.is_ascii_graphic() || (byte == b' ' && pair != (b' ', b' '))
    });
    plain && (before != b' ' || text.is_empty())
}

fn composed(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned()
}

fn without_hidden(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    // Of the word that is being written; a new word begins with neither.
    let (mut last, mut joiner): (Option<char>, Option<char>) = (None, None);
    let mut rest = text.chars();
    while let Some(char) = rest.next() {
        match look(char) {
            Look::Seen => {
                if last.is_none() && !kept.is_empty() {
                    kept.push(' ');
                }
                kept.extend(joiner.take().filter(|joiner| joins(last, *joiner, char)));
                kept.push(char);
                last = Some(char);
                if char == BLACK_FLAG {
                    let tags = flag_tags(rest.as_str());
                    kept.extend(rest.by_ref().take(tags));
                }
            }
            Look::Mark if last.is_some() => {
                kept.extend(joiner.take().filter(|joiner| joins(last, *joiner, char)));
                kept.push(char);
                last = Some(char);
            }
            Look::Mark => {}
            Look::Space => {
                kept.extend(joiner.take().filter(|joiner| ends(last, *joiner)));
                last = None;
            }
            Look::Hidden if matches!(char, ZWJ | ZWNJ) => joiner = joiner.or(Some(char)),
            Look::Hidden
                if joiner.is_none()
                    && last.is_some_and(|last| styles(last, char, rest.as_str())) =>
            {
                kept.push(char);
                last = Some(char);
            }
            Look::Hidden => {}
        }
    }
    kept.extend(joiner.filter(|joiner| ends(last, *joiner)));
    kept
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "Unicode's categories: what is none of these is seen"
)]
fn look(char: char) -> Look {
    if char.is_ascii() {
        return match char {
            '!'..='~' => Look::Seen,
            ' ' | '\t'..='\r' => Look::Space,
            _ => Look::Hidden,
        };
    }
    if CodePointSetData::new::<WhiteSpace>().contains(char) || INKLESS.contains(&char) {
        return Look::Space;
    }
    let ignorable = || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(char);
    match category(char) {
        _ if ignorable() || FILLERS.contains(&char) => Look::Hidden,
        GeneralCategory::Control => Look::Hidden,
        // Signs that are written over the number that follows them: format characters that are
        // seen.
        GeneralCategory::Format => {
            match CodePointSetData::new::<PrependedConcatenationMark>().contains(char) {
                true => Look::Seen,
                false => Look::Hidden,
            }
        }
        GeneralCategory::Unassigned
            if CodePointSetData::new::<NoncharacterCodePoint>().contains(char) =>
        {
            Look::Hidden
        }
        GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark => Look::Mark,
        _ => Look::Seen,
    }
}

fn category(char: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(char)
}

/// Whether a joiner between these two is seen: it makes one emoji of two, or chooses the letters'
/// form.
fn joins(before: Option<char>, joiner: char, after: char) -> bool {
    let Some(before) = before else { return false };
    let pictographic = |char| CodePointSetData::new::<ExtendedPictographic>().contains(char);
    let emoji = before == EMOJI_STYLE
        || pictographic(before)
        || CodePointSetData::new::<EmojiModifier>().contains(before);
    (joiner == ZWJ && emoji && pictographic(after)) || forms_letters(before)
}

/// Whether a joiner at the end of a word is seen: in some scripts of India it chooses how the mark
/// under the last letter is written.
fn ends(last: Option<char>, joiner: char) -> bool {
    joiner == ZWJ
        && last.is_some_and(|last| {
            category(last) == GeneralCategory::NonspacingMark && forms_letters(last)
        })
}

/// Whether it is a letter, or a mark on one, of a script whose letters change by what they are
/// joined to.
fn forms_letters(char: char) -> bool {
    use GeneralCategory as Is;
    let letter = matches!(
        category(char),
        Is::OtherLetter
            | Is::ModifierLetter
            | Is::NonspacingMark
            | Is::SpacingMark
            | Is::UppercaseLetter
            | Is::LowercaseLetter
    );
    letter
        && !matches!(
            CodePointMapData::<Script>::new().get(char),
            Script::Latin
                | Script::Greek
                | Script::Cyrillic
                | Script::Armenian
                | Script::Georgian
                | Script::Hebrew
                | Script::Thai
                | Script::Lao
                | Script::Han
                | Script::Hiragana
                | Script::Katakana
                | Script::Bopomofo
                | Script::Hangul
                | Script::Common
                | Script::Inherited
        )
}

/// Whether this selector chooses another picture of the character before it.
fn styles(last: char, selector: char, rest: &str) -> bool {
    match selector {
        // A digit is an emoji too, and looks like one as a key of a telephone only.
        TEXT_STYLE | EMOJI_STYLE if last.is_ascii() => rest.starts_with(KEYCAP),
        TEXT_STYLE | EMOJI_STYLE => CodePointSetData::new::<Emoji>().contains(last),
        '\u{FE00}'..='\u{FE0D}' | '\u{E0100}'..='\u{E01EF}' => {
            CodePointSetData::new::<UnifiedIdeograph>().contains(last)
        }
        '\u{180B}'..='\u{180F}' => CodePointMapData::<Script>::new().get(last) == Script::Mongolian,
        _ => false,
    }
}

/// How many tags follow a flag and say whose it is: letters and digits, and the end of them.
fn flag_tags(rest: &str) -> usize {
    let is_tag =
        |char: &char| matches!(char, '\u{E0030}'..='\u{E0039}' | '\u{E0061}'..='\u{E007A}');
    let tags = rest.chars().take_while(is_tag).count();
    let ends = rest.chars().nth(tags) == Some(TAG_END);
    if (1..=FLAG_TAGS_MAX).contains(&tags) && ends { tags + 1 } else { 0 }
}

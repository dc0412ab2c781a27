//! What a character is to whoever looks for numbers, by Unicode's own tables.

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory as Category};
use icu_properties::{CodePointMapData, CodePointSetData};

/// A character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// A digit of any script and dress, by its value.
    Digit(u8),
    /// A Latin letter, small or capital: 0 for A.
    Letter(u8),
    /// Not seen, or a mark on the character before: it parts nothing.
    Nothing,
    /// A mark over, under or around the character before, a keycap's among them. It goes with it.
    Mark,
    Space,
    /// The step to a table's next column.
    Column,
    /// A line's end.
    Line,
    /// Hyphens, dots and what joins words: people write them inside numbers.
    Dash,
    /// Any other sign that is no letter.
    Symbol,
    /// Anything else.
    Other,
}

/// Nearly all that is written, so that it takes one look.
const ASCII: [Sign; 128] = {
    let mut signs = [Sign::Nothing; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        signs[byte as usize] = match byte {
            b'0'..=b'9' => Sign::Digit(byte - b'0'),
            b'A'..=b'Z' => Sign::Letter(byte - b'A'),
            b'a'..=b'z' => Sign::Letter(byte - b'a'),
            b' ' => Sign::Space,
            b'\t' | b'|' => Sign::Column,
            b'\n' | b'\r' | 0x0B | 0x0C => Sign::Line,
            b'-' | b'.' | b'_' => Sign::Dash,
            b'!'..=b'~' => Sign::Symbol,
            _ => Sign::Nothing,
        };
        byte += 1;
    }
    signs
};

/// Digits in rings, brackets and above or below the line: the first, the last, and the first's value. Unicode has no
/// category of its own for them.
const DRESSED: [(u32, u32, u8); 19] = [
    (0xB2, 0xB3, 2),
    (0xB9, 0xB9, 1),
    (0x2070, 0x2070, 0),
    (0x2074, 0x2079, 4),
    (0x2080, 0x2089, 0),
    (0x2460, 0x2468, 1),
    (0x2474, 0x247C, 1),
    (0x2488, 0x2490, 1),
    (0x24EA, 0x24EA, 0),
    (0x24F5, 0x24FD, 1),
    (0x24FF, 0x24FF, 0),
    (0x2776, 0x277E, 1),
    (0x2780, 0x2788, 1),
    (0x278A, 0x2792, 1),
    (0x3007, 0x3007, 0),
    (0x1F100, 0x1F100, 0),
    (0x1F101, 0x1F10A, 0),
    (0x1F10B, 0x1F10B, 0),
    (0x1F10C, 0x1F10C, 0),
];

/// Dots of scripts that are not ASCII's, and a minus.
const DASHES: [char; 9] = [
    '\u{B7}', '\u{2022}', '\u{2024}', '\u{2027}', '\u{2043}', '\u{2212}', '\u{30FB}', '\u{FF0E}',
    '\u{FF65}',
];

/// What a character is.
pub(super) fn sign(char: char) -> Sign {
    let code = u32::from(char);
    let known = usize::try_from(code).ok().and_then(|code| ASCII.get(code));
    known.copied().unwrap_or_else(|| beyond_ascii(char, code))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "Unicode's categories: what is none of these parts a number"
)]
fn beyond_ascii(char: char, code: u32) -> Sign {
    let nth = |first: u32| u8::try_from(code - first).map_or(Sign::Other, Sign::Letter);
    match char {
        // The full-width letters that East Asian keyboards make.
        '\u{FF21}'..='\u{FF3A}' => return nth(0xFF21),
        '\u{FF41}'..='\u{FF5A}' => return nth(0xFF41),
        '\u{2800}' => return Sign::Space,
        _ if DASHES.contains(&char) => return Sign::Dash,
        _ => {}
    }
    match category(code) {
        Category::DecimalNumber => Sign::Digit(decimal(code)),
        Category::SpaceSeparator => Sign::Space,
        Category::LineSeparator | Category::ParagraphSeparator => Sign::Line,
        Category::Control if char == '\u{85}' => Sign::Line,
        Category::NonspacingMark | Category::EnclosingMark => Sign::Mark,
        Category::Control | Category::Format => Sign::Nothing,
        _ if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(char) => Sign::Nothing,
        Category::DashPunctuation | Category::ConnectorPunctuation => Sign::Dash,
        Category::OtherNumber | Category::LetterNumber => dressed(code),
        Category::OpenPunctuation
        | Category::ClosePunctuation
        | Category::InitialPunctuation
        | Category::FinalPunctuation
        | Category::OtherPunctuation
        | Category::MathSymbol
        | Category::CurrencySymbol
        | Category::ModifierSymbol
        | Category::OtherSymbol => Sign::Symbol,
        _ => Sign::Other,
    }
}

fn category(code: u32) -> Category {
    CodePointMapData::<Category>::new().get32(code)
}

/// Decimal digits stand in tens, each ten from 0 to 9; some tens follow each other.
fn decimal(code: u32) -> u8 {
    let before = (1..=code).take_while(|step| category(code - step) == Category::DecimalNumber);
    u8::try_from(before.count() % 10).unwrap_or_default()
}

fn dressed(code: u32) -> Sign {
    let of = |(first, last, value): &(u32, u32, u8)| {
        let nth = code.checked_sub(*first).filter(|_| code <= *last)?;
        u8::try_from(nth).ok().map(|nth| Sign::Digit(value + nth))
    };
    DRESSED.iter().find_map(of).unwrap_or(Sign::Other)
}

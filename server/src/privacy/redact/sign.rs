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

/// Digits in rings, brackets and above or below the line: the first, the last, and the first's
/// value. Unicode has no category of its own for them.
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

/// Letters of the Latin alphabet.
const LETTERS: u32 = 26;

/// Where the letters in rings, brackets and boxes begin.
const LETTERS_DRESSED: [u32; 8] =
    [0x249C, 0x24B6, 0x24D0, 0x1F110, 0x1F130, 0x1F150, 0x1F170, 0x1F1E6];

/// Letters of mathematics that have been Unicode's before the alphabets were.
const LETTERS_ALONE: [(char, u8); 24] = [
    ('\u{2102}', b'C'),
    ('\u{210A}', b'G'),
    ('\u{210B}', b'H'),
    ('\u{210C}', b'H'),
    ('\u{210D}', b'H'),
    ('\u{210E}', b'H'),
    ('\u{2110}', b'I'),
    ('\u{2111}', b'I'),
    ('\u{2112}', b'L'),
    ('\u{2115}', b'N'),
    ('\u{2119}', b'P'),
    ('\u{211A}', b'Q'),
    ('\u{211B}', b'R'),
    ('\u{211C}', b'R'),
    ('\u{211D}', b'R'),
    ('\u{2124}', b'Z'),
    ('\u{2128}', b'Z'),
    ('\u{212C}', b'B'),
    ('\u{212D}', b'C'),
    ('\u{212F}', b'E'),
    ('\u{2130}', b'E'),
    ('\u{2131}', b'F'),
    ('\u{2133}', b'M'),
    ('\u{2134}', b'O'),
];

/// Dots of scripts that are not ASCII's, and a minus.
const DASHES: [char; 9] = [
    '\u{B7}', '\u{2022}', '\u{2024}', '\u{2027}', '\u{2043}', '\u{2212}', '\u{30FB}', '\u{FF0E}',
    '\u{FF65}',
];

/// What a character is.
#[inline]
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
    let nth = |first: u32| u8::try_from((code - first) % LETTERS).map_or(Sign::Other, Sign::Letter);
    match char {
        // The full-width letters that East Asian keyboards make.
        '\u{FF21}'..='\u{FF3A}' => return nth(0xFF21),
        '\u{FF41}'..='\u{FF5A}' => return nth(0xFF41),
        // Those of mathematics: thirteen alphabets, each in capitals and small ones.
        '\u{1D400}'..='\u{1D6A3}' => return nth(code - (code - 0x1D400) % LETTERS),
        '\u{2800}' => return Sign::Space,
        _ if DASHES.contains(&char) => return Sign::Dash,
        _ => {}
    }
    if let Some(letter) = dressed_letter(char, code) {
        return Sign::Letter(letter);
    }
    match category(code) {
        Category::DecimalNumber => Sign::Digit(decimal(code)),
        Category::SpaceSeparator => Sign::Space,
        Category::LineSeparator | Category::ParagraphSeparator => Sign::Line,
        Category::Control if char == '\u{85}' => Sign::Line,
        Category::NonspacingMark | Category::EnclosingMark | Category::SpacingMark => Sign::Mark,
        Category::Control | Category::Format | Category::PrivateUse => Sign::Nothing,
        Category::Unassigned if is_noncharacter(code) => Sign::Nothing,
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

/// The letter in a ring, a box or mathematics' dress, where there are some.
fn dressed_letter(char: char, code: u32) -> Option<u8> {
    match code {
        0x2100..=0x213F => {
            let (_, letter) = LETTERS_ALONE.iter().find(|(other, _)| *other == char)?;
            Some(letter - b'A')
        }
        0x249C..=0x24E9 | 0x1F110..=0x1F1FF => {
            let nth = |first: &u32| code.checked_sub(*first).filter(|nth| *nth < LETTERS);
            u8::try_from(LETTERS_DRESSED.iter().find_map(nth)?).ok()
        }
        _ => None,
    }
}

/// A digit of Chinese, of words or of merchants, by its value. They are words as well, so that they
/// are no digits to whoever looks for those.
pub(super) fn han(char: char) -> Option<u8> {
    Some(match char {
        '\u{3007}' | '\u{96F6}' => 0,
        '\u{4E00}' | '\u{3021}' => 1,
        '\u{4E8C}' | '\u{3022}' => 2,
        '\u{4E09}' | '\u{3023}' => 3,
        '\u{56DB}' | '\u{3024}' => 4,
        '\u{4E94}' | '\u{3025}' => 5,
        '\u{516D}' | '\u{3026}' => 6,
        '\u{4E03}' | '\u{3027}' => 7,
        '\u{516B}' | '\u{3028}' => 8,
        '\u{4E5D}' | '\u{3029}' => 9,
        _ => return None,
    })
}

/// The Latin letter that a letter of another script looks like: 0 for A.
pub(super) fn looks_like(char: char) -> Option<u8> {
    let letter = match char {
        '\u{410}' | '\u{430}' | '\u{391}' => b'A',
        '\u{412}' | '\u{392}' => b'B',
        '\u{421}' | '\u{441}' | '\u{3F9}' => b'C',
        '\u{501}' => b'D',
        '\u{415}' | '\u{435}' | '\u{395}' => b'E',
        '\u{3DC}' => b'F',
        '\u{50C}' => b'G',
        '\u{41D}' | '\u{397}' => b'H',
        '\u{406}' | '\u{456}' | '\u{399}' | '\u{4C0}' => b'I',
        '\u{408}' | '\u{458}' | '\u{37F}' => b'J',
        '\u{41A}' | '\u{39A}' => b'K',
        '\u{4CF}' => b'L',
        '\u{41C}' | '\u{39C}' => b'M',
        '\u{39D}' => b'N',
        '\u{41E}' | '\u{43E}' | '\u{39F}' | '\u{3BF}' => b'O',
        '\u{420}' | '\u{440}' | '\u{3A1}' => b'P',
        '\u{51A}' => b'Q',
        '\u{405}' | '\u{455}' => b'S',
        '\u{422}' | '\u{3A4}' => b'T',
        '\u{474}' | '\u{475}' => b'V',
        '\u{425}' | '\u{445}' | '\u{3A7}' => b'X',
        '\u{423}' | '\u{443}' | '\u{3A5}' => b'Y',
        _ => return None,
    };
    Some(letter - b'A')
}

fn is_noncharacter(code: u32) -> bool {
    code & 0xFFFE == 0xFFFE || (0xFDD0..=0xFDEF).contains(&code)
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

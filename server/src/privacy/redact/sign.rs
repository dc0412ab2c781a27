//! What a character is to whoever looks for numbers.

/// Characters that may stand between two of one number.
pub(super) const GAP_CHARS_MAX: usize = 3;

/// The zeros of the scripts beyond ASCII whose digits may stand in a text (Unicode, category Nd); nine more follow each.
const ZEROS: &[u32] = &[
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
    0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650,
    0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60, 0x16AC0, 0x16B50,
    0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E950, 0x1FBF0,
];

/// A character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// A decimal digit of any script, by its value.
    Digit(u8),
    /// A Latin letter, small or capital: 0 for A.
    Letter(u8),
    /// What may stand inside a number: spaces, hyphens, dots, and what is not seen at all.
    Gap,
    /// Anything else.
    Other,
}

/// Nearly all that is written, so that it takes one look.
const ASCII: [Sign; 128] = {
    let mut signs = [Sign::Other; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        signs[byte as usize] = match byte {
            b'0'..=b'9' => Sign::Digit(byte - b'0'),
            b'A'..=b'Z' => Sign::Letter(byte - b'A'),
            b'a'..=b'z' => Sign::Letter(byte - b'a'),
            b' ' | b'\t' | b'-' | b'.' | b'_' => Sign::Gap,
            _ => Sign::Other,
        };
        byte += 1;
    }
    signs
};

/// What a character is.
pub(super) fn sign(char: char) -> Sign {
    let code = u32::from(char);
    let known = usize::try_from(code).ok().and_then(|code| ASCII.get(code));
    known.copied().unwrap_or_else(|| beyond_ascii(char, code))
}

fn beyond_ascii(char: char, code: u32) -> Sign {
    let nth = |first: u32| u8::try_from(code - first).map_or(Sign::Other, Sign::Letter);
    match char {
        // The full-width letters that East Asian keyboards make.
        '\u{FF21}'..='\u{FF3A}' => nth(0xFF21),
        '\u{FF41}'..='\u{FF5A}' => nth(0xFF41),
        _ if is_gap(char) => Sign::Gap,
        _ => digit(code).map_or(Sign::Other, Sign::Digit),
    }
}

fn digit(code: u32) -> Option<u8> {
    let zero = ZEROS.get(ZEROS.partition_point(|zero| *zero <= code).checked_sub(1)?)?;
    u8::try_from(code - zero).ok().filter(|value| *value < 10)
}

fn is_gap(char: char) -> bool {
    matches!(
        char,
        '\u{A0}' | '\u{AD}' | '\u{B7}' | '\u{2000}'
            ..='\u{2015}'
                | '\u{2022}'
                | '\u{202F}'
                | '\u{205F}'
                | '\u{2060}'
                | '\u{2212}'
                | '\u{3000}'
                | '\u{FE58}'
                | '\u{FE63}'
                | '\u{FEFF}'
                | '\u{FF0D}'
                | '\u{FF0E}'
    )
}

//! What each message carries inside its text: whose it is, which it is, when it was due, and a
//! checksum over all of it.
//!
//! Only letters and blanks: a server that masks card numbers finds nothing to mask. The ledger
//! judges what comes out.

use std::fmt::Write as _;

/// Characters of a stamp; no message of a run is shorter.
pub(crate) const STAMP_CHARS: usize = 2 + 8 + 8 + 8 + 14 + 8 + 1 + 8;

const MARK: &[u8] = b"lh";

/// Who said what when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    /// The run, so that messages of another one are strangers.
    pub(crate) run: u32,
    /// Who said it: unique among all workers of the run.
    pub(crate) sender: u32,
    /// Its number among the sender's messages in this conversation, from 0 without gaps.
    pub(crate) number: u32,
    /// When it was due, in microseconds since 1970.
    pub(crate) intended_us: u64,
    /// How much later it was really sent, in microseconds.
    pub(crate) late_us: u32,
    /// Whether the sender goes after it.
    pub(crate) last: bool,
}

/// Why a text is no message of this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It has no stamp.
    Foreign,
    /// It has one that does not fit its text.
    Corrupt,
}

/// FNV-1a: a changed byte always changes it.
fn checksum(parts: [&[u8]; 2]) -> u32 {
    let mut sum = 0x811c_9dc5_u32;
    for byte in parts.into_iter().flatten() {
        sum = (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    sum
}

fn put(value: u64, digits: u32, into: &mut String) {
    for digit in (0..digits).rev() {
        let nibble = u8::try_from((value >> (digit * 4)) & 15).unwrap_or(0);
        into.push(char::from(b'a' + nibble));
    }
}

/// Takes digits off the front.
fn get(digits: usize, from: &mut &[u8]) -> Option<u64> {
    let (head, tail) = from.split_at_checked(digits)?;
    *from = tail;
    head.iter().try_fold(0_u64, |value, byte| {
        let nibble = byte.checked_sub(b'a').filter(|nibble| *nibble < 16)?;
        Some(value << 4 | u64::from(nibble))
    })
}

impl Stamp {
    /// The text of a message with so many characters, or as many as a stamp needs.
    pub(crate) fn text(&self, chars: usize) -> String {
        let mut text = String::with_capacity(chars.max(STAMP_CHARS));
        text.push_str("lh");
        for (value, digits) in [
            (u64::from(self.run), 8),
            (u64::from(self.sender), 8),
            (u64::from(self.number), 8),
            (self.intended_us, 14),
            (u64::from(self.late_us), 8),
            (u64::from(self.last), 1),
        ] {
            put(value, digits, &mut text);
        }
        let filler = self.filler(chars.saturating_sub(STAMP_CHARS));
        let sum = checksum([text.as_bytes(), filler.as_bytes()]);
        put(u64::from(sum), 8, &mut text);
        // Writing to a string cannot fail.
        let _written = text.write_str(&filler);
        text
    }

    /// Words of seven letters. The last is a letter, since blanks at the end are nobody's to keep.
    fn filler(&self, chars: usize) -> String {
        let mut letter = self.number.wrapping_mul(7).wrapping_add(self.sender);
        (0..chars)
            .map(|at| {
                letter = letter.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if at % 8 == 0 && at + 1 < chars {
                    ' '
                } else {
                    char::from(b'a' + u8::try_from((letter >> 24) % 26).unwrap_or(0))
                }
            })
            .collect()
    }

    /// Reads a text.
    ///
    /// # Errors
    /// If it has no stamp, or one that does not fit it.
    pub(crate) fn read(text: &str) -> Result<Self, Fault> {
        let bytes = text.as_bytes();
        let mut rest = bytes.strip_prefix(MARK).ok_or(Fault::Foreign)?;
        let parsed = Self::parse(&mut rest).ok_or(Fault::Corrupt)?;
        let sum = get(8, &mut rest).ok_or(Fault::Corrupt)?;
        let head = bytes.get(..STAMP_CHARS - 8).ok_or(Fault::Corrupt)?;
        if sum == u64::from(checksum([head, rest])) { Ok(parsed) } else { Err(Fault::Corrupt) }
    }

    fn parse(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            run: u32::try_from(get(8, from)?).ok()?,
            sender: u32::try_from(get(8, from)?).ok()?,
            number: u32::try_from(get(8, from)?).ok()?,
            intended_us: get(14, from)?,
            late_us: u32::try_from(get(8, from)?).ok()?,
            last: get(1, from)? == 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            run: 0xdead_beef,
            sender: 7,
            number: 41,
            intended_us: 1_795_000_000_123_456,
            late_us: 250,
            last: true,
        }
    }

    #[test]
    fn what_was_stamped_is_read_again_at_every_size() {
        for chars in [0, STAMP_CHARS, STAMP_CHARS + 1, 100, 1_000, 4_000] {
            let text = stamp().text(chars);
            assert_eq!(text.len(), chars.max(STAMP_CHARS));
            assert_eq!(text.trim(), text);
            assert_eq!(Stamp::read(&text), Ok(stamp()));
        }
    }

    #[test]
    fn any_changed_character_is_seen() {
        let text = stamp().text(100);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            assert!(Stamp::read(&String::from_utf8(bytes).unwrap()).is_err(), "at {at}");
        }
        let cut: String = text.chars().take(90).collect();
        assert_eq!(Stamp::read(&cut), Err(Fault::Corrupt));
        assert_eq!(Stamp::read("Hello?"), Err(Fault::Foreign));
    }
}

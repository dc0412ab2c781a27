//! What is said: 100 bytes that begin with the number of the message.
//!
//! The number is spelt in letters, since a run of digits could pass for a card number and be hidden on arrival.

/// The size of every message.
pub const MESSAGE_BYTES: usize = 100;

const LETTERS: usize = 8;
/// No digits, no addresses: text that any policy leaves alone.
const WORDS: &[u8; MESSAGE_BYTES - LETTERS] =
    b" could you tell me whether the blue kettle is still there, and when it would come to my door";

/// The message with this number.
pub fn message(stamp: u32) -> [u8; MESSAGE_BYTES] {
    let mut bytes = [b' '; MESSAGE_BYTES];
    for (byte, shift) in bytes.iter_mut().zip((0..LETTERS).rev()) {
        *byte = b'a' + u8::try_from((stamp >> (4 * shift)) & 0xf).unwrap_or(0);
    }
    bytes[LETTERS..].copy_from_slice(WORDS);
    bytes
}

/// The number at the beginning of a message, if it is one of ours and whole.
pub fn read(bytes: &[u8]) -> Option<u32> {
    if bytes.len() != MESSAGE_BYTES || !bytes.ends_with(WORDS) {
        return None;
    }
    bytes.iter().take(LETTERS).try_fold(0_u32, |sum, byte| {
        let digit = byte.checked_sub(b'a').filter(|digit| *digit < 16)?;
        Some((sum << 4) | u32::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_and_holds_no_digit() {
        for stamp in [0, 1, 4_711, u32::MAX] {
            let bytes = message(stamp);
            assert_eq!(read(&bytes), Some(stamp));
            assert!(!bytes.iter().any(u8::is_ascii_digit));
        }
        assert_eq!(read(b"hello"), None);
    }
}

//! WebSocket frames, RFC 6455, as far as a bench needs them: whole frames, no fragments, no extensions.
//!
//! Lives here: bytes to frames and back, for both ends. Not here: sockets, and what the frames mean.

use std::ops::Range;

/// Kinds of frames that are told apart here.
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// What a client masks with. Any key costs both ends the same; a fixed one keeps runs alike.
pub const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One frame inside a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    /// Where its payload stands, unmasked.
    pub payload: Range<usize>,
}

/// Finds the frame that begins at `at`, and unmasks it where it lies. `None`: not all of it is there yet.
pub fn next_frame(buffer: &mut [u8], at: usize) -> Option<Frame> {
    let head = buffer.get(at..)?;
    let (first, second) = (*head.first()?, *head.get(1)?);
    let (length, mut begin) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?)), at + 4),
        127 => {
            let length = u64::from_be_bytes(head.get(2..10)?.try_into().ok()?);
            (usize::try_from(length).ok()?, at + 10)
        }
        short => (usize::from(short), at + 2),
    };
    let mut key = None;
    if second & 0x80 != 0 {
        key = Some(<[u8; 4]>::try_from(buffer.get(begin..begin + 4)?).ok()?);
        begin += 4;
    }
    let payload = buffer.get_mut(begin..begin.checked_add(length)?)?;
    if let Some(key) = key {
        mask(payload, key);
    }
    Some(Frame { opcode: first & 0x0f, payload: begin..begin + length })
}

/// Masks or unmasks; twice is nothing.
fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let word = u32::from_ne_bytes(key);
    let wide = (u64::from(word) << 32) | u64::from(word);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        if let Ok(eight) = <[u8; 8]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u64::from_ne_bytes(eight) ^ wide).to_ne_bytes());
        }
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends a frame; a client gives a key to mask with, a server none.
pub fn push_frame(opcode: u8, payload: &[u8], key: Option<[u8; 4]>, into: &mut Vec<u8>) {
    let bit = if key.is_some() { 0x80 } else { 0 };
    into.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => into.push(bit | short),
        (_, Ok(middle)) => {
            into.push(bit | 126);
            into.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            into.push(bit | 127);
            into.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    if let Some(key) = key {
        into.extend_from_slice(&key);
    }
    let begin = into.len();
    into.extend_from_slice(payload);
    if let (Some(key), Some(payload)) = (key, into.get_mut(begin..)) {
        mask(payload, key);
    }
}

/// Where the head of an HTTP message ends: the first byte behind its empty line.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_come_back() {
        for key in [None, Some(MASK)] {
            for length in [0, 1, 100, 125, 126, 127, 65_535, 65_536] {
                let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
                let mut bytes = vec![9, 9];
                push_frame(BINARY, &payload, key, &mut bytes);
                let whole = bytes.len();
                assert_eq!(next_frame(&mut bytes[..whole - 1], 2), None, "{length}");
                let frame = next_frame(&mut bytes, 2).unwrap();
                assert_eq!((frame.opcode, frame.payload.end), (BINARY, whole));
                assert_eq!(bytes[frame.payload], payload);
            }
        }
    }

    #[test]
    fn a_head_ends_behind_its_empty_line() {
        assert_eq!(head_end(b"GET / HTTP/1.1\r\nhost: x\r\n\r\nrest"), Some(27));
        assert_eq!(head_end(b"GET / HTTP/1.1\r\n"), None);
    }
}

//! Frames to bytes and back, in both subprotocols. The only importer of MessagePack.

use std::io::ErrorKind;

use rmp_serde::decode::Error;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::frame::{ClientFrame, RequestId, ServerFrame};
use crate::limits::DEPTH_MAX;
use crate::positional::{Outline, field_at_fault};

/// A subprotocol: the version and the encoding in one name (RFC 6455, 1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `livehelp.v1.msgpack`: binary frames, the default.
    Msgpack,
    /// `livehelp.v1.json`: text frames, the same arrays.
    Json,
}

impl Encoding {
    /// Both, in the order of preference.
    pub const ALL: [Self; 2] = [Self::Msgpack, Self::Json];

    /// The name in `Sec-WebSocket-Protocol`.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Msgpack => "livehelp.v1.msgpack",
            Self::Json => "livehelp.v1.json",
        }
    }

    /// The first of the offered subprotocols that is spoken here.
    pub fn choose(offered: &str) -> Option<Self> {
        offered
            .split(',')
            .map(str::trim)
            .find_map(|name| Self::ALL.into_iter().find(|encoding| encoding.subprotocol() == name))
    }
}

/// Bytes that are no frame. The cause is for the log of whoever wrote the client: it never quotes
/// the bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not MessagePack, not JSON, or not the fields of the kind.
    #[error("not a frame of {subprotocol}")]
    Malformed {
        /// What the bytes should have been.
        subprotocol: &'static str,
    },
    /// A frame, whole, in which a field is missing or has a value that is not taken on this side: a
    /// code, form or type of a newer peer, or a number beyond its bound.
    #[error("the field `{field}` has a value that is not known, or beyond its bound")]
    Value {
        /// The frame's request, so that the answer can be matched; 0 where it has none.
        request: RequestId,
        /// The field's name, and those of the records it lies in.
        field: String,
        /// It is of the right type: a newer peer knows more codes.
        is_newer: bool,
    },
    /// Bytes after the frame's end.
    #[error("bytes after the end of a frame of {subprotocol}")]
    Trailing {
        /// What the bytes should have been.
        subprotocol: &'static str,
    },
}

fn decode<'a, T: Deserialize<'a>>(encoding: Encoding, bytes: &'a [u8]) -> Result<T, DecodeError> {
    read(encoding, bytes, unread)
}

/// Reads something to the last byte; `why` judges what could not be read.
fn read<'a, T: Deserialize<'a>>(
    encoding: Encoding,
    bytes: &'a [u8],
    why: impl Fn(Encoding, &[u8], &dyn std::fmt::Display) -> DecodeError,
) -> Result<T, DecodeError> {
    let subprotocol = encoding.subprotocol();
    match encoding {
        Encoding::Msgpack => {
            let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
            deserializer.set_max_depth(DEPTH_MAX);
            let frame =
                T::deserialize(&mut deserializer).map_err(|error| why(encoding, bytes, &error))?;
            match IgnoredAny::deserialize(&mut deserializer) {
                Err(Error::InvalidMarkerRead(end)) if end.kind() == ErrorKind::UnexpectedEof => {
                    Ok(frame)
                }
                _ => Err(DecodeError::Trailing { subprotocol }),
            }
        }
        Encoding::Json => {
            // Some writers begin a text with a mark of its byte order.
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            let mut deserializer = serde_json::Deserializer::from_slice(bytes);
            let frame =
                T::deserialize(&mut deserializer).map_err(|error| why(encoding, bytes, &error))?;
            deserializer.end().map_err(|_| DecodeError::Trailing { subprotocol })?;
            Ok(frame)
        }
    }
}

/// Why a frame was not read: bytes that are none, or a field that is not taken in one that is whole
/// to its last byte.
#[cold]
fn unread(encoding: Encoding, bytes: &[u8], error: &dyn std::fmt::Display) -> DecodeError {
    let malformed = DecodeError::Malformed { subprotocol: encoding.subprotocol() };
    let (field, is_newer) = field_at_fault(&error.to_string());
    match read(encoding, bytes, |_, _, _| malformed.clone()) {
        Ok(Outline(request)) => DecodeError::Value { request: RequestId(request), field, is_newer },
        Err(_) => malformed,
    }
}

/// A frame could not be written: an unknown kind, which is never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this frame has no form on the wire")]
pub struct EncodeError;

fn encode<T: Serialize>(
    encoding: Encoding,
    frame: &T,
    into: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    match encoding {
        Encoding::Msgpack => {
            let mut serializer = rmp_serde::Serializer::new(into);
            frame.serialize(&mut serializer).map_err(|_| EncodeError)
        }
        Encoding::Json => serde_json::to_writer(into, frame).map_err(|_| EncodeError),
    }
}

/// Reads a frame of a client; text borrows from the bytes where it can.
///
/// # Errors
/// If the bytes are no frame, or one with a field that is not taken; a kind that is not known is no
/// error, see [`ClientFrame::Unknown`].
pub fn decode_client(encoding: Encoding, bytes: &[u8]) -> Result<ClientFrame<'_>, DecodeError> {
    decode(encoding, bytes)
}

/// The number of the question that a client's frame begins with, from its first bytes: for a frame
/// that is too long to be read whole. `None` where the kind has none, or they do not say.
pub fn request_of_beginning(encoding: Encoding, beginning: &[u8]) -> Option<RequestId> {
    match encoding {
        Encoding::Msgpack => {
            let rest = match beginning {
                [0x91..=0x9f, rest @ ..] | [0xdc, _, _, rest @ ..] => rest,
                [0xdd, _, _, _, _, rest @ ..] => rest,
                _ => return None,
            };
            let (_kind, rest) = small_number(rest)?;
            small_number(rest).map(|(request, _)| RequestId(request))
        }
        Encoding::Json => {
            let rest = beginning.trim_ascii_start().strip_prefix(b"[")?;
            let rest = rest.trim_ascii_start().strip_prefix(b"\"")?;
            let kind = rest.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'-');
            let rest = rest.get(kind.count()..)?.strip_prefix(b"\"")?;
            let rest = rest.trim_ascii_start().strip_prefix(b",")?.trim_ascii_start();
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let ended = rest.get(digits).is_some_and(|byte| b",] \t\r\n".contains(byte));
            let number = std::str::from_utf8(rest.get(..digits)?).ok()?;
            number.parse().ok().filter(|_| ended).map(RequestId)
        }
    }
}

/// A number of MessagePack, and what follows.
fn small_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    Some(match bytes {
        [n @ 0..=0x7f, rest @ ..] | [0xcc, n, rest @ ..] => (u32::from(*n), rest),
        [0xcd, a, b, rest @ ..] => (u32::from(u16::from_be_bytes([*a, *b])), rest),
        [0xce, a, b, c, d, rest @ ..] => (u32::from_be_bytes([*a, *b, *c, *d]), rest),
        _ => return None,
    })
}

/// Reads a frame of the server. One with a value that is not known here, which a newer server may
/// send, is passed over like one of an unknown kind.
///
/// # Errors
/// If the bytes are no frame.
pub fn decode_server(encoding: Encoding, bytes: &[u8]) -> Result<ServerFrame<'_>, DecodeError> {
    match decode(encoding, bytes) {
        Err(DecodeError::Value { request, is_newer: true, .. }) => {
            Ok(ServerFrame::Unknown { request })
        }
        read => read,
    }
}

/// Appends a client's frame.
///
/// # Errors
/// If it is [`ClientFrame::Unknown`].
pub fn encode_client(
    encoding: Encoding,
    frame: &ClientFrame<'_>,
    into: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    encode(encoding, frame, into)
}

/// Appends a server's frame.
///
/// # Errors
/// If it is [`ServerFrame::Unknown`].
pub fn encode_server(
    encoding: Encoding,
    frame: &ServerFrame<'_>,
    into: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    encode(encoding, frame, into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ConversationId, MessageId};
    use crate::message::{Author, Body, Seq};
    use crate::personal::Text;
    use crate::time::{Day, UnixMillis};
    use crate::{ids::AgentId, limits::MESSAGE_OVERHEAD_BYTES_MAX};

    fn written(encoding: Encoding, frame: &ServerFrame<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_server(encoding, frame, &mut bytes).unwrap();
        bytes
    }

    fn message() -> ServerFrame<'static> {
        ServerFrame::Message {
            conversation: ConversationId::from_bytes([1; 16]),
            seq: Seq(70_000),
            message: MessageId::from_bytes([2; 16]),
            author: Author::Agent(AgentId::from_bytes([3; 16])),
            at: UnixMillis(1_795_000_000_000),
            body: Body::Text(Text::new("x".repeat(100))),
            expires: Some(Day(2_600)),
            visibility: None,
        }
    }

    #[test]
    fn a_message_costs_at_most_its_overhead_more_than_its_text() {
        let bytes = written(Encoding::Msgpack, &message());
        assert!(bytes.len() <= 100 + MESSAGE_OVERHEAD_BYTES_MAX, "{} bytes", bytes.len());
    }

    #[test]
    fn both_encodings_give_back_what_was_written() {
        for encoding in Encoding::ALL {
            let bytes = written(encoding, &message());
            assert_eq!(decode_server(encoding, &bytes).unwrap(), message());
        }
    }

    #[test]
    fn an_unknown_kind_keeps_its_request() {
        let frame = decode_client(Encoding::Json, br#"["dance", 7, {"a": [1]}]"#).unwrap();
        assert_eq!(frame, ClientFrame::Unknown { request: RequestId(7) });
        let frame = decode_client(Encoding::Msgpack, &[0x93, 0x3f, 0x07, 0xc0]).unwrap();
        assert_eq!(frame, ClientFrame::Unknown { request: RequestId(7) });
    }

    #[test]
    fn fields_that_are_not_known_are_skipped() {
        let frame = decode_client(Encoding::Json, br#"["ping", 7, "new", [1, 2]]"#).unwrap();
        assert_eq!(frame, ClientFrame::Ping { request: RequestId(7) });
    }

    #[test]
    fn deep_nesting_is_refused() {
        let mut bytes = vec![0x92, 0x3f];
        bytes.extend(std::iter::repeat_n(0x91, 1_000));
        bytes.push(0xc0);
        assert!(decode_client(Encoding::Msgpack, &bytes).is_err());
    }
}

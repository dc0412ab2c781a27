//! The WebSocket protocol (RFC 6455), the server's side: every byte of it.
//!
//! Lives here: the lines of the handshake, opcodes, the head of a frame in both directions, masks,
//! bounds of control frames, ping and close frames, and the parser for fragments and control
//! frames, which is tungstenite's. Not here: what is said in a message (`protocol`), how messages
//! are found in the bytes of a read (`incoming`), who may connect (`hello`). Numbers in parentheses
//! are sections of the RFC.

use std::io::{self, ErrorKind, Read, Write};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use protocol::codec::{Encoding, encode_server};
use protocol::frame::ServerFrame;
use protocol::reject::CloseCode;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as WsError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use crate::http::{RETRY_AFTER_S, head};

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
/// From here on control frames (5.5).
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// A length of up to this stands in the second byte; these two values say that it follows in two or
/// in eight.
const SHORT_MAX: u8 = 125;
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;
const MASK_BYTES: usize = 4;
/// Payload of a control frame.
const CONTROL_BYTES_MAX: usize = 125;
/// The longest head of a frame without a mask.
const HEAD_BYTES_MAX: usize = 10;
/// The one version there is.
const VERSION: &str = "13";

/// An empty ping (5.5.2).
pub(super) const EMPTY_PING: &[u8] = &[FIN | PING, 0];

// === The handshake ===

/// The key of a request that asks for a WebSocket (4.2.1).
///
/// # Errors
/// What is wrong with a request that does not.
#[expect(clippy::result_large_err, reason = "a refusal is an answer, made once and sent")]
pub(super) fn key(headers: &HeaderMap) -> Result<&[u8], Response<Bytes>> {
    if !has_token(headers, header::CONNECTION, "upgrade")
        || !has_token(headers, header::UPGRADE, "websocket")
    {
        return Err(refusal(StatusCode::UPGRADE_REQUIRED, "this address speaks WebSocket"));
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION) != Some(VERSION.as_bytes()) {
        return Err(refusal(StatusCode::UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13"));
    }
    only(headers, header::SEC_WEBSOCKET_KEY)
        .filter(|key| is_key(key))
        .ok_or_else(|| refusal(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing or no key"))
}

/// The subprotocols that a client offers, in its order.
pub(super) fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    head::items(headers, header::SEC_WEBSOCKET_PROTOCOL)
}

/// The answer that opens the socket (4.2.2).
pub(super) fn accept(key: &[u8], subprotocol: Option<&str>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = derive_accept_key(key).parse() {
        answer.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(Ok(value)) = subprotocol.map(str::parse) {
        answer.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    response
}

/// The answer to a request that opens none.
pub(super) fn refusal(status: StatusCode, words: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(words.as_bytes()));
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let later = HeaderValue::from_static(RETRY_AFTER_S);
        response.headers_mut().insert(header::RETRY_AFTER, later);
    }
    if status == StatusCode::UPGRADE_REQUIRED {
        let version = HeaderValue::from_static(VERSION);
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, version);
    }
    response
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    head::items(headers, name).any(|item| item.eq_ignore_ascii_case(token))
}

/// The one value of a header that may stand there once.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.as_bytes().trim_ascii())
}

/// 16 bytes in base64 (4.1).
fn is_key(key: &[u8]) -> bool {
    let is_sign = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    key.strip_suffix(b"==").is_some_and(|signs| signs.len() == 22 && signs.iter().all(is_sign))
}

// === Frames that are sent ===

/// A message in one unmasked frame (5.2): text for JSON, binary for MessagePack.
pub fn message(encoding: Encoding, frame: &ServerFrame<'_>) -> Bytes {
    let mut bytes = Vec::with_capacity(256);
    bytes.resize(HEAD_BYTES_MAX, 0);
    if encode_server(encoding, frame, &mut bytes).is_err() {
        debug_assert!(false, "every frame that the server makes has a form on the wire");
        return Bytes::new();
    }
    let len = bytes.len() - HEAD_BYTES_MAX;
    let first = match encoding {
        Encoding::Msgpack => FIN | BINARY,
        Encoding::Json => FIN | TEXT,
    };
    let mut head = [0u8; HEAD_BYTES_MAX];
    let used = match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ 0..=SHORT_MAX), _) => {
            head[..2].copy_from_slice(&[first, short]);
            2
        }
        (_, Ok(medium)) => {
            head[..2].copy_from_slice(&[first, TWO_BYTES]);
            head[2..4].copy_from_slice(&medium.to_be_bytes());
            4
        }
        _ => {
            head[..2].copy_from_slice(&[first, EIGHT_BYTES]);
            head[2..].copy_from_slice(&u64::try_from(len).unwrap_or(0).to_be_bytes());
            10
        }
    };
    let start = HEAD_BYTES_MAX - used;
    bytes[start..HEAD_BYTES_MAX].copy_from_slice(&head[..used]);
    Bytes::from(bytes).slice(start..)
}

/// A close frame with its code and the words for it (5.5.1).
pub(super) fn close(code: CloseCode) -> Bytes {
    let word = code.word().as_bytes();
    debug_assert!(2 + word.len() <= CONTROL_BYTES_MAX, "a reason fits a control frame");
    let mut bytes = Vec::with_capacity(4 + word.len());
    bytes.push(FIN | CLOSE);
    bytes.push(u8::try_from(2 + word.len()).unwrap_or(2));
    bytes.extend_from_slice(&code.code().to_be_bytes());
    bytes.extend_from_slice(word);
    Bytes::from(bytes)
}

// === Frames that come ===

/// How it went on with the bytes that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    /// More may come.
    On,
    /// The other end has said goodbye, and is answered.
    Over,
    /// They break a rule.
    Wrong(CloseCode),
}

/// The head of a frame from a client (5.2).
#[derive(Debug)]
pub(super) struct Head {
    pub(super) fin: bool,
    pub(super) opcode: u8,
    pub(super) mask: [u8; MASK_BYTES],
    pub(super) payload_at: usize,
    pub(super) frame_bytes: usize,
}

impl Head {
    /// `None`: it is not whole yet. An error: it breaks a rule, whatever follows.
    pub(super) fn of(bytes: &[u8], bytes_max: usize) -> Option<Result<Self, CloseCode>> {
        let [first, second, ..] = *bytes else { return None };
        let (fin, opcode) = (first & FIN != 0, first & OPCODE);
        let known = matches!(opcode, 0..=BINARY | CLOSE..=PONG);
        if !known || first & RESERVED != 0 || second & MASKED == 0 {
            return Some(Err(CloseCode::Framing));
        }
        let (payload_bytes, least_bytes, mask_at) = match second & LENGTH {
            TWO_BYTES => {
                let wide: [u8; 2] = *bytes.get(2..)?.first_chunk()?;
                (usize::from(u16::from_be_bytes(wide)), usize::from(TWO_BYTES), 4)
            }
            EIGHT_BYTES => {
                let wide: [u8; 8] = *bytes.get(2..)?.first_chunk()?;
                (usize::try_from(u64::from_be_bytes(wide)).unwrap_or(usize::MAX), 1 << 16, 10)
            }
            short => (usize::from(short), 0, 2),
        };
        if opcode >= CLOSE && (!fin || payload_bytes > CONTROL_BYTES_MAX) {
            return Some(Err(CloseCode::Framing));
        }
        // The shortest form that holds it.
        if payload_bytes < least_bytes {
            return Some(Err(CloseCode::Framing));
        }
        if payload_bytes > bytes_max {
            return Some(Err(CloseCode::TooLarge));
        }
        let mask = *bytes.get(mask_at..)?.first_chunk()?;
        let payload_at = mask_at + MASK_BYTES;
        Some(Ok(Self { fin, opcode, mask, payload_at, frame_bytes: payload_at + payload_bytes }))
    }

    pub(super) fn payload_bytes(&self) -> usize {
        self.frame_bytes - self.payload_at
    }

    /// Whether it is a control frame, which may come in between the fragments of a message.
    pub(super) fn is_control(&self) -> bool {
        self.opcode >= CLOSE
    }
}

/// Whether more follows the first frame of a read. Where a read begins within a frame it may say so
/// of one frame.
pub(super) fn has_several(bytes: &[u8]) -> bool {
    match Head::of(bytes, usize::MAX) {
        Some(Ok(head)) => bytes.len() > head.frame_bytes,
        Some(Err(_)) | None => false,
    }
}

/// Takes the mask off a payload, where it lies (5.3).
pub(super) fn unmask(payload: &mut [u8], mask: [u8; MASK_BYTES]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The parser for what comes in more than one frame, and for control frames: it keeps the fragments
/// of one message (5.4), answers pings, and says goodbye.
#[derive(Debug)]
pub(super) struct Parser(WebSocketContext);

impl Parser {
    /// For messages of so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(0)
            .write_buffer_size(0)
            .max_message_size(Some(bytes_max))
            .max_frame_size(Some(bytes_max));
        Self(WebSocketContext::new(Role::Server, Some(config)))
    }

    /// Takes whole frames in. What is to be sent back is appended to `answer`; `hear` gets each
    /// message that is whole with them.
    pub(super) fn take(
        &mut self,
        frames: &[u8],
        answer: &mut Vec<u8>,
        mut hear: impl FnMut(Encoding, &[u8]),
    ) -> Went {
        let mut feed = Feed { input: frames, output: answer };
        loop {
            match self.0.read(&mut feed) {
                Ok(Message::Text(text)) => hear(Encoding::Json, text.as_ref()),
                Ok(Message::Binary(bytes)) => hear(Encoding::Msgpack, &bytes),
                Ok(_) => {}
                Err(WsError::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    return Went::On;
                }
                Err(WsError::ConnectionClosed | WsError::AlreadyClosed) => return Went::Over,
                Err(WsError::Capacity(CapacityError::MessageTooLong { .. })) => {
                    return Went::Wrong(CloseCode::TooLarge);
                }
                Err(WsError::Utf8(_)) => return Went::Wrong(CloseCode::NotUtf8),
                Err(_) => return Went::Wrong(CloseCode::Framing),
            }
        }
    }
}

/// What tungstenite reads from and writes to: bytes in memory, no socket.
struct Feed<'a> {
    input: &'a [u8],
    output: &'a mut Vec<u8>,
}

impl Read for Feed<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.input.read(buf)
    }
}

impl Write for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use protocol::ids::ConversationId;
    use protocol::personal::Text;

    use super::*;

    /// A frame whose text has so many bytes; MessagePack adds its own.
    fn draft(bytes: usize) -> Bytes {
        let text = Text::new("x".repeat(bytes));
        let conversation = ConversationId::from_bytes([1; 16]);
        message(Encoding::Msgpack, &ServerFrame::Draft { conversation, text })
    }

    #[test]
    fn a_length_takes_as_few_bytes_as_it_can() {
        let (mut seen, mut payload_before) = ([false; 3], 0);
        for text in (80..140).chain(65_470..65_540) {
            let bytes = draft(text);
            assert_eq!(bytes[0], 0x82);
            let (form, head, len) = match bytes[1] {
                126 => (1, 4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
                127 => {
                    let wide = u64::from_be_bytes(bytes[2..10].try_into().unwrap());
                    (2, 10, usize::try_from(wide).unwrap())
                }
                short => (0, 2, usize::from(short)),
            };
            seen[form] = true;
            assert_eq!(bytes.len(), head + len, "{text}");
            let least = if len <= 125 {
                0
            } else if len < 65_536 {
                1
            } else {
                2
            };
            assert_eq!(form, least, "{len}");
            assert!(len > payload_before);
            payload_before = len;
        }
        assert_eq!(seen, [true; 3]);
    }

    #[test]
    fn text_is_json_and_binary_is_messagepack() {
        let pong = ServerFrame::Pong { request: protocol::frame::RequestId(7) };
        assert_eq!(message(Encoding::Json, &pong), &b"\x81\x0a[\"pong\",7]"[..]);
        assert_eq!(message(Encoding::Msgpack, &pong), &b"\x82\x03\x92\x4f\x07"[..]);
    }

    #[test]
    fn every_close_code_fits_a_control_frame_with_its_words() {
        for (code, number, word) in CloseCode::ALL {
            let bytes = close(*code);
            assert_eq!(bytes[0], 0x88);
            let len = usize::from(bytes[1]);
            assert!(len <= 125 && bytes.len() == 2 + len, "{word}");
            assert_eq!(bytes[2..4], number.to_be_bytes());
            assert_eq!(bytes[4..], *word.as_bytes());
        }
    }

    #[test]
    fn a_ping_is_answered_and_a_goodbye_is_given_back() {
        let mut answer = Vec::new();
        let nobody = |_: Encoding, _: &[u8]| panic!("no message");
        let mut parser = Parser::new(100);
        let ping = [&[0x89, 0x82, 0, 0, 0, 0][..], b"hi"].concat();
        assert_eq!(parser.take(&ping, &mut answer, nobody), Went::On);
        assert_eq!(answer, b"\x8a\x02hi");
        answer.clear();
        let goodbye = [&[0x88, 0x82, 0, 0, 0, 0][..], &1000u16.to_be_bytes()].concat();
        assert_eq!(parser.take(&goodbye, &mut answer, nobody), Went::Over);
        assert_eq!(answer, b"\x88\x02\x03\xe8");
    }

    #[test]
    fn a_request_opens_a_socket_by_its_lines_and_is_told_what_is_wrong_with_them() {
        let lines = [
            (header::CONNECTION, "keep-alive, Upgrade"),
            (header::UPGRADE, "WebSocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
            (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let whole: HeaderMap =
            lines.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        // The sample of the RFC (1.3).
        let answer = accept(key(&whole).unwrap(), Some("livehelp.v1"));
        assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(answer.headers()["sec-websocket-protocol"], "livehelp.v1");
        for (name, _) in lines {
            let mut less = whole.clone();
            less.remove(&name);
            let refusal = key(&less).unwrap_err();
            let status = if name == header::SEC_WEBSOCKET_KEY { 400 } else { 426 };
            assert_eq!(refusal.status(), status, "{name}");
            assert_eq!(refusal.headers().contains_key("sec-websocket-version"), status == 426);
        }
        let mut twice = whole;
        twice.append(header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap());
        assert_eq!(key(&twice).unwrap_err().status(), 400);
        for wrong in
            ["dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZ===", "dGhl IHNhbXBsZSBub25j=="]
        {
            assert!(!is_key(wrong.as_bytes()), "{wrong}");
        }
    }
}

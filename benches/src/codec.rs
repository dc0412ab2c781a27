//! Frames to bytes and back, in both subprotocols.

use std::hint::black_box;

use protocol::codec::{Encoding, decode_client, decode_server, encode_client, encode_server};
use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use protocol::message::{Author, Body, Seq};
use protocol::personal::Text;
use protocol::time::Day;

use crate::meter::{Case, Meter};
use crate::world::{CONVERSATION, NOW, WORDS, message_id};

/// Measures `send`, `message` and `ack`. Texts are borrowed from the bytes, and the buffer is used
/// again, as a connection does it.
pub fn measure(meter: &mut impl Meter) {
    let msgpack = Encoding::Msgpack;
    of_client(meter, msgpack, ["send-encode-msgpack", "send-decode-msgpack"]);
    of_server(meter, msgpack, message, ["message-encode-msgpack", "message-decode-msgpack"]);
    of_server(meter, msgpack, ack, ["ack-encode-msgpack", "ack-decode-msgpack"]);
    let json = Encoding::Json;
    of_client(meter, json, ["send-encode-json", "send-decode-json"]);
    of_server(meter, json, message, ["message-encode-json", "message-decode-json"]);
    of_server(meter, json, ack, ["ack-encode-json", "ack-decode-json"]);
}

fn of_client(meter: &mut impl Meter, encoding: Encoding, [encode, decode]: [&'static str; 2]) {
    meter.repeat(Case::new(encode), || {
        let (frame, mut buffer) = (send(), Vec::new());
        move || {
            buffer.clear();
            encode_client(encoding, black_box(&frame), &mut buffer).expect("it has a form");
            black_box(&buffer);
        }
    });
    meter.repeat(Case::new(decode), || {
        let mut bytes = Vec::new();
        encode_client(encoding, &send(), &mut bytes).expect("it has a form");
        move || {
            black_box(decode_client(encoding, black_box(&bytes)).expect("it is a frame"));
        }
    });
}

fn of_server(
    meter: &mut impl Meter,
    encoding: Encoding,
    frame: fn() -> ServerFrame<'static>,
    [encode, decode]: [&'static str; 2],
) {
    meter.repeat(Case::new(encode), || {
        let (frame, mut buffer) = (frame(), Vec::new());
        move || {
            buffer.clear();
            encode_server(encoding, black_box(&frame), &mut buffer).expect("it has a form");
            black_box(&buffer);
        }
    });
    meter.repeat(Case::new(decode), || {
        let mut bytes = Vec::new();
        encode_server(encoding, &frame(), &mut bytes).expect("it has a form");
        move || {
            black_box(decode_server(encoding, black_box(&bytes)).expect("it is a frame"));
        }
    });
}

fn send() -> ClientFrame<'static> {
    ClientFrame::Send {
        request: RequestId(7),
        conversation: CONVERSATION,
        message: message_id(7),
        seen_seq: Seq(6),
        body: Body::Text(Text::new(WORDS)),
        visibility: None,
    }
}

fn message() -> ServerFrame<'static> {
    ServerFrame::Message {
        conversation: CONVERSATION,
        seq: Seq(7),
        message: message_id(7),
        author: Author::Visitor,
        at: NOW,
        body: Body::Text(Text::new(WORDS)),
        expires: Some(Day(NOW.day().0 + 731)),
        visibility: None,
    }
}

fn ack() -> ServerFrame<'static> {
    ServerFrame::Ack {
        request: RequestId(7),
        seq: Some(Seq(7)),
        at: Some(NOW),
        expires: Some(Day(NOW.day().0 + 731)),
        body: None,
    }
}

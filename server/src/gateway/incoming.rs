//! Bytes of one connection into whole messages.
//!
//! Lives here: where a frame begins and ends, and what a message in one frame says, which is
//! unmasked where it lies: so nearly every client's messages come. Fragments, pings and the goodbye
//! go through a parser that is there for as long as a message is. Not here: the bytes of a frame
//! (`websocket`), what a message means. Called by `connection`.

use protocol::codec::Encoding;
use protocol::reject::CloseCode;

use super::websocket::{BINARY, Head, Parser, TEXT, Went, unmask};

/// Bytes of a message that is too long which say what was asked.
const BEGINNING_BYTES: usize = 64;

/// What waits for more bytes: nothing, between two messages. Bounded by a frame and a read.
#[derive(Debug, Default)]
pub(super) struct Incoming(Option<Box<Waiting>>);

#[derive(Debug)]
struct Waiting {
    /// The beginning of a frame.
    begun: Vec<u8>,
    /// It has the first fragments of a message.
    parser: Option<Parser>,
    /// So many bytes more belong to a message that is passed over.
    passed_over: usize,
}

/// A message that came.
#[derive(Debug, Clone, Copy)]
pub(super) enum Came<'a> {
    Whole(&'a [u8]),
    /// It is too long, and its rest is passed over.
    TooLong {
        beginning: &'a [u8],
    },
}

/// Who hears what came.
pub(super) struct ReadContext<'a> {
    /// Bytes of a frame, and of a message.
    pub(super) bytes_max: usize,
    /// Bytes of a message in one frame that is passed over instead of ending the connection.
    pub(super) refused_bytes_max: usize,
    /// Gets what is to be sent back: pongs, the answer to a goodbye.
    pub(super) answer: &'a mut Vec<u8>,
    /// Hears whole messages: text is JSON, binary is MessagePack.
    pub(super) hear: &'a mut dyn FnMut(Encoding, Came<'_>),
}

impl Incoming {
    /// Takes bytes in, and hands over the messages that are whole with them. After anything but
    /// [`Went::On`] nothing more is to be read.
    pub(super) fn take(&mut self, bytes: &mut [u8], mut context: ReadContext<'_>) -> Went {
        let (mut begun, mut parser, mut passed_over) = match self.0.take() {
            None => (Vec::new(), None, 0),
            Some(waiting) => (waiting.begun, waiting.parser, waiting.passed_over),
        };
        let passed = passed_over.min(bytes.len());
        passed_over -= passed;
        let bytes = bytes.get_mut(passed..).unwrap_or_default();
        let fresh = begun.is_empty();
        let all = if fresh {
            bytes
        } else {
            begun.extend_from_slice(bytes);
            begun.as_mut_slice()
        };
        let (used, went) = context.frames(all, &mut parser, &mut passed_over);
        let rest = all.get(used..).unwrap_or_default();
        if went == Went::On && !(rest.is_empty() && parser.is_none() && passed_over == 0) {
            if fresh {
                begun = rest.to_vec();
            } else {
                begun.drain(..used);
            }
            self.0 = Some(Box::new(Waiting { begun, parser, passed_over }));
        }
        went
    }
}

impl ReadContext<'_> {
    /// Goes through the whole frames; how far they reach.
    fn frames(
        &mut self,
        all: &mut [u8],
        parser: &mut Option<Parser>,
        passed_over: &mut usize,
    ) -> (usize, Went) {
        let mut used = 0;
        loop {
            let rest = all.get_mut(used..).unwrap_or_default();
            let head = match Head::of(rest, self.bytes_max.max(self.refused_bytes_max)) {
                None => return (used, Went::On),
                Some(Err(code)) => return (used, Went::Wrong(code)),
                Some(Ok(head)) => head,
            };
            if head.payload_bytes() > self.bytes_max {
                let encoding = match head.opcode {
                    TEXT => Encoding::Json,
                    BINARY => Encoding::Msgpack,
                    _ => return (used, Went::Wrong(CloseCode::TooLarge)),
                };
                if !head.fin || parser.is_some() {
                    return (used, Went::Wrong(CloseCode::TooLarge));
                }
                let beginning = head.payload_at..head.payload_at + BEGINNING_BYTES;
                let Some(beginning) = rest.get_mut(beginning) else { return (used, Went::On) };
                unmask(beginning, head.mask);
                (self.hear)(encoding, Came::TooLong { beginning });
                let here = rest.len().min(head.frame_bytes);
                used += here;
                *passed_over = head.frame_bytes - here;
                continue;
            }
            let Some(frame) = rest.get_mut(..head.frame_bytes) else { return (used, Went::On) };
            used += head.frame_bytes;
            let went = match (head.opcode, parser.is_none()) {
                (TEXT, true) if head.fin => self.whole(Encoding::Json, &head, frame),
                (BINARY, true) if head.fin => self.whole(Encoding::Msgpack, &head, frame),
                _ => self.part(&head, frame, parser),
            };
            if went != Went::On {
                return (used, went);
            }
        }
    }

    /// A message in one frame.
    fn whole(&mut self, encoding: Encoding, head: &Head, frame: &mut [u8]) -> Went {
        let payload = frame.get_mut(head.payload_at..).unwrap_or_default();
        unmask(payload, head.mask);
        if encoding == Encoding::Json && std::str::from_utf8(payload).is_err() {
            return Went::Wrong(CloseCode::NotUtf8);
        }
        (self.hear)(encoding, Came::Whole(payload));
        Went::On
    }

    /// A fragment or a control frame.
    fn part(&mut self, head: &Head, frame: &[u8], parser: &mut Option<Parser>) -> Went {
        let within = parser.is_some();
        let context = parser.get_or_insert_with(|| Parser::new(self.bytes_max));
        let hear = |encoding, message: &[u8]| (self.hear)(encoding, Came::Whole(message));
        let went = context.take(frame, self.answer, hear);
        let goes_on = if head.is_control() { within } else { !head.fin };
        if went == Went::On && !goes_on {
            *parser = None;
        }
        went
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BYTES_MAX: usize = 300;

    /// Everything that came of bytes.
    #[derive(Debug, Default, PartialEq)]
    struct ReadOutcome {
        messages: Vec<(Encoding, Vec<u8>)>,
        answer: Vec<u8>,
        went: Option<Went>,
    }

    /// As it is read here, in pieces of these sizes.
    fn here(bytes: &[u8], sizes: &[usize]) -> (ReadOutcome, Incoming) {
        refusing(bytes, sizes, 0)
    }

    /// The same where longer messages are passed over.
    fn refusing(
        bytes: &[u8],
        sizes: &[usize],
        refused_bytes_max: usize,
    ) -> (ReadOutcome, Incoming) {
        let (mut incoming, mut heard) = (Incoming::default(), ReadOutcome::default());
        let (mut rest, mut sizes) = (bytes, sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            let messages = &mut heard.messages;
            let mut hear = |encoding, came: Came<'_>| match came {
                Came::Whole(message) => messages.push((encoding, message.to_vec())),
                Came::TooLong { beginning } => {
                    messages.push((encoding, [b"too long: ", beginning].concat()));
                }
            };
            let (answer, bytes_max) = (&mut heard.answer, BYTES_MAX);
            let context = ReadContext { bytes_max, refused_bytes_max, answer, hear: &mut hear };
            let went = incoming.take(&mut piece.to_vec(), context);
            heard.went = Some(went);
            if went != Went::On {
                break;
            }
            rest = later;
        }
        (heard, incoming)
    }

    /// As tungstenite reads it, all at once.
    fn there(bytes: &[u8]) -> ReadOutcome {
        let mut heard = ReadOutcome::default();
        let messages = &mut heard.messages;
        let hear = |encoding, message: &[u8]| messages.push((encoding, message.to_vec()));
        heard.went = Some(Parser::new(BYTES_MAX).take(bytes, &mut heard.answer, hear));
        heard
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match u8::try_from(payload.len()) {
            Ok(short @ 0..=125) => bytes.push(0x80 | short),
            _ => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
        }
        let mask = [1, 0, 9, 200];
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let first = prop_oneof![
            8 => prop::sample::select(vec![0x82u8, 0x81, 0x02, 0x01, 0x00, 0x80, 0x89, 0x8a]),
            1 => prop::sample::select(vec![0x88u8, 0x83, 0x8b, 0xc2, 0x09]),
        ];
        let payload = prop_oneof![
            "[a-zé]{0,40}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..130),
            prop::collection::vec(Just(b'x'), 120..310),
        ];
        (first, payload).prop_map(|(first, payload)| frame(first, &payload))
    }

    proptest! {
        #[test]
        fn it_is_heard_as_tungstenite_hears_it_however_it_is_cut(
            frames in prop::collection::vec(any_frame(), 1..8),
            sizes in prop::collection::vec(1usize..200, 1..6),
        ) {
            let bytes = frames.concat();
            let (heard, _) = here(&bytes, &sizes);
            let expected = there(&bytes);
            prop_assert_eq!(&heard.messages, &expected.messages);
            match (heard.went, expected.went) {
                // Both are broken rules; which is told first may differ where a frame breaks two.
                (Some(Went::Wrong(_)), Some(Went::Wrong(_))) => {}
                (went, expected) => prop_assert_eq!(went, expected),
            }
            prop_assert_eq!(heard.answer, expected.answer);
        }
    }

    #[test]
    fn between_two_messages_nothing_is_kept() {
        let mut bytes = frame(0x82, b"whole");
        bytes.extend(frame(0x01, b"in "));
        bytes.extend(frame(0x89, b"ping"));
        bytes.extend(frame(0x80, b"parts"));
        bytes.extend(frame(0x8a, b""));
        let (heard, incoming) = here(&bytes, &[3, 50, 1]);
        assert!(incoming.0.is_none());
        let messages = [(Encoding::Msgpack, "whole"), (Encoding::Json, "in parts")];
        let messages = messages.map(|(encoding, text)| (encoding, text.as_bytes().to_vec()));
        assert_eq!(heard.messages, messages);
        assert_eq!(heard.answer, b"\x8a\x04ping");
    }

    #[test]
    fn what_is_too_long_is_passed_over_however_it_is_cut_and_what_follows_is_heard() {
        let long: Vec<u8> = (0..=250).cycle().take(1_000).collect();
        let bytes = [frame(0x82, b"one"), frame(0x82, &long), frame(0x82, b"two")].concat();
        let beginning = [b"too long: ", &long[..BEGINNING_BYTES]].concat();
        let expected = [b"one".to_vec(), beginning, b"two".to_vec()];
        for size in 1..bytes.len() + 1 {
            let (heard, incoming) = refusing(&bytes, &[size], 1_000);
            assert_eq!(heard.went, Some(Went::On), "{size}");
            assert!(incoming.0.is_none());
            assert!(heard.messages.iter().map(|(_, message)| message).eq(&expected), "{size}");
        }
        let ends = |bytes: &[u8], refused| refusing(bytes, &[50], refused).0.went;
        let too_large = Some(Went::Wrong(CloseCode::TooLarge));
        assert_eq!(ends(&bytes, 999), too_large, "longer than that ends it");
        assert_eq!(ends(&frame(0x02, &long), 1_000), too_large, "so do fragments");
    }

    #[test]
    fn a_head_that_breaks_a_rule_is_not_waited_for() {
        let wrong = |bytes: &[u8]| here(bytes, &[100]).0.went;
        let malformed = Some(Went::Wrong(CloseCode::Framing));
        assert_eq!(wrong(b"GET / HTTP/1.1"), malformed);
        assert_eq!(wrong(&[0x82, 5]), malformed, "without a mask");
        assert_eq!(wrong(&[0x09, 0x80]), malformed, "a ping in fragments");
        assert_eq!(wrong(&[0x89, 0xfe, 0, 126]), malformed, "a long ping");
        assert_eq!(wrong(&[0x82, 0xfe, 0, 125]), malformed, "a length in two bytes that fits one");
        assert_eq!(
            wrong(&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 1, 0]),
            malformed,
            "in eight that fits two"
        );
        let huge = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(wrong(&huge), Some(Went::Wrong(CloseCode::TooLarge)));
    }
}

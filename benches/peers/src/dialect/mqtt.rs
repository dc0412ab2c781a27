//! MQTT 5 over WebSocket: topics as rooms, nothing confirmed (QoS 0), and nobody hears themselves (No Local).

use anyhow::{Result, bail};

use super::{Dialect, Heard, Member, Reply};
use crate::framing::BINARY;
use crate::net::Upgrade;
use crate::stamp;

/// First bytes of packets.
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
/// What is said to a publisher's own subscription is not said to them.
const NO_LOCAL: u8 = 0x04;
/// Reasons from here on are refusals.
const REFUSED: u8 = 0x80;

#[derive(Debug)]
struct Line {
    topic: String,
    /// Its protocol is a stream: a message of the socket may end anywhere.
    partial: Vec<u8>,
}

/// A client of an MQTT broker.
#[derive(Debug, Default)]
pub struct Mqtt {
    lines: Vec<Line>,
}

/// A packet whose every field is short, as all are here.
fn packet(kind: u8, parts: &[&[u8]], into: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    into.push(kind);
    let mut rest = length;
    while rest >= 0x80 {
        into.push(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
        rest >>= 7;
    }
    into.push(u8::try_from(rest).unwrap_or_default());
    parts.iter().for_each(|part| into.extend_from_slice(part));
}

fn length_of(text: &str) -> [u8; 2] {
    u16::try_from(text.len()).unwrap_or_default().to_be_bytes()
}

/// A number of seven bits a byte, and how many bytes it takes.
fn number(bytes: &[u8]) -> Option<(usize, usize)> {
    let last = bytes.iter().take(4).position(|byte| byte & 0x80 == 0)?;
    let digits = bytes.iter().take(last + 1).rev();
    Some((digits.fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f)), last + 1))
}

/// The packet at the beginning of some bytes, without its length, and where it ends.
fn next_packet(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (kind, rest) = bytes.split_first()?;
    let (length, taken) = number(rest)?;
    Some((*kind, rest.get(taken..taken + length)?, 1 + taken + length))
}

/// What a `PUBLISH` carries, behind its topic and its properties.
fn published(body: &[u8]) -> Option<&[u8]> {
    let (topic, rest) = body.split_first_chunk()?;
    let rest = rest.get(usize::from(u16::from_be_bytes(*topic))..)?;
    let (properties, taken) = number(rest)?;
    rest.get(taken + properties..)
}

impl Dialect for Mqtt {
    fn upgrade(&mut self, member: Member) -> Upgrade {
        let topic = match member.room {
            Some(room) => format!("room/{room}"),
            None => format!("alone/{}", member.number),
        };
        self.lines.push(Line { topic, partial: Vec::new() });
        let headers = vec![(String::from("Sec-WebSocket-Protocol"), String::from("mqtt"))];
        Upgrade { path: String::from("/mqtt"), headers, narrow: member.narrow }
    }

    fn greet(&mut self, line: usize, say: &mut Vec<Vec<u8>>) -> bool {
        let name = format!("member{line}");
        let mut bytes = Vec::new();
        // Version 5, a clean start, no keep-alive, no properties.
        let head = [&[0, 4][..], b"MQTT", &[5, 0x02, 0, 0, 0]].concat();
        packet(CONNECT, &[&head, &length_of(&name), name.as_bytes()], &mut bytes);
        say.push(bytes);
        false
    }

    fn say(&mut self, line: usize, stamp: u32, into: &mut Vec<u8>) {
        let Some(Line { topic, .. }) = self.lines.get(line) else { return };
        let message = stamp::message(stamp);
        packet(PUBLISH, &[&length_of(topic), topic.as_bytes(), &[0], &message], into);
    }

    fn hear(&mut self, line: usize, payload: &[u8], reply: &mut Reply) -> Result<()> {
        let Some(Line { topic, partial }) = self.lines.get_mut(line) else { return Ok(()) };
        partial.extend_from_slice(payload);
        let mut used = 0;
        while let Some((kind, body, length)) = next_packet(partial.get(used..).unwrap_or_default())
        {
            match kind {
                CONNACK if body.get(1).is_some_and(|reason| *reason < REFUSED) => {
                    let mut bytes = Vec::new();
                    let wish = [topic.as_bytes(), &[NO_LOCAL]].concat();
                    // Numbered 1, without properties.
                    packet(SUBSCRIBE, &[&[0, 1, 0], &length_of(topic), &wish], &mut bytes);
                    reply.say.push(bytes);
                }
                SUBACK if body.last().is_some_and(|reason| *reason < REFUSED) => {
                    reply.heard.push(Heard::Ready);
                }
                PUBLISH => match published(body).and_then(stamp::read) {
                    Some(stamp) => reply.heard.push(Heard::Delivered(stamp)),
                    None => bail!("a message came in another form than it was sent in"),
                },
                _ => bail!("the broker sent a packet of kind {kind:#x}: {body:?}"),
            }
            used += length;
        }
        partial.drain(..used);
        Ok(())
    }

    fn acks(&self) -> bool {
        false
    }

    fn opcode(&self) -> u8 {
        BINARY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_may_be_cut_anywhere() {
        let mut client = Mqtt::default();
        let _upgrade = client.upgrade(Member::seated(0, 3, 0));
        let mut bytes = vec![CONNACK, 3, 0, 0, 0, SUBACK, 4, 0, 1, 0, 0];
        client.say(0, 77, &mut bytes);
        let mut reply = Reply::default();
        for byte in &bytes {
            client.hear(0, &[*byte], &mut reply).unwrap();
        }
        assert_eq!(reply.heard, [Heard::Ready, Heard::Delivered(77)]);
        assert_eq!(reply.say, [b"\x82\x0c\x00\x01\x00\x00\x06room/3\x04".to_vec()]);
    }

    #[test]
    fn a_length_takes_as_many_bytes_as_it_needs() {
        for length in [0_usize, 127, 128, 16_383, 16_384] {
            let mut bytes = Vec::new();
            packet(PUBLISH, &[&vec![7; length]], &mut bytes);
            let (kind, body, end) = next_packet(&bytes).unwrap();
            assert_eq!((kind, body.len(), end), (PUBLISH, length, bytes.len()));
        }
    }
}

//! NATS over WebSocket: subjects as rooms, and with JetStream an ack for each message.

use anyhow::{Result, bail};

use super::{Dialect, Heard, Member, Reply};
use crate::framing::BINARY;
use crate::net::Upgrade;
use crate::stamp::{self, MESSAGE_BYTES};

/// Subscriptions of a line: what is said in the room, and the acks.
const ROOM: &str = "1";
const ACKS: &str = "2";

#[derive(Debug)]
struct Line {
    subject: String,
    /// Its protocol is a stream: a message of the socket may end anywhere.
    partial: Vec<u8>,
}

/// A client of NATS.
#[derive(Debug)]
pub struct Nats {
    acks: bool,
    lines: Vec<Line>,
}

impl Nats {
    /// With JetStream each message is published with an address for its ack.
    pub fn new(jetstream: bool) -> Self {
        Self { acks: jetstream, lines: Vec::new() }
    }
}

/// One operation at the beginning of some bytes: its words, what it carries, and where it ends.
fn operation(bytes: &[u8]) -> Option<(Vec<&str>, &[u8], usize)> {
    let line = bytes.windows(2).position(|two| two == b"\r\n")?;
    let text = std::str::from_utf8(bytes.get(..line)?).ok()?;
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    if words.first() != Some(&"MSG") {
        return Some((words, &[], line + 2));
    }
    let length: usize = words.last()?.parse().ok()?;
    let body = bytes.get(line + 2..line + 2 + length)?;
    bytes.get(line + 2 + length..line + 4 + length)?;
    Some((words, body, line + 4 + length))
}

impl Dialect for Nats {
    fn upgrade(&mut self, member: Member) -> Upgrade {
        let subject = match member.room {
            Some(room) => format!("room.{room}"),
            None => format!("alone.{}", member.number),
        };
        self.lines.push(Line { subject, partial: Vec::new() });
        Upgrade { path: String::from("/"), narrow: member.narrow, ..Upgrade::default() }
    }

    fn greet(&mut self, line: usize, say: &mut Vec<Vec<u8>>) -> bool {
        let Some(at) = self.lines.get(line) else { return false };
        let connect = "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}";
        let acks = if self.acks { format!("SUB ack.{line} {ACKS}\r\n") } else { String::new() };
        let subject = &at.subject;
        say.push(format!("{connect}\r\nSUB {subject} {ROOM}\r\n{acks}PING\r\n").into_bytes());
        false
    }

    fn say(&mut self, line: usize, stamp: u32, into: &mut Vec<u8>) {
        let Some(at) = self.lines.get(line) else { return };
        into.extend_from_slice(b"PUB ");
        into.extend_from_slice(at.subject.as_bytes());
        if self.acks {
            into.extend_from_slice(format!(" ack.{line}").as_bytes());
        }
        into.extend_from_slice(format!(" {MESSAGE_BYTES}\r\n").as_bytes());
        into.extend_from_slice(&stamp::message(stamp));
        into.extend_from_slice(b"\r\n");
    }

    fn hear(&mut self, line: usize, payload: &[u8], reply: &mut Reply) -> Result<()> {
        let Some(at) = self.lines.get_mut(line) else { return Ok(()) };
        at.partial.extend_from_slice(payload);
        let mut used = 0;
        while let Some((words, body, length)) =
            operation(at.partial.get(used..).unwrap_or_default())
        {
            match words.as_slice() {
                ["PONG"] => reply.heard.push(Heard::Ready),
                ["PING"] => reply.say.push(b"PONG\r\n".to_vec()),
                ["MSG", _, ROOM, ..] => {
                    let Some(stamp) = stamp::read(body) else {
                        bail!("a message came in another form than it was sent in");
                    };
                    reply.heard.push(Heard::Delivered(stamp));
                }
                ["MSG", _, ACKS, ..] => {
                    if body.windows(7).any(|part| part == b"\"error\"") {
                        bail!("JetStream refused: {}", String::from_utf8_lossy(body));
                    }
                    reply.heard.push(Heard::Acked);
                }
                ["-ERR", ..] => bail!("NATS refused: {}", words.join(" ")),
                _ => {}
            }
            used += length;
        }
        at.partial.drain(..used);
        Ok(())
    }

    fn acks(&self) -> bool {
        self.acks
    }

    fn opcode(&self) -> u8 {
        BINARY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_may_be_cut_anywhere() {
        let mut client = Nats::new(true);
        let _upgrade = client.upgrade(Member::seated(0, 3, 0));
        let mut bytes = b"INFO {\"x\":1}\r\nPONG\r\nMSG room.3 1 100\r\n".to_vec();
        bytes.extend_from_slice(&stamp::message(77));
        bytes.extend_from_slice(b"\r\nMSG ack.0 2 12\r\n{\"stream\":1}\r\n");
        let mut reply = Reply::default();
        for byte in &bytes {
            client.hear(0, &[*byte], &mut reply).unwrap();
        }
        assert_eq!(reply.heard, [Heard::Ready, Heard::Delivered(77), Heard::Acked]);
    }
}

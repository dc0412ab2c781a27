//! How each server is spoken to.
//!
//! Lives here: what a client of one server says and hears. Not here: sockets (`net`), and what is measured (`work`).

use anyhow::Result;

use crate::framing::{BINARY, TEXT};
use crate::net::Upgrade;
use crate::stamp;

pub mod livehelp;
pub mod nats;
pub mod mqtt;
pub mod xmpp;
mod pack;

/// Who sits behind a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// `None`: connected and in no room.
    pub room: Option<usize>,
    /// 0 opened the room (livehelp: its visitor), 1 answers in it (its agent), all others listen (supervisors).
    pub seat: usize,
    /// A number that no other member of the run has.
    pub number: usize,
    /// How many rooms they follow: this one and every so-many-agents-th after it. livehelp only.
    pub follows: usize,
    /// Opens a conversation of their own. livehelp only.
    pub opens: bool,
    /// Has room for little, to become a slow reader.
    pub narrow: bool,
}

impl Member {
    /// In a room.
    pub const fn seated(number: usize, room: usize, seat: usize) -> Self {
        Self { room: Some(room), seat, number, follows: 1, opens: false, narrow: false }
    }

    /// In no room.
    pub const fn alone(number: usize) -> Self {
        Self { room: None, seat: 0, number, follows: 0, opens: false, narrow: false }
    }
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The member is in: work may begin.
    Ready,
    /// A message of somebody else.
    Delivered(u32),
    /// The server has the oldest of one's own that it had not confirmed.
    Acked,
}

/// What a client makes of something that came.
#[derive(Debug, Default)]
pub struct Reply {
    /// In order.
    pub heard: Vec<Heard>,
    /// What it says at once, message by message.
    pub say: Vec<Vec<u8>>,
}

/// A client of one server. Lines are numbered from 0 in the order in which they were announced.
pub trait Dialect {
    /// Announces a line and says how it begins.
    fn upgrade(&mut self, member: Member) -> Upgrade;
    /// What is said once the line is open. Without anything to wait for, the member is in at once.
    fn greet(&mut self, line: usize, say: &mut Vec<Vec<u8>>) -> bool;
    /// Appends the message with this number, as this line sends it.
    fn say(&mut self, line: usize, stamp: u32, into: &mut Vec<u8>);
    /// Understands what came.
    ///
    /// # Errors
    /// If the server refuses something.
    fn hear(&mut self, line: usize, payload: &[u8], reply: &mut Reply) -> Result<()>;
    /// Whether each message is confirmed to its sender.
    fn acks(&self) -> bool;
    /// Text or binary messages.
    fn opcode(&self) -> u8;
}

/// The bare relays: rooms by the path, messages as they are, acks of eight bytes.
#[derive(Debug)]
pub struct Plain {
    pub acks: bool,
}

impl Dialect for Plain {
    fn upgrade(&mut self, member: Member) -> Upgrade {
        // Whoever is in no room gets one of their own: these servers know nothing else.
        let path = match member.room {
            Some(room) => format!("/room/{room}"),
            None => format!("/alone/{}", member.number),
        };
        Upgrade { path, narrow: member.narrow, ..Upgrade::default() }
    }

    fn greet(&mut self, _: usize, _: &mut Vec<Vec<u8>>) -> bool {
        true
    }

    fn say(&mut self, _: usize, stamp: u32, into: &mut Vec<u8>) {
        into.extend_from_slice(&stamp::message(stamp));
    }

    fn hear(&mut self, _: usize, payload: &[u8], reply: &mut Reply) -> Result<()> {
        reply.heard.push(stamp::read(payload).map_or(Heard::Acked, Heard::Delivered));
        Ok(())
    }

    fn acks(&self) -> bool {
        self.acks
    }

    fn opcode(&self) -> u8 {
        BINARY
    }
}

/// Socket.IO 5 over Engine.IO 4, WebSocket only.
#[derive(Debug, Default)]
pub struct SocketIo {
    members: Vec<Member>,
}

impl Dialect for SocketIo {
    fn upgrade(&mut self, member: Member) -> Upgrade {
        self.members.push(member);
        let path = String::from("/socket.io/?EIO=4&transport=websocket");
        Upgrade { path, ..Upgrade::default() }
    }

    fn greet(&mut self, _: usize, _: &mut Vec<Vec<u8>>) -> bool {
        false
    }

    fn say(&mut self, _: usize, stamp: u32, into: &mut Vec<u8>) {
        into.extend_from_slice(b"42[\"m\",\"");
        into.extend_from_slice(&stamp::message(stamp));
        into.extend_from_slice(b"\"]");
    }

    fn hear(&mut self, line: usize, payload: &[u8], reply: &mut Reply) -> Result<()> {
        match payload {
            [b'0', ..] => reply.say.push(b"40".to_vec()),
            [b'2'] => reply.say.push(b"3".to_vec()),
            [b'4', b'0', ..] => {
                let member = self.members.get(line);
                let name = match member.and_then(|member| member.room) {
                    Some(room) => format!("room{room}"),
                    None => format!("alone{}", member.map_or(0, |member| member.number)),
                };
                reply.say.push(format!("420[\"join\",\"{name}\"]").into_bytes());
            }
            // The answer to `join`, the only question that is asked.
            [b'4', b'3', ..] => reply.heard.push(Heard::Ready),
            [b'4', b'2', rest @ ..] => {
                let text = rest.strip_prefix(b"[\"m\",\"").and_then(|r| r.strip_suffix(b"\"]"));
                if let Some(stamp) = text.and_then(stamp::read) {
                    reply.heard.push(Heard::Delivered(stamp));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn acks(&self) -> bool {
        false
    }

    fn opcode(&self) -> u8 {
        TEXT
    }
}

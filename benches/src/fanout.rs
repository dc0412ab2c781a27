//! One message to everyone in its room: one encoding, shared bytes, an append for each member.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use livehelp::gateway::websocket;
use livehelp::hub::fanout::{EncodedFrame, deliver};
use livehelp::hub::{FrameSink, LiveRoom};
use livehelp::privacy::gate::Reader;
use livehelp::room::Member;
use protocol::codec::Encoding;
use protocol::ids::{AgentId, ConnectionId};
use protocol::message::Author;
use protocol::reject::CloseCode;

use crate::meter::{Case, Meter};
use crate::room::full_room;
use crate::world::{CONVERSATION, NOW, World};

/// People who look on in a large room.
const MEMBERS: u32 = 1_000;

/// A connection without a socket: counts the bytes that it is given.
#[derive(Debug)]
struct Counter {
    connection: ConnectionId,
    encoding: Encoding,
    bytes: AtomicUsize,
}

impl FrameSink for Counter {
    fn connection(&self) -> ConnectionId {
        self.connection
    }

    fn append(&self, frame: &EncodedFrame<'_>) -> bool {
        let bytes = frame.bytes(self.encoding, websocket::message);
        self.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        true
    }

    fn append_ephemeral(&self, frame: &EncodedFrame<'_>) {
        self.append(frame);
    }

    fn flush(&self) {}

    fn close(&self, _: CloseCode) {}
}

/// Measures one message to the other side of a conversation, then to a thousand agents who look on:
/// all by one subprotocol, or every other one by the other.
pub fn measure(meter: &mut impl Meter) {
    of(meter, Case::new("to-one"), [Encoding::Msgpack; 2]);
    of(meter, Case::new("to-each-of-1000").each(MEMBERS), [Encoding::Msgpack; 2]);
    of(meter, Case::new("to-each-of-1000-mixed").each(MEMBERS), Encoding::ALL);
}

fn of(meter: &mut impl Meter, case: Case, encodings: [Encoding; 2]) {
    meter.repeat(case, || {
        // The visitor, who wrote it, and those who hear it.
        let room = crowd(case.each + 1, encodings);
        let sequenced = World::default().sequenced(CONVERSATION, room.sequencer().seq_last().0 + 1);
        move || {
            let from = Some(connection(0));
            let (recipients, _) = deliver(&room, black_box(&sequenced), from, NOW.day());
            recipients.iter().for_each(|sink| sink.flush());
        }
    });
}

pub(crate) fn crowd(members: u32, [even, odd]: [Encoding; 2]) -> LiveRoom {
    let mut room = full_room();
    for number in 0..members {
        let connection = connection(number);
        let encoding = if number % 2 == 0 { even } else { odd };
        let sink = Counter { connection, encoding, bytes: AtomicUsize::new(0) };
        room.join(Member {
            connection,
            author: Author::Agent(AgentId::from_bytes([9; 16])),
            reader: Reader::Agents,
            sink: Arc::new(sink),
        });
    }
    room
}

pub(crate) fn connection(number: u32) -> ConnectionId {
    let mut bytes = [0x6b; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    ConnectionId::from_bytes(bytes)
}

//! One frame for many connections: encoded once for each subprotocol in use, shared as bytes; and a message to all who
//! hear it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use protocol::codec::Encoding;
use protocol::frame::ServerFrame;
use protocol::ids::ConnectionId;
use protocol::time::Day;
use smallvec::SmallVec;

use super::Outlet;
use super::shard::LiveRoom;
use crate::privacy::envelope::Placed;
use crate::privacy::gate::{ReadGrant, Reader};

/// A server's frame on its way: the same bytes for everyone who speaks the subprotocol.
#[derive(Debug)]
pub struct Fanned<'a> {
    frame: ServerFrame<'a>,
    msgpack: OnceLock<Bytes>,
    json: OnceLock<Bytes>,
}

impl<'a> Fanned<'a> {
    /// Nothing is encoded before the first connection asks.
    pub fn new(frame: ServerFrame<'a>) -> Self {
        Self { frame, msgpack: OnceLock::new(), json: OnceLock::new() }
    }

    /// The frame itself.
    pub fn frame(&self) -> &ServerFrame<'a> {
        &self.frame
    }

    /// Its bytes by this subprotocol: written when the first connection asks, and shared by all
    /// others. How they are written and framed is the outlet's; all outlets of one frame write it
    /// the same way.
    pub fn bytes(
        &self,
        encoding: Encoding,
        write: impl FnOnce(Encoding, &ServerFrame<'a>) -> Bytes,
    ) -> Bytes {
        let cell = match encoding {
            Encoding::Msgpack => &self.msgpack,
            Encoding::Json => &self.json,
        };
        cell.get_or_init(|| write(encoding, &self.frame)).clone()
    }
}

/// Connections that are to be flushed; in most rooms there are a few.
pub type Outlets = SmallVec<[Arc<dyn Outlet>; 4]>;

/// Connections that one message went to, by who reads there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hearers {
    pub(super) visitors: u32,
    pub(super) agents: u32,
}

impl Hearers {
    fn add(&mut self, reader: Reader) {
        match reader {
            Reader::Visitor => self.visitors += 1,
            Reader::Agents => self.agents += 1,
        }
    }
}

/// Appends a message to everyone who hears it, but for the connection that it came from. Returns those that are to be
/// flushed: a slow reader costs no more than the appending.
pub fn deliver(
    live: &LiveRoom,
    placed: &Placed,
    except: Option<ConnectionId>,
    today: Day,
) -> (Outlets, Hearers) {
    let grant = ReadGrant::fan_out(Reader::Agents, today);
    let mut to = Hearers::default();
    let Some(frame) = placed.frame(&grant) else { return (Outlets::new(), to) };
    let frame = Fanned::new(frame);
    let hearers = live
        .hearers(placed.envelope().visibility(), except)
        .filter_map(|member| {
            to.add(member.reader);
            member.outlet.append(&frame).then(|| Arc::clone(&member.outlet))
        })
        .collect();
    (hearers, to)
}

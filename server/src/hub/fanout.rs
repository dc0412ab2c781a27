//! Fan-out, the broadcast of a room: the sink of a connection, and one frame for many of them:
//! encoded once for each subprotocol in use, shared as bytes; and a message to all who hear it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use protocol::codec::Encoding;
use protocol::frame::ServerFrame;
use protocol::ids::ConnectionId;
use protocol::reject::CloseCode;
use protocol::time::Day;
use smallvec::SmallVec;

use crate::privacy::envelope::Sequenced;
use crate::privacy::gate::{ReadGrant, Reader};
use crate::room::Room;

/// The number of a page's origin; 0: it has none.
pub type PageNumber = u16;

/// The sink for the frames of one connection; made by the edge that owns the socket.
pub trait FrameSink: Send + Sync + std::fmt::Debug {
    /// Which connection it is.
    fn connection(&self) -> ConnectionId;
    /// Appends a frame that must arrive; a full outbox closes the connection, which then resumes.
    /// Whether it is to be flushed: what a slow reader's socket has no room for is written once it
    /// has.
    fn append(&self, frame: &EncodedFrame<'_>) -> bool;
    /// The same for a caller who flushes whatever is to be flushed: until they have, others are
    /// told that they need not.
    fn append_to_flush(&self, frame: &EncodedFrame<'_>) -> bool {
        self.append(frame)
    }
    /// Appends a frame that is worth nothing later; a filling outbox drops it.
    fn append_ephemeral(&self, frame: &EncodedFrame<'_>);
    /// Writes what was appended. Never under a lock.
    fn flush(&self);
    /// Ends the connection with a verdict.
    fn close(&self, code: CloseCode);
    /// Keeps the number of the page's origin that it stands on.
    fn stand_on(&self, _page: PageNumber) {}
    /// That number; 0: none.
    fn stands_on(&self) -> PageNumber {
        0
    }
}

/// The hub's rooms.
pub type LiveRoom = Room<Arc<dyn FrameSink>>;

/// A server's frame, encoded once: the same bytes for everyone who speaks the subprotocol.
#[derive(Debug)]
pub struct EncodedFrame<'a> {
    frame: ServerFrame<'a>,
    msgpack: OnceLock<Bytes>,
    json: OnceLock<Bytes>,
}

impl<'a> EncodedFrame<'a> {
    /// Nothing is encoded before the first connection asks.
    pub fn new(frame: ServerFrame<'a>) -> Self {
        Self { frame, msgpack: OnceLock::new(), json: OnceLock::new() }
    }

    /// The frame itself.
    pub fn frame(&self) -> &ServerFrame<'a> {
        &self.frame
    }

    /// Its bytes by this subprotocol: written when the first connection asks, and shared by all
    /// others. How they are written and framed is the sink's; all sinks of one frame write it the
    /// same way.
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
pub type FrameSinks = SmallVec<[Arc<dyn FrameSink>; 4]>;

/// Connections that one message went to, by who reads there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recipients {
    pub(super) visitors: u32,
    pub(super) agents: u32,
}

impl Recipients {
    fn add(&mut self, reader: Reader) {
        match reader {
            Reader::Visitor => self.visitors += 1,
            Reader::Agents => self.agents += 1,
        }
    }
}

/// Appends a message to everyone who hears it, but for the connection that it came from. Returns
/// those that are to be flushed: a slow reader costs no more than the appending.
pub fn deliver(
    live: &LiveRoom,
    sequenced: &Sequenced,
    except: Option<ConnectionId>,
    today: Day,
) -> (FrameSinks, Recipients) {
    let grant = ReadGrant::fan_out(Reader::Agents, today);
    let mut to = Recipients::default();
    let Some(frame) = sequenced.frame(&grant) else { return (FrameSinks::new(), to) };
    let frame = EncodedFrame::new(frame);
    let recipients = live
        .recipients(sequenced.envelope().visibility(), except)
        .filter_map(|member| {
            to.add(member.reader);
            member.sink.append_to_flush(&frame).then(|| Arc::clone(&member.sink))
        })
        .collect();
    (recipients, to)
}

/// Sends one frame to one connection.
pub(crate) fn tell(sink: &dyn FrameSink, frame: ServerFrame<'_>) {
    sink.append(&EncodedFrame::new(frame));
    sink.flush();
}

/// Appends a frame, if there is one, for all of them.
pub(super) fn append_all(sinks: &[Arc<dyn FrameSink>], frame: Option<ServerFrame<'_>>) {
    let Some(frame) = frame else { return };
    let frame = EncodedFrame::new(frame);
    for sink in sinks {
        sink.append(&frame);
    }
}

/// Sends a frame to all of them.
pub(super) fn tell_all(sinks: &[Arc<dyn FrameSink>], frame: ServerFrame<'_>) {
    append_all(sinks, Some(frame));
    for sink in sinks {
        sink.flush();
    }
}

//! A live room under its own lock, and what is done in one.

use std::sync::Arc;

use parking_lot::Mutex;
use protocol::conversation::Marks;
use protocol::frame::ServerFrame;
use protocol::ids::{ConnectionId, ConversationId};
use protocol::message::{Author, Seq, Visibility};

use super::fanout::{EncodedFrame, FrameSink, LiveRoom};
use crate::privacy::gate::Reader;
use crate::sequencer::{Command, Input};

/// A live room with its own lock. The only way in is [`RoomHandle::with`].
#[derive(Debug, Clone)]
pub struct RoomHandle(Arc<Mutex<LiveRoom>>);

/// The room was dropped meanwhile: look it up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Retired;

impl RoomHandle {
    pub(super) fn new(room: LiveRoom) -> Self {
        Self(Arc::new(Mutex::new(room)))
    }

    /// Runs the closure under the room's lock: it must neither wait nor write to a socket.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut LiveRoom) -> T) -> Result<T, Retired> {
        let mut room = self.0.lock();
        if room.is_retired() { Err(Retired) } else { Ok(work(&mut room)) }
    }

    /// Tells the sequencer what happened, and carries out under the room's lock what follows.
    ///
    /// # Errors
    /// The input again, if the room was dropped meanwhile: look it up again.
    #[inline]
    pub(super) fn handle<T>(
        &self,
        input: Input,
        then: impl FnOnce(&mut LiveRoom, Command) -> T,
    ) -> Result<T, Input> {
        let mut room = self.0.lock();
        if room.is_retired() {
            return Err(input);
        }
        let command = room.sequencer_mut().handle(input);
        Ok(then(&mut room, command))
    }

    /// Until what comes back is dropped, memory keeps what it has, so that what is read in the
    /// store joins it.
    pub(super) fn hold(&self) -> Held {
        // A room that was dropped is looked up again, and held then.
        self.with(|room| room.sequencer_mut().hold()).unwrap_or_default();
        Held(self.clone())
    }

    /// Whether it is the same room.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Everyone in it who reads like this.
    pub(super) fn sinks(&self, reader: Reader) -> Vec<Arc<dyn FrameSink>> {
        self.with(|live| {
            live.members()
                .iter()
                .filter(|member| member.reader == reader)
                .map(|member| Arc::clone(&member.sink))
                .collect()
        })
        .unwrap_or_default()
    }

    /// Someone writes, or has stopped to: to everyone here but them.
    pub(super) fn show_typing(&self, conversation: ConversationId, author: Author, typing: bool) {
        let frame = EncodedFrame::new(ServerFrame::Typing { conversation, author, typing });
        let told = self.with(|live| {
            live.recipients(Visibility::Everyone, None)
                .filter(|member| member.author != author)
                .map(|member| {
                    member.sink.append_ephemeral(&frame);
                    Arc::clone(&member.sink)
                })
                .collect::<Vec<_>>()
        });
        for sink in told.unwrap_or_default() {
            sink.flush();
        }
    }

    /// Raises a receipt and tells everyone here but one. The receipts, if they changed.
    pub(super) fn show_receipt(
        &self,
        (author, delivered, seen): (Author, Seq, Seq),
        except: Option<ConnectionId>,
    ) -> Option<Marks> {
        let told = self.with(|live| {
            let receipts = live.receipt(author, delivered, seen)?;
            let conversation = live.conversation();
            let frame = EncodedFrame::new(if seen > Seq(0) {
                ServerFrame::Seen { conversation, author, seq: receipts.seen }
            } else {
                ServerFrame::Delivered { conversation, author, seq: receipts.delivered }
            });
            let told: Vec<_> = live
                .recipients(Visibility::Everyone, except)
                .map(|member| {
                    member.sink.append_ephemeral(&frame);
                    Arc::clone(&member.sink)
                })
                .collect();
            Some((receipts, told))
        });
        let (receipts, told) = told.ok()??;
        for sink in told {
            sink.flush();
        }
        Some(receipts)
    }

    /// Takes a message off the screens of this node. Whether there was one.
    pub(super) fn take_off(&self, input: Input) -> bool {
        let told = self.handle(input, |live, command| {
            let Command::Void { sequenced, .. } = command else { return None };
            let frame = EncodedFrame::new(ServerFrame::Void {
                conversation: sequenced.envelope().conversation(),
                seq: sequenced.seq(),
                message: sequenced.envelope().message(),
            });
            let recipients = live.recipients(sequenced.envelope().visibility(), None);
            let told = recipients.map(|member| {
                member.sink.append(&frame);
                Arc::clone(&member.sink)
            });
            Some(told.collect::<Vec<_>>())
        });
        // Nobody looks at a room that was dropped.
        let Ok(Some(told)) = told else { return false };
        told.iter().for_each(|sink| sink.flush());
        true
    }
}

/// A room whose messages stay in memory.
#[derive(Debug)]
pub(super) struct Held(RoomHandle);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.with(|room| room.sequencer_mut().let_go()).unwrap_or_default();
    }
}

//! Between nodes: who gives a message its sequence number, and how other nodes hear of it.
//!
//! Lives here: the port, and what travels through it. Not here: rooms and who is in them (`hub`),
//! what is kept (`store`). Called by `hub`.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::ids::{ConversationId, MessageId, TenantId};
use protocol::message::{Author, Seq};

use crate::privacy::envelope::{Envelope, Sequenced};

#[cfg(test)]
mod conformance;
pub mod memory;
mod payload;
pub mod redis;

/// What was heard and not yet taken; a hub that falls behind so far slows the bus.
const BUS_EVENTS_MAX: usize = 4_096;

/// Why no sequence number was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bus gives no sequence number now")]
pub struct BusError;

/// What nodes tell each other of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A message has its sequence number. Only [`Bus::sequence`] says it.
    Sequenced(Arc<Sequenced>),
    /// A sequence number whose message could not be stored.
    Void { tenant: TenantId, conversation: ConversationId, seq: Seq, message: MessageId },
    /// A message is stored under this number, and whoever looked for it may have stopped.
    Stored { tenant: TenantId, conversation: ConversationId, seq: Seq },
    /// Someone writes, or has stopped to.
    Typing { tenant: TenantId, conversation: ConversationId, author: Author, typing: bool },
    /// How far someone has come.
    Receipt {
        tenant: TenantId,
        conversation: ConversationId,
        author: Author,
        delivered: Seq,
        seen: Seq,
    },
}

impl Notice {
    /// The Organization.
    pub fn tenant(&self) -> TenantId {
        match self {
            Self::Sequenced(sequenced) => sequenced.envelope().tenant(),
            Self::Void { tenant, .. }
            | Self::Stored { tenant, .. }
            | Self::Typing { tenant, .. }
            | Self::Receipt { tenant, .. } => *tenant,
        }
    }

    /// The conversation of which it tells.
    pub fn conversation(&self) -> ConversationId {
        match self {
            Self::Sequenced(sequenced) => sequenced.envelope().conversation(),
            Self::Void { conversation, .. }
            | Self::Stored { conversation, .. }
            | Self::Typing { conversation, .. }
            | Self::Receipt { conversation, .. } => *conversation,
        }
    }
}

/// What the bus tells the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusEvent {
    /// Of a conversation that it follows. `own`: this node asked for the sequence number.
    Notice { notice: Notice, own: bool },
    /// The connection to the bus was down: anything may have been missed.
    Missed,
}

/// Gives sequence numbers, so that every node shows one order, and carries notices. What a node is
/// to hear comes through the channel that was made with it.
#[async_trait]
pub trait Bus: Send + Sync + std::fmt::Debug {
    /// Whether a sequence number takes a round trip.
    fn is_far(&self) -> bool;

    /// The sequence number at once, where it needs no round trip: called under the room's lock.
    fn sequence_here(&self, envelope: &Envelope, floor: Seq) -> Option<Seq>;

    /// The sequence number above `floor`, in one round trip that announces it too; then every node
    /// that follows the conversation, this one as well, delivers in the bus's order.
    ///
    /// # Errors
    /// If the bus is away: the sender may try again. It may have been announced all the same.
    async fn sequence(&self, envelope: &Envelope, floor: Seq) -> Result<Seq, BusError>;

    /// Tells the other nodes, if it can: no notice carries what the store does not.
    fn announce(&self, notice: Notice);

    /// Hears of the conversation from the moment this returns. Counted: each needs its own
    /// [`Bus::unfollow`]. While the bus is away it returns at once; [`BusEvent::Missed`] comes with
    /// the bus.
    async fn follow(&self, conversation: ConversationId);

    /// Hears no more of it, once for each [`Bus::follow`].
    fn unfollow(&self, conversation: ConversationId);

    /// Whether sequence numbers can be had now: readiness.
    fn healthy(&self) -> bool;
}

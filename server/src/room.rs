//! One live conversation on this node.
//!
//! Lives here: who is in the room, who has seen what, who hears what. Its sequence numbers and
//! newest messages are its `sequencer`'s. Not here: locks (`hub`), clocks (`clock`), rules about
//! data (`privacy`). Called by `hub` alone, under the room's lock; so nothing here waits.

use std::sync::Arc;

use protocol::conversation::Marks;
use protocol::ids::{ConnectionId, ConversationId, SiteId, TenantId, VisitorId};
use protocol::message::{Author, Seq, Visibility};

use crate::privacy::envelope::Sequenced;
use crate::privacy::gate::{Below, Reader};
use crate::sequencer::Sequencer;

/// Someone's connection in the room; `sink` is the hub's way to it.
#[derive(Debug)]
pub struct Member<O> {
    /// Whose messages it does not get back.
    pub connection: ConnectionId,
    /// For whom it speaks.
    pub author: Author,
    /// What it may see.
    pub reader: Reader,
    /// The hub's.
    pub sink: O,
}

/// Live part of a conversation. Dropped when its last member leaves; the transcript stays.
#[derive(Debug)]
pub struct Room<O> {
    site: SiteId,
    visitor: VisitorId,
    members: Vec<Member<O>>,
    sequencer: Sequencer,
    receipts: Vec<Marks>,
    receipts_dirty: bool,
    retired: bool,
}

impl<O> Room<O> {
    /// A room with what the store has: the newest messages in order, what is below them and the
    /// newest words, and the receipts.
    pub fn new(
        (tenant, site, conversation, visitor): (TenantId, SiteId, ConversationId, VisitorId),
        seq_last: Seq,
        tail: Vec<Arc<Sequenced>>,
        before: (Below, Option<Arc<Sequenced>>),
        mut receipts: Vec<Marks>,
    ) -> Self {
        // What someone saw and what was then lost is no sight of what comes in its place.
        for receipt in &mut receipts {
            receipt.delivered = receipt.delivered.min(seq_last);
            receipt.seen = receipt.seen.min(seq_last);
        }
        let sequencer = Sequencer::new((tenant, conversation), seq_last, tail, before);
        let members = Vec::new();
        Self { site, visitor, members, sequencer, receipts, receipts_dirty: false, retired: false }
    }

    /// The Organization.
    pub fn tenant(&self) -> TenantId {
        self.sequencer.tenant()
    }

    /// The website.
    pub fn site(&self) -> SiteId {
        self.site
    }

    /// Which conversation it is.
    pub fn conversation(&self) -> ConversationId {
        self.sequencer.conversation()
    }

    /// The conversation's visitor.
    pub fn visitor(&self) -> VisitorId {
        self.visitor
    }

    /// The numbers and the newest messages.
    pub fn sequencer(&self) -> &Sequencer {
        &self.sequencer
    }

    /// The same, to be told what happened.
    pub fn sequencer_mut(&mut self) -> &mut Sequencer {
        &mut self.sequencer
    }

    /// How far each has come.
    pub fn receipts(&self) -> &[Marks] {
        &self.receipts
    }

    /// Everyone who hears something of this visibility, but for one connection.
    pub fn recipients(
        &self,
        visibility: Visibility,
        except: Option<ConnectionId>,
    ) -> impl Iterator<Item = &Member<O>> {
        self.members.iter().filter(move |member| {
            Some(member.connection) != except
                && (visibility == Visibility::Everyone || member.reader == Reader::Agents)
        })
    }

    /// Lets a connection in; one that is in already is replaced.
    pub fn join(&mut self, member: Member<O>) {
        self.members.retain(|present| present.connection != member.connection);
        if self.members.is_empty() {
            // In most rooms a visitor waits alone.
            self.members.reserve_exact(1);
        }
        self.members.push(member);
    }

    /// Lets a connection out. Whether it was in.
    pub fn leave(&mut self, connection: ConnectionId) -> bool {
        let before = self.members.len();
        self.members.retain(|member| member.connection != connection);
        self.members.len() != before
    }

    /// Whether the connection is in.
    pub fn has(&self, connection: ConnectionId) -> bool {
        self.members.iter().any(|member| member.connection == connection)
    }

    /// Everyone in the room.
    pub fn members(&self) -> &[Member<O>] {
        &self.members
    }

    /// Raises someone's receipts; they never go back and never beyond the newest sequence number.
    /// Seen includes delivered. Returns the receipts if they changed.
    pub fn receipt(&mut self, author: Author, delivered: Seq, seen: Seq) -> Option<Marks> {
        let seen = seen.min(self.sequencer.seq_last());
        let delivered = delivered.min(self.sequencer.seq_last()).max(seen);
        let at = match self.receipts.iter().position(|receipts| receipts.author == author) {
            Some(at) => at,
            None => {
                self.receipts.push(Marks { author, delivered: Seq(0), seen: Seq(0) });
                self.receipts.len() - 1
            }
        };
        let receipts = self.receipts.get_mut(at)?;
        if delivered <= receipts.delivered && seen <= receipts.seen {
            return None;
        }
        receipts.delivered = receipts.delivered.max(delivered);
        receipts.seen = receipts.seen.max(seen);
        self.receipts_dirty = true;
        Some(receipts.clone())
    }

    /// The receipts that changed since the last call, if any did.
    pub fn take_dirty_receipts(&mut self) -> Option<Vec<Marks>> {
        std::mem::take(&mut self.receipts_dirty).then(|| self.receipts.clone())
    }

    /// Whether nobody is in it and nothing is under way: it may be dropped.
    pub fn is_idle(&self) -> bool {
        self.members.is_empty() && self.sequencer.is_idle() && !self.receipts_dirty
    }

    /// Receipts it as dropped: whoever still has a handle must look it up again.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether it was dropped.
    pub fn is_retired(&self) -> bool {
        self.retired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sight_of_what_was_lost_is_no_sight_of_what_comes_in_its_place() {
        let seen = Marks { author: Author::Visitor, delivered: Seq(9), seen: Seq(8) };
        let of = (
            TenantId::from_bytes([1; 16]),
            SiteId::from_bytes([2; 16]),
            ConversationId::from_bytes([3; 16]),
            VisitorId::from_bytes([4; 16]),
        );
        let room: Room<()> = Room::new(of, Seq(1), Vec::new(), Default::default(), vec![seen]);
        assert_eq!((room.receipts()[0].delivered, room.receipts()[0].seen), (Seq(1), Seq(1)));
    }
}

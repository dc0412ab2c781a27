//! One live conversation on this node.
//!
//! Lives here: who is in the room, which place came last, which messages are not stored yet, who has
//! seen what, who hears what.
//! Not here: locks (`hub`), clocks (`clock`), numbering across nodes (`bus`), storage (`store`), rules about
//! data (`privacy`). Called by `hub` alone, under the room's lock; so nothing here waits.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::conversation::{Marks, ResumePoint};
use protocol::ids::{ConnectionId, ConversationId, MessageId, SiteId, TenantId, VisitorId};
use protocol::message::{Author, Seq, Visibility};

use crate::privacy::envelope::{Envelope, Placed};
use crate::privacy::gate::Reader;

/// Messages that a room keeps in memory: a page, so that opening a conversation reads no disk.
pub const TAIL_MAX: usize = 50;

/// Someone's connection in the room; `outlet` is the hub's way to it.
#[derive(Debug)]
pub struct Member<O> {
    /// Whose messages it does not get back.
    pub connection: ConnectionId,
    /// For whom it speaks.
    pub author: Author,
    /// What it may see.
    pub reader: Reader,
    /// The hub's.
    pub outlet: O,
}

/// What a room says to an envelope that asks for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// New: its place is above this one.
    New {
        /// The newest place given so far.
        floor: Seq,
    },
    /// It came before and has its place; `stored` tells whether it may be acked now.
    Known {
        /// Its place.
        seq: Seq,
        /// Whether it is on disk.
        stored: bool,
    },
    /// Its id came before with another content.
    Conflict,
    /// Memory does not reach back to what its author had seen: look in the store above `after`.
    LookInStore {
        /// Places above this one are to be searched.
        after: Seq,
    },
}

/// What a client gets that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// These follow what it has.
    After(Vec<Arc<Placed>>),
    /// What it has does not lead here: this is the newest page.
    Reset(Vec<Arc<Placed>>),
    /// Memory does not reach so far back: read the store above `after` and ask again.
    LookInStore {
        /// Places above this one are needed.
        after: Seq,
    },
}

/// Live part of a conversation. Dropped when its last member leaves; the transcript stays.
#[derive(Debug)]
pub struct Room<O> {
    tenant: TenantId,
    site: SiteId,
    conversation: ConversationId,
    visitor: VisitorId,
    members: Vec<Member<O>>,
    /// The newest place given; 0 before the first.
    seq_last: Seq,
    /// Everything above this place is in `tail`.
    tail_after: Seq,
    tail: VecDeque<Arc<Placed>>,
    /// Places given and not yet stored, in order.
    unstored: VecDeque<Seq>,
    /// The newest messages that could not be stored; a resend of one gets a new place.
    voids: VecDeque<MessageId>,
    marks: Vec<Marks>,
    marks_dirty: bool,
    retired: bool,
}

impl<O> Room<O> {
    /// A room with what the store has: the newest messages in order, and the marks.
    pub fn new(
        (tenant, site, conversation, visitor): (TenantId, SiteId, ConversationId, VisitorId),
        seq_last: Seq,
        tail: Vec<Arc<Placed>>,
        marks: Vec<Marks>,
    ) -> Self {
        // A page that is not full reaches back to the beginning.
        let tail_after = match tail.first() {
            Some(first) if tail.len() >= TAIL_MAX => Seq(first.seq().0 - 1),
            _ => Seq(0),
        };
        Self {
            tenant,
            site,
            conversation,
            visitor,
            members: Vec::new(),
            seq_last,
            tail_after,
            tail: tail.into(),
            unstored: VecDeque::new(),
            voids: VecDeque::new(),
            marks,
            marks_dirty: false,
            retired: false,
        }
    }

    /// The Organization.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The website.
    pub fn site(&self) -> SiteId {
        self.site
    }

    /// Which conversation it is.
    pub fn conversation(&self) -> ConversationId {
        self.conversation
    }

    /// The conversation's visitor.
    pub fn visitor(&self) -> VisitorId {
        self.visitor
    }

    /// The newest place given.
    pub fn seq_last(&self) -> Seq {
        self.seq_last
    }

    /// How far each has come.
    pub fn marks(&self) -> &[Marks] {
        &self.marks
    }

    /// What memory has and everyone may see, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Arc<Placed>> {
        let everyones = |p: &&Arc<Placed>| p.envelope().visibility() == Visibility::Everyone;
        self.tail.iter().rev().filter(everyones)
    }

    /// Says what is to become of an envelope; `looked_above` is the place above which the store was
    /// searched for its id, in vain.
    pub fn accept(&self, envelope: &Envelope, looked_above: Option<Seq>) -> Accepted {
        // Not a debug_assert: a mix-up here would show one company's conversation to another.
        assert_eq!(envelope.tenant(), self.tenant, "message and room belong to one tenant");
        assert_eq!(envelope.conversation(), self.conversation, "message and room are one's");
        if let Some(known) = self.find(envelope.message()) {
            if !known.envelope().says_the_same(envelope) {
                return Accepted::Conflict;
            }
            return Accepted::Known { seq: known.seq(), stored: self.is_stored(known.seq()) };
        }
        let searched = looked_above.unwrap_or(self.tail_after).min(self.tail_after);
        if envelope.seen_seq() < searched {
            return Accepted::LookInStore { after: envelope.seen_seq() };
        }
        Accepted::New { floor: self.seq_last }
    }

    /// Takes a message that has its place; the caller delivers it to [`Room::hearers`].
    pub fn placed(&mut self, placed: Arc<Placed>) {
        assert_eq!(
            placed.envelope().tenant(),
            self.tenant,
            "message and room belong to one tenant"
        );
        assert!(placed.seq() > self.seq_last, "a place is given once");
        self.seq_last = placed.seq();
        self.unstored.push_back(placed.seq());
        self.tail.push_back(placed);
        while self.tail.len() > TAIL_MAX && self.oldest_is_stored() {
            if let Some(gone) = self.tail.pop_front() {
                self.tail_after = gone.seq();
            }
        }
    }

    /// A message is on disk.
    pub fn stored(&mut self, seq: Seq) {
        self.unstored.retain(|unstored| *unstored != seq);
    }

    /// A message could not be stored: its place is void while the room lives. Returns it, if members
    /// may have it on their screens.
    pub fn failed(&mut self, seq: Seq) -> Option<Arc<Placed>> {
        self.unstored.retain(|unstored| *unstored != seq);
        let at = self.tail.iter().position(|placed| placed.seq() == seq)?;
        let void = self.tail.remove(at)?;
        if self.voids.len() == TAIL_MAX {
            self.voids.pop_front();
        }
        self.voids.push_back(void.envelope().message());
        Some(void)
    }

    /// Whether the message at this place is on disk for good.
    pub fn holds(&self, seq: Seq, message: MessageId) -> bool {
        match self.find(message) {
            Some(placed) => placed.seq() == seq && self.is_stored(seq),
            None => !self.voids.contains(&message),
        }
    }

    /// Whether the place's message is on disk.
    pub fn is_stored(&self, seq: Seq) -> bool {
        !self.unstored.contains(&seq)
    }

    /// A message by its id, if memory has it.
    pub fn find(&self, message: MessageId) -> Option<&Arc<Placed>> {
        self.tail.iter().rev().find(|placed| placed.envelope().message() == message)
    }

    /// Everyone who hears something of this visibility, but for one connection.
    pub fn hearers(
        &self,
        visibility: Visibility,
        except: Option<ConnectionId>,
    ) -> impl Iterator<Item = &Member<O>> {
        self.members.iter().filter(move |member| {
            Some(member.connection) != except
                && (visibility == Visibility::Everyone || member.reader == Reader::Agents)
        })
    }

    /// What follows the client's last message. `older` is what the store has above the place that an
    /// earlier answer named.
    pub fn resume(&self, point: Option<&ResumePoint>, older: Option<&[Arc<Placed>]>) -> Resumed {
        let Some((seq, message)) = point.and_then(|p| Some((p.seq, p.message?))) else {
            return Resumed::After(self.page());
        };
        if seq > self.seq_last {
            return Resumed::Reset(self.page());
        }
        if seq <= self.tail_after {
            match older.map(<[_]>::last) {
                None => return Resumed::LookInStore { after: Seq(seq.0.saturating_sub(1)) },
                Some(None) => return Resumed::Reset(self.page()),
                // What was read must join what memory has: it may have moved on meanwhile.
                Some(Some(last)) if last.seq() < self.tail_after => {
                    return Resumed::LookInStore { after: Seq(seq.0.saturating_sub(1)) };
                }
                Some(Some(_)) => {}
            }
        }
        let older = older.unwrap_or_default();
        let mut all = older
            .iter()
            .filter(|placed| placed.seq() <= self.tail_after)
            .chain(self.tail.iter())
            .skip_while(|placed| placed.seq() < seq);
        match all.next() {
            Some(first) if first.seq() == seq && first.envelope().message() == message => {
                Resumed::After(all.cloned().collect())
            }
            _ => Resumed::Reset(self.page()),
        }
    }

    fn page(&self) -> Vec<Arc<Placed>> {
        self.tail.iter().cloned().collect()
    }

    fn oldest_is_stored(&self) -> bool {
        self.tail.front().is_some_and(|oldest| self.is_stored(oldest.seq()))
    }

    /// Lets a connection in; one that is in already is replaced.
    pub fn join(&mut self, member: Member<O>) {
        self.members.retain(|present| present.connection != member.connection);
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

    /// Raises someone's marks; they never go back and never beyond the newest place. Seen includes
    /// delivered. Returns the marks if they changed.
    pub fn mark(&mut self, author: Author, delivered: Seq, seen: Seq) -> Option<Marks> {
        let seen = seen.min(self.seq_last);
        let delivered = delivered.min(self.seq_last).max(seen);
        let at = match self.marks.iter().position(|marks| marks.author == author) {
            Some(at) => at,
            None => {
                self.marks.push(Marks { author, delivered: Seq(0), seen: Seq(0) });
                self.marks.len() - 1
            }
        };
        let marks = self.marks.get_mut(at)?;
        if delivered <= marks.delivered && seen <= marks.seen {
            return None;
        }
        marks.delivered = marks.delivered.max(delivered);
        marks.seen = marks.seen.max(seen);
        self.marks_dirty = true;
        Some(marks.clone())
    }

    /// The marks that changed since the last call, if any did.
    pub fn take_dirty_marks(&mut self) -> Option<Vec<Marks>> {
        std::mem::take(&mut self.marks_dirty).then(|| self.marks.clone())
    }

    /// Whether nobody is in it and nothing is under way: it may be dropped.
    pub fn is_idle(&self) -> bool {
        self.members.is_empty() && self.unstored.is_empty() && !self.marks_dirty
    }

    /// Marks it as dropped: whoever still has a handle must look it up again.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether it was dropped.
    pub fn is_retired(&self) -> bool {
        self.retired
    }
}

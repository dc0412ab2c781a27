//! One live conversation on this node.
//!
//! Lives here: who is in the room, which place came last, which messages are not stored yet, who has
//! seen what, who hears what.
//! Not here: locks (`hub`), clocks (`clock`), numbering across nodes (`bus`), storage (`store`), rules about
//! data (`privacy`). Called by `hub` alone, under the room's lock; so nothing here waits.

mod tail;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::conversation::{Marks, ResumePoint};
use protocol::ids::{ConnectionId, ConversationId, MessageId, SiteId, TenantId, VisitorId};
use protocol::message::{Author, EventKind, Seq, Visibility};
use protocol::time::UnixMillis;

use self::tail::Tail;
use crate::privacy::envelope::{Content, Envelope, Placed, Tag};
use crate::privacy::gate::{Below, Reader};

/// Messages that a room keeps in memory: a page, so that opening a conversation reads no disk.
pub const TAIL_MAX: usize = 50;

/// So many are kept while someone reads in the store what joins them.
const TAIL_HELD_MAX: usize = 4 * TAIL_MAX;

/// Places of a conversation that are given and would not outlive a crash, at most. So far back, and no
/// further, can a place have been lost or given again below something that is there: a client's last message
/// and a resend are judged by that. Less than [`TAIL_MAX`], so that memory nearly always reaches.
pub const UNDER_WAY_MAX: u64 = 32;

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
    /// Another node gave it its place: it may be acked once it is found in the store.
    KnownElsewhere {
        /// Its place.
        seq: Seq,
    },
    /// Its id came before with another content.
    Conflict,
    /// Memory does not reach back to what its author had seen: look in the store, and ask again.
    LookInStore(Looked),
    /// Too many places are under way: ask again when what was given up to `seq` lasts.
    Wait {
        /// The newest place given so far.
        seq: Seq,
    },
}

/// Where the store was searched for a message, in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// In the places above this one,
    pub after: Seq,
    /// up to this one; memory had the rest.
    pub through: Seq,
}

/// What a client gets that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// These follow what it has.
    After(Vec<Arc<Placed>>),
    /// What it has does not lead here: this is the newest page.
    Reset(Vec<Arc<Placed>>),
    /// Memory does not reach so far back: read the store and ask again.
    LookInStore {
        /// Places above this one, up to the client's last message, are needed one by one,
        after: Seq,
        /// and what the client may see above that message up to this place; memory has the rest.
        through: Seq,
    },
}

/// What the store has for a client that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// Everything up to the client's last message.
    pub before: Vec<Arc<Placed>>,
    /// What it may see of what follows,
    pub following: Vec<Arc<Placed>>,
    /// if that is all of it,
    pub whole: bool,
    /// up to this place.
    pub through: Seq,
}

/// What follows from hearing of a message that has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// It is the newest now. Where `after` is not right before it, something was missed.
    Newest {
        /// The newest place before it up to which nothing can be missing.
        after: Seq,
    },
    /// It was here already.
    Known,
    /// Its place is not above all others: another has it, or it comes late. The store knows.
    Behind,
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
    /// The numbering goes on above this place, whatever happens.
    lasting: Seq,
    /// Everything above this place is in `tail`.
    tail_after: Seq,
    tail: Tail,
    /// What memory does not reach.
    below: Below,
    /// The newest of what people said to everyone that memory would not reach.
    words: Option<Arc<Placed>>,
    /// Places given and not yet stored, in order.
    unstored: VecDeque<Seq>,
    /// Places in `tail` that other nodes gave and that are not known to be stored, in order.
    elsewhere: VecDeque<Seq>,
    /// Messages for which a place was asked for and not heard of yet.
    asked: usize,
    /// Those who read in the store what joins `tail`.
    holders: usize,
    /// The newest messages that could not be stored; a resend of one gets a new place.
    voids: VecDeque<MessageId>,
    marks: Vec<Marks>,
    marks_dirty: bool,
    retired: bool,
}

impl<O> Room<O> {
    /// A room with what the store has: the newest messages in order, what is below them and the newest words, and the
    /// marks.
    pub fn new(
        (tenant, site, conversation, visitor): (TenantId, SiteId, ConversationId, VisitorId),
        seq_last: Seq,
        tail: Vec<Arc<Placed>>,
        (below, words): (Below, Option<Arc<Placed>>),
        mut marks: Vec<Marks>,
    ) -> Self {
        // What someone saw and what was then lost is no sight of what comes in its place.
        for mark in &mut marks {
            mark.delivered = mark.delivered.min(seq_last);
            mark.seen = mark.seen.min(seq_last);
        }
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
            lasting: seq_last,
            tail_after,
            tail: tail.into(),
            below,
            words: words.filter(|words| words.seq() <= tail_after),
            unstored: VecDeque::new(),
            elsewhere: VecDeque::new(),
            asked: 0,
            holders: 0,
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

    /// Everything above this place is in memory.
    pub fn tail_after(&self) -> Seq {
        self.tail_after
    }

    /// How far each has come.
    pub fn marks(&self) -> &[Marks] {
        &self.marks
    }

    /// What is below what memory has.
    pub fn below(&self) -> Below {
        self.below
    }

    /// When somebody last said something, to everyone or to colleagues, or opened it again, as far as memory reaches, and in
    /// any case when something was said to everyone.
    pub fn last_heard(&self) -> Option<UnixMillis> {
        let heard = |placed: &&Arc<Placed>| match placed.envelope().content() {
            Content::Text(_) => true,
            Content::Event { event, .. } => *event == EventKind::Reopened,
        };
        let newest = self.tail.iter().rev().find(heard).or(self.words.as_ref());
        newest.map(|placed| placed.envelope().at())
    }

    /// What people said to everyone, the newest first, as far as memory reaches, and in any case the newest.
    pub fn words(&self) -> impl Iterator<Item = &Arc<Placed>> {
        self.tail.iter().rev().filter(|placed| placed.is_words()).chain(&self.words)
    }

    /// Says what is to become of an envelope; `looked` is where the store was searched for its id, in vain.
    pub fn accept(&self, envelope: &Envelope, looked: Option<Looked>) -> Accepted {
        // Not a debug_assert: a mix-up here would show one company's conversation to another.
        assert_eq!(envelope.tenant(), self.tenant, "message and room belong to one tenant");
        assert_eq!(envelope.conversation(), self.conversation, "message and room are one's");
        if let Some(known) = self.find(envelope.message()) {
            if !known.envelope().says_the_same(envelope) {
                return Accepted::Conflict;
            }
            if self.elsewhere.contains(&known.seq()) {
                return Accepted::KnownElsewhere { seq: known.seq() };
            }
            return Accepted::Known { seq: known.seq(), stored: self.is_stored(known.seq()) };
        }
        // What its author had seen may have been lost, and given again since: to this very message.
        let after = below(envelope.seen_seq());
        let searched = match looked {
            Some(looked) if looked.through >= self.tail_after => looked.after,
            Some(_) | None => self.tail_after,
        };
        if after < searched {
            return Accepted::LookInStore(Looked { after, through: self.tail_after });
        }
        if self.seq_last.0 - self.lasting.0 >= UNDER_WAY_MAX {
            return Accepted::Wait { seq: self.seq_last };
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
        self.tail.push(placed);
        self.shorten();
    }

    fn shorten(&mut self) {
        let most = if self.holders == 0 { TAIL_MAX } else { TAIL_HELD_MAX };
        while self.tail.len() > most && self.oldest_is_stored() {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(gone) = self.tail.pop_front() {
            self.tail_after = gone.seq();
            self.elsewhere.retain(|heard| *heard > gone.seq());
            let day = Some(gone.envelope().tag().ingest_day);
            self.below.for_agents = day;
            if gone.envelope().visibility() == Visibility::Everyone {
                self.below.for_visitors = day;
            }
            if gone.is_words() {
                self.words = Some(gone);
            }
        }
    }

    /// Lets go of the oldest messages that are dead: memory is a copy of them like any other.
    pub fn forget_dead(&mut self, dead: impl Fn(&Tag) -> bool) {
        while self.oldest_is_stored()
            && self.tail.front().is_some_and(|oldest| dead(oldest.envelope().tag()))
        {
            self.drop_oldest();
        }
        self.words.take_if(|words| dead(words.envelope().tag()));
    }

    /// Milliseconds from the visitor's first message to this one, if it is the first by which an agent
    /// answers. Not known once memory no longer reaches back to the beginning.
    pub fn first_answer_ms(&self, answer: &Envelope) -> Option<u64> {
        let by_agent = |envelope: &Envelope| {
            matches!(envelope.author(), Author::Agent(_))
                && envelope.visibility() == Visibility::Everyone
        };
        if !by_agent(answer) || self.tail_after > Seq(0) {
            return None;
        }
        let asked = self.tail.iter().find(|p| p.envelope().author() == Author::Visitor)?;
        let answered = self.tail.iter().any(|placed| by_agent(placed.envelope()));
        (!answered).then(|| answer.at().ms_since(asked.envelope().at()))
    }

    /// Someone reads in the store what joins the messages in memory: these stay meanwhile, or a busy room would never
    /// be joined.
    pub fn hold(&mut self) {
        self.holders += 1;
    }

    /// They have read it.
    pub fn let_go(&mut self) {
        self.holders = self.holders.saturating_sub(1);
        self.shorten();
    }

    /// A place is asked for outside of the room: it must not go before the answer.
    pub fn ask(&mut self) {
        self.asked += 1;
    }

    /// The answer came, whichever.
    pub fn answered(&mut self) {
        self.asked = self.asked.saturating_sub(1);
    }

    /// Takes a message whose place was given outside of the room. `own`: this node is to store it.
    /// A message that is known at another place moves.
    pub fn hear(&mut self, placed: &Arc<Placed>, own: bool) -> Hearing {
        let seq = placed.seq();
        let known = self.find(placed.envelope().message()).map(|known| known.seq());
        if known == Some(seq) || known.is_some_and(|at| !own && at > seq) {
            return Hearing::Known;
        }
        if seq <= self.seq_last {
            return Hearing::Behind;
        }
        let mut after = self.seq_last;
        if let Some(before) = known {
            // Whoever took its place from it was not heard of.
            self.displaced(before);
            after = after.min(Seq(before.0.saturating_sub(1)));
        }
        self.placed(Arc::clone(placed));
        if !own {
            self.unstored.retain(|unstored| *unstored != seq);
            self.elsewhere.push_back(seq);
        }
        Hearing::Newest { after }
    }

    /// Takes what the store has in the place of what was missed or guessed. Whether it is new here.
    pub fn mend(&mut self, stored: &Arc<Placed>) -> bool {
        let seq = stored.seq();
        if seq <= self.tail_after || self.unstored.contains(&seq) {
            return false;
        }
        if let Some(known) = self.find(stored.envelope().message()).map(|known| known.seq()) {
            if known == seq {
                self.elsewhere.retain(|heard| *heard != seq);
                return false;
            }
            self.displaced(known);
        }
        // The store has the last word on a place: who lost it is given another.
        self.displaced(seq);
        self.tail.insert(Arc::clone(stored));
        self.raise(seq);
        self.shorten();
        true
    }

    /// A place is no longer its message's, which is about to get another.
    pub fn displaced(&mut self, seq: Seq) {
        self.tail.remove(seq);
        self.unstored.retain(|unstored| *unstored != seq);
        self.elsewhere.retain(|heard| *heard != seq);
    }

    /// The store has places up to this one: none of them may be given any more.
    pub fn raise(&mut self, seq: Seq) {
        self.seq_last = self.seq_last.max(seq);
        self.lasts(seq);
    }

    /// A message is on disk.
    pub fn stored(&mut self, seq: Seq) {
        self.unstored.retain(|unstored| *unstored != seq);
        self.lasts(seq);
    }

    /// The store knows that the numbering has come so far.
    pub fn lasts(&mut self, seq: Seq) {
        self.lasting = self.lasting.max(seq.min(self.seq_last));
    }

    /// Where the numbering stands, if nothing is under way and the store does not know it: the newest
    /// messages could not be stored.
    pub fn unlasting(&self) -> Option<Seq> {
        (self.unstored.is_empty() && self.lasting < self.seq_last).then_some(self.seq_last)
    }

    /// A message could not be stored: its place is void while the room lives. Returns it, if members
    /// may have it on their screens.
    pub fn failed(&mut self, seq: Seq) -> Option<Arc<Placed>> {
        self.unstored.retain(|unstored| *unstored != seq);
        self.elsewhere.retain(|heard| *heard != seq);
        let void = self.tail.remove(seq)?;
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
        self.tail.find(message)
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

    /// What follows the client's last message; without one, the newest page. `older` is what the store has, as an
    /// earlier answer asked for it.
    ///
    /// That message has to be here as the client had it, its time included: a place that a crash took back
    /// may be given again, to the same message even, and then what is before it is another. And nothing may
    /// be missing from the places before it that were under way together with it: the client may still show
    /// what could not be stored there.
    pub fn resume(&self, point: Option<&ResumePoint>, older: Option<&Older>) -> Resumed {
        let Some(point) = point else { return Resumed::After(self.page()) };
        let Some(message) = point.message else {
            // Nothing to go on from: right for who has nothing, and for nobody else.
            let has_nothing = point.seq == Seq(0);
            return if has_nothing { Resumed::After } else { Resumed::Reset }(self.page());
        };
        if point.seq > self.seq_last || point.at.is_none() {
            return Resumed::Reset(self.page());
        }
        let after = below(point.seq);
        let older = older.filter(|_| after < self.tail_after);
        if after < self.tail_after {
            match older {
                Some(older) if older.through >= self.tail_after => {}
                // What was read must join what memory has: it may have moved on meanwhile.
                Some(_) | None => {
                    return Resumed::LookInStore { after, through: self.tail_after };
                }
            }
        }
        let read = |rows: fn(&Older) -> &[Arc<Placed>]| {
            let rows = older.map(rows).unwrap_or_default().iter();
            let rows = rows.filter(|placed| placed.seq() <= self.tail_after);
            rows.chain(self.tail.iter())
        };
        let mut expected = after.next();
        for placed in read(|older| &older.before).skip_while(|placed| placed.seq() <= after) {
            if placed.seq() != expected {
                break;
            }
            expected = expected.next();
            if placed.seq() == point.seq {
                let envelope = placed.envelope();
                let is_it = envelope.message() == message && Some(envelope.at()) == point.at;
                if is_it && older.is_none_or(|older| older.whole) {
                    let following = read(|older| &older.following);
                    let following = following.filter(|placed| placed.seq() > point.seq);
                    return Resumed::After(following.cloned().collect());
                }
                break;
            }
        }
        Resumed::Reset(self.page())
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

    /// Whether nobody is in it and nothing is under way: it may be dropped. A place that became void is
    /// remembered until the store knows that it was given.
    pub fn is_idle(&self) -> bool {
        let settled = self.unstored.is_empty() && self.lasting == self.seq_last;
        self.members.is_empty() && settled && self.asked == 0 && !self.marks_dirty
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

/// So far below a place, and no further, may something have been under way together with it.
fn below(seq: Seq) -> Seq {
    Seq(seq.0.saturating_sub(UNDER_WAY_MAX))
}

//! Which numbers were given, stored, lost: the primitives of the sequencer. A void is the tombstone
//! of a message that could not be stored: its number is not given again while the room lives. Not
//! here: giving a number (`bus`).

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::ids::{ConversationId, MessageId, TenantId};
use protocol::message::{Author, EventKind, Seq, Visibility};
use protocol::time::UnixMillis;

use super::{Arrival, Gap, Sequencer, TAIL_HELD_MAX, TAIL_MAX};
use crate::privacy::envelope::{Content, Envelope, Sequenced, Tag};
use crate::privacy::gate::Below;

impl Sequencer {
    /// The sequencer of a conversation of which the store has this: the newest messages in order,
    /// what is below them and the newest words.
    pub fn new(
        (tenant, conversation): (TenantId, ConversationId),
        seq_last: Seq,
        tail: Vec<Arc<Sequenced>>,
        (below, words): (Below, Option<Arc<Sequenced>>),
    ) -> Self {
        // A page that is not full reaches back to the beginning.
        let tail_after = match tail.first() {
            Some(first) if tail.len() >= TAIL_MAX => Seq(first.seq().0 - 1),
            _ => Seq(0),
        };
        Self {
            tenant,
            conversation,
            seq_last,
            lasting: seq_last,
            tail_after,
            tail: tail.into(),
            below,
            words: words.filter(|words| words.seq() <= tail_after),
            unstored: VecDeque::new(),
            awaited: 0,
            holders: 0,
            doubts: None,
        }
    }

    /// The Organization.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Which conversation it is.
    pub fn conversation(&self) -> ConversationId {
        self.conversation
    }

    /// The newest number given.
    pub fn seq_last(&self) -> Seq {
        self.seq_last
    }

    /// Everything above this number is in memory.
    pub fn tail_after(&self) -> Seq {
        self.tail_after
    }

    /// What is below what memory has.
    pub fn below(&self) -> Below {
        self.below
    }

    /// When somebody last said something, to everyone or to colleagues, or opened it again, as far
    /// as memory reaches, and in any case when something was said to everyone.
    pub fn last_heard(&self) -> Option<UnixMillis> {
        let heard = |sequenced: &&Arc<Sequenced>| match sequenced.envelope().content() {
            Content::Text(_) => true,
            Content::Event { event, .. } => *event == EventKind::Reopened,
        };
        let newest = self.tail.iter().rev().find(heard).or(self.words.as_ref());
        newest.map(|sequenced| sequenced.envelope().at())
    }

    /// What people said to everyone, the newest first, as far as memory reaches, and in any case
    /// the newest.
    pub fn words(&self) -> impl Iterator<Item = &Arc<Sequenced>> {
        self.tail.iter().rev().filter(|sequenced| sequenced.is_words()).chain(&self.words)
    }

    /// A message by its id, if memory has it.
    pub fn find(&self, message: MessageId) -> Option<&Arc<Sequenced>> {
        self.tail.find(message)
    }

    /// Takes a message that has its number.
    pub(super) fn append(&mut self, sequenced: Arc<Sequenced>) {
        assert_eq!(
            sequenced.envelope().tenant(),
            self.tenant,
            "message and room belong to one tenant"
        );
        assert!(sequenced.seq() > self.seq_last, "a number is given once");
        self.seq_last = sequenced.seq();
        self.unstored.push_back(sequenced.seq());
        self.tail.push(sequenced);
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
            self.resolve(|heard| heard <= gone.seq());
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

    fn oldest_is_stored(&self) -> bool {
        let in_doubt = self.in_doubt().next();
        self.tail.front().is_some_and(|oldest| {
            in_doubt.is_none_or(|doubt| doubt > oldest.seq()) && self.is_stored(oldest.seq())
        })
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

    /// Milliseconds from the visitor's first message to this one, if it is the first by which an
    /// agent answers. Not known once memory no longer reaches back to the beginning.
    pub(super) fn first_answer_ms(&self, answer: &Envelope) -> Option<u64> {
        let by_agent = |envelope: &Envelope| {
            matches!(envelope.author(), Author::Agent(_))
                && envelope.visibility() == Visibility::Everyone
        };
        if !by_agent(answer) || self.tail_after > Seq(0) {
            return None;
        }
        let asked = self.tail.iter().find(|p| p.envelope().author() == Author::Visitor)?;
        let answered = self.tail.iter().any(|sequenced| by_agent(sequenced.envelope()));
        (!answered).then(|| answer.at().ms_since(asked.envelope().at()))
    }

    /// Someone reads in the store what joins the messages in memory: these stay meanwhile, or a
    /// busy room would never be joined.
    pub fn hold(&mut self) {
        self.holders += 1;
    }

    /// They have read it.
    pub fn let_go(&mut self) {
        self.holders = self.holders.saturating_sub(1);
        self.shorten();
    }

    /// The bus is asked for a number: the room must not go before its answer.
    pub fn await_bus(&mut self) {
        self.awaited += 1;
    }

    /// Takes a message to which the bus gave its number. `own`: this node is to store it. A message
    /// that is known under another number moves, unless the store has it there.
    pub(super) fn hear(&mut self, sequenced: &Arc<Sequenced>, own: bool) -> Arrival {
        let seq = sequenced.seq();
        let known = self.find(sequenced.envelope().message()).map(|known| known.seq());
        let is_there = |at| at == seq || self.is_stored(at) && !self.is_in_doubt(at);
        if known.is_some_and(is_there) {
            return Arrival::Known;
        }
        if seq <= self.seq_last || known.is_some_and(|at| !own && at > seq) {
            return Arrival::Behind;
        }
        let mut after = self.seq_last;
        if let Some(before) = known {
            // Whoever took its number from it was not heard of.
            self.displace(before);
            after = after.min(Seq(before.0.saturating_sub(1)));
        }
        self.append(Arc::clone(sequenced));
        if !own {
            self.unstored.retain(|unstored| *unstored != seq);
            self.doubts.get_or_insert_default().elsewhere.push_back(seq);
        }
        // Of another node's message it is not known whether that one stores it.
        let until = if own { Seq(seq.0.saturating_sub(1)) } else { seq };
        let gap = (after < until).then_some(Gap { after, until: Some(until) });
        Arrival::Newest { gap }
    }

    /// Takes what the store has where something was missed or guessed. Whether it is to be shown:
    /// what memory let go of may never have been.
    pub(super) fn fill(&mut self, stored: &Arc<Sequenced>) -> bool {
        let seq = stored.seq();
        if self.unstored.contains(&seq) {
            return false;
        }
        if let Some(known) = self.find(stored.envelope().message()).map(|known| known.seq()) {
            if known == seq {
                self.resolve(|heard| heard == seq);
                self.lasts(seq);
                return false;
            }
            self.displace(known);
        }
        if seq <= self.tail_after {
            return true;
        }
        // The store has the last word on a number: who lost it is given another.
        self.displace(seq);
        self.tail.insert(Arc::clone(stored));
        self.raise(seq);
        self.shorten();
        true
    }

    /// A message of this node's own lost its number, if it still had it here.
    pub(super) fn withdraw(&mut self, sequenced: &Sequenced) {
        let has = |known: &Arc<Sequenced>| known.seq() == sequenced.seq();
        if self.find(sequenced.envelope().message()).is_some_and(has) {
            self.displace(sequenced.seq());
        }
    }

    /// A number is no longer its message's, which is about to get another.
    pub(super) fn displace(&mut self, seq: Seq) {
        self.tail.remove(seq);
        self.unstored.retain(|unstored| *unstored != seq);
        self.resolve(|heard| heard == seq);
    }

    /// The store has numbers up to this one: none of them may be given any more.
    pub(super) fn raise(&mut self, seq: Seq) {
        self.seq_last = self.seq_last.max(seq);
        self.lasts(seq);
    }

    /// A message is on disk. Whether it was waited for: not where its number was another's here by
    /// now.
    pub(super) fn stored(&mut self, seq: Seq) -> bool {
        let waited_for = self.unstored.len();
        self.unstored.retain(|unstored| *unstored != seq);
        self.lasts(seq);
        self.unstored.len() < waited_for
    }

    /// The store knows that the numbering has come so far.
    pub fn lasts(&mut self, seq: Seq) {
        self.lasting = self.lasting.max(seq.min(self.seq_last));
    }

    /// Where the numbering stands, if nothing is under way and the store does not know it: the
    /// newest messages could not be stored.
    pub fn unlasting(&self) -> Option<Seq> {
        (self.unstored.is_empty() && self.lasting < self.seq_last).then_some(self.seq_last)
    }

    /// A message could not be stored: its number is void while the room lives. Returns it, if it
    /// has that number here; it may be another's by now.
    pub(super) fn fail(&mut self, seq: Seq, message: MessageId) -> Option<Arc<Sequenced>> {
        if self.find(message).map(|known| known.seq()) != Some(seq) {
            return None;
        }
        self.unstored.retain(|unstored| *unstored != seq);
        self.resolve(|heard| heard == seq);
        let void = self.tail.remove(seq)?;
        let voids = &mut self.doubts.get_or_insert_default().voids;
        if voids.len() == TAIL_MAX {
            voids.pop_front();
        }
        voids.push_back(void.envelope().message());
        Some(void)
    }

    /// Whether the message with this number is on disk for good.
    pub(super) fn is_settled(&self, seq: Seq, message: MessageId) -> bool {
        match self.find(message) {
            Some(sequenced) => sequenced.seq() == seq && self.is_stored(seq),
            None => self.doubts.as_ref().is_none_or(|doubts| !doubts.voids.contains(&message)),
        }
    }

    /// Numbers of other nodes that are not known to be stored, in order.
    pub(super) fn in_doubt(&self) -> impl Iterator<Item = Seq> {
        self.doubts.iter().flat_map(|doubts| &doubts.elsewhere).copied()
    }

    pub(super) fn is_in_doubt(&self, seq: Seq) -> bool {
        self.in_doubt().any(|heard| heard == seq)
    }

    /// It is known what became of these.
    fn resolve(&mut self, of: impl Fn(Seq) -> bool) {
        if let Some(doubts) = &mut self.doubts {
            doubts.elsewhere.retain(|heard| !of(*heard));
        }
    }

    fn is_stored(&self, seq: Seq) -> bool {
        !self.unstored.contains(&seq)
    }

    /// Whether nothing is under way: it may be dropped. A number that became void is remembered
    /// until the store knows that it was given.
    pub fn is_idle(&self) -> bool {
        self.unstored.is_empty() && self.lasting == self.seq_last && self.awaited == 0
    }
}

//! One conversation's sequence numbers on this node: a message from "said" to "settled".
//!
//! Lives here: which sequence number a message gets, whether it is a duplicate (the idempotency of
//! messages), which messages are not stored yet, which became void, what other nodes sequenced, and
//! what is missing. A state machine without I/O (sans-IO): what happened is an [`Input`], what is
//! to be done is a [`Command`], time and ids are arguments. Not here: giving the number (`bus`),
//! who hears a message (`room`), carrying commands out (`hub`), storage (`store`), rules about data
//! (`privacy`). `hub` and the simulation in tests/sim run this very code.
//!
//! The way of a message on one node: [`Input::Submitted`], [`Command::Sequence`],
//! [`Input::Sequenced`], [`Command::Publish`], [`Input::Stored`], [`Command::Ack`]. Everything else
//! is what may come between: it came before, memory does not reach back far enough, too much is
//! under way, the disk fails, or another node was faster.

mod hearing;
mod lane;
mod numbers;
mod resume;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::ids::{ConversationId, MessageId, TenantId};
use protocol::message::Seq;
use protocol::time::{Day, UnixMillis};

pub use self::hearing::{Hearing, Key, LOOKED_FOR, Missed, OwnNotice, STORED_LATE};
pub use self::lane::{Ended, Joined, Lanes, Outcome, Settled};
pub use self::resume::{Older, Resumed};
use self::tail::Tail;
use crate::privacy::envelope::{Envelope, Sequenced, Unsequenced};
use crate::privacy::gate::Below;

/// Messages that a room keeps in memory: a page, so that opening a conversation reads no disk.
pub const TAIL_MAX: usize = 50;

/// So many are kept while someone reads in the store what joins them.
const TAIL_HELD_MAX: usize = 4 * TAIL_MAX;

/// Sequence numbers of a conversation that are given and would not outlive a crash, at most. So far
/// back, and no further, can a number have been lost or given again below something that is there:
/// a client's last message and a resend are judged by that. Less than [`TAIL_MAX`], so that memory
/// nearly always reaches.
pub const UNDER_WAY_MAX: u64 = 32;

/// How often one message asks for a sequence number before its author is told to try again.
pub const ATTEMPTS_MAX: u8 = 8;

/// A message on its way to its sequence number. Commands hand it out and inputs bring it back, so
/// that what has been settled cannot be settled again.
#[derive(Debug, Clone)]
pub struct Submission {
    unsequenced: Unsequenced,
    allowed: bool,
    attempts: u8,
    search: Search,
}

/// What the store was asked about a message. Another question replaces the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    None,
    /// Whether it came before, in the part that memory does not reach.
    Before(Lookup),
    /// It did not.
    InVain(Lookup),
    /// Whether another node stored what it sequenced under this number.
    Elsewhere(Seq, Lookup),
    /// It did not: the message is this node's now.
    Lost(Seq, Lookup),
}

impl Submission {
    /// A message that was just said. `allowed`: something new may be said; what was said before is
    /// acked in any case.
    pub fn new(envelope: Envelope, allowed: bool) -> Self {
        let unsequenced = Unsequenced::new(envelope);
        Self { unsequenced, allowed, attempts: 0, search: Search::None }
    }

    /// What was said.
    pub fn envelope(&self) -> &Envelope {
        self.unsequenced.envelope()
    }
}

/// Where the store is searched for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lookup {
    /// In the numbers above this one,
    after: Seq,
    /// up to this one; memory had the rest.
    through: Seq,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Somebody said something, or it is tried once more.
    Submitted(Submission),
    /// This node gave it the number: nobody else gives any in this conversation.
    Sequenced(Submission, Seq),
    /// The bus gave it the number that it has here, and told every node so.
    Told(Submission, Arc<Sequenced>),
    /// The bus gave it no number.
    BusAway(Submission),
    /// The store was read for [`Command::ReadStore`].
    Found(Submission, Option<Arc<Sequenced>>),
    /// The store knows that numbers up to this one were given: the answer to
    /// [`Command::WriteFloor`].
    Floored(Submission, Seq),
    /// A message of this node is on disk.
    Stored(Arc<Sequenced>),
    /// It is, but as another node wrote it: the second one is what the store has.
    StoredBefore(Arc<Sequenced>, Arc<Sequenced>),
    /// It could not be stored.
    Failed(Arc<Sequenced>),
    /// Another message was stored under its number; the store's newest one.
    NumberTaken(Arc<Sequenced>, Seq),
    /// What was written before [`Command::Confirm`] is on disk, or failed.
    Confirmed(Acked, MessageId, Result<(), ()>),
    /// Another node sequenced this.
    SequencedElsewhere(Arc<Sequenced>),
    /// Another node could not store what it had sequenced.
    VoidedElsewhere(Seq, MessageId),
    /// The store has had a message under this number since a moment that nobody expected.
    HeardStored(Seq),
    /// The store has this where something was missed, or is in doubt.
    Read(Arc<Sequenced>),
    /// The store knows that numbers up to this one were given.
    Given(Seq),
    /// What the store has there was read, after it was waited for: what is still in doubt is not
    /// there. Until nothing follows from it.
    Unfound(Gap),
}

impl Input {
    /// The message that is on its way, if it is about one.
    pub fn into_submission(self) -> Option<Submission> {
        match self {
            Self::Submitted(submission)
            | Self::Sequenced(submission, _)
            | Self::Told(submission, _)
            | Self::BusAway(submission)
            | Self::Found(submission, _)
            | Self::Floored(submission, _) => Some(submission),
            Self::Stored(_)
            | Self::StoredBefore(..)
            | Self::Failed(_)
            | Self::NumberTaken(..)
            | Self::Confirmed(..)
            | Self::SequencedElsewhere(_)
            | Self::VoidedElsewhere(..)
            | Self::HeardStored(_)
            | Self::Read(_)
            | Self::Given(_)
            | Self::Unfound(_) => None,
        }
    }
}

/// What is to be done. A command that is not carried out leaves everything as it was.
#[derive(Debug)]
pub enum Command {
    /// Give it the next number above `floor`: at once where this node gives them all
    /// ([`Input::Sequenced`]), else by the bus ([`Input::Told`], [`Input::BusAway`]), for which the
    /// room is kept by [`Sequencer::await_bus`].
    Sequence { submission: Submission, floor: Seq },
    /// It has its number: append it for everyone who hears it, before anything else of this
    /// conversation, and write it.
    Publish {
        sequenced: Arc<Sequenced>,
        /// Milliseconds from the visitor's first message, where it is the first by which an agent
        /// answers.
        first_answer_ms: Option<u64>,
        gap: Option<Gap>,
    },
    /// It is written by another node: append it for everyone who hears it. `gap`: what is to be
    /// read of the store, itself where it is not known to be there.
    Show { sequenced: Arc<Sequenced>, gap: Option<Gap> },
    /// Look for the message above `after`, and bring the answer by [`Input::Found`]. `patiently`:
    /// another node's write may be on its way. Memory keeps what it has until then by
    /// [`Sequencer::hold`].
    ReadStore { submission: Submission, after: Seq, patiently: bool },
    /// Too much is under way: tell the store that numbers up to `seq` were given, and wait for it
    /// ([`Input::Floored`]).
    WriteFloor { submission: Submission, seq: Seq },
    /// It came before: once all that was queued before now is written, bring [`Input::Confirmed`].
    Confirm(Acked, MessageId),
    /// It is on disk: tell its author.
    Ack(Acked),
    /// It is on disk, and not as it is shown here: append what the store has, and tell its author.
    Settle { acked: Acked, sequenced: Arc<Sequenced>, gap: Option<Gap> },
    /// Tell its author why not.
    Refuse(Refusal),
    /// Take it off the screens. `announce`: tell the other nodes.
    Void { sequenced: Arc<Sequenced>, announce: bool },
    /// Its number is another's: it needs a new one, and what lies in the gap is to be read.
    Renumber { sequenced: Arc<Sequenced>, gap: Gap },
    /// What lies in the gap is to be read from the store.
    Fill(Gap),
    /// Nothing.
    Nothing,
}

/// A message that is on disk, as its author is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    /// Its sequence number.
    pub seq: Seq,
    /// When the server accepted it.
    pub at: UnixMillis,
    /// The first day (UTC) on which it can no longer be read, by the timeline known when it came;
    /// none: it does not expire.
    pub expires: Option<Day>,
}

impl Acked {
    /// What is said of this one.
    pub fn of(seq: Seq, envelope: &Envelope) -> Self {
        Self { seq, at: envelope.at(), expires: envelope.tag().expires }
    }
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its id came before with another content.
    Conflict,
    /// It is new, and nothing new may be said.
    NotAllowed,
    /// It asked [`ATTEMPTS_MAX`] times, and every time something else was faster.
    Outrun,
    /// The bus between the nodes gives no number now.
    BusAway,
    /// Other nodes' messages were stored under all the numbers that it got.
    Overtaken,
    /// More of this conversation waits for numbers than is taken.
    LaneFull,
    /// An earlier message of this connection was refused for a while, and has to come again first.
    Owes,
    /// What it would be confirmed with could not be stored.
    Unstored,
    /// The server failed on the way.
    Abandoned,
}

impl Refusal {
    /// Whether the same message may be taken a little later.
    pub fn retryable(self) -> bool {
        !matches!(self, Self::Conflict | Self::NotAllowed)
    }
}

/// Sequence numbers whose messages are not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Nothing is missing up to this one.
    pub after: Seq,
    /// The newest one that is missing, where that is known.
    pub until: Option<Seq>,
}

impl Gap {
    /// One number.
    pub fn of(seq: Seq) -> Self {
        Self { after: Seq(seq.0.saturating_sub(1)), until: Some(seq) }
    }

    /// Whether this number lies in it.
    fn has(self, seq: Seq) -> bool {
        seq > self.after && self.until.is_none_or(|until| seq <= until)
    }
}

/// The sequencer of one conversation, with the newest messages. Changed under its room's lock
/// alone.
#[derive(Debug)]
pub struct Sequencer {
    tenant: TenantId,
    conversation: ConversationId,
    /// The newest number given; 0 before the first.
    seq_last: Seq,
    /// The numbering goes on above this one, whatever happens.
    lasting: Seq,
    /// Everything above this one is in `tail`.
    tail_after: Seq,
    tail: Tail,
    /// What memory does not reach.
    below: Below,
    /// The newest of what people said to everyone that memory would not reach.
    words: Option<Arc<Sequenced>>,
    /// Numbers given and not yet stored, in order.
    unstored: VecDeque<Seq>,
    /// Messages for which the bus was asked for a number and did not answer yet.
    awaited: usize,
    /// Those who read in the store what joins `tail`.
    holders: usize,
    /// Nothing, in most rooms.
    doubts: Option<Box<Doubts>>,
}

/// What is in doubt, and what became void: apart, for ten thousand rooms have none of it.
#[derive(Debug, Default)]
struct Doubts {
    /// Numbers in `tail` that other nodes gave and that are not known to be stored, in order: in
    /// doubt until the store was read. What is in `tail` and neither here nor in `unstored` is
    /// stored for good.
    elsewhere: VecDeque<Seq>,
    /// The newest messages that could not be stored; a resend of one gets a new number.
    voids: VecDeque<MessageId>,
}

impl Sequencer {
    /// What follows from what happened.
    #[inline(always)]
    pub fn handle(&mut self, input: Input) -> Command {
        match input {
            Input::Submitted(submission) => self.submit(submission),
            Input::Sequenced(submission, seq) => {
                let first_answer_ms = self.first_answer_ms(submission.envelope());
                let sequenced = submission.unsequenced.sequence(seq);
                self.append(Arc::clone(&sequenced));
                Command::Publish { sequenced, first_answer_ms, gap: None }
            }
            Input::Told(submission, sequenced) => self.told(submission, sequenced),
            Input::BusAway(_) => {
                self.awaited = self.awaited.saturating_sub(1);
                Command::Refuse(Refusal::BusAway)
            }
            Input::Found(submission, stored) => self.found(submission, stored),
            Input::Floored(submission, seq) => {
                self.lasts(seq);
                self.submit(submission)
            }
            Input::Stored(sequenced) => {
                let acked = Acked::of(sequenced.seq(), sequenced.envelope());
                if self.stored(sequenced.seq()) {
                    return Command::Ack(acked);
                }
                self.settle(acked, sequenced)
            }
            Input::StoredBefore(sequenced, stored) => {
                self.withdraw(&sequenced);
                self.settle(Acked::of(stored.seq(), stored.envelope()), stored)
            }
            Input::Failed(sequenced) => {
                self.fail(sequenced.seq(), sequenced.envelope().message());
                Command::Void { sequenced, announce: true }
            }
            Input::NumberTaken(sequenced, seq_last) => self.number_taken(sequenced, seq_last),
            Input::Confirmed(acked, message, written) => {
                let held = written.is_ok() && self.is_settled(acked.seq, message);
                if held { Command::Ack(acked) } else { Command::Refuse(Refusal::Unstored) }
            }
            Input::SequencedElsewhere(sequenced) => self.sequenced_elsewhere(sequenced),
            Input::VoidedElsewhere(seq, message) => self.take_off(seq, message),
            Input::HeardStored(seq) => Command::Fill(Gap::of(seq)),
            Input::Read(sequenced) => {
                if self.fill(&sequenced) {
                    Command::Show { sequenced, gap: None }
                } else {
                    Command::Nothing
                }
            }
            Input::Given(seq) => {
                self.raise(seq);
                Command::Nothing
            }
            Input::Unfound(gap) => {
                let doubt = self.in_doubt().find(|seq| gap.has(*seq));
                let doubt = doubt.and_then(|seq| self.tail.at(seq));
                let doubt =
                    doubt.map(|sequenced| (sequenced.seq(), sequenced.envelope().message()));
                doubt.map_or(Command::Nothing, |(seq, message)| self.take_off(seq, message))
            }
        }
    }

    /// One attempt: what is known of it decides.
    #[inline]
    fn submit(&mut self, mut submission: Submission) -> Command {
        if submission.attempts == ATTEMPTS_MAX {
            return Command::Refuse(Refusal::Outrun);
        }
        submission.attempts += 1;
        let envelope = submission.envelope();
        // Not a debug_assert: a mix-up here would show one company's conversation to another.
        assert_eq!(envelope.tenant(), self.tenant, "message and room belong to one tenant");
        assert_eq!(envelope.conversation(), self.conversation, "message and room are one's");
        if let Some(known) = self.find(envelope.message()) {
            let (seq, known) = (known.seq(), known.envelope());
            if !known.says_the_same(envelope) {
                return Command::Refuse(Refusal::Conflict);
            }
            if !self.is_in_doubt(seq) {
                return Command::Confirm(Acked::of(seq, known), envelope.message());
            }
            if !matches!(submission.search, Search::Lost(lost, _) if lost == seq) {
                let after = resume::below(envelope.seen_seq()).min(resume::before(seq));
                let lookup = Lookup { after, through: self.tail_after };
                submission.search = Search::Elsewhere(seq, lookup);
                return Command::ReadStore { submission, after, patiently: true };
            }
        }
        // What its author had seen may have been lost, and given again since: to this very message.
        let after = resume::below(envelope.seen_seq());
        let searched = match submission.search {
            Search::InVain(lookup) | Search::Lost(_, lookup)
                if lookup.through >= self.tail_after =>
            {
                lookup.after
            }
            Search::InVain(_)
            | Search::Lost(..)
            | Search::None
            | Search::Before(_)
            | Search::Elsewhere(..) => self.tail_after,
        };
        if after < searched {
            submission.search = Search::Before(Lookup { after, through: self.tail_after });
            return Command::ReadStore { submission, after, patiently: false };
        }
        if !submission.allowed {
            return Command::Refuse(Refusal::NotAllowed);
        }
        if self.seq_last.0 - self.lasting.0 >= UNDER_WAY_MAX {
            return Command::WriteFloor { submission, seq: self.seq_last };
        }
        Command::Sequence { submission, floor: self.seq_last }
    }

    fn told(&mut self, submission: Submission, sequenced: Arc<Sequenced>) -> Command {
        self.awaited = self.awaited.saturating_sub(1);
        let first_answer_ms = self.first_answer_ms(sequenced.envelope());
        match self.hear(&sequenced, true) {
            Arrival::Newest { gap } => Command::Publish { sequenced, first_answer_ms, gap },
            // Its number is another's by now.
            Arrival::Known | Arrival::Behind => {
                let again = self.submit(submission);
                // The bus is asked at once, and the room is not to go before it answers.
                if matches!(again, Command::Sequence { .. }) {
                    self.await_bus();
                }
                again
            }
        }
    }

    fn found(&mut self, mut submission: Submission, stored: Option<Arc<Sequenced>>) -> Command {
        if let Some(stored) = stored {
            if !stored.envelope().says_the_same(submission.envelope()) {
                return Command::Refuse(Refusal::Conflict);
            }
            let acked = Acked::of(stored.seq(), stored.envelope());
            let is_of_old =
                stored.seq() <= self.tail_after && self.find(stored.envelope().message()).is_none();
            return if is_of_old { Command::Ack(acked) } else { self.settle(acked, stored) };
        }
        match submission.search {
            Search::Before(lookup) => submission.search = Search::InVain(lookup),
            // It stays on the screens until it has another number.
            Search::Elsewhere(seq, lookup) => submission.search = Search::Lost(seq, lookup),
            Search::InVain(_) | Search::Lost(..) | Search::None => {}
        }
        self.submit(submission)
    }

    /// The store has a message, and it may be that memory has it otherwise.
    fn settle(&mut self, acked: Acked, stored: Arc<Sequenced>) -> Command {
        let (after, until) = (self.seq_last, resume::before(stored.seq()));
        let gap = (after < until).then_some(Gap { after, until: Some(until) });
        if self.fill(&stored) {
            Command::Settle { acked, sequenced: stored, gap }
        } else {
            Command::Ack(acked)
        }
    }

    /// What is in doubt is not stored. What is known to be stored stays, whatever another node
    /// says: it is one that got the same number for the same message.
    fn take_off(&mut self, seq: Seq, message: MessageId) -> Command {
        if !self.is_in_doubt(seq) {
            return Command::Nothing;
        }
        match self.fail(seq, message) {
            Some(sequenced) => Command::Void { sequenced, announce: false },
            None => Command::Nothing,
        }
    }

    fn number_taken(&mut self, sequenced: Arc<Sequenced>, seq_last: Seq) -> Command {
        self.withdraw(&sequenced);
        self.raise(seq_last);
        let gap = Gap { after: resume::before(sequenced.seq()), until: Some(seq_last) };
        Command::Renumber { sequenced, gap }
    }

    fn sequenced_elsewhere(&mut self, sequenced: Arc<Sequenced>) -> Command {
        match self.hear(&sequenced, false) {
            Arrival::Newest { gap } => Command::Show { sequenced, gap },
            Arrival::Known => Command::Nothing,
            Arrival::Behind => Command::Fill(Gap::of(sequenced.seq())),
        }
    }
}

/// What follows from hearing of a message that has its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    /// It is the newest now; what was missed before it.
    Newest { gap: Option<Gap> },
    /// It was here already, or the store has it under another number for good.
    Known,
    /// Its number is not above all others: another has it, or it comes late. The store knows.
    Behind,
}

//! Sequence numbers that take a round trip: the messages of a conversation get theirs one after the
//! other.
//!
//! Lives here: their order, who is answered for one that was sent more than once, and what is
//! refused with one that got no number. Nobody's connection stands still while the bus takes its
//! time, every wait ends with an answer, and nobody's later words come before their earlier ones:
//! what stands behind a message of the same author that was refused for a while is refused with it,
//! and so is what comes on that connection afterwards, until that message comes again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::ids::{ConnectionId, ConversationId, MessageId};
use protocol::message::Author;

use super::{ATTEMPTS_MAX, Acked, Refusal, Submission};
use crate::privacy::envelope::{Envelope, Sequenced};

/// Messages of one conversation that wait for their numbers.
const WAITING_MAX: usize = 256;

/// So long a connection's later messages are refused for the sake of one that has to come again;
/// then its author has given it up.
const OWED_MAX: Duration = Duration::from_secs(10);

/// What waits for its number, by conversation. `M`: what the caller keeps with each message, `S`:
/// with each of its senders.
#[derive(Debug)]
pub struct Lanes<M, S> {
    /// The first of each is being sequenced and stored.
    waiting: HashMap<ConversationId, VecDeque<Waiting<M, S>>>,
    /// What each connection must send again before anything new.
    owed: HashMap<ConversationId, Vec<Owed>>,
}

#[derive(Debug)]
struct Owed {
    from: ConnectionId,
    message: MessageId,
    /// The first that was refused because of it: comes the message by another connection, this one
    /// is owed.
    behind: Option<MessageId>,
    since: Instant,
}

impl Owed {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) > OWED_MAX
    }

    /// The message is there. Whether another is owed in its place.
    fn go_on(&mut self) -> bool {
        let next = self.behind.take();
        self.message = next.unwrap_or(self.message);
        next.is_some()
    }
}

#[derive(Debug)]
struct Waiting<M, S> {
    submission: Submission,
    kept: M,
    /// Numbers that it got and lost.
    renumbered: u8,
    /// Where it was shown last.
    shown: Option<Arc<Sequenced>>,
    /// Everyone who sent it and is to hear of its end, with the connection on which they sent it.
    senders: Vec<(Option<ConnectionId>, S)>,
}

impl<M, S> Waiting<M, S> {
    fn envelope(&self) -> &Envelope {
        self.submission.envelope()
    }

    /// Whether it is refused with one of this author's. The system's have nobody who would send
    /// them again.
    fn goes_with(&self, author: Author) -> bool {
        author != Author::System && self.envelope().author() == author
    }
}

/// Where a message stands that joined its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// It is the first: the caller begins to run the lane, by [`Lanes::first`] and
    /// [`Lanes::settle`].
    First,
    /// It waits, or is answered with one that waits.
    Waits,
}

/// How one attempt at the first of a lane ended.
#[derive(Debug, Clone)]
pub enum Outcome<R> {
    /// It is on disk.
    Acked(Acked),
    /// Another message was stored under the number that it had.
    Renumber(Arc<Sequenced>),
    /// Not taken; `retryable`: the same message may be taken a little later.
    Refused { refusal: R, retryable: bool },
}

/// What follows for a lane.
#[derive(Debug)]
pub enum Settled<S, R> {
    /// Its first tries once more.
    Again,
    /// Its first is done, and what is refused with it.
    Done {
        /// Who is told, in the order of what they said.
        senders: Vec<S>,
        /// What they are told.
        end: Result<Acked, Ended<R>>,
        /// What is still on screens, and is to be taken off.
        void: Option<Arc<Sequenced>>,
    },
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended<R> {
    /// As the attempt said.
    Refused(R),
    /// All its numbers became another's.
    Overtaken,
}

impl<M, S> Default for Lanes<M, S> {
    fn default() -> Self {
        Self { waiting: HashMap::new(), owed: HashMap::new() }
    }
}

impl<M: Clone, S> Lanes<M, S> {
    /// A message joins the lane of its conversation. Where the same message waits already, its
    /// sender is answered with that one, unless it `stands_alone`: then it is looked at in its own
    /// turn, when the first is known.
    ///
    /// # Errors
    /// If it says something else than the one that waits, the lane is full, or an earlier one has
    /// to come first.
    pub fn join(
        &mut self,
        submission: Submission,
        kept: M,
        (from, sender): (Option<ConnectionId>, S),
        stands_alone: bool,
        now: Instant,
    ) -> Result<Joined, Refusal> {
        let conversation = submission.envelope().conversation();
        let mut lane = self.waiting.get_mut(&conversation);
        let message = submission.envelope().message();
        let same = |waiting: &&mut Waiting<M, S>| waiting.envelope().message() == message;
        if let Some(first) = lane.iter_mut().flat_map(|lane| lane.iter_mut()).find(same) {
            if !first.envelope().says_the_same(submission.envelope()) {
                return Err(Refusal::Conflict);
            }
            if !stands_alone {
                first.senders.push((from, sender));
                return Ok(Joined::Waits);
            }
        }
        let full = lane.is_some_and(|lane| lane.len() >= WAITING_MAX);
        if self.owes(submission.envelope(), from, now) {
            if let Some(from) = from {
                self.owe(from, conversation, message, now);
            }
            return Err(Refusal::Owes);
        }
        if full {
            if let Some(from) = from {
                self.owe(from, conversation, message, now);
            }
            return Err(Refusal::LaneFull);
        }
        let fresh = !self.waiting.contains_key(&conversation);
        let senders = vec![(from, sender)];
        let waiting = Waiting { submission, kept, renumbered: 0, shown: None, senders };
        self.waiting.entry(conversation).or_default().push_back(waiting);
        Ok(if fresh { Joined::First } else { Joined::Waits })
    }

    /// The next attempt of a lane. It stays in the lane meanwhile, so that others can join it.
    /// `None`: nothing waits, and whoever joins next is the first.
    pub fn first(&mut self, conversation: ConversationId) -> Option<(Submission, M)> {
        let first = self.waiting.get(&conversation).and_then(VecDeque::front);
        let first = first.map(|first| (first.submission.clone(), first.kept.clone()));
        if first.is_none() {
            self.waiting.remove(&conversation);
        }
        first
    }

    /// An attempt ended.
    pub fn settle<R>(
        &mut self,
        conversation: ConversationId,
        outcome: Outcome<R>,
        now: Instant,
    ) -> Settled<S, R> {
        let first = self.waiting.get_mut(&conversation).and_then(VecDeque::front_mut);
        let mut shown = first.as_ref().and_then(|first| first.shown.clone());
        let (end, retryable) = match outcome {
            Outcome::Acked(acked) => {
                shown = None;
                (Ok(acked), false)
            }
            Outcome::Refused { refusal, retryable } => (Err(Ended::Refused(refusal)), retryable),
            Outcome::Renumber(sequenced) => {
                if let Some(first) = first
                    && first.renumbered + 1 < ATTEMPTS_MAX
                {
                    first.renumbered += 1;
                    first.shown = Some(sequenced);
                    return Settled::Again;
                }
                shown = Some(sequenced);
                (Err(Ended::Overtaken), true)
            }
        };
        let done = self.leave(conversation, end.is_err().then_some(retryable), now);
        let senders =
            done.into_iter().flat_map(|waiting| waiting.senders).map(|(_, sender)| sender);
        Settled::Done { senders: senders.collect(), end, void: shown }
    }

    /// The first of a lane is done; refused with a refusal that is worth another try, so is what
    /// its author said after it. Those whose end that is, in their order.
    fn leave(
        &mut self,
        conversation: ConversationId,
        refused: Option<bool>,
        now: Instant,
    ) -> Vec<Waiting<M, S>> {
        let Some(lane) = self.waiting.get_mut(&conversation) else { return Vec::new() };
        let Some(first) = lane.pop_front() else { return Vec::new() };
        let Some(retryable) = refused else {
            // Whoever sent it, on whichever connection: it is there.
            let message = first.envelope().message();
            if let Some(all) = self.owed.get_mut(&conversation) {
                all.retain_mut(|owed| owed.message != message || owed.go_on());
            }
            return vec![first];
        };
        let author = first.envelope().author();
        let mut all = vec![first];
        if retryable {
            let (with_it, others) = std::mem::take(lane)
                .into_iter()
                .partition::<Vec<_>, _>(|waiting| waiting.goes_with(author));
            *lane = others.into();
            all.extend(with_it);
            for waiting in &all {
                let message = waiting.envelope().message();
                for from in waiting.senders.iter().filter_map(|(from, _)| *from) {
                    self.owe(from, conversation, message, now);
                }
            }
        }
        all
    }

    /// The lane is run no more: everyone who waits in it.
    pub fn abandon(&mut self, conversation: ConversationId) -> Vec<S> {
        let left = self.waiting.remove(&conversation).into_iter().flatten();
        left.flat_map(|waiting| waiting.senders).map(|(_, sender)| sender).collect()
    }

    /// Forgets what was never sent again.
    pub fn forget_owed(&mut self, now: Instant) {
        self.owed.retain(|_, all| {
            all.retain(|owed| !owed.is_over(now));
            !all.is_empty()
        });
    }

    /// Whether a message has to wait until another came again.
    fn owes(&mut self, said: &Envelope, from: Option<ConnectionId>, now: Instant) -> bool {
        let (conversation, message) = (said.conversation(), said.message());
        let (Some(from), Some(all)) = (from, self.owed.get_mut(&conversation)) else {
            return false;
        };
        all.retain(|owed| !owed.is_over(now) && (owed.from != from || owed.message != message));
        let owes = all.iter().any(|owed| owed.from == from);
        if all.is_empty() {
            self.owed.remove(&conversation);
        }
        owes
    }

    fn owe(
        &mut self,
        from: ConnectionId,
        conversation: ConversationId,
        message: MessageId,
        since: Instant,
    ) {
        let all = self.owed.entry(conversation).or_default();
        match all.iter_mut().find(|owed| owed.from == from) {
            Some(owed) if owed.message == message => {}
            Some(owed) => owed.behind = owed.behind.or(Some(message)),
            None => all.push(Owed { from, message, behind: None, since }),
        }
    }
}

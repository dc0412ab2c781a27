//! What one node asked of the bus and heard from it, over all its conversations.
//!
//! Lives here: which message waits for its number, what may still be heard of one whose question
//! failed, and what is to be looked for in the store. Not here: the connection to the bus (`bus`),
//! waiting (`hub`).
//!
//! The store decides what was said: whatever was missed, and whatever another node gave a number
//! to, is looked for there until it was found or for [`LOOKED_FOR`]; then it is void. Whoever
//! stores a message later than [`STORED_LATE`] after its number was asked for, or finds it stored
//! under another number, tells so once more: what was looked for in vain is looked for again. So
//! nothing hangs on how long a write takes.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use protocol::ids::{ConversationId, MessageId, TenantId};
use protocol::message::Seq;

use super::Gap;
use crate::privacy::envelope::Sequenced;
use crate::recent::Recent;

/// A number that was given and is not heard of for so long was lost on the way: the message is
/// published without it.
const HEAR_MAX: Duration = Duration::from_secs(1);

/// Half of the messages whose number was not heard of in time, and may be all the same.
const LATE_MAX: usize = 2_048;

/// So long the store is looked into for what another node is to store.
pub const LOOKED_FOR: Duration = Duration::from_secs(2);

/// What is stored later than this after its number was asked for is told once more. Shorter than
/// [`LOOKED_FOR`]: nobody stops to look before.
pub const STORED_LATE: Duration = Duration::from_secs(1);

/// Between the first two looks; each of the following waits as long as all before it.
pub(super) const LOOKS_EVERY: Duration = Duration::from_millis(200);

/// A message of a conversation.
pub type Key = (ConversationId, MessageId);

/// `P`: what waits for a number.
#[derive(Debug)]
pub struct Hearing<P> {
    asked: HashMap<Key, P>,
    /// Of these a number may be heard that is not the one at hand.
    late: Recent<Key, ()>,
    /// What was not looked for yet, in one look for each conversation.
    missed: BTreeMap<ConversationId, Missed>,
    /// What was not there at the last look.
    again: Vec<Missed>,
    /// The last number of this node's own was given and not heard of.
    deaf: bool,
}

/// Numbers of a conversation of which this node does not know what the store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The Organization.
    pub tenant: TenantId,
    /// The conversation.
    pub conversation: ConversationId,
    /// Which of them.
    pub gap: Gap,
    since: Instant,
    due: Instant,
}

/// What the bus told of a message of this node's own.
#[derive(Debug, PartialEq, Eq)]
pub enum OwnNotice<P> {
    /// It waits for this number.
    Awaited(P),
    /// This may be the number of an earlier question: the one at hand has another, and the others
    /// move it there.
    Stale,
    /// Nothing waits for it. Where the message is not here either, its author was told that it got
    /// no number, and the other nodes show it: it is void.
    Unawaited,
}

impl Missed {
    /// When it was missed.
    pub fn since(&self) -> Instant {
        self.since
    }
}

impl<P> Default for Hearing<P> {
    fn default() -> Self {
        Self {
            asked: HashMap::new(),
            late: Recent::new(LATE_MAX),
            missed: BTreeMap::new(),
            again: Vec::new(),
            deaf: false,
        }
    }
}

impl<P> Hearing<P> {
    /// The bus is asked for a number. The lanes see to it that there is one question for a message.
    pub fn ask(&mut self, key: Key, pending: P) {
        self.asked.insert(key, pending);
    }

    /// The bus answered: how long its notice is waited for, so that delivery follows its order.
    pub fn answered(&mut self, key: Key, given: bool) -> Duration {
        // A number of an earlier question may still be heard of: only the one that is given now
        // counts. And while nothing is heard nobody waits for it: what follows in this
        // conversation would wait as well.
        let hears = given && self.late.get(&key).is_none() && !self.deaf;
        if hears { HEAR_MAX } else { Duration::ZERO }
    }

    /// The notice was waited for in vain. What waited, unless the notice came at the last moment.
    pub fn unheard(&mut self, key: Key, waited: Duration) -> Option<P> {
        self.deaf |= !waited.is_zero();
        let pending = self.asked.remove(&key)?;
        // Its notice may come late, and this message may have to ask again by then.
        self.late.insert(key, ());
        Some(pending)
    }

    /// The bus tells of a message of this node's own.
    pub fn own(&mut self, sequenced: &Sequenced) -> OwnNotice<P> {
        self.deaf = false;
        let envelope = sequenced.envelope();
        let key = (envelope.conversation(), envelope.message());
        if self.asked.contains_key(&key) && self.late.get(&key).is_some() {
            return OwnNotice::Stale;
        }
        self.asked.remove(&key).map_or(OwnNotice::Unawaited, OwnNotice::Awaited)
    }

    /// Something of a conversation is not here, or is here and not known to be stored.
    pub fn missed(
        &mut self,
        tenant: TenantId,
        conversation: ConversationId,
        gap: Gap,
        now: Instant,
    ) {
        let fresh = Missed { tenant, conversation, gap, since: now, due: now };
        let missed = self.missed.entry(conversation).or_insert(fresh);
        let until = missed.gap.until.zip(gap.until).map(|(one, other)| one.max(other));
        missed.gap = Gap { after: missed.gap.after.min(gap.after), until };
        missed.since = now;
    }

    /// All that is to be looked for now.
    pub fn take_missed(&mut self, now: Instant) -> Vec<Missed> {
        let due: Vec<_> = self.again.extract_if(.., |missed| missed.due <= now).collect();
        std::mem::take(&mut self.missed).into_values().chain(due).collect()
    }

    /// A look that began at `began` found these, in their order. Where it was the last one: what is
    /// not there is void, as far as this one reached.
    pub fn looked(
        &mut self,
        mut missed: Missed,
        found: impl IntoIterator<Item = Seq>,
        began: Instant,
    ) -> Option<Gap> {
        for seq in found {
            if seq == missed.gap.after.next() {
                missed.gap.after = seq;
            }
        }
        let Gap { after, until } = missed.gap;
        if until.is_some_and(|until| after >= until) {
            return None;
        }
        let looked_for = began.saturating_duration_since(missed.since);
        if looked_for >= LOOKED_FOR {
            return Some(missed.gap);
        }
        missed.due = missed.since + (2 * looked_for).clamp(LOOKS_EVERY, LOOKED_FOR);
        self.again.push(missed);
        None
    }
}

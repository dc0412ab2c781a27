//! What one node asked of the bus and heard from it, over all its conversations.
//!
//! Lives here: which message waits for its number, what may still be heard of one whose question failed, and what was
//! missed. Not here: the connection to the bus (`bus`), waiting (`hub`).

use std::collections::HashMap;
use std::time::Duration;

use protocol::ids::{ConversationId, MessageId, TenantId};

use super::Gap;
use crate::privacy::envelope::Placed;
use crate::recent::Recent;

/// A number that was given and is not heard of for so long was lost on the way: the message is published without it.
const HEAR_MAX: Duration = Duration::from_secs(1);

/// Half of the messages whose last question failed, and of which a number may be heard all the same.
const LOST_MAX: usize = 2_048;

/// Looks into the store for what was missed, one each tick: another node's write may be on its way.
const LOOKS_MAX: u8 = 10;

/// A message of a conversation.
pub type Key = (ConversationId, MessageId);

/// `P`: what waits for a number.
#[derive(Debug)]
pub struct Hearing<P> {
    asked: HashMap<Key, P>,
    lost: Recent<Key, ()>,
    missed: Vec<Missed>,
    /// The last number of this node's own was given and not heard of.
    deaf: bool,
}

/// Numbers of a conversation that this node did not hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The Organization.
    pub tenant: TenantId,
    /// The conversation.
    pub conversation: ConversationId,
    /// What is not here of it.
    pub gap: Gap,
    looks: u8,
}

/// What the bus told of a message of this node's own.
#[derive(Debug, PartialEq, Eq)]
pub enum OwnNotice<P> {
    /// It waits for this number.
    Awaited(P),
    /// This may be the number of the question that failed: the one at hand has another, and the others move it there.
    Stale,
    /// Nothing waits for it. Where the message is not here either, its author was told that it got no number, and the
    /// other nodes show it: it is void.
    Unawaited,
}

impl<P> Default for Hearing<P> {
    fn default() -> Self {
        Self { asked: HashMap::new(), lost: Recent::new(LOST_MAX), missed: Vec::new(), deaf: false }
    }
}

impl<P> Hearing<P> {
    /// The bus is asked for a number. The lanes see to it that there is one question for a message.
    pub fn ask(&mut self, key: Key, pending: P) {
        self.asked.insert(key, pending);
    }

    /// The bus answered: how long its notice is waited for, so that delivery follows its order.
    pub fn answered(&mut self, key: Key, given: bool) -> Duration {
        // After a question that failed its number may still be heard of: only the one that is given now counts. And while
        // nothing is heard nobody waits for it: what follows in this conversation would wait as well.
        let hears = given && self.lost.get(&key).is_none() && !self.deaf;
        if hears { HEAR_MAX } else { Duration::ZERO }
    }

    /// The notice was waited for in vain. What waited, unless the notice came at the last moment.
    pub fn unheard(&mut self, key: Key, waited: Duration, given: bool) -> Option<P> {
        self.deaf |= !waited.is_zero();
        let pending = self.asked.remove(&key)?;
        if given {
            self.lost.remove(&key);
        } else {
            self.lost.insert(key, ());
        }
        Some(pending)
    }

    /// The bus tells of a message of this node's own.
    pub fn own(&mut self, placed: &Placed) -> OwnNotice<P> {
        self.deaf = false;
        let envelope = placed.envelope();
        let key = (envelope.conversation(), envelope.message());
        if self.asked.contains_key(&key) && self.lost.get(&key).is_some() {
            return OwnNotice::Stale;
        }
        self.asked.remove(&key).map_or(OwnNotice::Unawaited, OwnNotice::Awaited)
    }

    /// Something of a conversation is not here.
    pub fn missed(&mut self, tenant: TenantId, conversation: ConversationId, gap: Gap) {
        self.missed.push(Missed { tenant, conversation, gap, looks: 0 });
    }

    /// All that is to be looked for now.
    pub fn take_missed(&mut self) -> Vec<Missed> {
        std::mem::take(&mut self.missed)
    }

    /// A look found so many; what is not there yet is looked for again at the next tick.
    pub fn looked(&mut self, mut missed: Missed, found: usize) {
        missed.looks += 1;
        let Gap { after, until } = missed.gap;
        let wanted = until.map(|until| until.0.saturating_sub(after.0));
        let whole =
            wanted.is_some_and(|wanted| u64::try_from(found).is_ok_and(|found| found >= wanted));
        if !whole && missed.looks < LOOKS_MAX {
            self.missed.push(missed);
        }
    }
}

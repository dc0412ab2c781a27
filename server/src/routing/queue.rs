//! The order of waiting, and how long it takes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::str::FromStr;

use protocol::ids::ConversationId;
use protocol::time::UnixMillis;

use super::ranked::Ranked;

/// Served conversations that the estimate looks back on.
const SAMPLES: usize = 16;

/// Fewer than that say nothing.
const SAMPLES_MIN: usize = 3;

/// A ticket says where one stands in the queue: those who were given back first, then by arrival.
/// Arrivals never sort before earlier ones, whatever the clock does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    rank: Rank,
    since: UnixMillis,
    number: i64,
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rank = match self.rank {
            Rank::Returned => 'r',
            Rank::Arrived => 'a',
        };
        write!(f, "{rank}{}.{}", self.since.0, self.number)
    }
}

impl FromStr for Ticket {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (rank, rest) = match text.split_at_checked(1).ok_or(())? {
            ("r", rest) => (Rank::Returned, rest),
            ("a", rest) => (Rank::Arrived, rest),
            _ => return Err(()),
        };
        let (since, number) = rest.split_once('.').ok_or(())?;
        let since = UnixMillis(since.parse().map_err(|_| ())?);
        Ok(Self { rank, since, number: number.parse().map_err(|_| ())? })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Returned,
    Arrived,
}

/// The positions at the head that are told with each change. Those behind them are told as
/// [`Queue::behind`] comes round: one who leaves moves everyone behind them, and what that costs
/// must not depend on how many that is.
pub(super) const HEAD: usize = 32;

/// One who waits.
#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    since: UnixMillis,
    /// The position at which they came in, if they were not given back.
    entered_at: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Queue {
    order: Ranked<(Ticket, ConversationId)>,
    entries: BTreeMap<ConversationId, Entry>,
    /// By how long they have waited.
    waiting: BTreeSet<(UnixMillis, ConversationId)>,
    /// From here on positions have changed since they were last told.
    moved_from: Option<usize>,
    /// Those who came in since.
    came: Vec<ConversationId>,
    /// Where the round among those behind the head stands, and how many it has before it.
    round_at: usize,
    round_left: usize,
    number: i64,
    latest: UnixMillis,
    /// Milliseconds for each position of those served last.
    pace_ms: VecDeque<u64>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            order: Ranked::default(),
            entries: BTreeMap::new(),
            waiting: BTreeSet::new(),
            moved_from: None,
            came: Vec::new(),
            round_at: HEAD,
            round_left: 0,
            number: 0,
            latest: UnixMillis(0),
            pace_ms: VecDeque::new(),
        }
    }
}

impl Queue {
    /// A ticket after all others.
    pub(super) fn ticket_last(&self, now: UnixMillis) -> Ticket {
        Ticket { rank: Rank::Arrived, since: now.max(self.latest), number: self.number }
    }

    /// The ticket of one that has waited since then.
    pub(super) fn ticket_restored(&self, since: UnixMillis) -> Ticket {
        Ticket { rank: Rank::Arrived, since, number: self.number }
    }

    /// A ticket before all others.
    pub(super) fn ticket_returned(&self) -> Ticket {
        Ticket { rank: Rank::Returned, since: UnixMillis(0), number: -self.number }
    }

    /// Lets one in who has waited since then.
    pub(super) fn enter(
        &mut self,
        ticket: Ticket,
        since: UnixMillis,
        conversation: ConversationId,
    ) {
        self.number += 1;
        let mut entered_at = None;
        if ticket.rank == Rank::Arrived {
            self.latest = self.latest.max(ticket.since);
            entered_at = Some(position(self.order.len()));
        }
        let key = (ticket, conversation);
        self.order.insert(key);
        self.waiting.insert((since, conversation));
        self.entries.insert(conversation, Entry { ticket, since, entered_at });
        self.came.push(conversation);
        self.moved(self.order.before(&key) + 1);
    }

    /// An agent took it; `waited_ms` teaches the estimate.
    pub(super) fn leave_served(&mut self, conversation: ConversationId, waited_ms: Option<u64>) {
        let entered_at = self.entries.get(&conversation).and_then(|entry| entry.entered_at);
        if let (Some(waited_ms), Some(position)) = (waited_ms, entered_at) {
            self.pace_ms.push_back(waited_ms / u64::from(position.max(1)));
            if self.pace_ms.len() > SAMPLES {
                self.pace_ms.pop_front();
            }
        }
        self.leave_unserved(conversation);
    }

    pub(super) fn leave_unserved(&mut self, conversation: ConversationId) {
        if let Some(Entry { ticket, since, .. }) = self.entries.remove(&conversation) {
            let key = (ticket, conversation);
            self.order.remove(&key);
            self.waiting.remove(&(since, conversation));
            self.moved(self.order.before(&key));
        }
    }

    /// Whoever stands from here on has another position than before.
    fn moved(&mut self, from: usize) {
        if from >= self.order.len() {
            return;
        }
        self.moved_from = Some(self.moved_from.map_or(from, |before| before.min(from)));
        self.round_left = self.order.len().saturating_sub(HEAD);
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The position of one who waits, from 1.
    pub(super) fn position(&self, conversation: ConversationId) -> Option<u32> {
        let entry = self.entries.get(&conversation)?;
        self.order.rank(&(entry.ticket, conversation)).map(position)
    }

    /// Since when the one waits who has waited longest.
    pub(super) fn oldest_wait(&self) -> Option<UnixMillis> {
        self.waiting.first().map(|(since, _)| *since)
    }

    /// The one before whom so many stand.
    pub(super) fn nth(&self, at: usize) -> Option<ConversationId> {
        self.order.nth(at).map(|(_, conversation)| *conversation)
    }

    /// Those who wait behind a position, who need not stand there any more.
    pub(super) fn behind_ticket(
        &self,
        after: Option<(Ticket, ConversationId)>,
    ) -> impl Iterator<Item = (Ticket, ConversationId)> {
        let at = after.map_or(0, |after| {
            self.order.before(&after) + usize::from(self.order.rank(&after).is_some())
        });
        self.order.iter_from(at).copied()
    }

    /// Those who wait, in order, behind the first so many.
    fn iter_from(&self, at: usize) -> impl Iterator<Item = ConversationId> {
        self.order.iter_from(at).map(|(_, conversation)| *conversation)
    }

    /// Positions to be told at once: those at the head that may have changed since the last call,
    /// and those of who came in.
    pub(super) fn at_once(&mut self) -> Vec<(u32, ConversationId)> {
        let mut told = Vec::new();
        if let Some(from) = self.moved_from.take() {
            let head = (from..HEAD).zip(self.iter_from(from));
            told.extend(head.map(|(at, conversation)| (position(at), conversation)));
        }
        for conversation in std::mem::take(&mut self.came) {
            let position = self.position(conversation);
            told.extend(position.map(|position| (position, conversation)));
        }
        told
    }

    /// Positions behind the head that may have changed, at most so many: the next of a round that
    /// goes on until nobody has moved since it last passed them.
    pub(super) fn behind(&mut self, len_max: usize) -> Vec<(u32, ConversationId)> {
        if self.round_at < HEAD || self.round_at >= self.order.len() {
            self.round_at = HEAD;
        }
        let looked = self.round_left.min(len_max);
        let told: Vec<_> = (self.round_at..)
            .zip(self.iter_from(self.round_at))
            .take(looked)
            .map(|(at, conversation)| (position(at), conversation))
            .collect();
        self.round_at += told.len();
        // At the end of the queue it begins anew, and the rest is for the next time.
        self.round_left = if self.order.len() <= HEAD { 0 } else { self.round_left - told.len() };
        told
    }

    /// How long this position will probably wait.
    pub(super) fn wait_ms(&self, position: u32) -> Option<u64> {
        let samples = u64::try_from(self.pace_ms.len()).ok()?;
        (self.pace_ms.len() >= SAMPLES_MIN)
            .then(|| self.pace_ms.iter().sum::<u64>() / samples * u64::from(position))
    }
}

/// The position before which so many stand.
fn position(before: usize) -> u32 {
    u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
}

//! The order of waiting, and how long it takes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::ids::ConversationId;
use protocol::time::UnixMillis;

/// Served conversations that the estimate looks back on.
const SAMPLES: usize = 16;

/// Fewer than that say nothing.
const SAMPLES_MIN: usize = 3;

/// A turn in the line: those who were given back first, then by arrival. Arrivals never sort before
/// earlier ones, whatever the clock does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    rank: Rank,
    since: UnixMillis,
    number: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Returned,
    Arrived,
}

#[derive(Debug)]
pub(super) struct Line {
    order: BTreeSet<(Turn, ConversationId)>,
    turns: BTreeMap<ConversationId, Turn>,
    /// The position at which each came in.
    entered_at: BTreeMap<ConversationId, u32>,
    moved: bool,
    number: i64,
    latest: UnixMillis,
    /// Milliseconds for each place of those served last.
    pace_ms: VecDeque<u64>,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            order: BTreeSet::new(),
            turns: BTreeMap::new(),
            entered_at: BTreeMap::new(),
            moved: false,
            number: 0,
            latest: UnixMillis(0),
            pace_ms: VecDeque::new(),
        }
    }
}

impl Line {
    /// A turn after all others.
    pub(super) fn turn_last(&self, now: UnixMillis) -> Turn {
        Turn { rank: Rank::Arrived, since: now.max(self.latest), number: self.number }
    }

    /// The turn of one that has waited since then.
    pub(super) fn turn_restored(&self, since: UnixMillis) -> Turn {
        Turn { rank: Rank::Arrived, since, number: self.number }
    }

    /// A turn before all others.
    pub(super) fn turn_returned(&self) -> Turn {
        Turn { rank: Rank::Returned, since: UnixMillis(0), number: -self.number }
    }

    pub(super) fn enter(&mut self, turn: Turn, conversation: ConversationId) {
        self.number += 1;
        if turn.rank == Rank::Arrived {
            self.latest = self.latest.max(turn.since);
            let ahead = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
            self.entered_at.insert(conversation, ahead.saturating_add(1));
        }
        self.order.insert((turn, conversation));
        self.turns.insert(conversation, turn);
        self.moved = true;
    }

    /// An agent took it; `waited_ms` teaches the estimate.
    pub(super) fn leave_served(&mut self, conversation: ConversationId, waited_ms: Option<u64>) {
        let entered_at = self.entered_at.get(&conversation).copied();
        if let (Some(waited_ms), Some(place)) = (waited_ms, entered_at) {
            self.pace_ms.push_back(waited_ms / u64::from(place.max(1)));
            if self.pace_ms.len() > SAMPLES {
                self.pace_ms.pop_front();
            }
        }
        self.leave_unserved(conversation);
    }

    pub(super) fn leave_unserved(&mut self, conversation: ConversationId) {
        if let Some(turn) = self.turns.remove(&conversation) {
            self.order.remove(&(turn, conversation));
            self.entered_at.remove(&conversation);
            self.moved = true;
        }
    }

    /// Those who wait, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = ConversationId> {
        self.order.iter().map(|(_, conversation)| *conversation)
    }

    /// All places, if any may have changed since the last call.
    pub(super) fn renumbered(&mut self) -> Vec<(u32, ConversationId)> {
        if std::mem::take(&mut self.moved) { (1..).zip(self.iter()).collect() } else { Vec::new() }
    }

    /// How long this place will probably wait.
    pub(super) fn wait_ms(&self, position: u32) -> Option<u64> {
        let samples = u64::try_from(self.pace_ms.len()).ok()?;
        (self.pace_ms.len() >= SAMPLES_MIN)
            .then(|| self.pace_ms.iter().sum::<u64>() / samples * u64::from(position))
    }
}

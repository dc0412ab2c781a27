//! Whether those who wait are served in turn, as far as the wire proves it.
//!
//! One came surely before another if they had been told that they wait before the other asked.
//! Their first offer was surely made later if the server decided on it, by its own clock and the
//! deadline that the offer names, after the other's first offer had come already. What is not sure
//! is no fault: several connections do not show what happened first on the server.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use protocol::ids::ConversationId;
use protocol::time::UnixMillis;

use crate::clock::Micros;
use crate::people::world::OFFER;

/// The clock of one host, read by two programs in two ways, differs by less.
const CLOCKS: Duration = Duration::from_millis(100);
/// First offers that are kept. Full: the oldest is dropped, and whoever waited longer than so many
/// is not judged by it.
const SERVED_MAX: usize = 4_096;

#[derive(Debug, Clone, Copy)]
struct Wait {
    asked: Micros,
    /// When they were first told that they wait.
    told: Option<Micros>,
}

/// A first offer that came.
#[derive(Debug, Clone, Copy)]
struct Served {
    came: Micros,
    /// The latest moment at which they, or one served before them, had asked.
    asked_last: Micros,
}

/// The visitors of one process, and what all agents are offered.
#[derive(Debug, Default)]
pub(crate) struct QueueOrder {
    waiting: HashMap<ConversationId, Wait>,
    served: VecDeque<Served>,
    /// An offer may have gone to a connection that was broken, so that a later one looks like the
    /// first.
    doubtful: bool,
}

impl QueueOrder {
    /// They ask for an agent.
    pub(crate) fn asks(&mut self, conversation: ConversationId, now: Micros) {
        self.waiting.insert(conversation, Wait { asked: now, told: None });
    }

    /// They were told that they wait.
    pub(crate) fn waits(&mut self, conversation: ConversationId, now: Micros) {
        if let Some(wait) = self.waiting.get_mut(&conversation) {
            wait.told.get_or_insert(now);
        }
    }

    /// They are gone, served or not.
    pub(crate) fn goes(&mut self, conversation: ConversationId) {
        self.waiting.remove(&conversation);
    }

    /// An agent's connection broke: nothing is sure from now on.
    pub(crate) fn doubt(&mut self) {
        self.doubtful = true;
        self.waiting = HashMap::new();
    }

    /// An offer came. Whether it is the first of somebody whom one who came after them was surely
    /// served before.
    pub(crate) fn offered(
        &mut self,
        conversation: ConversationId,
        deadline: UnixMillis,
        now: Micros,
    ) -> bool {
        let Some(wait) = self.waiting.remove(&conversation).filter(|_| !self.doubtful) else {
            return false;
        };
        let decided = Micros::from(deadline).minus(OFFER);
        // A server whose offers last longer than usual seems to decide in the future.
        let is_known = decided <= now.plus(CLOCKS);
        let before = self.served.iter().rev().find(|s| s.came.plus(CLOCKS) < decided);
        let asked_last =
            self.served.back().map_or(wait.asked, |last| last.asked_last.max(wait.asked));
        let is_overtaken = before.zip(wait.told).is_some_and(|(s, told)| s.asked_last >= told);
        if self.served.len() == SERVED_MAX {
            self.served.pop_front();
        }
        self.served.push_back(Served { came: now, asked_last });
        is_known && is_overtaken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER_MS: u64 = 30_000;

    const fn room(number: u8) -> ConversationId {
        ConversationId::from_bytes([number; 16])
    }

    const fn at(ms: u64) -> Micros {
        Micros(ms * 1_000)
    }

    /// Offered at this moment, which comes five milliseconds later.
    fn offered(order: &mut QueueOrder, number: u8, ms: u64) -> bool {
        let deadline = UnixMillis(ms).plus_ms(OFFER_MS);
        order.offered(room(number), deadline, at(ms + 5))
    }

    /// One is told at 110 that they wait, another asks at this moment and is told.
    fn two(second_asks: u64) -> QueueOrder {
        let mut order = QueueOrder::default();
        order.asks(room(1), at(100));
        order.waits(room(1), at(110));
        order.asks(room(2), at(second_asks));
        order.waits(room(2), at(second_asks + 10));
        order
    }

    #[test]
    fn who_came_later_and_is_served_before_is_seen_where_it_is_sure() {
        let mut order = two(120);
        assert!(!offered(&mut order, 2, 1_000));
        assert!(offered(&mut order, 1, 2_000));
        // Nobody is judged twice, and a second offer is none.
        assert!(!offered(&mut order, 1, 3_000));
    }

    #[test]
    fn who_is_served_in_turn_or_at_nearly_the_same_moment_is_not_accused() {
        let mut order = two(120);
        assert!(!offered(&mut order, 1, 1_000) && !offered(&mut order, 2, 2_000));
        let mut order = two(120);
        assert!(!offered(&mut order, 2, 1_000) && !offered(&mut order, 1, 1_100));
        // It was decided in time and came late.
        let mut order = two(120);
        assert!(!offered(&mut order, 2, 1_000));
        let decided = UnixMillis(1_000).plus_ms(OFFER_MS);
        assert!(!order.offered(room(1), decided, at(9_000)));
    }

    #[test]
    fn who_asked_while_another_was_not_yet_told_may_be_the_first_of_the_two() {
        let mut order = two(105);
        assert!(!offered(&mut order, 2, 1_000) && !offered(&mut order, 1, 2_000));
    }

    #[test]
    fn nothing_is_sure_where_a_connection_broke_or_offers_last_longer_than_usual() {
        let mut order = two(120);
        assert!(!offered(&mut order, 2, 1_000));
        order.doubt();
        assert!(!offered(&mut order, 1, 2_000));
        let mut order = two(120);
        assert!(!offered(&mut order, 2, 1_000));
        let deadline = UnixMillis(2_000).plus_ms(2 * OFFER_MS);
        assert!(!order.offered(room(1), deadline, at(2_005)));
    }

    #[test]
    fn who_left_is_overtaken_by_nobody_and_what_is_kept_is_bounded() {
        let mut order = two(120);
        order.goes(room(1));
        assert!(!offered(&mut order, 2, 1_000) && !offered(&mut order, 1, 2_000));
        for ms in 0..u64::try_from(SERVED_MAX).unwrap() + 10 {
            order.asks(room(3), at(ms));
            offered(&mut order, 3, ms);
        }
        assert_eq!((order.served.len(), order.waiting.len()), (SERVED_MAX, 0));
    }
}

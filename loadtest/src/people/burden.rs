//! Whether an agent has more conversations than they take, by what they were told and by what the
//! server shows of them.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::conversation::AgentCard;
use protocol::ids::ConversationId;

use crate::clock::Micros;
use crate::judge::figure::Count;
use crate::people::world::World;

/// The end of a conversation and the offer that follows it reach an agent within so long.
const MOMENT: Duration = Duration::from_millis(500);

/// What an agent has, as they were told it.
#[derive(Debug, Default)]
pub(super) struct Burden {
    /// Offered to them or theirs.
    pub(super) has: BTreeSet<ConversationId>,
    /// Since when they have more than they take.
    over_since: Option<Micros>,
    /// Their connection broke: what of it ended meanwhile they were not told, so that only the
    /// server's own cards are judged.
    pub(super) unsure: bool,
}

impl Burden {
    /// More than they take: for a moment only, while the end of another is still on its way to
    /// them.
    pub(super) fn weigh(&mut self, world: &World, now: Micros) {
        let capacity = usize::from(world.scenario().agent.capacity);
        let over = self.has.len() > capacity && !self.unsure;
        let since = self.over_since.take();
        if over {
            self.over_since = since.or(Some(now));
        }
        if since.is_some_and(|since| now.since(since) > MOMENT) {
            world.count(Count::OverCapacity);
            self.over_since = over.then_some(now);
        }
    }
}

/// No agent has more than they take, by what the server shows of them.
pub(super) fn judge(world: &World, card: &AgentCard) {
    if let (Some(load), Some(capacity)) = (card.load, card.capacity)
        && load > capacity
    {
        world.count(Count::OverCapacity);
    }
}

#[cfg(test)]
mod tests {
    use protocol::ids::AgentId;
    use protocol::personal::Personal;

    use super::*;
    use crate::people::world::tests::{over, world};

    const fn room(number: u8) -> ConversationId {
        ConversationId::from_bytes([number; 16])
    }

    #[test]
    fn an_agent_with_more_than_they_take_is_seen_once_it_lasts() {
        let world = world("[agent]\ncapacity = 1\n");
        let mut burden = Burden::default();
        burden.has.insert(room(1));
        burden.weigh(&world, Micros(0));
        burden.has.insert(room(2));
        burden.weigh(&world, Micros(1_000));
        // The end of the first may be on its way.
        burden.weigh(&world, Micros(1_000).plus(MOMENT));
        assert_eq!(over(&world, Count::OverCapacity), 0);
        burden.weigh(&world, Micros(1_001).plus(MOMENT));
        assert_eq!(over(&world, Count::OverCapacity), 1);
    }

    #[test]
    fn a_card_that_says_too_much_is_seen() {
        let world = world("");
        let card = |load| AgentCard {
            agent: AgentId::from_bytes([1; 16]),
            name: Personal::new(String::from("One")),
            role: None,
            availability: None,
            presence: None,
            capacity: Some(2),
            load: Some(load),
            availability_cause: None,
        };
        judge(&world, &card(2));
        assert_eq!(over(&world, Count::OverCapacity), 0);
        judge(&world, &card(3));
        assert_eq!(over(&world, Count::OverCapacity), 1);
    }
}

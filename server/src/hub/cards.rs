//! What people see of a conversation, an agent and a visitor: the cards of a desk.

use protocol::conversation::{
    AgentCard, Availability, ConversationCard, FormAnswer, Presence, VisitorCard,
};
use protocol::ids::{AgentId, ConversationId};
use protocol::limits::List;
use protocol::personal::Personal;

use super::desk::{Contact, DeskState, Seat};
use super::newest::RoomFacts;
use super::sites::Shown;
use crate::privacy::gate::Reader;
use crate::routing::AgentStanding;
use crate::store::ConversationRow;

impl DeskState {
    /// The card of an agent for agents, or the little that visitors see of them.
    pub(super) fn agent_card(&self, agent: AgentId, reader: Reader) -> Option<AgentCard> {
        let seat = self.agents.get(&agent)?;
        Some(match reader {
            Reader::Agents => whole_card(seat, self.routing.agent(agent)),
            Reader::Visitor => name_card(seat),
        })
    }

    /// Every active agent's card. Both lists are in the order of the agents: each is walked once.
    pub(super) fn agent_cards(&self) -> Vec<AgentCard> {
        let mut standings = self.routing.agents().peekable();
        let mut cards = Vec::with_capacity(self.agents.len());
        for (agent, seat) in &self.agents {
            while standings.next_if(|standing| standing.agent < *agent).is_some() {}
            let standing = standings.next_if(|standing| standing.agent == *agent);
            if seat.row.active {
                cards.push(whole_card(seat, standing));
            }
        }
        cards
    }

    fn visitor_card(
        &self,
        contact: Option<&Contact>,
        header: &ConversationRow,
        shown: &Shown<'_>,
    ) -> VisitorCard {
        let guest = self.visitors.get(&header.visitor);
        let said = |word: fn(&Contact) -> &Option<Personal<String>>| {
            let contact = contact?;
            shown.contact((header.site, contact.day), word(contact).clone())
        };
        let (page_url, page_title) = match guest.and_then(|guest| guest.page.as_deref().cloned()) {
            Some((url, title)) => (url, Some(title)),
            None => shown
                .header(header, (header.page_url.clone(), header.page_title.clone()))
                .unwrap_or_default(),
        };
        VisitorCard {
            visitor: header.visitor,
            name: said(|contact| &contact.name),
            email: said(|contact| &contact.email),
            page_url,
            page_title,
            locale: Some(header.locale.clone()),
            presence: Some(guest.map_or(Presence::Gone, |guest| guest.presence)),
        }
    }

    /// The visitor's card of a conversation here.
    pub(super) fn guest_card(
        &self,
        conversation: ConversationId,
        shown: &Shown<'_>,
    ) -> Option<VisitorCard> {
        let header = self.headers.get(&conversation)?;
        Some(self.visitor_card(header.contact.as_deref(), &header.row, shown))
    }

    /// The card of a conversation here.
    pub(super) fn card(
        &self,
        conversation: ConversationId,
        facts: &RoomFacts,
        reader: Reader,
        shown: &Shown<'_>,
    ) -> Option<ConversationCard> {
        let header = self.headers.get(&conversation)?;
        Some(self.card_of(&header.row, header.contact.as_deref(), facts, reader, shown))
    }

    /// The card of a conversation that need not be live.
    pub(super) fn card_of(
        &self,
        row: &ConversationRow,
        contact: Option<&Contact>,
        facts: &RoomFacts,
        reader: Reader,
        shown: &Shown<'_>,
    ) -> ConversationCard {
        let standing = self.routing.standing(row.conversation);
        let for_agents = reader == Reader::Agents;
        ConversationCard {
            conversation: row.conversation,
            version: row.version,
            site: row.site,
            state: row.state,
            created_at: row.created_at,
            seq_last: facts.seq_last,
            agents: List::new(
                row.agents.iter().filter_map(|agent| self.agent_card(*agent, reader)),
            ),
            marks: List::new(facts.receipts.iter().cloned()),
            assignee: row.assignee,
            position: self.routing.position(row.conversation),
            waiting_since: row.waiting_since,
            closed_at: row.closed_at,
            offline_message: Some(row.channel.is_offline_message()),
            visitor: for_agents.then(|| self.visitor_card(contact, row, shown)),
            form: for_agents.then(|| {
                let form = shown.header(row, row.form.as_slice()).unwrap_or_default();
                List::new(form.iter().map(|(field, answer)| FormAnswer {
                    field: field.clone(),
                    answer: answer.clone(),
                }))
            }),
            tags: for_agents.then(|| List::new(row.tags.iter().copied())),
            preview: facts.preview.clone().filter(|_| for_agents),
            last_message_at: facts.last_message_at.filter(|_| for_agents),
            offered_to: standing.and_then(|standing| standing.offered_to).filter(|_| for_agents),
            last_author: facts.last_author.filter(|_| for_agents),
        }
    }
}

/// What visitors see of an agent.
fn name_card(seat: &Seat) -> AgentCard {
    AgentCard {
        agent: seat.row.agent,
        name: seat.row.name.clone(),
        role: None,
        availability: None,
        presence: None,
        capacity: None,
        load: None,
        availability_cause: None,
    }
}

fn whole_card(seat: &Seat, standing: Option<AgentStanding>) -> AgentCard {
    // Whose account ended takes nothing any more, and whoever has their card must be told so.
    let gone = (Availability::Offline, Presence::Gone, 0, 0, None);
    let (availability, presence, capacity, load, cause) = standing.map_or(
        gone,
        |AgentStanding { availability, cause, connected, capacity, load, .. }| {
            (availability, connected, capacity, load, cause)
        },
    );
    AgentCard {
        role: Some(seat.row.role),
        availability: Some(availability),
        presence: Some(presence),
        capacity: Some(capacity),
        load: Some(load),
        availability_cause: cause,
        ..name_card(seat)
    }
}

#[cfg(test)]
mod tests {
    use protocol::ids::AgentId;
    use protocol::time::UnixMillis;

    use super::*;
    use crate::routing::{Input, RoutingConfig};
    use crate::store::AgentRow;
    use crate::store::conformance::World;

    #[test]
    fn the_list_of_agents_has_the_card_of_each_who_is_active() {
        let world = World::new(1);
        let mut state = DeskState::new(world.tenant, RoutingConfig::default());
        let now = UnixMillis(1);
        for n in [5, 1, 9, 3] {
            let agent = AgentId::from_bytes([n; 16]);
            let row = AgentRow { agent, active: n != 3, ..world.agent_row() };
            state.know_agent(row, now);
        }
        // One whom routing knows and the desk does not.
        let stranger = AgentId::from_bytes([2; 16]);
        state.routing.handle(Input::AgentConnected { agent: stranger }, now).unwrap();
        let nine = AgentId::from_bytes([9; 16]);
        state.routing.handle(Input::AgentConnected { agent: nine }, now).unwrap();
        let cards = state.agent_cards();
        let ids: Vec<u8> = cards.iter().map(|card| card.agent.as_bytes()[0]).collect();
        assert_eq!(ids, [1, 5, 9]);
        for card in cards {
            assert_eq!(state.agent_card(card.agent, Reader::Agents), Some(card));
        }
    }
}

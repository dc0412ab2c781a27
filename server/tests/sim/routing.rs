//! Runs what the real `routing` decides: offers, owners, event messages; as `hub/assign.rs` has it.

use livehelp::routing::{Effect, Input, Standing};
use protocol::ids::{AgentId, ConversationId, TenantId};
use protocol::message::{EventKind, Visibility};

use crate::client::Who;
use crate::connection::{Conn, Down};
use crate::faults::Planted;
use crate::world::{AGENTS, World, id16};

impl World {
    pub(crate) fn route(&mut self, tenant: usize, input: Input) {
        let Ok(effects) = self.server.routing[tenant].handle(input, self.now) else { return };
        self.run(tenant, &effects);
    }

    pub(crate) fn run(&mut self, tenant: usize, effects: &[Effect]) {
        self.server.apply(effects);
        self.queue_headers();
        for effect in effects {
            match *effect {
                Effect::Changed { conversation, standing } => {
                    self.tell_state(conversation, standing)
                }
                Effect::Offer { conversation, agent, .. } => {
                    self.counts.offers += 1;
                    self.server.offers.insert((conversation, agent));
                    self.tell_agent(agent, &Down::Offer { conversation });
                    if self.has(Planted::DoubleOffer) {
                        for n in 0..AGENTS {
                            let other = agent_id(self.tenants[tenant].id, n);
                            self.tell_agent(other, &Down::Offer { conversation });
                        }
                    }
                }
                Effect::OfferOver { conversation, agent } => {
                    self.server.offers.remove(&(conversation, agent));
                    self.tell_agent(agent, &Down::OfferOver { conversation });
                }
                Effect::EventMessage { conversation, event, agent } => {
                    if event == EventKind::Requeued {
                        self.counts.requeued += 1;
                    }
                    self.write_event_message(conversation, event, agent);
                }
                Effect::Position { .. }
                | Effect::AgentChanged { .. }
                | Effect::SiteAvailability { .. } => {}
            }
        }
    }

    pub(crate) fn tell_state(&mut self, conversation: ConversationId, standing: Standing) {
        let Standing { version, assignee, state, .. } = standing;
        let rooms = self.nodes.iter().filter_map(|node| node.rooms.get(&conversation));
        let recipients = rooms.flat_map(|live| live.room.recipients(Visibility::Everyone, None));
        let recipients: Vec<Conn> = recipients.map(|member| member.sink).collect();
        for recipient in recipients {
            self.push(recipient, Down::Owner { conversation, version, assignee, state });
        }
    }

    pub(crate) fn tell_agent(&mut self, agent: AgentId, frame: &Down) {
        let own: Vec<Conn> = self
            .wires
            .iter()
            .filter(|(_, wire)| self.clients[wire.client].who == Who::Agent(agent))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in own {
            self.push(conn, frame.clone());
        }
    }
}

pub(crate) fn agent_id(tenant: TenantId, n: u8) -> AgentId {
    AgentId::from_bytes(id16(0xA0, tenant.as_bytes()[15], n))
}

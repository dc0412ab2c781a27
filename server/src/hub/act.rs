//! What agents do with conversations, and what they choose for themselves.
//!
//! Lives here: who may do which act. Not here: what comes of it (`routing`).

use std::sync::Arc;

use protocol::conversation::Availability;
use protocol::ids::{AgentId, ConversationId, TenantId};
use protocol::limits::CAPACITY_MAX;
use protocol::reject::{Reject, RejectCode};

use super::assignment::Assignment;
use super::desk::Desk;
use super::desks::Desks;
use super::follow::{Follow as _, Following};
use super::reject::only_agents;
use super::speaker::Actor;
use crate::routing::Input;
use crate::store::AgentRow;

/// What an agent does with a conversation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Takes what was offered.
    Accept(ConversationId),
    /// Does not.
    Decline(ConversationId),
    /// Takes or gives one out of turn.
    Assign { conversation: ConversationId, to: AgentId },
    /// Offers it to a colleague.
    Transfer { conversation: ConversationId, to: AgentId },
    /// Takes that offer back.
    Withdraw(ConversationId),
    /// Takes over what another has; for those who supervise.
    TakeOver { conversation: ConversationId, from: AgentId },
    /// Gives what one agent has to another at once; for those who supervise, and for programs.
    GiveOver { conversation: ConversationId, from: AgentId, to: AgentId },
}

/// What agents do.
#[derive(Debug)]
pub(crate) struct Acts {
    pub(super) following: Arc<Following>,
    pub(super) desks: Arc<Desks>,
    pub(super) assignment: Arc<Assignment>,
}

impl Acts {
    /// An agent chooses; the choice is kept, and nothing else of their account is written with it.
    pub(crate) async fn choose(
        &self,
        tenant: TenantId,
        agent: AgentId,
        availability: Availability,
        capacity: Option<u16>,
    ) -> Result<(), Reject> {
        if capacity.is_some_and(|capacity| capacity > CAPACITY_MAX) {
            let words = "capacity: 0 to 100 conversations";
            return Err(Reject::new(RejectCode::Invalid, words));
        }
        let desk = self.desks.get(tenant).await?;
        let choice = AgentRow::choice(tenant, agent, availability, capacity);
        let kept = self.following.keep(vec![choice]).await?;
        // Both in one step before the account is read anew: who is away takes nothing for having
        // room for more.
        let choice = Input::Availability { agent, availability, capacity };
        let routed = self.assignment.route(&desk, choice).await;
        self.following.tell(kept).await;
        routed
    }

    /// What an agent does with a conversation.
    pub(crate) async fn run(&self, tenant: TenantId, who: Actor, act: Act) -> Result<(), Reject> {
        let desk = self.desks.get(tenant).await?;
        let (own, supervises) = match who {
            Actor::Agent { agent, .. } => (Some(agent), desk.state.lock().supervises(agent)),
            Actor::Visitor { .. } => return Err(only_agents()),
            Actor::Program => (None, true),
        };
        let input = match act {
            Act::Accept(conversation) => {
                Input::Accept { agent: own.ok_or_else(only_agents)?, conversation }
            }
            Act::Decline(conversation) => {
                Input::Decline { agent: own.ok_or_else(only_agents)?, conversation }
            }
            Act::Assign { conversation, to } => {
                if own != Some(to) && !supervises {
                    return Err(Reject::new(
                        RejectCode::Forbidden,
                        "only a supervisor gives a conversation to another agent; transfer it instead",
                    ));
                }
                Input::Assign { agent: to, conversation, over_capacity: supervises }
            }
            Act::Transfer { conversation, to } => {
                self.desks.may_move(&desk, who, conversation, true).await?;
                let from =
                    desk.state.lock().headers.get(&conversation).and_then(|h| h.row.assignee);
                let from = from.ok_or_else(|| {
                    Reject::new(RejectCode::Gone, "nobody has this conversation; assign it instead")
                })?;
                Input::Transfer { from, to, conversation }
            }
            Act::Withdraw(conversation) => {
                self.desks.may_move(&desk, who, conversation, true).await?;
                Input::Withdraw { conversation }
            }
            Act::TakeOver { conversation, from } => {
                if !supervises {
                    let words = "only a supervisor takes over what another agent has";
                    return Err(Reject::new(RejectCode::Forbidden, words));
                }
                let agent = own.ok_or_else(only_agents)?;
                Input::TakeOver { agent, from, conversation }
            }
            Act::GiveOver { conversation, from, to } => {
                if !supervises {
                    let words = "only a supervisor gives what one agent has to another";
                    return Err(Reject::new(RejectCode::Forbidden, words));
                }
                Input::TakeOver { agent: to, from, conversation }
            }
        };
        self.assignment.route(&desk, input).await?;
        if let Some(agent) = own {
            let takes = matches!(act, Act::TakeOver { .. })
                || matches!(act, Act::Assign { to, .. } if to == agent);
            self.note_act(&desk, agent, takes).await;
        }
        Ok(())
    }

    /// Whoever takes something themselves is at work though they chose to be offline: from then on
    /// they are away, and keep what they took.
    async fn note_act(&self, desk: &Arc<Desk>, agent: AgentId, takes: bool) {
        let (offline, unheard) = {
            let state = desk.state.lock();
            let standing = state.routing.agent(agent);
            let offline = standing.is_some_and(|own| own.availability == Availability::Offline);
            (offline, state.routing.is_unheard(agent))
        };
        if takes && offline {
            let chosen = self.choose(desk.tenant, agent, Availability::Away, None).await;
            if let Err(reject) = chosen {
                tracing::warn!(agent_id = %agent, reject_code = reject.code.word(), "who took a conversation while offline is not set to away");
            }
        } else if unheard {
            self.assignment.note_work(Arc::clone(desk), agent);
        }
    }
}

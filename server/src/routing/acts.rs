//! What agents do: accept, decline, assign, transfer, withdraw, take over.

use protocol::conversation::ConversationState;
use protocol::ids::{AgentId, ConversationId};
use protocol::message::EventKind;
use protocol::reject::{Reject, RejectCode};
use protocol::time::UnixMillis;

use super::{End, Routing, Timer, no_agent, no_conversation};

impl Routing {
    pub(super) fn accept(
        &mut self,
        agent: AgentId,
        conversation: ConversationId,
        now: UnixMillis,
    ) -> Result<(), Reject> {
        let standing = *self.standing(conversation).ok_or_else(no_conversation)?;
        if standing.offered_to == Some(agent) && standing.deadline.is_some_and(|at| now < at) {
            let event = match standing.assignee {
                Some(_) => EventKind::Transferred,
                None => EventKind::Assigned,
            };
            self.team.heard_of(agent);
            self.give(conversation, agent, event, now);
            return Ok(());
        }
        if standing.assignee == Some(agent) {
            self.team.heard_of(agent);
            return Ok(());
        }
        Err(Reject::new(RejectCode::Gone, "this offer is over"))
    }

    pub(super) fn decline(
        &mut self,
        agent: AgentId,
        conversation: ConversationId,
        now: UnixMillis,
    ) -> Result<(), Reject> {
        let standing = *self.standing(conversation).ok_or_else(no_conversation)?;
        if standing.offered_to != Some(agent) {
            return Err(Reject::new(RejectCode::Gone, "this offer is over"));
        }
        self.team.answered(agent);
        self.team.heard_of(agent);
        self.end_offer(conversation, End::Declined(now));
        Ok(())
    }

    pub(super) fn assign(
        &mut self,
        agent: AgentId,
        conversation: ConversationId,
        over_capacity: bool,
        now: UnixMillis,
    ) -> Result<(), Reject> {
        let standing = *self.standing(conversation).ok_or_else(no_conversation)?;
        if standing.state == ConversationState::Active {
            return if standing.assignee == Some(agent) {
                Ok(())
            } else {
                Err(Reject::new(RejectCode::Gone, "another agent has this conversation"))
            };
        }
        if !self.team.contains(agent) {
            return Err(no_agent());
        }
        if !self.team.is_connected(agent) {
            return Err(Reject::new(RejectCode::AtCapacity, "this agent is not connected"));
        }
        let offered_to_them = standing.offered_to == Some(agent);
        if !over_capacity && !offered_to_them && !self.team.has_room(agent) {
            return Err(Reject::new(RejectCode::AtCapacity, "the agent is at capacity"));
        }
        self.give(conversation, agent, EventKind::Assigned, now);
        Ok(())
    }

    pub(super) fn transfer(
        &mut self,
        from: AgentId,
        to: AgentId,
        conversation: ConversationId,
        now: UnixMillis,
    ) -> Result<(), Reject> {
        let standing = *self.standing(conversation).ok_or_else(no_conversation)?;
        if standing.state != ConversationState::Active || standing.assignee != Some(from) {
            return Err(Reject::new(RejectCode::Gone, "the giver no longer has this conversation"));
        }
        if from == to {
            let words = "agent: this agent has the conversation already";
            return Err(Reject::new(RejectCode::Invalid, words));
        }
        if standing.offered_to == Some(to) {
            return Ok(());
        }
        if standing.offered_to.is_some() {
            return Err(Reject::new(RejectCode::Gone, "a transfer is under way"));
        }
        if !self.team.contains(to) {
            return Err(no_agent());
        }
        if !self.team.free(to) {
            return Err(Reject::new(RejectCode::AtCapacity, "the receiver takes nothing now"));
        }
        self.offer(conversation, to, now);
        Ok(())
    }

    pub(super) fn withdraw(&mut self, conversation: ConversationId) -> Result<(), Reject> {
        let standing = *self.standing(conversation).ok_or_else(no_conversation)?;
        if standing.state != ConversationState::Active || standing.offered_to.is_none() {
            let words =
                "no transfer of this conversation is under way: it was answered, or ran out";
            return Err(Reject::new(RejectCode::Gone, words));
        }
        self.end_offer(conversation, End::Withdrawn);
        Ok(())
    }

    pub(super) fn take_over(
        &mut self,
        agent: AgentId,
        from: AgentId,
        conversation: ConversationId,
        now: UnixMillis,
    ) -> Result<(), Reject> {
        let standing = *self.standing(conversation).ok_or_else(no_conversation)?;
        if agent == from {
            let words = "from: name the agent from whom it is taken, not who takes it";
            return Err(Reject::new(RejectCode::Invalid, words));
        }
        if standing.state == ConversationState::Active && standing.assignee == Some(agent) {
            return Ok(());
        }
        if standing.state != ConversationState::Active || standing.assignee != Some(from) {
            let words = "the agent from whom it is to be taken no longer has this conversation";
            return Err(Reject::new(RejectCode::Gone, words));
        }
        if !self.team.is_connected(agent) {
            return Err(Reject::new(RejectCode::AtCapacity, "this agent is not connected"));
        }
        self.give(conversation, agent, EventKind::Transferred, now);
        Ok(())
    }

    /// Makes the agent its one assignee.
    pub(super) fn give(
        &mut self,
        conversation: ConversationId,
        agent: AgentId,
        event: EventKind,
        now: UnixMillis,
    ) {
        // What they had until now was due at this moment: this one has a time of its own.
        if let Some(at) = self.team.grace_due(agent, now) {
            self.clear_timer(Some(at), Timer::Grace(agent));
            if self.team.grace_over(agent, at) {
                self.requeue_all(agent, now);
            }
        }
        let Some(standing) = self.standing(conversation).copied() else { return };
        let waited_ms = standing.waiting_since.map(|since| now.ms_since(since));
        let asked = standing.offered_to == Some(agent);
        self.end_offer(conversation, if asked { End::Accepted } else { End::Withdrawn });
        self.queue.leave_served(
            conversation,
            waited_ms.filter(|_| !standing.channel.is_offline_message()),
        );
        self.change(conversation, |standing| {
            standing.state = ConversationState::Active;
            standing.assignee = Some(agent);
            standing.waiting_since = None;
            standing.position = None;
        });
        if let Some(entry) = self.conversations.get_mut(&conversation) {
            entry.asked = None;
        }
        self.team.answered(agent);
        for worker in standing.assignee.into_iter().chain([agent]) {
            self.team.worked(worker);
        }
        self.event_message(conversation, event, Some(agent));
    }
}

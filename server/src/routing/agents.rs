//! Agents come and go: the grace of whoever is absent, and what becomes of what they had.

use protocol::conversation::ConversationState;
use protocol::ids::{AgentId, ConversationId};
use protocol::message::EventKind;
use protocol::time::UnixMillis;

use super::team::Absence;
use super::{Effect, End, Routing, Timer};

impl Routing {
    pub(super) fn gone(&mut self, agent: AgentId, now: UnixMillis) {
        if let Some(at) = self.team.gone(agent, now.plus_ms(self.config.grace_ms)) {
            self.timers.insert((at, Timer::Grace(agent)));
        }
        self.withdraw_excess(agent);
    }

    /// Whoever has conversations and is absent has them until a deadline; who is at work has none.
    pub(super) fn mind_absences(&mut self, now: UnixMillis) {
        let grace = now.plus_ms(self.config.grace_ms);
        for agent in self.team.touched() {
            match self.team.mind_absence(agent, grace) {
                Absence::Begins(until) => {
                    self.timers.insert((until, Timer::Grace(agent)));
                }
                Absence::Ends(until) => self.clear_timer(Some(until), Timer::Grace(agent)),
                Absence::AsBefore => {}
            }
        }
    }

    pub(super) fn removed(&mut self, agent: AgentId, now: UnixMillis) {
        if !self.team.contains(agent) {
            return;
        }
        let grace = self.team.close_to_work(agent);
        self.clear_timer(grace, Timer::Grace(agent));
        self.withdraw_excess(agent);
        self.requeue_all(agent, now);
        for conversation in self.team.owned_by(agent) {
            self.requeue(conversation, now);
        }
        self.team.remove(agent);
        self.effects.push(Effect::AgentChanged { agent });
    }

    /// Takes back the offers that an agent cannot accept any more: they left, chose otherwise, or
    /// take fewer.
    pub(super) fn withdraw_excess(&mut self, agent: AgentId) {
        for conversation in self.team.offers_in_excess(agent, |id| {
            self.conversations
                .get(&id)
                .is_some_and(|entry| entry.standing.offered_to == Some(agent))
        }) {
            self.end_offer(conversation, End::Withdrawn);
        }
    }

    pub(super) fn requeue_all(&mut self, agent: AgentId, now: UnixMillis) {
        // The oldest last: each goes to the head, so the oldest ends up first.
        for conversation in self.team.conversations(agent).into_iter().rev() {
            if self.standing(conversation).is_some_and(|s| s.assignee == Some(agent)) {
                self.requeue(conversation, now);
            }
        }
    }

    /// Back to the head of the queue, and the visitor is told.
    pub(super) fn requeue(&mut self, conversation: ConversationId, now: UnixMillis) {
        let Some(standing) = self.standing(conversation).copied() else { return };
        self.end_offer(conversation, End::Withdrawn);
        // As old as the oldest that waits, so that the position survives a restart.
        let since = self.queue.oldest_wait().map_or(now, |oldest| oldest.min(now));
        self.change(conversation, |standing| {
            standing.state = ConversationState::Queued;
            standing.assignee = None;
            standing.waiting_since = Some(since);
        });
        let ticket = self.queue.ticket_returned();
        self.enter_queue(conversation, ticket, since);
        self.event_message(conversation, EventKind::Requeued, standing.assignee);
    }
}

//! Offers and their deadlines, and all else that has a time: grace, rest after an offer that was
//! not taken. An offer is a lease: one agent has it until its deadline, and then it goes on by
//! itself.

use protocol::conversation::ConversationState;
use protocol::ids::{AgentId, ConversationId};
use protocol::time::UnixMillis;

use super::{Effect, End, Routing, Timer};

impl Routing {
    pub(super) fn offer(&mut self, conversation: ConversationId, agent: AgentId, now: UnixMillis) {
        let deadline = now.plus_ms(self.config.offer_ms);
        let Some(entry) = self.conversations.get_mut(&conversation) else { return };
        let transfer_from = entry.standing.assignee;
        if transfer_from.is_none() {
            entry.asked.get_or_insert_default().last = Some(agent);
        }
        self.change(conversation, |standing| {
            if transfer_from.is_none() {
                standing.state = ConversationState::Offered;
            }
            standing.offered_to = Some(agent);
            standing.deadline = Some(deadline);
        });
        self.timers.insert((deadline, Timer::Offer(conversation)));
        self.effects.push(Effect::Offer { conversation, agent, deadline, transfer_from });
    }

    /// Ends the offer of a conversation, if there is one: it waits again, or stays with the giver.
    /// Who was asked and does not want it is left alone with it for a while.
    pub(super) fn end_offer(&mut self, conversation: ConversationId, end: End) {
        let Some(entry) = self.conversations.get_mut(&conversation) else { return };
        let Some(agent) = entry.standing.offered_to else { return };
        let (count, rest_from) = match end {
            End::Accepted => (&mut self.ended.accepted, None),
            End::Declined(now) => (&mut self.ended.declined, Some(now)),
            End::Missed(now) => (&mut self.ended.missed, Some(now)),
            End::Withdrawn => (&mut self.ended.withdrawn, None),
        };
        *count += 1;
        let deadline = entry.standing.deadline;
        let from_queue = entry.standing.assignee.is_none();
        let rest = rest_from.filter(|_| from_queue).map(|now| now.plus_ms(self.config.rest_ms));
        if let Some(until) = rest {
            entry.asked.get_or_insert_default().resting.insert(agent, until);
            self.timers.insert((until, Timer::Rest(conversation)));
        }
        self.clear_timer(deadline, Timer::Offer(conversation));
        self.change(conversation, |standing| {
            if from_queue {
                standing.state = ConversationState::Queued;
            }
            standing.offered_to = None;
            standing.deadline = None;
        });
        self.effects.push(Effect::OfferOver { conversation, agent });
    }

    /// Offers what waits to those who are free, the oldest first. It looks at no more than they can
    /// take, at what is offered already, and at what they have just turned down.
    pub(super) fn offer_waiting(&mut self, now: UnixMillis) {
        let mut at = 0;
        while self.team.anyone_free() {
            let Some(conversation) = self.queue.nth(at) else { return };
            at += 1;
            let Some(entry) = self.conversations.get(&conversation) else { continue };
            if entry.standing.state != ConversationState::Queued {
                continue;
            }
            let asked = entry.asked.as_deref();
            let until = |agent| asked.and_then(|asked| asked.resting.get(&agent));
            let rests = |agent| until(agent).is_some_and(|until| now < *until);
            if let Some(agent) = self.team.choose(asked.and_then(|asked| asked.last), rests) {
                self.offer(conversation, agent, now);
            }
        }
    }

    pub(super) fn fire_due(&mut self, now: UnixMillis) {
        while let Some((at, timer)) = self.timers.first().copied() {
            if at > now {
                return;
            }
            self.timers.remove(&(at, timer));
            match timer {
                Timer::Offer(conversation) => self.missed(conversation, at, now),
                Timer::Grace(agent) => {
                    if self.team.grace_over(agent, at) {
                        self.requeue_all(agent, now);
                    }
                }
                Timer::Rest(conversation) => {
                    let entry = self.conversations.get_mut(&conversation);
                    if let Some(asked) = entry.and_then(|entry| entry.asked.as_deref_mut()) {
                        asked.resting.retain(|_, until| *until > now);
                    }
                }
            }
        }
    }

    pub(super) fn missed(&mut self, conversation: ConversationId, at: UnixMillis, now: UnixMillis) {
        let Some(standing) = self.standing(conversation).copied() else { return };
        let Some(agent) = standing.offered_to.filter(|_| standing.deadline == Some(at)) else {
            return;
        };
        self.end_offer(conversation, End::Missed(now));
        if self.team.missed(agent) >= self.config.misses_max {
            self.team.set_away(agent);
            self.withdraw_excess(agent);
        }
    }

    /// The clock stepped back: nothing may last longer than it would from now.
    pub(super) fn step_back(&mut self, now: UnixMillis) {
        let offer = now.plus_ms(self.config.offer_ms);
        let rest = now.plus_ms(self.config.rest_ms);
        // What may last too long has a timer, and nothing else has to be looked at.
        for (_, timer) in std::mem::take(&mut self.timers) {
            match timer {
                Timer::Offer(id) => self.change(id, |standing| {
                    standing.deadline = standing.deadline.map(|at| at.min(offer));
                }),
                Timer::Rest(id) => {
                    let entry = self.conversations.get_mut(&id);
                    let asked = entry.and_then(|entry| entry.asked.as_deref_mut());
                    for until in asked.into_iter().flat_map(|asked| asked.resting.values_mut()) {
                        *until = rest.min(*until);
                        self.timers.insert((*until, timer));
                    }
                }
                Timer::Grace(_) => {}
            }
            if let Timer::Offer(id) = timer
                && let Some(at) = self.standing(id).and_then(|standing| standing.deadline)
            {
                self.timers.insert((at, timer));
            }
        }
        for (agent, at) in self.team.shorten_grace(now.plus_ms(self.config.grace_ms)) {
            self.timers.insert((at, Timer::Grace(agent)));
        }
    }

    pub(super) fn clear_timer(&mut self, at: Option<UnixMillis>, timer: Timer) {
        if let Some(at) = at {
            self.timers.remove(&(at, timer));
        }
    }
}

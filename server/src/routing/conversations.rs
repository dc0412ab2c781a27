//! Conversations come and go: restored, opened, opened again, closed.

use protocol::conversation::{ConversationState, SiteAvailability};
use protocol::ids::{AgentId, ConversationId, SiteId};
use protocol::message::EventKind;
use protocol::reject::Reject;
use protocol::time::UnixMillis;

use super::queue::Ticket;
use super::{End, Entry, Routing, Standing, no_conversation};
use crate::channel::Channel;

impl Routing {
    pub(super) fn restore(
        &mut self,
        conversation: ConversationId,
        standing: Standing,
        now: UnixMillis,
    ) {
        if standing.state == ConversationState::Closed
            || self.conversations.contains_key(&conversation)
        {
            return;
        }
        self.sites.insert(standing.site);
        self.before.insert(conversation, Some(standing));
        let owned = standing.assignee.filter(|_| !standing.waits());
        if owned.is_none() {
            let since = standing.waiting_since.unwrap_or(now);
            self.enter(conversation, standing, self.queue.ticket_restored(since), since);
            return;
        }
        self.insert(conversation, Standing { waiting_since: None, ..standing });
    }

    pub(super) fn opened(&mut self, conversation: ConversationId, site: SiteId, now: UnixMillis) {
        if self.conversations.contains_key(&conversation) {
            return;
        }
        self.before.insert(conversation, None);
        self.come_in(conversation, site, 0, now);
    }

    pub(super) fn reopened(
        &mut self,
        conversation: ConversationId,
        site: SiteId,
        version: u64,
        former: Option<AgentId>,
        now: UnixMillis,
    ) {
        let known = self.standing(conversation).copied();
        if known.is_some_and(|standing| standing.state != ConversationState::Snoozed) {
            return;
        }
        let version = known.map_or(version, |standing| standing.version);
        self.before.insert(conversation, known);
        self.forget(conversation);
        self.come_in(conversation, site, version, now);
        if let Some(agent) = former.filter(|agent| self.team.free(*agent)) {
            // It never really waited: nothing to learn for the estimate.
            self.queue.leave_unserved(conversation);
            self.give(conversation, agent, EventKind::Assigned, now);
        }
    }

    /// To the end of the queue.
    pub(super) fn come_in(
        &mut self,
        conversation: ConversationId,
        site: SiteId,
        version: u64,
        now: UnixMillis,
    ) {
        self.sites.insert(site);
        let standing = Standing {
            site,
            version,
            state: ConversationState::Queued,
            assignee: None,
            offered_to: None,
            deadline: None,
            waiting_since: Some(now),
            position: None,
            channel: Channel::of_widget(self.team.promise() == SiteAvailability::Unavailable),
        };
        self.enter(conversation, standing, self.queue.ticket_last(now), now);
    }

    pub(super) fn enter(
        &mut self,
        conversation: ConversationId,
        standing: Standing,
        ticket: Ticket,
        since: UnixMillis,
    ) {
        self.insert(
            conversation,
            Standing {
                state: ConversationState::Queued,
                assignee: None,
                waiting_since: Some(since),
                ..standing
            },
        );
        self.enter_queue(conversation, ticket, since);
    }

    pub(super) fn insert(&mut self, conversation: ConversationId, standing: Standing) {
        let entry = Entry { standing, asked: None };
        self.conversations.insert(conversation, Box::new(entry));
        self.team.index(conversation, None, Some(&standing));
    }

    pub(super) fn enter_queue(
        &mut self,
        conversation: ConversationId,
        ticket: Ticket,
        since: UnixMillis,
    ) {
        if self.conversations.contains_key(&conversation) {
            self.queue.enter(ticket, since, conversation);
        }
    }

    pub(super) fn closed(&mut self, conversation: ConversationId) -> Result<(), Reject> {
        let standing = *self.standing(conversation).ok_or_else(no_conversation)?;
        self.end_offer(conversation, End::Withdrawn);
        self.change(conversation, |standing| {
            standing.state = ConversationState::Closed;
            standing.waiting_since = None;
            standing.position = None;
        });
        self.queue.leave_unserved(conversation);
        if let Some(agent) = standing.assignee {
            self.team.worked(agent);
        }
        Ok(())
    }

    /// Takes a conversation out of all books but `before`.
    pub(super) fn forget(&mut self, conversation: ConversationId) {
        if let Some(entry) = self.conversations.remove(&conversation) {
            self.queue.leave_unserved(conversation);
            self.team.index(conversation, Some(&entry.standing), None);
        }
    }
}

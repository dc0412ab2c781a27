//! Runs what routing decides: states, offers, positions in the queue.
//!
//! Lives here: handing inputs to `routing` under the desk's lock, and carrying out the effects
//! outside of it. Not here: which agent is asked (`routing`), what agents do (`act`), who is
//! connected (`presence`).

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::conversation::SiteAvailability;
use protocol::frame::ServerFrame;
use protocol::ids::{AgentId, ConversationId, SiteId, TenantId};
use protocol::message::Author;
use protocol::reject::{CloseCode, Reject};

use super::board::{Board, tell_what_holds};
use super::desk::{Desk, DeskState, Standing};
use super::desks::Desks;
use super::event::EventMessages;
use super::fanout::FrameSink;
use super::newest::RoomFacts;
use super::rooms::Rooms;
use super::sites::{Shown, Sites};
use super::speaker::Actor;
use super::tally;
use super::times::Times;
use crate::metrics::{Closed, Metrics};
use crate::privacy::gate::Reader;
use crate::routing::{Effect, Input};
use crate::store::AgentRow;
use crate::tasks;

/// The executor of routing's effects.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(super) times: Arc<Times>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) sites: Arc<Sites>,
    pub(super) rooms: Arc<Rooms>,
    pub(super) desks: Arc<Desks>,
    pub(super) board: Arc<Board>,
    pub(super) events: Arc<EventMessages>,
}

impl Assignment {
    /// Hands an input to routing and runs what comes of it; changed headers are on disk when it
    /// returns.
    pub(super) async fn route(&self, desk: &Desk, input: Input) -> Result<(), Reject> {
        let effects = self.decide(desk, input)?;
        self.run(desk, effects).await
    }

    /// Closes a conversation, and counts who did.
    pub(super) async fn route_end(
        &self,
        desk: &Desk,
        conversation: ConversationId,
        by: Closed,
    ) -> Result<(), Reject> {
        let effects = self.decide(desk, Input::Closed { conversation })?;
        self.metrics.conversations_closed_total.of(by).inc();
        self.run(desk, effects).await
    }

    /// What comes of an input, written into the headers.
    fn decide(&self, desk: &Desk, input: Input) -> Result<Vec<Effect>, Reject> {
        let mut state = desk.state.lock();
        // Under the lock: two inputs that swapped would be a clock that steps back.
        let now = self.times.now();
        let taken = tally::is_taken(&input);
        let effects = state.routing.handle(input, now)?;
        tally::offers(&self.metrics, state.routing.take_offers_ended());
        tally::opened(&self.metrics, &input, &effects);
        tally::assigned(&self.metrics, &state, &effects, taken, now);
        state.apply(&effects, now);
        Ok(effects)
    }

    /// Runs effects that were applied to the headers already. Others run at the same time, and an
    /// older one may come to its end later: nothing is told that does not hold any more, and what
    /// holds instead is told by its own effect.
    pub(super) async fn run(&self, desk: &Desk, effects: Vec<Effect>) -> Result<(), Reject> {
        let mut changed = BTreeSet::new();
        for effect in &effects {
            match effect {
                Effect::Changed { conversation, .. } => {
                    changed.insert(*conversation);
                }
                Effect::EventMessage { conversation, event, agent } => {
                    self.events.write(desk.tenant, *conversation, *event, *agent).await;
                }
                Effect::Offer { .. }
                | Effect::OfferOver { .. }
                | Effect::Position { .. }
                | Effect::AgentChanged { .. }
                | Effect::SiteAvailability { .. } => {}
            }
        }
        // The new states before what follows from them: who is asked for the next conversation has
        // seen that the last one is closed, and is never shown more than they take.
        for conversation in &changed {
            self.board.publish(desk, *conversation).await;
        }
        for effect in effects {
            self.tell(desk, effect).await;
        }
        self.desks.persist(desk, &changed).await
    }

    /// Tells what follows from a change, if it holds still.
    async fn tell(&self, desk: &Desk, effect: Effect) {
        match effect {
            Effect::Changed { .. } | Effect::EventMessage { .. } => {}
            Effect::Offer { conversation, agent, .. } => {
                let facts = self.board.facts(desk, conversation).await;
                let shown = self.sites.shown();
                // Told twice is no harm: a clock that stepped back moved the deadline since,
                // and they may have been asked anew.
                tell_what_holds(desk, |state| {
                    let offer = offer(state, conversation, agent, &facts, &shown)?;
                    Some((state.agent_sinks(agent), offer))
                });
            }
            Effect::OfferOver { conversation, agent } => tell_what_holds(desk, |state| {
                let standing = state.routing.standing(conversation);
                // They were asked again meanwhile: the new question replaces the old one.
                let asked = standing.is_some_and(|standing| standing.offered_to == Some(agent));
                let over = ServerFrame::OfferOver { conversation };
                (!asked).then(|| (state.agent_sinks(agent), over))
            }),
            Effect::Position { conversation, position, wait_ms } => {
                let sinks = self.rooms.sinks(conversation, Reader::Visitor);
                tell_what_holds(desk, |state| {
                    let standing = state.routing.standing(conversation)?;
                    let promise = state.routing.site_availability(standing.site);
                    let unserved = promise == SiteAvailability::Unavailable;
                    let place = ServerFrame::Queue {
                        conversation,
                        position,
                        // Those served before say nothing of how long it takes until somebody
                        // comes.
                        wait_ms: wait_ms.filter(|_| !unserved),
                        unserved: unserved.then_some(true),
                    };
                    (standing.position == Some(position)).then_some((sinks, place))
                });
            }
            Effect::AgentChanged { agent } => tell_what_holds(desk, |state| {
                let card = state.agent_card(agent, Reader::Agents)?;
                Some((who_sees(state, agent), ServerFrame::Agent { card }))
            }),
            Effect::SiteAvailability { site, availability } => tell_what_holds(desk, |state| {
                let holds = state.routing.site_availability(site) == availability;
                let promise = ServerFrame::Availability { availability };
                holds.then(|| (site_sinks(state, site), promise))
            }),
        }
    }

    /// It joins the queue, and who is to have it gets it in the same step: nobody else is asked in
    /// between.
    pub(super) async fn come_in(
        &self,
        desk: &Desk,
        conversation: ConversationId,
        site: SiteId,
        assignee: Option<AgentId>,
    ) -> Result<(), Reject> {
        let effects = {
            let mut state = desk.state.lock();
            let now = self.times.now();
            let input = Input::Opened { conversation, site };
            let mut effects = state.routing.handle(input, now)?;
            tally::opened(&self.metrics, &input, &effects);
            tally::assigned(&self.metrics, &state, &effects, false, now);
            state.apply(&effects, now);
            let given = assignee.map(|agent| {
                // Judged before anything was stored.
                let over_capacity = true;
                state.routing.handle(Input::Assign { agent, conversation, over_capacity }, now)
            });
            // Who left a moment ago gets nothing: it waits in the queue.
            if let Some(Ok(more)) = given {
                tally::offers(&self.metrics, state.routing.take_offers_ended());
                tally::assigned(&self.metrics, &state, &more, true, now);
                state.apply(&more, now);
                effects.extend(more);
            }
            effects
        };
        self.run(desk, effects).await
    }

    /// Asks an agent at one connection about what they are asked already.
    pub(super) async fn tell_offers(
        &self,
        desk: &Desk,
        agent: AgentId,
        offered: &[ConversationId],
        sink: &Arc<dyn FrameSink>,
    ) {
        let facts = self.board.facts_of_all(desk, offered).await;
        for conversation in offered {
            let facts = facts.get(conversation).cloned().unwrap_or_default();
            let shown = self.sites.shown();
            tell_what_holds(desk, |state| {
                let offer = offer(state, *conversation, agent, &facts, &shown)?;
                Some((vec![Arc::clone(sink)], offer))
            });
        }
    }

    /// Who has this conversation says something in it: if they were thought not to be at
    /// their desk, they are.
    pub(super) fn note_sign(self: &Arc<Self>, tenant: TenantId, who: Actor, standing: &Standing) {
        if standing.unheard
            && let Some(agent) = who.agent()
            && standing.assignee == Some(agent)
            && let Some(desk) = self.desks.live(tenant)
        {
            self.note_work(desk, agent);
        }
    }

    /// Who let offers run out is at their desk after all.
    pub(super) fn note_work(self: &Arc<Self>, desk: Arc<Desk>, agent: AgentId) {
        let assignment = Arc::clone(self);
        drop(tasks::spawn("an agent at work", async move {
            if let Err(reject) = assignment.route(&desk, Input::Acted { agent }).await {
                tracing::warn!(agent_id = %agent, reject_code = reject.code.word(), "an agent's change was not written; it will be");
            }
        }));
    }

    /// An agent was stored anew, or is new. What they may do counts at once; offers move later.
    pub(crate) async fn agent_changed(&self, row: AgentRow) {
        // It may be loading at this moment, from what stood in the store before.
        let Ok(desk) = self.desks.get(row.tenant).await else { return };
        let active = row.active;
        let agent = row.agent;
        let (effects, sinks, renamed) = {
            let mut state = desk.state.lock();
            let now = self.times.now();
            let named = state.agents.get(&agent).map(|seat| seat.row.name.clone());
            let looks = state.agent_card(agent, Reader::Agents);
            let other_name = named.is_some_and(|name| name != row.name);
            let mut effects = state.know_agent(row, now);
            // Name and role are nothing to routing, and are on every screen.
            let changed = Effect::AgentChanged { agent };
            if state.agent_card(agent, Reader::Agents) != looks && !effects.contains(&changed) {
                effects.push(changed);
            }
            tally::offers(&self.metrics, state.routing.take_offers_ended());
            tally::assigned(&self.metrics, &state, &effects, false, now);
            state.apply(&effects, now);
            let renamed = if other_name { state.renamed(agent) } else { BTreeSet::new() };
            (effects, state.agent_sinks(agent), renamed)
        };
        if !active {
            for sink in sinks {
                sink.close(CloseCode::NotAuthenticated);
            }
        }
        let told = self.run(&desk, effects).await;
        if let Err(reject) = told.and(self.board.show(&desk, &renamed).await) {
            tracing::warn!(agent_id = %agent, reject_code = reject.code.word(), "an agent's change was not written; it will be");
        }
    }
}

/// The question to an agent as it stands now; none if they are not asked.
fn offer(
    state: &DeskState,
    conversation: ConversationId,
    agent: AgentId,
    facts: &RoomFacts,
    shown: &Shown<'_>,
) -> Option<ServerFrame<'static>> {
    let standing = state.routing.standing(conversation)?;
    let deadline = standing.deadline.filter(|_| standing.offered_to == Some(agent))?;
    let mut card = state.card(conversation, facts, Reader::Agents, shown)?;
    // What they are asked for is the visitor's: neither a note nor a colleague's words stand
    // for it.
    card.last_author = facts.asked.as_ref().map(|_| Author::Visitor);
    card.last_message_at = facts.asked.as_ref().map(|(_, at)| *at);
    card.preview = facts.asked.as_ref().map(|(words, _)| words.clone());
    let transfer_from = standing.assignee;
    Some(ServerFrame::Offer { conversation, deadline, card, transfer_from })
}

/// Whoever follows an agent's state: the boards, and the agent's own windows.
fn who_sees(state: &DeskState, agent: AgentId) -> Vec<Arc<dyn FrameSink>> {
    let mut sinks = state.board.clone();
    for own in state.agent_sinks(agent) {
        if sinks.iter().all(|sink| sink.connection() != own.connection()) {
            sinks.push(own);
        }
    }
    sinks
}

/// Every visitor's connection at a site.
fn site_sinks(state: &DeskState, site: SiteId) -> Vec<Arc<dyn FrameSink>> {
    let guests = state.visitors.values().filter(|guest| guest.site == site);
    guests.flat_map(|guest| guest.sinks.iter().map(Arc::clone)).collect()
}

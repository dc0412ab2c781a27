//! Who answers whom: one queue of an Organization with one owner, offers with deadlines, transfers,
//! and what happens when an agent's line goes away. Pure: an input and the time in, effects out.
//!
//! Lives here: the order of waiting, the choice of an agent, capacity, grace.
//! Not here: sockets, clocks, rows, who may do what (the hub checks the role before it calls).
//! Called by the hub alone, one [`Routing`] for each tenant, under one lock. Departments will be
//! several [`Line`]s in one `Routing`, sharing the team; nothing else here knows that there is one.
//!
//! What always holds, and is tested with random inputs: a conversation that is not closed has a place
//! in the line, an offer with a deadline, or an assignee whose absence has a deadline; nobody is
//! offered or given more than their capacity unless somebody asked for just that; an older
//! conversation is offered before a younger one to every agent who could take either.
//!
//! Absent is who has no connection, who chose to be offline with the console open, and who let offers run out
//! until they were set to away and has done nothing since. Who chose to be away is at work.

mod board;
mod line;
mod ranked;
mod team;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod properties;

use std::collections::{BTreeMap, BTreeSet};

use protocol::conversation::{
    Availability, AvailabilityCause, ConversationState, Presence, SiteAvailability,
};
use protocol::ids::{AgentId, ConversationId, SiteId, TenantId};
use protocol::message::EventKind;
use protocol::reject::{Reject, RejectCode};
use protocol::time::UnixMillis;

use crate::channel::Channel;

pub use board::{BoardPlace, NoPlace};
use line::{Line, Turn};
use team::{Absence, Team};

/// Places behind the head of the line that one turn looks at.
const PLACES_PER_TURN: usize = 256;

/// The times that routing works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutingConfig {
    /// How long an agent may think about an offer.
    pub offer_ms: u64,
    /// How long an absent agent keeps their conversations.
    pub grace_ms: u64,
    /// How long an agent who declined or missed a conversation is not asked about it again.
    pub rest_ms: u64,
    /// Offers missed one after the other that set an agent to away.
    pub misses_max: u8,
}

impl Default for RoutingConfig {
    fn default() -> Self {
        Self { offer_ms: 30_000, grace_ms: 45_000, rest_ms: 30_000, misses_max: 2 }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A conversation that is not closed, out of the store, at start. Offers do not survive a restart.
    Restore {
        conversation: ConversationId,
        site: SiteId,
        version: u64,
        state: ConversationState,
        assignee: Option<AgentId>,
        waiting_since: Option<UnixMillis>,
        channel: Channel,
    },
    /// A visitor opened a conversation.
    Opened { conversation: ConversationId, site: SiteId },
    /// A closed or snoozed conversation goes on; `former` gets it if they are there and have room.
    Reopened { conversation: ConversationId, site: SiteId, version: u64, former: Option<AgentId> },
    /// A conversation was closed.
    Closed { conversation: ConversationId },
    /// An agent of the Organization, new or changed.
    AgentKnown { agent: AgentId, availability: Availability, capacity: u16 },
    /// An agent's account ended: what they have waits again at once.
    AgentRemoved { agent: AgentId },
    /// An agent has a connection.
    AgentConnected { agent: AgentId },
    /// An agent's last connection closed.
    AgentGone { agent: AgentId },
    /// An agent chose.
    Availability { agent: AgentId, availability: Availability, capacity: Option<u16> },
    /// An agent accepts what they were offered.
    Accept { agent: AgentId, conversation: ConversationId },
    /// An agent declines what they were offered.
    Decline { agent: AgentId, conversation: ConversationId },
    /// An agent takes a waiting conversation out of turn, or is given it.
    Assign { agent: AgentId, conversation: ConversationId, over_capacity: bool },
    /// An agent offers what they have to another.
    Transfer { from: AgentId, to: AgentId, conversation: ConversationId },
    /// The offer of a transfer is taken back.
    Withdraw { conversation: ConversationId },
    /// An agent takes over what another has.
    TakeOver { agent: AgentId, from: AgentId, conversation: ConversationId },
    /// An agent did something for a visitor: they are at their desk, whatever they missed.
    Acted { agent: AgentId },
    /// Time passed.
    Tick,
}

/// Where a conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub site: SiteId,
    /// Grows with each change of what is shown, but that of the position.
    pub version: u64,
    pub state: ConversationState,
    /// Who has it; during a transfer, the giver.
    pub assignee: Option<AgentId>,
    /// Who is asked, out of the line or by a transfer.
    pub offered_to: Option<AgentId>,
    /// When the offer ends.
    pub deadline: Option<UnixMillis>,
    /// Since when it waits; only while it does.
    pub waiting_since: Option<UnixMillis>,
    /// Its place among those that wait, from 1, as it was told last; an offered one still waits. Far behind it may lie a
    /// few seconds back: [`Routing::position`] knows where it stands now.
    pub position: Option<u32>,
    /// By which way it came.
    pub channel: Channel,
}

impl Standing {
    /// Whether it waits for an agent.
    pub fn waits(&self) -> bool {
        matches!(self.state, ConversationState::Queued | ConversationState::Offered)
    }

    fn same_but_for_position(&self, other: &Self) -> bool {
        Self { position: None, version: 0, ..*self }
            == Self { position: None, version: 0, ..*other }
    }
}

/// Where an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentStanding {
    pub agent: AgentId,
    /// What they chose, or what two missed offers chose for them.
    pub availability: Availability,
    /// Why it is not what they chose.
    pub cause: Option<AvailabilityCause>,
    /// Connected, or gone for less than the grace.
    pub connected: Presence,
    pub capacity: u16,
    /// Their active conversations and the offers they have not answered.
    pub load: u16,
}

/// What the hub is to do, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A conversation changed: keep it and tell its room and the board. At most once for each input;
    /// a closed one is forgotten here after it.
    Changed { conversation: ConversationId, standing: Standing },
    /// Ask an agent. Exactly one [`Effect::OfferOver`] follows, now or later.
    Offer {
        conversation: ConversationId,
        agent: AgentId,
        deadline: UnixMillis,
        /// Who gives it; none: it comes from the line.
        transfer_from: Option<AgentId>,
    },
    /// The question to this agent is over, however it ended.
    OfferOver { conversation: ConversationId, agent: AgentId },
    /// The place of a waiting conversation changed.
    Position {
        conversation: ConversationId,
        position: u32,
        /// How long it will probably wait, once enough have been served to tell.
        wait_ms: Option<u64>,
    },
    /// A line of the system for the transcript.
    Line { conversation: ConversationId, event: EventKind, agent: Option<AgentId> },
    /// An agent's standing changed.
    AgentChanged { agent: AgentId },
    /// What a site may promise changed.
    SiteAvailability { site: SiteId, availability: SiteAvailability },
}

/// How questions to agents ended, since that was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OffersEnded {
    pub accepted: u64,
    pub declined: u64,
    pub missed: u64,
    /// Taken back: closed, given to another, or the agent left or takes no more.
    pub withdrawn: u64,
}

/// How one ended. Who said no or nothing is left alone with it for a while, from that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Accepted,
    Declined(UnixMillis),
    Missed(UnixMillis),
    Withdrawn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Offer(ConversationId),
    Grace(AgentId),
    Rest(ConversationId),
}

#[derive(Debug)]
struct Entry {
    standing: Standing,
    /// Those who declined or missed it lately, and until when they are left alone with it.
    resting: BTreeMap<AgentId, UnixMillis>,
    /// The last one who was asked.
    asked_last: Option<AgentId>,
}

/// The queue and the team of one Organization.
#[derive(Debug)]
pub struct Routing {
    tenant: TenantId,
    config: RoutingConfig,
    conversations: BTreeMap<ConversationId, Entry>,
    team: Team,
    line: Line,
    timers: BTreeSet<(UnixMillis, Timer)>,
    sites: BTreeSet<SiteId>,
    promised: SiteAvailability,
    now: UnixMillis,
    /// Standings before the input at hand; `None`: it was not known.
    before: BTreeMap<ConversationId, Option<Standing>>,
    effects: Vec<Effect>,
    ended: OffersEnded,
}

impl Routing {
    /// Nobody and nothing yet.
    pub fn new(tenant: TenantId, config: RoutingConfig) -> Self {
        Self {
            tenant,
            config,
            conversations: BTreeMap::new(),
            team: Team::default(),
            line: Line::default(),
            timers: BTreeSet::new(),
            sites: BTreeSet::new(),
            promised: SiteAvailability::Unavailable,
            now: UnixMillis(0),
            before: BTreeMap::new(),
            effects: Vec::new(),
            ended: OffersEnded::default(),
        }
    }

    /// Whose it is.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// A site's visitors want to know what it may promise: they are told of changes from now on.
    pub fn know_site(&mut self, site: SiteId) {
        self.sites.insert(site);
    }

    /// Takes one input in; `now` is wall time, and may step back.
    ///
    /// # Errors
    /// If an agent asks for what cannot be; then nothing changed.
    pub fn handle(&mut self, input: Input, now: UnixMillis) -> Result<Vec<Effect>, Reject> {
        self.take_in(input, now)?;
        if now < self.now {
            self.step_back(now);
        }
        self.now = now;
        // Whoever is back before their time was looked at is back in time.
        self.mind_absences(now);
        self.fire_due(now);
        self.mind_absences(now);
        self.offer_waiting(now);
        Ok(self.finish())
    }

    /// Tells places behind the head of the line that changed, as many as one turn may take. To be called again and
    /// again: what came before the turn is told with one of the next.
    pub fn tell_places(&mut self) -> Vec<Effect> {
        let places = self.line.behind(PLACES_PER_TURN);
        places.into_iter().filter_map(|(at, conversation)| self.place(at, conversation)).collect()
    }

    /// The place of one that waits, from 1, at this moment.
    pub fn position(&self, conversation: ConversationId) -> Option<u32> {
        self.line.position(conversation)
    }

    /// When the next `Tick` is due at the latest.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Where a conversation stands; `None` once it is closed.
    pub fn standing(&self, conversation: ConversationId) -> Option<&Standing> {
        self.conversations.get(&conversation).map(|entry| &entry.standing)
    }

    /// What this site may promise its visitors now. One line and one team: the same for every site.
    pub fn site_availability(&self, _site: SiteId) -> SiteAvailability {
        self.team.promise()
    }

    /// Something that a conversation shows beside its standing changed: its next version. `None` once it is closed.
    pub fn amended(&mut self, conversation: ConversationId) -> Option<u64> {
        let standing = &mut self.conversations.get_mut(&conversation)?.standing;
        standing.version += 1;
        Some(standing.version)
    }

    /// What an agent is asked at the moment, and where they were asked.
    pub fn offers_to(&self, agent: AgentId) -> Vec<ConversationId> {
        let asked = |id: &ConversationId| {
            self.standing(*id).is_some_and(|standing| standing.offered_to == Some(agent))
        };
        self.team.conversations(agent).into_iter().filter(asked).collect()
    }

    /// How questions to agents ended since the last call: for whoever counts.
    pub fn take_offers_ended(&mut self) -> OffersEnded {
        std::mem::take(&mut self.ended)
    }

    /// Where an agent stands, if they are known here.
    pub fn agent(&self, agent: AgentId) -> Option<AgentStanding> {
        self.team.standing(agent)
    }

    /// Whether this agent could be given a conversation now.
    pub fn takes(&self, agent: AgentId, over_capacity: bool) -> bool {
        self.team.is_connected(agent) && (over_capacity || self.team.has_room(agent))
    }

    /// Whether they let offers run out until they were set to away, and have done nothing since:
    /// the next thing they do is worth an [`Input::Acted`].
    pub fn is_unheard(&self, agent: AgentId) -> bool {
        self.team.is_unheard(agent)
    }

    /// All agents known here.
    pub fn agents(&self) -> impl Iterator<Item = AgentStanding> {
        self.team.standings()
    }

    fn take_in(&mut self, input: Input, now: UnixMillis) -> Result<(), Reject> {
        match input {
            Input::Tick => {}
            Input::Restore {
                conversation,
                site,
                version,
                state,
                assignee,
                waiting_since,
                channel,
            } => {
                let standing = Standing {
                    site,
                    version,
                    state,
                    assignee,
                    offered_to: None,
                    deadline: None,
                    waiting_since,
                    position: None,
                    channel,
                };
                self.restore(conversation, standing, now);
            }
            Input::Opened { conversation, site } => self.opened(conversation, site, now),
            Input::Reopened { conversation, site, version, former } => {
                self.reopened(conversation, site, version, former, now);
            }
            Input::Closed { conversation } => self.closed(conversation)?,
            Input::AgentKnown { agent, availability, capacity } => {
                self.team.known(agent, availability, capacity);
                self.withdraw_excess(agent);
            }
            Input::AgentRemoved { agent } => self.removed(agent, now),
            Input::AgentConnected { agent } => self.team.connected(agent),
            Input::AgentGone { agent } => self.gone(agent, now),
            Input::Availability { agent, availability, capacity } => {
                self.team.chose(agent, availability, capacity).ok_or_else(no_agent)?;
                self.withdraw_excess(agent);
            }
            Input::Accept { agent, conversation } => self.accept(agent, conversation, now)?,
            Input::Decline { agent, conversation } => self.decline(agent, conversation, now)?,
            Input::Assign { agent, conversation, over_capacity } => {
                self.assign(agent, conversation, over_capacity, now)?;
            }
            Input::Transfer { from, to, conversation } => {
                self.transfer(from, to, conversation, now)?;
            }
            Input::Withdraw { conversation } => self.withdraw(conversation)?,
            Input::TakeOver { agent, from, conversation } => {
                self.take_over(agent, from, conversation, now)?;
            }
            Input::Acted { agent } => self.team.heard_of(agent),
        }
        Ok(())
    }

    // Conversations come and go.

    fn restore(&mut self, conversation: ConversationId, standing: Standing, now: UnixMillis) {
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
            self.enter(conversation, standing, self.line.turn_restored(since), since);
            return;
        }
        self.insert(conversation, Standing { waiting_since: None, ..standing });
    }

    fn opened(&mut self, conversation: ConversationId, site: SiteId, now: UnixMillis) {
        if self.conversations.contains_key(&conversation) {
            return;
        }
        self.before.insert(conversation, None);
        self.come_in(conversation, site, 0, now);
    }

    fn reopened(
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
            self.line.leave_unserved(conversation);
            self.give(conversation, agent, EventKind::Assigned, now);
        }
    }

    /// To the end of the line.
    fn come_in(
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
        self.enter(conversation, standing, self.line.turn_last(now), now);
    }

    fn enter(
        &mut self,
        conversation: ConversationId,
        standing: Standing,
        turn: Turn,
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
        self.stand_in_line(conversation, turn, since);
    }

    fn insert(&mut self, conversation: ConversationId, standing: Standing) {
        let entry = Entry { standing, resting: BTreeMap::new(), asked_last: None };
        self.conversations.insert(conversation, entry);
        self.team.index(conversation, None, Some(&standing));
    }

    fn stand_in_line(&mut self, conversation: ConversationId, turn: Turn, since: UnixMillis) {
        if self.conversations.contains_key(&conversation) {
            self.line.enter(turn, since, conversation);
        }
    }

    fn closed(&mut self, conversation: ConversationId) -> Result<(), Reject> {
        let standing = *self.standing(conversation).ok_or_else(no_conversation)?;
        self.end_offer(conversation, End::Withdrawn);
        self.change(conversation, |standing| {
            standing.state = ConversationState::Closed;
            standing.waiting_since = None;
            standing.position = None;
        });
        self.line.leave_unserved(conversation);
        if let Some(agent) = standing.assignee {
            self.team.worked(agent);
        }
        Ok(())
    }

    /// Takes a conversation out of all books but `before`.
    fn forget(&mut self, conversation: ConversationId) {
        if let Some(entry) = self.conversations.remove(&conversation) {
            self.line.leave_unserved(conversation);
            self.team.index(conversation, Some(&entry.standing), None);
        }
    }

    // Agents come and go.

    fn gone(&mut self, agent: AgentId, now: UnixMillis) {
        if let Some(at) = self.team.gone(agent, now.plus_ms(self.config.grace_ms)) {
            self.timers.insert((at, Timer::Grace(agent)));
        }
        self.withdraw_excess(agent);
    }

    /// Whoever has conversations and is absent has them until a deadline; who is at work has none.
    fn mind_absences(&mut self, now: UnixMillis) {
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

    fn removed(&mut self, agent: AgentId, now: UnixMillis) {
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
    fn withdraw_excess(&mut self, agent: AgentId) {
        for conversation in self.team.offers_in_excess(agent, |id| {
            self.conversations
                .get(&id)
                .is_some_and(|entry| entry.standing.offered_to == Some(agent))
        }) {
            self.end_offer(conversation, End::Withdrawn);
        }
    }

    fn requeue_all(&mut self, agent: AgentId, now: UnixMillis) {
        // The oldest last: each goes to the head, so the oldest ends up first.
        for conversation in self.team.conversations(agent).into_iter().rev() {
            if self.standing(conversation).is_some_and(|s| s.assignee == Some(agent)) {
                self.requeue(conversation, now);
            }
        }
    }

    /// Back to the head of the line, and the visitor is told.
    fn requeue(&mut self, conversation: ConversationId, now: UnixMillis) {
        let Some(standing) = self.standing(conversation).copied() else { return };
        self.end_offer(conversation, End::Withdrawn);
        // As old as the oldest that waits, so that the place survives a restart.
        let since = self.line.oldest_wait().map_or(now, |oldest| oldest.min(now));
        self.change(conversation, |standing| {
            standing.state = ConversationState::Queued;
            standing.assignee = None;
            standing.waiting_since = Some(since);
        });
        let turn = self.line.turn_returned();
        self.stand_in_line(conversation, turn, since);
        self.line_of(conversation, EventKind::Requeued, standing.assignee);
    }

    // What agents do.

    fn accept(
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

    fn decline(
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

    fn assign(
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

    fn transfer(
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

    fn withdraw(&mut self, conversation: ConversationId) -> Result<(), Reject> {
        let standing = *self.standing(conversation).ok_or_else(no_conversation)?;
        if standing.state != ConversationState::Active || standing.offered_to.is_none() {
            let words =
                "no transfer of this conversation is under way: it was answered, or ran out";
            return Err(Reject::new(RejectCode::Gone, words));
        }
        self.end_offer(conversation, End::Withdrawn);
        Ok(())
    }

    fn take_over(
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
    fn give(
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
        self.line.leave_served(
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
            entry.resting.clear();
            entry.asked_last = None;
        }
        self.team.answered(agent);
        for worker in standing.assignee.into_iter().chain([agent]) {
            self.team.worked(worker);
        }
        self.line_of(conversation, event, Some(agent));
    }

    // Offers.

    fn offer(&mut self, conversation: ConversationId, agent: AgentId, now: UnixMillis) {
        let deadline = now.plus_ms(self.config.offer_ms);
        let Some(entry) = self.conversations.get_mut(&conversation) else { return };
        let transfer_from = entry.standing.assignee;
        if transfer_from.is_none() {
            entry.asked_last = Some(agent);
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

    /// Ends the offer of a conversation, if there is one: it waits again, or stays with the giver. Who was asked and
    /// does not want it is left alone with it for a while.
    fn end_offer(&mut self, conversation: ConversationId, end: End) {
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
        let from_line = entry.standing.assignee.is_none();
        let rest = rest_from.filter(|_| from_line).map(|now| now.plus_ms(self.config.rest_ms));
        if let Some(until) = rest {
            entry.resting.insert(agent, until);
            self.timers.insert((until, Timer::Rest(conversation)));
        }
        self.clear_timer(deadline, Timer::Offer(conversation));
        self.change(conversation, |standing| {
            if from_line {
                standing.state = ConversationState::Queued;
            }
            standing.offered_to = None;
            standing.deadline = None;
        });
        self.effects.push(Effect::OfferOver { conversation, agent });
    }

    /// Offers what waits to those who are free, the oldest first. It looks at no more than they can take, at what is
    /// offered already, and at what they have just turned down.
    fn offer_waiting(&mut self, now: UnixMillis) {
        let mut at = 0;
        while self.team.anyone_free() {
            let Some(conversation) = self.line.nth(at) else { return };
            at += 1;
            let Some(entry) = self.conversations.get(&conversation) else { continue };
            if entry.standing.state != ConversationState::Queued {
                continue;
            }
            let rests = |agent| entry.resting.get(&agent).is_some_and(|until| now < *until);
            if let Some(agent) = self.team.choose(entry.asked_last, rests) {
                self.offer(conversation, agent, now);
            }
        }
    }

    // Time.

    fn fire_due(&mut self, now: UnixMillis) {
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
                    if let Some(entry) = self.conversations.get_mut(&conversation) {
                        entry.resting.retain(|_, until| *until > now);
                    }
                }
            }
        }
    }

    fn missed(&mut self, conversation: ConversationId, at: UnixMillis, now: UnixMillis) {
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
    fn step_back(&mut self, now: UnixMillis) {
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
                    for until in entry.into_iter().flat_map(|entry| entry.resting.values_mut()) {
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

    fn clear_timer(&mut self, at: Option<UnixMillis>, timer: Timer) {
        if let Some(at) = at {
            self.timers.remove(&(at, timer));
        }
    }

    // Books.

    fn line_of(&mut self, conversation: ConversationId, event: EventKind, agent: Option<AgentId>) {
        self.effects.push(Effect::Line { conversation, event, agent });
    }

    /// The only way to change a standing: the books of the team follow.
    fn change(&mut self, conversation: ConversationId, with: impl FnOnce(&mut Standing)) {
        let Some(entry) = self.conversations.get_mut(&conversation) else { return };
        let before = entry.standing;
        with(&mut entry.standing);
        let after = entry.standing;
        if before != after {
            self.before.entry(conversation).or_insert(Some(before));
            self.team.index(conversation, Some(&before), Some(&after));
        }
    }

    /// Turns what changed into effects: standings first, then what was done, then who has to know.
    fn finish(&mut self) -> Vec<Effect> {
        self.number_the_line();
        let mut effects = Vec::new();
        for (conversation, before) in std::mem::take(&mut self.before) {
            let Some(entry) = self.conversations.get_mut(&conversation) else { continue };
            let standing = &mut entry.standing;
            if before.is_some_and(|before| before.same_but_for_position(standing)) {
                continue;
            }
            standing.version = before.map_or(standing.version, |before| before.version) + 1;
            let standing = *standing;
            effects.push(Effect::Changed { conversation, standing });
            if standing.state == ConversationState::Closed {
                self.forget(conversation);
            }
        }
        effects.append(&mut self.effects);
        effects.extend(self.team.take_changed().map(|agent| Effect::AgentChanged { agent }));
        let availability = self.team.promise();
        if availability != self.promised {
            self.promised = availability;
            let tell = |site: &SiteId| Effect::SiteAvailability { site: *site, availability };
            effects.extend(self.sites.iter().map(tell));
        }
        effects
    }

    fn number_the_line(&mut self) {
        for (at, conversation) in self.line.at_once() {
            let told = self.place(at, conversation);
            self.effects.extend(told);
        }
    }

    /// Notes a place; what is to be told if it is another one than before.
    fn place(&mut self, position: u32, conversation: ConversationId) -> Option<Effect> {
        let standing = &mut self.conversations.get_mut(&conversation)?.standing;
        if standing.position.replace(position) == Some(position) {
            return None;
        }
        let wait_ms = self.line.wait_ms(position);
        Some(Effect::Position { conversation, position, wait_ms })
    }
}

fn no_conversation() -> Reject {
    Reject::new(RejectCode::NotFound, "no such conversation, or it is closed")
}

fn no_agent() -> Reject {
    Reject::new(RejectCode::NotFound, "no such agent")
}

//! Who answers whom: one queue of an Organization with one owner, offers with deadlines, transfers,
//! and what happens when an agent's connection goes away. Pure: an input and the time in, effects
//! out.
//!
//! Lives here: the order of waiting, the choice of an agent, capacity, grace. Not here: sockets,
//! clocks, rows, who may do what (the hub checks the role before it calls). Called by the hub
//! alone, one [`Routing`] for each tenant, under one lock. Departments will be several [`Queue`]s
//! in one `Routing`, sharing the team; nothing else here knows that there is one.
//!
//! What always holds, and is tested with random inputs: a conversation that is not closed has a
//! position in the queue, an offer with a deadline, or an assignee whose absence has a deadline;
//! nobody is offered or given more than their capacity unless somebody asked for just that; an
//! older conversation is offered before a younger one to every agent who could take either.
//!
//! Absent is who has no connection, who chose to be offline with the console open, and who let
//! offers run out until they were set to away and has done nothing since. Who chose to be away is
//! at work.

mod conversations;
mod agents;
mod acts;
mod offers;
mod board;
mod queue;
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

pub use board::{BoardPosition, NoPosition};
use queue::Queue;
use team::Team;

/// Positions behind the head of the queue that one tick looks at.
const POSITIONS_PER_TICK: usize = 256;

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
    /// A conversation that is not closed, out of the store, at start. Offers do not survive a
    /// restart.
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
    /// Who is asked, out of the queue or by a transfer.
    pub offered_to: Option<AgentId>,
    /// When the offer ends.
    pub deadline: Option<UnixMillis>,
    /// Since when it waits; only while it does.
    pub waiting_since: Option<UnixMillis>,
    /// Its position among those that wait, from 1, as it was told last; an offered one still waits.
    /// Far behind it may lie a few seconds back: [`Routing::position`] knows where it stands now.
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
    /// A conversation changed: keep it and tell its room and the board. At most once for each
    /// input; a closed one is forgotten here after it.
    Changed { conversation: ConversationId, standing: Standing },
    /// Ask an agent. Exactly one [`Effect::OfferOver`] follows, now or later.
    Offer {
        conversation: ConversationId,
        agent: AgentId,
        deadline: UnixMillis,
        /// Who gives it; none: it comes from the queue.
        transfer_from: Option<AgentId>,
    },
    /// The question to this agent is over, however it ended.
    OfferOver { conversation: ConversationId, agent: AgentId },
    /// The position of a waiting conversation changed.
    Position {
        conversation: ConversationId,
        position: u32,
        /// How long it will probably wait, once enough have been served to tell.
        wait_ms: Option<u64>,
    },
    /// An event message for the transcript.
    EventMessage { conversation: ConversationId, event: EventKind, agent: Option<AgentId> },
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
    /// None where nobody was asked, as for most that wait.
    asked: Option<Box<Asked>>,
}

/// Who was asked about a conversation.
#[derive(Debug, Default)]
struct Asked {
    /// Those who declined or missed it lately, and until when they are left alone with it.
    resting: BTreeMap<AgentId, UnixMillis>,
    /// The last one.
    last: Option<AgentId>,
}

/// The queue and the team of one Organization.
#[derive(Debug)]
pub struct Routing {
    tenant: TenantId,
    config: RoutingConfig,
    /// Each in a box of its own: a tree's nodes are half empty.
    conversations: BTreeMap<ConversationId, Box<Entry>>,
    team: Team,
    queue: Queue,
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
            queue: Queue::default(),
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

    /// Tells positions behind the head of the queue that changed, as many as one tick may take. To
    /// be called again and again: what came before is told with one of the next.
    pub fn tell_positions(&mut self) -> Vec<Effect> {
        let positions = self.queue.behind(POSITIONS_PER_TICK);
        positions
            .into_iter()
            .filter_map(|(at, conversation)| self.tell_position(at, conversation))
            .collect()
    }

    /// The position of one that waits, from 1, at this moment.
    pub fn position(&self, conversation: ConversationId) -> Option<u32> {
        self.queue.position(conversation)
    }

    /// When the next `Tick` is due at the latest.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Where a conversation stands; `None` once it is closed.
    pub fn standing(&self, conversation: ConversationId) -> Option<&Standing> {
        self.conversations.get(&conversation).map(|entry| &entry.standing)
    }

    /// What this site may promise its visitors now. One queue and one team: the same for every
    /// site.
    pub fn site_availability(&self, _site: SiteId) -> SiteAvailability {
        self.team.promise()
    }

    /// Something that a conversation shows beside its standing changed: its next version. `None`
    /// once it is closed.
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

    fn event_message(
        &mut self,
        conversation: ConversationId,
        event: EventKind,
        agent: Option<AgentId>,
    ) {
        self.effects.push(Effect::EventMessage { conversation, event, agent });
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
        self.number_the_queue();
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

    fn number_the_queue(&mut self) {
        for (at, conversation) in self.queue.at_once() {
            let told = self.tell_position(at, conversation);
            self.effects.extend(told);
        }
    }

    /// Notes a position; what is to be told if it is another one than before.
    fn tell_position(&mut self, position: u32, conversation: ConversationId) -> Option<Effect> {
        let standing = &mut self.conversations.get_mut(&conversation)?.standing;
        if standing.position.replace(position) == Some(position) {
            return None;
        }
        let wait_ms = self.queue.wait_ms(position);
        Some(Effect::Position { conversation, position, wait_ms })
    }
}

fn no_conversation() -> Reject {
    Reject::new(RejectCode::NotFound, "no such conversation, or it is closed")
}

fn no_agent() -> Reject {
    Reject::new(RejectCode::NotFound, "no such agent")
}

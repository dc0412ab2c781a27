//! One Organization's desk: its queue, its live conversations' headers, its agents and who is
//! connected.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use protocol::conversation::{ConversationState, Presence, Role};
use protocol::ids::{
    AgentId, ConnectionId, ConversationId, SessionId, SiteId, TenantId, VisitorId,
};
use protocol::personal::Personal;
use protocol::reject::{Reject, RejectCode};
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};
use smallvec::SmallVec;

use super::fanout::FrameSink;
use super::newest::Newest;
use crate::channel::Channel;
use crate::privacy::envelope::Flags;
use crate::routing::{Effect, Input, Routing, RoutingConfig, Standing as Decided};
use crate::store::{AgentRow, ConversationRow, VisitorRow};

/// One Organization's live state under one lock.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) tenant: TenantId,
    pub(super) state: Mutex<DeskState>,
}

#[derive(Debug)]
pub(super) struct DeskState {
    pub(super) routing: Routing,
    /// Everything that is not closed, and what was closed while someone looked at it. Each in a box
    /// of its own: the map has room for twice as many as it holds, and moves them when it grows.
    pub(super) headers: HashMap<ConversationId, Box<Header>, RandomState>,
    pub(super) agents: BTreeMap<AgentId, Seat>,
    /// Visitors with a connection, or whose grace runs.
    pub(super) visitors: HashMap<VisitorId, Guest, RandomState>,
    /// Connections that watch the board.
    pub(super) board: Vec<Arc<dyn FrameSink>>,
    /// Headers whose last change is not on disk yet.
    pub(super) unwritten: BTreeSet<ConversationId>,
    /// The headers of each visitor.
    by_visitor: HashMap<VisitorId, SmallVec<[ConversationId; 1]>, RandomState>,
    /// Where the round stands that looks for what is abandoned.
    pub(super) looked_at: Option<ConversationId>,
}

/// What decides whether something may be said in a conversation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// By which way it came.
    pub(super) channel: Channel,
    closed: bool,
    /// Who has it; nobody has what is closed.
    pub(super) assignee: Option<AgentId>,
    /// Who has it was thought not to be at their desk.
    pub(super) unheard: bool,
    /// What the visitor's browser asked for; nothing is known of one who is not here.
    pub(super) signals: Flags,
}

impl Standing {
    pub(super) fn of(row: &ConversationRow) -> Self {
        let closed = row.state == ConversationState::Closed;
        let assignee = row.assignee.filter(|_| !closed);
        let (channel, signals) = (row.channel, Flags::default());
        Self { channel, closed, assignee, unheard: false, signals }
    }

    /// Why nothing new may be said.
    pub(super) fn refusal(&self) -> Option<Reject> {
        let words = "this conversation is closed; reopen it";
        self.closed.then(|| Reject::new(RejectCode::Closed, words))
    }
}

impl Desk {
    /// Where a conversation stands that is not closed, or was closed a moment ago.
    pub(super) fn standing(&self, conversation: ConversationId) -> Option<Standing> {
        let state = self.state.lock();
        let row = &state.headers.get(&conversation)?.row;
        let guest = state.visitors.get(&row.visitor);
        let signals = guest.map_or_else(Flags::default, |guest| guest.signals);
        let standing = Standing::of(row);
        let unheard = standing.assignee.is_some_and(|agent| state.routing.is_unheard(agent));
        Some(Standing { signals, unheard, ..standing })
    }
}

/// What a visitor said of themselves, as cards show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contact {
    pub(super) name: Option<Personal<String>>,
    pub(super) email: Option<Personal<String>>,
    /// When they did.
    pub(super) day: Day,
}

impl Contact {
    /// Most say nothing.
    pub(super) fn of(visitor: VisitorRow) -> Option<Box<Self>> {
        let VisitorRow { name, email, contact_day: day, .. } = visitor;
        let said = name.is_some() || email.is_some();
        said.then(|| Box::new(Self { name, email, day }))
    }
}

/// A conversation's header in memory.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) row: ConversationRow,
    pub(super) contact: Option<Box<Contact>>,
    /// Nobody is known to have said anything, or to have been there, since then.
    pub(super) quiet_since: UnixMillis,
    /// What was said, where the room is not live; none: the store is asked.
    pub(super) newest: Option<Box<Newest>>,
}

impl Header {
    pub(super) fn new(
        row: ConversationRow,
        contact: Option<Box<Contact>>,
        quiet_since: UnixMillis,
    ) -> Self {
        Self { row, contact, quiet_since, newest: None }
    }

    pub(super) fn forget_form(&mut self) {
        self.row.form.clear();
        (self.row.page_url, self.row.page_title) = (None, None);
    }

    pub(super) fn forget_contact(&mut self) {
        self.contact = None;
    }
}

/// An agent and their connections.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) row: AgentRow,
    pub(super) connections: Vec<AgentConnection>,
}

/// An agent's connection, and the session that it lives by.
#[derive(Debug)]
pub(super) struct AgentConnection {
    pub(super) sink: Arc<dyn FrameSink>,
    pub(super) session: SessionId,
    pub(super) expires_at: UnixMillis,
}

/// Address, where it can be told, and title of the page that a visitor is on.
pub(super) type PageAt = (Option<Personal<String>>, Personal<String>);

/// A visitor's connections at one site.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) site: SiteId,
    /// Most have one window, which lies here.
    pub(super) sinks: SmallVec<[Arc<dyn FrameSink>; 1]>,
    /// When the last one was lost; none while one is there.
    pub(super) lost_at: Option<UnixMillis>,
    pub(super) presence: Presence,
    /// The page they are on, where they let us know.
    pub(super) page: Option<Box<PageAt>>,
    /// What their browser asked for: it stands in the tag of what is said in their conversations.
    pub(super) signals: Flags,
}

impl DeskState {
    /// A desk without agents and conversations.
    pub(super) fn new(tenant: TenantId, config: RoutingConfig) -> Self {
        Self {
            routing: Routing::new(tenant, config),
            headers: HashMap::default(),
            agents: BTreeMap::new(),
            visitors: HashMap::default(),
            board: Vec::new(),
            unwritten: BTreeSet::new(),
            by_visitor: HashMap::default(),
            looked_at: None,
        }
    }

    /// Takes in a conversation's header.
    pub(super) fn insert(&mut self, header: Header) {
        let conversation = header.row.conversation;
        let of_visitor = self.by_visitor.entry(header.row.visitor).or_default();
        if !of_visitor.contains(&conversation) {
            of_visitor.push(conversation);
        }
        self.headers.insert(conversation, Box::new(header));
    }

    /// Changes what a conversation shows beside its standing: the next version. `false`: it is not
    /// here.
    pub(super) fn amend(
        &mut self,
        conversation: ConversationId,
        amend: impl FnOnce(&mut Header),
    ) -> bool {
        let Some(header) = self.headers.get_mut(&conversation) else { return false };
        amend(header);
        let closed = header.row.version + 1;
        header.row.version = self.routing.amended(conversation).unwrap_or(closed);
        true
    }

    /// An agent has another name: it stands in the conversations in which they have or had part.
    pub(super) fn renamed(&mut self, agent: AgentId) -> BTreeSet<ConversationId> {
        let of = |header: &Header| {
            header.row.agents.contains(&agent) || header.row.assignee == Some(agent)
        };
        let live = self.headers.iter().filter(|(_, header)| of(header));
        let shown: BTreeSet<_> = live.map(|(conversation, _)| *conversation).collect();
        for conversation in &shown {
            self.amend(*conversation, |_| {});
        }
        shown
    }

    /// A visitor said anew who they are: their other conversations show it.
    pub(super) fn said_anew(
        &mut self,
        visitor: VisitorId,
        contact: Option<&Contact>,
    ) -> BTreeSet<ConversationId> {
        let words = |of: Option<&Contact>| of.map(|of| (of.name.clone(), of.email.clone()));
        let differs = |id: &ConversationId| {
            let header = self.headers.get(id);
            header.is_some_and(|header| words(header.contact.as_deref()) != words(contact))
        };
        let own = self.conversations_of(visitor);
        let shown: BTreeSet<_> = own.iter().copied().filter(differs).collect();
        for conversation in &shown {
            self.amend(*conversation, |header| {
                header.contact = contact.cloned().map(Box::new);
            });
        }
        shown
    }

    /// Keeps what was said in a conversation whose room is not live, unless what is kept is newer.
    pub(super) fn keep_newest(&mut self, conversation: ConversationId, newest: Newest) {
        if let Some(header) = self.headers.get_mut(&conversation)
            && header.newest.as_deref().is_none_or(|kept| newest.is_as_new_as(kept))
        {
            header.newest = Some(Box::new(newest));
        }
    }

    /// What is kept of what was said there is old by now.
    pub(super) fn forget_newest(&mut self, conversation: ConversationId) {
        if let Some(header) = self.headers.get_mut(&conversation) {
            header.newest = None;
        }
    }

    /// Lets go of a header.
    pub(super) fn remove(&mut self, conversation: ConversationId) {
        let Some(header) = self.headers.remove(&conversation) else { return };
        if let Some(of_visitor) = self.by_visitor.get_mut(&header.row.visitor) {
            of_visitor.retain(|kept| *kept != conversation);
            if of_visitor.is_empty() {
                self.by_visitor.remove(&header.row.visitor);
            }
        }
    }

    /// Lets go of what people said about themselves where its key may be destroyed: a conversation
    /// that nobody closes would keep it in memory beyond its time.
    pub(super) fn forget(&mut self, dead: &dyn Fn(SiteId, RetentionClass, Day) -> bool) {
        for header in self.headers.values_mut() {
            if let Some(newest) = &mut header.newest {
                newest.forget(|class, day| dead(header.row.site, class, day));
            }
            let Header { row, contact, .. } = &**header;
            let class = if row.channel.is_offline_message() {
                RetentionClass::OfflineMessage
            } else {
                RetentionClass::Transcript
            };
            let form_is = dead(row.site, class, row.created_at.day());
            let contact_is = contact
                .as_deref()
                .is_some_and(|contact| dead(row.site, RetentionClass::Contact, contact.day));
            if form_is {
                header.forget_form();
            }
            if contact_is {
                header.forget_contact();
            }
        }
    }

    /// The live conversations of a visitor.
    pub(super) fn conversations_of(&self, visitor: VisitorId) -> &[ConversationId] {
        self.by_visitor.get(&visitor).map_or(&[], SmallVec::as_slice)
    }

    /// Writes what routing decided into the headers.
    pub(super) fn apply(&mut self, effects: &[Effect], now: UnixMillis) {
        for effect in effects {
            let Effect::Changed { conversation, standing } = effect else { continue };
            let Some(header) = self.headers.get_mut(conversation) else { continue };
            let Decided { version, state, assignee, waiting_since, channel, .. } = *standing;
            let row = &mut header.row;
            row.version = version;
            row.channel = channel;
            row.waiting_since = waiting_since;
            if state == ConversationState::Closed {
                // Who had it last stays known: they get it back should it be opened again.
                row.closed_at = Some(now);
            } else {
                row.assignee = assignee;
                row.closed_at = None;
            }
            row.state = state;
            if let Some(agent) = assignee
                && !row.agents.contains(&agent)
            {
                row.agents.push(agent);
            }
        }
    }

    /// A visitor is gone: until now somebody was there.
    pub(super) fn left(&mut self, visitor: VisitorId, now: UnixMillis) {
        for conversation in self.conversations_of(visitor).to_vec() {
            if let Some(header) = self.headers.get_mut(&conversation) {
                header.quiet_since = now;
            }
        }
    }

    /// Whether the visitor has a connection, or had one a moment ago.
    pub(super) fn visitor_is_here(&self, conversation: ConversationId) -> bool {
        let header = self.headers.get(&conversation);
        header.is_some_and(|header| self.visitors.contains_key(&header.row.visitor))
    }

    /// Takes in an agent, new or changed. What routing wants done in turn is for the caller.
    pub(super) fn know_agent(&mut self, row: AgentRow, now: UnixMillis) -> Vec<Effect> {
        // Of one who is known already, routing knows better: what they chose since the row was
        // read, or what the offers that they missed chose for them.
        let standing = self.routing.agent(row.agent);
        let availability = standing.map_or(row.availability, |standing| standing.availability);
        let is_news = !row.active || standing.is_none_or(|known| known.capacity != row.capacity);
        let input = if row.active {
            Input::AgentKnown { agent: row.agent, availability, capacity: row.capacity }
        } else {
            Input::AgentRemoved { agent: row.agent }
        };
        match self.agents.get_mut(&row.agent) {
            Some(seat) => seat.row = row,
            None => {
                self.agents.insert(row.agent, Seat { row, connections: Vec::new() });
            }
        }
        // Where routing hears nothing new, nothing comes of it.
        if is_news { self.routing.handle(input, now).unwrap_or_default() } else { Vec::new() }
    }

    /// Whether they may move what is not theirs, as their account says now.
    pub(super) fn supervises(&self, agent: AgentId) -> bool {
        self.agents.get(&agent).is_some_and(|seat| seat.row.active && seat.row.role != Role::Agent)
    }

    /// The agent's connections.
    pub(super) fn agent_sinks(&self, agent: AgentId) -> Vec<Arc<dyn FrameSink>> {
        self.agents
            .get(&agent)
            .map(|seat| seat.connections.iter().map(|one| Arc::clone(&one.sink)).collect())
            .unwrap_or_default()
    }

    /// Takes an agent's connection off everything here.
    pub(super) fn remove_connection(&mut self, connection: ConnectionId) {
        self.board.retain(|sink| sink.connection() != connection);
        for seat in self.agents.values_mut() {
            seat.connections.retain(|one| one.sink.connection() != connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::conversation::Availability;

    use super::*;
    use crate::store::conformance::World;

    #[test]
    fn a_change_of_the_account_leaves_an_agent_away_who_went_away_meanwhile() {
        let world = World::new(1);
        let mut state = empty(&world);
        let row = AgentRow { availability: Availability::Available, ..world.agent_row() };
        let (agent, now) = (row.agent, row.created_at);
        state.know_agent(row.clone(), now);
        let availability = Availability::Away;
        let away = Input::Availability { agent, availability, capacity: None };
        state.routing.handle(away, now).unwrap();
        state.know_agent(AgentRow { capacity: 9, ..row }, now);
        let standing = state.routing.agents().next().unwrap();
        assert_eq!((standing.availability, standing.capacity), (Availability::Away, 9));
    }

    fn empty(world: &World) -> DeskState {
        DeskState::new(world.tenant, RoutingConfig::default())
    }

    #[test]
    fn a_conversation_that_nobody_closes_keeps_no_name_beyond_its_time() {
        let world = World::new(1);
        let (row, visitor) = (world.conversation_row(), world.visitor_row());
        let (opened, contact) = (row.created_at.day(), visitor.contact_day);
        let mut state = empty(&world);
        state.insert(Header::new(row, Contact::of(visitor), opened.start()));
        let kept = |state: &DeskState| {
            let header = &state.headers[&world.conversation];
            let form = !header.row.form.is_empty() || header.row.page_url.is_some();
            (form, header.contact.is_some())
        };
        state.forget(&|_, _, _| false);
        assert_eq!(kept(&state), (true, true));
        state.forget(&|_, class, day| class == RetentionClass::Contact && day == contact);
        assert_eq!(kept(&state), (true, false));
        state.forget(&|_, class, day| class == RetentionClass::Transcript && day == opened);
        assert_eq!(kept(&state), (false, false));
    }
}

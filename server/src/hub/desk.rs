//! One Organization's desk: its queue, its live conversations' headers, its agents and who is connected.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use protocol::conversation::{
    AgentCard, Availability, ConversationCard, ConversationState, FormAnswer, Marks, Presence,
    Role, VisitorCard,
};
use protocol::ids::{
    AgentId, ConnectionId, ConversationId, SessionId, SiteId, TenantId, VisitorId,
};
use protocol::limits::List;
use protocol::message::{Author, Seq};
use protocol::personal::Personal;
use protocol::reject::{Reject, RejectCode};
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};
use smallvec::SmallVec;

use super::site::Shown;
use super::{Hub, Outlet, store_reject};
use crate::privacy::envelope::Flags;
use crate::privacy::gate::Reader;
use crate::routing::{AgentStanding, Effect, Input, Routing};
use crate::store::{AgentRow, ConversationRow, Page, VisitorRow};

/// Agents of one Organization that are read at once.
const AGENTS_PER_PAGE: u16 = 500;

/// One Organization's live state under one lock.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) tenant: TenantId,
    pub(super) state: Mutex<DeskState>,
}

#[derive(Debug)]
pub(super) struct DeskState {
    pub(super) routing: Routing,
    /// Everything that is not closed, and what was closed while someone looked at it.
    pub(super) headers: HashMap<ConversationId, Header, RandomState>,
    pub(super) agents: BTreeMap<AgentId, Seat>,
    /// Visitors with a connection, or whose grace runs.
    pub(super) visitors: HashMap<VisitorId, Guest, RandomState>,
    /// Connections that watch the board.
    pub(super) board: Vec<Arc<dyn Outlet>>,
    /// Headers whose last change is not on disk yet.
    pub(super) unwritten: BTreeSet<ConversationId>,
    /// The headers of each visitor.
    by_visitor: HashMap<VisitorId, Vec<ConversationId>>,
    /// Where the round stands that looks for what is abandoned.
    pub(super) looked_at: Option<ConversationId>,
}

/// What decides whether something may be said in a conversation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// It began as a message that was left.
    pub(super) offline: bool,
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
        let (offline, signals) = (row.offline_message, Flags::default());
        Self { offline, closed, assignee, unheard: false, signals }
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

/// A conversation's header in memory.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) row: ConversationRow,
    pub(super) visitor: VisitorRow,
    /// Nobody is known to have said anything, or to have been there, since then.
    pub(super) quiet_since: UnixMillis,
}

impl Header {
    pub(super) fn new(row: ConversationRow, visitor: VisitorRow, quiet_since: UnixMillis) -> Self {
        Self { row, visitor, quiet_since }
    }

    pub(super) fn forget_form(&mut self) {
        self.row.form.clear();
        (self.row.page_url, self.row.page_title) = (None, None);
    }

    pub(super) fn forget_contact(&mut self) {
        (self.visitor.name, self.visitor.email) = (None, None);
    }
}

/// An agent and their connections.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) row: AgentRow,
    pub(super) lines: Vec<AgentLine>,
}

/// An agent's connection, and the session that it lives by.
#[derive(Debug)]
pub(super) struct AgentLine {
    pub(super) outlet: Arc<dyn Outlet>,
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
    pub(super) lines: SmallVec<[Arc<dyn Outlet>; 1]>,
    /// When the last one was lost; none while one is there.
    pub(super) lost_at: Option<UnixMillis>,
    pub(super) presence: Presence,
    /// The page they are on, where they let us know.
    pub(super) page: Option<Box<PageAt>>,
    /// What their browser asked for: it stands in the tag of what is said in their conversations.
    pub(super) signals: Flags,
}

/// What a room adds to a conversation's card.
#[derive(Debug, Clone, Default)]
pub(super) struct RoomFacts {
    pub(super) seq_last: Seq,
    pub(super) marks: Vec<Marks>,
    pub(super) preview: Option<Personal<String>>,
    pub(super) last_message_at: Option<UnixMillis>,
    pub(super) last_author: Option<Author>,
    /// What an offer quotes: the visitor's own newest words, and when they came.
    pub(super) asked: Option<(Personal<String>, UnixMillis)>,
}

impl Hub {
    /// The desk, loaded if need be.
    pub(super) async fn desk(&self, tenant: TenantId) -> Result<Arc<Desk>, Reject> {
        let cell = Arc::clone(&self.desks.entry(tenant).or_default());
        let desk = cell.get_or_try_init(async || self.load_desk(tenant).await).await;
        desk.cloned().map_err(|error| store_reject(&error))
    }

    /// A visitor's conversations that are not closed, the newest first.
    pub(crate) async fn open_conversations(
        &self,
        tenant: TenantId,
        visitor: VisitorId,
    ) -> Result<Vec<ConversationId>, Reject> {
        let desk = self.desk(tenant).await?;
        let state = desk.state.lock();
        let open = |id: &&ConversationId| {
            let header = state.headers.get(*id);
            header.is_some_and(|header| header.row.state != ConversationState::Closed)
        };
        let mut own: Vec<_> =
            state.conversations_of(visitor).iter().filter(open).copied().collect();
        // A version 7 UUID begins with the time at which it was made.
        own.sort_unstable_by(|one, other| other.cmp(one));
        Ok(own)
    }

    /// The desk if it is loaded.
    pub(super) fn live_desk(&self, tenant: TenantId) -> Option<Arc<Desk>> {
        self.desks.get(&tenant)?.get().cloned()
    }

    async fn load_desk(&self, tenant: TenantId) -> Result<Arc<Desk>, crate::store::StoreError> {
        let now = self.now();
        let mut state = DeskState {
            routing: Routing::new(tenant, self.config.routing),
            headers: HashMap::default(),
            agents: BTreeMap::new(),
            visitors: HashMap::default(),
            board: Vec::new(),
            unwritten: BTreeSet::new(),
            by_visitor: HashMap::new(),
            looked_at: None,
        };
        let mut after = None;
        loop {
            let page = Page { limit: AGENTS_PER_PAGE, after };
            let rows = self.store.agents(tenant, page).await?;
            after = rows.last().map(|row| row.agent);
            let full = rows.len() >= usize::from(AGENTS_PER_PAGE);
            for row in rows {
                state.know_agent(row, now);
            }
            if !full {
                break;
            }
        }
        Ok(Arc::new(Desk { tenant, state: Mutex::new(state) }))
    }
}

impl DeskState {
    /// Takes in a conversation's header.
    pub(super) fn insert(&mut self, header: Header) {
        let conversation = header.row.conversation;
        let of_visitor = self.by_visitor.entry(header.row.visitor).or_default();
        if !of_visitor.contains(&conversation) {
            of_visitor.push(conversation);
        }
        self.headers.insert(conversation, header);
    }

    /// Changes what a conversation shows beside its standing: the next version. `false`: it is not here.
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
    pub(super) fn said_anew(&mut self, visitor: &VisitorRow) -> BTreeSet<ConversationId> {
        let contact = |row: &VisitorRow| (row.name.clone(), row.email.clone());
        let told = contact(visitor);
        let differs = |id: &ConversationId| {
            self.headers.get(id).is_some_and(|header| contact(&header.visitor) != told)
        };
        let own = self.conversations_of(visitor.visitor);
        let shown: BTreeSet<_> = own.iter().copied().filter(differs).collect();
        for conversation in &shown {
            self.amend(*conversation, |header| header.visitor = visitor.clone());
        }
        shown
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

    /// Lets go of what people said about themselves where its key may be destroyed: a conversation that
    /// nobody closes would keep it in memory beyond its time.
    pub(super) fn forget(&mut self, dead: &dyn Fn(SiteId, RetentionClass, Day) -> bool) {
        for header in self.headers.values_mut() {
            let Header { row, visitor, .. } = &*header;
            let class = match row.offline_message {
                true => RetentionClass::OfflineMessage,
                false => RetentionClass::Transcript,
            };
            let form_is = dead(row.site, class, row.created_at.day());
            let contact_is = dead(visitor.site, RetentionClass::Contact, visitor.contact_day);
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
        self.by_visitor.get(&visitor).map_or(&[], Vec::as_slice)
    }

    /// Takes in an agent, new or changed. What routing wants done in turn is for the caller.
    pub(super) fn know_agent(&mut self, row: AgentRow, now: UnixMillis) -> Vec<Effect> {
        // Of one who is known already, routing knows better: what they chose since the row was
        // read, or what the offers that they missed chose for them.
        let standing = self.routing.agent(row.agent);
        let availability = standing.map_or(row.availability, |standing| standing.availability);
        let input = if row.active {
            Input::AgentKnown { agent: row.agent, availability, capacity: row.capacity }
        } else {
            Input::AgentRemoved { agent: row.agent }
        };
        match self.agents.get_mut(&row.agent) {
            Some(seat) => seat.row = row,
            None => {
                self.agents.insert(row.agent, Seat { row, lines: Vec::new() });
            }
        }
        self.routing.handle(input, now).unwrap_or_default()
    }

    /// Whether they may move what is not theirs, as their account says now.
    pub(super) fn supervises(&self, agent: AgentId) -> bool {
        self.agents.get(&agent).is_some_and(|seat| seat.row.active && seat.row.role != Role::Agent)
    }

    /// The agent's connections.
    pub(super) fn agent_lines(&self, agent: AgentId) -> Vec<Arc<dyn Outlet>> {
        self.agents
            .get(&agent)
            .map(|seat| seat.lines.iter().map(|line| Arc::clone(&line.outlet)).collect())
            .unwrap_or_default()
    }

    /// Takes a connection off everything here. Returns whether it was an agent's last.
    pub(super) fn remove_line(&mut self, connection: ConnectionId) {
        self.board.retain(|line| line.connection() != connection);
        for seat in self.agents.values_mut() {
            seat.lines.retain(|line| line.outlet.connection() != connection);
        }
    }

    /// The card of an agent for agents, or the little that visitors see of them.
    pub(super) fn agent_card(&self, agent: AgentId, reader: Reader) -> Option<AgentCard> {
        let seat = self.agents.get(&agent)?;
        let mut card = AgentCard {
            agent,
            name: seat.row.name.clone(),
            role: None,
            availability: None,
            presence: None,
            capacity: None,
            load: None,
            availability_cause: None,
        };
        if reader == Reader::Agents {
            let standing = self.routing.agent(agent);
            card.role = Some(seat.row.role);
            // Whose account ended takes nothing any more, and whoever has their card must be told
            // so.
            let gone = (Availability::Offline, Presence::Gone, 0, 0, None);
            let (availability, presence, capacity, load, cause) = standing.map_or(
                gone,
                |AgentStanding { availability, cause, connected, capacity, load, .. }| {
                    (availability, connected, capacity, load, cause)
                },
            );
            card.availability = Some(availability);
            card.presence = Some(presence);
            card.capacity = Some(capacity);
            card.load = Some(load);
            card.availability_cause = cause;
        }
        Some(card)
    }

    /// Every active agent's card.
    pub(super) fn agent_cards(&self) -> Vec<AgentCard> {
        self.agents
            .values()
            .filter(|seat| seat.row.active)
            .filter_map(|seat| self.agent_card(seat.row.agent, Reader::Agents))
            .collect()
    }

    fn visitor_card(
        &self,
        row: &VisitorRow,
        header: &ConversationRow,
        shown: &Shown<'_>,
    ) -> VisitorCard {
        let guest = self.visitors.get(&row.visitor);
        let (page_url, page_title) = match guest.and_then(|guest| guest.page.as_deref().cloned()) {
            Some((url, title)) => (url, Some(title)),
            None => shown
                .header(header, (header.page_url.clone(), header.page_title.clone()))
                .unwrap_or_default(),
        };
        VisitorCard {
            visitor: row.visitor,
            name: shown.contact(row, row.name.clone()),
            email: shown.contact(row, row.email.clone()),
            page_url,
            page_title,
            locale: Some(row.locale.clone()),
            presence: Some(guest.map_or(Presence::Gone, |guest| guest.presence)),
        }
    }

    /// The visitor's card of a conversation here.
    pub(super) fn guest_card(
        &self,
        conversation: ConversationId,
        shown: &Shown<'_>,
    ) -> Option<VisitorCard> {
        let header = self.headers.get(&conversation)?;
        Some(self.visitor_card(&header.visitor, &header.row, shown))
    }

    /// The card of a conversation here.
    pub(super) fn card(
        &self,
        conversation: ConversationId,
        facts: &RoomFacts,
        reader: Reader,
        shown: &Shown<'_>,
    ) -> Option<ConversationCard> {
        let header = self.headers.get(&conversation)?;
        Some(self.card_of(&header.row, &header.visitor, facts, reader, shown))
    }

    /// The card of a conversation that need not be live.
    pub(super) fn card_of(
        &self,
        row: &ConversationRow,
        visitor: &VisitorRow,
        facts: &RoomFacts,
        reader: Reader,
        shown: &Shown<'_>,
    ) -> ConversationCard {
        let standing = self.routing.standing(row.conversation);
        let for_agents = reader == Reader::Agents;
        ConversationCard {
            conversation: row.conversation,
            version: row.version,
            site: row.site,
            state: row.state,
            created_at: row.created_at,
            seq_last: facts.seq_last,
            agents: List::new(
                row.agents.iter().filter_map(|agent| self.agent_card(*agent, reader)),
            ),
            marks: List::new(facts.marks.iter().cloned()),
            assignee: row.assignee,
            position: self.routing.position(row.conversation),
            waiting_since: row.waiting_since,
            closed_at: row.closed_at,
            offline_message: Some(row.offline_message),
            visitor: for_agents.then(|| self.visitor_card(visitor, row, shown)),
            form: for_agents.then(|| {
                let form = shown.header(row, row.form.as_slice()).unwrap_or_default();
                List::new(form.iter().map(|(field, answer)| FormAnswer {
                    field: field.clone(),
                    answer: answer.clone(),
                }))
            }),
            tags: for_agents.then(|| List::new(row.tags.iter().copied())),
            preview: facts.preview.clone().filter(|_| for_agents),
            last_message_at: facts.last_message_at.filter(|_| for_agents),
            offered_to: standing.and_then(|standing| standing.offered_to).filter(|_| for_agents),
            last_author: facts.last_author.filter(|_| for_agents),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::RoutingConfig;
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
        DeskState {
            routing: Routing::new(world.tenant, RoutingConfig::default()),
            headers: HashMap::default(),
            agents: BTreeMap::new(),
            visitors: HashMap::default(),
            board: Vec::new(),
            unwritten: BTreeSet::new(),
            by_visitor: HashMap::new(),
            looked_at: None,
        }
    }

    #[test]
    fn a_conversation_that_nobody_closes_keeps_no_name_beyond_its_time() {
        let world = World::new(1);
        let (row, visitor) = (world.conversation_row(), world.visitor_row());
        let (opened, contact) = (row.created_at.day(), visitor.contact_day);
        let mut state = empty(&world);
        state.insert(Header::new(row, visitor, opened.start()));
        let kept = |state: &DeskState| {
            let header = &state.headers[&world.conversation];
            let form = !header.row.form.is_empty() || header.row.page_url.is_some();
            (form, header.visitor.name.is_some() || header.visitor.email.is_some())
        };
        state.forget(&|_, _, _| false);
        assert_eq!(kept(&state), (true, true));
        state.forget(&|_, class, day| class == RetentionClass::Contact && day == contact);
        assert_eq!(kept(&state), (true, false));
        state.forget(&|_, class, day| class == RetentionClass::Transcript && day == opened);
        assert_eq!(kept(&state), (false, false));
    }
}

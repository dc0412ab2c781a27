//! Runs what routing decides: states, offers, places in the queue; and who is connected.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::conversation::{
    Availability, ConversationState, Presence, SiteAvailability, VisitorCard,
};
use protocol::frame::{RequestId, ServerFrame};
use protocol::ids::{AgentId, ConversationId, SiteId, TagId, TenantId};
use protocol::limits::{BOARD_CONVERSATIONS_MAX, CAPACITY_MAX};
use protocol::message::{Author, EventKind};
use protocol::personal::Text;
use protocol::reject::{CloseCode, Reject, RejectCode};
use protocol::retention::RetentionClass;
use protocol::time::UnixMillis;
use smallvec::SmallVec;

use super::desk::{AgentLine, Desk, DeskState, Guest, RoomFacts};
use super::fanout::Fanned;
use super::site::Shown;
use super::speak::{Answer, Asked};
use super::tally;
use super::{Hub, Outlet, Speaker, Who, not_found, store_reject};
use crate::metrics::Closed;
use crate::privacy::envelope::Flags;
use crate::privacy::gate::{Door, Reader};
use crate::privacy::ingest::event;
use crate::routing::{BoardPlace, Effect, Input, Standing};
use crate::store::{AgentRow, Write};
use crate::tasks;

impl Hub {
    /// Hands an input to routing and runs what comes of it; changed headers are on disk when it returns.
    pub(super) async fn route(self: &Arc<Self>, desk: &Desk, input: Input) -> Result<(), Reject> {
        let effects = self.decide(desk, input)?;
        self.run(desk, effects).await
    }

    /// Closes a conversation, and counts who did.
    pub(super) async fn route_end(
        self: &Arc<Self>,
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
        let now = self.now();
        let taken = tally::is_taken(&input);
        let effects = state.routing.handle(input, now)?;
        tally::offers(&self.metrics, state.routing.take_offers_ended());
        tally::opened(&self.metrics, &input, &effects);
        tally::assigned(&self.metrics, &state, &effects, taken, now);
        state.apply(&effects, now);
        Ok(effects)
    }

    /// Runs effects that were applied to the headers already. Others run at the same time, and an older one may come
    /// to its end later: nothing is told that does not hold any more, and what holds instead is told by its own effect.
    pub(super) async fn run(
        self: &Arc<Self>,
        desk: &Desk,
        effects: Vec<Effect>,
    ) -> Result<(), Reject> {
        let mut changed = BTreeSet::new();
        for effect in &effects {
            match effect {
                Effect::Changed { conversation, .. } => {
                    changed.insert(*conversation);
                }
                Effect::Line { conversation, event, agent } => {
                    self.line(desk.tenant, *conversation, *event, *agent).await;
                }
                Effect::Offer { .. }
                | Effect::OfferOver { .. }
                | Effect::Position { .. }
                | Effect::AgentChanged { .. }
                | Effect::SiteAvailability { .. } => {}
            }
        }
        // The new states before what follows from them: who is asked for the next conversation has seen
        // that the last one is closed, and is never shown more than they take.
        for conversation in &changed {
            self.publish(desk, *conversation).await;
        }
        for effect in effects {
            match effect {
                Effect::Changed { .. } | Effect::Line { .. } => {}
                Effect::Offer { conversation, agent, .. } => {
                    let facts = self.facts(desk.tenant, conversation).await;
                    let shown = self.shown();
                    // Told twice is no harm: a clock that stepped back moved the deadline since,
                    // and they may have been asked anew.
                    tell_what_holds(desk, |state| {
                        let offer = state.offer(conversation, agent, &facts, &shown)?;
                        Some((state.agent_lines(agent), offer))
                    });
                }
                Effect::OfferOver { conversation, agent } => tell_what_holds(desk, |state| {
                    let standing = state.routing.standing(conversation);
                    // They were asked again meanwhile: the new question replaces the old one.
                    let asked = standing.is_some_and(|standing| standing.offered_to == Some(agent));
                    let over = ServerFrame::OfferOver { conversation };
                    (!asked).then(|| (state.agent_lines(agent), over))
                }),
                Effect::Position { conversation, position, wait_ms } => {
                    let lines = self.outlets(conversation, Reader::Visitor);
                    tell_what_holds(desk, |state| {
                        let standing = state.routing.standing(conversation)?;
                        let promise = state.routing.site_availability(standing.site);
                        let unserved = promise == SiteAvailability::Unavailable;
                        let place = ServerFrame::Queue {
                            conversation,
                            position,
                            // Those served before say nothing of how long it takes until somebody comes.
                            wait_ms: wait_ms.filter(|_| !unserved),
                            unserved: unserved.then_some(true),
                        };
                        (standing.position == Some(position)).then_some((lines, place))
                    });
                }
                Effect::AgentChanged { agent } => tell_what_holds(desk, |state| {
                    let card = state.agent_card(agent, Reader::Agents)?;
                    Some((state.who_sees(agent), ServerFrame::Agent { card }))
                }),
                Effect::SiteAvailability { site, availability } => tell_what_holds(desk, |state| {
                    let holds = state.routing.site_availability(site) == availability;
                    let promise = ServerFrame::Availability { availability };
                    holds.then(|| (state.site_lines(site), promise))
                }),
            }
        }
        self.persist(desk, &changed).await
    }

    /// Sends a conversation's state to everyone who looks at it.
    pub(super) async fn publish(&self, desk: &Desk, conversation: ConversationId) {
        let facts = self.facts(desk.tenant, conversation).await;
        let visitors = self.outlets(conversation, Reader::Visitor);
        let watchers = self.outlets(conversation, Reader::Agents);
        let flush = {
            let state = desk.state.lock();
            let mut lines = state.board.clone();
            for watcher in watchers {
                if lines.iter().all(|line| line.connection() != watcher.connection()) {
                    lines.push(watcher);
                }
            }
            let for_agents = state.card(conversation, &facts, Reader::Agents, &self.shown());
            let for_visitors = state.card(conversation, &facts, Reader::Visitor, &self.shown());
            // Under the desk's lock, so that no two threads swap two states of one conversation.
            append_all(&lines, for_agents.map(|card| ServerFrame::Conversation { card }));
            append_all(&visitors, for_visitors.map(|card| ServerFrame::Conversation { card }));
            lines.extend(visitors);
            lines
        };
        for line in flush {
            line.flush();
        }
    }

    /// Writes changed headers; what cannot be written now is written by upkeep, later.
    pub(super) async fn persist(
        &self,
        desk: &Desk,
        changed: &BTreeSet<ConversationId>,
    ) -> Result<(), Reject> {
        let rows: Vec<_> = {
            let state = desk.state.lock();
            let headers = changed.iter().filter_map(|id| state.headers.get(id));
            headers.map(|header| header.row.clone()).collect()
        };
        if rows.is_empty() {
            return Ok(());
        }
        let closed: Vec<_> = rows
            .iter()
            .filter(|row| row.state == ConversationState::Closed)
            .map(|row| (row.conversation, row.version))
            .collect();
        let writes = rows.into_iter().map(|row| Write::Conversation(Box::new(row))).collect();
        if let Err(error) = self.store.write(writes).await {
            desk.state.lock().unwritten.extend(changed);
            return Err(store_reject(&error));
        }
        let mut state = desk.state.lock();
        for (conversation, version) in closed {
            if state.headers.get(&conversation).is_some_and(|h| h.row.version == version) {
                state.remove(conversation);
            }
        }
        Ok(())
    }

    /// Writes a line of the system into a transcript. It is told to everyone in the room; if it cannot
    /// be stored it is taken back like any message.
    pub(super) async fn line(
        self: &Arc<Self>,
        tenant: TenantId,
        conversation: ConversationId,
        kind: EventKind,
        agent: Option<AgentId>,
    ) {
        let Ok(room) = self.room(tenant, conversation).await else { return };
        let Ok((site, visitor)) = room.with(|live| (live.site(), live.visitor())) else { return };
        let Ok(site) = self.site(tenant, site).await else { return };
        let now = self.record_time();
        let ground = site.wordless_ground(visitor);
        let id = Self::message_id(now);
        if let Some(envelope) = event(&ground, conversation, id, kind, agent, now) {
            let untold = move |reject: &Reject| {
                tracing::warn!(conversation_id = %conversation, reject_code = reject.code.word(), "a line of the system was not stored");
            };
            let fate: Answer = Box::new(move |fate| fate.as_ref().err().map_or((), untold));
            let since = self.clock.instant();
            let asked = Asked { from: None, refusal: None, since, beside: None, trace: None };
            if let Err(reject) = self.sequence(room, envelope, asked, fate).await {
                untold(&reject);
            }
        }
    }

    /// An agent connects: they are told what is offered to them, and may be offered more.
    /// `expires_at` is the end of their session, and then of this connection.
    pub(crate) async fn agent_connected(
        self: &Arc<Self>,
        speaker: &Speaker,
        expires_at: UnixMillis,
    ) -> Result<(), Reject> {
        let Who::Agent { agent, session, .. } = speaker.who else { return Ok(()) };
        let desk = self.desk(speaker.tenant).await?;
        let pending: Vec<_> = {
            let mut state = desk.state.lock();
            let seat = state.agents.get_mut(&agent).filter(|seat| seat.row.active);
            let seat = seat.ok_or_else(|| not_found("there is no such agent"))?;
            let outlet = Arc::clone(&speaker.outlet);
            seat.lines.push(AgentLine { outlet, session, expires_at });
            state.routing.offers_to(agent)
        };
        self.route(&desk, Input::AgentConnected { agent }).await?;
        for conversation in pending {
            let facts = self.facts(desk.tenant, conversation).await;
            let shown = self.shown();
            tell_what_holds(&desk, |state| {
                let offer = state.offer(conversation, agent, &facts, &shown)?;
                Some((vec![Arc::clone(&speaker.outlet)], offer))
            });
        }
        Ok(())
    }

    /// The agent's own card.
    pub(crate) async fn own_card(
        &self,
        tenant: TenantId,
        agent: AgentId,
    ) -> Result<protocol::conversation::AgentCard, Reject> {
        let desk = self.desk(tenant).await?;
        let card = desk.state.lock().agent_card(agent, Reader::Agents);
        card.ok_or_else(|| not_found("there is no such agent"))
    }

    /// A visitor connects. Returns what their site may promise now.
    pub(crate) async fn visitor_connected(
        &self,
        speaker: &Speaker,
        signals: Flags,
    ) -> Result<SiteAvailability, Reject> {
        let Who::Visitor { site, visitor } = speaker.who else {
            return Ok(SiteAvailability::Unavailable);
        };
        let desk = self.desk(speaker.tenant).await?;
        let (came, availability) = {
            let mut state = desk.state.lock();
            state.routing.know_site(site);
            let availability = state.routing.site_availability(site);
            let guest = state.visitors.entry(visitor).or_insert_with(|| Guest {
                site,
                lines: SmallVec::new(),
                lost_at: None,
                presence: Presence::Gone,
                page: None,
                signals: Flags::default(),
            });
            // What one of their windows asked for holds for all that is said while they are here.
            guest.signals = guest.signals.and(signals);
            guest.lines.push(Arc::clone(&speaker.outlet));
            guest.lost_at = None;
            let came = guest.presence == Presence::Gone;
            guest.presence = Presence::Connected;
            (came, availability)
        };
        if came {
            self.tell_presence(&desk, visitor);
        }
        Ok(availability)
    }

    /// A connection is over.
    pub(crate) async fn disconnected(self: &Arc<Self>, speaker: &Speaker) {
        let Some(desk) = self.live_desk(speaker.tenant) else { return };
        let connection = speaker.outlet.connection();
        let agent_gone = {
            let mut state = desk.state.lock();
            match speaker.who {
                Who::Agent { agent, .. } => {
                    state.remove_line(connection);
                    let last = state.agents.get(&agent).is_some_and(|seat| seat.lines.is_empty());
                    last.then_some(agent)
                }
                Who::Visitor { visitor, .. } => {
                    if let Some(guest) = state.visitors.get_mut(&visitor) {
                        guest.lines.retain(|line| line.connection() != connection);
                        if guest.lines.is_empty() {
                            guest.lost_at = Some(self.now());
                        }
                    }
                    None
                }
            }
        };
        if let Some(agent) = agent_gone
            && let Err(reject) = self.route(&desk, Input::AgentGone { agent }).await
        {
            tracing::warn!(agent_id = %agent, reject_code = reject.code.word(), "an agent's leaving was not written; it will be");
        }
    }

    /// Tells agents that a visitor came, went, or turned a page.
    pub(super) fn tell_presence(&self, desk: &Desk, visitor: protocol::ids::VisitorId) {
        let shown = self.shown();
        let told = {
            let state = desk.state.lock();
            let cards: Vec<(ConversationId, VisitorCard)> = state
                .conversations_of(visitor)
                .iter()
                .filter_map(|conversation| {
                    Some((*conversation, state.guest_card(*conversation, &shown)?))
                })
                .collect();
            (cards, state.board.clone())
        };
        let (cards, board) = told;
        for (conversation, card) in cards {
            let presence = card.presence.unwrap_or(Presence::Gone);
            let frame = ServerFrame::Presence { conversation, presence, visitor: Some(card) };
            tell_all(&board, frame);
        }
    }

    /// The visitor is on another page.
    pub(crate) async fn page(
        &self,
        speaker: &Speaker,
        page: &protocol::conversation::PageView,
    ) -> Result<(), Reject> {
        let Who::Visitor { site, visitor } = speaker.who else { return Ok(()) };
        let site = self.site(speaker.tenant, site).await?;
        // Where masks cannot be used nothing of it is kept, and nobody is refused for it.
        let Ok(page) = super::open::checked_page(&site, page).await else { return Ok(()) };
        let desk = self.desk(speaker.tenant).await?;
        let known = {
            let mut state = desk.state.lock();
            let guest = state.visitors.get_mut(&visitor);
            guest.map(|guest| guest.page = Some(Box::new(page))).is_some()
        };
        if known {
            self.tell_presence(&desk, visitor);
        }
        Ok(())
    }

    /// The board: a part of what is live, and with the first one the colleagues and the agent's own
    /// drafts; from now on changes follow.
    pub(crate) async fn watch_board(
        &self,
        speaker: &Speaker,
        request: RequestId,
        after: Option<String>,
    ) -> Result<(), Reject> {
        let Some(agent) = speaker.agent() else {
            return Err(Reject::new(RejectCode::Forbidden, "the board is for agents"));
        };
        let place = after.as_deref().map(str::parse::<BoardPlace>).transpose().map_err(|_| {
            let words = "after: the `next` of the part before";
            Reject::new(RejectCode::Invalid, words)
        })?;
        let drafts = match place {
            None => self.store.drafts(speaker.tenant, agent).await,
            Some(_) => Ok(Vec::new()),
        };
        let drafts = drafts.map_err(|error| store_reject(&error))?;
        let desk = self.desk(speaker.tenant).await?;
        let part = |state: &DeskState| state.routing.board(agent, place, BOARD_CONVERSATIONS_MAX);
        let (listed, _) = part(&desk.state.lock());
        let mut facts = std::collections::HashMap::new();
        for conversation in listed {
            facts.insert(conversation, self.facts(desk.tenant, conversation).await);
        }
        {
            let mut state = desk.state.lock();
            let none = RoomFacts::default();
            let shown = self.shown();
            // What has come into this part since shows its words with its next change.
            let (listed, next) = part(&state);
            let conversations = listed
                .iter()
                .filter_map(|conversation| {
                    let facts = facts.get(conversation).unwrap_or(&none);
                    state.card(*conversation, facts, Reader::Agents, &shown)
                })
                .collect();
            let agents = if place.is_none() { state.agent_cards() } else { Vec::new() };
            let (live, waiting) = state.routing.counts();
            let frame = Fanned::new(ServerFrame::Board {
                request,
                conversations,
                agents,
                live: Some(u32::try_from(live).unwrap_or(u32::MAX)),
                waiting: Some(u32::try_from(waiting).unwrap_or(u32::MAX)),
                next: next.map(|place| place.to_string()),
                after,
            });
            // Under the desk's lock: what changes afterwards comes afterwards.
            speaker.outlet.append(&frame);
            state.board.retain(|line| line.connection() != speaker.outlet.connection());
            state.board.push(Arc::clone(&speaker.outlet));
        }
        let shown = self.shown();
        for draft in &drafts {
            let of = (RetentionClass::Transcript, draft.day);
            let Some(draft) = shown.show(Door::Draft, draft.site, of, draft) else { continue };
            let (conversation, text) =
                (draft.conversation, Text::new(draft.text.expose().as_str()));
            speaker.outlet.append(&Fanned::new(ServerFrame::Draft { conversation, text }));
        }
        speaker.outlet.flush();
        Ok(())
    }

    /// No longer the board.
    pub(crate) fn unwatch_board(&self, speaker: &Speaker) {
        if let Some(desk) = self.live_desk(speaker.tenant) {
            let connection = speaker.outlet.connection();
            desk.state.lock().board.retain(|line| line.connection() != connection);
        }
    }

    /// An agent chooses; the choice is kept, and nothing else of their account is written with it.
    pub(crate) async fn choose(
        self: &Arc<Self>,
        tenant: TenantId,
        agent: AgentId,
        availability: Availability,
        capacity: Option<u16>,
    ) -> Result<(), Reject> {
        if capacity.is_some_and(|capacity| capacity > CAPACITY_MAX) {
            let words = "capacity: 0 to 100 conversations";
            return Err(Reject::new(RejectCode::Invalid, words));
        }
        let desk = self.desk(tenant).await?;
        let kept = self.store.agent_availability(tenant, agent, availability, capacity).await;
        kept.map_err(|error| store_reject(&error))?;
        if let Some(seat) = desk.state.lock().agents.get_mut(&agent) {
            seat.row.availability = availability;
            seat.row.capacity = capacity.unwrap_or(seat.row.capacity);
        }
        self.route(&desk, Input::Availability { agent, availability, capacity }).await
    }

    /// What an agent does with a conversation.
    pub(crate) async fn act(
        self: &Arc<Self>,
        tenant: TenantId,
        who: Option<Who>,
        act: Act,
    ) -> Result<(), Reject> {
        let only_agents = || Reject::new(RejectCode::Forbidden, "only agents do that");
        let desk = self.desk(tenant).await?;
        let (own, supervises) = match who {
            Some(Who::Agent { agent, .. }) => (Some(agent), desk.state.lock().supervises(agent)),
            Some(Who::Visitor { .. }) => return Err(only_agents()),
            // A program of the Organization.
            None => (None, true),
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
                self.may_move(&desk, who, conversation, true).await?;
                let from =
                    desk.state.lock().headers.get(&conversation).and_then(|h| h.row.assignee);
                let from = from.ok_or_else(|| {
                    Reject::new(RejectCode::Gone, "nobody has this conversation; assign it instead")
                })?;
                Input::Transfer { from, to, conversation }
            }
            Act::Withdraw(conversation) => {
                self.may_move(&desk, who, conversation, true).await?;
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
        self.route(&desk, input).await?;
        if let Some(agent) = own {
            let takes = matches!(act, Act::TakeOver { .. })
                || matches!(act, Act::Assign { to, .. } if to == agent);
            self.note_act(&desk, agent, takes).await;
        }
        Ok(())
    }

    /// Whoever takes something themselves is at work though they chose to be offline: from then on
    /// they are away, and keep what they took.
    async fn note_act(self: &Arc<Self>, desk: &Arc<Desk>, agent: AgentId, takes: bool) {
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
            self.note_work(Arc::clone(desk), agent);
        }
    }

    /// Who has this conversation says something in it: if they were thought not to be at
    /// their desk, they are.
    pub(super) fn note_sign(
        self: &Arc<Self>,
        tenant: TenantId,
        who: Option<Who>,
        standing: &super::desk::Standing,
    ) {
        if standing.unheard
            && let Some(Who::Agent { agent, .. }) = who
            && standing.assignee == Some(agent)
            && let Some(desk) = self.live_desk(tenant)
        {
            self.note_work(desk, agent);
        }
    }

    /// Who let offers run out is at their desk after all.
    pub(super) fn note_work(self: &Arc<Self>, desk: Arc<Desk>, agent: AgentId) {
        let hub = Arc::clone(self);
        drop(tasks::spawn("an agent at work", async move {
            if let Err(reject) = hub.route(&desk, Input::Acted { agent }).await {
                tracing::warn!(agent_id = %agent, reject_code = reject.code.word(), "an agent's change was not written; it will be");
            }
        }));
    }

    /// Replaces a conversation's labels.
    pub(crate) async fn set_tags(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        tags: Vec<TagId>,
    ) -> Result<(), Reject> {
        let desk = self.desk(tenant).await?;
        let _turn = self.turn(conversation.as_bytes()).await;
        let live = desk.state.lock().amend(conversation, |header| {
            header.row.tags.clone_from(&tags);
        });
        if live {
            return self.show(&desk, &BTreeSet::from([conversation])).await;
        }
        let (mut row, _) = self.stored_header(tenant, conversation).await?;
        row.tags = tags;
        row.version += 1;
        let write = vec![Write::Conversation(Box::new(row))];
        self.store.write(write).await.map_err(|error| store_reject(&error))
    }

    /// Tells what conversations show now, and writes it.
    pub(super) async fn show(
        &self,
        desk: &Desk,
        amended: &BTreeSet<ConversationId>,
    ) -> Result<(), Reject> {
        for conversation in amended {
            self.publish(desk, *conversation).await;
        }
        self.persist(desk, amended).await
    }

    /// An agent was stored anew, or is new. What they may do counts at once; offers move later.
    pub(crate) async fn agent_changed(self: &Arc<Self>, row: AgentRow) {
        // It may be loading at this moment, from what stood in the store before.
        let Ok(desk) = self.desk(row.tenant).await else { return };
        let active = row.active;
        let agent = row.agent;
        let (effects, lines, renamed) = {
            let mut state = desk.state.lock();
            let now = self.now();
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
            (effects, state.agent_lines(agent), renamed)
        };
        if !active {
            for line in lines {
                line.close(CloseCode::NotAuthenticated);
            }
        }
        let told = self.run(&desk, effects).await;
        if let Err(reject) = told.and(self.show(&desk, &renamed).await) {
            tracing::warn!(agent_id = %agent, reject_code = reject.code.word(), "an agent's change was not written; it will be");
        }
    }

    /// A session is over: its connections are, too.
    pub(crate) fn session_ended(&self, session: protocol::ids::SessionId) {
        for desk in self.all_desks() {
            Self::close_lines(&desk, |line| line.session == session);
        }
    }

    /// Ends the connections of agents for which `over` holds.
    pub(super) fn close_lines(desk: &Desk, over: impl Fn(&AgentLine) -> bool) {
        let lines: Vec<_> = {
            let state = desk.state.lock();
            let lines = state.agents.values().flat_map(|seat| seat.lines.iter());
            lines.filter(|line| over(line)).map(|line| Arc::clone(&line.outlet)).collect()
        };
        for line in lines {
            line.close(CloseCode::NotAuthenticated);
        }
    }

    /// What a site may promise now.
    pub(crate) fn site_availability(&self, tenant: TenantId, site: SiteId) -> SiteAvailability {
        self.live_desk(tenant).map_or(SiteAvailability::Unavailable, |desk| {
            desk.state.lock().routing.site_availability(site)
        })
    }
}

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

impl DeskState {
    /// Writes what routing decided into the headers.
    pub(super) fn apply(&mut self, effects: &[Effect], now: UnixMillis) {
        for effect in effects {
            let Effect::Changed { conversation, standing } = effect else { continue };
            let Some(header) = self.headers.get_mut(conversation) else { continue };
            let Standing { version, state, assignee, waiting_since, offline_message, .. } =
                *standing;
            let row = &mut header.row;
            row.version = version;
            row.offline_message = offline_message;
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

    /// The question to an agent as it stands now; none if they are not asked.
    fn offer(
        &self,
        conversation: ConversationId,
        agent: AgentId,
        facts: &RoomFacts,
        shown: &Shown<'_>,
    ) -> Option<ServerFrame<'static>> {
        let standing = self.routing.standing(conversation)?;
        let deadline = standing.deadline.filter(|_| standing.offered_to == Some(agent))?;
        let mut card = self.card(conversation, facts, Reader::Agents, shown)?;
        // What they are asked for is the visitor's: neither a note nor a colleague's words stand
        // for it.
        card.last_author = facts.asked.as_ref().map(|_| Author::Visitor);
        card.last_message_at = facts.asked.as_ref().map(|(_, at)| *at);
        card.preview = facts.asked.as_ref().map(|(words, _)| words.clone());
        let transfer_from = standing.assignee;
        Some(ServerFrame::Offer { conversation, deadline, card, transfer_from })
    }

    /// Whoever follows an agent's state: the boards, and the agent's own windows.
    fn who_sees(&self, agent: AgentId) -> Vec<Arc<dyn Outlet>> {
        let mut lines = self.board.clone();
        for own in self.agent_lines(agent) {
            if lines.iter().all(|line| line.connection() != own.connection()) {
                lines.push(own);
            }
        }
        lines
    }

    /// Every visitor's connection at a site.
    fn site_lines(&self, site: SiteId) -> Vec<Arc<dyn Outlet>> {
        let guests = self.visitors.values().filter(|guest| guest.site == site);
        guests.flat_map(|guest| guest.lines.iter().map(Arc::clone)).collect()
    }
}

/// Tells something, unless it does not hold any more. Under the desk's lock, so that nothing older comes behind it.
fn tell_what_holds<'a>(
    desk: &Desk,
    what: impl FnOnce(&DeskState) -> Option<(Vec<Arc<dyn Outlet>>, ServerFrame<'a>)>,
) {
    let lines = {
        let state = desk.state.lock();
        let Some((lines, frame)) = what(&state) else { return };
        append_all(&lines, Some(frame));
        lines
    };
    for line in lines {
        line.flush();
    }
}

fn append_all(lines: &[Arc<dyn Outlet>], frame: Option<ServerFrame<'_>>) {
    let Some(frame) = frame else { return };
    let frame = Fanned::new(frame);
    for line in lines {
        line.append(&frame);
    }
}

fn tell_all(lines: &[Arc<dyn Outlet>], frame: ServerFrame<'_>) {
    append_all(lines, Some(frame));
    for line in lines {
        line.flush();
    }
}

//! What agents see of all that is live: the board, and the states of conversations that change.
//!
//! Lives here: who is told of a change, and what a list shows of what was said. A list loads no
//! room: a live one answers from its memory, the header of any other keeps what was last said, and
//! what no header has is read at once for all. Not here: cards (`cards`), what changes
//! (`assignment`, `conversations`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use protocol::conversation::ConversationCard;
use protocol::frame::{RequestId, ServerFrame};
use protocol::ids::{ConversationId, SiteId};
use protocol::limits::BOARD_CONVERSATIONS_MAX;
use protocol::personal::Text;
use protocol::reject::{Reject, RejectCode};
use protocol::retention::RetentionClass;

use super::desk::{Desk, DeskState};
use super::desks::Desks;
use super::fanout::{EncodedFrame, FrameSink, LiveRoom, append_all};
use super::handle::RoomHandle;
use super::newest::{Newest, RoomFacts, facts_of};
use super::ports::Ports;
use super::rooms::Rooms;
use super::sites::Sites;
use super::speaker::Speaker;
use super::times::Times;
use crate::bus::Bus;
use crate::privacy::gate::{Door, ReadGrant, Reader};
use crate::routing::BoardPosition;
use crate::store::Store;

/// The board of every Organization.
#[derive(Debug)]
pub(crate) struct Board {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    times: Arc<Times>,
    sites: Arc<Sites>,
    rooms: Arc<Rooms>,
    desks: Arc<Desks>,
}

impl Board {
    pub(super) fn new(
        ports: &Ports,
        sites: &Arc<Sites>,
        rooms: &Arc<Rooms>,
        desks: &Arc<Desks>,
    ) -> Self {
        Self {
            store: Arc::clone(&ports.store),
            bus: Arc::clone(&ports.bus),
            times: Arc::clone(&ports.times),
            sites: Arc::clone(sites),
            rooms: Arc::clone(rooms),
            desks: Arc::clone(desks),
        }
    }

    /// What was said in a live room, as far as it may be shown.
    pub(super) fn facts_of(&self, live: &LiveRoom) -> RoomFacts {
        self.granted(live.site(), |grant| facts_of(live, grant))
    }

    /// The same of any conversation.
    pub(super) async fn facts(&self, desk: &Desk, conversation: ConversationId) -> RoomFacts {
        let mut facts = self.facts_of_all(desk, &[conversation]).await;
        facts.remove(&conversation).unwrap_or_default()
    }

    /// The same of many: of those that neither a room nor a header knows in one read. One that
    /// cannot be read is left out.
    pub(super) async fn facts_of_all(
        &self,
        desk: &Desk,
        conversations: &[ConversationId],
    ) -> HashMap<ConversationId, RoomFacts> {
        let mut facts = HashMap::with_capacity(conversations.len());
        let is_new = !self.bus.is_far();
        for conversation in conversations {
            let room = self.rooms.live(*conversation);
            let of_room = room.and_then(|room| room.with(|live| self.facts_of(live)).ok());
            let known = of_room.or_else(|| {
                let state = desk.state.lock();
                let header = state.headers.get(conversation).filter(|_| is_new)?;
                Some(self.kept(header.row.site, header.newest.as_ref()?))
            });
            if let Some(known) = known {
                facts.insert(*conversation, known);
            }
        }
        let unknown: Vec<_> =
            conversations.iter().filter(|id| !facts.contains_key(id)).copied().collect();
        if unknown.is_empty() {
            return facts;
        }
        let Ok(rows) = self.store.newest(desk.tenant, &unknown).await else { return facts };
        let mut state = desk.state.lock();
        for row in rows {
            let (conversation, site) = (row.conversation, row.site);
            let newest = Newest::from(row);
            facts.insert(conversation, self.kept(site, &newest));
            if is_new {
                state.keep_newest(conversation, newest);
            }
        }
        facts
    }

    fn kept(&self, site: SiteId, newest: &Newest) -> RoomFacts {
        self.granted(site, |grant| newest.facts(grant))
    }

    /// What may be shown of a site's conversations today; of one that is not known here nothing
    /// may.
    fn granted<T>(&self, site: SiteId, show: impl FnOnce(Option<&ReadGrant<'_>>) -> T) -> T {
        let Some(site) = self.sites.live(site) else { return show(None) };
        let (today, timeline) = (self.times.today(), &site.row.timeline);
        show(Some(&ReadGrant::stored(Door::Preview, Reader::Agents, today, timeline)))
    }

    /// The card of a conversation, live or not.
    pub(super) async fn card(
        &self,
        speaker: &Speaker,
        conversation: ConversationId,
        facts: &RoomFacts,
    ) -> Result<ConversationCard, Reject> {
        let desk = self.desks.get(speaker.tenant).await?;
        if let Some(card) =
            desk.state.lock().card(conversation, facts, speaker.reader(), &self.sites.shown())
        {
            return Ok(card);
        }
        let (row, contact) = self.desks.stored_header(speaker.tenant, conversation).await?;
        let card = desk.state.lock().card_of(
            &row,
            contact.as_deref(),
            facts,
            speaker.reader(),
            &self.sites.shown(),
        );
        Ok(card)
    }

    /// Sends a conversation's state to everyone who looks at it.
    pub(super) async fn publish(&self, desk: &Desk, conversation: ConversationId) {
        if !self.is_looked_at(desk, conversation) {
            return;
        }
        let facts = self.facts(desk, conversation).await;
        let visitors = self.rooms.sinks(conversation, Reader::Visitor);
        let watchers = self.rooms.sinks(conversation, Reader::Agents);
        let flush = {
            let state = desk.state.lock();
            let mut sinks = state.board.clone();
            for watcher in watchers {
                if sinks.iter().all(|sink| sink.connection() != watcher.connection()) {
                    sinks.push(watcher);
                }
            }
            let for_agents = state.card(conversation, &facts, Reader::Agents, &self.sites.shown());
            let for_visitors =
                state.card(conversation, &facts, Reader::Visitor, &self.sites.shown());
            // Under the desk's lock, so that no two threads swap two states of one conversation.
            append_all(&sinks, for_agents.map(|card| ServerFrame::Conversation { card }));
            append_all(&visitors, for_visitors.map(|card| ServerFrame::Conversation { card }));
            sinks.extend(visitors);
            sinks
        };
        for sink in flush {
            sink.flush();
        }
    }

    /// Whether anybody sees this conversation's state.
    fn is_looked_at(&self, desk: &Desk, conversation: ConversationId) -> bool {
        let in_room = |room: RoomHandle| room.with(|live| !live.members().is_empty()) == Ok(true);
        // One lock after the other.
        let has_board = !desk.state.lock().board.is_empty();
        has_board || self.rooms.live(conversation).is_some_and(in_room)
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
        self.desks.persist(desk, amended).await
    }

    /// The board: a part of what is live, and with the first one the colleagues and the agent's own
    /// drafts; from now on changes follow.
    pub(crate) async fn watch(
        &self,
        speaker: &Speaker,
        request: RequestId,
        after: Option<String>,
    ) -> Result<(), Reject> {
        let Some(agent) = speaker.agent() else {
            return Err(Reject::new(RejectCode::Forbidden, "the board is for agents"));
        };
        let position =
            after.as_deref().map(str::parse::<BoardPosition>).transpose().map_err(|_| {
                let words = "after: the `next` of the part before";
                Reject::new(RejectCode::Invalid, words)
            })?;
        let drafts = match position {
            None => self.store.drafts(speaker.tenant, agent).await,
            Some(_) => Ok(Vec::new()),
        };
        let drafts = drafts?;
        let desk = self.desks.get(speaker.tenant).await?;
        let part =
            |state: &DeskState| state.routing.board(agent, position, BOARD_CONVERSATIONS_MAX);
        let (listed, _) = part(&desk.state.lock());
        let facts = self.facts_of_all(&desk, &listed).await;
        {
            let mut state = desk.state.lock();
            let none = RoomFacts::default();
            let shown = self.sites.shown();
            // What has come into this part since shows its words with its next change.
            let (listed, next) = part(&state);
            let conversations = listed
                .iter()
                .filter_map(|conversation| {
                    let facts = facts.get(conversation).unwrap_or(&none);
                    state.card(*conversation, facts, Reader::Agents, &shown)
                })
                .collect();
            let agents = if position.is_none() { state.agent_cards() } else { Vec::new() };
            let (live, waiting) = state.routing.counts();
            let frame = EncodedFrame::new(ServerFrame::Board {
                request,
                conversations,
                agents,
                live: Some(u32::try_from(live).unwrap_or(u32::MAX)),
                waiting: Some(u32::try_from(waiting).unwrap_or(u32::MAX)),
                next: next.map(|position| position.to_string()),
                after,
            });
            // Under the desk's lock: what changes afterwards comes afterwards.
            speaker.sink.append(&frame);
            state.board.retain(|sink| sink.connection() != speaker.sink.connection());
            state.board.push(Arc::clone(&speaker.sink));
        }
        let shown = self.sites.shown();
        for draft in &drafts {
            let of = (RetentionClass::Transcript, draft.day);
            let Some(draft) = shown.show(Door::Draft, draft.site, of, draft) else { continue };
            let (conversation, text) =
                (draft.conversation, Text::new(draft.text.expose().as_str()));
            speaker.sink.append(&EncodedFrame::new(ServerFrame::Draft { conversation, text }));
        }
        speaker.sink.flush();
        Ok(())
    }

    /// No longer the board.
    pub(crate) fn unwatch(&self, speaker: &Speaker) {
        if let Some(desk) = self.desks.live(speaker.tenant) {
            let connection = speaker.sink.connection();
            desk.state.lock().board.retain(|sink| sink.connection() != connection);
        }
    }
}

/// Tells something, unless it does not hold any more. Under the desk's lock, so that nothing older
/// comes behind it.
pub(super) fn tell_what_holds<'a>(
    desk: &Desk,
    what: impl FnOnce(&DeskState) -> Option<(Vec<Arc<dyn FrameSink>>, ServerFrame<'a>)>,
) {
    let sinks = {
        let state = desk.state.lock();
        let Some((sinks, frame)) = what(&state) else { return };
        append_all(&sinks, Some(frame));
        sinks
    };
    for sink in sinks {
        sink.flush();
    }
}

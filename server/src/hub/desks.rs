//! Each Organization's desk: loaded once, then kept; and what of it is in the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use protocol::conversation::{AgentCard, ConversationState, SiteAvailability};
use protocol::ids::{AgentId, ConversationId, SiteId, TenantId, VisitorId};
use protocol::reject::{Reject, RejectCode};
use tokio::sync::OnceCell;

use super::desk::{Contact, Desk, DeskState, Standing};
use super::ports::Ports;
use super::reject::{not_found, store_reject};
use super::rooms::Rooms;
use super::sites::Sites;
use super::speaker::Actor;
use super::times::Times;
use crate::bus::Bus;
use crate::privacy::gate::Reader;
use crate::routing::RoutingConfig;
use crate::store::{ConversationRow, Page, Store, StoreError, Write};

/// Agents of one Organization that are read at once.
const AGENTS_PER_PAGE: u16 = 500;

/// The desks of all Organizations that were asked for since the start.
#[derive(Debug)]
pub(crate) struct Desks {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    times: Arc<Times>,
    sites: Arc<Sites>,
    rooms: Arc<Rooms>,
    routing: RoutingConfig,
    desks: DashMap<TenantId, Arc<OnceCell<Arc<Desk>>>, RandomState>,
}

impl Desks {
    pub(super) fn new(
        ports: &Ports,
        sites: &Arc<Sites>,
        rooms: &Arc<Rooms>,
        routing: RoutingConfig,
    ) -> Self {
        Self {
            store: Arc::clone(&ports.store),
            bus: Arc::clone(&ports.bus),
            times: Arc::clone(&ports.times),
            sites: Arc::clone(sites),
            rooms: Arc::clone(rooms),
            routing,
            desks: DashMap::default(),
        }
    }

    /// The desk, loaded if need be.
    pub(super) async fn get(&self, tenant: TenantId) -> Result<Arc<Desk>, Reject> {
        let cell = Arc::clone(&self.desks.entry(tenant).or_default());
        let desk = cell.get_or_try_init(async || self.load(tenant).await).await;
        Ok(desk.cloned()?)
    }

    /// The desk if it is loaded.
    pub(super) fn live(&self, tenant: TenantId) -> Option<Arc<Desk>> {
        self.desks.get(&tenant)?.get().cloned()
    }

    /// Every desk that is loaded; the map is let go of before any of them is locked.
    pub(super) fn all(&self) -> Vec<Arc<Desk>> {
        self.desks.iter().filter_map(|cell| cell.get().cloned()).collect()
    }

    async fn load(&self, tenant: TenantId) -> Result<Arc<Desk>, StoreError> {
        let now = self.times.now();
        let mut state = DeskState::new(tenant, self.routing);
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

    /// A visitor's conversations that are not closed, the newest first.
    pub(crate) async fn open_conversations(
        &self,
        tenant: TenantId,
        visitor: VisitorId,
    ) -> Result<Vec<ConversationId>, Reject> {
        let desk = self.get(tenant).await?;
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

    /// Where a conversation stands, live or not.
    pub(super) async fn standing_of(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Standing, Reject> {
        let desk = self.get(tenant).await?;
        if let Some(standing) = desk.standing(conversation) {
            return Ok(standing);
        }
        let row = self.store.conversation(tenant, conversation).await?;
        let row = row.ok_or_else(|| not_found("there is no such conversation"))?;
        Ok(Standing::of(&row))
    }

    /// A conversation's header and its visitor from the store.
    pub(super) async fn stored_header(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<(ConversationRow, Option<Box<Contact>>), Reject> {
        let row = self.store.conversation(tenant, conversation).await?;
        let row = row.ok_or_else(|| not_found("there is no such conversation"))?;
        self.sites.know(tenant, row.site).await;
        let visitor = self.store.visitor(tenant, row.visitor).await?;
        let visitor = visitor.ok_or_else(|| not_found("there is no such conversation"))?;
        Ok((row, Contact::of(visitor)))
    }

    /// Whether someone may end or move a conversation; where it is not theirs, it is not found.
    pub(super) async fn may_move(
        &self,
        desk: &Desk,
        who: Actor,
        conversation: ConversationId,
        live_only_assignee: bool,
    ) -> Result<(), Reject> {
        let known = {
            let state = desk.state.lock();
            state.headers.get(&conversation).map(|h| (h.row.visitor, h.row.assignee))
        };
        let (visitor, assignee) = match known {
            Some(known) => known,
            None => {
                let row = self.store.conversation(desk.tenant, conversation).await?;
                let row = row.ok_or_else(|| not_found("there is no such conversation"))?;
                (row.visitor, row.assignee)
            }
        };
        match who {
            Actor::Program => Ok(()),
            Actor::Visitor { visitor: own, .. } if own == visitor => Ok(()),
            Actor::Visitor { .. } => Err(not_found("there is no such conversation")),
            Actor::Agent { agent, .. }
                if !live_only_assignee
                    || assignee == Some(agent)
                    || desk.state.lock().supervises(agent) =>
            {
                Ok(())
            }
            Actor::Agent { .. } => Err(Reject::new(
                RejectCode::Forbidden,
                "this conversation is not yours; a supervisor may do that",
            )),
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

    /// Drops a conversation's room if nobody needs it, and keeps what lists show of it.
    pub(super) fn drop_if_idle(&self, conversation: ConversationId) {
        let Some(room) = self.rooms.live(conversation) else { return };
        let idle = room.with(|live| live.is_idle().then(|| live.tenant()));
        let Ok(Some(tenant)) = idle else { return };
        let desk = self.live(tenant);
        // What was kept before is old: whoever asks before it is kept anew asks the store.
        if let Some(desk) = &desk {
            desk.state.lock().forget_newest(conversation);
        }
        // Where other nodes speak too, what is kept here would soon be old.
        if let Some(newest) = self.rooms.drop_if_idle(conversation)
            && let Some(desk) = desk
            && !self.bus.is_far()
        {
            desk.state.lock().keep_newest(conversation, newest);
        }
    }

    /// The agent's own card.
    pub(crate) async fn own_card(
        &self,
        tenant: TenantId,
        agent: AgentId,
    ) -> Result<AgentCard, Reject> {
        let desk = self.get(tenant).await?;
        let card = desk.state.lock().agent_card(agent, Reader::Agents);
        card.ok_or_else(|| not_found("there is no such agent"))
    }

    /// What a site may promise now.
    pub(crate) fn site_availability(&self, tenant: TenantId, site: SiteId) -> SiteAvailability {
        self.live(tenant).map_or(SiteAvailability::Unavailable, |desk| {
            desk.state.lock().routing.site_availability(site)
        })
    }
}

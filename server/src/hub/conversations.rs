//! The life of a conversation after its beginning: its end and second beginning, its labels, and
//! the drafts of agents.
//!
//! Not here: how it begins (`open`, `create`), who gets it (`assignment`), what is said in it
//! (`speak`).

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::conversation::ConversationState;
use protocol::frame::ServerFrame;
use protocol::ids::{ConversationId, TagId, TenantId};
use protocol::limits::TEXT_BYTES_MAX;
use protocol::message::EventKind;
use protocol::personal::Text;
use protocol::reject::{Reject, RejectCode};

use super::assignment::Assignment;
use super::board::Board;
use super::desk::Header;
use super::desks::Desks;
use super::event::EventMessages;
use super::fanout::tell;
use super::reject::only_agents;
use super::rooms::Rooms;
use super::sites::Sites;
use super::speaker::{Actor, Speaker, Who};
use super::tally::closer;
use super::times::Times;
use crate::auth::AddressLimit;
use crate::bus::Bus;
use crate::metrics::Metrics;
use crate::privacy::ingest::field;
use crate::routing::Input;
use crate::store::{DraftRow, Store, Write};
use crate::tasks::IdLocks;

/// Conversations, from their beginning to their end.
#[derive(Debug)]
pub(crate) struct Conversations {
    pub(super) store: Arc<dyn Store>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) times: Arc<Times>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) sites: Arc<Sites>,
    pub(super) rooms: Arc<Rooms>,
    pub(super) desks: Arc<Desks>,
    pub(super) events: Arc<EventMessages>,
    pub(super) board: Arc<Board>,
    pub(super) assignment: Arc<Assignment>,
    /// What looks at the store before it changes something, such as a conversation's beginning and
    /// end, happens one at a time for each id, by a share of it.
    pub(super) id_locks: IdLocks,
    pub(super) openings: AddressLimit,
    /// Conversations that one visitor may have open.
    pub(super) per_visitor_max: usize,
    /// Milliseconds without a word and with nobody there after which a conversation is closed.
    /// None: never.
    pub(super) abandoned_ms: Option<u64>,
}

impl Conversations {
    /// Waits until nobody else is at the same act with this conversation or visitor.
    pub(crate) async fn id_lock(&self, id: &[u8; 16]) -> tokio::sync::MutexGuard<'_, ()> {
        self.id_locks.of(id).await
    }

    /// Ends a conversation: its visitor, its assignee, or a supervisor may.
    pub(crate) async fn close(
        &self,
        tenant: TenantId,
        who: Actor,
        conversation: ConversationId,
    ) -> Result<(), Reject> {
        let desk = self.desks.get(tenant).await?;
        let _id_lock = self.id_lock(conversation.as_bytes()).await;
        self.desks.may_move(&desk, who, conversation, true).await?;
        // Closed already: asking twice is asking once. One whose closing is not written yet still
        // has a header.
        let live = |header: &Header| header.row.state != ConversationState::Closed;
        if !desk.state.lock().headers.get(&conversation).is_some_and(|header| live(header)) {
            return Ok(());
        }
        self.events.write(tenant, conversation, EventKind::Closed, who.agent()).await;
        self.assignment.route_end(&desk, conversation, closer(who)).await
    }

    /// Opens a closed conversation again.
    pub(crate) async fn reopen(
        &self,
        tenant: TenantId,
        who: Actor,
        conversation: ConversationId,
    ) -> Result<(), Reject> {
        let desk = self.desks.get(tenant).await?;
        let _id_lock = self.id_lock(conversation.as_bytes()).await;
        self.desks.may_move(&desk, who, conversation, false).await?;
        // What memory has is newer than the store where its closing could not be written.
        let known = {
            let state = desk.state.lock();
            state.headers.get(&conversation).map(|kept| (kept.row.clone(), kept.contact.clone()))
        };
        let (mut row, contact) = match known {
            Some((row, _)) if row.state != ConversationState::Closed => return Ok(()),
            Some(closed) => closed,
            None => self.desks.stored_header(tenant, conversation).await?,
        };
        let site = self.sites.get(tenant, row.site).await?;
        if site.row.timeline.closed_at(self.times.now()).is_some() {
            return Err(Reject::new(RejectCode::SiteClosed, "this site is closed"));
        }
        let former = who.agent().or(row.assignee);
        let (version, site) = (row.version, row.site);
        row.state = ConversationState::Queued;
        row.assignee = None;
        row.closed_at = None;
        let now = self.times.now();
        row.waiting_since = Some(now);
        desk.state.lock().insert(Header::new(row, contact, now));
        self.events.write(tenant, conversation, EventKind::Reopened, who.agent()).await;
        self.assignment.route(&desk, Input::Reopened { conversation, site, version, former }).await
    }

    /// Replaces a conversation's labels.
    pub(crate) async fn set_tags(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        tags: Vec<TagId>,
    ) -> Result<(), Reject> {
        let desk = self.desks.get(tenant).await?;
        let _id_lock = self.id_lock(conversation.as_bytes()).await;
        let live = desk.state.lock().amend(conversation, |header| {
            header.row.tags.clone_from(&tags);
        });
        if live {
            return self.board.show(&desk, &BTreeSet::from([conversation])).await;
        }
        let (mut row, _) = self.desks.stored_header(tenant, conversation).await?;
        row.tags = tags;
        row.version += 1;
        let write = vec![Write::Conversation(Box::new(row))];
        Ok(self.store.write(write).await?)
    }

    /// Keeps what stands in an agent's composer, and shows it in their other windows.
    pub(crate) async fn draft(
        &self,
        speaker: &Speaker,
        conversation: ConversationId,
        text: &str,
    ) -> Result<(), Reject> {
        let Who::Agent { agent, .. } = speaker.who else {
            return Err(only_agents());
        };
        let (row, _) = self.desks.stored_header(speaker.tenant, conversation).await?;
        let site = self.sites.get(speaker.tenant, row.site).await?;
        let text = if site.redactor()?.takes_long(text) {
            let text = text.to_owned();
            site.mask(move |site| field("draft", &text, TEXT_BYTES_MAX, site.redactor()?)).await?
        } else {
            field("draft", text, TEXT_BYTES_MAX, site.redactor()?)?
        };
        let draft = DraftRow {
            tenant: speaker.tenant,
            site: row.site,
            conversation,
            visitor: row.visitor,
            agent,
            text: text.clone(),
            day: self.times.record_time().day(),
        };
        let write = vec![Write::Draft(Box::new(draft))];
        self.store.write(write).await?;
        let desk = self.desks.get(speaker.tenant).await?;
        let sinks = desk.state.lock().agent_sinks(agent);
        for sink in sinks {
            if sink.connection() != speaker.sink.connection() {
                let text = Text::new(text.expose().as_str());
                tell(&*sink, ServerFrame::Draft { conversation, text });
            }
        }
        Ok(())
    }
}

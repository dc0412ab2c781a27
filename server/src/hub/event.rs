//! Event messages: what the server itself says in a transcript.

use std::sync::Arc;

use protocol::ids::{AgentId, ConversationId, MessageId, TenantId};
use protocol::message::EventKind;
use protocol::reject::Reject;
use protocol::time::UnixMillis;
use uuid::{NoContext, Timestamp, Uuid};

use super::lane::Lanes;
use super::pending::{Answer, Asked};
use super::ports::Ports;
use super::rooms::Rooms;
use super::sites::Sites;
use super::times::Times;
use crate::privacy::ingest::event;

/// Writes event messages.
#[derive(Debug)]
pub(super) struct EventMessages {
    times: Arc<Times>,
    sites: Arc<Sites>,
    rooms: Arc<Rooms>,
    lanes: Arc<Lanes>,
}

impl EventMessages {
    pub(super) fn new(
        ports: &Ports,
        sites: &Arc<Sites>,
        rooms: &Arc<Rooms>,
        lanes: &Arc<Lanes>,
    ) -> Self {
        Self {
            times: Arc::clone(&ports.times),
            sites: Arc::clone(sites),
            rooms: Arc::clone(rooms),
            lanes: Arc::clone(lanes),
        }
    }

    /// Writes an event message into a transcript. It is told to everyone in the room; if it cannot
    /// be stored it is taken back like any message.
    pub(super) async fn write(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        kind: EventKind,
        agent: Option<AgentId>,
    ) {
        let found = self.rooms.get_with_home(tenant, conversation).await;
        let Ok((room, site, visitor)) = found else { return };
        let Ok(site) = self.sites.get(tenant, site).await else { return };
        let now = self.times.record_time();
        let context = site.wordless_context(visitor);
        let id = message_id(now);
        if let Some(envelope) = event(&context, conversation, id, kind, agent, now) {
            let untold = move |reject: &Reject| {
                tracing::warn!(conversation_id = %conversation, reject_code = reject.code.word(), "an event message was not stored");
            };
            let outcome: Answer =
                Box::new(move |outcome| outcome.as_ref().err().map_or((), untold));
            let since = self.times.instant();
            let asked = Asked { from: None, refusal: None, since, beside: None, trace: None };
            if let Err(reject) = self.lanes.sequence(room, envelope, asked, outcome).await {
                untold(&reject);
            }
        }
    }
}

/// A fresh id for an event message.
fn message_id(now: UnixMillis) -> MessageId {
    let nanos = u32::try_from(now.0 % 1_000).unwrap_or(0) * 1_000_000;
    MessageId::from_uuid(Uuid::new_v7(Timestamp::from_unix(NoContext, now.0 / 1_000, nanos)))
}

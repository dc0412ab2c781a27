//! What people and the system say, up to its way through a node (`node`); as `hub/speak.rs` has it.

use std::sync::Arc;

use livehelp::channel::Channel;
use livehelp::privacy::envelope::{Flags, Sequenced};
use livehelp::privacy::gate::{ReadGrant, Reader};
use livehelp::privacy::ingest::{IngestContext, NewMessage, event, ingest};
use livehelp::sequencer::{Refusal, Submission};
use protocol::conversation::ConversationState;
use protocol::ids::{AgentId, ConversationId, MessageId};
use protocol::message::{Body, EventKind, Message, Visibility};
use protocol::personal::Text;
use protocol::time::Day;

use crate::client::{Client, Item, Pending, Who};
use crate::connection::{Conn, Down};
use crate::faults::Planted;
use crate::world::World;

impl World {
    /// What someone says is judged, tagged, and begins its way.
    pub(crate) fn take(&mut self, conn: Conn, at: usize, pending: Pending) {
        let Pending { conversation, message, text, seen, note } = pending;
        let refuse = |world: &mut Self| world.refuse(Some(conn), message, Refusal::NotAllowed);
        let Client { tenant, who, .. } = self.clients[at];
        let author = self.clients[at].author();
        let Some(header) = self.server.headers.get(&conversation).cloned() else {
            return refuse(self);
        };
        let owner = match who {
            Who::Visitor(_) => true,
            Who::Agent(agent) => note || header.standing.assignee == Some(agent),
        };
        if !self.may(at, conversation) {
            return refuse(self);
        }
        // A resend is known again even where nothing new may be said any more.
        let may_write = owner && header.standing.state != ConversationState::Closed;
        if !may_write && self.has(Planted::RefuseBeforeDedupe) {
            return refuse(self);
        }
        let visibility = if note { Visibility::Agents } else { Visibility::Everyone };
        let body = Body::Text(Text::new(text.as_str()));
        let new_message = NewMessage { conversation, message, seen_seq: seen, body, visibility };
        let (id, redactor) = (&self.tenants[tenant], &self.tenants[tenant].redactor);
        let context = IngestContext {
            tenant: id.id,
            site: id.site,
            subject: header.visitor,
            timeline: &id.timeline,
            redactor,
            flags: Flags::default(),
            channel: header.standing.channel,
        };
        let Ok(envelope) = ingest(new_message, author, &context, self.record_time()) else {
            return refuse(self);
        };
        let node = self.wires.get(&conn).map_or(0, |wire| wire.node);
        self.sequence(node, Some(conn), Submission::new(envelope, may_write));
    }

    /// For good, as far as this copy goes: another may come when things stand otherwise, and be
    /// taken. Or for a while.
    pub(crate) fn refuse(&mut self, from: Option<Conn>, message: MessageId, why: Refusal) {
        let retry = why.retryable();
        if retry && self.is_far() {
            // In a lane, what comes again keeps its order.
            let since = self.refused_since(from).unwrap_or(self.passed_ms);
            self.refused_at.entry(message).or_insert(since);
        } else {
            self.failed.insert(message);
        }
        self.answer(from, Down::Reject { message, retry });
    }

    /// Since when something that whoever is at this line said is refused: it is waited for so long,
    /// whatever is refused for its sake.
    fn refused_since(&self, from: Option<Conn>) -> Option<u64> {
        let wire = self.wires.get(&from?)?;
        let outbox = self.clients[wire.client].outbox.iter();
        outbox.filter_map(|pending| self.refused_at.get(&pending.message)).min().copied()
    }

    pub(crate) fn answer(&mut self, sender: Option<Conn>, answer: Down) {
        if let Some(sender) = sender {
            self.push(sender, answer);
        }
    }

    pub(crate) fn write_event_message(
        &mut self,
        conversation: ConversationId,
        kind: EventKind,
        agent: Option<AgentId>,
    ) {
        let message = self.message_id();
        let Some(header) = self.server.headers.get(&conversation) else { return };
        let tenant = &self.tenants[header.tenant];
        let context = IngestContext {
            tenant: tenant.id,
            site: tenant.site,
            subject: header.visitor,
            timeline: &tenant.timeline,
            redactor: &tenant.redactor,
            flags: Flags::default(),
            channel: Channel::Widget,
        };
        let Some(envelope) =
            event(&context, conversation, message, kind, agent, self.record_time())
        else {
            return;
        };
        let node = self.any_node();
        self.sequence(node, None, Submission::new(envelope, true));
    }
}

/// What a stored message says, whatever the day.
pub(crate) fn item(sequenced: &Sequenced) -> Item {
    let grant = ReadGrant::fan_out(Reader::Agents, Day(0));
    let shown = sequenced.shown(&grant).expect("day 0 is before every end");
    item_of(&shown, sequenced.envelope().tag().ingest_day)
}

pub(crate) fn item_of(shown: &Message<'_>, day: Day) -> Item {
    Item {
        seq: shown.seq,
        message: shown.message,
        text: match &shown.body {
            Body::Text(text) => text.expose().to_owned(),
            Body::Event { event, .. } => format!("({})", event.word()),
        },
        at: shown.at,
        day,
        note: shown.visibility == Visibility::Agents,
    }
}

pub(crate) fn message_of(sequenced: &Arc<Sequenced>) -> MessageId {
    sequenced.envelope().message()
}

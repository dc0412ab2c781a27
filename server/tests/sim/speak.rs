//! The way of a message: ingest, a place, delivery, the queue to the disk; as `hub/speak.rs` has it.

use std::sync::Arc;

use livehelp::privacy::envelope::{Envelope, Flags, Placed};
use livehelp::privacy::gate::{ReadGrant, Reader};
use livehelp::privacy::ingest::{Ground, Said, event, ingest};
use livehelp::room::Accepted;
use protocol::conversation::ConversationState;
use protocol::ids::{AgentId, ConversationId, MessageId};
use protocol::message::{Body, EventKind, Message, Seq, Visibility};
use protocol::personal::Text;
use protocol::time::Day;

use crate::client::{Client, Item, Pending, Who};
use crate::disk::Write;
use crate::faults::Planted;
use crate::line::{Conn, Down, connection};
use crate::world::World;

impl World {
    /// The way of a message: ingest, a place, delivery, the queue to the disk.
    pub(crate) fn take(&mut self, conn: Conn, at: usize, pending: Pending) {
        let Pending { conversation, message, text, seen, note } = pending;
        let refuse = |world: &mut Self| world.refuse(Some(conn), message);
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
        let said = Said { conversation, message, seen_seq: seen, body, visibility };
        let (id, redactor) = (&self.tenants[tenant], &self.tenants[tenant].redactor);
        let ground = Ground {
            tenant: id.id,
            site: id.site,
            subject: header.visitor,
            timeline: &id.timeline,
            redactor,
            flags: Flags::default(),
            offline_message: header.standing.offline_message,
        };
        let Ok(envelope) = ingest(said, author, &ground, self.record_time()) else {
            return refuse(self);
        };
        self.offer(Some(conn), envelope, may_write);
    }

    /// Asks the room for a place until there is one, or an answer.
    pub(crate) fn offer(&mut self, from: Option<Conn>, envelope: Envelope, may_write: bool) {
        let (conversation, message) = (envelope.conversation(), envelope.message());
        let refuse = |world: &mut Self| world.refuse(from, message);
        let mut looked = None;
        loop {
            let no_dedupe = self.has(Planted::NoDedupe);
            let by_old_numbers = self.has(Planted::LookAboveSeen);
            let Some(room) = self.room(conversation) else { return };
            let floor = match room.accept(&envelope, looked) {
                Accepted::New { .. } | Accepted::Wait { .. } if !may_write => {
                    return refuse(self);
                }
                Accepted::New { floor } => floor,
                Accepted::KnownElsewhere { .. } => unreachable!("there is one node"),
                Accepted::Known { .. } if no_dedupe => room.seq_last(),
                Accepted::Known { seq, .. } => {
                    let known = room.find(message).map_or(&envelope, |known| known.envelope());
                    let (at, day) = (known.at(), known.tag().ingest_day);
                    let ack = Down::Ack { message, seq, at, day };
                    let write = Write::Confirm { conversation, message, seq, ack, sender: from };
                    self.server.queue.push_back(write);
                    return;
                }
                Accepted::Conflict => {
                    self.break_promise(format!("{message} is said to say something else"));
                    return refuse(self);
                }
                Accepted::LookInStore(in_vain) => {
                    let after = if by_old_numbers { envelope.seen_seq() } else { in_vain.after };
                    let stored = self.stored_after(conversation, after);
                    let known = stored.iter().find(|p| p.envelope().message() == message);
                    if let (Some(known), false) = (known, no_dedupe) {
                        return self.answer(from, ack_of(known));
                    }
                    looked = Some(in_vain);
                    continue;
                }
                Accepted::Wait { seq } => {
                    self.counts.waits += 1;
                    if let Some(wire) = from.and_then(|conn| self.wires.get_mut(&conn)) {
                        wire.held = true;
                    }
                    let then = Some((from, envelope, may_write));
                    self.server.queue.push_back(Write::Floor { conversation, seq, then });
                    return;
                }
            };
            return self.place(from, floor, envelope);
        }
    }

    pub(crate) fn place(&mut self, from: Option<Conn>, floor: Seq, envelope: Envelope) {
        let conversation = envelope.conversation();
        if self.has(Planted::ReusePlace) && floor > Seq(0) && self.chance.one_in(4) {
            let placed = Arc::new(envelope.place(floor));
            self.server.queue.push_back(Write::Message { placed, sender: from });
            return;
        }
        let placed = Arc::new(envelope.place(floor.next()));
        self.taken.insert(message_of(&placed), self.server.mark.day());
        self.deliver(conversation, &placed, from);
        if self.has(Planted::AckBeforeCommit) {
            self.answer(from, ack_of(&placed));
        }
        self.server.queue.push_back(Write::Message { placed, sender: from });
    }

    /// For good, as far as this copy goes: another may come when things stand otherwise, and be taken.
    fn refuse(&mut self, from: Option<Conn>, message: MessageId) {
        self.failed.insert(message);
        self.answer(from, Down::Reject { message, retry: false });
    }

    pub(crate) fn answer(&mut self, sender: Option<Conn>, answer: Down) {
        if let Some(sender) = sender {
            self.push(sender, answer);
        }
    }

    pub(crate) fn deliver(
        &mut self,
        conversation: ConversationId,
        placed: &Arc<Placed>,
        from: Option<Conn>,
    ) {
        let grant = ReadGrant::fan_out(Reader::Agents, self.today());
        let visibility = placed.envelope().visibility();
        let Some(room) = self.room(conversation) else { return };
        room.placed(Arc::clone(placed));
        let hearers: Vec<Conn> =
            room.hearers(visibility, from.map(connection)).map(|member| member.outlet).collect();
        let Some(shown) = placed.shown(&grant) else {
            self.hidden.insert(message_of(placed));
            return;
        };
        let item = item_of(&shown, placed.envelope().tag().ingest_day);
        for hearer in hearers {
            self.push(hearer, Down::Message { conversation, item: item.clone() });
        }
    }

    pub(crate) fn write_line(
        &mut self,
        conversation: ConversationId,
        kind: EventKind,
        agent: Option<AgentId>,
    ) {
        let message = self.message_id();
        let Some(header) = self.server.headers.get(&conversation) else { return };
        let tenant = &self.tenants[header.tenant];
        let ground = Ground {
            tenant: tenant.id,
            site: tenant.site,
            subject: header.visitor,
            timeline: &tenant.timeline,
            redactor: &tenant.redactor,
            flags: Flags::default(),
            offline_message: false,
        };
        let Some(envelope) = event(&ground, conversation, message, kind, agent, self.record_time())
        else {
            return;
        };
        self.offer(None, envelope, true);
    }
}

/// What a stored message says, whatever the day.
pub(crate) fn item(placed: &Placed) -> Item {
    let grant = ReadGrant::fan_out(Reader::Agents, Day(0));
    let shown = placed.shown(&grant).expect("day 0 is before every end");
    item_of(&shown, placed.envelope().tag().ingest_day)
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

pub(crate) fn ack_of(placed: &Placed) -> Down {
    let envelope = placed.envelope();
    let (at, day) = (envelope.at(), envelope.tag().ingest_day);
    Down::Ack { message: envelope.message(), seq: placed.seq(), at, day }
}

pub(crate) fn message_of(placed: &Arc<Placed>) -> MessageId {
    placed.envelope().message()
}

//! What survives a crash, the queue to it, the fates that come back, and the sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use livehelp::privacy::envelope::{Envelope, Placed};
use livehelp::privacy::seal::Bucket;
use livehelp::privacy::sweep::{self};
use protocol::ids::{ConversationId, MessageId};
use protocol::message::Seq;
use protocol::time::{Day, UnixMillis};

use crate::faults::{Mood, Planted};
use crate::line::{Conn, Down};
use crate::server::{Header, Server};
use crate::speak::{ack_of, message_of};
use crate::world::{KEPT_DAYS, World};

/// What survives a crash.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) messages: BTreeMap<ConversationId, Vec<Arc<Placed>>>,
    pub(crate) headers: BTreeMap<ConversationId, Header>,
    /// Where a conversation's numbering stands at least.
    pub(crate) floors: BTreeMap<ConversationId, Seq>,
    pub(crate) mark: Option<UnixMillis>,
}

#[derive(Debug)]
pub(crate) enum Write {
    Message {
        placed: Arc<Placed>,
        sender: Option<Conn>,
    },
    /// A duplicate: answered after what is before it.
    Confirm {
        conversation: ConversationId,
        message: MessageId,
        seq: Seq,
        ack: Down,
        sender: Option<Conn>,
    },
    /// Places up to here were given; then someone who waited for it is served.
    Floor {
        conversation: ConversationId,
        seq: Seq,
        then: Option<(Option<Conn>, Envelope, bool)>,
    },
    /// What one decision changed: all of it, or nothing.
    Headers(Vec<(ConversationId, Header)>),
    Opened {
        sender: Conn,
    },
}

impl Disk {
    /// A row knows nothing of offers: they do not outlive the server.
    fn keep(&mut self, headers: &[(ConversationId, Header)]) {
        for (conversation, header) in headers {
            let mut header = header.clone();
            header.standing.offered_to = None;
            header.standing.deadline = None;
            header.standing.position = None;
            self.headers.insert(*conversation, header);
        }
    }

    fn raise_floor(&mut self, conversation: ConversationId, seq: Seq) {
        let floor = self.floors.entry(conversation).or_default();
        *floor = seq.max(*floor);
    }
}

impl World {
    pub(crate) fn commit(&mut self) {
        let n = 1 + self.chance.below(12);
        self.commit_some(n);
    }

    pub(crate) fn commit_some(&mut self, n: usize) {
        for _ in 0..n {
            let Some(write) = self.server.queue.pop_front() else { break };
            match &write {
                Write::Message { placed, .. } => {
                    let conversation = placed.envelope().conversation();
                    self.disk.messages.entry(conversation).or_default().push(Arc::clone(placed));
                }
                Write::Headers(headers) => self.disk.keep(headers),
                Write::Floor { conversation, seq, .. } => {
                    self.disk.raise_floor(*conversation, *seq)
                }
                Write::Confirm { .. } | Write::Opened { .. } => {}
            }
            self.server.fates.push_back((write, true));
        }
        self.disk.mark = self.disk.mark.max(Some(self.server.mark));
    }

    /// A full disk: nothing of the messages at the head of the queue is stored.
    pub(crate) fn fail_a_batch(&mut self) {
        let most = if self.mood == Mood::Storm { 60 } else { 6 };
        let n = self
            .server
            .queue
            .iter()
            .take(most)
            .take_while(|w| !matches!(w, Write::Headers(_) | Write::Opened { .. }))
            .count();
        if n > 0 {
            self.counts.failed_batches += 1;
        }
        for write in self.server.queue.drain(..n) {
            if let Write::Message { placed, .. } = &write {
                self.failed.insert(placed.envelope().message());
            }
            self.server.fates.push_back((write, false));
        }
    }

    pub(crate) fn tell_a_fate(&mut self) {
        let Some((write, stored)) = self.server.fates.pop_front() else { return };
        match write {
            Write::Message { placed, sender } => {
                let conversation = placed.envelope().conversation();
                let (seq, message) = (placed.seq(), placed.envelope().message());
                let visibility = placed.envelope().visibility();
                let Some(room) = self.room(conversation) else { return };
                if stored {
                    room.stored(seq);
                    return self.answer(sender, ack_of(&placed));
                }
                room.failed(seq);
                let hearers: Vec<Conn> =
                    room.hearers(visibility, None).map(|member| member.outlet).collect();
                for hearer in hearers {
                    self.push(hearer, Down::Void { conversation, message });
                }
                self.answer(sender, Down::Reject { message, retry: true });
            }
            Write::Confirm { conversation, message, seq, ack, sender } => {
                let holds = self.room(conversation).is_none_or(|room| room.holds(seq, message));
                let refusal = Down::Reject { message, retry: true };
                self.answer(sender, if stored && holds { ack } else { refusal });
            }
            Write::Floor { conversation, seq, then } => {
                if let Some(room) = self.server.rooms.get_mut(&conversation).filter(|_| stored) {
                    room.lasts(seq);
                }
                let Some((from, envelope, may_write)) = then else { return };
                match from.map(|conn| self.wires.get_mut(&conn)) {
                    Some(Some(wire)) => wire.held = false,
                    // Its line is gone, and it may be that what waited went with it.
                    Some(None) if self.chance.one_in(2) => return,
                    Some(None) | None => {}
                }
                if stored {
                    self.offer(from, envelope, may_write);
                } else {
                    let message = envelope.message();
                    self.failed.insert(message);
                    self.answer(from, Down::Reject { message, retry: true });
                }
            }
            Write::Headers(_) => {}
            Write::Opened { sender } => self.push(sender, Down::Opened),
        }
    }

    pub(crate) fn crash(&mut self) {
        self.counts.crashes += 1;
        let lost = |write: &&Write| matches!(write, Write::Message { .. });
        self.counts.lost_writes +=
            u32::try_from(self.server.queue.iter().filter(lost).count()).unwrap();
        self.counts.lost_acks += u32::try_from(self.server.fates.len()).unwrap();
        self.wires.clear();
        for client in &mut self.clients {
            client.conn = None;
        }
        // It may stay down for a while.
        self.now = self.now.plus_ms(self.chance.ms(90_000));
        self.server = Server::start(&self.tenants, &self.disk, self.now);
    }

    /// Destroys what is due, by the mark alone.
    pub(crate) fn sweep(&mut self) {
        let by_wall = self.has(Planted::SweepByWallClock);
        if !self.server.trusted && !by_wall {
            return;
        }
        let day = if by_wall { self.now.day() } else { self.server.mark.day() };
        let mark_day = self.server.mark.day();
        let bucket_of = |placed: &Arc<Placed>| {
            let tag = placed.envelope().tag();
            Bucket {
                tenant: tag.tenant,
                site: Some(tag.site),
                class: tag.class,
                day: tag.ingest_day,
            }
        };
        let buckets: BTreeSet<Bucket> =
            self.disk.messages.values().flatten().map(bucket_of).collect();
        let buckets: Vec<_> = buckets.into_iter().collect();
        let tenants = &self.tenants;
        let timeline = |tenant, site| {
            tenants.iter().find(|t| t.id == tenant && t.site == site).map(|t| &t.timeline)
        };
        let due: BTreeSet<_> = sweep::due(&buckets, timeline, day).into_iter().collect();
        let mut early = Vec::new();
        for (conversation, messages) in &mut self.disk.messages {
            let before = messages.len();
            if let Some(last) = messages.last() {
                let floor = self.disk.floors.entry(*conversation).or_default();
                *floor = last.seq().max(*floor);
            }
            messages.retain(|p| {
                let goes = due.contains(&bucket_of(p));
                let message = message_of(p);
                if goes && is_dead(p, mark_day) {
                    self.swept.insert(message);
                }
                // Counted from when it was taken, whatever day its tag says.
                if goes
                    && self.taken.get(&message).is_some_and(|day| mark_day.0 <= day.0 + KEPT_DAYS)
                {
                    early.push(message);
                }
                !goes
            });
            self.counts.expired += u32::try_from(before - messages.len()).unwrap();
        }
        for message in early {
            self.break_promise(format!("{message} was taken and died before its time"));
        }
    }
}

pub(crate) fn is_dead(placed: &Placed, day: Day) -> bool {
    day.0 > placed.envelope().tag().ingest_day.0 + KEPT_DAYS
}

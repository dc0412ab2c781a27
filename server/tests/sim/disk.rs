//! What survives a crash, the queue to it, the outcomes that come back, and the sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use livehelp::privacy::envelope::Sequenced;
use livehelp::privacy::seal::Bucket;
use livehelp::privacy::sweep::{self};
use livehelp::sequencer::{Acked, Submission};
use protocol::ids::{ConversationId, MessageId};
use protocol::message::Seq;
use protocol::time::{Day, UnixMillis};

use crate::connection::Conn;
use crate::faults::{Mood, Planted};
use crate::node::{Node, Way};
use crate::server::{Header, Server};
use crate::speak::message_of;
use crate::world::{KEPT_DAYS, World};

/// What survives a crash.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) messages: BTreeMap<ConversationId, Vec<Arc<Sequenced>>>,
    pub(crate) headers: BTreeMap<ConversationId, Header>,
    /// Where a conversation's numbering stands at least.
    pub(crate) floors: BTreeMap<ConversationId, Seq>,
    pub(crate) mark: Option<UnixMillis>,
}

#[derive(Debug)]
pub(crate) enum Write {
    Message {
        sequenced: Arc<Sequenced>,
        way: Way,
    },
    /// A duplicate: answered after what is before it.
    Confirm {
        way: Way,
        acked: Acked,
        message: MessageId,
    },
    /// Numbers up to here were given; then someone who waited for it is served.
    Floor {
        conversation: ConversationId,
        seq: Seq,
        then: Option<(Way, Submission)>,
    },
    /// What one decision changed: all of it, or nothing.
    Headers(Vec<(ConversationId, Header)>),
    Opened {
        sender: Conn,
    },
}

/// What the store did with a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    Stored,
    Failed,
    /// Another message has its number; the newest one.
    Taken(Seq),
    /// Another node stored it, under this number.
    Before(Arc<Sequenced>),
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

    /// The newest number that was given, as far as is known here.
    pub(crate) fn seq_last(&self, conversation: ConversationId) -> Seq {
        let floor = self.floors.get(&conversation).copied().unwrap_or_default();
        let stored = self.messages.get(&conversation).and_then(|stored| stored.last());
        stored.map_or(floor, |last| last.seq().max(floor))
    }

    /// A number has one message, whoever writes it; the same one again is all that was wanted.
    /// Where several nodes share it, a message has one number as well.
    fn put(&mut self, sequenced: &Arc<Sequenced>, blindly: bool, is_shared: bool) -> WriteOutcome {
        let conversation = sequenced.envelope().conversation();
        let stored = self.messages.entry(conversation).or_default();
        let known = |there: &&Arc<Sequenced>| {
            there.envelope().message() == sequenced.envelope().message()
                && there.seq() != sequenced.seq()
        };
        if is_shared && let Some(there) = stored.iter().find(known) {
            return WriteOutcome::Before(Arc::clone(there));
        }
        let at = stored.partition_point(|there| there.seq() < sequenced.seq());
        match stored.get(at).filter(|there| there.seq() == sequenced.seq()) {
            Some(there) if there.envelope().message() == sequenced.envelope().message() => {
                WriteOutcome::Stored
            }
            Some(_) if !blindly => WriteOutcome::Taken(self.seq_last(conversation)),
            Some(_) | None => {
                stored.insert(at, Arc::clone(sequenced));
                WriteOutcome::Stored
            }
        }
    }

    fn raise_floor(&mut self, conversation: ConversationId, seq: Seq) {
        let floor = self.floors.entry(conversation).or_default();
        *floor = seq.max(*floor);
    }
}

impl World {
    pub(crate) fn commit(&mut self) {
        let node = self.any_node();
        let n = 1 + self.chance.below(12);
        self.commit_some(node, n);
    }

    pub(crate) fn commit_some(&mut self, node: usize, n: usize) {
        let (blindly, is_shared) = (self.has(Planted::ReuseNumber), self.is_far());
        for _ in 0..n {
            let Some(write) = self.nodes[node].queue.pop_front() else { break };
            let mut outcome = WriteOutcome::Stored;
            match &write {
                Write::Message { sequenced, .. } => {
                    outcome = self.disk.put(sequenced, blindly, is_shared);
                    self.counts.numbers_taken +=
                        u32::from(matches!(outcome, WriteOutcome::Taken(_)));
                    self.counts.stored_before +=
                        u32::from(matches!(outcome, WriteOutcome::Before(_)));
                }
                Write::Headers(headers) => self.disk.keep(headers),
                Write::Floor { conversation, seq, .. } => {
                    self.disk.raise_floor(*conversation, *seq)
                }
                Write::Confirm { .. } | Write::Opened { .. } => {}
            }
            self.nodes[node].outcomes.push_back((write, outcome));
        }
        self.disk.mark = self.disk.mark.max(Some(self.server.mark));
    }

    /// A full disk: nothing of the messages at the head of the queue is stored.
    pub(crate) fn fail_a_batch(&mut self) {
        let most = if self.mood == Mood::Storm { 60 } else { 6 };
        let node = self.any_node();
        let far = self.is_far();
        let Node { queue, outcomes, .. } = &mut self.nodes[node];
        let n = queue
            .iter()
            .take(most)
            .take_while(|w| !matches!(w, Write::Headers(_) | Write::Opened { .. }))
            .count();
        if n > 0 {
            self.counts.failed_batches += 1;
        }
        for write in queue.drain(..n) {
            // In a lane, what comes again keeps its order.
            if let Write::Message { sequenced, .. } = &write
                && !far
            {
                self.failed.insert(sequenced.envelope().message());
            }
            outcomes.push_back((write, WriteOutcome::Failed));
        }
    }

    /// The numbering of rooms in which the newest numbers are void is told to the store; rooms that
    /// nobody needs go.
    pub(crate) fn drop_idle_rooms(&mut self, node: usize) {
        let Node { rooms, queue, .. } = &mut self.nodes[node];
        for (conversation, live) in rooms.iter() {
            if let Some(seq) = live.room.sequencer().unlasting() {
                let conversation = *conversation;
                queue.push_back(Write::Floor { conversation, seq, then: None });
            }
        }
        rooms.retain(|_, live| {
            let _ = live.room.take_dirty_receipts();
            !live.room.is_idle()
        });
    }

    pub(crate) fn crash(&mut self) {
        self.counts.crashes += 1;
        for node in 0..self.nodes.len() {
            self.count_losses(node);
            self.nodes[node] = Node::default();
        }
        self.wires.clear();
        for client in &mut self.clients {
            client.conn = None;
        }
        // What was not stored is taken when it comes again.
        let disk = &self.disk;
        let stored = disk.messages.values().flatten().map(message_of).collect::<BTreeSet<_>>();
        self.taken.retain(|message, _| stored.contains(message));
        // It may stay down for a while.
        let down_ms = self.chance.ms(90_000);
        self.now = self.now.plus_ms(down_ms);
        self.passed_ms += down_ms;
        self.server = Server::start(&self.tenants, &self.disk, self.now);
    }

    fn count_losses(&mut self, node: usize) {
        let lost = |write: &&Write| matches!(write, Write::Message { .. });
        let Node { queue, outcomes, .. } = &self.nodes[node];
        self.counts.lost_writes += u32::try_from(queue.iter().filter(lost).count()).unwrap();
        self.counts.lost_acks += u32::try_from(outcomes.len()).unwrap();
    }

    /// One node goes; the others go on.
    pub(crate) fn crash_one(&mut self, node: usize) {
        self.counts.node_crashes += 1;
        self.count_losses(node);
        let gone = std::mem::take(&mut self.nodes[node]);
        // Who has which conversation is known at the one desk, which has not gone.
        let headers = gone.queue.into_iter().filter(|write| matches!(write, Write::Headers(_)));
        self.nodes[node].queue.extend(headers);
        let here = self.wires.iter().filter(|(_, wire)| wire.node == node);
        for conn in here.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            let Some(wire) = self.wires.remove(&conn) else { continue };
            let client = &mut self.clients[wire.client];
            client.conn = client.conn.filter(|own| *own != conn);
            self.gone(&wire);
        }
    }

    /// Destroys what is due, by the mark alone.
    pub(crate) fn sweep(&mut self) {
        let by_wall = self.has(Planted::SweepByWallClock);
        if !self.server.trusted && !by_wall {
            return;
        }
        let day = if by_wall { self.now.day() } else { self.server.mark.day() };
        let mark_day = self.server.mark.day();
        let bucket_of = |sequenced: &Arc<Sequenced>| {
            let tag = sequenced.envelope().tag();
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

pub(crate) fn is_dead(sequenced: &Sequenced, day: Day) -> bool {
    day.0 > sequenced.envelope().tag().ingest_day.0 + KEPT_DAYS
}

//! The bus between the nodes, what may go wrong on it, and what a node does with what it hears; as
//! `bus/redis` and `hub/hear.rs` have it.
//!
//! Not here: the rules about what is heard, which are the sequencer's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use livehelp::privacy::envelope::{Envelope, Sequenced};
use livehelp::sequencer::{Command, Gap, Input, Key, OwnNotice, Refusal, Submission};
use protocol::ids::{ConversationId, MessageId, TenantId};
use protocol::message::Seq;

use crate::faults::Planted;
use crate::node::{Node, Way};
use crate::world::World;

/// The bus: what it gave, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Net {
    counters: BTreeMap<ConversationId, Seq>,
    away: bool,
    deaf: Option<usize>,
    /// Who hears late: the answers overtake the notices.
    pub(crate) slow: Option<usize>,
}

/// What a node is told.
#[derive(Debug, Clone)]
pub(crate) enum BusEvent {
    Sequenced { sequenced: Arc<Sequenced>, own: bool },
    Void { conversation: ConversationId, seq: Seq, message: MessageId },
    Stored { tenant: TenantId, conversation: ConversationId, seq: Seq },
    Missed,
}

impl BusEvent {
    fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Sequenced { sequenced, .. } => Some(sequenced.envelope().conversation()),
            Self::Void { conversation, .. } | Self::Stored { conversation, .. } => {
                Some(*conversation)
            }
            Self::Missed => None,
        }
    }
}

/// A message for which a number was asked.
#[derive(Debug)]
pub(crate) struct Asking {
    way: Way,
    submission: Submission,
    question: u64,
}

/// A question to the bus.
#[derive(Debug)]
pub(crate) struct Question {
    id: u64,
    key: Key,
    envelope: Envelope,
    floor: Seq,
    stage: Stage,
    /// The notice came first: what is to be done next, if it is not published.
    heard: Option<Option<Box<(Way, Command)>>>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Asked,
    Given(Result<Seq, ()>),
    Waits { given: Result<Seq, ()>, since: Instant, wait: Duration },
}

impl World {
    // The bus.

    fn tell(&mut self, heard: &BusEvent, from: usize, to_itself: bool) {
        let Some(conversation) = heard.conversation() else { return };
        for node in 0..self.nodes.len() {
            let own = node == from;
            if (own && !to_itself) || !self.nodes[node].rooms.contains_key(&conversation) {
                continue;
            }
            if self.net.deaf == Some(node) || self.chance.one_in(60) && self.faults {
                self.counts.lost_notices += 1;
                continue;
            }
            let mut heard = heard.clone();
            if let BusEvent::Sequenced { own: mine, .. } = &mut heard {
                *mine = own;
            }
            self.nodes[node].heard.push_back(heard);
        }
    }

    pub(crate) fn announce_void(&mut self, node: usize, sequenced: &Sequenced) {
        let envelope = sequenced.envelope();
        if !self.is_far() || self.net.away {
            return;
        }
        let (conversation, message) = (envelope.conversation(), envelope.message());
        let seq = sequenced.seq();
        self.tell(&BusEvent::Void { conversation, seq, message }, node, false);
    }

    pub(crate) fn announce_stored(&mut self, node: usize, sequenced: &Sequenced) {
        if self.net.away {
            return;
        }
        let envelope = sequenced.envelope();
        let (tenant, conversation) = (envelope.tenant(), envelope.conversation());
        self.tell(&BusEvent::Stored { tenant, conversation, seq: sequenced.seq() }, node, false);
    }

    /// A question reaches the bus.
    pub(crate) fn bus_answers(&mut self, node: usize) {
        let asked = |question: &Question| matches!(question.stage, Stage::Asked);
        let Some(at) = self.nodes[node].questions.iter().position(asked) else { return };
        if self.net.away {
            self.counts.bus_away += 1;
            self.nodes[node].questions[at].stage = Stage::Given(Err(()));
            return;
        }
        let Question { envelope, floor, heard, .. } = &self.nodes[node].questions[at];
        let (envelope, floor, is_published) =
            (envelope.clone(), *floor, matches!(heard, Some(None)));
        if is_published {
            self.check_number(node, (envelope.message(), None));
        }
        let counter = self.net.counters.entry(envelope.conversation()).or_default();
        let seq = floor.max(*counter).next();
        *counter = seq;
        let message = envelope.message();
        self.nodes[node].given.insert(message, seq);
        let sequenced = Arc::new(envelope.sequence(seq));
        self.tell(&BusEvent::Sequenced { sequenced, own: false }, node, true);
        let lost = self.faults && self.chance.one_in(12);
        self.counts.lost_answers += u32::from(lost);
        let given = if lost { Err(()) } else { Ok(seq) };
        self.nodes[node].questions[at].stage = Stage::Given(given);
    }

    /// Something goes wrong on the bus, or is mended.
    pub(crate) fn trouble_the_bus(&mut self) {
        match self.chance.below(12) {
            0 => self.net.away = true,
            1 | 2 => self.mend_the_bus(),
            3..=6 => {
                self.counts.forgotten += 1;
                self.net.counters.clear();
            }
            7 => {
                self.counts.deaf += 1;
                self.net.deaf = Some(self.chance.below(self.nodes.len()));
            }
            8..=10 => self.net.slow = Some(self.chance.below(self.nodes.len())),
            _ => {
                self.net.deaf = None;
                self.net.slow = None;
            }
        }
    }

    /// It is there, and everyone knows that they may have missed something.
    pub(crate) fn mend_the_bus(&mut self) {
        self.net.away = false;
        self.net.deaf = None;
        self.counts.missed += 1;
        for node in &mut self.nodes {
            node.heard.push_back(BusEvent::Missed);
        }
    }

    // A node's questions.

    /// Asks the bus for a number.
    pub(crate) fn ask_bus(&mut self, way: Way, submission: Submission, floor: Seq) {
        self.next += 1;
        let (id, node) = (self.next, way.node);
        let envelope = submission.envelope().clone();
        let key = (envelope.conversation(), envelope.message());
        let node = &mut self.nodes[node];
        node.hearing.ask(key, Asking { way, submission, question: id });
        let stage = Stage::Asked;
        node.questions.push(Question { id, key, envelope, floor, stage, heard: None });
    }

    /// An answer reaches its node.
    pub(crate) fn hear_an_answer(&mut self, node: usize) {
        let now = self.instant();
        let Node { hearing, questions, .. } = &mut self.nodes[node];
        let given = |question: &Question| matches!(question.stage, Stage::Given(_));
        let Some(at) = questions.iter().position(given) else { return };
        let Stage::Given(given) = questions[at].stage else { return };
        let wait = hearing.answered(questions[at].key, given.is_ok());
        questions[at].stage = Stage::Waits { given, since: now, wait };
        if questions[at].heard.is_some() {
            self.end_question(node, at);
        } else if wait.is_zero() {
            self.counts.unheard += 1;
            self.end_question(node, at);
        }
    }

    /// What was waited for in vain.
    pub(crate) fn end_waits(&mut self, node: usize) {
        let now = self.instant();
        let over = |question: &Question| matches!(question.stage, Stage::Waits { since, wait, .. } if now >= since + wait);
        while let Some(at) = self.nodes[node].questions.iter().position(over) {
            self.counts.unheard += 1;
            self.end_question(node, at);
        }
    }

    fn end_question(&mut self, node: usize, at: usize) {
        let question = self.nodes[node].questions.remove(at);
        let next = match (question.heard, question.stage) {
            (Some(next), _) => next,
            (None, Stage::Waits { given, wait, .. }) => {
                let asking = self.nodes[node].hearing.unheard(question.key, wait);
                let Some(Asking { way, submission, .. }) = asking else { return };
                let input = match given {
                    Ok(seq) => Input::Told(submission, Arc::new(question.envelope.sequence(seq))),
                    Err(()) => Input::BusAway(submission),
                };
                self.take_number(way, input)
            }
            (None, _) => return,
        };
        match next {
            Some(next) => self.carry_out(next.0, next.1),
            // The author's answer comes from the store.
            None => self.attempt_submitted(node, question.key.0),
        }
    }

    /// The bus answered for a message of this node: it is published and stored, unless its number
    /// is another's by now.
    fn take_number(&mut self, way: Way, input: Input) -> Option<Box<(Way, Command)>> {
        let (node, conversation) = (way.node, way.conversation);
        let Some(room) = self.same_room(node, conversation, way.serial) else {
            self.break_promise(format!("the room of {} went before the bus answered", way.message));
            return Some(Box::new((way, Command::Refuse(Refusal::BusAway))));
        };
        match room.sequencer_mut().handle(input) {
            Command::Publish { sequenced, gap, .. } => {
                self.check_number(node, (sequenced.envelope().message(), Some(sequenced.seq())));
                if let Some(gap) = gap {
                    self.note_missed(node, sequenced.envelope(), gap);
                }
                self.publish(way, sequenced);
                None
            }
            command => Some(Box::new((way, command))),
        }
    }

    // What a node hears.

    /// A node hears what the bus told it next.
    pub(crate) fn hear(&mut self, node: usize) {
        let Some(heard) = self.nodes[node].heard.pop_front() else { return };
        match heard {
            BusEvent::Missed => {
                let rooms = &self.nodes[node].rooms;
                let all = rooms.iter().map(|(conversation, live)| {
                    let after = live.room.sequencer().tail_after();
                    (live.room.tenant(), *conversation, Gap { after, until: None })
                });
                for (tenant, conversation, gap) in all.collect::<Vec<_>>() {
                    self.look_for(node, tenant, conversation, gap);
                }
            }
            BusEvent::Sequenced { sequenced, own: true } => self.hear_own(node, &sequenced),
            BusEvent::Sequenced { sequenced, own: false } => self.hear_sequenced(node, &sequenced),
            BusEvent::Void { conversation, seq, message } => {
                self.counts.voids_heard += 1;
                let Some(live) = self.nodes[node].rooms.get(&conversation) else { return };
                let at = (node, conversation, live.serial);
                if !self.has(Planted::VoidIgnored) {
                    self.take_off(at, Input::VoidedElsewhere(seq, message));
                }
                self.check_void(node, conversation, (seq, message));
            }
            BusEvent::Stored { tenant, conversation, seq } => {
                let Some(live) = self.nodes[node].rooms.get_mut(&conversation) else { return };
                let heard = live.room.sequencer_mut().handle(Input::HeardStored(seq));
                if let Command::Fill(gap) = heard {
                    self.look_for(node, tenant, conversation, gap);
                }
            }
        }
    }

    fn hear_own(&mut self, node: usize, sequenced: &Arc<Sequenced>) {
        let key = (sequenced.envelope().conversation(), sequenced.envelope().message());
        match self.nodes[node].hearing.own(sequenced) {
            OwnNotice::Awaited(asking) => self.hear_awaited(asking, sequenced),
            OwnNotice::Stale => {
                self.counts.stale += 1;
                if self.has(Planted::StaleNumber)
                    && let Some(asking) = self.nodes[node].hearing.unheard(key, Duration::ZERO)
                {
                    self.hear_awaited(asking, sequenced);
                }
            }
            OwnNotice::Unawaited => {
                let live = self.nodes[node].rooms.get(&key.0);
                if live.is_none_or(|live| live.room.sequencer().find(key.1).is_none()) {
                    self.counts.unawaited += 1;
                    self.announce_void(node, sequenced);
                }
            }
        }
    }

    fn hear_awaited(&mut self, asking: Asking, sequenced: &Arc<Sequenced>) {
        let Asking { way, submission, question } = asking;
        let node = way.node;
        let next = self.take_number(way, Input::Told(submission, Arc::clone(sequenced)));
        let mut all = self.nodes[node].questions.iter_mut();
        let Some(at) = all.position(|asked| asked.id == question) else { return };
        self.nodes[node].questions[at].heard = Some(next);
        if matches!(self.nodes[node].questions[at].stage, Stage::Waits { .. }) {
            self.end_question(node, at);
        }
    }

    fn hear_sequenced(&mut self, node: usize, sequenced: &Arc<Sequenced>) {
        let conversation = sequenced.envelope().conversation();
        let Some(live) = self.nodes[node].rooms.get_mut(&conversation) else { return };
        let heard =
            live.room.sequencer_mut().handle(Input::SequencedElsewhere(Arc::clone(sequenced)));
        let gap = match heard {
            Command::Show { sequenced, gap } => {
                self.deliver(node, &sequenced, None);
                gap
            }
            Command::Fill(gap) => Some(gap),
            _ => None,
        };
        if let Some(gap) = gap {
            self.note_missed(node, sequenced.envelope(), gap);
        }
    }

    pub(crate) fn note_missed(&mut self, node: usize, envelope: &Envelope, gap: Gap) {
        self.counts.gaps += 1;
        self.look_for(node, envelope.tenant(), envelope.conversation(), gap);
    }

    fn look_for(&mut self, node: usize, tenant: TenantId, conversation: ConversationId, gap: Gap) {
        if !self.has(Planted::GapUnfilled) {
            let now = self.instant();
            self.nodes[node].hearing.missed(tenant, conversation, gap, now);
        }
    }

    /// Shows what the store has there. Its numbers.
    pub(crate) fn read(&mut self, node: usize, conversation: ConversationId, gap: Gap) -> Vec<Seq> {
        let mut stored = self.stored_after(conversation, gap.after);
        stored.retain(|sequenced| gap.until.is_none_or(|until| sequenced.seq() <= until));
        let found = stored.iter().map(|sequenced| sequenced.seq()).collect();
        for sequenced in stored {
            let Some(live) = self.nodes[node].rooms.get_mut(&conversation) else { break };
            let command = live.room.sequencer_mut().handle(Input::Read(sequenced));
            if let Command::Show { sequenced, .. } = command {
                self.counts.filled += 1;
                self.deliver(node, &sequenced, None);
            }
        }
        found
    }

    /// Reads what was missed; what is not there yet is looked for again, and void after the last
    /// look.
    pub(crate) fn fill_gaps(&mut self, node: usize) {
        self.nodes[node].delivered = 0;
        let now = self.instant();
        let all = self.nodes[node].hearing.take_missed(now);
        for missed in all {
            let conversation = missed.conversation;
            let Some(live) = self.nodes[node].rooms.get(&conversation) else { continue };
            let (serial, newest) = (live.serial, live.room.sequencer().seq_last());
            let found = self.read(node, conversation, missed.gap);
            let Some(void) = self.nodes[node].hearing.looked(missed, found, now) else { continue };
            let void = Gap { until: void.until.or(Some(newest)), ..void };
            while self.take_off((node, conversation, serial), Input::Unfound(void)) {
                self.counts.voids_found += 1;
            }
        }
    }
}

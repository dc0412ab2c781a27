//! A node: its rooms, what it has under way, and how it carries out what the sequencer decides; as
//! `hub/speak.rs` does.
//!
//! Decides nothing about numbers itself: what happened goes in, a command comes out. Not here: who
//! may say what (`speak`), lanes (`lanes`), the bus and what is heard from it (`net`), the store
//! (`disk`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use livehelp::privacy::envelope::Sequenced;
use livehelp::privacy::gate::{ReadGrant, Reader};
use livehelp::room::Room;
use livehelp::sequencer::{
    Acked, Command, Gap, Hearing, Input, Lanes, Refusal, STORED_LATE, Submission, TAIL_MAX,
};
use protocol::ids::{ConversationId, MessageId};
use protocol::message::Seq;

use crate::connection::{Conn, Down, connection};
use crate::disk::{Write, WriteOutcome};
use crate::faults::Planted;
use crate::lanes::{Attempt, LaneEntry, Sender};
use crate::net::{Asking, BusEvent, Question};
use crate::speak::{item_of, message_of};
use crate::world::World;

/// Tells a room from those that bore its conversation's name before it.
pub(crate) type Serial = u64;

/// A room that lives, and which one it is.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) room: Room<Conn>,
    pub(crate) serial: Serial,
}

/// What one server process has in memory.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) rooms: BTreeMap<ConversationId, Live>,
    pub(crate) queue: VecDeque<Write>,
    /// Committed (or not), and nobody was told yet.
    pub(crate) outcomes: VecDeque<(Write, WriteOutcome)>,
    /// Looks into the store that take their time.
    pub(crate) looks: VecDeque<Look>,
    pub(crate) lanes: Lanes<LaneEntry, Sender>,
    pub(crate) attempts: BTreeMap<ConversationId, Attempt>,
    /// Lanes whose next attempt is due.
    pub(crate) lanes_ready: VecDeque<ConversationId>,
    pub(crate) hearing: Hearing<Asking>,
    pub(crate) questions: Vec<Question>,
    /// Messages since the last look for what was missed.
    pub(crate) delivered: u32,
    /// The newest number that the bus gave to each message that this node asked for.
    pub(crate) given: BTreeMap<MessageId, Seq>,
    /// What the bus told this node, in order.
    pub(crate) heard: VecDeque<BusEvent>,
}

/// One message's way through a node, from "said" to its answer.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) node: usize,
    pub(crate) conversation: ConversationId,
    pub(crate) message: MessageId,
    pub(crate) serial: Serial,
    pub(crate) from: Option<Conn>,
    pub(crate) answer: Answer,
    /// The room in which it keeps the messages in memory.
    pub(crate) held: Option<Serial>,
    /// Its number was not asked for before.
    pub(crate) asked_ms: u64,
}

/// Who hears of a message's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Whoever sent it.
    Author,
    /// Its lane.
    Lane,
}

/// A look into the store that is under way.
#[derive(Debug)]
pub(crate) struct Look {
    way: Way,
    submission: Submission,
    after: Seq,
}

impl World {
    /// Whether numbers take a round trip.
    pub(crate) fn is_far(&self) -> bool {
        self.nodes.len() > 1
    }

    /// One of the nodes.
    pub(crate) fn any_node(&mut self) -> usize {
        if self.is_far() { self.chance.below(self.nodes.len()) } else { 0 }
    }

    /// The room, loaded if it is not live.
    pub(crate) fn room(&mut self, node: usize, conversation: ConversationId) -> Option<&mut Live> {
        let header = self.server.headers.get(&conversation)?;
        let tenant = &self.tenants[header.tenant];
        let disk = &self.disk;
        let serial = &mut self.next;
        let (tenant_id, far, now) =
            (tenant.id, self.nodes.len() > 1, self.epoch + Duration::from_millis(self.passed_ms));
        let Node { rooms, hearing, .. } = &mut self.nodes[node];
        Some(rooms.entry(conversation).or_insert_with(|| {
            *serial += 1;
            let stored = disk.messages.get(&conversation).map(Vec::as_slice).unwrap_or_default();
            let tail = stored.iter().skip(stored.len().saturating_sub(TAIL_MAX)).cloned().collect();
            let seq_last = disk.seq_last(conversation);
            // What was said before this node followed it may be stored yet.
            if far {
                let gap = Gap { after: seq_last, until: None };
                hearing.missed(tenant_id, conversation, gap, now);
            }
            let ids = (tenant.id, tenant.site, conversation, header.visitor);
            let room = Room::new(ids, seq_last, tail, Default::default(), Vec::new());
            Live { room, serial: *serial }
        }))
    }

    /// The very room that something goes through, if it was not dropped.
    pub(crate) fn same_room(
        &mut self,
        node: usize,
        conversation: ConversationId,
        serial: Serial,
    ) -> Option<&mut Room<Conn>> {
        let live = self.nodes[node].rooms.get_mut(&conversation)?;
        (live.serial == serial).then_some(&mut live.room)
    }

    /// Somebody said something on this node.
    pub(crate) fn sequence(&mut self, node: usize, from: Option<Conn>, submission: Submission) {
        if self.is_far() {
            // It may wait for days until it has its number: its time has begun.
            let (message, day) = (submission.envelope().message(), self.server.mark.day());
            self.taken.entry(message).or_insert(day);
            return self.wait_in_lane(node, from, submission);
        }
        self.submit(node, (from, Answer::Author), submission);
    }

    /// Carries out one message's commands, until it is published, found to be known, or refused.
    pub(crate) fn submit(
        &mut self,
        node: usize,
        (from, answer): (Option<Conn>, Answer),
        submission: Submission,
    ) {
        let envelope = submission.envelope();
        let (conversation, message) = (envelope.conversation(), envelope.message());
        let Some(live) = self.room(node, conversation) else { return };
        let serial = live.serial;
        self.submit_by(
            Way { node, conversation, message, serial, from, answer, held: None, asked_ms: 0 },
            submission,
        );
    }

    /// The same, in the room that was looked up before.
    pub(crate) fn submit_by(&mut self, mut way: Way, submission: Submission) {
        let command = self.inform(&mut way, Input::Submitted(submission));
        self.carry_out(way, command);
    }

    /// Tells the sequencer of a message what happened to it. A room that was dropped meanwhile is
    /// looked up again, and the message is new to it.
    pub(crate) fn inform(&mut self, way: &mut Way, mut input: Input) -> Command {
        let Way { node, conversation, .. } = *way;
        let far = self.is_far();
        let no_dedupe = self.has(Planted::NoDedupe);
        let reuse = self.has(Planted::ReuseNumber) && self.chance.one_in(4);
        let ack_now = self.has(Planted::AckForAnother);
        loop {
            let copy = match &input {
                Input::Submitted(submission) | Input::Found(submission, _) if no_dedupe => {
                    Some(submission.clone())
                }
                _ => None,
            };
            let Some(room) = self.same_room(node, conversation, way.serial) else {
                let Some(submission) = input.into_submission() else { return Command::Nothing };
                let Some(live) = self.room(node, conversation) else { return Command::Nothing };
                way.serial = live.serial;
                input = Input::Submitted(submission);
                continue;
            };
            let sequencer = room.sequencer_mut();
            let command = sequencer.handle(input);
            return match command {
                Command::Confirm(..) | Command::Ack(_) if copy.is_some() && !far => {
                    let next = sequencer.seq_last().next();
                    copy.map_or(Command::Nothing, |copy| {
                        sequencer.handle(Input::Sequenced(copy, next))
                    })
                }
                Command::ReadStore { submission, patiently: true, .. } if ack_now => {
                    let known = sequencer.find(way.message).cloned();
                    sequencer.handle(Input::Found(submission, known))
                }
                Command::Sequence { submission, floor } if reuse && !far && floor > Seq(0) => {
                    Command::Sequence { submission, floor }
                }
                Command::Sequence { submission, floor } if far => {
                    sequencer.await_bus();
                    Command::Sequence { submission, floor }
                }
                Command::Sequence { submission, floor } => {
                    sequencer.handle(Input::Sequenced(submission, floor.next()))
                }
                command => command,
            };
        }
    }

    /// Does what is to be done next for a message.
    pub(crate) fn carry_out(&mut self, mut way: Way, command: Command) {
        let Way { node, conversation, .. } = way;
        match command {
            Command::Sequence { submission, floor } if self.is_far() => {
                self.ask_bus(way, submission, floor);
            }
            // With a bug: the number of the one before it.
            Command::Sequence { submission, floor } => {
                let sequenced = Arc::new(submission.envelope().clone().sequence(floor));
                self.nodes[node].queue.push_back(Write::Message { sequenced, way });
            }
            Command::Publish { sequenced, gap, .. } => {
                if let Some(gap) = gap {
                    self.note_missed(node, sequenced.envelope(), gap);
                }
                self.submitted(&way);
                self.publish(way, sequenced);
            }
            Command::ReadStore { submission, after, .. } => {
                if way.held.is_none()
                    && let Some(room) = self.same_room(node, conversation, way.serial)
                {
                    room.sequencer_mut().hold();
                    way.held = Some(way.serial);
                }
                let look = Look { way, submission, after };
                if self.chance.one_in(2) {
                    return self.look(look);
                }
                self.counts.slow_looks += 1;
                self.wait(&look.way, true);
                self.nodes[node].looks.push_back(look);
            }
            Command::WriteFloor { submission, seq } => {
                self.counts.waits += 1;
                self.wait(&way, true);
                let then = Some((way, submission));
                self.nodes[node].queue.push_back(Write::Floor { conversation, seq, then });
            }
            Command::Settle { acked, sequenced, gap } => {
                self.set_right(node, &sequenced, gap);
                self.submitted(&way);
                self.finish(way, Ok(acked));
            }
            Command::Confirm(acked, message) => {
                self.submitted(&way);
                self.nodes[node].queue.push_back(Write::Confirm { way, acked, message });
            }
            Command::Ack(acked) => {
                self.submitted(&way);
                self.finish(way, Ok(acked));
            }
            Command::Refuse(why) => {
                if why == Refusal::Conflict {
                    let words = format!("{} is said to say something else", way.message);
                    self.break_promise(words);
                }
                self.submitted(&way);
                self.finish(way, Err(why));
            }
            Command::Show { .. }
            | Command::Void { .. }
            | Command::Renumber { .. }
            | Command::Fill(_)
            | Command::Nothing => {
                self.break_promise(format!("{} is lost on its way: {command:?}", way.message));
            }
        }
    }

    /// Where its number takes no round trip, whoever sent it says nothing else before it is read
    /// on.
    fn wait(&mut self, way: &Way, held: bool) {
        if way.answer == Answer::Author
            && let Some(wire) = way.from.and_then(|conn| self.wires.get_mut(&conn))
        {
            wire.held = held;
        }
    }

    /// It is appended for everyone here who hears it, and goes to the store.
    pub(crate) fn publish(&mut self, mut way: Way, sequenced: Arc<Sequenced>) {
        if !self.is_far() {
            self.taken.insert(message_of(&sequenced), self.server.mark.day());
        }
        self.deliver(way.node, &sequenced, way.from);
        if self.has(Planted::AckBeforeCommit) {
            self.answer(
                way.from,
                ack(way.message, Acked::of(sequenced.seq(), sequenced.envelope())),
            );
        }
        self.let_go(&mut way);
        self.nodes[way.node].queue.push_back(Write::Message { sequenced, way });
    }

    /// To everyone on this node who hears it.
    pub(crate) fn deliver(&mut self, node: usize, sequenced: &Arc<Sequenced>, from: Option<Conn>) {
        // Ticks come more often than pages are filled.
        self.nodes[node].delivered += 1;
        let grant = ReadGrant::fan_out(Reader::Agents, self.today());
        let (conversation, visibility) =
            (sequenced.envelope().conversation(), sequenced.envelope().visibility());
        let Some(live) = self.nodes[node].rooms.get(&conversation) else { return };
        let recipients = live.room.recipients(visibility, from.map(connection));
        let recipients: Vec<Conn> = recipients.map(|member| member.sink).collect();
        let Some(shown) = sequenced.shown(&grant) else {
            self.hidden.insert(message_of(sequenced));
            return;
        };
        let item = item_of(&shown, sequenced.envelope().tag().ingest_day);
        for recipient in recipients {
            self.push(recipient, Down::Message { conversation, item: item.clone() });
        }
    }

    /// What was shown could not be stored, or is another node's void: off the screens of this one.
    /// Whether there was one.
    pub(crate) fn take_off(
        &mut self,
        (node, conversation, serial): (usize, ConversationId, Serial),
        input: Input,
    ) -> bool {
        let Some(room) = self.same_room(node, conversation, serial) else { return false };
        let Command::Void { sequenced, .. } = room.sequencer_mut().handle(input) else {
            return false;
        };
        let recipients = room.recipients(sequenced.envelope().visibility(), None);
        let recipients: Vec<Conn> = recipients.map(|member| member.sink).collect();
        let (seq, message) = (sequenced.seq(), message_of(&sequenced));
        for recipient in recipients {
            self.push(recipient, Down::Void { conversation, seq, message });
        }
        true
    }

    /// The store was asked whether it has a message.
    pub(crate) fn look(&mut self, look: Look) {
        let Look { mut way, submission, mut after } = look;
        self.wait(&way, false);
        if self.has(Planted::LookAboveSeen) {
            after = submission.envelope().seen_seq();
        }
        let mut stored = self.stored_after(way.conversation, after);
        stored.retain(|sequenced| sequenced.envelope().message() == way.message);
        let command = self.inform(&mut way, Input::Found(submission, stored.pop()));
        self.carry_out(way, command);
    }

    /// The next look into the store is over.
    pub(crate) fn finish_a_look(&mut self, node: usize) {
        if let Some(look) = self.nodes[node].looks.pop_front() {
            self.look(look);
        }
    }

    /// The store did something with what this node had written.
    pub(crate) fn tell_an_outcome(&mut self, node: usize) {
        let Some((write, outcome)) = self.nodes[node].outcomes.pop_front() else { return };
        match write {
            Write::Message { sequenced, way } => self.tell_stored(way, sequenced, outcome),
            Write::Confirm { mut way, acked, message } => {
                let written = if outcome == WriteOutcome::Stored { Ok(()) } else { Err(()) };
                let lives = self.same_room(node, way.conversation, way.serial).is_some();
                let command = if lives {
                    self.inform(&mut way, Input::Confirmed(acked, message, written))
                } else {
                    // A room that was dropped had nothing left to store.
                    written.map_or(Command::Nothing, |()| Command::Ack(acked))
                };
                let answer = match command {
                    _ if self.has(Planted::ConfirmUnstored) => Ok(acked),
                    Command::Ack(acked) => Ok(acked),
                    _ => Err(Refusal::Unstored),
                };
                self.finish(way, answer);
            }
            Write::Floor { conversation, seq, then } => {
                let Some((mut way, submission)) = then else {
                    let live = self.nodes[node].rooms.get_mut(&conversation);
                    if let Some(live) = live.filter(|_| outcome == WriteOutcome::Stored) {
                        live.room.sequencer_mut().lasts(seq);
                    }
                    return;
                };
                let gone = way.from.is_some_and(|conn| !self.wires.contains_key(&conn));
                // Its connection is gone, and it may be that what waited went with it.
                if gone && way.answer == Answer::Author && self.chance.one_in(2) {
                    return self.let_go(&mut way);
                }
                self.wait(&way, false);
                if outcome == WriteOutcome::Stored {
                    let command = self.inform(&mut way, Input::Floored(submission, seq));
                    return self.carry_out(way, command);
                }
                self.submitted(&way);
                self.finish(way, Err(Refusal::Unstored));
            }
            Write::Headers(_) => {}
            Write::Opened { sender } => self.push(sender, Down::Opened),
        }
    }

    fn tell_stored(&mut self, way: Way, sequenced: Arc<Sequenced>, outcome: WriteOutcome) {
        let at = (way.node, way.conversation, way.serial);
        match outcome {
            WriteOutcome::Taken(_) if self.has(Planted::AckTaken) => {
                self.tell_stored(way, sequenced, WriteOutcome::Stored);
            }
            WriteOutcome::Stored => {
                let acked = Acked::of(sequenced.seq(), sequenced.envelope());
                let took = Duration::from_millis(self.passed_ms - way.asked_ms);
                if self.is_far() && took > STORED_LATE && !self.has(Planted::LateUntold) {
                    self.counts.stored_late += 1;
                    self.announce_stored(at.0, &sequenced);
                }
                self.settle_stored(at, Input::Stored(sequenced));
                self.finish(way, Ok(acked));
            }
            WriteOutcome::Before(stored) => {
                let acked = Acked::of(stored.seq(), stored.envelope());
                self.note_missed(at.0, sequenced.envelope(), Gap::of(sequenced.seq()));
                self.announce_stored(at.0, &stored);
                self.settle_stored(at, Input::StoredBefore(sequenced, stored));
                self.finish(way, Ok(acked));
            }
            WriteOutcome::Failed => {
                self.take_back(at, sequenced);
                self.finish(way, Err(Refusal::Unstored));
            }
            WriteOutcome::Taken(seq_last) => {
                let taken = Input::NumberTaken(Arc::clone(&sequenced), seq_last);
                if let Some(room) = self.same_room(at.0, at.1, at.2)
                    && let Command::Renumber { gap, .. } = room.sequencer_mut().handle(taken)
                {
                    self.note_missed(at.0, sequenced.envelope(), gap);
                }
                match way.answer {
                    Answer::Lane => self.renumbered(&way, sequenced),
                    Answer::Author => {
                        self.take_back(at, sequenced);
                        self.finish(way, Err(Refusal::Unstored));
                    }
                }
            }
        }
    }

    /// The store has a message: where it is shown otherwise, that is set right.
    fn settle_stored(&mut self, at: (usize, ConversationId, Serial), input: Input) {
        let Some(room) = self.same_room(at.0, at.1, at.2) else { return };
        if let Command::Settle { sequenced, gap, .. } = room.sequencer_mut().handle(input) {
            self.set_right(at.0, &sequenced, gap);
        }
    }

    fn set_right(&mut self, node: usize, sequenced: &Arc<Sequenced>, gap: Option<Gap>) {
        self.counts.set_right += 1;
        if let Some(gap) = gap {
            self.note_missed(node, sequenced.envelope(), gap);
        }
        self.deliver(node, sequenced, None);
    }

    /// What was shown could not be stored: off the screens with it, here and on the other nodes.
    pub(crate) fn take_back(
        &mut self,
        at: (usize, ConversationId, Serial),
        sequenced: Arc<Sequenced>,
    ) {
        self.announce_void(at.0, &sequenced);
        if self.is_far() {
            // Another node may have stored it under the same number.
            self.note_missed(at.0, sequenced.envelope(), Gap::of(sequenced.seq()));
        }
        self.take_off(at, Input::Failed(sequenced));
    }

    /// Its outcome is known.
    pub(crate) fn finish(&mut self, mut way: Way, outcome: Result<Acked, Refusal>) {
        self.let_go(&mut way);
        match way.answer {
            Answer::Author => self.tell_author((way.from, way.message), outcome),
            Answer::Lane => self.attempt_told(&way, outcome),
        }
    }

    /// Whoever sent it hears of its outcome.
    pub(crate) fn tell_author(
        &mut self,
        (from, message): (Option<Conn>, MessageId),
        outcome: Result<Acked, Refusal>,
    ) {
        match outcome {
            Ok(acked) => self.answer(from, ack(message, acked)),
            Err(why) => self.refuse(from, message, why),
        }
    }

    /// Memory need not keep what it has for its sake any more.
    fn let_go(&mut self, way: &mut Way) {
        if let Some(held) = way.held.take()
            && let Some(room) = self.same_room(way.node, way.conversation, held)
        {
            room.sequencer_mut().let_go();
        }
    }
}

/// What the author of a message that is on disk hears.
pub(crate) fn ack(message: MessageId, acked: Acked) -> Down {
    let Acked { seq, at, expires } = acked;
    Down::Ack { message, seq, at, expires }
}

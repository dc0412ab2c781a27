//! Carries out what the sequencer says of this node's messages: a number, delivery, storage, ack.
//!
//! A message waits here between the question for its number and the moment at which the bus tells
//! it to every node, this one as well: delivery follows the bus's order. Lives here: carrying
//! commands out. Not here: the rules (`sequencer`), in which order the messages of a conversation
//! ask (`lane`), who may say something (`speak`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use protocol::ids::MessageId;
use protocol::message::Seq;
use protocol::reject::Reject;
use tokio::sync::oneshot;

use super::cork;
use super::fanout::LiveRoom;
use super::handle::RoomHandle;
use super::integrity::Integrity;
use super::pending::{
    Answer, Answered, Asked, ByBus, Next, PendingWrite, Published, SetRight, answer_known, fan_out,
    set_right, words,
};
use super::ports::Ports;
use super::reject::store_reject;
use super::rooms::Rooms;
use super::tally;
use super::times::Times;
use crate::bus::{Bus, Notice};
use crate::metrics::Metrics;
use crate::privacy::envelope::{Envelope, Sequenced};
use crate::sequencer::{
    Acked, Command, Gap, Hearing, Input, OwnNotice, Refusal, STORED_LATE, Submission,
};
use crate::store::{Store, StoreError, Write, WriteSlot};
use crate::traces;

/// Time in which another node stores what it gave a sequence number to.
const ELSEWHERE_WAIT: Duration = Duration::from_millis(200);

/// A message for which a number was asked.
struct Asking {
    pending: PendingWrite,
    submission: Submission,
    /// Nothing: it is published. Otherwise what is to be done next.
    heard: oneshot::Sender<Option<(PendingWrite, Next)>>,
}

/// The executor of the sequencer's commands.
pub(super) struct Executor {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    times: Arc<Times>,
    metrics: Arc<Metrics>,
    rooms: Arc<Rooms>,
    integrity: Arc<Integrity>,
    /// Messages for which the bus was asked, and what it did not tell.
    hearing: Mutex<Hearing<Asking>>,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").finish_non_exhaustive()
    }
}

impl Executor {
    pub(super) fn new(ports: &Ports, rooms: &Arc<Rooms>, integrity: &Arc<Integrity>) -> Self {
        Self {
            store: Arc::clone(&ports.store),
            bus: Arc::clone(&ports.bus),
            times: Arc::clone(&ports.times),
            metrics: Arc::clone(&ports.metrics),
            rooms: Arc::clone(rooms),
            integrity: Arc::clone(integrity),
            hearing: Mutex::default(),
        }
    }

    /// Carries out one message's commands, until it is published, found to be known, or refused.
    pub(super) async fn submit(
        self: &Arc<Self>,
        room: RoomHandle,
        submission: Submission,
        Asked { from, refusal, since, beside, trace }: Asked,
        answer: Answer,
        by_bus: Option<ByBus>,
    ) -> Result<(), Reject> {
        let slot = self.slot().await?;
        let mut pending = PendingWrite { room, slot, answer, from, since, beside, by_bus, trace };
        let mut held = None;
        let mut next = self.inform(&mut pending, Input::Submitted(submission)).await?;
        loop {
            let command = match next {
                Next::Published(published) => {
                    traces::reached(pending.trace.as_ref(), "place");
                    self.published(pending, published);
                    return Ok(());
                }
                Next::SetRight(set_right) => {
                    self.metrics.duplicates_dropped_total.inc();
                    let acked = self.tell_set_right(set_right);
                    answer_known(acked, pending);
                    return Ok(());
                }
                Next::Do(command) => command,
                Next::Again(submission) => {
                    next = self.inform(&mut pending, Input::Submitted(submission)).await?;
                    continue;
                }
            };
            let input = match command {
                Command::Sequence { submission, floor } => {
                    match self.ask_bus(pending, submission, floor).await {
                        None => return Ok(()),
                        Some((back, again)) => (pending, next) = (back, again),
                    }
                    continue;
                }
                Command::ReadStore { submission, after, patiently } => {
                    held.get_or_insert_with(|| pending.room.hold());
                    let stored = self.look(submission.envelope(), after, patiently).await?;
                    Input::Found(submission, stored)
                }
                // It slows the sender, whose next words are read after these.
                Command::WriteFloor { submission, seq } => {
                    let envelope = submission.envelope();
                    pending.slot = self.write_floor_of(pending.slot, envelope, seq).await?;
                    Input::Floored(submission, seq)
                }
                Command::Confirm(acked, message) => {
                    self.metrics.duplicates_dropped_total.inc();
                    Self::confirm(pending, message, acked);
                    return Ok(());
                }
                Command::Ack(acked) => {
                    self.metrics.duplicates_dropped_total.inc();
                    answer_known(acked, pending);
                    return Ok(());
                }
                Command::Refuse(why) => {
                    return Err(refusal
                        .filter(|_| why == Refusal::NotAllowed)
                        .unwrap_or(words(why)));
                }
                Command::Publish { .. }
                | Command::Settle { .. }
                | Command::Show { .. }
                | Command::Void { .. }
                | Command::Renumber { .. }
                | Command::Fill(_)
                | Command::Nothing => return Ok(()),
            };
            next = self.inform(&mut pending, input).await?;
        }
    }

    /// Tells the sequencer of a message what happened to it. A room that was dropped meanwhile is
    /// looked up again, and the message is new to it.
    async fn inform(&self, pending: &mut PendingWrite, mut input: Input) -> Result<Next, Reject> {
        let (from, today) = (pending.from, self.times.today());
        loop {
            let told = pending.room.handle(input, |live, command| {
                let Command::Sequence { submission, floor } = command else {
                    return fan_out(live, command, (from, today));
                };
                let Some(seq) = self.bus.sequence_here(submission.envelope(), floor) else {
                    live.sequencer_mut().await_bus();
                    return Next::Do(Command::Sequence { submission, floor });
                };
                let command = live.sequencer_mut().handle(Input::Sequenced(submission, seq));
                fan_out(live, command, (from, today))
            });
            let submission = match told {
                Ok(next) => return Ok(next),
                Err(input) => input.into_submission(),
            };
            let Some(submission) = submission else { return Ok(Next::Do(Command::Nothing)) };
            let said = submission.envelope();
            pending.room = self.rooms.get(said.tenant(), said.conversation()).await?;
            input = Input::Submitted(submission);
        }
    }

    /// It has its number and was appended for everyone here: writes to the sockets, hands it to the
    /// store.
    pub(super) fn published<A: FnOnce(Result<Answered, Reject>) + Send + 'static>(
        self: &Arc<Self>,
        pending: PendingWrite<A>,
        Published { sequenced, delivered, gap }: Published,
    ) {
        if let Some(gap) = gap {
            self.rooms.note_missed_by(&sequenced, gap);
        }
        if delivered.recipients.spilled() && !cork::in_read() {
            // Their writes follow each other closely as they are.
            delivered.recipients.iter().for_each(|sink| sink.flush());
        } else {
            delivered.recipients.iter().for_each(cork::flush);
        }
        traces::reached(pending.trace.as_ref(), "fan-out");
        let now = self.times.instant();
        tally::sequenced(
            &self.metrics,
            sequenced.envelope(),
            delivered.to,
            now.saturating_duration_since(pending.since),
        );
        if let Some(ms) = delivered.first_answer_ms {
            self.metrics.first_response_seconds.observe(Duration::from_millis(ms));
        }
        self.record(pending, sequenced, now);
    }

    async fn stored_message(
        &self,
        envelope: &Envelope,
        after: Seq,
    ) -> Result<Option<Arc<Sequenced>>, Reject> {
        self.store
            .message(envelope.tenant(), envelope.conversation(), envelope.message(), after)
            .await
            .map_err(|error| store_reject(&error))
    }

    async fn slot(&self) -> Result<Box<dyn WriteSlot>, Reject> {
        match self.store.try_reserve() {
            Ok(slot) => Ok(slot),
            Err(_) => {
                let before = self.times.instant();
                let slot = self.store.reserve().await;
                self.metrics.backpressure_seconds_total.add(self.times.since(before));
                slot.map_err(|error| store_reject(&error))
            }
        }
    }

    /// Waits until the store knows that the numbering came so far, and has done what was before
    /// that. Meanwhile the slot is free; another one comes back.
    async fn write_floor_of(
        &self,
        slot: Box<dyn WriteSlot>,
        envelope: &Envelope,
        seq: Seq,
    ) -> Result<Box<dyn WriteSlot>, Reject> {
        drop(slot);
        let before = self.times.instant();
        let (tenant, conversation) = (envelope.tenant(), envelope.conversation());
        let floor = Write::Floor { tenant, conversation, seq };
        let written = self.store.write(vec![floor]).await;
        self.metrics.backpressure_seconds_total.add(self.times.since(before));
        written.map_err(|error| store_reject(&error))?;
        self.slot().await
    }

    /// Looks for a message in the store; another node's write may still be on the way to the disk.
    async fn look(
        &self,
        envelope: &Envelope,
        after: Seq,
        patiently: bool,
    ) -> Result<Option<Arc<Sequenced>>, Reject> {
        let stored = self.stored_message(envelope, after).await?;
        if stored.is_some() || !patiently {
            return Ok(stored);
        }
        tokio::time::sleep(ELSEWHERE_WAIT).await;
        self.stored_message(envelope, after).await
    }

    /// Hands a sequenced message to the store; its sender hears once it is on disk.
    ///
    /// Whatever answers lies in one piece of memory with the rest, not in one of its own.
    fn record<A: FnOnce(Result<Answered, Reject>) + Send + 'static>(
        self: &Arc<Self>,
        pending: PendingWrite<A>,
        sequenced: Arc<Sequenced>,
        written: Instant,
    ) {
        let executor = Arc::clone(self);
        let message = Arc::clone(&sequenced);
        let PendingWrite { room, slot, answer, beside, by_bus, .. } = pending;
        let is_alone = beside.is_none();
        let mut writes = vec![Write::Message(sequenced)];
        writes.extend(beside.as_ref().map(|beside| beside.at(message.seq())));
        slot.write(
            writes,
            Box::new(move |outcome| match outcome {
                Ok(()) => {
                    tally::stored(&executor.metrics, executor.times.since(written));
                    executor.integrity.acked(&message, || executor.times.instant());
                    let acked = Acked::of(message.seq(), message.envelope());
                    if by_bus.is_some_and(|asked| executor.times.since(asked.since) > STORED_LATE) {
                        executor.announce_stored(&message);
                    }
                    executor.set_right(&room, Input::Stored(message));
                    answer(Ok(acked.into()));
                }
                Err(StoreError::StoredBefore { stored }) => {
                    let outcome = executor.stored_before(&room, message, stored);
                    // What was to be stored beside it was not.
                    let outcome = outcome.and_then(|acked| {
                        if is_alone { Ok(acked.into()) } else { Err(words(Refusal::Unstored)) }
                    });
                    answer(outcome);
                }
                Err(StoreError::SeqTaken { seq_last }) => {
                    let taken = Input::NumberTaken(Arc::clone(&message), seq_last);
                    // What is to be read is read for a room that lives.
                    if let Ok(Command::Renumber { gap, .. }) = room.handle(taken, |_, next| next) {
                        executor.rooms.note_missed_by(&message, gap);
                    }
                    match by_bus {
                        Some(by_bus) => {
                            // Whoever waits for it settles nothing else.
                            let _gone = by_bus.renumbered.send(message);
                        }
                        None => {
                            executor.take_back(&room, message);
                            answer(Err(store_reject(&StoreError::SeqTaken { seq_last })));
                        }
                    }
                }
                Err(error) => {
                    executor.take_back(&room, message);
                    answer(Err(store_reject(&error)));
                }
            }),
        );
    }

    /// The store has a message: where it is shown otherwise in its room, that is set right. A room
    /// that was dropped meanwhile had nothing left to store.
    fn set_right(&self, room: &RoomHandle, input: Input) {
        let told = room.handle(input, |live, command| {
            if !matches!(command, Command::Settle { .. }) {
                return None;
            }
            set_right(live, command, self.times.today()).ok()
        });
        if let Ok(Some(told)) = told {
            self.tell_set_right(told);
        }
    }

    fn tell_set_right(&self, SetRight { acked, sequenced, recipients, gap }: SetRight) -> Acked {
        recipients.iter().for_each(|sink| sink.flush());
        if let Some(gap) = gap {
            self.rooms.note_missed_by(&sequenced, gap);
        }
        acked
    }

    /// Another node stored the same message: its sequence number counts, and everyone who shows
    /// this node's is told to look.
    fn stored_before(
        &self,
        room: &RoomHandle,
        message: Arc<Sequenced>,
        stored: Arc<Sequenced>,
    ) -> Result<Acked, Reject> {
        if !stored.envelope().says_the_same(message.envelope()) {
            self.take_back(room, message);
            return Err(words(Refusal::Conflict));
        }
        let acked = Acked::of(stored.seq(), stored.envelope());
        // Another message may be stored under the number that this one leaves.
        self.rooms.note_missed_by(&message, Gap::of(message.seq()));
        self.announce_stored(&stored);
        self.set_right(room, Input::StoredBefore(message, stored));
        Ok(acked)
    }

    fn announce_stored(&self, sequenced: &Sequenced) {
        let (tenant, conversation) =
            (sequenced.envelope().tenant(), sequenced.envelope().conversation());
        self.bus.announce(Notice::Stored { tenant, conversation, seq: sequenced.seq() });
    }

    /// A message came again: acked as soon as the first one is on disk, which all before it in the
    /// queue then are.
    fn confirm(pending: PendingWrite, message: MessageId, acked: Acked) {
        let PendingWrite { room, slot, answer, beside, .. } = pending;
        slot.write(
            beside.iter().map(|beside| beside.at(acked.seq)).collect(),
            Box::new(move |outcome| {
                let written = Input::Confirmed(acked, message, outcome.map_err(drop));
                let settled = room.handle(written, |_, command| command);
                answer(match settled {
                    Ok(Command::Ack(acked)) => Ok(acked.into()),
                    // A room that was dropped had nothing left to store.
                    Err(Input::Confirmed(acked, _, Ok(()))) => Ok(acked.into()),
                    Ok(_) | Err(_) => Err(words(Refusal::Unstored)),
                });
            }),
        );
    }

    /// What was shown could not be stored: off the screens with it, here and on the other nodes.
    pub(super) fn take_back(&self, room: &RoomHandle, sequenced: Arc<Sequenced>) {
        let envelope = sequenced.envelope();
        self.bus.announce(Notice::Void {
            tenant: envelope.tenant(),
            conversation: envelope.conversation(),
            seq: sequenced.seq(),
            message: envelope.message(),
        });
        // Another node may have stored it under the same number.
        if self.bus.is_far() {
            self.rooms.note_missed_by(&sequenced, Gap::of(sequenced.seq()));
        }
        room.take_off(Input::Failed(sequenced));
    }

    /// Asks the bus for a number. Nothing: it is published. Otherwise what is to be done next.
    async fn ask_bus(
        self: &Arc<Self>,
        pending: PendingWrite,
        submission: Submission,
        floor: Seq,
    ) -> Option<(PendingWrite, Next)> {
        let envelope = submission.envelope().clone();
        let key = (envelope.conversation(), envelope.message());
        let (heard, told) = oneshot::channel();
        self.hearing.lock().ask(key, Asking { pending, submission, heard });
        let given = self.bus.sequence(&envelope, floor).await;
        let wait = self.hearing.lock().answered(key, given.is_ok());
        if let Ok(Ok(settled)) = tokio::time::timeout(wait, told).await {
            return settled;
        }
        let asking = self.hearing.lock().unheard(key, wait);
        let Asking { pending, submission, .. } = asking?;
        let input = match given {
            Ok(seq) => Input::Told(submission, Arc::new(envelope.sequence(seq))),
            Err(_) => Input::BusAway(submission),
        };
        self.take_number(pending, input)
    }

    /// The bus answered for a message of this node: it is published and stored, unless its number
    /// is another's by now.
    fn take_number(
        self: &Arc<Self>,
        pending: PendingWrite,
        input: Input,
    ) -> Option<(PendingWrite, Next)> {
        let (from, today) = (pending.from, self.times.today());
        let told =
            pending.room.handle(input, |live, command| fan_out(live, command, (from, today)));
        match told {
            Ok(Next::Published(published)) => {
                self.published(pending, published);
                None
            }
            Ok(next) => Some((pending, next)),
            // The room was dropped: whoever asked looks it up again.
            Err(input) => {
                let away = matches!(input, Input::BusAway(_));
                let again = input.into_submission().filter(|_| !away);
                let refused = Command::Refuse(Refusal::BusAway);
                Some((pending, again.map_or(Next::Do(refused), Next::Again)))
            }
        }
    }

    /// The bus tells of a message of this node.
    pub(super) fn hear_own(self: &Arc<Self>, sequenced: &Arc<Sequenced>) {
        let own = self.hearing.lock().own(sequenced);
        match own {
            OwnNotice::Stale => {}
            OwnNotice::Awaited(Asking { pending, submission, heard }) => {
                let next =
                    self.take_number(pending, Input::Told(submission, Arc::clone(sequenced)));
                // Whoever asked may be gone: then only the author resends.
                let _gone = heard.send(next);
            }
            OwnNotice::Unawaited => self.void_unawaited(sequenced),
        }
    }

    /// A number that nobody here waits for: unless the message is here, its author was told that it
    /// has none, and the other nodes show it.
    fn void_unawaited(&self, sequenced: &Sequenced) {
        let envelope = sequenced.envelope();
        let is_here = |live: &mut LiveRoom| live.sequencer().find(envelope.message()).is_some();
        let room = self.rooms.live(envelope.conversation());
        if room.and_then(|room| room.with(is_here).ok()) == Some(true) {
            return;
        }
        self.bus.announce(Notice::Void {
            tenant: envelope.tenant(),
            conversation: envelope.conversation(),
            seq: sequenced.seq(),
            message: envelope.message(),
        });
    }
}

//! What other nodes said and is not here, or is here and not known to be stored: read in the store.
//!
//! Not here: what is looked for and how long (`sequencer::hearing`), when (`upkeep`).

use protocol::conversation::ResumePoint;
use protocol::ids::{ConversationId, TenantId};
use protocol::message::Seq;
use protocol::reject::Reject;

use super::Rooms;
use crate::hub::fanout::{FrameSinks, deliver};
use crate::hub::handle::RoomHandle;
use crate::hub::reject::store_reject;
use crate::privacy::envelope::Sequenced;
use crate::sequencer::{Command, Gap, Input, Missed, Sequencer};
use crate::store::StoreError;

/// Messages that are read at once.
const READ_MAX: u16 = 500;

impl Rooms {
    /// Something of a conversation is to be read in the store.
    pub(super) fn note_missed(&self, tenant: TenantId, conversation: ConversationId, gap: Gap) {
        self.gaps.lock().missed(tenant, conversation, gap, self.times.instant());
    }

    /// The same, of this message's conversation.
    pub(in crate::hub) fn note_missed_by(&self, sequenced: &Sequenced, gap: Gap) {
        let envelope = sequenced.envelope();
        self.note_missed(envelope.tenant(), envelope.conversation(), gap);
    }

    /// A room was loaded: what was said before it was followed may be stored yet.
    pub(super) fn note_newest(&self, room: &RoomHandle) {
        if self.bus.is_far() {
            self.note_missed_in(room, |live| live.seq_last());
        }
    }

    /// The bus was away: every room looks.
    pub(in crate::hub) fn note_all_missed(&self) {
        for room in self.all() {
            self.note_missed_in(&room, |live| live.tail_after());
        }
    }

    fn note_missed_in(&self, room: &RoomHandle, after: fn(&Sequencer) -> Seq) {
        let of = room.with(|live| {
            let gap = Gap { after: after(live.sequencer()), until: None };
            (live.tenant(), live.conversation(), gap)
        });
        if let Ok((tenant, conversation, gap)) = of {
            self.note_missed(tenant, conversation, gap);
        }
    }

    /// Reads what was missed; what is not there yet is looked for again, and void after the last
    /// look.
    pub(in crate::hub) async fn fill_gaps(&self) {
        let all = self.gaps.lock().take_missed(self.times.instant());
        for missed in all {
            self.fill(missed).await;
        }
    }

    async fn fill(&self, missed: Missed) {
        // Nobody needs it any more where the room is gone.
        let Some(room) = self.live(missed.conversation) else { return };
        let began = self.times.instant();
        let Ok(newest) = room.with(|live| live.sequencer().seq_last()) else { return };
        let read = self.read(&room, (missed.tenant, missed.conversation), missed.gap).await;
        let Ok((found, is_all)) = read else {
            self.gaps.lock().looked(missed, [], missed.since());
            return;
        };
        let last = found.last().copied();
        let Some(void) = self.gaps.lock().looked(missed, found, began) else { return };
        // What came meanwhile, and what did not fit into one reading, was not looked for.
        let until = if is_all { void.until.unwrap_or(newest) } else { last.unwrap_or(void.after) };
        let void = Gap { until: Some(until), ..void };
        while room.take_off(Input::Unfound(void)) {}
    }

    /// Before someone is let in who saw more than is here.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(in crate::hub) async fn catch_up(
        &self,
        room: &RoomHandle,
        point: &ResumePoint,
    ) -> Result<(), Reject> {
        let behind = room.with(|live| Some((live.tenant(), live.sequencer().is_behind(point)?)));
        let Ok(Some((tenant, gap))) = behind else { return Ok(()) };
        let conversation = point.conversation;
        let read = async {
            self.read(room, (tenant, conversation), gap).await?;
            // Some of it may be no more, and its numbers are not given again.
            self.store.room(tenant, conversation, 1).await
        };
        let row = read.await.map_err(|error| store_reject(&error))?;
        if let Some(row) = row {
            // A room that was dropped meanwhile begins with it.
            drop(room.handle(Input::Given(row.seq_last), |_, command| command));
        }
        Ok(())
    }

    /// Shows what the store has there. Its numbers, and whether that is all of it.
    async fn read(
        &self,
        room: &RoomHandle,
        (tenant, conversation): (TenantId, ConversationId),
        Gap { after, until }: Gap,
    ) -> Result<(Vec<Seq>, bool), StoreError> {
        let before = until.map(|until| until.next());
        let stored = self.store.messages(tenant, conversation, after, before, READ_MAX).await?;
        let found: Vec<Seq> = stored.iter().map(|sequenced| sequenced.seq()).collect();
        let told = room.with(|live| {
            let mut told = FrameSinks::new();
            for sequenced in stored {
                let command = live.sequencer_mut().handle(Input::Read(sequenced));
                if let Command::Show { sequenced, .. } = command {
                    told.extend(deliver(live, &sequenced, None, self.times.today()).0);
                }
            }
            told
        });
        for sink in told.unwrap_or_default() {
            sink.flush();
        }
        let is_all = found.len() < usize::from(READ_MAX);
        Ok((found, is_all))
    }
}

//! The live rooms: looked up at join and leave; whoever holds a handle never looks here again.
//!
//! Lives here: loading a room, following its conversation on the bus while it is read, what other
//! nodes say of what is live. Not here: this node's own messages (`executor`), what a dropped room
//! leaves behind (`desks`).

mod missed;

use std::collections::HashMap;
use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::Mutex;
use protocol::ids::{ConversationId, SiteId, TenantId, VisitorId};
use protocol::reject::Reject;
use tokio::sync::OnceCell;

use super::fanout::{FrameSink, FrameSinks, LiveRoom, deliver};
use super::handle::{Retired, RoomHandle};
use super::newest::{Newest, known_receipt};
use super::ports::Ports;
use super::reject::{not_found, store_reject};
use super::times::Times;
use crate::bus::{Bus, Notice};
use crate::privacy::envelope::Sequenced;
use crate::privacy::gate::Reader;
use crate::room::Room;
use crate::sequencer::{Command, Hearing, Input, TAIL_MAX};
use crate::store::{Store, StoreError};

/// All live rooms. A cell that is empty is being loaded by one task, for which the others wait, so
/// that no room begins with what the store had before another room's last write.
#[derive(Debug)]
pub(super) struct Rooms {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    times: Arc<Times>,
    cells: DashMap<ConversationId, Arc<OnceCell<RoomHandle>>>,
    /// Conversations that are being read from the store: what is heard of them waits.
    early: Mutex<HashMap<ConversationId, Vec<Notice>>>,
    /// What is to be read in the store: nothing is asked of the bus here.
    gaps: Mutex<Hearing<()>>,
}

/// A conversation that is followed while it is read; dropped unkept, it is followed no more.
struct Following<'r> {
    rooms: &'r Rooms,
    conversation: ConversationId,
    kept: bool,
}

impl Following<'_> {
    /// The room lives now: it hears what was said meanwhile.
    fn keep(mut self) {
        self.kept = true;
        self.rooms.hear_early(self.conversation);
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.rooms.early.lock().remove(&self.conversation);
            self.rooms.bus.unfollow(self.conversation);
        }
    }
}

impl Rooms {
    pub(super) fn new(ports: &Ports) -> Self {
        Self {
            store: Arc::clone(&ports.store),
            bus: Arc::clone(&ports.bus),
            times: Arc::clone(&ports.times),
            cells: DashMap::default(),
            early: Mutex::default(),
            gaps: Mutex::default(),
        }
    }

    /// The room, loaded if need be.
    pub(super) async fn get(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<RoomHandle, Reject> {
        let mut following = None;
        let load = async || {
            // Followed before it is read: what is said meanwhile is heard after it.
            following = Some(self.follow(conversation).await);
            self.load(tenant, conversation).await
        };
        let found = self.live_or(conversation, load).await;
        let found = found.map_err(|error| store_reject(&error))?;
        if let (Some(handle), Some(following)) = (&found, following) {
            following.keep();
            self.note_newest(handle);
        }
        let handle = found.ok_or_else(|| not_found("there is no such conversation"))?;
        match handle.with(|room| room.tenant() == tenant) {
            Ok(true) => Ok(handle),
            Ok(false) => Err(not_found("there is no such conversation")),
            // Dropped between the two lines above: the map no longer has it, so this loads it anew.
            Err(Retired) => Box::pin(self.get(tenant, conversation)).await,
        }
    }

    /// The room, loaded if need be, and the site and visitor that the conversation is of.
    pub(super) async fn get_with_home(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<(RoomHandle, SiteId, VisitorId), Reject> {
        loop {
            let room = self.get(tenant, conversation).await?;
            // Dropped meanwhile, it is loaded anew.
            if let Ok((site, visitor)) = room.with(|live| (live.site(), live.visitor())) {
                return Ok((room, site, visitor));
            }
        }
    }

    async fn load(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<LiveRoom>, StoreError> {
        let tail_max = u16::try_from(TAIL_MAX).unwrap_or(u16::MAX);
        let Some(row) = self.store.room(tenant, conversation, tail_max).await? else {
            return Ok(None);
        };
        let receipts = row.receipts.iter().map(|mark| known_receipt(mark, row.seq_last)).collect();
        let header = &row.header;
        let of = (header.tenant, header.site, header.conversation, header.visitor);
        let rest = (row.below, row.words);
        Ok(Some(Room::new(of, row.seq_last, row.tail, rest, receipts)))
    }

    /// The room if it is live.
    pub(super) fn live(&self, conversation: ConversationId) -> Option<RoomHandle> {
        self.cells.get(&conversation)?.get().cloned()
    }

    /// The room, loaded if it is not live; `None` where there is no such conversation.
    async fn live_or<F>(
        &self,
        conversation: ConversationId,
        load: F,
    ) -> Result<Option<RoomHandle>, StoreError>
    where
        F: AsyncFnOnce() -> Result<Option<LiveRoom>, StoreError>,
    {
        let cell = Arc::clone(&self.cells.entry(conversation).or_default());
        let loaded = cell
            .get_or_try_init(async || match load().await {
                Ok(Some(room)) => Ok(RoomHandle::new(room)),
                Ok(None) => Err(None),
                Err(error) => Err(Some(error)),
            })
            .await
            .cloned();
        match loaded {
            Ok(handle) => Ok(Some(handle)),
            Err(reason) => {
                self.cells.remove_if(&conversation, |_, cell| cell.get().is_none());
                reason.map_or(Ok(None), Err)
            }
        }
    }

    /// Drops the room if nobody needs it. What is to be kept of it, if it did.
    pub(super) fn drop_if_idle(&self, conversation: ConversationId) -> Option<Newest> {
        let handle = self.live(conversation)?;
        let retired = handle.with(|room| {
            if !room.is_idle() {
                return None;
            }
            room.retire();
            Some(Newest::of(room))
        });
        let newest = retired.ok()??;
        self.cells
            .remove_if(&conversation, |_, cell| cell.get().is_some_and(|live| live.is(&handle)));
        self.bus.unfollow(conversation);
        Some(newest)
    }

    /// How many there are, those that are being loaded among them.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Every live room, for the sweep over what is written lazily.
    pub(super) fn all(&self) -> Vec<RoomHandle> {
        self.cells.iter().filter_map(|cell| cell.get().cloned()).collect()
    }

    /// Everyone in the room who reads like this; nobody where it is not live.
    pub(super) fn sinks(
        &self,
        conversation: ConversationId,
        reader: Reader,
    ) -> Vec<Arc<dyn FrameSink>> {
        self.live(conversation).map(|room| room.sinks(reader)).unwrap_or_default()
    }

    /// Follows a conversation that is about to be read.
    async fn follow(&self, conversation: ConversationId) -> Following<'_> {
        self.early.lock().insert(conversation, Vec::new());
        let following = Following { rooms: self, conversation, kept: false };
        self.bus.follow(conversation).await;
        following
    }

    /// What another node says: of a conversation that is being read it waits.
    pub(super) fn hear(&self, notice: Notice) {
        if let Some(early) = self.early.lock().get_mut(&notice.conversation()) {
            early.push(notice);
            return;
        }
        self.hear_foreign(&notice);
    }

    /// What was said while the conversation was read, in order, before anything newer.
    fn hear_early(&self, conversation: ConversationId) {
        loop {
            let early = {
                let mut all = self.early.lock();
                match all.get_mut(&conversation) {
                    Some(early) if !early.is_empty() => std::mem::take(early),
                    _ => {
                        all.remove(&conversation);
                        return;
                    }
                }
            };
            for notice in early {
                self.hear_foreign(&notice);
            }
        }
    }

    fn hear_foreign(&self, notice: &Notice) {
        let Some(room) = self.live(notice.conversation()) else { return };
        if room.with(|live| live.tenant()) != Ok(notice.tenant()) {
            return;
        }
        match notice {
            Notice::Sequenced(sequenced) => self.hear_sequenced(&room, sequenced),
            Notice::Void { seq, message, .. } => {
                room.take_off(Input::VoidedElsewhere(*seq, *message));
            }
            Notice::Stored { tenant, conversation, seq } => {
                let heard = room.handle(Input::HeardStored(*seq), |_, command| command);
                if let Ok(Command::Fill(gap)) = heard {
                    self.note_missed(*tenant, *conversation, gap);
                }
            }
            Notice::Typing { conversation, author, typing, .. } => {
                room.show_typing(*conversation, *author, *typing);
            }
            Notice::Receipt { author, delivered, seen, .. } => {
                room.show_receipt((*author, *delivered, *seen), None);
            }
        }
    }

    fn hear_sequenced(&self, room: &RoomHandle, sequenced: &Arc<Sequenced>) {
        let heard =
            room.handle(Input::SequencedElsewhere(Arc::clone(sequenced)), |live, command| {
                if let Command::Show { sequenced, gap } = command {
                    return (deliver(live, &sequenced, None, self.times.today()).0, gap);
                }
                let gap = if let Command::Fill(gap) = command { Some(gap) } else { None };
                (FrameSinks::new(), gap)
            });
        let Ok((recipients, gap)) = heard else { return };
        for sink in recipients {
            sink.flush();
        }
        if let Some(gap) = gap {
            self.note_missed_by(sequenced, gap);
        }
    }
}

//! The map of live rooms, used at join and leave; whoever holds a handle never looks here again.

use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::Mutex;
use protocol::ids::ConversationId;
use tokio::sync::OnceCell;

use super::Outlet;
use crate::room::Room;
use crate::sequencer::{Command, Input};
use crate::store::StoreError;

/// The hub's rooms.
pub type LiveRoom = Room<Arc<dyn Outlet>>;

/// A live room with its own lock. The only way in is [`RoomHandle::with`].
#[derive(Debug, Clone)]
pub struct RoomHandle(Arc<Mutex<LiveRoom>>);

/// The room was dropped meanwhile: look it up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Retired;

impl RoomHandle {
    pub(super) fn new(room: LiveRoom) -> Self {
        Self(Arc::new(Mutex::new(room)))
    }

    /// Runs the closure under the room's lock: it must neither wait nor write to a socket.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut LiveRoom) -> T) -> Result<T, Retired> {
        let mut room = self.0.lock();
        if room.is_retired() { Err(Retired) } else { Ok(work(&mut room)) }
    }

    /// Tells the sequencer what happened, and carries out under the room's lock what follows.
    ///
    /// # Errors
    /// The input again, if the room was dropped meanwhile: look it up again.
    #[inline]
    pub(super) fn handle<T>(
        &self,
        input: Input,
        then: impl FnOnce(&mut LiveRoom, Command) -> T,
    ) -> Result<T, Input> {
        let mut room = self.0.lock();
        if room.is_retired() {
            return Err(input);
        }
        let command = room.sequencer_mut().handle(input);
        Ok(then(&mut room, command))
    }

    /// Until what comes back is dropped, memory keeps what it has, so that what is read in the store joins it.
    pub(super) fn hold(&self) -> Held {
        // A room that was dropped is looked up again, and held then.
        self.with(|room| room.sequencer_mut().hold()).unwrap_or_default();
        Held(self.clone())
    }
}

/// A room whose messages stay in memory.
#[derive(Debug)]
pub(super) struct Held(RoomHandle);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.with(|room| room.sequencer_mut().let_go()).unwrap_or_default();
    }
}

/// All live rooms. A cell that is empty is being loaded by one task, for which the others wait, so that
/// no room begins with what the store had before another room's last write.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    cells: DashMap<ConversationId, Arc<OnceCell<RoomHandle>>>,
}

impl Rooms {
    /// The room if it is live.
    pub(super) fn live(&self, conversation: ConversationId) -> Option<RoomHandle> {
        self.cells.get(&conversation)?.get().cloned()
    }

    /// The room, loaded if it is not live; `None` where there is no such conversation.
    pub(super) async fn get<F>(
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

    /// Drops the room if nobody needs it. Whether it did.
    pub(super) fn drop_if_idle(&self, conversation: ConversationId) -> bool {
        let Some(handle) = self.live(conversation) else { return false };
        let retired = handle.with(|room| {
            let idle = room.is_idle();
            if idle {
                room.retire();
            }
            idle
        });
        let dropped = retired == Ok(true);
        if dropped {
            self.cells.remove_if(&conversation, |_, cell| {
                cell.get().is_some_and(|live| Arc::ptr_eq(&live.0, &handle.0))
            });
        }
        dropped
    }

    /// How many there are, those that are being loaded among them.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Every live room, for the sweep over what is written lazily.
    pub(super) fn all(&self) -> Vec<RoomHandle> {
        self.cells.iter().filter_map(|cell| cell.get().cloned()).collect()
    }
}

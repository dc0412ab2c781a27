//! Several nodes: what the others say, and what was missed of it.
//!
//! What the bus may lose, the store has. Lives here: listening. Not here: its rules
//! (`sequencer::hearing`), what is heard of a live room and read for it (`rooms`), of this node's
//! own messages (`executor`).

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::executor::Executor;
use super::rooms::Rooms;
use crate::bus::{BusEvent, Notice};

/// Hears what the bus says.
#[derive(Debug)]
pub(crate) struct Listener {
    rooms: Arc<Rooms>,
    executor: Arc<Executor>,
}

impl Listener {
    pub(super) fn new(rooms: &Arc<Rooms>, executor: &Arc<Executor>) -> Self {
        Self { rooms: Arc::clone(rooms), executor: Arc::clone(executor) }
    }

    /// Runs until the bus or the server ends.
    pub(crate) async fn listen(
        self: Arc<Self>,
        mut heard: mpsc::Receiver<BusEvent>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        loop {
            let next = tokio::select! {
                next = heard.recv() => next,
                _ = shutdown.wait_for(|down| *down) => None,
            };
            match next {
                None => return,
                Some(BusEvent::Missed) => self.rooms.note_all_missed(),
                Some(BusEvent::Notice { notice, own }) => self.hear(notice, own),
            }
        }
    }

    fn hear(&self, notice: Notice, own: bool) {
        if own && let Notice::Sequenced(sequenced) = &notice {
            self.executor.hear_own(sequenced);
            return;
        }
        self.rooms.hear(notice);
    }
}

#[cfg(test)]
mod tests;

//! Several nodes: what the others say, and what was missed of it.
//!
//! What the bus may lose, the store has. Lives here: listening, and reading what was missed. Not here: its rules
//! (`sequencer::hearing`), what is heard of a live room (`rooms`), of this node's own messages (`executor`).

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::executor::Executor;
use super::fanout::deliver;
use super::ports::Ports;
use super::rooms::Rooms;
use super::times::Times;
use crate::bus::{Heard, Notice};
use crate::sequencer::{Command, Gap, Input, Missed};
use crate::store::Store;

/// Messages that are read at once for what was missed.
const FILLED_MAX: u16 = 500;

/// Hears what the bus says.
#[derive(Debug)]
pub(crate) struct Listener {
    store: Arc<dyn Store>,
    times: Arc<Times>,
    rooms: Arc<Rooms>,
    executor: Arc<Executor>,
}

impl Listener {
    pub(super) fn new(ports: &Ports, rooms: &Arc<Rooms>, executor: &Arc<Executor>) -> Self {
        Self {
            store: Arc::clone(&ports.store),
            times: Arc::clone(&ports.times),
            rooms: Arc::clone(rooms),
            executor: Arc::clone(executor),
        }
    }

    /// Runs until the bus or the server ends.
    pub(crate) async fn listen(
        self: Arc<Self>,
        mut heard: mpsc::Receiver<Heard>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        loop {
            let next = tokio::select! {
                next = heard.recv() => next,
                _ = shutdown.wait_for(|down| *down) => None,
            };
            match next {
                None => return,
                Some(Heard::Missed) => self.rooms.note_all_missed(),
                Some(Heard::Notice { notice, own }) => self.hear(notice, own),
            }
        }
    }

    fn hear(&self, notice: Notice, own: bool) {
        if own && let Notice::Placed(placed) = &notice {
            self.executor.hear_own(placed);
            return;
        }
        self.rooms.hear(notice);
    }

    /// Reads what was missed; what is not there yet is looked for again at the next tick.
    pub(super) async fn fill_gaps(&self) {
        let all = self.rooms.take_missed();
        for missed in all {
            if let Some(found) = self.fill(&missed).await {
                self.rooms.looked(missed, found);
            }
        }
    }

    /// How many of the missing messages were there; `None` where nobody needs them any more.
    async fn fill(&self, missed: &Missed) -> Option<usize> {
        let Missed { tenant, conversation, gap: Gap { after, until }, .. } = *missed;
        let room = self.rooms.live(conversation)?;
        let before = until.map(|until| until.next());
        let read = self.store.messages(tenant, conversation, after, before, FILLED_MAX).await;
        let Ok(stored) = read else { return Some(0) };
        let found = stored.len();
        let told = room.with(|live| {
            let mut told = Vec::new();
            for placed in stored {
                let command = live.sequencer_mut().handle(Input::Read(placed));
                if let Command::Show { placed, .. } = command {
                    told.extend(deliver(live, &placed, None, self.times.today()).0);
                }
            }
            told
        });
        for outlet in told.unwrap_or_default() {
            outlet.flush();
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests;

//! Who runs the completions of a batch: the writer itself where there are few, the completion
//! thread where running them would keep the next batch waiting. Either way in the order of the
//! queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::store::{Completion, StoreError};
use crate::tasks;

/// Batches of completions that may wait for the thread. Full: the writer waits.
const BATCHES: usize = 16;
/// Completions that the writer tells itself, since to wake the thread costs more than these; and
/// completions that are told in one go.
const AT_ONCE: usize = 32;

/// Completions of one batch, in the order of the queue.
pub(super) type Completions = Vec<(Completion, Result<(), StoreError>)>;

/// Runs what tells some completions, and does once what all of them lead to.
pub type TellTogether = fn(&mut dyn FnMut());

/// The way to the completion thread, and to what the writer runs itself.
#[derive(Clone)]
pub(super) struct CompletionThread {
    together: TellTogether,
    batches: SyncSender<Completions>,
    /// Batches that the thread has not told yet: later ones must not go before them.
    under_way: Arc<AtomicUsize>,
}

impl CompletionThread {
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn start(together: TellTogether) -> std::io::Result<Self> {
        let (batches, told) = sync_channel::<Completions>(BATCHES);
        let under_way = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&under_way);
        tasks::thread("completions", move || {
            for completions in told {
                tell_each(completions, together);
                counted.fetch_sub(1, Ordering::AcqRel);
            }
        })?;
        Ok(Self { together, batches, under_way })
    }

    pub(super) fn tell(&self, completions: Completions) {
        if completions.len() <= AT_ONCE && self.under_way.load(Ordering::Acquire) == 0 {
            return tell_each(completions, self.together);
        }
        self.under_way.fetch_add(1, Ordering::AcqRel);
        // Fails only once the thread is gone, which outlives whoever has this.
        if let Err(unsent) = self.batches.send(completions) {
            tell_each(unsent.0, self.together);
        }
    }
}

fn tell_each(completions: Completions, together: TellTogether) {
    let mut completions = completions.into_iter();
    while !completions.as_slice().is_empty() {
        together(&mut || {
            completions.by_ref().take(AT_ONCE).for_each(|(completion, outcome)| completion(outcome))
        });
    }
}

//! The checkpointer: what of the journal is on its way into the database, that is which rows the
//! open transaction has, and up to which batch the database has everything once it is committed.
//! Not here: moving the rows (`writer/checkpointed`).

use std::sync::Arc;
use std::time::Instant;

use super::fault::Fault;
use super::journal::Reached;
use super::memtable::{Half, Memtable};
use super::transaction::Transaction;

/// What of the journal is on its way into the database.
#[derive(Default)]
pub(super) struct Checkpointer {
    /// What the memtable has rotated; all of it is in one transaction, which may be open.
    pub(super) rotated: Vec<Rotated>,
    /// Up to where the database has everything once that is committed, and has it now.
    pub(super) reached: Reached,
    pub(super) checkpointed: Reached,
    /// What the memtable has not rotated yet, and since when.
    pub(super) young_rows: usize,
    pub(super) young_since: Option<Instant>,
}

pub(super) struct Rotated {
    pub(super) half: Arc<Half>,
    order: Vec<usize>,
    /// So many of them are in the open transaction.
    done: usize,
}

impl Checkpointer {
    /// The database has everything up to here.
    pub(super) fn after(checkpointed: Reached) -> Self {
        Self { reached: checkpointed, checkpointed, ..Self::default() }
    }

    /// So many rows of the journal lie in the memtable, up to here.
    pub(super) fn waits(&mut self, reached: Reached, rows: usize, now: Instant) {
        self.reached = reached;
        self.young_rows = rows;
        self.young_since = Some(now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.young_rows == 0 && self.rotated.is_empty()
    }

    pub(super) fn rotate(&mut self, memtable: &Memtable) {
        if self.young_rows > 0 {
            let half = memtable.rotate();
            self.rotated.push(Rotated { order: half.in_order(), half, done: 0 });
        }
        self.young_rows = 0;
        self.young_since = None;
    }

    /// Puts at most so many rows into the open transaction. How many that were.
    pub(super) fn checkpoint(
        &mut self,
        transaction: &mut Transaction<'_>,
        rows_max: usize,
    ) -> Result<usize, Fault> {
        let mut checkpointed = 0;
        for Rotated { half, order, done } in &mut self.rotated {
            let left = order.get(*done..).unwrap_or_default();
            let slice = left.get(..rows_max - checkpointed).unwrap_or(left);
            transaction.checkpoint_rows(slice.iter().filter_map(|number| half.row(*number)))?;
            *done += slice.len();
            checkpointed += slice.len();
        }
        Ok(checkpointed)
    }

    pub(super) fn is_all_checkpointed(&self) -> bool {
        self.rotated.iter().all(|rotated| rotated.done == rotated.order.len())
    }

    /// The transaction is no more, and nothing of it stored.
    pub(super) fn begin_anew(&mut self) {
        self.rotated.iter_mut().for_each(|rotated| rotated.done = 0);
    }
}

//! What of the journal is on its way into the database: which rows the open transaction has, and up to which batch
//! the database has everything once it is committed.

use std::sync::Arc;
use std::time::Instant;

use super::backlog::{Backlog, Half};
use super::desk::Desk;
use super::fault::Fault;
use super::journal::Reached;

/// What of the journal is on its way into the database.
#[derive(Default)]
pub(super) struct Carrying {
    /// What the backlog has turned; all of it is in one transaction, which may be open.
    pub(super) turned: Vec<Turned>,
    /// Up to where the database has everything once that is committed, and has it now.
    pub(super) reached: Reached,
    pub(super) carried: Reached,
    /// What the backlog has not turned yet, and since when.
    pub(super) young_rows: usize,
    pub(super) young_since: Option<Instant>,
}

pub(super) struct Turned {
    pub(super) half: Arc<Half>,
    order: Vec<usize>,
    /// So many of them are in the open transaction.
    done: usize,
}

impl Carrying {
    /// The database has everything up to here.
    pub(super) fn after(carried: Reached) -> Self {
        Self { reached: carried, carried, ..Self::default() }
    }

    /// So many rows of the journal lie in the backlog, up to here.
    pub(super) fn waits(&mut self, reached: Reached, rows: usize, now: Instant) {
        self.reached = reached;
        self.young_rows = rows;
        self.young_since = Some(now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.young_rows == 0 && self.turned.is_empty()
    }

    pub(super) fn turn(&mut self, backlog: &Backlog) {
        if self.young_rows > 0 {
            let half = backlog.turn();
            self.turned.push(Turned { order: half.in_order(), half, done: 0 });
        }
        self.young_rows = 0;
        self.young_since = None;
    }

    /// Puts at most so many rows into the open transaction. How many that were.
    pub(super) fn carry(&mut self, desk: &mut Desk<'_>, rows_max: usize) -> Result<usize, Fault> {
        let mut carried = 0;
        for Turned { half, order, done } in &mut self.turned {
            let left = order.get(*done..).unwrap_or_default();
            let slice = left.get(..rows_max - carried).unwrap_or(left);
            desk.carry_over(slice.iter().filter_map(|number| half.row(*number)))?;
            *done += slice.len();
            carried += slice.len();
        }
        Ok(carried)
    }

    pub(super) fn is_all_carried(&self) -> bool {
        self.turned.iter().all(|turned| turned.done == turned.order.len())
    }

    /// The transaction is no more, and nothing of it stored.
    pub(super) fn begin_anew(&mut self) {
        self.turned.iter_mut().for_each(|turned| turned.done = 0);
    }
}

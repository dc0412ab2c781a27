//! The log of the database: moved into the file when it is long, emptied when what is destroyed
//! must leave it; and the walk over the gaps in the file.

use std::time::Duration;

use rusqlite::Connection;

use super::{Work, Writer};
use crate::store::StoreError;
use crate::store::sqlite::fault::Fault;
use crate::store::sqlite::gaps::InUse;
use crate::store::sqlite::{file, gaps};

/// Pages in the log, estimated, after which a WAL checkpoint moves them into the file.
pub(super) const WAL_CHECKPOINT_PAGES: usize = 2_000;

/// Pages in the log at which the writer insists that it is emptied.
pub(super) const LOG_PAGES_MAX: i64 = 16_384;

/// How long a slice of the walk over the file waits for readers, and acks for it.
pub(super) const GAPS_BUSY: Duration = Duration::from_millis(25);

/// A WAL checkpoint: moves the log's pages into the file, as far as readers let it, and empties a
/// log that has become long. A reader that is in the way is not waited for: the next time it may be
/// gone. Whether all of it is in the file now.
pub(super) fn wal_checkpoint_at_once(connection: &Connection) -> rusqlite::Result<bool> {
    let passed = wal_checkpoint(connection, "PASSIVE")?;
    if passed.pages <= LOG_PAGES_MAX {
        return Ok(passed.is_whole);
    }
    connection.busy_timeout(Duration::ZERO)?;
    let emptied = wal_checkpoint(connection, "TRUNCATE");
    connection.busy_timeout(file::BUSY)?;
    emptied.map(|emptied| emptied.is_whole)
}

/// What came of a WAL checkpoint.
pub(super) struct WalCheckpoint {
    /// A reader was in the way.
    pub(super) is_busy: bool,
    /// All that was committed is in the file.
    pub(super) is_whole: bool,
    /// Of the log.
    pub(super) pages: i64,
}

pub(super) fn wal_checkpoint(
    connection: &Connection,
    mode: &str,
) -> rusqlite::Result<WalCheckpoint> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (busy, pages, checkpointed) =
            (row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, i64>(2)?);
        Ok(WalCheckpoint {
            is_busy: busy != 0,
            is_whole: busy == 0 && pages == checkpointed,
            pages,
        })
    })
}

impl Writer {
    pub(super) fn outside(&mut self, work: Work) -> Result<(), StoreError> {
        match work {
            Work::Reserve { free: true } => file::free_reserve(&self.folder),
            Work::Reserve { free: false } => file::make_reserve(&self.folder),
            Work::EmptyLog => {
                let act = "empty the log";
                self.settle().map_err(|fault| self.fail(fault))?;
                self.truncate_log(act)?;
                if let Some(journal) = &mut self.journal {
                    journal.wipe().map_err(|error| Fault::Journal(error).told(act))?;
                }
            }
            Work::ClearGaps(walk) => {
                if let Some(from) = walk.at() {
                    walk.goes_on(self.clear_gaps(from)?);
                }
            }
            Work::Writes(..) | Work::Act(_) => {}
        }
        Ok(())
    }

    pub(super) fn truncate_log(&mut self, act: &'static str) -> Result<(), StoreError> {
        let connection = self.connection.as_ref().ok_or(StoreError::Unavailable { act })?;
        let WalCheckpoint { is_busy, is_whole, .. } =
            wal_checkpoint(connection, "TRUNCATE").map_err(|error| Fault::File(error).told(act))?;
        if is_busy {
            return Err(StoreError::Unavailable { act });
        }
        if is_whole {
            self.mark.wal_checkpointed();
        }
        self.log_pages = 0;
        Ok(())
    }

    /// One slice of the walk over the file. It is refused while readers keep the log, and is tried
    /// again.
    pub(super) fn clear_gaps(&mut self, from: u32) -> Result<Option<u32>, StoreError> {
        let act = "clear what lies between rows";
        if self.in_transaction() {
            self.settle().map_err(|fault| self.fail(fault))?;
        }
        // A log that is gone from its place would look like an empty one.
        self.look().map_err(|fault| self.fail(fault))?;
        let log = file::wal_path(&self.folder);
        if file::bytes_of(&log) > 0 {
            self.wait_for_readers(GAPS_BUSY, act)?;
            let emptied = self.truncate_log(act);
            self.wait_for_readers(file::BUSY, act)?;
            emptied?;
        }
        let connection = self.connection.as_ref().ok_or(StoreError::Unavailable { act })?;
        let is_log_empty = || file::bytes_of(&log) == 0;
        match gaps::clear_slice(connection, &self.bytes, from, is_log_empty) {
            Ok(Ok(next)) => Ok(next),
            Ok(Err(InUse)) => Err(StoreError::Unavailable { act }),
            Err(error) => {
                tracing::error!(act, error = %error, "the database failed");
                Err(StoreError::Unavailable { act })
            }
        }
    }

    pub(super) fn wait_for_readers(
        &self,
        time: Duration,
        act: &'static str,
    ) -> Result<(), StoreError> {
        let Some(connection) = &self.connection else { return Ok(()) };
        connection.busy_timeout(time).map_err(|error| Fault::File(error).told(act))
    }

    /// Runs after the completions of the batch are on their way: only what comes meanwhile waits
    /// for it, and it waits for nobody.
    pub(super) fn wal_checkpoint_when_due(&mut self) {
        let is_noted = self.journal_noted.is_none_or(|commit| commit <= self.mark.mark.in_file);
        if (is_noted && self.log_pages < WAL_CHECKPOINT_PAGES) || self.in_transaction() {
            return;
        }
        let Some(connection) = self.connection.as_ref() else { return };
        let began = self.clock.instant();
        let outcome = wal_checkpoint_at_once(connection);
        self.log_pages = 0;
        match outcome {
            Ok(is_whole) => {
                if is_whole {
                    self.mark.wal_checkpointed();
                }
                let took = self.clock.instant().saturating_duration_since(began);
                self.stats.wal_checkpointed(took);
            }
            Err(error) => {
                self.fail(Fault::File(error));
            }
        }
    }
}

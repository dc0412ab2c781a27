//! Records without a file: SQLite in memory, for the store that keeps nothing.
//!
//! Lives here: the connection, of the newest form. Not here: what is done to records (`records`),
//! what that store keeps by itself (`store/memory`), which has this under a lock.

use protocol::ids::ConversationId;
use protocol::time::UnixMillis;
use rusqlite::Connection;

use super::fault::Fault;
use super::file;
use super::read::Reader;
use super::transaction::{Memory, Transaction};
use crate::privacy::seal::{Bucket, Sealer};
use crate::store::Result;

/// Records in memory.
pub(in crate::store) struct RecordsInMemory {
    connection: Connection,
    memory: Memory,
    /// A batch is under way.
    begun: bool,
}

impl RecordsInMemory {
    /// None yet.
    pub(in crate::store) fn new() -> Result<Self> {
        let connection = file::connect_to_memory()
            .map_err(|error| Fault::File(error).told("make records in memory"))?;
        Ok(Self { connection, memory: Memory::new(), begun: false })
    }

    /// A question.
    pub(in crate::store) fn read<T>(
        &self,
        sealer: &dyn Sealer,
        now: UnixMillis,
        read: impl FnOnce(&Reader<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        read(&Reader { connection: &self.connection, sealer, now, waiting: &[] })
    }

    /// A step of a batch, which it begins where none is under way.
    pub(in crate::store) fn step<T>(
        &mut self,
        sealer: &dyn Sealer,
        now: UnixMillis,
        step: impl FnOnce(&mut Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if !self.begun {
            self.connection.prepare_cached("BEGIN")?.execute([])?;
            self.begun = true;
        }
        let (connection, memory) = (&self.connection, &mut self.memory);
        step(&mut Transaction { connection, memory, sealer, now })
    }

    /// Ends the batch, if there is one: all of it stands, or nothing.
    pub(in crate::store) fn end(&mut self, stands: bool) -> Result<(), Fault> {
        if !std::mem::take(&mut self.begun) {
            return Ok(());
        }
        self.memory.ended();
        if !stands {
            self.memory.forget();
        }
        let end = if stands { "COMMIT" } else { "ROLLBACK" };
        Ok(self.connection.prepare_cached(end)?.execute([]).map(drop)?)
    }
}

impl Transaction<'_> {
    /// Behind the destruction of buckets' keys: what records had in them goes, and they leave the
    /// list. Conversations of which nothing may be left.
    pub(in crate::store) fn clean_up_records(
        &mut self,
        buckets: &[Bucket],
    ) -> Result<Vec<ConversationId>, Fault> {
        let mut emptied = Vec::new();
        for bucket in buckets {
            if let Some((id, _)) = self.clean_up_begin(bucket)? {
                emptied.extend(self.clean_up_sealed(id)?.into_iter().map(|(_, id)| id));
                self.clean_up_end(id)?;
            }
        }
        Ok(emptied)
    }
}

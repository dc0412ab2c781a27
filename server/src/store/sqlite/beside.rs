//! Records without a file: SQLite in memory, for the store that keeps nothing.
//!
//! Lives here: the connection, of the newest form. Not here: what is done to records (`records`), what that store keeps
//! by itself (`store/memory`), which has this under a lock.

use protocol::ids::ConversationId;
use protocol::time::UnixMillis;
use rusqlite::Connection;

use super::desk::{Desk, Memory};
use super::fault::Fault;
use super::file;
use super::read::Reader;
use crate::privacy::seal::{Bucket, Sealer};
use crate::store::StoreError;

/// Records in memory.
pub(in crate::store) struct RecordsInMemory {
    connection: Connection,
    memory: Memory,
}

impl RecordsInMemory {
    /// None yet.
    pub(in crate::store) fn new() -> Result<Self, StoreError> {
        let connection = file::connect_to_memory()
            .map_err(|error| Fault::File(error).told("make records in memory"))?;
        Ok(Self { connection, memory: Memory::new() })
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

    /// A change, all of it or nothing.
    pub(in crate::store) fn write<T>(
        &mut self,
        sealer: &dyn Sealer,
        now: UnixMillis,
        write: impl FnOnce(&mut Desk<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.begin()?;
        let outcome = self.step(sealer, now, write);
        self.end(outcome.is_ok())?;
        outcome
    }

    /// Begins what is ended as a whole.
    pub(in crate::store) fn begin(&mut self) -> Result<(), Fault> {
        Ok(self.connection.prepare_cached("BEGIN")?.execute([]).map(drop)?)
    }

    /// A part of it.
    pub(in crate::store) fn step<T>(
        &mut self,
        sealer: &dyn Sealer,
        now: UnixMillis,
        write: impl FnOnce(&mut Desk<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (connection, memory) = (&self.connection, &mut self.memory);
        write(&mut Desk { connection, memory, sealer, now })
    }

    /// Ends it: all of it stands, or nothing.
    pub(in crate::store) fn end(&mut self, stands: bool) -> Result<(), Fault> {
        self.memory.ended();
        if !stands {
            self.memory.forget();
        }
        let end = if stands { "COMMIT" } else { "ROLLBACK" };
        Ok(self.connection.prepare_cached(end)?.execute([]).map(drop)?)
    }
}

impl Desk<'_> {
    /// Behind the destruction of buckets' keys: what records had in them goes, and they leave the list. Conversations
    /// of which nothing may be left.
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

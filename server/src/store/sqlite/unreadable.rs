//! Whether every sealed value opens: what a look at the data asks, row by row.
//!
//! Lives here: the walk over all that is sealed. Not here: how a row is read (`read`,
//! `store/record`).

use protocol::ids::{ConversationId, TenantId};
use rusqlite::Row;

use super::fault::Fault;
use super::read::Reader;
use super::row::{MessageRow, SELECT};
use crate::store::record::executor;

impl Reader<'_> {
    /// How many rows hold a sealed value that does not open, or are not what this program writes.
    /// What is destroyed is none of them.
    pub(super) fn unreadable(&self) -> Result<u64, Fault> {
        let mut count = 0;
        let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        for (tenant, conversation) in
            self.ids("SELECT tenant, conversation FROM conversations", pair)?
        {
            let (tenant, conversation) =
                (TenantId::from_bytes(tenant), ConversationId::from_bytes(conversation));
            count += self.unreadable_messages(tenant, conversation)?;
        }
        count += executor::unreadable(self, is_of_the_file)?;
        Ok(count)
    }

    fn unreadable_messages(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<u64, Fault> {
        let Some(home) = self.home(tenant, conversation)? else { return Ok(0) };
        let mut statement = self
            .connection
            .prepare_cached(&format!("{SELECT} WHERE m.conversation = ?1 ORDER BY m.seq"))?;
        let mut rows = statement.query([home.id])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += bad(MessageRow::read(row).and_then(|row| self.sequenced(&home, &row)))?;
        }
        Ok(count)
    }

    fn ids<T>(
        &self,
        sql: &str,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Fault> {
        Ok(self.connection.prepare(sql)?.query_map([], read)?.collect::<Result<_, _>>()?)
    }
}

/// Whether this row is damaged, or the file cannot be read.
fn bad<T>(read: Result<T, Fault>) -> Result<u64, Fault> {
    match read {
        Ok(_) => Ok(0),
        Err(fault) if is_of_the_file(&fault) => Err(fault),
        Err(_) => Ok(1),
    }
}

fn is_of_the_file(fault: &Fault) -> bool {
    matches!(fault, Fault::File(error) if error.sqlite_error_code().is_some())
}

//! The audit as it stands in a data folder, read without a trace: whoever verifies it takes each
//! row as it is, whatever is in it.

use std::path::Path;

use rusqlite::Row;

use super::file;
use super::opening::OpenError;
use crate::privacy::audit::{ChainId, Entry, details_from, objects_from};
use crate::store::record::Entity as _;
use protocol::time::UnixMillis;

/// A chain's rows as they lie in the file, in the order of their numbers; the seq alone of one that
/// holds what no entry does.
pub type Rows = Vec<Result<Entry, i64>>;

/// Every chain of which there is an entry, in the order of their ids.
///
/// # Errors
/// If the file cannot be read.
pub fn chains(folder: &Path) -> Result<Vec<ChainId>, OpenError> {
    let path = file::database_path(folder);
    let read = || {
        let connection = crate::read_only::open(&path)?;
        let mut statement =
            connection.prepare("SELECT DISTINCT tenant FROM audit ORDER BY tenant")?;
        let found = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        found.collect::<rusqlite::Result<Vec<_>>>()
    };
    let found = read().map_err(file::refused("read", &path))?;
    // One that is none has no entries that could be told from altered ones.
    Ok(found.into_iter().filter_map(|id| Some(ChainId::from_bytes(id.try_into().ok()?))).collect())
}

/// Reads a chain.
///
/// # Errors
/// If the file cannot be read.
pub fn entries(folder: &Path, chain: ChainId) -> Result<Rows, OpenError> {
    let path = file::database_path(folder);
    let columns: Vec<_> = Entry::TABLE.own().map(|column| column.name).collect();
    let sql =
        format!("SELECT seq, {} FROM audit WHERE tenant = ?1 ORDER BY seq", columns.join(", "));
    let read = || {
        let connection = crate::read_only::open(&path)?;
        let mut statement = connection.prepare(&sql)?;
        let found = statement.query_map([chain.as_bytes()], |row| {
            let seq = row.get(0)?;
            Ok(entry(row).ok().flatten().ok_or(seq))
        })?;
        found.collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(file::refused("read", &path))
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Option<Entry>> {
    let (objects, details): (Vec<u8>, Vec<u8>) = (row.get("objects")?, row.get("details")?);
    let (Some(objects), Some(details)) = (objects_from(&objects), details_from(&details)) else {
        return Ok(None);
    };
    Ok(Some(Entry {
        chain: ChainId::from_bytes(row.get("tenant")?),
        seq: row.get("seq")?,
        at: UnixMillis(row.get("at")?),
        actor_kind: row.get("actor_kind")?,
        actor: row.get("actor")?,
        purpose: row.get("purpose")?,
        action: row.get("action")?,
        objects,
        details,
        policy: row.get("policy")?,
        prev: row.get("prev")?,
        hash: row.get("hash")?,
    }))
}

//! What the file says of itself, and whether it is whole, ours, of a version that is known, and not
//! older than what was acked.
//!
//! Not here: connections, migrations (`file`).

use std::path::Path;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _};

use super::{APPLICATION_ID, bytes_of, check_restored, database_path, refused, user, version};
use crate::read_only;
use crate::store::sqlite::ack_mark::AckMark;
use crate::store::sqlite::journal::{Known, Need, Reached, StoreId};
use crate::store::sqlite::{InspectedData, Inspection, OpenError, ack_mark, journal};

/// Bytes of the file up to which it is read through at start; a larger one is only looked into.
pub(super) const QUICK_CHECK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Whether the file is whole, ours, of a version that is known, and not older than what was acked.
pub(super) fn judge_file(
    folder: &Path,
    connection: &Connection,
    bytes: u64,
) -> Result<(u32, Option<AckMark>), OpenError> {
    let path = database_path(folder);
    let failed = |act| refused(act, &path);
    let (id, version) = marks(connection).map_err(failed("read"))?;
    if bytes > 0 {
        check(connection, &path, bytes).map_err(failed("check"))?.map_or(Ok(()), Err)?;
    }
    judge(&path, id, version)?;
    Ok((version, marked(folder, connection, version)?))
}

/// From here on the file knows how often it was committed.
pub(super) const VERSION_WITH_MARK: u32 = 8;

/// And how much of that is in the file itself.
pub(super) const VERSION_WITH_IN_FILE: u32 = 9;

/// What was acked at least, where that is known; the file and its log have it.
pub(super) fn marked(
    folder: &Path,
    connection: &Connection,
    version: u32,
) -> Result<Option<AckMark>, OpenError> {
    let (path, mark_path) = (database_path(folder), ack_mark::path(folder));
    if version < VERSION_WITH_MARK {
        return Ok(None);
    }
    let meta = "SELECT store_id, commits FROM meta";
    let read = |connection: &Connection| {
        connection.query_row(meta, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    };
    let has: Option<(Option<StoreId>, u64)> = read(connection).map_err(refused("read", &path))?;
    let Some((Some(id), commits)) = has else { return Ok(None) };
    let mut in_file_once = 0;
    if version >= VERSION_WITH_IN_FILE {
        in_file_once = in_file(connection).map_err(refused("read", &path))?;
    }
    let alone = read_only::open_without_log(&path).and_then(|alone| read(&alone));
    let alone: Option<(Option<StoreId>, u64)> = alone.ok().flatten();
    if let Some((Some(other), _)) = alone
        && other != id
    {
        return Err(OpenError::OtherFile(path));
    }
    let alone = alone.map(|(_, commits)| commits);
    // One that cannot be read without its log, as a new one, or in the middle of a WAL checkpoint,
    // is judged with it.
    if alone.is_some_and(|alone| alone < in_file_once) {
        let commits = commits.saturating_sub(alone.unwrap_or_default());
        return Err(OpenError::Behind { path, commits });
    }
    let mark = match ack_mark::find(folder).map_err(super::io("read", &mark_path))? {
        ack_mark::Found::Mark(mark) if mark.id == id => mark,
        // It is made anew and nothing hangs on it, but for the proof that nothing is missing.
        ack_mark::Found::Mark(_) => return without_mark(&mark_path, "belongs to other data"),
        ack_mark::Found::Damaged => return without_mark(&mark_path, "is damaged"),
        ack_mark::Found::Missing => return without_mark(&mark_path, "is missing"),
    };
    if alone.is_some_and(|alone| alone < mark.in_file) {
        let commits = mark.commits.saturating_sub(alone.unwrap_or_default());
        return Err(OpenError::Behind { path, commits });
    }
    if commits < mark.commits {
        let path = read_only::log_path(&path);
        return Err(OpenError::Behind { path, commits: mark.commits - commits });
    }
    Ok(Some(mark))
}

/// How often it was committed when all of its log was last moved into the file.
pub(in crate::store::sqlite) fn in_file(connection: &Connection) -> rusqlite::Result<u64> {
    let said = connection.query_row("SELECT in_file FROM meta", [], |row| row.get(0));
    Ok(said.optional()?.unwrap_or_default())
}

pub(super) fn without_mark(path: &Path, what: &'static str) -> Result<Option<AckMark>, OpenError> {
    tracing::warn!(path = %path.display(), reason = what, "how far acks went is not known; what there is, is taken");
    Ok(None)
}

/// Where the file is missing or empty there must be nothing that speaks of data.
pub(in crate::store::sqlite) fn check_alone(folder: &Path) -> Result<(), OpenError> {
    let path = database_path(folder);
    let speaks = [read_only::log_path(&path), journal::path(folder), ack_mark::path(folder)];
    match speaks.into_iter().find(|other| bytes_of(other) > 0) {
        Some(beside) => Err(OpenError::Gone { path, beside }),
        None => Ok(()),
    }
}

/// What the file says of itself and of its journal.
pub(in crate::store::sqlite) struct Meta {
    pub(in crate::store::sqlite) known: Known,
    pub(in crate::store::sqlite) generation: u64,
    pub(in crate::store::sqlite) keys_fingerprint: [u8; 32],
}

/// The one row about the file, of the newest version; `None` before its first start.
pub(in crate::store::sqlite) fn meta(connection: &Connection) -> rusqlite::Result<Option<Meta>> {
    connection
        .query_row(
            "SELECT store_id, commits, journal_epoch, journal_batches, journal_rows, journal_sum,
                 journal_need, generation, keys_mark FROM meta",
            [],
            |row| {
                let checkpointed = Reached {
                    epoch: row.get(2)?,
                    batches: row.get(3)?,
                    rows: row.get(4)?,
                    sum: row.get(5)?,
                };
                let need = Need::from_code(row.get(6)?);
                let id: Option<StoreId> = row.get(0)?;
                let (id, commits) = (id.unwrap_or_default(), row.get(1)?);
                let known = Known { id, commits, checkpointed, need };
                Ok(Meta { known, generation: row.get(7)?, keys_fingerprint: row.get(8)? })
            },
        )
        .optional()
}

pub(super) fn check(
    connection: &Connection,
    path: &Path,
    bytes: u64,
) -> rusqlite::Result<Option<OpenError>> {
    if bytes > QUICK_CHECK_BYTES_MAX {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        return Ok(None);
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((verdict != "ok").then(|| OpenError::Corrupt { path: path.to_owned(), source: None }))
}

/// Whose data is in this folder, by what it says itself; `None` where there is none yet.
///
/// # Errors
/// If the file is there and cannot be read, or is missing where others speak of it.
pub fn identity(folder: &Path) -> Result<Option<Identity>, OpenError> {
    let path = database_path(folder);
    if bytes_of(&path) == 0 {
        check_alone(folder)?;
        return Ok(None);
    }
    let read = || -> rusqlite::Result<Option<Identity>> {
        let connection = read_only::open(&path)?;
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let id = if version < VERSION_WITH_MARK { "NULL" } else { "store_id" };
        let sql = format!("SELECT generation, {id} FROM meta");
        if version == 0 {
            return Ok(None);
        }
        let read =
            |row: &rusqlite::Row<'_>| Ok(Identity { generation: row.get(0)?, id: row.get(1)? });
        connection.query_row(&sql, [], read).optional()
    };
    read().map_err(refused("read", &path))
}

/// What data says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The key store's number that it needs at least.
    pub generation: u64,
    /// None of before a version that had one.
    pub id: Option<StoreId>,
}

/// Looks at the data in a folder without making, changing or keeping anything.
///
/// # Errors
/// If it is damaged, from a later version or another program's.
pub fn look(folder: &Path) -> Result<Inspection, OpenError> {
    if let Some(pid) = user(folder)? {
        return Ok(Inspection::InUse { pid });
    }
    check_restored(folder)?;
    Ok(look_inside(folder)?.map_or(Inspection::Empty, |data| Inspection::Data(Box::new(data))))
}

/// Looks at the file and judges it as a start would, without changing anything. `None`: there is
/// none.
pub(in crate::store::sqlite) fn look_inside(
    folder: &Path,
) -> Result<Option<InspectedData>, OpenError> {
    let path = database_path(folder);
    if bytes_of(&path) == 0 {
        check_alone(folder)?;
        return Ok(None);
    }
    let named = |act| refused(act, &path);
    let connection = read_only::open(&path).map_err(named("open"))?;
    let (version, marked) = judge_file(folder, &connection, bytes_of(&path))?;
    let verdict: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(named("check"))?;
    if verdict != "ok" {
        return Err(OpenError::Corrupt { path, source: None });
    }
    let (newest, mut keys, mut id) = (self::version(), None, None);
    if version < newest {
        // The next start brings it on; until then it has no journal that could be judged.
        if version > 0 {
            let sql = "SELECT generation, keys_mark FROM meta";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            keys = connection.query_row(sql, [], row).optional().map_err(named("read"))?;
        }
    } else if let Some(Meta { known, generation, keys_fingerprint }) =
        meta(&connection).map_err(named("read"))?
    {
        (keys, id) = (Some((generation, keys_fingerprint)), Some(known.id));
        find_journal(folder, &known, marked)?;
    }
    let connection = Mutex::new(connection);
    Ok(Some(InspectedData { path, version, known: newest, keys, id, connection }))
}

/// What only the journal has.
pub(in crate::store::sqlite) fn find_journal(
    folder: &Path,
    known: &Known,
    marked: Option<AckMark>,
) -> Result<journal::Found, OpenError> {
    let path = journal::path(folder);
    match journal::find(folder, known, marked.map(|mark| mark.journal)) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(journal::JournalFault::Apart)) => Err(OpenError::JournalApart { path }),
        Ok(Err(fault)) => Err(OpenError::Journal { path, fault }),
        Err(source) => Err(super::io("read", &path)(source)),
    }
}

/// Whose file it is, and of which version.
pub(in crate::store::sqlite) fn marks(connection: &Connection) -> rusqlite::Result<(u32, u32)> {
    let read = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((read("application_id")?, read("user_version")?))
}

/// Refuses what is not ours or from a later version; the version that is known here.
pub(in crate::store::sqlite) fn judge(
    path: &Path,
    id: u32,
    version: u32,
) -> Result<u32, OpenError> {
    if id != APPLICATION_ID && (id != 0 || version != 0) {
        return Err(OpenError::NotOurs(path.to_owned()));
    }
    let known = self::version();
    if version > known {
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known });
    }
    Ok(known)
}

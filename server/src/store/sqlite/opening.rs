//! What a start asks of the data before it takes them: whose keys, what only the journal has, what an earlier version
//! left in the open; and the same questions by somebody who changes nothing.
//!
//! Not here: the file itself and its version (`file`), what is in the journal (`journal`).

use std::path::{Path, PathBuf};

use protocol::ids::TenantId;
use protocol::time::UnixMillis;
use rusqlite::Connection;

use super::desk::{Desk, Memory};
use super::fault::Fault;
use super::{file, journal};
use crate::privacy::seal::Sealer;

/// Why the data cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the data folder {} is in use by another server, process {pid}", folder.display())]
    InUse { folder: PathBuf, pid: u32 },
    #[error("the data folder {} cannot be written to", folder.display())]
    NotWritable {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is damaged: put it back from a backup", path.display())]
    Corrupt {
        path: PathBuf,
        #[source]
        source: Option<rusqlite::Error>,
    },
    #[error("{} is another program's database", .0.display())]
    NotOurs(PathBuf),
    #[error("{} is of version {found}, this livehelp knows {known}: use a newer one", path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error(
        "the keys are older than the data (generation {keys}, the data needs {data}): put the newest keys folder back"
    )]
    KeysOlder { keys: u64, data: u64 },
    #[error("these are not the keys that {} was sealed with", .0.display())]
    WrongKeys(PathBuf),
    #[error(
        "{} does not follow on the database beside it: put both back from the same backup, or, if the database is older, take the journal away",
        path.display()
    )]
    JournalApart { path: PathBuf },
    #[error("the key store failed")]
    Keys,
    #[error("cannot {act} {}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot {act} {}", path.display())]
    File {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
}

/// What a look at a data folder found.
#[derive(Debug)]
pub enum Looked {
    /// No data.
    Empty,
    /// A running server's: its data is not looked into.
    InUse { pid: u32 },
    /// Data that a start would take.
    Data(LookedData),
}

/// Data as it lies there.
#[derive(Debug)]
pub struct LookedData {
    pub(super) path: PathBuf,
    /// Of which version it is.
    pub version: u32,
    /// To which version a start would bring it.
    pub known: u32,
    pub(super) keys: Option<(u64, [u8; 32])>,
}

impl LookedData {
    /// The key store's number that it needs at least; none before its first start.
    pub fn generation(&self) -> Option<u64> {
        self.keys.map(|(generation, _)| generation)
    }

    /// Whether these are its keys, at least as new as it is.
    ///
    /// # Errors
    /// If they are not.
    pub fn check_keys(&self, sealer: &dyn Sealer) -> Result<(), OpenError> {
        let Some((generation, stored)) = self.keys else { return Ok(()) };
        judge_keys(&self.path, generation, stored, sealer)
    }
}

/// Seals what a file of an earlier version had in the open.
pub(super) fn seal_old_rows(
    folder: &Path,
    connection: &Connection,
    sealer: &dyn Sealer,
    now: UnixMillis,
) -> Result<(), OpenError> {
    let failed = |source| {
        let path = file::database_path(folder);
        OpenError::File { act: "seal old rows of", path, source }
    };
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    let mut memory = Memory::new();
    let mut desk = Desk { connection: &transaction, memory: &mut memory, sealer, now };
    desk.seal_passwords().map_err(|fault| match fault {
        Fault::File(source) => failed(source),
        Fault::Refused(_) | Fault::Journal(_) | Fault::Keys(_) | Fault::Row(_) => OpenError::Keys,
    })?;
    transaction.commit().map_err(failed)
}

/// Brings what only the journal has into the file; up to which epoch the file then has everything.
pub(super) fn replay(
    folder: &Path,
    connection: &Connection,
    sealer: &dyn Sealer,
    now: UnixMillis,
) -> Result<u64, OpenError> {
    let failed =
        |act| move |source| OpenError::File { act, path: file::database_path(folder), source };
    let carried: u64 = connection
        .query_row("SELECT journal_epoch FROM meta", [], |row| row.get(0))
        .map_err(failed("read"))?;
    let found = journal::find(folder, carried)?;
    if found.epoch == carried {
        return Ok(carried);
    }
    let transaction = connection.unchecked_transaction().map_err(failed("write to"))?;
    let mut memory = Memory::new();
    let desk = Desk { connection: &transaction, memory: &mut memory, sealer, now };
    desk.carry_over(found.rows()).and_then(|()| desk.carried(found.epoch)).map_err(|fault| {
        match fault {
            Fault::File(source) => failed("write to")(source),
            Fault::Refused(_) | Fault::Journal(_) | Fault::Keys(_) | Fault::Row(_) => {
                OpenError::Keys
            }
        }
    })?;
    transaction.commit().map_err(failed("write to"))?;
    tracing::info!(count = found.rows().count(), "what was only in the journal is in the database");
    Ok(found.epoch)
}

/// Whether these are the keys of this data, at least as new as it is. New data notes whose it is.
pub(super) fn check_keys(
    folder: &Path,
    connection: &Connection,
    sealer: &dyn Sealer,
) -> Result<(), OpenError> {
    let path = file::database_path(folder);
    let mark = keys_mark(sealer)?;
    let failed = |source| OpenError::File { act: "read", path: path.clone(), source };
    connection
        .execute(
            "INSERT INTO meta (id, generation, keys_mark, high_water, pulse) VALUES (1, ?1, ?2, 0, 0)
             ON CONFLICT DO NOTHING",
            rusqlite::params![sealer.generation(), mark],
        )
        .map_err(failed)?;
    let (generation, stored): (u64, [u8; 32]) = connection
        .query_row("SELECT generation, keys_mark FROM meta", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .map_err(failed)?;
    judge_keys(&path, generation, stored, sealer)
}

/// A keyed hash of nothing: other keys would give another one.
fn keys_mark(sealer: &dyn Sealer) -> Result<[u8; 32], OpenError> {
    let any = TenantId::from_bytes([0; 16]);
    sealer.find_hash(any, "keys", "mark").map_err(|_| OpenError::Keys)
}

fn judge_keys(
    path: &Path,
    generation: u64,
    stored: [u8; 32],
    sealer: &dyn Sealer,
) -> Result<(), OpenError> {
    if stored != keys_mark(sealer)? {
        return Err(OpenError::WrongKeys(path.to_owned()));
    }
    if sealer.generation() < generation {
        return Err(OpenError::KeysOlder { keys: sealer.generation(), data: generation });
    }
    Ok(())
}

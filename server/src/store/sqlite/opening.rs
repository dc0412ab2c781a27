//! What a start asks of the data before it takes them: whose keys, what only the journal has, what
//! an earlier version left in the open; and the same questions by somebody who changes nothing.
//!
//! Not here: the file itself and its version (`file`), what is in the journal (`journal`).

use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use protocol::ids::{ConversationId, TenantId};
use protocol::time::UnixMillis;
use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_WRITE};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _};

use super::ack_mark::AckMark;
use super::copy::Rows;
use super::fault::Fault;
use super::file::{self, Meta};
use super::journal::{Found, JournalFault, Need, Reached, StoreId};
use super::read::Reader;
use super::row::MessageRow;
use super::transaction::{Memory, Transaction};
use crate::privacy::seal::Sealer;
use crate::store::record::executor;

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
        "{} does not follow on the database beside it: put both back from the same backup; `livehelp repair` says what can be saved without",
        path.display()
    )]
    JournalApart { path: PathBuf },
    #[error(
        "{} {fault}: put it back as it was; `livehelp repair` says what can be saved without",
        path.display()
    )]
    Journal { path: PathBuf, fault: JournalFault },
    #[error(
        "{} lacks {commits} writes that were acked: it is older than that, missing or damaged; put it back as it was; `livehelp repair` says what can be saved without",
        path.display()
    )]
    Behind { path: PathBuf, commits: u64 },
    #[error("{} is another file than its log was written for: put it back as it was", .0.display())]
    OtherFile(PathBuf),
    #[error(
        "{} is missing or empty, and {} is there: put it back as it was",
        path.display(),
        beside.display()
    )]
    Gone { path: PathBuf, beside: PathBuf },
    #[error(
        "{count} sealed values in {} do not open: it is damaged; put it back from a backup",
        path.display()
    )]
    Rows { path: PathBuf, count: u64 },
    #[error("{} is of version {found} and must first be brought to {known}: start the server once", path.display())]
    Former { path: PathBuf, found: u32, known: u32 },
    #[error(
        "a restore into {} did not come to its end: run `livehelp restore` once more, it begins anew",
        .0.display()
    )]
    HalfRestored(PathBuf),
    #[error("there is no room in {} to bring its data to this version", .0.display())]
    NoRoom(PathBuf),
    #[error("the file system of {} has no locks: put the folder on another one", path.display())]
    NoLocks {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
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

impl OpenError {
    /// Whether a disk without room is all that stands in the way.
    pub(super) fn is_want_of_room(&self) -> bool {
        let full = |error: &rusqlite::Error| {
            error.sqlite_error_code() == Some(ErrorCode::DiskFull)
                || error.sqlite_error().is_some_and(|error| NO_ROOM.contains(&error.extended_code))
        };
        if let Self::Io { source, .. } = self {
            return source.kind() == std::io::ErrorKind::StorageFull;
        }
        matches!(self, Self::File { source, .. } if full(source))
    }
}

/// What SQLite says where a disk without room refused the log's index: it could not be given its
/// size, or a place.
const NO_ROOM: [i32; 2] = [SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_WRITE];

/// What a look at a data folder found.
#[derive(Debug)]
pub enum Inspection {
    /// No data.
    Empty,
    /// A running server's: its data is not looked into.
    InUse { pid: u32 },
    /// Data that a start would take.
    Data(Box<InspectedData>),
}

/// Data as it lies there.
#[derive(Debug)]
pub struct InspectedData {
    pub(super) path: PathBuf,
    /// Of which version it is.
    pub version: u32,
    /// To which version a start would bring it.
    pub known: u32,
    pub(super) keys: Option<(u64, [u8; 32])>,
    pub(super) id: Option<StoreId>,
    pub(super) connection: Mutex<Connection>,
}

impl InspectedData {
    /// What it is known by; none of before a version that had it.
    pub fn id(&self) -> Option<StoreId> {
        self.id
    }

    /// The key store's number that it needs at least; none before its first start.
    pub fn generation(&self) -> Option<u64> {
        self.keys.map(|(generation, _)| generation)
    }

    /// How many rows of what people made are in it.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn count_rows(&self) -> Result<Rows, OpenError> {
        Rows::count(&self.connection.lock()).map_err(file::refused("read", &self.path))
    }

    /// Whether every sealed value opens.
    ///
    /// # Errors
    /// If some do not, or the file cannot be read.
    pub fn check_rows(&self, sealer: &dyn Sealer) -> Result<(), OpenError> {
        if self.version < self.known {
            // Not of the form that this version reads; the next start brings it there.
            return Ok(());
        }
        let connection = self.connection.lock();
        let reader = Reader { connection: &connection, sealer, now: UnixMillis(0), waiting: &[] };
        let path = self.path.clone();
        match reader.unreadable() {
            Ok(0) => Ok(()),
            Ok(count) => Err(OpenError::Rows { path, count }),
            Err(Fault::File(source)) => Err(file::refused("read", &path)(source)),
            Err(_) => Err(OpenError::Corrupt { path, source: None }),
        }
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

/// How much of what `init` makes is there.
#[derive(Debug)]
pub struct Counted {
    pub tenants: u64,
    pub sites: u64,
    pub agents: u64,
    pub operator_keys: u64,
}

/// How much of what `init` makes is there, in use or not; `None` where there is no data.
///
/// # Errors
/// If the file cannot be read.
pub fn count(folder: &Path) -> Result<Option<Counted>, OpenError> {
    if file::identity(folder)?.is_none() {
        return Ok(None);
    }
    let path = file::database_path(folder);
    let sql = "SELECT (SELECT count(*) FROM tenants), (SELECT count(*) FROM sites),
        (SELECT count(*) FROM agents), (SELECT count(*) FROM api_keys WHERE tenant = x'')";
    crate::read_only::open(&path)
        .and_then(|connection| {
            connection.query_row(sql, [], |row| {
                let (tenants, sites) = (row.get(0)?, row.get(1)?);
                let (agents, operator_keys) = (row.get(2)?, row.get(3)?);
                Ok(Counted { tenants, sites, agents, operator_keys })
            })
        })
        .map(Some)
        .map_err(file::refused("read", &path))
}

/// Seals what a file of an earlier version had in the open.
fn seal_old_rows(
    folder: &Path,
    connection: &Connection,
    sealer: &dyn Sealer,
    now: UnixMillis,
) -> Result<(), OpenError> {
    let failed = of_the_file("seal old rows of", folder);
    let begun = connection.unchecked_transaction().map_err(&failed)?;
    let mut memory = Memory::new();
    let mut transaction = Transaction { connection: &begun, memory: &mut memory, sealer, now };
    executor::seal_former(&mut transaction).map_err(|fault| unwritten(fault, &failed))?;
    begun.commit().map_err(failed)
}

fn of_the_file(act: &'static str, folder: &Path) -> impl Fn(rusqlite::Error) -> OpenError + use<> {
    let path = file::database_path(folder);
    move |source| OpenError::File { act, path: path.clone(), source }
}

/// Why something could not be written before the start: the file, or else the keys.
pub(super) fn unwritten(fault: Fault, of: impl Fn(rusqlite::Error) -> OpenError) -> OpenError {
    if let Fault::File(source) = fault { of(source) } else { OpenError::Keys }
}

/// The data, opened and judged.
pub(super) struct Opened {
    /// None where there is no room to write.
    pub(super) connection: Option<Connection>,
    /// Reads alone instead.
    pub(super) alone: Option<Connection>,
    pub(super) id: StoreId,
    pub(super) commits: u64,
    /// What the file has of the journal; after that comes what is found there.
    pub(super) checkpointed: Reached,
    pub(super) found: Found,
    pub(super) in_file: u64,
}

/// Opens the data, or begins it. Where the disk has no room, it is only read.
pub(super) fn open(
    folder: &Path,
    sealer: &dyn Sealer,
    now: UnixMillis,
) -> Result<Opened, OpenError> {
    match open_to_write(folder, sealer, now) {
        Err(error) if error.is_want_of_room() && has_data(folder) => {
            tracing::error!(error = %error, cause = ?std::error::Error::source(&error), "no room on the disk: what is there is read, and nothing is taken until there is some");
            open_to_read(folder, sealer)
        }
        opened => opened,
    }
}

fn has_data(folder: &Path) -> bool {
    std::fs::metadata(file::database_path(folder)).is_ok_and(|found| found.len() > 0)
}

fn open_to_write(folder: &Path, sealer: &dyn Sealer, now: UnixMillis) -> Result<Opened, OpenError> {
    let (connection, marked) = file::open(folder)?;
    check_keys(folder, &connection, sealer)?;
    seal_old_rows(folder, &connection, sealer, now)?;
    let Meta { known, .. } = known(folder, &connection)?;
    let found = file::find_journal(folder, &known, marked)?;
    file::is_judged(folder, &connection)?;
    let in_file = in_file(folder, &connection, marked)?;
    let mut opened = Opened {
        connection: Some(connection),
        alone: None,
        id: known.id,
        commits: known.commits,
        checkpointed: known.checkpointed,
        found,
        in_file,
    };
    replay(folder, &mut opened, sealer, now)?;
    Ok(opened)
}

fn open_to_read(folder: &Path, sealer: &dyn Sealer) -> Result<Opened, OpenError> {
    let (connection, marked) = file::open_alone(folder)?;
    let Meta { known, generation, keys_fingerprint } = known(folder, &connection)?;
    judge_keys(&file::database_path(folder), generation, keys_fingerprint, sealer)?;
    let found = file::find_journal(folder, &known, marked)?;
    let in_file = in_file(folder, &connection, marked)?;
    Ok(Opened {
        connection: None,
        alone: Some(connection),
        id: known.id,
        commits: known.commits,
        checkpointed: known.checkpointed,
        found,
        in_file,
    })
}

fn in_file(
    folder: &Path,
    connection: &Connection,
    marked: Option<AckMark>,
) -> Result<u64, OpenError> {
    let failed = file::refused("read", &file::database_path(folder));
    let said = file::in_file(connection).map_err(failed)?;
    Ok(marked.map_or(0, |mark| mark.in_file).max(said))
}

fn known(folder: &Path, connection: &Connection) -> Result<Meta, OpenError> {
    let path = file::database_path(folder);
    let meta = file::meta(connection).map_err(file::refused("read", &path))?;
    meta.ok_or(OpenError::Corrupt { path, source: None })
}

/// Brings what only the journal has into the file.
fn replay(
    folder: &Path,
    opened: &mut Opened,
    sealer: &dyn Sealer,
    now: UnixMillis,
) -> Result<(), OpenError> {
    let Some(connection) = &opened.connection else { return Ok(()) };
    let failed = of_the_file("write to", folder);
    if opened.found.reached == opened.checkpointed {
        return Ok(());
    }
    let begun = connection.unchecked_transaction().map_err(&failed)?;
    let mut memory = Memory::new();
    let mut transaction = Transaction { connection: &begun, memory: &mut memory, sealer, now };
    let (commits, reached) = (opened.commits + 1, opened.found.reached);
    let checkpointed = transaction.checkpoint_rows(opened.found.rows()).and_then(|()| {
        transaction.note((commits, opened.in_file), &reached, Need::None, sealer.generation())
    });
    checkpointed.map_err(|fault| unwritten(fault, &failed))?;
    begun.commit().map_err(failed)?;
    let count = opened.found.rows().count();
    if count > 0 {
        tracing::info!(count, "what was only in the journal is in the database");
    }
    (opened.commits, opened.checkpointed) = (commits, reached);
    opened.found = Found::none(reached);
    Ok(())
}

/// What was found in the journal and has no room in the file yet, each row with its conversation.
pub(super) fn waiting<'f>(
    folder: &Path,
    connection: Option<&Connection>,
    found: &'f Found,
) -> Result<Vec<(ConversationId, MessageRow<'f>)>, OpenError> {
    let Some(connection) = connection else { return Ok(Vec::new()) };
    let failed = file::refused("read", &file::database_path(folder));
    let sql = "SELECT conversation FROM conversations WHERE id = ?1";
    let mut statement = connection.prepare(sql).map_err(&failed)?;
    let mut rows = Vec::new();
    for row in found.rows() {
        let conversation = statement.query_row([row.conversation], |row| row.get(0)).optional();
        if let Some(conversation) = conversation.map_err(&failed)? {
            rows.push((ConversationId::from_bytes(conversation), row));
        }
    }
    Ok(rows)
}

/// Whether these are the keys of this data, at least as new as it is. New data notes whose it is.
fn check_keys(
    folder: &Path,
    connection: &Connection,
    sealer: &dyn Sealer,
) -> Result<(), OpenError> {
    let path = file::database_path(folder);
    let mark = keys_fingerprint(sealer)?;
    let failed = |source| OpenError::File { act: "read", path: path.clone(), source };
    connection
        .execute(
            "INSERT INTO meta (id, generation, keys_mark, high_water, pulse, store_id, journal_need)
             SELECT 1, ?1, ?2, 0, 0, randomblob(16), 0 WHERE NOT EXISTS (SELECT 1 FROM meta)",
            rusqlite::params![sealer.generation(), mark],
        )
        .map_err(failed)?;
    let Meta { generation, keys_fingerprint, .. } = known(folder, connection)?;
    judge_keys(&path, generation, keys_fingerprint, sealer)?;
    connection
        .execute("UPDATE meta SET store_id = randomblob(16) WHERE store_id IS NULL", [])
        .map_err(failed)?;
    Ok(())
}

/// A keyed hash of nothing: other keys would give another one.
fn keys_fingerprint(sealer: &dyn Sealer) -> Result<[u8; 32], OpenError> {
    let any = TenantId::from_bytes([0; 16]);
    sealer.find_hash(any, "keys", "mark").map_err(|_| OpenError::Keys)
}

pub(super) fn judge_keys(
    path: &Path,
    generation: u64,
    stored: [u8; 32],
    sealer: &dyn Sealer,
) -> Result<(), OpenError> {
    if stored != keys_fingerprint(sealer)? {
        return Err(OpenError::WrongKeys(path.to_owned()));
    }
    if sealer.generation() < generation {
        return Err(OpenError::KeysOlder { keys: sealer.generation(), data: generation });
    }
    Ok(())
}

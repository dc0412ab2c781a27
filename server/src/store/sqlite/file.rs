//! The file and its folder: the lock, the checks at start, connections, migrations, the reserve.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use super::journal::{self, Journal, Known, Need, Reached, StoreId};
use super::mark::{self, Mark};
use super::{Looked, LookedData, OpenError};
pub use crate::folder::FolderLock;
use crate::folder::{self, LockError};
use crate::onlooker;

/// Marks the file as ours: "lvhp".
const APPLICATION_ID: u32 = 0x6c76_6870;
/// Each brings the file one version further; none is ever changed.
const MIGRATIONS: [&str; 12] = [
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_notice.sql"),
    include_str!("../migrations/0003_answers_and_clock.sql"),
    include_str!("../migrations/0004_journal.sql"),
    include_str!("../migrations/0005_bounded_reads.sql"),
    include_str!("../migrations/0006_password_resets.sql"),
    include_str!("../migrations/0007_key_names.sql"),
    include_str!("../migrations/0008_watermark.sql"),
    include_str!("../migrations/0009_in_file.sql"),
    include_str!("../migrations/0010_changes.sql"),
    include_str!("../migrations/0011_canned_responses.sql"),
    include_str!("../migrations/0012_feed.sql"),
];
/// Bytes of the file up to which it is read through at start; a larger one is only looked into.
const QUICK_CHECK_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes kept so that clean-up can work on a full disk.
const RESERVE_BYTES: usize = 4 * 1024 * 1024;
/// How much of the file is mapped into memory.
const MMAP_BYTES: u64 = 1024 * 1024 * 1024;

pub(super) fn database_path(folder: &Path) -> PathBuf {
    folder.join("livehelp.sqlite")
}

pub(super) fn reserve_path(folder: &Path) -> PathBuf {
    folder.join("livehelp.reserve")
}

pub(super) fn wal_path(folder: &Path) -> PathBuf {
    folder.join("livehelp.sqlite-wal")
}

/// Version of the database's form: that of this program, to which data is brought when it is opened.
pub fn version() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

pub(super) const LOCK_FILE: &str = "livehelp.lock";

/// Where this lies, what is beside it is only a part of what a restore puts there.
pub(super) fn restoring_path(folder: &Path) -> PathBuf {
    folder.join("livehelp.restoring")
}

/// Refuses what a restore that was cut off left.
pub(super) fn check_restored(folder: &Path) -> Result<(), OpenError> {
    match restoring_path(folder).exists() {
        true => Err(OpenError::HalfRestored(folder.to_owned())),
        false => Ok(()),
    }
}

/// Takes the folder for this process; makes it where there is none.
///
/// # Errors
/// If another has it, or it cannot be made.
pub fn lock(folder: &Path) -> Result<FolderLock, OpenError> {
    let lock = lock_unjudged(folder)?;
    check_restored(folder)?;
    Ok(lock)
}

/// The same for whoever puts a backup there.
pub(super) fn lock_unjudged(folder: &Path) -> Result<FolderLock, OpenError> {
    if !folder.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(not_writable(folder))?;
    }
    folder::lock(folder, LOCK_FILE).map_err(|error| not_locked(folder, error))
}

fn not_locked(folder: &Path, error: LockError) -> OpenError {
    match error {
        LockError::InUse { pid } => OpenError::InUse { folder: folder.to_owned(), pid },
        LockError::NoLocks { path, source } => OpenError::NoLocks { path, source },
        LockError::Io { source, .. } => not_writable(folder)(source),
    }
}

fn not_writable(folder: &Path) -> impl FnOnce(io::Error) -> OpenError + '_ {
    move |source| {
        let folder = folder.to_owned();
        let kind = source.kind();
        if kind == io::ErrorKind::PermissionDenied || kind == io::ErrorKind::ReadOnlyFilesystem {
            OpenError::NotWritable { folder, source }
        } else {
            OpenError::Io { act: "write to", path: folder, source }
        }
    }
}

/// How long a connection waits for another's lock.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// A file in use, and where it has to stay. Asked before every ack: nothing is put together for it.
#[derive(Debug)]
pub(super) struct InPlace {
    path: CString,
    inode: u64,
}

impl InPlace {
    /// The one that is there now.
    pub(super) fn of(path: PathBuf) -> io::Result<Self> {
        let path = CString::new(path.into_os_string().into_vec())?;
        let inode = rustix::fs::stat(&path)?.st_ino;
        Ok(Self { path, inode })
    }

    /// Whether it is there still, and no other in its place.
    pub(super) fn holds(&self) -> bool {
        rustix::fs::stat(&self.path).is_ok_and(|found| found.st_ino == self.inode)
    }
}

/// The connection that writes. Checkpoints are the writer's own decision.
pub(super) fn connect_writer(folder: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(database_path(folder))?;
    set_up_writer(&connection)?;
    #[cfg(test)]
    let connection = super::tests::counted(connection);
    Ok(connection)
}

fn set_up_writer(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(96);
    connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
         PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA trusted_schema = OFF;",
    )
}

/// A connection that reads where there is no room for the log's index: it makes its own in memory, and has the file to
/// itself as long as it lives.
pub(super) fn connect_alone(folder: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database_path(folder), flags)?;
    leave_log_at_close(&connection, true)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;",
    )?;
    Ok(connection)
}

/// Whether the last connection to go leaves the log as it is, as it must while its owner is not known.
fn leave_log_at_close(connection: &Connection, leave: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave).map(drop)
}

/// A connection that only reads.
pub(super) fn connect_reader(folder: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database_path(folder), flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
    connection.execute_batch(
        "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;
         PRAGMA trusted_schema = OFF;",
    )?;
    #[cfg(test)]
    let connection = super::tests::counted(connection);
    Ok(connection)
}

/// A database without a file, of the newest form.
pub(super) fn connect_to_memory() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.set_prepared_statement_cache_capacity(96);
    MIGRATIONS.iter().try_for_each(|migration| connection.execute_batch(migration))?;
    connection.execute(
        "INSERT INTO meta (id, generation, keys_mark, high_water, pulse) VALUES (1, 0, x'', 0, 0)",
        [],
    )?;
    Ok(connection)
}

/// Opens or makes the file, checks it and brings it to the newest version. With it, how far acks went, where that is
/// known.
pub(super) fn open(folder: &Path) -> Result<(Connection, Option<Mark>), OpenError> {
    let path = database_path(folder);
    let named = |act| refused(act, &path);
    let bytes = bytes_of(&path);
    if bytes == 0 {
        check_alone(folder)?;
        // SQLite takes the mode of its further files from this one.
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(not_writable(folder))?;
    }
    let connection = Connection::open(&path).map_err(named("open"))?;
    leave_log_at_close(&connection, true).map_err(named("open"))?;
    set_up_writer(&connection).map_err(named("open"))?;
    #[cfg(test)]
    let connection = super::tests::counted(connection);
    let mut connection = connection;
    let (version, marked) = judge_file(folder, &connection, bytes)?;
    for (version, migration) in
        (1..).zip(MIGRATIONS).skip(usize::try_from(version).unwrap_or(usize::MAX))
    {
        let transaction = connection.transaction().map_err(named("migrate"))?;
        transaction
            .execute_batch(migration)
            .and_then(|()| transaction.pragma_update(None, "user_version", version))
            .and_then(|()| transaction.pragma_update(None, "application_id", APPLICATION_ID))
            .and_then(|()| transaction.commit())
            .map_err(named("migrate"))?;
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("sync", folder))?;
    Ok((connection, marked))
}

/// Opens the file as it is, whatever was acked; it is ours and of the newest version.
pub(super) fn connect_unjudged(folder: &Path) -> Result<Connection, OpenError> {
    let path = database_path(folder);
    let failed = |act| refused(act, &path);
    let connection = Connection::open(&path).map_err(failed("open"))?;
    leave_log_at_close(&connection, true).map_err(failed("open"))?;
    set_up_writer(&connection).map_err(failed("open"))?;
    let (id, version) = marks(&connection).map_err(failed("read"))?;
    let known = judge(&path, id, version)?;
    if version < known {
        return Err(OpenError::Former { path, found: version, known });
    }
    Ok(connection)
}

/// Opens the file for reading alone, which needs no room; only of the newest version, for another would need some.
pub(super) fn open_alone(folder: &Path) -> Result<(Connection, Option<Mark>), OpenError> {
    let path = database_path(folder);
    let connection = connect_alone(folder).map_err(refused("open", &path))?;
    let (version, marked) = judge_file(folder, &connection, bytes_of(&path))?;
    if usize::try_from(version) != Ok(MIGRATIONS.len()) {
        return Err(OpenError::NoRoom(folder.to_owned()));
    }
    Ok((connection, marked))
}

/// The data is known to be what it says: the log goes where it belongs with the last connection.
pub(super) fn is_judged(folder: &Path, connection: &Connection) -> Result<(), OpenError> {
    leave_log_at_close(connection, false).map_err(refused("open", &database_path(folder)))
}

/// Whether the file is whole, ours, of a version that is known, and not older than what was acked.
fn judge_file(
    folder: &Path,
    connection: &Connection,
    bytes: u64,
) -> Result<(u32, Option<Mark>), OpenError> {
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
const VERSION_WITH_MARK: u32 = 8;
/// And how much of that is in the file itself.
const VERSION_WITH_IN_FILE: u32 = 9;

/// What was acked at least, where that is known; the file and its log have it.
fn marked(folder: &Path, connection: &Connection, version: u32) -> Result<Option<Mark>, OpenError> {
    let (path, mark_path) = (database_path(folder), mark::path(folder));
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
    let alone = onlooker::open_without_log(&path).and_then(|alone| read(&alone));
    let alone: Option<(Option<StoreId>, u64)> = alone.ok().flatten();
    if let Some((Some(other), _)) = alone
        && other != id
    {
        return Err(OpenError::OtherFile(path));
    }
    let alone = alone.map(|(_, commits)| commits);
    // One that cannot be read without its log, as a new one, or in the middle of carrying, is judged with it.
    if alone.is_some_and(|alone| alone < in_file_once) {
        let commits = commits.saturating_sub(alone.unwrap_or_default());
        return Err(OpenError::Behind { path, commits });
    }
    let mark = match mark::find(folder).map_err(io("read", &mark_path))? {
        mark::Found::Mark(mark) if mark.id == id => mark,
        // It is made anew and nothing hangs on it, but for the proof that nothing is missing.
        mark::Found::Mark(_) => return without_mark(&mark_path, "belongs to other data"),
        mark::Found::Damaged => return without_mark(&mark_path, "is damaged"),
        mark::Found::Missing => return without_mark(&mark_path, "is missing"),
    };
    if alone.is_some_and(|alone| alone < mark.in_file) {
        let commits = mark.commits.saturating_sub(alone.unwrap_or_default());
        return Err(OpenError::Behind { path, commits });
    }
    if commits < mark.commits {
        let path = onlooker::log_path(&path);
        return Err(OpenError::Behind { path, commits: mark.commits - commits });
    }
    Ok(Some(mark))
}

/// How often it was committed when all of its log was last carried into the file.
pub(super) fn in_file(connection: &Connection) -> rusqlite::Result<u64> {
    let said = connection.query_row("SELECT in_file FROM meta", [], |row| row.get(0));
    Ok(said.optional()?.unwrap_or_default())
}

fn without_mark(path: &Path, what: &'static str) -> Result<Option<Mark>, OpenError> {
    tracing::warn!(path = %path.display(), reason = what, "how far acks went is not known; what there is, is taken");
    Ok(None)
}

/// Where the file is missing or empty there must be nothing that speaks of data.
pub(super) fn check_alone(folder: &Path) -> Result<(), OpenError> {
    let path = database_path(folder);
    let speaks = [onlooker::log_path(&path), journal::path(folder), mark::path(folder)];
    match speaks.into_iter().find(|other| bytes_of(other) > 0) {
        Some(beside) => Err(OpenError::Gone { path, beside }),
        None => Ok(()),
    }
}

pub(super) fn bytes_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// What the file says of itself and of its journal.
pub(super) struct Meta {
    pub(super) known: Known,
    pub(super) generation: u64,
    pub(super) keys_mark: [u8; 32],
}

/// The one row about the file, of the newest version; `None` before its first start.
pub(super) fn meta(connection: &Connection) -> rusqlite::Result<Option<Meta>> {
    connection
        .query_row(
            "SELECT store_id, commits, journal_epoch, journal_batches, journal_rows, journal_sum,
                 journal_need, generation, keys_mark FROM meta",
            [],
            |row| {
                let carried = Reached {
                    epoch: row.get(2)?,
                    batches: row.get(3)?,
                    rows: row.get(4)?,
                    sum: row.get(5)?,
                };
                let need = Need::from_code(row.get(6)?);
                let id: Option<StoreId> = row.get(0)?;
                let (id, commits) = (id.unwrap_or_default(), row.get(1)?);
                let known = Known { id, commits, carried, need };
                Ok(Meta { known, generation: row.get(7)?, keys_mark: row.get(8)? })
            },
        )
        .optional()
}

fn check(connection: &Connection, path: &Path, bytes: u64) -> rusqlite::Result<Option<OpenError>> {
    if bytes > QUICK_CHECK_BYTES_MAX {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        return Ok(None);
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((verdict != "ok").then(|| OpenError::Corrupt { path: path.to_owned(), source: None }))
}

/// What is said of SQLite's fault at this file.
pub(super) fn refused(
    act: &'static str,
    path: &Path,
) -> impl Fn(rusqlite::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| refuse(act, path.clone(), source)
}

/// The same of the disk's.
pub(super) fn io(act: &'static str, path: &Path) -> impl Fn(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| OpenError::Io { act, path: path.clone(), source }
}

fn refuse(act: &'static str, path: PathBuf, source: rusqlite::Error) -> OpenError {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            OpenError::Corrupt { path, source: Some(source) }
        }
        Some(ErrorCode::ReadOnly) => {
            let folder = path.parent().unwrap_or(&path).to_owned();
            OpenError::NotWritable { folder, source: io::Error::other(source) }
        }
        _ => OpenError::File { act, path, source },
    }
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
        let connection = onlooker::open(&path)?;
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

/// The server that uses the folder now; `None` where nobody does. Nothing is made for the question.
pub(super) fn user(folder: &Path) -> Result<Option<u32>, OpenError> {
    folder::user(folder, LOCK_FILE).map_err(|error| not_locked(folder, error))
}

/// Looks at the data in a folder without making, changing or keeping anything.
///
/// # Errors
/// If it is damaged, from a later version or another program's.
pub fn look(folder: &Path) -> Result<Looked, OpenError> {
    if let Some(pid) = user(folder)? {
        return Ok(Looked::InUse { pid });
    }
    check_restored(folder)?;
    Ok(look_inside(folder)?.map_or(Looked::Empty, |data| Looked::Data(Box::new(data))))
}

/// Looks at the file and judges it as a start would, without changing anything. `None`: there is none.
pub(super) fn look_inside(folder: &Path) -> Result<Option<LookedData>, OpenError> {
    let path = database_path(folder);
    if bytes_of(&path) == 0 {
        check_alone(folder)?;
        return Ok(None);
    }
    let named = |act| refused(act, &path);
    let connection = onlooker::open(&path).map_err(named("open"))?;
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
    } else if let Some(Meta { known, generation, keys_mark }) =
        meta(&connection).map_err(named("read"))?
    {
        (keys, id) = (Some((generation, keys_mark)), Some(known.id));
        find_journal(folder, &known, marked)?;
    }
    let connection = Mutex::new(connection);
    Ok(Some(LookedData { path, version, known: newest, keys, id, connection }))
}

/// What only the journal has.
pub(super) fn find_journal(
    folder: &Path,
    known: &Known,
    marked: Option<Mark>,
) -> Result<journal::Found, OpenError> {
    let path = journal::path(folder);
    match journal::find(folder, known, marked.map(|mark| mark.journal)) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(journal::JournalFault::Apart)) => Err(OpenError::JournalApart { path }),
        Ok(Err(fault)) => Err(OpenError::Journal { path, fault }),
        Err(source) => Err(io("read", &path)(source)),
    }
}

/// Whose file it is, and of which version.
pub(super) fn marks(connection: &Connection) -> rusqlite::Result<(u32, u32)> {
    let read = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((read("application_id")?, read("user_version")?))
}

/// Refuses what is not ours or from a later version; the version that is known here.
pub(super) fn judge(path: &Path, id: u32, version: u32) -> Result<u32, OpenError> {
    if id != APPLICATION_ID && (id != 0 || version != 0) {
        return Err(OpenError::NotOurs(path.to_owned()));
    }
    let known = self::version();
    if version > known {
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known });
    }
    Ok(known)
}

/// The journal, to go on after what the database has; without room for it there is none, and that is said.
pub(super) fn make_journal(folder: &Path, id: StoreId, carried: Reached) -> Option<Journal> {
    match Journal::open(folder, id, carried) {
        Ok(journal) => Some(journal),
        Err(error) => {
            tracing::warn!(error = %error, "no room for the journal; each batch is a transaction");
            None
        }
    }
}

/// Keeps some of the disk for clean-up; without room for it there is none, and that is said.
pub(super) fn make_reserve(folder: &Path) {
    let path = reserve_path(folder);
    let bytes = u64::try_from(RESERVE_BYTES).unwrap_or(u64::MAX);
    if fs::metadata(&path).is_ok_and(|found| found.len() == bytes) {
        return;
    }
    let made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| {
            file.write_all(&vec![0; RESERVE_BYTES]).and_then(|()| file.sync_all())
        });
    if let Err(error) = made {
        tracing::warn!(error = %error, "no room for the reserve that clean-up on a full disk needs");
        free_reserve(folder);
    }
}

/// Gives the reserve back to the disk.
pub(super) fn free_reserve(folder: &Path) {
    if let Err(error) = fs::remove_file(reserve_path(folder))
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(error = %error, "the reserve could not be given back");
    }
}

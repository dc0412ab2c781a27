//! The file and its folder: the lock, the checks at start, connections, migrations, the reserve.

mod judge;

use std::ffi::CString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use self::judge::{check_alone, judge_file};
use super::OpenError;
use super::ack_mark::AckMark;
use super::journal::{Journal, Reached, StoreId};
use crate::folder;
use crate::folder::LockError;

pub use self::judge::{Identity, identity, look};
pub(super) use self::judge::{Meta, find_journal, in_file, judge, look_inside, marks, meta};
pub use crate::folder::FolderLock;

/// Marks the file as ours: "lvhp".
const APPLICATION_ID: u32 = 0x6c76_6870;
/// Each brings the file one version further; none is ever changed.
const MIGRATIONS: [&str; 15] = [
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
    include_str!("../migrations/0013_audit.sql"),
    include_str!("../migrations/0014_suppressions.sql"),
    include_str!("../migrations/0015_privacy_requests.sql"),
];

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

/// Version of the database's form: that of this program, to which data is brought when it is
/// opened.
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

/// Plans by what a question looks like, never by its values: for a limit or a range SQLite prepares
/// a statement anew with each new value otherwise, which costs more than the answer.
fn plan_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn set_up_writer(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    plan_once(connection)?;
    connection.set_prepared_statement_cache_capacity(96);
    connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
         PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;
         PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;",
    )
}

/// A connection that reads where there is no room for the log's index: it makes its own in memory,
/// and has the file to itself as long as it lives.
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

/// Whether the last connection to go leaves the log as it is, as it must while its owner is not
/// known.
fn leave_log_at_close(connection: &Connection, leave: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave).map(drop)
}

/// A connection that only reads.
pub(super) fn connect_reader(folder: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database_path(folder), flags)?;
    connection.busy_timeout(BUSY)?;
    plan_once(&connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
    // To ask for the version opens the log, which stays then: a writer that lets its connection go
    // would be the last one to have it otherwise, and SQLite would remove it.
    connection.execute_batch(
        "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;
         PRAGMA schema_version;",
    )?;
    #[cfg(test)]
    let connection = super::tests::counted(connection);
    Ok(connection)
}

/// A database without a file, of the newest form.
pub(super) fn connect_to_memory() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    plan_once(&connection)?;
    connection.set_prepared_statement_cache_capacity(96);
    MIGRATIONS.iter().try_for_each(|migration| connection.execute_batch(migration))?;
    connection.execute(
        "INSERT INTO meta (id, generation, keys_mark, high_water, pulse) VALUES (1, 0, x'', 0, 0)",
        [],
    )?;
    Ok(connection)
}

/// Opens or makes the file, checks it and brings it to the newest version. With it, how far acks
/// went, where that is known.
pub(super) fn open(folder: &Path) -> Result<(Connection, Option<AckMark>), OpenError> {
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

/// Opens the file for reading alone, which needs no room; only of the newest version, for another
/// would need some.
pub(super) fn open_alone(folder: &Path) -> Result<(Connection, Option<AckMark>), OpenError> {
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

pub(super) fn bytes_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
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

/// The server that uses the folder now; `None` where nobody does. Nothing is made for the question.
pub(super) fn user(folder: &Path) -> Result<Option<u32>, OpenError> {
    folder::user(folder, LOCK_FILE).map_err(|error| not_locked(folder, error))
}

/// The journal, to go on after what the database has; without room for it there is none, and that
/// is said.
pub(super) fn make_journal(folder: &Path, id: StoreId, checkpointed: Reached) -> Option<Journal> {
    match Journal::open(folder, id, checkpointed) {
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

//! The file and its folder: the lock, the checks at start, connections, migrations, the reserve.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use super::OpenError;
use super::journal::{self, Journal};

/// Marks the file as ours: "lvhp".
const APPLICATION_ID: u32 = 0x6c76_6870;
/// Each brings the file one version further; none is ever changed.
const MIGRATIONS: [&str; 6] = [
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_notice.sql"),
    include_str!("../migrations/0003_answers_and_clock.sql"),
    include_str!("../migrations/0004_journal.sql"),
    include_str!("../migrations/0005_bounded_reads.sql"),
    include_str!("../migrations/0006_password_resets.sql"),
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

fn reserve_path(folder: &Path) -> PathBuf {
    folder.join("livehelp.reserve")
}

pub(super) fn wal_path(folder: &Path) -> PathBuf {
    folder.join("livehelp.sqlite-wal")
}

/// Held as long as a server uses the folder; the system lets go of it when the process ends.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "holding it is what it is for")] File);

/// Makes the folder where there is none, and locks it.
pub(super) fn lock(folder: &Path) -> Result<FolderLock, OpenError> {
    if !folder.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(not_writable(folder))?;
    }
    let path = folder.join("livehelp.lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(not_writable(folder))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::InUse { folder: folder.to_owned(), pid: pid_in(file) });
        }
        Err(TryLockError::Error(source)) => {
            return Err(OpenError::Io { act: "lock", path, source });
        }
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(not_writable(folder))?;
    Ok(FolderLock(file))
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

/// The connection that writes. Checkpoints are the writer's own decision.
pub(super) fn connect_writer(folder: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(database_path(folder))?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(96);
    connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
         PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA trusted_schema = OFF;",
    )?;
    #[cfg(test)]
    let connection = super::tests::counted(connection);
    Ok(connection)
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

/// Opens or makes the file, checks it and brings it to the newest version.
pub(super) fn open(folder: &Path) -> Result<Connection, OpenError> {
    let path = database_path(folder);
    let named = |act: &'static str| {
        let path = path.clone();
        move |source: rusqlite::Error| refuse(act, path, source)
    };
    let bytes = fs::metadata(&path).map_or(0, |found| found.len());
    if bytes == 0 {
        // SQLite takes the mode of its further files from this one.
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(not_writable(folder))?;
    }
    let mut connection = connect_writer(folder).map_err(named("open"))?;
    let (id, version) = marks(&connection).map_err(named("read"))?;
    if bytes > 0 {
        check(&connection, &path, bytes).map_err(named("check"))?.map_or(Ok(()), Err)?;
    }
    let known = judge(&path, id, version)?;
    for (version, migration) in
        (1..=known).zip(MIGRATIONS).skip(usize::try_from(version).unwrap_or(usize::MAX))
    {
        let transaction = connection.transaction().map_err(named("migrate"))?;
        transaction
            .execute_batch(migration)
            .and_then(|()| transaction.pragma_update(None, "user_version", version))
            .and_then(|()| transaction.pragma_update(None, "application_id", APPLICATION_ID))
            .and_then(|()| transaction.commit())
            .map_err(named("migrate"))?;
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| OpenError::Io {
        act: "sync",
        path: folder.to_owned(),
        source,
    })?;
    Ok(connection)
}

fn check(connection: &Connection, path: &Path, bytes: u64) -> rusqlite::Result<Option<OpenError>> {
    if bytes > QUICK_CHECK_BYTES_MAX {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        return Ok(None);
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((verdict != "ok").then(|| OpenError::Corrupt { path: path.to_owned(), source: None }))
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

/// The generation that the data in this folder needs; `None` where there is no data yet.
pub(super) fn generation(folder: &Path) -> Result<Option<u64>, OpenError> {
    let path = database_path(folder);
    if fs::metadata(&path).map_or(0, |found| found.len()) == 0 {
        return Ok(None);
    }
    let read = || -> rusqlite::Result<Option<u64>> {
        let connection = connect_reader(folder)?;
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            return Ok(None);
        }
        connection.query_row("SELECT generation FROM meta", [], |row| row.get(0)).optional()
    };
    read().map_err(|source| refuse("read", path, source))
}

/// The server that uses the folder now; `None` where nobody does. Nothing is made for the question.
pub(super) fn user(folder: &Path) -> Result<Option<u32>, OpenError> {
    let path = folder.join("livehelp.lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Io { act: "read", path, source }),
    };
    match file.try_lock_shared() {
        // Let go of at once, with the file.
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(pid_in(file))),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { act: "lock", path, source }),
    }
}

/// The pid that a lock file names; 0 where it cannot be read.
fn pid_in(file: File) -> u32 {
    let mut pid = String::new();
    match file.take(16).read_to_string(&mut pid) {
        Ok(_) => pid.trim().parse().unwrap_or(0),
        Err(_) => 0,
    }
}

/// What a look at the file found.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) version: u32,
    pub(super) known: u32,
    /// Generation and mark of the keys, once there is a row.
    pub(super) keys: Option<(u64, [u8; 32])>,
}

/// Looks at the file and judges it as a start would, without changing anything. `None`: there is none.
pub(super) fn look(folder: &Path) -> Result<Option<Seen>, OpenError> {
    let path = database_path(folder);
    let bytes = fs::metadata(&path).map_or(0, |found| found.len());
    if bytes == 0 {
        return Ok(None);
    }
    let named = |act: &'static str| {
        let path = path.clone();
        move |source: rusqlite::Error| refuse(act, path, source)
    };
    let connection = crate::onlooker::open(&path).map_err(named("open"))?;
    let (id, version) = marks(&connection).map_err(named("read"))?;
    check(&connection, &path, bytes).map_err(named("check"))?.map_or(Ok(()), Err)?;
    let known = judge(&path, id, version)?;
    if version == 0 {
        return Ok(Some(Seen { version, known, keys: None }));
    }
    let keys = connection
        .query_row("SELECT generation, keys_mark FROM meta", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
        .map_err(named("read"))?;
    // An earlier version has no journal; the next start makes one.
    let carried = match version == known {
        true => {
            connection.query_row("SELECT journal_epoch FROM meta", [], |row| row.get(0)).optional()
        }
        false => Ok(None),
    };
    if let Some(carried) = carried.map_err(named("read"))? {
        journal::find(folder, carried)?;
    }
    Ok(Some(Seen { version, known, keys }))
}

/// Whose file it is, and of which version.
fn marks(connection: &Connection) -> rusqlite::Result<(u32, u32)> {
    let read = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((read("application_id")?, read("user_version")?))
}

/// Refuses what is not ours or from a later version; the version that is known here.
fn judge(path: &Path, id: u32, version: u32) -> Result<u32, OpenError> {
    if id != APPLICATION_ID && (id != 0 || version != 0) {
        return Err(OpenError::NotOurs(path.to_owned()));
    }
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if version > known {
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known });
    }
    Ok(known)
}

/// The journal, for epochs after this one; without room for it there is none, and that is said.
pub(super) fn make_journal(folder: &Path, after: u64) -> Option<Journal> {
    match Journal::open(folder, after) {
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

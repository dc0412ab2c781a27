//! `keys.sqlite`, the file of wrapped keys, and the master key that opens them.
//!
//! Lives here: making it, opening it, what it is for, whether it can be used. Below: keys read,
//! made and destroyed (`wrapped`: crypto-shredding), another master key (`rotation`), a copy
//! (`copy`). Not here: the folder and its files (`folder`).

mod copy;
mod rotation;
mod wrapped;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};
use zeroize::Zeroizing;

use super::cipher::{ValueKey, fill_random};
use super::folder::{
    check_mode, io_error, master_path, new_master_path, next_master_path, private_file,
    read_master, sqlite_path, sync_folder, take_its_name,
};
use super::port::Stored;
use super::{KEY_BYTES, KeysError, Secret, StoreId};
use crate::privacy::seal::SealError;
use crate::read_only;

pub use copy::Copied;

/// The layout of keys.sqlite.
const FORMAT: u32 = 2;
/// The one before knew of no data.
const BIND: &str =
    "ALTER TABLE meta ADD COLUMN data BLOB; ALTER TABLE meta ADD COLUMN data_path TEXT;
    ALTER TABLE meta ADD COLUMN in_file INTEGER NOT NULL DEFAULT 0;";
/// Where a file says that it has a log: 2 for yes and 1 for no.
const LOG_BYTES: std::ops::Range<usize> = 18..20;
const FIND_ROOT: &[u8] = b"find root";
/// Bytes of the file up to which a start opens every key in it; of a larger one `livehelp check`
/// does, and a key that does not open shows where it is used.
const CHECK_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes that must be free for keys to be made.
const ROOM_BYTES_MIN: u64 = 64 * 1024;

/// What a row's key is bound to.
type Bound = fn(&rusqlite::Row<'_>) -> rusqlite::Result<Vec<u8>>;

/// The tables of keys, what of a row its key is bound to, and how.
const TABLES: [(&str, &str, Bound); 2] = [
    ("bucket_keys", "tenant, site, class, day", bucket_bound),
    ("subject_keys", "tenant, kind, subject", subject_bound),
];

const SCHEMA: &str = "
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL,
    -- Root of the keyed hashes, wrapped; it also proves that the master key is the right one.
    find_root BLOB NOT NULL,
    -- The data that is sealed with these keys, and where it lay last.
    data BLOB,
    data_path TEXT,
    -- The generation that the file has without its log, at least.
    in_file INTEGER NOT NULL DEFAULT 0
) STRICT;
-- A destroyed key leaves its row with no key in it, so that it is never made again.
CREATE TABLE bucket_keys (
    tenant BLOB NOT NULL, site BLOB NOT NULL, class INTEGER NOT NULL, day INTEGER NOT NULL,
    wrapped BLOB,
    PRIMARY KEY (tenant, site, class, day)
) STRICT;
CREATE TABLE subject_keys (
    tenant BLOB NOT NULL, kind INTEGER NOT NULL, subject BLOB NOT NULL,
    wrapped BLOB,
    PRIMARY KEY (tenant, kind, subject)
) STRICT;
";

/// The open folder.
pub(super) struct KeyFile {
    folder: PathBuf,
    /// None in memory.
    inode: Option<u64>,
    /// The generation that the file has without its log, at least.
    in_file: u64,
    master: ValueKey,
    connection: Connection,
    find_root: Secret,
}

fn file_error(act: &'static str) -> impl FnOnce(rusqlite::Error) -> KeysError {
    move |source| KeysError::File { act, source }
}

/// Makes new keys. `master.key` gets its name last: until then there are none.
pub(super) fn create(folder: &Path) -> Result<(), KeysError> {
    let (new_master, sqlite) = (new_master_path(folder), sqlite_path(folder));
    for path in
        [&new_master, &sqlite, &folder.join("keys.sqlite-wal"), &folder.join("keys.sqlite-shm")]
    {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", path)(error));
            }
            _ => {}
        }
    }
    let mut master = Secret::default();
    fill_random(master.as_mut_slice())?;
    let mut file = private_file(&new_master)?;
    file.write_all(master.as_slice())
        .and_then(|()| file.sync_all())
        .map_err(io_error("write", &new_master))?;
    private_file(&sqlite)?;
    let connection = connect(&sqlite)?;
    furnish(&connection, &ValueKey::new(&master))?;
    connection.close().map_err(|(_, source)| KeysError::File { act: "close", source })?;
    sync_folder(folder).map_err(io_error("sync", folder))?;
    fs::rename(&new_master, master_path(folder))
        .and_then(|()| sync_folder(folder))
        .map_err(io_error("name", &new_master))
}

/// The tables and the first row; returns the root of the keyed hashes.
fn furnish(connection: &Connection, master: &ValueKey) -> Result<Secret, KeysError> {
    let mut find_root = Secret::default();
    fill_random(find_root.as_mut_slice())?;
    let wrapped = master.seal(FIND_ROOT, find_root.as_slice()).map_err(|_| KeysError::NoRandom)?;
    connection.execute_batch(SCHEMA).map_err(file_error("make the tables"))?;
    connection
        .execute("INSERT INTO meta (id, generation, find_root) VALUES (1, 1, ?1)", [wrapped])
        .and_then(|_| connection.pragma_update(None, "user_version", FORMAT))
        .map_err(file_error("write the first row"))?;
    Ok(find_root)
}

fn connect(path: &Path) -> Result<Connection, KeysError> {
    // Where there is no room for the log's index beside the file, it can be in memory.
    let opened = connect_with(path, "").or_else(|_| {
        connect_with(path, "PRAGMA locking_mode = EXCLUSIVE; SELECT count(*) FROM sqlite_schema;")
    });
    opened.map_err(|source| damaged(path, "open it", source))
}

fn connect_with(path: &Path, first: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch(first)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
         PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;",
    )?;
    Ok(connection)
}

/// What SQLite says of a file that is none of its own is said by the file's name.
fn damaged(path: &Path, act: &'static str, source: rusqlite::Error) -> KeysError {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            KeysError::Damaged { path: path.to_owned(), count: 0 }
        }
        _ => KeysError::File { act, source },
    }
}

impl KeyFile {
    /// The same tables without a folder: nothing of them touches a disk.
    pub(super) fn in_memory() -> Result<Self, KeysError> {
        let mut master = Secret::default();
        fill_random(master.as_mut_slice())?;
        let master = ValueKey::new(&master);
        let connection = Connection::open_in_memory().map_err(file_error("make it in memory"))?;
        connection
            .execute_batch(
                "PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;",
            )
            .map_err(file_error("set it up"))?;
        let find_root = furnish(&connection, &master)?;
        let folder = PathBuf::from("memory");
        Ok(Self { folder, inode: None, in_file: 0, master, connection, find_root })
    }

    pub(super) fn open(folder: &Path) -> Result<Self, KeysError> {
        let file = Self::open_unchecked(folder)?;
        let path = sqlite_path(folder);
        let bytes = fs::metadata(&path).map_err(io_error("look at", &path))?.len();
        if bytes <= CHECK_BYTES_MAX {
            file.check()?;
        }
        Ok(file)
    }

    /// The same where some keys may not open.
    pub(super) fn open_unchecked(folder: &Path) -> Result<Self, KeysError> {
        let mut file = Self::open_by(folder, connect)?;
        if file.format()? < FORMAT {
            file.connection
                .execute_batch(&format!("BEGIN; {BIND} PRAGMA user_version = {FORMAT}; COMMIT;"))
                .map_err(file_error("bring it to this version"))?;
        }
        // A log that cannot be checkpointed now is checkpointed later.
        let checkpointed =
            file.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = checkpointed {
            tracing::debug!(%error, "the keys' log stays");
        }
        file.in_file = file.generation_in_file().unwrap_or_default();
        Ok(file)
    }

    /// What the file has without its log; nothing where it cannot be read without, as in the middle
    /// of a WAL checkpoint.
    fn generation_in_file(&self) -> Option<u64> {
        let file = read_only::open_without_log(&sqlite_path(&self.folder)).ok()?;
        file.query_row("SELECT generation FROM meta", [], |row| row.get(0)).ok()
    }

    /// A log lies over the file that it was written for, or over a later one.
    fn check_log(&self) -> Result<(), KeysError> {
        let in_file: u64 = self
            .connection
            .query_row("SELECT in_file FROM meta", [], |row| row.get(0))
            .map_err(file_error("read its first row"))?;
        if self.generation_in_file().is_some_and(|generation| generation < in_file) {
            return Err(KeysError::OlderThanLog(sqlite_path(&self.folder)));
        }
        Ok(())
    }

    /// Every key there is opens; else it is said how many do not.
    pub(super) fn check(&self) -> Result<(), KeysError> {
        let count = u64::try_from(self.unreadable()?.len()).unwrap_or(u64::MAX);
        let path = sqlite_path(&self.folder);
        if count > 0 { Err(KeysError::Damaged { path, count }) } else { Ok(()) }
    }

    /// The keys that do not open: table and row.
    pub(super) fn unreadable(&self) -> Result<Vec<(&'static str, i64)>, KeysError> {
        let path = sqlite_path(&self.folder);
        let failed = |source| damaged(&path, "check it", source);
        let verdict: String = self
            .connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(failed)?;
        if verdict != "ok" {
            return Err(KeysError::Damaged { path, count: 0 });
        }
        let mut unreadable = Vec::new();
        for (table, columns, bound) in TABLES {
            let sql =
                format!("SELECT rowid, wrapped, {columns} FROM {table} WHERE wrapped IS NOT NULL");
            let mut statement = self.connection.prepare(&sql).map_err(failed)?;
            let mut rows = statement.query([]).map_err(failed)?;
            while let Some(row) = rows.next().map_err(failed)? {
                let wrapped: rusqlite::Result<Vec<u8>> = row.get(1);
                let opens = match (wrapped, bound(row)) {
                    (Ok(wrapped), Ok(bound)) => unwrap(&self.master, &bound, &wrapped).is_ok(),
                    _ => false,
                };
                if !opens {
                    unreadable.push((table, row.get(0).map_err(failed)?));
                }
            }
        }
        Ok(unreadable)
    }

    /// Destroys these keys: what they sealed is lost, and the others go on.
    pub(super) fn give_up(&mut self, keys: &[(&'static str, i64)]) -> Result<(), KeysError> {
        let act = || file_error("give up the keys that do not open");
        let in_file = self.in_file;
        let transaction = self.connection.transaction().map_err(act())?;
        for (table, row) in keys {
            let sql = format!("UPDATE {table} SET wrapped = NULL WHERE rowid = ?1");
            transaction.execute(&sql, [row]).map_err(act())?;
        }
        raise(&transaction, in_file).map_err(act())?;
        transaction.commit().map_err(act())
    }

    fn format(&self) -> Result<u32, KeysError> {
        self.connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(|source| damaged(&sqlite_path(&self.folder), "read its format", source))
    }

    /// The data that these keys are for, and where it lay last; none before it was there.
    pub(super) fn data(&self) -> Result<Option<(StoreId, PathBuf)>, KeysError> {
        if self.format()? < FORMAT {
            return Ok(None);
        }
        self.connection
            .query_row("SELECT data, data_path FROM meta WHERE data IS NOT NULL", [], |row| {
                Ok((row.get(0)?, PathBuf::from(row.get::<_, String>(1)?)))
            })
            .optional()
            .map_err(file_error("read whose data they are for"))
    }

    /// From now on they are for this data, or for none. A copy from before is older.
    pub(super) fn bind(&mut self, data: Option<(StoreId, &Path)>) -> Result<u64, KeysError> {
        let act = || file_error("write whose data they are for");
        let in_file = self.in_file;
        let (id, path) = data.unzip();
        let path = path.map(|path| path.to_string_lossy());
        let transaction = self.connection.transaction().map_err(act())?;
        transaction
            .execute("UPDATE meta SET data = ?1, data_path = ?2", params![id, path])
            .map_err(act())?;
        let generation = raise(&transaction, in_file).map_err(act())?;
        transaction.commit().map_err(act())?;
        Ok(generation)
    }

    /// Whether the folder can be used now as a start would use it: its files are the ones that are
    /// open, and the master key opens them. With `write`, whether it takes something.
    pub(super) fn probe(&self, write: bool) -> Result<(), KeysError> {
        if self.inode.is_none() {
            return Ok(());
        }
        self.is_in_place()?;
        let master = master_path(&self.folder);
        let wrapped = self.wrapped_root()?;
        if unwrap(&ValueKey::new(&read_master(&master)?), FIND_ROOT, &wrapped).is_err() {
            return Err(KeysError::WrongMaster(self.folder.clone()));
        }
        let room = rustix::fs::statvfs(&self.folder).map_err(io::Error::from);
        let room = room.map_err(io_error("look at", &self.folder))?;
        if room.f_bavail.saturating_mul(room.f_frsize) < ROOM_BYTES_MIN {
            return Err(KeysError::NoRoom(self.folder.clone()));
        }
        if write {
            self.connection
                .execute("UPDATE meta SET generation = generation", [])
                .map_err(file_error("write to it"))?;
        }
        Ok(())
    }

    /// Whether the file is still the one that is open: what is written into another is lost.
    fn is_in_place(&self) -> Result<(), KeysError> {
        let Some(inode) = self.inode else { return Ok(()) };
        let path = sqlite_path(&self.folder);
        let found = fs::metadata(&path).map_err(io_error("look at", &path))?;
        if found.ino() == inode { Ok(()) } else { Err(KeysError::Replaced(path)) }
    }

    fn wrapped_root(&self) -> Result<Vec<u8>, KeysError> {
        self.connection
            .query_row("SELECT find_root FROM meta", [], |row| row.get(0))
            .map_err(|source| damaged(&sqlite_path(&self.folder), "read its first row", source))
    }

    /// The same for reading alone: the folder stays as it is.
    pub(super) fn look(folder: &Path) -> Result<Self, KeysError> {
        Self::open_by(folder, |path| {
            read_only::open(path).map_err(|source| damaged(path, "open it", source))
        })
    }

    fn open_by(
        folder: &Path,
        connect: impl FnOnce(&Path) -> Result<Connection, KeysError>,
    ) -> Result<Self, KeysError> {
        let (master_path, sqlite_path) = (master_path(folder), sqlite_path(folder));
        check_mode(folder, true)?;
        check_mode(&master_path, false)?;
        check_mode(&sqlite_path, false)?;
        let master = ValueKey::new(&read_master(&master_path)?);
        let inode = fs::metadata(&sqlite_path).map_err(io_error("look at", &sqlite_path))?.ino();
        let connection = connect(&sqlite_path)?;
        let folder_path = folder.to_owned();
        let find_root = Secret::default();
        let inode = Some(inode);
        let mut file =
            Self { folder: folder_path, inode, in_file: 0, master, connection, find_root };
        let format = file.format()?;
        if format > FORMAT {
            return Err(KeysError::Newer { found: format, known: FORMAT });
        }
        if format == FORMAT {
            file.check_log()?;
        }
        let wrapped = file.wrapped_root()?;
        let next = next_master_path(folder);
        file.find_root = match unwrap(&file.master, FIND_ROOT, &wrapped) {
            Ok(find_root) => find_root,
            // A rotation was cut off: the keys are wrapped anew, and the new master has not its
            // name yet.
            Err(_) if next.try_exists().map_err(io_error("look at", &next))? => {
                check_mode(&next, false)?;
                file.master = ValueKey::new(&read_master(&next)?);
                let found = unwrap(&file.master, FIND_ROOT, &wrapped)
                    .map_err(|_| KeysError::WrongMaster(folder.to_owned()))?;
                take_its_name(folder)?;
                found
            }
            Err(_) => return Err(KeysError::WrongMaster(folder.to_owned())),
        };
        Ok(file)
    }

    pub(super) fn find_root(&self) -> Secret {
        self.find_root.clone()
    }

    #[expect(clippy::option_option, reason = "no row, a row without a key, a row with one")]
    fn stored(&self, bound: &[u8], wrapped: Option<Option<Vec<u8>>>) -> Result<Stored, KeysError> {
        match wrapped {
            None => Ok(Stored::None),
            Some(None) => Ok(Stored::Destroyed),
            Some(Some(wrapped)) => unwrap(&self.master, bound, &wrapped)
                .map(Stored::Key)
                .map_err(|_| KeysError::Damaged { path: sqlite_path(&self.folder), count: 1 }),
        }
    }

    fn fresh(&self, bound: &[u8]) -> Result<Vec<u8>, KeysError> {
        let mut key = Secret::default();
        fill_random(key.as_mut_slice())?;
        self.master.seal(bound, key.as_slice()).map_err(|_| KeysError::NoRandom)
    }

    /// Whether nothing is left where these keys lay, read back from the file.
    fn read_back(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), KeysError> {
        let there: bool = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(values, |row| row.get(0)))
            .map_err(file_error("read back what was destroyed"))?;
        if there { Err(KeysError::StillThere) } else { Ok(()) }
    }

    /// Rewrites the file and empties its log, so that no page keeps an old key.
    fn leave_nothing(&self) -> Result<(), KeysError> {
        self.connection.execute_batch("VACUUM").map_err(file_error("rewrite the file"))?;
        let busy: i64 = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(file_error("empty the log"))?;
        if busy == 0 {
            Ok(())
        } else {
            Err(KeysError::File {
                act: "empty the log while another program reads it",
                source: rusqlite::Error::QueryReturnedNoRows,
            })
        }
    }
}

/// What a row's key is bound to, as `bucket_bytes` has it; for classes of later versions too.
fn bucket_bound(row: &rusqlite::Row<'_>) -> rusqlite::Result<Vec<u8>> {
    let (tenant, site): ([u8; 16], Vec<u8>) = (row.get(2)?, row.get(3)?);
    let (class, day): (u8, u16) = (row.get(4)?, row.get(5)?);
    let site = if site.is_empty() { vec![0; 16] } else { site };
    Ok([&b"b"[..], &tenant, &site, &[class], &day.to_be_bytes()].concat())
}

/// The same as `subject_bytes` has it.
fn subject_bound(row: &rusqlite::Row<'_>) -> rusqlite::Result<Vec<u8>> {
    let (tenant, kind, subject): ([u8; 16], u8, [u8; 16]) = (row.get(2)?, row.get(3)?, row.get(4)?);
    Ok([&b"s"[..], &[kind], &tenant, &subject].concat())
}

fn raise(transaction: &rusqlite::Transaction<'_>, in_file: u64) -> rusqlite::Result<u64> {
    transaction.query_row(
        "UPDATE meta SET generation = generation + 1, in_file = max(in_file, ?1)
         RETURNING generation",
        [in_file],
        |row| row.get(0),
    )
}

fn unwrap(master: &ValueKey, bound: &[u8], wrapped: &[u8]) -> Result<Secret, SealError> {
    let plain = Zeroizing::new(master.unseal(bound, wrapped)?);
    let mut key = Secret::default();
    if plain.len() != KEY_BYTES {
        return Err(SealError::Tampered);
    }
    key.copy_from_slice(&plain);
    Ok(key)
}

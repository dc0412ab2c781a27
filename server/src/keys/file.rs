//! The keys folder on disk: who may read it, `master.key`, and `keys.sqlite` with the wrapped keys.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::ids::TenantId;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::cipher::{ValueKey, bucket_bytes, fill_random, subject_bytes, subject_parts};
use super::{KEY_BYTES, KeysError, Secret};
use crate::privacy::seal::{Bucket, SealError, Subject};

/// The layout of keys.sqlite.
const FORMAT: u32 = 1;
const FIND_ROOT: &[u8] = b"find root";

const SCHEMA: &str = "
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL,
    -- Root of the keyed hashes, wrapped; it also proves that the master key is the right one.
    find_root BLOB NOT NULL
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

/// What keys.sqlite says about a key.
pub(super) enum Stored {
    Key(Secret),
    Destroyed,
    None,
}

/// The open folder.
pub(super) struct KeyFile {
    folder: PathBuf,
    master: ValueKey,
    connection: Connection,
    find_root: Secret,
}

fn master_path(folder: &Path) -> PathBuf {
    folder.join("master.key")
}

fn new_master_path(folder: &Path) -> PathBuf {
    folder.join("master.key.new")
}

/// The master key that a rotation is going over to.
fn next_master_path(folder: &Path) -> PathBuf {
    folder.join("master.key.next")
}

fn sqlite_path(folder: &Path) -> PathBuf {
    folder.join("keys.sqlite")
}

fn io_error<'p>(act: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> KeysError + 'p {
    move |source| KeysError::Io { act, path: path.to_owned(), source }
}

fn file_error(act: &'static str) -> impl FnOnce(rusqlite::Error) -> KeysError {
    move |source| KeysError::File { act, source }
}

/// Refuses a keys folder in the data folder, or the data folder itself.
pub(super) fn check_apart(folder: &Path, data_folder: &Path) -> Result<(), KeysError> {
    let keys = resolved(folder)?;
    let data = resolved(data_folder)?;
    if keys.starts_with(&data) {
        return Err(KeysError::InsideData { keys, data });
    }
    Ok(())
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> Result<PathBuf, KeysError> {
    let path = std::path::absolute(path).map_err(io_error("resolve", path))?;
    let mut existing = path.as_path();
    let mut rest = Vec::new();
    loop {
        match existing.canonicalize() {
            Ok(mut whole) => {
                whole.extend(rest.iter().rev());
                return Ok(whole);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match (existing.parent(), existing.file_name()) {
                    (Some(parent), Some(name)) => {
                        rest.push(name.to_owned());
                        existing = parent;
                    }
                    _ => return Ok(path),
                }
            }
            Err(error) => return Err(io_error("resolve", &path)(error)),
        }
    }
}

/// Whether the folder holds keys. Half of them is an error; a creation that did not come to its end,
/// before anything could have been sealed, counts as none.
pub(super) fn exists(folder: &Path) -> Result<bool, KeysError> {
    let has = |path: &Path| path.try_exists().map_err(io_error("look at", path));
    let (master, sqlite) = (master_path(folder), sqlite_path(folder));
    match (has(&master)?, has(&sqlite)?) {
        (true, true) => Ok(true),
        (false, false) => Ok(false),
        (true, false) => Err(KeysError::Incomplete(sqlite)),
        (false, true) if has(&new_master_path(folder))? => Ok(false),
        (false, true) => Err(KeysError::Incomplete(master)),
    }
}

/// Makes new keys. `master.key` gets its name last: until then there are none.
pub(super) fn create(folder: &Path) -> Result<(), KeysError> {
    if !folder.try_exists().map_err(io_error("look at", folder))? {
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).map_err(io_error("make", parent))?;
        }
        DirBuilder::new().mode(0o700).create(folder).map_err(io_error("make", folder))?;
    }
    check_mode(folder, true)?;
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

fn private_file(path: &Path) -> Result<File, KeysError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error("make", path))
}

fn check_mode(path: &Path, folder: bool) -> Result<(), KeysError> {
    let mode = fs::metadata(path).map_err(io_error("look at", path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Permissions { path: path.to_owned(), mode, folder });
    }
    Ok(())
}

fn connect(path: &Path) -> Result<Connection, KeysError> {
    let connection = Connection::open(path).map_err(file_error("open it"))?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .and_then(|()| {
            connection.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
                 PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;",
            )
        })
        .map_err(file_error("set it up"))?;
    Ok(connection)
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
        Ok(Self { folder: PathBuf::from("memory"), master, connection, find_root })
    }

    pub(super) fn open(folder: &Path) -> Result<Self, KeysError> {
        Self::open_by(folder, connect)
    }

    /// The same for reading alone: the folder stays as it is.
    pub(super) fn look(folder: &Path) -> Result<Self, KeysError> {
        Self::open_by(folder, |path| crate::onlooker::open(path).map_err(file_error("open it")))
    }

    fn open_by(
        folder: &Path,
        connect: impl FnOnce(&Path) -> Result<Connection, KeysError>,
    ) -> Result<Self, KeysError> {
        let (master_path, sqlite_path) = (master_path(folder), sqlite_path(folder));
        check_mode(folder, true)?;
        check_mode(&master_path, false)?;
        check_mode(&sqlite_path, false)?;
        let mut master = ValueKey::new(&read_master(&master_path)?);
        let connection = connect(&sqlite_path)?;
        let format: u32 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(file_error("read its format"))?;
        if format > FORMAT {
            return Err(KeysError::Newer { found: format, known: FORMAT });
        }
        let wrapped: Vec<u8> = connection
            .query_row("SELECT find_root FROM meta", [], |row| row.get(0))
            .map_err(file_error("read its first row"))?;
        let next = next_master_path(folder);
        let find_root = match unwrap(&master, FIND_ROOT, &wrapped) {
            Ok(find_root) => find_root,
            // A rotation was cut off: the keys are wrapped anew, and the new master has not its name yet.
            Err(_) if next.try_exists().map_err(io_error("look at", &next))? => {
                check_mode(&next, false)?;
                master = ValueKey::new(&read_master(&next)?);
                let found = unwrap(&master, FIND_ROOT, &wrapped)
                    .map_err(|_| KeysError::WrongMaster(folder.to_owned()))?;
                take_its_name(folder)?;
                found
            }
            Err(_) => return Err(KeysError::WrongMaster(folder.to_owned())),
        };
        Ok(Self { folder: folder.to_owned(), master, connection, find_root })
    }

    pub(super) fn find_root(&self) -> Secret {
        self.find_root.clone()
    }

    pub(super) fn generation(&self) -> Result<u64, KeysError> {
        self.connection
            .query_row("SELECT generation FROM meta", [], |row| row.get(0))
            .map_err(file_error("read the generation"))
    }

    pub(super) fn bucket(&self, bucket: &Bucket) -> Result<Stored, KeysError> {
        let wrapped: Option<Option<Vec<u8>>> = self
            .connection
            .prepare_cached(
                "SELECT wrapped FROM bucket_keys
                 WHERE tenant = ?1 AND site = ?2 AND class = ?3 AND day = ?4",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(
                        params![
                            bucket.tenant.as_bytes(),
                            site_bytes(bucket),
                            bucket.class.code(),
                            bucket.day.0
                        ],
                        |row| row.get(0),
                    )
                    .optional()
            })
            .map_err(file_error("read a bucket's key"))?;
        self.stored(&bucket_bytes(bucket), wrapped)
    }

    pub(super) fn subject(&self, tenant: TenantId, subject: Subject) -> Result<Stored, KeysError> {
        let (kind, id) = subject_parts(&subject);
        let wrapped: Option<Option<Vec<u8>>> = self
            .connection
            .prepare_cached(
                "SELECT wrapped FROM subject_keys WHERE tenant = ?1 AND kind = ?2 AND subject = ?3",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(params![tenant.as_bytes(), kind, id], |row| row.get(0))
                    .optional()
            })
            .map_err(file_error("read a subject's key"))?;
        self.stored(&subject_bytes(tenant, subject), wrapped)
    }

    #[expect(clippy::option_option, reason = "no row, a row without a key, a row with one")]
    fn stored(&self, bound: &[u8], wrapped: Option<Option<Vec<u8>>>) -> Result<Stored, KeysError> {
        match wrapped {
            None => Ok(Stored::None),
            Some(None) => Ok(Stored::Destroyed),
            Some(Some(wrapped)) => unwrap(&self.master, bound, &wrapped)
                .map(Stored::Key)
                .map_err(|_| KeysError::WrongMaster(self.folder.clone())),
        }
    }

    /// Makes these keys in one synced transaction; the generation that it has then.
    pub(super) fn make(
        &mut self,
        buckets: &[Bucket],
        subjects: &[(TenantId, Subject)],
    ) -> Result<u64, KeysError> {
        let mut bucket_rows = Vec::with_capacity(buckets.len());
        for bucket in buckets {
            bucket_rows.push((bucket, self.fresh(&bucket_bytes(bucket))?));
        }
        let mut subject_rows = Vec::with_capacity(subjects.len());
        for (tenant, subject) in subjects {
            subject_rows.push((tenant, subject, self.fresh(&subject_bytes(*tenant, *subject))?));
        }
        let act = || file_error("make keys");
        let transaction = self.connection.transaction().map_err(act())?;
        for (bucket, wrapped) in bucket_rows {
            transaction
                .prepare_cached(
                    "INSERT INTO bucket_keys (tenant, site, class, day, wrapped)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )
                .and_then(|mut statement| {
                    statement.execute(params![
                        bucket.tenant.as_bytes(),
                        site_bytes(bucket),
                        bucket.class.code(),
                        bucket.day.0,
                        wrapped
                    ])
                })
                .map_err(act())?;
        }
        for (tenant, subject, wrapped) in subject_rows {
            let (kind, id) = subject_parts(subject);
            transaction
                .prepare_cached(
                    "INSERT INTO subject_keys (tenant, kind, subject, wrapped)
                     VALUES (?1, ?2, ?3, ?4)",
                )
                .and_then(|mut statement| {
                    statement.execute(params![tenant.as_bytes(), kind, id, wrapped])
                })
                .map_err(act())?;
        }
        let generation = raise(&transaction).map_err(act())?;
        transaction.commit().map_err(act())?;
        Ok(generation)
    }

    fn fresh(&self, bound: &[u8]) -> Result<Vec<u8>, KeysError> {
        let mut key = Secret::default();
        fill_random(key.as_mut_slice())?;
        self.master.seal(bound, key.as_slice()).map_err(|_| KeysError::NoRandom)
    }

    /// Wraps every key anew under a fresh master key and wipes the old one. Whatever it is cut off at, one
    /// of the two master keys in the folder opens the file, and the next start goes on with that one. The
    /// caller sees to it that nobody else has the folder open. Returns how many keys were wrapped.
    pub(super) fn rotate(&mut self) -> Result<usize, KeysError> {
        let next = next_master_path(&self.folder);
        match fs::remove_file(&next) {
            // Left by a rotation that was cut off before it wrapped anything: it opens nothing.
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("remove", &next)(error)),
        }
        let mut bytes = Secret::default();
        fill_random(bytes.as_mut_slice())?;
        let mut file = private_file(&next)?;
        file.write_all(bytes.as_slice())
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_folder(&self.folder))
            .map_err(io_error("write", &next))?;
        let master = ValueKey::new(&bytes);
        let wrapped = self.wrap_all(&master)?;
        self.master = master;
        take_its_name(&self.folder)?;
        self.leave_nothing()?;
        Ok(wrapped)
    }

    fn wrap_all(&mut self, master: &ValueKey) -> Result<usize, KeysError> {
        let act = || file_error("wrap keys anew");
        let foreign = || KeysError::WrongMaster(self.folder.clone());
        let over = |bound: &[u8], wrapped: &[u8]| {
            let key = unwrap(&self.master, bound, wrapped).map_err(|_| foreign())?;
            master.seal(bound, key.as_slice()).map_err(|_| KeysError::NoRandom)
        };
        let transaction = self.connection.unchecked_transaction().map_err(act())?;
        let mut count = 0;
        for (table, columns) in
            [("bucket_keys", "tenant, site, class, day"), ("subject_keys", "tenant, kind, subject")]
        {
            // The primary key is all of a row but the key itself, in the order of what it is bound to.
            let sql =
                format!("SELECT rowid, wrapped, {columns} FROM {table} WHERE wrapped IS NOT NULL");
            let mut rows: Vec<(i64, Vec<u8>, Vec<u8>)> = Vec::new();
            {
                let mut statement = transaction.prepare(&sql).map_err(act())?;
                let mut found = statement.query([]).map_err(act())?;
                while let Some(row) = found.next().map_err(act())? {
                    let bound = if table == "bucket_keys" {
                        bucket_bound(row).map_err(act())?
                    } else {
                        subject_bound(row).map_err(act())?
                    };
                    rows.push((row.get(0).map_err(act())?, row.get(1).map_err(act())?, bound));
                }
            }
            let sql = format!("UPDATE {table} SET wrapped = ?2 WHERE rowid = ?1");
            let mut write = transaction.prepare(&sql).map_err(act())?;
            for (row, wrapped, bound) in rows {
                write.execute(params![row, over(&bound, &wrapped)?]).map_err(act())?;
                count += 1;
            }
        }
        let root =
            master.seal(FIND_ROOT, self.find_root.as_slice()).map_err(|_| KeysError::NoRandom)?;
        transaction.execute("UPDATE meta SET find_root = ?1", [root]).map_err(act())?;
        raise(&transaction).map_err(act())?;
        transaction.commit().map_err(act())?;
        Ok(count)
    }

    /// Whether nothing is left where these keys lay, read back from the file.
    fn read_back(&self, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<(), KeysError> {
        let there: bool = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(values, |row| row.get(0)))
            .map_err(file_error("read back what was destroyed"))?;
        if there { Err(KeysError::StillThere) } else { Ok(()) }
    }

    /// Overwrites these keys and leaves a mark in their place.
    pub(super) fn destroy_buckets(&mut self, buckets: &[Bucket]) -> Result<u64, KeysError> {
        let act = || file_error("destroy buckets' keys");
        let transaction = self.connection.transaction().map_err(act())?;
        for bucket in buckets {
            transaction
                .execute(
                    "INSERT INTO bucket_keys (tenant, site, class, day, wrapped)
                     VALUES (?1, ?2, ?3, ?4, NULL)
                     ON CONFLICT DO UPDATE SET wrapped = NULL",
                    params![
                        bucket.tenant.as_bytes(),
                        site_bytes(bucket),
                        bucket.class.code(),
                        bucket.day.0
                    ],
                )
                .map_err(act())?;
        }
        let generation = raise(&transaction).map_err(act())?;
        transaction.commit().map_err(act())?;
        self.leave_nothing()?;
        for bucket in buckets {
            self.read_back(
                "SELECT count(*) <> 1 OR total(wrapped IS NOT NULL) > 0 FROM bucket_keys
                 WHERE tenant = ?1 AND site = ?2 AND class = ?3 AND day = ?4",
                &[
                    bucket.tenant.as_bytes(),
                    &site_bytes(bucket),
                    &bucket.class.code(),
                    &bucket.day.0,
                ],
            )?;
        }
        Ok(generation)
    }

    pub(super) fn destroy_subject(
        &mut self,
        tenant: TenantId,
        subject: Subject,
    ) -> Result<u64, KeysError> {
        let act = || file_error("destroy a subject's key");
        let (kind, id) = subject_parts(&subject);
        let transaction = self.connection.transaction().map_err(act())?;
        transaction
            .execute(
                "INSERT INTO subject_keys (tenant, kind, subject, wrapped) VALUES (?1, ?2, ?3, NULL)
                 ON CONFLICT DO UPDATE SET wrapped = NULL",
                params![tenant.as_bytes(), kind, id],
            )
            .map_err(act())?;
        let generation = raise(&transaction).map_err(act())?;
        transaction.commit().map_err(act())?;
        self.leave_nothing()?;
        self.read_back(
            "SELECT count(*) <> 1 OR total(wrapped IS NOT NULL) > 0 FROM subject_keys
             WHERE tenant = ?1 AND kind = ?2 AND subject = ?3",
            &[tenant.as_bytes(), &kind, id],
        )?;
        Ok(generation)
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

fn read_master(path: &Path) -> Result<Secret, KeysError> {
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
    File::open(path)
        .and_then(|file| file.take(64).read_to_end(&mut bytes))
        .map_err(io_error("read", path))?;
    let mut master = Secret::default();
    if bytes.len() != KEY_BYTES {
        return Err(KeysError::NotAMaster(path.to_owned()));
    }
    master.copy_from_slice(&bytes);
    Ok(master)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all())
}

/// The new master key becomes the master key, and the old one's bytes are overwritten, as far as the disk
/// writes in place.
fn take_its_name(folder: &Path) -> Result<(), KeysError> {
    let (next, path) = (next_master_path(folder), master_path(folder));
    let mut old = OpenOptions::new().write(true).open(&path).map_err(io_error("open", &path))?;
    fs::rename(&next, &path).and_then(|()| sync_folder(folder)).map_err(io_error("name", &next))?;
    old.write_all(&[0; KEY_BYTES])
        .and_then(|()| old.sync_all())
        .map_err(io_error("overwrite the old", &path))
}

/// What a row's key is bound to, as [`bucket_bytes`] has it; for classes of later versions too.
fn bucket_bound(row: &rusqlite::Row<'_>) -> rusqlite::Result<Vec<u8>> {
    let (tenant, site): ([u8; 16], Vec<u8>) = (row.get(2)?, row.get(3)?);
    let (class, day): (u8, u16) = (row.get(4)?, row.get(5)?);
    let site = if site.is_empty() { vec![0; 16] } else { site };
    Ok([&b"b"[..], &tenant, &site, &[class], &day.to_be_bytes()].concat())
}

/// The same as [`subject_bytes`] has it.
fn subject_bound(row: &rusqlite::Row<'_>) -> rusqlite::Result<Vec<u8>> {
    let (tenant, kind, subject): ([u8; 16], u8, [u8; 16]) = (row.get(2)?, row.get(3)?, row.get(4)?);
    Ok([&b"s"[..], &[kind], &tenant, &subject].concat())
}

fn raise(transaction: &rusqlite::Transaction<'_>) -> rusqlite::Result<u64> {
    transaction.query_row(
        "UPDATE meta SET generation = generation + 1 RETURNING generation",
        [],
        |row| row.get(0),
    )
}

fn site_bytes(bucket: &Bucket) -> &[u8] {
    bucket.site.as_ref().map_or(&[], |site| site.as_bytes().as_slice())
}

fn unwrap(master: &ValueKey, bound: &[u8], wrapped: &[u8]) -> Result<Secret, SealError> {
    let plain = zeroize::Zeroizing::new(master.unseal(bound, wrapped)?);
    let mut key = Secret::default();
    if plain.len() != KEY_BYTES {
        return Err(SealError::Tampered);
    }
    key.copy_from_slice(&plain);
    Ok(key)
}

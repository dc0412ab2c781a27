//! A copy of the database as of one moment, made while the writer goes on; and a copy looked at,
//! and put back.
//!
//! Lives here: the snapshot and its way into another file, what is put right in that file so that
//! it needs no other, and who has the lock of the log meanwhile. Not here: where copies go, what
//! stands beside them and whether they are whole (`backup`). Called by `backup`.
//!
//! All that the journal has is brought into the database first. Then one read transaction holds the
//! moment: SQLite's log keeps what is written after it apart, so acks wait for nothing. The log
//! cannot be emptied for as long.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use super::ack_mark::{AckMark, AckMarkFile};
use super::file::{self, FolderLock, Meta};
use super::{InspectedData, OpenError, SqliteStore, StoreId};
use crate::privacy::seal::Bucket;
use crate::read_only;
use crate::store::StoreError;

/// Pages that are copied between two looks at the pace: 256 KiB.
const STEP_PAGES: i32 = 64;
/// Bytes after which what was copied is synced. A sync of an ack waits for what others have not
/// synced yet.
const SYNC_BYTES: u64 = 4 * 1024 * 1024;
/// How long somebody else's lock is waited for before the next try.
const LOCKED_PAUSE: Duration = Duration::from_millis(10);
/// Steps of SQLite's machine between two looks at the pace.
const REST_OPS: i32 = 500;
/// Where a file says that it has a log: two bytes, 2 for yes and 1 for no.
const FORMAT_AT: u64 = 18;

/// Called every so often by what reads long: rests if it has to, and says whether to stop.
pub type Rest = Box<dyn FnMut() -> bool + Send>;

/// How fast a copy may go.
pub trait Pace: Send + 'static {
    /// So many bytes of so many are copied: rests if it has to. `false`: stop.
    fn copied(&mut self, done: u64, of: u64) -> bool;
    /// The same for what reads and does not copy.
    fn rest(&self) -> Rest;
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The journal could not be brought into the database.
    #[error(
        "the store takes nothing now, and what is in its journal cannot be brought into the database"
    )]
    Store(#[from] StoreError),
    /// It was told to.
    #[error("it was stopped")]
    Stopped,
    /// SQLite, at the data or at the copy.
    #[error("cannot {act} {}", path.display())]
    File {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    /// The copy's disk.
    #[error("cannot {act} {}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What a copy is.
#[derive(Debug, Clone, Copy)]
pub struct Copied {
    /// Which data it is of.
    pub id: StoreId,
    /// The version of its tables.
    pub version: u32,
    /// The key store's number that it needs at least.
    pub generation: u64,
    /// How much is in it.
    pub rows: Rows,
    /// Its size.
    pub bytes: u64,
}

/// How many rows of what people made there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    pub tenants: u64,
    pub sites: u64,
    pub agents: u64,
    pub visitors: u64,
    pub conversations: u64,
    pub messages: u64,
}

impl Rows {
    /// Counts them in an open file.
    pub(super) fn count(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT (SELECT count(*) FROM tenants), (SELECT count(*) FROM sites),
            (SELECT count(*) FROM agents), (SELECT count(*) FROM visitors),
            (SELECT count(*) FROM conversations), (SELECT count(*) FROM messages)";
        connection.query_row(sql, [], |row| {
            Ok(Self {
                tenants: row.get(0)?,
                sites: row.get(1)?,
                agents: row.get(2)?,
                visitors: row.get(3)?,
                conversations: row.get(4)?,
                messages: row.get(5)?,
            })
        })
    }
}

/// Who has the lock of the log, and what was cleaned up while somebody copied.
#[derive(Debug, Default)]
pub(super) struct LogLock {
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Their rows are gone; what the log kept of them goes when the copy is done. Until then they
    /// are on the list in the file, so that a crash brings them back.
    left: Mutex<Vec<(Bucket, i64)>>,
}

impl LogLock {
    /// The lock of whoever empties the log after these were cleaned up; `None` while somebody
    /// copies: the writer would wait for them, and acks for the writer. It is done after the copy.
    pub(super) fn to_empty(&self, cleaned: &[(Bucket, i64)]) -> Option<OwnedMutexGuard<()>> {
        let mut left = self.left.lock();
        let lock = Arc::clone(&self.lock).try_lock_owned().ok();
        if lock.is_none() {
            left.extend_from_slice(cleaned);
        }
        lock
    }

    /// Those that wait for a copy's end are cleaned up as far as they can be.
    pub(super) fn leave_out(&self, buckets: &mut Vec<Bucket>) {
        let left = self.left.lock();
        buckets.retain(|bucket| left.iter().all(|(other, _)| other != bucket));
    }
}

impl SqliteStore {
    /// Copies the database as it is now into `to`, an empty file: everything that was acked before
    /// the call is in it. The copy needs no other file, and the store goes on meanwhile.
    ///
    /// # Errors
    /// If the store takes nothing, a file cannot be read or written, or the pace says stop.
    pub async fn copy(&self, to: PathBuf, pace: impl Pace) -> Result<Copied, CopyError> {
        let lock = Arc::clone(&self.shared.log.lock).lock_owned().await;
        // Any act is a transaction that takes over the whole journal.
        self.act(|_| Ok(())).await?;
        let folder = self.shared.folder.clone();
        let bytes = Arc::clone(&self.shared.bytes);
        let copying = tokio::task::spawn_blocking(move || {
            // Not closed as long as the copy has the database open.
            let _bytes = bytes;
            // Held to the end of the work, also where nobody waits for it any more.
            let _log_lock = lock;
            copy(&folder, &to, pace)
        });
        let copied = copying.await.unwrap_or(Err(CopyError::Stopped));
        self.empty_log_after_copy().await;
        copied
    }

    async fn empty_log_after_copy(&self) {
        let _log_lock = Arc::clone(&self.shared.log.lock).lock_owned().await;
        let left = std::mem::take(&mut *self.shared.log.left.lock());
        if left.is_empty() {
            return;
        }
        if let Err(error) = self.leave_nothing(left).await {
            tracing::warn!(%error, "what was cleaned up during a copy is cleaned up once more by the next sweep");
        }
    }

    /// Looks at a copy that lies in one file, as [`super::look`] does at a folder.
    ///
    /// # Errors
    /// If it is damaged, from a later version or another program's, or `rest` said stop.
    pub fn look_at_copy(path: &Path, rest: Rest) -> Result<InspectedData, OpenError> {
        let failed = |act| file::refused(act, path);
        let mut connection = read_only::open(path).map_err(failed("open"))?;
        connection.progress_handler(REST_OPS, Some(rest)).map_err(failed("open"))?;
        let (id, version) = file::marks(&connection).map_err(failed("read"))?;
        let known = file::judge(path, id, version)?;
        let verdict: String = connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(failed("check"))?;
        let meta = file::meta(&connection).map_err(failed("read"))?;
        let (Some(Meta { known: about, generation, keys_fingerprint }), "ok") =
            (meta, verdict.as_str())
        else {
            return Err(OpenError::Corrupt { path: path.to_owned(), source: None });
        };
        Ok(InspectedData {
            path: path.to_owned(),
            version,
            known,
            keys: Some((generation, keys_fingerprint)),
            id: Some(about.id),
            connection: Mutex::new(connection),
        })
    }

    /// Takes a folder into which a copy is to be put; makes it where there is none.
    ///
    /// # Errors
    /// If another process has it, or it cannot be made.
    pub fn lock_to_restore(folder: &Path) -> Result<FolderLock, OpenError> {
        file::lock_unjudged(folder)
    }

    /// From now on no start takes the folder, until [`SqliteStore::end_restore`]. `about` is kept
    /// there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin_restore(folder: &Path, about: &str) -> io::Result<()> {
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(file::restoring_path(folder))?;
        file.write_all(about.as_bytes())?;
        file.sync_all()?;
        File::open(folder)?.sync_all()
    }

    /// What [`SqliteStore::begin_restore`] was told; `None` where no restore was cut off.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn half_restored(folder: &Path) -> io::Result<Option<String>> {
        match std::fs::read_to_string(file::restoring_path(folder)) {
            Ok(about) => Ok(Some(about)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A copy lies in the folder under its name: marks that all of it is there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn mark_restored(folder: &Path) -> Result<(), OpenError> {
        let path = file::database_path(folder);
        let meta = read_only::open(&path).and_then(|file| file::meta(&file));
        let meta = meta.map_err(file::refused("read", &path))?;
        let Some(Meta { known, .. }) = meta else {
            return Err(OpenError::Corrupt { path, source: None });
        };
        let (id, commits) = (known.id, known.commits);
        AckMarkFile::begin(
            folder,
            AckMark { id, commits, in_file: commits, journal: known.checkpointed },
        );
        Ok(())
    }

    /// Looks at the data in a folder that this process has taken, or that is being restored.
    ///
    /// # Errors
    /// As [`super::look`].
    pub fn look_at_restored(folder: &Path) -> Result<Option<InspectedData>, OpenError> {
        file::look_inside(folder)
    }

    /// The folder is whole: a start may take it.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn end_restore(folder: &Path) -> io::Result<()> {
        std::fs::remove_file(file::restoring_path(folder))?;
        File::open(folder)?.sync_all()
    }

    /// What a restore makes in a data folder beside the copy.
    pub fn traces_of(folder: &Path) -> Vec<PathBuf> {
        vec![super::ack_mark::path(folder), folder.join(file::LOCK_FILE)]
    }
}

fn copy(folder: &Path, to: &Path, mut pace: impl Pace) -> Result<Copied, CopyError> {
    let data = file::database_path(folder);
    let of_data = |act| {
        let path = data.clone();
        move |source| CopyError::File { act, path, source }
    };
    let of_copy = |act| move |source| CopyError::File { act, path: to.to_owned(), source };
    let of_disk = |act| move |source| CopyError::Io { act, path: to.to_owned(), source };
    let from = file::connect_reader(folder).map_err(of_data("open"))?;
    from.execute_batch("BEGIN").map_err(of_data("read"))?;
    // The first read holds the moment.
    let meta = file::meta(&from).map_err(of_data("read"))?;
    let Some(Meta { known, generation, .. }) = meta else {
        return Err(of_data("read")(rusqlite::Error::QueryReturnedNoRows));
    };
    let (_, version) = file::marks(&from).map_err(of_data("read"))?;
    let page_bytes: u64 =
        from.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(of_data("read"))?;
    let disk = File::options().read(true).write(true).open(to).map_err(of_disk("open"))?;
    {
        let mut into = connect(to).map_err(of_copy("open"))?;
        let backup = Backup::new(&from, &mut into).map_err(of_copy("write to"))?;
        let mut synced = 0;
        loop {
            let step = backup.step(STEP_PAGES).map_err(of_copy("copy the data into"))?;
            let progress = backup.progress();
            let bytes = |pages: i32| u64::try_from(pages).unwrap_or_default() * page_bytes;
            let (of, left) = (bytes(progress.pagecount), bytes(progress.remaining));
            let done = of.saturating_sub(left);
            if done - synced >= SYNC_BYTES {
                disk.sync_data().map_err(of_disk("sync"))?;
                synced = done;
            }
            if !pace.copied(done, of) {
                return Err(CopyError::Stopped);
            }
            if step == StepResult::Done {
                break;
            }
            if matches!(step, StepResult::Busy | StepResult::Locked) {
                rest(LOCKED_PAUSE);
            }
        }
    }
    drop(from);
    // It has no log, and no journal that would be missed.
    disk.write_all_at(&[1, 1], FORMAT_AT).map_err(of_disk("write to"))?;
    let mut into = connect(to).map_err(of_copy("open"))?;
    into.progress_handler(REST_OPS, Some(pace.rest())).map_err(of_copy("open"))?;
    into.execute("UPDATE meta SET journal_need = 0, in_file = commits", [])
        .map_err(of_copy("write to"))?;
    let rows = Rows::count(&into).map_err(of_copy("read"))?;
    into.close().map_err(|(_, source)| of_copy("close")(source))?;
    disk.sync_all().map_err(of_disk("sync"))?;
    let bytes = disk.metadata().map_err(of_disk("look at"))?.len();
    Ok(Copied { id: known.id, version, generation, rows, bytes })
}

/// The copy, which nobody else knows of yet: whoever is cut off begins anew.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Without locks: the file has one already, and on some file systems the two kinds are in each
    // other's way.
    let connection = Connection::open_with_flags_and_vfs(path, flags, "unix-none")?;
    connection.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA secure_delete = ON;
         PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;",
    )?;
    Ok(connection)
}

#[expect(clippy::disallowed_methods, reason = "on a thread for what blocks")]
fn rest(time: Duration) {
    std::thread::sleep(time);
}

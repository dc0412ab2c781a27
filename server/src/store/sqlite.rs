//! The embedded store: one SQLite file in a folder of its own, one writer, a few readers.
//!
//! Lives here: the port's implementation, opening and closing. Below: the file and its checks, the
//! writer and its batches, rows in and out, what is sealed with what, clean-up. Not here: keys
//! (`keys`, through the port `Sealer`), when something is due (`privacy`). Opened by the assembly;
//! used by hub, api and auth through the trait `Store`.

mod memtable;
pub mod audit;
mod beside;
mod checkpointer;
mod cleanup;
mod copy;
mod transaction;
mod fault;
mod feed;
mod file;
mod gaps;
mod journal;
mod ack_mark;
mod opening;
mod read;
mod records;
mod repair;
mod row;
mod short;
mod completion;
mod unreadable;
mod writer;
mod port;
mod clearing;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use protocol::ids::ConversationId;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use self::ack_mark::{AckMark, AckMarkFile};
use self::checkpointer::Checkpointer;
use self::completion::CompletionThread;
use self::copy::LogLock;
use self::memtable::{Memtable, Waiting};
use self::opening::Opened;
use self::short::Short;
use self::transaction::Memory;
use self::writer::{Job, Rate, Work, Writer};
use super::{Completion, NoStats, Result, StoreError, StoreStats};
use crate::clock::Clock;
use crate::metrics::StoreOp;
use crate::privacy::seal::Sealer;
use crate::tasks;

pub(in crate::store) use self::beside::RecordsInMemory;
pub use self::completion::TellTogether;
pub use self::copy::{Copied, CopyError, Pace, Rest, Rows};
pub(in crate::store) use self::fault::Fault;
pub(in crate::store) use self::feed::Changed;
pub use self::file::{FolderLock, Identity, identity, lock, look, version};
pub use self::journal::{JournalFault, StoreId};
pub use self::opening::{Counted, InspectedData, Inspection, OpenError, count};
pub(in crate::store) use self::read::Reader;
pub use self::repair::{Repaired, repair};
pub(in crate::store) use self::transaction::{Transaction, locks};

/// The store's bounds.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// Permits of the writer's queue: jobs that may be in it.
    pub queue_len: usize,
    /// How long a sender waits for one before being refused.
    pub patience: Duration,
    /// Connections that read at the same time.
    pub readers: usize,
    /// How long a busy writer waits for neighbours of a batch.
    pub linger: Duration,
    /// Around the completions of what was committed together.
    pub tell_together: TellTogether,
    /// Who counts.
    pub stats: Arc<dyn StoreStats>,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            queue_len: 8_192,
            patience: Duration::from_secs(2),
            readers: 4,
            linger: Duration::from_millis(2),
            tell_together: |tell| tell(),
            stats: Arc::new(NoStats),
        }
    }
}

/// Sizes of the files in the data folder, in bytes; 0: it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileBytes {
    pub database: u64,
    /// What is not moved into the database yet.
    pub log: u64,
    /// Of full size from the start.
    pub journal: u64,
    /// For clean-up on a full disk.
    pub reserve: u64,
}

/// The store of one server.
#[derive(Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    id: StoreId,
    patience: Duration,
    closed: tokio::sync::Mutex<Option<oneshot::Receiver<()>>>,
}

struct Shared {
    folder: PathBuf,
    sealer: Arc<dyn Sealer>,
    clock: Arc<dyn Clock>,
    stats: Arc<dyn StoreStats>,
    /// One permit for each job that the writer's queue takes.
    permits: Arc<Semaphore>,
    /// None once closed. Full: never, a permit was taken.
    jobs: Mutex<Option<SyncSender<Job>>>,
    completion_thread: CompletionThread,
    /// What is acked and not in the file yet.
    memtable: Arc<Memtable>,
    healthy: Arc<AtomicBool>,
    readers: Arc<Semaphore>,
    /// Idle connections; at most as many as there are permits.
    idle: Mutex<Vec<Connection>>,
    /// The only one, where the disk had no room at the start and has none yet.
    alone: Arc<Mutex<Option<Connection>>>,
    short: Mutex<Short>,
    /// Who has the lock of the log: whoever copies needs it as it is, whoever cleans up empties it.
    log: LogLock,
    /// Held as long as anything here has the database open. Last: a file that is closed takes the
    /// locks of this process on it along, those of SQLite too.
    bytes: Arc<File>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// What this data is known by: keys, journal and mark name it too.
    pub fn id(&self) -> StoreId {
        self.id
    }

    /// Opens the data in `folder`, or begins it.
    ///
    /// # Errors
    /// If it is in use, damaged, not writable, from a later version, or not sealed with these keys.
    pub fn open(
        folder: &Path,
        sealer: Arc<dyn Sealer>,
        config: &SqliteConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        Self::open_locked(folder, lock(folder)?, sealer, config, clock)
    }

    /// The same in a folder that is taken already.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    #[expect(clippy::too_many_lines, reason = "one step after the other: a start reads best whole")]
    pub fn open_locked(
        folder: &Path,
        lock: FolderLock,
        sealer: Arc<dyn Sealer>,
        config: &SqliteConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let opened = opening::open(folder, &*sealer, clock.now())?;
        let Opened { connection, alone, id, commits, checkpointed, found, in_file } = opened;
        let path = file::database_path(folder);
        let in_place = file::InPlace::of(path.clone()).map_err(file::io("look at", &path))?;
        let bytes = File::options().read(true).write(true).open(&path);
        let bytes = Arc::new(bytes.map_err(file::io("open", &path))?);
        let readers = config.readers.max(1);
        let open = |source| OpenError::File { act: "open", path: path.clone(), source };
        let connect = || file::connect_reader(folder);
        // Where one reads alone, nobody else can.
        let (mut idle, mut short) = (Vec::new(), None);
        if alone.is_none() {
            idle = (0..readers).map(|_| connect()).collect::<Result<_, _>>().map_err(open)?;
            short = Some(connect().map_err(open)?);
        }
        let short = Short::new(short, clock.instant()).map_err(open)?;
        let queue_len = config.queue_len.max(1);
        let (jobs_tx, jobs) = sync_channel(queue_len);
        let thread = |source| file::io("start a thread for", &path)(source);
        let completion_thread = CompletionThread::start(config.tell_together).map_err(thread)?;
        let memtable = Arc::new(Memtable::default());
        let mut checkpointer = Checkpointer::after(checkpointed);
        if found.reached != checkpointed {
            let waiting = opening::waiting(folder, alone.as_ref(), &found)?;
            checkpointer.waits(found.reached, waiting.len(), clock.instant());
            memtable.add(waiting.into_iter());
        }
        let healthy = Arc::new(AtomicBool::new(connection.is_some()));
        let permits = Arc::new(Semaphore::new(queue_len));
        let journal =
            connection.as_ref().and_then(|_| file::make_journal(folder, id, checkpointed));
        let alone = Arc::new(Mutex::new(alone));
        let mut writer = Writer {
            folder: folder.to_owned(),
            connection,
            sealer: Arc::clone(&sealer),
            clock: Arc::clone(&clock),
            stats: Arc::clone(&config.stats),
            healthy: Arc::clone(&healthy),
            jobs,
            database: in_place,
            log: None,
            completion_thread: completion_thread.clone(),
            journal,
            journal_noted: None,
            id,
            commits,
            mark: AckMarkFile::begin(
                folder,
                AckMark { id, commits, in_file, journal: found.reached },
            ),
            alone: Arc::clone(&alone),
            memtable: Arc::clone(&memtable),
            checkpointer,
            memory: Memory::new(),
            rate: Rate::new(clock.instant()),
            log_pages: 0,
            linger: config.linger,
            permits: Arc::clone(&permits),
            queue_len,
            bytes: Arc::clone(&bytes),
        };
        // Before anybody reads: what is read cannot be moved into the file.
        writer.note_use();
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            sealer,
            clock,
            stats: Arc::clone(&config.stats),
            permits,
            jobs: Mutex::new(Some(jobs_tx)),
            completion_thread,
            memtable,
            healthy,
            readers: Arc::new(Semaphore::new(readers)),
            idle: Mutex::new(idle),
            alone,
            short: Mutex::new(short),
            log: LogLock::default(),
            bytes,
        });
        let (closed_tx, closed) = oneshot::channel();
        tasks::thread("store writer", move || {
            writer.run();
            drop(lock);
            // Nobody waits where the store was dropped without being closed.
            let _nobody = closed_tx.send(());
        })
        .map_err(thread)?;
        Ok(Self {
            shared,
            id,
            patience: config.patience,
            closed: tokio::sync::Mutex::new(Some(closed)),
        })
    }

    /// Bytes of each file on disk.
    pub fn bytes(&self) -> FileBytes {
        let folder = &self.shared.folder;
        FileBytes {
            database: file::bytes_of(&file::database_path(folder)),
            log: file::bytes_of(&file::wal_path(folder)),
            journal: file::bytes_of(&journal::path(folder)),
            reserve: file::bytes_of(&file::reserve_path(folder)),
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let permits = Arc::clone(&self.shared.permits);
        match tokio::time::timeout(self.patience, permits.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(StoreError::Unavailable { act: "write after the end" }),
            Err(_) => Err(StoreError::Full),
        }
    }

    async fn work(&self, work: Work) -> Result<()> {
        let permit = self.permit().await?;
        let (told, completion) = oneshot::channel();
        let completion_tx: Completion = Box::new(move |outcome| {
            // Whoever asked may have gone.
            let _nobody = told.send(outcome);
        });
        self.shared.put(Job { work, completion: completion_tx, permit });
        completion.await.unwrap_or(Err(StoreError::Unavailable { act: "write" }))
    }

    async fn act(
        &self,
        act: impl FnOnce(&mut Transaction<'_>) -> Result<(), Fault> + Send + 'static,
    ) -> Result<()> {
        self.work(Work::Act(Box::new(act))).await
    }

    /// A write that answers.
    async fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.act(move |transaction| {
            let value = act(transaction)?;
            let _nobody = answer.send(value);
            Ok(())
        })
        .await?;
        answered.await.map_err(|_| StoreError::Unavailable { act: "write" })
    }

    async fn read<T: Send + 'static>(
        &self,
        act: &'static str,
        read: impl FnOnce(&Reader<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        self.read_with(act, Waiting::default(), read).await
    }

    /// A question about the messages of a conversation: those that are not in the file yet are
    /// among them.
    async fn read_of<T: Send + 'static>(
        &self,
        act: &'static str,
        conversation: ConversationId,
        read: impl FnOnce(&Reader<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        // Looked for first: what has left the memtable by then is in the file.
        self.read_with(act, self.shared.memtable.of(conversation), read).await
    }

    async fn read_with<T: Send + 'static>(
        &self,
        act: &'static str,
        waiting: Waiting,
        read: impl FnOnce(&Reader<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let gone = move |_| StoreError::Unavailable { act };
        let permit = Arc::clone(&self.shared.readers).acquire_owned().await.map_err(gone)?;
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || {
            let began = shared.clock.instant();
            let value = shared.read(&waiting, read);
            match &value {
                // What is refused was read well.
                Ok(_) | Err(Fault::Refused(_)) => {
                    shared.stats.read(shared.clock.instant().saturating_duration_since(began));
                }
                Err(_) => shared.stats.failed(StoreOp::Read),
            }
            drop(permit);
            value
        });
        match task.await {
            Ok(outcome) => outcome.map_err(|fault| fault.told(act)),
            Err(_) => Err(StoreError::Unavailable { act }),
        }
    }
}

impl Shared {
    /// Puts a job into the queue, or runs its completion if there is no queue any more.
    fn put(&self, job: Job) {
        let job = {
            let jobs = self.jobs.lock();
            match jobs.as_ref() {
                Some(sender) => match sender.try_send(job) {
                    Ok(()) => return,
                    Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => job,
                },
                None => job,
            }
        };
        let refused = Err(StoreError::Unavailable { act: "write after the end" });
        self.completion_thread.tell(vec![(job.completion, refused)]);
    }

    fn read<T>(
        &self,
        waiting: &Waiting,
        read: impl FnOnce(&Reader<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if let Some(alone) = self.alone.lock().as_ref() {
            return self.transaction(alone, waiting, read)?.0;
        }
        let taken = self.idle.lock().pop();
        let connection = match taken {
            Some(connection) => connection,
            None => file::connect_reader(&self.folder)?,
        };
        let (value, ended) = self.transaction(&connection, waiting, read)?;
        // A connection that cannot end its transaction is closed instead of being kept.
        if ended {
            self.idle.lock().push(connection);
        }
        value
    }

    /// Reads on the caller's thread what takes a few microseconds; to be handed to another thread
    /// and back takes twenty. `None` where it might take longer or did not succeed: ask the
    /// readers.
    fn read_at_once<T>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T, Fault>) -> Option<T> {
        let mut short = self.short.try_lock()?;
        let began = self.clock.instant();
        let outcome = self.transaction(short.awake(began)?, &Waiting::default(), read);
        let now = self.clock.instant();
        let took = now.saturating_duration_since(began);
        match outcome {
            Ok((Ok(value), true)) => {
                short.took(took);
                self.stats.read(took);
                return Some(value);
            }
            Ok((_, true)) | Err(_) => short.failed(now),
            Ok((_, false)) => short.close(),
        }
        None
    }

    /// One read transaction; whether it ended as well.
    fn transaction<T>(
        &self,
        connection: &Connection,
        waiting: &Waiting,
        read: impl FnOnce(&Reader<'_>) -> Result<T, Fault>,
    ) -> Result<(Result<T, Fault>, bool), Fault> {
        connection.prepare_cached("BEGIN")?.execute([])?;
        let (sealer, now) = (&*self.sealer, self.clock.now());
        let reader = Reader { connection, sealer, now, waiting: &waiting.rows() };
        let value = read(&reader);
        let ended = connection.prepare_cached("COMMIT").and_then(|mut end| end.execute([]));
        Ok((value, ended.is_ok()))
    }
}

#[cfg(test)]
pub(crate) mod tests;

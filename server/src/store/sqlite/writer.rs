//! The one writer: drains the bounded queue, syncs what waits as one batch, and runs its
//! completions after the sync.
//!
//! A batch of messages about which the database need not be asked is synced in the journal, and
//! moved into the database later, a slice between two batches. Every other batch is one
//! transaction, which first takes over everything that is in the journal.
//!
//! A batch that cannot be synced is stored nowhere and told so to each of its members; the
//! connection is closed and opened anew, because after a failed sync nothing that it believes can
//! be trusted.

mod log;
mod checkpointed;
mod commit;

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use self::log::{WalCheckpoint, wal_checkpoint};
use super::ack_mark::AckMarkFile;
use super::checkpointer::Checkpointer;
use super::completion::CompletionThread;
use super::fault::Fault;
use super::file;
use super::file::InPlace;
use super::gaps::Walk;
use super::journal::{Journal, StoreId};
use super::memtable::Memtable;
use super::transaction::{Memory, Transaction};
use crate::clock::Clock;
use crate::privacy::seal::Sealer;
use crate::store::{Completion, StoreStats, Write, Wrote};

/// Jobs that are committed together at most.
const BATCH_JOBS_MAX: usize = 1_024;
/// Above so many jobs a second the writer may wait a moment, so that more of them share one sync.
const LINGER_FROM_PER_SECOND: u64 = 1_000;
/// So many jobs wait on average when a batch begins, before it does: with fewer the disk keeps up,
/// and to wait would cost every ack more than the syncs that are saved.
const LINGER_FROM_WAITING: u64 = 8;
/// Over so long the rate is measured.
const RATE_WINDOW: Duration = Duration::from_millis(100);
/// Rows in the journal with which a checkpoint begins.
const CHECKPOINT_FROM_ROWS: usize = 16_384;
/// How long a row stays in the journal alone where fewer come.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(1);
/// Rows of a checkpoint between two batches, at least; more where more come, so that it gets ahead
/// of them. No ack, and on a machine with few cores no reader, waits longer than for these.
const CHECKPOINT_SLICE_ROWS: usize = 64;
/// Between two slices, where no batch is.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(1);

/// How that is estimated: pages of each commit, and rows that share a page.
const PAGES_OF_A_COMMIT: usize = 4;
const ROWS_OF_A_PAGE: usize = 4;

/// How often a disk that failed is tried again, and whether the files are still there is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) type Told = oneshot::Sender<Result<Vec<Wrote>, usize>>;
pub(super) type Act = Box<dyn FnOnce(&mut Transaction<'_>) -> Result<(), Fault> + Send>;

/// What a job does.
pub(super) enum Work {
    /// What came of each goes to whoever asks, or which of them was refused.
    Writes(Vec<Write>, Option<Told>),
    Act(Act),
    /// Empties the log, after everything before it is committed.
    EmptyLog,
    /// The next slice of a walk that zeroes the gaps in the file's pages. It empties the log where
    /// it is not.
    ClearGaps(Arc<Walk>),
    /// The reserve is given to the disk, or made again.
    Reserve {
        free: bool,
    },
}

impl Work {
    fn messages(&self) -> usize {
        match self {
            Self::Writes(writes, _) => {
                writes.iter().filter(|write| matches!(write, Write::Message(_))).count()
            }
            Self::Act(_) | Self::EmptyLog | Self::ClearGaps(_) | Self::Reserve { .. } => 0,
        }
    }
}

/// One entry of the queue. Its permit is free again when its outcome is known.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) completion: Completion,
    pub(super) permit: OwnedSemaphorePermit,
}

/// All that the writer's thread owns.
pub(super) struct Writer {
    pub(super) folder: PathBuf,
    pub(super) connection: Option<Connection>,
    pub(super) sealer: Arc<dyn Sealer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stats: Arc<dyn StoreStats>,
    pub(super) healthy: Arc<AtomicBool>,
    pub(super) jobs: Receiver<Job>,
    pub(super) completion_thread: CompletionThread,
    pub(super) database: InPlace,
    /// Its log, once there is one.
    pub(super) log: Option<InPlace>,
    /// None where the disk had no room for it.
    pub(super) journal: Option<Journal>,
    /// With which commit the database said that there is one: until then nothing may be in it.
    pub(super) journal_noted: Option<u64>,
    pub(super) id: StoreId,
    /// How often the database was committed, and where that is marked.
    pub(super) commits: u64,
    pub(super) mark: AckMarkFile,
    /// Whoever reads alone while there is no room for more.
    pub(super) alone: Arc<Mutex<Option<Connection>>>,
    pub(super) memtable: Arc<Memtable>,
    pub(super) checkpointer: Checkpointer,
    pub(super) memory: Memory,
    pub(super) rate: Rate,
    pub(super) log_pages: usize,
    /// How long that moment is.
    pub(super) linger: Duration,
    /// The queue's permits; those that are taken wait or are in the batch.
    pub(super) permits: Arc<Semaphore>,
    pub(super) queue_len: usize,
    /// The database's bytes, below SQLite. Last: a file that is closed takes the locks of this
    /// process on it along.
    pub(super) bytes: Arc<File>,
}

/// How long the steps of a batch took.
#[derive(Default)]
struct Steps {
    keys: Duration,
    sync: Duration,
}

/// How many jobs come in a second and whether the disk keeps up with them, by the last window.
pub(super) struct Rate {
    since: Instant,
    jobs: u64,
    batches: u64,
    /// Jobs that were there when their batch began.
    waiting: u64,
    high: bool,
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, jobs: 0, batches: 0, waiting: 0, high: false }
    }

    fn count(&mut self, jobs: usize, waiting: usize, now: Instant) {
        self.jobs += u64::try_from(jobs).unwrap_or(u64::MAX);
        self.waiting += u64::try_from(waiting).unwrap_or(u64::MAX);
        self.batches += 1;
        let passed = now.saturating_duration_since(self.since);
        if passed >= RATE_WINDOW {
            let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
            let many = self.jobs.saturating_mul(1_000) / passed_ms > LINGER_FROM_PER_SECOND;
            self.high = many && self.waiting / self.batches >= LINGER_FROM_WAITING;
            *self = Self { high: self.high, ..Self::new(now) };
        }
    }
}

impl Writer {
    /// Works until every sender is gone and the queue is empty.
    pub(super) fn run(mut self) {
        file::make_reserve(&self.folder);
        loop {
            match self.next() {
                Ok(job) => {
                    let rows_before = self.checkpointer.young_rows;
                    self.batch(job);
                    if self.checkpoint_in().is_some_and(|wait| wait <= CHECKPOINT_PAUSE) {
                        let came = self.checkpointer.young_rows.saturating_sub(rows_before);
                        self.checkpoint_rows(CHECKPOINT_SLICE_ROWS.max(2 * came));
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.is_healthy() => {
                    if let Err(fault) = self.look() {
                        self.fail(fault);
                    } else if self.checkpoint_in().is_some_and(|wait| wait <= CHECKPOINT_PAUSE) {
                        self.checkpoint_rows(CHECKPOINT_SLICE_ROWS);
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.heal(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.end_journal();
        if let Some(connection) = self.connection.take() {
            match wal_checkpoint(&connection, "TRUNCATE") {
                Ok(WalCheckpoint { is_whole: true, .. }) => self.mark.wal_checkpointed(),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "the log could not be emptied at the end");
                }
            }
            drop(connection);
        }
    }

    /// Has the database's own file say that there is a journal, so that it is missed when it and
    /// the log are gone. A reader may keep the log from the file: then that is tried again after
    /// each batch.
    pub(super) fn note_use(&mut self) {
        if self.journal.is_none() || self.connection.is_none() {
            return;
        }
        let noted = self.write_database(Vec::new(), &[], &mut Steps::default());
        if let Err(fault) = noted {
            self.fail(fault);
        }
        self.wal_checkpoint_when_due();
    }

    /// Brings over what the journal has, and has the database say that it is not needed any more.
    fn end_journal(&mut self) {
        let written = self.journal.take().and_then(|journal| journal.written());
        self.checkpointer.reached = written.unwrap_or(self.checkpointer.reached);
        if let Err(fault) = self.write_database(Vec::new(), &[], &mut Steps::default()) {
            // It stays in the journal, where the next start finds it.
            self.fail(fault);
        }
    }

    /// The next job, or `Timeout` when there is something to do without one.
    fn next(&self) -> Result<Job, RecvTimeoutError> {
        let checkpoint_in = self.checkpoint_in().filter(|_| self.is_healthy());
        self.jobs.recv_timeout(checkpoint_in.unwrap_or(LOOK_EVERY).min(LOOK_EVERY))
    }

    /// Whether the files are where they were. What went into one that is not there any more is
    /// acked to nobody.
    fn look(&mut self) -> Result<(), Fault> {
        if !self.database.holds() {
            return Err(Fault::Gone("livehelp.sqlite"));
        }
        if self.log.is_none() {
            self.log = InPlace::of(file::wal_path(&self.folder)).ok();
        }
        if self.log.as_ref().is_some_and(|log| !log.holds()) {
            return Err(Fault::Gone("livehelp.sqlite-wal"));
        }
        if self.journal.as_ref().is_some_and(|journal| !journal.is_in_place()) {
            return Err(Fault::Gone("livehelp.journal"));
        }
        Ok(())
    }

    /// In how long a slice of the next checkpoint is due; `None`: there is nothing.
    fn checkpoint_in(&self) -> Option<Duration> {
        let filling = self.journal.as_ref().is_some_and(Journal::is_filling);
        let Checkpointer { young_rows, young_since, .. } = &self.checkpointer;
        if !self.is_healthy() {
            return None;
        }
        if self.in_transaction() || filling || *young_rows >= CHECKPOINT_FROM_ROWS {
            return Some(CHECKPOINT_PAUSE);
        }
        let age = self.clock.instant().saturating_duration_since((*young_since)?);
        Some(CHECKPOINT_AFTER.saturating_sub(age))
    }

    fn in_transaction(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| !connection.is_autocommit())
    }

    fn batch(&mut self, first: Job) {
        let mut jobs = VecDeque::with_capacity(64);
        let mut last = Self::alone(&first);
        jobs.push_back(first);
        let mut waiting = 1;
        if !last {
            last = self.drain(&mut jobs);
            waiting = jobs.len();
            let gathers = self.rate.high && !self.linger.is_zero();
            if !last && gathers && jobs.len() < BATCH_JOBS_MAX {
                linger(self.linger);
                self.drain(&mut jobs);
            }
        }
        self.rate.count(jobs.len(), waiting, self.clock.instant());
        self.count_waiting();
        let alone = jobs.pop_back_if(|job| Self::alone(job));
        if !jobs.is_empty() {
            self.commit(jobs.into());
        }
        if let Some(job) = alone {
            let outcome = self.outside(job.work);
            self.completion_thread.tell(vec![(job.completion, outcome)]);
            drop(job.permit);
        }
        self.count_waiting();
        self.wal_checkpoint_when_due();
    }

    fn count_waiting(&self) {
        self.stats.waiting(self.queue_len.saturating_sub(self.permits.available_permits()));
    }

    fn alone(job: &Job) -> bool {
        matches!(job.work, Work::EmptyLog | Work::ClearGaps(_) | Work::Reserve { .. })
    }

    /// Takes what waits; whether the last one ends the batch.
    fn drain(&self, jobs: &mut VecDeque<Job>) -> bool {
        while jobs.len() < BATCH_JOBS_MAX {
            let Ok(job) = self.jobs.try_recv() else { return false };
            let last = Self::alone(&job);
            jobs.push_back(job);
            if last {
                return true;
            }
        }
        false
    }

    /// Tries whether the disk takes writes again, so that readiness returns without a sender.
    fn heal(&mut self) {
        let pulse: Act = Box::new(|transaction| {
            transaction.execute("UPDATE meta SET pulse = pulse + 1", [])?;
            Ok(())
        });
        let healed = self
            .look()
            .and_then(|()| self.write_database(vec![Work::Act(pulse)], &[], &mut Steps::default()));
        match healed {
            Ok(_) => {
                tracing::warn!("the database takes writes again");
                self.set_healthy(true);
                file::make_reserve(&self.folder);
                self.make_journal();
            }
            Err(fault) => {
                self.fail(fault);
            }
        }
    }

    /// Makes the journal, if the disk had no room for it before.
    fn make_journal(&mut self) {
        if self.journal.is_none() {
            self.journal =
                file::make_journal(&self.folder, self.id, self.checkpointer.checkpointed);
            self.journal_noted = None;
            self.note_use();
        }
    }

    fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Acquire)
    }

    fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Release);
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, which has nothing else to do")]
fn linger(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::log::wal_checkpoint_at_once;
    use super::*;

    #[test]
    fn a_long_log_is_emptied_but_no_reader_is_waited_for() {
        static WAITED: AtomicBool = AtomicBool::new(false);
        let folder = tempfile::tempdir().unwrap();
        let mut writer = file::connect_writer(folder.path()).unwrap();
        writer.execute_batch("PRAGMA synchronous = OFF; CREATE TABLE long (body BLOB)").unwrap();
        let reader = file::connect_reader(folder.path()).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM long").unwrap();
        writer.execute_batch("INSERT INTO long VALUES (zeroblob(72000000))").unwrap();
        let wait = |_| {
            WAITED.store(true, Ordering::SeqCst);
            false
        };
        writer.busy_handler(Some(wait)).unwrap();
        wal_checkpoint_at_once(&writer).unwrap();
        assert!(!WAITED.load(Ordering::SeqCst), "a reader was in the way");
        let timeout: u64 = writer.query_row("PRAGMA busy_timeout", [], |row| row.get(0)).unwrap();
        assert_eq!(u128::from(timeout), file::BUSY.as_millis(), "others are waited for as before");
        let log = || std::fs::metadata(folder.path().join("livehelp.sqlite-wal")).unwrap().len();
        assert!(log() > 72_000_000);
        reader.execute_batch("COMMIT").unwrap();
        wal_checkpoint_at_once(&writer).unwrap();
        assert_eq!(log(), 0);
    }
}

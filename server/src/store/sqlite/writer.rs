//! The one writer: drains the bounded queue, commits what waits in one transaction, and lets the fates be
//! known after the sync.
//!
//! A batch whose commit fails is stored nowhere and told so to each of its members; the connection is
//! closed and opened anew, because after a failed sync nothing that it believes can be trusted.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::desk::{self, Desk, Memory};
use super::fault::Fault;
use super::file;
use crate::clock::Clock;
use crate::metrics::StoreOp;
use crate::privacy::seal::{SealError, Sealer};
use crate::store::{Committed, Fate, StoreError, StoreStats, Write};

/// Jobs that are committed together at most.
const BATCH_JOBS_MAX: usize = 1_024;
/// Above so many jobs a second the writer waits a moment, so that more of them share one sync.
const LINGER_FROM_PER_SECOND: u64 = 1_000;
/// Over so long the rate is measured.
const RATE_WINDOW: Duration = Duration::from_millis(100);
/// Pages in the log, estimated, after which they are carried into the file.
const CHECKPOINT_PAGES: usize = 2_000;
/// Pages in the log at which the writer insists that it is emptied.
const LOG_PAGES_MAX: i64 = 16_384;
/// How often a disk that failed is tried again.
const HEAL_EVERY: Duration = Duration::from_secs(1);

pub(super) type Act = Box<dyn FnOnce(&mut Desk<'_>) -> Result<(), Fault> + Send>;

/// What a job does.
pub(super) enum Work {
    Writes(Vec<Write>),
    Act(Act),
    /// Empties the log, after everything before it is committed.
    EmptyLog,
    /// The reserve is given to the disk, or made again.
    Reserve {
        free: bool,
    },
}

impl Work {
    fn messages(&self) -> usize {
        match self {
            Self::Writes(writes) => {
                writes.iter().filter(|write| matches!(write, Write::Message(_))).count()
            }
            Self::Act(_) | Self::EmptyLog | Self::Reserve { .. } => 0,
        }
    }
}

/// One entry of the queue. Its place is free again when its fate is known.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) fate: Fate,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Fates of one batch, in the order of the queue.
pub(super) type Fates = Vec<(Fate, Result<(), StoreError>)>;

/// All that the writer's thread owns.
pub(super) struct Writer {
    pub(super) folder: PathBuf,
    pub(super) connection: Option<Connection>,
    pub(super) sealer: Arc<dyn Sealer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stats: Arc<dyn StoreStats>,
    pub(super) healthy: Arc<AtomicBool>,
    pub(super) jobs: Receiver<Job>,
    pub(super) fates: SyncSender<Fates>,
    pub(super) memory: Memory,
    pub(super) rate: Rate,
    pub(super) log_pages: usize,
    /// How long that moment is.
    pub(super) linger: Duration,
    /// The queue's places; those that are taken wait or are in the batch.
    pub(super) places: Arc<Semaphore>,
    pub(super) queue_len: usize,
}

/// How long the steps of a batch took.
#[derive(Default)]
struct Steps {
    keys: Duration,
    sync: Duration,
}

/// How many jobs come in a second, by the last window.
pub(super) struct Rate {
    since: Instant,
    jobs: u64,
    high: bool,
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, jobs: 0, high: false }
    }

    fn count(&mut self, jobs: usize, now: Instant) {
        self.jobs += u64::try_from(jobs).unwrap_or(u64::MAX);
        let passed = now.saturating_duration_since(self.since);
        if passed >= RATE_WINDOW {
            let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
            self.high = self.jobs.saturating_mul(1_000) / passed_ms > LINGER_FROM_PER_SECOND;
            self.jobs = 0;
            self.since = now;
        }
    }
}

impl Writer {
    /// Works until every sender is gone and the queue is empty.
    pub(super) fn run(mut self) {
        file::make_reserve(&self.folder);
        loop {
            let first = if self.healthy.load(Ordering::Acquire) {
                self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.jobs.recv_timeout(HEAL_EVERY)
            };
            match first {
                Ok(job) => self.batch(job),
                Err(RecvTimeoutError::Timeout) => self.heal(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(connection) = self.connection.take() {
            if let Err(error) = checkpoint(&connection, "TRUNCATE") {
                tracing::warn!(error = %error, "the log could not be emptied at the end");
            }
            drop(connection);
        }
    }

    fn batch(&mut self, first: Job) {
        let mut jobs = VecDeque::with_capacity(64);
        let mut last = Self::alone(&first);
        jobs.push_back(first);
        if !last {
            last = self.drain(&mut jobs);
            let gathers = self.rate.high && !self.linger.is_zero();
            if !last && gathers && jobs.len() < BATCH_JOBS_MAX {
                linger(self.linger);
                self.drain(&mut jobs);
            }
        }
        self.rate.count(jobs.len(), self.clock.instant());
        self.count_waiting();
        let alone = jobs.pop_back_if(|job| Self::alone(job));
        if !jobs.is_empty() {
            self.commit(jobs.into());
        }
        if let Some(job) = alone {
            let outcome = self.outside(&job.work);
            self.tell(vec![(job.fate, outcome)]);
            drop(job.permit);
        }
        self.count_waiting();
        self.checkpoint_when_due();
    }

    fn count_waiting(&self) {
        self.stats.waiting(self.queue_len.saturating_sub(self.places.available_permits()));
    }

    fn alone(job: &Job) -> bool {
        matches!(job.work, Work::EmptyLog | Work::Reserve { .. })
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

    // A function of its own in every build: the instruction counts of `benches` are taken inside it.
    #[inline(never)]
    fn commit(&mut self, jobs: Vec<Job>) {
        let len = jobs.len();
        let started = self.clock.instant();
        let mut fates = Vec::with_capacity(len);
        let mut permits = Vec::with_capacity(len);
        let mut works = Vec::with_capacity(len);
        for Job { work, fate, permit } in jobs {
            works.push(work);
            fates.push(fate);
            permits.push(permit);
        }
        let messages = works.iter().map(Work::messages).sum();
        let mut steps = Steps::default();
        let outcomes = match self.attempt(works, &mut steps) {
            Ok(outcomes) => {
                let took = self.clock.instant().saturating_duration_since(started);
                let Steps { keys, sync } = steps;
                self.stats.committed(&Committed { messages, took, keys, sync });
                self.set_healthy(true);
                self.log_pages += 4 + len / 4;
                outcomes
            }
            Err(fault) => self.fail(fault, len),
        };
        self.tell(fates.into_iter().zip(outcomes).collect());
        drop(permits);
    }

    /// All in one transaction; what a job did wrong is its own fate, what the disk did is everyone's.
    fn attempt(
        &mut self,
        works: Vec<Work>,
        steps: &mut Steps,
    ) -> Result<Vec<Result<(), StoreError>>, Fault> {
        let began = self.clock.instant();
        let mut locks = Vec::with_capacity(works.len());
        for work in &works {
            if let Work::Writes(writes) = work {
                desk::locks(writes, &mut locks);
            }
        }
        match self.sealer.prepare(&locks) {
            // What is destroyed shows again where it is used, and is that job's affair.
            Ok(()) | Err(SealError::Destroyed) => {}
            Err(error) => return Err(Fault::Keys(error)),
        }
        steps.keys = self.clock.instant().saturating_duration_since(began);
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => file::connect_writer(&self.folder)?,
        };
        let connection = &*self.connection.insert(connection);
        let mut desk = Desk {
            connection,
            memory: &mut self.memory,
            sealer: &*self.sealer,
            now: self.clock.now(),
        };
        desk.execute("BEGIN IMMEDIATE", [])?;
        let mut outcomes = Vec::with_capacity(works.len());
        for work in works {
            outcomes.push(carry_out(&mut desk, work)?);
        }
        let generation = self.sealer.generation();
        if generation != desk.memory.generation {
            desk.execute("UPDATE meta SET generation = max(generation, ?1)", [generation])?;
            desk.memory.generation = generation;
        }
        let before = self.clock.instant();
        desk.execute("COMMIT", [])?;
        steps.sync = self.clock.instant().saturating_duration_since(before);
        Ok(outcomes)
    }

    fn fail(&mut self, fault: Fault, len: usize) -> Vec<Result<(), StoreError>> {
        self.set_healthy(false);
        self.memory.forget();
        if let Some(connection) = self.connection.take()
            && !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(error = %error, "the failed batch could not be rolled back");
        }
        self.stats.failed(match fault {
            Fault::Keys(_) => StoreOp::Keys,
            Fault::Refused(_) | Fault::File(_) | Fault::Row(_) => StoreOp::Commit,
        });
        let error = fault.told("commit a batch");
        vec![Err(error); len]
    }

    /// Tries whether the disk takes writes again, so that readiness returns without a sender.
    fn heal(&mut self) {
        let pulse: Act = Box::new(|desk| {
            desk.execute("UPDATE meta SET pulse = pulse + 1", [])?;
            Ok(())
        });
        match self.attempt(vec![Work::Act(pulse)], &mut Steps::default()) {
            Ok(_) => {
                tracing::warn!("the database takes writes again");
                self.set_healthy(true);
                file::make_reserve(&self.folder);
            }
            Err(fault) => {
                self.fail(fault, 0);
            }
        }
    }

    fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Release);
    }

    fn outside(&mut self, work: &Work) -> Result<(), StoreError> {
        match work {
            Work::Reserve { free: true } => file::free_reserve(&self.folder),
            Work::Reserve { free: false } => file::make_reserve(&self.folder),
            Work::EmptyLog => {
                let act = "empty the log";
                let connection = self.connection.as_ref().ok_or(StoreError::Unavailable { act })?;
                let (busy, _) = checkpoint(connection, "TRUNCATE")
                    .map_err(|error| Fault::File(error).told(act))?;
                if busy {
                    return Err(StoreError::Unavailable { act });
                }
                self.log_pages = 0;
            }
            Work::Writes(_) | Work::Act(_) => {}
        }
        Ok(())
    }

    /// Runs after the fates of the batch are on their way, so that no ack waits for it.
    fn checkpoint_when_due(&mut self) {
        if self.log_pages < CHECKPOINT_PAGES {
            return;
        }
        let Some(connection) = self.connection.as_ref() else { return };
        let outcome = checkpoint(connection, "PASSIVE").and_then(|(_, pages)| {
            if pages > LOG_PAGES_MAX {
                checkpoint(connection, "TRUNCATE").map(|_| ())
            } else {
                Ok(())
            }
        });
        self.log_pages = 0;
        if let Err(error) = outcome {
            self.fail(Fault::File(error), 0);
        }
    }

    fn tell(&self, fates: Fates) {
        // Fails only once the thread of the fates is gone, which outlives this one.
        if let Err(unsent) = self.fates.send(fates) {
            for (fate, outcome) in unsent.0 {
                fate(outcome);
            }
        }
    }
}

/// One job inside the transaction. More than one statement gets a savepoint, so that it is all or nothing.
fn carry_out(desk: &mut Desk<'_>, work: Work) -> Result<Result<(), StoreError>, Fault> {
    let single = matches!(&work, Work::Writes(writes) if writes.len() <= 1);
    if !single {
        desk.execute("SAVEPOINT job", [])?;
    }
    let outcome = match work {
        Work::Writes(writes) => writes.iter().try_for_each(|write| desk.write(write)),
        Work::Act(act) => act(desk),
        Work::EmptyLog | Work::Reserve { .. } => Ok(()),
    };
    let outcome = match outcome {
        Ok(()) => Ok(()),
        Err(fault) if fault.is_of_the_disk() => return Err(fault),
        Err(fault) => {
            if !single {
                desk.execute("ROLLBACK TO job", [])?;
                desk.memory.forget();
            }
            Err(fault.told("write a row"))
        }
    };
    if !single {
        desk.execute("RELEASE job", [])?;
    }
    Ok(outcome)
}

/// Whether a reader was in the way, and how many pages the log has.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<(bool, i64)> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok((row.get::<_, i64>(0)? != 0, row.get(1)?))
    })
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, which has nothing else to do")]
fn linger(time: Duration) {
    std::thread::sleep(time);
}

//! The one writer: drains the bounded queue, syncs what waits as one batch, and lets the fates be known after the
//! sync.
//!
//! A batch of messages about which the database need not be asked is synced in the journal, and carried into the
//! database later, a slice between two batches. Every other batch is one transaction, which first takes over
//! everything that is in the journal.
//!
//! A batch that cannot be synced is stored nowhere and told so to each of its members; the connection is
//! closed and opened anew, because after a failed sync nothing that it believes can be trusted.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use protocol::ids::ConversationId;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::backlog::Backlog;
use super::carrying::Carrying;
use super::desk::{self, Desk, Memory, Place};
use super::fault::Fault;
use super::file::{self, InPlace};
use super::gaps::{self, InUse, Walk};
use super::journal::{Journal, Need, StoreId};
use super::mark::MarkFile;
use super::row::MessageRow;
use super::sealed;
use super::teller::Teller;
use crate::clock::Clock;
use crate::metrics::StoreOp;
use crate::privacy::envelope::Placed;
use crate::privacy::seal::{SealError, Sealer};
use crate::store::{Committed, Fate, StoreError, StoreStats, Write, Wrote};

/// Jobs that are committed together at most.
const BATCH_JOBS_MAX: usize = 1_024;
/// Above so many jobs a second the writer may wait a moment, so that more of them share one sync.
const LINGER_FROM_PER_SECOND: u64 = 1_000;
/// So many jobs wait on average when a batch begins, before it does: with fewer the disk keeps up, and to wait would cost
/// every ack more than the syncs that are saved.
const LINGER_FROM_WAITING: u64 = 8;
/// Over so long the rate is measured.
const RATE_WINDOW: Duration = Duration::from_millis(100);
/// Rows in the journal with which carrying over begins.
const CARRY_FROM_ROWS: usize = 16_384;
/// How long a row stays in the journal alone where fewer come.
const CARRY_AFTER: Duration = Duration::from_secs(1);
/// Rows that are carried over between two batches, at least; more where more come, so that it gets ahead of them.
/// No ack, and on a machine with few cores no reader, waits longer than for these.
const CARRY_SLICE_ROWS: usize = 64;
/// Between two slices, where no batch is.
const CARRY_PAUSE: Duration = Duration::from_millis(1);
/// Pages in the log, estimated, after which they are carried into the file.
const CHECKPOINT_PAGES: usize = 2_000;
/// How that is estimated: pages of each commit, and rows that share a page.
const PAGES_OF_A_COMMIT: usize = 4;
const ROWS_OF_A_PAGE: usize = 4;
/// Pages in the log at which the writer insists that it is emptied.
const LOG_PAGES_MAX: i64 = 16_384;
/// How long a slice of the walk over the file waits for readers, and acks for it.
const GAPS_BUSY: Duration = Duration::from_millis(25);
/// How often a disk that failed is tried again, and whether the files are still there is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) type Told = oneshot::Sender<Result<Vec<Wrote>, usize>>;
pub(super) type Act = Box<dyn FnOnce(&mut Desk<'_>) -> Result<(), Fault> + Send>;

/// What a job does.
pub(super) enum Work {
    /// What came of each goes to whoever asks, or which of them was refused.
    Writes(Vec<Write>, Option<Told>),
    Act(Act),
    /// Empties the log, after everything before it is committed.
    EmptyLog,
    /// The next slice of a walk that zeroes the gaps in the file's pages. It empties the log where it is not.
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

/// One entry of the queue. Its place is free again when its fate is known.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) fate: Fate,
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
    pub(super) teller: Teller,
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
    pub(super) mark: MarkFile,
    /// Whoever reads alone while there is no room for more.
    pub(super) alone: Arc<Mutex<Option<Connection>>>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) carrying: Carrying,
    pub(super) memory: Memory,
    pub(super) rate: Rate,
    pub(super) log_pages: usize,
    /// How long that moment is.
    pub(super) linger: Duration,
    /// The queue's places; those that are taken wait or are in the batch.
    pub(super) places: Arc<Semaphore>,
    pub(super) queue_len: usize,
    /// The database's bytes, below SQLite. Last: a file that is closed takes the locks of this process on it along.
    pub(super) bytes: Arc<File>,
}

/// A message that the journal can take.
struct Sealed<'w> {
    placed: &'w Placed,
    place: Place,
    body: Vec<u8>,
}

impl Sealed<'_> {
    fn conversation(&self) -> ConversationId {
        self.placed.envelope().conversation()
    }

    fn row(&self) -> MessageRow<'_> {
        MessageRow::new(self.placed, self.place.conversation, self.place.bucket, &self.body)
    }
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
                    let rows_before = self.carrying.young_rows;
                    self.batch(job);
                    if self.carry_in().is_some_and(|wait| wait <= CARRY_PAUSE) {
                        let came = self.carrying.young_rows.saturating_sub(rows_before);
                        self.carry_over(CARRY_SLICE_ROWS.max(2 * came));
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.is_healthy() => {
                    if let Err(fault) = self.look() {
                        self.fail(fault);
                    } else if self.carry_in().is_some_and(|wait| wait <= CARRY_PAUSE) {
                        self.carry_over(CARRY_SLICE_ROWS);
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.heal(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.end_journal();
        if let Some(connection) = self.connection.take() {
            match checkpoint(&connection, "TRUNCATE") {
                Ok(Checkpoint { is_whole: true, .. }) => self.mark.carried_into_file(),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "the log could not be emptied at the end");
                }
            }
            drop(connection);
        }
    }

    /// Has the database's own file say that there is a journal, so that it is missed when it and the log are gone.
    /// A reader may keep the log from the file: then that is tried again after each batch.
    pub(super) fn note_use(&mut self) {
        if self.journal.is_none() || self.connection.is_none() {
            return;
        }
        let noted = self.write_database(Vec::new(), &[], &mut Steps::default());
        if let Err(fault) = noted {
            self.fail(fault);
        }
        self.checkpoint_when_due();
    }

    /// Brings over what the journal has, and has the database say that it is not needed any more.
    fn end_journal(&mut self) {
        let written = self.journal.take().and_then(|journal| journal.written());
        self.carrying.reached = written.unwrap_or(self.carrying.reached);
        if let Err(fault) = self.write_database(Vec::new(), &[], &mut Steps::default()) {
            // It stays in the journal, where the next start finds it.
            self.fail(fault);
        }
    }

    /// The next job, or `Timeout` when there is something to do without one.
    fn next(&self) -> Result<Job, RecvTimeoutError> {
        let carry_in = self.carry_in().filter(|_| self.is_healthy());
        self.jobs.recv_timeout(carry_in.unwrap_or(LOOK_EVERY).min(LOOK_EVERY))
    }

    /// Whether the files are where they were. What went into one that is not there any more is acked to nobody.
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

    /// In how long a slice of the journal is due to be carried over; `None`: there is nothing.
    fn carry_in(&self) -> Option<Duration> {
        let filling = self.journal.as_ref().is_some_and(Journal::is_filling);
        let Carrying { young_rows, young_since, .. } = &self.carrying;
        if !self.is_healthy() {
            return None;
        }
        if self.in_transaction() || filling || *young_rows >= CARRY_FROM_ROWS {
            return Some(CARRY_PAUSE);
        }
        let age = self.clock.instant().saturating_duration_since((*young_since)?);
        Some(CARRY_AFTER.saturating_sub(age))
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
            self.teller.tell(vec![(job.fate, outcome)]);
            drop(job.permit);
        }
        self.count_waiting();
        self.checkpoint_when_due();
    }

    fn count_waiting(&self) {
        self.stats.waiting(self.queue_len.saturating_sub(self.places.available_permits()));
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
                outcomes
            }
            Err(fault) => vec![Err(self.fail(fault)); len],
        };
        self.teller.tell(fates.into_iter().zip(outcomes).collect());
        drop(permits);
    }

    /// Syncs a batch, in whichever way it can be.
    fn attempt(
        &mut self,
        works: Vec<Work>,
        steps: &mut Steps,
    ) -> Result<Vec<Result<(), StoreError>>, Fault> {
        // What is sealed with keys that lie nowhere is read by nobody after this process.
        if !self.sealer.is_in_place() {
            let act = "seal under keys that are not in their folder";
            return Ok(vec![Err(StoreError::Unavailable { act }); works.len()]);
        }
        if self.write_journal(&works, steps)? {
            self.look()?;
            return Ok(vec![Ok(()); works.len()]);
        }
        let began = self.clock.instant();
        let refused = self.prepare(&works)?;
        steps.keys = self.clock.instant().saturating_duration_since(began);
        self.look()?;
        let outcomes = self.write_database(works, &refused, steps)?;
        self.look()?;
        Ok(outcomes)
    }

    /// Has the keys made that a batch needs. Which of its jobs cannot have theirs; if that is all of them, the batch
    /// is not tried.
    fn prepare(&self, works: &[Work]) -> Result<Vec<Option<SealError>>, Fault> {
        let prepare = |works: &[Work]| {
            let mut locks = Vec::with_capacity(works.len());
            for work in works {
                if let Work::Writes(writes, _) = work {
                    desk::locks(writes, &mut locks);
                }
            }
            match self.sealer.prepare(&locks) {
                // What is destroyed or does not open shows again where it is used, and is that job's affair.
                Ok(()) | Err(SealError::Destroyed | SealError::Tampered) => Ok(()),
                Err(error) => Err(error),
            }
        };
        let Err(error) = prepare(works) else { return Ok(Vec::new()) };
        if works.len() < 2 {
            return Err(Fault::Keys(error));
        }
        let refused: Vec<_> = works.chunks(1).map(|work| prepare(work).err()).collect();
        match refused.iter().all(Option::is_some) {
            true => Err(Fault::Keys(error)),
            false => Ok(refused),
        }
    }

    /// Syncs a batch in the journal, if it is nothing but messages about which the database need not be
    /// asked. `false`: nothing was done.
    fn write_journal(&mut self, works: &[Work], steps: &mut Steps) -> Result<bool, Fault> {
        // After a fault it begins anew once the database has everything; a new generation is the database's to note.
        if self.journal_noted.is_none()
            || !self.is_healthy()
            || self.sealer.generation() != self.memory.generation
        {
            return Ok(false);
        }
        let Some(rows) = self.rows_of(works)? else { return Ok(false) };
        let (Some(journal), false) = (self.journal.as_mut(), rows.is_empty()) else {
            return Ok(true);
        };
        let before = self.clock.instant();
        let rows_of_it = rows.iter().map(Sealed::row);
        let Some(reached) = journal.append(self.commits, rows_of_it).map_err(Fault::Journal)?
        else {
            return Ok(false);
        };
        self.mark.appended(reached);
        let synced = self.clock.instant();
        steps.sync = synced.saturating_duration_since(before);
        self.carrying.young_since.get_or_insert(synced);
        self.carrying.young_rows += rows.len();
        self.backlog.add(rows.iter().map(|sealed| (sealed.conversation(), sealed.row())));
        Ok(true)
    }

    /// What the journal would take; `None` if this is anything but messages whose place and keys are known.
    fn rows_of<'w>(&mut self, works: &'w [Work]) -> Result<Option<Vec<Sealed<'w>>>, Fault> {
        let Some(connection) = self.connection.as_ref() else { return Ok(None) };
        let (memory, sealer, now) = (&mut self.memory, &*self.sealer, self.clock.now());
        let mut desk = Desk { connection, memory, sealer, now };
        let mut rows = Vec::with_capacity(works.len());
        for work in works {
            let Work::Writes(writes, _) = work else { return Ok(None) };
            for write in writes {
                let Write::Message(placed) = write else { return Ok(None) };
                let Some(place) = desk.place_of(placed, &self.backlog)? else { return Ok(None) };
                // Destroyed, damaged, or not made yet: the other way finds out which.
                let Ok(Some(body)) = sealed::seal_message(sealer, placed) else { return Ok(None) };
                rows.push(Sealed { placed, place, body });
            }
        }
        Ok(Some(rows))
    }

    /// All of a batch in one transaction, after what is in the journal; what a job did wrong is its own fate, what
    /// the disk did is everyone's.
    fn write_database(
        &mut self,
        works: Vec<Work>,
        refused: &[Option<SealError>],
        steps: &mut Steps,
    ) -> Result<Vec<Result<(), StoreError>>, Fault> {
        self.carrying.turn(&self.backlog);
        if let Some(reached) = self.journal.as_ref().and_then(Journal::written) {
            self.carrying.reached = reached;
        }
        let (mut desk, carrying) = self.begin()?;
        let rows = works.len() + carrying.carry(&mut desk, usize::MAX)?;
        let mut outcomes = Vec::with_capacity(works.len());
        let mut keys_failed = 0;
        for (index, work) in works.into_iter().enumerate() {
            let outcome = match refused.get(index).copied().flatten() {
                Some(error) => Err(Fault::Keys(error)),
                None => carry_out(&mut desk, work)?,
            };
            keys_failed += usize::from(matches!(outcome, Err(Fault::Keys(_))));
            outcomes.push(outcome.map_err(|fault| fault.told("write a row")));
        }
        (0..keys_failed).for_each(|_| self.stats.failed(StoreOp::Keys));
        self.log_pages += rows / ROWS_OF_A_PAGE;
        self.end(steps)?;
        if let Some(journal) = &mut self.journal {
            journal.restart();
        }
        Ok(outcomes)
    }

    /// Carries a slice of so many rows into the database; commits when that was the last.
    fn carry_over(&mut self, rows: usize) {
        let began = self.clock.instant();
        if !self.in_transaction() {
            self.carrying.turn(&self.backlog);
            if let Some(journal) = &mut self.journal {
                self.carrying.reached = journal.turn();
            }
        }
        match self.carry_slice(rows) {
            Ok(()) => {
                self.stats.carried(self.clock.instant().saturating_duration_since(began));
                self.checkpoint_when_due();
            }
            Err(fault) => {
                self.fail(fault);
            }
        }
    }

    fn carry_slice(&mut self, rows_max: usize) -> Result<(), Fault> {
        let (mut desk, carrying) = self.begin()?;
        let rows = carrying.carry(&mut desk, rows_max)?;
        self.log_pages += rows / ROWS_OF_A_PAGE;
        if self.carrying.is_all_carried() {
            self.end(&mut Steps::default())?;
        }
        Ok(())
    }

    /// Brings everything that is in the journal into the database.
    fn settle(&mut self) -> Result<(), Fault> {
        if !self.carrying.is_empty() {
            self.write_database(Vec::new(), &[], &mut Steps::default())?;
        }
        Ok(())
    }

    /// Begins the transaction, or goes on with the one in which the journal is being carried over.
    fn begin(&mut self) -> Result<(Desk<'_>, &mut Carrying), Fault> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let connection = &*self.connection.insert(connection);
        let desk = Desk {
            connection,
            memory: &mut self.memory,
            sealer: &*self.sealer,
            now: self.clock.now(),
        };
        if connection.is_autocommit() {
            desk.execute("BEGIN IMMEDIATE", [])?;
        }
        Ok((desk, &mut self.carrying))
    }

    /// Opens the file to write. Whoever had it alone for want of room has to let go of it first.
    fn connect(&self) -> Result<Connection, Fault> {
        let mut alone = self.alone.lock();
        let was_alone = alone.take().is_some();
        match file::connect_writer(&self.folder) {
            Ok(connection) => Ok(connection),
            Err(error) => {
                if was_alone {
                    *alone = Some(file::connect_alone(&self.folder)?);
                }
                Err(error.into())
            }
        }
    }

    /// Commits. Everything that was turned is in the database now.
    fn end(&mut self, steps: &mut Steps) -> Result<(), Fault> {
        let before = self.clock.instant();
        let commits = self.commits + 1;
        let has_journal = self.journal.is_some();
        let need = if has_journal { Need::InUse } else { Need::None };
        let in_file = self.mark.mark.in_file;
        let (desk, carrying) = self.begin()?;
        let generation = desk.sealer.generation();
        desk.note((commits, in_file), &carrying.reached, need, generation)?;
        desk.execute("COMMIT", [])?;
        desk.memory.ended();
        carrying.carried = carrying.reached;
        let carried = carrying.carried;
        self.commits = commits;
        self.journal_noted = has_journal.then(|| self.journal_noted.unwrap_or(commits));
        self.memory.generation = generation;
        self.mark.committed(commits, carried);
        self.log_pages += PAGES_OF_A_COMMIT;
        self.backlog.carried(self.carrying.turned.drain(..).map(|turned| turned.half));
        steps.sync = self.clock.instant().saturating_duration_since(before);
        Ok(())
    }

    /// Nothing of the transaction is stored, and what of the journal was in it is carried over anew.
    fn fail(&mut self, fault: Fault) -> StoreError {
        self.set_healthy(false);
        self.memory.forget();
        if let Some(connection) = self.connection.take()
            && !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(error = %error, "the failed batch could not be rolled back");
        }
        self.carrying.begin_anew();
        self.stats.failed(match fault {
            Fault::Keys(_) => StoreOp::Keys,
            Fault::Refused(_)
            | Fault::File(_)
            | Fault::Journal(_)
            | Fault::Row(_)
            | Fault::Gone(_) => StoreOp::Commit,
        });
        fault.told("commit a batch")
    }

    /// Tries whether the disk takes writes again, so that readiness returns without a sender.
    fn heal(&mut self) {
        let pulse: Act = Box::new(|desk| {
            desk.execute("UPDATE meta SET pulse = pulse + 1", [])?;
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
            self.journal = file::make_journal(&self.folder, self.id, self.carrying.carried);
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

    fn outside(&mut self, work: Work) -> Result<(), StoreError> {
        match work {
            Work::Reserve { free: true } => file::free_reserve(&self.folder),
            Work::Reserve { free: false } => file::make_reserve(&self.folder),
            Work::EmptyLog => {
                let act = "empty the log";
                self.settle().map_err(|fault| self.fail(fault))?;
                self.truncate_log(act)?;
                if let Some(journal) = &mut self.journal {
                    journal.wipe().map_err(|error| Fault::Journal(error).told(act))?;
                }
            }
            Work::ClearGaps(walk) => {
                if let Some(from) = walk.at() {
                    walk.goes_on(self.clear_gaps(from)?);
                }
            }
            Work::Writes(..) | Work::Act(_) => {}
        }
        Ok(())
    }

    fn truncate_log(&mut self, act: &'static str) -> Result<(), StoreError> {
        let connection = self.connection.as_ref().ok_or(StoreError::Unavailable { act })?;
        let Checkpoint { is_busy, is_whole, .. } =
            checkpoint(connection, "TRUNCATE").map_err(|error| Fault::File(error).told(act))?;
        if is_busy {
            return Err(StoreError::Unavailable { act });
        }
        if is_whole {
            self.mark.carried_into_file();
        }
        self.log_pages = 0;
        Ok(())
    }

    /// One slice of the walk over the file. It is refused while readers keep the log, and is tried again.
    fn clear_gaps(&mut self, from: u32) -> Result<Option<u32>, StoreError> {
        let act = "clear what lies between rows";
        if self.in_transaction() {
            self.settle().map_err(|fault| self.fail(fault))?;
        }
        // A log that is gone from its place would look like an empty one.
        self.look().map_err(|fault| self.fail(fault))?;
        let log = file::wal_path(&self.folder);
        if file::bytes_of(&log) > 0 {
            self.wait_for_readers(GAPS_BUSY, act)?;
            let emptied = self.truncate_log(act);
            self.wait_for_readers(file::BUSY, act)?;
            emptied?;
        }
        let connection = self.connection.as_ref().ok_or(StoreError::Unavailable { act })?;
        let is_log_empty = || file::bytes_of(&log) == 0;
        match gaps::clear_slice(connection, &self.bytes, from, is_log_empty) {
            Ok(Ok(next)) => Ok(next),
            Ok(Err(InUse)) => Err(StoreError::Unavailable { act }),
            Err(error) => {
                tracing::error!(act, error = %error, "the database failed");
                Err(StoreError::Unavailable { act })
            }
        }
    }

    fn wait_for_readers(&self, time: Duration, act: &'static str) -> Result<(), StoreError> {
        let Some(connection) = &self.connection else { return Ok(()) };
        connection.busy_timeout(time).map_err(|error| Fault::File(error).told(act))
    }

    /// Runs after the fates of the batch are on their way: only what comes meanwhile waits for it, and it waits for nobody.
    fn checkpoint_when_due(&mut self) {
        let is_noted = self.journal_noted.is_none_or(|commit| commit <= self.mark.mark.in_file);
        if (is_noted && self.log_pages < CHECKPOINT_PAGES) || self.in_transaction() {
            return;
        }
        let Some(connection) = self.connection.as_ref() else { return };
        let began = self.clock.instant();
        let outcome = checkpoint_at_once(connection);
        self.log_pages = 0;
        match outcome {
            Ok(is_whole) => {
                if is_whole {
                    self.mark.carried_into_file();
                }
                let took = self.clock.instant().saturating_duration_since(began);
                self.stats.checkpointed(took);
            }
            Err(error) => {
                self.fail(Fault::File(error));
            }
        }
    }
}

/// One job inside the transaction. More than one statement gets a savepoint, so that it is all or nothing.
fn carry_out(desk: &mut Desk<'_>, work: Work) -> Result<Result<(), Fault>, Fault> {
    let single = match &work {
        Work::Writes(writes, _) => match writes.as_slice() {
            [] => true,
            [only] => !matches!(only, Write::Record(_)),
            _ => false,
        },
        Work::Act(_) | Work::EmptyLog | Work::ClearGaps(_) | Work::Reserve { .. } => false,
    };
    if !single {
        desk.execute("SAVEPOINT job", [])?;
    }
    let outcome = match work {
        Work::Writes(writes, told) => write_all(desk, &writes, told),
        Work::Act(act) => act(desk),
        Work::EmptyLog | Work::ClearGaps(_) | Work::Reserve { .. } => Ok(()),
    };
    let outcome = match outcome {
        Ok(()) => Ok(()),
        Err(fault) if fault.is_of_the_disk() => return Err(fault),
        Err(fault) => {
            if !single {
                desk.execute("ROLLBACK TO job", [])?;
                desk.memory.forget();
            }
            Err(fault)
        }
    };
    if !single {
        desk.execute("RELEASE job", [])?;
    }
    Ok(outcome)
}

fn write_all(desk: &mut Desk<'_>, writes: &[Write], told: Option<Told>) -> Result<(), Fault> {
    let mut wrote = Vec::with_capacity(told.as_ref().map_or(0, |_| writes.len()));
    let mut outcome = Ok(());
    for (at, write) in writes.iter().enumerate() {
        match desk.write(write) {
            Ok(one) if told.is_some() => wrote.push(one),
            Ok(_) => {}
            Err(fault) => {
                outcome = Err((at, fault));
                break;
            }
        }
    }
    let answer = outcome.as_ref().map(|()| wrote).map_err(|(at, _)| *at);
    // Whoever asked may have gone.
    let _nobody = told.map(|told| told.send(answer));
    outcome.map_err(|(_, fault)| fault)
}

/// Carries the log's pages into the file, as far as readers let it, and empties a log that has
/// become long. A reader that is in the way is not waited for: the next time it may be gone.
/// Whether all of it is in the file now.
fn checkpoint_at_once(connection: &Connection) -> rusqlite::Result<bool> {
    let passed = checkpoint(connection, "PASSIVE")?;
    if passed.pages <= LOG_PAGES_MAX {
        return Ok(passed.is_whole);
    }
    connection.busy_timeout(Duration::ZERO)?;
    let emptied = checkpoint(connection, "TRUNCATE");
    connection.busy_timeout(file::BUSY)?;
    emptied.map(|emptied| emptied.is_whole)
}

/// What came of carrying the log into the file.
struct Checkpoint {
    /// A reader was in the way.
    is_busy: bool,
    /// All that was committed is in the file.
    is_whole: bool,
    /// Of the log.
    pages: i64,
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Checkpoint> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (busy, pages, carried) = (row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, i64>(2)?);
        Ok(Checkpoint { is_busy: busy != 0, is_whole: busy == 0 && pages == carried, pages })
    })
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, which has nothing else to do")]
fn linger(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
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
        checkpoint_at_once(&writer).unwrap();
        assert!(!WAITED.load(Ordering::SeqCst), "a reader was in the way");
        let timeout: u64 = writer.query_row("PRAGMA busy_timeout", [], |row| row.get(0)).unwrap();
        assert_eq!(u128::from(timeout), file::BUSY.as_millis(), "others are waited for as before");
        let log = || std::fs::metadata(folder.path().join("livehelp.sqlite-wal")).unwrap().len();
        assert!(log() > 72_000_000);
        reader.execute_batch("COMMIT").unwrap();
        checkpoint_at_once(&writer).unwrap();
        assert_eq!(log(), 0);
    }
}

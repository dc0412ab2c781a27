//! Transactions: what the journal has is checkpointed in slices, and every job that needs the
//! database is carried out in one.

use rusqlite::Connection;

use super::{PAGES_OF_A_COMMIT, ROWS_OF_A_PAGE, Steps, Told, Work, Writer};
use crate::metrics::StoreOp;
use crate::privacy::seal::SealError;
use crate::store::sqlite::checkpointer::Checkpointer;
use crate::store::sqlite::fault::Fault;
use crate::store::sqlite::file;
use crate::store::sqlite::journal::{Journal, Need};
use crate::store::sqlite::transaction::Transaction;
use crate::store::{StoreError, Write};

/// One job inside the transaction. More than one statement gets a savepoint, so that it is all or
/// nothing.
pub(super) fn carry_out(
    transaction: &mut Transaction<'_>,
    work: Work,
) -> Result<Result<(), Fault>, Fault> {
    let single = match &work {
        Work::Writes(writes, _) => match writes.as_slice() {
            [] => true,
            [only] => !matches!(only, Write::Record(_)),
            _ => false,
        },
        Work::Act(_) | Work::EmptyLog | Work::ClearGaps(_) | Work::Reserve { .. } => false,
    };
    if !single {
        transaction.execute("SAVEPOINT job", [])?;
    }
    let outcome = match work {
        Work::Writes(writes, told) => write_all(transaction, &writes, told),
        Work::Act(act) => act(transaction),
        Work::EmptyLog | Work::ClearGaps(_) | Work::Reserve { .. } => Ok(()),
    };
    let outcome = match outcome {
        Ok(()) => Ok(()),
        Err(fault) if fault.is_of_the_disk() => return Err(fault),
        Err(fault) => {
            if !single {
                transaction.execute("ROLLBACK TO job", [])?;
                transaction.memory.forget();
            }
            Err(fault)
        }
    };
    if !single {
        transaction.execute("RELEASE job", [])?;
    }
    Ok(outcome)
}

pub(super) fn write_all(
    transaction: &mut Transaction<'_>,
    writes: &[Write],
    told: Option<Told>,
) -> Result<(), Fault> {
    let mut wrote = Vec::with_capacity(told.as_ref().map_or(0, |_| writes.len()));
    let mut outcome = Ok(());
    for (at, write) in writes.iter().enumerate() {
        match transaction.write(write) {
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

impl Writer {
    /// A slice of a checkpoint: moves so many rows of the journal into the database; commits when
    /// that was the last.
    pub(super) fn checkpoint_rows(&mut self, rows: usize) {
        let began = self.clock.instant();
        if !self.in_transaction() {
            self.checkpointer.rotate(&self.memtable);
            if let Some(journal) = &mut self.journal {
                self.checkpointer.reached = journal.rotate();
            }
        }
        match self.checkpoint_slice(rows) {
            Ok(()) => {
                self.stats.checkpointed(self.clock.instant().saturating_duration_since(began));
                self.wal_checkpoint_when_due();
            }
            Err(fault) => {
                self.fail(fault);
            }
        }
    }

    pub(super) fn checkpoint_slice(&mut self, rows_max: usize) -> Result<(), Fault> {
        let (mut transaction, checkpointer) = self.begin()?;
        let rows = checkpointer.checkpoint(&mut transaction, rows_max)?;
        self.log_pages += rows / ROWS_OF_A_PAGE;
        if self.checkpointer.is_all_checkpointed() {
            self.end(&mut Steps::default())?;
        }
        Ok(())
    }

    /// Brings everything that is in the journal into the database.
    pub(super) fn settle(&mut self) -> Result<(), Fault> {
        if !self.checkpointer.is_empty() {
            self.write_database(Vec::new(), &[], &mut Steps::default())?;
        }
        Ok(())
    }

    /// Begins the transaction, or goes on with the one of the checkpoint that is under way.
    pub(super) fn begin(&mut self) -> Result<(Transaction<'_>, &mut Checkpointer), Fault> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let connection = &*self.connection.insert(connection);
        let transaction = Transaction {
            connection,
            memory: &mut self.memory,
            sealer: &*self.sealer,
            now: self.clock.now(),
        };
        if connection.is_autocommit() {
            transaction.execute("BEGIN IMMEDIATE", [])?;
        }
        Ok((transaction, &mut self.checkpointer))
    }

    /// Opens the file to write. Whoever had it alone for want of room has to let go of it first.
    pub(super) fn connect(&self) -> Result<Connection, Fault> {
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

    /// Commits. Everything that was rotated is in the database now.
    pub(super) fn end(&mut self, steps: &mut Steps) -> Result<(), Fault> {
        let before = self.clock.instant();
        let commits = self.commits + 1;
        let has_journal = self.journal.is_some();
        let need = if has_journal { Need::InUse } else { Need::None };
        let in_file = self.mark.mark.in_file;
        let (transaction, checkpointer) = self.begin()?;
        let generation = transaction.sealer.generation();
        transaction.note((commits, in_file), &checkpointer.reached, need, generation)?;
        transaction.execute("COMMIT", [])?;
        transaction.memory.ended();
        checkpointer.checkpointed = checkpointer.reached;
        let checkpointed = checkpointer.checkpointed;
        self.commits = commits;
        self.journal_noted = has_journal.then(|| self.journal_noted.unwrap_or(commits));
        self.memory.generation = generation;
        self.mark.committed(commits, checkpointed);
        self.log_pages += PAGES_OF_A_COMMIT;
        self.memtable.checkpointed(self.checkpointer.rotated.drain(..).map(|rotated| rotated.half));
        steps.sync = self.clock.instant().saturating_duration_since(before);
        Ok(())
    }

    /// Nothing of the transaction is stored, and what of the journal was in it is checkpointed
    /// anew.
    pub(super) fn fail(&mut self, fault: Fault) -> StoreError {
        self.set_healthy(false);
        self.memory.forget();
        if let Some(connection) = self.connection.take()
            && !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(error = %error, "the failed batch could not be rolled back");
        }
        self.checkpointer.begin_anew();
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

    /// All of a batch in one transaction, after what is in the journal; what a job did wrong is its
    /// own outcome, what the disk did is everyone's.
    pub(super) fn write_database(
        &mut self,
        works: Vec<Work>,
        refused: &[Option<SealError>],
        steps: &mut Steps,
    ) -> Result<Vec<Result<(), StoreError>>, Fault> {
        self.checkpointer.rotate(&self.memtable);
        if let Some(reached) = self.journal.as_ref().and_then(Journal::written) {
            self.checkpointer.reached = reached;
        }
        let (mut transaction, checkpointer) = self.begin()?;
        let rows = works.len() + checkpointer.checkpoint(&mut transaction, usize::MAX)?;
        let mut outcomes = Vec::with_capacity(works.len());
        let mut keys_failed = 0;
        for (index, work) in works.into_iter().enumerate() {
            let outcome = match refused.get(index).copied().flatten() {
                Some(error) => Err(Fault::Keys(error)),
                None => carry_out(&mut transaction, work)?,
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
}

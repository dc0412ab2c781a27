//! A batch of jobs: their keys made, synced in the journal or as a transaction, and their
//! completions told.

use protocol::ids::ConversationId;

use super::{Job, Steps, Work, Writer};
use crate::privacy::envelope::Sequenced;
use crate::privacy::seal::SealError;
use crate::store::sqlite::fault::Fault;
use crate::store::sqlite::row::MessageRow;
use crate::store::sqlite::transaction;
use crate::store::sqlite::transaction::{Rowids, Transaction};
use crate::store::{Committed, StoreError, Write, sealed};

/// A message that the journal can take.
pub(super) struct Sealed<'w> {
    sequenced: &'w Sequenced,
    rowids: Rowids,
    body: Vec<u8>,
}

impl Sealed<'_> {
    fn conversation(&self) -> ConversationId {
        self.sequenced.envelope().conversation()
    }

    fn row(&self) -> MessageRow<'_> {
        MessageRow::new(self.sequenced, self.rowids.conversation, self.rowids.bucket, &self.body)
    }
}

impl Writer {
    // A function of its own in every build: the instruction counts of `benches` are taken inside
    // it.
    #[inline(never)]
    pub(super) fn commit(&mut self, jobs: Vec<Job>) {
        let len = jobs.len();
        let started = self.clock.instant();
        let mut completions = Vec::with_capacity(len);
        let mut held = Vec::with_capacity(len);
        let mut works = Vec::with_capacity(len);
        for Job { work, completion, permit } in jobs {
            works.push(work);
            completions.push(completion);
            held.push(permit);
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
        self.completion_thread.tell(completions.into_iter().zip(outcomes).collect());
        drop(held);
    }

    /// Syncs a batch, in whichever way it can be.
    pub(super) fn attempt(
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

    /// Has the keys made that a batch needs. Which of its jobs cannot have theirs; if that is all
    /// of them, the batch is not tried.
    pub(super) fn prepare(&self, works: &[Work]) -> Result<Vec<Option<SealError>>, Fault> {
        let prepare = |works: &[Work]| {
            let mut locks = Vec::with_capacity(works.len());
            for work in works {
                if let Work::Writes(writes, _) = work {
                    transaction::locks(writes, &mut locks);
                }
            }
            match self.sealer.prepare(&locks) {
                // What is destroyed or does not open shows again where it is used, and is that
                // job's affair.
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

    /// Syncs a batch in the journal, if it is nothing but messages about which the database need
    /// not be asked. `false`: nothing was done.
    pub(super) fn write_journal(
        &mut self,
        works: &[Work],
        steps: &mut Steps,
    ) -> Result<bool, Fault> {
        // After a fault it begins anew once the database has everything; a new generation is the
        // database's to note.
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
        self.checkpointer.young_since.get_or_insert(synced);
        self.checkpointer.young_rows += rows.len();
        self.memtable.add(rows.iter().map(|sealed| (sealed.conversation(), sealed.row())));
        Ok(true)
    }

    /// What the journal would take; `None` if this is anything but messages whose rowids and keys
    /// are known.
    pub(super) fn rows_of<'w>(
        &mut self,
        works: &'w [Work],
    ) -> Result<Option<Vec<Sealed<'w>>>, Fault> {
        let Some(connection) = self.connection.as_ref() else { return Ok(None) };
        let (memory, sealer, now) = (&mut self.memory, &*self.sealer, self.clock.now());
        let mut transaction = Transaction { connection, memory, sealer, now };
        let mut rows = Vec::with_capacity(works.len());
        for work in works {
            let Work::Writes(writes, _) = work else { return Ok(None) };
            for write in writes {
                let Write::Message(sequenced) = write else { return Ok(None) };
                let Some(rowids) = transaction.rowids_of(sequenced, &self.memtable)? else {
                    return Ok(None);
                };
                // Destroyed, damaged, or not made yet: the other way finds out which.
                let Ok(Some(body)) = sealed::seal_message(sealer, sequenced) else {
                    return Ok(None);
                };
                rows.push(Sealed { sequenced, rowids, body });
            }
        }
        Ok(Some(rows))
    }
}

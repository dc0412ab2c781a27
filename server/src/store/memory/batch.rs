//! Writes are carried out here: messages sealed first, under no lock, and then put in their order.
//!
//! A single message takes the lock of its shard and nothing else. Everything else goes as a batch:
//! all of it or nothing, under the locks of its shards, in the order of their numbers, and then the
//! records' where it has one.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use protocol::ids::{ConversationId, TenantId};
use protocol::message::{Author, Seq};

use super::records::{MemoryRecords, no_records};
use super::transcript::{Conversation, Home, MessageRow};
use super::{Shard, Shared};
use crate::metrics::StoreOp;
use crate::privacy::envelope::Sequenced;
use crate::privacy::seal::{Lock, SealError};
use crate::store::feed::kind;
use crate::store::sqlite::{Changed, Fault, Transaction, locks};
use crate::store::{ReceiptRow, Refused, StoreError, Write, Wrote, sealed};

/// What stood there before a step of a batch.
enum Before {
    Message(ConversationId, Seq),
    Floor(ConversationId, Seq),
    /// It was not there.
    Conversation(ConversationId),
    Receipt(ConversationId, Author, Option<ReceiptRow>),
}

fn message_lock(sequenced: &Sequenced) -> Lock {
    let envelope = sequenced.envelope();
    sealed::message_lock(envelope.tag(), envelope.conversation())
}

/// The conversation whose shard a write needs.
fn conversation(write: &Write) -> Option<ConversationId> {
    match write {
        Write::Message(sequenced) => Some(sequenced.envelope().conversation()),
        Write::Floor { conversation, .. } => Some(*conversation),
        Write::Conversation(row) => Some(row.conversation),
        Write::Receipt(row) => Some(row.conversation),
        Write::Draft(_) | Write::Visitor(_) | Write::VisitorToken(_) | Write::Record(_) => None,
    }
}

fn is_of_the_transcript(write: &Write) -> bool {
    matches!(write, Write::Message(_) | Write::Floor { .. } | Write::Receipt(_))
}

impl Shared {
    pub(super) fn carry_out(&self, writes: &[Write]) -> Result<Vec<Wrote>, Refused> {
        let of_none = |error| Refused { at: None, error };
        self.check_open().map_err(of_none)?;
        if let [Write::Message(sequenced)] = writes {
            let put = self.put(sequenced).map_err(|error| Refused { at: Some(0), error })?;
            return Ok(vec![put]);
        }
        self.prepare(writes).map_err(of_none)?;
        let mut rows = Vec::new();
        let mut buckets = BTreeSet::new();
        for (at, write) in writes.iter().enumerate() {
            if let Write::Message(sequenced) = write {
                let row = self.seal_row(sequenced);
                let row = row.map_err(|error| Refused { at: Some(at), error })?;
                buckets.extend(row.is_some().then(|| message_lock(sequenced).bucket));
                rows.push(row);
            }
        }
        let mut rows = rows.into_iter();
        let mut held = Held::of(self, writes);
        let step = |(at, write)| {
            held.step(write, &mut rows).map_err(|error| Refused { at: Some(at), error })
        };
        let stepped = writes.iter().enumerate().map(step).collect::<Result<Vec<_>, _>>();
        let stepped = stepped.and_then(|wrote| {
            held.commit(writes).map_err(of_none)?;
            Ok(wrote)
        });
        if stepped.is_err() {
            held.undo();
            return stepped;
        }
        let touched = held.touched();
        drop(held);
        self.touched.lock().extend(touched);
        self.buckets.lock().extend(buckets);
        stepped
    }

    /// The way of nearly every write.
    fn put(&self, sequenced: &Sequenced) -> Result<Wrote, StoreError> {
        let Some(row) = self.seal_row(sequenced)? else {
            return self.with(sequenced.envelope().conversation(), |kept| {
                kept.ok_or(StoreError::NotFound)?.of(sequenced.envelope().tag())?;
                Ok(Wrote::PassedOver)
            });
        };
        let tag = sequenced.envelope().tag();
        let (unlisted, new, untouched) =
            self.with(sequenced.envelope().conversation(), |kept| {
                let kept = kept.ok_or(StoreError::NotFound)?;
                kept.of(tag)?;
                let new = kept.put(row)?;
                let unlisted = kept.list(tag.class, tag.ingest_day);
                Ok::<_, StoreError>((unlisted, new, new && kept.touch()))
            })?;
        if new && self.feeds.load(Ordering::Acquire) {
            let changed = message_changed(sequenced);
            self.write_records("note a change", |transaction| {
                transaction.note_change(tag.tenant, &changed)
            })?;
        }
        if untouched {
            self.touched.lock().push(sequenced.envelope().conversation());
        }
        if unlisted {
            self.buckets.lock().insert(message_lock(sequenced).bucket);
        }
        Ok(if new { Wrote::Done } else { Wrote::PassedOver })
    }

    /// Nothing where it died while it waited: then nothing is kept of it.
    fn seal_row(&self, sequenced: &Sequenced) -> Result<Option<MessageRow>, StoreError> {
        if sequenced.envelope().tag().expires.is_some_and(|day| self.clock.now().day() >= day) {
            return Ok(None);
        }
        let seal = || sealed::seal_message(&*self.sealer, sequenced);
        let outcome = match seal() {
            // The first record of a person or a day; all others find their key ready.
            Err(SealError::Unavailable) => {
                self.make_keys(&[message_lock(sequenced)]).and_then(|()| seal())
            }
            outcome => outcome,
        };
        let body =
            outcome.map_err(|error| self.keys_failed(error, StoreOp::Keys, "write a row"))?;
        Ok(Some(MessageRow::of(sequenced, body.ok_or(StoreError::NotFound)?)))
    }

    /// Has the keys made that a batch needs.
    fn prepare(&self, writes: &[Write]) -> Result<(), StoreError> {
        let mut needed = Vec::new();
        locks(writes, &mut needed);
        if needed.is_empty() {
            return Ok(());
        }
        self.make_keys(&needed)
            .map_err(|error| self.keys_failed(error, StoreOp::Keys, "write a row"))
    }

    fn make_keys(&self, locks: &[Lock]) -> Result<(), SealError> {
        match self.sealer.prepare(locks) {
            // What is destroyed or does not open shows again where it is used.
            Ok(()) | Err(SealError::Destroyed | SealError::Tampered) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn message_changed(sequenced: &Sequenced) -> Changed {
    let envelope = sequenced.envelope();
    let tag = envelope.tag();
    Changed {
        site: Some(tag.site),
        kind: kind::MESSAGE,
        object: *envelope.conversation().as_bytes(),
        version: sequenced.seq().0,
        subject: Some(*tag.subject.as_bytes()),
    }
}

/// All that a batch works on, locked until it is done.
struct Held<'a> {
    shared: &'a Shared,
    shards: Vec<(usize, MutexGuard<'a, Shard>)>,
    /// Where the batch has a record, or somebody reads of it: in a transaction of their own.
    records: Option<MutexGuard<'a, Option<MemoryRecords>>>,
    feeds: bool,
    done: Vec<Before>,
}

impl<'a> Held<'a> {
    fn of(shared: &'a Shared, writes: &[Write]) -> Self {
        let numbers: BTreeSet<usize> = writes
            .iter()
            .filter_map(conversation)
            .map(|conversation| shared.number(conversation))
            .collect();
        let shards = numbers.into_iter().map(|n| (n, shared.shards[n].lock())).collect();
        let feeds = shared.feeds.load(Ordering::Acquire);
        let recorded = feeds || !writes.iter().all(is_of_the_transcript);
        let records = recorded.then(|| shared.records.lock());
        Self { shared, shards, records, feeds, done: Vec::new() }
    }

    fn shard(&mut self, conversation: ConversationId) -> Option<&mut Shard> {
        let number = self.shared.number(conversation);
        let found = self.shards.iter_mut().find(|(n, _)| *n == number);
        found.map(|(_, shard)| &mut **shard)
    }

    fn find(&mut self, conversation: ConversationId) -> Option<&mut Conversation> {
        self.shard(conversation)?.get_mut(&conversation)
    }

    fn of_tenant(
        &mut self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<&mut Conversation, StoreError> {
        let found = self.find(conversation).filter(|kept| kept.home().tenant == tenant);
        found.ok_or(StoreError::NotFound)
    }

    /// One write; `rows` are the batch's sealed messages, in their order.
    fn step(
        &mut self,
        write: &Write,
        rows: &mut impl Iterator<Item = Option<MessageRow>>,
    ) -> Result<Wrote, StoreError> {
        let before = match write {
            Write::Message(sequenced) => {
                let envelope = sequenced.envelope();
                let kept = self.find(envelope.conversation()).ok_or(StoreError::NotFound)?;
                kept.of(envelope.tag())?;
                let Some(row) = rows.next().flatten() else { return Ok(Wrote::PassedOver) };
                if !kept.put(row)? {
                    return Ok(Wrote::PassedOver);
                }
                if self.feeds {
                    let (tenant, changed) = (envelope.tag().tenant, message_changed(sequenced));
                    self.record(|transaction| transaction.note_change(tenant, &changed))?;
                }
                Before::Message(envelope.conversation(), sequenced.seq())
            }
            Write::Floor { tenant, conversation, seq } => {
                let before = self.of_tenant(*tenant, *conversation)?.raise(*seq);
                Before::Floor(*conversation, before)
            }
            Write::Receipt(row) => {
                let before = self.of_tenant(row.tenant, row.conversation)?.receipt(*row);
                Before::Receipt(row.conversation, row.author, before)
            }
            Write::Conversation(row) => {
                let wrote = self.record(|transaction| transaction.write(write))?;
                let (conversation, tenant) = (row.conversation, row.tenant);
                let Some(shard) = self.shard(conversation) else { return Ok(wrote) };
                if shard.contains_key(&conversation) {
                    return Ok(wrote);
                }
                let home = Home { conversation, tenant, site: row.site, visitor: row.visitor };
                shard.insert(conversation, Conversation::new(home));
                Before::Conversation(conversation)
            }
            Write::Visitor(_) | Write::VisitorToken(_) | Write::Draft(_) | Write::Record(_) => {
                return self.record(|transaction| transaction.write(write));
            }
        };
        self.done.push(before);
        Ok(Wrote::Done)
    }

    fn kept(&mut self) -> Option<&mut MemoryRecords> {
        self.records.as_mut()?.as_mut()
    }

    fn record<T>(
        &mut self,
        write: impl FnOnce(&mut Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let shared = self.shared;
        let kept = self.kept().ok_or_else(no_records);
        let done =
            kept.and_then(|kept| kept.sqlite.step(&*shared.sealer, shared.clock.now(), write));
        done.map_err(|fault| shared.records_failed(fault, "write a row"))
    }

    /// Records stand now; everything else does already.
    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let shared = self.shared;
        if writes.iter().any(|write| matches!(write, Write::Record(_))) {
            let feeds = self.record(|transaction| transaction.feeds())?;
            shared.feeds.store(feeds, Ordering::Release);
            if let Some(kept) = self.kept() {
                kept.timelines.clear();
            }
        }
        let Some(kept) = self.kept() else { return Ok(()) };
        kept.sqlite.end(true).map_err(|fault| shared.records_failed(fault, "commit a batch"))
    }

    /// Takes everything back, the last step first.
    fn undo(&mut self) {
        if let Some(Err(fault)) = self.kept().map(|kept| kept.sqlite.end(false)) {
            fault.told("take a batch back");
        }
        while let Some(before) = self.done.pop() {
            match before {
                Before::Message(id, seq) => self.amend(id, |kept| kept.take(seq)),
                Before::Floor(id, floor) => self.amend(id, |kept| kept.lower(floor)),
                Before::Conversation(id) => {
                    if let Some(shard) = self.shard(id) {
                        shard.remove(&id);
                    }
                }
                Before::Receipt(id, author, mark) => {
                    self.amend(id, |kept| kept.lower_receipt(author, mark))
                }
            }
        }
    }

    fn amend(&mut self, conversation: ConversationId, amend: impl FnOnce(&mut Conversation)) {
        if let Some(kept) = self.find(conversation) {
            amend(kept);
        }
    }

    /// Conversations in which something was said and that do not wait already for that to be
    /// listed.
    fn touched(&mut self) -> Vec<ConversationId> {
        let mut touched = Vec::new();
        for before in std::mem::take(&mut self.done) {
            if let Before::Message(id, _) = before {
                let is_new = self.find(id).is_some_and(Conversation::touch);
                touched.extend(is_new.then_some(id));
            }
        }
        touched
    }
}

//! The port, as the embedded store has it.
//!
//! Not here: what a read or a write does (`read`, `transaction`), clean-up behind a copy (`copy`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use protocol::ids::{ConversationId, MessageId, TenantId};
use protocol::message::Seq;
use protocol::time::UnixMillis;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Shared, SqliteStore};
use crate::privacy::envelope::Tag;
use crate::privacy::seal::{Bucket, Subject};
use crate::store::feed::FeedEvent;
use crate::store::record::{Row, Select};
use crate::store::sqlite::read::Reader;
use crate::store::sqlite::writer::{Job, Work};
use crate::store::{
    ClockAct, Completion, ConversationSearch, Found, MessagePage, NewestRow, Records, Refused,
    Result, Retention, RoomRow, Sight, Store, StoreError, Transcript, Write, WriteSlot, Wrote,
    sealed,
};

pub(super) struct Slot {
    shared: Arc<Shared>,
    permit: OwnedSemaphorePermit,
}

impl WriteSlot for Slot {
    fn write(self: Box<Self>, writes: Vec<Write>, completion: Completion) {
        let Self { shared, permit } = *self;
        shared.put(Job { work: Work::Writes(writes, None), completion, permit });
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn try_reserve(&self) -> Result<Box<dyn WriteSlot>> {
        if self.shared.jobs.lock().is_none() {
            return Err(StoreError::Unavailable { act: "write after the end" });
        }
        let permit =
            Arc::clone(&self.shared.permits).try_acquire_owned().map_err(|_| StoreError::Full)?;
        Ok(Box::new(Slot { shared: Arc::clone(&self.shared), permit }))
    }

    async fn reserve(&self) -> Result<Box<dyn WriteSlot>> {
        let permit = self.permit().await?;
        if self.shared.jobs.lock().is_none() {
            return Err(StoreError::Unavailable { act: "write after the end" });
        }
        Ok(Box::new(Slot { shared: Arc::clone(&self.shared), permit }))
    }

    async fn batch(&self, writes: Vec<Write>) -> Result<Vec<Wrote>, Refused> {
        let done = vec![Wrote::Done; writes.len()];
        let (told, mut answer) = oneshot::channel();
        let outcome = self.work(Work::Writes(writes, Some(told))).await;
        // What went into the journal is new messages, and nobody tells more of them.
        let wrote = answer.try_recv().ok();
        match outcome {
            Ok(()) => Ok(wrote.and_then(Result::ok).unwrap_or(done)),
            Err(error) => Err(Refused { at: wrote.and_then(Result::err), error }),
        }
    }

    fn healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Acquire) && self.shared.jobs.lock().is_some()
    }

    async fn close(&self) {
        // The writer ends when the queue is empty and nobody can fill it any more.
        drop(self.shared.jobs.lock().take());
        if let Some(closed) = self.closed.lock().await.take() {
            // An error means that the writer is gone already.
            let _gone = closed.await;
        }
        self.shared.idle.lock().clear();
        self.shared.short.lock().close();
    }
}

#[async_trait]
impl Transcript for SqliteStore {
    async fn room(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        tail: u16,
    ) -> Result<Option<RoomRow>> {
        self.read_of("read a room", conversation, move |reader| {
            reader.room(tenant, conversation, tail)
        })
        .await
    }

    async fn newest(
        &self,
        tenant: TenantId,
        conversations: &[ConversationId],
    ) -> Result<Vec<NewestRow>> {
        // Looked for first: what has left the memtable by then is in the file.
        let waiting = conversations.iter().map(|id| (*id, self.shared.memtable.of(*id)));
        let waiting: Vec<_> = waiting.collect();
        self.read("read what is newest", move |reader| {
            let rows = waiting.iter().map(|(conversation, waiting)| {
                Reader { waiting: &waiting.rows(), ..*reader }.newest_said(tenant, *conversation)
            });
            rows.filter_map(Result::transpose).collect()
        })
        .await
    }

    async fn page(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        sight: Sight,
        range: (Seq, Option<Seq>),
        limit: u16,
    ) -> Result<MessagePage> {
        self.read_of("read a page", conversation, move |reader| {
            reader.page(tenant, conversation, sight, range, limit)
        })
        .await
    }

    async fn messages(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        after: Seq,
        before: Option<Seq>,
        limit: u16,
    ) -> Result<Vec<Arc<crate::privacy::envelope::Sequenced>>> {
        self.read_of("read messages", conversation, move |reader| {
            reader.messages(tenant, conversation, after, before, limit)
        })
        .await
    }

    async fn is_destroyed(&self, tag: &Tag, conversation: ConversationId) -> Result<bool> {
        let lock = sealed::message_lock(tag, conversation);
        self.read("ask for a key", move |reader| Ok(sealed::is_destroyed(reader.sealer, &lock)?))
            .await
    }

    async fn message(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        message: MessageId,
        after: Seq,
    ) -> Result<Option<Arc<crate::privacy::envelope::Sequenced>>> {
        self.read_of("read a message", conversation, move |reader| {
            reader.message(tenant, conversation, message, after)
        })
        .await
    }

    async fn search(
        &self,
        tenant: TenantId,
        search: &ConversationSearch,
        limit: u16,
    ) -> Result<Found> {
        let search = search.clone();
        self.read("search conversations", move |reader| reader.search(tenant, &search, limit)).await
    }

    async fn changed_at(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<UnixMillis>> {
        self.read("read a change", move |reader| reader.changed_at(tenant, conversation)).await
    }
}

#[async_trait]
impl Records for SqliteStore {
    async fn select(&self, act: &'static str, select: Select) -> Result<Vec<Row>> {
        if select.is_short
            && let Some(rows) = self.shared.read_at_once(|reader| reader.select(&select))
        {
            return Ok(rows);
        }
        self.read(act, move |reader| reader.select(&select)).await
    }

    async fn feed(&self, tenant: TenantId, after: u64, limit: u16) -> Result<Vec<FeedEvent>> {
        self.read("read the feed", move |reader| reader.feed(tenant, after, limit)).await
    }

    async fn feed_end(&self) -> Result<u64> {
        self.read("read the feed", |reader| reader.feed_end()).await
    }

    async fn high_water(&self) -> Result<UnixMillis> {
        self.read("read the latest time", |reader| reader.high_water()).await
    }
}

#[async_trait]
impl Retention for SqliteStore {
    async fn delete_ended(&self, at: UnixMillis) -> Result<()> {
        while self.ask(move |transaction| transaction.delete_ended(at)).await? {}
        Ok(())
    }

    async fn idempotent_forget(&self, until: UnixMillis) -> Result<()> {
        while self.ask(move |transaction| transaction.answers_forget(until)).await? {}
        Ok(())
    }

    async fn buckets(&self) -> Result<Vec<Bucket>> {
        let mut buckets = self.read("list buckets", |reader| reader.buckets()).await?;
        self.shared.log.leave_out(&mut buckets);
        Ok(buckets)
    }

    async fn clean_up(&self, buckets: &[Bucket]) -> Result<()> {
        if self.healthy() {
            return self.clean_up_all(buckets).await;
        }
        // The disk may be full: what clean-up itself needs was kept for it.
        self.work(Work::Reserve { free: true }).await?;
        let outcome = self.clean_up_all(buckets).await;
        self.work(Work::Reserve { free: false }).await?;
        outcome
    }

    async fn forget(&self, tenant: TenantId, subject: Subject) -> Result<()> {
        self.act(move |transaction| match subject {
            Subject::Agent(agent) => transaction.forget_agent(tenant, agent),
            Subject::Visitor(visitor) => transaction.forget_visitor(tenant, visitor).map(drop),
        })
        .await?;
        // Whoever copies now has the log as it was; it is sealed with the key that is destroyed.
        let Some(_log_lock) = self.shared.log.to_empty(&[]) else { return Ok(()) };
        self.again(|| Work::EmptyLog).await?;
        self.clear_gaps().await
    }

    async fn raise_high_water(&self, at: UnixMillis) -> Result<()> {
        self.act(move |transaction| transaction.raise_high_water(at)).await
    }

    async fn destroying(&self, by: UnixMillis) -> Result<bool> {
        self.ask(move |transaction| transaction.destroying(by)).await
    }

    async fn clock_act(&self, act: ClockAct) -> Result<bool> {
        self.ask(move |transaction| transaction.clock_act(act)).await
    }
}

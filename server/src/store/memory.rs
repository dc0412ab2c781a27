//! The store that keeps everything in memory and nothing when it ends: for load tests and trials.
//!
//! Lives here: the port's implementation. Below: messages and receipts, writes, reads, clean-up.
//! Records, headers among them, are SQLite's, in memory (`store/sqlite`). Not here: keys (`keys`,
//! through the port `Sealer`), when something is due (`privacy`). Opened by the assembly, behind
//! loopback only; used by hub, api and auth through the trait `Store`.
//!
//! It does everything that the store on disk does but the disk: bodies and personal columns are
//! sealed when they are written, sequence numbers are unique, batches are whole. There is no
//! writer's thread: whoever writes does the work, and hears the outcome before `write` returns.
//!
//! Locks: a shard of the conversations, the records, the list of buckets. One at a time; only a
//! batch and a clean-up take several: shards in the order of their numbers, then the records.
//! Nothing is awaited or told under any of them, and nothing sealed or unsealed but records under
//! their own.

mod batch;
mod cleanup;
mod read;
mod records;
mod transcript;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use protocol::ids::{ConversationId, TenantId};
use protocol::time::UnixMillis;
use tokio::sync::Semaphore;

use self::records::MemoryRecords;
use self::transcript::Conversation;
use super::feed::FeedEvent;
use super::record::{Row, Select};
use super::{
    ClockAct, Completion, NoStats, Records, Refused, Result, Retention, Store, StoreError,
    StoreStats, Write, WriteSlot, Wrote,
};
use crate::clock::Clock;
use crate::metrics::StoreOp;
use crate::privacy::seal::{Bucket, SealError, Sealer, Subject};

/// Shares of the conversations, each with a lock of its own: many times the threads of any machine.
const SHARDS: usize = 256;

/// The store's bounds.
#[derive(Debug, Clone)]
pub struct MemoryConfig {
    /// Writes that may be under way.
    pub queue_len: usize,
    /// How long a sender waits for one of them to end before being refused.
    pub patience: Duration,
    /// Who counts. Nothing is committed here, so that only failures and sweeps are told.
    pub stats: Arc<dyn StoreStats>,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { queue_len: 8_192, patience: Duration::from_secs(2), stats: Arc::new(NoStats) }
    }
}

/// The store of one server, for as long as it runs.
#[derive(Debug)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    patience: Duration,
}

type Shard = HashMap<ConversationId, Conversation>;

struct Shared {
    sealer: Arc<dyn Sealer>,
    clock: Arc<dyn Clock>,
    stats: Arc<dyn StoreStats>,
    /// One permit for each write that may be under way.
    permits: Semaphore,
    closed: AtomicBool,
    shards: Vec<Mutex<Shard>>,
    /// Conversations in which something was said since their change was last listed. Messages do
    /// not wait for the records: whoever asks for changes lists these first.
    touched: Mutex<Vec<ConversationId>>,
    /// Whether anybody's feed is read.
    feeds: AtomicBool,
    /// Everything else; none where there is no memory for it.
    records: Mutex<Option<MemoryRecords>>,
    /// Those with a sealed value, until they are cleaned up.
    buckets: Mutex<BTreeSet<Bucket>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new(sealer: Arc<dyn Sealer>, config: &MemoryConfig, clock: Arc<dyn Clock>) -> Self {
        let shared = Arc::new(Shared {
            sealer,
            clock,
            stats: Arc::clone(&config.stats),
            permits: Semaphore::new(config.queue_len.max(1)),
            closed: AtomicBool::new(false),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            touched: Mutex::default(),
            feeds: AtomicBool::new(false),
            records: Mutex::new(MemoryRecords::new()),
            buckets: Mutex::default(),
        });
        Self { shared, patience: config.patience }
    }

    async fn slot(&self) -> Result<Slot> {
        let permit = self.shared.permits.acquire();
        let permit = tokio::time::timeout(self.patience, permit).await;
        let Ok(Ok(permit)) = permit else { return Err(StoreError::Full) };
        permit.forget();
        let slot = Slot { shared: Arc::clone(&self.shared) };
        self.shared.check_open()?;
        Ok(slot)
    }

    /// What records do when they are written to.
    fn open(&self) -> Result<&Shared> {
        self.shared.check_open().map(|()| &*self.shared)
    }
}

impl Shared {
    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable { act: "write after the end" });
        }
        Ok(())
    }

    /// The shard of a conversation.
    fn number(&self, conversation: ConversationId) -> usize {
        // The last byte of a UUIDv7 is random.
        let [.., share] = *conversation.as_bytes();
        usize::from(share) % self.shards.len()
    }

    /// Works on a conversation under its shard's lock.
    fn with<T>(
        &self,
        conversation: ConversationId,
        work: impl FnOnce(Option<&mut Conversation>) -> T,
    ) -> T {
        work(self.shards[self.number(conversation)].lock().get_mut(&conversation))
    }

    /// The same if the tenant has it.
    fn with_of<T>(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        work: impl FnOnce(&Conversation) -> T,
    ) -> Option<T> {
        self.with(conversation, |kept| {
            kept.filter(|kept| kept.home().tenant == tenant).map(|kept| work(kept))
        })
    }

    fn keys_failed(&self, error: SealError, op: StoreOp, act: &'static str) -> StoreError {
        tracing::error!(act, %error, "the keys failed");
        self.stats.failed(op);
        StoreError::Unavailable { act }
    }
}

/// One of the writes that may be under way.
struct Slot {
    shared: Arc<Shared>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.permits.add_permits(1);
    }
}

impl WriteSlot for Slot {
    fn write(self: Box<Self>, writes: Vec<Write>, completion: Completion) {
        let outcome = self.shared.carry_out(&writes);
        let outcome = outcome.map(drop).map_err(|refused| refused.error);
        // The next writer may come while this one tells.
        drop(self);
        completion(outcome);
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn try_reserve(&self) -> Result<Box<dyn WriteSlot>> {
        self.shared.check_open()?;
        let permit = self.shared.permits.try_acquire().map_err(|_| StoreError::Full)?;
        permit.forget();
        Ok(Box::new(Slot { shared: Arc::clone(&self.shared) }))
    }

    async fn reserve(&self) -> Result<Box<dyn WriteSlot>> {
        Ok(Box::new(self.slot().await?))
    }

    async fn batch(&self, writes: Vec<Write>) -> Result<Vec<Wrote>, Refused> {
        let slot = self.slot().await.map_err(|error| Refused { at: None, error })?;
        slot.shared.carry_out(&writes)
    }

    fn healthy(&self) -> bool {
        !self.shared.closed.load(Ordering::Acquire)
    }

    async fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
    }
}

#[async_trait]
impl Records for MemoryStore {
    async fn select(&self, act: &'static str, select: Select) -> Result<Vec<Row>> {
        self.shared.read_records(act, |reader| reader.select(&select))
    }

    async fn feed(&self, tenant: TenantId, after: u64, limit: u16) -> Result<Vec<FeedEvent>> {
        self.shared.read_records("read the feed", |reader| reader.feed(tenant, after, limit))
    }

    async fn feed_end(&self) -> Result<u64> {
        self.shared.read_records("read the feed", |reader| reader.feed_end())
    }

    async fn high_water(&self) -> Result<UnixMillis> {
        self.shared.read_records("read the latest time", |reader| reader.high_water())
    }
}

#[async_trait]
impl Retention for MemoryStore {
    async fn delete_ended(&self, at: UnixMillis) -> Result<()> {
        while self
            .open()?
            .write_records("delete what is over", |transaction| transaction.delete_ended(at))?
        {
        }
        Ok(())
    }

    async fn idempotent_forget(&self, until: UnixMillis) -> Result<()> {
        while self
            .open()?
            .write_records("forget answers", |transaction| transaction.answers_forget(until))?
        {
        }
        Ok(())
    }

    async fn buckets(&self) -> Result<Vec<Bucket>> {
        let mut all = self.shared.buckets.lock().clone();
        all.extend(self.shared.read_records("list buckets", |reader| reader.buckets())?);
        Ok(all.into_iter().collect())
    }

    async fn clean_up(&self, buckets: &[Bucket]) -> Result<()> {
        let began = self.shared.clock.instant();
        self.open()?.clean_up(buckets)?;
        let now = self.shared.clock.instant();
        self.shared.stats.swept(now.saturating_duration_since(began));
        Ok(())
    }

    async fn forget(&self, tenant: TenantId, subject: Subject) -> Result<()> {
        let shared = self.open()?;
        match subject {
            Subject::Agent(agent) => shared.write_records("forget an agent", |transaction| {
                transaction.forget_agent(tenant, agent)
            }),
            Subject::Visitor(visitor) => shared.forget_visitor(tenant, visitor),
        }
    }

    async fn raise_high_water(&self, at: UnixMillis) -> Result<()> {
        self.open()?
            .write_records("raise the latest time", |transaction| transaction.raise_high_water(at))
    }

    async fn destroying(&self, by: UnixMillis) -> Result<bool> {
        self.open()?.write_records("begin a sweep", |transaction| transaction.destroying(by))
    }

    async fn clock_act(&self, act: ClockAct) -> Result<bool> {
        self.open()?
            .write_records("note an act on the clock", |transaction| transaction.clock_act(act))
    }
}

#[cfg(test)]
mod tests;

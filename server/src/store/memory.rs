//! The store that keeps everything in memory and nothing when it ends: for load tests and trials.
//!
//! Lives here: the port's implementation. Below: conversations, visitors and lists, accounts, writes, reads,
//! clean-up. Not here: keys (`keys`, through the port `Sealer`), when something is due (`privacy`).
//! Opened by the assembly, behind loopback only; used by hub, api and auth through the trait `Store`.
//!
//! It does everything that the store on disk does but the disk: bodies and personal columns are sealed when
//! they are written, places are unique, batches are whole. There is no writer's thread: whoever writes does
//! the work, and hears the fate before `write` returns.
//!
//! Locks: a shard of the conversations, the register, the accounts, the list of buckets, the mark. One at a
//! time; only a batch takes several: shards in the order of their numbers, then the register, then the accounts. Nothing is
//! sealed, unsealed, awaited or told under any of them.

mod accounts;
mod batch;
mod cleanup;
mod read;
mod register;
mod table;
mod transcript;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use protocol::conversation::Availability;
use protocol::ids::{
    AgentId, ConversationId, KeyId, MessageId, SessionId, SiteId, SiteKey, TagId, TenantId,
    VisitorId,
};
use protocol::message::Seq;
use protocol::personal::Personal;
use protocol::time::UnixMillis;
use tokio::sync::Semaphore;

use self::accounts::Accounts;
use self::register::Register;
use self::transcript::Conversation;
use super::{
    AgentRow, ClockAct, ConversationFilter, ConversationRow, DraftRow, Fate, InvitationRow, KeyRow,
    MessagePage, NoStats, Page, PasswordResetRow, RoomRow, SecretHash, SessionRow, Sight, SiteRow,
    Store, StoreError, StoreStats, TagRow, TenantRow, VisitorRow, VisitorToken, Write, WriteSlot,
};
use crate::clock::Clock;
use crate::metrics::StoreOp;
use crate::privacy::envelope::{Placed, Tag};
use crate::privacy::seal::{Bucket, SealError, Sealer};
use crate::privacy::sweep::{may_confirm, may_lower};

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
    places: Semaphore,
    closed: AtomicBool,
    shards: Vec<Mutex<Shard>>,
    register: Mutex<Register>,
    accounts: Mutex<Accounts>,
    /// Those with a sealed value, until they are cleaned up.
    buckets: Mutex<BTreeSet<Bucket>>,
    trusted: Mutex<Trusted>,
}

/// How far time is trusted; under one lock, so that no key dies by a mark that is going back.
#[derive(Debug)]
struct Trusted {
    high_water: UnixMillis,
    /// The latest trusted time by which a key was destroyed.
    destroyed_by: UnixMillis,
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
            places: Semaphore::new(config.queue_len.max(1)),
            closed: AtomicBool::new(false),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            register: Mutex::default(),
            accounts: Mutex::default(),
            buckets: Mutex::default(),
            trusted: Mutex::new(Trusted { high_water: UnixMillis(0), destroyed_by: UnixMillis(0) }),
        });
        Self { shared, patience: config.patience }
    }

    async fn slot(&self) -> Result<Slot, StoreError> {
        let place = self.shared.places.acquire();
        let place = tokio::time::timeout(self.patience, place).await;
        let Ok(Ok(place)) = place else { return Err(StoreError::Full) };
        place.forget();
        let slot = Slot { shared: Arc::clone(&self.shared) };
        self.shared.check_open()?;
        Ok(slot)
    }

    /// What the accounts do when they are written to.
    fn open(&self) -> Result<&Shared, StoreError> {
        self.shared.check_open().map(|()| &*self.shared)
    }
}

impl Shared {
    fn check_open(&self) -> Result<(), StoreError> {
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
        self.shared.places.add_permits(1);
    }
}

impl WriteSlot for Slot {
    fn write(self: Box<Self>, writes: Vec<Write>, fate: Fate) {
        let outcome = self.shared.carry_out(writes);
        // The next writer may come while this one tells.
        drop(self);
        fate(outcome);
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn try_reserve(&self) -> Result<Box<dyn WriteSlot>, StoreError> {
        self.shared.check_open()?;
        let place = self.shared.places.try_acquire().map_err(|_| StoreError::Full)?;
        place.forget();
        Ok(Box::new(Slot { shared: Arc::clone(&self.shared) }))
    }

    async fn reserve(&self) -> Result<Box<dyn WriteSlot>, StoreError> {
        Ok(Box::new(self.slot().await?))
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.slot().await?.shared.carry_out(writes)
    }

    fn healthy(&self) -> bool {
        !self.shared.closed.load(Ordering::Acquire)
    }

    async fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
    }

    async fn room(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        tail: u16,
    ) -> Result<Option<RoomRow>, StoreError> {
        self.shared.room(tenant, conversation, tail)
    }

    async fn conversation_exists(&self, conversation: ConversationId) -> Result<bool, StoreError> {
        Ok(self.shared.with(conversation, |kept| kept.is_some()))
    }

    async fn page(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        sight: Sight,
        range: (Seq, Option<Seq>),
        limit: u16,
    ) -> Result<MessagePage, StoreError> {
        self.shared.page(tenant, conversation, sight, range, limit)
    }

    async fn messages(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        after: Seq,
        before: Option<Seq>,
        limit: u16,
    ) -> Result<Vec<Arc<Placed>>, StoreError> {
        self.shared.messages(tenant, conversation, after, before, limit)
    }

    async fn is_destroyed(
        &self,
        tag: &Tag,
        conversation: ConversationId,
    ) -> Result<bool, StoreError> {
        self.shared.is_destroyed(tag, conversation)
    }

    async fn message(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        message: MessageId,
        after: Seq,
    ) -> Result<Option<Arc<Placed>>, StoreError> {
        self.shared.message(tenant, conversation, message, after)
    }

    async fn conversation(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<ConversationRow>, StoreError> {
        self.shared.conversation(tenant, conversation)
    }

    async fn conversations(
        &self,
        tenant: TenantId,
        filter: &ConversationFilter,
        page: Page<ConversationId>,
    ) -> Result<Vec<ConversationRow>, StoreError> {
        self.shared.conversations(tenant, filter, page)
    }

    async fn conversations_live(&self) -> Result<Vec<ConversationRow>, StoreError> {
        self.shared.conversations_live()
    }

    async fn drafts(&self, tenant: TenantId, agent: AgentId) -> Result<Vec<DraftRow>, StoreError> {
        self.shared.drafts(tenant, agent)
    }

    async fn visitor(
        &self,
        tenant: TenantId,
        visitor: VisitorId,
    ) -> Result<Option<VisitorRow>, StoreError> {
        self.shared.visitor(tenant, visitor)
    }

    async fn visitor_by_secret(
        &self,
        tenant: TenantId,
        site: SiteId,
        secret: SecretHash,
    ) -> Result<Option<VisitorToken>, StoreError> {
        Ok(self.shared.visitor_by_secret(tenant, site, secret))
    }

    async fn visitors(
        &self,
        tenant: TenantId,
        page: Page<VisitorId>,
    ) -> Result<Vec<VisitorRow>, StoreError> {
        self.shared.visitors(tenant, page)
    }

    async fn tenant(&self, tenant: TenantId) -> Result<Option<TenantRow>, StoreError> {
        self.shared.tenant(tenant)
    }

    async fn tenants(&self, page: Page<TenantId>) -> Result<Vec<TenantRow>, StoreError> {
        self.shared.tenants(page)
    }

    async fn site(&self, tenant: TenantId, site: SiteId) -> Result<Option<SiteRow>, StoreError> {
        Ok(self.shared.site(site).filter(|row| row.tenant == tenant))
    }

    async fn site_of_any_tenant(&self, site: SiteId) -> Result<Option<SiteRow>, StoreError> {
        Ok(self.shared.site(site))
    }

    async fn site_by_key(&self, key: &SiteKey) -> Result<Option<SiteRow>, StoreError> {
        Ok(self.shared.site_by_key(key))
    }

    async fn sites(
        &self,
        tenant: TenantId,
        page: Page<SiteId>,
    ) -> Result<Vec<SiteRow>, StoreError> {
        Ok(self.shared.sites(tenant, page))
    }

    async fn agent_availability(
        &self,
        tenant: TenantId,
        agent: AgentId,
        availability: Availability,
        capacity: Option<u16>,
    ) -> Result<(), StoreError> {
        self.open()?.agent_availability(tenant, agent, availability, capacity)
    }

    async fn agent(
        &self,
        tenant: TenantId,
        agent: AgentId,
    ) -> Result<Option<AgentRow>, StoreError> {
        self.shared.agent(tenant, agent)
    }

    async fn agent_forget(&self, tenant: TenantId, agent: AgentId) -> Result<(), StoreError> {
        self.open()?.agent_forget(tenant, agent)
    }

    async fn agents_by_email(&self, email: &Personal<String>) -> Result<Vec<AgentRow>, StoreError> {
        self.shared.agents_by_email(email)
    }

    async fn agents(
        &self,
        tenant: TenantId,
        page: Page<AgentId>,
    ) -> Result<Vec<AgentRow>, StoreError> {
        self.shared.agents(tenant, page)
    }

    async fn session_by_secret(
        &self,
        secret: SecretHash,
    ) -> Result<Option<SessionRow>, StoreError> {
        self.shared.session_by_secret(secret)
    }

    async fn sessions(
        &self,
        tenant: TenantId,
        agent: AgentId,
    ) -> Result<Vec<SessionRow>, StoreError> {
        self.shared.sessions(tenant, agent)
    }

    async fn session_delete(
        &self,
        tenant: TenantId,
        agent: AgentId,
        session: SessionId,
    ) -> Result<(), StoreError> {
        self.open()?.session_delete(tenant, agent, session)
    }

    async fn invitation_by_secret(
        &self,
        secret: SecretHash,
    ) -> Result<Option<InvitationRow>, StoreError> {
        self.shared.invitation_by_secret(secret)
    }

    async fn invitations(&self, tenant: TenantId) -> Result<Vec<InvitationRow>, StoreError> {
        self.shared.invitations(tenant)
    }

    async fn password_reset_by_secret(
        &self,
        secret: SecretHash,
    ) -> Result<Option<PasswordResetRow>, StoreError> {
        Ok(self.shared.password_reset_by_secret(secret))
    }

    async fn delete_ended(&self, at: UnixMillis) -> Result<(), StoreError> {
        self.open()?.delete_ended(at);
        Ok(())
    }

    async fn key_by_secret(&self, secret: SecretHash) -> Result<Option<KeyRow>, StoreError> {
        Ok(self.shared.key_by_secret(secret))
    }

    async fn keys(&self, tenant: Option<TenantId>) -> Result<Vec<KeyRow>, StoreError> {
        Ok(self.shared.keys(tenant))
    }

    async fn key_delete(&self, tenant: Option<TenantId>, key: KeyId) -> Result<(), StoreError> {
        self.open()?.key_delete(tenant, key)
    }

    async fn tags(&self, tenant: TenantId) -> Result<Vec<TagRow>, StoreError> {
        Ok(self.shared.tags(tenant))
    }

    async fn tag_delete(&self, tenant: TenantId, tag: TagId) -> Result<(), StoreError> {
        self.open()?.tag_delete(tenant, tag)
    }

    async fn idempotent_answer(
        &self,
        tenant: TenantId,
        key: &str,
    ) -> Result<Option<([u8; 32], Vec<u8>)>, StoreError> {
        self.shared.idempotent_answer(tenant, key)
    }

    async fn idempotent_forget(&self, until: UnixMillis) -> Result<(), StoreError> {
        self.open()?.idempotent_forget(until);
        Ok(())
    }

    async fn buckets(&self) -> Result<Vec<Bucket>, StoreError> {
        Ok(self.shared.buckets.lock().iter().copied().collect())
    }

    async fn clean_up(&self, buckets: &[Bucket]) -> Result<(), StoreError> {
        let began = self.shared.clock.instant();
        self.open()?.clean_up(buckets);
        let now = self.shared.clock.instant();
        self.shared.stats.swept(now.saturating_duration_since(began));
        Ok(())
    }

    async fn high_water(&self) -> Result<UnixMillis, StoreError> {
        Ok(self.shared.trusted.lock().high_water)
    }

    async fn raise_high_water(&self, at: UnixMillis) -> Result<(), StoreError> {
        let mut trusted = self.open()?.trusted.lock();
        trusted.high_water = trusted.high_water.max(at);
        Ok(())
    }

    async fn destroying(&self, by: UnixMillis) -> Result<bool, StoreError> {
        let mut trusted = self.open()?.trusted.lock();
        let stands = trusted.high_water >= by;
        if stands {
            trusted.destroyed_by = trusted.destroyed_by.max(by);
        }
        Ok(stands)
    }

    /// The note is the caller's line in the log: what would keep it here ends with the server.
    async fn clock_act(&self, act: ClockAct) -> Result<bool, StoreError> {
        let mut trusted = self.open()?.trusted.lock();
        if !act.lower {
            return Ok(may_confirm(trusted.high_water, act.wall));
        }
        let may = may_lower(trusted.high_water, act.wall, trusted.destroyed_by);
        if may {
            trusted.high_water = act.wall;
        }
        Ok(may)
    }
}

#[cfg(test)]
mod tests;

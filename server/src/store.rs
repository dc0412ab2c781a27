//! What is kept: the port, and the rows it speaks of.
//!
//! Lives here: the port's traits, writes and why they are refused. Below: rows, what a read sees,
//! searches, records, the implementations and their conformance suite. Every question names its
//! tenant; another tenant's things are not found. Personal columns are sealed inside the
//! implementations, so that callers see `Personal` values and files see none. Writes go through one
//! bounded queue: on disk to one writer, which commits what waits in one transaction; in memory the
//! queue bounds how many are under way.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::ids::{
    AgentId, ConversationId, PrivacyRequestId, SessionId, SiteId, SiteKey, SuppressionId, TenantId,
};
use protocol::message::Seq;
use protocol::personal::Personal;
use protocol::time::UnixMillis;

use crate::privacy::audit::{ChainId, Entry};
use crate::privacy::envelope::Sequenced;
use crate::privacy::request::RequestState;
use crate::privacy::seal::{Bucket, Subject};
use crate::privacy::suppression::Identifier;

pub use self::error::{Refused, StoreError, Wrote};
pub use self::feed::{FeedEvent, FeedReaderRow};
pub use self::record::{CannedResponseRow, CannedWords, Change, News, SuppressionRow};
use self::record::{Entity, Equal, Field, Order, Row, Select, is, newest_below};
pub use self::record::{RequestRow, RequestWords, Subjects};
pub use crate::privacy::seal::SecretHash;
pub use rows::*;
pub use search::{ConversationFilter, ConversationSearch, Found, Moment, SearchOrder};
pub use sight::{MessagePage, NewestRow, RoomRow, Sight};
pub use stats::{Committed, NoStats, StoreStats};
#[cfg(test)]
use transcript::DRAFTS_MAX;
pub use transcript::Transcript;

#[cfg(test)]
pub(crate) mod conformance;
mod error;
pub mod feed;
pub mod inventory;
pub mod memory;
pub mod record;
mod rows;
mod sealed;
mod search;
mod sight;
pub mod sqlite;
mod stats;
mod transcript;

/// What comes of asking or telling a store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What is stored together with a message, once its sequence number is known.
#[derive(Clone)]
pub struct Beside(Arc<dyn Fn(Seq) -> Write + Send + Sync>);

impl Beside {
    /// `write` makes it of the sequence number.
    pub fn new(write: impl Fn(Seq) -> Write + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }

    /// What is stored with a message at this sequence number.
    pub(crate) fn at(&self, seq: Seq) -> Write {
        (self.0)(seq)
    }
}

impl std::fmt::Debug for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Beside").finish_non_exhaustive()
    }
}

/// One thing for the writer. All of a batch is committed together or not at all.
#[derive(Debug, Clone)]
pub enum Write {
    /// A message with its sequence number.
    Message(Arc<Sequenced>),
    /// Sequence numbers up to this one were given, though none of their messages may be stored: the
    /// numbering goes on above it.
    Floor { tenant: TenantId, conversation: ConversationId, seq: Seq },
    /// A header, new or changed; an older version than the stored one is skipped.
    Conversation(Box<ConversationRow>),
    /// A visitor, new, or with other contact data; the token of one who is known stays as it is.
    Visitor(Box<VisitorRow>),
    /// A known visitor's token, the one before it and their ends; nothing else of the row.
    VisitorToken(Box<VisitorToken>),
    /// A receipt; it never goes back.
    Receipt(ReceiptRow),
    /// A draft.
    Draft(Box<DraftRow>),
    /// Anything that is set up, and who may act.
    Record(Change),
}

/// Called once for each write with its outcome, after the sync, in the order of the queue; must not
/// block. Runs on a thread of the store's own, or in the writer's call before `write` returns: so
/// nobody holds a lock that their completion takes while they write.
pub type Completion = Box<dyn FnOnce(Result<()>) + Send>;

/// A permit of the writer's queue; dropped unused, it is free again.
pub trait WriteSlot: Send {
    /// Puts these into the queue, to be committed together. The completion may run before this
    /// returns.
    fn write(self: Box<Self>, writes: Vec<Write>, completion: Completion);
}

/// A page of a list: how many, and after which item of the last page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<Id> {
    /// At most so many.
    pub limit: u16,
    /// The last item of the page before.
    pub after: Option<Id>,
}

/// The port to what is kept, all of it. Reads see everything that was reported as stored.
#[async_trait]
pub trait Store: Transcript + Retention {
    /// Takes a permit of the writer's queue; `Err(Full)` when none is free.
    fn try_reserve(&self) -> Result<Box<dyn WriteSlot>>;
    /// Waits for a permit, at most as long as the store's patience, then `Err(Full)`: it slows the
    /// sender.
    async fn reserve(&self) -> Result<Box<dyn WriteSlot>>;
    /// Writes and waits until it is kept, all of it or nothing: what came of each, in their order.
    async fn batch(&self, writes: Vec<Write>) -> Result<Vec<Wrote>, Refused>;
    /// The same for whoever need not know which.
    async fn write(&self, writes: Vec<Write>) -> Result<()> {
        self.batch(writes).await.map(drop).map_err(|refused| refused.error)
    }
    /// Changes records, all of them or none.
    async fn change(&self, changes: Vec<Change>) -> Result<()> {
        self.write(changes.into_iter().map(Write::Record).collect()).await
    }
    /// Whether the last commit succeeded and the files are there: readiness.
    fn healthy(&self) -> bool;
    /// Commits what waits, closes; later writes are refused.
    async fn close(&self);
}

/// What is set up and who may act, each table declared once ([`record`]): what a database does is
/// [`Records::select`], and the rest says it in the words of an entity. What changes them is a
/// [`Change`].
#[async_trait]
pub trait Records: Send + Sync {
    /// Rows of records, in the order in which they were made; `act` is what is logged where that
    /// fails.
    async fn select(&self, act: &'static str, select: Select) -> Result<Vec<Row>>;

    async fn tenant(&self, tenant: TenantId) -> Result<Option<TenantRow>> {
        one("read a tenant", self, vec![is("tenant", tenant)]).await
    }
    async fn tenants(&self, page: Page<TenantId>) -> Result<Vec<TenantRow>> {
        list("list tenants", self, Vec::new(), page).await
    }

    async fn site(&self, tenant: TenantId, site: SiteId) -> Result<Option<SiteRow>> {
        one("read a site", self, vec![is("site", site), is("tenant", tenant)]).await
    }
    /// The operator's view: any tenant's.
    async fn site_of_any_tenant(&self, site: SiteId) -> Result<Option<SiteRow>> {
        one("read a site", self, vec![is("site", site)]).await
    }
    async fn site_by_key(&self, key: &SiteKey) -> Result<Option<SiteRow>> {
        one("read a site", self, vec![is("site_key", key.clone())]).await
    }
    async fn sites(&self, tenant: TenantId, page: Page<SiteId>) -> Result<Vec<SiteRow>> {
        list("list sites", self, vec![is("tenant", tenant)], page).await
    }

    async fn agent(&self, tenant: TenantId, agent: AgentId) -> Result<Option<AgentRow>> {
        one("read an agent", self, vec![is("agent", agent), is("tenant", tenant)]).await
    }
    /// At login the tenant is not known yet: every account with this e-mail, oldest first.
    async fn agents_by_email(&self, email: &Personal<String>) -> Result<Vec<AgentRow>> {
        let of = vec![is("email_hash", email.clone())];
        let mut rows = all::<AgentRow>("find an agent", self, of).await?;
        // One whose key is destroyed is not found by address, though the row is not cleared yet.
        rows.retain(|row| !row.email.expose().is_empty());
        Ok(rows)
    }
    async fn agents(&self, tenant: TenantId, page: Page<AgentId>) -> Result<Vec<AgentRow>> {
        list("list agents", self, vec![is("tenant", tenant)], page).await
    }

    async fn session_by_secret(&self, secret: SecretHash) -> Result<Option<SessionRow>> {
        one("find a session", self, vec![is("secret", secret)]).await
    }
    async fn sessions(&self, tenant: TenantId, agent: AgentId) -> Result<Vec<SessionRow>> {
        all("list sessions", self, vec![is("agent", agent), is("tenant", tenant)]).await
    }
    async fn session_exists(&self, tenant: TenantId, session: SessionId) -> Result<bool> {
        let of = vec![is("session", session), is("tenant", tenant)];
        Ok(!self.select("look for a session", Select::all::<SessionRow>(of)).await?.is_empty())
    }

    async fn invitation_by_secret(&self, secret: SecretHash) -> Result<Option<InvitationRow>> {
        one("find an invitation", self, vec![is("secret", secret)]).await
    }
    async fn invitations(&self, tenant: TenantId) -> Result<Vec<InvitationRow>> {
        all("list invitations", self, vec![is("tenant", tenant)]).await
    }

    async fn password_reset_by_secret(
        &self,
        secret: SecretHash,
    ) -> Result<Option<PasswordResetRow>> {
        one("find a password link", self, vec![is("secret", secret)]).await
    }

    async fn key_by_secret(&self, secret: SecretHash) -> Result<Option<KeyRow>> {
        one("find a key", self, vec![is("secret", secret)]).await
    }
    async fn keys(&self, tenant: Option<TenantId>) -> Result<Vec<KeyRow>> {
        all("list keys", self, vec![is("tenant", tenant)]).await
    }

    async fn tags(&self, tenant: TenantId) -> Result<Vec<TagRow>> {
        all("list tags", self, vec![is("tenant", tenant)]).await
    }

    /// What changed in an Organization after a position, in the order of the commits: from when a
    /// [`FeedReaderRow`] of it is made. What was said is there once it is checkpointed out of the
    /// journal, about a second later at most.
    async fn feed(&self, tenant: TenantId, after: u64, limit: u16) -> Result<Vec<FeedEvent>>;
    /// The position of the newest event of all Organizations.
    async fn feed_end(&self) -> Result<u64>;
    /// The latest trusted time that was persisted: reads use the later of it and the wall clock.
    async fn high_water(&self) -> Result<UnixMillis>;

    /// Entries of a chain below this seq, the newest first.
    async fn audit(&self, chain: ChainId, below: Option<u64>, limit: u16) -> Result<Vec<Entry>> {
        let below = below.map_or(i64::MAX, |seq| i64::try_from(seq).unwrap_or(i64::MAX));
        let list = Select::all::<Entry>(vec![is("tenant", chain)]);
        let list = Select { order: newest_below(below), limit: Some(limit), ..list };
        entities("read the audit", self.select("read the audit", list).await?)
    }

    async fn canned_responses(&self, tenant: TenantId) -> Result<Vec<CannedResponseRow>> {
        all("list canned responses", self, vec![is("tenant", tenant)]).await
    }

    async fn privacy_request(
        &self,
        tenant: TenantId,
        request: PrivacyRequestId,
    ) -> Result<Option<RequestRow>> {
        let of = vec![is("privacy_request", request), is("tenant", tenant)];
        one("read a privacy request", self, of).await
    }
    /// The newest first.
    async fn privacy_requests(
        &self,
        tenant: TenantId,
        page: Page<PrivacyRequestId>,
    ) -> Result<Vec<RequestRow>> {
        let list = Select::page::<RequestRow, _>(vec![is("tenant", tenant)], page);
        let list = Select { order: Order::Last, ..list };
        entities("list privacy requests", self.select("list privacy requests", list).await?)
    }
    /// Those of every Organization that are in this state: what goes on by itself.
    async fn privacy_requests_in(&self, state: RequestState) -> Result<Vec<RequestRow>> {
        all("list privacy requests", self, vec![is("state", state)]).await
    }

    async fn suppressions(
        &self,
        tenant: TenantId,
        page: Page<SuppressionId>,
    ) -> Result<Vec<SuppressionRow>> {
        list("list suppressions", self, vec![is("tenant", tenant)], page).await
    }
    /// The entry by which an Organization may not take this identifier in: whatever makes an
    /// account, a contact or an import of it asks here first.
    async fn suppression(
        &self,
        tenant: TenantId,
        identifier: &Identifier,
    ) -> Result<Option<SuppressionRow>> {
        let of = vec![
            is("tenant", tenant),
            is("kind", identifier.kind()),
            is("identifier_hash", identifier.hashed().into_exposed()),
        ];
        one("look for a suppression", self, of).await
    }

    /// The stored answer to a create with this `Idempotency-Key`, if there was one.
    async fn idempotent_answer(&self, tenant: TenantId, key: &str) -> Result<Option<AnswerRow>> {
        let of = vec![is("tenant", tenant), is("key_hash", key.to_owned())];
        one("find an answer", self, of).await
    }
}

/// When anything ends: buckets, erasures, what is over, and how far time is trusted.
#[async_trait]
pub trait Retention: Send + Sync + std::fmt::Debug {
    /// Deletes every Organization's sessions, invitations and password links that were over at
    /// `at`.
    async fn delete_ended(&self, at: UnixMillis) -> Result<()>;
    /// Deletes the answers that were kept until this moment; their buckets' keys are the sweep's.
    async fn idempotent_forget(&self, until: UnixMillis) -> Result<()>;

    /// Every bucket that has traffic and is not destroyed.
    async fn buckets(&self) -> Result<Vec<Bucket>>;
    /// Deletes the rows of destroyed buckets, in chunks, and what they leave in the WAL.
    async fn clean_up(&self, buckets: &[Bucket]) -> Result<()>;
    /// Clears what is kept of a person once their key is destroyed, wherever [`inventory`] says
    /// that something lies. Sequence numbers of what they said stay given. Not found where nothing
    /// of them is kept.
    async fn forget(&self, tenant: TenantId, subject: Subject) -> Result<()>;
    /// Raises it; by itself it never goes back.
    async fn raise_high_water(&self, at: UnixMillis) -> Result<()>;
    /// Keys are about to be destroyed by this time. `false`: the mark went back meanwhile, nothing
    /// may be.
    async fn destroying(&self, by: UnixMillis) -> Result<bool>;
    /// Notes what an operator said about the clock, and does what they may do to the mark: `false`
    /// where they may not, and then nothing is changed or noted.
    async fn clock_act(&self, act: ClockAct) -> Result<bool>;
}

/// Every record of which this holds, the oldest first.
///
/// # Errors
/// If they cannot be read.
async fn all<E: Entity>(
    act: &'static str,
    store: &(impl Records + ?Sized),
    of: Vec<Equal>,
) -> Result<Vec<E>> {
    entities(act, store.select(act, Select::all::<E>(of)).await?)
}

/// The one record of which this holds.
///
/// # Errors
/// If it cannot be read.
async fn one<E: Entity>(
    act: &'static str,
    store: &(impl Records + ?Sized),
    of: Vec<Equal>,
) -> Result<Option<E>> {
    Ok(all(act, store, of).await?.pop())
}

/// A page of the records of which this holds, the oldest first.
///
/// # Errors
/// If they cannot be read.
async fn list<E: Entity, Id: Field>(
    act: &'static str,
    store: &(impl Records + ?Sized),
    of: Vec<Equal>,
    page: Page<Id>,
) -> Result<Vec<E>> {
    entities(act, store.select(act, Select::page::<E, Id>(of, page)).await?)
}

fn entities<E: Entity>(act: &'static str, rows: Vec<Row>) -> Result<Vec<E>> {
    let read = rows.into_iter().map(E::from_row).collect::<Option<Vec<_>>>();
    read.ok_or_else(|| {
        tracing::error!(act, name = E::TABLE.name, "a row cannot be read");
        StoreError::Unavailable { act }
    })
}

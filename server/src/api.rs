//! The REST edge: what programs and the console's pages ask for over HTTP.
//!
//! Lives here: one file per resource (parse, authorize, call, shape), problems, pages, the routers
//! and the OpenAPI documents that are made from the handlers' types. Not here: sockets (`gateway`),
//! the listener and static files (`http`), rooms (`hub`), rows (`store`). Called by `lib::run`,
//! which mounts the routers on the public and on the admin listener.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use protocol::conversation::SiteAvailability;
use protocol::ids::{AgentId, ConversationId, SiteId, TagId, TenantId};
use protocol::message::Seq;
use protocol::reject::{Reject, RejectCode};
use protocol::time::UnixMillis;

use crate::auth::{Devices, Passwords, Principal, Rates, Trier};
use crate::backup::Backups;
use crate::clock::Clock;
use crate::erasure::Erasures;
use crate::hub::{Creation, Follow, RefusedOrigin};
use crate::metrics::{Metrics, Throttle as Throttled};
use crate::origin::PublicUrl;
use crate::privacy::audit::Act as AuditAct;
use crate::privacy::ingest::NewMessage;
use crate::store::{Beside, Change, Retention, SiteRow, Store, StoreError, Transcript};
use crate::sweep::ClockTrust;
use crate::tasks::IdLocks;

mod router;
mod acts;
mod told;
mod access;
mod request;
mod problem;
mod page;
mod json;
mod lookups;
mod etag;
mod reference;
mod idempotency;
mod schema;
mod promises;
mod shapes;
mod links;
mod words;
mod date;
mod sessions;
mod agents;
mod invitations;
mod sites;
mod conversations;
mod messages;
mod canned_responses;
mod suppressions;
mod tags;
mod visitors;
mod privacy_requests;
mod keys;
mod widget;
mod tenants;
mod operator_keys;
mod password_resets;
mod clock;
mod backups;
mod audit;

pub use acts::Acts;
use problem::{Problem, ProblemCode};
pub use router::{admin_router, openapi, openapi_admin, openapi_files, public_router};

/// What the REST edge is set up with.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Where browsers reach the console.
    pub public_url: PublicUrl,
    /// Milliseconds until an agent has to sign in again.
    pub session_ms: u64,
    /// Conversations that a new agent takes at a time.
    pub agent_capacity: u16,
    /// How often what may be asked.
    pub rates: Arc<Rates>,
    /// Browsers from which somebody signed in.
    pub devices: Devices,
}

/// What every handler reaches.
#[derive(Debug, Clone)]
pub struct ApiState {
    /// What is read of the store. What changes it goes through [`ApiState::carry_out`] and
    /// [`Live`].
    pub(crate) store: Arc<dyn Transcript>,
    /// For the operator's word on the clock.
    pub(crate) retention: Arc<dyn Retention>,
    pub(crate) live: Arc<dyn Live>,
    pub(crate) clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    pub(crate) clock_trust: Arc<ClockTrust>,
    pub(crate) erasures: Arc<Erasures>,
    pub(crate) rates: Arc<Rates>,
    pub(crate) devices: Devices,
    pub(crate) passwords: Arc<Passwords>,
    /// Where browsers reach the console.
    pub(crate) public_url: Arc<PublicUrl>,
    pub(crate) session_ms: u64,
    pub(crate) agent_capacity: u16,
    acts: Acts,
    /// Creates with an idempotency key that are being worked on; as many as acts at most.
    pub(crate) in_flight: Arc<Mutex<HashSet<[u8; 32]>>>,
    /// An Organization's id lock is held from reading a site or an agent of it until that is stored
    /// anew, so that no change undoes another.
    pub(crate) changes: Arc<IdLocks>,
    pub(crate) backups: Arc<Backups>,
    /// A conversation's id lock is held from looking at its version until it is changed.
    pub(crate) moves: Arc<IdLocks>,
}

impl ApiState {
    /// Nobody was served yet.
    pub fn new(
        store: Arc<dyn Store>,
        live: Arc<dyn Live>,
        clock: Arc<dyn Clock>,
        clock_trust: Arc<ClockTrust>,
        erasures: Arc<Erasures>,
        metrics: Arc<Metrics>,
        config: &ApiConfig,
    ) -> Self {
        Self {
            retention: Arc::<dyn Store>::clone(&store),
            store,
            live,
            clock,
            metrics,
            clock_trust,
            erasures,
            rates: Arc::clone(&config.rates),
            devices: config.devices.clone(),
            passwords: Arc::default(),
            public_url: Arc::new(config.public_url.clone()),
            session_ms: config.session_ms,
            agent_capacity: config.agent_capacity,
            acts: Acts::default(),
            in_flight: Arc::default(),
            changes: Arc::default(),
            backups: Arc::default(),
            moves: Arc::default(),
        }
    }

    /// With something that can be backed up.
    #[must_use]
    pub fn with_backups(mut self, backups: &Arc<Backups>) -> Self {
        self.backups = Arc::clone(backups);
        self
    }

    /// What was begun and is not at its end.
    pub fn acts(&self) -> Acts {
        self.acts.clone()
    }

    /// Stores what was done with its entry in the audit, all of it or nothing, and puts it in
    /// force: the one way to write from here.
    pub(crate) async fn carry_out(
        &self,
        act: AuditAct,
        changes: Vec<Change>,
    ) -> Result<(), StoreError> {
        let changes = changes.into_iter().chain([Change::audit(act)]).collect::<Vec<_>>();
        let entries = changes.iter().filter(|change| matches!(change, Change::Audit(_))).count();
        self.live.following().carry_out(changes).await?;
        self.metrics.audit_entries_total.add(u64::try_from(entries).unwrap_or(0));
        Ok(())
    }

    /// Stores what is nobody's act: a counter.
    pub(crate) async fn count_up(&self, change: Change) -> Result<(), StoreError> {
        self.live.following().carry_out(vec![change]).await
    }

    /// Counts an attempt to prove a password, before it is looked at.
    pub(crate) fn attempt(&self, trier: &Trier<'_>) -> Result<(), Problem> {
        self.rates.logins.attempt(trier).map_err(|wait_ms| {
            self.metrics.rate_limited_total.of(Throttled::Logins).inc();
            Problem::new(ProblemCode::TooFast, "Too many attempts. Wait, then try again.")
                .retry_after_ms(wait_ms)
        })
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// A new version 7 UUID.
    pub(crate) fn new_uuid(&self) -> uuid::Uuid {
        crate::keys::uuid_v7(self.now())
    }
}

/// What is done with a conversation over REST.
#[derive(Debug, Clone)]
pub enum Act {
    /// Ends it.
    Close,
    /// Opens it again, when it is closed.
    Reopen,
    /// Gives it to an agent, or to the agent who asks where none is named.
    Assign(Option<AgentId>),
    /// Offers it to another agent; the giver keeps it until the receiver accepts.
    Transfer(AgentId),
    /// Takes the offer of a transfer back.
    Withdraw,
    /// Takes over what `from` has, or where a program asks gives it to the agent that it names.
    TakeOver { from: AgentId, to: Option<AgentId> },
    /// Replaces its labels.
    SetTags(Vec<TagId>),
}

/// What lives while the server runs: rooms, queues, connections. The hub implements it.
///
/// Each act checks whether the principal may do it; a conversation of another tenant is not found.
#[async_trait]
pub trait Live: Send + Sync + std::fmt::Debug {
    /// Says it; returns once it is stored, with its place and the moment it was taken. What is to
    /// be stored `beside` it is stored with it or not at all.
    async fn say(
        &self,
        principal: &Principal,
        new_message: NewMessage<'_>,
        beside: Option<Beside>,
    ) -> Result<(Seq, UnixMillis), Reject>;
    /// Does this with a conversation.
    async fn act(
        &self,
        principal: &Principal,
        conversation: ConversationId,
        act: Act,
    ) -> Result<(), Reject>;
    /// Begins a conversation for a visitor, with its first message; returns that one's place once
    /// all of it is stored.
    async fn create(&self, _: &Principal, _: Creation<'_>) -> Result<Seq, Reject> {
        Err(Reject::new(RejectCode::NotFound, "there is nobody here to take it"))
    }
    /// A label has another name, or is to be taken off everywhere.
    async fn label_changed(&self, _: TenantId, _: TagId, _gone: bool) -> Result<(), Reject> {
        Ok(())
    }
    /// What the site may promise its visitors now.
    fn site_availability(&self, tenant: TenantId, site: SiteId) -> SiteAvailability;
    /// A page of this origin wanted to embed the site's widget, and the site does not list it.
    fn origin_refused(&self, site: &SiteRow, origin: &str);
    /// The origins that were refused lately and are not allowed by now, the newest first.
    fn refused_origins(&self, site: &SiteRow) -> Vec<RefusedOrigin>;
    /// What is held in memory of what is set up.
    fn following(&self) -> &dyn Follow;
}

#[cfg(test)]
mod tests;

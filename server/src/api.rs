//! The REST edge: what programs and the console's pages ask for over HTTP.
//!
//! Lives here: one file per resource (parse, authorize, call, shape), problems, pages, the routers and
//! the OpenAPI documents that are made from the handlers' types.
//! Not here: sockets (`gateway`), the listener and static files (`http`), rooms (`hub`), rows (`store`).
//! Called by `lib::run`, which mounts the routers on the public and on the admin listener.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use protocol::conversation::SiteAvailability;
use protocol::ids::{AgentId, ConversationId, SessionId, SiteId, TagId, TenantId};
use protocol::message::Seq;
use protocol::reject::{Reject, RejectCode};
use protocol::time::UnixMillis;

use crate::auth::{Devices, Passwords, Principal, Rates, Trier};
use crate::backup::Backups;
use crate::clock::Clock;
use crate::hub::{Creation, RefusedOrigin};
use crate::metrics::{Metrics, Throttle as Throttled};
use crate::origin::PublicUrl;
use crate::privacy::ingest::Said;
use crate::store::feed::kind;
use crate::store::record::{Change, news};
use crate::store::{AgentRow, Beside, News, Record, SiteRow, Store, StoreError};
use crate::sweep::ClockTrust;
use crate::tasks::Turns;

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
mod tags;
mod visitors;
mod keys;
mod widget;
mod tenants;
mod operator_keys;
mod password_resets;
mod clock;
mod backups;

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
    pub(crate) store: Arc<dyn Store>,
    pub(crate) live: Arc<dyn Live>,
    pub(crate) clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    pub(crate) clock_trust: Arc<ClockTrust>,
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
    /// An Organization's turn is held from reading a site or an agent of it until that is stored anew, so that no change
    /// undoes another.
    pub(crate) changes: Arc<Turns>,
    pub(crate) backups: Arc<Backups>,
    /// A conversation's turn is held from looking at its version until it is changed.
    pub(crate) moves: Arc<Turns>,
}

impl ApiState {
    /// Nobody was served yet.
    pub fn new(
        store: Arc<dyn Store>,
        live: Arc<dyn Live>,
        clock: Arc<dyn Clock>,
        clock_trust: Arc<ClockTrust>,
        metrics: Arc<Metrics>,
        config: &ApiConfig,
    ) -> Self {
        Self {
            store,
            live,
            clock,
            metrics,
            clock_trust,
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

    /// Stores changes, all of them or none, and puts them in force.
    pub(crate) async fn carry_out(&self, records: Vec<Record>) -> Result<(), StoreError> {
        let changes: Vec<Change> = records.into_iter().flat_map(Record::changes).collect();
        let told: Vec<News> = changes.iter().filter_map(news).collect();
        self.store.change(changes).await?;
        for news in told {
            if let Err(error) = self.live.follow(&*self.store, &news).await {
                tracing::error!(tenant_id = %news.tenant, error = %error, "a change is stored, and what is held in memory of it could not be read anew");
            }
        }
        Ok(())
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

/// What lives while the server runs: rooms, queues, connections. The hub implements it.
///
/// Each act checks whether the principal may do it; a conversation of another tenant is not found.
#[async_trait]
pub trait Live: Send + Sync + std::fmt::Debug {
    /// Says it; returns once it is stored, with its place and the moment it was taken. What is to be stored
    /// `beside` it is stored with it or not at all.
    async fn say(
        &self,
        principal: &Principal,
        said: Said<'_>,
        beside: Option<Beside>,
    ) -> Result<(Seq, UnixMillis), Reject>;
    /// Ends a conversation.
    async fn close(
        &self,
        principal: &Principal,
        conversation: ConversationId,
    ) -> Result<(), Reject>;
    /// Opens a closed conversation again.
    async fn reopen(
        &self,
        principal: &Principal,
        conversation: ConversationId,
    ) -> Result<(), Reject>;
    /// Gives it to an agent, or to the agent who asks where none is named.
    async fn assign(
        &self,
        principal: &Principal,
        conversation: ConversationId,
        agent: Option<AgentId>,
    ) -> Result<(), Reject>;
    /// Offers it to another agent; the giver keeps it until the receiver accepts.
    async fn transfer(
        &self,
        principal: &Principal,
        conversation: ConversationId,
        agent: AgentId,
    ) -> Result<(), Reject>;
    /// Replaces its labels.
    async fn set_tags(
        &self,
        principal: &Principal,
        conversation: ConversationId,
        tags: Vec<TagId>,
    ) -> Result<(), Reject>;
    /// Begins a conversation for a visitor, with its first message; returns that one's place once all of it is stored.
    async fn create(&self, _: &Principal, _: Creation<'_>) -> Result<Seq, Reject> {
        Err(Reject::new(RejectCode::NotFound, "there is nobody here to take it"))
    }
    /// Takes over what `from` has, or where a program asks gives it to the agent that it names.
    async fn take_over(
        &self,
        _: &Principal,
        _: ConversationId,
        _from: AgentId,
        _to: Option<AgentId>,
    ) -> Result<(), Reject> {
        Ok(())
    }
    /// Takes the offer of a transfer back.
    async fn withdraw(&self, _: &Principal, _: ConversationId) -> Result<(), Reject> {
        Ok(())
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
    /// A record changed, here or on another node: what is held in memory of it is read anew.
    async fn follow(&self, store: &dyn Store, news: &News) -> Result<(), StoreError> {
        let News { tenant, kind, object } = *news;
        match kind {
            kind::SITE => {
                if let Some(site) = store.site(tenant, SiteId::from_bytes(object)).await? {
                    self.site_changed(&site).await;
                }
            }
            kind::AGENT => {
                if let Some(agent) = store.agent(tenant, AgentId::from_bytes(object)).await? {
                    self.agent_changed(&agent).await;
                }
            }
            kind::SESSION => {
                let session = SessionId::from_bytes(object);
                if !store.session_exists(tenant, session).await? {
                    self.session_ended(session);
                }
            }
            // Of everything else nothing is held: it is asked for anew each time.
            _ => {}
        }
        Ok(())
    }
    /// A site's settings or timeline were stored anew.
    async fn site_changed(&self, site: &SiteRow);
    /// An agent was stored anew, or is new.
    async fn agent_changed(&self, agent: &AgentRow);
    /// A session is over: its connections are, too.
    fn session_ended(&self, session: SessionId);
}

#[cfg(test)]
mod tests;

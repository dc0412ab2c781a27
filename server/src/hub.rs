//! The shell around the core: live rooms, each Organization's desk, and who is connected where.
//!
//! Lives here: locks, lookups, running the effects of `room` and `routing`, acks.
//! Not here: sockets (`gateway`), REST (`api`), rules about data (`privacy`), rows (`store`).
//! Locks: a room or a desk, then an outbox; never a room and a desk together; nothing is written to a
//! socket under any of them, and nothing waits.

use std::sync::Arc;
use std::time::Instant;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use protocol::frame::ServerFrame;
use protocol::ids::{
    AgentId, ConnectionId, ConversationId, SessionId, SiteId, SiteKey, TenantId, VisitorId,
};
use protocol::message::Author;
use protocol::reject::{CloseCode, Reject, RejectCode};
use protocol::time::{Day, UnixMillis};
use tokio::sync::OnceCell;

use crate::auth::AddressLimit;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::privacy::gate::Reader;
use crate::privacy::sweep::{Trust, judge_at_start, reading_day, record_time};
use crate::room::Room;
use crate::routing::RoutingConfig;
use crate::sequencer::TAIL_MAX;
use crate::store::{Store, StoreError};
use crate::tasks::Turns;

pub mod fanout;
mod shard;
mod site;
pub(crate) mod cork;
mod desk;
mod speak;
mod hear;
mod lane;
mod attend;
mod open;
mod create;
mod labels;
mod pages;
mod refused;
mod assign;
mod upkeep;
mod abandoned;
mod forget;
mod integrity;
pub mod tally;
#[cfg(test)]
mod tests;

pub(crate) use assign::Act;
pub use attend::Watched;
pub use create::Creation;
pub use open::Opening;
pub use pages::PageNumber;
pub use refused::RefusedOrigin;
pub use shard::{LiveRoom, RoomHandle};
pub use site::Site;

use desk::Desk;
use fanout::Fanned;
use shard::{Retired, Rooms};

/// The way to one connection; made by the edge that owns the socket.
pub trait Outlet: Send + Sync + std::fmt::Debug {
    /// Which connection it is.
    fn connection(&self) -> ConnectionId;
    /// Appends a frame that must arrive; a full outbox closes the connection, which then resumes. Whether it is
    /// to be flushed: what a slow reader's socket has no room for is written once it has.
    fn append(&self, frame: &Fanned<'_>) -> bool;
    /// Appends a frame that is worth nothing later; a filling outbox drops it.
    fn append_ephemeral(&self, frame: &Fanned<'_>);
    /// Writes what was appended. Never under a lock.
    fn flush(&self);
    /// Ends the connection with a verdict.
    fn close(&self, code: CloseCode);
    /// Keeps the number of the page's origin that it stands on.
    fn stand_on(&self, _page: PageNumber) {}
    /// That number; 0: none.
    fn stands_on(&self) -> PageNumber {
        0
    }
}

/// Someone at a connection, as the hub needs to know them.
#[derive(Debug, Clone)]
pub struct Speaker {
    pub tenant: TenantId,
    pub who: Who,
    pub outlet: Arc<dyn Outlet>,
}

/// A visitor of one site, or an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A website visitor.
    Visitor { site: SiteId, visitor: VisitorId },
    /// An agent. What their role allows is asked at each act: it may change while they are here.
    Agent { agent: AgentId, session: SessionId },
}

impl Who {
    /// As what they write.
    pub fn author(self) -> Author {
        match self {
            Self::Visitor { .. } => Author::Visitor,
            Self::Agent { agent, .. } => Author::Agent(agent),
        }
    }
}

impl Speaker {
    /// As what they write.
    pub fn author(&self) -> Author {
        self.who.author()
    }

    fn reader(&self) -> Reader {
        match self.who {
            Who::Visitor { .. } => Reader::Visitor,
            Who::Agent { .. } => Reader::Agents,
        }
    }

    fn agent(&self) -> Option<AgentId> {
        match self.who {
            Who::Visitor { .. } => None,
            Who::Agent { agent, .. } => Some(agent),
        }
    }
}

/// What the hub is set up with.
#[derive(Debug, Clone)]
pub struct HubConfig {
    pub routing: RoutingConfig,
    /// Milliseconds after a visitor's last connection until agents hear that the visitor is gone.
    pub visitor_grace_ms: u64,
    /// Conversations that one visitor may have open.
    pub conversations_per_visitor_max: usize,
    /// Conversations that are opened from one address in an hour.
    pub conversations_per_ip_hour_max: u64,
    /// Milliseconds without a word and with nobody there after which a conversation is closed. None: never.
    pub abandoned_ms: Option<u64>,
}

/// The one hub of a node.
pub struct Hub {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    config: HubConfig,
    rooms: Rooms,
    /// What waits for the bus, and what it said too early.
    waiting: hear::Waiting,
    lanes: lane::Lanes,
    /// What is to be read back of what was acked.
    integrity: integrity::Integrity,
    openings: AddressLimit,
    refused_origins: refused::RefusedOrigins,
    pages: pages::PageOrigins,
    /// What looks at the store before it changes something, such as a conversation's beginning and end,
    /// happens one at a time for each id, by a share of it.
    turns: Turns,
    desks: DashMap<TenantId, Arc<OnceCell<Arc<Desk>>>, RandomState>,
    sites: DashMap<SiteId, Arc<Site>, RandomState>,
    site_keys: DashMap<SiteKey, SiteId>,
    /// The latest trusted time that was persisted: nothing that expired comes back when the clock does.
    high_water: Mutex<HighWater>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

/// The mark that records and reads go by, since when, and what the store had then: mostly the same.
#[derive(Debug, Clone, Copy)]
struct HighWater {
    mark: UnixMillis,
    read_at: Instant,
    stored: UnixMillis,
}

const HOUR_MS: u64 = 60 * 60 * 1000;

/// No such thing, or another's: the two look the same.
pub(crate) fn not_found(what: &'static str) -> Reject {
    Reject::new(RejectCode::NotFound, what)
}

/// The same id came with other words.
fn conflict() -> Reject {
    Reject::new(RejectCode::Conflict, "a message with this id says something else")
}

/// Turns a failure of the store into what a client is told.
pub(crate) fn store_reject(error: &StoreError) -> Reject {
    match error {
        StoreError::Full => {
            Reject::new(RejectCode::Overload, "the server has more to store than it can; try again")
                .retry_after_ms(500)
        }
        StoreError::NotFound => not_found("there is no such thing here"),
        StoreError::Exists { .. } => {
            Reject::new(RejectCode::Conflict, "this exists already with another content")
        }
        StoreError::Unavailable { .. } | StoreError::PlaceTaken { .. } => {
            Reject::new(RejectCode::StoreUnavailable, "the server cannot store now; try again")
                .retry_after_ms(1_000)
        }
    }
}

impl Hub {
    /// A hub without rooms; [`Hub::start`] brings back what was under way.
    pub fn new(
        store: Arc<dyn Store>,
        bus: Arc<dyn Bus>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        config: HubConfig,
    ) -> Arc<Self> {
        let high_water =
            HighWater { mark: clock.now(), read_at: clock.instant(), stored: UnixMillis(0) };
        Arc::new(Self {
            store,
            bus,
            clock,
            metrics,
            openings: AddressLimit::new(config.conversations_per_ip_hour_max, HOUR_MS),
            refused_origins: refused::RefusedOrigins::default(),
            pages: pages::PageOrigins::default(),
            config,
            rooms: Rooms::default(),
            waiting: hear::Waiting::default(),
            lanes: lane::Lanes::default(),
            integrity: integrity::Integrity::default(),
            turns: Turns::default(),
            desks: DashMap::default(),
            sites: DashMap::default(),
            site_keys: DashMap::new(),
            high_water: Mutex::new(high_water),
        })
    }

    /// Wall time, for deadlines.
    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The time that a record gets.
    pub(super) fn record_time(&self) -> UnixMillis {
        self.times(self.clock.instant()).0
    }

    /// The time that a record gets, and the day by which reads judge, at a moment that was just now: a message needs
    /// both, and each look at a clock or a lock is one for every message.
    pub(super) fn times(&self, at: Instant) -> (UnixMillis, Day) {
        let HighWater { mark, read_at, .. } = *self.high_water.lock();
        let (passed, now) = (at.saturating_duration_since(read_at).as_millis(), self.now());
        let passed_ms = u64::try_from(passed).unwrap_or(u64::MAX);
        (record_time(mark, passed_ms, now), reading_day(mark, now))
    }

    /// Takes in what the store says of the mark.
    fn marked(&self, stored: UnixMillis) {
        let mut known = self.high_water.lock();
        // The same mark read again has not begun anew: time went on from when it was first read.
        if known.stored != stored {
            *known = HighWater { mark: stored, read_at: self.clock.instant(), stored };
        }
    }

    /// The mark that a start found, judged as the sweep's first round judges it a moment later: what is said until
    /// that round's mark is read must not be dated before it.
    fn first_marked(&self, stored: UnixMillis) {
        let known = Some(stored).filter(|stored| stored.0 > 0);
        let mark = match judge_at_start(known, self.now(), self.clock.synced()) {
            Trust::Trusted(at) => at,
            Trust::Ahead | Trust::Behind => stored,
        };
        *self.high_water.lock() = HighWater { mark, read_at: self.clock.instant(), stored };
    }

    /// The day by which reads judge: the later of the wall clock and the persisted mark.
    fn today(&self) -> Day {
        reading_day(self.high_water.lock().mark, self.now())
    }

    /// The room, loaded if need be.
    async fn room(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<RoomHandle, Reject> {
        let mut following = None;
        let load = async || {
            // Followed before it is read: what is said meanwhile is heard after it.
            following = Some(self.follow(conversation).await);
            self.load_room(tenant, conversation).await
        };
        let found = self.rooms.get(conversation, load).await;
        let found = found.map_err(|error| store_reject(&error))?;
        if let (Some(_), Some(following)) = (&found, following) {
            following.keep();
        }
        let handle = found.ok_or_else(|| not_found("there is no such conversation"))?;
        match handle.with(|room| room.tenant() == tenant) {
            Ok(true) => Ok(handle),
            Ok(false) => Err(not_found("there is no such conversation")),
            // Dropped between the two lines above: the map no longer has it, so this loads it anew.
            Err(Retired) => Box::pin(self.room(tenant, conversation)).await,
        }
    }

    async fn load_room(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<LiveRoom>, StoreError> {
        let tail_max = u16::try_from(TAIL_MAX).unwrap_or(u16::MAX);
        let Some(row) = self.store.room(tenant, conversation, tail_max).await? else {
            return Ok(None);
        };
        let marks = row
            .marks
            .iter()
            .map(|mark| protocol::conversation::Marks {
                author: mark.author,
                delivered: mark.delivered,
                seen: mark.seen,
            })
            .collect();
        let header = &row.header;
        let of = (header.tenant, header.site, header.conversation, header.visitor);
        let rest = (row.below, row.words);
        Ok(Some(Room::new(of, row.seq_last, row.tail, rest, marks)))
    }

    /// Waits until nobody else is at the same act with this conversation or visitor.
    pub(crate) async fn turn(&self, id: &[u8; 16]) -> tokio::sync::MutexGuard<'_, ()> {
        self.turns.of(id).await
    }

    /// Drops the room if nobody needs it.
    fn drop_if_idle(&self, conversation: ConversationId) {
        if self.rooms.drop_if_idle(conversation) {
            self.bus.unfollow(conversation);
        }
    }

    /// Sends one frame to one connection.
    pub(crate) fn tell(outlet: &dyn Outlet, frame: ServerFrame<'_>) {
        outlet.append(&Fanned::new(frame));
        outlet.flush();
    }
}

//! The shell around the core: live rooms, each Organization's desk, and who is connected where.
//!
//! Lives here: locks, lookups, running the commands and effects of the core, acks. Not here:
//! sockets (`gateway`), REST (`api`), rules about data (`privacy`), rows (`store`). Locks: a room
//! or a desk, then an outbox; never a room and a desk together; nothing is written to a socket
//! under any of them, and nothing waits.
//!
//! The hub is made of parts with fields of their own. Each uses only those that stand before it:
//!
//! 1. `fanout`, `cork`, `speaker`, `reject`: connections, frames for many of them, who acts, what
//!    they are told.
//! 2. `times`, `ports`, `pages`, `refused`, `site`, `sites`: the clock and its mark, the sites.
//! 3. `handle`, `newest`, `rooms`: live rooms.
//! 4. `desk`, `cards`, `desks`: each Organization's queue, headers, agents and visitors.
//! 5. `tally`, `integrity`: what is counted, and the self-audit.
//! 6. `pending`, `executor`, `hear`, `lane`, `event`: the sequencer's commands, what the bus says,
//!    the order of a conversation's messages, what the server itself says.
//! 7. `board`, `assignment`: what agents see, what routing decides.
//! 8. `form`, `presence`, `follow`, `act`, `attend`, `speak`: connections, what is held of what is
//!    set up, what agents do, rooms and messages of people.
//! 9. `conversations`, `open`, `create`, `labels`, `abandoned`: the life of a conversation.
//! 10. `upkeep`: the start, and what happens by itself.

use std::sync::Arc;

use crate::auth::AddressLimit;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::routing::RoutingConfig;
use crate::store::Store;
use crate::tasks::IdLocks;

pub mod fanout;
pub(crate) mod cork;
mod speaker;
mod reject;
mod times;
mod ports;
mod pages;
mod refused;
mod site;
mod sites;
mod handle;
mod newest;
mod rooms;
mod desk;
mod cards;
mod desks;
pub mod tally;
mod integrity;
mod pending;
mod executor;
mod hear;
mod lane;
mod event;
mod board;
mod assignment;
mod form;
mod presence;
mod follow;
mod act;
mod attend;
mod speak;
mod conversations;
mod open;
mod suppressed;
mod create;
mod labels;
mod abandoned;
mod forget;
mod upkeep;
#[cfg(test)]
mod tests;

pub(crate) use act::Act;
pub use attend::Watched;
pub use create::Creation;
pub(crate) use fanout::tell;
pub use fanout::{FrameSink, LiveRoom, PageNumber};
pub use follow::Follow;
pub use handle::RoomHandle;
pub use open::Opening;
pub use refused::RefusedOrigin;
pub use site::Site;
pub use speaker::{Actor, Speaker, Who};

use act::Acts;
use assignment::Assignment;
use attend::Attendance;
use board::Board;
use conversations::Conversations;
use desks::Desks;
use event::EventMessages;
use executor::Executor;
use follow::Following;
use hear::Listener;
use integrity::Integrity;
use lane::Lanes;
use pages::PageOrigins;
use ports::Ports;
use presence::Presence;
use rooms::Rooms;
use sites::Sites;
use speak::Messages;
use times::Times;

/// What the hub is set up with.
#[derive(Debug, Clone, Copy)]
pub struct HubConfig {
    pub routing: RoutingConfig,
    /// Milliseconds after a visitor's last connection until agents hear that the visitor is gone.
    pub visitor_grace_ms: u64,
    /// Conversations that one visitor may have open.
    pub conversations_per_visitor_max: usize,
    /// Conversations that are opened from one address in an hour.
    pub conversations_per_ip_hour_max: u64,
    /// Milliseconds without a word and with nobody there after which a conversation is closed.
    /// None: never.
    pub abandoned_ms: Option<u64>,
}

const HOUR_MS: u64 = 60 * 60 * 1000;

/// The one hub of a node: its parts, and what happens by itself.
pub struct Hub {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    times: Arc<Times>,
    sites: Arc<Sites>,
    rooms: Arc<Rooms>,
    desks: Arc<Desks>,
    integrity: Arc<Integrity>,
    listener: Arc<Listener>,
    lanes: Arc<Lanes>,
    board: Arc<Board>,
    assignment: Arc<Assignment>,
    presence: Arc<Presence>,
    following: Arc<Following>,
    acts: Acts,
    attendance: Attendance,
    messages: Messages,
    conversations: Conversations,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
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
        let times = Arc::new(Times::new(clock));
        let ports = Ports { store, bus, times, metrics };
        let sites = Arc::new(Sites::new(&ports));
        let rooms = Arc::new(Rooms::new(&ports));
        let desks = Arc::new(Desks::new(&ports, &sites, &rooms, config.routing));
        let integrity = Arc::new(Integrity::new(&ports, &sites));
        let executor = Arc::new(Executor::new(&ports, &rooms, &integrity));
        let listener = Arc::new(Listener::new(&rooms, &executor));
        let lanes = Arc::new(Lanes::new(&ports, &executor));
        let board = Arc::new(Board::new(&ports, &sites, &rooms, &desks));
        let events = Arc::new(EventMessages::new(&ports, &sites, &rooms, &lanes));
        let assignment = Arc::new(Assignment {
            times: Arc::clone(&ports.times),
            metrics: Arc::clone(&ports.metrics),
            sites: Arc::clone(&sites),
            rooms: Arc::clone(&rooms),
            desks: Arc::clone(&desks),
            board: Arc::clone(&board),
            events: Arc::clone(&events),
        });
        let messages = Messages {
            store: Arc::clone(&ports.store),
            bus: Arc::clone(&ports.bus),
            times: Arc::clone(&ports.times),
            metrics: Arc::clone(&ports.metrics),
            sites: Arc::clone(&sites),
            rooms: Arc::clone(&rooms),
            desks: Arc::clone(&desks),
            executor,
            lanes: Arc::clone(&lanes),
            assignment: Arc::clone(&assignment),
        };
        let people = People { ports, sites, rooms, desks, board, events, assignment };
        let presence = Arc::new(people.presence(config.visitor_grace_ms));
        let following = Arc::new(people.following(&presence));
        Arc::new(Self {
            acts: people.acts(&following),
            presence,
            following,
            attendance: people.attendance(),
            conversations: people.conversations(&config),
            messages,
            integrity,
            listener,
            lanes,
            board: people.board,
            assignment: people.assignment,
            desks: people.desks,
            rooms: people.rooms,
            sites: people.sites,
            store: people.ports.store,
            metrics: people.ports.metrics,
            times: people.ports.times,
        })
    }

    /// The sites that are known here.
    pub(crate) fn sites(&self) -> &Sites {
        &self.sites
    }

    /// Each Organization's queue, headers and agents.
    pub(crate) fn desks(&self) -> &Desks {
        &self.desks
    }

    /// The self-audit, which runs by itself.
    pub(crate) fn integrity(&self) -> &Arc<Integrity> {
        &self.integrity
    }

    /// Who hears what other nodes say, by itself.
    pub(crate) fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// What agents see of all that is live.
    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    /// What is held in memory of what is set up.
    pub(crate) fn following(&self) -> &Following {
        &self.following
    }

    /// What agents do.
    pub(crate) fn acts(&self) -> &Acts {
        &self.acts
    }

    /// Who is connected.
    pub(crate) fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Who is in which room.
    pub(crate) fn attendance(&self) -> &Attendance {
        &self.attendance
    }

    /// What people and programs say.
    pub(crate) fn messages(&self) -> &Messages {
        &self.messages
    }

    /// Conversations, from their beginning to their end.
    pub(crate) fn conversations(&self) -> &Conversations {
        &self.conversations
    }
}

/// What the parts for people are made of.
struct People {
    ports: Ports,
    sites: Arc<Sites>,
    rooms: Arc<Rooms>,
    desks: Arc<Desks>,
    board: Arc<Board>,
    events: Arc<EventMessages>,
    assignment: Arc<Assignment>,
}

impl People {
    fn following(&self, presence: &Arc<Presence>) -> Following {
        Following {
            store: Arc::clone(&self.ports.store),
            assignment: Arc::clone(&self.assignment),
            presence: Arc::clone(presence),
        }
    }

    fn acts(&self, following: &Arc<Following>) -> Acts {
        Acts {
            following: Arc::clone(following),
            desks: Arc::clone(&self.desks),
            assignment: Arc::clone(&self.assignment),
        }
    }

    fn presence(&self, grace_ms: u64) -> Presence {
        Presence {
            times: Arc::clone(&self.ports.times),
            sites: Arc::clone(&self.sites),
            desks: Arc::clone(&self.desks),
            assignment: Arc::clone(&self.assignment),
            pages: PageOrigins::default(),
            grace_ms,
        }
    }

    fn attendance(&self) -> Attendance {
        Attendance {
            store: Arc::clone(&self.ports.store),
            bus: Arc::clone(&self.ports.bus),
            times: Arc::clone(&self.ports.times),
            metrics: Arc::clone(&self.ports.metrics),
            sites: Arc::clone(&self.sites),
            rooms: Arc::clone(&self.rooms),
            desks: Arc::clone(&self.desks),
            board: Arc::clone(&self.board),
            assignment: Arc::clone(&self.assignment),
        }
    }

    fn conversations(&self, config: &HubConfig) -> Conversations {
        Conversations {
            store: Arc::clone(&self.ports.store),
            bus: Arc::clone(&self.ports.bus),
            times: Arc::clone(&self.ports.times),
            metrics: Arc::clone(&self.ports.metrics),
            sites: Arc::clone(&self.sites),
            rooms: Arc::clone(&self.rooms),
            desks: Arc::clone(&self.desks),
            events: Arc::clone(&self.events),
            board: Arc::clone(&self.board),
            assignment: Arc::clone(&self.assignment),
            id_locks: IdLocks::default(),
            openings: AddressLimit::new(config.conversations_per_ip_hour_max, HOUR_MS),
            per_visitor_max: config.conversations_per_visitor_max,
            abandoned_ms: config.abandoned_ms,
        }
    }
}

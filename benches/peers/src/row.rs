//! The rows of the side-by-side: which work on which servers, and what is required of it.

use std::time::Duration;

use anyhow::Result;
use furnish::World;

use crate::peer::{Peer, Place, Running};
use crate::work::{
    self, ACK_P50, ACK_P99, BACK_S, BINARY_MB, BYTES_SLOW, CPU_CONNECT, CPU_DELIVERY,
    CPU_FEW_LINES, CPU_FEW_ROOMS, CPU_MANY_LINES, CPU_MANY_ROOMS, CPU_MESSAGE, DELIVERY_P50,
    DELIVERY_P99, Figures, MEMORY, P99_BESIDE_SLOW, START_MS, Span,
};

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub span: Span,
    pub rooms: usize,
    pub idle: usize,
    pub listeners: usize,
    /// Lines and rooms that livehelp grows to.
    pub lines_grown: usize,
    pub rooms_grown: usize,
    /// Messages that a cold start finds stored.
    pub stored: u64,
}

impl Scale {
    /// What the published figures come from.
    pub const FULL: Self = Self {
        span: Span { warm: Duration::from_secs(1), window: Duration::from_secs(4) },
        rooms: 1_000,
        idle: 10_000,
        listeners: 1_000,
        lines_grown: 15_000,
        rooms_grown: 10_000,
        stored: 1_000_000,
    };
    /// A look.
    pub const QUICK: Self = Self {
        span: Span { warm: Duration::from_millis(500), window: Duration::from_secs(2) },
        rooms: 1_000,
        idle: 2_000,
        listeners: 1_000,
        lines_grown: 4_000,
        rooms_grown: 2_000,
        stored: 50_000,
    };
}

/// What a figure must not exceed, in the same round.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    Times(f64, Peer),
    /// A multiple of another figure of its own.
    TimesOwn(f64, &'static str),
    Absolute(f64),
}

/// One requirement.
#[derive(Debug, Clone, Copy)]
pub struct Required {
    pub who: Peer,
    pub figure: &'static str,
    pub bound: Bound,
}

/// One row.
#[derive(Debug)]
pub struct Row {
    /// What `--only` calls it.
    pub name: &'static str,
    pub title: &'static str,
    pub peers: &'static [Peer],
    pub required: &'static [Required],
    pub run: fn(&Place, Peer, Scale) -> Result<Figures>,
}

const fn times(who: Peer, figure: &'static str, times: f64, peer: Peer) -> Required {
    Required { who, figure, bound: Bound::Times(times, peer) }
}

const fn own(figure: &'static str, times: f64, other: &'static str) -> Required {
    Required { who: Peer::Livehelp, figure, bound: Bound::TimesOwn(times, other) }
}

const fn at_most(figure: &'static str, most: f64) -> Required {
    Required { who: Peer::Livehelp, figure, bound: Bound::Absolute(most) }
}

/// All rows, the main ones first.
pub const ROWS: [Row; 12] = [
    Row {
        name: "closed",
        title: "closed loop, 1,000 rooms of two",
        peers: &[
            Peer::Livehelp,
            Peer::LivehelpMemory,
            Peer::Bun,
            Peer::BunAck,
            Peer::Floor,
            Peer::FloorAck,
            Peer::FloorStore,
            Peer::Tungstenite,
            Peer::NodeWs,
            Peer::SocketIo,
            Peer::Nats,
            Peer::Mosquitto,
        ],
        required: &[
            times(Peer::LivehelpMemory, CPU_MESSAGE, 1.0, Peer::BunAck),
            times(Peer::LivehelpMemory, CPU_MESSAGE, 1.15, Peer::Bun),
            times(Peer::Livehelp, CPU_MESSAGE, 1.5, Peer::FloorStore),
            times(Peer::Livehelp, CPU_MESSAGE, 1.25, Peer::FloorStore),
        ],
        run: run_closed,
    },
    Row {
        name: "stored",
        title: "closed loop, 1,000 rooms of two, each message acked once it is stored",
        peers: &[
            Peer::Livehelp,
            Peer::FloorStore,
            Peer::NodeRedis,
            Peer::NodeRedisBatch,
            Peer::NodePostgres,
            Peer::NodePostgresBatch,
            Peer::JetStreamSync,
            Peer::JetStream,
        ],
        // The last of them confirms what a power cut would lose.
        required: &[
            times(Peer::Livehelp, CPU_MESSAGE, 0.25, Peer::NodeRedis),
            times(Peer::Livehelp, CPU_MESSAGE, 0.25, Peer::NodeRedisBatch),
            times(Peer::Livehelp, CPU_MESSAGE, 0.25, Peer::NodePostgres),
            times(Peer::Livehelp, CPU_MESSAGE, 0.25, Peer::NodePostgresBatch),
            times(Peer::Livehelp, CPU_MESSAGE, 0.25, Peer::JetStreamSync),
        ],
        run: run_closed,
    },
    Row {
        name: "open",
        title: "open loop, 5,000 messages a second over 1,000 rooms of two",
        peers: &[Peer::Livehelp, Peer::LivehelpMemory, Peer::Bun, Peer::Floor, Peer::FloorStore],
        required: &[
            times(Peer::Livehelp, DELIVERY_P50, 1.1, Peer::Bun),
            times(Peer::Livehelp, DELIVERY_P99, 1.1, Peer::Bun),
            times(Peer::Livehelp, CPU_MESSAGE, 1.75, Peer::Bun),
            // The linger of 2 ms and 10 more.
            at_most(ACK_P99, 12_000.0),
        ],
        run: |place, peer, scale| {
            let world = World { rooms: scale.rooms, alone: 0 };
            work::open(&Running::start(place, peer, world)?, scale.rooms, 5_000, scale.span)
        },
    },
    Row {
        name: "acked",
        title: "500 messages a second, each acked once it is stored",
        peers: &[
            Peer::Livehelp,
            Peer::FloorStore,
            Peer::NodeRedis,
            Peer::NodeRedisBatch,
            Peer::NodePostgres,
            Peer::NodePostgresBatch,
            Peer::JetStreamSync,
        ],
        required: &[
            times(Peer::Livehelp, ACK_P50, 1.5, Peer::FloorStore),
            times(Peer::Livehelp, CPU_MESSAGE, 1.5, Peer::FloorStore),
        ],
        run: |place, peer, scale| {
            let world = World { rooms: scale.rooms, alone: 0 };
            work::open(&Running::start(place, peer, world)?, scale.rooms, 500, scale.span)
        },
    },
    Row {
        name: "fanout",
        title: "fan-out, one room of 1,000",
        peers: &[
            Peer::Livehelp,
            Peer::LivehelpMemory,
            Peer::Bun,
            Peer::Floor,
            Peer::Tungstenite,
            Peer::NodeWs,
            Peer::SocketIo,
            Peer::Nats,
            Peer::Mosquitto,
        ],
        required: &[times(Peer::Livehelp, CPU_DELIVERY, 1.05, Peer::Bun)],
        run: |place, peer, scale| {
            let world = World { rooms: 1, alone: 0 };
            work::fan_out(&Running::start(place, peer, world)?, scale.listeners, scale.span)
        },
    },
    Row {
        name: "idle",
        title: "10,000 connections come in and idle",
        peers: &[
            Peer::Livehelp,
            Peer::Bun,
            Peer::Floor,
            Peer::Tungstenite,
            Peer::NodeWs,
            Peer::SocketIo,
            Peer::Nats,
            Peer::Mosquitto,
        ],
        required: &[
            times(Peer::Livehelp, MEMORY, 0.75, Peer::Bun),
            times(Peer::Livehelp, CPU_CONNECT, 2.0, Peer::Bun),
        ],
        run: |place, peer, scale| {
            let world = World { rooms: 0, alone: scale.idle + 100 };
            work::idle(&Running::start(place, peer, world)?, scale.idle)
        },
    },
    Row {
        name: "tls",
        title: "closed loop, 1,000 rooms of two, TLS in the process",
        peers: &[Peer::Livehelp, Peer::LivehelpMemory, Peer::Bun, Peer::BunAck],
        required: &[
            times(Peer::LivehelpMemory, CPU_MESSAGE, 1.1, Peer::Bun),
            times(Peer::Livehelp, CPU_MESSAGE, 1.1, Peer::Bun),
        ],
        run: |place, peer, scale| {
            let world = World { rooms: scale.rooms, alone: 0 };
            work::closed(&Running::start_tls(place, peer, world)?, scale.rooms, scale.span)
        },
    },
    Row {
        name: "tls-idle",
        title: "10,000 connections come in by TLS and idle",
        peers: &[Peer::Livehelp, Peer::Bun],
        required: &[times(Peer::Livehelp, MEMORY, 1.0, Peer::Bun)],
        run: |place, peer, scale| {
            let world = World { rooms: 0, alone: scale.idle + 100 };
            work::idle(&Running::start_tls(place, peer, world)?, scale.idle)
        },
    },
    Row {
        name: "growth",
        title: "1,000 messages a second over 10 and 15,000 connections, over 10 and 10,000 rooms",
        peers: &[Peer::Livehelp],
        required: &[
            own(CPU_MANY_LINES, 1.2, CPU_FEW_LINES),
            own(CPU_MANY_ROOMS, 1.2, CPU_FEW_ROOMS),
        ],
        run: |place, peer, scale| {
            let start = |world| Running::start(place, peer, world);
            let sizes = (10, scale.lines_grown, scale.rooms_grown);
            // Five rooms take no more: a room has a bound on what is not stored yet, and refuses beyond it.
            work::growth(start, sizes, 1_000, scale.span)
        },
    },
    Row {
        name: "slow",
        title: "1,000 slow readers in ten rooms",
        peers: &[Peer::Livehelp],
        required: &[
            own(P99_BESIDE_SLOW, 1.2, DELIVERY_P99),
            // What may wait for one reader, `outbox_bytes_max`.
            at_most(BYTES_SLOW, 1_048_576.0),
        ],
        run: |place, peer, scale| {
            let start = |world| Running::start(place, peer, world);
            work::slow(start, scale.listeners, 2 * scale.span.window)
        },
    },
    Row {
        name: "start",
        title: "cold start with 1,000,000 stored messages to the first welcome",
        peers: &[Peer::Livehelp],
        required: &[at_most(START_MS, 1_000.0), at_most(BINARY_MB, 30.0)],
        run: |place, peer, scale| {
            let world = World { rooms: scale.rooms, alone: 0 };
            let mut server = Running::start(place, peer, world)?;
            work::cold_start(&mut server, scale.rooms, scale.stored)
        },
    },
    Row {
        name: "back",
        title: "10,000 visitors with a conversation each are back after a restart",
        peers: &[Peer::Livehelp],
        required: &[at_most(BACK_S, 30.0)],
        run: |place, peer, scale| {
            let mut server = Running::start(place, peer, World { rooms: scale.idle, alone: 0 })?;
            work::return_home(&mut server, scale.idle)
        },
    },
];

fn run_closed(place: &Place, peer: Peer, scale: Scale) -> Result<Figures> {
    let world = World { rooms: scale.rooms, alone: 0 };
    work::closed(&Running::start(place, peer, world)?, scale.rooms, scale.span)
}

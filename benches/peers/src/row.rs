//! The rows of the side-by-side: which work on which servers, and what is required of it.

use std::time::Duration;

use anyhow::Result;

use crate::peer::Peer::{
    self, Bun, BunAck, Ejabberd, Floor, FloorAck, FloorStore, JetStream, JetStreamSync, Livehelp,
    LivehelpMemory, Mosquitto, Nats, NodePostgres, NodePostgresBatch, NodeRedis, NodeRedisBatch,
    NodeWs, SocketIo, Tungstenite,
};
use crate::peer::Start;
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
    /// Who takes part, group by group.
    groups: &'static [&'static [Peer]],
    /// Whether the servers do TLS themselves.
    pub tls: bool,
    pub required: &'static [Required],
    /// The work on one of them.
    pub run: fn(Start<'_>, Scale) -> Result<Figures>,
}

impl Row {
    /// Who takes part.
    pub fn peers(&self) -> impl Iterator<Item = Peer> {
        self.groups.iter().copied().flatten().copied()
    }

    /// The figures by which one is held against another; each stands once among what is required, or in neighbours.
    pub fn compared(&self) -> Vec<&'static str> {
        let held = self.required.iter().filter(|held| matches!(held.bound, Bound::Times(..)));
        let mut figures: Vec<_> = held.map(|held| held.figure).collect();
        figures.dedup();
        figures
    }
}

const fn times(who: Peer, figure: &'static str, times: f64, peer: Peer) -> Required {
    Required { who, figure, bound: Bound::Times(times, peer) }
}

const fn own(who: Peer, figure: &'static str, times: f64, other: &'static str) -> Required {
    Required { who, figure, bound: Bound::TimesOwn(times, other) }
}

const fn at_most(figure: &'static str, most: f64) -> Required {
    Required { who: Livehelp, figure, bound: Bound::Absolute(most) }
}

const ALONE: &[Peer] = &[Livehelp];
const BOTH: &[Peer] = &[Livehelp, LivehelpMemory];
/// They relay, and confirm nothing.
const RELAYS: &[Peer] = &[Bun, Floor, Tungstenite, NodeWs, SocketIo, Nats, Mosquitto, Ejabberd];
/// They confirm what is synced.
const STORES: &[Peer] =
    &[FloorStore, NodeRedis, NodeRedisBatch, NodePostgres, NodePostgresBatch, JetStreamSync];

/// All rows, the main ones first.
pub const ROWS: [Row; 14] = [
    Row {
        name: "closed",
        title: "closed loop, 1,000 rooms of two",
        groups: &[BOTH, &[BunAck, FloorAck, FloorStore], RELAYS],
        tls: false,
        required: &[
            times(LivehelpMemory, CPU_MESSAGE, 1.0, BunAck),
            times(LivehelpMemory, CPU_MESSAGE, 1.15, Bun),
            times(Livehelp, CPU_MESSAGE, 1.5, FloorStore),
            times(Livehelp, CPU_MESSAGE, 1.25, FloorStore),
        ],
        run: |start, scale| work::closed(&start.rooms(scale.rooms)?, scale.rooms, scale.span),
    },
    Row {
        name: "stored",
        title: "closed loop, 1,000 rooms of two, each message acked once it is stored",
        // The last of them confirms what a power cut would lose: nothing is judged by it.
        groups: &[ALONE, STORES, &[JetStream]],
        tls: false,
        required: &[
            times(Livehelp, CPU_MESSAGE, 0.25, NodeRedis),
            times(Livehelp, CPU_MESSAGE, 0.25, NodeRedisBatch),
            times(Livehelp, CPU_MESSAGE, 0.25, NodePostgres),
            times(Livehelp, CPU_MESSAGE, 0.25, NodePostgresBatch),
            times(Livehelp, CPU_MESSAGE, 0.25, JetStreamSync),
        ],
        run: |start, scale| work::closed(&start.rooms(scale.rooms)?, scale.rooms, scale.span),
    },
    Row {
        name: "open",
        title: "open loop, 5,000 messages a second over 1,000 rooms of two",
        groups: &[BOTH, &[Bun, Floor, FloorStore, Ejabberd]],
        tls: false,
        required: &[
            times(Livehelp, DELIVERY_P50, 1.1, Bun),
            times(Livehelp, DELIVERY_P99, 1.1, Bun),
            times(Livehelp, CPU_MESSAGE, 1.75, Bun),
            // The linger of 2 ms and 10 more.
            at_most(ACK_P99, 12_000.0),
        ],
        run: |start, scale| work::open(&start.rooms(scale.rooms)?, scale.rooms, 5_000, scale.span),
    },
    Row {
        name: "acked",
        title: "500 messages a second, each acked once it is stored",
        groups: &[ALONE, STORES],
        tls: false,
        required: &[
            times(Livehelp, ACK_P50, 1.5, FloorStore),
            times(Livehelp, CPU_MESSAGE, 1.5, FloorStore),
        ],
        run: |start, scale| work::open(&start.rooms(scale.rooms)?, scale.rooms, 500, scale.span),
    },
    Row {
        name: "fanout",
        title: "fan-out, one room of 1,000",
        groups: &[BOTH, RELAYS],
        tls: false,
        required: &[times(Livehelp, CPU_DELIVERY, 1.05, Bun)],
        run: |start, scale| work::fan_out(&start.rooms(1)?, scale.listeners, 1, scale.span),
    },
    Row {
        name: "burst",
        title: "fan-out, one room of 1,000, four messages in each write",
        groups: &[BOTH, &[Bun, Floor]],
        tls: false,
        required: &[times(Livehelp, CPU_DELIVERY, 1.25, Bun)],
        run: |start, scale| work::fan_out(&start.rooms(1)?, scale.listeners, 4, scale.span),
    },
    Row {
        name: "idle",
        title: "10,000 connections come in and idle",
        groups: &[ALONE, RELAYS],
        tls: false,
        required: &[times(Livehelp, MEMORY, 0.75, Bun), times(Livehelp, CPU_CONNECT, 2.0, Bun)],
        run: |start, scale| work::idle(&start.alone(scale.idle + 100)?, scale.idle),
    },
    Row {
        name: "opened",
        title: "10,000 visitors come in, each opens a conversation, and idle",
        groups: &[BOTH],
        tls: false,
        required: &[at_most(MEMORY, 4_000.0)],
        run: |start, scale| work::opened(&start.alone(scale.idle + 100)?, scale.idle),
    },
    Row {
        name: "tls",
        title: "closed loop, 1,000 rooms of two, TLS in the process",
        groups: &[BOTH, &[Bun, BunAck]],
        tls: true,
        required: &[
            times(LivehelpMemory, CPU_MESSAGE, 1.1, Bun),
            times(Livehelp, CPU_MESSAGE, 1.1, Bun),
        ],
        run: |start, scale| work::closed(&start.rooms(scale.rooms)?, scale.rooms, scale.span),
    },
    Row {
        name: "tls-idle",
        title: "10,000 connections come in by TLS and idle",
        groups: &[ALONE, &[Bun]],
        tls: true,
        required: &[times(Livehelp, MEMORY, 1.0, Bun)],
        run: |start, scale| work::idle(&start.alone(scale.idle + 100)?, scale.idle),
    },
    Row {
        name: "growth",
        title: "1,000 messages a second over 10 and 15,000 connections, over 10 and 10,000 rooms",
        // At this rate the syncs are most of a message's cost, and would hide what grows; without a disk nothing does.
        groups: &[BOTH],
        tls: false,
        required: &[
            own(Livehelp, CPU_MANY_LINES, 1.2, CPU_FEW_LINES),
            own(Livehelp, CPU_MANY_ROOMS, 1.2, CPU_FEW_ROOMS),
            own(LivehelpMemory, CPU_MANY_LINES, 1.2, CPU_FEW_LINES),
            own(LivehelpMemory, CPU_MANY_ROOMS, 1.2, CPU_FEW_ROOMS),
        ],
        run: |start, scale| {
            let sizes = (10, scale.lines_grown, scale.rooms_grown);
            // Five rooms take no more: a room has a bound on what is not stored yet, and refuses beyond it.
            work::growth(start, sizes, 1_000, scale.span)
        },
    },
    Row {
        name: "slow",
        title: "1,000 who read nothing in ten rooms, until they are cut off",
        groups: &[ALONE],
        tls: false,
        required: &[
            own(Livehelp, P99_BESIDE_SLOW, 1.2, DELIVERY_P99),
            // What may wait for one reader, `outbox_bytes_max`.
            at_most(BYTES_SLOW, 1_048_576.0),
        ],
        run: |start, scale| work::slow(start, scale.listeners),
    },
    Row {
        name: "start",
        title: "cold start with 1,000,000 stored messages to the first welcome",
        groups: &[ALONE],
        tls: false,
        required: &[at_most(START_MS, 1_000.0), at_most(BINARY_MB, 30.0)],
        run: |start, scale| {
            work::cold_start(&mut start.rooms(scale.rooms)?, scale.rooms, scale.stored)
        },
    },
    Row {
        name: "back",
        title: "10,000 visitors with a conversation each are back after a restart",
        groups: &[ALONE],
        tls: false,
        required: &[at_most(BACK_S, 30.0)],
        run: |start, scale| work::return_home(&mut start.rooms(scale.idle)?, scale.idle),
    },
];

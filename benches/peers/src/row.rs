//! The rows of the side-by-side: which work on which servers, and what is required of it.

use std::time::Duration;

use anyhow::Result;
use furnish::World;

use crate::peer::{Peer, Place, Running};
use crate::work::{
    self, ACK_P50, ACK_P99, CPU_CONNECT, CPU_DELIVERY, CPU_MESSAGE, DELIVERY_P50, DELIVERY_P99,
    Figures, MEMORY, Span,
};

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub span: Span,
    pub rooms: usize,
    pub idle: usize,
    pub listeners: usize,
}

impl Scale {
    /// What the published figures come from.
    pub const FULL: Self = Self {
        span: Span { warm: Duration::from_secs(1), window: Duration::from_secs(4) },
        rooms: 1_000,
        idle: 10_000,
        listeners: 1_000,
    };
    /// A look.
    pub const QUICK: Self = Self {
        span: Span { warm: Duration::from_millis(500), window: Duration::from_secs(2) },
        rooms: 1_000,
        idle: 2_000,
        listeners: 1_000,
    };
}

/// What a figure must not exceed: a multiple of another server's in the same round, or a number.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    Times(f64, Peer),
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

/// All rows, the main ones first.
pub const ROWS: [Row; 5] = [
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
        ],
        required: &[
            times(Peer::LivehelpMemory, CPU_MESSAGE, 1.0, Peer::BunAck),
            times(Peer::LivehelpMemory, CPU_MESSAGE, 1.15, Peer::Bun),
            times(Peer::Livehelp, CPU_MESSAGE, 1.5, Peer::FloorStore),
            times(Peer::Livehelp, CPU_MESSAGE, 1.25, Peer::FloorStore),
        ],
        run: |place, peer, scale| {
            let world = World { rooms: scale.rooms, alone: 0 };
            work::closed(&Running::start(place, peer, world)?, scale.rooms, scale.span)
        },
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
            Required { who: Peer::Livehelp, figure: ACK_P99, bound: Bound::Absolute(12_000.0) },
        ],
        run: |place, peer, scale| {
            let world = World { rooms: scale.rooms, alone: 0 };
            work::open(&Running::start(place, peer, world)?, scale.rooms, 5_000, scale.span)
        },
    },
    Row {
        name: "acked",
        title: "500 messages a second, each acked once it is stored",
        peers: &[Peer::Livehelp, Peer::FloorStore],
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
        peers: &[Peer::Livehelp, Peer::LivehelpMemory, Peer::Bun, Peer::Floor],
        required: &[times(Peer::Livehelp, CPU_DELIVERY, 1.05, Peer::Bun)],
        run: |place, peer, scale| {
            let world = World { rooms: 1, alone: 0 };
            work::fan_out(&Running::start(place, peer, world)?, scale.listeners, scale.span)
        },
    },
    Row {
        name: "idle",
        title: "10,000 connections come in and idle",
        peers: &[Peer::Livehelp, Peer::Bun, Peer::Floor],
        required: &[
            times(Peer::Livehelp, MEMORY, 0.75, Peer::Bun),
            times(Peer::Livehelp, CPU_CONNECT, 2.0, Peer::Bun),
        ],
        run: |place, peer, scale| {
            let world = World { rooms: 0, alone: scale.idle + 100 };
            work::idle(&Running::start(place, peer, world)?, scale.idle)
        },
    },
];

//! What a message costs, step by step.
//!
//! Lives here: worlds that are made once and the acts that are measured in them, each written once
//! and measured two ways: in wall time by `benches/wall.rs`, in instructions by `bin/instructions`.
//! Not here: sockets and load (`loadtest`), other servers (`peers`). Called by people and by
//! `cargo xtask budgets`.
#![expect(clippy::expect_used, reason = "a world that cannot be made has nothing to measure")]

pub mod meter;
pub mod world;
pub mod codec;
pub mod ingest;
pub mod room;
pub mod fanout;
pub mod seal;
pub mod gate;
pub mod writer;
pub mod tally;
pub mod counting;
pub mod budget;

//! The load harness as a library: what its binary and the side-by-side with other servers share.
//!
//! In reading order: one WebSocket of a client, and what a process on this machine costs.

pub mod line;
pub mod process;

//! The harness proved: what is wrong with a server or with the harness itself is found, and nothing else is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "all of this is test code"
)]

mod server;
mod proxy;
mod harness;
mod faults;
mod runs;
mod verdicts;
mod workers;
mod started;

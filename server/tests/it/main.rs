//! The whole server over real sockets, started in this process on free ports.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "all of this is test code, and a test cares for some frames of many"
)]

mod client;
mod server;
mod http;
mod process;
mod disk;
mod metrics;
mod chat;
mod resume;
mod memory;
mod routing;
mod hostile;
mod heads;
mod fuzz;
mod kill;
mod command;
mod command_line;
mod settings;
mod notice;
mod clock;
mod retention;
mod canary;
mod erasure;
mod suppression;
mod certificate;
mod faults;
mod folders;
mod strangers;
mod operations;
mod accounts;
mod audit;
mod backup;
mod guide;
mod fronts;
mod shipped;

//! Who is there in a run, and what they do.
//!
//! In reading order: what all of them share in one worker; visitors and agents, those who watch,
//! read slowly or break the rules, and programs; then what a person has: a side of a conversation,
//! a place in the queue, a connection.

pub(crate) mod world;
pub(crate) mod rooms;
pub(crate) mod party;
pub(crate) mod visit;
pub(crate) mod agent;
mod burden;
pub(crate) mod idle;
pub(crate) mod slow;
pub(crate) mod malformed;
pub(crate) mod bot;
pub(crate) mod talk;
pub(crate) mod queue_order;
pub(crate) mod caller;
pub(crate) mod backoff;
pub mod socket;
pub(crate) mod stamp;

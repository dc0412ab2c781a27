//! The words that both ends of livehelp's wire share.
//!
//! Lives here: ids, frames, bodies, codes, bounds, and their two encodings.
//! Not here: sockets, clocks, storage, rules. Nothing in this crate performs I/O or knows the time.
//! The specification for people is `docs/wire.md`; the bytes are frozen by `vectors/`.

mod positional;

pub mod ids;
pub mod time;
pub mod personal;
pub mod visible;
pub mod retention;
pub mod message;
pub mod conversation;
pub mod reject;
pub mod limits;
pub mod frame;
pub mod codec;

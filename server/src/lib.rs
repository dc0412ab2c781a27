//! livehelp: a live-chat server whose privacy promises are kept by the program.
//!
//! The modules below stand in layers, edges first; each may use those beneath it, never above.

pub mod cli;
pub mod run;
pub mod init;
mod live;
pub mod opened;
pub mod operator_key;
pub mod gateway;
pub mod api;
pub mod http;
pub mod hub;
pub mod erasure;
pub mod sweep;
pub mod backup;
pub mod audit;
pub mod bus;
pub mod store;
pub mod keys;
pub mod auth;
pub mod traces;
pub mod systemd;
pub mod room;
pub mod routing;
pub mod sequencer;
pub mod privacy;
pub mod config;
pub mod metrics;
pub mod telemetry;
pub mod clock;
pub mod tasks;
mod recent;
mod folder;
mod read_only;
mod network;
pub mod channel;
pub mod origin;
mod prose;

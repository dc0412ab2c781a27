//! livehelp: a live-chat server whose privacy promises are kept by the program.
//!
//! The modules below stand in layers, edges first; each may use those beneath it, never above.

pub mod cli;
pub mod init;
pub mod run;
pub mod sweep;
pub mod backup;
mod live;
pub mod gateway;
pub mod api;
pub mod http;
pub mod hub;
pub mod bus;
pub mod store;
pub mod keys;
pub mod auth;
pub mod room;
pub mod routing;
pub mod sequencer;
pub mod privacy;
pub mod tasks;
pub mod metrics;
pub mod telemetry;
pub mod traces;
pub mod systemd;
pub mod config;
pub mod origin;
pub mod channel;
mod prose;
pub mod clock;
mod recent;
mod network;
mod folder;
mod onlooker;

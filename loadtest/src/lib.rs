//! The load harness as a library: what its binary and the side-by-side with other servers share.
//!
//! In reading order: the command line, a scenario, one run; then who is there and what they do; then how all of it is
//! recorded and judged.

pub mod cli;
mod scenario;
mod controller;
mod stop;
mod guard;
mod search;
mod crew;
mod distant;
mod worker;
mod world;
pub mod setup;
mod throwaway;
mod pace;
mod rooms;
mod party;
mod desk;
mod visit;
mod idle;
mod slow;
mod malformed;
mod bot;
mod talk;
mod turn;
mod caller;
mod backoff;
pub mod line;
pub mod rest;
mod trust;
mod stamp;
mod ledger;
mod histogram;
mod series;
mod observe;
pub mod process;
mod verdict;
mod outcome;
mod report;
mod compare;
mod noise;
mod junit;
mod openmetrics;
mod screen;
mod clock;
mod tasks;
mod number;

//! One run from its scenario to its outcome.
//!
//! In reading order: a scenario and the search for the highest load; the controller with what it
//! asks for and watches; the workers, near and far, with the schedule that each keeps; the server,
//! and what is made on it for the run.

pub(crate) mod scenario;
pub(crate) mod search;
pub(crate) mod controller;
pub(crate) mod scene;
mod cost;
pub(crate) mod stop;
pub(crate) mod series;
pub(crate) mod observe;
pub(crate) mod pool;
pub(crate) mod distant;
pub(crate) mod worker;
pub(crate) mod pace;
pub mod setup;
pub(crate) mod throwaway;
pub mod process;
pub mod rest;
pub(crate) mod trust;

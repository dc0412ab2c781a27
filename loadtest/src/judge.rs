//! What was seen, counted and timed, and what it comes to.
//!
//! In reading order: the figures and their names; every message accounted for; times and counts;
//! the bounds of a scenario, at the end and while the run goes on; a run beside others, beyond the
//! noise.

pub(crate) mod figure;
pub(crate) mod ledger;
pub(crate) mod histogram;
pub(crate) mod verdict;
pub(crate) mod guard;
pub(crate) mod compare;
pub(crate) mod noise;

//! The load harness as a library: what its binary and the side-by-side with other servers share.
//!
//! In reading order: the command line; one run with its scenario, phases and workers (`run`); who
//! is there and what they do (`people`); how what they saw is recorded and judged (`judge`); and
//! how the result is shown (`report`).

pub mod cli;
mod run;
mod people;
mod judge;
mod report;
mod clock;
mod tasks;
mod number;

pub use self::people::socket;
pub use self::run::{process, rest, setup};

//! The harness proved: what is wrong with a server or with the harness itself is found, and nothing else is.

mod server;
mod proxy;
mod harness;
mod faults;
mod runs;
mod verdicts;

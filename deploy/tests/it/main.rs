//! What is made for SREs, held against the metrics, the runbooks, Prometheus' own tools and a live server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "all of this is test code"
)]

mod exported;
mod promql;
mod tools;
mod dashboards;
mod rules;
mod rig;
mod live;

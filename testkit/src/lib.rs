//! Real servers on free ports, for tests, loads and benches: with an Organization, a site and
//! agents.
//!
//! In reading order: a program that says where it listens (`process`), the server's program in a
//! folder of its own (`throwaway`); and where the server is linked (feature `in-process`), rows in
//! a folder (`furnish`) and a server within this process (`server`). Not here: clients, and what a
//! test asks of a server.

mod process;
mod throwaway;
#[cfg(feature = "in-process")]
mod furnish;
#[cfg(feature = "in-process")]
mod server;

pub use self::process::{Owned, Process, Ready};
pub use self::throwaway::{FLAGS, Organization, Throwaway, flags, init, serve};

#[cfg(feature = "in-process")]
pub use self::furnish::{
    AGENTS, COOKIES, Colleague, OPERATOR_KEY, SHOP, SITE, Setup, TENANT, config, furnish,
    furnish_as, organization, site_key,
};
#[cfg(feature = "in-process")]
pub use self::server::{Site, TestServer};

//! A server with one Organization, one site and two agents, as a test wants it: the kit's.

pub use testkit::{COOKIES, OPERATOR_KEY, SHOP, Site, TestServer, furnish, furnish_as};

/// What the machine's clock says.
pub fn now_ms() -> u64 {
    use livehelp::clock::Clock as _;

    livehelp::clock::SystemClock.now().0
}

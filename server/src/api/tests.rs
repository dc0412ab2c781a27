//! The REST edge as its callers meet it: the real routers, requests in, answers out.

mod contract;

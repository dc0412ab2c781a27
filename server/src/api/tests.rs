//! The REST edge as its callers meet it: the real routers over a real store, requests in, answers
//! out.

mod world;
mod access;
mod bounds;
mod canned_responses;
mod contract;
mod counted;
mod first_day;
mod follows;
mod limits;
mod conversations;
mod names;
mod people;
mod sign_in;
mod sites;
mod suppressions;

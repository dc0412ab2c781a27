//! The policy engine: what may be kept, how long, why, and who may read it. Pure: no I/O, no clock.
//!
//! Lives here: the tag, the envelope that cannot exist without it, redaction, the evaluator, the
//! read grant, what a sealed record is bound to, what is due for the sweep, what people may ask for,
//! who is suppressed. Not here: keys (`keys`), rows (`store`), sockets. Called by every edge and
//! port.

pub mod tag;
pub mod envelope;
pub mod policy;
pub mod redact;
pub mod ingest;
pub mod consent;
pub mod gate;
pub mod seal;
pub mod suppression;
pub mod certificate;
pub mod sweep;
pub mod request;
pub mod audit;

#[cfg(doctest)]
#[doc = include_str!("privacy/sealed.md")]
struct Sealed;

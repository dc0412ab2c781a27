//! The wire from outside: frozen bytes, what a reader puts up with, what it refuses, what it bounds.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own data has failed")]

mod hostile;
mod limits;
mod roundtrip;
mod terms;
mod vectors;
mod visible;

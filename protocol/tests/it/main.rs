//! The wire from outside: frozen bytes, what a reader puts up with, what it refuses, what it bounds.

mod hostile;
mod limits;
mod roundtrip;
mod vectors;

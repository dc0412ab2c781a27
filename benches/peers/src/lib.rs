//! The side-by-side of livehelp with other servers: the same work on each of them, in one run.
//!
//! In reading order: frames of a WebSocket, one thread's many sockets, how each server is spoken to and started, the work, the
//! tables and the plot. The relays that are compared and the driver are the binaries beside this library.

pub mod framing;
pub mod clock;
pub mod stamp;
pub mod tls;
pub mod net;
pub mod dialect;
pub mod crowd;
pub mod peer;
pub mod work;
pub mod row;
pub mod report;
pub mod plot;

//! Between nodes: who gives a message its place, and how other nodes hear of it.

use async_trait::async_trait;
use protocol::message::Seq;

use crate::privacy::envelope::Envelope;

pub mod memory;

/// Why no place was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bus gives no place now")]
pub struct BusError;

/// Gives places, so that every node shows one order.
#[async_trait]
pub trait Bus: Send + Sync + std::fmt::Debug {
    /// The place at once, where it needs no round trip: called under the room's lock.
    fn place_here(&self, envelope: &Envelope, floor: Seq) -> Option<Seq>;

    /// The place above `floor`, in one round trip that announces it too; then every node, this one as
    /// well, delivers in the bus's order.
    ///
    /// # Errors
    /// If the bus is away: the sender may try again.
    async fn place(&self, envelope: &Envelope, floor: Seq) -> Result<Seq, BusError>;
}

//! What a store answers to a batch: what came of each write, or why nothing of it stands.

use std::sync::Arc;

use protocol::message::Seq;

use crate::privacy::envelope::Sequenced;

/// Why nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The queue to the writer has no permit; try again.
    #[error("the store's queue is full")]
    Full,
    /// The disk, the file or the keys failed; nothing of the batch was stored.
    #[error("the store cannot do that now: {act}")]
    Unavailable {
        /// What was tried.
        act: &'static str,
    },
    /// The sequence number is taken by another message: it needs a new one. The stored seq to begin
    /// above.
    #[error("the sequence number is taken")]
    SeqTaken {
        /// The newest stored sequence number.
        seq_last: Seq,
    },
    /// Another node stored this message, under another sequence number. Only a store that several
    /// nodes share says so.
    #[error("the message is stored already")]
    StoredBefore {
        /// As it is stored.
        stored: Arc<Sequenced>,
    },
    /// It would break a rule of uniqueness: the e-mail, key or id exists.
    #[error("exists already: {what}")]
    Exists {
        /// Which column.
        what: &'static str,
    },
    /// There is no such thing in this tenant.
    #[error("not found")]
    NotFound,
}

/// What came of one write of a batch that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    Done,
    /// It changed nothing: it was there before, a newer one is, or nothing is left to remove or to
    /// keep.
    PassedOver,
}

/// Why nothing of a batch stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which of its writes broke a rule, counted from 0; none where the fault is none of theirs.
    pub at: Option<usize>,
    pub error: StoreError,
}

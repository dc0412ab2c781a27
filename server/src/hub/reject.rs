//! What a client is told where the hub cannot do what was asked.

use protocol::reject::{Reject, RejectCode};

use crate::store::StoreError;

/// No such thing, or another's: the two look the same.
pub(super) fn not_found(what: &'static str) -> Reject {
    Reject::new(RejectCode::NotFound, what)
}

/// Something is only for agents.
pub(super) fn only_agents() -> Reject {
    Reject::new(RejectCode::Forbidden, "only agents do that")
}

/// The same id came with other words.
pub(super) fn conflict() -> Reject {
    Reject::new(RejectCode::Conflict, "a message with this id says something else")
}

impl From<StoreError> for Reject {
    fn from(error: StoreError) -> Self {
        store_reject(&error)
    }
}

/// Turns a failure of the store into what a client is told.
pub(super) fn store_reject(error: &StoreError) -> Reject {
    match error {
        StoreError::Full => {
            Reject::new(RejectCode::Overload, "the server has more to store than it can; try again")
                .retry_after_ms(500)
        }
        StoreError::NotFound => not_found("there is no such thing here"),
        StoreError::Exists { .. } => {
            Reject::new(RejectCode::Conflict, "this exists already with another content")
        }
        StoreError::Unavailable { .. }
        | StoreError::SeqTaken { .. }
        | StoreError::StoredBefore { .. } => {
            Reject::new(RejectCode::StoreUnavailable, "the server cannot store now; try again")
                .retry_after_ms(1_000)
        }
    }
}

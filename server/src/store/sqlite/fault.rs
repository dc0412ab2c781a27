//! What can go wrong between a question and the file, and whom it concerns.

use rusqlite::ErrorCode;

use crate::privacy::seal::SealError;
use crate::store::StoreError;

/// Why a piece of work did not succeed.
#[derive(Debug)]
pub(in crate::store) enum Fault {
    /// It broke a rule: its own outcome alone.
    Refused(StoreError),
    /// SQLite said no.
    File(rusqlite::Error),
    /// The journal could not be written or synced.
    Journal(std::io::Error),
    /// The keys said no.
    Keys(SealError),
    /// A row holds what this program never writes.
    Row(&'static str),
    /// This file is not in the folder any more, or another one is in its place.
    Gone(&'static str),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::File(error)
    }
}

impl From<SealError> for Fault {
    fn from(error: SealError) -> Self {
        Self::Keys(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// A broken rule of uniqueness, said by its name; all else as it is.
    pub(super) fn exists(self, what: &'static str) -> Self {
        if let Self::File(error) = &self
            && error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
        {
            return Self::Refused(StoreError::Exists { what });
        }
        self
    }

    /// Whether nothing more can be done on this connection in this transaction.
    pub(super) fn is_of_the_disk(&self) -> bool {
        match self {
            Self::Journal(_) | Self::Gone(_) => true,
            // A key that cannot be had is the affair of whoever needs it.
            Self::Refused(_) | Self::Keys(_) | Self::Row(_) => false,
            Self::File(error) => !matches!(
                error.sqlite_error_code(),
                None | Some(
                    ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch
                )
            ),
        }
    }

    /// Whether one row is damaged, and its neighbours may be whole.
    pub(super) fn is_of_a_row(&self) -> bool {
        match self {
            Self::Row(_) | Self::Keys(SealError::Tampered) => true,
            // A value that is no value of its column.
            Self::File(error) => error.sqlite_error_code().is_none(),
            Self::Refused(_) | Self::Journal(_) | Self::Keys(_) | Self::Gone(_) => false,
        }
    }

    /// What a caller is told; the cause goes to the log. SQLite's words name tables, never values.
    pub(in crate::store) fn told(self, act: &'static str) -> StoreError {
        match self {
            Self::Refused(error) => return error,
            Self::File(error) => tracing::error!(act, error = %error, "the database failed"),
            Self::Journal(error) => tracing::error!(act, error = %error, "the journal failed"),
            Self::Keys(error) => tracing::error!(act, error = %error, "the keys failed"),
            Self::Row(what) => tracing::error!(act, name = what, "a row cannot be read"),
            Self::Gone(file) => {
                tracing::error!(
                    act,
                    name = file,
                    "this file of the data folder is gone, or another one is in its place"
                );
            }
        }
        StoreError::Unavailable { act }
    }
}

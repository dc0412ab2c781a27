//! The port to where keys lie: a file of this machine now, a store that nodes share later.
//!
//! Lives here: what every such place must do. Not here: how a key seals (`cipher`), the file
//! (`file`), what remembers unwrapped keys and derives from them (`keys`, which implements
//! `privacy::seal::Sealer`).

use protocol::ids::TenantId;

use super::{KeysError, Secret};
use crate::privacy::seal::{Bucket, Subject};

/// What a place says about a key.
pub(super) enum Stored {
    Key(Secret),
    /// It was there, and no key ever comes in its place.
    Destroyed,
    None,
}

/// Where the keys of buckets and subjects lie, wrapped. Whatever changes is synced when it returns,
/// and raises the generation, which it returns.
pub(super) trait WrappedKeys: Send {
    /// Number of the newest change.
    fn generation(&self) -> Result<u64, KeysError>;
    fn bucket(&self, bucket: &Bucket) -> Result<Stored, KeysError>;
    fn subject(&self, tenant: TenantId, subject: Subject) -> Result<Stored, KeysError>;
    /// Makes these keys, all of them or none; none of them may be there or be destroyed.
    fn make(
        &mut self,
        buckets: &[Bucket],
        subjects: &[(TenantId, Subject)],
    ) -> Result<u64, KeysError>;
    /// Overwrites these keys, reads back that they are gone, and leaves a mark in their place.
    fn destroy_buckets(&mut self, buckets: &[Bucket]) -> Result<u64, KeysError>;
    /// The same of a person's.
    fn destroy_subject(&mut self, tenant: TenantId, subject: Subject) -> Result<u64, KeysError>;
}

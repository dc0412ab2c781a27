//! What a sealed value is bound to, and the port through which stores seal and unseal.

use protocol::ids::{AgentId, ConversationId, SiteId, TenantId, VisitorId};
use protocol::retention::RetentionClass;
use protocol::time::Day;

/// The person whose erasure destroys the second lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A website visitor: both sides' words of their conversations.
    Visitor(VisitorId),
    /// An agent: their own account.
    Agent(AgentId),
}

/// The first lock: all records of one tenant, site, class and day share it, and it dies with the
/// day on which they expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    pub tenant: TenantId,
    /// None for an agent's account, which belongs to no site.
    pub site: Option<SiteId>,
    pub class: RetentionClass,
    pub day: Day,
}

/// What kind of record a key is derived for, so that no two kinds share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// Messages of one conversation.
    Messages(ConversationId),
    /// The header of one conversation: form, page.
    Conversation(ConversationId),
    /// A visitor's contact data.
    Contact,
    /// An agent's account.
    Account,
    /// An agent's draft in one conversation.
    Draft(ConversationId),
}

/// The two locks and the record's kind: from these the key of a value is derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lock {
    pub bucket: Bucket,
    pub subject: Subject,
    pub kind: RecordKind,
}

/// Why a value could not be sealed or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// One of the two keys is destroyed: the value is gone for good.
    #[error("a key of this record is destroyed")]
    Destroyed,
    /// The bytes are not what was sealed, or belong to another record.
    #[error("the sealed value does not belong here")]
    Tampered,
    /// The key store failed.
    #[error("the key store failed")]
    Unavailable,
}

/// Seals and reads personal values. Implemented by the key store, handed to the stores at start.
pub trait Sealer: Send + Sync + std::fmt::Debug {
    /// Makes sure that the keys of these locks exist and are synced to disk; called for a whole
    /// batch before the batch that uses them commits.
    ///
    /// # Errors
    /// If a key was destroyed before or does not open (the keys of the other locks are made all the
    /// same), or the key store failed.
    fn prepare(&self, locks: &[Lock]) -> Result<(), SealError>;

    /// Whether the keys lie where a start would look for them: what is sealed with others is lost
    /// with this process.
    fn is_in_place(&self) -> bool {
        true
    }

    /// Seals: random nonce, text, authentication tag.
    ///
    /// # Errors
    /// As [`Sealer::prepare`].
    fn seal(&self, lock: &Lock, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Reads what was sealed under the same lock with the same associated data.
    ///
    /// # Errors
    /// If it is destroyed or does not belong here.
    fn unseal(&self, lock: &Lock, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError>;

    /// A keyed hash by which a personal value can be found within its tenant, `field` keeping the
    /// columns apart.
    ///
    /// # Errors
    /// If the key store failed.
    fn find_hash(&self, tenant: TenantId, field: &str, value: &str) -> Result<[u8; 32], SealError>;

    /// SHA-256, for what is chained and not kept secret.
    fn sum(&self, bytes: &[u8]) -> [u8; 32];

    /// Destroys the first lock of these buckets, for good, and syncs.
    ///
    /// # Errors
    /// If the key store failed; what was destroyed stays destroyed.
    fn destroy_buckets(&self, buckets: &[Bucket]) -> Result<(), SealError>;

    /// Destroys the second lock of a person, for good, and syncs.
    ///
    /// # Errors
    /// If the key store failed.
    fn destroy_subject(&self, tenant: TenantId, subject: Subject) -> Result<(), SealError>;

    /// Number of the newest change that is on disk; the data carries the number it was sealed
    /// under, so that keys put back from an earlier time are noticed.
    fn generation(&self) -> u64;
}

/// Seals what passes from node to node and is kept nowhere. Implemented by the key store.
pub trait TransitSealer: Send + Sync + std::fmt::Debug {
    /// Seals under the cluster's key of that day.
    ///
    /// # Errors
    /// If there are no random numbers to be had.
    fn seal_in_transit(
        &self,
        day: Day,
        associated: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError>;

    /// Reads what a node with the same keys sealed for the same place.
    ///
    /// # Errors
    /// If it was not sealed by one, or for something else.
    fn unseal_in_transit(
        &self,
        day: Day,
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError>;
}

/// SHA-256 of a secret (token, cookie, key): what the store keeps in its place.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash(pub [u8; 32]);

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret hash]")
    }
}

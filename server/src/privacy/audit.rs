//! The audit: who did what, when and why, as a chain in which any change shows.
//!
//! Lives here: an act, the entry that is made of it, and what an entry's hash is made of. Below:
//! the words (`words`), and the verifier (`verify`). Not here: where entries lie (`store`), how a
//! hash is computed and a head signed (`keys`). Called by the store, REST and the command line.
//!
//! There is one chain for each Organization and one for the operator. An entry has ids, codes and
//! numbers, never a name, an address or a text: it is nobody's personal data, and no erasure takes
//! it. Its hash is the SHA-256 of its encoding, which is stable for ever: a byte with the version,
//! then each field with its length before it (4 bytes), all numbers big-endian:
//!
//! | field | bytes |
//! |---|---|
//! | chain | 16: the Organization's id, or zeros for the operator |
//! | seq | 8, from 1 |
//! | at | 8, Unix milliseconds |
//! | actor | 2 its kind, 16 its id |
//! | purpose | 2, 0 where none is named |
//! | action | 2 |
//! | objects | for each: 2 its kind, 16 its id |
//! | details | for each: 2 its word, 8 its number (two's complement) |
//! | policy | 2 |
//! | prev | 32: the hash of the entry before, zeros for the first |

mod verify;
mod words;

use protocol::ids::TenantId;
use protocol::time::UnixMillis;

pub use self::verify::{Fault, Head, Verifier};
pub use self::words::{Action, ActorKind, Detail, ObjectKind, Purpose};
use super::policy::PolicyVersion;

/// The version of the encoding, its first byte.
pub const FORMAT: u8 = 1;

/// Objects of one entry; the number of further ones stands among the details.
pub const OBJECTS_MAX: usize = 16;

/// Details of one entry.
pub const DETAILS_MAX: usize = 8;

/// Computes SHA-256.
pub type Sum = fn(&[u8]) -> [u8; 32];

/// Whose chain it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId([u8; 16]);

impl ChainId {
    /// The operator's: an id that no Organization has.
    pub const OPERATOR: Self = Self([0; 16]);

    /// An Organization's.
    pub const fn of(tenant: TenantId) -> Self {
        Self(*tenant.as_bytes())
    }

    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The Organization, where it is not the operator's.
    pub fn tenant(self) -> Option<TenantId> {
        (self != Self::OPERATOR).then(|| TenantId::from_bytes(self.0))
    }
}

/// Who acted; never a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    pub kind: ActorKind,
    /// Zeros for the program itself.
    pub id: [u8; 16],
}

impl Actor {
    /// The program itself: a sweep, a backup that was due.
    pub const PROGRAM: Self = Self { kind: ActorKind::Program, id: [0; 16] };

    pub const fn new(kind: ActorKind, id: [u8; 16]) -> Self {
        Self { kind, id }
    }
}

/// What was done. The store makes an entry of it, together with what it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    pub chain: ChainId,
    pub at: UnixMillis,
    pub actor: Actor,
    pub purpose: Option<Purpose>,
    pub action: Action,
    objects: Vec<(ObjectKind, [u8; 16])>,
    details: Vec<(Detail, i64)>,
}

impl Act {
    pub fn new(chain: ChainId, at: UnixMillis, actor: Actor, action: Action) -> Self {
        let (objects, details) = (Vec::new(), Vec::new());
        Self { chain, at, actor, purpose: None, action, objects, details }
    }

    /// Something that it was done to. Beyond the bound they are counted.
    #[must_use]
    pub fn on(mut self, kind: ObjectKind, id: [u8; 16]) -> Self {
        if self.objects.len() < OBJECTS_MAX {
            self.objects.push((kind, id));
            return self;
        }
        match self.details.iter_mut().find(|(word, _)| *word == Detail::FurtherObjects) {
            Some((_, number)) => *number = number.saturating_add(1),
            None => {
                self.details.truncate(DETAILS_MAX - 1);
                self.details.push((Detail::FurtherObjects, 1));
            }
        }
        self
    }

    /// A number that belongs to it. There is no room for more than [`DETAILS_MAX`].
    #[must_use]
    pub fn with(mut self, word: Detail, number: impl Into<i64>) -> Self {
        if self.details.len() < DETAILS_MAX {
            self.details.push((word, number.into()));
        }
        self
    }

    /// Why something was read that is read only for a reason.
    #[must_use]
    pub fn because(self, purpose: Purpose) -> Self {
        Self { purpose: Some(purpose), ..self }
    }

    /// The entry that comes after `last` (its seq and hash), the first one after `(0, zeros)`.
    pub fn after(self, (seq, prev): (u64, [u8; 32]), sum: impl Fn(&[u8]) -> [u8; 32]) -> Entry {
        let mut entry = Entry {
            chain: self.chain,
            seq: seq.saturating_add(1),
            at: self.at,
            actor_kind: self.actor.kind.code(),
            actor: self.actor.id,
            purpose: self.purpose.map_or(0, Purpose::code),
            action: self.action.code(),
            objects: self.objects.into_iter().map(|(kind, id)| (kind.code(), id)).collect(),
            details: self.details.into_iter().map(|(word, n)| (word.code(), n)).collect(),
            policy: PolicyVersion::CURRENT.0,
            prev,
            hash: [0; 32],
        };
        entry.hash = sum(&entry.encoded());
        entry
    }
}

/// An act in its chain. Its codes are kept as they came: what a later version wrote is verified
/// all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub chain: ChainId,
    pub seq: u64,
    pub at: UnixMillis,
    pub actor_kind: u16,
    pub actor: [u8; 16],
    pub purpose: u16,
    pub action: u16,
    pub objects: Vec<(u16, [u8; 16])>,
    pub details: Vec<(u16, i64)>,
    pub policy: u16,
    pub prev: [u8; 32],
    pub hash: [u8; 32],
}

impl Entry {
    /// What its hash is made of.
    pub fn encoded(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        let mut field = |parts: &[&[u8]]| {
            let len: usize = parts.iter().map(|part| part.len()).sum();
            bytes.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
            parts.iter().for_each(|part| bytes.extend_from_slice(part));
        };
        field(&[self.chain.as_bytes()]);
        field(&[&self.seq.to_be_bytes()]);
        field(&[&self.at.0.to_be_bytes()]);
        field(&[&self.actor_kind.to_be_bytes(), &self.actor]);
        field(&[&self.purpose.to_be_bytes()]);
        field(&[&self.action.to_be_bytes()]);
        field(&[&objects_bytes(&self.objects)]);
        field(&[&details_bytes(&self.details)]);
        field(&[&self.policy.to_be_bytes()]);
        field(&[&self.prev]);
        bytes
    }
}

/// Objects one after the other.
pub fn objects_bytes(objects: &[(u16, [u8; 16])]) -> Vec<u8> {
    objects.iter().flat_map(|(kind, id)| kind.to_be_bytes().into_iter().chain(*id)).collect()
}

/// The reverse; `None` where these are no objects.
pub fn objects_from(bytes: &[u8]) -> Option<Vec<(u16, [u8; 16])>> {
    let (all, rest) = bytes.as_chunks::<18>();
    let object = |bytes: &[u8; 18]| {
        let (kind, id) = bytes.split_first_chunk::<2>()?;
        Some((u16::from_be_bytes(*kind), id.try_into().ok()?))
    };
    rest.is_empty().then(|| all.iter().map(object).collect())?
}

/// Details one after the other.
pub fn details_bytes(details: &[(u16, i64)]) -> Vec<u8> {
    let pair = |(word, number): &(u16, i64)| {
        word.to_be_bytes().into_iter().chain(number.to_be_bytes()).collect::<Vec<_>>()
    };
    details.iter().flat_map(pair).collect()
}

/// The reverse; `None` where these are no details.
pub fn details_from(bytes: &[u8]) -> Option<Vec<(u16, i64)>> {
    let (all, rest) = bytes.as_chunks::<10>();
    let detail = |bytes: &[u8; 10]| {
        let (word, number) = bytes.split_first_chunk::<2>()?;
        Some((u16::from_be_bytes(*word), i64::from_be_bytes(number.try_into().ok()?)))
    };
    rest.is_empty().then(|| all.iter().map(detail).collect())?
}

#[cfg(test)]
mod tests;

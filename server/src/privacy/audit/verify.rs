//! Whether a chain is whole: the first fault of it.

use std::collections::BTreeMap;

use protocol::time::UnixMillis;

use super::{ChainId, Entry};

/// What is wrong with a chain, first of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("entry {seq} is of another chain")]
    Foreign { seq: u64 },
    #[error("entry {seq} is missing")]
    Missing { seq: u64 },
    #[error("entry {seq} stands twice, or after a later one")]
    Repeated { seq: u64 },
    #[error("entry {seq} was altered")]
    Altered { seq: u64 },
    #[error("entry {seq} does not follow the one before it")]
    Unlinked { seq: u64 },
    #[error("the chain ends at entry {seq_last}, and its head was signed at entry {signed}")]
    Truncated { seq_last: u64, signed: u64 },
    #[error("entry {seq} is not the one whose hash was signed")]
    NotAsSigned { seq: u64 },
}

/// How far a chain had come at a moment: what is signed, so that its end cannot be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub chain: ChainId,
    pub seq: u64,
    pub hash: [u8; 32],
    /// When it was signed.
    pub at: UnixMillis,
}

impl Head {
    /// What is signed.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = b"livehelp audit head 1".to_vec();
        bytes.extend_from_slice(self.chain.as_bytes());
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.hash);
        bytes.extend_from_slice(&self.at.0.to_be_bytes());
        bytes
    }
}

/// Goes along a chain.
#[derive(Debug)]
pub struct Verifier<S> {
    chain: ChainId,
    sum: S,
    seq_last: u64,
    hash_last: [u8; 32],
    /// Hashes that were signed, by seq.
    signed: BTreeMap<u64, [u8; 32]>,
    /// A seq for which two hashes were signed.
    split: Option<u64>,
}

impl<S: Fn(&[u8]) -> [u8; 32]> Verifier<S> {
    /// `heads`: those whose signatures hold; other chains' are passed over.
    pub fn new(chain: ChainId, sum: S, heads: &[Head]) -> Self {
        let (mut signed, mut split) = (BTreeMap::new(), None);
        for head in heads.iter().filter(|head| head.chain == chain) {
            if signed.insert(head.seq, head.hash).is_some_and(|hash| hash != head.hash) {
                split = split.or(Some(head.seq));
            }
        }
        Self { chain, sum, seq_last: 0, hash_last: [0; 32], signed, split }
    }

    /// The next entry.
    ///
    /// # Errors
    /// If it is not what must come next.
    pub fn add(&mut self, entry: &Entry) -> Result<(), Fault> {
        let seq = entry.seq;
        if entry.chain != self.chain {
            return Err(Fault::Foreign { seq });
        }
        let expected = self.seq_last.saturating_add(1);
        if seq != expected {
            let is_back = seq < expected;
            return Err(if is_back {
                Fault::Repeated { seq }
            } else {
                Fault::Missing { seq: expected }
            });
        }
        if (self.sum)(&entry.encoded()) != entry.hash {
            return Err(Fault::Altered { seq });
        }
        if entry.prev != self.hash_last {
            return Err(Fault::Unlinked { seq });
        }
        let is_split = self.split == Some(seq);
        if is_split || self.signed.get(&seq).is_some_and(|hash| *hash != entry.hash) {
            return Err(Fault::NotAsSigned { seq });
        }
        (self.seq_last, self.hash_last) = (seq, entry.hash);
        Ok(())
    }

    /// That there are no more: how many there were.
    ///
    /// # Errors
    /// If a head was signed beyond the last one.
    pub fn end(self) -> Result<u64, Fault> {
        match self.signed.last_key_value() {
            Some((signed, _)) if *signed > self.seq_last => {
                Err(Fault::Truncated { seq_last: self.seq_last, signed: *signed })
            }
            _ => Ok(self.seq_last),
        }
    }
}

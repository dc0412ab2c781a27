//! The newest messages of a room, in order of their sequence numbers.
//!
//! Beside them stand fingerprints of their ids, two bytes each: whether a message came before is
//! asked for every one that comes, and to look into fifty messages for it is to fetch fifty pieces
//! of memory. All fingerprints lie in two.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::ids::MessageId;
use protocol::message::Seq;

use crate::privacy::envelope::Sequenced;

/// Messages in memory.
#[derive(Debug, Default)]
pub(super) struct Tail {
    sequenced: VecDeque<Arc<Sequenced>>,
    /// The fingerprint of each, at the same index.
    fingerprints: VecDeque<u16>,
}

/// The end of a UUIDv7, which is random. Ids with the same one are told apart by the messages.
fn fingerprint(message: MessageId) -> u16 {
    let [.., a, b] = *message.as_bytes();
    u16::from_be_bytes([a, b])
}

impl From<Vec<Arc<Sequenced>>> for Tail {
    fn from(mut sequenced: Vec<Arc<Sequenced>>) -> Self {
        // It was read into room for a page.
        sequenced.shrink_to_fit();
        let fingerprints =
            sequenced.iter().map(|sequenced| fingerprint(sequenced.envelope().message())).collect();
        Self { sequenced: sequenced.into(), fingerprints }
    }
}

impl Tail {
    pub(super) fn len(&self) -> usize {
        self.sequenced.len()
    }

    pub(super) fn front(&self) -> Option<&Arc<Sequenced>> {
        self.sequenced.front()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Sequenced>> {
        self.sequenced.iter()
    }

    /// A message by its id.
    pub(super) fn find(&self, message: MessageId) -> Option<&Arc<Sequenced>> {
        let wanted = fingerprint(message);
        // Several fingerprints are compared at once so, and nearly every message is new.
        let (front, back) = self.fingerprints.as_slices();
        if !front.contains(&wanted) && !back.contains(&wanted) {
            return None;
        }
        let hits = self
            .fingerprints
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, fingerprint)| **fingerprint == wanted);
        hits.filter_map(|(at, _)| self.sequenced.get(at))
            .find(|sequenced| sequenced.envelope().message() == message)
    }

    /// What has this sequence number.
    pub(super) fn at(&self, seq: Seq) -> Option<&Arc<Sequenced>> {
        let at = self.sequenced.binary_search_by_key(&seq, |sequenced| sequenced.seq()).ok()?;
        self.sequenced.get(at)
    }

    /// A message whose sequence number is above all that are here.
    pub(super) fn push(&mut self, sequenced: Arc<Sequenced>) {
        self.fingerprints.push_back(fingerprint(sequenced.envelope().message()));
        self.sequenced.push_back(sequenced);
    }

    pub(super) fn pop_front(&mut self) -> Option<Arc<Sequenced>> {
        self.fingerprints.pop_front();
        self.sequenced.pop_front()
    }

    /// A message wherever its sequence number belongs.
    pub(super) fn insert(&mut self, sequenced: Arc<Sequenced>) {
        let at = self.sequenced.partition_point(|known| known.seq() < sequenced.seq());
        self.fingerprints.insert(at, fingerprint(sequenced.envelope().message()));
        self.sequenced.insert(at, sequenced);
    }

    /// Takes out what has this sequence number.
    pub(super) fn remove(&mut self, seq: Seq) -> Option<Arc<Sequenced>> {
        let at = self.sequenced.binary_search_by_key(&seq, |sequenced| sequenced.seq()).ok()?;
        self.fingerprints.remove(at);
        self.sequenced.remove(at)
    }
}

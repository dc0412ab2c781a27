//! The newest messages of a room, in order of their places.
//!
//! Beside them stand marks of their ids, two bytes each: whether a message came before is asked for every
//! one that comes, and to look into fifty messages for it is to fetch fifty pieces of memory. All marks lie in two.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::ids::MessageId;
use protocol::message::Seq;

use crate::privacy::envelope::Placed;

/// Messages in memory.
#[derive(Debug, Default)]
pub(super) struct Tail {
    placed: VecDeque<Arc<Placed>>,
    /// The mark of each, at the same index.
    marks: VecDeque<u16>,
}

/// The end of a UUIDv7, which is random. Ids with the same one are told apart by the messages.
fn mark(message: MessageId) -> u16 {
    let [.., a, b] = *message.as_bytes();
    u16::from_be_bytes([a, b])
}

impl From<Vec<Arc<Placed>>> for Tail {
    fn from(mut placed: Vec<Arc<Placed>>) -> Self {
        // It was read into room for a page.
        placed.shrink_to_fit();
        let marks = placed.iter().map(|placed| mark(placed.envelope().message())).collect();
        Self { placed: placed.into(), marks }
    }
}

impl Tail {
    pub(super) fn len(&self) -> usize {
        self.placed.len()
    }

    pub(super) fn front(&self) -> Option<&Arc<Placed>> {
        self.placed.front()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Placed>> {
        self.placed.iter()
    }

    /// A message by its id.
    pub(super) fn find(&self, message: MessageId) -> Option<&Arc<Placed>> {
        let wanted = mark(message);
        // Several marks are compared at once so, and nearly every message is new.
        let (front, back) = self.marks.as_slices();
        if !front.contains(&wanted) && !back.contains(&wanted) {
            return None;
        }
        let hits = self.marks.iter().enumerate().rev().filter(|(_, mark)| **mark == wanted);
        hits.filter_map(|(at, _)| self.placed.get(at))
            .find(|placed| placed.envelope().message() == message)
    }

    /// What has this place.
    pub(super) fn at(&self, seq: Seq) -> Option<&Arc<Placed>> {
        let at = self.placed.binary_search_by_key(&seq, |placed| placed.seq()).ok()?;
        self.placed.get(at)
    }

    /// A message whose place is above all that are here.
    pub(super) fn push(&mut self, placed: Arc<Placed>) {
        self.marks.push_back(mark(placed.envelope().message()));
        self.placed.push_back(placed);
    }

    pub(super) fn pop_front(&mut self) -> Option<Arc<Placed>> {
        self.marks.pop_front();
        self.placed.pop_front()
    }

    /// A message wherever its place is.
    pub(super) fn insert(&mut self, placed: Arc<Placed>) {
        let at = self.placed.partition_point(|known| known.seq() < placed.seq());
        self.marks.insert(at, mark(placed.envelope().message()));
        self.placed.insert(at, placed);
    }

    /// Takes out what has this place.
    pub(super) fn remove(&mut self, seq: Seq) -> Option<Arc<Placed>> {
        let at = self.placed.binary_search_by_key(&seq, |placed| placed.seq()).ok()?;
        self.marks.remove(at);
        self.placed.remove(at)
    }
}

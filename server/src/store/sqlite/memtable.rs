//! The memtable: messages that are synced in the journal and not yet in the database. Readers find
//! them here, and from here they are checkpointed.
//!
//! They lie as they do in the journal, sealed, so that the destruction of a key takes them too.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use protocol::ids::ConversationId;
use protocol::message::Seq;

use super::row::MessageRow;

/// Shared by the writer, who fills and empties it, and the readers.
#[derive(Debug, Default)]
pub(super) struct Memtable(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    /// What is being checkpointed, the oldest first: one, or more after a fault.
    old: Vec<Arc<Half>>,
    young: Half,
    /// An emptied one, for its memory.
    spare: Half,
}

/// What came between two rotations.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Encoded rows, one after the other.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// The newest entry of each conversation.
    newest: HashMap<ConversationId, usize, RandomState>,
}

#[derive(Debug)]
struct Entry {
    at: usize,
    /// The one before it of the same conversation.
    before: Option<usize>,
    /// The rowid of the conversation, by which the database's index begins.
    conversation: i64,
    seq: Seq,
}

/// Rows that wait, encoded, in the order of their sequence numbers.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<u8>);

impl Waiting {
    pub(super) fn rows(&self) -> Vec<MessageRow<'_>> {
        let mut bytes = self.0.as_slice();
        std::iter::from_fn(|| MessageRow::decode(&mut bytes)).collect()
    }
}

impl Half {
    /// A row by the number of its entry.
    pub(super) fn row(&self, number: usize) -> Option<MessageRow<'_>> {
        MessageRow::decode(&mut self.bytes.get(self.entries.get(number)?.at..)?)
    }

    /// Its entries' numbers as the database has the rows in its index, so that those of a page come
    /// together.
    pub(super) fn in_order(&self) -> Vec<usize> {
        let place =
            |number: &usize| self.entries.get(*number).map(|entry| (entry.conversation, entry.seq));
        let mut numbers: Vec<usize> = (0..self.entries.len()).collect();
        numbers.sort_unstable_by_key(place);
        numbers
    }

    fn add(&mut self, conversation: ConversationId, row: &MessageRow<'_>) {
        let number = self.entries.len();
        let before = self.newest.insert(conversation, number);
        let at = self.bytes.len();
        self.entries.push(Entry { at, before, conversation: row.conversation, seq: row.seq });
        row.encode(&mut self.bytes);
    }

    /// Appends a conversation's rows, the oldest first.
    fn rows_of(&self, conversation: ConversationId, into: &mut Vec<u8>) {
        let before = |number: &usize| self.entries.get(*number)?.before;
        let newest = self.newest.get(&conversation).copied();
        let numbers: Vec<usize> = std::iter::successors(newest, before).collect();
        let rows = numbers.into_iter().rev().filter_map(|number| self.row(number));
        rows.for_each(|row| row.encode(into));
    }

    fn seq_last(&self, conversation: ConversationId) -> Option<Seq> {
        let newest = self.newest.get(&conversation)?;
        self.entries.get(*newest).map(|entry| entry.seq)
    }

    /// Empties it and keeps its memory, unless that was much more than was needed this time.
    fn emptied(mut self) -> Self {
        if self.bytes.len() < self.bytes.capacity() / 8 {
            return Self::default();
        }
        self.bytes.clear();
        self.entries.clear();
        self.newest.clear();
        self
    }
}

impl Memtable {
    /// These are synced; within a conversation in the order of their sequence numbers.
    pub(super) fn add<'r>(&self, rows: impl Iterator<Item = (ConversationId, MessageRow<'r>)>) {
        let young = &mut self.0.lock().young;
        rows.for_each(|(conversation, row)| young.add(conversation, &row));
    }

    /// What waits of a conversation. Asked before the database is: what has left here is there.
    pub(super) fn of(&self, conversation: ConversationId) -> Waiting {
        let halves = self.0.lock();
        let mut bytes = Vec::new();
        halves.old.iter().for_each(|old| old.rows_of(conversation, &mut bytes));
        halves.young.rows_of(conversation, &mut bytes);
        Waiting(bytes)
    }

    /// The newest sequence number that waits of a conversation.
    pub(super) fn seq_last(&self, conversation: ConversationId) -> Option<Seq> {
        let halves = self.0.lock();
        let old = || halves.old.iter().rev().find_map(|old| old.seq_last(conversation));
        halves.young.seq_last(conversation).or_else(old)
    }

    /// What came since the last rotation is being checkpointed from now on.
    pub(super) fn rotate(&self) -> Arc<Half> {
        let halves = &mut *self.0.lock();
        let spare = std::mem::take(&mut halves.spare);
        let old = Arc::new(std::mem::replace(&mut halves.young, spare));
        halves.old.push(Arc::clone(&old));
        old
    }

    /// All that was rotated, which is these, is in the database.
    pub(super) fn checkpointed(&self, rotated: impl Iterator<Item = Arc<Half>>) {
        let gone = std::mem::take(&mut self.0.lock().old);
        drop(gone);
        // Nobody else holds one: readers copy.
        let spare = rotated.filter_map(Arc::into_inner).last().map(Half::emptied);
        if let Some(spare) = spare {
            self.0.lock().spare = spare;
        }
    }
}

//! The audit, declared.

use protocol::time::UnixMillis;

use super::change::Order;
use super::{Entity, Field, Row, Table, Value, bytes, id, number};
use crate::privacy::audit::{
    ChainId, Entry, details_bytes, details_from, objects_bytes, objects_from,
};

impl Entity for Entry {
    const TABLE: &'static Table = &Table {
        name: "audit",
        about: "who did what, when and why: ids, codes and numbers, and no personal data; a chain \
            for each Organization and one for the operator, of the class operational; no erasure \
            takes it",
        columns: &[
            id("tenant"),
            number("seq"),
            number("at"),
            number("actor_kind"),
            id("actor"),
            number("purpose"),
            number("action"),
            bytes("objects"),
            bytes("details"),
            number("policy"),
            bytes("prev"),
            bytes("hash"),
        ],
        id: "hash",
        unique: &[&["tenant", "seq"]],
        taken: "seq",
        ..Table::PLAIN
    };

    fn into_values(self) -> Vec<Value> {
        vec![
            self.chain.into_value(),
            self.seq.into_value(),
            self.at.into_value(),
            self.actor_kind.into_value(),
            Value::Bytes(self.actor.to_vec()),
            self.purpose.into_value(),
            self.action.into_value(),
            Value::Bytes(objects_bytes(&self.objects)),
            Value::Bytes(details_bytes(&self.details)),
            self.policy.into_value(),
            Value::Bytes(self.prev.to_vec()),
            Value::Bytes(self.hash.to_vec()),
        ]
    }

    fn from_row(mut row: Row) -> Option<Self> {
        Some(Self {
            chain: row.take()?,
            seq: row.take()?,
            at: row.take::<UnixMillis>()?,
            actor_kind: row.take()?,
            actor: exactly(row.take()?)?,
            purpose: row.take()?,
            action: row.take()?,
            objects: objects_from(&row.take::<Vec<u8>>()?)?,
            details: details_from(&row.take::<Vec<u8>>()?)?,
            policy: row.take()?,
            prev: exactly(row.take()?)?,
            hash: exactly(row.take()?)?,
        })
    }
}

impl Field for ChainId {
    fn into_value(self) -> Value {
        Value::Bytes(self.as_bytes().to_vec())
    }

    fn from_value(value: Value) -> Option<Self> {
        value.as_id().map(Self::from_bytes)
    }
}

fn exactly<const N: usize>(bytes: Vec<u8>) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// Entries of a chain below this seq, the newest first.
pub(in crate::store) const fn newest_below(seq: i64) -> Order {
    Order::Down("seq", (seq, [0; 16]), -1)
}

/// The columns of an entry after which the next one comes.
pub(super) const LAST: [&str; 2] = ["seq", "hash"];

/// What stands in them.
pub(super) fn last(values: Vec<Value>) -> Option<(u64, [u8; 32])> {
    let mut row = Row::new(values);
    row.take().zip(row.take().and_then(exactly))
}

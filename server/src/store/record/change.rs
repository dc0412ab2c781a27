//! What can be done to records and asked of them, without a word of SQL.

use protocol::ids::TenantId;

use super::{Entity, Field, Table, Value};
use crate::privacy::audit::{Act, Entry};

/// A column and what stands in it.
pub(in crate::store) type Equal = (&'static str, Value);

/// One change of one table. In a batch it is made with all of the others or not at all.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new row. Refused as the table's `taken` where a unique column of it is taken.
    Create {
        table: &'static Table,
        /// Of the table's own columns, in their order.
        values: Vec<Value>,
        /// Rows with the same value in this column give way.
        replaces: Option<&'static str>,
    },
    /// A new row, or what changes of one that is there ([`super::Again`]).
    Put { table: &'static Table, values: Vec<Value> },
    /// Other values in a row. Refused as not found where there is none.
    Update {
        table: &'static Table,
        /// Which row.
        of: Vec<Equal>,
        set: Vec<Equal>,
    },
    /// Rows go.
    Delete {
        table: &'static Table,
        of: Vec<Equal>,
        /// Refused as not found where there is none.
        must_exist: bool,
    },
    /// Somebody did something: the next entry of its chain.
    Audit(Box<Act>),
}

/// A record changed: whoever holds a copy of it looks at it again, on this node or on another,
/// which has it from the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    pub tenant: TenantId,
    /// What it is, as in [`crate::store::feed::kind`].
    pub kind: u8,
    pub object: [u8; 16],
}

impl Change {
    /// Whose it is.
    pub(in crate::store) fn table(&self) -> &'static Table {
        match self {
            Self::Create { table, .. }
            | Self::Put { table, .. }
            | Self::Update { table, .. }
            | Self::Delete { table, .. } => table,
            Self::Audit(_) => Entry::TABLE,
        }
    }

    /// What an entry is made of, together with what was done.
    pub fn audit(act: Act) -> Self {
        Self::Audit(Box::new(act))
    }

    /// A new row.
    pub fn create<E: Entity>(row: E) -> Self {
        Self::Create { table: E::TABLE, values: row.into_values(), replaces: None }
    }

    /// A row, new or changed.
    pub fn put<E: Entity>(row: E) -> Self {
        Self::Put { table: E::TABLE, values: row.into_values() }
    }

    /// A new row, in place of those with the same value in this column.
    pub fn replace<E: Entity>(row: E, column: &'static str) -> Self {
        Self::Create { table: E::TABLE, values: row.into_values(), replaces: Some(column) }
    }

    /// The row of this entity goes; refused where there is none.
    pub fn remove<E: Entity>(row: E) -> Self {
        Self::delete::<E>(key_and_rest(row).0)
    }

    /// These columns of the row, as they stand in this entity.
    pub fn update<E: Entity>(row: E, columns: &[&str]) -> Self {
        let (of, rest) = key_and_rest(row);
        let set = rest.into_iter().filter(|(name, _)| columns.contains(name)).collect();
        Self::Update { table: E::TABLE, of, set }
    }

    /// These values in the row with these.
    pub(in crate::store) fn set<E: Entity>(of: Vec<Equal>, set: Vec<Equal>) -> Self {
        Self::Update { table: E::TABLE, of, set }
    }

    /// The row with these values goes; refused where there is none.
    pub(in crate::store) fn delete<E: Entity>(of: Vec<Equal>) -> Self {
        Self::Delete { table: E::TABLE, of, must_exist: true }
    }

    /// Rows with these values go, if there are any.
    pub(in crate::store) fn clear<E: Entity>(of: Vec<Equal>) -> Self {
        Self::Delete { table: E::TABLE, of, must_exist: false }
    }
}

/// By what a row is found again, and everything else of it.
fn key_and_rest<E: Entity>(row: E) -> (Vec<Equal>, Vec<Equal>) {
    let table = E::TABLE;
    let all = table.own().map(|column| column.name).zip(row.into_values());
    all.partition(|(name, _)| *name == table.id || Some(*name) == table.tenant)
}

/// A column's value in a question or a change.
pub(in crate::store) fn is(column: &'static str, value: impl Field) -> Equal {
    (column, value.into_value())
}

/// A question about one table.
#[derive(Debug, Clone)]
pub struct Select {
    pub(in crate::store) table: &'static Table,
    /// All of these hold; a value for a column with a keyed hash is hashed first.
    pub(in crate::store) of: Vec<Equal>,
    /// Rows after the one with this id, where it is one of the same Organization's; else from the
    /// beginning.
    pub(in crate::store) after: Option<Value>,
    /// At most so many.
    pub(in crate::store) limit: Option<u16>,
    pub(in crate::store) order: Order,
    /// One of these stands in this column: a walk for each.
    pub(in crate::store) any: Option<(&'static str, Vec<Value>)>,
    /// The index to walk along, as SQLite knows it, where its planner may take another one.
    pub(in crate::store) along: Option<&'static str>,
    /// It takes a few microseconds, and whoever asks waits for it.
    pub(in crate::store) is_short: bool,
}

/// In which order rows come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Order {
    /// In which they were made; `after` is above the last one.
    Made,
    /// The newest first; `after` is below the last one.
    Last,
    /// By this column and the id, the greatest first: below this pair, and with a column above
    /// that.
    Down(&'static str, (i64, [u8; 16]), i64),
    /// By this column and the id, the least first, where another column is not this number.
    Up(&'static str, (&'static str, i64)),
}

impl Select {
    /// Every row for which these hold, in the order in which they were made.
    pub(in crate::store) fn all<E: Entity>(of: Vec<Equal>) -> Self {
        Self::of(E::TABLE, of)
    }

    pub(in crate::store) fn of(table: &'static Table, of: Vec<Equal>) -> Self {
        let (after, limit, order, any, along) = (None, None, Order::Made, None, None);
        Self { table, of, after, limit, order, any, along, is_short: false }
    }

    /// A page of them.
    pub(in crate::store) fn page<E: Entity, Id: Field>(
        of: Vec<Equal>,
        page: crate::store::Page<Id>,
    ) -> Self {
        let after = page.after.map(Field::into_value);
        Self { after, limit: Some(page.limit), ..Self::all::<E>(of) }
    }
}

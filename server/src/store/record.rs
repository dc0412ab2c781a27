//! What a record is: a table that is declared once, and all that follows from the declaration.
//!
//! A record is everything that is kept but what was said and how far people have read. Its
//! [`Table`] says which columns there are, which of them are personal and under which lock they are
//! sealed, by what a row is found, when it is over, and what becomes of it when a person or a day
//! is forgotten. Lives here: what a declaration is, and the list of all. Below: the values of a
//! row, the tables (`accounts`, `canned`, `requests`, `suppression`, `conversations`; also
//! `store/feed`), changes and questions, the SQL that is made of them, and the executor that seals, checks and
//! answers. Not here: where the SQL runs (`store/sqlite`).

use protocol::retention::RetentionClass;

pub(crate) mod accounts;
mod audit;
mod canned;
mod requests;
mod change;
pub(in crate::store) mod conversations;
pub(in crate::store) mod executor;
pub(in crate::store) mod statement;
mod suppression;
mod value;

pub(in crate::store) use self::audit::newest_below;
pub use self::canned::{CannedResponseRow, CannedWords};
pub use self::change::{Change, News, Select};
pub(in crate::store) use self::change::{Equal, Order, is};
pub use self::executor::news;
pub use self::requests::{RequestRow, RequestWords, Subjects};
pub use self::suppression::SuppressionRow;
pub use self::value::{Field, Row, Value};

/// A type whose values are rows of a table.
pub trait Entity: Sized + Send + 'static {
    /// Where they are kept.
    const TABLE: &'static Table;

    /// What the declaration's own columns hold, in their order.
    fn into_values(self) -> Vec<Value>;

    /// The reverse; `None` where a column holds what no entity has.
    fn from_row(row: Row) -> Option<Self>;
}

/// The plain form of [`Entity`]: each field is the declaration's next own column.
macro_rules! fields {
    ($($field:ident),+ $(,)?) => {
        fields!($($field),+; |read: Self| read);
    };
    // With something to put right in what was read.
    ($($field:ident),+; $put_right:expr) => {
        fn into_values(self) -> Vec<Value> {
            let Self { $($field),+ } = self;
            vec![$(Field::into_value($field)),+]
        }

        fn from_row(mut row: Row) -> Option<Self> {
            Some($put_right(Self { $($field: row.take()?),+ }))
        }
    };
}
pub(in crate::store) use fields;

/// A table of records. Beside its columns it has a number `id` that grows with each row, the order
/// of lists.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// What a row is, for the inventory.
    pub about: &'static str,
    pub columns: &'static [Column],
    /// The column of a row's own id.
    pub id: &'static str,
    /// The column of the Organization. Without one a row belongs to the whole server.
    pub tenant: Option<&'static str>,
    /// Columns that no two rows have alike.
    pub unique: &'static [&'static [&'static str]],
    /// What a second one is refused as.
    pub taken: &'static str,
    /// Columns by which rows are found beside these.
    pub indexes: &'static [&'static [&'static str]],
    /// Whose erasure takes it: the column with an agent's id, or with the row's own where the row
    /// is about somebody who has no account.
    pub person: Option<&'static str>,
    /// What becomes of it then, and when its bucket's key is destroyed.
    pub forgotten: Forgotten,
    /// Open columns that are emptied with them, beside what is sealed.
    pub erased: &'static [&'static str],
    /// How its personal columns are sealed; all of a row under one lock.
    pub seal: Option<Seal>,
    pub ends: Ends,
    /// What happens to a row that is put again; none: it is refused.
    pub again: Option<Again>,
    /// The table whose row it hangs on, by that one's number: of which this row's columns are too.
    pub within: Option<&'static Table>,
    /// What its changes are in the feed ([`super::feed::kind`]).
    pub feed: Option<u8>,
}

impl Table {
    /// What most tables have; name, columns and id are each one's own.
    pub const PLAIN: Self = Self {
        name: "",
        about: "",
        columns: &[],
        id: "",
        tenant: Some("tenant"),
        unique: &[],
        taken: "id",
        indexes: &[],
        person: None,
        forgotten: Forgotten::Stays,
        erased: &[],
        seal: None,
        ends: Ends::Never,
        again: None,
        within: None,
        feed: None,
    };

    /// The column of this name.
    pub(in crate::store) fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Columns whose values come from an entity and go back into one, in their order.
    pub(in crate::store) fn own(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.columns.iter().filter(|column| match column.role {
            Role::Plain
            | Role::Sealed
            | Role::Within
            | Role::Outer
            | Role::FoundBy(FoundBy { of: None, .. }) => true,
            Role::Bucket | Role::FoundBy(_) | Role::Former { .. } | Role::Counted => false,
        })
    }

    /// Whether it is about visitors; else about agents, if about anybody.
    pub(in crate::store) fn is_of_visitors(&self) -> bool {
        let of_visitors = |seal: &Seal| seal.kind != SealKind::Account;
        self.seal.as_ref().is_some_and(of_visitors)
    }

    /// The column with the row's bucket.
    pub(in crate::store) fn bucket(&self) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.role == Role::Bucket)
    }
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub holds: Holds,
    /// Whether it may be empty.
    pub optional: bool,
    pub role: Role,
}

/// What the database has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Number,
    Text,
    Bytes,
}

/// Who fills a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The entity.
    Plain,
    /// The entity, and the store seals it.
    Sealed,
    /// The store: the number of the row's bucket.
    Bucket,
    /// The store: a keyed hash by which a personal value is found.
    FoundBy(FoundBy),
    /// A former version: it is empty now, and what stands there is sealed into this column when the
    /// file is opened.
    Former { now: &'static str },
    /// The transcript: a number of its own that begins with 0.
    Counted,
    /// The entity: the id of the row that this one hangs on; its number stands here.
    Within,
    /// A column of that row, and none of this table; what the entity says of it must be what is
    /// there.
    Outer,
}

/// A keyed hash of a personal value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundBy {
    /// The sealed column whose value is hashed; none: a value of its own that is kept nowhere.
    pub of: Option<&'static str>,
    /// Keeps hashes of different columns apart.
    pub field: &'static str,
    /// Whether it is the same in all Organizations.
    pub everywhere: bool,
}

/// An id, 16 bytes.
pub(in crate::store) const fn id(name: &'static str) -> Column {
    bytes(name)
}

/// Bytes that say nothing about a person: the hash of a secret.
pub(in crate::store) const fn bytes(name: &'static str) -> Column {
    Column { name, holds: Holds::Bytes, optional: false, role: Role::Plain }
}

/// A number, a code, a flag, or a moment in Unix ms.
pub(in crate::store) const fn number(name: &'static str) -> Column {
    Column { name, holds: Holds::Number, optional: false, role: Role::Plain }
}

/// Text that says nothing about a person.
pub(in crate::store) const fn text(name: &'static str) -> Column {
    Column { name, holds: Holds::Text, optional: false, role: Role::Plain }
}

/// A personal value.
pub(in crate::store) const fn sealed(name: &'static str) -> Column {
    Column { name, holds: Holds::Bytes, optional: false, role: Role::Sealed }
}

/// The number of the bucket under whose key a row is sealed.
pub(in crate::store) const fn bucket(name: &'static str) -> Column {
    Column { name, holds: Holds::Number, optional: false, role: Role::Bucket }
}

/// The keyed hash of a sealed column, alike in all Organizations: at sign-in theirs is not known
/// yet.
pub(in crate::store) const fn found_by(
    name: &'static str,
    of: &'static str,
    field: &'static str,
) -> Column {
    let role = Role::FoundBy(FoundBy { of: Some(of), field, everywhere: true });
    Column { name, holds: Holds::Bytes, optional: false, role }
}

/// The keyed hash of a value that is kept nowhere, within its Organization.
pub(in crate::store) const fn hashed(name: &'static str, field: &'static str) -> Column {
    let role = Role::FoundBy(FoundBy { of: None, field, everywhere: false });
    Column { name, holds: Holds::Bytes, optional: false, role }
}

/// A text column of an earlier version.
pub(in crate::store) const fn former(name: &'static str, now: &'static str) -> Column {
    Column { name, holds: Holds::Text, optional: false, role: Role::Former { now } }
}

/// A number that the transcript keeps beside a row.
pub(in crate::store) const fn counted(name: &'static str) -> Column {
    Column { name, holds: Holds::Number, optional: false, role: Role::Counted }
}

/// The row that this one hangs on.
pub(in crate::store) const fn within(name: &'static str) -> Column {
    Column { name, holds: Holds::Number, optional: false, role: Role::Within }
}

/// An id that the row has on which this one hangs.
pub(in crate::store) const fn outer(name: &'static str) -> Column {
    Column { name, holds: Holds::Bytes, optional: false, role: Role::Outer }
}

impl Column {
    /// The same, and it may be empty.
    pub(in crate::store) const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// The two locks of a row. The second one is that of the table's person; the first, the bucket of
/// their Organization, its site where there is one, this class and this day.
#[derive(Debug)]
pub struct Seal {
    pub kind: SealKind,
    pub class: RetentionClass,
    /// Rows with this flag are of this class instead.
    pub or_class: Option<(&'static str, RetentionClass)>,
    /// The column with the moment whose day it is, or with the day.
    pub since: &'static str,
    /// Columns that a sealed value is bound to, beside its own name: in another row it does not
    /// open.
    pub bound: &'static [&'static str],
    /// What a row is whose key is destroyed, until it is cleared up.
    pub destroyed: Destroyed,
}

/// Whose lock it is, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealKind {
    /// An agent's or an Organization's account; no site's.
    Account,
    /// A visitor's contact data; `since` is a day.
    Contact,
    /// A conversation's header, the visitor's; the row's id is the conversation's.
    Header,
    /// What stands in a composer of a conversation, the visitor's; `since` is a day.
    Draft,
}

/// What happens to a row that is put again.
#[derive(Debug)]
pub struct Again {
    /// Columns that stay what they were, beside the id.
    pub stays: &'static [&'static str],
    /// Of these, those that must be what they were; otherwise the id is taken.
    pub alike: &'static [&'static str],
    /// The column with a version: an older row is passed over.
    pub version: Option<&'static str>,
}

/// What a row is whose key is destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destroyed {
    /// Not found.
    Gone,
    /// There, without its personal columns.
    Nameless,
}

/// What becomes of a row when its person is erased or its bucket is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// Nothing: it is about nobody.
    Stays,
    /// It goes.
    Deleted,
    /// It loses its personal columns and what it is found by; this flag goes to 0. Others name its
    /// id.
    Blanked { flag: Option<&'static str> },
}

/// When a row is over by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    Never,
    /// At the moment in this column. Until it is cleared up it is found, and its reader judges.
    At(&'static str),
    /// So many ms after the moment in this column. It is not found from then on, and another may
    /// take its place.
    After(&'static str, u64),
}

/// An entity's table, and whether a row of it can be read back.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    pub table: &'static Table,
    pub(in crate::store) reads: fn(Row) -> bool,
}

impl Declared {
    const fn of<E: Entity>() -> Self {
        Self { table: E::TABLE, reads: |row| E::from_row(row).is_some() }
    }
}

/// Every table of records.
pub const DECLARED: &[Declared] = &[
    Declared::of::<super::TenantRow>(),
    Declared::of::<super::SiteRow>(),
    Declared::of::<super::AgentRow>(),
    Declared::of::<super::SessionRow>(),
    Declared::of::<super::InvitationRow>(),
    Declared::of::<super::PasswordResetRow>(),
    Declared::of::<super::KeyRow>(),
    Declared::of::<super::TagRow>(),
    Declared::of::<super::AnswerRow>(),
    Declared::of::<CannedResponseRow>(),
    Declared::of::<RequestRow>(),
    Declared::of::<SuppressionRow>(),
    Declared::of::<super::feed::FeedReaderRow>(),
    Declared::of::<accounts::ClockNote>(),
    Declared::of::<crate::privacy::audit::Entry>(),
    Declared::of::<super::VisitorRow>(),
    Declared::of::<super::ConversationRow>(),
    Declared::of::<super::DraftRow>(),
];

#[cfg(test)]
mod tests;

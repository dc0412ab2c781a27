//! The feed: what changed in an Organization, in the order of the commits, for those who read it.
//!
//! An event says that something changed, never what it says: kind, id, version or seq. Its reader
//! asks for the thing itself, through the read gate. It is written in the transaction of the
//! change; a message gets its own when the journal is checkpointed. Organizations without a reader
//! have none.

use protocol::ids::{SiteId, TenantId};
use protocol::time::{Day, UnixMillis};

use super::record::{Entity, Field, Row, Table, Value, fields, id, number, text};

/// Days after which an event goes, whoever has read it.
pub const FEED_DAYS: u16 = 30;

/// Something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedEvent {
    /// Grows with each event; another Organization's lie between.
    pub position: u64,
    pub site: Option<SiteId>,
    /// What it is, as in [`kind`].
    pub kind: u8,
    /// The id of what changed; of a message its conversation's.
    pub object: [u8; 16],
    /// A message's seq, or a version; 0 where there is none.
    pub version: u64,
    /// Whom it is about: a visitor or an agent.
    pub subject: Option<[u8; 16]>,
    pub day: Day,
}

/// What an event is about.
pub mod kind {
    pub const MESSAGE: u8 = 1;
    pub const CONVERSATION: u8 = 2;
    pub const VISITOR: u8 = 3;
    pub const SITE: u8 = 10;
    pub const AGENT: u8 = 11;
    pub const SESSION: u8 = 12;
    pub const KEY: u8 = 13;
    pub const TAG: u8 = 14;
    pub const CANNED_RESPONSE: u8 = 15;
}

/// Who reads an Organization's feed. As long as there is one it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedReaderRow {
    pub tenant: TenantId,
    /// Its own name for itself: not about a person.
    pub reader: String,
    pub created_at: UnixMillis,
}

impl Entity for FeedReaderRow {
    const TABLE: &'static Table = &Table {
        name: "feed_readers",
        about: "who reads an Organization's feed",
        columns: &[id("tenant"), text("reader"), number("created_at")],
        id: "tenant",
        unique: &[&["tenant", "reader"]],
        taken: "reader",
        ..Table::PLAIN
    };

    fields!(tenant, reader, created_at);
}

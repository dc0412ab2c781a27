//! The tag of a record: whose it is, why it is kept, and until when.
//!
//! Lives here: the tag and its flags. Not here: who makes it (`ingest`), what carries it
//! (`envelope`), who judges by it (`gate`, `policy`).

use protocol::ids::{SiteId, TenantId, VisitorId};
use protocol::retention::RetentionClass;
use protocol::time::Day;

use super::policy::{PolicyVersion, Purposes};

/// Layout of the tag; a node that meets another drops the record rather than guess.
pub const TAG_VERSION: u8 = 1;

/// Bits that travel with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// Hidden from all doors but the privacy roles'.
    pub const RESTRICTED: u16 = 1 << 1;
    /// A detector found something delicate in it.
    pub const SPECIAL: u16 = 1 << 2;
    /// The visitor's browser sent Global Privacy Control.
    pub const GPC: u16 = 1 << 4;
    /// The visitor's browser sent Do Not Track.
    pub const DNT: u16 = 1 << 5;

    /// What a browser asked for.
    pub fn asked(gpc: bool, dnt: bool) -> Self {
        Self(if gpc { Self::GPC } else { 0 } | if dnt { Self::DNT } else { 0 })
    }

    /// All that is set in one of them, or in both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the visitor's browser sent Global Privacy Control.
    pub fn gpc(self) -> bool {
        self.0 & Self::GPC != 0
    }
}

/// What every record carries from ingestion on: whose it is, why it is kept and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// The Organization.
    pub tenant: TenantId,
    /// The website.
    pub site: SiteId,
    /// The person whose erasure takes it: the conversation's visitor, whoever wrote it.
    pub subject: VisitorId,
    /// Which rule ends its life.
    pub class: RetentionClass,
    /// Why it may be kept.
    pub purposes: Purposes,
    /// Further marks.
    pub flags: Flags,
    /// The policy in force when it came.
    pub policy_version: PolicyVersion,
    /// The UTC day on which it came: its bucket.
    pub ingest_day: Day,
    /// First day on which it is dead, by the timeline known at ingestion: a hint, the evaluator
    /// decides.
    pub expires: Option<Day>,
}

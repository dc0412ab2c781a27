//! The read gate's permit: every door to a message asks for one.

use protocol::message::Visibility;
use protocol::time::Day;

use super::envelope::{Flags, Tag};
use super::policy::{SiteTimeline, evaluate};

/// Every way by which a message reaches someone. A door that is missing here cannot be built: it
/// would have no grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// Live to the members of a room.
    FanOut,
    /// After a reconnect.
    Resume,
    /// Earlier pages.
    History,
    /// REST.
    Api,
    /// The newest line in a list of conversations.
    Preview,
}

/// Leave to show messages through one door, on one day, to one kind of reader.
#[derive(Debug, Clone, Copy)]
pub struct ReadGrant<'a> {
    door: Door,
    today: Day,
    reader: Reader,
    timeline: Option<&'a SiteTimeline>,
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The conversation's visitor: never sees notes.
    Visitor,
    /// Someone of the Organization.
    Agents,
}

impl<'a> ReadGrant<'a> {
    /// For what came a moment ago: its own expiry against today, two numbers.
    pub fn fan_out(reader: Reader, today: Day) -> ReadGrant<'static> {
        ReadGrant { door: Door::FanOut, today, reader, timeline: None }
    }

    /// For what was stored: the timeline as it stands decides, not what was known at ingestion.
    pub fn stored(door: Door, reader: Reader, today: Day, timeline: &'a SiteTimeline) -> Self {
        Self { door, today, reader, timeline: Some(timeline) }
    }

    /// Which door it opens.
    pub fn door(&self) -> Door {
        self.door
    }

    /// Whether a record may be shown; inside, the day it expires.
    #[expect(clippy::option_option, reason = "refused, or admitted with or without an end")]
    pub(super) fn admits(&self, tag: &Tag, visibility: Visibility) -> Option<Option<Day>> {
        if self.reader == Reader::Visitor && visibility == Visibility::Agents {
            return None;
        }
        // None of today's doors is for the privacy roles.
        if tag.flags.0 & Flags::RESTRICTED != 0 {
            return None;
        }
        let expires = match self.timeline {
            None => tag.expires,
            Some(timeline) => evaluate(timeline, tag.class, tag.ingest_day, self.today).expires,
        };
        match expires {
            Some(day) if self.today >= day => None,
            alive => Some(alive),
        }
    }
}

//! The read gate's permit: every door to a message, and to what people said about themselves, asks
//! for one. It hides what has expired, and keeps notes from visitors.

use protocol::message::Visibility;
use protocol::retention::RetentionClass;
use protocol::time::Day;

use super::policy::{SiteTimeline, evaluate};
use super::tag::{Flags, Tag};

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
    /// Name, address, form and page beside a live conversation.
    Card,
    /// An agent's own draft.
    Draft,
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

/// What stands below the newest messages, told by the day on which its newest came: whether it can
/// still be read is asked anew each time, for rooms live long. None: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Below {
    /// Of what visitors may see.
    pub for_visitors: Option<Day>,
    /// Of what agents may see.
    pub for_agents: Option<Day>,
}

impl Below {
    /// Of what this reader may see.
    pub fn of(&self, reader: Reader) -> Option<Day> {
        match reader {
            Reader::Visitor => self.for_visitors,
            Reader::Agents => self.for_agents,
        }
    }
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

    /// What was said about a person beside the messages, a name, a form, a page, a draft, if it may
    /// still be shown. It is for the Organization's people; what came a moment ago has no such
    /// thing.
    pub fn show<T>(&self, class: RetentionClass, day: Day, value: T) -> Option<T> {
        let timeline = self.timeline.filter(|_| self.reader == Reader::Agents)?;
        evaluate(timeline, class, day, self.today).visible.then_some(value)
    }

    /// Whether someone of the Organization may be shown what stands under this tag: for the store,
    /// which counts a page's lines. Who reads a line asks for the line itself.
    pub(crate) fn counts(&self, tag: &Tag) -> bool {
        self.admits(tag, Visibility::Everyone).is_some()
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

#[cfg(test)]
mod tests {
    use protocol::time::UnixMillis;

    use super::super::policy::Plan;
    use super::*;

    #[test]
    fn what_people_said_of_themselves_is_for_agents_and_until_its_end() {
        let timeline = SiteTimeline::new(UnixMillis(0), Plan::Free);
        let (came, dead) = (Day(3_000), Day(3_061));
        let shown = |reader, today| {
            let grant = ReadGrant::stored(Door::Card, reader, today, &timeline);
            grant.show(RetentionClass::Contact, came, "Ada")
        };
        assert_eq!(shown(Reader::Agents, Day(dead.0 - 1)), Some("Ada"));
        assert_eq!(shown(Reader::Agents, dead), None);
        assert_eq!(shown(Reader::Visitor, came), None);
        let without = ReadGrant::fan_out(Reader::Agents, came);
        assert_eq!(without.show(RetentionClass::Contact, came, "Ada"), None);
    }
}

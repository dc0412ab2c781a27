//! One website and its people, and what they say: the world of every case.
//!
//! Lives here: ids, a moment, texts of a hundred bytes, messages by number. Not here: anything that
//! is measured.

use std::sync::Arc;

use livehelp::channel::Channel;
use livehelp::privacy::envelope::{Envelope, Flags, Sequenced};
use livehelp::privacy::ingest::{IngestContext, NewMessage, ingest};
use livehelp::privacy::policy::{Plan, SiteEvent, SiteTimeline};
use livehelp::privacy::redact::Redactor;
use protocol::ids::{ConversationId, MessageId, SiteId, TenantId, VisitorId};
use protocol::message::{Author, Body, Seq, Visibility};
use protocol::personal::Text;
use protocol::time::UnixMillis;

pub const TENANT: TenantId = TenantId::from_bytes([1; 16]);
pub const SITE: SiteId = SiteId::from_bytes([2; 16]);
pub const VISITOR: VisitorId = VisitorId::from_bytes([3; 16]);
pub const CONVERSATION: ConversationId = ConversationId::from_bytes([4; 16]);
/// A moment at which nothing has expired.
pub const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

/// A message of a hundred bytes, the size by which servers are compared. No digit: what most people
/// say.
pub const WORDS: &str = "Hello, I have ordered a pair of red shoes in your shop, and they are too small. Could I change them?";
/// As long, with numbers that look like nothing delicate until they are looked at: they are kept.
pub const NUMBERS: &str = "My order is 20261126-4711, I paid 129.90 on 24 November at 18:05, please call me on +49 30 901820 ok";
/// As long, with a card's number: it is hidden.
pub const CARD: &str = "I paid with my card 4111 1111 1111 1111 and the money is gone, but I had no mail about the order yet";

/// What a shop may hide beside what is always hidden.
const PATTERNS: [&str; 4] = [
    r"\bCUST-\d{6,10}\b",
    r"(?i)\bpassword\s*[:=]\s*\S+",
    r"[\w.+-]+@[\w-]+\.[\w.]+",
    r"\b\d{3}-\d{2}-\d{4}\b",
];

/// What decides about every message of the site.
#[derive(Debug)]
pub struct World {
    timeline: SiteTimeline,
    redactor: Redactor,
}

impl Default for World {
    fn default() -> Self {
        Self { timeline: timeline(), redactor: Redactor::default() }
    }
}

impl World {
    /// The same site with patterns of its own.
    pub fn with_patterns() -> Self {
        let patterns: Vec<String> = PATTERNS.iter().map(|pattern| (*pattern).to_owned()).collect();
        let redactor = Redactor::new(&patterns).expect("these are patterns");
        Self { redactor, ..Self::default() }
    }

    /// The site's plans, as they followed one another.
    pub fn timeline(&self) -> &SiteTimeline {
        &self.timeline
    }

    /// Where it is said.
    pub fn context(&self) -> IngestContext<'_> {
        IngestContext {
            tenant: TENANT,
            site: SITE,
            subject: VISITOR,
            timeline: &self.timeline,
            redactor: &self.redactor,
            flags: Flags::default(),
            channel: Channel::Widget,
        }
    }

    /// The visitor's message with this number in this conversation. Its author has seen all before
    /// it.
    pub fn envelope(&self, conversation: ConversationId, number: u64) -> Envelope {
        let new_message = NewMessage { conversation, ..new_message(number, WORDS) };
        ingest(new_message, Author::Visitor, &self.context(), NOW).expect("this may be said")
    }

    /// The same with its sequence number.
    pub fn sequenced(&self, conversation: ConversationId, number: u64) -> Arc<Sequenced> {
        Arc::new(self.envelope(conversation, number).sequence(Seq(number)))
    }
}

/// A shop that tried it, paid, and paid more.
fn timeline() -> SiteTimeline {
    let mut timeline = SiteTimeline::new(UnixMillis(1_700_000_000_000), Plan::Free);
    for (at, plan) in [(1_740_000_000_000, Plan::Team), (1_780_000_000_000, Plan::Business)] {
        timeline.push(UnixMillis(at), SiteEvent::Plan { plan });
    }
    timeline
}

/// What a visitor's frame asks to say, as their message with this number.
pub fn new_message(number: u64, text: &str) -> NewMessage<'_> {
    NewMessage {
        conversation: CONVERSATION,
        message: message_id(number),
        seen_seq: Seq(number - 1),
        body: Body::Text(Text::new(text)),
        visibility: Visibility::Everyone,
    }
}

/// Made as clients make them: the moment, then what is different in each.
pub fn message_id(number: u64) -> MessageId {
    let mut bytes = [0x5a; 16];
    bytes[..6].copy_from_slice(&NOW.plus_ms(number).0.to_be_bytes()[2..]);
    bytes[6] = 0x7a;
    // Spread as random bytes are, so that ids differ where they are compared.
    bytes[8..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    MessageId::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_the_size_it_is_measured_for() {
        for text in [WORDS, NUMBERS, CARD] {
            assert_eq!(text.len(), 100, "{text}");
        }
    }

    #[test]
    fn numbers_are_kept_and_a_card_is_hidden() {
        let plain = World::default();
        let kept = |world: &World, text| {
            let envelope =
                ingest(new_message(1, text), Author::Visitor, &world.context(), NOW).unwrap();
            envelope.kept_of(&Body::Text(Text::new(text)))
        };
        for text in [WORDS, NUMBERS] {
            assert_eq!(kept(&plain, text), None);
            assert_eq!(kept(&World::with_patterns(), text), None);
        }
        assert!(kept(&plain, CARD).unwrap().expose().contains("[hidden]"));
    }
}

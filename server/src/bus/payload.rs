//! A notice as bytes, before it is sealed: one fixed layout, all numbers big-endian.
//!
//! A byte for the layout, a byte for the kind, then the fields in the order in which they are
//! written here. A node that meets another layout drops the notice rather than guess.

use std::sync::Arc;

use protocol::ids::{AgentId, ConversationId, MessageId, SiteId, TenantId, VisitorId};
use protocol::message::{Author, AuthorKind, EventKind, Seq, Visibility};
use protocol::personal::Personal;
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};

use super::Notice;
use crate::privacy::envelope::{Content, Envelope, Flags, Parts, TAG_VERSION, Tag};
use crate::privacy::policy::{PolicyVersion, Purposes};

const SEQUENCED: u8 = 1;
const VOID: u8 = 2;
const TYPING: u8 = 3;
const RECEIPT: u8 = 4;
const STORED: u8 = 5;

const TEXT: u8 = 0;
const EVENT: u8 = 1;

/// A message that is to get its sequence number: the sequence number travels beside it.
pub(super) fn of_envelope(envelope: &Envelope) -> Vec<u8> {
    let tag = envelope.tag();
    let mut out = begin(SEQUENCED, tag.tenant, envelope.conversation());
    out.extend_from_slice(tag.site.as_bytes());
    out.extend_from_slice(tag.subject.as_bytes());
    out.push(tag.class.code());
    out.extend_from_slice(&tag.purposes.0.to_be_bytes());
    out.extend_from_slice(&tag.flags.0.to_be_bytes());
    out.extend_from_slice(&tag.policy_version.0.to_be_bytes());
    out.extend_from_slice(&tag.ingest_day.0.to_be_bytes());
    out.push(u8::from(tag.expires.is_some()));
    out.extend_from_slice(&tag.expires.unwrap_or(Day(0)).0.to_be_bytes());
    out.extend_from_slice(envelope.message().as_bytes());
    author(&mut out, envelope.author());
    out.push(envelope.visibility().code());
    out.extend_from_slice(&envelope.at().0.to_be_bytes());
    out.extend_from_slice(&envelope.seen_seq().0.to_be_bytes());
    match envelope.content() {
        Content::Text(text) => {
            out.push(TEXT);
            out.extend_from_slice(text.expose().as_bytes());
        }
        Content::Event { event, agent } => {
            out.push(EVENT);
            out.push(event.code());
            some_agent(&mut out, *agent);
        }
    }
    out
}

/// Any other notice.
pub(super) fn of_notice(notice: &Notice) -> Vec<u8> {
    let start = |kind| begin(kind, notice.tenant(), notice.conversation());
    match notice {
        Notice::Sequenced(sequenced) => of_envelope(sequenced.envelope()),
        Notice::Void { seq, message, .. } => {
            let mut out = start(VOID);
            out.extend_from_slice(&seq.0.to_be_bytes());
            out.extend_from_slice(message.as_bytes());
            out
        }
        Notice::Stored { seq, .. } => {
            let mut out = start(STORED);
            out.extend_from_slice(&seq.0.to_be_bytes());
            out
        }
        Notice::Typing { author: who, typing, .. } => {
            let mut out = start(TYPING);
            author(&mut out, *who);
            out.push(u8::from(*typing));
            out
        }
        Notice::Receipt { author: who, delivered, seen, .. } => {
            let mut out = start(RECEIPT);
            author(&mut out, *who);
            out.extend_from_slice(&delivered.0.to_be_bytes());
            out.extend_from_slice(&seen.0.to_be_bytes());
            out
        }
    }
}

/// What the bytes say; `seq` is the sequence number that came beside a message. `None` if this node
/// cannot read it.
pub(super) fn read(bytes: &[u8], seq: Seq) -> Option<Notice> {
    let mut from = Reading(bytes);
    if from.byte()? != TAG_VERSION {
        return None;
    }
    let kind = from.byte()?;
    let tenant = TenantId::from_bytes(from.array()?);
    let conversation = ConversationId::from_bytes(from.array()?);
    match kind {
        SEQUENCED if seq > Seq(0) => {
            let envelope = from.envelope(tenant, conversation)?;
            Some(Notice::Sequenced(Arc::new(envelope.sequence(seq))))
        }
        VOID => {
            let seq = Seq(from.u64()?);
            let message = MessageId::from_bytes(from.array()?);
            from.ended(Notice::Void { tenant, conversation, seq, message })
        }
        STORED => {
            let seq = Seq(from.u64()?);
            from.ended(Notice::Stored { tenant, conversation, seq })
        }
        TYPING => {
            let author = from.author()?;
            let typing = from.bool()?;
            from.ended(Notice::Typing { tenant, conversation, author, typing })
        }
        RECEIPT => {
            let author = from.author()?;
            let (delivered, seen) = (Seq(from.u64()?), Seq(from.u64()?));
            from.ended(Notice::Receipt { tenant, conversation, author, delivered, seen })
        }
        _ => None,
    }
}

fn begin(kind: u8, tenant: TenantId, conversation: ConversationId) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.push(TAG_VERSION);
    out.push(kind);
    out.extend_from_slice(tenant.as_bytes());
    out.extend_from_slice(conversation.as_bytes());
    out
}

fn author(out: &mut Vec<u8>, author: Author) {
    out.push(author.kind().code());
    some_agent(out, author.agent());
}

fn some_agent(out: &mut Vec<u8>, agent: Option<AgentId>) {
    out.push(u8::from(agent.is_some()));
    if let Some(agent) = agent {
        out.extend_from_slice(agent.as_bytes());
    }
}

/// What is left to read.
struct Reading<'b>(&'b [u8]);

impl Reading<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn some_agent(&mut self) -> Option<Option<AgentId>> {
        if self.bool()? { Some(Some(AgentId::from_bytes(self.array()?))) } else { Some(None) }
    }

    fn author(&mut self) -> Option<Author> {
        let kind = AuthorKind::from_code(self.byte()?)?;
        Author::from_parts(kind, self.some_agent()?)
    }

    fn envelope(&mut self, tenant: TenantId, conversation: ConversationId) -> Option<Envelope> {
        let tag = Tag {
            tenant,
            site: SiteId::from_bytes(self.array()?),
            subject: VisitorId::from_bytes(self.array()?),
            class: RetentionClass::from_code(self.byte()?)?,
            purposes: Purposes(self.u16()?),
            flags: Flags(self.u16()?),
            policy_version: PolicyVersion(self.u16()?),
            ingest_day: Day(self.u16()?),
            expires: if self.bool()? {
                Some(Day(self.u16()?))
            } else {
                self.u16()?;
                None
            },
        };
        let message = MessageId::from_bytes(self.array()?);
        let author = self.author()?;
        let visibility = Visibility::from_code(self.byte()?)?;
        let at = UnixMillis(self.u64()?);
        let seen_seq = Seq(self.u64()?);
        let content = match self.byte()? {
            TEXT => Content::Text(Personal::new(str::from_utf8(self.0).ok()?.to_owned())),
            EVENT => {
                let event = EventKind::from_code(self.byte()?)?;
                let agent = self.some_agent()?;
                self.ended(Content::Event { event, agent })?
            }
            _ => return None,
        };
        let parts = Parts { tag, conversation, message, author, visibility, at, seen_seq, content };
        Some(Envelope::restore(parts))
    }

    /// The value, if nothing follows it.
    fn ended<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bus::conformance::{envelope, event, note};

    fn notices() -> Vec<Notice> {
        let (tenant, conversation) =
            (TenantId::from_bytes([1; 16]), envelope(1, "x").conversation());
        let author = Author::Agent(AgentId::from_bytes([5; 16]));
        vec![
            Notice::Void {
                tenant,
                conversation,
                seq: Seq(7),
                message: MessageId::from_bytes([9; 16]),
            },
            Notice::Stored { tenant, conversation, seq: Seq(8) },
            Notice::Typing { tenant, conversation, author, typing: true },
            Notice::Receipt {
                tenant,
                conversation,
                author: Author::Visitor,
                delivered: Seq(4),
                seen: Seq(3),
            },
        ]
    }

    #[test]
    fn what_is_written_is_read_again() {
        for sent in [envelope(1, "gr\u{fc}\u{df} dich"), envelope(2, ""), note(3), event(4)] {
            let read = read(&of_envelope(&sent), Seq(12));
            assert_eq!(read, Some(Notice::Sequenced(Arc::new(sent.sequence(Seq(12))))));
        }
        for notice in notices() {
            assert_eq!(read(&of_notice(&notice), Seq(0)), Some(notice));
        }
    }

    #[test]
    fn a_message_without_a_number_is_not_read() {
        assert_eq!(read(&of_envelope(&envelope(1, "x")), Seq(0)), None);
    }

    #[test]
    fn cut_and_longer_bytes_are_not_read() {
        for notice in notices() {
            let whole = of_notice(&notice);
            for len in 0..whole.len() {
                assert_eq!(read(&whole[..len], Seq(1)), None, "cut at {len}");
            }
            let longer = [whole.as_slice(), &[0]].concat();
            assert_eq!(read(&longer, Seq(1)), None);
        }
    }

    #[test]
    fn another_layout_is_not_guessed_at() {
        let mut bytes = of_envelope(&envelope(1, "x"));
        bytes[0] += 1;
        assert_eq!(read(&bytes, Seq(1)), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes: Vec<u8>, seq: u64) {
            let _read_or_not = read(&bytes, Seq(seq));
        }
    }
}

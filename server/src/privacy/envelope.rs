//! A message with the tag it was given at ingestion. [`super::ingest`] is its only maker.

use std::sync::Arc;

use protocol::frame::ServerFrame;
use protocol::ids::{ConversationId, MessageId, TenantId};
use protocol::message::{Author, Body, EventKind, Message, Seq, Visibility};
use protocol::personal::{Personal, Text};
use protocol::time::UnixMillis;

use super::gate::ReadGrant;

pub use super::tag::{Flags, TAG_VERSION, Tag};

/// What was said, owned and redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Words.
    Text(Personal<String>),
    /// An event message.
    Event {
        /// What happened.
        event: EventKind,
        /// Who it is about.
        agent: Option<protocol::ids::AgentId>,
    },
}

/// A message with its tag. All fields are private: nobody builds or changes one outside `privacy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    tag: Tag,
    conversation: ConversationId,
    message: MessageId,
    author: Author,
    visibility: Visibility,
    at: UnixMillis,
    seen_seq: Seq,
    content: Content,
}

/// What [`Envelope::restore`] puts together again: the columns of a row or the fields of a bus
/// payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    pub tag: Tag,
    pub conversation: ConversationId,
    pub message: MessageId,
    pub author: Author,
    pub visibility: Visibility,
    /// When the server accepted it.
    pub at: UnixMillis,
    /// The newest sequence number its author had seen at the first try.
    pub seen_seq: Seq,
    pub content: Content,
}

impl Envelope {
    /// Only `ingest` calls this.
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { tag, conversation, message, author, visibility, at, seen_seq, content } = parts;
        Self { tag, conversation, message, author, visibility, at, seen_seq, content }
    }

    /// Puts together what was tagged before. Two callers: the store's rows and the bus's payloads.
    pub(crate) fn restore(parts: Parts) -> Self {
        Self::new(parts)
    }

    /// Gives it its sequence number.
    pub fn sequence(self, seq: Seq) -> Sequenced {
        assert!(seq > Seq(0), "sequence numbers begin at 1");
        Sequenced { envelope: self, seq }
    }

    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    pub fn tenant(&self) -> TenantId {
        self.tag.tenant
    }

    pub fn conversation(&self) -> ConversationId {
        self.conversation
    }

    pub fn message(&self) -> MessageId {
        self.message
    }

    pub fn author(&self) -> Author {
        self.author
    }

    pub fn visibility(&self) -> Visibility {
        self.visibility
    }

    pub fn at(&self) -> UnixMillis {
        self.at
    }

    /// The newest sequence number its author had seen at the first try: duplicates lie above it.
    pub fn seen_seq(&self) -> Seq {
        self.seen_seq
    }

    /// What a port seals or sends; a reader for people goes through a [`ReadGrant`] instead.
    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// What is left of what its author wrote, for them alone; `None` where nothing was hidden.
    pub fn kept_of(&self, written: &Body<'_>) -> Option<Personal<String>> {
        match (&self.content, written) {
            (Content::Text(kept), Body::Text(written)) => {
                (kept.expose().as_str() != written.expose()).then(|| kept.clone())
            }
            (Content::Text(_) | Content::Event { .. }, Body::Text(_) | Body::Event { .. }) => None,
        }
    }

    /// Whether a resend says the same: author, visibility and content.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.message == other.message
            && self.author == other.author
            && self.visibility == other.visibility
            && self.content == other.content
    }
}

/// An envelope on its way to its sequence number. It lies already where it stays once it has one:
/// what is handed on is a pointer, and a message is moved once instead of at every step.
#[derive(Debug, Clone)]
pub struct Unsequenced(Arc<Sequenced>);

impl Unsequenced {
    /// What has no sequence number yet.
    pub fn new(envelope: Envelope) -> Self {
        Self(Arc::new(Sequenced { envelope, seq: Seq(0) }))
    }

    /// What is to get a sequence number.
    pub fn envelope(&self) -> &Envelope {
        &self.0.envelope
    }

    /// Gives it its sequence number.
    pub fn sequence(mut self, seq: Seq) -> Arc<Sequenced> {
        assert!(seq > Seq(0), "sequence numbers begin at 1");
        Arc::make_mut(&mut self.0).seq = seq;
        self.0
    }
}

/// An envelope that has its sequence number. Only this can be delivered or stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequenced {
    envelope: Envelope,
    seq: Seq,
}

impl Sequenced {
    /// Its sequence number, from 1.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// What has this sequence number.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Whether a person or a program said it to everyone.
    pub fn is_words(&self) -> bool {
        self.envelope.visibility() == Visibility::Everyone
            && self.envelope.author() != Author::System
    }

    /// The only way to a frame for people; `None` once it has expired by the grant's day.
    pub fn frame(&self, grant: &ReadGrant<'_>) -> Option<ServerFrame<'_>> {
        let message = self.shown(grant)?;
        Some(ServerFrame::Message {
            conversation: self.envelope.conversation,
            seq: message.seq,
            message: message.message,
            author: message.author,
            at: message.at,
            body: message.body,
            expires: message.expires,
            visibility: match message.visibility {
                Visibility::Everyone => None,
                Visibility::Agents => Some(Visibility::Agents),
            },
        })
    }

    /// The same as a line of a page of history.
    pub fn shown(&self, grant: &ReadGrant<'_>) -> Option<Message<'_>> {
        let envelope = &self.envelope;
        let expires = grant.admits(&envelope.tag, envelope.visibility)?;
        Some(Message {
            seq: self.seq,
            message: envelope.message,
            author: envelope.author,
            at: envelope.at,
            body: match &envelope.content {
                Content::Text(text) => Body::Text(Text::new(text.expose().as_str())),
                Content::Event { event, agent } => Body::Event { event: *event, agent: *agent },
            },
            expires,
            visibility: envelope.visibility,
        })
    }
}

//! What each sealed column is sealed with: its lock and what it is bound to.
//!
//! Lives here: what every implementation of the store seals alike. Not here: how a lock becomes a
//! key (`keys`), where the sealed bytes lie. Called by the implementations.

use protocol::ids::{AgentId, ConversationId, TenantId};
use protocol::message::{EventKind, Seq};
use protocol::personal::Personal;

use crate::privacy::envelope::{Content, Sequenced, Tag};
use crate::privacy::seal::{Bucket, Lock, RecordKind, SealError, Sealer, Subject};

pub(super) fn message_lock(tag: &Tag, conversation: ConversationId) -> Lock {
    Lock {
        bucket: Bucket {
            tenant: tag.tenant,
            site: Some(tag.site),
            class: tag.class,
            day: tag.ingest_day,
        },
        subject: Subject::Visitor(tag.subject),
        kind: RecordKind::Messages(conversation),
    }
}

/// What a message's body is bound to.
pub(super) fn message_bound(
    tag: &Tag,
    conversation: ConversationId,
    seq: Seq,
    message: &[u8; 16],
) -> Vec<u8> {
    let mut bound = Vec::with_capacity(96);
    bound.extend_from_slice(b"messages.body\0");
    bound.extend_from_slice(tag.tenant.as_bytes());
    bound.extend_from_slice(tag.site.as_bytes());
    bound.extend_from_slice(conversation.as_bytes());
    bound.extend_from_slice(&seq.0.to_be_bytes());
    bound.extend_from_slice(message);
    bound.push(tag.class.code());
    bound.extend_from_slice(&tag.ingest_day.0.to_be_bytes());
    bound
}

const CONTENT_TEXT: u8 = 0;
const CONTENT_EVENT: u8 = 1;

/// A body as bytes: a form code, then its parts.
fn content_bytes(content: &Content) -> Vec<u8> {
    match content {
        Content::Text(text) => {
            let text = text.expose();
            let mut bytes = Vec::with_capacity(1 + text.len());
            bytes.push(CONTENT_TEXT);
            bytes.extend_from_slice(text.as_bytes());
            bytes
        }
        Content::Event { event, agent } => {
            let mut bytes = vec![CONTENT_EVENT, event.code()];
            bytes.extend_from_slice(
                agent.as_ref().map_or(&[][..], |agent| agent.as_bytes().as_slice()),
            );
            bytes
        }
    }
}

pub(super) fn content_from(bytes: &[u8]) -> Option<Content> {
    let (form, rest) = bytes.split_first()?;
    match *form {
        CONTENT_TEXT => {
            let text = String::from_utf8(rest.to_vec()).ok()?;
            Some(Content::Text(Personal::new(text)))
        }
        CONTENT_EVENT => {
            let (event, agent) = rest.split_first()?;
            let agent = if agent.is_empty() {
                None
            } else {
                Some(AgentId::from_bytes(agent.try_into().ok()?))
            };
            Some(Content::Event { event: EventKind::from_code(*event)?, agent })
        }
        _ => None,
    }
}

/// A message's body, sealed; `None` if a key of it is destroyed.
pub(super) fn seal_message(
    sealer: &dyn Sealer,
    sequenced: &Sequenced,
) -> Result<Option<Vec<u8>>, SealError> {
    let envelope = sequenced.envelope();
    let tag = envelope.tag();
    let bound =
        message_bound(tag, envelope.conversation(), sequenced.seq(), envelope.message().as_bytes());
    let lock = message_lock(tag, envelope.conversation());
    unless_destroyed(sealer.seal(&lock, &bound, &content_bytes(envelope.content())))
}

pub(super) fn unless_destroyed<T>(outcome: Result<T, SealError>) -> Result<Option<T>, SealError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(SealError::Destroyed) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a key of this lock is destroyed: nothing is sealed or read, and no key is made.
///
/// # Errors
/// If the key store cannot say.
pub(super) fn is_destroyed(sealer: &dyn Sealer, lock: &Lock) -> Result<bool, SealError> {
    match sealer.unseal(lock, &[], &[]) {
        Err(SealError::Destroyed) => Ok(true),
        // Nothing was sealed so: that its key was there to try is all that is asked.
        Ok(_) | Err(SealError::Tampered) => Ok(false),
        Err(SealError::Unavailable) => Err(SealError::Unavailable),
    }
}

/// No Organization has this id.
pub(super) const NO_TENANT: TenantId = TenantId::from_bytes([0; 16]);

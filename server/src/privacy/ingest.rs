//! The only maker of an [`Envelope`]: may this be said here, what of it is kept, why and how long.

use protocol::ids::{AgentId, ConversationId, MessageId, SiteId, TenantId, VisitorId};
use protocol::message::{Author, Body, EventKind, Seq, Visibility};
use protocol::personal::Personal;
use protocol::reject::Reject;
use protocol::time::UnixMillis;

use super::envelope::{Envelope, Flags};
use super::policy::SiteTimeline;
use super::redact::Redactor;

/// What a frame or a request asks to say.
#[derive(Debug)]
pub struct Said<'a> {
    pub conversation: ConversationId,
    pub message: MessageId,
    pub seen_seq: Seq,
    pub body: Body<'a>,
    pub visibility: Visibility,
}

/// Where it is said: everything that decides, looked up before.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    pub tenant: TenantId,
    pub site: SiteId,
    /// The conversation's visitor.
    pub subject: VisitorId,
    pub timeline: &'a SiteTimeline,
    pub redactor: &'a Redactor,
    pub flags: Flags,
    /// The conversation was opened while nobody was there.
    pub offline_message: bool,
}

/// Tags and redacts what someone says.
///
/// # Errors
/// With a code and words for a person, if it may not be said here, so long, or at all.
pub fn ingest(
    said: Said<'_>,
    author: Author,
    ground: &Ground<'_>,
    now: UnixMillis,
) -> Result<Envelope, Reject> {
    let _ = (said, author, ground, now);
    Err(Reject::new(protocol::reject::RejectCode::Invalid, "nothing can be said yet"))
}

/// A line of the system, tagged like everything else.
pub fn event(
    ground: &Ground<'_>,
    conversation: ConversationId,
    message: MessageId,
    event: EventKind,
    agent: Option<AgentId>,
    now: UnixMillis,
) -> Option<Envelope> {
    let _ = (ground, conversation, message, event, agent, now);
    None
}

/// Redacts and bounds a field that is not a message: a form's answer, a name, a page's title, a draft.
///
/// # Errors
/// If it is longer than `bytes_max`; the words name `field`, never the value.
pub fn field(
    field: &'static str,
    text: &str,
    bytes_max: usize,
    redactor: &Redactor,
) -> Result<Personal<String>, Reject> {
    let _ = (field, bytes_max);
    Ok(Personal::new(redactor.redact(text).into_owned()))
}

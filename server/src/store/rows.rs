//! Rows: what is kept of Organizations, sites, agents, visitors and conversations.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::conversation::{Availability, ConversationState, Role};
use protocol::ids::{
    AgentId, ConversationId, InvitationId, KeyId, SessionId, SiteId, SiteKey, TagId, TenantId,
    VisitorId,
};
use protocol::message::{Author, Seq};
use protocol::personal::Personal;
use protocol::time::{Day, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::privacy::consent::NoticeHash;
use crate::privacy::policy::SiteTimeline;
use crate::privacy::seal::SecretHash;

/// An Organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRow {
    pub tenant: TenantId,
    /// The company's name; not about a person.
    pub name: String,
    /// Where people turn with questions about their data: an e-mail address or a page.
    pub privacy_contact: Personal<String>,
    pub created_at: UnixMillis,
}

/// How a field of the form before a conversation is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FieldRule {
    /// Not asked.
    Hidden,
    /// Asked, may stay empty.
    #[default]
    Optional,
    /// Must be filled in.
    Required,
}

/// What an admin sets up for a site.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SiteSettings {
    /// Origins whose pages may embed the widget: `https://shop.example`, no path.
    pub origins: Vec<String>,
    /// Texts of the widget by name: `title`, `greeting`, `offline`.
    pub texts: BTreeMap<String, String>,
    /// Fields of the form: `name`, `email`.
    pub form: BTreeMap<String, FieldRule>,
    /// The privacy notice that is shown before the first message.
    pub notice: Notice,
    /// Further patterns to hide, regular expressions.
    pub redaction_patterns: Vec<String>,
    /// Names of the notices that were shown before this one, the newest first: a visitor who was
    /// away may come with one.
    #[schema(value_type = Vec<String>)]
    pub former_notices: Vec<NoticeHash>,
}

/// A privacy notice: its words and where to read more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Notice {
    pub text: String,
    /// An `https:` address, or empty.
    pub url: String,
}

impl Notice {
    /// Whether there is anything to show.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.url.is_empty()
    }
}

/// A website with our widget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteRow {
    pub site: SiteId,
    pub tenant: TenantId,
    pub site_key: SiteKey,
    pub name: String,
    pub timeline: SiteTimeline,
    pub settings: SiteSettings,
    pub created_at: UnixMillis,
}

/// An agent and their account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    pub agent: AgentId,
    pub tenant: TenantId,
    pub name: Personal<String>,
    /// As typed; found by the keyed hash of its normal form (trimmed, lower case).
    pub email: Personal<String>,
    pub role: Role,
    pub active: bool,
    pub capacity: u16,
    /// Their last choice, kept across restarts.
    pub availability: Availability,
    /// Argon2id in PHC form.
    pub password_hash: Arc<str>,
    pub created_at: UnixMillis,
}

/// A signed-in agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    pub session: SessionId,
    pub agent: AgentId,
    pub tenant: TenantId,
    pub secret: SecretHash,
    /// Browser and system, as the agent would recognise them.
    pub client: Personal<String>,
    pub created_at: UnixMillis,
    pub expires_at: UnixMillis,
}

/// An open invitation for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRow {
    pub invitation: InvitationId,
    pub tenant: TenantId,
    pub email: Personal<String>,
    pub role: Role,
    pub secret: SecretHash,
    pub created_at: UnixMillis,
    pub expires_at: UnixMillis,
}

/// A one-time link by which an agent who forgot their password sets a new one. An agent has one at
/// most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordResetRow {
    pub tenant: TenantId,
    pub agent: AgentId,
    pub secret: SecretHash,
    pub created_at: UnixMillis,
    pub expires_at: UnixMillis,
}

/// An API key of an Organization, or of the operator (no tenant).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    pub key: KeyId,
    pub tenant: Option<TenantId>,
    pub name: String,
    pub scopes: Vec<String>,
    pub secret: SecretHash,
    pub created_at: UnixMillis,
}

/// A label for conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    pub tag: TagId,
    pub tenant: TenantId,
    pub name: String,
}

/// What an operator says about the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockAct {
    /// Whose key it was.
    pub key: KeyId,
    /// What the clock says; they say that it is right.
    pub wall: UnixMillis,
    /// The mark was set by a clock in the future, and is to go back to where the clock is.
    pub lower: bool,
}

/// A visitor. Written first when they open a conversation. Their contact data is sealed into the
/// bucket of `contact_day`, the day of their newest conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitorRow {
    pub visitor: VisitorId,
    pub tenant: TenantId,
    pub site: SiteId,
    /// None once the bucket of their contact data is destroyed.
    pub name: Option<Personal<String>>,
    pub email: Option<Personal<String>>,
    /// BCP 47.
    pub locale: String,
    pub contact_day: Day,
    pub secret: SecretHash,
    /// The token before this one: good until the new one was used, and 60 s after.
    pub secret_before: Option<(SecretHash, UnixMillis)>,
    pub secret_expires_at: UnixMillis,
    pub created_at: UnixMillis,
}

/// What of a visitor's row lets them in: no word about them, so that nothing need be unsealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitorToken {
    pub visitor: VisitorId,
    pub tenant: TenantId,
    pub secret: SecretHash,
    /// As in [`VisitorRow`].
    pub secret_before: Option<(SecretHash, UnixMillis)>,
    pub secret_expires_at: UnixMillis,
}

/// A conversation's header: everything but its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationRow {
    pub conversation: ConversationId,
    pub tenant: TenantId,
    pub site: SiteId,
    pub visitor: VisitorId,
    /// Grows with each change; an older one never overwrites a newer one.
    pub version: u64,
    pub state: ConversationState,
    pub assignee: Option<AgentId>,
    /// By which way it came.
    pub channel: Channel,
    /// The agents who have or had part in it.
    pub agents: Vec<AgentId>,
    pub tags: Vec<TagId>,
    /// The form's answers; sealed into the bucket of the day it was opened.
    pub form: Vec<(String, Personal<String>)>,
    /// The privacy notice that was shown before it began.
    pub notice: Option<NoticeHash>,
    /// Address (without query) and title of the page it was opened on.
    pub page_url: Option<Personal<String>>,
    pub page_title: Option<Personal<String>>,
    pub locale: String,
    pub created_at: UnixMillis,
    pub waiting_since: Option<UnixMillis>,
    pub closed_at: Option<UnixMillis>,
}

/// How far someone has come in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptRow {
    pub tenant: TenantId,
    pub conversation: ConversationId,
    pub author: Author,
    pub delivered: Seq,
    pub seen: Seq,
}

/// What stands in an agent's composer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftRow {
    pub tenant: TenantId,
    pub site: SiteId,
    pub conversation: ConversationId,
    pub visitor: VisitorId,
    pub agent: AgentId,
    /// Empty: remove it.
    pub text: Personal<String>,
    pub day: Day,
}

/// The answer to a create that may be sent again, kept for 24 h under the caller's
/// `Idempotency-Key`.
#[derive(Debug, Clone)]
pub struct AnswerRow {
    pub tenant: TenantId,
    /// What the key is kept as.
    pub key: String,
    /// Hash of the request.
    pub request: [u8; 32],
    /// Sealed.
    pub answer: Vec<u8>,
    pub at: UnixMillis,
}

/// The rule of uniqueness that a second answer under one key would break.
pub const ANSWERED: &str = "Idempotency-Key";

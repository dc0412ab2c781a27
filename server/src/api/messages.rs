//! Messages: read through the gate, said through the hub.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use protocol::conversation::Role;
use protocol::ids::{AgentId, ConversationId, MessageId, TenantId};
use protocol::limits::{TEXT_BYTES_MAX, TEXT_CHARS_MAX};
use protocol::message::{self, AuthorKind, EventKind, Seq, Visibility};
use protocol::personal::{Personal, Text};
use protocol::time::{Day, UnixMillis};
use protocol::visible::is_blank;
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::date::iso_day;
use super::idempotency::{Idempotency, Keep};
use super::json::{Answer, Json};
use super::lookups::{find, today};
use super::page::{Items, shown};
use super::problem::{Problem, ProblemCode};
use super::request::{Asked, Body, Id, Ids};
use super::told::MESSAGES;
use super::{ApiState, schema};
use crate::auth::Scope;
use crate::http::head;
use crate::privacy::envelope::Sequenced;
use crate::privacy::gate::{Door, ReadGrant, Reader};
use crate::privacy::ingest;
use crate::privacy::policy::{Purposes, SiteTimeline, evaluate};
use crate::store::Sight;

mod transcript;

use transcript::{all_messages, names, plain};

/// Ranges of sequence numbers without a message that can still be read, which a page passes over
/// before it says where to go on.
const EMPTY_RANGES_MAX: usize = 8;

/// Characters of the newest message that a list shows.
const PREVIEW_CHARS_MAX: usize = 120;

/// One thing said.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Message {
    /// Its sequence number in the conversation, from 1.
    #[schema(value_type = u64)]
    seq: Seq,
    #[schema(schema_with = schema::message_id)]
    message_id: MessageId,
    author: MessageAuthor,
    /// When the server took it.
    #[schema(value_type = u64)]
    at: UnixMillis,
    body: MessageBody,
    /// `agents`: an internal note.
    #[schema(schema_with = schema::visibility)]
    visibility: Visibility,
    /// The first day on which it can no longer be read, `YYYY-MM-DD`.
    expires_on: Option<String>,
}

/// Who said it.
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
pub(crate) struct MessageAuthor {
    #[schema(schema_with = schema::author_kind)]
    pub(crate) kind: AuthorKind,
    /// Where it is an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) agent_id: Option<AgentId>,
}

/// What was said.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum MessageBody {
    /// Words.
    Text {
        #[schema(value_type = String)]
        text: Personal<String>,
    },
    /// An event message.
    Event {
        #[schema(schema_with = schema::event_kind)]
        event: EventKind,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>)]
        agent_id: Option<AgentId>,
    },
}

/// What to say.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMessage {
    /// A version 7 UUID made by the sender; sent again, it is the same message. The server makes
    /// one where it is missing.
    #[schema(value_type = Option<String>)]
    message_id: Option<MessageId>,
    /// At most 4000 characters.
    #[schema(value_type = String)]
    text: Personal<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    visibility: Option<Visibility>,
}

/// Which messages.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessagesQuery {
    /// Messages, 1 to 100; 50 where it is not given.
    limit: Option<u16>,
    /// Only those with a smaller `seq`: the `next_cursor` of the page before. The newest without
    /// it.
    before: Option<u64>,
    /// Only those with a greater `seq`, the oldest of them first: whoever asks again with the
    /// greatest `seq` that they have misses nothing. 0 begins with the first message.
    after: Option<u64>,
}

/// Which lines of the transcript.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TranscriptQuery {
    /// With internal notes.
    #[serde(default)]
    notes: bool,
}

/// All that was said, in order.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Transcript {
    #[schema(schema_with = schema::conversation_id)]
    conversation_id: ConversationId,
    messages: Vec<Message>,
    /// It is longer: only the newest 10000 messages are here.
    truncated: bool,
}

/// Why and how long a message is kept.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct PrivacyTag {
    /// Which rule ends its life.
    class: String,
    purposes: Vec<&'static str>,
    bases: Vec<&'static str>,
    policy_version: u16,
    /// The UTC day on which it came, `YYYY-MM-DD`.
    ingest_day: String,
    /// The first day on which it can no longer be read.
    expires_on: Option<String>,
    /// Ids of the rules that decided, see docs/privacy.md.
    rules: Vec<String>,
    /// Why, for a person.
    reason: String,
}

/// GET /v1/conversations/{conversation_id}/messages
#[utoipa::path(get, path = "/v1/conversations/{conversation_id}/messages", tag = "messages",
    operation_id = "list_messages", params(("conversation_id" = String, Path), MessagesQuery),
    responses((status = 200, body = Items<Message>), (status = 404)))]
pub(crate) async fn list(
    access: Access,
    Id(conversation): Id<ConversationId>,
    Asked(query): Asked<MessagesQuery>,
) -> Answer<Items<Message>> {
    let state = &access.state;
    access.need(Role::Agent, Scope::ConversationsRead)?;
    let limit = shown(query.limit)?;
    let gate = Gate::open(state, access.tenant, conversation).await?;
    if let Some(after) = query.after {
        if query.before.is_some() {
            let words = "`before` and `after` lead into two directions. Send one of them.";
            return Err(Problem::new(ProblemCode::MalformedQuery, words).naming("after"));
        }
        return newer(state, (access.tenant, conversation), &gate, Seq(after), limit).await;
    }
    let before = query.before.map(Seq);
    let sight = Sight::Shown(Reader::Agents, gate.today);
    let range = (Seq(0), before);
    let page = state.store.page(access.tenant, conversation, sight, range, limit).await?;
    let oldest = page.messages.first().filter(|_| page.more);
    let next_cursor = oldest.map(|row| row.seq().0.to_string());
    let items = page.messages.iter().filter_map(|row| gate.show(row)).collect();
    Ok(Json(Items { items, next_cursor }))
}

/// Messages above a sequence number, the oldest first. The store pages from the newest down: a page
/// is one range of sequence numbers, as wide as it may have messages, and empty ranges are passed
/// over.
async fn newer(
    state: &ApiState,
    (tenant, conversation): (TenantId, ConversationId),
    gate: &Gate,
    after: Seq,
    limit: u16,
) -> Result<Json<Items<Message>>, Problem> {
    let room = state.store.room(tenant, conversation, 0).await?;
    let last = room.map_or(Seq(0), |room| room.seq_last);
    let sight = Sight::Shown(Reader::Agents, gate.today);
    let (mut from, mut items) = (after, Vec::new());
    for _ in 0..EMPTY_RANGES_MAX {
        if from >= last || !items.is_empty() {
            break;
        }
        let to = Seq(from.0.saturating_add(u64::from(limit)));
        let range = (from, Some(to.next()));
        let page = state.store.page(tenant, conversation, sight, range, limit).await?;
        items.extend(page.messages.iter().filter_map(|row| gate.show(row)));
        from = to;
    }
    let next_cursor = (from < last).then(|| from.0.to_string());
    Ok(Json(Items { items, next_cursor }))
}

/// GET /v1/conversations/{conversation_id}/messages/{message_id}
#[utoipa::path(get, path = "/v1/conversations/{conversation_id}/messages/{message_id}",
    tag = "messages", operation_id = "get_message",
    params(("conversation_id" = String, Path), ("message_id" = String, Path)),
    responses((status = 200, body = Message), (status = 404)))]
pub(crate) async fn get(
    access: Access,
    Ids(conversation, message): Ids<ConversationId, MessageId>,
) -> Answer<Message> {
    access.need(Role::Agent, Scope::ConversationsRead)?;
    let gate = Gate::open(&access.state, access.tenant, conversation).await?;
    let kept = SentMessage { message, seq: Seq(1) };
    Ok(Json(gate.find(&access.state, access.tenant, conversation, kept).await?))
}

/// POST /v1/conversations/{conversation_id}/messages
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/messages", tag = "messages",
    operation_id = "create_message", request_body = NewMessage,
    params(("conversation_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Message), (status = 404), (status = 409), (status = 422)))]
pub(crate) async fn create(
    access: Access,
    Id(conversation): Id<ConversationId>,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewMessage>,
) -> Result<Response, Problem> {
    let state = &access.state;
    access.need(Role::Agent, Scope::ConversationsWrite)?;
    if let Some(me) = &access.signed_in {
        // As over the socket, and together with it. A program's messages are requests of its key.
        let counted = state.rates.agent_messages.take(&me.agent.agent);
        access.told.note(state, MESSAGES, counted)?;
    }
    let gate = Gate::open(state, access.tenant, conversation).await?;
    let owner = access.owner();
    let say = async |keep| say(&access, conversation, new, keep).await;
    let show = async |kept: SentMessage| gate.find(state, access.tenant, conversation, kept).await;
    once.once_shown(state, (access.tenant, &owner), &bytes, say, show).await
}

/// What is kept of the answer to a message, for a request that comes again: where it stands, not
/// what it says.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct SentMessage {
    message: MessageId,
    seq: Seq,
}

/// What is to be said, where it can be.
pub(crate) fn checked_text<'t>(
    field: &'static str,
    text: &'t Personal<String>,
) -> Result<&'t str, Problem> {
    let text = text.expose();
    if is_blank(text) {
        return Err(Problem::field(field, "This field must not be empty."));
    }
    if text.len() > TEXT_BYTES_MAX || text.chars().nth(TEXT_CHARS_MAX).is_some() {
        let words = "A text has at most 4000 characters.";
        return Err(Problem::new(ProblemCode::TooLong, words).naming(field));
    }
    Ok(text)
}

async fn say(
    access: &Access,
    conversation: ConversationId,
    new: NewMessage,
    keep: Option<Keep>,
) -> Result<SentMessage, Problem> {
    let text = checked_text("text", &new.text)?;
    let message = new.message_id.unwrap_or_else(|| MessageId::from_uuid(access.state.new_uuid()));
    if !message.is_v7() {
        return Err(Problem::field("message_id", "It must be a version 7 UUID."));
    }
    let new_message = ingest::NewMessage {
        conversation,
        message,
        // A program has seen nothing: duplicates are looked for everywhere.
        seen_seq: Seq(0),
        body: message::Body::Text(Text::new(text)),
        visibility: new.visibility.unwrap_or(Visibility::Everyone),
    };
    let beside = keep.map(|keep| keep.beside(move |seq| SentMessage { message, seq }));
    let (seq, _) = access.state.live.say(&access.principal, new_message, beside).await?;
    Ok(SentMessage { message, seq })
}

/// GET /v1/conversations/{conversation_id}/transcript
#[utoipa::path(get, path = "/v1/conversations/{conversation_id}/transcript", tag = "messages",
    operation_id = "get_transcript", params(("conversation_id" = String, Path), TranscriptQuery),
    responses(
        (status = 200, content((Transcript = "application/json"), (String = "text/plain"))),
        (status = 404)))]
pub(crate) async fn transcript(
    access: Access,
    Id(conversation): Id<ConversationId>,
    Asked(query): Asked<TranscriptQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let state = &access.state;
    access.need(Role::Agent, Scope::ConversationsRead)?;
    let gate = Gate::open(state, access.tenant, conversation).await?;
    // Who may see everything but notes is a visitor.
    let reader = if query.notes { Reader::Agents } else { Reader::Visitor };
    let sight = Sight::Shown(reader, gate.today);
    let (rows, truncated) = all_messages(state, access.tenant, conversation, sight).await?;
    let messages: Vec<Message> = rows.iter().filter_map(|row| gate.show(row)).collect();
    let vary = (header::VARY, HeaderValue::from_static("accept"));
    let wanted = |kind| head::wanted(&headers, header::ACCEPT, kind);
    let text = wanted("text/plain");
    if text.0 == 0 || text <= wanted("application/json") {
        let transcript = Transcript { conversation_id: conversation, messages, truncated };
        return Ok(([vary], Json(transcript)).into_response());
    }
    let names = names(state, access.tenant, &messages).await?;
    let text = plain(&messages, truncated, &names);
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind), vary], text).into_response())
}

/// GET /v1/conversations/{conversation_id}/messages/{message_id}/tag
#[utoipa::path(get, path = "/v1/conversations/{conversation_id}/messages/{message_id}/tag",
    tag = "messages", operation_id = "get_message_tag",
    params(("conversation_id" = String, Path), ("message_id" = String, Path)),
    responses((status = 200, body = PrivacyTag), (status = 404)))]
pub(crate) async fn tag(
    access: Access,
    Ids(conversation, message): Ids<ConversationId, MessageId>,
) -> Answer<PrivacyTag> {
    access.need(Role::Agent, Scope::ConversationsRead)?;
    let gate = Gate::open(&access.state, access.tenant, conversation).await?;
    let row = access.state.store.message(access.tenant, conversation, message, Seq(0)).await?;
    let row =
        row.filter(|row| gate.show(row).is_some()).ok_or_else(|| Problem::not_found("message"))?;
    let tag = row.envelope().tag();
    let decision = evaluate(&gate.timeline, tag.class, tag.ingest_day, gate.today);
    let class = serde_json::to_value(tag.class).map_err(|_| Problem::internal())?;
    Ok(Json(PrivacyTag {
        class: class.as_str().unwrap_or_default().to_owned(),
        purposes: words(tag.purposes, &PURPOSES),
        bases: words(tag.purposes, &BASES),
        policy_version: tag.policy_version.0,
        ingest_day: iso_day(tag.ingest_day),
        expires_on: decision.expires.map(iso_day),
        rules: decision.rules.iter().map(str::to_owned).collect(),
        reason: decision.reason.to_string(),
    }))
}

const PURPOSES: [(u16, &str); 2] = [(Purposes::RESPOND, "respond"), (Purposes::PROVIDE, "provide")];

const BASES: [(u16, &str); 4] = [
    (Purposes::CONTRACT, "contract"),
    (Purposes::LEGAL_DUTY, "legal-duty"),
    (Purposes::LEGITIMATE_INTEREST, "legitimate-interest"),
    (Purposes::CONSENT, "consent"),
];

fn words(purposes: Purposes, named: &[(u16, &'static str)]) -> Vec<&'static str> {
    named.iter().filter(|(bit, _)| purposes.0 & bit != 0).map(|(_, word)| *word).collect()
}

/// Leave to read one conversation today.
struct Gate {
    timeline: SiteTimeline,
    today: Day,
}

impl Gate {
    async fn open(
        state: &ApiState,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Self, Problem> {
        let row = find(state, tenant, conversation).await?;
        let site = state.store.site(tenant, row.site).await?;
        let site = site.ok_or_else(|| Problem::not_found("conversation"))?;
        Ok(Self { timeline: site.timeline, today: today(state).await? })
    }

    fn show(&self, sequenced: &Sequenced) -> Option<Message> {
        let grant = ReadGrant::stored(Door::Api, Reader::Agents, self.today, &self.timeline);
        sequenced.shown(&grant).map(Message::from)
    }

    /// What was said, as it was kept, with what redaction hid; not found once it may not be read.
    async fn find(
        &self,
        state: &ApiState,
        tenant: TenantId,
        conversation: ConversationId,
        SentMessage { message, seq }: SentMessage,
    ) -> Result<Message, Problem> {
        let after = Seq(seq.0.saturating_sub(1));
        let sequenced = state.store.message(tenant, conversation, message, after).await?;
        sequenced
            .and_then(|sequenced| self.show(&sequenced))
            .ok_or_else(|| Problem::not_found("message"))
    }
}

/// The newest message as a list shows it.
#[derive(Debug)]
pub(crate) struct Preview {
    pub(crate) author: MessageAuthor,
    pub(crate) at: UnixMillis,
    pub(crate) text: Option<Personal<String>>,
}

/// The beginning of a message, if it can still be read.
pub(crate) fn preview(
    sequenced: &Sequenced,
    today: Day,
    timeline: &SiteTimeline,
) -> Option<Preview> {
    let shown =
        sequenced.shown(&ReadGrant::stored(Door::Preview, Reader::Agents, today, timeline))?;
    let text = match &shown.body {
        message::Body::Text(text) => {
            Some(Personal::new(text.expose().chars().take(PREVIEW_CHARS_MAX).collect()))
        }
        message::Body::Event { .. } => None,
    };
    Some(Preview { author: MessageAuthor::from(shown.author), at: shown.at, text })
}

impl From<message::Author> for MessageAuthor {
    fn from(author: message::Author) -> Self {
        Self { kind: author.kind(), agent_id: author.agent() }
    }
}

impl From<message::Message<'_>> for Message {
    fn from(shown: message::Message<'_>) -> Self {
        Self {
            seq: shown.seq,
            message_id: shown.message,
            author: MessageAuthor::from(shown.author),
            at: shown.at,
            body: match shown.body {
                message::Body::Text(text) => MessageBody::Text { text: text.into_personal() },
                message::Body::Event { event, agent } => {
                    MessageBody::Event { event, agent_id: agent }
                }
            },
            visibility: shown.visibility,
            expires_on: shown.expires.map(iso_day),
        }
    }
}

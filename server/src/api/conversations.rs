//! Conversations: their state, and the acts that change it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use protocol::conversation::{ConversationState, PageView, Role};
use protocol::ids::{AgentId, ConversationId, MessageId, SiteId, TagId, TenantId, VisitorId};
use protocol::message::{Author, Seq};
use protocol::personal::{Personal, Text};
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};
use serde::{Deserialize, Serialize};
use tokio::sync::MutexGuard;

use super::access::Access;
use super::date::Moment;
use super::etag::{IfMatch, Version};
use super::idempotency::{Idempotency, Keep};
use super::json::Json;
use super::messages::{MessageAuthor, Preview, checked_text, preview};
use super::page::{Items, one_of, page, shown};
use super::problem::{Problem, ProblemCode};
use super::request::{Asked, Body, Id};
use super::told::MESSAGES;
use super::{ApiState, schema};
use crate::auth::{Scope, issue};
use crate::hub::Creation;
use crate::privacy::envelope::Placed;
use crate::privacy::gate::{Door, ReadGrant, Reader};
use crate::privacy::policy::SiteTimeline;
use crate::store::{
    ConversationFilter, ConversationRow, ConversationSearch, MarkRow, SearchOrder, Sight, TagRow,
    VisitorRow, Write,
};

/// Messages that are looked through for the last words before the store looks for them by itself.
const PREVIEW_TAIL: u16 = 8;

/// Labels on one conversation; what its card on the wire can hold.
pub(super) const TAGS_MAX: usize = 32;

/// A conversation's state.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Conversation {
    #[schema(schema_with = schema::conversation_id)]
    conversation_id: ConversationId,
    /// Grows with each change.
    version: u64,
    #[schema(schema_with = schema::site_id)]
    site_id: SiteId,
    #[schema(schema_with = schema::conversation_state)]
    state: ConversationState,
    /// Who has it now.
    #[schema(value_type = Option<String>)]
    assignee: Option<AgentId>,
    /// The agents who have or had part in it.
    #[schema(value_type = Vec<String>)]
    agents: Vec<AgentId>,
    /// It was opened while no agent was there.
    offline_message: bool,
    #[schema(value_type = Vec<String>)]
    tags: Vec<TagId>,
    /// The same labels with their names, in the same order.
    labels: Vec<Label>,
    visitor: ConversationVisitor,
    form: Vec<FormAnswer>,
    /// SHA-256 of the privacy notice that the visitor was shown before it began, 64 hex digits.
    notice_hash: Option<String>,
    marks: Vec<Marks>,
    /// The newest place.
    #[schema(value_type = u64)]
    seq_last: Seq,
    /// The beginning of the newest words, internal notes included.
    #[schema(value_type = Option<String>)]
    preview: Option<Personal<String>>,
    last_author: Option<MessageAuthor>,
    #[schema(value_type = Option<u64>)]
    last_message_at: Option<UnixMillis>,
    #[schema(value_type = u64)]
    created_at: UnixMillis,
    /// When it changed last, by its state or by what was said. Moves with the store's order of changes, so that asking
    /// for what was updated after the greatest one that was seen misses nothing; a message shows here within a second or two.
    #[schema(value_type = u64)]
    updated_at: UnixMillis,
    #[schema(value_type = Option<u64>)]
    waiting_since: Option<UnixMillis>,
    #[schema(value_type = Option<u64>)]
    closed_at: Option<UnixMillis>,
}

/// A label of a conversation.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct Label {
    #[schema(schema_with = schema::tag_id)]
    tag_id: TagId,
    name: String,
}

/// The visitor of a conversation. What they said about themselves is null once its time is over.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ConversationVisitor {
    #[schema(schema_with = schema::visitor_id)]
    visitor_id: VisitorId,
    #[schema(value_type = Option<String>)]
    name: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    email: Option<Personal<String>>,
    /// The page it was opened on.
    #[schema(value_type = Option<String>)]
    page_url: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    page_title: Option<Personal<String>>,
    /// BCP 47.
    locale: String,
}

/// An answer of the form before the conversation.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FormAnswer {
    field: String,
    #[schema(value_type = String)]
    answer: Personal<String>,
}

/// How far someone has come.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Marks {
    author: MessageAuthor,
    #[schema(value_type = u64)]
    delivered: Seq,
    #[schema(value_type = u64)]
    seen: Seq,
}

/// Which conversations to list: all conditions hold.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConversationsQuery {
    /// Items, 1 to 100; 50 where it is not given.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// A conversation's id: the page begins behind it. As `cursor`; not together with `updated_after`.
    after: Option<String>,
    /// `queued`, `offered`, `active`, `snoozed` or `closed`.
    #[param(value_type = Option<String>)]
    state: Option<ConversationState>,
    #[param(value_type = Option<String>)]
    site_id: Option<SiteId>,
    #[param(value_type = Option<String>)]
    visitor_id: Option<VisitorId>,
    /// An agent's id.
    #[param(value_type = Option<String>)]
    assignee: Option<AgentId>,
    /// With this label.
    #[param(value_type = Option<String>)]
    tag_id: Option<TagId>,
    /// Begun later than this: RFC 3339, or Unix milliseconds.
    #[param(value_type = Option<String>)]
    created_after: Option<Moment>,
    /// Begun earlier than this.
    #[param(value_type = Option<String>)]
    created_before: Option<Moment>,
    /// Changed later than this, what changed longest ago first. Ask again with the greatest `updated_at` of the pages
    /// that were read, once `next_cursor` is null: nothing is missed, and nothing comes twice that did not change again.
    #[param(value_type = Option<String>)]
    updated_after: Option<Moment>,
}

/// A conversation to begin.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConversation {
    #[schema(schema_with = schema::site_id)]
    site_id: SiteId,
    /// A visitor of before. Without one, a new visitor is made.
    #[schema(value_type = Option<String>)]
    visitor_id: Option<VisitorId>,
    /// What the visitor said about themselves, as the site's form has it. Of a visitor of before, what is left out
    /// stays as it is.
    #[serde(default)]
    #[schema(inline = false)]
    visitor: Option<NewVisitor>,
    message: FirstMessage,
    /// Who gets it, at once; without one it waits in line and is offered.
    #[schema(value_type = Option<String>)]
    assignee: Option<AgentId>,
    /// Which privacy notice the visitor was shown, where the site has one: SHA-256 as 64 hex digits.
    notice_hash: Option<String>,
    /// The page that it is about.
    #[schema(value_type = Option<String>)]
    page_url: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    page_title: Option<Personal<String>>,
}

/// Who the visitor of a new conversation is.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewVisitor {
    #[schema(value_type = Option<String>)]
    name: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    email: Option<Personal<String>>,
    /// BCP 47.
    locale: Option<String>,
}

/// The first words of a conversation.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirstMessage {
    /// At most 4000 characters.
    #[schema(value_type = String)]
    text: Personal<String>,
    /// Whose words these are: the visitor's, which is so where a key does not say, or those of whoever asks. An agent
    /// speaks for themselves alone.
    author: Option<FirstAuthor>,
}

/// Whose words begin a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FirstAuthor {
    /// The visitor's.
    Visitor,
    /// Those of the agent or program that asks.
    Me,
}

/// From whom it is taken over, and by whom.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakeOver {
    /// Who has it, as far as the caller knows: where another has it by now, nothing happens.
    #[schema(schema_with = schema::agent_id)]
    from: AgentId,
    /// Who gets it; without one, the agent who asks. A key names one.
    #[schema(value_type = Option<String>)]
    agent_id: Option<AgentId>,
}

/// Who gets it; without an agent, the one who asks.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assignment {
    #[schema(value_type = Option<String>)]
    agent_id: Option<AgentId>,
}

/// Who is asked to take it over.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferTo {
    #[schema(schema_with = schema::agent_id)]
    agent_id: AgentId,
}

/// All labels of a conversation.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConversationTags {
    #[schema(value_type = Vec<String>)]
    tags: Vec<TagId>,
}

/// GET /v1/conversations
#[utoipa::path(get, path = "/v1/conversations", tag = "conversations",
    operation_id = "list_conversations", params(ConversationsQuery),
    responses((status = 200, body = Items<Conversation>)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    access: Access,
    Asked(query): Asked<ConversationsQuery>,
) -> Result<Json<Items<Conversation>>, Problem> {
    access.need(Role::Agent, Scope::ConversationsRead)?;
    let limit = shown(query.limit)?;
    let order = match query.updated_after {
        Some(since) => {
            if query.after.is_some() {
                let words =
                    "`after` and `updated_after` order the list differently. Send one of them.";
                return Err(Problem::new(ProblemCode::MalformedQuery, words).naming("after"));
            }
            // Of one moment, all ids lie below the last.
            let since = (since.0, LAST_ID);
            SearchOrder::Changed(query.cursor.as_deref().map_or(Ok(since), change_cursor)?)
        }
        None => {
            let cursor = one_of(query.cursor.as_deref(), query.after.as_deref())?;
            match page::<ConversationId>(query.limit, cursor)?.after {
                None => SearchOrder::Newest(None),
                Some(after) => match state.store.conversation(access.tenant, after).await? {
                    Some(row) => SearchOrder::Newest(Some((row.created_at, after))),
                    // Gone, or another's: nothing lies behind it.
                    None => return Ok(Json(Items::all(Vec::new()))),
                },
            }
        }
    };
    let filter = ConversationFilter {
        state: query.state,
        live: false,
        site: query.site_id,
        visitor: query.visitor_id,
        assignee: query.assignee,
    };
    let search = ConversationSearch {
        filter,
        tag: query.tag_id,
        created_after: query.created_after.map(|moment| moment.0),
        created_before: query.created_before.map(|moment| moment.0),
        order,
    };
    let found = state.store.search(access.tenant, &search, limit).await?;
    let next_cursor = found.next.map(|(at, conversation)| match order {
        SearchOrder::Newest(_) => conversation.to_string(),
        SearchOrder::Changed(_) => format!("{}.{conversation}", at.0),
    });
    let mut shaper = Shaper::new(&state, access.tenant).await?;
    let mut items = Vec::with_capacity(found.rows.len());
    for row in found.rows {
        items.push(shaper.shape(row).await?);
    }
    Ok(Json(Items { items, next_cursor }))
}

/// Above every id of its moment.
const LAST_ID: ConversationId = ConversationId::from_bytes([0xff; 16]);

/// A moment and a conversation, as `next_cursor` had them.
pub(super) fn change_cursor(cursor: &str) -> Result<(UnixMillis, ConversationId), Problem> {
    let parts = cursor.split_once('.').and_then(|(at, conversation)| {
        let at: Moment = at.parse().ok()?;
        Some((at.0, conversation.parse().ok()?))
    });
    parts.ok_or_else(|| {
        let words = "`cursor` is the `next_cursor` of the page before.";
        Problem::new(ProblemCode::MalformedQuery, words).naming("cursor")
    })
}

/// POST /v1/conversations
#[utoipa::path(post, path = "/v1/conversations", tag = "conversations",
    operation_id = "create_conversation", request_body = NewConversation,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Conversation), (status = 404), (status = 409), (status = 422)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    access: Access,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewConversation>,
) -> Result<Response, Problem> {
    access.need(Role::Agent, Scope::ConversationsWrite)?;
    if let Some(me) = &access.signed_in {
        let counted = state.rates.agent_messages.take(&me.agent.agent);
        access.told.note(&state, MESSAGES, counted)?;
    }
    let owner = access.owner();
    let begin = async |keep| begin(&state, &access, new, keep).await;
    let show = async |Begun { conversation }| {
        let row = find(&state, access.tenant, conversation).await?;
        Shaper::new(&state, access.tenant).await?.shape(row).await
    };
    once.once_shown(&state, (access.tenant, &owner), &bytes, begin, show).await
}

/// What is kept of the answer to a new conversation, for a request that comes again.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Begun {
    conversation: ConversationId,
}

async fn begin(
    state: &ApiState,
    access: &Access,
    new: NewConversation,
    keep: Option<Keep>,
) -> Result<Begun, Problem> {
    let text = checked_text("message.text", &new.message.text)?;
    let own = access.signed_in.is_some();
    let by_visitor = match new.message.author {
        Some(FirstAuthor::Visitor) if own => {
            let words = "An agent speaks for themselves. A key may bring a visitor's words.";
            return Err(Problem::field("message.author", words));
        }
        Some(author) => author == FirstAuthor::Visitor,
        None => !own,
    };
    if state.store.site(access.tenant, new.site_id).await?.is_none() {
        return Err(Problem::field("site_id", "There is no such site here."));
    }
    if let Some(visitor) = new.visitor_id {
        let row = state.store.visitor(access.tenant, visitor).await?;
        if row.is_none_or(|row| row.site != new.site_id) {
            return Err(Problem::field("visitor_id", "This site has no such visitor."));
        }
    }
    if let Some(agent) = new.assignee {
        colleague(state, access.tenant, agent)
            .await
            .map_err(|problem| problem.of_field("assignee"))?;
    }
    let about = new.visitor.unwrap_or_default();
    let mut form = Vec::new();
    for (field, given) in [("name", &about.name), ("email", &about.email)] {
        form.extend(given.as_ref().map(|given| (field, given.expose().as_str())));
    }
    let begun = Begun { conversation: ConversationId::from_uuid(state.new_uuid()) };
    let kept = keep.map(|keep| keep.record(&begun)).transpose()?;
    let page = new.page_url.map(|url| PageView { url, title: new.page_title });
    let creation = Creation {
        conversation: begun.conversation,
        site: new.site_id,
        visitor: new.visitor_id.unwrap_or_else(|| VisitorId::from_uuid(state.new_uuid())),
        is_known: new.visitor_id.is_some(),
        form,
        page: page.as_ref(),
        notice: new.notice_hash.as_deref(),
        locale: about.locale.as_deref().unwrap_or_default(),
        message: MessageId::from_uuid(state.new_uuid()),
        text: Text::new(text),
        by_visitor,
        assignee: new.assignee,
        secret: issue("lhv_").hash,
        beside: kept.map(|record| Write::Record(Box::new(record))).into_iter().collect(),
    };
    state.live.create(&access.principal, creation).await?;
    Ok(begun)
}

/// GET /v1/conversations/{conversation_id}
#[utoipa::path(get, path = "/v1/conversations/{conversation_id}", tag = "conversations",
    operation_id = "get_conversation", params(("conversation_id" = String, Path)),
    responses((status = 200, body = Conversation), (status = 404)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
) -> Result<(Extension<Version>, Json<Conversation>), Problem> {
    access.need(Role::Agent, Scope::ConversationsRead)?;
    let row = find(&state, access.tenant, conversation).await?;
    let version = Version(row.version);
    let mut shaper = Shaper::new(&state, access.tenant).await?;
    Ok((Extension(version), Json(shaper.shape(row).await?)))
}

/// POST /v1/conversations/{conversation_id}/close
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/close", tag = "conversations",
    operation_id = "close_conversation",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404), (status = 409), (status = 412)))]
pub(crate) async fn close(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    let _turn = may_change(&state, &access, conversation, &seen).await?;
    state.live.close(&access.principal, conversation).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST /v1/conversations/{conversation_id}/reopen
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/reopen", tag = "conversations",
    operation_id = "reopen_conversation",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404), (status = 409), (status = 412)))]
pub(crate) async fn reopen(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    let _turn = may_change(&state, &access, conversation, &seen).await?;
    state.live.reopen(&access.principal, conversation).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST /v1/conversations/{conversation_id}/assign
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/assign", tag = "conversations",
    operation_id = "assign_conversation",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = Assignment,
    responses((status = 204), (status = 404), (status = 409), (status = 412)))]
pub(crate) async fn assign(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
    Body { value: to, .. }: Body<Assignment>,
) -> Result<StatusCode, Problem> {
    let _turn = may_change(&state, &access, conversation, &seen).await?;
    match to.agent_id {
        Some(agent) => colleague(&state, access.tenant, agent).await?,
        // A key is nobody who could take it.
        None => drop(access.person().map_err(|_| {
            Problem::field("agent_id", "A key names the agent who gets the conversation.")
        })?),
    }
    state.live.assign(&access.principal, conversation, to.agent_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST /v1/conversations/{conversation_id}/transfer
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/transfer", tag = "conversations",
    operation_id = "transfer_conversation",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = TransferTo,
    responses((status = 204), (status = 404), (status = 409), (status = 412)))]
pub(crate) async fn transfer(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
    Body { value: to, .. }: Body<TransferTo>,
) -> Result<StatusCode, Problem> {
    let _turn = may_change(&state, &access, conversation, &seen).await?;
    colleague(&state, access.tenant, to.agent_id).await?;
    state.live.transfer(&access.principal, conversation, to.agent_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST /v1/conversations/{conversation_id}/take-over
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/take-over", tag = "conversations",
    operation_id = "take_over_conversation",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = TakeOver,
    responses((status = 204), (status = 404), (status = 409), (status = 412)))]
pub(crate) async fn take_over(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
    Body { value: over, .. }: Body<TakeOver>,
) -> Result<StatusCode, Problem> {
    let _turn = may_change(&state, &access, conversation, &seen).await?;
    match over.agent_id {
        Some(agent) => colleague(&state, access.tenant, agent).await?,
        None => drop(access.person().map_err(|_| {
            Problem::field("agent_id", "A key names the agent who gets the conversation.")
        })?),
    }
    state.live.take_over(&access.principal, conversation, over.from, over.agent_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST /v1/conversations/{conversation_id}/withdraw
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/withdraw", tag = "conversations",
    operation_id = "withdraw_transfer",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404), (status = 409), (status = 412)))]
pub(crate) async fn withdraw(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    let _turn = may_change(&state, &access, conversation, &seen).await?;
    state.live.withdraw(&access.principal, conversation).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// PUT /v1/conversations/{conversation_id}/tags
#[utoipa::path(put, path = "/v1/conversations/{conversation_id}/tags", tag = "conversations",
    operation_id = "set_conversation_tags",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = ConversationTags,
    responses((status = 204), (status = 404), (status = 422), (status = 412)))]
pub(crate) async fn set_tags(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
    Body { value: mut wanted, .. }: Body<ConversationTags>,
) -> Result<StatusCode, Problem> {
    let _turn = may_change(&state, &access, conversation, &seen).await?;
    wanted.tags.sort_unstable();
    wanted.tags.dedup();
    if wanted.tags.len() > TAGS_MAX {
        return Err(Problem::field("tags", "At most 32 labels."));
    }
    // No label goes between the look at it and the act.
    let _labels = state.changes.of(access.tenant.as_bytes()).await;
    let known = state.store.tags(access.tenant).await?;
    if !wanted.tags.iter().all(|tag| known.iter().any(|row| row.tag == *tag)) {
        return Err(Problem::field("tags", "Each must be the id of a label. See /v1/tags."));
    }
    state.live.set_tags(&access.principal, conversation, wanted.tags).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The header, if it is of this Organization.
pub(crate) async fn find(
    state: &ApiState,
    tenant: TenantId,
    conversation: ConversationId,
) -> Result<ConversationRow, Problem> {
    let row = state.store.conversation(tenant, conversation).await?;
    row.ok_or_else(|| Problem::not_found("conversation"))
}

/// The day by which reading is judged: clocks that were set back show nothing again.
pub(crate) async fn today(state: &ApiState) -> Result<Day, Problem> {
    Ok(state.now().max(state.store.high_water().await?).day())
}

/// Whether the caller may change it, and it is still what they saw. Changes over REST come one after the other.
async fn may_change<'a>(
    state: &'a ApiState,
    access: &Access,
    conversation: ConversationId,
    seen: &IfMatch,
) -> Result<MutexGuard<'a, ()>, Problem> {
    access.need(Role::Agent, Scope::ConversationsWrite)?;
    let turn = state.moves.of(conversation.as_bytes()).await;
    let row = find(state, access.tenant, conversation).await?;
    seen.check(row.version)?;
    Ok(turn)
}

async fn colleague(state: &ApiState, tenant: TenantId, agent: AgentId) -> Result<(), Problem> {
    let row = state.store.agent(tenant, agent).await?;
    if row.is_some_and(|row| row.active) {
        return Ok(());
    }
    Err(Problem::field("agent_id", "There is no such active agent here."))
}

/// Shapes headers, asking for each site and visitor once.
struct Shaper<'a> {
    state: &'a ApiState,
    tenant: TenantId,
    today: Day,
    timelines: HashMap<SiteId, Option<SiteTimeline>>,
    visitors: HashMap<VisitorId, Option<VisitorRow>>,
    labels: Vec<TagRow>,
}

impl<'a> Shaper<'a> {
    async fn new(state: &'a ApiState, tenant: TenantId) -> Result<Self, Problem> {
        let today = today(state).await?;
        let labels = state.store.tags(tenant).await?;
        let (timelines, visitors) = (HashMap::new(), HashMap::new());
        Ok(Self { state, tenant, today, timelines, visitors, labels })
    }

    async fn shape(&mut self, row: ConversationRow) -> Result<Conversation, Problem> {
        let store = &self.state.store;
        if !self.timelines.contains_key(&row.site) {
            let site = store.site(self.tenant, row.site).await?;
            self.timelines.insert(row.site, site.map(|site| site.timeline));
        }
        if !self.visitors.contains_key(&row.visitor) {
            let visitor = store.visitor(self.tenant, row.visitor).await?;
            self.visitors.insert(row.visitor, visitor);
        }
        let room = store.room(self.tenant, row.conversation, PREVIEW_TAIL).await?;
        let timeline = self.timelines.get(&row.site).and_then(Option::as_ref);
        let visitor = self.visitors.get(&row.visitor).and_then(Option::as_ref);
        // Without its site nothing says how long it may be shown: then not at all.
        let grant = timeline
            .map(|timeline| ReadGrant::stored(Door::Api, Reader::Agents, self.today, timeline));
        let of_header = (row.page_url, row.page_title, row.form);
        let opened = row.created_at.day();
        let (page_url, page_title, form) = grant
            .and_then(|grant| grant.show(RetentionClass::Transcript, opened, of_header))
            .unwrap_or_default();
        let (name, email) = grant
            .zip(visitor)
            .and_then(|(grant, of)| {
                let contact = (of.name.clone(), of.email.clone());
                grant.show(RetentionClass::Contact, of.contact_day, contact)
            })
            .unwrap_or_default();
        let updated_at = store.changed_at(self.tenant, row.conversation).await?;
        let labels = row.tags.iter().filter_map(|tag| {
            let known = self.labels.iter().find(|label| label.tag == *tag)?;
            Some(Label { tag_id: *tag, name: known.name.clone() })
        });
        let labels = labels.collect();
        let tail = room.as_ref().map_or(&[][..], |room| &room.tail[..]);
        let last = self.last_words(row.conversation, tail, timeline).await?;
        let (seq_last, marks) =
            room.as_ref().map_or((Seq(0), &[][..]), |room| (room.seq_last, &room.marks[..]));
        Ok(Conversation {
            conversation_id: row.conversation,
            version: row.version,
            site_id: row.site,
            state: row.state,
            assignee: row.assignee,
            agents: row.agents,
            offline_message: row.channel.is_offline_message(),
            tags: row.tags,
            labels,
            visitor: ConversationVisitor {
                visitor_id: row.visitor,
                name,
                email,
                page_url,
                page_title,
                locale: row.locale,
            },
            form: form.into_iter().map(|(field, answer)| FormAnswer { field, answer }).collect(),
            notice_hash: row.notice.map(|notice| notice.to_string()),
            marks: marks.iter().map(Marks::from).collect(),
            seq_last,
            last_author: last.as_ref().map(|last| last.author),
            last_message_at: last.as_ref().map(|last| last.at),
            preview: last.and_then(|last| last.text),
            created_at: row.created_at,
            updated_at: updated_at.unwrap_or(row.created_at),
            waiting_since: row.waiting_since,
            closed_at: row.closed_at,
        })
    }

    /// The newest words of a conversation, which may lie below the tail that was read. A line of the system says nothing
    /// about what was said.
    async fn last_words(
        &self,
        conversation: ConversationId,
        tail: &[Arc<Placed>],
        timeline: Option<&SiteTimeline>,
    ) -> Result<Option<Preview>, Problem> {
        let last = timeline.and_then(|timeline| {
            let mut newest_first = tail.iter().rev();
            newest_first.find_map(|said| {
                preview(said, self.today, timeline).filter(|preview| preview.text.is_some())
            })
        });
        if last.is_some() || tail.len() < usize::from(PREVIEW_TAIL) {
            return Ok(last);
        }
        let before = tail.first().map(|first| first.seq());
        let sight = Sight::Said(self.today);
        let page =
            self.state.store.page(self.tenant, conversation, sight, (Seq(0), before), 1).await?;
        let newest = page.messages.first().zip(timeline);
        Ok(newest.and_then(|(said, timeline)| preview(said, self.today, timeline)))
    }
}

impl From<&MarkRow> for Marks {
    fn from(row: &MarkRow) -> Self {
        Self { author: MessageAuthor::from(row.author), delivered: row.delivered, seen: row.seen }
    }
}

impl From<Author> for MessageAuthor {
    fn from(author: Author) -> Self {
        Self { kind: author.kind(), agent_id: author.agent() }
    }
}

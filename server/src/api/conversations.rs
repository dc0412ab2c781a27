//! Conversations: their state, and the acts that change it.

use axum::Extension;
use axum::response::Response;
use http::StatusCode;
use protocol::conversation::{ConversationState, Role};
use protocol::ids::{AgentId, ConversationId, SiteId, TagId, TenantId, VisitorId};
use protocol::time::UnixMillis;
use serde::Deserialize;
use tokio::sync::MutexGuard;

use super::access::Access;
use super::date::Moment;
use super::etag::{IfMatch, Version};
use super::idempotency::Idempotency;
use super::json::{Answer, Json};
use super::lookups::find;
use super::page::{Items, one_of, page, shown};
use super::problem::{Problem, ProblemCode};
use super::request::{Asked, Body, Id};
use super::told::MESSAGES;
use super::{Act, ApiState, schema};
use crate::auth::Scope;
use crate::store::{ConversationFilter, ConversationSearch, SearchOrder};

mod beginning;
mod shape;

use beginning::{Begun, begin};
use shape::Shaper;

pub(crate) use beginning::NewConversation;
pub(crate) use shape::Conversation;

/// Labels on one conversation; what its card on the wire can hold.
pub(super) const TAGS_MAX: usize = 32;

/// Which conversations to list: all conditions hold.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConversationsQuery {
    /// Items, 1 to 100; 50 where it is not given.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// A conversation's id: the page begins behind it. As `cursor`; not together with
    /// `updated_after`.
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
    /// Changed later than this, what changed longest ago first. Ask again with the greatest
    /// `updated_at` of the pages that were read, once `next_cursor` is null: nothing is missed, and
    /// nothing comes twice that did not change again.
    #[param(value_type = Option<String>)]
    updated_after: Option<Moment>,
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
    access: Access,
    Asked(query): Asked<ConversationsQuery>,
) -> Answer<Items<Conversation>> {
    let state = &access.state;
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
    let mut shaper = Shaper::new(state, access.tenant).await?;
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
    access: Access,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewConversation>,
) -> Result<Response, Problem> {
    let state = &access.state;
    access.need(Role::Agent, Scope::ConversationsWrite)?;
    if let Some(me) = &access.signed_in {
        let counted = state.rates.agent_messages.take(&me.agent.agent);
        access.told.note(state, MESSAGES, counted)?;
    }
    let owner = access.owner();
    let begin = async |keep| begin(&access, new, keep).await;
    let show = async |Begun { conversation }| {
        let row = find(state, access.tenant, conversation).await?;
        Shaper::new(state, access.tenant).await?.shape(row).await
    };
    once.once_shown(state, (access.tenant, &owner), &bytes, begin, show).await
}

/// GET /v1/conversations/{conversation_id}
#[utoipa::path(get, path = "/v1/conversations/{conversation_id}", tag = "conversations",
    operation_id = "get_conversation", params(("conversation_id" = String, Path)),
    responses((status = 200, body = Conversation), (status = 404)))]
pub(crate) async fn get(
    access: Access,
    Id(conversation): Id<ConversationId>,
) -> Result<(Extension<Version>, Json<Conversation>), Problem> {
    access.need(Role::Agent, Scope::ConversationsRead)?;
    let row = find(&access.state, access.tenant, conversation).await?;
    let version = Version(row.version);
    let mut shaper = Shaper::new(&access.state, access.tenant).await?;
    Ok((Extension(version), Json(shaper.shape(row).await?)))
}

/// POST /v1/conversations/{conversation_id}/close
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/close", tag = "conversations",
    operation_id = "close_conversation",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404), (status = 409), (status = 412)))]
pub(crate) async fn close(
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    let _id_lock = may_change(&access, conversation, &seen).await?;
    act(&access, conversation, Act::Close).await
}

/// POST /v1/conversations/{conversation_id}/reopen
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/reopen", tag = "conversations",
    operation_id = "reopen_conversation",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404), (status = 409), (status = 412)))]
pub(crate) async fn reopen(
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    let _id_lock = may_change(&access, conversation, &seen).await?;
    act(&access, conversation, Act::Reopen).await
}

/// POST /v1/conversations/{conversation_id}/assign
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/assign", tag = "conversations",
    operation_id = "assign_conversation",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = Assignment,
    responses((status = 204), (status = 404), (status = 409), (status = 412)))]
pub(crate) async fn assign(
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
    Body { value: to, .. }: Body<Assignment>,
) -> Result<StatusCode, Problem> {
    let _id_lock = may_change(&access, conversation, &seen).await?;
    receiver(&access, to.agent_id).await?;
    act(&access, conversation, Act::Assign(to.agent_id)).await
}

/// POST /v1/conversations/{conversation_id}/transfer
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/transfer", tag = "conversations",
    operation_id = "transfer_conversation",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = TransferTo,
    responses((status = 204), (status = 404), (status = 409), (status = 412)))]
pub(crate) async fn transfer(
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
    Body { value: to, .. }: Body<TransferTo>,
) -> Result<StatusCode, Problem> {
    let _id_lock = may_change(&access, conversation, &seen).await?;
    colleague(&access.state, access.tenant, to.agent_id).await?;
    act(&access, conversation, Act::Transfer(to.agent_id)).await
}

/// POST /v1/conversations/{conversation_id}/take-over
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/take-over", tag = "conversations",
    operation_id = "take_over_conversation",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = TakeOver,
    responses((status = 204), (status = 404), (status = 409), (status = 412)))]
pub(crate) async fn take_over(
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
    Body { value: over, .. }: Body<TakeOver>,
) -> Result<StatusCode, Problem> {
    let _id_lock = may_change(&access, conversation, &seen).await?;
    receiver(&access, over.agent_id).await?;
    act(&access, conversation, Act::TakeOver { from: over.from, to: over.agent_id }).await
}

/// POST /v1/conversations/{conversation_id}/withdraw
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/withdraw", tag = "conversations",
    operation_id = "withdraw_transfer",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404), (status = 409), (status = 412)))]
pub(crate) async fn withdraw(
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    let _id_lock = may_change(&access, conversation, &seen).await?;
    act(&access, conversation, Act::Withdraw).await
}

/// PUT /v1/conversations/{conversation_id}/tags
#[utoipa::path(put, path = "/v1/conversations/{conversation_id}/tags", tag = "conversations",
    operation_id = "set_conversation_tags",
    params(("conversation_id" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = ConversationTags,
    responses((status = 204), (status = 404), (status = 422), (status = 412)))]
pub(crate) async fn set_tags(
    access: Access,
    Id(conversation): Id<ConversationId>,
    seen: IfMatch,
    Body { value: mut wanted, .. }: Body<ConversationTags>,
) -> Result<StatusCode, Problem> {
    let state = &access.state;
    let _id_lock = may_change(&access, conversation, &seen).await?;
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
    act(&access, conversation, Act::SetTags(wanted.tags)).await
}

/// Whether the caller may change it, and it is still what they saw. Changes over REST come one
/// after the other.
async fn may_change<'a>(
    access: &'a Access,
    conversation: ConversationId,
    seen: &IfMatch,
) -> Result<MutexGuard<'a, ()>, Problem> {
    access.need(Role::Agent, Scope::ConversationsWrite)?;
    let id_lock = access.state.moves.of(conversation.as_bytes()).await;
    let row = find(&access.state, access.tenant, conversation).await?;
    seen.check(row.version)?;
    Ok(id_lock)
}

async fn act(
    access: &Access,
    conversation: ConversationId,
    act: Act,
) -> Result<StatusCode, Problem> {
    access.state.live.act(&access.principal, conversation, act).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is to have it: this agent, or whoever asks.
async fn receiver(access: &Access, agent: Option<AgentId>) -> Result<(), Problem> {
    match agent {
        Some(agent) => colleague(&access.state, access.tenant, agent).await,
        // A key is nobody who could take it.
        None => access.person().map(drop).map_err(|_| {
            Problem::field("agent_id", "A key names the agent who gets the conversation.")
        }),
    }
}

async fn colleague(state: &ApiState, tenant: TenantId, agent: AgentId) -> Result<(), Problem> {
    let row = state.store.agent(tenant, agent).await?;
    if row.is_some_and(|row| row.active) {
        return Ok(());
    }
    Err(Problem::field("agent_id", "There is no such active agent here."))
}

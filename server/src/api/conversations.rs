//! Conversations: their state, and the acts that change it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use protocol::conversation::{ConversationState, Role};
use protocol::ids::{AgentId, ConversationId, SiteId, TagId, TenantId, VisitorId};
use protocol::message::{Author, Seq};
use protocol::personal::Personal;
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::messages::{MessageAuthor, Preview, preview};
use super::page::{Items, page};
use super::problem::Problem;
use super::request::{Asked, Body, Id};
use super::{ApiState, schema};
use crate::auth::Scope;
use crate::privacy::envelope::Placed;
use crate::privacy::gate::{Door, ReadGrant, Reader};
use crate::privacy::policy::SiteTimeline;
use crate::store::{ConversationFilter, ConversationRow, MarkRow, Sight, VisitorRow};

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
    #[schema(value_type = Option<u64>)]
    waiting_since: Option<UnixMillis>,
    #[schema(value_type = Option<u64>)]
    closed_at: Option<UnixMillis>,
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
    let page = page::<ConversationId>(query.limit, query.cursor.as_deref())?;
    let filter = ConversationFilter {
        state: query.state,
        live: false,
        site: query.site_id,
        visitor: query.visitor_id,
        assignee: query.assignee,
    };
    let rows = state.store.conversations(access.tenant, &filter, page).await?;
    let Items { items: rows, next_cursor } =
        Items::cut(rows, &page, |row| row.conversation, |row| row);
    let mut shaper = Shaper::new(&state, access.tenant).await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        items.push(shaper.shape(row).await?);
    }
    Ok(Json(Items { items, next_cursor }))
}

/// GET /v1/conversations/{conversation_id}
#[utoipa::path(get, path = "/v1/conversations/{conversation_id}", tag = "conversations",
    operation_id = "get_conversation", params(("conversation_id" = String, Path)),
    responses((status = 200, body = Conversation), (status = 404)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
) -> Result<Json<Conversation>, Problem> {
    access.need(Role::Agent, Scope::ConversationsRead)?;
    let row = find(&state, access.tenant, conversation).await?;
    let mut shaper = Shaper::new(&state, access.tenant).await?;
    Ok(Json(shaper.shape(row).await?))
}

/// POST /v1/conversations/{conversation_id}/close
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/close", tag = "conversations",
    operation_id = "close_conversation", params(("conversation_id" = String, Path)),
    responses((status = 204), (status = 404), (status = 409)))]
pub(crate) async fn close(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
) -> Result<StatusCode, Problem> {
    may_change(&state, &access, conversation).await?;
    state.live.close(&access.principal, conversation).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST /v1/conversations/{conversation_id}/reopen
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/reopen", tag = "conversations",
    operation_id = "reopen_conversation", params(("conversation_id" = String, Path)),
    responses((status = 204), (status = 404), (status = 409)))]
pub(crate) async fn reopen(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
) -> Result<StatusCode, Problem> {
    may_change(&state, &access, conversation).await?;
    state.live.reopen(&access.principal, conversation).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST /v1/conversations/{conversation_id}/assign
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/assign", tag = "conversations",
    operation_id = "assign_conversation", params(("conversation_id" = String, Path)),
    request_body = Assignment, responses((status = 204), (status = 404), (status = 409)))]
pub(crate) async fn assign(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
    Body { value: to, .. }: Body<Assignment>,
) -> Result<StatusCode, Problem> {
    may_change(&state, &access, conversation).await?;
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
    operation_id = "transfer_conversation", params(("conversation_id" = String, Path)),
    request_body = TransferTo, responses((status = 204), (status = 404), (status = 409)))]
pub(crate) async fn transfer(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
    Body { value: to, .. }: Body<TransferTo>,
) -> Result<StatusCode, Problem> {
    may_change(&state, &access, conversation).await?;
    colleague(&state, access.tenant, to.agent_id).await?;
    state.live.transfer(&access.principal, conversation, to.agent_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// PUT /v1/conversations/{conversation_id}/tags
#[utoipa::path(put, path = "/v1/conversations/{conversation_id}/tags", tag = "conversations",
    operation_id = "set_conversation_tags", params(("conversation_id" = String, Path)),
    request_body = ConversationTags, responses((status = 204), (status = 404), (status = 422)))]
pub(crate) async fn set_tags(
    State(state): State<ApiState>,
    access: Access,
    Id(conversation): Id<ConversationId>,
    Body { value: mut wanted, .. }: Body<ConversationTags>,
) -> Result<StatusCode, Problem> {
    may_change(&state, &access, conversation).await?;
    wanted.tags.sort_unstable();
    wanted.tags.dedup();
    if wanted.tags.len() > TAGS_MAX {
        return Err(Problem::field("tags", "At most 32 labels."));
    }
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

async fn may_change(
    state: &ApiState,
    access: &Access,
    conversation: ConversationId,
) -> Result<(), Problem> {
    access.need(Role::Agent, Scope::ConversationsWrite)?;
    find(state, access.tenant, conversation).await.map(drop)
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
}

impl<'a> Shaper<'a> {
    async fn new(state: &'a ApiState, tenant: TenantId) -> Result<Self, Problem> {
        let today = today(state).await?;
        Ok(Self { state, tenant, today, timelines: HashMap::new(), visitors: HashMap::new() })
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
            offline_message: row.offline_message,
            tags: row.tags,
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

//! Canned responses: what an agent says often, prepared; their own, and those that all agents
//! share.

use axum::response::Response;
use http::StatusCode;
use protocol::conversation::Role;
use protocol::ids::{AgentId, CannedResponseId};
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::idempotency::{Idempotency, Keep};
use super::json::{Answer, Json};
use super::page::Items;
use super::problem::{Problem, ProblemCode};
use super::request::{Body, Id, bounded, name};
use super::schema;
use crate::privacy::audit::{Act, Action, ObjectKind};
use crate::store::{CannedResponseRow, CannedWords, Change};

pub(super) const SHORTCUT_CHARS_MAX: usize = 32;
pub(super) const TITLE_CHARS_MAX: usize = 80;
pub(super) const TEXT_CHARS_MAX: usize = 4_000;

/// Canned responses that one agent may see: the shared ones and their own.
const RESPONSES_MAX: usize = 500;

/// A prepared answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CannedResponse {
    #[schema(schema_with = schema::canned_response_id)]
    canned_response_id: CannedResponseId,
    /// Only the agent who made it sees it.
    personal: bool,
    /// What an agent types to find it.
    shortcut: String,
    title: String,
    text: String,
    /// How often it was used.
    used: u64,
}

/// A new one.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCannedResponse {
    #[serde(default)]
    personal: bool,
    shortcut: String,
    title: String,
    text: String,
}

/// What to change of one.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CannedResponseChange {
    shortcut: Option<String>,
    title: Option<String>,
    text: Option<String>,
}

/// What is kept of the answer to a create: nobody's words.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Made {
    canned_response: CannedResponseId,
}

impl From<CannedResponseRow> for CannedResponse {
    fn from(row: CannedResponseRow) -> Self {
        let (personal, words) = (row.is_personal(), row.words);
        let CannedWords { shortcut, title, text } = words.into_exposed();
        let (canned_response_id, used) = (row.canned_response, row.used);
        Self { canned_response_id, personal, shortcut, title, text, used }
    }
}

/// What this agent may see, the oldest first.
async fn seen_by(access: &Access) -> Result<Vec<CannedResponseRow>, Problem> {
    let agent = access.person()?.agent.agent;
    let mut rows = access.state.store.canned_responses(access.tenant).await?;
    rows.retain(|row| row.may_be_seen_by(agent));
    Ok(rows)
}

fn act(access: &Access, action: Action, id: CannedResponseId) -> Act {
    access.act(action).on(ObjectKind::CannedResponse, *id.as_bytes())
}

async fn find(access: &Access, id: CannedResponseId) -> Result<CannedResponseRow, Problem> {
    let rows = seen_by(access).await?;
    let row = rows.into_iter().find(|row| row.canned_response == id);
    row.ok_or_else(|| Problem::not_found("canned response"))
}

/// Their own are an agent's alone; what all share is a supervisor's to change.
fn may_change(access: &Access, personal: bool) -> Result<AgentId, Problem> {
    let agent = &access.person()?.agent;
    if personal || agent.role >= Role::Supervisor {
        return Ok(agent.agent);
    }
    let words = format!("This needs the role `{}`.", Role::Supervisor.word());
    Err(Problem::new(ProblemCode::Forbidden, words))
}

fn words(shortcut: &str, title: &str, text: &str) -> Result<CannedWords, Problem> {
    let shortcut = name("shortcut", shortcut, SHORTCUT_CHARS_MAX)?;
    let title = name("title", title, TITLE_CHARS_MAX)?;
    if protocol::visible::name(text).is_empty() {
        return Err(Problem::field("text", "This field must not be empty."));
    }
    bounded("text", text, TEXT_CHARS_MAX)?;
    Ok(CannedWords { shortcut, title, text: text.to_owned() })
}

/// No two that one agent sees have a shortcut alike.
fn is_free(rows: &[CannedResponseRow], new: &CannedResponseRow) -> Result<(), Problem> {
    let key = |row: &CannedResponseRow| protocol::visible::key(&row.words.expose().shortcut);
    let others = rows.iter().filter(|row| row.canned_response != new.canned_response);
    match others.map(key).any(|other| other == key(new)) {
        true => Err(Problem::new(ProblemCode::Exists, "There is one with this shortcut.")
            .naming("shortcut")),
        false => Ok(()),
    }
}

/// GET /v1/canned-responses
#[utoipa::path(get, path = "/v1/canned-responses", tag = "canned-responses",
    operation_id = "list_canned_responses",
    responses((status = 200, body = Items<CannedResponse>)))]
pub(crate) async fn list(access: Access) -> Answer<Items<CannedResponse>> {
    let rows = seen_by(&access).await?;
    Ok(Json(Items::all(rows.into_iter().map(CannedResponse::from).collect())))
}

/// POST /v1/canned-responses
#[utoipa::path(post, path = "/v1/canned-responses", tag = "canned-responses",
    operation_id = "create_canned_response", request_body = NewCannedResponse,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = CannedResponse), (status = 403), (status = 409)))]
pub(crate) async fn create(
    access: Access,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewCannedResponse>,
) -> Result<Response, Problem> {
    let state = &access.state;
    let agent = may_change(&access, new.personal)?;
    // Looked for and stored with nobody between.
    let _id_lock = state.changes.of(access.tenant.as_bytes()).await;
    let make = async |keep: Option<Keep>| {
        let words = words(&new.shortcut, &new.title, &new.text)?;
        let rows = seen_by(&access).await?;
        if rows.len() >= RESPONSES_MAX {
            let words = "There are 500 canned responses. Delete some first.";
            return Err(Problem::new(ProblemCode::LimitReached, words));
        }
        let id = CannedResponseId::from_uuid(state.new_uuid());
        let owner = new.personal.then_some(agent);
        let row = CannedResponseRow::new(id, access.tenant, owner, words, state.now());
        is_free(&rows, &row)?;
        let made = Made { canned_response: id };
        let mut records = vec![Change::create(row)];
        records.extend(keep.map(|keep| keep.record(&made)).transpose()?);
        state.carry_out(act(&access, Action::CannedCreated, id), records).await?;
        Ok(made)
    };
    let show = async |Made { canned_response }| {
        Ok(CannedResponse::from(find(&access, canned_response).await?))
    };
    once.once_shown(state, (access.tenant, &access.owner()), &bytes, make, show).await
}

/// GET /v1/canned-responses/{canned_response_id}
#[utoipa::path(get, path = "/v1/canned-responses/{canned_response_id}", tag = "canned-responses",
    operation_id = "get_canned_response", params(("canned_response_id" = String, Path)),
    responses((status = 200, body = CannedResponse), (status = 404)))]
pub(crate) async fn get(access: Access, Id(id): Id<CannedResponseId>) -> Answer<CannedResponse> {
    Ok(Json(CannedResponse::from(find(&access, id).await?)))
}

/// PATCH /v1/canned-responses/{canned_response_id}
#[utoipa::path(patch, path = "/v1/canned-responses/{canned_response_id}", tag = "canned-responses",
    operation_id = "update_canned_response", params(("canned_response_id" = String, Path)),
    request_body = CannedResponseChange,
    responses((status = 200, body = CannedResponse), (status = 403), (status = 404), (status = 409)))]
pub(crate) async fn update(
    access: Access,
    Id(id): Id<CannedResponseId>,
    Body { value: change, .. }: Body<CannedResponseChange>,
) -> Answer<CannedResponse> {
    let state = &access.state;
    let _id_lock = state.changes.of(access.tenant.as_bytes()).await;
    let known = find(&access, id).await?;
    may_change(&access, known.is_personal())?;
    let before = known.words.expose().clone();
    let words = words(
        change.shortcut.as_deref().unwrap_or(&before.shortcut),
        change.title.as_deref().unwrap_or(&before.title),
        change.text.as_deref().unwrap_or(&before.text),
    )?;
    let row = known.with_words(words);
    is_free(&seen_by(&access).await?, &row)?;
    let columns = &["words", "shortcut_hash"];
    let act = act(&access, Action::CannedChanged, id);
    state.carry_out(act, vec![Change::update(row.clone(), columns)]).await?;
    Ok(Json(CannedResponse::from(row)))
}

/// DELETE /v1/canned-responses/{canned_response_id}
#[utoipa::path(delete, path = "/v1/canned-responses/{canned_response_id}",
    tag = "canned-responses", operation_id = "delete_canned_response",
    params(("canned_response_id" = String, Path)),
    responses((status = 204), (status = 403), (status = 404)))]
pub(crate) async fn delete(
    access: Access,
    Id(id): Id<CannedResponseId>,
) -> Result<StatusCode, Problem> {
    let state = &access.state;
    let _id_lock = state.changes.of(access.tenant.as_bytes()).await;
    let known = find(&access, id).await?;
    may_change(&access, known.is_personal())?;
    state.carry_out(act(&access, Action::CannedDeleted, id), vec![Change::remove(known)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST /v1/canned-responses/{canned_response_id}/use
#[utoipa::path(post, path = "/v1/canned-responses/{canned_response_id}/use",
    tag = "canned-responses", operation_id = "use_canned_response",
    params(("canned_response_id" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn count(
    access: Access,
    Id(id): Id<CannedResponseId>,
) -> Result<StatusCode, Problem> {
    let state = &access.state;
    let _id_lock = state.changes.of(access.tenant.as_bytes()).await;
    let mut row = find(&access, id).await?;
    row.used = row.used.saturating_add(1);
    state.count_up(Change::update(row, &["used"])).await?;
    Ok(StatusCode::NO_CONTENT)
}

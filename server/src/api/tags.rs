//! Labels for conversations.

use axum::response::Response;
use http::StatusCode;
use protocol::conversation::Role;
use protocol::ids::TagId;
use protocol::visible;
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::idempotency::Idempotency;
use super::json::{Answer, Json};
use super::page::Items;
use super::problem::{Problem, ProblemCode};
use super::request::{Body, Id, name};
use super::schema;
use crate::auth::Scope;
use crate::privacy::audit::{Action, ObjectKind};
use crate::store::{Change, TagRow};

pub(super) const NAME_CHARS_MAX: usize = 50;

/// Labels of one Organization.
const TAGS_MAX: usize = 500;

/// A label.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Tag {
    #[schema(schema_with = schema::tag_id)]
    tag_id: TagId,
    name: String,
}

/// A new label.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTag {
    name: String,
}

/// What to change of a label.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TagChange {
    name: Option<String>,
}

impl From<TagRow> for Tag {
    fn from(row: TagRow) -> Self {
        Self { tag_id: row.tag, name: row.name }
    }
}

/// GET /v1/tags
#[utoipa::path(get, path = "/v1/tags", tag = "tags", operation_id = "list_tags",
    responses((status = 200, body = Items<Tag>)))]
pub(crate) async fn list(access: Access) -> Answer<Items<Tag>> {
    access.need(Role::Agent, Scope::TagsRead)?;
    let rows = access.state.store.tags(access.tenant).await?;
    Ok(Json(Items::all(rows.into_iter().map(Tag::from).collect())))
}

/// POST /v1/tags
#[utoipa::path(post, path = "/v1/tags", tag = "tags", operation_id = "create_tag",
    request_body = NewTag, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Tag), (status = 403), (status = 409)))]
pub(crate) async fn create(
    access: Access,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewTag>,
) -> Result<Response, Problem> {
    let state = &access.state;
    access.need(Role::Supervisor, Scope::TagsWrite)?;
    // Looked for and stored with nobody between.
    let _id_lock = state.changes.of(access.tenant.as_bytes()).await;
    let create = async {
        let name = name("name", &new.name, NAME_CHARS_MAX)?;
        let rows = state.store.tags(access.tenant).await?;
        if rows.len() >= TAGS_MAX {
            return Err(Problem::new(
                ProblemCode::LimitReached,
                "There are 500 labels. Delete some first.",
            ));
        }
        let tag = TagId::from_uuid(state.new_uuid());
        let row = TagRow { tag, tenant: access.tenant, name };
        is_free(&rows, &row)?;
        let act = access.act(Action::TagCreated).on(ObjectKind::Tag, *tag.as_bytes());
        Ok((act, vec![Change::create(row.clone())], Tag::from(row)))
    };
    once.once(state, access.tenant, &access.owner(), &bytes, create).await
}

/// GET /v1/tags/{tag_id}
#[utoipa::path(get, path = "/v1/tags/{tag_id}", tag = "tags", operation_id = "get_tag",
    params(("tag_id" = String, Path)), responses((status = 200, body = Tag), (status = 404)))]
pub(crate) async fn get(access: Access, Id(tag): Id<TagId>) -> Answer<Tag> {
    access.need(Role::Agent, Scope::TagsRead)?;
    Ok(Json(Tag::from(find(&access, tag).await?)))
}

async fn find(access: &Access, tag: TagId) -> Result<TagRow, Problem> {
    let mut rows = access.state.store.tags(access.tenant).await?.into_iter();
    rows.find(|row| row.tag == tag).ok_or_else(|| Problem::not_found("label"))
}

/// PATCH /v1/tags/{tag_id}
#[utoipa::path(patch, path = "/v1/tags/{tag_id}", tag = "tags", operation_id = "update_tag",
    params(("tag_id" = String, Path)), request_body = TagChange,
    responses((status = 200, body = Tag), (status = 404), (status = 409)))]
pub(crate) async fn update(
    access: Access,
    Id(tag): Id<TagId>,
    Body { value: change, .. }: Body<TagChange>,
) -> Answer<Tag> {
    let state = &access.state;
    access.need(Role::Supervisor, Scope::TagsWrite)?;
    let _id_lock = state.changes.of(access.tenant.as_bytes()).await;
    let rows = state.store.tags(access.tenant).await?;
    let known = rows.iter().find(|row| row.tag == tag);
    let known = known.ok_or_else(|| Problem::not_found("label"))?;
    let Some(text) = change.name else { return Ok(Json(Tag::from(known.clone()))) };
    let row = TagRow { name: name("name", &text, NAME_CHARS_MAX)?, ..known.clone() };
    is_free(&rows, &row)?;
    if row != *known {
        let act = access.act(Action::TagChanged).on(ObjectKind::Tag, *tag.as_bytes());
        state.carry_out(act, vec![Change::update(row.clone(), &["name"])]).await?;
        state.live.label_changed(access.tenant, tag, false).await?;
    }
    Ok(Json(Tag::from(row)))
}

/// No two labels look alike.
fn is_free(rows: &[TagRow], new: &TagRow) -> Result<(), Problem> {
    let key = visible::key(&new.name);
    if rows.iter().any(|row| row.tag != new.tag && visible::key(&row.name) == key) {
        let taken = Problem::new(ProblemCode::Exists, "There is a label of this name.");
        return Err(taken.naming("name"));
    }
    Ok(())
}

/// DELETE /v1/tags/{tag_id}
#[utoipa::path(delete, path = "/v1/tags/{tag_id}", tag = "tags", operation_id = "delete_tag",
    params(("tag_id" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn delete(access: Access, Id(tag): Id<TagId>) -> Result<StatusCode, Problem> {
    let state = &access.state;
    access.need(Role::Supervisor, Scope::TagsWrite)?;
    let _id_lock = state.changes.of(access.tenant.as_bytes()).await;
    let row = find(&access, tag).await?;
    // Off every conversation first: whoever asks again after a failure finds the label, and goes
    // on.
    state.live.label_changed(access.tenant, tag, true).await?;
    let act = access.act(Action::TagDeleted).on(ObjectKind::Tag, *tag.as_bytes());
    state.carry_out(act, vec![Change::remove(row)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

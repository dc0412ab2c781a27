//! Labels for conversations.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use protocol::conversation::Role;
use protocol::ids::TagId;
use protocol::visible;
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::idempotency::Idempotency;
use super::page::Items;
use super::problem::{Problem, ProblemCode};
use super::request::{Body, Id, name};
use super::{ApiState, schema};
use crate::auth::Scope;
use crate::store::{Record, TagRow};

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

impl From<TagRow> for Tag {
    fn from(row: TagRow) -> Self {
        Self { tag_id: row.tag, name: row.name }
    }
}

/// GET /v1/tags
#[utoipa::path(get, path = "/v1/tags", tag = "tags", operation_id = "list_tags",
    responses((status = 200, body = Items<Tag>)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    access: Access,
) -> Result<Json<Items<Tag>>, Problem> {
    access.need(Role::Agent, Scope::TagsRead)?;
    let rows = state.store.tags(access.tenant).await?;
    Ok(Json(Items::all(rows.into_iter().map(Tag::from).collect())))
}

/// POST /v1/tags
#[utoipa::path(post, path = "/v1/tags", tag = "tags", operation_id = "create_tag",
    request_body = NewTag, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Tag), (status = 403), (status = 409)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    access: Access,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewTag>,
) -> Result<Response, Problem> {
    access.need(Role::Supervisor, Scope::TagsWrite)?;
    // Looked for and stored with nobody between.
    let _turn = state.changes.of(access.tenant.as_bytes()).await;
    let create = async {
        let name = name("name", &new.name, NAME_CHARS_MAX)?;
        let key = visible::key(&name);
        let rows = state.store.tags(access.tenant).await?;
        if rows.len() >= TAGS_MAX {
            return Err(Problem::new(
                ProblemCode::LimitReached,
                "There are 500 labels. Delete some first.",
            ));
        }
        if rows.iter().any(|row| visible::key(&row.name) == key) {
            return Err(
                Problem::new(ProblemCode::Exists, "There is a label of this name.").naming("name")
            );
        }
        let tag = TagId::from_uuid(state.new_uuid());
        let row = TagRow { tag, tenant: access.tenant, name };
        Ok((vec![Record::Tag(row.clone())], Tag::from(row)))
    };
    once.once(&state, access.tenant, &access.owner(), &bytes, create).await
}

/// DELETE /v1/tags/{tag_id}
#[utoipa::path(delete, path = "/v1/tags/{tag_id}", tag = "tags", operation_id = "delete_tag",
    params(("tag_id" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    access: Access,
    Id(tag): Id<TagId>,
) -> Result<StatusCode, Problem> {
    access.need(Role::Supervisor, Scope::TagsWrite)?;
    if !state.store.tags(access.tenant).await?.iter().any(|row| row.tag == tag) {
        return Err(Problem::not_found("label"));
    }
    state.store.tag_delete(access.tenant, tag).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Keys of the operator: their programs and people, each with the scopes it needs.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use protocol::ids::KeyId;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::access::OperatorAccess;
use super::idempotency::Idempotency;
use super::json::Json;
use super::keys::{IssuedKey, KEYS_MAX, Key, NAME_CHARS_MAX, check_scopes, too_many};
use super::page::Items;
use super::problem::{Problem, ProblemCode};
use super::request::{Body, Id, name};
use super::tenants::NO_TENANT;
use super::{ApiState, schema};
use crate::auth::{Scope, new_operator_key};
use crate::store::{KeyRow, Record};

/// A new key of the operator.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOperatorKey {
    name: String,
    /// At least one, and none that the key which asks does not have itself.
    #[schema(schema_with = schema::operator_scopes)]
    scopes: Vec<String>,
}

/// GET /v1/operator-keys
#[utoipa::path(get, path = "/v1/operator-keys", tag = "operator-keys",
    operation_id = "list_operator_keys", responses((status = 200, body = Items<Key>), (status = 403)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    access: OperatorAccess,
) -> Result<Json<Items<Key>>, Problem> {
    access.need(Scope::OperatorKeysManage)?;
    let rows = state.store.keys(None).await?;
    Ok(Json(Items::all(rows.into_iter().map(Key::from).collect())))
}

/// POST /v1/operator-keys
#[utoipa::path(post, path = "/v1/operator-keys", tag = "operator-keys",
    operation_id = "create_operator_key", request_body = NewOperatorKey,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = IssuedKey), (status = 403), (status = 409), (status = 422)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    access: OperatorAccess,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewOperatorKey>,
) -> Result<Response, Problem> {
    access.need(Scope::OperatorKeysManage)?;
    let create = async {
        let scopes = check_scopes(&new.scopes, Scope::OPERATOR)?;
        // Nobody gives what they do not have.
        for scope in Scope::OPERATOR.iter().filter(|scope| scope.is_in(&scopes)) {
            access.need_or_manage(*scope)?;
        }
        if state.store.keys(None).await?.len() >= KEYS_MAX {
            return Err(too_many());
        }
        let secret = new_operator_key();
        let row = KeyRow {
            key: KeyId::from_uuid(state.new_uuid()),
            tenant: None,
            name: name("name", &new.name, NAME_CHARS_MAX)?,
            scopes,
            secret: secret.hash,
            created_at: state.now(),
        };
        tracing::info!(key_id = %row.key, by_key_id = %access.key, "an operator key is made");
        let issued = IssuedKey::new(row.clone(), secret.text.expose_secret());
        Ok((vec![Record::Key(row)], issued))
    };
    once.once(&state, NO_TENANT, &access.key.to_string(), &bytes, create).await
}

/// DELETE /v1/operator-keys/{key_id}
#[utoipa::path(delete, path = "/v1/operator-keys/{key_id}", tag = "operator-keys",
    operation_id = "delete_operator_key", params(("key_id" = String, Path)),
    responses((status = 204), (status = 403), (status = 404), (status = 409)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    access: OperatorAccess,
    Id(key): Id<KeyId>,
) -> Result<StatusCode, Problem> {
    access.need(Scope::OperatorKeysManage)?;
    // Two that delete each other at the same time would leave nobody who can make another.
    let _turn = state.changes.of(NO_TENANT.as_bytes()).await;
    let rows = state.store.keys(None).await?;
    if !rows.iter().any(|row| row.key == key) {
        return Err(Problem::not_found("key"));
    }
    let manages = |row: &KeyRow| Scope::OperatorKeysManage.is_in(&row.scopes);
    if !rows.iter().any(|row| row.key != key && manages(row)) {
        return Err(Problem::new(
            ProblemCode::LastKey,
            "This is the last key that may manage operator keys. Make another one first.",
        ));
    }
    state.store.key_delete(None, key).await?;
    tracing::info!(key_id = %key, by_key_id = %access.key, "an operator key was deleted");
    Ok(StatusCode::NO_CONTENT)
}

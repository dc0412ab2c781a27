//! Keys of the operator: their programs and people, each with the scopes it needs.

use axum::response::Response;
use http::StatusCode;
use protocol::ids::KeyId;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::access::OperatorAccess;
use super::idempotency::Idempotency;
use super::json::{Answer, Json};
use super::keys::{IssuedKey, KEYS_MAX, Key, NAME_CHARS_MAX, check_scopes, too_many};
use super::page::Items;
use super::problem::{Problem, ProblemCode};
use super::request::{Body, Id, name};
use super::schema;
use super::tenants::NO_TENANT;
use crate::auth::{Scope, new_operator_key};
use crate::privacy::audit::{Action, ObjectKind};
use crate::store::{Change, KeyRow};

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
pub(crate) async fn list(access: OperatorAccess) -> Answer<Items<Key>> {
    access.need(Scope::OperatorKeysManage)?;
    let rows = access.state.store.keys(None).await?;
    Ok(Json(Items::all(rows.into_iter().map(Key::from).collect())))
}

/// POST /v1/operator-keys
#[utoipa::path(post, path = "/v1/operator-keys", tag = "operator-keys",
    operation_id = "create_operator_key", request_body = NewOperatorKey,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = IssuedKey), (status = 403), (status = 409), (status = 422)))]
pub(crate) async fn create(
    access: OperatorAccess,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewOperatorKey>,
) -> Result<Response, Problem> {
    let state = &access.state;
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
        let act = access.act(Action::KeyCreated).on(ObjectKind::Key, *row.key.as_bytes());
        Ok((act, vec![Change::create(row)], issued))
    };
    once.once(state, NO_TENANT, &access.key.to_string(), &bytes, create).await
}

/// DELETE /v1/operator-keys/{key_id}
#[utoipa::path(delete, path = "/v1/operator-keys/{key_id}", tag = "operator-keys",
    operation_id = "delete_operator_key", params(("key_id" = String, Path)),
    responses((status = 204), (status = 403), (status = 404), (status = 409)))]
pub(crate) async fn delete(
    access: OperatorAccess,
    Id(key): Id<KeyId>,
) -> Result<StatusCode, Problem> {
    let state = &access.state;
    access.need(Scope::OperatorKeysManage)?;
    // Two that delete each other at the same time would leave nobody who can make another.
    let _id_lock = state.changes.of(NO_TENANT.as_bytes()).await;
    let (mut gone, others): (Vec<_>, Vec<_>) =
        state.store.keys(None).await?.into_iter().partition(|row| row.key == key);
    let row = gone.pop().ok_or_else(|| Problem::not_found("key"))?;
    if !others.iter().any(|row| Scope::OperatorKeysManage.is_in(&row.scopes)) {
        return Err(Problem::new(
            ProblemCode::LastKey,
            "This is the last key that may manage operator keys. Make another one first.",
        ));
    }
    let act = access.act(Action::KeyDeleted).on(ObjectKind::Key, *key.as_bytes());
    state.carry_out(act, vec![Change::remove(row)]).await?;
    tracing::info!(key_id = %key, by_key_id = %access.key, "an operator key was deleted");
    Ok(StatusCode::NO_CONTENT)
}

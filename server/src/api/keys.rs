//! API keys: programs of an Organization, each with the scopes it needs.

use axum::response::Response;
use http::StatusCode;
use protocol::conversation::Role;
use protocol::ids::KeyId;
use protocol::time::UnixMillis;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::idempotency::Idempotency;
use super::json::{Answer, Json};
use super::page::Items;
use super::problem::{Problem, ProblemCode};
use super::request::{Body, Id, name};
use super::schema;
use crate::auth::{Scope, new_tenant_key};
use crate::privacy::audit::{Action, ObjectKind};
use crate::store::{Change, KeyRow};

/// Characters of a key's name.
pub(crate) const NAME_CHARS_MAX: usize = 100;

/// Keys of one Organization, and of the operator.
pub(crate) const KEYS_MAX: usize = 100;

/// An API key without its text.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Key {
    #[schema(schema_with = schema::key_id)]
    key_id: KeyId,
    name: String,
    scopes: Vec<String>,
    #[schema(value_type = u64)]
    created_at: UnixMillis,
}

/// A new key.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    name: String,
    /// At least one.
    #[schema(schema_with = schema::tenant_scopes)]
    scopes: Vec<String>,
}

/// A new key with its text.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct IssuedKey {
    #[serde(flatten)]
    key: Key,
    /// Shown now and never again: `Authorization: Bearer …`.
    text: String,
}

impl IssuedKey {
    pub(crate) fn new(row: KeyRow, text: &str) -> Self {
        Self { key: Key::from(row), text: text.to_owned() }
    }
}

impl From<KeyRow> for Key {
    fn from(row: KeyRow) -> Self {
        Self { key_id: row.key, name: row.name, scopes: row.scopes, created_at: row.created_at }
    }
}

/// GET /v1/keys
#[utoipa::path(get, path = "/v1/keys", tag = "keys", operation_id = "list_keys",
    responses((status = 200, body = Items<Key>), (status = 403)))]
pub(crate) async fn list(access: Access) -> Answer<Items<Key>> {
    admin(&access)?;
    let rows = access.state.store.keys(Some(access.tenant)).await?;
    Ok(Json(Items::all(rows.into_iter().map(Key::from).collect())))
}

/// POST /v1/keys
#[utoipa::path(post, path = "/v1/keys", tag = "keys", operation_id = "create_key",
    request_body = NewKey, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = IssuedKey), (status = 403), (status = 422)))]
pub(crate) async fn create(
    access: Access,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewKey>,
) -> Result<Response, Problem> {
    let state = &access.state;
    admin(&access)?;
    let create = async {
        let scopes = check_scopes(&new.scopes, Scope::TENANT)?;
        if state.store.keys(Some(access.tenant)).await?.len() >= KEYS_MAX {
            return Err(too_many());
        }
        let secret = new_tenant_key();
        let row = KeyRow {
            key: KeyId::from_uuid(state.new_uuid()),
            tenant: Some(access.tenant),
            name: name("name", &new.name, NAME_CHARS_MAX)?,
            scopes,
            secret: secret.hash,
            created_at: state.now(),
        };
        let issued = IssuedKey::new(row.clone(), secret.text.expose_secret());
        let act = access.act(Action::KeyCreated).on(ObjectKind::Key, *row.key.as_bytes());
        Ok((act, vec![Change::create(row)], issued))
    };
    once.once(state, access.tenant, &access.owner(), &bytes, create).await
}

/// DELETE /v1/keys/{key_id}
#[utoipa::path(delete, path = "/v1/keys/{key_id}", tag = "keys", operation_id = "delete_key",
    params(("key_id" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn delete(access: Access, Id(key): Id<KeyId>) -> Result<StatusCode, Problem> {
    admin(&access)?;
    let mut rows = access.state.store.keys(Some(access.tenant)).await?.into_iter();
    let row = rows.find(|row| row.key == key).ok_or_else(|| Problem::not_found("key"))?;
    let act = access.act(Action::KeyDeleted).on(ObjectKind::Key, *key.as_bytes());
    access.state.carry_out(act, vec![Change::remove(row)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// People alone: a key that could make keys would have every scope.
fn admin(access: &Access) -> Result<(), Problem> {
    if access.person()?.agent.role == Role::Admin {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::Forbidden, "This needs the role `admin`."))
}

/// There are as many keys as may be.
pub(crate) fn too_many() -> Problem {
    Problem::new(ProblemCode::LimitReached, "There are 100 keys. Delete some first.")
}

/// Known scopes, each once, at least one.
pub(crate) fn check_scopes(given: &[String], allowed: &[Scope]) -> Result<Vec<String>, Problem> {
    let known = |scope: &String| allowed.iter().any(|known| known.word() == scope);
    if given.is_empty() || given.len() > Scope::ALL.len() || !given.iter().all(known) {
        let words: Vec<&str> = allowed.iter().map(|scope| scope.word()).collect();
        return Err(Problem::field("scopes", format!("One or more of {}.", words.join(", "))));
    }
    // In the order of the list, whatever the order given.
    Ok(allowed.iter().map(|s| s.word().to_owned()).filter(|word| given.contains(word)).collect())
}

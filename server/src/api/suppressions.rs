//! Suppressions: who was erased and may not come back by themselves (SUPP-01, SUPP-02).
//!
//! Lives here: entries that are made, counted and lifted, and the refusal of whoever is suppressed.
//! Not here: the form in which identifiers are compared (`privacy/suppression`), visitors' contact
//! data (`hub`).

use axum::response::Response;
use http::StatusCode;
use protocol::conversation::Role;
use protocol::ids::{SuppressionId, TenantId};
use protocol::personal::Personal;
use protocol::time::UnixMillis;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::access::Access;
use super::idempotency::Idempotency;
use super::json::{Answer, Json};
use super::page::{Items, PageQuery};
use super::problem::{Problem, ProblemCode};
use super::request::{Asked, Body, bounded};
use super::{ApiState, schema};
use crate::auth::{Scope, normal_email};
use crate::metrics::Suppressed;
use crate::privacy::audit::{Act, Action, ObjectKind};
use crate::privacy::suppression::{Identifier, IdentifierKind, SuppressionBasis};
use crate::store::{Change, InvitationRow, StoreError, SuppressionRow};

/// Characters of an identifier.
pub(super) const IDENTIFIER_CHARS_MAX: usize = 1_000;

/// Characters of what somebody proved an identifier by.
pub(super) const PROOF_CHARS_MAX: usize = 1_000;

/// That somebody is suppressed; not who.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Suppression {
    #[schema(schema_with = schema::suppression_id)]
    suppression_id: SuppressionId,
    #[schema(schema_with = kinds)]
    kind: &'static str,
    #[schema(schema_with = bases)]
    basis: &'static str,
    #[schema(value_type = u64)]
    created_at: UnixMillis,
    /// When it is to be looked at again whether the basis still holds. It does not end by itself.
    #[schema(value_type = u64)]
    review_at: UnixMillis,
}

/// Whom to suppress.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSuppression {
    #[schema(schema_with = kinds)]
    kind: Kind,
    /// An e-mail address, a phone number, the id in another application, or a name to sign in
    /// with. It is not kept.
    #[schema(value_type = String)]
    identifier: Personal<String>,
    #[schema(schema_with = bases)]
    basis: Basis,
}

/// What is no longer to be suppressed.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lift {
    #[schema(schema_with = kinds)]
    kind: Kind,
    #[schema(value_type = String)]
    identifier: Personal<String>,
    /// How the person proved that the identifier is theirs.
    #[schema(value_type = String)]
    proof: Personal<String>,
}

/// A word of a closed list.
macro_rules! word {
    ($name:ident, $of:ident, $schema:ident) => {
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name($of);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                let known = $of::from_word(&word).map(Self);
                known.ok_or_else(|| de::Error::custom("none of the words that it can be"))
            }
        }

        fn $schema() -> utoipa::openapi::schema::Object {
            utoipa::openapi::schema::ObjectBuilder::new()
                .schema_type(utoipa::openapi::schema::Type::String)
                .enum_values(Some($of::ALL.iter().map(|one| one.word())))
                .build()
        }
    };
}

word!(Kind, IdentifierKind, kinds);
word!(Basis, SuppressionBasis, bases);

impl From<SuppressionRow> for Suppression {
    fn from(row: SuppressionRow) -> Self {
        let SuppressionRow { suppression, kind, basis, created_at, review_at, .. } = row;
        let (kind, basis) = (kind.word(), basis.word());
        Self { suppression_id: suppression, kind, basis, created_at, review_at }
    }
}

/// GET /v1/suppressions
#[utoipa::path(get, path = "/v1/suppressions", tag = "suppressions",
    operation_id = "list_suppressions", params(PageQuery),
    responses((status = 200, body = Items<Suppression>), (status = 403)))]
pub(crate) async fn list(
    access: Access,
    Asked(query): Asked<PageQuery>,
) -> Answer<Items<Suppression>> {
    access.need(Role::Admin, Scope::SuppressionsRead)?;
    let page = query.parse()?;
    let rows = access.state.store.suppressions(access.tenant, page).await?;
    Ok(Json(Items::cut(rows, &page, |row| row.suppression, Suppression::from)))
}

/// POST /v1/suppressions
#[utoipa::path(post, path = "/v1/suppressions", tag = "suppressions",
    operation_id = "create_suppression", request_body = NewSuppression,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Suppression), (status = 403)))]
pub(crate) async fn create(
    access: Access,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewSuppression>,
) -> Result<Response, Problem> {
    access.need(Role::Admin, Scope::SuppressionsWrite)?;
    let (state, tenant) = (&access.state, access.tenant);
    let _id_lock = state.changes.of(tenant.as_bytes()).await;
    let make = || async {
        let identifier = identifier(new.kind.0, &new.identifier)?;
        if let Some(there) = state.store.suppression(tenant, &identifier).await? {
            let act = act(&access, Action::SuppressionAdded, there.suppression);
            return Ok((act, Vec::new(), Suppression::from(there)));
        }
        let id = SuppressionId::from_uuid(state.new_uuid());
        let row = SuppressionRow::new(id, tenant, &identifier, new.basis.0, None, state.now());
        // Their links answer as any link that was withdrawn.
        let mut changes = invitations_of(state, tenant, &identifier).await?;
        changes.push(Change::create(row.clone()));
        Ok((act(&access, Action::SuppressionAdded, id), changes, Suppression::from(row)))
    };
    let owner = access.owner();
    match once.once(state, tenant, &owner, &bytes, make()).await {
        // By another node, meanwhile.
        Err(problem) if problem.is(ProblemCode::Exists) => {
            once.once(state, tenant, &owner, &bytes, make()).await
        }
        done => done,
    }
}

/// POST /v1/suppressions/lift
#[utoipa::path(post, path = "/v1/suppressions/lift", tag = "suppressions",
    operation_id = "lift_suppression", request_body = Lift,
    responses((status = 204), (status = 403), (status = 404)))]
pub(crate) async fn lift(
    access: Access,
    Body { value: lift, .. }: Body<Lift>,
) -> Result<StatusCode, Problem> {
    access.need(Role::Admin, Scope::SuppressionsWrite)?;
    let (state, tenant) = (&access.state, access.tenant);
    let identifier = identifier(lift.kind.0, &lift.identifier)?;
    if protocol::visible::is_blank(lift.proof.expose()) {
        return Err(Problem::field("proof", "Say how the person proved that it is theirs."));
    }
    bounded("proof", lift.proof.expose(), PROOF_CHARS_MAX)?;
    let _id_lock = state.changes.of(tenant.as_bytes()).await;
    let row = state.store.suppression(tenant, &identifier).await?;
    let row = row.ok_or_else(|| Problem::not_found("suppression"))?;
    let act = act(&access, Action::SuppressionRemoved, row.suppression);
    state.carry_out(act, vec![Change::remove(row)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn act(access: &Access, action: Action, id: SuppressionId) -> Act {
    access.act(action).on(ObjectKind::Suppression, *id.as_bytes())
}

/// Refuses whoever this Organization may not take in again; counted.
pub(super) async fn refuse_suppressed(
    state: &ApiState,
    tenant: TenantId,
    email: &Personal<String>,
) -> Result<(), Problem> {
    if !is_suppressed(state, tenant, email).await? {
        return Ok(());
    }
    let words = "Whoever has this e-mail address asked not to be taken in again. They themselves can have that lifted.";
    Err(Problem::new(ProblemCode::Suppressed, words).naming("email"))
}

/// Whether an address is one of theirs; counted where it is.
pub(super) async fn is_suppressed(
    state: &ApiState,
    tenant: TenantId,
    email: &Personal<String>,
) -> Result<bool, StoreError> {
    let Some(identifier) = Identifier::of(IdentifierKind::Email, email.expose()) else {
        return Ok(false);
    };
    let is_there = state.store.suppression(tenant, &identifier).await?.is_some();
    if is_there {
        state.metrics.suppressions_refused_total.of(Suppressed::Email).inc();
    }
    Ok(is_there)
}

/// What was sent, as it is compared.
fn identifier(kind: IdentifierKind, text: &Personal<String>) -> Result<Identifier, Problem> {
    let text = text.expose();
    bounded("identifier", text, IDENTIFIER_CHARS_MAX)?;
    let found = match kind {
        // What people paste is taken as it is at sign-in.
        IdentifierKind::Email => {
            let email = normal_email(text).ok();
            email.and_then(|email| Identifier::of(kind, email.expose()))
        }
        IdentifierKind::Phone | IdentifierKind::ExternalId | IdentifierKind::Username => {
            Identifier::of(kind, text)
        }
    };
    found.ok_or_else(|| Problem::field("identifier", "This is no identifier of the kind."))
}

/// Ends the open invitations of whoever this is.
async fn invitations_of(
    state: &ApiState,
    tenant: TenantId,
    identifier: &Identifier,
) -> Result<Vec<Change>, StoreError> {
    let is_theirs = |row: &InvitationRow| {
        let of = Identifier::of(IdentifierKind::Email, row.email.expose());
        of.is_some_and(|of| of == *identifier)
    };
    let rows = state.store.invitations(tenant).await?;
    Ok(rows.into_iter().filter(is_theirs).map(Change::remove).collect())
}

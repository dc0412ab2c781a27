//! Invitations: how an Organization gets its agents. The link is shown once and holds for a week.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use protocol::conversation::{Availability, Role};
use protocol::ids::{AgentId, InvitationId, TenantId};
use protocol::personal::Personal;
use protocol::time::UnixMillis;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::access::{Access, Anyone};
use super::agents::NAME_CHARS_MAX;
use super::idempotency::Idempotency;
use super::json::{Answer, Json};
use super::page::Items;
use super::problem::{Problem, ProblemCode};
use super::request::{Body, Id, Secret, name};
use super::sessions::{self, ACCOUNTS_MAX, Proof, Session};
use super::suppressions::{is_suppressed, refuse_suppressed};
use super::{ApiState, schema};
use crate::auth::{Scope, issue, normal_email, token_hash};
use crate::privacy::audit::{Act, Action, Actor, ActorKind, ChainId, Detail, ObjectKind};
use crate::store::{AgentRow, Change, InvitationRow};

/// Milliseconds that an invitation holds: a week.
const INVITATION_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Open invitations of one Organization.
const OPEN_MAX: usize = 200;

/// Whom to invite, and as what.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvitation {
    #[schema(value_type = String)]
    pub(crate) email: Personal<String>,
    #[schema(schema_with = schema::role)]
    pub(crate) role: Role,
}

/// A new invitation with its link.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct IssuedInvitation {
    #[schema(schema_with = schema::invitation_id)]
    invitation_id: InvitationId,
    #[schema(value_type = String)]
    email: Personal<String>,
    #[schema(schema_with = schema::role)]
    role: Role,
    /// Shown now and never again: whoever has it becomes the agent.
    #[schema(value_type = String)]
    link: Personal<String>,
    #[schema(value_type = u64)]
    expires_at: UnixMillis,
}

/// An open invitation.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Invitation {
    #[schema(schema_with = schema::invitation_id)]
    invitation_id: InvitationId,
    #[schema(value_type = String)]
    email: Personal<String>,
    #[schema(schema_with = schema::role)]
    role: Role,
    #[schema(value_type = u64)]
    created_at: UnixMillis,
    #[schema(value_type = u64)]
    expires_at: UnixMillis,
}

/// The end of an invitation's link.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationToken {
    #[schema(value_type = String)]
    token: Secret,
}

/// What an invitation says to whoever opens it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct InvitationView {
    tenant_name: String,
    #[schema(value_type = String)]
    email: Personal<String>,
    #[schema(schema_with = schema::role)]
    role: Role,
}

/// An invitation and who takes it.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acceptance {
    #[schema(value_type = String)]
    token: Secret,
    #[schema(value_type = String)]
    name: Personal<String>,
    /// 12 to 1000 characters.
    #[schema(value_type = String)]
    password: Secret,
}

/// GET /v1/invitations
#[utoipa::path(get, path = "/v1/invitations", tag = "invitations", operation_id = "list_invitations",
    responses((status = 200, body = Items<Invitation>), (status = 403)))]
pub(crate) async fn list(access: Access) -> Answer<Items<Invitation>> {
    access.need(Role::Admin, Scope::AgentsRead)?;
    let items = open(&access.state, access.tenant).await?.into_iter().map(|row| Invitation {
        invitation_id: row.invitation,
        email: row.email,
        role: row.role,
        created_at: row.created_at,
        expires_at: row.expires_at,
    });
    Ok(Json(Items::all(items.collect())))
}

/// POST /v1/invitations
///
/// A key invites agents and supervisors; admins are invited by people who signed in, and by the
/// operator.
#[utoipa::path(post, path = "/v1/invitations", tag = "invitations", operation_id = "create_invitation",
    request_body = NewInvitation, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = IssuedInvitation), (status = 403), (status = 409)))]
pub(crate) async fn create(
    access: Access,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewInvitation>,
) -> Result<Response, Problem> {
    access.need(Role::Admin, Scope::AgentsWrite)?;
    if new.role == Role::Admin {
        // A program that could make an admin could make itself keys of every scope.
        access.person()?;
    }
    let act = access.act(Action::InvitationCreated);
    let create = invite(&access.state, access.tenant, act, new);
    once.once(&access.state, access.tenant, &access.owner(), &bytes, create).await
}

/// An invitation and its link. An open one for the same address ends with it; a deactivated agent
/// may be invited again.
pub(crate) async fn invite(
    state: &ApiState,
    tenant: TenantId,
    act: Act,
    new: NewInvitation,
) -> Result<(Act, Vec<Change>, IssuedInvitation), Problem> {
    let email = normal_email(new.email.expose())?;
    let (former, others): (Vec<_>, Vec<_>) =
        open(state, tenant).await?.into_iter().partition(|row| row.email == email);
    if others.len() >= OPEN_MAX {
        return Err(Problem::new(
            ProblemCode::LimitReached,
            "There are 200 open invitations. Withdraw some first.",
        ));
    }
    refuse_suppressed(state, tenant, &email).await?;
    former_account(state, tenant, email.expose()).await?;
    let secret = issue("lhi_");
    let now = state.now();
    let row = InvitationRow {
        invitation: InvitationId::from_uuid(state.new_uuid()),
        tenant,
        email: email.clone(),
        role: new.role,
        secret: secret.hash,
        created_at: now,
        expires_at: now.plus_ms(INVITATION_MS),
    };
    let link =
        format!("{}/#/invitations/{}", state.public_url.as_str(), secret.text.expose_secret());
    let issued = IssuedInvitation {
        invitation_id: row.invitation,
        email,
        role: row.role,
        link: Personal::new(link),
        expires_at: row.expires_at,
    };
    let act = act
        .on(ObjectKind::Invitation, *row.invitation.as_bytes())
        .with(Detail::NewRole, row.role.code());
    let ends = former.into_iter().map(Change::remove);
    Ok((act, ends.chain([Change::create(row)]).collect(), issued))
}

/// DELETE /v1/invitations/{invitation_id}
#[utoipa::path(delete, path = "/v1/invitations/{invitation_id}", tag = "invitations",
    operation_id = "delete_invitation", params(("invitation_id" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn delete(
    access: Access,
    Id(invitation): Id<InvitationId>,
) -> Result<StatusCode, Problem> {
    access.need(Role::Admin, Scope::AgentsWrite)?;
    let mut all = access.state.store.invitations(access.tenant).await?.into_iter();
    let row = all.find(|row| row.invitation == invitation);
    let row = row.ok_or_else(|| Problem::not_found("invitation"))?;
    let act = access.act(Action::InvitationRevoked);
    let act = act.on(ObjectKind::Invitation, *invitation.as_bytes());
    access.state.carry_out(act, vec![Change::remove(row)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST /v1/invitations/lookup
#[utoipa::path(post, path = "/v1/invitations/lookup", tag = "invitations",
    operation_id = "lookup_invitation", request_body = InvitationToken,
    responses((status = 200, body = InvitationView), (status = 404)), security(()))]
pub(crate) async fn lookup(
    State(state): State<ApiState>,
    _: Anyone,
    Body { value: shown, .. }: Body<InvitationToken>,
) -> Result<Json<InvitationView>, Problem> {
    let row = by_token(&state, &shown.token).await?;
    let tenant = state.store.tenant(row.tenant).await?.ok_or_else(gone)?;
    Ok(Json(InvitationView { tenant_name: tenant.name, email: row.email, role: row.role }))
}

/// POST /v1/invitations/accept
#[utoipa::path(post, path = "/v1/invitations/accept", tag = "invitations",
    operation_id = "accept_invitation", request_body = Acceptance,
    responses((status = 201, body = Session), (status = 404), (status = 409), (status = 422)),
    security(()))]
pub(crate) async fn accept(
    State(state): State<ApiState>,
    anyone: Anyone,
    Body { value: taken, .. }: Body<Acceptance>,
) -> Result<Response, Problem> {
    let row = by_token(&state, &taken.token).await?;
    let agent_name = name("name", taken.name.expose(), NAME_CHARS_MAX)?;
    let password_hash = state.passwords.hash(taken.password.0).await?;
    let former = former_account(&state, row.tenant, row.email.expose()).await?;
    let fresh = || (AgentId::from_uuid(state.new_uuid()), state.now());
    let (agent, created_at) =
        former.as_ref().map_or_else(fresh, |former| (former.agent, former.created_at));
    let agent = AgentRow {
        agent,
        tenant: row.tenant,
        name: Personal::new(agent_name),
        email: row.email.clone(),
        role: row.role,
        active: true,
        capacity: state.agent_capacity,
        availability: Availability::Offline,
        password_hash: password_hash.clone(),
        created_at,
    };
    let mut taken = if former.is_some() {
        let password = AgentRow::password(agent.tenant, agent.agent, password_hash);
        std::iter::once(agent.clone().change()).chain(password).collect()
    } else {
        vec![Change::create(agent.clone())]
    };
    let actor = Actor::new(ActorKind::Agent, *agent.agent.as_bytes());
    let act = Act::new(ChainId::of(row.tenant), state.now(), actor, Action::InvitationAccepted)
        .on(ObjectKind::Invitation, *row.invitation.as_bytes())
        .on(ObjectKind::Agent, *agent.agent.as_bytes())
        .with(Detail::NewRole, row.role.code());
    taken.push(Change::audit(act));
    // Two at once: an invitation ends once, so one of them is refused.
    taken.push(Change::remove(row));
    sessions::begin(&state, agent, anyone, Proof::Invitation(taken)).await
}

/// The deactivated account that an invitation of this address brings back, if there is one. Refused
/// where the agent is active, and where the address has as many accounts as it may.
async fn former_account(
    state: &ApiState,
    tenant: TenantId,
    email: &str,
) -> Result<Option<AgentRow>, Problem> {
    let accounts = sessions::accounts(state, email).await?;
    let everywhere = accounts.len();
    match accounts.into_iter().find(|account| account.tenant == tenant) {
        Some(account) if account.active => Err(Problem::new(
            ProblemCode::Exists,
            "There is an agent with this e-mail address. If they forgot their password, make them a link \
             to set a new one.",
        )
        .naming("email")),
        None if everywhere >= ACCOUNTS_MAX => Err(Problem::new(
            ProblemCode::LimitReached,
            "This e-mail address has accounts in 64 Organizations. Use another.",
        )
        .naming("email")),
        deactivated => Ok(deactivated),
    }
}

async fn by_token(state: &ApiState, token: &Secret) -> Result<InvitationRow, Problem> {
    let hash = token_hash(token.0.expose_secret());
    let row = state.store.invitation_by_secret(hash).await?;
    let row = row.filter(|row| row.expires_at > state.now()).ok_or_else(gone)?;
    // Whoever holds the link is told what they are told of one that was withdrawn.
    if is_suppressed(state, row.tenant, &row.email).await? {
        return Err(gone());
    }
    Ok(row)
}

/// Those that still hold.
async fn open(state: &ApiState, tenant: TenantId) -> Result<Vec<InvitationRow>, Problem> {
    let now = state.now();
    let rows = state.store.invitations(tenant).await?;
    Ok(rows.into_iter().filter(|row| row.expires_at > now).collect())
}

fn gone() -> Problem {
    Problem::new(
        ProblemCode::InvitationGone,
        "This invitation was used or withdrawn, or its week is over. Ask for a new one.",
    )
}

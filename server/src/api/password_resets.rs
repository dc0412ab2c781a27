//! The way back from a forgotten password: a one-time link, made by an admin or the operator and
//! handed over by them. Whoever opens it sets a new password, and every session of the account
//! ends.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use protocol::conversation::Role;
use protocol::ids::{AgentId, TenantId};
use protocol::personal::Personal;
use protocol::time::UnixMillis;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::access::{Access, Anyone, OperatorAccess};
use super::json::Json;
use super::problem::{Problem, ProblemCode};
use super::request::{Body, Id, Secret};
use super::sessions::{self, Proof, Session};
use super::{ApiState, schema};
use crate::auth::{Scope, issue, token_hash};
use crate::privacy::audit::{Act, Action, Actor, ActorKind, ChainId, ObjectKind};
use crate::store::{AgentRow, Change, PasswordResetRow};

/// Milliseconds that a link holds: a day.
const PASSWORD_RESET_MS: u64 = 24 * 60 * 60 * 1000;

/// A link to set a new password.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct IssuedPasswordReset {
    #[schema(schema_with = schema::agent_id)]
    agent_id: AgentId,
    /// Shown now and never again: whoever has it sets the agent's password. A former link is void.
    #[schema(value_type = String)]
    link: Personal<String>,
    /// Unix milliseconds.
    #[schema(value_type = u64)]
    expires_at: UnixMillis,
}

/// Whose link it is to be.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgottenBy {
    /// The agent's e-mail address.
    #[schema(value_type = String)]
    email: Personal<String>,
}

/// The end of a link.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordResetToken {
    #[schema(value_type = String)]
    token: Secret,
}

/// What a link says to whoever opens it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct PasswordResetView {
    tenant_name: String,
    #[schema(value_type = String)]
    email: Personal<String>,
}

/// A link's end and the new password.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    #[schema(value_type = String)]
    token: Secret,
    /// 12 to 1000 characters.
    #[schema(value_type = String)]
    password: Secret,
}

/// POST /v1/agents/{agent_id}/password-reset
///
/// Makes a one-time link by which the agent sets a new password within a day. A key makes none for
/// an admin.
#[utoipa::path(post, path = "/v1/agents/{agent_id}/password-reset", tag = "agents",
    operation_id = "create_password_reset", params(("agent_id" = String, Path)),
    responses((status = 201, body = IssuedPasswordReset), (status = 403), (status = 404), (status = 409)))]
pub(crate) async fn create(access: Access, Id(agent): Id<AgentId>) -> Result<Response, Problem> {
    access.need(Role::Admin, Scope::AgentsWrite)?;
    let row = access.state.store.agent(access.tenant, agent).await?;
    let row = row.ok_or_else(|| Problem::not_found("agent"))?;
    if row.role == Role::Admin {
        // A program that could become an admin could make itself keys of every scope.
        access.person()?;
    }
    reset(&access.state, access.act(Action::PasswordResetCreated), row).await
}

/// POST /v1/tenants/{tenant_id}/password-resets
///
/// Makes a one-time link by which an agent sets a new password within a day: the way back for the
/// last admin.
#[utoipa::path(post, path = "/v1/tenants/{tenant_id}/password-resets", tag = "tenants",
    operation_id = "create_tenant_password_reset", request_body = ForgottenBy,
    params(("tenant_id" = String, Path)),
    responses((status = 201, body = IssuedPasswordReset), (status = 404), (status = 409), (status = 422)))]
pub(crate) async fn create_for_tenant(
    access: OperatorAccess,
    Id(tenant): Id<TenantId>,
    Body { value: by, .. }: Body<ForgottenBy>,
) -> Result<Response, Problem> {
    access.need(Scope::TenantsWrite)?;
    let accounts = sessions::accounts(&access.state, by.email.expose()).await?;
    let row = accounts.into_iter().find(|account| account.tenant == tenant);
    let act = access.act_on(tenant, Action::PasswordResetCreated);
    reset(&access.state, act, row.ok_or_else(|| Problem::not_found("agent"))?).await
}

async fn reset(state: &ApiState, act: Act, agent: AgentRow) -> Result<Response, Problem> {
    if !agent.active {
        return Err(Problem::new(
            ProblemCode::Conflict,
            "This agent is deactivated. Activate the account first, or invite them again.",
        ));
    }
    let secret = issue("lhp_");
    let now = state.now();
    let row = PasswordResetRow {
        tenant: agent.tenant,
        agent: agent.agent,
        secret: secret.hash,
        created_at: now,
        expires_at: now.plus_ms(PASSWORD_RESET_MS),
    };
    let act = act.on(ObjectKind::Agent, *row.agent.as_bytes());
    state.carry_out(act, vec![row.issue()]).await?;
    tracing::info!(agent_id = %row.agent, tenant_id = %row.tenant, "a link to set a new password was made");
    let link =
        format!("{}/#/password-resets/{}", state.public_url.as_str(), secret.text.expose_secret());
    let issued = IssuedPasswordReset {
        agent_id: row.agent,
        link: Personal::new(link),
        expires_at: row.expires_at,
    };
    Ok((StatusCode::CREATED, Json(issued)).into_response())
}

/// POST /v1/password-resets/lookup
#[utoipa::path(post, path = "/v1/password-resets/lookup", tag = "sessions",
    operation_id = "lookup_password_reset", request_body = PasswordResetToken,
    responses((status = 200, body = PasswordResetView), (status = 404)), security(()))]
pub(crate) async fn lookup(
    State(state): State<ApiState>,
    _: Anyone,
    Body { value: shown, .. }: Body<PasswordResetToken>,
) -> Result<Json<PasswordResetView>, Problem> {
    let (_, agent) = by_token(&state, &shown.token).await?;
    let tenant = state.store.tenant(agent.tenant).await?.ok_or_else(gone)?;
    Ok(Json(PasswordResetView { tenant_name: tenant.name, email: agent.email }))
}

/// POST /v1/password-resets/use
///
/// Sets the password, ends every session of the account and signs in.
#[utoipa::path(post, path = "/v1/password-resets/use", tag = "sessions",
    operation_id = "use_password_reset", request_body = NewPassword,
    responses((status = 201, body = Session), (status = 404), (status = 422)), security(()))]
pub(crate) async fn use_up(
    State(state): State<ApiState>,
    anyone: Anyone,
    Body { value: new, .. }: Body<NewPassword>,
) -> Result<Response, Problem> {
    let (link, agent) = by_token(&state, &new.token).await?;
    let password_hash = state
        .passwords
        .hash(new.password.0)
        .await
        .map_err(|error| Problem::from(error).of_field("password"))?;
    let PasswordResetRow { tenant, agent: id, .. } = link;
    // Two at once: a link ends once, so one of them is refused.
    let actor = Actor::new(ActorKind::Agent, *id.as_bytes());
    let act = Act::new(ChainId::of(tenant), state.now(), actor, Action::PasswordResetUsed);
    let act = act.on(ObjectKind::Agent, *id.as_bytes());
    let ends = [link.end(), Change::audit(act)].into_iter();
    let changes = ends.chain(AgentRow::password(tenant, id, password_hash)).collect();
    let answer = sessions::begin(&state, agent, anyone, Proof::Link(changes)).await?;
    tracing::info!(agent_id = %id, tenant_id = %tenant, "a password was set by a link");
    Ok(answer)
}

/// The link that holds, and whose it is.
async fn by_token(
    state: &ApiState,
    token: &Secret,
) -> Result<(PasswordResetRow, AgentRow), Problem> {
    let hash = token_hash(token.0.expose_secret());
    let row = state.store.password_reset_by_secret(hash).await?;
    let row = row.filter(|row| row.expires_at > state.now()).ok_or_else(gone)?;
    let agent = state.store.agent(row.tenant, row.agent).await?;
    agent.filter(|agent| agent.active).map(|agent| (row, agent)).ok_or_else(gone)
}

fn gone() -> Problem {
    Problem::new(
        ProblemCode::PasswordResetGone,
        "This link was used or replaced, or its day is over. Ask for a new one.",
    )
}

//! The people who answer.

use http::StatusCode;
use protocol::conversation::Role;
use protocol::ids::{AgentId, TenantId};
use protocol::limits::CAPACITY_MAX;
use protocol::personal::Personal;
use protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::ApiState;
use super::access::{Access, Anyone};
use super::json::{Answer, Json};
use super::lookups::all_ends;
use super::page::{Items, LIMIT_MAX, PageQuery};
use super::problem::{Problem, ProblemCode};
use super::request::{Asked, Body, Id, Secret, name};
use super::schema;
use super::suppressions::refuse_suppressed;
use crate::auth::{Scope, Trier, token_hash};
use crate::privacy::audit::{Action, Detail, ObjectKind};
use crate::store::{AgentRow, Page};

/// Characters of a name.
pub(crate) const NAME_CHARS_MAX: usize = 100;

/// An agent and their account.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Agent {
    #[schema(schema_with = schema::agent_id)]
    agent_id: AgentId,
    #[schema(value_type = String)]
    name: Personal<String>,
    #[schema(value_type = String)]
    email: Personal<String>,
    #[schema(schema_with = schema::role)]
    role: Role,
    state: AccountState,
    /// Conversations that they take at most.
    capacity: u16,
    #[schema(value_type = u64)]
    created_at: UnixMillis,
}

/// Whether they can sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AccountState {
    Active,
    Deactivated,
}

/// What to change; what is not given stays.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentChange {
    #[schema(value_type = Option<String>)]
    name: Option<Personal<String>>,
    #[schema(schema_with = schema::role)]
    #[serde(default)]
    role: Option<Role>,
    state: Option<AccountState>,
    capacity: Option<u16>,
}

/// A new password for oneself.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordChange {
    #[schema(value_type = String)]
    current_password: Secret,
    /// 12 to 1000 characters.
    #[schema(value_type = String)]
    new_password: Secret,
}

impl From<AgentRow> for Agent {
    fn from(row: AgentRow) -> Self {
        Self {
            agent_id: row.agent,
            name: row.name,
            email: row.email,
            role: row.role,
            state: if row.active { AccountState::Active } else { AccountState::Deactivated },
            capacity: row.capacity,
            created_at: row.created_at,
        }
    }
}

/// GET /v1/agents
#[utoipa::path(get, path = "/v1/agents", tag = "agents", operation_id = "list_agents",
    params(PageQuery), responses((status = 200, body = Items<Agent>)))]
pub(crate) async fn list(access: Access, Asked(query): Asked<PageQuery>) -> Answer<Items<Agent>> {
    access.need(Role::Agent, Scope::AgentsRead)?;
    let page = query.parse()?;
    let rows = access.state.store.agents(access.tenant, page).await?;
    Ok(Json(Items::cut(rows, &page, |row| row.agent, Agent::from)))
}

/// GET /v1/agents/{agent_id}
#[utoipa::path(get, path = "/v1/agents/{agent_id}", tag = "agents", operation_id = "get_agent",
    params(("agent_id" = String, Path)), responses((status = 200, body = Agent), (status = 404)))]
pub(crate) async fn get(access: Access, Id(agent): Id<AgentId>) -> Answer<Agent> {
    access.need(Role::Agent, Scope::AgentsRead)?;
    Ok(Json(Agent::from(find(&access.state, access.tenant, agent).await?)))
}

/// PATCH /v1/agents/{agent_id}
///
/// Role and state of an admin are changed by people who signed in, not by a key; so is who becomes
/// one.
#[utoipa::path(patch, path = "/v1/agents/{agent_id}", tag = "agents", operation_id = "update_agent",
    params(("agent_id" = String, Path)), request_body = AgentChange,
    responses((status = 200, body = Agent), (status = 403), (status = 404), (status = 409)))]
pub(crate) async fn update(
    access: Access,
    Id(agent): Id<AgentId>,
    Body { value: change, .. }: Body<AgentChange>,
) -> Answer<Agent> {
    let state = &access.state;
    let myself = access.signed_in.as_ref().is_some_and(|me| me.agent.agent == agent);
    let only_name = change.role.is_none() && change.state.is_none() && change.capacity.is_none();
    if !(myself && only_name) {
        access.need(Role::Admin, Scope::AgentsWrite)?;
    }
    let _id_lock = state.changes.of(access.tenant.as_bytes()).await;
    let mut row = find(state, access.tenant, agent).await?;
    let was = (row.role, row.active);
    if let Some(text) = &change.name {
        row.name = Personal::new(name("name", text.expose(), NAME_CHARS_MAX)?);
    }
    if let Some(capacity) = change.capacity {
        if capacity > CAPACITY_MAX {
            return Err(Problem::field("capacity", "0 to 100 conversations."));
        }
        row.capacity = capacity;
    }
    row.role = change.role.unwrap_or(row.role);
    row.active = change.state.map_or(row.active, |state| state == AccountState::Active);
    if was != (row.role, row.active) && [was.0, row.role].contains(&Role::Admin) {
        // As for invitations: programs neither make admins nor unmake them.
        access.person()?;
    }
    if was == (Role::Admin, true) && (row.role, row.active) != was {
        keep_an_admin(state, &row).await?;
    }
    if row.active && !was.1 {
        refuse_suppressed(state, row.tenant, &row.email).await?;
    }
    let mut changes = vec![row.clone().change()];
    if was.1 && !row.active {
        changes.extend(all_ends(state, row.tenant, row.agent, None).await?);
    }
    let action = match (was.1, row.active) {
        (true, false) => Action::AgentDeactivated,
        (false, true) => Action::AgentReactivated,
        _ => Action::AgentChanged,
    };
    let mut act = access.act(action).on(ObjectKind::Agent, *agent.as_bytes());
    if was.0 != row.role {
        act = act.with(Detail::OldRole, was.0.code()).with(Detail::NewRole, row.role.code());
    }
    state.carry_out(act, changes).await?;
    Ok(Json(Agent::from(row)))
}

/// PUT /v1/agents/{agent_id}/password
#[utoipa::path(put, path = "/v1/agents/{agent_id}/password", tag = "agents",
    operation_id = "set_agent_password", params(("agent_id" = String, Path)),
    request_body = PasswordChange, responses((status = 204), (status = 401), (status = 422)))]
pub(crate) async fn set_password(
    access: Access,
    Anyone { address, .. }: Anyone,
    Id(agent): Id<AgentId>,
    Body { value: change, .. }: Body<PasswordChange>,
) -> Result<StatusCode, Problem> {
    let state = &access.state;
    let me = access.person()?;
    if me.agent.agent != agent {
        // Whether they exist says nothing here: nobody sets another's password.
        find(state, access.tenant, agent).await?;
        return Err(Problem::new(ProblemCode::Forbidden, "Each sets their own password."));
    }
    // Whoever holds a stolen cookie must not guess the password with it.
    let account = Personal::new(format!("password of {agent}"));
    // Counted by the session: a thief keeps nobody else from changing it.
    let known = Some(token_hash(&me.session.session.to_string()));
    let trier = Trier { account: &account, address, known };
    state.attempt(&trier)?;
    let kept = Some(me.agent.password_hash.clone());
    if !state.passwords.verify(change.current_password.0, kept).await? {
        return Err(Problem::field("current_password", "This is not your current password."));
    }
    state.rates.logins.succeeded(&trier);
    let hash = state
        .passwords
        .hash(change.new_password.0)
        .await
        .map_err(|error| Problem::from(error).of_field("new_password"))?;
    let tenant = access.tenant;
    // Nobody begins a session with the former one meanwhile.
    let _id_lock = state.changes.of(tenant.as_bytes()).await;
    if find(state, tenant, agent).await?.password_hash != me.agent.password_hash {
        return Err(Problem::field("current_password", "This is not your current password."));
    }
    let others = all_ends(state, tenant, agent, Some(me.session.session)).await?;
    let password = AgentRow::password(tenant, agent, hash);
    let act = access.act(Action::PasswordChanged).on(ObjectKind::Agent, *agent.as_bytes());
    state.carry_out(act, password.into_iter().chain(others).collect()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(state: &ApiState, tenant: TenantId, agent: AgentId) -> Result<AgentRow, Problem> {
    state.store.agent(tenant, agent).await?.ok_or_else(|| Problem::not_found("agent"))
}

/// Refuses what would leave an Organization without anyone who can set it up.
pub(super) async fn keep_an_admin(state: &ApiState, leaving: &AgentRow) -> Result<(), Problem> {
    let mut after = None;
    loop {
        let page = Page { limit: LIMIT_MAX, after };
        let rows = state.store.agents(leaving.tenant, page).await?;
        let another =
            |row: &AgentRow| row.agent != leaving.agent && row.active && row.role == Role::Admin;
        if rows.iter().any(another) {
            return Ok(());
        }
        match rows.last() {
            Some(last) if rows.len() == usize::from(LIMIT_MAX) => after = Some(last.agent),
            _ => {
                return Err(Problem::new(
                    ProblemCode::LastAdmin,
                    "This is the last active admin. Make another agent an admin first.",
                ));
            }
        }
    }
}

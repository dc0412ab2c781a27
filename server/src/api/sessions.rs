//! Signing in and out.

use std::net::IpAddr;

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use protocol::ids::{SessionId, TenantId};
use protocol::personal::Personal;
use protocol::time::UnixMillis;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::ApiState;
use super::access::{Access, Anyone};
use super::agents::Agent;
use super::json::{Answer, Json};
use super::lookups::all_ends;
use super::page::Items;
use super::problem::{Problem, ProblemCode};
use super::request::{Body, Id, Secret};
use super::schema;
use crate::auth::{SECURE_SESSION_COOKIE, SESSION_COOKIE, email_spellings, issue, normal_email};
use crate::metrics::SignIn;
use crate::privacy::audit::{Act, Action, Actor, ActorKind, ChainId, ObjectKind};
use crate::store::{AgentRow, Change, SessionRow};
use crate::telemetry::writes_sign_in_addresses;

/// Accounts that one e-mail address may have, each in another Organization: at sign-in each
/// password is tried.
pub(super) const ACCOUNTS_MAX: usize = 64;

/// How long a browser is known from which somebody signed in: a year.
const DEVICE_SECONDS: u64 = 365 * 24 * 60 * 60;

/// Sessions of one agent; a further one ends the oldest.
const SESSIONS_MAX: usize = 30;

/// An agent's e-mail address and password.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    #[schema(value_type = String)]
    email: Personal<String>,
    #[schema(value_type = String)]
    password: Secret,
    /// Which Organization, for whoever has accounts in several. Without it the oldest account whose
    /// password this is.
    #[schema(schema_with = schema::tenant_id)]
    #[serde(default)]
    tenant_id: Option<TenantId>,
}

/// Who is signed in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Session {
    #[schema(schema_with = schema::session_id)]
    session_id: SessionId,
    agent: Agent,
    tenant: TenantName,
    /// Unix milliseconds.
    #[schema(value_type = u64)]
    expires_at: UnixMillis,
    /// Right after signing in: further Organizations that this e-mail address and password open,
    /// with `tenant_id`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    other_tenants: Vec<TenantName>,
}

/// The Organization of a session.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TenantName {
    #[schema(schema_with = schema::tenant_id)]
    tenant_id: TenantId,
    name: String,
}

/// One of my sessions.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SessionItem {
    #[schema(schema_with = schema::session_id)]
    session_id: SessionId,
    /// Browser and system.
    #[schema(value_type = String)]
    client: Personal<String>,
    /// The one that asks.
    current: bool,
    #[schema(value_type = u64)]
    created_at: UnixMillis,
    #[schema(value_type = u64)]
    expires_at: UnixMillis,
}

/// POST /v1/sessions
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", operation_id = "create_session",
    request_body = Login,
    responses((status = 201, body = Session), (status = 401), (status = 429)), security(()))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    anyone: Anyone,
    Body { value: login, .. }: Body<Login>,
) -> Result<Response, Problem> {
    let email = normal_email(login.email.expose())?;
    let trier = anyone.trier(&state.devices, &email);
    let count = |result| state.metrics.sign_ins_total.of(result).inc();
    state.attempt(&trier).inspect_err(|_| {
        tell_failed(anyone.address, "too-fast");
        count(SignIn::Throttled);
    })?;
    let mut accounts = accounts(&state, login.email.expose()).await?;
    accounts.retain(|account| login.tenant_id.is_none_or(|tenant| tenant == account.tenant));
    let mut right = right_accounts(&state, &login.password, accounts).await?.into_iter();
    let Some(account) = right.next() else {
        tell_failed(anyone.address, "refused");
        count(SignIn::Refused);
        return Err(refused());
    };
    state.rates.logins.succeeded(&trier);
    let begun = begin_beside(&state, account, anyone, Proof::Password, right).await;
    match &begun {
        Ok(_) => count(SignIn::Ok),
        // Their password changed, or their account ended, while it was looked at.
        Err(problem) if problem.is(ProblemCode::LoginRefused) => count(SignIn::Refused),
        Err(_) => {}
    }
    begun
}

/// Tells the log of a sign-in that failed, so that whoever guesses can be barred:
/// `deploy/fail2ban`. The address only where the settings ask for it; the account never.
fn tell_failed(address: IpAddr, reason: &'static str) {
    let address = writes_sign_in_addresses().then(|| address.to_string());
    tracing::warn!(reason, address, "sign-in failed");
}

/// Tells the log of one that was right.
fn tell_signed_in(address: IpAddr, session: &SessionRow) {
    let address = writes_sign_in_addresses().then(|| address.to_string());
    let (tenant_id, agent_id, session_id) = (session.tenant, session.agent, session.session);
    tracing::info!(%tenant_id, %agent_id, %session_id, address, "sign-in");
}

/// Every Organization's account with this e-mail address, oldest first in each spelling that may be
/// kept.
pub(super) async fn accounts(state: &ApiState, email: &str) -> Result<Vec<AgentRow>, Problem> {
    let mut accounts: Vec<AgentRow> = Vec::new();
    for spelling in email_spellings(email)? {
        for account in state.store.agents_by_email(&spelling).await? {
            if accounts.iter().all(|known| known.agent != account.agent) {
                accounts.push(account);
            }
        }
    }
    Ok(accounts)
}

/// The active accounts whose password this is. One hash is computed where there is no account, too.
async fn right_accounts(
    state: &ApiState,
    password: &Secret,
    accounts: Vec<AgentRow>,
) -> Result<Vec<AgentRow>, Problem> {
    if accounts.is_empty() {
        state.passwords.verify(password.0.clone(), None).await?;
    }
    let mut right = Vec::new();
    for account in accounts.into_iter().take(ACCOUNTS_MAX) {
        let kept = Some(account.password_hash.clone());
        if state.passwords.verify(password.0.clone(), kept).await? && account.active {
            right.push(account);
        }
    }
    Ok(right)
}

/// By what an agent has proved who they are, with what is stored beside their session.
pub(crate) enum Proof {
    /// Their password, as it was when it was looked at.
    Password,
    Invitation(Vec<Change>),
    /// A link for a forgotten password: every other session ends.
    Link(Vec<Change>),
}

impl Proof {
    /// What is stored. Asked while nobody else changes the account, for a password takes a while to
    /// be looked at.
    async fn holds(self, state: &ApiState, agent: &AgentRow) -> Result<Vec<Change>, Problem> {
        match self {
            Self::Invitation(changes) => Ok(changes),
            Self::Link(mut changes) => {
                changes.extend(all_ends(state, agent.tenant, agent.agent, None).await?);
                Ok(changes)
            }
            Self::Password => {
                let now = state.store.agent(agent.tenant, agent.agent).await?;
                let same = |now: &AgentRow| now.active && now.password_hash == agent.password_hash;
                now.filter(same).map(|_| Vec::new()).ok_or_else(refused)
            }
        }
    }
}

fn refused() -> Problem {
    Problem::new(ProblemCode::LoginRefused, "E-mail or password is wrong.")
}

/// Starts a session for an agent who has proved who they are: 201 with its cookie.
pub(crate) async fn begin(
    state: &ApiState,
    agent: AgentRow,
    anyone: Anyone,
    proof: Proof,
) -> Result<Response, Problem> {
    begin_beside(state, agent, anyone, proof, []).await
}

/// The same for somebody whose proof opens these further accounts as well.
async fn begin_beside(
    state: &ApiState,
    agent: AgentRow,
    anyone: Anyone,
    proof: Proof,
    others: impl IntoIterator<Item = AgentRow>,
) -> Result<Response, Problem> {
    let secret = issue("lhs_");
    let now = state.now();
    let session = SessionRow {
        session: SessionId::from_uuid(state.new_uuid()),
        agent: agent.agent,
        tenant: agent.tenant,
        secret: secret.hash,
        client: Personal::new(anyone.client),
        created_at: now,
        expires_at: now.plus_ms(state.session_ms),
    };
    {
        let _id_lock = state.changes.of(agent.tenant.as_bytes()).await;
        let mut changes = proof.holds(state, &agent).await?;
        changes.extend(make_room(state, &agent).await?);
        changes.push(Change::create(session.clone()));
        state.carry_out(act(state, &session, Action::SessionSignedIn), changes).await?;
    }
    tell_signed_in(anyone.address, &session);
    let email = normal_email(agent.email.expose())?;
    let mut shape = shape(state, &session, agent).await?;
    for other in others {
        shape.other_tenants.push(tenant_name(state, other.tenant).await?);
    }
    let seconds = state.session_ms / 1000;
    let session = cookie(state, anyone.secure, secret.text.expose_secret(), seconds)?;
    let device = device_cookie(state, anyone.secure, &email)?;
    let location = HeaderValue::from_static("/v1/sessions/current");
    let fields =
        [(header::SET_COOKIE, session), (header::SET_COOKIE, device), (header::LOCATION, location)];
    Ok((StatusCode::CREATED, AppendHeaders(fields), Json(shape)).into_response())
}

/// The ends of sessions that are over, and of the oldest where there are too many.
async fn make_room(state: &ApiState, agent: &AgentRow) -> Result<Vec<Change>, Problem> {
    let now = state.now();
    let rows = state.store.sessions(agent.tenant, agent.agent).await?;
    let (mut live, over): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.expires_at > now);
    live.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.session)));
    Ok(over.iter().chain(live.iter().skip(SESSIONS_MAX - 1)).map(SessionRow::end).collect())
}

/// GET /v1/sessions
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", operation_id = "list_sessions",
    responses((status = 200, body = Items<SessionItem>)))]
pub(crate) async fn list(access: Access) -> Answer<Items<SessionItem>> {
    let me = access.person()?;
    let now = access.state.now();
    let rows = access.state.store.sessions(access.tenant, me.agent.agent).await?;
    let live = rows.into_iter().filter(|row| row.expires_at > now);
    let items = live.map(|row| SessionItem {
        session_id: row.session,
        client: row.client,
        current: row.session == me.session.session,
        created_at: row.created_at,
        expires_at: row.expires_at,
    });
    Ok(Json(Items::all(items.collect())))
}

/// GET /v1/sessions/current
#[utoipa::path(get, path = "/v1/sessions/current", tag = "sessions", operation_id = "get_current_session",
    responses((status = 200, body = Session), (status = 401)))]
pub(crate) async fn current(access: Access) -> Answer<Session> {
    let me = access.person()?;
    Ok(Json(shape(&access.state, &me.session, me.agent.clone()).await?))
}

/// DELETE /v1/sessions/current
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "sessions",
    operation_id = "delete_current_session", responses((status = 204)))]
pub(crate) async fn delete_current(access: Access, anyone: Anyone) -> Result<Response, Problem> {
    let me = access.person()?;
    end(&access.state, &me.session).await?;
    let secure = access.state.public_url.is_secure() || anyone.secure;
    // Both names: the session may have begun before this address had TLS.
    let cleared = [session_cookie(secure, "", 0)?, session_cookie(!secure, "", 0)?];
    let cleared = AppendHeaders(cleared.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok((StatusCode::NO_CONTENT, cleared).into_response())
}

/// DELETE /v1/sessions/{session_id}
#[utoipa::path(delete, path = "/v1/sessions/{session_id}", tag = "sessions",
    operation_id = "delete_session", params(("session_id" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn delete(
    access: Access,
    Id(session): Id<SessionId>,
) -> Result<StatusCode, Problem> {
    let me = access.person()?;
    let mine = access.state.store.sessions(access.tenant, me.agent.agent).await?;
    let row = mine.iter().find(|row| row.session == session);
    end(&access.state, row.ok_or_else(|| Problem::not_found("session"))?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What an agent does with a session of theirs.
fn act(state: &ApiState, row: &SessionRow, action: Action) -> Act {
    let actor = Actor::new(ActorKind::Agent, *row.agent.as_bytes());
    let act = Act::new(ChainId::of(row.tenant), state.now(), actor, action);
    act.on(ObjectKind::Session, *row.session.as_bytes())
}

async fn end(state: &ApiState, row: &SessionRow) -> Result<(), Problem> {
    let act = act(state, row, Action::SessionEnded);
    Ok(state.carry_out(act, vec![Change::remove(row.clone())]).await?)
}

async fn shape(
    state: &ApiState,
    session: &SessionRow,
    agent: AgentRow,
) -> Result<Session, Problem> {
    Ok(Session {
        session_id: session.session,
        tenant: tenant_name(state, agent.tenant).await?,
        agent: Agent::from(agent),
        expires_at: session.expires_at,
        other_tenants: Vec::new(),
    })
}

async fn tenant_name(state: &ApiState, tenant: TenantId) -> Result<TenantName, Problem> {
    let row = state.store.tenant(tenant).await?;
    let row = row.ok_or_else(|| Problem::not_found("Organization"))?;
    Ok(TenantName { tenant_id: row.tenant, name: row.name })
}

/// The cookie under the name that its line allows. `secure`: the browser asked over TLS, whatever
/// the settings say of our address.
fn cookie(
    state: &ApiState,
    secure: bool,
    token: &str,
    seconds: u64,
) -> Result<HeaderValue, Problem> {
    session_cookie(state.public_url.is_secure() || secure, token, seconds)
}

fn session_cookie(secure: bool, token: &str, seconds: u64) -> Result<HeaderValue, Problem> {
    let name = if secure { SECURE_SESSION_COOKIE } else { SESSION_COOKIE };
    kept_cookie(secure, &format!("{name}={token}; Path=/; Max-Age={seconds}"))
}

/// Shows, for a year, that somebody signed in to this account from this browser: then no stranger's
/// guesses keep them out of it.
fn device_cookie(
    state: &ApiState,
    secure: bool,
    account: &Personal<String>,
) -> Result<HeaderValue, Problem> {
    let (name, device) = state.devices.issue(account).map_err(|_| Problem::internal())?;
    let text = format!("{name}={device}; Path=/v1/sessions; Max-Age={DEVICE_SECONDS}");
    kept_cookie(state.public_url.is_secure() || secure, &text)
}

fn kept_cookie(secure: bool, text: &str) -> Result<HeaderValue, Problem> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{text}; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::try_from(text).map_err(|_| Problem::internal())?;
    value.set_sensitive(true);
    Ok(value)
}

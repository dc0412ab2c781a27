//! What a run needs on the server, made over REST as an operator and an admin would make it: an
//! Organization, a site, its agents, each signed in, and a bot's key.

use anyhow::{Context as _, Result};
use http::{Method, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::run::rest::{Rest, Shown};
use crate::run::scenario::Mix;

/// The page on which the run's visitors are.
pub const ORIGIN: &str = "https://load.example";

/// Windows that share one supervisor's account.
const WINDOWS_OF_ONE: u32 = 500;

/// A console session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// `agt_…`, as conversations name them.
    pub agent: String,
    /// As a browser sends it.
    pub cookie: String,
}

/// What was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grounds {
    pub site_key: String,
    pub agents: Vec<Account>,
    pub supervisors: Vec<Account>,
    pub bot_key: Option<String>,
}

/// Whom a run needs.
#[derive(Debug, Clone, Copy)]
pub struct Staff {
    pub agents: u32,
    pub supervisors: u32,
    /// Programs that write.
    pub bots: u32,
}

impl Staff {
    pub(crate) fn of(mix: &Mix) -> Self {
        let windows = mix.watchers + mix.slow_readers;
        let supervisors = windows.div_ceil(WINDOWS_OF_ONE);
        Self { agents: mix.agents, supervisors, bots: mix.bots }
    }
}

/// Makes it.
///
/// # Errors
/// If the server refuses, with its words.
pub async fn furnish(
    public: &Rest,
    admin: &Rest,
    operator_key: &str,
    run: u32,
    staff: Staff,
) -> Result<Grounds> {
    let by = Shown::Bearer(operator_key);
    let body =
        json!({ "name": format!("Load {run:08x}"), "privacy_contact": "privacy@load.example" });
    let tenant =
        post(admin, "/v1/tenants", by, body).await.context("cannot make an Organization")?;
    let tenant = text(&tenant, "tenant_id")?;
    let body = json!({ "name": "Load", "origins": [ORIGIN], "plan": "team" });
    let path = format!("/v1/tenants/{tenant}/sites");
    let site = post(admin, &path, by, body).await.context("cannot make a site")?;
    let path = format!("/v1/tenants/{tenant}/invitations");
    let boss = email(run, "boss", 0);
    let body = json!({ "email": boss, "role": "admin" });
    let invitation = post(admin, &path, by, body).await.context("cannot invite an admin")?;
    let boss = accept(public, &invitation, "Boss").await?;
    let by = Shown::Cookie(&boss.cookie);
    let mut grounds = Grounds {
        site_key: text(&site, "site_key")?,
        agents: Vec::new(),
        supervisors: Vec::new(),
        bot_key: None,
    };
    for number in 0..staff.agents {
        grounds.agents.push(join(public, by, &email(run, "agent", number), "agent").await?);
    }
    for number in 0..staff.supervisors {
        let email = email(run, "supervisor", number);
        grounds.supervisors.push(join(public, by, &email, "supervisor").await?);
    }
    if staff.bots > 0 {
        let body = json!({ "name": "bot", "scopes": ["conversations:write"] });
        let key = post(public, "/v1/keys", by, body).await.context("cannot make a bot's key")?;
        grounds.bot_key = Some(text(&key, "text")?);
    }
    Ok(grounds)
}

fn email(run: u32, role: &str, number: u32) -> String {
    format!("{role}{number}.{run:08x}@load.example")
}

async fn join(public: &Rest, by: Shown<'_>, email: &str, role: &str) -> Result<Account> {
    let body = json!({ "email": email, "role": role });
    let invitation =
        post(public, "/v1/invitations", by, body).await.context("cannot invite an agent")?;
    accept(public, &invitation, role).await
}

/// Takes an invitation; the answer signs the agent in.
async fn accept(public: &Rest, invitation: &Value, name: &str) -> Result<Account> {
    let link = text(invitation, "link")?;
    let token = link.rsplit('/').next().unwrap_or_default();
    let body = json!({ "token": token, "name": name, "password": "a long password of a load run" });
    let path = "/v1/invitations/accept";
    let answer = public.ask(Method::POST, path, Shown::Nothing, Some(body)).await?;
    let session = answer.json().context("an invitation was not accepted")?;
    let agent = session.pointer("/agent/agent_id").and_then(Value::as_str);
    let cookie = answer.headers.get(header::SET_COOKIE).and_then(|value| value.to_str().ok());
    let cookie = cookie.and_then(|cookie| cookie.split(';').next());
    Ok(Account {
        agent: agent.context("a session without an agent")?.to_owned(),
        cookie: cookie.context("a session without a cookie")?.to_owned(),
    })
}

async fn post(rest: &Rest, path: &str, by: Shown<'_>, body: Value) -> Result<Value> {
    rest.ask(Method::POST, path, by, Some(body)).await?.json()
}

fn text(value: &Value, field: &str) -> Result<String> {
    let text = value.get(field).and_then(Value::as_str);
    Ok(text.with_context(|| format!("the answer has no `{field}`"))?.to_owned())
}

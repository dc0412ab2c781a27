//! Who asks, and whether they may.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};
use protocol::conversation::Role;
use protocol::ids::{KeyId, TenantId};
use protocol::personal::Personal;

use super::ApiState;
use super::problem::{Problem, ProblemCode};
use super::told::Told;
use crate::auth::{
    DEVICE_COOKIE, Devices, Principal, Scope, SignedIn, Trier, authenticate_key,
    authenticate_session, cookies_where, session_tokens,
};
use crate::http::{Peer, head};
use crate::metrics::KeyRefused;
use crate::privacy::audit::{Act, Action, Actor, ActorKind, ChainId};

/// Cookies of accounts that were signed in to that are looked at.
const DEVICES_MAX: usize = 16;

/// A request of an Organization: a signed-in agent, or a key.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) principal: Principal,
    pub(crate) tenant: TenantId,
    /// Where it is an agent.
    pub(crate) signed_in: Option<SignedIn>,
    /// Where what they do is counted.
    pub(crate) told: Told,
    /// What they ask of.
    pub(crate) state: ApiState,
}

impl Access {
    /// Agents of at least this role, keys with this scope.
    pub(crate) fn need(&self, role: Role, scope: Scope) -> Result<(), Problem> {
        match &self.principal {
            Principal::Agent { role: has, .. } if *has >= role => Ok(()),
            Principal::Agent { .. } => Err(Problem::new(
                ProblemCode::Forbidden,
                format!("This needs the role `{}`.", role.word()),
            )),
            Principal::Key { scopes, .. } => need_scope(&self.state, scopes, scope),
            Principal::Visitor { .. } | Principal::Operator { .. } => Err(not_authenticated()),
        }
    }

    /// Agents alone: what concerns a person's own account.
    pub(crate) fn person(&self) -> Result<&SignedIn, Problem> {
        self.signed_in.as_ref().ok_or_else(|| {
            Problem::new(ProblemCode::Forbidden, "This is for people who signed in, not for keys.")
        })
    }

    /// What they do, for their Organization's audit.
    pub(crate) fn act(&self, action: Action) -> Act {
        let (kind, id) = match &self.principal {
            Principal::Agent { agent, .. } => (ActorKind::Agent, *agent.as_bytes()),
            Principal::Key { key, .. } => (ActorKind::Key, *key.as_bytes()),
            Principal::Operator { key, .. } => (ActorKind::Operator, *key.as_bytes()),
            Principal::Visitor { visitor, .. } => (ActorKind::Visitor, *visitor.as_bytes()),
        };
        let actor = Actor::new(kind, id);
        Act::new(ChainId::of(self.tenant), self.state.now(), actor, action)
    }

    /// A name for whoever asks, to keep the idempotency keys of two apart.
    pub(crate) fn owner(&self) -> String {
        match &self.principal {
            Principal::Agent { agent, .. } => agent.to_string(),
            Principal::Key { key, .. } | Principal::Operator { key, .. } => key.to_string(),
            Principal::Visitor { visitor, .. } => visitor.to_string(),
        }
    }
}

impl FromRequestParts<ApiState> for Access {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let access = Self::prove(parts, state).await;
        match &access {
            Ok(access) => state.count(&access.told, &access.principal)?,
            Err(_) => state.count_stranger(parts)?,
        }
        access
    }
}

impl Access {
    async fn prove(parts: &Parts, state: &ApiState) -> Result<Self, Problem> {
        let told = Told::of(parts);
        if let Some(key) = bearer(&parts.headers) {
            return match authenticate_key(&*state.store, key).await? {
                Some(principal @ Principal::Key { tenant, .. }) => {
                    Ok(Self { principal, tenant, signed_in: None, told, state: state.clone() })
                }
                other => Err(key_refused(state, other.is_some())),
            };
        }
        let tokens = session_tokens(&parts.headers);
        let signed_in = authenticate_session(&*state.store, &tokens, state.now()).await?;
        let Some(signed_in) = signed_in else { return Err(not_authenticated()) };
        // A browser sends the cookie by itself: the page must be ours.
        if !parts.method.is_safe() && !own_page(parts, state).unwrap_or(false) {
            return Err(foreign_page());
        }
        Ok(Self {
            principal: signed_in.principal(),
            tenant: signed_in.agent.tenant,
            signed_in: Some(signed_in),
            told,
            state: state.clone(),
        })
    }
}

/// A request of the operator, by key, on the admin listener.
#[derive(Debug)]
pub(crate) struct OperatorAccess {
    pub(crate) key: KeyId,
    /// What they ask of.
    pub(crate) state: ApiState,
    scopes: Vec<String>,
}

impl OperatorAccess {
    /// Keys with this scope.
    pub(crate) fn need(&self, scope: Scope) -> Result<(), Problem> {
        need_scope(&self.state, &self.scopes, scope)
    }

    /// What they do with something of an Organization's, for its audit.
    pub(crate) fn act_on(&self, tenant: TenantId, action: Action) -> Act {
        self.act_in(ChainId::of(tenant), action)
    }

    /// What they do otherwise, for the operator's own.
    pub(crate) fn act(&self, action: Action) -> Act {
        self.act_in(ChainId::OPERATOR, action)
    }

    fn act_in(&self, chain: ChainId, action: Action) -> Act {
        let actor = Actor::new(ActorKind::Operator, *self.key.as_bytes());
        Act::new(chain, self.state.now(), actor, action)
    }

    /// The same for a scope that there was not when a server's first key was made: whoever manages
    /// the keys has it.
    pub(crate) fn need_or_manage(&self, scope: Scope) -> Result<(), Problem> {
        let is_later = matches!(scope, Scope::BackupsCreate | Scope::AuditRead);
        if is_later && Scope::OperatorKeysManage.is_in(&self.scopes) {
            return Ok(());
        }
        self.need(scope)
    }
}

impl FromRequestParts<ApiState> for OperatorAccess {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let shown = bearer(&parts.headers);
        let proved = match shown {
            Some(key) => authenticate_key(&*state.store, key).await?,
            None => None,
        };
        match proved {
            Some(principal @ Principal::Operator { key, .. }) => {
                state.count(&Told::of(parts), &principal)?;
                let Principal::Operator { scopes, .. } = principal else {
                    return Err(not_authenticated());
                };
                Ok(Self { key, state: state.clone(), scopes })
            }
            other => {
                let shown = shown.is_some();
                let refused = shown.then(|| key_refused(state, other.is_some()));
                state.count_stranger(parts)?;
                Err(refused.unwrap_or_else(not_authenticated))
            }
        }
    }
}

/// A request that anybody may make from anywhere, so often as their address may.
#[derive(Debug)]
pub(crate) struct Counted;

impl FromRequestParts<ApiState> for Counted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        state.count_stranger(parts).map(|()| Self)
    }
}

/// A request that nobody needs to sign in for, but that no foreign page may send: login and the
/// like.
#[derive(Debug)]
pub(crate) struct Anyone {
    pub(crate) address: IpAddr,
    /// Whether the browser speaks TLS, to us or to a trusted proxy.
    pub(crate) secure: bool,
    /// Browser and system, as their user would recognise them.
    pub(crate) client: String,
    /// What the browser shows of having signed in before: one for each account, and what other
    /// hosts of the domain set.
    pub(crate) devices: Vec<String>,
}

impl Anyone {
    /// Whoever it is, as somebody who tries to prove the password of an account.
    pub(crate) fn trier<'a>(&self, devices: &Devices, account: &'a Personal<String>) -> Trier<'a> {
        let known = self.devices.iter().find_map(|cookie| devices.known(account, cookie));
        Trier { account, address: self.address, known }
    }
}

impl FromRequestParts<ApiState> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        if own_page(parts, state) == Some(false) {
            return Err(foreign_page());
        }
        state.count_stranger(parts)?;
        let peer = parts.extensions.get::<Peer>();
        let (address, secure) =
            peer.map_or((IpAddr::V4(Ipv4Addr::UNSPECIFIED), false), |peer| (peer.ip, peer.secure));
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let is_device = |name: &[u8]| name.starts_with(DEVICE_COOKIE.as_bytes());
        let devices = cookies_where(&parts.headers, is_device).take(DEVICES_MAX);
        let devices = devices.map(str::to_owned).collect();
        Ok(Self { address, secure, client: client_words(agent.unwrap_or_default()), devices })
    }
}

fn need_scope(state: &ApiState, scopes: &[String], scope: Scope) -> Result<(), Problem> {
    if scope.is_in(scopes) {
        return Ok(());
    }
    state.metrics.keys_refused_total.of(KeyRefused::Scope).inc();
    Err(Problem::new(
        ProblemCode::MissingScope,
        format!("This needs a key with the scope `{}`.", scope.word()),
    ))
}

/// A key that opens nothing here; `known`: it opens something elsewhere, which is not told.
fn key_refused(state: &ApiState, known: bool) -> Problem {
    let reason = if known { KeyRefused::Misplaced } else { KeyRefused::Unknown };
    state.metrics.keys_refused_total.of(reason).inc();
    not_authenticated()
}

fn not_authenticated() -> Problem {
    Problem::new(
        ProblemCode::NotAuthenticated,
        "Sign in, or send a key: `Authorization: Bearer …`.",
    )
}

fn foreign_page() -> Problem {
    Problem::new(
        ProblemCode::OriginNotAllowed,
        "Only the console's own pages may do that with a cookie. If this is the console, the server does not know \
         the address that it is reached by (setting `public_url`).",
    )
}

/// Whether the page that asks is ours; `None` where no browser says.
fn own_page(parts: &Parts, state: &ApiState) -> Option<bool> {
    let origin = head::origin(&parts.headers)?;
    let secure = parts.extensions.get::<Peer>().is_some_and(|peer| peer.secure);
    Some(state.public_url.admits(origin, head::host(parts), secure))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

fn client_words(agent: &str) -> String {
    // Order matters: every browser also claims to be some of those after it.
    let browsers = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    let systems = [
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let known = |table: &[(&str, &'static str)]| {
        table.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    match (known(&browsers), known(&systems)) {
        (Some(browser), Some(system)) => format!("{browser}, {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => String::from("another program"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_named_as_its_user_would() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/142.0.0.0 Safari/537.36";
        assert_eq!(client_words(chrome), "Chrome, Linux");
        assert_eq!(client_words("curl/8.0"), "another program");
    }
}

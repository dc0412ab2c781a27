//! What an agent's cookie proves.

use protocol::time::UnixMillis;

use super::Principal;
use super::token::{same, token_hash};
use crate::store::{AgentRow, SessionRow, Store, StoreError};

/// The cookie's name.
pub const SESSION_COOKIE: &str = "livehelp_session";

/// An agent whose cookie holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    pub agent: AgentRow,
    pub session: SessionRow,
}

impl SignedIn {
    /// Whom his requests speak for.
    pub fn principal(&self) -> Principal {
        Principal::Agent {
            tenant: self.agent.tenant,
            agent: self.agent.agent,
            role: self.agent.role,
            session: self.session.session,
        }
    }
}

/// The session's token in a `Cookie` header, if there is one.
pub fn session_token(cookie_header: &str) -> Option<&str> {
    cookie_value(cookie_header, SESSION_COOKIE)
}

/// What a `Cookie` header has under a name.
pub fn cookie_value<'c>(cookie_header: &'c str, name: &str) -> Option<&'c str> {
    cookie_header.split(';').find_map(|pair| {
        let (known, value) = pair.trim().split_once('=')?;
        (known == name).then_some(value)
    })
}

/// Who is signed in by this `Cookie` header: the session exists and has not ended, its agent is active.
///
/// # Errors
/// If the store cannot say; that is no proof of the contrary.
pub async fn authenticate_cookie(
    store: &dyn Store,
    cookie_header: Option<&str>,
    now: UnixMillis,
) -> Result<Option<SignedIn>, StoreError> {
    let Some(token) = cookie_header.and_then(session_token) else { return Ok(None) };
    let hash = token_hash(token);
    let Some(session) = store.session_by_secret(hash).await? else { return Ok(None) };
    if !same(session.secret, hash) || now >= session.expires_at {
        return Ok(None);
    }
    let agent = store.agent(session.tenant, session.agent).await?;
    Ok(agent.filter(|agent| agent.active).map(|agent| SignedIn { agent, session }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(session_token("a=b; livehelp_session=abc; c=d"), Some("abc"));
        assert_eq!(session_token("livehelp_session=abc"), Some("abc"));
        assert_eq!(session_token("xlivehelp_session=abc"), None);
        assert_eq!(session_token(""), None);
    }
}

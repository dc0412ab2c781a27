//! What an agent's cookie proves.

use http::{HeaderMap, HeaderValue, header};
use protocol::time::UnixMillis;
use secrecy::{ExposeSecret as _, SecretString};

use super::Principal;
use super::token::{same, token_hash};
use crate::store::{AgentRow, Records, SessionRow, StoreError};

/// The cookie's name.
pub const SESSION_COOKIE: &str = "livehelp_session";

/// Its name under TLS: a browser takes it from this very host alone, and for all paths (RFC
/// 6265bis, 4.1.3).
pub const SECURE_SESSION_COOKIE: &str = "__Host-livehelp_session";

/// Tokens of one request that are looked up.
const TOKENS_MAX: usize = 64;

/// An agent whose cookie holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    pub agent: AgentRow,
    pub session: SessionRow,
}

impl SignedIn {
    /// Whom their requests speak for.
    pub fn principal(&self) -> Principal {
        Principal::Agent {
            tenant: self.agent.tenant,
            agent: self.agent.agent,
            role: self.agent.role,
            session: self.session.session,
        }
    }
}

/// The values that a request's cookies of a name have, on whichever of its `Cookie` lines and
/// whatever else stands there.
fn cookies<'h>(headers: &'h HeaderMap, name: &'static str) -> impl Iterator<Item = &'h str> {
    cookies_where(headers, move |known| known == name.as_bytes())
}

/// The same for those whose name is one of several.
pub fn cookies_where(
    headers: &HeaderMap,
    is_name: impl Fn(&[u8]) -> bool,
) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::COOKIE).into_iter().map(HeaderValue::as_bytes);
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (known, value) = pair.split_at(equals);
        let value = std::str::from_utf8(value.get(1..)?).ok()?.trim();
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        (is_name(known.trim_ascii()) && !value.is_empty()).then_some(value)
    })
}

/// The session tokens that a request shows: those of the name for TLS first, which no other host of
/// the domain can have set.
pub fn session_tokens(headers: &HeaderMap) -> Vec<SecretString> {
    let mut tokens: Vec<&str> = Vec::new();
    for name in [SECURE_SESSION_COOKIE, SESSION_COOKIE] {
        for token in cookies(headers, name) {
            if tokens.len() < TOKENS_MAX && !tokens.contains(&token) {
                tokens.push(token);
            }
        }
    }
    tokens.into_iter().map(SecretString::from).collect()
}

/// Who is signed in by the first of these tokens that holds: the session exists and has not ended,
/// its agent is active.
///
/// # Errors
/// If the store cannot say; that is no proof of the contrary.
pub async fn authenticate_session(
    store: &dyn Records,
    tokens: &[SecretString],
    now: UnixMillis,
) -> Result<Option<SignedIn>, StoreError> {
    for token in tokens {
        let hash = token_hash(token.expose_secret());
        let Some(session) = store.session_by_secret(hash).await? else { continue };
        if !same(session.secret, hash) || now >= session.expires_at {
            continue;
        }
        let agent = store.agent(session.tenant, session.agent).await?;
        if let Some(agent) = agent.filter(|agent| agent.active) {
            return Ok(Some(SignedIn { agent, session }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(lines: &[&[u8]]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        let tokens = session_tokens(&headers);
        tokens.iter().map(|token| token.expose_secret().to_owned()).collect()
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(tokens(&[b"a=b; livehelp_session=abc; c=d"]), ["abc"]);
        assert_eq!(tokens(&[b"livehelp_session=abc"]), ["abc"]);
        assert_eq!(tokens(&[b"a=b;livehelp_session = \"abc\" ;c"]), ["abc"]);
        for none in [&b"xlivehelp_session=abc"[..], b"livehelp_session=", b"livehelp_session", b""]
        {
            assert_eq!(tokens(&[none]), [] as [&str; 0]);
        }
    }

    #[test]
    fn neither_a_foreign_letter_nor_a_second_line_hides_it() {
        assert_eq!(tokens(&[b"name=J\xc3\xb6rg; livehelp_session=abc"]), ["abc"]);
        assert_eq!(tokens(&[b"livehelp_session=abc; name=J\xf6rg"]), ["abc"]);
        assert_eq!(tokens(&["shop=caf\u{e9}".as_bytes(), b"livehelp_session=abc"]), ["abc"]);
        assert_eq!(tokens(&[b"livehelp_session=\xff", b"livehelp_session=abc"]), ["abc"]);
    }

    #[test]
    fn all_of_our_name_are_tried_and_the_one_of_tls_first() {
        let both = b"livehelp_session=old; __Host-livehelp_session=new; livehelp_session=older";
        assert_eq!(tokens(&[both]), ["new", "old", "older"]);
        let many = (0..100).map(|n| format!("livehelp_session={n};")).collect::<String>();
        assert_eq!(tokens(&[many.as_bytes()]).len(), TOKENS_MAX);
    }
}

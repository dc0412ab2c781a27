//! A visitor's token: how it holds, ages and is replaced.

use protocol::time::UnixMillis;
use secrecy::SecretString;

use super::token::{Issued, issue, same, token_hash};
use crate::store::VisitorToken;

/// What the text begins with.
const TOKEN_BEGIN: &str = "lhv_";

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Age from which a token that is presented is replaced; half its life where that is shorter.
const FRESH_MS: u64 = DAY_MS;

/// How long the former token still holds once the new one was used: other tabs may have it.
const FORMER_MS: u64 = 60 * 1000;

/// Makes a first token.
pub fn new_visitor_token() -> Issued {
    issue(TOKEN_BEGIN)
}

/// A visitor who was let in.
#[derive(Debug)]
pub struct Admitted {
    /// Their row changed and wants to be stored, before a fresh token is sent.
    pub changed: bool,
    /// The token that replaces the one they showed.
    pub fresh: Option<SecretString>,
}

/// Judges the token that a visitor shows, and gives them a fresh one where theirs is old. `None`:
/// it does not hold. A token holds for `life_ms` from the moment it is given.
///
/// The former token holds until the new one is first shown, and 60 s after: an answer that was lost
/// on the way costs nobody their conversation.
pub fn admit_visitor(
    row: &mut VisitorToken,
    token: &str,
    life_ms: u64,
    now: UnixMillis,
) -> Option<Admitted> {
    if !token.starts_with(TOKEN_BEGIN) {
        return None;
    }
    let shown = token_hash(token);
    // One that was given when tokens lived longer is old as well.
    let rest_ms = row.secret_expires_at.ms_since(now);
    let old = rest_ms > life_ms || life_ms - rest_ms > FRESH_MS.min(life_ms / 2);
    if same(row.secret, shown) {
        if now >= row.secret_expires_at {
            return None;
        }
        if old {
            row.secret_before = Some((row.secret, row.secret_expires_at));
            return Some(Admitted { changed: true, fresh: Some(replace(row, life_ms, now)) });
        }
        let ends = now.plus_ms(FORMER_MS);
        let first_use = matches!(row.secret_before, Some((_, until)) if until > ends);
        if let Some((_, until)) = row.secret_before.as_mut().filter(|_| first_use) {
            *until = ends;
        }
        return Some(Admitted { changed: first_use, fresh: None });
    }
    let (former, until) = row.secret_before?;
    if !same(former, shown) || now >= until {
        return None;
    }
    // The new one was never used and is itself old: its answer was lost, so make another.
    let lost = until > now.plus_ms(FORMER_MS) && old;
    let fresh = lost.then(|| replace(row, life_ms, now));
    Some(Admitted { changed: lost, fresh })
}

fn replace(row: &mut VisitorToken, life_ms: u64, now: UnixMillis) -> SecretString {
    let Issued { text, hash } = new_visitor_token();
    row.secret = hash;
    row.secret_expires_at = now.plus_ms(life_ms);
    text
}

#[cfg(test)]
mod tests {
    use protocol::ids::{TenantId, VisitorId};
    use secrecy::ExposeSecret as _;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
    const LIFE_MS: u64 = 90 * DAY_MS;

    fn admit(row: &mut VisitorToken, token: &str, now: UnixMillis) -> Option<Admitted> {
        admit_visitor(row, token, LIFE_MS, now)
    }

    fn visitor() -> (VisitorToken, String) {
        let Issued { text, hash } = new_visitor_token();
        let row = VisitorToken {
            visitor: VisitorId::from_bytes([1; 16]),
            tenant: TenantId::from_bytes([2; 16]),
            secret: hash,
            secret_before: None,
            secret_expires_at: NOW.plus_ms(LIFE_MS),
        };
        (row, text.expose_secret().to_owned())
    }

    #[test]
    fn a_young_token_holds_and_stays() {
        let (mut row, token) = visitor();
        let admitted = admit(&mut row, &token, NOW.plus_ms(FRESH_MS)).unwrap();
        assert!(admitted.fresh.is_none() && !admitted.changed);
        assert!(admit(&mut row, "lhv_00", NOW).is_none());
        assert!(admit(&mut row, "", NOW).is_none());
    }

    #[test]
    fn an_old_token_is_replaced_and_holds_until_the_new_one_is_used() {
        let (mut row, token) = visitor();
        let later = NOW.plus_ms(2 * DAY_MS);
        let fresh = admit(&mut row, &token, later).unwrap().fresh.unwrap();
        let hour = later.plus_ms(DAY_MS / 24);
        assert!(admit(&mut row, &token, hour).unwrap().fresh.is_none());
        let used = admit(&mut row, fresh.expose_secret(), hour).unwrap();
        assert!(used.changed && used.fresh.is_none());
        assert!(admit(&mut row, &token, hour.plus_ms(FORMER_MS - 1)).is_some());
        assert!(admit(&mut row, &token, hour.plus_ms(FORMER_MS)).is_none());
        let again = admit(&mut row, fresh.expose_secret(), hour.plus_ms(5)).unwrap();
        assert!(!again.changed);
    }

    #[test]
    fn an_answer_that_was_lost_costs_nobody_their_token() {
        let (mut row, token) = visitor();
        let later = NOW.plus_ms(2 * DAY_MS);
        let lost = admit(&mut row, &token, later).unwrap().fresh.unwrap();
        let next = later.plus_ms(2 * DAY_MS);
        let fresh = admit(&mut row, &token, next).unwrap().fresh.unwrap();
        assert!(admit(&mut row, lost.expose_secret(), next).is_none());
        assert!(admit(&mut row, fresh.expose_secret(), next).is_some());
    }

    #[test]
    fn a_token_ends() {
        let (mut row, token) = visitor();
        assert!(admit(&mut row, &token, NOW.plus_ms(LIFE_MS)).is_none());
    }

    #[test]
    fn a_shorter_life_is_given_to_whoever_comes_back() {
        let (mut row, token) = visitor();
        let short_ms = 2 * 60 * 60 * 1000;
        let fresh = admit_visitor(&mut row, &token, short_ms, NOW.plus_ms(1)).unwrap();
        let fresh = fresh.fresh.unwrap();
        assert_eq!(row.secret_expires_at, NOW.plus_ms(1 + short_ms));
        let in_time = NOW.plus_ms(short_ms - 1);
        let next = admit_visitor(&mut row, fresh.expose_secret(), short_ms, in_time).unwrap();
        assert!(next.fresh.is_some(), "a short token is replaced before it ends");
    }
}

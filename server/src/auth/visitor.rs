//! A visitor's token: how it holds, ages and is replaced.

use protocol::time::UnixMillis;
use secrecy::SecretString;

use super::token::{Issued, issue, same, token_hash};
use crate::store::VisitorRow;

/// What the text begins with.
const VISITOR_TOKEN: &str = "lhv_";

/// Milliseconds that a token holds without being replaced: 90 days.
pub const VISITOR_TOKEN_MS: u64 = 90 * DAY_MS;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Age from which a token that is presented is replaced.
const FRESH_MS: u64 = DAY_MS;

/// How long the former token still holds once the new one was used: other tabs may have it.
const FORMER_MS: u64 = 60 * 1000;

/// Makes a first token; it holds until now + [`VISITOR_TOKEN_MS`].
pub fn new_visitor_token() -> Issued {
    issue(VISITOR_TOKEN)
}

/// A visitor who was let in.
#[derive(Debug)]
pub struct Admitted {
    /// His row changed and wants to be stored, before a fresh token is sent.
    pub changed: bool,
    /// The token that replaces the one he showed.
    pub fresh: Option<SecretString>,
}

/// Judges the token that a visitor shows, and gives him a fresh one where his is old. `None`: it does not hold.
///
/// The former token holds until the new one is first shown, and 60 s after: an answer that was lost on the
/// way costs nobody his conversation.
pub fn admit_visitor(row: &mut VisitorRow, token: &str, now: UnixMillis) -> Option<Admitted> {
    if !token.starts_with(VISITOR_TOKEN) {
        return None;
    }
    let shown = token_hash(token);
    let issued_at_ms = row.secret_expires_at.0.saturating_sub(VISITOR_TOKEN_MS);
    let old = now.0.saturating_sub(issued_at_ms) > FRESH_MS;
    if same(row.secret, shown) {
        if now >= row.secret_expires_at {
            return None;
        }
        if old {
            row.secret_before = Some((row.secret, row.secret_expires_at));
            return Some(Admitted { changed: true, fresh: Some(replace(row, now)) });
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
    let fresh = lost.then(|| replace(row, now));
    Some(Admitted { changed: lost, fresh })
}

fn replace(row: &mut VisitorRow, now: UnixMillis) -> SecretString {
    let Issued { text, hash } = new_visitor_token();
    row.secret = hash;
    row.secret_expires_at = now.plus_ms(VISITOR_TOKEN_MS);
    text
}

#[cfg(test)]
mod tests {
    use protocol::ids::{SiteId, TenantId, VisitorId};
    use secrecy::ExposeSecret as _;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn visitor() -> (VisitorRow, String) {
        let Issued { text, hash } = new_visitor_token();
        let row = VisitorRow {
            visitor: VisitorId::from_bytes([1; 16]),
            tenant: TenantId::from_bytes([2; 16]),
            site: SiteId::from_bytes([3; 16]),
            name: None,
            email: None,
            locale: String::from("en"),
            contact_day: NOW.day(),
            secret: hash,
            secret_before: None,
            secret_expires_at: NOW.plus_ms(VISITOR_TOKEN_MS),
            created_at: NOW,
        };
        (row, text.expose_secret().to_owned())
    }

    #[test]
    fn a_young_token_holds_and_stays() {
        let (mut row, token) = visitor();
        let admitted = admit_visitor(&mut row, &token, NOW.plus_ms(FRESH_MS)).unwrap();
        assert!(admitted.fresh.is_none() && !admitted.changed);
        assert!(admit_visitor(&mut row, "lhv_00", NOW).is_none());
        assert!(admit_visitor(&mut row, "", NOW).is_none());
    }

    #[test]
    fn an_old_token_is_replaced_and_holds_until_the_new_one_is_used() {
        let (mut row, token) = visitor();
        let later = NOW.plus_ms(2 * DAY_MS);
        let fresh = admit_visitor(&mut row, &token, later).unwrap().fresh.unwrap();
        let hour = later.plus_ms(DAY_MS / 24);
        assert!(admit_visitor(&mut row, &token, hour).unwrap().fresh.is_none());
        let used = admit_visitor(&mut row, fresh.expose_secret(), hour).unwrap();
        assert!(used.changed && used.fresh.is_none());
        assert!(admit_visitor(&mut row, &token, hour.plus_ms(FORMER_MS - 1)).is_some());
        assert!(admit_visitor(&mut row, &token, hour.plus_ms(FORMER_MS)).is_none());
        let again = admit_visitor(&mut row, fresh.expose_secret(), hour.plus_ms(5)).unwrap();
        assert!(!again.changed);
    }

    #[test]
    fn an_answer_that_was_lost_costs_nobody_his_token() {
        let (mut row, token) = visitor();
        let later = NOW.plus_ms(2 * DAY_MS);
        let lost = admit_visitor(&mut row, &token, later).unwrap().fresh.unwrap();
        let next = later.plus_ms(2 * DAY_MS);
        let fresh = admit_visitor(&mut row, &token, next).unwrap().fresh.unwrap();
        assert!(admit_visitor(&mut row, lost.expose_secret(), next).is_none());
        assert!(admit_visitor(&mut row, fresh.expose_secret(), next).is_some());
    }

    #[test]
    fn a_token_ends() {
        let (mut row, token) = visitor();
        assert!(admit_visitor(&mut row, &token, NOW.plus_ms(VISITOR_TOKEN_MS)).is_none());
    }
}

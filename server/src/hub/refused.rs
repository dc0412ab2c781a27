//! Which pages wanted to embed a site's widget and may not: told to the site's admins, who mostly
//! forgot one.
//!
//! Lives here: the newest few of each site, in memory, until they are allowed or the server ends.
//! An origin is an address of the web, and says nothing of who was there.

use parking_lot::Mutex;
use protocol::ids::SiteId;
use protocol::time::UnixMillis;

use crate::origin::{allowed_origin, page_origin, parse_origin};
use crate::recent::Recent;
use crate::store::SiteRow;

/// Origins that are remembered of one site; a further one takes the place of the oldest. Any
/// program can claim to be a page, so this is a bound and not a guess.
const ORIGINS_MAX: usize = 8;

/// Half of the sites that are remembered.
const SITES_HALF: usize = 512;

/// What a page says whose origin has no name: a file, or a frame in a sandbox.
const OPAQUE: &str = "null";

/// A page's origin that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedOrigin {
    /// As a site would list it, or `null`.
    pub origin: String,
    /// Whether a site may list it at all.
    pub addable: bool,
    /// The last time.
    pub at: UnixMillis,
}

/// The origins that were refused lately, by site.
#[derive(Debug)]
pub(super) struct RefusedOrigins(Mutex<Recent<SiteId, Vec<RefusedOrigin>>>);

impl Default for RefusedOrigins {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(SITES_HALF)))
    }
}

impl RefusedOrigins {
    /// Whether it is the first one of this site.
    fn remember(&self, site: SiteId, refused: RefusedOrigin) -> bool {
        let mut sites = self.0.lock();
        let Some(known) = sites.get_mut(&site) else {
            sites.insert(site, vec![refused]);
            return true;
        };
        known.retain(|one| one.origin != refused.origin);
        known.insert(0, refused);
        known.truncate(ORIGINS_MAX);
        false
    }

    /// A page of this origin was refused. Whether it is the first one of this site.
    pub(super) fn refuse(&self, site: SiteId, origin: &str, at: UnixMillis) -> bool {
        let named = page_origin(origin);
        let Some(origin) = named.or_else(|| (origin == OPAQUE).then(|| OPAQUE.to_owned())) else {
            return false;
        };
        let addable = parse_origin(&origin).is_ok();
        self.remember(site, RefusedOrigin { origin, addable, at })
    }

    /// Those that the site does not list by now, the newest first.
    pub(super) fn of(&self, site: &SiteRow) -> Vec<RefusedOrigin> {
        let mut refused = self.remembered(site.site);
        refused.retain(|one| !allowed_origin(&site.settings.origins, &one.origin));
        refused
    }

    fn remembered(&self, site: SiteId) -> Vec<RefusedOrigin> {
        self.0.lock().get(&site).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_remembers_the_newest_few_and_each_once() {
        let refused = RefusedOrigins::default();
        let site = SiteId::from_bytes([1; 16]);
        let one = |n: u64| RefusedOrigin {
            origin: format!("https://{n}.example"),
            addable: true,
            at: UnixMillis(n),
        };
        assert!(refused.remember(site, one(0)), "the first is told");
        for n in 1..100 {
            assert!(!refused.remember(site, one(n)));
        }
        assert!(!refused.remember(site, one(95)));
        let ids: Vec<u64> = refused.remembered(site).iter().map(|one| one.at.0).collect();
        assert_eq!(ids, [95, 99, 98, 97, 96, 94, 93, 92]);
        assert_eq!(refused.remembered(SiteId::from_bytes([2; 16])), []);
    }
}

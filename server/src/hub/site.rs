//! Sites as the live part needs them: settings, timeline, compiled masks.

use std::sync::Arc;

use protocol::ids::{SiteId, SiteKey, TenantId};
use protocol::reject::Reject;

use super::{Hub, not_found, store_reject};
use crate::privacy::envelope::Flags;
use crate::privacy::ingest::Ground;
use crate::privacy::redact::Redactor;
use crate::store::SiteRow;

/// A site with its masks compiled once.
#[derive(Debug)]
pub struct Site {
    /// As it is stored.
    pub row: SiteRow,
    /// Its masks.
    pub redactor: Redactor,
}

impl Site {
    fn new(row: SiteRow) -> Self {
        // Patterns are checked when they are set; should one no longer compile, the built-in masks
        // stay in force.
        let redactor = Redactor::new(&row.settings.redaction_patterns).unwrap_or_default();
        Self { row, redactor }
    }

    /// What decides about a message of this visitor here.
    pub(super) fn ground(
        &self,
        subject: protocol::ids::VisitorId,
        flags: Flags,
        offline_message: bool,
    ) -> Ground<'_> {
        Ground {
            tenant: self.row.tenant,
            site: self.row.site,
            subject,
            timeline: &self.row.timeline,
            redactor: &self.redactor,
            flags,
            offline_message,
        }
    }
}

impl Hub {
    /// A tenant's site.
    pub(crate) async fn site(&self, tenant: TenantId, site: SiteId) -> Result<Arc<Site>, Reject> {
        if let Some(known) = self.sites.get(&site) {
            let known = Arc::clone(&known);
            return if known.row.tenant == tenant {
                Ok(known)
            } else {
                Err(not_found("there is no such site"))
            };
        }
        let row = self.store.site(tenant, site).await.map_err(|error| store_reject(&error))?;
        let row = row.ok_or_else(|| not_found("there is no such site"))?;
        Ok(self.keep_site(row))
    }

    /// The site of an embed tag.
    pub(crate) async fn site_by_key(&self, key: &SiteKey) -> Result<Option<Arc<Site>>, Reject> {
        let found = self.store.site_by_key(key).await.map_err(|error| store_reject(&error))?;
        Ok(found.map(|row| match self.sites.get(&row.site) {
            Some(known) => Arc::clone(&known),
            None => self.keep_site(row),
        }))
    }

    /// A site was stored anew.
    pub(crate) fn site_changed(&self, row: &SiteRow) {
        self.keep_site(row.clone());
    }

    fn keep_site(&self, row: SiteRow) -> Arc<Site> {
        let site = Arc::new(Site::new(row));
        self.sites.insert(site.row.site, Arc::clone(&site));
        site
    }
}

//! The sites that are known here, what may be shown of their conversations, and which pages they
//! refused.

use std::sync::Arc;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use protocol::ids::{SiteId, SiteKey, TenantId};
use protocol::personal::Personal;
use protocol::reject::Reject;
use protocol::retention::RetentionClass;
use protocol::time::Day;

use super::ports::Ports;
use super::refused::{RefusedOrigin, RefusedOrigins};
use super::reject::not_found;
use super::site::Site;
use super::times::Times;
use crate::privacy::gate::{Door, ReadGrant, Reader};
use crate::privacy::sweep::is_due;
use crate::store::{ConversationRow, SiteRow, Store};

/// The sites of all Organizations that were asked for since the start.
#[derive(Debug)]
pub(crate) struct Sites {
    store: Arc<dyn Store>,
    times: Arc<Times>,
    sites: DashMap<SiteId, Arc<Site>, RandomState>,
    keys: DashMap<SiteKey, SiteId>,
    refused: RefusedOrigins,
}

/// What may still be shown, today, of what people said about themselves. A site that is not known
/// here shows nothing: what cannot be judged is hidden.
pub(super) struct Shown<'h> {
    today: Day,
    sites: &'h DashMap<SiteId, Arc<Site>, RandomState>,
}

impl Shown<'_> {
    /// What was said of this class on this day, if it may still be read.
    pub(super) fn show<T>(
        &self,
        door: Door,
        site: SiteId,
        (class, day): (RetentionClass, Day),
        value: T,
    ) -> Option<T> {
        let site = self.sites.get(&site)?;
        let timeline = &site.row.timeline;
        ReadGrant::stored(door, Reader::Agents, self.today, timeline).show(class, day, value)
    }

    /// What a visitor of this site said of themselves on this day: their name, their address.
    pub(super) fn contact(
        &self,
        (site, day): (SiteId, Day),
        value: Option<Personal<String>>,
    ) -> Option<Personal<String>> {
        self.show(Door::Card, site, (RetentionClass::Contact, day), value?)
    }

    /// Form and page of a header: they go with the transcript of the day on which it was opened.
    pub(super) fn header<T>(&self, row: &ConversationRow, value: T) -> Option<T> {
        self.show(Door::Card, row.site, (RetentionClass::Transcript, row.created_at.day()), value)
    }
}

impl Sites {
    pub(super) fn new(ports: &Ports) -> Self {
        let (store, times) = (Arc::clone(&ports.store), Arc::clone(&ports.times));
        let (sites, keys, refused) =
            (DashMap::default(), DashMap::new(), RefusedOrigins::default());
        Self { store, times, sites, keys, refused }
    }

    /// What may be shown at this moment.
    pub(super) fn shown(&self) -> Shown<'_> {
        Shown { today: self.times.today(), sites: &self.sites }
    }

    /// A tenant's site.
    pub(crate) async fn get(&self, tenant: TenantId, site: SiteId) -> Result<Arc<Site>, Reject> {
        if let Some(known) = self.sites.get(&site) {
            let known = Arc::clone(&known);
            return if known.row.tenant == tenant {
                Ok(known)
            } else {
                Err(not_found("there is no such site"))
            };
        }
        let row = self.store.site(tenant, site).await?;
        let row = row.ok_or_else(|| not_found("there is no such site"))?;
        Ok(self.read(row).await)
    }

    /// A site that was taken in before.
    pub(super) fn live(&self, site: SiteId) -> Option<Arc<Site>> {
        self.sites.get(&site).map(|known| Arc::clone(&known))
    }

    /// Takes a site in, so that what is shown of its conversations can be judged.
    pub(super) async fn know(&self, tenant: TenantId, site: SiteId) {
        if let Err(reject) = self.get(tenant, site).await {
            tracing::warn!(site_id = %site, reject_code = reject.code.word(), "a site is not known: its conversations show no words");
        }
    }

    /// The site of an embed tag.
    pub(crate) async fn by_key(&self, key: &SiteKey) -> Result<Option<Arc<Site>>, Reject> {
        let known = self.keys.get(key).map(|site| *site);
        if let Some(site) = known.and_then(|site| self.live(site)) {
            return Ok(Some(site));
        }
        let found = self.store.site_by_key(key).await?;
        let Some(row) = found else { return Ok(None) };
        // A site's key never changes, and only one that exists is kept.
        self.keys.insert(key.clone(), row.site);
        Ok(Some(match self.live(row.site) {
            Some(known) => known,
            None => self.read(row).await,
        }))
    }

    /// A site was stored anew. Whether its list of pages may be another one.
    pub(super) async fn changed(&self, row: &SiteRow) -> bool {
        let before = self.sites.insert(row.site, Site::made(row.clone()).await);
        before.is_none_or(|before| before.row.settings.origins != row.settings.origins)
    }

    /// Takes in what was read, unless it was stored anew while it was read.
    async fn read(&self, row: SiteRow) -> Arc<Site> {
        let (id, made) = (row.site, Site::made(row).await);
        Arc::clone(&self.sites.entry(id).or_insert(made))
    }

    /// Whether the key of what was said of this class on a day may be destroyed by another.
    pub(super) fn is_due(
        &self,
        site: SiteId,
        (class, day): (RetentionClass, Day),
        by: Day,
    ) -> bool {
        self.live(site).is_some_and(|site| is_due(&site.row.timeline, class, day, by))
    }

    /// A page of this origin wanted to embed the site's widget, and the site does not list it.
    pub(crate) fn refuse_origin(&self, (tenant, site): (TenantId, SiteId), origin: &str) {
        if self.refused.refuse(site, origin, self.times.now()) {
            tracing::warn!(
                site_id = %site, tenant_id = %tenant,
                "a page that the site does not list wants to embed its widget; the site says which, and which come after it (`refused_origins`)"
            );
        }
    }

    /// The origins that were refused lately and are not allowed by now, the newest first.
    pub(crate) fn refused_origins(&self, site: &SiteRow) -> Vec<RefusedOrigin> {
        self.refused.of(site)
    }
}

//! Sites as the live part needs them: settings, timeline, compiled masks.

use std::sync::Arc;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use protocol::ids::{SiteId, SiteKey, TenantId};
use protocol::personal::Personal;
use protocol::reject::{Reject, RejectCode};
use protocol::retention::RetentionClass;
use protocol::time::Day;

use super::{Hub, not_found, store_reject};
use crate::keys::notice_hash;
use crate::privacy::consent::{NoticeHash, Notices, notice_shown};
use crate::privacy::envelope::Flags;
use crate::privacy::gate::{Door, ReadGrant, Reader};
use crate::privacy::ingest::Ground;
use crate::privacy::redact::Redactor;
use crate::store::{ConversationRow, SiteRow, VisitorRow};
use crate::tasks::{self, Undone};

/// When a client may try again that met masks which cannot be used.
const BROKEN_RETRY_MS: u32 = 60_000;

/// Texts of one Organization that are being looked through or wait for it, where that takes long.
const MASKING_MAX: usize = 32;

/// A site with its masks compiled once.
#[derive(Debug)]
pub struct Site {
    /// As it is stored.
    pub row: SiteRow,
    /// Its masks; those of every site where its own cannot be used.
    masks: Redactor,
    /// The name of its notice.
    notice: NoticeHash,
    /// Its own masks cannot be used: nothing is taken in that they might have had to hide.
    broken: bool,
}

impl Site {
    /// Where its masks are not in use yet, nobody who is served waits for them to be compiled.
    async fn made(row: SiteRow) -> Arc<Self> {
        if Redactor::at_once(&row.settings.redaction_patterns).is_some() {
            return Arc::new(Self::new(row));
        }
        let again = row.clone();
        let made = tasks::blocking(row.tenant, usize::MAX, move || Self::new(row)).await;
        Arc::new(
            made.unwrap_or_else(|_| Self {
                broken: true,
                ..Self::with(again, Redactor::default())
            }),
        )
    }

    fn new(row: SiteRow) -> Self {
        // Patterns are checked when they are set; a later version may judge one otherwise.
        let masks = Redactor::new(&row.settings.redaction_patterns);
        if let Err(error) = &masks {
            tracing::error!(
                site_id = %row.site, tenant_id = %row.tenant, %error,
                "a site's redaction patterns cannot be used: what is written there is refused until its admin corrects them"
            );
        }
        Self { broken: masks.is_err(), ..Self::with(row, masks.unwrap_or_default()) }
    }

    fn with(row: SiteRow, masks: Redactor) -> Self {
        let notice = &row.settings.notice;
        let notice = notice_hash(&notice.text, &notice.url);
        Self { row, masks, notice, broken: false }
    }

    /// The notice that an opening says was shown.
    ///
    /// # Errors
    /// As [`notice_shown`].
    pub(super) fn notice_shown(&self, given: Option<&str>) -> Result<Option<NoticeHash>, Reject> {
        let settings = &self.row.settings;
        let (is_shown, current) = (!settings.notice.is_empty(), self.notice);
        notice_shown(&Notices { is_shown, current, former: &settings.former_notices }, given)
    }

    /// Its masks.
    ///
    /// # Errors
    /// If they cannot be used.
    pub(super) fn redactor(&self) -> Result<&Redactor, Reject> {
        if self.broken {
            return Err(Reject::new(
                RejectCode::StoreUnavailable,
                "this site's redaction patterns cannot be used, so nothing is taken in; its admin has to correct them",
            )
            .retry_after_ms(BROKEN_RETRY_MS));
        }
        Ok(&self.masks)
    }

    /// Does something with its masks that takes long, while nobody who is served waits for it.
    ///
    /// # Errors
    /// Those of the work; and if so much of this Organization's waits that it would take seconds.
    pub(super) async fn mask<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Reject> + Send + 'static,
    ) -> Result<T, Reject> {
        let site = Arc::clone(self);
        let done = tasks::blocking(self.row.tenant, MASKING_MAX, move || work(&site)).await;
        done.unwrap_or_else(|undone| {
            let (words, retry_ms) = match undone {
                Undone::Busy => ("many long texts are being looked through; try again", 1_000),
                Undone::Failed => ("the server could not look through this text", BROKEN_RETRY_MS),
            };
            Err(Reject::new(RejectCode::Overload, words).retry_after_ms(retry_ms))
        })
    }

    /// What decides about a message of this visitor here.
    ///
    /// # Errors
    /// As [`Site::redactor`].
    pub(super) fn ground(
        &self,
        subject: protocol::ids::VisitorId,
        flags: Flags,
        offline_message: bool,
    ) -> Result<Ground<'_>, Reject> {
        let redactor = self.redactor()?;
        Ok(Ground { redactor, flags, offline_message, ..self.wordless_ground(subject) })
    }

    /// The same for a line of the system, which has no words of anybody.
    pub(super) fn wordless_ground(&self, subject: protocol::ids::VisitorId) -> Ground<'_> {
        Ground {
            tenant: self.row.tenant,
            site: self.row.site,
            subject,
            timeline: &self.row.timeline,
            redactor: &self.masks,
            flags: Flags::default(),
            offline_message: false,
        }
    }
}

/// What may still be shown, today, of what people said about themselves. A site that is not known here
/// shows nothing: what cannot be judged is hidden.
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

    /// A visitor's own words about themselves: their name, their address.
    pub(super) fn contact(
        &self,
        row: &VisitorRow,
        value: Option<Personal<String>>,
    ) -> Option<Personal<String>> {
        let of = (RetentionClass::Contact, row.contact_day);
        self.show(Door::Card, row.site, of, value?)
    }

    /// Form and page of a header: they go with the transcript of the day on which it was opened.
    pub(super) fn header<T>(&self, row: &ConversationRow, value: T) -> Option<T> {
        self.show(Door::Card, row.site, (RetentionClass::Transcript, row.created_at.day()), value)
    }
}

impl Hub {
    /// What may be shown at this moment.
    pub(super) fn shown(&self) -> Shown<'_> {
        Shown { today: self.today(), sites: &self.sites }
    }

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
        Ok(self.read_site(row).await)
    }

    /// A site that was taken in before.
    pub(super) fn live_site(&self, site: SiteId) -> Option<Arc<Site>> {
        self.sites.get(&site).map(|known| Arc::clone(&known))
    }

    /// Takes a site in, so that what is shown of its conversations can be judged.
    pub(super) async fn know_site(&self, tenant: TenantId, site: SiteId) {
        if let Err(reject) = self.site(tenant, site).await {
            tracing::warn!(site_id = %site, reject_code = reject.code.word(), "a site is not known: its conversations show no words");
        }
    }

    /// The site of an embed tag.
    pub(crate) async fn site_by_key(&self, key: &SiteKey) -> Result<Option<Arc<Site>>, Reject> {
        let known = self.site_keys.get(key).map(|site| *site);
        if let Some(site) = known.and_then(|site| self.live_site(site)) {
            return Ok(Some(site));
        }
        let found = self.store.site_by_key(key).await.map_err(|error| store_reject(&error))?;
        let Some(row) = found else { return Ok(None) };
        // A site's key never changes, and only one that exists is kept.
        self.site_keys.insert(key.clone(), row.site);
        Ok(Some(match self.live_site(row.site) {
            Some(known) => known,
            None => self.read_site(row).await,
        }))
    }

    /// A site was stored anew.
    pub(crate) async fn site_changed(&self, row: &SiteRow) {
        let before = self.sites.insert(row.site, Site::made(row.clone()).await);
        if before.is_none_or(|before| before.row.settings.origins != row.settings.origins) {
            self.close_pages_not_listed(row);
        }
    }

    /// Takes in what was read, unless it was stored anew while it was read.
    async fn read_site(&self, row: SiteRow) -> Arc<Site> {
        let (id, made) = (row.site, Site::made(row).await);
        Arc::clone(&self.sites.entry(id).or_insert(made))
    }
}

//! A site as the live part needs it: settings, timeline, compiled masks.

use std::sync::Arc;

use protocol::ids::VisitorId;
use protocol::reject::{Reject, RejectCode};

use crate::channel::Channel;
use crate::keys::notice_hash;
use crate::privacy::consent::{NoticeHash, Notices, notice_shown};
use crate::privacy::envelope::Flags;
use crate::privacy::ingest::IngestContext;
use crate::privacy::redact::Redactor;
use crate::store::SiteRow;
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
    pub(super) async fn made(row: SiteRow) -> Arc<Self> {
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
    pub(super) fn context(
        &self,
        subject: VisitorId,
        flags: Flags,
        channel: Channel,
    ) -> Result<IngestContext<'_>, Reject> {
        let redactor = self.redactor()?;
        Ok(IngestContext { redactor, flags, channel, ..self.wordless_context(subject) })
    }

    /// The same for an event message, which has no words of anybody.
    pub(super) fn wordless_context(&self, subject: VisitorId) -> IngestContext<'_> {
        IngestContext {
            tenant: self.row.tenant,
            site: self.row.site,
            subject,
            timeline: &self.row.timeline,
            redactor: &self.masks,
            flags: Flags::default(),
            channel: Channel::Widget,
        }
    }
}

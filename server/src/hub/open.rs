//! A conversation that a visitor begins.
//!
//! Lives here: its limits, and whether one that comes again is the same. Called by the gateway.

use std::net::IpAddr;
use std::sync::Arc;

use protocol::conversation::{ConversationState, PageView};
use protocol::ids::{ConversationId, TenantId, VisitorId};
use protocol::reject::{Reject, RejectCode};
use protocol::time::UnixMillis;

use super::conversations::Conversations;
use super::desk::{Contact, Desk, Header};
use super::form::{Masked, checked_form, given};
use super::reject::not_found;
use super::site::Site;
use super::speaker::{Speaker, Who};
use crate::channel::Channel;
use crate::keys::notice_hash;
use crate::metrics::Throttle;
use crate::privacy::consent::NoticeHash;
use crate::privacy::ingest::locale;
use crate::privacy::redact::PLACEHOLDER;
use crate::routing::Input;
use crate::store::{
    ConversationFilter, ConversationRow, FieldRule, Page, SecretHash, VisitorRow, Write,
};

/// The field of the form by which somebody is known.
const EMAIL: &str = "email";

/// A conversation that a visitor asks to begin.
#[derive(Debug)]
pub struct Opening<'a> {
    pub conversation: ConversationId,
    pub form: Vec<(&'a str, &'a str)>,
    pub page: Option<&'a PageView>,
    /// Hash of the privacy notice that they say they were shown.
    pub notice: Option<&'a str>,
    pub locale: &'a str,
    /// The visitor's token, kept with their first row.
    pub secret: SecretHash,
    pub secret_expires_at: UnixMillis,
    /// Where they come from: for the limit, never stored.
    pub address: IpAddr,
    /// Global Privacy Control: no page is kept.
    pub gpc: bool,
}

impl Conversations {
    /// Begins a conversation: the visitor's row and the header are on disk when this returns. The
    /// same id again is the same conversation; another visitor's is not found.
    ///
    /// # Errors
    /// If the form lacks what the site requires, a limit is reached, or the store cannot take it.
    pub(crate) async fn open(&self, speaker: &Speaker, opening: Opening<'_>) -> Result<(), Reject> {
        let Who::Visitor { site, visitor } = speaker.who else {
            return Err(Reject::new(RejectCode::Forbidden, "only a visitor opens a conversation"));
        };
        if !opening.conversation.is_v7() {
            return Err(Reject::new(
                RejectCode::Invalid,
                "conversation: the id must be a version 7 UUID",
            ));
        }
        let tenant = speaker.tenant;
        let site = self.sites.get(tenant, site).await?;
        // Masking may take long: what others wait for is not held meanwhile.
        let masked = self.masked(&site, &opening).await?;
        let _id_lock = self.id_lock(opening.conversation.as_bytes()).await;
        if let Some(row) = self.store.conversation(tenant, opening.conversation).await? {
            if row.visitor != visitor {
                return Err(not_found("there is no such conversation"));
            }
            return match self.differs(&site, &row, &opening, &masked) {
                None => Ok(()),
                Some(what) => {
                    let words = format!("a conversation with this id began with another {what}");
                    Err(Reject::new(RejectCode::Conflict, words))
                }
            };
        }
        if self.store.conversation_exists(opening.conversation).await? {
            return Err(not_found("there is no such conversation"));
        }
        if site.row.timeline.closed_at(self.times.now()).is_some() {
            return Err(Reject::new(RejectCode::SiteClosed, "this site is closed"));
        }
        self.bound_open(tenant, visitor).await?;
        self.openings.take(opening.address, self.times.instant()).map_err(|wait| {
            self.metrics.rate_limited_total.of(Throttle::Conversations).inc();
            let words = "too many conversations were begun from your network; try again later";
            let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
            Reject::new(RejectCode::TooFast, words).retry_after_ms(wait_ms)
        })?;
        let now = self.times.record_time();
        let (visitor_row, row) = self.rows(&site, visitor, &opening, masked, now).await?;
        let writes = vec![
            Write::Visitor(Box::new(visitor_row.clone())),
            Write::Conversation(Box::new(row.clone())),
        ];
        self.store.write(writes).await?;
        let desk = self.desks.get(tenant).await?;
        let (conversation, site) = (row.conversation, row.site);
        self.take_header(&desk, row, visitor_row).await?;
        self.assignment.route(&desk, Input::Opened { conversation, site }).await
    }

    /// In what an opening differs from the one that began this conversation; in nothing, if it is
    /// the same that comes again. The page and the language are those of the moment and may be
    /// others.
    fn differs(
        &self,
        site: &Site,
        row: &ConversationRow,
        opening: &Opening<'_>,
        masked: &Masked,
    ) -> Option<String> {
        let notice = opening.notice.and_then(NoticeHash::parse);
        // A site without a notice has one that is empty, which nobody is shown.
        if notice.filter(|notice| *notice != notice_hash("", "")) != row.notice {
            return Some(String::from("notice"));
        }
        // What may no longer be read cannot be compared.
        let kept = self.sites.shown().header(row, row.form.as_slice())?;
        let form = &opening.form;
        // What is left out of one may stand in the other: somebody was suppressed in between.
        let counts = |name: &str| !(masked.is_suppressed && name == EMAIL);
        for (name, answer) in kept.iter().filter(|(name, _)| counts(name)) {
            let again = masked.answer(name).map_or("", |answer| answer.expose());
            // Other masks than today's may have hidden a part of it, or let it stand.
            let hidden = [again, answer.expose()].iter().any(|answer| answer.contains(PLACEHOLDER));
            if again != answer.expose() && !hidden {
                return Some(format!("answer to `{name}`"));
            }
        }
        let is_kept = |name: &str| kept.iter().any(|(field, _)| field == name);
        let asked = site.row.settings.form.iter().filter(|(_, rule)| **rule != FieldRule::Hidden);
        let more = asked
            .map(|(name, _)| name)
            .find(|name| counts(name) && !is_kept(name) && !given(form, name).is_empty());
        more.map(|name| format!("answer to `{name}`"))
    }

    /// A visitor has a bounded number of conversations open.
    pub(super) async fn bound_open(
        &self,
        tenant: TenantId,
        visitor: VisitorId,
    ) -> Result<(), Reject> {
        let max = self.per_visitor_max;
        let filter =
            ConversationFilter { live: true, visitor: Some(visitor), ..Default::default() };
        let limit = u16::try_from(max).unwrap_or(u16::MAX);
        let page = Page { limit, after: None };
        if self.store.conversations(tenant, &filter, page).await?.len() >= max {
            self.metrics.rate_limited_total.of(Throttle::Conversations).inc();
            return Err(Reject::new(
                RejectCode::LimitReached,
                format!("you have {max} conversations open; close one first"),
            ));
        }
        Ok(())
    }

    /// Takes a new conversation's header in. The visitor's other conversations show what they said
    /// about themselves.
    pub(super) async fn take_header(
        &self,
        desk: &Desk,
        row: ConversationRow,
        visitor_row: VisitorRow,
    ) -> Result<(), Reject> {
        let others = {
            let mut state = desk.state.lock();
            let contact = Contact::of(visitor_row);
            let others = state.said_anew(row.visitor, contact.as_deref());
            state.insert(Header::new(row, contact, self.times.now()));
            others
        };
        self.board.show(desk, &others).await
    }

    /// What it says, masked. With Global Privacy Control no page is kept.
    pub(super) async fn masked(
        &self,
        site: &Arc<Site>,
        opening: &Opening<'_>,
    ) -> Result<Masked, Reject> {
        let page = opening.page.filter(|_| !opening.gpc);
        let mut masked = Masked::of(site, &opening.form, page).await?;
        if let Some(email) = masked.answer(EMAIL) {
            masked.is_suppressed = self.is_suppressed(site.row.tenant, email).await?;
        }
        Ok(masked)
    }

    pub(super) async fn rows(
        &self,
        site: &Arc<Site>,
        visitor: VisitorId,
        opening: &Opening<'_>,
        masked: Masked,
        now: UnixMillis,
    ) -> Result<(VisitorRow, ConversationRow), Reject> {
        let notice = site.notice_shown(opening.notice)?;
        let Masked { answers, page, is_suppressed } = masked;
        // They said what the site requires; that it is not kept is nobody's to notice.
        let mut form = checked_form(site, answers)?;
        form.retain(|(name, _)| !(is_suppressed && name == EMAIL));
        let answer = |name: &str| {
            form.iter().find(|(field, _)| field == name).map(|(_, answer)| answer.clone())
        };
        let tenant = site.row.tenant;
        let known = self.store.visitor(tenant, visitor).await?;
        let locale = locale(opening.locale);
        let visitor_row = match known {
            Some(mut row) => {
                // What may no longer be shown is not taken over: sealed anew by today's day it
                // would live a second time.
                let shown = self.sites.shown();
                let said = (row.site, row.contact_day);
                row.name = answer("name").or_else(|| shown.contact(said, row.name));
                let kept = shown.contact(said, row.email);
                row.email = match answer(EMAIL) {
                    Some(email) => Some(email),
                    None => self.unless_suppressed(tenant, kept).await?,
                };
                row.contact_day = now.day();
                row.locale.clone_from(&locale);
                row
            }
            None => VisitorRow {
                visitor,
                tenant,
                site: site.row.site,
                name: answer("name"),
                email: answer(EMAIL),
                locale: locale.clone(),
                contact_day: now.day(),
                secret: opening.secret,
                secret_before: None,
                secret_expires_at: opening.secret_expires_at,
                created_at: now,
            },
        };
        let (page_url, page_title) = page.map_or((None, None), |(url, title)| (url, Some(title)));
        let row = ConversationRow {
            conversation: opening.conversation,
            tenant,
            site: site.row.site,
            visitor,
            version: 1,
            state: ConversationState::Queued,
            assignee: None,
            channel: Channel::Widget,
            agents: Vec::new(),
            tags: Vec::new(),
            form,
            notice,
            page_url,
            page_title,
            locale,
            created_at: now,
            waiting_since: Some(now),
            closed_at: None,
        };
        Ok((visitor_row, row))
    }
}

//! A conversation's beginning, end and second beginning.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use protocol::conversation::{ConversationState, PageView};
use protocol::ids::{ConversationId, TenantId, VisitorId};
use protocol::limits::ANSWER_BYTES_MAX;
use protocol::message::EventKind;
use protocol::personal::Personal;
use protocol::reject::{Reject, RejectCode};
use protocol::time::UnixMillis;
use protocol::visible;

use super::desk::Header;
use super::site::Site;
use super::tally::closer;
use super::{Hub, Speaker, Who, not_found, store_reject};
use crate::keys::notice_hash;
use crate::metrics::Throttle;
use crate::privacy::consent::NoticeHash;
use crate::privacy::ingest::{aside, field, locale, page_url};
use crate::privacy::redact::MARK;
use crate::routing::Input;
use crate::store::{
    ConversationFilter, ConversationRow, FieldRule, Page, SecretHash, VisitorRow, Write,
};

/// What is read of a page's title: what is kept of it, and the longest number that its end may cut.
const TITLE_BYTES_READ: usize = 4_096;

/// And of its address.
const URL_BYTES_READ: usize = 6_144;

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

impl Hub {
    /// Begins a conversation: the visitor's row and the header are on disk when this returns. The same
    /// id again is the same conversation; another visitor's is not found.
    ///
    /// # Errors
    /// If the form lacks what the site requires, a limit is reached, or the store cannot take it.
    pub(crate) async fn open(
        self: &Arc<Self>,
        speaker: &Speaker,
        opening: Opening<'_>,
    ) -> Result<(), Reject> {
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
        let site = self.site(tenant, site).await?;
        // Masking may take long: what others wait for is not held meanwhile.
        let masked = Masked::of(&site, &opening).await?;
        let _turn = self.turn(opening.conversation.as_bytes()).await;
        let known = self.store.conversation(tenant, opening.conversation).await;
        if let Some(row) = known.map_err(|error| store_reject(&error))? {
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
        let taken = self.store.conversation_exists(opening.conversation).await;
        if taken.map_err(|error| store_reject(&error))? {
            return Err(not_found("there is no such conversation"));
        }
        if site.row.timeline.closed_at().is_some() {
            return Err(Reject::new(RejectCode::SiteClosed, "this site is closed"));
        }
        self.bound_open(tenant, visitor).await?;
        self.openings.take(opening.address, self.clock.instant()).map_err(|wait| {
            self.metrics.rate_limited_total.of(Throttle::Conversations).inc();
            let words = "too many conversations were begun from your network; try again later";
            let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
            Reject::new(RejectCode::TooFast, words).retry_after_ms(wait_ms)
        })?;
        let now = self.record_time();
        let (visitor_row, row) = self.rows(&site, visitor, &opening, masked, now).await?;
        let writes = vec![
            Write::Visitor(Box::new(visitor_row.clone())),
            Write::Conversation(Box::new(row.clone())),
        ];
        self.store.write(writes).await.map_err(|error| store_reject(&error))?;
        let desk = self.desk(tenant).await?;
        let (conversation, site) = (row.conversation, row.site);
        let others = {
            let mut state = desk.state.lock();
            let others = state.said_anew(&visitor_row);
            state.insert(Header::new(row, visitor_row, self.now()));
            others
        };
        self.show(&desk, &others).await?;
        self.route(&desk, Input::Opened { conversation, site }).await
    }

    /// In what an opening differs from the one that began this conversation; in nothing, if it is the same that comes
    /// again. The page and the language are those of the moment and may be others.
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
        let kept = self.shown().header(row, row.form.as_slice())?;
        let form = &opening.form;
        for (name, answer) in kept {
            let again = masked.answer(name).map_or("", |answer| answer.expose());
            // Other masks than today's may have hidden a part of it, or let it stand.
            let hidden = [again, answer.expose()].iter().any(|answer| answer.contains(MARK));
            if again != answer.expose() && !hidden {
                return Some(format!("answer to `{name}`"));
            }
        }
        let is_kept = |name: &str| kept.iter().any(|(field, _)| field == name);
        let asked = site.row.settings.form.iter().filter(|(_, rule)| **rule != FieldRule::Hidden);
        let more = asked
            .map(|(name, _)| name)
            .find(|name| !is_kept(name) && !given(form, name).is_empty());
        more.map(|name| format!("answer to `{name}`"))
    }

    /// A visitor has a bounded number of conversations open.
    async fn bound_open(&self, tenant: TenantId, visitor: VisitorId) -> Result<(), Reject> {
        let max = self.config.conversations_per_visitor_max;
        let filter =
            ConversationFilter { live: true, visitor: Some(visitor), ..Default::default() };
        let limit = u16::try_from(max).unwrap_or(u16::MAX);
        let page = Page { limit, after: None };
        let open = self.store.conversations(tenant, &filter, page).await;
        if open.map_err(|error| store_reject(&error))?.len() >= max {
            self.metrics.rate_limited_total.of(Throttle::Conversations).inc();
            return Err(Reject::new(
                RejectCode::LimitReached,
                format!("you have {max} conversations open; close one first"),
            ));
        }
        Ok(())
    }

    async fn rows(
        &self,
        site: &Arc<Site>,
        visitor: VisitorId,
        opening: &Opening<'_>,
        masked: Masked,
        now: UnixMillis,
    ) -> Result<(VisitorRow, ConversationRow), Reject> {
        let notice = site.notice_shown(opening.notice)?;
        let Masked { answers, page } = masked;
        let form = checked_form(site, answers)?;
        let answer = |name: &str| {
            form.iter().find(|(field, _)| field == name).map(|(_, answer)| answer.clone())
        };
        let tenant = site.row.tenant;
        let known = self.store.visitor(tenant, visitor).await;
        let known = known.map_err(|error| store_reject(&error))?;
        let locale = locale(opening.locale);
        let visitor_row = match known {
            Some(mut row) => {
                // What may no longer be shown is not taken over: sealed anew by today's day it would
                // live a second time.
                let shown = self.shown();
                row.name = answer("name").or_else(|| shown.contact(&row, row.name.clone()));
                row.email = answer("email").or_else(|| shown.contact(&row, row.email.clone()));
                row.contact_day = now.day();
                row.locale.clone_from(&locale);
                row
            }
            None => VisitorRow {
                visitor,
                tenant,
                site: site.row.site,
                name: answer("name"),
                email: answer("email"),
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
            offline_message: false,
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

    /// Ends a conversation: its visitor, its assignee, or a supervisor may.
    pub(crate) async fn close(
        self: &Arc<Self>,
        tenant: TenantId,
        who: Option<Who>,
        conversation: ConversationId,
    ) -> Result<(), Reject> {
        let desk = self.desk(tenant).await?;
        let _turn = self.turn(conversation.as_bytes()).await;
        self.may_move(&desk, who, conversation, true).await?;
        // Closed already: asking twice is asking once. One whose closing is not written yet still has a header.
        let live = |header: &Header| header.row.state != ConversationState::Closed;
        if !desk.state.lock().headers.get(&conversation).is_some_and(live) {
            return Ok(());
        }
        self.line(tenant, conversation, EventKind::Closed, agent_of(who)).await;
        self.route_end(&desk, conversation, closer(who)).await
    }

    /// Opens a closed conversation again.
    pub(crate) async fn reopen(
        self: &Arc<Self>,
        tenant: TenantId,
        who: Option<Who>,
        conversation: ConversationId,
    ) -> Result<(), Reject> {
        let desk = self.desk(tenant).await?;
        let _turn = self.turn(conversation.as_bytes()).await;
        self.may_move(&desk, who, conversation, false).await?;
        // What memory has is newer than the store where its closing could not be written.
        let known = {
            let state = desk.state.lock();
            state.headers.get(&conversation).map(|kept| (kept.row.clone(), kept.visitor.clone()))
        };
        let (mut row, visitor) = match known {
            Some((row, _)) if row.state != ConversationState::Closed => return Ok(()),
            Some(closed) => closed,
            None => self.stored_header(tenant, conversation).await?,
        };
        let site = self.site(tenant, row.site).await?;
        if site.row.timeline.closed_at().is_some() {
            return Err(Reject::new(RejectCode::SiteClosed, "this site is closed"));
        }
        let former = agent_of(who).or(row.assignee);
        let (version, site) = (row.version, row.site);
        row.state = ConversationState::Queued;
        row.assignee = None;
        row.closed_at = None;
        let now = self.now();
        row.waiting_since = Some(now);
        desk.state.lock().insert(Header::new(row, visitor, now));
        self.line(tenant, conversation, EventKind::Reopened, agent_of(who)).await;
        self.route(&desk, Input::Reopened { conversation, site, version, former }).await
    }

    /// Whether someone may end or move a conversation; where it is not theirs, it is not found.
    pub(super) async fn may_move(
        &self,
        desk: &super::desk::Desk,
        who: Option<Who>,
        conversation: ConversationId,
        live_only_assignee: bool,
    ) -> Result<(), Reject> {
        let known = {
            let state = desk.state.lock();
            state.headers.get(&conversation).map(|h| (h.row.visitor, h.row.assignee))
        };
        let (visitor, assignee) = match known {
            Some(known) => known,
            None => {
                let row = self.store.conversation(desk.tenant, conversation).await;
                let row = row.map_err(|error| store_reject(&error))?;
                let row = row.ok_or_else(|| not_found("there is no such conversation"))?;
                (row.visitor, row.assignee)
            }
        };
        match who {
            // A program of the Organization.
            None => Ok(()),
            Some(Who::Visitor { visitor: own, .. }) if own == visitor => Ok(()),
            Some(Who::Visitor { .. }) => Err(not_found("there is no such conversation")),
            Some(Who::Agent { agent, .. })
                if !live_only_assignee
                    || assignee == Some(agent)
                    || desk.state.lock().supervises(agent) =>
            {
                Ok(())
            }
            Some(Who::Agent { .. }) => Err(Reject::new(
                RejectCode::Forbidden,
                "this conversation is not yours; a supervisor may do that",
            )),
        }
    }
}

fn agent_of(who: Option<Who>) -> Option<protocol::ids::AgentId> {
    match who {
        Some(Who::Agent { agent, .. }) => Some(agent),
        Some(Who::Visitor { .. }) | None => None,
    }
}

/// What was answered to a field, as it is seen; nothing, if it was not.
fn given<'f>(form: &[(&str, &'f str)], name: &str) -> Cow<'f, str> {
    let answer = form.iter().find(|(field, _)| *field == name);
    answer.map_or(Cow::Borrowed(""), |(_, text)| visible::name(text))
}

/// What an opening says, redacted and bounded.
struct Masked {
    /// To what the site may ask for, where there is an answer.
    answers: Vec<(String, Personal<String>)>,
    page: Option<(Option<Personal<String>>, Personal<String>)>,
}

impl Masked {
    async fn of(site: &Arc<Site>, opening: &Opening<'_>) -> Result<Self, Reject> {
        let mut answers = Vec::new();
        for name in site.row.settings.form.keys() {
            let given = given(&opening.form, name);
            if !given.is_empty() {
                answers.push((name.clone(), masked_answer(site, &given).await?));
            }
        }
        let page = match opening.page.filter(|_| !opening.gpc) {
            Some(page) => Some(checked_page(site, page).await?),
            None => None,
        };
        Ok(Self { answers, page })
    }

    fn answer(&self, name: &str) -> Option<&Personal<String>> {
        self.answers.iter().find(|(field, _)| field == name).map(|(_, answer)| answer)
    }
}

/// The form as it is kept: what the site requires must be there, what it does not ask for is left out.
fn checked_form(
    site: &Site,
    mut answers: Vec<(String, Personal<String>)>,
) -> Result<Vec<(String, Personal<String>)>, Reject> {
    let form = &site.row.settings.form;
    let missing = form.iter().find(|(name, rule)| {
        **rule == FieldRule::Required && answers.iter().all(|(given, _)| given != *name)
    });
    if let Some((name, _)) = missing {
        let words = format!("form: the field `{name}` must be filled in");
        return Err(Reject::new(RejectCode::Invalid, words));
    }
    answers.retain(|(name, _)| form.get(name) != Some(&FieldRule::Hidden));
    Ok(answers)
}

/// An answer of the form, redacted and bounded.
async fn masked_answer(site: &Arc<Site>, given: &str) -> Result<Personal<String>, Reject> {
    // One that is too long is refused before anything is looked for in it.
    if given.len() > ANSWER_BYTES_MAX || !site.redactor()?.takes_long(given) {
        return field("form", given, ANSWER_BYTES_MAX, site.redactor()?);
    }
    let given = given.to_owned();
    site.mask(move |site| field("form", &given, ANSWER_BYTES_MAX, site.redactor()?)).await
}

/// A page's address without its query, where it has one of the web, and its title. Refused only where the site's masks
/// cannot be used.
pub(super) async fn checked_page(
    site: &Arc<Site>,
    page: &PageView,
) -> Result<(Option<Personal<String>>, Personal<String>), Reject> {
    let title = page.title.as_ref().map_or("", |title| title.expose());
    let title = title.get(..title.floor_char_boundary(TITLE_BYTES_READ)).unwrap_or_default();
    let title = visible::name(title).into_owned();
    let url = page.url.expose();
    let url = url.get(..url.floor_char_boundary(URL_BYTES_READ)).unwrap_or_default().to_owned();
    let redactor = site.redactor()?;
    let takes_long = redactor.takes_long(&title) || redactor.takes_long(&url);
    let work = move |site: &Site| {
        let redactor = site.redactor()?;
        Ok((page_url(&url, redactor), aside(&title, ANSWER_BYTES_MAX, redactor)))
    };
    if takes_long { site.mask(work).await } else { work(site) }
}

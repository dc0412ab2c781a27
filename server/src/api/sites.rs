//! The websites of an Organization and how their widgets are set up.

use std::collections::BTreeMap;

use axum::response::Response;
use protocol::conversation::Role;
use protocol::ids::{SiteId, SiteKey, TenantId};
use protocol::retention::RetentionClass;
use protocol::time::UnixMillis;
use protocol::visible::is_blank;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::ApiState;
use super::access::Access;
use super::idempotency::Idempotency;
use super::json::{Answer, Json};
use super::page::{Items, PageQuery};
use super::problem::{Problem, ProblemCode};
use super::request::{Asked, Body, Id, bounded, name};
use super::schema;
use crate::auth::Scope;
use crate::hub::RefusedOrigin as Refused;
use crate::keys::{notice_hash, random_bytes};
use crate::origin::{is_web_address, parse_origin};
use crate::privacy::audit::{Act, Action, Detail, ObjectKind};
use crate::privacy::policy::{Plan, SiteTimeline, kept_for};
use crate::privacy::redact::{BadPattern, Redactor};
use crate::store::{Change, FieldRule, Notice, SiteRow, SiteSettings};
use crate::tasks::{self, Undone};

pub(super) const NAME_CHARS_MAX: usize = 100;
pub(super) const ORIGINS_MAX: usize = 32;
pub(super) const TEXTS_MAX: usize = 32;
pub(super) const TEXT_CHARS_MAX: usize = 500;
pub(super) const NOTICE_CHARS_MAX: usize = 2_000;
pub(super) const URL_BYTES_MAX: usize = 2_048;
/// Pattern changes of one Organization that are being judged or wait for it: each takes up to half
/// a second.
const COMPILING_MAX: usize = 8;
/// Notices of before by which a visitor who was away may begin; the oldest is forgotten first.
const FORMER_NOTICES_MAX: usize = 100;

/// The fields that the form before a conversation can have.
pub(super) const FORM_FIELDS: [&str; 2] = ["name", "email"];

/// A website with our widget.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Site {
    #[schema(schema_with = schema::site_id)]
    site_id: SiteId,
    /// Public: it stands in the embed tag.
    #[schema(schema_with = schema::site_key)]
    site_key: SiteKey,
    name: String,
    /// Set by the operator.
    #[schema(value_type = PlanName)]
    plan: Plan,
    state: SiteState,
    /// Unix milliseconds.
    #[schema(value_type = Option<u64>)]
    closed_at: Option<UnixMillis>,
    /// Whose pages may embed the widget. `https://*.shop.example` stands for all names under
    /// `shop.example`, and not for that one itself.
    origins: Vec<String>,
    /// Pages that wanted to embed the widget since the server began and are not listed: the newest
    /// 8, newest first.
    refused_origins: Vec<RefusedOrigin>,
    /// The widget's texts by name.
    texts: BTreeMap<String, String>,
    form: BTreeMap<String, FieldRule>,
    notice: Notice,
    /// Regular expressions of what is hidden before anything is stored.
    redaction_patterns: Vec<String>,
    /// What to put into the site's pages.
    embed_tag: String,
    retention: Retention,
    #[schema(value_type = u64)]
    created_at: UnixMillis,
}

/// A page's origin that is not among the site's.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RefusedOrigin {
    /// As `origins` would have it; `null` for a page without a name, such as a file or a frame in a
    /// sandbox.
    origin: String,
    /// Whether `origins` would take it: plain HTTP away from the server's machine it does not, nor
    /// `null`.
    addable: bool,
    /// The last time, in Unix milliseconds.
    #[schema(value_type = u64)]
    at: UnixMillis,
}

impl From<Refused> for RefusedOrigin {
    fn from(Refused { origin, addable, at }: Refused) -> Self {
        Self { origin, addable, at }
    }
}

/// The names of the plans.
#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum PlanName {
    Free,
    Team,
    Business,
    Enterprise,
}

/// Whether the site takes conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SiteState {
    Open,
    Closed,
}

/// How long what is kept, in words.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Retention {
    transcript: String,
    /// Where an agreement keeps them otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    offline_message: Option<String>,
    /// Likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_note: Option<String>,
}

impl Retention {
    fn of(timeline: &SiteTimeline, now: UnixMillis) -> Self {
        let kept = |class| match kept_for(timeline, class, now) {
            Some(period) => period.to_string(),
            None => String::from("until the site is cleared"),
        };
        let transcript = kept(RetentionClass::Transcript);
        let other = |class| Some(kept(class)).filter(|kept| *kept != transcript);
        Self {
            offline_message: other(RetentionClass::OfflineMessage),
            agent_note: other(RetentionClass::AgentNote),
            transcript,
        }
    }
}

/// A new site; its plan is `free` until the operator sets another.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSite {
    name: String,
    origins: Vec<String>,
}

/// What to change; a list or map that is given replaces the one before.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteChange {
    name: Option<String>,
    origins: Option<Vec<String>>,
    texts: Option<BTreeMap<String, String>>,
    form: Option<BTreeMap<String, FieldRule>>,
    notice: Option<Notice>,
    redaction_patterns: Option<Vec<String>>,
    /// Refused: the operator's.
    #[schema(ignore)]
    plan: Option<IgnoredAny>,
    /// Refused: the operator's.
    #[schema(ignore)]
    state: Option<IgnoredAny>,
}

impl Site {
    pub(crate) fn of(state: &ApiState, row: SiteRow) -> Self {
        let public_url = state.public_url.as_str();
        let refused = state.live.refused_origins(&row);
        let now = state.now();
        let plan = row.timeline.plan(now);
        let closed_at = row.timeline.closed_at(now);
        let retention = Retention::of(&row.timeline, now);
        let embed_tag = format!(
            "<script async src=\"{public_url}/widget/loader.js\" data-site-key=\"{}\"></script>",
            row.site_key
        );
        Self {
            site_id: row.site,
            site_key: row.site_key,
            name: row.name,
            plan,
            state: if closed_at.is_some() { SiteState::Closed } else { SiteState::Open },
            closed_at,
            origins: row.settings.origins,
            refused_origins: refused.into_iter().map(RefusedOrigin::from).collect(),
            texts: row.settings.texts,
            form: form_with_defaults(row.settings.form),
            notice: row.settings.notice,
            redaction_patterns: row.settings.redaction_patterns,
            embed_tag,
            retention,
            created_at: row.created_at,
        }
    }
}

/// Every field that a form can have, with its rule.
pub(crate) fn form_with_defaults(
    mut form: BTreeMap<String, FieldRule>,
) -> BTreeMap<String, FieldRule> {
    for field in FORM_FIELDS {
        form.entry(field.to_owned()).or_default();
    }
    form
}

/// A plan in the audit: its place in the list of plans.
pub(super) const fn plan_code(plan: Plan) -> i64 {
    match plan {
        Plan::Free => 1,
        Plan::Team => 2,
        Plan::Business => 3,
        Plan::Enterprise => 4,
    }
}

/// GET /v1/sites
#[utoipa::path(get, path = "/v1/sites", tag = "sites", operation_id = "list_sites",
    params(PageQuery), responses((status = 200, body = Items<Site>)))]
pub(crate) async fn list(access: Access, Asked(query): Asked<PageQuery>) -> Answer<Items<Site>> {
    access.need(Role::Agent, Scope::SitesRead)?;
    let page = query.parse()?;
    let rows = access.state.store.sites(access.tenant, page).await?;
    Ok(Json(Items::cut(rows, &page, |row| row.site, |row| Site::of(&access.state, row))))
}

/// POST /v1/sites
#[utoipa::path(post, path = "/v1/sites", tag = "sites", operation_id = "create_site",
    request_body = NewSite, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Site), (status = 403), (status = 422)))]
pub(crate) async fn create(
    access: Access,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewSite>,
) -> Result<Response, Problem> {
    let state = &access.state;
    access.need(Role::Admin, Scope::SitesWrite)?;
    let act = access.act(Action::SiteCreated);
    let new = async { new_site(state, (access.tenant, act), &new.name, &new.origins, Plan::Free) };
    once.once(state, access.tenant, &access.owner(), &bytes, new).await
}

/// A site with the settings that a new one has.
pub(crate) fn new_site(
    state: &ApiState,
    (tenant, act): (TenantId, Act),
    site_name: &str,
    origins: &[String],
    plan: Plan,
) -> Result<(Act, Vec<Change>, Site), Problem> {
    let now = state.now();
    let settings = SiteSettings {
        origins: check_origins(origins)?,
        form: form_with_defaults(BTreeMap::new()),
        ..SiteSettings::default()
    };
    let row = SiteRow {
        site: SiteId::from_uuid(state.new_uuid()),
        tenant,
        site_key: SiteKey::from_random(random_bytes()),
        name: name("name", site_name, NAME_CHARS_MAX)?,
        timeline: SiteTimeline::new(now, plan),
        settings,
        created_at: now,
    };
    let act = act.on(ObjectKind::Site, *row.site.as_bytes()).with(Detail::NewPlan, plan_code(plan));
    Ok((act, vec![Change::create(row.clone())], Site::of(state, row)))
}

/// GET /v1/sites/{site_id}
#[utoipa::path(get, path = "/v1/sites/{site_id}", tag = "sites", operation_id = "get_site",
    params(("site_id" = String, Path)), responses((status = 200, body = Site), (status = 404)))]
pub(crate) async fn get(access: Access, Id(site): Id<SiteId>) -> Answer<Site> {
    access.need(Role::Agent, Scope::SitesRead)?;
    let row = find(&access.state, access.tenant, site).await?;
    Ok(Json(Site::of(&access.state, row)))
}

/// PATCH /v1/sites/{site_id}
#[utoipa::path(patch, path = "/v1/sites/{site_id}", tag = "sites", operation_id = "update_site",
    params(("site_id" = String, Path)), request_body = SiteChange,
    responses((status = 200, body = Site), (status = 403), (status = 404), (status = 422)))]
pub(crate) async fn update(
    access: Access,
    Id(site): Id<SiteId>,
    Body { value: change, .. }: Body<SiteChange>,
) -> Answer<Site> {
    let state = &access.state;
    access.need(Role::Admin, Scope::SitesWrite)?;
    // Compiled before the lock is taken, and in use until the site has them.
    let _masks = match &change.redaction_patterns {
        Some(patterns) => Some(masks(access.tenant, patterns).await?),
        None => kept_masks(&find(state, access.tenant, site).await?).await,
    };
    let _id_lock = state.changes.of(access.tenant.as_bytes()).await;
    let mut row = find(state, access.tenant, site).await?;
    for (field, given) in [("plan", change.plan.is_some()), ("state", change.state.is_some())] {
        if given {
            return Err(Problem::new(
                ProblemCode::ForbiddenField,
                "Plans and the closing of sites are the operator's.",
            )
            .naming(field));
        }
    }
    apply(change, &mut row)?;
    let act = access.act(Action::SiteSettingsChanged).on(ObjectKind::Site, *site.as_bytes());
    state.carry_out(act, vec![row.clone().change()]).await?;
    Ok(Json(Site::of(state, row)))
}

async fn find(state: &ApiState, tenant: TenantId, site: SiteId) -> Result<SiteRow, Problem> {
    state.store.site(tenant, site).await?.ok_or_else(|| Problem::not_found("site"))
}

fn apply(change: SiteChange, row: &mut SiteRow) -> Result<(), Problem> {
    if let Some(text) = change.name {
        row.name = name("name", &text, NAME_CHARS_MAX)?;
    }
    if let Some(origins) = change.origins {
        row.settings.origins = check_origins(&origins)?;
    }
    if let Some(texts) = change.texts {
        check_texts(&texts)?;
        row.settings.texts = texts.into_iter().map(|(name, text)| (name, seen(text))).collect();
    }
    if let Some(form) = change.form {
        if form.keys().any(|field| !FORM_FIELDS.contains(&field.as_str())) {
            return Err(Problem::field("form", "The form's fields are `name` and `email`."));
        }
        row.settings.form = form_with_defaults(form);
    }
    if let Some(notice) = change.notice {
        let former = std::mem::replace(&mut row.settings.notice, check_notice(notice)?);
        if former != row.settings.notice && !former.is_empty() {
            let hash = notice_hash(&former.text, &former.url);
            let before = &mut row.settings.former_notices;
            before.retain(|known| *known != hash);
            before.insert(0, hash);
            before.truncate(FORMER_NOTICES_MAX);
        }
    }
    if let Some(patterns) = change.redaction_patterns {
        row.settings.redaction_patterns = patterns;
    }
    Ok(())
}

fn check_origins(origins: &[String]) -> Result<Vec<String>, Problem> {
    if origins.len() > ORIGINS_MAX {
        return Err(Problem::field("origins", "At most 32 origins."));
    }
    let mut checked = Vec::with_capacity(origins.len());
    for (place, origin) in (1..).zip(origins) {
        let origin = parse_origin(origin).map_err(|error| {
            let words = format!("Origin {place} of the list cannot be taken: {error}.");
            Problem::field("origins", words)
        })?;
        if !checked.contains(&origin) {
            checked.push(origin);
        }
    }
    Ok(checked)
}

fn check_texts(texts: &BTreeMap<String, String>) -> Result<(), Problem> {
    let is_name = |name: &str| {
        (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    if texts.len() > TEXTS_MAX || !texts.keys().all(|name| is_name(name)) {
        return Err(Problem::field("texts", "At most 32 texts, named by small letters."));
    }
    texts.values().try_for_each(|text| bounded("texts", text, TEXT_CHARS_MAX))
}

/// A text in which nothing is seen is none.
fn seen(text: String) -> String {
    if is_blank(&text) { String::new() } else { text }
}

fn check_notice(notice: Notice) -> Result<Notice, Problem> {
    bounded("notice", &notice.text, NOTICE_CHARS_MAX)?;
    let Notice { text, url } = notice;
    let text = seen(text);
    let url = url.trim().to_owned();
    if url.is_empty() || (url.len() <= URL_BYTES_MAX && is_web_address(&url, false)) {
        return Ok(Notice { text, url });
    }
    Err(Problem::field("notice", "`url` is an address that begins with https://, or empty."))
}

/// Those that a site has already, so that nothing is compiled while others wait. What cannot be
/// used stays so.
pub(super) async fn kept_masks(row: &SiteRow) -> Option<Redactor> {
    masks(row.tenant, &row.settings.redaction_patterns).await.ok()
}

/// The masks that these patterns make.
async fn masks(tenant: TenantId, patterns: &[String]) -> Result<Redactor, Problem> {
    if let Some(masks) = Redactor::at_once(patterns) {
        return Ok(masks);
    }
    let patterns = patterns.to_vec();
    let made = tasks::blocking(tenant, COMPILING_MAX, move || Redactor::new(&patterns)).await;
    let made = made.map_err(|undone| match undone {
        Undone::Busy => {
            let words = "Other patterns of this Organization are being judged. Try again.";
            Problem::new(ProblemCode::Overload, words).retry_after_ms(1_000)
        }
        Undone::Failed => Problem::internal(),
    })?;
    made.map_err(|error: BadPattern| {
        Problem::field("redaction_patterns", format!("The patterns cannot be used: {error}."))
    })
}

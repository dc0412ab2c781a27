//! What the operator does: Organizations, their sites and plans, their first admins. Nothing here
//! shows what was said.

use axum::response::Response;
use protocol::ids::{SiteId, TenantId};
use protocol::personal::Personal;
use protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::access::OperatorAccess;
use super::idempotency::Idempotency;
use super::invitations::{IssuedInvitation, NewInvitation, invite};
use super::json::{Answer, Json};
use super::page::{Items, PageQuery};
use super::problem::{Problem, ProblemCode};
use super::request::{Asked, Body, Id, name};
use super::sites::{PlanName, Site, kept_masks, new_site, plan_code};
use super::{ApiState, schema};
use crate::auth::{Scope, normal_email};
use crate::privacy::audit::{Action, Detail, ObjectKind};
use crate::privacy::policy::{Plan, SiteEvent};
use crate::store::{Change, TenantRow};

pub(super) const NAME_CHARS_MAX: usize = 200;

/// Characters of an address to turn to.
pub(super) const CONTACT_CHARS_MAX: usize = 300;

/// Under whose name the answers to creations are kept that belong to no Organization.
pub(crate) const NO_TENANT: TenantId = TenantId::from_bytes([0; 16]);

/// An Organization.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Tenant {
    #[schema(schema_with = schema::tenant_id)]
    tenant_id: TenantId,
    name: String,
    /// An e-mail address or a page.
    #[schema(value_type = String)]
    privacy_contact: Personal<String>,
    #[schema(value_type = u64)]
    created_at: UnixMillis,
}

/// A new Organization.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTenant {
    name: String,
    /// Where people turn with questions about their data: an e-mail address or an https page.
    #[schema(value_type = String)]
    privacy_contact: Personal<String>,
}

/// A new site with its plan.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTenantSite {
    name: String,
    origins: Vec<String>,
    #[schema(value_type = PlanName)]
    plan: Plan,
}

/// Another plan.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanChange {
    #[schema(value_type = PlanName)]
    plan: Plan,
}

impl From<TenantRow> for Tenant {
    fn from(row: TenantRow) -> Self {
        Self {
            tenant_id: row.tenant,
            name: row.name,
            privacy_contact: row.privacy_contact,
            created_at: row.created_at,
        }
    }
}

/// GET /v1/tenants
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", operation_id = "list_tenants",
    params(PageQuery), responses((status = 200, body = Items<Tenant>)))]
pub(crate) async fn list(
    access: OperatorAccess,
    Asked(query): Asked<PageQuery>,
) -> Answer<Items<Tenant>> {
    access.need(Scope::TenantsRead)?;
    let page = query.parse()?;
    let rows = access.state.store.tenants(page).await?;
    Ok(Json(Items::cut(rows, &page, |row| row.tenant, Tenant::from)))
}

/// POST /v1/tenants
#[utoipa::path(post, path = "/v1/tenants", tag = "tenants", operation_id = "create_tenant",
    request_body = NewTenant, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Tenant), (status = 422)))]
pub(crate) async fn create(
    access: OperatorAccess,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewTenant>,
) -> Result<Response, Problem> {
    let state = &access.state;
    access.need(Scope::TenantsWrite)?;
    let create = async {
        let row = TenantRow {
            tenant: TenantId::from_uuid(state.new_uuid()),
            name: name("name", &new.name, NAME_CHARS_MAX)?,
            privacy_contact: contact(&new.privacy_contact)?,
            created_at: state.now(),
        };
        let act = access.act(Action::TenantCreated);
        let act = act.on(ObjectKind::Tenant, *row.tenant.as_bytes());
        Ok((act, vec![Change::create(row.clone())], Tenant::from(row)))
    };
    once.once(state, NO_TENANT, &access.key.to_string(), &bytes, create).await
}

/// GET /v1/tenants/{tenant_id}
#[utoipa::path(get, path = "/v1/tenants/{tenant_id}", tag = "tenants", operation_id = "get_tenant",
    params(("tenant_id" = String, Path)), responses((status = 200, body = Tenant), (status = 404)))]
pub(crate) async fn get(access: OperatorAccess, Id(tenant): Id<TenantId>) -> Answer<Tenant> {
    access.need(Scope::TenantsRead)?;
    Ok(Json(Tenant::from(find(&access.state, tenant).await?)))
}

/// GET /v1/tenants/{tenant_id}/sites
#[utoipa::path(get, path = "/v1/tenants/{tenant_id}/sites", tag = "sites",
    operation_id = "list_tenant_sites", params(("tenant_id" = String, Path), PageQuery),
    responses((status = 200, body = Items<Site>), (status = 404)))]
pub(crate) async fn list_sites(
    access: OperatorAccess,
    Id(tenant): Id<TenantId>,
    Asked(query): Asked<PageQuery>,
) -> Answer<Items<Site>> {
    let state = &access.state;
    access.need(Scope::SitesRead)?;
    find(state, tenant).await?;
    let page = query.parse()?;
    let rows = state.store.sites(tenant, page).await?;
    Ok(Json(Items::cut(rows, &page, |row| row.site, |row| Site::of(state, row))))
}

/// POST /v1/tenants/{tenant_id}/sites
#[utoipa::path(post, path = "/v1/tenants/{tenant_id}/sites", tag = "sites",
    operation_id = "create_tenant_site", request_body = NewTenantSite,
    params(("tenant_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Site), (status = 404), (status = 422)))]
pub(crate) async fn create_tenant_site(
    access: OperatorAccess,
    Id(tenant): Id<TenantId>,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewTenantSite>,
) -> Result<Response, Problem> {
    let state = &access.state;
    access.need(Scope::SitesWrite)?;
    find(state, tenant).await?;
    let act = access.act_on(tenant, Action::SiteCreated);
    let new = async { new_site(state, (tenant, act), &new.name, &new.origins, new.plan) };
    once.once(state, tenant, &access.key.to_string(), &bytes, new).await
}

/// POST /v1/tenants/{tenant_id}/invitations
#[utoipa::path(post, path = "/v1/tenants/{tenant_id}/invitations", tag = "tenants",
    operation_id = "create_tenant_invitation", request_body = NewInvitation,
    params(("tenant_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = IssuedInvitation), (status = 404), (status = 409)))]
pub(crate) async fn create_invitation(
    access: OperatorAccess,
    Id(tenant): Id<TenantId>,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewInvitation>,
) -> Result<Response, Problem> {
    let state = &access.state;
    access.need(Scope::TenantsWrite)?;
    find(state, tenant).await?;
    let act = access.act_on(tenant, Action::InvitationCreated);
    let create = invite(state, tenant, act, new);
    once.once(state, tenant, &access.key.to_string(), &bytes, create).await
}

/// GET /v1/sites/{site_id}
#[utoipa::path(get, path = "/v1/sites/{site_id}", tag = "sites", operation_id = "get_any_site",
    params(("site_id" = String, Path)), responses((status = 200, body = Site), (status = 404)))]
pub(crate) async fn get_site(access: OperatorAccess, Id(site): Id<SiteId>) -> Answer<Site> {
    access.need(Scope::SitesRead)?;
    let row = access.state.store.site_of_any_tenant(site).await?;
    let row = row.ok_or_else(|| Problem::not_found("site"))?;
    Ok(Json(Site::of(&access.state, row)))
}

/// PUT /v1/sites/{site_id}/plan
#[utoipa::path(put, path = "/v1/sites/{site_id}/plan", tag = "sites", operation_id = "set_site_plan",
    params(("site_id" = String, Path)), request_body = PlanChange,
    responses((status = 200, body = Site), (status = 404)))]
pub(crate) async fn set_plan(
    access: OperatorAccess,
    Id(site): Id<SiteId>,
    Body { value: change, .. }: Body<PlanChange>,
) -> Answer<Site> {
    push(&access.state, &access, site, SiteEvent::Plan { plan: change.plan }).await
}

/// POST /v1/sites/{site_id}/close
#[utoipa::path(post, path = "/v1/sites/{site_id}/close", tag = "sites", operation_id = "close_site",
    params(("site_id" = String, Path)), responses((status = 200, body = Site), (status = 404)))]
pub(crate) async fn close_site(access: OperatorAccess, Id(site): Id<SiteId>) -> Answer<Site> {
    push(&access.state, &access, site, SiteEvent::Closed).await
}

/// POST /v1/sites/{site_id}/reopen
#[utoipa::path(post, path = "/v1/sites/{site_id}/reopen", tag = "sites", operation_id = "reopen_site",
    params(("site_id" = String, Path)), responses((status = 200, body = Site), (status = 404)))]
pub(crate) async fn reopen_site(access: OperatorAccess, Id(site): Id<SiteId>) -> Answer<Site> {
    push(&access.state, &access, site, SiteEvent::Reopened).await
}

/// Adds a change to a site's timeline; one that changes nothing is left out.
async fn push(
    state: &ApiState,
    access: &OperatorAccess,
    site: SiteId,
    event: SiteEvent,
) -> Result<Json<Site>, Problem> {
    access.need(Scope::SitesWrite)?;
    let find = async || {
        let row = state.store.site_of_any_tenant(site).await?;
        row.ok_or_else(|| Problem::not_found("site"))
    };
    let row = find().await?;
    let _masks = kept_masks(&row).await;
    let _id_lock = state.changes.of(row.tenant.as_bytes()).await;
    let mut row = find().await?;
    let now = state.now();
    let was = row.timeline.plan(now);
    let is_closed = row.timeline.closed_at(now).is_some();
    let (changes, action) = if let SiteEvent::Plan { plan } = &event {
        let awaits = row.timeline.trial(now).is_some() || row.timeline.downgrade(now).is_some();
        (awaits || was != *plan, Action::SitePlanChanged)
    } else if event == SiteEvent::Closed {
        (!is_closed, Action::SiteClosed)
    } else {
        (is_closed, Action::SiteReopened)
    };
    if changes {
        let act = access.act_on(row.tenant, action).on(ObjectKind::Site, *site.as_bytes());
        let act = if let SiteEvent::Plan { plan } = &event {
            act.with(Detail::OldPlan, plan_code(was)).with(Detail::NewPlan, plan_code(*plan))
        } else {
            act
        };
        row.timeline.push(now, event);
        state.carry_out(act, vec![row.clone().change()]).await?;
        tracing::info!(site_id = %row.site, tenant_id = %row.tenant, "the operator changed a site's plan or state");
    }
    Ok(Json(Site::of(state, row)))
}

async fn find(state: &ApiState, tenant: TenantId) -> Result<TenantRow, Problem> {
    state.store.tenant(tenant).await?.ok_or_else(|| Problem::not_found("Organization"))
}

fn contact(given: &Personal<String>) -> Result<Personal<String>, Problem> {
    let text = name("privacy_contact", given.expose(), CONTACT_CHARS_MAX)?;
    if text.starts_with("https://") || normal_email(&text).is_ok() {
        return Ok(Personal::new(text));
    }
    Err(Problem::new(
        ProblemCode::Invalid,
        "An e-mail address, or a page that begins with https://.",
    )
    .naming("privacy_contact"))
}

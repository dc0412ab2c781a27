//! The people on the websites, as far as they said who they are.

use std::collections::HashMap;

use protocol::conversation::Role;
use protocol::ids::{SiteId, VisitorId};
use protocol::personal::Personal;
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};
use serde::Serialize;

use super::access::Access;
use super::json::{Answer, Json};
use super::lookups::today;
use super::page::{Items, PageQuery};
use super::problem::Problem;
use super::request::{Asked, Id};
use super::schema;
use crate::auth::Scope;
use crate::privacy::gate::{Door, ReadGrant, Reader};
use crate::privacy::policy::SiteTimeline;
use crate::store::VisitorRow;

/// A visitor.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Visitor {
    #[schema(schema_with = schema::visitor_id)]
    visitor_id: VisitorId,
    #[schema(schema_with = schema::site_id)]
    site_id: SiteId,
    /// Null where they gave none, or where its time is over.
    #[schema(value_type = Option<String>)]
    name: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    email: Option<Personal<String>>,
    /// BCP 47.
    locale: String,
    #[schema(value_type = u64)]
    created_at: UnixMillis,
}

/// Shapes a visitor; what they said about themselves is left out once its time is over.
fn shape(row: VisitorRow, timeline: Option<&SiteTimeline>, today: Day) -> Visitor {
    let contact = timeline.and_then(|timeline| {
        let grant = ReadGrant::stored(Door::Api, Reader::Agents, today, timeline);
        grant.show(RetentionClass::Contact, row.contact_day, (row.name, row.email))
    });
    let (name, email) = contact.unwrap_or_default();
    Visitor {
        visitor_id: row.visitor,
        site_id: row.site,
        name,
        email,
        locale: row.locale,
        created_at: row.created_at,
    }
}

/// GET /v1/visitors
#[utoipa::path(get, path = "/v1/visitors", tag = "visitors", operation_id = "list_visitors",
    params(PageQuery), responses((status = 200, body = Items<Visitor>)))]
pub(crate) async fn list(access: Access, Asked(query): Asked<PageQuery>) -> Answer<Items<Visitor>> {
    let state = &access.state;
    access.need(Role::Agent, Scope::VisitorsRead)?;
    let page = query.parse()?;
    let rows = state.store.visitors(access.tenant, page).await?;
    let mut timelines = HashMap::new();
    for row in &rows {
        if !timelines.contains_key(&row.site)
            && let Some(site) = state.store.site(access.tenant, row.site).await?
        {
            timelines.insert(site.site, site.timeline);
        }
    }
    let today = today(state).await?;
    let shape = |row: VisitorRow| {
        let timeline = timelines.get(&row.site);
        shape(row, timeline, today)
    };
    Ok(Json(Items::cut(rows, &page, |row| row.visitor, shape)))
}

/// GET /v1/visitors/{visitor_id}
#[utoipa::path(get, path = "/v1/visitors/{visitor_id}", tag = "visitors",
    operation_id = "get_visitor", params(("visitor_id" = String, Path)),
    responses((status = 200, body = Visitor), (status = 404)))]
pub(crate) async fn get(access: Access, Id(visitor): Id<VisitorId>) -> Answer<Visitor> {
    let state = &access.state;
    access.need(Role::Agent, Scope::VisitorsRead)?;
    let row = state.store.visitor(access.tenant, visitor).await?;
    let row = row.ok_or_else(|| Problem::not_found("visitor"))?;
    let site = state.store.site(access.tenant, row.site).await?;
    Ok(Json(shape(row, site.map(|site| site.timeline).as_ref(), today(state).await?)))
}

//! What a widget needs to know before its visitor says anything: public, without cookies.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use protocol::conversation::SiteAvailability;
use protocol::ids::{SiteId, SiteKey};
use serde::Serialize;

use super::access::Counted;
use super::problem::Problem;
use super::request::Id;
use super::sites::form_with_defaults;
use super::{ApiState, schema};
use crate::http::assets::open_to_all;
use crate::http::head;
use crate::keys::notice_hash;
use crate::origin::allowed_origin;
use crate::store::{FieldRule, SiteRow};

/// Says `not-listed` to a page that the site does not list: its socket would be closed with 4003.
const PAGE_ORIGIN: &str = "livehelp-page-origin";

/// Where it is asked for, beforehand too.
pub(crate) const PATH: &str = "/v1/widget/{site_key}";

/// How a site's widget is set up.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Widget {
    #[schema(schema_with = schema::site_id)]
    site_id: SiteId,
    #[schema(schema_with = schema::site_key)]
    site_key: SiteKey,
    name: String,
    #[schema(schema_with = schema::availability)]
    availability: SiteAvailability,
    texts: BTreeMap<String, String>,
    form: BTreeMap<String, FieldRule>,
    notice: WidgetNotice,
    /// BCP 47; the language where the visitor's has no texts.
    locale_default: &'static str,
}

/// The privacy notice, with a name for its exact words.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct WidgetNotice {
    text: String,
    url: String,
    /// Goes into the socket's `open` as `notice`: it says which notice a visitor saw. Changes when
    /// text or address do.
    hash: String,
}

/// GET /v1/widget/{site_key}
#[utoipa::path(get, path = "/v1/widget/{site_key}", tag = "widget", operation_id = "get_widget",
    params(("site_key" = String, Path)),
    responses((status = 200, body = Widget), (status = 404)), security(()))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    counted: Result<Counted, Problem>,
    key: Result<Id<Key>, Problem>,
    headers: HeaderMap,
) -> Response {
    let found = match counted {
        Ok(Counted) => site(&state, key).await,
        Err(problem) => Err(problem),
    };
    let asked = headers;
    let mut response = match found {
        Ok(row) => {
            let cached = [(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"))];
            let listed = is_listed(&state, &row, head::origin(&asked));
            let mut response = (cached, Json(widget(&state, row))).into_response();
            if !listed {
                response.headers_mut().insert(PAGE_ORIGIN, HeaderValue::from_static("not-listed"));
            }
            response
        }
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    // Any page may read it, refusals too: it holds nothing that is not public, and no cookie counts
    // here.
    open_to_all(&asked, headers);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(PAGE_ORIGIN));
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    response
}

/// Whether the page that asks may embed the widget, as far as somebody says what page it is.
fn is_listed(state: &ApiState, row: &SiteRow, origin: Option<&str>) -> bool {
    let Some(origin) = origin else { return true };
    let listed = allowed_origin(&row.settings.origins, origin);
    if !listed {
        state.live.origin_refused(row, origin);
    }
    listed
}

/// A site key in a path.
#[derive(Debug)]
pub(crate) struct Key(SiteKey);

impl std::str::FromStr for Key {
    type Err = protocol::ids::ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        SiteKey::parse(text).map(Self)
    }
}

async fn site(state: &ApiState, key: Result<Id<Key>, Problem>) -> Result<SiteRow, Problem> {
    let Id(Key(key)) = key?;
    let row = state.store.site_by_key(&key).await?;
    let now = state.now();
    row.filter(|row| row.timeline.closed_at(now).is_none())
        .ok_or_else(|| Problem::not_found("open site"))
}

fn widget(state: &ApiState, row: SiteRow) -> Widget {
    let notice = row.settings.notice;
    let hash = notice_hash(&notice.text, &notice.url).to_string();
    Widget {
        site_id: row.site,
        site_key: row.site_key,
        name: row.name,
        availability: state.live.site_availability(row.tenant, row.site),
        texts: row.settings.texts,
        form: form_with_defaults(row.settings.form),
        notice: WidgetNotice { text: notice.text, url: notice.url, hash },
        locale_default: "en",
    }
}

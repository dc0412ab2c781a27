//! The contract, served: `/v1/openapi.json`, and at `/docs/api` a page that shows it to people.
//!
//! Lives here: the two documents as they are sent, and the page's own files. The page takes no
//! script, style or font from elsewhere and runs nothing that it was sent. Not here: what the
//! documents say (`router`, `promises`).

use std::sync::OnceLock;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderValue, header};

use super::access::Counted;
use super::problem::Problem;
use super::{ApiState, openapi_files};

/// Its own files and the document beside it; nothing that is text becomes markup.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// A contract as JSON text; nothing if it cannot be written.
pub(super) type Document = fn() -> &'static str;

/// The public listener's contract.
pub(super) fn public_document() -> &'static str {
    &documents()[0]
}

/// The admin listener's contract.
pub(super) fn admin_document() -> &'static str {
    &documents()[1]
}

/// Made once: they are the same for as long as the program runs.
fn documents() -> &'static [String; 2] {
    static DOCUMENTS: OnceLock<[String; 2]> = OnceLock::new();
    DOCUMENTS.get_or_init(|| {
        openapi_files().map(|files| files.map(|(_, text)| text)).unwrap_or_default()
    })
}

/// The document and its page.
pub(super) fn routes(document: Document) -> Router<ApiState> {
    let contract = move |_: Counted| async move {
        match document() {
            "" => Problem::internal().into_response(),
            text => answer("application/json", text),
        }
    };
    let page = async |_: Counted| {
        let mut page = answer("text/html; charset=utf-8", include_str!("reference/page.html"));
        let policy = HeaderValue::from_static(PAGE_POLICY);
        page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        page
    };
    let script =
        async || answer("text/javascript; charset=utf-8", include_str!("reference/page.js"));
    let style = async || answer("text/css; charset=utf-8", include_str!("reference/page.css"));
    Router::new()
        .route("/v1/openapi.json", get(contract))
        .route("/docs/api", get(page))
        .route("/docs/api/page.js", get(script))
        .route("/docs/api/page.css", get(style))
}

fn answer(kind: &'static str, text: &'static str) -> Response {
    let kind = HeaderValue::from_static(kind);
    ([(header::CONTENT_TYPE, kind)], Body::from(text)).into_response()
}

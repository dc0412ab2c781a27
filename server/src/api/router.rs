//! Which path leads where, and what every answer carries. The OpenAPI documents come from the same
//! list.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::Response as Answer;
use http::{HeaderName, HeaderValue, StatusCode, header};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, Content, InfoBuilder, License, OpenApi, OpenApiBuilder, Ref, RefOr, Response,
    SecurityRequirement,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::acts::to_their_end;
use super::problem::{Problem, ProblemCode, ProblemDocument};
use super::promises::promise;
use super::request::BODY_BYTES_MAX;
use super::told::tell;
use super::{
    ApiState, agents, audit, backups, canned_responses, clock, conversations, etag, invitations,
    keys, messages, operator_keys, password_resets, privacy_requests, reference, sessions, sites,
    suppressions, tags, tenants, visitors, widget,
};
use crate::auth::SESSION_COOKIE;
use crate::http::assets::preflight;

/// The public listener's paths under `/v1`, all but the socket. Answers every other path with a
/// problem.
pub fn public_router(state: ApiState) -> Router {
    let routes = public().split_for_parts().0;
    finish(routes.merge(reference::routes(reference::public_document)), state)
}

/// The admin listener's paths under `/v1`, for operator keys. Answers every other path with a
/// problem.
pub fn admin_router(state: ApiState) -> Router {
    let routes = admin().split_for_parts().0;
    finish(routes.merge(reference::routes(reference::admin_document)), state)
}

/// The public listener's contract.
pub fn openapi() -> OpenApi {
    let mut document = public().split_for_parts().1;
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE)));
    describe(
        &mut document,
        "livehelp",
        &[("session", cookie), ("key", bearer("lhk_ and 64 hex digits"))],
    );
    document
}

/// The admin listener's contract.
pub fn openapi_admin() -> OpenApi {
    let mut document = admin().split_for_parts().1;
    describe(
        &mut document,
        "livehelp, for its operator",
        &[("operator_key", bearer("lho_ and 64 hex digits"))],
    );
    document
}

/// Both contracts as the files that stand in `docs/`: name and content.
///
/// # Errors
/// If a document cannot be written as JSON.
pub fn openapi_files() -> Result<[(&'static str, String); 2], serde_json::Error> {
    let file = |document: &OpenApi| {
        let mut document = serde_json::to_value(document)?;
        promise(&mut document);
        serde_json::to_string_pretty(&document).map(|json| json + "\n")
    };
    Ok([("openapi.json", file(&openapi())?), ("openapi-admin.json", file(&openapi_admin())?)])
}

fn public() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(OpenApiBuilder::new().build())
        .routes(routes!(sessions::create, sessions::list))
        .routes(routes!(sessions::current, sessions::delete_current))
        .routes(routes!(sessions::delete))
        .routes(routes!(agents::list))
        .routes(routes!(agents::get, agents::update))
        .routes(routes!(agents::set_password))
        .routes(routes!(password_resets::create))
        .routes(routes!(password_resets::lookup))
        .routes(routes!(password_resets::use_up))
        .routes(routes!(sites::list, sites::create))
        .routes(routes!(sites::get, sites::update))
        .routes(routes!(invitations::list, invitations::create))
        .routes(routes!(invitations::lookup))
        .routes(routes!(invitations::accept))
        .routes(routes!(invitations::delete))
        .routes(routes!(conversations::list, conversations::create))
        .routes(routes!(conversations::get))
        .routes(routes!(conversations::close))
        .routes(routes!(conversations::reopen))
        .routes(routes!(conversations::assign))
        .routes(routes!(conversations::transfer))
        .routes(routes!(conversations::take_over))
        .routes(routes!(conversations::withdraw))
        .routes(routes!(conversations::set_tags))
        .routes(routes!(messages::list, messages::create))
        .routes(routes!(messages::get))
        .routes(routes!(messages::tag))
        .routes(routes!(messages::transcript))
        .routes(routes!(canned_responses::list, canned_responses::create))
        .routes(routes!(canned_responses::get, canned_responses::update, canned_responses::delete))
        .routes(routes!(canned_responses::count))
        .routes(routes!(tags::list, tags::create))
        .routes(routes!(tags::get, tags::update, tags::delete))
        .routes(routes!(suppressions::list, suppressions::create))
        .routes(routes!(suppressions::lift))
        .routes(routes!(visitors::list))
        .routes(routes!(visitors::get))
        .routes(routes!(privacy_requests::list, privacy_requests::create))
        .routes(routes!(privacy_requests::get))
        .routes(routes!(privacy_requests::verify))
        .routes(routes!(privacy_requests::refuse))
        .routes(routes!(privacy_requests::close))
        .routes(routes!(privacy_requests::erase))
        .routes(routes!(privacy_requests::certificate))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::delete))
        .routes(routes!(audit::list))
        .routes(routes!(widget::get))
        .route(widget::PATH, axum::routing::options(preflight))
}

fn admin() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(OpenApiBuilder::new().build())
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::get))
        .routes(routes!(tenants::list_sites, tenants::create_tenant_site))
        .routes(routes!(tenants::create_invitation))
        .routes(routes!(password_resets::create_for_tenant))
        .routes(routes!(tenants::get_site))
        .routes(routes!(tenants::set_plan))
        .routes(routes!(tenants::close_site))
        .routes(routes!(tenants::reopen_site))
        .routes(routes!(operator_keys::list, operator_keys::create))
        .routes(routes!(operator_keys::delete))
        .routes(routes!(audit::list_operator))
        .routes(routes!(clock::get))
        .routes(routes!(clock::confirm))
        .routes(routes!(clock::lower))
        .routes(routes!(backups::create))
        .routes(routes!(backups::newest))
}

fn finish(router: Router<ApiState>, state: ApiState) -> Router {
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(state.acts(), to_their_end))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(etag::tag))
        .layer(middleware::from_fn(tell))
        .layer(middleware::from_fn(guard))
        .with_state(state)
}

async fn no_such_path() -> Problem {
    Problem::new(ProblemCode::NotFound, "There is nothing at this path. See docs/openapi.json.")
}

async fn no_such_method() -> Problem {
    Problem::new(ProblemCode::MethodNotAllowed, "This path does not take that method. See `Allow`.")
}

/// Headers that keep answers out of caches, frames and guesses; a handler's own choice stays.
async fn guard(request: Request, next: Next) -> Answer {
    const HEADERS: [(HeaderName, &str); 6] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn bearer(format: &str) -> SecurityScheme {
    SecurityScheme::Http(
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format).build(),
    )
}

fn describe(document: &mut OpenApi, title: &str, schemes: &[(&str, SecurityScheme)]) {
    document.info = InfoBuilder::new()
        .title(title)
        .version("1")
        .license(Some(License::new("Apache-2.0")))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    for (name, scheme) in schemes {
        components.add_security_scheme(*name, scheme.clone());
    }
    let either = schemes.iter().map(|(name, _)| SecurityRequirement::new(*name, [] as [String; 0]));
    document.security = Some(either.collect());
    let name = ProblemDocument::name().into_owned();
    components.schemas.insert(name.clone(), ProblemDocument::schema());
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let refused = RefOr::T(Response::new("A problem (RFC 9457)."));
            operation.responses.responses.entry(String::from("default")).or_insert(refused);
            let too_fast =
                RefOr::T(Response::new("Too many requests of this kind; see `RateLimit`."));
            operation.responses.responses.entry(String::from("429")).or_insert(too_fast);
            for (status, response) in &mut operation.responses.responses {
                describe_response(status, response, &name);
            }
        }
    }
}

/// Gives an answer the fields that tell what may still be asked.
fn describe_limits(response: &mut Response, refused: bool) {
    let mut fields = vec![
        (
            "RateLimit",
            "What is left: `\"key\";r=119;t=1` are 119 requests at once; all are back in a second.",
        ),
        (
            "RateLimit-Policy",
            "The limits that counted: `\"key\";q=120;w=12` are 120 at once, which come back in 12 seconds.",
        ),
    ];
    if refused {
        fields.push(("Retry-After", "Seconds until the same request may succeed."));
    }
    for (name, words) in fields {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        let field = HeaderBuilder::new().schema(Some(text)).description(Some(words)).build();
        response.headers.insert(name.to_owned(), RefOr::T(field));
    }
}

/// Gives an answer its words, and a refusal the problem's shape.
fn describe_response(status: &str, response: &mut RefOr<Response>, problem: &str) {
    let RefOr::T(response) = response else { return };
    let known = StatusCode::from_bytes(status.as_bytes()).ok();
    if known.is_some_and(|status| status.is_success()) || status == "429" {
        describe_limits(response, status == "429");
    }
    if let Some(reason) = known.and_then(|status| status.canonical_reason())
        && response.description.is_empty()
    {
        reason.clone_into(&mut response.description);
    }
    if known.is_none_or(|status| !status.is_success()) {
        let content = Content::new(Some(Ref::from_schema_name(problem)));
        response.content.insert(String::from("application/problem+json"), RefOr::T(content));
    }
}

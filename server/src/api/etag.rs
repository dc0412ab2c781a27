//! Entity tags: whoever has an answer already is told so instead of getting it again, and whoever
//! changes a thing by a version that is not the newest is refused.
//!
//! Lives here: `ETag`, `If-None-Match` and `If-Match` (RFC 9110). Not here: versions (`hub`). A
//! layer of both routers makes the tags; handlers read `If-Match`.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::problem::{Problem, ProblemCode};
use crate::keys::content_hash;

/// Hex digits of an answer's hash in its tag: 64 bits tell two answers apart.
const HASH_CHARS: usize = 16;

/// Characters of a list of tags in a request, over all its fields; one of ours has forty at most.
pub(super) const TAGS_CHARS_MAX: usize = 1_024;

/// The version of what an answer shows; its tag begins with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version(pub(crate) u64);

/// Gives what was read its tag, and leaves the body out where the caller has it.
pub(super) async fn tag(request: Request, next: Next) -> Response {
    let asked = request.method().is_safe().then(|| request.headers().clone());
    if let Some(asked) = &asked
        && let Err(refusal) = bounded(asked, &header::IF_NONE_MATCH)
    {
        return refusal.into_response();
    }
    let response = next.run(request).await;
    // What says itself how long it may be kept has a tag of its own, if any.
    let is_due = response.status() == StatusCode::OK
        && !response.headers().contains_key(header::CACHE_CONTROL);
    match asked.filter(|_| is_due) {
        Some(asked) => tagged(asked, response).await,
        None => response,
    }
}

async fn tagged(asked: HeaderMap, response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    // It is in memory already.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Problem::internal().into_response();
    };
    let version = head.extensions.get::<Version>().copied();
    let tag = tag_of(version, &bytes);
    let Ok(value) = HeaderValue::try_from(tag.as_str()) else {
        return Response::from_parts(head, Body::from(bytes));
    };
    head.headers.insert(header::ETAG, value);
    if lists(&asked, header::IF_NONE_MATCH).any(|known| known == "*" || weak(known) == tag) {
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(header::CONTENT_TYPE);
        head.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(head, Body::empty());
    }
    Response::from_parts(head, Body::from(bytes))
}

fn tag_of(version: Option<Version>, bytes: &Bytes) -> String {
    let hash = content_hash(bytes);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = hash.get(..HASH_CHARS).unwrap_or_default();
    match version {
        Some(Version(version)) => format!("\"{version}-{hash}\""),
        None => format!("\"{hash}\""),
    }
}

/// Refuses more tags than are looked at.
fn bounded(headers: &HeaderMap, name: &header::HeaderName) -> Result<(), Problem> {
    let bytes: usize = headers.get_all(name).iter().map(HeaderValue::len).sum();
    if bytes <= TAGS_CHARS_MAX {
        return Ok(());
    }
    let field = if name == header::IF_MATCH { "If-Match" } else { "If-None-Match" };
    Err(Problem::field(field, format!("At most {TAGS_CHARS_MAX} characters.")))
}

/// The members of a list of tags, over all its fields.
fn lists(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let fields = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.split(',')).map(str::trim)
}

/// Compared weakly, as `If-None-Match` is.
fn weak(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// The request's `If-Match`.
#[derive(Debug)]
pub(crate) struct IfMatch(Option<Vec<u64>>);

impl IfMatch {
    /// Refuses a change of what has another version than those that the caller saw. What is said in
    /// a conversation changes its tag and not its version: that refuses nobody.
    pub(crate) fn check(&self, version: u64) -> Result<(), Problem> {
        match &self.0 {
            Some(seen) if !seen.contains(&version) => Err(Problem::new(
                ProblemCode::PreconditionFailed,
                "It has changed since the version that `If-Match` names. Read it again.",
            )),
            _ => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if !parts.headers.contains_key(header::IF_MATCH) {
            return Ok(Self(None));
        }
        bounded(&parts.headers, &header::IF_MATCH)?;
        if lists(&parts.headers, header::IF_MATCH).all(str::is_empty) {
            return Err(Problem::field("If-Match", "It is the `ETag` of what was read, or `*`."));
        }
        let mut seen = Vec::new();
        for tag in lists(&parts.headers, header::IF_MATCH) {
            // Whatever is there matches; what is not there is not found anyway.
            if tag == "*" {
                return Ok(Self(None));
            }
            // A tag of another kind, or a weak one, matches nothing.
            let strong = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            let version = strong.and_then(|tag| tag.split_once('-'));
            seen.extend(version.and_then(|(version, _)| version.parse::<u64>().ok()));
        }
        Ok(Self(Some(seen)))
    }
}

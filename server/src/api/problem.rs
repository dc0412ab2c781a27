//! What went wrong, as RFC 9457 has it: one closed list of codes, words that never repeat what was
//! sent.

use std::borrow::Cow;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use protocol::reject::{Reject, RejectCode};
use serde::Serialize;

use crate::auth::{EmailError, PasswordError};
use crate::store::{ANSWERED, StoreError};
use crate::telemetry::{self, RequestId};

macro_rules! codes {
    ($( $name:ident $word:literal $status:ident $title:literal ),+ $(,)?) => {
        /// Why a request was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum ProblemCode { $( #[doc = $title] $name ),+ }

        impl ProblemCode {
            /// Every name that the field `code` can have.
            pub(crate) const WORDS: &[&'static str] = &[$( $word ),+];

            /// Its name in the field `code`.
            pub(crate) const fn word(self) -> &'static str {
                match self { $( Self::$name => $word ),+ }
            }

            /// Its HTTP status.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $( Self::$name => StatusCode::$status ),+ }
            }

            /// The same words for each occurrence.
            pub(crate) const fn title(self) -> &'static str {
                match self { $( Self::$name => $title ),+ }
            }
        }
    };
}

codes! {
    MalformedJson "malformed-json" BAD_REQUEST "The body is not JSON",
    MalformedQuery "malformed-query" BAD_REQUEST "The query cannot be read",
    NotAuthenticated "not-authenticated" UNAUTHORIZED "Sign in first",
    LoginRefused "login-refused" UNAUTHORIZED "E-mail or password is wrong",
    Forbidden "forbidden" FORBIDDEN "Not allowed",
    ForbiddenField "forbidden-field" FORBIDDEN "This field is not yours to change",
    MissingScope "missing-scope" FORBIDDEN "The key lacks a scope",
    OriginNotAllowed "origin-not-allowed" FORBIDDEN "This page may not do that",
    NotFound "not-found" NOT_FOUND "Not found",
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED "Method not allowed",
    Conflict "conflict" CONFLICT "It conflicts with what is there",
    Exists "exists" CONFLICT "It exists already",
    LastAdmin "last-admin" CONFLICT "An Organization keeps one active admin",
    LastKey "last-key" CONFLICT "One key that manages operator keys is kept",
    Closed "closed" CONFLICT "The conversation is closed",
    SiteClosed "site-closed" CONFLICT "The site is closed",
    AtCapacity "at-capacity" CONFLICT "The receiver has no room",
    Gone "gone" CONFLICT "It moved on meanwhile",
    Suppressed "suppressed" CONFLICT "This person may not be taken in again",
    LimitReached "limit-reached" CONFLICT "A limit is reached",
    ConsentRequired "consent-required" CONFLICT "Consent is missing",
    IdempotencyConflict "idempotency-conflict" CONFLICT "The idempotency key came with another request",
    IdempotencyInProgress "idempotency-in-progress" CONFLICT "The same request is being worked on",
    Expired "expired" GONE "Its retention ran out",
    InvitationGone "invitation-gone" NOT_FOUND "The invitation was used, withdrawn, or has expired",
    PasswordResetGone "password-reset-gone" NOT_FOUND "The link was used, replaced, or has expired",
    PreconditionFailed "precondition-failed" PRECONDITION_FAILED "It changed since you read it",
    TooLarge "too-large" PAYLOAD_TOO_LARGE "The body is too large",
    NotJson "not-json" UNSUPPORTED_MEDIA_TYPE "The body must be application/json",
    Invalid "invalid" UNPROCESSABLE_ENTITY "A field has a value that it cannot have",
    TooLong "too-long" UNPROCESSABLE_ENTITY "A text is too long",
    TooFast "too-fast" TOO_MANY_REQUESTS "Too many requests",
    Internal "internal" INTERNAL_SERVER_ERROR "The server failed",
    StoreUnavailable "store-unavailable" SERVICE_UNAVAILABLE "The store cannot do that now",
    Overload "overload" SERVICE_UNAVAILABLE "The server has more to do than it can",
}

/// A refusal, on its way to the caller.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: ProblemCode,
    detail: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    retry_after_ms: Option<u64>,
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// `urn:livehelp:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The same words for each occurrence of this code.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What to do about it.
    detail: &'a str,
    /// For programs; never changes its meaning.
    code: &'a str,
    /// The field of the request that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// Milliseconds after which the same request may succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    /// As in the header `x-request-id` and in the server's log: tell it to whoever runs the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Problem {
    /// Words must never hold a value that was sent.
    pub(crate) fn new(code: ProblemCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), field: None, retry_after_ms: None }
    }

    /// Whether it is one of these.
    pub(crate) fn is(&self, code: ProblemCode) -> bool {
        self.code == code
    }

    /// A field with a value that it cannot have.
    pub(crate) fn field(
        field: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { field: Some(field.into()), ..Self::new(ProblemCode::Invalid, detail) }
    }

    /// There is no such thing, or it is another Organization's: the answer is the same.
    pub(crate) fn not_found(what: &'static str) -> Self {
        Self::new(ProblemCode::NotFound, format!("There is no such {what} here."))
    }

    /// Something that should not happen did; the cause is logged, not shown.
    pub(crate) fn internal() -> Self {
        Self::new(
            ProblemCode::Internal,
            "The server failed. Try again; tell its operator if it stays.",
        )
    }

    /// The same with a time to wait.
    pub(crate) fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// The same, naming the field that is meant.
    pub(crate) fn naming(mut self, field: &'static str) -> Self {
        self.field = Some(Cow::Borrowed(field));
        self
    }

    /// The same with a field's name out of the request, which nobody else is told.
    pub(crate) fn naming_sent(mut self, field: String) -> Self {
        self.field = Some(Cow::Owned(field));
        self
    }

    /// The same about another field.
    pub(crate) fn of_field(self, field: &'static str) -> Self {
        if self.code == ProblemCode::Invalid { self.naming(field) } else { self }
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.code.status()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let request_id = telemetry::request_id();
        let document = ProblemDocument {
            kind: format!("urn:livehelp:problem:{}", self.code.word()),
            title: self.code.title(),
            status: status.as_u16(),
            detail: &self.detail,
            code: self.code.word(),
            field: self.field.as_deref(),
            retry_after_ms: self.retry_after_ms,
            request_id: request_id.as_ref().map(RequestId::as_str),
        };
        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(ms) = self.retry_after_ms {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::new(
                ProblemCode::Overload,
                "The server has more to write than it can. Try again.",
            )
            .retry_after_ms(1_000),
            StoreError::Unavailable { act } => {
                tracing::warn!(act, "store refused a request");
                Self::new(
                    ProblemCode::StoreUnavailable,
                    "Nothing was changed. Try again in a moment.",
                )
                .retry_after_ms(2_000)
            }
            // Another node was at it, and is done.
            StoreError::Exists { what: ANSWERED } => Self::new(
                ProblemCode::IdempotencyInProgress,
                "A request with this Idempotency-Key was being worked on. Ask again.",
            )
            .retry_after_ms(1_000),
            StoreError::Exists { what } => Self {
                field: Some(Cow::Borrowed(what)),
                ..Self::new(ProblemCode::Exists, "There is one with this value already.")
            },
            StoreError::NotFound => Self::not_found("thing"),
            StoreError::SeqTaken { .. } | StoreError::StoredBefore { .. } => {
                Self::new(ProblemCode::Conflict, "It changed meanwhile. Try again.")
            }
        }
    }
}

impl From<Reject> for Problem {
    fn from(reject: Reject) -> Self {
        let code = match reject.code {
            RejectCode::UnknownKind | RejectCode::Invalid => ProblemCode::Invalid,
            RejectCode::NotFound => ProblemCode::NotFound,
            RejectCode::Forbidden => ProblemCode::Forbidden,
            RejectCode::TooLong => ProblemCode::TooLong,
            RejectCode::Closed => ProblemCode::Closed,
            RejectCode::Conflict => ProblemCode::Conflict,
            RejectCode::Gone => ProblemCode::Gone,
            RejectCode::AtCapacity => ProblemCode::AtCapacity,
            RejectCode::Expired => ProblemCode::Expired,
            RejectCode::LimitReached => ProblemCode::LimitReached,
            RejectCode::SiteClosed => ProblemCode::SiteClosed,
            RejectCode::ConsentRequired => ProblemCode::ConsentRequired,
            RejectCode::TooFast => ProblemCode::TooFast,
            RejectCode::StoreUnavailable => ProblemCode::StoreUnavailable,
            RejectCode::Overload => ProblemCode::Overload,
        };
        let wait = reject.retry_after_ms.map(u64::from);
        // What may be tried again says when, even where the hub did not.
        let wait = wait.or_else(|| reject.code.retryable().then_some(1_000));
        Self { retry_after_ms: wait, ..Self::new(code, reject.words) }
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::TooShort | PasswordError::TooLong => {
                Self::field("password", format!("{error}."))
            }
            PasswordError::Busy => Self::new(
                ProblemCode::Overload,
                "Too many people sign in at this moment. Try again.",
            )
            .retry_after_ms(2_000),
            PasswordError::Hash => Self::internal(),
        }
    }
}

impl From<EmailError> for Problem {
    fn from(_: EmailError) -> Self {
        Self::field("email", "This is not an e-mail address.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_the_hub_has_a_status_of_its_kind() {
        for (code, _, word) in RejectCode::ALL {
            let problem = Problem::from(Reject::new(*code, "words"));
            let status = problem.status();
            assert!(
                status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE,
                "{word}"
            );
            assert_eq!(code.retryable(), problem.retry_after_ms.is_some(), "{word}");
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_in_the_header() {
        let response =
            Problem::new(ProblemCode::TooFast, "Wait.").retry_after_ms(1_001).into_response();
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "2");
        assert_eq!(
            response.headers().get(header::CONTENT_TYPE).unwrap(),
            "application/problem+json"
        );
    }
}

//! Reading a request: bodies, queries, ids in the path. What cannot be read is a problem that names
//! the field and never repeats its value.

use std::fmt::Display;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::header;
use http::request::Parts;
use protocol::visible;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::problem::{Problem, ProblemCode};

/// Bytes of a request's body: the longest text in any script, escaped, and a site's settings
/// with every character of them escaped in twelve.
pub(crate) const BODY_BYTES_MAX: usize = 320 * 1024;

/// A JSON body, and its bytes for [`super::idempotency`].
#[derive(Debug)]
pub(crate) struct Body<T> {
    pub(crate) value: T,
    pub(crate) bytes: Bytes,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        if !json {
            return Err(Problem::new(
                ProblemCode::NotJson,
                "Send JSON, with `Content-Type: application/json`.",
            ));
        }
        let (_, bytes) = read_body(request).await?;
        parse_json(&bytes).map(|value| Self { value, bytes })
    }
}

/// Reads a request to its end, within the bound of a body.
pub(super) async fn read_body(request: Request) -> Result<(Parts, Bytes), Problem> {
    let (head, body) = request.into_parts();
    let bytes = Bytes::from_request(Request::from_parts(head.clone(), body), &()).await;
    let bytes = bytes.map_err(|rejection| {
        if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(
                ProblemCode::TooLarge,
                format!("A body has at most {BODY_BYTES_MAX} bytes, or fewer where `body_bytes_max` says so."),
            )
        } else {
            Problem::new(ProblemCode::MalformedJson, "The body broke off.")
        }
    })?;
    Ok((head, bytes))
}

/// Reads JSON. Serde's own words repeat values, so only the field's name is taken from them.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Some tools begin every text with the mark of its encoding (RFC 8259, 8.1).
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        if error.inner().is_syntax() || error.inner().is_eof() {
            return Problem::new(ProblemCode::MalformedJson, "The body is not well-formed JSON.");
        }
        let words = error.inner().to_string();
        if let Some(rest) = words.strip_prefix("missing field `") {
            let field = rest.split('`').next().unwrap_or_default().to_owned();
            return Problem::field(field, "This field is missing.");
        }
        if let Some(unknown) = Unknown::of(&words) {
            let within = error.path().to_string();
            return unknown.problem(ProblemCode::Invalid, &within, bytes);
        }
        match error.path().iter().next() {
            Some(serde_path_to_error::Segment::Map { key }) => {
                Problem::field(key.clone(), "This field has a value that it cannot have.")
            }
            _ => Problem::new(ProblemCode::Invalid, "The body must be a JSON object."),
        }
    })?;
    deserializer
        .end()
        .map_err(|_| Problem::new(ProblemCode::MalformedJson, "There is more after the JSON."))?;
    Ok(value)
}

/// A field that is not known, as serde tells of it.
struct Unknown {
    name: String,
    known: Vec<String>,
}

/// Characters of an unknown field's name that are told back, and edits after which a known one is
/// no longer near.
const UNKNOWN_CHARS_MAX: usize = 64;
const NEAR_EDITS_MAX: usize = 3;

impl Unknown {
    fn of(words: &str) -> Option<Self> {
        let rest = words.split_once("unknown field `")?.1;
        // The name is whatever was sent: the last such mark is serde's own.
        let (name, known) = match rest.rsplit_once("`, expected ") {
            Some((name, known)) => (name, known),
            None => (rest.rsplit_once("`, there are no fields")?.0, ""),
        };
        let known = known.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some(Self { name: name.to_owned(), known })
    }

    /// Names the field, and the known one that is next to it. `within`: where in the body it
    /// stands; `sent`: all of it.
    fn problem(&self, code: ProblemCode, within: &str, sent: &[u8]) -> Problem {
        let within = within.strip_suffix(self.name.as_str()).unwrap_or(within);
        let within = within.trim_matches('.');
        let name = bounded_name(&self.name);
        let field = if within.is_empty() { name } else { format!("{within}.{name}") };
        let nearest = self.known.iter().map(|known| (edits(known, &self.name), known)).min();
        let words = match nearest {
            Some((edits, known)) if edits <= NEAR_EDITS_MAX.min(known.len().div_ceil(2)) => {
                format!("This field is not known here. Did you mean `{known}`?")
            }
            _ if self.known.is_empty() => String::from("No field is known here."),
            _ => format!("This field is not known here. Known are `{}`.", self.known.join("`, `")),
        };
        let is_near = words.contains("Did you mean");
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let problem = Problem::new(code, words);
        let name = self.name.as_bytes();
        let times = sent.windows(name.len().max(1)).filter(|window| *window == name).count();
        // What is no name of a field, or stands there as a value too, may be anything, also about a
        // person: it is not told back.
        if is_near || (times < 2 && name.iter().copied().all(is_plain)) {
            problem.naming_sent(field)
        } else {
            problem
        }
    }
}

/// A field's name as it is told back to whoever sent it.
fn bounded_name(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(UNKNOWN_CHARS_MAX).collect()
}

/// How many letters are to be changed, left out or put in until one name is the other
/// (Levenshtein).
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(UNKNOWN_CHARS_MAX).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (n, letter) in one.chars().enumerate() {
        let mut before = n;
        let mut left = n + 1;
        let mut next = vec![left];
        for (above, other) in row.iter().skip(1).zip(&other) {
            let change = before + usize::from(letter != *other);
            left = change.min(above + 1).min(left + 1);
            next.push(left);
            before = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// The id in the path; what is no id of the kind is not found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found("thing"))?;
        text.parse().map(Self).map_err(|_| Problem::not_found("thing"))
    }
}

/// Two ids in the path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids<A, B>(pub(crate) A, pub(crate) B);

impl<S: Send + Sync, A: FromStr, B: FromStr> FromRequestParts<S> for Ids<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((first, second)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found("thing"))?;
        match (first.parse(), second.parse()) {
            (Ok(first), Ok(second)) => Ok(Self(first, second)),
            _ => Err(Problem::not_found("thing")),
        }
    }
}

/// The query's fields.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let asked = Query::from_request_parts(parts, state).await;
        asked.map(|Query(value)| Self(value)).map_err(|rejection| {
            let words = rejection.body_text();
            if let Some(unknown) = Unknown::of(&words) {
                let sent = parts.uri.query().unwrap_or_default();
                return unknown.problem(ProblemCode::MalformedQuery, "", sent.as_bytes());
            }
            let wrong = "A field of the query has a value that it cannot have.";
            let problem = Problem::new(ProblemCode::MalformedQuery, wrong);
            // What serde says begins with the field's name, which is one of ours.
            let inner = words.split_once(": ").map_or("", |(_, inner)| inner);
            match inner.split_once(": ").map(|(field, _)| field) {
                Some(field) if field.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') => {
                    problem.naming_sent(field.to_owned())
                }
                _ => problem,
            }
        })
    }
}

/// A password or token in a body: never printed, wiped when dropped.
#[derive(Debug, Clone)]
pub(crate) struct Secret(pub(crate) SecretString);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretString::from(text)))
    }
}

/// A name: what is seen of it ([`visible::name`]), not empty, bounded, one line.
pub(crate) fn name(field: &'static str, text: &str, chars_max: usize) -> Result<String, Problem> {
    let kept = visible::name(text);
    if kept.is_empty() {
        return Err(Problem::field(field, "This field must not be empty."));
    }
    bounded(field, &kept, chars_max)?;
    if text.trim().chars().any(char::is_control) {
        return Err(Problem::field(field, "This field is one line of text."));
    }
    Ok(kept.into_owned())
}

/// Refuses a text of more characters than that.
pub(crate) fn bounded(
    field: impl Into<std::borrow::Cow<'static, str>> + Display,
    text: &str,
    chars_max: usize,
) -> Result<(), Problem> {
    if text.chars().nth(chars_max).is_some() {
        return Err(Problem::field(field, format!("At most {chars_max} characters.")));
    }
    Ok(())
}

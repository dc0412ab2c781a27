//! Answers as JSON: every moment twice, as a number for programs and as RFC 3339 text beside it.
//!
//! Lives here: the one rule of how moments are named and written. Not here: what an answer says
//! (each handler's file), moments in requests (`date`). Called by every handler.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use protocol::time::UnixMillis;
use serde::Serialize;
use serde_json::Value;

use super::problem::Problem;
use crate::clock::rfc3339;

/// Fields that are moments and do not end in `_at`.
const OTHERS: [&str; 2] = ["trusted_until", "waiting_since"];

/// A list whose items callers compare whole: they stay as they were.
pub(crate) const TOLD_AS_IT_IS: &str = "refused_origins";

/// An answer, or what is kept of one.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

/// What most handlers come to.
pub(crate) type Answer<T> = Result<Json<T>, Problem>;

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match to_json(&self.0) {
            Ok(bytes) => {
                let kind = HeaderValue::from_static("application/json");
                ([(header::CONTENT_TYPE, kind)], bytes).into_response()
            }
            Err(problem) => problem.into_response(),
        }
    }
}

/// Writes an answer. Beside each moment stands its text.
pub(crate) fn to_json<T: Serialize>(answer: &T) -> Result<Vec<u8>, Problem> {
    let mut value = serde_json::to_value(answer).map_err(|_| Problem::internal())?;
    add_times(&mut value);
    serde_json::to_vec(&value).map_err(|_| Problem::internal())
}

/// The name of the text beside a moment: `created_time` beside `created_at`, `time` beside `at`;
/// `None` for a field that is no moment.
pub(crate) fn time_name(field: &str) -> Option<String> {
    if field == "at" {
        return Some(String::from("time"));
    }
    if OTHERS.contains(&field) {
        return Some(format!("{field}_time"));
    }
    field.strip_suffix("_at").map(|stem| format!("{stem}_time"))
}

fn add_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let text = |moment: &Value| match moment {
                Value::Number(ms) => ms.as_u64().map(|ms| Value::from(rfc3339(UnixMillis(ms)))),
                Value::Null => Some(Value::Null),
                Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
            };
            let times: Vec<(String, Value)> = fields
                .iter()
                .filter_map(|(name, moment)| Some((time_name(name)?, text(moment)?)))
                .collect();
            let others = fields.iter_mut().filter(|(name, _)| *name != TOLD_AS_IT_IS);
            others.for_each(|(_, value)| add_times(value));
            fields.extend(times);
        }
        Value::Array(items) => items.iter_mut().for_each(add_times),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn beside_each_moment_stands_its_text_and_no_number_changes() {
        let answer = json!({
            "created_at": 1_795_485_859_999_u64, "closed_at": null, "waiting_since": 0,
            "marks": [{ "at": 1 }], "seq_last": 5, "texts": { "sent_at": "noon" }
        });
        let shown: Value = serde_json::from_slice(&to_json(&answer).unwrap()).unwrap();
        assert_eq!(
            shown,
            json!({
                "created_at": 1_795_485_859_999_u64, "created_time": "2026-11-24T02:04:19.999Z",
                "closed_at": null, "closed_time": null,
                "waiting_since": 0, "waiting_since_time": "1970-01-01T00:00:00.000Z",
                "marks": [{ "at": 1, "time": "1970-01-01T00:00:00.001Z" }],
                "seq_last": 5, "texts": { "sent_at": "noon" }
            })
        );
    }
}

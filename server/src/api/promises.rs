//! What the OpenAPI documents promise beside what the types say: bounds, forms of ids, refusals,
//! who may ask.
//!
//! Lives here: additions to the finished documents, from the constants that the handlers use where
//! they have some. Not here: the types and their fields (each handler's file). Called by `router`
//! where the documents are written.

use protocol::conversation::ConversationState;
use protocol::limits::{ANSWER_BYTES_MAX, CAPACITY_MAX, SEQ_MAX, TEXT_CHARS_MAX};
use serde_json::{Map, Value, json};

use super::idempotency::KEY_BYTES_MAX;
use super::json::time_name;
use super::page::LIMIT_MAX;
use super::problem::ProblemCode;
use super::words::tell;
use super::{
    agents, canned_responses as canned, conversations, etag, keys, links, privacy_requests, shapes,
    sites, suppressions, tags, tenants, widget,
};
use crate::auth::{EMAIL_BYTES_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};
use crate::http::PROBLEM_CODES;
use crate::privacy::audit::Action;
use crate::privacy::redact::{PATTERN_BYTES_MAX, PATTERNS_MAX};

/// What is read of a language's name.
const LOCALE_CHARS_MAX: usize = 64;

/// The end of a one-time link.
const TOKEN_CHARS_MAX: usize = 256;

/// What any operation may be refused with.
const REFUSALS: [&str; 10] = ["400", "401", "403", "404", "408", "409", "413", "415", "422", "503"];

const DESCRIPTION: &str = "A caller shows a key (`Authorization: Bearer …`) or, on the public listener, the session \
cookie that `POST /v1/sessions` sets: `livehelp_session`, or `__Host-livehelp_session` where browsers reach the server \
over TLS. **Who shows the cookie and changes something sends the console's own `Origin`**: `public_url`, or where that \
is not set the address that was asked; without it, or with another, the answer is 403. A key needs no `Origin`. What needs \
no sign-in and sends a body is 403 from a foreign one too. Bodies are JSON in UTF-8. Refusals are problems (RFC 9457) with a `code` for programs and, where a field is at fault, its \
name. Lengths are in characters, of names in those that are seen; those of e-mail addresses \
(254), of the notice's address (2,048) and of patterns (200) in bytes. What changes something runs to its end when its \
caller hangs up; repeat a create with its `Idempotency-Key`.

Moments are numbers of Unix milliseconds; beside each stands the same moment as RFC 3339 text: `created_time` beside \
`created_at`, `time` beside `at`, `waiting_since_time` beside `waiting_since`. Where a request takes a moment it takes \
either. What is read has an `ETag`; with `If-None-Match` the answer is 304 where nothing changed. A field that is not \
known is refused by its name, in bodies (422) and queries (400).";

/// Completes a document.
pub(crate) fn promise(document: &mut Value) {
    document["info"]["description"] = json!(DESCRIPTION);
    document["info"]["contact"] = json!({ "name": "Whoever runs this server" });
    name_items(document);
    bound_schemas(document);
    add_times(document);
    for status in REFUSALS {
        let content = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
        document["components"]["responses"][status] =
            json!({ "description": reason(status), "content": content });
    }
    promise_answers(document);
    links::draw(document);
    tell(document);
    leave_out_unused(document);
}

/// What a list has is what stands alone elsewhere, by the same name: else what is added to the one
/// is missing in the other, and a generator makes two types of them.
fn name_items(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    let lists: Vec<String> =
        schemas.keys().filter(|name| name.starts_with(LIST_PREFIX)).cloned().collect();
    for list in lists {
        let name = list.trim_start_matches(LIST_PREFIX).to_owned();
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        let items =
            schemas.get_mut(&list).and_then(|list| list.pointer_mut("/properties/items/items"));
        let Some(items) = items else { continue };
        let written_out = std::mem::replace(items, reference);
        schemas.entry(name).or_insert(written_out);
    }
}

/// How the schema of a page of a list is called, before the name of what is in it.
const LIST_PREFIX: &str = "Items_";

/// Leaves out what nothing refers to.
fn leave_out_unused(document: &mut Value) {
    for kind in ["schemas", "responses"] {
        let text = document.to_string();
        let components = document["components"][kind].as_object_mut();
        if let Some(components) = components {
            components.retain(|name, _| text.contains(&format!("\"#/components/{kind}/{name}\"")));
        }
    }
}

/// Gives every operation the refusals that it can meet, and what is read its tag.
fn promise_answers(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, item) in paths {
        // The widget's settings say themselves how long they are kept.
        if let Some(operation) = item.get_mut("get").filter(|_| path != widget::PATH) {
            promise_tag(operation);
        }
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let open = operation["security"] == json!([{}]);
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            parameters.into_iter().flatten().for_each(|parameter| bound_parameter(path, parameter));
            let has_body = operation.get("requestBody").is_some();
            let keyed = is_keyed(operation);
            let in_query = |parameter: &Value| {
                parameter["in"] != "header" || parameter["name"] == "Idempotency-Key"
            };
            let asked =
                operation["parameters"].as_array().is_some_and(|list| list.iter().any(in_query));
            let has_tags =
                has_parameter(operation, "If-None-Match") || has_parameter(operation, "If-Match");
            let statuses = [
                ("400", has_body || asked),
                ("401", !open),
                // Without a sign-in only a foreign `Origin` is refused, and only what sends
                // something.
                ("403", !open || has_body),
                ("404", path.contains('{')),
                ("408", true),
                ("409", keyed),
                ("413", has_body),
                ("415", has_body),
                ("422", has_body || keyed || has_tags),
                ("503", true),
            ];
            let Some(responses) = operation["responses"].as_object_mut() else { continue };
            for (status, _) in statuses.iter().filter(|(_, is)| *is) {
                let refused = json!({ "$ref": format!("#/components/responses/{status}") });
                responses.entry((*status).to_owned()).or_insert(refused);
            }
            if let Some(made) = responses.get_mut("201") {
                let words =
                    "Where what was made is read, changed or deleted, where it has such a place.";
                made["headers"]["Location"] =
                    json!({ "schema": { "type": "string" }, "description": words });
            }
        }
    }
}

fn etag_header() -> Value {
    json!({ "schema": { "type": "string" }, "description": "Changes with what the answer says. Send it as `If-None-Match`." })
}

/// What is read has a tag, and whoever shows that again is told that nothing changed.
fn promise_tag(operation: &mut Value) {
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    parameters.push(json!({
        "name": "If-None-Match",
        "in": "header",
        "required": false,
        "schema": { "type": "string", "maxLength": etag::TAGS_CHARS_MAX },
        "description": "The `ETag` of an answer that the caller has: where nothing changed, the answer is 304 without a body.",
    }));
    operation["parameters"] = json!(parameters);
    operation["responses"]["200"]["headers"]["ETag"] = etag_header();
    operation["responses"]["304"] =
        json!({ "description": "Not Modified", "headers": { "ETag": etag_header() } });
}

fn has_parameter(operation: &Value, name: &str) -> bool {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.clone().any(|parameter| parameter["name"] == name)
}

/// Beside each moment of an answer its text, as `json` writes it.
fn add_times(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object_mut();
    let others = schemas.into_iter().flatten().filter(|(name, _)| *name != "RefusedOrigin");
    for (_, schema) in others {
        let places: Vec<Value> = match schema["oneOf"].as_array() {
            Some(one) => one.clone(),
            None => vec![schema.clone()],
        };
        // Only plain objects have moments.
        if places.len() != 1 {
            continue;
        }
        let mut times = Vec::new();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let kind = field["type"].to_string();
            let Some(time) = time_name(name).filter(|_| kind.contains("integer")) else { continue };
            let null = kind.contains("null");
            let kind = if null { json!(["string", "null"]) } else { json!("string") };
            let words = format!("`{name}` as RFC 3339 text, in UTC.");
            let text = json!({ "type": kind, "format": "date-time", "description": words });
            times.push((name.clone(), time, text));
        }
        for (name, time, text) in times {
            schema["properties"][time.as_str()] = text;
            if let Some(required) = schema["required"].as_array_mut()
                && required.contains(&json!(name))
            {
                required.push(json!(time));
            }
        }
    }
}

/// Whether it may be repeated with a key, which may have come with another request or still be
/// worked on.
fn is_keyed(operation: &Value) -> bool {
    has_parameter(operation, "Idempotency-Key")
}

fn reason(status: &str) -> &'static str {
    let code = http::StatusCode::from_bytes(status.as_bytes()).ok();
    code.and_then(|code| code.canonical_reason()).unwrap_or_default()
}

/// The form of an id, by the name that it has in paths, queries and bodies.
fn id_pattern(name: &str) -> Option<String> {
    id_prefix(name).map(shapes::id)
}

fn id_prefix(name: &str) -> Option<&'static str> {
    Some(match name {
        "tenant_id" => "ten",
        "site_id" => "sit",
        "site_key" => "site",
        "agent_id" | "assignee" => "agt",
        "session_id" => "ses",
        "invitation_id" => "inv",
        "key_id" => "key",
        "canned_response_id" => "can",
        "suppression_id" => "sup",
        "tag_id" => "tag",
        "visitor_id" => "vis",
        "conversation_id" => "cnv",
        "message_id" => "msg",
        "privacy_request_id" => "prq",
        _ => return None,
    })
}

/// Where a page of this list begins: behind one of its items.
fn cursor_pattern(path: &str) -> Option<String> {
    let list = path.rsplit('/').next()?;
    let item = list.trim_end_matches('s').replace('-', "_");
    id_prefix(&format!("{item}_id")).map(shapes::id)
}

fn bound_parameter(path: &str, parameter: &mut Value) {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    let schema = &mut parameter["schema"];
    if let Some(pattern) = id_pattern(&name) {
        schema["pattern"] = json!(pattern);
        return;
    }
    match name.as_str() {
        "limit" => {
            schema["minimum"] = json!(1);
            schema["maximum"] = json!(LIMIT_MAX);
        }
        "before" => schema["maximum"] = json!(SEQ_MAX),
        "after" if schema["type"].to_string().contains("integer") => {
            schema["maximum"] = json!(SEQ_MAX);
        }
        "from" | "to" | "created_after" | "created_before" | "updated_after" => {
            *schema = json!({ "anyOf": shapes::moment() });
        }
        "If-Match" => {
            schema["minLength"] = json!(1);
            schema["maxLength"] = json!(etag::TAGS_CHARS_MAX);
        }
        "cursor" if path == "/v1/conversations" => {
            schema["pattern"] = json!(shapes::CONVERSATIONS_CURSOR);
        }
        "cursor" if path == "/v1/audit" => schema["pattern"] = json!("^[1-9][0-9]{0,15}$"),
        "actor" | "object" => schema["pattern"] = json!("^([a-z]{3}_)?[0-9a-f]{32}$"),
        "action" => {
            schema["enum"] = Action::ALL.iter().map(|action| json!(action.word())).collect();
        }
        "cursor" | "after" => schema["pattern"] = json!(cursor_pattern(path)),
        "state" => {
            let words = ConversationState::ALL.iter().map(|(_, _, word)| *word);
            schema["enum"] = words.collect();
        }
        "Idempotency-Key" => {
            schema["minLength"] = json!(1);
            schema["maxLength"] = json!(KEY_BYTES_MAX);
            schema["pattern"] = json!(shapes::IDEMPOTENCY_KEY);
        }
        _ => {}
    }
}

/// Gives the fields of what is sent their bounds.
fn bound_schemas(document: &mut Value) {
    for (schema, field, bound) in bounds() {
        let place = format!("/components/schemas/{schema}/properties/{field}");
        let (Some(found), Value::Object(bound)) = (document.pointer_mut(&place), bound) else {
            continue;
        };
        for (word, value) in bound {
            found[word.as_str()] = value;
        }
    }
}

/// `2026-11-24`.
const DAY_CHARS: usize = 10;

/// Characters of a folder's path; PATH_MAX of Linux.
const PATH_CHARS_MAX: usize = 4_096;

/// A schema, a field of it and what bounds that.
type Bound = (&'static str, &'static str, Value);

fn bounds() -> Vec<Bound> {
    [bounds_of_access(), bounds_of_conversations(), bounds_of_settings()].concat()
}

fn text(max: usize) -> Value {
    json!({ "maxLength": max })
}

fn email() -> Value {
    json!({ "maxLength": EMAIL_BYTES_MAX, "format": "email" })
}

/// People, keys and passwords.
fn bounds_of_access() -> Vec<Bound> {
    let scopes = json!({ "minItems": 1, "maxItems": crate::auth::Scope::ALL.len() });
    let password = json!({ "minLength": PASSWORD_CHARS_MIN, "maxLength": PASSWORD_CHARS_MAX });
    vec![
        ("Acceptance", "token", text(TOKEN_CHARS_MAX)),
        ("Acceptance", "name", shapes::name(agents::NAME_CHARS_MAX)),
        ("Acceptance", "password", password.clone()),
        ("AgentChange", "name", shapes::name(agents::NAME_CHARS_MAX)),
        (
            "AgentChange",
            "role",
            json!({ "type": ["string", "null"], "enum": ["agent", "supervisor", "admin", null] }),
        ),
        ("AgentChange", "capacity", json!({ "maximum": CAPACITY_MAX })),
        ("ForgottenBy", "email", email()),
        ("InvitationToken", "token", text(TOKEN_CHARS_MAX)),
        ("Login", "email", email()),
        ("Login", "password", text(PASSWORD_CHARS_MAX)),
        ("NewInvitation", "email", email()),
        ("NewKey", "name", shapes::name(keys::NAME_CHARS_MAX)),
        ("NewKey", "scopes", scopes.clone()),
        ("NewOperatorKey", "name", shapes::name(keys::NAME_CHARS_MAX)),
        ("NewOperatorKey", "scopes", scopes),
        ("NewPassword", "token", text(TOKEN_CHARS_MAX)),
        ("NewPassword", "password", password.clone()),
        ("PasswordChange", "current_password", text(PASSWORD_CHARS_MAX)),
        ("PasswordChange", "new_password", password),
        ("PasswordResetToken", "token", text(TOKEN_CHARS_MAX)),
    ]
}

/// What is said, to whom and about what.
fn bounds_of_conversations() -> Vec<Bound> {
    vec![
        ("Assignment", "agent_id", json!({ "pattern": id_pattern("agent_id") })),
        (
            "ConversationTags",
            "tags",
            json!({ "maxItems": conversations::TAGS_MAX, "items": { "type": "string", "pattern": id_pattern("tag_id") } }),
        ),
        ("CannedResponseChange", "shortcut", shapes::name(canned::SHORTCUT_CHARS_MAX)),
        ("CannedResponseChange", "title", shapes::name(canned::TITLE_CHARS_MAX)),
        ("CannedResponseChange", "text", shapes::words(canned::TEXT_CHARS_MAX)),
        ("Closing", "answer", shapes::name(privacy_requests::WORDS_CHARS_MAX)),
        ("FirstMessage", "text", shapes::words(TEXT_CHARS_MAX)),
        ("NewCannedResponse", "shortcut", shapes::name(canned::SHORTCUT_CHARS_MAX)),
        ("NewCannedResponse", "title", shapes::name(canned::TITLE_CHARS_MAX)),
        ("NewCannedResponse", "text", shapes::words(canned::TEXT_CHARS_MAX)),
        ("NewConversation", "visitor_id", json!({ "pattern": id_pattern("visitor_id") })),
        ("NewConversation", "assignee", json!({ "pattern": id_pattern("assignee") })),
        ("NewConversation", "notice_hash", json!({ "pattern": "^[0-9a-f]{64}$" })),
        ("NewConversation", "page_url", text(sites::URL_BYTES_MAX)),
        ("NewConversation", "page_title", text(ANSWER_BYTES_MAX)),
        ("NewPrivacyRequest", "email", email()),
        ("NewPrivacyRequest", "visitor_id", json!({ "pattern": id_pattern("visitor_id") })),
        (
            "NewPrivacyRequest",
            "conversation_id",
            json!({ "pattern": id_pattern("conversation_id") }),
        ),
        ("NewPrivacyRequest", "agent_id", json!({ "pattern": id_pattern("agent_id") })),
        ("NewPrivacyRequest", "received_on", json!({ "format": "date", "maxLength": DAY_CHARS })),
        ("NewPrivacyRequest", "note", text(privacy_requests::WORDS_CHARS_MAX)),
        ("Refused", "answer", shapes::name(privacy_requests::WORDS_CHARS_MAX)),
        ("Verification", "proof", shapes::name(privacy_requests::WORDS_CHARS_MAX)),
        ("NewVisitor", "name", text(ANSWER_BYTES_MAX)),
        ("NewVisitor", "email", text(ANSWER_BYTES_MAX)),
        ("NewVisitor", "locale", text(LOCALE_CHARS_MAX)),
        ("TakeOver", "agent_id", json!({ "pattern": id_pattern("agent_id") })),
        ("TagChange", "name", shapes::name(tags::NAME_CHARS_MAX)),
        ("Problem", "code", json!({ "enum": codes() })),
        (
            "PrivacyTag",
            "purposes",
            json!({ "items": { "type": "string", "enum": ["respond", "provide"] } }),
        ),
        (
            "PrivacyTag",
            "bases",
            json!({ "items": { "type": "string", "enum": ["contract", "legal-duty", "legitimate-interest", "consent"] } }),
        ),
        ("NewMessage", "message_id", json!({ "pattern": shapes::OWN_MESSAGE_ID })),
        ("NewMessage", "text", shapes::words(TEXT_CHARS_MAX)),
        ("NewMessage", "visibility", json!({ "enum": ["everyone", "agents", null] })),
        ("Lift", "identifier", text(suppressions::IDENTIFIER_CHARS_MAX)),
        ("Lift", "proof", shapes::words(suppressions::PROOF_CHARS_MAX)),
        ("NewSuppression", "identifier", text(suppressions::IDENTIFIER_CHARS_MAX)),
        ("NewTag", "name", shapes::name(tags::NAME_CHARS_MAX)),
    ]
}

/// Every code of a refusal, by REST or by the listener before it.
fn codes() -> Vec<&'static str> {
    let listener = PROBLEM_CODES.iter().filter(|code| !ProblemCode::WORDS.contains(code));
    ProblemCode::WORDS.iter().chain(listener).copied().collect()
}

const ORIGINS: &str = "Whose pages may embed the widget, as browsers write them: `https://`, a host, and a port where it \
is not 443; plain `http://` on the server's own machine. `https://*.shop.example` stands for all names under `shop.example`.";

/// Organizations, their sites, and the server's own.
fn bounds_of_settings() -> Vec<Bound> {
    let origin = json!({ "type": "string", "maxLength": shapes::ORIGIN_CHARS_MAX, "pattern": shapes::origin() });
    let origins =
        json!({ "maxItems": sites::ORIGINS_MAX, "items": origin, "description": ORIGINS });
    let url = json!({ "maxLength": sites::URL_BYTES_MAX, "pattern": "^(https://.*)?$" });
    vec![
        ("BackupState", "state", json!({ "enum": ["copying", "verifying", "done", "failed"] })),
        ("Confirmation", "today", json!({ "format": "date", "maxLength": DAY_CHARS })),
        ("ClockState", "standing", json!({ "enum": ["unknown", "trusted", "ahead", "behind"] })),
        ("NewBackup", "keys_to", shapes::absolute_path(PATH_CHARS_MAX)),
        ("NewBackup", "to", shapes::absolute_path(PATH_CHARS_MAX)),
        ("NewSite", "name", shapes::name(sites::NAME_CHARS_MAX)),
        ("NewSite", "origins", origins.clone()),
        ("NewTenant", "name", shapes::name(tenants::NAME_CHARS_MAX)),
        ("NewTenant", "privacy_contact", shapes::name(tenants::CONTACT_CHARS_MAX)),
        ("NewTenantSite", "name", shapes::name(sites::NAME_CHARS_MAX)),
        ("NewTenantSite", "origins", origins.clone()),
        ("Notice", "text", text(sites::NOTICE_CHARS_MAX)),
        ("Notice", "url", url),
        ("SiteChange", "name", shapes::name(sites::NAME_CHARS_MAX)),
        ("SiteChange", "origins", origins),
        (
            "SiteChange",
            "texts",
            json!({
                "maxProperties": sites::TEXTS_MAX,
                "propertyNames": { "pattern": "^[a-z_]{1,32}$" },
                "additionalProperties": { "type": "string", "maxLength": sites::TEXT_CHARS_MAX },
            }),
        ),
        (
            "SiteChange",
            "form",
            json!({
                "maxProperties": sites::FORM_FIELDS.len(),
                "propertyNames": { "enum": sites::FORM_FIELDS },
            }),
        ),
        (
            "SiteChange",
            "redaction_patterns",
            json!({ "maxItems": PATTERNS_MAX, "items": { "type": "string", "format": "regex", "minLength": 1, "maxLength": PATTERN_BYTES_MAX } }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::openapi_files;
    use super::*;

    fn documents() -> Vec<Value> {
        let files = openapi_files().unwrap();
        files.iter().map(|(_, text)| serde_json::from_str(text).unwrap()).collect()
    }

    fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
        let paths = document["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(move |(verb, operation)| (format!("{verb} {path}"), operation))
        })
    }

    /// Every text, list, number and map that can be sent.
    fn is_bounded(document: &Value, schema: &Value, place: &str, seen: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            if seen.iter().any(|known| known == name) {
                return;
            }
            seen.push(name.to_owned());
            let place = name.trim_start_matches('#');
            return is_bounded(document, document.pointer(place).unwrap(), name, seen);
        }
        for any in ["oneOf", "anyOf", "allOf"] {
            for one in schema[any].as_array().into_iter().flatten() {
                is_bounded(document, one, place, seen);
            }
        }
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            is_bounded(document, schema, &format!("{place}.{field}"), seen);
        }
        let kind = schema["type"].to_string();
        let has = |words: &[&str]| words.iter().any(|word| schema.get(*word).is_some());
        if kind.contains("string") {
            assert!(has(&["maxLength", "pattern", "enum"]), "{place} is a text without a bound");
        }
        if kind.contains("integer") {
            assert!(has(&["maximum"]), "{place} is a number without a bound");
        }
        if kind.contains("array") {
            assert!(has(&["maxItems"]), "{place} is a list without a bound");
            is_bounded(document, &schema["items"], &format!("{place}[]"), seen);
        }
        if schema["additionalProperties"].is_object() {
            assert!(has(&["maxProperties"]), "{place} is a map without a bound");
            assert!(has(&["propertyNames"]), "{place} is a map of any names");
            is_bounded(document, &schema["additionalProperties"], &format!("{place}{{}}"), seen);
        }
    }

    #[test]
    fn whatever_can_be_sent_has_a_bound_and_every_id_its_form() {
        for document in documents() {
            for (name, operation) in operations(&document) {
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    let place = format!("{name} {}", parameter["name"]);
                    is_bounded(&document, &parameter["schema"], &place, &mut Vec::new());
                }
                let body = &operation["requestBody"]["content"]["application/json"]["schema"];
                is_bounded(&document, body, &name, &mut Vec::new());
            }
        }
    }

    /// Every object that is written out where it stands, and not by its name.
    fn written_out(schema: &Value, place: &str, found: &mut Vec<String>) {
        let parts = match schema {
            Value::Object(parts) => parts.iter().map(|(n, part)| (n.clone(), part)).collect(),
            Value::Array(parts) => parts.iter().map(|part| (String::from("[]"), part)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        for (name, part) in parts {
            let place = format!("{place}/{name}");
            if part["properties"].is_object() {
                found.push(place.clone());
            }
            written_out(part, &place, found);
        }
    }

    #[test]
    fn a_thing_is_the_same_in_a_list_and_alone_and_has_its_times() {
        for document in documents() {
            for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
                let mut found = Vec::new();
                written_out(schema, name, &mut found);
                // The kinds of a body, and what a key has once more when it is made.
                found.retain(|place| !place.contains("/oneOf/") && !place.contains("/allOf/"));
                assert_eq!(found, [""; 0], "a generator would make another type of it");
                let fields = schema["properties"].as_object().into_iter().flatten();
                for (field, of) in fields.filter(|_| name != "RefusedOrigin") {
                    let Some(time) = time_name(field) else { continue };
                    let is_moment = of["type"].to_string().contains("integer");
                    assert!(!is_moment || schema["properties"][&time].is_object(), "{name}.{time}");
                }
            }
        }
    }

    #[test]
    fn every_code_that_a_refusal_can_have_is_listed() {
        for document in documents() {
            let codes = &document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
            let codes = codes.as_array().unwrap();
            for code in PROBLEM_CODES.iter().chain(ProblemCode::WORDS) {
                let times = codes.iter().filter(|listed| *listed == code).count();
                assert_eq!(times, 1, "{code}");
            }
        }
    }

    #[test]
    fn every_refusal_that_an_operation_can_meet_is_listed() {
        for document in documents() {
            for (name, operation) in operations(&document) {
                let open = operation["security"] == json!([{}]);
                let mut wanted = vec!["429", "503", "408"];
                wanted.extend(if open { [].as_slice() } else { &["401", "403"] });
                wanted.extend(is_keyed(operation).then_some("409"));
                if operation.get("requestBody").is_some() {
                    wanted.extend(["400", "403", "413", "415", "422"]);
                }
                if name.contains('{') {
                    wanted.push("404");
                }
                for status in wanted {
                    assert!(operation["responses"].get(status).is_some(), "{name} lacks {status}");
                }
            }
            let words = document["info"]["description"].as_str().unwrap();
            assert!(words.contains("`Origin`") && words.contains("__Host-livehelp_session"));
        }
    }
}

//! What the OpenAPI documents say to people: a summary and a description for each operation, what
//! each resource is, and examples that fit the schemas.
//!
//! Lives here: words, and values made from the schemas' own bounds. Not here: the bounds
//! (`promises`), the fields' own descriptions (each handler's file). Called by `promises`.

use serde_json::{Map, Value, json};

/// What a resource is.
pub(super) const RESOURCES: [(&str, &str); 17] = [
    (
        "conversations",
        "What visitors and agents say to each other, where it stands, and who has it.",
    ),
    ("messages", "One thing said in a conversation each: words, internal notes, event messages."),
    ("visitors", "The people on the websites, as far as they said who they are."),
    ("canned-responses", "What agents say often, prepared."),
    ("privacy", "What people ask for about their data, and its end."),
    ("tags", "Labels for conversations."),
    ("suppressions", "Who was erased and is not taken in again by themselves."),
    ("sites", "The websites of an Organization and how their widgets are set up."),
    ("agents", "The people who answer."),
    ("invitations", "One-time links by which new agents make their account."),
    ("sessions", "Agents who signed in. Programs use keys instead."),
    ("keys", "API keys of an Organization: programs show one with each request."),
    ("tenants", "Organizations: the companies that run chat."),
    ("operator-keys", "Keys of the operator's programs, for this listener."),
    ("backups", "Copies of data and keys, made while the server runs."),
    ("audit", "Who did what, when and why: ids and numbers in a chain that shows any change."),
    ("clock", "The server's clock, by which data is destroyed when its time is over."),
];

/// The widget's own resource.
pub(super) const WIDGET: (&str, &str) = ("widget", "What the widget asks for before it shows.");

const ONCE: &str =
    "Send an `Idempotency-Key` and repeat the request until it is answered: it happens once.";
const MOVED: &str = "With `If-Match` (the conversation's `ETag`) it is refused with 412 where the conversation has changed since.";

/// Summary and description of an operation.
#[expect(clippy::too_many_lines, reason = "one arm an operation: a flat list reads best whole")]
fn words(operation: &str) -> Option<(&'static str, String)> {
    let (summary, words): (_, &str) = match operation {
        "create_session" => {
            ("Sign in", "Sets the session cookie. For the console's pages; programs use keys.")
        }
        "list_sessions" => ("List own sessions", "Where the signed-in agent is signed in."),
        "get_current_session" => ("Get the session", "Who is signed in, and where."),
        "delete_current_session" => ("Sign out", "Ends the session and its connections."),
        "delete_session" => ("End a session", "Signs the agent out somewhere else."),
        "list_agents" => ("List agents", "Everyone who has or had an account, oldest first."),
        "get_agent" => ("Get an agent", "One agent and their account."),
        "update_agent" => (
            "Change an agent",
            "Only what is named changes. Agents change their own name; roles and accounts are an admin's.",
        ),
        "set_agent_password" => {
            ("Set one's password", "Needs the present one. Ends all other sessions.")
        }
        "create_password_reset" => (
            "Make a password link",
            "A one-time link for a colleague who forgot their password; shown once.",
        ),
        "lookup_password_reset" => ("Look at a password link", "Whose it is; nothing is used up."),
        "use_password_reset" => ("Use a password link", "Sets the new password and signs in."),
        "list_sites" => ("List sites", "The Organization's websites, oldest first."),
        "create_site" => ("Create a site", ONCE),
        "get_site" => ("Get a site", "A website and how its widget is set up."),
        "update_site" => (
            "Change a site",
            "Only what is named changes; a list or map that is given replaces the one before.",
        ),
        "list_invitations" => ("List invitations", "Those that were neither used nor withdrawn."),
        "create_invitation" => {
            ("Invite an agent", "The answer has the one-time link; it is shown once.")
        }
        "lookup_invitation" => {
            ("Look at an invitation", "Whom it invites to what; nothing is used up.")
        }
        "accept_invitation" => ("Accept an invitation", "Makes the account and signs in."),
        "delete_invitation" => ("Withdraw an invitation", "Its link is void from then on."),
        "list_conversations" => (
            "List conversations",
            "The newest first; with `updated_after` by their last change, the longest unchanged first. All conditions hold. A page can have fewer items than `limit`, even none, while `next_cursor` says where to go on.",
        ),
        "create_conversation" => (
            "Create a conversation",
            "Begins it for a visitor with its first message. It joins the line and the consoles' boards like one that a visitor opens, and the site's form and notice count as they do there. Send an `Idempotency-Key` and repeat the request until it is answered: it happens once.",
        ),
        "get_conversation" => (
            "Get a conversation",
            "Where it stands. The `ETag` begins with the version, which `If-Match` is held against.",
        ),
        "close_conversation" => ("Close a conversation", MOVED),
        "reopen_conversation" => ("Reopen a conversation", MOVED),
        "assign_conversation" => (
            "Assign a conversation",
            "Takes a waiting conversation out of turn, or gives it to an agent who is connected. With `If-Match` it is refused with 412 where the conversation has changed since.",
        ),
        "transfer_conversation" => (
            "Offer a transfer",
            "The giver keeps the conversation until the receiver accepts. With `If-Match` it is refused with 412 where the conversation has changed since.",
        ),
        "withdraw_transfer" => (
            "Withdraw a transfer",
            "Takes the offer back, until it is answered. With `If-Match` it is refused with 412 where the conversation has changed since.",
        ),
        "take_over_conversation" => (
            "Take over a conversation",
            "For supervisors, admins and keys: from an agent who has it, at once. A pending transfer of it is void. With `If-Match` it is refused with 412 where the conversation has changed since.",
        ),
        "set_conversation_tags" => (
            "Set a conversation's labels",
            "Replaces all of them. With `If-Match` it is refused with 412 where the conversation has changed since.",
        ),
        "list_messages" => (
            "List messages",
            "The newest page, in order; older ones with `before`, newer ones with `after`. `next_cursor` is the next `before`, or the next `after`.",
        ),
        "create_message" => (
            "Say something",
            "In a conversation that is not closed. With a `message_id` of your own or an `Idempotency-Key`, repeat the request until it is answered: it is said once.",
        ),
        "get_message" => ("Get a message", "One message, as long as it can be read."),
        "get_message_tag" => ("Get a message's privacy tag", "Why and how long it is kept."),
        "get_transcript" => (
            "Get a transcript",
            "All that was said, in order: as JSON, or as text where `Accept` asks for it.",
        ),
        "list_canned_responses" => (
            "List canned responses",
            "Those that all agents share and the asking agent's own, oldest first.",
        ),
        "create_canned_response" => ("Create a canned response", ONCE),
        "get_canned_response" => ("Get a canned response", "A shared one or the agent's own."),
        "update_canned_response" => {
            ("Change a canned response", "An agent's own, or as a supervisor one that all share.")
        }
        "delete_canned_response" => {
            ("Delete a canned response", "An agent's own, or as a supervisor one that all share.")
        }
        "use_canned_response" => ("Count a use", "Whoever says it counts it."),
        "list_privacy_requests" => {
            ("List privacy requests", "What people asked for, the newest first.")
        }
        "create_privacy_request" => (
            "Create a privacy request",
            "Its clock runs from the moment it came. The answer has what is kept of the person.",
        ),
        "get_privacy_request" => {
            ("Get a privacy request", "Where it stands, and what is kept of the person.")
        }
        "verify_privacy_request" => {
            ("Verify a privacy request", "It was proved that it is theirs.")
        }
        "refuse_privacy_request" => {
            ("Refuse a privacy request", "With the reason, and what the person is told.")
        }
        "close_privacy_request" => (
            "Close a privacy request",
            "It was answered. A request for an erasure is closed by carrying it out.",
        ),
        "erase_by_privacy_request" => (
            "Erase a person",
            "For a verified request of the kind `erase`. What has begun runs to its end; nothing of it can be taken back.",
        ),
        "get_erasure_certificate" => (
            "Get an erasure's certificate",
            "Signed, and as it was signed; `livehelp certificate verify` judges it without a server.",
        ),
        "list_suppressions" => (
            "List suppressions",
            "Their kinds and dates, oldest first. What is suppressed is not kept, and cannot be shown.",
        ),
        "create_suppression" => (
            "Suppress an identifier",
            "No invitation, account or contact of it is taken in from then on, however it is spelled; open invitations of it end. One that is suppressed already stays as it is.",
        ),
        "lift_suppression" => (
            "Lift a suppression",
            "For the person themselves: whoever asks shows the identifier, and says how they proved that it is theirs.",
        ),
        "list_tags" => ("List labels", "All of the Organization, oldest first."),
        "create_tag" => ("Create a label", ONCE),
        "get_tag" => ("Get a label", "One label."),
        "update_tag" => (
            "Rename a label",
            "Every conversation that has it shows the new name and has a new version.",
        ),
        "delete_tag" => (
            "Delete a label",
            "It goes off every conversation that has it, and each has a new version.",
        ),
        "list_visitors" => ("List visitors", "Newest first."),
        "get_visitor" => {
            ("Get a visitor", "What they said about themselves is null once its time is over.")
        }
        "list_keys" => ("List API keys", "Without their texts."),
        "create_key" => ("Create an API key", "The answer has its text; it is shown once."),
        "delete_key" => ("Delete an API key", "It opens nothing from then on."),
        "get_widget" => {
            ("Get a widget's settings", "What the widget shows on a site's pages; anybody may ask.")
        }
        "list_tenants" => ("List Organizations", "Oldest first."),
        "create_tenant" => ("Create an Organization", ONCE),
        "get_tenant" => (
            "Get an Organization",
            "Its name and where people turn with questions about their data.",
        ),
        "list_tenant_sites" => ("List an Organization's sites", "Oldest first."),
        "create_tenant_site" => ("Create a site for an Organization", ONCE),
        "create_tenant_invitation" => (
            "Invite an Organization's agent",
            "The answer has the one-time link; it is shown once.",
        ),
        "create_tenant_password_reset" => (
            "Make a password link for an agent",
            "For an agent of the Organization, by e-mail address; shown once.",
        ),
        "get_any_site" => ("Get any site", "Of whichever Organization."),
        "set_site_plan" => ("Set a site's plan", "It decides how long transcripts are kept."),
        "close_site" => ("Close a site", "It takes no new conversations."),
        "reopen_site" => ("Reopen a site", "It takes conversations again."),
        "list_operator_keys" => ("List operator keys", "Without their texts."),
        "create_operator_key" => {
            ("Create an operator key", "The answer has its text; it is shown once.")
        }
        "delete_operator_key" => {
            ("Delete an operator key", "One key that manages operator keys is kept.")
        }
        "list_audit" => (
            "List the audit",
            "The Organization's own chain, newest first. A page may be short though there is more: a filter looks through 5,000 entries at a time.",
        ),
        "list_operator_audit" => (
            "List the operator's audit",
            "What was done on this listener, newest first. What concerns an Organization's things stands in that one's.",
        ),
        "get_clock" => ("Get the clock", "What it says, and whether data is destroyed by it."),
        "create_backup" => (
            "Begin a backup",
            "Two files on the server's machine, verified: the data, and the keys. One at a time; ask after it at `/v1/backups/newest`.",
        ),
        "get_newest_backup" => {
            ("Get the newest backup", "How far it is, what came of it, or why it failed.")
        }
        "confirm_clock" => {
            ("Confirm the clock", "Says that the clock is right: sweeps go on by it.")
        }
        "lower_clock_mark" => (
            "Lower the latest trusted time",
            "Says that the clock had been ahead, and puts the mark back to it.",
        ),
        _ => return None,
    };
    Some((summary, words.to_owned()))
}

/// Gives every operation its words, the document its resources, and bodies and answers their
/// examples.
pub(super) fn tell(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    let mut used = Vec::new();
    for item in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
            if let Some((summary, words)) = words(&id) {
                operation["summary"] = json!(summary);
                operation["description"] = json!(words);
            }
            used.extend(operation["tags"][0].as_str().map(str::to_owned));
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            parameters.into_iter().flatten().for_each(describe_parameter);
            let body = operation.pointer_mut("/requestBody/content/application~1json");
            if let Some(media) = body {
                media["example"] = example(&schemas, &media["schema"], "", 0);
            }
            let answers = operation["responses"].as_object_mut();
            for answer in answers.into_iter().flat_map(Map::values_mut) {
                if let Some(media) = answer.pointer_mut("/content/application~1json") {
                    media["example"] = example(&schemas, &media["schema"], "", 0);
                }
            }
        }
    }
    let resources = RESOURCES.iter().chain([&WIDGET]);
    let known = resources.filter(|(name, _)| used.iter().any(|tag| tag == name));
    document["tags"] =
        known.map(|(name, words)| json!({ "name": name, "description": words })).collect();
    document["servers"] =
        json!([{ "url": "/", "description": "The server that this document came from." }]);
}

fn describe_parameter(parameter: &mut Value) {
    let name = parameter["name"].as_str().unwrap_or_default();
    let words = match name {
        "Idempotency-Key" => {
            "A text of the caller's for this request: sent again with the same key and body within 24 hours, it gets the first answer again."
        }
        "If-Match" => {
            "The `ETag` of the conversation as it was read. What was said meanwhile does not count; any other change refuses the act with 412."
        }
        "site_id" => "A site's id.",
        "visitor_id" => "A visitor's id.",
        "conversation_id" => "A conversation's id.",
        "message_id" => "A message's id.",
        "agent_id" => "An agent's id.",
        "tenant_id" => "An Organization's id.",
        "site_key" => "The public key of a site, as it stands in the embed tag.",
        "session_id" => "A session's id.",
        "invitation_id" => "An invitation's id.",
        "key_id" => "A key's id.",
        "canned_response_id" => "A canned response's id.",
        "tag_id" => "A label's id.",
        "privacy_request_id" => "A privacy request's id.",
        "suppression_id" => "A suppression's id.",
        _ => return,
    };
    if parameter["description"].is_null() {
        parameter["description"] = json!(words);
    }
}

const DEPTH_MAX: usize = 16;
const HEX: &str = "018fb4c27a3f7cc19d4e5b2a6f708192";

/// A value that fits a schema. `field`: the name that it has.
fn example(schemas: &Value, schema: &Value, field: &str, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|place| place.rsplit('/').next()) {
        return example(schemas, &schemas[name], field, depth + 1);
    }
    if let Some(one) = ["oneOf", "anyOf"].iter().find_map(|any| schema[any].as_array()) {
        let is_something = |schema: &&Value| schema["type"] != "null";
        let first = one.iter().find(is_something).unwrap_or(&Value::Null);
        return example(schemas, first, field, depth + 1);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().map(|part| example(schemas, part, field, depth + 1));
        let fields = parts.filter_map(|part| part.as_object().cloned()).flatten();
        return fields.collect::<Map<_, _>>().into();
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.first().cloned().unwrap_or_default();
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && let Some(prefix) =
            pattern.strip_prefix('^').and_then(|rest| rest.split_once("_[0-9a-f]"))
    {
        return json!(format!("{}_{HEX}", prefix.0));
    }
    let kind = &schema["type"];
    let kind = match kind.as_array() {
        Some(kinds) => kinds.iter().find(|kind| **kind != "null"),
        None => Some(kind),
    };
    match kind.and_then(Value::as_str) {
        Some("integer") if schema["format"] == "int32" => json!(1),
        Some("integer") => number(field),
        Some("boolean") => json!(false),
        Some("array") => json!([example(schemas, &schema["items"], field, depth + 1)]),
        Some("string") => json!(text(field)),
        _ if schema["properties"].is_object() => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields
                .map(|(name, schema)| (name.clone(), example(schemas, schema, name, depth + 1)))
                .collect::<Map<_, _>>()
                .into()
        }
        _ => json!({}),
    }
}

fn number(field: &str) -> Value {
    match field {
        "seq" | "seq_last" | "delivered" | "seen" | "version" => json!(3),
        "capacity" => json!(4),
        "retry_after_ms" => json!(1_000),
        "status" => json!(409),
        _ => json!(1_795_485_859_999_u64),
    }
}

fn text(field: &str) -> String {
    if field == "time" || field.ends_with("_time") {
        return String::from("2026-11-24T02:04:19.999Z");
    }
    let text = match field {
        "name" => "Ada Lovelace",
        "email" | "identifier" => "ada@example.test",
        "proof" => "Answered a mail to this address.",
        "text" | "preview" => "Where is my parcel?",
        "page_url" | "url" => "https://shop.example/cart",
        "page_title" => "Your cart",
        "locale" => "en",
        "origins" | "origin" => "https://shop.example",
        "privacy_contact" => "privacy@shop.example",
        "today" | "ingest_day" | "expires_on" | "received_on" | "due_on" => "2026-11-24",
        "now" => "2026-11-24 02:04:19 UTC",
        "password" | "current_password" | "new_password" => "correct horse battery",
        "token" => "lhi_0123456789abcdef",
        "client" => "Firefox, Linux",
        "next_cursor" => return format!("cnv_{HEX}"),
        "notice_hash" => return HEX.repeat(2),
        "shortcut" => "parcel",
        "title" => "Where a parcel is",
        "field" => "name",
        "answer" => "Ada",
        "to" | "keys_to" => "/var/backups/livehelp",
        "embed_tag" => "<script async src=\"https://chat.example/widget/loader.js\"></script>",
        _ => "text",
    };
    text.to_owned()
}

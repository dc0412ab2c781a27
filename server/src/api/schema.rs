//! How ids and closed lists of words look in the OpenAPI documents.

use protocol::conversation::{ConversationState, Role, SiteAvailability};
use protocol::message::{AuthorKind, EventKind, Visibility};
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, Type};

use crate::auth::Scope;
use crate::privacy::request::{Refusal, RequestKind, RequestState};

macro_rules! ids {
    ($( $name:ident $prefix:literal )+) => { $(
        pub(crate) fn $name() -> Object {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some(concat!("^", $prefix, "_[0-9a-f]{32}$")))
                .build()
        }
    )+ };
}

ids! {
    tenant_id "ten"
    site_id "sit"
    site_key "site"
    agent_id "agt"
    session_id "ses"
    invitation_id "inv"
    key_id "key"
    canned_response_id "can"
    suppression_id "sup"
    tag_id "tag"
    visitor_id "vis"
    conversation_id "cnv"
    message_id "msg"
    privacy_request_id "prq"
}

macro_rules! words {
    ($( $name:ident $of:ident )+) => { $(
        pub(crate) fn $name() -> Object {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some($of::ALL.iter().map(|(_, _, word)| *word)))
                .build()
        }
    )+ };
}

words! {
    role Role
    availability SiteAvailability
    conversation_state ConversationState
    author_kind AuthorKind
    event_kind EventKind
    visibility Visibility
}

macro_rules! spelled {
    ($( $name:ident $of:ident )+) => { $(
        pub(crate) fn $name() -> Object {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some($of::ALL.iter().map(|one| one.word())))
                .build()
        }
    )+ };
}

spelled! {
    request_kind RequestKind
    request_state RequestState
    refusal Refusal
}

/// A list of what a key of an Organization may do.
pub(crate) fn tenant_scopes() -> Array {
    scopes(Scope::TENANT)
}

/// A list of what a key of the operator may do.
pub(crate) fn operator_scopes() -> Array {
    scopes(Scope::OPERATOR)
}

fn scopes(known: &[Scope]) -> Array {
    let word = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(known.iter().map(|scope| scope.word())));
    ArrayBuilder::new().items(word).build()
}

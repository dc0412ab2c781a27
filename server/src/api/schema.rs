//! How ids and closed lists of words look in the OpenAPI documents.

use protocol::conversation::{ConversationState, Role, SiteAvailability};
use protocol::message::{AuthorKind, EventKind, Visibility};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

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
}

//! Visitors and the headers of conversations, declared.

use protocol::conversation::ConversationState;
use protocol::ids::{AgentId, ConversationId, SiteId, TagId, TenantId, VisitorId};
use protocol::personal::Personal;
use protocol::retention::RetentionClass;
use protocol::time::UnixMillis;

use super::{
    Again, Column, Destroyed, Entity, Field, Forgotten, Order, Row, Seal, SealKind, Select, Table,
    Value, bucket, bytes, counted, fields, id, is, number, outer, sealed, text, within,
};
use crate::store::feed::kind;
use crate::store::{
    ConversationFilter, ConversationRow, DraftRow, SecretHash, VisitorRow, VisitorToken,
};

const SECRET_BEFORE: Column = bytes("secret_before").optional();
const SECRET_BEFORE_AT: Column = number("secret_before_at").optional();

impl Entity for VisitorRow {
    const TABLE: &'static Table = &Table {
        name: "visitors",
        about: "a visitor: contact data, language and token",
        columns: &[
            id("visitor"),
            id("tenant"),
            id("site"),
            bucket("bucket").optional(),
            sealed("name").optional(),
            sealed("email").optional(),
            text("locale"),
            number("contact_day"),
            bytes("secret"),
            SECRET_BEFORE,
            SECRET_BEFORE_AT,
            number("secret_expires_at"),
            number("created_at"),
        ],
        id: "visitor",
        unique: &[&["visitor"]],
        taken: "visitor",
        indexes: &[&["tenant"], &["secret"], &["secret_before"], &["bucket"]],
        person: Some("visitor"),
        // A row goes with the last conversation.
        forgotten: Forgotten::Blanked { flag: None },
        erased: &["locale"],
        seal: Some(Seal {
            kind: SealKind::Contact,
            class: RetentionClass::Contact,
            or_class: None,
            since: "contact_day",
            bound: &["tenant", "visitor"],
            destroyed: Destroyed::Nameless,
        }),
        // A token has changes of its own, so that neither undoes the other.
        again: Some(Again {
            stays: &[
                "tenant",
                "site",
                "secret",
                "secret_before",
                "secret_before_at",
                "secret_expires_at",
                "created_at",
            ],
            alike: &["tenant", "site"],
            version: None,
        }),
        feed: Some(kind::VISITOR),
        ..Table::PLAIN
    };

    fn into_values(self) -> Vec<Value> {
        let (before, before_at) = self.secret_before.unzip();
        vec![
            self.visitor.into_value(),
            self.tenant.into_value(),
            self.site.into_value(),
            self.name.into_value(),
            self.email.into_value(),
            self.locale.into_value(),
            self.contact_day.into_value(),
            self.secret.into_value(),
            before.into_value(),
            before_at.into_value(),
            self.secret_expires_at.into_value(),
            self.created_at.into_value(),
        ]
    }

    fn from_row(mut row: Row) -> Option<Self> {
        Some(Self {
            visitor: row.take()?,
            tenant: row.take()?,
            site: row.take()?,
            name: row.take()?,
            email: row.take()?,
            locale: row.take()?,
            contact_day: row.take()?,
            secret: row.take()?,
            secret_before: before(&mut row)?,
            secret_expires_at: row.take()?,
            created_at: row.take()?,
        })
    }
}

#[expect(clippy::option_option, reason = "the outer one says that the row cannot be read")]
fn before(row: &mut Row) -> Option<Option<(SecretHash, UnixMillis)>> {
    let (secret, at): (Option<_>, Option<_>) = (row.take()?, row.take()?);
    Some(secret.zip(at))
}

/// What of a visitor's row lets them in: nothing of it is sealed, and its changes are nobody's
/// news.
impl Entity for VisitorToken {
    const TABLE: &'static Table = &Table {
        name: "visitors",
        columns: &[
            id("visitor"),
            id("tenant"),
            id("site"),
            bytes("secret"),
            SECRET_BEFORE,
            SECRET_BEFORE_AT,
            number("secret_expires_at"),
        ],
        id: "visitor",
        ..Table::PLAIN
    };

    fn into_values(self) -> Vec<Value> {
        let (before, before_at) = self.secret_before.unzip();
        vec![
            self.visitor.into_value(),
            self.tenant.into_value(),
            // A token says nothing of it and never changes it.
            Value::Null,
            self.secret.into_value(),
            before.into_value(),
            before_at.into_value(),
            self.secret_expires_at.into_value(),
        ]
    }

    fn from_row(mut row: Row) -> Option<Self> {
        let (visitor, tenant, _): (_, _, Value) = (row.take()?, row.take()?, row.take()?);
        Some(Self {
            visitor,
            tenant,
            secret: row.take()?,
            secret_before: before(&mut row)?,
            secret_expires_at: row.take()?,
        })
    }
}

/// The columns of a token that change.
pub(in crate::store) const TOKEN: &[&str] =
    &["secret", "secret_before", "secret_before_at", "secret_expires_at"];

impl Entity for ConversationRow {
    const TABLE: &'static Table = &Table {
        name: "conversations",
        about: "a conversation's header: form, page, state, who has part in it",
        columns: &[
            id("conversation"),
            id("tenant"),
            id("site"),
            id("visitor"),
            number("version"),
            number("state"),
            bytes("assignee").optional(),
            number("offline_message"),
            // Ids, one after the other.
            bytes("agents"),
            bytes("tags"),
            bucket("bucket").optional(),
            sealed("form").optional(),
            sealed("page_url").optional(),
            sealed("page_title").optional(),
            text("locale"),
            number("created_at"),
            number("waiting_since").optional(),
            number("closed_at").optional(),
            // The newest seq among messages that were cleaned up.
            counted("seq_floor"),
            bytes("notice").optional(),
        ],
        id: "conversation",
        unique: &[&["conversation"]],
        taken: "conversation",
        // Every list is a walk along one of these.
        indexes: &[
            &["tenant", "created_at", "conversation"],
            &["tenant", "state", "created_at", "conversation"],
            &["tenant", "site", "state", "created_at", "conversation"],
            &["tenant", "assignee", "state", "created_at", "conversation"],
            &["tenant", "assignee", "site", "state", "created_at", "conversation"],
            &["visitor", "state", "created_at", "conversation"],
            &["visitor", "assignee", "state", "created_at", "conversation"],
            &["created_at", "conversation"],
            &["bucket"],
        ],
        person: Some("visitor"),
        // A closed one goes when nothing else is left of it.
        forgotten: Forgotten::Blanked { flag: None },
        erased: &["locale"],
        seal: Some(Seal {
            kind: SealKind::Header,
            class: RetentionClass::Transcript,
            or_class: Some(("offline_message", RetentionClass::OfflineMessage)),
            since: "created_at",
            bound: &["tenant", "conversation"],
            destroyed: Destroyed::Nameless,
        }),
        again: Some(Again {
            stays: &["tenant", "site", "visitor", "created_at", "notice"],
            alike: &["tenant"],
            version: Some("version"),
        }),
        feed: Some(kind::CONVERSATION),
        ..Table::PLAIN
    };

    fields!(
        conversation,
        tenant,
        site,
        visitor,
        version,
        state,
        assignee,
        channel,
        agents,
        tags,
        form,
        page_url,
        page_title,
        locale,
        created_at,
        waiting_since,
        closed_at,
        notice,
    );
}

impl Entity for DraftRow {
    const TABLE: &'static Table = &Table {
        name: "drafts",
        about: "what stands in an agent's composer",
        columns: &[
            within("conversation"),
            outer("tenant"),
            outer("site"),
            outer("visitor"),
            id("agent"),
            bucket("bucket"),
            number("day"),
            sealed("text"),
        ],
        id: "agent",
        unique: &[&["conversation", "agent"]],
        taken: "draft",
        indexes: &[&["agent"], &["bucket"]],
        person: Some("visitor"),
        forgotten: Forgotten::Deleted,
        seal: Some(Seal {
            kind: SealKind::Draft,
            // It lives as long as the transcript of its day.
            class: RetentionClass::Transcript,
            or_class: None,
            since: "day",
            bound: &["tenant", "agent"],
            destroyed: Destroyed::Gone,
        }),
        again: Some(Again { stays: &[], alike: &[], version: None }),
        within: Some(ConversationRow::TABLE),
        ..Table::PLAIN
    };

    fields!(conversation, tenant, site, visitor, agent, day, text);
}

/// What of a header decides whether it passes a search: nothing of it is sealed.
#[derive(Debug)]
pub(in crate::store) struct Sketch {
    pub(in crate::store) conversation: ConversationId,
    pub(in crate::store) tenant: TenantId,
    pub(in crate::store) site: SiteId,
    pub(in crate::store) visitor: VisitorId,
    pub(in crate::store) state: ConversationState,
    pub(in crate::store) assignee: Option<AgentId>,
    pub(in crate::store) tags: Vec<TagId>,
    pub(in crate::store) created_at: UnixMillis,
}

impl Entity for Sketch {
    const TABLE: &'static Table = &Table {
        name: "conversations",
        columns: &[
            id("conversation"),
            id("tenant"),
            id("site"),
            id("visitor"),
            number("state"),
            bytes("assignee").optional(),
            bytes("tags"),
            number("created_at"),
        ],
        id: "conversation",
        ..Table::PLAIN
    };

    fields!(conversation, tenant, site, visitor, state, assignee, tags, created_at);
}

impl Select {
    /// Headers, the newest first: those begun below a moment and above another. A list of any
    /// filter is a walk along an index for each state that passes.
    pub(in crate::store) fn newest(
        tenant: TenantId,
        filter: &ConversationFilter,
        (below, above): ((i64, [u8; 16]), i64),
        limit: u16,
    ) -> Self {
        let ConversationFilter { state, live, site, visitor, assignee } = *filter;
        let along = match (visitor, assignee, site) {
            (Some(_), Some(_), _) => "conversations_of_visitor_with_agent",
            (Some(_), None, _) => "conversations_of_visitor",
            (None, Some(_), Some(_)) => "conversations_of_agent_at_site",
            (None, Some(_), None) => "conversations_of_agent",
            (None, None, Some(_)) => "conversations_of_site",
            (None, None, None) if state.is_some() || live => "conversations_in_state",
            (None, None, None) => "conversations_newest",
        };
        let of = std::iter::once(is("tenant", tenant));
        let of = of.chain(visitor.map(|visitor| is("visitor", visitor)));
        let of = of.chain(assignee.map(|agent| is("assignee", agent)));
        // A visitor is one site's: either all of theirs pass or none.
        let of = of.chain(site.map(|site| is("site", site))).collect();
        let states = || filter.states().into_iter().map(Field::into_value).collect();
        Self {
            any: (along != "conversations_newest").then(|| ("state", states())),
            along: Some(along),
            limit: Some(limit),
            order: Order::Down("created_at", below, above),
            ..Self::all::<ConversationRow>(of)
        }
    }

    /// Headers of all that are not closed, of every Organization, the oldest first.
    pub(in crate::store) fn live() -> Self {
        let closed = i64::from(ConversationState::Closed.code());
        let order = Order::Up("created_at", ("state", closed));
        Self { order, ..Self::all::<ConversationRow>(Vec::new()) }
    }
}

/// The form's answers as one sealed value: JSON pairs.
impl Field for Vec<(String, Personal<String>)> {
    fn into_value(self) -> Value {
        if self.is_empty() {
            return Value::Null;
        }
        // Texts alone: nothing that JSON has no words for.
        serde_json::to_string(&self).map_or(Value::Null, Value::Text)
    }

    fn from_value(value: Value) -> Option<Self> {
        if value == Value::Null {
            return Some(Self::new());
        }
        Some(serde_json::from_slice(value.as_bytes()?).unwrap_or_default())
    }
}

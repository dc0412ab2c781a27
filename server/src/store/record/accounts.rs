//! What is set up and who may act, declared: Organizations, sites, agents, sessions, invitations,
//! password links, API keys, labels, and the kept answers to repeated requests.

use std::sync::Arc;

use protocol::conversation::Availability;
use protocol::ids::{AgentId, KeyId, TenantId};
use protocol::retention::RetentionClass;
use protocol::time::UnixMillis;

use super::{
    Change, Destroyed, Ends, Entity, Field, Forgotten, Row, Seal, SealKind, Table, Value, bucket,
    bytes, fields, former, found_by, hashed, id, is, number, sealed, text,
};
use crate::privacy::sweep::ANSWER_MS;
use crate::store::feed::kind;
use crate::store::{
    ANSWERED, AgentRow, AnswerRow, InvitationRow, KeyRow, PasswordResetRow, SessionRow, SiteRow,
    TagRow, TenantRow,
};

/// What an operator said about the clock.
#[derive(Debug)]
pub(crate) struct ClockNote {
    /// By the clock in question.
    pub at: UnixMillis,
    pub key: KeyId,
    /// 1 confirmed, 2 lowered the mark.
    pub act: u16,
    pub mark_before: UnixMillis,
}

/// An account's lock: the Organization's own bucket of the day on which it began.
pub(super) const fn account(bound: &'static [&'static str], destroyed: Destroyed) -> Option<Seal> {
    Some(Seal {
        kind: SealKind::Account,
        class: RetentionClass::UserAccount,
        or_class: None,
        since: "created_at",
        bound,
        destroyed,
    })
}

impl Entity for TenantRow {
    const TABLE: &'static Table = &Table {
        name: "tenants",
        about: "an Organization",
        columns: &[
            id("tenant"),
            text("name"),
            sealed("privacy_contact").optional(),
            number("created_at"),
        ],
        id: "tenant",
        unique: &[&["tenant"]],
        taken: "tenant",
        person: Some("tenant"),
        forgotten: Forgotten::Blanked { flag: None },
        seal: account(&["tenant", "tenant"], Destroyed::Nameless),
        ..Table::PLAIN
    };

    fields!(tenant, name, privacy_contact, created_at);
}

impl Entity for SiteRow {
    const TABLE: &'static Table = &Table {
        name: "sites",
        about: "a website with our widget",
        columns: &[
            id("site"),
            id("tenant"),
            text("site_key"),
            text("name"),
            text("timeline"),
            text("settings"),
            number("created_at"),
        ],
        id: "site",
        unique: &[&["site"], &["site_key"]],
        taken: "site",
        indexes: &[&["tenant"]],
        feed: Some(kind::SITE),
        ..Table::PLAIN
    };

    fields!(site, tenant, site_key, name, timeline, settings, created_at);
}

impl SiteRow {
    /// Its name, settings and timeline, as they are here.
    pub fn change(self) -> Change {
        Change::update(self, &["name", "timeline", "settings"])
    }
}

impl Entity for AgentRow {
    const TABLE: &'static Table = &Table {
        name: "agents",
        about: "an agent and their account",
        columns: &[
            id("agent"),
            id("tenant"),
            bucket("bucket"),
            sealed("name"),
            sealed("email"),
            found_by("email_hash", "email", "agents.email"),
            number("role"),
            number("active"),
            number("capacity"),
            number("availability"),
            former("password_hash", "password"),
            sealed("password").optional(),
            number("created_at"),
        ],
        id: "agent",
        unique: &[&["agent"], &["tenant", "email_hash"]],
        taken: "email",
        indexes: &[&["email_hash"], &["tenant"]],
        person: Some("agent"),
        forgotten: Forgotten::Blanked { flag: Some("active") },
        seal: account(&["tenant", "agent"], Destroyed::Nameless),
        feed: Some(kind::AGENT),
        ..Table::PLAIN
    };

    // One whose key is destroyed is without a name, an address and a way to sign in: transcripts
    // and pages still count them.
    fields!(
        agent, tenant, name, email, role, active, capacity, availability, password_hash, created_at;
        |read: Self| Self { active: read.active && !read.name.expose().is_empty(), ..read }
    );
}

impl AgentRow {
    /// Name, e-mail, role, state and capacity, as they are here. What they choose themselves has
    /// changes of its own, so that neither undoes the other.
    pub fn change(self) -> Change {
        Change::update(self, &["name", "email", "role", "active", "capacity"])
    }

    /// Another choice of when they are there, and the capacity where one is given; of an active
    /// agent alone.
    pub fn choice(
        tenant: TenantId,
        agent: AgentId,
        availability: Availability,
        capacity: Option<u16>,
    ) -> Change {
        let of = vec![is("agent", agent), is("tenant", tenant), is("active", true)];
        let capacity = capacity.map(|capacity| is("capacity", capacity));
        let set = std::iter::once(is("availability", availability)).chain(capacity).collect();
        Change::set::<Self>(of, set)
    }

    /// The hash of another password. A link to set a new one is void from then on.
    pub fn password(tenant: TenantId, agent: AgentId, hash: Arc<str>) -> [Change; 2] {
        let of = || vec![is("agent", agent), is("tenant", tenant)];
        let set = vec![is("password", hash)];
        [Change::clear::<PasswordResetRow>(of()), Change::set::<Self>(of(), set)]
    }
}

impl Entity for SessionRow {
    const TABLE: &'static Table = &Table {
        name: "sessions",
        about: "an agent who is signed in",
        columns: &[
            id("session"),
            id("agent"),
            id("tenant"),
            bucket("bucket"),
            bytes("secret"),
            sealed("client"),
            number("created_at"),
            number("expires_at"),
        ],
        id: "session",
        unique: &[&["session"], &["secret"]],
        taken: "session",
        indexes: &[&["agent"], &["expires_at"]],
        person: Some("agent"),
        forgotten: Forgotten::Deleted,
        seal: account(&["tenant", "session"], Destroyed::Gone),
        ends: Ends::At("expires_at"),
        feed: Some(kind::SESSION),
        ..Table::PLAIN
    };

    fields!(session, agent, tenant, secret, client, created_at, expires_at);
}

impl SessionRow {
    /// It goes; one that is over already stays so.
    pub fn end(&self) -> Change {
        let of = [is("session", self.session), is("agent", self.agent), is("tenant", self.tenant)];
        Change::clear::<Self>(of.into())
    }
}

impl Entity for InvitationRow {
    const TABLE: &'static Table = &Table {
        name: "invitations",
        about: "an open invitation for an agent",
        columns: &[
            id("invitation"),
            id("tenant"),
            bucket("bucket"),
            sealed("email"),
            number("role"),
            bytes("secret"),
            number("created_at"),
            number("expires_at"),
        ],
        id: "invitation",
        unique: &[&["invitation"], &["secret"]],
        taken: "invitation",
        indexes: &[&["tenant"], &["expires_at"]],
        person: Some("invitation"),
        forgotten: Forgotten::Deleted,
        seal: account(&["tenant", "invitation"], Destroyed::Gone),
        ends: Ends::At("expires_at"),
        ..Table::PLAIN
    };

    fields!(invitation, tenant, email, role, secret, created_at, expires_at);
}

impl Entity for PasswordResetRow {
    const TABLE: &'static Table = &Table {
        name: "password_resets",
        about: "a one-time link by which an agent sets a new password",
        columns: &[
            id("agent"),
            id("tenant"),
            bytes("secret"),
            number("created_at"),
            number("expires_at"),
        ],
        id: "agent",
        unique: &[&["agent"], &["secret"]],
        taken: "link",
        person: Some("agent"),
        forgotten: Forgotten::Deleted,
        ends: Ends::At("expires_at"),
        ..Table::PLAIN
    };

    fields!(agent, tenant, secret, created_at, expires_at);
}

impl PasswordResetRow {
    /// In place of the agent's former link.
    pub fn issue(self) -> Change {
        Change::replace(self, "agent")
    }

    /// It goes; refused where it was used or replaced meanwhile.
    pub fn end(self) -> Change {
        let of = [is("agent", self.agent), is("tenant", self.tenant), is("secret", self.secret)];
        Change::delete::<Self>(of.into())
    }
}

impl Entity for KeyRow {
    const TABLE: &'static Table = &Table {
        name: "api_keys",
        about: "an API key of an Organization, or of the operator (no Organization)",
        columns: &[
            id("api_key"),
            bytes("tenant"),
            former("name", "label"),
            text("scopes"),
            bytes("secret"),
            number("created_at"),
            sealed("label").optional(),
            bucket("bucket").optional(),
        ],
        id: "api_key",
        unique: &[&["api_key"], &["secret"]],
        taken: "key",
        indexes: &[&["tenant"]],
        person: Some("api_key"),
        forgotten: Forgotten::Blanked { flag: None },
        seal: account(&["tenant", "api_key"], Destroyed::Nameless),
        feed: Some(kind::KEY),
        ..Table::PLAIN
    };

    fn into_values(self) -> Vec<Value> {
        vec![
            self.key.into_value(),
            self.tenant.into_value(),
            self.scopes.into_value(),
            self.secret.into_value(),
            self.created_at.into_value(),
            self.name.into_value(),
        ]
    }

    fn from_row(mut row: Row) -> Option<Self> {
        let (key, tenant, scopes) = (row.take()?, row.take()?, row.take()?);
        let (secret, created_at) = (row.take()?, row.take()?);
        // It may be a person's, and so it was sealed.
        let name = row.take::<protocol::personal::Personal<String>>()?.into_exposed();
        Some(Self { key, tenant, name, scopes, secret, created_at })
    }
}

impl Entity for TagRow {
    const TABLE: &'static Table = &Table {
        name: "tags",
        about: "a label for conversations",
        columns: &[id("tag"), id("tenant"), text("name")],
        id: "tag",
        unique: &[&["tag"], &["tenant", "name"]],
        taken: "name",
        indexes: &[&["tenant"]],
        feed: Some(kind::TAG),
        ..Table::PLAIN
    };

    fields!(tag, tenant, name);
}

impl Entity for AnswerRow {
    const TABLE: &'static Table = &Table {
        name: "idempotent_answers",
        about: "the answer to a create that may be sent again",
        columns: &[
            id("tenant"),
            hashed("key_hash", "idempotent_answers.key"),
            bucket("bucket"),
            // Hash of the request, then the answer: the hash of a short text would tell the text.
            sealed("answer"),
            number("at"),
        ],
        id: "key_hash",
        unique: &[&["tenant", "key_hash"]],
        taken: ANSWERED,
        indexes: &[&["at"]],
        person: Some("tenant"),
        forgotten: Forgotten::Deleted,
        seal: Some(Seal {
            kind: SealKind::Account,
            class: RetentionClass::Operational,
            or_class: None,
            since: "at",
            bound: &["tenant", "tenant", "key_hash"],
            destroyed: Destroyed::Gone,
        }),
        ends: Ends::After("at", ANSWER_MS),
        ..Table::PLAIN
    };

    fn into_values(self) -> Vec<Value> {
        let Self { tenant, key, request, answer, at } = self;
        let kept = [&request[..], &answer].concat();
        vec![tenant.into_value(), key.into_value(), kept.into_value(), at.into_value()]
    }

    fn from_row(mut row: Row) -> Option<Self> {
        // The key itself is kept nowhere.
        let (tenant, _hash): (_, Value) = (row.take()?, row.take()?);
        let (kept, at): (Vec<u8>, _) = (row.take()?, row.take()?);
        let (request, answer) = kept.split_first_chunk()?;
        Some(Self { tenant, key: String::new(), request: *request, answer: answer.to_vec(), at })
    }
}

impl Entity for ClockNote {
    const TABLE: &'static Table = &Table {
        name: "clock_acts",
        about: "what an operator said about the clock",
        columns: &[number("at"), id("api_key"), number("act"), number("mark_before")],
        id: "id",
        tenant: None,
        ..Table::PLAIN
    };

    fields!(at, key, act, mark_before);
}

//! Canned responses, declared.

use protocol::ids::{AgentId, CannedResponseId, TenantId};
use protocol::personal::Personal;
use protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::accounts::account;
use super::{
    Destroyed, Entity, Field, Forgotten, Row, Table, Value, bucket, hashed, id, number, sealed,
};

/// A prepared answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CannedResponseRow {
    pub canned_response: CannedResponseId,
    pub tenant: TenantId,
    /// Whose it is: an agent's id, or the Organization's own where all agents share it.
    person: AgentId,
    pub words: Personal<CannedWords>,
    /// How often it was used.
    pub used: u64,
    pub created_at: UnixMillis,
}

/// What is sealed of it; a field more needs no migration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CannedWords {
    pub shortcut: String,
    pub title: String,
    pub text: String,
}

impl CannedResponseRow {
    /// One that was never used; without an owner all agents share it.
    pub fn new(
        canned_response: CannedResponseId,
        tenant: TenantId,
        owner: Option<AgentId>,
        words: CannedWords,
        created_at: UnixMillis,
    ) -> Self {
        let person = owner.unwrap_or_else(|| AgentId::from_bytes(*tenant.as_bytes()));
        let words = Personal::new(words);
        Self { canned_response, tenant, person, words, used: 0, created_at }
    }

    /// Whether it is one agent's.
    pub fn is_personal(&self) -> bool {
        self.person.as_bytes() != self.tenant.as_bytes()
    }

    /// Whether this agent may see it.
    pub fn may_be_seen_by(&self, agent: AgentId) -> bool {
        !self.is_personal() || self.person == agent
    }

    /// The same with other words.
    #[must_use]
    pub fn with_words(self, words: CannedWords) -> Self {
        Self { words: Personal::new(words), ..self }
    }
}

impl Entity for CannedResponseRow {
    const TABLE: &'static Table = &Table {
        name: "canned_responses",
        about: "a prepared answer: an agent's own, or the Organization's",
        columns: &[
            id("canned_response"),
            id("tenant"),
            // An agent, or the Organization itself.
            id("person"),
            bucket("bucket"),
            // Shortcut, title and text.
            sealed("words"),
            // Of the shortcut and whose it is.
            hashed("shortcut_hash", "canned_responses.shortcut"),
            number("used"),
            number("created_at"),
        ],
        id: "canned_response",
        unique: &[&["canned_response"], &["tenant", "shortcut_hash"]],
        taken: "shortcut",
        indexes: &[&["tenant"]],
        person: Some("person"),
        forgotten: Forgotten::Deleted,
        seal: account(&["tenant", "canned_response"], Destroyed::Gone),
        feed: Some(crate::store::feed::kind::CANNED_RESPONSE),
        ..Table::PLAIN
    };

    fn into_values(self) -> Vec<Value> {
        let Self { canned_response, tenant, person, words, used, created_at } = self;
        let shortcut = protocol::visible::key(&words.expose().shortcut);
        vec![
            canned_response.into_value(),
            tenant.into_value(),
            person.into_value(),
            words.into_value(),
            format!("{person} {shortcut}").into_value(),
            used.into_value(),
            created_at.into_value(),
        ]
    }

    fn from_row(mut row: Row) -> Option<Self> {
        let (canned_response, tenant, person) = (row.take()?, row.take()?, row.take()?);
        let (words, _hash): (_, Value) = (row.take()?, row.take()?);
        let (used, created_at) = (row.take()?, row.take()?);
        Some(Self { canned_response, tenant, person, words, used, created_at })
    }
}

//! What people asked for, declared: one row for each request, from its coming to its end.

use protocol::ids::{AgentId, PrivacyRequestId, TenantId, VisitorId};
use protocol::personal::Personal;
use protocol::time::{Day, UnixMillis};
use serde::{Deserialize, Serialize};

use super::accounts::account;
use super::{
    Destroyed, Ends, Entity, Field, Forgotten, Row, Table, Value, bucket, bytes, fields, id,
    number, sealed, text,
};
use crate::privacy::request::{Refusal, RequestKind, RequestState};
use crate::privacy::seal::Subject;

/// Milliseconds that a request stays after its end, for whoever has to show how it was answered:
/// three years.
const KEPT_MS: u64 = 3 * 365 * 86_400_000;

/// A request that is open has no end yet.
const NO_END: UnixMillis = UnixMillis(i64::MAX.cast_unsigned());

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    pub privacy_request: PrivacyRequestId,
    pub tenant: TenantId,
    pub kind: RequestKind,
    pub state: RequestState,
    /// Whom it is about, as far as somebody is known here.
    pub subjects: Subjects,
    /// When it came.
    pub created_at: UnixMillis,
    /// The last day on which an answer is in time.
    pub due: Day,
    /// When it was done or refused; until then the far future.
    ended_at: UnixMillis,
    ends_at: UnixMillis,
    pub words: Personal<RequestWords>,
    /// What was found and destroyed, as JSON; empty before that.
    pub outcome: String,
    /// The certificate, as JSON; empty before there is one.
    pub certificate: String,
}

/// What is sealed of it; a field more needs no migration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestWords {
    /// By what the person was named: an address, or an id.
    pub identifier: String,
    /// What they said.
    pub note: String,
    /// How it was proved that it is theirs.
    pub proof: String,
    /// Why it was refused.
    pub refusal: Option<Refusal>,
    /// What they were told.
    pub answer: String,
}

/// Persons, each by their own id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subjects(pub Vec<Subject>);

impl RequestRow {
    /// One that came.
    pub fn new(
        (privacy_request, tenant): (PrivacyRequestId, TenantId),
        kind: RequestKind,
        subjects: Vec<Subject>,
        (created_at, due): (UnixMillis, Day),
        words: RequestWords,
    ) -> Self {
        Self {
            privacy_request,
            tenant,
            kind,
            state: RequestState::Received,
            subjects: Subjects(subjects),
            created_at,
            due,
            ended_at: NO_END,
            ends_at: NO_END,
            words: Personal::new(words),
            outcome: String::new(),
            certificate: String::new(),
        }
    }

    /// Whose key its words are sealed with: they are the request's own.
    pub fn words_of(&self) -> Subject {
        Subject::Agent(AgentId::from_bytes(*self.privacy_request.as_bytes()))
    }

    /// When it was done or refused.
    pub fn ended_at(&self) -> Option<UnixMillis> {
        (self.ended_at != NO_END).then_some(self.ended_at)
    }

    /// The same in this state from now on.
    #[must_use]
    pub fn become_at(self, state: RequestState, now: UnixMillis) -> Self {
        if state.is_open() {
            return Self { state, ..self };
        }
        Self { state, ended_at: now, ends_at: now.plus_ms(KEPT_MS), ..self }
    }
}

impl Field for Subjects {
    fn into_value(self) -> Value {
        let coded = |subject: Subject| match subject {
            Subject::Visitor(visitor) => [&[0][..], visitor.as_bytes()].concat(),
            Subject::Agent(agent) => [&[1][..], agent.as_bytes()].concat(),
        };
        Value::Bytes(self.0.into_iter().flat_map(coded).collect())
    }

    fn from_value(value: Value) -> Option<Self> {
        let (subjects, rest) = value.as_bytes()?.as_chunks::<17>();
        let read = |coded: &[u8; 17]| {
            let (kind, id) = coded.split_first()?;
            let id = id.try_into().ok()?;
            match kind {
                0 => Some(Subject::Visitor(VisitorId::from_bytes(id))),
                1 => Some(Subject::Agent(AgentId::from_bytes(id))),
                _ => None,
            }
        };
        let subjects = subjects.iter().map(read).collect::<Option<_>>()?;
        rest.is_empty().then_some(Self(subjects))
    }
}

impl Entity for RequestRow {
    const TABLE: &'static Table = &Table {
        name: "privacy_requests",
        about: "what somebody asked for about their data",
        columns: &[
            id("privacy_request"),
            id("tenant"),
            bucket("bucket"),
            number("kind"),
            number("state"),
            // A byte for visitor or agent, and their id, for each.
            bytes("subjects"),
            number("created_at"),
            number("due"),
            number("ended_at"),
            number("ends_at"),
            // By what they were named, what they said, how it was proved, what they were told. An
            // erasure takes them too.
            sealed("words"),
            // Counts alone.
            text("outcome"),
            // Ids, counts and days alone.
            text("certificate"),
        ],
        id: "privacy_request",
        unique: &[&["privacy_request"]],
        taken: "privacy request",
        indexes: &[&["tenant"], &["ends_at"]],
        person: Some("privacy_request"),
        forgotten: Forgotten::Blanked { flag: None },
        seal: account(&["tenant", "privacy_request"], Destroyed::Nameless),
        ends: Ends::At("ends_at"),
        ..Table::PLAIN
    };

    fields!(
        privacy_request,
        tenant,
        kind,
        state,
        subjects,
        created_at,
        due,
        ended_at,
        ends_at,
        words,
        outcome,
        certificate
    );
}

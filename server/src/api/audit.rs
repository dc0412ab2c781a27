//! The audit over REST: an Organization's own chain for its admins, the operator's for the
//! operator.

use protocol::conversation::Role;
use protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::ApiState;
use super::access::{Access, OperatorAccess};
use super::date::Moment;
use super::json::{Answer, Json};
use super::page::{Items, shown};
use super::problem::{Problem, ProblemCode};
use super::request::Asked;
use crate::auth::Scope;
use crate::privacy::audit::{Action, ActorKind, ChainId, Detail, Entry, ObjectKind, Purpose};

/// Entries that one question looks through; what it has not come to is on the next page.
const LOOKED_AT_MAX: usize = 5_000;

/// Entries that are read at once.
const READ_AT_ONCE: u16 = 500;

/// An entry of the audit.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct AuditEntry {
    /// From 1, without a gap.
    seq: u64,
    #[schema(value_type = u64)]
    at: UnixMillis,
    actor: AuditRef,
    /// Why it was done, where that is asked for: `abuse`, `problem`, `support`,
    /// `suspected_violation` or `law`.
    purpose: Option<String>,
    /// What was done, such as `site.plan_changed`.
    action: String,
    /// What it was done to.
    objects: Vec<AuditRef>,
    details: Vec<AuditDetail>,
    /// The version of the policy that was in force.
    policy: u16,
    /// The hash of the entry before, in hex.
    prev: String,
    /// This entry's own.
    hash: String,
}

/// Who or what, by an id.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct AuditRef {
    /// Such as `agent`, `api_key` or `site`.
    kind: String,
    /// 32 hex digits: those of the id elsewhere.
    id: String,
}

/// A number that belongs to an act.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct AuditDetail {
    /// What it is, such as `old_plan`.
    word: String,
    number: i64,
}

/// Which entries.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// Items, 1 to 100; 50 where it is not given.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// At this moment or later: RFC 3339, or Unix milliseconds.
    #[param(value_type = Option<String>)]
    from: Option<Moment>,
    /// Before this moment.
    #[param(value_type = Option<String>)]
    to: Option<Moment>,
    /// Such as `site.plan_changed`.
    action: Option<String>,
    /// An actor's id, or its 32 hex digits.
    actor: Option<String>,
    /// The id of what it was done to, or its 32 hex digits.
    object: Option<String>,
}

/// What entries must have.
struct Filter {
    from: Option<UnixMillis>,
    to: Option<UnixMillis>,
    action: Option<u16>,
    actor: Option<[u8; 16]>,
    object: Option<[u8; 16]>,
}

impl Filter {
    fn of(query: &AuditQuery) -> Result<Self, Problem> {
        let action = query.action.as_deref().map(|word| {
            let known = Action::ALL.iter().find(|action| action.word() == word);
            known
                .map(|action| action.code())
                .ok_or_else(|| wrong("action", "There is no such action."))
        });
        Ok(Self {
            from: query.from.map(|at| at.0),
            to: query.to.map(|at| at.0),
            action: action.transpose()?,
            actor: id("actor", query.actor.as_deref())?,
            object: id("object", query.object.as_deref())?,
        })
    }

    fn is_none(&self) -> bool {
        let Self { from, to, action, actor, object } = self;
        from.is_none() && to.is_none() && action.is_none() && actor.is_none() && object.is_none()
    }

    fn passes(&self, entry: &Entry) -> bool {
        self.from.is_none_or(|from| entry.at >= from)
            && self.to.is_none_or(|to| entry.at < to)
            && self.action.is_none_or(|action| entry.action == action)
            && self.actor.is_none_or(|actor| entry.actor == actor)
            && self.object.is_none_or(|id| entry.objects.iter().any(|(_, object)| *object == id))
    }
}

fn wrong(field: &'static str, words: &'static str) -> Problem {
    Problem::new(ProblemCode::MalformedQuery, words).naming(field)
}

/// The bytes of an id, with the letters before it or without.
fn id(field: &'static str, given: Option<&str>) -> Result<Option<[u8; 16]>, Problem> {
    let Some(given) = given else { return Ok(None) };
    let digits = given.rsplit('_').next().unwrap_or(given);
    let bytes = u128::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 32);
    let bytes = bytes.ok_or_else(|| wrong(field, "An id, or its 32 hex digits."))?;
    Ok(Some(bytes.to_be_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        let object = |(kind, id): (u16, [u8; 16])| AuditRef {
            kind: ObjectKind::word_of(kind),
            id: hex(&id),
        };
        let detail =
            |(word, number): (u16, i64)| AuditDetail { word: Detail::word_of(word), number };
        Self {
            seq: entry.seq,
            at: entry.at,
            actor: AuditRef { kind: ActorKind::word_of(entry.actor_kind), id: hex(&entry.actor) },
            purpose: (entry.purpose != 0).then(|| Purpose::word_of(entry.purpose)),
            action: Action::word_of(entry.action),
            objects: entry.objects.into_iter().map(object).collect(),
            details: entry.details.into_iter().map(detail).collect(),
            policy: entry.policy,
            prev: hex(&entry.prev),
            hash: hex(&entry.hash),
        }
    }
}

/// GET /v1/audit
///
/// Newest first. A page may be short, or empty, though there is more: a filter looks through so
/// many entries at a time.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", operation_id = "list_audit",
    params(AuditQuery), responses((status = 200, body = Items<AuditEntry>), (status = 403)))]
pub(crate) async fn list(
    access: Access,
    Asked(query): Asked<AuditQuery>,
) -> Answer<Items<AuditEntry>> {
    access.need(Role::Admin, Scope::AuditRead)?;
    Ok(Json(page(&access.state, ChainId::of(access.tenant), &query).await?))
}

/// GET /v1/audit
///
/// The operator's own chain, newest first. What they did with an Organization's things stands in
/// that one's.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", operation_id = "list_operator_audit",
    params(AuditQuery), responses((status = 200, body = Items<AuditEntry>), (status = 403)))]
pub(crate) async fn list_operator(
    access: OperatorAccess,
    Asked(query): Asked<AuditQuery>,
) -> Answer<Items<AuditEntry>> {
    access.need_or_manage(Scope::AuditRead)?;
    Ok(Json(page(&access.state, ChainId::OPERATOR, &query).await?))
}

async fn page(
    state: &ApiState,
    chain: ChainId,
    query: &AuditQuery,
) -> Result<Items<AuditEntry>, Problem> {
    let filter = Filter::of(query)?;
    let limit = usize::from(shown(query.limit)?);
    let below = query.cursor.as_deref().map(|cursor| {
        // As it was written, and no other spelling of a number.
        let seq = cursor.parse::<u64>().ok().filter(|seq| *seq > 0 && seq.to_string() == cursor);
        seq.ok_or_else(|| wrong("cursor", "`cursor` is the `next_cursor` of the page before."))
    });
    let mut below = below.transpose()?;
    let (mut items, mut looked_at) = (Vec::new(), 0);
    let at_once = if filter.is_none() { shown(query.limit)? + 1 } else { READ_AT_ONCE };
    loop {
        let entries = state.store.audit(chain, below, at_once).await?;
        let is_end = entries.len() < usize::from(at_once);
        for entry in entries {
            if items.len() == limit || looked_at == LOOKED_AT_MAX {
                let next_cursor = below.map(|seq| seq.to_string());
                return Ok(Items { items, next_cursor });
            }
            looked_at += 1;
            below = Some(entry.seq);
            if filter.passes(&entry) {
                items.push(AuditEntry::from(entry));
            }
        }
        if is_end {
            return Ok(Items { items, next_cursor: None });
        }
    }
}

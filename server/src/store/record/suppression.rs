//! Suppressions, declared.

use protocol::ids::{PrivacyRequestId, SuppressionId, TenantId};
use protocol::personal::Personal;
use protocol::time::UnixMillis;

use super::{Entity, Field, Row, Table, Value, hashed, id, number};
use crate::privacy::suppression::{Identifier, IdentifierKind, SuppressionBasis};

/// Days after which an entry is looked at again: whether what it is kept for still holds. It does
/// not end by itself.
const REVIEW_DAYS: u64 = 365;

const DAY_MS: u64 = 86_400_000;

/// An identifier that an Organization may not take in again by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressionRow {
    pub suppression: SuppressionId,
    pub tenant: TenantId,
    pub kind: IdentifierKind,
    /// What the hash is made of; empty once it was stored.
    hashed: Personal<String>,
    pub basis: SuppressionBasis,
    pub created_at: UnixMillis,
    /// When it is to be looked at again.
    pub review_at: UnixMillis,
    /// The request that made it.
    pub request: Option<PrivacyRequestId>,
}

impl SuppressionRow {
    /// A new entry.
    pub fn new(
        suppression: SuppressionId,
        tenant: TenantId,
        identifier: &Identifier,
        basis: SuppressionBasis,
        request: Option<PrivacyRequestId>,
        created_at: UnixMillis,
    ) -> Self {
        let (kind, hashed) = (identifier.kind(), identifier.hashed());
        let review_at = created_at.plus_ms(REVIEW_DAYS * DAY_MS);
        Self { suppression, tenant, kind, hashed, basis, created_at, review_at, request }
    }
}

impl Entity for SuppressionRow {
    // No person's: it outlives their erasure and the clearing of the Organization's data.
    const TABLE: &'static Table = &Table {
        name: "suppressions",
        about: "that an address or another identifier of somebody who was erased is not taken in \
                again (class operational)",
        columns: &[
            id("suppression"),
            id("tenant"),
            number("kind"),
            hashed("identifier_hash", "suppressions.identifier"),
            number("basis"),
            number("created_at"),
            number("review_at"),
            id("request").optional(),
        ],
        id: "suppression",
        unique: &[&["suppression"], &["tenant", "kind", "identifier_hash"]],
        taken: "identifier",
        indexes: &[&["tenant"]],
        ..Table::PLAIN
    };

    fn into_values(self) -> Vec<Value> {
        let Self { suppression, tenant, kind, hashed, basis, created_at, review_at, request } =
            self;
        vec![
            suppression.into_value(),
            tenant.into_value(),
            kind.into_value(),
            hashed.into_value(),
            basis.into_value(),
            created_at.into_value(),
            review_at.into_value(),
            request.into_value(),
        ]
    }

    fn from_row(mut row: Row) -> Option<Self> {
        let (suppression, tenant, kind) = (row.take()?, row.take()?, row.take()?);
        // The identifier itself is kept nowhere.
        let (_hash, basis): (Value, _) = (row.take()?, row.take()?);
        let (created_at, review_at, request) = (row.take()?, row.take()?, row.take()?);
        let hashed = Personal::default();
        Some(Self { suppression, tenant, kind, hashed, basis, created_at, review_at, request })
    }
}

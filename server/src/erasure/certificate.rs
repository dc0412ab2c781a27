//! What an erasure is certified by: counts, hashed ids of keys, the head of the audit, signed.

use protocol::ids::NodeId;
use protocol::time::UnixMillis;

use super::{Counts, EraseError, Erasures, read};
use crate::keys::{content_hash, random_bytes};
use crate::privacy::audit::ChainId;
use crate::privacy::certificate::{
    AuditHead, Bytes, Certificate, DestroyedKeys, FORMAT, StoreCount,
};
use crate::privacy::policy::SOURCE;
use crate::privacy::seal::Subject;
use crate::store::RequestRow;

/// Milliseconds after which no backup of the keys is left by the rule of thirty days.
const BACKUPS_MS: u64 = 30 * 86_400_000;

/// The rules by which it was done.
const RULES: [&str; 3] = ["DSAR-05", "SUPP-01", "SHR-03"];

impl Erasures {
    /// The certificate of a request that is done, as JSON.
    pub(super) async fn certify(
        &self,
        row: &RequestRow,
        done_at: UnixMillis,
    ) -> Result<String, EraseError> {
        let failed = || EraseError::Certificate("the audit has no head");
        let chain = ChainId::of(row.tenant);
        let head = self.store.audit(chain, None, 1).await?.pop().ok_or_else(failed)?;
        let hashed_ids: Vec<_> = row
            .subjects
            .0
            .iter()
            .chain([&row.words_of()])
            .map(|subject| Bytes(hashed_id(row, *subject)))
            .collect();
        let certificate = Certificate {
            format: FORMAT,
            request_id: row.privacy_request,
            received_at: row.created_at,
            done_at,
            rules: RULES.map(str::to_owned).into(),
            tenant_id: row.tenant,
            pseudonym: Bytes(random_bytes()),
            stores: stores(read(&row.outcome).found),
            keys: DestroyedKeys {
                count: u64::try_from(hashed_ids.len()).unwrap_or(u64::MAX),
                hashed_ids,
            },
            exceptions: Vec::new(),
            recipients: Vec::new(),
            nodes: vec![self.node],
            backup_horizon_at: done_at.plus_ms(BACKUPS_MS),
            audit: AuditHead {
                chain: row.tenant.to_string(),
                seq: head.seq,
                hash: Bytes(head.hash),
            },
            software: env!("CARGO_PKG_VERSION").to_owned(),
            policy_hash: Bytes(content_hash(SOURCE.as_bytes())),
        };
        let signed = certificate.sign(&*self.signer).map_err(|error| {
            tracing::error!(%error, "an erasure has no certificate");
            EraseError::Certificate("it says what cannot be")
        })?;
        serde_json::to_string_pretty(&signed)
            .map_err(|_| EraseError::Certificate("it cannot be written"))
    }
}

/// What each store had; nothing is held.
fn stores(found: Counts) -> Vec<StoreCount> {
    [
        ("visitors and agents", found.persons),
        ("conversations", found.conversations),
        ("messages", found.messages),
    ]
    .map(|(store, found)| StoreCount { store: store.to_owned(), found, destroyed: found, held: 0 })
    .into()
}

/// Names a key to whoever knows whose it was, and to nobody else.
fn hashed_id(row: &RequestRow, subject: Subject) -> [u8; 32] {
    let (kind, id) = match &subject {
        Subject::Visitor(visitor) => (b'v', visitor.as_bytes()),
        Subject::Agent(agent) => (b'a', agent.as_bytes()),
    };
    content_hash(&[&b"livehelp-key\0"[..], row.tenant.as_bytes(), &[kind], id].concat())
}

/// A name for this process.
pub(super) fn new_node(now: UnixMillis) -> NodeId {
    NodeId::from_uuid(crate::keys::uuid_v7(now))
}

//! What a key in an `Authorization` header proves, and what it opens.

use super::Principal;
use super::token::{Issued, issue, same, token_hash};
use crate::store::{Records, SecretHash, StoreError};

/// What the text of an Organization's key begins with.
const TENANT_KEY: &str = "lhk_";

/// What the text of an operator's key begins with.
const OPERATOR_KEY: &str = "lho_";

macro_rules! scopes {
    ($( $(#[doc = $doc:literal])* $name:ident $word:literal ),+ $(,)?) => {
        /// One right of a key.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Scope { $( $(#[doc = $doc])* $name ),+ }

        impl Scope {
            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$name ),+];

            /// Its name in a key's list.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$name => $word ),+ }
            }
        }
    };
}

scopes! {
    /// Read conversations, messages and transcripts.
    ConversationsRead "conversations:read",
    /// Say, close, reopen, assign, transfer, label.
    ConversationsWrite "conversations:write",
    /// Read visitors.
    VisitorsRead "visitors:read",
    /// Read sites.
    SitesRead "sites:read",
    /// Create and change sites.
    SitesWrite "sites:write",
    /// Read agents and open invitations.
    AgentsRead "agents:read",
    /// Change agents and invite them, also as supervisors. Admins are made and changed by people
    /// alone: an admin makes keys of every scope.
    AgentsWrite "agents:write",
    /// Read labels.
    TagsRead "tags:read",
    /// Create and delete labels.
    TagsWrite "tags:write",
    /// Read, decide and carry out what people ask for about their data, erasures among it.
    PrivacyManage "privacy:manage",
    /// Read how many suppressions there are, and of which kind.
    SuppressionsRead "suppressions:read",
    /// Suppress an identifier, and lift that for whoever shows it.
    SuppressionsWrite "suppressions:write",
    /// Read the audit: an Organization's own, or the operator's.
    AuditRead "audit:read",
    /// The operator reads Organizations.
    TenantsRead "tenants:read",
    /// The operator creates Organizations and invites their first admins.
    TenantsWrite "tenants:write",
    /// The operator sees and confirms the server's clock, by which retention destroys.
    ClockConfirm "clock:confirm",
    /// The operator lists, makes and deletes operator keys; none with a scope that the asking key
    /// lacks.
    OperatorKeysManage "operator-keys:manage",
    /// The operator has the server back itself up, and sees how that went.
    BackupsCreate "backups:create",
}

impl Scope {
    /// Rights that an Organization's key can have.
    pub const TENANT: &'static [Self] = &[
        Self::ConversationsRead,
        Self::ConversationsWrite,
        Self::VisitorsRead,
        Self::SitesRead,
        Self::SitesWrite,
        Self::AgentsRead,
        Self::AgentsWrite,
        Self::TagsRead,
        Self::TagsWrite,
        Self::PrivacyManage,
        Self::SuppressionsRead,
        Self::SuppressionsWrite,
        Self::AuditRead,
    ];

    /// Rights that an operator's key can have.
    pub const OPERATOR: &'static [Self] = &[
        Self::TenantsRead,
        Self::TenantsWrite,
        Self::SitesRead,
        Self::SitesWrite,
        Self::ClockConfirm,
        Self::OperatorKeysManage,
        Self::BackupsCreate,
        Self::AuditRead,
    ];

    /// Whether a key's list names it.
    pub fn is_in(self, scopes: &[String]) -> bool {
        scopes.iter().any(|scope| scope == self.word())
    }
}

/// Makes the text of a key for an Organization.
pub fn new_tenant_key() -> Issued {
    issue(TENANT_KEY)
}

/// Makes the text of a key for the operator.
pub fn new_operator_key() -> Issued {
    issue(OPERATOR_KEY)
}

/// What the store keeps in the place of an operator's key; `None` for any other text.
pub fn operator_key_hash(text: &str) -> Option<SecretHash> {
    let random = text.strip_prefix(OPERATOR_KEY)?;
    let is_key = random.len() == 64 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_key.then(|| token_hash(text))
}

/// Whom a key's text speaks for. An operator's key is never an Organization's, nor the other way.
///
/// # Errors
/// If the store cannot say.
pub async fn authenticate_key(
    store: &dyn Records,
    text: &str,
) -> Result<Option<Principal>, StoreError> {
    let operator = text.starts_with(OPERATOR_KEY);
    if !operator && !text.starts_with(TENANT_KEY) {
        return Ok(None);
    }
    let hash = token_hash(text);
    let Some(row) = store.key_by_secret(hash).await? else { return Ok(None) };
    if !same(row.secret, hash) {
        return Ok(None);
    }
    Ok(match (row.tenant, operator) {
        (Some(tenant), false) => Some(Principal::Key { tenant, key: row.key, scopes: row.scopes }),
        (None, true) => Some(Principal::Operator { key: row.key, scopes: row.scopes }),
        _ => None,
    })
}

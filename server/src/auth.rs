//! Who acts, and how that is proved: principals, tokens, passwords.

use protocol::conversation::Role;
use protocol::ids::{AgentId, KeyId, SessionId, SiteId, TenantId, VisitorId};

/// Whoever a request or a frame speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A website visitor of one site.
    Visitor { tenant: TenantId, site: SiteId, visitor: VisitorId },
    /// A signed-in agent.
    Agent { tenant: TenantId, agent: AgentId, role: Role, session: SessionId },
    /// A program of an Organization.
    Key { tenant: TenantId, key: KeyId, scopes: Vec<String> },
    /// Whoever runs the server. Never sees what was said.
    Operator { key: KeyId, scopes: Vec<String> },
}

//! Who acts, and how that is proved: principals, tokens, passwords.
//!
//! Lives here: the principal, what a session cookie, a key or a visitor's token proves, password
//! rules and hashing, rate limits and the brake on guessing. Not here: HTTP (`api`), sockets
//! (`gateway`), what a role may do to a conversation (`hub`). Called by both edges and by the
//! subcommands that set up accounts.

use protocol::conversation::Role;
use protocol::ids::{AgentId, KeyId, SessionId, SiteId, TenantId, VisitorId};

mod email;
mod key;
mod password;
mod session;
mod brake;
mod limit;
mod rates;
mod throttle;
mod token;
mod visitor;

pub use brake::{BrakeConfig, DEVICE_COOKIE, Devices, Trier};
pub use email::{EMAIL_BYTES_MAX, EmailError, email_spellings, normal_email};
pub use key::{Scope, authenticate_key, new_operator_key, new_tenant_key, operator_key_hash};
pub use limit::{Allowance, Left, Limit, Pace, Wait};
pub use password::{
    PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, PasswordError, Passwords, hash_password, password_rule,
};
pub use rates::{Rates, RatesConfig};
pub use session::{
    SECURE_SESSION_COOKIE, SESSION_COOKIE, SignedIn, authenticate_session, cookies_where,
    session_tokens,
};
pub use throttle::AddressLimit;
pub use token::{Issued, issue, token_hash};
pub use visitor::{Admitted, admit_visitor, new_visitor_token};

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

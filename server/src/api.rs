//! The REST edge: what programs and the console's pages ask for over HTTP.
//!
//! Lives here: one file per resource (parse, authorize, call, shape), problems, pages, the routers and
//! the OpenAPI documents that are made from the handlers' types.
//! Not here: sockets (`gateway`), the listener and static files (`http`), rooms (`hub`), rows (`store`).
//! Called by `lib::run`, which mounts the routers on the public and on the admin listener.

use async_trait::async_trait;
use protocol::conversation::SiteAvailability;
use protocol::ids::{AgentId, ConversationId, SessionId, SiteId, TagId, TenantId};
use protocol::message::Seq;
use protocol::reject::Reject;
use protocol::time::UnixMillis;

use crate::auth::Principal;
use crate::privacy::ingest::Said;
use crate::store::{AgentRow, SiteRow};

/// What lives while the server runs: rooms, queues, connections. The hub implements it.
///
/// Each act checks whether the principal may do it; a conversation of another tenant is not found.
#[async_trait]
pub trait Live: Send + Sync + std::fmt::Debug {
    /// Says it; returns once it is stored, with its place and the moment it was taken.
    async fn say(&self, principal: &Principal, said: Said<'_>)
    -> Result<(Seq, UnixMillis), Reject>;
    /// Ends a conversation.
    async fn close(
        &self,
        principal: &Principal,
        conversation: ConversationId,
    ) -> Result<(), Reject>;
    /// Opens a closed conversation again.
    async fn reopen(
        &self,
        principal: &Principal,
        conversation: ConversationId,
    ) -> Result<(), Reject>;
    /// Gives it to an agent, or to the agent who asks where none is named.
    async fn assign(
        &self,
        principal: &Principal,
        conversation: ConversationId,
        agent: Option<AgentId>,
    ) -> Result<(), Reject>;
    /// Offers it to another agent; the giver keeps it until the receiver accepts.
    async fn transfer(
        &self,
        principal: &Principal,
        conversation: ConversationId,
        agent: AgentId,
    ) -> Result<(), Reject>;
    /// Replaces its labels.
    async fn set_tags(
        &self,
        principal: &Principal,
        conversation: ConversationId,
        tags: Vec<TagId>,
    ) -> Result<(), Reject>;
    /// What the site may promise its visitors now.
    fn site_availability(&self, tenant: TenantId, site: SiteId) -> SiteAvailability;
    /// A site's settings or timeline were stored anew.
    fn site_changed(&self, site: &SiteRow);
    /// An agent was stored anew, or is new.
    fn agent_changed(&self, agent: &AgentRow);
    /// A session is over: its connections are, too.
    fn session_ended(&self, session: SessionId);
}

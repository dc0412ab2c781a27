//! Ties REST to the hub: the assembly's row, which sees both.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::conversation::SiteAvailability;
use protocol::ids::{ConversationId, SiteId, TagId, TenantId};
use protocol::message::Seq;
use protocol::reject::{Reject, RejectCode};
use protocol::time::UnixMillis;

use crate::api::{Act as Wanted, Live};
use crate::auth::Principal;
use crate::hub::{Act, Actor, Creation, Follow, Hub, RefusedOrigin};
use crate::privacy::ingest::NewMessage;
use crate::store::{Beside, SiteRow};

/// The hub as REST sees it.
#[derive(Debug)]
pub(crate) struct LiveHub(pub(crate) Arc<Hub>);

/// Whom the hub takes a principal for: a program moves what a supervisor may move.
fn who(principal: &Principal) -> Result<(TenantId, Actor), Reject> {
    match principal {
        Principal::Visitor { tenant, site, visitor } => {
            Ok((*tenant, Actor::Visitor { site: *site, visitor: *visitor }))
        }
        Principal::Agent { tenant, agent, session, .. } => {
            Ok((*tenant, Actor::Agent { agent: *agent, session: *session }))
        }
        Principal::Key { tenant, .. } => Ok((*tenant, Actor::Program)),
        Principal::Operator { .. } => {
            Err(Reject::new(RejectCode::NotFound, "there is no such conversation"))
        }
    }
}

#[async_trait]
impl Live for LiveHub {
    async fn say(
        &self,
        principal: &Principal,
        new_message: NewMessage<'_>,
        beside: Option<Beside>,
    ) -> Result<(Seq, UnixMillis), Reject> {
        let (tenant, who) = who(principal)?;
        self.0.messages().say_and_wait(tenant, who, new_message, beside).await
    }

    async fn act(
        &self,
        principal: &Principal,
        conversation: ConversationId,
        act: Wanted,
    ) -> Result<(), Reject> {
        let (tenant, who) = who(principal)?;
        let conversations = self.0.conversations();
        let act = match act {
            Wanted::Close => return conversations.close(tenant, who, conversation).await,
            Wanted::Reopen => return conversations.reopen(tenant, who, conversation).await,
            Wanted::SetTags(tags) => {
                return conversations.set_tags(tenant, conversation, tags).await;
            }
            Wanted::Assign(agent) => {
                let to = agent.or(who.agent()).ok_or_else(|| {
                    Reject::new(RejectCode::Invalid, "agent_id: name the agent who is to have it")
                })?;
                Act::Assign { conversation, to }
            }
            Wanted::Transfer(to) => Act::Transfer { conversation, to },
            Wanted::Withdraw => Act::Withdraw(conversation),
            Wanted::TakeOver { from, to: Some(to) } => Act::GiveOver { conversation, from, to },
            Wanted::TakeOver { from, to: None } => Act::TakeOver { conversation, from },
        };
        self.0.acts().run(tenant, who, act).await
    }

    async fn create(&self, principal: &Principal, creation: Creation<'_>) -> Result<Seq, Reject> {
        let (tenant, who) = who(principal)?;
        self.0.conversations().create(tenant, who, creation).await
    }

    async fn label_changed(&self, tenant: TenantId, tag: TagId, gone: bool) -> Result<(), Reject> {
        self.0.conversations().label_changed(tenant, tag, gone).await
    }

    fn site_availability(&self, tenant: TenantId, site: SiteId) -> SiteAvailability {
        self.0.desks().site_availability(tenant, site)
    }

    fn origin_refused(&self, site: &SiteRow, origin: &str) {
        self.0.sites().refuse_origin((site.tenant, site.site), origin);
    }

    fn refused_origins(&self, site: &SiteRow) -> Vec<RefusedOrigin> {
        self.0.sites().refused_origins(site)
    }

    fn following(&self) -> &dyn Follow {
        self.0.following()
    }
}

#[cfg(test)]
mod tests;

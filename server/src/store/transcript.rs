//! The part of the port for what is said: messages, numbers and receipts, headers, visitors and
//! drafts.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::ids::{AgentId, ConversationId, MessageId, SiteId, TenantId, VisitorId};
use protocol::message::Seq;
use protocol::time::UnixMillis;

use super::record::conversations::Sketch;
use super::record::{Order, Select, is};
use super::{
    ConversationFilter, ConversationRow, ConversationSearch, DraftRow, Found, MessagePage,
    NewestRow, Page, Records, Result, RoomRow, SecretHash, Sight, VisitorRow, VisitorToken,
    entities, one,
};
use crate::privacy::envelope::{Sequenced, Tag};

/// Drafts of one agent that are read at once: the newest.
pub(super) const DRAFTS_MAX: u16 = 100;

/// What is said, and what it hangs on: messages, sequence numbers and receipts, headers, visitors
/// and drafts.
#[async_trait]
pub trait Transcript: Records + std::fmt::Debug {
    /// What a room begins with; `None` where the tenant has no such conversation.
    async fn room(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        tail: u16,
    ) -> Result<Option<RoomRow>>;
    /// What a list shows of these conversations, in one read; those that the tenant has not are
    /// left out.
    async fn newest(
        &self,
        tenant: TenantId,
        conversations: &[ConversationId],
    ) -> Result<Vec<NewestRow>>;
    /// Whether any tenant has this conversation: then another's id is taken.
    async fn conversation_exists(&self, conversation: ConversationId) -> Result<bool> {
        let of = vec![is("conversation", conversation)];
        Ok(one::<Sketch>("look for a conversation", self, of).await?.is_some())
    }
    /// A page of what a reader may see, with sequence numbers in `(after, before)`: the newest
    /// `limit` of it.
    async fn page(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        sight: Sight,
        (after, before): (Seq, Option<Seq>),
        limit: u16,
    ) -> Result<MessagePage>;
    /// Messages with sequence numbers in `(after, before)`, the newest `limit` of them, in order of
    /// their sequence numbers: whatever is kept, for the server itself.
    async fn messages(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        after: Seq,
        before: Option<Seq>,
        limit: u16,
    ) -> Result<Vec<Arc<Sequenced>>>;
    /// Whether a key of a message is destroyed, so that nothing of it can be found any more.
    async fn is_destroyed(&self, tag: &Tag, conversation: ConversationId) -> Result<bool>;
    /// One message by its id, looked for above `after`.
    async fn message(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        message: MessageId,
        after: Seq,
    ) -> Result<Option<Arc<Sequenced>>>;
    /// A conversation's header.
    async fn conversation(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<ConversationRow>> {
        let of = vec![is("conversation", conversation), is("tenant", tenant)];
        one("read a conversation", self, of).await
    }
    /// Headers, newest first.
    async fn conversations(
        &self,
        tenant: TenantId,
        filter: &ConversationFilter,
        page: Page<ConversationId>,
    ) -> Result<Vec<ConversationRow>> {
        let act = "list conversations";
        let below = match page.after {
            None => (i64::MAX, [u8::MAX; 16]),
            Some(after) => {
                let of = vec![is("conversation", after), is("tenant", tenant)];
                // Another Organization's has no place in this list.
                let Some(last) = one::<Sketch>(act, self, of).await? else {
                    return Ok(Vec::new());
                };
                (i64::try_from(last.created_at.0).unwrap_or(i64::MAX), *after.as_bytes())
            }
        };
        let list = Select::newest(tenant, filter, (below, -1), page.limit);
        entities(act, self.select(act, list).await?)
    }
    /// Headers by any condition, the newest or the longest unchanged first; at most so many.
    async fn search(
        &self,
        tenant: TenantId,
        search: &ConversationSearch,
        limit: u16,
    ) -> Result<Found>;
    /// When a conversation changed last, by its header or by what was said in it. What was said
    /// shows here once it is in its list, about a second later at most.
    async fn changed_at(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<UnixMillis>>;
    /// All that is not closed, of every tenant, oldest first: what routing begins with at start.
    async fn conversations_live(&self) -> Result<Vec<ConversationRow>> {
        let act = "list live conversations";
        entities(act, self.select(act, Select::live()).await?)
    }
    /// Drafts of an agent, the newest so many, the oldest of them first.
    async fn drafts(&self, tenant: TenantId, agent: AgentId) -> Result<Vec<DraftRow>> {
        let list = Select::all::<DraftRow>(vec![is("agent", agent), is("tenant", tenant)]);
        let list = Select { order: Order::Last, limit: Some(DRAFTS_MAX), ..list };
        let mut newest = entities("read drafts", self.select("read drafts", list).await?)?;
        newest.reverse();
        Ok(newest)
    }

    async fn visitor(&self, tenant: TenantId, visitor: VisitorId) -> Result<Option<VisitorRow>> {
        one("read a visitor", self, vec![is("visitor", visitor), is("tenant", tenant)]).await
    }
    /// By token, current or the one before; the caller judges which and whether it still holds.
    async fn visitor_by_secret(
        &self,
        tenant: TenantId,
        site: SiteId,
        secret: SecretHash,
    ) -> Result<Option<VisitorToken>> {
        let act = "read a visitor";
        // Asked one after the other: with OR between them, SQLite looks at every visitor of the
        // Organization.
        for column in ["secret", "secret_before"] {
            let of = vec![is(column, secret), is("tenant", tenant), is("site", site)];
            let along = ["visitors_by_secret", "visitors_by_secret_before"];
            let along = along.get(usize::from(column == "secret_before")).copied();
            let short = Select { is_short: true, along, ..Select::all::<VisitorToken>(of) };
            let found = entities(act, self.select(act, short).await?)?;
            if let Some(token) = found.into_iter().next() {
                return Ok(Some(token));
            }
        }
        Ok(None)
    }
    /// The newest first.
    async fn visitors(&self, tenant: TenantId, page: Page<VisitorId>) -> Result<Vec<VisitorRow>> {
        let list = Select::page::<VisitorRow, _>(vec![is("tenant", tenant)], page);
        // SQLite would rather walk along the rows of everybody.
        let list = Select { order: Order::Last, along: Some("visitors_of_tenant"), ..list };
        entities("list visitors", self.select("list visitors", list).await?)
    }
}

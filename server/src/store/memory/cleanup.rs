//! Behind the destruction of buckets' keys: what was sealed in them goes.

use std::collections::HashSet;

use protocol::conversation::ConversationState;
use protocol::ids::{AgentId, ConversationId, TenantId, VisitorId};

use super::Shared;
use super::transcript::{Conversation, Header};
use crate::privacy::seal::Bucket;
use crate::store::sqlite::Changed;
use crate::store::{StoreError, sealed};

impl Shared {
    /// One conversation at a time, so that nobody waits long at its shard.
    pub(super) fn clean_up(&self, buckets: &[Bucket]) -> Result<(), StoreError> {
        let due: HashSet<Bucket> = buckets.iter().copied().collect();
        self.write_records("clean up", |desk| desk.clean_up_records(buckets))?;
        // Before the conversations: a visitor goes with their last one, if nothing is known of
        // them.
        self.register.lock().clean_up(|bucket| due.contains(bucket));
        for shard in &self.shards {
            let conversations: Vec<ConversationId> = shard.lock().keys().copied().collect();
            for conversation in conversations {
                self.clean_up_conversation(conversation, &due);
            }
        }
        // Only now are they off the list. What came into one of them meanwhile puts it there again.
        self.buckets.lock().retain(|bucket| !due.contains(bucket));
        Ok(())
    }

    /// Behind the destruction of a visitor's key: what they and their agents said, their drafts, forms, pages and
    /// contact data go. Places are not given again.
    pub(super) fn forget_visitor(
        &self,
        tenant: TenantId,
        visitor: VisitorId,
    ) -> Result<(), StoreError> {
        let (known, theirs) = self.register.lock().forget_visitor(tenant, visitor);
        if !known && theirs.is_empty() {
            return Err(StoreError::NotFound);
        }
        for conversation in theirs {
            self.clean_up_one(conversation, |kept| {
                kept.header.row.locale.clear();
                kept.clean_up(true, |_, _| true)
            });
        }
        let changed = Changed::visitor(visitor, None);
        self.write_records("note a change", |desk| desk.note_change(tenant, &changed))
    }

    fn clean_up_conversation(&self, conversation: ConversationId, due: &HashSet<Bucket>) {
        self.clean_up_one(conversation, |kept| sweep(kept, due));
    }

    fn clean_up_one(
        &self,
        conversation: ConversationId,
        sweep: impl FnOnce(&mut Conversation) -> Vec<AgentId>,
    ) {
        let mut shard = self.shards[self.number(conversation)].lock();
        let Some(kept) = shard.get_mut(&conversation) else { return };
        let without = sweep(kept);
        let goes = kept.header.row.state == ConversationState::Closed && kept.is_bare();
        let gone: Option<Header> =
            if goes { shard.remove(&conversation).map(|kept| kept.header) } else { None };
        drop(shard);
        if without.is_empty() && gone.is_none() {
            return;
        }
        let mut register = self.register.lock();
        for agent in without {
            register.list_draft(agent, conversation, false);
        }
        if let Some(header) = gone {
            register.unlist(&header);
        }
    }
}

fn sweep(kept: &mut Conversation, due: &HashSet<Bucket>) -> Vec<AgentId> {
    let home = kept.home();
    let bucket = |class, day| Bucket { tenant: home.tenant, site: Some(home.site), class, day };
    let header_due = due.contains(&sealed::header_lock(&kept.header.row).bucket);
    kept.clean_up(header_due, |class, day| due.contains(&bucket(class, day)))
}

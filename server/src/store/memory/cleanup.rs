//! Behind the destruction of keys: what was sealed with them goes.

use std::collections::HashSet;

use protocol::ids::{ConversationId, TenantId, VisitorId};

use super::Shared;
use crate::privacy::seal::Bucket;
use crate::store::StoreError;

impl Shared {
    /// One conversation at a time, so that nobody waits long at its shard.
    pub(super) fn clean_up(&self, buckets: &[Bucket]) -> Result<(), StoreError> {
        let due: HashSet<Bucket> = buckets.iter().copied().collect();
        let emptied =
            self.write_records("clean up", |transaction| transaction.clean_up_records(buckets))?;
        let emptied: HashSet<ConversationId> = emptied.into_iter().collect();
        for shard in &self.shards {
            let conversations: Vec<ConversationId> = shard.lock().keys().copied().collect();
            for conversation in conversations {
                let swept = self.with(conversation, |kept| {
                    let Some(kept) = kept else { return false };
                    let home = kept.home();
                    kept.clean_up(|class, day| {
                        let (tenant, site) = (home.tenant, Some(home.site));
                        due.contains(&Bucket { tenant, site, class, day })
                    })
                });
                if swept || emptied.contains(&conversation) {
                    self.end_if_bare(conversation)?;
                }
            }
        }
        // Only now are they off the list. What came into one of them meanwhile puts it there again.
        self.buckets.lock().retain(|bucket| !due.contains(bucket));
        Ok(())
    }

    /// Behind the destruction of a visitor's key: what they and their agents said goes with their
    /// records. Sequence numbers are not given again.
    pub(super) fn forget_visitor(
        &self,
        tenant: TenantId,
        visitor: VisitorId,
    ) -> Result<(), StoreError> {
        let theirs = self.write_records("forget a visitor", |transaction| {
            transaction.forget_visitor(tenant, visitor)
        })?;
        for conversation in theirs {
            self.with(conversation, |kept| kept.map(|kept| kept.clean_up(|_, _| true)));
            self.end_if_bare(conversation)?;
        }
        Ok(())
    }

    /// A closed conversation of which nothing is left goes, and a visitor with their last one.
    fn end_if_bare(&self, conversation: ConversationId) -> Result<(), StoreError> {
        let mut shard = self.shards[self.number(conversation)].lock();
        if shard.get(&conversation).is_some_and(|kept| !kept.is_bare()) {
            return Ok(());
        }
        if self.write_records("clean up", |transaction| transaction.end_if_bare(conversation))? {
            shard.remove(&conversation);
        }
        Ok(())
    }
}

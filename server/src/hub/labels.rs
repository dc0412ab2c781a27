//! A label gets another name, or is no more: every conversation that has it shows it, live or not.
//!
//! Lives here: the walk over those conversations, a page at a time. Not here: the labels themselves
//! (`store`), who may change them (`api`). Called by `live`.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ids::{ConversationId, TagId, TenantId};
use protocol::reject::Reject;

use super::conversations::Conversations;
use crate::store::{ConversationFilter, ConversationSearch, SearchOrder, Write};

/// Conversations that are changed together.
const LABELLED_PAGE: u16 = 100;

impl Conversations {
    /// Raises the version of every conversation with this label, and takes the label off where it
    /// is `gone`. Done again, it goes on where it stopped.
    ///
    /// # Errors
    /// If the store cannot do that now: some may be changed and others not.
    pub(crate) async fn label_changed(
        &self,
        tenant: TenantId,
        tag: TagId,
        gone: bool,
    ) -> Result<(), Reject> {
        let desk = self.desks.get(tenant).await?;
        let mut from = None;
        loop {
            let search = ConversationSearch {
                filter: ConversationFilter::default(),
                tag: Some(tag),
                created_after: None,
                created_before: None,
                order: SearchOrder::Newest(from),
            };
            let found = self.store.search(tenant, &search, LABELLED_PAGE).await?;
            let (mut live, mut writes) = (BTreeSet::new(), Vec::new());
            // Ids that end alike share an id lock. In one order: two who hold several never wait
            // for each other.
            let share = |id: &ConversationId| (id.as_bytes().last().copied(), *id);
            let shares: BTreeMap<_, _> =
                found.rows.iter().map(|row| share(&row.conversation)).collect();
            let mut held = Vec::with_capacity(shares.len());
            for conversation in shares.values() {
                held.push(self.id_lock(conversation.as_bytes()).await);
            }
            for conversation in found.rows.iter().map(|row| row.conversation) {
                let is_live = desk.state.lock().amend(conversation, |header| {
                    header.row.tags.retain(|has| !gone || *has != tag);
                });
                if is_live {
                    live.insert(conversation);
                    continue;
                }
                let (mut row, _) = self.desks.stored_header(tenant, conversation).await?;
                row.tags.retain(|has| !gone || *has != tag);
                row.version += 1;
                writes.push(Write::Conversation(Box::new(row)));
            }
            if !writes.is_empty() {
                self.store.write(writes).await?;
            }
            self.board.show(&desk, &live).await?;
            drop(held);
            match found.next {
                Some(next) => from = Some(next),
                None => return Ok(()),
            }
        }
    }
}

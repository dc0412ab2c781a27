//! Which conversations a list or a search has, and in which order.
//!
//! Not here: the walks along indexes (`record/conversations`, `sqlite/read`).

use protocol::conversation::ConversationState;
use protocol::ids::{AgentId, ConversationId, SiteId, TagId, VisitorId};
use protocol::time::UnixMillis;

use super::ConversationRow;
use super::record::conversations::Sketch;

/// Which conversations to list: all conditions hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversationFilter {
    pub state: Option<ConversationState>,
    /// Any state but closed.
    pub live: bool,
    pub site: Option<SiteId>,
    pub visitor: Option<VisitorId>,
    pub assignee: Option<AgentId>,
}

impl ConversationFilter {
    /// The states that pass.
    pub(in crate::store) fn states(&self) -> Vec<ConversationState> {
        let all = [
            ConversationState::Queued,
            ConversationState::Offered,
            ConversationState::Active,
            ConversationState::Snoozed,
            ConversationState::Closed,
        ];
        let passes = |state: &ConversationState| {
            self.state.is_none_or(|wanted| wanted == *state)
                && !(self.live && *state == ConversationState::Closed)
        };
        all.into_iter().filter(passes).collect()
    }
}

/// Conversations that a search looks at for one page: a filter that few pass does not make it walk
/// through all that were ever kept.
pub(in crate::store) const SEARCHED_CONVERSATIONS_MAX: usize = 100;

/// Which conversations to look for, by more than a list is kept for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationSearch {
    pub filter: ConversationFilter,
    /// With this label.
    pub tag: Option<TagId>,
    /// Begun later than this.
    pub created_after: Option<UnixMillis>,
    /// Begun earlier than this.
    pub created_before: Option<UnixMillis>,
    pub order: SearchOrder,
}

/// In which order conversations are looked for, and where the page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchOrder {
    /// The newest first: below this beginning.
    Newest(Option<Moment>),
    /// What changed longest ago first: above this change.
    Changed(Moment),
}

/// When a conversation began or changed, and its id, which decides between those of one moment.
pub type Moment = (UnixMillis, ConversationId);

/// A page of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub rows: Vec<ConversationRow>,
    /// Where the next page begins: behind what was looked at last. A page can have fewer rows than
    /// it was asked for, even none, and others follow.
    pub next: Option<Moment>,
}

impl ConversationSearch {
    /// Whether a conversation passes.
    pub(in crate::store) fn passes(&self, row: &Sketch) -> bool {
        let ConversationFilter { site, visitor, assignee, .. } = &self.filter;
        self.filter.states().contains(&row.state)
            && site.is_none_or(|site| site == row.site)
            && visitor.is_none_or(|visitor| visitor == row.visitor)
            && assignee.is_none_or(|agent| row.assignee == Some(agent))
            && self.tag.is_none_or(|tag| row.tags.contains(&tag))
            && self.created_after.is_none_or(|after| row.created_at > after)
            && self.created_before.is_none_or(|before| row.created_at < before)
    }

    /// Beginnings between which those lie that are looked for: below the first, above the second.
    pub(in crate::store) fn created_between(&self) -> (Moment, Option<UnixMillis>) {
        let last = (UnixMillis(MOMENT_MAX), ConversationId::from_bytes([0xff; 16]));
        let page = match self.order {
            SearchOrder::Newest(before) => before.unwrap_or(last),
            SearchOrder::Changed(_) => last,
        };
        let before = self.created_before.map(|at| (at, ConversationId::from_bytes([0; 16])));
        (before.map_or(page, |before| before.min(page)), self.created_after)
    }
}

/// SQLite counts to 2^63 - 1; no clock gets there.
const MOMENT_MAX: u64 = i64::MAX.cast_unsigned();

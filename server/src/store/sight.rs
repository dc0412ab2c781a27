//! What a read of a conversation sees: rooms, pages, the newest words; what is left out of them,
//! and what nobody may read any more.
//!
//! Not here: where messages are looked for (`sqlite/read`, `memory/read`), who may read
//! (`privacy/gate`).

use std::sync::Arc;

use protocol::ids::{ConversationId, SiteId};
use protocol::message::{Author, AuthorKind, Seq, Visibility};
use protocol::time::Day;

use super::{ConversationRow, ReceiptRow};
use crate::privacy::envelope::{Sequenced, Tag};
use crate::privacy::gate::{Below, Door, ReadGrant, Reader};
use crate::privacy::policy::SiteTimeline;

/// What of a conversation's messages a page is made of. What is left out takes no place on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// What this reader may see on this day.
    Shown(Reader, Day),
    /// What people said to everyone and can be read on this day: no notes, no event messages.
    Words(Day),
    /// What people said and can be read on this day, notes among it: no event messages.
    Said(Day),
}

/// Messages that a search passes over because they can no longer be read. They lie below all that
/// can, but for a few where a clock was wrong: behind so many of them nothing more is looked for.
pub(in crate::store) const DEAD_MAX: usize = 256;

/// Sequence numbers of a conversation that are searched one by one for an id; those above have an
/// index.
pub(in crate::store) const SEARCHED_MAX: u64 = 256;

impl Sight {
    /// Whether such a message is left out, whenever it came.
    pub(in crate::store) fn leaves_out(self, visibility: Visibility, author: AuthorKind) -> bool {
        let note = visibility == Visibility::Agents;
        match self {
            Self::Shown(Reader::Agents, _) => false,
            Self::Shown(Reader::Visitor, _) => note,
            Self::Words(_) => note || author == AuthorKind::System,
            Self::Said(_) => author == AuthorKind::System,
        }
    }

    /// Whether what stands under this tag can still be read; nothing can, where the site is not
    /// known.
    pub(in crate::store) fn sees(self, tag: &Tag, timeline: Option<&SiteTimeline>) -> bool {
        let (Self::Shown(_, today) | Self::Words(today) | Self::Said(today)) = self;
        let door = |timeline| ReadGrant::stored(Door::History, Reader::Agents, today, timeline);
        timeline.is_some_and(|timeline| door(timeline).counts(tag))
    }
}

/// A page of what a reader may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessagePage {
    /// In order of their sequence numbers.
    pub messages: Vec<Arc<Sequenced>>,
    /// Whether there are earlier ones in the range that they may see.
    pub more: bool,
}

/// Puts a page together, the newest message first.
pub(in crate::store) struct Paging {
    limit: usize,
    dead: usize,
    page: MessagePage,
}

impl Paging {
    pub(in crate::store) fn new(limit: u16) -> Self {
        Self { limit: usize::from(limit), dead: 0, page: MessagePage::default() }
    }

    /// Whether no further message is looked for.
    pub(in crate::store) fn is_done(&self) -> bool {
        self.page.more || self.dead >= DEAD_MAX
    }

    /// Takes the next one that is not left out; `None`: it cannot be read any more.
    pub(in crate::store) fn take(&mut self, sequenced: Option<Arc<Sequenced>>) {
        match sequenced {
            None => self.dead += 1,
            Some(_) if self.page.messages.len() >= self.limit => self.page.more = true,
            Some(sequenced) => self.page.messages.push(sequenced),
        }
    }

    pub(in crate::store) fn finish(mut self) -> MessagePage {
        self.page.messages.reverse();
        self.page
    }
}

/// What a live room begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    pub header: ConversationRow,
    /// The newest stored sequence number, 0 if none.
    pub seq_last: Seq,
    /// The newest messages, in order of their sequence numbers; at most what was asked for.
    pub tail: Vec<Arc<Sequenced>>,
    pub below: Below,
    /// The newest of what people said to everyone, wherever it stands.
    pub words: Option<Arc<Sequenced>>,
    pub receipts: Vec<ReceiptRow>,
}

/// What a list shows of what was said in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestRow {
    pub conversation: ConversationId,
    pub site: SiteId,
    /// As in [`RoomRow`].
    pub seq_last: Seq,
    pub receipts: Vec<ReceiptRow>,
    /// The newest of what people said to everyone that can be read today.
    pub words: Option<Arc<Sequenced>>,
    /// The newest of that by the visitor: among the newest [`ASKED_LOOKUPS_MAX`] messages, or the
    /// very newest.
    pub asked: Option<Arc<Sequenced>>,
}

/// Messages among which a visitor's newest words are looked for, so that a list costs no more where
/// much was said since.
pub(in crate::store) const ASKED_LOOKUPS_MAX: usize = 50;

/// The newest words of a conversation, and the newest by its visitor.
pub(in crate::store) type WordsAndAsked = (Option<Arc<Sequenced>>, Option<Arc<Sequenced>>);

/// Finds a conversation's newest words, looking at the newest message first.
#[derive(Default)]
pub(in crate::store) struct NewestWords {
    looked: usize,
    words: Option<Arc<Sequenced>>,
    asked: Option<Arc<Sequenced>>,
}

impl NewestWords {
    /// Whether no further message is looked at.
    pub(in crate::store) fn is_done(&self) -> bool {
        self.asked.is_some() || self.looked >= ASKED_LOOKUPS_MAX
    }

    /// Looks at the next message; `read` unseals it, if it can still be read.
    pub(in crate::store) fn look<E>(
        &mut self,
        (visibility, author): (Visibility, AuthorKind),
        read: impl FnOnce() -> Result<Option<Arc<Sequenced>>, E>,
    ) -> Result<(), E> {
        self.looked += 1;
        let by_visitor = author == AuthorKind::Visitor;
        if Sight::Words(Day(0)).leaves_out(visibility, author)
            || !(by_visitor || self.words.is_none())
        {
            return Ok(());
        }
        let Some(sequenced) = read()? else { return Ok(()) };
        if by_visitor {
            self.asked = Some(Arc::clone(&sequenced));
        }
        self.words.get_or_insert(sequenced);
        Ok(())
    }

    /// With the newest words of below what was looked at, where there were none.
    pub(in crate::store) fn or_below<E>(
        self,
        below: impl FnOnce() -> Result<Option<Arc<Sequenced>>, E>,
    ) -> Result<WordsAndAsked, E> {
        if self.words.is_some() || self.looked < ASKED_LOOKUPS_MAX {
            return Ok((self.words, self.asked));
        }
        let words = below()?;
        let by_visitor =
            |sequenced: &&Arc<Sequenced>| sequenced.envelope().author() == Author::Visitor;
        let asked = words.as_ref().filter(by_visitor).map(Arc::clone);
        Ok((words, asked))
    }
}

impl RoomRow {
    /// Puts it together: `newest` finds the newest message below a sequence number that a sight
    /// sees.
    pub(in crate::store) fn whole<E>(
        (header, seq_last, receipts): (ConversationRow, Seq, Vec<ReceiptRow>),
        tail: Vec<Arc<Sequenced>>,
        is_full: bool,
        today: Day,
        newest: impl Fn(Sight, Seq) -> Result<Option<Arc<Sequenced>>, E>,
    ) -> Result<Self, E> {
        // A tail that is not full reaches back to the beginning.
        let first = tail.first().filter(|_| is_full).map(|first| first.seq());
        let newest_below = |sight| first.map_or(Ok(None), |first| newest(sight, first));
        let below = |reader| {
            let newest = newest_below(Sight::Shown(reader, today))?;
            Ok::<_, E>(newest.map(|sequenced| sequenced.envelope().tag().ingest_day))
        };
        let below =
            Below { for_visitors: below(Reader::Visitor)?, for_agents: below(Reader::Agents)? };
        let words = match tail.iter().rev().find(|sequenced| sequenced.is_words()) {
            Some(words) => Some(Arc::clone(words)),
            None => newest_below(Sight::Words(today))?,
        };
        Ok(Self { header, seq_last, tail, below, words, receipts })
    }
}

//! What a conversation's card shows of what was said in it: how far it has come, who has seen what,
//! the newest words.
//!
//! A live room knows; a conversation whose room was dropped keeps it in its header, so that a list
//! loads no room. What may be shown of it is judged when it is shown. Not here: the header
//! (`desk`), who asks (`board`).

use std::sync::Arc;

use protocol::conversation::Marks;
use protocol::message::{Author, Body, Message, Seq};
use protocol::personal::{Personal, Text};
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};

use super::fanout::LiveRoom;
use crate::privacy::envelope::Sequenced;
use crate::privacy::gate::ReadGrant;
use crate::store::{NewestRow, ReceiptRow};

/// Characters of a conversation's newest line in a list.
const PREVIEW_CHARS_MAX: usize = 120;

/// What a card shows of what was said.
#[derive(Debug, Clone, Default)]
pub(super) struct RoomFacts {
    pub(super) seq_last: Seq,
    pub(super) receipts: Vec<Marks>,
    pub(super) preview: Option<Personal<String>>,
    pub(super) last_message_at: Option<UnixMillis>,
    pub(super) last_author: Option<Author>,
    /// What an offer quotes: the visitor's own newest words, and when they came.
    pub(super) asked: Option<(Personal<String>, UnixMillis)>,
}

/// What is kept of a conversation whose room is not in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Newest {
    seq_last: Seq,
    receipts: Vec<Marks>,
    /// The newest of what people said to everyone.
    words: Option<Arc<Sequenced>>,
    /// The newest of the visitor's own.
    asked: Option<Arc<Sequenced>>,
}

impl Newest {
    /// What a room has that is about to be dropped.
    pub(super) fn of(live: &LiveRoom) -> Self {
        let mut words = live.sequencer().words();
        let newest = words.next();
        let by_visitor =
            |sequenced: &&Arc<Sequenced>| sequenced.envelope().author() == Author::Visitor;
        let asked = newest.filter(by_visitor).or_else(|| words.find(by_visitor));
        Self {
            seq_last: live.sequencer().seq_last(),
            receipts: live.receipts().to_vec(),
            words: newest.map(Arc::clone),
            asked: asked.map(Arc::clone),
        }
    }

    /// Whether it is not older than another.
    pub(super) fn is_as_new_as(&self, other: &Self) -> bool {
        self.seq_last >= other.seq_last
    }

    /// Lets go of words whose key may be destroyed.
    pub(super) fn forget(&mut self, dead: impl Fn(RetentionClass, Day) -> bool) {
        for kept in [&mut self.words, &mut self.asked] {
            kept.take_if(|sequenced| {
                let tag = sequenced.envelope().tag();
                dead(tag.class, tag.ingest_day)
            });
        }
    }

    /// What may be shown of it; without a grant no words may be.
    pub(super) fn facts(&self, grant: Option<&ReadGrant<'_>>) -> RoomFacts {
        let Self { seq_last, receipts, words, asked } = self;
        facts(*seq_last, receipts, words.iter().chain(asked), grant)
    }
}

impl From<NewestRow> for Newest {
    fn from(row: NewestRow) -> Self {
        let NewestRow { seq_last, words, asked, receipts, .. } = row;
        // What someone saw and what was then lost is no sight of what comes in its place.
        let receipts = receipts.iter().map(|receipt| known_receipt(receipt, seq_last)).collect();
        Self { seq_last, receipts, words, asked }
    }
}

/// How far someone has come, as far as there is anything.
pub(super) fn known_receipt(receipt: &ReceiptRow, seq_last: Seq) -> Marks {
    let (delivered, seen) = (receipt.delivered.min(seq_last), receipt.seen.min(seq_last));
    Marks { author: receipt.author, delivered, seen }
}

/// The same of a live room.
pub(super) fn facts_of(live: &LiveRoom, grant: Option<&ReadGrant<'_>>) -> RoomFacts {
    facts(live.sequencer().seq_last(), live.receipts(), live.sequencer().words(), grant)
}

/// `words`: what people said to everyone, the newest first.
fn facts<'p>(
    seq_last: Seq,
    receipts: &[Marks],
    words: impl Iterator<Item = &'p Arc<Sequenced>>,
    grant: Option<&ReadGrant<'_>>,
) -> RoomFacts {
    let mut facts = RoomFacts { seq_last, receipts: receipts.to_vec(), ..RoomFacts::default() };
    let Some(grant) = grant else { return facts };
    let mut said = words.filter_map(|sequenced| match sequenced.shown(grant)? {
        Message { body: Body::Text(text), at, author, .. } => Some((text, at, author)),
        Message { body: Body::Event { .. }, .. } => None,
    });
    let beginning =
        |text: &Text<'_>| Personal::new(text.expose().chars().take(PREVIEW_CHARS_MAX).collect());
    let newest = said.next();
    facts.asked = match &newest {
        Some((text, at, Author::Visitor)) => Some((beginning(text), *at)),
        Some(_) => said
            .find(|(_, _, author)| *author == Author::Visitor)
            .map(|(text, at, _)| (beginning(&text), at)),
        None => None,
    };
    if let Some((text, at, author)) = newest {
        facts.preview = Some(beginning(&text));
        facts.last_message_at = Some(at);
        facts.last_author = Some(author);
    }
    facts
}

//! One conversation as it is kept: its messages and receipts, bodies sealed.
//!
//! Lives here: the rules of sequence numbers and receipts, on one conversation that its caller has
//! locked; what some readers do not get, kept apart, so that a page passes over a run of it in one
//! step. Not here: locks, keys. Called by the store's other files.

use std::collections::BTreeSet;

use protocol::ids::{ConversationId, MessageId, SiteId, TenantId, VisitorId};
use protocol::message::{Author, Seq, Visibility};
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};

use crate::privacy::envelope::{Flags, Sequenced, Tag};
use crate::privacy::gate::Reader;
use crate::privacy::policy::{PolicyVersion, Purposes};
use crate::store::sight::SEARCHED_MAX;
use crate::store::{ReceiptRow, Sight, StoreError};

/// A visitor's page leaves out notes, on whichever day, a preview event messages.
const NOTES: Sight = Sight::Shown(Reader::Visitor, Day(0));
const WORDLESS: Sight = Sight::Words(Day(0));
const SYSTEM: Sight = Sight::Said(Day(0));

/// A sealed value.
pub(super) type Sealed = Vec<u8>;

/// A message without what all messages of its conversation share.
#[derive(Debug, Clone)]
pub(super) struct MessageRow {
    pub(super) seq: Seq,
    pub(super) message: MessageId,
    pub(super) author: Author,
    pub(super) visibility: Visibility,
    pub(super) at: UnixMillis,
    pub(super) seen_seq: Seq,
    pub(super) purposes: Purposes,
    pub(super) flags: Flags,
    pub(super) policy_version: PolicyVersion,
    pub(super) class: RetentionClass,
    pub(super) day: Day,
    pub(super) body: Sealed,
}

impl MessageRow {
    pub(super) fn of(sequenced: &Sequenced, body: Sealed) -> Self {
        let envelope = sequenced.envelope();
        let tag = envelope.tag();
        Self {
            seq: sequenced.seq(),
            message: envelope.message(),
            author: envelope.author(),
            visibility: envelope.visibility(),
            at: envelope.at(),
            seen_seq: envelope.seen_seq(),
            purposes: tag.purposes,
            flags: tag.flags,
            policy_version: tag.policy_version,
            class: tag.class,
            day: tag.ingest_day,
            body,
        }
    }
}

/// Whose a conversation is; never changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home {
    pub(super) conversation: ConversationId,
    pub(super) tenant: TenantId,
    pub(super) site: SiteId,
    pub(super) visitor: VisitorId,
}

#[derive(Debug)]
pub(super) struct Conversation {
    home: Home,
    /// In order of their sequence numbers.
    rows: Vec<MessageRow>,
    /// Sequence numbers of internal notes, in order.
    notes: Vec<Seq>,
    /// Sequence numbers of notes and of event messages, in order.
    wordless: Vec<Seq>,
    /// Sequence numbers of event messages, in order.
    system: Vec<Seq>,
    /// By their ids, once it is long.
    by_id: BTreeSet<(MessageId, Seq)>,
    /// Sequence numbers up to this one were given, though there may be no message.
    floor: Seq,
    receipts: Vec<ReceiptRow>,
    /// Class and day of the newest message whose bucket is on the store's list, so that the list is
    /// asked once a day and not once a message.
    listed: Option<(RetentionClass, Day)>,
    /// It waits for its change to be listed.
    touched: bool,
}

impl Conversation {
    pub(super) fn new(home: Home) -> Self {
        Self {
            home,
            rows: Vec::new(),
            notes: Vec::new(),
            wordless: Vec::new(),
            system: Vec::new(),
            by_id: BTreeSet::new(),
            floor: Seq(0),
            receipts: Vec::new(),
            listed: None,
            touched: false,
        }
    }

    /// Something was said; whether its change did not wait to be listed before.
    pub(super) fn touch(&mut self) -> bool {
        !std::mem::replace(&mut self.touched, true)
    }

    /// Its change is listed.
    pub(super) fn untouch(&mut self) {
        self.touched = false;
    }

    pub(super) fn home(&self) -> Home {
        self.home
    }

    /// Refuses what is another's.
    pub(super) fn of(&self, tag: &Tag) -> Result<(), StoreError> {
        let Home { tenant, site, visitor, .. } = self.home;
        match tenant == tag.tenant && site == tag.site && visitor == tag.subject {
            true => Ok(()),
            false => Err(StoreError::NotFound),
        }
    }

    /// The newest sequence number, also if its message was cleaned up since.
    pub(super) fn seq_last(&self) -> Seq {
        self.rows.last().map_or(self.floor, |row| row.seq.max(self.floor))
    }

    /// Puts a message where its sequence number belongs; whether it was not there before.
    pub(super) fn put(&mut self, row: MessageRow) -> Result<bool, StoreError> {
        // Nearly always it is the newest.
        if self.rows.last().is_none_or(|last| last.seq < row.seq) {
            self.enter(&row);
            self.rows.push(row);
            return Ok(true);
        }
        match self.rows.binary_search_by_key(&row.seq, |there| there.seq) {
            Err(at) => {
                self.enter(&row);
                self.rows.insert(at, row);
                Ok(true)
            }
            // The same one: it was stored before, and that is all one wants.
            Ok(at) if self.rows.get(at).is_some_and(|there| there.message == row.message) => {
                Ok(false)
            }
            Ok(_) => Err(StoreError::SeqTaken { seq_last: self.seq_last() }),
        }
    }

    /// Notes what a row is found or passed over by.
    fn enter(&mut self, row: &MessageRow) {
        for (sight, numbers) in
            [(NOTES, &mut self.notes), (WORDLESS, &mut self.wordless), (SYSTEM, &mut self.system)]
        {
            if sight.leaves_out(row.visibility, row.author.kind())
                && let Err(at) = numbers.binary_search(&row.seq)
            {
                numbers.insert(at, row.seq);
            }
        }
        if row.seq.0 > SEARCHED_MAX {
            self.by_id.insert((row.message, row.seq));
        }
    }

    fn leave(&mut self, row: &MessageRow) {
        for numbers in [&mut self.notes, &mut self.wordless, &mut self.system] {
            if let Ok(at) = numbers.binary_search(&row.seq) {
                numbers.remove(at);
            }
        }
        self.by_id.remove(&(row.message, row.seq));
    }

    pub(super) fn take(&mut self, seq: Seq) {
        if let Ok(at) = self.rows.binary_search_by_key(&seq, |there| there.seq) {
            let row = self.rows.remove(at);
            self.leave(&row);
        }
    }

    /// Whether the bucket of this class and day is to be put on the list.
    pub(super) fn list(&mut self, class: RetentionClass, day: Day) -> bool {
        self.listed.replace((class, day)) != Some((class, day))
    }

    /// Raises the floor; it never goes back. What it was.
    pub(super) fn raise(&mut self, seq: Seq) -> Seq {
        let before = self.floor;
        self.floor = before.max(seq);
        before
    }

    pub(super) fn lower(&mut self, floor: Seq) {
        self.floor = floor;
    }

    /// Raises a receipt; it never goes back. What it was.
    pub(super) fn receipt(&mut self, row: ReceiptRow) -> Option<ReceiptRow> {
        match self.receipts.iter_mut().find(|receipt| receipt.author == row.author) {
            Some(receipt) => {
                let before = *receipt;
                receipt.delivered = receipt.delivered.max(row.delivered);
                receipt.seen = receipt.seen.max(row.seen);
                Some(before)
            }
            None => {
                self.receipts.push(row);
                None
            }
        }
    }

    pub(super) fn lower_receipt(&mut self, author: Author, before: Option<ReceiptRow>) {
        self.receipts.retain(|receipt| receipt.author != author);
        self.receipts.extend(before);
    }

    pub(super) fn receipts(&self) -> Vec<ReceiptRow> {
        self.receipts.clone()
    }

    /// The newest messages with sequence numbers in `(after, before)`, at most so many, in order of
    /// their sequence numbers.
    pub(super) fn page(&self, after: Seq, before: Option<Seq>, limit: usize) -> &[MessageRow] {
        let from = self.rows.partition_point(|row| row.seq <= after);
        let to = before
            .map_or(self.rows.len(), |before| self.rows.partition_point(|row| row.seq < before));
        self.rows.get(from.max(to.saturating_sub(limit))..to).unwrap_or_default()
    }

    /// The newest messages in `(after, before)` that the sight does not leave out, the newest
    /// first, at most so many.
    pub(super) fn sighted(
        &self,
        sight: Sight,
        (after, before): (Seq, Option<Seq>),
        limit: usize,
    ) -> Vec<MessageRow> {
        let mut to = before.map_or(self.rows.len(), |before| self.below(before));
        let mut found = Vec::new();
        while found.len() < limit {
            let Some(row) = to.checked_sub(1).and_then(|at| self.rows.get(at)) else { break };
            if row.seq <= after {
                break;
            }
            if sight.leaves_out(row.visibility, row.author.kind()) {
                to = self.below(self.run_begins(sight, row.seq));
            } else {
                found.push(row.clone());
                to -= 1;
            }
        }
        found
    }

    /// How many rows stand below a sequence number.
    fn below(&self, seq: Seq) -> usize {
        self.rows.partition_point(|row| row.seq < seq)
    }

    /// The first sequence number of the run without a gap that ends at this one and that the sight
    /// leaves out.
    fn run_begins(&self, sight: Sight, seq: Seq) -> Seq {
        let numbers = match sight {
            Sight::Shown(..) => &self.notes,
            Sight::Words(_) => &self.wordless,
            Sight::Said(_) => &self.system,
        };
        let end = numbers.partition_point(|number| *number <= seq);
        let run = numbers.get(..end).unwrap_or_default();
        // In a run, sequence numbers and their numbers in the list grow alike.
        let gap = |at: usize| seq.0.saturating_sub(u64::try_from(end - 1 - at).unwrap_or(u64::MAX));
        let (mut from, mut to) = (0, end);
        while from < to {
            let middle = from.midpoint(to);
            match run.get(middle) {
                Some(number) if number.0 == gap(middle) => to = middle,
                _ => from = middle + 1,
            }
        }
        run.get(from).copied().unwrap_or(seq).min(seq)
    }

    /// Messages with this id above `after`, the newest first.
    pub(super) fn find(&self, message: MessageId, after: Seq) -> impl Iterator<Item = &MessageRow> {
        let from = Seq(after.0.max(SEARCHED_MAX).saturating_add(1));
        let far = self.by_id.range((message, from)..=(message, Seq(u64::MAX))).rev();
        let far = far.filter_map(|(_, seq)| self.rows.get(self.below(*seq)));
        let near = self.rows.get(..self.below(Seq(SEARCHED_MAX + 1))).unwrap_or_default();
        let near = near.iter().rev().take_while(move |row| row.seq > after);
        far.chain(near).filter(move |row| row.message == message)
    }

    /// Removes what was sealed in buckets of these classes and days; whether anything was. Sequence
    /// numbers are not given again.
    pub(super) fn clean_up(&mut self, due: impl Fn(RetentionClass, Day) -> bool) -> bool {
        if self.listed.is_some_and(|(class, day)| due(class, day)) {
            self.listed = None;
        }
        let (goes, stays): (Vec<MessageRow>, _) =
            std::mem::take(&mut self.rows).into_iter().partition(|row| due(row.class, row.day));
        self.rows = stays;
        for row in &goes {
            self.floor = self.floor.max(row.seq);
            self.leave(row);
        }
        !goes.is_empty()
    }

    /// Whether nothing that was said is left of it.
    pub(super) fn is_bare(&self) -> bool {
        self.rows.is_empty()
    }
}

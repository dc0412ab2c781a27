//! Kept things back into rows: copied under their lock, unsealed after it. What is asked of records
//! is SQLite's answer.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::ids::{ConversationId, MessageId, TenantId};
use protocol::message::Seq;
use protocol::time::UnixMillis;

use super::transcript::{Conversation, Home, MessageRow};
use super::{MemoryStore, Shared};
use crate::metrics::StoreOp;
use crate::privacy::envelope::{Envelope, Parts, Sequenced, Tag};
use crate::privacy::policy::{SiteTimeline, evaluate};
use crate::privacy::seal::SealError;
use crate::store::sight::{ASKED_LOOKUPS_MAX, DEAD_MAX, NewestWords, Paging};
use crate::store::{
    ConversationSearch, Found, MessagePage, NewestRow, Result, RoomRow, Sight, Transcript, sealed,
};

#[async_trait]
impl Transcript for MemoryStore {
    async fn room(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        tail: u16,
    ) -> Result<Option<RoomRow>> {
        let kept =
            self.shared.with_of(tenant, conversation, |kept| (kept.seq_last(), kept.receipts()));
        let Some((seq_last, receipts)) = kept else { return Ok(None) };
        let header = self
            .shared
            .read_records("read a room", |reader| reader.conversation(tenant, conversation))?;
        let Some(header) = header else { return Ok(None) };
        // Whatever is stored after this line is above the sequence number that was read.
        let before = Some(Seq(seq_last.0.saturating_add(1)));
        let full = usize::from(tail);
        let tail = self.shared.messages(tenant, conversation, Seq(0), before, tail)?;
        let (is_full, today) = (tail.len() >= full, self.shared.clock.now().day());
        let newest = |sight, first| {
            let page = self.shared.page(tenant, conversation, sight, (Seq(0), Some(first)), 1);
            page.map(|mut page| page.messages.pop())
        };
        RoomRow::whole((header, seq_last, receipts), tail, is_full, today, newest).map(Some)
    }

    async fn newest(
        &self,
        tenant: TenantId,
        conversations: &[ConversationId],
    ) -> Result<Vec<NewestRow>> {
        let rows = conversations.iter().map(|id| self.shared.newest_said(tenant, *id));
        rows.filter_map(Result::transpose).collect()
    }

    async fn page(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        sight: Sight,
        range: (Seq, Option<Seq>),
        limit: u16,
    ) -> Result<MessagePage> {
        self.shared.page(tenant, conversation, sight, range, limit)
    }

    async fn messages(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        after: Seq,
        before: Option<Seq>,
        limit: u16,
    ) -> Result<Vec<Arc<Sequenced>>> {
        self.shared.messages(tenant, conversation, after, before, limit)
    }

    async fn is_destroyed(&self, tag: &Tag, conversation: ConversationId) -> Result<bool> {
        let lock = sealed::message_lock(tag, conversation);
        let asked = sealed::is_destroyed(&*self.shared.sealer, &lock);
        asked.map_err(|error| self.shared.keys_failed(error, StoreOp::Read, "ask for a key"))
    }

    async fn message(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        message: MessageId,
        after: Seq,
    ) -> Result<Option<Arc<Sequenced>>> {
        let found = self.shared.with_of(tenant, conversation, |kept| {
            (kept.home(), kept.find(message, after).cloned().collect::<Vec<_>>())
        });
        let Some((home, rows)) = found else { return Ok(None) };
        let timeline = self.shared.timeline(home.site);
        for row in &rows {
            if let Some(sequenced) = self.shared.sequenced(&home, timeline.as_ref(), row)? {
                return Ok(Some(sequenced));
            }
        }
        Ok(None)
    }

    async fn search(
        &self,
        tenant: TenantId,
        search: &ConversationSearch,
        limit: u16,
    ) -> Result<Found> {
        self.shared.list_touched()?;
        self.shared
            .read_records("search conversations", |reader| reader.search(tenant, search, limit))
    }

    async fn changed_at(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<UnixMillis>> {
        self.shared.list_touched()?;
        self.shared.read_records("read a change", |reader| reader.changed_at(tenant, conversation))
    }
}

impl Shared {
    /// What a list shows of a conversation.
    pub(super) fn newest_said(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<NewestRow>> {
        let found = self.with_of(tenant, conversation, |kept| {
            let rows = kept.page(Seq(0), None, ASKED_LOOKUPS_MAX).to_vec();
            (kept.home(), kept.seq_last(), kept.receipts(), rows)
        });
        let Some((home, seq_last, receipts, rows)) = found else { return Ok(None) };
        let timeline = self.timeline(home.site);
        let timeline = timeline.as_ref();
        let sight = Sight::Words(self.clock.now().day());
        let mut newest = NewestWords::default();
        for row in rows.iter().rev() {
            if newest.is_done() {
                break;
            }
            newest.look((row.visibility, row.author.kind()), || {
                let seen = sight.sees(&self.tag(&home, timeline, row), timeline);
                if seen { self.sequenced(&home, timeline, row) } else { Ok(None) }
            })?;
        }
        let below = (Seq(0), rows.first().map(|oldest| oldest.seq));
        let (words, asked) = newest.or_below(|| {
            let page = self.page(tenant, conversation, sight, below, 1);
            page.map(|mut page| page.messages.pop())
        })?;
        Ok(Some(NewestRow { conversation, site: home.site, seq_last, receipts, words, asked }))
    }

    pub(super) fn page(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        sight: Sight,
        (after, mut before): (Seq, Option<Seq>),
        limit: u16,
    ) -> Result<MessagePage> {
        let mut paging = Paging::new(limit);
        let mut timeline = None;
        while !paging.is_done() {
            let found = self.with_of(tenant, conversation, |kept| {
                let rows = kept.sighted(sight, (after, before), usize::from(limit) + 1);
                (kept.home(), rows)
            });
            let Some((home, rows)) = found else { break };
            let Some(oldest) = rows.last() else { break };
            before = Some(oldest.seq);
            let timeline = timeline.get_or_insert_with(|| self.timeline(home.site)).as_ref();
            for row in &rows {
                if paging.is_done() {
                    break;
                }
                let seen = sight.sees(&self.tag(&home, timeline, row), timeline);
                paging.take(if seen { self.sequenced(&home, timeline, row)? } else { None });
            }
        }
        Ok(paging.finish())
    }

    pub(super) fn messages(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        after: Seq,
        mut before: Option<Seq>,
        limit: u16,
    ) -> Result<Vec<Arc<Sequenced>>> {
        let limit = usize::from(limit);
        let mut newest_first = Vec::new();
        let mut timeline = None;
        let mut dead = 0;
        while newest_first.len() < limit && dead < DEAD_MAX {
            let wanted = limit - newest_first.len();
            let found = self.with_of(tenant, conversation, |kept| {
                (kept.home(), kept.page(after, before, wanted).to_vec())
            });
            let Some((home, rows)) = found else { break };
            let Some(oldest) = rows.first() else { break };
            before = Some(oldest.seq);
            let timeline = timeline.get_or_insert_with(|| self.timeline(home.site));
            for row in rows.iter().rev() {
                let sequenced = self.sequenced(&home, timeline.as_ref(), row)?;
                dead += usize::from(sequenced.is_none());
                newest_first.extend(sequenced);
            }
        }
        newest_first.reverse();
        Ok(newest_first)
    }

    fn tag(&self, home: &Home, timeline: Option<&SiteTimeline>, row: &MessageRow) -> Tag {
        let today = self.clock.now().day();
        Tag {
            tenant: home.tenant,
            site: home.site,
            subject: home.visitor,
            class: row.class,
            purposes: row.purposes,
            flags: row.flags,
            policy_version: row.policy_version,
            ingest_day: row.day,
            expires: timeline
                .and_then(|timeline| evaluate(timeline, row.class, row.day, today).expires),
        }
    }

    /// `None` where a key is destroyed: nobody has swept it yet.
    fn sequenced(
        &self,
        home: &Home,
        timeline: Option<&SiteTimeline>,
        row: &MessageRow,
    ) -> Result<Option<Arc<Sequenced>>> {
        let tag = self.tag(home, timeline, row);
        let bound = sealed::message_bound(&tag, home.conversation, row.seq, row.message.as_bytes());
        let lock = sealed::message_lock(&tag, home.conversation);
        let plain = sealed::unless_destroyed(self.sealer.unseal(&lock, &bound, &row.body));
        let Some(plain) = self.unsealed(plain)? else { return Ok(None) };
        let content = sealed::content_from(&plain).ok_or(SealError::Tampered);
        let envelope = Envelope::restore(Parts {
            tag,
            conversation: home.conversation,
            message: row.message,
            author: row.author,
            visibility: row.visibility,
            at: row.at,
            seen_seq: row.seen_seq,
            content: self.unsealed(content)?,
        });
        Ok(Some(Arc::new(envelope.sequence(row.seq))))
    }

    /// Lists the changes of those in which something was said.
    pub(super) fn list_touched(&self) -> Result<()> {
        let touched = std::mem::take(&mut *self.touched.lock());
        if touched.is_empty() {
            return Ok(());
        }
        for conversation in &touched {
            self.with(*conversation, |kept| kept.map(Conversation::untouch));
        }
        self.write_records("list changes", |transaction| transaction.touch(&touched))
    }

    fn unsealed<T>(&self, outcome: Result<T, SealError>) -> Result<T> {
        outcome.map_err(|error| self.keys_failed(error, StoreOp::Read, "read a row"))
    }
}

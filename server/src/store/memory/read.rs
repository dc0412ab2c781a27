//! Kept things back into rows: copied under their lock, unsealed after it.

use std::sync::Arc;

use protocol::conversation::ConversationState;
use protocol::ids::{AgentId, ConversationId, MessageId, SiteId, TenantId, VisitorId};
use protocol::message::Seq;
use protocol::personal::Personal;
use protocol::time::UnixMillis;

use super::Shared;
use super::register::{At, Visitor};
use super::transcript::{Conversation, Header, Home, Line, Sealed};
use crate::metrics::StoreOp;
use crate::privacy::envelope::{Envelope, Parts, Placed, Tag};
use crate::privacy::gate::{Below, Reader};
use crate::privacy::policy::{SiteTimeline, evaluate};
use crate::privacy::seal::{Lock, SealError};
use crate::store::{
    ASKED_LOOKED_MAX, ConversationFilter, ConversationRow, ConversationSearch, DEAD_MAX,
    DRAFTS_MAX, DraftRow, Found, MessagePage, NewestRow, NewestWords, Page, Paging, RoomRow,
    SEARCHED_CONVERSATIONS_MAX, SearchOrder, SecretHash, Sight, Sketch, StoreError, VisitorRow,
    VisitorToken, sealed,
};

impl Shared {
    pub(super) fn room(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        tail: u16,
    ) -> Result<Option<RoomRow>, StoreError> {
        let kept = self.with_of(tenant, conversation, |kept| {
            (kept.header.clone(), kept.seq_last(), kept.marks())
        });
        let Some((header, seq_last, marks)) = kept else { return Ok(None) };
        let header = self.header(header)?;
        // Whatever is stored after this line is above the place that was read.
        let before = Some(Seq(seq_last.0.saturating_add(1)));
        let full = usize::from(tail);
        let tail = self.messages(tenant, conversation, Seq(0), before, tail)?;
        // A tail that is not full reaches back to the beginning.
        let first = tail.first().filter(|_| tail.len() >= full).map(|first| first.seq());
        let newest_below = |sight| {
            let Some(first) = first else { return Ok(None) };
            let page = self.page(tenant, conversation, sight, (Seq(0), Some(first)), 1);
            page.map(|mut page| page.messages.pop())
        };
        let today = self.clock.now().day();
        let below = |reader| {
            let newest = newest_below(Sight::Shown(reader, today))?;
            Ok::<_, StoreError>(newest.map(|placed| placed.envelope().tag().ingest_day))
        };
        let below =
            Below { for_visitors: below(Reader::Visitor)?, for_agents: below(Reader::Agents)? };
        let words = match tail.iter().rev().find(|placed| placed.is_words()) {
            Some(words) => Some(Arc::clone(words)),
            None => newest_below(Sight::Words(today))?,
        };
        Ok(Some(RoomRow { header, seq_last, tail, below, words, marks }))
    }

    /// What a list shows of a conversation.
    pub(super) fn newest_said(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<NewestRow>, StoreError> {
        let found = self.with_of(tenant, conversation, |kept| {
            let lines = kept.page(Seq(0), None, ASKED_LOOKED_MAX).to_vec();
            (kept.home(), kept.seq_last(), kept.marks(), lines)
        });
        let Some((home, seq_last, marks, lines)) = found else { return Ok(None) };
        let timeline = self.timeline(home.site);
        let timeline = timeline.as_ref();
        let sight = Sight::Words(self.clock.now().day());
        let mut newest = NewestWords::default();
        for line in lines.iter().rev() {
            if newest.is_done() {
                break;
            }
            newest.look((line.visibility, line.author.kind()), || {
                let seen = sight.sees(&self.tag(&home, timeline, line), timeline);
                if seen { self.placed(&home, timeline, line) } else { Ok(None) }
            })?;
        }
        let below = (Seq(0), lines.first().map(|oldest| oldest.seq));
        let (words, asked) = newest.or_below(|| {
            let page = self.page(tenant, conversation, sight, below, 1);
            page.map(|mut page| page.messages.pop())
        })?;
        Ok(Some(NewestRow { conversation, site: home.site, seq_last, marks, words, asked }))
    }

    pub(super) fn page(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        sight: Sight,
        (after, mut before): (Seq, Option<Seq>),
        limit: u16,
    ) -> Result<MessagePage, StoreError> {
        let mut paging = Paging::new(limit);
        let mut timeline = None;
        while !paging.is_done() {
            let found = self.with_of(tenant, conversation, |kept| {
                let lines = kept.sighted(sight, (after, before), usize::from(limit) + 1);
                (kept.home(), lines)
            });
            let Some((home, lines)) = found else { break };
            let Some(oldest) = lines.last() else { break };
            before = Some(oldest.seq);
            let timeline = timeline.get_or_insert_with(|| self.timeline(home.site)).as_ref();
            for line in &lines {
                if paging.is_done() {
                    break;
                }
                let seen = sight.sees(&self.tag(&home, timeline, line), timeline);
                paging.take(if seen { self.placed(&home, timeline, line)? } else { None });
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
    ) -> Result<Vec<Arc<Placed>>, StoreError> {
        let limit = usize::from(limit);
        let mut newest_first = Vec::new();
        let mut timeline = None;
        let mut dead = 0;
        while newest_first.len() < limit && dead < DEAD_MAX {
            let wanted = limit - newest_first.len();
            let found = self.with_of(tenant, conversation, |kept| {
                (kept.home(), kept.page(after, before, wanted).to_vec())
            });
            let Some((home, lines)) = found else { break };
            let Some(oldest) = lines.first() else { break };
            before = Some(oldest.seq);
            let timeline = timeline.get_or_insert_with(|| self.timeline(home.site));
            for line in lines.iter().rev() {
                let placed = self.placed(&home, timeline.as_ref(), line)?;
                dead += usize::from(placed.is_none());
                newest_first.extend(placed);
            }
        }
        newest_first.reverse();
        Ok(newest_first)
    }

    pub(super) fn message(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        message: MessageId,
        after: Seq,
    ) -> Result<Option<Arc<Placed>>, StoreError> {
        let found = self.with_of(tenant, conversation, |kept| {
            (kept.home(), kept.find(message, after).cloned().collect::<Vec<_>>())
        });
        let Some((home, lines)) = found else { return Ok(None) };
        let timeline = self.timeline(home.site);
        for line in &lines {
            if let Some(placed) = self.placed(&home, timeline.as_ref(), line)? {
                return Ok(Some(placed));
            }
        }
        Ok(None)
    }

    pub(super) fn is_destroyed(
        &self,
        tag: &Tag,
        conversation: ConversationId,
    ) -> Result<bool, StoreError> {
        let lock = sealed::message_lock(tag, conversation);
        let asked = sealed::is_destroyed(&*self.sealer, &lock);
        asked.map_err(|error| self.keys_failed(error, StoreOp::Read, "ask for a key"))
    }

    fn tag(&self, home: &Home, timeline: Option<&SiteTimeline>, line: &Line) -> Tag {
        let today = self.clock.now().day();
        Tag {
            tenant: home.tenant,
            site: home.site,
            subject: home.visitor,
            class: line.class,
            purposes: line.purposes,
            flags: line.flags,
            policy_version: line.policy_version,
            ingest_day: line.day,
            expires: timeline
                .and_then(|timeline| evaluate(timeline, line.class, line.day, today).expires),
        }
    }

    /// `None` where a key is destroyed: nobody has swept it yet.
    fn placed(
        &self,
        home: &Home,
        timeline: Option<&SiteTimeline>,
        line: &Line,
    ) -> Result<Option<Arc<Placed>>, StoreError> {
        let tag = self.tag(home, timeline, line);
        let bound =
            sealed::message_bound(&tag, home.conversation, line.seq, line.message.as_bytes());
        let lock = sealed::message_lock(&tag, home.conversation);
        let plain = sealed::unless_destroyed(self.sealer.unseal(&lock, &bound, &line.body));
        let Some(plain) = self.unsealed(plain)? else { return Ok(None) };
        let content = sealed::content_from(&plain).ok_or(SealError::Tampered);
        let envelope = Envelope::restore(Parts {
            tag,
            conversation: home.conversation,
            message: line.message,
            author: line.author,
            visibility: line.visibility,
            at: line.at,
            seen_seq: line.seen_seq,
            content: self.unsealed(content)?,
        });
        Ok(Some(Arc::new(envelope.place(line.seq))))
    }

    pub(super) fn conversation(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<ConversationRow>, StoreError> {
        let kept = self.with_of(tenant, conversation, |kept| kept.header.clone());
        kept.map(|header| self.header(header)).transpose()
    }

    pub(super) fn conversations(
        &self,
        tenant: TenantId,
        filter: &ConversationFilter,
        page: Page<ConversationId>,
    ) -> Result<Vec<ConversationRow>, StoreError> {
        let place = |after| {
            self.with_of(tenant, after, |kept| {
                (kept.header.row.created_at, kept.header.row.conversation)
            })
        };
        let mut before: Option<At> = None;
        if let Some(after) = page.after {
            before = place(after);
            if before.is_none() {
                return Ok(Vec::new());
            }
        }
        self.newest(tenant, filter, (before, None), page.limit)
    }

    /// Headers, the newest first: those begun below a moment and above another.
    fn newest(
        &self,
        tenant: TenantId,
        filter: &ConversationFilter,
        (before, after): (Option<At>, Option<UnixMillis>),
        limit: u16,
    ) -> Result<Vec<ConversationRow>, StoreError> {
        let states = filter.states();
        let limit = usize::from(limit);
        let register = self.register.lock();
        let listed = register.conversations(tenant, filter, &states, before, after, limit);
        drop(register);
        let mut found = Vec::with_capacity(listed.len());
        for (_, conversation) in listed {
            let header = self.with_of(tenant, conversation, |kept| kept.header.clone());
            // A visitor is one site's: either all of theirs pass or none.
            let passes = |header: &Header| filter.site.is_none_or(|site| header.row.site == site);
            if let Some(header) = header.filter(passes) {
                found.push(self.header(header)?);
            }
        }
        Ok(found)
    }

    pub(super) fn search(
        &self,
        tenant: TenantId,
        search: &ConversationSearch,
        limit: u16,
    ) -> Result<Found, StoreError> {
        let (before, after) = search.created_between();
        let max = SEARCHED_CONVERSATIONS_MAX + 1;
        let walked = match (search.order, search.tag) {
            (SearchOrder::Changed(after), _) => {
                self.list_touched();
                self.register.lock().changes(tenant, after, max)
            }
            (SearchOrder::Newest(_), Some(tag)) => {
                self.register.lock().labelled(tag, before, after, max)
            }
            (SearchOrder::Newest(_), None) => {
                let range = (Some(before), after);
                let more = limit.saturating_add(1);
                let mut rows = self.newest(tenant, &search.filter, range, more)?;
                let next = rows.len() > usize::from(limit);
                rows.truncate(limit.into());
                let last = rows.last().filter(|_| next);
                let next = last.map(|row| (row.created_at, row.conversation));
                return Ok(Found { rows, next });
            }
        };
        let mut found = Found::default();
        for (at, conversation) in walked.iter().take(SEARCHED_CONVERSATIONS_MAX) {
            let header = self.with_of(tenant, *conversation, |kept| kept.header.clone());
            if let Some(header) = header.filter(|header| search.passes(&Sketch::from(&header.row)))
            {
                if found.rows.len() >= usize::from(limit) {
                    return Ok(found);
                }
                found.rows.push(self.header(header)?);
            }
            found.next = Some((*at, *conversation));
        }
        found.next = found.next.filter(|_| walked.len() > SEARCHED_CONVERSATIONS_MAX);
        Ok(found)
    }

    pub(super) fn changed_at(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Option<UnixMillis> {
        self.list_touched();
        self.register.lock().changed_at(tenant, conversation)
    }

    /// Lists the changes of those in which something was said.
    fn list_touched(&self) {
        let touched = std::mem::take(&mut *self.touched.lock());
        let mut homes = Vec::with_capacity(touched.len());
        for conversation in touched {
            homes.extend(self.with(conversation, |kept| {
                kept.map(|kept| {
                    kept.untouch();
                    kept.home()
                })
            }));
        }
        let mut register = self.register.lock();
        let at = register.change(self.clock.now());
        for home in homes {
            register.changed(home.tenant, home.conversation, at);
        }
    }

    pub(super) fn conversations_live(&self) -> Result<Vec<ConversationRow>, StoreError> {
        let mut headers = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let live = |kept: &&Conversation| kept.header.row.state != ConversationState::Closed;
            headers.extend(shard.values().filter(live).map(|kept| kept.header.clone()));
        }
        headers.sort_unstable_by_key(|header| (header.row.created_at, header.row.conversation));
        headers.into_iter().map(|header| self.header(header)).collect()
    }

    fn header(&self, header: Header) -> Result<ConversationRow, StoreError> {
        let Header { mut row, form, page_url, page_title } = header;
        let lock = sealed::header_lock(&row);
        let text = |column: &str, text: Option<Sealed>| {
            let bound = sealed::bound(column, row.tenant, row.conversation.as_bytes());
            self.text(&lock, &bound, text.as_deref())
        };
        let form = sealed::form_from(text("conversations.form", form)?);
        let page_url = text("conversations.page_url", page_url)?;
        let page_title = text("conversations.page_title", page_title)?;
        row.form = form;
        (row.page_url, row.page_title) = (page_url, page_title);
        Ok(row)
    }

    pub(super) fn drafts(
        &self,
        tenant: TenantId,
        agent: AgentId,
    ) -> Result<Vec<DraftRow>, StoreError> {
        let conversations = self.register.lock().drafts(agent, DRAFTS_MAX);
        let mut drafts = Vec::new();
        for conversation in conversations {
            let kept = self.with_of(tenant, conversation, |kept| {
                kept.draft(agent).map(|draft| (kept.home(), draft.clone()))
            });
            let Some((home, kept)) = kept.flatten() else { continue };
            let mut draft = DraftRow {
                tenant,
                site: home.site,
                conversation,
                visitor: home.visitor,
                agent,
                text: Personal::new(String::new()),
                day: kept.day,
            };
            let lock = sealed::draft_lock(&draft);
            let bound = sealed::bound("drafts.text", tenant, agent.as_bytes());
            if let Some(text) = self.text(&lock, &bound, Some(&kept.text))? {
                draft.text = text;
                drafts.push(draft);
            }
        }
        Ok(drafts)
    }

    pub(super) fn visitor(
        &self,
        tenant: TenantId,
        visitor: VisitorId,
    ) -> Result<Option<VisitorRow>, StoreError> {
        let kept = self.register.lock().visitor(visitor).cloned();
        self.visitor_row(kept.filter(|kept| kept.row.tenant == tenant))
    }

    pub(super) fn visitor_by_secret(
        &self,
        tenant: TenantId,
        site: SiteId,
        secret: SecretHash,
    ) -> Option<VisitorToken> {
        let register = self.register.lock();
        let found = register.by_secret(secret).map(|kept| &kept.row);
        let row = found.filter(|row| row.tenant == tenant && row.site == site)?;
        Some(VisitorToken {
            visitor: row.visitor,
            tenant,
            secret: row.secret,
            secret_before: row.secret_before,
            secret_expires_at: row.secret_expires_at,
        })
    }

    pub(super) fn visitors(
        &self,
        tenant: TenantId,
        page: Page<VisitorId>,
    ) -> Result<Vec<VisitorRow>, StoreError> {
        let kept = self.register.lock().visitors(tenant, page);
        kept.into_iter().filter_map(|kept| self.visitor_row(Some(kept)).transpose()).collect()
    }

    fn visitor_row(&self, kept: Option<Visitor>) -> Result<Option<VisitorRow>, StoreError> {
        let Some(Visitor { mut row, name, email }) = kept else { return Ok(None) };
        let lock = sealed::contact_lock(row.tenant, row.site, row.visitor, row.contact_day);
        let bound = |column| sealed::bound(column, row.tenant, row.visitor.as_bytes());
        let name = self.text(&lock, &bound("visitors.name"), name.as_deref())?;
        let email = self.text(&lock, &bound("visitors.email"), email.as_deref())?;
        (row.name, row.email) = (name, email);
        Ok(Some(row))
    }

    /// A sealed column; `None` if it is empty or a key of it is destroyed.
    pub(super) fn text(
        &self,
        lock: &Lock,
        bound: &[u8],
        sealed: Option<&[u8]>,
    ) -> Result<Option<Personal<String>>, StoreError> {
        self.unsealed(sealed::unseal_text(&*self.sealer, lock, bound, sealed))
    }

    pub(super) fn unsealed<T>(&self, outcome: Result<T, SealError>) -> Result<T, StoreError> {
        outcome.map_err(|error| self.keys_failed(error, StoreOp::Read, "read a row"))
    }
}

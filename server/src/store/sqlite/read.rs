//! Rows back into values: conversations, messages, marks, drafts, visitors.

use std::sync::Arc;

use protocol::conversation::ConversationState;
use protocol::ids::{AgentId, ConversationId, MessageId, SiteId, TagId, TenantId, VisitorId};
use protocol::message::{Author, AuthorKind, Seq, Visibility};
use protocol::time::{Day, UnixMillis};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use super::desk;
use super::fault::Fault;
use super::row::{MessageRow, Run, SELECT};
use super::sealed;
use crate::channel::Channel;
use crate::privacy::consent::NoticeHash;
use crate::privacy::envelope::{Envelope, Flags, Parts, Placed, Tag};
use crate::privacy::gate::{Below, Reader as Gate};
use crate::privacy::policy::{PolicyVersion, Purposes, SiteTimeline, evaluate};
use crate::privacy::seal::{Lock, SealError, Sealer};
use crate::store::{
    ConversationFilter, ConversationRow, ConversationSearch, DEAD_MAX, DRAFTS_MAX, DraftRow, Found,
    MarkRow, MessagePage, Moment, Page, Paging, RoomRow, SEARCHED_CONVERSATIONS_MAX, SEARCHED_MAX,
    SearchOrder, SecretHash, Sight, Sketch, VisitorRow, VisitorToken,
};

mod newest;

/// One short read transaction.
pub(in crate::store) struct Reader<'a> {
    pub(super) connection: &'a Connection,
    pub(super) sealer: &'a dyn Sealer,
    pub(super) now: UnixMillis,
    /// What is not in the file yet of the conversation that is asked about.
    pub(super) waiting: &'a [MessageRow<'a>],
}

/// What the messages of a conversation share.
pub(super) struct Home {
    pub(super) id: i64,
    conversation: ConversationId,
    tenant: TenantId,
    site: SiteId,
    visitor: VisitorId,
    timeline: Option<SiteTimeline>,
}

const CONVERSATION: &str = "SELECT conversation, tenant, site, visitor, version, state, assignee,
    offline_message, agents, tags, form, page_url, page_title, locale, created_at, waiting_since,
    closed_at, notice FROM conversations";
const VISITOR: &str = "SELECT visitor, tenant, site, name, email, locale, contact_day, secret,
    secret_before, secret_before_at, secret_expires_at, created_at FROM visitors";

impl Reader<'_> {
    pub(super) fn room(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        tail: u16,
    ) -> Result<Option<RoomRow>, Fault> {
        let Some(header) = self.conversation(tenant, conversation)? else { return Ok(None) };
        let Some(home) = self.home(tenant, conversation)? else { return Ok(None) };
        let newest = self.waiting.last().map_or(Seq(0), |waiting| waiting.seq);
        let full = usize::from(tail);
        let tail = self.kept(&home, Seq(0), None, tail)?;
        // A tail that is not full reaches back to the beginning.
        let first = tail.first().filter(|_| tail.len() >= full).map(|first| first.seq());
        let newest_below = |sight| {
            let Some(first) = first else { return Ok(None) };
            Ok::<_, Fault>(self.sighted(&home, sight, (Seq(0), Some(first)), 1)?.messages.pop())
        };
        let today = self.now.day();
        let below = |reader| {
            let newest = newest_below(Sight::Shown(reader, today))?;
            Ok::<_, Fault>(newest.map(|placed| placed.envelope().tag().ingest_day))
        };
        let words = match tail.iter().rev().find(|placed| placed.is_words()) {
            Some(words) => Some(Arc::clone(words)),
            None => newest_below(Sight::Words(today))?,
        };
        Ok(Some(RoomRow {
            header,
            seq_last: desk::seq_last(self.connection, home.id)?.max(newest),
            below: Below { for_visitors: below(Gate::Visitor)?, for_agents: below(Gate::Agents)? },
            words,
            tail,
            marks: self.marks(&home)?,
        }))
    }

    pub(super) fn conversation_exists(&self, conversation: ConversationId) -> Result<bool, Fault> {
        Ok(self
            .connection
            .prepare_cached("SELECT 1 FROM conversations WHERE conversation = ?1")?
            .exists([conversation.as_bytes()])?)
    }

    pub(super) fn messages(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        after: Seq,
        before: Option<Seq>,
        limit: u16,
    ) -> Result<Vec<Arc<Placed>>, Fault> {
        match self.home(tenant, conversation)? {
            Some(home) => self.kept(&home, after, before, limit),
            None => Ok(Vec::new()),
        }
    }

    pub(super) fn page(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        sight: Sight,
        range: (Seq, Option<Seq>),
        limit: u16,
    ) -> Result<MessagePage, Fault> {
        match self.home(tenant, conversation)? {
            Some(home) => self.sighted(&home, sight, range, limit),
            None => Ok(MessagePage::default()),
        }
    }

    pub(super) fn message(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        message: MessageId,
        after: Seq,
    ) -> Result<Option<Arc<Placed>>, Fault> {
        let Some(home) = self.home(tenant, conversation)? else { return Ok(None) };
        let waiting = self.waiting.iter().rev();
        let waiting = waiting.filter(|row| row.seq > after && row.message == *message.as_bytes());
        for waiting in waiting {
            if let Some(placed) = passed_over(&home, self.placed(&home, waiting))? {
                return Ok(Some(placed));
            }
        }
        // What a long conversation has above its beginning has an index; most conversations are never so long.
        let search = format!(
            "{SELECT}
             WHERE m.conversation = ?1 AND m.seq > ?2 AND m.message = ?3 AND m.seq <= {SEARCHED_MAX}
             ORDER BY m.seq DESC"
        );
        let seek = SELECT.replace("messages m", "messages m INDEXED BY messages_by_id");
        let seek = format!(
            "{seek}
             WHERE m.conversation = ?1 AND m.seq > ?2 AND m.message = ?3 AND m.seq > {SEARCHED_MAX}
             ORDER BY m.seq DESC"
        );
        for sql in [&seek, &search] {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![home.id, after.0, message.as_bytes()])?;
            while let Some(row) = rows.next()? {
                if let Some(placed) = self.read(&home, row)? {
                    return Ok(Some(placed));
                }
            }
        }
        Ok(None)
    }

    /// A page of what the sight sees. Runs of what it leaves out are passed over in one step each.
    fn sighted(
        &self,
        home: &Home,
        sight: Sight,
        (after, before): (Seq, Option<Seq>),
        limit: u16,
    ) -> Result<MessagePage, Fault> {
        let mut paging = Paging::new(limit);
        for row in self.waiting_in(after, before) {
            if paging.is_done() {
                return Ok(paging.finish());
            }
            if !left_out(sight, row)? {
                paging.take(self.seen(home, row, sight)?);
            }
        }
        let mut before = self.file_ends(before);
        let mut statement = self.connection.prepare_cached(&newest_in_range())?;
        'runs: while !paging.is_done() {
            let mut rows = statement.query(params![home.id, seq_i64(after), before])?;
            while !paging.is_done() {
                let Some(row) = rows.next()? else { break 'runs };
                let row =
                    MessageRow::read(row).and_then(|row| Ok(Some((left_out(sight, &row)?, row))));
                let Some((left_out, row)) = passed_over(home, row)? else {
                    paging.take(None);
                    continue;
                };
                if left_out {
                    before = self.run_begins(home, sight, row.seq)?;
                    continue 'runs;
                }
                paging.take(self.seen(home, &row, sight)?);
            }
        }
        Ok(paging.finish())
    }

    /// A message that is not left out; `None` once it cannot be read any more.
    fn seen(
        &self,
        home: &Home,
        row: &MessageRow<'_>,
        sight: Sight,
    ) -> Result<Option<Arc<Placed>>, Fault> {
        if !sight.sees(&self.tag(home, row), home.timeline.as_ref()) {
            return Ok(None);
        }
        passed_over(home, self.placed(home, row))
    }

    /// A row as it stands in the file; `None` where it is damaged or nobody can read it any more.
    fn read(&self, home: &Home, row: &Row<'_>) -> Result<Option<Arc<Placed>>, Fault> {
        passed_over(home, MessageRow::read(row).and_then(|row| self.placed(home, &row)))
    }

    /// Where the run of messages begins that this one is in and that the sight leaves out.
    fn run_begins(&self, home: &Home, sight: Sight, seq: Seq) -> Result<i64, Fault> {
        let run = match sight {
            Sight::Shown(..) => Run::Notes,
            Sight::Words(_) => Run::Wordless,
            Sight::Said(_) => Run::System,
        };
        let begins: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT first FROM message_runs WHERE conversation = ?1 AND run = ?2 AND last >= ?3
                 ORDER BY last LIMIT 1",
            )?
            .query_row(params![home.id, run as u8, seq.0], |row| row.get(0))
            .optional()?;
        let seq = seq_i64(seq);
        Ok(begins.map_or(seq, |begins| begins.min(seq)))
    }

    /// What waits in a range of places, the newest first.
    fn waiting_in(&self, after: Seq, before: Option<Seq>) -> impl Iterator<Item = &MessageRow<'_>> {
        self.waiting.iter().rev().filter(move |waiting| {
            waiting.seq > after && before.is_none_or(|before| waiting.seq < before)
        })
    }

    /// Where the file's part of a range ends: below what waits, for that may have come into the file since, and more
    /// with it.
    fn file_ends(&self, before: Option<Seq>) -> i64 {
        let waits_from = self.waiting.first().map(|waiting| waiting.seq);
        before.into_iter().chain(waits_from).min().map_or(i64::MAX, seq_i64)
    }

    fn kept(
        &self,
        home: &Home,
        after: Seq,
        before: Option<Seq>,
        limit: u16,
    ) -> Result<Vec<Arc<Placed>>, Fault> {
        let limit = usize::from(limit);
        let mut page = Vec::with_capacity(limit.min(128));
        for waiting in self.waiting_in(after, before).take(limit) {
            page.extend(passed_over(home, self.placed(home, waiting))?);
        }
        let mut statement = self.connection.prepare_cached(&newest_in_range())?;
        let range = params![home.id, seq_i64(after), self.file_ends(before)];
        let mut rows = statement.query(range)?;
        let mut dead = 0;
        while page.len() < limit && dead < DEAD_MAX {
            let Some(row) = rows.next()? else { break };
            let placed = self.read(home, row)?;
            dead += usize::from(placed.is_none());
            page.extend(placed);
        }
        page.reverse();
        Ok(page)
    }

    fn tag(&self, home: &Home, row: &MessageRow<'_>) -> Tag {
        let MessageRow { class, ingest_day, .. } = *row;
        let expires = home
            .timeline
            .as_ref()
            .and_then(|timeline| evaluate(timeline, class, ingest_day, self.now.day()).expires);
        Tag {
            tenant: home.tenant,
            site: home.site,
            subject: home.visitor,
            class,
            purposes: Purposes(row.purposes),
            flags: Flags(row.flags),
            policy_version: PolicyVersion(row.policy),
            ingest_day,
            expires,
        }
    }

    /// `None` where a key is destroyed: the row is noise that nobody has swept yet.
    pub(super) fn placed(
        &self,
        home: &Home,
        row: &MessageRow<'_>,
    ) -> Result<Option<Arc<Placed>>, Fault> {
        let tag = self.tag(home, row);
        let bound = sealed::message_bound(&tag, home.conversation, row.seq, &row.message);
        let lock = sealed::message_lock(&tag, home.conversation);
        let Some(plain) = sealed::unless_destroyed(self.sealer.unseal(&lock, &bound, row.body))?
        else {
            return Ok(None);
        };
        let envelope = Envelope::restore(Parts {
            tag,
            conversation: home.conversation,
            message: MessageId::from_bytes(row.message),
            author: author(row.author, row.agent)?,
            visibility: Visibility::from_code(row.visibility).ok_or(Fault::Row("visibility"))?,
            at: UnixMillis(row.at),
            seen_seq: Seq(row.seen_seq),
            content: sealed::content_from(&plain).ok_or(Fault::Row("body"))?,
        });
        Ok(Some(Arc::new(envelope.place(row.seq))))
    }

    pub(super) fn home(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<Home>, Fault> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT c.id, c.site, c.visitor, s.timeline FROM conversations c
                 LEFT JOIN sites s ON s.site = c.site
                 WHERE c.conversation = ?1 AND c.tenant = ?2",
            )?
            .query_row(params![conversation.as_bytes(), tenant.as_bytes()], |row| {
                let timeline: Option<String> = row.get(3)?;
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, timeline))
            })
            .optional()?;
        let Some((id, site, visitor, timeline)) = found else { return Ok(None) };
        let timeline = timeline
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|_| Fault::Row("timeline"))?;
        Ok(Some(Home {
            id,
            conversation,
            tenant,
            site: SiteId::from_bytes(site),
            visitor: VisitorId::from_bytes(visitor),
            timeline,
        }))
    }

    fn marks(&self, home: &Home) -> Result<Vec<MarkRow>, Fault> {
        let mut statement = self.connection.prepare_cached(
            "SELECT author, agent, delivered, seen FROM marks WHERE conversation = ?1",
        )?;
        let mut rows = statement.query([home.id])?;
        let mut marks = Vec::new();
        while let Some(row) = rows.next()? {
            let agent: Vec<u8> = row.get(1)?;
            marks.push(MarkRow {
                tenant: home.tenant,
                conversation: home.conversation,
                author: author(row.get(0)?, <[u8; 16]>::try_from(agent).ok())?,
                delivered: Seq(row.get(2)?),
                seen: Seq(row.get(3)?),
            });
        }
        Ok(marks)
    }

    pub(super) fn conversation(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<ConversationRow>, Fault> {
        let sql = format!("{CONVERSATION} WHERE conversation = ?1 AND tenant = ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![conversation.as_bytes(), tenant.as_bytes()])?;
        rows.next()?.map(|row| self.conversation_row(row)).transpose()
    }

    pub(super) fn conversations(
        &self,
        tenant: TenantId,
        filter: &ConversationFilter,
        page: Page<ConversationId>,
    ) -> Result<Vec<ConversationRow>, Fault> {
        let Some(before) = self.list_goes_on(tenant, page.after)? else { return Ok(Vec::new()) };
        self.newest(tenant, filter, (before, -1), page.limit)
    }

    /// Headers, the newest first: those begun below a moment and above another.
    fn newest(
        &self,
        tenant: TenantId,
        filter: &ConversationFilter,
        (before, after): ((i64, [u8; 16]), i64),
        limit: u16,
    ) -> Result<Vec<ConversationRow>, Fault> {
        let (walk, of) = Walk::of(tenant, filter);
        let mut statement = self.connection.prepare_cached(&walk.sql())?;
        let mut keys: Vec<(i64, [u8; 16])> = Vec::new();
        for state in filter.states().iter().take(if walk.by_state { usize::MAX } else { 1 }) {
            let state = walk.by_state.then(|| Value::Integer(state.code().into()));
            let before = [Value::Integer(before.0), Value::Blob(before.1.to_vec())];
            let after = [Value::Integer(after), Value::Integer(limit.into())];
            let values = of.iter().cloned().chain(state).chain(before).chain(after);
            let mut rows = statement.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                keys.push((row.get(0)?, row.get(1)?));
            }
        }
        keys.sort_unstable_by(|one, other| other.cmp(one));
        keys.truncate(usize::from(limit));
        let mut found = Vec::with_capacity(keys.len());
        for (_, conversation) in keys {
            let row = self.conversation(tenant, ConversationId::from_bytes(conversation))?;
            // A visitor is one site's: either all of theirs pass or none.
            found.extend(row.filter(|row| filter.site.is_none_or(|site| row.site == site)));
        }
        Ok(found)
    }

    pub(super) fn search(
        &self,
        tenant: TenantId,
        search: &ConversationSearch,
        limit: u16,
    ) -> Result<Found, Fault> {
        let (before, after) = search.created_between();
        let bytes = |(at, id): Moment| (moment_i64(at), *id.as_bytes());
        let walked: Vec<(i64, [u8; 16])> = match (search.order, search.tag) {
            (SearchOrder::Changed(after), _) => {
                let (at, id) = bytes(after);
                self.moments(
                    "SELECT at, conversation FROM changes INDEXED BY changes_in_order
                     WHERE tenant = ?1 AND (at, conversation) > (?2, ?3)
                     ORDER BY at, conversation LIMIT ?4",
                    params![tenant.as_bytes(), at, id, SEARCHED_CONVERSATIONS_MAX + 1],
                )?
            }
            (SearchOrder::Newest(_), Some(tag)) => {
                let ((at, id), after) = (bytes(before), after.map_or(-1, moment_i64));
                self.moments(
                    "SELECT created_at, conversation FROM conversation_tags
                     WHERE tag = ?1 AND (created_at, conversation) < (?2, ?3) AND created_at > ?4
                     ORDER BY created_at DESC, conversation DESC LIMIT ?5",
                    params![tag.as_bytes(), at, id, after, SEARCHED_CONVERSATIONS_MAX + 1],
                )?
            }
            (SearchOrder::Newest(_), None) => {
                let range = (bytes(before), after.map_or(-1, moment_i64));
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
        for (at, id) in walked.iter().take(SEARCHED_CONVERSATIONS_MAX) {
            let conversation = ConversationId::from_bytes(*id);
            if self.sketch_passes(tenant, conversation, search)? {
                if found.rows.len() >= usize::from(limit) {
                    return Ok(found);
                }
                found.rows.extend(self.conversation(tenant, conversation)?);
            }
            found.next = Some((UnixMillis(at.unsigned_abs()), conversation));
        }
        found.next = found.next.filter(|_| walked.len() > SEARCHED_CONVERSATIONS_MAX);
        Ok(found)
    }

    fn moments(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<(i64, [u8; 16])>, Fault> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let moments = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(moments.collect::<Result<_, _>>()?)
    }

    /// Whether a conversation passes, by what of it need not be unsealed.
    fn sketch_passes(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        search: &ConversationSearch,
    ) -> Result<bool, Fault> {
        let sql = "SELECT state, site, visitor, assignee, tags, created_at FROM conversations
            WHERE conversation = ?1 AND tenant = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![conversation.as_bytes(), tenant.as_bytes()])?;
        let Some(row) = rows.next()? else { return Ok(false) };
        let tags: Vec<TagId> = ids(row, 4)?.into_iter().map(TagId::from_bytes).collect();
        Ok(search.passes(&Sketch {
            state: ConversationState::from_code(row.get(0)?).ok_or(Fault::Row("state"))?,
            site: SiteId::from_bytes(row.get(1)?),
            visitor: VisitorId::from_bytes(row.get(2)?),
            assignee: row.get::<_, Option<[u8; 16]>>(3)?.map(AgentId::from_bytes),
            tags: &tags,
            created_at: UnixMillis(row.get(5)?),
        }))
    }

    pub(super) fn changed_at(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<UnixMillis>, Fault> {
        let sql = "SELECT at FROM changes WHERE tenant = ?2
            AND id = (SELECT id FROM conversations WHERE conversation = ?1)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let of = params![conversation.as_bytes(), tenant.as_bytes()];
        Ok(statement.query_row(of, |row| row.get(0)).optional()?.map(UnixMillis))
    }

    /// Where a list goes on: below all that is, or below the last conversation of the page before. `None`: that is not
    /// the tenant's.
    fn list_goes_on(
        &self,
        tenant: TenantId,
        after: Option<ConversationId>,
    ) -> Result<Option<(i64, [u8; 16])>, Fault> {
        let Some(after) = after else { return Ok(Some((i64::MAX, [u8::MAX; 16]))) };
        let sql = "SELECT created_at FROM conversations WHERE conversation = ?1 AND tenant = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let of = params![after.as_bytes(), tenant.as_bytes()];
        let created_at = statement.query_row(of, |row| row.get(0)).optional()?;
        Ok(created_at.map(|at| (at, *after.as_bytes())))
    }

    pub(super) fn conversations_live(&self) -> Result<Vec<ConversationRow>, Fault> {
        let sql = format!("{CONVERSATION} WHERE state <> 4 ORDER BY created_at, conversation");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        self.collect_conversations(&mut rows)
    }

    fn collect_conversations(
        &self,
        rows: &mut rusqlite::Rows<'_>,
    ) -> Result<Vec<ConversationRow>, Fault> {
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(self.conversation_row(row)?);
        }
        Ok(found)
    }

    fn conversation_row(&self, row: &Row<'_>) -> Result<ConversationRow, Fault> {
        let mut header = ConversationRow {
            conversation: ConversationId::from_bytes(row.get(0)?),
            tenant: TenantId::from_bytes(row.get(1)?),
            site: SiteId::from_bytes(row.get(2)?),
            visitor: VisitorId::from_bytes(row.get(3)?),
            version: row.get(4)?,
            state: ConversationState::from_code(row.get(5)?).ok_or(Fault::Row("state"))?,
            assignee: row.get::<_, Option<[u8; 16]>>(6)?.map(AgentId::from_bytes),
            channel: Channel::of_widget(row.get(7)?),
            agents: ids(row, 8)?.into_iter().map(AgentId::from_bytes).collect(),
            tags: ids(row, 9)?.into_iter().map(TagId::from_bytes).collect(),
            form: Vec::new(),
            page_url: None,
            page_title: None,
            locale: row.get(13)?,
            created_at: UnixMillis(row.get(14)?),
            waiting_since: row.get::<_, Option<u64>>(15)?.map(UnixMillis),
            closed_at: row.get::<_, Option<u64>>(16)?.map(UnixMillis),
            notice: row.get::<_, Option<[u8; 32]>>(17)?.map(NoticeHash),
        };
        let lock = sealed::header_lock(&header);
        let text = |column: &str, index: usize| {
            let bound = sealed::bound(column, header.tenant, header.conversation.as_bytes());
            self.text(&lock, &bound, row, index)
        };
        let form = sealed::form_from(text("conversations.form", 10)?);
        let page_url = text("conversations.page_url", 11)?;
        let page_title = text("conversations.page_title", 12)?;
        header.form = form;
        header.page_url = page_url;
        header.page_title = page_title;
        Ok(header)
    }

    pub(super) fn drafts(&self, tenant: TenantId, agent: AgentId) -> Result<Vec<DraftRow>, Fault> {
        let mut statement = self.connection.prepare_cached(
            "SELECT c.conversation, c.site, c.visitor, d.day, d.text FROM drafts d
             JOIN conversations c ON c.id = d.conversation
             WHERE d.agent = ?1 AND c.tenant = ?2 ORDER BY d.id DESC LIMIT ?3",
        )?;
        let mut rows = statement.query(params![agent.as_bytes(), tenant.as_bytes(), DRAFTS_MAX])?;
        let mut drafts = Vec::new();
        while let Some(row) = rows.next()? {
            let mut draft = DraftRow {
                tenant,
                site: SiteId::from_bytes(row.get(1)?),
                conversation: ConversationId::from_bytes(row.get(0)?),
                visitor: VisitorId::from_bytes(row.get(2)?),
                agent,
                text: protocol::personal::Personal::new(String::new()),
                day: Day(row.get(3)?),
            };
            let lock = sealed::draft_lock(&draft);
            let bound = sealed::bound("drafts.text", tenant, agent.as_bytes());
            if let Some(text) = self.text(&lock, &bound, row, 4)? {
                draft.text = text;
                drafts.push(draft);
            }
        }
        drafts.reverse();
        Ok(drafts)
    }

    pub(super) fn visitor(
        &self,
        tenant: TenantId,
        visitor: VisitorId,
    ) -> Result<Option<VisitorRow>, Fault> {
        let sql = format!("{VISITOR} WHERE visitor = ?1 AND tenant = ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![visitor.as_bytes(), tenant.as_bytes()])?;
        rows.next()?.map(|row| self.visitor_row(row)).transpose()
    }

    pub(super) fn visitor_by_secret(
        &self,
        tenant: TenantId,
        site: SiteId,
        secret: SecretHash,
    ) -> Result<Option<VisitorToken>, Fault> {
        // Asked one after the other: with OR between them, SQLite goes by the tenant's index and looks at
        // every visitor that it has.
        for column in ["secret", "secret_before"] {
            let sql = format!(
                "SELECT visitor, secret, secret_before, secret_before_at, secret_expires_at
                 FROM visitors WHERE {column} = ?1 AND tenant = ?2 AND site = ?3"
            );
            let mut statement = self.connection.prepare_cached(&sql)?;
            let of = params![secret.0, tenant.as_bytes(), site.as_bytes()];
            let mut rows = statement.query(of)?;
            let Some(row) = rows.next()? else { continue };
            let before: Option<[u8; 32]> = row.get(2)?;
            let before = before.zip(row.get::<_, Option<u64>>(3)?);
            return Ok(Some(VisitorToken {
                visitor: VisitorId::from_bytes(row.get(0)?),
                tenant,
                secret: SecretHash(row.get(1)?),
                secret_before: before.map(|(hash, at)| (SecretHash(hash), UnixMillis(at))),
                secret_expires_at: UnixMillis(row.get(4)?),
            }));
        }
        Ok(None)
    }

    pub(super) fn visitors(
        &self,
        tenant: TenantId,
        page: Page<VisitorId>,
    ) -> Result<Vec<VisitorRow>, Fault> {
        let sql = format!(
            "{VISITOR} INDEXED BY visitors_of_tenant WHERE tenant = ?1 AND id < CASE
                 WHEN ?2 IS NULL THEN 9223372036854775807
                 ELSE (SELECT id FROM visitors WHERE visitor = ?2 AND tenant = ?1) END
             ORDER BY id DESC LIMIT ?3"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let after = page.after.map(|visitor| *visitor.as_bytes());
        let mut rows = statement.query(params![tenant.as_bytes(), after, page.limit])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(self.visitor_row(row)?);
        }
        Ok(found)
    }

    fn visitor_row(&self, row: &Row<'_>) -> Result<VisitorRow, Fault> {
        let visitor = VisitorId::from_bytes(row.get(0)?);
        let tenant = TenantId::from_bytes(row.get(1)?);
        let site = SiteId::from_bytes(row.get(2)?);
        let contact_day = Day(row.get(6)?);
        let lock = sealed::contact_lock(tenant, site, visitor, contact_day);
        let text = |column: &str, index: usize| {
            self.text(&lock, &sealed::bound(column, tenant, visitor.as_bytes()), row, index)
        };
        let before = row.get::<_, Option<[u8; 32]>>(8)?.map(SecretHash);
        let before_at = row.get::<_, Option<u64>>(9)?.map(UnixMillis);
        Ok(VisitorRow {
            visitor,
            tenant,
            site,
            name: text("visitors.name", 3)?,
            email: text("visitors.email", 4)?,
            locale: row.get(5)?,
            contact_day,
            secret: SecretHash(row.get(7)?),
            secret_before: before.zip(before_at),
            secret_expires_at: UnixMillis(row.get(10)?),
            created_at: UnixMillis(row.get(11)?),
        })
    }

    /// A sealed column; `None` if it is empty or a key of it is destroyed.
    pub(super) fn text(
        &self,
        lock: &Lock,
        bound: &[u8],
        row: &Row<'_>,
        index: usize,
    ) -> Result<Option<protocol::personal::Personal<String>>, Fault> {
        let sealed =
            row.get_ref(index)?.as_blob_or_null().map_err(|_| Fault::Keys(SealError::Tampered))?;
        Ok(sealed::unseal_text(self.sealer, lock, bound, sealed)?)
    }
}

/// The index along which a list of conversations is walked.
struct Walk {
    index: &'static str,
    /// Its columns before the state.
    columns: &'static [&'static str],
    /// It has the state before the time: one walk for each state.
    by_state: bool,
}

impl Walk {
    fn of(tenant: TenantId, filter: &ConversationFilter) -> (Self, Vec<Value>) {
        let id = |id: &[u8; 16]| Value::Blob(id.to_vec());
        let tenant = id(tenant.as_bytes());
        let walk = |index, columns, of| (Self { index, columns, by_state: true }, of);
        let ConversationFilter { state, live, site, visitor, assignee } = filter;
        let site = site.as_ref().map(|site| id(site.as_bytes()));
        let assignee = assignee.as_ref().map(|agent| id(agent.as_bytes()));
        match (visitor, assignee, site) {
            (Some(visitor), Some(assignee), _) => walk(
                "conversations_of_visitor_with_agent",
                &["visitor", "assignee"],
                vec![id(visitor.as_bytes()), assignee],
            ),
            (Some(visitor), None, _) => {
                walk("conversations_of_visitor", &["visitor"], vec![id(visitor.as_bytes())])
            }
            (None, Some(assignee), Some(site)) => walk(
                "conversations_of_agent_at_site",
                &["tenant", "assignee", "site"],
                vec![tenant, assignee, site],
            ),
            (None, Some(assignee), None) => {
                walk("conversations_of_agent", &["tenant", "assignee"], vec![tenant, assignee])
            }
            (None, None, Some(site)) => {
                walk("conversations_of_site", &["tenant", "site"], vec![tenant, site])
            }
            (None, None, None) if state.is_some() || *live => {
                walk("conversations_in_state", &["tenant"], vec![tenant])
            }
            (None, None, None) => {
                let index = "conversations_newest";
                (Self { index, columns: &["tenant"], by_state: false }, vec![tenant])
            }
        }
    }

    fn sql(&self) -> String {
        let columns = self.columns.iter().chain(self.by_state.then_some(&"state"));
        let equal: Vec<_> = columns.map(|column| format!("{column} = ?")).collect();
        format!(
            "SELECT created_at, conversation FROM conversations INDEXED BY {}
             WHERE {} AND (created_at, conversation) < (?, ?) AND created_at > ?
             ORDER BY created_at DESC, conversation DESC LIMIT ?",
            self.index,
            equal.join(" AND ")
        )
    }
}

/// A conversation's messages in a range of places, the newest first.
fn newest_in_range() -> String {
    format!("{SELECT} WHERE m.conversation = ?1 AND m.seq > ?2 AND m.seq < ?3 ORDER BY m.seq DESC")
}

fn moment_i64(at: UnixMillis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// SQLite counts to 2^63 - 1; no conversation gets there.
fn seq_i64(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

/// Passes over a message that is damaged: the others of its conversation are read, and it goes on.
fn passed_over<T>(home: &Home, read: Result<Option<T>, Fault>) -> Result<Option<T>, Fault> {
    match read {
        Err(fault) if fault.is_of_a_row() => {
            tracing::error!(
                conversation_id = %home.conversation, tenant_id = %home.tenant,
                "a stored message is damaged and passed over; `livehelp check` on a stopped server says how many are"
            );
            Ok(None)
        }
        read => read,
    }
}

fn left_out(sight: Sight, row: &MessageRow<'_>) -> Result<bool, Fault> {
    let visibility = Visibility::from_code(row.visibility).ok_or(Fault::Row("visibility"))?;
    let author = AuthorKind::from_code(row.author).ok_or(Fault::Row("author"))?;
    Ok(sight.leaves_out(visibility, author))
}

fn author(kind: u8, agent: Option<[u8; 16]>) -> Result<Author, Fault> {
    AuthorKind::from_code(kind)
        .and_then(|kind| Author::from_parts(kind, agent.map(AgentId::from_bytes)))
        .ok_or(Fault::Row("author"))
}

/// A column of ids, one after the other.
fn ids(row: &Row<'_>, index: usize) -> Result<Vec<[u8; 16]>, Fault> {
    let bytes = row.get_ref(index)?.as_blob().map_err(|_| Fault::Row("ids"))?;
    let (whole, rest) = bytes.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(Fault::Row("ids"));
    }
    Ok(whole.to_vec())
}

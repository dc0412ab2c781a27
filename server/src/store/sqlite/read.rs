//! Rows back into values: conversations, messages, receipts, drafts, visitors.

use std::sync::Arc;

use protocol::ids::{AgentId, ConversationId, MessageId, SiteId, TenantId, VisitorId};
use protocol::message::{Author, AuthorKind, Seq, Visibility};
use protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::fault::Fault;
use super::row::{MessageRow, Run, SELECT};
use super::transaction;
use crate::privacy::envelope::{Envelope, Flags, Parts, Sequenced, Tag};
use crate::privacy::policy::{PolicyVersion, Purposes, SiteTimeline, evaluate};
use crate::privacy::seal::Sealer;
use crate::store::record::conversations::Sketch;
use crate::store::record::{Entity, Select, executor, is};
use crate::store::sealed;
use crate::store::search::SEARCHED_CONVERSATIONS_MAX;
use crate::store::sight::{DEAD_MAX, Paging, SEARCHED_MAX};
use crate::store::{
    ConversationRow, ConversationSearch, Found, MessagePage, Moment, ReceiptRow, RoomRow,
    SearchOrder, Sight,
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
        let (is_full, today) = (tail.len() >= full, self.now.day());
        let seq_last = transaction::seq_last(self.connection, home.id)?.max(newest);
        let whole = (header, seq_last, self.receipts(&home)?);
        let newest =
            |sight, first| Ok(self.sighted(&home, sight, (Seq(0), Some(first)), 1)?.messages.pop());
        RoomRow::whole(whole, tail, is_full, today, newest).map(Some)
    }

    pub(super) fn messages(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        after: Seq,
        before: Option<Seq>,
        limit: u16,
    ) -> Result<Vec<Arc<Sequenced>>, Fault> {
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
    ) -> Result<Option<Arc<Sequenced>>, Fault> {
        let Some(home) = self.home(tenant, conversation)? else { return Ok(None) };
        let waiting = self.waiting.iter().rev();
        let waiting = waiting.filter(|row| row.seq > after && row.message == *message.as_bytes());
        for waiting in waiting {
            if let Some(sequenced) = passed_over(&home, self.sequenced(&home, waiting))? {
                return Ok(Some(sequenced));
            }
        }
        // What a long conversation has above its beginning has an index; most conversations are
        // never so long.
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
                if let Some(sequenced) = self.read(&home, row)? {
                    return Ok(Some(sequenced));
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
    ) -> Result<Option<Arc<Sequenced>>, Fault> {
        if !sight.sees(&self.tag(home, row), home.timeline.as_ref()) {
            return Ok(None);
        }
        passed_over(home, self.sequenced(home, row))
    }

    /// A row as it stands in the file; `None` where it is damaged or nobody can read it any more.
    fn read(&self, home: &Home, row: &Row<'_>) -> Result<Option<Arc<Sequenced>>, Fault> {
        passed_over(home, MessageRow::read(row).and_then(|row| self.sequenced(home, &row)))
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

    /// What waits in a range of sequence numbers, the newest first.
    fn waiting_in(&self, after: Seq, before: Option<Seq>) -> impl Iterator<Item = &MessageRow<'_>> {
        self.waiting.iter().rev().filter(move |waiting| {
            waiting.seq > after && before.is_none_or(|before| waiting.seq < before)
        })
    }

    /// Where the file's part of a range ends: below what waits, for that may have come into the
    /// file since, and more with it.
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
    ) -> Result<Vec<Arc<Sequenced>>, Fault> {
        let limit = usize::from(limit);
        let mut page = Vec::with_capacity(limit.min(128));
        for waiting in self.waiting_in(after, before).take(limit) {
            page.extend(passed_over(home, self.sequenced(home, waiting))?);
        }
        let mut statement = self.connection.prepare_cached(&newest_in_range())?;
        let range = params![home.id, seq_i64(after), self.file_ends(before)];
        let mut rows = statement.query(range)?;
        let mut dead = 0;
        while page.len() < limit && dead < DEAD_MAX {
            let Some(row) = rows.next()? else { break };
            let sequenced = self.read(home, row)?;
            dead += usize::from(sequenced.is_none());
            page.extend(sequenced);
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
    pub(super) fn sequenced(
        &self,
        home: &Home,
        row: &MessageRow<'_>,
    ) -> Result<Option<Arc<Sequenced>>, Fault> {
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
        Ok(Some(Arc::new(envelope.sequence(row.seq))))
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

    fn receipts(&self, home: &Home) -> Result<Vec<ReceiptRow>, Fault> {
        let mut statement = self.connection.prepare_cached(
            "SELECT author, agent, delivered, seen FROM marks WHERE conversation = ?1",
        )?;
        let mut rows = statement.query([home.id])?;
        let mut receipts = Vec::new();
        while let Some(row) = rows.next()? {
            let agent: Vec<u8> = row.get(1)?;
            receipts.push(ReceiptRow {
                tenant: home.tenant,
                conversation: home.conversation,
                author: author(row.get(0)?, <[u8; 16]>::try_from(agent).ok())?,
                delivered: Seq(row.get(2)?),
                seen: Seq(row.get(3)?),
            });
        }
        Ok(receipts)
    }

    pub(in crate::store) fn conversation(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<ConversationRow>, Fault> {
        let of = vec![is("conversation", conversation), is("tenant", tenant)];
        Ok(self.entities(&Select::all::<ConversationRow>(of))?.pop())
    }

    fn entities<E: Entity>(&self, select: &Select) -> Result<Vec<E>, Fault> {
        let rows = executor::select(self, select)?.into_iter();
        rows.map(|row| E::from_row(row).ok_or(Fault::Row(E::TABLE.name))).collect()
    }

    pub(in crate::store) fn search(
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
                let list = Select::newest(tenant, &search.filter, range, limit.saturating_add(1));
                let mut rows: Vec<ConversationRow> = self.entities(&list)?;
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
        let of = vec![is("conversation", conversation), is("tenant", tenant)];
        let sketch = self.entities::<Sketch>(&Select::all::<Sketch>(of))?.pop();
        Ok(sketch.is_some_and(|sketch| search.passes(&sketch)))
    }

    pub(in crate::store) fn changed_at(
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
}

/// A conversation's messages in a range of sequence numbers, the newest first.
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

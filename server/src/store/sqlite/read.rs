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
use super::row::{MessageRow, SELECT};
use super::sealed;
use crate::privacy::consent::NoticeHash;
use crate::privacy::envelope::{Envelope, Flags, Parts, Placed, Tag};
use crate::privacy::policy::{PolicyVersion, Purposes, SiteTimeline, evaluate};
use crate::privacy::seal::{Lock, SealError, Sealer};
use crate::store::{
    ConversationFilter, ConversationRow, DraftRow, MarkRow, Page, RoomRow, SecretHash, VisitorRow,
    VisitorToken,
};

/// One short read transaction.
pub(super) struct Reader<'a> {
    pub(super) connection: &'a Connection,
    pub(super) sealer: &'a dyn Sealer,
    pub(super) now: UnixMillis,
    /// What is not in the file yet of the conversation that is asked about.
    pub(super) waiting: &'a [MessageRow<'a>],
}

/// What the messages of a conversation share.
struct Home {
    id: i64,
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
        Ok(Some(RoomRow {
            header,
            seq_last: desk::seq_last(self.connection, home.id)?.max(newest),
            tail: self.page(&home, Seq(0), None, tail)?,
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
            Some(home) => self.page(&home, after, before, limit),
            None => Ok(Vec::new()),
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
            if let Some(placed) = self.placed(&home, waiting)? {
                return Ok(Some(placed));
            }
        }
        let mut statement = self.connection.prepare_cached(&format!(
            "{SELECT}
             WHERE m.conversation = ?1 AND m.seq > ?2 AND m.message = ?3 ORDER BY m.seq DESC"
        ))?;
        let mut rows = statement.query(params![home.id, after.0, message.as_bytes()])?;
        while let Some(row) = rows.next()? {
            if let Some(placed) = self.placed(&home, &MessageRow::read(row)?)? {
                return Ok(Some(placed));
            }
        }
        Ok(None)
    }

    fn page(
        &self,
        home: &Home,
        after: Seq,
        before: Option<Seq>,
        limit: u16,
    ) -> Result<Vec<Arc<Placed>>, Fault> {
        let limit = usize::from(limit);
        let mut page = Vec::with_capacity(limit.min(128));
        let waiting = self.waiting.iter().rev().filter(|waiting| {
            waiting.seq > after && before.is_none_or(|before| waiting.seq < before)
        });
        for waiting in waiting.take(limit) {
            page.extend(self.placed(home, waiting)?);
        }
        // What waited may have come into the file since, and more with it: the file's part ends below it.
        let waits_from = self.waiting.first().map(|waiting| waiting.seq);
        let before = before.into_iter().chain(waits_from).min();
        // SQLite counts to 2^63 - 1; no conversation gets there.
        let before = before.map_or(i64::MAX, |seq| i64::try_from(seq.0).unwrap_or(i64::MAX));
        let after = i64::try_from(after.0).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(&format!(
            "{SELECT}
             WHERE m.conversation = ?1 AND m.seq > ?2 AND m.seq < ?3 ORDER BY m.seq DESC"
        ))?;
        let mut rows = statement.query(params![home.id, after, before])?;
        while page.len() < limit {
            let Some(row) = rows.next()? else { break };
            page.extend(self.placed(home, &MessageRow::read(row)?)?);
        }
        page.reverse();
        Ok(page)
    }

    /// `None` where a key is destroyed: the row is noise that nobody has swept yet.
    fn placed(&self, home: &Home, row: &MessageRow<'_>) -> Result<Option<Arc<Placed>>, Fault> {
        let MessageRow { class, ingest_day, .. } = *row;
        let expires = home
            .timeline
            .as_ref()
            .and_then(|timeline| evaluate(timeline, class, ingest_day, self.now.day()).expires);
        let tag = Tag {
            tenant: home.tenant,
            site: home.site,
            subject: home.visitor,
            class,
            purposes: Purposes(row.purposes),
            flags: Flags(row.flags),
            policy_version: PolicyVersion(row.policy),
            ingest_day,
            expires,
        };
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

    fn home(&self, tenant: TenantId, conversation: ConversationId) -> Result<Option<Home>, Fault> {
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
        let mut sql = format!("{CONVERSATION} WHERE tenant = ?");
        let mut values = vec![Value::Blob(tenant.as_bytes().to_vec())];
        let mut condition = |text: &str, value: Value| {
            sql.push_str(text);
            values.push(value);
        };
        if let Some(state) = filter.state {
            condition(" AND state = ?", Value::Integer(state.code().into()));
        }
        if filter.live {
            condition(" AND state <> ?", Value::Integer(ConversationState::Closed.code().into()));
        }
        if let Some(site) = filter.site {
            condition(" AND site = ?", Value::Blob(site.as_bytes().to_vec()));
        }
        if let Some(visitor) = filter.visitor {
            condition(" AND visitor = ?", Value::Blob(visitor.as_bytes().to_vec()));
        }
        if let Some(assignee) = filter.assignee {
            condition(" AND assignee = ?", Value::Blob(assignee.as_bytes().to_vec()));
        }
        if let Some(after) = page.after {
            condition(
                " AND (created_at, conversation) < (SELECT created_at, conversation
                     FROM conversations WHERE conversation = ? AND tenant = ?1)",
                Value::Blob(after.as_bytes().to_vec()),
            );
        }
        condition(
            " ORDER BY created_at DESC, conversation DESC LIMIT ?",
            Value::Integer(page.limit.into()),
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        self.collect_conversations(&mut rows)
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
            offline_message: row.get(7)?,
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
             WHERE d.agent = ?1 AND c.tenant = ?2 ORDER BY d.id",
        )?;
        let mut rows = statement.query(params![agent.as_bytes(), tenant.as_bytes()])?;
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
            "{VISITOR} WHERE tenant = ?1 AND (?2 IS NULL OR id <
                 (SELECT id FROM visitors WHERE visitor = ?2 AND tenant = ?1))
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

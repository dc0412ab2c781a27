//! A transaction of the writer, in which writes are carried out, with what it remembers.

mod messages;

use protocol::ids::{ConversationId, SiteId, TenantId, VisitorId};
use protocol::message::Seq;
use protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension as _, params};

pub(super) use self::messages::seq_last;
use super::fault::Fault;
use super::feed::Readers;
use super::journal::{Need, Reached};
use crate::privacy::envelope::Tag;
use crate::privacy::seal::{Bucket, Lock, Sealer};
use crate::recent::Recent;
use crate::store::record::conversations::TOKEN;
use crate::store::record::{Change, executor, is};
use crate::store::{ConversationRow, DraftRow, ReceiptRow, StoreError, Write, Wrote, sealed};

/// Conversations and buckets that the writer knows by heart.
const REMEMBERED_HALF_LEN: usize = 8_192;
/// A bucket's range of rowids grows by so many at a time, so that it is seldom written.
const RANGE_ROWS: i64 = 4_096;

/// What a message needs of its conversation.
#[derive(Debug, Clone, Copy)]
struct Home {
    id: i64,
    tenant: TenantId,
    site: SiteId,
    visitor: VisitorId,
    /// The newest sequence number that has a message, in the file or on its way there.
    seq_last: Seq,
    /// The bucket of its newest message: mostly that of its next one.
    bucket: Option<(Bucket, i64)>,
}

/// Rowids of what a message's row hangs on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rowids {
    pub(super) conversation: i64,
    pub(super) bucket: i64,
}

impl Home {
    fn is_of(&self, tag: &Tag) -> bool {
        self.tenant == tag.tenant && self.site == tag.site && self.visitor == tag.subject
    }
}

/// A bucket's row and the end of its range.
#[derive(Debug, Clone, Copy)]
struct Known {
    id: i64,
    message_end: i64,
}

/// What the writer remembers between transactions; forgotten whenever one is rolled back.
#[derive(Debug)]
pub(super) struct Memory {
    conversations: Recent<ConversationId, Home>,
    buckets: Recent<Bucket, Known>,
    /// The key store's number in the file.
    pub(super) generation: u64,
    /// Whose feed is read; none before it was asked.
    pub(super) readers: Option<Readers>,
    /// The moment of what the open transaction changes; none before its first change.
    changed_at: Option<u64>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            conversations: Recent::new(REMEMBERED_HALF_LEN),
            buckets: Recent::new(REMEMBERED_HALF_LEN),
            generation: 0,
            readers: None,
            changed_at: None,
        }
    }

    /// The transaction is over: the next one has a moment of its own.
    pub(super) fn ended(&mut self) {
        self.changed_at = None;
    }

    pub(super) fn forget(&mut self) {
        self.conversations.clear();
        self.buckets.clear();
        self.generation = 0;
        self.readers = None;
        self.changed_at = None;
    }
}

/// One transaction of the writer.
pub(in crate::store) struct Transaction<'a> {
    pub(super) connection: &'a Connection,
    pub(super) memory: &'a mut Memory,
    pub(super) sealer: &'a dyn Sealer,
    pub(super) now: UnixMillis,
}

impl Transaction<'_> {
    pub(super) fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, Fault> {
        Ok(self.connection.prepare_cached(sql)?.execute(values)?)
    }

    /// One write of a batch, whose conditions it judges.
    pub(in crate::store) fn write(&mut self, write: &Write) -> Result<Wrote, Fault> {
        match write {
            Write::Message(sequenced) => self.message(sequenced),
            Write::Floor { tenant, conversation, seq } => self.floor(*tenant, *conversation, *seq),
            Write::Conversation(row) => self.conversation(row),
            Write::Visitor(row) => self.change(Change::put((**row).clone())),
            Write::VisitorToken(row) => self.change(Change::update((**row).clone(), TOKEN)),
            Write::Receipt(row) => self.receipt(row),
            Write::Draft(row) => self.draft(row),
            Write::Record(change) => self.change(change.clone()),
        }
    }

    /// A conversation has changed, at the moment of this transaction: later than that of any before
    /// it, also where the clock stepped back.
    fn changed(&mut self, home: i64) -> Result<(), Fault> {
        let at = match self.memory.changed_at {
            Some(at) => at,
            None => self
                .connection
                .prepare_cached("UPDATE change_mark SET at = max(at + 1, ?1) RETURNING at")?
                .query_row([self.now.0], |row| row.get(0))?,
        };
        self.memory.changed_at = Some(at);
        // Nearly every conversation is there: that is asked first, since it costs half.
        if self.execute("UPDATE changes SET at = ?2 WHERE id = ?1", params![home, at])? > 0 {
            return Ok(());
        }
        self.execute(
            "INSERT INTO changes (id, tenant, at, conversation)
             SELECT id, tenant, ?2, conversation FROM conversations WHERE id = ?1
             ON CONFLICT (id) DO UPDATE SET at = excluded.at WHERE at <> excluded.at",
            params![home, at],
        )?;
        Ok(())
    }

    /// Something was said in these, whose messages are kept elsewhere.
    pub(in crate::store) fn touch(&mut self, touched: &[ConversationId]) -> Result<(), Fault> {
        for conversation in touched {
            if let Some(home) = self.home(*conversation)? {
                self.changed(home.id)?;
            }
        }
        Ok(())
    }

    /// What holds once this transaction is committed: how often that was done and how much of it is
    /// in the file, up to where the file has what was in the journal, and the key store's number.
    pub(super) fn note(
        &self,
        (commits, in_file): (u64, u64),
        checkpointed: &Reached,
        need: Need,
        generation: u64,
    ) -> Result<(), Fault> {
        self.execute(
            "UPDATE meta SET commits = ?1, journal_epoch = ?2, journal_batches = ?3,
                 journal_rows = ?4, journal_sum = ?5, journal_need = ?6,
                 generation = max(generation, ?7), in_file = ?8",
            params![
                commits,
                checkpointed.epoch,
                checkpointed.batches,
                checkpointed.rows,
                checkpointed.sum,
                need.code(),
                generation,
                in_file
            ],
        )?;
        Ok(())
    }

    fn floor(
        &mut self,
        tenant: TenantId,
        conversation: ConversationId,
        seq: Seq,
    ) -> Result<Wrote, Fault> {
        let home = self.home_of(tenant, conversation)?;
        self.execute(
            "UPDATE conversations SET seq_floor = max(seq_floor, ?2) WHERE id = ?1",
            params![home.id, seq.0],
        )?;
        Ok(Wrote::Done)
    }

    fn conversation(&mut self, row: &ConversationRow) -> Result<Wrote, Fault> {
        let known = self.labels(row)?;
        if self.change(Change::put(row.clone()))? == Wrote::PassedOver {
            return Ok(Wrote::PassedOver);
        }
        let now = match known {
            Some(known) => Some(known),
            None => self.labels(row)?.map(|(home, _)| (home, Vec::new())),
        };
        let Some((home, before)) = now else { return Ok(Wrote::Done) };
        self.relabel(row, &before)?;
        self.changed(home)?;
        Ok(Wrote::Done)
    }

    /// Where a conversation stands that is known already, and the labels that it has.
    fn labels(&self, row: &ConversationRow) -> Result<Option<(i64, Vec<u8>)>, Fault> {
        let sql = "SELECT id, tags FROM conversations WHERE conversation = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement
            .query_row([row.conversation.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(found.optional()?)
    }

    /// Lists a conversation under the labels that it has now, and under no other.
    fn relabel(&self, row: &ConversationRow, before: &[u8]) -> Result<(), Fault> {
        let has = |tag: &[u8; 16]| row.tags.iter().any(|now| now.as_bytes() == tag);
        let (before, _) = before.as_chunks::<16>();
        for tag in before.iter().filter(|tag| !has(tag)) {
            self.unlabel(tag, row.conversation.as_bytes())?;
        }
        for tag in row.tags.iter().filter(|tag| !before.contains(tag.as_bytes())) {
            // It began when it first began, whatever this row says.
            self.execute(
                "INSERT OR IGNORE INTO conversation_tags (tag, created_at, conversation)
                 SELECT ?1, created_at, conversation FROM conversations WHERE conversation = ?2",
                params![tag.as_bytes(), row.conversation.as_bytes()],
            )?;
        }
        Ok(())
    }

    fn unlabel(&self, tag: &[u8; 16], conversation: &[u8; 16]) -> Result<(), Fault> {
        self.execute(
            "DELETE FROM conversation_tags WHERE tag = ?1 AND conversation = ?2 AND created_at =
                 (SELECT created_at FROM conversations WHERE conversation = ?2)",
            params![tag, conversation],
        )?;
        Ok(())
    }

    fn receipt(&mut self, row: &ReceiptRow) -> Result<Wrote, Fault> {
        let home = self.home_of(row.tenant, row.conversation)?;
        let agent = row.author.agent();
        self.execute(
            "INSERT INTO marks (conversation, author, agent, delivered, seen)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (conversation, author, agent) DO UPDATE SET
                 delivered = max(delivered, excluded.delivered), seen = max(seen, excluded.seen)",
            params![
                home.id,
                row.author.kind().code(),
                agent.as_ref().map_or(&[][..], |agent| agent.as_bytes().as_slice()),
                row.delivered.0,
                row.seen.0
            ],
        )?;
        Ok(Wrote::Done)
    }

    fn draft(&mut self, row: &DraftRow) -> Result<Wrote, Fault> {
        if !row.text.expose().is_empty() {
            return self.change(Change::put(row.clone()));
        }
        let home = self.home_of(row.tenant, row.conversation)?;
        let of = [is("conversation", row.conversation), is("agent", row.agent)];
        let of = of.into_iter().chain([is("tenant", home.tenant)]);
        self.change(Change::clear::<DraftRow>(of.collect()))
    }

    fn home(&mut self, conversation: ConversationId) -> Result<Option<Home>, Fault> {
        if let Some(home) = self.memory.conversations.get(&conversation) {
            return Ok(Some(home));
        }
        let home = self
            .connection
            .prepare_cached(
                "SELECT id, tenant, site, visitor,
                     coalesce((SELECT max(seq) FROM messages m WHERE m.conversation = c.id), 0)
                 FROM conversations c WHERE conversation = ?1",
            )?
            .query_row([conversation.as_bytes()], |row| {
                Ok(Home {
                    id: row.get(0)?,
                    tenant: TenantId::from_bytes(row.get(1)?),
                    site: SiteId::from_bytes(row.get(2)?),
                    visitor: VisitorId::from_bytes(row.get(3)?),
                    seq_last: Seq(row.get(4)?),
                    bucket: None,
                })
            })
            .optional()?;
        if let Some(home) = home {
            self.memory.conversations.insert(conversation, home);
        }
        Ok(home)
    }

    fn home_of(&mut self, tenant: TenantId, conversation: ConversationId) -> Result<Home, Fault> {
        let home = self.home(conversation)?.filter(|home| home.tenant == tenant);
        Ok(home.ok_or(StoreError::NotFound)?)
    }

    /// The bucket's row; made when its first record comes.
    fn bucket(&mut self, bucket: &Bucket) -> Result<Known, Fault> {
        if let Some(known) = self.known_bucket(bucket)? {
            return Ok(known);
        }
        let site = bucket.site.as_ref().map_or(&[][..], |site| site.as_bytes().as_slice());
        self.execute(
            "INSERT INTO buckets (tenant, site, class, day, message_first, message_end)
             VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(id), 0) + 1 FROM messages), 0)",
            params![bucket.tenant.as_bytes(), site, bucket.class.code(), bucket.day.0],
        )?;
        let known = Known { id: self.connection.last_insert_rowid(), message_end: 0 };
        self.memory.buckets.insert(*bucket, known);
        Ok(known)
    }

    fn known_bucket(&mut self, bucket: &Bucket) -> Result<Option<Known>, Fault> {
        if let Some(known) = self.memory.buckets.get(bucket) {
            return Ok(Some(known));
        }
        let site = bucket.site.as_ref().map_or(&[][..], |site| site.as_bytes().as_slice());
        let known = self
            .connection
            .prepare_cached(
                "SELECT id, message_end FROM buckets
                 WHERE tenant = ?1 AND site = ?2 AND class = ?3 AND day = ?4",
            )?
            .query_row(
                params![bucket.tenant.as_bytes(), site, bucket.class.code(), bucket.day.0],
                |row| Ok(Known { id: row.get(0)?, message_end: row.get(1)? }),
            )
            .optional()?;
        if let Some(known) = known {
            self.memory.buckets.insert(*bucket, known);
        }
        Ok(known)
    }

    /// The bucket's rowid, for a row that stands in no conversation.
    pub(super) fn bucket_id(&mut self, bucket: &Bucket) -> Result<i64, Fault> {
        Ok(self.bucket(bucket)?.id)
    }

    fn stretch(&mut self, bucket: &Bucket, known: Known, row: i64) -> Result<(), Fault> {
        let message_end = row.saturating_add(RANGE_ROWS);
        // Rowids can begin anew below the first one after a clean-up of the newest.
        self.execute(
            "UPDATE buckets SET message_end = ?2, message_first = min(message_first, ?3) WHERE id = ?1",
            params![known.id, message_end, row],
        )?;
        self.memory.buckets.insert(*bucket, Known { id: known.id, message_end });
        Ok(())
    }

    pub(super) fn forget_bucket(&mut self, bucket: &Bucket) {
        self.memory.buckets.remove(bucket);
        self.forget_conversations();
    }

    pub(super) fn forget_conversations(&mut self) {
        self.memory.conversations.clear();
    }
}

/// The locks that a batch of writes will need.
pub(in crate::store) fn locks(writes: &[Write], into: &mut Vec<Lock>) {
    for write in writes {
        match write {
            Write::Message(sequenced) => {
                let envelope = sequenced.envelope();
                into.push(sealed::message_lock(envelope.tag(), envelope.conversation()));
            }
            Write::Conversation(row) => {
                if !row.form.is_empty() || row.page_url.is_some() || row.page_title.is_some() {
                    into.extend(executor::lock_needed((**row).clone()));
                }
            }
            Write::Visitor(row) => into.extend(executor::lock_needed((**row).clone())),
            Write::Draft(row) => {
                if !row.text.expose().is_empty() {
                    into.extend(executor::lock_needed((**row).clone()));
                }
            }
            // A record's own are made where it is sealed.
            Write::Receipt(_) | Write::Floor { .. } | Write::VisitorToken(_) | Write::Record(_) => {
            }
        }
    }
}

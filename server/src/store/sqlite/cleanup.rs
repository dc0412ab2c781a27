//! Behind the destruction of a bucket's key: its rows go, a few at a time, and then what the log
//! kept. What stays of messages that are gone is one tombstone for each conversation: the newest
//! sequence number that was given.

use protocol::ids::{ConversationId, SiteId, TenantId, VisitorId};
use protocol::retention::RetentionClass;
use protocol::time::Day;
use rusqlite::{OptionalExtension as _, params};

use super::fault::Fault;
use super::read::Reader;
use super::transaction::Transaction;
use crate::privacy::seal::{Bucket, Subject};
use crate::store::StoreError;
use crate::store::record::executor;

/// Rowids that one step looks at.
const CHUNK_ROWS: i64 = 512;

/// Where a clean-up stands: the next rowid to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Go on from here.
    From(i64),
    /// No message of the bucket is left.
    Done,
}

impl Transaction<'_> {
    /// The range of rowids that may hold messages of a bucket; `None` if there is no such bucket.
    pub(super) fn clean_up_begin(&mut self, bucket: &Bucket) -> Result<Option<(i64, i64)>, Fault> {
        self.forget_bucket(bucket);
        Ok(self
            .connection
            .prepare_cached(
                "SELECT id, message_first FROM buckets
                 WHERE tenant = ?1 AND site = ?2 AND class = ?3 AND day = ?4",
            )?
            .query_row(
                params![
                    bucket.tenant.as_bytes(),
                    bucket.site.as_ref().map_or(&[][..], |site| site.as_bytes().as_slice()),
                    bucket.class.code(),
                    bucket.day.0
                ],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?)
    }

    /// Deletes the bucket's messages among the next rowids. Their conversations remember the newest
    /// sequence number.
    pub(super) fn clean_up_messages(&mut self, bucket: i64, from: i64) -> Result<Step, Fault> {
        let end: i64 = self
            .connection
            .prepare_cached("SELECT message_end FROM buckets WHERE id = ?1")?
            .query_row([bucket], |row| row.get(0))?;
        let to = from.saturating_add(CHUNK_ROWS);
        let range = params![bucket, from, to];
        self.execute(
            "UPDATE conversations SET seq_floor = max(seq_floor, gone.seq)
             FROM (SELECT conversation, max(seq) AS seq FROM messages
                   WHERE id >= ?2 AND id < ?3 AND bucket = ?1 GROUP BY conversation) AS gone
             WHERE conversations.id = gone.conversation",
            range,
        )?;
        let conversations: Vec<i64> = self
            .connection
            .prepare_cached(
                "SELECT DISTINCT conversation FROM messages
                 WHERE id >= ?2 AND id < ?3 AND bucket = ?1",
            )?
            .query_map(range, |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        self.execute("DELETE FROM messages WHERE id >= ?2 AND id < ?3 AND bucket = ?1", range)?;
        for conversation in conversations {
            self.clean_up_conversation(conversation)?;
        }
        Ok(if to > end { Step::Done } else { Step::From(to) })
    }

    /// Everything else that was sealed in the bucket, and what is bare without it.
    pub(super) fn clean_up_rest(&mut self, bucket: i64) -> Result<(), Fault> {
        for (conversation, _) in self.clean_up_sealed(bucket)? {
            self.clean_up_conversation(conversation)?;
        }
        Ok(())
    }

    /// Everything that was sealed in the bucket but messages. Conversations that may be bare
    /// without it.
    pub(super) fn clean_up_sealed(
        &mut self,
        bucket: i64,
    ) -> Result<Vec<(i64, ConversationId)>, Fault> {
        let emptied = self.conversations(
            "SELECT id, conversation FROM conversations WHERE bucket = ?1 OR id IN
                 (SELECT conversation FROM drafts WHERE bucket = ?1)",
            [bucket],
        )?;
        executor::forget_bucket(self, bucket)?;
        Ok(emptied)
    }

    fn conversations(
        &self,
        sql: &str,
        of: impl rusqlite::Params,
    ) -> Result<Vec<(i64, ConversationId)>, Fault> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement
            .query_map(of, |row| Ok((row.get(0)?, ConversationId::from_bytes(row.get(1)?))))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    pub(super) fn clean_up_end(&mut self, bucket: i64) -> Result<(), Fault> {
        self.execute("DELETE FROM buckets WHERE id = ?1", [bucket])?;
        Ok(())
    }

    /// Behind the destruction of a visitor's key: what they and their agents said, their drafts,
    /// forms, pages and contact data go. Sequence numbers are not given again. Which conversations
    /// they had.
    pub(in crate::store) fn forget_visitor(
        &mut self,
        tenant: TenantId,
        visitor: VisitorId,
    ) -> Result<Vec<ConversationId>, Fault> {
        let theirs = self.conversations(
            "SELECT id, conversation FROM conversations WHERE visitor = ?1 AND tenant = ?2",
            params![visitor.as_bytes(), tenant.as_bytes()],
        )?;
        let blanked = executor::forget_person(self, tenant, Subject::Visitor(visitor))?;
        if blanked.iter().all(|(_, rows)| *rows == 0) {
            return Err(StoreError::NotFound.into());
        }
        for (conversation, _) in &theirs {
            self.execute(
                "UPDATE conversations SET seq_floor = max(seq_floor, coalesce(
                     (SELECT max(seq) FROM messages WHERE conversation = ?1), 0)) WHERE id = ?1",
                [conversation],
            )?;
            for table in ["messages", "message_runs"] {
                let sql = format!("DELETE FROM {table} WHERE conversation = ?1");
                self.execute(&sql, [conversation])?;
            }
            self.clean_up_conversation(*conversation)?;
        }
        self.forget_conversations();
        Ok(theirs.into_iter().map(|(_, conversation)| conversation).collect())
    }

    /// One of which nothing that was said is left, where messages are kept elsewhere: whether it is
    /// gone.
    pub(in crate::store) fn end_if_bare(
        &mut self,
        conversation: ConversationId,
    ) -> Result<bool, Fault> {
        let sql = "SELECT id, conversation FROM conversations WHERE conversation = ?1";
        let Some((id, _)) = self.conversations(sql, [conversation.as_bytes()])?.pop() else {
            return Ok(true);
        };
        self.clean_up_conversation(id)
    }

    /// A closed conversation of which nothing is left goes too, and a visitor with their last one.
    fn clean_up_conversation(&mut self, conversation: i64) -> Result<bool, Fault> {
        let gone = self
            .connection
            .prepare_cached(
                "DELETE FROM conversations WHERE id = ?1 AND state = 4 AND bucket IS NULL
                     AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation = ?1)
                     AND NOT EXISTS (SELECT 1 FROM drafts WHERE conversation = ?1)
                 RETURNING visitor, conversation, created_at, tags",
            )?
            .query_row([conversation], |row| {
                let visitor: [u8; 16] = row.get(0)?;
                let (id, created_at): ([u8; 16], u64) = (row.get(1)?, row.get(2)?);
                Ok((visitor, id, created_at, row.get::<_, Vec<u8>>(3)?))
            })
            .optional()?;
        let Some((visitor, id, created_at, tags)) = gone else { return Ok(false) };
        self.forget_conversations();
        self.execute("DELETE FROM marks WHERE conversation = ?1", [conversation])?;
        self.execute("DELETE FROM message_runs WHERE conversation = ?1", [conversation])?;
        self.execute("DELETE FROM changes WHERE id = ?1", [conversation])?;
        for tag in tags.as_chunks::<16>().0 {
            self.execute(
                "DELETE FROM conversation_tags WHERE tag = ?1 AND created_at = ?2
                     AND conversation = ?3",
                params![tag, created_at, id],
            )?;
        }
        self.execute(
            "DELETE FROM visitors WHERE visitor = ?1 AND bucket IS NULL
                 AND NOT EXISTS (SELECT 1 FROM conversations WHERE visitor = ?1)",
            [visitor],
        )?;
        Ok(true)
    }
}

impl Reader<'_> {
    /// Buckets of classes that this program knows; others are left alone.
    pub(in crate::store) fn buckets(&self) -> Result<Vec<Bucket>, Fault> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT tenant, site, class, day FROM buckets ORDER BY day, id")?;
        let mut rows = statement.query([])?;
        let mut buckets = Vec::new();
        while let Some(row) = rows.next()? {
            let site: Vec<u8> = row.get(1)?;
            buckets.push(Bucket {
                tenant: TenantId::from_bytes(row.get(0)?),
                site: <[u8; 16]>::try_from(site).ok().map(SiteId::from_bytes),
                class: RetentionClass::from_code(row.get(2)?).ok_or(Fault::Row("class"))?,
                day: Day(row.get(3)?),
            });
        }
        Ok(buckets)
    }
}

//! Messages on their way into the file: straight, or checkpointed from the journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::ids::{ConversationId, SiteId, TenantId, VisitorId};
use protocol::message::Seq;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Home, Known, Rowids, Transaction};
use crate::privacy::envelope::Sequenced;
use crate::store::feed::kind;
use crate::store::sealed;
use crate::store::sqlite::fault::Fault;
use crate::store::sqlite::feed::Changed;
use crate::store::sqlite::memtable::Memtable;
use crate::store::sqlite::row::MessageRow;
use crate::store::{StoreError, Wrote};

/// The newest sequence number of a conversation, also if its message was cleaned up since.
pub(in crate::store::sqlite) fn seq_last(connection: &Connection, home: i64) -> Result<Seq, Fault> {
    let seq = connection
        .prepare_cached(
            "SELECT max(coalesce((SELECT max(seq) FROM messages WHERE conversation = ?1), 0), seq_floor)
             FROM conversations WHERE id = ?1",
        )?
        .query_row([home], |row| row.get(0))?;
    Ok(Seq(seq))
}

impl Transaction<'_> {
    /// Where the row of a message goes, if nothing more than that need be known of the file: its
    /// conversation and bucket are there, and its sequence number is above all others. `None`: the
    /// writing itself has to find out. Outside of a transaction as well.
    pub(in crate::store::sqlite) fn rowids_of(
        &mut self,
        sequenced: &Sequenced,
        memtable: &Memtable,
    ) -> Result<Option<Rowids>, Fault> {
        let envelope = sequenced.envelope();
        let (tag, conversation) = (envelope.tag(), envelope.conversation());
        let dead = tag.expires.is_some_and(|day| self.now.day() >= day);
        let bucket = sealed::message_lock(tag, conversation).bucket;
        if dead {
            return Ok(None);
        }
        let home = match self.memory.conversations.get_mut(&conversation) {
            Some(home) => home,
            None => match self.read_home(conversation, memtable)? {
                Some(home) => home,
                None => return Ok(None),
            },
        };
        if !home.is_of(tag) || sequenced.seq() <= home.seq_last {
            return Ok(None);
        }
        home.seq_last = sequenced.seq();
        let home = *home;
        if let Some((_, id)) = home.bucket.filter(|(known, _)| *known == bucket) {
            return Ok(Some(Rowids { conversation: home.id, bucket: id }));
        }
        let Some(Known { id, .. }) = self.known_bucket(&bucket)? else { return Ok(None) };
        let home = Home { bucket: Some((bucket, id)), ..home };
        self.memory.conversations.insert(conversation, home);
        Ok(Some(Rowids { conversation: home.id, bucket: id }))
    }

    /// A conversation that is not remembered yet; from then on it is.
    pub(super) fn read_home(
        &mut self,
        conversation: ConversationId,
        memtable: &Memtable,
    ) -> Result<Option<&mut Home>, Fault> {
        let Some(home) = self.home(conversation)? else { return Ok(None) };
        let seq_last = home.seq_last.max(memtable.seq_last(conversation).unwrap_or(Seq(0)));
        self.memory.conversations.insert(conversation, Home { seq_last, ..home });
        Ok(self.memory.conversations.get_mut(&conversation))
    }

    pub(super) fn message(&mut self, sequenced: &Arc<Sequenced>) -> Result<Wrote, Fault> {
        let envelope = sequenced.envelope();
        let tag = envelope.tag();
        let home = self
            .home(envelope.conversation())?
            .filter(|home| home.is_of(tag))
            .ok_or(StoreError::NotFound)?;
        if tag.expires.is_some_and(|day| self.now.day() >= day) {
            // It died while it waited: nobody may read it any more, so nothing is kept of it.
            return Ok(Wrote::PassedOver);
        }
        let Some(body) = sealed::seal_message(self.sealer, sequenced)? else {
            return Err(StoreError::NotFound.into());
        };
        let lock = sealed::message_lock(tag, envelope.conversation());
        let bucket = self.bucket(&lock.bucket)?;
        let row = MessageRow::new(sequenced, home.id, bucket.id, &body);
        let Some(id) = row.insert(&mut MessageRow::insertion(self.connection)?, self.connection)?
        else {
            return self.taken(home.id, sequenced);
        };
        if let Some(home) = self.memory.conversations.get_mut(&envelope.conversation()) {
            home.seq_last = home.seq_last.max(row.seq);
        }
        if id > bucket.message_end {
            self.stretch(&lock.bucket, bucket, id)?;
        }
        if self.feeds()? {
            self.note_message(&home, envelope.conversation().as_bytes(), row.seq)?;
        }
        self.changed(home.id)?;
        Ok(Wrote::Done)
    }

    pub(super) fn note_message(
        &mut self,
        home: &Home,
        of: &[u8; 16],
        seq: Seq,
    ) -> Result<(), Fault> {
        let changed = Changed {
            site: Some(home.site),
            kind: kind::MESSAGE,
            object: *of,
            version: seq.0,
            subject: Some(*home.visitor.as_bytes()),
        };
        self.note_change(home.tenant, &changed)
    }

    /// The conversation of a message of the journal, which has its number alone.
    pub(super) fn home_at(&self, id: i64) -> Result<Option<(Home, [u8; 16])>, Fault> {
        let sql = "SELECT tenant, site, visitor, conversation FROM conversations WHERE id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row([id], |row| {
            let home = Home {
                id,
                tenant: TenantId::from_bytes(row.get(0)?),
                site: SiteId::from_bytes(row.get(1)?),
                visitor: VisitorId::from_bytes(row.get(2)?),
                seq_last: Seq(0),
                bucket: None,
            };
            Ok((home, row.get(3)?))
        });
        Ok(found.optional()?)
    }

    /// Puts rows of the journal into the file. Their buckets' ranges grow with them.
    pub(in crate::store::sqlite) fn checkpoint_rows<'r>(
        &mut self,
        rows: impl Iterator<Item = MessageRow<'r>>,
    ) -> Result<(), Fault> {
        let mut ranges: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        let mut insertion = MessageRow::insertion(self.connection)?;
        let mut changed = None;
        let feeds = self.feeds()?;
        let mut home = None;
        for row in rows {
            // They come by their conversations.
            if changed.replace(row.conversation) != Some(row.conversation) {
                self.changed(row.conversation)?;
                home = if feeds { self.home_at(row.conversation)? } else { None };
            }
            let Some(id) = row.insert(&mut insertion, self.connection)? else {
                tracing::error!(
                    seq = row.seq.0,
                    "a message of the journal found its sequence number taken"
                );
                continue;
            };
            if let Some((home, conversation)) = &home {
                self.note_message(home, conversation, row.seq)?;
            }
            let (first, end) = ranges.entry(row.bucket).or_insert((id, id));
            (*first, *end) = ((*first).min(id), (*end).max(id));
        }
        for (bucket, (first, end)) in ranges {
            self.execute(
                "UPDATE buckets SET message_first = min(message_first, ?2),
                     message_end = max(message_end, ?3) WHERE id = ?1",
                params![bucket, first, end],
            )?;
        }
        Ok(())
    }

    /// The sequence number has a message. The same one: it was stored before, and that is all one
    /// wants.
    pub(super) fn taken(&self, home: i64, sequenced: &Sequenced) -> Result<Wrote, Fault> {
        let there: [u8; 16] = self
            .connection
            .prepare_cached("SELECT message FROM messages WHERE conversation = ?1 AND seq = ?2")?
            .query_row(params![home, sequenced.seq().0], |row| row.get(0))?;
        if there == *sequenced.envelope().message().as_bytes() {
            return Ok(Wrote::PassedOver);
        }
        Err(StoreError::SeqTaken { seq_last: seq_last(self.connection, home)? }.into())
    }
}

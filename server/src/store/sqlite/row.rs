//! A row of `messages`: from a message, into the file, into the journal's bytes and back.

use protocol::message::{AuthorKind, Seq, Visibility};
use protocol::retention::RetentionClass;
use protocol::time::Day;
use rusqlite::{CachedStatement, Connection, Row, params};

use super::fault::Fault;
use crate::privacy::envelope::Sequenced;

/// What stands in the columns, the body sealed, and what its bucket says. Ids of other rows are
/// rowids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageRow<'a> {
    pub(super) conversation: i64,
    pub(super) seq: Seq,
    pub(super) bucket: i64,
    pub(super) message: [u8; 16],
    pub(super) author: u8,
    pub(super) agent: Option<[u8; 16]>,
    pub(super) visibility: u8,
    pub(super) at: u64,
    pub(super) seen_seq: u64,
    pub(super) purposes: u16,
    pub(super) flags: u16,
    pub(super) policy: u16,
    pub(super) class: RetentionClass,
    pub(super) ingest_day: Day,
    pub(super) body: &'a [u8],
}

/// What of a conversation some readers do not get, kept as runs of sequence numbers without a gap:
/// a page passes over each in one step. Only what is rare is noted, so that nothing is written for
/// what nearly every message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Run {
    /// Internal notes.
    Notes = 1,
    /// Notes and event messages.
    Wordless = 2,
    /// Event messages.
    System = 3,
}

/// What [`MessageRow::read`] reads.
pub(super) const SELECT: &str =
    "SELECT m.conversation, m.seq, m.bucket, m.message, m.author, m.agent,
    m.visibility, m.at, m.seen_seq, m.purposes, m.flags, m.policy, b.class, b.day, m.body
    FROM messages m JOIN buckets b ON b.id = m.bucket";

impl<'a> MessageRow<'a> {
    pub(super) fn new(
        sequenced: &Sequenced,
        conversation: i64,
        bucket: i64,
        body: &'a [u8],
    ) -> Self {
        let envelope = sequenced.envelope();
        let (author, tag) = (envelope.author(), envelope.tag());
        Self {
            conversation,
            seq: sequenced.seq(),
            bucket,
            message: *envelope.message().as_bytes(),
            author: author.kind().code(),
            agent: author.agent().as_ref().map(|agent| *agent.as_bytes()),
            visibility: envelope.visibility().code(),
            at: envelope.at().0,
            seen_seq: envelope.seen_seq().0,
            purposes: tag.purposes.0,
            flags: tag.flags.0,
            policy: tag.policy_version.0,
            class: tag.class,
            ingest_day: tag.ingest_day,
            body,
        }
    }

    pub(super) fn read(row: &'a Row<'_>) -> Result<Self, Fault> {
        Ok(Self {
            conversation: row.get(0)?,
            seq: Seq(row.get(1)?),
            bucket: row.get(2)?,
            message: row.get(3)?,
            author: row.get(4)?,
            agent: row.get(5)?,
            visibility: row.get(6)?,
            at: row.get(7)?,
            seen_seq: row.get(8)?,
            purposes: row.get(9)?,
            flags: row.get(10)?,
            policy: row.get(11)?,
            class: RetentionClass::from_code(row.get(12)?).ok_or(Fault::Row("class"))?,
            ingest_day: Day(row.get(13)?),
            body: row.get_ref(14)?.as_blob().map_err(|_| Fault::Row("body"))?,
        })
    }

    /// The statement of [`MessageRow::insert`], made ready for one row or many.
    pub(super) fn insertion(connection: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
        connection.prepare_cached(
            "INSERT INTO messages (conversation, seq, bucket, message, author, agent, visibility,
                 at, seen_seq, purposes, flags, policy, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (conversation, seq) DO NOTHING",
        )
    }

    /// Puts it into the file; its rowid, or `None` where its sequence number has a message already.
    pub(super) fn insert(
        &self,
        insertion: &mut CachedStatement<'_>,
        connection: &Connection,
    ) -> rusqlite::Result<Option<i64>> {
        let stored = insertion.execute(params![
            self.conversation,
            self.seq.0,
            self.bucket,
            self.message,
            self.author,
            self.agent,
            self.visibility,
            self.at,
            self.seen_seq,
            self.purposes,
            self.flags,
            self.policy,
            self.body
        ])?;
        if stored == 0 {
            return Ok(None);
        }
        let id = connection.last_insert_rowid();
        let note = self.visibility == Visibility::Agents.code();
        let system = self.author == AuthorKind::System.code();
        for (run, is_of_it) in
            [(Run::Notes, note), (Run::Wordless, note || system), (Run::System, system)]
        {
            if is_of_it {
                self.note_run(run, connection)?;
            }
        }
        Ok(Some(id))
    }

    /// Joins the run that ends right before it, or begins one.
    fn note_run(&self, run: Run, connection: &Connection) -> rusqlite::Result<()> {
        let at = params![self.conversation, run as u8, self.seq.0];
        let joined = connection
            .prepare_cached(
                "UPDATE message_runs SET last = ?3
                 WHERE conversation = ?1 AND run = ?2 AND last = ?3 - 1",
            )?
            .execute(at)?;
        if joined == 0 {
            connection
                .prepare_cached(
                    "INSERT INTO message_runs (conversation, run, last, first)
                     VALUES (?1, ?2, ?3, ?3)",
                )?
                .execute(at)?;
        }
        Ok(())
    }

    /// Appends it, numbers little-endian; the agent and the body have their lengths before them.
    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        let agent = self.agent.as_ref().map_or(&[][..], |agent| agent.as_slice());
        into.extend_from_slice(&self.conversation.to_le_bytes());
        into.extend_from_slice(&self.seq.0.to_le_bytes());
        into.extend_from_slice(&self.bucket.to_le_bytes());
        into.extend_from_slice(&self.message);
        into.push(self.author);
        into.push(if agent.is_empty() { 0 } else { 16 });
        into.extend_from_slice(agent);
        into.push(self.visibility);
        into.extend_from_slice(&self.at.to_le_bytes());
        into.extend_from_slice(&self.seen_seq.to_le_bytes());
        into.extend_from_slice(&self.purposes.to_le_bytes());
        into.extend_from_slice(&self.flags.to_le_bytes());
        into.extend_from_slice(&self.policy.to_le_bytes());
        into.push(self.class.code());
        into.extend_from_slice(&self.ingest_day.0.to_le_bytes());
        into.extend_from_slice(&(self.body.len() as u64).to_le_bytes());
        into.extend_from_slice(self.body);
    }

    /// Takes one from the front; `None` where these are not the bytes of one.
    pub(super) fn decode(bytes: &mut &'a [u8]) -> Option<Self> {
        Some(Self {
            conversation: i64::from_le_bytes(take(bytes)?),
            seq: Seq(u64::from_le_bytes(take(bytes)?)),
            bucket: i64::from_le_bytes(take(bytes)?),
            message: take(bytes)?,
            author: u8::from_le_bytes(take(bytes)?),
            agent: match take(bytes)? {
                [0_u8] => None,
                _ => Some(take(bytes)?),
            },
            visibility: u8::from_le_bytes(take(bytes)?),
            at: u64::from_le_bytes(take(bytes)?),
            seen_seq: u64::from_le_bytes(take(bytes)?),
            purposes: u16::from_le_bytes(take(bytes)?),
            flags: u16::from_le_bytes(take(bytes)?),
            policy: u16::from_le_bytes(take(bytes)?),
            class: RetentionClass::from_code(u8::from_le_bytes(take(bytes)?))?,
            ingest_day: Day(u16::from_le_bytes(take(bytes)?)),
            body: {
                let len = u64::from_le_bytes(take(bytes)?);
                bytes.split_off(..usize::try_from(len).ok()?)?
            },
        })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    bytes.split_off(..N)?.try_into().ok()
}

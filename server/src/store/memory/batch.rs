//! Writes are carried out here: sealed first, under no lock, and then put in their places.
//!
//! A single message takes the lock of its shard and nothing else. Everything else goes as a batch: all of
//! it or nothing, under the locks of its shards, in the order of their numbers, then the register's, and then the
//! records' where it has one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use protocol::ids::{AgentId, ConversationId, SiteId, TenantId, VisitorId};
use protocol::message::{Author, Seq};
use protocol::personal::Personal;

use super::records::{Kept, no_records};
use super::register::{Register, Visitor};
use super::transcript::{Conversation, Draft, Header, Line, Sealed};
use super::{Shard, Shared};
use crate::metrics::StoreOp;
use crate::privacy::envelope::Placed;
use crate::privacy::seal::{Bucket, Lock, SealError};
use crate::store::feed::kind;
use crate::store::sqlite::Changed;
use crate::store::{
    ConversationRow, DraftRow, MarkRow, Record, StoreError, VisitorRow, VisitorToken, Write, sealed,
};

/// A write whose personal parts are sealed.
enum Ready {
    /// Without a line: it died while it waited, so nothing is kept of it.
    Message(Arc<Placed>, Option<Line>),
    Floor(TenantId, ConversationId, Seq),
    Conversation(Box<Header>),
    Visitor(Box<Visitor>),
    Token(Box<VisitorToken>),
    Mark(MarkRow),
    /// Without a draft: it is removed.
    Draft(Box<DraftRow>, Option<Draft>),
    Record(Box<Record>),
}

impl Ready {
    fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Message(placed, _) => Some(placed.envelope().conversation()),
            Self::Floor(_, conversation, _) => Some(*conversation),
            Self::Conversation(header) => Some(header.row.conversation),
            Self::Mark(row) => Some(row.conversation),
            Self::Draft(row, _) => Some(row.conversation),
            Self::Visitor(_) | Self::Token(_) | Self::Record(_) => None,
        }
    }

    /// The bucket of what is sealed in it.
    fn bucket(&self) -> Option<Bucket> {
        match self {
            Self::Message(placed, line) => {
                line.is_some().then(|| message_lock(placed)).map(|lock| lock.bucket)
            }
            Self::Conversation(header) => {
                header.has_sealed().then(|| sealed::header_lock(&header.row).bucket)
            }
            Self::Visitor(visitor) => visitor.bucket(),
            Self::Draft(row, draft) => draft.as_ref().map(|_| sealed::draft_lock(row).bucket),
            // A record's is noted where it is sealed.
            Self::Floor(..) | Self::Token(_) | Self::Mark(_) | Self::Record(_) => None,
        }
    }
}

/// What stood there before a step of a batch.
enum Before {
    Message(ConversationId, Seq),
    Floor(ConversationId, Seq),
    Conversation(ConversationId, Option<Box<Header>>),
    Visitor(VisitorId, Option<Box<Visitor>>),
    Mark(ConversationId, Author, Option<MarkRow>),
    Draft(ConversationId, AgentId, Option<Draft>),
}

fn message_lock(placed: &Placed) -> Lock {
    let envelope = placed.envelope();
    sealed::message_lock(envelope.tag(), envelope.conversation())
}

impl Shared {
    pub(super) fn carry_out(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.check_open()?;
        if let [Write::Message(placed)] = writes.as_slice() {
            return self.put(placed);
        }
        let writes =
            writes.into_iter().map(|write| self.seal(write)).collect::<Result<Vec<_>, _>>()?;
        let buckets: BTreeSet<_> = writes.iter().filter_map(Ready::bucket).collect();
        let mut held = Held::of(self, &writes);
        let stepped = writes.into_iter().try_for_each(|write| held.step(write));
        if let Err(error) = stepped.and_then(|()| held.commit()) {
            held.undo();
            return Err(error);
        }
        held.list();
        drop(held);
        self.buckets.lock().extend(buckets);
        Ok(())
    }

    /// The way of nearly every write.
    fn put(&self, placed: &Placed) -> Result<(), StoreError> {
        let Some(line) = self.seal_line(placed)? else {
            return self.with(placed.envelope().conversation(), |kept| {
                kept.map_or(Err(StoreError::NotFound), |kept| kept.of(placed.envelope().tag()))
            });
        };
        let tag = placed.envelope().tag();
        let (unlisted, new, untouched) = self.with(placed.envelope().conversation(), |kept| {
            let kept = kept.ok_or(StoreError::NotFound)?;
            kept.of(tag)?;
            let new = kept.put(line)?;
            let unlisted = kept.list(tag.class, tag.ingest_day);
            Ok::<_, StoreError>((unlisted, new, new && kept.touch()))
        })?;
        if new && self.feeds.load(Ordering::Acquire) {
            let home = Some((tag.site, tag.subject));
            let changed = message_changed(home, placed.envelope().conversation(), placed.seq());
            self.write_records("note a change", |desk| desk.note_change(tag.tenant, &changed))?;
        }
        if untouched {
            self.touched.lock().push(placed.envelope().conversation());
        }
        if unlisted {
            self.buckets.lock().insert(message_lock(placed).bucket);
        }
        Ok(())
    }

    fn seal_line(&self, placed: &Placed) -> Result<Option<Line>, StoreError> {
        if placed.envelope().tag().expires.is_some_and(|day| self.clock.now().day() >= day) {
            return Ok(None);
        }
        let seal = || sealed::seal_message(&*self.sealer, placed);
        let body = self.with_keys(|| message_lock(placed), seal)?.ok_or(StoreError::NotFound)?;
        Ok(Some(Line::of(placed, body)))
    }

    fn seal(&self, write: Write) -> Result<Ready, StoreError> {
        Ok(match write {
            Write::Message(placed) => {
                let line = self.seal_line(&placed)?;
                Ready::Message(placed, line)
            }
            Write::Floor { tenant, conversation, seq } => Ready::Floor(tenant, conversation, seq),
            Write::Conversation(row) => Ready::Conversation(Box::new(self.seal_header(*row)?)),
            Write::Visitor(row) => Ready::Visitor(Box::new(self.seal_visitor(*row)?)),
            Write::VisitorToken(row) => Ready::Token(row),
            Write::Mark(row) => Ready::Mark(row),
            Write::Draft(mut row) => {
                let text = std::mem::take(&mut row.text);
                if text.expose().is_empty() {
                    return Ok(Ready::Draft(row, None));
                }
                let lock = sealed::draft_lock(&row);
                let bound = sealed::bound("drafts.text", row.tenant, row.agent.as_bytes());
                let text = self.seal_text(&lock, &bound, Some(&text))?;
                let text = text.ok_or(StoreError::NotFound)?;
                let draft = Draft { agent: row.agent, day: row.day, text };
                Ready::Draft(row, Some(draft))
            }
            Write::Record(record) => Ready::Record(record),
        })
    }

    fn seal_header(&self, mut row: ConversationRow) -> Result<Header, StoreError> {
        let lock = sealed::header_lock(&row);
        let seal = |column: &str, text: Option<&Personal<String>>| {
            let bound = sealed::bound(column, row.tenant, row.conversation.as_bytes());
            self.seal_text(&lock, &bound, text)
        };
        let form = seal("conversations.form", sealed::form_text(&row.form).as_ref())?;
        let page_url = seal("conversations.page_url", row.page_url.as_ref())?;
        let page_title = seal("conversations.page_title", row.page_title.as_ref())?;
        row.form = Vec::new();
        (row.page_url, row.page_title) = (None, None);
        Ok(Header { row, form, page_url, page_title })
    }

    fn seal_visitor(&self, mut row: VisitorRow) -> Result<Visitor, StoreError> {
        let (mut name, mut email) = (None, None);
        if let Some(lock) = sealed::visitor_lock(&row) {
            let bound = |column| sealed::bound(column, row.tenant, row.visitor.as_bytes());
            name = self.seal_text(&lock, &bound("visitors.name"), row.name.as_ref())?;
            email = self.seal_text(&lock, &bound("visitors.email"), row.email.as_ref())?;
        }
        (row.name, row.email) = (None, None);
        Ok(Visitor { row, name, email })
    }

    fn seal_text(
        &self,
        lock: &Lock,
        bound: &[u8],
        text: Option<&Personal<String>>,
    ) -> Result<Option<Sealed>, StoreError> {
        self.with_keys(|| *lock, || sealed::seal_text(&*self.sealer, lock, bound, text))
    }

    /// Seals with the keys that there are, and makes them where there are none yet. That is the first
    /// record of a person or a day; all others find their key ready.
    fn with_keys<T>(
        &self,
        lock: impl Fn() -> Lock,
        seal: impl Fn() -> Result<T, SealError>,
    ) -> Result<T, StoreError> {
        let outcome = match seal() {
            Err(SealError::Unavailable) => match self.sealer.prepare(&[lock()]) {
                // What is destroyed shows again where it is used.
                Ok(()) | Err(SealError::Destroyed) => seal(),
                Err(error) => Err(error),
            },
            outcome => outcome,
        };
        outcome.map_err(|error| self.keys_failed(error, StoreOp::Keys, "write a row"))
    }
}

fn message_changed(
    home: Option<(SiteId, VisitorId)>,
    conversation: ConversationId,
    seq: Seq,
) -> Changed {
    let (kind, object) = (kind::MESSAGE, *conversation.as_bytes());
    let (site, subject) = home.unzip();
    let subject = subject.map(|visitor| *visitor.as_bytes());
    Changed { site, kind, object, version: seq.0, subject }
}

/// All that a batch works on, locked until it is done.
struct Held<'a> {
    shared: &'a Shared,
    shards: Vec<(usize, MutexGuard<'a, Shard>)>,
    register: MutexGuard<'a, Register>,
    /// Where the batch has a record: in a transaction of their own.
    records: Option<MutexGuard<'a, Option<Kept>>>,
    done: Vec<Before>,
}

impl<'a> Held<'a> {
    fn of(shared: &'a Shared, writes: &[Ready]) -> Self {
        let numbers: BTreeSet<usize> = writes
            .iter()
            .filter_map(Ready::conversation)
            .map(|conversation| shared.number(conversation))
            .collect();
        let shards = numbers.into_iter().map(|n| (n, shared.shards[n].lock())).collect();
        let register = shared.register.lock();
        let has_record = writes.iter().any(|write| matches!(write, Ready::Record(_)));
        let noted = has_record || shared.feeds.load(Ordering::Acquire);
        let records = noted.then(|| shared.records.lock());
        Self { shared, shards, register, records, done: Vec::new() }
    }

    fn shard(&mut self, conversation: ConversationId) -> Option<&mut Shard> {
        let number = self.shared.number(conversation);
        let found = self.shards.iter_mut().find(|(n, _)| *n == number);
        found.map(|(_, shard)| &mut **shard)
    }

    fn find(&mut self, conversation: ConversationId) -> Option<&mut Conversation> {
        self.shard(conversation)?.get_mut(&conversation)
    }

    fn of_tenant(
        &mut self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<&mut Conversation, StoreError> {
        let found = self.find(conversation).filter(|kept| kept.home().tenant == tenant);
        found.ok_or(StoreError::NotFound)
    }

    fn step(&mut self, write: Ready) -> Result<(), StoreError> {
        let before = match write {
            Ready::Message(placed, line) => {
                let envelope = placed.envelope();
                let kept = self.find(envelope.conversation()).ok_or(StoreError::NotFound)?;
                kept.of(envelope.tag())?;
                let Some(line) = line else { return Ok(()) };
                if !kept.put(line)? {
                    return Ok(());
                }
                Before::Message(envelope.conversation(), placed.seq())
            }
            Ready::Floor(tenant, conversation, seq) => {
                let before = self.of_tenant(tenant, conversation)?.raise(seq);
                Before::Floor(conversation, before)
            }
            Ready::Conversation(header) => return self.conversation(*header),
            Ready::Visitor(visitor) => {
                let id = visitor.row.visitor;
                Before::Visitor(id, self.register.write(*visitor)?.map(Box::new))
            }
            Ready::Token(row) => {
                let before = self.register.write_token(&row)?;
                Before::Visitor(row.visitor, Some(Box::new(before)))
            }
            Ready::Mark(row) => {
                let before = self.of_tenant(row.tenant, row.conversation)?.mark(row);
                Before::Mark(row.conversation, row.author, before)
            }
            Ready::Draft(row, draft) => {
                let kept = self.of_tenant(row.tenant, row.conversation)?;
                let home = kept.home();
                if draft.is_some() && (home.site != row.site || home.visitor != row.visitor) {
                    return Err(StoreError::NotFound);
                }
                let before = kept.set_draft(row.agent, draft);
                Before::Draft(row.conversation, row.agent, before)
            }
            Ready::Record(record) => return self.record(*record),
        };
        self.done.push(before);
        Ok(())
    }

    fn record(&mut self, record: Record) -> Result<(), StoreError> {
        let records = self.records.as_mut().and_then(|records| records.as_mut());
        let shared = self.shared;
        let change =
            || records.ok_or(no_records())?.step(&*shared.sealer, shared.clock.now(), record);
        change().map_err(|fault| shared.records_failed(fault, "write a row"))
    }

    /// What the feed says of the steps that are no records.
    fn noted(&mut self) -> Vec<(TenantId, Changed)> {
        let mut noted = Vec::new();
        for at in 0..self.done.len() {
            match self.done.get(at) {
                Some(Before::Message(id, seq)) => {
                    let (id, seq) = (*id, *seq);
                    let home = self.find(id).map(|kept| kept.home());
                    noted.extend(home.map(|home| {
                        let whose = Some((home.site, home.visitor));
                        (home.tenant, message_changed(whose, id, seq))
                    }));
                }
                Some(Before::Conversation(id, _)) => {
                    let id = *id;
                    let row = self.find(id).map(|kept| &kept.header.row);
                    noted.extend(row.map(|row| (row.tenant, Changed::header(row))));
                }
                Some(Before::Visitor(id, _)) => {
                    let row = self.register.visitor(*id).map(|known| &known.row);
                    let changed = |row: &VisitorRow| Changed::visitor(row.visitor, Some(row.site));
                    noted.extend(row.map(|row| (row.tenant, changed(row))));
                }
                Some(Before::Floor(..) | Before::Mark(..) | Before::Draft(..)) | None => {}
            }
        }
        noted
    }

    /// Records stand now; everything else does already.
    fn commit(&mut self) -> Result<(), StoreError> {
        if self.shared.feeds.load(Ordering::Acquire) {
            let (noted, shared) = (self.noted(), self.shared);
            let records = self.records.as_mut().and_then(|records| records.as_mut());
            let records = records.ok_or_else(no_records);
            let write = records
                .and_then(|records| records.note(&*shared.sealer, shared.clock.now(), &noted));
            write.map_err(|fault| shared.records_failed(fault, "note a change"))?;
        }
        let Some(records) = self.records.as_mut().and_then(|records| records.as_mut()) else {
            return Ok(());
        };
        records.commit().map_err(|fault| self.shared.records_failed(fault, "commit a batch"))
    }

    fn conversation(&mut self, mut header: Header) -> Result<(), StoreError> {
        let id = header.row.conversation;
        let Some(shard) = self.shard(id) else { return Err(StoreError::NotFound) };
        let before = match shard.get_mut(&id) {
            None => {
                shard.insert(id, Conversation::new(header));
                None
            }
            Some(kept) => {
                let known = &kept.header.row;
                if known.tenant != header.row.tenant {
                    return Err(StoreError::Exists { what: "conversation" });
                }
                if known.version > header.row.version {
                    return Ok(());
                }
                // What it began with stays.
                (header.row.site, header.row.visitor) = (known.site, known.visitor);
                (header.row.created_at, header.row.notice) = (known.created_at, known.notice);
                Some(Box::new(std::mem::replace(&mut kept.header, header)))
            }
        };
        self.done.push(Before::Conversation(id, before));
        Ok(())
    }

    /// Takes everything back, the last step first.
    fn undo(&mut self) {
        if let Some(records) = self.records.as_mut().and_then(|records| records.as_mut()) {
            records.undo();
        }
        while let Some(before) = self.done.pop() {
            match before {
                Before::Message(id, seq) => self.amend(id, |kept| kept.take(seq)),
                Before::Floor(id, floor) => self.amend(id, |kept| kept.lower(floor)),
                Before::Conversation(id, Some(header)) => {
                    self.amend(id, |kept| kept.header = *header);
                }
                Before::Conversation(id, None) => {
                    if let Some(shard) = self.shard(id) {
                        shard.remove(&id);
                    }
                }
                Before::Visitor(id, visitor) => {
                    self.register.restore(id, visitor.map(|visitor| *visitor));
                }
                Before::Mark(id, author, mark) => self.amend(id, |kept| kept.unmark(author, mark)),
                Before::Draft(id, agent, draft) => self.amend(id, |kept| {
                    kept.set_draft(agent, draft);
                }),
            }
        }
    }

    fn amend(&mut self, conversation: ConversationId, amend: impl FnOnce(&mut Conversation)) {
        if let Some(kept) = self.find(conversation) {
            amend(kept);
        }
    }

    /// Puts on the lists what is new, and on others what has changed.
    fn list(&mut self) {
        let changed_at = self.register.change(self.shared.clock.now());
        for before in std::mem::take(&mut self.done) {
            match before {
                Before::Conversation(id, before) => {
                    let row = self.find(id).map(|kept| kept.header.row.clone());
                    if let Some(row) = row {
                        self.register.list(before.as_ref().map(|before| &before.row), &row);
                        self.register.changed(row.tenant, id, changed_at);
                    }
                }
                Before::Draft(id, agent, _) => {
                    let has = self.find(id).is_some_and(|kept| kept.draft(agent).is_some());
                    self.register.list_draft(agent, id, has);
                }
                Before::Message(id, _) => {
                    if let Some(home) = self.find(id).map(|kept| kept.home()) {
                        self.register.changed(home.tenant, id, changed_at);
                    }
                }
                Before::Floor(..) | Before::Visitor(..) | Before::Mark(..) => {}
            }
        }
    }
}

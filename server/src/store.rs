//! What is kept: the port, and the rows it speaks of.
//!
//! Every question names its tenant; another tenant's things are not found. Personal columns are sealed
//! inside the implementations, so that callers see `Personal` values and files see none.
//! Writes go through one bounded queue: on disk to one writer, which commits what waits in one transaction; in
//! memory the queue bounds how many are under way.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::conversation::{Availability, ConversationState};
use protocol::ids::{
    AgentId, ConversationId, InvitationId, KeyId, MessageId, SessionId, SiteId, SiteKey, TagId,
    TenantId, VisitorId,
};
use protocol::message::{Author, AuthorKind, Seq, Visibility};
use protocol::personal::Personal;
use protocol::time::{Day, UnixMillis};

use crate::privacy::envelope::{Placed, Tag};
use crate::privacy::gate::{Below, Door, ReadGrant, Reader};
use crate::privacy::policy::SiteTimeline;
use crate::privacy::seal::{Bucket, Subject};

pub use self::feed::{FeedEvent, FeedReaderRow};
use self::record::conversations::Sketch;
pub use self::record::{CannedResponseRow, CannedWords, News};
use self::record::{Change, Entity, Equal, Field, Order, Row, Select, changes, is};
pub use crate::privacy::seal::SecretHash;
pub use rows::*;
pub use stats::{Committed, NoStats, StoreStats};

#[cfg(test)]
pub(crate) mod conformance;
pub mod feed;
pub mod inventory;
pub mod memory;
pub mod record;
mod rows;
mod sealed;
pub mod sqlite;
mod stats;

/// What a live room begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    pub header: ConversationRow,
    /// The newest stored place, 0 if none.
    pub seq_last: Seq,
    /// The newest messages, in order of their places; at most what was asked for.
    pub tail: Vec<Arc<Placed>>,
    pub below: Below,
    /// The newest of what people said to everyone, wherever it stands.
    pub words: Option<Arc<Placed>>,
    pub marks: Vec<MarkRow>,
}

/// What a list shows of what was said in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestRow {
    pub conversation: ConversationId,
    pub site: SiteId,
    /// As in [`RoomRow`].
    pub seq_last: Seq,
    pub marks: Vec<MarkRow>,
    /// The newest of what people said to everyone that can be read today.
    pub words: Option<Arc<Placed>>,
    /// The newest of that by the visitor: among the newest [`ASKED_LOOKED_MAX`] messages, or the very newest.
    pub asked: Option<Arc<Placed>>,
}

/// Messages among which a visitor's newest words are looked for, so that a list costs no more where much was said since.
pub const ASKED_LOOKED_MAX: usize = 50;

/// The newest words of a conversation, and the newest by its visitor.
type WordsAndAsked = (Option<Arc<Placed>>, Option<Arc<Placed>>);

/// Finds a conversation's newest words, looking at the newest message first.
#[derive(Default)]
struct NewestWords {
    looked: usize,
    words: Option<Arc<Placed>>,
    asked: Option<Arc<Placed>>,
}

impl NewestWords {
    /// Whether no further message is looked at.
    fn is_done(&self) -> bool {
        self.asked.is_some() || self.looked >= ASKED_LOOKED_MAX
    }

    /// Looks at the next message; `read` unseals it, if it can still be read.
    fn look<E>(
        &mut self,
        (visibility, author): (Visibility, AuthorKind),
        read: impl FnOnce() -> Result<Option<Arc<Placed>>, E>,
    ) -> Result<(), E> {
        self.looked += 1;
        let by_visitor = author == AuthorKind::Visitor;
        if Sight::Words(Day(0)).leaves_out(visibility, author)
            || !(by_visitor || self.words.is_none())
        {
            return Ok(());
        }
        let Some(placed) = read()? else { return Ok(()) };
        if by_visitor {
            self.asked = Some(Arc::clone(&placed));
        }
        self.words.get_or_insert(placed);
        Ok(())
    }

    /// With the newest words of below what was looked at, where there were none.
    fn or_below<E>(
        self,
        below: impl FnOnce() -> Result<Option<Arc<Placed>>, E>,
    ) -> Result<WordsAndAsked, E> {
        if self.words.is_some() || self.looked < ASKED_LOOKED_MAX {
            return Ok((self.words, self.asked));
        }
        let words = below()?;
        let by_visitor = |placed: &&Arc<Placed>| placed.envelope().author() == Author::Visitor;
        let asked = words.as_ref().filter(by_visitor).map(Arc::clone);
        Ok((words, asked))
    }
}

impl RoomRow {
    /// Puts it together: `newest` finds the newest message below a place that a sight sees.
    fn whole<E>(
        (header, seq_last, marks): (ConversationRow, Seq, Vec<MarkRow>),
        tail: Vec<Arc<Placed>>,
        is_full: bool,
        today: Day,
        newest: impl Fn(Sight, Seq) -> Result<Option<Arc<Placed>>, E>,
    ) -> Result<Self, E> {
        // A tail that is not full reaches back to the beginning.
        let first = tail.first().filter(|_| is_full).map(|first| first.seq());
        let newest_below = |sight| first.map_or(Ok(None), |first| newest(sight, first));
        let below = |reader| {
            let newest = newest_below(Sight::Shown(reader, today))?;
            Ok::<_, E>(newest.map(|placed| placed.envelope().tag().ingest_day))
        };
        let below =
            Below { for_visitors: below(Reader::Visitor)?, for_agents: below(Reader::Agents)? };
        let words = match tail.iter().rev().find(|placed| placed.is_words()) {
            Some(words) => Some(Arc::clone(words)),
            None => newest_below(Sight::Words(today))?,
        };
        Ok(Self { header, seq_last, tail, below, words, marks })
    }
}

/// The answer to a create that may be sent again, kept for 24 h under the caller's `Idempotency-Key`.
#[derive(Debug, Clone)]
pub struct AnswerRow {
    pub tenant: TenantId,
    /// What the key is kept as.
    pub key: String,
    /// Hash of the request.
    pub request: [u8; 32],
    /// Sealed.
    pub answer: Vec<u8>,
    pub at: UnixMillis,
}

/// The rule of uniqueness that a second answer under one key would break.
pub const ANSWERED: &str = "Idempotency-Key";

/// A change of what is set up and of who may act. In one batch with others it is made with all of them or not at all.
#[derive(Debug, Clone)]
pub enum Record {
    Tenant(TenantRow),
    Site(SiteRow),
    /// Replaces name, settings and timeline.
    SiteChange(SiteRow),
    Agent(AgentRow),
    /// Replaces name, e-mail, role, state and capacity. What they choose themselves has writes of its own, so
    /// that neither undoes the other.
    AgentChange(AgentRow),
    /// Replaces the hash of an agent's password. A link to set a new one is void from then on.
    Password {
        tenant: TenantId,
        agent: AgentId,
        password_hash: Arc<str>,
    },
    Session(SessionRow),
    /// One that is over already stays so.
    SessionEnd {
        tenant: TenantId,
        agent: AgentId,
        session: SessionId,
    },
    Invitation(InvitationRow),
    /// Not found where it was used or withdrawn meanwhile.
    InvitationEnd {
        tenant: TenantId,
        invitation: InvitationId,
    },
    /// In place of the agent's former link.
    PasswordReset(PasswordResetRow),
    /// Not found where the link was used or replaced meanwhile.
    PasswordResetEnd {
        tenant: TenantId,
        agent: AgentId,
        secret: SecretHash,
    },
    Key(KeyRow),
    Tag(TagRow),
    /// Replaces a label's name.
    TagChange(TagRow),
    /// Of any other entity.
    Change(Change),
    /// Refused as [`ANSWERED`] where an answer is kept under its key: then all of the batch was done before.
    Answer(AnswerRow),
}

impl Record {
    /// The changes of tables that it is.
    pub fn changes(self) -> Vec<Change> {
        changes(self)
    }
}

/// What is stored together with a message, once its place is known.
#[derive(Clone)]
pub struct Beside(Arc<dyn Fn(Seq) -> Write + Send + Sync>);

impl Beside {
    /// `write` makes it of the place.
    pub fn new(write: impl Fn(Seq) -> Write + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }

    /// What is stored with a message at this place.
    pub(crate) fn at(&self, seq: Seq) -> Write {
        (self.0)(seq)
    }
}

impl std::fmt::Debug for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Beside").finish_non_exhaustive()
    }
}

/// What of a conversation's messages a page is made of. What is left out takes no place on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// What this reader may see on this day.
    Shown(Reader, Day),
    /// What people said to everyone and can be read on this day: no notes, no lines of the system.
    Words(Day),
    /// What people said and can be read on this day, notes among it: no lines of the system.
    Said(Day),
}

/// Messages that a search passes over because they can no longer be read. They lie below all that can, but for a few
/// where a clock was wrong: behind so many of them nothing more is looked for.
const DEAD_MAX: usize = 256;

/// Drafts of one agent that are read at once: the newest.
const DRAFTS_MAX: usize = 100;

/// Places of a conversation that are searched one by one for an id; those above have an index.
const SEARCHED_MAX: u64 = 256;

impl Sight {
    /// Whether such a message is left out, whenever it came.
    fn leaves_out(self, visibility: Visibility, author: AuthorKind) -> bool {
        let note = visibility == Visibility::Agents;
        match self {
            Self::Shown(Reader::Agents, _) => false,
            Self::Shown(Reader::Visitor, _) => note,
            Self::Words(_) => note || author == AuthorKind::System,
            Self::Said(_) => author == AuthorKind::System,
        }
    }

    /// Whether what stands under this tag can still be read; nothing can, where the site is not known.
    fn sees(self, tag: &Tag, timeline: Option<&SiteTimeline>) -> bool {
        let (Self::Shown(_, today) | Self::Words(today) | Self::Said(today)) = self;
        let door = |timeline| ReadGrant::stored(Door::History, Reader::Agents, today, timeline);
        timeline.is_some_and(|timeline| door(timeline).counts(tag))
    }
}

/// A page of what a reader may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessagePage {
    /// In order of their places.
    pub messages: Vec<Arc<Placed>>,
    /// Whether there are earlier ones in the range that they may see.
    pub more: bool,
}

/// Puts a page together, the newest message first.
struct Paging {
    limit: usize,
    dead: usize,
    page: MessagePage,
}

impl Paging {
    fn new(limit: u16) -> Self {
        Self { limit: usize::from(limit), dead: 0, page: MessagePage::default() }
    }

    /// Whether no further message is looked for.
    fn is_done(&self) -> bool {
        self.page.more || self.dead >= DEAD_MAX
    }

    /// Takes the next one that is not left out; `None`: it cannot be read any more.
    fn take(&mut self, placed: Option<Arc<Placed>>) {
        match placed {
            None => self.dead += 1,
            Some(_) if self.page.messages.len() >= self.limit => self.page.more = true,
            Some(placed) => self.page.messages.push(placed),
        }
    }

    fn finish(mut self) -> MessagePage {
        self.page.messages.reverse();
        self.page
    }
}

/// One thing for the writer. All of a batch is committed together or not at all.
#[derive(Debug, Clone)]
pub enum Write {
    /// A message in its place.
    Message(Arc<Placed>),
    /// Places up to this one were given, though none of their messages may be stored: the numbering goes
    /// on above it.
    Floor { tenant: TenantId, conversation: ConversationId, seq: Seq },
    /// A header, new or changed; an older version than the stored one is skipped.
    Conversation(Box<ConversationRow>),
    /// A visitor, new, or with other contact data; the token of one who is known stays as it is.
    Visitor(Box<VisitorRow>),
    /// A known visitor's token, the one before it and their ends; nothing else of the row.
    VisitorToken(Box<VisitorToken>),
    /// A mark; it never goes back.
    Mark(MarkRow),
    /// A draft.
    Draft(Box<DraftRow>),
    /// Anything that is set up.
    Record(Box<Record>),
}

/// Why nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The queue to the writer has no place; try again.
    #[error("the store's queue is full")]
    Full,
    /// The disk, the file or the keys failed; nothing of the batch was stored.
    #[error("the store cannot do that now: {act}")]
    Unavailable {
        /// What was tried.
        act: &'static str,
    },
    /// The place is taken by another message: it needs a new one. The stored seq to begin above.
    #[error("the place is taken")]
    PlaceTaken {
        /// The newest stored place.
        seq_last: Seq,
    },
    /// Another node stored this message, under another place. Only a store that several nodes share says so.
    #[error("the message is stored already")]
    StoredBefore {
        /// As it is stored.
        stored: Arc<Placed>,
    },
    /// It would break a rule of uniqueness: the e-mail, key or id exists.
    #[error("exists already: {what}")]
    Exists {
        /// Which column.
        what: &'static str,
    },
    /// There is no such thing in this tenant.
    #[error("not found")]
    NotFound,
}

/// What came of one write of a batch that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    Done,
    /// It changed nothing: it was there before, a newer one is, or nothing is left to remove or to keep.
    PassedOver,
}

/// Why nothing of a batch stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which of its writes broke a rule, counted from 0; none where the fault is none of theirs.
    pub at: Option<usize>,
    pub error: StoreError,
}

/// Called once for each write with its fate, after the sync, in the order of the queue; must not
/// block. Runs on a thread of the store's own, or in the writer's call before `write` returns: so
/// nobody holds a lock that their fate takes while they write.
pub type Fate = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A reserved place in the writer's queue; dropped unused, it is free again.
pub trait WriteSlot: Send {
    /// Puts these into the queue, to be committed together. The fate may be told before this returns.
    fn write(self: Box<Self>, writes: Vec<Write>, fate: Fate);
}

/// Which conversations to list: all conditions hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversationFilter {
    pub state: Option<ConversationState>,
    /// Any state but closed.
    pub live: bool,
    pub site: Option<SiteId>,
    pub visitor: Option<VisitorId>,
    pub assignee: Option<AgentId>,
}

impl ConversationFilter {
    /// The states that pass.
    fn states(&self) -> Vec<ConversationState> {
        let all = [
            ConversationState::Queued,
            ConversationState::Offered,
            ConversationState::Active,
            ConversationState::Snoozed,
            ConversationState::Closed,
        ];
        let passes = |state: &ConversationState| {
            self.state.is_none_or(|wanted| wanted == *state)
                && !(self.live && *state == ConversationState::Closed)
        };
        all.into_iter().filter(passes).collect()
    }
}

/// Conversations that a search looks at for one page: a filter that few pass does not make it walk through all that were
/// ever kept.
const SEARCHED_CONVERSATIONS_MAX: usize = 100;

/// Which conversations to look for, by more than a list is kept for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationSearch {
    pub filter: ConversationFilter,
    /// With this label.
    pub tag: Option<TagId>,
    /// Begun later than this.
    pub created_after: Option<UnixMillis>,
    /// Begun earlier than this.
    pub created_before: Option<UnixMillis>,
    pub order: SearchOrder,
}

/// In which order conversations are looked for, and where the page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchOrder {
    /// The newest first: below this beginning.
    Newest(Option<Moment>),
    /// What changed longest ago first: above this change.
    Changed(Moment),
}

/// When a conversation began or changed, and its id, which decides between those of one moment.
pub type Moment = (UnixMillis, ConversationId);

/// A page of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub rows: Vec<ConversationRow>,
    /// Where the next page begins: behind what was looked at last. A page can have fewer rows than it was asked for, even
    /// none, and others follow.
    pub next: Option<Moment>,
}

impl ConversationSearch {
    /// Whether a conversation passes.
    fn passes(&self, row: &Sketch) -> bool {
        let ConversationFilter { site, visitor, assignee, .. } = &self.filter;
        self.filter.states().contains(&row.state)
            && site.is_none_or(|site| site == row.site)
            && visitor.is_none_or(|visitor| visitor == row.visitor)
            && assignee.is_none_or(|agent| row.assignee == Some(agent))
            && self.tag.is_none_or(|tag| row.tags.contains(&tag))
            && self.created_after.is_none_or(|after| row.created_at > after)
            && self.created_before.is_none_or(|before| row.created_at < before)
    }

    /// Beginnings between which those lie that are looked for: below the first, above the second.
    fn created_between(&self) -> (Moment, Option<UnixMillis>) {
        let last = (UnixMillis(MOMENT_MAX), ConversationId::from_bytes([0xff; 16]));
        let page = match self.order {
            SearchOrder::Newest(before) => before.unwrap_or(last),
            SearchOrder::Changed(_) => last,
        };
        let before = self.created_before.map(|at| (at, ConversationId::from_bytes([0; 16])));
        (before.map_or(page, |before| before.min(page)), self.created_after)
    }
}

/// SQLite counts to 2^63 - 1; no clock gets there.
const MOMENT_MAX: u64 = i64::MAX.cast_unsigned();

/// A page of a list: how many, and after which item of the last page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<Id> {
    /// At most so many.
    pub limit: u16,
    /// The last item of the page before.
    pub after: Option<Id>,
}

/// Every record of which this holds, the oldest first.
///
/// # Errors
/// If they cannot be read.
async fn all<E: Entity, S: Records + ?Sized>(
    act: &'static str,
    store: &S,
    of: Vec<Equal>,
) -> Result<Vec<E>, StoreError> {
    entities(act, store.select(act, Select::all::<E>(of)).await?)
}

/// The one record of which this holds.
///
/// # Errors
/// If it cannot be read.
async fn one<E: Entity, S: Records + ?Sized>(
    act: &'static str,
    store: &S,
    of: Vec<Equal>,
) -> Result<Option<E>, StoreError> {
    Ok(all(act, store, of).await?.pop())
}

/// A page of the records of which this holds, the oldest first.
///
/// # Errors
/// If they cannot be read.
async fn list<E: Entity, Id: Field, S: Records + ?Sized>(
    act: &'static str,
    store: &S,
    of: Vec<Equal>,
    page: Page<Id>,
) -> Result<Vec<E>, StoreError> {
    entities(act, store.select(act, Select::page::<E, Id>(of, page)).await?)
}

fn entities<E: Entity>(act: &'static str, rows: Vec<Row>) -> Result<Vec<E>, StoreError> {
    let read = rows.into_iter().map(E::from_row).collect::<Option<Vec<_>>>();
    read.ok_or_else(|| {
        tracing::error!(act, name = E::TABLE.name, "a row cannot be read");
        StoreError::Unavailable { act }
    })
}

/// The port to what is kept, all of it. Reads see everything that was reported as stored.
#[async_trait]
pub trait Store: Transcript + Records + Retention {
    /// Reserves a place in the writer's queue; `Err(Full)` when none is free.
    fn try_reserve(&self) -> Result<Box<dyn WriteSlot>, StoreError>;
    /// Waits for a place, at most as long as the store's patience, then `Err(Full)`: it slows the sender.
    async fn reserve(&self) -> Result<Box<dyn WriteSlot>, StoreError>;
    /// Writes and waits until it is kept, all of it or nothing: what came of each, in their order.
    async fn batch(&self, writes: Vec<Write>) -> Result<Vec<Wrote>, Refused>;
    /// The same for whoever need not know which.
    async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.batch(writes).await.map(drop).map_err(|refused| refused.error)
    }
    /// Whether the last commit succeeded and the files are there: readiness.
    fn healthy(&self) -> bool;
    /// Commits what waits, closes; later writes are refused.
    async fn close(&self);
}

/// What is said, and what it hangs on: messages, seqs and marks, headers, visitors and drafts.
#[async_trait]
pub trait Transcript: Records + std::fmt::Debug {
    /// What a room begins with; `None` where the tenant has no such conversation.
    async fn room(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        tail: u16,
    ) -> Result<Option<RoomRow>, StoreError>;
    /// What a list shows of these conversations, in one read; those that the tenant has not are left out.
    async fn newest(
        &self,
        tenant: TenantId,
        conversations: &[ConversationId],
    ) -> Result<Vec<NewestRow>, StoreError>;
    /// Whether any tenant has this conversation: then another's id is taken.
    async fn conversation_exists(&self, conversation: ConversationId) -> Result<bool, StoreError> {
        let of = vec![is("conversation", conversation)];
        Ok(one::<Sketch, _>("look for a conversation", self, of).await?.is_some())
    }
    /// A page of what a reader may see, with places in `(after, before)`: the newest `limit` of it.
    async fn page(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        sight: Sight,
        (after, before): (Seq, Option<Seq>),
        limit: u16,
    ) -> Result<MessagePage, StoreError>;
    /// Messages with places in `(after, before)`, the newest `limit` of them, in order of their places: whatever is kept,
    /// for the server itself.
    async fn messages(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        after: Seq,
        before: Option<Seq>,
        limit: u16,
    ) -> Result<Vec<Arc<Placed>>, StoreError>;
    /// Whether a key of a message is destroyed, so that nothing of it can be found any more.
    async fn is_destroyed(
        &self,
        tag: &Tag,
        conversation: ConversationId,
    ) -> Result<bool, StoreError>;
    /// One message by its id, looked for above `after`.
    async fn message(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        message: MessageId,
        after: Seq,
    ) -> Result<Option<Arc<Placed>>, StoreError>;
    /// A conversation's header.
    async fn conversation(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<ConversationRow>, StoreError> {
        let of = vec![is("conversation", conversation), is("tenant", tenant)];
        one("read a conversation", self, of).await
    }
    /// Headers, newest first.
    async fn conversations(
        &self,
        tenant: TenantId,
        filter: &ConversationFilter,
        page: Page<ConversationId>,
    ) -> Result<Vec<ConversationRow>, StoreError> {
        let act = "list conversations";
        let below = match page.after {
            None => (i64::MAX, [u8::MAX; 16]),
            Some(after) => {
                let of = vec![is("conversation", after), is("tenant", tenant)];
                // Another Organization's has no place in this list.
                let Some(last) = one::<Sketch, _>(act, self, of).await? else {
                    return Ok(Vec::new());
                };
                (i64::try_from(last.created_at.0).unwrap_or(i64::MAX), *after.as_bytes())
            }
        };
        let list = Select::newest(tenant, filter, (below, -1), page.limit);
        entities(act, self.select(act, list).await?)
    }
    /// Headers by any condition, the newest or the longest unchanged first; at most so many.
    async fn search(
        &self,
        tenant: TenantId,
        search: &ConversationSearch,
        limit: u16,
    ) -> Result<Found, StoreError>;
    /// When a conversation changed last, by its header or by what was said in it. What was said shows here once it is
    /// in its list, about a second later at most.
    async fn changed_at(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<UnixMillis>, StoreError>;
    /// All that is not closed, of every tenant, oldest first: what routing begins with at start.
    async fn conversations_live(&self) -> Result<Vec<ConversationRow>, StoreError> {
        let act = "list live conversations";
        entities(act, self.select(act, Select::live()).await?)
    }
    /// Drafts of an agent, the newest so many, the oldest of them first.
    async fn drafts(&self, tenant: TenantId, agent: AgentId) -> Result<Vec<DraftRow>, StoreError> {
        let list = Select::all::<DraftRow>(vec![is("agent", agent), is("tenant", tenant)]);
        let list = Select { order: Order::Last, limit: u16::try_from(DRAFTS_MAX).ok(), ..list };
        let mut newest = entities("read drafts", self.select("read drafts", list).await?)?;
        newest.reverse();
        Ok(newest)
    }

    async fn visitor(
        &self,
        tenant: TenantId,
        visitor: VisitorId,
    ) -> Result<Option<VisitorRow>, StoreError> {
        one("read a visitor", self, vec![is("visitor", visitor), is("tenant", tenant)]).await
    }
    /// By token, current or the one before; the caller judges which and whether it still holds.
    async fn visitor_by_secret(
        &self,
        tenant: TenantId,
        site: SiteId,
        secret: SecretHash,
    ) -> Result<Option<VisitorToken>, StoreError> {
        let act = "read a visitor";
        // Asked one after the other: with OR between them, SQLite looks at every visitor of the Organization.
        for column in ["secret", "secret_before"] {
            let of = vec![is(column, secret), is("tenant", tenant), is("site", site)];
            let along = ["visitors_by_secret", "visitors_by_secret_before"];
            let along = along.get(usize::from(column == "secret_before")).copied();
            let short = Select { is_short: true, along, ..Select::all::<VisitorToken>(of) };
            let found = entities(act, self.select(act, short).await?)?;
            if let Some(token) = found.into_iter().next() {
                return Ok(Some(token));
            }
        }
        Ok(None)
    }
    /// The newest first.
    async fn visitors(
        &self,
        tenant: TenantId,
        page: Page<VisitorId>,
    ) -> Result<Vec<VisitorRow>, StoreError> {
        let list = Select::page::<VisitorRow, _>(vec![is("tenant", tenant)], page);
        // SQLite would rather walk along the rows of everybody.
        let list = Select { order: Order::Last, along: Some("visitors_of_tenant"), ..list };
        entities("list visitors", self.select("list visitors", list).await?)
    }
}

/// What is set up and who may act, each table declared once ([`record`]): what a database does is [`Records::select`] and
/// [`Records::change`], and the rest says it in the words of an entity.
#[async_trait]
pub trait Records: Send + Sync {
    /// Rows of records, in the order in which they were made; `act` is what is logged where that fails.
    async fn select(&self, act: &'static str, select: Select) -> Result<Vec<Row>, StoreError>;
    /// Changes records, all of them or none.
    async fn change(&self, changes: Vec<Change>) -> Result<(), StoreError>;

    async fn tenant_create(&self, row: TenantRow) -> Result<(), StoreError> {
        self.change(vec![Change::create(row)]).await
    }
    async fn tenant(&self, tenant: TenantId) -> Result<Option<TenantRow>, StoreError> {
        one("read a tenant", self, vec![is("tenant", tenant)]).await
    }
    async fn tenants(&self, page: Page<TenantId>) -> Result<Vec<TenantRow>, StoreError> {
        list("list tenants", self, Vec::new(), page).await
    }

    async fn site_create(&self, row: SiteRow) -> Result<(), StoreError> {
        self.change(vec![Change::create(row)]).await
    }
    /// Replaces name, settings and timeline.
    async fn site_update(&self, row: SiteRow) -> Result<(), StoreError> {
        self.change(changes(Record::SiteChange(row))).await
    }
    async fn site(&self, tenant: TenantId, site: SiteId) -> Result<Option<SiteRow>, StoreError> {
        one("read a site", self, vec![is("site", site), is("tenant", tenant)]).await
    }
    /// The operator's view: any tenant's.
    async fn site_of_any_tenant(&self, site: SiteId) -> Result<Option<SiteRow>, StoreError> {
        one("read a site", self, vec![is("site", site)]).await
    }
    async fn site_by_key(&self, key: &SiteKey) -> Result<Option<SiteRow>, StoreError> {
        one("read a site", self, vec![is("site_key", key.clone())]).await
    }
    async fn sites(
        &self,
        tenant: TenantId,
        page: Page<SiteId>,
    ) -> Result<Vec<SiteRow>, StoreError> {
        list("list sites", self, vec![is("tenant", tenant)], page).await
    }

    async fn agent_create(&self, row: AgentRow) -> Result<(), StoreError> {
        self.change(vec![Change::create(row)]).await
    }
    /// As [`Record::AgentChange`].
    async fn agent_update(&self, row: AgentRow) -> Result<(), StoreError> {
        self.change(changes(Record::AgentChange(row))).await
    }
    /// Replaces their availability, and the capacity where one is given; of an active agent alone.
    async fn agent_availability(
        &self,
        tenant: TenantId,
        agent: AgentId,
        availability: Availability,
        capacity: Option<u16>,
    ) -> Result<(), StoreError> {
        let of = vec![is("agent", agent), is("tenant", tenant), is("active", true)];
        let capacity = capacity.map(|capacity| is("capacity", capacity));
        let set = std::iter::once(is("availability", availability)).chain(capacity).collect();
        self.change(vec![Change::set::<AgentRow>(of, set)]).await
    }
    /// Replaces their password's hash.
    async fn agent_password(
        &self,
        tenant: TenantId,
        agent: AgentId,
        password_hash: Arc<str>,
    ) -> Result<(), StoreError> {
        self.change(changes(Record::Password { tenant, agent, password_hash })).await
    }
    async fn agent(
        &self,
        tenant: TenantId,
        agent: AgentId,
    ) -> Result<Option<AgentRow>, StoreError> {
        one("read an agent", self, vec![is("agent", agent), is("tenant", tenant)]).await
    }
    /// At login the tenant is not known yet: every account with this e-mail, oldest first.
    async fn agents_by_email(&self, email: &Personal<String>) -> Result<Vec<AgentRow>, StoreError> {
        let of = vec![is("email_hash", email.clone())];
        let mut rows = all::<AgentRow, _>("find an agent", self, of).await?;
        // One whose key is destroyed is not found by address, though the row is not cleared yet.
        rows.retain(|row| !row.email.expose().is_empty());
        Ok(rows)
    }
    async fn agents(
        &self,
        tenant: TenantId,
        page: Page<AgentId>,
    ) -> Result<Vec<AgentRow>, StoreError> {
        list("list agents", self, vec![is("tenant", tenant)], page).await
    }

    async fn session_create(&self, row: SessionRow) -> Result<(), StoreError> {
        self.change(vec![Change::create(row)]).await
    }
    async fn session_by_secret(
        &self,
        secret: SecretHash,
    ) -> Result<Option<SessionRow>, StoreError> {
        one("find a session", self, vec![is("secret", secret)]).await
    }
    async fn sessions(
        &self,
        tenant: TenantId,
        agent: AgentId,
    ) -> Result<Vec<SessionRow>, StoreError> {
        all("list sessions", self, vec![is("agent", agent), is("tenant", tenant)]).await
    }
    async fn session_exists(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<bool, StoreError> {
        let of = vec![is("session", session), is("tenant", tenant)];
        Ok(!self.select("look for a session", Select::all::<SessionRow>(of)).await?.is_empty())
    }
    async fn session_delete(
        &self,
        tenant: TenantId,
        agent: AgentId,
        session: SessionId,
    ) -> Result<(), StoreError> {
        let of = vec![is("session", session), is("agent", agent), is("tenant", tenant)];
        self.change(vec![Change::delete::<SessionRow>(of)]).await
    }

    async fn invitation_create(&self, row: InvitationRow) -> Result<(), StoreError> {
        self.change(vec![Change::create(row)]).await
    }
    async fn invitation_by_secret(
        &self,
        secret: SecretHash,
    ) -> Result<Option<InvitationRow>, StoreError> {
        one("find an invitation", self, vec![is("secret", secret)]).await
    }
    async fn invitations(&self, tenant: TenantId) -> Result<Vec<InvitationRow>, StoreError> {
        all("list invitations", self, vec![is("tenant", tenant)]).await
    }
    async fn invitation_delete(
        &self,
        tenant: TenantId,
        invitation: InvitationId,
    ) -> Result<(), StoreError> {
        self.change(changes(Record::InvitationEnd { tenant, invitation })).await
    }

    async fn password_reset_by_secret(
        &self,
        secret: SecretHash,
    ) -> Result<Option<PasswordResetRow>, StoreError> {
        one("find a password link", self, vec![is("secret", secret)]).await
    }

    async fn key_create(&self, row: KeyRow) -> Result<(), StoreError> {
        self.change(vec![Change::create(row)]).await
    }
    async fn key_by_secret(&self, secret: SecretHash) -> Result<Option<KeyRow>, StoreError> {
        one("find a key", self, vec![is("secret", secret)]).await
    }
    async fn keys(&self, tenant: Option<TenantId>) -> Result<Vec<KeyRow>, StoreError> {
        all("list keys", self, vec![is("tenant", tenant)]).await
    }
    async fn key_delete(&self, tenant: Option<TenantId>, key: KeyId) -> Result<(), StoreError> {
        let of = vec![is("api_key", key), is("tenant", tenant)];
        self.change(vec![Change::delete::<KeyRow>(of)]).await
    }

    async fn tag_create(&self, row: TagRow) -> Result<(), StoreError> {
        self.change(vec![Change::create(row)]).await
    }
    async fn tags(&self, tenant: TenantId) -> Result<Vec<TagRow>, StoreError> {
        all("list tags", self, vec![is("tenant", tenant)]).await
    }
    async fn tag_delete(&self, tenant: TenantId, tag: TagId) -> Result<(), StoreError> {
        let of = vec![is("tag", tag), is("tenant", tenant)];
        self.change(vec![Change::delete::<TagRow>(of)]).await
    }

    /// From now on this reader's Organization has a feed; the position after which it begins.
    async fn feed_open(&self, row: FeedReaderRow) -> Result<u64, StoreError> {
        let after = self.feed_end().await?;
        self.change(vec![Change::create(row)]).await?;
        Ok(after)
    }
    /// This reader reads no more; without any there is no feed.
    async fn feed_close(&self, tenant: TenantId, reader: &str) -> Result<(), StoreError> {
        let of = vec![is("tenant", tenant), is("reader", reader.to_owned())];
        self.change(vec![Change::delete::<FeedReaderRow>(of)]).await
    }
    /// What changed in an Organization after a position, in the order of the commits. What was said is there once it is
    /// carried out of the journal, about a second later at most.
    async fn feed(
        &self,
        tenant: TenantId,
        after: u64,
        limit: u16,
    ) -> Result<Vec<FeedEvent>, StoreError>;
    /// The position of the newest event of all Organizations.
    async fn feed_end(&self) -> Result<u64, StoreError>;

    async fn canned_responses(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<CannedResponseRow>, StoreError> {
        all("list canned responses", self, vec![is("tenant", tenant)]).await
    }

    /// The stored answer to a create with this `Idempotency-Key`, if there was one: hash of the request
    /// and the answer.
    async fn idempotent_answer(
        &self,
        tenant: TenantId,
        key: &str,
    ) -> Result<Option<([u8; 32], Vec<u8>)>, StoreError> {
        let of = vec![is("tenant", tenant), is("key_hash", key.to_owned())];
        let kept = one::<AnswerRow, _>("find an answer", self, of).await?;
        Ok(kept.map(|row| (row.request, row.answer)))
    }
}

/// When anything ends: buckets, erasures, what is over, and how far time is trusted.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Deletes every Organization's sessions, invitations and password links that were over at `at`.
    async fn delete_ended(&self, at: UnixMillis) -> Result<(), StoreError>;
    /// Deletes the answers that were kept until this moment; their buckets' keys are the sweep's.
    async fn idempotent_forget(&self, until: UnixMillis) -> Result<(), StoreError>;

    /// Every bucket that has traffic and is not destroyed.
    async fn buckets(&self) -> Result<Vec<Bucket>, StoreError>;
    /// Deletes the rows of destroyed buckets, in chunks, and what they leave in the WAL.
    async fn clean_up(&self, buckets: &[Bucket]) -> Result<(), StoreError>;
    /// As [`Retention::forget`]: afterwards they are one without a name.
    async fn agent_forget(&self, tenant: TenantId, agent: AgentId) -> Result<(), StoreError> {
        self.forget(tenant, Subject::Agent(agent)).await
    }
    /// Clears what is kept of a person once their key is destroyed, wherever [`inventory`] says that something lies.
    /// Places of what they said stay given. Not found where nothing of them is kept.
    async fn forget(&self, tenant: TenantId, subject: Subject) -> Result<(), StoreError>;
    /// The latest trusted time that was persisted: reads use the later of it and the wall clock.
    async fn high_water(&self) -> Result<UnixMillis, StoreError>;
    /// Raises it; by itself it never goes back.
    async fn raise_high_water(&self, at: UnixMillis) -> Result<(), StoreError>;
    /// Keys are about to be destroyed by this time. `false`: the mark went back meanwhile, nothing may be.
    async fn destroying(&self, by: UnixMillis) -> Result<bool, StoreError>;
    /// Notes what an operator said about the clock, and does what they may do to the mark: `false`
    /// where they may not, and then nothing is changed or noted.
    async fn clock_act(&self, act: ClockAct) -> Result<bool, StoreError>;
}

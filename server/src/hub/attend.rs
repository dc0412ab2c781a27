//! Being in a room: joining with what one has already, leaving, typing, receipts, earlier pages.

use std::sync::Arc;

use protocol::conversation::{ConversationCard, Marks, ResumePoint};
use protocol::frame::{RequestId, ServerFrame};
use protocol::ids::{ConversationId, TenantId};
use protocol::limits::{HISTORY_MESSAGES_MAX, RESUME_MESSAGES_MAX};
use protocol::message::{Message, Seq};
use protocol::reject::Reject;
use protocol::retention::RetentionClass;

use super::assignment::Assignment;
use super::board::Board;
use super::desks::Desks;
use super::fanout::{EncodedFrame, LiveRoom, tell};
use super::handle::RoomHandle;
use super::reject::not_found;
use super::rooms::Rooms;
use super::sites::Sites;
use super::speaker::Speaker;
use super::tally;
use super::times::Times;
use crate::bus::{Bus, Notice};
use crate::metrics::Metrics;
use crate::privacy::envelope::Sequenced;
use crate::privacy::gate::{Door, ReadGrant, Reader};
use crate::privacy::policy::SiteTimeline;
use crate::room::Member;
use crate::sequencer::{Older, Resumed, TAIL_MAX, UNDER_WAY_MAX};
use crate::store::{MessagePage, Sight, Store};

/// A conversation that a connection is in.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Which.
    pub conversation: ConversationId,
    /// Its room; kept by the connection, so that nothing is looked up on the way of a message.
    pub room: RoomHandle,
}

/// One look at the room of someone who joins.
enum Step {
    In {
        reset: bool,
    },
    /// What follows their last message.
    ReadOlder {
        after: Seq,
        through: Seq,
    },
    /// What they may see below what memory has, for a whole page.
    ReadBelow {
        through: Seq,
        limit: u16,
    },
}

/// What was read of the store for someone who joins.
#[derive(Default)]
struct Read {
    older: Option<Older>,
    /// And up to which sequence number memory has the rest.
    below: Option<(Seq, MessagePage)>,
}

/// Who is in which room.
#[derive(Debug)]
pub(crate) struct Attendance {
    pub(super) store: Arc<dyn Store>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) times: Arc<Times>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) sites: Arc<Sites>,
    pub(super) rooms: Arc<Rooms>,
    pub(super) desks: Arc<Desks>,
    pub(super) board: Arc<Board>,
    pub(super) assignment: Arc<Assignment>,
}

impl Attendance {
    /// Lets a connection into a room and sends it the conversation's state and what follows its
    /// last message, in one step: what comes live afterwards comes after.
    ///
    /// # Errors
    /// If there is no such conversation for this speaker, or the store cannot be read.
    pub(crate) async fn attend(
        &self,
        speaker: &Speaker,
        conversation: ConversationId,
        point: Option<&ResumePoint>,
        request: RequestId,
    ) -> Result<Watched, Reject> {
        loop {
            let (room, site, visitor) =
                self.rooms.get_with_home(speaker.tenant, conversation).await?;
            if !speaker.may_see(visitor) {
                return Err(not_found("there is no such conversation"));
            }
            let site = self.sites.get(speaker.tenant, site).await?;
            if let Some(point) = point.filter(|_| self.bus.is_far()) {
                self.rooms.catch_up(&room, point).await?;
            }
            let facts = room.with(|live| self.board.facts_of(live)).unwrap_or_default();
            let card = self.board.card(speaker, conversation, &facts).await?;
            let timeline = &site.row.timeline;
            let mut read = Read::default();
            let mut held = None;
            let joined = loop {
                let step = room.with(|live| {
                    self.step_in(live, speaker, &card, (request, point), &read, timeline)
                });
                let sight = Sight::Shown(speaker.reader(), self.times.today());
                let range_of = (speaker.tenant, conversation, sight);
                if matches!(step, Ok(Step::ReadOlder { .. } | Step::ReadBelow { .. })) {
                    held.get_or_insert_with(|| room.hold());
                }
                match step {
                    Ok(Step::In { reset }) => break Some(reset),
                    Ok(Step::ReadOlder { after, through }) => {
                        let seq = point.map_or(Seq(0), |point| point.seq);
                        read.older = Some(self.read_older(range_of, after, seq, through).await?);
                    }
                    Ok(Step::ReadBelow { through, limit }) => {
                        let range = (Seq(0), Some(through.next()));
                        let page = self.read_page(range_of, range, limit).await?;
                        read.below = Some((through, page));
                    }
                    Err(_) => break None,
                }
            };
            if let Some(reset) = joined {
                if point.is_some_and(|point| point.message.is_some()) {
                    tally::resumed(&self.metrics, reset);
                }
                speaker.sink.flush();
                return Ok(Watched { conversation, room });
            }
        }
    }

    /// What follows a sequence number in the store, and what is right before it.
    async fn read_older(
        &self,
        of: (TenantId, ConversationId, Sight),
        after: Seq,
        seq: Seq,
        through: Seq,
    ) -> Result<Older, Reject> {
        let (tenant, conversation, _) = of;
        let limit = u16::try_from(UNDER_WAY_MAX).unwrap_or(u16::MAX);
        let before =
            self.store.messages(tenant, conversation, after, Some(seq.next()), limit).await;
        let before = before?;
        let limit = u16::try_from(RESUME_MESSAGES_MAX).unwrap_or(u16::MAX);
        let page = self.read_page(of, (seq, Some(through.next())), limit).await?;
        Ok(Older { before, following: page.messages, whole: !page.more, through })
    }

    async fn read_page(
        &self,
        (tenant, conversation, sight): (TenantId, ConversationId, Sight),
        range: (Seq, Option<Seq>),
        limit: u16,
    ) -> Result<MessagePage, Reject> {
        let page = self.store.page(tenant, conversation, sight, range, limit).await;
        Ok(page?)
    }

    /// Under the room's lock: what they get is put together, and they are in; or what has to be
    /// read first.
    fn step_in(
        &self,
        live: &mut LiveRoom,
        speaker: &Speaker,
        card: &ConversationCard,
        (request, point): (RequestId, Option<&ResumePoint>),
        read: &Read,
        timeline: &SiteTimeline,
    ) -> Step {
        let resumed = if self.bus.is_far() {
            live.sequencer().resume_anew(point)
        } else {
            live.sequencer().resume(point, read.older.as_ref())
        };
        let (page, reset) = match resumed {
            Resumed::LookInStore { after, through } => return Step::ReadOlder { after, through },
            Resumed::After(page) => (page, false),
            Resumed::Reset(page) => (page, true),
        };
        let reader = speaker.reader();
        let grant = ReadGrant::stored(Door::Resume, reader, self.times.today(), timeline);
        let page = shown(&page, &grant);
        let told = (request, reset);
        if !reset && point.is_some_and(|point| point.message.is_some()) {
            let more = !page.is_empty();
            let_in(live, speaker, card, told, (more, page));
            return Step::In { reset };
        }
        // The newest page. What they may see of it in memory may be little, or nothing.
        let below = live.sequencer().below().of(reader).is_some_and(|day| {
            let agents =
                ReadGrant::stored(Door::Resume, Reader::Agents, self.times.today(), timeline);
            agents.show(RetentionClass::Transcript, day, ()).is_some()
        });
        let limit = TAIL_MAX.saturating_sub(page.len());
        if !below || limit == 0 {
            let_in(live, speaker, card, told, (below, page));
            return Step::In { reset };
        }
        let through = live.sequencer().tail_after();
        match &read.below {
            Some((read, earlier)) if *read == through => {
                let mut whole = shown(&earlier.messages, &grant);
                whole.extend(page);
                let_in(live, speaker, card, told, (earlier.more, whole));
                Step::In { reset }
            }
            Some(_) | None => {
                Step::ReadBelow { through, limit: u16::try_from(limit).unwrap_or(u16::MAX) }
            }
        }
    }

    /// Lets a connection out.
    pub(crate) fn leave(&self, speaker: &Speaker, watched: &Watched) {
        let left = watched.room.with(|live| live.leave(speaker.sink.connection()));
        if left == Ok(true) {
            self.desks.drop_if_idle(watched.conversation);
        }
    }

    /// A page of earlier messages.
    ///
    /// # Errors
    /// As [`Attendance::attend`].
    pub(crate) async fn history(
        &self,
        speaker: &Speaker,
        conversation: ConversationId,
        before: Seq,
        limit: u16,
        request: RequestId,
    ) -> Result<(), Reject> {
        let (_, site, visitor) = self.rooms.get_with_home(speaker.tenant, conversation).await?;
        if !speaker.may_see(visitor) {
            return Err(not_found("there is no such conversation"));
        }
        let site = self.sites.get(speaker.tenant, site).await?;
        let before = (before > Seq(0)).then_some(before);
        let limit = limit.clamp(1, HISTORY_MESSAGES_MAX);
        let sight = Sight::Shown(speaker.reader(), self.times.today());
        let of = (speaker.tenant, conversation, sight);
        let page = self.read_page(of, (Seq(0), before), limit).await?;
        let timeline = &site.row.timeline;
        let grant =
            ReadGrant::stored(Door::History, speaker.reader(), self.times.today(), timeline);
        let (more, messages) = (page.more, shown(&page.messages, &grant));
        let reset = false;
        let frame = ServerFrame::History { request, conversation, reset, more, messages };
        tell(&*speaker.sink, frame);
        Ok(())
    }

    /// Someone writes, or has stopped to.
    pub(crate) fn typing(&self, speaker: &Speaker, watched: &Watched, typing: bool) {
        let (tenant, conversation, author) =
            (speaker.tenant, watched.conversation, speaker.author());
        if let Some(agent) = speaker.agent()
            && let Some(desk) = self.desks.live(tenant)
            && desk.state.lock().routing.is_unheard(agent)
        {
            self.assignment.note_work(desk, agent);
        }
        watched.room.show_typing(conversation, author, typing);
        self.bus.announce(Notice::Typing { tenant, conversation, author, typing });
    }

    /// Something reached someone, or was on their screen.
    pub(crate) fn receipt(&self, speaker: &Speaker, watched: &Watched, seq: Seq, seen: bool) {
        let (tenant, conversation, author) =
            (speaker.tenant, watched.conversation, speaker.author());
        let seen_to = if seen { seq } else { Seq(0) };
        let except = Some(speaker.sink.connection());
        let receipts = watched.room.show_receipt((author, seq, seen_to), except);
        if let Some(Marks { delivered, seen, .. }) = receipts {
            self.bus.announce(Notice::Receipt { tenant, conversation, author, delivered, seen });
        }
    }
}

/// Under the room's lock: the member, the state, the page.
fn let_in(
    live: &mut LiveRoom,
    speaker: &Speaker,
    card: &ConversationCard,
    (request, reset): (RequestId, bool),
    (more, messages): (bool, Vec<Message<'_>>),
) {
    live.join(Member {
        connection: speaker.sink.connection(),
        author: speaker.author(),
        reader: speaker.reader(),
        sink: Arc::clone(&speaker.sink),
    });
    let mut card = card.clone();
    card.seq_last = live.sequencer().seq_last();
    card.marks = protocol::limits::List::new(live.receipts().iter().cloned());
    speaker.sink.append(&EncodedFrame::new(ServerFrame::Conversation { card }));
    let conversation = live.conversation();
    let page = ServerFrame::History { request, conversation, reset, more, messages };
    speaker.sink.append(&EncodedFrame::new(page));
}

/// What the grant lets through, in order.
fn shown<'p>(page: &'p [Arc<Sequenced>], grant: &ReadGrant<'_>) -> Vec<Message<'p>> {
    page.iter().filter_map(|sequenced| sequenced.shown(grant)).collect()
}

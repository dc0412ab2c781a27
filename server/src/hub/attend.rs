//! Being in a room: joining with what one has already, leaving, typing, marks, earlier pages.

use std::sync::Arc;

use protocol::conversation::{ConversationCard, Marks, ResumePoint};
use protocol::frame::{RequestId, ServerFrame};
use protocol::ids::{ConnectionId, ConversationId, TenantId};
use protocol::limits::{HISTORY_MESSAGES_MAX, RESUME_MESSAGES_MAX, TEXT_BYTES_MAX};
use protocol::message::{Author, Body, Message, Seq, Visibility};
use protocol::personal::{Personal, Text};
use protocol::reject::{Reject, RejectCode};
use protocol::retention::RetentionClass;

use super::desk::RoomFacts;
use super::fanout::Fanned;
use super::shard::{LiveRoom, RoomHandle};
use super::{Hub, Outlet, Speaker, Who, not_found, store_reject};
use crate::bus::Notice;
use crate::privacy::envelope::Placed;
use crate::privacy::gate::{Door, ReadGrant, Reader};
use crate::privacy::ingest::field;
use crate::privacy::policy::SiteTimeline;
use crate::room::Member;
use crate::sequencer::{Older, Resumed, TAIL_MAX, UNDER_WAY_MAX};
use crate::store::{DraftRow, MessagePage, Sight, Write};

/// Characters of a conversation's newest line in a list.
const PREVIEW_CHARS_MAX: usize = 120;

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
    /// And up to which place memory has the rest.
    below: Option<(Seq, MessagePage)>,
}

impl Hub {
    /// Lets a connection into a room and sends it the conversation's state and what follows its last
    /// message, in one turn: what comes live afterwards comes after.
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
            let room = self.room(speaker.tenant, conversation).await?;
            let (site, visitor) = room
                .with(|live| (live.site(), live.visitor()))
                .map_err(|_| not_found("there is no such conversation"))?;
            if let Who::Visitor { visitor: own, .. } = speaker.who
                && own != visitor
            {
                return Err(not_found("there is no such conversation"));
            }
            let site = self.site(speaker.tenant, site).await?;
            let facts = room.with(|live| self.facts_of(live)).unwrap_or_default();
            let card = self.card(speaker, conversation, &facts).await?;
            let timeline = &site.row.timeline;
            let mut read = Read::default();
            let mut held = None;
            let joined = loop {
                let step = room.with(|live| {
                    self.step_in(live, speaker, &card, (request, point), &read, timeline)
                });
                let sight = Sight::Shown(speaker.reader(), self.today());
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
                    self.tally_resume(reset);
                }
                speaker.outlet.flush();
                return Ok(Watched { conversation, room });
            }
        }
    }

    /// What follows a place in the store, and what is right before it.
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
        let before = before.map_err(|error| store_reject(&error))?;
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
        page.map_err(|error| store_reject(&error))
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
        let (page, reset) = match live.sequencer().resume(point, read.older.as_ref()) {
            Resumed::LookInStore { after, through } => return Step::ReadOlder { after, through },
            Resumed::After(page) => (page, false),
            Resumed::Reset(page) => (page, true),
        };
        let reader = speaker.reader();
        let grant = ReadGrant::stored(Door::Resume, reader, self.today(), timeline);
        let page = shown(&page, &grant);
        let told = (request, reset);
        if !reset && point.is_some_and(|point| point.message.is_some()) {
            let more = !page.is_empty();
            let_in(live, speaker, card, told, (more, page));
            return Step::In { reset };
        }
        // The newest page. What they may see of it in memory may be little, or nothing.
        let below = live.sequencer().below().of(reader).is_some_and(|day| {
            let agents = ReadGrant::stored(Door::Resume, Reader::Agents, self.today(), timeline);
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
        let left = watched.room.with(|live| live.leave(speaker.outlet.connection()));
        if left == Ok(true) {
            self.drop_if_idle(watched.conversation);
        }
    }

    /// A page of earlier messages.
    ///
    /// # Errors
    /// As [`Hub::attend`].
    pub(crate) async fn history(
        &self,
        speaker: &Speaker,
        conversation: ConversationId,
        before: Seq,
        limit: u16,
        request: RequestId,
    ) -> Result<(), Reject> {
        let room = self.room(speaker.tenant, conversation).await?;
        let (site, visitor) = room
            .with(|live| (live.site(), live.visitor()))
            .map_err(|_| not_found("there is no such conversation"))?;
        if let Who::Visitor { visitor: own, .. } = speaker.who
            && own != visitor
        {
            return Err(not_found("there is no such conversation"));
        }
        let site = self.site(speaker.tenant, site).await?;
        let before = (before > Seq(0)).then_some(before);
        let limit = limit.clamp(1, HISTORY_MESSAGES_MAX);
        let sight = Sight::Shown(speaker.reader(), self.today());
        let of = (speaker.tenant, conversation, sight);
        let page = self.read_page(of, (Seq(0), before), limit).await?;
        let timeline = &site.row.timeline;
        let grant = ReadGrant::stored(Door::History, speaker.reader(), self.today(), timeline);
        let (more, messages) = (page.more, shown(&page.messages, &grant));
        let reset = false;
        let frame = ServerFrame::History { request, conversation, reset, more, messages };
        Self::tell(&*speaker.outlet, frame);
        Ok(())
    }

    /// Someone writes, or has stopped to.
    pub(crate) fn typing(self: &Arc<Self>, speaker: &Speaker, watched: &Watched, typing: bool) {
        let (tenant, conversation, author) =
            (speaker.tenant, watched.conversation, speaker.author());
        if let Some(agent) = speaker.agent()
            && let Some(desk) = self.live_desk(tenant)
            && desk.state.lock().routing.is_unheard(agent)
        {
            self.note_work(desk, agent);
        }
        Self::show_typing(&watched.room, conversation, author, typing);
        self.bus.announce(Notice::Typing { tenant, conversation, author, typing });
    }

    /// To everyone here but the one who types.
    pub(super) fn show_typing(
        room: &RoomHandle,
        conversation: ConversationId,
        author: Author,
        typing: bool,
    ) {
        let frame = Fanned::new(ServerFrame::Typing { conversation, author, typing });
        let told = room.with(|live| {
            live.hearers(Visibility::Everyone, None)
                .filter(|member| member.author != author)
                .map(|member| {
                    member.outlet.append_ephemeral(&frame);
                    Arc::clone(&member.outlet)
                })
                .collect::<Vec<_>>()
        });
        for outlet in told.unwrap_or_default() {
            outlet.flush();
        }
    }

    /// Something reached someone, or was on their screen.
    pub(crate) fn mark(&self, speaker: &Speaker, watched: &Watched, seq: Seq, seen: bool) {
        let (tenant, conversation, author) =
            (speaker.tenant, watched.conversation, speaker.author());
        let seen_to = if seen { seq } else { Seq(0) };
        let except = Some(speaker.outlet.connection());
        let marks = Self::show_mark(&watched.room, (author, seq, seen_to), except);
        if let Some(Marks { delivered, seen, .. }) = marks {
            self.bus.announce(Notice::Mark { tenant, conversation, author, delivered, seen });
        }
    }

    /// Raises a mark and tells everyone here but one. The marks, if they changed.
    pub(super) fn show_mark(
        room: &RoomHandle,
        (author, delivered, seen): (Author, Seq, Seq),
        except: Option<ConnectionId>,
    ) -> Option<Marks> {
        let told = room.with(|live| {
            let marks = live.mark(author, delivered, seen)?;
            let conversation = live.conversation();
            let frame = Fanned::new(if seen > Seq(0) {
                ServerFrame::Seen { conversation, author, seq: marks.seen }
            } else {
                ServerFrame::Delivered { conversation, author, seq: marks.delivered }
            });
            let told: Vec<_> = live
                .hearers(Visibility::Everyone, except)
                .map(|member| {
                    member.outlet.append_ephemeral(&frame);
                    Arc::clone(&member.outlet)
                })
                .collect();
            Some((marks, told))
        });
        let (marks, told) = told.ok()??;
        for outlet in told {
            outlet.flush();
        }
        Some(marks)
    }

    /// Keeps what stands in an agent's composer, and shows it in their other windows.
    pub(crate) async fn draft(
        &self,
        speaker: &Speaker,
        conversation: ConversationId,
        text: &str,
    ) -> Result<(), Reject> {
        let Who::Agent { agent, .. } = speaker.who else {
            return Err(Reject::new(RejectCode::Forbidden, "only agents do that"));
        };
        let (row, _) = self.stored_header(speaker.tenant, conversation).await?;
        let site = self.site(speaker.tenant, row.site).await?;
        let text = if site.redactor()?.takes_long(text) {
            let text = text.to_owned();
            site.mask(move |site| field("draft", &text, TEXT_BYTES_MAX, site.redactor()?)).await?
        } else {
            field("draft", text, TEXT_BYTES_MAX, site.redactor()?)?
        };
        let draft = DraftRow {
            tenant: speaker.tenant,
            site: row.site,
            conversation,
            visitor: row.visitor,
            agent,
            text: text.clone(),
            day: self.record_time().day(),
        };
        let write = vec![Write::Draft(Box::new(draft))];
        self.store.write(write).await.map_err(|error| store_reject(&error))?;
        let desk = self.desk(speaker.tenant).await?;
        let lines = desk.state.lock().agent_lines(agent);
        for line in lines {
            if line.connection() != speaker.outlet.connection() {
                let text = Text::new(text.expose().as_str());
                Self::tell(&*line, ServerFrame::Draft { conversation, text });
            }
        }
        Ok(())
    }

    /// The card of a conversation, live or not.
    pub(super) async fn card(
        &self,
        speaker: &Speaker,
        conversation: ConversationId,
        facts: &RoomFacts,
    ) -> Result<ConversationCard, Reject> {
        let desk = self.desk(speaker.tenant).await?;
        if let Some(card) =
            desk.state.lock().card(conversation, facts, speaker.reader(), &self.shown())
        {
            return Ok(card);
        }
        let (row, visitor) = self.stored_header(speaker.tenant, conversation).await?;
        let card =
            desk.state.lock().card_of(&row, &visitor, facts, speaker.reader(), &self.shown());
        Ok(card)
    }

    /// A conversation's header and its visitor from the store.
    pub(super) async fn stored_header(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<(crate::store::ConversationRow, crate::store::VisitorRow), Reject> {
        let row = self.store.conversation(tenant, conversation).await;
        let row = row.map_err(|error| store_reject(&error))?;
        let row = row.ok_or_else(|| not_found("there is no such conversation"))?;
        self.know_site(tenant, row.site).await;
        let visitor = self.store.visitor(tenant, row.visitor).await;
        let visitor = visitor.map_err(|error| store_reject(&error))?;
        let visitor = visitor.ok_or_else(|| not_found("there is no such conversation"))?;
        Ok((row, visitor))
    }

    /// What a room adds to its conversation's card; loads it if need be.
    pub(super) async fn facts(&self, tenant: TenantId, conversation: ConversationId) -> RoomFacts {
        let Ok(room) = self.room(tenant, conversation).await else { return RoomFacts::default() };
        let facts = room.with(|live| self.facts_of(live)).unwrap_or_default();
        self.drop_if_idle(conversation);
        facts
    }

    /// Everyone in the room who reads like this.
    pub(super) fn outlets(
        &self,
        conversation: ConversationId,
        reader: Reader,
    ) -> Vec<Arc<dyn Outlet>> {
        let Some(room) = self.rooms.live(conversation) else { return Vec::new() };
        room.with(|live| {
            live.members()
                .iter()
                .filter(|member| member.reader == reader)
                .map(|member| Arc::clone(&member.outlet))
                .collect()
        })
        .unwrap_or_default()
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
        connection: speaker.outlet.connection(),
        author: speaker.author(),
        reader: speaker.reader(),
        outlet: Arc::clone(&speaker.outlet),
    });
    let mut card = card.clone();
    card.seq_last = live.sequencer().seq_last();
    card.marks = protocol::limits::List::new(live.marks().iter().cloned());
    speaker.outlet.append(&Fanned::new(ServerFrame::Conversation { card }));
    let conversation = live.conversation();
    let page = ServerFrame::History { request, conversation, reset, more, messages };
    speaker.outlet.append(&Fanned::new(page));
}

/// What the grant lets through, in order.
fn shown<'p>(page: &'p [Arc<Placed>], grant: &ReadGrant<'_>) -> Vec<Message<'p>> {
    page.iter().filter_map(|placed| placed.shown(grant)).collect()
}

impl Hub {
    fn facts_of(&self, live: &mut LiveRoom) -> RoomFacts {
        let mut facts = RoomFacts {
            seq_last: live.sequencer().seq_last(),
            marks: live.marks().to_vec(),
            ..RoomFacts::default()
        };
        let Some(site) = self.live_site(live.site()) else { return facts };
        let timeline = &site.row.timeline;
        let grant = ReadGrant::stored(Door::Preview, Reader::Agents, self.today(), timeline);
        let mut said =
            live.sequencer().words().filter_map(|placed| match placed.shown(&grant)? {
                Message { body: Body::Text(text), at, author, .. } => Some((text, at, author)),
                Message { body: Body::Event { .. }, .. } => None,
            });
        let beginning = |text: &Text<'_>| {
            Personal::new(text.expose().chars().take(PREVIEW_CHARS_MAX).collect())
        };
        let newest = said.next();
        let asked = match &newest {
            Some((text, at, Author::Visitor)) => Some((beginning(text), *at)),
            Some(_) => said
                .find(|(_, _, author)| *author == Author::Visitor)
                .map(|(text, at, _)| (beginning(&text), at)),
            None => None,
        };
        drop(said);
        facts.asked = asked;
        if let Some((text, at, author)) = newest {
            facts.preview = Some(beginning(&text));
            facts.last_message_at = Some(at);
            facts.last_author = Some(author);
        }
        facts
    }
}

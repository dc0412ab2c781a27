//! The way of a message: ingest, a place, delivery, storage, ack.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::frame::{RequestId, ServerFrame};
use protocol::ids::{ConnectionId, ConversationId, MessageId, TenantId, VisitorId};
use protocol::message::{Author, Body, Seq, Visibility};
use protocol::personal::{Personal, Text};
use protocol::reject::{Reject, RejectCode};
use protocol::time::{Day, UnixMillis};
use tokio::sync::oneshot;

use super::attend::Watched;
use super::cork;
use super::desk::Standing;
use super::fanout::{Fanned, Hearers, Outlets, deliver};
use super::shard::{LiveRoom, RoomHandle};
use super::site::Site;
use super::tally::{self, refuse};
use super::{Hub, Speaker, Who, conflict, not_found, store_reject};
use crate::bus::Notice;
use crate::privacy::envelope::{Envelope, Placed};
use crate::privacy::ingest::{Said, ingest};
use crate::sequencer::{Acked, Command, Gap, Input, Refusal, Submission};
use crate::store::{Beside, StoreError, Write, WriteSlot};
use crate::traces::{self, Trace};

/// A message that is on disk, as its author is told.
#[derive(Clone)]
pub(super) struct Answered {
    pub(super) acked: Acked,
    /// What was kept of it, where something was hidden.
    kept: Option<Personal<String>>,
}

impl From<Acked> for Answered {
    fn from(acked: Acked) -> Self {
        Self { acked, kept: None }
    }
}

/// Told once a message's fate is known.
pub(super) type Answer = Box<dyn FnOnce(Result<Answered, Reject>) + Send>;

/// Who asked that something be said, and when.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Does not get its own back.
    pub(super) from: Option<ConnectionId>,
    /// Why nothing new may be said; what was said before is acked all the same.
    pub(super) refusal: Option<Reject>,
    pub(super) since: Instant,
    /// Stored with the message, or alone where the message was stored before.
    pub(super) beside: Option<Beside>,
    /// Where the message is traced.
    pub(super) trace: Option<Arc<Trace>>,
}

/// Ends the trace of a message, if it has one. What the server could not do is a failure; what it refuses is none.
fn end_trace(
    trace: Option<&Arc<Trace>>,
    who: Who,
    conversation: ConversationId,
    fate: Result<Seq, &Reject>,
) {
    let Some(trace) = trace else { return };
    let role = match who {
        Who::Visitor { .. } => "visitor",
        Who::Agent { .. } => "agent",
    };
    let failed = |code| matches!(code, RejectCode::StoreUnavailable | RejectCode::Overload);
    let fate = fate.map(|seq| seq.0).map_err(|reject| (reject.code.word(), failed(reject.code)));
    trace.message(role, &conversation.to_string(), fate);
}

/// Told instead of the answer where another message was stored under the number that this one had.
pub(super) type Renumbered = oneshot::Sender<Arc<Placed>>;

/// What is needed to store a message and to answer for it, on its way to its number.
pub(super) struct PendingWrite<A = Answer> {
    pub(super) room: RoomHandle,
    /// Reserved before a number is asked for: what has a number can be stored.
    pub(super) slot: Box<dyn WriteSlot>,
    pub(super) answer: A,
    pub(super) from: Option<ConnectionId>,
    pub(super) since: Instant,
    pub(super) beside: Option<Beside>,
    pub(super) renumbered: Option<Renumbered>,
    pub(super) trace: Option<Arc<Trace>>,
}

/// A message that has its number and was appended for everyone here who hears it.
pub(super) struct Published {
    pub(super) placed: Arc<Placed>,
    pub(super) delivered: Delivered,
    pub(super) gap: Option<Gap>,
}

/// What is left to do outside of the room's lock.
pub(super) enum Next {
    Published(Published),
    Do(Command),
    /// Its room was dropped: it is new to the one that is looked up.
    Again(Submission),
}

/// Whom a message reached here.
pub(super) struct Delivered {
    pub(super) hearers: Outlets,
    pub(super) to: Hearers,
    pub(super) first_answer_ms: Option<u64>,
}

/// Time in which another node stores what it gave a place to.
const ELSEWHERE_WAIT: Duration = Duration::from_millis(200);

impl Hub {
    /// Takes what someone says in a room that they are in, where all that decides is in memory and
    /// the store has room: the way of nearly every message, which waits for nothing. `None`:
    /// nothing has happened, and it goes by [`Hub::send`].
    pub(crate) fn send_at_once(
        self: &Arc<Self>,
        speaker: &Speaker,
        watched: &Watched,
        request: RequestId,
        said: &Said<'_>,
        since: Instant,
    ) -> Option<Result<(), Reject>> {
        let room = &watched.room;
        let (site, visitor) = room.with(|live| (live.site(), live.visitor())).ok()?;
        let site = self.live_site(site)?;
        let standing = self.live_desk(speaker.tenant)?.standing(said.conversation)?;
        if site.redactor().is_ok_and(|masks| masks.takes_long(said.text())) {
            return None;
        }
        let slot = self.store.try_reserve().ok()?;
        let trace = traces::message(since);
        traces::reached(trace.as_ref(), "read");
        let (at, today) = self.times(since);
        let decided = permit(speaker.who, said, visitor, &standing).and_then(|refusal| {
            let ground = site.ground(visitor, standing.signals, standing.offline)?;
            let envelope = ingest(said.clone(), speaker.author(), &ground, at)?;
            Ok((refusal, envelope))
        });
        traces::reached(trace.as_ref(), "authorise");
        let (refusal, envelope) = match decided {
            Ok(decided) => decided,
            Err(reject) => {
                end_trace(trace.as_ref(), speaker.who, said.conversation, Err(&reject));
                return Some(Err(reject));
            }
        };
        self.note_sign(speaker.tenant, Some(speaker.who), &standing);
        let kept = envelope.kept_of(&said.body);
        let from = Some(speaker.outlet.connection());
        let submission = Submission::new(envelope, refusal.is_none());
        let published = room.handle(Input::Submitted(submission), |live, command| {
            let Command::Sequence { submission, floor } = command else { return None };
            let seq = self.bus.place_here(submission.envelope(), floor)?;
            let sequenced = live.sequencer_mut().handle(Input::Sequenced(submission, seq));
            match fan_out(live, sequenced, (from, today)) {
                Next::Published(published) => Some(published),
                Next::Do(_) | Next::Again(_) => None,
            }
        });
        let published = published.ok()??;
        traces::reached(trace.as_ref(), "place");
        let of = (said.conversation, trace.clone());
        let answer = self.answer(speaker, request, since, kept, of);
        let (room, beside, renumbered) = (room.clone(), None, None);
        let pending = PendingWrite { room, slot, answer, from, since, beside, renumbered, trace };
        cork::corked(|| self.published(pending, published));
        Some(Ok(()))
    }

    /// Takes what someone says, in a frame that was read at `since`; they hear once it is on disk,
    /// or why it is not.
    pub(crate) async fn send(
        self: &Arc<Self>,
        speaker: &Speaker,
        request: RequestId,
        said: Said<'_>,
        since: Instant,
    ) -> Result<(), Reject> {
        let (conversation, trace) = (said.conversation, traces::message(since));
        traces::reached(trace.as_ref(), "read");
        let of = (conversation, trace.clone());
        let answer = Box::new(self.answer(speaker, request, since, None, of));
        let from = Some(speaker.outlet.connection());
        let asked = Asked { from, refusal: None, since, beside: None, trace: trace.clone() };
        let taken = self.say(speaker.tenant, Some(speaker.who), said, asked, answer).await;
        if let Err(reject) = &taken {
            end_trace(trace.as_ref(), speaker.who, conversation, Err(reject));
        }
        taken
    }

    /// What a connection hears of the fate of its message.
    fn answer(
        &self,
        speaker: &Speaker,
        request: RequestId,
        since: Instant,
        kept: Option<Personal<String>>,
        (conversation, trace): (ConversationId, Option<Arc<Trace>>),
    ) -> impl FnOnce(Result<Answered, Reject>) + Send + use<> {
        let (outlet, who) = (Arc::clone(&speaker.outlet), speaker.who);
        let (metrics, clock) = (Arc::clone(&self.metrics), Arc::clone(&self.clock));
        move |fate| match fate {
            Ok(Answered { acked: Acked { seq, at, expires }, kept: later }) => {
                let kept = later.or(kept);
                let body = kept.as_ref().map(|text| Body::Text(Text::new(text.expose().as_str())));
                outlet.append(&Fanned::new(ServerFrame::Ack {
                    request,
                    seq: Some(seq),
                    at: Some(at),
                    expires,
                    body,
                }));
                cork::flush_ack(&outlet);
                let took = clock.instant().saturating_duration_since(since);
                tally::acked(&metrics, took);
                traces::reached(trace.as_ref(), "store");
                end_trace(trace.as_ref(), who, conversation, Ok(seq));
            }
            Err(reject) => {
                traces::reached(trace.as_ref(), "store");
                end_trace(trace.as_ref(), who, conversation, Err(&reject));
                refuse(&metrics, &*outlet, request, reject);
            }
        }
    }

    /// Says something that comes over REST, and waits for its fate. Without a `who` a program of the
    /// Organization speaks. What is to be stored `beside` it is stored with it or not at all.
    pub(crate) async fn say_and_wait(
        self: &Arc<Self>,
        tenant: TenantId,
        who: Option<Who>,
        said: Said<'_>,
        beside: Option<Beside>,
    ) -> Result<(Seq, UnixMillis), Reject> {
        let (tell, told) = oneshot::channel();
        let answer: Answer = Box::new(move |fate| {
            // The request may have been given up; the message stays said.
            let _gone = tell.send(fate.map(|answered| (answered.acked.seq, answered.acked.at)));
        });
        let since = self.clock.instant();
        // The trace of its request tells of it.
        let asked = Asked { from: None, refusal: None, since, beside, trace: None };
        self.say(tenant, who, said, asked, answer).await?;
        told.await.unwrap_or_else(|_| {
            Err(store_reject(&StoreError::Unavailable { act: "store a message" }))
        })
    }

    /// Tags, places, delivers and stores what someone says; without a `who` a program of the Organization.
    async fn say(
        self: &Arc<Self>,
        tenant: TenantId,
        who: Option<Who>,
        said: Said<'_>,
        mut asked: Asked,
        answer: Answer,
    ) -> Result<(), Reject> {
        let room = self.room(tenant, said.conversation).await?;
        let (site, visitor) = room
            .with(|room| (room.site(), room.visitor()))
            .map_err(|_| not_found("there is no such conversation"))?;
        let site = self.site(tenant, site).await?;
        let standing = self.standing_of(tenant, said.conversation).await?;
        let author = match who {
            None => {
                asked.refusal = standing.refusal();
                Author::Bot
            }
            Some(who) => {
                asked.refusal = permit(who, &said, visitor, &standing)?;
                who.author()
            }
        };
        self.note_sign(tenant, who, &standing);
        let written = said.body.clone();
        let envelope = self.ingest(&site, said, author, (visitor, &standing)).await?;
        traces::reached(asked.trace.as_ref(), "authorise");
        let answer = match envelope.kept_of(&written) {
            None => answer,
            kept => Box::new(move |fate: Result<Answered, Reject>| {
                answer(fate.map(|answered| Answered { kept, ..answered }));
            }),
        };
        self.sequence(room, envelope, asked, answer).await
    }

    /// Tags and masks what someone says; where that takes long, nobody who is served waits for it.
    pub(super) async fn ingest(
        &self,
        site: &Arc<Site>,
        said: Said<'_>,
        author: Author,
        (visitor, standing): (VisitorId, &Standing),
    ) -> Result<Envelope, Reject> {
        let (now, signals, offline) = (self.record_time(), standing.signals, standing.offline);
        if !site.redactor()?.takes_long(said.text()) {
            return ingest(said, author, &site.ground(visitor, signals, offline)?, now);
        }
        let said = said.into_owned();
        let work =
            move |site: &Site| ingest(said, author, &site.ground(visitor, signals, offline)?, now);
        site.mask(work).await
    }

    async fn standing_of(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Standing, Reject> {
        let desk = self.desk(tenant).await?;
        if let Some(standing) = desk.standing(conversation) {
            return Ok(standing);
        }
        let row = self.store.conversation(tenant, conversation).await;
        let row = row.map_err(|error| store_reject(&error))?;
        let row = row.ok_or_else(|| not_found("there is no such conversation"))?;
        Ok(Standing::of(&row))
    }

    /// Gives an envelope its number, delivers it, and hands it to the store. Where its number takes a round trip it waits in
    /// its lane, and nobody waits here.
    pub(super) async fn sequence(
        self: &Arc<Self>,
        room: RoomHandle,
        envelope: Envelope,
        asked: Asked,
        answer: Answer,
    ) -> Result<(), Reject> {
        let submission = Submission::new(envelope, asked.refusal.is_none());
        if self.bus.is_far() {
            return self.wait_in_lane(room, submission, asked, answer);
        }
        self.submit(room, submission, asked, answer, None).await
    }

    /// Carries out one message's commands, until it is published, found to be known, or refused.
    pub(super) async fn submit(
        self: &Arc<Self>,
        room: RoomHandle,
        submission: Submission,
        Asked { from, refusal, since, beside, trace }: Asked,
        answer: Answer,
        renumbered: Option<Renumbered>,
    ) -> Result<(), Reject> {
        let slot = self.slot().await?;
        let mut pending =
            PendingWrite { room, slot, answer, from, since, beside, renumbered, trace };
        let mut held = None;
        let mut next = self.inform(&mut pending, Input::Submitted(submission)).await?;
        loop {
            let command = match next {
                Next::Published(published) => {
                    traces::reached(pending.trace.as_ref(), "place");
                    self.published(pending, published);
                    return Ok(());
                }
                Next::Do(command) => command,
                Next::Again(submission) => {
                    next = self.inform(&mut pending, Input::Submitted(submission)).await?;
                    continue;
                }
            };
            let input = match command {
                Command::Sequence { submission, floor } => {
                    match self.ask_bus(pending, submission, floor).await {
                        None => return Ok(()),
                        Some((back, again)) => (pending, next) = (back, again),
                    }
                    continue;
                }
                Command::ReadStore { submission, after, patiently } => {
                    held.get_or_insert_with(|| pending.room.hold());
                    let stored = self.look(submission.envelope(), after, patiently).await?;
                    Input::Found(submission, stored)
                }
                // It slows the sender, whose next words are read after these.
                Command::WriteFloor { submission, seq } => {
                    drop(pending.slot);
                    let before = self.clock.instant();
                    let written = self.write_floor_of(submission.envelope(), seq).await;
                    self.metrics.backpressure_seconds_total.add(self.since(before));
                    written?;
                    pending.slot = self.slot().await?;
                    Input::Floored(submission, seq)
                }
                Command::Confirm(acked, message) => {
                    self.metrics.duplicates_dropped_total.inc();
                    Self::confirm(pending, message, acked);
                    return Ok(());
                }
                Command::Ack(acked) => {
                    self.metrics.duplicates_dropped_total.inc();
                    answer_known(acked, pending);
                    return Ok(());
                }
                Command::Refuse(why) => {
                    return Err(refusal
                        .filter(|_| why == Refusal::NotAllowed)
                        .unwrap_or(words(why)));
                }
                Command::Publish { .. }
                | Command::Show { .. }
                | Command::Void { .. }
                | Command::Renumber { .. }
                | Command::Fill(_)
                | Command::Nothing => return Ok(()),
            };
            next = self.inform(&mut pending, input).await?;
        }
    }

    /// Tells the sequencer of a message what happened to it. A room that was dropped meanwhile is looked up again, and the
    /// message is new to it.
    async fn inform(&self, pending: &mut PendingWrite, mut input: Input) -> Result<Next, Reject> {
        let (from, today) = (pending.from, self.today());
        loop {
            let told = pending.room.handle(input, |live, command| {
                let Command::Sequence { submission, floor } = command else {
                    return fan_out(live, command, (from, today));
                };
                let Some(seq) = self.bus.place_here(submission.envelope(), floor) else {
                    live.sequencer_mut().await_bus();
                    return Next::Do(Command::Sequence { submission, floor });
                };
                let command = live.sequencer_mut().handle(Input::Sequenced(submission, seq));
                fan_out(live, command, (from, today))
            });
            let submission = match told {
                Ok(next) => return Ok(next),
                Err(input) => input.into_submission(),
            };
            let Some(submission) = submission else { return Ok(Next::Do(Command::Nothing)) };
            let said = submission.envelope();
            pending.room = self.room(said.tenant(), said.conversation()).await?;
            input = Input::Submitted(submission);
        }
    }

    /// It has its number and was appended for everyone here: writes to the sockets, hands it to the store.
    pub(super) fn published<A: FnOnce(Result<Answered, Reject>) + Send + 'static>(
        self: &Arc<Self>,
        pending: PendingWrite<A>,
        Published { placed, delivered, gap }: Published,
    ) {
        if let Some(gap) = gap {
            self.note_missed(placed.envelope(), gap);
        }
        if delivered.hearers.spilled() && !cork::in_read() {
            // Their writes follow each other closely as they are.
            delivered.hearers.iter().for_each(|outlet| outlet.flush());
        } else {
            delivered.hearers.iter().for_each(cork::flush);
        }
        traces::reached(pending.trace.as_ref(), "fan-out");
        let now = self.clock.instant();
        self.tally_placed(
            placed.envelope(),
            delivered.to,
            now.saturating_duration_since(pending.since),
        );
        if let Some(ms) = delivered.first_answer_ms {
            self.metrics.first_response_seconds.observe(Duration::from_millis(ms));
        }
        self.record(pending, placed, now);
    }

    async fn stored_message(
        &self,
        envelope: &Envelope,
        after: Seq,
    ) -> Result<Option<Arc<Placed>>, Reject> {
        self.store
            .message(envelope.tenant(), envelope.conversation(), envelope.message(), after)
            .await
            .map_err(|error| store_reject(&error))
    }

    async fn slot(&self) -> Result<Box<dyn WriteSlot>, Reject> {
        match self.store.try_reserve() {
            Ok(slot) => Ok(slot),
            Err(_) => {
                let before = self.clock.instant();
                let slot = self.store.reserve().await;
                self.metrics.backpressure_seconds_total.add(self.since(before));
                slot.map_err(|error| store_reject(&error))
            }
        }
    }

    /// Waits until the store knows that the numbering came so far, and has done what was before that.
    async fn write_floor_of(&self, envelope: &Envelope, seq: Seq) -> Result<(), Reject> {
        let (tenant, conversation) = (envelope.tenant(), envelope.conversation());
        let floor = Write::Floor { tenant, conversation, seq };
        self.store.write(vec![floor]).await.map_err(|error| store_reject(&error))
    }

    /// Looks for a message in the store; another node's write may still be on the way to the disk.
    async fn look(
        &self,
        envelope: &Envelope,
        after: Seq,
        patiently: bool,
    ) -> Result<Option<Arc<Placed>>, Reject> {
        let stored = self.stored_message(envelope, after).await?;
        if stored.is_some() || !patiently {
            return Ok(stored);
        }
        tokio::time::sleep(ELSEWHERE_WAIT).await;
        self.stored_message(envelope, after).await
    }

    /// Hands a placed message to the store; its sender hears once it is on disk.
    ///
    /// Whatever answers lies in one piece of memory with the rest, not in one of its own.
    fn record<A: FnOnce(Result<Answered, Reject>) + Send + 'static>(
        self: &Arc<Self>,
        pending: PendingWrite<A>,
        placed: Arc<Placed>,
        written: Instant,
    ) {
        let hub = Arc::clone(self);
        let message = Arc::clone(&placed);
        let PendingWrite { room, slot, answer, beside, renumbered, .. } = pending;
        let mut writes = vec![Write::Message(placed)];
        writes.extend(beside.as_ref().map(|beside| beside.at(message.seq())));
        slot.write(
            writes,
            Box::new(move |fate| match fate {
                Ok(()) => {
                    tally::stored(&hub.metrics, hub.since(written));
                    hub.integrity.acked(&message, || hub.clock.instant());
                    let acked = Acked::of(message.seq(), message.envelope());
                    // A room that was dropped meanwhile had nothing left to store.
                    drop(room.handle(Input::Stored(message), |_, command| command));
                    answer(Ok(acked.into()));
                }
                Err(StoreError::PlaceTaken { seq_last }) => {
                    let taken = Input::NumberTaken(Arc::clone(&message), seq_last);
                    // What is to be read is read for a room that lives.
                    if let Ok(Command::Renumber { gap, .. }) = room.handle(taken, |_, next| next) {
                        hub.note_missed(message.envelope(), gap);
                    }
                    match renumbered {
                        Some(renumbered) => {
                            // Whoever waits for it settles nothing else.
                            let _gone = renumbered.send(message);
                        }
                        None => {
                            hub.take_back(&room, message);
                            answer(Err(store_reject(&StoreError::PlaceTaken { seq_last })));
                        }
                    }
                }
                Err(error) => {
                    hub.take_back(&room, message);
                    answer(Err(store_reject(&error)));
                }
            }),
        );
    }

    /// A message came again: acked as soon as the first one is on disk, which all before it in the
    /// queue then are.
    fn confirm(pending: PendingWrite, message: MessageId, acked: Acked) {
        let PendingWrite { room, slot, answer, beside, .. } = pending;
        slot.write(
            beside.iter().map(|beside| beside.at(acked.seq)).collect(),
            Box::new(move |fate| {
                let written = Input::Confirmed(acked, message, fate.map_err(drop));
                let settled = room.handle(written, |_, command| command);
                answer(match settled {
                    Ok(Command::Ack(acked)) => Ok(acked.into()),
                    // A room that was dropped had nothing left to store.
                    Err(Input::Confirmed(acked, _, Ok(()))) => Ok(acked.into()),
                    Ok(_) | Err(_) => Err(words(Refusal::Unstored)),
                });
            }),
        );
    }

    /// What was shown could not be stored: off the screens with it, here and on the other nodes.
    pub(super) fn take_back(&self, room: &RoomHandle, placed: Arc<Placed>) {
        let envelope = placed.envelope();
        self.bus.announce(Notice::Void {
            tenant: envelope.tenant(),
            conversation: envelope.conversation(),
            seq: placed.seq(),
            message: envelope.message(),
        });
        Self::take_off(room, Input::Failed(placed));
    }

    /// Takes a message off the screens of this node.
    pub(super) fn take_off(room: &RoomHandle, input: Input) {
        let told = room.handle(input, |live, command| {
            let Command::Void { placed, .. } = command else { return Vec::new() };
            let frame = Fanned::new(ServerFrame::Void {
                conversation: placed.envelope().conversation(),
                seq: placed.seq(),
                message: placed.envelope().message(),
            });
            live.hearers(placed.envelope().visibility(), None)
                .map(|member| {
                    member.outlet.append(&frame);
                    Arc::clone(&member.outlet)
                })
                .collect()
        });
        // Nobody looks at a room that was dropped.
        for outlet in told.unwrap_or_default() {
            outlet.flush();
        }
    }
}

/// Under the room's lock: what has its number goes to everyone here.
pub(super) fn fan_out(
    live: &LiveRoom,
    command: Command,
    (from, today): (Option<ConnectionId>, Day),
) -> Next {
    let Command::Publish { placed, first_answer_ms, gap } = command else {
        return Next::Do(command);
    };
    let (hearers, to) = deliver(live, &placed, from, today);
    let delivered = Delivered { hearers, to, first_answer_ms };
    Next::Published(Published { placed, delivered, gap })
}

/// Whether someone may say this here: a visitor in their own, an agent in what they have; notes are
/// open to every agent. The inner refusal is for what is new: what was said while it was allowed is
/// acked all the same.
fn permit(
    who: Who,
    said: &Said<'_>,
    visitor: VisitorId,
    standing: &Standing,
) -> Result<Option<Reject>, Reject> {
    let taken = match who {
        Who::Visitor { visitor: own, .. } if own != visitor => {
            return Err(not_found("there is no such conversation"));
        }
        Who::Visitor { .. } => None,
        Who::Agent { .. } if said.visibility == Visibility::Agents => None,
        Who::Agent { agent, .. } if standing.assignee == Some(agent) => None,
        Who::Agent { .. } => Some(Reject::new(
            RejectCode::Forbidden,
            "another agent has this conversation, or nobody: take it first, or write a note",
        )),
    };
    Ok(standing.refusal().or(taken))
}

/// Answers for a message that was found in the store.
fn answer_known(acked: Acked, pending: PendingWrite) {
    let PendingWrite { slot, answer, beside, .. } = pending;
    match beside {
        None => answer(Ok(acked.into())),
        Some(beside) => {
            let fate = move |fate: Result<(), StoreError>| {
                answer(fate.map(|()| acked.into()).map_err(|error| store_reject(&error)));
            };
            slot.write(vec![beside.at(acked.seq)], Box::new(fate));
        }
    }
}

/// What the author of a message that is not taken is told.
pub(super) fn words(refusal: Refusal) -> Reject {
    let again = |code, words: &'static str| Reject::new(code, words).retry_after_ms(1_000);
    match refusal {
        Refusal::Conflict => conflict(),
        Refusal::NotAllowed => {
            Reject::new(RejectCode::Forbidden, "nothing new may be said in this conversation")
        }
        Refusal::Outrun => {
            let words = "no place could be given; try again";
            Reject::new(RejectCode::Overload, words).retry_after_ms(200)
        }
        Refusal::BusAway => {
            again(RejectCode::StoreUnavailable, "the bus between the servers is away; try again")
        }
        Refusal::Overtaken => {
            again(RejectCode::Overload, "other servers take its places; try again")
        }
        Refusal::LaneFull => again(
            RejectCode::Overload,
            "this conversation has more messages on their way than it takes; try again",
        ),
        Refusal::Owes => again(
            RejectCode::StoreUnavailable,
            "an earlier message has to come again before this one; try again",
        ),
        Refusal::Unstored => store_reject(&StoreError::Unavailable { act: "store a message" }),
        Refusal::Abandoned => again(RejectCode::Overload, "the server failed; try again"),
    }
}

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
use crate::room::{Accepted, Looked};
use crate::store::{Beside, StoreError, Write, WriteSlot};
use crate::traces::{self, Trace};

/// A message that is on disk, as its author is told.
#[derive(Clone)]
pub(super) struct Acked {
    seq: Seq,
    at: UnixMillis,
    expires: Option<Day>,
    /// What was kept of it, where something was hidden.
    kept: Option<Personal<String>>,
}

impl Acked {
    fn of(seq: Seq, envelope: &Envelope) -> Self {
        Self { seq, at: envelope.at(), expires: envelope.tag().expires, kept: None }
    }
}

/// Told once a message's fate is known.
pub(super) type Answer = Box<dyn FnOnce(Result<Acked, Reject>) + Send>;

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

/// Told instead of the answer where another message was stored at the place that this one had.
pub(super) type Taken = oneshot::Sender<Arc<Placed>>;

/// A message on its way to its place.
pub(super) struct Going<A = Answer> {
    pub(super) room: RoomHandle,
    /// Reserved before the place was asked for.
    pub(super) slot: Box<dyn WriteSlot>,
    pub(super) answer: A,
    pub(super) from: Option<ConnectionId>,
    pub(super) since: Instant,
    pub(super) beside: Option<Beside>,
    pub(super) taken: Option<Taken>,
    pub(super) trace: Option<Arc<Trace>>,
}

/// Whom a message reached here.
pub(super) struct Delivered {
    pub(super) hearers: Outlets,
    pub(super) to: Hearers,
    pub(super) first_answer_ms: Option<u64>,
}

/// Time in which another node stores what it gave a place to.
const ELSEWHERE_WAIT: Duration = Duration::from_millis(200);

/// How often a message that lost its place to another node's is given a new one.
pub(super) const PLACES_MAX: u8 = 8;

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
        let placed = room.with(|live| match live.accept(&envelope, None) {
            Accepted::New { floor } if refusal.is_none() => {
                let seq = self.bus.place_here(&envelope, floor)?;
                Some(Self::settle(live, envelope, seq, (from, today)))
            }
            Accepted::New { .. }
            | Accepted::Known { .. }
            | Accepted::KnownElsewhere { .. }
            | Accepted::Conflict
            | Accepted::LookInStore(_)
            | Accepted::Wait { .. } => None,
        });
        let (placed, delivered) = placed.ok()??;
        traces::reached(trace.as_ref(), "place");
        let of = (said.conversation, trace.clone());
        let answer = self.answer(speaker, request, since, kept, of);
        let (room, beside, taken) = (room.clone(), None, None);
        let going = Going { room, slot, answer, from, since, beside, taken, trace };
        cork::corked(|| self.placed(going, placed, &delivered));
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
    ) -> impl FnOnce(Result<Acked, Reject>) + Send + use<> {
        let (outlet, who) = (Arc::clone(&speaker.outlet), speaker.who);
        let (metrics, clock) = (Arc::clone(&self.metrics), Arc::clone(&self.clock));
        move |fate| match fate {
            Ok(Acked { seq, at, expires, kept: later }) => {
                let kept = later.or(kept);
                let body = kept.as_ref().map(|text| Body::Text(Text::new(text.expose().as_str())));
                outlet.append(&Fanned::new(ServerFrame::Ack {
                    request,
                    seq: Some(seq),
                    at: Some(at),
                    expires,
                    body,
                }));
                cork::flush(&outlet);
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
            let _gone = tell.send(fate.map(|acked| (acked.seq, acked.at)));
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
            kept => Box::new(move |fate: Result<Acked, Reject>| {
                answer(fate.map(|acked| Acked { kept, ..acked }));
            }),
        };
        self.place(room, envelope, asked, answer).await
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

    /// Gives an envelope its place, delivers it, and hands it to the store. Where its place takes a round trip it waits
    /// for its turn, and nobody waits here.
    pub(super) async fn place(
        self: &Arc<Self>,
        room: RoomHandle,
        envelope: Envelope,
        asked: Asked,
        answer: Answer,
    ) -> Result<(), Reject> {
        if self.bus.is_far() {
            return self.wait_in_lane(room, envelope, asked, answer);
        }
        self.place_in_turn(room, envelope, asked, answer, None).await
    }

    /// The same for one whose turn it is.
    pub(super) async fn place_in_turn(
        self: &Arc<Self>,
        room: RoomHandle,
        envelope: Envelope,
        Asked { from, refusal, since, beside, trace }: Asked,
        answer: Answer,
        taken: Option<Taken>,
    ) -> Result<(), Reject> {
        // Reserved before the place is asked for: what has a place can be stored.
        let slot = self.slot().await?;
        let mut going = Going { room, slot, answer, from, since, beside, taken, trace };
        let (mut looked, mut held) = (None, None);
        for _ in 0..PLACES_MAX {
            let allowed = refusal.is_none();
            let step = going.room.with(|live| {
                let accepted = live.accept(&envelope, looked);
                self.step(live, &envelope, accepted, (from, allowed))
            });
            let Ok(step) = step else {
                held = None;
                going.room = self.room(envelope.tenant(), envelope.conversation()).await?;
                continue;
            };
            match step {
                Step::Placed { placed, delivered } => {
                    traces::reached(going.trace.as_ref(), "place");
                    self.placed(going, placed, &delivered);
                    return Ok(());
                }
                Step::AskBus { floor } => match self.ask_bus(going, &envelope, floor).await? {
                    None => return Ok(()),
                    Some(back) => going = back,
                },
                Step::Known { acked } => {
                    self.metrics.duplicates_dropped_total.inc();
                    Self::confirm(going, envelope.message(), acked);
                    return Ok(());
                }
                Step::KnownElsewhere { seq } => {
                    let after = Seq(seq.0.saturating_sub(1));
                    if let Some(stored) = self.stored_elsewhere(&envelope, after).await? {
                        self.metrics.duplicates_dropped_total.inc();
                        return known(&stored, &envelope, going);
                    }
                    // The other node lost it: now it is this one's.
                    going.room.with(|live| live.displaced(seq)).unwrap_or_default();
                }
                Step::Refused => return refusal.map_or(Ok(()), Err),
                Step::Conflict => return Err(conflict()),
                Step::LookInStore(in_vain) => {
                    held.get_or_insert_with(|| going.room.hold());
                    if let Some(stored) = self.stored_message(&envelope, in_vain.after).await? {
                        self.metrics.duplicates_dropped_total.inc();
                        return known(&stored, &envelope, going);
                    }
                    looked = Some(in_vain);
                }
                // It slows the sender, whose next words are read after these.
                Step::Wait { seq } => {
                    drop(going.slot);
                    let before = self.clock.instant();
                    let lasts = self.make_last(&going.room, &envelope, seq).await;
                    self.metrics.backpressure_seconds_total.add(self.since(before));
                    lasts?;
                    going.slot = self.slot().await?;
                }
            }
        }
        Err(Reject::new(RejectCode::Overload, "no place could be given; try again")
            .retry_after_ms(200))
    }

    /// It has its place and was appended for everyone here: writes to the sockets, hands it to the store.
    pub(super) fn placed<A: FnOnce(Result<Acked, Reject>) + Send + 'static>(
        self: &Arc<Self>,
        going: Going<A>,
        placed: Arc<Placed>,
        delivered: &Delivered,
    ) {
        if delivered.hearers.spilled() {
            // Their writes follow each other closely as they are.
            delivered.hearers.iter().for_each(|outlet| outlet.flush());
        } else {
            delivered.hearers.iter().for_each(cork::flush);
        }
        traces::reached(going.trace.as_ref(), "fan-out");
        let now = self.clock.instant();
        self.tally_placed(
            placed.envelope(),
            delivered.to,
            now.saturating_duration_since(going.since),
        );
        if let Some(ms) = delivered.first_answer_ms {
            self.metrics.first_response_seconds.observe(Duration::from_millis(ms));
        }
        self.record(going, placed, now);
    }

    /// One look at the room: under its lock.
    fn step(
        &self,
        live: &mut LiveRoom,
        envelope: &Envelope,
        accepted: Accepted,
        (from, allowed): (Option<ConnectionId>, bool),
    ) -> Step {
        match accepted {
            Accepted::Known { seq, .. } => {
                let known = live.find(envelope.message()).map(|known| known.envelope());
                Step::Known { acked: Acked::of(seq, known.unwrap_or(envelope)) }
            }
            Accepted::KnownElsewhere { seq } => Step::KnownElsewhere { seq },
            Accepted::Conflict => Step::Conflict,
            Accepted::LookInStore(in_vain) => Step::LookInStore(in_vain),
            Accepted::New { .. } | Accepted::Wait { .. } if !allowed => Step::Refused,
            Accepted::Wait { seq } => Step::Wait { seq },
            Accepted::New { floor } => {
                let Some(seq) = self.bus.place_here(envelope, floor) else {
                    live.ask();
                    return Step::AskBus { floor };
                };
                let (placed, delivered) =
                    Self::settle(live, envelope.clone(), seq, (from, self.today()));
                Step::Placed { placed, delivered }
            }
        }
    }

    /// Under the room's lock: it has its place, and everyone here gets it.
    fn settle(
        live: &mut LiveRoom,
        envelope: Envelope,
        seq: Seq,
        (from, today): (Option<ConnectionId>, Day),
    ) -> (Arc<Placed>, Delivered) {
        let first_answer_ms = live.first_answer_ms(&envelope);
        let placed = Arc::new(envelope.place(seq));
        live.placed(Arc::clone(&placed));
        let (hearers, to) = deliver(live, &placed, from, today);
        (placed, Delivered { hearers, to, first_answer_ms })
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
    async fn make_last(
        &self,
        room: &RoomHandle,
        envelope: &Envelope,
        seq: Seq,
    ) -> Result<(), Reject> {
        let (tenant, conversation) = (envelope.tenant(), envelope.conversation());
        let floor = Write::Floor { tenant, conversation, seq };
        self.store.write(vec![floor]).await.map_err(|error| store_reject(&error))?;
        // A room that was dropped meanwhile is loaded with it.
        room.with(|live| live.lasts(seq)).unwrap_or_default();
        Ok(())
    }

    /// A message whose place another node gave; its write may still be on the way to the disk.
    async fn stored_elsewhere(
        &self,
        envelope: &Envelope,
        after: Seq,
    ) -> Result<Option<Arc<Placed>>, Reject> {
        if let Some(stored) = self.stored_message(envelope, after).await? {
            return Ok(Some(stored));
        }
        tokio::time::sleep(ELSEWHERE_WAIT).await;
        self.stored_message(envelope, after).await
    }

    /// Hands a placed message to the store; its sender hears once it is on disk.
    ///
    /// Whatever answers lies in one piece of memory with the rest, not in one of its own.
    fn record<A: FnOnce(Result<Acked, Reject>) + Send + 'static>(
        self: &Arc<Self>,
        going: Going<A>,
        placed: Arc<Placed>,
        written: Instant,
    ) {
        let hub = Arc::clone(self);
        let message = Arc::clone(&placed);
        let Going { room, slot, answer, beside, taken, .. } = going;
        let mut writes = vec![Write::Message(placed)];
        writes.extend(beside.as_ref().map(|beside| beside.at(message.seq())));
        slot.write(
            writes,
            Box::new(move |fate| match fate {
                Ok(()) => {
                    tally::stored(&hub.metrics, hub.since(written));
                    // A room that was dropped meanwhile had nothing left to store.
                    room.with(|live| live.stored(message.seq())).unwrap_or_default();
                    hub.integrity.acked(&message, || hub.clock.instant());
                    answer(Ok(Acked::of(message.seq(), message.envelope())));
                }
                Err(StoreError::PlaceTaken { seq_last }) => {
                    hub.displaced(&room, &message, seq_last);
                    match taken {
                        Some(taken) => {
                            // Whoever waits for it takes no other turn.
                            let _gone = taken.send(message);
                        }
                        None => {
                            hub.take_back(&room, &message);
                            answer(Err(store_reject(&StoreError::PlaceTaken { seq_last })));
                        }
                    }
                }
                Err(error) => {
                    hub.take_back(&room, &message);
                    answer(Err(store_reject(&error)));
                }
            }),
        );
    }

    /// Another node's message was stored where this one had its place: what is there is read.
    fn displaced(&self, room: &RoomHandle, message: &Placed, stored: Seq) {
        let displaced = room.with(|live| {
            live.displaced(message.seq());
            live.raise(stored);
        });
        displaced.unwrap_or_default();
        let before = Seq(message.seq().0.saturating_sub(1));
        self.note_missed(message.envelope(), before, Some(stored));
    }

    /// A message came again: acked as soon as the first one is on disk, which all before it in the
    /// queue then are.
    fn confirm(going: Going, message: MessageId, acked: Acked) {
        let Going { room, slot, answer, beside, .. } = going;
        slot.write(
            beside.iter().map(|beside| beside.at(acked.seq)).collect(),
            Box::new(move |fate| {
                // A room that was dropped had nothing left to store.
                let stored = room.with(|live| live.holds(acked.seq, message)).unwrap_or(true);
                answer(match fate {
                    Ok(()) if stored => Ok(acked),
                    _ => Err(store_reject(&StoreError::Unavailable { act: "store a message" })),
                });
            }),
        );
    }

    /// What was shown could not be stored: off the screens with it, here and on the other nodes.
    pub(super) fn take_back(&self, room: &RoomHandle, placed: &Placed) {
        let envelope = placed.envelope();
        self.bus.announce(Notice::Void {
            tenant: envelope.tenant(),
            conversation: envelope.conversation(),
            seq: placed.seq(),
            message: envelope.message(),
        });
        Self::show_void(room, placed);
    }

    /// Takes a message off the screens of this node.
    pub(super) fn show_void(room: &RoomHandle, placed: &Placed) {
        let told = room.with(|live| {
            // Its place may be another's by now.
            let known = live.find(placed.envelope().message()).map(|known| known.seq());
            if known == Some(placed.seq()) {
                live.failed(placed.seq());
            }
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
                .collect::<Vec<_>>()
        });
        for outlet in told.unwrap_or_default() {
            outlet.flush();
        }
    }
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
fn known(stored: &Placed, envelope: &Envelope, going: Going) -> Result<(), Reject> {
    if !stored.envelope().says_the_same(envelope) {
        return Err(conflict());
    }
    let acked = Acked::of(stored.seq(), stored.envelope());
    let Going { slot, answer, beside, .. } = going;
    match beside {
        None => answer(Ok(acked)),
        Some(beside) => {
            let fate = move |fate: Result<(), StoreError>| {
                answer(fate.map(|()| acked).map_err(|error| store_reject(&error)));
            };
            slot.write(vec![beside.at(stored.seq())], Box::new(fate));
        }
    }
    Ok(())
}

/// What one look at the room led to.
enum Step {
    Placed {
        placed: Arc<Placed>,
        delivered: Delivered,
    },
    /// Its place takes a round trip.
    AskBus {
        floor: Seq,
    },
    /// Another node took it.
    KnownElsewhere {
        seq: Seq,
    },
    Known {
        acked: Acked,
    },
    /// It is new, and may not be said any more.
    Refused,
    Conflict,
    LookInStore(Looked),
    /// So many are under way that the newest place must last first.
    Wait {
        seq: Seq,
    },
}

//! The way of a message: ingest, a place, delivery, storage, ack.

use std::sync::Arc;

use protocol::conversation::ConversationState;
use protocol::frame::{RequestId, ServerFrame};
use protocol::ids::{ConnectionId, ConversationId, MessageId, TenantId};
use protocol::message::{Author, Seq, Visibility};
use protocol::reject::{Reject, RejectCode};
use protocol::time::UnixMillis;

use super::fanout::Fanned;
use super::shard::{LiveRoom, RoomHandle};
use super::{Hub, Outlet, Speaker, Who, not_found, store_reject};
use crate::privacy::envelope::{Envelope, Flags, Placed};
use crate::privacy::gate::{ReadGrant, Reader};
use crate::privacy::ingest::{Said, ingest};
use crate::room::Accepted;
use crate::store::{StoreError, Write, WriteSlot};

/// Told once a message's fate is known.
pub(super) type Answer = Box<dyn FnOnce(Result<(Seq, UnixMillis), Reject>) + Send>;

/// How often a message that lost its place to another node's is given a new one.
const PLACES_MAX: u8 = 8;

impl Hub {
    /// Takes what someone says; `answer` hears of it once it is on disk, or why it is not.
    pub(crate) async fn send(
        self: &Arc<Self>,
        speaker: &Speaker,
        request: RequestId,
        said: Said<'_>,
    ) -> Result<(), Reject> {
        let outlet = Arc::clone(&speaker.outlet);
        let author = speaker.author();
        let answer: Answer = Box::new(move |fate| match fate {
            Ok((seq, at)) => {
                let ack = ServerFrame::Ack { request, seq: Some(seq), at: Some(at) };
                Self::tell(&*outlet, ack);
            }
            Err(reject) => Self::refuse(&*outlet, request, reject),
        });
        let refusal = self.may_write(speaker.tenant, speaker.who, &said).await?.err();
        let connection = Some(speaker.outlet.connection());
        self.say(speaker.tenant, author, said, (connection, refusal), answer).await
    }

    /// Says something that comes over REST, and waits for its fate. Without a `who` a program of the
    /// Organization speaks.
    pub(crate) async fn say_and_wait(
        self: &Arc<Self>,
        tenant: TenantId,
        who: Option<Who>,
        said: Said<'_>,
    ) -> Result<(Seq, UnixMillis), Reject> {
        let (author, refusal) = match who {
            None => (Author::Bot, None),
            Some(who) => (who.author(), self.may_write(tenant, who, &said).await?.err()),
        };
        let (tell, told) = tokio::sync::oneshot::channel();
        let answer: Answer = Box::new(move |fate| {
            // The request may have been given up; the message stays said.
            let _gone = tell.send(fate);
        });
        self.say(tenant, author, said, (None, refusal), answer).await?;
        told.await.unwrap_or_else(|_| {
            Err(store_reject(&StoreError::Unavailable { act: "store a message" }))
        })
    }

    /// Sends a refusal.
    pub(crate) fn refuse(outlet: &dyn Outlet, request: RequestId, reject: Reject) {
        let Reject { code, words, retry_after_ms } = reject;
        let words = words.into_owned();
        Self::tell(outlet, ServerFrame::Reject { request, code, words, retry_after_ms });
    }

    /// A visitor writes in his own, an agent in what he has; notes are open to every agent. The inner
    /// refusal is for what is new: what was said while it was allowed is acked all the same.
    async fn may_write(
        &self,
        tenant: TenantId,
        who: Who,
        said: &Said<'_>,
    ) -> Result<Result<(), Reject>, Reject> {
        let room = self.room(tenant, said.conversation).await?;
        match who {
            Who::Visitor { visitor, .. } => {
                if room.with(|room| room.visitor()).ok() == Some(visitor) {
                    Ok(Ok(()))
                } else {
                    Err(not_found("there is no such conversation"))
                }
            }
            Who::Agent { .. } if said.visibility == Visibility::Agents => Ok(Ok(())),
            Who::Agent { agent, .. } => {
                let desk = self.desk(tenant).await?;
                let assignee = desk.state.lock().is_assignee(said.conversation, agent);
                Ok(if assignee {
                    Ok(())
                } else {
                    Err(Reject::new(
                        RejectCode::Forbidden,
                        "another agent has this conversation, or nobody: take it first, or write a note",
                    ))
                })
            }
        }
    }

    /// Tags, places, delivers and stores what an author says.
    pub(super) async fn say(
        self: &Arc<Self>,
        tenant: TenantId,
        author: Author,
        said: Said<'_>,
        (from, refusal): (Option<ConnectionId>, Option<Reject>),
        answer: Answer,
    ) -> Result<(), Reject> {
        let room = self.room(tenant, said.conversation).await?;
        let (site, visitor) = room
            .with(|room| (room.site(), room.visitor()))
            .map_err(|_| not_found("there is no such conversation"))?;
        let site = self.site(tenant, site).await?;
        let (offline, closed) = self.standing_of(tenant, said.conversation).await?;
        let refusal = if closed {
            Some(Reject::new(RejectCode::Closed, "this conversation is closed; reopen it"))
        } else {
            refusal
        };
        let ground = site.ground(visitor, Flags::default(), offline);
        let envelope = ingest(said, author, &ground, self.now())?;
        self.place(room, envelope, (from, refusal), answer).await
    }

    /// Whether a conversation began as a message that was left, and whether it is closed.
    async fn standing_of(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<(bool, bool), Reject> {
        let desk = self.desk(tenant).await?;
        let known = desk.state.lock().headers.get(&conversation).map(|header| {
            (header.row.offline_message, header.row.state == ConversationState::Closed)
        });
        if let Some(standing) = known {
            return Ok(standing);
        }
        let row = self.store.conversation(tenant, conversation).await;
        let row = row.map_err(|error| store_reject(&error))?;
        let row = row.ok_or_else(|| not_found("there is no such conversation"))?;
        Ok((row.offline_message, row.state == ConversationState::Closed))
    }

    /// Gives an envelope its place, delivers it, and hands it to the store.
    pub(super) async fn place(
        self: &Arc<Self>,
        mut room: RoomHandle,
        envelope: Envelope,
        (from, refusal): (Option<ConnectionId>, Option<Reject>),
        answer: Answer,
    ) -> Result<(), Reject> {
        // Reserved before the place is asked for: what has a place can be stored.
        let slot = match self.store.try_reserve() {
            Ok(slot) => slot,
            Err(_) => self.store.reserve().await.map_err(|error| store_reject(&error))?,
        };
        let mut slot = Some(slot);
        let mut answer = Some(answer);
        let mut looked_above = None;
        for _ in 0..PLACES_MAX {
            let allowed = refusal.is_none();
            let step = room.with(|live| {
                let accepted = live.accept(&envelope, looked_above);
                self.step(live, &envelope, accepted, (from, allowed))
            });
            let Ok(step) = step else {
                room = self.room(envelope.tenant(), envelope.conversation()).await?;
                continue;
            };
            match step {
                Step::Placed { placed, hearers } => {
                    for outlet in hearers {
                        outlet.flush();
                    }
                    if let (Some(slot), Some(answer)) = (slot.take(), answer.take()) {
                        Self::record(slot, room, placed, answer);
                    }
                    return Ok(());
                }
                Step::Known { seq, at } => {
                    if let (Some(slot), Some(answer)) = (slot.take(), answer.take()) {
                        Self::confirm(slot, room, envelope.message(), (seq, at), answer);
                    }
                    return Ok(());
                }
                Step::Refused => return refusal.map_or(Ok(()), Err),
                Step::Conflict => {
                    return Err(Reject::new(
                        RejectCode::Conflict,
                        "a message with this id says something else",
                    ));
                }
                Step::LookInStore { after } => {
                    if let Some(stored) = self.stored_message(&envelope, after).await? {
                        let answer = answer.take();
                        return answer.map_or(Ok(()), |answer| known(&stored, &envelope, answer));
                    }
                    looked_above = Some(after);
                }
            }
        }
        Err(Reject::new(RejectCode::Overload, "no place could be given; try again")
            .retry_after_ms(200))
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
                let at = live.find(envelope.message()).map_or(envelope.at(), |m| m.envelope().at());
                Step::Known { seq, at }
            }
            Accepted::Conflict => Step::Conflict,
            Accepted::LookInStore { after } => Step::LookInStore { after },
            Accepted::New { .. } if !allowed => Step::Refused,
            Accepted::New { floor } => {
                let seq = self.bus.place_here(envelope, floor).unwrap_or_else(|| floor.next());
                let placed = Arc::new(envelope.clone().place(seq));
                live.placed(Arc::clone(&placed));
                let hearers = self.deliver(live, &placed, from);
                Step::Placed { placed, hearers }
            }
        }
    }

    /// Appends a message to everyone who hears it.
    fn deliver(
        &self,
        live: &LiveRoom,
        placed: &Placed,
        except: Option<ConnectionId>,
    ) -> Vec<Arc<dyn Outlet>> {
        let grant = ReadGrant::fan_out(Reader::Agents, self.today());
        let Some(frame) = placed.frame(&grant) else { return Vec::new() };
        let frame = Fanned::new(frame);
        live.hearers(placed.envelope().visibility(), except)
            .map(|member| {
                member.outlet.append(&frame);
                Arc::clone(&member.outlet)
            })
            .collect()
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

    /// Hands a placed message to the store; its sender hears once it is on disk.
    fn record(slot: Box<dyn WriteSlot>, room: RoomHandle, placed: Arc<Placed>, answer: Answer) {
        let message = Arc::clone(&placed);
        slot.write(
            vec![Write::Message(placed)],
            Box::new(move |fate| match fate {
                Ok(()) => {
                    // A room that was dropped meanwhile had nothing left to store.
                    room.with(|live| live.stored(message.seq())).unwrap_or_default();
                    answer(Ok((message.seq(), message.envelope().at())));
                }
                Err(error) => {
                    Self::take_back(&room, &message);
                    answer(Err(store_reject(&error)));
                }
            }),
        );
    }

    /// A message came again: acked as soon as the first one is on disk, which all before it in the
    /// queue then are.
    fn confirm(
        slot: Box<dyn WriteSlot>,
        room: RoomHandle,
        message: MessageId,
        (seq, at): (Seq, UnixMillis),
        answer: Answer,
    ) {
        slot.write(
            Vec::new(),
            Box::new(move |fate| {
                // A room that was dropped had nothing left to store.
                let stored = room.with(|live| live.holds(seq, message)).unwrap_or(true);
                answer(match fate {
                    Ok(()) if stored => Ok((seq, at)),
                    _ => Err(store_reject(&StoreError::Unavailable { act: "store a message" })),
                });
            }),
        );
    }

    /// What was shown could not be stored: off the screens with it.
    fn take_back(room: &RoomHandle, placed: &Placed) {
        let told = room.with(|live| {
            live.failed(placed.seq());
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

/// Answers for a message that was found in the store.
fn known(stored: &Placed, envelope: &Envelope, answer: Answer) -> Result<(), Reject> {
    if !stored.envelope().says_the_same(envelope) {
        return Err(Reject::new(
            RejectCode::Conflict,
            "a message with this id says something else",
        ));
    }
    answer(Ok((stored.seq(), stored.envelope().at())));
    Ok(())
}

/// What one look at the room led to.
enum Step {
    Placed {
        placed: Arc<Placed>,
        hearers: Vec<Arc<dyn Outlet>>,
    },
    Known {
        seq: Seq,
        at: UnixMillis,
    },
    /// It is new, and may not be said any more.
    Refused,
    Conflict,
    LookInStore {
        after: Seq,
    },
}

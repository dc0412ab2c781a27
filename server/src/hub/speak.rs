//! The ways in of a message: whether it may be said, ingestion, and what its author hears of its
//! outcome.
//!
//! Not here: its number, delivery and storage (`executor`), the rules about data
//! (`privacy::ingest`).

use std::sync::Arc;
use std::time::Instant;

use protocol::frame::{RequestId, ServerFrame};
use protocol::ids::{ConversationId, TenantId, VisitorId};
use protocol::message::{Author, Body, Seq, Visibility};
use protocol::personal::{Personal, Text};
use protocol::reject::{Reject, RejectCode};
use protocol::time::UnixMillis;
use tokio::sync::oneshot;

use super::assignment::Assignment;
use super::attend::Watched;
use super::cork;
use super::desk::Standing;
use super::desks::Desks;
use super::executor::Executor;
use super::fanout::EncodedFrame;
use super::lane::Lanes;
use super::pending::{Answer, Answered, Asked, Next, PendingWrite, fan_out};
use super::reject::{not_found, store_reject};
use super::rooms::Rooms;
use super::site::Site;
use super::sites::Sites;
use super::speaker::{Actor, Speaker, Who};
use super::tally::{self, refuse};
use super::times::Times;
use crate::bus::Bus;
use crate::metrics::Metrics;
use crate::privacy::envelope::Envelope;
use crate::privacy::ingest::{NewMessage, ingest};
use crate::sequencer::{Acked, Command, Input, Submission};
use crate::store::{Beside, Store, StoreError};
use crate::traces::{self, Trace};

/// What people and programs say.
#[derive(Debug)]
pub(crate) struct Messages {
    pub(super) store: Arc<dyn Store>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) times: Arc<Times>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) sites: Arc<Sites>,
    pub(super) rooms: Arc<Rooms>,
    pub(super) desks: Arc<Desks>,
    pub(super) executor: Arc<Executor>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) assignment: Arc<Assignment>,
}

impl Messages {
    /// Takes what someone says in a room that they are in, where all that decides is in memory and
    /// the store has room: the way of nearly every message, which waits for nothing. `None`:
    /// nothing has happened, and it goes by [`Messages::send`].
    pub(crate) fn send_at_once(
        &self,
        speaker: &Speaker,
        watched: &Watched,
        request: RequestId,
        new_message: &NewMessage<'_>,
        since: Instant,
    ) -> Option<Result<(), Reject>> {
        let room = &watched.room;
        let (site, visitor) = room.with(|live| (live.site(), live.visitor())).ok()?;
        let site = self.sites.live(site)?;
        let standing = self.desks.live(speaker.tenant)?.standing(new_message.conversation)?;
        if site.redactor().is_ok_and(|masks| masks.takes_long(new_message.text())) {
            return None;
        }
        let slot = self.store.try_reserve().ok()?;
        let trace = traces::message(since);
        traces::reached(trace.as_ref(), "read");
        let (at, today) = self.times.at(since);
        let decided =
            permit(speaker.who.into(), new_message, visitor, &standing).and_then(|refusal| {
                let context = site.context(visitor, standing.signals, standing.channel)?;
                let envelope = ingest(new_message.clone(), speaker.author(), &context, at)?;
                Ok((refusal, envelope))
            });
        traces::reached(trace.as_ref(), "authorise");
        let (refusal, envelope) = match decided {
            Ok(decided) => decided,
            Err(reject) => {
                end_trace(trace.as_ref(), speaker.who, new_message.conversation, Err(&reject));
                return Some(Err(reject));
            }
        };
        self.assignment.note_sign(speaker.tenant, speaker.who.into(), &standing);
        let kept = envelope.kept_of(&new_message.body);
        let from = Some(speaker.sink.connection());
        let submission = Submission::new(envelope, refusal.is_none());
        let published = room.handle(Input::Submitted(submission), |live, command| {
            let Command::Sequence { submission, floor } = command else { return None };
            let seq = self.bus.sequence_here(submission.envelope(), floor)?;
            let sequenced = live.sequencer_mut().handle(Input::Sequenced(submission, seq));
            match fan_out(live, sequenced, (from, today)) {
                Next::Published(published) => Some(published),
                Next::SetRight(_) | Next::Do(_) | Next::Again(_) => None,
            }
        });
        let published = published.ok()??;
        traces::reached(trace.as_ref(), "place");
        let of = (new_message.conversation, trace.clone());
        let answer = self.answer(speaker, request, since, kept, of);
        let (room, beside, by_bus) = (room.clone(), None, None);
        let pending = PendingWrite { room, slot, answer, from, since, beside, by_bus, trace };
        cork::corked(|| self.executor.published(pending, published));
        Some(Ok(()))
    }

    /// Takes what someone says, in a frame that was read at `since`; they hear once it is on disk,
    /// or why it is not.
    pub(crate) async fn send(
        &self,
        speaker: &Speaker,
        request: RequestId,
        new_message: NewMessage<'_>,
        since: Instant,
    ) -> Result<(), Reject> {
        let (conversation, trace) = (new_message.conversation, traces::message(since));
        traces::reached(trace.as_ref(), "read");
        let of = (conversation, trace.clone());
        let answer = Box::new(self.answer(speaker, request, since, None, of));
        let from = Some(speaker.sink.connection());
        let asked = Asked { from, refusal: None, since, beside: None, trace: trace.clone() };
        let taken = self.say(speaker.tenant, speaker.who.into(), new_message, asked, answer).await;
        if let Err(reject) = &taken {
            end_trace(trace.as_ref(), speaker.who, conversation, Err(reject));
        }
        taken
    }

    /// What a connection hears of the outcome of its message.
    fn answer(
        &self,
        speaker: &Speaker,
        request: RequestId,
        since: Instant,
        kept: Option<Personal<String>>,
        (conversation, trace): (ConversationId, Option<Arc<Trace>>),
    ) -> impl FnOnce(Result<Answered, Reject>) + Send + use<> {
        let (sink, who) = (Arc::clone(&speaker.sink), speaker.who);
        let (metrics, times) = (Arc::clone(&self.metrics), Arc::clone(&self.times));
        move |outcome| match outcome {
            Ok(Answered { acked: Acked { seq, at, expires }, kept: later }) => {
                let kept = later.or(kept);
                let body = kept.as_ref().map(|text| Body::Text(Text::new(text.expose().as_str())));
                sink.append(&EncodedFrame::new(ServerFrame::Ack {
                    request,
                    seq: Some(seq),
                    at: Some(at),
                    expires,
                    body,
                }));
                cork::flush_ack(&sink);
                let took = times.since(since);
                tally::acked(&metrics, took);
                traces::reached(trace.as_ref(), "store");
                end_trace(trace.as_ref(), who, conversation, Ok(seq));
            }
            Err(reject) => {
                traces::reached(trace.as_ref(), "store");
                end_trace(trace.as_ref(), who, conversation, Err(&reject));
                refuse(&metrics, &*sink, request, reject);
            }
        }
    }

    /// Says something that comes over REST, and waits for its outcome. What is to be stored
    /// `beside` it is stored with it or not at all.
    pub(crate) async fn say_and_wait(
        &self,
        tenant: TenantId,
        who: Actor,
        new_message: NewMessage<'_>,
        beside: Option<Beside>,
    ) -> Result<(Seq, UnixMillis), Reject> {
        let (tell, told) = oneshot::channel();
        let answer: Answer = Box::new(move |outcome| {
            // The request may have been given up; the message stays said.
            let _gone = tell.send(outcome.map(|answered| (answered.acked.seq, answered.acked.at)));
        });
        let since = self.times.instant();
        // The trace of its request tells of it.
        let asked = Asked { from: None, refusal: None, since, beside, trace: None };
        self.say(tenant, who, new_message, asked, answer).await?;
        told.await.unwrap_or_else(|_| {
            Err(store_reject(&StoreError::Unavailable { act: "store a message" }))
        })
    }

    /// Tags, sequences, delivers and stores what someone says.
    async fn say(
        &self,
        tenant: TenantId,
        who: Actor,
        new_message: NewMessage<'_>,
        mut asked: Asked,
        answer: Answer,
    ) -> Result<(), Reject> {
        let (room, site, visitor) =
            self.rooms.get_with_home(tenant, new_message.conversation).await?;
        let site = self.sites.get(tenant, site).await?;
        let standing = self.desks.standing_of(tenant, new_message.conversation).await?;
        asked.refusal = permit(who, &new_message, visitor, &standing)?;
        self.assignment.note_sign(tenant, who, &standing);
        let written = new_message.body.clone();
        let envelope = take_in(
            &site,
            self.times.record_time(),
            new_message,
            who.author(),
            (visitor, &standing),
        )
        .await?;
        traces::reached(asked.trace.as_ref(), "authorise");
        let answer = match envelope.kept_of(&written) {
            None => answer,
            kept => Box::new(move |outcome: Result<Answered, Reject>| {
                answer(outcome.map(|answered| Answered { kept, ..answered }));
            }),
        };
        self.lanes.sequence(room, envelope, asked, answer).await
    }
}

/// Tags and masks what someone says; where that takes long, nobody who is served waits for it.
pub(super) async fn take_in(
    site: &Arc<Site>,
    now: UnixMillis,
    new_message: NewMessage<'_>,
    author: Author,
    (visitor, standing): (VisitorId, &Standing),
) -> Result<Envelope, Reject> {
    let (signals, channel) = (standing.signals, standing.channel);
    if !site.redactor()?.takes_long(new_message.text()) {
        return ingest(new_message, author, &site.context(visitor, signals, channel)?, now);
    }
    let new_message = new_message.into_owned();
    let work = move |site: &Site| {
        ingest(new_message, author, &site.context(visitor, signals, channel)?, now)
    };
    site.mask(work).await
}

/// Ends the trace of a message, if it has one. What the server could not do is a failure; what it
/// refuses is none.
fn end_trace(
    trace: Option<&Arc<Trace>>,
    who: Who,
    conversation: ConversationId,
    outcome: Result<Seq, &Reject>,
) {
    let Some(trace) = trace else { return };
    let role = match who {
        Who::Visitor { .. } => "visitor",
        Who::Agent { .. } => "agent",
    };
    let failed = |code| matches!(code, RejectCode::StoreUnavailable | RejectCode::Overload);
    let outcome =
        outcome.map(|seq| seq.0).map_err(|reject| (reject.code.word(), failed(reject.code)));
    trace.message(role, &conversation.to_string(), outcome);
}

/// Whether someone may say this here: a visitor in their own, an agent in what they have; notes are
/// open to every agent, and a program says what it likes. The inner refusal is for what is new:
/// what was said while it was allowed is acked all the same.
fn permit(
    who: Actor,
    new_message: &NewMessage<'_>,
    visitor: VisitorId,
    standing: &Standing,
) -> Result<Option<Reject>, Reject> {
    let taken = match who {
        Actor::Visitor { visitor: own, .. } if own != visitor => {
            return Err(not_found("there is no such conversation"));
        }
        Actor::Visitor { .. } | Actor::Program => None,
        Actor::Agent { .. } if new_message.visibility == Visibility::Agents => None,
        Actor::Agent { agent, .. } if standing.assignee == Some(agent) => None,
        Actor::Agent { .. } => Some(Reject::new(
            RejectCode::Forbidden,
            "another agent has this conversation, or nobody: take it first, or write a note",
        )),
    };
    Ok(standing.refusal().or(taken))
}

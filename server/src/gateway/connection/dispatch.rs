//! What each frame of someone who was let in asks for: a call of the hub for each kind.
//!
//! Lives here: whom the limits (`auth::limit`) hold back, what is done at once, and what waits.
//! Which kinds there are, who says them and what they cost stands where they are declared
//! (`protocol::frame`).

use std::sync::Arc;
use std::time::Instant;

use protocol::conversation::{FormAnswer, PageView, ResumePoint};
use protocol::frame::{ClientFrame, Cost, RequestId, Senders, ServerFrame, WatchTopic};
use protocol::ids::{AgentId, ConversationId};
use protocol::limits::ROOMS_PER_CONNECTION_MAX;
use protocol::message::Visibility;
use protocol::reject::{CloseCode, Reject, RejectCode};
use protocol::time::UnixMillis;

use super::Connection;
use crate::auth::Wait;
use crate::gateway::hello::Session;
use crate::hub::{Act, FrameSink, Opening, Watched, Who, tally, tell};
use crate::metrics::Throttle;
use crate::privacy::ingest::NewMessage;
use crate::store::SecretHash;

impl Connection {
    /// What needs to wait for nothing; `None` for everything else.
    pub(super) fn at_once(
        &mut self,
        frame: &ClientFrame<'_>,
        read_at: Instant,
    ) -> Option<Result<(), Reject>> {
        match frame.cost() {
            Cost::Message => self.say_at_once(frame, read_at),
            Cost::Memory => Some(self.told(frame)),
            Cost::Hello | Cost::Store => None,
        }
    }

    fn say_at_once(
        &mut self,
        frame: &ClientFrame<'_>,
        read_at: Instant,
    ) -> Option<Result<(), Reject>> {
        let ClientFrame::Send { request, conversation, message, seen_seq, body, visibility } =
            frame
        else {
            return None;
        };
        if let Err(reject) = self.slow_down() {
            return Some(Err(reject));
        }
        let session = self.session.as_ref()?;
        let new_message = NewMessage {
            conversation: *conversation,
            message: *message,
            seen_seq: *seen_seq,
            body: body.clone(),
            visibility: visibility.unwrap_or(Visibility::Everyone),
        };
        let watched = session.room(*conversation)?;
        self.gateway.hub.messages().send_at_once(
            &session.speaker,
            watched,
            *request,
            &new_message,
            read_at,
        )
    }

    /// What is done from memory. What is told of a conversation that this connection does not watch
    /// is passed over.
    fn told(&self, frame: &ClientFrame<'_>) -> Result<(), Reject> {
        let Some(session) = &self.session else { return Ok(()) };
        let (hub, speaker) = (&self.gateway.hub, &session.speaker);
        let watched = frame.watched().and_then(|conversation| session.room(conversation));
        match (frame, watched) {
            (ClientFrame::Ping { request }, _) => {
                tell(&*self.outbox, ServerFrame::Pong { request: *request });
            }
            (ClientFrame::Typing { typing, .. }, Some(watched)) => {
                hub.attendance().typing(speaker, watched, *typing);
            }
            (ClientFrame::Delivered { seq, .. }, Some(watched)) => {
                hub.attendance().receipt(speaker, watched, *seq, false);
            }
            (ClientFrame::Seen { seq, .. }, Some(watched)) => {
                hub.attendance().receipt(speaker, watched, *seq, true);
            }
            (_, _) => {}
        }
        Ok(())
    }

    /// Refuses a message that comes too soon after the others of the same person, whichever way
    /// those came.
    fn slow_down(&self) -> Result<(), Reject> {
        let Some(session) = &self.session else { return Ok(()) };
        let rates = &self.gateway.rates;
        let counted = match &session.speaker.who {
            Who::Visitor { visitor, .. } => rates.visitor_messages.take(visitor),
            Who::Agent { agent, .. } => rates.agent_messages.take(agent),
        };
        self.too_fast(counted.err(), Throttle::Messages)
    }

    /// The same for what asks the store, over all connections of the person; messages have their
    /// own count.
    pub(super) fn slow_questions_down(&self, frame: &ClientFrame<'_>) -> Result<(), Reject> {
        let Some(session) = &self.session else { return Ok(()) };
        if frame.cost() == Cost::Message {
            return Ok(());
        }
        let rates = &self.gateway.rates;
        let counted = match &session.speaker.who {
            Who::Visitor { visitor, .. } => rates.visitor_questions.take(visitor),
            Who::Agent { agent, .. } => rates.agent_questions.take(agent),
        };
        self.too_fast(counted.err(), Throttle::Frames)
    }

    fn too_fast(&self, wait: Option<Wait>, what: Throttle) -> Result<(), Reject> {
        let Some(wait) = wait else { return Ok(()) };
        self.gateway.metrics.rate_limited_total.of(what).inc();
        let words = "you send faster than the limit; wait a moment";
        let ms = u32::try_from(wait.ms).unwrap_or(u32::MAX);
        Err(Reject::new(RejectCode::TooFast, words).retry_after_ms(ms))
    }

    /// A frame of someone who was let in, that [`Self::at_once`] left.
    pub(super) async fn frame(
        &mut self,
        frame: ClientFrame<'_>,
        read_at: Instant,
    ) -> Result<(), Reject> {
        let gateway = Arc::clone(&self.gateway);
        let hub = &gateway.hub;
        let Some(session) = &self.session else { return Ok(()) };
        let (speaker, gpc) = (session.speaker.clone(), session.gpc);
        let (tenant, who) = (speaker.tenant, speaker.who);
        may_say(who, &frame)?;
        let request = frame.request();
        let act = |act| hub.acts().run(tenant, who.into(), act);
        match frame {
            ClientFrame::Hello { .. } => {
                self.outbox.close(CloseCode::Protocol);
                return Ok(());
            }
            ClientFrame::Send { conversation, message, seen_seq, body, visibility, .. } => {
                let visibility = visibility.unwrap_or(Visibility::Everyone);
                let new_message = NewMessage { conversation, message, seen_seq, body, visibility };
                return hub.messages().send(&speaker, request, new_message, read_at).await;
            }
            ClientFrame::Open { conversation, form, notice, page, .. } => {
                return self.open(request, conversation, &form, notice.as_deref(), page).await;
            }
            ClientFrame::Close { conversation, .. } => {
                hub.conversations().close(tenant, who.into(), conversation).await?;
            }
            ClientFrame::Reopen { conversation, .. } => {
                hub.conversations().reopen(tenant, who.into(), conversation).await?;
            }
            ClientFrame::History { conversation, before, limit, .. } => {
                return hub
                    .attendance()
                    .history(&speaker, conversation, before, limit, request)
                    .await;
            }
            ClientFrame::Accept { conversation, .. } => act(Act::Accept(conversation)).await?,
            ClientFrame::Decline { conversation, .. } => act(Act::Decline(conversation)).await?,
            ClientFrame::Assign { conversation, .. } => {
                act(Act::Assign { conversation, to: agent(who)? }).await?;
            }
            ClientFrame::Transfer { conversation, agent: to, .. } => {
                act(Act::Transfer { conversation, to }).await?;
            }
            ClientFrame::TakeOver { conversation, from, .. } => {
                act(Act::TakeOver { conversation, from }).await?;
            }
            ClientFrame::Withdraw { conversation, .. } => act(Act::Withdraw(conversation)).await?,
            ClientFrame::Availability { availability, capacity, .. } => {
                hub.acts().choose(tenant, agent(who)?, availability, capacity).await?;
            }
            ClientFrame::Watch { topic, conversation, resume, after, .. } => {
                return self.watch(request, topic, conversation, resume.as_ref(), after).await;
            }
            ClientFrame::Unwatch { topic, conversation, .. } => self.unwatch(topic, conversation),
            ClientFrame::Draft { conversation, text, .. } => {
                hub.conversations().draft(&speaker, conversation, text.expose()).await?;
            }
            // Global Privacy Control: the page is not kept.
            ClientFrame::Page { .. } if gpc => return Ok(()),
            ClientFrame::Page { page } => return hub.presence().page(&speaker, &page).await,
            told @ (ClientFrame::Typing { .. }
            | ClientFrame::Delivered { .. }
            | ClientFrame::Seen { .. }
            | ClientFrame::Ping { .. }) => return self.told(&told),
            ClientFrame::Unknown { .. } => return Err(unknown()),
        }
        tell(&*self.outbox, done(request));
        Ok(())
    }

    /// Begins a visitor's conversation, and joins it.
    async fn open(
        &mut self,
        request: RequestId,
        conversation: ConversationId,
        form: &[FormAnswer],
        notice: Option<&str>,
        page: Option<PageView>,
    ) -> Result<(), Reject> {
        let gateway = Arc::clone(&self.gateway);
        let hub = &gateway.hub;
        let Some(session) = &self.session else { return Ok(()) };
        let form = form.iter().map(|a| (a.field.as_str(), a.answer.expose().as_str()));
        let (secret, secret_expires_at) = match session.token.as_deref() {
            Some(token) => *token,
            // Their row has one already.
            None => (SecretHash([0; 32]), UnixMillis(0)),
        };
        let opening = Opening {
            conversation,
            form: form.collect(),
            page: page.as_ref(),
            notice,
            locale: &session.locale,
            secret,
            secret_expires_at,
            address: *self.address.expose(),
            gpc: session.gpc,
        };
        hub.conversations().open(&session.speaker, opening).await?;
        tell(&*self.outbox, done(request));
        // The question is answered: what follows is not refused under its number.
        if let Err(reject) = self.attend(conversation, None, RequestId(0)).await {
            tally::refuse(&self.gateway.metrics, &*self.outbox, RequestId(0), reject);
        }
        Ok(())
    }

    async fn watch(
        &mut self,
        request: RequestId,
        topic: WatchTopic,
        conversation: Option<ConversationId>,
        resume: Option<&ResumePoint>,
        after: Option<String>,
    ) -> Result<(), Reject> {
        let Some(session) = &self.session else { return Ok(()) };
        match (topic, conversation) {
            (WatchTopic::Board, _) => {
                let speaker = session.speaker.clone();
                self.gateway.hub.board().watch(&speaker, request, after).await
            }
            (WatchTopic::Conversation, Some(conversation)) => {
                self.attend(conversation, resume, request).await
            }
            (WatchTopic::Conversation, None) => {
                Err(Reject::new(RejectCode::Invalid, "conversation: which one to watch"))
            }
        }
    }

    fn unwatch(&mut self, topic: WatchTopic, conversation: Option<ConversationId>) {
        let Some(session) = &mut self.session else { return };
        let hub = &self.gateway.hub;
        match (topic, conversation) {
            (WatchTopic::Board, _) => hub.board().unwatch(&session.speaker),
            (WatchTopic::Conversation, Some(conversation)) => {
                let at = session.rooms.iter().position(|room| room.conversation == conversation);
                if let Some(watched) = at.map(|at| session.rooms.swap_remove(at)) {
                    hub.attendance().leave(&session.speaker, &watched);
                }
            }
            (WatchTopic::Conversation, None) => {}
        }
    }

    /// Joins a room, or takes it from where the client says once more.
    async fn attend(
        &mut self,
        conversation: ConversationId,
        resume: Option<&ResumePoint>,
        request: RequestId,
    ) -> Result<(), Reject> {
        let Some(session) = self.session.as_mut() else { return Ok(()) };
        let again = session.room(conversation).is_some();
        if !again && session.rooms.len() >= ROOMS_PER_CONNECTION_MAX {
            return Err(Reject::new(
                RejectCode::LimitReached,
                "this connection follows as many conversations as it may; unwatch one",
            ));
        }
        let speaker = session.speaker.clone();
        let watched =
            self.gateway.hub.attendance().attend(&speaker, conversation, resume, request).await?;
        session.rooms.retain(|known| known.conversation != conversation);
        if session.rooms.is_empty() {
            // A visitor is in one.
            session.rooms.reserve_exact(1);
        }
        session.rooms.push(watched);
        Ok(())
    }
}

impl Session {
    fn room(&self, conversation: ConversationId) -> Option<&Watched> {
        self.rooms.iter().find(|watched| watched.conversation == conversation)
    }
}

/// Refuses what is an agent's to say. What is a visitor's alone the hub refuses or passes over: it
/// needs to know of which visitor it is.
fn may_say(who: Who, frame: &ClientFrame<'_>) -> Result<(), Reject> {
    match (frame.senders(), who) {
        (Senders::Agents, Who::Visitor { .. }) => Err(agents_only()),
        (_, _) => Ok(()),
    }
}

fn agent(who: Who) -> Result<AgentId, Reject> {
    match who {
        Who::Agent { agent, .. } => Ok(agent),
        Who::Visitor { .. } => Err(agents_only()),
    }
}

fn agents_only() -> Reject {
    Reject::new(RejectCode::Forbidden, "only agents do that")
}

fn unknown() -> Reject {
    Reject::new(RejectCode::UnknownKind, "this kind of frame is not known here")
}

/// What was asked, other than to say something, is stored.
fn done(request: RequestId) -> ServerFrame<'static> {
    ServerFrame::Ack { request, seq: None, at: None, expires: None, body: None }
}

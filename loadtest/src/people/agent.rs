//! An agent at their console: is available, takes what is offered, and in visits answers, and
//! closes when the visitor goes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use protocol::conversation::{Availability, ConversationCard, ConversationState};
use protocol::frame::{ClientFrame, RequestId, ServerFrame, WatchTopic};
use protocol::ids::{AgentId, ConversationId};
use protocol::message::{Body, Message, Seq, Visibility};
use protocol::reject::RejectCode;
use protocol::time::UnixMillis;
use tokio::task::JoinHandle;

use crate::clock::Micros;
use crate::judge::figure::Count;
use crate::judge::ledger::Way;
use crate::people::backoff::{Backoff, may_return};
use crate::people::burden::{Burden, judge};
use crate::people::caller::{CallError, Caller, Who, decoded};
use crate::people::party::{Settling, sleep, watch_frame};
use crate::people::socket::SocketError;
use crate::people::talk::Talk;
use crate::people::world::{Purpose, Stage, World, between};
use crate::run::setup::Account;
use crate::tasks;

/// What was asked for which conversation.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Accept(ConversationId),
    Say(ConversationId),
    /// To hear a conversation that they have taken.
    Enter(ConversationId),
    /// To hear one of their conversations again after their connection broke.
    Return(ConversationId),
    /// To hear no more of one: until the answer comes, what was said in it may be on its way.
    Leave(ConversationId),
    Other,
}

/// An answer that they think about.
#[derive(Debug, Clone, Copy)]
struct Answer {
    conversation: ConversationId,
    farewell: bool,
}

struct Console {
    world: Arc<World>,
    who: Who,
    caller: Caller,
    agent: AgentId,
    chance: fastrand::Rng,
    burden: Burden,
    talks: HashMap<ConversationId, Talk>,
    asked: HashMap<u32, Asked>,
    answers: BTreeMap<(Micros, u32), Answer>,
    answer_count: u32,
    /// Closed, while their last words may still be on their way.
    ending: BTreeSet<ConversationId>,
    settling: Settling,
}

/// Brings an agent to their console; they stay until the run is over.
///
/// # Errors
/// If they cannot sign in or be available.
pub(crate) async fn sit(world: Arc<World>, account: Account) -> Result<JoinHandle<()>> {
    let mut who = Who::Agent { cookie: account.cookie };
    let mut caller = Caller::greet(&world, &mut who, None, world.clock.now())
        .await
        .context("an agent could not connect")?;
    let agent = caller.agent.context("a welcome that does not say who one is")?;
    let request = ready(&world, &mut caller).await.context("an agent could not be ready")?;
    let chance = world.chance(world.speaker());
    let mut console = Console {
        world,
        who,
        caller,
        agent,
        chance,
        burden: Burden::default(),
        talks: HashMap::new(),
        asked: HashMap::new(),
        answers: BTreeMap::new(),
        answer_count: 0,
        ending: BTreeSet::new(),
        settling: Settling::No,
    };
    console.until_available(request).await?;
    Ok(tasks::spawn("agent", console.run()))
}

/// Says what a console says when it opens; gives the question whether they are available.
async fn ready(world: &World, caller: &mut Caller) -> Result<RequestId, SocketError> {
    if world.scenario().agent.board {
        let request = caller.next_request();
        let topic = WatchTopic::Board;
        caller
            .tell(&ClientFrame::Watch {
                request,
                topic,
                conversation: None,
                resume: None,
                after: None,
            })
            .await?;
    }
    let request = caller.next_request();
    let capacity = Some(world.scenario().agent.capacity);
    let availability = Availability::Available;
    caller.tell(&ClientFrame::Availability { request, availability, capacity }).await?;
    Ok(request)
}

impl Console {
    async fn until_available(&mut self, request: RequestId) -> Result<()> {
        loop {
            let bytes = self.caller.next().await.context("an agent's connection ended")?;
            match decoded(&bytes) {
                Some(ServerFrame::Ack { request: answered, .. }) if answered == request => {
                    return Ok(());
                }
                Some(ServerFrame::Reject { request: answered, words, .. })
                    if answered == request =>
                {
                    anyhow::bail!("an agent cannot become available: {words}");
                }
                _ => self.came(&bytes).await.context("an agent's connection broke")?,
            }
        }
    }

    async fn run(mut self) {
        let mut stage = self.world.stage.subscribe();
        self.world.owes("agents");
        self.world.recipient_comes();
        while *stage.borrow_and_update() != Stage::Over {
            let next = self.next_at().map(|at| self.world.clock.instant(at));
            let went = tokio::select! {
                biased;
                came = self.caller.next() => match came {
                    Ok(bytes) => self.came(&bytes).await,
                    Err(error) => Err(error),
                },
                () = sleep(next), if next.is_some() => self.act().await,
                changed = stage.changed() => {
                    let _there = changed;
                    self.settle().await
                }
            };
            if let Err(error) = went
                && !self.fell(error.into()).await
            {
                break;
            }
        }
        self.weigh();
        let world = Arc::clone(&self.world);
        world.recipient_goes();
        for (_, talk) in self.talks {
            talk.hand_in(&world, true);
        }
        world.handed_in("agents");
        self.caller.close(&world).await;
    }

    /// Their connection broke. Comes back, unless the run is over or the server wants them to stay
    /// away.
    async fn fell(&mut self, mut error: CallError) -> bool {
        self.world.count(Count::Disconnects);
        self.world.let_go_of_all(self.agent);
        self.burden.unsure = true;
        let mut backoff = Backoff::new();
        while may_return(&self.world, &error, backoff.wait(&mut self.chance)).await {
            self.caller.gone(&self.world);
            match Box::pin(self.come_back()).await {
                Ok(()) => return true,
                Err(failed) => error = failed,
            }
        }
        false
    }

    async fn come_back(&mut self) -> Result<(), CallError> {
        let now = self.world.clock.now();
        self.caller = Caller::greet(&self.world, &mut self.who, None, now).await?;
        // What came due meanwhile waited for the server.
        self.caller.blocked_until = now;
        self.asked.clear();
        ready(&self.world, &mut self.caller).await?;
        let conversations: Vec<ConversationId> = self.talks.keys().copied().collect();
        for conversation in conversations {
            let request = self.ask(Asked::Return(conversation));
            let Some(talk) = self.talks.get_mut(&conversation) else { continue };
            self.caller.tell(&watch_frame(request, talk.resume_point())).await?;
            let (caller, asked) = (&mut self.caller, &mut self.asked);
            let again = talk.again(&self.world, || {
                let request = caller.next_request();
                asked.insert(request.0, Asked::Say(conversation));
                request
            });
            for bytes in again {
                self.caller.send(bytes).await?;
            }
        }
        Ok(self.settle().await?)
    }

    /// When they have something to do of their own accord: an answer, or what was put off.
    fn next_at(&self) -> Option<Micros> {
        let answer = self.answers.first_key_value().map(|((at, _), _)| *at);
        self.talks.values().filter_map(Talk::again_at).chain(answer).min()
    }

    async fn act(&mut self) -> Result<(), SocketError> {
        let now = self.world.clock.now();
        if self.answers.first_key_value().is_some_and(|((at, _), _)| *at <= now) {
            self.answer().await?;
        }
        for (conversation, talk) in &mut self.talks {
            let (caller, asked) = (&mut self.caller, &mut self.asked);
            let again = talk.again_now(&self.world, || {
                let request = caller.next_request();
                asked.insert(request.0, Asked::Say(*conversation));
                request
            });
            for bytes in again {
                self.caller.send(bytes).await?;
            }
        }
        Ok(())
    }

    /// As everyone who hears: see `party`.
    async fn settle(&mut self) -> Result<(), SocketError> {
        if self.world.stage() != Stage::Settling {
            self.settling = Settling::No;
            return Ok(());
        }
        let request = self.caller.next_request();
        self.settling = Settling::Asked(request);
        self.caller.tell(&ClientFrame::Ping { request }).await
    }

    fn ask(&mut self, what: Asked) -> RequestId {
        let request = self.caller.next_request();
        self.asked.insert(request.0, what);
        request
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what one does not know one passes over, as the wire wants it"
    )]
    async fn came(&mut self, bytes: &[u8]) -> Result<(), SocketError> {
        let Some(frame) = decoded(bytes) else {
            self.world.garbled();
            return Ok(());
        };
        if self.world.misdelivered(&frame, |conversation| self.hears(conversation)) {
            return Ok(());
        }
        match frame {
            ServerFrame::Offer { conversation, deadline, .. } => {
                self.world.offered(conversation, deadline, self.world.clock.now());
                self.offered(conversation).await?;
            }
            ServerFrame::OfferOver { conversation } => self.over(conversation),
            ServerFrame::Ack { request, seq, at, .. } => self.acked(request, seq, at).await?,
            ServerFrame::Reject { request, code, retry_after_ms, .. } => {
                self.rejected(request, code, retry_after_ms).await?;
            }
            ServerFrame::Message {
                conversation,
                seq,
                message,
                author,
                at,
                body,
                expires,
                visibility,
            } => {
                let visibility = visibility.unwrap_or(Visibility::Everyone);
                let message = Message { seq, message, author, at, body, expires, visibility };
                let is_line = matches!(message.body, Body::Event { .. });
                self.heard(conversation, &[message], Way::Pushed);
                if is_line {
                    self.leave(conversation).await?;
                }
            }
            ServerFrame::History { request, conversation, reset, messages, .. } => {
                let returned = matches!(self.asked.remove(&request.0), Some(Asked::Return(_)));
                let way = match (returned, reset) {
                    (false, _) => Way::Entered,
                    (true, false) => Way::Resumed,
                    (true, true) => Way::Replaced,
                };
                self.heard(conversation, &messages, way);
                self.leave(conversation).await?;
            }
            ServerFrame::Void { conversation, seq, .. } => {
                if let Some(talk) = self.talks.get_mut(&conversation) {
                    talk.void(seq);
                }
            }
            ServerFrame::Conversation { card } => self.changed(&card).await?,
            ServerFrame::Pong { request } if self.settling == Settling::Asked(request) => {
                self.settling = Settling::Yes;
                self.world.settles();
            }
            ServerFrame::Agent { card } => judge(&self.world, &card),
            ServerFrame::Board { agents, .. } => {
                for card in &agents {
                    judge(&self.world, card);
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn acked(
        &mut self,
        request: RequestId,
        seq: Option<Seq>,
        at: Option<UnixMillis>,
    ) -> Result<(), SocketError> {
        match self.asked.remove(&request.0) {
            Some(Asked::Accept(conversation)) => self.accepted(conversation).await,
            Some(Asked::Say(conversation)) => {
                if let Some(talk) = self.talks.get_mut(&conversation) {
                    talk.acked(&self.world, request, seq, at);
                }
                self.leave(conversation).await
            }
            Some(Asked::Enter(_) | Asked::Return(_) | Asked::Leave(_) | Asked::Other) | None => {
                Ok(())
            }
        }
    }

    async fn offered(&mut self, conversation: ConversationId) -> Result<(), SocketError> {
        self.burden.has.insert(conversation);
        self.weigh();
        self.world.offer(conversation, self.agent, self.world.clock.now());
        let request = self.ask(Asked::Accept(conversation));
        self.caller.tell(&ClientFrame::Accept { request, conversation }).await
    }

    fn over(&mut self, conversation: ConversationId) {
        let accepting = self
            .asked
            .values()
            .any(|asked| matches!(asked, Asked::Accept(c) if *c == conversation));
        if !accepting && !self.talks.contains_key(&conversation) {
            self.world.let_go(conversation, self.agent);
        }
    }

    async fn accepted(&mut self, conversation: ConversationId) -> Result<(), SocketError> {
        self.world.count(Count::Taken);
        self.world.taken(conversation, self.agent);
        if World::purpose(conversation) == Purpose::Room {
            return Ok(());
        }
        let talk = Talk::new(&self.world, conversation);
        let request = self.ask(Asked::Enter(conversation));
        let frame = watch_frame(request, talk.resume_point());
        self.talks.insert(conversation, talk);
        self.caller.tell(&frame).await
    }

    async fn rejected(
        &mut self,
        request: RequestId,
        code: RejectCode,
        retry_after_ms: Option<u32>,
    ) -> Result<(), SocketError> {
        match self.asked.remove(&request.0) {
            Some(Asked::Say(conversation)) => {
                if let Some(talk) = self.talks.get_mut(&conversation) {
                    talk.refused(&self.world, request, code, retry_after_ms);
                }
                self.leave(conversation).await?;
            }
            // It became another's, who hears the rest of it.
            Some(Asked::Enter(conversation) | Asked::Return(conversation)) => {
                self.world.count(Count::Rejected);
                self.gone(conversation);
                if let Some(talk) = self.talks.remove(&conversation) {
                    talk.hand_in(&self.world, false);
                }
            }
            // The visitor was gone before they were answered.
            Some(Asked::Accept(conversation)) => self.gone(conversation),
            Some(Asked::Leave(_) | Asked::Other) | None => self.world.count(Count::Rejected),
        }
        Ok(())
    }

    fn weigh(&mut self) {
        self.burden.weigh(&self.world, self.world.clock.now());
    }

    fn gone(&mut self, conversation: ConversationId) {
        self.burden.has.remove(&conversation);
        self.ending.remove(&conversation);
        self.weigh();
        self.world.let_go(conversation, self.agent);
    }

    /// Whether what is said there is for them.
    fn hears(&self, conversation: ConversationId) -> bool {
        let mut asked = self.asked.values();
        self.talks.contains_key(&conversation)
            || asked.any(|asked| matches!(asked, Asked::Leave(left) if *left == conversation))
    }

    fn heard(&mut self, conversation: ConversationId, messages: &[Message<'_>], way: Way) {
        let Some(talk) = self.talks.get_mut(&conversation) else { return };
        for stamp in talk.page(&self.world, messages, way) {
            let think = between(self.world.scenario().agent.think_ms, &mut self.chance);
            self.answer_count = self.answer_count.wrapping_add(1);
            let key = (self.world.clock.now().plus(think), self.answer_count);
            self.answers.insert(key, Answer { conversation, farewell: stamp.last });
        }
    }

    /// The first of their answers is due.
    async fn answer(&mut self) -> Result<(), SocketError> {
        let Some(((due, _), answer)) = self.answers.pop_first() else { return Ok(()) };
        let Answer { conversation, farewell } = answer;
        if !self.talks.contains_key(&conversation) {
            return Ok(());
        }
        self.caller.late(&self.world, due);
        let request = self.ask(Asked::Say(conversation));
        let chars = self.world.chars(&mut self.chance);
        if let Some(talk) = self.talks.get_mut(&conversation) {
            let bytes = talk.say(&self.world, request, due, chars, farewell);
            self.caller.say(&self.world, bytes).await?;
        }
        if farewell {
            let request = self.ask(Asked::Other);
            self.caller.tell(&ClientFrame::Close { request, conversation }).await?;
        }
        Ok(())
    }

    /// A conversation's state: closed ones are not theirs any more.
    async fn changed(&mut self, card: &ConversationCard) -> Result<(), SocketError> {
        let conversation = card.conversation;
        let closed = card.state == ConversationState::Closed;
        let elsewhere = card.assignee.is_some_and(|other| other != self.agent);
        if !closed && !elsewhere || !self.burden.has.contains(&conversation) {
            return Ok(());
        }
        self.gone(conversation);
        if closed && !elsewhere {
            self.ending.insert(conversation);
        }
        self.leave(conversation).await
    }

    /// Hands in the tally of a conversation that is not theirs any more, once nothing of theirs is
    /// on its way, nor what they asked to hear of it.
    async fn leave(&mut self, conversation: ConversationId) -> Result<(), SocketError> {
        let ending = self.ending.contains(&conversation);
        let done = |talk: &Talk| talk.nothing_pending() && (talk.ended() || !ending);
        let done = self.talks.get(&conversation).is_some_and(done);
        let hears_on = |asked: &Asked| matches!(asked, Asked::Enter(c) | Asked::Return(c) if *c == conversation);
        let hears_on = self.asked.values().any(hears_on);
        if !done || hears_on || self.burden.has.contains(&conversation) {
            return Ok(());
        }
        self.ending.remove(&conversation);
        if let Some(talk) = self.talks.remove(&conversation) {
            talk.hand_in(&self.world, true);
            self.world.left(conversation);
        }
        let request = self.ask(Asked::Leave(conversation));
        let topic = WatchTopic::Conversation;
        self.caller
            .tell(&ClientFrame::Unwatch { request, topic, conversation: Some(conversation) })
            .await
    }
}

/// How long an agent may take to be ready.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;

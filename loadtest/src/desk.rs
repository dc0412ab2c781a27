//! An agent at his desk: is available, takes what he is offered, and in visits answers, and closes when the visitor goes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use protocol::conversation::{AgentCard, Availability, ConversationCard, ConversationState};
use protocol::frame::{ClientFrame, RequestId, ServerFrame, WatchTopic};
use protocol::ids::{AgentId, ConversationId};
use protocol::message::{Message, Visibility};
use tokio::task::JoinHandle;

use crate::caller::{Caller, Who, decoded};
use crate::clock::Micros;
use crate::histogram::Count;
use crate::ledger::Way;
use crate::line::LineError;
use crate::party::{Settling, watch_frame};
use crate::setup::Account;
use crate::stamp::Stamp;
use crate::talk::Talk;
use crate::tasks;
use crate::world::{Purpose, Stage, World, between};

/// The end of a conversation and the offer that follows it reach an agent within so long.
const MOMENT_US: u64 = 500_000;

/// What was asked for which conversation.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Accept(ConversationId),
    Say(ConversationId),
    Other,
}

/// An answer that he thinks about.
#[derive(Debug, Clone, Copy)]
struct Answer {
    conversation: ConversationId,
    farewell: bool,
}

struct Desk {
    world: Arc<World>,
    caller: Caller,
    agent: AgentId,
    chance: fastrand::Rng,
    burden: Burden,
    talks: HashMap<ConversationId, Talk>,
    asked: HashMap<u32, Asked>,
    answers: BTreeMap<(Micros, u32), Answer>,
    answer_count: u32,
    settling: Settling,
}

/// What an agent has, as he was told it.
#[derive(Debug, Default)]
struct Burden {
    /// Offered to him or his.
    has: BTreeSet<ConversationId>,
    /// Since when he has more than he takes.
    over_since: Option<Micros>,
}

impl Burden {
    /// More than he takes: for a moment only, while the end of another is still on its way to him.
    fn weigh(&mut self, world: &World, now: Micros) {
        let over = self.has.len() > usize::from(world.scenario().agent.capacity);
        let since = self.over_since.take();
        if over {
            self.over_since = since.or(Some(now));
        }
        if since.is_some_and(|since| now.since(since) > MOMENT_US) {
            world.count(Count::OverCapacity);
            self.over_since = over.then_some(now);
        }
    }
}

/// No agent has more than he takes, by what the server shows of him.
fn judge(world: &World, card: &AgentCard) {
    if let (Some(load), Some(capacity)) = (card.load, card.capacity)
        && load > capacity
    {
        world.count(Count::OverCapacity);
    }
}

/// Sits an agent down; he stays until the run is over.
///
/// # Errors
/// If he cannot sign in or be available.
pub(crate) async fn sit(world: Arc<World>, account: Account) -> Result<JoinHandle<()>> {
    let mut who = Who::Agent { cookie: account.cookie };
    let mut caller = Caller::greet(&world, &mut who, None, world.clock.now())
        .await
        .context("an agent could not connect")?;
    let agent = caller.agent.context("a welcome that does not say who one is")?;
    if world.scenario().agent.board {
        let request = caller.next_request();
        let frame = ClientFrame::Watch {
            request,
            topic: WatchTopic::Board,
            conversation: None,
            resume: None,
        };
        caller.tell(&frame).await.context("an agent could not ask for the board")?;
    }
    let request = caller.next_request();
    let capacity = Some(world.scenario().agent.capacity);
    let frame =
        ClientFrame::Availability { request, availability: Availability::Available, capacity };
    caller.tell(&frame).await.context("an agent could not become available")?;
    let chance = world.chance(world.speaker());
    let mut desk = Desk {
        world,
        caller,
        agent,
        chance,
        burden: Burden::default(),
        talks: HashMap::new(),
        asked: HashMap::new(),
        answers: BTreeMap::new(),
        answer_count: 0,
        settling: Settling::No,
    };
    desk.until_available(request).await?;
    Ok(tasks::spawn("agent", desk.run()))
}

impl Desk {
    async fn until_available(&mut self, request: RequestId) -> Result<()> {
        loop {
            let bytes = self.caller.next().await.context("an agent's line ended")?;
            match decoded(&bytes) {
                Some(ServerFrame::Ack { request: answered, .. }) if answered == request => {
                    return Ok(());
                }
                Some(ServerFrame::Reject { request: answered, words, .. })
                    if answered == request =>
                {
                    anyhow::bail!("an agent cannot become available: {words}");
                }
                _ => self.came(&bytes).await.context("an agent's line broke")?,
            }
        }
    }

    async fn run(mut self) {
        let mut stage = self.world.stage.subscribe();
        self.world.hearer_comes();
        while *stage.borrow_and_update() != Stage::Over {
            let next =
                self.answers.first_key_value().map(|((at, _), _)| self.world.clock.instant(*at));
            let went = tokio::select! {
                biased;
                came = self.caller.next() => match came {
                    Ok(bytes) => self.came(&bytes).await,
                    Err(error) => Err(error),
                },
                () = async {
                    if let Some(at) = next {
                        tokio::time::sleep_until(at).await;
                    }
                }, if next.is_some() => self.answer().await,
                changed = stage.changed() => {
                    let _there = changed;
                    self.settle().await
                }
            };
            if went.is_err() {
                // A desk does not come back: its visitors wait for another agent, as they would.
                self.world.count(Count::Disconnects);
                self.world.let_go_of_all(self.agent);
                break;
            }
        }
        self.weigh();
        let world = Arc::clone(&self.world);
        world.hearer_goes();
        for (_, talk) in self.talks {
            talk.hand_in(&world, true);
        }
        self.caller.close(&world).await;
    }

    /// As everyone who hears: see `party`.
    async fn settle(&mut self) -> Result<(), LineError> {
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
    async fn came(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        let Some(frame) = decoded(bytes) else {
            if let Some(talk) = self.talks.values_mut().next() {
                talk.garbled();
            }
            return Ok(());
        };
        match frame {
            ServerFrame::Offer { conversation, .. } => self.offered(conversation).await?,
            ServerFrame::OfferOver { conversation } => self.over(conversation),
            ServerFrame::Ack { request, seq, at, .. } => match self.asked.remove(&request.0) {
                Some(Asked::Accept(conversation)) => self.accepted(conversation).await?,
                Some(Asked::Say(conversation)) => {
                    if let Some(talk) = self.talks.get_mut(&conversation) {
                        talk.acked(&self.world, request, seq, at);
                    }
                    self.leave(conversation).await?;
                }
                Some(Asked::Other) | None => {}
            },
            ServerFrame::Reject { request, .. } => self.rejected(request).await?,
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
                self.heard(conversation, &[message], Way::Pushed);
            }
            ServerFrame::History { conversation, messages, .. } => {
                self.heard(conversation, &messages, Way::Entered);
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

    async fn offered(&mut self, conversation: ConversationId) -> Result<(), LineError> {
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

    async fn accepted(&mut self, conversation: ConversationId) -> Result<(), LineError> {
        self.world.count(Count::Taken);
        self.world.taken(conversation, self.agent);
        if World::purpose(conversation) == Purpose::Room {
            return Ok(());
        }
        let talk = Talk::new(&self.world, conversation);
        let request = self.ask(Asked::Other);
        let frame = watch_frame(request, talk.resume_point());
        self.talks.insert(conversation, talk);
        self.caller.tell(&frame).await
    }

    async fn rejected(&mut self, request: RequestId) -> Result<(), LineError> {
        match self.asked.remove(&request.0) {
            Some(Asked::Say(conversation)) => {
                if let Some(talk) = self.talks.get_mut(&conversation) {
                    talk.refused(&self.world, request);
                }
                self.leave(conversation).await?;
            }
            // The visitor was gone before he was answered.
            Some(Asked::Accept(conversation)) => self.gone(conversation),
            Some(Asked::Other) | None => self.world.count(Count::Rejected),
        }
        Ok(())
    }

    fn weigh(&mut self) {
        self.burden.weigh(&self.world, self.world.clock.now());
    }

    fn gone(&mut self, conversation: ConversationId) {
        self.burden.has.remove(&conversation);
        self.weigh();
        self.world.let_go(conversation, self.agent);
    }

    fn heard(&mut self, conversation: ConversationId, messages: &[Message<'_>], way: Way) {
        let Some(talk) = self.talks.get_mut(&conversation) else { return };
        let stamps: Vec<Stamp> =
            messages.iter().filter_map(|message| talk.heard(&self.world, message, way)).collect();
        for stamp in stamps {
            let think = between(self.world.scenario().agent.think_ms, &mut self.chance);
            self.answer_count = self.answer_count.wrapping_add(1);
            let key = (self.world.clock.now().plus(think), self.answer_count);
            self.answers.insert(key, Answer { conversation, farewell: stamp.last });
        }
    }

    /// The first of his answers is due.
    async fn answer(&mut self) -> Result<(), LineError> {
        let Some(((due, _), answer)) = self.answers.pop_first() else { return Ok(()) };
        let Answer { conversation, farewell } = answer;
        if !self.talks.contains_key(&conversation) {
            return Ok(());
        }
        let request = self.ask(Asked::Say(conversation));
        let chars = self.world.chars(&mut self.chance);
        if let Some(talk) = self.talks.get_mut(&conversation) {
            let bytes = talk.say(&self.world, request, due, chars, farewell);
            self.caller.send(bytes).await?;
        }
        if farewell {
            let request = self.ask(Asked::Other);
            self.caller.tell(&ClientFrame::Close { request, conversation }).await?;
        }
        Ok(())
    }

    /// A conversation's state: closed ones are not his any more.
    async fn changed(&mut self, card: &ConversationCard) -> Result<(), LineError> {
        let conversation = card.conversation;
        let closed = card.state == ConversationState::Closed;
        let elsewhere = card.assignee.is_some_and(|other| other != self.agent);
        if !closed && !elsewhere || !self.burden.has.contains(&conversation) {
            return Ok(());
        }
        self.gone(conversation);
        self.leave(conversation).await
    }

    /// Hands in the tally of a conversation that is not his any more, once nothing of his is on its way.
    async fn leave(&mut self, conversation: ConversationId) -> Result<(), LineError> {
        let done = self.talks.get(&conversation).is_some_and(Talk::nothing_pending);
        if !done || self.burden.has.contains(&conversation) {
            return Ok(());
        }
        if let Some(talk) = self.talks.remove(&conversation) {
            talk.hand_in(&self.world, true);
            self.world.left(conversation);
        }
        let request = self.ask(Asked::Other);
        let topic = WatchTopic::Conversation;
        self.caller
            .tell(&ClientFrame::Unwatch { request, topic, conversation: Some(conversation) })
            .await
    }
}

/// How long a desk may take to be ready.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use protocol::personal::Personal;

    use super::*;
    use crate::world::tests::{over, world};

    const fn room(number: u8) -> ConversationId {
        ConversationId::from_bytes([number; 16])
    }

    #[test]
    fn an_agent_with_more_than_he_takes_is_seen_once_it_lasts() {
        let world = world("[agent]\ncapacity = 1\n");
        let mut burden = Burden::default();
        burden.has.insert(room(1));
        burden.weigh(&world, Micros(0));
        burden.has.insert(room(2));
        burden.weigh(&world, Micros(1_000));
        // The end of the first may be on its way.
        burden.weigh(&world, Micros(1_000 + MOMENT_US));
        assert_eq!(over(&world, Count::OverCapacity), 0);
        burden.weigh(&world, Micros(1_001 + MOMENT_US));
        assert_eq!(over(&world, Count::OverCapacity), 1);
    }

    #[test]
    fn a_card_that_says_too_much_is_seen() {
        let world = world("");
        let card = |load| AgentCard {
            agent: AgentId::from_bytes([1; 16]),
            name: Personal::new(String::from("One")),
            role: None,
            availability: None,
            presence: None,
            capacity: Some(2),
            load: Some(load),
        };
        judge(&world, &card(2));
        assert_eq!(over(&world, Count::OverCapacity), 0);
        judge(&world, &card(3));
        assert_eq!(over(&world, Count::OverCapacity), 1);
    }
}

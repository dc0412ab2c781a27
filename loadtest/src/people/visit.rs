//! A visit: somebody comes, opens a conversation, waits for an agent, talks, and leaves.
//!
//! Every wait has an end: who gets no agent in time goes away, and who gets no answer says what is
//! left and goes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use protocol::conversation::ConversationState;
use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use protocol::message::{Message, Visibility};

use crate::clock::Micros;
use crate::judge::figure::{Count, Timing};
use crate::judge::ledger::Way;
use crate::people::caller::{Caller, Who, decoded};
use crate::people::party::sleep;
use crate::people::rooms::open;
use crate::people::talk::Talk;
use crate::people::world::{Due, Purpose, Stage, World, between};

/// Time to wait for an answer beyond an agent's longest thinking.
const ANSWER_MS: u64 = 20_000;
/// How long they are seen to type at most.
const TYPING: Duration = Duration::from_millis(300);

struct Visit {
    world: Arc<World>,
    caller: Caller,
    talk: Talk,
    chance: fastrand::Rng,
    opened: Micros,
    state: ConversationState,
    /// Answers that came and were not taken notice of.
    answers: u32,
    answered_once: bool,
    closing: Option<RequestId>,
    closed: bool,
}

/// Carries out one visit that is due now.
pub(crate) async fn visit(world: Arc<World>, due: Due) {
    world.record(Timing::SendLag, due.at, world.clock.now().since(due.at));
    world.count_at(Count::Visits, due.at);
    world.visit_begins();
    Box::pin(go(&world, due)).await;
    world.visit_ends();
}

async fn go(world: &Arc<World>, due: Due) {
    let mut who = Who::Visitor { token: None };
    let Ok(caller) = Caller::greet(world, &mut who, None, due.at).await else { return };
    let talk = Talk::new(world, World::conversation(Purpose::Visit));
    let chance = world.chance(talk.me);
    let mut visit = Visit {
        opened: world.clock.now(),
        world: Arc::clone(world),
        caller,
        talk,
        chance,
        state: ConversationState::Queued,
        answers: 0,
        answered_once: false,
        closing: None,
        closed: false,
    };
    world.owes("visits");
    // An error here is a connection that broke or a refusal.
    let well = Box::pin(visit.carry_out()).await.is_ok();
    let Visit { world, caller, talk, closed, .. } = visit;
    if !well && world.stage() < Stage::Over {
        world.count(Count::Disconnects);
    }
    let conversation = talk.conversation;
    // Who left before the conversation was over could not hear everything.
    talk.hand_in(&world, well && closed);
    world.handed_in("visits");
    world.left(conversation);
    caller.close(&world).await;
}

impl Visit {
    async fn carry_out(&mut self) -> Result<()> {
        self.world.queue_order.lock().asks(self.talk.conversation, self.world.clock.now());
        open(&mut self.caller, self.talk.conversation).await?;
        self.opened = self.world.clock.now();
        self.say(false).await?;
        let patience = Duration::from_millis(self.world.scenario().visit.patience_ms);
        let over = |visit: &Self| visit.world.stage() > Stage::Running;
        let taken = |visit: &Self| visit.state == ConversationState::Active;
        if !self.until(patience, |visit| taken(visit) || over(visit)).await? {
            self.world.count(Count::Abandoned);
        }
        if !taken(self) {
            return self.close().await;
        }
        self.world.record(
            Timing::QueueWait,
            self.opened,
            self.world.clock.now().since(self.opened),
        );
        let [least, most] = self.world.scenario().visit.messages;
        let messages = self.chance.u32(least..=most);
        let agent_closes = self.chance.bool();
        self.answer().await?;
        for said in 1..messages {
            self.think().await?;
            if over(self) {
                break;
            }
            self.say(agent_closes && said + 1 == messages).await?;
            self.answer().await?;
        }
        if agent_closes && messages > 1 && !over(self) {
            let long = Duration::from_millis(ANSWER_MS);
            self.until(long, |visit| visit.closed).await?;
        }
        self.close().await?;
        if self.closed {
            self.world.count(Count::VisitsDone);
        }
        Ok(())
    }

    /// Waits until their message was answered, or long enough.
    async fn answer(&mut self) -> Result<()> {
        let crate::run::scenario::Span([_, most]) = self.world.scenario().agent.think_ms;
        let long = Duration::from_millis(most + ANSWER_MS);
        if self.until(long, |visit| visit.answers > 0 || visit.closed).await? {
            if !self.answered_once {
                self.answered_once = true;
                let took = self.world.clock.now().since(self.opened);
                self.world.record(Timing::FirstResponse, self.opened, took);
            }
            self.answers = self.answers.saturating_sub(1);
        }
        Ok(())
    }

    async fn think(&mut self) -> Result<()> {
        let conversation = self.talk.conversation;
        let think = between(self.world.scenario().visit.think_ms, &mut self.chance);
        let typing = self.world.scenario().visit.typing;
        let before = if typing { think.saturating_sub(TYPING) } else { think };
        self.until(before, |visit| visit.closed).await?;
        if typing {
            self.caller.tell(&ClientFrame::Typing { conversation, typing: true }).await?;
            self.until(think - before, |visit| visit.closed).await?;
        }
        Ok(())
    }

    async fn say(&mut self, last: bool) -> Result<()> {
        if self.closed || self.world.stage() > Stage::Running {
            return Ok(());
        }
        let request = self.caller.next_request();
        let chars = self.world.chars(&mut self.chance);
        let now = self.world.clock.now();
        let bytes = self.talk.say(&self.world, request, now, chars, last);
        self.caller.send(bytes).await?;
        Ok(())
    }

    /// Ends the conversation, if nobody did, and hears what is still on its way.
    async fn close(&mut self) -> Result<()> {
        let long = Duration::from_millis(ANSWER_MS);
        if !self.closed {
            let request = self.caller.next_request();
            self.closing = Some(request);
            let conversation = self.talk.conversation;
            self.caller.tell(&ClientFrame::Close { request, conversation }).await?;
            self.until(long, |visit| visit.closed && visit.closing.is_none()).await?;
        }
        self.until(long, |visit| visit.talk.nothing_pending() && visit.talk.ended()).await?;
        Ok(())
    }

    /// Hears until something holds; false if it did not in time, or the run is over.
    async fn until(&mut self, long: Duration, holds: impl Fn(&Self) -> bool) -> Result<bool> {
        let end = self.world.clock.instant(self.world.clock.now().plus(long));
        let mut stage = self.world.stage.subscribe();
        loop {
            if holds(self) {
                return Ok(true);
            }
            if *stage.borrow_and_update() == Stage::Over {
                bail!("the run is over");
            }
            let again = self.talk.again_at().map(|at| self.world.clock.instant(at));
            tokio::select! {
                biased;
                came = self.caller.next() => self.came(&came?),
                () = sleep(again), if again.is_some() => {
                    let caller = &mut self.caller;
                    for bytes in self.talk.again_now(&self.world, || caller.next_request()) {
                        caller.send(bytes).await?;
                    }
                }
                () = tokio::time::sleep_until(end) => return Ok(false),
                changed = stage.changed() => {
                    // The world outlives everyone in it.
                    let _there = changed;
                }
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what a visitor does not know they pass over, as the wire wants it"
    )]
    fn came(&mut self, bytes: &[u8]) {
        let Some(frame) = decoded(bytes) else {
            self.talk.garbled(&self.world);
            return;
        };
        let own = self.talk.conversation;
        if self.world.misdelivered(&frame, |conversation| conversation == own) {
            return;
        }
        match frame {
            ServerFrame::Message {
                seq, message, author, at, body, expires, visibility, ..
            } => {
                let visibility = visibility.unwrap_or(Visibility::Everyone);
                let message = Message { seq, message, author, at, body, expires, visibility };
                let stamp = self.talk.heard(&self.world, &message, Way::Pushed);
                self.answers += u32::from(stamp.is_some());
            }
            ServerFrame::History { messages, .. } => {
                self.talk.page(&self.world, &messages, Way::Entered);
            }
            ServerFrame::Ack { request, seq, at, .. }
                if !self.talk.acked(&self.world, request, seq, at)
                    && self.closing == Some(request) =>
            {
                self.closing = None;
            }
            ServerFrame::Reject { request, code, retry_after_ms, .. }
                if !self.talk.refused(&self.world, request, code, retry_after_ms) =>
            {
                // Both closed at once: the second is told that there is nothing to close.
                if self.closing == Some(request) {
                    self.closing = None;
                } else {
                    self.world.count(Count::Rejected);
                }
            }
            ServerFrame::Conversation { card } if card.conversation == own => {
                self.state = card.state;
                if card.position.is_some() {
                    self.world.queue_order.lock().waits(card.conversation, self.world.clock.now());
                }
                self.closed = card.state == ConversationState::Closed;
                if card.state == ConversationState::Active {
                    self.talk.assigned();
                }
            }
            ServerFrame::Queue { conversation, position, .. } if conversation == own => {
                self.talk.queued(&self.world, position);
            }
            ServerFrame::Void { conversation, seq, .. } if conversation == own => {
                self.talk.void(seq);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::ids::ConversationId;
    use tokio::net::TcpListener;

    use super::*;
    use crate::people::caller::tests::Host;
    use crate::people::world::tests::{world, world_at};
    use crate::tasks;

    #[tokio::test]
    async fn what_is_said_in_another_conversation_is_misdelivered_to_a_visitor() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = world_at(listener.local_addr().unwrap(), "");
        let due = Due { at: world.clock.now() };
        let visitor = tasks::spawn("visit", visit(Arc::clone(&world), due));
        let mut host = Host::welcome(&listener).await;
        // They open their conversation, and say something in it.
        assert!(host.next().await.is_some() && host.next().await.is_some());
        host.tell(&Host::message(ConversationId::from_bytes([1; 16]))).await;
        assert!(host.is_read().await);
        assert_eq!(world.ledger.lock().judge().0.misdelivered, 1);
        visitor.abort();
    }

    #[tokio::test]
    async fn a_visitor_who_cannot_connect_is_a_failed_connect_and_no_visit_any_more() {
        // Nobody listens there.
        let world = world("");
        visit(Arc::clone(&world), Due { at: world.clock.now() }).await;
        let whole = world.recorder.lock().take_whole();
        let counts = [Count::Visits, Count::ConnectFailures, Count::Connects, Count::Disconnects];
        assert_eq!(counts.map(|count| whole.of(count)), [1, 1, 0, 0]);
        assert!(world.drained());
    }
}

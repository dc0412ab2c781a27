//! Somebody in one conversation: a visitor, an agent's window, or a supervisor who only watches.
//!
//! Speaks when the schedule says so, or in turn; hears, and comes back to the same place when a
//! connection breaks or is cut.

use std::sync::Arc;
use std::time::Duration;

use protocol::frame::{ClientFrame, RequestId, ServerFrame, WatchTopic};
use protocol::message::{Body, Message, Seq, Visibility};
use tokio::sync::{mpsc, watch};

use crate::clock::Micros;
use crate::judge::figure::{Count, Timing};
use crate::judge::ledger::Way;
use crate::people::backoff::{Backoff, may_return};
use crate::people::caller::{CallError, Caller, Who, decoded};
use crate::people::socket::SocketError;
use crate::people::stamp::Stamp;
use crate::people::talk::Talk;
use crate::people::world::{Due, Stage, World, between};

/// Messages in one page of history, the most that a server gives.
const PAGE: u16 = 100;

/// What they do besides hearing.
#[derive(Debug)]
pub(crate) enum Part {
    /// Watches.
    Silent,
    /// Speaks when something is due.
    Scheduled(mpsc::Receiver<Due>),
    /// Speaks when it is their turn: `true` for who begins.
    Alternating(bool),
}

impl Part {
    /// What was due at them and they never came to: nothing more is taken, and what waits is
    /// counted.
    fn unsaid(self, world: &World) {
        if let Self::Scheduled(mut due) = self {
            due.close();
            while let Ok(due) = due.try_recv() {
                world.count_at(Count::Unsent, due.at);
            }
        }
    }
}

/// How they come to be where they were before.
#[derive(Debug)]
struct Return {
    since: Micros,
    /// The answer that brings what was missed.
    page: RequestId,
}

pub(crate) struct Party {
    pub(crate) world: Arc<World>,
    pub(crate) who: Who,
    pub(crate) caller: Caller,
    pub(crate) talk: Talk,
    pub(crate) part: Part,
    /// From the run's beginning to the first cut of their connection, until it has begun.
    pub(crate) first_cut: Option<Duration>,
    /// When their connection is cut next.
    cut_at: Option<Micros>,
    chance: fastrand::Rng,
    returning: Option<Return>,
    speak_at: Option<Micros>,
    /// The last question before all is over.
    settling: Settling,
}

/// Whether all that was on its way to somebody has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settling {
    /// It is not asked for.
    No,
    /// The answer to this comes behind it.
    Asked(RequestId),
    Yes,
}

enum Step {
    Came(Result<bytes::Bytes, SocketError>),
    Due(Due),
    Stage,
    Wake,
}

impl Party {
    pub(crate) fn new(
        world: &Arc<World>,
        who: Who,
        caller: Caller,
        talk: Talk,
        part: Part,
    ) -> Self {
        let chance = world.chance(talk.me);
        Self {
            world: Arc::clone(world),
            who,
            caller,
            talk,
            part,
            first_cut: None,
            cut_at: None,
            chance,
            returning: None,
            speak_at: None,
            settling: Settling::No,
        }
    }

    /// Until the run is over.
    pub(crate) async fn run(mut self) {
        let mut stage = self.world.stage.subscribe();
        let word = if matches!(self.who, Who::Agent { .. }) { "windows" } else { "visitors" };
        self.world.owes(word);
        self.world.recipient_comes();
        loop {
            if *stage.borrow_and_update() == Stage::Over {
                break;
            }
            self.alternate();
            let step = self.step(&mut stage).await;
            let went = match step {
                Step::Came(Ok(bytes)) => self.came(&bytes).await,
                Step::Came(Err(error)) => Err(error),
                Step::Due(due) => self.due(due).await,
                Step::Wake => self.wake().await,
                Step::Stage => {
                    self.begin();
                    self.settle().await
                }
            };
            if let Err(error) = went
                && !self.fell(CallError::Socket(error)).await
            {
                break;
            }
        }
        let Self { world, caller, talk, part, .. } = self;
        world.recipient_goes();
        part.unsaid(&world);
        talk.hand_in(&world, true);
        world.handed_in(word);
        caller.close(&world).await;
    }

    async fn step(&mut self, stage: &mut watch::Receiver<Stage>) -> Step {
        let here = self.returning.is_none();
        let again_at = self.talk.again_at();
        let speaking = [self.speak_at, again_at].into_iter().flatten().filter(|_| here);
        let wake = self.cut_at.into_iter().chain(speaking).min();
        let wake = wake.map(|at| self.world.clock.instant(at));
        // What is put off goes first, as with a real client.
        let may_speak = here && again_at.is_none();
        tokio::select! {
            biased;
            came = self.caller.next() => Step::Came(came),
            due = next_due(&mut self.part), if may_speak => Step::Due(due),
            () = sleep(wake), if wake.is_some() => Step::Wake,
            changed = stage.changed() => {
                // The world outlives everyone in it.
                let _there = changed;
                Step::Stage
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what one does not know one passes over, as the wire wants it"
    )]
    async fn came(&mut self, bytes: &[u8]) -> Result<(), SocketError> {
        let Some(frame) = decoded(bytes) else {
            self.talk.garbled(&self.world);
            return Ok(());
        };
        let own = self.talk.conversation;
        if self.world.misdelivered(&frame, |conversation| conversation == own) {
            return Ok(());
        }
        match frame {
            ServerFrame::Message {
                seq, message, author, at, body, expires, visibility, ..
            } => {
                let visibility = visibility.unwrap_or(Visibility::Everyone);
                let message = Message { seq, message, author, at, body, expires, visibility };
                let stamp = self.talk.heard(&self.world, &message, Way::Pushed);
                self.answer(stamp);
            }
            ServerFrame::Ack { request, seq, at, body, .. } => {
                // Something of ours was masked: it cannot reach anyone unchanged.
                if matches!(body, Some(Body::Text(_))) {
                    self.talk.garbled(&self.world);
                }
                self.talk.acked(&self.world, request, seq, at);
            }
            ServerFrame::Reject { request, code, retry_after_ms, .. }
                if !self.talk.refused(&self.world, request, code, retry_after_ms) =>
            {
                self.world.count(Count::Rejected);
            }
            ServerFrame::Void { conversation, seq, .. } if conversation == own => {
                self.talk.void(seq);
            }
            ServerFrame::History { request, reset, more, messages, .. } => {
                self.page(request, reset, more, &messages).await?;
            }
            ServerFrame::Pong { request } if self.settling == Settling::Asked(request) => {
                self.settling = Settling::Yes;
                self.world.settles();
            }
            ServerFrame::Queue { conversation, position, .. } if conversation == own => {
                self.talk.queued(&self.world, position);
            }
            _ => {}
        }
        Ok(())
    }

    /// Cuts count from the run's beginning, not from when they came.
    fn begin(&mut self) {
        if self.world.stage() >= Stage::Running
            && let Some(delay) = self.first_cut.take()
        {
            self.cut_at = Some(self.world.clock.now().plus(delay));
        }
    }

    /// Somebody else spoke: in a closed loop it is one's turn.
    fn answer(&mut self, stamp: Option<Stamp>) {
        if let (Some(_), Part::Alternating(mine)) = (stamp, &mut self.part) {
            *mine = true;
        }
    }

    /// In a closed loop: speaks soon if it is their turn and their last message is answered.
    fn alternate(&mut self) {
        if self.speak_at.is_some()
            || self.returning.is_some()
            || self.world.stage() != Stage::Running
        {
            return;
        }
        if let Part::Alternating(mine @ true) = &mut self.part
            && self.talk.nothing_pending()
        {
            *mine = false;
            let think = Duration::from_millis(self.world.scenario().habits.closed_think_ms);
            self.speak_at = Some(self.world.clock.now().plus(think));
        }
    }

    async fn due(&mut self, due: Due) -> Result<(), SocketError> {
        self.caller.late(&self.world, due.at);
        self.speak(due.at).await
    }

    async fn speak(&mut self, due: Micros) -> Result<(), SocketError> {
        let request = self.caller.next_request();
        let chars = self.world.chars(&mut self.chance);
        let bytes = self.talk.say(&self.world, request, due, chars, false);
        self.caller.say(&self.world, bytes).await
    }

    async fn wake(&mut self) -> Result<(), SocketError> {
        let now = self.world.clock.now();
        if self.cut_at.is_some_and(|at| at <= now) {
            let every = Duration::from_millis(self.world.scenario().reconnect.every_ms);
            self.cut_at = self.cut_at.map(|at| at.plus(every));
            if self.world.stage() == Stage::Running && self.returning.is_none() {
                self.world.count(Count::Cuts);
                return Err(SocketError::Closed(0));
            }
        }
        if self.returning.is_none() && self.talk.again_at().is_some_and(|at| at <= now) {
            let caller = &mut self.caller;
            for bytes in self.talk.again_now(&self.world, || caller.next_request()) {
                caller.send(bytes).await?;
            }
            // What came due meanwhile waited for the server.
            caller.blocked_until = self.world.clock.now();
        }
        if self.speak_at.is_some_and(|at| at <= now) && self.returning.is_none() {
            // In a closed loop nothing is due before one can speak.
            self.speak_at = None;
            return self.speak(self.world.clock.now()).await;
        }
        Ok(())
    }

    /// The connection ended. Comes back, unless the run is over or the server wants them to stay
    /// away.
    async fn fell(&mut self, mut error: CallError) -> bool {
        let since = self.world.clock.now();
        let cut = matches!(error, CallError::Socket(SocketError::Closed(0)));
        let mut backoff = Backoff::new();
        let mut wait = backoff.wait(&mut self.chance);
        if cut {
            wait = between(self.world.scenario().reconnect.away_ms, &mut self.chance);
        } else {
            self.world.count(Count::Disconnects);
        }
        while may_return(&self.world, &error, wait).await {
            match Box::pin(self.come_back(since)).await {
                Ok(()) => return true,
                Err(failed) => error = failed,
            }
            wait = backoff.wait(&mut self.chance);
        }
        false
    }

    async fn come_back(&mut self, since: Micros) -> Result<(), CallError> {
        self.caller.gone(&self.world);
        let point = self.talk.resume_point();
        let visitor = matches!(self.who, Who::Visitor { .. });
        let now = self.world.clock.now();
        let resume = visitor.then(|| point.clone());
        let mut caller = Caller::greet(&self.world, &mut self.who, resume, now).await?;
        let mut page = RequestId(0);
        if !visitor {
            page = caller.next_request();
            let told = caller.tell(&watch_frame(page, point)).await;
            if let Err(error) = told {
                caller.gone(&self.world);
                return Err(error.into());
            }
        }
        self.caller = caller;
        self.returning = Some(Return { since, page });
        Ok(())
    }

    /// A page of history: what was missed, or what was said before.
    async fn page(
        &mut self,
        request: RequestId,
        reset: bool,
        more: bool,
        messages: &[Message<'_>],
    ) -> Result<(), SocketError> {
        let Some(returning) = &mut self.returning else {
            for stamp in self.talk.page(&self.world, messages, Way::Entered) {
                self.answer(Some(stamp));
            }
            return Ok(());
        };
        if request != returning.page {
            return Ok(());
        }
        let known = self.talk.seen();
        let way = if reset || request.0 != 0 && !matches!(self.who, Who::Agent { .. }) {
            Way::Replaced
        } else {
            Way::Resumed
        };
        let oldest = messages.first().map_or(Seq(0), |message| message.seq);
        let asks_on = reset && more && oldest.0 > known.0 + 1;
        for stamp in self.talk.page(&self.world, messages, way) {
            self.answer(Some(stamp));
        }
        if asks_on {
            // The page does not reach back to what they have.
            let request = self.caller.next_request();
            if let Some(returning) = &mut self.returning {
                returning.page = request;
            }
            let conversation = self.talk.conversation;
            let frame = ClientFrame::History { request, conversation, before: oldest, limit: PAGE };
            return self.caller.tell(&frame).await;
        }
        self.returned().await
    }

    /// They are where they were: what was never answered is said again.
    async fn returned(&mut self) -> Result<(), SocketError> {
        if let Some(Return { since, .. }) = self.returning.take() {
            let took = self.world.clock.now().since(since);
            self.world.record(Timing::Resume, since, took);
            // What came due meanwhile waited for them, not for the generator.
            self.caller.blocked_until = self.world.clock.now();
        }
        let caller = &mut self.caller;
        for bytes in self.talk.again(&self.world, || caller.next_request()) {
            caller.send(bytes).await?;
        }
        self.settle().await
    }

    /// Asks, once all was answered: the answer comes behind everything that is on its way.
    async fn settle(&mut self) -> Result<(), SocketError> {
        if self.world.stage() != Stage::Settling {
            self.settling = Settling::No;
        } else if self.settling != Settling::Yes && self.returning.is_none() {
            let request = self.caller.next_request();
            self.settling = Settling::Asked(request);
            return self.caller.tell(&ClientFrame::Ping { request }).await;
        }
        Ok(())
    }
}

/// Asks to hear a conversation.
pub(crate) fn watch_frame(
    request: RequestId,
    resume: protocol::conversation::ResumePoint,
) -> ClientFrame<'static> {
    let conversation = Some(resume.conversation);
    let resume = resume.message.is_some().then_some(resume);
    ClientFrame::Watch {
        request,
        topic: WatchTopic::Conversation,
        conversation,
        resume,
        after: None,
    }
}

async fn next_due(part: &mut Part) -> Due {
    if let Part::Scheduled(due) = part
        && let Some(due) = due.recv().await
    {
        return due;
    }
    std::future::pending().await
}

/// Until then; at once if there is no such moment.
pub(crate) async fn sleep(until: Option<tokio::time::Instant>) {
    if let Some(until) = until {
        tokio::time::sleep_until(until).await;
    }
}

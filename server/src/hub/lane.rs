//! Runs the lanes: while a number takes a round trip, the messages of a conversation are sequenced
//! and stored one after the other.
//!
//! Lives here: the task of each lane. Not here: the rules of a lane (`sequencer::lane`), the
//! question for a number (`executor`), the way of one message (`speak`).

use std::sync::Arc;

use parking_lot::Mutex;
use protocol::ids::ConversationId;
use protocol::reject::Reject;
use tokio::sync::oneshot;

use super::cork;
use super::executor::Executor;
use super::handle::RoomHandle;
use super::pending::{Answer, Answered, Asked, ByBus, words};
use super::ports::Ports;
use super::times::Times;
use crate::bus::Bus;
use crate::privacy::envelope::Envelope;
use crate::sequencer::{self, Ended, Joined, Outcome, Refusal, Settled, Submission};
use crate::tasks;

/// What waits for its number, by conversation. One that is here is looked after by its task.
pub(super) struct Lanes {
    bus: Arc<dyn Bus>,
    times: Arc<Times>,
    executor: Arc<Executor>,
    waiting: Mutex<sequencer::Lanes<(RoomHandle, Asked), Answer>>,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").finish_non_exhaustive()
    }
}

/// Where a lane's task ends before its lane does: nothing stays in it without an answer.
struct LaneEnds<'l> {
    lanes: &'l Lanes,
    conversation: ConversationId,
    is_empty: bool,
}

impl Drop for LaneEnds<'_> {
    fn drop(&mut self) {
        if self.is_empty {
            return;
        }
        let left = self.lanes.waiting.lock().abandon(self.conversation);
        left.into_iter().for_each(|answer| answer(Err(words(Refusal::Abandoned))));
    }
}

impl Lanes {
    pub(super) fn new(ports: &Ports, executor: &Arc<Executor>) -> Self {
        Self {
            bus: Arc::clone(&ports.bus),
            times: Arc::clone(&ports.times),
            executor: Arc::clone(executor),
            waiting: Mutex::default(),
        }
    }

    /// Gives an envelope its number, delivers it, and hands it to the store. Where its number takes
    /// a round trip it waits in its lane, and nobody waits here.
    pub(super) async fn sequence(
        self: &Arc<Self>,
        room: RoomHandle,
        envelope: Envelope,
        asked: Asked,
        answer: Answer,
    ) -> Result<(), Reject> {
        let submission = Submission::new(envelope, asked.refusal.is_none());
        if self.bus.is_far() {
            return self.wait(room, submission, asked, answer);
        }
        self.executor.submit(room, submission, asked, answer, None).await
    }

    /// A message waits in its lane; whoever sent it hears of its outcome. Where the same message
    /// waits already, it is answered with that one; with something to be stored beside it, it waits
    /// for itself.
    fn wait(
        self: &Arc<Self>,
        room: RoomHandle,
        submission: Submission,
        asked: Asked,
        answer: Answer,
    ) -> Result<(), Reject> {
        let conversation = submission.envelope().conversation();
        let (sender, stands_alone) = ((asked.from, answer), asked.beside.is_some());
        let now = self.times.instant();
        let joined = self.waiting.lock().join(submission, (room, asked), sender, stands_alone, now);
        if joined.map_err(words)? == Joined::First {
            let lanes = Arc::clone(self);
            drop(tasks::spawn("a lane", async move { lanes.run(conversation).await }));
        }
        Ok(())
    }

    /// Until nothing waits in it. What comes next waits for the disk: no sooner is it known whether
    /// the number is this message's.
    async fn run(self: Arc<Self>, conversation: ConversationId) {
        let mut ends = LaneEnds { lanes: &self, conversation, is_empty: false };
        loop {
            let first = self.waiting.lock().first(conversation);
            let Some((submission, (room, asked))) = first else {
                ends.is_empty = true;
                return;
            };
            let outcome = self.attempt(room.clone(), submission, asked).await;
            let now = self.times.instant();
            let settled = self.waiting.lock().settle(conversation, outcome, now);
            let Settled::Done { senders, end, void } = settled else { continue };
            if let Some(void) = void {
                self.executor.take_back(&room, void);
            }
            let outcome = end.map(Answered::from).map_err(|ended| match ended {
                Ended::Refused(reject) => reject,
                Ended::Overtaken => words(Refusal::Overtaken),
            });
            cork::corked(|| senders.into_iter().for_each(|answer| answer(outcome.clone())));
        }
    }

    /// One attempt to sequence and store a message.
    async fn attempt(
        &self,
        room: RoomHandle,
        submission: Submission,
        asked: Asked,
    ) -> Outcome<Reject> {
        let refused = |refusal: Reject| {
            let retryable = refusal.code.retryable();
            Outcome::Refused { refusal, retryable }
        };
        let (tell, told) = oneshot::channel();
        let (renumber, renumbered) = oneshot::channel();
        let by_bus = ByBus { renumbered: renumber, since: self.times.instant() };
        let answer: Answer = Box::new(move |outcome| {
            // The lane waits for it as long as the server runs.
            let _gone = tell.send(outcome);
        });
        if let Err(reject) =
            self.executor.submit(room, submission, asked, answer, Some(by_bus)).await
        {
            return refused(reject);
        }
        match told.await {
            Ok(Ok(answered)) => Outcome::Acked(answered.acked),
            Ok(Err(reject)) => refused(reject),
            // Dropped untold: its number was another's, or the store has ended.
            Err(_) => match renumbered.await {
                Ok(sequenced) => Outcome::Renumber(sequenced),
                Err(_) => refused(words(Refusal::Unstored)),
            },
        }
    }

    /// Forgets what was never sent again.
    pub(super) fn forget_owed(&self) {
        self.waiting.lock().forget_owed(self.times.instant());
    }
}

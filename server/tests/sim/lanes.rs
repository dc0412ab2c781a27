//! Runs the lanes of a node: one message of a conversation at a time; as `hub/lane.rs` does.
//!
//! Not here: the rules of a lane, which are the sequencer's, and the way of one message (`node`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use livehelp::privacy::envelope::Sequenced;
use livehelp::sequencer::{Acked, Ended, Joined, Outcome, Refusal, Settled, Submission};
use protocol::ids::{ConversationId, MessageId};

use crate::connection::{Conn, connection};
use crate::faults::Planted;
use crate::node::{Answer, Serial, Way};
use crate::world::World;

/// What a lane keeps with each message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneEntry {
    serial: Serial,
    from: Option<Conn>,
}

/// Who sent a message, and which.
pub(crate) type Sender = (Option<Conn>, MessageId);

/// The attempt at the first message of a lane: over once it is both submitted and told.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    submitted: bool,
    told: Option<Told>,
}

#[derive(Debug)]
enum Told {
    WriteOutcome(Result<Acked, Refusal>),
    Renumber(Arc<Sequenced>),
}

impl World {
    /// The monotonic clock.
    pub(crate) fn instant(&self) -> Instant {
        self.epoch + Duration::from_millis(self.passed_ms)
    }

    /// A message waits in its lane; whoever sent it hears of its outcome.
    pub(crate) fn wait_in_lane(&mut self, node: usize, from: Option<Conn>, submission: Submission) {
        let envelope = submission.envelope();
        let (conversation, message) = (envelope.conversation(), envelope.message());
        let now = self.instant();
        let Some(serial) = self.room(node, conversation).map(|live| live.serial) else { return };
        let sender = (from.map(connection), (from, message));
        let kept = LaneEntry { serial, from };
        match self.nodes[node].lanes.join(submission, kept, sender, false, now) {
            Ok(Joined::First) => self.nodes[node].lanes_ready.push_back(conversation),
            Ok(Joined::Waits) => self.counts.waited_in_lanes += 1,
            Err(why) => {
                self.counts.owed += u32::from(why == Refusal::Owes);
                self.tell_author((from, message), Err(why));
            }
        }
    }

    /// The next attempt of a lane begins, if something waits in it.
    pub(crate) fn run_a_lane(&mut self, node: usize) {
        let Some(conversation) = self.nodes[node].lanes_ready.pop_front() else { return };
        let first = self.nodes[node].lanes.first(conversation);
        let Some((submission, LaneEntry { serial, from })) = first else { return };
        self.nodes[node].attempts.insert(conversation, Attempt::default());
        let message = submission.envelope().message();
        let answer = Answer::Lane;
        let asked_ms = self.passed_ms;
        let way = Way { node, conversation, message, serial, from, answer, held: None, asked_ms };
        self.submit_by(way, submission);
    }

    /// Nothing is left to be done for it but to wait for its outcome.
    pub(crate) fn submitted(&mut self, way: &Way) {
        if way.answer == Answer::Lane {
            self.attempt_submitted(way.node, way.conversation);
        }
    }

    /// The same, for the first of a lane.
    pub(crate) fn attempt_submitted(&mut self, node: usize, conversation: ConversationId) {
        if let Some(attempt) = self.nodes[node].attempts.get_mut(&conversation) {
            attempt.submitted = true;
            self.settle_attempt(node, conversation);
        }
    }

    /// Its outcome is known.
    pub(crate) fn attempt_told(&mut self, way: &Way, outcome: Result<Acked, Refusal>) {
        self.tell_attempt(way, Told::WriteOutcome(outcome));
    }

    /// Its number is another's.
    pub(crate) fn renumbered(&mut self, way: &Way, sequenced: Arc<Sequenced>) {
        self.counts.renumbered += 1;
        self.tell_attempt(way, Told::Renumber(sequenced));
    }

    fn tell_attempt(&mut self, way: &Way, told: Told) {
        if let Some(attempt) = self.nodes[way.node].attempts.get_mut(&way.conversation) {
            attempt.told = Some(told);
            self.settle_attempt(way.node, way.conversation);
        }
    }

    fn settle_attempt(&mut self, node: usize, conversation: ConversationId) {
        let attempts = &mut self.nodes[node].attempts;
        let over = attempts.get(&conversation).is_some_and(|a| a.submitted && a.told.is_some());
        let attempt = if over { attempts.remove(&conversation) } else { None };
        let Some(told) = attempt.and_then(|attempt| attempt.told) else { return };
        let outcome = match told {
            Told::WriteOutcome(Ok(acked)) => Outcome::Acked(acked),
            Told::WriteOutcome(Err(refusal)) => {
                let alone = self.has(Planted::NotRefusedWithIt);
                Outcome::Refused { refusal, retryable: refusal.retryable() && !alone }
            }
            Told::Renumber(sequenced) => Outcome::Renumber(sequenced),
        };
        let now = self.instant();
        let settled = self.nodes[node].lanes.settle(conversation, outcome, now);
        self.nodes[node].lanes_ready.push_back(conversation);
        let Settled::Done { senders, end, void } = settled else { return };
        if let Some(void) = void {
            let serial = self.nodes[node].rooms.get(&conversation).map(|live| live.serial);
            self.take_back((node, conversation, serial.unwrap_or_default()), void);
        }
        let outcome = end.map_err(|ended| match ended {
            Ended::Refused(why) => why,
            Ended::Overtaken => Refusal::Overtaken,
        });
        self.counts.refused_with += u32::from(outcome.is_err() && senders.len() > 1);
        for sender in senders {
            self.tell_author(sender, outcome);
        }
    }
}

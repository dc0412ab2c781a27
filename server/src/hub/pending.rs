//! A message on its way to its number: what is needed to store it and to answer for it, and what
//! becomes of it.

use std::sync::Arc;
use std::time::Instant;

use protocol::ids::ConnectionId;
use protocol::personal::Personal;
use protocol::reject::{Reject, RejectCode};
use protocol::time::Day;
use tokio::sync::oneshot;

use super::fanout::{FrameSinks, LiveRoom, Recipients, deliver};
use super::handle::RoomHandle;
use super::reject::{conflict, store_reject};
use crate::privacy::envelope::Sequenced;
use crate::sequencer::{Acked, Command, Gap, Refusal, Submission};
use crate::store::{Beside, StoreError, WriteSlot};
use crate::traces::Trace;

/// A message that is on disk, as its author is told.
#[derive(Clone)]
pub(super) struct Answered {
    pub(super) acked: Acked,
    /// What was kept of it, where something was hidden.
    pub(super) kept: Option<Personal<String>>,
}

impl From<Acked> for Answered {
    fn from(acked: Acked) -> Self {
        Self { acked, kept: None }
    }
}

/// Called once a message's outcome is known.
pub(super) type Answer = Box<dyn FnOnce(Result<Answered, Reject>) + Send>;

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

/// Where a number takes a round trip.
pub(super) struct ByBus {
    /// Told instead of the answer where another message was stored under the number that this one
    /// had.
    pub(super) renumbered: oneshot::Sender<Arc<Sequenced>>,
    /// Its number was not asked for before.
    pub(super) since: Instant,
}

/// What is needed to store a message and to answer for it, on its way to its number.
pub(super) struct PendingWrite<A = Answer> {
    pub(super) room: RoomHandle,
    /// Reserved before a number is asked for: what has a number can be stored.
    pub(super) slot: Box<dyn WriteSlot>,
    pub(super) answer: A,
    pub(super) from: Option<ConnectionId>,
    pub(super) since: Instant,
    pub(super) beside: Option<Beside>,
    pub(super) by_bus: Option<ByBus>,
    pub(super) trace: Option<Arc<Trace>>,
}

/// A message that has its number and was appended for everyone here who hears it.
pub(super) struct Published {
    pub(super) sequenced: Arc<Sequenced>,
    pub(super) delivered: Delivered,
    pub(super) gap: Option<Gap>,
}

/// A message that is on disk otherwise than it was shown here: it was appended for everyone as it
/// is stored.
pub(super) struct SetRight {
    pub(super) acked: Acked,
    pub(super) sequenced: Arc<Sequenced>,
    pub(super) recipients: FrameSinks,
    pub(super) gap: Option<Gap>,
}

/// What is left to do outside of the room's lock.
pub(super) enum Next {
    Published(Published),
    SetRight(SetRight),
    Do(Command),
    /// Its room was dropped: it is new to the one that is looked up.
    Again(Submission),
}

/// Whom a message reached here.
pub(super) struct Delivered {
    pub(super) recipients: FrameSinks,
    pub(super) to: Recipients,
    pub(super) first_answer_ms: Option<u64>,
}

/// Under the room's lock: what has its number goes to everyone here.
pub(super) fn fan_out(
    live: &LiveRoom,
    command: Command,
    (from, today): (Option<ConnectionId>, Day),
) -> Next {
    let Command::Publish { sequenced, first_answer_ms, gap } = command else {
        return match set_right(live, command, today) {
            Ok(set_right) => Next::SetRight(set_right),
            Err(command) => Next::Do(command),
        };
    };
    let (recipients, to) = deliver(live, &sequenced, from, today);
    let delivered = Delivered { recipients, to, first_answer_ms };
    Next::Published(Published { sequenced, delivered, gap })
}

/// Under the room's lock: what the store has otherwise than it is shown goes to everyone here. Any
/// other command comes back.
pub(super) fn set_right(
    live: &LiveRoom,
    command: Command,
    today: Day,
) -> Result<SetRight, Command> {
    let Command::Settle { acked, sequenced, gap } = command else { return Err(command) };
    let (recipients, _) = deliver(live, &sequenced, None, today);
    Ok(SetRight { acked, sequenced, recipients, gap })
}

/// Answers for a message that was found in the store.
pub(super) fn answer_known(acked: Acked, pending: PendingWrite) {
    let PendingWrite { slot, answer, beside, .. } = pending;
    match beside {
        None => answer(Ok(acked.into())),
        Some(beside) => {
            let outcome = move |outcome: Result<(), StoreError>| {
                answer(outcome.map(|()| acked.into()).map_err(|error| store_reject(&error)));
            };
            slot.write(vec![beside.at(acked.seq)], Box::new(outcome));
        }
    }
}

/// What the author of a message that is not taken is told.
pub(super) fn words(refusal: Refusal) -> Reject {
    let again = |code, words: &'static str| Reject::new(code, words).retry_after_ms(1_000);
    match refusal {
        Refusal::Conflict => conflict(),
        Refusal::NotAllowed => {
            Reject::new(RejectCode::Forbidden, "nothing new may be said in this conversation")
        }
        Refusal::Outrun => {
            let words = "no sequence number could be given; try again";
            Reject::new(RejectCode::Overload, words).retry_after_ms(200)
        }
        Refusal::BusAway => {
            again(RejectCode::StoreUnavailable, "the bus between the servers is away; try again")
        }
        Refusal::Overtaken => {
            again(RejectCode::Overload, "other servers take its sequence numbers; try again")
        }
        Refusal::LaneFull => again(
            RejectCode::Overload,
            "this conversation has more messages on their way than it takes; try again",
        ),
        Refusal::Owes => again(
            RejectCode::StoreUnavailable,
            "an earlier message has to come again before this one; try again",
        ),
        Refusal::Unstored => store_reject(&StoreError::Unavailable { act: "store a message" }),
        Refusal::Abandoned => again(RejectCode::Overload, "the server failed; try again"),
    }
}

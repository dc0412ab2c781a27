//! Places that take a round trip: the messages of a conversation are placed and stored one after the other.
//!
//! Lives here: their order, who is answered for one that was sent more than once, and what is refused with one that got
//! no place. Not here: the question for a place (`hear`), the place itself (`speak`).
//!
//! Nobody's connection stands still while the bus takes its time, every wait ends with an answer, and nobody's later
//! words come before their earlier ones: what stands behind a message of the same author that was refused for a while is
//! refused with it, and so is what comes on that connection afterwards, until that message comes again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use protocol::ids::{ConnectionId, ConversationId, MessageId};
use protocol::message::Author;
use protocol::reject::{Reject, RejectCode};
use tokio::sync::oneshot;

use super::shard::RoomHandle;
use super::speak::{Acked, Answer, Asked, PLACES_MAX};
use super::{Hub, conflict, cork, store_reject};
use crate::privacy::envelope::{Envelope, Placed};
use crate::store::StoreError;
use crate::tasks;

/// Messages of one conversation that wait for their places.
const WAITING_MAX: usize = 256;

/// So long a connection's later messages are refused for the sake of one that has to come again; then its author has
/// given it up.
const OWED_MAX: Duration = Duration::from_secs(10);

/// What waits for its place, by conversation.
#[derive(Default)]
pub(super) struct Lanes(Mutex<State>);

#[derive(Default)]
struct State {
    /// The first of each is being placed. One that is here is looked after by its task.
    waiting: HashMap<ConversationId, VecDeque<Waits>>,
    /// What each connection must send again before anything new.
    owed: HashMap<ConversationId, Vec<Owed>>,
}

struct Owed {
    from: ConnectionId,
    message: MessageId,
    since: Instant,
}

impl Owed {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) > OWED_MAX
    }
}

struct Waits {
    room: RoomHandle,
    envelope: Envelope,
    asked: Asked,
    /// Everyone who sent it and is to hear of its fate, with the connection on which they sent it.
    senders: Vec<(Option<ConnectionId>, Answer)>,
}

impl Waits {
    fn tell(self, fate: &Result<Acked, Reject>) {
        for (_, answer) in self.senders {
            answer(fate.clone());
        }
    }

    /// Whether it is refused with one of this author's. Lines of the system have nobody who would send them again.
    fn goes_with(&self, author: Author) -> bool {
        author != Author::System && self.envelope.author() == author
    }
}

impl State {
    /// Whether a message has to wait until another came again.
    fn owes(&mut self, waits: &Waits, now: Instant) -> bool {
        let (conversation, message) = (waits.envelope.conversation(), waits.envelope.message());
        let (Some(from), Some(all)) = (waits.asked.from, self.owed.get_mut(&conversation)) else {
            return false;
        };
        all.retain(|owed| !owed.is_over(now) && (owed.from != from || owed.message != message));
        let owes = all.iter().any(|owed| owed.from == from);
        if all.is_empty() {
            self.owed.remove(&conversation);
        }
        owes
    }

    fn owe(&mut self, from: ConnectionId, refused: &Envelope, now: Instant) {
        let all = self.owed.entry(refused.conversation()).or_default();
        if all.iter().all(|owed| owed.from != from) {
            all.push(Owed { from, message: refused.message(), since: now });
        }
    }

    /// The first of a lane is done; with a refusal that is worth another try, so is what its author said after it.
    /// Those whose fate that is, in their order.
    fn leave(
        &mut self,
        conversation: ConversationId,
        refused: Option<&Reject>,
        now: Instant,
    ) -> Vec<Waits> {
        let Some(lane) = self.waiting.get_mut(&conversation) else { return Vec::new() };
        let Some(first) = lane.pop_front() else { return Vec::new() };
        let Some(reject) = refused else {
            // Whoever sent it, on whichever line: it is there.
            if let Some(all) = self.owed.get_mut(&conversation) {
                all.retain(|owed| owed.message != first.envelope.message());
            }
            return vec![first];
        };
        let author = first.envelope.author();
        let mut all = vec![first];
        if reject.code.retryable() {
            let (with_it, others) = std::mem::take(lane)
                .into_iter()
                .partition::<Vec<_>, _>(|waits| waits.goes_with(author));
            *lane = others.into();
            all.extend(with_it);
            for waits in &all {
                for (from, _) in &waits.senders {
                    if let Some(from) = from {
                        self.owe(*from, &waits.envelope, now);
                    }
                }
            }
        }
        all
    }
}

/// Why a try to place and store a message came to nothing.
enum Unplaced {
    Refused(Reject),
    /// Another node's message was stored at its place: it is shown there, and needs another.
    Taken(Arc<Placed>),
}

impl Unplaced {
    fn unstored() -> Self {
        Self::Refused(store_reject(&StoreError::Unavailable { act: "store a message" }))
    }
}

fn again(code: RejectCode, words: &'static str) -> Reject {
    Reject::new(code, words).retry_after_ms(1_000)
}

/// Where a lane's task ends before its lane does: nothing stays in it without an answer.
struct LaneEnds<'h> {
    hub: &'h Hub,
    conversation: ConversationId,
    is_empty: bool,
}

impl Drop for LaneEnds<'_> {
    fn drop(&mut self) {
        if self.is_empty {
            return;
        }
        let left = self.hub.lanes.0.lock().waiting.remove(&self.conversation);
        for waits in left.into_iter().flatten() {
            waits.tell(&Err(again(RejectCode::Overload, "the server failed; try again")));
        }
    }
}

impl Hub {
    /// A message waits for its turn; whoever sent it hears of its fate. Where the same message waits already, it is answered
    /// with that one.
    pub(super) fn wait_in_lane(
        self: &Arc<Self>,
        room: RoomHandle,
        envelope: Envelope,
        asked: Asked,
        answer: Answer,
    ) -> Result<(), Reject> {
        let conversation = envelope.conversation();
        let now = self.clock.instant();
        let mut state = self.lanes.0.lock();
        let mut lane = state.waiting.get_mut(&conversation);
        let same = |waits: &&mut Waits| waits.envelope.message() == envelope.message();
        if let Some(first) = lane.iter_mut().flat_map(|lane| lane.iter_mut()).find(same) {
            if !first.envelope.says_the_same(&envelope) {
                return Err(conflict());
            }
            // With something to be stored beside it, it is looked at in its own turn: then the room knows it.
            if asked.beside.is_none() {
                first.senders.push((asked.from, answer));
                return Ok(());
            }
        }
        let full = lane.is_some_and(|lane| lane.len() >= WAITING_MAX);
        let senders = vec![(asked.from, answer)];
        let waits = Waits { room, envelope, asked, senders };
        if state.owes(&waits, now) {
            let words = "an earlier message has to come again before this one; try again";
            return Err(again(RejectCode::StoreUnavailable, words));
        }
        if full {
            if let Some(from) = waits.asked.from {
                state.owe(from, &waits.envelope, now);
            }
            let words = "this conversation has more messages on their way than it takes; try again";
            return Err(again(RejectCode::Overload, words));
        }
        let fresh = !state.waiting.contains_key(&conversation);
        state.waiting.entry(conversation).or_default().push_back(waits);
        drop(state);
        if fresh {
            let hub = Arc::clone(self);
            drop(tasks::spawn("a lane", async move { hub.run_lane(conversation).await }));
        }
        Ok(())
    }

    /// Until nothing waits in it.
    async fn run_lane(self: Arc<Self>, conversation: ConversationId) {
        let mut ends = LaneEnds { hub: &self, conversation, is_empty: false };
        loop {
            let first = {
                let mut state = self.lanes.0.lock();
                let Some(first) = state.waiting.get(&conversation).and_then(VecDeque::front) else {
                    state.waiting.remove(&conversation);
                    ends.is_empty = true;
                    return;
                };
                // It stays in the lane meanwhile, so that others can join it.
                (first.room.clone(), first.envelope.clone(), first.asked.clone())
            };
            let (room, envelope, asked) = first;
            let fate = self.place_and_store(&room, &envelope, &asked).await;
            let now = self.clock.instant();
            let told = self.lanes.0.lock().leave(conversation, fate.as_ref().err(), now);
            cork::corked(|| told.into_iter().for_each(|waits| waits.tell(&fate)));
        }
    }

    /// What comes next waits for the disk: no sooner is it known whether the place is this message's. Where another node's
    /// was stored there, it gets another.
    async fn place_and_store(
        self: &Arc<Self>,
        room: &RoomHandle,
        envelope: &Envelope,
        asked: &Asked,
    ) -> Result<Acked, Reject> {
        let mut reject = again(RejectCode::Overload, "other servers take its places; try again");
        let mut shown = None;
        for _ in 0..PLACES_MAX {
            match self.place_once(room.clone(), envelope.clone(), asked.clone()).await {
                Ok(acked) => return Ok(acked),
                Err(Unplaced::Taken(placed)) => shown = Some(placed),
                Err(Unplaced::Refused(refused)) => {
                    reject = refused;
                    break;
                }
            }
        }
        if let Some(placed) = &shown {
            self.take_back(room, placed);
        }
        Err(reject)
    }

    async fn place_once(
        self: &Arc<Self>,
        room: RoomHandle,
        envelope: Envelope,
        asked: Asked,
    ) -> Result<Acked, Unplaced> {
        let (tell, told) = oneshot::channel();
        let (taken, lost) = oneshot::channel();
        let answer: Answer = Box::new(move |fate| {
            // The lane waits for it as long as the server runs.
            let _gone = tell.send(fate);
        });
        self.place_in_turn(room, envelope, asked, answer, Some(taken))
            .await
            .map_err(Unplaced::Refused)?;
        match told.await {
            Ok(fate) => fate.map_err(Unplaced::Refused),
            // Dropped untold: its place was another's, or the store has ended.
            Err(_) => Err(lost.await.map_or_else(|_| Unplaced::unstored(), Unplaced::Taken)),
        }
    }

    /// Forgets what was never sent again.
    pub(super) fn forget_owed(&self) {
        let now = self.clock.instant();
        let mut state = self.lanes.0.lock();
        state.owed.retain(|_, all| {
            all.retain(|owed| !owed.is_over(now));
            !all.is_empty()
        });
    }
}

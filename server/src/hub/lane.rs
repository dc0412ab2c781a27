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
use crate::store::{Beside, StoreError};
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
    /// The first of each is asking. One that is here is looked after by its task.
    waiting: HashMap<ConversationId, VecDeque<Waits>>,
    /// What a connection must send again before anything new.
    owed: HashMap<(ConversationId, ConnectionId), Owed>,
}

struct Owed {
    message: MessageId,
    since: Instant,
}

struct Waits {
    room: RoomHandle,
    envelope: Envelope,
    from: Option<ConnectionId>,
    refusal: Option<Reject>,
    since: Instant,
    /// Taken when its turn comes.
    beside: Option<Beside>,
    answers: Arc<Answers>,
}

/// Who is to hear of a message's fate, and on which connection they sent it.
type Sender = (Option<ConnectionId>, Answer);

/// Everyone who sent this message and is to hear of it; nobody any more once they were told.
#[derive(Default)]
struct Answers(Mutex<Option<Vec<Sender>>>);

impl Answers {
    fn of(from: Option<ConnectionId>, answer: Answer) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(vec![(from, answer)]))))
    }

    /// Tells one more; the answer comes back if the others were told already.
    fn join(&self, from: Option<ConnectionId>, answer: Answer) -> Result<(), Answer> {
        match &mut *self.0.lock() {
            Some(all) => all.push((from, answer)),
            None => return Err(answer),
        }
        Ok(())
    }

    fn senders(&self) -> Vec<ConnectionId> {
        let all = self.0.lock();
        all.iter().flatten().filter_map(|(from, _)| *from).collect()
    }

    fn tell(&self, fate: &Result<Acked, Reject>) {
        // Answers write to sockets: not under the lock.
        let all = self.0.lock().take();
        for (_, answer) in all.into_iter().flatten() {
            answer(fate.clone());
        }
    }
}

impl Waits {
    /// What is done with it when its turn comes; it stays in the lane meanwhile, so that others can join it.
    fn take_turn(&mut self) -> (RoomHandle, Envelope, Asked) {
        let Self { from, since, .. } = *self;
        let (refusal, beside) = (self.refusal.take(), self.beside.take());
        let asked = Asked { from, refusal, since, beside };
        (self.room.clone(), self.envelope.clone(), asked)
    }
}

impl State {
    /// Whether a message has to wait until another came again.
    fn owes(&mut self, waits: &Waits, now: Instant) -> bool {
        let Some(from) = waits.from else { return false };
        let key = (waits.envelope.conversation(), from);
        let Some(owed) = self.owed.get(&key) else { return false };
        let over = now.saturating_duration_since(owed.since) > OWED_MAX;
        if over || owed.message == waits.envelope.message() {
            self.owed.remove(&key);
            return false;
        }
        true
    }

    fn owe(&mut self, from: ConnectionId, refused: &Waits, now: Instant) {
        let key = (refused.envelope.conversation(), from);
        let owed = Owed { message: refused.envelope.message(), since: now };
        self.owed.entry(key).or_insert(owed);
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
            self.owed.retain(|_, owed| owed.message != first.envelope.message());
            return vec![first];
        };
        let author = first.envelope.author();
        let mut all = vec![first];
        if reject.code.retryable() {
            let (with_it, others) = std::mem::take(lane)
                .into_iter()
                .partition::<Vec<_>, _>(|waits| is_his(waits, author));
            *lane = others.into();
            all.extend(with_it);
            for waits in &all {
                for from in waits.answers.senders() {
                    self.owe(from, waits, now);
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

fn is_his(waits: &Waits, author: Author) -> bool {
    waits.envelope.author() == author
}

fn again(code: RejectCode, words: &'static str) -> Reject {
    Reject::new(code, words).retry_after_ms(1_000)
}

impl Hub {
    /// A message waits for its turn to ask for a place; whoever sent it hears of its fate. Where the same message waits
    /// already, it is answered with that one.
    pub(super) fn wait_in_lane(
        self: &Arc<Self>,
        room: RoomHandle,
        envelope: Envelope,
        Asked { from, refusal, since, beside }: Asked,
        answer: Answer,
    ) -> Result<(), Reject> {
        let conversation = envelope.conversation();
        let now = self.clock.instant();
        let mut state = self.lanes.0.lock();
        let lane = state.waiting.get(&conversation);
        let same = |waits: &&Waits| waits.envelope.message() == envelope.message();
        let mut answer = answer;
        if let Some(first) = lane.into_iter().flatten().find(same) {
            if !first.envelope.says_the_same(&envelope) {
                return Err(conflict());
            }
            // With something to be stored beside it, it is looked at in its own turn: then the room knows it.
            if beside.is_none() {
                match first.answers.join(from, answer) {
                    Ok(()) => return Ok(()),
                    // Its fate was told a moment ago: the room answers for this one, in turn.
                    Err(back) => answer = back,
                }
            }
        }
        let full = lane.is_some_and(|lane| lane.len() >= WAITING_MAX);
        let answers = Answers::of(from, answer);
        let waits = Waits { room, envelope, from, refusal, since, beside, answers };
        if state.owes(&waits, now) {
            let words = "an earlier message has to come again before this one; try again";
            return Err(again(RejectCode::StoreUnavailable, words));
        }
        if full {
            if let Some(from) = from {
                state.owe(from, &waits, now);
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
        loop {
            let first = {
                let mut state = self.lanes.0.lock();
                match state.waiting.get_mut(&conversation).and_then(VecDeque::front_mut) {
                    Some(first) => first.take_turn(),
                    None => {
                        state.waiting.remove(&conversation);
                        return;
                    }
                }
            };
            let (room, envelope, asked) = first;
            let fate = self.place_and_store(&room, &envelope, &asked).await;
            let now = self.clock.instant();
            let told = self.lanes.0.lock().leave(conversation, fate.as_ref().err(), now);
            cork::corked(|| told.iter().for_each(|waits| waits.answers.tell(&fate)));
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
        state.owed.retain(|_, owed| now.saturating_duration_since(owed.since) <= OWED_MAX);
    }
}

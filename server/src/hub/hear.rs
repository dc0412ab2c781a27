//! Several nodes: a place by the bus, what the others say, and what was missed of it.
//!
//! A message waits here between the question for its place and the moment at which the bus tells it to
//! every node, this one as well: delivery follows the bus's order. What the bus may lose, the store has.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use protocol::ids::{ConversationId, MessageId, TenantId};
use protocol::message::Seq;
use protocol::reject::{Reject, RejectCode};
use tokio::sync::{mpsc, oneshot, watch};

use super::Hub;
use super::fanout::{Outlets, deliver};
use super::shard::RoomHandle;
use super::speak::{Delivered, Going};
use crate::bus::{BusError, Heard, Notice};
use crate::privacy::envelope::{Envelope, Placed};
use crate::recent::Recent;
use crate::room::Hearing;

/// A place that was given and is not heard of for so long was lost on the way: it is delivered here.
const HEAR_MAX: Duration = Duration::from_secs(1);

/// Messages whose last try got no place, and of which a place may be heard all the same.
const LOST_MAX: usize = 2_048;

/// Looks into the store for what was missed, one each turn: another node's write may be on its way.
const LOOKS_MAX: u8 = 10;

/// Messages that are read at once for what was missed.
const MENDED_MAX: u16 = 500;

type Key = (ConversationId, MessageId);

/// What waits for the bus, what it said too early, and what is to be looked up.
pub(super) struct Waiting {
    asked: Mutex<HashMap<Key, Asking>>,
    lost: Mutex<Recent<Key, ()>>,
    /// Conversations that are being read from the store: what is heard of them waits.
    early: Mutex<HashMap<ConversationId, Vec<Notice>>>,
    missed: Mutex<Vec<Missed>>,
    /// The last place of this node's own was given and not heard of.
    deaf: AtomicBool,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            asked: Mutex::default(),
            lost: Mutex::new(Recent::new(LOST_MAX)),
            early: Mutex::default(),
            missed: Mutex::default(),
            deaf: AtomicBool::new(false),
        }
    }
}

/// A message for which a place was asked.
struct Asking {
    going: Going,
    /// Nothing: it is delivered. The message: it needs another place.
    heard: oneshot::Sender<Option<Going>>,
}

/// Places of a conversation that this node did not hear of.
struct Missed {
    tenant: TenantId,
    conversation: ConversationId,
    after: Seq,
    /// The newest one that was missed, where that is known.
    until: Option<Seq>,
    looks: u8,
}

/// A conversation that is followed while it is read; dropped unkept, it is followed no more.
pub(super) struct Following<'h> {
    hub: &'h Hub,
    conversation: ConversationId,
    kept: bool,
}

impl Following<'_> {
    /// The room lives now: it hears what was said meanwhile.
    pub(super) fn keep(mut self) {
        self.kept = true;
        self.hub.hear_early(self.conversation);
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.hub.hearing.early.lock().remove(&self.conversation);
            self.hub.bus.unfollow(self.conversation);
        }
    }
}

impl Hub {
    /// Follows a conversation that is about to be read.
    pub(super) async fn follow(&self, conversation: ConversationId) -> Following<'_> {
        self.hearing.early.lock().insert(conversation, Vec::new());
        let following = Following { hub: self, conversation, kept: false };
        self.bus.follow(conversation).await;
        following
    }

    /// Asks for a place. Nothing: it was delivered. The message again: its place was taken, ask anew. The lanes see to it
    /// that there is one question for a message.
    pub(super) async fn ask_bus(
        self: &Arc<Self>,
        going: Going,
        envelope: &Envelope,
        floor: Seq,
    ) -> Result<Option<Going>, Reject> {
        let key = (envelope.conversation(), envelope.message());
        let (heard, told) = oneshot::channel();
        self.hearing.asked.lock().insert(key, Asking { going, heard });
        let given = self.bus.place(envelope, floor).await;
        // After a try that failed its place may still be heard of: only the place that is given now counts.
        let again = self.hearing.lost.lock().get(&key).is_some();
        // While nothing is heard nobody waits for it: what follows in this conversation would wait as well.
        let hears = given.is_ok() && !again && !self.hearing.deaf.load(Ordering::Relaxed);
        let wait = if hears { HEAR_MAX } else { Duration::ZERO };
        if let Ok(Ok(settled)) = tokio::time::timeout(wait, told).await {
            return Ok(settled);
        }
        self.hearing.deaf.fetch_or(hears, Ordering::Relaxed);
        let Some(Asking { going, .. }) = self.hearing.asked.lock().remove(&key) else {
            return Ok(None);
        };
        match given {
            Ok(seq) => {
                self.hearing.lost.lock().remove(&key);
                Ok(self.take_place(going, Arc::new(envelope.clone().place(seq))))
            }
            Err(BusError) => {
                self.hearing.lost.lock().insert(key, ());
                going.room.with(|live| live.answered()).unwrap_or_default();
                let words = "the bus between the servers is away; try again";
                Err(Reject::new(RejectCode::StoreUnavailable, words).retry_after_ms(1_000))
            }
        }
    }

    /// A message of this node has its place: it is delivered and stored, unless the place is taken.
    fn take_place(self: &Arc<Self>, going: Going, placed: Arc<Placed>) -> Option<Going> {
        let delivered = going.room.with(|live| {
            live.answered();
            let first_answer_ms = live.first_answer_ms(placed.envelope());
            let Hearing::Newest { after } = live.hear(&placed, true) else { return None };
            let (hearers, to) = deliver(live, &placed, going.from, self.today());
            Some((Delivered { hearers, to, first_answer_ms }, after))
        });
        let Ok(Some((delivered, after))) = delivered else { return Some(going) };
        self.note_gap(&placed, after);
        self.placed(going, placed, &delivered);
        None
    }

    /// Runs until the bus or the server ends.
    pub async fn listen(
        self: Arc<Self>,
        mut heard: mpsc::Receiver<Heard>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        loop {
            let next = tokio::select! {
                next = heard.recv() => next,
                _ = shutdown.wait_for(|down| *down) => None,
            };
            match next {
                None => return,
                Some(Heard::Missed) => self.note_all_missed(),
                Some(Heard::Notice { notice, own }) => self.hear(notice, own),
            }
        }
    }

    fn hear(self: &Arc<Self>, notice: Notice, own: bool) {
        if own && let Notice::Placed(placed) = &notice {
            self.hear_own(placed);
            return;
        }
        if let Some(early) = self.hearing.early.lock().get_mut(&notice.conversation()) {
            early.push(notice);
            return;
        }
        self.hear_foreign(&notice);
    }

    /// What was said while the conversation was read, in order, before anything newer.
    fn hear_early(&self, conversation: ConversationId) {
        loop {
            let early = {
                let mut all = self.hearing.early.lock();
                match all.get_mut(&conversation) {
                    Some(early) if !early.is_empty() => std::mem::take(early),
                    _ => {
                        all.remove(&conversation);
                        return;
                    }
                }
            };
            for notice in early {
                self.hear_foreign(&notice);
            }
        }
    }

    fn hear_own(self: &Arc<Self>, placed: &Arc<Placed>) {
        self.hearing.deaf.store(false, Ordering::Relaxed);
        let envelope = placed.envelope();
        let key = (envelope.conversation(), envelope.message());
        let asking = {
            let mut asked = self.hearing.asked.lock();
            // This may be the place of the try that failed: the one at hand has another, and the others move it there.
            if asked.contains_key(&key) && self.hearing.lost.lock().get(&key).is_some() {
                return;
            }
            asked.remove(&key)
        };
        if let Some(Asking { going, heard }) = asking {
            let again = self.take_place(going, Arc::clone(placed));
            // Whoever asked may be gone: then only the author resends.
            let _gone = heard.send(again);
            return;
        }
        let is_here = self
            .rooms
            .live(envelope.conversation())
            .and_then(|room| room.with(|live| live.find(envelope.message()).is_some()).ok());
        if is_here != Some(true) {
            // Its author was told that it has no place; the other nodes show it.
            self.bus.announce(Notice::Void {
                tenant: envelope.tenant(),
                conversation: envelope.conversation(),
                seq: placed.seq(),
                message: envelope.message(),
            });
        }
    }

    /// Another node's.
    fn hear_foreign(&self, notice: &Notice) {
        let Some(room) = self.rooms.live(notice.conversation()) else { return };
        if room.with(|live| live.tenant()) != Ok(notice.tenant()) {
            return;
        }
        match notice {
            Notice::Placed(placed) => self.hear_placed(&room, placed),
            Notice::Void { seq, message, .. } => {
                let known = room.with(|live| live.find(*message).cloned());
                if let Ok(Some(placed)) = known
                    && placed.seq() == *seq
                {
                    Self::show_void(&room, &placed);
                }
            }
            Notice::Typing { conversation, author, typing, .. } => {
                Self::show_typing(&room, *conversation, *author, *typing);
            }
            Notice::Mark { author, delivered, seen, .. } => {
                Self::show_mark(&room, (*author, *delivered, *seen), None);
            }
        }
    }

    fn hear_placed(&self, room: &RoomHandle, placed: &Arc<Placed>) {
        let heard = room.with(|live| {
            let hearing = live.hear(placed, false);
            let hearers = match hearing {
                Hearing::Newest { .. } => deliver(live, placed, None, self.today()).0,
                Hearing::Known | Hearing::Behind => Outlets::new(),
            };
            (hearing, hearers)
        });
        let Ok((hearing, hearers)) = heard else { return };
        for outlet in hearers {
            outlet.flush();
        }
        match hearing {
            Hearing::Newest { after } => self.note_gap(placed, after),
            Hearing::Known => {}
            Hearing::Behind => {
                let before = Seq(placed.seq().0.saturating_sub(1));
                self.note_missed(placed.envelope(), before, Some(placed.seq()));
            }
        }
    }

    /// Between the place before and this one something may be missing.
    fn note_gap(&self, placed: &Placed, after: Seq) {
        if after.next() < placed.seq() {
            let until = Seq(placed.seq().0.saturating_sub(1));
            self.note_missed(placed.envelope(), after, Some(until));
        }
    }

    pub(super) fn note_missed(&self, envelope: &Envelope, after: Seq, until: Option<Seq>) {
        let (tenant, conversation) = (envelope.tenant(), envelope.conversation());
        let missed = Missed { tenant, conversation, after, until, looks: 0 };
        self.hearing.missed.lock().push(missed);
    }

    /// The bus was away: every room looks.
    fn note_all_missed(&self) {
        let rooms = self.rooms.all();
        let missed = rooms.iter().filter_map(|room| {
            room.with(|live| Missed {
                tenant: live.tenant(),
                conversation: live.conversation(),
                after: live.tail_after(),
                until: None,
                looks: 0,
            })
            .ok()
        });
        self.hearing.missed.lock().extend(missed);
    }

    /// Reads what was missed; what is not there yet is looked for again at the next turn.
    pub(super) async fn mend_rooms(&self) {
        let all = std::mem::take(&mut *self.hearing.missed.lock());
        for mut missed in all {
            let whole = self.mend(&missed).await;
            missed.looks += 1;
            if !whole && missed.looks < LOOKS_MAX {
                self.hearing.missed.lock().push(missed);
            }
        }
    }

    /// Whether all that is looked for was there.
    async fn mend(&self, missed: &Missed) -> bool {
        let Some(room) = self.rooms.live(missed.conversation) else { return true };
        let before = missed.until.map(|until| until.next());
        let read = self
            .store
            .messages(missed.tenant, missed.conversation, missed.after, before, MENDED_MAX)
            .await;
        let Ok(stored) = read else { return false };
        let told = room.with(|live| {
            let mut told = Vec::new();
            for placed in &stored {
                if live.mend(placed) {
                    told.extend(deliver(live, placed, None, self.today()).0);
                }
            }
            told
        });
        for outlet in told.unwrap_or_default() {
            outlet.flush();
        }
        let wanted = missed.until.map(|until| until.0.saturating_sub(missed.after.0));
        wanted.is_some_and(|wanted| u64::try_from(stored.len()).is_ok_and(|len| len >= wanted))
    }
}

#[cfg(test)]
mod tests;

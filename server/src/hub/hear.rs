//! Several nodes: a number by the bus, what the others say, and what was missed of it.
//!
//! A message waits here between the question for its number and the moment at which the bus tells it to every node, this
//! one as well: delivery follows the bus's order. What the bus may lose, the store has.
//! Lives here: carrying out what the sequencer decides about what is heard. Not here: its rules (`sequencer::hearing`).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::ids::ConversationId;
use protocol::message::Seq;
use tokio::sync::{mpsc, oneshot, watch};

use super::Hub;
use super::fanout::{Outlets, deliver};
use super::shard::{LiveRoom, RoomHandle};
use super::speak::{Next, PendingWrite, fan_out};
use crate::bus::{Heard, Notice};
use crate::privacy::envelope::{Envelope, Placed};
use crate::sequencer::{Command, Gap, Hearing, Input, Missed, OwnNotice, Refusal, Submission};

/// Messages that are read at once for what was missed.
const FILLED_MAX: u16 = 500;

/// What waits for the bus, what it said too early, and what is to be looked up.
#[derive(Default)]
pub(super) struct Waiting {
    hearing: Mutex<Hearing<Asking>>,
    /// Conversations that are being read from the store: what is heard of them waits.
    early: Mutex<HashMap<ConversationId, Vec<Notice>>>,
}

/// A message for which a number was asked.
struct Asking {
    pending: PendingWrite,
    submission: Submission,
    /// Nothing: it is published. Otherwise what is to be done next.
    heard: oneshot::Sender<Option<(PendingWrite, Next)>>,
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
            self.hub.waiting.early.lock().remove(&self.conversation);
            self.hub.bus.unfollow(self.conversation);
        }
    }
}

impl Hub {
    /// Follows a conversation that is about to be read.
    pub(super) async fn follow(&self, conversation: ConversationId) -> Following<'_> {
        self.waiting.early.lock().insert(conversation, Vec::new());
        let following = Following { hub: self, conversation, kept: false };
        self.bus.follow(conversation).await;
        following
    }

    /// Asks the bus for a number. Nothing: it is published. Otherwise what is to be done next.
    pub(super) async fn ask_bus(
        self: &Arc<Self>,
        pending: PendingWrite,
        submission: Submission,
        floor: Seq,
    ) -> Option<(PendingWrite, Next)> {
        let envelope = submission.envelope().clone();
        let key = (envelope.conversation(), envelope.message());
        let (heard, told) = oneshot::channel();
        self.waiting.hearing.lock().ask(key, Asking { pending, submission, heard });
        let given = self.bus.place(&envelope, floor).await;
        let wait = self.waiting.hearing.lock().answered(key, given.is_ok());
        if let Ok(Ok(settled)) = tokio::time::timeout(wait, told).await {
            return settled;
        }
        let asking = self.waiting.hearing.lock().unheard(key, wait, given.is_ok());
        let Asking { pending, submission, .. } = asking?;
        let input = match given {
            Ok(seq) => Input::Told(submission, Arc::new(envelope.place(seq))),
            Err(_) => Input::BusAway(submission),
        };
        self.take_number(pending, input)
    }

    /// The bus answered for a message of this node: it is published and stored, unless its number is another's by now.
    fn take_number(
        self: &Arc<Self>,
        pending: PendingWrite,
        input: Input,
    ) -> Option<(PendingWrite, Next)> {
        let (from, today) = (pending.from, self.today());
        let told =
            pending.room.handle(input, |live, command| fan_out(live, command, (from, today)));
        match told {
            Ok(Next::Published(published)) => {
                self.published(pending, published);
                None
            }
            Ok(next) => Some((pending, next)),
            // The room was dropped: whoever asked looks it up again.
            Err(input) => {
                let away = matches!(input, Input::BusAway(_));
                let again = input.into_submission().filter(|_| !away);
                let refused = Command::Refuse(Refusal::BusAway);
                Some((pending, again.map_or(Next::Do(refused), Next::Again)))
            }
        }
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
        if let Some(early) = self.waiting.early.lock().get_mut(&notice.conversation()) {
            early.push(notice);
            return;
        }
        self.hear_foreign(&notice);
    }

    /// What was said while the conversation was read, in order, before anything newer.
    fn hear_early(&self, conversation: ConversationId) {
        loop {
            let early = {
                let mut all = self.waiting.early.lock();
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
        let own = self.waiting.hearing.lock().own(placed);
        match own {
            OwnNotice::Stale => {}
            OwnNotice::Awaited(Asking { pending, submission, heard }) => {
                let next = self.take_number(pending, Input::Told(submission, Arc::clone(placed)));
                // Whoever asked may be gone: then only the author resends.
                let _gone = heard.send(next);
            }
            OwnNotice::Unawaited => self.void_unawaited(placed),
        }
    }

    /// A number that nobody here waits for: unless the message is here, its author was told that it has none, and the other
    /// nodes show it.
    fn void_unawaited(&self, placed: &Placed) {
        let envelope = placed.envelope();
        let is_here = |live: &mut LiveRoom| live.sequencer().find(envelope.message()).is_some();
        let room = self.rooms.live(envelope.conversation());
        if room.and_then(|room| room.with(is_here).ok()) == Some(true) {
            return;
        }
        self.bus.announce(Notice::Void {
            tenant: envelope.tenant(),
            conversation: envelope.conversation(),
            seq: placed.seq(),
            message: envelope.message(),
        });
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
                Self::take_off(&room, Input::HeardVoid(*seq, *message));
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
        let heard = room.handle(Input::Heard(Arc::clone(placed)), |live, command| {
            if let Command::Show { placed, gap } = command {
                return (deliver(live, &placed, None, self.today()).0, gap);
            }
            let gap = if let Command::Fill(gap) = command { Some(gap) } else { None };
            (Outlets::new(), gap)
        });
        let Ok((hearers, gap)) = heard else { return };
        for outlet in hearers {
            outlet.flush();
        }
        if let Some(gap) = gap {
            self.note_missed(placed.envelope(), gap);
        }
    }

    pub(super) fn note_missed(&self, envelope: &Envelope, gap: Gap) {
        let (tenant, conversation) = (envelope.tenant(), envelope.conversation());
        self.waiting.hearing.lock().missed(tenant, conversation, gap);
    }

    /// The bus was away: every room looks.
    fn note_all_missed(&self) {
        for room in self.rooms.all() {
            let of = room.with(|live| {
                let gap = Gap { after: live.sequencer().tail_after(), until: None };
                (live.tenant(), live.conversation(), gap)
            });
            if let Ok((tenant, conversation, gap)) = of {
                self.waiting.hearing.lock().missed(tenant, conversation, gap);
            }
        }
    }

    /// Reads what was missed; what is not there yet is looked for again at the next tick.
    pub(super) async fn fill_gaps(&self) {
        let all = self.waiting.hearing.lock().take_missed();
        for missed in all {
            if let Some(found) = self.fill(&missed).await {
                self.waiting.hearing.lock().looked(missed, found);
            }
        }
    }

    /// How many of the missing messages were there; `None` where nobody needs them any more.
    async fn fill(&self, missed: &Missed) -> Option<usize> {
        let Missed { tenant, conversation, gap: Gap { after, until }, .. } = *missed;
        let room = self.rooms.live(conversation)?;
        let before = until.map(|until| until.next());
        let read = self.store.messages(tenant, conversation, after, before, FILLED_MAX).await;
        let Ok(stored) = read else { return Some(0) };
        let found = stored.len();
        let told = room.with(|live| {
            let mut told = Vec::new();
            for placed in stored {
                let command = live.sequencer_mut().handle(Input::Read(placed));
                if let Command::Show { placed, .. } = command {
                    told.extend(deliver(live, &placed, None, self.today()).0);
                }
            }
            told
        });
        for outlet in told.unwrap_or_default() {
            outlet.flush();
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests;

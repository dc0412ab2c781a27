//! One person's side of one conversation: what they said and wait for, what they heard, where they
//! would go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::conversation::ResumePoint;
use protocol::frame::{ClientFrame, RequestId};
use protocol::ids::{ConversationId, MessageId};
use protocol::message::{Body, EventKind, Message, Seq};
use protocol::personal::Text;
use protocol::reject::RejectCode;
use protocol::time::UnixMillis;
use uuid::Uuid;

use crate::clock::{Micros, micros};
use crate::judge::figure::{Count, Timing};
use crate::judge::ledger::{Findings, Recipient, SentTally, Way};
use crate::people::caller::encoded;
use crate::people::stamp::Stamp;
use crate::people::world::World;

/// A message that is not answered yet.
#[derive(Debug, Clone)]
struct Pending {
    message: MessageId,
    number: u32,
    seen_seq: Seq,
    text: String,
    due: Micros,
    sent: Micros,
    chars: usize,
    last: bool,
}

/// As the widget does where a refusal does not say when to try again.
const RETRY: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) conversation: ConversationId,
    pub(crate) me: u32,
    next: u32,
    refused: Vec<u32>,
    /// By request: in the order of sending.
    pending: BTreeMap<u32, Pending>,
    /// Put off by the server, each until this moment.
    put_off: Vec<(Micros, Pending)>,
    hearing: Recipient,
    /// Since when they hear: what was due before is old to them, however it comes.
    since: Micros,
    seen: Seq,
    last: Option<(MessageId, UnixMillis)>,
    position: Option<u32>,
    /// The event message of the end came.
    ended: bool,
}

impl Talk {
    pub(crate) fn new(world: &World, conversation: ConversationId) -> Self {
        Self {
            conversation,
            me: world.speaker(),
            next: 0,
            refused: Vec::new(),
            pending: BTreeMap::new(),
            put_off: Vec::new(),
            hearing: Recipient::new(world.plan.run),
            since: world.clock.now(),
            seen: Seq(0),
            last: None,
            position: None,
            ended: false,
        }
    }

    /// Whether all came that was said before the conversation was closed. Its new state says less:
    /// on a bus it may overtake the last words, which wait for their sequence numbers. The event
    /// message of the end stands behind them.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn nothing_pending(&self) -> bool {
        self.pending.is_empty() && self.put_off.is_empty()
    }

    /// When the first that was put off is to be said again.
    pub(crate) fn again_at(&self) -> Option<Micros> {
        self.put_off.iter().map(|(at, _)| *at).min()
    }

    /// The newest place that is known.
    pub(crate) fn seen(&self) -> Seq {
        self.seen
    }

    /// A new message, ready to be sent.
    pub(crate) fn say(
        &mut self,
        world: &World,
        request: RequestId,
        due: Micros,
        chars: usize,
        last: bool,
    ) -> Bytes {
        world.sends(due, chars);
        self.stamped(world, request, due, chars, last)
    }

    fn stamped(
        &mut self,
        world: &World,
        request: RequestId,
        due: Micros,
        chars: usize,
        last: bool,
    ) -> Bytes {
        let sent = world.clock.now();
        let late = u32::try_from(micros(sent.since(due))).unwrap_or(u32::MAX);
        let number = self.next;
        self.next += 1;
        let stamp = Stamp {
            run: world.plan.run,
            sender: self.me,
            number,
            intended_us: due.0,
            late_us: late,
            last,
        };
        let message = MessageId::from_uuid(Uuid::now_v7());
        let (text, seen_seq) = (stamp.text(chars), self.seen);
        let pending = Pending { message, number, seen_seq, text, due, sent, chars, last };
        let bytes = self.frame(request, &pending);
        self.pending.insert(request.0, pending);
        bytes
    }

    fn frame(&self, request: RequestId, pending: &Pending) -> Bytes {
        encoded(&ClientFrame::Send {
            request,
            conversation: self.conversation,
            message: pending.message,
            seen_seq: pending.seen_seq,
            body: Body::Text(Text::new(pending.text.as_str())),
            visibility: None,
        })
    }

    /// What was never answered, again and in its order, under new requests.
    pub(crate) fn again(
        &mut self,
        world: &World,
        mut request: impl FnMut() -> RequestId,
    ) -> Vec<Bytes> {
        let pending = std::mem::take(&mut self.pending);
        let mut frames = Vec::with_capacity(pending.len());
        for pending in pending.into_values() {
            let request = request();
            frames.push(self.frame(request, &pending));
            self.pending.insert(request.0, pending);
            world.count(Count::Resent);
        }
        frames
    }

    /// A message was acked. False: it was another question.
    pub(crate) fn acked(
        &mut self,
        world: &World,
        request: RequestId,
        seq: Option<Seq>,
        at: Option<UnixMillis>,
    ) -> bool {
        let Some(pending) = self.pending.remove(&request.0) else { return false };
        let now = world.clock.now();
        world.answered();
        {
            let mut recorder = world.recorder.lock();
            recorder.acked(pending.due, now);
            recorder.record(Timing::AckService, pending.due, now.since(pending.sent));
        }
        if let (Some(seq), Some(at)) = (seq, at) {
            self.reached(seq, pending.message, at);
        }
        true
    }

    /// A message was refused, for good or for a while. False: it was another question.
    pub(crate) fn refused(
        &mut self,
        world: &World,
        request: RequestId,
        code: RejectCode,
        retry_after_ms: Option<u32>,
    ) -> bool {
        let Some(pending) = self.pending.remove(&request.0) else { return false };
        if code.retryable() {
            let wait = retry_after_ms.map_or(RETRY, |ms| Duration::from_millis(ms.into()));
            self.put_off.push((world.clock.now().plus(wait), pending));
            world.count(Count::PutOff);
            return true;
        }
        world.answered();
        world.count_at(Count::Refused, pending.due);
        self.refused.push(pending.number);
        true
    }

    /// Says again what was put off until now.
    ///
    /// Under a new number: what they sent behind it was on its way and may have its place already,
    /// so that the old number would come out of order by the wish of nobody. Its time still counts
    /// from when it was due.
    pub(crate) fn again_now(
        &mut self,
        world: &World,
        mut request: impl FnMut() -> RequestId,
    ) -> Vec<Bytes> {
        let now = world.clock.now();
        let due: Vec<_> = self.put_off.extract_if(.., |(at, _)| *at <= now).collect();
        let again = due.into_iter().map(|(_, pending)| {
            self.refused.push(pending.number);
            world.count(Count::Resent);
            self.stamped(world, request(), pending.due, pending.chars, pending.last)
        });
        again.collect()
    }

    fn reached(&mut self, seq: Seq, message: MessageId, at: UnixMillis) {
        if seq >= self.seen {
            self.seen = seq;
            self.last = Some((message, at));
        }
    }

    /// Something was said; gives its stamp where it is another's news.
    pub(crate) fn heard(
        &mut self,
        world: &World,
        message: &Message<'_>,
        way: Way,
    ) -> Option<Stamp> {
        let now = world.clock.now();
        let stamp = match &message.body {
            Body::Text(text) => {
                let own = Stamp::read(text.expose()).is_ok_and(|stamp| stamp.sender == self.me);
                if own { None } else { self.take(world, text.expose(), message.seq.0, way) }
            }
            Body::Event { event, .. } => {
                self.ended |= matches!(event, EventKind::Closed | EventKind::Abandoned);
                None
            }
        };
        if stamp.is_none() {
            self.hearing.passed(message.seq.0);
        }
        self.reached(message.seq, message.message, message.at);
        let stamp = stamp?;
        let due = Micros(stamp.intended_us);
        let mut recorder = world.recorder.lock();
        let took = now.since(due);
        recorder.count(Count::Delivered, due);
        // What was missed came late for them, whatever was the cause; left out, the worst times
        // would be in no figure.
        let missed = matches!(way, Way::Resumed | Way::Replaced) && due >= self.since;
        if way == Way::Pushed || missed {
            recorder.record(Timing::Delivery, due, took);
        }
        // The server had nobody to bring a missed one to: how long it took says nothing of its
        // work.
        if way == Way::Pushed {
            let late = Duration::from_micros(u64::from(stamp.late_us));
            let service = took.saturating_sub(late);
            recorder.record(Timing::DeliveryService, due, service);
        }
        Some(stamp)
    }

    fn take(&mut self, world: &World, text: &str, seq: u64, way: Way) -> Option<Stamp> {
        let before = self.hearing.found;
        let stamp = self.hearing.take(text, seq, way);
        let found = self.hearing.found.wrong_since(&before);
        if found != Findings::default() {
            world.recorder.lock().wrong(&found);
        }
        stamp
    }

    /// A page of what was said; gives the stamps of what is another's news.
    pub(crate) fn page(&mut self, world: &World, messages: &[Message<'_>], way: Way) -> Vec<Stamp> {
        self.hearing.page(messages.iter().map(|message| message.seq.0));
        messages.iter().filter_map(|message| self.heard(world, message, way)).collect()
    }

    /// A frame that is none.
    pub(crate) fn garbled(&mut self, world: &World) {
        self.hearing.found.corrupt += 1;
        world.recorder.lock().wrong(&Findings { corrupt: 1, ..Findings::default() });
    }

    pub(crate) fn void(&mut self, seq: Seq) {
        self.hearing.void(seq.0);
    }

    /// A place in the queue; it never goes back.
    pub(crate) fn queued(&mut self, world: &World, position: u32) {
        if self.position.is_some_and(|former| position > former) {
            world.count(Count::PositionGrew);
        }
        self.position = Some(position);
    }

    /// A new wait begins.
    pub(crate) fn assigned(&mut self) {
        self.position = None;
    }

    pub(crate) fn resume_point(&self) -> ResumePoint {
        ResumePoint {
            conversation: self.conversation,
            seq: self.last.map_or(Seq(0), |_| self.seen),
            message: self.last.map(|(message, _)| message),
            at: self.last.map(|(_, at)| at),
        }
    }

    /// Hands in what was said and heard. `judged`: whether they were to hear everything.
    pub(crate) fn hand_in(self, world: &Arc<World>, judged: bool) {
        let put_off = self.put_off.iter().map(|(_, pending)| pending);
        let unacked = self.pending.values().chain(put_off).map(|pending| pending.number);
        let unacked: Vec<u32> = unacked.collect();
        for _ in &unacked {
            world.answered();
        }
        let heard = self.hearing.tally(self.conversation, Some(self.me), judged);
        let said = SentTally {
            conversation: self.conversation,
            sender: self.me,
            used: self.next,
            refused: self.refused,
            unacked,
        };
        let mut ledger = world.ledger.lock();
        ledger.said(said);
        ledger.heard(heard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::world::tests::{over, world};

    fn talk(world: &World) -> Talk {
        Talk::new(world, ConversationId::from_bytes([1; 16]))
    }

    fn request(number: u32) -> RequestId {
        RequestId(number)
    }

    /// What is found once they have handed in; the numbers in `came` reached the one who hears.
    fn found(world: &Arc<World>, talk: Talk, came: &[u32]) -> Findings {
        let (conversation, me) = (talk.conversation, talk.me);
        talk.hand_in(world, true);
        let mut hearing = Recipient::new(1);
        for (number, seq) in came.iter().zip(1..) {
            let stamp = Stamp { run: 1, sender: me, number: *number, ..Stamp::default() };
            hearing.take(&stamp.text(100), seq, Way::Pushed);
        }
        let mut ledger = world.ledger.lock();
        ledger.heard(hearing.tally(conversation, None, true));
        ledger.judge().0
    }

    /// A message of somebody else that was due at this moment.
    fn another(number: u32, due: Micros) -> String {
        let intended_us = due.0;
        Stamp { run: 1, sender: 900, number, intended_us, ..Stamp::default() }.text(100)
    }

    fn message(text: &str, seq: u64) -> Message<'_> {
        Message {
            seq: Seq(seq),
            message: MessageId::from_uuid(Uuid::now_v7()),
            author: protocol::message::Author::System,
            at: UnixMillis(0),
            body: Body::Text(Text::new(text)),
            expires: None,
            visibility: protocol::message::Visibility::Everyone,
        }
    }

    /// How many deliveries are timed once this came in this way, from the moment it was due and
    /// from the sending.
    fn timed(world: &World, talk: &mut Talk, text: &str, seq: u64, way: Way) -> [u64; 2] {
        assert!(talk.heard(world, &message(text, seq), way).is_some());
        let tally = world.recorder.lock().take_before();
        assert_eq!(tally.of(Count::Delivered), 1);
        [Timing::Delivery, Timing::DeliveryService]
            .map(|timing| tally.time(timing).map_or(0, crate::judge::histogram::Times::count))
    }

    #[test]
    fn what_comes_after_a_resume_is_timed_from_when_it_was_due_and_old_history_is_not() {
        let world = world("");
        let before = Micros(world.clock.now().0 - 1_000);
        let mut talk = talk(&world);
        let now = world.clock.now();
        let mut timed =
            |number, due, way| timed(&world, &mut talk, &another(number, due), number.into(), way);
        assert_eq!(timed(1, before, Way::Entered), [0, 0]);
        assert_eq!(timed(2, now, Way::Pushed), [1, 1]);
        assert_eq!(timed(3, now, Way::Resumed), [1, 0]);
        assert_eq!(timed(4, now, Way::Replaced), [1, 0]);
        // A page that replaces everything may reach back to before they came.
        assert_eq!(timed(5, before, Way::Replaced), [0, 0]);
    }

    #[test]
    fn a_page_whose_numbers_fall_is_out_of_order_whoever_spoke_in_it() {
        let world = world("");
        let mut talk = talk(&world);
        let own = Stamp { run: 1, sender: talk.me, ..Stamp::default() }.text(100);
        let texts = [another(0, Micros(1)), own, another(1, Micros(1))];
        let at = |places: [u64; 3]| -> Vec<Message<'_>> {
            texts.iter().zip(places).map(|(text, seq)| message(text, seq)).collect()
        };
        assert_eq!(talk.page(&world, &at([1, 2, 3]), Way::Resumed).len(), 2);
        assert_eq!(talk.hearing.found.reordered, 0);
        talk.page(&world, &at([3, 2, 1]), Way::Replaced);
        assert_eq!(talk.hearing.found.reordered, 2);
    }

    #[test]
    fn what_the_server_puts_off_is_said_again_in_its_time_and_accounted_for_once() {
        let world = world("");
        let mut talk = talk(&world);
        let due = world.clock.now();
        talk.say(&world, request(1), due, 100, false);
        talk.say(&world, request(2), due, 100, false);
        assert!(talk.refused(&world, request(1), RejectCode::TooFast, Some(60_000)));
        talk.acked(&world, request(2), None, None);
        assert!(!talk.nothing_pending() && !world.drained());
        assert!(talk.again_now(&world, || request(3)).is_empty(), "it is not time yet");
        talk.put_off[0].0 = world.clock.now();
        assert_eq!(talk.again_now(&world, || request(3)).len(), 1);
        talk.acked(&world, request(3), None, None);
        assert!(talk.nothing_pending() && world.drained());
        let whole = world.recorder.lock().take_whole();
        let counts = [Count::Sent, Count::Acked, Count::PutOff, Count::Resent, Count::Refused];
        assert_eq!(counts.map(|count| whole.of(count)), [2, 2, 1, 1, 0]);
        let found = found(&world, talk, &[1, 2]);
        assert_eq!((found.received, found.lost, found.reordered, found.unacked), (2, 0, 0, 0));
    }

    #[test]
    fn what_is_put_off_until_the_end_is_unacked_and_what_is_refused_for_good_is_not() {
        let world = world("");
        let mut talk = talk(&world);
        talk.say(&world, request(1), Micros(1), 100, false);
        talk.say(&world, request(2), Micros(1), 100, false);
        talk.refused(&world, request(1), RejectCode::StoreUnavailable, None);
        let wait = talk.again_at().unwrap().since(world.clock.now());
        assert!((1_000..=2_000).contains(&wait.as_millis()), "{wait:?}");
        talk.refused(&world, request(2), RejectCode::Closed, None);
        assert!(!talk.refused(&world, request(9), RejectCode::TooFast, None));
        assert_eq!(over(&world, Count::Refused), 1);
        let found = found(&world, talk, &[]);
        assert_eq!((found.unacked, found.lost), (1, 0));
        assert!(world.drained());
    }

    #[test]
    fn a_place_in_the_queue_may_shrink_and_never_grows() {
        let world = world("");
        let mut talk = talk(&world);
        for place in [5, 5, 2] {
            talk.queued(&world, place);
        }
        assert_eq!(over(&world, Count::PositionGrew), 0);
        talk.queued(&world, 3);
        assert_eq!(over(&world, Count::PositionGrew), 1);
        // A new wait begins at its own place.
        talk.assigned();
        talk.queued(&world, 9);
        assert_eq!(over(&world, Count::PositionGrew), 0);
    }
}

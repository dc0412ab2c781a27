//! What the hub counts for those who run it: amounts and times, never who or what.
//!
//! Lives here: the sums that take more than one addition. Called by the hub's other files.

use std::sync::Arc;
use std::time::Duration;

use protocol::conversation::{Availability, ConversationState, Presence};
use protocol::frame::{RequestId, ServerFrame};
use protocol::message::{Author, Visibility};
use protocol::reject::Reject;
use protocol::time::UnixMillis;

use super::desk::{Desk, DeskState};
use super::fanout::{FrameSink, Recipients, tell};
use super::speaker::Actor;
use crate::metrics::{
    Assigned, Closed, Kind, Live, Metrics, OfferEnd, Opened, Resumed, Role, Wait,
};
use crate::privacy::envelope::{Content, Envelope};
use crate::routing::{Effect, Input, OffersEnded};
use crate::store::ConversationRow;

/// For whom an author speaks.
fn role(author: Author) -> Role {
    match author {
        Author::Visitor => Role::Visitor,
        Author::Agent(_) | Author::Bot => Role::Agent,
        Author::System => Role::System,
    }
}

fn kind(envelope: &Envelope) -> Kind {
    match (envelope.content(), envelope.visibility()) {
        (Content::Event { .. }, _) => Kind::Event,
        (Content::Text(_), Visibility::Agents) => Kind::Note,
        (Content::Text(_), Visibility::Everyone) => Kind::Text,
    }
}

/// Counts a message that has its sequence number and was written to everyone here who hears it,
/// which took so long from its frame.
pub fn sequenced(metrics: &Metrics, envelope: &Envelope, to: Recipients, took: Duration) {
    let kind = kind(envelope);
    metrics.messages_received_total.of(role(envelope.author()), kind).inc();
    let delivered = &metrics.messages_delivered_total;
    delivered.of(Role::Visitor, kind).add(u64::from(to.visitors));
    delivered.of(Role::Agent, kind).add(u64::from(to.agents));
    metrics.fanout_recipients.observe(usize::try_from(to.visitors + to.agents).unwrap_or(0));
    metrics.delivery_latency_seconds.observe(took);
    if let Content::Text(text) = envelope.content() {
        metrics.message_size_bytes.observe(text.expose().len());
    }
}

/// Counts a message that is on disk, so long after its sequence number.
pub fn stored(metrics: &Metrics, took: Duration) {
    metrics.transcript_lag_seconds.observe(took);
}

/// Counts a message whose author was told that it is on disk, so long after its frame.
pub fn acked(metrics: &Metrics, took: Duration) {
    metrics.ack_latency_seconds.observe(took);
}

/// A client came back to a conversation.
pub(super) fn resumed(metrics: &Metrics, reset: bool) {
    let how = if reset { Resumed::Reset } else { Resumed::Recovered };
    metrics.resumes_total.of(how).inc();
}

/// A message was looked for that had been acked.
pub(super) fn audited(metrics: &Metrics, missing: bool, now: UnixMillis) {
    metrics.integrity_checked_total.inc();
    metrics.integrity_missing_total.add(u64::from(missing));
    metrics.integrity_last_check_timestamp_seconds.set(signed(now.0 / 1_000));
}

/// How many live conversations there are in each state, how many agents, and how long is waited.
#[derive(Debug, Default)]
struct Sums {
    queued: i64,
    left: i64,
    offered: i64,
    active: i64,
    snoozed: i64,
    available: i64,
    away: i64,
    offline: i64,
    oldest_ms: u64,
    unattended_ms: u64,
}

impl Sums {
    fn add(&mut self, state: &DeskState, now: UnixMillis) {
        let (mut waits_ms, before) = (0, self.available);
        for header in state.headers.values() {
            if let Some(since) = waits_since(&header.row) {
                waits_ms = now.ms_since(since).max(waits_ms);
            }
            match header.row.state {
                ConversationState::Queued if header.row.channel.is_offline_message() => {
                    self.left += 1
                }
                ConversationState::Queued => self.queued += 1,
                ConversationState::Offered => self.offered += 1,
                ConversationState::Active => self.active += 1,
                ConversationState::Snoozed => self.snoozed += 1,
                ConversationState::Closed => {}
            }
        }
        let there = |presence| presence == Presence::Connected;
        for agent in state.routing.agents().filter(|agent| there(agent.connected)) {
            match agent.availability {
                Availability::Available => self.available += 1,
                Availability::Away => self.away += 1,
                Availability::Offline => self.offline += 1,
            }
        }
        self.oldest_ms = waits_ms.max(self.oldest_ms);
        if self.available == before {
            self.unattended_ms = waits_ms.max(self.unattended_ms);
        }
    }
}

/// Sets what is the sum over everything that lives.
pub(super) fn standing(metrics: &Metrics, desks: &[Arc<Desk>], rooms: usize, now: UnixMillis) {
    let mut sums = Sums::default();
    for desk in desks {
        sums.add(&desk.state.lock(), now);
    }
    for (state, count) in [
        (Live::Queued, sums.queued),
        (Live::Left, sums.left),
        (Live::Offered, sums.offered),
        (Live::Active, sums.active),
        (Live::Snoozed, sums.snoozed),
    ] {
        metrics.conversations.of(state).set(count);
    }
    metrics.queue_oldest_wait_seconds.set(signed(sums.oldest_ms / 1_000));
    metrics.queue_unattended_wait_seconds.set(signed(sums.unattended_ms / 1_000));
    metrics.rooms.set(signed(rooms));
    metrics.desks.set(signed(desks.len()));
    for (choice, count) in [
        (Availability::Available, sums.available),
        (Availability::Away, sums.away),
        (Availability::Offline, sums.offline),
    ] {
        metrics.agents.of(choice).set(count);
    }
}

/// Sends a refusal and counts it.
pub(crate) fn refuse(metrics: &Metrics, sink: &dyn FrameSink, request: RequestId, reject: Reject) {
    metrics.message_errors_total.of(reject.code).inc();
    let Reject { code, words, retry_after_ms } = reject;
    let words = words.into_owned();
    tell(sink, ServerFrame::Reject { request, code, words, retry_after_ms });
}

fn signed(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Since when somebody waits; nobody does for the answer to what they left while nobody was there.
fn waits_since(row: &ConversationRow) -> Option<UnixMillis> {
    let waits = matches!(row.state, ConversationState::Queued | ConversationState::Offered);
    row.waiting_since.filter(|_| waits && !row.channel.is_offline_message())
}

/// Whether an input gives a conversation to an agent without asking them.
pub(super) fn is_taken(input: &Input) -> bool {
    matches!(input, Input::Assign { .. } | Input::TakeOver { .. } | Input::Reopened { .. })
}

/// Counts how questions to agents ended.
pub(super) fn offers(metrics: &Metrics, ended: OffersEnded) {
    let OffersEnded { accepted, declined, missed, withdrawn } = ended;
    for (end, count) in [
        (OfferEnd::Accepted, accepted),
        (OfferEnd::Declined, declined),
        (OfferEnd::Missed, missed),
        (OfferEnd::Withdrawn, withdrawn),
    ] {
        metrics.offers_total.of(end).add(count);
    }
}

/// Counts a conversation that begins by these effects.
pub(super) fn opened(metrics: &Metrics, input: &Input, effects: &[Effect]) {
    let Input::Opened { conversation: opened, .. } = input else { return };
    for effect in effects {
        if let Effect::Changed { conversation, standing } = effect
            && conversation == opened
        {
            let how =
                if standing.channel.is_offline_message() { Opened::Left } else { Opened::Chat };
            metrics.conversations_opened_total.of(how).inc();
        }
    }
}

/// Who closes a conversation.
pub(super) fn closer(who: Actor) -> Closed {
    match who {
        Actor::Visitor { .. } => Closed::Visitor,
        Actor::Agent { .. } => Closed::Agent,
        Actor::Program => Closed::Program,
    }
}

/// Counts the waits that end and the conversations that get an agent by these effects, before they
/// are written into the headers.
pub(super) fn assigned(
    metrics: &Metrics,
    state: &DeskState,
    effects: &[Effect],
    taken: bool,
    now: UnixMillis,
) {
    for effect in effects {
        let Effect::Changed { conversation, standing } = effect else { continue };
        let Some(header) = state.headers.get(conversation) else { continue };
        let row = &header.row;
        let waited = matches!(row.state, ConversationState::Queued | ConversationState::Offered);
        let given = standing.state == ConversationState::Active
            && (waited || standing.assignee != row.assignee);
        let outcome = match (given, standing.state) {
            (true, _) => Some(Wait::Accepted),
            (false, ConversationState::Closed) => Some(Wait::Abandoned),
            (false, _) => None,
        };
        if let (Some(outcome), Some(since)) = (outcome, waits_since(row)) {
            let wait = Duration::from_millis(now.ms_since(since));
            metrics.queue_wait_seconds.of(outcome).observe(wait);
        }
        if !given {
            continue;
        }
        let how = match (taken, waited) {
            (true, _) => Assigned::Taken,
            (false, true) => Assigned::Offer,
            (false, false) => Assigned::Transfer,
        };
        metrics.conversations_assigned_total.of(how).inc();
    }
}

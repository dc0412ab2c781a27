//! What the hub counts for those who run it: amounts and times, never who or what.
//!
//! Lives here: the sums that take more than one addition. Called by the hub's other files.

use std::time::{Duration, Instant};

use protocol::conversation::{Availability, ConversationState, Presence};
use protocol::frame::{RequestId, ServerFrame};
use protocol::message::{Author, Visibility};
use protocol::reject::Reject;
use protocol::time::UnixMillis;

use super::fanout::Hearers;
use super::{Hub, Outlet, Who};
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

/// Counts a message that has its place and was written to everyone here who hears it, which took so
/// long from its frame.
pub fn placed(metrics: &Metrics, envelope: &Envelope, to: Hearers, took: Duration) {
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

/// Counts a message that is on disk, so long after its place.
pub fn stored(metrics: &Metrics, took: Duration) {
    metrics.transcript_lag_seconds.observe(took);
}

/// Counts a message whose author was told that it is on disk, so long after its frame.
pub fn acked(metrics: &Metrics, took: Duration) {
    metrics.ack_latency_seconds.observe(took);
}

impl Hub {
    /// A message has its place and was written to everyone here who hears it.
    pub(super) fn tally_placed(&self, envelope: &Envelope, to: Hearers, took: Duration) {
        placed(&self.metrics, envelope, to, took);
    }

    /// Time since then.
    pub(super) fn since(&self, then: Instant) -> Duration {
        self.clock.instant().saturating_duration_since(then)
    }

    /// A client came back to a conversation.
    pub(super) fn tally_resume(&self, reset: bool) {
        let how = if reset { Resumed::Reset } else { Resumed::Recovered };
        self.metrics.resumes_total.of(how).inc();
    }

    /// A message was looked for that had been acked.
    pub(super) fn tally_audited(&self, missing: bool) {
        let metrics = &self.metrics;
        metrics.integrity_checked_total.inc();
        metrics.integrity_missing_total.add(u64::from(missing));
        metrics.integrity_last_check_timestamp_seconds.set(signed(self.now().0 / 1_000));
    }

    /// Sets what is the sum over everything that lives.
    pub(super) fn tally_standing(&self) {
        let (mut queued, mut left, mut offered, mut active, mut snoozed) = (0, 0, 0, 0, 0);
        let (mut available, mut away, mut offline) = (0, 0, 0);
        let (mut oldest_ms, mut unattended_ms) = (0, 0);
        let (desks, now) = (self.all_desks(), self.now());
        for desk in &desks {
            let state = desk.state.lock();
            let (mut waits_ms, before) = (0, available);
            for header in state.headers.values() {
                if let Some(since) = waits_since(&header.row) {
                    waits_ms = now.ms_since(since).max(waits_ms);
                }
                match header.row.state {
                    ConversationState::Queued if header.row.offline_message => left += 1,
                    ConversationState::Queued => queued += 1,
                    ConversationState::Offered => offered += 1,
                    ConversationState::Active => active += 1,
                    ConversationState::Snoozed => snoozed += 1,
                    ConversationState::Closed => {}
                }
            }
            let there = |presence| presence == Presence::Connected;
            for agent in state.routing.agents().filter(|agent| there(agent.connected)) {
                match agent.availability {
                    Availability::Available => available += 1,
                    Availability::Away => away += 1,
                    Availability::Offline => offline += 1,
                }
            }
            oldest_ms = waits_ms.max(oldest_ms);
            if available == before {
                unattended_ms = waits_ms.max(unattended_ms);
            }
        }
        let metrics = &self.metrics;
        for (state, count) in [
            (Live::Queued, queued),
            (Live::Left, left),
            (Live::Offered, offered),
            (Live::Active, active),
            (Live::Snoozed, snoozed),
        ] {
            metrics.conversations.of(state).set(count);
        }
        metrics.queue_oldest_wait_seconds.set(signed(oldest_ms / 1_000));
        metrics.queue_unattended_wait_seconds.set(signed(unattended_ms / 1_000));
        metrics.rooms.set(signed(self.rooms.len()));
        metrics.desks.set(signed(desks.len()));
        for (choice, count) in [
            (Availability::Available, available),
            (Availability::Away, away),
            (Availability::Offline, offline),
        ] {
            metrics.agents.of(choice).set(count);
        }
    }

    /// Sends a refusal and counts it.
    pub(crate) fn refuse(&self, outlet: &dyn Outlet, request: RequestId, reject: Reject) {
        refuse(&self.metrics, outlet, request, reject);
    }
}

/// The same, where there is no hub at hand.
pub(super) fn refuse(metrics: &Metrics, outlet: &dyn Outlet, request: RequestId, reject: Reject) {
    metrics.message_errors_total.of(reject.code).inc();
    let Reject { code, words, retry_after_ms } = reject;
    let words = words.into_owned();
    Hub::tell(outlet, ServerFrame::Reject { request, code, words, retry_after_ms });
}

fn signed(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Since when somebody waits; nobody does for the answer to what they left while nobody was there.
fn waits_since(row: &ConversationRow) -> Option<UnixMillis> {
    let waits = matches!(row.state, ConversationState::Queued | ConversationState::Offered);
    row.waiting_since.filter(|_| waits && !row.offline_message)
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
            let how = if standing.offline_message { Opened::Left } else { Opened::Chat };
            metrics.conversations_opened_total.of(how).inc();
        }
    }
}

/// Who closes a conversation.
pub(super) fn closer(who: Option<Who>) -> Closed {
    match who {
        Some(Who::Visitor { .. }) => Closed::Visitor,
        Some(Who::Agent { .. }) => Closed::Agent,
        None => Closed::Program,
    }
}

/// Counts the waits that end and the conversations that get an agent by these effects, before they are written into
/// the headers.
pub(super) fn assigned(
    metrics: &Metrics,
    state: &super::desk::DeskState,
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

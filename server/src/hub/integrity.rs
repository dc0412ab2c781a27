//! A self-audit: of the messages that were acked a sample is remembered, and read back from the
//! store some minutes later. One that is not there, or is another, was lost: that is the one thing
//! this server promises not to do.
//!
//! Lives here: which messages are remembered, and what a look at one says. Not here: what was said,
//! of which only a fingerprint is kept. What retention or an erasure took in between was not lost.

use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use protocol::ids::{ConversationId, MessageId};
use protocol::message::Seq;

use super::ports::Ports;
use super::sites::Sites;
use super::tally;
use super::times::Times;
use crate::metrics::Metrics;
use crate::privacy::envelope::{Content, Sequenced, Tag};
use crate::privacy::sweep::is_due;
use crate::store::Store;

/// Between two passes. In each one more message is remembered: the next that is acked.
const PASS_EVERY: Duration = Duration::from_secs(1);

/// How old a message is when it is read back: by then it has gone its whole way on disk, from the
/// journal into the database.
const AGE: Duration = Duration::from_secs(600);

/// When one is looked for again that could not be read.
const AGAIN: Duration = Duration::from_secs(60);

/// Messages remembered at most: more than come in the time above, some 200 bytes each.
const SAMPLES_MAX: usize = 1_024;

/// Messages that one pass reads, where some could not be read before.
const READ_PER_PASS: usize = 16;

/// What is remembered of acked messages, and the looks at them.
#[derive(Debug)]
pub(crate) struct Integrity {
    store: Arc<dyn Store>,
    sites: Arc<Sites>,
    times: Arc<Times>,
    metrics: Arc<Metrics>,
    /// Whether the next message is to be remembered; a message pays for no more than this.
    wanted: AtomicBool,
    samples: Mutex<VecDeque<Sample>>,
    fingerprints: RandomState,
}

#[derive(Debug, Clone)]
struct Sample {
    tag: Tag,
    conversation: ConversationId,
    message: MessageId,
    seq: Seq,
    fingerprint: u64,
    due: Instant,
    /// It could not be read, when so many others had been found.
    unread: Option<u64>,
}

/// What a look at a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// It is what was acked.
    Intact,
    /// Its time ended, or a key of it was destroyed.
    Ended,
    Lost,
    /// The store does not say.
    Unread,
}

impl Integrity {
    pub(super) fn new(ports: &Ports, sites: &Arc<Sites>) -> Self {
        Self {
            store: Arc::clone(&ports.store),
            sites: Arc::clone(sites),
            times: Arc::clone(&ports.times),
            metrics: Arc::clone(&ports.metrics),
            wanted: AtomicBool::default(),
            samples: Mutex::default(),
            fingerprints: RandomState::default(),
        }
    }

    /// A message is on disk and acked.
    pub(super) fn acked(&self, sequenced: &Sequenced, now: impl FnOnce() -> Instant) {
        if !self.wanted.load(Ordering::Relaxed) || !self.wanted.swap(false, Ordering::Relaxed) {
            return;
        }
        let envelope = sequenced.envelope();
        let sample = Sample {
            tag: *envelope.tag(),
            conversation: envelope.conversation(),
            message: envelope.message(),
            seq: sequenced.seq(),
            fingerprint: self.fingerprint(sequenced),
            due: now() + AGE,
            unread: None,
        };
        self.keep(sample);
    }

    /// The oldest are kept: a store that cannot be read is no reason to forget what it owes.
    fn keep(&self, sample: Sample) {
        let mut samples = self.samples.lock();
        if samples.len() < SAMPLES_MAX {
            samples.push_back(sample);
        }
    }

    fn take_due(&self, now: Instant) -> Option<Sample> {
        let mut samples = self.samples.lock();
        let due = samples.iter().position(|sample| sample.due <= now)?;
        samples.remove(due)
    }

    /// By a seed of this process: it says whether something is the same, and nothing of what it is.
    fn fingerprint(&self, sequenced: &Sequenced) -> u64 {
        let envelope = sequenced.envelope();
        let said = match envelope.content() {
            Content::Text(text) => text.expose().as_bytes(),
            Content::Event { .. } => &[],
        };
        let beside = (envelope.author(), envelope.visibility(), envelope.at().0);
        self.fingerprints.hash_one((envelope.message().as_bytes(), beside, said))
    }

    /// Remembers messages and reads them back, until the shutdown begins.
    pub(crate) async fn audit(self: Arc<Self>, mut shutdown: tokio::sync::watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(PASS_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.wait_for(|down| *down) => return,
            }
            self.audit_pass().await;
        }
    }

    pub(super) async fn audit_pass(&self) {
        self.wanted.store(true, Ordering::Relaxed);
        for _ in 0..READ_PER_PASS {
            let now = self.times.instant();
            let Some(sample) = self.take_due(now) else { return };
            let found = self.metrics.integrity_checked_total.get();
            let look = self.look_for(&sample).await;
            // Others can be read, this one cannot.
            let alone = sample.unread.is_some_and(|before| before < found);
            let look = if alone && look == Look::Unread { Look::Lost } else { look };
            match look {
                Look::Intact => tally::audited(&self.metrics, false, self.times.now()),
                Look::Ended => {}
                Look::Lost => {
                    tracing::error!(
                        conversation_id = %sample.conversation, message_id = %sample.message, seq = sample.seq.0,
                        "a message that was acked is not in the store, or is not what was acked"
                    );
                    tally::audited(&self.metrics, true, self.times.now());
                }
                Look::Unread => {
                    let unread = Some(sample.unread.unwrap_or(found));
                    self.keep(Sample { due: now + AGAIN, unread, ..sample });
                }
            }
        }
    }

    async fn look_for(&self, sample: &Sample) -> Look {
        let Sample { tag, conversation, seq, .. } = sample;
        let range = (Seq(seq.0.saturating_sub(1)), Some(Seq(seq.0.saturating_add(1))));
        let read = self.store.messages(tag.tenant, *conversation, range.0, range.1, 1).await;
        let Ok(read) = read else { return Look::Unread };
        let same = |sequenced: &Arc<Sequenced>| {
            sequenced.seq() == *seq && self.fingerprint(sequenced) == sample.fingerprint
        };
        if read.iter().any(same) {
            return Look::Intact;
        }
        // Asked after it was looked for: what ended in between ended.
        let today = self.times.today();
        let over = self
            .sites
            .get(tag.tenant, tag.site)
            .await
            .is_ok_and(|site| is_due(&site.row.timeline, tag.class, tag.ingest_day, today));
        match self.store.is_destroyed(tag, *conversation).await {
            _ if over => Look::Ended,
            Ok(true) => Look::Ended,
            Ok(false) => Look::Lost,
            Err(_) => Look::Unread,
        }
    }
}

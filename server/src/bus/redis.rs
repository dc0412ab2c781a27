//! Several nodes on one Redis 7: it counts and passes on, and keeps nothing that was said.
//!
//! Lives here: the server-side function, the wires, what is followed, sealing in transit. The only
//! importer of the crate `redis`. Not here: what follows from what is heard (`hub`).
//!
//! In Redis are, for each conversation that is spoken in, a counter `livehelp:{id}:seq`, which
//! expires, and messages that pass through the channel `livehelp:{id}:said`: the sequence number in
//! decimal (0: none), a space, the sender's node (16 bytes), the day of the key (2 bytes), and the
//! sealed payload. Id in braces: on a cluster both live on one primary.

mod subscriber;
mod start;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use protocol::ids::ConversationId;
use protocol::message::Seq;
use protocol::time::Day;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{RedisError, RedisResult};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub use self::start::StartError;
use self::subscriber::Subscriber;
use super::{BUS_EVENTS_MAX, Bus, BusError, BusEvent, Notice, payload};
use crate::clock::Clock;
use crate::metrics::{BusOp, Metrics};
use crate::privacy::envelope::Envelope;
use crate::privacy::seal::{SealError, TransitSealer};
use crate::tasks;

/// The function and its library; a new layout gets a new number, so that old and new nodes work
/// side by side.
const FUNCTION: &str = "livehelp_place_1";
const LIBRARY: &str = include_str!("redis/place.lua");

/// How long a counter outlives its last use; a floor lifts it again after that.
const COUNTER_MS: u64 = 24 * 3_600 * 1_000;

/// A sequence number that takes longer is none: the sender tries again.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Notices that wait for their way out; beyond that they are dropped.
const NOTICES_MAX: usize = 4_096;

/// Notices that go out in one write.
const NOTICES_PER_WRITE: usize = 64;

const NODE_BYTES: usize = 16;
const DAY_BYTES: usize = 2;

/// Settings of the bus.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// `redis://` (loopback only) or `rediss://`, with user and password where there are.
    pub url: String,
    /// A Redis that writes to disk, or lets others watch, is accepted.
    pub allow_persistence: bool,
}

/// One node's end of the bus.
pub struct RedisBus {
    calls: ConnectionManager,
    notices: mpsc::Sender<Notice>,
    wires: Arc<Wires>,
    subscriber: Arc<Subscriber>,
    /// Whether the last sequence number was given: a change is logged, not each failure.
    gives: AtomicBool,
    metrics: Arc<Metrics>,
    tasks: [JoinHandle<()>; 2],
}

impl std::fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisBus").finish_non_exhaustive()
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl RedisBus {
    /// Connects, checks that the Redis keeps nothing, and loads the function.
    ///
    /// # Errors
    /// If it cannot be reached, is too old, or would keep what passes through it.
    pub async fn connect(
        config: &RedisConfig,
        sealer: Arc<dyn TransitSealer>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, mpsc::Receiver<BusEvent>), StartError> {
        Self::connect_counted(config, sealer, clock, Metrics::new()).await
    }

    /// The same, and what it does is counted there.
    ///
    /// # Errors
    /// As [`RedisBus::connect`].
    pub async fn connect_counted(
        config: &RedisConfig,
        sealer: Arc<dyn TransitSealer>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, mpsc::Receiver<BusEvent>), StartError> {
        let client = start::client(config)?;
        let settings = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_response_timeout(Some(ANSWER_MAX))
            .set_connection_timeout(Some(ANSWER_MAX));
        let mut calls = ConnectionManager::new_with_config(client.clone(), settings)
            .await
            .map_err(StartError::Unreachable)?;
        if !config.allow_persistence {
            start::check_it_keeps_nothing(&client, &mut calls).await?;
        }
        load_function(&mut calls).await.map_err(StartError::Function)?;
        let wires = Arc::new(Wires { node: *Uuid::new_v4().as_bytes(), sealer, clock });
        let (heard, hears) = mpsc::channel(BUS_EVENTS_MAX);
        let subscriber = Arc::new(Subscriber::default());
        let (of, counted) = (Arc::clone(&wires), Arc::clone(&metrics));
        let listening = Arc::clone(&subscriber).listen(client, of, heard, counted);
        let listening = tasks::spawn("bus: listening", listening);
        let (notices, waiting) = mpsc::channel(NOTICES_MAX);
        let telling = tell(calls.clone(), Arc::clone(&wires), waiting, Arc::clone(&metrics));
        let telling = tasks::spawn("bus: telling", telling);
        let gives = AtomicBool::new(true);
        let tasks = [listening, telling];
        let bus = Self { calls, notices, wires, subscriber, gives, metrics, tasks };
        if bus.subscriber.connected().await { Ok((bus, hears)) } else { Err(StartError::Deaf) }
    }

    async fn ask(&self, envelope: &Envelope, floor: Seq) -> Result<Seq, AskError> {
        let conversation = envelope.conversation();
        let sealed = self.wires.sealed(conversation, &payload::of_envelope(envelope))?;
        let mut call = redis::cmd("FCALL");
        call.arg(FUNCTION)
            .arg(2)
            .arg(counter(conversation))
            .arg(channel(conversation))
            .arg(floor.0)
            .arg(COUNTER_MS)
            .arg(sealed);
        let mut calls = self.calls.clone();
        let answer: RedisResult<u64> = call.query_async(&mut calls).await;
        match answer {
            Ok(seq) => Ok(Seq(seq)),
            // A Redis that was started anew, or a replica that took over.
            Err(error) if error.to_string().contains("Function not found") => {
                load_function(&mut calls).await?;
                Ok(Seq(call.query_async(&mut calls).await?))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn note(&self, outcome: &Result<Seq, AskError>) {
        let gives = outcome.is_ok();
        if self.gives.swap(gives, Ordering::Relaxed) == gives {
            return;
        }
        match outcome {
            Ok(_) => tracing::info!("the bus gives sequence numbers again"),
            Err(error) => tracing::error!(%error, "the bus gives no sequence numbers"),
        }
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn is_far(&self) -> bool {
        true
    }

    fn sequence_here(&self, _envelope: &Envelope, _floor: Seq) -> Option<Seq> {
        None
    }

    async fn sequence(&self, envelope: &Envelope, floor: Seq) -> Result<Seq, BusError> {
        let asked = self.wires.clock.instant();
        let outcome = self.ask(envelope, floor).await;
        match &outcome {
            Ok(_) => {
                let took = self.wires.clock.instant().saturating_duration_since(asked);
                self.metrics.bus_publish_duration_seconds.observe(took);
            }
            Err(_) => self.metrics.bus_errors_total.of(BusOp::Place).inc(),
        }
        self.note(&outcome);
        outcome.map_err(|_| BusError)
    }

    fn announce(&self, notice: Notice) {
        if self.notices.try_send(notice).is_err() {
            self.metrics.bus_notices_lost_total.inc();
            tracing::warn!("more notices than the bus takes: one is dropped");
        }
    }

    async fn follow(&self, conversation: ConversationId) {
        self.subscriber.follow(conversation).await;
    }

    fn unfollow(&self, conversation: ConversationId) {
        self.subscriber.unfollow(conversation);
    }

    fn healthy(&self) -> bool {
        self.subscriber.is_up() && self.gives.load(Ordering::Relaxed)
    }
}

/// Why a sequence number was not given.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error(transparent)]
    Seal(#[from] SealError),
}

async fn load_function(calls: &mut ConnectionManager) -> RedisResult<()> {
    redis::cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(LIBRARY).exec_async(calls).await
}

/// Sends notices, many in a write; ends with the bus.
async fn tell(
    mut calls: ConnectionManager,
    wires: Arc<Wires>,
    mut waiting: mpsc::Receiver<Notice>,
    metrics: Arc<Metrics>,
) {
    let mut notices = Vec::with_capacity(NOTICES_PER_WRITE);
    while waiting.recv_many(&mut notices, NOTICES_PER_WRITE).await > 0 {
        let mut write = redis::pipe();
        let mut told = 0;
        for notice in notices.drain(..) {
            let conversation = notice.conversation();
            if let Ok(sealed) = wires.sealed(conversation, &payload::of_notice(&notice)) {
                let message = [b"0 ".as_slice(), &sealed].concat();
                write.cmd("PUBLISH").arg(channel(conversation)).arg(message).ignore();
                told += 1;
            } else {
                metrics.bus_notices_lost_total.inc();
            }
        }
        if let Err(error) = write.exec_async(&mut calls).await {
            metrics.bus_errors_total.of(BusOp::Announce).inc();
            metrics.bus_notices_lost_total.add(told);
            tracing::debug!(%error, "notices did not go out");
        }
    }
}

fn counter(conversation: ConversationId) -> String {
    format!("livehelp:{{{conversation}}}:seq")
}

fn channel(conversation: ConversationId) -> String {
    format!("livehelp:{{{conversation}}}:said")
}

fn conversation_of(channel: &str) -> Option<ConversationId> {
    channel.strip_prefix("livehelp:{")?.strip_suffix("}:said")?.parse().ok()
}

/// How this node writes and reads what passes through Redis.
struct Wires {
    node: [u8; NODE_BYTES],
    sealer: Arc<dyn TransitSealer>,
    clock: Arc<dyn Clock>,
}

impl Wires {
    fn sealed(&self, conversation: ConversationId, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let day = self.clock.now().day();
        let mut out = Vec::with_capacity(NODE_BYTES + DAY_BYTES + plain.len() + 28);
        out.extend_from_slice(&self.node);
        out.extend_from_slice(&day.0.to_be_bytes());
        let bound = bound(conversation, self.node);
        out.extend_from_slice(&self.sealer.seal_in_transit(day, &bound, plain)?);
        Ok(out)
    }

    /// Whether this node wrote it.
    fn is_own(&self, message: &[u8]) -> bool {
        let node = message.iter().position(|byte| *byte == b' ').map(|space| space + 1);
        node.and_then(|node| message.get(node..)).is_some_and(|rest| rest.starts_with(&self.node))
    }

    /// `None` for what this node said itself (but for sequence numbers), and for what no node of
    /// this server wrote.
    fn read(&self, channel: &str, message: &[u8]) -> Option<BusEvent> {
        let conversation = conversation_of(channel)?;
        let space = message.iter().position(|byte| *byte == b' ')?;
        let (seq, rest) = message.split_at_checked(space)?;
        let seq = Seq(str::from_utf8(seq).ok()?.parse().ok()?);
        let (node, rest) = rest.get(1..)?.split_first_chunk::<NODE_BYTES>()?;
        let (day, sealed) = rest.split_first_chunk::<DAY_BYTES>()?;
        let own = *node == self.node;
        if own && seq == Seq(0) {
            return None;
        }
        let day = Day(u16::from_be_bytes(*day));
        // Only what is on its way now; the clocks of two nodes may stand on both sides of midnight.
        if day.0.abs_diff(self.clock.now().day().0) > 1 {
            return None;
        }
        let bound = bound(conversation, *node);
        let plain = self.sealer.unseal_in_transit(day, &bound, sealed).ok()?;
        let notice = payload::read(&plain, seq)?;
        (notice.conversation() == conversation).then_some(BusEvent::Notice { notice, own })
    }
}

/// What a sealed payload belongs to.
fn bound(conversation: ConversationId, node: [u8; NODE_BYTES]) -> [u8; 16 + NODE_BYTES] {
    let mut bound = [0; 16 + NODE_BYTES];
    let (of, by) = bound.split_at_mut(16);
    of.copy_from_slice(conversation.as_bytes());
    by.copy_from_slice(&node);
    bound
}

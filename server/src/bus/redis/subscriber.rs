//! The subscriber: what this node follows, and the connection on which it hears of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use protocol::ids::ConversationId;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Client, Msg, RedisError, RedisResult};
use tokio::sync::{Notify, mpsc, oneshot};

use super::{ANSWER_MAX, Wires, channel};
use crate::bus::BusEvent;
use crate::metrics::{BusOp, Metrics};

/// Between two looks whether the connection still answers, where nothing else tells.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Between two attempts to connect.
const CONNECT_EVERY: Duration = Duration::from_millis(250);

#[derive(Default)]
pub(super) struct Subscriber {
    followed: Mutex<Followed>,
    changed: Notify,
}

#[derive(Default)]
struct Followed {
    times: HashMap<ConversationId, usize>,
    /// Followed or left since Redis was last told.
    dirty: HashSet<ConversationId>,
    /// Who waits until Redis has been told.
    waiting: Vec<oneshot::Sender<()>>,
    up: bool,
}

/// The difference between what is followed and what Redis knows of.
struct Change {
    begin: Vec<String>,
    end: Vec<String>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Followed {
    fn take_change(&mut self) -> Change {
        let (begin, end): (Vec<_>, Vec<_>) =
            self.dirty.drain().partition(|id| self.times.contains_key(id));
        Change {
            begin: begin.into_iter().map(channel).collect(),
            end: end.into_iter().map(channel).collect(),
            waiting: std::mem::take(&mut self.waiting),
        }
    }

    fn wait(&mut self) -> oneshot::Receiver<()> {
        let (done, told) = oneshot::channel();
        self.waiting.push(done);
        told
    }
}

impl Subscriber {
    pub(super) fn is_up(&self) -> bool {
        self.followed.lock().up
    }

    /// Waits for the first connection, for as long as an answer may take. Whether it came.
    pub(super) async fn connected(&self) -> bool {
        let told = self.followed.lock().wait();
        self.changed.notify_one();
        matches!(tokio::time::timeout(ANSWER_MAX, told).await, Ok(Ok(())))
    }

    pub(super) async fn follow(&self, conversation: ConversationId) {
        let told = {
            let mut followed = self.followed.lock();
            *followed.times.entry(conversation).or_default() += 1;
            followed.dirty.insert(conversation);
            if !followed.up {
                return;
            }
            followed.wait()
        };
        self.changed.notify_one();
        // Dropped unanswered: the connection broke, and what is missed will be told.
        let _told_or_late = tokio::time::timeout(ANSWER_MAX, told).await;
    }

    pub(super) fn unfollow(&self, conversation: ConversationId) {
        let mut followed = self.followed.lock();
        let Some(times) = followed.times.get_mut(&conversation) else { return };
        *times -= 1;
        if *times == 0 {
            followed.times.remove(&conversation);
            followed.dirty.insert(conversation);
            drop(followed);
            self.changed.notify_one();
        }
    }

    /// Connects, again and again, and hands on what is heard, until nobody takes it.
    pub(super) async fn listen(
        self: Arc<Self>,
        client: Client,
        wires: Arc<Wires>,
        heard: mpsc::Sender<BusEvent>,
        metrics: Arc<Metrics>,
    ) {
        let mut was_up = false;
        while !heard.is_closed() {
            let lost = match self.connect(&client).await {
                Ok((sink, stream)) => {
                    if was_up && heard.send(BusEvent::Missed).await.is_err() {
                        return;
                    }
                    was_up = true;
                    self.hear(sink, stream, &wires, &heard).await
                }
                Err(error) => Err(error),
            };
            let was_there = self.hang_up();
            metrics.bus_errors_total.of(BusOp::Listen).add(u64::from(lost.is_err()));
            if let (true, Err(error)) = (was_there, lost) {
                tracing::warn!(%error, "the bus is away: this node hears nothing of the others");
            }
            tokio::time::sleep(CONNECT_EVERY).await;
        }
    }

    /// Whoever waits is let go. Whether there was a connection.
    fn hang_up(&self) -> bool {
        let mut followed = self.followed.lock();
        followed.waiting.clear();
        std::mem::take(&mut followed.up)
    }

    /// A connection that hears of everything that is followed.
    async fn connect(&self, client: &Client) -> RedisResult<(PubSubSink, PubSubStream)> {
        let connected = tokio::time::timeout(ANSWER_MAX, client.get_async_pubsub()).await;
        let (mut sink, stream) = connected.map_err(|_| late())??.split();
        let change = {
            let mut followed = self.followed.lock();
            let all: Vec<_> = followed.times.keys().copied().collect();
            followed.dirty.extend(all);
            // From here on whoever follows waits until Redis was told.
            followed.up = true;
            followed.take_change()
        };
        tell(&mut sink, change).await?;
        Ok((sink, stream))
    }

    /// Until the connection is lost, or nobody takes what is heard.
    async fn hear(
        &self,
        mut sink: PubSubSink,
        mut stream: PubSubStream,
        wires: &Wires,
        heard: &mpsc::Sender<BusEvent>,
    ) -> RedisResult<()> {
        let mut ping = tokio::time::interval(PING_EVERY);
        loop {
            tokio::select! {
                message = stream.next() => {
                    let Some(message) = message else { return Err(closed()) };
                    if let Some(notice) = read(wires, &message)
                        && heard.send(notice).await.is_err()
                    {
                        return Ok(());
                    }
                }
                () = self.changed.notified() => {
                    let change = self.followed.lock().take_change();
                    tell(&mut sink, change).await?;
                }
                _ = ping.tick() => {
                    let answer = tokio::time::timeout(ANSWER_MAX, sink.ping::<()>()).await;
                    answer.map_err(|_| late())??;
                }
                () = heard.closed() => return Ok(()),
            }
        }
    }
}

async fn tell(sink: &mut PubSubSink, change: Change) -> RedisResult<()> {
    let Change { begin, end, waiting } = change;
    let told = async {
        if !begin.is_empty() {
            sink.subscribe(begin).await?;
        }
        if !end.is_empty() {
            sink.unsubscribe(end).await?;
        }
        RedisResult::Ok(())
    };
    tokio::time::timeout(ANSWER_MAX, told).await.map_err(|_| late())??;
    for waits in waiting {
        // It may have stopped to wait.
        let _gone = waits.send(());
    }
    Ok(())
}

fn read(wires: &Wires, message: &Msg) -> Option<BusEvent> {
    let notice = wires.read(message.get_channel_name(), message.get_payload_bytes());
    if notice.is_none() && !wires.is_own(message.get_payload_bytes()) {
        tracing::debug!("something passed on the bus that this node cannot read");
    }
    notice
}

fn late() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

fn closed() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()
}

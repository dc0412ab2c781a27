//! Within one process: the bus of a single node, which gives the number after the last one, and a
//! net of several for tests.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use protocol::ids::ConversationId;
use protocol::message::Seq;
use tokio::sync::{Notify, mpsc};

use super::{BUS_EVENTS_MAX, Bus, BusError, BusEvent, Notice};
use crate::privacy::envelope::Envelope;

/// The bus of a single node: the room counts, and there is nobody to tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryBus;

#[async_trait]
impl Bus for MemoryBus {
    fn is_far(&self) -> bool {
        false
    }

    fn sequence_here(&self, _envelope: &Envelope, floor: Seq) -> Option<Seq> {
        Some(floor.next())
    }

    async fn sequence(&self, _envelope: &Envelope, floor: Seq) -> Result<Seq, BusError> {
        Ok(floor.next())
    }

    fn announce(&self, _notice: Notice) {}

    async fn follow(&self, _conversation: ConversationId) {}

    fn unfollow(&self, _conversation: ConversationId) {}

    fn healthy(&self) -> bool {
        true
    }
}

/// Several nodes in one process, which behave as on Redis: for tests of what happens between nodes.
#[derive(Debug, Clone, Default)]
pub struct MemoryNet(Arc<Mutex<Net>>);

#[derive(Debug, Default)]
struct Net {
    numbers: HashMap<ConversationId, Seq>,
    nodes: Vec<Subscriber>,
    away: bool,
    /// So many questions go unanswered yet.
    fails: u32,
    held: bool,
    released: Arc<Notify>,
    deaf: Option<usize>,
}

#[derive(Debug)]
struct Subscriber {
    heard: mpsc::Sender<BusEvent>,
    follows: HashMap<ConversationId, usize>,
}

impl Net {
    fn tell(&mut self, notice: &Notice, from: usize, to_itself: bool) {
        for (node, subscriber) in self.nodes.iter().enumerate() {
            let own = node == from;
            let hears =
                subscriber.follows.contains_key(&notice.conversation()) && self.deaf != Some(node);
            if hears && (to_itself || !own) {
                let heard = BusEvent::Notice { notice: notice.clone(), own };
                // A full channel drops, as Redis does; whoever took it out again has stopped.
                let _dropped = subscriber.heard.try_send(heard);
            }
        }
    }
}

impl MemoryNet {
    /// A node of its own, and what it hears.
    pub fn join(&self) -> (MemoryNode, mpsc::Receiver<BusEvent>) {
        let (heard, hears) = mpsc::channel(BUS_EVENTS_MAX);
        let mut net = self.0.lock();
        net.nodes.push(Subscriber { heard, follows: HashMap::new() });
        (MemoryNode { net: self.clone(), node: net.nodes.len() - 1 }, hears)
    }

    /// Takes the net away from all nodes, or gives it back.
    pub fn set_away(&self, away: bool) {
        let mut net = self.0.lock();
        net.away = away;
        if !away {
            for subscriber in &net.nodes {
                let _dropped = subscriber.heard.try_send(BusEvent::Missed);
            }
        }
    }

    /// Gives no sequence number to the next so many.
    pub fn fail(&self, times: u32) {
        self.0.lock().fails = times;
    }

    /// Lets no answer out to those who ask for a sequence number, or lets them go.
    pub fn hold(&self, held: bool) {
        let mut net = self.0.lock();
        net.held = held;
        if !held {
            net.released.notify_waiters();
        }
    }

    async fn released(&self) {
        loop {
            let released = Arc::clone(&self.0.lock().released);
            // Listening before it is looked at: no release is missed.
            let let_go = released.notified();
            if !self.0.lock().held {
                return;
            }
            let_go.await;
        }
    }

    /// Loses what is said to one node, in the order in which they joined; none: all hear again.
    pub fn set_deaf(&self, node: Option<usize>) {
        self.0.lock().deaf = node;
    }

    /// Whether a node follows a conversation.
    pub fn follows(&self, node: usize, conversation: ConversationId) -> bool {
        let net = self.0.lock();
        net.nodes.get(node).is_some_and(|subscriber| subscriber.follows.contains_key(&conversation))
    }

    /// Forgets every counter, as a Redis does that was started anew.
    pub fn forget(&self) {
        self.0.lock().numbers.clear();
    }
}

/// One node of a [`MemoryNet`].
#[derive(Debug)]
pub struct MemoryNode {
    net: MemoryNet,
    node: usize,
}

#[async_trait]
impl Bus for MemoryNode {
    fn is_far(&self) -> bool {
        true
    }

    fn sequence_here(&self, _envelope: &Envelope, _floor: Seq) -> Option<Seq> {
        None
    }

    async fn sequence(&self, envelope: &Envelope, floor: Seq) -> Result<Seq, BusError> {
        self.net.released().await;
        let mut net = self.net.0.lock();
        let fails = net.fails > 0;
        net.fails = net.fails.saturating_sub(1);
        if net.away || fails {
            return Err(BusError);
        }
        let counter = net.numbers.entry(envelope.conversation()).or_default();
        let seq = floor.max(*counter).next();
        *counter = seq;
        let sequenced = Arc::new(envelope.clone().sequence(seq));
        net.tell(&Notice::Sequenced(sequenced), self.node, true);
        Ok(seq)
    }

    fn announce(&self, notice: Notice) {
        let mut net = self.net.0.lock();
        if !net.away {
            net.tell(&notice, self.node, false);
        }
    }

    async fn follow(&self, conversation: ConversationId) {
        if let Some(subscriber) = self.net.0.lock().nodes.get_mut(self.node) {
            *subscriber.follows.entry(conversation).or_default() += 1;
        }
    }

    fn unfollow(&self, conversation: ConversationId) {
        if let Some(subscriber) = self.net.0.lock().nodes.get_mut(self.node)
            && let Some(times) = subscriber.follows.get_mut(&conversation)
        {
            *times -= 1;
            if *times == 0 {
                subscriber.follows.remove(&conversation);
            }
        }
    }

    fn healthy(&self) -> bool {
        !self.net.0.lock().away
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::conformance::{self, Node};

    #[tokio::test]
    async fn a_net_of_nodes_keeps_the_promises_of_a_bus() {
        conformance::every_promise(async || {
            let net = MemoryNet::default();
            let node = || {
                let (bus, heard) = net.join();
                Node { bus: Arc::new(bus), heard }
            };
            (node(), node())
        })
        .await;
    }

    #[tokio::test]
    async fn the_bus_of_a_single_node_keeps_the_promises_that_concern_it() {
        conformance::every_promise_of_one_node(Arc::new(MemoryBus)).await;
    }
}

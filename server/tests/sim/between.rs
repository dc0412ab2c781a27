//! What happens between the nodes and within each of them, besides what people do.
//!
//! Not here: how (`node`, `lanes`, `net`).

use protocol::ids::MessageId;

use crate::disk::Write;
use crate::faults::Mood;
use crate::node::Node;
use crate::world::World;

impl Node {
    /// Whether nothing is under way in it.
    pub(crate) fn is_quiet(&self) -> bool {
        self.queue.is_empty()
            && self.outcomes.is_empty()
            && self.looks.is_empty()
            && self.lanes_ready.is_empty()
            && self.questions.is_empty()
            && self.heard.is_empty()
    }

    /// Whether a message is on its way to the store, or not known to be there yet.
    pub(crate) fn writes(&self, message: MessageId) -> bool {
        let outcomes = self.outcomes.iter().map(|(write, _)| write);
        let mut all = self.queue.iter().chain(outcomes);
        all.any(|write| matches!(write, Write::Message { way, .. } if way.message == message))
    }
}

impl World {
    /// Much happens within and between nodes while a client does one thing.
    pub(crate) fn step_between_nodes(&mut self) {
        for _ in 0..=self.chance.below(8) {
            self.act_between_nodes();
        }
    }

    fn act_between_nodes(&mut self) {
        let node = self.any_node();
        match self.chance.below(100) {
            0..=14 => self.run_a_lane(node),
            15..=31 => self.bus_answers(node),
            32..=46 => self.hear_an_answer(node),
            47..=71 if self.net.slow != Some(node) || self.chance.one_in(8) => {
                for _ in 0..=self.chance.below(4) {
                    self.hear(node);
                }
            }
            72..=75 => self.finish_a_look(node),
            76..=82 => {
                if self.mood == Mood::Mixed || self.chance.one_in(4) {
                    self.commit_some(node, 2);
                }
            }
            83..=89 => {
                for _ in 0..=self.chance.below(4) {
                    self.tell_an_outcome(node);
                }
            }
            90..=96 => self.tick(node),
            47..=71 => {}
            97 | 98 => self.trouble_the_bus(),
            _ => {
                if self.chance.one_in(8) {
                    self.crash_one(node);
                }
            }
        }
        self.end_waits(node);
        for node in 0..self.nodes.len() {
            if self.nodes[node].delivered > 20 {
                self.fill_gaps(node);
            }
        }
    }

    /// What a node does by itself.
    pub(crate) fn tick(&mut self, node: usize) {
        let now = self.instant();
        self.nodes[node].lanes.forget_owed(now);
        self.fill_gaps(node);
        self.drop_idle_rooms(node);
    }

    /// Everything that is under way in a node comes to its end.
    pub(crate) fn settle_node(&mut self, node: usize) {
        let all = self.nodes[node].queue.len();
        self.commit_some(node, all);
        while !self.nodes[node].outcomes.is_empty() {
            self.tell_an_outcome(node);
        }
        for _ in 0..self.nodes[node].looks.len() {
            self.finish_a_look(node);
        }
        while !self.nodes[node].lanes_ready.is_empty() {
            self.run_a_lane(node);
        }
        for _ in 0..self.nodes[node].questions.len() {
            self.bus_answers(node);
            self.hear_an_answer(node);
        }
        while !self.nodes[node].heard.is_empty() {
            self.hear(node);
        }
        // What is still waited for is waited for in vain.
        if !self.nodes[node].questions.is_empty() {
            self.monotonic(1_001);
            self.end_waits(node);
        }
    }
}

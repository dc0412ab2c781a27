//! What must hold, by readers that believe nothing the server says of itself.

use std::collections::{BTreeMap, BTreeSet};

use protocol::conversation::ConversationState;
use protocol::ids::{ConversationId, MessageId};
use protocol::message::Seq;
use protocol::time::Day;

use crate::client::{Client, Item, Who};
use crate::server::Header;
use crate::speak::item;
use crate::world::{KEPT_DAYS, World};

/// Dead by the free plan: 60 days after the day it came, counted here without the evaluator.
fn is_dead(day: Day, today: Day) -> bool {
    today.0 > day.0 + KEPT_DAYS
}

impl World {
    /// A page or a message is about to be on someone's screen.
    pub(crate) fn check_shown(
        &mut self,
        at: usize,
        conversation: ConversationId,
        items: &[Item],
        judged: Day,
    ) {
        let client = &self.clients[at];
        let origin = format!("{}/{conversation}", self.tenants[client.tenant].id);
        let mut broken = Vec::new();
        for item in items {
            // By the day on which it was sent; it may be under way at midnight.
            if is_dead(item.day, judged) {
                broken.push(format!("{} was shown after its end", item.message));
            }
            if !item.text.starts_with(&origin) && !item.text.starts_with('(') {
                broken
                    .push(format!("{} crossed from another tenant or conversation", item.message));
            }
            if item.note && matches!(client.who, Who::Visitor(_)) {
                broken.push(format!("the note {} reached a visitor", item.message));
            }
            if item.text.contains("4111") {
                broken.push(format!("{} shows a card number", item.message));
            }
        }
        for words in broken {
            self.break_promise(words);
        }
    }

    /// A node has heard that another could not store what that one had shown: at once it is on no
    /// screen here, unless it is stored all the same, or about to be.
    pub(crate) fn check_void(
        &mut self,
        node: usize,
        conversation: ConversationId,
        (seq, message): (Seq, MessageId),
    ) {
        let room = self.nodes[node].rooms.get(&conversation);
        let shown = room.and_then(|live| live.room.sequencer().find(message));
        let is_shown = shown.is_some_and(|sequenced| sequenced.seq() == seq);
        let stored = self.stored_after(conversation, Seq(0));
        let is_stored = stored.iter().any(|sequenced| sequenced.envelope().message() == message);
        if is_shown && !is_stored && !self.nodes[node].writes(message) {
            self.break_promise(format!("{message} is void and stays"));
        }
    }

    /// A message is published under the newest number that its node was given for it, and no other
    /// is given to it after that: the other nodes show it there.
    pub(crate) fn check_number(
        &mut self,
        node: usize,
        (message, published): (MessageId, Option<Seq>),
    ) {
        if published.is_none() || self.nodes[node].given.get(&message).copied() != published {
            self.break_promise(format!("{message} has one number here and another elsewhere"));
        }
    }

    /// After each step: owners, capacity, deadlines, offers.
    pub(crate) fn check_step(&mut self) {
        let mut broken = Vec::new();
        for (conversation, header) in &self.server.headers {
            let routing = &self.server.routing[header.tenant];
            if header.standing.state == ConversationState::Closed {
                if routing.standing(*conversation).is_some() {
                    broken.push(format!("{conversation} is closed and still routed"));
                }
                continue;
            }
            let Some(standing) = routing.standing(*conversation) else {
                broken.push(format!("{conversation} is open and routed nowhere"));
                continue;
            };
            if standing.assignee != header.standing.assignee {
                broken.push(format!("{conversation} has two owners"));
            }
            let held = standing.assignee.is_some()
                || standing.deadline.is_some()
                || standing.position.is_some();
            if !held {
                broken.push(format!("{conversation} has no owner, no deadline and no place"));
            }
            let offered = standing.offered_to.map(|agent| (*conversation, agent));
            let told: Vec<_> =
                self.server.offers.iter().filter(|(id, _)| id == conversation).copied().collect();
            if told != offered.into_iter().collect::<Vec<_>>() {
                broken.push(format!("{conversation} is offered to others than routing says"));
            }
        }
        for routing in &self.server.routing {
            for agent in routing.agents() {
                let has = |header: &&Header| {
                    let standing = header.standing;
                    (standing.state == ConversationState::Active
                        && standing.assignee == Some(agent.agent))
                        || standing.offered_to == Some(agent.agent)
                };
                let load = self.server.headers.values().filter(has).count();
                // Restored conversations are the agent's, whatever the capacity: nothing is added
                // to them.
                if load > usize::from(agent.capacity) {
                    broken.push(format!("{} has {load}, above their capacity", agent.agent));
                }
            }
        }
        for words in broken {
            self.break_promise(words);
        }
    }

    /// At the end, when all is told.
    pub(crate) fn check_end(&mut self) {
        let mut broken = Vec::new();
        let transcripts = self.transcripts();
        for (conversation, items) in &transcripts {
            if !items.windows(2).all(|pair| pair[0].seq < pair[1].seq) {
                broken.push(format!("{conversation}: a number was given twice"));
            }
            let ids: BTreeSet<_> = items.iter().map(|item| item.message).collect();
            if ids.len() != items.len() {
                broken.push(format!("{conversation}: a message is stored twice"));
            }
            if items.iter().any(|item| item.text.contains("4111")) {
                broken.push(format!("{conversation}: a card number is stored"));
            }
        }
        for client in &self.clients {
            for (conversation, message, seq, text) in &client.acked {
                let stored = transcripts.get(conversation).map(Vec::as_slice).unwrap_or_default();
                match stored.iter().find(|item| item.message == *message) {
                    Some(item) if item.seq == *seq && item.text == *text => {}
                    Some(_) => broken.push(format!("{message} was acked as another")),
                    None if self.swept.contains(message) => {}
                    None => broken.push(format!("{message} was acked and is lost")),
                }
            }
            broken.extend(self.check_order(client));
        }
        broken.extend(self.check_views(&transcripts));
        for words in broken {
            self.break_promise(words);
        }
    }

    /// Every screen shows what is stored, and nothing else.
    fn check_views(&self, transcripts: &BTreeMap<ConversationId, Vec<Item>>) -> Vec<String> {
        let today = self.today();
        let mut broken = Vec::new();
        for client in &self.clients {
            for (conversation, view) in &client.views {
                let first = view.first().map(|item| item.seq);
                let visitor = matches!(client.who, Who::Visitor(_));
                let sees = |item: &&Item| !(is_dead(item.day, today) || (item.note && visitor));
                let on_screen: BTreeSet<_> = view.iter().map(|item| item.message).collect();
                let due = |item: &&Item| {
                    on_screen.contains(&item.message) || !self.hidden.contains(&item.message)
                };
                let alive = transcripts.get(conversation).map(Vec::as_slice).unwrap_or_default();
                let expected: Vec<_> = alive
                    .iter()
                    .filter(sees)
                    .filter(due)
                    .filter(|item| first.is_none_or(|first| item.seq >= first))
                    .map(|item| (item.seq, item.message, &item.text))
                    .collect();
                // What was lost and sent again keeps its sequence number, not its day: the stored
                // day counts.
                let stored = |item: &Item| {
                    alive.iter().find(|known| known.message == item.message).unwrap_or(item).clone()
                };
                let shown: Vec<_> = view
                    .iter()
                    .filter(|item| sees(&&stored(item)))
                    .map(|item| (item.seq, item.message, &item.text))
                    .collect();
                if shown != expected {
                    broken.push(format!("{conversation}: a view differs from a transcript: {shown:?} and {expected:?}"));
                }
            }
        }
        broken
    }

    /// Where several nodes told them one message at a time: before anyone comes back and is told
    /// anew.
    pub(crate) fn check_screens(&mut self) {
        let transcripts = self.transcripts();
        for words in self.check_views(&transcripts) {
            self.break_promise(format!("before they came back, {words}"));
        }
    }

    fn transcripts(&self) -> BTreeMap<ConversationId, Vec<Item>> {
        let all = self.disk.messages.iter();
        all.map(|(conversation, messages)| {
            (*conversation, messages.iter().map(|sequenced| item(sequenced)).collect())
        })
        .collect()
    }

    fn check_order(&self, client: &Client) -> Option<String> {
        let mut by_conversation: BTreeMap<_, Vec<_>> = BTreeMap::new();
        // What failed, or outlived its first sequence number before it was acked, came later than
        // it was said.
        let at_first = |acked: &&(_, MessageId, _, _)| {
            !self.failed.contains(&acked.1) && !self.swept.contains(&acked.1)
        };
        for (conversation, message, seq, _) in client.acked.iter().filter(at_first) {
            by_conversation.entry(conversation).or_default().push((message, seq));
        }
        for mut acked in by_conversation.into_values() {
            acked.sort_unstable();
            if !acked.windows(2).all(|pair| pair[0].1 < pair[1].1) {
                return Some(format!("what one person said changed its order: {acked:?}"));
            }
        }
        None
    }
}

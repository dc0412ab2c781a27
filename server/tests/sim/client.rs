//! A browser or a console with its journal: what it shows, what it waits for, what its person does.
//!
//! Not here: the way to the server (`connection`), what the server makes of it (`server`, `speak`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use livehelp::privacy::gate::Reader;
use protocol::conversation::{Availability, ConversationState, ResumePoint};
use protocol::ids::{AgentId, ConversationId, MessageId, VisitorId};
use protocol::message::{Author, Seq};
use protocol::time::{Day, UnixMillis};

use crate::connection::{Conn, Down, Up};
use crate::faults::Mood;
use crate::routing::agent_id;
use crate::world::{KEPT_DAYS, World};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) seq: Seq,
    pub(crate) message: MessageId,
    pub(crate) text: String,
    pub(crate) at: UnixMillis,
    pub(crate) day: Day,
    pub(crate) note: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) conversation: ConversationId,
    pub(crate) message: MessageId,
    pub(crate) text: String,
    pub(crate) seen: Seq,
    pub(crate) note: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Visitor(VisitorId),
    Agent(AgentId),
}

/// A browser, or a console, with its journal.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) tenant: usize,
    pub(crate) who: Who,
    /// A visitor's own conversation.
    pub(crate) own: Option<ConversationId>,
    pub(crate) opened: bool,
    pub(crate) conn: Option<Conn>,
    pub(crate) views: BTreeMap<ConversationId, Vec<Item>>,
    /// Where the view does not begin with the conversation: with what it begins.
    pub(crate) cut: BTreeMap<ConversationId, Seq>,
    pub(crate) outbox: VecDeque<Pending>,
    /// Something was refused for a while: all is said again.
    pub(crate) retries: bool,
    /// Refused for good, as its sender was told; a copy of it may still arrive and be taken.
    pub(crate) refused: VecDeque<Pending>,
    pub(crate) acked: Vec<(ConversationId, MessageId, Seq, String)>,
    pub(crate) offers: BTreeSet<ConversationId>,
    pub(crate) owners: BTreeMap<ConversationId, (u64, Option<AgentId>, ConversationState)>,
}

impl Client {
    pub(crate) fn reader(&self) -> Reader {
        match self.who {
            Who::Visitor(_) => Reader::Visitor,
            Who::Agent(_) => Reader::Agents,
        }
    }

    pub(crate) fn author(&self) -> Author {
        match self.who {
            Who::Visitor(_) => Author::Visitor,
            Who::Agent(agent) => Author::Agent(agent),
        }
    }

    pub(crate) fn is_mine(&self, conversation: ConversationId) -> bool {
        match self.who {
            Who::Visitor(_) => self.opened && self.own == Some(conversation),
            Who::Agent(agent) => {
                self.owners.get(&conversation).is_some_and(|(_, owner, _)| *owner == Some(agent))
            }
        }
    }

    /// The last message that it has of a conversation.
    pub(crate) fn point(&self, conversation: ConversationId) -> Option<ResumePoint> {
        let last = self.views.get(&conversation)?.last()?;
        let (seq, message, at) = (last.seq, Some(last.message), Some(last.at));
        Some(ResumePoint { conversation, seq, message, at })
    }

    /// A page that is the first here says whether there is something before it.
    fn begin(&mut self, conversation: ConversationId, more: Option<Seq>) {
        if self.views.get(&conversation).is_some_and(|view| !view.is_empty()) {
            return;
        }
        self.cut.remove(&conversation);
        self.cut.extend(more.map(|first| (conversation, first)));
    }

    /// Whether a sequence number lies before what is on the screen: scrolling back brings it, with
    /// its neighbours.
    fn is_before(&self, conversation: ConversationId, seq: Seq) -> bool {
        self.cut.get(&conversation).is_some_and(|first| seq < *first)
    }

    pub(crate) fn insert(&mut self, conversation: ConversationId, item: Item) {
        let is_before = self.is_before(conversation, item.seq);
        let view = self.views.entry(conversation).or_default();
        view.retain(|known| known.message != item.message && known.seq != item.seq);
        if is_before {
            return;
        }
        let at = view.partition_point(|known| known.seq < item.seq);
        view.insert(at, item);
    }
}

impl World {
    pub(crate) fn client_acts(&mut self) {
        let at = self.actor();
        let Some(conn) = self.clients[at].conn else { return };
        if self.is_far() && self.clients[at].retries && self.chance.one_in(3) {
            return self.resend(at);
        }
        if let Some(frame) = match self.clients[at].who {
            Who::Visitor(_) => self.visitor_acts(at),
            Who::Agent(_) => self.agent_acts(at),
        } && let Some(wire) = self.wires.get_mut(&conn)
        {
            wire.up.push_back(frame);
        }
    }

    /// Someone; in a crowd nearly always one of those about the first conversation.
    pub(crate) fn actor(&mut self) -> usize {
        let at = self.chance.below(self.clients.len());
        let first = self.clients[0].own;
        if !self.mood.is_about_one() || self.chance.one_in(6) {
            return at;
        }
        let about = |client: &Client| {
            client.own == first || first.is_some_and(|first| client.is_mine(first))
        };
        let all: Vec<_> = (0..self.clients.len()).filter(|n| about(&self.clients[*n])).collect();
        self.chance.pick(&all).unwrap_or(at)
    }

    pub(crate) fn visitor_acts(&mut self, at: usize) -> Option<Up> {
        let own = self.clients[at].own?;
        if !self.clients[at].opened {
            return None;
        }
        match self.chance.below(30) {
            0 => Some(Up::Close { conversation: own }),
            1..=3 => Some(Up::Reopen { conversation: own }),
            4 => {
                let strangers: Vec<_> =
                    self.server.headers.keys().copied().filter(|id| *id != own).collect();
                Some(Up::Pry { conversation: self.chance.pick(&strangers)? })
            }
            _ => self.says(at, own, false),
        }
    }

    pub(crate) fn agent_acts(&mut self, at: usize) -> Option<Up> {
        let client = &self.clients[at];
        let Who::Agent(me) = client.who else { return None };
        let offers: Vec<_> = client.offers.iter().copied().collect();
        let mine: Vec<_> = client.owners.keys().copied().filter(|id| client.is_mine(*id)).collect();
        let known: Vec<_> = client.owners.keys().copied().collect();
        let colleague = agent_id(self.tenants[client.tenant].id, 0);
        match self.chance.below(20) {
            0..=5 => Some(Up::Accept { conversation: self.chance.pick(&offers)? }),
            6 => Some(Up::Decline { conversation: self.chance.pick(&offers)? }),
            7 => Some(Up::Close { conversation: self.chance.pick(&mine)? }),
            8 => {
                let to = if colleague == me {
                    agent_id(self.tenants[self.clients[at].tenant].id, 1)
                } else {
                    colleague
                };
                Some(Up::Transfer { conversation: self.chance.pick(&mine)?, to })
            }
            9 => {
                let choices =
                    [Availability::Available, Availability::Available, Availability::Away];
                Some(Up::Choose { availability: self.chance.pick(&choices)? })
            }
            10 | 11 => {
                let conversation = self.chance.pick(&known)?;
                self.says(at, conversation, true)
            }
            12 => {
                let all: Vec<_> = self.server.headers.keys().copied().collect();
                Some(Up::Pry { conversation: self.chance.pick(&all)? })
            }
            _ => {
                let conversation = self.chance.pick(&mine)?;
                self.says(at, conversation, false)
            }
        }
    }

    /// One message, or many at a time; the last of them is returned.
    pub(crate) fn says(
        &mut self,
        at: usize,
        conversation: ConversationId,
        note: bool,
    ) -> Option<Up> {
        let often = if self.mood == Mood::Crowd { 12 } else { 40 };
        let burst = if self.chance.one_in(often) { 60 } else { 1 };
        let mut last = None;
        for n in 0..burst {
            let message = self.message_id();
            let client = &mut self.clients[at];
            let card = if self.chance.one_in(9) { " 4111 1111 1111 1111" } else { "" };
            let text =
                format!("{}/{conversation} {}{card}", self.tenants[client.tenant].id, self.next);
            let view = client.views.get(&conversation);
            let seen = view.and_then(|view| view.last()).map_or(Seq(0), |last| last.seq);
            let pending = Pending { conversation, message, text, seen, note };
            client.outbox.push_back(pending.clone());
            let frame = Up::Send(pending);
            if n + 1 == burst {
                last = Some(frame);
            } else if let Some(wire) = client.conn.and_then(|conn| self.wires.get_mut(&conn)) {
                wire.up.push_back(frame);
            }
        }
        last
    }

    pub(crate) fn show(&mut self, at: usize, frame: Down, judged: Day) {
        match frame {
            Down::Page { conversation, reset, more, items } => {
                self.check_shown(at, conversation, &items, judged);
                if reset {
                    self.counts.resets += 1;
                    self.clients[at].views.remove(&conversation);
                }
                self.clients[at].begin(conversation, more);
                for item in items {
                    self.clients[at].insert(conversation, item);
                }
            }
            Down::Message { conversation, item } => {
                self.check_shown(at, conversation, std::slice::from_ref(&item), judged);
                self.clients[at].insert(conversation, item);
            }
            Down::Ack { message, seq, at: time, expires } => {
                // The first day on which it is dead is told; the simulated sites keep all alike.
                let day = Day(expires.map_or(0, |dead| dead.0 - KEPT_DAYS - 1));
                self.acked(at, message, (seq, time, day));
            }
            Down::Void { conversation, seq, message } => {
                if let Some(view) = self.clients[at].views.get_mut(&conversation) {
                    view.retain(|item| item.message != message || item.seq != seq);
                }
            }
            Down::Reject { message, retry } => {
                let client = &mut self.clients[at];
                client.retries |= retry;
                let refused = |pending: &&Pending| !retry && pending.message == message;
                client.refused.extend(client.outbox.iter().find(refused).cloned());
                client.outbox.retain(|pending| !refused(&pending));
            }
            Down::Opened => self.clients[at].opened = true,
            Down::Offer { conversation } => {
                self.clients[at].offers.insert(conversation);
            }
            Down::OfferOver { conversation } => {
                self.clients[at].offers.remove(&conversation);
            }
            Down::Owner { conversation, version, assignee, state } => {
                let known = self.clients[at].owners.get(&conversation);
                if known.is_none_or(|(before, ..)| *before <= version) {
                    self.clients[at].owners.insert(conversation, (version, assignee, state));
                }
            }
        }
    }

    pub(crate) fn acked(
        &mut self,
        at: usize,
        message: MessageId,
        (seq, time, day): (Seq, UnixMillis, Day),
    ) {
        let client = &mut self.clients[at];
        let is_it = |pending: &Pending| pending.message == message;
        let take = |from: &mut VecDeque<Pending>| from.remove(from.iter().position(is_it)?);
        let late = take(&mut client.refused);
        // Refused at first, taken when another copy came.
        self.failed.extend(late.as_ref().map(|pending| pending.message));
        let pending = late.or_else(|| take(&mut client.outbox));
        let Some(pending) = pending else { return };
        let Pending { conversation, message, text, note, .. } = pending;
        self.counts.acked += 1;
        self.refused_at.remove(&message);
        let text = text.replace("4111 1111 1111 1111", "[hidden]");
        client.acked.push((conversation, message, seq, text.clone()));
        client.insert(conversation, Item { seq, message, text, at: time, day, note });
    }
}

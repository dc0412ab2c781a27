//! What the servers do with a frame, as the hub does it around the real `room` and `routing`:
//! greeting, opening, closing. Who has which conversation is decided at one desk for all nodes.
//!
//! Not here: the way of a message (`speak`, `node`), what routing decides (`routing`), what
//! survives (`disk`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use livehelp::privacy::envelope::Sequenced;
use livehelp::privacy::gate::{Door, ReadGrant};
use livehelp::privacy::sweep::{self, Trust};
use livehelp::room::Member;
use livehelp::routing::{Effect, Input, Routing, RoutingConfig, Standing};
use livehelp::sequencer::{self, Older, Resumed};
use protocol::conversation::{Availability, ConversationState, ResumePoint};
use protocol::ids::{AgentId, ConversationId, VisitorId};
use protocol::message::Seq;
use protocol::time::{Day, UnixMillis};

use crate::client::{Client, Who};
use crate::connection::{Conn, Down, Up, connection};
use crate::disk::{Disk, Write, is_dead};
use crate::faults::Planted;
use crate::routing::agent_id;
use crate::speak::{item_of, message_of};
use crate::world::{AGENTS, Tenant, World};

/// A conversation's header.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) tenant: usize,
    pub(crate) visitor: VisitorId,
    pub(crate) standing: Standing,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) routing: Vec<Routing>,
    pub(crate) headers: BTreeMap<ConversationId, Header>,
    pub(crate) offers: BTreeSet<(ConversationId, AgentId)>,
    /// Changed headers that are on their way to the disk.
    pub(crate) changed: Vec<Write>,
    pub(crate) mark: UnixMillis,
    /// Where `expected` stood then.
    pub(crate) marked_at: UnixMillis,
    /// Where the wall clock would be without its steps.
    pub(crate) expected: UnixMillis,
    pub(crate) trusted: bool,
}

impl Server {
    pub(crate) fn start(tenants: &[Tenant], disk: &Disk, now: UnixMillis) -> Self {
        let trust = sweep::judge_at_start(disk.mark, now, true);
        let mark = match trust {
            Trust::Trusted(at) => at,
            Trust::Ahead | Trust::Behind => disk.mark.unwrap_or(now),
        };
        let routing = tenants
            .iter()
            .map(|tenant| {
                let mut routing = Routing::new(tenant.id, RoutingConfig::default());
                routing.know_site(tenant.site);
                for n in 0..AGENTS {
                    let input = Input::AgentKnown {
                        agent: agent_id(tenant.id, n),
                        availability: Availability::Available,
                        capacity: 1 + u16::from(n),
                    };
                    routing.handle(input, now).unwrap();
                }
                routing
            })
            .collect();
        let mut server = Self {
            routing,
            headers: disk.headers.clone(),
            offers: BTreeSet::new(),
            changed: Vec::new(),
            mark,
            marked_at: now,
            expected: now,
            trusted: matches!(trust, Trust::Trusted(_)),
        };
        for (conversation, header) in &disk.headers {
            let standing = header.standing;
            if standing.state == ConversationState::Closed {
                continue;
            }
            let input = Input::Restore {
                conversation: *conversation,
                site: standing.site,
                version: standing.version,
                state: standing.state,
                assignee: standing.assignee,
                waiting_since: standing.waiting_since,
                channel: standing.channel,
            };
            let effects = server.routing[header.tenant].handle(input, now).unwrap();
            server.keep(header.tenant, header.visitor, &effects);
        }
        server
    }

    pub(crate) fn keep(&mut self, tenant: usize, visitor: VisitorId, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Changed { conversation, standing } = effect {
                let header = Header { tenant, visitor, standing: *standing };
                self.headers.insert(*conversation, header);
            }
        }
        self.write_headers(effects);
    }

    /// Keeps what routing decided, and puts it into the queue as one.
    pub(crate) fn apply(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Changed { conversation, standing } = effect
                && let Some(header) = self.headers.get_mut(conversation)
            {
                header.standing = *standing;
            }
        }
        self.write_headers(effects);
    }

    fn write_headers(&mut self, effects: &[Effect]) {
        let changed = effects.iter().filter_map(|effect| {
            let Effect::Changed { conversation, .. } = effect else { return None };
            Some((*conversation, self.headers.get(conversation)?.clone()))
        });
        let changed: Vec<_> = changed.collect();
        if !changed.is_empty() {
            self.changed.push(Write::Headers(changed));
        }
    }
}

impl World {
    /// Headers go to the disk by one node's queue, in the order of their changes.
    pub(crate) fn queue_headers(&mut self) {
        self.nodes[0].queue.extend(self.server.changed.drain(..));
    }

    pub(crate) fn serve(&mut self, conn: Conn, frame: Up) {
        let Some(wire) = self.wires.get(&conn) else { return };
        let at = wire.client;
        let Client { tenant, who, .. } = self.clients[at];
        match (frame, who) {
            (Up::Hello { points }, _) => self.greet(conn, at, &points),
            (Up::Open { conversation }, Who::Visitor(visitor)) => {
                self.open(conn, tenant, visitor, conversation);
            }
            (Up::Send(pending), _) => self.take(conn, at, pending),
            (Up::Accept { conversation }, Who::Agent(agent)) if self.may(at, conversation) => {
                self.accept(tenant, agent, conversation);
            }
            (Up::Decline { conversation }, Who::Agent(agent)) => {
                self.route(tenant, Input::Decline { agent, conversation });
            }
            (Up::Transfer { conversation, to }, Who::Agent(from)) => {
                self.route(tenant, Input::Transfer { from, to, conversation });
            }
            (Up::Choose { availability }, Who::Agent(agent)) => {
                self.route(tenant, Input::Availability { agent, availability, capacity: None });
            }
            (Up::Close { conversation }, _) if self.may(at, conversation) => {
                self.route(tenant, Input::Closed { conversation });
            }
            (Up::Reopen { conversation }, _) => self.reopen(at, tenant, conversation),
            (Up::Pry { conversation }, _) => {
                let allowed = self.may(at, conversation);
                if allowed {
                    self.attend(conn, at, conversation, None);
                } else {
                    self.counts.refused_strangers += 1;
                }
            }
            _ => {}
        }
    }

    /// Whether this client may be in this conversation.
    pub(crate) fn may(&self, at: usize, conversation: ConversationId) -> bool {
        let client = &self.clients[at];
        self.has(Planted::AnyTenant)
            || self.server.headers.get(&conversation).is_some_and(|header| {
                header.tenant == client.tenant
                    && match client.who {
                        Who::Visitor(visitor) => header.visitor == visitor,
                        Who::Agent(_) => true,
                    }
            })
    }

    pub(crate) fn greet(&mut self, conn: Conn, at: usize, points: &[ResumePoint]) {
        let Client { tenant, who, .. } = self.clients[at];
        let first = !self
            .wires
            .values()
            .any(|other| other.greeted && self.clients[other.client].who == who);
        if let Some(wire) = self.wires.get_mut(&conn) {
            wire.greeted = true;
        }
        let all: Vec<_> = self.server.headers.keys().copied().collect();
        for conversation in all.into_iter().filter(|id| self.may(at, *id)).collect::<Vec<_>>() {
            let point = points.iter().find(|point| point.conversation == conversation);
            self.attend(conn, at, conversation, point);
        }
        if let (Who::Agent(agent), true) = (who, first) {
            self.route(tenant, Input::AgentConnected { agent });
        }
    }

    pub(crate) fn stored_after(
        &self,
        conversation: ConversationId,
        after: Seq,
    ) -> Vec<Arc<Sequenced>> {
        let stored = self.disk.messages.get(&conversation).map(Vec::as_slice).unwrap_or_default();
        stored.iter().filter(|sequenced| sequenced.seq() > after).cloned().collect()
    }

    /// What the client says of its last message; with a bug, a time is found for it that fits.
    fn believed(&self, conversation: ConversationId, point: &ResumePoint) -> ResumePoint {
        let mut point = point.clone();
        if self.has(Planted::ResumeWithoutTime) {
            let fits = |sequenced: &&Arc<Sequenced>| {
                sequenced.seq() == point.seq
                    && Some(sequenced.envelope().message()) == point.message
            };
            let stored = self.stored_after(conversation, Seq(0));
            point.at = stored.iter().find(fits).map(|sequenced| sequenced.envelope().at());
        }
        point
    }

    /// With a bug: what follows the client's last message, whatever else it may show that is not
    /// there.
    fn after_all(
        &self,
        conversation: ConversationId,
        point: &ResumePoint,
    ) -> Option<Vec<Arc<Sequenced>>> {
        if !self.has(Planted::KeepGhosts) {
            return None;
        }
        let mut all = self.stored_after(conversation, Seq(point.seq.0.saturating_sub(1)));
        let first = all.first().filter(|first| {
            first.seq() == point.seq && Some(first.envelope().message()) == point.message
        })?;
        (Some(first.envelope().at()) == point.at).then(|| all.split_off(1))
    }

    /// Lets a client into a room with what it missed.
    pub(crate) fn attend(
        &mut self,
        conn: Conn,
        at: usize,
        conversation: ConversationId,
        point: Option<&ResumePoint>,
    ) {
        let (author, reader) = (self.clients[at].author(), self.clients[at].reader());
        let Some(node) = self.wires.get(&conn).map(|wire| wire.node) else { return };
        let mut older = None;
        let point = point.map(|point| self.believed(conversation, point));
        if let Some(point) = point.as_ref().filter(|_| self.is_far()) {
            let behind = self
                .room(node, conversation)
                .and_then(|live| live.room.sequencer().is_behind(point));
            if let Some(gap) = behind {
                self.read(node, conversation, gap);
                let given = sequencer::Input::Given(self.disk.seq_last(conversation));
                if let Some(live) = self.room(node, conversation) {
                    live.room.sequencer_mut().handle(given);
                }
            }
        }
        let far = self.is_far();
        let (reset, page) = loop {
            let ghosts = point.as_ref().and_then(|point| self.after_all(conversation, point));
            let Some(live) = self.room(node, conversation) else { return };
            let sequencer = live.room.sequencer();
            let resumed = if far {
                sequencer.resume_anew(point.as_ref())
            } else {
                sequencer.resume(point.as_ref(), older.as_ref())
            };
            match resumed {
                Resumed::Reset(_) if ghosts.is_some() => break (false, ghosts.unwrap_or_default()),
                Resumed::After(page) => break (false, page),
                Resumed::Reset(page) => break (true, page),
                Resumed::LookInStore { after, through } => {
                    let seq = point.as_ref().map_or(Seq(0), |point| point.seq);
                    let stored = self.stored_after(conversation, after);
                    let (before, following) = stored.into_iter().partition(|row| row.seq() <= seq);
                    older = Some(Older { before, following, whole: true, through });
                }
            }
        };
        if let Some(live) = self.room(node, conversation) {
            let connection = connection(conn);
            live.room.join(Member { connection, author, reader, sink: conn });
        }
        let tenant = self.server.headers.get(&conversation).map_or(0, |header| header.tenant);
        let day = if self.has(Planted::SkipExpiry) { Day(0) } else { self.today() };
        let timeline = &self.tenants[tenant].timeline;
        let grant = ReadGrant::stored(Door::Resume, reader, day, timeline);
        let items: Vec<_> = page
            .iter()
            .filter_map(|sequenced| {
                Some((sequenced.shown(&grant)?, sequenced.envelope().tag().ingest_day))
            })
            .map(|(shown, day)| item_of(&shown, day))
            .collect();
        // As a client's edge: what it cannot see is no beginning.
        let more = items.first().map(|first| first.seq).filter(|first| *first > Seq(1));
        let day = self.today();
        self.hidden.extend(page.iter().filter(|p| is_dead(p, day)).map(message_of));
        if let Some(header) = self.server.headers.get(&conversation) {
            let Standing { version, assignee, state, .. } = header.standing;
            self.push(conn, Down::Owner { conversation, version, assignee, state });
        }
        if !self.has(Planted::NoResume) || point.is_none() {
            self.push(conn, Down::Page { conversation, reset, more, items });
        }
    }

    pub(crate) fn open(
        &mut self,
        conn: Conn,
        tenant: usize,
        visitor: VisitorId,
        conversation: ConversationId,
    ) {
        if !self.server.headers.contains_key(&conversation) {
            let site = self.tenants[tenant].site;
            let input = Input::Opened { conversation, site };
            let effects = self.server.routing[tenant].handle(input, self.now).unwrap();
            let (own, rest): (Vec<_>, Vec<_>) = effects.into_iter().partition(
                |effect| matches!(effect, Effect::Changed { conversation: id, .. } if *id == conversation),
            );
            self.server.keep(tenant, visitor, &own);
            self.queue_headers();
            self.run(tenant, &rest);
            let consoles: Vec<(Conn, usize)> = self
                .wires
                .iter()
                .filter(|(_, wire)| wire.greeted && !wire.cut)
                .map(|(conn, wire)| (*conn, wire.client))
                .filter(|(_, at)| self.clients[*at].tenant == tenant)
                .filter(|(_, at)| matches!(self.clients[*at].who, Who::Agent(_)))
                .collect();
            for (console, at) in consoles {
                // One that a crash took back may be on a screen yet.
                let point = self.clients[at].point(conversation).filter(|_| self.is_far());
                self.attend(console, at, conversation, point.as_ref());
            }
        }
        let at = self.wires.get(&conn).map_or(0, |wire| wire.client);
        if self.may(at, conversation) {
            self.attend(conn, at, conversation, None);
            // Behind the header that it is about.
            self.nodes[0].queue.push_back(Write::Opened { sender: conn });
        }
    }

    pub(crate) fn reopen(&mut self, at: usize, tenant: usize, conversation: ConversationId) {
        let Some(header) = self.server.headers.get(&conversation).cloned() else { return };
        if !self.may(at, conversation) || header.standing.state != ConversationState::Closed {
            return;
        }
        let Standing { site, version, assignee: former, .. } = header.standing;
        self.route(tenant, Input::Reopened { conversation, site, version, former });
    }

    pub(crate) fn accept(&mut self, tenant: usize, agent: AgentId, conversation: ConversationId) {
        let asked = self.server.routing[tenant].standing(conversation).and_then(|s| s.offered_to);
        if self.has(Planted::DoubleOffer) && asked != Some(agent) {
            // The second one who was asked is believed without asking routing.
            if let Some(header) = self.server.headers.get_mut(&conversation) {
                header.standing.assignee = Some(agent);
                header.standing.state = ConversationState::Active;
            }
            return;
        }
        self.route(tenant, Input::Accept { agent, conversation });
    }
}

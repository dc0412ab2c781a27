//! A server's life in one thread: the real `room`, `routing` and `privacy`, a shell around them that
//! does what the hub does, a disk that loses what was not committed, lines that break, and clients
//! that keep their own journals.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use livehelp::privacy::envelope::{Flags, Placed};
use livehelp::privacy::gate::{Door, ReadGrant, Reader};
use livehelp::privacy::ingest::{Ground, Said, event, ingest};
use livehelp::privacy::policy::{Plan, SiteTimeline};
use livehelp::privacy::redact::Redactor;
use livehelp::privacy::seal::Bucket;
use livehelp::privacy::sweep::{self, Trust};
use livehelp::room::{Accepted, Member, Resumed, Room, TAIL_MAX};
use livehelp::routing::{Effect, Input, Routing, RoutingConfig, Standing};
use protocol::conversation::{Availability, ConversationState, ResumePoint};
use protocol::ids::{
    AgentId, ConnectionId, ConversationId, MessageId, SiteId, TenantId, VisitorId,
};
use protocol::message::{Author, Body, EventKind, Message, Seq, Visibility};
use protocol::personal::Text;
use protocol::time::{Day, UnixMillis};

use crate::faults::{Chance, Counts, Planted};

pub(crate) const DAY_MS: u64 = 86_400_000;
const START: UnixMillis = UnixMillis(1_790_000_000_000);
const TENANTS: usize = 2;
const AGENTS: u8 = 3;
const VISITORS: u8 = 4;
/// Days that a free plan keeps; the simulated sites have no other.
pub(crate) const KEPT_DAYS: u16 = 60;

type Conn = u64;

/// An Organization with one site.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    site: SiteId,
    timeline: SiteTimeline,
    redactor: Redactor,
}

/// A conversation's header.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) tenant: usize,
    visitor: VisitorId,
    pub(crate) standing: Standing,
}

/// What survives a crash.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) messages: BTreeMap<ConversationId, Vec<Arc<Placed>>>,
    pub(crate) headers: BTreeMap<ConversationId, Header>,
    pub(crate) mark: Option<UnixMillis>,
}

#[derive(Debug)]
enum Write {
    Message {
        placed: Arc<Placed>,
        sender: Option<Conn>,
    },
    /// A duplicate: answered after what is before it.
    Confirm {
        conversation: ConversationId,
        message: MessageId,
        seq: Seq,
        day: Day,
        sender: Conn,
    },
    Header {
        conversation: ConversationId,
        header: Header,
    },
    Opened {
        sender: Conn,
    },
}

/// What does not.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) rooms: BTreeMap<ConversationId, Room<Conn>>,
    pub(crate) routing: Vec<Routing>,
    pub(crate) headers: BTreeMap<ConversationId, Header>,
    pub(crate) offers: BTreeSet<(ConversationId, AgentId)>,
    queue: VecDeque<Write>,
    /// Committed (or failed), and nobody was told yet.
    fates: VecDeque<(Write, bool)>,
    pub(crate) mark: UnixMillis,
    /// Where the wall clock would be without its steps.
    expected: UnixMillis,
    trusted: bool,
}

/// A line between a client and the server.
#[derive(Debug)]
struct Wire {
    client: usize,
    up: VecDeque<Up>,
    /// Frames, and the day by which they were judged.
    down: VecDeque<(Day, Down)>,
    /// The client let go; what it had sent may still arrive.
    cut: bool,
    greeted: bool,
}

#[derive(Debug, Clone)]
enum Up {
    Hello {
        points: Vec<ResumePoint>,
    },
    Open {
        conversation: ConversationId,
    },
    Send(Pending),
    Accept {
        conversation: ConversationId,
    },
    Decline {
        conversation: ConversationId,
    },
    Close {
        conversation: ConversationId,
    },
    Reopen {
        conversation: ConversationId,
    },
    Transfer {
        conversation: ConversationId,
        to: AgentId,
    },
    Choose {
        availability: Availability,
    },
    /// Someone who names what is not his.
    Pry {
        conversation: ConversationId,
    },
}

/// What a client has on its screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) seq: Seq,
    pub(crate) message: MessageId,
    pub(crate) text: String,
    pub(crate) day: Day,
    pub(crate) note: bool,
}

#[derive(Debug, Clone)]
enum Down {
    Page {
        conversation: ConversationId,
        reset: bool,
        items: Vec<Item>,
    },
    Message {
        conversation: ConversationId,
        item: Item,
    },
    Ack {
        message: MessageId,
        seq: Seq,
        day: Day,
    },
    Void {
        conversation: ConversationId,
        message: MessageId,
    },
    Reject {
        message: MessageId,
        retry: bool,
    },
    Opened,
    Offer {
        conversation: ConversationId,
    },
    OfferOver {
        conversation: ConversationId,
    },
    Owner {
        conversation: ConversationId,
        version: u64,
        assignee: Option<AgentId>,
        state: ConversationState,
    },
}

/// A message that is not acked.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    conversation: ConversationId,
    message: MessageId,
    text: String,
    seen: Seq,
    note: bool,
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
    own: Option<ConversationId>,
    opened: bool,
    conn: Option<Conn>,
    pub(crate) views: BTreeMap<ConversationId, Vec<Item>>,
    pub(crate) outbox: VecDeque<Pending>,
    /// Refused for good, as its sender was told; a copy of it may still arrive and be taken.
    refused: VecDeque<Pending>,
    pub(crate) acked: Vec<(ConversationId, MessageId, Seq, String)>,
    offers: BTreeSet<ConversationId>,
    owners: BTreeMap<ConversationId, (u64, Option<AgentId>, ConversationState)>,
}

impl Client {
    fn reader(&self) -> Reader {
        match self.who {
            Who::Visitor(_) => Reader::Visitor,
            Who::Agent(_) => Reader::Agents,
        }
    }

    fn author(&self) -> Author {
        match self.who {
            Who::Visitor(_) => Author::Visitor,
            Who::Agent(agent) => Author::Agent(agent),
        }
    }

    fn is_mine(&self, conversation: ConversationId) -> bool {
        match self.who {
            Who::Visitor(_) => self.opened && self.own == Some(conversation),
            Who::Agent(agent) => {
                self.owners.get(&conversation).is_some_and(|(_, owner, _)| *owner == Some(agent))
            }
        }
    }

    fn insert(&mut self, conversation: ConversationId, item: Item) {
        let view = self.views.entry(conversation).or_default();
        view.retain(|known| known.message != item.message && known.seq != item.seq);
        let at = view.partition_point(|known| known.seq < item.seq);
        view.insert(at, item);
    }
}

/// Everything, from one seed.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) planted: Option<Planted>,
    pub(crate) counts: Counts,
    pub(crate) now: UnixMillis,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) disk: Disk,
    pub(crate) server: Server,
    pub(crate) clients: Vec<Client>,
    wires: BTreeMap<Conn, Wire>,
    next: u64,
    /// What a sweep destroyed rightly.
    pub(crate) swept: BTreeSet<MessageId>,
    /// What a clock that ran ahead hid from someone; it comes back when he loads the page anew.
    pub(crate) hidden: BTreeSet<MessageId>,
    /// What could not be stored at the first try, so that it came later than what followed it.
    pub(crate) failed: BTreeSet<MessageId>,
    /// Broken promises, in words.
    pub(crate) broken: Vec<String>,
}

pub(crate) fn id16(kind: u8, a: u8, b: u8) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[14] = a;
    bytes[15] = b;
    bytes
}

/// What a stored message says, whatever the day.
pub(crate) fn item(placed: &Placed) -> Item {
    let grant = ReadGrant::fan_out(Reader::Agents, Day(0));
    let shown = placed.shown(&grant).expect("day 0 is before every end");
    item_of(&shown, placed.envelope().tag().ingest_day)
}

fn item_of(shown: &Message<'_>, day: Day) -> Item {
    Item {
        seq: shown.seq,
        message: shown.message,
        text: match &shown.body {
            Body::Text(text) => text.expose().to_owned(),
            Body::Event { event, .. } => format!("({})", event.word()),
        },
        day,
        note: shown.visibility == Visibility::Agents,
    }
}

impl Server {
    fn start(tenants: &[Tenant], disk: &Disk, now: UnixMillis) -> Self {
        let trust = sweep::judge_at_start(disk.mark, now);
        let mark = match trust {
            Trust::Trusted(at) => at,
            Trust::Ahead | Trust::Behind => disk.mark.unwrap_or(now),
        };
        let routing = tenants
            .iter()
            .map(|tenant| {
                let mut routing = Routing::new(tenant.id, RoutingConfig::default());
                routing.handle(Input::SiteKnown { site: tenant.site }, now).unwrap();
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
            rooms: BTreeMap::new(),
            routing,
            headers: disk.headers.clone(),
            offers: BTreeSet::new(),
            queue: VecDeque::new(),
            fates: VecDeque::new(),
            mark,
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
                offline_message: standing.offline_message,
            };
            let effects = server.routing[header.tenant].handle(input, now).unwrap();
            server.keep(header.tenant, header.visitor, &effects);
        }
        server
    }

    fn keep(&mut self, tenant: usize, visitor: VisitorId, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Changed { conversation, standing } = effect {
                let header = Header { tenant, visitor, standing: *standing };
                self.headers.insert(*conversation, header.clone());
                self.queue.push_back(Write::Header { conversation: *conversation, header });
            }
        }
    }
}

fn agent_id(tenant: TenantId, n: u8) -> AgentId {
    AgentId::from_bytes(id16(0xA0, tenant.as_bytes()[15], n))
}

impl World {
    pub(crate) fn new(seed: u64, planted: Option<Planted>) -> Self {
        let tenants: Vec<_> = (0..TENANTS)
            .map(|n| {
                let n = u8::try_from(n).unwrap();
                Tenant {
                    id: TenantId::from_bytes(id16(0x10, 0, n)),
                    site: SiteId::from_bytes(id16(0x20, 0, n)),
                    timeline: SiteTimeline::new(UnixMillis(0), Plan::Free),
                    redactor: Redactor::default(),
                }
            })
            .collect();
        let disk = Disk::default();
        let server = Server::start(&tenants, &disk, START);
        let client = |tenant, who, own| Client {
            tenant,
            who,
            own,
            opened: false,
            conn: None,
            views: BTreeMap::new(),
            outbox: VecDeque::new(),
            refused: VecDeque::new(),
            acked: Vec::new(),
            offers: BTreeSet::new(),
            owners: BTreeMap::new(),
        };
        let mut clients = Vec::new();
        for (n, tenant) in tenants.iter().enumerate() {
            let t = tenant.id.as_bytes()[15];
            for v in 0..VISITORS {
                let who = Who::Visitor(VisitorId::from_bytes(id16(0x30, t, v)));
                let own = Some(ConversationId::from_bytes(id16(0x40, t, v)));
                clients.push(client(n, who, own));
                // The first has a second tab.
                if v == 0 {
                    clients.push(client(n, who, own));
                }
            }
            for a in 0..AGENTS {
                clients.push(client(n, Who::Agent(agent_id(tenant.id, a)), None));
            }
        }
        Self {
            chance: Chance::new(seed),
            planted,
            counts: Counts::default(),
            now: START,
            tenants,
            disk,
            server,
            clients,
            wires: BTreeMap::new(),
            next: 1,
            swept: BTreeSet::new(),
            failed: BTreeSet::new(),
            hidden: BTreeSet::new(),
            broken: Vec::new(),
        }
    }

    pub(crate) fn break_promise(&mut self, words: String) {
        self.broken.push(words);
    }

    fn has(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }

    /// The day by which reading hides.
    pub(crate) fn today(&self) -> Day {
        sweep::reading_day(self.server.mark, self.now)
    }

    fn message_id(&mut self) -> MessageId {
        self.next += 1;
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&self.next.to_be_bytes());
        bytes[6] = 0x70;
        bytes[8] = 0x80;
        MessageId::from_bytes(bytes)
    }

    // One step of the story.

    pub(crate) fn step(&mut self) {
        match self.chance.below(100) {
            0..=39 => self.carry_a_frame(),
            40..=54 => self.client_acts(),
            55..=66 => self.commit(),
            67..=76 => self.tell_a_fate(),
            77..=84 => self.time_passes(),
            85..=88 => self.client_connects(),
            89..=91 => self.cut_a_wire(),
            92..=94 => self.notice_a_cut(),
            95 => self.fail_a_batch(),
            96 => self.sweep(),
            97 => self.drop_idle_rooms(),
            98 => {
                if self.chance.one_in(3) {
                    self.crash();
                }
            }
            _ => self.clock_steps(),
        }
    }

    /// Faults end, everyone comes back, everything is told.
    pub(crate) fn settle(&mut self) {
        for round in 0..40 {
            for client in 0..self.clients.len() {
                if round == 20 {
                    self.cut(client);
                }
                self.connect(client);
                self.resend(client);
            }
            loop {
                let busy: Vec<Conn> = self
                    .wires
                    .iter()
                    .filter(|(_, wire)| !wire.up.is_empty() || !wire.down.is_empty())
                    .map(|(conn, _)| *conn)
                    .collect();
                if busy.is_empty() && self.server.queue.is_empty() && self.server.fates.is_empty() {
                    break;
                }
                for conn in busy {
                    self.carry_up(conn);
                    self.carry_down(conn);
                }
                let all = self.server.queue.len();
                self.commit_some(all);
                while !self.server.fates.is_empty() {
                    self.tell_a_fate();
                }
            }
            if round > 20 && self.clients.iter().all(|client| client.outbox.is_empty()) {
                return;
            }
        }
        self.break_promise("a message is neither acked nor refused".to_owned());
    }

    fn time_passes(&mut self) {
        let ms = match self.chance.below(20) {
            0 => 20_000 + self.chance.ms(30_000),
            1..=4 => self.chance.ms(10_000),
            _ => self.chance.ms(300),
        };
        self.now = self.now.plus_ms(ms);
        self.server.expected = self.server.expected.plus_ms(ms);
        self.judge_clock();
        for tenant in 0..self.tenants.len() {
            let due = self.server.routing[tenant].next_deadline();
            if due.is_some_and(|at| at <= self.now) || self.chance.one_in(10) {
                self.route(tenant, Input::Tick);
            }
        }
    }

    fn clock_steps(&mut self) {
        self.counts.clock_steps += 1;
        let days = self.chance.ms(70);
        match self.chance.below(6) {
            0 => self.now = UnixMillis(self.now.0 - self.chance.ms(7_200_000)),
            1 => self.now = UnixMillis(self.now.0.saturating_sub(days * DAY_MS).max(START.0)),
            2 => self.now = self.now.plus_ms(days * DAY_MS),
            // Days that really pass: the monotonic clock counts them too.
            _ => {
                let ms = self.chance.ms(25 * DAY_MS);
                self.now = self.now.plus_ms(ms);
                self.server.expected = self.server.expected.plus_ms(ms);
            }
        }
        self.judge_clock();
    }

    fn judge_clock(&mut self) {
        match sweep::judge(self.server.mark, self.server.expected, self.now) {
            Trust::Trusted(mark) => {
                self.server.trusted = true;
                self.server.mark = mark.max(self.server.mark);
            }
            Trust::Ahead | Trust::Behind => self.server.trusted = false,
        }
    }

    // Lines.

    fn client_connects(&mut self) {
        let client = self.chance.below(self.clients.len());
        self.connect(client);
    }

    fn connect(&mut self, client: usize) {
        if self.clients[client].conn.is_some() {
            return;
        }
        self.next += 1;
        let conn = self.next;
        let person = &mut self.clients[client];
        person.conn = Some(conn);
        person.offers.clear();
        let points = |(conversation, view): (&ConversationId, &Vec<Item>)| {
            let last = view.last()?;
            Some(ResumePoint {
                conversation: *conversation,
                seq: last.seq,
                message: Some(last.message),
            })
        };
        let points = person.views.iter().filter_map(points).collect();
        let mut up = VecDeque::from([Up::Hello { points }]);
        if let (Some(conversation), false) = (person.own, person.opened) {
            up.push_back(Up::Open { conversation });
        }
        up.extend(person.outbox.iter().cloned().map(Up::Send));
        self.counts.resends += u32::try_from(person.outbox.len()).unwrap();
        let wire = Wire { client, up, down: VecDeque::new(), cut: false, greeted: false };
        self.wires.insert(conn, wire);
    }

    fn resend(&mut self, client: usize) {
        let person = &self.clients[client];
        let Some(wire) = person.conn.and_then(|conn| self.wires.get_mut(&conn)) else { return };
        if wire.up.is_empty() {
            wire.up.extend(person.outbox.iter().cloned().map(Up::Send));
            self.counts.resends += u32::try_from(person.outbox.len()).unwrap();
        }
    }

    fn cut_a_wire(&mut self) {
        let client = self.chance.below(self.clients.len());
        self.cut(client);
    }

    /// The client's end is gone at once; of what it sent, some is still under way.
    fn cut(&mut self, client: usize) {
        let Some(conn) = self.clients[client].conn.take() else { return };
        self.counts.drops += 1;
        if let Some(wire) = self.wires.get_mut(&conn) {
            wire.cut = true;
            wire.down.clear();
            wire.up.truncate(self.chance.below(4));
        }
    }

    /// The server learns of a cut.
    fn notice_a_cut(&mut self) {
        let cut: Vec<Conn> =
            self.wires.iter().filter(|(_, wire)| wire.cut).map(|(conn, _)| *conn).collect();
        let Some(conn) = self.chance.pick(&cut) else { return };
        let Some(wire) = self.wires.remove(&conn) else { return };
        for room in self.server.rooms.values_mut() {
            room.leave(connection(conn));
        }
        let Client { tenant, who, .. } = self.clients[wire.client];
        if let (Who::Agent(agent), true) = (who, wire.greeted) {
            let back = self
                .wires
                .values()
                .any(|other| other.greeted && self.clients[other.client].who == who);
            if !back {
                self.route(tenant, Input::AgentGone { agent });
            }
        }
    }

    fn crash(&mut self) {
        self.counts.crashes += 1;
        let lost = |write: &&Write| matches!(write, Write::Message { .. });
        self.counts.lost_writes +=
            u32::try_from(self.server.queue.iter().filter(lost).count()).unwrap();
        self.counts.lost_acks += u32::try_from(self.server.fates.len()).unwrap();
        self.wires.clear();
        for client in &mut self.clients {
            client.conn = None;
        }
        // It may stay down for a while.
        self.now = self.now.plus_ms(self.chance.ms(90_000));
        self.server = Server::start(&self.tenants, &self.disk, self.now);
    }

    fn carry_a_frame(&mut self) {
        let conns: Vec<Conn> = self.wires.keys().copied().collect();
        let Some(conn) = self.chance.pick(&conns) else { return };
        for _ in 0..=self.chance.below(4) {
            if self.chance.one_in(2) {
                self.carry_up(conn);
            } else {
                self.carry_down(conn);
            }
        }
    }

    fn carry_up(&mut self, conn: Conn) {
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        if let Some(frame) = wire.up.pop_front() {
            // A resend on the same line, as an impatient client makes it.
            if matches!(frame, Up::Send(_)) && self.chance.one_in(12) {
                self.counts.resends += 1;
                wire.up.push_front(frame.clone());
            }
            self.serve(conn, frame);
        }
    }

    fn carry_down(&mut self, conn: Conn) {
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        if wire.cut {
            return;
        }
        let client = wire.client;
        if let Some((judged, frame)) = wire.down.pop_front() {
            self.show(client, frame, judged);
        }
    }

    fn push(&mut self, conn: Conn, frame: Down) {
        let today = self.today();
        if let Some(wire) = self.wires.get_mut(&conn).filter(|wire| !wire.cut) {
            wire.down.push_back((today, frame));
        }
    }

    // What clients do.

    fn client_acts(&mut self) {
        let at = self.chance.below(self.clients.len());
        let Some(conn) = self.clients[at].conn else { return };
        if let Some(frame) = match self.clients[at].who {
            Who::Visitor(_) => self.visitor_acts(at),
            Who::Agent(_) => self.agent_acts(at),
        } && let Some(wire) = self.wires.get_mut(&conn)
        {
            wire.up.push_back(frame);
        }
    }

    fn visitor_acts(&mut self, at: usize) -> Option<Up> {
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

    fn agent_acts(&mut self, at: usize) -> Option<Up> {
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
    fn says(&mut self, at: usize, conversation: ConversationId, note: bool) -> Option<Up> {
        let burst = if self.chance.one_in(40) { 60 } else { 1 };
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

    fn show(&mut self, at: usize, frame: Down, judged: Day) {
        match frame {
            Down::Page { conversation, reset, items } => {
                self.check_shown(at, conversation, &items, judged);
                if reset {
                    self.counts.resets += 1;
                    self.clients[at].views.remove(&conversation);
                }
                for item in items {
                    self.clients[at].insert(conversation, item);
                }
            }
            Down::Message { conversation, item } => {
                self.check_shown(at, conversation, std::slice::from_ref(&item), judged);
                self.clients[at].insert(conversation, item);
            }
            Down::Ack { message, seq, day } => self.acked(at, message, seq, day),
            Down::Void { conversation, message } => {
                if let Some(view) = self.clients[at].views.get_mut(&conversation) {
                    view.retain(|item| item.message != message);
                }
            }
            Down::Reject { message, retry } => {
                let client = &mut self.clients[at];
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

    fn acked(&mut self, at: usize, message: MessageId, seq: Seq, day: Day) {
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
        let text = text.replace("4111 1111 1111 1111", "[hidden]");
        client.acked.push((conversation, message, seq, text.clone()));
        self.clients[at].insert(conversation, Item { seq, message, text, day, note });
    }

    // What the server does with a frame: as the hub does it.

    fn serve(&mut self, conn: Conn, frame: Up) {
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
    fn may(&self, at: usize, conversation: ConversationId) -> bool {
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

    fn greet(&mut self, conn: Conn, at: usize, points: &[ResumePoint]) {
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

    fn room(&mut self, conversation: ConversationId) -> Option<&mut Room<Conn>> {
        let header = self.server.headers.get(&conversation)?;
        let tenant = &self.tenants[header.tenant];
        let stored = self.disk.messages.get(&conversation);
        Some(self.server.rooms.entry(conversation).or_insert_with(|| {
            let stored = stored.map(Vec::as_slice).unwrap_or_default();
            let tail = stored.iter().skip(stored.len().saturating_sub(TAIL_MAX)).cloned().collect();
            let seq_last = stored.last().map_or(Seq(0), |last| last.seq());
            let ids = (tenant.id, tenant.site, conversation, header.visitor);
            Room::new(ids, seq_last, tail, Vec::new())
        }))
    }

    fn stored_after(&self, conversation: ConversationId, after: Seq) -> Vec<Arc<Placed>> {
        let stored = self.disk.messages.get(&conversation).map(Vec::as_slice).unwrap_or_default();
        stored.iter().filter(|placed| placed.seq() > after).cloned().collect()
    }

    /// Lets a client into a room with what it missed.
    fn attend(
        &mut self,
        conn: Conn,
        at: usize,
        conversation: ConversationId,
        point: Option<&ResumePoint>,
    ) {
        let (author, reader) = (self.clients[at].author(), self.clients[at].reader());
        let mut older = None;
        let (reset, page) = loop {
            let Some(room) = self.room(conversation) else { return };
            match room.resume(point, older.as_deref()) {
                Resumed::After(page) => break (false, page),
                Resumed::Reset(page) => break (true, page),
                Resumed::LookInStore { after } => {
                    older = Some(self.stored_after(conversation, after));
                }
            }
        };
        if let Some(room) = self.room(conversation) {
            room.join(Member { connection: connection(conn), author, reader, outlet: conn });
        }
        let tenant = self.server.headers.get(&conversation).map_or(0, |header| header.tenant);
        let day = if self.has(Planted::SkipExpiry) { Day(0) } else { self.today() };
        let timeline = &self.tenants[tenant].timeline;
        let grant = ReadGrant::stored(Door::Resume, reader, day, timeline);
        let items = page
            .iter()
            .filter_map(|placed| Some((placed.shown(&grant)?, placed.envelope().tag().ingest_day)))
            .map(|(shown, day)| item_of(&shown, day))
            .collect();
        let day = self.today();
        self.hidden.extend(page.iter().filter(|p| is_dead(p, day)).map(message_of));
        if let Some(header) = self.server.headers.get(&conversation) {
            let Standing { version, assignee, state, .. } = header.standing;
            self.push(conn, Down::Owner { conversation, version, assignee, state });
        }
        if !self.has(Planted::NoResume) || point.is_none() {
            self.push(conn, Down::Page { conversation, reset, items });
        }
    }

    fn open(
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
                self.attend(console, at, conversation, None);
            }
        }
        let at = self.wires.get(&conn).map_or(0, |wire| wire.client);
        if self.may(at, conversation) {
            self.attend(conn, at, conversation, None);
            self.server.queue.push_back(Write::Opened { sender: conn });
        }
    }

    fn reopen(&mut self, at: usize, tenant: usize, conversation: ConversationId) {
        let Some(header) = self.server.headers.get(&conversation).cloned() else { return };
        if !self.may(at, conversation) || header.standing.state != ConversationState::Closed {
            return;
        }
        let Standing { site, version, assignee: former, .. } = header.standing;
        self.route(tenant, Input::Reopened { conversation, site, version, former });
    }

    fn accept(&mut self, tenant: usize, agent: AgentId, conversation: ConversationId) {
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

    /// The way of a message: ingest, a place, delivery, the queue to the disk.
    fn take(&mut self, conn: Conn, at: usize, pending: Pending) {
        let Pending { conversation, message, text, seen, note } = pending;
        let refuse = |world: &mut Self, retry| world.push(conn, Down::Reject { message, retry });
        let Client { tenant, who, .. } = self.clients[at];
        let author = self.clients[at].author();
        let Some(header) = self.server.headers.get(&conversation).cloned() else {
            return refuse(self, false);
        };
        let owner = match who {
            Who::Visitor(_) => true,
            Who::Agent(agent) => note || header.standing.assignee == Some(agent),
        };
        if !self.may(at, conversation) {
            return refuse(self, false);
        }
        // A resend is known again even where nothing new may be said any more.
        let may_write = owner && header.standing.state != ConversationState::Closed;
        if !may_write && self.has(Planted::RefuseBeforeDedupe) {
            return refuse(self, false);
        }
        let visibility = if note { Visibility::Agents } else { Visibility::Everyone };
        let body = Body::Text(Text::new(text.as_str()));
        let said = Said { conversation, message, seen_seq: seen, body, visibility };
        let (id, redactor) = (&self.tenants[tenant], &self.tenants[tenant].redactor);
        let ground = Ground {
            tenant: id.id,
            site: id.site,
            subject: header.visitor,
            timeline: &id.timeline,
            redactor,
            flags: Flags::default(),
            offline_message: header.standing.offline_message,
        };
        let Ok(envelope) = ingest(said, author, &ground, self.now) else {
            return refuse(self, false);
        };
        let day = envelope.tag().ingest_day;
        let mut looked_above = None;
        loop {
            let no_dedupe = self.has(Planted::NoDedupe);
            let Some(room) = self.room(conversation) else { return };
            let floor = match room.accept(&envelope, looked_above) {
                Accepted::New { .. } if !may_write => return refuse(self, false),
                Accepted::New { floor } => floor,
                Accepted::Known { .. } if no_dedupe => room.seq_last(),
                Accepted::Known { seq, .. } => {
                    let sender = conn;
                    let known = room.find(message);
                    let day = known.map_or(day, |known| known.envelope().tag().ingest_day);
                    let write = Write::Confirm { conversation, message, seq, day, sender };
                    self.server.queue.push_back(write);
                    return;
                }
                Accepted::Conflict => {
                    self.break_promise(format!("{message} is said to say something else"));
                    return refuse(self, false);
                }
                Accepted::LookInStore { after } => {
                    let stored = self.stored_after(conversation, after);
                    let known = stored.iter().find(|p| p.envelope().message() == message);
                    if let (Some(known), false) = (known, no_dedupe) {
                        let (seq, day) = (known.seq(), known.envelope().tag().ingest_day);
                        return self.push(conn, Down::Ack { message, seq, day });
                    }
                    looked_above = Some(after);
                    continue;
                }
            };
            return self.place(conn, floor, envelope, message);
        }
    }

    fn place(
        &mut self,
        conn: Conn,
        floor: Seq,
        envelope: livehelp::privacy::envelope::Envelope,
        message: MessageId,
    ) {
        let conversation = envelope.conversation();
        if self.has(Planted::ReusePlace) && floor > Seq(0) && self.chance.one_in(4) {
            let placed = Arc::new(envelope.place(floor));
            let sender = Some(conn);
            self.server.queue.push_back(Write::Message { placed, sender });
            return;
        }
        let placed = Arc::new(envelope.place(floor.next()));
        self.deliver(conversation, &placed, Some(conn));
        if self.has(Planted::AckBeforeCommit) {
            let (seq, day) = (placed.seq(), placed.envelope().tag().ingest_day);
            self.push(conn, Down::Ack { message, seq, day });
        }
        self.server.queue.push_back(Write::Message { placed, sender: Some(conn) });
    }

    fn deliver(&mut self, conversation: ConversationId, placed: &Arc<Placed>, from: Option<Conn>) {
        let grant = ReadGrant::fan_out(Reader::Agents, self.today());
        let visibility = placed.envelope().visibility();
        let Some(room) = self.room(conversation) else { return };
        room.placed(Arc::clone(placed));
        let hearers: Vec<Conn> =
            room.hearers(visibility, from.map(connection)).map(|member| member.outlet).collect();
        let Some(shown) = placed.shown(&grant) else {
            self.hidden.insert(message_of(placed));
            return;
        };
        let item = item_of(&shown, placed.envelope().tag().ingest_day);
        for hearer in hearers {
            self.push(hearer, Down::Message { conversation, item: item.clone() });
        }
    }

    // The disk.

    fn commit(&mut self) {
        let n = 1 + self.chance.below(12);
        self.commit_some(n);
    }

    fn commit_some(&mut self, n: usize) {
        for _ in 0..n {
            let Some(write) = self.server.queue.pop_front() else { break };
            match &write {
                Write::Message { placed, .. } => {
                    let conversation = placed.envelope().conversation();
                    self.disk.messages.entry(conversation).or_default().push(Arc::clone(placed));
                }
                Write::Header { conversation, header } => {
                    self.disk.headers.insert(*conversation, header.clone());
                }
                Write::Confirm { .. } | Write::Opened { .. } => {}
            }
            self.server.fates.push_back((write, true));
        }
        self.disk.mark = self.disk.mark.max(Some(self.server.mark));
    }

    /// A full disk: nothing of the messages at the head of the queue is stored.
    fn fail_a_batch(&mut self) {
        let n = self
            .server
            .queue
            .iter()
            .take(6)
            .take_while(|w| !matches!(w, Write::Header { .. } | Write::Opened { .. }))
            .count();
        if n > 0 {
            self.counts.failed_batches += 1;
        }
        for write in self.server.queue.drain(..n) {
            if let Write::Message { placed, .. } = &write {
                self.failed.insert(placed.envelope().message());
            }
            self.server.fates.push_back((write, false));
        }
    }

    fn tell_a_fate(&mut self) {
        let Some((write, stored)) = self.server.fates.pop_front() else { return };
        match write {
            Write::Message { placed, sender } => {
                let conversation = placed.envelope().conversation();
                let (seq, message) = (placed.seq(), placed.envelope().message());
                let visibility = placed.envelope().visibility();
                let day = placed.envelope().tag().ingest_day;
                let Some(room) = self.room(conversation) else { return };
                if stored {
                    room.stored(seq);
                    if let Some(sender) = sender {
                        self.push(sender, Down::Ack { message, seq, day });
                    }
                    return;
                }
                room.failed(seq);
                let hearers: Vec<Conn> =
                    room.hearers(visibility, None).map(|member| member.outlet).collect();
                for hearer in hearers {
                    self.push(hearer, Down::Void { conversation, message });
                }
                if let Some(sender) = sender {
                    self.push(sender, Down::Reject { message, retry: true });
                }
            }
            Write::Confirm { conversation, message, seq, day, sender } => {
                let holds = self.room(conversation).is_none_or(|room| room.holds(seq, message));
                let answer = if stored && holds {
                    Down::Ack { message, seq, day }
                } else {
                    Down::Reject { message, retry: true }
                };
                self.push(sender, answer);
            }
            Write::Header { .. } => {}
            Write::Opened { sender } => self.push(sender, Down::Opened),
        }
    }

    fn drop_idle_rooms(&mut self) {
        self.server.rooms.retain(|_, room| {
            let _ = room.take_dirty_marks();
            !room.is_idle()
        });
    }

    /// Destroys what is due, by the mark alone.
    fn sweep(&mut self) {
        let by_wall = self.has(Planted::SweepByWallClock);
        if !self.server.trusted && !by_wall {
            return;
        }
        let day = if by_wall { self.now.day() } else { self.server.mark.day() };
        let mark_day = self.server.mark.day();
        let bucket_of = |placed: &Arc<Placed>| {
            let tag = placed.envelope().tag();
            Bucket {
                tenant: tag.tenant,
                site: Some(tag.site),
                class: tag.class,
                day: tag.ingest_day,
            }
        };
        let buckets: BTreeSet<Bucket> =
            self.disk.messages.values().flatten().map(bucket_of).collect();
        let buckets: Vec<_> = buckets.into_iter().collect();
        let tenants = &self.tenants;
        let timeline = |tenant, site| {
            tenants.iter().find(|t| t.id == tenant && t.site == site).map(|t| &t.timeline)
        };
        let due: BTreeSet<_> = sweep::due(&buckets, timeline, day).into_iter().collect();
        for messages in self.disk.messages.values_mut() {
            let before = messages.len();
            // The newest row stays as a tombstone would: places are not given again.
            let last = messages.last().map(|last| last.seq());
            messages.retain(|p| {
                let goes = Some(p.seq()) != last && due.contains(&bucket_of(p));
                if goes && is_dead(p, mark_day) {
                    self.swept.insert(message_of(p));
                }
                !goes
            });
            self.counts.expired += u32::try_from(before - messages.len()).unwrap();
        }
    }

    // Routing.

    fn route(&mut self, tenant: usize, input: Input) {
        let Ok(effects) = self.server.routing[tenant].handle(input, self.now) else { return };
        self.run(tenant, &effects);
    }

    fn run(&mut self, tenant: usize, effects: &[Effect]) {
        for effect in effects {
            match *effect {
                Effect::Changed { conversation, standing } => self.changed(conversation, standing),
                Effect::Offer { conversation, agent, .. } => {
                    self.counts.offers += 1;
                    self.server.offers.insert((conversation, agent));
                    self.tell_agent(agent, &Down::Offer { conversation });
                    if self.has(Planted::DoubleOffer) {
                        for n in 0..AGENTS {
                            let other = agent_id(self.tenants[tenant].id, n);
                            self.tell_agent(other, &Down::Offer { conversation });
                        }
                    }
                }
                Effect::OfferOver { conversation, agent } => {
                    self.server.offers.remove(&(conversation, agent));
                    self.tell_agent(agent, &Down::OfferOver { conversation });
                }
                Effect::Line { conversation, event, agent } => {
                    if event == EventKind::Requeued {
                        self.counts.requeued += 1;
                    }
                    self.write_line(conversation, event, agent);
                }
                Effect::Position { .. }
                | Effect::AgentChanged { .. }
                | Effect::SiteAvailability { .. } => {}
            }
        }
    }

    fn changed(&mut self, conversation: ConversationId, standing: Standing) {
        let Some(header) = self.server.headers.get_mut(&conversation) else { return };
        header.standing = standing;
        let header = header.clone();
        self.server.queue.push_back(Write::Header { conversation, header });
        let Standing { version, assignee, state, .. } = standing;
        let Some(room) = self.room(conversation) else { return };
        let hearers: Vec<Conn> =
            room.hearers(Visibility::Everyone, None).map(|member| member.outlet).collect();
        for hearer in hearers {
            self.push(hearer, Down::Owner { conversation, version, assignee, state });
        }
    }

    fn tell_agent(&mut self, agent: AgentId, frame: &Down) {
        let his: Vec<Conn> = self
            .wires
            .iter()
            .filter(|(_, wire)| self.clients[wire.client].who == Who::Agent(agent))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in his {
            self.push(conn, frame.clone());
        }
    }

    fn write_line(
        &mut self,
        conversation: ConversationId,
        kind: EventKind,
        agent: Option<AgentId>,
    ) {
        let message = self.message_id();
        let Some(header) = self.server.headers.get(&conversation) else { return };
        let tenant = &self.tenants[header.tenant];
        let ground = Ground {
            tenant: tenant.id,
            site: tenant.site,
            subject: header.visitor,
            timeline: &tenant.timeline,
            redactor: &tenant.redactor,
            flags: Flags::default(),
            offline_message: false,
        };
        let Some(envelope) = event(&ground, conversation, message, kind, agent, self.now) else {
            return;
        };
        let Some(room) = self.room(conversation) else { return };
        let placed = Arc::new(envelope.place(room.seq_last().next()));
        self.deliver(conversation, &placed, None);
        self.server.queue.push_back(Write::Message { placed, sender: None });
    }
}

fn message_of(placed: &Arc<Placed>) -> MessageId {
    placed.envelope().message()
}

fn is_dead(placed: &Placed, day: Day) -> bool {
    day.0 > placed.envelope().tag().ingest_day.0 + KEPT_DAYS
}

fn connection(conn: Conn) -> ConnectionId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&conn.to_be_bytes());
    ConnectionId::from_bytes(bytes)
}

//! Everything from one seed: the clock, the people, the order in which things happen.
//!
//! Not here: what clients do (`client`, `connection`), what the server does (`server`, `speak`,
//! `routing`), what survives (`disk`), what must hold (`invariants`), bugs on purpose (`faults`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use livehelp::privacy::policy::{Plan, SiteTimeline};
use livehelp::privacy::redact::Redactor;
use livehelp::privacy::sweep::{self, Trust};
use livehelp::routing::Input;
use protocol::ids::{ConversationId, MessageId, SiteId, TenantId, VisitorId};
use protocol::time::{Day, UnixMillis};

use crate::client::{Client, Who};
use crate::connection::{Conn, Wire};
use crate::disk::{Disk, Write};
use crate::faults::{Chance, Counts, Mood, Planted, nodes_of};
use crate::net::Net;
use crate::node::Node;
use crate::routing::agent_id;
use crate::server::Server;

pub(crate) const DAY_MS: u64 = 86_400_000;
pub(crate) const START: UnixMillis = UnixMillis(1_790_000_000_000);
pub(crate) const TENANTS: usize = 2;
pub(crate) const AGENTS: u8 = 3;
pub(crate) const VISITORS: u8 = 4;
/// Days that a free plan keeps; the simulated sites have no other.
pub(crate) const KEPT_DAYS: u16 = 60;

/// Between two looks at what is due, in milliseconds; longer than a node's, so that all is looked
/// for at the end.
const TICKS_MS: u64 = 400;

/// So many of them a disk writes nothing at the end.
const HELD_ROUNDS: usize = 8;

/// So long a lane waits for a message that it refused for a while, in milliseconds.
const OWED_MS: u64 = 10_000;

/// Any moment: only what passes is looked at.
#[expect(clippy::disallowed_methods, reason = "the monotonic clock has no beginning of its own")]
fn epoch() -> Instant {
    Instant::now()
}

/// An Organization with one site.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    pub(crate) site: SiteId,
    pub(crate) timeline: SiteTimeline,
    pub(crate) redactor: Redactor,
}

/// Everything, from one seed.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) mood: Mood,
    pub(crate) planted: Option<Planted>,
    pub(crate) counts: Counts,
    pub(crate) now: UnixMillis,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) disk: Disk,
    /// What is one for all nodes: who has which conversation, the clock's mark.
    pub(crate) server: Server,
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: Net,
    /// Whether anything may still go wrong between the nodes.
    pub(crate) faults: bool,
    /// Where the monotonic clock began, and how far it came.
    pub(crate) epoch: Instant,
    pub(crate) passed_ms: u64,
    pub(crate) clients: Vec<Client>,
    pub(crate) wires: BTreeMap<Conn, Wire>,
    pub(crate) next: u64,
    /// What a sweep destroyed rightly.
    pub(crate) swept: BTreeSet<MessageId>,
    /// The mark's day when each message got its sequence number: its promised time begins there or
    /// later.
    pub(crate) taken: BTreeMap<MessageId, Day>,
    /// What a clock that ran ahead hid from someone; it comes back when they load the page anew.
    pub(crate) hidden: BTreeSet<MessageId>,
    /// What could not be stored at the first try, so that it came later than what followed it.
    pub(crate) failed: BTreeSet<MessageId>,
    /// What was refused for a while where it has to come again in its order, and when.
    pub(crate) refused_at: BTreeMap<MessageId, u64>,
    /// Broken promises, in words.
    pub(crate) broken: Vec<String>,
}

pub(crate) fn id16(kind: u8, a: u8, b: u8) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[14] = a;
    bytes[15] = b;
    bytes
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
            cut: BTreeMap::new(),
            outbox: VecDeque::new(),
            retries: false,
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
            mood: Mood::of(seed),
            planted,
            counts: Counts::default(),
            now: START,
            tenants,
            disk,
            server,
            nodes: (0..nodes_of(seed)).map(|_| Node::default()).collect(),
            net: Net::default(),
            faults: true,
            epoch: epoch(),
            passed_ms: 0,
            clients,
            wires: BTreeMap::new(),
            next: 1,
            swept: BTreeSet::new(),
            taken: BTreeMap::new(),
            failed: BTreeSet::new(),
            hidden: BTreeSet::new(),
            refused_at: BTreeMap::new(),
            broken: Vec::new(),
        }
    }

    pub(crate) fn break_promise(&mut self, words: String) {
        self.broken.push(words);
    }

    pub(crate) fn has(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }

    /// The day by which reading hides.
    pub(crate) fn today(&self) -> Day {
        sweep::reading_day(self.server.mark, self.now)
    }

    /// The time that a record gets.
    pub(crate) fn record_time(&self) -> UnixMillis {
        if self.has(Planted::IngestByWallClock) {
            return self.now;
        }
        let passed = self.server.expected.ms_since(self.server.marked_at);
        sweep::record_time(self.server.mark, passed, self.now)
    }

    pub(crate) fn message_id(&mut self) -> MessageId {
        self.next += 1;
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&self.next.to_be_bytes());
        bytes[6] = 0x70;
        bytes[8] = 0x80;
        MessageId::from_bytes(bytes)
    }

    // One step of the story.

    pub(crate) fn step(&mut self) {
        if self.is_far() && self.chance.one_in(2) {
            return self.step_between_nodes();
        }
        if self.mood == Mood::Storm && self.much_is_under_way() && self.chance.one_in(8) {
            if self.chance.one_in(2) {
                self.everyone_hears();
            }
            return self.crash();
        }
        match self.chance.below(100) {
            0..=39 => self.carry_a_frame(),
            40..=54 => self.client_acts(),
            55..=66 => {
                if self.mood == Mood::Mixed || self.chance.one_in(5) {
                    self.commit();
                }
            }
            67..=76 => {
                let node = self.any_node();
                self.tell_an_outcome(node);
                self.finish_a_look(node);
            }
            77..=84 => self.time_passes(),
            85..=88 => self.client_connects(),
            89..=91 => self.cut_a_wire(),
            92..=94 => self.notice_a_cut(),
            95 => self.fail_a_batch(),
            96 => self.sweep(),
            97 => {
                let node = self.any_node();
                self.drop_idle_rooms(node);
            }
            98 => {
                if self.chance.one_in(if self.mood == Mood::Storm { 1 } else { 3 }) {
                    self.crash();
                }
            }
            _ => self.clock_steps(),
        }
    }

    fn much_is_under_way(&self) -> bool {
        let queued = self.nodes.iter().flat_map(|node| node.queue.iter());
        queued.filter(|write| matches!(write, Write::Message { .. })).count() > 5
    }

    /// Faults end, everyone comes back, everything is told.
    pub(crate) fn settle(&mut self) {
        self.faults = false;
        self.mend_the_bus();
        let mut held = self.hold_a_queue();
        for round in 0..40 {
            if self.is_far() {
                self.monotonic(TICKS_MS);
            }
            if round == HELD_ROUNDS {
                self.let_go_of(std::mem::take(&mut held));
            }
            for node in 0..self.nodes.len() {
                if self.is_far() {
                    self.tick(node);
                }
            }
            for client in 0..self.clients.len() {
                if round == 20 {
                    if self.is_far() && client == 0 {
                        self.check_screens();
                    }
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
                if busy.is_empty() && self.nodes.iter().all(Node::is_quiet) {
                    break;
                }
                for conn in busy {
                    self.carry_up(conn);
                    self.carry_down(conn);
                }
                for node in 0..self.nodes.len() {
                    self.settle_node(node);
                }
            }
            if round > 20 && self.clients.iter().all(|client| client.outbox.is_empty()) {
                return;
            }
        }
        self.break_promise("a message is neither acked nor refused".to_owned());
    }

    /// One of several nodes has a disk that writes nothing for longer than the others look for what
    /// it showed them.
    fn hold_a_queue(&mut self) -> VecDeque<Write> {
        let several = self.nodes.get_mut(1..).unwrap_or_default();
        several.last_mut().map(|node| std::mem::take(&mut node.queue)).unwrap_or_default()
    }

    fn let_go_of(&mut self, mut held: VecDeque<Write>) {
        if let Some(node) = self.nodes.last_mut() {
            held.append(&mut node.queue);
            node.queue = held;
        }
    }

    pub(crate) fn time_passes(&mut self) {
        let ms = match self.chance.below(20) {
            0 => 20_000 + self.chance.ms(30_000),
            1..=4 => self.chance.ms(10_000),
            _ => self.chance.ms(300),
        };
        self.now = self.now.plus_ms(ms);
        self.passes(ms);
        self.judge_clock();
        for tenant in 0..self.tenants.len() {
            let due = self.server.routing[tenant].next_deadline();
            if due.is_some_and(|at| at <= self.now) || self.chance.one_in(10) {
                self.route(tenant, Input::Tick);
            }
        }
    }

    /// The monotonic clock goes on.
    fn passes(&mut self, ms: u64) {
        self.server.expected = self.server.expected.plus_ms(ms);
        self.monotonic(ms);
    }

    /// What nodes measure waits by goes on.
    pub(crate) fn monotonic(&mut self, ms: u64) {
        self.passed_ms += ms;
        // Its author has given it up, as far as a lane knows.
        let now = self.passed_ms;
        for (message, at) in &self.refused_at {
            if now - at >= OWED_MS {
                self.failed.insert(*message);
            }
        }
    }

    pub(crate) fn clock_steps(&mut self) {
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
                self.passes(ms);
            }
        }
        self.judge_clock();
    }

    pub(crate) fn judge_clock(&mut self) {
        match sweep::judge(self.server.mark, self.server.expected, self.now) {
            Trust::Trusted(mark) => {
                self.server.trusted = true;
                self.server.mark = mark.max(self.server.mark);
                self.server.marked_at = self.server.expected;
            }
            Trust::Ahead | Trust::Behind => self.server.trusted = false,
        }
    }
}

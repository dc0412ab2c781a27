//! What everyone in one worker shares: the plan, the clock, the stage of the run, and where results
//! go.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use protocol::codec::Encoding;
use protocol::frame::ServerFrame;
use protocol::ids::{AgentId, ConversationId, SiteKey};
use protocol::time::UnixMillis;
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::clock::{Clock, Micros};
use crate::judge::figure::{Count, Timing};
use crate::judge::histogram::Recorder;
use crate::judge::ledger::{Findings, Ledger};
use crate::number;
use crate::people::queue_order::QueueOrder;
use crate::people::socket::Target;
use crate::people::stamp::STAMP_CHARS;
use crate::run::scenario::{Scenario, Size};
use crate::run::setup::{Account, Grounds, ORIGIN};
use crate::run::trust;

/// Messages that may be due at one speaker before they could send them. Full: they are counted as
/// unsent.
pub(crate) const DUE_MAX: usize = 1_024;
/// Finished conversations that are settled together.
const OVER_MAX: usize = 1_000;
/// After an offer's deadline it may be made to somebody else; the server's default.
pub(crate) const OFFER: Duration = Duration::from_secs(30);

/// What the controller tells a worker to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) run: u32,
    pub(crate) scenario: Scenario,
    pub(crate) grounds: Grounds,
    pub(crate) address: SocketAddr,
    /// PEM file of whom to trust, where the server speaks TLS.
    pub(crate) tls_ca: Option<std::path::PathBuf>,
    pub(crate) origin: String,
    /// Which worker of how many.
    pub(crate) index: u32,
    pub(crate) of: u32,
}

impl Plan {
    /// This worker's part of a number of people.
    pub(crate) fn share(&self, all: u32) -> u32 {
        part(all, self.index, self.of)
    }

    /// This worker's part of the idle visitors: fewer at the first worker, where all agents are, so
    /// that no process holds more sockets than the others as long as there are idle ones to make up
    /// for it.
    pub(crate) fn share_of_idle(&self) -> u32 {
        let mix = &self.scenario.mix;
        let first =
            part(mix.idle.saturating_add(mix.agents), 0, self.of).saturating_sub(mix.agents);
        match self.index.checked_sub(1) {
            None => first,
            Some(index) => part(mix.idle - first, index, self.of - 1),
        }
    }
}

/// A worker's part of a number of people.
pub(crate) fn part(all: u32, index: u32, of: u32) -> u32 {
    all / of + u32::from(index < all % of)
}

/// Where the run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// People come and find their places.
    Coming,
    /// They do what they do.
    Running,
    /// They begin nothing new, and wait for their answers.
    Draining,
    /// All was answered in all workers: each asks for a last answer, before which all that was on
    /// its way has come.
    Settling,
    /// They go.
    Over,
}

/// Whose a conversation is, and how.
#[derive(Debug, Clone, Copy)]
struct Hold {
    agent: AgentId,
    /// When they were asked; none once they have taken it, which has no deadline.
    asked: Option<Micros>,
}

/// Something that is due at somebody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) at: Micros,
}

/// Why a conversation exists; it stands in its id, so that every worker can see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A window of its own speaks in it.
    Room,
    /// Its agent answers from their console.
    Visit,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) clock: Clock,
    pub(crate) site_key: SiteKey,
    pub(crate) recorder: Mutex<Recorder>,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) stage: watch::Sender<Stage>,
    /// The phases end before their time: nothing more is due.
    cut: AtomicBool,
    /// Where the schedule's messages go: every speaker of this worker.
    pub(crate) speakers: Mutex<Vec<mpsc::Sender<Due>>>,
    /// Conversations in which rooms of this worker speak.
    pub(crate) rooms: Mutex<Vec<ConversationId>>,
    target: Target,
    /// Whose each conversation is.
    held: Mutex<HashMap<ConversationId, Hold>>,
    leaving: Mutex<Leaving>,
    /// Whose turn it is.
    pub(crate) queue_order: Mutex<QueueOrder>,
    /// Messages sent and not answered.
    unanswered: AtomicU64,
    /// Visits that are going on.
    visits: AtomicU64,
    /// Those who hear what is said, and those of them who heard all.
    recipients: AtomicU64,
    settled: AtomicU64,
    connections: AtomicU64,
    people: AtomicU64,
    /// Of whom a tally is still to come, in numbers.
    owing: Mutex<BTreeMap<&'static str, u64>>,
}

#[derive(Debug, Default)]
struct Leaving {
    half: BTreeSet<ConversationId>,
    over: BTreeSet<ConversationId>,
}

impl World {
    /// # Errors
    /// If the plan cannot be used.
    pub(crate) fn new(plan: Plan) -> Result<Arc<Self>> {
        let tls = plan.tls_ca.as_deref().map(trust::only).transpose()?;
        let target = target(&plan, tls);
        let site_key =
            SiteKey::parse(&plan.grounds.site_key).context("a site key of another form")?;
        Ok(Arc::new(Self {
            site_key,
            target,
            clock: Clock::start(),
            recorder: Mutex::default(),
            ledger: Mutex::default(),
            stage: watch::Sender::new(Stage::Coming),
            cut: AtomicBool::new(false),
            speakers: Mutex::default(),
            rooms: Mutex::default(),
            held: Mutex::default(),
            leaving: Mutex::default(),
            queue_order: Mutex::default(),
            unanswered: AtomicU64::new(0),
            visits: AtomicU64::new(0),
            recipients: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            people: AtomicU64::new(0),
            owing: Mutex::default(),
            plan,
        }))
    }

    pub(crate) fn scenario(&self) -> &Scenario {
        &self.plan.scenario
    }

    pub(crate) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// The phases end at this moment, before their time.
    pub(crate) fn cut(&self, at: Micros) {
        self.recorder.lock().cut(at);
        self.cut.store(true, Ordering::Relaxed);
    }

    /// Whether they did: read by the pacer's thread for each thing that is due.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// Until the run is over.
    pub(crate) async fn over(&self) {
        let mut stage = self.stage.subscribe();
        // The world outlives everyone in it.
        let _there = stage.wait_for(|stage| *stage == Stage::Over).await.is_ok();
    }

    /// A connection's target: as an agent with their cookie, as a visitor from the site's page.
    pub(crate) fn target(&self, cookie: Option<&str>) -> Target {
        let mut target = self.target.clone();
        let origin = if cookie.is_some() { self.plan.origin.as_str() } else { ORIGIN };
        target.headers.push((String::from("origin"), origin.to_owned()));
        if let Some(cookie) = cookie {
            target.headers.push((String::from("cookie"), cookie.to_owned()));
        }
        target
    }

    /// A number for one more speaker, unique among all workers.
    pub(crate) fn speaker(&self) -> u32 {
        let count = self.people.fetch_add(1, Ordering::Relaxed);
        let all = count * u64::from(self.plan.of) + u64::from(self.plan.index);
        u32::try_from(all).unwrap_or(u32::MAX)
    }

    /// Chance for one person: the same in each run with this seed.
    pub(crate) fn chance(&self, person: u32) -> fastrand::Rng {
        fastrand::Rng::with_seed(
            self.scenario().seed.wrapping_mul(0x9e37_79b9).wrapping_add(u64::from(person)),
        )
    }

    /// A new conversation's id.
    pub(crate) fn conversation(purpose: Purpose) -> ConversationId {
        let mut bytes = *Uuid::now_v7().as_bytes();
        if let Some(last) = bytes.last_mut() {
            *last = *last & 0xfe | u8::from(purpose == Purpose::Visit);
        }
        ConversationId::from_bytes(bytes)
    }

    pub(crate) fn purpose(conversation: ConversationId) -> Purpose {
        let last = conversation.as_bytes().last().copied().unwrap_or(0);
        if last & 1 == 1 { Purpose::Visit } else { Purpose::Room }
    }

    pub(crate) fn account(&self, agent: AgentId) -> Option<&Account> {
        let name = agent.to_string();
        self.plan.grounds.agents.iter().find(|account| account.agent == name)
    }

    /// How many characters the next message has: as many as its stamp at least.
    pub(crate) fn chars(&self, chance: &mut fastrand::Rng) -> usize {
        let chars = match self.scenario().size {
            Size::Fixed { chars } => f64::from(chars),
            Size::Uniform { min, max } => f64::from(chance.u32(min..=max)),
            Size::Normal { mean, deviation } => mean + deviation * normal(chance),
            Size::LogNormal { median, sigma } => median * (sigma * normal(chance)).exp(),
        };
        let least = number::float(number::long(STAMP_CHARS));
        number::index(number::whole(chars.clamp(least, 4_000.0)))
    }

    pub(crate) fn record(&self, timing: Timing, due: Micros, took: Duration) {
        self.recorder.lock().record(timing, due, took);
    }

    pub(crate) fn count(&self, count: Count) {
        let now = self.clock.now();
        self.recorder.lock().count(count, now);
    }

    pub(crate) fn count_at(&self, count: Count, due: Micros) {
        self.recorder.lock().count(count, due);
    }

    /// A frame that is none came to somebody who has no talk, or more than one.
    pub(crate) fn garbled(&self) {
        self.ledger.lock().garbled();
        self.recorder.lock().wrong(&Findings { corrupt: 1, ..Findings::default() });
    }

    /// Whether what was said comes to somebody who has no part in its conversation: it is counted,
    /// and passed over.
    pub(crate) fn misdelivered(
        &self,
        frame: &ServerFrame<'_>,
        is_theirs: impl Fn(ConversationId) -> bool,
    ) -> bool {
        let Some((conversation, messages)) = said_in(frame) else { return false };
        if is_theirs(conversation) {
            return false;
        }
        self.ledger.lock().misdelivered(conversation, messages);
        self.recorder.lock().wrong(&Findings { misdelivered: messages, ..Findings::default() });
        true
    }

    /// A message of so many characters goes out.
    pub(crate) fn sends(&self, due: Micros, chars: usize) {
        {
            let mut recorder = self.recorder.lock();
            recorder.count(Count::Sent, due);
            recorder.add(Count::Chars, due, number::long(chars));
        }
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self) {
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether all that was due was said and answered, and every visit is over.
    pub(crate) fn drained(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) == 0
            && self.visits.load(Ordering::Relaxed) == 0
            && self.queued() == 0
    }

    /// Messages that are due at somebody who has not come to them yet.
    pub(crate) fn queued(&self) -> usize {
        let speakers = self.speakers.lock();
        // Whoever is gone has counted their own.
        let there = speakers.iter().filter(|speaker| !speaker.is_closed());
        there.map(|speaker| speaker.max_capacity() - speaker.capacity()).sum()
    }

    /// One begins who is to hand in a tally at the end.
    pub(crate) fn owes(&self, who: &'static str) {
        *self.owing.lock().entry(who).or_default() += 1;
    }

    /// One of these did.
    pub(crate) fn handed_in(&self, who: &'static str) {
        if let Some(owing) = self.owing.lock().get_mut(who) {
            *owing = owing.saturating_sub(1);
        }
    }

    /// Those who did not, in numbers.
    pub(crate) fn absent(&self) -> BTreeMap<String, u64> {
        let owing = self.owing.lock();
        let absent = owing.iter().filter(|(_, count)| **count > 0);
        absent.map(|(who, count)| ((*who).to_owned(), *count)).collect()
    }

    pub(crate) fn visit_begins(&self) {
        self.visits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn visit_ends(&self) {
        self.visits.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn recipient_comes(&self) {
        self.recipients.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn recipient_goes(&self) {
        self.recipients.fetch_sub(1, Ordering::Relaxed);
    }

    /// Everyone is asked anew.
    pub(crate) fn unsettle(&self) {
        self.settled.store(0, Ordering::Relaxed);
    }

    /// One has heard all that was on its way to them.
    pub(crate) fn settles(&self) {
        self.settled.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn all_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed) >= self.recipients.load(Ordering::Relaxed)
    }

    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn disconnected(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// An agent is asked; it counts where somebody has the conversation, or another one is asked in
    /// the same time.
    pub(crate) fn offer(&self, conversation: ConversationId, agent: AgentId, now: Micros) {
        let hold = Hold { agent, asked: Some(now) };
        let former = self.held.lock().insert(conversation, hold);
        let twice = former.is_some_and(|former| match former.asked {
            None => true,
            Some(asked) => former.agent != agent && now.since(asked) < OFFER,
        });
        if twice {
            self.count(Count::OfferedTwice);
        }
    }

    /// The same offer as it shows whose turn it was. Only where the server's clock is this host's.
    pub(crate) fn offered(&self, conversation: ConversationId, deadline: UnixMillis, now: Micros) {
        let out_of_turn = self.queue_order.lock().offered(conversation, deadline, now);
        if out_of_turn && self.plan.address.ip().is_loopback() {
            self.count(Count::OutOfTurn);
        }
    }

    /// They have taken it: until they let go, it may be offered to nobody.
    pub(crate) fn taken(&self, conversation: ConversationId, agent: AgentId) {
        self.held.lock().insert(conversation, Hold { agent, asked: None });
    }

    /// It is theirs no more.
    pub(crate) fn let_go(&self, conversation: ConversationId, agent: AgentId) {
        let mut held = self.held.lock();
        if held.get(&conversation).is_some_and(|hold| hold.agent == agent) {
            held.remove(&conversation);
        }
    }

    /// Their connection is gone: what was theirs may go to others, as the server sees fit.
    pub(crate) fn let_go_of_all(&self, agent: AgentId) {
        self.queue_order.lock().doubt();
        self.held.lock().retain(|_, hold| hold.agent != agent);
    }

    /// One of the two who take part in a visit has handed in all their tallies.
    pub(crate) fn left(&self, conversation: ConversationId) {
        self.queue_order.lock().goes(conversation);
        let mut leaving = self.leaving.lock();
        if leaving.half.insert(conversation) || self.plan.of > 1 {
            return;
        }
        leaving.half.remove(&conversation);
        leaving.over.insert(conversation);
        if leaving.over.len() >= OVER_MAX {
            let over = std::mem::take(&mut leaving.over);
            drop(leaving);
            self.ledger.lock().settle(&over);
        }
    }
}

/// In which conversation something is said in this frame, and how many messages it is.
fn said_in(frame: &ServerFrame<'_>) -> Option<(ConversationId, u64)> {
    if let ServerFrame::History { conversation, messages, .. } = frame {
        return Some((*conversation, number::long(messages.len())));
    }
    let ServerFrame::Message { conversation, .. } = frame else { return None };
    Some((*conversation, 1))
}

fn target(plan: &Plan, tls: Option<Arc<ClientConfig>>) -> Target {
    // Each worker comes from an address of its own: one has only some 28,000 ports towards a
    // server.
    let source = (plan.of > 1 && plan.address.ip() == IpAddr::from(Ipv4Addr::LOCALHOST))
        .then(|| IpAddr::from([127, 0, 0, u8::try_from(plan.index % 250).unwrap_or(0) + 2]));
    Target {
        address: plan.address,
        path: String::from("/v1/socket"),
        subprotocol: Some(Encoding::Msgpack.subprotocol()),
        headers: Vec::new(),
        source,
        tls,
    }
}

/// A number of the standard normal distribution (Box and Muller).
fn normal(chance: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - chance.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * chance.f64()).cos()
}

/// A time between two bounds.
pub(crate) fn between(span: crate::run::scenario::Span, chance: &mut fastrand::Rng) -> Duration {
    let crate::run::scenario::Span([least, most]) = span;
    Duration::from_millis(chance.u64(least..=most))
}

#[cfg(test)]
pub(crate) mod tests;

//! The real hub over a real store: people with their journals on connections that break, writes
//! that fail.

mod abandoned;
mod board;
mod bounds;
mod crash;
mod forgets;
mod given;
mod integrity;
mod waits;
mod masks;
mod pages;
mod parts;
mod stress;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use protocol::conversation::{Availability, ConversationState, ResumePoint, SiteAvailability};
use protocol::frame::{RequestId, ServerFrame};
use protocol::ids::{ConnectionId, ConversationId, MessageId, SessionId, TenantId, VisitorId};
use protocol::message::{Body, Message, Seq, Visibility};
use protocol::personal::Text;
use protocol::reject::CloseCode;
use protocol::time::UnixMillis;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::bus::memory::MemoryBus;
use crate::clock::SystemClock;
use crate::hub::fanout::EncodedFrame;
use crate::keys::KeyStore;
use crate::privacy::envelope::Flags;
use crate::privacy::ingest::NewMessage;
use crate::privacy::seal::{Bucket, Lock, SealError, Sealer, Subject};
use crate::routing::{Effect, Input};
use crate::store::conformance::World;
use crate::store::sqlite::{self, SqliteConfig, SqliteStore};
use crate::store::{Change, Records as _, Transcript as _};

/// Keys that fail when a test says so, and the batch with them.
#[derive(Debug)]
struct Failing {
    keys: Arc<KeyStore>,
    /// One batch in so many fails; 0: none.
    one_in: AtomicU64,
    /// The next batch fails.
    next: AtomicBool,
    batches: AtomicU64,
    failed: AtomicU64,
    asked: AtomicU64,
    /// While it is shut, the writer stands still in the batch at hand.
    shut: AtomicBool,
}

impl Sealer for Failing {
    fn prepare(&self, locks: &[Lock]) -> Result<(), SealError> {
        let one_in = self.one_in.load(Ordering::SeqCst);
        // Steps that are in tune with nothing else here.
        let at =
            self.batches.fetch_add(1, Ordering::SeqCst).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        while self.shut.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let by_chance = one_in > 0 && !locks.is_empty() && at.is_multiple_of(one_in);
        if self.next.swap(false, Ordering::SeqCst) || by_chance {
            self.failed.fetch_add(1, Ordering::SeqCst);
            return Err(SealError::Unavailable);
        }
        self.keys.prepare(locks)
    }

    fn seal(&self, lock: &Lock, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.keys.seal(lock, associated, plain)
    }

    fn unseal(&self, lock: &Lock, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.keys.unseal(lock, associated, sealed)
    }

    fn find_hash(&self, tenant: TenantId, field: &str, value: &str) -> Result<[u8; 32], SealError> {
        self.keys.find_hash(tenant, field, value)
    }

    fn sum(&self, bytes: &[u8]) -> [u8; 32] {
        self.keys.sum(bytes)
    }

    fn destroy_buckets(&self, buckets: &[Bucket]) -> Result<(), SealError> {
        self.keys.destroy_buckets(buckets)
    }

    fn destroy_subject(&self, tenant: TenantId, subject: Subject) -> Result<(), SealError> {
        self.keys.destroy_subject(tenant, subject)
    }

    /// A batch for which a test has plans must not pass by the journal, which needs no keys
    /// prepared: other keys than the writer remembers are the database's affair. Where chance has a
    /// part, every other batch.
    fn generation(&self) -> u64 {
        let planned = self.next.load(Ordering::SeqCst) || self.shut.load(Ordering::SeqCst);
        let chance = self.one_in.load(Ordering::SeqCst) > 0
            && self.asked.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        if planned || chance { 0 } else { self.keys.generation() }
    }
}

/// A hub and what it stands on.
struct Stand {
    hub: Arc<Hub>,
    store: Arc<SqliteStore>,
    keys: Arc<Failing>,
    _folder: TempDir,
}

impl Stand {
    fn new() -> Self {
        Self::with(RoutingConfig::default())
    }

    fn with(routing: RoutingConfig) -> Self {
        Self::at(routing, Arc::new(SystemClock), None)
    }

    fn at(routing: RoutingConfig, clock: Arc<dyn Clock>, abandoned_ms: Option<u64>) -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        let generation = sqlite::identity(&data).unwrap().map(|found| found.generation);
        let keys = KeyStore::open(&folder.path().join("keys"), &data, generation).unwrap();
        let keys = Arc::new(Failing {
            keys: Arc::new(keys),
            one_in: AtomicU64::new(0),
            next: AtomicBool::new(false),
            batches: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            shut: AtomicBool::new(false),
        });
        let sealer: Arc<dyn Sealer> = Arc::clone(&keys) as _;
        let metrics = Metrics::new();
        let stats = Arc::<Metrics>::clone(&metrics) as _;
        let config = SqliteConfig { stats, ..SqliteConfig::default() };
        let store = SqliteStore::open(&data, sealer, &config, Arc::clone(&clock)).unwrap();
        let store = Arc::new(store);
        let config = HubConfig {
            routing,
            visitor_grace_ms: 20_000,
            conversations_per_visitor_max: 10,
            conversations_per_ip_hour_max: 1_000,
            abandoned_ms,
        };
        let hub = Hub::new(Arc::clone(&store) as _, Arc::new(MemoryBus), clock, metrics, config);
        Self { hub, store, keys, _folder: folder }
    }

    async fn transcript(&self, world: &World) -> Vec<Item> {
        let read = self.store.messages(world.tenant, world.conversation, Seq(0), None, u16::MAX);
        let read = read.await.unwrap();
        read.iter()
            .map(|sequenced| Item {
                seq: sequenced.seq(),
                message: sequenced.envelope().message(),
                at: sequenced.envelope().at(),
                note: sequenced.envelope().visibility() == Visibility::Agents,
            })
            .collect()
    }
}

/// A message on a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    seq: Seq,
    message: MessageId,
    at: UnixMillis,
    note: bool,
}

impl Item {
    fn of(message: &Message<'_>) -> Self {
        Self {
            seq: message.seq,
            message: message.message,
            at: message.at,
            note: message.visibility == Visibility::Agents,
        }
    }
}

/// What a sink brought to a person.
#[derive(Debug)]
enum Received {
    Page { reset: bool, more: bool, items: Vec<Item> },
    Message(Item),
    Void { message: MessageId },
    Ack { request: RequestId, seq: Seq, at: UnixMillis },
    Reject { request: RequestId, retry: bool },
    Queue { position: u32 },
    Offer { deadline: UnixMillis },
    OfferOver,
    Promise(SiteAvailability),
}

/// Frames that wait in a sink at most.
const SINK_FRAMES_MAX: usize = 48;

/// A connection with a bounded outbox; one that is full ends it, as the gateway's does.
#[derive(Debug)]
struct TestSink {
    connection: ConnectionId,
    frames: Mutex<VecDeque<Received>>,
    over: AtomicBool,
}

impl TestSink {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            connection: ConnectionId::from_uuid(Uuid::new_v4()),
            frames: Mutex::default(),
            over: AtomicBool::new(false),
        })
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn next(&self) -> Option<Received> {
        self.frames.lock().pop_front()
    }

    fn take_all(&self) -> Vec<Received> {
        std::mem::take(&mut *self.frames.lock()).into()
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "these people care for some frames of many")]
impl FrameSink for TestSink {
    fn connection(&self) -> ConnectionId {
        self.connection
    }

    fn append(&self, frame: &EncodedFrame<'_>) -> bool {
        let received = match frame.frame() {
            ServerFrame::History { reset, more, messages, .. } => Received::Page {
                reset: *reset,
                more: *more,
                items: messages.iter().map(Item::of).collect(),
            },
            ServerFrame::Message { seq, message, at, visibility, .. } => Received::Message(Item {
                seq: *seq,
                message: *message,
                at: *at,
                note: *visibility == Some(Visibility::Agents),
            }),
            ServerFrame::Void { message, .. } => Received::Void { message: *message },
            ServerFrame::Ack { request, seq: Some(seq), at: Some(at), .. } => {
                Received::Ack { request: *request, seq: *seq, at: *at }
            }
            ServerFrame::Queue { position, .. } => Received::Queue { position: *position },
            ServerFrame::Offer { deadline, .. } => Received::Offer { deadline: *deadline },
            ServerFrame::OfferOver { .. } => Received::OfferOver,
            ServerFrame::Availability { availability } => Received::Promise(*availability),
            ServerFrame::Reject { request, code, .. } => {
                Received::Reject { request: *request, retry: code.retryable() }
            }
            _ => return false,
        };
        let mut frames = self.frames.lock();
        if frames.len() >= SINK_FRAMES_MAX {
            self.over.store(true, Ordering::SeqCst);
        }
        if !self.is_over() {
            frames.push_back(received);
        }
        true
    }

    fn append_ephemeral(&self, _frame: &EncodedFrame<'_>) {}

    fn flush(&self) {}

    fn close(&self, _code: CloseCode) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// What someone wrote and was not answered on.
#[derive(Debug, Clone, Copy)]
struct Pending {
    message: MessageId,
    seen: Seq,
}

/// A browser or a console with its journal.
#[derive(Debug)]
struct Person {
    tenant: TenantId,
    conversation: ConversationId,
    who: Who,
    view: Vec<Item>,
    /// The view begins with this sequence number, not with the conversation.
    cut: Option<Seq>,
    outbox: VecDeque<Pending>,
    asked: HashMap<RequestId, MessageId>,
    requests: u32,
    acked: Vec<(MessageId, Seq)>,
    voids: u64,
    resets: u64,
    /// The newest sequence number that this connection brought live.
    live: Seq,
}

impl Person {
    fn new(world: &World, who: Who) -> Self {
        Self {
            tenant: world.tenant,
            conversation: world.conversation,
            who,
            view: Vec::new(),
            cut: None,
            outbox: VecDeque::new(),
            asked: HashMap::new(),
            requests: 0,
            acked: Vec::new(),
            voids: 0,
            resets: 0,
            live: Seq(0),
        }
    }

    fn visitor(world: &World) -> Self {
        Self::new(world, Who::Visitor { site: world.site, visitor: world.visitor })
    }

    fn speaker(&self, sink: &Arc<TestSink>) -> Speaker {
        Speaker { tenant: self.tenant, who: self.who, sink: Arc::clone(sink) as _ }
    }

    fn point(&self) -> Option<ResumePoint> {
        self.view.last().map(|last| ResumePoint {
            conversation: self.conversation,
            seq: last.seq,
            message: Some(last.message),
            at: Some(last.at),
        })
    }

    async fn connect(&mut self, hub: &Arc<Hub>) -> (Speaker, Arc<TestSink>, Watched) {
        let sink = TestSink::new();
        let speaker = self.speaker(&sink);
        self.asked.clear();
        self.live = Seq(0);
        let point = self.point();
        let watched = hub
            .attendance()
            .attend(&speaker, self.conversation, point.as_ref(), RequestId(0))
            .await
            .unwrap();
        (speaker, sink, watched)
    }

    fn write(&mut self) -> Pending {
        let pending = Pending {
            message: MessageId::from_uuid(Uuid::now_v7()),
            seen: self.view.last().map_or(Seq(0), |last| last.seq),
        };
        self.outbox.push_back(pending);
        pending
    }

    async fn send(&mut self, hub: &Arc<Hub>, speaker: &Speaker, pending: Pending) {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.asked.insert(request, pending.message);
        let visibility = match self.who {
            Who::Visitor { .. } => Visibility::Everyone,
            Who::Agent { .. } => Visibility::Agents,
        };
        let new_message = NewMessage {
            conversation: self.conversation,
            message: pending.message,
            seen_seq: pending.seen,
            body: Body::Text(Text::new(pending.message.to_string())),
            visibility,
        };
        let sent = hub.messages().send(speaker, request, new_message, SystemClock.instant()).await;
        if let Err(reject) = sent {
            assert!(reject.code.retryable(), "{reject:?}");
            self.asked.remove(&request);
        }
    }

    fn show(&mut self, item: Item) {
        self.view.retain(|known| known.message != item.message && known.seq != item.seq);
        let at = self.view.partition_point(|known| known.seq < item.seq);
        self.view.insert(at, item);
    }

    fn receive(&mut self, received: Received) {
        match received {
            Received::Page { reset, more, items } => {
                if reset {
                    self.resets += 1;
                    self.view.clear();
                }
                if self.view.is_empty() {
                    self.cut = items.first().map(|first| first.seq).filter(|_| more);
                }
                for item in items {
                    self.show(item);
                }
            }
            Received::Message(item) => {
                assert!(item.seq > self.live, "a connection brings numbers in their order");
                assert!(
                    !item.note || matches!(self.who, Who::Agent { .. }),
                    "a note left the agents"
                );
                self.live = item.seq;
                self.show(item);
            }
            Received::Void { message } => {
                self.voids += 1;
                self.view.retain(|known| known.message != message);
            }
            Received::Ack { request, seq, at } => {
                let Some(message) = self.asked.remove(&request) else { return };
                self.acked.push((message, seq));
                self.outbox.retain(|pending| pending.message != message);
                if self.cut.is_none_or(|first| seq >= first) {
                    let note = matches!(self.who, Who::Agent { .. });
                    self.show(Item { seq, message, at, note });
                }
            }
            Received::Reject { request, retry } => {
                assert!(retry, "nothing here is refused for good");
                self.asked.remove(&request);
            }
            Received::Queue { .. }
            | Received::Offer { .. }
            | Received::OfferOver
            | Received::Promise(_) => {}
        }
    }

    fn receive_all(&mut self, sink: &TestSink) {
        while let Some(received) = sink.next() {
            self.receive(received);
        }
    }

    /// Connects and repeats what was not answered, until all is.
    async fn settle(&mut self, hub: &Arc<Hub>) {
        loop {
            let (speaker, sink, watched) = self.connect(hub).await;
            self.receive_all(&sink);
            for pending in self.outbox.clone() {
                self.send(hub, &speaker, pending).await;
                self.receive_all(&sink);
            }
            while !self.asked.is_empty() && !sink.is_over() {
                self.receive_all(&sink);
                tokio::task::yield_now().await;
            }
            hub.attendance().leave(&speaker, &watched);
            if self.outbox.is_empty() && !sink.is_over() {
                self.receive_all(&sink);
                return;
            }
        }
    }

    /// What is on the screen is what is stored, as far back as the screen reaches.
    fn check(&self, transcript: &[Item]) {
        for (message, seq) in &self.acked {
            let there: Vec<_> = transcript.iter().filter(|item| item.message == *message).collect();
            assert_eq!(there.len(), 1, "an acked message is there once");
            assert_eq!(there[0].seq, *seq, "and where it was acked");
        }
        let agent = matches!(self.who, Who::Agent { .. });
        let first = self.cut.unwrap_or(Seq(0));
        let mine = transcript.iter().filter(|item| item.seq >= first && (agent || !item.note));
        assert_eq!(self.view, mine.copied().collect::<Vec<_>>(), "the screen is the transcript");
    }
}

/// Effects of two inputs run side by side, and those of the older one may end later.
#[tokio::test]
async fn a_place_in_the_queue_that_is_no_longer_so_is_not_told() {
    let stand = Stand::new();
    let world = World::new(7);
    world.settle(&*stand.store).await;
    stand.hub.start().await.unwrap();
    let (hub, conversation) = (&stand.hub, world.conversation);
    let (_, sink, _) = Person::visitor(&world).connect(hub).await;
    let desk = hub.desks.get(world.tenant).await.unwrap();
    let places = async |position| {
        sink.take_all();
        let effect = Effect::Position { conversation, position, wait_ms: None };
        hub.assignment.run(&desk, vec![effect]).await.unwrap();
        let told = sink.take_all().into_iter();
        let places = told.filter_map(|received| {
            let Received::Queue { position } = received else { return None };
            Some(position)
        });
        places.collect::<Vec<_>>()
    };
    assert_eq!(places(1).await, [1]);
    assert_eq!(places(9).await, [0; 0], "they were the ninth, and are the first by now");
}

#[tokio::test]
async fn an_offer_is_made_while_they_are_asked_and_over_when_they_are_not() {
    let stand = Stand::new();
    let world = World::new(7);
    world.settle(&*stand.store).await;
    stand.store.change(vec![Change::create(world.agent_row())]).await.unwrap();
    stand.hub.start().await.unwrap();
    let (hub, conversation, agent) = (&stand.hub, world.conversation, world.agent);
    let desk = hub.desks.get(world.tenant).await.unwrap();
    let who = Who::Agent { agent, session: SessionId::from_bytes([1; 16]) };
    let (person, sink) = (Person::new(&world, who), TestSink::new());
    let expires_at = hub.times.now().plus_ms(60_000);
    hub.presence().agent_connected(&person.speaker(&sink), expires_at).await.unwrap();
    let told = async |effect| {
        sink.take_all();
        hub.assignment.run(&desk, vec![effect]).await.unwrap();
        sink.take_all()
    };
    let made = |deadline| Effect::Offer { conversation, agent, deadline, transfer_from: None };
    let over = || Effect::OfferOver { conversation, agent };
    assert!(told(made(hub.times.now())).await.is_empty(), "they are away, and not asked");
    assert!(matches!(told(over()).await[..], [Received::OfferOver]));

    hub.acts().choose(world.tenant, agent, Availability::Available, None).await.unwrap();
    let received = sink.take_all();
    let [Received::Offer { deadline }] = received[..] else {
        panic!("they are asked: {received:?}")
    };
    assert!(told(over()).await.is_empty(), "another question than that which is over");
    assert!(matches!(told(made(deadline)).await[..], [Received::Offer { .. }]));
    // The clock stepped back before it was told.
    let received = told(made(deadline.plus_ms(1))).await;
    assert!(
        matches!(received[..], [Received::Offer { deadline: holds }] if holds == deadline),
        "{received:?}"
    );

    let window = TestSink::new();
    hub.presence().agent_connected(&person.speaker(&window), expires_at).await.unwrap();
    assert!(
        matches!(window.take_all()[..], [Received::Offer { .. }]),
        "their other window asks, too"
    );
}

#[tokio::test]
async fn what_an_agent_chooses_is_stored_and_what_is_held_of_them_follows() {
    let stand = Stand::new();
    let world = World::new(7);
    world.settle(&*stand.store).await;
    stand.store.change(vec![Change::create(world.agent_row())]).await.unwrap();
    stand.hub.start().await.unwrap();
    let (hub, tenant, agent) = (&stand.hub, world.tenant, world.agent);
    let desk = hub.desks.get(tenant).await.unwrap();
    hub.acts().choose(tenant, agent, Availability::Available, Some(9)).await.unwrap();
    let stored = stand.store.agent(tenant, agent).await.unwrap().unwrap();
    assert_eq!((stored.availability, stored.capacity), (Availability::Available, 9));
    assert_eq!(desk.state.lock().agents[&agent].row, stored);
}

#[tokio::test]
async fn a_visitor_who_comes_takes_nothing_away_that_is_due() {
    let stand = Stand::with(RoutingConfig { offer_ms: 1, ..RoutingConfig::default() });
    let world = World::new(7);
    world.settle(&*stand.store).await;
    stand.store.change(vec![Change::create(world.agent_row())]).await.unwrap();
    stand.hub.start().await.unwrap();
    let (hub, agent) = (&stand.hub, world.agent);
    let who = Who::Agent { agent, session: SessionId::from_bytes([1; 16]) };
    let sink = TestSink::new();
    let expires_at = hub.times.now().plus_ms(60_000);
    hub.presence()
        .agent_connected(&Person::new(&world, who).speaker(&sink), expires_at)
        .await
        .unwrap();
    hub.acts().choose(world.tenant, agent, Availability::Available, None).await.unwrap();
    assert!(matches!(sink.take_all()[..], [Received::Offer { .. }]));
    // The offer ends, and the visitor comes before anybody looked at it.
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let visitor = Person::visitor(&world).speaker(&TestSink::new());
    hub.presence().visitor_connected(&visitor, Flags::default()).await.unwrap();
    hub.tick_desks().await;
    assert!(
        matches!(sink.take_all()[..], [Received::OfferOver]),
        "the agent hears that it is over"
    );
}

#[tokio::test]
async fn what_was_closed_and_is_not_written_yet_is_closed_and_can_be_reopened() {
    let stand = Stand::new();
    let world = World::new(7);
    world.settle(&*stand.store).await;
    stand.hub.start().await.unwrap();
    let (hub, tenant, conversation) = (&stand.hub, world.tenant, world.conversation);
    let desk = hub.desks.get(tenant).await.unwrap();
    stand.keys.next.store(true, Ordering::SeqCst);
    hub.assignment.route(&desk, Input::Closed { conversation }).await.unwrap_err();
    hub.conversations().close(tenant, Actor::Program, conversation).await.unwrap();
    assert!(desk.state.lock().routing.standing(conversation).is_none());
    hub.conversations().reopen(tenant, Actor::Program, conversation).await.unwrap();
    assert!(desk.state.lock().routing.standing(conversation).is_some(), "it waits again");
    let row = stand.store.conversation(tenant, conversation).await.unwrap().unwrap();
    assert_eq!(row.state, ConversationState::Queued);
}

#[tokio::test]
async fn a_site_does_not_promise_what_it_promised_before() {
    let stand = Stand::new();
    let world = World::new(7);
    world.settle(&*stand.store).await;
    stand.hub.start().await.unwrap();
    let hub = &stand.hub;
    let desk = hub.desks.get(world.tenant).await.unwrap();
    let sink = TestSink::new();
    let visitor = Person::visitor(&world).speaker(&sink);
    let now = hub.presence().visitor_connected(&visitor, Flags::default()).await.unwrap();
    assert_eq!(now, SiteAvailability::Unavailable);
    let promised = async |availability| {
        sink.take_all();
        let effect = Effect::SiteAvailability { site: world.site, availability };
        hub.assignment.run(&desk, vec![effect]).await.unwrap();
        sink.take_all()
    };
    assert!(promised(SiteAvailability::Available).await.is_empty());
    assert!(matches!(promised(now).await[..], [Received::Promise(SiteAvailability::Unavailable)]));
}

#[tokio::test]
async fn asking_twice_at_once_to_close_or_reopen_is_asking_once() {
    let stand = Stand::new();
    let world = World::new(7);
    world.settle(&*stand.store).await;
    stand.hub.start().await.unwrap();
    let (hub, tenant, conversation) = (&stand.hub, world.tenant, world.conversation);
    let close = || hub.conversations().close(tenant, Actor::Program, conversation);
    let (one, other) = tokio::join!(close(), close());
    assert_eq!((one, other), (Ok(()), Ok(())));
    let before = stand.transcript(&world).await.len();
    assert_eq!(before, 1, "one line says that it was closed");
    let reopen = || hub.conversations().reopen(tenant, Actor::Program, conversation);
    let (one, other) = tokio::join!(reopen(), reopen());
    assert_eq!((one, other), (Ok(()), Ok(())));
    assert_eq!(stand.transcript(&world).await.len(), before + 1, "one line says that it goes on");
}

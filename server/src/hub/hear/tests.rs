//! Two hubs in one process, on one store and one bus.

use std::time::Duration;

use parking_lot::Mutex;
use protocol::frame::{RequestId, ServerFrame};
use protocol::ids::{ConnectionId, ConversationId, MessageId};
use protocol::message::{Author, Body, EventKind, Seq, Visibility};
use protocol::personal::Text;
use protocol::reject::CloseCode;
use tempfile::TempDir;

use super::*;
use crate::bus::Bus;
use crate::bus::memory::{MemoryNet, MemoryNode};
use crate::bus::redis::RedisBus;
use crate::bus::redis::tests::Redis;
use crate::clock::{Clock, SystemClock};
use crate::hub::fanout::EncodedFrame;
use crate::hub::{FrameSink, Hub, HubConfig, Speaker, Watched, Who, tally};
use crate::keys::KeyStore;
use crate::metrics::Metrics;
use crate::privacy::envelope::{Content, Envelope};
use crate::privacy::ingest::NewMessage;
use crate::privacy::seal::Sealer;
use crate::routing::RoutingConfig;
use crate::store::conformance::World;
use crate::store::sqlite::{SqliteConfig, SqliteStore};
use crate::store::{Store, Transcript as _, Write};
use crate::tasks;

const PATIENCE: Duration = Duration::from_secs(20);

/// What a screen shows: messages by sequence number, newest truth last.
#[derive(Debug, Default)]
struct Screen {
    shown: Vec<(Seq, MessageId)>,
    acked: Vec<(RequestId, Seq)>,
    refused: Vec<RequestId>,
    typing: Vec<Author>,
    seen: Vec<Seq>,
}

impl Screen {
    fn show(&mut self, seq: Seq, message: MessageId) {
        self.take_off(message);
        self.shown.push((seq, message));
        self.shown.sort_unstable();
    }

    fn take_off(&mut self, message: MessageId) {
        self.shown.retain(|(_, shown)| *shown != message);
    }
}

/// A connection that keeps what it is sent.
#[derive(Debug)]
struct TestSink {
    id: ConnectionId,
    screen: Mutex<Screen>,
}

impl FrameSink for TestSink {
    fn connection(&self) -> ConnectionId {
        self.id
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the rest is not what these tests are about"
    )]
    fn append(&self, frame: &EncodedFrame<'_>) -> bool {
        let mut screen = self.screen.lock();
        match frame.frame() {
            ServerFrame::Message { seq, message, .. } => screen.show(*seq, *message),
            ServerFrame::Void { message, .. } => screen.take_off(*message),
            ServerFrame::History { messages, .. } => {
                for message in messages {
                    screen.show(message.seq, message.message);
                }
            }
            ServerFrame::Ack { request, seq, .. } => screen.acked.push((*request, seq.unwrap())),
            ServerFrame::Reject { request, .. } => screen.refused.push(*request),
            ServerFrame::Typing { author, .. } => screen.typing.push(*author),
            ServerFrame::Seen { seq, .. } => screen.seen.push(*seq),
            _ => {}
        }
        true
    }

    fn append_ephemeral(&self, frame: &EncodedFrame<'_>) {
        self.append(frame);
    }

    fn flush(&self) {}

    fn close(&self, _code: CloseCode) {}
}

/// A visitor's tab at one of the nodes.
struct Tab {
    hub: Arc<Hub>,
    sink: Arc<TestSink>,
    speaker: Speaker,
    watched: Watched,
    conversation: ConversationId,
}

impl Tab {
    async fn open(hub: &Arc<Hub>, world: World, n: u8) -> Self {
        let who = Who::Visitor { site: world.site, visitor: world.visitor };
        Self::open_for(hub, world, n, who).await
    }

    async fn open_for(hub: &Arc<Hub>, world: World, n: u8, who: Who) -> Self {
        let sink = Arc::new(TestSink {
            id: ConnectionId::from_bytes([n; 16]),
            screen: Mutex::new(Screen::default()),
        });
        let speaker = Speaker { tenant: world.tenant, who, sink: Arc::<TestSink>::clone(&sink) };
        let conversation = world.conversation;
        let watched =
            hub.attendance().attend(&speaker, conversation, None, RequestId(0)).await.unwrap();
        Self { hub: Arc::clone(hub), sink, speaker, watched, conversation }
    }

    /// Sends message `n` of this tab; its id tells the tab.
    async fn send(&self, n: u32) {
        self.send_as(n, self.message(n)).await;
    }

    fn message(&self, n: u32) -> MessageId {
        let mut id = *self.sink.id.as_bytes();
        id[6] = 0x70;
        id[8] = 0x80;
        id[12..].copy_from_slice(&n.to_be_bytes());
        MessageId::from_bytes(id)
    }

    async fn send_as(&self, n: u32, message: MessageId) {
        let new_message = NewMessage {
            conversation: self.conversation,
            message,
            seen_seq: Seq(0),
            body: Body::Text(Text::new("hello")),
            visibility: Visibility::Everyone,
        };
        let now = self.hub.times.instant();
        let request = RequestId(n);
        if let Err(reject) =
            self.hub.messages().send(&self.speaker, request, new_message, now).await
        {
            tally::refuse(&self.hub.metrics, &*self.sink, request, reject);
        }
    }

    /// What the screen shows once this tab's own acked messages are put where their acks say.
    fn shows(&self) -> Vec<(Seq, MessageId)> {
        let screen = self.sink.screen.lock();
        let mut all = screen.shown.clone();
        all.extend(screen.acked.iter().map(|(request, seq)| (*seq, self.message(request.0))));
        all.sort_unstable();
        all.dedup();
        all
    }

    async fn until(&self, what: &str, holds: impl Fn(&Screen) -> bool) {
        let look = async {
            while !holds(&self.sink.screen.lock()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, look).await.is_err() {
            panic!("waited in vain for {what}: {:?}", self.sink.screen.lock());
        }
    }

    async fn until_shows(&self, what: &str, wanted: &[(Seq, MessageId)]) {
        let look = async {
            while self.shows() != wanted {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, look).await.is_err() {
            assert_eq!(self.shows(), wanted, "{what}");
        }
    }
}

/// One store, one visitor with one conversation, and hubs on one bus.
struct Nodes {
    _folder: TempDir,
    store: Arc<SqliteStore>,
    keys: Arc<KeyStore>,
    world: World,
    end: watch::Sender<bool>,
}

impl Nodes {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let keys = Arc::new(KeyStore::open(&folder.path().join("keys"), &data, None).unwrap());
        let sealer: Arc<dyn Sealer> = Arc::<KeyStore>::clone(&keys);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store =
            Arc::new(SqliteStore::open(&data, sealer, &SqliteConfig::default(), clock).unwrap());
        let world = World::new(1);
        world.settle(&*store).await;
        let (end, _) = watch::channel(false);
        Self { _folder: folder, store, keys, world, end }
    }

    fn hub(&self, (bus, received): (impl Bus + 'static, mpsc::Receiver<BusEvent>)) -> Arc<Hub> {
        let config = HubConfig {
            routing: RoutingConfig::default(),
            visitor_grace_ms: 1_000,
            conversations_per_visitor_max: 5,
            conversations_per_ip_hour_max: 1_000,
            abandoned_ms: None,
        };
        let store: Arc<dyn Store> = Arc::<SqliteStore>::clone(&self.store);
        let hub = Hub::new(store, Arc::new(bus), Arc::new(SystemClock), Metrics::new(), config);
        drop(tasks::spawn(
            "hearing",
            Arc::clone(hub.listener()).listen(received, self.end.subscribe()),
        ));
        drop(tasks::spawn("upkeep", Arc::clone(&hub).upkeep(self.end.subscribe())));
        hub
    }

    async fn redis(&self, redis: &Redis) -> (RedisBus, mpsc::Receiver<BusEvent>) {
        let keys = Arc::clone(&self.keys);
        RedisBus::connect(&redis.config(), keys, Arc::new(SystemClock)).await.unwrap()
    }

    async fn transcript(&self) -> Vec<(Seq, MessageId)> {
        let World { tenant, conversation, .. } = self.world;
        let all = self.store.messages(tenant, conversation, Seq(0), None, 1_000).await.unwrap();
        all.iter().map(|sequenced| (sequenced.seq(), sequenced.envelope().message())).collect()
    }

    async fn ends(self) {
        self.end.send_replace(true);
        self.store.close().await;
    }
}

/// Both tabs write at once; every message is acked, stored once, and both screens show the
/// transcript.
async fn two_nodes_show_one_order(nodes: &Nodes, one: Arc<Hub>, two: Arc<Hub>) {
    const EACH: u32 = 60;
    let left = Arc::new(Tab::open(&one, nodes.world, 1).await);
    let right = Arc::new(Tab::open(&two, nodes.world, 2).await);
    let mut writing = Vec::new();
    for tab in [&left, &right] {
        let tab = Arc::clone(tab);
        writing.push(tasks::spawn("a tab", async move {
            for n in 0..EACH {
                tab.send(n).await;
            }
        }));
    }
    for tab in writing {
        tab.await.unwrap();
    }
    for tab in [&left, &right] {
        let count = usize::try_from(EACH).unwrap();
        tab.until("all acks", |screen| screen.acked.len() == count).await;
    }
    let transcript = nodes.transcript().await;
    assert_eq!(transcript.len(), usize::try_from(2 * EACH).unwrap(), "stored once each");
    left.until_shows("the left tab", &transcript).await;
    right.until_shows("the right tab", &transcript).await;

    let session = protocol::ids::SessionId::from_bytes([7; 16]);
    let who = Who::Agent { agent: nodes.world.agent, session };
    let agent = Tab::open_for(&two, nodes.world, 9, who).await;
    one.attendance().typing(&left.speaker, &left.watched, true);
    agent.until("typing", |screen| screen.typing == [Author::Visitor]).await;
    let last = transcript.last().unwrap().0;
    two.attendance().receipt(&right.speaker, &right.watched, last, true);
    left.until("the mark", |screen| screen.seen == [last]).await;

    // A resend at the other node is the same message.
    let (seq, message) = transcript[3];
    let acks = right.sink.screen.lock().acked.len();
    right.send_as(900, message).await;
    right.until("the ack", |screen| screen.acked.len() > acks).await;
    assert_eq!(right.sink.screen.lock().acked.last(), Some(&(RequestId(900), seq)));
    assert_eq!(nodes.transcript().await, transcript);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hubs_on_one_redis_show_one_order() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::new().await;
    let one = nodes.hub(nodes.redis(&redis).await);
    let two = nodes.hub(nodes.redis(&redis).await);
    two_nodes_show_one_order(&nodes, one, two).await;
    nodes.ends().await;
}

async fn two_on_a_net(nodes: &Nodes) -> (MemoryNet, Tab, Tab) {
    let net = MemoryNet::default();
    let join = || -> (MemoryNode, _) { net.join() };
    let (one, two) = (nodes.hub(join()), nodes.hub(join()));
    let left = Tab::open(&one, nodes.world, 1).await;
    let right = Tab::open(&two, nodes.world, 2).await;
    (net, left, right)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hubs_on_a_net_show_one_order() {
    let nodes = Nodes::new().await;
    let net = MemoryNet::default();
    let (one, two) = (nodes.hub(net.join()), nodes.hub(net.join()));
    two_nodes_show_one_order(&nodes, one, two).await;
    nodes.ends().await;
}

#[tokio::test]
async fn what_the_bus_lost_is_read_from_the_store() {
    let nodes = Nodes::new().await;
    let (net, left, right) = two_on_a_net(&nodes).await;
    left.send(1).await;
    net.set_deaf(Some(1));
    left.send(2).await;
    left.send(3).await;
    net.set_deaf(None);
    left.send(4).await;
    left.until("all acks", |screen| screen.acked.len() == 4).await;
    right.until_shows("the gap is filled", &nodes.transcript().await).await;
    assert_eq!(right.shows().len(), 4);
    nodes.ends().await;
}

#[tokio::test]
async fn a_number_that_is_not_heard_of_is_delivered_all_the_same() {
    let nodes = Nodes::new().await;
    let (net, left, right) = two_on_a_net(&nodes).await;
    net.set_deaf(Some(0));
    left.send(1).await;
    left.until("the ack", |screen| screen.acked == [(RequestId(1), Seq(1))]).await;
    right.until_shows("the other hears it", &[(Seq(1), left.message(1))]).await;
    nodes.ends().await;
}

#[tokio::test]
async fn without_the_bus_a_message_is_refused_and_may_come_again() {
    let nodes = Nodes::new().await;
    let (net, left, right) = two_on_a_net(&nodes).await;
    net.set_away(true);
    left.send(1).await;
    left.until("the refusal", |screen| screen.refused == [RequestId(1)]).await;
    assert_eq!(nodes.transcript().await, []);
    net.set_away(false);
    left.send(1).await;
    left.until("the ack", |screen| screen.acked == [(RequestId(1), Seq(1))]).await;
    right.until_shows("the other hears it", &[(Seq(1), left.message(1))]).await;
    nodes.ends().await;
}

impl Tab {
    /// Sends again what another tab of the same visitor sent.
    async fn repeat(&self, other: &Self, all: std::ops::RangeInclusive<u32>) {
        for n in all {
            self.send_as(n, other.message(n)).await;
        }
    }

    async fn until_refused(&self, all: &[u32]) {
        let all: Vec<_> = all.iter().copied().map(RequestId).collect();
        self.until("the refusals, in their order", |screen| screen.refused == all).await;
        self.sink.screen.lock().refused.clear();
    }
}

fn messages(transcript: &[(Seq, MessageId)]) -> Vec<MessageId> {
    transcript.iter().map(|(_, message)| *message).collect()
}

/// The bus gives no answer and then none at all: nobody stands still for it, whoever sent something
/// hears of it, on every connection, and nothing comes before what its author said first.
#[tokio::test]
async fn while_the_bus_says_nothing_nobody_stands_still_everyone_is_answered_and_order_holds() {
    let nodes = Nodes::new().await;
    let (net, left, _right) = two_on_a_net(&nodes).await;
    // Another connection of the same visitor, at the same node.
    let again = Tab::open(&left.hub, nodes.world, 3).await;
    net.hold(true);
    for n in 1..=3 {
        left.send(n).await;
    }
    again.repeat(&left, 1..=3).await;
    {
        let (left, again) = (left.sink.screen.lock(), again.sink.screen.lock());
        assert!(
            left.refused.is_empty() && left.acked.is_empty(),
            "all are taken, none has an outcome"
        );
        assert!(again.refused.is_empty() && again.acked.is_empty());
    }
    net.set_away(true);
    net.hold(false);
    left.until_refused(&[1, 2, 3]).await;
    again.until_refused(&[1, 2, 3]).await;
    // What was written before the refusals were read does not overtake them.
    net.set_away(false);
    left.send(4).await;
    left.until_refused(&[4]).await;
    again.repeat(&left, 1..=3).await;
    again.until("the acks", |screen| screen.acked.len() == 3).await;
    left.send(4).await;
    left.until("the ack", |screen| screen.acked.len() == 1).await;
    assert_eq!(messages(&nodes.transcript().await), [1, 2, 3, 4].map(|n| left.message(n)));
    nodes.ends().await;
}

#[tokio::test]
async fn one_senders_refusal_is_not_anothers() {
    let nodes = Nodes::new().await;
    let (net, left, _right) = two_on_a_net(&nodes).await;
    let session = protocol::ids::SessionId::from_bytes([7; 16]);
    let who = Who::Agent { agent: nodes.world.agent, session };
    let agent = Tab::open_for(&left.hub, nodes.world, 9, who).await;
    net.hold(true);
    left.send(1).await;
    let note = NewMessage {
        conversation: agent.conversation,
        message: agent.message(1),
        seen_seq: Seq(0),
        body: Body::Text(Text::new("a note")),
        visibility: Visibility::Agents,
    };
    let now = agent.hub.times.instant();
    agent.hub.messages().send(&agent.speaker, RequestId(1), note, now).await.unwrap();
    net.set_away(true);
    net.hold(false);
    left.until_refused(&[1]).await;
    agent.until_refused(&[1]).await;
    net.set_away(false);
    // A resend frees the connection at once.
    left.send(1).await;
    left.send(2).await;
    left.until("the acks", |screen| screen.acked.len() == 2).await;
    assert_eq!(messages(&nodes.transcript().await), [1, 2].map(|n| left.message(n)));
    nodes.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stands_still_and_goes_on_changes_nobodys_order() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::new().await;
    let one = nodes.hub(nodes.redis(&redis).await);
    let two = nodes.hub(nodes.redis(&redis).await);
    let left = Tab::open(&one, nodes.world, 1).await;
    let right = Tab::open(&two, nodes.world, 2).await;
    left.send(1).await;
    left.until("the ack", |screen| screen.acked.len() == 1).await;
    redis.pause(true);
    let again = Tab::open(&one, nodes.world, 3).await;
    for n in 2..=4 {
        left.send(n).await;
    }
    again.repeat(&left, 2..=4).await;
    left.until_refused(&[2, 3, 4]).await;
    again.until_refused(&[2, 3, 4]).await;
    redis.pause(false);
    // The sequence numbers of the first tries are heard of now; their messages have none.
    loop {
        again.repeat(&left, 2..=4).await;
        let answered = |screen: &Screen| screen.acked.len() + screen.refused.len() == 3;
        again.until("an answer to each", answered).await;
        let mut screen = again.sink.screen.lock();
        screen.refused.clear();
        if std::mem::take(&mut screen.acked).len() == 3 {
            break;
        }
    }
    let transcript = nodes.transcript().await;
    assert_eq!(messages(&transcript), [1, 2, 3, 4].map(|n| left.message(n)));
    right.until_shows("the other node shows the same", &transcript).await;
    nodes.ends().await;
}

#[tokio::test]
async fn a_message_that_its_node_did_not_store_is_acked_by_no_other_before_it_is_stored() {
    let nodes = Nodes::new().await;
    let (net, left, right) = two_on_a_net(&nodes).await;
    // A third node gives it its sequence number and dies before it stores it.
    let (dying, _heard) = net.join();
    left.send(1).await;
    left.until("the ack", |screen| screen.acked.len() == 1).await;
    let stored =
        nodes.store.messages(nodes.world.tenant, nodes.world.conversation, Seq(0), None, 10);
    let template = Arc::clone(&stored.await.unwrap()[0]);
    let lost = with_id(template.envelope(), right.message(7));
    assert_eq!(dying.sequence(&lost, Seq(0)).await, Ok(Seq(2)));
    right.until("what was said", |screen| screen.shown.len() == 2).await;
    // Its author comes back to another node and sends it again.
    right.send(7).await;
    right.until("the ack", |screen| screen.acked == [(RequestId(7), Seq(3))]).await;
    let transcript = nodes.transcript().await;
    assert_eq!(transcript, [(Seq(1), left.message(1)), (Seq(3), right.message(7))]);
    left.until_shows("it moved", &transcript).await;
    nodes.ends().await;
}

#[tokio::test]
async fn a_message_whose_number_is_taken_in_the_store_gets_another() {
    let nodes = Nodes::new().await;
    let (net, left, right) = two_on_a_net(&nodes).await;
    left.send(1).await;
    left.until("the ack", |screen| screen.acked.len() == 1).await;
    // Another node stored something at sequence numbers of which nobody here heard; then the bus
    // forgot.
    let (tenant, conversation) = (nodes.world.tenant, nodes.world.conversation);
    let first = nodes.store.messages(tenant, conversation, Seq(0), None, 10).await.unwrap();
    let rival = with_id(first[0].envelope(), right.message(50));
    let write = vec![Write::Message(Arc::new(rival.sequence(Seq(2))))];
    nodes.store.write(write).await.unwrap();
    net.forget();
    left.send(2).await;
    left.until("the ack", |screen| screen.acked.contains(&(RequestId(2), Seq(3)))).await;
    let transcript = nodes.transcript().await;
    assert_eq!(
        transcript,
        [(Seq(1), left.message(1)), (Seq(2), right.message(50)), (Seq(3), left.message(2))]
    );
    right.until("the move", |screen| screen.shown.contains(&(Seq(3), left.message(2)))).await;
    right.until_shows("what was missed is there too", &transcript).await;
    left.until_shows("and here", &transcript).await;
    nodes.ends().await;
}

#[tokio::test]
async fn messages_whose_numbers_are_taken_get_others_in_their_order() {
    let nodes = Nodes::new().await;
    let (net, left, right) = two_on_a_net(&nodes).await;
    left.send(0).await;
    left.until("the ack", |screen| screen.acked.len() == 1).await;
    let (tenant, conversation) = (nodes.world.tenant, nodes.world.conversation);
    let first = nodes.store.messages(tenant, conversation, Seq(0), None, 10).await.unwrap();
    let rivals = [1, 3, 4].map(|n| {
        let rival = with_id(first[0].envelope(), right.message(n));
        Write::Message(Arc::new(rival.sequence(Seq(u64::from(n) + 1))))
    });
    nodes.store.write(rivals.into()).await.unwrap();
    net.forget();
    for n in 1..=8 {
        left.send(n).await;
    }
    left.until("the acks", |screen| screen.acked.len() == 9).await;
    let mut new_message = messages(&nodes.transcript().await);
    new_message.retain(|message| (1..=8).all(|n| *message != right.message(n)));
    assert_eq!(new_message, (0..=8).map(|n| left.message(n)).collect::<Vec<_>>());
    nodes.ends().await;
}

/// An event message has nobody who would send it again: it is tried for itself.
#[tokio::test]
async fn an_event_message_is_not_lost_with_another() {
    let nodes = Nodes::new().await;
    let (net, left, right) = two_on_a_net(&nodes).await;
    net.hold(true);
    let World { tenant, conversation, .. } = nodes.world;
    for kind in [EventKind::Closed, EventKind::Reopened] {
        left.hub.assignment.events.write(tenant, conversation, kind, None).await;
    }
    net.fail(1);
    net.hold(false);
    right.until("the second", |screen| screen.shown.len() == 1).await;
    let content = || async {
        let all = nodes.store.messages(tenant, conversation, Seq(0), None, 9).await.unwrap();
        all.iter().map(|sequenced| sequenced.envelope().content().clone()).collect::<Vec<_>>()
    };
    while content().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let all = content().await;
    assert!(
        matches!(all.as_slice(), [Content::Event { event: EventKind::Reopened, .. }]),
        "{all:?}"
    );
    nodes.ends().await;
}

#[tokio::test]
async fn what_could_not_be_stored_leaves_the_screens_of_all_nodes() {
    let nodes = Nodes::new().await;
    let (_net, left, right) = two_on_a_net(&nodes).await;
    left.send(1).await;
    right.until("the message", |screen| screen.shown.len() == 1).await;
    let room = left.watched.room.clone();
    let sequenced =
        room.with(|live| live.sequencer().find(left.message(1)).cloned()).unwrap().unwrap();
    left.hub.messages.executor.take_back(&room, sequenced);
    right.until("nothing", |screen| screen.shown.is_empty()).await;
    nodes.ends().await;
}

#[tokio::test]
async fn a_room_that_is_gone_is_followed_no_more() {
    let nodes = Nodes::new().await;
    let (net, left, right) = two_on_a_net(&nodes).await;
    right.hub.attendance().leave(&right.speaker, &right.watched);
    left.send(1).await;
    left.until("the ack", |screen| screen.acked.len() == 1).await;
    assert!(!net.follows(1, nodes.world.conversation));
    let again = Tab::open(&right.hub, nodes.world, 3).await;
    left.send(2).await;
    left.until("the ack", |screen| screen.acked.len() == 2).await;
    again.until_shows("it hears again", &nodes.transcript().await).await;
    nodes.ends().await;
}

/// The same words under another id.
fn with_id(envelope: &Envelope, message: MessageId) -> Envelope {
    use crate::privacy::envelope::Parts;
    Envelope::restore(Parts {
        tag: *envelope.tag(),
        conversation: envelope.conversation(),
        message,
        author: envelope.author(),
        visibility: envelope.visibility(),
        at: envelope.at(),
        seen_seq: Seq(0),
        content: envelope.content().clone(),
    })
}

/// What a node keeps of a conversation is old as soon as another node speaks in it.
#[tokio::test]
async fn where_other_nodes_speak_a_list_is_read_anew() {
    let nodes = Nodes::new().await;
    let (_net, left, right) = two_on_a_net(&nodes).await;
    let World { tenant, conversation, .. } = nodes.world;
    right.hub.start().await.unwrap();
    right.hub.attendance().leave(&right.speaker, &right.watched);
    let desk = right.hub.desks.get(tenant).await.unwrap();
    for n in 1..=2 {
        left.send(n).await;
        left.until("the ack", |screen| screen.acked.len() == usize::try_from(n).unwrap()).await;
        let facts = right.hub.board.facts(&desk, conversation).await;
        assert_eq!(facts.seq_last, Seq(u64::from(n)));
        assert_eq!(right.hub.rooms.len(), 0);
    }
    nodes.ends().await;
}

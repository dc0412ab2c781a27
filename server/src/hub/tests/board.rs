//! Lists show what was said and load no room for it.

use protocol::conversation::ConversationCard;
use protocol::personal::Personal;

use super::*;
use crate::clock::ManualClock;
use crate::hub::newest::RoomFacts;
use crate::privacy::sweep::is_due;
use crate::store::Write;
use crate::store::conformance::{MessageKind as Kind, NOW};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// An agent's window that keeps the board.
#[derive(Debug)]
struct Window {
    connection: ConnectionId,
    board: Mutex<Vec<ConversationCard>>,
}

impl Window {
    fn new() -> Arc<Self> {
        let connection = ConnectionId::from_uuid(Uuid::new_v4());
        Arc::new(Self { connection, board: Mutex::default() })
    }

    /// What each conversation shows, by the seq of the newest.
    fn previews(&self) -> Vec<(Seq, Option<String>)> {
        let board = self.board.lock();
        let preview =
            |card: &ConversationCard| card.preview.as_ref().map(|text| text.expose().clone());
        board.iter().map(|card| (card.seq_last, preview(card))).collect()
    }
}

impl FrameSink for Window {
    fn connection(&self) -> ConnectionId {
        self.connection
    }

    fn append(&self, frame: &EncodedFrame<'_>) -> bool {
        if let ServerFrame::Board { conversations, .. } = frame.frame() {
            *self.board.lock() = conversations.to_vec();
        }
        true
    }

    fn append_ephemeral(&self, _: &EncodedFrame<'_>) {}

    fn flush(&self) {}

    fn close(&self, _: CloseCode) {}
}

/// A hub with conversations in each of which the visitor said something, and an agent who looks.
struct Seen {
    stand: Stand,
    clock: Arc<ManualClock>,
    worlds: Vec<World>,
    window: Arc<Window>,
    agent: Speaker,
}

impl Seen {
    async fn new(conversations: u8) -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        let stand = Stand::at(RoutingConfig::default(), clock.clone(), None);
        let first = World::new(7);
        first.settle(&*stand.store).await;
        stand.store.change(vec![Change::create(first.agent_row())]).await.unwrap();
        let mut worlds = vec![first];
        worlds.extend((0..conversations - 1).map(|n| first.with_visitor(8 + n)));
        for world in &worlds[1..] {
            world.begin(&*stand.store).await;
        }
        let new_message = worlds
            .iter()
            .map(|world| Write::Message(world.message_of_kind(1, Kind::Words, NOW.day())));
        stand.store.write(new_message.collect()).await.unwrap();
        stand.hub.start().await.unwrap();
        let window = Window::new();
        let who = Who::Agent { agent: first.agent, session: SessionId::from_bytes([1; 16]) };
        let sink: Arc<dyn FrameSink> = Arc::clone(&window) as _;
        let agent = Speaker { tenant: first.tenant, who, sink };
        Self { stand, clock, worlds, window, agent }
    }

    fn reads(&self) -> u64 {
        self.stand.hub.metrics.store_read_duration_seconds.count()
    }

    /// Opens the board. How many reads that took.
    async fn open(&self) -> u64 {
        let before = self.reads();
        self.stand.hub.board().watch(&self.agent, RequestId(1), None).await.unwrap();
        self.reads() - before
    }

    async fn facts(&self, world: &World) -> RoomFacts {
        let hub = &self.stand.hub;
        let desk = hub.desks.get(world.tenant).await.unwrap();
        hub.board.facts(&desk, world.conversation).await
    }
}

#[tokio::test]
async fn the_board_of_two_hundred_conversations_is_one_read_and_loads_no_room() {
    let seen = Seen::new(200).await;
    assert_eq!(seen.stand.hub.rooms.len(), 0, "nor does the start");
    let reads = seen.open().await;
    assert_eq!((reads, seen.stand.hub.rooms.len()), (2, 0), "the drafts, and what is newest");
    let previews = seen.window.previews();
    assert_eq!(previews.len(), 200);
    let new_message = (Seq(1), Some("line 1".to_owned()));
    assert!(previews.iter().all(|preview| *preview == new_message), "{previews:?}");
    assert_eq!(seen.open().await, 1, "the headers know it by now: the drafts alone");
    assert_eq!(seen.window.previews(), previews);
}

#[tokio::test]
async fn what_a_dropped_room_knew_stays_with_the_header() {
    let seen = Seen::new(1).await;
    let (hub, world) = (&seen.stand.hub, seen.worlds[0]);
    seen.open().await;
    let mut person = Person::visitor(&world);
    person.write();
    person.settle(hub).await;
    let (speaker, _, watched) = person.connect(hub).await;
    let live = seen.facts(&world).await;
    assert!(live.preview.is_some() && live.seq_last == Seq(2) && live.asked.is_some());
    hub.attendance().receipt(&speaker, &watched, Seq(2), true);
    hub.attendance().leave(&speaker, &watched);
    assert_eq!(hub.rooms.len(), 1, "its receipts are not written yet");
    hub.write_receipts();
    assert_eq!(hub.rooms.len(), 0);
    let reads = seen.reads();
    let kept = seen.facts(&world).await;
    assert_eq!(seen.reads(), reads, "nothing is read");
    assert_eq!((kept.seq_last, &kept.preview, kept.asked), (Seq(2), &live.preview, live.asked));
    assert_eq!(kept.receipts.first().map(|marks| marks.seen), Some(Seq(2)));
}

#[tokio::test]
async fn words_whose_time_is_over_are_not_shown_and_not_kept() {
    let seen = Seen::new(1).await;
    let (hub, world) = (&seen.stand.hub, seen.worlds[0]);
    let text = Personal::new("line 1".to_owned());
    assert_eq!(seen.facts(&world).await.preview, Some(text));
    let timeline = World::timeline();
    let class = protocol::retention::RetentionClass::Transcript;
    let days = |n: u64| NOW.plus_ms(n * DAY_MS).day();
    let over = (1..9_999).find(|n| is_due(&timeline, class, NOW.day(), days(*n))).unwrap();
    seen.clock.advance_ms(over * DAY_MS);
    let reads = seen.reads();
    let facts = seen.facts(&world).await;
    assert_eq!((facts.preview, facts.asked, facts.seq_last), (None, None, Seq(1)));
    assert_eq!(seen.reads(), reads, "judged by what is kept");
    let desk = hub.desks.get(world.tenant).await.unwrap();
    let kept = || format!("{:?}", desk.state.lock().headers[&world.conversation].newest);
    assert!(kept().contains("words: Some") && kept().contains("asked: Some"));
    desk.state.lock().forget(&|_, _, _| true);
    assert!(!kept().contains("words: Some") && !kept().contains("asked: Some"));
}

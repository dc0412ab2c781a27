//! What a frame costs does not grow with what was kept before it or with how many wait: every kind
//! of frame that a client may send, at one times and at twenty times the data, by the steps of
//! SQLite's machine and by the frames that it sets off. A new kind without a case fails here.

use std::collections::BTreeMap;

use protocol::conversation::PageView;
use protocol::frame::ClientFrame;
use protocol::personal::Personal;

use super::*;
use crate::hub::Opening;
use crate::store::conformance::{MessageKind as Kind, NOW};
use crate::store::sqlite::tests::Steps;
use crate::store::{SecretHash, Write};

const RATIO_MAX: u64 = 2;
const SLACK: u64 = 400;

/// A connection that counts what it is told, in frames and in bytes.
#[derive(Debug)]
struct Counting {
    connection: ConnectionId,
    told: AtomicU64,
}

impl Counting {
    fn new() -> Arc<Self> {
        let connection = ConnectionId::from_uuid(Uuid::new_v4());
        Arc::new(Self { connection, told: AtomicU64::new(0) })
    }

    fn take(&self) -> u64 {
        self.told.swap(0, Ordering::SeqCst)
    }
}

impl FrameSink for Counting {
    fn connection(&self) -> ConnectionId {
        self.connection
    }

    fn append(&self, frame: &EncodedFrame<'_>) -> bool {
        let items = if let ServerFrame::Board { conversations, .. } = frame.frame() {
            conversations.len()
        } else if let ServerFrame::History { messages, .. } = frame.frame() {
            messages.len()
        } else {
            0
        };
        self.told.fetch_add(1 + u64::try_from(items).unwrap(), Ordering::SeqCst);
        true
    }

    fn append_ephemeral(&self, frame: &EncodedFrame<'_>) {
        self.append(frame);
    }

    fn flush(&self) {}

    fn close(&self, _code: CloseCode) {}
}

/// What one frame cost.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    steps: u64,
    told: u64,
}

/// An Organization in which much has happened: conversations that wait, closed ones, and a long
/// one.
struct Old {
    stand: Stand,
    world: World,
    waiting: Vec<ConversationId>,
    agent: (Speaker, Arc<Counting>),
    visitor: (Speaker, Arc<Counting>),
    steps: Steps,
}

impl Old {
    async fn new(times: u64) -> Self {
        let steps = Steps::count();
        let stand = Stand::new();
        let world = World::new(7);
        world.settle(&*stand.store).await;
        stand.store.change(vec![Change::create(world.agent_row())]).await.unwrap();
        let mut writes = Vec::new();
        let mut waiting = Vec::new();
        for n in 0..times * 60 {
            let mut id = [9; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            let mut row = world.conversation_row();
            row.conversation = ConversationId::from_bytes(id);
            if n % 2 == 0 {
                // The visitor's own, of long ago.
                row.state = ConversationState::Closed;
            } else {
                let mut visitor = world.visitor_row();
                visitor.visitor = VisitorId::from_bytes(id);
                (visitor.secret.0[..16]).copy_from_slice(&id);
                visitor.secret_before = None;
                row.visitor = visitor.visitor;
                waiting.push(row.conversation);
                writes.push(Write::Visitor(Box::new(visitor)));
            }
            writes.push(Write::Conversation(Box::new(row)));
        }
        stand.store.write(writes).await.unwrap();
        let messages = (1..=times * 60).map(|seq| {
            let kind = if seq <= times * 30 { Kind::Words } else { Kind::Note };
            Write::Message(world.message_of_kind(seq, kind, NOW.day()))
        });
        stand.store.write(messages.collect()).await.unwrap();
        // The checkpoint that brings them into the database is no frame's cost.
        let file = stand._folder.path().join("data/livehelp.sqlite");
        let file = rusqlite::Connection::open(file).unwrap();
        let count = || file.query_row("SELECT count(*) FROM messages", [], |row| row.get(0));
        while count() != Ok(times * 60) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        drop(file);
        stand.hub.start().await.unwrap();
        let sink = |who| {
            let counting = Counting::new();
            let sink: Arc<dyn FrameSink> = Arc::clone(&counting) as _;
            (Speaker { tenant: world.tenant, who, sink }, counting)
        };
        let session = SessionId::from_bytes([1; 16]);
        let agent = sink(Who::Agent { agent: world.agent, session });
        let visitor = sink(Who::Visitor { site: world.site, visitor: world.visitor });
        let hub = &stand.hub;
        hub.presence().visitor_connected(&visitor.0, Flags::default()).await.unwrap();
        hub.presence().agent_connected(&agent.0, UnixMillis(u64::MAX)).await.unwrap();
        hub.board().watch(&agent.0, RequestId(1), None).await.unwrap();
        for conversation in &waiting {
            // Everyone who waits looks at their place.
            let theirs = VisitorId::from_bytes(*conversation.as_bytes());
            let who = Who::Visitor { site: world.site, visitor: theirs };
            let speaker = Speaker { who, ..visitor.0.clone() };
            hub.attendance().attend(&speaker, *conversation, None, RequestId(0)).await.unwrap();
        }
        Self { stand, world, waiting, agent, visitor, steps }
    }

    fn new_message(&self, message: MessageId) -> NewMessage<'static> {
        NewMessage {
            conversation: self.world.conversation,
            message,
            seen_seq: Seq(0),
            body: Body::Text(Text::new("again")),
            visibility: Visibility::Everyone,
        }
    }

    /// Does what a frame of this kind asks for, at its dearest.
    #[expect(clippy::too_many_lines, reason = "one arm a kind: a flat list reads best whole")]
    async fn act(&self, word: &str) {
        let (hub, world) = (&self.stand.hub, &self.world);
        let World { tenant, conversation, .. } = *world;
        let (agent, visitor) = (&self.agent.0, &self.visitor.0);
        let (front, rear) = (self.waiting[0], self.waiting[self.waiting.len() - 1]);
        let choose = |availability| hub.acts().choose(tenant, world.agent, availability, Some(4));
        match word {
            "hello" => {
                hub.desks().open_conversations(tenant, world.visitor).await.unwrap();
                hub.attendance().attend(visitor, conversation, None, RequestId(0)).await.unwrap();
            }
            "send" => {
                let id = MessageId::from_uuid(Uuid::now_v7());
                let sent = hub.messages().send(
                    visitor,
                    RequestId(1),
                    self.new_message(id),
                    SystemClock.instant(),
                );
                sent.await.unwrap();
                let (told, outcome) = tokio::sync::oneshot::channel();
                let slot = self.stand.store.reserve().await.unwrap();
                slot.write(Vec::new(), Box::new(move |done| drop(told.send(done))));
                outcome.await.unwrap().unwrap();
            }
            "open" => {
                let opening = Opening {
                    conversation: ConversationId::from_uuid(Uuid::now_v7()),
                    form: vec![("email", "ada@example.test")],
                    page: None,
                    notice: None,
                    locale: "en",
                    secret: SecretHash([8; 32]),
                    secret_expires_at: UnixMillis(u64::MAX / 2),
                    address: std::net::IpAddr::from([127, 0, 0, 1]),
                    gpc: false,
                };
                hub.conversations().open(visitor, opening).await.unwrap();
            }
            "close" => hub.conversations().close(tenant, Actor::Program, front).await.unwrap(),
            "reopen" => hub.conversations().reopen(tenant, Actor::Program, front).await.unwrap(),
            "typing" | "delivered" | "seen" => {
                let watched = hub
                    .attendance()
                    .attend(visitor, conversation, None, RequestId(0))
                    .await
                    .unwrap();
                match word {
                    "typing" => hub.attendance().typing(visitor, &watched, true),
                    _ => hub.attendance().receipt(visitor, &watched, Seq(u64::MAX), word == "seen"),
                }
            }
            "ping" => tell(&*visitor.sink, ServerFrame::Pong { request: RequestId(1) }),
            "history" => {
                for before in [0, 5] {
                    let asked = hub.attendance().history(
                        visitor,
                        conversation,
                        Seq(before),
                        20,
                        RequestId(1),
                    );
                    asked.await.unwrap();
                }
            }
            "availability" => {
                choose(Availability::Available).await.unwrap();
                choose(Availability::Away).await.unwrap();
                choose(Availability::Available).await.unwrap();
            }
            "accept" | "decline" => {
                let desk = hub.desks.get(tenant).await.unwrap();
                let offered = desk.state.lock().routing.offers_to(world.agent)[0];
                let act =
                    if word == "accept" { Act::Accept(offered) } else { Act::Decline(offered) };
                hub.acts().run(tenant, agent.who.into(), act).await.unwrap();
            }
            "assign" => {
                let act = Act::Assign { conversation: rear, to: world.agent };
                hub.acts().run(tenant, agent.who.into(), act).await.unwrap();
            }
            "transfer" => {
                let act = Act::Transfer { conversation: rear, to: world.agent };
                hub.acts().run(tenant, agent.who.into(), act).await.unwrap_err();
            }
            "take-over" => {
                let act = Act::TakeOver { conversation: rear, from: world.agent };
                hub.acts().run(tenant, agent.who.into(), act).await.unwrap_err();
            }
            "withdraw" => {
                hub.acts().run(tenant, agent.who.into(), Act::Withdraw(rear)).await.unwrap_err();
            }
            "watch" => {
                hub.board().watch(agent, RequestId(1), None).await.unwrap();
                hub.attendance().attend(agent, conversation, None, RequestId(1)).await.unwrap();
            }
            "unwatch" => {
                let watched =
                    hub.attendance().attend(agent, conversation, None, RequestId(1)).await.unwrap();
                hub.attendance().leave(agent, &watched);
            }
            "draft" => hub.conversations().draft(agent, conversation, "words").await.unwrap(),
            "page" => {
                let url = Personal::new(String::from("https://shop.example/"));
                hub.presence().page(visitor, &PageView { url, title: None }).await.unwrap();
            }
            other => panic!("a kind of frame without a case: {other}"),
        }
    }

    async fn cost(&self, word: &str) -> Cost {
        self.steps.take();
        self.agent.1.take();
        self.visitor.1.take();
        self.act(word).await;
        Cost { steps: self.steps.take(), told: self.agent.1.take() + self.visitor.1.take() }
    }
}

/// In the order in which each finds what it needs.
fn words() -> Vec<&'static str> {
    let first = ["close", "reopen", "availability", "decline", "accept", "assign", "transfer"];
    let all = ClientFrame::SCHEMA.iter().map(|kind| kind.word);
    first.into_iter().chain(all.filter(|word| !first.contains(word))).collect()
}

async fn costs(times: u64) -> BTreeMap<&'static str, Cost> {
    let old = Old::new(times).await;
    let mut costs = BTreeMap::new();
    for word in words() {
        costs.insert(word, old.cost(word).await);
    }
    // And the ticks of the upkeep, which pay for what frames leave to them.
    old.steps.take();
    old.visitor.1.take();
    old.stand.hub.tick_desks().await;
    let told = old.visitor.1.take();
    costs.insert("a tick of the upkeep", Cost { steps: old.steps.take(), told });
    costs
}

#[tokio::test]
async fn no_frame_costs_more_because_much_was_kept_before_it() {
    let (few, many) = (costs(4).await, costs(80).await);
    let mut grown = Vec::new();
    for (word, few) in &few {
        let many = many[word];
        let bounded = many.steps <= few.steps * RATIO_MAX + SLACK && many.told <= few.told + 260;
        if !bounded {
            grown.push(format!("{word}: {few:?}, {many:?} with twenty times the data"));
        }
    }
    assert!(grown.is_empty(), "{}", grown.join("\n"));
}

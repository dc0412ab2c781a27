//! Who answers whom, through the whole server: offers, deadlines, capacity, order, and what a restart keeps.
//!
//! The wall clock stands still until a test moves it; lines live by the machine's own.

use std::sync::Arc;
use std::time::Instant;

use livehelp::clock::{Clock, ManualClock, SystemClock};
use protocol::conversation::{Availability, ConversationCard, ConversationState};
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::ids::{AgentId, ConversationId};
use protocol::message::{Author, Body, EventKind};
use protocol::reject::RejectCode;
use protocol::time::UnixMillis;

use crate::client::{Client, new_message};
use crate::metrics::Scrape;
use crate::server::TestServer;

const START: UnixMillis = UnixMillis(1_790_000_000_000);
/// What `offer_ms` and `agent_grace_ms` are where nobody sets them, and the rest after a missed offer.
const OFFER_MS: u64 = 30_000;
const GRACE_MS: u64 = 45_000;
const REST_MS: u64 = 30_000;

/// Deadlines pass when the test says so; lines do not fall silent by that.
#[derive(Debug)]
struct WallClock(ManualClock);

impl Clock for WallClock {
    fn now(&self) -> UnixMillis {
        self.0.now()
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }
}

impl WallClock {
    fn pass(&self, ms: u64) {
        self.0.advance_ms(ms);
    }
}

async fn start() -> (TestServer, Arc<WallClock>) {
    let clock = Arc::new(WallClock(ManualClock::new(START)));
    let handed = Arc::clone(&clock);
    let server = TestServer::start_as(|setup| {
        setup.clock = handed;
        setup.config.agent_grace_ms = GRACE_MS;
        assert_eq!(setup.config.offer_ms, OFFER_MS);
    })
    .await;
    (server, clock)
}

/// The server has noticed who came and who is gone.
async fn agents_connected(server: &TestServer, count: f64) {
    let series = r#"connections{role="agent",transport="websocket-msgpack"}"#;
    Scrape::until(server.admin, |scrape| scrape.value(series) == count).await;
}

/// A visitor with a conversation that is open.
async fn visitor(server: &TestServer) -> (Client, ConversationId) {
    let mut visitor = Client::visitor(server, None, vec![]).await;
    let conversation = visitor.open().await;
    (visitor, conversation)
}

async fn ready(agent: &mut Client, capacity: u16) {
    choose(agent, Availability::Available, Some(capacity)).await;
}

async fn choose(agent: &mut Client, availability: Availability, capacity: Option<u16>) {
    let request = agent.next_request();
    agent.tell(&ClientFrame::Availability { request, availability, capacity }).await;
    agent.acked(request).await;
}

/// The next conversation that is offered here, and until when.
async fn offered(agent: &mut Client) -> (ConversationId, UnixMillis) {
    agent
        .until(|frame| match frame {
            ServerFrame::Offer { conversation, deadline, .. } => Some((*conversation, *deadline)),
            _ => None,
        })
        .await
}

async fn offer_over(agent: &mut Client, conversation: ConversationId) {
    agent
        .until(|frame| {
            matches!(frame, ServerFrame::OfferOver { conversation: c } if *c == conversation)
                .then_some(())
        })
        .await;
}

/// Nothing was offered here, and nothing is on its way.
async fn asked_nothing(agent: &mut Client) {
    let frames = agent.settled().await;
    assert!(!frames.iter().any(|frame| matches!(frame, ServerFrame::Offer { .. })), "{frames:?}");
}

async fn decline(agent: &mut Client, conversation: ConversationId) {
    let request = agent.next_request();
    agent.tell(&ClientFrame::Decline { request, conversation }).await;
    agent.acked(request).await;
}

async fn close(client: &mut Client, conversation: ConversationId) {
    let request = client.next_request();
    client.tell(&ClientFrame::Close { request, conversation }).await;
    client.acked(request).await;
}

/// The first card of the conversation that is as wanted.
async fn card(
    client: &mut Client,
    conversation: ConversationId,
    wanted: impl Fn(&ConversationCard) -> bool,
) -> ConversationCard {
    client
        .until(|frame| match frame {
            ServerFrame::Conversation { card } => {
                (card.conversation == conversation && wanted(card)).then(|| card.clone())
            }
            _ => None,
        })
        .await
}

async fn stands_at(client: &mut Client, conversation: ConversationId, place: u32) {
    client
        .until(|frame| match frame {
            ServerFrame::Queue { conversation: c, position, .. } => {
                (*c == conversation && *position == place).then_some(())
            }
            ServerFrame::Conversation { card } => {
                (card.conversation == conversation && card.position == Some(place)).then_some(())
            }
            _ => None,
        })
        .await;
}

async fn line(client: &mut Client, kind: EventKind) -> Option<AgentId> {
    client
        .until(|frame| match frame {
            ServerFrame::Message { body: Body::Event { event, agent }, .. } => {
                (*event == kind).then_some(*agent)
            }
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_nobody_answers_goes_to_the_next_agent() {
    let (server, clock) = start().await;
    let mut first = Client::agent(&server, 0).await;
    ready(&mut first, 5).await;
    let mut second = Client::agent(&server, 1).await;
    ready(&mut second, 5).await;
    let (_visitor, conversation) = visitor(&server).await;
    assert_eq!(offered(&mut first).await, (conversation, START.plus_ms(OFFER_MS)));
    asked_nothing(&mut second).await;
    clock.pass(OFFER_MS);
    offer_over(&mut first, conversation).await;
    assert_eq!(offered(&mut second).await, (conversation, START.plus_ms(2 * OFFER_MS)));
    // Too late for the first one.
    let request = first.next_request();
    first.tell(&ClientFrame::Accept { request, conversation }).await;
    let code = first
        .until(|frame| match frame {
            ServerFrame::Reject { request: r, code, .. } if *r == request => Some(*code),
            _ => None,
        })
        .await;
    assert_eq!(code, RejectCode::Gone);
    second.accept_offered(conversation).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_holds_until_its_last_millisecond() {
    let (server, clock) = start().await;
    let mut agent = Client::agent(&server, 0).await;
    ready(&mut agent, 5).await;
    let (mut visitor, conversation) = visitor(&server).await;
    offered(&mut agent).await;
    clock.pass(OFFER_MS - 1);
    agent.accept_offered(conversation).await;
    assert_eq!(line(&mut visitor, EventKind::Assigned).await, Some(server.agents[0]));
    clock.pass(OFFER_MS);
    agent.say(conversation, "still mine").await;
    visitor.heard("still mine").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_conversation_goes_on_at_once_and_rests_with_those_who_declined() {
    let (server, clock) = start().await;
    let mut first = Client::agent(&server, 0).await;
    ready(&mut first, 5).await;
    let mut second = Client::agent(&server, 1).await;
    ready(&mut second, 5).await;
    let (mut visitor, conversation) = visitor(&server).await;
    offered(&mut first).await;
    decline(&mut first, conversation).await;
    assert_eq!(offered(&mut second).await.0, conversation);
    decline(&mut second, conversation).await;
    offer_over(&mut second, conversation).await;
    asked_nothing(&mut first).await;
    asked_nothing(&mut second).await;
    stands_at(&mut visitor, conversation, 1).await;
    clock.pass(REST_MS);
    // Not the one who was asked last, while there is another.
    assert_eq!(offered(&mut first).await.0, conversation);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_vanishes_gives_back_to_the_head_of_the_queue_and_the_visitor_is_told() {
    let (server, clock) = start().await;
    let mut gone = Client::agent(&server, 0).await;
    ready(&mut gone, 1).await;
    let (mut visitor, conversation) = visitor(&server).await;
    gone.accept(conversation).await;
    let (mut behind, waiting) = self::visitor(&server).await;
    stands_at(&mut behind, waiting, 1).await;
    let mut taker = Client::agent(&server, 1).await;
    drop(gone);
    agents_connected(&server, 1.0).await;
    clock.pass(GRACE_MS);
    assert_eq!(line(&mut visitor, EventKind::Requeued).await, Some(server.agents[0]));
    stands_at(&mut visitor, conversation, 1).await;
    stands_at(&mut behind, waiting, 2).await;
    ready(&mut taker, 5).await;
    assert_eq!(offered(&mut taker).await.0, conversation);
    assert_eq!(offered(&mut taker).await.0, waiting);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_is_back_within_the_grace_keeps_what_he_has() {
    let (server, clock) = start().await;
    let mut agent = Client::agent(&server, 0).await;
    ready(&mut agent, 5).await;
    let (mut visitor, conversation) = visitor(&server).await;
    agent.accept(conversation).await;
    let mut colleague = Client::agent(&server, 1).await;
    drop(agent);
    agents_connected(&server, 1.0).await;
    clock.pass(GRACE_MS - 1);
    let mut agent = Client::agent(&server, 0).await;
    agent.watch(conversation, None).await;
    clock.pass(GRACE_MS);
    ready(&mut colleague, 5).await;
    agent.say(conversation, "here again").await;
    visitor.heard("here again").await;
    asked_nothing(&mut colleague).await;
    let told = visitor.settled().await;
    let requeued = |frame: &ServerFrame<'_>| {
        matches!(
            frame,
            ServerFrame::Message { body: Body::Event { event: EventKind::Requeued, .. }, .. }
        )
    };
    assert!(!told.iter().any(requeued));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_above_his_capacity() {
    let (server, _clock) = start().await;
    let mut agent = Client::agent(&server, 0).await;
    ready(&mut agent, 2).await;
    let (_a, one) = visitor(&server).await;
    agent.accept(one).await;
    let (_b, two) = visitor(&server).await;
    // An offer counts: two of two.
    assert_eq!(offered(&mut agent).await.0, two);
    let (mut third, three) = visitor(&server).await;
    stands_at(&mut third, three, 2).await;
    asked_nothing(&mut agent).await;
    agent.accept_offered(two).await;
    stands_at(&mut third, three, 1).await;
    asked_nothing(&mut agent).await;
    close(&mut agent, one).await;
    assert_eq!(offered(&mut agent).await.0, three);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sees_the_last_one_closed_before_he_is_asked_for_the_next() {
    let (server, _clock) = start().await;
    let mut agent = Client::agent(&server, 0).await;
    ready(&mut agent, 1).await;
    let (_first, conversation) = visitor(&server).await;
    agent.accept(conversation).await;
    let (_second, next) = visitor(&server).await;
    agent.settled().await;
    let request = agent.next_request();
    agent.tell(&ClientFrame::Close { request, conversation }).await;
    let mut closed = false;
    loop {
        match agent.next().await.unwrap() {
            ServerFrame::Conversation { card } if card.conversation == conversation => {
                closed |= card.state == ConversationState::Closed;
            }
            ServerFrame::Offer { conversation: offered, .. } => {
                assert_eq!(offered, next);
                break;
            }
            _ => {}
        }
    }
    assert!(closed, "the offer came first");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_busy_is_asked_first_and_among_equals_the_one_idle_longest() {
    let (server, _clock) = start().await;
    let mut first = Client::agent(&server, 0).await;
    ready(&mut first, 5).await;
    let mut second = Client::agent(&server, 1).await;
    ready(&mut second, 5).await;
    let (_a, one) = visitor(&server).await;
    first.accept(one).await;
    let (_b, two) = visitor(&server).await;
    second.accept(two).await;
    // One each; the first one took his earlier.
    let (_c, three) = visitor(&server).await;
    first.accept(three).await;
    let (_d, four) = visitor(&server).await;
    second.accept(four).await;
    asked_nothing(&mut first).await;
    // The second one has less now, though he worked last.
    close(&mut second, four).await;
    let (_e, five) = visitor(&server).await;
    second.accept(five).await;
    asked_nothing(&mut first).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_are_served_in_the_order_of_waiting() {
    let (server, clock) = start().await;
    let mut waiting = Vec::new();
    for place in 1..=4 {
        let (mut visitor, conversation) = visitor(&server).await;
        stands_at(&mut visitor, conversation, place).await;
        waiting.push((visitor, conversation));
        clock.pass(1_000);
    }
    let mut agent = Client::agent(&server, 0).await;
    ready(&mut agent, 2).await;
    assert_eq!(offered(&mut agent).await.0, waiting[0].1);
    assert_eq!(offered(&mut agent).await.0, waiting[1].1);
    for (_, conversation) in &waiting[..2] {
        agent.accept_offered(*conversation).await;
    }
    let (visitor, conversation) = &mut waiting[3];
    stands_at(visitor, *conversation, 2).await;
    asked_nothing(&mut agent).await;
    ready(&mut agent, 4).await;
    assert_eq!(offered(&mut agent).await.0, waiting[2].1);
    assert_eq!(offered(&mut agent).await.0, waiting[3].1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_the_order_the_owners_and_the_deadlines() {
    let (server, clock) = start().await;
    let mut owner = Client::agent(&server, 0).await;
    ready(&mut owner, 2).await;
    let (owned, mine) = visitor(&server).await;
    owner.accept(mine).await;
    clock.pass(1_000);
    let (asking, asked) = visitor(&server).await;
    assert_eq!(offered(&mut owner).await.0, asked);
    clock.pass(1_000);
    let (behind, last) = visitor(&server).await;
    let tokens = [owned.token.clone(), asking.token.clone(), behind.token.clone()];
    drop((owner, owned, asking, behind));
    let server = server.restart().await;
    let mut visitors = Vec::new();
    for token in tokens {
        visitors.push(Client::visitor(&server, token, vec![]).await);
    }
    let card_of = card(&mut visitors[0], mine, |_| true).await;
    assert_eq!(card_of.state, ConversationState::Active);
    assert_eq!(card_of.assignee, Some(server.agents[0]));
    // An offer does not outlive the server; its conversation kept its place.
    stands_at(&mut visitors[1], asked, 1).await;
    stands_at(&mut visitors[2], last, 2).await;
    // The grace of those who are not back yet began with the start.
    clock.pass(GRACE_MS);
    assert_eq!(line(&mut visitors[0], EventKind::Requeued).await, Some(server.agents[0]));
    stands_at(&mut visitors[0], mine, 1).await;
    stands_at(&mut visitors[2], last, 3).await;
    // And once more: the head of the queue outlives a restart too.
    let server = server.restart().await;
    let mut taker = Client::agent(&server, 1).await;
    ready(&mut taker, 3).await;
    for conversation in [mine, asked, last] {
        assert_eq!(offered(&mut taker).await, (conversation, clock.now().plus_ms(OFFER_MS)));
    }
    clock.pass(OFFER_MS);
    for conversation in [mine, asked, last] {
        offer_over(&mut taker, conversation).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_nobody_answers_leaves_it_with_the_giver() {
    let (server, clock) = start().await;
    let mut giver = Client::agent(&server, 0).await;
    ready(&mut giver, 5).await;
    let (mut visitor, conversation) = visitor(&server).await;
    giver.accept(conversation).await;
    let mut taker = Client::agent(&server, 1).await;
    ready(&mut taker, 5).await;
    giver.transfer(conversation, server.agents[1]).await;
    assert_eq!(offered(&mut taker).await.0, conversation);
    clock.pass(OFFER_MS);
    offer_over(&mut taker, conversation).await;
    giver.say(conversation, "I am still here").await;
    visitor.heard("I am still here").await;
    giver.transfer(conversation, server.agents[1]).await;
    assert_eq!(offered(&mut taker).await.0, conversation);
    taker.accept_offered(conversation).await;
    assert_eq!(line(&mut visitor, EventKind::Transferred).await, Some(server.agents[1]));
    let request = taker.next_request();
    taker.send(request, conversation, new_message(), "now it is me").await;
    taker.acked(request).await;
    let author = visitor
        .until(|frame| match frame {
            ServerFrame::Message { author, body: Body::Text(said), .. } => {
                (said.expose() == "now it is me").then_some(*author)
            }
            _ => None,
        })
        .await;
    assert_eq!(author, Author::Agent(server.agents[1]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_to_someone_without_room_is_refused() {
    let (server, _clock) = start().await;
    let mut giver = Client::agent(&server, 0).await;
    ready(&mut giver, 5).await;
    let (_visitor, conversation) = visitor(&server).await;
    giver.accept(conversation).await;
    let mut full = Client::agent(&server, 1).await;
    choose(&mut full, Availability::Away, None).await;
    let request = giver.next_request();
    let agent = server.agents[1];
    giver.tell(&ClientFrame::Transfer { request, conversation, agent }).await;
    let code = giver
        .until(|frame| match frame {
            ServerFrame::Reject { request: r, code, .. } if *r == request => Some(*code),
            _ => None,
        })
        .await;
    assert_eq!(code, RejectCode::AtCapacity);
    asked_nothing(&mut full).await;
    server.stop().await;
}

//! Who answers whom, through the whole server: offers, deadlines, capacity, order, and what a
//! restart keeps.
//!
//! The wall clock stands still until a test moves it; lines live by the machine's own.

use std::sync::Arc;
use std::time::Instant;

use livehelp::clock::{Clock, ManualClock, SystemClock};
use protocol::conversation::{
    AgentCard, Availability, AvailabilityCause, ConversationCard, ConversationState, Presence,
    Role, SiteAvailability,
};
use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use protocol::ids::{AgentId, ConversationId};
use protocol::message::{Author, Body, EventKind, Seq, Visibility};
use protocol::personal::Text;
use protocol::reject::RejectCode;
use protocol::time::UnixMillis;

use crate::client::{Client, new_message};
use crate::http;
use crate::metrics::Scrape;
use crate::server::{COOKIES, TestServer};

const START: UnixMillis = UnixMillis(1_790_000_000_000);
/// What `offer_ms` and `agent_grace_ms` are where nobody sets them, and the rest after a missed
/// offer.
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
async fn an_agent_who_is_back_within_the_grace_keeps_what_they_have() {
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
async fn nobody_is_asked_above_their_capacity() {
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
async fn an_agent_sees_the_last_one_closed_before_they_are_asked_for_the_next() {
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
    // One each; the first one took theirs earlier.
    let (_c, three) = visitor(&server).await;
    first.accept(three).await;
    let (_d, four) = visitor(&server).await;
    second.accept(four).await;
    asked_nothing(&mut first).await;
    // The second one has less now, though they worked last.
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

/// Everything that a visitor is told of what the site may promise, from now until this.
async fn promised(visitor: &mut Client, wanted: SiteAvailability) {
    visitor
        .until(|frame| match frame {
            ServerFrame::Availability { availability } if *availability == wanted => Some(()),
            _ => None,
        })
        .await;
}

async fn refusal(client: &mut Client, request: RequestId) -> RejectCode {
    client
        .until(|frame| match frame {
            ServerFrame::Reject { request: r, code, .. } if *r == request => Some(*code),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_chooses_offline_with_the_console_open_gives_back_as_if_the_connection_had_broken() {
    let (server, clock) = start().await;
    let mut agent = Client::agent(&server, 0).await;
    ready(&mut agent, 1).await;
    let (mut visitor, conversation) = visitor(&server).await;
    agent.accept(conversation).await;
    let (mut behind, waiting) = self::visitor(&server).await;
    stands_at(&mut behind, waiting, 1).await;
    choose(&mut agent, Availability::Offline, None).await;
    promised(&mut visitor, SiteAvailability::Unavailable).await;
    clock.pass(GRACE_MS - 1);
    // Back in time keeps it, and the promise is true again.
    choose(&mut agent, Availability::Available, None).await;
    promised(&mut visitor, SiteAvailability::Busy).await;
    clock.pass(GRACE_MS);
    agent.say(conversation, "still yours").await;
    visitor.heard("still yours").await;
    choose(&mut agent, Availability::Offline, None).await;
    promised(&mut visitor, SiteAvailability::Unavailable).await;
    clock.pass(GRACE_MS);
    assert_eq!(line(&mut visitor, EventKind::Requeued).await, Some(server.agents[0]));
    let unserved = visitor
        .until(|frame| match frame {
            ServerFrame::Queue { position: 1, unserved, wait_ms: None, .. } => Some(*unserved),
            _ => None,
        })
        .await;
    assert_eq!(unserved, Some(true), "first in line, and nobody serves it");
    stands_at(&mut behind, waiting, 2).await;
    let mut taker = Client::agent(&server, 1).await;
    ready(&mut taker, 5).await;
    promised(&mut visitor, SiteAvailability::Available).await;
    assert_eq!(offered(&mut taker).await.0, conversation);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_is_told_at_once_when_the_last_agent_goes_or_comes_however_that_happens() {
    let (server, _clock) = start().await;
    let mut agent = Client::agent(&server, 0).await;
    let (mut visitor, conversation) = visitor(&server).await;
    for gone in [Availability::Away, Availability::Offline] {
        ready(&mut agent, 5).await;
        promised(&mut visitor, SiteAvailability::Available).await;
        choose(&mut agent, gone, None).await;
        promised(&mut visitor, SiteAvailability::Unavailable).await;
    }
    ready(&mut agent, 5).await;
    promised(&mut visitor, SiteAvailability::Available).await;
    drop(agent);
    promised(&mut visitor, SiteAvailability::Unavailable).await;
    let mut agent = Client::agent(&server, 0).await;
    promised(&mut visitor, SiteAvailability::Available).await;
    agent.accept(conversation).await;
    ready(&mut agent, 1).await;
    promised(&mut visitor, SiteAvailability::Busy).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_a_conversation_while_offline_is_at_work() {
    let (server, clock) = start().await;
    let mut agent = Client::agent(&server, 0).await;
    let (mut visitor, conversation) = visitor(&server).await;
    let request = agent.next_request();
    agent.tell(&ClientFrame::Assign { request, conversation }).await;
    agent.acked(request).await;
    let cards = agent.board().await;
    let own = cards.iter().find(|card| card.agent == server.agents[0]).unwrap();
    assert_eq!(own.availability, Some(Availability::Away));
    clock.pass(10 * GRACE_MS);
    agent.say(conversation, "I am here").await;
    visitor.heard("I am here").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_missed_offers_tell_the_agent_why_they_are_away_and_end_what_they_have() {
    let (server, clock) = start().await;
    let mut agent = Client::agent(&server, 0).await;
    ready(&mut agent, 2).await;
    let (mut visitor, conversation) = visitor(&server).await;
    agent.accept(conversation).await;
    // A window that does not watch the board.
    let origin = format!("http://{}", server.address);
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let headers = [("origin", origin.as_str()), ("cookie", cookie.as_str())];
    let mut window = Client::connect(&server, &headers).await;
    window.greet_as_agent().await;
    let (_other, missed) = self::visitor(&server).await;
    for _ in 0..2 {
        assert_eq!(offered(&mut agent).await.0, missed);
        clock.pass(OFFER_MS);
        offer_over(&mut agent, missed).await;
        clock.pass(REST_MS);
    }
    for client in [&mut agent, &mut window] {
        let card = client
            .until(|frame| match frame {
                ServerFrame::Agent { card } => {
                    (card.availability == Some(Availability::Away)).then(|| card.clone())
                }
                _ => None,
            })
            .await;
        assert_eq!(card.availability_cause, Some(AvailabilityCause::MissedOffers));
    }
    // They write: they are there after all.
    agent.say(conversation, "sorry, I was on the phone").await;
    visitor.heard("sorry, I was on the phone").await;
    agent.settled().await;
    clock.pass(2 * GRACE_MS);
    agent.say(conversation, "so").await;
    visitor.heard("so").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_takes_over_and_an_agent_does_not() {
    let server = TestServer::start_as(|setup| setup.role = Role::Supervisor).await;
    let mut owner = Client::agent(&server, 0).await;
    ready(&mut owner, 5).await;
    let (mut visitor, conversation) = visitor(&server).await;
    owner.accept(conversation).await;
    let mut supervisor = Client::agent(&server, 1).await;
    ready(&mut supervisor, 1).await;
    let [first, second] = server.agents;
    let take = async |client: &mut Client, from| {
        let request = client.next_request();
        client.tell(&ClientFrame::TakeOver { request, conversation, from }).await;
        request
    };
    let request = take(&mut supervisor, second).await;
    assert_eq!(refusal(&mut supervisor, request).await, RejectCode::Invalid);
    // The pending transfer ends with it.
    owner.transfer(conversation, second).await;
    assert_eq!(offered(&mut supervisor).await.0, conversation);
    let request = take(&mut supervisor, first).await;
    supervisor.acked(request).await;
    assert_eq!(line(&mut visitor, EventKind::Transferred).await, Some(second));
    card(&mut owner, conversation, |card| card.assignee == Some(second)).await;
    supervisor.say(conversation, "I take over").await;
    visitor.heard("I take over").await;
    let request = take(&mut owner, first).await;
    assert_eq!(refusal(&mut owner, request).await, RejectCode::Invalid);
    server.stop().await;

    let (server, _clock) = start().await;
    let mut owner = Client::agent(&server, 0).await;
    ready(&mut owner, 5).await;
    let (_visitor, conversation) = self::visitor(&server).await;
    owner.accept(conversation).await;
    let mut agent = Client::agent(&server, 1).await;
    let request = agent.next_request();
    let from = server.agents[0];
    agent.tell(&ClientFrame::TakeOver { request, conversation, from }).await;
    assert_eq!(refusal(&mut agent, request).await, RejectCode::Forbidden);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_withdrawn_by_the_giver_and_by_nobody_else() {
    let (server, _clock) = start().await;
    let mut giver = Client::agent(&server, 0).await;
    ready(&mut giver, 5).await;
    let (_visitor, conversation) = visitor(&server).await;
    giver.accept(conversation).await;
    let mut taker = Client::agent(&server, 1).await;
    ready(&mut taker, 5).await;
    let withdraw = async |client: &mut Client| {
        let request = client.next_request();
        client.tell(&ClientFrame::Withdraw { request, conversation }).await;
        request
    };
    let request = withdraw(&mut giver).await;
    assert_eq!(refusal(&mut giver, request).await, RejectCode::Gone, "nothing is under way");
    giver.transfer(conversation, server.agents[1]).await;
    offered(&mut taker).await;
    let request = withdraw(&mut taker).await;
    assert_eq!(refusal(&mut taker, request).await, RejectCode::Forbidden);
    let request = withdraw(&mut giver).await;
    giver.acked(request).await;
    offer_over(&mut taker, conversation).await;
    let request = giver.next_request();
    let agent = server.agents[0];
    giver.tell(&ClientFrame::Transfer { request, conversation, agent }).await;
    assert_eq!(refusal(&mut giver, request).await, RejectCode::Invalid, "they have it already");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_quotes_the_visitor_and_nobody_else() {
    let (server, _clock) = start().await;
    let mut giver = Client::agent(&server, 0).await;
    ready(&mut giver, 5).await;
    let (mut visitor, conversation) = visitor(&server).await;
    giver.accept(conversation).await;
    let mut taker = Client::agent(&server, 1).await;
    ready(&mut taker, 5).await;
    let quoted = async |giver: &mut Client, taker: &mut Client| {
        giver.transfer(conversation, server.agents[1]).await;
        let quoted = taker
            .until(|frame| match frame {
                ServerFrame::Offer { card, .. } => Some((
                    card.preview.as_ref().map(|words| words.expose().clone()),
                    card.last_author,
                )),
                _ => None,
            })
            .await;
        decline(taker, conversation).await;
        quoted
    };
    giver.say(conversation, "How can I help?").await;
    assert_eq!(quoted(&mut giver, &mut taker).await, (None, None));
    visitor.say(conversation, "Do you have it in blue?").await;
    giver.say(conversation, "I will ask").await;
    let request = giver.next_request();
    let note = ClientFrame::Send {
        request,
        conversation,
        message: new_message(),
        seen_seq: Seq(0),
        body: Body::Text(Text::new("he is in a hurry")),
        visibility: Some(Visibility::Agents),
    };
    giver.tell(&note).await;
    giver.acked(request).await;
    let words = Some(String::from("Do you have it in blue?"));
    assert_eq!(quoted(&mut giver, &mut taker).await, (words, Some(Author::Visitor)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_and_the_end_of_an_account_are_seen_in_open_chats() {
    let server = TestServer::start_as(|setup| setup.role = Role::Admin).await;
    let mut agent = Client::agent(&server, 0).await;
    ready(&mut agent, 5).await;
    let (mut visitor, conversation) = visitor(&server).await;
    agent.accept(conversation).await;
    let mut colleague = Client::agent(&server, 1).await;
    let change = async |body: serde_json::Value| {
        let path = format!("/v1/agents/{}", server.agents[0]);
        let origin = format!("http://{}", server.address);
        let cookie = format!("livehelp_session={}", COOKIES[1]);
        let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
        let body = body.to_string();
        let answer = http::ask(server.address, "PATCH", &path, &headers, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    };
    change(serde_json::json!({ "name": "Nina New" })).await;
    let named =
        |card: &ConversationCard| card.agents.iter().any(|agent| agent.name.expose() == "Nina New");
    for client in [&mut visitor, &mut colleague, &mut agent] {
        card(client, conversation, named).await;
    }
    change(serde_json::json!({ "role": "supervisor" })).await;
    let of_nina = async |client: &mut Client, wanted: &dyn Fn(&AgentCard) -> bool| {
        client
            .until(|frame| match frame {
                ServerFrame::Agent { card } => {
                    (card.agent == server.agents[0] && wanted(card)).then_some(())
                }
                _ => None,
            })
            .await;
    };
    of_nina(&mut colleague, &|card| card.role == Some(Role::Supervisor)).await;
    visitor.settled().await;
    change(serde_json::json!({ "state": "deactivated" })).await;
    of_nina(&mut colleague, &|card| {
        card.presence == Some(Presence::Gone) && card.availability == Some(Availability::Offline)
    })
    .await;
    assert_eq!(line(&mut visitor, EventKind::Requeued).await, Some(server.agents[0]));
    let back = card(&mut visitor, conversation, |card| card.assignee.is_none()).await;
    assert!(named(&back), "what she said stays hers");
    server.stop().await;
}

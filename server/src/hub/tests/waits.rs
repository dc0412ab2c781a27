//! Who waits, how long, and how it ends: what the figures of the queue say.

use super::*;
use crate::clock::ManualClock;
use crate::metrics::{Closed, Live, OfferEnd, Opened, Wait};
use crate::store::conformance::NOW;

struct Queue {
    stand: Stand,
    clock: Arc<ManualClock>,
    world: World,
}

impl Queue {
    /// One conversation that waits.
    async fn new() -> Self {
        Self::beside(&[]).await
    }

    /// The same, and one in each of these other Organizations.
    async fn beside(others: &[World]) -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        let stand = Stand::at(RoutingConfig::default(), clock.clone(), Some(3_600_000));
        let world = World::new(7);
        for world in others.iter().chain([&world]) {
            world.settle(&*stand.store).await;
        }
        stand.store.change(vec![Change::create(world.agent_row())]).await.unwrap();
        stand.hub.start().await.unwrap();
        Self { stand, clock, world }
    }

    fn oldest_s(&self) -> i64 {
        self.stand.hub.tally_standing();
        self.stand.hub.metrics.queue_oldest_wait_seconds.get()
    }

    fn unattended_s(&self) -> i64 {
        self.stand.hub.tally_standing();
        self.stand.hub.metrics.queue_unattended_wait_seconds.get()
    }

    fn standing(&self) -> [i64; 3] {
        self.stand.hub.tally_standing();
        [Live::Queued, Live::Left, Live::Offered]
            .map(|state| self.stand.hub.metrics.conversations.of(state).get())
    }

    fn waits(&self) -> [u64; 2] {
        [Wait::Accepted, Wait::Abandoned]
            .map(|outcome| self.stand.hub.metrics.queue_wait_seconds.of(outcome).count())
    }

    fn closed(&self) -> [u64; 4] {
        [Closed::Agent, Closed::Visitor, Closed::Program, Closed::Abandoned]
            .map(|how| self.stand.hub.metrics.conversations_closed_total.of(how).get())
    }

    async fn agent_comes(&self) -> Who {
        let agent = self.world.agent;
        let who = Who::Agent { agent, session: SessionId::from_bytes([1; 16]) };
        let speaker = Person::new(&self.world, who).speaker(&TestSink::new());
        let expires_at = self.stand.hub.times.now().plus_ms(60_000_000);
        self.stand.hub.presence().agent_connected(&speaker, expires_at).await.unwrap();
        let chosen = Availability::Available;
        self.stand.hub.acts().choose(self.world.tenant, agent, chosen, None).await.unwrap();
        who
    }
}

#[tokio::test]
async fn the_longest_wait_grows_ends_with_the_accept_and_is_observed() {
    let queue = Queue::new().await;
    let (hub, World { tenant, conversation, .. }) = (&queue.stand.hub, queue.world);
    let before = queue.oldest_s();
    queue.clock.advance_ms(20_000);
    assert_eq!(queue.oldest_s(), before + 20);
    assert_eq!(queue.unattended_s(), before + 20);
    let who = queue.agent_comes().await;
    assert_eq!(queue.unattended_s(), 0, "somebody is there");
    assert_eq!(queue.standing(), [0, 0, 1]);
    queue.clock.advance_ms(5_000);
    assert_eq!(queue.oldest_s(), before + 25, "who is asked about still waits");
    hub.acts().run(tenant, who.into(), Act::Accept(conversation)).await.unwrap();
    assert_eq!(queue.oldest_s(), 0);
    assert_eq!(queue.waits(), [1, 0]);
    assert_eq!(hub.metrics.offers_total.of(OfferEnd::Accepted).get(), 1);
    hub.conversations().close(tenant, who.into(), conversation).await.unwrap();
    assert_eq!((queue.waits(), queue.closed()), ([1, 0], [1, 0, 0, 0]), "nobody waited");
}

/// Whoever is available in one Organization answers nobody of another.
#[tokio::test]
async fn agents_of_another_organization_attend_to_nobody_here() {
    let other = World::new(8);
    let queue = Queue::beside(std::slice::from_ref(&other)).await;
    queue.clock.advance_ms(20_000);
    queue.agent_comes().await;
    let waits = queue.oldest_s();
    assert!(waits >= 20 && queue.unattended_s() == waits, "{waits}");
    queue
        .stand
        .hub
        .conversations()
        .close(other.tenant, Actor::Program, other.conversation)
        .await
        .unwrap();
    assert_eq!(queue.unattended_s(), 0);
    assert!(queue.oldest_s() >= 20);
}

#[tokio::test]
async fn a_wait_that_ends_without_an_agent_is_observed_whoever_ends_it() {
    for by in [Closed::Visitor, Closed::Program, Closed::Abandoned] {
        let queue = Queue::new().await;
        let (hub, World { tenant, site, visitor, conversation, .. }) =
            (&queue.stand.hub, queue.world);
        match by {
            Closed::Visitor => {
                let who = Who::Visitor { site, visitor };
                hub.conversations().close(tenant, who.into(), conversation).await.unwrap();
            }
            Closed::Program => {
                hub.conversations().close(tenant, Actor::Program, conversation).await.unwrap()
            }
            Closed::Agent | Closed::Abandoned => {
                queue.clock.advance_ms(4_000_000);
                for pass in 0..3 {
                    hub.conversations().close_abandoned(pass).await;
                }
            }
        }
        assert_eq!(queue.waits(), [0, 1], "{by:?}");
        assert_eq!(hub.metrics.conversations_closed_total.of(by).get(), 1, "{by:?}");
        assert_eq!(queue.closed().iter().sum::<u64>(), 1, "{by:?}");
        assert_eq!(queue.oldest_s(), 0);
        // Asked again, it is closed already.
        hub.conversations().close(tenant, Actor::Program, conversation).await.unwrap();
        assert_eq!(queue.closed().iter().sum::<u64>(), 1, "{by:?}");
    }
}

#[tokio::test]
async fn an_offer_that_is_declined_missed_or_taken_back_is_counted_so() {
    let queue = Queue::new().await;
    let (hub, World { tenant, conversation, .. }) = (&queue.stand.hub, queue.world);
    let offers = || {
        [OfferEnd::Accepted, OfferEnd::Declined, OfferEnd::Missed, OfferEnd::Withdrawn]
            .map(|end| hub.metrics.offers_total.of(end).get())
    };
    let who = queue.agent_comes().await;
    assert_eq!(offers(), [0; 4]);
    hub.acts().run(tenant, who.into(), Act::Decline(conversation)).await.unwrap();
    assert_eq!(offers(), [0, 1, 0, 0]);
    // They are left alone with it for a while, and asked again.
    queue.clock.advance_ms(30_000);
    hub.tick_desks().await;
    queue.clock.advance_ms(30_000);
    hub.tick_desks().await;
    assert_eq!(offers(), [0, 1, 1, 0]);
    queue.clock.advance_ms(30_000);
    hub.tick_desks().await;
    assert_eq!(queue.standing(), [0, 0, 1]);
    hub.acts().choose(tenant, queue.world.agent, Availability::Away, None).await.unwrap();
    assert_eq!(offers(), [0, 1, 1, 1]);
}

#[tokio::test]
async fn a_message_that_is_left_is_no_wait() {
    let queue = Queue::new().await;
    let hub = &queue.stand.hub;
    assert_eq!(queue.standing(), [1, 0, 0], "it began while somebody was there");
    hub.conversations()
        .close(queue.world.tenant, Actor::Program, queue.world.conversation)
        .await
        .unwrap();
    let opened = || {
        [Opened::Chat, Opened::Left].map(|how| hub.metrics.conversations_opened_total.of(how).get())
    };
    let begin = async || {
        let conversation = ConversationId::from_uuid(crate::keys::uuid_v7(hub.times.now()));
        let opening = Opening {
            conversation,
            form: vec![("email", "ada@example.test")],
            page: None,
            notice: None,
            locale: "en",
            secret: queue.world.secret(1),
            secret_expires_at: NOW.plus_ms(1_000_000_000),
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            gpc: false,
        };
        let visitor = Person::visitor(&queue.world).speaker(&TestSink::new());
        hub.conversations().open(&visitor, opening).await.unwrap();
        conversation
    };
    let left = begin().await;
    queue.clock.advance_ms(60_000);
    assert_eq!((queue.standing(), queue.oldest_s()), ([0, 1, 0], 0));
    assert_eq!(opened(), [0, 1]);
    let waits = queue.waits();
    let who = queue.agent_comes().await;
    assert_eq!(queue.standing(), [0, 0, 1], "now an agent is asked");
    assert_eq!(queue.oldest_s(), 0, "and still nobody waits");
    hub.acts().run(queue.world.tenant, who.into(), Act::Accept(left)).await.unwrap();
    assert_eq!(queue.waits(), waits);
    begin().await;
    assert_eq!(opened(), [1, 1], "somebody is there now");
}

/// What a program begins for a visitor is counted as what the visitor begins.
#[tokio::test]
async fn a_conversation_that_a_program_begins_is_counted_too() {
    let queue = Queue::new().await;
    let hub = &queue.stand.hub;
    hub.conversations()
        .close(queue.world.tenant, Actor::Program, queue.world.conversation)
        .await
        .unwrap();
    let opened = || {
        [Opened::Chat, Opened::Left].map(|how| hub.metrics.conversations_opened_total.of(how).get())
    };
    let begin = async |assignee| {
        let new = given::creation(hub, queue.world.site, assignee);
        hub.conversations().create(queue.world.tenant, Actor::Program, new).await.unwrap();
    };
    begin(None).await;
    assert_eq!((opened(), queue.standing()), ([0, 1], [0, 1, 0]));
    queue.agent_comes().await;
    begin(Some(queue.world.agent)).await;
    assert_eq!(opened(), [1, 1], "somebody is there now");
}

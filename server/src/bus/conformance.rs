//! What every bus must do, as one suite; each implementation runs it in its own tests with two
//! nodes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use protocol::ids::{AgentId, ConversationId, MessageId, SiteId, TenantId, VisitorId};
use protocol::message::{Author, EventKind, Seq, Visibility};
use protocol::personal::Personal;
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};
use tokio::sync::mpsc;

use super::{Bus, BusEvent, Notice};
use crate::privacy::envelope::{Content, Envelope, Flags, Parts, Tag};
use crate::privacy::policy::{PolicyVersion, Purposes};
use crate::tasks;

/// Longer than any bus takes, so that a test that waits in vain ends.
const PATIENCE: Duration = Duration::from_secs(10);

/// A node under test.
pub(super) struct Node {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) heard: mpsc::Receiver<BusEvent>,
}

impl Node {
    pub(super) async fn hears(&mut self) -> (Notice, bool) {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        match heard.expect("something is heard in time").expect("the bus lives") {
            BusEvent::Notice { notice, own } => (notice, own),
            BusEvent::Missed => panic!("nothing was missed"),
        }
    }

    async fn hears_sequenced(&mut self) -> (MessageId, Seq, bool) {
        match self.hears().await {
            (Notice::Sequenced(sequenced), own) => {
                (sequenced.envelope().message(), sequenced.seq(), own)
            }
            (other, _) => panic!("a message was expected, not {other:?}"),
        }
    }
}

fn parts(conversation: u8, message: u8, content: Content) -> Parts {
    let day = Day(20_000);
    Parts {
        tag: Tag {
            tenant: TenantId::from_bytes([1; 16]),
            site: SiteId::from_bytes([2; 16]),
            subject: VisitorId::from_bytes([3; 16]),
            class: RetentionClass::Transcript,
            purposes: Purposes(Purposes::RESPOND | Purposes::CONTRACT),
            flags: Flags(Flags::GPC),
            policy_version: PolicyVersion(1),
            ingest_day: day,
            expires: Some(Day(20_060)),
        },
        conversation: ConversationId::from_bytes([conversation; 16]),
        message: MessageId::from_bytes([message; 16]),
        author: Author::Visitor,
        visibility: Visibility::Everyone,
        at: UnixMillis(day.start().0 + 5),
        seen_seq: Seq(3),
        content,
    }
}

/// What a visitor says in conversation 1.
pub(super) fn envelope(message: u8, text: &str) -> Envelope {
    Envelope::restore(parts(1, message, Content::Text(Personal::new(text.to_owned()))))
}

fn elsewhere(message: u8) -> Envelope {
    Envelope::restore(parts(2, message, Content::Text(Personal::new("x".to_owned()))))
}

/// An agent's note.
pub(super) fn note(message: u8) -> Envelope {
    let content = Content::Text(Personal::new("call him".to_owned()));
    Envelope::restore(Parts {
        author: Author::Agent(AgentId::from_bytes([6; 16])),
        visibility: Visibility::Agents,
        ..parts(1, message, content)
    })
}

/// An event message.
pub(super) fn event(message: u8) -> Envelope {
    let agent = Some(AgentId::from_bytes([6; 16]));
    let mut parts = parts(1, message, Content::Event { event: EventKind::Assigned, agent });
    parts.author = Author::System;
    parts.tag.expires = None;
    Envelope::restore(parts)
}

/// Runs the suite; `nodes` makes two fresh nodes of one bus that nobody used before.
pub(super) async fn every_promise(nodes: impl AsyncFn() -> (Node, Node)) {
    numbers_rise_and_each_is_given_once(nodes().await).await;
    a_number_is_above_the_floor(nodes().await).await;
    everyone_who_follows_hears_one_order(nodes().await).await;
    a_message_arrives_as_it_was_sent(nodes().await).await;
    nobody_hears_what_they_do_not_follow(nodes().await).await;
    conversations_count_on_their_own(nodes().await).await;
    other_notices_reach_the_others_alone(nodes().await).await;
    following_is_counted(nodes().await).await;
}

/// The promises that a bus of one node keeps: sequence numbers, for there is nobody to hear of
/// them. The floor is what the room knows, as the hub hands it.
pub(super) async fn every_promise_of_one_node(bus: Arc<dyn Bus>) {
    let mut floor = Seq(0);
    let conversation = envelope(0, "x").conversation();
    bus.follow(conversation).await;
    for message in 0..60 {
        let envelope = envelope(message, "x");
        let here = bus.sequence_here(&envelope, floor).expect("it needs no round trip");
        assert_eq!(bus.sequence(&envelope, floor).await, Ok(here), "either way gives the same");
        assert_eq!(here, floor.next(), "above the floor, none left out");
        floor = here;
    }
    // Whoever knows more lifts it, and another conversation counts on its own.
    assert_eq!(bus.sequence(&envelope(61, "x"), Seq(100)).await, Ok(Seq(101)));
    assert_eq!(bus.sequence(&elsewhere(62), Seq(0)).await, Ok(Seq(1)));
    let (tenant, author) = (envelope(0, "x").tenant(), Author::Visitor);
    bus.announce(Notice::Typing { tenant, conversation, author, typing: true });
    bus.unfollow(conversation);
    assert!(bus.healthy());
}

async fn numbers_rise_and_each_is_given_once((one, two): (Node, Node)) {
    let mut asking = Vec::new();
    for message in 0..60 {
        let bus = Arc::clone(if message % 2 == 0 { &one.bus } else { &two.bus });
        asking.push(tasks::spawn("a sender", async move {
            bus.sequence(&envelope(message, "x"), Seq(0)).await.unwrap()
        }));
    }
    let mut numbers = BTreeSet::new();
    for asked in asking {
        assert!(numbers.insert(asked.await.unwrap()), "a number is given once");
    }
    assert_eq!(numbers, (1..=60).map(Seq).collect());
}

async fn a_number_is_above_the_floor((one, two): (Node, Node)) {
    assert_eq!(one.bus.sequence(&envelope(1, "x"), Seq(4)).await, Ok(Seq(5)));
    assert_eq!(two.bus.sequence(&envelope(2, "x"), Seq(0)).await, Ok(Seq(6)));
    // The bus lost its counter: whoever knows more lifts it.
    assert_eq!(two.bus.sequence(&envelope(3, "x"), Seq(100)).await, Ok(Seq(101)));
    assert_eq!(one.bus.sequence(&envelope(4, "x"), Seq(6)).await, Ok(Seq(102)));
}

async fn everyone_who_follows_hears_one_order((mut one, mut two): (Node, Node)) {
    let conversation = envelope(0, "x").conversation();
    one.bus.follow(conversation).await;
    two.bus.follow(conversation).await;
    for message in 0..40 {
        let bus = Arc::clone(if message % 2 == 0 { &one.bus } else { &two.bus });
        drop(tasks::spawn("a sender", async move {
            bus.sequence(&envelope(message, "x"), Seq(0)).await
        }));
    }
    let mut last = Seq(0);
    for _ in 0..40 {
        let (by_one, seq, own_of_one) = one.hears_sequenced().await;
        let (by_two, same, own_of_two) = two.hears_sequenced().await;
        assert_eq!((by_one, seq), (by_two, same), "both hear the same");
        assert!(own_of_one != own_of_two, "one of them sent it");
        assert!(seq > last, "in the order of the numbers");
        last = seq;
    }
}

async fn a_message_arrives_as_it_was_sent((one, mut two): (Node, Node)) {
    two.bus.follow(envelope(0, "x").conversation()).await;
    for sent in [envelope(1, "caf\u{e9}"), note(2), event(3)] {
        let seq = one.bus.sequence(&sent, Seq(0)).await.unwrap();
        let (notice, own) = two.hears().await;
        assert_eq!(notice, Notice::Sequenced(Arc::new(sent.sequence(seq))));
        assert!(!own);
    }
}

async fn nobody_hears_what_they_do_not_follow((one, mut two): (Node, Node)) {
    two.bus.follow(envelope(0, "x").conversation()).await;
    one.bus.sequence(&elsewhere(1), Seq(0)).await.unwrap();
    one.bus.sequence(&envelope(2, "x"), Seq(0)).await.unwrap();
    assert_eq!(two.hears_sequenced().await.0, envelope(2, "x").message());
}

async fn conversations_count_on_their_own((one, _two): (Node, Node)) {
    assert_eq!(one.bus.sequence(&envelope(1, "x"), Seq(0)).await, Ok(Seq(1)));
    assert_eq!(one.bus.sequence(&elsewhere(2), Seq(0)).await, Ok(Seq(1)));
    assert_eq!(one.bus.sequence(&envelope(3, "x"), Seq(0)).await, Ok(Seq(2)));
}

async fn other_notices_reach_the_others_alone((mut one, mut two): (Node, Node)) {
    let (tenant, conversation) = (envelope(0, "x").tenant(), envelope(0, "x").conversation());
    one.bus.follow(conversation).await;
    two.bus.follow(conversation).await;
    let author = Author::Agent(AgentId::from_bytes([5; 16]));
    let message = MessageId::from_bytes([9; 16]);
    let notices = [
        Notice::Typing { tenant, conversation, author, typing: true },
        Notice::Receipt { tenant, conversation, author, delivered: Seq(4), seen: Seq(2) },
        Notice::Void { tenant, conversation, seq: Seq(7), message },
    ];
    for notice in notices {
        one.bus.announce(notice.clone());
        assert_eq!(two.hears().await, (notice, false));
    }
    two.bus.sequence(&envelope(2, "x"), Seq(0)).await.unwrap();
    assert_eq!(one.hears_sequenced().await.0, envelope(2, "x").message(), "and nothing before it");
}

async fn following_is_counted((one, mut two): (Node, Node)) {
    let conversation = envelope(0, "x").conversation();
    two.bus.follow(conversation).await;
    two.bus.follow(conversation).await;
    two.bus.unfollow(conversation);
    one.bus.sequence(&envelope(1, "x"), Seq(0)).await.unwrap();
    assert_eq!(two.hears_sequenced().await.0, envelope(1, "x").message());
    two.bus.unfollow(conversation);
    // What follows proves that the end of following came through.
    two.bus.follow(elsewhere(0).conversation()).await;
    one.bus.sequence(&envelope(2, "x"), Seq(0)).await.unwrap();
    one.bus.sequence(&elsewhere(3), Seq(0)).await.unwrap();
    assert_eq!(two.hears_sequenced().await.0, elsewhere(3).message());
}

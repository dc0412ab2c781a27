//! What everybody has left ends by itself, and nothing else does.

use protocol::message::EventKind;

use super::*;
use crate::clock::ManualClock;
use crate::privacy::envelope::Content;
use crate::store::Write;
use crate::store::conformance::{MessageKind as Kind, NOW};

const HOUR_MS: u64 = 60 * 60 * 1_000;
const AFTER_MS: u64 = 48 * HOUR_MS;

struct Quiet {
    stand: Stand,
    clock: Arc<ManualClock>,
    world: World,
}

impl Quiet {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        let stand = Stand::at(RoutingConfig::default(), clock.clone(), Some(AFTER_MS));
        let world = World::new(7);
        world.settle(&*stand.store).await;
        Self { stand, clock, world }
    }

    async fn after(&self, hours: u64) -> ConversationState {
        self.clock.advance_ms(hours * HOUR_MS);
        self.stand.hub.tick_desks().await;
        // A round at least.
        for pass in 0..3 {
            self.stand.hub.conversations().close_abandoned(pass).await;
        }
        let World { tenant, conversation, .. } = self.world;
        self.stand.store.conversation(tenant, conversation).await.unwrap().unwrap().state
    }

    async fn last_sink(&self) -> Content {
        let World { tenant, conversation, .. } = self.world;
        let read = self.stand.store.messages(tenant, conversation, Seq(0), None, 1).await.unwrap();
        read.last().unwrap().envelope().content().clone()
    }
}

#[tokio::test]
async fn a_conversation_without_a_word_for_long_is_closed_with_its_cause() {
    let quiet = Quiet::new().await;
    quiet.stand.hub.start().await.unwrap();
    assert_eq!(quiet.after(47).await, ConversationState::Queued);
    assert_eq!(quiet.after(1).await, ConversationState::Closed);
    let cause = Content::Event { event: EventKind::Abandoned, agent: None };
    assert_eq!(quiet.last_sink().await, cause);
    let World { tenant, conversation, site, visitor, .. } = quiet.world;
    let who = Who::Visitor { site, visitor };
    quiet.stand.hub.conversations().reopen(tenant, who.into(), conversation).await.unwrap();
    assert_eq!(quiet.after(1).await, ConversationState::Queued, "its visitor opened it again");
    assert_eq!(quiet.after(48).await, ConversationState::Closed);
}

#[tokio::test]
async fn a_word_or_a_note_begins_the_time_anew_and_event_messages_do_not() {
    for (kind, state) in [
        (Kind::Words, ConversationState::Queued),
        (Kind::Note, ConversationState::Queued),
        (Kind::System, ConversationState::Closed),
    ] {
        let quiet = Quiet::new().await;
        let day = NOW.plus_ms(47 * HOUR_MS).day();
        let late = quiet.world.message_of_kind(1, kind, day);
        quiet.stand.store.write(vec![Write::Message(late)]).await.unwrap();
        quiet.stand.hub.start().await.unwrap();
        assert_eq!(quiet.after(49).await, state, "{kind:?}");
    }
}

#[tokio::test]
async fn who_is_there_keeps_it_open_and_their_leaving_begins_the_time() {
    let quiet = Quiet::new().await;
    quiet.stand.hub.start().await.unwrap();
    let sink = TestSink::new();
    let visitor = Person::visitor(&quiet.world).speaker(&sink);
    quiet.stand.hub.presence().visitor_connected(&visitor, Flags::default()).await.unwrap();
    assert_eq!(quiet.after(100).await, ConversationState::Queued);
    quiet.stand.hub.presence().disconnected(&visitor).await;
    assert_eq!(quiet.after(1).await, ConversationState::Queued);
    assert_eq!(quiet.after(46).await, ConversationState::Queued);
    assert_eq!(quiet.after(2).await, ConversationState::Closed);
}

#[tokio::test]
async fn whoever_has_it_on_their_screen_keeps_it_open() {
    let quiet = Quiet::new().await;
    quiet.stand.hub.start().await.unwrap();
    let session = SessionId::from_bytes([1; 16]);
    let who = Who::Agent { agent: quiet.world.agent, session };
    let (speaker, _, watched) = Person::new(&quiet.world, who).connect(&quiet.stand.hub).await;
    assert_eq!(quiet.after(60).await, ConversationState::Queued);
    quiet.stand.hub.attendance().leave(&speaker, &watched);
    assert_eq!(quiet.after(47).await, ConversationState::Queued);
    assert_eq!(quiet.after(2).await, ConversationState::Closed);
}

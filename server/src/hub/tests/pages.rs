//! Pages are full of what their reader may see, whatever lies between.

use protocol::personal::Personal;

use super::*;
use crate::store::Write;
use crate::store::conformance::{MessageKind as Kind, NOW};

async fn written(stand: &Stand, world: &World, kinds: &[(Kind, u64)]) -> u64 {
    let mut seq = 0;
    for (kind, times) in kinds {
        for _ in 0..*times {
            seq += 1;
            let message = world.message_of_kind(seq, *kind, NOW.day());
            stand.store.write(vec![Write::Message(message)]).await.unwrap();
        }
    }
    seq
}

fn agent(world: &World) -> Person {
    Person::new(world, Who::Agent { agent: world.agent, session: SessionId::from_bytes([1; 16]) })
}

fn only_page(sink: &TestSink) -> (bool, bool, Vec<u64>) {
    let received = sink.take_all();
    let pages = received.into_iter().filter_map(|received| {
        let Received::Page { reset, more, items } = received else { return None };
        Some((reset, more, items.iter().map(|item| item.seq.0).collect()))
    });
    let pages: Vec<_> = pages.collect();
    assert_eq!(pages.len(), 1);
    pages.into_iter().next().unwrap()
}

#[tokio::test]
async fn behind_notes_and_without_them_the_visitor_has_their_own_history() {
    let stand = Stand::new();
    let world = World::new(7);
    world.settle(&*stand.store).await;
    written(&stand, &world, &[(Kind::Words, 120), (Kind::Note, 70)]).await;
    stand.hub.start().await.unwrap();
    let hub = &stand.hub;
    let visitor = Person::visitor(&world).connect(hub).await;
    assert_eq!(only_page(&visitor.1), (false, true, (71..=120).collect()));
    let (speaker, sink, _) = &visitor;
    let mut before = 71;
    let mut earlier = Vec::new();
    loop {
        let asked =
            hub.attendance().history(speaker, world.conversation, Seq(before), 50, RequestId(1));
        asked.await.unwrap();
        let (reset, more, seqs) = only_page(sink);
        assert!(!reset && !seqs.is_empty());
        before = seqs[0];
        earlier.splice(0..0, seqs);
        if !more {
            break;
        }
    }
    assert_eq!(earlier, (1..=70).collect::<Vec<_>>());
    let colleague = agent(&world).connect(hub).await;
    assert_eq!(only_page(&colleague.1), (false, true, (141..=190).collect()));
    let desk = hub.desks.get(world.tenant).await.unwrap();
    let facts = hub.board.facts(&desk, world.conversation).await;
    assert_eq!(facts.preview, Some(Personal::new("line 120".to_owned())));
}

#[tokio::test]
async fn where_a_page_has_all_it_says_so() {
    let stand = Stand::new();
    let world = World::new(7);
    world.settle(&*stand.store).await;
    written(&stand, &world, &[(Kind::Note, 60), (Kind::Words, 20), (Kind::Note, 60)]).await;
    stand.hub.start().await.unwrap();
    let visitor = Person::visitor(&world).connect(&stand.hub).await;
    assert_eq!(only_page(&visitor.1), (false, false, (61..=80).collect()));
    let all =
        stand.hub.attendance().history(&visitor.0, world.conversation, Seq(0), 20, RequestId(1));
    all.await.unwrap();
    assert_eq!(only_page(&visitor.1), (false, false, (61..=80).collect()), "below lie notes alone");
}

#[tokio::test]
async fn a_room_that_lives_has_pages_as_full_as_one_that_is_read() {
    let stand = Stand::new();
    let world = World::new(7);
    world.settle(&*stand.store).await;
    written(&stand, &world, &[(Kind::Words, 10)]).await;
    stand.hub.start().await.unwrap();
    let hub = &stand.hub;
    let mut colleague = agent(&world);
    let (speaker, sink, _watched) = colleague.connect(hub).await;
    colleague.receive_all(&sink);
    for _ in 0..80 {
        let note = colleague.write();
        colleague.send(hub, &speaker, note).await;
        while !colleague.asked.is_empty() {
            colleague.receive_all(&sink);
            tokio::task::yield_now().await;
        }
    }
    let visitor = Person::visitor(&world).connect(hub).await;
    assert_eq!(only_page(&visitor.1), (false, false, (1..=10).collect()));
    let desk = hub.desks.get(world.tenant).await.unwrap();
    let facts = hub.board.facts(&desk, world.conversation).await;
    assert_eq!(facts.preview, Some(Personal::new("line 10".to_owned())));
}

#[tokio::test]
async fn who_comes_back_behind_many_notes_goes_on_without_a_reset() {
    let stand = Stand::new();
    let world = World::new(7);
    world.settle(&*stand.store).await;
    written(&stand, &world, &[(Kind::Words, 40), (Kind::Note, 700), (Kind::Words, 2)]).await;
    stand.hub.start().await.unwrap();
    let mut visitor = Person::visitor(&world);
    let had = world.message_of_kind(40, Kind::Words, NOW.day());
    let (message, at) = (had.envelope().message(), had.envelope().at());
    visitor.view.push(Item { seq: Seq(40), message, at, note: false });
    let (_, sink, _) = visitor.connect(&stand.hub).await;
    let (reset, _, seqs) = only_page(&sink);
    assert_eq!((reset, seqs), (false, vec![741, 742]));
    // What they had was never there: they get the newest page, of what they may see.
    let mut visitor = Person::visitor(&world);
    let message = MessageId::from_uuid(Uuid::now_v7());
    visitor.view.push(Item { seq: Seq(40), message, at, note: false });
    let (_, sink, _) = visitor.connect(&stand.hub).await;
    let expected: Vec<u64> = (1..=40).chain([741, 742]).collect();
    assert_eq!(only_page(&sink), (true, false, expected));
}

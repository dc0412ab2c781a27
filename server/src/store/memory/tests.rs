use std::thread;

use protocol::ids::AgentId;
use protocol::message::Seq;
use protocol::personal::Personal;
use protocol::retention::RetentionClass;
use protocol::time::Day;
use tokio::sync::oneshot;

use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::keys::KeyStore;
use crate::privacy::seal::Subject;
use crate::store::conformance::{self, NOW, World};
use crate::store::{
    AgentRow, Change, ConversationFilter, DraftRow, Page, Transcript as _, VisitorToken,
};

fn store_with(config: &MemoryConfig) -> (MemoryStore, Arc<KeyStore>) {
    let keys = Arc::new(KeyStore::in_memory().unwrap());
    let clock = Arc::new(ManualClock::new(NOW));
    (MemoryStore::new(Arc::clone(&keys) as _, config, clock), keys)
}

fn store() -> (MemoryStore, Arc<KeyStore>) {
    store_with(&MemoryConfig::default())
}

#[tokio::test]
async fn it_keeps_every_promise_of_a_store() {
    let (store, keys) = store();
    conformance::all(&store, &*keys).await;
    store.close().await;
}

#[tokio::test]
async fn a_full_queue_slows_the_sender_and_then_refuses_them() {
    let patience = Duration::from_millis(20);
    let (store, _keys) =
        store_with(&MemoryConfig { queue_len: 2, patience, ..MemoryConfig::default() });
    let first = store.try_reserve().unwrap();
    let second = store.reserve().await.unwrap();
    assert!(matches!(store.try_reserve(), Err(StoreError::Full)));
    assert!(matches!(store.reserve().await, Err(StoreError::Full)));
    drop(first);
    let third = store.reserve().await.unwrap();
    drop((second, third));
    World::new(1).settle(&store).await;
    let late = store.reserve().await.unwrap();
    store.close().await;
    assert!(store.try_reserve().is_err() && store.reserve().await.is_err());
    let (told, outcome) = oneshot::channel();
    late.write(Vec::new(), Box::new(move |outcome| told.send(outcome).unwrap()));
    assert!(matches!(outcome.await, Ok(Err(StoreError::Unavailable { .. }))));
    assert!(!store.healthy());
}

#[tokio::test]
async fn what_died_while_it_waited_is_not_stored() {
    let (store, _keys) = store();
    let world = World::new(1);
    world.settle(&store).await;
    let long_ago = world.message_on(1, "old", Day(0));
    assert!(long_ago.envelope().tag().expires.is_some_and(|day| day <= NOW.day()));
    store.write(vec![Write::Message(Arc::clone(&long_ago))]).await.unwrap();
    store
        .write(vec![Write::Message(long_ago), Write::Message(world.message(2, "new"))])
        .await
        .unwrap();
    let read = store.messages(world.tenant, world.conversation, Seq(0), None, 9).await.unwrap();
    assert_eq!(read, [world.message(2, "new")]);
    let nowhere = World::new(2).message_on(1, "old", Day(0));
    assert_eq!(store.write(vec![Write::Message(nowhere)]).await, Err(StoreError::NotFound));
}

#[tokio::test]
async fn a_completion_runs_before_the_writer_goes_on_and_may_write_itself() {
    let (store, _keys) = store_with(&MemoryConfig { queue_len: 1, ..MemoryConfig::default() });
    let store = Arc::new(store);
    let world = World::new(1);
    world.settle(&*store).await;
    let (told, mut outcome) = oneshot::channel();
    let (again, second) = (Arc::clone(&store), world.message(2, "second"));
    let slot = store.try_reserve().unwrap();
    slot.write(
        vec![Write::Message(world.message(1, "first"))],
        Box::new(move |outcome| {
            outcome.unwrap();
            let slot = again.try_reserve().unwrap();
            let outcome = Box::new(move |outcome| told.send(outcome).unwrap());
            slot.write(vec![Write::Message(second)], outcome);
        }),
    );
    assert_eq!(outcome.try_recv(), Ok(Ok(())));
    let room = store.room(world.tenant, world.conversation, 9).await.unwrap().unwrap();
    assert_eq!(room.tail.len(), 2);
}

#[tokio::test]
async fn a_batch_that_fails_leaves_everything_as_it_was() {
    let (store, _keys) = store();
    let world = World::new(1);
    world.settle(&store).await;
    let World { tenant, site, visitor, agent, conversation, .. } = world;
    store.write(vec![Write::Message(world.message(1, "there"))]).await.unwrap();
    let before = store.room(tenant, conversation, 9).await.unwrap();
    let newcomer = world.with_visitor(2);
    let mut nameless = world.visitor_row();
    nameless.name = None;
    let row = world.visitor_row();
    let token = VisitorToken {
        visitor,
        tenant,
        secret: row.secret,
        secret_before: row.secret_before,
        secret_expires_at: row.secret_expires_at,
    };
    let rotated = VisitorToken { secret: world.secret(9), ..token.clone() };
    let mut closed = world.conversation_row();
    closed.version = 2;
    closed.state = protocol::conversation::ConversationState::Closed;
    let author = protocol::message::Author::Visitor;
    let mark =
        super::super::ReceiptRow { tenant, conversation, author, delivered: Seq(1), seen: Seq(1) };
    let text = Personal::new(String::from("half a"));
    let draft = DraftRow { tenant, site, conversation, visitor, agent, text, day: NOW.day() };
    let outcome = store
        .write(vec![
            Write::Visitor(Box::new(newcomer.visitor_row())),
            Write::Conversation(Box::new(newcomer.conversation_row())),
            Write::Visitor(Box::new(nameless)),
            Write::VisitorToken(Box::new(rotated)),
            Write::Conversation(Box::new(closed)),
            Write::Floor { tenant, conversation, seq: Seq(70) },
            Write::Receipt(mark),
            Write::Draft(Box::new(draft)),
            Write::Message(world.message(2, "two")),
            Write::Message(World::new(3).message(1, "no conversation")),
        ])
        .await;
    assert_eq!(outcome, Err(StoreError::NotFound));
    assert_eq!(store.room(tenant, conversation, 9).await.unwrap(), before);
    assert_eq!(store.visitor(tenant, visitor).await.unwrap(), Some(world.visitor_row()));
    let known = store.visitor_by_secret(tenant, site, world.secret(1)).await.unwrap();
    assert_eq!(known, Some(token));
    assert_eq!(store.visitor_by_secret(tenant, site, world.secret(9)).await.unwrap(), None);
    assert_eq!(store.drafts(tenant, agent).await.unwrap(), []);
    assert!(!store.conversation_exists(newcomer.conversation).await.unwrap());
    assert_eq!(store.visitor(tenant, newcomer.visitor).await.unwrap(), None);
    let page = Page { limit: 9, after: None };
    assert_eq!(store.visitors(tenant, page).await.unwrap().len(), 1);
    let all = ConversationFilter::default();
    let page = Page { limit: 9, after: None };
    assert_eq!(store.conversations(tenant, &all, page).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_was_sealed_for_an_agent_before_they_were_forgotten_does_not_come_after_it() {
    let (store, _keys) = store();
    let world = World::new(1);
    let (tenant, row) = (world.tenant, world.agent_row());
    store.change(vec![Change::create(row.clone())]).await.unwrap();
    // Their key stands, as for a write that was sealed just before it was destroyed.
    store.forget(tenant, Subject::Agent(row.agent)).await.unwrap();
    assert_eq!(store.change(vec![row.clone().change()]).await, Err(StoreError::NotFound));
    let password =
        store.change(AgentRow::password(tenant, row.agent, Arc::from("$argon2id$")).into()).await;
    assert_eq!(password, Err(StoreError::NotFound));
    assert_eq!(store.agents_by_email(&row.email).await.unwrap(), []);
    let again = AgentRow { agent: AgentId::from_bytes([9; 16]), ..row };
    store.change(vec![Change::create(again)]).await.unwrap();
}

#[tokio::test]
async fn nothing_is_left_of_a_closed_conversation_after_its_day() {
    let (store, keys) = store();
    let world = World::new(1);
    world.settle(&store).await;
    let World { tenant, conversation, site, .. } = world;
    let day = NOW.day();
    let writes = (1..=500).map(|n| Write::Message(world.message(n, "words"))).collect();
    store.write(writes).await.unwrap();
    let mut closed = world.conversation_row();
    closed.version = 2;
    closed.state = protocol::conversation::ConversationState::Closed;
    store.write(vec![Write::Conversation(Box::new(closed))]).await.unwrap();
    let due = store.buckets().await.unwrap();
    let transcript = Bucket { tenant, site: Some(site), class: RetentionClass::Transcript, day };
    assert!(due.contains(&transcript));
    keys.destroy_buckets(&due).unwrap();
    store.clean_up(&due).await.unwrap();
    assert_eq!(store.buckets().await.unwrap(), []);
    assert_eq!(store.conversation(tenant, conversation).await.unwrap(), None);
    assert_eq!(store.visitor(tenant, world.visitor).await.unwrap(), None);
    let page = Page { limit: 9, after: None };
    let all = ConversationFilter::default();
    assert_eq!(store.conversations(tenant, &all, page).await.unwrap(), []);
    keys.destroy_subject(tenant, Subject::Visitor(world.visitor)).unwrap();
}

#[tokio::test]
async fn many_threads_write_one_conversation_and_no_number_is_given_twice() {
    let (store, _keys) = store();
    let world = World::new(1);
    world.settle(&store).await;
    let stored: usize = thread::scope(|threads| {
        let writers: Vec<_> = (0..4_u8)
            .map(|own| {
                let store = &store;
                threads.spawn(move || {
                    let mut stored = 0;
                    for seq in 1..=200 {
                        let (told, mut outcome) = oneshot::channel();
                        let message = world.message_of(seq, own);
                        let slot = store.try_reserve().unwrap();
                        slot.write(
                            vec![Write::Message(message)],
                            Box::new(move |outcome| told.send(outcome).unwrap()),
                        );
                        match outcome.try_recv().unwrap() {
                            Ok(()) => stored += 1,
                            Err(error) => assert!(matches!(error, StoreError::SeqTaken { .. })),
                        }
                    }
                    stored
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(stored, 200);
    let room = store.room(world.tenant, world.conversation, 500).await.unwrap().unwrap();
    let seqs: Vec<_> = room.tail.iter().map(|sequenced| sequenced.seq().0).collect();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
}

/// Prints what a reservation and a write of one message cost on this machine, over as many
/// conversations as a load test has; `--nocapture` shows it, and only an optimized build says
/// something.
#[tokio::test]
async fn a_message_costs_a_reservation_a_seal_and_one_lock() {
    const CONVERSATIONS: u8 = 200;
    const ROUNDS: u64 = 100;
    let (store, _keys) = store();
    let base = World::new(1);
    base.settle(&store).await;
    let worlds: Vec<_> = (2..CONVERSATIONS).map(|n| base.with_visitor(n)).collect();
    for world in &worlds {
        world.begin(&store).await;
        store
            .write(vec![Write::Message(world.message(1, "the first makes the key"))])
            .await
            .unwrap();
    }
    let text = "It was the blue one, size 42, and the parcel came on Tuesday.";
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let messages: Vec<_> = worlds.iter().map(|world| world.message(round + 2, text)).collect();
        let began = SystemClock.instant();
        for message in messages {
            let slot = store.try_reserve().unwrap();
            slot.write(vec![Write::Message(message)], Box::new(|outcome| outcome.unwrap()));
        }
        rounds.push(SystemClock.instant().saturating_duration_since(began));
    }
    // The median: other programs take the processor away in some of the rounds.
    rounds.sort_unstable();
    let took = rounds[rounds.len() / 2].as_nanos();
    println!("one message: {} ns", took / u128::try_from(worlds.len()).unwrap());
    let room = store.room(worlds[0].tenant, worlds[0].conversation, 1).await.unwrap().unwrap();
    assert_eq!(room.seq_last, Seq(ROUNDS + 1));
}

//! Writes: whole or not at all, in their order, and what comes back of them.

use std::sync::Arc;

use protocol::conversation::ConversationState;
use protocol::ids::{ConversationId, SiteId, TagId};
use protocol::message::{Author, EventKind, Seq};
use protocol::personal::Personal;

use super::{NOW, World};
use crate::privacy::envelope::Content;
use crate::store::{
    Change, ConversationRow, DRAFTS_MAX, DraftRow, ReceiptRow, Refused, Store, StoreError, TagRow,
    VisitorRow, VisitorToken, Write, Wrote,
};

pub(super) async fn a_batch_answers_for_each_of_its_writes(store: &dyn Store) {
    let world = World::new(91);
    world.settle(store).await;
    let tag = |n, name: &str| {
        let tag = TagId::from_bytes([n; 16]);
        let row = TagRow { tag, tenant: world.tenant, name: name.to_owned() };
        Write::Record(Change::create(row))
    };
    let header = |version| {
        Write::Conversation(Box::new(ConversationRow { version, ..world.conversation_row() }))
    };
    let told = store.batch(vec![
        header(5),
        header(4),
        Write::Message(world.message(1, "first")),
        Write::Message(world.message(1, "first")),
        tag(201, "one"),
    ]);
    let (done, passed_over) = (Wrote::Done, Wrote::PassedOver);
    assert_eq!(told.await, Ok(vec![done, passed_over, done, passed_over, done]));
    let both = vec![header(6), tag(202, "two"), tag(203, "one"), tag(204, "two")];
    let error = StoreError::Exists { what: "name" };
    assert_eq!(store.batch(both).await, Err(Refused { at: Some(2), error }));
    assert_eq!(store.tags(world.tenant).await.unwrap().len(), 1, "none of them stands");
    let kept = store.conversation(world.tenant, world.conversation).await.unwrap().unwrap();
    assert_eq!(kept.version, 5);
    let nowhere = vec![Write::Message(World::new(92).message(1, "nowhere"))];
    assert_eq!(
        store.batch(nowhere).await,
        Err(Refused { at: Some(0), error: StoreError::NotFound })
    );
    assert_eq!(store.batch(Vec::new()).await, Ok(Vec::new()));
}

pub(super) async fn messages_come_back_as_they_went_in(store: &dyn Store) {
    let world = World::new(10);
    world.settle(store).await;
    let mut sent: Vec<_> = (1..=9).map(|seq| world.message(seq, &format!("line {seq}"))).collect();
    let event = Content::Event { event: EventKind::Assigned, agent: Some(world.agent) };
    sent.push(world.message_with(12, [77; 16], event, NOW.day()));
    for message in &sent {
        store.write(vec![Write::Message(Arc::clone(message))]).await.unwrap();
    }
    let World { tenant, conversation, .. } = world;
    let read = store.messages(tenant, conversation, Seq(0), None, 100).await.unwrap();
    assert_eq!(read, sent);
    let read = store.messages(tenant, conversation, Seq(2), Some(Seq(8)), 3).await.unwrap();
    assert_eq!(read, sent[4..7], "the newest three of 3 to 7");
    let room = store.room(tenant, conversation, 2).await.unwrap().unwrap();
    assert_eq!((room.seq_last, &room.tail[..]), (Seq(12), &sent[8..]));
    assert_eq!(room.header, world.conversation_row());
    let third = sent[2].envelope().message();
    assert_eq!(
        store.message(tenant, conversation, third, Seq(2)).await.unwrap(),
        Some(Arc::clone(&sent[2]))
    );
    assert_eq!(store.message(tenant, conversation, third, Seq(3)).await.unwrap(), None);
}

pub(super) async fn a_taken_number_is_told_and_a_resend_is_not(store: &dyn Store) {
    let world = World::new(11);
    world.settle(store).await;
    let first = world.message(5, "first");
    store.write(vec![Write::Message(Arc::clone(&first))]).await.unwrap();
    store.write(vec![Write::Message(Arc::clone(&first))]).await.unwrap();
    let other = world.message_with(
        5,
        [200; 16],
        Content::Text(Personal::new("second".to_owned())),
        NOW.day(),
    );
    assert_eq!(
        store.write(vec![Write::Message(other)]).await,
        Err(StoreError::SeqTaken { seq_last: Seq(5) })
    );
    let read = store.messages(world.tenant, world.conversation, Seq(0), None, 9).await.unwrap();
    assert_eq!(read, [first]);
    let nowhere = World::new(12).message(1, "no conversation");
    assert_eq!(store.write(vec![Write::Message(nowhere)]).await, Err(StoreError::NotFound));
}

pub(super) async fn headers_only_grow(store: &dyn Store) {
    let world = World::new(13);
    world.settle(store).await;
    let mut row = world.conversation_row();
    row.version = 7;
    row.state = ConversationState::Active;
    row.assignee = Some(world.agent);
    store.write(vec![Write::Conversation(Box::new(row.clone()))]).await.unwrap();
    let old = world.conversation_row();
    store.write(vec![Write::Conversation(Box::new(old))]).await.unwrap();
    let read = store.conversation(world.tenant, world.conversation).await.unwrap();
    assert_eq!(read, Some(row));
    let mut foreign = World::new(14).conversation_row();
    foreign.conversation = world.conversation;
    foreign.version = 99;
    assert!(matches!(
        store.write(vec![Write::Conversation(Box::new(foreign))]).await,
        Err(StoreError::Exists { .. })
    ));
    assert!(store.conversation_exists(world.conversation).await.unwrap());
    assert!(!store.conversation_exists(ConversationId::from_bytes([250; 16])).await.unwrap());
}

pub(super) async fn a_batch_is_stored_whole_or_not_at_all(store: &dyn Store) {
    let world = World::new(15);
    world.settle(store).await;
    store.write(vec![Write::Message(world.message(1, "there"))]).await.unwrap();
    let rival = world.message_with(
        1,
        [201; 16],
        Content::Text(Personal::new("rival".to_owned())),
        NOW.day(),
    );
    let mut row = world.conversation_row();
    row.version = 2;
    row.state = ConversationState::Closed;
    let outcome = store
        .write(vec![
            Write::Conversation(Box::new(row)),
            Write::Message(world.message(2, "two")),
            Write::Message(rival),
        ])
        .await;
    assert_eq!(outcome, Err(StoreError::SeqTaken { seq_last: Seq(2) }));
    let room = store.room(world.tenant, world.conversation, 9).await.unwrap().unwrap();
    assert_eq!((room.seq_last, room.header.version), (Seq(1), 1));
    store.write(vec![Write::Message(world.message(2, "two"))]).await.unwrap();
}

pub(super) async fn a_floor_outlives_the_messages_that_were_not_stored(store: &dyn Store) {
    let world = World::new(40);
    world.settle(store).await;
    let World { tenant, conversation, .. } = world;
    let seq_last = async || store.room(tenant, conversation, 9).await.unwrap().unwrap().seq_last;
    store.write(vec![Write::Message(world.message(1, "there"))]).await.unwrap();
    store.write(vec![Write::Floor { tenant, conversation, seq: Seq(40) }]).await.unwrap();
    assert_eq!(seq_last().await, Seq(40));
    store.write(vec![Write::Floor { tenant, conversation, seq: Seq(7) }]).await.unwrap();
    assert_eq!(seq_last().await, Seq(40), "it never goes back");
    let mut row = world.conversation_row();
    row.version = 2;
    store.write(vec![Write::Conversation(Box::new(row))]).await.unwrap();
    assert_eq!(seq_last().await, Seq(40), "a header knows nothing of it");
    store.write(vec![Write::Message(world.message(41, "after"))]).await.unwrap();
    let room = store.room(tenant, conversation, 9).await.unwrap().unwrap();
    assert_eq!((room.seq_last, room.tail.len()), (Seq(41), 2));
    let stranger = World::new(41).tenant;
    let floor = Write::Floor { tenant: stranger, conversation, seq: Seq(99) };
    assert_eq!(store.write(vec![floor]).await, Err(StoreError::NotFound));
}

pub(super) async fn visitors_are_found_by_either_token(store: &dyn Store) {
    let world = World::new(16);
    world.settle(store).await;
    let row = world.visitor_row();
    let World { tenant, site, visitor, .. } = world;
    assert_eq!(store.visitor(tenant, visitor).await.unwrap(), Some(row.clone()));
    let token = VisitorToken {
        visitor,
        tenant,
        secret: row.secret,
        secret_before: row.secret_before,
        secret_expires_at: row.secret_expires_at,
    };
    for secret in [world.secret(1), world.secret(2)] {
        let found = store.visitor_by_secret(tenant, site, secret).await.unwrap();
        assert_eq!(found, Some(token.clone()));
    }
    assert_eq!(store.visitor_by_secret(tenant, site, world.secret(3)).await.unwrap(), None);
    let other_site = SiteId::from_bytes([99; 16]);
    assert_eq!(store.visitor_by_secret(tenant, other_site, world.secret(1)).await.unwrap(), None);
    // Two connections read a row, and each writes what it changed: neither undoes the other's.
    let nameless = VisitorRow { name: None, ..row.clone() };
    let renewed = VisitorToken {
        secret: world.secret(4),
        secret_before: None,
        secret_expires_at: NOW.plus_ms(9),
        ..token
    };
    store.write(vec![Write::VisitorToken(Box::new(renewed.clone()))]).await.unwrap();
    store.write(vec![Write::Visitor(Box::new(nameless))]).await.unwrap();
    let both = VisitorRow {
        name: None,
        secret: renewed.secret,
        secret_before: None,
        secret_expires_at: renewed.secret_expires_at,
        ..row
    };
    assert_eq!(store.visitor(tenant, visitor).await.unwrap(), Some(both));
    let stranger = VisitorToken { tenant: World::new(99).tenant, ..renewed };
    let foreign = store.write(vec![Write::VisitorToken(Box::new(stranger))]).await;
    assert_eq!(foreign, Err(StoreError::NotFound));
}

pub(super) async fn receipts_and_drafts_stay(store: &dyn Store) {
    let world = World::new(17);
    world.settle(store).await;
    let World { tenant, conversation, agent, .. } = world;
    let mark = |author, delivered, seen| ReceiptRow {
        tenant,
        conversation,
        author,
        delivered: Seq(delivered),
        seen: Seq(seen),
    };
    for row in
        [mark(Author::Visitor, 4, 3), mark(Author::Agent(agent), 2, 2), mark(Author::Visitor, 2, 5)]
    {
        store.write(vec![Write::Receipt(row)]).await.unwrap();
    }
    let mut receipts = store.room(tenant, conversation, 1).await.unwrap().unwrap().receipts;
    receipts.sort_by_key(|mark| mark.author.agent());
    assert_eq!(receipts, [mark(Author::Visitor, 4, 5), mark(Author::Agent(agent), 2, 2)]);
    let draft = DraftRow {
        tenant,
        site: world.site,
        conversation,
        visitor: world.visitor,
        agent,
        text: Personal::new("half a".to_owned()),
        day: NOW.day(),
    };
    store.write(vec![Write::Draft(Box::new(draft.clone()))]).await.unwrap();
    assert_eq!(store.drafts(tenant, agent).await.unwrap(), std::slice::from_ref(&draft));
    let empty = DraftRow { text: Personal::new(String::new()), ..draft };
    store.write(vec![Write::Draft(Box::new(empty))]).await.unwrap();
    assert_eq!(store.drafts(tenant, agent).await.unwrap(), []);
}

pub(super) async fn of_many_drafts_the_newest_are_read(store: &dyn Store) {
    let world = World::new(65);
    world.settle(store).await;
    let mut written = Vec::new();
    for m in 0..=150 {
        let other = world.with_visitor(m);
        other.begin(store).await;
        let draft = DraftRow {
            tenant: world.tenant,
            site: world.site,
            conversation: other.conversation,
            visitor: other.visitor,
            agent: world.agent,
            text: Personal::new(format!("draft {m}")),
            day: NOW.day(),
        };
        store.write(vec![Write::Draft(Box::new(draft.clone()))]).await.unwrap();
        written.push(draft);
    }
    let read = store.drafts(world.tenant, world.agent).await.unwrap();
    assert_eq!(read, written[written.len() - usize::from(DRAFTS_MAX)..]);
}

pub(super) async fn completions_run_in_order(store: &dyn Store) {
    let world = World::new(24);
    world.settle(store).await;
    let (told, mut outcomes) = tokio::sync::mpsc::channel(64);
    for seq in 1..=50 {
        let slot = store.reserve().await.unwrap();
        let told = told.clone();
        slot.write(
            vec![Write::Message(world.message(seq, "in order"))],
            Box::new(move |outcome| told.try_send((seq, outcome)).unwrap()),
        );
    }
    for seq in 1..=50 {
        assert_eq!(outcomes.recv().await, Some((seq, Ok(()))));
    }
}

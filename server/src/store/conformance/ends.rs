//! What ends: erasure, destroyed keys, what is over; the mark of the clock; and the feed, which
//! tells of it.

use std::sync::Arc;

use protocol::conversation::{ConversationState, Role};
use protocol::ids::{AgentId, InvitationId, KeyId, SessionId, TagId};
use protocol::message::Seq;
use protocol::personal::Personal;
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};

use super::{NOW, World, page};
use crate::privacy::envelope::Sequenced;
use crate::privacy::seal::{Bucket, Sealer, Subject};
use crate::store::feed::kind;
use crate::store::{
    Change, ClockAct, DraftRow, FeedReaderRow, InvitationRow, SessionRow, Store, StoreError,
    TagRow, Write,
};

pub(super) async fn an_erased_agent_is_one_without_a_name(store: &dyn Store, sealer: &dyn Sealer) {
    let world = World::new(31);
    let tenant = world.tenant;
    store.change(vec![Change::create(world.tenant_row())]).await.unwrap();
    let agent = |n: u8| {
        let mut row = world.agent_row();
        row.agent = AgentId::from_bytes([n; 16]);
        row.email = Personal::new(format!("erased{n}@example.test"));
        row
    };
    for n in 1..=3 {
        store.change(vec![Change::create(agent(n))]).await.unwrap();
    }
    let gone = agent(2);
    let by_email = async || store.agents_by_email(&gone.email).await.unwrap();
    assert_eq!(by_email().await, [agent(2)]);
    sealer.destroy_subject(tenant, Subject::Agent(gone.agent)).unwrap();
    for cleared in [false, true] {
        if cleared {
            store.forget(tenant, Subject::Agent(gone.agent)).await.unwrap();
        }
        let listed = store.agents(tenant, page(9)).await.unwrap();
        assert_eq!(listed.len(), 3, "a page is not cut short by them");
        let row = store.agent(tenant, gone.agent).await.unwrap().unwrap();
        assert_eq!(listed[1], row);
        let nothing = (row.name.expose().len(), row.email.expose().len(), row.password_hash.len());
        assert_eq!((nothing, row.active), ((0, 0, 0), false));
        assert_eq!(by_email().await, []);
        assert_eq!(store.change(vec![gone.clone().change()]).await, Err(StoreError::NotFound));
    }
    // Their address is free again: nothing in the file knows it any more.
    let mut again = agent(4);
    again.email = gone.email.clone();
    store.change(vec![Change::create(again.clone())]).await.unwrap();
    assert_eq!(by_email().await, [again]);
}

pub(super) async fn nothing_is_left_of_an_erased_visitor(store: &dyn Store, sealer: &dyn Sealer) {
    let world = World::new(32);
    world.settle(store).await;
    let other = world.with_visitor(7);
    other.begin(store).await;
    let World { tenant, site, visitor, agent, conversation, .. } = world;
    for world in [world, other] {
        let text = Personal::new("half a".to_owned());
        let (conversation, visitor, day) = (world.conversation, world.visitor, NOW.day());
        let draft = DraftRow { tenant, site, conversation, visitor, agent, text, day };
        store.write(vec![Write::Draft(Box::new(draft))]).await.unwrap();
        for seq in 1..=5 {
            store.write(vec![Write::Message(world.message(seq, "words"))]).await.unwrap();
        }
    }
    let stranger = World::new(33).tenant;
    let whom = Subject::Visitor(visitor);
    assert_eq!(store.forget(stranger, whom).await, Err(StoreError::NotFound));
    assert_eq!(store.room(tenant, conversation, 9).await.unwrap().unwrap().tail.len(), 5);
    sealer.destroy_subject(tenant, whom).unwrap();
    store.forget(tenant, whom).await.unwrap();
    let room = store.room(tenant, conversation, 9).await.unwrap().unwrap();
    assert_eq!(
        (room.tail.len(), room.seq_last),
        (0, Seq(5)),
        "sequence numbers are not given again"
    );
    let header = room.header;
    assert_eq!((header.form.len(), header.page_url, header.page_title), (0, None, None));
    let row = store.visitor(tenant, visitor).await.unwrap().unwrap();
    assert_eq!((row.name, row.email, row.locale.as_str()), (None, None, ""));
    let drafts = store.drafts(tenant, agent).await.unwrap();
    assert_eq!(drafts.iter().map(|draft| draft.visitor).collect::<Vec<_>>(), [other.visitor]);
    let others = store.room(tenant, other.conversation, 9).await.unwrap().unwrap();
    assert_eq!((others.tail.len(), others.header.form.len()), (5, 1));
    // A closed one goes, and its visitor with it.
    let mut closed = world.conversation_row();
    (closed.version, closed.state) = (9, ConversationState::Closed);
    (closed.form, closed.page_url, closed.page_title) = (Vec::new(), None, None);
    store.write(vec![Write::Conversation(Box::new(closed))]).await.unwrap();
    store.forget(tenant, whom).await.unwrap();
    assert_eq!(store.conversation(tenant, conversation).await.unwrap(), None);
    assert_eq!(store.visitor(tenant, visitor).await.unwrap(), None);
    assert_eq!(store.forget(tenant, whom).await, Err(StoreError::NotFound));
}

pub(super) async fn what_is_over_is_deleted_and_the_rest_stays(store: &dyn Store) {
    let world = World::new(44);
    let World { tenant, agent, .. } = world;
    let mut kept = Vec::new();
    for (n, expires_at) in [(1, NOW), (2, NOW.plus_ms(1)), (3, UnixMillis(NOW.0 - 1))] {
        let session = SessionRow {
            session: SessionId::from_bytes([n + 100; 16]),
            agent,
            tenant,
            secret: world.secret(50 + n),
            client: Personal::new("Firefox on Linux".to_owned()),
            created_at: NOW,
            expires_at,
        };
        let invitation = InvitationRow {
            invitation: InvitationId::from_bytes([n + 100; 16]),
            tenant,
            email: Personal::new("linus@example.test".to_owned()),
            role: Role::Agent,
            secret: world.secret(60 + n),
            created_at: NOW,
            expires_at,
        };
        store.change(vec![Change::create(session.clone())]).await.unwrap();
        store.change(vec![Change::create(invitation.clone())]).await.unwrap();
        if expires_at > NOW {
            kept.push((session, invitation));
        }
    }
    store.delete_ended(NOW).await.unwrap();
    let (sessions, invitations): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
    assert_eq!(store.sessions(tenant, agent).await.unwrap(), sessions);
    assert_eq!(store.invitations(tenant).await.unwrap(), invitations);
}

pub(super) async fn the_latest_time_never_goes_back(store: &dyn Store) {
    store.raise_high_water(NOW).await.unwrap();
    store.raise_high_water(UnixMillis(5)).await.unwrap();
    assert_eq!(store.high_water().await.unwrap(), NOW);
}

pub(super) async fn the_mark_goes_back_only_by_an_operators_word(store: &dyn Store) {
    let mark = store.high_water().await.unwrap();
    let (hour, key) = (3_600_000, KeyId::from_bytes([31; 16]));
    let before = UnixMillis(mark.0 - hour);
    let act = |wall, lower| ClockAct { key, wall, lower };
    assert_eq!(store.clock_act(act(before, false)).await, Ok(false), "the mark is later");
    assert_eq!(store.clock_act(act(mark, true)).await, Ok(false), "there is nothing to lower");
    assert_eq!(store.clock_act(act(before, true)).await, Ok(true));
    assert_eq!(store.high_water().await.unwrap(), before);
    assert_eq!(store.destroying(mark).await, Ok(false), "a round by the mark of before ends");
    store.raise_high_water(mark).await.unwrap();
    assert_eq!(store.destroying(mark).await, Ok(true));
    assert_eq!(store.clock_act(act(before, true)).await, Ok(false), "something died by it");
    assert_eq!(store.clock_act(act(mark, false)).await, Ok(true));
}

pub(super) async fn what_is_destroyed_is_gone(store: &dyn Store, sealer: &dyn Sealer) {
    let world = World::new(30);
    world.settle(store).await;
    let World { tenant, site, visitor, conversation, .. } = world;
    let (yesterday, today) = (Day(NOW.day().0 - 1), NOW.day());
    for seq in 1..=20 {
        let day = if seq <= 10 { yesterday } else { today };
        store.write(vec![Write::Message(world.message_on(seq, "words", day))]).await.unwrap();
    }
    let bucket = |class, day| Bucket { tenant, site: Some(site), class, day };
    let old = bucket(RetentionClass::Transcript, yesterday);
    let new = bucket(RetentionClass::Transcript, today);
    let contact = bucket(RetentionClass::Contact, today);
    let listed = store.buckets().await.unwrap();
    assert!([old, new, contact].iter().all(|bucket| listed.contains(bucket)));

    sealer.destroy_buckets(&[old]).unwrap();
    let seqs = |rows: Vec<Arc<Sequenced>>| rows.iter().map(|row| row.seq().0).collect::<Vec<_>>();
    let read = store.messages(tenant, conversation, Seq(0), None, 99).await.unwrap();
    assert_eq!(seqs(read), (11..=20).collect::<Vec<_>>(), "unreadable before it is swept");
    let late = store.write(vec![Write::Message(world.message_on(21, "late", yesterday))]).await;
    assert_eq!(late, Err(StoreError::NotFound), "a destroyed key is never made again");
    store.clean_up(&[old]).await.unwrap();
    assert!(!store.buckets().await.unwrap().contains(&old));
    let read = store.messages(tenant, conversation, Seq(0), None, 99).await.unwrap();
    assert_eq!(seqs(read), (11..=20).collect::<Vec<_>>());

    sealer.destroy_buckets(&[new, contact]).unwrap();
    let room = store.room(tenant, conversation, 99).await.unwrap().unwrap();
    assert_eq!(
        (room.seq_last, room.tail.len()),
        (Seq(20), 0),
        "sequence numbers are not given again"
    );
    assert_eq!((room.header.form.len(), room.header.page_url), (0, None));
    let row = store.visitor(tenant, visitor).await.unwrap().unwrap();
    assert_eq!((row.name, row.email), (None, None));
    store.clean_up(&[new, contact]).await.unwrap();
    let room = store.room(tenant, conversation, 99).await.unwrap().unwrap();
    assert_eq!(room.seq_last, Seq(20), "nor after the sweep");

    let erased = world.with_visitor(9);
    let tomorrow = Day(today.0 + 1);
    let mut row = erased.conversation_row();
    row.created_at = tomorrow.start();
    let mut contact = erased.visitor_row();
    contact.contact_day = tomorrow;
    store
        .write(vec![
            Write::Visitor(Box::new(contact)),
            Write::Conversation(Box::new(row)),
            Write::Message(erased.message_on(1, "words", tomorrow)),
        ])
        .await
        .unwrap();
    sealer.destroy_subject(tenant, Subject::Visitor(erased.visitor)).unwrap();
    let read = store.messages(tenant, erased.conversation, Seq(0), None, 99).await.unwrap();
    assert_eq!(read, []);
    let row = store.visitor(tenant, erased.visitor).await.unwrap().unwrap();
    assert_eq!((row.name, row.email), (None, None));
}

pub(super) async fn the_feed_has_what_changed_in_its_order(store: &dyn Store) {
    let (world, other) = (World::new(34), World::new(35));
    other.settle(store).await;
    world.settle(store).await;
    let World { tenant, site, visitor, conversation, .. } = world;
    let before = store.feed_end().await.unwrap();
    store.write(vec![Write::Message(world.message(1, "nobody reads yet"))]).await.unwrap();
    // Whatever waits in a journal is checkpointed before this.
    let row = FeedReaderRow { tenant, reader: "hook".to_owned(), created_at: NOW };
    let after = store.feed_end().await.unwrap();
    let opens = || store.change(vec![Change::create(row.clone())]);
    opens().await.unwrap();
    assert_eq!((after, store.feed(tenant, 0, 99).await.unwrap()), (before, Vec::new()));
    assert!(opens().await.is_err(), "a name is one reader's");
    for seq in 2..=3 {
        store.write(vec![Write::Message(world.message(seq, "words"))]).await.unwrap();
    }
    store.write(vec![Write::Message(other.message(1, "of others"))]).await.unwrap();
    let mut header = world.conversation_row();
    (header.version, header.state) = (5, ConversationState::Closed);
    let tag = TagRow { tag: TagId::from_bytes([34; 16]), tenant, name: "new".to_owned() };
    let refused = TagRow { tag: TagId::from_bytes([35; 16]), ..tag.clone() };
    let both = [tag.clone(), refused].map(Change::create);
    assert!(store.change(both.to_vec()).await.is_err());
    store.write(vec![Write::Conversation(Box::new(header))]).await.unwrap();
    store.change(vec![Change::create(tag.clone())]).await.unwrap();
    store.change(vec![Change::remove(tag)]).await.unwrap();
    let mut site_row = world.site_row();
    site_row.name = "Another".to_owned();
    store.change(vec![site_row.change()]).await.unwrap();
    // Behind the destruction of their key, which is not destroyed here.
    store.forget(tenant, Subject::Visitor(visitor)).await.unwrap();
    let events = store.feed(tenant, after, 99).await.unwrap();
    let (of, its) = (*conversation.as_bytes(), Some(*visitor.as_bytes()));
    let seen: Vec<_> =
        events.iter().map(|event| (event.kind, event.object, event.version)).collect();
    let expected = [
        (kind::MESSAGE, of, 2),
        (kind::MESSAGE, of, 3),
        (kind::CONVERSATION, of, 5),
        (kind::TAG, [34; 16], 0),
        (kind::TAG, [34; 16], 0),
        (kind::SITE, *site.as_bytes(), 0),
        (kind::VISITOR, *visitor.as_bytes(), 0),
    ];
    assert_eq!(seen, expected);
    assert!(events.is_sorted_by_key(|event| event.position));
    assert!(events[..3].iter().all(|event| event.subject == its && event.site == Some(site)));
    assert!(events.iter().all(|event| event.day == NOW.day()));
    let page = store.feed(tenant, events[1].position, 2).await.unwrap();
    assert_eq!(page, events[2..4]);
    assert_eq!(store.feed(other.tenant, 0, 99).await.unwrap(), []);
    store.change(vec![Change::remove(row.clone())]).await.unwrap();
    store.write(vec![Write::Message(other.message(4, "nobody reads any more"))]).await.unwrap();
    store
        .change(vec![Change::create(TagRow {
            tag: TagId::from_bytes([36; 16]),
            tenant,
            name: "quiet".to_owned(),
        })])
        .await
        .unwrap();
    assert_eq!(store.feed(tenant, 0, 99).await.unwrap(), events);
    store.delete_ended(NOW.plus_ms(29 * 86_400_000)).await.unwrap();
    assert_eq!(store.feed(tenant, 0, 99).await.unwrap().len(), events.len());
    store.delete_ended(NOW.plus_ms(32 * 86_400_000)).await.unwrap();
    assert_eq!(store.feed(tenant, 0, 99).await.unwrap(), []);
}

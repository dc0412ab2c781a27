//! Who may act and what is set up: it comes back, changes, and is nobody else's.

use std::sync::Arc;

use protocol::conversation::{Availability, Role};
use protocol::ids::{AgentId, InvitationId, KeyId, SessionId, TagId};
use protocol::message::{Author, Seq};
use protocol::personal::Personal;
use protocol::time::UnixMillis;

use super::{NOW, World, page};
use crate::store::{
    ANSWERED, AgentRow, AnswerRow, Change, ConversationFilter, InvitationRow, KeyRow,
    PasswordResetRow, ReceiptRow, SessionRow, SiteRow, Store, StoreError, TagRow, Write,
};

pub(super) async fn accounts_come_back_as_they_went_in(store: &dyn Store) {
    let world = World::new(18);
    world.settle(store).await;
    let World { tenant, site, agent, .. } = world;
    assert_eq!(store.tenant(tenant).await.unwrap(), Some(world.tenant_row()));
    assert!(matches!(
        store.change(vec![Change::create(world.tenant_row())]).await,
        Err(StoreError::Exists { .. })
    ));
    let mut row = world.site_row();
    assert_eq!(store.site_by_key(&row.site_key).await.unwrap(), Some(row.clone()));
    row.name = "Another name".to_owned();
    row.timeline.push(NOW, crate::privacy::policy::SiteEvent::Closed);
    store.change(vec![row.clone().change()]).await.unwrap();
    assert_eq!(store.site(tenant, site).await.unwrap(), Some(row.clone()));
    assert_eq!(store.site_of_any_tenant(site).await.unwrap(), Some(row));

    let mut account = world.agent_row();
    store.change(vec![Change::create(account.clone())]).await.unwrap();
    let mut twin = account.clone();
    twin.agent = AgentId::from_bytes([200; 16]);
    twin.email = Personal::new(" grace@EXAMPLE.test".to_owned());
    assert_eq!(
        store.change(vec![Change::create(twin)]).await,
        Err(StoreError::Exists { what: "email" })
    );
    let chosen =
        store.change(vec![AgentRow::choice(tenant, agent, Availability::Available, Some(7))]).await;
    chosen.unwrap();
    let password_hash: Arc<str> = Arc::from("$argon2id$v=19$m=1$c2FsdA$b3RoZXI");
    store
        .change(AgentRow::password(tenant, agent, Arc::clone(&password_hash)).into())
        .await
        .unwrap();
    account.active = false;
    account.email = Personal::new("new@example.test".to_owned());
    store.change(vec![account.clone().change()]).await.unwrap();
    account.availability = Availability::Available;
    account.password_hash = password_hash;
    assert_eq!(
        store.agent(tenant, agent).await.unwrap(),
        Some(account.clone()),
        "an update leaves what they chose themselves, and takes the capacity that it has"
    );
    let late = store.change(vec![AgentRow::choice(tenant, agent, Availability::Away, None)]).await;
    assert_eq!(late, Err(StoreError::NotFound), "a deactivated agent chooses nothing");
    let stranger = World::new(41).tenant;
    let foreign =
        store.change(vec![AgentRow::choice(stranger, agent, Availability::Away, None)]).await;
    assert_eq!(foreign, Err(StoreError::NotFound));
    let foreign = store.change(AgentRow::password(stranger, agent, Arc::from("none")).into()).await;
    assert_eq!(foreign, Err(StoreError::NotFound));
    assert_eq!(store.agent(tenant, agent).await.unwrap(), Some(account.clone()));
    let spelled = Personal::new("NEW@example.test ".to_owned());
    assert_eq!(store.agents_by_email(&spelled).await.unwrap(), [account.clone()]);
    assert_eq!(store.agents(tenant, page(9)).await.unwrap(), [account]);
}

pub(super) async fn sessions_invitations_keys_and_tags_come_and_go(store: &dyn Store) {
    let world = World::new(19);
    let World { tenant, agent, .. } = world;
    let session = SessionRow {
        session: SessionId::from_bytes([18; 16]),
        agent,
        tenant,
        secret: world.secret(5),
        client: Personal::new("Firefox on Linux".to_owned()),
        created_at: NOW,
        expires_at: NOW.plus_ms(5),
    };
    store.change(vec![Change::create(session.clone())]).await.unwrap();
    assert_eq!(store.session_by_secret(session.secret).await.unwrap(), Some(session.clone()));
    assert_eq!(store.sessions(tenant, agent).await.unwrap(), std::slice::from_ref(&session));
    let ends = || store.change(vec![Change::remove(session.clone())]);
    ends().await.unwrap();
    assert_eq!(ends().await, Err(StoreError::NotFound));
    store.change(vec![session.end()]).await.unwrap();

    let invitation = InvitationRow {
        invitation: InvitationId::from_bytes([18; 16]),
        tenant,
        email: Personal::new("linus@example.test".to_owned()),
        role: Role::Supervisor,
        secret: world.secret(6),
        created_at: NOW,
        expires_at: NOW.plus_ms(5),
    };
    store.change(vec![Change::create(invitation.clone())]).await.unwrap();
    let found = store.invitation_by_secret(invitation.secret).await.unwrap();
    assert_eq!(found, Some(invitation.clone()));
    assert_eq!(store.invitations(tenant).await.unwrap(), std::slice::from_ref(&invitation));
    store.change(vec![Change::remove(invitation.clone())]).await.unwrap();
    assert_eq!(store.invitation_by_secret(invitation.secret).await.unwrap(), None);

    for (owner, id) in [(Some(tenant), 1), (None, 2)] {
        let key = KeyRow {
            key: KeyId::from_bytes([id; 16]),
            tenant: owner,
            name: "robot".to_owned(),
            scopes: vec!["read".to_owned(), "write".to_owned()],
            secret: world.secret(20 + id),
            created_at: NOW,
        };
        store.change(vec![Change::create(key.clone())]).await.unwrap();
        assert_eq!(store.key_by_secret(key.secret).await.unwrap(), Some(key.clone()));
        assert_eq!(store.keys(owner).await.unwrap(), std::slice::from_ref(&key));
        store.change(vec![Change::remove(key)]).await.unwrap();
        assert_eq!(store.keys(owner).await.unwrap(), []);
    }
    let tag = TagRow { tag: TagId::from_bytes([18; 16]), tenant, name: "vip".to_owned() };
    store.change(vec![Change::create(tag.clone())]).await.unwrap();
    let same_name = TagRow { tag: TagId::from_bytes([19; 16]), ..tag.clone() };
    assert_eq!(
        store.change(vec![Change::create(same_name)]).await,
        Err(StoreError::Exists { what: "name" })
    );
    assert_eq!(store.tags(tenant).await.unwrap(), std::slice::from_ref(&tag));
    store.change(vec![Change::remove(tag)]).await.unwrap();
    assert_eq!(store.tags(tenant).await.unwrap(), []);
}

pub(super) async fn a_password_link_is_used_once(store: &dyn Store) {
    let world = World::new(145);
    let World { tenant, agent, .. } = world;
    store.change(vec![Change::create(world.tenant_row())]).await.unwrap();
    let mut account = world.agent_row();
    account.email = Personal::new("forgot@example.test".to_owned());
    store.change(vec![Change::create(account)]).await.unwrap();
    let link = |n: u8| PasswordResetRow {
        tenant,
        agent,
        secret: world.secret(90 + n),
        created_at: NOW,
        expires_at: NOW.plus_ms(5),
    };
    let write = async |changes: &[&[Change]]| store.change(changes.concat()).await;
    let keep = async |n: u8| write(&[&[link(n).issue()]]).await.unwrap();
    let find = async |n: u8| store.password_reset_by_secret(link(n).secret).await.unwrap();
    let end = |tenant, n: u8| [PasswordResetRow { tenant, ..link(n) }.end()];
    let password = |text: &str| AgentRow::password(tenant, agent, Arc::from(text));
    keep(1).await;
    keep(2).await;
    assert_eq!((find(1).await, find(2).await), (None, Some(link(2))), "one for each agent");
    let refused = Err(StoreError::NotFound);
    assert_eq!(write(&[&end(tenant, 1), &password("old link")]).await, refused);
    assert_eq!(write(&[&end(World::new(144).tenant, 2), &password("stranger")]).await, refused);
    assert_eq!(find(2).await, Some(link(2)));
    assert_eq!(write(&[&end(tenant, 2), &password("new")]).await, Ok(()));
    assert_eq!(write(&[&end(tenant, 2), &password("twice")]).await, refused);
    let kept = store.agent(tenant, agent).await.unwrap().unwrap();
    assert_eq!(&*kept.password_hash, "new");

    keep(3).await;
    // All or nothing: what a later record of the batch refuses stays as it was.
    assert_eq!(write(&[&password("no"), &end(tenant, 9)]).await, refused);
    assert_eq!(find(3).await, Some(link(3)));
    write(&[&password("own")]).await.unwrap();
    assert_eq!(find(3).await, None, "an own change voids it");
    keep(4).await;
    store.delete_ended(NOW.plus_ms(4)).await.unwrap();
    assert_eq!(find(4).await, Some(link(4)));
    store.delete_ended(NOW.plus_ms(5)).await.unwrap();
    assert_eq!(find(4).await, None);
}

pub(super) async fn another_tenant_finds_nothing(store: &dyn Store) {
    let world = World::new(20);
    world.settle(store).await;
    store.change(vec![Change::create(world.agent_row())]).await.unwrap();
    store.write(vec![Write::Message(world.message(1, "ours"))]).await.unwrap();
    let stranger = World::new(21).tenant;
    let World { site, visitor, agent, conversation, .. } = world;
    let id = world.message(1, "ours").envelope().message();
    assert_eq!(store.room(stranger, conversation, 9).await.unwrap(), None);
    assert_eq!(store.conversation(stranger, conversation).await.unwrap(), None);
    assert_eq!(store.messages(stranger, conversation, Seq(0), None, 9).await.unwrap(), []);
    assert_eq!(store.message(stranger, conversation, id, Seq(0)).await.unwrap(), None);
    assert_eq!(store.visitor(stranger, visitor).await.unwrap(), None);
    let filters = [
        ConversationFilter { visitor: Some(visitor), ..ConversationFilter::default() },
        ConversationFilter { site: Some(site), ..ConversationFilter::default() },
        ConversationFilter::default(),
    ];
    for filter in filters {
        assert_eq!(store.conversations(stranger, &filter, page(9)).await.unwrap(), []);
    }
    let secret = world.secret(1);
    assert_eq!(store.visitor_by_secret(stranger, site, secret).await.unwrap(), None);
    assert_eq!(store.site(stranger, site).await.unwrap(), None);
    assert_eq!(store.agent(stranger, agent).await.unwrap(), None);
    let site_row = SiteRow { tenant: stranger, ..world.site_row() };
    assert_eq!(store.change(vec![site_row.change()]).await, Err(StoreError::NotFound));
    let agent_row = AgentRow { tenant: stranger, ..world.agent_row() };
    assert_eq!(store.change(vec![agent_row.change()]).await, Err(StoreError::NotFound));
    let mark = ReceiptRow {
        tenant: stranger,
        conversation,
        author: Author::Visitor,
        delivered: Seq(1),
        seen: Seq(1),
    };
    assert_eq!(store.write(vec![Write::Receipt(mark)]).await, Err(StoreError::NotFound));
}

pub(super) async fn a_label_gets_another_name(store: &dyn Store) {
    let world = World::new(29);
    let tag = |n: u8, name: &str| TagRow {
        tag: TagId::from_bytes([n; 16]),
        tenant: world.tenant,
        name: name.to_owned(),
    };
    let change = async |row: TagRow| store.change(vec![Change::update(row, &["name"])]).await;
    store.change(vec![Change::create(tag(91, "one"))]).await.unwrap();
    store.change(vec![Change::create(tag(92, "two"))]).await.unwrap();
    change(tag(91, "other")).await.unwrap();
    assert_eq!(store.tags(world.tenant).await.unwrap(), [tag(91, "other"), tag(92, "two")]);
    assert!(matches!(change(tag(91, "two")).await, Err(StoreError::Exists { .. })));
    assert_eq!(change(tag(93, "none")).await, Err(StoreError::NotFound));
    let foreign = TagRow { tenant: World::new(28).tenant, ..tag(91, "stolen") };
    assert_eq!(change(foreign).await, Err(StoreError::NotFound));
    assert_eq!(store.tags(world.tenant).await.unwrap(), [tag(91, "other"), tag(92, "two")]);
}

pub(super) async fn answers_are_kept(store: &dyn Store) {
    let tenant = World::new(23).tenant;
    let answer = async |key: &str| {
        let kept = store.idempotent_answer(tenant, key).await.unwrap();
        kept.map(|kept| (kept.request, kept.answer))
    };
    assert_eq!(answer("k1").await, None);
    let keep =
        async |key: &str, request: [u8; 32], answer: &[u8], at: UnixMillis, beside: &[Change]| {
            let answer = answer.to_vec();
            let row = AnswerRow { tenant, key: key.to_owned(), request, answer, at };
            store.change([beside, &[Change::create(row)]].concat()).await
        };
    keep("k1", [1; 32], b"answer", NOW, &[]).await.unwrap();
    // What was to be made once more is not made with it.
    let tag = TagRow { tag: TagId::from_bytes([9; 16]), tenant, name: "twice".to_owned() };
    let site = World::new(23).site_row();
    let again = [Change::create(tag), Change::create(site.clone())];
    let refused = keep("k1", [2; 32], b"other", NOW, &again).await;
    assert_eq!(refused, Err(StoreError::Exists { what: ANSWERED }));
    assert_eq!(store.tags(tenant).await.unwrap(), Vec::new());
    assert_eq!(store.site(tenant, site.site).await.unwrap(), None);
    assert_eq!(answer("k1").await, Some(([1; 32], b"answer".to_vec())), "the first one stays");
    let long_ago = UnixMillis(NOW.0 - 24 * 60 * 60 * 1_000);
    keep("k2", [1; 32], b"old", long_ago, &[]).await.unwrap();
    assert_eq!(answer("k2").await, None);
    keep("k2", [3; 32], b"new", NOW, &[]).await.unwrap();
    assert_eq!(
        answer("k2").await,
        Some(([3; 32], b"new".to_vec())),
        "in the place of one that is over"
    );
    store.idempotent_forget(UnixMillis(NOW.0 - 1)).await.unwrap();
    assert!(answer("k1").await.is_some());
    store.idempotent_forget(NOW).await.unwrap();
    assert_eq!(answer("k1").await, None);
}

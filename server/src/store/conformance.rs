//! What every store must do, as one suite; each implementation runs it in its own tests.
//!
//! Lives here: a small world of rows, and the promises of the port `Store` as functions that panic where
//! one is broken. Not here: what is particular to one engine (files, locks, full disks).

use std::sync::Arc;

use protocol::conversation::{Availability, ConversationState, Role};
use protocol::ids::{
    AgentId, ConversationId, InvitationId, KeyId, MessageId, SessionId, SiteId, SiteKey, TagId,
    TenantId, VisitorId,
};
use protocol::message::{Author, EventKind, Seq, Visibility};
use protocol::personal::Personal;
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};

use super::feed::kind;
use super::{
    ANSWERED, AgentRow, AnswerRow, ClockAct, ConversationFilter, ConversationRow,
    ConversationSearch, DRAFTS_MAX, DraftRow, FeedReaderRow, FieldRule, InvitationRow, KeyRow,
    MarkRow, MessagePage, Page, PasswordResetRow, Record, Refused, SearchOrder, SecretHash,
    SessionRow, Sight, SiteRow, SiteSettings, Store, StoreError, TagRow, TenantRow, VisitorRow,
    VisitorToken, Write, Wrote,
};
use crate::channel::Channel;
use crate::privacy::consent::NoticeHash;
use crate::privacy::envelope::{Content, Envelope, Flags, Parts, Placed, Tag};
use crate::privacy::gate::Reader;
use crate::privacy::policy::{Plan, PolicyVersion, Purposes, SiteTimeline, evaluate};
use crate::privacy::seal::{Bucket, Sealer, Subject};

/// A moment within the life of everything in these tests; the clock of a store under test stands here.
pub(crate) const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

/// Ids of one small Organization; `n` keeps several apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    pub(crate) tenant: TenantId,
    pub(crate) site: SiteId,
    pub(crate) visitor: VisitorId,
    pub(crate) agent: AgentId,
    pub(crate) conversation: ConversationId,
    n: u8,
}

impl World {
    pub(crate) fn new(n: u8) -> Self {
        Self {
            tenant: TenantId::from_bytes([n; 16]),
            site: SiteId::from_bytes([n; 16]),
            visitor: VisitorId::from_bytes([n; 16]),
            agent: AgentId::from_bytes([n; 16]),
            conversation: ConversationId::from_bytes([n; 16]),
            n,
        }
    }

    /// These ids, for messages in a conversation that was made elsewhere.
    pub(crate) fn of(
        (tenant, site): (TenantId, SiteId),
        (visitor, agent): (VisitorId, AgentId),
        conversation: ConversationId,
    ) -> Self {
        Self { tenant, site, visitor, agent, conversation, n: 0 }
    }

    /// The same Organization, another visitor with another conversation.
    pub(crate) fn with_visitor(self, m: u8) -> Self {
        let mut id = [self.n; 16];
        id[15] = m;
        Self {
            visitor: VisitorId::from_bytes(id),
            conversation: ConversationId::from_bytes(id),
            ..self
        }
    }

    pub(crate) fn timeline() -> SiteTimeline {
        SiteTimeline::new(UnixMillis(1_700_000_000_000), Plan::Enterprise)
    }

    pub(crate) fn tenant_row(&self) -> TenantRow {
        TenantRow {
            tenant: self.tenant,
            name: format!("Organization {}", self.n),
            privacy_contact: Personal::new(format!("privacy-{}@example.test", self.n)),
            created_at: NOW,
        }
    }

    pub(crate) fn site_row(&self) -> SiteRow {
        let mut settings = SiteSettings {
            origins: vec!["https://shop.example".to_owned()],
            ..SiteSettings::default()
        };
        settings.form.insert("email".to_owned(), FieldRule::Required);
        SiteRow {
            site: self.site,
            tenant: self.tenant,
            site_key: SiteKey::from_random([self.n; 16]),
            name: "Shop".to_owned(),
            timeline: Self::timeline(),
            settings,
            created_at: NOW,
        }
    }

    pub(crate) fn agent_row(&self) -> AgentRow {
        AgentRow {
            agent: self.agent,
            tenant: self.tenant,
            name: Personal::new("Grace".to_owned()),
            email: Personal::new("Grace@Example.test".to_owned()),
            role: Role::Admin,
            active: true,
            capacity: 4,
            availability: Availability::Away,
            password_hash: Arc::from("$argon2id$v=19$m=1$c2FsdA$aGFzaA"),
            created_at: NOW,
        }
    }

    pub(crate) fn visitor_row(&self) -> VisitorRow {
        VisitorRow {
            visitor: self.visitor,
            tenant: self.tenant,
            site: self.site,
            name: Some(Personal::new("Ada".to_owned())),
            email: Some(Personal::new("ada@example.test".to_owned())),
            locale: "de-DE".to_owned(),
            contact_day: NOW.day(),
            secret: self.secret(1),
            secret_before: Some((self.secret(2), NOW)),
            secret_expires_at: NOW.plus_ms(1_000),
            created_at: NOW,
        }
    }

    pub(crate) fn conversation_row(&self) -> ConversationRow {
        ConversationRow {
            conversation: self.conversation,
            tenant: self.tenant,
            site: self.site,
            visitor: self.visitor,
            version: 1,
            state: ConversationState::Queued,
            assignee: None,
            channel: Channel::Widget,
            agents: vec![self.agent],
            tags: vec![TagId::from_bytes([1; 16]), TagId::from_bytes([2; 16])],
            form: vec![("order".to_owned(), Personal::new("4711".to_owned()))],
            page_url: Some(Personal::new("https://shop.example/basket".to_owned())),
            page_title: Some(Personal::new("Your basket".to_owned())),
            notice: Some(NoticeHash([7; 32])),
            locale: "de-DE".to_owned(),
            created_at: NOW,
            waiting_since: Some(NOW),
            closed_at: None,
        }
    }

    /// A message as it comes from a room; its expiry is what the site's plan says.
    pub(crate) fn message_on(&self, seq: u64, text: &str, day: Day) -> Arc<Placed> {
        let mut id = [self.n; 16];
        id[..8].copy_from_slice(&seq.to_be_bytes());
        self.message_with(seq, id, Content::Text(Personal::new(text.to_owned())), day)
    }

    pub(crate) fn message(&self, seq: u64, text: &str) -> Arc<Placed> {
        self.message_on(seq, text, NOW.day())
    }

    /// A message for the same place from one of several who want it.
    pub(crate) fn message_of(&self, seq: u64, own: u8) -> Arc<Placed> {
        let mut id = [own; 16];
        id[..8].copy_from_slice(&seq.to_be_bytes());
        let text = Personal::new(format!("line {seq} of {own}"));
        self.message_with(seq, id, Content::Text(text), NOW.day())
    }

    /// A message of this kind, with a note of its own to be told by.
    pub(crate) fn line(&self, seq: u64, kind: Line, day: Day) -> Arc<Placed> {
        let mut id = [self.n; 16];
        id[..8].copy_from_slice(&seq.to_be_bytes());
        let content = match kind {
            Line::System => Content::Event { event: EventKind::Assigned, agent: Some(self.agent) },
            Line::Words | Line::Note => Content::Text(Personal::new(format!("line {seq}"))),
        };
        let (author, visibility) = match kind {
            Line::Words => (Author::Visitor, Visibility::Everyone),
            Line::Note => (Author::Agent(self.agent), Visibility::Agents),
            Line::System => (Author::System, Visibility::Everyone),
        };
        let parts = self.parts(id, content, day);
        let parts = Parts { author, visibility, seen_seq: Seq(seq - 1), ..parts };
        Arc::new(Envelope::restore(parts).place(Seq(seq)))
    }

    fn message_with(&self, seq: u64, id: [u8; 16], content: Content, day: Day) -> Arc<Placed> {
        let parts = Parts { seen_seq: Seq(seq - 1), ..self.parts(id, content, day) };
        Arc::new(Envelope::restore(parts).place(Seq(seq)))
    }

    fn parts(&self, id: [u8; 16], content: Content, day: Day) -> Parts {
        let class = RetentionClass::Transcript;
        let tag = Tag {
            tenant: self.tenant,
            site: self.site,
            subject: self.visitor,
            class,
            purposes: Purposes(Purposes::RESPOND | Purposes::CONTRACT),
            flags: Flags(Flags::DNT),
            policy_version: PolicyVersion(1),
            ingest_day: day,
            expires: evaluate(&Self::timeline(), class, day, NOW.day()).expires,
        };
        Parts {
            tag,
            conversation: self.conversation,
            message: MessageId::from_bytes(id),
            author: Author::Visitor,
            visibility: Visibility::Everyone,
            at: day.start(),
            seen_seq: Seq(0),
            content,
        }
    }

    pub(crate) fn secret(&self, m: u8) -> SecretHash {
        let mut hash = [m; 32];
        hash[0] = self.n;
        hash[1..17].copy_from_slice(self.visitor.as_bytes());
        SecretHash(hash)
    }

    /// Writes Organization, site, visitor and conversation.
    pub(crate) async fn settle(&self, store: &dyn Store) {
        store.tenant_create(self.tenant_row()).await.unwrap();
        store.site_create(self.site_row()).await.unwrap();
        self.begin(store).await;
    }

    /// Writes visitor and conversation.
    pub(crate) async fn begin(&self, store: &dyn Store) {
        store
            .write(vec![
                Write::Visitor(Box::new(self.visitor_row())),
                Write::Conversation(Box::new(self.conversation_row())),
            ])
            .await
            .unwrap();
    }
}

/// What kind of line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Words,
    Note,
    System,
}

fn page<Id>(limit: u16) -> Page<Id> {
    Page { limit, after: None }
}

/// Runs everything on an empty store whose clock stands at [`NOW`].
pub(crate) async fn all(store: &dyn Store, sealer: &dyn Sealer) {
    messages_come_back_as_they_went_in(store).await;
    a_taken_place_is_told_and_a_resend_is_not(store).await;
    headers_only_grow(store).await;
    a_batch_is_stored_whole_or_not_at_all(store).await;
    a_floor_outlives_the_messages_that_were_not_stored(store).await;
    visitors_are_found_by_either_token(store).await;
    marks_and_drafts_stay(store).await;
    accounts_come_back_as_they_went_in(store).await;
    sessions_invitations_keys_and_tags_come_and_go(store).await;
    a_password_link_is_used_once(store).await;
    another_tenant_finds_nothing(store).await;
    lists_have_pages(store).await;
    conversations_are_searched_by_label_and_time(store).await;
    what_changed_is_found_in_its_order_and_nothing_is_missed(store).await;
    a_label_gets_another_name(store).await;
    every_filter_lists_what_passes(store).await;
    pages_are_of_what_their_reader_may_see(store).await;
    a_room_knows_what_is_below_its_tail(store).await;
    lists_show_what_is_newest(store).await;
    an_id_is_found_wherever_it_stands(store).await;
    of_many_drafts_the_newest_are_read(store).await;
    a_place_in_another_tenants_list_says_nothing(store).await;
    what_is_over_is_deleted_and_the_rest_stays(store).await;
    answers_are_kept(store).await;
    fates_come_in_order(store).await;
    the_latest_time_never_goes_back(store).await;
    what_is_destroyed_is_gone(store, sealer).await;
    an_erased_agent_is_one_without_a_name(store, sealer).await;
    nothing_is_left_of_an_erased_visitor(store, sealer).await;
    the_feed_has_what_changed_in_its_order(store).await;
    the_mark_goes_back_only_by_an_operators_word(store).await;
    a_batch_answers_for_each_of_its_writes(store).await;
}

async fn a_batch_answers_for_each_of_its_writes(store: &dyn Store) {
    let world = World::new(91);
    world.settle(store).await;
    let tag = |n, name: &str| {
        let tag = TagId::from_bytes([n; 16]);
        let row = TagRow { tag, tenant: world.tenant, name: name.to_owned() };
        Write::Record(Box::new(Record::Tag(row)))
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

async fn messages_come_back_as_they_went_in(store: &dyn Store) {
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

async fn a_taken_place_is_told_and_a_resend_is_not(store: &dyn Store) {
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
        Err(StoreError::PlaceTaken { seq_last: Seq(5) })
    );
    let read = store.messages(world.tenant, world.conversation, Seq(0), None, 9).await.unwrap();
    assert_eq!(read, [first]);
    let nowhere = World::new(12).message(1, "no conversation");
    assert_eq!(store.write(vec![Write::Message(nowhere)]).await, Err(StoreError::NotFound));
}

async fn headers_only_grow(store: &dyn Store) {
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

async fn a_batch_is_stored_whole_or_not_at_all(store: &dyn Store) {
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
    assert_eq!(outcome, Err(StoreError::PlaceTaken { seq_last: Seq(2) }));
    let room = store.room(world.tenant, world.conversation, 9).await.unwrap().unwrap();
    assert_eq!((room.seq_last, room.header.version), (Seq(1), 1));
    store.write(vec![Write::Message(world.message(2, "two"))]).await.unwrap();
}

async fn a_floor_outlives_the_messages_that_were_not_stored(store: &dyn Store) {
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

async fn visitors_are_found_by_either_token(store: &dyn Store) {
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

async fn marks_and_drafts_stay(store: &dyn Store) {
    let world = World::new(17);
    world.settle(store).await;
    let World { tenant, conversation, agent, .. } = world;
    let mark = |author, delivered, seen| MarkRow {
        tenant,
        conversation,
        author,
        delivered: Seq(delivered),
        seen: Seq(seen),
    };
    for row in
        [mark(Author::Visitor, 4, 3), mark(Author::Agent(agent), 2, 2), mark(Author::Visitor, 2, 5)]
    {
        store.write(vec![Write::Mark(row)]).await.unwrap();
    }
    let mut marks = store.room(tenant, conversation, 1).await.unwrap().unwrap().marks;
    marks.sort_by_key(|mark| mark.author.agent());
    assert_eq!(marks, [mark(Author::Visitor, 4, 5), mark(Author::Agent(agent), 2, 2)]);
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

async fn accounts_come_back_as_they_went_in(store: &dyn Store) {
    let world = World::new(18);
    world.settle(store).await;
    let World { tenant, site, agent, .. } = world;
    assert_eq!(store.tenant(tenant).await.unwrap(), Some(world.tenant_row()));
    assert!(matches!(
        store.tenant_create(world.tenant_row()).await,
        Err(StoreError::Exists { .. })
    ));
    let mut row = world.site_row();
    assert_eq!(store.site_by_key(&row.site_key).await.unwrap(), Some(row.clone()));
    row.name = "Another name".to_owned();
    row.timeline.push(NOW, crate::privacy::policy::SiteEvent::Closed);
    store.site_update(row.clone()).await.unwrap();
    assert_eq!(store.site(tenant, site).await.unwrap(), Some(row.clone()));
    assert_eq!(store.site_of_any_tenant(site).await.unwrap(), Some(row));

    let mut account = world.agent_row();
    store.agent_create(account.clone()).await.unwrap();
    let mut twin = account.clone();
    twin.agent = AgentId::from_bytes([200; 16]);
    twin.email = Personal::new(" grace@EXAMPLE.test".to_owned());
    assert_eq!(store.agent_create(twin).await, Err(StoreError::Exists { what: "email" }));
    let chosen = store.agent_availability(tenant, agent, Availability::Available, Some(7)).await;
    chosen.unwrap();
    let password_hash: Arc<str> = Arc::from("$argon2id$v=19$m=1$c2FsdA$b3RoZXI");
    store.agent_password(tenant, agent, Arc::clone(&password_hash)).await.unwrap();
    account.active = false;
    account.email = Personal::new("new@example.test".to_owned());
    store.agent_update(account.clone()).await.unwrap();
    account.availability = Availability::Available;
    account.password_hash = password_hash;
    assert_eq!(
        store.agent(tenant, agent).await.unwrap(),
        Some(account.clone()),
        "an update leaves what they chose themselves, and takes the capacity that it has"
    );
    let late = store.agent_availability(tenant, agent, Availability::Away, None).await;
    assert_eq!(late, Err(StoreError::NotFound), "a deactivated agent chooses nothing");
    let stranger = World::new(41).tenant;
    let foreign = store.agent_availability(stranger, agent, Availability::Away, None).await;
    assert_eq!(foreign, Err(StoreError::NotFound));
    let foreign = store.agent_password(stranger, agent, Arc::from("none")).await;
    assert_eq!(foreign, Err(StoreError::NotFound));
    assert_eq!(store.agent(tenant, agent).await.unwrap(), Some(account.clone()));
    let spelled = Personal::new("NEW@example.test ".to_owned());
    assert_eq!(store.agents_by_email(&spelled).await.unwrap(), [account.clone()]);
    assert_eq!(store.agents(tenant, page(9)).await.unwrap(), [account]);
}

async fn an_erased_agent_is_one_without_a_name(store: &dyn Store, sealer: &dyn Sealer) {
    let world = World::new(31);
    let tenant = world.tenant;
    store.tenant_create(world.tenant_row()).await.unwrap();
    let agent = |n: u8| {
        let mut row = world.agent_row();
        row.agent = AgentId::from_bytes([n; 16]);
        row.email = Personal::new(format!("erased{n}@example.test"));
        row
    };
    for n in 1..=3 {
        store.agent_create(agent(n)).await.unwrap();
    }
    let gone = agent(2);
    let by_email = async || store.agents_by_email(&gone.email).await.unwrap();
    assert_eq!(by_email().await, [agent(2)]);
    sealer.destroy_subject(tenant, Subject::Agent(gone.agent)).unwrap();
    for cleared in [false, true] {
        if cleared {
            store.agent_forget(tenant, gone.agent).await.unwrap();
        }
        let listed = store.agents(tenant, page(9)).await.unwrap();
        assert_eq!(listed.len(), 3, "a page is not cut short by them");
        let row = store.agent(tenant, gone.agent).await.unwrap().unwrap();
        assert_eq!(listed[1], row);
        let nothing = (row.name.expose().len(), row.email.expose().len(), row.password_hash.len());
        assert_eq!((nothing, row.active), ((0, 0, 0), false));
        assert_eq!(by_email().await, []);
        assert_eq!(store.agent_update(gone.clone()).await, Err(StoreError::NotFound));
    }
    // Their address is free again: nothing in the file knows it any more.
    let mut again = agent(4);
    again.email = gone.email.clone();
    store.agent_create(again.clone()).await.unwrap();
    assert_eq!(by_email().await, [again]);
}

async fn nothing_is_left_of_an_erased_visitor(store: &dyn Store, sealer: &dyn Sealer) {
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
    assert_eq!((room.tail.len(), room.seq_last), (0, Seq(5)), "places are not given again");
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

async fn sessions_invitations_keys_and_tags_come_and_go(store: &dyn Store) {
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
    store.session_create(session.clone()).await.unwrap();
    assert_eq!(store.session_by_secret(session.secret).await.unwrap(), Some(session.clone()));
    assert_eq!(store.sessions(tenant, agent).await.unwrap(), std::slice::from_ref(&session));
    store.session_delete(tenant, agent, session.session).await.unwrap();
    assert_eq!(
        store.session_delete(tenant, agent, session.session).await,
        Err(StoreError::NotFound)
    );

    let invitation = InvitationRow {
        invitation: InvitationId::from_bytes([18; 16]),
        tenant,
        email: Personal::new("linus@example.test".to_owned()),
        role: Role::Supervisor,
        secret: world.secret(6),
        created_at: NOW,
        expires_at: NOW.plus_ms(5),
    };
    store.invitation_create(invitation.clone()).await.unwrap();
    let found = store.invitation_by_secret(invitation.secret).await.unwrap();
    assert_eq!(found, Some(invitation.clone()));
    assert_eq!(store.invitations(tenant).await.unwrap(), std::slice::from_ref(&invitation));
    store.invitation_delete(tenant, invitation.invitation).await.unwrap();
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
        store.key_create(key.clone()).await.unwrap();
        assert_eq!(store.key_by_secret(key.secret).await.unwrap(), Some(key.clone()));
        assert_eq!(store.keys(owner).await.unwrap(), std::slice::from_ref(&key));
        store.key_delete(owner, key.key).await.unwrap();
        assert_eq!(store.keys(owner).await.unwrap(), []);
    }
    let tag = TagRow { tag: TagId::from_bytes([18; 16]), tenant, name: "vip".to_owned() };
    store.tag_create(tag.clone()).await.unwrap();
    let same_name = TagRow { tag: TagId::from_bytes([19; 16]), ..tag.clone() };
    assert_eq!(store.tag_create(same_name).await, Err(StoreError::Exists { what: "name" }));
    assert_eq!(store.tags(tenant).await.unwrap(), std::slice::from_ref(&tag));
    store.tag_delete(tenant, tag.tag).await.unwrap();
    assert_eq!(store.tags(tenant).await.unwrap(), []);
}

async fn a_password_link_is_used_once(store: &dyn Store) {
    let world = World::new(145);
    let World { tenant, agent, .. } = world;
    store.tenant_create(world.tenant_row()).await.unwrap();
    let mut account = world.agent_row();
    account.email = Personal::new("forgot@example.test".to_owned());
    store.agent_create(account).await.unwrap();
    let link = |n: u8| PasswordResetRow {
        tenant,
        agent,
        secret: world.secret(90 + n),
        created_at: NOW,
        expires_at: NOW.plus_ms(5),
    };
    let write = async |records: &[Record]| {
        let writes = records.iter().map(|record| Write::Record(Box::new(record.clone())));
        store.write(writes.collect()).await
    };
    let keep = async |n: u8| write(&[Record::PasswordReset(link(n))]).await.unwrap();
    let find = async |n: u8| store.password_reset_by_secret(link(n).secret).await.unwrap();
    let end = |tenant, n: u8| Record::PasswordResetEnd { tenant, agent, secret: link(n).secret };
    let password = |text: &str| Record::Password { tenant, agent, password_hash: Arc::from(text) };
    keep(1).await;
    keep(2).await;
    assert_eq!((find(1).await, find(2).await), (None, Some(link(2))), "one for each agent");
    let refused = Err(StoreError::NotFound);
    assert_eq!(write(&[end(tenant, 1), password("old link")]).await, refused);
    assert_eq!(write(&[end(World::new(144).tenant, 2), password("stranger")]).await, refused);
    assert_eq!(find(2).await, Some(link(2)));
    assert_eq!(write(&[end(tenant, 2), password("new")]).await, Ok(()));
    assert_eq!(write(&[end(tenant, 2), password("twice")]).await, refused);
    let kept = store.agent(tenant, agent).await.unwrap().unwrap();
    assert_eq!(&*kept.password_hash, "new");

    keep(3).await;
    // All or nothing: what a later record of the batch refuses stays as it was.
    assert_eq!(write(&[password("no"), end(tenant, 9)]).await, refused);
    assert_eq!(find(3).await, Some(link(3)));
    write(&[password("own")]).await.unwrap();
    assert_eq!(find(3).await, None, "an own change voids it");
    keep(4).await;
    store.delete_ended(NOW.plus_ms(4)).await.unwrap();
    assert_eq!(find(4).await, Some(link(4)));
    store.delete_ended(NOW.plus_ms(5)).await.unwrap();
    assert_eq!(find(4).await, None);
}

async fn another_tenant_finds_nothing(store: &dyn Store) {
    let world = World::new(20);
    world.settle(store).await;
    store.agent_create(world.agent_row()).await.unwrap();
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
    assert_eq!(store.site_update(site_row).await, Err(StoreError::NotFound));
    let agent_row = AgentRow { tenant: stranger, ..world.agent_row() };
    assert_eq!(store.agent_update(agent_row).await, Err(StoreError::NotFound));
    let mark = MarkRow {
        tenant: stranger,
        conversation,
        author: Author::Visitor,
        delivered: Seq(1),
        seen: Seq(1),
    };
    assert_eq!(store.write(vec![Write::Mark(mark)]).await, Err(StoreError::NotFound));
}

/// Walks all pages of a search.
async fn found(
    store: &dyn Store,
    tenant: TenantId,
    mut search: ConversationSearch,
    limit: u16,
) -> Vec<ConversationId> {
    let mut seen = Vec::new();
    loop {
        let page = store.search(tenant, &search, limit).await.unwrap();
        assert!(page.rows.len() <= usize::from(limit));
        seen.extend(page.rows.iter().map(|row| row.conversation));
        let Some(next) = page.next else { return seen };
        search.order = match search.order {
            SearchOrder::Newest(_) => SearchOrder::Newest(Some(next)),
            SearchOrder::Changed(_) => SearchOrder::Changed(next),
        };
    }
}

/// A world with five conversations, one a millisecond; those of an even number have the label.
async fn five(n: u8, store: &dyn Store) -> World {
    let world = World::new(n);
    world.settle(store).await;
    for n in 1..=5 {
        let (visitor, row) = (world.with_visitor(n).visitor_row(), one_of_five(&world, n));
        let visitor = Write::Visitor(Box::new(visitor));
        store.write(vec![visitor, Write::Conversation(Box::new(row))]).await.unwrap();
    }
    world
}

fn one_of_five(world: &World, n: u8) -> ConversationRow {
    let mut row = world.with_visitor(n).conversation_row();
    row.created_at = NOW.plus_ms(u64::from(n));
    row.tags = if n.is_multiple_of(2) { vec![LABEL] } else { Vec::new() };
    row
}

const LABEL: TagId = TagId::from_bytes([77; 16]);

fn any_conversation() -> ConversationSearch {
    ConversationSearch {
        filter: ConversationFilter::default(),
        tag: None,
        created_after: None,
        created_before: None,
        order: SearchOrder::Newest(None),
    }
}

async fn conversations_are_searched_by_label_and_time(store: &dyn Store) {
    let world = five(27, store).await;
    let tenant = world.tenant;
    let any = any_conversation();
    let ids = |numbers: &[u8]| {
        numbers.iter().map(|n| world.with_visitor(*n).conversation).collect::<Vec<_>>()
    };
    for limit in [1, 2, 99] {
        // The newest first; its own conversation is of the world's beginning.
        let all = found(store, tenant, any.clone(), limit).await;
        assert_eq!(all[..5], ids(&[5, 4, 3, 2, 1]), "{limit}");
        let between = ConversationSearch {
            created_after: Some(NOW.plus_ms(1)),
            created_before: Some(NOW.plus_ms(5)),
            ..any.clone()
        };
        assert_eq!(found(store, tenant, between.clone(), limit).await, ids(&[4, 3, 2]));
        let labelled = ConversationSearch { tag: Some(LABEL), ..any.clone() };
        assert_eq!(found(store, tenant, labelled, limit).await, ids(&[4, 2]));
        let both = ConversationSearch {
            tag: Some(LABEL),
            created_before: Some(NOW.plus_ms(4)),
            ..between
        };
        assert_eq!(found(store, tenant, both, limit).await, ids(&[2]));
        let never =
            ConversationSearch { created_after: Some(UnixMillis(u64::MAX / 2)), ..any.clone() };
        assert!(found(store, tenant, never, limit).await.is_empty());
        let other = World::new(28).tenant;
        assert!(found(store, other, any.clone(), limit).await.is_empty());
    }
}

async fn what_changed_is_found_in_its_order_and_nothing_is_missed(store: &dyn Store) {
    let world = five(42, store).await;
    let tenant = world.tenant;
    let any = any_conversation();
    let ids = |numbers: &[u8]| {
        numbers.iter().map(|n| world.with_visitor(*n).conversation).collect::<Vec<_>>()
    };
    let id = |n: u8| world.with_visitor(n).conversation;
    let begin = (UnixMillis(0), ConversationId::from_bytes([0; 16]));
    let changed = |after| ConversationSearch { order: SearchOrder::Changed(after), ..any.clone() };
    let before = found(store, tenant, changed(begin), 2).await;
    assert_eq!(before[before.len() - 5..], ids(&[1, 2, 3, 4, 5]));
    let newest = store.changed_at(tenant, id(5)).await.unwrap().unwrap();
    assert_eq!(store.changed_at(World::new(28).tenant, id(5)).await.unwrap(), None);
    let since = (newest, ConversationId::from_bytes([0xff; 16]));
    assert!(found(store, tenant, changed(since), 9).await.is_empty());
    // A new version, a label off and another on, and words; in whichever order, the later comes later.
    let mut row = one_of_five(&world, 2);
    (row.version, row.tags) = (2, Vec::new());
    store.write(vec![Write::Conversation(Box::new(row))]).await.unwrap();
    let third = world.with_visitor(3);
    store.write(vec![Write::Message(third.message(1, "words"))]).await.unwrap();
    let mut row = one_of_five(&world, 1);
    (row.version, row.tags) = (2, vec![LABEL]);
    store.write(vec![Write::Conversation(Box::new(row))]).await.unwrap();
    let mut after = found(store, tenant, changed(since), 1).await;
    // Words may be listed with the batch behind them.
    assert!(after.iter().position(|of| *of == id(2)) < after.iter().position(|of| *of == id(1)));
    after.sort_unstable();
    let mut expected = ids(&[1, 2, 3]);
    expected.sort_unstable();
    assert_eq!(after, expected);
    let labelled = ConversationSearch { tag: Some(LABEL), ..any.clone() };
    assert_eq!(found(store, tenant, labelled.clone(), 9).await, ids(&[4, 1]));
    // An older version changes nothing.
    let row = one_of_five(&world, 1);
    let latest = store.changed_at(tenant, id(1)).await.unwrap();
    store.write(vec![Write::Conversation(Box::new(row))]).await.unwrap();
    assert_eq!(store.changed_at(tenant, id(1)).await.unwrap(), latest);
    assert_eq!(found(store, tenant, labelled, 9).await, ids(&[4, 1]));
    let filter =
        ConversationFilter { visitor: Some(world.with_visitor(3).visitor), ..any.filter.clone() };
    let theirs = ConversationSearch { filter, ..changed(begin) };
    assert_eq!(found(store, tenant, theirs, 9).await, ids(&[3]));
}

async fn a_label_gets_another_name(store: &dyn Store) {
    let world = World::new(29);
    let tag = |n: u8, name: &str| TagRow {
        tag: TagId::from_bytes([n; 16]),
        tenant: world.tenant,
        name: name.to_owned(),
    };
    let change = async |row: TagRow| {
        store.write(vec![Write::Record(Box::new(Record::TagChange(row)))]).await
    };
    store.tag_create(tag(91, "one")).await.unwrap();
    store.tag_create(tag(92, "two")).await.unwrap();
    change(tag(91, "other")).await.unwrap();
    assert_eq!(store.tags(world.tenant).await.unwrap(), [tag(91, "other"), tag(92, "two")]);
    assert!(matches!(change(tag(91, "two")).await, Err(StoreError::Exists { .. })));
    assert_eq!(change(tag(93, "none")).await, Err(StoreError::NotFound));
    let foreign = TagRow { tenant: World::new(28).tenant, ..tag(91, "stolen") };
    assert_eq!(change(foreign).await, Err(StoreError::NotFound));
    assert_eq!(store.tags(world.tenant).await.unwrap(), [tag(91, "other"), tag(92, "two")]);
}

async fn lists_have_pages(store: &dyn Store) {
    let world = World::new(22);
    world.settle(store).await;
    let tenant = world.tenant;
    let mut expected = vec![world.conversation];
    for m in 1..=6 {
        let next = world.with_visitor(m);
        let mut row = next.conversation_row();
        row.created_at = NOW.plus_ms(u64::from(m));
        if m % 2 == 0 {
            row.state = ConversationState::Closed;
        }
        store
            .write(vec![
                Write::Visitor(Box::new(next.visitor_row())),
                Write::Conversation(Box::new(row)),
            ])
            .await
            .unwrap();
        expected.insert(0, next.conversation);
    }
    let everything = ConversationFilter::default();
    let mut seen = Vec::new();
    let mut at = Page { limit: 3, after: None };
    loop {
        let rows = store.conversations(tenant, &everything, at).await.unwrap();
        let Some(last) = rows.last() else { break };
        at.after = Some(last.conversation);
        seen.extend(rows.iter().map(|row| row.conversation));
    }
    assert_eq!(seen, expected, "newest first, each once");
    let live = ConversationFilter { live: true, ..ConversationFilter::default() };
    assert_eq!(store.conversations(tenant, &live, page(99)).await.unwrap().len(), 4);
    let closed = ConversationFilter {
        state: Some(ConversationState::Closed),
        site: Some(world.site),
        ..ConversationFilter::default()
    };
    assert_eq!(store.conversations(tenant, &closed, page(99)).await.unwrap().len(), 3);
    let one = ConversationFilter {
        visitor: Some(world.with_visitor(3).visitor),
        ..ConversationFilter::default()
    };
    assert_eq!(store.conversations(tenant, &one, page(99)).await.unwrap().len(), 1);
    let all_live = store.conversations_live().await.unwrap();
    assert!(all_live.is_sorted_by_key(|row| (row.created_at, row.conversation)));
    assert!(all_live.iter().all(|row| row.state != ConversationState::Closed));
    assert_eq!(all_live.iter().filter(|row| row.tenant == tenant).count(), 4);

    let mut visitors = Vec::new();
    let mut at = Page { limit: 2, after: None };
    loop {
        let rows = store.visitors(tenant, at).await.unwrap();
        let Some(last) = rows.last() else { break };
        at.after = Some(last.visitor);
        visitors.extend(rows.iter().map(|row| row.visitor));
    }
    visitors.sort_unstable();
    visitors.dedup();
    assert_eq!(visitors.len(), 7);
    let tenants = store.tenants(page(2)).await.unwrap();
    let rest = Page { limit: 99, after: tenants.last().map(|row| row.tenant) };
    let rest = store.tenants(rest).await.unwrap();
    assert!(rest.iter().any(|row| row.tenant == tenant));
    assert!(!rest.iter().any(|row| row.tenant == tenants[0].tenant));
    assert_eq!(store.sites(tenant, page(9)).await.unwrap(), [world.site_row()]);
}

/// Steps of a pattern without a pattern.
fn scatter(n: u64) -> u64 {
    (n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 33
}

#[expect(clippy::too_many_lines, reason = "one filter after the other")]
async fn every_filter_lists_what_passes(store: &dyn Store) {
    let world = World::new(61);
    world.settle(store).await;
    let tenant = world.tenant;
    let id = |kind: u8, n: u64| {
        let mut id = [61; 16];
        (id[0], id[1]) = (kind, u8::try_from(n).unwrap());
        id
    };
    let site = |n| SiteId::from_bytes(id(1, n));
    let agent = |n| AgentId::from_bytes(id(2, n));
    let visitor = |n| VisitorId::from_bytes(id(3, n));
    let states = [
        ConversationState::Queued,
        ConversationState::Offered,
        ConversationState::Active,
        ConversationState::Snoozed,
        ConversationState::Closed,
    ];
    let mut rows = vec![world.conversation_row()];
    for n in 0..120 {
        let mut row = world.conversation_row();
        row.conversation = ConversationId::from_bytes(id(4, n));
        // A visitor is one site's.
        let who = scatter(n) % 6;
        (row.visitor, row.site) = (visitor(who), site(who % 2));
        row.created_at = NOW.plus_ms(scatter(n + 1_000) % 40);
        row.state = ConversationState::Queued;
        store.write(vec![Write::Conversation(Box::new(row.clone()))]).await.unwrap();
        // It has been in other lists before.
        row.version = 2;
        row.state = states[usize::try_from(scatter(n + 2_000) % 5).unwrap()];
        row.assignee =
            (!scatter(n + 3_000).is_multiple_of(4)).then(|| agent(scatter(n + 4_000) % 3));
        store.write(vec![Write::Conversation(Box::new(row.clone()))]).await.unwrap();
        rows.push(row);
    }
    rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.conversation)));
    let passes = |row: &&ConversationRow, filter: &ConversationFilter| {
        filter.state.is_none_or(|state| row.state == state)
            && !(filter.live && row.state == ConversationState::Closed)
            && filter.site.is_none_or(|site| row.site == site)
            && filter.visitor.is_none_or(|visitor| row.visitor == visitor)
            && filter.assignee.is_none_or(|agent| row.assignee == Some(agent))
    };
    for state in [None, Some(states[0]), Some(states[4])] {
        for site in [None, Some(site(0)), Some(site(7))] {
            for visitor in [None, Some(visitor(2)), Some(visitor(3))] {
                for assignee in [None, Some(agent(1)), Some(agent(9))] {
                    for live in [false, true] {
                        let filter = ConversationFilter { state, live, site, visitor, assignee };
                        let expected: Vec<_> = rows
                            .iter()
                            .filter(|row| passes(row, &filter))
                            .map(|row| row.conversation)
                            .collect();
                        let mut listed = Vec::new();
                        let mut at = Page { limit: 7, after: None };
                        loop {
                            let page = store.conversations(tenant, &filter, at).await.unwrap();
                            let Some(last) = page.last() else { break };
                            at.after = Some(last.conversation);
                            let left = expected.len() - listed.len();
                            assert_eq!(page.len(), left.min(7), "a page is full: {filter:?}");
                            listed.extend(page.iter().map(|row| row.conversation));
                        }
                        assert_eq!(listed, expected, "{filter:?}");
                    }
                }
            }
        }
    }
}

/// Which kind of line stands at a place of the conversation that pages are read of: runs long and short, and some
/// places without a message.
pub(crate) fn kind_at(seq: u64) -> Option<Line> {
    match seq {
        1..=20 => Some(Line::Words),
        21..=120 => Some(Line::Note),
        121..=123 => Some(Line::Words),
        124..=190 => Some(Line::System),
        191..=400 if seq.is_multiple_of(7) => None,
        191..=400 => Some(
            [Line::Words, Line::Note, Line::System][usize::try_from(scatter(seq) % 3).unwrap()],
        ),
        401..=470 => Some(Line::Note),
        _ => None,
    }
}

/// The last place of it.
const PAGED_TO: u64 = 470;

/// Lines up to here came long before the others.
const OLD_TO: u64 = 30;

fn old_day() -> Day {
    Day(NOW.day().0 - 500)
}

/// A day on which only those can no longer be read.
fn later_day() -> Day {
    Day(NOW.day().0 + 700)
}

/// All that a sight sees of it, in order.
fn all_of(sight: Sight) -> Vec<Seq> {
    let (Sight::Shown(_, day) | Sight::Words(day) | Sight::Said(day)) = sight;
    let sees = |seq: &u64| {
        let alive = day != later_day() || *seq > OLD_TO;
        let kind = kind_at(*seq);
        let kind_shown = kind.is_some_and(|kind| match sight {
            Sight::Shown(Reader::Agents, _) => true,
            Sight::Shown(Reader::Visitor, _) => kind != Line::Note,
            Sight::Words(_) => kind == Line::Words,
            Sight::Said(_) => kind != Line::System,
        });
        alive && kind_shown
    };
    (1..=PAGED_TO).filter(sees).map(Seq).collect()
}

/// Pages in every sight and range say what a walk over all lines says.
pub(crate) async fn paged_well(store: &dyn Store, world: &World) {
    let World { tenant, conversation, .. } = *world;
    for day in [NOW.day(), later_day()] {
        for sight in [
            Sight::Shown(Reader::Agents, day),
            Sight::Shown(Reader::Visitor, day),
            Sight::Words(day),
            Sight::Said(day),
        ] {
            let all = all_of(sight);
            for before in
                [None, Some(1), Some(2), Some(40), Some(120), Some(180), Some(300), Some(471)]
            {
                for after in [0, 1, 25, 118, 125, 460, 900] {
                    for limit in [1, 3, 50] {
                        let (after, before) = (Seq(after), before.map(Seq));
                        let of = (tenant, conversation);
                        let page = store.page(of.0, of.1, sight, (after, before), limit).await;
                        let page = page.unwrap();
                        let within: Vec<_> = all
                            .iter()
                            .copied()
                            .filter(|seq| *seq > after && before.is_none_or(|before| *seq < before))
                            .collect();
                        let from = within.len().saturating_sub(usize::from(limit));
                        let seqs: Vec<_> = page.messages.iter().map(|row| row.seq()).collect();
                        let asked = format!("{sight:?} {after:?} {before:?} {limit}");
                        assert_eq!(seqs, within[from..], "{asked}");
                        assert_eq!(page.more, from > 0, "whether there are earlier ones: {asked}");
                    }
                }
            }
        }
    }
    let stranger = World::new(21).tenant;
    let sight = Sight::Shown(Reader::Agents, NOW.day());
    let page = store.page(stranger, conversation, sight, (Seq(0), None), 9).await.unwrap();
    assert_eq!(page, MessagePage::default());
}

/// Writes the conversation that pages are read of.
pub(crate) async fn write_lines(store: &dyn Store, world: &World) {
    for seq in 1..=PAGED_TO {
        let Some(kind) = kind_at(seq) else { continue };
        let day = if seq <= OLD_TO { old_day() } else { NOW.day() };
        store.write(vec![Write::Message(world.line(seq, kind, day))]).await.unwrap();
    }
}

async fn pages_are_of_what_their_reader_may_see(store: &dyn Store) {
    let world = World::new(62);
    world.settle(store).await;
    write_lines(store, &world).await;
    paged_well(store, &world).await;
}

async fn a_room_knows_what_is_below_its_tail(store: &dyn Store) {
    let world = World::new(63);
    world.settle(store).await;
    let World { tenant, conversation, .. } = world;
    let room = async || store.room(tenant, conversation, 8).await.unwrap().unwrap();
    let (old, today) = (Some(old_day()), Some(NOW.day()));
    let mut seq = 0;
    let mut write = async |kind, times, day| {
        for _ in 0..times {
            seq += 1;
            store.write(vec![Write::Message(world.line(seq, kind, day))]).await.unwrap();
        }
    };
    write(Line::Words, 3, old_day()).await;
    let empty = room().await;
    assert_eq!(
        (empty.below.for_visitors, empty.below.for_agents),
        (None, None),
        "all is in the tail"
    );
    assert_eq!(empty.words.map(|words| words.seq()), Some(Seq(3)));
    write(Line::System, 12, NOW.day()).await;
    let after_system = room().await;
    assert_eq!(
        after_system.words.map(|words| words.seq()),
        Some(Seq(3)),
        "behind twelve lines of the system"
    );
    assert_eq!((after_system.below.for_visitors, after_system.below.for_agents), (today, today));
    write(Line::Note, 60, NOW.day()).await;
    let after_notes = room().await;
    assert_eq!(after_notes.words.map(|words| words.seq()), Some(Seq(3)));
    assert_eq!((after_notes.below.for_visitors, after_notes.below.for_agents), (today, today));
    let other = world.with_visitor(2);
    other.begin(store).await;
    store.write(vec![Write::Message(other.line(1, Line::Words, old_day()))]).await.unwrap();
    for seq in 2..=20 {
        store.write(vec![Write::Message(other.line(seq, Line::Note, NOW.day()))]).await.unwrap();
    }
    let below = store.room(tenant, other.conversation, 8).await.unwrap().unwrap().below;
    assert_eq!((below.for_visitors, below.for_agents), (old, today));
}

async fn lists_show_what_is_newest(store: &dyn Store) {
    let worlds = [0, 2, 3, 4].map(|m| World::new(66).with_visitor(m));
    let tenant = worlds[0].tenant;
    worlds[0].settle(store).await;
    for world in &worlds[1..] {
        world.begin(store).await;
    }
    let [talk, long, old, silent] = worlds;
    let write = async |message| store.write(vec![Write::Message(message)]).await.unwrap();
    let reply = |world: &World, seq| {
        let content = Content::Text(Personal::new(format!("reply {seq}")));
        let parts = world.parts([seq; 16], content, NOW.day());
        let parts = Parts { author: Author::Agent(world.agent), ..parts };
        Arc::new(Envelope::restore(parts).place(Seq(u64::from(seq))))
    };
    write(talk.line(1, Line::Words, NOW.day())).await;
    write(reply(&talk, 2)).await;
    write(talk.line(3, Line::Note, NOW.day())).await;
    write(talk.line(4, Line::System, NOW.day())).await;
    let mark = MarkRow {
        tenant,
        conversation: talk.conversation,
        author: Author::Visitor,
        delivered: Seq(2),
        seen: Seq(1),
    };
    store.write(vec![Write::Mark(mark)]).await.unwrap();
    // Replies alone, in which nobody looks for the visitor; and words behind many notes.
    write(long.line(1, Line::Words, NOW.day())).await;
    for seq in 2..=60 {
        write(reply(&long, seq)).await;
    }
    write(old.line(1, Line::Words, NOW.day())).await;
    for seq in 2..=60 {
        write(old.line(seq, Line::Note, NOW.day())).await;
    }
    let asked: Vec<_> = worlds.iter().map(|world| world.conversation).collect();
    let unknown = World::new(66).with_visitor(9).conversation;
    let rows = store.newest(tenant, &[asked.as_slice(), &[unknown]].concat()).await.unwrap();
    let seq = |placed: &Option<Arc<Placed>>| placed.as_ref().map(|placed| placed.seq().0);
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.conversation, row.seq_last.0, seq(&row.words), seq(&row.asked)))
        .collect();
    let expected = [
        (talk.conversation, 4, Some(2), Some(1)),
        (long.conversation, 60, Some(60), None),
        (old.conversation, 60, Some(1), Some(1)),
        (silent.conversation, 0, None, None),
    ];
    assert_eq!(told, expected);
    assert_eq!(rows[0].words, Some(reply(&talk, 2)));
    assert_eq!((rows[0].marks.as_slice(), rows[0].site), ([mark].as_slice(), talk.site));
    // It is what a room would begin with.
    for row in &rows {
        let room = store.room(tenant, row.conversation, 50).await.unwrap().unwrap();
        let (seq_last, words) = (room.seq_last, room.words);
        assert_eq!((row.seq_last, &row.words, &row.marks), (seq_last, &words, &room.marks));
    }
    let foreign = store.newest(World::new(99).tenant, &asked).await.unwrap();
    assert_eq!(foreign, [], "another's are not there");
}

async fn an_id_is_found_wherever_it_stands(store: &dyn Store) {
    let world = World::new(64);
    world.settle(store).await;
    let World { tenant, conversation, .. } = world;
    for seq in 1..=600 {
        store.write(vec![Write::Message(world.line(seq, Line::Words, NOW.day()))]).await.unwrap();
    }
    for seq in [1, 2, 255, 256, 257, 258, 400, 600] {
        let id = world.line(seq, Line::Words, NOW.day()).envelope().message();
        for after in [0, 1, seq - 1, seq, 255, 256, 257, 599, 600, 1_000] {
            let found = store.message(tenant, conversation, id, Seq(after)).await.unwrap();
            let expected = (seq > after).then_some(Seq(seq));
            assert_eq!(found.map(|found| found.seq()), expected, "{seq} above {after}");
        }
    }
}

async fn of_many_drafts_the_newest_are_read(store: &dyn Store) {
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
    assert_eq!(read, written[written.len() - DRAFTS_MAX..]);
}

async fn a_place_in_another_tenants_list_says_nothing(store: &dyn Store) {
    let world = World::new(45);
    world.settle(store).await;
    let tenant = world.tenant;
    store.agent_create(world.agent_row()).await.unwrap();
    // Made later than all of ours: its place in the tables must not show.
    let stranger = World::new(43);
    stranger.settle(store).await;
    store.agent_create(stranger.agent_row()).await.unwrap();
    let foreign = Page { limit: 9, after: Some(stranger.site) };
    assert_eq!(store.sites(tenant, foreign).await.unwrap(), [world.site_row()]);
    let foreign = Page { limit: 9, after: Some(stranger.agent) };
    assert_eq!(store.agents(tenant, foreign).await.unwrap(), [world.agent_row()]);
    let foreign = Page { limit: 9, after: Some(stranger.visitor) };
    assert_eq!(store.visitors(tenant, foreign).await.unwrap(), []);
    let foreign = Page { limit: 9, after: Some(stranger.conversation) };
    let everything = ConversationFilter::default();
    assert_eq!(store.conversations(tenant, &everything, foreign).await.unwrap(), []);
}

async fn what_is_over_is_deleted_and_the_rest_stays(store: &dyn Store) {
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
        store.session_create(session.clone()).await.unwrap();
        store.invitation_create(invitation.clone()).await.unwrap();
        if expires_at > NOW {
            kept.push((session, invitation));
        }
    }
    store.delete_ended(NOW).await.unwrap();
    let (sessions, invitations): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
    assert_eq!(store.sessions(tenant, agent).await.unwrap(), sessions);
    assert_eq!(store.invitations(tenant).await.unwrap(), invitations);
}

async fn answers_are_kept(store: &dyn Store) {
    let tenant = World::new(23).tenant;
    assert_eq!(store.idempotent_answer(tenant, "k1").await.unwrap(), None);
    let keep =
        async |key: &str, request: [u8; 32], answer: &[u8], at: UnixMillis, beside: &[Record]| {
            let answer = answer.to_vec();
            let row = AnswerRow { tenant, key: key.to_owned(), request, answer, at };
            let records = beside.iter().cloned().chain([Record::Answer(row)]);
            store.write(records.map(|record| Write::Record(Box::new(record))).collect()).await
        };
    keep("k1", [1; 32], b"answer", NOW, &[]).await.unwrap();
    // What was to be made once more is not made with it.
    let tag = TagRow { tag: TagId::from_bytes([9; 16]), tenant, name: "twice".to_owned() };
    let site = World::new(23).site_row();
    let again = [Record::Tag(tag), Record::Site(site.clone())];
    let refused = keep("k1", [2; 32], b"other", NOW, &again).await;
    assert_eq!(refused, Err(StoreError::Exists { what: ANSWERED }));
    assert_eq!(store.tags(tenant).await.unwrap(), Vec::new());
    assert_eq!(store.site(tenant, site.site).await.unwrap(), None);
    let kept = store.idempotent_answer(tenant, "k1").await.unwrap();
    assert_eq!(kept, Some(([1; 32], b"answer".to_vec())), "the first one stays");
    let long_ago = UnixMillis(NOW.0 - 24 * 60 * 60 * 1_000);
    keep("k2", [1; 32], b"old", long_ago, &[]).await.unwrap();
    assert_eq!(store.idempotent_answer(tenant, "k2").await.unwrap(), None);
    keep("k2", [3; 32], b"new", NOW, &[]).await.unwrap();
    let kept = store.idempotent_answer(tenant, "k2").await.unwrap();
    assert_eq!(kept, Some(([3; 32], b"new".to_vec())), "in the place of one that is over");
    store.idempotent_forget(UnixMillis(NOW.0 - 1)).await.unwrap();
    assert!(store.idempotent_answer(tenant, "k1").await.unwrap().is_some());
    store.idempotent_forget(NOW).await.unwrap();
    assert_eq!(store.idempotent_answer(tenant, "k1").await.unwrap(), None);
}

async fn fates_come_in_order(store: &dyn Store) {
    let world = World::new(24);
    world.settle(store).await;
    let (told, mut fates) = tokio::sync::mpsc::channel(64);
    for seq in 1..=50 {
        let slot = store.reserve().await.unwrap();
        let told = told.clone();
        slot.write(
            vec![Write::Message(world.message(seq, "in order"))],
            Box::new(move |outcome| told.try_send((seq, outcome)).unwrap()),
        );
    }
    for seq in 1..=50 {
        assert_eq!(fates.recv().await, Some((seq, Ok(()))));
    }
}

async fn the_latest_time_never_goes_back(store: &dyn Store) {
    store.raise_high_water(NOW).await.unwrap();
    store.raise_high_water(UnixMillis(5)).await.unwrap();
    assert_eq!(store.high_water().await.unwrap(), NOW);
}

async fn the_mark_goes_back_only_by_an_operators_word(store: &dyn Store) {
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

async fn what_is_destroyed_is_gone(store: &dyn Store, sealer: &dyn Sealer) {
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
    let seqs = |rows: Vec<Arc<Placed>>| rows.iter().map(|row| row.seq().0).collect::<Vec<_>>();
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
    assert_eq!((room.seq_last, room.tail.len()), (Seq(20), 0), "places are not given again");
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

async fn the_feed_has_what_changed_in_its_order(store: &dyn Store) {
    let (world, other) = (World::new(34), World::new(35));
    other.settle(store).await;
    world.settle(store).await;
    let World { tenant, site, visitor, conversation, .. } = world;
    let before = store.feed_end().await.unwrap();
    store.write(vec![Write::Message(world.message(1, "nobody reads yet"))]).await.unwrap();
    // Whatever waits in a journal is carried over before this.
    let row = FeedReaderRow { tenant, reader: "hook".to_owned(), created_at: NOW };
    let after = store.feed_open(row.clone()).await.unwrap();
    assert_eq!((after, store.feed(tenant, 0, 99).await.unwrap()), (before, Vec::new()));
    assert!(store.feed_open(row).await.is_err(), "a name is one reader's");
    for seq in 2..=3 {
        store.write(vec![Write::Message(world.message(seq, "words"))]).await.unwrap();
    }
    store.write(vec![Write::Message(other.message(1, "of others"))]).await.unwrap();
    let mut header = world.conversation_row();
    (header.version, header.state) = (5, ConversationState::Closed);
    let tag = TagRow { tag: TagId::from_bytes([34; 16]), tenant, name: "new".to_owned() };
    let refused = TagRow { tag: TagId::from_bytes([35; 16]), ..tag.clone() };
    let both = [tag.clone(), refused].map(|tag| Write::Record(Box::new(Record::Tag(tag))));
    assert!(store.write(both.to_vec()).await.is_err());
    let tag = Write::Record(Box::new(Record::Tag(tag)));
    store.write(vec![Write::Conversation(Box::new(header))]).await.unwrap();
    store.write(vec![tag]).await.unwrap();
    store.tag_delete(tenant, TagId::from_bytes([34; 16])).await.unwrap();
    let mut site_row = world.site_row();
    site_row.name = "Another".to_owned();
    store.site_update(site_row).await.unwrap();
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
    store.feed_close(tenant, "hook").await.unwrap();
    store.write(vec![Write::Message(other.message(4, "nobody reads any more"))]).await.unwrap();
    store
        .tag_create(TagRow { tag: TagId::from_bytes([36; 16]), tenant, name: "quiet".to_owned() })
        .await
        .unwrap();
    assert_eq!(store.feed(tenant, 0, 99).await.unwrap(), events);
    store.delete_ended(NOW.plus_ms(29 * 86_400_000)).await.unwrap();
    assert_eq!(store.feed(tenant, 0, 99).await.unwrap().len(), events.len());
    store.delete_ended(NOW.plus_ms(32 * 86_400_000)).await.unwrap();
    assert_eq!(store.feed(tenant, 0, 99).await.unwrap(), []);
}

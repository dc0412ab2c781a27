//! What every store must do, as one suite; each implementation runs it in its own tests.
//!
//! Lives here: a small world of rows, and the list of all promises. Below: the promises of the port
//! `Store` as functions that panic where one is broken. Not here: what is particular to one engine
//! (files, locks, full disks).

mod accounts;
mod audit;
mod ends;
mod lists;
mod pages;
mod written;

use std::sync::Arc;

use protocol::conversation::{Availability, ConversationState, Role};
use protocol::ids::{
    AgentId, ConversationId, MessageId, SiteId, SiteKey, TagId, TenantId, VisitorId,
};
use protocol::message::{Author, EventKind, Seq, Visibility};
use protocol::personal::Personal;
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};

use super::{
    AgentRow, Change, ConversationRow, FieldRule, Page, SecretHash, SiteRow, SiteSettings, Store,
    TenantRow, VisitorRow, Write,
};
use crate::channel::Channel;
use crate::privacy::consent::NoticeHash;
use crate::privacy::envelope::{Content, Envelope, Flags, Parts, Sequenced, Tag};
use crate::privacy::policy::{Plan, PolicyVersion, Purposes, SiteTimeline, evaluate};
use crate::privacy::seal::Sealer;

pub(crate) use self::pages::{paged_well, write_kinds};

/// A moment within the life of everything in these tests; the clock of a store under test stands
/// here.
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
    pub(crate) fn message_on(&self, seq: u64, text: &str, day: Day) -> Arc<Sequenced> {
        let mut id = [self.n; 16];
        id[..8].copy_from_slice(&seq.to_be_bytes());
        self.message_with(seq, id, Content::Text(Personal::new(text.to_owned())), day)
    }

    pub(crate) fn message(&self, seq: u64, text: &str) -> Arc<Sequenced> {
        self.message_on(seq, text, NOW.day())
    }

    /// A message for the same sequence number from one of several who want it.
    pub(crate) fn message_of(&self, seq: u64, own: u8) -> Arc<Sequenced> {
        let mut id = [own; 16];
        id[..8].copy_from_slice(&seq.to_be_bytes());
        let text = Personal::new(format!("line {seq} of {own}"));
        self.message_with(seq, id, Content::Text(text), NOW.day())
    }

    /// A message of this kind, with a note of its own to be told by.
    pub(crate) fn message_of_kind(&self, seq: u64, kind: MessageKind, day: Day) -> Arc<Sequenced> {
        let mut id = [self.n; 16];
        id[..8].copy_from_slice(&seq.to_be_bytes());
        let content = match kind {
            MessageKind::System => {
                Content::Event { event: EventKind::Assigned, agent: Some(self.agent) }
            }
            MessageKind::Words | MessageKind::Note => {
                Content::Text(Personal::new(format!("line {seq}")))
            }
        };
        let (author, visibility) = match kind {
            MessageKind::Words => (Author::Visitor, Visibility::Everyone),
            MessageKind::Note => (Author::Agent(self.agent), Visibility::Agents),
            MessageKind::System => (Author::System, Visibility::Everyone),
        };
        let parts = self.parts(id, content, day);
        let parts = Parts { author, visibility, seen_seq: Seq(seq - 1), ..parts };
        Arc::new(Envelope::restore(parts).sequence(Seq(seq)))
    }

    fn message_with(&self, seq: u64, id: [u8; 16], content: Content, day: Day) -> Arc<Sequenced> {
        let parts = Parts { seen_seq: Seq(seq - 1), ..self.parts(id, content, day) };
        Arc::new(Envelope::restore(parts).sequence(Seq(seq)))
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
        store.change(vec![Change::create(self.tenant_row())]).await.unwrap();
        store.change(vec![Change::create(self.site_row())]).await.unwrap();
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

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageKind {
    Words,
    Note,
    System,
}

fn page<Id>(limit: u16) -> Page<Id> {
    Page { limit, after: None }
}

/// Runs everything on an empty store whose clock stands at [`NOW`].
pub(crate) async fn all(store: &dyn Store, sealer: &dyn Sealer) {
    written::messages_come_back_as_they_went_in(store).await;
    written::a_taken_number_is_told_and_a_resend_is_not(store).await;
    written::headers_only_grow(store).await;
    written::a_batch_is_stored_whole_or_not_at_all(store).await;
    written::a_floor_outlives_the_messages_that_were_not_stored(store).await;
    written::visitors_are_found_by_either_token(store).await;
    written::receipts_and_drafts_stay(store).await;
    accounts::accounts_come_back_as_they_went_in(store).await;
    accounts::sessions_invitations_keys_and_tags_come_and_go(store).await;
    accounts::a_password_link_is_used_once(store).await;
    accounts::another_tenant_finds_nothing(store).await;
    lists::lists_have_pages(store).await;
    lists::conversations_are_searched_by_label_and_time(store).await;
    lists::what_changed_is_found_in_its_order_and_nothing_is_missed(store).await;
    accounts::a_label_gets_another_name(store).await;
    lists::every_filter_lists_what_passes(store).await;
    pages::pages_are_of_what_their_reader_may_see(store).await;
    pages::a_room_knows_what_is_below_its_tail(store).await;
    pages::lists_show_what_is_newest(store).await;
    pages::an_id_is_found_wherever_it_stands(store).await;
    written::of_many_drafts_the_newest_are_read(store).await;
    lists::a_place_in_another_tenants_list_says_nothing(store).await;
    ends::what_is_over_is_deleted_and_the_rest_stays(store).await;
    accounts::answers_are_kept(store).await;
    written::completions_run_in_order(store).await;
    ends::the_latest_time_never_goes_back(store).await;
    ends::what_is_destroyed_is_gone(store, sealer).await;
    ends::an_erased_agent_is_one_without_a_name(store, sealer).await;
    ends::nothing_is_left_of_an_erased_visitor(store, sealer).await;
    ends::the_feed_has_what_changed_in_its_order(store).await;
    ends::the_mark_goes_back_only_by_an_operators_word(store).await;
    written::a_batch_answers_for_each_of_its_writes(store).await;
    audit::an_act_and_its_entry_stand_together_or_not_at_all(store, sealer).await;
    audit::a_chain_has_no_gaps_however_many_write_at_once(store, sealer).await;
    audit::the_operators_word_on_the_clock_stands_in_their_chain(store, sealer).await;
}

/// Steps of a pattern without a pattern.
fn scatter(n: u64) -> u64 {
    (n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 33
}

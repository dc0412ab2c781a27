//! A conversation as REST shows it: its header, what its visitor said about themselves, and its
//! last words, each as long as it may be read.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::conversation::ConversationState;
use protocol::ids::{AgentId, ConversationId, SiteId, TagId, TenantId, VisitorId};
use protocol::message::Seq;
use protocol::personal::Personal;
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};
use serde::Serialize;

use crate::api::lookups::today;
use crate::api::messages::{MessageAuthor, Preview, preview};
use crate::api::problem::Problem;
use crate::api::{ApiState, schema};
use crate::privacy::envelope::Sequenced;
use crate::privacy::gate::{Door, ReadGrant, Reader};
use crate::privacy::policy::SiteTimeline;
use crate::store::{ConversationRow, ReceiptRow, Sight, TagRow, VisitorRow};

/// Messages that are looked through for the last words before the store looks for them by itself.
const PREVIEW_TAIL: u16 = 8;

/// A conversation's state.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Conversation {
    #[schema(schema_with = schema::conversation_id)]
    conversation_id: ConversationId,
    /// Grows with each change.
    version: u64,
    #[schema(schema_with = schema::site_id)]
    site_id: SiteId,
    #[schema(schema_with = schema::conversation_state)]
    state: ConversationState,
    /// Who has it now.
    #[schema(value_type = Option<String>)]
    assignee: Option<AgentId>,
    /// The agents who have or had part in it.
    #[schema(value_type = Vec<String>)]
    agents: Vec<AgentId>,
    /// It was opened while no agent was there.
    offline_message: bool,
    #[schema(value_type = Vec<String>)]
    tags: Vec<TagId>,
    /// The same labels with their names, in the same order.
    labels: Vec<Label>,
    visitor: ConversationVisitor,
    form: Vec<FormAnswer>,
    /// SHA-256 of the privacy notice that the visitor was shown before it began, 64 hex digits.
    notice_hash: Option<String>,
    marks: Vec<Marks>,
    /// The newest place.
    #[schema(value_type = u64)]
    seq_last: Seq,
    /// The beginning of the newest words, internal notes included.
    #[schema(value_type = Option<String>)]
    preview: Option<Personal<String>>,
    last_author: Option<MessageAuthor>,
    #[schema(value_type = Option<u64>)]
    last_message_at: Option<UnixMillis>,
    #[schema(value_type = u64)]
    created_at: UnixMillis,
    /// When it changed last, by its state or by what was said. Moves with the store's order of
    /// changes, so that asking for what was updated after the greatest one that was seen misses
    /// nothing; a message shows here within a second or two.
    #[schema(value_type = u64)]
    updated_at: UnixMillis,
    #[schema(value_type = Option<u64>)]
    waiting_since: Option<UnixMillis>,
    #[schema(value_type = Option<u64>)]
    closed_at: Option<UnixMillis>,
}

/// A label of a conversation.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct Label {
    #[schema(schema_with = schema::tag_id)]
    tag_id: TagId,
    name: String,
}

/// The visitor of a conversation. What they said about themselves is null once its time is over.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ConversationVisitor {
    #[schema(schema_with = schema::visitor_id)]
    visitor_id: VisitorId,
    #[schema(value_type = Option<String>)]
    name: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    email: Option<Personal<String>>,
    /// The page it was opened on.
    #[schema(value_type = Option<String>)]
    page_url: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    page_title: Option<Personal<String>>,
    /// BCP 47.
    locale: String,
}

/// An answer of the form before the conversation.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FormAnswer {
    field: String,
    #[schema(value_type = String)]
    answer: Personal<String>,
}

/// How far someone has come.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Marks {
    author: MessageAuthor,
    #[schema(value_type = u64)]
    delivered: Seq,
    #[schema(value_type = u64)]
    seen: Seq,
}

/// Shapes headers, asking for each site and visitor once.
pub(super) struct Shaper<'a> {
    state: &'a ApiState,
    tenant: TenantId,
    today: Day,
    timelines: HashMap<SiteId, Option<SiteTimeline>>,
    visitors: HashMap<VisitorId, Option<VisitorRow>>,
    labels: Vec<TagRow>,
}

impl<'a> Shaper<'a> {
    pub(super) async fn new(state: &'a ApiState, tenant: TenantId) -> Result<Self, Problem> {
        let today = today(state).await?;
        let labels = state.store.tags(tenant).await?;
        let (timelines, visitors) = (HashMap::new(), HashMap::new());
        Ok(Self { state, tenant, today, timelines, visitors, labels })
    }

    pub(super) async fn shape(&mut self, row: ConversationRow) -> Result<Conversation, Problem> {
        let store = &self.state.store;
        if !self.timelines.contains_key(&row.site) {
            let site = store.site(self.tenant, row.site).await?;
            self.timelines.insert(row.site, site.map(|site| site.timeline));
        }
        if !self.visitors.contains_key(&row.visitor) {
            let visitor = store.visitor(self.tenant, row.visitor).await?;
            self.visitors.insert(row.visitor, visitor);
        }
        let room = store.room(self.tenant, row.conversation, PREVIEW_TAIL).await?;
        let timeline = self.timelines.get(&row.site).and_then(Option::as_ref);
        let visitor = self.visitors.get(&row.visitor).and_then(Option::as_ref);
        // Without its site nothing says how long it may be shown: then not at all.
        let grant = timeline
            .map(|timeline| ReadGrant::stored(Door::Api, Reader::Agents, self.today, timeline));
        let of_header = (row.page_url, row.page_title, row.form);
        let opened = row.created_at.day();
        let (page_url, page_title, form) = grant
            .and_then(|grant| grant.show(RetentionClass::Transcript, opened, of_header))
            .unwrap_or_default();
        let (name, email) = grant
            .zip(visitor)
            .and_then(|(grant, of)| {
                let contact = (of.name.clone(), of.email.clone());
                grant.show(RetentionClass::Contact, of.contact_day, contact)
            })
            .unwrap_or_default();
        let updated_at = store.changed_at(self.tenant, row.conversation).await?;
        let labels = row.tags.iter().filter_map(|tag| {
            let known = self.labels.iter().find(|label| label.tag == *tag)?;
            Some(Label { tag_id: *tag, name: known.name.clone() })
        });
        let labels = labels.collect();
        let tail = room.as_ref().map_or(&[][..], |room| &room.tail[..]);
        let last = self.last_words(row.conversation, tail, timeline).await?;
        let (seq_last, marks) =
            room.as_ref().map_or((Seq(0), &[][..]), |room| (room.seq_last, &room.receipts[..]));
        Ok(Conversation {
            conversation_id: row.conversation,
            version: row.version,
            site_id: row.site,
            state: row.state,
            assignee: row.assignee,
            agents: row.agents,
            offline_message: row.channel.is_offline_message(),
            tags: row.tags,
            labels,
            visitor: ConversationVisitor {
                visitor_id: row.visitor,
                name,
                email,
                page_url,
                page_title,
                locale: row.locale,
            },
            form: form.into_iter().map(|(field, answer)| FormAnswer { field, answer }).collect(),
            notice_hash: row.notice.map(|notice| notice.to_string()),
            marks: marks.iter().map(Marks::from).collect(),
            seq_last,
            last_author: last.as_ref().map(|last| last.author),
            last_message_at: last.as_ref().map(|last| last.at),
            preview: last.and_then(|last| last.text),
            created_at: row.created_at,
            updated_at: updated_at.unwrap_or(row.created_at),
            waiting_since: row.waiting_since,
            closed_at: row.closed_at,
        })
    }

    /// The newest words of a conversation, which may lie below the tail that was read. An event
    /// message says nothing about what was said.
    async fn last_words(
        &self,
        conversation: ConversationId,
        tail: &[Arc<Sequenced>],
        timeline: Option<&SiteTimeline>,
    ) -> Result<Option<Preview>, Problem> {
        let last = timeline.and_then(|timeline| {
            let mut newest_first = tail.iter().rev();
            newest_first.find_map(|said| {
                preview(said, self.today, timeline).filter(|preview| preview.text.is_some())
            })
        });
        if last.is_some() || tail.len() < usize::from(PREVIEW_TAIL) {
            return Ok(last);
        }
        let before = tail.first().map(|first| first.seq());
        let sight = Sight::Said(self.today);
        let page =
            self.state.store.page(self.tenant, conversation, sight, (Seq(0), before), 1).await?;
        let newest = page.messages.first().zip(timeline);
        Ok(newest.and_then(|(said, timeline)| preview(said, self.today, timeline)))
    }
}

impl From<&ReceiptRow> for Marks {
    fn from(row: &ReceiptRow) -> Self {
        Self { author: MessageAuthor::from(row.author), delivered: row.delivered, seen: row.seen }
    }
}

//! A conversation that is begun over REST.

use protocol::conversation::PageView;
use protocol::ids::{AgentId, ConversationId, MessageId, SiteId, VisitorId};
use protocol::personal::{Personal, Text};
use serde::{Deserialize, Serialize};

use super::colleague;
use crate::api::access::Access;
use crate::api::idempotency::Keep;
use crate::api::messages::checked_text;
use crate::api::problem::Problem;
use crate::api::schema;
use crate::auth::issue;
use crate::hub::Creation;
use crate::store::Write;

/// A conversation to begin.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConversation {
    #[schema(schema_with = schema::site_id)]
    site_id: SiteId,
    /// A visitor of before. Without one, a new visitor is made.
    #[schema(value_type = Option<String>)]
    visitor_id: Option<VisitorId>,
    /// What the visitor said about themselves, as the site's form has it. Of a visitor of before,
    /// what is left out stays as it is.
    #[serde(default)]
    #[schema(inline = false)]
    visitor: Option<NewVisitor>,
    message: FirstMessage,
    /// Who gets it, at once; without one it waits in line and is offered.
    #[schema(value_type = Option<String>)]
    assignee: Option<AgentId>,
    /// Which privacy notice the visitor was shown, where the site has one: SHA-256 as 64 hex
    /// digits.
    notice_hash: Option<String>,
    /// The page that it is about.
    #[schema(value_type = Option<String>)]
    page_url: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    page_title: Option<Personal<String>>,
}

/// Who the visitor of a new conversation is.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewVisitor {
    #[schema(value_type = Option<String>)]
    name: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    email: Option<Personal<String>>,
    /// BCP 47.
    locale: Option<String>,
}

/// The first words of a conversation.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirstMessage {
    /// At most 4000 characters.
    #[schema(value_type = String)]
    text: Personal<String>,
    /// Whose words these are: the visitor's, which is so where a key does not say, or those of
    /// whoever asks. An agent speaks for themselves alone.
    author: Option<FirstAuthor>,
}

/// Whose words begin a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FirstAuthor {
    /// The visitor's.
    Visitor,
    /// Those of the agent or program that asks.
    Me,
}

/// What is kept of the answer to a new conversation, for a request that comes again.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) conversation: ConversationId,
}

/// Begins it, with what is kept of the answer in the same batch.
pub(super) async fn begin(
    access: &Access,
    new: NewConversation,
    keep: Option<Keep>,
) -> Result<Begun, Problem> {
    let text = checked_text("message.text", &new.message.text)?;
    let own = access.signed_in.is_some();
    let by_visitor = match new.message.author {
        Some(FirstAuthor::Visitor) if own => {
            let words = "An agent speaks for themselves. A key may bring a visitor's words.";
            return Err(Problem::field("message.author", words));
        }
        Some(author) => author == FirstAuthor::Visitor,
        None => !own,
    };
    if access.state.store.site(access.tenant, new.site_id).await?.is_none() {
        return Err(Problem::field("site_id", "There is no such site here."));
    }
    if let Some(visitor) = new.visitor_id {
        let row = access.state.store.visitor(access.tenant, visitor).await?;
        if row.is_none_or(|row| row.site != new.site_id) {
            return Err(Problem::field("visitor_id", "This site has no such visitor."));
        }
    }
    if let Some(agent) = new.assignee {
        colleague(&access.state, access.tenant, agent)
            .await
            .map_err(|problem| problem.of_field("assignee"))?;
    }
    let about = new.visitor.unwrap_or_default();
    let mut form = Vec::new();
    for (field, given) in [("name", &about.name), ("email", &about.email)] {
        form.extend(given.as_ref().map(|given| (field, given.expose().as_str())));
    }
    let begun = Begun { conversation: ConversationId::from_uuid(access.state.new_uuid()) };
    let kept = keep.map(|keep| keep.record(&begun)).transpose()?;
    let page = new.page_url.map(|url| PageView { url, title: new.page_title });
    let creation = Creation {
        conversation: begun.conversation,
        site: new.site_id,
        visitor: new.visitor_id.unwrap_or_else(|| VisitorId::from_uuid(access.state.new_uuid())),
        is_known: new.visitor_id.is_some(),
        form,
        page: page.as_ref(),
        notice: new.notice_hash.as_deref(),
        locale: about.locale.as_deref().unwrap_or_default(),
        message: MessageId::from_uuid(access.state.new_uuid()),
        text: Text::new(text),
        by_visitor,
        assignee: new.assignee,
        secret: issue("lhv_").hash,
        beside: kept.map(Write::Record).into_iter().collect(),
    };
    access.state.live.create(&access.principal, creation).await?;
    Ok(begun)
}

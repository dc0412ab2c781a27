//! A conversation as one text.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use protocol::ids::{AgentId, ConversationId, TenantId};
use protocol::message::{AuthorKind, Seq, Visibility};
use protocol::personal::Personal;

use super::{Message, MessageBody};
use crate::api::ApiState;
use crate::api::date::iso_moment;
use crate::api::page::LIMIT_MAX;
use crate::api::problem::Problem;
use crate::privacy::envelope::Sequenced;
use crate::store::Sight;

/// Messages of one transcript; a longer one says so.
const TRANSCRIPT_MESSAGES_MAX: usize = 10_000;

/// Everything in order, and whether there is more than a transcript holds.
pub(super) async fn all_messages(
    state: &ApiState,
    tenant: TenantId,
    conversation: ConversationId,
    sight: Sight,
) -> Result<(Vec<Arc<Sequenced>>, bool), Problem> {
    let mut newest_first = Vec::new();
    let mut before = None;
    loop {
        let range = (Seq(0), before);
        let page = state.store.page(tenant, conversation, sight, range, LIMIT_MAX).await?;
        before = page.messages.first().map(|row| row.seq());
        newest_first.extend(page.messages.into_iter().rev());
        if !page.more || newest_first.len() >= TRANSCRIPT_MESSAGES_MAX {
            newest_first.reverse();
            return Ok((newest_first, page.more));
        }
    }
}

/// The names of all agents in them.
pub(super) async fn names(
    state: &ApiState,
    tenant: TenantId,
    messages: &[Message],
) -> Result<HashMap<AgentId, Personal<String>>, Problem> {
    let mut names = HashMap::new();
    for message in messages {
        let about = match &message.body {
            MessageBody::Event { agent_id, .. } => *agent_id,
            MessageBody::Text { .. } => None,
        };
        for agent in [message.author.agent_id, about].into_iter().flatten() {
            if !names.contains_key(&agent)
                && let Some(row) = state.store.agent(tenant, agent).await?
            {
                names.insert(agent, row.name);
            }
        }
    }
    Ok(names)
}

/// A transcript as plain text, a line for each message.
pub(super) fn plain(
    messages: &[Message],
    truncated: bool,
    names: &HashMap<AgentId, Personal<String>>,
) -> String {
    let name = |agent: Option<AgentId>| {
        let name = agent.and_then(|agent| names.get(&agent)).map(|name| name.expose().as_str());
        // One who is erased has none.
        name.filter(|name| !name.is_empty()).unwrap_or("Agent")
    };
    let mut text = String::new();
    if truncated {
        text.push_str("[earlier messages left out]\n");
    }
    for message in messages {
        let who = match message.author.kind {
            AuthorKind::Visitor => "Visitor",
            AuthorKind::Agent => name(message.author.agent_id),
            AuthorKind::Bot => "Bot",
            AuthorKind::System => "livehelp",
        };
        let note = if message.visibility == Visibility::Agents { " (note)" } else { "" };
        let words = match &message.body {
            MessageBody::Text { text } => text.expose().replace('\n', "\n    "),
            MessageBody::Event { event, agent_id } => match agent_id {
                Some(_) => format!("{} ({})", event.word(), name(*agent_id)),
                None => event.word().to_owned(),
            },
        };
        // Writing into a String cannot fail.
        let _ok = writeln!(text, "[{}] {who}{note}: {words}", iso_moment(message.at)).is_ok();
    }
    text
}

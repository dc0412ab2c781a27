//! What the files of several resources look up.

use protocol::ids::{AgentId, ConversationId, SessionId, TenantId};
use protocol::time::Day;

use super::ApiState;
use super::problem::Problem;
use crate::store::{Change, ConversationRow, SessionRow};

/// The header, if it is of this Organization.
pub(crate) async fn find(
    state: &ApiState,
    tenant: TenantId,
    conversation: ConversationId,
) -> Result<ConversationRow, Problem> {
    let row = state.store.conversation(tenant, conversation).await?;
    row.ok_or_else(|| Problem::not_found("conversation"))
}

/// The day by which reading is judged: clocks that were set back show nothing again.
pub(crate) async fn today(state: &ApiState) -> Result<Day, Problem> {
    Ok(state.now().max(state.store.high_water().await?).day())
}

/// The ends of all sessions of an agent but one, for instance where their password changes.
pub(crate) async fn all_ends(
    state: &ApiState,
    tenant: TenantId,
    agent: AgentId,
    but: Option<SessionId>,
) -> Result<Vec<Change>, Problem> {
    let rows = state.store.sessions(tenant, agent).await?;
    Ok(rows.iter().filter(|row| Some(row.session) != but).map(SessionRow::end).collect())
}

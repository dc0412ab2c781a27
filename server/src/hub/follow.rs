//! Changes of what is set up: stored, and followed by what is held in memory of it.
//!
//! Lives here: the one place from which such a change is told, on this node and, by the feed, on
//! another. Not here: what a change is (`store/record`), what the parts do with it (`presence`,
//! `assignment`).

use std::sync::Arc;

use async_trait::async_trait;
use protocol::ids::{AgentId, SessionId, SiteId};

use super::assignment::Assignment;
use super::presence::Presence;
use crate::store::feed::kind;
use crate::store::record::news;
use crate::store::{AgentRow, Change, News, Result, SiteRow, Store};

/// Whoever holds something in memory of what is set up.
#[async_trait]
pub trait Follow: Send + Sync {
    /// Where changes are stored.
    fn store(&self) -> &dyn Store;
    /// A site's settings or timeline were stored anew.
    async fn site_changed(&self, site: &SiteRow);
    /// An agent was stored anew, or is new.
    async fn agent_changed(&self, agent: AgentRow);
    /// A session is over: its connections are, too.
    fn session_ended(&self, session: SessionId);

    /// Stores changes, all of them or none, and puts them in force.
    async fn carry_out(&self, changes: Vec<Change>) -> Result<()> {
        let stored = self.keep(changes).await?;
        self.tell(stored).await;
        Ok(())
    }

    /// The first half of it, for whoever has something to do between: what is still to be told.
    async fn keep(&self, changes: Vec<Change>) -> Result<Vec<News>> {
        let stored = changes.iter().filter_map(news).collect();
        self.store().change(changes).await?;
        Ok(stored)
    }

    /// The second half.
    async fn tell(&self, stored: Vec<News>) {
        for news in stored {
            if let Err(error) = self.follow(&news).await {
                tracing::error!(tenant_id = %news.tenant, error = %error, "a change is stored, and what is held in memory of it could not be read anew");
            }
        }
    }

    /// A record changed, here or on another node: what is held in memory of it is read anew.
    async fn follow(&self, news: &News) -> Result<()> {
        let (News { tenant, kind, object }, store) = (*news, self.store());
        match kind {
            kind::SITE => {
                if let Some(site) = store.site(tenant, SiteId::from_bytes(object)).await? {
                    self.site_changed(&site).await;
                }
            }
            kind::AGENT => {
                if let Some(agent) = store.agent(tenant, AgentId::from_bytes(object)).await? {
                    self.agent_changed(agent).await;
                }
            }
            kind::SESSION => {
                let session = SessionId::from_bytes(object);
                if !store.session_exists(tenant, session).await? {
                    self.session_ended(session);
                }
            }
            // Of everything else nothing is held: it is asked for anew each time.
            _ => {}
        }
        Ok(())
    }
}

/// The hub's parts that hold something of it.
#[derive(Debug)]
pub(crate) struct Following {
    pub(super) store: Arc<dyn Store>,
    pub(super) assignment: Arc<Assignment>,
    pub(super) presence: Arc<Presence>,
}

#[async_trait]
impl Follow for Following {
    fn store(&self) -> &dyn Store {
        &*self.store
    }

    async fn site_changed(&self, site: &SiteRow) {
        self.presence.site_changed(site).await;
    }

    async fn agent_changed(&self, agent: AgentRow) {
        self.assignment.agent_changed(agent).await;
    }

    fn session_ended(&self, session: SessionId) {
        self.presence.session_ended(session);
    }
}

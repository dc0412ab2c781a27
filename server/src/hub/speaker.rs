//! For whom something is done.

use std::sync::Arc;

use protocol::ids::{AgentId, SessionId, SiteId, TenantId, VisitorId};
use protocol::message::Author;

use super::fanout::FrameSink;
use crate::privacy::gate::Reader;

/// Someone at a connection, as the hub needs to know them.
#[derive(Debug, Clone)]
pub struct Speaker {
    pub tenant: TenantId,
    pub who: Who,
    pub sink: Arc<dyn FrameSink>,
}

/// A visitor of one site, or an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A website visitor.
    Visitor { site: SiteId, visitor: VisitorId },
    /// An agent. What their role allows is asked at each act: it may change while they are here.
    Agent { agent: AgentId, session: SessionId },
}

/// The principal of an act, as the hub needs to know it: someone who may be at a connection, or a
/// program. The Organization stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// As [`Who::Visitor`].
    Visitor { site: SiteId, visitor: VisitorId },
    /// As [`Who::Agent`].
    Agent { agent: AgentId, session: SessionId },
    /// A program of the Organization, by its key: it may what a supervisor may.
    Program,
}

impl From<Who> for Actor {
    fn from(who: Who) -> Self {
        match who {
            Who::Visitor { site, visitor } => Self::Visitor { site, visitor },
            Who::Agent { agent, session } => Self::Agent { agent, session },
        }
    }
}

impl Actor {
    /// As what they write.
    pub(super) fn author(self) -> Author {
        match self {
            Self::Visitor { .. } => Author::Visitor,
            Self::Agent { agent, .. } => Author::Agent(agent),
            Self::Program => Author::Bot,
        }
    }

    /// Which agent it is, if it is one.
    pub(crate) fn agent(self) -> Option<AgentId> {
        match self {
            Self::Agent { agent, .. } => Some(agent),
            Self::Visitor { .. } | Self::Program => None,
        }
    }
}

impl Who {
    /// As what they write.
    pub fn author(self) -> Author {
        match self {
            Self::Visitor { .. } => Author::Visitor,
            Self::Agent { agent, .. } => Author::Agent(agent),
        }
    }
}

impl Speaker {
    /// As what they write.
    pub fn author(&self) -> Author {
        self.who.author()
    }

    pub(super) fn reader(&self) -> Reader {
        match self.who {
            Who::Visitor { .. } => Reader::Visitor,
            Who::Agent { .. } => Reader::Agents,
        }
    }

    /// Which agent it is, if it is one.
    pub(super) fn agent(&self) -> Option<AgentId> {
        Actor::from(self.who).agent()
    }

    /// Whether a conversation of this visitor is theirs to look at.
    pub(super) fn may_see(&self, visitor: VisitorId) -> bool {
        match self.who {
            Who::Visitor { visitor: own, .. } => own == visitor,
            Who::Agent { .. } => true,
        }
    }
}

//! The order of the board: what an agent has or is asked first, then those who wait, who waited
//! longest first, then what their colleagues have. Nothing of it is counted through: a part begins
//! where the one before it ended, by keys, whatever came or went between the two.
//!
//! Not here: cards, and who may look. Called by the hub.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use protocol::ids::{AgentId, ConversationId};

use super::Routing;
use super::queue::Ticket;

/// Behind which conversation a part of the board begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoardPosition {
    /// One of the agent's own.
    Own(ConversationId),
    /// One that waits.
    Waiting(WaitingPosition),
    /// One of a colleague's.
    Others(AgentId, ConversationId),
}

/// A position in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingPosition {
    ticket: Ticket,
    conversation: ConversationId,
}

/// Not a position of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPosition;

impl fmt::Display for BoardPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(conversation) => write!(f, "own.{conversation}"),
            Self::Waiting(WaitingPosition { ticket, conversation }) => {
                write!(f, "line.{ticket}.{conversation}")
            }
            Self::Others(agent, conversation) => write!(f, "all.{agent}.{conversation}"),
        }
    }
}

impl FromStr for BoardPosition {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (part, rest) = text.split_once('.').ok_or(NoPosition)?;
        if part == "own" {
            return rest.parse().map(Self::Own).map_err(|_| NoPosition);
        }
        let (before, conversation) = rest.rsplit_once('.').ok_or(NoPosition)?;
        let conversation = conversation.parse().map_err(|_| NoPosition)?;
        match part {
            "line" => {
                let ticket = before.parse().map_err(|()| NoPosition)?;
                Ok(Self::Waiting(WaitingPosition { ticket, conversation }))
            }
            "all" => {
                let agent = before.parse().map_err(|_| NoPosition)?;
                Ok(Self::Others(agent, conversation))
            }
            _ => Err(NoPosition),
        }
    }
}

impl Routing {
    /// How many conversations are not closed, and how many of them wait.
    pub fn counts(&self) -> (usize, usize) {
        (self.conversations.len(), self.queue.len())
    }

    /// Conversations that are not closed, behind one of them in the order of their ids, at most so
    /// many.
    pub fn live_after(&self, after: Option<ConversationId>, len_max: usize) -> Vec<ConversationId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.conversations.range((from, Bound::Unbounded));
        behind.map(|(conversation, _)| *conversation).take(len_max).collect()
    }

    /// A part of the board as this agent sees it, behind a position of it; with the position behind
    /// which the next begins, if there is more.
    pub fn board(
        &self,
        agent: AgentId,
        after: Option<BoardPosition>,
        len_max: usize,
    ) -> (Vec<ConversationId>, Option<BoardPosition>) {
        let theirs: BTreeSet<_> =
            self.team.owned_by(agent).into_iter().chain(self.offers_to(agent)).collect();
        let own_from = match after {
            None => Some(Bound::Unbounded),
            Some(BoardPosition::Own(conversation)) => Some(Bound::Excluded(conversation)),
            Some(BoardPosition::Waiting(_) | BoardPosition::Others(..)) => None,
        };
        let own = own_from.into_iter().flat_map(|from| theirs.range((from, Bound::Unbounded)));
        let own = own.map(|conversation| (BoardPosition::Own(*conversation), *conversation));
        let queue_from = match after {
            None | Some(BoardPosition::Own(_)) => Some(None),
            Some(BoardPosition::Waiting(position)) => {
                Some(Some((position.ticket, position.conversation)))
            }
            Some(BoardPosition::Others(..)) => None,
        };
        let queue = queue_from.into_iter().flat_map(|after| self.queue.behind_ticket(after));
        let queue = queue.map(|(ticket, conversation)| {
            (BoardPosition::Waiting(WaitingPosition { ticket, conversation }), conversation)
        });
        let others_from = match after {
            Some(BoardPosition::Others(agent, conversation)) => Some((agent, conversation)),
            None | Some(BoardPosition::Own(_) | BoardPosition::Waiting(_)) => None,
        };
        let others = self.team.owned_after(others_from);
        let others = others.map(|(owner, conversation)| {
            (BoardPosition::Others(owner, conversation), conversation)
        });
        let rest = queue.chain(others).filter(|(_, conversation)| !theirs.contains(conversation));
        let mut part: Vec<_> = own.chain(rest).take(len_max.saturating_add(1)).collect();
        let more = part.len() > len_max;
        part.truncate(len_max);
        let next = part.last().filter(|_| more).map(|(position, _)| *position);
        (part.into_iter().map(|(_, conversation)| conversation).collect(), next)
    }
}

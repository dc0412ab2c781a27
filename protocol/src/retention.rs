//! Why and how long a record is kept: the words of the retention tag.
//!
//! The tag itself is made at ingestion by the server and never leaves it; a browser learns only the
//! day on which a message expires, so that its caches forget too.

use serde::{Deserialize, Serialize};

/// What kind of data a record is; it decides the rule that ends its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum RetentionClass {
    /// What was said in a conversation.
    Transcript = 0,
    /// A message left while no agent was available.
    OfflineMessage = 1,
    /// Where a visitor came from: page, browser, language.
    VisitorInfo = 3,
    /// Name, e-mail and other ways to reach a visitor.
    Contact = 4,
    /// A verdict after the conversation.
    Survey = 5,
    /// What agents wrote among themselves.
    AgentNote = 6,
    /// An agent's own account.
    UserAccount = 7,
    /// What the server keeps for a while for its own work, such as an answer for a request sent
    /// again.
    Operational = 10,
}

impl RetentionClass {
    /// The class with this code, if there is one; an unknown code is never guessed at.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Transcript),
            1 => Some(Self::OfflineMessage),
            3 => Some(Self::VisitorInfo),
            4 => Some(Self::Contact),
            5 => Some(Self::Survey),
            6 => Some(Self::AgentNote),
            7 => Some(Self::UserAccount),
            10 => Some(Self::Operational),
            _ => None,
        }
    }

    /// The code in tags and rows.
    #[expect(clippy::as_conversions, reason = "a fieldless enum with its codes written out")]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// How delicate a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sensitivity {
    /// Says nothing about a person.
    Public,
    /// About a person.
    Personal,
    /// About health, belief and the like, or a record that a detector flagged.
    Special,
}

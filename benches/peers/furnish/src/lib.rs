//! Who there is in livehelp when a bench begins: ids, tokens and sessions, which the writer and the driver both know.
//!
//! Lives here: their names. Not here: writing them (the binary beside it), and what they say.

use protocol::ids::{ConversationId, SiteKey};
/// The page that furnished visitors are on.
pub use testkit::SHOP as ORIGIN;
use testkit::site_key;

/// The most conversations that one agent may have.
pub const CAPACITY: usize = 100;
/// Sessions that listen where many do.
pub const SUPERVISORS: usize = 10;

/// How many of what there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct World {
    /// Conversations under way, each with a visitor and an agent who has it.
    pub rooms: usize,
    /// Visitors who have a token and nothing else.
    pub alone: usize,
}

/// Everybody's names and secrets.
#[derive(Debug)]
pub struct Names {
    /// What the site's embed tag says.
    pub site_key: SiteKey,
    /// The origin of the page that visitors are on.
    pub page: String,
    /// The console's own, known once the server listens.
    pub console: String,
    /// By room.
    pub conversations: Vec<ConversationId>,
    /// Visitors' tokens: of whoever opened each room, and then of those who are alone.
    pub tokens: Vec<String>,
    /// Cookies of those who have the rooms, in turn, as a browser sends them.
    pub agents: Vec<String>,
    pub supervisors: Vec<String>,
}

impl Names {
    /// Of those who are written into a folder.
    pub fn furnished(world: World, console: String) -> Self {
        let agents = world.agents();
        let cookies = |from, count| (from..from + count).map(cookie).collect();
        Self {
            site_key: site_key(),
            page: ORIGIN.to_owned(),
            console,
            conversations: (0..world.rooms).map(conversation_id).collect(),
            tokens: (0..world.rooms + world.alone).map(visitor_token).collect(),
            agents: cookies(0, agents),
            supervisors: cookies(agents, SUPERVISORS),
        }
    }

    /// A visitor's token: of whoever opened the room, or of one who is alone.
    pub fn token(&self, room: Option<usize>, number: usize) -> Option<&str> {
        let number = room.unwrap_or(self.conversations.len() + number);
        self.tokens.get(number).map(String::as_str)
    }

    /// An agent's cookie: of whoever has the room, or of a supervisor.
    pub fn cookie(&self, room: usize, seat: usize) -> Option<&str> {
        let (whose, at) = if seat == 1 { (&self.agents, room) } else { (&self.supervisors, seat) };
        whose.get(at % whose.len().max(1)).map(String::as_str)
    }

    /// The conversation of a room.
    pub fn conversation(&self, room: usize) -> Option<ConversationId> {
        self.conversations.get(room).copied()
    }
}

impl World {
    /// How many agents it takes to have all rooms.
    pub fn agents(self) -> usize {
        self.rooms.div_ceil(CAPACITY).max(1)
    }
}

/// An id of version 7 that no other thing of the world has.
pub fn id(kind: u8, number: usize) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = 1;
    bytes[5] = kind;
    bytes[6] = 0x70;
    bytes[8..].copy_from_slice(&(number as u64).to_be_bytes());
    bytes[8] = 0x80;
    bytes
}

/// The conversation of a furnished room.
pub fn conversation_id(room: usize) -> ConversationId {
    ConversationId::from_bytes(id(0xc0, room))
}

/// A visitor's token.
pub fn visitor_token(number: usize) -> String {
    format!("lhv_{number:064x}")
}

/// An agent's session token.
pub fn session_token(number: usize) -> String {
    format!("lhs_{number:064x}")
}

fn cookie(number: usize) -> String {
    format!("livehelp_session={}", session_token(number))
}

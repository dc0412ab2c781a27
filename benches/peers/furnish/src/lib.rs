//! Who there is in livehelp when a bench begins: ids, tokens and sessions, which the writer and the driver both know.
//!
//! Lives here: their names. Not here: writing them (the binary beside it), and what they say.

use protocol::ids::{ConversationId, SiteKey};

/// Where visitors' pages seem to come from.
pub const ORIGIN: &str = "https://shop.example";

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
#[derive(Debug, Default)]
pub struct Names {
    world: World,
    /// The console's own origin, known once the server listens.
    origin: String,
}

impl Names {
    /// The names in such a world.
    pub fn new(world: World, origin: String) -> Self {
        Self { world, origin }
    }

    /// What the site's embed tag would say.
    pub fn site_key(&self) -> SiteKey {
        SiteKey::from_random([7; 16])
    }

    /// Where the console comes from.
    pub fn own_origin(&self) -> String {
        self.origin.clone()
    }

    /// A visitor's token: of whoever opened the room, or of one who is alone.
    pub fn token(&self, room: Option<usize>, number: usize) -> String {
        visitor_token(room.unwrap_or(self.world.rooms + number))
    }

    /// An agent's session: of whoever has the room, or of a supervisor.
    pub fn cookie(&self, room: Option<usize>, seat: usize) -> String {
        let agents = self.world.agents();
        match seat {
            1 => session_token(room.unwrap_or_default() % agents),
            seat => session_token(agents + seat % SUPERVISORS),
        }
    }

    /// How many agents have all the rooms; a room's is its number modulo this.
    pub fn agents(&self) -> usize {
        self.world.agents()
    }

    /// The conversation of a room.
    pub fn conversation(&self, room: usize) -> ConversationId {
        ConversationId::from_bytes(id(0xc0, room))
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

/// A visitor's token.
pub fn visitor_token(number: usize) -> String {
    format!("lhv_{number:064x}")
}

/// An agent's session token.
pub fn session_token(number: usize) -> String {
    format!("lhs_{number:064x}")
}

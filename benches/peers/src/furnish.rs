//! livehelp's people: an Organization with agents, and visitors with and without a conversation, written before the server starts.
//!
//! Lives here: their names, which the driver knows as well, and writing them. Not here: what they say.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use livehelp::auth::token_hash;
use livehelp::clock::SystemClock;
use livehelp::config::Config;
use livehelp::privacy::policy::{Plan, SiteTimeline};
use livehelp::run::open;
use livehelp::store::{
    AgentRow, ConversationRow, SessionRow, SiteRow, SiteSettings, Store as _, TenantRow,
    VisitorRow, Write,
};
use protocol::conversation::{Availability, ConversationState, Role};
use protocol::ids::{
    AgentId, ConversationId, SessionId, SiteId, SiteKey, TenantId, VisitorId,
};
use protocol::personal::Personal;
use protocol::time::UnixMillis;

use crate::clock::wall_ms;
use crate::dialect::Member;

/// Where visitors' pages seem to come from.
pub const ORIGIN: &str = "https://shop.example";

/// The most conversations that one agent may have.
const CAPACITY: usize = 100;
/// Sessions that listen where many do.
const SUPERVISORS: usize = 10;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Rows of one commit.
const BATCH: usize = 500;
const TENANT: TenantId = TenantId::from_bytes([9; 16]);
const SITE: SiteId = SiteId::from_bytes([8; 16]);

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

    pub(crate) fn own_origin(&self) -> String {
        self.origin.clone()
    }

    /// A visitor's token: of whoever opened the room, or of one who is alone.
    pub(crate) fn token(&self, member: Member) -> String {
        visitor_token(member.room.unwrap_or(self.world.rooms + member.number))
    }

    /// An agent's session: of whoever has the room, or of a supervisor.
    pub(crate) fn cookie(&self, member: Member) -> String {
        let agents = agents(self.world);
        match member.seat {
            1 => session_token(member.room.unwrap_or_default() % agents),
            seat => session_token(agents + seat % SUPERVISORS),
        }
    }

    pub(crate) fn conversation(&self, room: usize) -> ConversationId {
        ConversationId::from_bytes(id(0xc0, room))
    }
}

fn agents(world: World) -> usize {
    world.rooms.div_ceil(CAPACITY).max(1)
}

/// An id of version 7 that no other thing of the world has.
fn id(kind: u8, number: usize) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = 1;
    bytes[5] = kind;
    bytes[6] = 0x70;
    bytes[8..].copy_from_slice(&(number as u64).to_be_bytes());
    bytes[8] = 0x80;
    bytes
}

fn visitor_token(number: usize) -> String {
    format!("lhv_{number:064x}")
}

fn session_token(number: usize) -> String {
    format!("lhs_{number:064x}")
}

/// Writes the world into the two empty folders `data` and `keys` below `folder`.
///
/// # Errors
/// If the store refuses.
pub fn furnish(folder: &Path, world: World) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(write_world(folder, world)).context("furnish livehelp's folder")
}

async fn write_world(folder: &Path, world: World) -> Result<()> {
    let mut config = Config::defaults();
    config.data = folder.join("data");
    config.keys = folder.join("keys");
    let store = open(&config, Arc::new(SystemClock))?.store;
    let now = UnixMillis(wall_ms());
    store
        .tenant_create(TenantRow {
            tenant: TENANT,
            name: String::from("Acme"),
            privacy_contact: Personal::new(String::from("privacy@acme.example")),
            created_at: now,
        })
        .await?;
    store
        .site_create(SiteRow {
            site: SITE,
            tenant: TENANT,
            site_key: Names::default().site_key(),
            name: String::from("Shop"),
            timeline: SiteTimeline::new(UnixMillis(now.0 - 1_000), Plan::Team),
            settings: SiteSettings {
                origins: vec![ORIGIN.to_owned()],
                ..SiteSettings::default()
            },
            created_at: now,
        })
        .await?;
    let agents = agents(world);
    for number in 0..agents + SUPERVISORS {
        let role = if number < agents { Role::Agent } else { Role::Supervisor };
        store.agent_create(agent(number, role, now)).await?;
        store.session_create(session(number, now)).await?;
    }
    let mut writes = Vec::new();
    for number in 0..world.rooms + world.alone {
        writes.push(Write::Visitor(Box::new(visitor(number, now))));
        if number < world.rooms {
            let row = conversation(number, number % agents, now);
            writes.push(Write::Conversation(Box::new(row)));
        }
        if writes.len() >= BATCH {
            store.write(std::mem::take(&mut writes)).await?;
        }
    }
    if !writes.is_empty() {
        store.write(writes).await?;
    }
    store.close().await;
    Ok(())
}

fn agent(number: usize, role: Role, now: UnixMillis) -> AgentRow {
    AgentRow {
        agent: AgentId::from_bytes(id(0xa0, number)),
        tenant: TENANT,
        name: Personal::new(format!("Agent {number}")),
        email: Personal::new(format!("agent{number}@acme.example")),
        role,
        active: true,
        capacity: u16::try_from(CAPACITY).unwrap_or(u16::MAX),
        availability: Availability::Available,
        password_hash: Arc::from("none"),
        created_at: now,
    }
}

fn session(number: usize, now: UnixMillis) -> SessionRow {
    SessionRow {
        session: SessionId::from_bytes(id(0x50, number)),
        agent: AgentId::from_bytes(id(0xa0, number)),
        tenant: TENANT,
        secret: token_hash(&session_token(number)),
        client: Personal::new(String::from("peers")),
        created_at: now,
        expires_at: now.plus_ms(14 * DAY_MS),
    }
}

fn visitor(number: usize, now: UnixMillis) -> VisitorRow {
    VisitorRow {
        visitor: VisitorId::from_bytes(id(0xb0, number)),
        tenant: TENANT,
        site: SITE,
        name: None,
        email: None,
        locale: String::from("en"),
        contact_day: now.day(),
        secret: token_hash(&visitor_token(number)),
        secret_before: None,
        secret_expires_at: now.plus_ms(30 * DAY_MS),
        created_at: now,
    }
}

fn conversation(number: usize, agent: usize, now: UnixMillis) -> ConversationRow {
    let agent = AgentId::from_bytes(id(0xa0, agent));
    ConversationRow {
        conversation: ConversationId::from_bytes(id(0xc0, number)),
        tenant: TENANT,
        site: SITE,
        visitor: VisitorId::from_bytes(id(0xb0, number)),
        version: 1,
        state: ConversationState::Active,
        assignee: Some(agent),
        offline_message: false,
        agents: vec![agent],
        tags: Vec::new(),
        form: Vec::new(),
        notice: None,
        page_url: None,
        page_title: None,
        locale: String::from("en"),
        created_at: now,
        waiting_since: None,
        closed_at: None,
    }
}

//! Writes livehelp's people into a folder, before the server starts there:
//!
//!     furnish FOLDER ROOMS ALONE

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use furnish::{
    CAPACITY, ORIGIN, SUPERVISORS, World, conversation_id, id, session_token, visitor_token,
};
use livehelp::auth::token_hash;
use livehelp::channel::Channel;
use livehelp::clock::{Clock as _, SystemClock};
use livehelp::privacy::policy::Plan;
use livehelp::run::open;
use livehelp::store::{ConversationRow, SiteSettings, VisitorRow, Write};
use protocol::conversation::{Availability, ConversationState, Role};
use protocol::ids::{AgentId, VisitorId};
use protocol::personal::Personal;
use protocol::time::UnixMillis;
use testkit::{Colleague, SITE, TENANT, config, organization};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Rows of one commit.
const BATCH: usize = 500;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, rooms, alone] = arguments.as_slice() else {
        bail!("furnish FOLDER ROOMS ALONE");
    };
    let world = World { rooms: rooms.parse()?, alone: alone.parse()? };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(write_world(Path::new(folder), world)).context("furnish livehelp's folder")
}

async fn write_world(folder: &Path, world: World) -> Result<()> {
    let store = open(&config(folder), Arc::new(SystemClock))?.store;
    let now = SystemClock.now();
    let settings = SiteSettings { origins: vec![ORIGIN.to_owned()], ..SiteSettings::default() };
    organization(&*store, now, Plan::Team, settings).await?;
    let agents = world.agents();
    for number in 0..agents + SUPERVISORS {
        let role = if number < agents { Role::Agent } else { Role::Supervisor };
        let colleague = Colleague {
            agent: AgentId::from_bytes(id(0xa0, number)),
            person: "Agent",
            number,
            role,
            capacity: u16::try_from(CAPACITY)?,
            availability: Availability::Available,
            password_hash: Arc::from("none"),
            token: &session_token(number),
        };
        colleague.join(&*store, now).await?;
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
        conversation: conversation_id(number),
        tenant: TENANT,
        site: SITE,
        visitor: VisitorId::from_bytes(id(0xb0, number)),
        version: 1,
        state: ConversationState::Active,
        assignee: Some(agent),
        channel: Channel::Widget,
        agents: vec![agent],
        tags: Vec::new(),
        form: Vec::new(),
        notice: None,
        // As a page with the widget gives it: with it comes the key of the person.
        page_url: Some(Personal::new(format!("{ORIGIN}/shoes"))),
        page_title: None,
        locale: String::from("en"),
        created_at: now,
        waiting_since: None,
        closed_at: None,
    }
}

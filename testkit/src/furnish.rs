//! People in a server's folder before it starts: rows that are written as the server itself writes
//! them.
//!
//! Lives here: an Organization with its site, its agents and their sessions, and the operator's
//! key; their ids and secrets are the same each time. Not here: the same by the program's own
//! `init` (`throwaway`).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use livehelp::auth::{Scope, token_hash};
use livehelp::clock::{Clock, SystemClock};
use livehelp::config::Config;
use livehelp::privacy::policy::{Plan, SiteTimeline};
use livehelp::run::open;
use livehelp::store::{
    AgentRow, Change, FieldRule, KeyRow, SessionRow, SiteRow, SiteSettings, Store, TenantRow,
};
use protocol::conversation::{Availability, Role};
use protocol::ids::{AgentId, KeyId, SessionId, SiteId, SiteKey, TenantId};
use protocol::personal::Personal;
use protocol::time::UnixMillis;

/// Where the site's pages seem to come from.
pub const SHOP: &str = "https://shop.example";
pub const TENANT: TenantId = TenantId::from_bytes([9; 16]);
pub const SITE: SiteId = SiteId::from_bytes([8; 16]);
/// Its agents, where nobody says otherwise.
pub const AGENTS: [AgentId; 2] = [AgentId::from_bytes([1; 16]), AgentId::from_bytes([2; 16])];
/// Their sessions' tokens.
pub const COOKIES: [&str; 2] = ["lhs_first", "lhs_second"];
/// What the operator's programs show.
pub const OPERATOR_KEY: &str = "lho_operator";

/// Sessions last so long: some tests take years.
const SESSION_MS: u64 = 10 * 365 * 86_400_000;

/// The public name of the site.
pub fn site_key() -> SiteKey {
    SiteKey::from_random([7; 16])
}

/// Settings of a server on free ports with data and keys in this folder, and with limits raised
/// that a test would meet.
pub fn config(folder: &Path) -> Config {
    let mut config = Config::defaults();
    config.data = folder.join("data");
    config.keys = folder.join("keys");
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.admin_listen = config.listen;
    config.drain_grace_ms = 0;
    config.drain_ms = 0;
    config.agent_grace_ms = 1_000;
    // Clocks jump by months in tests, and what is open stays open.
    config.abandoned_hours = 0;
    config.messages_per_minute = 1_000_000;
    config.agent_messages_per_minute = 1_000_000;
    config.messages_burst = 1_000_000;
    config.requests_per_minute = 1_000_000;
    config.requests_burst = 1_000_000;
    config.key_requests_per_minute = 1_000_000;
    config.key_requests_burst = 1_000_000;
    config.address_requests_per_minute = 1_000_000;
    config.address_requests_burst = 1_000_000;
    config.frames_per_second = 100_000;
    config.frames_burst = 1_000_000;
    config
}

/// Writes the Organization and its site.
///
/// # Errors
/// If the store refuses.
pub async fn organization(
    store: &dyn Store,
    now: UnixMillis,
    plan: Plan,
    settings: SiteSettings,
) -> Result<()> {
    let row = TenantRow {
        tenant: TENANT,
        name: String::from("Acme"),
        privacy_contact: Personal::new(String::from("privacy@acme.example")),
        created_at: now,
    };
    store.change(vec![Change::create(row)]).await?;
    let row = SiteRow {
        site: SITE,
        tenant: TENANT,
        site_key: site_key(),
        name: String::from("Shop"),
        timeline: SiteTimeline::new(UnixMillis(now.0 - 1_000), plan),
        settings,
        created_at: now,
    };
    Ok(store.change(vec![Change::create(row)]).await?)
}

/// An agent who is signed in.
#[derive(Debug, Clone)]
pub struct Colleague<'a> {
    pub agent: AgentId,
    /// Name and e-mail address begin with `person` and end with `number`.
    pub person: &'a str,
    pub number: usize,
    pub role: Role,
    /// Conversations at most.
    pub capacity: u16,
    pub availability: Availability,
    pub password_hash: Arc<str>,
    /// Of their session.
    pub token: &'a str,
}

impl Colleague<'_> {
    /// Writes them and their session.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn join(self, store: &dyn Store, now: UnixMillis) -> Result<()> {
        let Self { agent, person, number, .. } = self;
        let row = AgentRow {
            agent,
            tenant: TENANT,
            name: Personal::new(format!("{person} {number}")),
            email: Personal::new(format!("{person}{number}@acme.example")),
            role: self.role,
            active: true,
            capacity: self.capacity,
            availability: self.availability,
            password_hash: self.password_hash,
            created_at: now,
        };
        store.change(vec![Change::create(row)]).await?;
        let row = SessionRow {
            session: SessionId::from_bytes(*agent.as_bytes()),
            agent,
            tenant: TENANT,
            secret: token_hash(self.token),
            client: Personal::new(String::from("test")),
            created_at: now,
            expires_at: now.plus_ms(SESSION_MS),
        };
        Ok(store.change(vec![Change::create(row)]).await?)
    }
}

/// How a test wants its server.
#[derive(Debug)]
pub struct Setup {
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    pub settings: SiteSettings,
    pub plan: Plan,
    pub role: Role,
    /// What the agents are called, with a number after it.
    pub person: String,
    /// What the agents sign in with; nothing does where a test does not say.
    pub password_hash: Arc<str>,
    /// Whether there is anybody but the operator.
    pub people: bool,
}

impl Setup {
    pub(crate) fn of(folder: &Path) -> Self {
        Self {
            config: config(folder),
            clock: Arc::new(SystemClock),
            settings: SiteSettings {
                origins: vec![String::from(SHOP)],
                form: [(String::from("name"), FieldRule::Optional)].into(),
                ..SiteSettings::default()
            },
            plan: Plan::Team,
            role: Role::Agent,
            person: String::from("Agent"),
            password_hash: Arc::from("none"),
            people: true,
        }
    }

    /// Writes the operator's key and the people into the empty folders.
    pub(crate) async fn furnish(&self) -> Result<()> {
        let now = self.clock.now();
        let opened = open(&self.config, Arc::clone(&self.clock))?;
        let store = &*opened.store;
        let row = KeyRow {
            key: KeyId::from_bytes([7; 16]),
            tenant: None,
            name: String::from("operator"),
            scopes: Scope::OPERATOR.iter().map(|scope| scope.word().to_owned()).collect(),
            secret: token_hash(OPERATOR_KEY),
            created_at: now,
        };
        store.change(vec![Change::create(row)]).await?;
        if self.people {
            self.write_people(store, now).await?;
        }
        store.close().await;
        Ok(())
    }

    async fn write_people(&self, store: &dyn Store, now: UnixMillis) -> Result<()> {
        organization(store, now, self.plan, self.settings.clone()).await?;
        for (number, (agent, token)) in AGENTS.into_iter().zip(COOKIES).enumerate() {
            let colleague = Colleague {
                agent,
                person: &self.person,
                number,
                role: self.role,
                capacity: 5,
                availability: Availability::Offline,
                password_hash: Arc::clone(&self.password_hash),
                token,
            };
            colleague.join(store, now).await?;
        }
        Ok(())
    }
}

/// Furnishes the folders of a server that runs as a process of its own.
pub async fn furnish(folder: &Path) {
    furnish_as(folder, |_| {}).await;
}

/// The same as a test wants it.
#[expect(clippy::expect_used, reason = "a test that cannot begin has failed")]
pub async fn furnish_as(folder: &Path, set: impl FnOnce(&mut Setup)) {
    let mut setup = Setup::of(folder);
    set(&mut setup);
    setup.furnish().await.expect("an empty folder is furnished");
}

//! A server with one Organization, one site and two agents, as a test wants it.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use livehelp::auth::{Scope, token_hash};
use livehelp::clock::{Clock, SystemClock};
use livehelp::config::Config;
use livehelp::http::bind;
use livehelp::privacy::policy::{Plan, SiteTimeline};
use livehelp::run::{Listeners, open, run_with};
use livehelp::store::{AgentRow, FieldRule, KeyRow, SessionRow, SiteRow, SiteSettings, TenantRow};
use protocol::conversation::{Availability, Role};
use protocol::ids::{AgentId, KeyId, SessionId, SiteId, SiteKey, TenantId};
use protocol::personal::Personal;
use protocol::time::UnixMillis;
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::process::{AGENTS, site_key};

/// Where the test's pages seem to come from.
pub const SHOP: &str = "https://shop.example";

/// Agents' session tokens, in the order of [`TestServer::agents`].
pub const COOKIES: [&str; 2] = ["lhs_first", "lhs_second"];

/// What a client must know of a server.
#[derive(Debug)]
pub struct Site {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub site_key: SiteKey,
    pub agents: [AgentId; 2],
}

pub struct TestServer {
    pub folder: TempDir,
    site: Site,
    config: Config,
    clock: Arc<dyn Clock>,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

impl Deref for TestServer {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

/// What the machine's clock says.
pub fn now_ms() -> u64 {
    SystemClock.now().0
}

pub fn config(folder: &Path) -> Config {
    let mut config = Config::defaults();
    config.data = folder.join("data");
    config.keys = folder.join("keys");
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.admin_listen = config.listen;
    config.drain_grace_ms = 0;
    config.drain_ms = 0;
    config.agent_grace_ms = 1_000;
    // Clocks jump by months here, and what is open stays open.
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

/// How a test wants its server.
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
}

/// What the operator's programs show.
pub const OPERATOR_KEY: &str = "lho_operator";

impl Setup {
    fn of(folder: &Path) -> Self {
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
        }
    }

    /// Writes an Organization with its site and agents into the empty folders.
    async fn furnish(&self, site_key: &SiteKey, agents: [AgentId; 2]) {
        let now = self.clock.now();
        let opened = open(&self.config, Arc::clone(&self.clock)).expect("an empty folder opens");
        let tenant = TenantId::from_bytes([9; 16]);
        let row = TenantRow {
            tenant,
            name: String::from("Acme"),
            privacy_contact: Personal::new(String::from("privacy@acme.example")),
            created_at: now,
        };
        opened.store.tenant_create(row).await.unwrap();
        let row = SiteRow {
            site: SiteId::from_bytes([8; 16]),
            tenant,
            site_key: site_key.clone(),
            name: String::from("Shop"),
            timeline: SiteTimeline::new(UnixMillis(now.0 - 1_000), self.plan),
            settings: self.settings.clone(),
            created_at: now,
        };
        opened.store.site_create(row).await.unwrap();
        let row = KeyRow {
            key: KeyId::from_bytes([7; 16]),
            tenant: None,
            name: String::from("operator"),
            scopes: Scope::OPERATOR.iter().map(|scope| scope.word().to_owned()).collect(),
            secret: token_hash(OPERATOR_KEY),
            created_at: now,
        };
        opened.store.key_create(row).await.unwrap();
        for (number, agent) in agents.into_iter().enumerate() {
            let row = AgentRow {
                agent,
                tenant,
                name: Personal::new(format!("{} {number}", self.person)),
                email: Personal::new(format!("{}{number}@acme.example", self.person)),
                role: self.role,
                active: true,
                capacity: 5,
                availability: Availability::Offline,
                password_hash: Arc::clone(&self.password_hash),
                created_at: now,
            };
            opened.store.agent_create(row).await.unwrap();
            let row = SessionRow {
                session: SessionId::from_uuid(uuid::Uuid::new_v4()),
                agent,
                tenant,
                secret: token_hash(COOKIES[number]),
                client: Personal::new(String::from("test")),
                created_at: now,
                // Some tests take years.
                expires_at: UnixMillis(now.0 + 10 * 365 * 86_400_000),
            };
            opened.store.session_create(row).await.unwrap();
        }
        opened.store.close().await;
    }
}

/// The same for a server that runs as a process of its own.
pub async fn furnish(folder: &Path) {
    furnish_as(folder, |_| {}).await;
}

/// The same as a test wants it.
pub async fn furnish_as(folder: &Path, set: impl FnOnce(&mut Setup)) {
    let mut setup = Setup::of(folder);
    set(&mut setup);
    setup.furnish(&site_key(), AGENTS).await;
}

impl TestServer {
    /// A fresh server.
    pub async fn start() -> Self {
        Self::start_as(|_| {}).await
    }

    /// A fresh server with other settings.
    pub async fn start_with(set: impl FnOnce(&mut Config)) -> Self {
        Self::start_as(|setup| set(&mut setup.config)).await
    }

    /// A server without an Organization, whose test sets it up.
    pub async fn start_empty(set: impl FnOnce(&mut Config)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut config = config(folder.path());
        set(&mut config);
        Self::serve(folder, config, Arc::new(SystemClock), site_key(), AGENTS).await
    }

    /// A fresh server as the test wants it.
    pub async fn start_as(set: impl FnOnce(&mut Setup)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut setup = Setup::of(folder.path());
        set(&mut setup);
        setup.furnish(&site_key(), AGENTS).await;
        let Setup { config, clock, .. } = setup;
        Self::serve(folder, config, clock, site_key(), AGENTS).await
    }

    async fn serve(
        folder: TempDir,
        config: Config,
        clock: Arc<dyn Clock>,
        site_key: SiteKey,
        agents: [AgentId; 2],
    ) -> Self {
        let listeners = Listeners {
            public: bind("listen", config.listen).await.unwrap(),
            admin: bind("admin_listen", config.admin_listen).await.unwrap(),
            demo: None,
        };
        let (stop, stopped) = watch::channel(false);
        let (tell, told) = oneshot::channel();
        let (running, by) = (config.clone(), Arc::clone(&clock));
        let served = livehelp::tasks::spawn("server", async move {
            let ready = |listeners: &Listeners| {
                let public = listeners.public.local_addr().unwrap();
                tell.send((public, listeners.admin.local_addr().unwrap())).unwrap();
            };
            run_with(running, listeners, stopped, ready, by).await.unwrap();
        });
        let (address, admin) = told.await.expect("the server starts");
        let site = Site { address, admin, site_key, agents };
        Self { folder, site, config, clock, stop, served }
    }

    /// Stops it as SIGTERM would, and starts it again on the same data.
    pub async fn restart(self) -> Self {
        self.restart_after(|| {}).await
    }

    /// The same with something done while it is off.
    pub async fn restart_after(self, meanwhile: impl FnOnce()) -> Self {
        let Self { folder, site: Site { site_key, agents, .. }, config, clock, stop, served } =
            self;
        stop.send_replace(true);
        served.await.unwrap();
        meanwhile();
        Self::serve(folder, config, clock, site_key, agents).await
    }

    /// Stops it and gives back its folder.
    pub async fn stop(self) -> TempDir {
        self.stop.send_replace(true);
        self.served.await.unwrap();
        self.folder
    }
}

//! A server with one Organization, one site and two agents, as a test wants it.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use livehelp::auth::token_hash;
use livehelp::clock::{Clock, SystemClock};
use livehelp::config::Config;
use livehelp::http::bind;
use livehelp::privacy::policy::{Plan, SiteTimeline};
use livehelp::run::{Listeners, open, run};
use livehelp::store::{AgentRow, FieldRule, SessionRow, SiteRow, SiteSettings, Store, TenantRow};
use protocol::conversation::{Availability, Role};
use protocol::ids::{AgentId, SessionId, SiteId, SiteKey, TenantId};
use protocol::personal::Personal;
use protocol::time::UnixMillis;
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// Where the test's pages seem to come from.
pub const SHOP: &str = "https://shop.example";

/// Agents' session tokens, in the order of [`TestServer::agents`].
pub const COOKIES: [&str; 2] = ["lhs_first", "lhs_second"];

/// What a client must know of a server.
pub struct Site {
    pub address: SocketAddr,
    pub site_key: SiteKey,
    pub agents: [AgentId; 2],
}

pub struct TestServer {
    pub folder: TempDir,
    site: Site,
    config: Config,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

impl Deref for TestServer {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
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
    config.messages_per_minute = 1_000_000;
    config.agent_messages_per_minute = 1_000_000;
    config.messages_burst = 1_000_000;
    config.frames_per_second = 100_000;
    config.frames_burst = 1_000_000;
    config
}

pub async fn furnish(config: &Config, site_key: &SiteKey, agents: [AgentId; 2]) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let now = clock.now();
    let opened = open(config, clock).expect("an empty folder opens");
    let tenant = TenantId::from_bytes([9; 16]);
    let row = TenantRow {
        tenant,
        name: String::from("Acme"),
        privacy_contact: Personal::new(String::from("privacy@acme.example")),
        created_at: now,
    };
    opened.store.tenant_create(row).await.unwrap();
    let settings = SiteSettings {
        origins: vec![String::from(SHOP)],
        form: [(String::from("name"), FieldRule::Optional)].into(),
        ..SiteSettings::default()
    };
    let row = SiteRow {
        site: SiteId::from_bytes([8; 16]),
        tenant,
        site_key: site_key.clone(),
        name: String::from("Shop"),
        timeline: SiteTimeline::new(UnixMillis(now.0 - 1_000), Plan::Team),
        settings,
        created_at: now,
    };
    opened.store.site_create(row).await.unwrap();
    for (number, agent) in agents.into_iter().enumerate() {
        let row = AgentRow {
            agent,
            tenant,
            name: Personal::new(format!("Agent {number}")),
            email: Personal::new(format!("agent{number}@acme.example")),
            role: Role::Agent,
            active: true,
            capacity: 5,
            availability: Availability::Offline,
            password_hash: Arc::from("none"),
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
            expires_at: UnixMillis(now.0 + 3_600_000),
        };
        opened.store.session_create(row).await.unwrap();
    }
    opened.store.close().await;
}

impl TestServer {
    /// A fresh server.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A fresh server with other settings.
    pub async fn start_with(set: impl FnOnce(&mut Config)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut config = config(folder.path());
        set(&mut config);
        let site_key = SiteKey::from_random([7; 16]);
        let agents = [AgentId::from_bytes([1; 16]), AgentId::from_bytes([2; 16])];
        furnish(&config, &site_key, agents).await;
        Self::serve(folder, config, site_key, agents).await
    }

    async fn serve(
        folder: TempDir,
        config: Config,
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
        let running = config.clone();
        let served = livehelp::tasks::spawn("server", async move {
            let ready = |listeners: &Listeners| {
                tell.send(listeners.public.local_addr().unwrap()).unwrap();
            };
            run(running, listeners, stopped, ready).await.unwrap();
        });
        let address = told.await.expect("the server starts");
        let site = Site { address, site_key, agents };
        Self { folder, site, config, stop, served }
    }

    /// Stops it as SIGTERM would, and starts it again on the same data.
    pub async fn restart(self) -> Self {
        let Self { folder, site: Site { site_key, agents, .. }, config, stop, served } = self;
        stop.send_replace(true);
        served.await.unwrap();
        Self::serve(folder, config, site_key, agents).await
    }

    /// Stops it and gives back its folder.
    pub async fn stop(self) -> TempDir {
        self.stop.send_replace(true);
        self.served.await.unwrap();
        self.folder
    }
}

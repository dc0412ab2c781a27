//! A real server in this process, with an operator's key and nothing else in it.

use std::net::SocketAddr;
use std::sync::Arc;

use livehelp::auth::{Scope, token_hash};
use livehelp::clock::{Clock as _, SystemClock};
use livehelp::config::Config;
use livehelp::http::bind;
use livehelp::run::{Listeners, open, run_with};
use livehelp::store::KeyRow;
use protocol::ids::KeyId;
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// What the operator's programs show.
const OPERATOR_KEY: &str = "lho_operator";

pub struct Server {
    folder: TempDir,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_behind(None).await
    }

    /// Behind a proxy, whose address its consoles have as their origin.
    pub async fn start_behind(proxy: Option<SocketAddr>) -> Self {
        Self::start_with(|config| {
            config.public_url = proxy.map(|address| format!("http://{address}"));
        })
        .await
    }

    /// With other settings than a load's.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut config = Config::defaults();
        config.data = folder.path().join("data");
        config.keys = folder.path().join("keys");
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.admin_listen = config.listen;
        config.drain_grace_ms = 0;
        config.drain_ms = 0;
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
        config.handshakes_per_ip_max = 100_000;
        config.conversations_per_ip_hour_max = 100_000;
        change(&mut config);
        let opened = open(&config, Arc::new(SystemClock)).expect("an empty folder opens");
        let row = KeyRow {
            key: KeyId::from_bytes([7; 16]),
            tenant: None,
            name: String::from("operator"),
            scopes: Scope::OPERATOR.iter().map(|scope| scope.word().to_owned()).collect(),
            secret: token_hash(OPERATOR_KEY),
            created_at: SystemClock.now(),
        };
        opened.store.key_create(row).await.unwrap();
        opened.store.close().await;
        // With it goes the lock of the keys folder.
        drop(opened);
        std::fs::write(folder.path().join("operator-key"), OPERATOR_KEY).unwrap();
        let listeners = Listeners {
            public: bind("listen", config.listen).await.unwrap(),
            admin: bind("admin_listen", config.admin_listen).await.unwrap(),
            demo: None,
        };
        let (stop, stopped) = watch::channel(false);
        let (tell, told) = oneshot::channel();
        let served = livehelp::tasks::spawn("server", async move {
            let ready = |listeners: &Listeners| {
                let public = listeners.public.local_addr().unwrap();
                tell.send((public, listeners.admin.local_addr().unwrap())).unwrap();
            };
            run_with(config, listeners, stopped, ready, Arc::new(SystemClock)).await.unwrap();
        });
        let (public, admin) = told.await.expect("the server starts");
        Self { folder, public, admin, stop, served }
    }

    pub fn operator_key_file(&self) -> std::path::PathBuf {
        self.folder.path().join("operator-key")
    }

    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.served.await.unwrap();
    }
}

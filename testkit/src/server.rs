//! A server within this process, on free ports, with its folder and its people.

#![expect(clippy::expect_used, reason = "a test that cannot begin has failed")]

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use livehelp::clock::{Clock, SystemClock};
use livehelp::config::Config;
use livehelp::http::bind;
use livehelp::run::{Listeners, run_with};
use protocol::ids::{AgentId, SiteKey};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::furnish::{AGENTS, OPERATOR_KEY, Setup, config, site_key};
use crate::process::Ready;

/// What a client must know of a server.
#[derive(Debug)]
pub struct Site {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub site_key: SiteKey,
    pub agents: [AgentId; 2],
}

impl Site {
    /// Of a furnished server that is ready.
    pub fn of(ready: &Ready) -> Self {
        Self::at(ready.public, ready.admin.expect("a server has an admin listener"))
    }

    /// The same by its two addresses.
    pub fn at(address: SocketAddr, admin: SocketAddr) -> Self {
        Self { address, admin, site_key: site_key(), agents: AGENTS }
    }
}

/// A server whose test is in the same process.
#[derive(Debug)]
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

fn folder() -> TempDir {
    TempDir::new().expect("the system has a folder to give")
}

impl TestServer {
    /// A fresh server with an Organization, a site and two agents.
    pub async fn start() -> Self {
        Self::start_as(|_| {}).await
    }

    /// The same with other settings.
    pub async fn start_with(set: impl FnOnce(&mut Config)) -> Self {
        Self::start_as(|setup| set(&mut setup.config)).await
    }

    /// The same as the test wants it.
    pub async fn start_as(set: impl FnOnce(&mut Setup)) -> Self {
        let folder = folder();
        let mut setup = Setup::of(folder.path());
        set(&mut setup);
        setup.furnish().await.expect("an empty folder is furnished");
        let server = Self::serve(folder, setup.config, setup.clock).await;
        std::fs::write(server.operator_key_file(), OPERATOR_KEY).expect("a folder takes a file");
        server
    }

    /// A server without an Organization, whose test sets it up.
    pub async fn start_empty(set: impl FnOnce(&mut Config)) -> Self {
        let folder = folder();
        let mut config = config(folder.path());
        set(&mut config);
        Self::serve(folder, config, Arc::new(SystemClock)).await
    }

    /// The file with the operator's key, where the server was not started empty.
    pub fn operator_key_file(&self) -> PathBuf {
        self.folder.path().join("operator-key")
    }

    async fn serve(folder: TempDir, config: Config, clock: Arc<dyn Clock>) -> Self {
        let listener =
            |name, address| async move { bind(name, address).await.expect("a free port") };
        let listeners = Listeners {
            public: listener("listen", config.listen).await,
            admin: listener("admin_listen", config.admin_listen).await,
            demo: None,
        };
        let (stop, stopped) = watch::channel(false);
        let (tell, told) = oneshot::channel();
        let (running, by) = (config.clone(), Arc::clone(&clock));
        let served = livehelp::tasks::spawn("server", async move {
            let ready = |listeners: &Listeners| {
                let at = [&listeners.public, &listeners.admin].map(|one| one.local_addr());
                // Whoever asked may be gone; then nobody is there to be told.
                let _told = tell.send(at.map(|at| at.expect("a listener has an address")));
            };
            run_with(running, listeners, stopped, ready, by).await.expect("the server runs");
        });
        let [address, admin] = told.await.expect("the server starts");
        Self { folder, site: Site::at(address, admin), config, clock, stop, served }
    }

    /// Stops it as SIGTERM would, and starts it again on the same data.
    pub async fn restart(self) -> Self {
        self.restart_after(|| {}).await
    }

    /// The same with something done while it is off.
    pub async fn restart_after(self, meanwhile: impl FnOnce()) -> Self {
        let (config, clock) = (self.config.clone(), Arc::clone(&self.clock));
        let folder = self.stop().await;
        meanwhile();
        Self::serve(folder, config, clock).await
    }

    /// Stops it and gives back its folder.
    pub async fn stop(self) -> TempDir {
        self.stop.send_replace(true);
        self.served.await.expect("the server stops");
        self.folder
    }
}

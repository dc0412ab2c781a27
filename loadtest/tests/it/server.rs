//! A real server in this process, with an operator's key and nothing else in it.

use std::net::SocketAddr;
use std::path::PathBuf;

use livehelp::config::Config;
use testkit::TestServer;

pub struct Server {
    server: TestServer,
    pub public: SocketAddr,
    pub admin: SocketAddr,
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
        let server = TestServer::start_as(|setup| {
            setup.people = false;
            let config = &mut setup.config;
            // Whose connection is cut comes back before anybody else gets what is theirs.
            config.agent_grace_ms = Config::defaults().agent_grace_ms;
            config.handshakes_per_ip_max = 100_000;
            config.conversations_per_ip_hour_max = 100_000;
            change(config);
        })
        .await;
        Self { public: server.address, admin: server.admin, server }
    }

    pub fn operator_key_file(&self) -> PathBuf {
        self.server.operator_key_file()
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }
}

//! The server as a run sees it: where it is, how it is looked at, and how it was made.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use testkit::Throwaway;

use crate::report::outcome::{Made, without_password};
use crate::run::observe::{Metrics, UsageSource};
use crate::run::rest::Rest;
use crate::run::scenario::Scenario;
use crate::run::{throwaway, trust};

/// Where the server is.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    /// It runs already.
    There {
        public: SocketAddr,
        admin: SocketAddr,
        tls_ca: Option<PathBuf>,
        operator_key: String,
        pids: Vec<u32>,
    },
    /// It is started for this run.
    Started { program: PathBuf, flags: Vec<String> },
}

/// The server as the run sees it.
pub(super) struct Scene {
    pub(super) public: Rest,
    pub(super) admin: Rest,
    pub(super) tls_ca: Option<PathBuf>,
    pub(super) operator_key: String,
    pub(super) usage: UsageSource,
    pub(super) throwaway: Option<Throwaway>,
}

pub(super) fn made(command: &[String], scene: &Scene, metrics: Option<&Metrics>) -> Made {
    let build = |label| metrics.and_then(|metrics| metrics.build(label));
    Made {
        command: hidden(command),
        server_version: build("version"),
        server_commit: build("commit"),
        server_flags: scene.throwaway.as_ref().map(|started| hidden(&started.flags)),
    }
}

pub(super) fn hidden(words: &[String]) -> Vec<String> {
    words.iter().map(|word| without_password(word)).collect()
}

impl Scene {
    /// Whether the server is not there any more.
    pub(super) async fn is_gone(&self) -> bool {
        match &self.throwaway {
            Some(started) => throwaway::is_gone(started),
            None => self.usage.look().await.is_err(),
        }
    }

    pub(super) async fn of(server: Server, scenario: &Scenario) -> Result<Self> {
        match server {
            Server::There { public, admin, tls_ca, operator_key, pids } => {
                let tls = tls_ca.as_deref().map(trust::only).transpose()?;
                let scheme = if tls.is_some() { "https" } else { "http" };
                let origin = format!("{scheme}://{public}");
                let public = Rest { address: public, tls, origin: origin.clone() };
                let admin = Rest { address: admin, tls: None, origin };
                let usage = if pids.is_empty() {
                    UsageSource::Metrics(admin.clone())
                } else {
                    UsageSource::Pids(pids)
                };
                Ok(Self { public, admin, tls_ca, operator_key, usage, throwaway: None })
            }
            Server::Started { program, flags } => {
                let flags: Vec<String> =
                    scenario.server_flags.iter().chain(&flags).cloned().collect();
                let started = throwaway::start(program, flags).await?;
                let origin = format!("http://{}", started.public);
                let rest = |address| Rest { address, tls: None, origin: origin.clone() };
                Ok(Self {
                    public: rest(started.public),
                    admin: rest(started.admin),
                    tls_ca: None,
                    operator_key: started.operator_key.clone(),
                    usage: UsageSource::Pids(vec![started.pid()]),
                    throwaway: Some(started),
                })
            }
        }
    }
}

//! A reload: settings and certificate are read again, and what may change while the server runs is
//! put in force.
//!
//! Lives here: the order in which it is done, and what the log and systemd hear of it. Not here:
//! which settings may change (`config::RELOADED`), the signal (`cli`). All or nothing: where
//! anything is wrong, everything stays as it was.

use std::sync::Arc;

use tokio::sync::watch;

use super::parts::{gateway_config, rates_config};
use super::watches::tell_limits;
use crate::auth::Rates;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Live, LogLevel, Resolved};
use crate::gateway::Gateway;
use crate::http::{Limits, Tls, TlsError};
use crate::metrics::Metrics;
use crate::origin::PublicUrl;
use crate::systemd::Systemd;
use crate::{telemetry, traces};

/// Who asks for reloads, and what was read before.
#[derive(Debug)]
pub struct Reloads {
    /// Counts how often it was asked.
    pub asked: watch::Receiver<u64>,
    /// The settings in force, with their sources.
    pub in_force: Resolved,
    /// What the command line makes of settings before they are used.
    pub prepare: fn(&mut Config),
}

/// What a reload changes.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) config: Live<Config>,
    pub(super) limits: Live<Limits>,
    pub(super) rates: Arc<Rates>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) public_url: PublicUrl,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) systemd: Systemd,
}

/// Why everything stays as it was.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Settings(#[from] ConfigError),
    #[error(transparent)]
    Certificate(#[from] TlsError),
}

impl Reloads {
    /// Reloads whenever it is asked for, until the server ends.
    pub(super) async fn serve(
        mut self,
        changed: Changed,
        stopping: watch::Receiver<bool>,
        mut ended: watch::Receiver<bool>,
    ) {
        loop {
            tokio::select! {
                _ = ended.wait_for(|ended| *ended) => return,
                asked = self.asked.changed() => if asked.is_err() { return },
            }
            if *stopping.borrow() {
                tracing::warn!("the server stops: nothing is reloaded");
                continue;
            }
            changed.systemd.reloading();
            let outcome = self.reload(&changed);
            let is_good = outcome.is_ok();
            if let Some(tls) = &changed.tls {
                tls.note_refused(!is_good);
            }
            match outcome {
                Ok(()) => changed.metrics.config_read(changed.clock.now()),
                Err(refused) => {
                    changed.metrics.config_last_reload_success.set(0);
                    let cause = std::error::Error::source(&refused).map(ToString::to_string);
                    tracing::error!(
                        error = %refused,
                        cause,
                        "settings and certificate are not reloaded: all stays as it was"
                    );
                }
            }
            let words = if is_good { "Serves" } else { "Serves; the last reload was refused" };
            changed.systemd.ready(words);
        }
    }

    fn reload(&mut self, changed: &Changed) -> Result<(), Refused> {
        let mut newer = self.in_force.again()?;
        (self.prepare)(&mut newer.config);
        let fresh = changed.tls.as_ref().map(|tls| tls.read_again()).transpose()?;
        // From here on nothing fails.
        if let (Some(tls), Some(fresh)) = (&changed.tls, fresh) {
            tls.take(fresh);
            tls.tell(&changed.metrics, changed.clock.now());
        }
        let mut count = 0_u64;
        for setting in newer.differs_from(&self.in_force) {
            if setting.is_reloaded() {
                count += 1;
                tracing::info!(setting = setting.name, "the new value is in force");
            } else {
                tracing::warn!(setting = setting.name, "the new value takes a restart");
            }
        }
        self.in_force = self.in_force.reloaded(&newer);
        let config = &self.in_force.config;
        put_in_force(config);
        tell_limits(&changed.metrics, config);
        changed.limits.set(Limits::of(config));
        changed.rates.set(&rates_config(config));
        changed.gateway.set(gateway_config(config, &changed.public_url, &changed.rates));
        changed.config.set(config.clone());
        tracing::info!(count, "settings and certificate were read again");
        Ok(())
    }
}

/// What the whole process has once: logs and traces.
pub(crate) fn put_in_force(config: &Config) {
    telemetry::set_level(level(config.log_level));
    telemetry::choose(config.access_log, config.log_sign_in_addresses);
    traces::set_per_mille(config.traces_per_mille);
}

pub(crate) fn level(level: LogLevel) -> tracing::Level {
    match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    }
}

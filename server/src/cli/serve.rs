//! `livehelp serve`: the runtime, the listeners' addresses, the signals.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{CliError, files, print};
use crate::config::{Config, Endpoint, LogFormat, Resolved, Surroundings};
use crate::http::{bind, collector};
use crate::run::reload::{level, put_in_force};
use crate::run::{self, Around, Listeners, Reloads};
use crate::systemd::Systemd;
use crate::{tasks, telemetry, traces};

/// Exit code after a second signal, as of a process that a signal ended.
const INTERRUPTED: i32 = 130;

/// The runtime that the settings ask for.
pub(super) fn runtime(config: &Config) -> Result<Runtime, CliError> {
    let threads = match config.worker_threads {
        // The other half is for the store's threads and the kernel's work for the sockets. Measured
        // on two cores: one thread costs a fifth less CPU for a message than two, and takes more of
        // them.
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)),
        threads => threads,
    };
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().thread_name("worker").build().map_err(CliError::Runtime)
}

/// From now on no hangup ends this process; those that come are heard once somebody listens. What
/// they are registered with is gone when this returns, and they stay.
pub(super) fn hold_hangups() -> Result<Signal, CliError> {
    let runtime = Builder::new_current_thread().enable_io().build().map_err(CliError::Runtime)?;
    let _within = runtime.enter();
    signal(SignalKind::hangup()).map_err(CliError::Signals)
}

pub(super) fn serve(mut resolved: Resolved, hangups: Option<Signal>) -> Result<ExitCode, CliError> {
    prepare(&mut resolved.config);
    let config = resolved.config.clone();
    let systemd = Systemd::of(&Surroundings::from_environment());
    runtime(&config)?.block_on(async {
        let (shutdown, down) = watch::channel(false);
        let asked = watch_signals(shutdown, hangups)?;
        let watchdog = tasks::spawn("watchdog", systemd.clone().watch());
        // Taken before anything is opened: a second server on the same port changes nothing.
        let listeners = Listeners {
            public: bind("listen", config.listen).await?,
            admin: bind("admin_listen", config.admin_listen).await?,
            demo: match config.demo {
                true => Some(bind("demo_listen", config.demo_listen).await?),
                false => None,
            },
        };
        let tls = config.tls();
        let (end, ended) = watch::channel(false);
        let collector = start_traces(&config, ended);
        let reloads = Some(Reloads { asked, in_force: resolved, prepare });
        let around = Around { reloads, systemd };
        let ready = |listeners: &Listeners| announce(listeners, tls);
        let served = run::run_around(config, listeners, down, ready, around).await;
        end.send_replace(true);
        if let Some(collector) = collector
            && collector.await.is_err()
        {
            tracing::error!("a task ended by a fault");
        }
        watchdog.abort();
        served?;
        Ok(ExitCode::SUCCESS)
    })
}

/// What is made of settings before they are used, at start and at a reload.
fn prepare(config: &mut Config) {
    config.connections_max = files::connections(config.connections_max);
}

/// Sends traces, where the settings name a collector.
fn start_traces(config: &Config, ended: watch::Receiver<bool>) -> Option<JoinHandle<()>> {
    let endpoint = Endpoint::parse(config.traces_endpoint.as_deref()?)?;
    let finished = traces::start(config.traces_per_mille)?;
    let node = uuid::Uuid::new_v4().to_string();
    Some(tasks::spawn("traces", collector::send(endpoint, node, finished, ended)))
}

/// Sends logs to stderr; once is enough.
pub(super) fn start_logs(config: &Config) {
    let lines = match config.log_format {
        LogFormat::Auto if std::io::stderr().is_terminal() => telemetry::Lines::Human,
        LogFormat::Auto | LogFormat::Json => telemetry::Lines::Json,
        LogFormat::Human => telemetry::Lines::Human,
    };
    if telemetry::start(lines, level(config.log_level)).is_err() {
        tracing::debug!("logs were set up before");
    }
    put_in_force(config);
}

/// The first signal asks for a calm end, the second one is not argued with. A hangup asks for a
/// reload, at any time; what comes back counts those.
fn watch_signals(
    shutdown: watch::Sender<bool>,
    hangups: Option<Signal>,
) -> Result<watch::Receiver<u64>, CliError> {
    let mut hangup =
        hangups.map_or_else(|| signal(SignalKind::hangup()), Ok).map_err(CliError::Signals)?;
    let (ask, asked) = watch::channel(0);
    let hanging_up = async move {
        while hangup.recv().await.is_some() {
            // Kept until somebody looks: before the server is ready, too.
            ask.send_modify(|count: &mut u64| *count += 1);
        }
    };
    drop(tasks::spawn("reload signal", hanging_up));
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Signals)?;
    let watching = async move {
        for again in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if again {
                tracing::warn!("second signal: ends at once");
                std::process::exit(INTERRUPTED);
            }
            shutdown.send_replace(true);
        }
    };
    drop(tasks::spawn("signals", watching));
    Ok(asked)
}

/// Tells whoever started us where to find us.
fn announce(listeners: &Listeners, tls: bool) {
    let origin = |listener: &TcpListener, scheme: &str| {
        listener.local_addr().map(|address| format!("{scheme}://{address}")).unwrap_or_default()
    };
    let demo = listeners.demo.as_ref().map(|listener| origin(listener, "http"));
    // By hand, so that the line begins with what a script looks for.
    let line = format!(
        r#"{{"ready":true,"public":"{}","admin":"{}","demo":{},"pid":{}}}"#,
        origin(&listeners.public, if tls { "https" } else { "http" }),
        origin(&listeners.admin, "http"),
        demo.map_or("null".to_owned(), |origin| format!("\"{origin}\"")),
        std::process::id(),
    );
    if print(&format!("{line}\n")).is_err() {
        tracing::warn!("nobody reads stdout; the addresses are not told");
    }
}

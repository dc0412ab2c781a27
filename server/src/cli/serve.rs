//! `livehelp serve`: the runtime, the listeners' addresses, the signals.

use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{CliError, files, print};
use crate::config::{Config, LogFormat, LogLevel};
use crate::http::bind;
use crate::run::{self, Listeners};
use crate::{tasks, telemetry};

/// Exit code after a second signal, as of a process that a signal ended.
const INTERRUPTED: i32 = 130;

/// The runtime that the settings ask for.
pub(super) fn runtime(config: &Config) -> Result<Runtime, CliError> {
    let threads = match config.worker_threads {
        // The other half is for the store's threads and the kernel's work for the sockets. Measured on
        // two cores: one thread costs a fifth less CPU for a message than two, and takes more of them.
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

pub(super) fn serve(mut config: Config) -> Result<ExitCode, CliError> {
    start_logs(&config);
    config.connections_max = files::connections(config.connections_max);
    runtime(&config)?.block_on(async {
        let (shutdown, down) = watch::channel(false);
        watch_signals(shutdown)?;
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
        run::run(config, listeners, down, |listeners| announce(listeners, tls)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Sends logs to stderr; once is enough.
pub(super) fn start_logs(config: &Config) {
    let lines = match config.log_format {
        LogFormat::Json => telemetry::Lines::Json,
        LogFormat::Human => telemetry::Lines::Human,
    };
    let level = match config.log_level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    };
    if telemetry::start(lines, level).is_err() {
        tracing::debug!("logs were set up before");
    }
}

/// The first signal asks for a calm end, the second one is not argued with.
fn watch_signals(shutdown: watch::Sender<bool>) -> Result<(), CliError> {
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
    Ok(())
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

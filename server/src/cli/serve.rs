//! `livehelp serve` and `livehelp check`: the runtime, the listeners' addresses, the signals.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{CliError, files, print};
use crate::clock::SystemClock;
use crate::config::{Config, LogFormat, LogLevel, Resolved, Store};
use crate::http::{Tls, bind};
use crate::run::{self, Listeners, Looked};
use crate::store::sqlite::Repaired;
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

pub(super) fn check(resolved: &Resolved) -> Result<ExitCode, CliError> {
    let config = &resolved.config;
    start_logs(config);
    if let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) {
        Tls::load(cert, key)?;
        print("certificate: good\n")?;
    }
    print("settings: good\n")?;
    if config.store == Store::Memory {
        return print(
            "store: memory, which keeps nothing; there are no keys and data to look at\n",
        );
    }
    match run::look(config)? {
        Looked::Empty if config.data.exists() => Err(CliError::EmptyData(config.data.clone())),
        Looked::Empty => Err(CliError::NoServer(config.data.clone())),
        Looked::InUse { pid } => {
            let words = "keys and data: in use by the running server, process";
            print(&format!("{words} {pid}; they were not looked into\n"))
        }
        Looked::Good { version, known } => {
            if version < known {
                let words = "the next start brings it to version";
                print(&format!("data: of version {version}; {words} {known}\n"))?;
            }
            print("keys and data: good\n")
        }
    }
}

/// `livehelp repair`: on a stopped server, for both folders are taken.
pub(super) fn repair(resolved: &Resolved, accept_loss: bool) -> Result<ExitCode, CliError> {
    let config = &resolved.config;
    start_logs(config);
    if config.store == Store::Memory {
        return Err(CliError::Refused("`store` = memory keeps nothing to repair".to_owned()));
    }
    if !config.data.exists() {
        return Err(CliError::NoServer(config.data.clone()));
    }
    let repaired = run::repair(config, accept_loss)?;
    let Repaired { fault, saved, lost, lost_commits, lost_keys, .. } = &repaired;
    if fault.is_none() && *lost_keys == 0 {
        return print("nothing is damaged: there is nothing to repair\n");
    }
    let verb = if accept_loss { ("saved", "lost") } else { ("can be saved", "would be lost") };
    let (did, gone) = verb;
    if *lost_keys > 0 {
        print(&format!("keys that do not open: {lost_keys}; what they sealed {gone}\n"))?;
    }
    if let Some(fault) = fault {
        print(&format!("{fault}\n"))?;
    }
    print(&format!("messages that only the journal has: {saved} {did}, {lost} or more {gone}\n"))?;
    if *lost_commits > 0 {
        print(&format!("the database: {lost_commits} writes that were acked {gone}\n"))?;
    }
    if !accept_loss {
        return print(
            "nothing was changed; `livehelp repair --accept-loss` goes on with what is there\n",
        );
    }
    let aside = if fault.is_some() {
        "; the damaged journal lies beside it as livehelp.journal.damaged"
    } else {
        ""
    };
    print(&format!("the next start goes on with what is there{aside}\n"))
}

/// `livehelp keys rotate`: on a stopped server, for the lock on its data is taken.
pub(super) fn rotate_keys(resolved: &Resolved) -> Result<ExitCode, CliError> {
    let config = &resolved.config;
    start_logs(config);
    if config.store == Store::Memory {
        let words = "`store` = memory has keys for one run only: there is nothing to rotate";
        return Err(CliError::Refused(words.to_owned()));
    }
    if !config.data.exists() {
        return Err(CliError::NoServer(config.data.clone()));
    }
    runtime(config)?.block_on(async {
        let opened = run::open(config, Arc::new(SystemClock))?;
        let keys = Arc::clone(&opened.keys);
        let rotated = tokio::task::spawn_blocking(move || keys.rotate_master()).await;
        crate::store::Store::close(&*opened.store).await;
        opened.keys.close();
        match rotated {
            Ok(Ok(keys)) => print(&format!("{keys} keys are wrapped under a new master key\n")),
            Ok(Err(error)) => Err(run::RunError::from(error).into()),
            Err(_) => Err(CliError::Refused("the rotation was cut off: start it again".to_owned())),
        }
    })
}

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

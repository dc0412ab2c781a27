//! Logs: where they go, how a line looks, and the names that its fields may have.
//!
//! Lives here: the one set-up of tracing and the list of field names. Not here: what is logged.
//! Called by `main` once. Ids may be logged; text, names and addresses of people never.

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// One object a line.
    Json,
    /// For a terminal.
    Human,
}

/// Every field that a log line of ours may have. Anything else is a mistake that a test finds.
pub const FIELDS: &[&str] = &[
    // What it is about.
    "tenant_id",
    "site_id",
    "conversation_id",
    "visitor_id",
    "agent_id",
    "connection_id",
    "session_id",
    "key_id",
    "message_id",
    "node_id",
    "seq",
    // What happened.
    "close_code",
    "reject_code",
    "code",
    "route",
    "method",
    "status",
    "reason",
    "attempt",
    "error",
    "cause",
    "signal",
    // How much, how long.
    "duration_ms",
    "wait_ms",
    "count",
    "bytes",
    "limit",
    // Of this machine.
    "name",
    "path",
    "setting",
    "address",
    "pid",
    "version",
];

/// The levels that an operator chose, for our own lines; the libraries beneath speak from WARN on.
fn targets(level: Level) -> Targets {
    let ours = LevelFilter::from_level(level);
    // Libraries below WARN describe what they carry, and that may be about people.
    let theirs = ours.min(LevelFilter::WARN);
    Targets::new().with_default(theirs).with_target("livehelp", ours)
}

/// The subscriber for this format and level, writing where it is told.
pub fn subscriber(
    format: Lines,
    level: Level,
    writer: BoxMakeWriter,
) -> impl tracing::Subscriber + Send + Sync {
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        Lines::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
        Lines::Human => lines.with_ansi(false).boxed(),
    };
    Registry::default().with(lines.with_filter(targets(level)))
}

/// Sends all log lines to stderr from now on.
///
/// # Errors
/// If it was called before.
pub fn start(
    format: Lines,
    level: Level,
) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(
        format,
        level,
        BoxMakeWriter::new(std::io::stderr),
    ))
}

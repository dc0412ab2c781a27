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
    "by_key_id",
    "message_id",
    "node_id",
    "seq",
    // What happened.
    "act",
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::FIELDS;

    /// The arguments of a macro, split at the commas that stand in no bracket and no text.
    fn arguments(text: &str) -> Vec<String> {
        let (mut all, mut one) = (Vec::new(), String::new());
        let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
        for sign in text.chars() {
            match sign {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '(' | '[' | '{' if !quoted => depth += 1,
                ')' | ']' | '}' if !quoted && depth == 0 => break,
                ')' | ']' | '}' if !quoted => depth -= 1,
                ',' if !quoted && depth == 0 => {
                    all.push(std::mem::take(&mut one).trim().to_owned());
                    continue;
                }
                _ => {}
            }
            one.push(sign);
        }
        all.push(one.trim().to_owned());
        all.retain(|one| !one.is_empty());
        all
    }

    /// The names of a log line's fields; an argument that is none comes back whole, so that it is not found.
    fn fields(text: &str) -> Vec<String> {
        let mut arguments = arguments(text);
        // The fixed sentence.
        arguments.retain(|argument| !argument.starts_with('"'));
        let name = |argument: String| {
            let name = argument.split_once('=').map_or(&*argument, |(name, _)| name).trim();
            name.trim_start_matches(['%', '?']).to_owned()
        };
        arguments.into_iter().map(name).collect()
    }

    fn each_file(folder: &Path, visit: &mut impl FnMut(&Path, &str)) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                each_file(&path, visit);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                visit(&path, &std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn a_log_line_has_no_field_that_is_not_on_the_list() {
        let mut lines = 0;
        let mut strangers = Vec::new();
        each_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |path, text| {
            for level in ["trace", "debug", "info", "warn", "error"] {
                for after in text.split(&format!("tracing::{level}!(")).skip(1) {
                    lines += 1;
                    let unknown = fields(after).into_iter().filter(|f| !FIELDS.contains(&&**f));
                    strangers.extend(unknown.map(|field| format!("{}: {field}", path.display())));
                }
            }
        });
        assert!(lines > 40, "the tree is read: {lines}");
        assert!(strangers.is_empty(), "{strangers:#?}");
    }

    #[test]
    fn a_field_is_found_however_it_is_written() {
        let text = r#"%agent_id, act, error = ?cause(a, "b, c"), %row.id, "said, \"so\"");"#;
        assert_eq!(fields(text), ["agent_id", "act", "error", "row.id"]);
    }
}

//! Logs: where they go, how a line looks, the names that its fields may have, and the request that
//! a line is about.
//!
//! Lives here: the one set-up of tracing, the list of field names, the id of the request that is
//! being served. Not here: what is logged. Called by `main` once. Ids may be logged; text, names
//! and addresses of people never, but where `log_sign_in_addresses` asks for those of sign-ins.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Format, Full, Json, JsonFields, Writer};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::{Layer as _, Registry};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// One object a line.
    Json,
    /// For a terminal.
    Human,
}

/// Characters of a request id that somebody else gave.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// The name of one request in answers, log lines and traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// A new one: 32 hex digits, random.
    pub fn new() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string().into())
    }

    /// One that a trusted proxy gave, if it is short and of signs that need no quoting anywhere.
    pub fn given(text: &[u8]) -> Option<Self> {
        let known = |sign: &u8| sign.is_ascii_alphanumeric() || b"-_.:+/=".contains(sign);
        let good = (1..=REQUEST_ID_CHARS_MAX).contains(&text.len()) && text.iter().all(known);
        let text = std::str::from_utf8(text).ok().filter(|_| good)?;
        Some(Self(text.into()))
    }

    /// As it stands in an answer.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

tokio::task_local! {
    static SERVED: RequestId;
}

/// Does something for a request: every line that is written meanwhile names it.
pub async fn serving<F: Future>(id: RequestId, work: F) -> F::Output {
    SERVED.scope(id, work).await
}

/// The same for what does not wait.
pub fn serving_now<T>(id: RequestId, work: impl FnOnce() -> T) -> T {
    SERVED.sync_scope(id, work)
}

/// The same for a task that goes on with what this one was asked.
pub async fn serving_on<F: Future>(id: Option<RequestId>, work: F) -> F::Output {
    match id {
        Some(id) => SERVED.scope(id, work).await,
        None => work.await,
    }
}

/// The request that is being served.
pub fn request_id() -> Option<RequestId> {
    SERVED.try_with(Clone::clone).ok()
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
    "request_id",
    "route",
    "method",
    "status",
    "reason",
    "attempt",
    "error",
    "cause",
    "signal",
    // The head of a chain of the audit, and by what its signature is checked.
    "chain",
    "hash",
    "at",
    "key",
    "signature",
    // How much, how long.
    "duration_ms",
    "wait_ms",
    "count",
    "bytes",
    "limit",
    "bytes_received",
    "days",
    // Of this machine.
    "name",
    "path",
    "setting",
    "address",
    "admin_address",
    "network",
    "pid",
    "version",
    "commit",
    "data",
    "keys",
    "bus",
    "store",
    "threads",
    "connections_max",
    "body_bytes_max",
    "outbox_bytes_max",
];

/// Whose lines are written whatever the level: `access_log` asks for each.
const ACCESS_TARGET: &str = "livehelp::http::access";

/// The levels that an operator chose, for our own lines; the libraries beneath speak from WARN on.
fn targets(level: Level) -> Targets {
    let ours = LevelFilter::from_level(level);
    // Libraries below WARN describe what they carry, and that may be about people.
    let theirs = ours.min(LevelFilter::WARN);
    Targets::new()
        .with_default(theirs)
        .with_target("livehelp", ours)
        .with_target(ACCESS_TARGET, ours.max(LevelFilter::INFO))
}

/// What an operator may have written or not while the server runs.
static ACCESS_LOG: AtomicBool = AtomicBool::new(false);
static SIGN_IN_ADDRESSES: AtomicBool = AtomicBool::new(false);

/// Whether each request and each socket has a line.
pub fn writes_access() -> bool {
    ACCESS_LOG.load(Ordering::Relaxed)
}

/// Whether the line of a sign-in has the address.
pub fn writes_sign_in_addresses() -> bool {
    SIGN_IN_ADDRESSES.load(Ordering::Relaxed)
}

/// Chooses both, for the whole process.
pub fn choose(access: bool, sign_in_addresses: bool) {
    ACCESS_LOG.store(access, Ordering::Relaxed);
    SIGN_IN_ADDRESSES.store(sign_in_addresses, Ordering::Relaxed);
}

/// A line as the format makes it, with the request that it is about.
struct OfRequest<F> {
    lines: F,
    json: bool,
}

impl<S, N, F> FormatEvent<S, N> for OfRequest<F>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(id) = request_id() else {
            return self.lines.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.lines.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end();
        match line.strip_suffix('}').filter(|_| self.json) {
            Some(open) => writeln!(writer, "{open},\"request_id\":\"{id}\"}}"),
            None => writeln!(writer, "{line} request_id={id}"),
        }
    }
}

type Filter = reload::Layer<Targets, Registry>;

/// The subscriber for this format and level, writing where it is told.
pub fn subscriber(
    format: Lines,
    level: Level,
    writer: BoxMakeWriter,
) -> impl Subscriber + Send + Sync {
    layered(format, reload::Layer::new(targets(level)).0, writer)
}

fn layered(
    format: Lines,
    filter: Filter,
    writer: BoxMakeWriter,
) -> Layered<impl tracing_subscriber::Layer<Registry> + Send + Sync, Registry> {
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        Lines::Json => {
            let json: Format<Json> = Format::default().json().flatten_event(true);
            let json = json.with_current_span(false).with_span_list(false);
            let json = OfRequest { lines: json, json: true };
            lines.fmt_fields(JsonFields::new()).event_format(json).boxed()
        }
        Lines::Human => {
            let human: Format<Full> = Format::default().with_ansi(false);
            lines.with_ansi(false).event_format(OfRequest { lines: human, json: false }).boxed()
        }
    };
    Registry::default().with(lines.with_filter(filter))
}

/// What changes the level while the process runs.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Sends all log lines to stderr from now on.
///
/// # Errors
/// If it was called before.
pub fn start(
    format: Lines,
    level: Level,
) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    let (filter, handle) = reload::Layer::new(targets(level));
    let lines = layered(format, filter, BoxMakeWriter::new(std::io::stderr));
    tracing::subscriber::set_global_default(lines)?;
    // Nobody was before: the default would have been set.
    let _first = LEVEL.set(handle);
    Ok(())
}

/// Logs from another level on, where [`start`] was called.
pub fn set_level(level: Level) {
    let changed = LEVEL.get().map(|handle| handle.reload(targets(level)));
    if let Some(Err(error)) = changed {
        tracing::error!(%error, "the level of the logs stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{FIELDS, RequestId};

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

    /// The names of a log line's fields; an argument that is none comes back whole, so that it is
    /// not found.
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

    #[test]
    fn a_given_request_id_is_taken_where_it_needs_no_quoting() {
        for good in ["a", "4bf92f3577b34da6a3ce929d0e0e4736", "Root=1-67891233-abc:1_2.3/4+"] {
            assert_eq!(RequestId::given(good.as_bytes()).unwrap().as_str(), good);
        }
        let long = "x".repeat(129);
        for bad in ["", "a b", "a\"b", "a\nb", "\u{e9}", "a,b", "{}", &long] {
            assert_eq!(RequestId::given(bad.as_bytes()), None, "{bad}");
        }
        let fresh = RequestId::new();
        assert!(fresh.as_str().len() == 32 && fresh != RequestId::new());
    }
}

//! Traces: what a request, a handshake and a message spent their time on, in OpenTelemetry's terms.
//!
//! Lives here: spans, the choice of those that are sent, the `traceparent` header (W3C Trace
//! Context), and the JSON of OTLP. Not here: sending (`http::collector`). A span has names of
//! routes, ids and codes; text, names and addresses never. While no collector is set, a span costs
//! one look at a variable and nothing else.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::clock::{Clock as _, SystemClock};
use crate::metrics::{COMMIT, VERSION};

/// Traces that wait to be sent; what comes while they are as many is lost, and counted.
const WAITING_MAX: usize = 2_048;

/// Where finished traces go; one for a process, as its logs.
static TRACER: OnceLock<Tracer> = OnceLock::new();

#[derive(Debug)]
struct Tracer {
    per_mille: AtomicU64,
    finished: mpsc::Sender<Vec<Span>>,
    lost: AtomicU64,
}

/// Finished traces, for whoever sends them.
#[derive(Debug)]
pub struct Finished(pub mpsc::Receiver<Vec<Span>>);

/// Traces from now on. `None`: it was called before.
pub fn start(per_mille: u64) -> Option<Finished> {
    let (finished, receiver) = mpsc::channel(WAITING_MAX);
    let (per_mille, lost) = (AtomicU64::new(per_mille), AtomicU64::new(0));
    TRACER.set(Tracer { per_mille, finished, lost }).ok()?;
    Some(Finished(receiver))
}

/// Sends another share of the traces from now on.
pub fn set_per_mille(per_mille: u64) {
    if let Some(tracer) = TRACER.get() {
        tracer.per_mille.store(per_mille, Ordering::Relaxed);
    }
}

/// Traces that were lost since this was last asked, for they came faster than they were sent.
pub fn take_lost() -> u64 {
    TRACER.get().map_or(0, |tracer| tracer.lost.swap(0, Ordering::Relaxed))
}

/// A span's place in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    trace: [u8; 16],
    span: [u8; 8],
    sampled: bool,
}

/// What a span belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    context: Option<Context>,
    /// Whether its word counts on what is sent. A stranger would have everything sent.
    decides: bool,
}

impl Parent {
    /// A trace of its own.
    pub const NONE: Self = Self { context: None, decides: false };

    /// What a `traceparent` header says, of somebody who is trusted or not.
    pub fn of(header: Option<&[u8]>, trusted: bool) -> Self {
        // Not read where it would lead nowhere.
        let header = header.filter(|_| TRACER.get().is_some());
        Self { context: header.and_then(read), decides: trusted }
    }
}

impl From<Option<Context>> for Parent {
    /// A span of our own.
    fn from(context: Option<Context>) -> Self {
        Self { context, decides: true }
    }
}

/// `00-<trace>-<span>-<flags>`; a later version may have more behind it.
fn read(header: &[u8]) -> Option<Context> {
    let text = std::str::from_utf8(header).ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let version = bytes::<1>(version)?;
    if version == [0xff] || (version == [0] && parts.next().is_some()) {
        return None;
    }
    let (trace, span, [flags]) = (bytes::<16>(trace)?, bytes::<8>(span)?, bytes::<1>(flags)?);
    let nobody = trace == [0; 16] || span == [0; 8];
    (!nobody).then_some(Context { trace, span, sampled: flags & 1 == 1 })
}

/// Lower-case hex digits, and exactly so many.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let known = |digit: &u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(digit);
    if digits.len() != 2 * N || !digits.iter().all(known) {
        return None;
    }
    let mut all = [0; N];
    for (byte, at) in all.iter_mut().zip((0..digits.len()).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(all)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn new_span() -> [u8; 8] {
    let [a, b, c, d, e, f, _, _, _, g, h, ..] = *uuid::Uuid::new_v4().as_bytes();
    [a, b, c, d, e, f, g, h]
}

/// What is under way.
#[derive(Debug)]
pub struct Trace {
    name: &'static str,
    context: Context,
    parent: Option<[u8; 8]>,
    began_ns: u64,
    began: Instant,
    steps: Mutex<Steps>,
}

#[derive(Debug)]
struct Steps {
    reached: Instant,
    done: Vec<(&'static str, Instant, Instant)>,
}

/// A span at its end.
#[derive(Debug)]
pub struct Span {
    context: Context,
    parent: Option<[u8; 8]>,
    name: String,
    served: bool,
    start_ns: u64,
    end_ns: u64,
    failed: bool,
    attributes: Vec<(&'static str, Attribute)>,
}

#[derive(Debug)]
enum Attribute {
    Text(String),
    Number(u64),
}

/// Begins a span, where traces are sent at all.
pub fn begin(name: &'static str, parent: Parent) -> Option<Trace> {
    let tracer = TRACER.get()?;
    Some(Trace::new(tracer, name, parent, SystemClock.instant()))
}

/// The same for a message, whose frame was read at this instant.
pub fn message(read_at: Instant) -> Option<std::sync::Arc<Trace>> {
    let tracer = TRACER.get()?;
    Some(std::sync::Arc::new(Trace::new(tracer, "message", Parent::NONE, read_at)))
}

/// Notes, where something is traced, that it came so far.
pub fn reached(trace: Option<&std::sync::Arc<Trace>>, step: &'static str) {
    if let Some(trace) = trace {
        trace.reached(step);
    }
}

impl Trace {
    fn new(tracer: &Tracer, name: &'static str, parent: Parent, began: Instant) -> Self {
        let trace = parent.context.map_or_else(|| *uuid::Uuid::new_v4().as_bytes(), |of| of.trace);
        let sampled = match parent.context {
            Some(context) if parent.decides => context.sampled,
            _ => is_chosen(trace, tracer.per_mille.load(Ordering::Relaxed)),
        };
        let since_ns = nanos(SystemClock.instant().saturating_duration_since(began));
        Self {
            name,
            context: Context { trace, span: new_span(), sampled },
            parent: parent.context.map(|of| of.span),
            began_ns: SystemClock.now().0.saturating_mul(1_000_000).saturating_sub(since_ns),
            began,
            steps: Mutex::new(Steps { reached: began, done: Vec::new() }),
        }
    }

    /// What others belong to that come of it.
    pub fn context(&self) -> Context {
        self.context
    }

    /// The step since the one before it is done.
    pub fn reached(&self, step: &'static str) {
        let now = SystemClock.instant();
        let mut steps = self.steps.lock();
        let from = std::mem::replace(&mut steps.reached, now);
        steps.done.push((step, from, now));
    }

    /// A request was answered.
    pub fn http(&self, method: &'static str, route: &str, status: u16, request_id: &str) {
        let attributes = vec![
            ("http.request.method", Attribute::Text(method.to_owned())),
            ("http.route", Attribute::Text(route.to_owned())),
            ("http.response.status_code", Attribute::Number(u64::from(status))),
            ("livehelp.request_id", Attribute::Text(request_id.to_owned())),
        ];
        // A probe that says no has done its work.
        let is_probe = matches!(route, "/readyz" | "/startupz");
        self.end(format!("{method} {route}"), status >= 500 && !is_probe, attributes);
    }

    /// A greeting was answered: by a welcome, or by this close code.
    pub fn handshake(&self, role: &'static str, close_code: Option<u16>, failed: bool) {
        let mut attributes = vec![("livehelp.role", Attribute::Text(role.to_owned()))];
        attributes.extend(
            close_code.map(|code| ("livehelp.close_code", Attribute::Number(u64::from(code)))),
        );
        self.end(self.name.to_owned(), failed, attributes);
    }

    /// A message was stored at this sequence number of its conversation, or refused.
    pub fn message(
        &self,
        role: &'static str,
        conversation: &str,
        outcome: Result<u64, (&'static str, bool)>,
    ) {
        let mut attributes = vec![
            ("livehelp.role", Attribute::Text(role.to_owned())),
            ("livehelp.conversation_id", Attribute::Text(conversation.to_owned())),
        ];
        attributes.push(match outcome {
            Ok(seq) => ("livehelp.seq", Attribute::Number(seq)),
            Err((code, _)) => ("livehelp.reject_code", Attribute::Text(code.to_owned())),
        });
        let failed = matches!(outcome, Err((_, true)));
        self.end(self.name.to_owned(), failed, attributes);
    }

    fn end(&self, name: String, failed: bool, attributes: Vec<(&'static str, Attribute)>) {
        if !self.context.sampled && !failed {
            return;
        }
        let Some(tracer) = TRACER.get() else { return };
        let at = |instant: Instant| {
            self.began_ns.saturating_add(nanos(instant.saturating_duration_since(self.began)))
        };
        let mut spans = vec![Span {
            context: self.context,
            parent: self.parent,
            name,
            served: true,
            start_ns: self.began_ns,
            end_ns: at(SystemClock.instant()),
            failed,
            attributes,
        }];
        spans.extend(self.steps.lock().done.drain(..).map(|(step, from, to)| Span {
            context: Context { span: new_span(), ..self.context },
            parent: Some(self.context.span),
            name: step.to_owned(),
            served: false,
            start_ns: at(from),
            end_ns: at(to),
            failed: false,
            attributes: Vec::new(),
        }));
        if tracer.finished.try_send(spans).is_err() {
            tracer.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// By the trace's own id, so that every node that hears of it chooses alike.
fn is_chosen(trace: [u8; 16], per_mille: u64) -> bool {
    let [.., a, b, c, d, e, f, g] = trace;
    u64::from_be_bytes([0, a, b, c, d, e, f, g]) % 1_000 < per_mille
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The body of an export request (OTLP 1.x, JSON encoding).
pub fn export(spans: &[Span], node: &str) -> Value {
    let resource = [
        ("service.name", "livehelp"),
        ("service.version", VERSION),
        ("service.instance.id", node),
        ("vcs.ref.head.revision", COMMIT),
    ];
    let text = |key: &str, text: &str| json!({ "key": key, "value": { "stringValue": text } });
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource.map(|(key, value)| text(key, value)) },
        "scopeSpans": [{
            "scope": { "name": "livehelp", "version": VERSION },
            "spans": spans.iter().map(Span::shape).collect::<Vec<_>>(),
        }],
    }] })
}

impl Span {
    fn shape(&self) -> Value {
        const INTERNAL: u8 = 1;
        const SERVER: u8 = 2;
        const ERROR: u8 = 2;
        let attribute = |(key, value): &(&str, Attribute)| match value {
            Attribute::Text(text) => json!({ "key": key, "value": { "stringValue": text } }),
            // 64 bits are text in this encoding.
            Attribute::Number(number) => {
                json!({ "key": key, "value": { "intValue": number.to_string() } })
            }
        };
        let mut shape = json!({
            "traceId": hex(&self.context.trace),
            "spanId": hex(&self.context.span),
            "name": self.name,
            "kind": if self.served { SERVER } else { INTERNAL },
            "startTimeUnixNano": self.start_ns.to_string(),
            "endTimeUnixNano": self.end_ns.to_string(),
            "attributes": self.attributes.iter().map(attribute).collect::<Vec<_>>(),
            "status": if self.failed { json!({ "code": ERROR }) } else { json!({}) },
        });
        if let Some(parent) = self.parent {
            shape["parentSpanId"] = json!(hex(&parent));
        }
        shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_as_the_standard_has_it() {
        let context = read(KNOWN.as_bytes()).unwrap();
        assert_eq!(hex(&context.trace), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(hex(&context.span), "00f067aa0ba902b7");
        assert!(
            context.sampled && !read(&[&KNOWN.as_bytes()[..54], b"0"].concat()).unwrap().sampled
        );
        assert!(read(&[b"cc", &KNOWN.as_bytes()[2..], b"-what-comes"].concat()).is_some());
        for wrong in [
            "",
            "00",
            &KNOWN.replace("00-4", "ff-4"),
            &KNOWN.replace('b', "B"),
            &format!("{KNOWN}-more"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473\u{e9}-00f067aa0ba902b7-01",
        ] {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn so_many_of_a_thousand_are_chosen_and_the_same_everywhere() {
        let traces: Vec<[u8; 16]> = (0..20_000).map(|_| *uuid::Uuid::new_v4().as_bytes()).collect();
        let chosen =
            |per_mille| traces.iter().filter(|trace| is_chosen(**trace, per_mille)).count();
        assert_eq!((chosen(0), chosen(1_000)), (0, traces.len()));
        assert!((100..400).contains(&chosen(10)), "{}", chosen(10));
    }

    /// No test of this process starts the tracer: whatever is asked meanwhile does nothing.
    #[test]
    fn nothing_is_traced_where_nobody_asked_for_it() {
        assert!(begin("http", Parent::NONE).is_none() && message(SystemClock.instant()).is_none());
        assert_eq!(Parent::of(Some(KNOWN.as_bytes()), true).context, None);
    }

    #[test]
    fn an_export_is_the_json_of_otlp() {
        let context = read(KNOWN.as_bytes()).unwrap();
        let span = Span {
            context,
            parent: Some([7; 8]),
            name: "GET /v1/sites".to_owned(),
            served: true,
            start_ns: 1,
            end_ns: 2,
            failed: true,
            attributes: vec![("http.response.status_code", Attribute::Number(500))],
        };
        let shape = export(&[span], "node-1");
        let span = &shape["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span["parentSpanId"], "0707070707070707");
        assert_eq!((&span["kind"], &span["status"]["code"]), (&json!(2), &json!(2)));
        assert_eq!(span["endTimeUnixNano"], "2");
        assert_eq!(span["attributes"][0]["value"]["intValue"], "500");
    }
}

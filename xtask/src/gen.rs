//! Writes what both ends must agree on out of the protocol crate: `protocol/ts/src/wire/frames.ts`
//! and the tables of `docs/wire.md`; and what the crate `deploy` makes for SREs.
//!
//! Lives here: the way from a Rust type's name to its TypeScript type, its shape for the codec and
//! its words for people. Not here: the codec that reads the shapes
//! (`protocol/ts/src/wire/codec.ts`). Called by `cargo xtask gen`, and by `cargo xtask test` with
//! `check`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use protocol::conversation::{
    AgentCard, Availability, AvailabilityCause, ConversationCard, ConversationState, FormAnswer,
    Marks, PageView, Presence, ResumePoint, Role, SiteAvailability, VisitorCard,
};
use protocol::frame::{
    ClientFrame, ClientRole, FieldSchema, Schema, Senders, ServerFrame, SiteState, WatchTopic,
    WireLimits,
};
use protocol::ids::{AgentId, ConversationId, MessageId, SessionId, SiteId, TagId, VisitorId};
use protocol::limits;
use protocol::message::{AuthorKind, EventKind, Visibility};
use protocol::reject::{CloseCode, RETRYABLE_FROM, RejectCode, VERDICTS, Verdict};

const FRAMES_TS: &str = "protocol/ts/src/wire/frames.ts";
const WIRE_MD: &str = "docs/wire.md";

/// Writes the generated files; with `check` it only says which of them are not what they should be.
///
/// # Errors
/// If a type of the protocol has no TypeScript form yet, a file cannot be written, or `check` finds
/// a stale one.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let root = root()?;
    let frames = typescript()?;
    settle(&root.join(FRAMES_TS), &frames, check)?;
    let wire = root.join(WIRE_MD);
    let text = std::fs::read_to_string(&wire).with_context(|| format!("read {WIRE_MD}"))?;
    settle(&wire, &tables(&text)?, check)?;
    deploy::files().iter().try_for_each(|made| settle(&root.join(&made.path), &made.text, check))
}

fn root() -> anyhow::Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(manifest.parent().context("xtask lies in the repository's root")?.to_path_buf())
}

fn settle(path: &Path, wanted: &str, check: bool) -> anyhow::Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    if check {
        bail!("{} is stale: run `cargo xtask gen`", path.display());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, wanted).with_context(|| format!("write {}", path.display()))
}

/// The prefixes of the ids that travel in frames.
const IDS: &[(&str, &str)] = &[
    ("AgentId", AgentId::PREFIX),
    ("ConversationId", ConversationId::PREFIX),
    ("MessageId", MessageId::PREFIX),
    ("SessionId", SessionId::PREFIX),
    ("SiteId", SiteId::PREFIX),
    ("TagId", TagId::PREFIX),
    ("VisitorId", VisitorId::PREFIX),
];

struct Codes {
    name: &'static str,
    values: Vec<(u8, &'static str)>,
    meanings: &'static [&'static str],
    /// What a reader takes a code for that it does not know, from which code on: these sets grow.
    unknown: &'static [(u8, &'static str)],
}

const CLOSED: &[(u8, &str)] = &[];
const OPEN: &[(u8, &str)] = &[(0, "unknown")];
/// Whether it may be tried again is known of every refusal.
const REFUSALS: &[(u8, &str)] = &[(0, "unknown"), (RETRYABLE_FROM, "unknown-retryable")];

fn codes() -> Vec<Codes> {
    macro_rules! tables {
        ($( $name:ident $unknown:ident ),+ $(,)?) => { vec![ $( Codes {
            name: stringify!($name),
            unknown: $unknown,
            values: $name::ALL.iter().map(|(_, code, word)| (*code, *word)).collect(),
            meanings: $name::MEANINGS,
        } ),+ ] };
    }
    tables![
        AuthorKind CLOSED,
        Availability CLOSED,
        AvailabilityCause OPEN,
        ClientRole CLOSED,
        ConversationState CLOSED,
        EventKind OPEN,
        Presence CLOSED,
        RejectCode REFUSALS,
        Role CLOSED,
        SiteAvailability CLOSED,
        Visibility CLOSED,
        WatchTopic CLOSED,
    ]
}

/// The two records that the protocol writes by hand because a part of them borrows or is left out.
const AUTHOR: Schema = Schema {
    name: "Author",
    code: 0,
    word: "",
    doc: " Who said it.\n",
    fields: &[
        FieldSchema { name: "kind", ty: "AuthorKind", optional: false, doc: "" },
        FieldSchema { name: "agent", ty: "AgentId", optional: true, doc: " Agents only.\n" },
    ],
};
const MESSAGE: Schema = Schema {
    name: "Message",
    code: 0,
    word: "",
    doc: " One thing said, in its place.\n",
    fields: &[
        FieldSchema { name: "seq", ty: "Seq", optional: false, doc: "" },
        FieldSchema { name: "message", ty: "MessageId", optional: false, doc: "" },
        FieldSchema { name: "author", ty: "Author", optional: false, doc: "" },
        FieldSchema { name: "at", ty: "UnixMillis", optional: false, doc: "" },
        FieldSchema { name: "body", ty: "Body<'a>", optional: false, doc: "" },
        FieldSchema {
            name: "expires",
            ty: "Option<Day>",
            optional: false,
            doc: " The first day on which it can no longer be read.\n",
        },
        FieldSchema {
            name: "visibility",
            ty: "Visibility",
            optional: true,
            doc: " Absent: everyone.\n",
        },
    ],
};

/// A body is text or an array that begins with its form, which no record can say.
const BODY_TS: &str = "
/** What was said: words, or an event message and the agent it is about. */
export type Body =
  | { kind: 'text'; text: string }
  | { kind: 'event'; event: EventKind; agent?: AgentId }
  | { kind: 'unknown' };
export const BODY: BodyShape = { event: EVENT_KIND };
";

/// In the order in which each is defined before it is used.
const RECORDS: &[Schema] = &[
    AUTHOR,
    MESSAGE,
    AgentCard::SCHEMA,
    VisitorCard::SCHEMA,
    Marks::SCHEMA,
    FormAnswer::SCHEMA,
    ConversationCard::SCHEMA,
    ResumePoint::SCHEMA,
    PageView::SCHEMA,
    WireLimits::SCHEMA,
    SiteState::SCHEMA,
];

/// A Rust type as it reads on the wire.
#[derive(Debug, PartialEq)]
enum Wire {
    /// With its width, in words.
    Number(&'static str),
    Text,
    Flag,
    Id(&'static str, &'static str),
    Codes(String),
    Record(String),
    Body,
    List(Box<Wire>),
    OrNull(Box<Wire>),
}

impl Wire {
    fn of(rust: &str) -> anyhow::Result<Self> {
        let name: String = rust.replace("<'a>", "").replace(char::is_whitespace, "");
        let inside = |outer: &str| {
            name.strip_prefix(outer)?.strip_prefix('<')?.strip_suffix('>').map(str::to_owned)
        };
        if let Some(inner) = inside("Option") {
            return Ok(Self::OrNull(Box::new(Self::of(&inner)?)));
        }
        if let Some(inner) = inside("List").or_else(|| inside("Vec")) {
            let item = inner.rsplit_once(',').map_or(inner.as_str(), |(item, _)| item);
            return Ok(Self::List(Box::new(Self::of(item)?)));
        }
        if let Some(inner) = inside("Personal") {
            return Self::of(&inner);
        }
        if let Some((id, prefix)) = IDS.iter().find(|(id, _)| *id == name) {
            return Ok(Self::Id(id, prefix));
        }
        if codes().iter().any(|codes| codes.name == name) {
            return Ok(Self::Codes(name));
        }
        if RECORDS.iter().any(|record| record.name == name) {
            return Ok(Self::Record(name));
        }
        Ok(match name.as_str() {
            "u8" => Self::Number("number, 8 bits"),
            "u16" => Self::Number("number, 16 bits"),
            "u32" | "RequestId" => Self::Number("number, 32 bits"),
            "u64" => Self::Number("number, 64 bits"),
            "Seq" => Self::Number("sequence number, 63 bits"),
            "UnixMillis" => Self::Number("Unix milliseconds, 64 bits"),
            "Day" => Self::Number("day since 2020-01-01, 16 bits"),
            "String" | "Text" | "SiteKey" => Self::Text,
            "bool" => Self::Flag,
            "Body" => Self::Body,
            _ => {
                bail!("the type {rust} has no form in TypeScript yet: name it in xtask/src/gen.rs")
            }
        })
    }

    fn typescript(&self) -> String {
        match self {
            Self::Number(_) => "number".to_owned(),
            Self::Text => "string".to_owned(),
            Self::Flag => "boolean".to_owned(),
            Self::Id(name, _) => (*name).to_owned(),
            Self::Codes(name) | Self::Record(name) => name.clone(),
            Self::Body => "Body".to_owned(),
            Self::List(item) => format!("readonly {}[]", item.typescript()),
            Self::OrNull(inner) => format!("{} | null", inner.typescript()),
        }
    }

    /// What `codec.ts` needs to read and write it.
    fn shape(&self) -> String {
        match self {
            Self::Number(_) => "NUMBER".to_owned(),
            Self::Text => "TEXT".to_owned(),
            Self::Flag => "FLAG".to_owned(),
            Self::Id(_, prefix) => format!("'{prefix}'"),
            Self::Codes(name) | Self::Record(name) => constant(name),
            Self::Body => "BODY".to_owned(),
            Self::List(item) => format!("{{ list: {} }}", item.shape()),
            Self::OrNull(inner) => format!("{{ orNull: {} }}", inner.shape()),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Number(words) => (*words).to_owned(),
            Self::Text => "text".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Id(_, prefix) => format!("id `{prefix}_`"),
            Self::Codes(name) | Self::Record(name) => {
                format!("[{name}](#{})", name.to_lowercase())
            }
            Self::Body => "[Body](#body)".to_owned(),
            Self::List(item) => format!("list of {}", item.words()),
            Self::OrNull(inner) => format!("{} or nil", inner.words()),
        }
    }
}

/// `ConversationCard` to `CONVERSATION_CARD`.
fn constant(name: &str) -> String {
    let mut constant = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !constant.is_empty() {
            constant.push('_');
        }
        constant.push(letter.to_ascii_uppercase());
    }
    constant
}

fn doc_lines(doc: &str) -> String {
    doc.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn typescript() -> anyhow::Result<String> {
    let mut out = String::from(
        "// Made by `cargo xtask gen` out of the crate `protocol`; changes go there.\n\
         import { FLAG, NUMBER, TEXT } from './codec.ts';\n\
         import type { BodyShape, CodeTable, FrameSchema, RecordShape } from './codec.ts';\n\n",
    );
    for (name, prefix) in IDS {
        writeln!(out, "export type {name} = `{prefix}_${{string}}`;")?;
    }
    for table in codes() {
        code_table(&mut out, &table)?;
    }
    out.push_str(BODY_TS);
    for record in RECORDS {
        writeln!(out, "\n/** {} */", doc_lines(record.doc))?;
        writeln!(out, "export interface {} {{", record.name)?;
        fields(&mut out, record)?;
        out.push_str("}\n");
        let name = constant(record.name);
        write!(out, "export const {name}: RecordShape<{}> = ", record.name)?;
        shape(&mut out, record)?;
    }
    union(&mut out, "Client", ClientFrame::SCHEMA)?;
    union(&mut out, "Server", ServerFrame::SCHEMA)?;
    verdicts(&mut out)?;
    for (name, value) in bounds() {
        writeln!(out, "export const {name} = {value};")?;
    }
    Ok(out)
}

/// What a client does about refusals and about the end of a connection.
fn verdicts(out: &mut String) -> anyhow::Result<()> {
    let known = RejectCode::ALL.iter().map(|(_, code, word)| (*code, *word));
    let retryable: Vec<String> = known
        .chain(REFUSALS.iter().copied())
        .filter(|(code, _)| *code >= RETRYABLE_FROM)
        .map(|(_, word)| format!("'{word}'"))
        .collect();
    writeln!(
        out,
        "\n/** The refusals after which the same frame may succeed later. */\n\
         export const RETRYABLE: readonly RejectCode[] = [{}];",
        retryable.join(", ")
    )?;
    out.push_str("\n// What ends a connection.\n");
    for (close, code, _) in CloseCode::ALL {
        writeln!(out, "export const CLOSE_{} = {code};", constant(&format!("{close:?}")))?;
    }
    out.push_str(
        "\n/** What a client does after a connection ended. */\n\
         export type Verdict = 'done' | 'stop' | 'retry' | 'now';\n\
         /** By ranges of close codes, both ends included; after all others a client comes back with jitter: `retry`. */\n\
         export const VERDICTS: readonly (readonly [from: number, to: number, verdict: Verdict])[] = [\n",
    );
    for (from, to, verdict) in VERDICTS {
        let word = match verdict {
            Verdict::Done => "done",
            Verdict::Stop => "stop",
            Verdict::Retry => "retry",
            Verdict::Now => "now",
        };
        writeln!(out, "  [{from}, {to}, '{word}'],")?;
    }
    out.push_str("];\n\n");
    Ok(())
}

/// The bounds that a client minds.
fn bounds() -> [(&'static str, u64); 10] {
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    [
        ("FRAME_BYTES_MAX", wide(limits::FRAME_BYTES_MAX)),
        ("TEXT_BYTES_MAX", wide(limits::TEXT_BYTES_MAX)),
        ("TEXT_CHARS_MAX", wide(limits::TEXT_CHARS_MAX)),
        ("ANSWER_BYTES_MAX", wide(limits::ANSWER_BYTES_MAX)),
        ("RESUME_POINTS_MAX", wide(limits::RESUME_POINTS_MAX)),
        ("HISTORY_MESSAGES_MAX", u64::from(limits::HISTORY_MESSAGES_MAX)),
        ("BOARD_CONVERSATIONS_MAX", wide(limits::BOARD_CONVERSATIONS_MAX)),
        ("DEPTH_MAX", wide(limits::DEPTH_MAX)),
        ("TYPING_MS", limits::TYPING_MS),
        ("PONG_MS", limits::PONG_MS),
    ]
}

/// These, and what else a client of the wire's document minds.
fn all_bounds() -> Vec<(&'static str, u64)> {
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let more = [
        ("HELLO_BYTES_MAX", wide(limits::HELLO_BYTES_MAX)),
        ("ANSWERS_MAX", wide(limits::ANSWERS_MAX)),
        ("URL_BYTES_MAX", wide(limits::URL_BYTES_MAX)),
        ("WORD_BYTES_MAX", wide(limits::WORD_BYTES_MAX)),
        ("RESUME_MESSAGES_MAX", wide(limits::RESUME_MESSAGES_MAX)),
        ("ROOMS_PER_CONNECTION_MAX", wide(limits::ROOMS_PER_CONNECTION_MAX)),
        ("CAPACITY_MAX", u64::from(limits::CAPACITY_MAX)),
        ("SEQ_MAX", limits::SEQ_MAX),
    ];
    bounds().into_iter().chain(more).collect()
}

fn code_table(out: &mut String, table: &Codes) -> anyhow::Result<()> {
    let Codes { name, values, unknown, .. } = table;
    let words: Vec<String> =
        values.iter().chain(*unknown).map(|(_, word)| format!("'{word}'")).collect();
    writeln!(out, "\nexport type {name} = {};", words.join(" | "))?;
    let pairs: Vec<String> =
        values.iter().map(|(code, word)| format!("{code}: '{word}'")).collect();
    let others: Vec<String> =
        unknown.iter().map(|(from, word)| format!("[{from}, '{word}']")).collect();
    let end = match others.as_slice() {
        [] => String::new(),
        others => format!(", unknown: [{}]", others.join(", ")),
    };
    writeln!(
        out,
        "export const {}: CodeTable<{name}> = {{ words: {{ {} }}{end} }};",
        constant(name),
        pairs.join(", ")
    )?;
    Ok(())
}

fn fields(out: &mut String, schema: &Schema) -> anyhow::Result<()> {
    for field in schema.fields {
        let doc = doc_lines(field.doc);
        if !doc.is_empty() {
            writeln!(out, "  /** {doc} */")?;
        }
        let mark = if field.optional { "?" } else { "" };
        writeln!(out, "  {}{mark}: {};", field.name, Wire::of(field.ty)?.typescript())?;
    }
    Ok(())
}

/// The end of a constant: how many fields must be there, and every field's name and shape.
fn shape(out: &mut String, schema: &Schema) -> anyhow::Result<()> {
    let required = schema.fields.iter().filter(|field| !field.optional).count();
    let mut head = String::new();
    if schema.code != 0 {
        write!(head, "code: {}, word: '{}', ", schema.code, schema.word)?;
    }
    writeln!(out, "{{\n  {head}required: {required},\n  fields: [")?;
    for field in schema.fields {
        writeln!(out, "    ['{}', {}],", field.name, Wire::of(field.ty)?.shape())?;
    }
    out.push_str("  ],\n};\n");
    Ok(())
}

fn union(out: &mut String, side: &str, frames: &[Schema]) -> anyhow::Result<()> {
    for frame in frames {
        let name = format!("{side}{}", frame.name);
        writeln!(out, "\n/** {} */", doc_lines(frame.doc))?;
        writeln!(out, "export interface {name} {{\n  kind: '{}';", frame.word)?;
        fields(out, frame)?;
        out.push_str("}\n");
        write!(out, "export const {}: FrameSchema<{name}> = ", constant(&name))?;
        shape(out, frame)?;
    }
    let names: Vec<String> =
        frames.iter().map(|frame| format!("  | {side}{}", frame.name)).collect();
    writeln!(out, "\nexport type {side}Frame =\n{};", names.join("\n"))?;
    let constants: Vec<String> = frames
        .iter()
        .map(|frame| format!("  {},", constant(&format!("{side}{}", frame.name))))
        .collect();
    writeln!(
        out,
        "/** Every kind, for a client that wants them all; one that names its own is smaller. */\n\
         export const {}_FRAMES: readonly FrameSchema<{side}Frame>[] = [\n{}\n];",
        side.to_uppercase(),
        constants.join("\n")
    )?;
    Ok(())
}

/// Puts the tables between their marks in the specification.
fn tables(text: &str) -> anyhow::Result<String> {
    let mut text = text.to_owned();
    for (mark, table) in [
        ("client frames", frame_tables(ClientFrame::SCHEMA, ClientFrame::SENDERS)?),
        ("server frames", frame_tables(ServerFrame::SCHEMA, &[])?),
        ("records", record_tables()?),
        ("codes", code_tables()?),
        ("close codes", close_table()?),
        ("bounds", bound_table()?),
    ] {
        let begin = format!("<!-- made by xtask gen: {mark} -->\n");
        let end = format!("<!-- end: {mark} -->");
        let (head, rest) =
            text.split_once(&begin).with_context(|| format!("{WIRE_MD} lacks the mark {begin}"))?;
        let (_, tail) =
            rest.split_once(&end).with_context(|| format!("{WIRE_MD} lacks the mark {end}"))?;
        text = format!("{head}{begin}\n{table}\n{end}{tail}");
    }
    Ok(text)
}

fn field_rows(out: &mut String, schema: &Schema) -> anyhow::Result<()> {
    out.push_str("| field | type | |\n|---|---|---|\n");
    for field in schema.fields {
        let optional = if field.optional { "may be absent. " } else { "" };
        writeln!(
            out,
            "| `{}` | {} | {optional}{} |",
            field.name,
            Wire::of(field.ty)?.words(),
            doc_lines(field.doc)
        )?;
    }
    out.push('\n');
    Ok(())
}

/// Prose on lines of 100 columns.
fn filled(words: &str) -> String {
    let lines = textwrap::Options::new(100)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(words, lines)
}

/// `senders`, where clients say them: who says each of them.
fn frame_tables(frames: &[Schema], senders: &[Senders]) -> anyhow::Result<String> {
    let mut out = String::new();
    for (at, frame) in frames.iter().enumerate() {
        let whose = match senders.get(at) {
            None | Some(Senders::Everyone) => "",
            Some(Senders::Visitors) => " For visitors.",
            Some(Senders::Agents) => " For agents.",
        };
        let words = filled(&format!("{}{whose}", doc_lines(frame.doc)));
        writeln!(out, "#### {} `{}`\n\n{words}\n", frame.code, frame.word)?;
        if !frame.fields.is_empty() {
            field_rows(&mut out, frame)?;
        }
    }
    Ok(out.trim_end().to_owned())
}

fn record_tables() -> anyhow::Result<String> {
    let mut out = String::new();
    for record in RECORDS {
        writeln!(out, "#### {}\n\n{}\n", record.name, filled(&doc_lines(record.doc)))?;
        field_rows(&mut out, record)?;
    }
    Ok(out.trim_end().to_owned())
}

fn code_tables() -> anyhow::Result<String> {
    let mut out = String::new();
    for Codes { name, values, unknown, meanings } in codes() {
        let grows = match unknown {
            [] => "It is closed; pass over what has another code.".to_owned(),
            [_] => "It grows; take an unknown code as `unknown`.".to_owned(),
            [..] => format!(
                "It grows; a code that you do not know refuses for a while from {RETRYABLE_FROM} on, for good below."
            ),
        };
        writeln!(out, "#### {name}\n\n{grows}\n\n| code | word | |\n|---|---|---|")?;
        for ((code, word), meaning) in values.iter().zip(meanings) {
            writeln!(out, "| {code} | `{word}` | {} |", doc_lines(meaning))?;
        }
        out.push('\n');
    }
    Ok(out.trim_end().to_owned())
}

fn close_table() -> anyhow::Result<String> {
    let mut out = String::from("| code | words | | the client |\n|---|---|---|---|\n");
    for ((code, number, word), meaning) in CloseCode::ALL.iter().zip(CloseCode::MEANINGS) {
        let verdict = match code.verdict() {
            Verdict::Done => "is done",
            Verdict::Stop => "stops",
            Verdict::Retry => "comes back with jitter",
            Verdict::Now => "comes back at once",
        };
        writeln!(out, "| {number} | {word} | {} | {verdict} |", doc_lines(meaning))?;
    }
    Ok(out.trim_end().to_owned())
}

fn bound_table() -> anyhow::Result<String> {
    let mut out = String::from("| bound | value |\n|---|---|\n");
    for (name, value) in all_bounds() {
        writeln!(out, "| `{name}` | {value} |")?;
    }
    Ok(out.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_wire_has_a_form_in_typescript() {
        let typescript = typescript().unwrap();
        assert!(typescript.contains("export const SERVER_MESSAGE: FrameSchema<ServerMessage>"));
        assert!(typescript.contains("expires: number | null;"));
        assert!(typescript.contains("  token?: string;"));
    }

    #[test]
    fn a_constant_is_spelled_in_capitals() {
        assert_eq!(constant("ConversationCard"), "CONVERSATION_CARD");
    }

    #[test]
    fn an_unknown_type_is_named() {
        let error = Wire::of("HashMap<u8, u8>").unwrap_err();
        assert!(error.to_string().contains("HashMap<u8, u8>"));
    }

    #[test]
    fn what_is_committed_is_what_would_be_written() {
        run(true).unwrap();
    }
}

//! Where anything about a person lies: the inventory, and `docs/data-inventory.md`, which is made
//! of it.
//!
//! Lives here: what is not a record (the transcript's tables, files, and what a running server has
//! in memory), and the document. Records are in it by their declarations. Each place says how it is
//! cleared when a person is erased and when a day is over: tables by [`super::Retention::forget`]
//! and [`super::Retention::clean_up`], which clear all of them. A test compares this with the
//! database's own list of columns, and another with the document.

use protocol::ids::TenantId;
use protocol::retention::RetentionClass;

use super::record::{Column, DECLARED, Destroyed, Ends, Forgotten, Role, Table};
use crate::privacy::seal::{Bucket, Subject};
use crate::prose::{filled, point};

/// A table that no record's declaration covers, or something that lies elsewhere.
#[derive(Debug)]
pub struct Place {
    pub name: &'static str,
    pub about: &'static str,
    /// Columns of a table, with blanks between: those that are sealed, then the others.
    pub sealed: &'static str,
    pub open: &'static str,
    /// Whose it is; none: nobody's.
    pub person: Option<&'static str>,
    /// Which classes of retention it has.
    pub class: Option<&'static str>,
    /// What becomes of it when the person is erased.
    pub erased: &'static str,
    /// What becomes of it when its bucket is over.
    pub over: &'static str,
}

impl Place {
    /// A table that says nothing about anybody and has nothing sealed; name, words and columns are
    /// each one's own.
    const OPEN: Self = Self {
        name: "",
        about: "",
        sealed: "",
        open: "",
        person: None,
        class: None,
        erased: "stays",
        over: "stays",
    };
}

/// A place in a running server's memory, and how it lets go of what a person's or a bucket's key
/// has sealed elsewhere. Nothing that is looked up in it before the end of such a call is found by
/// name after it.
#[derive(Debug)]
pub struct InMemory<H> {
    /// As in [`ELSEWHERE`].
    pub name: &'static str,
    pub forget_subject: fn(&H, TenantId, Subject),
    pub forget_bucket: fn(&H, &Bucket),
}

/// Tables of the transcript and of retention, as SQLite has them.
pub const TABLES: &[Place] = &[
    Place {
        name: "messages",
        about: "what was said, notes and event messages among it",
        sealed: "body",
        open: "id conversation seq bucket message author agent visibility at seen_seq purposes \
            flags policy",
        person: Some("the visitor"),
        class: Some("transcript, offline message, agent note"),
        erased: "deleted; seqs are not given again",
        over: "deleted; seqs are not given again",
    },
    Place {
        name: "marks",
        about: "how far somebody has come in a conversation",
        open: "conversation author agent delivered seen",
        person: Some("the visitor"),
        erased: "goes with the conversation",
        over: "goes with the conversation",
        ..Place::OPEN
    },
    Place {
        name: "message_runs",
        about: "which messages some readers do not get: two seqs",
        open: "conversation run last first",
        person: Some("the visitor"),
        erased: "deleted",
        over: "goes with the conversation",
        ..Place::OPEN
    },
    Place {
        name: "changes",
        about: "when a conversation changed last",
        open: "id tenant at conversation",
        person: Some("the visitor"),
        erased: "goes with the conversation",
        over: "goes with the conversation",
        ..Place::OPEN
    },
    Place {
        name: "conversation_tags",
        about: "which conversations have a label",
        open: "tag created_at conversation",
        person: Some("the visitor"),
        erased: "goes with the conversation",
        over: "goes with the conversation",
        ..Place::OPEN
    },
    Place {
        name: "change_mark",
        about: "the moment of the latest change",
        open: "id at",
        ..Place::OPEN
    },
    Place {
        name: "feed",
        about: "that something changed, for who reads it: ids, versions and days",
        open: "id tenant site kind object version subject day",
        person: Some("the visitor, or the agent"),
        erased: "stays: ids alone, which nothing else has any more",
        over: "deleted after 30 days",
        ..Place::OPEN
    },
    Place {
        name: "buckets",
        about: "which Organization, site, class and day has something sealed",
        open: "id tenant site class day message_first message_end",
        over: "deleted, once everything in it is",
        ..Place::OPEN
    },
    Place {
        name: "meta",
        about: "the file itself: its version of the keys, how far the journal is checkpointed, the latest trusted time",
        open: "id generation keys_mark high_water pulse destroyed_by journal_epoch store_id \
            commits journal_batches journal_rows journal_sum journal_need in_file",
        ..Place::OPEN
    },
];

/// What lies beside the database, and what a running server has in memory.
pub const ELSEWHERE: &[Place] = &[
    elsewhere(
        "livehelp.journal",
        "messages that are acked and not in the database yet, bodies sealed; checkpointed within about a second",
        "checkpointed before the database forgets, then overwritten",
        "checkpointed before the database forgets, then overwritten",
    ),
    elsewhere(
        "livehelp.sqlite-wal",
        "pages that are not in the database's file yet, personal columns sealed",
        "emptied at the end",
        "emptied at the end",
    ),
    elsewhere(
        "backups",
        "the database as it was, without keys; the keys are an artefact of their own",
        "noise, as soon as no copy of the keys is left that is older than the erasure",
        "noise, as soon as no copy of the keys is left that is older than the day's end",
    ),
    elsewhere(
        "live rooms",
        "the newest messages of a conversation that somebody looks at, in plain text",
        "dropped with the room, when nobody looks at it any more",
        "not shown from that day on; dropped with the room",
    ),
    elsewhere(
        "desks",
        "headers of conversations that are not closed: names, forms, pages, the newest words",
        "dropped when the conversation is closed",
        "emptied within a minute, dropped when the conversation is closed",
    ),
    elsewhere(
        "outboxes",
        "encoded frames on their way to a connection; bounded in bytes",
        "gone when they are written or the connection ends",
        "gone when they are written or the connection ends",
    ),
    elsewhere(
        "sneak peeks",
        "what a visitor is typing; never stored",
        "gone with the next one, or the connection",
        "gone with the next one, or the connection",
    ),
    elsewhere(
        "caches of sites, sessions and keys",
        "who is signed in: ids, roles, hashes of secrets; no text",
        "gone with the session",
        "gone with the session",
    ),
    elsewhere(
        "rate limits and the brake on guessing",
        "addresses and keyed hashes with counters; bounded in number",
        "forgotten by age",
        "forgotten by age",
    ),
];

const fn elsewhere(
    name: &'static str,
    about: &'static str,
    erased: &'static str,
    over: &'static str,
) -> Place {
    Place { name, about, person: Some("visitors and agents"), erased, over, ..Place::OPEN }
}

const HEAD: &str = "# Data inventory

<!-- Made by `cargo run -p livehelp --example reference docs`; a test compares it. -->
";

const ABOUT: &str = "Every place where something about a person lies, made from the declarations in \
`server/src/store`. What is *sealed* is encrypted under two keys, the bucket's (Organization, site, class and day) and \
the person's; destroying either makes it unreadable wherever it lies, and then the rows are cleared. A test fails when \
the database has a table or a column that is not in this list.";

/// The document.
pub fn document() -> String {
    let mut text = format!("{HEAD}\n{}", filled(ABOUT, ""));
    text.push_str("\n## Records\n");
    for declared in DECLARED {
        record(declared.table, &mut text);
    }
    for (title, places) in [("Conversations", TABLES), ("Elsewhere", ELSEWHERE)] {
        text.push_str(&format!("\n## {title}\n"));
        places.iter().for_each(|kept| place(kept, &mut text));
    }
    text
}

fn heading(name: &str, about: &str, text: &mut String) {
    text.push_str(&format!("\n### {name}\n\n{}\n", filled(&sentence(about), "")));
}

/// The same words as a sentence.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn names(columns: impl IntoIterator<Item = &'static str>) -> String {
    let names: Vec<_> = columns.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn record(table: &'static Table, text: &mut String) {
    heading(table.name, table.about, text);
    let of = |role: fn(&Column) -> bool| table.columns.iter().filter(move |column| role(column));
    let sealed = names(of(|column| column.role == Role::Sealed).map(|column| column.name));
    if !sealed.is_empty() {
        text.push_str(&point(&format!("Sealed: {sealed}.")));
    }
    let open =
        of(|column| !matches!(column.role, Role::Sealed | Role::Former { .. } | Role::Outer));
    text.push_str(&point(&format!("Open: {}.", names(open.map(|column| column.name)))));
    for column in table.columns {
        match column.role {
            Role::FoundBy(by) => {
                let whole = if by.everywhere { "the whole server" } else { "one Organization" };
                let of =
                    by.of.map_or_else(|| "a value that is not kept".to_owned(), |of| names([of]));
                text.push_str(&point(&format!(
                    "Found by: `{}`, a keyed hash of {of} within {whole}.",
                    column.name
                )));
            }
            Role::Former { now } => text.push_str(&point(&format!(
                "Empty: `{}`; an earlier version had there in the open what is in `{now}` now.",
                column.name
            ))),
            Role::Plain | Role::Sealed | Role::Bucket | Role::Counted => {}
            Role::Within | Role::Outer => {}
        }
    }
    if let Some(person) = table.person {
        text.push_str(&point(&format!("Person: `{person}`.")));
        let too = match table.erased {
            [] => String::new(),
            columns => format!(", {} too", names(columns.iter().copied())),
        };
        let becomes = becomes(table.forgotten);
        text.push_str(&point(&format!("When they are erased: {becomes}{too}.")));
    }
    if let Some(seal) = &table.seal {
        let unread = match seal.destroyed {
            Destroyed::Gone => "not found",
            Destroyed::Nameless => "found without what was sealed",
        };
        text.push_str(&point(&format!(
            "Class: {}{}, from the day of `{}`. When that key is destroyed: {unread}{}.",
            class(seal.class),
            seal.or_class.map_or_else(String::new, |(flag, other)| {
                format!(" ({} where `{flag}` is set)", class(other))
            }),
            seal.since,
            table
                .bucket()
                .map_or_else(String::new, |_| format!(", then {}", becomes(table.forgotten))),
        )));
    }
    let ends = match table.ends {
        Ends::Never => return,
        Ends::At(column) => format!("at `{column}`"),
        Ends::After(column, ms) => format!("{} h after `{column}`", ms / 3_600_000),
    };
    text.push_str(&point(&format!("Over: {ends}, then deleted by the sweep.")));
}

/// `UserAccount` as two words.
fn class(class: RetentionClass) -> String {
    let words = format!("{class:?}").chars().flat_map(spelled).collect::<String>();
    words.trim().to_owned()
}

fn spelled(letter: char) -> impl Iterator<Item = char> {
    letter.is_uppercase().then_some(' ').into_iter().chain(letter.to_lowercase())
}

fn becomes(forgotten: Forgotten) -> &'static str {
    match forgotten {
        Forgotten::Stays => "it stays",
        Forgotten::Deleted => "deleted",
        Forgotten::Blanked { .. } => "emptied, since others name its id",
    }
}

fn place(place: &Place, text: &mut String) {
    heading(place.name, place.about, text);
    let list = |what: &str, columns: &'static str| match columns {
        "" => String::new(),
        columns => point(&format!("{what}: {}.", names(columns.split(' ')))),
    };
    text.push_str(&list("Sealed", place.sealed));
    text.push_str(&list("Open", place.open));
    if let Some(person) = place.person {
        let class = place.class.map_or_else(String::new, |class| format!(" Class: {class}."));
        text.push_str(&point(&format!("Person: {person}.{class}")));
        text.push_str(&point(&format!("When they are erased: {}.", place.erased)));
        text.push_str(&point(&format!("When the day is over: {}.", place.over)));
    }
}

/// What a table's columns are called, its own number among them.
#[cfg(test)]
pub(in crate::store) fn columns(
    table: &str,
) -> Option<Vec<(&'static str, Option<super::record::Holds>, bool)>> {
    let record = DECLARED.iter().find(|declared| declared.table.name == table);
    if let Some(declared) = record {
        let columns = declared.table.columns.iter();
        let columns = columns.filter(|column| column.role != Role::Outer);
        let columns = columns.map(|column| (column.name, Some(column.holds), column.optional));
        return Some(
            std::iter::once(("id", Some(super::record::Holds::Number), true))
                .chain(columns)
                .collect(),
        );
    }
    let place = TABLES.iter().find(|place| place.name == table)?;
    let all = [place.sealed, place.open].into_iter().flat_map(|names| names.split(' '));
    Some(all.filter(|name| !name.is_empty()).map(|name| (name, None, false)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_lists_what_is_declared() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/data-inventory.md");
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == document(),
            "docs/data-inventory.md is stale: cargo run -p livehelp --example reference docs"
        );
    }

    #[test]
    fn what_is_about_a_person_says_how_it_is_forgotten() {
        for declared in DECLARED {
            let table = declared.table;
            let sealed = table.columns.iter().any(|column| column.role == Role::Sealed);
            assert_eq!(sealed, table.seal.is_some(), "{}", table.name);
            let stays = table.forgotten == Forgotten::Stays;
            assert_eq!(table.person.is_none(), stays, "{}", table.name);
        }
        for place in TABLES {
            assert!(place.sealed.is_empty() || place.person.is_some(), "{}", place.name);
        }
    }
}

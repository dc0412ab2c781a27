//! Names that were given up, each with what to say instead: a word that means two things comes back
//! by habit.
//!
//! Lives here: the table and its check. Not here: words that are wrong everywhere (`tidy`), what
//! the words mean (docs/glossary.md). Identifiers are compared whole; in comments only what means
//! nothing else in English is looked for.

use super::source::{code_only, words};

/// Types, functions, modules and fields, each with what it is called now.
const NAMES: [(&str, &str); 49] = [
    // A sequence number is given; a place is anywhere.
    ("Placed", "Sequenced"),
    ("Unplaced", "Unsequenced"),
    ("PlaceTaken", "SeqTaken"),
    ("place_here", "sequence_here"),
    ("hear_placed", "hear_sequenced"),
    ("BoardPlace", "BoardPosition"),
    ("WaitingPlace", "WaitingPosition"),
    ("NoPlace", "NoPosition"),
    ("tell_places", "tell_positions"),
    // The store's writer.
    ("Fate", "Completion"),
    ("Fates", "Completions"),
    ("Teller", "CompletionThread"),
    ("teller", "completion_thread"),
    ("Carrying", "Checkpointer"),
    ("carrying", "checkpointer"),
    ("carry_over", "checkpoint_rows"),
    ("Backlog", "Memtable"),
    ("MarkFile", "AckMarkFile"),
    ("LogTurn", "LogLock"),
    // A mark is a high-water mark.
    ("MarkRow", "ReceiptRow"),
    ("show_mark", "show_receipt"),
    ("write_marks", "write_receipts"),
    ("keys_mark", "keys_fingerprint"),
    // A line is a line of text.
    ("AgentLine", "AgentConnection"),
    ("agent_lines", "agent_sinks"),
    ("InLine", "Queued"),
    ("into_line", "into_stream"),
    ("line_of", "event_message"),
    ("stand_in_line", "enter_queue"),
    ("seal_line", "seal_row"),
    // The way of a frame to those who get it.
    ("Fanned", "EncodedFrame"),
    ("Outlet", "FrameSink"),
    ("Outlets", "FrameSinks"),
    ("outlet", "sink"),
    ("Hearers", "Recipients"),
    ("hearers", "recipients"),
    // What comes in.
    ("Ground", "IngestContext"),
    ("wordless_ground", "wordless_context"),
    ("HeardVoid", "VoidedElsewhere"),
    ("HEARD_MAX", "BUS_EVENTS_MAX"),
    ("LookedData", "InspectedData"),
    // A turn is nobody's.
    ("Turns", "IdLocks"),
    ("turn_desks", "tick_desks"),
    ("audit_turn", "audit_pass"),
    ("END_OF_TURN", "END_OF_TICK"),
    ("IN_TURN", "IN_TICK"),
    ("begin_turn", "begin_tick"),
    // Others.
    ("onlooker", "read_only"),
    ("DOORS", "IMPORTERS"),
];

/// In comments, each with what to say instead.
const PHRASES: [(&str, &str); 4] = [
    ("line of the system", "event message"),
    ("lines of the system", "event messages"),
    ("tells the fates", "runs the completions"),
    ("onlooker", "read-only connection"),
];

/// Checks one Rust file.
pub(super) fn check(file: &str, text: &str, faults: &mut Vec<String>) {
    for word in words(&code_only(text)) {
        if let Some((_, now)) = NAMES.iter().find(|(retired, _)| *retired == word) {
            faults
                .push(format!("{file}: `{word}` was given up: say `{now}`; see docs/glossary.md"));
        }
    }
    // A sentence may go on in the next line.
    let comments: Vec<&str> = text
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("//"))
        .map(|line| line.trim_start_matches(['/', '!']).trim())
        .collect();
    let prose = comments.join(" ");
    for (retired, now) in PHRASES {
        if prose.contains(retired) {
            faults.push(format!(
                "{file}: a comment says \"{retired}\": say \"{now}\"; see docs/glossary.md"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES, PHRASES, check};

    fn faults(text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        check("server/src/x.rs", text, &mut faults);
        faults
    }

    #[test]
    fn every_name_that_was_given_up_is_found_with_what_it_is_called_now() {
        for (retired, now) in NAMES {
            let found = faults(&format!("fn f(x: {retired}) {{}}"));
            assert!(found.len() == 1 && found[0].contains(&format!("`{now}`")), "{found:?}");
            assert!(NAMES.iter().all(|(other, _)| *other != now), "{now} is called something else");
        }
    }

    #[test]
    fn a_phrase_is_found_across_the_lines_of_a_comment() {
        for (retired, now) in PHRASES {
            let found = faults(&format!("/// Writes the {}.", retired.replacen(' ', "\n/// ", 1)));
            assert!(found.len() == 1 && found[0].contains(now), "{found:?}");
        }
    }

    #[test]
    fn ordinary_english_and_longer_names_are_let_pass() {
        let text = "// The fate of a line that was placed on the ground, and its turn.\n\
                    let background = placed(\"Fate\"); struct PlacedOrder; fn timeline_of() {}";
        assert!(faults(text).is_empty(), "{:?}", faults(text));
    }
}

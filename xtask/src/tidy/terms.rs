//! The field's terms, each with the file that does what it means: its head says so in one line, as
//! grep reads.
//!
//! Lives here: the terms and their files. Not here: what our own words mean (docs/glossary.md).

/// Below `server/src`, without `.rs`.
const TERMS: [(&str, &str); 17] = [
    ("rate limit", "auth/limit"),
    ("token bucket", "auth/limit"),
    ("broadcast", "hub/fanout"),
    ("sequence number", "sequencer"),
    ("state machine", "sequencer"),
    ("sans-IO", "sequencer"),
    ("tombstone", "sequencer/numbers"),
    ("backpressure", "gateway/outbox"),
    ("slow consumer", "gateway/outbox"),
    ("crypto-shredding", "keys"),
    ("envelope encryption", "keys"),
    ("write-ahead log", "store/sqlite/journal"),
    ("checkpoint", "store/sqlite/checkpointer"),
    ("memtable", "store/sqlite/memtable"),
    ("lease", "routing/offers"),
    ("idempotency", "api/idempotency"),
    ("presence", "hub/presence"),
];

/// Checks one file of the server: grep looks for a term in one line of its head.
pub(super) fn check(path: &str, text: &str, faults: &mut Vec<String>) {
    let head = || text.lines().take_while(|line| line.starts_with("//!"));
    for (term, _) in TERMS.iter().filter(|(_, file)| *file == path) {
        if !head().any(|line| line.to_lowercase().contains(&term.to_lowercase())) {
            faults.push(format!(
                "server/src/{path}.rs: no line of its head says \"{term}\", by which it is found"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TERMS, check};

    #[test]
    fn a_term_stands_in_one_line_of_the_head_of_its_file() {
        let faults = |text: &str| {
            let mut faults = Vec::new();
            check("gateway/outbox", text, &mut faults);
            faults.join("\n")
        };
        assert_eq!(faults("//! Backpressure: a slow consumer is closed."), "");
        assert!(faults("//! Backpressure: a slow\n//! consumer is closed.").contains("slow"));
        assert!(faults("//! A slow consumer.\nfn backpressure() {}").contains("backpressure"));
    }

    #[test]
    fn every_term_leads_to_a_file_that_is_there() {
        let below = crate::shell::root().join("server/src");
        for (term, file) in TERMS {
            assert!(below.join(format!("{file}.rs")).is_file(), "{term}: {file}");
        }
    }
}

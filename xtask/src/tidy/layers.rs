//! The server's layers: which of its modules may import which.
//!
//! Lives here: the table, its exceptions, and that ARCHITECTURE.md has the same one. Not here:
//! circles between the files of one module (`circles`), who may name a crate (`tidy`).

use std::collections::BTreeSet;
use std::path::Path;

use super::source::{imports, names};

/// The server's modules from top to bottom, as ARCHITECTURE.md has them. A module may import what
/// stands in a lower row, never its own row or a higher one.
const ROWS: [&[&str]; 11] = [
    // The program, the list of modules, and what the command line asks for.
    &["main", "lib", "cli"],
    &["run", "init"],
    &["live", "opened", "operator_key"],
    &["gateway", "api"],
    &["http"],
    &["hub"],
    // `auth` is its types; what signs people in (`auth/`) asks the store.
    &["auth/", "sweep", "erasure", "backup", "audit"],
    &["bus", "store", "keys", "traces", "systemd"],
    &["room", "sequencer", "routing", "privacy", "auth"],
    &[
        "config",
        "metrics",
        "telemetry",
        "clock",
        "tasks",
        "recent",
        "folder",
        "read_only",
        "network",
    ],
    &["channel", "origin", "prose"],
];
/// Imports that the rows forbid and the design allows: who, what.
const ALLOWED: [(&str, &str); 4] = [
    ("room", "sequencer::"),
    ("room", "privacy::"),
    ("sequencer", "privacy::"),
    ("routing", "privacy::"),
];
/// Imports that the rows allow and the design forbids: who, what, why.
const FORBIDDEN: [(&str, &str, &str); 6] = [
    ("bus", "room", "a bus carries envelopes and knows no rooms"),
    ("store", "room", "a store keeps envelopes and knows no rooms"),
    ("bus", "sequencer", "a bus gives numbers and knows no state"),
    ("store", "sequencer", "a store keeps envelopes and knows no state"),
    ("bus", "routing", "a bus carries envelopes and knows no queues"),
    ("store", "routing", "a store keeps envelopes and knows no queues"),
];
/// The core waits for nothing and touches nothing; so these are not for it.
const CORE: [&str; 4] = ["room", "sequencer", "routing", "privacy"];
const NOT_IN_THE_CORE: [&str; 9] = [
    "tokio",
    "parking_lot",
    "tracing",
    "async_trait",
    "futures_util",
    "std::fs",
    "std::net",
    "std::thread",
    "std::io",
];
/// Who may call what was tagged before back into an envelope.
const RESTORERS: [&str; 3] = ["bus", "store", "privacy"];

/// Checks what a module imports.
pub(super) fn check(file: &str, module: &str, code: &str, faults: &mut Vec<String>) {
    let row_of = |name: &str| ROWS.iter().position(|row| row.contains(&name));
    let Some(row) = row_of(module) else {
        faults.push(format!("{file}: the module `{module}` has no row in xtask's table of layers"));
        return;
    };
    for target in imports(code) {
        let name = target.split("::").next().unwrap_or_default();
        if module.trim_end_matches('/') == name {
            continue;
        }
        let allowed = ALLOWED.iter().any(|(from, to)| *from == module && target.starts_with(to));
        if !allowed && row_of(name).is_some_and(|other| other <= row) {
            faults.push(format!("{file}: `{module}` imports `{name}`, which is not below it"));
        }
        for (from, to, why) in FORBIDDEN {
            if from == module && to == name {
                faults.push(format!("{file}: `{module}` imports `{name}`, but {why}"));
            }
        }
    }
    for name in NOT_IN_THE_CORE.iter().filter(|name| CORE.contains(&module) && names(code, name)) {
        faults.push(format!("{file}: names `{name}`, but the core waits for nothing"));
    }
    if code.contains("Envelope::restore") && !RESTORERS.contains(&module) {
        faults.push(format!("{file}: calls `Envelope::restore`; only bus and store may"));
    }
}

/// Checks that there is a file or a folder for each module of the table; `src` is the server's.
pub(super) fn check_modules(src: &Path, faults: &mut Vec<String>) {
    for module in ROWS.iter().copied().flatten() {
        let is_there = match module.strip_suffix('/') {
            Some(folder) => src.join(folder).is_dir(),
            None => src.join(format!("{module}.rs")).is_file(),
        };
        if !is_there {
            faults.push(format!("xtask's table of layers has `{module}`, which does not exist"));
        }
    }
}

/// Checks that a document's table of layers is this one: rows that begin with a number, and modules
/// in backquotes in the cell behind it.
pub(super) fn check_document(file: &str, text: &str, faults: &mut Vec<String>) {
    let mut rows = vec![BTreeSet::new(); ROWS.len()];
    for line in text.lines() {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let Some(Ok(row)) = cells.next().map(str::parse::<usize>) else { continue };
        let modules = cells.next().unwrap_or_default().split('`').skip(1).step_by(2);
        match rows.get_mut(row) {
            Some(known) => known.extend(modules),
            None => faults.push(format!("{file}: xtask's table of layers has no row {row}")),
        }
    }
    for (row, (document, table)) in rows.iter().zip(ROWS).enumerate() {
        let table: BTreeSet<&str> = table.iter().copied().collect();
        let differ: Vec<&str> = document.symmetric_difference(&table).copied().collect();
        if !differ.is_empty() {
            faults.push(format!(
                "{file}: row {row} of the layers and xtask's differ in {}",
                differ.join(", ")
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ROWS, check, check_document, check_modules};

    fn faults(path: &str, code: &str) -> String {
        let mut faults = Vec::new();
        let module = match path.split_once('/') {
            Some(("auth", _)) => "auth/",
            Some((module, _)) => module,
            None => path,
        };
        check(path, module, code, &mut faults);
        faults.join("\n")
    }

    #[test]
    fn a_module_imports_only_what_is_below_it() {
        assert_eq!(faults("hub/shard", "use crate::{room::Room, tasks};"), "");
        assert!(faults("hub", "use crate::gateway::Out;").contains("not below"));
        assert!(faults("bus", "use crate::{\n clock::Clock,\n store::Row};").contains("`store`"));
        assert!(faults("store/gate", "fn f(_: &crate::room::Room) {}").contains("no rooms"));
        assert_eq!(faults("room", "use crate::privacy::{Envelope, Placed};"), "");
        assert_eq!(faults("auth/session", "use crate::store::Store;"), "");
        assert!(faults("auth", "use crate::store::Store;").contains("`store`"));
        assert!(faults("mystery", "").contains("has no row"));
    }

    #[test]
    fn the_first_rows_keep_the_order_too() {
        assert_eq!(faults("cli/serve", "use crate::run::{self, Around};"), "");
        assert!(faults("init", "use crate::run::open;").contains("not below"));
        assert!(faults("run", "use crate::cli::main;").contains("not below"));
        assert!(faults("live", "use crate::run::Listeners;").contains("not below"));
    }

    #[test]
    fn a_module_that_does_not_exist_leaves_the_table() {
        let folder = std::env::temp_dir().join("livehelp-tidy-without-modules");
        let mut faults = Vec::new();
        check_modules(&folder, &mut faults);
        assert_eq!(faults.len(), ROWS.iter().map(|row| row.len()).sum::<usize>());
        assert!(faults[0].contains("`main`, which does not exist"));
    }

    #[test]
    fn the_document_has_the_same_rows() {
        let row = |(at, row): (usize, &&[&str])| {
            let cells: Vec<String> = row.iter().map(|module| format!("`{module}`")).collect();
            format!("| {at} | {} | words with `another` |\n", cells.join(", "))
        };
        let mut text: String = ROWS.iter().enumerate().map(row).collect();
        let mut faults = Vec::new();
        check_document("A.md", &text, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        text = text.replace("`hub`", "`room`") + "| 40 | `attic` | |\n";
        check_document("A.md", &text, &mut faults);
        let expected = ["has no row 40", "row 5 of the layers and xtask's differ in hub, room"];
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults.iter().zip(expected).all(|(fault, words)| fault.contains(words)));
    }
}

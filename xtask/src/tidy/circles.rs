//! Modules of one folder that import each other in a circle.
//!
//! Lives here: who imports whom among the files of a part of the server, and what is a circle. Not
//! here: the parts themselves, whose rows allow none (`tidy`); reading Rust (`source`). A path
//! counts where it is written: a call of another file's method on a shared type is not seen.

use std::collections::{BTreeMap, BTreeSet};

use super::source::paths;

/// Circles that stand, and why: the folder, its files, the reason. Whoever opens one takes it off.
const STANDING: [(&str, &[&str], &str); 3] = [
    (
        "store",
        &["feed", "record"],
        "a record says what its changes are in the feed, and whoever reads the feed is a record",
    ),
    (
        "store/sqlite",
        &["ack_mark", "file", "journal"],
        "the database's file is opened with its journal, whose mark lies in the file",
    ),
    (
        "store/sqlite",
        &["feed", "read", "transaction"],
        "the feed reads headers through the transaction's statements, which write to the feed",
    ),
];

/// The server's modules with what they import, by their paths below `src`.
#[derive(Debug, Default)]
pub(super) struct Modules(BTreeMap<Vec<String>, Vec<Vec<String>>>);

impl Modules {
    /// Takes a file in; `path` is below `src`, without its ending.
    pub(super) fn add(&mut self, path: &str, code: &str) {
        let module: Vec<String> = path.split('/').map(ToOwned::to_owned).collect();
        let imports = paths(code).into_iter().filter_map(|path| absolute(&module, path)).collect();
        self.0.insert(module, imports);
    }

    /// Says which circles are new, and which of those that are allowed no longer stand.
    pub(super) fn check(&self, faults: &mut Vec<String>) {
        let found = self.circles();
        let is_within = |circle: &Circle, (folder, files, _): &(&str, &[&str], &str)| {
            circle.folder == *folder
                && circle.files.iter().all(|file| files.contains(&file.as_str()))
        };
        for circle in &found {
            if !STANDING.iter().any(|standing| is_within(circle, standing)) {
                faults.push(format!(
                    "server/src/{}: {} import each other in a circle; move what they share to a file of its own",
                    circle.folder,
                    circle.files.join(", ")
                ));
            }
        }
        for standing in &STANDING {
            let known = self.0.keys().any(|module| module.join("/").starts_with(standing.0));
            if known && !found.iter().any(|circle| is_within(circle, standing)) {
                let (folder, files, _) = standing;
                faults.push(format!(
                    "server/src/{folder}: the circle of {} is open; take it off xtask's list",
                    files.join(", ")
                ));
            }
        }
    }

    fn circles(&self) -> Vec<Circle> {
        let mut folders: BTreeMap<Vec<String>, Edges> = BTreeMap::new();
        for (module, imports) in &self.0 {
            for import in imports {
                let shared = module.iter().zip(import).take_while(|(a, b)| a == b).count();
                let (Some(from), Some(to)) = (module.get(shared), import.get(shared)) else {
                    continue;
                };
                let sibling = import.get(..=shared).is_some_and(|to| self.0.contains_key(to));
                // The parts of the server have rows, which say more.
                if shared > 0 && sibling {
                    let folder = module.get(..shared).unwrap_or_default().to_vec();
                    folders
                        .entry(folder)
                        .or_default()
                        .entry(from.clone())
                        .or_default()
                        .insert(to.clone());
                }
            }
        }
        let circles = folders.iter().flat_map(|(folder, edges)| {
            let folder = folder.join("/");
            rings(edges).into_iter().map(move |files| Circle { folder: folder.clone(), files })
        });
        circles.collect()
    }
}

/// Who imports whom in one folder.
type Edges = BTreeMap<String, BTreeSet<String>>;

/// Files of one folder of which each leads to all others.
#[derive(Debug, PartialEq, Eq)]
struct Circle {
    folder: String,
    files: Vec<String>,
}

/// The sets of files that lead to each other, each once.
fn rings(edges: &Edges) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        edges.keys().map(|file| (file, reach(edges, file))).collect();
    let leads = |from: &String, to: &String| reached.get(from).is_some_and(|all| all.contains(to));
    let mut rings = BTreeSet::new();
    for file in edges.keys().filter(|file| leads(file, file)) {
        let ring = edges.keys().filter(|other| leads(file, other) && leads(other, file));
        rings.insert(ring.cloned().collect::<Vec<_>>());
    }
    rings.into_iter().collect()
}

/// Every file that this one leads to; itself only by a circle.
fn reach<'e>(edges: &'e Edges, file: &String) -> BTreeSet<&'e String> {
    let mut reached = BTreeSet::new();
    let mut ahead: Vec<&String> = edges.get(file).into_iter().flatten().collect();
    while let Some(next) = ahead.pop() {
        if reached.insert(next) {
            ahead.extend(edges.get(next).into_iter().flatten());
        }
    }
    reached
}

/// The path from the crate's root; `None` where it leaves that.
fn absolute(module: &[String], mut path: Vec<String>) -> Option<Vec<String>> {
    let mut base = match path.remove(0).as_str() {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => parent(module)?,
        _ => return None,
    };
    while path.first().is_some_and(|first| first == "super") {
        path.remove(0);
        base = parent(&base)?;
    }
    path.retain(|part| part != "self");
    base.extend(path);
    Some(base)
}

fn parent(module: &[String]) -> Option<Vec<String>> {
    module.split_last().map(|(_, above)| above.to_vec())
}

#[cfg(test)]
mod tests {
    use super::{Modules, STANDING};

    fn faults(files: &[(&str, &str)]) -> String {
        let mut modules = Modules::default();
        for (path, code) in files {
            modules.add(path, code);
        }
        let mut faults = Vec::new();
        modules.check(&mut faults);
        faults.join("\n")
    }

    #[test]
    fn two_files_that_import_each_other_are_a_circle_however_it_is_written() {
        for (one, other) in [
            ("use super::b::B;", "use super::a::A;"),
            ("use crate::part::{b::{self, B}, c};", "fn f() -> super::a::A {}"),
            ("use super::{c, b};", "use crate::{hub::Hub, part::a::A};"),
        ] {
            let files = [("part", ""), ("part/a", one), ("part/b", other), ("part/c", "")];
            assert!(faults(&files).contains("server/src/part: a, b import"), "{one}");
            let open = [("part", ""), ("part/a", one), ("part/b", ""), ("part/c", other)];
            assert!(!faults(&open).contains("a, b"), "{one}");
        }
    }

    #[test]
    fn a_longer_way_round_and_a_folder_below_count_as_their_file() {
        let files = [
            ("part/a/deep", "use crate::part::b::B;"),
            ("part/a", ""),
            ("part/b", "use super::c::C;"),
            ("part/c", "use super::a::deep::D;"),
            ("part/a/deeper", "use super::deep::D;"),
        ];
        assert_eq!(
            faults(&files).lines().filter(|fault| fault.contains("a, b, c import")).count(),
            1
        );
    }

    #[test]
    fn a_file_and_the_file_of_its_folder_are_no_circle() {
        let files = [("part", "mod a; use a::A; use self::b::B;"), ("part/a", "use super::Part;")];
        assert_eq!(faults(&files), "");
    }

    #[test]
    fn a_circle_that_was_opened_leaves_the_list() {
        let (folder, files, _) = STANDING[0];
        let paths: Vec<String> = files.iter().map(|file| format!("{folder}/{file}")).collect();
        let open: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
        assert!(faults(&open).contains("take it off"));
    }
}

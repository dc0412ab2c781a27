//! The parts of the hub stand in an order: none uses one that stands after it.

use std::collections::BTreeSet;
use std::path::Path;

/// Words behind `use super::` and `super::`, up to the end of the statement or path.
fn used(code: &str) -> BTreeSet<String> {
    let word = |text: &str| {
        let rest =
            text.trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '_');
        text.strip_suffix(rest).unwrap_or(text).to_owned()
    };
    let mut used = BTreeSet::new();
    for rest in code.split("super::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or(list);
                used.extend(list.split(',').map(|name| word(name.trim())));
            }
            None => drop(used.insert(word(rest))),
        }
    }
    used
}

#[test]
fn no_part_uses_one_that_stands_after_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let all = read("hub.rs");
    let declared = all.lines().filter_map(|line| {
        let (_, name) = line.strip_suffix(';')?.split_once("mod ")?;
        (line.starts_with("mod ") || line.starts_with("pub")).then_some(name)
    });
    let parts: Vec<&str> = declared.filter(|name| *name != "tests").collect();
    assert!(parts.len() > 20 && parts.last() == Some(&"upkeep"), "{parts:?}");
    for (at, part) in parts.iter().enumerate() {
        let code = read(&format!("hub/{part}.rs"));
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
        let used = used(code);
        let later: Vec<_> = parts[at + 1..].iter().filter(|later| used.contains(**later)).collect();
        assert!(later.is_empty(), "{part} uses {later:?}, which stand after it");
        let is_whole = used.contains("Hub") || code.contains("hub::Hub");
        let is_last = ["forget", "upkeep"].contains(part);
        assert!(!is_whole || is_last, "{part} uses the hub, which is made of it");
    }
}

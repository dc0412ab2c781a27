//! Reads a Rust file as far as `tidy` must: by its text, without a parser.
//!
//! Lives here: imports, names, words. Not here: what is allowed (`tidy`).

/// What a file takes from its own crate: `hub::Hub` for `use crate::hub::Hub` and for
/// `use crate::{hub::Hub, ..}`.
pub(super) fn imports(code: &str) -> Vec<String> {
    let path = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect()
    };
    let mut targets = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            targets.push(path(rest));
            continue;
        };
        let mut depth = 0_u32;
        let mut item = true;
        for (at, c) in group.char_indices() {
            match c {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' => item = depth == 0,
                c if item && c.is_alphanumeric() => {
                    targets.push(path(group.get(at..).unwrap_or_default()));
                    item = false;
                }
                _ => {}
            }
        }
    }
    targets
}

/// Every path that begins at the crate, at this module or above it, with groups taken apart:
/// `["super", "a", "A"]` and `["super", "a", "B"]` for `super::a::{A, B}`.
pub(super) fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for keyword in ["crate", "super", "self"] {
        for (at, _) in code.match_indices(&format!("{keyword}::")) {
            let before = code.get(..at).unwrap_or_default().chars().next_back();
            if !before.is_some_and(|c| c.is_alphanumeric() || "_:$".contains(c)) {
                take_apart(code.get(at..).unwrap_or_default(), &[], &mut found);
            }
        }
    }
    found
}

/// One path, which may end in a group; what follows it is passed over.
fn take_apart(text: &str, before: &[String], found: &mut Vec<Vec<String>>) {
    let is_of_a_path = |c: char| c.is_alphanumeric() || "_:".contains(c);
    let plain = text.find(|c: char| !is_of_a_path(c)).unwrap_or(text.len());
    let (own, rest) = text.split_at(plain);
    let parts = own.split("::").filter(|part| !part.is_empty()).map(ToOwned::to_owned);
    let path: Vec<String> = before.iter().cloned().chain(parts).collect();
    let Some(group) = rest.strip_prefix('{').filter(|_| own.ends_with("::")) else {
        found.push(path);
        return;
    };
    let (mut depth, mut from) = (0_u32, 0);
    for (at, c) in group.char_indices() {
        let ends = depth == 0 && (c == ',' || c == '}');
        if ends {
            let item = group.get(from..at).unwrap_or_default().trim();
            if !item.is_empty() {
                take_apart(item, &path, found);
            }
            from = at + 1;
        }
        match c {
            '}' if depth == 0 => return,
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
}

/// Whether the code names this crate or path: not a module of its own of the same name, not the end
/// of a longer path.
pub(super) fn names(code: &str, name: &str) -> bool {
    !code.contains(&format!("mod {name};"))
        && code.match_indices(name).any(|(at, _)| {
            let before = code.get(..at).unwrap_or_default().chars().next_back();
            let after = code.get(at + name.len()..).unwrap_or_default();
            !before.is_some_and(|c| c.is_alphanumeric() || "_:.".contains(c))
                && (after.starts_with("::") || after.starts_with(';') && before == Some(' '))
        })
}

pub(super) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

pub(super) fn snake_case(word: &str) -> String {
    let mut snake = String::new();
    for (at, c) in word.char_indices() {
        if c.is_uppercase() && at > 0 && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// The text without comments and without what stands between double quotes.
pub(super) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let raw = rest.strip_prefix("r#\"").and_then(|tail| tail.find("\"#").map(|end| end + 5));
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(length) = raw {
            length
        } else if rest.starts_with("'\"'") {
            3
        } else if c == '"' {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, c)| {
                let ends = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |(at, _)| at + 1)
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = rest.get(skipped..).unwrap_or_default();
    }
    code
}

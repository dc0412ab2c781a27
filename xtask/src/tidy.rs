//! `cargo xtask tidy`: the order of the tree, held as a table.
//!
//! Lives here: which modules may import a crate, words that are wrong everywhere, file heads and
//! lengths. Below: which module may import which (`layers`), circles between the files of one
//! (`circles`), names that were given up (`retired`), the field's terms (`terms`). Not here: what
//! the compiler, clippy or npm already hold. Called by `test`, and runs as a test of its own.

mod circles;
mod layers;
mod retired;
mod source;
mod terms;

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use self::circles::Modules;
use self::source::{code_only, names, snake_case, words};
use crate::shell::{command, root};

/// Crates and their allowed importers, the only ones that may name them: modules or paths below
/// `src`. The rest of the tree asks there.
const IMPORTERS: [(&[&str], &[&str]); 16] = [
    (&["tokio_tungstenite"], &["gateway", "loadtest/people", "benches/peers"]),
    (&["hyper", "hyper_util"], &["http", "loadtest/run/rest"]),
    (&["dashmap"], &["hub"]),
    (&["redis"], &["bus/redis"]),
    (&["governor"], &["auth/limit"]),
    (&["rmp_serde"], &["protocol/codec"]),
    (&["axum", "utoipa_axum"], &["api", "http"]),
    // What the API answers with describes itself.
    (&["utoipa"], &["api", "store", "auth", "protocol"]),
    (
        &["rustls", "tokio_rustls", "rustls_pki_types", "rustls_native_certs"],
        &["http", "loadtest/people", "loadtest/run", "benches/peers"],
    ),
    (&["prometheus"], &["metrics"]),
    (&["rusqlite"], &["store/sqlite", "keys", "read_only"]),
    (&["sea_query"], &["store/record/statement"]),
    (&["tokio_postgres"], &["store/postgres"]),
    (&["tracing_subscriber"], &["telemetry"]),
    (&["ring", "argon2"], &["keys", "auth"]),
    (&["textwrap"], &["prose"]),
];
/// Who may ask the evaluator itself; whoever shows something asks a `ReadGrant`.
const JUDGES: [&str; 3] = ["privacy", "store", "api/messages"];
const WRONG_WORDS: [&str; 8] =
    ["workspace", "inbox", "nack", "gdpr_delete", "takeout", "util", "helpers", "manager"];
/// Other people's names, which we cannot choose.
const FOREIGN_NAMES: [&str; 5] = [
    "hyper_util",
    "futures_util",
    "http_body_util",
    "ConnectionManager",
    "ConnectionManagerConfig",
];
/// A module of another crate with a name that is wrong here.
const FOREIGN_PATH: &str = "regex_automata::util::";
const WRONG_FILE_NAMES: [&str; 10] =
    ["mod", "util", "common", "helpers", "types", "manager", "service", "handler", "base", "core"];
const PACKAGES: [&str; 9] = [
    "protocol",
    "server",
    "xtask",
    "loadtest",
    "deploy",
    "benches",
    "benches/peers",
    "benches/peers/furnish",
    "testkit",
];
/// Where people read the server's layers.
const LAYERS_IN: &str = "ARCHITECTURE.md";
/// The front ends' layers, from top to bottom; the same rule as for the rows.
const FRONT_LAYERS: [&str; 3] = ["view", "state", "wire"];

/// Checks the tree.
///
/// # Errors
/// With a sentence for each thing that is out of order.
pub(crate) fn run() -> Result<()> {
    let mut faults = Vec::new();
    let mut modules = Modules::default();
    for package in PACKAGES {
        walk(&root().join(package).join("src"), "", &mut |path, text| {
            let Some(path) = path.strip_suffix(".rs") else { return };
            check_rust(package, path, text, &mut faults);
            if package == "server" && !is_test(path) {
                modules.add(path, without_tests(&code_only(text)));
                check_length(path, text, &mut faults);
                terms::check(path, text, &mut faults);
            }
        })?;
    }
    modules.check(&mut faults);
    layers::check_modules(&root().join("server/src"), &mut faults);
    layers::check_document(LAYERS_IN, &fs::read_to_string(root().join(LAYERS_IN))?, &mut faults);
    for package in crate::front::FRONTS {
        walk(&root().join(package).join("src"), "", &mut |path, text| {
            if path.ends_with(".ts") || path.ends_with(".tsx") {
                check_front(package, path, text, &mut faults);
            }
            if path.ends_with(".css") {
                check_words(&format!("{package}/src/{path}"), words(text), &mut faults);
            }
        })?;
        let lock = fs::read_to_string(root().join(package).join("package-lock.json"));
        if lock.is_ok_and(|text| text.contains("\"resolved\": \"http")) {
            faults.push(format!("{package}/package-lock.json holds download addresses: set omit-lockfile-registry-resolved"));
        }
    }
    let listed = command(&root(), &["git", "ls-files", "*.md"]).output()?;
    for document in String::from_utf8_lossy(&listed.stdout).lines() {
        // One that was deleted and not yet committed is still listed.
        if let Ok(text) = fs::read_to_string(root().join(document)) {
            check_prose(document, &text, &mut faults);
        }
    }
    if !faults.is_empty() {
        bail!("the tree is not tidy:\n  {}", faults.join("\n  "));
    }
    Ok(())
}

fn walk(folder: &Path, prefix: &str, visit: &mut impl FnMut(&str, &str)) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            walk(&path, &format!("{prefix}{name}/"), visit)?;
        } else if let Ok(text) = fs::read_to_string(&path) {
            visit(&format!("{prefix}{name}"), &text);
        }
    }
    Ok(())
}

/// Checks one Rust file; `path` is below `src`, without its ending.
fn check_rust(package: &str, path: &str, text: &str, faults: &mut Vec<String>) {
    let file = format!("{package}/src/{path}.rs");
    let name = path.rsplit('/').next().unwrap_or(path);
    if WRONG_FILE_NAMES.contains(&name) {
        faults.push(format!("{file}: `{name}` says nothing about what lives there; name the noun"));
    }
    let is_test = is_test(path);
    if !is_test && !text.starts_with("//!") {
        faults.push(format!("{file}: begins without a `//!` that says what lives there"));
    }
    let whole = code_only(text);
    let code = without_tests(&whole);
    check_words(&file, words(&whole.replace(FOREIGN_PATH, "")), faults);
    retired::check(&file, text, faults);
    if is_test || package == "xtask" {
        return;
    }
    let place = if package == "server" { path.to_owned() } else { format!("{package}/{path}") };
    let module = match path.split_once('/') {
        Some(("auth", _)) => "auth/",
        Some((module, _)) => module,
        None => path,
    };
    check_importers(&file, &place, package, code, faults);
    if package == "server" {
        layers::check(&file, module, code, faults);
    }
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests") || path.contains("/tests/")
}

fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}

fn check_length(path: &str, text: &str, faults: &mut Vec<String>) {
    let lines = without_tests(text).lines().count();
    let long = LONG.iter().find(|(long, _)| *long == path);
    let max = long.map_or(LINES_MAX, |(_, lines)| *lines);
    if lines > max {
        faults.push(format!(
            "server/src/{path}.rs: {lines} lines without its tests, and {max} is what it may have; split it"
        ));
    }
}

fn check_words<'a>(file: &str, words: impl Iterator<Item = &'a str>, faults: &mut Vec<String>) {
    for word in words.filter(|word| !FOREIGN_NAMES.contains(word)) {
        let snake = format!("_{}_", snake_case(word));
        let wrong = |wrong: &&&str| snake.contains(&format!("_{wrong}_"));
        if let Some(wrong) = WRONG_WORDS.iter().find(wrong) {
            faults.push(format!("{file}: `{word}` uses the word `{wrong}`; see docs/glossary.md"));
        }
    }
}

/// Lines of a file of the server, its tests not counted.
const LINES_MAX: usize = 500;

/// Files that are longer yet, and how long they may be. Whoever makes one fit takes it off.
const LONG: [(&str, usize); 1] = [
    // Texts that redaction is tried with.
    ("privacy/redact/corpus", 1_100),
];

/// Columns of prose in a document; tables, commands and pictures are as wide as they are.
const PROSE_COLUMNS_MAX: usize = 100;

fn check_prose(file: &str, text: &str, faults: &mut Vec<String>) {
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        let as_it_is = ["|", "    ", "[![", "<!--"].iter().any(|start| line.starts_with(start));
        if !fenced && !is_fence && !as_it_is && line.chars().count() > PROSE_COLUMNS_MAX {
            faults.push(format!("{file}:{}: more than {PROSE_COLUMNS_MAX} columns", at + 1));
        }
    }
}

fn check_importers(file: &str, place: &str, package: &str, code: &str, faults: &mut Vec<String>) {
    for (crates, importers) in IMPORTERS {
        let open = importers.iter().any(|importer| {
            *importer == package || place == *importer || place.starts_with(&format!("{importer}/"))
        });
        for name in crates.iter().filter(|name| !open && names(code, name)) {
            faults.push(format!(
                "{file}: names `{name}`; its allowed importers are {}",
                importers.join(", ")
            ));
        }
    }
    if words(code).any(|word| word == "evaluate")
        && !JUDGES.iter().any(|judge| place.starts_with(judge))
    {
        faults.push(format!("{file}: asks the evaluator; what shows something asks a `ReadGrant`"));
    }
}

/// Checks one file of a front end; `path` is below `src`. What stands in quotes counts, since
/// kinds, classes and addresses do; of the texts for people only their names.
fn check_front(package: &str, path: &str, text: &str, faults: &mut Vec<String>) {
    let file = format!("{package}/src/{path}");
    let for_people = path.contains("strings/");
    for line in text.lines().map(str::trim_start) {
        let code = if for_people { line.split(':').next() } else { line.split("//").next() };
        check_words(&file, words(code.unwrap_or_default()), faults);
    }
    let layer = |path: &str| {
        let folder = path.split('/').find(|part| FRONT_LAYERS.contains(part))?;
        FRONT_LAYERS.iter().position(|layer| *layer == folder)
    };
    let Some(own) = layer(path) else { return };
    let text = text.replace('"', "'");
    let imports = text.lines().filter_map(|line| line.split_once("from '")?.1.split('\'').next());
    for import in imports {
        if layer(import).is_some_and(|other| other < own) {
            faults.push(format!("{file}: imports `{import}`, which is above it"));
        }
        let of_a_front = crate::front::BUNDLED.iter().any(|front| import.contains(front));
        if package == crate::front::SHARED && of_a_front {
            faults.push(format!("{file}: imports `{import}`, which stands on this package"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{check_front, check_length, check_prose, check_rust, run};

    fn faults(package: &str, path: &str, text: &str) -> String {
        let mut faults = Vec::new();
        check_rust(package, path, &format!("//! Head.\n{text}"), &mut faults);
        faults.join("\n")
    }

    #[test]
    fn the_tree_is_tidy() {
        run().expect("a tidy tree");
    }

    #[test]
    fn what_may_be_shown_is_judged_by_the_read_gate() {
        let code = "use crate::privacy::policy::evaluate;";
        assert!(faults("server", "hub/site", code).contains("asks a `ReadGrant`"));
        for judge in ["privacy/gate", "store/sqlite/read", "api/messages"] {
            assert_eq!(faults("server", judge, code), "");
        }
    }

    #[test]
    fn a_crate_is_named_by_its_importers_only() {
        assert_eq!(faults("server", "bus/redis", "use redis::Client;"), "");
        assert_eq!(faults("server", "bus", "mod redis;\npub use redis::RedisBus;"), "");
        assert!(faults("server", "hub", "let c = redis::Client::open();").contains("bus/redis"));
        assert_eq!(faults("server", "hub", "// redis::Client\nlet s = \"redis::Client\";"), "");
        assert!(faults("server", "room", "use tokio::sync::Mutex;").contains("waits for nothing"));
    }

    #[test]
    fn a_file_of_the_server_has_five_hundred_lines_without_its_tests() {
        let mut faults = Vec::new();
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(600));
        check_length("hub/shard", &("\n".repeat(500) + &tests), &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        check_length("hub/shard", &("\n".repeat(501) + &tests), &mut faults);
        assert!(faults[0].contains("501 lines"), "{faults:?}");
    }

    #[test]
    fn prose_has_a_hundred_columns_and_commands_as_many_as_they_need() {
        let (fits, long) = ("x".repeat(100), "ä ".repeat(51));
        let mut faults = Vec::new();
        let text = format!("{fits}\n| {long} |\n    {long}\n```\n{long}\n```\n");
        check_prose("docs/x.md", &text, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        check_prose("docs/x.md", &format!("{text}{long}\n- {long}\n"), &mut faults);
        assert_eq!(faults.len(), 2);
        assert!(faults[0].starts_with("docs/x.md:7: "), "{faults:?}");
    }

    #[test]
    fn words_and_names_that_are_wrong_everywhere_are_refused() {
        assert!(faults("protocol", "frame", "struct RoomManager;").contains("`manager`"));
        assert!(faults("protocol", "helpers", "").contains("name the noun"));
        assert_eq!(faults("server", "gateway", "use futures_util::StreamExt;"), "");
    }

    #[test]
    fn the_same_words_are_refused_in_a_front_end_but_not_in_what_people_read() {
        let mut faults = Vec::new();
        check_front("console", "state/route.ts", "type Kind = 'inbox'; // workspace", &mut faults);
        assert_eq!(faults.len(), 1, "{faults:?}");
        check_front("console", "strings/en.ts", "  helpers: 'Ask your manager',", &mut faults);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults.join(" ").contains("`helpers`"));
    }

    #[test]
    fn the_package_of_both_front_ends_keeps_the_layers_and_knows_neither() {
        let mut faults = Vec::new();
        let state = "import { a } from '../../../protocol/ts/src/state/transcript.ts';";
        check_front("console", "state/thread.ts", state, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        check_front("console", "wire/rest.ts", state, &mut faults);
        check_front(
            "protocol/ts",
            "wire/ids.ts",
            "import { a } from '../state/b.ts';",
            &mut faults,
        );
        let above = "import { a } from '../../../../console/src/state/thread.ts';";
        check_front("protocol/ts", "state/transcript.ts", above, &mut faults);
        assert_eq!(faults.len(), 3, "{faults:?}");
    }

    #[test]
    fn the_wire_of_a_front_end_knows_no_view() {
        let mut faults = Vec::new();
        check_front("console", "wire/socket.ts", "import { a } from '../view/list';", &mut faults);
        assert_eq!(faults.len(), 1);
        check_front(
            "console",
            "view/list.ts",
            "import { a } from \"../wire/socket\";",
            &mut faults,
        );
        assert_eq!(faults.len(), 1);
    }
}

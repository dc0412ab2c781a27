//! docs/api.md, command by command: each is asked as curl would ask it, and answered as the guide
//! says.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::conversation::Role;
use serde_json::{Value, json};

use crate::http::{Answer, ask};
use crate::server::{COOKIES, TestServer};

const SCOPES: [&str; 6] = [
    "sites:read",
    "conversations:read",
    "conversations:write",
    "visitors:read",
    "tags:read",
    "tags:write",
];

/// The guide's blocks in order: language and text.
fn blocks(guide: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in guide.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

/// A command's words as a shell makes them, with its variables filled in.
fn words(command: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let (mut words, mut word, mut any) = (Vec::new(), String::new(), false);
    let mut letters = command.chars().peekable();
    let mut quote = None;
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), letter) => word.push(letter),
            (_, '\\') => word.extend(letters.next().filter(|next| *next != '\n')),
            (_, '$') => {
                let mut name = String::new();
                while let Some(next) = letters.next_if(char::is_ascii_uppercase) {
                    name.push(next);
                }
                let value = variables.get(&name);
                word.push_str(value.unwrap_or_else(|| panic!("${name} has no value yet")));
                any = true;
            }
            (Some(_), letter) => word.push(letter),
            (None, '\'' | '"') => (quote, any) = (Some(letter), true),
            (None, letter) if letter.is_whitespace() => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            (None, letter) => word.push(letter),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Asks what a curl command asks.
async fn curl(server: &TestServer, words: &[String]) -> Answer {
    let (mut method, mut url, mut body) = ("GET", None, "");
    let mut headers = Vec::new();
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-s" | "-i" => {}
            "-X" => method = words.next().unwrap(),
            "-d" => body = words.next().unwrap(),
            "-H" => headers.push(words.next().unwrap().split_once(": ").unwrap()),
            word => assert!(url.replace(word).is_none(), "two addresses, or a flag: {word}"),
        }
    }
    let base = format!("http://{}", server.address);
    let path = url.unwrap().strip_prefix(base.as_str()).unwrap();
    headers.retain(|(name, value)| {
        let is_json = *name == "Content-Type";
        assert!(!is_json || (*value == "application/json" && !body.is_empty()));
        !is_json
    });
    ask(server.address, method, path, &headers, body).await
}

/// Whether an answer has at least what the guide shows of it.
fn has(answer: &Value, shown: &Value) -> bool {
    match (answer, shown) {
        (Value::Object(answer), Value::Object(shown)) => {
            shown.iter().all(|(name, shown)| answer.get(name).is_some_and(|is| has(is, shown)))
        }
        _ => answer == shown,
    }
}

fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let fields = answer.head.lines().filter_map(|line| line.split_once(": "));
    let mut named = fields.filter(|(given, _)| given.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value)
}

fn check(command: &str, answer: &Answer, expected: &str) {
    for line in expected.lines() {
        if line.starts_with('{') {
            let shown: Value = serde_json::from_str(line).unwrap();
            assert!(has(&answer.json(), &shown), "{command}\n{}", answer.body);
        } else if let Some((name, value)) = line.split_once(": ") {
            let begin = value.trim_end_matches('…');
            let is = field(answer, name).unwrap_or_default();
            assert!(is.starts_with(begin), "{command}\n{}", answer.head);
        } else {
            let said = format!("{}\n{}", answer.head, answer.body);
            assert_eq!(answer.status.to_string(), line, "{command}\n{said}");
        }
    }
}

/// The value that the guide has its reader keep under this name.
fn kept(name: &str, answer: &Answer) -> String {
    let json = || answer.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match name {
        "SITE" => text(&json()["items"][0]["site_id"]),
        "CONVERSATION" => text(&json()["conversation_id"]),
        "TAG" => text(&json()["tag_id"]),
        "ETAG" => field(answer, "etag").unwrap().to_owned(),
        other => panic!("the guide keeps {other}, of which this test knows nothing"),
    }
}

#[tokio::test]
async fn each_command_of_the_guide_is_answered_as_it_says() {
    let server = TestServer::start_as(|setup| setup.role = Role::Admin).await;
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let origin = format!("http://{}", server.address);
    let new = json!({ "name": "guide", "scopes": SCOPES }).to_string();
    let by = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
    let key = ask(server.address, "POST", "/v1/keys", &by, &new).await;
    assert_eq!(key.status, 201, "{}", key.body);
    let key = key.json()["text"].as_str().unwrap().to_owned();

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let mut variables = BTreeMap::new();
    let mut last: Option<(String, Answer)> = None;
    let (mut asked, mut checked) = (0, 0);
    for (language, text) in blocks(&guide) {
        if language == "http" {
            let (command, answer) = last.as_ref().expect("an answer without a command");
            check(command, answer, &text);
            checked += 1;
            continue;
        }
        assert_eq!(language, "sh");
        for command in text.replace("\\\n", " ").lines() {
            if let Some((name, _)) = command.split_once('=').filter(|_| !command.contains(' ')) {
                let value = match name {
                    "LIVEHELP" => origin.clone(),
                    "KEY" => key.clone(),
                    name => kept(name, &last.as_ref().expect("nothing was answered yet").1),
                };
                variables.insert(name.to_owned(), value);
                continue;
            }
            let curled = command.strip_prefix("curl ").expect("a command is curl");
            let answer = curl(&server, &words(curled, &variables)).await;
            last = Some((command.to_owned(), answer));
            asked += 1;
        }
    }
    assert_eq!(asked, checked, "each command's answer is shown");
    assert!(asked > 10, "{asked}");
    server.stop().await;
}

//! As much of PromQL as the checks need: which series a query selects, by which labels, over which ranges.

/// One selector of a query.
#[derive(Debug, PartialEq, Eq)]
pub struct Selector {
    pub name: String,
    /// Label, operator, value.
    pub matchers: Vec<(String, String, String)>,
    /// What stands in brackets behind it.
    pub range: Option<String>,
}

const WORDS: [&str; 10] =
    ["and", "or", "unless", "bool", "by", "without", "on", "ignoring", "offset", "vector"];

/// Every selector. A word before a parenthesis is a function; the parenthesis behind `by` or `on` holds labels.
pub fn selectors(expr: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = expr;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
    {
        // A letter within a number: `1e9`.
        let of_a_number = rest[..start].ends_with(|letter: char| letter.is_ascii_digit());
        let word: String = rest[start..].chars().take_while(|c| is_word(*c)).collect();
        rest = &rest[start + word.len()..];
        let behind = rest.trim_start();
        if of_a_number {
            continue;
        }
        if ["by", "without", "on", "ignoring"].contains(&word.as_str()) && behind.starts_with('(') {
            rest = &behind[behind.find(')').unwrap() + 1..];
        } else if !WORDS.contains(&word.as_str()) && !is_function(behind) {
            let mut matchers = Vec::new();
            if behind.starts_with('{') {
                let end = closing(behind);
                matchers = read(&behind[1..end]);
                rest = &behind[end + 1..];
            }
            let range =
                rest.strip_prefix('[').map(|inside| inside.split(']').next().unwrap().to_owned());
            if range.is_some() {
                rest = &rest[rest.find(']').unwrap() + 1..];
            }
            found.push(Selector { name: word, matchers, range });
        }
    }
    found
}

/// Labels that a query groups or joins by.
pub fn grouped(expr: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in ["by (", "on ("] {
        for part in expr.split(word).skip(1) {
            let labels = part.split(')').next().unwrap();
            found.extend(labels.split(',').map(|label| label.trim().to_owned()));
        }
    }
    found
}

/// By what stands behind a word: its arguments, or the labels by which it adds up and then its arguments.
fn is_function(behind: &str) -> bool {
    ["(", "by (", "without ("].iter().any(|begin| behind.starts_with(begin))
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'
}

/// Where the brace closes that `text` begins with; one within quotes does not.
fn closing(text: &str) -> usize {
    let mut quoted = false;
    let end = text.char_indices().find(|(_, letter)| {
        quoted ^= *letter == '"';
        !quoted && *letter == '}'
    });
    end.unwrap().0
}

fn read(inside: &str) -> Vec<(String, String, String)> {
    let mut matchers = Vec::new();
    let mut rest = inside;
    while let Some((head, tail)) = rest.split_once('"') {
        let (value, behind) = tail.split_once('"').unwrap();
        let head = head.trim_start_matches(',').trim();
        let at = head.find(|letter| !is_word(letter)).unwrap();
        matchers.push((head[..at].to_owned(), head[at..].to_owned(), value.to_owned()));
        rest = behind;
    }
    matchers
}

#[test]
fn selectors_are_found_with_their_labels_and_ranges() {
    let expr = r#"sum by (le, job) (rate(a_bucket{le="0.5",job=~"$job"}[5m])) / on (job) b:c > 1e9 and vector(0) or d{x!="}"}"#;
    let found = selectors(expr);
    let names: Vec<&str> = found.iter().map(|selector| selector.name.as_str()).collect();
    assert_eq!(names, ["a_bucket", "b:c", "d"]);
    let text = |text: &str| text.to_owned();
    assert_eq!(found[0].matchers[1], (text("job"), text("=~"), text("$job")));
    assert_eq!(found[0].range.as_deref(), Some("5m"));
    assert_eq!(found[2].matchers, [(text("x"), text("!="), text("}"))]);
    assert_eq!(grouped(expr), ["le", "job", "job"]);
}

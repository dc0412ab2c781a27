//! What a command says, for people or for programs.
//!
//! Lives here: `--output`, tables, moments and lists in words. Not here: what is said.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use clap::ArgMatches;
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// People.
    Table,
    /// Programs.
    Json,
}

/// What `--output` asks for, if it was given.
pub(super) fn asked(matches: &ArgMatches) -> Option<Form> {
    match matches.get_one::<String>("output")?.as_str() {
        "json" => Some(Form::Json),
        _ => Some(Form::Table),
    }
}

/// The form of what was made for programs: people who look at it see a table.
pub(super) fn for_programs(matches: &ArgMatches) -> Form {
    let seen = || if std::io::stdout().is_terminal() { Form::Table } else { Form::Json };
    asked(matches).unwrap_or_else(seen)
}

/// The form of what was made for people: it is text wherever it goes, unless JSON is asked for.
pub(super) fn for_people(matches: &ArgMatches) -> Form {
    asked(matches).unwrap_or(Form::Table)
}

/// An answer of the server as a table: a row for each item of a list, or a line for each field.
///
/// `columns` are the fields of an item that a row has; a text that is no JSON object stays as it
/// is.
pub(super) fn table(answer: &str, columns: &[&str]) -> String {
    let Ok(Value::Object(answer)) = serde_json::from_str(answer) else {
        return format!("{}\n", answer.trim_end());
    };
    let Some(items) = answer.get("items").and_then(Value::as_array) else {
        return fields(&answer);
    };
    let none = Value::Null;
    let row = |item: &Value| {
        let cell = |name: &&str| words(name, item.get(name).unwrap_or(&none));
        columns.iter().map(cell).collect()
    };
    let head = columns.iter().map(|name| name.to_uppercase()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(items.iter().map(row)).collect();
    let mut text = aligned(&rows);
    if items.is_empty() {
        "there are none\n".clone_into(&mut text);
    }
    if let Some(cursor) = answer.get("next_cursor").and_then(Value::as_str) {
        text.push_str(&format!("\nThere are more: --cursor {cursor}\n"));
    }
    text
}

/// A line for each field: ids first, then the name, then the rest by the alphabet.
pub(super) fn fields(object: &Map<String, Value>) -> String {
    let mut names: Vec<&String> = object.keys().collect();
    names.sort_by_key(|name| (!name.ends_with("_id"), name.as_str() != "name", name.as_str()));
    let rows: Vec<Vec<String>> = names
        .into_iter()
        .filter_map(|name| Some(vec![name.clone(), words(name, object.get(name)?)]))
        .collect();
    aligned(&rows)
}

/// Columns side by side, as wide as their widest cell; nothing stands behind the last.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let wide = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(wide).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, wide) in row.iter().zip(&widths) {
            // A String takes every write.
            let _written = write!(line, "{cell:<wide$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A value in one line, without what would move a terminal's cursor.
fn words(name: &str, value: &Value) -> String {
    let is_moment = name.ends_with("_at") || matches!(name, "trusted_until" | "at");
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => {
            let at_ms = number.as_i64().filter(|_| is_moment);
            at_ms.and_then(moment).unwrap_or_else(|| number.to_string())
        }
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect()
}

/// `2026-11-24 02:04:19 UTC`, from milliseconds since 1970; `None` beyond the calendar.
fn moment(at_ms: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1000)).ok()?;
    let (hour, minute, second) = at.time().as_hms();
    Some(format!("{} {hour:02}:{minute:02}:{second:02} UTC", at.date()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_table_of_its_columns() {
        let answer = r#"{"items":[
            {"tenant_id":"ten_1","name":"Kettle & Leaf","created_at":1795485859999,"more":1},
            {"tenant_id":"ten_20","name":"Ün\u001b[31m","created_at":null}],"next_cursor":"c1"}"#;
        assert_eq!(
            table(answer, &["tenant_id", "name", "created_at"]),
            "TENANT_ID  NAME           CREATED_AT\n\
             ten_1      Kettle & Leaf  2026-11-24 02:04:19 UTC\n\
             ten_20     Ün [31m        -\n\
             \n\
             There are more: --cursor c1\n"
        );
        assert_eq!(table(r#"{"items":[],"next_cursor":null}"#, &["name"]), "there are none\n");
    }

    #[test]
    fn one_thing_is_a_line_for_each_field() {
        let answer = r#"{"state":"open","origins":["https://a.example","https://b.example"],
            "name":"Shop","site_id":"sit_1","form":{"email":"optional"},"closed_at":null}"#;
        assert_eq!(
            table(answer, &[]),
            "site_id    sit_1\n\
             name       Shop\n\
             closed_at  -\n\
             form       {\"email\":\"optional\"}\n\
             origins    https://a.example, https://b.example\n\
             state      open\n"
        );
        assert_eq!(table("not JSON", &[]), "not JSON\n");
    }
}

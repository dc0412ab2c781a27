//! Where something stands in the settings file, and its line with a caret below it.
//!
//! Lives here: line, column, the drawing, and what of a line may be shown. Not here: what is wrong
//! with it (`load`). Called by `load`. A line may hold a password, so only what cannot be one is
//! drawn.

use std::ops::Range;

use super::SETTINGS;
use super::value::Setting;

/// Characters of a line that is drawn; a longer one would not fit a terminal.
const DRAWN_CHARS_MAX: usize = 160;

/// A place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
    /// The line and a caret under the place, each after a line break; empty where the line may not
    /// be shown.
    pub(super) drawn: String,
}

impl Place {
    /// The place of these bytes of the text.
    pub(super) fn of(text: &str, span: &Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let whole = text.get(line_start..).unwrap_or_default();
        let line = whole.lines().next().unwrap_or_default();
        let at = before.get(line_start..).unwrap_or_default().chars().count();
        let marked = text.get(span.clone()).unwrap_or_default().lines().next().unwrap_or_default();
        let number = before.matches('\n').count() + 1;
        let in_text = ["\"\"\"", "'''"].iter().any(|quotes| {
            text.get(..line_start).unwrap_or_default().matches(quotes).count() % 2 == 1
        });
        let drawn = if in_text || line.trim().is_empty() || line.chars().count() > DRAWN_CHARS_MAX {
            String::new()
        } else {
            draw(number, line, at, marked.chars().count())
        };
        Self { line: number, column: at + 1, drawn }
    }

    /// In words, after the file's name.
    pub(super) fn words(&self) -> String {
        format!("line {}, column {}", self.line, self.column)
    }
}

fn draw(number: usize, line: &str, at: usize, marked: usize) -> String {
    let plain = |sign: char| if sign.is_control() { ' ' } else { sign };
    let shown_chars = shown_chars(line);
    let mut shown: String = line.chars().take(shown_chars).map(plain).collect();
    let cut = shown_chars < line.chars().count();
    if cut {
        shown.push('…');
    }
    // What is hidden is one sign wide.
    let end = if cut { shown_chars + 1 } else { shown_chars };
    let at = at.min(if cut { shown_chars } else { end });
    let carets = "^".repeat(marked.min(end.saturating_sub(at)).max(1));
    let number = number.to_string();
    let (margin, indent) = (" ".repeat(number.len()), " ".repeat(at));
    format!("\n  {number} | {shown}\n  {margin} | {indent}{carets}")
}

/// How many characters of a line may be shown: all of one that sets what can be no secret; of any
/// other, what stands before its value.
fn shown_chars(line: &str) -> usize {
    let all = line.chars().count();
    let indent = all - line.trim_start().chars().count();
    let word = line.trim_start();
    let ends = |sign: char| sign.is_whitespace() || matches!(sign, '=' | '"' | '\'');
    let name = word.split(ends).next().unwrap_or_default();
    let known = SETTINGS.iter().find(|setting| setting.name == name);
    let has_password = line.contains("://") && line.contains('@');
    match known {
        Some(Setting { secret: false, .. }) if !has_password => all,
        _ if word.starts_with('[') && !word.contains(['"', '\'', '@']) => all,
        Some(_) | None => {
            let after = word.get(name.len()..).unwrap_or_default();
            let gap = after.chars().take_while(|sign| sign.is_whitespace() || *sign == '=').count();
            (indent + name.chars().count() + gap).min(all)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str, mark: &str) -> String {
        let start = text.find(mark).unwrap();
        Place::of(text, &(start..start + mark.len())).drawn
    }

    #[test]
    fn a_place_is_counted_in_characters_from_one() {
        let text = "# ünder\r\n\tlisten = 1\r\n";
        let start = text.find("listen").unwrap();
        let place = Place::of(text, &(start..start + 6));
        assert_eq!((place.line, place.column), (2, 2));
        assert_eq!(place.drawn, "\n  2 |  listen = 1\n    |  ^^^^^^");
        let end = Place::of("listen = ", &(9..9));
        assert_eq!((end.line, end.column), (1, 10));
        assert_eq!(Place::of("", &(0..0)).drawn, "");
    }

    #[test]
    fn what_may_be_a_password_is_not_drawn() {
        assert_eq!(drawn("bus = \"redis://u:pw@h", "\"redis"), "\n  1 | bus = …\n    |       ^");
        assert_eq!(drawn("bus = redis://u:pw@h", "redis"), "\n  1 | bus = …\n    |       ^");
        assert_eq!(drawn("buss = 'pw'", "buss"), "\n  1 | buss = …\n    | ^^^^");
        assert_eq!(drawn("bus 'pw'", "'pw'"), "\n  1 | bus …\n    |     ^");
        assert_eq!(
            drawn("public_url = 'http://u:pw@h'", "'http"),
            "\n  1 | public_url = …\n    |              ^"
        );
        assert_eq!(drawn("bus = '''\npw\\q", "\\q"), "");
        assert_eq!(drawn("x = [\n  'pw',\n", "'pw'"), "\n  2 |   …\n    |   ^");
        assert_eq!(drawn("[tls", "[tls"), "\n  1 | [tls\n    | ^^^^");
    }
}

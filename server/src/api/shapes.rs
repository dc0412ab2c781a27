//! What a text that is sent looks like, as the documents say it: regular expressions (ECMA 262) and
//! formats by which a program can judge a text before it sends it.
//!
//! Lives here: shapes, and the test that the server takes whatever has them. Not here: which field
//! has which (`promises`). A shape may be narrower than what is taken: people paste with spaces and
//! capitals, programs write the one spelling.

use serde_json::{Value, json};

/// No controls: one line.
const LINE: &str = r"[^\u0000-\u001f\u007f-\u009f]*";

/// A character that is seen, as far as a short list can tell: no space, no control, no format
/// character.
const SEEN: &str = r"[^\u0000-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff]";

/// Characters of an origin: a scheme, a wildcard, a host of 253 and a port.
pub(super) const ORIGIN_CHARS_MAX: usize = 8 + 2 + 253 + 6;

/// Characters of RFC 3339 with nanoseconds and an offset.
const MOMENT_CHARS_MAX: usize = 40;

/// A name: one line in which something is seen.
pub(super) fn name(chars_max: usize) -> Value {
    let pattern = format!("^{LINE}{SEEN}{LINE}$");
    json!({ "minLength": 1, "maxLength": chars_max, "pattern": pattern })
}

/// Words in which something is seen.
pub(super) fn words(chars_max: usize) -> Value {
    json!({ "minLength": 1, "maxLength": chars_max, "pattern": SEEN })
}

/// An id of a kind, by its prefix.
pub(super) fn id(prefix: &str) -> String {
    format!("^{prefix}_[0-9a-f]{{32}}$")
}

/// A message's id that its sender made: a version 7 UUID.
pub(super) const OWN_MESSAGE_ID: &str = "^msg_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$";

/// Where a page of conversations begins: behind one, or behind a moment and one of its
/// conversations.
pub(super) const CONVERSATIONS_CURSOR: &str = "^([0-9]{1,14}\\.)?cnv_[0-9a-f]{32}$";

/// Printable ASCII with no space around it, which no header keeps.
pub(super) const IDEMPOTENCY_KEY: &str = r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$";

/// RFC 3339, or Unix milliseconds up to the end of the year 9999.
pub(super) fn moment() -> Value {
    json!([
        { "type": "string", "format": "date-time", "maxLength": MOMENT_CHARS_MAX },
        { "type": "string", "pattern": "^([0-9]{1,14}|1[0-9]{14}|2[0-4][0-9]{13})$" },
    ])
}

/// A path that does not depend on where the server was started.
pub(super) fn absolute_path(chars_max: usize) -> Value {
    json!({ "maxLength": chars_max, "pattern": r"^/[^\u0000]*$" })
}

/// An origin as browsers write it: `https`, or plain `http` on the server's own machine; `*.` for
/// all names under one.
pub(super) fn origin() -> String {
    let label = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?";
    // The last label is no number, or the name would be an IPv4 address.
    let last = "[a-z]([a-z0-9_-]{0,61}[a-z0-9_])?";
    let name = format!(r"({label}\.){{0,8}}{last}");
    let octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    let group = "[0-9a-f]{1,4}";
    let six =
        format!(r"\[(({group}:){{7}}{group}|({group}:){{1,6}}:{group}|:(:{group}){{1,7}}|::)\]");
    let port =
        "(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4}))?";
    let anywhere =
        format!(r"https://({name}|\*\.({label}\.){{1,8}}{last}|{octet}(\.{octet}){{3}}|{six})");
    let here = format!(r"http://(({label}\.){{0,8}}localhost|127(\.{octet}){{3}}|\[::1\])");
    format!("^({anywhere}|{here}){port}$")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, Strategy};
    use proptest::string::string_regex;
    use proptest::test_runner::TestRunner;
    use protocol::ids::{ConversationId, MessageId};

    use super::super::conversations::change_cursor;
    use super::super::date::Moment;
    use super::super::request;
    use super::*;
    use crate::origin::parse_origin;

    /// Whether the server takes what has this shape, and what it does not take has it not: of texts
    /// made at random.
    fn takes(pattern: &str, takes: impl Fn(&str) -> bool) {
        let bare = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'));
        let texts = string_regex(bare.unwrap_or(pattern)).unwrap();
        let mut runner = TestRunner::new(ProptestConfig::with_cases(512));
        let texts = texts.prop_filter("no label of punycode, no host that is too long", |text| {
            !text.contains("xn--") && text.len() <= 253
        });
        runner
            .run(&texts, |text| {
                proptest::prop_assert!(takes(&text), "{pattern} has {text:?}, which is refused");
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn whatever_has_a_shape_is_taken() {
        takes(&origin(), |text| parse_origin(text).is_ok());
        let pattern = |shape: &Value| shape["pattern"].as_str().unwrap().to_owned();
        let is_name = |text: &str| request::name("name", text, usize::MAX).is_ok();
        // A lone mark is not seen either: too many to list, and no name.
        takes(&pattern(&name(9)), |text| is_name(text) || is_name(&format!("a{text}")));
        takes(&pattern(&moment()[1]), |text| text.parse::<Moment>().is_ok());
        takes(OWN_MESSAGE_ID, |text| text.parse().is_ok_and(|id: MessageId| id.is_v7()));
        takes(CONVERSATIONS_CURSOR, |text| {
            text.parse::<ConversationId>().is_ok() || change_cursor(text).is_ok()
        });
        takes(&id("cnv"), |text| text.parse::<ConversationId>().is_ok());
    }

    #[test]
    fn what_is_refused_has_no_shape() {
        let origins = [
            "",
            "shop.example",
            "http://shop.example",
            "https://",
            "https://shop.example/",
            "https://a b",
            "https://*",
            "https://*.example",
            "https://a.*.example",
            "https://shop.example:65536",
            "https://ada@shop.example",
            "https://shop.example?x",
            "https://1.2.3.400",
            "ftp://shop.example",
        ];
        let regex = |pattern: &str| regex_automata::meta::Regex::new(pattern).unwrap();
        let shape = regex(&origin());
        for text in origins {
            assert!(!shape.is_match(text), "{text}");
        }
        for text in ["https://shop.example", "http://localhost:3000", "https://*.shop.example"] {
            assert!(shape.is_match(text) && parse_origin(text).is_ok(), "{text}");
        }
        let shape = regex(name(9)["pattern"].as_str().unwrap());
        for text in ["", " ", "\u{a0}\u{3000}", "\u{200b}", "a\nb", "a\u{7}", "\u{ad}"] {
            assert!(!shape.is_match(text) && request::name("name", text, 9).is_err(), "{text:?}");
        }
    }
}

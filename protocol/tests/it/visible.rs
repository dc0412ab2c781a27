//! The golden texts of `protocol/vectors/visible.json`, and what holds for every text.

use proptest::prelude::*;
use protocol::visible::{is_blank, key, name};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    text: String,
    blank: bool,
    name: String,
    key: String,
}

#[test]
fn what_is_not_seen_is_not_there() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../../vectors/visible.json")).unwrap();
    for Vector { text, blank, name: kept, key: common } in vectors {
        let shown = text.escape_unicode();
        assert_eq!(is_blank(&text), blank, "{shown}");
        assert_eq!(name(&text), kept, "{shown}");
        assert_eq!(key(&text), common, "{shown}");
        assert_eq!(key(&kept), common, "a kept name has the key of what was given: {shown}");
    }
}

/// Every character, alone and in a word: a check on the tables, not on a choice of them.
#[test]
fn no_character_that_is_not_seen_makes_a_word_another_one() {
    for char in (0..=0x10_FFFF).filter_map(char::from_u32) {
        let alone = char.to_string();
        if !is_blank(&alone) || !name(&format!("a{alone}b")).starts_with("ab") {
            continue;
        }
        assert_eq!(name(&alone), "", "{}", char.escape_unicode());
        for text in [format!("{alone}VIP"), format!("V{alone}IP"), format!("VIP{alone}")] {
            assert_eq!(name(&text), "VIP", "{}", char.escape_unicode());
            assert_eq!(key(&text), "vip", "{}", char.escape_unicode());
        }
    }
}

fn texts() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        ' ',
        'a',
        '1',
        '\u{301}',
        '\u{200B}',
        '\u{200C}',
        '\u{200D}',
        '\u{FE0F}',
        '\u{20E3}',
        '👍',
        '❤',
        '\u{1F3FD}',
        '\u{1F3F4}',
        '\u{E0067}',
        '\u{E007F}',
        '\u{202E}',
        '\u{D28}',
        '\u{D4D}',
        '\u{645}',
        '\u{2800}',
        '\u{845B}',
        '\u{1820}',
        '\u{180B}',
    ]);
    prop::collection::vec(prop_oneof![odd, any::<char>()], 0..12)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #[test]
    fn a_kept_name_is_kept_as_it_is(text in texts()) {
        let kept = name(&text).into_owned();
        prop_assert_eq!(name(&kept), kept.as_str());
        prop_assert_eq!(key(&kept), key(&text));
        prop_assert_eq!(kept.is_empty(), name(&key(&text)).is_empty());
    }

    #[test]
    fn a_blank_text_has_no_name(text in texts()) {
        prop_assert!(!is_blank(&text) || name(&text).is_empty());
    }
}

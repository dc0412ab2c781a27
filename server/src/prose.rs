//! Prose of documents that are made from code: on lines of 100 columns, as what people write by
//! hand.

use textwrap::{Options, WordSplitter};

/// Columns of a line.
const WIDTH: usize = 100;

/// The same words on lines of bounded width, each with its end; all but the first begin with
/// `indent`.
pub(crate) fn filled(words: &str, indent: &str) -> String {
    let lines = Options::new(WIDTH)
        .subsequent_indent(indent)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(words, lines) + "\n"
}

/// The same of a point in a list.
pub(crate) fn point(words: &str) -> String {
    filled(&format!("- {words}"), "  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_nothing_is_lost_or_broken() {
        let words = "well-known ".repeat(40);
        let text = point(&words);
        assert!(text.lines().all(|line| line.len() <= WIDTH) && text.lines().count() > 3);
        assert!(text.lines().skip(1).all(|line| line.starts_with("  well-known")));
        assert_eq!(text.matches("well-known").count(), 40);
        let long = "x".repeat(WIDTH * 2);
        assert_eq!(filled(&long, ""), format!("{long}\n"), "an address stays whole");
    }
}

//! A phone number as it is suppressed: its digits, and whether they begin with a country.
//!
//! What is said nationally (`030 …`) is not what is said with its country (`+49 30 …`): which
//! country is meant is known to whoever typed it alone, and a guess would suppress somebody else.

/// Digits that a number has at least; fewer are an extension, or none.
const DIGITS_MIN: usize = 5;
/// And at most (E.164 has 15, with a prefix to dial out of some countries).
const DIGITS_MAX: usize = 20;

/// One form for all spellings; `None` where it is no number.
pub(super) fn form(text: &str) -> Option<String> {
    let text = super::folded(text);
    let text = text.strip_prefix("tel:").unwrap_or(&text).trim();
    let text = number_alone(text);
    let is_abroad = text.starts_with('+') || text.starts_with("00");
    // "+49 (0)30": the zero is dialled inside the country alone.
    let text = if is_abroad { text.replacen("(0)", "", 1) } else { text.to_owned() };
    let mut digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if !text.starts_with('+') && is_abroad {
        digits.drain(..2);
    }
    if !(DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) {
        return None;
    }
    Some(if is_abroad { format!("+{digits}") } else { digits })
}

/// Without the extension: what follows the first letter or sign that stands in no number.
fn number_alone(text: &str) -> &str {
    let is_of_a_number = |char: char| char.is_ascii_digit() || " \t+-./()[]–—".contains(char);
    let end = text.find(|char| !is_of_a_number(char)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

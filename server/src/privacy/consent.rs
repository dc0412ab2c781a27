//! What a visitor was shown before he wrote: the notice first, then his words (CONS-02).
//!
//! Lives here: which opening may go on, and the name of the notice that is kept with it. Not here: the
//! notice's words (a site's settings). Called by the hub before a conversation begins.

use std::fmt;

use protocol::reject::{Reject, RejectCode};

/// SHA-256 of a privacy notice: says which words were shown, and nothing about a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeHash(pub [u8; 32]);

impl NoticeHash {
    /// From 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for NoticeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The notice that an opening says was shown.
///
/// A hash of a notice that is no longer the site's is kept as it is: the words may have been changed
/// while the visitor was offline, and it is what he saw that counts.
///
/// # Errors
/// If the site has a notice and none was shown, or if it is no hash.
pub fn notice_shown(
    site_has_notice: bool,
    given: Option<&str>,
) -> Result<Option<NoticeHash>, Reject> {
    match given {
        Some(text) => NoticeHash::parse(text).map(Some).ok_or_else(|| {
            Reject::new(RejectCode::Invalid, "notice: the hash of a notice has 64 hex digits")
        }),
        None if site_has_notice => Err(Reject::new(
            RejectCode::ConsentRequired,
            "show the site's privacy notice first and send its hash; GET /v1/widget/{site_key} has both",
        )),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notice_comes_first() {
        let text = "0123456789abcdefABCDEF00".to_owned() + &"ff".repeat(20);
        let hash = notice_shown(true, Some(&text)).unwrap().unwrap();
        assert_eq!(hash.to_string(), text.to_lowercase());
        assert_eq!(notice_shown(false, Some(&text)), Ok(Some(hash)));
        assert_eq!(notice_shown(false, None), Ok(None));
        let code = |given| notice_shown(true, given).unwrap_err().code;
        assert_eq!(code(None), RejectCode::ConsentRequired);
        for bad in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(code(Some(bad)), RejectCode::Invalid, "{bad}");
        }
    }
}

//! What a visitor was shown before they wrote: the notice first, then their words (CONS-02).
//!
//! Lives here: which opening may go on, and the name of the notice that is kept with it. Not here:
//! the notice's words (a site's settings). Called by the hub before a conversation begins.

use std::fmt;

use protocol::reject::{Reject, RejectCode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

impl Serialize for NoticeHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NoticeHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("64 hex digits"))
    }
}

/// What a site shows, and has shown, before the first word.
#[derive(Debug, Clone, Copy)]
pub struct Notices<'a> {
    /// Whether it has a notice now.
    pub is_shown: bool,
    /// The name of what it has now, of an empty one too.
    pub current: NoticeHash,
    /// What it showed before.
    pub former: &'a [NoticeHash],
}

/// The notice that an opening says was shown.
///
/// A notice that is no longer the site's is kept as it is: the words may have been changed while
/// the visitor was offline, and it is what they saw that counts. One that the site never had was
/// shown to nobody.
///
/// # Errors
/// If the site has a notice and none was shown, if it was none of the site's, or if it is no hash.
pub fn notice_shown(
    notices: &Notices<'_>,
    given: Option<&str>,
) -> Result<Option<NoticeHash>, Reject> {
    let Some(text) = given else {
        let first = "show the site's privacy notice first and send its hash; GET /v1/widget/{site_key} has both";
        return if notices.is_shown {
            Err(Reject::new(RejectCode::ConsentRequired, first))
        } else {
            Ok(None)
        };
    };
    let Some(hash) = NoticeHash::parse(text) else {
        let words = "notice: the hash of a notice has 64 hex digits";
        return Err(Reject::new(RejectCode::Invalid, words));
    };
    if hash == notices.current {
        return Ok(notices.is_shown.then_some(hash));
    }
    if notices.former.contains(&hash) {
        return Ok(Some(hash));
    }
    let words = "notice: this site has no notice with this hash and had none; GET /v1/widget/{site_key} has what to show";
    Err(Reject::new(RejectCode::ConsentRequired, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notice_comes_first_and_is_one_that_was_shown() {
        let text = "0123456789abcdefABCDEF00".to_owned() + &"ff".repeat(20);
        let hash = NoticeHash::parse(&text).unwrap();
        assert_eq!(hash.to_string(), text.to_lowercase());
        let (other, empty) = (NoticeHash([7; 32]), NoticeHash([0; 32]));
        let now = Notices { is_shown: true, current: hash, former: &[other] };
        let none = Notices { is_shown: false, current: empty, former: &[other] };
        assert_eq!(notice_shown(&now, Some(&text)), Ok(Some(hash)));
        for site in [&now, &none] {
            assert_eq!(notice_shown(site, Some(&other.to_string())), Ok(Some(other)), "formerly");
            let never = notice_shown(site, Some(&"ab".repeat(32))).unwrap_err();
            assert_eq!(never.code, RejectCode::ConsentRequired);
        }
        assert_eq!(notice_shown(&none, None), Ok(None));
        assert_eq!(notice_shown(&none, Some(&empty.to_string())), Ok(None), "nothing was shown");
        let code = |given| notice_shown(&now, given).unwrap_err().code;
        assert_eq!(code(None), RejectCode::ConsentRequired);
        for bad in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(code(Some(bad)), RejectCode::Invalid, "{bad}");
        }
    }
}

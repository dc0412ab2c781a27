//! Suppression: whom an Organization erased may not come back by themselves (SUPP-01, SUPP-02).
//!
//! Lives here: what a person is known by, why they are suppressed, and the one form in which two
//! spellings are compared. Below: that form of an e-mail address and of a phone number. Not here:
//! the spelling under which somebody signs in (`auth/email`), which is narrower, the keyed hash
//! that is kept in place of the form (`store`, `keys`). Called by the hub and by REST.

mod email;
mod phone;

use icu_normalizer::ComposingNormalizerBorrowed;
use protocol::personal::Personal;
use protocol::visible;
use unicode_security::skeleton;

/// The version of the form. It stands in what is hashed, so that entries of an earlier one can
/// still be looked for by theirs.
const FORM: &str = "1";

/// Bytes of an identifier that are looked at: an e-mail address in a link, with its subject.
pub const IDENTIFIER_BYTES_MAX: usize = 4 * 1024;

/// How often a text is folded again until it stays as it is; two times is the rule.
const ROUNDS_MAX: usize = 16;

macro_rules! words {
    ($( $(#[doc = $about:literal])* $list:ident { $( #[doc = $doc:literal] $name:ident $code:literal $word:literal ),+ $(,)? } )+) => { $(
        $(#[doc = $about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $list { $( #[doc = $doc] $name ),+ }

        impl $list {
            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$name ),+];

            /// Its name for people and programs.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$name => $word ),+ }
            }

            /// Its number in a column.
            pub const fn code(self) -> u8 {
                match self { $( Self::$name => $code ),+ }
            }

            /// The one with this number.
            pub fn from_code(code: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.code() == code)
            }

            /// The one with this name.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }
    )+ };
}

words! {
    /// What somebody is known by.
    IdentifierKind {
        /// An e-mail address.
        Email 1 "email",
        /// A phone number.
        Phone 2 "phone",
        /// The id that another application gave them.
        ExternalId 3 "external_id",
        /// The name by which they signed in.
        Username 4 "username",
    }
    /// Why an entry may be kept, though it is about a person.
    SuppressionBasis {
        /// They were erased, and that is to be honoured further on.
        Erasure 1 "erasure",
        /// They object to being recorded.
        Objection 2 "objection",
        /// They are younger than the service is for.
        Minor 3 "minor",
    }
}

/// What somebody is known by, in the one form in which it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    kind: IdentifierKind,
    form: Personal<String>,
}

impl Identifier {
    /// Of what somebody typed; `None` where that is nothing of the kind.
    pub fn of(kind: IdentifierKind, text: &str) -> Option<Self> {
        if text.len() > IDENTIFIER_BYTES_MAX {
            return None;
        }
        let form = match kind {
            IdentifierKind::Email => email::form(text)?,
            IdentifierKind::Phone => phone::form(text)?,
            // Its letters are another program's: two that look alike may be two people.
            IdentifierKind::ExternalId => folded(text),
            IdentifierKind::Username => look(text, |text: String| text),
        };
        if form.is_empty() {
            return None;
        }
        let form = Personal::new(form);
        Some(Self { kind, form })
    }

    pub fn kind(&self) -> IdentifierKind {
        self.kind
    }

    /// What the keyed hash is made of.
    pub fn hashed(&self) -> Personal<String> {
        Personal::new(format!("{FORM} {} {}", self.kind.word(), self.form.expose()))
    }
}

/// Without what is not seen, compatibility forms as the letters they stand for (NFKC), case folded:
/// to the capital and back, so that `ß` is `ss` and each sigma the same one.
fn folded(text: &str) -> String {
    let nfkc = |text: &str| {
        ComposingNormalizerBorrowed::new_nfkc().normalize(&visible::name(text)).into_owned()
    };
    settled(text, |text| {
        let folded = nfkc(text);
        let folded: String =
            folded.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
        nfkc(&folded)
    })
}

/// The skeleton of a folded text (UTS #39): letters that look alike are one letter, of whatever
/// script, and so are `0` and `o`, `1` and `l`. `cut` takes out what does not count.
fn look(text: &str, cut: impl Fn(String) -> String) -> String {
    settled(text, |text| {
        let alike: String = skeleton(&cut(folded(text))).collect();
        cut(folded(&alike))
    })
}

/// Done again until it changes nothing, so that a form is its own form.
fn settled(text: &str, fold: impl Fn(&str) -> String) -> String {
    let mut text = text.to_owned();
    for _ in 0..ROUNDS_MAX {
        let again = fold(&text);
        if again == text {
            break;
        }
        text = again;
    }
    text
}

#[cfg(test)]
mod tests;

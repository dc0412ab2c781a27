//! Every bound of the wire: its value, its unit, its reason.

use serde::de::{self, SeqAccess};
use serde::{Deserialize, Deserializer, Serialize};

/// Bytes of a frame from a client. Room for the longest text with every character of it escaped (12
/// bytes for one beyond U+FFFF), and for a form with all of its answers, and their frames.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a frame that is refused by its number: it is passed over as it comes. A longer one ends
/// the connection.
pub const REFUSED_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a frame before `hello` was accepted: what an unknown peer can make the server hold.
/// Room for all resume points in either encoding, and for the words beside them, escaped.
pub const HELLO_BYTES_MAX: usize = 12 * 1024;

/// Bytes of a message's text in UTF-8.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Characters of a message's text; what a person can read in one go.
pub const TEXT_CHARS_MAX: usize = 4_000;

/// Bytes of one answer of a form, a name, an e-mail address, a page's title.
pub const ANSWER_BYTES_MAX: usize = 1_000;

/// Bytes of a page's address; what browsers agree on.
pub const URL_BYTES_MAX: usize = 2_048;

/// Bytes of a client's name and version, a locale, a token, a notice's hash.
pub const WORD_BYTES_MAX: usize = 128;

/// Conversations that one `hello` may ask to resume.
pub const RESUME_POINTS_MAX: usize = 64;

/// Answers of a form.
pub const ANSWERS_MAX: usize = 32;

/// Messages in one page of history.
pub const HISTORY_MESSAGES_MAX: u16 = 100;

/// Messages sent after a resume; more than that is a `reset` to the newest page.
pub const RESUME_MESSAGES_MAX: usize = 500;

/// Conversations in one part of an agent's board.
pub const BOARD_CONVERSATIONS_MAX: usize = 200;

/// Levels of nesting in a frame; the deepest that we write is 5.
pub const DEPTH_MAX: usize = 12;

/// Conversations that one connection may have open at a time, as a member of their rooms.
pub const ROOMS_PER_CONNECTION_MAX: usize = 256;

/// Conversations that an agent can be made to take at a time; more than a person can follow.
pub const CAPACITY_MAX: u16 = 100;

/// The highest place of a message: what a signed column of a database holds.
pub const SEQ_MAX: u64 = i64::MAX as u64;

/// Milliseconds for which a typing mark holds without being renewed.
pub const TYPING_MS: u64 = 6_000;

/// Milliseconds that a client waits for the `pong` of its own `ping`.
pub const PONG_MS: u64 = 2_000;

/// Bytes of a `send` beyond its text, and of a pushed `message` beyond its text.
pub const MESSAGE_OVERHEAD_BYTES_MAX: usize = 80;

/// A list that a peer can make no longer than `MAX`: the bound is checked while it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// Takes the first `MAX` of the items.
    pub fn new(items: impl IntoIterator<Item = T>) -> Self {
        Self(items.into_iter().take(MAX).collect())
    }

    /// The items.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> std::ops::Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> de::Visitor<'de> for Items<T, MAX> {
            type Value = List<T, MAX>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "a list of at most {MAX}")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == MAX {
                        let longer = de::Unexpected::Other("a longer list");
                        return Err(de::Error::invalid_value(longer, &self));
                    }
                    items.push(item);
                }
                Ok(List(items))
            }
        }
        deserializer.deserialize_seq(Items(std::marker::PhantomData))
    }
}

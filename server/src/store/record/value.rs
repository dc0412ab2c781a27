//! The values of a row: what a field is in a column, and back.

use std::sync::Arc;

use protocol::conversation::{Availability, ConversationState, Role};
use protocol::ids::{
    AgentId, CannedResponseId, ConversationId, InvitationId, KeyId, PrivacyRequestId, SessionId,
    SiteId, SiteKey, SuppressionId, TagId, TenantId, VisitorId,
};
use protocol::personal::Personal;
use protocol::time::{Day, UnixMillis};

use super::canned::CannedWords;
use super::requests::RequestWords;
use crate::channel::Channel;
use crate::privacy::consent::NoticeHash;
use crate::privacy::policy::SiteTimeline;
use crate::privacy::request::{RequestKind, RequestState};
use crate::privacy::suppression::{IdentifierKind, SuppressionBasis};
use crate::store::{SecretHash, SiteSettings};

/// What stands in a column; a personal one is plain here and sealed there.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    Null,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[value]")
    }
}

impl Value {
    /// The bytes of a value that is sealed or hashed.
    pub(in crate::store) fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Null | Self::Number(_) => None,
        }
    }

    /// An id; `None` where there is none.
    pub(in crate::store) fn as_id(&self) -> Option<[u8; 16]> {
        self.as_bytes()?.try_into().ok()
    }

    /// A number that is none below zero.
    pub(in crate::store) fn as_moment(&self) -> Option<UnixMillis> {
        match self {
            Self::Number(at) => u64::try_from(*at).ok().map(UnixMillis),
            Self::Null | Self::Text(_) | Self::Bytes(_) => None,
        }
    }
}

/// A row that was read: the values of its table's own columns, in their order.
#[derive(Debug)]
pub struct Row(std::vec::IntoIter<Value>);

impl Row {
    pub(in crate::store) fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    #[cfg(test)]
    pub(in crate::store) fn values(self) -> impl Iterator<Item = Value> {
        self.0
    }

    /// The next column's value; `None` where it holds what no such field has.
    pub fn take<F: Field>(&mut self) -> Option<F> {
        F::from_value(self.0.next()?)
    }
}

/// A field's type: how it stands in a column.
pub trait Field: Sized {
    fn into_value(self) -> Value;
    /// `None` where no field is so. A personal text whose key is destroyed comes as `Null` and is
    /// empty.
    fn from_value(value: Value) -> Option<Self>;
}

impl Field for Value {
    fn into_value(self) -> Value {
        self
    }

    fn from_value(value: Value) -> Option<Self> {
        Some(value)
    }
}

macro_rules! ids {
    ($($id:ty),+) => { $(
        impl Field for $id {
            fn into_value(self) -> Value {
                Value::Bytes(self.as_bytes().to_vec())
            }

            fn from_value(value: Value) -> Option<Self> {
                value.as_id().map(Self::from_bytes)
            }
        }
    )+ };
}

ids!(
    AgentId,
    CannedResponseId,
    ConversationId,
    InvitationId,
    KeyId,
    PrivacyRequestId,
    SessionId,
    SiteId,
    SuppressionId,
    TagId,
    TenantId,
    VisitorId
);

/// Ids, one after the other.
macro_rules! lists {
    ($($id:ty),+) => { $(
        impl Field for Vec<$id> {
            fn into_value(self) -> Value {
                Value::Bytes(self.iter().flat_map(|id| *id.as_bytes()).collect())
            }

            fn from_value(value: Value) -> Option<Self> {
                let (ids, rest) = value.as_bytes()?.as_chunks::<16>();
                rest.is_empty().then(|| ids.iter().map(|id| <$id>::from_bytes(*id)).collect())
            }
        }
    )+ };
}

lists!(AgentId, TagId);

/// What may be missing: then the column is empty.
macro_rules! optional {
    ($($field:ty),+) => { $(
        impl Field for Option<$field> {
            fn into_value(self) -> Value {
                self.map_or(Value::Null, Field::into_value)
            }

            fn from_value(value: Value) -> Option<Self> {
                match value {
                    Value::Null => Some(None),
                    value => Field::from_value(value).map(Some),
                }
            }
        }
    )+ };
}

optional!(AgentId, NoticeHash, Personal<String>, PrivacyRequestId, SecretHash, UnixMillis);

macro_rules! numbers {
    ($($number:ty: $into:expr, $from:expr;)+) => { $(
        impl Field for $number {
            fn into_value(self) -> Value {
                let into: fn($number) -> i64 = $into;
                Value::Number(into(self))
            }

            fn from_value(value: Value) -> Option<Self> {
                let from: fn(i64) -> Option<$number> = $from;
                match value {
                    Value::Number(number) => from(number),
                    Value::Null | Value::Text(_) | Value::Bytes(_) => None,
                }
            }
        }
    )+ };
}

numbers! {
    // The databases count to 2^63 - 1; no clock and no counter gets there.
    u64: |number| i64::try_from(number).unwrap_or(i64::MAX), |number| u64::try_from(number).ok();
    u16: i64::from, |number| u16::try_from(number).ok();
    Day: |day| day.0.into(), |day| u16::try_from(day).ok().map(Day);
    ConversationState: |state| state.code().into(),
        |code| u8::try_from(code).ok().and_then(ConversationState::from_code);
    UnixMillis: |at| i64::try_from(at.0).unwrap_or(i64::MAX), |at| u64::try_from(at).ok().map(UnixMillis);
    Channel: |channel| channel.is_offline_message().into(),
        |flag| (0..=1).contains(&flag).then(|| Channel::of_widget(flag == 1));
    RequestKind: |kind| kind.code().into(),
        |code| u8::try_from(code).ok().and_then(RequestKind::from_code);
    RequestState: |state| state.code().into(),
        |code| u8::try_from(code).ok().and_then(RequestState::from_code);
    bool: i64::from, |flag| (0..=1).contains(&flag).then_some(flag == 1);
    Role: |role| role.code().into(), |code| u8::try_from(code).ok().and_then(Role::from_code);
    IdentifierKind: |kind| kind.code().into(),
        |code| u8::try_from(code).ok().and_then(IdentifierKind::from_code);
    SuppressionBasis: |basis| basis.code().into(),
        |code| u8::try_from(code).ok().and_then(SuppressionBasis::from_code);
    Availability: |choice| choice.code().into(),
        |code| u8::try_from(code).ok().and_then(Availability::from_code);
}

impl Field for String {
    fn into_value(self) -> Value {
        Value::Text(self)
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text),
            Value::Null | Value::Number(_) | Value::Bytes(_) => None,
        }
    }
}

impl Field for Personal<String> {
    fn into_value(self) -> Value {
        Value::Text(self.into_exposed())
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::default()),
            // It was sealed: what is opened is bytes.
            Value::Bytes(bytes) => String::from_utf8(bytes).ok().map(Self::new),
            Value::Text(_) | Value::Number(_) => None,
        }
    }
}

/// The hash of a password, sealed.
impl Field for Arc<str> {
    fn into_value(self) -> Value {
        Value::Text(self.as_ref().to_owned())
    }

    fn from_value(value: Value) -> Option<Self> {
        Personal::<String>::from_value(value).map(|text| Self::from(text.into_exposed()))
    }
}

impl Field for Vec<u8> {
    fn into_value(self) -> Value {
        Value::Bytes(self)
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Null | Value::Number(_) | Value::Text(_) => None,
        }
    }
}

macro_rules! hashes {
    ($($hash:ident),+) => { $(
        impl Field for $hash {
            fn into_value(self) -> Value {
                Value::Bytes(self.0.to_vec())
            }

            fn from_value(value: Value) -> Option<Self> {
                value.as_bytes()?.try_into().ok().map(Self)
            }
        }
    )+ };
}

hashes!(NoticeHash, SecretHash);

impl Field for SiteKey {
    fn into_value(self) -> Value {
        Value::Text(self.as_str().to_owned())
    }

    fn from_value(value: Value) -> Option<Self> {
        Self::parse(&String::from_value(value)?).ok()
    }
}

/// Words without a line break, one a line.
impl Field for Vec<String> {
    fn into_value(self) -> Value {
        Value::Text(self.join("\n"))
    }

    fn from_value(value: Value) -> Option<Self> {
        let text = String::from_value(value)?;
        Some(text.split('\n').filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }
}

/// What may belong to no Organization: then the column is empty.
impl Field for Option<TenantId> {
    fn into_value(self) -> Value {
        self.map_or(Value::Bytes(Vec::new()), Field::into_value)
    }

    fn from_value(value: Value) -> Option<Self> {
        match value.as_bytes()? {
            [] => Some(None),
            _ => TenantId::from_value(value).map(Some),
        }
    }
}

macro_rules! json {
    ($($whole:ty),+) => { $(
        impl Field for $whole {
            fn into_value(self) -> Value {
                // Strings, numbers and maps with text keys: nothing that JSON has no words for.
                Value::Text(serde_json::to_string(&self).unwrap_or_default())
            }

            fn from_value(value: Value) -> Option<Self> {
                serde_json::from_str(&String::from_value(value)?).ok()
            }
        }
    )+ };
}

json!(SiteSettings, SiteTimeline);

/// The words of one seal: a field more needs no migration.
macro_rules! sealed_words {
    ($($words:ty),+) => { $(
        impl Field for Personal<$words> {
            fn into_value(self) -> Value {
                // Texts alone: nothing that JSON has no words for.
                Value::Bytes(serde_json::to_vec(self.expose()).unwrap_or_default())
            }

            fn from_value(value: Value) -> Option<Self> {
                match value {
                    Value::Null => Some(Self::default()),
                    value => serde_json::from_slice(value.as_bytes()?).ok().map(Self::new),
                }
            }
        }
    )+ };
}

sealed_words!(CannedWords, RequestWords);

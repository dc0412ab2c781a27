//! Names for things: each a UUID of its own type, so that two ids never get mixed up.
//!
//! 16 bytes in MessagePack and in the database, `prefix_` and 32 hex digits in JSON, REST and logs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: wanted `{prefix}_` and 32 hex digits")]
pub struct ParseIdError {
    /// What the id should have begun with.
    pub prefix: &'static str,
}

macro_rules! ids {
    ($( $(#[doc = $doc:literal])* $name:ident $prefix:literal )+) => { $(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What its text begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps a UUID that is known to name such a thing.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Wraps the 16 bytes of a UUID.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The UUID inside.
            pub const fn uuid(&self) -> Uuid {
                self.0
            }

            /// Whether it is a version 7 UUID, as every id that a client makes must be (RFC 9562,
            /// 5.7).
            pub fn is_v7(&self) -> bool {
                self.0.get_version_num() == 7
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|hex| hex.len() == 32)
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or(ParseIdError { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(self.0.as_bytes())
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Id;
                impl de::Visitor<'_> for Id {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("an id: ", $prefix, "_ and 32 hex digits, or 16 bytes"))
                    }
                    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<$name, E> {
                        <[u8; 16]>::try_from(bytes)
                            .map($name::from_bytes)
                            .map_err(|_| E::invalid_length(bytes.len(), &self))
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(Id)
                } else {
                    deserializer.deserialize_bytes(Id)
                }
            }
        }
    )+ };
}

ids! {
    /// An Organization: the company that runs chat.
    TenantId "ten"
    /// One website with our widget.
    SiteId "sit"
    /// The person on the website.
    VisitorId "vis"
    /// The person who answers.
    AgentId "agt"
    /// One exchange between a visitor and agents.
    ConversationId "cnv"
    /// One thing said; made by its sender, version 7.
    MessageId "msg"
    /// One socket.
    ConnectionId "con"
    /// One server process.
    NodeId "nod"
    /// One signed-in visitor or agent across sockets.
    SessionId "ses"
    /// An API key of an Organization or of the operator.
    KeyId "key"
    /// An invitation for an agent.
    InvitationId "inv"
    /// A label that agents put on conversations.
    TagId "tag"
    /// What an agent says often, prepared.
    CannedResponseId "can"
    /// What was agreed with an Organization about how long its data is kept.
    AgreementId "agr"
    /// That somebody who was erased may not come back by themselves.
    SuppressionId "sup"
    /// What somebody asked for about their data.
    PrivacyRequestId "prq"
}

/// The public name of a site in its embed tag: `site_` and 32 lower-case hex digits. Not a secret.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct SiteKey(String);

impl SiteKey {
    /// Parses the text of an embed tag.
    ///
    /// # Errors
    /// If it is not `site_` and 32 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        let well_formed = text.strip_prefix("site_").is_some_and(|hex| {
            hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        if well_formed { Ok(Self(text.to_owned())) } else { Err(ParseIdError { prefix: "site" }) }
    }

    /// Makes a key out of 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(format!("site_{}", Uuid::from_bytes(bytes).simple()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SiteKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let id = AgentId::from_bytes([7; 16]);
        assert_eq!(id.to_string().parse::<AgentId>(), Ok(id));
        assert_eq!(id.to_string().parse::<VisitorId>(), Err(ParseIdError { prefix: "vis" }));
        assert!("agt_12".parse::<AgentId>().is_err());
    }

    #[test]
    fn a_site_key_has_one_spelling() {
        assert!(SiteKey::parse("site_00000000000000000000000000000abc").is_ok());
        assert!(SiteKey::parse("site_00000000000000000000000000000ABC").is_err());
        assert!(SiteKey::parse("site_0").is_err());
    }
}

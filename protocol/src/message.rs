//! One thing said, as the wire shows it.

use serde::de::{self, IgnoredAny};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{AgentId, MessageId};
use crate::limits::SEQ_MAX;
use crate::personal::Text;
use crate::positional::MaybeRequest;
use crate::time::{Day, UnixMillis};

/// Position of a message in its conversation. From 1; each is taken once or void; 0 is before the
/// first. At most [`SEQ_MAX`]; a higher one is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl<'de> Deserialize<'de> for Seq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seq = u64::deserialize(deserializer)?;
        if seq > SEQ_MAX {
            let expected = &"a sequence number, at most the highest";
            return Err(de::Error::invalid_value(de::Unexpected::Unsigned(seq), expected));
        }
        Ok(Self(seq))
    }
}

impl Seq {
    /// The sequence number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

macro_rules! wire_codes {
    ($(#[doc = $doc:literal])* pub enum $name:ident {
        $( $(#[doc = $vdoc:literal])* $variant:ident = $code:literal $word:literal ),+ $(,)?
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $( $(#[doc = $vdoc])* $variant = $code ),+ }

        impl $name {
            /// Every value with its code and its word, for generated files.
            pub const ALL: &'static [(Self, u8, &'static str)] =
                &[$( (Self::$variant, $code, $word) ),+];

            /// What each of them means, in the same order.
            pub const MEANINGS: &'static [&'static str] = &[$( concat!($($vdoc, "\n"),*) ),+];

            /// The value with this code, if there is one.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $( $code => Some(Self::$variant), )+ _ => None }
            }

            /// The code in MessagePack and in rows.
            pub const fn code(self) -> u8 {
                match self { $( Self::$variant => $code ),+ }
            }

            /// The readable name in JSON, REST and logs.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$variant => $word ),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $( $word => Ok(Self::$variant), )+
                    _ => Err(format!("not one of {}", [$($word),+].join(", "))),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.serialize_str(self.word())
                } else {
                    serializer.serialize_u8(self.code())
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct Code;
                impl serde::de::Visitor<'_> for Code {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("one of", $( " ", $word ),+))
                    }
                    fn visit_u64<E: serde::de::Error>(self, code: u64) -> Result<$name, E> {
                        u8::try_from(code).ok().and_then($name::from_code).ok_or_else(|| {
                            E::invalid_value(serde::de::Unexpected::Unsigned(code), &self)
                        })
                    }
                    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<$name, E> {
                        word.parse().map_err(|_| {
                            E::invalid_value(serde::de::Unexpected::Other("another word"), &self)
                        })
                    }
                }
                if d.is_human_readable() { d.deserialize_str(Code) } else { d.deserialize_u64(Code) }
            }
        }
    };
}
pub(crate) use wire_codes;

wire_codes! {
    /// Who may see a message.
    pub enum Visibility {
        /// The visitor and the agents.
        Everyone = 0 "everyone",
        /// An internal note: agents only.
        Agents = 1 "agents",
    }
}

wire_codes! {
    /// What an event message tells; the words are the client's, in its reader's language.
    pub enum EventKind {
        /// An agent took the conversation.
        Assigned = 1 "assigned",
        /// The conversation waits again at the head of the queue: its agent was absent too long.
        Requeued = 2 "requeued",
        /// Another agent has the conversation now: by a transfer, or they took it over.
        Transferred = 3 "transferred",
        /// The conversation was closed.
        Closed = 4 "closed",
        /// The conversation was opened again.
        Reopened = 5 "reopened",
        /// The conversation was closed by itself: nobody said anything for long, and nobody was
        /// there.
        Abandoned = 6 "abandoned",
    }
}

wire_codes! {
    /// The kind of an author, without their name.
    pub enum AuthorKind {
        /// The conversation's visitor.
        Visitor = 0 "visitor",
        /// An agent.
        Agent = 1 "agent",
        /// A program of the Organization.
        Bot = 2 "bot",
        /// livehelp itself.
        System = 3 "system",
    }
}

/// Who said it. On the wire a kind alone, or for an agent the array of kind and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Author {
    /// The conversation's visitor; there is one, so they need no id here.
    Visitor,
    /// An agent.
    Agent(AgentId),
    /// A program of the Organization.
    Bot,
    /// livehelp itself.
    System,
}

impl Author {
    /// The kind without the id.
    pub const fn kind(self) -> AuthorKind {
        match self {
            Self::Visitor => AuthorKind::Visitor,
            Self::Agent(_) => AuthorKind::Agent,
            Self::Bot => AuthorKind::Bot,
            Self::System => AuthorKind::System,
        }
    }

    /// The agent, if it is one.
    pub const fn agent(self) -> Option<AgentId> {
        match self {
            Self::Agent(agent) => Some(agent),
            Self::Visitor | Self::Bot | Self::System => None,
        }
    }

    /// The author out of their kind and id; an agent needs an id, the others have none.
    pub const fn from_parts(kind: AuthorKind, agent: Option<AgentId>) -> Option<Self> {
        match (kind, agent) {
            (AuthorKind::Visitor, None) => Some(Self::Visitor),
            (AuthorKind::Agent, Some(agent)) => Some(Self::Agent(agent)),
            (AuthorKind::Bot, None) => Some(Self::Bot),
            (AuthorKind::System, None) => Some(Self::System),
            _ => None,
        }
    }
}

impl Serialize for Author {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(1 + usize::from(self.agent().is_some())))?;
        seq.serialize_element(&self.kind())?;
        if let Self::Agent(agent) = self {
            seq.serialize_element(agent)?;
        }
        seq.end()
    }
}

impl<'de> Deserialize<'de> for Author {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> de::Visitor<'de> for Parts {
            type Value = Author;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an author: [kind], or [agent, id]")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Author, A::Error> {
                let kind =
                    seq.next_element()?.ok_or_else(|| de::Error::missing_field("author kind"))?;
                let agent = seq.next_element::<Option<AgentId>>()?.flatten();
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Author::from_parts(kind, agent)
                    .ok_or_else(|| de::Error::custom("an agent has an id, the others have none"))
            }
        }
        deserializer.deserialize_seq(Parts)
    }
}

/// What was said. On the wire plain text is a string; the rest is an array that begins with its
/// form.
#[derive(Debug, Clone, PartialEq)]
pub enum Body<'a> {
    /// Words.
    Text(Text<'a>),
    /// An event message, and the agent it is about.
    Event {
        /// What happened.
        event: EventKind,
        /// Who it is about, where someone.
        agent: Option<AgentId>,
    },
}

/// The form code of [`Body::Event`]; files and forms will have their own.
const BODY_EVENT: u8 = 1;

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Event { event, agent } => {
                let mut seq = serializer.serialize_seq(Some(2 + usize::from(agent.is_some())))?;
                seq.serialize_element(&BODY_EVENT)?;
                seq.serialize_element(event)?;
                if let Some(agent) = agent {
                    seq.serialize_element(agent)?;
                }
                seq.end()
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Body<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> de::Visitor<'de> for Form {
            type Value = Body<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a body: text, or an array that begins with its form")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Body<'de>, E> {
                Ok(Body::Text(Text::new(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Body<'de>, E> {
                Ok(Body::Text(Text::new(text.to_owned())))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Body<'de>, A::Error> {
                let MaybeRequest(form) =
                    seq.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &"a form"))?;
                if form != u32::from(BODY_EVENT) {
                    let form = de::Unexpected::Unsigned(form.into());
                    return Err(de::Error::invalid_value(form, &"a form of a body"));
                }
                let event =
                    seq.next_element()?.ok_or_else(|| de::Error::invalid_length(1, &"an event"))?;
                let agent = seq.next_element::<Option<AgentId>>()?.flatten();
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Body::Event { event, agent })
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// One thing said, with its sequence number, as a page of history carries it; the pushed frame
/// `message` has the same fields after the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message<'a> {
    /// Its sequence number.
    pub seq: Seq,
    /// Its identity, made by its sender.
    pub message: MessageId,
    /// Who said it.
    pub author: Author,
    /// When the server took it.
    pub at: UnixMillis,
    /// What was said.
    pub body: Body<'a>,
    /// The first day on which it can no longer be read; absent: no end is set.
    pub expires: Option<Day>,
    /// Who may see it.
    pub visibility: Visibility,
}

impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let note = self.visibility == Visibility::Agents;
        let mut seq = serializer.serialize_seq(Some(6 + usize::from(note)))?;
        seq.serialize_element(&self.seq)?;
        seq.serialize_element(&self.message)?;
        seq.serialize_element(&self.author)?;
        seq.serialize_element(&self.at)?;
        seq.serialize_element(&self.body)?;
        seq.serialize_element(&self.expires)?;
        if note {
            seq.serialize_element(&self.visibility)?;
        }
        seq.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Message<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> de::Visitor<'de> for Fields {
            type Value = Message<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a message, an array of its fields")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let missing = |field| move || de::Error::missing_field(field);
                let message = Message {
                    seq: seq.next_element()?.ok_or_else(missing("seq"))?,
                    message: seq.next_element()?.ok_or_else(missing("message"))?,
                    author: seq.next_element()?.ok_or_else(missing("author"))?,
                    at: seq.next_element()?.ok_or_else(missing("at"))?,
                    body: seq.next_element()?.ok_or_else(missing("body"))?,
                    expires: seq.next_element::<Option<Day>>()?.flatten(),
                    visibility: seq
                        .next_element::<Option<Visibility>>()?
                        .flatten()
                        .unwrap_or(Visibility::Everyone),
                };
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(message)
            }
        }
        deserializer.deserialize_seq(Fields)
    }
}

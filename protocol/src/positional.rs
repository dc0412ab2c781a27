//! The one shape of everything on the wire: an array whose fields are known by their place.
//!
//! `records!` makes a struct, `frames!` an enum of frames, each with its serde code and a schema
//! that `cargo xtask gen` turns into TypeScript. After a `;` come the fields that may be absent: a
//! writer leaves the empty ones off the end, a reader takes what is missing as `None` and skips
//! what it does not know, so that either end may be the newer one.

/// One field of a record or frame, as the generator of the TypeScript types sees it.
#[derive(Debug, Clone, Copy)]
pub struct FieldSchema {
    pub name: &'static str,
    /// The Rust type, as it is written in the declaration.
    pub ty: &'static str,
    /// Whether it may be left off the end.
    pub optional: bool,
    pub doc: &'static str,
}

/// A record's or a frame's name and fields, in the order of the wire.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The Rust name.
    pub name: &'static str,
    /// The kind's number in MessagePack; 0 for a record, which has none.
    pub code: u8,
    /// The kind's name in JSON; empty for a record.
    pub word: &'static str,
    pub doc: &'static str,
    pub fields: &'static [FieldSchema],
}

macro_rules! count {
    () => { 0usize };
    ($head:ident $($tail:ident)*) => { 1usize + $crate::positional::count!($($tail)*) };
}

/// The next field of an array; an error names it. A `match`, since a `map_err` costs instructions
/// where all is well.
macro_rules! element {
    ($seq:ident, $field:ident, $ty:ty) => {
        match $seq.next_element::<$ty>() {
            Ok(value) => value,
            Err(error) => return Err($crate::positional::at(stringify!($field), &error)),
        }
    };
}

macro_rules! records {
    ($(
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $( $(#[doc = $fdoc:literal])* $field:ident : $ty:ty ),*
            $(; $( $(#[doc = $odoc:literal])* $ofield:ident : $oty:ty ),+ )? $(,)?
        }
    )+) => { $(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $fdoc])* pub $field: $ty, )*
            $($( $(#[doc = $odoc])* pub $ofield: Option<$oty>, )+)?
        }

        impl $name {
            /// Fields in the order of the wire.
            pub const SCHEMA: $crate::positional::Schema = $crate::positional::Schema {
                name: stringify!($name),
                code: 0,
                word: "",
                doc: concat!($($doc, "\n"),*),
                fields: &[
                    $( $crate::positional::FieldSchema {
                        name: stringify!($field), ty: stringify!($ty), optional: false,
                        doc: concat!($($fdoc, "\n"),*),
                    }, )*
                    $($( $crate::positional::FieldSchema {
                        name: stringify!($ofield), ty: stringify!($oty), optional: true,
                        doc: concat!($($odoc, "\n"),*),
                    }, )+)?
                ],
            };
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeSeq as _;
                let required = $crate::positional::count!($($field)*);
                #[allow(unused_mut)]
                let mut len = required;
                $(
                    let mut place = required;
                    $( place += 1; if self.$ofield.is_some() { len = place; } )+
                )?
                let mut seq = serializer.serialize_seq(Some(len))?;
                $( seq.serialize_element(&self.$field)?; )*
                $(
                    let mut place = required;
                    $( if place < len { seq.serialize_element(&self.$ofield)?; } place += 1; )+
                    let _ = place;
                )?
                seq.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("an array, the record ", stringify!($name)))
                    }
                    fn visit_seq<A: serde::de::SeqAccess<'de>>(
                        self, mut seq: A,
                    ) -> Result<$name, A::Error> {
                        $( let $field = $crate::positional::element!(seq, $field, $ty)
                            .ok_or_else(|| serde::de::Error::missing_field(stringify!($field)))?; )*
                        $($( let $ofield =
                            $crate::positional::element!(seq, $ofield, Option<$oty>).flatten(); )+)?
                        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                        Ok($name { $($field,)* $($($ofield,)+)? })
                    }
                }
                deserializer.deserialize_seq(Fields)
            }
        }
    )+ };
}

/// A frame's `request`, where the kind has that field.
macro_rules! request {
    ($frame:expr, $variant:ident request $($rest:ident)*) => {
        if let Self::$variant { request, .. } = $frame {
            *request
        } else {
            $crate::frame::RequestId(0)
        }
    };
    ($frame:expr, $variant:ident $other:ident $($rest:ident)*) => {
        $crate::positional::request!($frame, $variant $($rest)*)
    };
    ($frame:expr, $variant:ident) => { $crate::frame::RequestId(0) };
}

/// The conversation of a frame that counts only where its connection watches it.
macro_rules! watched {
    ($frame:expr, $variant:ident) => {
        None
    };
    ($frame:expr, $variant:ident watched) => {
        if let Self::$variant { conversation, .. } = $frame { Some(*conversation) } else { None }
    };
}

/// What stands behind the names of a client's kinds; a server's have nothing there.
macro_rules! terms {
    ($name:ident; $( $variant:ident [] )+) => {};
    ($name:ident; $( $variant:ident [$senders:ident $cost:ident $($watched:ident)?] )+) => {
        impl $name<'_> {
            /// Who says each kind, in the order of [`Self::SCHEMA`].
            pub const SENDERS: &'static [$crate::frame::Senders] =
                &[ $( $crate::frame::Senders::$senders ),+ ];

            /// Who says frames of this kind.
            #[inline]
            pub fn senders(&self) -> $crate::frame::Senders {
                match self {
                    $( Self::$variant { .. } => $crate::frame::Senders::$senders, )+
                    Self::Unknown { .. } => $crate::frame::Senders::Everyone,
                }
            }

            /// What it costs the server at most.
            #[inline]
            pub fn cost(&self) -> $crate::frame::Cost {
                match self {
                    $( Self::$variant { .. } => $crate::frame::Cost::$cost, )+
                    Self::Unknown { .. } => $crate::frame::Cost::Store,
                }
            }

            /// The conversation that its connection must be watching, or the frame is passed over;
            /// `None` where it counts anyhow.
            #[inline]
            pub fn watched(&self) -> Option<$crate::ids::ConversationId> {
                match self {
                    $( Self::$variant { .. } => {
                        $crate::positional::watched!(self, $variant $($watched)?)
                    } )+
                    Self::Unknown { .. } => None,
                }
            }
        }
    };
}

macro_rules! frames {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident<$lt:lifetime> {
            $(
                $(#[doc = $vdoc:literal])*
                $code:literal $word:literal $variant:ident
                $( ($senders:ident, $cost:ident $(, $watched:ident)?) )? {
                    $( $(#[doc = $fdoc:literal])* $field:ident : $ty:ty ),*
                    $(; $( $(#[doc = $odoc:literal])* $ofield:ident : $oty:ty ),+ )? $(,)?
                }
            )+
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name<$lt> {
            $(
                $(#[doc = $vdoc])*
                $variant {
                    $( $(#[doc = $fdoc])* $field: $ty, )*
                    $($( $(#[doc = $odoc])* $ofield: Option<$oty>, )+)?
                },
            )+
            /// A kind this side does not know; answered with a `reject`, the connection stays.
            Unknown {
                /// The second field where it was a number, so that the answer can be matched.
                request: $crate::frame::RequestId,
            },
        }

        impl $name<'_> {
            /// Every kind with its fields, in the order of their codes.
            pub const SCHEMA: &'static [$crate::positional::Schema] = &[
                $( $crate::positional::Schema {
                    name: stringify!($variant),
                    code: $code,
                    word: $word,
                    doc: concat!($($vdoc, "\n"),*),
                    fields: &[
                        $( $crate::positional::FieldSchema {
                            name: stringify!($field), ty: stringify!($ty), optional: false,
                            doc: concat!($($fdoc, "\n"),*),
                        }, )*
                        $($( $crate::positional::FieldSchema {
                            name: stringify!($ofield), ty: stringify!($oty), optional: true,
                            doc: concat!($($odoc, "\n"),*),
                        }, )+)?
                    ],
                }, )+
            ];

            /// The kind's readable name, for logs and metrics.
            pub fn word(&self) -> &'static str {
                match self {
                    $( Self::$variant { .. } => $word, )+
                    Self::Unknown { .. } => "unknown",
                }
            }

            /// What an answer to it is matched by; 0 where the kind has none.
            #[inline]
            pub fn request(&self) -> $crate::frame::RequestId {
                match self {
                    $( Self::$variant { .. } => {
                        $crate::positional::request!(self, $variant $($field)*)
                    } )+
                    Self::Unknown { request } => *request,
                }
            }
        }

        $crate::positional::terms! {
            $name;
            $( $variant [ $( $senders $cost $($watched)? )? ] )+
        }

        impl serde::Serialize for $name<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeSeq as _;
                let readable = serializer.is_human_readable();
                match self {
                    $( Self::$variant { $($field,)* $($($ofield,)+)? } => {
                        let required = 1 + $crate::positional::count!($($field)*);
                        #[allow(unused_mut)]
                        let mut len = required;
                        $(
                            let mut place = required;
                            $( place += 1; if $ofield.is_some() { len = place; } )+
                        )?
                        let mut seq = serializer.serialize_seq(Some(len))?;
                        if readable {
                            seq.serialize_element($word)?;
                        } else {
                            let code: u8 = $code;
                            seq.serialize_element(&code)?;
                        }
                        $( seq.serialize_element($field)?; )*
                        $(
                            let mut place = required;
                            $( if place < len { seq.serialize_element($ofield)?; } place += 1; )+
                            let _ = place;
                        )?
                        seq.end()
                    } )+
                    Self::Unknown { .. } => {
                        Err(serde::ser::Error::custom("an unknown frame is never sent"))
                    }
                }
            }
        }

        impl<'de: $lt, $lt> serde::Deserialize<'de> for $name<$lt> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Frame<$lt>(std::marker::PhantomData<&$lt ()>);
                impl<'de: $lt, $lt> serde::de::Visitor<'de> for Frame<$lt> {
                    type Value = $name<$lt>;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a frame, an array that begins with its kind")
                    }
                    fn visit_seq<A: serde::de::SeqAccess<'de>>(
                        self, mut seq: A,
                    ) -> Result<$name<$lt>, A::Error> {
                        let kind = seq
                            .next_element_seed($crate::positional::Kind(
                                |word: &str| match word { $( $word => $code, )+ _ => 0u8 },
                            ))?
                            .ok_or_else(|| serde::de::Error::missing_field("kind"))?;
                        let frame = match kind {
                            $( $code => {
                                $( let $field = $crate::positional::element!(seq, $field, $ty)
                                    .ok_or_else(|| serde::de::Error::missing_field(stringify!($field)))?; )*
                                $($( let $ofield =
                                    $crate::positional::element!(seq, $ofield, Option<$oty>).flatten(); )+)?
                                $name::$variant { $($field,)* $($($ofield,)+)? }
                            } )+
                            _ => {
                                let request = seq
                                    .next_element::<$crate::positional::MaybeRequest>()?
                                    .map_or(0, |maybe| maybe.0);
                                $name::Unknown { request: $crate::frame::RequestId(request) }
                            }
                        };
                        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                        Ok(frame)
                    }
                }
                deserializer.deserialize_seq(Frame(std::marker::PhantomData))
            }
        }
    };
}

/// An error with the name of the field where it happened, so that a refusal can name it.
#[cold]
pub(crate) fn at<E: serde::de::Error>(field: &str, error: &E) -> E {
    E::custom(format_args!("{field}: {error}"))
}

/// The field in which an error lies, with those of the records around it, or `frame`; and whether
/// its value is of the right type, but none that is known here: a newer peer knows more codes,
/// forms and places.
pub(crate) fn field_at_fault(error: &str) -> (String, bool) {
    let mut path = Vec::new();
    let mut rest = error;
    while let Some((field, inside)) = rest.split_once(": ") {
        // Nothing of what was sent: its words stand behind what serde says of them.
        if !field.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            break;
        }
        path.push(field);
        rest = inside;
    }
    let missing = rest.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    path.extend(missing.map(|(field, _)| field));
    let field = if path.is_empty() { String::from("frame") } else { path.join(".") };
    (field, rest.starts_with("invalid value: "))
}

/// A frame of which only the request is wanted: an array that begins with a number or a word.
pub(crate) struct Outline(pub(crate) u32);

impl<'de> serde::Deserialize<'de> for Outline {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Frame;
        impl<'de> serde::de::Visitor<'de> for Frame {
            type Value = Outline;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a frame, an array that begins with its kind")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Outline, A::Error> {
                seq.next_element::<AnyKind>()?
                    .ok_or_else(|| serde::de::Error::missing_field("kind"))?;
                let request = seq.next_element::<MaybeRequest>()?.map_or(0, |maybe| maybe.0);
                while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Outline(request))
            }
        }
        deserializer.deserialize_seq(Frame)
    }
}

/// What may be a kind of a newer peer.
struct AnyKind;

impl<'de> serde::Deserialize<'de> for AnyKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrWord;
        impl serde::de::Visitor<'_> for NumberOrWord {
            type Value = AnyKind;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a kind")
            }
            fn visit_i64<E>(self, _: i64) -> Result<AnyKind, E> {
                Ok(AnyKind)
            }
            fn visit_u64<E>(self, _: u64) -> Result<AnyKind, E> {
                Ok(AnyKind)
            }
            fn visit_str<E>(self, _: &str) -> Result<AnyKind, E> {
                Ok(AnyKind)
            }
        }
        deserializer.deserialize_any(NumberOrWord)
    }
}

/// Reads a frame's kind from its number or its readable name; 0 is no kind.
pub(crate) struct Kind<F>(pub(crate) F);

impl<'de, F: Fn(&str) -> u8> serde::de::DeserializeSeed<'de> for Kind<F> {
    type Value = u8;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<u8, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(self)
        } else {
            deserializer.deserialize_u64(self)
        }
    }
}

impl<F: Fn(&str) -> u8> serde::de::Visitor<'_> for Kind<F> {
    type Value = u8;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a frame's kind")
    }

    fn visit_u64<E: serde::de::Error>(self, code: u64) -> Result<u8, E> {
        Ok(u8::try_from(code).unwrap_or(0))
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<u8, E> {
        Ok((self.0)(word))
    }
}

/// What may be a number and may be anything: the number, else 0. The second field of a frame whose
/// kind is not known, and the form of a body.
pub(crate) struct MaybeRequest(pub(crate) u32);

impl<'de> serde::Deserialize<'de> for MaybeRequest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MaybeRequest(0))
    }
}

impl<'de> serde::de::Visitor<'de> for MaybeRequest {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self, E> {
        Ok(Self(u32::try_from(number).unwrap_or(0)))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_none<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, inner: D) -> Result<Self, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
        Ok(self)
    }
}

pub(crate) use {count, element, frames, records, request, terms, watched};

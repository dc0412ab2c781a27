//! Refusals and partings: what went wrong, and what the client should do about it.

use crate::message::wire_codes;

wire_codes! {
    /// Why a frame was refused. The connection stays.
    pub enum RejectCode {
        /// The kind of the frame is not known here.
        UnknownKind = 1 "unknown-kind",
        /// A field has a value that it cannot have; the words name it.
        Invalid = 2 "invalid",
        /// There is no such thing, or it is another's.
        NotFound = 3 "not-found",
        /// The role does not allow it.
        Forbidden = 4 "forbidden",
        /// The text is longer than the limit that the words name.
        TooLong = 5 "too-long",
        /// The conversation is closed; `reopen` it first.
        Closed = 6 "closed",
        /// The same id came before with another content.
        Conflict = 7 "conflict",
        /// The offer is over, or the conversation moved on.
        Gone = 8 "gone",
        /// The receiver has no room.
        AtCapacity = 9 "at-capacity",
        /// Its retention ran out.
        Expired = 10 "expired",
        /// A limit of count: conversations, members.
        LimitReached = 11 "limit-reached",
        /// The site is closed.
        SiteClosed = 12 "site-closed",
        /// The consent that this needs is missing.
        ConsentRequired = 13 "consent-required",
        /// Too many in too short a time.
        TooFast = 128 "too-fast",
        /// The store cannot take it now; nothing was stored.
        StoreUnavailable = 129 "store-unavailable",
        /// The server has more to do than it can.
        Overload = 130 "overload",
    }
}

/// Codes from here on refuse for a while, also those that a client does not know yet.
pub const RETRYABLE_FROM: u8 = 128;

impl RejectCode {
    /// Whether the same frame may succeed later: the range of the code says it.
    pub const fn retryable(self) -> bool {
        self.code() >= RETRYABLE_FROM
    }
}

macro_rules! close_codes {
    ($( $(#[doc = $doc:literal])* $name:ident = $code:literal $word:literal ),+ $(,)?) => {
        /// Why the connection ends. The range is the verdict, see [`CloseCode::verdict`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum CloseCode { $( $(#[doc = $doc])* $name = $code ),+ }

        impl CloseCode {
            /// Every value with its code and its word, for generated files.
            pub const ALL: &'static [(Self, u16, &'static str)] =
                &[$( (Self::$name, $code, $word) ),+];

            /// What each of them means, in the same order.
            pub const MEANINGS: &'static [&'static str] = &[$( concat!($($doc, "\n"),*) ),+];

            /// The code of the WebSocket close frame (RFC 6455, 7.4).
            pub const fn code(self) -> u16 {
                match self { $( Self::$name => $code ),+ }
            }

            /// The readable name, sent as the close frame's reason.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$name => $word ),+ }
            }
        }
    };
}

close_codes! {
    /// All is said.
    Done = 1000 "done",
    /// Bytes that break a rule of WebSocket itself (RFC 6455).
    Framing = 1002 "protocol error",
    /// A text where the subprotocol has bytes, or the other way round.
    WrongType = 1003 "wrong type of message",
    /// A text that is not UTF-8.
    NotUtf8 = 1007 "not utf-8",
    /// A frame was larger than the limit.
    TooLarge = 1009 "frame too large",
    /// A message that is no frame of ours.
    Malformed = 4000 "malformed frame",
    /// No session, or one that ended; or a first frame that is no `hello`.
    NotAuthenticated = 4001 "not authenticated",
    /// The page's origin may not embed this site's widget.
    OriginNotAllowed = 4003 "origin not allowed",
    /// No such site, or it is closed.
    SiteClosed = 4004 "site closed",
    /// Barred by an agent.
    Banned = 4008 "banned",
    /// No subprotocol that the server speaks, or a second `hello`.
    Protocol = 4009 "protocol",
    /// The server leaves.
    Draining = 4100 "draining",
    /// The client reads too slowly.
    TooSlow = 4101 "too slow",
    /// The connection was silent.
    NoPong = 4102 "no pong",
    /// Too many frames in too short a time.
    TooFast = 4103 "too fast",
    /// The server has more to do than it can.
    Overload = 4104 "overload",
    /// `hello` came too late, or nothing at all for too long.
    Idle = 4105 "idle",
    /// Come back at once, here or elsewhere.
    Elsewhere = 4200 "come back",
}

/// What a client does after a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it was meant.
    Done,
    /// Do not come back; coming back would end the same way.
    Stop,
    /// Come back after a while, with jitter.
    Retry,
    /// Come back at once.
    Now,
}

/// The verdicts by ranges of close codes, both ends included; all other codes are a broken
/// connection.
///
/// The faults of RFC 6455 (1002, 1003, 1007) stop: the same client would commit them again.
pub const VERDICTS: &[(u16, u16, Verdict)] = &[
    (1000, 1000, Verdict::Done),
    (1002, 1003, Verdict::Stop),
    (1007, 1007, Verdict::Stop),
    (1009, 1009, Verdict::Stop),
    (4000, 4099, Verdict::Stop),
    (4200, 4200, Verdict::Now),
];

/// The verdict of a close code, known or not: the range decides, and what has none is a broken
/// connection.
pub const fn verdict(code: u16) -> Verdict {
    let mut place = 0;
    while place < VERDICTS.len() {
        let (from, to, verdict) = VERDICTS[place];
        if from <= code && code <= to {
            return verdict;
        }
        place += 1;
    }
    Verdict::Retry
}

impl CloseCode {
    /// What the client should do.
    pub const fn verdict(self) -> Verdict {
        verdict(self.code())
    }
}

/// A refusal: the code, and how long to wait where waiting helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Why.
    pub code: RejectCode,
    /// For a person; names the field or the limit, never a personal value.
    pub words: std::borrow::Cow<'static, str>,
    /// Milliseconds after which the same frame may succeed.
    pub retry_after_ms: Option<u32>,
}

impl Reject {
    /// A refusal that waiting does not mend.
    pub fn new(code: RejectCode, words: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self { code, words: words.into(), retry_after_ms: None }
    }

    /// The same with a time to wait.
    #[must_use]
    pub const fn retry_after_ms(mut self, ms: u32) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_code_has_the_verdict_of_its_range() {
        let expected = |code: u16| match code {
            1000 => Verdict::Done,
            1002 | 1003 | 1007 | 1009 | 4000..4100 => Verdict::Stop,
            4200 => Verdict::Now,
            _ => Verdict::Retry,
        };
        for code in 0..=u16::MAX {
            assert_eq!(verdict(code), expected(code), "{code}");
        }
    }
}

//! Label values: enums, so that their number is known.

use protocol::conversation::Availability;
use protocol::reject::{CloseCode, RejectCode};

/// A closed list of label values.
pub trait Label: Copy + 'static {
    /// Every value in its order.
    fn words() -> Vec<&'static str>;
    /// Place in that order.
    fn index(self) -> usize;
}

macro_rules! labels {
    ($( $(#[doc = $doc:literal])* $name:ident { $( $(#[doc = $vdoc:literal])* $variant:ident = $word:literal ),+ $(,)? } )+) => { $(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[doc = $vdoc])* $variant ),+ }

        impl Label for $name {
            fn words() -> Vec<&'static str> {
                vec![$($word),+]
            }
            fn index(self) -> usize {
                self as usize
            }
        }
    )+ };
}

labels! {
    /// Who is at the other end.
    Role {
        /// A website visitor.
        Visitor = "visitor",
        /// An agent of any rank, or a program that acts as one.
        Agent = "agent",
        /// Nobody yet, or the server itself as an author.
        System = "system",
    }
    /// How frames travel.
    Transport {
        /// MessagePack over a WebSocket.
        Msgpack = "websocket-msgpack",
        /// JSON over a WebSocket.
        Json = "websocket-json",
    }
    /// How a connection ended.
    Ending {
        /// All was said.
        Done = "done",
        /// The other end left without a word.
        Gone = "gone",
        /// A frame over the limit.
        TooLarge = "too_large",
        /// Bytes that break a rule of WebSocket.
        Framing = "framing",
        /// A text where the subprotocol has bytes, or the other way round.
        WrongType = "wrong_type",
        /// A text that is not UTF-8.
        NotUtf8 = "not_utf8",
        /// A message that is no frame.
        Malformed = "malformed",
        /// No session.
        NotAuthenticated = "not_authenticated",
        /// An origin that the site does not name.
        Origin = "origin",
        /// No such site, or it is closed.
        Site = "site",
        /// Barred.
        Banned = "banned",
        /// A frame out of turn, or no common subprotocol.
        Protocol = "protocol",
        /// The node leaves.
        Draining = "draining",
        /// A slow reader.
        TooSlow = "too_slow",
        /// A silent line.
        NoPong = "no_pong",
        /// Too many frames.
        TooFast = "too_fast",
        /// The server has more to do than it can.
        Overload = "overload",
        /// No `hello` in time.
        Idle = "idle",
        /// Sent elsewhere.
        Elsewhere = "elsewhere",
    }
    /// Why a connection never became a request or a socket.
    HandshakeFailure {
        /// `connections_max` is reached.
        ConnectionsMax = "connections_max",
        /// `handshakes_per_ip_max` is reached.
        PerAddress = "handshakes_per_ip_max",
        /// `connections_per_ip_max` is reached.
        ConnectionsPerAddress = "connections_per_ip_max",
        /// The TLS handshake failed.
        Tls = "tls",
        /// TLS or a head took too long.
        TooSlow = "too_slow",
        /// Bytes that are no HTTP, or a head over the limit.
        Http = "http",
        /// A request for a socket that is no WebSocket handshake.
        Upgrade = "upgrade",
    }
    /// Why a forwarded address does not count.
    NotBelieved {
        /// The peer is not among the trusted proxies.
        UntrustedPeer = "untrusted_peer",
        /// It cannot be read.
        Unreadable = "unreadable",
    }
    /// What a resume led to.
    Resumed {
        /// Everything after the point was sent.
        Recovered = "recovered",
        /// The newest page was sent.
        Reset = "reset",
    }
    /// What was said.
    Kind {
        /// For everyone.
        Text = "text",
        /// For agents.
        Note = "note",
        /// By the server.
        Event = "event",
    }
    /// What a full outbox led to.
    Overflow {
        /// An ephemeral frame was dropped.
        Dropped = "dropped",
        /// The connection was closed.
        Closed = "closed",
    }
    /// Which limit was reached.
    Throttle {
        /// Frames of a connection.
        Frames = "frames",
        /// Messages of a person.
        Messages = "messages",
        /// Conversations of a visitor or an address.
        Conversations = "conversations",
        /// Requests of an agent, a key or an address.
        Requests = "requests",
        /// Failed logins.
        Logins = "logins",
    }
    /// Where a conversation stands that is not closed.
    Live {
        /// Waits for an agent.
        Queued = "queued",
        /// An agent is asked.
        Offered = "offered",
        /// An agent has it.
        Active = "active",
        /// Put off.
        Snoozed = "snoozed",
    }
    /// How an agent came by a conversation.
    Assigned {
        /// They accepted an offer.
        Offer = "offer",
        /// They took it.
        Taken = "taken",
        /// Another gave it.
        Transfer = "transfer",
    }
    /// What the store did.
    StoreOp {
        /// A group commit.
        Commit = "commit",
        /// A slice of the journal, carried into the database.
        Carry = "carry",
        /// The log's pages, carried into the file.
        Checkpoint = "checkpoint",
        /// A read.
        Read = "read",
        /// Keys written or destroyed.
        Keys = "keys",
        /// What is due was removed.
        Sweep = "sweep",
    }
}

impl From<CloseCode> for Ending {
    fn from(code: CloseCode) -> Self {
        match code {
            CloseCode::Done => Self::Done,
            CloseCode::TooLarge => Self::TooLarge,
            CloseCode::Framing => Self::Framing,
            CloseCode::WrongType => Self::WrongType,
            CloseCode::NotUtf8 => Self::NotUtf8,
            CloseCode::Malformed => Self::Malformed,
            CloseCode::NotAuthenticated => Self::NotAuthenticated,
            CloseCode::OriginNotAllowed => Self::Origin,
            CloseCode::SiteClosed => Self::Site,
            CloseCode::Banned => Self::Banned,
            CloseCode::Protocol => Self::Protocol,
            CloseCode::Draining => Self::Draining,
            CloseCode::TooSlow => Self::TooSlow,
            CloseCode::NoPong => Self::NoPong,
            CloseCode::TooFast => Self::TooFast,
            CloseCode::Overload => Self::Overload,
            CloseCode::Idle => Self::Idle,
            CloseCode::Elsewhere => Self::Elsewhere,
        }
    }
}

macro_rules! wire_labels {
    ($($name:ty),+) => { $(
        impl Label for $name {
            fn words() -> Vec<&'static str> {
                Self::ALL.iter().map(|(_, _, word)| *word).collect()
            }
            fn index(self) -> usize {
                // The wire's codes have gaps, places have none.
                Self::ALL.iter().position(|(value, ..)| *value == self).unwrap_or(0)
            }
        }
    )+ };
}
wire_labels!(RejectCode, Availability);

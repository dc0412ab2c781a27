//! Label values: enums, so that their number is known.

use protocol::conversation::Availability;
use protocol::reject::{CloseCode, RejectCode};

/// A closed list of label values.
pub trait Label: Copy + 'static {
    /// Every value in its order.
    fn words() -> Vec<&'static str>;
    /// Sequence number in that order.
    fn index(self) -> usize;
    /// The value itself.
    fn word(self) -> &'static str;
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
            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    )+ };
}

labels! {
    /// Who is at the other end of a connection.
    Peer {
        /// A website visitor.
        Visitor = "visitor",
        /// An agent of any rank.
        Agent = "agent",
        /// Nobody yet: no `hello` was accepted.
        New = "new",
    }
    /// Who wrote a message, or reads it.
    Role {
        /// A website visitor.
        Visitor = "visitor",
        /// An agent of any rank, or a program that acts as one.
        Agent = "agent",
        /// The server itself.
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
        /// A message that was left while nobody was there, and that nobody is asked about.
        Left = "left",
        /// An agent is asked.
        Offered = "offered",
        /// An agent has it.
        Active = "active",
        /// Put off.
        Snoozed = "snoozed",
    }
    /// How the wait for an agent ended.
    Wait {
        /// An agent took it.
        Accepted = "accepted",
        /// It was closed before anybody did.
        Abandoned = "abandoned",
    }
    /// What a conversation began as.
    Opened {
        /// A talk: somebody was there.
        Chat = "chat",
        /// A message that was left while nobody was.
        Left = "left",
    }
    /// Who closed a conversation.
    Closed {
        /// An agent.
        Agent = "agent",
        /// Its visitor.
        Visitor = "visitor",
        /// A program of the Organization, over REST with a key.
        Program = "program",
        /// Nobody: it was quiet for too long.
        Abandoned = "abandoned",
    }
    /// What became of a question to an agent, of one who was asked by a colleague as well.
    OfferEnd {
        /// They took it.
        Accepted = "accepted",
        /// They said no.
        Declined = "declined",
        /// They let the time run out.
        Missed = "missed",
        /// It was taken back: closed, given to another, or they left.
        Withdrawn = "withdrawn",
    }
    /// What an attempt to sign in with address and password led to.
    SignIn {
        /// A session began.
        Ok = "ok",
        /// Wrong address or password.
        Refused = "refused",
        /// Too many were wrong before: it was not looked at.
        Throttled = "throttled",
    }
    /// Why a request that showed a key was refused.
    KeyRefused {
        /// There is no such key: it never was, or was deleted.
        Unknown = "unknown",
        /// An operator's key where an Organization's is needed, or the other way.
        Misplaced = "misplaced",
        /// It lacks the scope.
        Scope = "scope",
        /// It asked too often.
        Throttled = "throttled",
    }
    /// What a suppressed person is known by.
    Suppressed {
        /// An e-mail address.
        Email = "email",
        /// A phone number.
        Phone = "phone",
        /// The id that another application gave them.
        ExternalId = "external_id",
        /// The name by which they signed in.
        Username = "username",
    }
    /// A listener.
    Listener {
        /// Visitors, agents, programs.
        Public = "public",
        /// Machines and the operator.
        Admin = "admin",
        /// The demo shop.
        Demo = "demo",
    }
    /// What the bus between nodes was asked for.
    BusOp {
        /// A sequence number for a message.
        Place = "place",
        /// To tell the other nodes.
        Announce = "announce",
        /// To hear from them: connecting, and staying connected.
        Listen = "listen",
    }
    /// A folder of the settings.
    Folder {
        /// `data`.
        Data = "data",
        /// `keys`.
        Keys = "keys",
    }
    /// What is on disk.
    File {
        /// The database.
        Database = "database",
        /// Its log: changes that are not moved into it yet.
        Log = "log",
        /// The journal of messages.
        Journal = "journal",
        /// Room that clean-up on a full disk needs.
        Reserve = "reserve",
        /// The keys, with their log.
        Keys = "keys",
    }
    /// A limit in force.
    Limit {
        /// `connections_max`, of the public listener.
        Connections = "connections",
        /// `connections_per_ip_max`.
        ConnectionsPerAddress = "connections_per_ip",
        /// `handshakes_per_ip_max`.
        HandshakesPerAddress = "handshakes_per_ip",
        /// Descriptors that this process may have open; each connection is one.
        OpenFiles = "open_files",
        /// `store_queue_max`.
        StoreQueue = "store_queue",
        /// `outbox_frames_max`.
        OutboxFrames = "outbox_frames",
        /// `outbox_bytes_max`.
        OutboxBytes = "outbox_bytes",
        /// `body_bytes_max`.
        BodyBytes = "body_bytes",
        /// `conversations_per_visitor_max`.
        ConversationsPerVisitor = "conversations_per_visitor",
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
    /// What the store wrote.
    WriteOp {
        /// A group commit.
        Commit = "commit",
        /// A slice of the journal, moved into the database.
        Carry = "carry",
        /// The log's pages, moved into the file.
        Checkpoint = "checkpoint",
        /// Keys that a commit needs.
        Keys = "keys",
        /// What is due was removed.
        Sweep = "sweep",
    }
    /// What the store was asked for.
    StoreOp {
        /// A group commit.
        Commit = "commit",
        /// A slice of the journal, moved into the database.
        Carry = "carry",
        /// The log's pages, moved into the file.
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
                // The wire's codes have gaps, sequence numbers have none.
                Self::ALL.iter().position(|(value, ..)| *value == self).unwrap_or(0)
            }
            fn word(self) -> &'static str {
                Self::ALL.iter().find(|(value, ..)| *value == self).map_or("", |(_, _, word)| *word)
            }
        }
    )+ };
}
wire_labels!(RejectCode, Availability);

//! The whole conversation on the wire: what a client may say, and what the server may.
//!
//! A frame is an array `[kind, …fields]`; `kind` is a number in MessagePack and a word in JSON,
//! both frozen. Codes that are missing below are kept for frames to come and are never given to
//! another.

use serde::{Deserialize, Serialize};

use crate::conversation::{
    AgentCard, Availability, ConversationCard, FormAnswer, PageView, Presence, ResumePoint,
    SiteAvailability, VisitorCard,
};
use crate::ids::{AgentId, ConversationId, MessageId, SessionId, SiteId, SiteKey, VisitorId};
use crate::limits::List;
use crate::message::{Author, Body, Message, Seq, Visibility, wire_codes};
use crate::personal::{Personal, Text};
use crate::positional::{frames, records};
use crate::reject::RejectCode;
use crate::time::{Day, UnixMillis};

pub use crate::positional::{FieldSchema, Schema};

/// Pairs an answer with its question; the client counts from 1. The answer to 0 carries 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u32);

wire_codes! {
    /// What an agent watches: a snapshot, then changes.
    pub enum WatchTopic {
        /// Their conversations, those that wait, all that are live; and their colleagues.
        Board = 0 "board",
        /// One conversation, as a member of its room.
        Conversation = 1 "conversation",
    }
}

wire_codes! {
    /// What kind of client says `hello`.
    pub enum ClientRole {
        /// A website visitor: needs a site key.
        Visitor = 0 "visitor",
        /// An agent: needs the cookie of a console session.
        Agent = 1 "agent",
    }
}

/// Who says frames of a kind. From anyone else such a frame is refused, or passed over where the
/// kind has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Senders {
    /// Visitors and agents.
    Everyone,
    /// Visitors alone.
    Visitors,
    /// Agents alone.
    Agents,
}

/// What a frame of a kind costs the server at most: by this it is counted, and done at once or
/// after what came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Once in the life of a connection.
    Hello,
    /// A message: counted as one, over all connections of its author.
    Message,
    /// A look at what lies in memory.
    Memory,
    /// A question or an act for which the store may be asked: counted over all connections of
    /// whoever asks.
    Store,
}

records! {
    /// What the server allows on this connection.
    pub struct WireLimits {
        /// Bytes of a frame from the client.
        frame_bytes_max: u32,
        /// Characters of a message's text.
        text_chars_max: u32,
        /// Messages in one page of history.
        history_messages_max: u16,
    }

    /// What a visitor's client needs to know of its site, beyond the public configuration.
    pub struct SiteState {
        site: SiteId,
        availability: SiteAvailability,
    }
}

frames! {
    /// What a client may say.
    pub enum ClientFrame<'a> {
        /// The first frame of every connection: who it is, and what it has already.
        1 "hello" Hello (Everyone, Hello) {
            request: RequestId,
            role: ClientRole,
            /// Client name and version, `widget/0.1.0`.
            client: String,
            /// The reader's language, a BCP 47 tag.
            locale: String,
            /// Conversations to go on with.
            resume: List<ResumePoint, 64>;
            /// Visitors only: the site.
            site: SiteKey,
            /// Visitors only: the token of the last `welcome`.
            token: Personal<String>,
            /// Bit 0: Global Privacy Control is on; bit 1: Do Not Track is on.
            signals: u8,
        }
        /// Says something. Answered with `ack` once it is stored.
        2 "send" Send (Everyone, Message) {
            request: RequestId,
            conversation: ConversationId,
            message: MessageId,
            /// The newest sequence number the author had seen at the first try; the same on a
            /// resend.
            seen_seq: Seq,
            body: Body<'a>;
            visibility: Visibility,
        }
        /// Begins a conversation; the id is made by the client, so that asking twice is asking
        /// once.
        3 "open" Open (Visitors, Store) {
            request: RequestId,
            conversation: ConversationId,
            form: List<FormAnswer, 32>;
            /// The `notice.hash` of `GET /v1/widget/{site_key}` as it was when the notice was
            /// shown, 64 hex digits; required where the site has a notice.
            notice: String,
            page: PageView,
        }
        /// Ends a conversation.
        4 "close" Close (Everyone, Store) { request: RequestId, conversation: ConversationId }
        /// Opens an ended conversation again.
        5 "reopen" Reopen (Everyone, Store) { request: RequestId, conversation: ConversationId }
        /// Writes, or has stopped to. No answer.
        6 "typing" Typing (Everyone, Memory, watched) { conversation: ConversationId, typing: bool }
        /// Everything up to here reached this person. No answer.
        7 "delivered" Delivered (Everyone, Memory, watched) { conversation: ConversationId, seq: Seq }
        /// Everything up to here was on this person's screen. No answer.
        8 "seen" Seen (Everyone, Memory, watched) { conversation: ConversationId, seq: Seq }
        /// Is the connection alive? Answered at once with `pong`.
        9 "ping" Ping (Everyone, Memory) { request: RequestId }
        /// Asks for the newest messages before a sequence number. Answered with `history`.
        10 "history" History (Everyone, Store) {
            request: RequestId,
            conversation: ConversationId,
            /// Sequence numbers below this one; 0: from the newest.
            before: Seq,
            limit: u16,
        }
        /// Takes what was offered.
        11 "accept" Accept (Agents, Store) { request: RequestId, conversation: ConversationId }
        /// Does not take what was offered.
        12 "decline" Decline (Agents, Store) { request: RequestId, conversation: ConversationId }
        /// Takes a waiting conversation out of turn.
        13 "assign" Assign (Agents, Store) { request: RequestId, conversation: ConversationId }
        /// Offers one's conversation to another agent; the giver keeps it until it is accepted.
        14 "transfer" Transfer (Agents, Store) {
            request: RequestId,
            conversation: ConversationId,
            agent: AgentId,
        }
        /// Chooses whether to take work, and how much.
        15 "availability" Availability (Agents, Store) {
            request: RequestId,
            availability: Availability;
            /// Conversations at most, 0 to `CAPACITY_MAX`; absent: unchanged.
            capacity: u16,
        }
        /// Follows a topic. Answered with its snapshot.
        16 "watch" Watch (Everyone, Store) {
            request: RequestId,
            topic: WatchTopic;
            conversation: ConversationId,
            /// What one has of that conversation already.
            resume: ResumePoint,
            /// The board: what follows the part that gave this as its `next`.
            after: String,
        }
        /// Stops following it.
        17 "unwatch" Unwatch (Everyone, Store) {
            request: RequestId,
            topic: WatchTopic;
            conversation: ConversationId,
        }
        /// What stands in an agent's composer; stored sealed and mirrored to their other windows.
        18 "draft" Draft (Agents, Store) {
            request: RequestId,
            conversation: ConversationId,
            text: Text<'a>,
        }
        /// The page the visitor is on now. No answer.
        19 "page" Page (Visitors, Store) { page: PageView }
        /// Takes over what another agent has; for supervisors and admins. A pending transfer of it
        /// ends.
        20 "take-over" TakeOver (Agents, Store) {
            request: RequestId,
            conversation: ConversationId,
            /// Who has it: if it is somebody else by now, the answer is `gone`.
            from: AgentId,
        }
        /// Takes back a transfer that nobody has answered yet; for whoever has the conversation,
        /// and for supervisors and admins.
        21 "withdraw" Withdraw (Agents, Store) { request: RequestId, conversation: ConversationId }
    }
}

frames! {
    /// What the server may say.
    pub enum ServerFrame<'a> {
        /// The answer to `hello`.
        64 "welcome" Welcome {
            request: RequestId,
            session: SessionId,
            /// The server's clock.
            now: UnixMillis,
            /// Milliseconds between the server's WebSocket pings.
            heartbeat_ms: u32,
            limits: WireLimits,
            /// What goes on: of the resume points, and up to 16 of a visitor's own that are not
            /// closed. Each is followed by its `conversation` and `history`.
            conversations: List<ConversationId, 64>;
            /// Visitors: a fresh token where one is due; keep it in place of the last.
            token: Personal<String>,
            /// Visitors: when that token ends.
            token_expires_at: UnixMillis,
            /// Visitors: who they are.
            visitor: VisitorId,
            /// Visitors: the site.
            site: SiteState,
            /// Agents: who they are.
            agent: AgentCard,
        }
        /// What was asked is done and stored: on disk, or in memory where the server has no disk.
        /// For `send` with its sequence number and time.
        65 "ack" Ack {
            request: RequestId;
            seq: Seq,
            at: UnixMillis,
            /// The first day on which the message can no longer be read; absent: no end is set.
            expires: Day,
            /// What was kept of it, where something was hidden on arrival: show this in its place.
            body: Body<'a>,
        }
        /// Something was said.
        66 "message" Message {
            conversation: ConversationId,
            seq: Seq,
            message: MessageId,
            author: Author,
            at: UnixMillis,
            body: Body<'a>,
            /// The first day on which it can no longer be read.
            expires: Option<Day>;
            visibility: Visibility,
        }
        /// Someone writes; holds for six seconds unless renewed or ended by their message.
        67 "typing" Typing { conversation: ConversationId, author: Author, typing: bool }
        /// A message that was shown could not be stored: take it off the screen.
        68 "void" Void { conversation: ConversationId, seq: Seq, message: MessageId }
        /// Everything up to here reached someone.
        69 "delivered" Delivered { conversation: ConversationId, author: Author, seq: Seq }
        /// Someone had everything up to here on their screen.
        70 "seen" Seen { conversation: ConversationId, author: Author, seq: Seq }
        /// To agents: a visitor came or went, or looks at another page.
        71 "presence" Presence {
            conversation: ConversationId,
            presence: Presence;
            visitor: VisitorCard,
        }
        /// To visitors: what may be promised now.
        72 "availability" Availability { availability: SiteAvailability }
        /// Place in the queue, from 1, and the wait expected from those before.
        73 "queue" Queue {
            conversation: ConversationId,
            position: u32;
            wait_ms: u64,
            /// True: nobody is there who would take it, so the place moves when somebody comes.
            /// Told where it is so; from then on `availability` says when that changes.
            unserved: bool,
        }
        /// A conversation for this agent, until the deadline.
        74 "offer" Offer {
            conversation: ConversationId,
            deadline: UnixMillis,
            /// Its `preview` is the visitor's own newest words or absent: no note, and nothing of a
            /// colleague.
            card: ConversationCard;
            /// The giver, where it is a transfer.
            transfer_from: AgentId,
        }
        /// A conversation's state.
        75 "conversation" Conversation { card: ConversationCard }
        /// Erased: remove it from the screen and from every cache now. Without messages: all of it.
        76 "forget" Forget {
            conversation: ConversationId;
            messages: List<MessageId, 1000>,
        }
        /// A frame was refused.
        77 "reject" Reject {
            request: RequestId,
            code: RejectCode,
            /// For a person.
            words: String;
            retry_after_ms: u32,
        }
        /// The server leaves, or wants the client elsewhere: come back after so long.
        78 "bye" Bye { retry_after_ms: u32 }
        /// The answer to `ping`.
        79 "pong" Pong { request: RequestId }
        /// What another window of the same agent has in its composer.
        80 "draft" Draft { conversation: ConversationId, text: Text<'a> }
        /// A page of messages, in order of their sequence numbers.
        81 "history" History {
            /// 0 where it comes of itself, after a resume.
            request: RequestId,
            conversation: ConversationId,
            /// What the client had does not lead here: this page replaces its tail.
            reset: bool,
            /// Whether there are earlier ones than these.
            more: bool,
            messages: Vec<Message<'a>>,
        }
        /// The answer to `watch` for the board: a part of it, of at most `BOARD_CONVERSATIONS_MAX`
        /// conversations. First their own and those they are asked about, then those that wait, who
        /// waited longest first, then their colleagues'.
        82 "board" Board {
            request: RequestId,
            conversations: Vec<ConversationCard>,
            /// Their colleagues; with the first part alone.
            agents: Vec<AgentCard>;
            /// How many conversations are not closed.
            live: u32,
            /// How many of them wait.
            waiting: u32,
            /// There are more: `watch` the board with this as `after`.
            next: String,
            /// What was asked for as `after`: this part is to be added to what came before it.
            after: String,
        }
        /// To agents: the state of a colleague, or one's own.
        83 "agent" Agent { card: AgentCard }
        /// An offer is over: taken back, run out, or answered in another window.
        84 "offer-over" OfferOver { conversation: ConversationId }
    }
}

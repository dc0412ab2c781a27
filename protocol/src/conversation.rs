//! A conversation's state and the people in it, as the wire shows them.

use crate::ids::{AgentId, ConversationId, MessageId, SiteId, TagId, VisitorId};
use crate::limits::List;
use crate::message::{Author, Seq, wire_codes};
use crate::personal::Personal;
use crate::positional::records;
use crate::time::UnixMillis;

wire_codes! {
    /// Where a conversation stands.
    pub enum ConversationState {
        /// Waits for an agent.
        Queued = 0 "queued",
        /// An agent is asked, until a deadline.
        Offered = 1 "offered",
        /// An agent has it.
        Active = 2 "active",
        /// Put off until a time or the visitor's next message.
        Snoozed = 3 "snoozed",
        /// Over, until somebody opens it again.
        Closed = 4 "closed",
    }
}

wire_codes! {
    /// Whether an agent will take work: their choice, kept across devices and reconnects.
    pub enum Availability {
        /// Takes new conversations.
        Available = 0 "available",
        /// At work, takes none.
        Away = 1 "away",
        /// Not at work.
        Offline = 2 "offline",
    }
}

wire_codes! {
    /// Why an agent's availability is not what they chose.
    pub enum AvailabilityCause {
        /// So many offers ran out unanswered, one after the other, that they are away.
        MissedOffers = 1 "missed-offers",
    }
}

wire_codes! {
    /// Whether someone has a live connection: a fact, not a choice.
    pub enum Presence {
        /// At least one connection.
        Connected = 0 "connected",
        /// None, and the grace is over.
        Gone = 1 "gone",
    }
}

wire_codes! {
    /// What a site may promise its visitors now, from live agents alone.
    pub enum SiteAvailability {
        /// An agent with room is there.
        Available = 0 "available",
        /// Agents are there, all at their capacity: a new conversation waits.
        Busy = 1 "busy",
        /// No agent is there: leave a message.
        Unavailable = 2 "unavailable",
    }
}

wire_codes! {
    /// What an agent may do.
    pub enum Role {
        /// Answers.
        Agent = 0 "agent",
        /// Answers, and sees and moves everything.
        Supervisor = 1 "supervisor",
        /// The same, and sets up the Organization.
        Admin = 2 "admin",
    }
}

records! {
    /// An agent as others see them: visitors get those who take part, agents their colleagues.
    pub struct AgentCard {
        agent: AgentId,
        /// The name that they go by.
        name: Personal<String>;
        /// Only to agents.
        role: Role,
        /// Only to agents: what they chose.
        availability: Availability,
        /// Only to agents: whether they are there.
        presence: Presence,
        /// Only to agents: the conversations they take at most.
        capacity: u16,
        /// Only to agents: the conversations they have, offers included.
        load: u16,
        /// Only to agents: why the availability is as it is, where it was not chosen. It ends with
        /// the next choice.
        availability_cause: AvailabilityCause,
    }

    /// The visitor as agents see them.
    pub struct VisitorCard {
        visitor: VisitorId;
        /// Name from the form.
        name: Personal<String>,
        /// E-mail from the form.
        email: Personal<String>,
        /// Address of the page they are on, without its query, where they allow it.
        page_url: Personal<String>,
        /// The page's title.
        page_title: Personal<String>,
        /// Their browser's language, a BCP 47 tag.
        locale: String,
        /// Whether they are there.
        presence: Presence,
    }

    /// How far someone has come in a conversation.
    pub struct Marks {
        author: Author,
        /// Everything up to here reached them.
        delivered: Seq,
        /// Everything up to here was on their screen.
        seen: Seq,
    }

    /// One answer of the form before the conversation.
    pub struct FormAnswer {
        /// The field's name, as the site's form has it.
        field: String,
        answer: Personal<String>,
    }

    /// A conversation's state. Visitors get it without the fields that are for agents.
    pub struct ConversationCard {
        conversation: ConversationId,
        /// Grows with each change; an older one is ignored.
        version: u64,
        site: SiteId,
        state: ConversationState,
        created_at: UnixMillis,
        /// The newest sequence number.
        seq_last: Seq,
        /// The agents who have or had part in it.
        agents: List<AgentCard, 64>,
        /// How far each has come.
        marks: List<Marks, 64>;
        /// Who has it now.
        assignee: AgentId,
        /// Place in the queue, from 1; only while it waits.
        position: u32,
        /// Since when it waits.
        waiting_since: UnixMillis,
        /// When it was closed.
        closed_at: UnixMillis,
        /// Whether it was opened while no agent was there: a message was left.
        offline_message: bool,
        /// Only to agents.
        visitor: VisitorCard,
        /// Only to agents: the form's answers.
        form: List<FormAnswer, 32>,
        /// Only to agents: labels.
        tags: List<TagId, 32>,
        /// Only to agents: the beginning of the newest words that are for everyone.
        preview: Personal<String>,
        /// Only to agents: when the newest message came.
        last_message_at: UnixMillis,
        /// Only to agents: to whom it is offered, and what becomes of a transfer.
        offered_to: AgentId,
        /// Only to agents: who wrote the newest message.
        last_author: Author,
    }

    /// The last message that a client has of a conversation.
    pub struct ResumePoint {
        conversation: ConversationId,
        /// Its sequence number; 0 with an absent id: the client has none.
        seq: Seq;
        message: MessageId,
        /// Its time, as the server gave it. A sequence number that was lost in a crash may be given
        /// again, to the same message even; the time tells the two apart.
        at: UnixMillis,
    }

    /// The page a visitor is on.
    pub struct PageView {
        /// Address; the server keeps it without its query.
        url: Personal<String>;
        title: Personal<String>,
    }
}

// Made by `cargo xtask gen` out of the crate `protocol`; changes go there.
import { FLAG, NUMBER, TEXT } from './codec.ts';
import type { BodyShape, CodeTable, FrameSchema, RecordShape } from './codec.ts';

export type AgentId = `agt_${string}`;
export type ConversationId = `cnv_${string}`;
export type MessageId = `msg_${string}`;
export type SessionId = `ses_${string}`;
export type SiteId = `sit_${string}`;
export type TagId = `tag_${string}`;
export type VisitorId = `vis_${string}`;

export type AuthorKind = 'visitor' | 'agent' | 'bot' | 'system';
export const AUTHOR_KIND: CodeTable<AuthorKind> = { words: { 0: 'visitor', 1: 'agent', 2: 'bot', 3: 'system' } };

export type Availability = 'available' | 'away' | 'offline';
export const AVAILABILITY: CodeTable<Availability> = { words: { 0: 'available', 1: 'away', 2: 'offline' } };

export type AvailabilityCause = 'missed-offers' | 'unknown';
export const AVAILABILITY_CAUSE: CodeTable<AvailabilityCause> = { words: { 1: 'missed-offers' }, unknown: [[0, 'unknown']] };

export type ClientRole = 'visitor' | 'agent';
export const CLIENT_ROLE: CodeTable<ClientRole> = { words: { 0: 'visitor', 1: 'agent' } };

export type ConversationState = 'queued' | 'offered' | 'active' | 'snoozed' | 'closed';
export const CONVERSATION_STATE: CodeTable<ConversationState> = { words: { 0: 'queued', 1: 'offered', 2: 'active', 3: 'snoozed', 4: 'closed' } };

export type EventKind = 'assigned' | 'requeued' | 'transferred' | 'closed' | 'reopened' | 'abandoned' | 'unknown';
export const EVENT_KIND: CodeTable<EventKind> = { words: { 1: 'assigned', 2: 'requeued', 3: 'transferred', 4: 'closed', 5: 'reopened', 6: 'abandoned' }, unknown: [[0, 'unknown']] };

export type Presence = 'connected' | 'gone';
export const PRESENCE: CodeTable<Presence> = { words: { 0: 'connected', 1: 'gone' } };

export type RejectCode = 'unknown-kind' | 'invalid' | 'not-found' | 'forbidden' | 'too-long' | 'closed' | 'conflict' | 'gone' | 'at-capacity' | 'expired' | 'limit-reached' | 'site-closed' | 'consent-required' | 'too-fast' | 'store-unavailable' | 'overload' | 'unknown' | 'unknown-retryable';
export const REJECT_CODE: CodeTable<RejectCode> = { words: { 1: 'unknown-kind', 2: 'invalid', 3: 'not-found', 4: 'forbidden', 5: 'too-long', 6: 'closed', 7: 'conflict', 8: 'gone', 9: 'at-capacity', 10: 'expired', 11: 'limit-reached', 12: 'site-closed', 13: 'consent-required', 128: 'too-fast', 129: 'store-unavailable', 130: 'overload' }, unknown: [[0, 'unknown'], [128, 'unknown-retryable']] };

export type Role = 'agent' | 'supervisor' | 'admin';
export const ROLE: CodeTable<Role> = { words: { 0: 'agent', 1: 'supervisor', 2: 'admin' } };

export type SiteAvailability = 'available' | 'busy' | 'unavailable';
export const SITE_AVAILABILITY: CodeTable<SiteAvailability> = { words: { 0: 'available', 1: 'busy', 2: 'unavailable' } };

export type Visibility = 'everyone' | 'agents';
export const VISIBILITY: CodeTable<Visibility> = { words: { 0: 'everyone', 1: 'agents' } };

export type WatchTopic = 'board' | 'conversation';
export const WATCH_TOPIC: CodeTable<WatchTopic> = { words: { 0: 'board', 1: 'conversation' } };

/** What was said: words, or an event message and the agent it is about. */
export type Body =
  | { kind: 'text'; text: string }
  | { kind: 'event'; event: EventKind; agent?: AgentId }
  | { kind: 'unknown' };
export const BODY: BodyShape = { event: EVENT_KIND };

/** Who said it. */
export interface Author {
  kind: AuthorKind;
  /** Agents only. */
  agent?: AgentId;
}
export const AUTHOR: RecordShape<Author> = {
  required: 1,
  fields: [
    ['kind', AUTHOR_KIND],
    ['agent', 'agt'],
  ],
};

/** One thing said, in its place. */
export interface Message {
  seq: number;
  message: MessageId;
  author: Author;
  at: number;
  body: Body;
  /** The first day on which it can no longer be read. */
  expires: number | null;
  /** Absent: everyone. */
  visibility?: Visibility;
}
export const MESSAGE: RecordShape<Message> = {
  required: 6,
  fields: [
    ['seq', NUMBER],
    ['message', 'msg'],
    ['author', AUTHOR],
    ['at', NUMBER],
    ['body', BODY],
    ['expires', { orNull: NUMBER }],
    ['visibility', VISIBILITY],
  ],
};

/** An agent as others see them: visitors get those who take part, agents their colleagues. */
export interface AgentCard {
  agent: AgentId;
  /** The name that they go by. */
  name: string;
  /** Only to agents. */
  role?: Role;
  /** Only to agents: what they chose. */
  availability?: Availability;
  /** Only to agents: whether they are there. */
  presence?: Presence;
  /** Only to agents: the conversations they take at most. */
  capacity?: number;
  /** Only to agents: the conversations they have, offers included. */
  load?: number;
  /** Only to agents: why the availability is as it is, where it was not chosen. It ends with the next choice. */
  availability_cause?: AvailabilityCause;
}
export const AGENT_CARD: RecordShape<AgentCard> = {
  required: 2,
  fields: [
    ['agent', 'agt'],
    ['name', TEXT],
    ['role', ROLE],
    ['availability', AVAILABILITY],
    ['presence', PRESENCE],
    ['capacity', NUMBER],
    ['load', NUMBER],
    ['availability_cause', AVAILABILITY_CAUSE],
  ],
};

/** The visitor as agents see them. */
export interface VisitorCard {
  visitor: VisitorId;
  /** Name from the form. */
  name?: string;
  /** E-mail from the form. */
  email?: string;
  /** Address of the page they are on, without its query, where they allow it. */
  page_url?: string;
  /** The page's title. */
  page_title?: string;
  /** Their browser's language, a BCP 47 tag. */
  locale?: string;
  /** Whether they are there. */
  presence?: Presence;
}
export const VISITOR_CARD: RecordShape<VisitorCard> = {
  required: 1,
  fields: [
    ['visitor', 'vis'],
    ['name', TEXT],
    ['email', TEXT],
    ['page_url', TEXT],
    ['page_title', TEXT],
    ['locale', TEXT],
    ['presence', PRESENCE],
  ],
};

/** How far someone has come in a conversation. */
export interface Marks {
  author: Author;
  /** Everything up to here reached them. */
  delivered: number;
  /** Everything up to here was on their screen. */
  seen: number;
}
export const MARKS: RecordShape<Marks> = {
  required: 3,
  fields: [
    ['author', AUTHOR],
    ['delivered', NUMBER],
    ['seen', NUMBER],
  ],
};

/** One answer of the form before the conversation. */
export interface FormAnswer {
  /** The field's name, as the site's form has it. */
  field: string;
  answer: string;
}
export const FORM_ANSWER: RecordShape<FormAnswer> = {
  required: 2,
  fields: [
    ['field', TEXT],
    ['answer', TEXT],
  ],
};

/** A conversation's state. Visitors get it without the fields that are for agents. */
export interface ConversationCard {
  conversation: ConversationId;
  /** Grows with each change; an older one is ignored. */
  version: number;
  site: SiteId;
  state: ConversationState;
  created_at: number;
  /** The newest sequence number. */
  seq_last: number;
  /** The agents who have or had part in it. */
  agents: readonly AgentCard[];
  /** How far each has come. */
  marks: readonly Marks[];
  /** Who has it now. */
  assignee?: AgentId;
  /** Place in the queue, from 1; only while it waits. */
  position?: number;
  /** Since when it waits. */
  waiting_since?: number;
  /** When it was closed. */
  closed_at?: number;
  /** Whether it was opened while no agent was there: a message was left. */
  offline_message?: boolean;
  /** Only to agents. */
  visitor?: VisitorCard;
  /** Only to agents: the form's answers. */
  form?: readonly FormAnswer[];
  /** Only to agents: labels. */
  tags?: readonly TagId[];
  /** Only to agents: the beginning of the newest words that are for everyone. */
  preview?: string;
  /** Only to agents: when the newest message came. */
  last_message_at?: number;
  /** Only to agents: to whom it is offered, and what becomes of a transfer. */
  offered_to?: AgentId;
  /** Only to agents: who wrote the newest message. */
  last_author?: Author;
}
export const CONVERSATION_CARD: RecordShape<ConversationCard> = {
  required: 8,
  fields: [
    ['conversation', 'cnv'],
    ['version', NUMBER],
    ['site', 'sit'],
    ['state', CONVERSATION_STATE],
    ['created_at', NUMBER],
    ['seq_last', NUMBER],
    ['agents', { list: AGENT_CARD }],
    ['marks', { list: MARKS }],
    ['assignee', 'agt'],
    ['position', NUMBER],
    ['waiting_since', NUMBER],
    ['closed_at', NUMBER],
    ['offline_message', FLAG],
    ['visitor', VISITOR_CARD],
    ['form', { list: FORM_ANSWER }],
    ['tags', { list: 'tag' }],
    ['preview', TEXT],
    ['last_message_at', NUMBER],
    ['offered_to', 'agt'],
    ['last_author', AUTHOR],
  ],
};

/** The last message that a client has of a conversation. */
export interface ResumePoint {
  conversation: ConversationId;
  /** Its sequence number; 0 with an absent id: the client has none. */
  seq: number;
  message?: MessageId;
  /** Its time, as the server gave it. A sequence number that was lost in a crash may be given again, to the same message even; the time tells the two apart. */
  at?: number;
}
export const RESUME_POINT: RecordShape<ResumePoint> = {
  required: 2,
  fields: [
    ['conversation', 'cnv'],
    ['seq', NUMBER],
    ['message', 'msg'],
    ['at', NUMBER],
  ],
};

/** The page a visitor is on. */
export interface PageView {
  /** Address; the server keeps it without its query. */
  url: string;
  title?: string;
}
export const PAGE_VIEW: RecordShape<PageView> = {
  required: 1,
  fields: [
    ['url', TEXT],
    ['title', TEXT],
  ],
};

/** What the server allows on this connection. */
export interface WireLimits {
  /** Bytes of a frame from the client. */
  frame_bytes_max: number;
  /** Characters of a message's text. */
  text_chars_max: number;
  /** Messages in one page of history. */
  history_messages_max: number;
}
export const WIRE_LIMITS: RecordShape<WireLimits> = {
  required: 3,
  fields: [
    ['frame_bytes_max', NUMBER],
    ['text_chars_max', NUMBER],
    ['history_messages_max', NUMBER],
  ],
};

/** What a visitor's client needs to know of its site, beyond the public configuration. */
export interface SiteState {
  site: SiteId;
  availability: SiteAvailability;
}
export const SITE_STATE: RecordShape<SiteState> = {
  required: 2,
  fields: [
    ['site', 'sit'],
    ['availability', SITE_AVAILABILITY],
  ],
};

/** The first frame of every connection: who it is, and what it has already. */
export interface ClientHello {
  kind: 'hello';
  request: number;
  role: ClientRole;
  /** Client name and version, `widget/0.1.0`. */
  client: string;
  /** The reader's language, a BCP 47 tag. */
  locale: string;
  /** Conversations to go on with. */
  resume: readonly ResumePoint[];
  /** Visitors only: the site. */
  site?: string;
  /** Visitors only: the token of the last `welcome`. */
  token?: string;
  /** Bit 0: Global Privacy Control is on; bit 1: Do Not Track is on. */
  signals?: number;
}
export const CLIENT_HELLO: FrameSchema<ClientHello> = {
  code: 1, word: 'hello', required: 5,
  fields: [
    ['request', NUMBER],
    ['role', CLIENT_ROLE],
    ['client', TEXT],
    ['locale', TEXT],
    ['resume', { list: RESUME_POINT }],
    ['site', TEXT],
    ['token', TEXT],
    ['signals', NUMBER],
  ],
};

/** Says something. Answered with `ack` once it is stored. */
export interface ClientSend {
  kind: 'send';
  request: number;
  conversation: ConversationId;
  message: MessageId;
  /** The newest sequence number the author had seen at the first try; the same on a resend. */
  seen_seq: number;
  body: Body;
  visibility?: Visibility;
}
export const CLIENT_SEND: FrameSchema<ClientSend> = {
  code: 2, word: 'send', required: 5,
  fields: [
    ['request', NUMBER],
    ['conversation', 'cnv'],
    ['message', 'msg'],
    ['seen_seq', NUMBER],
    ['body', BODY],
    ['visibility', VISIBILITY],
  ],
};

/** Begins a conversation; the id is made by the client, so that asking twice is asking once. */
export interface ClientOpen {
  kind: 'open';
  request: number;
  conversation: ConversationId;
  form: readonly FormAnswer[];
  /** The `notice.hash` of `GET /v1/widget/{site_key}` as it was when the notice was shown, 64 hex digits; required where the site has a notice. */
  notice?: string;
  page?: PageView;
}
export const CLIENT_OPEN: FrameSchema<ClientOpen> = {
  code: 3, word: 'open', required: 3,
  fields: [
    ['request', NUMBER],
    ['conversation', 'cnv'],
    ['form', { list: FORM_ANSWER }],
    ['notice', TEXT],
    ['page', PAGE_VIEW],
  ],
};

/** Ends a conversation. */
export interface ClientClose {
  kind: 'close';
  request: number;
  conversation: ConversationId;
}
export const CLIENT_CLOSE: FrameSchema<ClientClose> = {
  code: 4, word: 'close', required: 2,
  fields: [
    ['request', NUMBER],
    ['conversation', 'cnv'],
  ],
};

/** Opens an ended conversation again. */
export interface ClientReopen {
  kind: 'reopen';
  request: number;
  conversation: ConversationId;
}
export const CLIENT_REOPEN: FrameSchema<ClientReopen> = {
  code: 5, word: 'reopen', required: 2,
  fields: [
    ['request', NUMBER],
    ['conversation', 'cnv'],
  ],
};

/** Writes, or has stopped to. No answer. */
export interface ClientTyping {
  kind: 'typing';
  conversation: ConversationId;
  typing: boolean;
}
export const CLIENT_TYPING: FrameSchema<ClientTyping> = {
  code: 6, word: 'typing', required: 2,
  fields: [
    ['conversation', 'cnv'],
    ['typing', FLAG],
  ],
};

/** Everything up to here reached this person. No answer. */
export interface ClientDelivered {
  kind: 'delivered';
  conversation: ConversationId;
  seq: number;
}
export const CLIENT_DELIVERED: FrameSchema<ClientDelivered> = {
  code: 7, word: 'delivered', required: 2,
  fields: [
    ['conversation', 'cnv'],
    ['seq', NUMBER],
  ],
};

/** Everything up to here was on this person's screen. No answer. */
export interface ClientSeen {
  kind: 'seen';
  conversation: ConversationId;
  seq: number;
}
export const CLIENT_SEEN: FrameSchema<ClientSeen> = {
  code: 8, word: 'seen', required: 2,
  fields: [
    ['conversation', 'cnv'],
    ['seq', NUMBER],
  ],
};

/** Is the connection alive? Answered at once with `pong`. */
export interface ClientPing {
  kind: 'ping';
  request: number;
}
export const CLIENT_PING: FrameSchema<ClientPing> = {
  code: 9, word: 'ping', required: 1,
  fields: [
    ['request', NUMBER],
  ],
};

/** Asks for the newest messages before a sequence number. Answered with `history`. */
export interface ClientHistory {
  kind: 'history';
  request: number;
  conversation: ConversationId;
  /** Sequence numbers below this one; 0: from the newest. */
  before: number;
  limit: number;
}
export const CLIENT_HISTORY: FrameSchema<ClientHistory> = {
  code: 10, word: 'history', required: 4,
  fields: [
    ['request', NUMBER],
    ['conversation', 'cnv'],
    ['before', NUMBER],
    ['limit', NUMBER],
  ],
};

/** Takes what was offered. */
export interface ClientAccept {
  kind: 'accept';
  request: number;
  conversation: ConversationId;
}
export const CLIENT_ACCEPT: FrameSchema<ClientAccept> = {
  code: 11, word: 'accept', required: 2,
  fields: [
    ['request', NUMBER],
    ['conversation', 'cnv'],
  ],
};

/** Does not take what was offered. */
export interface ClientDecline {
  kind: 'decline';
  request: number;
  conversation: ConversationId;
}
export const CLIENT_DECLINE: FrameSchema<ClientDecline> = {
  code: 12, word: 'decline', required: 2,
  fields: [
    ['request', NUMBER],
    ['conversation', 'cnv'],
  ],
};

/** Takes a waiting conversation out of turn. */
export interface ClientAssign {
  kind: 'assign';
  request: number;
  conversation: ConversationId;
}
export const CLIENT_ASSIGN: FrameSchema<ClientAssign> = {
  code: 13, word: 'assign', required: 2,
  fields: [
    ['request', NUMBER],
    ['conversation', 'cnv'],
  ],
};

/** Offers one's conversation to another agent; the giver keeps it until it is accepted. */
export interface ClientTransfer {
  kind: 'transfer';
  request: number;
  conversation: ConversationId;
  agent: AgentId;
}
export const CLIENT_TRANSFER: FrameSchema<ClientTransfer> = {
  code: 14, word: 'transfer', required: 3,
  fields: [
    ['request', NUMBER],
    ['conversation', 'cnv'],
    ['agent', 'agt'],
  ],
};

/** Chooses whether to take work, and how much. */
export interface ClientAvailability {
  kind: 'availability';
  request: number;
  availability: Availability;
  /** Conversations at most, 0 to `CAPACITY_MAX`; absent: unchanged. */
  capacity?: number;
}
export const CLIENT_AVAILABILITY: FrameSchema<ClientAvailability> = {
  code: 15, word: 'availability', required: 2,
  fields: [
    ['request', NUMBER],
    ['availability', AVAILABILITY],
    ['capacity', NUMBER],
  ],
};

/** Follows a topic. Answered with its snapshot. */
export interface ClientWatch {
  kind: 'watch';
  request: number;
  topic: WatchTopic;
  conversation?: ConversationId;
  /** What one has of that conversation already. */
  resume?: ResumePoint;
  /** The board: what follows the part that gave this as its `next`. */
  after?: string;
}
export const CLIENT_WATCH: FrameSchema<ClientWatch> = {
  code: 16, word: 'watch', required: 2,
  fields: [
    ['request', NUMBER],
    ['topic', WATCH_TOPIC],
    ['conversation', 'cnv'],
    ['resume', RESUME_POINT],
    ['after', TEXT],
  ],
};

/** Stops following it. */
export interface ClientUnwatch {
  kind: 'unwatch';
  request: number;
  topic: WatchTopic;
  conversation?: ConversationId;
}
export const CLIENT_UNWATCH: FrameSchema<ClientUnwatch> = {
  code: 17, word: 'unwatch', required: 2,
  fields: [
    ['request', NUMBER],
    ['topic', WATCH_TOPIC],
    ['conversation', 'cnv'],
  ],
};

/** What stands in an agent's composer; stored sealed and mirrored to their other windows. */
export interface ClientDraft {
  kind: 'draft';
  request: number;
  conversation: ConversationId;
  text: string;
}
export const CLIENT_DRAFT: FrameSchema<ClientDraft> = {
  code: 18, word: 'draft', required: 3,
  fields: [
    ['request', NUMBER],
    ['conversation', 'cnv'],
    ['text', TEXT],
  ],
};

/** The page the visitor is on now. No answer. */
export interface ClientPage {
  kind: 'page';
  page: PageView;
}
export const CLIENT_PAGE: FrameSchema<ClientPage> = {
  code: 19, word: 'page', required: 1,
  fields: [
    ['page', PAGE_VIEW],
  ],
};

/** Takes over what another agent has; for supervisors and admins. A pending transfer of it ends. */
export interface ClientTakeOver {
  kind: 'take-over';
  request: number;
  conversation: ConversationId;
  /** Who has it: if it is somebody else by now, the answer is `gone`. */
  from: AgentId;
}
export const CLIENT_TAKE_OVER: FrameSchema<ClientTakeOver> = {
  code: 20, word: 'take-over', required: 3,
  fields: [
    ['request', NUMBER],
    ['conversation', 'cnv'],
    ['from', 'agt'],
  ],
};

/** Takes back a transfer that nobody has answered yet; for whoever has the conversation, and for supervisors and admins. */
export interface ClientWithdraw {
  kind: 'withdraw';
  request: number;
  conversation: ConversationId;
}
export const CLIENT_WITHDRAW: FrameSchema<ClientWithdraw> = {
  code: 21, word: 'withdraw', required: 2,
  fields: [
    ['request', NUMBER],
    ['conversation', 'cnv'],
  ],
};

export type ClientFrame =
  | ClientHello
  | ClientSend
  | ClientOpen
  | ClientClose
  | ClientReopen
  | ClientTyping
  | ClientDelivered
  | ClientSeen
  | ClientPing
  | ClientHistory
  | ClientAccept
  | ClientDecline
  | ClientAssign
  | ClientTransfer
  | ClientAvailability
  | ClientWatch
  | ClientUnwatch
  | ClientDraft
  | ClientPage
  | ClientTakeOver
  | ClientWithdraw;
/** Every kind, for a client that wants them all; one that names its own is smaller. */
export const CLIENT_FRAMES: readonly FrameSchema<ClientFrame>[] = [
  CLIENT_HELLO,
  CLIENT_SEND,
  CLIENT_OPEN,
  CLIENT_CLOSE,
  CLIENT_REOPEN,
  CLIENT_TYPING,
  CLIENT_DELIVERED,
  CLIENT_SEEN,
  CLIENT_PING,
  CLIENT_HISTORY,
  CLIENT_ACCEPT,
  CLIENT_DECLINE,
  CLIENT_ASSIGN,
  CLIENT_TRANSFER,
  CLIENT_AVAILABILITY,
  CLIENT_WATCH,
  CLIENT_UNWATCH,
  CLIENT_DRAFT,
  CLIENT_PAGE,
  CLIENT_TAKE_OVER,
  CLIENT_WITHDRAW,
];

/** The answer to `hello`. */
export interface ServerWelcome {
  kind: 'welcome';
  request: number;
  session: SessionId;
  /** The server's clock. */
  now: number;
  /** Milliseconds between the server's WebSocket pings. */
  heartbeat_ms: number;
  limits: WireLimits;
  /** What goes on: of the resume points, and up to 16 of a visitor's own that are not closed. Each is followed by its `conversation` and `history`. */
  conversations: readonly ConversationId[];
  /** Visitors: a fresh token where one is due; keep it in place of the last. */
  token?: string;
  /** Visitors: when that token ends. */
  token_expires_at?: number;
  /** Visitors: who they are. */
  visitor?: VisitorId;
  /** Visitors: the site. */
  site?: SiteState;
  /** Agents: who they are. */
  agent?: AgentCard;
}
export const SERVER_WELCOME: FrameSchema<ServerWelcome> = {
  code: 64, word: 'welcome', required: 6,
  fields: [
    ['request', NUMBER],
    ['session', 'ses'],
    ['now', NUMBER],
    ['heartbeat_ms', NUMBER],
    ['limits', WIRE_LIMITS],
    ['conversations', { list: 'cnv' }],
    ['token', TEXT],
    ['token_expires_at', NUMBER],
    ['visitor', 'vis'],
    ['site', SITE_STATE],
    ['agent', AGENT_CARD],
  ],
};

/** What was asked is done and stored: on disk, or in memory where the server has no disk. For `send` with its sequence number and time. */
export interface ServerAck {
  kind: 'ack';
  request: number;
  seq?: number;
  at?: number;
  /** The first day on which the message can no longer be read; absent: no end is set. */
  expires?: number;
  /** What was kept of it, where something was hidden on arrival: show this in its place. */
  body?: Body;
}
export const SERVER_ACK: FrameSchema<ServerAck> = {
  code: 65, word: 'ack', required: 1,
  fields: [
    ['request', NUMBER],
    ['seq', NUMBER],
    ['at', NUMBER],
    ['expires', NUMBER],
    ['body', BODY],
  ],
};

/** Something was said. */
export interface ServerMessage {
  kind: 'message';
  conversation: ConversationId;
  seq: number;
  message: MessageId;
  author: Author;
  at: number;
  body: Body;
  /** The first day on which it can no longer be read. */
  expires: number | null;
  visibility?: Visibility;
}
export const SERVER_MESSAGE: FrameSchema<ServerMessage> = {
  code: 66, word: 'message', required: 7,
  fields: [
    ['conversation', 'cnv'],
    ['seq', NUMBER],
    ['message', 'msg'],
    ['author', AUTHOR],
    ['at', NUMBER],
    ['body', BODY],
    ['expires', { orNull: NUMBER }],
    ['visibility', VISIBILITY],
  ],
};

/** Someone writes; holds for six seconds unless renewed or ended by their message. */
export interface ServerTyping {
  kind: 'typing';
  conversation: ConversationId;
  author: Author;
  typing: boolean;
}
export const SERVER_TYPING: FrameSchema<ServerTyping> = {
  code: 67, word: 'typing', required: 3,
  fields: [
    ['conversation', 'cnv'],
    ['author', AUTHOR],
    ['typing', FLAG],
  ],
};

/** A message that was shown could not be stored: take it off the screen. */
export interface ServerVoid {
  kind: 'void';
  conversation: ConversationId;
  seq: number;
  message: MessageId;
}
export const SERVER_VOID: FrameSchema<ServerVoid> = {
  code: 68, word: 'void', required: 3,
  fields: [
    ['conversation', 'cnv'],
    ['seq', NUMBER],
    ['message', 'msg'],
  ],
};

/** Everything up to here reached someone. */
export interface ServerDelivered {
  kind: 'delivered';
  conversation: ConversationId;
  author: Author;
  seq: number;
}
export const SERVER_DELIVERED: FrameSchema<ServerDelivered> = {
  code: 69, word: 'delivered', required: 3,
  fields: [
    ['conversation', 'cnv'],
    ['author', AUTHOR],
    ['seq', NUMBER],
  ],
};

/** Someone had everything up to here on their screen. */
export interface ServerSeen {
  kind: 'seen';
  conversation: ConversationId;
  author: Author;
  seq: number;
}
export const SERVER_SEEN: FrameSchema<ServerSeen> = {
  code: 70, word: 'seen', required: 3,
  fields: [
    ['conversation', 'cnv'],
    ['author', AUTHOR],
    ['seq', NUMBER],
  ],
};

/** To agents: a visitor came or went, or looks at another page. */
export interface ServerPresence {
  kind: 'presence';
  conversation: ConversationId;
  presence: Presence;
  visitor?: VisitorCard;
}
export const SERVER_PRESENCE: FrameSchema<ServerPresence> = {
  code: 71, word: 'presence', required: 2,
  fields: [
    ['conversation', 'cnv'],
    ['presence', PRESENCE],
    ['visitor', VISITOR_CARD],
  ],
};

/** To visitors: what may be promised now. */
export interface ServerAvailability {
  kind: 'availability';
  availability: SiteAvailability;
}
export const SERVER_AVAILABILITY: FrameSchema<ServerAvailability> = {
  code: 72, word: 'availability', required: 1,
  fields: [
    ['availability', SITE_AVAILABILITY],
  ],
};

/** Place in the queue, from 1, and the wait expected from those before. */
export interface ServerQueue {
  kind: 'queue';
  conversation: ConversationId;
  position: number;
  wait_ms?: number;
  /** True: nobody is there who would take it, so the place moves when somebody comes. Told where it is so; from then on `availability` says when that changes. */
  unserved?: boolean;
}
export const SERVER_QUEUE: FrameSchema<ServerQueue> = {
  code: 73, word: 'queue', required: 2,
  fields: [
    ['conversation', 'cnv'],
    ['position', NUMBER],
    ['wait_ms', NUMBER],
    ['unserved', FLAG],
  ],
};

/** A conversation for this agent, until the deadline. */
export interface ServerOffer {
  kind: 'offer';
  conversation: ConversationId;
  deadline: number;
  /** Its `preview` is the visitor's own newest words or absent: no note, and nothing of a colleague. */
  card: ConversationCard;
  /** The giver, where it is a transfer. */
  transfer_from?: AgentId;
}
export const SERVER_OFFER: FrameSchema<ServerOffer> = {
  code: 74, word: 'offer', required: 3,
  fields: [
    ['conversation', 'cnv'],
    ['deadline', NUMBER],
    ['card', CONVERSATION_CARD],
    ['transfer_from', 'agt'],
  ],
};

/** A conversation's state. */
export interface ServerConversation {
  kind: 'conversation';
  card: ConversationCard;
}
export const SERVER_CONVERSATION: FrameSchema<ServerConversation> = {
  code: 75, word: 'conversation', required: 1,
  fields: [
    ['card', CONVERSATION_CARD],
  ],
};

/** Erased: remove it from the screen and from every cache now. Without messages: all of it. */
export interface ServerForget {
  kind: 'forget';
  conversation: ConversationId;
  messages?: readonly MessageId[];
}
export const SERVER_FORGET: FrameSchema<ServerForget> = {
  code: 76, word: 'forget', required: 1,
  fields: [
    ['conversation', 'cnv'],
    ['messages', { list: 'msg' }],
  ],
};

/** A frame was refused. */
export interface ServerReject {
  kind: 'reject';
  request: number;
  code: RejectCode;
  /** For a person. */
  words: string;
  retry_after_ms?: number;
}
export const SERVER_REJECT: FrameSchema<ServerReject> = {
  code: 77, word: 'reject', required: 3,
  fields: [
    ['request', NUMBER],
    ['code', REJECT_CODE],
    ['words', TEXT],
    ['retry_after_ms', NUMBER],
  ],
};

/** The server leaves, or wants the client elsewhere: come back after so long. */
export interface ServerBye {
  kind: 'bye';
  retry_after_ms: number;
}
export const SERVER_BYE: FrameSchema<ServerBye> = {
  code: 78, word: 'bye', required: 1,
  fields: [
    ['retry_after_ms', NUMBER],
  ],
};

/** The answer to `ping`. */
export interface ServerPong {
  kind: 'pong';
  request: number;
}
export const SERVER_PONG: FrameSchema<ServerPong> = {
  code: 79, word: 'pong', required: 1,
  fields: [
    ['request', NUMBER],
  ],
};

/** What another window of the same agent has in its composer. */
export interface ServerDraft {
  kind: 'draft';
  conversation: ConversationId;
  text: string;
}
export const SERVER_DRAFT: FrameSchema<ServerDraft> = {
  code: 80, word: 'draft', required: 2,
  fields: [
    ['conversation', 'cnv'],
    ['text', TEXT],
  ],
};

/** A page of messages, in order of their sequence numbers. */
export interface ServerHistory {
  kind: 'history';
  /** 0 where it comes of itself, after a resume. */
  request: number;
  conversation: ConversationId;
  /** What the client had does not lead here: this page replaces its tail. */
  reset: boolean;
  /** Whether there are earlier ones than these. */
  more: boolean;
  messages: readonly Message[];
}
export const SERVER_HISTORY: FrameSchema<ServerHistory> = {
  code: 81, word: 'history', required: 5,
  fields: [
    ['request', NUMBER],
    ['conversation', 'cnv'],
    ['reset', FLAG],
    ['more', FLAG],
    ['messages', { list: MESSAGE }],
  ],
};

/** The answer to `watch` for the board: a part of it, of at most `BOARD_CONVERSATIONS_MAX` conversations. First their own and those they are asked about, then those that wait, who waited longest first, then their colleagues'. */
export interface ServerBoard {
  kind: 'board';
  request: number;
  conversations: readonly ConversationCard[];
  /** Their colleagues; with the first part alone. */
  agents: readonly AgentCard[];
  /** How many conversations are not closed. */
  live?: number;
  /** How many of them wait. */
  waiting?: number;
  /** There are more: `watch` the board with this as `after`. */
  next?: string;
  /** What was asked for as `after`: this part is to be added to what came before it. */
  after?: string;
}
export const SERVER_BOARD: FrameSchema<ServerBoard> = {
  code: 82, word: 'board', required: 3,
  fields: [
    ['request', NUMBER],
    ['conversations', { list: CONVERSATION_CARD }],
    ['agents', { list: AGENT_CARD }],
    ['live', NUMBER],
    ['waiting', NUMBER],
    ['next', TEXT],
    ['after', TEXT],
  ],
};

/** To agents: the state of a colleague, or one's own. */
export interface ServerAgent {
  kind: 'agent';
  card: AgentCard;
}
export const SERVER_AGENT: FrameSchema<ServerAgent> = {
  code: 83, word: 'agent', required: 1,
  fields: [
    ['card', AGENT_CARD],
  ],
};

/** An offer is over: taken back, run out, or answered in another window. */
export interface ServerOfferOver {
  kind: 'offer-over';
  conversation: ConversationId;
}
export const SERVER_OFFER_OVER: FrameSchema<ServerOfferOver> = {
  code: 84, word: 'offer-over', required: 1,
  fields: [
    ['conversation', 'cnv'],
  ],
};

export type ServerFrame =
  | ServerWelcome
  | ServerAck
  | ServerMessage
  | ServerTyping
  | ServerVoid
  | ServerDelivered
  | ServerSeen
  | ServerPresence
  | ServerAvailability
  | ServerQueue
  | ServerOffer
  | ServerConversation
  | ServerForget
  | ServerReject
  | ServerBye
  | ServerPong
  | ServerDraft
  | ServerHistory
  | ServerBoard
  | ServerAgent
  | ServerOfferOver;
/** Every kind, for a client that wants them all; one that names its own is smaller. */
export const SERVER_FRAMES: readonly FrameSchema<ServerFrame>[] = [
  SERVER_WELCOME,
  SERVER_ACK,
  SERVER_MESSAGE,
  SERVER_TYPING,
  SERVER_VOID,
  SERVER_DELIVERED,
  SERVER_SEEN,
  SERVER_PRESENCE,
  SERVER_AVAILABILITY,
  SERVER_QUEUE,
  SERVER_OFFER,
  SERVER_CONVERSATION,
  SERVER_FORGET,
  SERVER_REJECT,
  SERVER_BYE,
  SERVER_PONG,
  SERVER_DRAFT,
  SERVER_HISTORY,
  SERVER_BOARD,
  SERVER_AGENT,
  SERVER_OFFER_OVER,
];

/** The refusals after which the same frame may succeed later. */
export const RETRYABLE: readonly RejectCode[] = ['too-fast', 'store-unavailable', 'overload', 'unknown-retryable'];

// What ends a connection.
export const CLOSE_DONE = 1000;
export const CLOSE_FRAMING = 1002;
export const CLOSE_WRONG_TYPE = 1003;
export const CLOSE_NOT_UTF8 = 1007;
export const CLOSE_TOO_LARGE = 1009;
export const CLOSE_MALFORMED = 4000;
export const CLOSE_NOT_AUTHENTICATED = 4001;
export const CLOSE_ORIGIN_NOT_ALLOWED = 4003;
export const CLOSE_SITE_CLOSED = 4004;
export const CLOSE_BANNED = 4008;
export const CLOSE_PROTOCOL = 4009;
export const CLOSE_DRAINING = 4100;
export const CLOSE_TOO_SLOW = 4101;
export const CLOSE_NO_PONG = 4102;
export const CLOSE_TOO_FAST = 4103;
export const CLOSE_OVERLOAD = 4104;
export const CLOSE_IDLE = 4105;
export const CLOSE_ELSEWHERE = 4200;

/** What a client does after a connection ended. */
export type Verdict = 'done' | 'stop' | 'retry' | 'now';
/** By ranges of close codes, both ends included; after all others a client comes back with jitter: `retry`. */
export const VERDICTS: readonly (readonly [from: number, to: number, verdict: Verdict])[] = [
  [1000, 1000, 'done'],
  [1002, 1003, 'stop'],
  [1007, 1007, 'stop'],
  [1009, 1009, 'stop'],
  [4000, 4099, 'stop'],
  [4200, 4200, 'now'],
];

export const FRAME_BYTES_MAX = 65536;
export const TEXT_BYTES_MAX = 16384;
export const TEXT_CHARS_MAX = 4000;
export const ANSWER_BYTES_MAX = 1000;
export const RESUME_POINTS_MAX = 64;
export const HISTORY_MESSAGES_MAX = 100;
export const BOARD_CONVERSATIONS_MAX = 200;
export const DEPTH_MAX = 12;
export const TYPING_MS = 6000;
export const PONG_MS = 2000;

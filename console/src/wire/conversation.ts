// A conversation as REST shows it, turned into the card that the socket would have sent.

import type {
  AgentId,
  Author,
  AuthorKind,
  ConversationCard,
  ConversationId,
  ConversationState,
  Presence,
  SiteId,
  TagId,
  VisitorId,
} from '../../../protocol/ts/src/wire/frames.ts';

export interface RestVisitor {
  visitor_id: VisitorId;
  name?: string | null;
  email?: string | null;
  page_url?: string | null;
  page_title?: string | null;
  locale?: string | null;
  presence?: Presence | null;
}

export interface RestAuthor {
  kind: AuthorKind;
  agent_id?: AgentId | null;
}

function authorOf(rest: RestAuthor): Author {
  return rest.agent_id === null || rest.agent_id === undefined
    ? { kind: rest.kind }
    : { kind: rest.kind, agent: rest.agent_id };
}

export interface RestConversation {
  conversation_id: ConversationId;
  site_id: SiteId;
  state: ConversationState;
  version?: number | null;
  created_at: number;
  seq_last?: number | null;
  assignee?: AgentId | null;
  agents?: AgentId[] | null;
  marks?: { author: RestAuthor; delivered: number; seen: number }[] | null;
  last_author?: RestAuthor | null;
  waiting_since?: number | null;
  closed_at?: number | null;
  offline_message?: boolean | null;
  visitor?: RestVisitor | null;
  form?: { field: string; answer: string }[] | null;
  tags?: TagId[] | null;
  preview?: string | null;
  last_message_at?: number | null;
}

/** Leaves out what is null, as the wire does. */
function present<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== null && value !== undefined),
  ) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

export function cardOf(rest: RestConversation): ConversationCard {
  const { visitor } = rest;
  return {
    conversation: rest.conversation_id,
    version: rest.version ?? 0,
    site: rest.site_id,
    state: rest.state,
    created_at: rest.created_at,
    seq_last: rest.seq_last ?? 0,
    // Names are the board's.
    agents: (rest.agents ?? []).map((agent) => ({ agent, name: '' })),
    marks: (rest.marks ?? []).map((mark) => ({ ...mark, author: authorOf(mark.author) })),
    ...present({
      assignee: rest.assignee,
      waiting_since: rest.waiting_since,
      closed_at: rest.closed_at,
      offline_message: rest.offline_message,
      form: rest.form,
      tags: rest.tags,
      preview: rest.preview,
      last_message_at: rest.last_message_at,
      last_author:
        rest.last_author === null || rest.last_author === undefined
          ? undefined
          : authorOf(rest.last_author),
    }),
    ...(visitor === null || visitor === undefined
      ? {}
      : {
          visitor: {
            visitor: visitor.visitor_id,
            ...present({
              name: visitor.name,
              email: visitor.email,
              page_url: visitor.page_url,
              page_title: visitor.page_title,
              locale: visitor.locale,
              presence: visitor.presence,
            }),
          },
        }),
  };
}

// How people are called on the screen.

import type { AgentId, Author, ConversationCard } from '../../../protocol/ts/src/wire/frames.ts';
import { isBlank } from '../../../protocol/ts/src/wire/visible.ts';
import { board } from '../state/store.ts';
import { me } from '../state/session.ts';
import { visitorName } from '../state/visitor.ts';
import { t } from '../strings/en.ts';

/** A colleague's name, also of one who is only known from the conversation. */
export function agentName(id: AgentId | undefined, card?: ConversationCard): string {
  if (id === undefined) return t.anAgent;
  const name =
    board.value.agents.get(id)?.name ??
    card?.agents.find((agent) => agent.agent === id)?.name ??
    '';
  return isBlank(name) ? t.anAgent : name;
}

export function agentOrYou(id: AgentId | undefined, card?: ConversationCard): string {
  return id !== undefined && id === me.value ? t.you : agentName(id, card);
}

export function authorName(author: Author, card: ConversationCard | undefined): string {
  switch (author.kind) {
    case 'visitor':
      return visitorName(card);
    case 'agent':
      return agentName(author.agent, card);
    case 'bot':
      return t.thread.bot;
    case 'system':
      return t.name;
  }
}

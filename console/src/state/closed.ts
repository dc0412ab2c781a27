// Conversations that are not on the board: closed ones, and those of one visitor, page by page over
// REST.

import { computed, signal } from '@preact/signals';
import type { ConversationCard, ConversationId } from '../../../protocol/ts/src/wire/frames.ts';
import { ask, Problem } from '../wire/rest.ts';
import type { Page } from '../wire/rest.ts';
import { cardOf } from '../wire/conversation.ts';
import type { RestConversation } from '../wire/conversation.ts';
import { board, showCard } from './store.ts';

const PAGE = 50;

const fetched = signal<ReadonlyMap<ConversationId, ConversationCard>>(new Map());
const cursor = signal<string | null>(null);

export const closedMore = computed(() => cursor.value !== null);

/** Closed conversations, the last closed first; what the board knows better is taken from there. */
export const closedCards = computed<readonly ConversationCard[]>(() => {
  const all = new Map(fetched.value);
  for (const [id, card] of board.value.cards) {
    if (card.state === 'closed') all.set(id, card);
    else all.delete(id);
  }
  return [...all.values()].sort(
    (a, b) => (b.closed_at ?? b.created_at) - (a.closed_at ?? a.created_at),
  );
});

/** The newest page, or the one after those that are here. */
export async function loadClosed(fromStart: boolean): Promise<void> {
  const at =
    fromStart || cursor.value === null ? '' : `&cursor=${encodeURIComponent(cursor.value)}`;
  const page = await ask<Page<RestConversation>>(
    'GET',
    `/v1/conversations?state=closed&limit=${PAGE}${at}`,
  );
  const next = new Map(fromStart ? [] : fetched.value);
  for (const item of page.items) {
    const card = cardOf(item);
    next.set(card.conversation, card);
  }
  fetched.value = next;
  cursor.value = page.next_cursor;
}

const lookedFor = new Set<ConversationId>();

/**
 * A conversation that is on the screen and not on the board, as after a reload: it is closed, or it
 * is not there.
 */
export async function findCard(id: ConversationId): Promise<void> {
  if (lookedFor.has(id)) return;
  lookedFor.add(id);
  try {
    showCard(cardOf(await ask<RestConversation>('GET', `/v1/conversations/${id}`)));
  } catch (problem) {
    // The thread itself says so.
    if (problem instanceof Problem && problem.status === 404) return;
    lookedFor.delete(id);
    throw problem;
  }
}

/** What one agent may see is nothing for the next one on this machine. */
export function forgetClosed(): void {
  lookedFor.clear();
  fetched.value = new Map();
  cursor.value = null;
}

/** What else this visitor came for, the newest first. */
export async function earlierConversations(
  visitor: string,
  than: ConversationId,
): Promise<ConversationCard[]> {
  const page = await ask<Page<RestConversation>>(
    'GET',
    `/v1/conversations?visitor_id=${encodeURIComponent(visitor)}&limit=20`,
  );
  return page.items
    .map(cardOf)
    .filter((card) => card.conversation !== than)
    .sort((a, b) => b.created_at - a.created_at);
}

// Which conversations the list shows, in which order, and how many there are of each kind.

import { computed, signal } from '@preact/signals';
import type { ConversationCard } from '../../../protocol/ts/src/wire/frames.ts';
import { isMine, isWaiting, listed } from './board.ts';
import type { Tab } from './board.ts';
import { closedCards } from './closed.ts';
import { board, unreadOf } from './store.ts';
import { me } from './session.ts';
import { visitorName } from './visitor.ts';

export const tab = signal<Tab>('mine');
export const closedToo = signal<'live' | 'closed'>('live');
export const filter = signal('');

export const cards = computed<readonly ConversationCard[]>(() => {
  const source =
    tab.value === 'all' && closedToo.value === 'closed'
      ? closedCards.value
      : listed(board.value, tab.value, me.value);
  const wanted = filter.value.trim().toLowerCase();
  if (wanted === '') return source;
  return source.filter((card) =>
    [visitorName(card), card.visitor?.email, card.preview].some(
      (text) => text?.toLowerCase().includes(wanted) === true,
    ),
  );
});

/** The rows in their order, for the keys that step through them. */
export const shownIds = computed(() => cards.value.map((card) => card.conversation));

/** Positions in the queue, from 1. */
export const positions = computed(
  () =>
    new Map(
      listed(board.value, 'waiting', me.value).map((card, at) => [card.conversation, at + 1]),
    ),
);

export const counts = computed(() => {
  let mine = 0;
  let waiting = 0;
  let all = 0;
  let unread = 0;
  for (const card of board.value.cards.values()) {
    if (card.state !== 'closed') all += 1;
    if (isWaiting(card)) waiting += 1;
    if (isMine(card, me.value)) {
      mine += 1;
      if (unreadOf(card) > 0) unread += 1;
    }
  }
  const { beyond } = board.value;
  return {
    mine,
    waiting: Math.max(waiting, beyond?.waiting ?? 0),
    all: Math.max(all, beyond?.live ?? 0),
    unread,
  };
});

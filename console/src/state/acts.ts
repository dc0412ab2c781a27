// What an agent does with conversations, and what they may do.
//
// Lives here: each act, whatever began it: a button, a key, a notice. Not here: what comes of it
// (store.ts), and how it is asked for (the view).

import * as wire from '../../../protocol/ts/src/wire/frames.ts';
import type {
  AgentId,
  ConversationCard,
  ConversationId,
  TagId,
} from '../../../protocol/ts/src/wire/frames.ts';
import { problemSentence, t } from '../strings/en.ts';
import { ask, oneByOne } from '../wire/rest.ts';
import { typeAhead } from './ahead.ts';
import { isMine } from './board.ts';
import { act, board, closings, composeReply, news, toBoard, writeBehind } from './store.ts';
import { composerCalled, restKeys } from './keyboard.ts';
import { tab } from './listing.ts';
import { tell } from './notices.ts';
import { goAtOnce } from './route.ts';
import { granted, me } from './session.ts';
import { unsavedNames } from './unsaved.ts';
import { visitorName } from './visitor.ts';

const leads = (): boolean => granted.value?.agent.role !== 'agent';

/** Who has it hands it over or closes it, and who leads. */
export function mayMove(card: ConversationCard): boolean {
  return isMine(card, me.value) || leads();
}

/** From whom one may take it over, not only hand it on. */
export function takenFrom(card: ConversationCard): AgentId | null {
  return card.state === 'active' &&
    card.assignee !== undefined &&
    card.assignee !== me.value &&
    leads()
    ? card.assignee
    : null;
}

/** A transfer that nobody has answered yet can be taken back. */
export function mayWithdraw(card: ConversationCard): boolean {
  return (
    mayMove(card) &&
    card.state === 'active' &&
    card.offered_to !== undefined &&
    card.offered_to !== me.value
  );
}

/** One colleague is asked at a time. */
export function mayTransfer(card: ConversationCard): boolean {
  return mayMove(card) && card.state === 'active' && card.offered_to === undefined;
}

export function decline(conversation: ConversationId): Promise<boolean> {
  news.decline(conversation);
  return act((socket) => socket.ask(wire.CLIENT_DECLINE, { conversation }));
}

/** Takes back a transfer that nobody has answered. */
export async function withdraw(conversation: ConversationId): Promise<boolean> {
  const before = board.value.cards.get(conversation);
  toBoard({ kind: 'withdrawn', conversation });
  const granted = await act((socket) => socket.ask(wire.CLIENT_WITHDRAW, { conversation }));
  // It stands as it stood, unless a newer card has come.
  if (!granted && before !== undefined) toBoard({ kind: 'card', card: before });
  return granted;
}

export function transfer(conversation: ConversationId, agent: AgentId): Promise<boolean> {
  closings.keepOpen(conversation);
  return act((socket) => socket.ask(wire.CLIENT_TRANSFER, { conversation, agent }));
}

export function closeSoon(id: ConversationId): void {
  closings.closeSoon(id, visitorName(board.value.cards.get(id)));
}

/** Takes back what was closed last, wherever one is; whether there was anything. */
export function undoNewest(): boolean {
  return closings.undoNewest();
}

const taking = new Set<ConversationId>();

/** Accepts what is offered, and goes where it now stands. */
export async function takeOffered(id: ConversationId): Promise<void> {
  // A key that is pressed twice would be answered with a refusal of the second.
  if (taking.has(id)) return;
  taking.add(id);
  restKeys();
  // What the agent begins to say before the answer is there stands in the composer then.
  let early: string | null = '';
  const path = `/conversations/${id}`;
  const stop = typeAhead(
    (letter) => {
      if (early === null) writeBehind(id, letter);
      else early += letter;
    },
    // Until it is granted they may press and look around; then it is over wherever they are but on
    // the way there.
    ({ type }) => early === null && (type !== 'hashchange' || location.hash !== `#${path}`),
  );
  const granted = await act((socket) => socket.ask(wire.CLIENT_ACCEPT, { conversation: id }));
  taking.delete(id);
  if (!granted) {
    stop();
    return;
  }
  tab.value = 'mine';
  composeReply(id);
  if (early !== '') writeBehind(id, early);
  early = null;
  composerCalled.value = id;
  // Somebody waits there: what is unsaved here is found again, and does not hold the agent up.
  const unsaved = unsavedNames.value;
  goAtOnce(path);
  if (unsaved.length > 0) tell(t.unsaved.kept(unsaved.join(', ')));
}

/** Takes one that waits, ahead of those who wait longer. */
export function takeWaiting(id: ConversationId): Promise<void> {
  return take(id, () => act((socket) => socket.ask(wire.CLIENT_ASSIGN, { conversation: id })));
}

/** Takes what a colleague has, by whoever leads; `gone` where another has it by now. */
export function takeFrom(id: ConversationId, from: AgentId): Promise<void> {
  return take(id, () => {
    closings.keepOpen(id);
    return act((socket) => socket.ask(wire.CLIENT_TAKE_OVER, { conversation: id, from }));
  });
}

/** Takes up again what was closed. */
export function takeUp(id: ConversationId): Promise<void> {
  return take(id, () => {
    closings.keepOpen(id);
    return act((socket) => socket.ask(wire.CLIENT_REOPEN, { conversation: id }));
  });
}

/** Who takes it writes at once: the field is theirs before the server has answered. */
async function take(id: ConversationId, ask: () => Promise<boolean>): Promise<void> {
  if (taking.has(id)) return;
  taking.add(id);
  restKeys();
  composeReply(id);
  composerCalled.value = id;
  const granted = await ask();
  taking.delete(id);
  if (granted) tab.value = 'mine';
}

/** Puts a label on a conversation, or takes it off. */
export function setTag(conversation: ConversationId, tag: TagId, on: boolean): Promise<void> {
  return oneByOne(async () => {
    // As it is by now: two may be ticked before the first is answered.
    const others = (board.value.cards.get(conversation)?.tags ?? []).filter((one) => one !== tag);
    const tags = on ? [...others, tag] : others;
    try {
      await ask<unknown>('PUT', `/v1/conversations/${conversation}/tags`, { tags });
      toBoard({ kind: 'tags', conversation, tags });
    } catch (problem) {
      tell(problemSentence(problem), 'bad');
    }
  });
}

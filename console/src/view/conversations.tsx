// The conversations: list, thread and context beside one another, and the keys for all.

import { useState } from 'preact/hooks';
import type { AgentId, ConversationId } from '../../../protocol/ts/src/wire/frames.ts';
import { isWaiting } from '../state/board.ts';
import { accept, assign, board, chooseMode, closeSoon, composeReply, offers, opened, reopen, takeOver, writeBehind, writeOn } from '../state/desk.ts';
import { composerCalled, restKeys, STEPS, stepTo } from '../state/hands.ts';
import { contextOpen, toggleContext } from '../state/preferences.ts';
import { tell } from '../state/notices.ts';
import { go, goAtOnce, parseRoute } from '../state/route.ts';
import { unsavedNames } from '../state/unsaved.ts';
import { t } from '../strings/en.ts';
import { Context } from './context.tsx';
import { List, shownIds, tab } from './list.tsx';
import { Dialog, Empty, Icon } from './parts.tsx';
import { typeAhead, useKeys } from './shortcuts.ts';
import { mayMove, mayTransfer, Thread } from './thread.tsx';
import { TransferDialog } from './transfer.tsx';

export type Overlay = 'help' | 'transfer' | null;

export function show(id: ConversationId | null): void {
  go(id === null ? '/' : `/conversations/${id}`);
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
    // Until it is granted they may press and look around; then it is over wherever they are but on the way there.
    ({ type }) => early === null && (type !== 'hashchange' || location.hash !== `#${path}`),
  );
  const granted = await accept(id);
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

/** Takes one that waits, out of turn. */
export function takeWaiting(id: ConversationId): Promise<void> {
  return take(id, () => assign(id));
}

/** Takes what a colleague has. */
export function takeFrom(id: ConversationId, colleague: AgentId): Promise<void> {
  return take(id, () => takeOver(id, colleague));
}

/** Takes up again what was closed. */
export function takeUp(id: ConversationId): Promise<void> {
  return take(id, () => reopen(id));
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

/** What a single key does; false: it is not one of ours. */
function pressed(key: string, overlay: (which: Overlay) => void): boolean {
  // The address is ahead of the screen by a moment: whoever steps goes on from where they are going.
  const going = parseRoute(location.hash);
  const id = going.kind === 'conversations' ? going.conversation : null;
  if (id !== opened.value && !STEPS.includes(key)) return false;
  const card = opened.value === null ? undefined : board.value.cards.get(opened.value);
  const step = (by: number): void => {
    const ids = shownIds.value;
    const at = ids.findIndex((one) => one === id);
    const next = ids[at === -1 ? (by > 0 ? 0 : ids.length - 1) : Math.min(ids.length - 1, Math.max(0, at + by))];
    if (next === undefined || next === id) return;
    stepTo(next);
    show(next);
  };
  switch (key) {
    case 'j':
      step(1);
      return true;
    case 'k':
      step(-1);
      return true;
    case '1':
      tab.value = 'mine';
      return true;
    case '2':
      tab.value = 'waiting';
      return true;
    case '3':
      tab.value = 'all';
      return true;
    case 'a':
      // An offer comes first, and has this key on every page.
      if (offers.value.length > 0 || card === undefined || !isWaiting(card)) return false;
      void takeWaiting(card.conversation);
      return true;
    case 'r':
    case 'n':
      if (opened.value === null) return false;
      chooseMode(opened.value, key === 'n' ? 'agents' : 'everyone');
      document.getElementById('composer')?.focus();
      return true;
    case 't':
      if (card === undefined || !mayTransfer(card)) return false;
      overlay('transfer');
      return true;
    case 'e':
      if (card === undefined || card.state === 'closed' || !mayMove(card)) return false;
      closeSoon(card.conversation);
      return true;
    case 'i':
      toggleContext();
      return true;
    case '/':
      document.getElementById('filter')?.focus();
      return true;
    case '?':
      overlay('help');
      return true;
    default:
      return false;
  }
}

export function Conversations() {
  const [overlay, setOverlay] = useState<Overlay>(null);
  useKeys((key) => pressed(key, setOverlay));

  const handedOver = (): void => {
    setOverlay(null);
    // It stays with them until it is accepted.
    writeOn();
  };
  const id = opened.value;
  const context = id !== null && contextOpen.value;
  return (
    <div class={`conversations ${id === null ? 'no-thread' : 'with-thread'} ${context ? 'with-context' : ''}`}>
      <List help={() => setOverlay('help')} />
      {id === null ? (
        <main class="thread-empty" id="content" tabIndex={-1}>
          <h1 class="visually-hidden">{t.list.label}</h1>
          <span class="thread-empty-mark" aria-hidden="true">
            <Icon name="tray" size={34} />
          </span>
          <Empty title={t.list.chooseOne}>{t.list.chooseOneHint}</Empty>
        </main>
      ) : (
        <Thread key={id} id={id} transfer={() => setOverlay('transfer')} />
      )}
      {context && id !== null ? <Context key={`context-${id}`} id={id} /> : null}
      {overlay === 'help' ? <Help onClose={() => setOverlay(null)} /> : null}
      {overlay === 'transfer' && id !== null ? <TransferDialog id={id} onClose={handedOver} /> : null}
    </div>
  );
}

function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title={t.help.title} onClose={onClose}>
      <dl class="keys">
        {t.help.rows.map(([key, does]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

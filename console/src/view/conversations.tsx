// The conversations: list, thread and context beside one another, and the keys for all.

import { useState } from 'preact/hooks';
import { isWaiting } from '../state/board.ts';
import { board, chooseMode, offers, opened, writeOn } from '../state/store.ts';
import { closeSoon, mayMove, mayTransfer, takeWaiting } from '../state/acts.ts';
import { STEPS, stepTo } from '../state/keyboard.ts';
import { contextOpen, toggleContext } from '../state/preferences.ts';
import { shownIds, tab } from '../state/listing.ts';
import { parseRoute, show } from '../state/route.ts';
import { t } from '../strings/en.ts';
import { Context } from './context.tsx';
import { List } from './list.tsx';
import { Dialog, Empty, Icon } from './parts.tsx';
import { useKeys } from './shortcuts.ts';
import { Thread } from './thread.tsx';
import { TransferDialog } from './transfer.tsx';

export type Overlay = 'help' | 'transfer' | null;

/** What a single key does; false: it is not one of ours. */
function pressed(key: string, overlay: (which: Overlay) => void): boolean {
  // The address is ahead of the screen by a moment: whoever steps goes on from where they are
  // going.
  const target = parseRoute(location.hash);
  const id = target.kind === 'conversations' ? target.conversation : null;
  if (id !== opened.value && !STEPS.includes(key)) return false;
  const card = opened.value === null ? undefined : board.value.cards.get(opened.value);
  const step = (by: number): void => {
    const ids = shownIds.value;
    const at = ids.findIndex((one) => one === id);
    const next =
      ids[
        at === -1 ? (by > 0 ? 0 : ids.length - 1) : Math.min(ids.length - 1, Math.max(0, at + by))
      ];
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
    <div
      class={`conversations ${id === null ? 'no-thread' : 'with-thread'} ${context ? 'with-context' : ''}`}
    >
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
      {overlay === 'transfer' && id !== null ? (
        <TransferDialog id={id} onClose={handedOver} />
      ) : null}
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

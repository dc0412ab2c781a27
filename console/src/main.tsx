// The console's beginning: settings, clock, session, and then what the route says.

import { effect, untracked } from '@preact/signals';
import { render } from 'preact';
import { forgetCatalog, loadCatalog } from './state/catalog.ts';
import { startClock } from './state/clock.ts';
import { findCard, forgetClosed } from './state/closed.ts';
import {
  attention,
  board,
  clearStore,
  openConversation,
  opened,
  startStore,
  tickStore,
  watchHiding,
} from './state/store.ts';
import { tell } from './state/notices.ts';
import { startPreferences, uncoverThread } from './state/preferences.ts';
import { route, startRouting } from './state/route.ts';
import { findSession, me, session } from './state/session.ts';
import { guardPage, leaveDrafts, restoreDrafts } from './state/unsaved.ts';
import { startSound } from './state/sound.ts';
import { problemSentence, t } from './strings/en.ts';
import { App } from './view/app.tsx';
import { keepFocus } from './view/focus.ts';

startPreferences();
startRouting();
guardPage();
startSound();
startClock(tickStore);
watchHiding();
keepFocus();

let signedIn: string | null = null;
effect(() => {
  const agent = me.value;
  if (agent === signedIn) return;
  signedIn = agent;
  // What these read must not bring this effect back.
  untracked(() => {
    if (agent === null) {
      const signedOut = session.value.kind === 'out' && !session.value.over;
      clearStore(signedOut);
      leaveDrafts(signedOut);
      forgetCatalog();
      forgetClosed();
    } else {
      restoreDrafts();
      startStore();
      void loadCatalog();
    }
  });
});

effect(() => {
  const at = route.value;
  const wanted = at.kind === 'conversations' ? at.conversation : null;
  if (me.value === null) return;
  uncoverThread();
  untracked(() => openConversation(wanted !== null && isConversation(wanted) ? wanted : null));
});

effect(() => {
  const id = opened.value;
  if (id === null || !board.value.loaded || board.value.cards.has(id)) return;
  untracked(() => findCard(id).catch((problem: unknown) => tell(problemSentence(problem), 'bad')));
});

function isConversation(text: string): text is `cnv_${string}` {
  return /^cnv_[0-9a-f]{32}$/.test(text);
}

effect(() => {
  const count = attention.value;
  document.title = count > 0 && session.value.kind === 'in' ? `(${count}) ${t.name}` : t.name;
});

const root = document.getElementById('app');
if (root !== null) render(<App find={findSession} />, root);

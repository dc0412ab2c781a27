// The frame of the console: sign-in when nobody is signed in, otherwise the rail and a page.

import { useEffect, useState } from 'preact/hooks';
import type { ConnectionState } from '../../../protocol/ts/src/wire/socket.ts';
import { undoNewest } from '../state/acts.ts';
import { connection, reconnect } from '../state/store.ts';
import { UNDO } from '../state/keyboard.ts';
import { route } from '../state/route.ts';
import type { Route, Section } from '../state/route.ts';
import { granted, isAdmin, session } from '../state/session.ts';
import { leave, leaving, stay } from '../state/unsaved.ts';
import { problemSentence, t } from '../strings/en.ts';
import { Account } from './account.tsx';
import { Agents } from './agents.tsx';
import { Conversations } from './conversations.tsx';
import { Keys } from './keys.tsx';
import { Invitation, Login, PasswordReset } from './login.tsx';
import { Ask, Dialog, dialogs, Icon, Notices, Spinner, useMeasured } from './parts.tsx';
import type { IconName } from './parts.tsx';
import { Offers } from './offers.tsx';
import { useKeys } from './shortcuts.ts';
import { Sites } from './sites.tsx';
import { Tags } from './tags.tsx';

export function App({ find }: { find: () => Promise<void> }) {
  const [failed, setFailed] = useState<string | null>(null);
  const look = (): void => {
    setFailed(null);
    find().catch((problem: unknown) => setFailed(problemSentence(problem)));
  };
  useEffect(look, []);
  return (
    <>
      <Page failed={failed} again={look} />
      {dialogs.value.length === 0 ? <Notices /> : null}
      <Leaving />
    </>
  );
}

function Page({ failed, again }: { failed: string | null; again: () => void }) {
  const at = route.value;
  if (at.kind === 'invitation') return <Invitation token={at.token} />;
  if (at.kind === 'password-reset') return <PasswordReset key={at.token} token={at.token} />;
  switch (session.value.kind) {
    case 'unknown':
      return (
        <main class="door">
          {failed === null ? (
            <Spinner />
          ) : (
            <div class="empty" role="alert">
              <p class="empty-title">{failed}</p>
              <button type="button" class="button" onClick={again}>
                {t.tryAgain}
              </button>
            </div>
          )}
        </main>
      );
    case 'out':
      return <Login />;
    case 'in':
      return <SignedIn at={at} />;
  }
}

function SignedIn({ at }: { at: Route }) {
  // Here, and not with the other keys: what was closed can be taken back on every page.
  useKeys((key) => key === UNDO && undoNewest());
  return (
    <div class="shell">
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById('content')?.focus();
        }}
      >
        {t.nav.skip}
      </a>
      <Rail at={at} />
      <div class="stage">
        <Connection />
        <Content at={at} />
      </div>
      <Offers />
    </div>
  );
}

function Content({ at }: { at: Route }) {
  switch (at.kind) {
    case 'sites':
      return <Sites site={at.site} />;
    case 'agents':
      return <Agents />;
    case 'keys':
      return <Keys />;
    case 'tags':
      return <Tags />;
    case 'account':
      return <Account />;
    case 'conversations':
    case 'invitation':
    case 'password-reset':
      return <Conversations />;
  }
}

const SECTIONS: readonly {
  readonly section: Section;
  readonly icon: IconName;
  readonly label: string;
  readonly admin: boolean;
}[] = [
  { section: 'conversations', icon: 'tray', label: t.nav.conversations, admin: false },
  { section: 'sites', icon: 'globe', label: t.nav.sites, admin: true },
  { section: 'agents', icon: 'people', label: t.nav.agents, admin: true },
  { section: 'tags', icon: 'tag', label: t.nav.tags, admin: true },
  { section: 'keys', icon: 'key', label: t.nav.keys, admin: true },
  { section: 'account', icon: 'person', label: t.nav.account, admin: false },
];

function Rail({ at }: { at: Route }) {
  return (
    <nav class="rail" aria-label={t.nav.label}>
      <span
        class="brand-mark"
        role="img"
        aria-label={granted.value?.tenant.name ?? t.name}
        title={granted.value?.tenant.name ?? t.name}
      />
      {SECTIONS.filter((one) => !one.admin || isAdmin.value).map((one) => (
        <a
          key={one.section}
          class={one.section === 'account' ? 'rail-item rail-last' : 'rail-item'}
          href={one.section === 'conversations' ? '#/' : `#/${one.section}`}
          aria-current={at.kind === one.section ? 'page' : undefined}
        >
          <Icon name={one.icon} size={20} />
          <span>{one.label}</span>
        </a>
      ))}
    </nav>
  );
}

/** Says when the connection is down; nothing while all is well. */
function Connection() {
  const state = connection.value;
  const [late, setLate] = useState(false);
  useEffect(() => {
    // A connection that comes back within a second is not worth a word.
    const timer = setTimeout(() => setLate(state.kind !== 'online'), 1000);
    return () => clearTimeout(timer);
  }, [state.kind]);
  return state.kind === 'online' || (!late && state.kind !== 'stopped') ? null : (
    <ConnectionBar state={state} />
  );
}

function ConnectionBar({ state }: { state: ConnectionState }) {
  const box = useMeasured('--line');
  return (
    <div class={state.kind === 'stopped' ? 'line-bar bad' : 'line-bar'} role="status" ref={box}>
      {state.kind === 'stopped' ? null : <span class="spinner small" aria-hidden="true" />}
      <span>
        {state.kind === 'stopped'
          ? `${t.connection.stopped} ${state.reason === '' ? '' : `(${state.reason})`}`
          : state.kind === 'waiting'
            ? t.connection.waiting
            : t.connection.connecting}
      </span>
      {state.kind === 'waiting' || state.kind === 'stopped' ? (
        <button type="button" class="link" onClick={reconnect}>
          {t.connection.now}
        </button>
      ) : null}
    </div>
  );
}

/** Stands before leaving what is not saved. */
function Leaving() {
  if (leaving.value === null) return null;
  return (
    <Dialog title={t.unsaved.title} onClose={stay}>
      <Ask
        asks={t.unsaved.lost(leaving.value.names.join(', '))}
        yes={t.unsaved.leave}
        no={t.unsaved.stay}
        tone="stay"
        act={async () => leave()}
        onClose={stay}
      />
    </Dialog>
  );
}

// The frame of the console: the door when nobody is signed in, otherwise the rail and a page.

import { useEffect, useState } from 'preact/hooks';
import { line, reconnect } from '../state/desk.ts';
import { dismiss, notices } from '../state/notices.ts';
import { route } from '../state/route.ts';
import type { Route, Section } from '../state/route.ts';
import { granted, isAdmin, session } from '../state/session.ts';
import { problemSentence, t } from '../strings/en.ts';
import { Account } from './account.tsx';
import { Agents } from './agents.tsx';
import { Conversations } from './conversations.tsx';
import { Keys } from './keys.tsx';
import { Invitation, Login } from './login.tsx';
import { Icon, Spinner } from './parts.tsx';
import type { IconName } from './parts.tsx';
import { Offers } from './offers.tsx';
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
      <Notices />
    </>
  );
}

function Page({ failed, again }: { failed: string | null; again: () => void }) {
  const at = route.value;
  if (at.kind === 'invitation') return <Invitation token={at.token} />;
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
      return <Desk at={at} />;
  }
}

function Desk({ at }: { at: Route }) {
  return (
    <div class="shell">
      <a class="skip" href="#content" onClick={(event) => {
        event.preventDefault();
        document.getElementById('content')?.focus();
      }}>
        {t.nav.skip}
      </a>
      <Rail at={at} />
      <div class="stage">
        <Line />
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
      return <Conversations />;
  }
}

const PLACES: readonly { readonly section: Section; readonly icon: IconName; readonly label: string; readonly admin: boolean }[] = [
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
      <span class="brand-mark" role="img" aria-label={granted.value?.tenant.name ?? t.name} title={granted.value?.tenant.name ?? t.name} />
      {PLACES.filter((place) => !place.admin || isAdmin.value).map((place) => (
        <a
          key={place.section}
          class={place.section === 'account' ? 'rail-item rail-last' : 'rail-item'}
          href={place.section === 'conversations' ? '#/' : `#/${place.section}`}
          aria-current={at.kind === place.section ? 'page' : undefined}
        >
          <Icon name={place.icon} size={20} />
          <span>{place.label}</span>
        </a>
      ))}
    </nav>
  );
}

/** Says when the line is down; nothing while all is well. */
function Line() {
  const state = line.value;
  const [late, setLate] = useState(false);
  useEffect(() => {
    // A line that comes back within a second is not worth a word.
    const timer = setTimeout(() => setLate(state.kind !== 'online'), 1000);
    return () => clearTimeout(timer);
  }, [state.kind]);
  if (state.kind === 'online' || (!late && state.kind !== 'stopped')) return null;
  return (
    <div class={state.kind === 'stopped' ? 'line-bar bad' : 'line-bar'} role="status">
      {state.kind === 'stopped' ? null : <span class="spinner small" aria-hidden="true" />}
      <span>
        {state.kind === 'stopped' ? `${t.line.stopped} ${state.reason === '' ? '' : `(${state.reason})`}` : state.kind === 'waiting' ? t.line.waiting : t.line.connecting}
      </span>
      {state.kind === 'waiting' || state.kind === 'stopped' ? (
        <button type="button" class="link" onClick={reconnect}>
          {t.line.now}
        </button>
      ) : null}
    </div>
  );
}

function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map((notice) => (
        <div key={notice.id} class={notice.tone === 'bad' ? 'notice bad' : 'notice'}>
          <span>{notice.words}</span>
          {notice.act === null ? null : (
            <button type="button" class="notice-act" onClick={notice.act.run}>
              {notice.act.words}
            </button>
          )}
          <button type="button" class="icon-button" aria-label={t.dismiss} onClick={() => dismiss(notice.id)}>
            <Icon name="close" size={14} />
          </button>
        </div>
      ))}
    </div>
  );
}

// The list of conversations: tabs, filter, rows; only the rows in sight are in the page.

import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import type { ConversationCard } from '../../../protocol/ts/src/wire/frames.ts';
import { isAgent, isMine, isWaiting } from '../state/board.ts';
import type { Card, Tab } from '../state/board.ts';
import { closedMore, loadClosed } from '../state/closed.ts';
import type { Composer } from '../state/composer.ts';
import { board, composers, opened, ownCard, showCard, unreadOf } from '../state/store.ts';
import { composerCalled, hasKeys } from '../state/keyboard.ts';
import { show } from '../state/route.ts';
import { cards, closedToo, counts, filter, positions, tab } from '../state/listing.ts';
import { siteName, sites } from '../state/catalog.ts';
import { me } from '../state/session.ts';
import { visitorName } from '../state/visitor.ts';
import { problemSentence, t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import { AvailabilityMenu } from './availability.tsx';
import { land, trailOf } from './focus.ts';
import { agentName, agentOrYou } from './names.ts';
import {
  ActButton,
  Avatar,
  Empty,
  Icon,
  isLong,
  shortTime,
  Spinner,
  Waiting,
  Words,
} from './parts.tsx';
import { isComposed } from './shortcuts.ts';
import { SoundButton } from './sound_button.tsx';
import { tell } from '../state/notices.ts';

const TABS: readonly Tab[] = ['mine', 'waiting', 'all'];

export function List({ help }: { help: () => void }) {
  return (
    <section class="list" aria-label={t.list.label}>
      <header class="list-head">
        <AvailabilityMenu />
        <span class="grow" />
        <SoundButton />
        <button
          type="button"
          class="icon-button"
          aria-label={t.help.title}
          title={t.help.title}
          onClick={help}
        >
          <Icon name="help" />
        </button>
      </header>
      <div class="tabs" role="tablist" aria-label={t.list.label}>
        {TABS.map((one) => (
          <button
            key={one}
            type="button"
            role="tab"
            id={`tab-${one}`}
            aria-selected={tab.value === one}
            aria-controls="rows"
            tabIndex={tab.value === one ? 0 : -1}
            onClick={() => {
              tab.value = one;
            }}
            onKeyDown={(event) => {
              const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
              const next = TABS[(TABS.indexOf(one) + by + TABS.length) % TABS.length];
              if (by === 0 || next === undefined) return;
              tab.value = next;
              document.getElementById(`tab-${next}`)?.focus();
            }}
          >
            {t.list[one]}{' '}
            <span class={one === 'waiting' && counts.value.waiting > 0 ? 'count hot' : 'count'}>
              {counts.value[one]}
            </span>
            {one === 'mine' && counts.value.unread > 0 ? (
              <span class="tab-dot" role="img" aria-label={t.list.unread(counts.value.unread)} />
            ) : null}
          </button>
        ))}
      </div>
      <div class="list-tools">
        <label class="search">
          <Icon name="search" size={15} />
          <input
            id="filter"
            type="search"
            aria-label={t.list.search}
            placeholder={t.list.search}
            value={filter.value}
            onInput={(event) => {
              filter.value = event.currentTarget.value;
            }}
            onKeyDown={(event) => {
              if (event.key !== 'Escape' || isComposed(event)) return;
              filter.value = '';
              land(trailOf(event.currentTarget));
            }}
          />
        </label>
        {tab.value === 'all' ? (
          <select
            aria-label={t.list.all}
            value={closedToo.value}
            onChange={(event) => {
              closedToo.value = event.currentTarget.value === 'closed' ? 'closed' : 'live';
            }}
          >
            <option value="live">{t.list.live}</option>
            <option value="closed">{t.list.closed}</option>
          </select>
        ) : null}
      </div>
      <Rows />
    </section>
  );
}

const ROW_PX = 76;
/** Rows drawn beyond what is in sight, so that scrolling never shows a gap. */
const ROWS_AROUND = 6;

function Rows() {
  const box = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const height = useSignal(800);
  const wantsClosed = tab.value === 'all' && closedToo.value === 'closed';

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const sized = new ResizeObserver(() => {
      height.value = element.clientHeight;
    });
    sized.observe(element);
    return () => sized.disconnect();
  }, []);
  useEffect(() => {
    if (wantsClosed)
      loadClosed(true).catch((problem: unknown) => tell(problemSentence(problem), 'bad'));
  }, [wantsClosed]);

  const all = cards.value;
  const from = Math.max(0, Math.floor(top.value / ROW_PX) - ROWS_AROUND);
  const to = Math.min(all.length, Math.ceil((top.value + height.value) / ROW_PX) + ROWS_AROUND);
  return (
    <div
      class="rows"
      id="rows"
      role="tabpanel"
      aria-labelledby={`tab-${tab.value}`}
      ref={box}
      onScroll={(event) => {
        top.value = event.currentTarget.scrollTop;
      }}
    >
      {!board.value.loaded ? (
        <div class="centered">
          <Spinner />
        </div>
      ) : all.length === 0 ? (
        <EmptyRows closed={wantsClosed} />
      ) : (
        <ul class="row-space" style={{ height: `${all.length * ROW_PX}px` }}>
          {all.slice(from, to).map((card, at) => (
            <Row
              key={card.conversation}
              card={card}
              top={(from + at) * ROW_PX}
              position={from + at + 1}
              of={all.length}
            />
          ))}
        </ul>
      )}
      {board.value.beyond === null || wantsClosed || filter.value.trim() === '' ? null : (
        <p class="muted small pad">{t.list.beyond(board.value.cards.size)}</p>
      )}
      {wantsClosed && closedMore.value ? (
        <ActButton class="link pad" act={() => loadClosed(false)}>
          {t.list.earlier}
        </ActButton>
      ) : null}
    </div>
  );
}

function EmptyRows({ closed }: { closed: boolean }) {
  if (filter.value.trim() !== '') return <Empty title={t.list.noMatch} />;
  if (closed) return <Empty title={t.list.emptyClosed} />;
  switch (tab.value) {
    case 'mine':
      return (
        <Empty title={t.list.emptyMine}>
          {ownCard.value?.availability === 'available'
            ? t.list.emptyMineAvailable
            : t.list.emptyMineHint}
        </Empty>
      );
    case 'waiting':
      return <Empty title={t.list.emptyWaiting} />;
    case 'all':
      return <Empty title={t.list.emptyAll} />;
  }
}

/** What is half written in the composer: the reply first, which somebody waits for. */
function draftOf(
  composer: Composer | undefined,
): { readonly text: string; readonly note: boolean } | null {
  if (composer === undefined) return null;
  if (composer.reply !== '') return { text: composer.reply, note: false };
  return composer.note === '' ? null : { text: composer.note, note: true };
}

/**
 * Whose words the last message is, where they are not the visitor's; a note is never taken for a
 * reply.
 */
function Speaker({ card }: { card: Card }) {
  const author = card.last_author;
  const note = card.note === true;
  const name =
    author?.kind !== 'agent'
      ? null
      : isAgent(author, me.value)
        ? t.you
        : agentName(author.agent, card);
  if (!note && name === null) return null;
  return (
    <span class={note ? 'faint note-words' : 'faint'}>
      {note ? (
        <>
          <Icon name="lock" size={12} /> {t.list.note}
          {name === null ? ': ' : ' '}
        </>
      ) : null}
      {name === null ? null : (
        <>
          <bdi>{name}</bdi>
          {': '}
        </>
      )}
    </span>
  );
}

function Row({
  card,
  top,
  position,
  of,
}: {
  card: ConversationCard;
  top: number;
  position: number;
  of: number;
}) {
  const mine = isMine(card, me.value);
  const unread = mine ? unreadOf(card) : 0;
  const waiting = isWaiting(card);
  const name = visitorName(card);
  const typing =
    board.value.typing.get(card.conversation)?.some(({ author }) => author.kind === 'visitor') ===
    true;
  const site = sites.value.length > 1 ? siteName(card.site) : undefined;
  const draft = draftOf(composers.value.get(card.conversation));
  const classes = [
    'row-card',
    opened.value === card.conversation ? 'current' : '',
    unread > 0 ? 'unread' : '',
  ].join(' ');
  return (
    <li
      class="row-slot"
      style={{ transform: `translateY(${top}px)` }}
      aria-posinset={position}
      aria-setsize={of}
    >
      <a
        class={classes}
        href={`#/conversations/${card.conversation}`}
        aria-current={opened.value === card.conversation ? 'true' : undefined}
        onClick={(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          showCard(card);
          if (mine && hasKeys()) composerCalled.value = card.conversation;
          show(card.conversation);
        }}
      >
        <Avatar
          id={card.visitor?.visitor ?? card.conversation}
          name={card.visitor?.name ?? ''}
          size={38}
          dot={card.visitor?.presence === 'connected' ? 'connected' : undefined}
        />
        <span class="row-main">
          <span class="row-top">
            <span class="row-name">
              <bdi>{name}</bdi>
            </span>
            {waiting && card.waiting_since !== undefined ? (
              <span class={`chip wait ${isLong(card.waiting_since)}`}>
                <Icon name="clock" size={12} />
                <Waiting since={card.waiting_since} />
              </span>
            ) : (
              <span class="row-time">{shortTime(card.last_message_at ?? card.created_at)}</span>
            )}
          </span>
          <span class="row-mid">
            <span class="row-preview" dir="auto">
              {typing ? (
                <em class="typing-words">
                  <Words of={named(t.thread.isTyping, name)} />
                </em>
              ) : draft !== null && opened.value !== card.conversation ? (
                <>
                  <Icon name={draft.note ? 'lock' : 'person'} size={12} />{' '}
                  <span class="faint">{draft.note ? t.list.noteDraft : t.list.draft}</span>
                  <bdi>{draft.text}</bdi>
                </>
              ) : card.preview === undefined ? (
                <span class="faint">{card.seq_last === 0 ? t.list.noPreview : '…'}</span>
              ) : (
                <>
                  <Speaker card={card} />
                  <bdi>{card.preview}</bdi>
                </>
              )}
            </span>
            {unread > 0 ? (
              <span class="badge" aria-label={t.list.unread(unread)}>
                {unread > 99 ? '99+' : unread}
              </span>
            ) : null}
          </span>
          <span class="row-low">
            <span class={`state state-${card.state}`}>{t.states[card.state]}</span>
            {card.offline_message === true ? <span>{t.list.left}</span> : null}
            {card.state === 'offered' && card.offered_to !== undefined ? (
              <span>
                <bdi>{agentOrYou(card.offered_to, card)}</bdi>
              </span>
            ) : null}
            {!mine && card.assignee !== undefined && card.state !== 'closed' ? (
              <span>
                <bdi>{agentOrYou(card.assignee, card)}</bdi>
              </span>
            ) : null}
            {card.state === 'queued' ? (
              <span
                title={t.list.position(positions.value.get(card.conversation) ?? 0)}
              >{`#${positions.value.get(card.conversation) ?? 0}`}</span>
            ) : null}
            {site === undefined ? null : (
              <span class="row-site">
                <bdi>{site}</bdi>
              </span>
            )}
          </span>
        </span>
      </a>
    </li>
  );
}

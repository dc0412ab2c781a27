// One conversation: who it is, what can be done with it, what was said, and the composer.

import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { dayStart } from '../../../protocol/ts/src/wire/days.ts';
import type { ConversationCard, ConversationId } from '../../../protocol/ts/src/wire/frames.ts';
import { LINK_ATTRIBUTES, pieces } from '../../../protocol/ts/src/wire/links.ts';
import { isMine, isWaiting, visitorMarks } from '../state/board.ts';
import { siteName } from '../state/catalog.ts';
import {
  closeSoon,
  mayMove,
  mayTransfer,
  mayWithdraw,
  takeFrom,
  takenFrom,
  takeOffered,
  takeUp,
  takeWaiting,
  withdraw,
} from '../state/acts.ts';
import { board, discard, loadEarlier, markSeen, retry, threads, writeOn } from '../state/store.ts';
import { contextOpen, toggleContext } from '../state/preferences.ts';
import { me } from '../state/session.ts';
import { EMPTY_THREAD, halves, isLoaded, isNote } from '../state/thread.ts';
import { visitorName } from '../state/visitor.ts';
import type { Entry } from '../state/thread.ts';
import { t } from '../strings/en.ts';
import { named, plain } from '../strings/phrase.ts';
import type { Phrase } from '../strings/phrase.ts';
import { Composer } from './composer.tsx';
import { agentOrYou, authorName } from './names.ts';
import {
  ActButton,
  Avatar,
  clockTime,
  dayName,
  Empty,
  Icon,
  keepFocus,
  once,
  Spinner,
  utcDate,
  Waiting,
  Words,
} from './parts.tsx';
import { PrivacyTagDialog } from './privacy_tag.tsx';

export function Thread({ id, transfer }: { id: ConversationId; transfer: () => void }) {
  const card = board.value.cards.get(id);
  const [tagOf, setTagOf] = useState<string | null>(null);
  return (
    <main class="thread" id="content" tabIndex={-1}>
      <Head card={card} transfer={transfer} />
      <Messages id={id} card={card} showTag={setTagOf} />
      <Untaken card={card} />
      <Composer id={id} card={card} />
      {tagOf === null ? null : (
        <PrivacyTagDialog conversation={id} message={tagOf} onClose={() => setTagOf(null)} />
      )}
    </main>
  );
}

function Head({ card, transfer }: { card: ConversationCard | undefined; transfer: () => void }) {
  const open = contextOpen.value;
  const site = card === undefined ? undefined : siteName(card.site);
  const stands = card === undefined ? undefined : standing(card);
  return (
    <header class="thread-head">
      <a class="icon-button only-narrow" href="#/" aria-label={t.back}>
        <Icon name="back" />
      </a>
      <Avatar
        id={card?.visitor?.visitor ?? card?.conversation ?? ''}
        name={card?.visitor?.name ?? ''}
        dot={card?.visitor?.presence === 'connected' ? 'connected' : undefined}
      />
      <div class="thread-who">
        <h1>
          <bdi>{visitorName(card)}</bdi>
        </h1>
        <p class="muted small">
          {card === undefined ? null : (
            <span class={`state state-${card.state}`}>{t.states[card.state]}</span>
          )}
          {card !== undefined && isWaiting(card) && card.waiting_since !== undefined ? (
            <span>
              <Waiting since={card.waiting_since} />
            </span>
          ) : null}
          <span
            class="ellipsis"
            title={[site, stands === undefined ? undefined : plain(stands)]
              .filter((part) => part !== undefined)
              .join(' · ')}
          >
            {site === undefined ? null : <bdi>{site}</bdi>}
            {site === undefined || stands === undefined ? null : ' · '}
            {stands === undefined ? null : <Words of={stands} />}
          </span>
        </p>
      </div>
      <div class="thread-acts" onMouseDown={keepFocus}>
        {card === undefined ? null : <Acts card={card} transfer={transfer} />}
        <button
          type="button"
          class="icon-button"
          aria-pressed={open}
          aria-label={open ? t.thread.hideDetails : t.thread.showDetails}
          title={open ? t.thread.hideDetails : t.thread.showDetails}
          onClick={toggleContext}
        >
          <Icon name="panel" />
        </button>
      </div>
    </header>
  );
}

/** Whom one asked in vain, until one goes on. */
function Untaken({ card }: { card: ConversationCard | undefined }) {
  const by = card === undefined ? undefined : board.value.untaken.get(card.conversation);
  if (card === undefined || by === undefined || !isMine(card, me.value)) return null;
  return (
    <p class="untaken">
      <Icon name="swap" size={14} />
      <span>
        <Words of={named(t.thread.untaken, agentOrYou(by, card))} />
      </span>
    </p>
  );
}

function standing(card: ConversationCard): Phrase | undefined {
  if (card.offered_to !== undefined && card.state !== 'closed')
    return named(t.thread.offeredTo, agentOrYou(card.offered_to, card));
  if (card.assignee !== undefined && card.state !== 'closed')
    return named(t.thread.assignedTo, agentOrYou(card.assignee, card));
  return undefined;
}

/**
 * Each act has a key: a button that becomes another while the agent presses it stands for what it
 * was.
 */
function Acts({ card, transfer }: { card: ConversationCard; transfer: () => void }) {
  const id = card.conversation;
  if (card.state === 'closed') {
    return (
      <ActButton
        key="reopen"
        class="button"
        title={t.thread.reopen}
        aria-label={t.thread.reopen}
        act={() => takeUp(id)}
      >
        <Icon name="undo" size={16} /> <span class="wide-only">{t.thread.reopen}</span>
      </ActButton>
    );
  }
  const from = takenFrom(card);
  const offeredToMe = card.offered_to !== undefined && card.offered_to === me.value;
  return (
    <>
      {offeredToMe ? (
        <ActButton key="accept" class="button primary" act={() => takeOffered(id)}>
          <Icon name="check" size={16} /> <span>{t.thread.acceptIt}</span>
        </ActButton>
      ) : isWaiting(card) ? (
        <ActButton key="take" class="button primary" act={() => takeWaiting(id)}>
          <Icon name="hand" size={16} /> <span>{t.thread.take}</span>
        </ActButton>
      ) : from === null ? null : (
        <ActButton
          key="take-over"
          class="button"
          title={t.thread.takeOver}
          aria-label={t.thread.takeOver}
          act={() => takeFrom(id, from)}
        >
          <Icon name="hand" size={16} /> <span class="wide-only">{t.thread.takeOver}</span>
        </ActButton>
      )}
      {mayWithdraw(card) ? (
        <ActButton
          key="withdraw"
          class="button"
          title={t.thread.withdrawHint}
          aria-label={t.thread.withdraw}
          act={() => withdraw(id).then(writeOn)}
        >
          <Icon name="undo" size={16} /> <span class="wide-only">{t.thread.withdraw}</span>
        </ActButton>
      ) : null}
      {mayTransfer(card) ? (
        <button
          key="transfer"
          type="button"
          class="button"
          onClick={once(transfer)}
          title={t.thread.transfer}
          aria-label={t.thread.transfer}
        >
          <Icon name="swap" size={16} /> <span class="wide-only">{t.thread.transfer}</span>
        </button>
      ) : null}
      {mayMove(card) ? (
        <button
          key="close"
          type="button"
          class="button"
          title={t.thread.closeIt}
          aria-label={t.thread.closeIt}
          onClick={once(() => closeSoon(id))}
        >
          <Icon name="archive" size={16} /> <span class="wide-only">{t.thread.closeIt}</span>
        </button>
      ) : null}
    </>
  );
}

/** As near to the end as this counts as being there. */
const END_PX = 48;
/** Messages of one author within this much stand as one group. */
const GROUP_MS = 4 * 60_000;

function Messages({
  id,
  card,
  showTag,
}: {
  id: ConversationId;
  card: ConversationCard | undefined;
  showTag: (message: string) => void;
}) {
  const thread = threads.value.get(id) ?? EMPTY_THREAD;
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const before = useRef({ firstSeq: 0, height: 0, lastSeq: 0, unsequenced: 0 });
  const [below, setBelow] = useState(false);
  /** The message whose button the Tab key reaches; arrow keys move it. */
  const [tabStop, setTabStop] = useState<string | null>(null);

  const [sequenced, unsequenced] = halves(thread);
  const firstSeq = sequenced[0]?.seq ?? 0;
  const lastSeq = sequenced.at(-1)?.seq ?? 0;
  const typing = board.value.typing.get(id) ?? [];
  const others = typing.filter(
    ({ author }) => !(author.kind === 'agent' && author.agent === me.value),
  );

  const seen = (): void => {
    if (atEnd.current && !document.hidden && document.hasFocus()) markSeen(id);
  };

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const was = before.current;
    const wroteNow = unsequenced.length > was.unsequenced;
    if (wroteNow) atEnd.current = true;
    if (firstSeq < was.firstSeq && !atEnd.current)
      element.scrollTop += element.scrollHeight - was.height;
    else if (atEnd.current) element.scrollTop = element.scrollHeight;
    else if (lastSeq > was.lastSeq) setBelow(true);
    before.current = {
      firstSeq,
      lastSeq,
      height: element.scrollHeight,
      unsequenced: unsequenced.length,
    };
    seen();
    // Taking a conversation makes what is on the screen already seen by its assignee.
  }, [thread, others.length, card?.assignee, card?.state]);

  useEffect(() => {
    window.addEventListener('focus', seen);
    document.addEventListener('visibilitychange', seen);
    const element = box.current;
    const sized = new ResizeObserver(() => {
      if (atEnd.current && element !== null) element.scrollTop = element.scrollHeight;
    });
    if (element !== null) sized.observe(element);
    return () => {
      window.removeEventListener('focus', seen);
      document.removeEventListener('visibilitychange', seen);
      sized.disconnect();
    };
  }, [id]);

  const toEnd = (): void => {
    const element = box.current;
    if (element !== null) element.scrollTop = element.scrollHeight;
  };

  const scrolled = (element: HTMLDivElement): void => {
    atEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < END_PX;
    if (atEnd.current) {
      setBelow(false);
      seen();
    }
    if (element.scrollTop < 120 && thread.more) void loadEarlier(id);
  };

  return (
    <div class="messages-wrap">
      <div
        class="messages"
        ref={box}
        onScroll={(event) => scrolled(event.currentTarget)}
        onKeyDown={stepInfo}
        tabIndex={0}
        role="log"
        aria-label={t.thread.label}
      >
        {thread.absent && thread.entries.length === 0 ? (
          <Empty title={t.thread.absent}>{t.thread.absentHint}</Empty>
        ) : !isLoaded(thread) && unsequenced.length === 0 ? (
          <div class="centered">
            <Spinner />
          </div>
        ) : (
          <>
            {thread.more ? (
              <ActButton class="link pad" act={() => loadEarlier(id)}>
                {t.thread.earlier}
              </ActButton>
            ) : (
              <p class="beginning">{t.thread.beginning}</p>
            )}
            <Entries
              entries={sequenced}
              card={card}
              showTag={showTag}
              tabStop={tabStop}
              setTabStop={setTabStop}
            />
            {unsequenced.map((entry) => (
              <UnsentBubble key={entry.message} id={id} entry={entry} />
            ))}
            <div class="typing-line" role="status">
              {others.map(({ author }) => (
                <span key={`${author.kind}${author.agent ?? ''}`} class="typing">
                  <span class="typing-dots" aria-hidden="true">
                    <i />
                    <i />
                    <i />
                  </span>
                  <span>
                    <Words of={named(t.thread.isTyping, authorName(author, card))} />
                  </span>
                </span>
              ))}
            </div>
          </>
        )}
      </div>
      {below ? (
        <button type="button" class="to-end" onClick={toEnd}>
          <Icon name="down" size={15} /> {t.thread.newOnes}
        </button>
      ) : null}
    </div>
  );
}

/** Whether a visitor can have seen it as said by us. */
function spoken(entry: Entry): boolean {
  return entry.body.kind === 'text' && entry.author.kind !== 'visitor' && !isNote(entry);
}

/**
 * From one message's button to the next by arrow keys: as many tab stops as messages would bar the
 * way to the composer.
 */
function stepInfo(event: KeyboardEvent): void {
  const by = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  if (by === 0 || !(event.currentTarget instanceof HTMLElement)) return;
  const all = [...event.currentTarget.querySelectorAll<HTMLElement>('.said-info')];
  const at = all.findIndex((one) => one === document.activeElement);
  if (at === -1) return;
  event.preventDefault();
  all[at + by]?.focus();
}

interface EntriesProps {
  readonly entries: readonly Entry[];
  readonly card: ConversationCard | undefined;
  readonly showTag: (message: string) => void;
  readonly tabStop: string | null;
  readonly setTabStop: (message: string) => void;
}

function Entries({ entries, card, showTag, tabStop, setTabStop }: EntriesProps) {
  const receipts = visitorMarks(card);
  const spokenOnes = entries.filter((entry) => entry.body.kind !== 'event');
  const stop = (spokenOnes.find((entry) => entry.message === tabStop) ?? spokenOnes.at(-1))
    ?.message;
  const lastSeen = entries
    .filter((entry) => entry.seq <= receipts.seen && spoken(entry))
    .at(-1)?.message;
  return (
    <>
      {entries.map((entry, at) => {
        const before = entries[at - 1];
        const newDay = before === undefined || dayName(before.at) !== dayName(entry.at);
        const joined =
          !newDay &&
          before !== undefined &&
          before.body.kind === 'text' &&
          before.author.kind === entry.author.kind &&
          before.author.agent === entry.author.agent &&
          isNote(before) === isNote(entry) &&
          entry.at - before.at < GROUP_MS;
        return (
          <div key={entry.message} class="entry">
            {newDay ? (
              <p class="day">
                <span>{dayName(entry.at)}</span>
              </p>
            ) : null}
            {entry.body.kind === 'event' ? (
              <p class="event">
                <span>
                  <Words of={eventWords(entry, card)} /> · {clockTime(entry.at)}
                </span>
              </p>
            ) : (
              <Bubble
                entry={entry}
                card={card}
                joined={joined}
                receipts={receipts}
                spell={entry.message === lastSeen}
                showTag={showTag}
                reached={entry.message === stop}
                setTabStop={setTabStop}
              />
            )}
          </div>
        );
      })}
    </>
  );
}

function eventWords(entry: Entry, card: ConversationCard | undefined): Phrase {
  if (entry.body.kind !== 'event') return '';
  const who = entry.body.agent === undefined ? null : agentOrYou(entry.body.agent, card);
  const { event } = t.thread;
  switch (entry.body.event) {
    case 'assigned':
      return named(event.assigned, who ?? t.anAgent);
    case 'transferred':
      return named(event.transferred, who ?? t.anAgent);
    case 'requeued':
      return event.requeued;
    case 'closed':
      return who === null ? event.closedUnsaid : named(event.closed, who);
    case 'reopened':
      return who === null ? event.reopenedUnsaid : named(event.reopened, who);
    case 'abandoned':
      return event.abandoned;
    case 'unknown':
      return event.unknown;
  }
}

/** What was said, with addresses of the web as links. */
function Linked({ text }: { text: string }) {
  return (
    <>
      {pieces(text).map((piece, at) =>
        piece.href === undefined ? (
          piece.text
        ) : (
          <a key={at} {...LINK_ATTRIBUTES} href={piece.href}>
            {piece.text}
          </a>
        ),
      )}
    </>
  );
}

interface BubbleProps {
  readonly entry: Entry;
  readonly card: ConversationCard | undefined;
  readonly joined: boolean;
  readonly receipts: { readonly delivered: number; readonly seen: number };
  /** The last one that the visitor saw says so in a word. */
  readonly spell: boolean;
  readonly showTag: (message: string) => void;
  /** By the Tab key. */
  readonly reached: boolean;
  readonly setTabStop: (message: string) => void;
}

function Bubble({
  entry,
  card,
  joined,
  receipts,
  spell,
  showTag,
  reached,
  setTabStop,
}: BubbleProps) {
  const note = isNote(entry);
  const ours = entry.author.kind !== 'visitor';
  const side = note ? 'note' : ours ? 'ours' : 'theirs';
  const name =
    entry.author.kind === 'agent'
      ? agentOrYou(entry.author.agent, card)
      : authorName(entry.author, card);
  const until =
    entry.expires === null
      ? ''
      : ` · ${t.context.retention} ${utcDate(dayStart(entry.expires - 1))}`;
  return (
    <article class={`said ${side} ${joined ? 'joined' : ''}`}>
      {joined ? null : (
        <header class="said-head">
          {note ? <Icon name="lock" size={12} /> : null}
          <span>
            {note ? `${t.thread.note} · ` : null}
            <bdi>{name}</bdi>
          </span>
        </header>
      )}
      <div class="bubble" title={`${clockTime(entry.at)}${until}`}>
        <p dir="auto">
          {entry.body.kind === 'text' ? <Linked text={entry.body.text} /> : t.thread.unreadable}
        </p>
        <footer class="said-foot">
          <button
            type="button"
            class="said-info"
            aria-label={t.thread.privacy}
            title={t.thread.privacy}
            tabIndex={reached ? 0 : -1}
            onFocus={() => setTabStop(entry.message)}
            onClick={() => showTag(entry.message)}
          >
            <Icon name="info" size={13} />
          </button>
          <time dateTime={new Date(entry.at).toISOString()}>{clockTime(entry.at)}</time>
          {ours && !note ? <Ticks seq={entry.seq} receipts={receipts} spell={spell} /> : null}
        </footer>
      </div>
    </article>
  );
}

function Ticks({
  seq,
  receipts,
  spell,
}: {
  seq: number;
  spell: boolean;
  receipts: { readonly delivered: number; readonly seen: number };
}) {
  const state = receipts.seen >= seq ? 'seen' : receipts.delivered >= seq ? 'delivered' : 'sent';
  return (
    <span
      class={`ticks ticks-${state}`}
      title={t.thread[state]}
      role="img"
      aria-label={t.thread[state]}
    >
      {spell ? t.thread.seen : null}
      <Icon name={state === 'sent' ? 'check' : 'checks'} size={14} />
    </span>
  );
}

/** On its way, or refused. */
function UnsentBubble({ id, entry }: { id: ConversationId; entry: Entry }) {
  const note = isNote(entry);
  const refused = entry.failed !== undefined;
  return (
    <article class={`said ${note ? 'note' : 'ours'} pending`}>
      <div class="bubble">
        <p dir="auto">{entry.body.kind === 'text' ? <Linked text={entry.body.text} /> : null}</p>
        <footer class="said-foot">
          {!refused ? (
            <>
              <span>{t.thread.sending}</span>
              <Icon name="clock" size={13} />
            </>
          ) : (
            <span class="bad-words" role="alert">
              {t.thread.failed}: {entry.failed}
            </span>
          )}
        </footer>
      </div>
      {!refused ? null : (
        <div class="row end">
          <button type="button" class="link" onClick={() => retry(id, entry.message)}>
            {t.thread.retry}
          </button>
          <button type="button" class="link" onClick={() => discard(id, entry.message)}>
            {t.thread.discard}
          </button>
        </div>
      )}
    </article>
  );
}

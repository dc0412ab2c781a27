// Short sentences that tell how something went. Where they stand is the view's; they cover nothing.

import { signal } from '@preact/signals';
import type { ConversationId } from '../../../protocol/ts/src/wire/frames.ts';
import { plain } from '../strings/phrase.ts';
import type { Phrase } from '../strings/phrase.ts';

export interface Notice {
  readonly id: number;
  readonly tone: 'plain' | 'bad';
  readonly words: Phrase;
  /** What can be done about it, as long as it is shown. */
  readonly act: NoticeAct | null;
  /** It does not pass by itself. */
  readonly stays: boolean;
  /** The conversation that it is about, where it ends with it. */
  readonly about: ConversationId | null;
}

export interface NoticeAct {
  readonly words: string;
  readonly run: () => void;
}

const NOTICES_MAX = 3;
/** Long enough to read; what went wrong stays longer. */
const SHOWN_MS = { plain: 4_000, bad: 8_000 };

export const notices = signal<readonly Notice[]>([]);

let count = 0;

function add(notice: Omit<Notice, 'id'>): number {
  count += 1;
  // What has something to press is not the same as another with the same words.
  const same = (one: Notice): boolean =>
    one.act === null &&
    notice.act === null &&
    one.about === notice.about &&
    plain(one.words) === plain(notice.words);
  const others = notices.value.filter((one) => !same(one));
  notices.value = bounded([...others, { id: count, ...notice }]);
  return count;
}

/**
 * Never what has just come: the oldest of those that pass by themselves, then of those that only
 * tell; what can be undone goes last.
 */
function bounded(all: readonly Notice[]): readonly Notice[] {
  if (all.length <= NOTICES_MAX) return all;
  const before = all.slice(0, -1);
  const spare =
    before.find((one) => !one.stays) ?? before.find((one) => one.act === null) ?? before[0];
  return bounded(all.filter((one) => one !== spare));
}

export function tell(words: Phrase, tone: Notice['tone'] = 'plain'): void {
  const id = add({ words, tone, act: null, about: null, stays: false });
  setTimeout(() => dismiss(id), SHOWN_MS[tone]);
}

/**
 * Tells what must also be read by someone who comes back to the screen later: it stays until it is
 * put away.
 */
export function leaveNotice(
  words: Phrase,
  about: ConversationId | null = null,
  act: NoticeAct | null = null,
): number {
  return add({ words, tone: 'plain', act, about, stays: true });
}

/** Tells, with something to press; whoever calls takes it away again. */
export function propose(words: Phrase, act: NoticeAct): number {
  return add({ words, tone: 'plain', act, about: null, stays: true });
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((one) => one.id !== id);
}

/** The next agent on this machine does not read what was told to this one. */
export function dismissAll(): void {
  notices.value = [];
}

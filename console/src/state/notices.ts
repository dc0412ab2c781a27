// Short sentences that tell how something went, at the foot of the screen.

import { signal } from '@preact/signals';

export interface Notice {
  readonly id: number;
  readonly tone: 'plain' | 'bad';
  readonly words: string;
  /** What can be done about it, as long as it is shown. */
  readonly act: NoticeAct | null;
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

function add(words: string, tone: Notice['tone'], act: NoticeAct | null): number {
  count += 1;
  const same = notices.value.filter((one) => one.words !== words);
  notices.value = [...same, { id: count, tone, words, act }].slice(-NOTICES_MAX);
  return count;
}

export function tell(words: string, tone: Notice['tone'] = 'plain'): void {
  const id = add(words, tone, null);
  setTimeout(() => dismiss(id), SHOWN_MS[tone]);
}

/** Tells what must also be read by someone who comes back to the screen later: it stays until it is put away. */
export function leaveNotice(words: string): void {
  add(words, 'plain', null);
}

/** Tells, with something to press; whoever calls takes it away again. */
export function propose(words: string, act: NoticeAct): number {
  return add(words, 'plain', act);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((one) => one.id !== id);
}

/** The next agent on this machine does not read what was told to this one. */
export function dismissAll(): void {
  notices.value = [];
}

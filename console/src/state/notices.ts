// Short sentences that tell how something went, at the foot of the screen.

import { signal } from '@preact/signals';

export interface Notice {
  readonly id: number;
  readonly tone: 'plain' | 'bad';
  readonly words: string;
}

const NOTICES_MAX = 3;
/** Long enough to read; what went wrong stays longer. */
const SHOWN_MS = { plain: 4_000, bad: 8_000 };

export const notices = signal<readonly Notice[]>([]);

let count = 0;

export function tell(words: string, tone: Notice['tone'] = 'plain'): void {
  count += 1;
  const id = count;
  const same = notices.value.filter((one) => one.words !== words);
  notices.value = [...same, { id, tone, words }].slice(-NOTICES_MAX);
  setTimeout(() => dismiss(id), SHOWN_MS[tone]);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((one) => one.id !== id);
}

// What a client does about a refusal and about the end of a connection: the generated verdicts, and
// nothing else.

import { RETRYABLE, VERDICTS } from './frames.ts';
import type { RejectCode, Verdict } from './frames.ts';

/** Whether the same frame may succeed later. */
export function isRetryable(code: RejectCode): boolean {
  return RETRYABLE.includes(code);
}

/** The verdict of a close code, known or not: the range decides. */
export function verdict(code: number): Verdict {
  return VERDICTS.find(([from, to]) => from <= code && code <= to)?.[2] ?? 'retry';
}

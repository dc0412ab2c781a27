// The time as the server has it, ticking once a second for whatever on the screen counts.

import { signal } from '@preact/signals';

let aheadMs = 0;

/** The server's time now, in milliseconds since 1970. */
export function serverNow(): number {
  return Date.now() + aheadMs;
}

/** The same as a signal, renewed every second. */
export const now = signal(Date.now());

export function setServerTime(at: number): void {
  aheadMs = at - Date.now();
  now.value = serverNow();
}

const DAY_MS = 86_400_000;
/** Days from 1970-01-01 to 2020-01-01, where the wire's days begin. */
const DAY_ZERO = 18_262;

/** The wire's day of a moment. */
export function dayOf(at: number): number {
  return Math.floor(at / DAY_MS) - DAY_ZERO;
}

/** The first moment of the wire's day. */
export function dayStart(day: number): number {
  return (day + DAY_ZERO) * DAY_MS;
}

export function startClock(onTick: (at: number) => void): void {
  setInterval(() => {
    now.value = serverNow();
    onTick(now.value);
  }, 1000);
}

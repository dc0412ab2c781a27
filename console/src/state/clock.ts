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

export function startClock(onTick: (at: number) => void): void {
  setInterval(() => {
    now.value = serverNow();
    onTick(now.value);
  }, 1000);
}

// Days as the wire counts them, by UTC.

const DAY_MS = 86_400_000;
/** Days from 1970-01-01 to 2020-01-01, where the wire's days begin. */
const DAY_ZERO = 18_262;

/** The wire's day of a moment, in milliseconds since 1970. */
export function dayOf(at: number): number {
  return Math.floor(at / DAY_MS) - DAY_ZERO;
}

/** The first moment of the wire's day. */
export function dayStart(day: number): number {
  return (day + DAY_ZERO) * DAY_MS;
}

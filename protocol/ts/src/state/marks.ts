// Receipts: how far everybody in a conversation has come, what reached them and what they have
// read. The wire calls them marks.

import type { Author, Marks } from '../wire/frames.ts';

export function sameAuthor(one: Author, other: Author): boolean {
  return one.kind === other.kind && one.agent === other.agent;
}

/**
 * Notes that everything up to `seq` reached somebody, or was on their screen. Receipts never go
 * back; the same list where this is nothing new.
 */
export function mark(
  marks: readonly Marks[],
  author: Author,
  which: 'delivered' | 'seen',
  seq: number,
): readonly Marks[] {
  const before = marks.find((one) => sameAuthor(one.author, author));
  const { delivered = 0, seen = 0 } = before ?? {};
  // Who saw it has got it.
  const next = { author, delivered: Math.max(delivered, seq), seen };
  if (which === 'seen') next.seen = Math.max(seen, seq);
  if (next.delivered === delivered && next.seen === seen) return marks;
  return [...marks.filter((one) => one !== before), next];
}

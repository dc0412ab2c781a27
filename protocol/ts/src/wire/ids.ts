// Ids that a client makes: UUIDs of version 7 (RFC 9562, 5.7), in order of their making.

import { hex } from './codec.ts';
import type { ConversationId, MessageId } from './frames.ts';

let lastMs = 0;

function uuidV7(nowMs: number, after: readonly string[] = []): string {
  // Neither a clock that steps back nor another page puts a new id before an older one.
  lastMs = Math.max(
    lastMs + 1,
    Math.floor(nowMs) || 0,
    ...after.map((id) => parseInt(id.slice(4, 16), 16) + 1 || 0),
  );
  const chance = hex(crypto.getRandomValues(new Uint8Array(9)));
  // The version, and the variant with two bits that are not used: 72 bits of chance are enough.
  const time = lastMs.toString(16).padStart(12, '0').slice(-12);
  return `${time}7${chance.slice(15)}8${chance.slice(0, 15)}`;
}

/** A new message's id, behind those that are there; the same on every resend of it. */
export function messageId(nowMs: number, after?: readonly string[]): MessageId {
  return `msg_${uuidV7(nowMs, after)}`;
}

/** A new conversation's id. */
export function conversationId(nowMs: number): ConversationId {
  return `cnv_${uuidV7(nowMs)}`;
}

// Ids that a client makes: UUIDs of version 7 (RFC 9562, 5.7), in order of their making.

import { hex } from './codec.ts';
import type { ConversationId, MessageId } from './frames.ts';

let last_ms = 0;

function uuid_v7(now_ms: number, after: readonly string[] = []): string {
  // Neither a clock that steps back nor another page puts a new id before an older one.
  last_ms = Math.max(last_ms + 1, Math.floor(now_ms) || 0, ...after.map((id) => parseInt(id.slice(4, 16), 16) + 1 || 0));
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, Math.floor(last_ms / 0x1_0000_0000));
  view.setUint32(2, last_ms >>> 0);
  view.setUint8(6, (view.getUint8(6) & 0x0f) | 0x70);
  view.setUint8(8, (view.getUint8(8) & 0x3f) | 0x80);
  return hex(bytes);
}

/** A new message's id, behind those that are there; the same on every resend of it. */
export function message_id(now_ms: number, after?: readonly string[]): MessageId {
  return `msg_${uuid_v7(now_ms, after)}`;
}

/** A new conversation's id. */
export function conversation_id(now_ms: number): ConversationId {
  return `cnv_${uuid_v7(now_ms)}`;
}

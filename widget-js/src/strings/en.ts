// English. Every text that a visitor reads in the open chat. Another language is another file with
// the same names: the chat is built once for each, with its file in the place of this one.

import type { EventKind, RejectCode } from '../../../protocol/ts/src/wire/frames.ts';

export type Events = { readonly [kind in EventKind]: (name: string, next: boolean) => string };
export type Reasons = { readonly [code in RejectCode]?: string } & { readonly other: string };

export const close = 'Close the chat';
export const title = 'Chat with us';
export const greeting = 'Hello! How can we help you?';
export const offline =
  'No one is here right now. Leave us a message and we will answer as soon as we are back.';
export const availability = {
  available: 'We are here for you',
  busy: 'All agents are busy; you may have to wait a little',
  unavailable: 'Leave us a message',
};
export const withAgent = 'Here with you';
export const name = 'Your name';
export const email = 'Your e-mail';
export const optional = 'optional';
export const privacy = 'Privacy notice';
export const message = 'Your message';
export const placeholder = 'Write a message…';
export const send = 'Send';
export const messages = 'Messages';
export const earlier = 'Earlier messages';
export const newer = 'New message';
export const unreadMessages = (count: number) =>
  count === 1 ? 'one unread message' : `${count} unread messages`;
export const progress = {
  sending: 'Sending…',
  sent: 'Sent',
  delivered: 'Delivered',
  seen: 'Seen',
};
export const waitingForConnection = 'Waiting for the connection';
export const failed = (why: string) => `Not sent: ${why}`;
export const retry = 'Try again';
export const discard = 'Delete';
export const you = 'You';
export const someone = 'Support';
export const bot = 'Assistant';
export const isTyping = (name: string) => `${name} is typing…`;
export const reconnecting = 'The connection is lost. We are trying to get it back…';
export const stopped = 'The chat cannot be reached from this page.';
export const blocked =
  'There is no connection to the chat. The network or a blocker may refuse it.';
export const tooLong = (count: number, max: number) =>
  `Too long: ${count} of ${max} characters. Please shorten it.`;
export const queue = (position: number) =>
  position === 1 ? 'You are next in line.' : `You are number ${position} in line.`;
export const queueWait = (minutes: number) =>
  minutes <= 1 ? 'About a minute to wait.' : `About ${minutes} minutes to wait.`;
export const offered = 'You are being connected to an agent…';
export const left = 'Thank you. We have your message and will answer here.';
export const refused = (why: string) => `The conversation could not be started: ${why}`;
export const full = 'Too much is waiting to be sent. Please wait until you are back online.';
/** Why something was refused, and what to do; what has no words of its own is `other`. */
export const reasons: Reasons = {
  'too-long': 'it is too long. Send it in parts.',
  'limit-reached': 'there are too many already. Wait a little, then try again.',
  'site-closed': 'this chat is closed.',
  closed: 'the conversation has ended. Start a new one.',
  'not-found': 'the conversation is no longer there. Try again to begin another.',
  other: 'the server did not take it. Try again, or put it in other words.',
};
export const end = 'End the conversation';
export const endQuestion = 'End this conversation?';
export const endYes = 'End it';
export const endNo = 'Keep it';
export const closed = 'This conversation has ended. Write to open it again.';
export const anew = 'Start a new one';
/** What happened, and who it was about; whether the visitor is next in line now. */
export const events: Events = {
  assigned: (name) => `${name} joined the conversation`,
  requeued: (_, next) =>
    `Our agent is no longer here.${next ? ' You are first in line again.' : ''}`,
  transferred: (name) => `${name} took over the conversation`,
  closed: () => 'The conversation was closed',
  reopened: () => 'The conversation was opened again',
  abandoned: () => 'The conversation was closed, as nobody had written for a long time',
  unknown: () => 'Something happened that this chat cannot show',
};
